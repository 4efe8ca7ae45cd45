/*
 * json.c
 *	  Lookups that give json, with what became of each output on request.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "lookup/lookup.h"
#include "lookup/metadata.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(feature_lookup_json);

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
	LookupMetadata metadata;

	prepare_to_jsonb(run->spec, &to_jsonb);
	if (with_metadata)
		begin_metadata(run, &metadata);
	while (lookup_next(run))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);
		Jsonb	   *json = current_row_as_json(run, &to_jsonb, values, nulls);
		Datum		result;
		bool		is_null = false;

		if (with_metadata)
			json = add_metadata(run, &metadata, json);
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
