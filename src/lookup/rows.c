/*
 * rows.c
 *	  Lookups that give typed rows.
 *
 * Rows go straight from the working row into the tuplestore that the executor
 * reads; it spills when they outgrow work_mem.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "lookup/lookup.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(feature_lookup);
PG_FUNCTION_INFO_V1(lookup_rows);

/* A status as text, made once a run. */
Datum
status_text(LookupRun *run, LookupStatus status)
{
	if (!run->status_texts)
		run->status_texts = MemoryContextAllocZero(run->run_cxt,
												   sizeof(Datum) * NUMBER_OF_STATUSES);
	if (!run->status_texts[status])
	{
		MemoryContext old = MemoryContextSwitchTo(run->run_cxt);

		run->status_texts[status] = CStringGetTextDatum(status_name(status));
		MemoryContextSwitchTo(old);
	}
	return run->status_texts[status];
}

/* The result row that belongs to the working row. */
void
row_to_result(LookupRun *run, Datum *values, bool *nulls)
{
	Spec	   *spec = run->spec;

	for (int i = 0; i < spec->nresults; i++)
	{
		int			column = spec->results[i].column;

		if (spec->results[i].is_status)
		{
			values[i] = status_text(run, row_status(run, column));
			nulls[i] = false;
		}
		else
		{
			values[i] = run->values[column];
			nulls[i] = run->nulls[column];
		}
	}
}

/* Makes the tuplestore of a set-returning function. */
Tuplestorestate *
begin_result(FunctionCallInfo fcinfo, TupleDesc desc)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;

	if (!rsinfo || !IsA(rsinfo, ReturnSetInfo) || !(rsinfo->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a lookup was called in a context that cannot accept a set"),
				 errhint("Call it in FROM.")));
	old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = tuplestore_begin_heap((rsinfo->allowedModes & SFRM_Materialize_Random) != 0,
											  false, work_mem);
	rsinfo->setDesc = desc;
	MemoryContextSwitchTo(old);
	return rsinfo->setResult;
}

/* Looks up rows of the spec in argument 0; requested are arguments from first on. */
static void
give_rows(FunctionCallInfo fcinfo, int first, TimestampTz as_of)
{
	LookupRun  *run = lookup_open(get_fn_expr_argtype(fcinfo->flinfo, 0));
	Spec	   *spec = run->spec;
	Tuplestorestate *store = begin_result(fcinfo, spec->result_desc);
	Datum	   *values = palloc_array(Datum, spec->nresults);
	bool	   *nulls = palloc_array(bool, spec->nresults);

	lookup_start(run, request_from_arguments(fcinfo, spec, first, as_of));
	while (lookup_next(run))
	{
		row_to_result(run, values, nulls);
		tuplestore_putvalues(store, spec->result_desc, values, nulls);
	}
	lookup_close(run);
}

/*
 * feature_lookup(spec anyelement, VARIADIC keys "any") RETURNS SETOF anyelement
 * One row a request row, at the start of the statement.
 */
Datum
feature_lookup(PG_FUNCTION_ARGS)
{
	give_rows(fcinfo, 1, GetCurrentStatementStartTimestamp());
	return (Datum) 0;
}

/*
 * _lookup_rows(spec anyelement, as_of timestamptz, VARIADIC keys "any")
 * RETURNS SETOF anyelement: the same at a given time.
 */
Datum
lookup_rows(PG_FUNCTION_ARGS)
{
	give_rows(fcinfo, 2, request_time(fcinfo, 1));
	return (Datum) 0;
}
