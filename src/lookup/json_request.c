/*
 * json_request.c
 *	  A request given as json.
 *
 * Either an object of arguments, each a value or an array as in SQL, or a list
 * of objects, one a row.  Types are strict: a number for numbers, true or false
 * for booleans, a string for the rest.  A key that names an output gives the
 * value of that output; every argument must be given, if only as null.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "lookup/lookup.h"
#include "compat.h"

/* What is known of the request while its records are read. */
typedef struct JsonRequest
{
	Spec	   *spec;
	RequestColumn **columns;	/* by working column; NULL: not given so far */
	int			nrows;
} JsonRequest;

/* The name of a json type, for messages. */
static const char *
json_type_name(JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvString:
			return "string";
		case jbvNumeric:
			return "number";
		case jbvBool:
			return "boolean";
		default:
			return JsonContainerIsArray(value->val.binary.data) ? "array" : "object";
	}
}

/* Is a json value an array? */
static bool
is_array(JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
}

/* A json value of the wrong type. */
static void
refuse_type(SpecColumn *column, Oid type, JsonbValue *value)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is of type %s and cannot be given as a json %s", column->name,
					format_type_be(type), json_type_name(value)),
			 errhint("Numbers are given as json numbers, booleans as booleans, arrays as arrays, everything else as strings.")));
}

/* The text of a scalar of the right json type, for the type's input function. */
static char *
scalar_text(SpecColumn *column, Oid type, JsonbValue *value)
{
	char		category;
	bool		is_preferred;
	bool		is_number;

	get_type_category_preferred(getBaseType(type), &category, &is_preferred);
	is_number = category == TYPCATEGORY_NUMERIC;
	if (is_number && value->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value->val.numeric)));
	if (category == TYPCATEGORY_BOOLEAN && value->type == jbvBool)
		return pstrdup(value->val.boolean ? "true" : "false");
	if (!is_number && category != TYPCATEGORY_BOOLEAN && value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	refuse_type(column, type, value);
	return NULL;
}

static Datum array_from_json(SpecColumn *column, Oid element, JsonbContainer *array);

/* A json value as a value of a type; *is_null for a json null. */
static Datum
datum_from_json(SpecColumn *column, Oid type, int32 typmod, JsonbValue *value, bool *is_null)
{
	Oid			base = getBaseType(type);
	Oid			element = get_element_type(base);
	Oid			input;
	Oid			ioparam;
	char	   *text;

	*is_null = value->type == jbvNull;
	if (*is_null)
		return (Datum) 0;
	if (OidIsValid(element))
	{
		if (!is_array(value))
			refuse_type(column, type, value);
		return array_from_json(column, element, value->val.binary.data);
	}
	if (base == JSONBOID)
		return JsonbPGetDatum(JsonbValueToJsonb(value));
	if (base == JSONOID)
	{
		Jsonb	   *json = JsonbValueToJsonb(value);

		text = JsonbToCString(NULL, &json->root, VARSIZE(json));
	}
	else
		text = scalar_text(column, type, value);
	getTypeInputInfo(type, &input, &ioparam);
	return OidInputFunctionCall(input, text, ioparam, typmod);
}

/* A json array of one dimension as an SQL array. */
static Datum
array_from_json(SpecColumn *column, Oid element, JsonbContainer *array)
{
	ArrayBuildState *state = initArrayResult(element, CurrentMemoryContext, false);

	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(array, i);
		bool		is_null;
		Datum		datum;

		if (is_array(value))
			refuse_type(column, element, value);
		datum = datum_from_json(column, element, -1, value, &is_null);
		accumArrayResult(state, datum, is_null, element, CurrentMemoryContext);
	}
	return makeArrayResult(state, CurrentMemoryContext);
}

/* The arguments and outputs a request may give, for hints. */
static char *
known_names(Spec *spec)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < spec->ncolumns; i++)
	{
		if (i != spec->nargs)
			appendStringInfo(&names, "%s%s", i ? ", " : "", spec->columns[i].name);
	}
	return names.data;
}

/* The working column a key of a record names. */
static int
column_of_key(Spec *spec, JsonbValue *key)
{
	for (int i = 0; i < spec->ncolumns; i++)
	{
		if (i != spec->nargs && strlen(spec->columns[i].name) == key->val.string.len &&
			memcmp(spec->columns[i].name, key->val.string.val, key->val.string.len) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("feature spec %s has no \"%.*s\"", spec->name, key->val.string.len,
					key->val.string.val),
			 errhint("A record can have: %s.", known_names(spec))));
	return -1;
}

/* The request column of a working column, with room for n values. */
static RequestColumn *
column_with_room(JsonRequest *request, int column, int n)
{
	if (!request->columns[column])
	{
		RequestColumn *made = palloc0_object(RequestColumn);

		made->values = palloc0_array(Datum, Max(n, 1));
		made->nulls = palloc0_array(bool, Max(n, 1));
		made->given = palloc0_array(bool, Max(n, 1));
		request->columns[column] = made;
	}
	return request->columns[column];
}

