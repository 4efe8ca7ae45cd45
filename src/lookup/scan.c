/*
 * scan.c
 *	  Lookups in FROM as scans, for the executor.
 *
 * The scan opens its run when the executor starts and keeps it until the end.
 * A request is made of the arguments when the first row is asked for, and again
 * when the scan is restarted with other parameters; tables, indexes and
 * expressions stay open all the while, and all requests read the same snapshot
 * at the same T.  What a request takes is in a memory context that the next one
 * resets.
 *
 * The scan's slot has the columns that the query refers to; the row as a whole
 * is one of them if the query refers to that.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "lookup/scan.h"
#include "compat.h"

/* Checks the right to call the function that the scan stands for, as a function scan would. */
static void
check_function(Oid function)
{
	AclResult	result = FunctionAclcheckCompat(function, GetUserId());

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
	InvokeFunctionExecuteHook(function);
}

/* Is this a column of the spec, of the type it had when the query was planned? */
static bool
column_is_as_planned(Spec *spec, Var *var)
{
	if (var->varattno == InvalidAttrNumber)
		return var->vartype == spec->type;
	return var->varattno <= spec->nresults &&
		TupleDescAttr(spec->result_desc, var->varattno - 1)->atttypid == var->vartype;
}

/* Finds out where a column of the slot that the lookup gives comes from. */
static int
map_column(LookupScan *scan, Var *var)
{
	Spec	   *spec = scan->run->spec;

	if (scan->layout)
		return VECTOR_COLUMN;
	if (!column_is_as_planned(spec, var))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("feature spec %s was changed after the query was planned", spec->name),
				 errhint("Try again.")));
	if (var->varattno != InvalidAttrNumber)
		return spec->results[var->varattno - 1].is_status ? STATUS_TEXT :
			spec->results[var->varattno - 1].column;
	if (!scan->row_values)
	{
		scan->row_values = palloc_array(Datum, spec->nresults);
		scan->row_nulls = palloc_array(bool, spec->nresults);
	}
	return WHOLE_ROW;
}

/* The results that the query refers to; false if it refers to the row as a whole. */
static bool
referenced_results(List *tlist, List *outer_columns, Bitmapset **results)
{
	ListCell   *lc;
	ListCell   *lo;

	*results = NULL;
	forboth(lc, tlist, lo, outer_columns)
	{
		Var		   *var = (Var *) ((TargetEntry *) lfirst(lc))->expr;

		if (lfirst_int(lo) > 0)
			continue;
		if (var->varattno == InvalidAttrNumber)
			return false;
		*results = bms_add_member(*results, var->varattno - 1);
	}
	return true;
}

/* Opens the run, and finds out where what it gives goes. */
static void
open_run(LookupScan *scan, List *tlist, List *outer_columns)
{
	Bitmapset  *results;
	ListCell   *lc;
	ListCell   *lo;

	if (scan->kind == SCAN_VECTORS_AT)
	{
		scan->run = lookup_open(scan->type);
		scan->layout = vector_layout(scan->run->spec);
		scan->vector = PointerGetDatum(make_vector(scan->layout, &scan->numbers));
	}
	else if (referenced_results(tlist, outer_columns, &results))
		scan->run = lookup_open_for(scan->type, results);
	else
		scan->run = lookup_open(scan->type);

	scan->ncolumns = list_length(tlist);
	scan->results = palloc_array(int, scan->ncolumns + 1);
	scan->columns = palloc_array(int, scan->ncolumns + 1);
	forboth(lc, tlist, lo, outer_columns)
	{
		Var		   *var = (Var *) ((TargetEntry *) lfirst(lc))->expr;
		int			i = foreach_current_index(lc);

		scan->results[i] = var->varattno - 1;
		scan->columns[i] = lfirst_int(lo) > 0 ? OUTER_COLUMN : map_column(scan, var);
	}
}

