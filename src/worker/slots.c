/*
 * slots.c
 *	  Who the workers of a database are.
 *
 * There may be no shared memory of ours, since the library need not be
 * preloaded.  Each worker holds a session lock of its slot, which tells whether
 * there is one; and writes its pid to the catalog, by which others find its
 * place in shared memory, to wake it.  The pid may be of one that is gone, and
 * of any other process by now, so it counts for nothing without the lock.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog/spec.h"
#include "worker/worker.h"
#include "compat.h"

/* Columns of the catalog of workers. */
enum
{
	Anum_worker_slot = 1,
	Anum_worker_pid,
	Anum_worker_started_at,
	Anum_worker_system_identifier,
	Anum_worker_is_stopped
};

/* pg_advisory_lock and its like have classes 1 and 2. */
#define SLOT_LOCK_CLASS 0x4653

/* The catalog of workers; InvalidOid without the extension. */
Oid
worker_catalog(void)
{
	Oid			schema = get_namespace_oid("featurestore", true);

	return OidIsValid(schema) ? get_relname_relid("worker", schema) : InvalidOid;
}

/*
 * The lock of a slot.  One of another time that the extension was created is
 * another's.  It is one of those that survive the abort of a transaction, and
 * that no SQL function takes.
 */
void
set_slot_tag(LOCKTAG *tag, Oid catalog, int slot)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, catalog, slot, SLOT_LOCK_CLASS);
}

/* Has a slot a worker?  One that is just about to take it has to try again. */
bool
is_slot_taken(Oid catalog, int slot)
{
	LOCKTAG		tag;

	set_slot_tag(&tag, catalog, slot);
	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, ShareLock, false);
	return false;
}

/* Reads the newest row of a slot; false, and all zeros, if there is none of this cluster. */
bool
read_slot(Oid catalog, int slot, WorkerRow *row)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	bool		found = false;

	Assert(RelationGetNumberOfAttributes(rel) <= CATALOG_MAX_COLUMNS);
	memset(row, 0, sizeof(*row));
	while (!found && (tuple = systable_getnext(scan)) != NULL)
	{
		Datum		values[CATALOG_MAX_COLUMNS];
		bool		nulls[CATALOG_MAX_COLUMNS];

		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
		if (DatumGetInt32(values[Anum_worker_slot - 1]) != slot ||
			(uint64) DatumGetInt64(values[Anum_worker_system_identifier - 1]) != GetSystemIdentifier())
			continue;
		found = true;
		row->pid = nulls[Anum_worker_pid - 1] ? 0 : DatumGetInt32(values[Anum_worker_pid - 1]);
		row->started_at = nulls[Anum_worker_started_at - 1] ? 0 :
			DatumGetTimestampTz(values[Anum_worker_started_at - 1]);
		row->is_stopped = DatumGetBool(values[Anum_worker_is_stopped - 1]);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * Is a worker that was found still the process in its place?  Looks at shared
 * memory only.  A process that ends gives its latch back.
 */
bool
is_worker_alive(const KnownWorker *worker)
{
	return worker->proc &&
		worker->proc->pid == worker->pid &&
		worker->proc->procLatch.owner_pid == worker->pid &&
		worker->proc->databaseId == MyDatabaseId;
}

/* Finds the worker of a slot, and what the catalog says of it. */
bool
find_worker(Oid catalog, int slot, KnownWorker *worker, WorkerRow *row)
{
	worker->proc = NULL;
	if (!read_slot(catalog, slot, row) || row->pid == 0 || !is_slot_taken(catalog, slot))
		return false;
	worker->pid = row->pid;
	worker->proc = BackendPidGetProc(row->pid);
	return is_worker_alive(worker);
}

/*
 * Asks for a worker of a database.  False if the server can have no more
 * processes of that kind.  handle may be NULL: then no memory is allocated and
 * no error raised, so that it can be called at the end of a transaction.
 */
bool
register_worker(Oid database, int slot, bool is_commanded, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker = {
		.bgw_name = "featurestore worker",
		.bgw_type = "featurestore worker",
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_library_name = "featurestore",
		.bgw_function_name = "featurestore_worker_main",
		.bgw_main_arg = ObjectIdGetDatum(database),
		.bgw_notify_pid = handle ? MyProcPid : 0
	};
	WorkerOrder order = {.slot = slot, .is_commanded = is_commanded};

	memcpy(worker.bgw_extra, &order, sizeof(order));
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/* Says that no process can be had. */
void
report_no_slot(int elevel)
{
	ereport(elevel,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("out of background worker slots for a featurestore worker"),
			 errhint("You might need to increase \"max_worker_processes\".")));
}
