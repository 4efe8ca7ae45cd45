/*
 * pending.c
 *	  Changes that are staged for a publication and not applied yet.
 *
 * What waits for an online table says how far it lags: a table without pending
 * changes is in step, however long ago its last run was.  Lookups ask that, and
 * whoever looks for what is to be done, so nothing is planned or executed: the
 * staging tables are few and kept small, and are read from end to end.  Their
 * rows are not shown to anybody, so that no privilege is needed to count them.
 *
 * All is as of one snapshot, but for where the changes are staged.  If that is
 * another place than the snapshot or the position knows, for changes have been
 * thrown away since, what waits cannot be told.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog/pending.h"
#include "catalog/spec.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(pending_changes);
PG_FUNCTION_INFO_V1(has_pending_changes);

/* A search for what waits for an online table. */
typedef struct Search
{
	Oid			online_table;
	Snapshot	snapshot;
	AppliedChanges applied;
	bool		first_only;		/* any from before "before" will do */
	TimestampTz before;
	PendingChanges *found;
} Search;

/* Is what was looked for found? */
static bool
is_over(const Search *search)
{
	return search->first_only && search->found->oldest < search->before;
}

/* The number of a column of a relation that must have this type, or 0. */
static AttrNumber
typed_column(Relation rel, const char *name, Oid type)
{
	AttrNumber	attno = get_attnum(RelationGetRelid(rel), name);

	if (attno <= 0 || TupleDescAttr(RelationGetDescr(rel), attno - 1)->atttypid != type)
		return 0;
	return attno;
}

/* Has the position moved on since the snapshot? */
static bool
has_moved(const Search *search)
{
	PublicationPosition newest;

	return !publication_position(search->online_table, NULL, &newest) || !newest.has_snapshot ||
		!FullTransactionIdEquals(newest.applied.own_xid, search->applied.own_xid) ||
		newest.applied.own_sequence != search->applied.own_sequence ||
		!datum_image_eq(newest.applied.snapshot, search->applied.snapshot, false, -1);
}

/* The columns of a staged row that are asked for. */
typedef struct StagedColumns
{
	AttrNumber	xid;
	AttrNumber	sequence;
	AttrNumber	time;
} StagedColumns;

/* Finds them; false if a partition has not the shape of one. */
static bool
find_columns(Relation rel, StagedColumns *columns)
{
	columns->xid = typed_column(rel, "_xid", XID8OID);
	columns->sequence = typed_column(rel, "_sequence", INT8OID);
	columns->time = typed_column(rel, "_commit_timestamp", TIMESTAMPTZOID);
	return rel->rd_rel->relkind == RELKIND_RELATION && columns->xid && columns->sequence &&
		columns->time;
}

/* Looks at a staged row, of a transaction that may not be part of the position. */
static void
look_at_row(Search *search, Relation rel, const StagedColumns *columns, TupleTableSlot *slot,
			FullTransactionId xid)
{
	bool		isnull;
	int64		sequence = DatumGetInt64(slot_getattr(slot, columns->sequence, &isnull));
	TimestampTz time;

	if (isnull || !change_is_after(&search->applied, xid, sequence) ||
		!table_tuple_satisfies_snapshot(rel, slot, search->snapshot))
		return;
	search->found->changes++;
	time = DatumGetTimestampTz(slot_getattr(slot, columns->time, &isnull));
	/* without a time it may have waited since ever */
	search->found->oldest = Min(search->found->oldest, isnull ? DT_NOBEGIN : time);
}

/*
 * Reads a partition.  All rows are read, seen by the snapshot or not, so that it
 * can be remembered what is there; and a SERIALIZABLE transaction does not read
 * it as a whole, as far as others are concerned: else any two that look something
 * up and then write to a source would stand in each other's way.
 */
