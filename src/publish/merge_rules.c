/*
 * merge_rules.c
 *	  Merge rules of directly streamed columns, value by value.
 *
 * What a column holds after some rows must not depend on how they were split
 * into batches, or came late.  So each rule chooses by a total order: of values that compare
 * equal their images decide, of values of one instant they themselves.  The statements that write rows (sql/stream.sql) merge
 * the rows of a batch with the aggregates here, and what comes of it with the
 * stored row by the functions.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "window/value.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(rule_is_ordered);
PG_FUNCTION_INFO_V1(rule_least);
PG_FUNCTION_INFO_V1(rule_greatest);
PG_FUNCTION_INFO_V1(rule_is_earlier);
PG_FUNCTION_INFO_V1(rule_is_later);
PG_FUNCTION_INFO_V1(rule_newest_step);
PG_FUNCTION_INFO_V1(rule_first_step);
PG_FUNCTION_INFO_V1(rule_last_step);
PG_FUNCTION_INFO_V1(rule_kept_value);
PG_FUNCTION_INFO_V1(rule_last_n_step);
PG_FUNCTION_INFO_V1(rule_last_n_value);
PG_FUNCTION_INFO_V1(rule_merge_last_n);
PG_FUNCTION_INFO_V1(rows_digest);

/* How values of a type are told apart; kept from call to call. */
typedef struct ValueOrder
{
	Oid			type;
	int16		length;
	bool		by_value;
	char		align;
	FmgrInfo   *compare;
	Oid			collation;
	const ValueType *images;	/* NULL: the bytes themselves are the image */
} ValueOrder;

/* The value that stands for those seen so far. */
typedef struct KeptValue
{
	bool		is_set;
	bool		isnull;
	Datum		value;
	TimestampTz at;
	int64		number;
} KeptValue;

/* A value and its time. */
typedef struct TimedValue
{
	Datum		value;
	TimestampTz at;
} TimedValue;

/* The newest values, newest first. */
typedef struct NewestValues
{
	int			limit;
	int			count;
	TimedValue *entries;		/* has room for one more than limit */
} NewestValues;

/* _is_ordered(type regtype) RETURNS boolean */
Datum
rule_is_ordered(PG_FUNCTION_ARGS)
{
	TypeCacheEntry *entry = lookup_type_cache(PG_GETARG_OID(0), TYPECACHE_CMP_PROC);

	PG_RETURN_BOOL(OidIsValid(entry->cmp_proc));
}

/* The order of values of a type, made when a function is called first. */
static ValueOrder *
value_order_of(FunctionCallInfo fcinfo, Oid type)
{
	ValueOrder *order = fcinfo->flinfo->fn_extra;
	TypeCacheEntry *entry;

	if (order && order->type == type)
		return order;
	entry = lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO);
	order = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(ValueOrder));
	order->type = type;
	get_typlenbyvalalign(type, &order->length, &order->by_value, &order->align);
	order->compare = OidIsValid(entry->cmp_proc_finfo.fn_oid) ? &entry->cmp_proc_finfo : NULL;
	order->collation = PG_GET_COLLATION();
	order->images = value_type_by_oid(type);
	fcinfo->flinfo->fn_extra = order;
	return order;
}

/* Order of the bytes of two values, as image_order has it. */
static int
compare_bytes(ValueOrder *order, Datum a, Datum b)
{
	Image		images[2];
	Datum		values[] = {a, b};

	for (int i = 0; i < 2; i++)
	{
		if (order->length == -1)
		{
			struct varlena *value = PG_DETOAST_DATUM_PACKED(values[i]);

			images[i].data = VARDATA_ANY(value);
			images[i].size = VARSIZE_ANY_EXHDR(value);
		}
		else
		{
			images[i].data = order->by_value ? (char *) &values[i] : DatumGetPointer(values[i]);
			images[i].size = order->by_value ? sizeof(Datum) :
				order->length == -2 ? strlen(images[i].data) : order->length;
		}
	}
	return image_order(images[0], images[1]);
}

/* The order of their type. */
static int
compare_by_type(ValueOrder *order, Datum a, Datum b)
{
	if (!order->compare)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify a comparison function for type %s",
						format_type_be(order->type))));
	return DatumGetInt32(FunctionCall2Coll(order->compare, order->collation, a, b));
}

