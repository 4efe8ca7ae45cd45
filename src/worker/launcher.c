/*
 * launcher.c
 *	  Starts the workers of all databases, where the library is preloaded.
 *
 * The launcher is in no database and so cannot tell which have the extension.
 * It starts a worker in each, which ends at once where there is none, or where
 * workers were stopped.  The sooner a worker has ended the longer it takes until
 * the next is tried, up to a few minutes; one that had lived is replaced soon.
 * Nothing is lost meanwhile: a commit that has work for a worker starts one.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "worker/worker.h"
#include "compat.h"

/* In s: between looks at the databases, and until a worker is tried again. */
#define LOOK_INTERVAL 5
#define FIRST_PAUSE 5
#define LAST_PAUSE 180

/* A worker that ends sooner than after so many s had nothing to do, or cannot do it. */
#define SHORT_LIFE 10

/* So many ms are between complaints that there are no more processes to be had. */
#define COMPLAINT_INTERVAL 300000

PGDLLEXPORT void featurestore_launcher_main(Datum arg);

typedef struct Database
{
	Oid			oid;
	BackgroundWorkerHandle *handle; /* NULL: no worker of ours */
	TimestampTz started_at;
	TimestampTz next_start;
	int			pause;			/* s, after a short life */
	bool		is_there;
} Database;

static List *databases = NIL;
static MemoryContext launcher_context = NULL;
static TimestampTz complained_at = 0;

static Database *
known_database(Oid oid)
{
	ListCell   *lc;
	Database   *database;
	MemoryContext old;

	foreach(lc, databases)
	{
		database = lfirst(lc);
		if (database->oid == oid)
			return database;
	}
	old = MemoryContextSwitchTo(launcher_context);
	database = palloc0(sizeof(Database));
	database->oid = oid;
	database->pause = FIRST_PAUSE;
	databases = lappend(databases, database);
	MemoryContextSwitchTo(old);
	return database;
}

/* Forgets databases that are gone, with what was kept of them. */
static void
forget_databases(void)
{
	ListCell   *lc;

	foreach(lc, databases)
	{
		Database   *database = lfirst(lc);

		if (database->is_there)
			continue;
		if (database->handle)
			pfree(database->handle);
		databases = foreach_delete_current(databases, lc);
		pfree(database);
	}
}

/* Brings the list of databases up to date. */
static void
read_databases(void)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lc;

	foreach(lc, databases)
		((Database *) lfirst(lc))->is_there = false;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* as the autovacuum launcher does: to read a catalog takes a snapshot */
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (database->datallowconn && !database->datistemplate)
			known_database(database->oid)->is_there = true;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	forget_databases();
}

/* Has the worker of a database ended?  Then it says when to try another. */
static void
note_end(Database *database)
{
	TimestampTz now = GetCurrentTimestamp();
	pid_t		pid;

	if (!database->handle || GetBackgroundWorkerPid(database->handle, &pid) != BGWH_STOPPED)
		return;
	pfree(database->handle);
	database->handle = NULL;
	if (TimestampDifferenceExceeds(database->started_at, now, SHORT_LIFE * 1000))
		database->pause = FIRST_PAUSE;
	else
		database->pause = Min(database->pause * 2, LAST_PAUSE);
	database->next_start = TimestampTzPlusMilliseconds(now, database->pause * 1000L);
}

/* Starts a worker for a database; false if the server can have no more. */
static bool
start_for(Database *database)
{
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext old = MemoryContextSwitchTo(launcher_context);
	bool		is_registered = register_worker(database->oid, 0, false, &database->handle);

	MemoryContextSwitchTo(old);
	database->started_at = now;
	if (is_registered)
		return true;
	database->handle = NULL;
	if (complained_at == 0 || TimestampDifferenceExceeds(complained_at, now, COMPLAINT_INTERVAL))
	{
		complained_at = now;
		report_no_slot(LOG);
	}
	return false;
}

/* Starts the workers that are to be started. */
static void
start_workers(void)
{
	ListCell   *lc;

	foreach(lc, databases)
	{
		Database   *database = lfirst(lc);

		note_end(database);
		if (!database->handle && GetCurrentTimestamp() >= database->next_start &&
			!start_for(database))
			break;
	}
}

/* Main function of the launcher. */
void
featurestore_launcher_main(Datum arg)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", "featurestore launcher", PGC_SUSET, PGC_S_OVERRIDE);

	launcher_context = AllocSetContextCreate(TopMemoryContext, "featurestore launcher",
											 ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		read_databases();
		start_workers();
		pgstat_report_activity(STATE_IDLE, NULL);
		/* a worker that starts or ends sets the latch */
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					  LOOK_INTERVAL * 1000L, PG_WAIT_EXTENSION) & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
}

/* Registers the launcher, when the library is preloaded. */
void
launcher_init(void)
{
	BackgroundWorker worker = {
		.bgw_name = "featurestore launcher",
		.bgw_type = "featurestore launcher",
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = FIRST_PAUSE,
		.bgw_library_name = "featurestore",
		.bgw_function_name = "featurestore_launcher_main"
	};

	if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
		RegisterBackgroundWorker(&worker);
}
