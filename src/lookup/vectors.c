/*
 * vectors.c
 *	  Lookups that give numbers: vectors, one a row, and matrices.
 *
 * The outputs of a spec are flattened in its order: a number or boolean takes
 * one place, an array of declared length as many as that.  NULL becomes NaN.
 * A number beyond the range of float4 becomes infinite; a lookup does not fail
 * because of a value.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "lookup/lookup.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(feature_vectors);
PG_FUNCTION_INFO_V1(lookup_vectors);
PG_FUNCTION_INFO_V1(feature_matrix);
PG_FUNCTION_INFO_V1(lookup_matrix);
PG_FUNCTION_INFO_V1(feature_matrix_columns);

/* The part of a vector that one output fills. */
typedef struct VectorPart
{
	int			column;			/* in the working row */
	Oid			type;			/* of the number */
	int			offset;
	int			length;			/* of an array, else 0 */
} VectorPart;

struct VectorLayout
{
	int			width;
	int			nparts;
	VectorPart *parts;
	TupleDesc	desc;			/* of a set of vectors */
};

/* Does a type go into a vector? */
static bool
is_number(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case BOOLOID:
			return true;
		default:
			return false;
	}
}

/* Lays out one output; refuses what is not numbers. */
static void
lay_out(Spec *spec, VectorPart *part, int column)
{
	SpecColumn *output = &spec->columns[column];
	Oid			type = getBaseType(output->type);
	Oid			element = get_element_type(type);

	part->column = column;
	part->type = OidIsValid(element) ? getBaseType(element) : type;
	if (!is_number(part->type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("output \"%s\" of feature spec %s cannot be part of a vector",
						output->name, spec->name),
				 errdetail("It is of type %s.", format_type_be(output->type)),
				 errhint("Exclude it with exclude_columns, or turn it into a number with an expression.")));
	if (!OidIsValid(element))
		return;
	part->length = output->length;
	if (part->length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("output \"%s\" of feature spec %s is an array of unknown length",
						output->name, spec->name),
				 spec->items[output->item].expr ?
				 errhint("Exclude it, and take its elements with expressions.") :
				 errhint("Declare its length in feature_names, as in \"%s[8]\", or exclude it.",
						 output->name)));
}

/* The layout of a spec's vectors, made once. */
VectorLayout *
vector_layout(Spec *spec)
{
	MemoryContext old;
	VectorLayout *layout;

	if (spec->vector)
		return spec->vector;
	old = MemoryContextSwitchTo(spec->cxt);
	layout = palloc0_object(VectorLayout);
	layout->parts = palloc0_array(VectorPart, spec->nresults);
	for (int i = 0; i < spec->nresults; i++)
	{
		int			column = spec->results[i].column;
		VectorPart *part = &layout->parts[layout->nparts];

		if (spec->results[i].is_status || !spec->columns[column].is_output)
			continue;
		lay_out(spec, part, column);
		part->offset = layout->width;
		layout->width += Max(part->length, 1);
		layout->nparts++;
	}
	layout->desc = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(layout->desc, 1, "vector", FLOAT4ARRAYOID, -1, 0);
	/* The executor frees descriptors that are not reference-counted. */
	layout->desc->tdrefcount = 1;
	MemoryContextSwitchTo(old);
	spec->vector = layout;
	return layout;
}

/* The float4 nearest to a numeric, as a cast gives it, but without its errors of range. */
static float4
numeric_to_float4(Datum value)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
	float4		result = strtof(text, NULL);

	pfree(text);
	return result;
}

/* A number as float4. */
static float4
to_float4(Oid type, Datum value)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case INT8OID:
			return DatumGetInt64(value);
		case FLOAT4OID:
			return DatumGetFloat4(value);
		case FLOAT8OID:
			return DatumGetFloat8(value);
		case BOOLOID:
			return DatumGetBool(value) ? 1 : 0;
		default:
			return numeric_to_float4(value);
	}
}

