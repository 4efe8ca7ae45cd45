/*
 * run.c
 *	  The run of a lookup: locks, chunks, items.
 *
 * Tables are locked first; then the spec is known to describe them, for a
 * change would have had to wait or has already told us so.  Relations are
 * opened for one call only.  A chunk is probed item by item; if what it finds
 * outgrows work_mem the chunk is cut in half and probed again, so that the
 * memory of a lookup is bounded whatever the size of its request.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "lookup/lookup.h"
#include "window/state.h"
#include "compat.h"

/* Rows probed together: enough to sort keys by, few enough to stay in cache. */
#define CHUNK_ROWS 1024

/* T in the type of an item's event time: the bound of "event time <= T". */
Datum
time_bound(SpecItem *item, TimestampTz as_of)
{
	DateADT		date;

	if (item->time_type != DATEOID)
		return TimestampTzGetDatum(as_of);
	if (TIMESTAMP_IS_NOBEGIN(as_of))
		DATE_NOBEGIN(date);
	else if (TIMESTAMP_IS_NOEND(as_of))
		DATE_NOEND(date);
	else
		date = as_of / USECS_PER_DAY - (as_of % USECS_PER_DAY < 0 ? 1 : 0);
	return DateADTGetDatum(date);
}

/* An event time as a timestamp; a date is its midnight, UTC. */
static TimestampTz
event_timestamp(SpecItem *item, Datum time)
{
	DateADT		date;
	TimestampTz result;

	if (item->time_type != DATEOID)
		return DatumGetTimestampTz(time);
	date = DatumGetDateADT(time);
	if (DATE_IS_NOBEGIN(date))
		TIMESTAMP_NOBEGIN(result);
	else if (DATE_IS_NOEND(date) || date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		TIMESTAMP_NOEND(result);
	else
		result = (TimestampTz) date * USECS_PER_DAY;
	return result;
}

/* Is an event older than the bound at T? */
static bool
is_older(TimestampTz as_of, TimestampTz event, int64 bound)
{
	int64		age;

	if (TIMESTAMP_IS_NOBEGIN(event) || TIMESTAMP_IS_NOEND(as_of))
		return event != as_of;
	return pg_sub_s64_overflow(as_of, event, &age) ? as_of > event : age > bound;
}

/* Opens a spec's tables; false if the spec changed meanwhile, or was dropped. */
static bool
open_tables(LookupRun *run)
{
	Spec	   *spec = run->spec;

	run->items = palloc0(sizeof(ItemRun) * spec->nitems);
	for (int i = 0; i < spec->nitems; i++)
	{
		run->items[i].item = &spec->items[i];
		if (OidIsValid(spec->items[i].relid))
		{
			run->items[i].rel = try_table_open(spec->items[i].relid, AccessShareLock);
			if (!run->items[i].rel)
				spec->is_valid = false;
		}
	}
	return spec->is_valid;
}

/* Closes the tables; their locks stay until the end of the transaction. */
static void
close_tables(LookupRun *run)
{
	for (int i = 0; i < run->spec->nitems; i++)
	{
		if (run->items[i].rel)
			table_close(run->items[i].rel, NoLock);
	}
}

/*
 * Starts a lookup on the spec of this row type: locks what it reads and checks
 * that the user may.  Errors: 42809 (not a spec), 42501 (no privilege), 55000
 * (a table lost its unique key).
 */
LookupRun *
lookup_open(Oid type)
{
	LookupRun  *run = palloc0(sizeof(LookupRun));

	lookup_stats_start(run);
	run->spec = spec_for_type(type);
	while (!open_tables(run))
	{
		close_tables(run);
		CHECK_FOR_INTERRUPTS();
		run->spec = spec_for_type(type);
	}
	CheckPermissionsCompat(run->spec->rtes, run->spec->perminfos);

	for (int i = 0; i < run->spec->nitems; i++)
	{
		ItemRun    *irun = &run->items[i];

		if (!irun->rel)
			continue;
		if (!irun->item->access)
			irun->item->access = access_for_item(run->spec, irun->item, irun->rel);
		irun->reason = irun->item->access->reason;
		irun->is_direct = irun->item->access->is_direct;
		if (irun->is_direct)
		{
			const char *obstacle = access_obstacle(irun->item, irun->rel);

			if (obstacle)
			{
				irun->reason = obstacle;
				irun->is_direct = false;
			}
		}
	}
	return run;
}

/* Is every column of states that an item reads among those whose names are in filled? */
static bool
states_are_filled(SpecItem *item, ArrayType *filled)
{
	Datum	   *names = NULL;
	int			nnames = 0;

	if (item->nwindows == 0)
		return true;
	if (filled)
		deconstruct_array(filled, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &nnames);
	for (int i = 0; i < item->nwindows; i++)
	{
		char	   *column = get_attname(item->relid, item->windows[i].attno, false);

		int			k = 0;

		while (k < nnames && strcmp(TextDatumGetCString(names[k]), column) != 0)
			k++;
		if (k == nnames)
			return false;
	}
	return true;
}

/*
 * Does a table lag at T by more than its item allows, given how far its last run
 * came?  If that was long ago it does only if it has missed something since.
 */
static bool
is_late(LookupRun *run, SpecItem *item, TimestampTz applied_to)
{
	TimestampTz as_of = run->request->as_of;
	TimestampTz needed;

	if (!is_older(as_of, applied_to, item->max_lag))
		return false;
	if (pg_sub_s64_overflow(as_of, item->max_lag, &needed))
		needed = DT_NOBEGIN;
	return TIMESTAMP_IS_NOEND(as_of) || seen_up_to() < needed ||
		has_pending(item->relid, run->snapshot, needed);
}

/*
 * What keeps a table from being used at T, or PRESENT: a first fill that is
 * not done, or more lag than allowed.  One that external writers feed is not
 * waited for, but may lag.
 */
static LookupStatus
table_status(LookupRun *run, ItemRun *irun)
{
	SpecItem   *item = irun->item;
	PublicationPosition position;

	if (item->known_ready && item->max_lag < 0 && !run->with_positions)
		return STATUS_PRESENT;
	if (!item->is_published)
		return item->max_lag >= 0 && is_late(run, item, DT_NOBEGIN) ? STATUS_STALE : STATUS_PRESENT;

	irun->has_position = publication_position(item->relid, run->snapshot, &position) &&
		states_are_filled(item, position.filled);
	if (!irun->has_position)
		return STATUS_NOT_READY;
	irun->applied_to = position.applied_to;
	item->known_ready = position.is_settled;
	if (item->max_lag >= 0 && is_late(run, item, irun->applied_to))
		return STATUS_STALE;
	return STATUS_PRESENT;
}

/* Is an item the same for all rows, that is, are all its keys? */
static bool
item_is_constant(LookupRun *run, SpecItem *item)
{
	for (int k = 0; k < item->nkeys; k++)
	{
		int			column = item->keys[k].column;
		int			giver = run->spec->columns[column].item;

		if (run->request->overrides && run->request->overrides[column])
			return false;
		if (giver >= 0 ? !run->items[giver].is_constant :
			!run->request->columns[column].is_single)
			return false;
	}
	return OidIsValid(item->relid);
}

/*
 * Sets up a run for its request.  Rows are then fetched with lookup_next; all
 * of them see the same snapshot.
 */
void
lookup_start(LookupRun *run, LookupRequest *request)
{
	run->request = request;
	choose_snapshot(run);
	run->cxt = CurrentMemoryContext;
	run->chunk_cxt = run->cxt;
	run->chunk_limit = CHUNK_ROWS;
	if (request->nrows > 1)
		run->chunk_cxt = AllocSetContextCreate(run->cxt, "featurestore lookup chunk",
											   ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < run->spec->nitems; i++)
	{
		ItemRun    *irun = &run->items[i];

		irun->is_constant = item_is_constant(run, irun->item);
		if (irun->rel)
			irun->table_status = table_status(run, irun);
	}
	run->row = -1;
	row_begin(run);
}

/*
 * Gives the columns of a probe without a usable row their defaults.  What is
 * not there counts as an entity without events.
 */
static void
fill_missing(LookupRun *run, ItemRun *irun, int probe)
{
	SpecItem   *item = irun->item;
	bool		may_default = irun->results[probe].status != STATUS_TOO_OLD;
	bool		is_empty = irun->results[probe].status == STATUS_NOT_FOUND;

	for (int i = 0; i < item->ncolumns; i++)
	{
		SpecColumn *column = &run->spec->columns[item->first_column + i];
		Size		at = (Size) probe * item->ncolumns + i;

		irun->nulls[at] = false;
		if (is_empty && column->has_empty_value)
			irun->values[at] = column->empty_value;
		else if (may_default && column->has_default)
			irun->values[at] = column->default_value;
		else
		{
			irun->nulls[at] = true;
			irun->values[at] = (Datum) 0;
		}
	}
}

/* What a row that was found counts as, given its event time. */
static LookupStatus
found_status(LookupRun *run, SpecItem *item, ProbeResult *result)
{
	TimestampTz as_of = run->request->as_of;

	if (result->has_time && result->event_time > as_of)
		return STATUS_TOO_OLD;
	if (item->max_age >= 0 &&
		(!result->has_time || is_older(as_of, result->event_time, item->max_age)))
		return STATUS_OUTSIDE_MAX_AGE;
	return STATUS_PRESENT;
}

/* Copies values that are not passed by value out of the page they are on. */
static void
copy_by_reference(Spec *spec, SpecItem *item, Datum *values, bool *nulls)
{
	Size		sizes[MaxTupleAttributeNumber];
	Size		total = 0;
	char	   *space;

	for (int i = 0; i < item->ncolumns; i++)
	{
		SpecColumn *column = &spec->columns[item->first_column + i];

		sizes[i] = 0;
		if (!column->typbyval && !nulls[i])
			sizes[i] = datumGetSize(values[i], false, column->typlen);
		total += MAXALIGN(sizes[i]);
	}
	if (total == 0)
		return;
	space = palloc(total);
	for (int i = 0; i < item->ncolumns; i++)
	{
		if (sizes[i] == 0)
			continue;
		memcpy(space, DatumGetPointer(values[i]), sizes[i]);
		values[i] = PointerGetDatum(space);
		space += MAXALIGN(sizes[i]);
	}
}

/* States of another input than the spec was made for can give values of another type. */
static void
refuse_result_type(ItemRun *irun, SpecWindows *windows, SpecColumn *column, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("%s: states in column \"%s\" give output \"%s\" as %s, not as %s",
					irun->item->name, get_attname(irun->item->relid, windows->attno, false),
					column->name, format_type_be(type), format_type_be(column->type)),
			 errhint("Create the spec again with featurestore.create_feature_spec(..., replace => true).")));
}

