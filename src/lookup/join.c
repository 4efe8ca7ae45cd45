/*
 * join.c
 *	  Joins of requests with a lookup, for the executor.
 *
 * Rows of the plan below are read in batches and kept, as far as columns of
 * them are referred to, with what the arguments of the lookup are for them.
 * Then all are looked up as one request, and given out with what was found.
 * The first batch is small, for a query may want a few rows only; the next ones
 * grow as the chunks of a lookup do, with which they coincide.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "lookup/scan.h"
#include "compat.h"

#define FIRST_BATCH_ROWS 64

/* A column of the slot that comes from the plan below. */
typedef struct OuterColumn
{
	int			position;		/* in the slot */
	AttrNumber	attno;			/* in rows of the plan below */
	bool		typbyval;
	int16		typlen;
} OuterColumn;

typedef struct LookupJoin
{
	LookupScan	scan;
	PlanState  *outer;
	bool		at_end;			/* of its rows */
	int			ncolumns;
	OuterColumn *columns;
	AttrNumber	last_attno;
	bool	   *varies;			/* by argument */

	/* the batch: ncolumns values for each row, and the request */
	Datum	   *values;
	bool	   *nulls;
	LookupRequest *request;
} LookupJoin;

/* Finds out which columns come from the plan below. */
static void
map_outer_columns(LookupJoin *join, List *outer_columns)
{
	TupleDesc	desc = join->scan.css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	ListCell   *lc;

	join->columns = palloc_array(OuterColumn, list_length(outer_columns) + 1);
	foreach(lc, outer_columns)
	{
		int			position = foreach_current_index(lc);
		Form_pg_attribute attr = TupleDescAttr(desc, position);

		if (lfirst_int(lc) == 0)
			continue;
		join->columns[join->ncolumns++] = (OuterColumn) {
			.position = position,.attno = lfirst_int(lc),
			.typbyval = attr->attbyval,.typlen = attr->attlen
		};
		join->last_attno = Max(join->last_attno, lfirst_int(lc));
	}
}

static void
begin_lookup_join(CustomScanState *node, EState *estate, int eflags)
{
	LookupJoin *join = (LookupJoin *) node;
	LookupScan *scan = &join->scan;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	ListCell   *lc;

	scan_open(scan, estate);
	join->outer = ExecInitNode(linitial(plan->custom_plans), estate, eflags);
	node->custom_ps = list_make1(join->outer);
	map_outer_columns(join, lsecond(plan->custom_private));
	join->varies = palloc_array(bool, scan->nargs);
	foreach(lc, plan->custom_exprs)
		join->varies[foreach_current_index(lc)] = contain_var_clause(lfirst(lc));
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	scan_expect_requests(scan);
	scan->run->chunk_limit = FIRST_BATCH_ROWS;
	lookup_begin(scan->run, estate->es_snapshot);
}

/* Evaluates those arguments that vary from row to row, or the others. */
static void
evaluate_arguments(LookupJoin *join, bool varying)
{
	LookupScan *scan = &join->scan;

	for (int i = 0; i < scan->nargs; i++)
	{
		if (scan->args[i] && join->varies[i] == varying)
			scan->values[i].value = ExecEvalExpr(scan->args[i], scan->css.ss.ps.ps_ExprContext,
												 &scan->values[i].isnull);
	}
}

/*
 * How many rows the next batch may have: as many as a chunk, or some more if
 * chunks have become tiny, but their places take half of its memory at most.
 */
static int
batch_limit(LookupJoin *join)
{
	Size		places = join->ncolumns + join->scan.nargs;
	Size		fit = (Size) work_mem * 1024 / 4 / (places * (sizeof(Datum) + sizeof(bool)));

	return Min(Max(join->scan.run->chunk_limit, FIRST_BATCH_ROWS), Max(fit, 1));
}

/* Makes room for a batch of so many rows. */
static void
begin_batch(LookupJoin *join, int limit)
{
	LookupScan *scan = &join->scan;
	int			nargs = scan->nargs - scan->first;
	LookupRequest *request = palloc0_object(LookupRequest);

	join->values = palloc_array(Datum, (Size) limit * join->ncolumns);
	join->nulls = palloc_array(bool, (Size) limit * join->ncolumns);
	request->columns = palloc0_array(RequestColumn, nargs);
	for (int i = 0; i < nargs; i++)
	{
		RequestColumn *column = &request->columns[i];
		int			n = join->varies[scan->first + i] ? limit : 1;

		column->is_single = !join->varies[scan->first + i];
		column->values = palloc_array(Datum, n);
		column->nulls = palloc_array(bool, n);
	}
	join->request = request;
}

/* Copies what is referred to of a row of the plan below. */
static void
keep_outer_row(LookupJoin *join, TupleTableSlot *from, int row)
{
	Datum	   *values = join->values + (Size) row * join->ncolumns;
	bool	   *nulls = join->nulls + (Size) row * join->ncolumns;

	slot_getsomeattrs(from, join->last_attno);
	for (int i = 0; i < join->ncolumns; i++)
	{
		OuterColumn *column = &join->columns[i];

		nulls[i] = from->tts_isnull[column->attno - 1];
		values[i] = nulls[i] ? (Datum) 0 :
			datumCopy(from->tts_values[column->attno - 1], column->typbyval, column->typlen);
	}
}