/* The order of their images. */
static int
compare_images(ValueOrder *order, Datum a, Datum b)
{
	char		buffers[2][VALUE_MAX_FIXED];

	if (!order->images)
		return compare_bytes(order, a, b);
	return image_order(value_image(order->images, a, buffers[0]),
					   value_image(order->images, b, buffers[1]));
}

/* A total order of values: by their type's, then by their images. */
static int
compare_values(ValueOrder *order, Datum a, Datum b)
{
	int			result = compare_by_type(order, a, b);

	return result == 0 ? compare_images(order, a, b) : result;
}

/*
 * Of two values, of which either can be NULL, the one on the wanted side; the one
 * with the least image stands for equal ones.
 */
static Datum
choose_value(FunctionCallInfo fcinfo, int side)
{
	ValueOrder *order;
	int			result;

	if (PG_ARGISNULL(0) && PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_DATUM(PG_GETARG_DATUM(PG_ARGISNULL(0) ? 1 : 0));
	order = value_order_of(fcinfo, get_fn_expr_argtype(fcinfo->flinfo, 0));
	result = side * compare_by_type(order, PG_GETARG_DATUM(1), PG_GETARG_DATUM(0));
	if (result == 0)
		result = compare_images(order, PG_GETARG_DATUM(0), PG_GETARG_DATUM(1));
	PG_RETURN_DATUM(PG_GETARG_DATUM(result > 0 ? 1 : 0));
}

/* _least(a anyelement, b anyelement) RETURNS anyelement */
Datum
rule_least(PG_FUNCTION_ARGS)
{
	return choose_value(fcinfo, -1);
}

/* _greatest(a anyelement, b anyelement) RETURNS anyelement */
Datum
rule_greatest(PG_FUNCTION_ARGS)
{
	return choose_value(fcinfo, 1);
}

/* Order of a value and its time among others: by time, then by value. */
static int
compare_timed(ValueOrder *order, TimestampTz at, Datum value, TimestampTz other_at, Datum other)
{
	if (at != other_at)
		return at < other_at ? -1 : 1;
	return compare_values(order, value, other);
}

/* Is the value (0, 1) on the wanted side of the other (2, 3)?  One without a time is the oldest. */
static bool
is_on_side(FunctionCallInfo fcinfo, int side)
{
	if (PG_ARGISNULL(1))
		return false;
	if (PG_ARGISNULL(3))
		return true;
	return side * compare_timed(value_order_of(fcinfo, get_fn_expr_argtype(fcinfo->flinfo, 1)),
								PG_ARGISNULL(0) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(0),
								PG_GETARG_DATUM(1),
								PG_ARGISNULL(2) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(2),
								PG_GETARG_DATUM(3)) > 0;
}

/* _is_earlier(at timestamptz, value anyelement, other_at timestamptz, other anyelement) RETURNS boolean */
Datum
rule_is_earlier(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_on_side(fcinfo, -1));
}

/* _is_later(at timestamptz, value anyelement, other_at timestamptz, other anyelement) RETURNS boolean */
Datum
rule_is_later(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_on_side(fcinfo, 1));
}

/* The state of an aggregate over (value, at, ...), of this size when it is made. */
static void *
aggregate_state(FunctionCallInfo fcinfo, Size size, MemoryContext *context)
{
	if (!AggCheckCallContext(fcinfo, context))
		elog(ERROR, "merge rules are aggregates only");
	return PG_ARGISNULL(0) ? MemoryContextAllocZero(*context, size) : PG_GETARG_POINTER(0);
}

/* Puts the value of this call in the place of the one that is kept. */
static void
keep_value(FunctionCallInfo fcinfo, KeptValue *kept, MemoryContext context, TimestampTz at)
{
	ValueOrder *order = value_order_of(fcinfo, get_fn_expr_argtype(fcinfo->flinfo, 1));
	MemoryContext old = MemoryContextSwitchTo(context);

	if (kept->is_set && !kept->isnull && !order->by_value)
		pfree(DatumGetPointer(kept->value));
	kept->is_set = true;
	kept->isnull = PG_ARGISNULL(1);
	kept->value = kept->isnull ? (Datum) 0 :
		datumCopy(order->length == -1 ? PointerGetDatum(PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(1))) :
				  PG_GETARG_DATUM(1), order->by_value, order->length);
	kept->at = at;
	MemoryContextSwitchTo(old);
}

