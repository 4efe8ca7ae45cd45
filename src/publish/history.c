/*
 * history.c
 *	  The trigger that keeps the history of an online table: each state that a
 *	  row was left in becomes a version, a row of the history table.
 *
 * A version is written when the row is locked by its change, so that among
 * transactions that change one key versions are written in the order in which
 * they commit.  Its time is the clock then, or a microsecond after the newest
 * version of the key, if the clock says less: so times of a key only grow.
 *
 * Within a transaction the triggers of a statement run after all of it is done,
 * and if one of them changes the table again, the trigger of that change runs
 * before ours for rows of the statement whose turn has yet to come.  So ours
 * looks at what there is rather than at the order of events: a row that has been
 * replaced or deleted again is no version, since nobody has seen it; and a key
 * whose row was deleted is gone only if there is no other row of it.
 *
 * The newest version of a key is looked up with the eyes of an update, that is,
 * whoever wrote it has committed, or is this transaction.  Where only its time is
 * asked for, the index tells that.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "publish/history.h"
#include "publish/row_change.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(keep_history);

/* Begins a scan of an index for the key of a row of the online table; it can be for what the index has only. */
static IndexScanDesc
begin_scan(Relation rel, Relation index, const KeyIndex *key, TupleTableSlot *row, bool index_only)
{
	ScanKeyData keys[INDEX_MAX_KEYS];
	IndexScanDesc scan = index_beginscanCompat(rel, index, SnapshotSelf, key->nkeys);

	scan->xs_want_itup = index_only;
	memcpy(keys, key->keys, key->nkeys * sizeof(ScanKeyData));
	for (int i = 0; i < key->nkeys; i++)
	{
		keys[i].sk_argument = row->tts_values[key->sources[i] - 1];
		/* what a comparison keeps goes with the copy, not with the session */
		keys[i].sk_func.fn_mcxt = CurrentMemoryContext;
	}
	index_rescan(scan, keys, key->nkeys, NULL, 0);
	return scan;
}

/* Finds the newest of the rows with the key of a row of the online table, by an index. */
static bool
find_newest(Relation rel, const KeyIndex *key, TupleTableSlot *row, TupleTableSlot *found)
{
	Relation	index = index_open(key->index, AccessShareLock);
	IndexScanDesc scan = begin_scan(rel, index, key, row, false);
	bool		is_found = index_getnext_slot(scan, BackwardScanDirection, found);

	index_endscan(scan);
	index_close(index, NoLock);
	return is_found;
}

/*
 * Finds the time of the newest version, which may be one that was rolled back; so
 * the page that it is on, which may not have been used for long, is not read.
 */
static bool
find_newest_time(Relation history, const KeyIndex *key, TupleTableSlot *row, TimestampTz *at)
{
	Relation	index = index_open(key->index, AccessShareLock);
	IndexScanDesc scan = begin_scan(history, index, key, row, true);
	bool		is_found = index_getnext_tid(scan, BackwardScanDirection) != NULL;

	if (is_found)
	{
		bool		isnull;

		*at = DatumGetTimestampTz(index_getattr(scan->xs_itup, key->nkeys + 1, scan->xs_itupdesc,
												&isnull));
	}
	index_endscan(scan);
	index_close(index, NoLock);
	return is_found;
}

/* Is there a row with the key of a row that was deleted? */
static bool
is_key_there(Relation rel, const HistoryTable *table, TupleTableSlot *row)
{
	TupleTableSlot *found = table_slot_create(rel, NULL);
	bool		result = find_newest(rel, &table->rows, row, found);

	ExecDropSingleTupleTableSlot(found);
	return result;
}

static bool
same_value(const HistoryColumn *column, Datum a, bool a_is_null, Datum b, bool b_is_null)
{
	if (a_is_null || b_is_null)
		return a_is_null == b_is_null;
	/* what an update left out of line it need not fetch */
	if (column->typlen == -1 && VARATT_IS_EXTERNAL(DatumGetPointer(a)) &&
		VARATT_IS_EXTERNAL(DatumGetPointer(b)) &&
		memcmp(DatumGetPointer(a), DatumGetPointer(b), VARSIZE_EXTERNAL(DatumGetPointer(a))) == 0)
		return true;
	return datum_image_eq(a, b, column->typbyval, column->typlen);
}

/* Do two rows of the online table have the same bytes, in the key or in all that is kept? */
static bool
same_rows(const HistoryTable *table, TupleTableSlot *a, TupleTableSlot *b, bool key_only)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		const HistoryColumn *column = &table->columns[i];
		int			source = column->source - 1;

		if (source >= 0 && (column->is_key || !key_only) &&
			!same_value(column, a->tts_values[source], a->tts_isnull[source],
						b->tts_values[source], b->tts_isnull[source]))
			return false;
	}
	return true;
}

/* Has a version the same bytes as a row of the online table? */
static bool
is_version_of(const HistoryTable *table, TupleTableSlot *version, TupleTableSlot *row)
{
	slot_getallattrs(version);
	for (int i = 0; i < table->ncolumns; i++)
	{
		const HistoryColumn *column = &table->columns[i];
		int			source = column->source - 1;

		if (source >= 0 &&
			!same_value(column, version->tts_values[i], version->tts_isnull[i],
						row->tts_values[source], row->tts_isnull[source]))
			return false;
	}
	return true;
}