/* Fills the columns of the slot that come from the plan below, from a row of the batch. */
static inline void
fill_outer_columns(LookupJoin *join, TupleTableSlot *slot, int row)
{
	Datum	   *values = join->values + (Size) row * join->ncolumns;
	bool	   *nulls = join->nulls + (Size) row * join->ncolumns;

	for (int i = 0; i < join->ncolumns; i++)
	{
		slot->tts_values[join->columns[i].position] = values[i];
		slot->tts_isnull[join->columns[i].position] = nulls[i];
	}
}

/*
 * Adds a row of the batch, whose columns are kept, to the request.  What does
 * not vary is evaluated for the first row, for without one it must not be.
 */
static void
add_request_row(LookupJoin *join, int row)
{
	LookupScan *scan = &join->scan;
	TupleTableSlot *slot = scan->css.ss.ss_ScanTupleSlot;

	if (row == 0)
	{
		evaluate_arguments(join, false);
		join->request->as_of = scan_time(scan);
	}
	fill_outer_columns(join, slot, row);
	ExecStoreVirtualTuple(slot);
	scan->css.ss.ps.ps_ExprContext->ecxt_scantuple = slot;
	evaluate_arguments(join, true);
	ExecClearTuple(slot);
	for (int i = scan->first; i < scan->nargs; i++)
	{
		RequestColumn *column = &join->request->columns[i - scan->first];
		int			at = column->is_single ? 0 : row;

		column->values[at] = scan->values[i].value;
		column->nulls[at] = scan->values[i].isnull;
	}
	join->request->nrows = row + 1;
}

/* Has the batch taken its share of memory?  The other half is for what is found. */
static bool
batch_is_full(LookupJoin *join)
{
	return MemoryContextMemAllocated(join->scan.cxt, true) > (Size) work_mem * 1024 / 2;
}

/* Reads the next batch and starts to look it up; false if there is none. */
static bool
read_batch(LookupJoin *join)
{
	LookupScan *scan = &join->scan;
	int			limit = batch_limit(join);
	MemoryContext old;

	scan_end_request(scan);
	if (join->at_end)
		return false;
	/* a batch without rows left no request to end */
	MemoryContextReset(scan->cxt);
	old = MemoryContextSwitchTo(scan->cxt);
	begin_batch(join, limit);
	for (int row = 0; row < limit && (row == 0 || !batch_is_full(join)); row++)
	{
		TupleTableSlot *from;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(old);
		from = ExecProcNode(join->outer);
		MemoryContextSwitchTo(scan->cxt);
		join->at_end = TupIsNull(from);
		if (join->at_end)
			break;
		keep_outer_row(join, from, row);
		add_request_row(join, row);
	}
	if (join->request->nrows > 0)
		scan_request(scan, join->request);
	MemoryContextSwitchTo(old);
	return join->request->nrows > 0;
}

/* ExecScan callback: the next row, and what was found for it. */
static TupleTableSlot *
next_joined_row(ScanState *node)
{
	LookupJoin *join = (LookupJoin *) node;
	LookupRun  *run = join->scan.run;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

	ExecClearTuple(slot);
	while (!join->scan.is_requested || !scan_next(&join->scan))
	{
		if (!read_batch(join))
			return slot;
	}
	fill_outer_columns(join, slot, run->chunk_start + run->row);
	scan_fill_slot(&join->scan, slot);
	return ExecStoreVirtualTuple(slot);
}

/*
 * ExecScan callback, when a row that the query locks was updated meanwhile.
 * Rows that are locked are not joined in batches, so the join is in a subquery
 * that is evaluated again: it gives its rows as ever.  Newer minor releases do
 * not even ask.
 */
static bool
recheck_joined_row(ScanState *node, TupleTableSlot *slot)
{
	return !TupIsNull(next_joined_row(node));
}

static TupleTableSlot *
exec_lookup_join(CustomScanState *node)
{
	return ExecScan(&node->ss, next_joined_row, recheck_joined_row);
}

static void
rescan_lookup_join(CustomScanState *node)
{
	LookupJoin *join = (LookupJoin *) node;

	scan_end_request(&join->scan);
	join->at_end = false;
	if (node->ss.ps.chgParam)
		UpdateChangedParamSet(join->outer, node->ss.ps.chgParam);
	if (!join->outer->chgParam)
		ExecReScan(join->outer);
	ExecScanReScan(&node->ss);
}

static void
end_lookup_join(CustomScanState *node)
{
	LookupJoin *join = (LookupJoin *) node;

	ExecEndNode(join->outer);
	lookup_close(join->scan.run);
}

static const CustomExecMethods exec_methods = {
	.CustomName = "FeatureLookupJoin",
	.BeginCustomScan = begin_lookup_join,
	.ExecCustomScan = exec_lookup_join,
	.EndCustomScan = end_lookup_join,
	.ReScanCustomScan = rescan_lookup_join,
	.ExplainCustomScan = scan_explain,
};

/* CreateCustomScanState callback. */
Node *
create_lookup_join_state(CustomScan *plan)
{
	LookupJoin *join = palloc0_object(LookupJoin);

	NodeSetTag(join, T_CustomScanState);
	join->scan.css.methods = &exec_methods;
	return (Node *) join;
}