/* Gives an argument its value if this is known from the start: a constant, or a parameter of the statement. */
static bool
take_known_value(Expr *expr, ParamListInfo params, NullableDatum *value)
{
	ParamExternData workspace;
	ParamExternData *given;
	Param	   *param = (Param *) expr;

	if (IsA(expr, Const))
	{
		value->value = ((Const *) expr)->constvalue;
		value->isnull = ((Const *) expr)->constisnull;
		return true;
	}
	if (!IsA(expr, Param) || param->paramkind != PARAM_EXTERN || !params ||
		param->paramid < 1 || param->paramid > params->numParams)
		return false;
	given = params->paramFetch ? params->paramFetch(params, param->paramid, false, &workspace) :
		&params->params[param->paramid - 1];
	/* what is wrong about it has an error of its own */
	if (given->ptype != param->paramtype)
		return false;
	value->value = given->value;
	value->isnull = given->isnull;
	return true;
}

/* Makes what gives the arguments. */
static void
begin_arguments(LookupScan *scan, List *exprs, ParamListInfo params)
{
	ListCell   *lc;

	scan->nargs = list_length(exprs);
	scan->first = FIRST_COLUMN_ARGUMENT(scan->kind) - 1;
	scan->args = palloc0_array(ExprState *, scan->nargs);
	scan->types = palloc_array(Oid, scan->nargs);
	scan->values = palloc_array(NullableDatum, scan->nargs);
	foreach(lc, exprs)
	{
		int			i = foreach_current_index(lc);

		scan->types[i] = exprType(lfirst(lc));
		if (!take_known_value(lfirst(lc), params, &scan->values[i]))
			scan->args[i] = ExecInitExpr(lfirst(lc), &scan->css.ss.ps);
	}
}

/* Opens a scan: its arguments, its run, the columns of its slot. */
void
scan_open(LookupScan *scan, EState *estate)
{
	CustomScan *plan = (CustomScan *) scan->css.ss.ps.plan;
	List	   *call = linitial(plan->custom_private);

	check_function(lsecond_oid(call));
	scan->type = linitial_oid(call);
	scan->kind = (LookupScanKind) lthird_oid(call);
	begin_arguments(scan, plan->custom_exprs, estate->es_param_list_info);
	open_run(scan, plan->custom_scan_tlist, lsecond(plan->custom_private));
}

/* Readies the scan for more than one request: what each takes has a memory context. */
void
scan_expect_requests(LookupScan *scan)
{
	scan->run->is_repeated = true;
	scan->cxt = AllocSetContextCreate(scan->css.ss.ps.state->es_query_cxt,
									  "featurestore lookup scan", ALLOCSET_DEFAULT_SIZES);
}

static void
begin_lookup_scan(CustomScanState *node, EState *estate, int eflags)
{
	LookupScan *scan = (LookupScan *) node;

	scan_open(scan, estate);
	scan->in_place = request_in_place(scan->run->spec, scan->nargs - scan->first,
									  scan->types + scan->first, scan->values + scan->first);
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	scan->cxt = CurrentMemoryContext;
	if ((eflags & EXEC_FLAG_REWIND) || !bms_is_empty(node->ss.ps.plan->allParam))
		scan_expect_requests(scan);
	lookup_begin(scan->run, estate->es_snapshot);
}

/* Evaluates the arguments in the current memory context. */
static void
evaluate_arguments(LookupScan *scan)
{
	ExprContext *econtext = scan->css.ss.ps.ps_ExprContext;

	for (int i = 0; i < scan->nargs; i++)
	{
		NullableDatum *value = &scan->values[i];

		if (scan->args[i])
			value->value = ExecEvalExpr(scan->args[i], econtext, &value->isnull);
	}
}

/* T: the first argument of some functions, else the start of the statement that asked first. */
TimestampTz
scan_time(LookupScan *scan)
{
	if (scan->first > 0 && !scan->values[0].isnull)
		return DatumGetTimestampTz(scan->values[0].value);
	if (!scan->has_time)
	{
		scan->time = GetCurrentStatementStartTimestamp();
		scan->has_time = true;
	}
	return scan->time;
}

/* Starts a request, in whose memory context we are. */
void
scan_request(LookupScan *scan, LookupRequest *request)
{
	LookupRun  *run = scan->run;

	lookup_stats_start(run);
	if (run->owns_snapshot)
		PushActiveSnapshot(run->snapshot);
	lookup_request(run, request);
	if (run->owns_snapshot)
		PopActiveSnapshot();
	scan->is_requested = true;
}