/*
 * Evaluates the window outputs of a row that was found.  An empty window takes
 * the default; a count, which has a value, does not.
 */
static void
evaluate_windows(LookupRun *run, ItemRun *irun, int probe, Datum *values, bool *nulls)
{
	SpecItem   *item = irun->item;

	for (int i = 0; i < item->nwindows; i++)
	{
		SpecWindows *windows = &item->windows[i];
		struct varlena *state = nulls[windows->attno - 1] ? NULL :
			(struct varlena *) DatumGetPointer(values[windows->attno - 1]);

		window_evaluate(windows->plan, state, run->request->as_of, windows->values,
						windows->nulls, windows->flags);
		for (int k = 0; k < windows->plan->noutputs; k++)
		{
			SpecColumn *column = &run->spec->columns[item->first_column + windows->positions[k]];
			Size		at = (Size) probe * item->ncolumns + windows->positions[k];
			Oid			type = windows->plan->outputs[k].call.result_type;

			if (type != column->type)
				refuse_result_type(irun, windows, column, type);
			irun->values[at] = windows->values[k];
			irun->nulls[at] = windows->nulls[k];
			irun->flags[at] = windows->flags[k];
			if (column->has_default && !column->has_empty_value &&
				(windows->flags[k] & (VALUE_EMPTY | VALUE_TOO_OLD)) == VALUE_EMPTY)
			{
				irun->values[at] = column->default_value;
				irun->nulls[at] = false;
				irun->flags[at] |= OUTPUT_DEFAULTED;
			}
		}
	}
}