static void
read_partition(Search *search, Relation rel, const StagedColumns *columns)
{
	XLogRecPtr	read_at = quiet_begin();
	FullTransactionId newest = InvalidFullTransactionId;
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, SnapshotAny, 0, NULL);

	while (!is_over(search) && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		FullTransactionId xid = DatumGetFullTransactionId(slot_getattr(slot, columns->xid, &isnull));

		CHECK_FOR_INTERRUPTS();
		if (isnull)
			continue;
		if (FullTransactionIdPrecedes(newest, xid))
			newest = xid;
		if (!FullTransactionIdPrecedes(xid, search->applied.oldest))
			look_at_row(search, rel, columns, slot, xid);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	if (!is_over(search))
		quiet_remember(rel, read_at, newest);
}

/*
 * Searches one partition of a staging table, which is locked.  False if it
 * cannot be told what the snapshot should see in it.
 */
static bool
search_partition(Search *search, Oid partition)
{
	StagedColumns columns;
	Relation	rel;
	bool		is_settled;
	bool		is_known;

	/* what is thrown away is applied, but maybe not to what the snapshot sees */
	if (file_is_new(partition, search->snapshot, &is_settled))
		return !has_moved(search);
	rel = table_open(partition, NoLock);
	is_known = find_columns(rel, &columns);
	if (is_known && !quiet_before(rel, search->applied.oldest))
		read_partition(search, rel, &columns);
	table_close(rel, NoLock);
	return is_known;
}

/*
 * Was a staging table made, or altered, after the position?  It may then have
 * taken the place of another, together with what was staged there.
 */
static bool
is_after_position(Oid staging, const AppliedChanges *applied)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(staging));
	TransactionId xid;
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);

	if (!HeapTupleIsValid(tuple))
		return true;
	xid = HeapTupleHeaderGetXmin(tuple->t_data);
	ReleaseSysCache(tuple);
	if (!TransactionIdIsNormal(xid))
		return false;
	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return change_is_after(applied, FullTransactionIdFromEpochAndXid(epoch, xid), PG_INT64_MIN);
}

/* Searches a staging table that a row of the catalog is about; false as search_partition. */
static bool
search_staging(Search *search, const Datum *values, const bool *nulls)
{
	Oid			staging = DatumGetObjectId(values[Anum_staging_relation - 1]);
	bool		is_captured = !nulls[Anum_staging_captured_source - 1];
	Relation	rel;
	ListCell   *lc;

	if ((uint64) DatumGetInt64(values[Anum_staging_system_identifier - 1]) != GetSystemIdentifier())
		return false;
	rel = try_relation_open(staging, AccessShareLock);
	if (!rel)
		return false;
	relation_close(rel, NoLock);
	if (is_captured && is_after_position(staging, &search->applied))
		return false;

	foreach(lc, find_inheritance_children(staging, AccessShareLock))
	{
		if (!is_over(search) && !search_partition(search, lfirst_oid(lc)))
			return false;
	}
	return true;
}

/* Searches what is captured of a source; false as search_partition. */
static bool
search_source(Search *search, Oid source)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];

	return catalog_fetch_captured(source, values, nulls) && search_staging(search, values, nulls);
}

/* The sources of the features that are materialized in an online table, as the snapshot sees them. */
static List *
sources_of_features(Oid online_table, Snapshot snapshot)
{
	Relation	rel = open_catalog_to_read("feature");
	SysScanDesc scan;
	HeapTuple	tuple;
	ScanKeyData key;
	List	   *sources = NIL;

	ScanKeyInit(&key, Anum_feature_online_table, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(online_table));
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 1, &key);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		bool		isnull;

		sources = list_append_unique_oid(sources, DatumGetObjectId(
																   heap_getattr(tuple, Anum_feature_source, RelationGetDescr(rel), &isnull)));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return sources;
}