/* Which value of a request is being read. */
typedef struct ValuePlace
{
	const char *name;
	int			at;
} ValuePlace;

/* Error context callback: what input functions raise does not say of which value. */
static void
value_error_callback(void *arg)
{
	ValuePlace *place = arg;

	errcontext("\"%s\" of record %d", place->name, place->at + 1);
}

/* Stores one value. */
static void
put_value(JsonRequest *request, int column, RequestColumn *values, int at, JsonbValue *value)
{
	SpecColumn *type = &request->spec->columns[column];
	ValuePlace	place = {.name = type->name,.at = at};
	ErrorContextCallback callback = {
		.previous = error_context_stack,.callback = value_error_callback,.arg = &place
	};

	error_context_stack = &callback;
	values->values[at] = datum_from_json(type, type->type, type->typmod, value,
										 &values->nulls[at]);
	error_context_stack = callback.previous;
	values->given[at] = true;
}

/* One record of a list. */
static void
read_record(JsonRequest *request, JsonbValue *record, int at)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	int			column = -1;

	if (record->type != jbvBinary || !JsonContainerIsObject(record->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("record %d is a json %s, not an object", at + 1, json_type_name(record)),
				 errhint("Give an object of arguments, or a list of such objects.")));
	iterator = JsonbIteratorInit(record->val.binary.data);
	JsonbIteratorNext(&iterator, &item, false);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_END_OBJECT)
	{
		if (token == WJB_KEY)
			column = column_of_key(request->spec, &item);
		else
			put_value(request, column, column_with_room(request, column, request->nrows), at,
					  &item);
	}
}

/* A list of records. */
static void
read_list(JsonRequest *request, JsonbContainer *list)
{
	request->nrows = JsonContainerSize(list);
	for (int i = 0; i < request->nrows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		read_record(request, getIthJsonbValueFromContainer(list, i), i);
	}
}

/* Is a value of a column one a row, rather than one for all? */
static bool
is_many(Spec *spec, int column, JsonbValue *value)
{
	JsonbContainer *array;

	if (!is_array(value))
		return false;
	if (!OidIsValid(get_element_type(getBaseType(spec->columns[column].type))))
		return true;
	/* For an output that is an array, only an array of arrays is many. */
	array = value->val.binary.data;
	return JsonContainerSize(array) > 0 && is_array(getIthJsonbValueFromContainer(array, 0));
}

/* One object of values and arrays. */
static void
read_object(JsonRequest *request, JsonbContainer *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	item;
	int			column = -1;

	request->nrows = -1;
	JsonbIteratorNext(&iterator, &item, false);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_END_OBJECT)
	{
		RequestColumn *values;
		int			n = 1;

		if (token == WJB_KEY)
		{
			column = column_of_key(request->spec, &item);
			continue;
		}
		if (!is_many(request->spec, column, &item))
			put_value(request, column, column_with_room(request, column, 1), 0, &item);
		else
		{
			n = JsonContainerSize(item.val.binary.data);
			request->nrows = combine_lengths(request->nrows, n);
			values = column_with_room(request, column, n);
			for (int i = 0; i < n; i++)
				put_value(request, column, values, i,
						  getIthJsonbValueFromContainer(item.val.binary.data, i));
		}
		request->columns[column]->is_single = n == 1;
	}
	if (request->nrows < 0)
		request->nrows = 1;
}

/* Every argument must be given for every row. */
static void
check_complete(JsonRequest *request)
{
	for (int i = 0; i < request->spec->nargs; i++)
	{
		RequestColumn *column = request->columns[i];
		int			n = column && column->is_single ? 1 : request->nrows;

		for (int row = 0; row < n; row++)
		{
			if (!column || !column->given[row])
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("record %d lacks \"%s\"", row + 1,
								request->spec->columns[i].name),
						 errhint("Give it as null if it is not known.")));
		}
	}
}

/*
 * Makes a request of json records.  It lives in the current memory context.
 * Raises 22023 for what is malformed, 2202E for arrays of different length, and
 * what the types' input functions raise.
 */
LookupRequest *
request_from_json(Spec *spec, Jsonb *records, TimestampTz as_of)
{
	LookupRequest *request = palloc0_object(LookupRequest);
	JsonRequest state = {.spec = spec};

	state.columns = palloc0_array(RequestColumn *, spec->ncolumns);
	if (JB_ROOT_IS_SCALAR(records))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("records must be a json object or array"),
				 errhint("Give an object of arguments, or a list of such objects.")));
	if (JB_ROOT_IS_ARRAY(records))
		read_list(&state, &records->root);
	else
		read_object(&state, &records->root);
	check_complete(&state);

	request->nrows = state.nrows;
	request->as_of = as_of;
	request->columns = palloc0_array(RequestColumn, spec->nargs);
	for (int i = 0; i < spec->nargs; i++)
	{
		if (state.columns[i])
			request->columns[i] = *state.columns[i];
	}
	for (int i = spec->nargs; i < spec->ncolumns; i++)
	{
		if (state.columns[i])
			request->overrides = state.columns;
	}
	return request;
}
