/*
 * functions.c
 *	  Window functions as users name them, and the SQL functions over states.
 *
 * A function is written as its name, or with what it is called with: last_n(5),
 * approx_percentile(0.9).  What a state keeps for it besides (a bound, a
 * precision) comes in params when the state is made.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "catalog/namespace.h"

#include "window/state.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(make_window_state);
PG_FUNCTION_INFO_V1(make_agg_state);
PG_FUNCTION_INFO_V1(window_value);
PG_FUNCTION_INFO_V1(agg_value);
PG_FUNCTION_INFO_V1(window_flags);
PG_FUNCTION_INFO_V1(function_info);
PG_FUNCTION_INFO_V1(window_groups);

/* Params of a function; keys that are not given keep their defaults. */
typedef struct FunctionParams
{
	double		n;				/* -1: not given */
	double		bound;
	double		percentile;		/* -1: not given */
	double		relative_error; /* 0: not given */
} FunctionParams;

#define DEFAULT_BOUND 1024
#define DEFAULT_DISTINCT_ERROR 0.05
#define DEFAULT_PERCENTILE_ERROR 0.01

static const FamilyFunction *
function_of(const FunctionCall *call)
{
	return &call->family->functions[call->function];
}

static void
refuse_function(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown window function \"%s\"", name),
			 errhint("Known functions: %s.", function_names())));
}

/* n, from params or a call; must be a whole number in range. */
static uint32
checked_n(const FamilyFunction *function, double n)
{
	if (!(n >= 1 && n <= WINDOW_MAX_N && n == (uint32) n))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 n == -1 ? errmsg("function %s needs n", function->name) :
				 errmsg("n of function %s is out of range", function->name),
				 errdetail("It is a whole number from 1 to %d.", WINDOW_MAX_N)));
	return (uint32) n;
}

static double
checked_percentile(const FamilyFunction *function, double percentile)
{
	if (!(percentile >= 0 && percentile <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 percentile == -1 ? errmsg("function %s needs percentile", function->name) :
				 errmsg("percentile of function %s is out of range", function->name),
				 errdetail("It is a number from 0 to 1.")));
	return percentile;
}

/* Reads name and argument of a function; *argument is NULL if it has none. */
static char *
split_function(const char *text, char **argument)
{
	char	   *name = pstrdup(text);
	char	   *open = strchr(name, '(');
	char	   *close = strrchr(name, ')');

	*argument = NULL;
	if (!open)
		return name;
	if (!close || close < open || close[1] != '\0')
		refuse_function(text);
	*open = *close = '\0';
	*argument = open + 1;
	return name;
}

/* Puts the argument a function is called with into params. */
static void
read_argument(const FamilyFunction *function, char *argument, FunctionParams *params)
{
	double		value;

	if (!argument)
		return;
	value = DatumGetFloat8(DirectFunctionCall1(float8in, CStringGetDatum(argument)));
	if (function->param == PARAM_N)
		params->n = checked_n(function, value);
	else if (function->param == PARAM_PERCENTILE)
		params->percentile = checked_percentile(function, value);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function %s takes no argument", function->name)));
}

/* Reads a function and the argument it is called with. */
static void
read_function(const char *text, FunctionCall *call, FunctionParams *params)
{
	char	   *argument;
	char	   *name = split_function(text, &argument);

	memset(call, 0, sizeof(*call));
	call->family = family_of_function(name, &call->function);
	if (!call->family)
		refuse_function(name);
	params->n = -1;
	params->bound = DEFAULT_BOUND;
	params->percentile = -1;
	params->relative_error = 0;
	read_argument(function_of(call), argument, params);
}

/* What the call has of its params; n and percentile must be there. */
static void
complete_call(FunctionCall *call, const FunctionParams *params)
{
	const FamilyFunction *function = function_of(call);

	if (function->param == PARAM_N)
		call->n = checked_n(function, params->n);
	else if (function->param == PARAM_PERCENTILE)
		call->fraction = checked_percentile(function, params->percentile);
}

