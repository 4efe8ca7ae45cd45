/*
 * json_values.h
 *	  Reads what the catalog keeps as json.
 */
#ifndef FEATURESTORE_JSON_VALUES_H
#define FEATURESTORE_JSON_VALUES_H

#include "utils/jsonb.h"

extern char *json_get_string(JsonbContainer *object, const char *key);
extern int64 json_get_int(JsonbContainer *object, const char *key, int64 absent);
extern bool json_get_bool(JsonbContainer *object, const char *key);
extern JsonbContainer *json_get_container(JsonbContainer *object, const char *key);
extern bool json_array_has(JsonbContainer *array, const char *name);
extern JsonbContainer *json_array_object(JsonbContainer *array, int n);

#endif							/* FEATURESTORE_JSON_VALUES_H */
