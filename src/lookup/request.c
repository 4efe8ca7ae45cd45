/*
 * request.c
 *	  SQL arguments of a lookup as a request.
 *
 * Each argument is a value of its column's type or an array of such; values
 * and one-element arrays serve all rows.  The typed functions of a spec pass
 * exact types.  For the generic ones we accept what an assignment could not
 * spoil: implicit casts, integers that fit, literals of unknown type.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "lookup/lookup.h"
#include "compat.h"

/* T: the argument if given, else the start of the statement. */
TimestampTz
request_time(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? GetCurrentStatementStartTimestamp() :
		PG_GETARG_TIMESTAMPTZ(argno);
}

/*
 * The number of rows, given the number so far (-1: nothing but single values)
 * and the length of one more array.  Raises 2202E if they do not go together.
 */
int
combine_lengths(int nrows, int length)
{
	if (length == 1)
		return nrows;
	if (nrows >= 0 && nrows != length)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays of a request differ in length"),
				 errdetail("One has %d elements, another %d.", nrows, length),
				 errhint("Arrays must have the same length, or a single element that serves all rows.")));
	return length;
}

/* The arguments a spec takes, for hints. */
static char *
argument_list(Spec *spec)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < spec->nargs; i++)
		appendStringInfo(&list, "%s%s %s", i ? ", " : "", spec->columns[i].name,
						 format_type_be(spec->columns[i].type));
	return list.data;
}

/* Finds how a value of the given type becomes one of the wanted; false if it does not. */
bool
has_coercion(Oid given, Oid wanted, Coercion *coercion)
{
	CoercionContext context = COERCION_IMPLICIT;
	CoercionPathType path;

	memset(coercion, 0, sizeof(Coercion));
	if (given == wanted || IsBinaryCoercible(given, wanted))
		return true;
	if (given == UNKNOWNOID || (is_integer_type(given) && is_integer_type(wanted)))
	{
		coercion->kind = given == UNKNOWNOID ? COERCE_LITERAL : COERCE_INTEGER;
		return true;
	}
	if (get_typtype(wanted) == TYPTYPE_DOMAIN)
		coercion->domain = wanted;
	if (given == FLOAT8OID && wanted == FLOAT4OID)
		context = COERCION_ASSIGNMENT;
	path = find_coercion_pathway(wanted, given, context, &coercion->function);
	if (path == COERCION_PATH_FUNC)
	{
		coercion->kind = COERCE_FUNCTION;
		coercion->nargs = get_func_nargs(coercion->function);
	}
	return path == COERCION_PATH_FUNC || path == COERCION_PATH_RELABELTYPE;
}

/* Finds how a value of the given type becomes that of an argument, or refuses. */
static Coercion
find_coercion(Spec *spec, int arg, Oid given)
{
	SpecColumn *column = &spec->columns[arg];
	Oid			wanted = column->type;
	Coercion	coercion;

	if (!has_coercion(given, wanted, &coercion))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("argument \"%s\" of feature spec %s is of type %s, not %s", column->name,
						spec->name, format_type_be(wanted), format_type_be(given)),
				 errhint("Cast it to %s, or to %s[] for several rows.", format_type_be(wanted),
						 format_type_be(wanted))));
	return coercion;
}

/* Checks that an integer fits the column; all have the same form as Datums. */
static Datum
coerce_integer(SpecColumn *column, Datum value)
{
	if (!integer_fits(column->type, value))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("value %lld of argument \"%s\" is out of range for type %s",
						(long long) value, column->name, format_type_be(column->type))));
	return value;
}

/* Coerces one value that is not NULL, but for the constraints of a domain. */
static Datum
coerce_to_base(SpecColumn *column, Coercion *coercion, Datum value)
{
	Oid			input;
	Oid			ioparam;

	switch (coercion->kind)
	{
		case COERCE_INTEGER:
			return coerce_integer(column, value);
		case COERCE_LITERAL:
			getTypeInputInfo(column->type, &input, &ioparam);
			return OidInputFunctionCall(input, DatumGetCString(value), ioparam, column->typmod);
		case COERCE_FUNCTION:
			if (coercion->nargs == 1)
				return OidFunctionCall1Coll(coercion->function, column->collation, value);
			if (coercion->nargs == 2)
				return OidFunctionCall2Coll(coercion->function, column->collation, value,
											Int32GetDatum(-1));
			return OidFunctionCall3Coll(coercion->function, column->collation, value,
										Int32GetDatum(-1), BoolGetDatum(false));
		default:
			return value;
	}
}

/* Coerces one value that is not NULL. */
Datum
coerce_value(SpecColumn *column, Coercion *coercion, Datum value)
{
	value = coerce_to_base(column, coercion, value);
	if (OidIsValid(coercion->domain))
		domain_check(value, false, coercion->domain, NULL, CurrentMemoryContext);
	return value;
}

