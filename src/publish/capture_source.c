/*
 * capture_source.c
 *	  What capture knows of the tables it fires on, and its invalidation.
 *
 * One entry a table, partitions included, found by its OID; also for tables
 * that are not captured, where a trigger was left behind.  Relcache callbacks
 * only set flags; an entry that went stale is read again at its next use.
 *
 * The staging table and the partition that rows go to are locked once a
 * transaction, as any writer locks them; other locks are not taken, so capture
 * waits for nobody.  A partition that stopped being the current one while we
 * did not look will do as well as the new one, since all are read.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/spec.h"
#include "publish/capture.h"
#include "compat.h"

static const char *const change_names[CHANGE_TYPES] = {
	"insert", "update_preimage", "update_postimage", "delete", "truncate", "truncate_partition"
};

/* A row of the catalog, as far as we need it. */
typedef struct StagingRow
{
	Oid			root;
	Oid			staging;
	Oid			partition;
	int16		partition_number;
	bool		is_written;
	bool		is_applied;
	ArrayType  *key_columns;	/* or NULL */
} StagingRow;

static HTAB *sources = NULL;

/* Counts invalidations, so that who reads can tell whether one came meanwhile. */
static uint64 invalidations = 0;

/*
 * Relcache callback: flags the entries that depend on a relation, or all.  That
 * a table is captured after all, as when its release is rolled back, may be
 * told of the staging table alone, which such an entry does not know.
 */
static void
invalidate_relation(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CaptureSource *source;

	invalidations++;
	synchronous_invalidate(relid);
	hash_seq_init(&status, sources);
	while ((source = hash_seq_search(&status)) != NULL)
	{
		if (!OidIsValid(relid) || !source->is_captured || source->relid == relid ||
			source->root == relid || source->staging == relid || source->partition == relid)
			source->is_valid = false;
	}
}

uint64
capture_invalidations(void)
{
	return invalidations;
}

/* Makes the cache and registers its callback, once a backend. */
void
capture_source_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(CaptureSource)};

	if (!CacheMemoryContext)
		CreateCacheMemoryContext();
	ctl.hcxt = CacheMemoryContext;
	sources = hash_create("featurestore captured sources", 16, &ctl,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(invalidate_relation, (Datum) 0);
}

/* Reads the catalog row of a captured table; false if there is none. */
static bool
read_staging_row(Oid root, StagingRow *row)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];

	if (!catalog_fetch_captured(root, values, nulls))
		return false;
	row->root = root;
	row->staging = DatumGetObjectId(values[Anum_staging_relation - 1]);
	row->partition = DatumGetObjectId(values[Anum_staging_current_relation - 1]);
	row->partition_number = DatumGetInt16(values[Anum_staging_current_partition - 1]);
	row->is_written = nulls[Anum_staging_is_written - 1] ||
		DatumGetBool(values[Anum_staging_is_written - 1]);
	row->is_applied = !nulls[Anum_staging_is_applied - 1] &&
		DatumGetBool(values[Anum_staging_is_applied - 1]);
	row->key_columns = nulls[Anum_staging_key_columns - 1] ? NULL :
		DatumGetArrayTypeP(values[Anum_staging_key_columns - 1]);
	return true;
}

/* The row that says where changes of a table go: that of its topmost ancestor that has one. */
static bool
find_staging_row(Relation rel, StagingRow *row)
{
	List	   *ancestors = NIL;

	if (rel->rd_rel->relispartition)
		ancestors = get_partition_ancestors(RelationGetRelid(rel));
	for (int i = list_length(ancestors) - 1; i >= 0; i--)
	{
		if (read_staging_row(list_nth_oid(ancestors, i), row))
			return true;
	}
	return read_staging_row(RelationGetRelid(rel), row);
}

/*
 * Finds the row and locks what it names.  While we wait for the locks the row
 * may become another, and what it named be dropped.
 */
static bool
lock_staging_row(Relation rel, StagingRow *row)
{
	StagingRow	again;

	if (!find_staging_row(rel, row))
		return false;
	for (;;)
	{
		LockRelationOid(row->staging, RowExclusiveLock);
		LockRelationOid(row->partition, RowExclusiveLock);
		if (!find_staging_row(rel, &again))
			return false;
		if (again.staging == row->staging && again.partition == row->partition)
			break;
		*row = again;
	}
	*row = again;
	return true;
}

static Oid
relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Else one role's rows would go to another's table, or a role would be kept from its own. */
static void
check_owners(Oid root, Oid staging)
{
	Oid			owner = relation_owner(root);
	char	   *name;

	if (owner == relation_owner(staging))
		return;
	name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(staging)),
									  get_rel_name(staging));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" and its staging table %s have different owners",
					get_rel_name(root), name),
			 errhint("ALTER TABLE %s OWNER TO %s.", name,
					 quote_identifier(GetUserNameFromId(owner, false)))));
}

