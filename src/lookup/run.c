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
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "lookup/lookup.h"
#include "lookup/serve_log.h"
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

/* Features that are computed from their events have nothing to look up. */
static void
refuse_computed_features(LookupRun *run)
{
	for (int i = 0; i < run->spec->nitems; i++)
	{
		if (run->spec->items[i].is_computed)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("%s: feature is not materialized", run->spec->items[i].name),
					 errhint("Materialize it with featurestore.materialize_features and create a feature spec.")));
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
	lookup_open_tables(run, type, NULL);
	refuse_computed_features(run);
	return run;
}

/*
 * Locks what a spec reads, that of a row type or one that is in no cache, and
 * checks that the user may.
 */
void
lookup_open_tables(LookupRun *run, Oid type, Spec *spec)
{
	run->spec = spec ? spec : spec_for_type(type);
	while (!open_tables(run))
	{
		close_tables(run);
		CHECK_FOR_INTERRUPTS();
		if (spec)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("a table was dropped while it was being looked up"),
					 errhint("Try again.")));
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
	run->is_logged = run->spec->log_limit > 0 && serve_log_wants(run);
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
	prepare_results(run, irun, irun->keys.nprobes + 1);
	if (irun->keys.nprobes > 0)
	{
		if (irun->is_direct && !probe_index(run, irun))
		{
			irun->is_direct = false;
			irun->reason = "index is too young for the snapshot";
			prepare_results(run, irun, irun->keys.nprobes + 1);
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
	if (run->is_logged)
		serve_log_row(run);
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