/* Takes an argument that is one value. */
static void
take_value(Spec *spec, int arg, RequestColumn *column, Oid given, NullableDatum *argument)
{
	Coercion	coercion = find_coercion(spec, arg, given);

	column->is_single = true;
	column->values = palloc_object(Datum);
	column->nulls = palloc_object(bool);
	column->nulls[0] = argument->isnull;
	column->values[0] = argument->isnull ? (Datum) 0 :
		coerce_value(&spec->columns[arg], &coercion, argument->value);
}

/* Takes an argument that is an array; returns the new number of rows. */
static int
take_array(Spec *spec, int arg, RequestColumn *column, Oid element, NullableDatum *argument,
		   int nrows)
{
	Coercion	coercion = find_coercion(spec, arg, element);
	ArrayType  *array;
	int			length;
	SpecColumn *wanted = &spec->columns[arg];
	int16		typlen = wanted->typlen;
	bool		typbyval = wanted->typbyval;
	char		typalign = wanted->typalign;

	if (argument->isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("array argument \"%s\" of feature spec %s must not be null",
						spec->columns[arg].name, spec->name),
				 errhint("Pass an empty array for no rows.")));
	array = DatumGetArrayTypeP(argument->value);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("array argument \"%s\" of feature spec %s has %d dimensions",
						spec->columns[arg].name, spec->name, ARR_NDIM(array)),
				 errhint("Pass an array of one dimension, one element a row.")));
	if (element != wanted->type)
		get_typlenbyvalalign(element, &typlen, &typbyval, &typalign);
	deconstruct_array(array, element, typlen, typbyval, typalign, &column->values,
					  &column->nulls, &length);
	column->is_single = length == 1;
	if (coercion.kind == COERCE_NOTHING && !OidIsValid(coercion.domain))
		return combine_lengths(nrows, length);
	for (int i = 0; i < length; i++)
	{
		if (!column->nulls[i])
			column->values[i] = coerce_value(&spec->columns[arg], &coercion, column->values[i]);
	}
	return combine_lengths(nrows, length);
}

/* The type of an array's elements, or 0 if it is not an array to the spec's argument. */
static Oid
element_type(SpecColumn *column, Oid given)
{
	if (given == column->type)
		return InvalidOid;
	if (OidIsValid(column->array_type) && given == column->array_type)
		return column->type;
	return get_element_type(given);
}

/*
 * Makes a request of n values of these types, one for each argument of the
 * spec.  It lives in the current memory context and may point into the values.
 */
LookupRequest *
request_from_values(Spec *spec, int n, Oid *types, NullableDatum *values, TimestampTz as_of)
{
	LookupRequest *request = palloc0_object(LookupRequest);
	int			nrows = -1;

	if (n != spec->nargs)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("feature spec %s takes %d arguments, not %d", spec->name, spec->nargs, n),
				 errhint("Its arguments are: %s.", argument_list(spec))));

	request->as_of = as_of;
	request->columns = palloc0_array(RequestColumn, spec->nargs);
	for (int i = 0; i < spec->nargs; i++)
	{
		Oid			element = element_type(&spec->columns[i], types[i]);

		if (OidIsValid(element))
			nrows = take_array(spec, i, &request->columns[i], element, &values[i], nrows);
		else
			take_value(spec, i, &request->columns[i], types[i], &values[i]);
	}
	request->nrows = nrows < 0 ? 1 : nrows;
	return request;
}

/*
 * Makes a request that stands for whatever values these places will hold when
 * it runs: NULL unless each is one value that needs no conversion.
 */
LookupRequest *
request_in_place(Spec *spec, int n, Oid *types, NullableDatum *values)
{
	LookupRequest *request;

	if (n != spec->nargs)
		return NULL;
	for (int i = 0; i < n; i++)
	{
		if (types[i] != spec->columns[i].type)
			return NULL;
	}
	request = palloc0_object(LookupRequest);
	request->nrows = 1;
	request->columns = palloc0_array(RequestColumn, n);
	for (int i = 0; i < n; i++)
	{
		request->columns[i].values = &values[i].value;
		request->columns[i].nulls = &values[i].isnull;
		request->columns[i].is_single = true;
	}
	return request;
}

/* Makes a request of a function's arguments from number first on. */
LookupRequest *
request_from_arguments(FunctionCallInfo fcinfo, Spec *spec, int first, TimestampTz as_of)
{
	int			n = PG_NARGS() - first;
	Oid			types[FUNC_MAX_ARGS];

	if (get_fn_expr_variadic(fcinfo->flinfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("arguments of a lookup cannot be passed as a VARIADIC array"),
				 errhint("Pass each argument by itself.")));
	for (int i = 0; i < n; i++)
		types[i] = get_fn_expr_argtype(fcinfo->flinfo, first + i);
	return request_from_values(spec, n, types, &fcinfo->args[first], as_of);
}
