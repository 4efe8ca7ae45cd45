/*
 * histories.c
 *	  Prunes the histories of online tables, between publications: one step a
 *	  turn, each a transaction of its own.
 *
 * Which ones are to be pruned is looked at once a minute.  The list is that of
 * one worker.  A history that cannot be pruned is left until then, as is one
 * whose table is locked: nobody waits behind it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/pg_list.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "publish/sync.h"
#include "worker/worker.h"

/* In ms */
#define PRUNE_INTERVAL 60000

static List *due = NIL;
static int64 block = 0;			/* that the first of them has come to */
static TimestampTz looked_at = 0;

static void
start_step(void)
{
	start_worker_transaction();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
finish_step(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static void
find_due(void)
{
	list_free(due);
	due = NIL;
	block = 0;
	looked_at = GetCurrentTimestamp();
	start_step();
	due = due_histories(TopMemoryContext);
	finish_step();
}

/*
 * Prunes some of a history, from a block on, which moves on; gives whether no more
 * can be done now.  An error is a WARNING: it is of concern to nobody else.
 */
static bool
try_step(Oid relation, int64 *from)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;
	volatile bool is_done = true;

	PG_TRY();
	{
		start_step();
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)) &&
			ConditionalLockRelationOid(relation, PRUNE_LOCK_MODE))
			is_done = prune_step(relation, from);
		finish_step();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		is_done = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (error)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("history of the relation with OID %u could not be pruned: %s", relation,
						error->message)));
	return is_done;
}

/* Prunes some of the first history; the next is the first one then, if that was all. */
static void
prune_first(void)
{
	if (try_step(linitial_oid(due), &block))
	{
		due = list_delete_first(due);
		block = 0;
	}
}

/* Does a step, if there is something to prune; gives when to do the next. */
TimestampTz
prune_histories(void)
{
	MemoryContext context = CurrentMemoryContext;

	if (history_retention == 0)
		return DT_NOEND;
	if (due == NIL && TimestampDifferenceExceeds(looked_at, GetCurrentTimestamp(), PRUNE_INTERVAL))
		find_due();
	else if (due != NIL)
		prune_first();
	MemoryContextSwitchTo(context);
	return due != NIL ? GetCurrentTimestamp() :
		TimestampTzPlusMilliseconds(looked_at, PRUNE_INTERVAL);
}