const Family *
parse_function(const char *text, FunctionCall *call)
{
	FunctionParams params;

	read_function(text, call, &params);
	complete_call(call, &params);
	return call->family;
}

/* Where the value of a key of params goes; NULL if the function has no such key. */
static double *
param_of_key(const FamilyFunction *function, const char *key, FunctionParams *params)
{
	if (function->param == PARAM_N && strcmp(key, "n") == 0)
		return &params->n;
	if (function->param == PARAM_BOUND && strcmp(key, "bound") == 0)
		return &params->bound;
	if (function->param == PARAM_PERCENTILE && strcmp(key, "percentile") == 0)
		return &params->percentile;
	if ((function->param == PARAM_PERCENTILE || function->param == PARAM_ERROR) &&
		strcmp(key, "relative_error") == 0)
		return &params->relative_error;
	return NULL;
}

/* The keys of a function's params, for hints. */
static const char *
known_keys(const FamilyFunction *function)
{
	switch (function->param)
	{
		case PARAM_NONE:
			return "It has none.";
		case PARAM_N:
			return "It has n.";
		case PARAM_BOUND:
			return "It has bound.";
		case PARAM_ERROR:
			return "It has relative_error.";
		case PARAM_PERCENTILE:
			return "It has percentile and relative_error.";
	}
	return "";
}

/* Reads params, an object of numbers. */
static void
read_params(const FamilyFunction *function, Jsonb *object, FunctionParams *params)
{
	JsonbIterator *iterator;
	JsonbValue	value;
	JsonbIteratorToken token;
	double	   *param = NULL;

	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("params must be a json object")));
	iterator = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			char	   *key = pnstrdup(value.val.string.val, value.val.string.len);

			param = param_of_key(function, key, params);
			if (!param)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("function %s has no parameter \"%s\"", function->name, key),
						 errhint("%s", known_keys(function))));
		}
		else if (token == WJB_VALUE)
		{
			if (value.type != jbvNumeric)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("parameters of function %s must be numbers", function->name)));
			*param = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
														NumericGetDatum(value.val.numeric)));
		}
	}
}

/* Raises 22023 unless an error is in range; gives the default where none is given. */
static double
checked_error(const FamilyFunction *function, double given, double least, double most,
			  double otherwise)
{
	if (given == 0)
		return otherwise;
	if (!(given >= least && given <= most))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("relative_error of function %s is out of range", function->name),
				 errdetail("It is a number from %g to %g.", least, most)));
	return given;
}

/* The parameter of a family, from the params of one of its functions. */
static uint32
family_param(const FunctionCall *call, const FunctionParams *params)
{
	const FamilyFunction *function = function_of(call);

	switch (function->param)
	{
		case PARAM_NONE:
			/* the first of first_n, say */
			for (int i = 0; i < call->family->nfunctions; i++)
			{
				if (call->family->functions[i].param == PARAM_N)
					return 1;
			}
			return 0;
		case PARAM_N:
			return checked_n(function, params->n);
		case PARAM_BOUND:
			if (!(params->bound >= 1 && params->bound <= WINDOW_MAX_BOUND &&
				  params->bound == (uint32) params->bound))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("bound of function %s is out of range", function->name),
						 errdetail("It is a whole number from 1 to %d.", WINDOW_MAX_BOUND)));
			return (uint32) params->bound;
		case PARAM_ERROR:
			return distinct_sketch_precision(checked_error(function, params->relative_error, 0.01, 0.3,
														   DEFAULT_DISTINCT_ERROR));
		case PARAM_PERCENTILE:
			return percentile_sketch_precision(checked_error(function, params->relative_error, 0.001, 0.1,
															 DEFAULT_PERCENTILE_ERROR));
	}
	return 0;
}