/* Opens the partition that rows go to, which must still be one. */
static Relation
open_partition(Oid staging, Oid partition)
{
	Relation	rel = try_relation_open(partition, NoLock);

	if (!rel || rel->rd_rel->relkind != RELKIND_RELATION || !rel->rd_rel->relispartition ||
		get_partition_parent(partition, true) != staging)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the current partition of staging table \"%s\" is gone",
						get_rel_name(staging)),
				 errdetail("Changes of its source cannot be staged."),
				 errhint("Attach it again, or drop the staging table to stop capturing.")));
	return rel;
}

/* The number of a column of desc that must be there and of this type. */
static AttrNumber
metadata_column(TupleDesc desc, const char *name, Oid type, Oid relid)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		if (!attr->attisdropped && attr->atttypid == type &&
			strcmp(NameStr(attr->attname), name) == 0)
			return i + 1;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" is not a staging table", get_rel_name(relid)),
			 errdetail("It has no column \"%s\" of type %s.", name, format_type_be(type))));
}

/* Finds the columns that every staging table has; raises 55000 if one is not there. */
void
find_metadata(TupleDesc desc, MetadataColumns *metadata, Oid relid)
{
	metadata->change_type = metadata_column(desc, "_change_type", TEXTOID, relid);
	metadata->commit_timestamp = metadata_column(desc, "_commit_timestamp", TIMESTAMPTZOID, relid);
	metadata->sequence = metadata_column(desc, "_sequence", INT8OID, relid);
	metadata->xid = metadata_column(desc, "_xid", XID8OID, relid);
	metadata->partition = metadata_column(desc, "_partition", INT2OID, relid);
}

static bool
is_metadata(const MetadataColumns *metadata, AttrNumber attno)
{
	return attno == metadata->change_type || attno == metadata->commit_timestamp ||
		attno == metadata->sequence || attno == metadata->xid || attno == metadata->partition;
}

/* The column of the source that a staged column takes its values from; 0 for none. */
static AttrNumber
matching_column(TupleDesc desc, Form_pg_attribute staged)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		if (attr->attisdropped || AttributeIsVirtual(attr) ||
			strcmp(NameStr(attr->attname), NameStr(staged->attname)) != 0)
			continue;
		return attr->atttypid == staged->atttypid && attr->atttypmod == staged->atttypmod ?
			i + 1 : 0;
	}
	return 0;
}

/* Is this name among an array of them? */
static bool
has_name(ArrayType *names, const char *name)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i] && strcmp(TextDatumGetCString(elements[i]), name) == 0)
			return true;
	}
	return false;
}

/* Works out which column of the source goes where. */
static void
match_columns(CaptureSource *source, CaptureTarget *target, TupleDesc desc, ArrayType *key_columns)
{
	for (int i = 0; i < target->desc->natts; i++)
	{
		Form_pg_attribute staged = TupleDescAttr(target->desc, i);
		StagedColumn *column = &target->columns[target->ncolumns];

		if (staged->attisdropped || is_metadata(&target->metadata, i + 1))
			continue;
		column->attno = matching_column(desc, staged);
		if (column->attno == 0)
			continue;
		column->staged = i + 1;
		column->typlen = staged->attlen;
		column->typbyval = staged->attbyval;
		column->is_key = key_columns && has_name(key_columns, NameStr(staged->attname));
		source->last_attno = Max(source->last_attno, column->attno);
		target->ncolumns++;
	}
}

/* The sequence that numbers what external writers stage. */
Oid
change_sequence(void)
{
	return get_relname_relid("change_number", get_namespace_oid("featurestore", false));
}

/* Adds a target whose rows look like desc, to the entry of rel. */
static void
add_target(CaptureSource *source, Relation rel, Oid relid, bool is_own, TupleDesc desc,
		   ArrayType *key_columns)
{
	CaptureTarget *target = &source->targets[source->ntargets];
	MemoryContext old = MemoryContextSwitchTo(source->cxt);

	target->is_own = is_own;
	target->relid = relid;
	target->desc = CreateTupleDescCopy(desc);
	target->columns = palloc0(desc->natts * sizeof(StagedColumn));
	target->values = palloc0(desc->natts * sizeof(Datum));
	target->nulls = palloc(desc->natts * sizeof(bool));
	memset(target->nulls, true, desc->natts * sizeof(bool));
	MemoryContextSwitchTo(old);
	find_metadata(target->desc, &target->metadata, relid);
	match_columns(source, target, RelationGetDescr(rel), key_columns);
	source->ntargets++;
}

