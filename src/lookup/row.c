/*
 * row.c
 *	  The working row: request, what the items found, what expressions give.
 *
 * Its columns come from left to right, so that an item can use every column
 * before its own.  Values are not copied: they point into the request, the
 * chunk's results or, for expressions, memory that lasts until the next row.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "lookup/lookup.h"
#include "window/state.h"
#include "compat.h"

static const char *const status_names[NUMBER_OF_STATUSES] = {
	"PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE", "STALE", "NOT_READY", "TOO_OLD",
	"OUT_OF_RANGE"
};

/* The name of a status, as users see it. */
const char *
status_name(LookupStatus status)
{
	return status_names[status];
}

/*
 * Takes the spec's slot and expression states, or makes new ones: when they
 * cannot be kept, or a lookup further up the stack (or one that failed in this
 * transaction) has them.
 */
static void
take_states(LookupRun *run)
{
	Spec	   *spec = run->spec;

	run->states = palloc0_array(ExprState *, spec->nitems);
	run->owns_states = !spec->states_are_cached || spec->taken_by == MyLocalTransactionIdCompat;
	if (run->owns_states)
	{
		run->slot = MakeSingleTupleTableSlot(spec->working_desc, &TTSOpsVirtual);
		run->econtext = CreateStandaloneExprContext();
		run->econtext->ecxt_scantuple = run->slot;
	}
	else
	{
		spec->taken_by = MyLocalTransactionIdCompat;
		run->slot = spec->slot;
		run->econtext = spec->econtext;
	}
	for (int i = 0; i < spec->nitems; i++)
	{
		if (!spec->items[i].expr)
			continue;
		run->states[i] = run->owns_states ? ExecInitExpr(spec->items[i].expr, NULL) :
			spec->items[i].state;
	}
}

/* Makes the working row of a run. */
void
row_begin(LookupRun *run)
{
	Spec	   *spec = run->spec;

	if (spec->has_expressions)
	{
		take_states(run);
		run->values = run->slot->tts_values;
		run->nulls = run->slot->tts_isnull;
	}
	else
	{
		run->values = palloc_array(Datum, spec->ncolumns);
		run->nulls = palloc_array(bool, spec->ncolumns);
	}
}

/* Readies it for a request: what is the same for all rows is filled in here. */
void
row_start(LookupRun *run)
{
	Spec	   *spec = run->spec;

	memset(run->nulls, true, spec->ncolumns);
	for (int i = 0; i < spec->nargs; i++)
	{
		RequestColumn *column = &run->request->columns[i];

		if (column->is_single)
		{
			run->values[i] = column->values[0];
			run->nulls[i] = column->nulls[0];
		}
	}
	run->values[spec->nargs] = TimestampTzGetDatum(run->request->as_of);
	run->nulls[spec->nargs] = false;
}

/* Lets go of the states. */
void
row_end(LookupRun *run)
{
	if (!run->states)
		return;
	ExecClearTuple(run->slot);
	ResetExprContext(run->econtext);
	if (run->owns_states)
	{
		FreeExprContext(run->econtext, true);
		ExecDropSingleTupleTableSlot(run->slot);
	}
	else
		run->spec->taken_by = InvalidLocalTransactionId;
}

/* Which of an item's results belongs to a row of the chunk. */
static inline int
result_of_row(ItemRun *irun, int row)
{
	if (!irun->keys.row_probe)
		return row;
	return irun->keys.row_probe[irun->is_constant ? 0 : row];
}

/* Does the request itself give this column for a row of the chunk? */
bool
row_is_overridden(LookupRun *run, int column, int row)
{
	RequestColumn *override;

	if (!run->request->overrides)
		return false;
	override = run->request->overrides[column];
	return override && override->given[override->is_single ? 0 : run->chunk_start + row];
}

/* A value the request gives. */
static bool
request_value(LookupRun *run, RequestColumn *column, int row, Datum *value)
{
	int			at = column->is_single ? 0 : run->chunk_start + row;

	*value = column->values[at];
	return !column->nulls[at];
}

/*
 * A column of a row of the chunk whose item has run; false for NULL.  This is
 * how items read the columns before them; late expressions have none after.
 */
bool
row_value(LookupRun *run, int column, int row, Datum *value)
{
	Spec	   *spec = run->spec;
	SpecItem   *item;
	ItemRun    *irun;
	Size		at;

	if (column < spec->nargs)
		return request_value(run, &run->request->columns[column], row, value);
	if (column == spec->nargs)
	{
		*value = TimestampTzGetDatum(run->request->times ?
									 run->request->times[run->chunk_start + row] : run->request->as_of);
		return true;
	}
	if (row_is_overridden(run, column, row))
		return request_value(run, run->request->overrides[column], row, value);

	irun = &run->items[spec->columns[column].item];
	item = irun->item;
	at = (Size) result_of_row(irun, row) * item->ncolumns + (column - item->first_column);
	*value = irun->values[at];
	return !irun->nulls[at];
}

/* Evaluates a computed item over the working row. */
static void
compute(LookupRun *run, int item)
{
	int			column = run->spec->items[item].first_column;

	run->values[column] = ExecEvalExprSwitchContext(run->states[item], run->econtext,
													&run->nulls[column]);
}

/*
 * Evaluates a computed item for all rows of the chunk, when a later lookup
 * needs it; results are copied into the current memory context.
 */