/*
 * Keeps what a probe found, given as values of the table's columns, as far as
 * these are read.
 */
void
keep_found(LookupRun *run, ItemRun *irun, int probe, Datum *values, bool *nulls)
{
	SpecItem   *item = irun->item;
	ProbeResult *result = &irun->results[probe];
	Datum	   *kept = irun->values + (Size) probe * item->ncolumns;
	bool	   *kept_nulls = irun->nulls + (Size) probe * item->ncolumns;

	result->has_time = item->time_attno && !nulls[item->time_attno - 1];
	if (result->has_time)
		result->event_time = event_timestamp(item, values[item->time_attno - 1]);
	result->status = found_status(run, item, result);
	irun->found++;
	if (result->status != STATUS_PRESENT)
	{
		fill_missing(run, irun, probe);
		return;
	}
	for (int i = 0; i < item->ncolumns; i++)
	{
		int			from = item->attnos[i] - 1;

		kept_nulls[i] = from < 0 || nulls[from];
		kept[i] = kept_nulls[i] ? (Datum) 0 : values[from];
	}
	copy_by_reference(run->spec, item, kept, kept_nulls);
	evaluate_windows(run, irun, probe, values, nulls);
}

/* Allocates results, all missing until found. */
static void
prepare_results(LookupRun *run, ItemRun *irun)
{
	int			n = irun->keys.nprobes + 1;
	int			ncolumns = irun->item->ncolumns;
	LookupStatus status = irun->table_status == STATUS_PRESENT ?
		STATUS_NOT_FOUND : irun->table_status;

	irun->values = palloc_array(Datum, (Size) n * ncolumns);
	irun->nulls = palloc_array(bool, (Size) n * ncolumns);
	if (irun->item->nwindows > 0)
		irun->flags = palloc0_array(uint8, (Size) n * ncolumns);
	irun->results = palloc0_array(ProbeResult, n);
	irun->found = 0;
	for (int probe = 0; probe < n; probe++)
		irun->results[probe].status = status;
}

