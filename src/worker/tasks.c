/*
 * tasks.c
 *	  What a worker has to do: the publications that run by themselves.
 *
 * A publication is run when it has changes to apply, which is looked at when a
 * transaction has woken us; and when it is due anyway, as _worker_tasks says:
 * never filled, keys held for later, a failure to be tried again.  The list is
 * read again when a definition has changed, and from time to time: each second
 * while there is work, then less and less.
 *
 * Publications take turns, a step each, so that a first fill that takes hours
 * delays others by a step at most.  Each step is a transaction of its own, and
 * an error in one never stops the others.  A table that somebody else has
 * locked is left for later.  Other locks, of sources say, are waited for but
 * shortly, and the longer the more often that was too short.
 */
#include "postgres.h"

#include "access/twophase.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog/pending.h"
#include "publish/sync.h"
#include "worker/worker.h"
#include "compat.h"

/* In ms: how often the list is read while there is work, and at rest. */
#define FIRST_POLL 1000
#define LAST_POLL 60000

/* A lock is waited for so long, and the table left alone for so many times as long. */
#define FIRST_LOCK_WAIT 20
#define LAST_LOCK_WAIT 2560
#define LOCK_REST 3

/* Space in staging tables is given back no more often, in ms. */
#define ROTATION_INTERVAL 250

/* Another worker is asked for no more often, in ms. */
#define HELP_INTERVAL 5000

/* A publication that fails rests for 1 s, and twice as long each time. */
#define FIRST_REST 1000
#define LAST_REST 300000

typedef struct Task
{
	Oid			relation;
	bool		is_continuous;	/* runs when it has changes */
	bool		has_news;		/* it may have, we were woken */
	TimestampTz due_at;			/* runs then in any case */
	TimestampTz rests_until;	/* and not before this */
	TimestampTz rotated_at;		/* when space was given back, or could not be */
	int			lock_wait;
	int			rest;
} Task;

typedef enum Outcome
{
	STEP_IDLE,					/* it had no changes */
	STEP_DONE,
	STEP_FOLLOWS,				/* more is to be done */
	STEP_LOCKED,				/* somebody else has the table */
	STEP_STALE,					/* the list is to be read first */
	STEP_FAILED
} Outcome;

static MemoryContext turn_context = NULL;	/* reset after each turn */
static MemoryContext tasks_context = NULL;
static List *tasks = NIL;
static bool are_stale = true;
static Oid	watched[4];			/* tables whose changes make the list stale */
static int	poll_interval = FIRST_POLL;
static TimestampTz read_at = 0;
static bool keeps_log = false;	/* lookups are logged, which nobody tells us of */

void
tasks_are_stale(void)
{
	are_stale = true;
}

bool
have_tasks_changed(void)
{
	return are_stale;
}

/* Whoever writes a definition sends an invalidation of its catalog. */
static void
at_invalidation(Datum arg, Oid relid)
{
	for (int i = 0; i < lengthof(watched); i++)
	{
		if (!OidIsValid(relid) || relid == watched[i])
			are_stale = true;
	}
}

void
tasks_init(void)
{
	tasks_context = AllocSetContextCreate(TopMemoryContext, "featurestore tasks",
										  ALLOCSET_SMALL_SIZES);
	CacheRegisterRelcacheCallback(at_invalidation, (Datum) 0);
}

/*
 * Somebody has woken us: any publication may have changes.  Or a transaction is
 * prepared that has some, and nobody will tell when it commits.
 */
void
look_at_tasks(void)
{
	ListCell   *lc;

	poll_interval = FIRST_POLL;
	foreach(lc, tasks)
		((Task *) lfirst(lc))->has_news = true;
}

/* Starts a transaction that keeps the extension; leaves for good without one, or without our slot. */
void
start_worker_transaction(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!lock_extension() || !have_slot())
	{
		CommitTransactionCommand();
		proc_exit(0);
	}
}

void
finish_transaction(void)
{
	CommitTransactionCommand();
	MemoryContextSwitchTo(turn_context);
}

static Task *
find_task(List *list, Oid relation)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		Task	   *task = lfirst(lc);

		if (task->relation == relation)
			return task;
	}
	return NULL;
}

/* Makes the list from what _worker_tasks gave; what we know of a task stays known. */
static List *
list_tasks(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *result = NIL;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Task	   *task = palloc0(sizeof(Task));
		bool		isnull;
		Task	   *known;

		task->relation = DatumGetObjectId(SPI_getbinval(row, desc, 1, &isnull));
		task->lock_wait = FIRST_LOCK_WAIT;
		task->rest = FIRST_REST;
		known = find_task(tasks, task->relation);
		if (known)
			*task = *known;
		task->is_continuous = DatumGetBool(SPI_getbinval(row, desc, 2, &isnull));
		task->due_at = DatumGetTimestampTz(SPI_getbinval(row, desc, 3, &isnull));
		task->has_news = true;
		result = lappend(result, task);
	}
	MemoryContextSwitchTo(old);
	return result;
}

