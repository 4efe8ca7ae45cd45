/*
 * capture_buffer.c
 *	  Staged rows of the current transaction that are not written yet, and its
 *	  own changes that are not applied yet.
 *
 * Rows are written many at a time, which costs a fraction of writing each; at
 * the latest before the transaction commits or is prepared, so that a change
 * and its staged row share their fate.
 *
 * They share that of subtransactions, too.  Each row bears the subtransaction
 * it was made in; an abort drops the rows of that one and of those below it,
 * which are the last in each list, since ids of subtransactions only grow.
 * What is written within a subtransaction is undone with it.  So rows that were
 * made before it began are kept, marked as written in it, until it has
 * committed into the one that they were made in; if it aborts they count as not
 * written again.  No id needs to be changed at a commit: who aborts undoes
 * everything with its own id or a greater one.
 *
 * Own changes stay until the transaction ends, or until somebody wants to see
 * them applied; then they are treated as rows that are written.  Should they
 * take too much memory they are forgotten for a note that their source must be
 * looked at as a whole.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xloginsert.h"
#include "catalog/pg_control.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "publish/capture.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(flush_captured);

/* So many rows, or so much memory, are worth a write. */
#define FULL_ROWS 1000
#define FULL_BYTES (1024 * 1024)

/* Within a trigger of a trigger it takes so many times as much: see write_rows_if_full. */
#define NESTED_FACTOR 10

/* So many are handed to the table at a time. */
#define WRITTEN_AT_ONCE 100

/*
 * Changes when locks may have been given back: at the end of a transaction and
 * of an aborted subtransaction.
 */
uint64		capture_epoch = 1;

/* Has this transaction staged changes?  Whoever looks at it resets it. */
bool		changes_staged = false;

/* All of it lives in cxt, a child of TopTransactionContext; NULL when there is no buffer. */
typedef struct CaptureBuffer
{
	MemoryContext cxt;
	MemoryContext scratch;
	List	   *lists;			/* of StagedRows, one a partition */
	int			rows;			/* that are not written */
	Size		bytes;
	int			full_rows;		/* as many are to be written */
	Size		full_bytes;
	int			kept;			/* rows that are written, but may have to be written again */
	int			own_rows;		/* own changes that are not applied */
	bool		is_closing;		/* the transaction is about to end: nothing may stay */
} CaptureBuffer;

static CaptureBuffer buffer;

static void
start_buffer(void)
{
	buffer.cxt = AllocSetContextCreate(TopTransactionContext, "featurestore captured changes",
									   ALLOCSET_DEFAULT_SIZES);
	buffer.full_rows = FULL_ROWS;
	buffer.full_bytes = FULL_BYTES;
}

/* The list of what changes go to. */
StagedRows *
staged_rows(const CaptureTarget *target)
{
	StagedRows *list;
	MemoryContext old;
	ListCell   *lc;

	if (!buffer.cxt)
		start_buffer();
	foreach(lc, buffer.lists)
	{
		list = lfirst(lc);
		if (list->relid == target->relid && list->is_own == target->is_own &&
			equalTupleDescs(list->desc, target->desc))
			return list;
	}
	old = MemoryContextSwitchTo(buffer.cxt);
	list = palloc0(sizeof(StagedRows));
	list->relid = target->relid;
	list->is_own = target->is_own;
	list->desc = CreateTupleDescCopy(target->desc);
	list->sequence_attno = target->metadata.sequence;
	list->size = 16;
	list->rows = palloc(list->size * sizeof(StagedRow));
	buffer.lists = lappend(buffer.lists, list);
	MemoryContextSwitchTo(old);
	return list;
}

/* Where tuples of rows to be staged are made. */
MemoryContext
staged_rows_memory(void)
{
	return buffer.cxt;
}

static void
set_sequence(StagedRows *list, StagedRow *row, int64 sequence)
{
	Datum		value = Int64GetDatum(sequence);
	bool		isnull = false;
	int			attno = list->sequence_attno;
	MemoryContext old = MemoryContextSwitchTo(buffer.cxt);
	HeapTuple	tuple = heap_modify_tuple_by_cols(row->tuple, list->desc, 1, &attno, &value, &isnull);

	MemoryContextSwitchTo(old);
	heap_freetuple(row->tuple);
	row->tuple = tuple;
	row->sequence = sequence;
}

