/*
 * file.c
 *	  Tells whether a relation has its rows where a snapshot expects them.
 *
 * A snapshot that was taken before a relation was locked may not know that it
 * was truncated, or rewritten, in between: the rows that it should see are gone.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "catalog/spec.h"

/* The file of a relation as a snapshot sees it, or InvalidOid if it sees none. */
static Oid
file_under_snapshot(Oid relid, Snapshot snapshot)
{
	Relation	catalog = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			file;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ClassOidIndexId, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	file = tuple ? ((Form_pg_class) GETSTRUCT(tuple))->relfilenode : InvalidOid;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return file;
}

/*
 * Has a relation, which is locked, a file that the snapshot does not know?
 * *is_settled says that it is known to every snapshot of this session, present
 * or future.
 */
bool
file_is_new(Oid relid, Snapshot snapshot, bool *is_settled)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			file;

	if (!HeapTupleIsValid(tuple))
		return false;
	file = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
	*is_settled = TransactionIdPrecedes(HeapTupleHeaderGetXmin(tuple->t_data), TransactionXmin);
	ReleaseSysCache(tuple);
	return OidIsValid(file) && !*is_settled && file != file_under_snapshot(relid, snapshot);
}