/* Probes a lookup's table for the chunk. */
static void
run_lookup(LookupRun *run, ItemRun *irun)
{
	if (irun->table_status == STATUS_PRESENT)
		gather_keys(run, irun);
	else
	{
		irun->keys.nprobes = 0;
		irun->keys.row_probe = palloc0_array(int, irun->is_constant ? 1 : run->chunk_rows);
	}
	prepare_results(run, irun);
	if (irun->keys.nprobes > 0)
	{
		if (irun->is_direct && !probe_index(run, irun))
		{
			irun->is_direct = false;
			irun->reason = "index is too young for the snapshot";
			prepare_results(run, irun);
		}
		if (!irun->is_direct)
			probe_sql(run, irun);
		irun->nprobes += irun->keys.nprobes;
		irun->nfound += irun->found;
	}
	for (int probe = 0; probe <= irun->keys.nprobes; probe++)
	{
		if (irun->results[probe].status == STATUS_NOT_FOUND ||
			irun->table_status != STATUS_PRESENT)
			fill_missing(run, irun, probe);
	}
}

/* Runs one item over the chunk, in the memory of the chunk or of the call. */
static void
run_item(LookupRun *run, ItemRun *irun)
{
	MemoryContext old;

	if (irun->is_constant && irun->is_done)
		return;
	old = MemoryContextSwitchTo(irun->is_constant ? run->cxt : run->chunk_cxt);
	if (!irun->rel)
		row_compute_early(run, irun);
	else
		run_lookup(run, irun);
	irun->is_done = true;
	MemoryContextSwitchTo(old);
}

