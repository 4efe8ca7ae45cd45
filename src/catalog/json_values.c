/*
 * json_values.c
 *	  Reads what the catalog keeps as json.
 *
 * The owner of a view can store any json for it, so that nothing is taken for
 * granted: what is not there, or is something else, reads as absent.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "catalog/json_values.h"

/*
 * The value of a key of a json object, or NULL if absent or null, or if there
 * is no object: the owner of a view can store any json for it.
 */
static JsonbValue *
json_get(JsonbContainer *object, const char *key)
{
	JsonbValue *value = NULL;

	if (object && JsonContainerIsObject(object))
		value = getKeyJsonValueFromContainer(object, key, strlen(key), NULL);
	return value && value->type != jbvNull ? value : NULL;
}

/* A string of a json object, or NULL. */
char *
json_get_string(JsonbContainer *object, const char *key)
{
	JsonbValue *value = json_get(object, key);

	if (!value || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* An integer of a json object, or the value given if absent. */
int64
json_get_int(JsonbContainer *object, const char *key, int64 absent)
{
	JsonbValue *value = json_get(object, key);

	if (!value || value->type != jbvNumeric)
		return absent;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

/* Is a member of a json object true? */
bool
json_get_bool(JsonbContainer *object, const char *key)
{
	JsonbValue *value = json_get(object, key);

	return value && value->type == jbvBool && value->val.boolean;
}

/* The container under a key of a json object, or NULL. */
JsonbContainer *
json_get_container(JsonbContainer *object, const char *key)
{
	JsonbValue *value = json_get(object, key);

	return value && value->type == jbvBinary ? value->val.binary.data : NULL;
}

/* Is name an element of the json array? */
bool
json_array_has(JsonbContainer *array, const char *name)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = (char *) name;
	value.val.string.len = strlen(name);
	return array && JsonContainerIsArray(array) &&
		findJsonbValueFromContainer(array, JB_FARRAY, &value) != NULL;
}

/* Element n of a json array that is an object, or NULL. */
JsonbContainer *
json_array_object(JsonbContainer *array, int n)
{
	JsonbValue *value = getIthJsonbValueFromContainer(array, n);

	return value && value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data) ?
		value->val.binary.data : NULL;
}
