/*
 * value_bytes.c
 *	  The bytes of a value, by which changes that undo each other are told.
 *
 * Equality would not do: values that compare equal may differ, as 1.0 and 1.00,
 * and a state keeps which of them it has seen.
 */
#include "postgres.h"

#include "access/tupmacs.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(value_bytes);

/* _image(value anyelement) RETURNS bytea */
Datum
value_bytes(PG_FUNCTION_ARGS)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	int16		length;
	bool		by_value;
	char		buffer[sizeof(Datum)];
	const char *data;
	Size		size;
	bytea	   *result;

	get_typlenbyval(type, &length, &by_value);
	if (by_value)
	{
		store_att_byval(buffer, PG_GETARG_DATUM(0), length);
		data = buffer;
		size = length;
	}
	else if (length == -1)
	{
		struct varlena *value = PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(0));

		data = VARDATA_ANY(value);
		size = VARSIZE_ANY_EXHDR(value);
	}
	else
	{
		data = DatumGetPointer(PG_GETARG_DATUM(0));
		size = length == -2 ? strlen(data) : length;
	}

	result = (bytea *) palloc(VARHDRSZ + size);
	SET_VARSIZE(result, VARHDRSZ + size);
	memcpy(VARDATA(result), data, size);
	PG_RETURN_BYTEA_P(result);
}