/* Flattens an array; its length must be the declared one. */
static void
flatten_array(Spec *spec, VectorPart *part, Datum value, float4 *vector)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	Datum	   *elements;
	bool	   *nulls;
	int16		length;
	bool		byval;
	char		align;

	if (n != part->length)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("output \"%s\" of feature spec %s has %d elements, not %d",
						spec->columns[part->column].name, spec->name, n, part->length),
				 errhint("Arrays in vectors must all have the declared length.")));
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &byval, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, byval, align, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		vector[i] = nulls[i] ? get_float4_nan() : to_float4(part->type, elements[i]);
	pfree(elements);
	pfree(nulls);
}

/* Flattens one output of the working row into its part of the vector. */
static void
fill_part(LookupRun *run, VectorPart *part, float4 *vector)
{
	vector += part->offset;
	if (run->nulls[part->column])
	{
		for (int i = 0; i < Max(part->length, 1); i++)
			vector[i] = get_float4_nan();
	}
	else if (part->length > 0)
		flatten_array(run->spec, part, run->values[part->column], vector);
	else
		*vector = to_float4(part->type, run->values[part->column]);
}

/* Is an output the same for every row, so that it is converted once? */
static bool
part_is_constant(LookupRun *run, VectorPart *part)
{
	int			giver = run->spec->columns[part->column].item;

	if (run->request->overrides)
		return false;
	return giver >= 0 ? run->items[giver].is_constant :
		run->request->columns[part->column].is_single;
}

/* Notes which parts differ from row to row, for as long as the request lasts. */
static void
note_varying_parts(LookupRun *run, VectorLayout *layout)
{
	run->varying_parts = MemoryContextAlloc(run->cxt, sizeof(int) * Max(layout->nparts, 1));
	run->nvarying_parts = 0;
	for (int i = 0; i < layout->nparts; i++)
	{
		if (!part_is_constant(run, &layout->parts[i]))
			run->varying_parts[run->nvarying_parts++] = i;
	}
}

/* Moves to the next row and flattens it; vector still holds the row before. */
bool
next_vector(LookupRun *run, VectorLayout *layout, float4 *vector)
{
	bool		is_first = run->row < 0;
	MemoryContext old;

	if (!lookup_next(run))
		return false;
	/* What conversions leave behind goes with the chunk. */
	old = MemoryContextSwitchTo(run->chunk_cxt);
	if (is_first)
	{
		for (int i = 0; i < layout->nparts; i++)
			fill_part(run, &layout->parts[i], vector);
		if (run->request->nrows > 1 && !run->varying_parts)
			note_varying_parts(run, layout);
	}
	else
	{
		for (int i = 0; i < run->nvarying_parts; i++)
			fill_part(run, &layout->parts[run->varying_parts[i]], vector);
	}
	MemoryContextSwitchTo(old);
	return true;
}

/* An SQL array for a vector, to be filled with one after the other, and where its numbers are. */
ArrayType *
make_vector(VectorLayout *layout, float4 **numbers)
{
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float4) * layout->width;
	ArrayType  *array;

	*numbers = NULL;
	if (layout->width == 0)
		return construct_empty_array(FLOAT4OID);
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = FLOAT4OID;
	ARR_DIMS(array)[0] = layout->width;
	ARR_LBOUND(array)[0] = 1;
	*numbers = (float4 *) ARR_DATA_PTR(array);
	return array;
}

/* Gives the set of vectors of a lookup on the spec of this type. */
static void
give_vectors(FunctionCallInfo fcinfo, Oid type, int first, TimestampTz as_of)
{
	LookupRun  *run = lookup_open(type);
	VectorLayout *layout = vector_layout(run->spec);
	Tuplestorestate *store = begin_result(fcinfo, layout->desc);
	float4	   *numbers;
	Datum		value = PointerGetDatum(make_vector(layout, &numbers));
	bool		null = false;

	lookup_start(run, request_from_arguments(fcinfo, run->spec, first, as_of));
	while (next_vector(run, layout, numbers))
		tuplestore_putvalues(store, layout->desc, &value, &null);
	lookup_close(run);
}

