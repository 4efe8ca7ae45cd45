/*
 * control.c
 *	  Starting and stopping the workers of a database by hand.
 *
 * A worker that is started here clears the mark that others were stopped, and
 * whoever stops them sets it; neither waits for the end of a transaction to
 * take effect, but that stopped workers stay away does.
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog/definition.h"
#include "worker/worker.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(start_worker);
PG_FUNCTION_INFO_V1(stop_worker);
PG_FUNCTION_INFO_V1(is_worker_running);

/* Waits at most so many ms for workers to come or go, looking each time after so many. */
#define PATIENCE 30000
#define GLANCE 10

/* The owner of this database. */
static Oid
database_owner(void)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
	owner = ((Form_pg_database) GETSTRUCT(tuple))->datdba;
	ReleaseSysCache(tuple);
	return owner;
}

/* Raises an error unless the caller may control workers, on this server. */
static void
check_control(void)
{
	Relation	catalog;
	Oid			owner;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("workers do not run during recovery"),
				 errhint("Once this server is promoted, they do.")));
	catalog = open_catalog_table("worker");
	owner = catalog->rd_rel->relowner;
	table_close(catalog, NoLock);
	if (!has_privs_of_role(GetUserId(), database_owner()) && !has_privs_of_role(GetUserId(), owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to control workers of database \"%s\"",
						get_database_name(MyDatabaseId)),
				 errhint("Only members of the role that owns the database, or of the one that owns the extension, may do so.")));
}

/* Sleeps for a moment; false when patience has come to an end. */
static bool
wait_a_moment(TimestampTz started)
{
	CHECK_FOR_INTERRUPTS();
	if (TimestampDifferenceExceeds(started, GetCurrentTimestamp(), PATIENCE))
		return false;
	if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, GLANCE,
				  PG_WAIT_EXTENSION) & WL_LATCH_SET)
		ResetLatch(MyLatch);
	return true;
}

/* Waits until there is a worker; the one that was asked for, or another who was faster. */
static void
wait_for_start(Oid catalog, BackgroundWorkerHandle *handle)
{
	TimestampTz started = GetCurrentTimestamp();
	KnownWorker worker;
	WorkerRow	row;

	do
	{
		pid_t		pid;
		bool		is_over = GetBackgroundWorkerPid(handle, &pid) == BGWH_STOPPED;

		if (find_worker(catalog, 0, &worker, &row))
			return;
		if (is_over)
			break;
	} while (wait_a_moment(started));

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("worker could not be started"),
			 errdetail("It has ended, or has not started within %d s.", PATIENCE / 1000),
			 errhint("More details may be in the server log.  An extension that was created in the same transaction cannot be seen by a worker.")));
}

/* start_worker() RETURNS void */
Datum
start_worker(PG_FUNCTION_ARGS)
{
	Oid			catalog = worker_catalog();
	BackgroundWorkerHandle *handle;
	KnownWorker worker;
	WorkerRow	row;

	check_control();
	if (find_worker(catalog, 0, &worker, &row))
	{
		ereport(NOTICE,
				(errmsg("worker of database \"%s\" is running already, skipping",
						get_database_name(MyDatabaseId))));
		PG_RETURN_VOID();
	}
	if (!register_worker(MyDatabaseId, 0, true, &handle))
		report_no_slot(ERROR);
	wait_for_start(catalog, handle);
	PG_RETURN_VOID();
}

/* Notes that workers are not to be started but by start_worker. */
static void
note_stopped(void)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum((int64) GetSystemIdentifier())};
	Relation	catalog = open_catalog_table("worker");
	bool		isnull;

	execute_as_owner(catalog,
					 "INSERT INTO featurestore.worker (slot, system_identifier, is_stopped) VALUES (0, $1, true) "
					 "ON CONFLICT (slot) DO UPDATE SET system_identifier = excluded.system_identifier, is_stopped = true",
					 1, types, values, &isnull);
	table_close(catalog, NoLock);
}

/* Ends the worker of a slot, and waits for that. */
static void
end_worker(Oid catalog, int slot)
{
	TimestampTz started = GetCurrentTimestamp();
	KnownWorker worker;
	WorkerRow	row;

	while (is_slot_taken(catalog, slot))
	{
		/* one that is just starting has yet to tell its pid */
		if (find_worker(catalog, slot, &worker, &row))
			kill(worker.pid, SIGTERM);
		if (!wait_a_moment(started))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("worker with PID %d did not end within %d s", row.pid, PATIENCE / 1000),
					 errhint("Try again later.")));
	}
}

/* stop_worker() RETURNS void */
Datum
stop_worker(PG_FUNCTION_ARGS)
{
	Oid			catalog = worker_catalog();
	WorkerRow	row;

	check_control();
	read_slot(catalog, 0, &row);
	if (row.is_stopped && !is_slot_taken(catalog, 0))
	{
		ereport(NOTICE,
				(errmsg("workers of database \"%s\" are stopped already, skipping",
						get_database_name(MyDatabaseId))));
		PG_RETURN_VOID();
	}
	note_stopped();
	for (int slot = 0; slot < MAX_SLOTS; slot++)
		end_worker(catalog, slot);
	PG_RETURN_VOID();
}

/* _is_worker_running() RETURNS boolean */
Datum
is_worker_running(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_slot_taken(worker_catalog(), 0));
}