/* Does the newest version, if there is one, say something else than what is to be recorded?  Gives its time. */
static bool
differs_from_newest(const HistoryTable *table, Relation history, TupleTableSlot *row,
					bool is_deleted, TimestampTz *at)
{
	TupleTableSlot *newest = table_slot_create(history, NULL);
	bool		differs = !is_deleted;

	if (find_newest(history, &table->versions, row, newest))
	{
		bool		isnull;
		bool		was_deleted = DatumGetBool(slot_getattr(newest, table->is_deleted, &isnull));

		*at = DatumGetTimestampTz(slot_getattr(newest, table->valid_from, &isnull));
		differs = is_deleted ? !was_deleted : was_deleted || !is_version_of(table, newest, row);
	}
	ExecDropSingleTupleTableSlot(newest);
	return differs;
}

/* Makes the version of a row, with its key only if it is deleted. */
static void
form_version(const HistoryTable *table, TupleTableSlot *row, bool is_deleted, TimestampTz at)
{
	TupleTableSlot *version = table->version;

	ExecClearTuple(version);
	for (int i = 0; i < table->ncolumns; i++)
	{
		const HistoryColumn *column = &table->columns[i];
		int			source = column->source - 1;

		version->tts_isnull[i] = source < 0 || (is_deleted && !column->is_key) ||
			row->tts_isnull[source];
		version->tts_values[i] = version->tts_isnull[i] ? (Datum) 0 : row->tts_values[source];
	}
	version->tts_values[table->valid_from - 1] = TimestampTzGetDatum(at);
	version->tts_isnull[table->valid_from - 1] = false;
	version->tts_values[table->is_deleted - 1] = BoolGetDatum(is_deleted);
	version->tts_isnull[table->is_deleted - 1] = false;
	ExecStoreVirtualTuple(version);
}

/* Inserts the version that was made into the history and its indexes. */
static void
insert_version(const HistoryTable *table, Relation history)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	table_tuple_insert(history, table->version, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < table->nindexes; i++)
	{
		Relation	index = index_open(table->indexes[i], RowExclusiveLock);
		IndexInfo	info = *table->index_infos[i];

		info.ii_Context = CurrentMemoryContext;
		FormIndexDatum(&info, table->version, NULL, values, isnull);
		index_insert(index, values, isnull, &table->version->tts_tid, history,
					 index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, &info);
		index_insert_cleanupCompat(index, &info);
		index_close(index, NoLock);
	}
	ExecClearTuple(table->version);
}

/*
 * Notes that the table holds a row from now on, or no longer.  is_known_to_differ:
 * the newest version cannot say so already.
 */
static void
record_version(const HistoryTable *table, TupleTableSlot *row, bool is_deleted,
			   bool is_known_to_differ)
{
	Relation	history = table_open(table->history, NoLock);
	TimestampTz at = GetCurrentTimestamp();
	TimestampTz before = DT_NOBEGIN;
	bool		differs = true;

	if (is_known_to_differ)
		find_newest_time(history, &table->versions, row, &before);
	else
		differs = differs_from_newest(table, history, row, is_deleted, &before);
	if (differs)
	{
		form_version(table, row, is_deleted, at > before ? at : before + 1);
		insert_version(table, history);
	}
	table_close(history, NoLock);
}

/*
 * Did an update change a row for certain?  If it is the work of a trigger it may
 * bring back what the row was before the statement that fired that.
 */
static bool
is_certain(const RowChange *change, bool is_key_changed)
{
	return change->old && !is_key_changed &&
		DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) <= 1;
}

static void
record_change(const HistoryTable *table, TriggerData *trigdata)
{
	RowChange	change = row_change(trigdata);
	bool		is_key_left = !change.new;

	if (change.old && change.new && same_tuples(&change))
		return;
	if (change.old)
		slot_getsomeattrs(change.old, table->last_source);
	if (change.new)
		slot_getsomeattrs(change.new, table->last_source);
	if (change.old && change.new)
	{
		if (same_rows(table, change.old, change.new, false))
			return;
		is_key_left = !same_rows(table, change.old, change.new, true);
	}

	if (change.old && is_key_left && !is_key_there(trigdata->tg_relation, table, change.old))
		record_version(table, change.old, true, false);
	if (change.new && !(change.is_heap && is_superseded(slot_header(change.new))))
		record_version(table, change.new, false, is_certain(&change, is_key_left));
}

/* All rows are about to go. */
static void
record_truncation(const HistoryTable *table, Relation rel)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	TupleTableSlot *row = table_slot_create(rel, NULL);
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "truncated rows",
												  ALLOCSET_SMALL_SIZES);

	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		MemoryContext old = MemoryContextSwitchTo(scratch);

		CHECK_FOR_INTERRUPTS();
		slot_getsomeattrs(row, table->last_source);
		record_version(table, row, true, false);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	ExecDropSingleTupleTableSlot(row);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	MemoryContextDelete(scratch);
}

/*
 * _keep_history() RETURNS trigger
 * AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW, or BEFORE TRUNCATE FOR EACH STATEMENT.
 */
Datum
keep_history(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	HistoryTable *table;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function featurestore._keep_history() can only be called as a trigger")));
	if (TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ? !TRIGGER_FIRED_AFTER(trigdata->tg_event) :
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) || !TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function featurestore._keep_history() must be fired after rows or before truncation")));

	table = history_table(trigdata->tg_relation);
	if (!table)
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
		record_truncation(table, trigdata->tg_relation);
	else
		record_change(table, trigdata);
	return PointerGetDatum(NULL);
}