/* Writes a row of a matrix: little-endian, whatever the machine. */
static void
write_row(char *to, float4 *vector, int width)
{
#ifdef WORDS_BIGENDIAN
	for (int i = 0; i < width; i++)
	{
		uint32		bits;

		memcpy(&bits, &vector[i], sizeof(bits));
		bits = pg_bswap32(bits);
		memcpy(to + i * sizeof(bits), &bits, sizeof(bits));
	}
#else
	memcpy(to, vector, sizeof(float4) * width);
#endif
}

/* Gives the matrix of a lookup on the spec of this type. */
static bytea *
give_matrix(FunctionCallInfo fcinfo, Oid type, int first, TimestampTz as_of)
{
	LookupRun  *run = lookup_open(type);
	VectorLayout *layout = vector_layout(run->spec);
	LookupRequest *request = request_from_arguments(fcinfo, run->spec, first, as_of);
	Size		row_size = sizeof(float4) * layout->width;
	float4	   *vector = palloc_array(float4, Max(layout->width, 1));
	Size		size = VARHDRSZ;
	bytea	   *matrix;

	if (row_size > 0 && request->nrows > (MaxAllocSize - VARHDRSZ) / row_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a matrix of %d rows of %d numbers is too large", request->nrows,
						layout->width),
				 errhint("Ask for fewer rows at a time.")));
	size += row_size * request->nrows;
	matrix = palloc(size);
	SET_VARSIZE(matrix, size);

	lookup_start(run, request);
	for (char *to = VARDATA(matrix); next_vector(run, layout, vector); to += row_size)
		write_row(to, vector, layout->width);
	lookup_close(run);
	return matrix;
}

/* The type of the spec that an argument names. */
static Oid
named_spec(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of the feature spec must not be null")));
	return spec_type_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
}

/* feature_vectors(spec text, VARIADIC keys "any") RETURNS SETOF float4[] */
Datum
feature_vectors(PG_FUNCTION_ARGS)
{
	give_vectors(fcinfo, named_spec(fcinfo), 1, GetCurrentStatementStartTimestamp());
	return (Datum) 0;
}

/* _lookup_vectors(spec anyelement, as_of timestamptz, VARIADIC keys "any") RETURNS SETOF float4[] */
Datum
lookup_vectors(PG_FUNCTION_ARGS)
{
	give_vectors(fcinfo, get_fn_expr_argtype(fcinfo->flinfo, 0), 2, request_time(fcinfo, 1));
	return (Datum) 0;
}

/* feature_matrix(spec text, VARIADIC keys "any") RETURNS bytea */
Datum
feature_matrix(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(give_matrix(fcinfo, named_spec(fcinfo), 1,
								  GetCurrentStatementStartTimestamp()));
}

/* _lookup_matrix(spec anyelement, as_of timestamptz, VARIADIC keys "any") RETURNS bytea */
Datum
lookup_matrix(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(give_matrix(fcinfo, get_fn_expr_argtype(fcinfo->flinfo, 0), 2,
								  request_time(fcinfo, 1)));
}

/*
 * feature_matrix_columns(spec text) RETURNS text[]
 * What the numbers of a row are, in order; elements of an array as name[1]...
 */
Datum
feature_matrix_columns(PG_FUNCTION_ARGS)
{
	Spec	   *spec = spec_for_type(named_spec(fcinfo));
	VectorLayout *layout = vector_layout(spec);
	Datum	   *names = palloc_array(Datum, Max(layout->width, 1));

	for (int i = 0; i < layout->nparts; i++)
	{
		VectorPart *part = &layout->parts[i];
		char	   *name = spec->columns[part->column].name;

		if (part->length == 0)
			names[part->offset] = CStringGetTextDatum(name);
		for (int k = 0; k < part->length; k++)
			names[part->offset + k] = CStringGetTextDatum(psprintf("%s[%d]", name, k + 1));
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(names, layout->width, TEXTOID, -1, false, TYPALIGN_INT));
}