void
row_compute_early(LookupRun *run, ItemRun *irun)
{
	int			item = irun - run->items;
	int			column = irun->item->first_column;
	SpecColumn *type = &run->spec->columns[column];

	if (!irun->item->is_early)
		return;
	irun->values = palloc_array(Datum, run->chunk_rows);
	irun->nulls = palloc_array(bool, run->chunk_rows);
	for (int row = 0; row < run->chunk_rows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		if (row % 64 == 63 && chunk_is_too_large(run))
			return;
		irun->nulls[row] = true;
		if (row_is_overridden(run, column, row))
			continue;
		ResetExprContext(run->econtext);
		for (int i = 0; i < column; i++)
		{
			int			giver = run->spec->columns[i].item;

			if (giver < 0 || run->items[giver].values || row_is_overridden(run, i, row))
				run->nulls[i] = !row_value(run, i, row, &run->values[i]);
		}
		ExecStoreVirtualTuple(ExecClearTuple(run->slot));
		compute(run, item);
		irun->nulls[row] = run->nulls[column];
		irun->values[row] = run->nulls[column] ? (Datum) 0 :
			datumCopy(run->values[column], type->typbyval, type->typlen);
	}
}

/* Fills in what an item found for a row. */
static inline void
fill_item(LookupRun *run, ItemRun *irun, int row)
{
	SpecItem   *item = irun->item;
	Size		from = (Size) result_of_row(irun, row) * item->ncolumns;

	memcpy(&run->values[item->first_column], &irun->values[from],
		   sizeof(Datum) * item->ncolumns);
	memcpy(&run->nulls[item->first_column], &irun->nulls[from], item->ncolumns);
}

/* Fills in the columns of outputs that the request gives. */
static void
fill_overrides(LookupRun *run, int row)
{
	for (int i = run->spec->nargs + 1; i < run->spec->ncolumns; i++)
	{
		if (row_is_overridden(run, i, row))
			run->nulls[i] = !request_value(run, run->request->overrides[i], row,
										   &run->values[i]);
	}
}

/* Evaluates the expressions that no key waits for. */
static void
fill_late_expressions(LookupRun *run, int row)
{
	ResetExprContext(run->econtext);
	for (int i = 0; i < run->spec->nitems; i++)
	{
		SpecItem   *item = &run->spec->items[i];

		if (!item->expr || item->is_early || !run->items[i].needs->is_needed ||
			row_is_overridden(run, item->first_column, row))
			continue;
		ExecStoreVirtualTuple(ExecClearTuple(run->slot));
		compute(run, i);
	}
}

/* Fills the working row with a row of the chunk. */
void
row_fill(LookupRun *run, int row)
{
	Spec	   *spec = run->spec;

	for (int i = 0; i < spec->nargs; i++)
	{
		RequestColumn *column = &run->request->columns[i];

		if (!column->is_single)
			run->nulls[i] = !request_value(run, column, row, &run->values[i]);
	}
	if (run->request->times)
		run->values[spec->nargs] = TimestampTzGetDatum(run->request->times[run->chunk_start + row]);
	for (int i = 0; i < spec->nitems; i++)
	{
		ItemRun    *irun = &run->items[i];

		/* What is the same for all rows stays, unless an override came over it. */
		if (irun->values && !(irun->is_constant && row > 0 && !run->request->overrides))
			fill_item(run, irun, row);
	}
	if (run->request->overrides)
		fill_overrides(run, row);
	if (spec->has_late_expressions)
		fill_late_expressions(run, row);
}

/* What the lookup that gives a column found for the current row; NULL for others. */
ProbeResult *
row_result(LookupRun *run, int column)
{
	int			giver = run->spec->columns[column].item;
	ItemRun    *irun;

	if (giver < 0 || row_is_overridden(run, column, run->row))
		return NULL;
	irun = &run->items[giver];
	return irun->rel ? &irun->results[result_of_row(irun, run->row)] : NULL;
}

/* The flags of a window output of the current row; 0 for other columns. */
static uint8
row_flags(LookupRun *run, int column)
{
	ItemRun    *irun;
	int			result;

	if (!run->spec->columns[column].is_window || row_is_overridden(run, column, run->row))
		return 0;
	irun = &run->items[run->spec->columns[column].item];
	result = result_of_row(irun, run->row);
	return irun->flags[(Size) result * irun->item->ncolumns + (column - irun->item->first_column)];
}

/* The status of a column of the current row. */
LookupStatus
row_status(LookupRun *run, int column)
{
	ProbeResult *result = row_result(run, column);
	uint8		flags = row_flags(run, column);

	if (result && result->status != STATUS_PRESENT)
		return result->status;
	if (flags & VALUE_TOO_OLD)
		return STATUS_TOO_OLD;
	if (flags & VALUE_OUT_OF_RANGE)
		return STATUS_OUT_OF_RANGE;
	return run->nulls[column] || (flags & OUTPUT_DEFAULTED) ? STATUS_NULL_VALUE : STATUS_PRESENT;
}

/* Is a column of the current row its default? */
bool
row_is_defaulted(LookupRun *run, int column)
{
	SpecColumn *output = &run->spec->columns[column];

	switch (row_status(run, column))
	{
		case STATUS_NOT_FOUND:
			return output->has_default && !output->has_empty_value;
		case STATUS_OUTSIDE_MAX_AGE:
		case STATUS_STALE:
		case STATUS_NOT_READY:
			return output->has_default;
		case STATUS_NULL_VALUE:
			return (row_flags(run, column) & OUTPUT_DEFAULTED) != 0;
		default:
			return false;
	}
}

/* Is a window output of the current row not exact? */
bool
row_is_approximate(LookupRun *run, int column)
{
	return (row_flags(run, column) & VALUE_APPROXIMATE) != 0;
}
