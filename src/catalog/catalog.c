/*
 * catalog.c
 *	  Reads rows of the extension's catalog tables by their key.
 *
 * Every catalog table is keyed by the relation a row describes, so one index
 * probe fetches a definition; a staging table is also found by what it captures.  Definitions are public; no privilege is needed.
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
#include "utils/xid8.h"

#include "catalog/spec.h"
#include "compat.h"

/*
 * Fetches the row whose column attno holds relid, by a unique index over it, as
 * seen by the snapshot (NULL: the newest), and takes it apart.  It lives in
 * the current memory context.  Returns NULL when there is none.
 */
static HeapTuple
fetch_by_index(Relation rel, Oid index, AttrNumber attno, Oid relid, Snapshot snapshot,
			   Datum *values, bool *nulls)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	Assert(RelationGetNumberOfAttributes(rel) <= CATALOG_MAX_COLUMNS);
	ScanKeyInit(&key, attno, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, index, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (tuple)
	{
		tuple = heap_copytuple(tuple);
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
	}
	systable_endscan(scan);
	return tuple;
}

/* Opens a catalog table. */
Relation
open_catalog_to_read(const char *catalog)
{
	Oid			catalogid = get_relname_relid(catalog, get_namespace_oid("featurestore", false));

	if (!OidIsValid(catalogid))
		elog(ERROR, "catalog table \"%s\" is missing", catalog);
	return table_open(catalogid, AccessShareLock);
}

/* Fetches the row of a relation from a catalog table, as fetch_by_index does. */
HeapTuple
catalog_fetch(const char *catalog, Oid relid, Snapshot snapshot, Datum *values, bool *nulls)
{
	Relation	rel = open_catalog_to_read(catalog);
	HeapTuple	tuple = fetch_by_index(rel, RelationGetPrimaryKeyIndexCompat(rel), 1, relid,
									   snapshot, values, nulls);

	table_close(rel, AccessShareLock);
	return tuple;
}

/* Fetches the newest row of a staging table by another unique column, as fetch_by_index does. */
static HeapTuple
fetch_staging(const char *index_name, AttrNumber attno, Oid relid, Datum *values, bool *nulls)
{
	Relation	rel = open_catalog_to_read("staging");
	Oid			index = get_relname_relid(index_name, RelationGetNamespace(rel));
	HeapTuple	tuple;

	if (!OidIsValid(index))
		elog(ERROR, "index \"%s\" is missing", index_name);
	tuple = fetch_by_index(rel, index, attno, relid, NULL, values, nulls);
	table_close(rel, AccessShareLock);
	return tuple;
}

/* That of the one that captures a source. */
HeapTuple
catalog_fetch_captured(Oid source, Datum *values, bool *nulls)
{
	return fetch_staging("staging_captured_source_key", Anum_staging_captured_source, source,
						 values, nulls);
}

/* That of the one that external writers feed an online table with. */
HeapTuple
catalog_fetch_fed(Oid online_table, Datum *values, bool *nulls)
{
	return fetch_staging("staging_online_table_key", Anum_staging_online_table, online_table,
						 values, nulls);
}

/* The changes that a row of publication_position says are applied. */
static AppliedChanges
applied_changes(const Datum *values, const bool *nulls)
{
	AppliedChanges applied;

	applied.snapshot = values[Anum_publication_position_snapshot - 1];
	applied.oldest = DatumGetFullTransactionId(DirectFunctionCall1(pg_snapshot_xmin, applied.snapshot));
	applied.own_xid = nulls[Anum_publication_position_own_xid - 1] ? InvalidFullTransactionId :
		DatumGetFullTransactionId(values[Anum_publication_position_own_xid - 1]);
	applied.own_sequence = nulls[Anum_publication_position_own_sequence - 1] ? PG_INT64_MIN :
		DatumGetInt64(values[Anum_publication_position_own_sequence - 1]);
	return applied;
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
	position->has_snapshot = !nulls[Anum_publication_position_snapshot - 1];
	if (position->has_snapshot)
		position->applied = applied_changes(values, nulls);
	position->is_settled = TransactionIdPrecedes(HeapTupleHeaderGetXmin(tuple->t_data), TransactionXmin);
	return true;
}