/* The input type of a function; NULL for rows.  Raises 42804 if it cannot take it. */
static const ValueType *
input_type(const FunctionCall *call, bool is_null, Oid type)
{
	const ValueType *result;

	if (!is_null && !SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(type)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type with OID %u does not exist", type)));
	result = is_null ? value_type_by_code(VALUE_NONE) : value_type_by_oid(type);
	if (!result || !OidIsValid(call->family->result_type(call->function, result)))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 is_null ? errmsg("function %s needs an input", function_of(call)->name) :
				 errmsg("function %s cannot take input of type %s", function_of(call)->name,
						format_type_be(type)),
				 result || is_null ? 0 :
				 errhint("Cast the input, for example to text, or to a number.")));
	return result;
}

/*
 * The qualified name of a collation, by which a state knows it; raises an error
 * unless it exists and is deterministic.
 */
static char *
collation_name(const ValueType *type, const char *name)
{
	Oid			collation;
	HeapTuple	tuple;
	Form_pg_collation form;
	char	   *result;

	if (!type->is_collatable)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("collations are not supported by type %s", type->name)));
	collation = get_collation_oid(stringToQualifiedNameListCompat(name), false);
	if (!get_collation_isdeterministic(collation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("nondeterministic collations are not supported for window functions")));

	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	result = quote_qualified_identifier(get_namespace_name(form->collnamespace),
										NameStr(form->collname));
	ReleaseSysCache(tuple);
	if (strlen(result) > PG_UINT8_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of collation is too long")));
	return result;
}

/* Reads an argument that must not be NULL. */
static void
require(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/* Reads function, input and params, which the constructors share. */
static void
read_definition(FunctionCallInfo fcinfo, int params_arg, FunctionCall *call, FamilySpec *family)
{
	FunctionParams params;

	require(fcinfo, 0, "function");
	read_function(text_to_cstring(PG_GETARG_TEXT_PP(0)), call, &params);
	if (!PG_ARGISNULL(params_arg))
		read_params(function_of(call), PG_GETARG_JSONB_P(params_arg), &params);
	family->family = call->family;
	family->type = input_type(call, PG_ARGISNULL(1), PG_ARGISNULL(1) ? InvalidOid : PG_GETARG_OID(1));
	family->param = family_param(call, &params);
	if (function_of(call)->param == PARAM_N)
		call->n = family->param;
	if (function_of(call)->param == PARAM_PERCENTILE)
		call->fraction = params.percentile == -1 ? -1 : checked_percentile(function_of(call), params.percentile);
}

/* Makes the empty state of a definition; the collation is argument collation_arg. */
static Datum
make_state(FunctionCallInfo fcinfo, const FamilySpec *family, int collation_arg, int64 head_slack,
		   const TimeWindow *windows, int nwindows, bool is_agg)
{
	char	   *collation = NULL;
	uint32		verbatim = family->type->code == VALUE_NONE ? 0 : family->family->verbatim;

	if (!PG_ARGISNULL(collation_arg))
		collation = collation_name(family->type,
								   text_to_cstring(PG_GETARG_TEXT_PP(collation_arg)));
	PG_RETURN_POINTER(empty_state(spec_make(family, collation, verbatim, head_slack, windows,
											nwindows, is_agg)));
}

/* The windows of an array, in its order. */
static TimeWindow *
array_windows(ArrayType *array, int *nwindows)
{
	Datum	   *elements;
	bool	   *nulls;
	TimeWindow *windows;

	deconstruct_array(array, ARR_ELEMTYPE(array), sizeof(TimeWindow), false, TYPALIGN_DOUBLE,
					  &elements, &nulls, nwindows);
	windows = palloc(sizeof(TimeWindow) * Max(*nwindows, 1));
	for (int i = 0; i < *nwindows; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("windows must not contain null")));
		windows[i] = *DatumGetTimeWindowP(elements[i]);
	}
	return windows;
}