/* The same, with time and buffers counted. */
static void
run_item_counted(LookupRun *run, ItemRun *irun)
{
	BufferUsage before = pgBufferUsage;
	instr_time	start;
	instr_time	end;

	INSTR_TIME_SET_CURRENT(start);
	run_item(run, irun);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_ACCUM_DIFF(irun->time, end, start);
	irun->buffers += pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read -
		before.shared_blks_hit - before.shared_blks_read;
}

/*
 * Has the chunk outgrown its memory, while it could be smaller?  What fills it
 * asks now and then, and may stop: the chunk is done again.
 */
bool
chunk_is_too_large(LookupRun *run)
{
	if (run->chunk_rows > 1 && run->chunk_cxt != run->cxt &&
		MemoryContextMemAllocated(run->chunk_cxt, true) > (Size) work_mem * 1024 / 2)
		run->is_too_large = true;
	return run->is_too_large;
}

/* Cuts a chunk that is too large in half; what the items counted so far is off. */
static void
cut_chunk(LookupRun *run, int nitems)
{
	run->chunk_rows /= 2;
	run->chunk_limit = run->chunk_rows;
	run->is_too_large = false;
	for (int i = 0; i < nitems; i++)
	{
		ItemRun    *irun = &run->items[i];

		if (irun->is_constant || !irun->rel)
			continue;
		irun->nprobes -= irun->keys.nprobes;
		irun->nfound -= irun->found;
	}
}

/* How many rows to try next, given what this chunk took. */
static void
adapt_chunk_limit(LookupRun *run)
{
	if (run->chunk_rows < CHUNK_ROWS && run->chunk_cxt != run->cxt &&
		MemoryContextMemAllocated(run->chunk_cxt, true) < (Size) work_mem * 1024 / 8)
		run->chunk_limit = Min(2 * run->chunk_limit, CHUNK_ROWS);
}

/* Runs the items over the next rows of the request; false when there are none. */
static bool
next_chunk(LookupRun *run)
{
	run->chunk_start += run->chunk_rows;
	run->chunk_rows = Min(run->chunk_limit, run->request->nrows - run->chunk_start);
	if (run->chunk_rows <= 0)
		return false;

	if (run->chunk_start == 0)
		prefetch_constant_items(run);
	for (int i = 0; i < run->spec->nitems; i++)
	{
		if (i == 0 && run->chunk_cxt != run->cxt)
			MemoryContextReset(run->chunk_cxt);
		if (run->is_counted)
			run_item_counted(run, &run->items[i]);
		else
			run_item(run, &run->items[i]);
		if (chunk_is_too_large(run))
		{
			cut_chunk(run, i + 1);
			i = -1;
		}
	}
	adapt_chunk_limit(run);
	run->row = -1;
	return true;
}

/*
 * Moves to the next row of the request and fills the working row with it;
 * false at the end.  The working row is good until the next call.
 */
bool
lookup_next(LookupRun *run)
{
	if (++run->row >= run->chunk_rows)
	{
		CHECK_FOR_INTERRUPTS();
		if (!next_chunk(run))
			return false;
		run->row = 0;
	}
	row_fill(run, run->row);
	return true;
}

/* Ends a lookup, which counts from now on: what a slot or relation holds is let go of. */
void
lookup_close(LookupRun *run)
{
	row_end(run);
	close_tables(run);
	if (run->owns_snapshot)
		PopActiveSnapshot();
	lookup_stats_end(run);
}
