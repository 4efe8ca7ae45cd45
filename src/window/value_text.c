/*
 * value_text.c
 *	  Input values of window functions as text that no setting changes.
 *
 * Types whose output functions heed no setting are left to these.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "window/value_text.h"

static const char *
bytea_text(Image image, Size *length)
{
	char	   *text = palloc(2 + 2 * (Size) image.size);

	text[0] = '\\';
	text[1] = 'x';
	*length = 2 + hex_encode(image.data, image.size, text + 2);
	return text;
}

/* The infinite intervals of PostgreSQL 17 are named on every server. */
static char *
interval_text(const Interval *interval)
{
	char		text[MAXDATELEN + 1];
	struct pg_itm parts;

	if (interval->time == PG_INT64_MAX && interval->day == PG_INT32_MAX &&
		interval->month == PG_INT32_MAX)
		return "infinity";
	if (interval->time == PG_INT64_MIN && interval->day == PG_INT32_MIN &&
		interval->month == PG_INT32_MIN)
		return "-infinity";
	interval2itm(*interval, &parts);
	EncodeInterval(&parts, INTSTYLE_POSTGRES, text);
	return pstrdup(text);
}

static char *
datetime_text(const ValueType *type, Datum value)
{
	char		text[MAXDATELEN + 1];
	int			utc = 0;

	JsonEncodeDateTime(text, value, type->oid, type->code == VALUE_TIMESTAMPTZ ? &utc : NULL);
	return pstrdup(text);
}

/* Text of a value of a type that is not text itself. */
static char *
datum_text(const ValueType *type, Datum value)
{
	switch (type->code)
	{
		case VALUE_BOOL:
			return DatumGetBool(value) ? "true" : "false";
		case VALUE_INT2:
			return psprintf("%d", DatumGetInt16(value));
		case VALUE_INT4:
			return psprintf("%d", DatumGetInt32(value));
		case VALUE_INT8:
			return psprintf("%lld", (long long) DatumGetInt64(value));
		case VALUE_FLOAT4:
			return float_to_shortest_decimal(DatumGetFloat4(value));
		case VALUE_FLOAT8:
			return double_to_shortest_decimal(DatumGetFloat8(value));
		case VALUE_NUMERIC:
			return DatumGetCString(DirectFunctionCall1(numeric_out, value));
		case VALUE_UUID:
			return DatumGetCString(DirectFunctionCall1(uuid_out, value));
		case VALUE_DATE:
		case VALUE_TIMESTAMP:
		case VALUE_TIMESTAMPTZ:
			return datetime_text(type, value);
		case VALUE_INTERVAL:
			return interval_text(DatumGetIntervalP(value));
		default:
			return "";
	}
}

const char *
value_text(const ValueType *type, Image image, Size *length)
{
	const char *text;

	switch (type->code)
	{
		case VALUE_TEXT:
		case VALUE_VARCHAR:
		case VALUE_BPCHAR:
			*length = image.size;
			return image.data;
		case VALUE_BYTEA:
			return bytea_text(image, length);
		default:
			text = datum_text(type, value_datum(type, image));
			*length = strlen(text);
			return text;
	}
}