static void
watch_catalogs(void)
{
	static const char *const names[] = {"publication", "staging", "worker", "serve_log"};
	Oid			schema = get_rel_namespace(worker_catalog());

	for (int i = 0; i < lengthof(names); i++)
		watched[i] = get_relname_relid(names[i], schema);
}

/* Are there prepared transactions in this database? */
static bool
has_prepared_transactions(void)
{
	if (max_prepared_xacts == 0)
		return false;
	if (SPI_execute("SELECT FROM pg_catalog.pg_prepared_xacts WHERE database OPERATOR(pg_catalog.=) pg_catalog.current_database()",
					false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not find prepared transactions");
	return SPI_processed > 0;
}

/* Does any spec log lookups? */
static bool
has_serve_logs(void)
{
	if (SPI_execute("SELECT FROM featurestore.serve_log", false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not find logs of lookups");
	return SPI_processed > 0;
}

/* Reads the list. */
static void
read_tasks(void)
{
	MemoryContext context;

	start_worker_transaction();
	PushActiveSnapshot(GetTransactionSnapshot());
	watch_catalogs();
	/* what changes from here on makes it stale again */
	are_stale = false;
	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute("SELECT relation, is_continuous, due_at FROM featurestore._worker_tasks()", false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not find what is to be done");
	context = AllocSetContextCreate(TopMemoryContext, "featurestore tasks", ALLOCSET_SMALL_SIZES);
	tasks = list_tasks(context);
	MemoryContextDelete(tasks_context);
	tasks_context = context;
	if (has_prepared_transactions())
		poll_interval = FIRST_POLL;
	keeps_log = has_serve_logs();
	SPI_finish();
	PopActiveSnapshot();
	finish_transaction();
	read_at = GetCurrentTimestamp();
}

static void
set_lock_timeout(int ms)
{
	SetConfigOption("lock_timeout", psprintf("%d", ms), PGC_SUSET, PGC_S_OVERRIDE);
}

/* Records that a step failed, and says so. */
static void
note_failure(Task *task, TimestampTz started, ErrorData *error)
{
	char	   *name;

	start_worker_transaction();
	PushActiveSnapshot(GetTransactionSnapshot());
	name = get_rel_name(task->relation);
	if (name)
	{
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("publication of %s failed: %s",
						quote_qualified_identifier(get_namespace_name(get_rel_namespace(task->relation)), name),
						error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 error->hint ? errhint("%s", error->hint) : 0));
		record_failure(task->relation, started, error);
	}
	else
		tasks_are_stale();
	PopActiveSnapshot();
	finish_transaction();
}

/* What a step that raised an error came to. */
static Outcome
failed(Task *task, TimestampTz started, ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		return STEP_LOCKED;
	note_failure(task, started, error);
	return STEP_FAILED;
}

/* Has a publication changes to apply, or cannot that be told? */
static bool
has_changes(Task *task)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		result = has_pending(task->relation, snapshot, DT_NOEND);

	UnregisterSnapshot(snapshot);
	return result;
}

/* Tells pg_stat_activity which table we are at. */
static void
report_task(Task *task)
{
	char	   *name = get_rel_name(task->relation);

	if (name)
		pgstat_report_activity(STATE_RUNNING,
							   psprintf("featurestore: sync of %s",
										quote_qualified_identifier(get_namespace_name(get_rel_namespace(task->relation)), name)));
}

static bool
is_time_to_rotate(Task *task)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(task->rotated_at, now, ROTATION_INTERVAL))
		return false;
	task->rotated_at = now;
	return true;
}

/* Runs one step of a publication, if it is due or has changes, in the current transaction. */
static Outcome
run_step(Task *task, bool is_due)
{
	bool		is_done;

	if (!is_due && !has_changes(task))
		return STEP_IDLE;
	if (!try_lock_for_run(task->relation))
		return STEP_LOCKED;
	/* with the lock, nobody pauses or drops it any more */
	if (are_stale || !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(task->relation)))
		return STEP_STALE;
	report_task(task);
	PushActiveSnapshot(GetTransactionSnapshot());
	is_done = sync_step(task->relation, is_time_to_rotate(task));
	PopActiveSnapshot();
	return is_done ? STEP_DONE : STEP_FOLLOWS;
}