/* A head slack: zero or more, without months. */
static int64
slack_length(Interval *slack)
{
	int64		result;

	if (slack->month != 0 || slack->day < 0 || slack->time < 0 ||
		slack->day > WINDOW_MAX_DURATION / USECS_PER_DAY || slack->time > WINDOW_MAX_DURATION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("head_slack must be from 0 to 1000 years, without months")));
	result = slack->day * USECS_PER_DAY + slack->time;
	return Min(result, WINDOW_MAX_DURATION);
}

/* window_state(function, input, windows, params, head_slack, input_collation) */
Datum
make_window_state(PG_FUNCTION_ARGS)
{
	FunctionCall call;
	FamilySpec	family = {0};
	TimeWindow *windows;
	int			nwindows;

	read_definition(fcinfo, 3, &call, &family);
	require(fcinfo, 2, "windows");
	require(fcinfo, 4, "head_slack");
	windows = array_windows(PG_GETARG_ARRAYTYPE_P(2), &nwindows);
	if (nwindows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a window state needs at least one window")));
	return make_state(fcinfo, &family, 5, slack_length(PG_GETARG_INTERVAL_P(4)), windows, nwindows,
					  false);
}

/* agg_state(function, input, params, input_collation) */
Datum
make_agg_state(PG_FUNCTION_ARGS)
{
	FunctionCall call;
	FamilySpec	family = {0};

	read_definition(fcinfo, 2, &call, &family);
	return make_state(fcinfo, &family, 3, 0, NULL, 0, true);
}

/* A plan for one output, kept from call to call. */
typedef struct CachedPlan
{
	MemoryContext cxt;			/* of the plan */
	text	   *function;
	WindowOutput output;
	WindowPlan *plan;
} CachedPlan;

/* The plan for a function over a window, made when these change. */
static WindowPlan *
cached_plan(FunctionCallInfo fcinfo, text *function, const TimeWindow *window)
{
	CachedPlan *cached = fcinfo->flinfo->fn_extra;
	MemoryContext old;

	if (cached && cached->plan && VARSIZE_ANY_EXHDR(function) == VARSIZE_ANY_EXHDR(cached->function) &&
		memcmp(VARDATA_ANY(function), VARDATA_ANY(cached->function), VARSIZE_ANY_EXHDR(function)) == 0 &&
		(!window || window_compare(window, &cached->output.window) == 0))
		return cached->plan;
	if (!cached)
	{
		cached = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(CachedPlan));
		cached->cxt = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "featurestore window plan",
											ALLOCSET_SMALL_SIZES);
		fcinfo->flinfo->fn_extra = cached;
	}
	cached->plan = NULL;
	MemoryContextReset(cached->cxt);
	old = MemoryContextSwitchTo(cached->cxt);
	cached->function = (text *) PG_DETOAST_DATUM_COPY(PointerGetDatum(function));
	memset(&cached->output, 0, sizeof(cached->output));
	parse_function(text_to_cstring(function), &cached->output.call);
	if (window)
		cached->output.window = *window;
	cached->plan = window_plan(&cached->output, 1);
	MemoryContextSwitchTo(old);
	return cached->plan;
}

/* Raises 42804 unless the last argument is of the type of the value. */
static void
check_result_type(FunctionCallInfo fcinfo, const WindowPlan *plan, int argno)
{
	Oid			wanted = get_fn_expr_argtype(fcinfo->flinfo, argno);
	Oid			given = plan->outputs[0].call.result_type;

	if (wanted != given && getBaseType(wanted) != given)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function %s gives a value of type %s, not %s",
						function_of(&plan->outputs[0].call)->name, format_type_be(given),
						format_type_be(wanted)),
				 errhint("Pass NULL::%s as the last argument.", format_type_be(given))));
}