/* Makes a request of the arguments. */
static void
request_arguments(LookupScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);
	LookupRequest *request = scan->in_place;

	evaluate_arguments(scan);
	if (request)
		request->as_of = scan_time(scan);
	else
		request = request_from_values(scan->run->spec, scan->nargs - scan->first,
									  scan->types + scan->first, scan->values + scan->first,
									  scan_time(scan));
	scan_request(scan, request);
	MemoryContextSwitchTo(old);
}

/* A request is over. */
void
scan_end_request(LookupScan *scan)
{
	if (!scan->is_requested)
		return;
	lookup_stats_end(scan->run);
	if (scan->run->is_repeated)
		MemoryContextReset(scan->cxt);
	scan->is_requested = false;
}

/* Moves to the next row of the request; it is counted as soon as it has been probed for. */
bool
scan_next(LookupScan *scan)
{
	LookupRun  *run = scan->run;
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);
	bool		found;

	if (run->owns_snapshot)
		PushActiveSnapshot(run->snapshot);
	found = scan->layout ? next_vector(run, scan->layout, scan->numbers) : lookup_next(run);
	if (run->owns_snapshot)
		PopActiveSnapshot();
	if (run->is_tracked && lookup_is_probed(run))
		lookup_stats_end(run);
	MemoryContextSwitchTo(old);
	return found;
}