/* Does so in a transaction of its own. */
static Outcome
run_task(Task *task, bool is_due)
{
	TimestampTz started = GetCurrentTimestamp();
	ErrorData  *error = NULL;
	Outcome		outcome = STEP_FAILED;

	set_lock_timeout(task->lock_wait);
	PG_TRY();
	{
		start_worker_transaction();
		outcome = run_step(task, is_due);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(turn_context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();

	MemoryContextSwitchTo(turn_context);
	set_lock_timeout(LAST_LOCK_WAIT);
	return error ? failed(task, started, error) : outcome;
}

/* Says when a task is to be run next. */
static void
settle_task(Task *task, Outcome outcome)
{
	TimestampTz now = GetCurrentTimestamp();

	switch (outcome)
	{
		case STEP_IDLE:
			break;
		case STEP_STALE:
			task->has_news = true;
			are_stale = true;
			break;
		case STEP_DONE:
			/* the list says when it is due again */
			task->due_at = DT_NOEND;
			task->lock_wait = FIRST_LOCK_WAIT;
			task->rest = FIRST_REST;
			break;
		case STEP_FOLLOWS:
			task->due_at = now;
			break;
		case STEP_LOCKED:
			task->due_at = task->rests_until = TimestampTzPlusMilliseconds(now, task->lock_wait * LOCK_REST);
			task->lock_wait = Min(task->lock_wait * 2, LAST_LOCK_WAIT);
			break;
		case STEP_FAILED:
			task->due_at = task->rests_until = TimestampTzPlusMilliseconds(now, task->rest);
			task->rest = Min(task->rest * 2, LAST_REST);
			break;
	}
}

/* Runs a task if it is its time; gives whether there was something to do. */
static bool
serve_task(Task *task)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		is_due = now >= task->due_at;
	Outcome		outcome;

	if (now < task->rests_until || !(is_due || (task->is_continuous && task->has_news)))
		return false;
	task->has_news = false;
	outcome = run_task(task, is_due);
	settle_task(task, outcome);
	return outcome != STEP_IDLE && outcome != STEP_STALE;
}

/* Wakes the other workers, and starts those that are missing. */
static void
ask_for_help(void)
{
	static TimestampTz asked_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	Oid			catalog;

	start_worker_transaction();
	catalog = worker_catalog();
	for (int slot = 1; slot < workers_per_database; slot++)
	{
		KnownWorker worker;
		WorkerRow	row;

		if (find_worker(catalog, slot, &worker, &row))
			SetLatch(&worker.proc->procLatch);
		else if (TimestampDifferenceExceeds(asked_at, now, HELP_INTERVAL) &&
				 !register_worker(MyDatabaseId, slot, false, NULL))
			report_no_slot(LOG);
	}
	if (TimestampDifferenceExceeds(asked_at, now, HELP_INTERVAL))
		asked_at = now;
	finish_transaction();
}

/* When the first of the tasks is due, or the list is to be read again. */
static TimestampTz
next_time(void)
{
	TimestampTz next = are_stale ? GetCurrentTimestamp() :
		TimestampTzPlusMilliseconds(read_at, poll_interval);
	ListCell   *lc;

	foreach(lc, tasks)
	{
		Task	   *task = lfirst(lc);
		TimestampTz due_at = task->is_continuous && task->has_news ? task->rests_until :
			Max(task->due_at, task->rests_until);

		next = Min(next, due_at);
	}
	return next;
}

/*
 * Runs what is to be run, a step each; gives when there will be something again.
 * Workers that share the list begin at different places of it.
 */
TimestampTz
work_on_tasks(int slot)
{
	int			served = 0;
	int			n;
	TimestampTz next;

	turn_context = CurrentMemoryContext;
	if (are_stale || TimestampDifferenceExceeds(read_at, GetCurrentTimestamp(), poll_interval))
	{
		poll_interval = Min(poll_interval * 2, LAST_POLL);
		read_tasks();
	}
	n = list_length(tasks);
	for (int i = 0; i < n; i++)
	{
		Task	   *task = list_nth(tasks, (i + slot * n / workers_per_database) % n);

		if (serve_task(task) && ++served == 2 && slot == 0 && workers_per_database > 1)
			ask_for_help();
		CHECK_FOR_INTERRUPTS();
		if (is_database_wanted())
			proc_exit(0);
	}
	if (served > 0)
		poll_interval = FIRST_POLL;
	next = next_time();
	if (slot == 0)
		next = Min(next, Min(drain_serve_log(keeps_log), prune_histories()));
	return next;
}