/* What own changes of a source look like: its columns, without virtual ones, and those of a staging table. */
static TupleDesc
own_changes_desc(Relation root)
{
	static const struct
	{
		const char *name;
		Oid			type;
	}			metadata[] = {
		{"_change_type", TEXTOID}, {"_commit_version", INT8OID},
		{"_commit_timestamp", TIMESTAMPTZOID}, {"_sequence", INT8OID}, {"_xid", XID8OID},
		{"_partition", INT2OID}
	};
	TupleDesc	source = RelationGetDescr(root);
	TupleDesc	desc;
	int			n = 0;

	for (int i = 0; i < source->natts; i++)
		n += !TupleDescAttr(source, i)->attisdropped && !AttributeIsVirtual(TupleDescAttr(source, i));
	desc = CreateTemplateTupleDesc(n + lengthof(metadata));
	n = 0;
	for (int i = 0; i < source->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(source, i);

		if (attr->attisdropped || AttributeIsVirtual(attr))
			continue;
		TupleDescInitEntry(desc, ++n, NameStr(attr->attname), attr->atttypid, attr->atttypmod, 0);
		TupleDescInitEntryCollation(desc, n, attr->attcollation);
	}
	for (int i = 0; i < lengthof(metadata); i++)
		TupleDescInitEntry(desc, ++n, metadata[i].name, metadata[i].type, -1, 0);
	return desc;
}

/* Fills an entry for a table that is captured. */
static void
describe_source(CaptureSource *source, Relation rel, const StagingRow *row)
{
	MemoryContext old;

	check_owners(row->root, row->staging);
	source->cxt = AllocSetContextCreate(CacheMemoryContext, "featurestore captured source",
										ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(source->cxt);
	for (int i = 0; i < CHANGE_TYPES; i++)
		source->change_names[i] = CStringGetTextDatum(change_names[i]);
	MemoryContextSwitchTo(old);

	source->root = row->root;
	source->staging = row->staging;
	source->partition = row->partition;
	source->partition_number = row->partition_number;
	source->always_preimage = row->key_columns == NULL;
	if (row->is_written)
	{
		Relation	partition = open_partition(row->staging, row->partition);

		add_target(source, rel, row->partition, false, RelationGetDescr(partition),
				   row->key_columns);
		relation_close(partition, NoLock);
	}
	if (row->is_applied)
	{
		Relation	root = relation_open(row->root, AccessShareLock);

		add_target(source, rel, row->root, true, own_changes_desc(root), row->key_columns);
		relation_close(root, NoLock);
	}
	source->is_written = row->is_written;
	source->is_captured = source->ntargets > 0;
}

/* Finds the places of the rows of a source in the buffer of this transaction. */
static void
find_rows(CaptureSource *source)
{
	source->epoch = capture_epoch;
	for (int i = 0; i < source->ntargets; i++)
		source->targets[i].rows = staged_rows(&source->targets[i]);
}

/* Reads an entry anew.  An error leaves it invalid. */
static void
read_source(CaptureSource *source, Relation rel)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "read captured source",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	uint64		before = invalidations;
	StagingRow	row;

	if (source->cxt)
		MemoryContextDelete(source->cxt);
	memset((char *) source + sizeof(Oid), 0, sizeof(CaptureSource) - sizeof(Oid));

	if (lock_staging_row(rel, &row))
	{
		before = invalidations;
		describe_source(source, rel, &row);
		find_rows(source);
	}
	/* what an invalidation meanwhile was about may be known, or not */
	source->is_valid = before == invalidations;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/*
 * What is known of a table that the trigger fired on, with what it is staged to
 * locked; NULL if it is not captured.  It is good until the trigger returns.
 * Raises 55000 if its changes cannot be staged.
 */
CaptureSource *
capture_source(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	bool		found;
	CaptureSource *source = hash_search(sources, &relid, HASH_ENTER, &found);

	if (!found)
		memset((char *) source + sizeof(Oid), 0, sizeof(CaptureSource) - sizeof(Oid));
	if (source->is_valid && source->is_captured && source->epoch != capture_epoch)
	{
		/* the first lock brings the news that the partition is another */
		if (source->is_written)
			LockRelationOid(source->staging, RowExclusiveLock);
		if (source->is_written && source->is_valid)
			LockRelationOid(source->partition, RowExclusiveLock);
		if (source->is_valid)
			find_rows(source);
	}
	if (!source->is_valid)
		read_source(source, rel);
	return source->is_captured ? source : NULL;
}