/* A row as one value, in the memory of the row. */
static Datum
form_row(LookupScan *scan, Datum *values, bool *nulls)
{
	TupleDesc	desc = scan->run->spec->result_desc;
	MemoryContext old =
		MemoryContextSwitchTo(scan->css.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	Datum		row = heap_copy_tuple_as_datum(heap_form_tuple(desc, values, nulls), desc);

	MemoryContextSwitchTo(old);
	return row;
}

/* Fills in those columns of the slot that are not plain columns of the working row. */
static void
fill_special_column(LookupScan *scan, TupleTableSlot *slot, int i)
{
	LookupRun  *run = scan->run;

	slot->tts_isnull[i] = false;
	if (scan->columns[i] == STATUS_TEXT)
		slot->tts_values[i] =
			status_text(run, row_status(run, run->spec->results[scan->results[i]].column));
	else if (scan->columns[i] == VECTOR_COLUMN)
		slot->tts_values[i] = scan->vector;
	else
	{
		row_to_result(run, scan->row_values, scan->row_nulls);
		slot->tts_values[i] = form_row(scan, scan->row_values, scan->row_nulls);
	}
}

/* Fills the columns of the slot that the lookup gives, from its current row. */
void
scan_fill_slot(LookupScan *scan, TupleTableSlot *slot)
{
	LookupRun  *run = scan->run;

	for (int i = 0; i < scan->ncolumns; i++)
	{
		int			column = scan->columns[i];

		if (column >= 0)
		{
			slot->tts_values[i] = run->values[column];
			slot->tts_isnull[i] = run->nulls[column];
		}
		else if (column != OUTER_COLUMN)
			fill_special_column(scan, slot, i);
	}
}

/* ExecScan callback: the next row. */
static TupleTableSlot *
next_row(ScanState *node)
{
	LookupScan *scan = (LookupScan *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

	ExecClearTuple(slot);
	if (!scan->is_requested)
		request_arguments(scan);
	if (!scan_next(scan))
		return slot;
	scan_fill_slot(scan, slot);
	return ExecStoreVirtualTuple(slot);
}

/* Fills the slot with a row that the query has kept. */
static void
fill_slot_again(LookupScan *scan, TupleTableSlot *slot, TupleTableSlot *row)
{
	for (int i = 0; i < scan->ncolumns; i++)
	{
		int			result = scan->results[i];

		slot->tts_isnull[i] = result >= 0 && row->tts_isnull[result];
		slot->tts_values[i] = result >= 0 ? row->tts_values[result] :
			form_row(scan, row->tts_values, row->tts_isnull);
	}
	ExecStoreVirtualTuple(slot);
}

/*
 * ExecScan callback: the row to check again, when a row that the query locks
 * was updated meanwhile.  As with a function scan it is the one that was joined
 * to that row; each check asks for it until there is none.
 */
static bool
recheck_row(ScanState *node, TupleTableSlot *slot)
{
	LookupScan *scan = (LookupScan *) node;
	EState	   *estate = node->ps.state;
	EPQState   *epq = estate->es_epq_active;
	Index		rti = bms_singleton_member(((CustomScan *) node->ps.plan)->custom_relids);

	if (!epq->relsubs_rowmark[rti - 1])
		return !TupIsNull(next_row(node));
	ExecClearTuple(slot);
	if (epq->relsubs_done[rti - 1])
		return false;
	epq->relsubs_done[rti - 1] = true;
	if (!scan->row_slot)
		scan->row_slot = ExecInitExtraTupleSlot(estate, scan->run->spec->result_desc,
												&TTSOpsVirtual);
	if (!EvalPlanQualFetchRowMark(epq, rti, scan->row_slot))
		return false;
	fill_slot_again(scan, slot, scan->row_slot);
	return true;
}

static TupleTableSlot *
exec_lookup_scan(CustomScanState *node)
{
	return ExecScan(&node->ss, next_row, recheck_row);
}

/*
 * Restarts the scan: at the first row, if the parameters are the same and it is
 * still there.  That it may happen the executor does not always say in advance.
 */
static void
rescan_lookup_scan(CustomScanState *node)
{
	LookupScan *scan = (LookupScan *) node;

	ExecScanReScan(&node->ss);
	if (!scan->is_requested || (node->ss.ps.chgParam == NULL && lookup_rewind(scan->run)))
		return;
	scan_end_request(scan);
	if (!scan->run->is_repeated)
		scan_expect_requests(scan);
}

static void
end_lookup_scan(CustomScanState *node)
{
	LookupScan *scan = (LookupScan *) node;

	lookup_close(scan->run);
}

/* Describes the lookup of one table.  What parallel workers did is known to them only. */
static void
explain_item(ItemRun *irun, bool has_workers, ExplainState *es)
{
	int64		probes = irun->past_probes + irun->nprobes;
	int64		found = irun->past_found + irun->nfound;
	char	   *table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(irun->rel)),
												   RelationGetRelationName(irun->rel));

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		char	   *path = psprintf("%s by %s: %s", table, path_name(irun), path_reason(irun));

		if (es->analyze)
			path = psprintf("%s (%sprobes=" INT64_FORMAT " found=" INT64_FORMAT ")", path,
							has_workers ? "leader: " : "", probes, found);
		ExplainPropertyText("Lookup", path, es);
		return;
	}
	ExplainOpenGroup("Lookup", NULL, true, es);
	ExplainPropertyText("Table", table, es);
	ExplainPropertyText("Path", path_name(irun), es);
	ExplainPropertyText("Reason", path_reason(irun), es);
	if (es->analyze)
	{
		ExplainPropertyInteger(has_workers ? "Leader Probes" : "Probes", NULL, probes, es);
		ExplainPropertyInteger(has_workers ? "Leader Found" : "Found", NULL, found, es);
	}
	ExplainCloseGroup("Lookup", NULL, true, es);
}

/* EXPLAIN: the spec, the tables, how each is reached, and what came of it. */
void
scan_explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	LookupRun  *run = ((LookupScan *) node)->run;

	ExplainPropertyText("Feature Spec", run->spec->name, es);
	ExplainOpenGroup("Lookups", "Lookups", false, es);
	for (int i = 0; i < run->spec->nitems; i++)
	{
		if (run->items[i].rel)
			explain_item(&run->items[i], node->ss.ps.worker_instrument != NULL, es);
	}
	ExplainCloseGroup("Lookups", "Lookups", false, es);
}

static const CustomExecMethods exec_methods = {
	.CustomName = "FeatureLookup",
	.BeginCustomScan = begin_lookup_scan,
	.ExecCustomScan = exec_lookup_scan,
	.EndCustomScan = end_lookup_scan,
	.ReScanCustomScan = rescan_lookup_scan,
	.ExplainCustomScan = scan_explain,
};

/* CreateCustomScanState callback. */
Node *
create_lookup_scan_state(CustomScan *plan)
{
	LookupScan *scan = palloc0_object(LookupScan);

	NodeSetTag(scan, T_CustomScanState);
	scan->css.methods = &exec_methods;
	return (Node *) scan;
}
