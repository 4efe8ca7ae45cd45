/*
 * worker.c
 *	  The process that runs the publications of one database.
 *
 * It sleeps until a transaction that has staged changes wakes it, or until
 * something is due (see tasks.c), with a look from time to time as a net.  It
 * holds nothing while it sleeps but the lock of its slot.
 *
 * It must not be in the way of whoever wants the database or the extension
 * gone.  DROP DATABASE, ALTER DATABASE RENAME and CREATE DATABASE ... TEMPLATE
 * lock the database and then give others five seconds to leave: so we look
 * every now and then whether we could lock it ourselves, and leave if not.  DROP
 * EXTENSION waits for the transaction that we are in, and then we find that it
 * is gone.
 *
 * It never restarts by itself: a commit or the launcher starts the next one.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "worker/worker.h"
#include "compat.h"

/* Looks whether the database is wanted, in ms. */
#define TICK 2000
#define BUSY_TICK 500

/* Waits after an error that is not of one publication, in ms. */
#define FIRST_PAUSE 1000
#define LAST_PAUSE 60000

/* Others look whether a slot is taken by locking it, for an instant. */
#define SLOT_TRIES 20
#define SLOT_WAIT 50

int			workers_per_database = 1;

PGDLLEXPORT void featurestore_worker_main(Datum arg);

static WorkerOrder order;
static LOCKTAG slot_tag;
static TimestampTz database_looked_at = 0;
static bool is_pausing = false; /* after an error, whatever happens meanwhile */

/*
 * Locks the extension until the end of the transaction; false if there is
 * none, or none any more.
 */
bool
lock_extension(void)
{
	Oid			extension = get_extension_oid("featurestore", true);

	if (!OidIsValid(extension))
		return false;
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	return get_extension_oid("featurestore", true) == extension;
}

/* Does somebody wait for us to leave the database?  Looks again after a while only. */
bool
is_database_wanted(void)
{
	TimestampTz now = GetCurrentTimestamp();
	LOCKTAG		tag;

	if (!TimestampDifferenceExceeds(database_looked_at, now, BUSY_TICK))
		return false;
	database_looked_at = now;
	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, MyDatabaseId, 0);
	if (LockAcquire(&tag, RowExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, RowExclusiveLock, true);
	return false;
}

/* What the settings of a role or database could spoil. */
static void
set_settings(void)
{
	static const char *const settings[][2] = {
		{"application_name", "featurestore worker"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"session_replication_role", "origin"},
		{"synchronous_commit", "local"},
		{"search_path", ""},
		{"statement_timeout", "0"},
		{"lock_timeout", "1s"},
		{"idle_in_transaction_session_timeout", "0"},
		{"row_security", "on"},
		{"jit", "off"},
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	SetTransactionTimeoutCompat();
}

/* Takes the lock of our slot for as long as we live; false if another has it. */
static bool
take_slot(Oid catalog)
{
	set_slot_tag(&slot_tag, catalog, order.slot);
	for (int i = 0; i < SLOT_TRIES; i++)
	{
		if (LockAcquire(&slot_tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL)
			return true;
		pg_usleep(SLOT_WAIT * 1000L);
	}
	return false;
}

/*
 * Have we still the lock of our slot?  It is an advisory lock, and what a
 * trigger of a user calls may give all of them back.  A worker besides the first
 * is not needed without that.
 */
bool
have_slot(void)
{
	return LockHeldByMeCompat(&slot_tag, ExclusiveLock) &&
		(order.slot == 0 || is_slot_taken(slot_tag.locktag_field2, 0));
}

/* Tells others our pid; false if workers were stopped, and nobody has commanded us. */
static bool
write_slot(void)
{
	Oid			types[] = {INT4OID, INT4OID, INT8OID, BOOLOID};
	Datum		values[] = {
		Int32GetDatum(order.slot), Int32GetDatum(MyProcPid),
		Int64GetDatum((int64) GetSystemIdentifier()), BoolGetDatum(order.is_commanded)
	};
	bool		is_written;

	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute_with_args("INSERT INTO featurestore.worker AS w (slot, pid, started_at, system_identifier) "
							  "VALUES ($1, $2, pg_catalog.clock_timestamp(), $3) ON CONFLICT (slot) DO UPDATE "
							  "SET pid = excluded.pid, started_at = excluded.started_at, system_identifier = excluded.system_identifier, is_stopped = false "
							  "WHERE $4 OR NOT w.is_stopped OR w.system_identifier OPERATOR(pg_catalog.<>) $3",
							  4, types, values, NULL, false, 0) < 0)
		elog(ERROR, "could not write the catalog of workers");
	is_written = SPI_processed == 1;
	SPI_finish();
	return is_written;
}

/* Makes this process the worker of its slot; false if it is not to be. */
static bool
become_worker(void)
{
	bool		is_ours = false;
	Oid			catalog;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (lock_extension() && OidIsValid(catalog = worker_catalog()))
		is_ours = take_slot(catalog) && write_slot();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return is_ours;
}

/* Reports an error that ended a turn, and cleans up after it. */
static void
recover(void)
{
	HOLD_INTERRUPTS();
	EmitErrorReport();
	AbortCurrentTransaction();
	FlushErrorState();
	pgstat_report_activity(STATE_IDLE, NULL);
	RESUME_INTERRUPTS();
}

/* Works on what is due; gives when to do so next. */
static TimestampTz
take_turn(void)
{
	static int	pause = FIRST_PAUSE;
	MemoryContext context = CurrentMemoryContext;
	TimestampTz next;

	PG_TRY();
	{
		is_pausing = false;
		next = work_on_tasks(order.slot);
		pause = FIRST_PAUSE;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		recover();
		tasks_are_stale();
		is_pausing = true;
		next = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause);
		pause = Min(pause * 2, LAST_PAUSE);
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	MemoryContextReset(context);
	return next;
}

/* Sleeps until a time or until woken, and looks around meanwhile. */
static void
sleep_until(TimestampTz next)
{
	for (;;)
	{
		long		wait = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next);

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (is_database_wanted() || order.slot >= workers_per_database)
			proc_exit(0);
		AcceptInvalidationMessages();
		if (wait <= 0 || (have_tasks_changed() && !is_pausing))
			return;
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Min(wait, TICK),
					  PG_WAIT_EXTENSION) & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			AcceptInvalidationMessages();
			look_at_tasks();
			if (!is_pausing)
				return;
		}
		pgstat_report_stat(false);
	}
}

/* Main function of a worker. */
void
featurestore_worker_main(Datum arg)
{
	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), InvalidOid, 0);

	if (RecoveryInProgress() || IsBinaryUpgrade)
		proc_exit(0);
	set_settings();
	tasks_init();
	if (!become_worker())
		proc_exit(0);
	if (order.slot == 0)
		remember_worker(MyProc);

	MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext, "featurestore worker",
												ALLOCSET_DEFAULT_SIZES));
	for (;;)
	{
		TimestampTz next = take_turn();

		pgstat_report_activity(STATE_IDLE, NULL);
		pgstat_report_stat(false);
		sleep_until(next);
	}
}