/* Counts a row as to be written or applied, or with sign -1 as no longer so. */
static void
count_row(StagedRows *list, const StagedRow *row, int sign)
{
	Size		bytes = row->tuple->t_len + sizeof(StagedRow);

	if (list->is_own)
	{
		buffer.own_rows += sign;
		list->own_bytes += sign * (int64) bytes;
	}
	else
	{
		buffer.rows += sign;
		buffer.bytes += sign * (int64) bytes;
	}
}

/*
 * Forgets all rows of a list but the last, a row without image that takes their
 * place: it lasts as long as any of them.
 */
static void
collapse(StagedRows *list)
{
	StagedRow  *last = &list->rows[list->n - 1];

	for (int i = 0; i < list->n - 1; i++)
	{
		StagedRow  *row = &list->rows[i];

		if (row->written_in == InvalidSubTransactionId)
			count_row(list, row, -1);
		else
			buffer.kept--;
		heap_freetuple(row->tuple);
	}
	last->made_in = list->rows[0].made_in;
	list->rows[0] = *last;
	list->n = 1;
}

/*
 * Puts a row at a position of the list.  Rows from there on move up, and what
 * numbers there are stay in order: the row gets that of the one it displaces.
 */
void
stage_row(StagedRows *list, const StagedRow *row, int position)
{
	int64		sequence = row->sequence;

	if (list->n == list->size)
	{
		list->size *= 2;
		list->rows = repalloc(list->rows, list->size * sizeof(StagedRow));
	}
	if (position < list->n)
	{
		memmove(&list->rows[position + 1], &list->rows[position],
				(list->n - position) * sizeof(StagedRow));
	}
	list->rows[position] = *row;
	list->rows[position].made_in = GetCurrentSubTransactionId();
	list->rows[position].written_in = InvalidSubTransactionId;
	list->n++;
	for (int i = position; i < list->n - 1; i++)
		set_sequence(list, &list->rows[i], list->rows[i + 1].sequence);
	if (position < list->n - 1)
		set_sequence(list, &list->rows[list->n - 1], sequence);

	if (row->type == CHANGE_INSERT)
		list->last_insert = Max(list->last_insert, row->cid);
	count_row(list, row, 1);
	if (row->type == CHANGE_TRUNCATE && list->is_own)
		collapse(list);
}

/* Do own changes take more memory than they should?  To look at the whole source is maintenance. */
bool
has_too_many(const StagedRows *list)
{
	return list->is_own && list->own_bytes > maintenance_work_mem * INT64CONST(1024);
}

/*
 * Opens the partition of a list; NULL if this transaction has dropped it, and
 * so what was staged.  The rest can only be the work of this transaction, too,
 * or of whoever thinks that the table is his to use: we hold a lock.
 */
static Relation
open_to_write(StagedRows *list)
{
	Relation	rel = try_table_open(list->relid, NoLock);
	TupleDesc	desc;
	bool		fits;

	if (!rel)
		return NULL;
	desc = RelationGetDescr(rel);
	fits = desc->natts >= list->desc->natts && rel->rd_rel->relispartition;
	for (int i = 0; fits && i < list->desc->natts; i++)
	{
		Form_pg_attribute now = TupleDescAttr(desc, i);

		fits = now->attisdropped || now->atttypid == TupleDescAttr(list->desc, i)->atttypid;
	}
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("staging table \"%s\" was altered after this transaction changed its source",
						RelationGetRelationName(rel))));
	for (int i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attnotnull)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("column \"%s\" of staging table \"%s\" is not null",
							NameStr(TupleDescAttr(desc, i)->attname), RelationGetRelationName(rel)),
					 errdetail("Changes are staged without checking constraints."),
					 errhint("Drop the constraint.")));
	}
	if (rel->rd_rel->relhasindex && RelationGetIndexList(rel) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("staging table \"%s\" has an index", RelationGetRelationName(rel)),
				 errdetail("Changes are staged without maintaining indexes."),
				 errhint("Drop the index.")));
	return rel;
}

/*
 * Lets the WAL grow by as much as change numbers have gone ahead, where the rows
 * themselves are not in it: a table made by this transaction, with wal_level
 * minimal.
 */
static void
advance_wal(int n)
{
	char	   *data = palloc0((Size) n * CHANGE_NUMBER_UNIT);

	XLogBeginInsert();
	XLogRegisterData(data, n * CHANGE_NUMBER_UNIT);
	XLogInsert(RM_XLOG_ID, XLOG_NOOP);
	pfree(data);
}