/* Searches what is staged for the online table; false as search_partition. */
static bool
search_staged(Search *search)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];
	ListCell   *lc;
	char	   *mode;

	if (!catalog_fetch("publication", search->online_table, search->snapshot, values, nulls))
		return catalog_fetch_fed(search->online_table, values, nulls) &&
			search_staging(search, values, nulls);

	mode = TextDatumGetCString(values[Anum_publication_publish_mode - 1]);
	if (strcmp(mode, "SYNCHRONOUS") == 0)
		return true;
	if (!nulls[Anum_publication_source - 1])
		return search_source(search, DatumGetObjectId(values[Anum_publication_source - 1]));
	foreach(lc, sources_of_features(search->online_table, search->snapshot))
	{
		if (!is_over(search) && !search_source(search, lfirst_oid(lc)))
			return false;
	}
	return true;
}

/* Searches the keys that are held: one that is due waits since then. */
static void
search_held(Search *search)
{
	Relation	rel = open_catalog_to_read("held_change");
	Oid			index = get_relname_relid("held_change_relation_due_idx", RelationGetNamespace(rel));
	SysScanDesc scan;
	HeapTuple	tuple;
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], Anum_held_change_relation, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(search->online_table));
	ScanKeyInit(&keys[1], Anum_held_change_due, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE,
				TimestampTzGetDatum(GetCurrentTimestamp()));
	scan = systable_beginscan(rel, index, OidIsValid(index), search->snapshot, 2, keys);
	while (!is_over(search) && (tuple = systable_getnext(scan)) != NULL)
	{
		bool		isnull;
		Datum		cluster = heap_getattr(tuple, Anum_held_change_system_identifier,
										   RelationGetDescr(rel), &isnull);
		Datum		due = heap_getattr(tuple, Anum_held_change_due, RelationGetDescr(rel), &isnull);

		if ((uint64) DatumGetInt64(cluster) == GetSystemIdentifier())
			search->found->oldest = Min(search->found->oldest, DatumGetTimestampTz(due));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* Runs a search in memory of its own. */
static bool
run_search(Search *search)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "featurestore pending",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(cxt);
	PublicationPosition position;
	bool		is_known;

	search->found->changes = 0;
	search->found->oldest = DT_NOEND;
	is_known = publication_position(search->online_table, search->snapshot, &position) &&
		position.has_snapshot;
	if (is_known)
	{
		search->applied = position.applied;
		is_known = search_staged(search);
		search_held(search);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(cxt);
	return is_known;
}

bool
find_pending(Oid online_table, Snapshot snapshot, PendingChanges *pending)
{
	Search		search = {
		.online_table = online_table, .snapshot = snapshot, .found = pending
	};

	return run_search(&search);
}

bool
has_pending(Oid online_table, Snapshot snapshot, TimestampTz before)
{
	PendingChanges pending;
	Search		search = {
		.online_table = online_table, .snapshot = snapshot, .found = &pending,
		.first_only = true, .before = before
	};

	return !run_search(&search) || is_over(&search);
}

/*
 * May the current user know what waits for an online table?  Whoever may look
 * it up learns by that how far it lags.
 */
static bool
may_know(Oid online_table)
{
	return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(online_table)) &&
		(pg_class_aclcheck(online_table, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		 pg_attribute_aclcheck_all(online_table, GetUserId(), ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK ||
		 RelationOwnercheckCompat(online_table, GetUserId()) ||
		 has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS));
}

/* _pending(online_table regclass, OUT changes bigint, OUT oldest timestamptz) */
Datum
pending_changes(PG_FUNCTION_ARGS)
{
	PendingChanges pending;
	TupleDesc	desc;
	Datum		values[2] = {0};
	bool		nulls[2] = {true, true};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (may_know(PG_GETARG_OID(0)) &&
		find_pending(PG_GETARG_OID(0), GetActiveSnapshot(), &pending))
	{
		values[0] = Int64GetDatum(pending.changes);
		nulls[0] = false;
		values[1] = TimestampTzGetDatum(pending.oldest);
		nulls[1] = pending.oldest == DT_NOEND;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* _has_pending(online_table regclass) RETURNS boolean */
Datum
has_pending_changes(PG_FUNCTION_ARGS)
{
	if (!may_know(PG_GETARG_OID(0)))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(has_pending(PG_GETARG_OID(0), GetActiveSnapshot(), DT_NOEND));
}
