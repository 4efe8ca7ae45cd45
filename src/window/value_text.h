/*
 * value_text.h
 *	  Input values of window functions as text that no setting changes.
 */
#ifndef FEATURESTORE_VALUE_TEXT_H
#define FEATURESTORE_VALUE_TEXT_H

#include "window/value.h"

/*
 * Text of a valid image, palloc'd or the image's own bytes; its length is
 * given, and no more need follow.  It is what jsonb makes of the value as a key
 * of an object: dates and times as in ISO 8601, in UTC; floats as few digits as
 * tell them from others; bytea hexadecimal; intervals in style "postgres".
 */
extern const char *value_text(const ValueType *type, Image image, Size *length);

#endif							/* FEATURESTORE_VALUE_TEXT_H */