/* Writes the tuples of some slots, and frees those that the slots own. */
static void
write_slots(Relation rel, TupleTableSlot **slots, int n)
{
	if (n == 0)
		return;
	if (rel)
	{
		table_multi_insert(rel, slots, n, GetCurrentCommandId(true), 0, NULL);
		if (!RelationNeedsWAL(rel))
			advance_wal(n);
	}
	for (int i = 0; i < n; i++)
		ExecClearTuple(slots[i]);
}

/* Notes that a row of a list is written. */
static void
mark_written(StagedRows *list, StagedRow *row, SubTransactionId current)
{
	count_row(list, row, -1);
	row->written_in = current;
	list->written = Max(list->written, row->cid);
	if (row->type == CHANGE_INSERT)
		list->written_insert = Max(list->written_insert, row->cid);
	if (row->made_in >= current)
		row->tuple = NULL;
	else
		buffer.kept++;
}

/* Forgets rows that were written for good. */
static void
forget_written(StagedRows *list)
{
	int			n = 0;

	for (int i = 0; i < list->n; i++)
	{
		if (list->rows[i].tuple)
			list->rows[n++] = list->rows[i];
	}
	list->n = n;
}

/* Writes what is not written of a list. */
static void
write_list(StagedRows *list)
{
	SubTransactionId current = GetCurrentSubTransactionId();
	Relation	rel = open_to_write(list);
	TupleTableSlot *slots[WRITTEN_AT_ONCE];
	int			nslots = 0;		/* that were made */
	int			n = 0;			/* that are in use */

	for (int i = 0; i < list->n; i++)
	{
		StagedRow  *row = &list->rows[i];

		if (row->written_in != InvalidSubTransactionId)
			continue;
		if (n == WRITTEN_AT_ONCE)
		{
			write_slots(rel, slots, n);
			n = 0;
		}
		if (n == nslots)
			slots[nslots++] = MakeSingleTupleTableSlot(list->desc, &TTSOpsHeapTuple);
		/* a tuple that is kept is copied by the table */
		ExecStoreHeapTuple(row->tuple, slots[n++], row->made_in >= current);
		mark_written(list, row, current);
	}
	write_slots(rel, slots, n);

	for (int i = 0; i < nslots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	if (rel)
		table_close(rel, NoLock);
	forget_written(list);
}

/* When no row waits to be written again, waiting longer serves nothing. */
static void
reset_limits(void)
{
	if (buffer.kept > 0)
		return;
	buffer.full_rows = FULL_ROWS;
	buffer.full_bytes = FULL_BYTES;
}

/* Writes all that is not written. */
static void
write_rows(void)
{
	MemoryContext old;
	ListCell   *lc;

	if (buffer.rows == 0)
		return;
	changes_staged = true;
	/* after an error there may be something in it */
	if (buffer.scratch)
		MemoryContextReset(buffer.scratch);
	else
		buffer.scratch = AllocSetContextCreate(buffer.cxt, "featurestore written changes",
											   ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(buffer.scratch);
	foreach(lc, buffer.lists)
	{
		StagedRows *list = lfirst(lc);

		if (!list->is_own)
			write_list(list);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(buffer.scratch);
	Assert(buffer.rows == 0);
	reset_limits();
}

/*
 * Writes what is buffered if it is much.  Changes that triggers make are
 * captured before those of the statement that fired the triggers, among which
 * they may have to be put: so within a trigger we have patience.
 */
void
write_rows_if_full(void)
{
	if (buffer.is_closing)
		apply_own_changes();
	if (buffer.rows < buffer.full_rows && buffer.bytes < buffer.full_bytes && !buffer.is_closing)
		return;
	if (!buffer.is_closing &&
		buffer.rows < buffer.full_rows * NESTED_FACTOR &&
		buffer.bytes < buffer.full_bytes * NESTED_FACTOR &&
		DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) > 1)
		return;
	write_rows();
}

/* Are there own changes that are not applied? */
bool
has_own_changes(void)
{
	return buffer.own_rows > 0;
}

/* Takes what is not applied of a list, if there is any. */
static OwnChanges *
take_list(StagedRows *list)
{
	SubTransactionId current = GetCurrentSubTransactionId();
	OwnChanges *changes = NULL;

	for (int i = 0; i < list->n; i++)
	{
		StagedRow  *row = &list->rows[i];
		HeapTuple	tuple = row->tuple;

		if (row->written_in != InvalidSubTransactionId)
			continue;
		if (!changes)
		{
			changes = palloc0(sizeof(OwnChanges));
			changes->source = list->relid;
			changes->desc = list->desc;
			changes->rows = tuplestore_begin_heap(false, false, work_mem);
		}
		tuplestore_puttuple(changes->rows, tuple);
		changes->n++;
		changes->types |= 1 << row->type;
		mark_written(list, row, current);
		if (!row->tuple)
			heap_freetuple(tuple);
	}
	forget_written(list);
	return changes;
}

/*
 * The own changes that are not applied, which count as such from now on: a list
 * of OwnChanges in the current memory context.
 */
List *
take_own_changes(void)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (buffer.own_rows == 0)
		return NIL;
	foreach(lc, buffer.lists)
	{
		StagedRows *list = lfirst(lc);
		OwnChanges *changes = list->is_own ? take_list(list) : NULL;

		if (changes)
			result = lappend(result, changes);
	}
	Assert(buffer.own_rows == 0);
	return result;
}

/* Writes and applies what this backend has buffered, so that a snapshot taken next sees it. */
void
flush_captured_changes(void)
{
	if (apply_own_changes())
		CommandCounterIncrement();
	if (!buffer.cxt || buffer.rows == 0)
		return;
	write_rows();
	CommandCounterIncrement();
}

Datum
flush_captured(PG_FUNCTION_ARGS)
{
	flush_captured_changes();
	PG_RETURN_VOID();
}

/* Counts anew what is to be written, after an abort. */
static void
count_rows(void)
{
	ListCell   *lc;

	buffer.rows = 0;
	buffer.bytes = 0;
	buffer.kept = 0;
	buffer.own_rows = 0;
	foreach(lc, buffer.lists)
	{
		StagedRows *list = lfirst(lc);

		list->own_bytes = 0;
		for (int i = 0; i < list->n; i++)
		{
			if (list->rows[i].written_in != InvalidSubTransactionId)
				buffer.kept++;
			else
				count_row(list, &list->rows[i], 1);
		}
	}
}

/* Drops the rows that a subtransaction made, and takes back what it wrote. */
static void
abort_rows(SubTransactionId subid)
{
	bool		taken_back = false;
	ListCell   *lc;

	foreach(lc, buffer.lists)
	{
		StagedRows *list = lfirst(lc);

		while (list->n > 0 && list->rows[list->n - 1].made_in >= subid)
		{
			list->n--;
			if (list->rows[list->n].tuple)
				heap_freetuple(list->rows[list->n].tuple);
		}
		for (int i = 0; i < list->n; i++)
		{
			if (list->rows[i].written_in >= subid)
			{
				list->rows[i].written_in = InvalidSubTransactionId;
				taken_back = true;
			}
		}
	}
	count_rows();
	/* were the next to write them to abort, too, then as many changes had passed */
	if (taken_back)
	{
		buffer.full_rows = Max(FULL_ROWS, 2 * buffer.rows);
		buffer.full_bytes = Max(FULL_BYTES, 2 * buffer.bytes);
	}
}

/* Forgets rows whose fate is now that of what was written of them. */
static void
settle_rows(SubTransactionId subid, SubTransactionId parent)
{
	ListCell   *lc;

	if (buffer.kept == 0)
		return;
	foreach(lc, buffer.lists)
	{
		StagedRows *list = lfirst(lc);

		for (int i = 0; i < list->n; i++)
		{
			StagedRow  *row = &list->rows[i];

			if (row->written_in >= subid && row->made_in >= parent)
			{
				heap_freetuple(row->tuple);
				row->tuple = NULL;
				buffer.kept--;
			}
		}
		forget_written(list);
	}
	reset_limits();
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		capture_epoch++;
	if (!buffer.cxt)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		abort_rows(subid);
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		settle_rows(subid, parent);
}

/*
 * Before a transaction commits or is prepared everything is applied and
 * written; should another extension then change a source, that is done at once.
 * What is applied may fire triggers, deferred ones too if the transaction has
 * set them so, and these have more changes to be applied.  The memory of the
 * buffer goes with the transaction.  Parallel workers change nothing.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			while (apply_own_changes())
				AfterTriggerFireDeferred();
			if (buffer.cxt)
				write_rows();
			buffer.is_closing = true;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			Assert(event == XACT_EVENT_ABORT || buffer.rows + buffer.own_rows == 0);
			memset(&buffer, 0, sizeof(buffer));
			synchronous_forget();
			capture_epoch++;
			break;
		default:
			break;
	}
}

void
capture_buffer_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
