/*
 * catalog.c
 *	  Reads rows of the extension's catalog tables by their key.
 *
 * Every catalog table is keyed by the relation a row describes, so one index
 * probe fetches a definition.  Definitions are public; no privilege is needed.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog/spec.h"
#include "compat.h"

/*
 * Fetches the row of a relation from a catalog table, as seen by the snapshot
 * (NULL: the newest), and takes it apart.  It lives in the current memory
 * context.  Returns NULL when there is none.
 */
HeapTuple
catalog_fetch(const char *catalog, Oid relid, Snapshot snapshot, Datum *values, bool *nulls)
{
	Oid			catalogid = get_relname_relid(catalog, get_namespace_oid("featurestore", false));
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(catalogid))
		elog(ERROR, "catalog table \"%s\" is missing", catalog);

	rel = table_open(catalogid, AccessShareLock);
	Assert(RelationGetNumberOfAttributes(rel) <= CATALOG_MAX_COLUMNS);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, RelationGetPrimaryKeyIndexCompat(rel), true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (tuple)
	{
		tuple = heap_copytuple(tuple);
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return tuple;
}

/*
 * How far a publication has come, in the current memory context.  False before
 * the first fill, and in a cluster other than the one that made the position.
 */
bool
publication_position(Oid relid, Snapshot snapshot, PublicationPosition *position)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];
	HeapTuple	tuple = catalog_fetch("publication_position", relid, snapshot, values, nulls);

	if (!tuple)
		return false;
	if ((uint64) DatumGetInt64(values[Anum_publication_position_system_identifier - 1]) !=
		GetSystemIdentifier())
		return false;
	position->applied_to = DatumGetTimestampTz(values[Anum_publication_position_applied_to - 1]);
	position->filled = nulls[Anum_publication_position_filled - 1] ? NULL :
		DatumGetArrayTypeP(values[Anum_publication_position_filled - 1]);
	position->is_settled = TransactionIdPrecedes(HeapTupleHeaderGetXmin(tuple->t_data), TransactionXmin);
	return true;
}
