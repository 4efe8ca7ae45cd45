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

/*
 * Rows probed together at first, and at most.  Few stay in the processor's
 * cache; but in order, the keys of many share pages.
 */
#define CHUNK_ROWS 1024
#define MAX_CHUNK_ROWS (128 * 1024)
#define CHUNK_GROWTH 4

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

/* Opens the tables that are needed; false if the spec changed meanwhile, or was dropped. */
static bool
open_tables(LookupRun *run, ItemNeeds *needs)
{
	Spec	   *spec = run->spec;

	run->items = palloc0(sizeof(ItemRun) * spec->nitems);
	for (int i = 0; i < spec->nitems; i++)
	{
		run->items[i].item = &spec->items[i];
		run->items[i].needs = &needs[i];
		if (needs[i].is_needed && OidIsValid(spec->items[i].relid))
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
		ItemRun    *irun = &run->items[i];

		if (irun->prober)
			end_probes(irun);
		if (irun->rel)
			table_close(irun->rel, NoLock);
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
 * Locks what a spec reads, that of a row type or one that is in no cache, to
 * give all it has or some results.  Rows that are logged are logged whole.
 */
static void
lock_tables(LookupRun *run, Oid type, Spec *spec, const Bitmapset *results, bool all)
{
	run->run_cxt = CurrentMemoryContext;
	run->chunk_limit = CHUNK_ROWS;
	for (;;)
	{
		ItemNeeds  *needs;

		run->spec = spec ? spec : spec_for_type(type);
		all |= run->spec->log_limit > 0;
		needs = all ? needs_of_all(run->spec) : needs_of_results(run->spec, results);
		if (open_tables(run, needs))
			return;
		close_tables(run);
		CHECK_FOR_INTERRUPTS();
		if (spec)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("a table was dropped while it was being looked up"),
					 errhint("Try again.")));
	}
}

/* Finds out how the tables are probed; checks that the user may read all that the spec does. */
static void
choose_access(LookupRun *run)
{
	CheckPermissionsCompat(run->spec->rtes, run->spec->perminfos);
	run->user = GetUserId();

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

/* Opens the tables of a spec, that of a row type or one that is in no cache, for whoever may read them. */
void
lookup_open_tables(LookupRun *run, Oid type, Spec *spec)
{
	lock_tables(run, type, spec, NULL, true);
	choose_access(run);
}

/* Opens a lookup for some of a spec's results, or all. */
static LookupRun *
open_run(Oid type, const Bitmapset *results, bool all)
{
	LookupRun  *run = palloc0_object(LookupRun);

	lookup_stats_start(run);
	lock_tables(run, type, NULL, results, all);
	choose_access(run);
	refuse_computed_features(run);
	return run;
}

/*
 * Opens a lookup on the spec of this row type.  Errors: 42809 (not a spec),
 * 42501 (no privilege), 55000 (a table lost its unique key).
 */
LookupRun *
lookup_open(Oid type)
{
	return open_run(type, NULL, true);
}

/* The same for these of its results only, numbered from 0. */
LookupRun *
lookup_open_for(Oid type, const Bitmapset *results)
{
	return open_run(type, results, false);
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

/* Readies an opened run for requests, which read under the snapshot given or a newer one. */
void
lookup_begin(LookupRun *run, Snapshot snapshot)
{
	choose_snapshot(run, snapshot);
	row_begin(run);
}

/* The same under the active snapshot; a newer one is the active one then, until the end. */
void
lookup_begin_active(LookupRun *run)
{
	lookup_begin(run, GetActiveSnapshot());
	if (run->owns_snapshot)
		PushActiveSnapshot(run->snapshot);
	run->is_pushed = run->owns_snapshot;
}

/*
 * Sets up a run for a request, in whose memory context we are.  Rows are then
 * fetched with lookup_next; all of them see the same snapshot.
 */
void
lookup_request(LookupRun *run, LookupRequest *request)
{
	run->request = request;
	run->cxt = CurrentMemoryContext;
	run->chunk_cxt = run->cxt;
	run->chunk_start = 0;
	run->chunk_rows = 0;
	if (request->nrows > 1)
		run->chunk_cxt = AllocSetContextCreate(run->cxt, "featurestore lookup chunk",
											   ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < run->spec->nitems; i++)
	{
		ItemRun    *irun = &run->items[i];

		irun->is_constant = item_is_constant(run, irun->item);
		irun->is_done = false;
		irun->is_gathered = false;
		irun->values = NULL;
		irun->past_probes += irun->nprobes;
		irun->past_found += irun->nfound;
		irun->nprobes = 0;
		irun->nfound = 0;
		if (irun->rel)
			irun->table_status = table_status(run, irun);
	}
	run->row = -1;
	run->varying_parts = NULL;
	row_start(run);
	run->is_logged = run->spec->log_limit > 0 && serve_log_wants(run);
	run->logged_rows = 0;
}

/* Starts a lookup of one request. */
void
lookup_start(LookupRun *run, LookupRequest *request)
{
	lookup_begin_active(run);
	lookup_request(run, request);
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

	if (!irun->needs->is_needed || (irun->is_constant && irun->is_done))
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

/* How many rows to try next, given what this chunk took; the values of each item are one array. */
static void
adapt_chunk_limit(LookupRun *run)
{
	if (run->chunk_rows == run->chunk_limit && run->chunk_cxt != run->cxt &&
		MemoryContextMemAllocated(run->chunk_cxt, true) < (Size) work_mem * 1024 / (2 * CHUNK_GROWTH))
		run->chunk_limit = Min(Min(CHUNK_GROWTH * run->chunk_limit, MAX_CHUNK_ROWS),
							   MaxAllocSize / (sizeof(Datum) * (run->spec->ncolumns + 1)) - 1);
}

/* Have all rows of the request been probed for? */
bool
lookup_is_probed(LookupRun *run)
{
	return run->chunk_start + run->chunk_rows >= run->request->nrows;
}

/* Runs the items over the next rows of the request; false when there are none. */
static bool
next_chunk(LookupRun *run)
{
	if (lookup_is_probed(run))
		return false;
	run->chunk_start += run->chunk_rows;
	run->chunk_rows = Min(run->chunk_limit, run->request->nrows - run->chunk_start);

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
		{
			run->row = run->chunk_rows;
			return false;
		}
		run->row = 0;
	}
	row_fill(run, run->row);
	if (run->is_logged && run->chunk_start + run->row == run->logged_rows)
	{
		serve_log_row(run);
		run->logged_rows++;
	}
	return true;
}

/* Goes back to before the first row of the request; false if it is not in memory any more. */
bool
lookup_rewind(LookupRun *run)
{
	run->row = -1;
	return run->chunk_start == 0;
}

/* Ends a lookup, which counts from now on: what a slot or relation holds is let go of. */
void
lookup_close(LookupRun *run)
{
	row_end(run);
	close_tables(run);
	if (run->is_pushed)
		PopActiveSnapshot();
	if (run->owns_snapshot)
		UnregisterSnapshot(run->snapshot);
	lookup_stats_end(run);
}
