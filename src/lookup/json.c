/*
 * json.c
 *	  Lookups that give json, with what became of each output on request.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "lookup/lookup.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(feature_lookup_json);

/* Adds a key to the object being built. */
static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = (char *) key;
	value.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
}

/* Adds a key with a string; NULL is a json null. */
static void
push_string(JsonbParseState **state, const char *key, const char *string)
{
	JsonbValue	value = {.type = jbvNull};

	push_key(state, key);
	if (string)
	{
		value.type = jbvString;
		value.val.string.val = (char *) string;
		value.val.string.len = strlen(string);
	}
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* Adds a key with a time, in the form of json. */
static void
push_time(JsonbParseState **state, const char *key, TimestampTz time)
{
	char	   *text = palloc(MAXDATELEN + 1);

	push_string(state, key, JsonEncodeDateTime(text, TimestampTzGetDatum(time), TIMESTAMPTZOID,
											   NULL));
}

/* Adds a key with a boolean. */
static void
push_bool(JsonbParseState **state, const char *key, bool boolean)
{
	JsonbValue	value = {.type = jbvBool};

	push_key(state, key);
	value.val.boolean = boolean;
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* Adds what became of each output of the current row. */
static void
push_statuses(JsonbParseState **state, LookupRun *run)
{
	push_key(state, "status");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < run->spec->nresults; i++)
	{
		int			column = run->spec->results[i].column;
		ProbeResult *result = row_result(run, column);

		if (run->spec->results[i].is_status || !run->spec->columns[column].is_output)
			continue;
		push_key(state, run->spec->columns[column].name);
		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		push_string(state, "status", status_name(row_status(run, column)));
		push_bool(state, "defaulted", row_is_defaulted(run, column));
		if (run->spec->columns[column].is_window)
			push_bool(state, "approximate", row_is_approximate(run, column));
		if (result && result->has_time)
			push_time(state, "event_time", result->event_time);
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* Adds how far each table is; null for those that are not published. */
static void
push_tables(JsonbParseState **state, LookupRun *run)
{
	push_key(state, "tables");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < run->spec->nitems; i++)
	{
		ItemRun    *irun = &run->items[i];

		if (!irun->rel)
			continue;
		push_key(state,
				 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(irun->rel)),
											RelationGetRelationName(irun->rel)));
		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		if (irun->has_position)
			push_time(state, "applied_to", irun->applied_to);
		else
			push_string(state, "applied_to", NULL);
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* The current row's values with everything that is known about them. */
static Jsonb *
add_metadata(LookupRun *run, Jsonb *values)
{
	JsonbParseState *state = NULL;
	JsonbValue	value = {.type = jbvBinary};

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_string(&state, "spec", run->spec->name);
	push_key(&state, "values");
	value.val.binary.data = &values->root;
	value.val.binary.len = VARSIZE(values) - VARHDRSZ;
	pushJsonbValue(&state, WJB_VALUE, &value);
	push_statuses(&state, run);
	push_tables(&state, run);
	push_time(&state, "as_of", run->request->as_of);
	push_key(&state, "version");
	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(run->spec->version);
	pushJsonbValue(&state, WJB_VALUE, &value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Sets up to_jsonb for rows of the spec. */
static void
prepare_to_jsonb(Spec *spec, FmgrInfo *function)
{
	Const	   *row = makeNullConst(spec->type, -1, InvalidOid);

	fmgr_info(F_TO_JSONB, function);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(row), InvalidOid,
											 InvalidOid, COERCE_EXPLICIT_CALL), function);
}

/* The current row as json. */
static Jsonb *
current_row_as_json(LookupRun *run, FmgrInfo *to_jsonb, Datum *values, bool *nulls)
{
	HeapTuple	tuple;

	row_to_result(run, values, nulls);
	tuple = heap_form_tuple(run->spec->result_desc, values, nulls);
	return DatumGetJsonbP(FunctionCall1(to_jsonb, HeapTupleGetDatum(tuple)));
}

/* Gives all rows of a lookup as json. */
static void
give_json(LookupRun *run, bool with_metadata, Tuplestorestate *store, TupleDesc desc)
{
	Datum	   *values = palloc_array(Datum, run->spec->nresults);
	bool	   *nulls = palloc_array(bool, run->spec->nresults);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "featurestore json row",
												  ALLOCSET_DEFAULT_SIZES);
	FmgrInfo	to_jsonb;

	prepare_to_jsonb(run->spec, &to_jsonb);
	while (lookup_next(run))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);
		Jsonb	   *json = current_row_as_json(run, &to_jsonb, values, nulls);
		Datum		result;
		bool		is_null = false;

		if (with_metadata)
			json = add_metadata(run, json);
		result = JsonbPGetDatum(json);
		tuplestore_putvalues(store, desc, &result, &is_null);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_cxt);
	}
}

/*
 * feature_lookup_json(spec text, records jsonb, as_of timestamptz,
 *					   metadata boolean) RETURNS SETOF jsonb
 */
Datum
feature_lookup_json(PG_FUNCTION_ARGS)
{
	TupleDesc	desc = CreateTemplateTupleDesc(1);
	Tuplestorestate *store;
	LookupRun  *run;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("spec and records of a lookup must not be null")));
	TupleDescInitEntry(desc, 1, "feature_lookup_json", JSONBOID, -1, 0);
	run = lookup_open(spec_type_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0))));
	run->with_positions = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	store = begin_result(fcinfo, desc);
	lookup_start(run, request_from_json(run->spec, PG_GETARG_JSONB_P(1),
										request_time(fcinfo, 2)));
	give_json(run, run->with_positions, store, desc);
	lookup_close(run);
	return (Datum) 0;
}