/* Evaluates one output; flags are what window_evaluate gives. */
static Datum
evaluate_one(FunctionCallInfo fcinfo, WindowPlan *plan, TimestampTz at, int result_arg, uint8 *flags)
{
	Datum		value;
	bool		isnull;
	struct varlena *state = PG_ARGISNULL(0) ? NULL : (struct varlena *) PG_GETARG_POINTER(0);

	window_evaluate(plan, state, at, &value, &isnull, flags);
	if (state && result_arg > 0)
		check_result_type(fcinfo, plan, result_arg);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

/* Arguments that are needed besides the state. */
static bool
has_nulls(FunctionCallInfo fcinfo, int first, int end)
{
	for (int i = first; i < end; i++)
	{
		if (PG_ARGISNULL(i))
			return true;
	}
	return false;
}

/* window_value(state, function, window, at, result) */
Datum
window_value(PG_FUNCTION_ARGS)
{
	uint8		flags;

	if (has_nulls(fcinfo, 1, 4))
		PG_RETURN_NULL();
	return evaluate_one(fcinfo, cached_plan(fcinfo, PG_GETARG_TEXT_PP(1), PG_GETARG_TIME_WINDOW_P(2)),
						PG_GETARG_TIMESTAMPTZ(3), 4, &flags);
}

/* agg_value(state, function, result) */
Datum
agg_value(PG_FUNCTION_ARGS)
{
	uint8		flags;

	if (has_nulls(fcinfo, 1, 2))
		PG_RETURN_NULL();
	return evaluate_one(fcinfo, cached_plan(fcinfo, PG_GETARG_TEXT_PP(1), NULL), 0, 2, &flags);
}

/* _window_flags(state, function, window, at) */
Datum
window_flags(PG_FUNCTION_ARGS)
{
	uint8		flags;

	if (has_nulls(fcinfo, 1, 4))
		PG_RETURN_NULL();
	(void) evaluate_one(fcinfo, cached_plan(fcinfo, PG_GETARG_TEXT_PP(1), PG_GETARG_TIME_WINDOW_P(2)),
						PG_GETARG_TIMESTAMPTZ(3), 0, &flags);
	fcinfo->isnull = false;
	PG_RETURN_INT32(flags);
}

/* A function as window_value takes it. */
static char *
call_text(const FunctionCall *call)
{
	const FamilyFunction *function = function_of(call);

	if (function->param == PARAM_N)
		return psprintf("%s(%u)", function->name, call->n);
	if (function->param == PARAM_PERCENTILE)
		return psprintf("%s(%s)", function->name, float8out_internal(call->fraction));
	return pstrdup(function->name);
}

/* _function_info(function, input, params) */
Datum
function_info(PG_FUNCTION_ARGS)
{
	FunctionCall call;
	FamilySpec	family = {0};
	TupleDesc	desc;
	Datum		values[6];
	bool		nulls[6] = {0};
	const FamilyFunction *function;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	read_definition(fcinfo, 2, &call, &family);
	function = function_of(&call);
	if (function->param == PARAM_PERCENTILE)
		call.fraction = checked_percentile(function, call.fraction);

	values[0] = CStringGetTextDatum(family.family->name);
	values[1] = CStringGetTextDatum(call_text(&call));
	values[2] = ObjectIdGetDatum(family.family->result_type(call.function, family.type));
	values[3] = Int32GetDatum((int32) family.param);
	nulls[4] = function->bound == NULL;
	values[4] = function->bound ? CStringGetTextDatum(function->bound) : (Datum) 0;
	values[5] = BoolGetDatum(function->is_count);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* _window_groups(windows) */
Datum
window_groups(PG_FUNCTION_ARGS)
{
	int			nwindows;
	TimeWindow *windows = array_windows(PG_GETARG_ARRAYTYPE_P(0), &nwindows);
	int		   *groups = palloc(sizeof(int) * Max(nwindows, 1));
	Datum	   *elements = palloc(sizeof(Datum) * Max(nwindows, 1));

	group_windows(windows, nwindows, groups);
	for (int i = 0; i < nwindows; i++)
		elements[i] = Int32GetDatum(groups[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, nwindows, INT4OID, sizeof(int32), true,
										  TYPALIGN_INT));
}
