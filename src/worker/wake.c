/*
 * wake.c
 *	  What a transaction does for the worker: it wakes it, or starts one.
 *
 * Before a transaction that has staged changes commits, we look for the worker,
 * once in the life of both; when it has committed we set the latch of the
 * worker, which takes neither a lock nor a look at any table.
 *
 * If there is none and there is something for it to do, one is started when the
 * transaction has committed, so that it sees what that has done.  Whatever goes
 * wrong with that, the transaction goes on.  A worker that nobody wakes, as when
 * a prepared transaction commits, looks by itself after a while.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog/definition.h"
#include "catalog/spec.h"
#include "publish/capture.h"
#include "worker/worker.h"
#include "compat.h"

bool		autostart_worker = true;

/* In ms: how long not to look again when none is found, nor to start one again, and that after it was in vain. */
#define LOOK_AGAIN 50
#define START_AGAIN 100
#define START_AGAIN_IN_VAIN 60000

static KnownWorker known;
static TimestampTz next_look = 0;
static TimestampTz next_start = 0;
static bool start_at_commit = false;

/* The worker itself is woken by what it stages, for publications of what it publishes. */
void
remember_worker(PGPROC *proc)
{
	known.proc = proc;
	known.pid = proc->pid;
}

/* Can a catalog be read without waiting?  If so it is locked. */
static bool
can_read(Oid catalog)
{
	return OidIsValid(catalog) && ConditionalLockRelationOid(catalog, AccessShareLock) &&
		SearchSysCacheExists1(RELOID, ObjectIdGetDatum(catalog));
}

/* Is there a row of a catalog for whose sake a worker is to be started? */
static bool
is_any_row(Oid schema, const char *catalog, bool (*wanted) (Datum *values, bool *nulls))
{
	Oid			relid = get_relname_relid(catalog, schema);
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	if (!can_read(relid))
		return false;
	rel = table_open(relid, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	Assert(RelationGetNumberOfAttributes(rel) <= CATALOG_MAX_COLUMNS);
	while (!found && (tuple = systable_getnext(scan)) != NULL)
	{
		Datum		values[CATALOG_MAX_COLUMNS];
		bool		nulls[CATALOG_MAX_COLUMNS];

		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
		found = wanted(values, nulls);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static bool
runs_by_itself(Datum *values, bool *nulls)
{
	return !nulls[Anum_publication_schedule - 1] ||
		strcmp(TextDatumGetCString(values[Anum_publication_publish_mode - 1]), "CONTINUOUS") == 0;
}

static bool
is_external(Datum *values, bool *nulls)
{
	return !nulls[Anum_staging_online_table - 1];
}

static bool
is_logged(Datum *values, bool *nulls)
{
	return true;
}

/* One transaction at a time starts a worker of a database. */
static bool
may_start(Oid catalog)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, catalog, 0, 1);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Looks for the worker, and whether to start one if there is none. */
static void
look_for_worker(void)
{
	TimestampTz now = GetCurrentTimestamp();
	Oid			catalog;
	Oid			schema;
	WorkerRow	row;

	if (now < next_look)
		return;
	next_look = TimestampTzPlusMilliseconds(now, LOOK_AGAIN);
	catalog = worker_catalog();
	if (!can_read(catalog) || find_worker(catalog, 0, &known, &row))
		return;

	/* what the last statement has defined counts, too */
	CommandCounterIncrement();
	schema = get_rel_namespace(catalog);
	start_at_commit = autostart_worker && !IsBinaryUpgrade && !row.is_stopped &&
		now >= next_start && TimestampDifferenceExceeds(row.started_at, now, START_AGAIN) &&
		(is_any_row(schema, "publication", runs_by_itself) ||
		 is_any_row(schema, "staging", is_external) ||
		 is_any_row(schema, "serve_log", is_logged)) &&
		may_start(catalog);
}

static void
start_worker_now(void)
{
	bool		is_registered = register_worker(MyDatabaseId, 0, false, NULL);

	next_start = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											 is_registered ? START_AGAIN : START_AGAIN_IN_VAIN);
	if (!is_registered)
		report_no_slot(LOG);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (!changes_staged && !definitions_changed)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (!is_worker_alive(&known))
				look_for_worker();
			return;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			if (is_worker_alive(&known))
				SetLatch(&known.proc->procLatch);
			else if (start_at_commit)
				start_worker_now();
			break;
		case XACT_EVENT_ABORT:
			break;
		default:
			return;
	}
	changes_staged = definitions_changed = start_at_commit = false;
}

/*
 * Callbacks are called in the reverse order of their registration, and ours
 * asks what that of the capture buffer has done.
 */
void
wake_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}