/* _newest_step(internal, value anyelement, at timestamptz, number bigint): NULLs are values */
Datum
rule_newest_step(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	KeptValue  *kept = aggregate_state(fcinfo, sizeof(KeptValue), &context);
	TimestampTz at = PG_ARGISNULL(2) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(2);
	int64		number = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3);

	if (!kept->is_set || at > kept->at || (at == kept->at && number > kept->number))
	{
		keep_value(fcinfo, kept, context, at);
		kept->number = number;
	}
	PG_RETURN_POINTER(kept);
}

/* The first or last value by time. */
static Datum
end_step(FunctionCallInfo fcinfo, int side)
{
	MemoryContext context;
	KeptValue  *kept = aggregate_state(fcinfo, sizeof(KeptValue), &context);
	TimestampTz at = PG_ARGISNULL(2) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(2);

	if (!PG_ARGISNULL(1) &&
		(!kept->is_set ||
		 side * compare_timed(value_order_of(fcinfo, get_fn_expr_argtype(fcinfo->flinfo, 1)),
							  at, PG_GETARG_DATUM(1), kept->at, kept->value) > 0))
		keep_value(fcinfo, kept, context, at);
	PG_RETURN_POINTER(kept);
}

/* _first_step(internal, value anyelement, at timestamptz) */
Datum
rule_first_step(PG_FUNCTION_ARGS)
{
	return end_step(fcinfo, -1);
}

/* _last_step(internal, value anyelement, at timestamptz) */
Datum
rule_last_step(PG_FUNCTION_ARGS)
{
	return end_step(fcinfo, 1);
}

/* What these aggregates give in the end. */
Datum
rule_kept_value(PG_FUNCTION_ARGS)
{
	KeptValue  *kept = PG_ARGISNULL(0) ? NULL : (KeptValue *) PG_GETARG_POINTER(0);

	if (!kept || !kept->is_set || kept->isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(kept->value);
}

/* Makes room for the newest limit values. */
static void
init_newest(NewestValues *newest, int limit)
{
	if (limit < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of values to keep must be positive")));
	newest->limit = limit;
	newest->count = 0;
	newest->entries = palloc(sizeof(TimedValue) * (limit + 1));
}

/* Puts a value in its place, if it is among the newest; false if it is not. */
static bool
add_newest(ValueOrder *order, NewestValues *newest, Datum value, TimestampTz at)
{
	int			lo = 0;
	int			hi = newest->count;

	while (lo < hi)
	{
		int			middle = (lo + hi) / 2;
		TimedValue *entry = &newest->entries[middle];

		if (compare_timed(order, at, value, entry->at, entry->value) > 0)
			hi = middle;
		else
			lo = middle + 1;
	}
	if (lo == newest->limit)
		return false;
	memmove(&newest->entries[lo + 1], &newest->entries[lo],
			sizeof(TimedValue) * (newest->count - lo));
	newest->entries[lo].value = value;
	newest->entries[lo].at = at;
	newest->count = Min(newest->count + 1, newest->limit);
	return true;
}

/* The values as an array; NULL for none. */
static Datum
newest_array(FunctionCallInfo fcinfo, ValueOrder *order, NewestValues *newest)
{
	Datum	   *values;

	if (newest->count == 0)
		PG_RETURN_NULL();
	values = palloc(sizeof(Datum) * newest->count);
	for (int i = 0; i < newest->count; i++)
		values[i] = newest->entries[i].value;
	PG_RETURN_ARRAYTYPE_P(construct_array(values, newest->count, order->type, order->length,
										  order->by_value, order->align));
}

/* _last_n_step(internal, value anyelement, at timestamptz, n int) */
Datum
rule_last_n_step(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	NewestValues *newest = aggregate_state(fcinfo, sizeof(NewestValues), &context);
	ValueOrder *order = value_order_of(fcinfo, get_fn_expr_argtype(fcinfo->flinfo, 1));
	MemoryContext old = MemoryContextSwitchTo(context);

	if (!newest->entries)
		init_newest(newest, PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3));
	if (!PG_ARGISNULL(1))
	{
		bool		is_full = newest->count == newest->limit;
		Datum		out = datumCopy(order->length == -1 ? PointerGetDatum(PG_DETOAST_DATUM(PG_GETARG_DATUM(1))) :
									PG_GETARG_DATUM(1), order->by_value, order->length);

		if (add_newest(order, newest, out, PG_ARGISNULL(2) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(2)))
			out = newest->entries[newest->limit].value;
		if (is_full && !order->by_value)
			pfree(DatumGetPointer(out));
	}
	MemoryContextSwitchTo(old);
	PG_RETURN_POINTER(newest);
}

/* What the aggregate gives in the end. */
Datum
rule_last_n_value(PG_FUNCTION_ARGS)
{
	NewestValues *newest = PG_ARGISNULL(0) ? NULL : (NewestValues *) PG_GETARG_POINTER(0);

	if (!newest)
		PG_RETURN_NULL();
	return newest_array(fcinfo, value_order_of(fcinfo, get_fn_expr_argtype(fcinfo->flinfo, 1)), newest);
}

/* Adds the elements of an array and their times, which may be fewer if somebody else wrote them. */
static void
add_array(FunctionCallInfo fcinfo, int argno, ValueOrder *order, NewestValues *newest)
{
	Datum	   *values;
	Datum	   *times = NULL;
	bool	   *nulls;
	bool	   *time_nulls = NULL;
	int			nvalues;
	int			ntimes = 0;

	if (PG_ARGISNULL(argno))
		return;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno), order->type, order->length, order->by_value,
					  order->align, &values, &nulls, &nvalues);
	if (!PG_ARGISNULL(argno + 1))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno + 1), TIMESTAMPTZOID, sizeof(TimestampTz),
						  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &times, &time_nulls, &ntimes);
	for (int i = 0; i < nvalues; i++)
	{
		if (!nulls[i])
			add_newest(order, newest, values[i],
					   i < ntimes && !time_nulls[i] ? DatumGetTimestampTz(times[i]) : DT_NOBEGIN);
	}
}

/*
 * _merge_last_n(stored anyarray, stored_at timestamptz[], added anyarray,
 *				 added_at timestamptz[], n int) RETURNS anyarray
 */
Datum
rule_merge_last_n(PG_FUNCTION_ARGS)
{
	ValueOrder *order = value_order_of(fcinfo,
									   get_base_element_type(get_fn_expr_argtype(fcinfo->flinfo, 0)));
	NewestValues newest;

	init_newest(&newest, PG_ARGISNULL(4) ? 0 : PG_GETARG_INT32(4));
	add_array(fcinfo, 0, order, &newest);
	add_array(fcinfo, 2, order, &newest);
	return newest_array(fcinfo, order, &newest);
}

/*
 * _digest(VARIADIC "any") RETURNS bytea: 128 bits of what is given, to tell a
 * batch of rows from another.  NULLs add nothing, so that a column more that is
 * not given makes no difference.
 */
Datum
rows_digest(PG_FUNCTION_ARGS)
{
	uint64		hashes[2] = {0, UINT64CONST(0x9E3779B97F4A7C15)};
	bytea	   *result = palloc(VARHDRSZ + sizeof(hashes));

	for (int i = 0; i < PG_NARGS(); i++)
	{
		int16		length;
		bool		by_value;
		Datum		value = PG_GETARG_DATUM(i);
		const unsigned char *data = (unsigned char *) &value;
		Size		size = sizeof(Datum);

		if (PG_ARGISNULL(i))
			continue;
		get_typlenbyval(get_fn_expr_argtype(fcinfo->flinfo, i), &length, &by_value);
		if (length == -1)
		{
			struct varlena *image = PG_DETOAST_DATUM_PACKED(value);

			data = (unsigned char *) VARDATA_ANY(image);
			size = VARSIZE_ANY_EXHDR(image);
		}
		else if (!by_value)
		{
			data = (unsigned char *) DatumGetPointer(value);
			size = length == -2 ? strlen((char *) data) : length;
		}
		for (int h = 0; h < 2; h++)
			hashes[h] = hash_bytes_extended(data, size, hash_combine64(hashes[h], i + 1));
	}

	SET_VARSIZE(result, VARHDRSZ + sizeof(hashes));
	memcpy(VARDATA(result), hashes, sizeof(hashes));
	PG_RETURN_BYTEA_P(result);
}
