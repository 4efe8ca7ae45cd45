/*
 * history_table.c
 *	  What the trigger that writes histories knows of them, and its
 *	  invalidation.
 *
 * One entry an online table, found by its OID; also for tables without history,
 * where a trigger was left behind.  Relcache callbacks only set flags; an entry
 * that went stale is read again at its next use.
 *
 * Versions are written below the executor, so that the writer of the online
 * table needs no right on the history, and nothing of its owner's runs with the
 * writer's rights.  What that would leave out (triggers, constraints, indexes on
 * expressions) is refused.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "storage/lmgr.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "catalog/spec.h"
#include "publish/history.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(is_rewritten);

static HTAB *tables = NULL;

/* Counts invalidations, so that who reads can tell whether one came meanwhile. */
static uint64 invalidations = 0;

/* Relcache callback: flags the entries that depend on a relation, or all. */
static void
invalidate_relation(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	HistoryTable *table;

	invalidations++;
	hash_seq_init(&status, tables);
	while ((table = hash_seq_search(&status)) != NULL)
	{
		if (!OidIsValid(relid) || !table->is_kept || table->relid == relid ||
			table->history == relid)
			table->is_valid = false;
	}
}

/* Makes the cache and registers its callback, once a backend. */
void
history_table_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(HistoryTable)};

	if (!CacheMemoryContext)
		CreateCacheMemoryContext();
	ctl.hcxt = CacheMemoryContext;
	tables = hash_create("featurestore histories", 16, &ctl,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(invalidate_relation, (Datum) 0);
}

/* The history of an online table, as the catalog has it; InvalidOid for none. */
static Oid
find_history(Oid relid)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];

	if (!catalog_fetch("online_table", relid, NULL, values, nulls) ||
		nulls[Anum_online_table_history_table - 1])
		return InvalidOid;
	return DatumGetObjectId(values[Anum_online_table_history_table - 1]);
}

/*
 * Finds the history and locks it.  While we wait for the lock it may become
 * another, or be given up.
 */
static Oid
lock_history(Oid relid)
{
	Oid			history = find_history(relid);

	while (OidIsValid(history))
	{
		Oid			again;

		LockRelationOid(history, RowExclusiveLock);
		again = find_history(relid);
		if (again == history)
			break;
		history = again;
	}
	return history;
}

/* An error about the shape of a history. */
static void
refuse(Relation rel, Relation history, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("history of table \"%s\" cannot be written", RelationGetRelationName(rel)),
			 errdetail("Table \"%s\" %s.", RelationGetRelationName(history), reason),
			 errhint("Mend it, or end the history: see featurestore.alter_publication and featurestore.drop_online_table.")));
}

/* The number of the column with this name; 0 for none. */
static AttrNumber
column_number(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		if (!attr->attisdropped && strcmp(NameStr(attr->attname), name) == 0)
			return i + 1;
	}
	return 0;
}

/* Refuses what versions are written without. */
static void
check_plain(Relation rel, Relation history)
{
	TupleConstr *constr = RelationGetDescr(history)->constr;
	TriggerDesc *triggers = history->trigdesc;

	if (history->rd_rel->relkind != RELKIND_RELATION || history->rd_rel->relispartition)
		refuse(rel, history, "is not an ordinary table");
	if (history->rd_rel->relowner != rel->rd_rel->relowner)
		refuse(rel, history, "has another owner");
	if (constr && (constr->num_check > 0 || constr->has_generated_stored))
		refuse(rel, history, "has constraints or generated columns");
	if (triggers && (triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
					 triggers->trig_insert_before_statement || triggers->trig_insert_after_statement))
		refuse(rel, history, "has triggers for inserts");
}

/* Works out which column of the online table each column of the history takes its values from. */
static void
match_columns(HistoryTable *table, Relation rel, Relation history)
{
	TupleDesc	desc = RelationGetDescr(history);

	table->ncolumns = desc->natts;
	table->columns = palloc0(desc->natts * sizeof(HistoryColumn));
	table->valid_from = column_number(desc, "_valid_from");
	table->is_deleted = column_number(desc, "_is_deleted");
	if (!table->valid_from || !table->is_deleted ||
		TupleDescAttr(desc, table->valid_from - 1)->atttypid != TIMESTAMPTZOID ||
		TupleDescAttr(desc, table->is_deleted - 1)->atttypid != BOOLOID)
		refuse(rel, history, "has no columns _valid_from and _is_deleted");

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);
		HistoryColumn *column = &table->columns[i];

		if (attr->attisdropped || i + 1 == table->valid_from || i + 1 == table->is_deleted)
			continue;
		column->source = column_number(RelationGetDescr(rel), NameStr(attr->attname));
		column->typlen = attr->attlen;
		column->typbyval = attr->attbyval;
		table->last_source = Max(table->last_source, column->source);
	}
}

/* Every column of the online table must have its place, and be of the type that the history has. */
static void
check_columns(HistoryTable *table, Relation rel, Relation history)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);
		AttrNumber	attno;

		if (attr->attisdropped)
			continue;
		attno = column_number(RelationGetDescr(history), NameStr(attr->attname));
		if (attno == 0 || AttributeIsVirtual(attr) ||
			TupleDescAttr(RelationGetDescr(history), attno - 1)->atttypid != getBaseType(attr->atttypid))
			refuse(rel, history, psprintf("has no column \"%s\" of type %s", NameStr(attr->attname),
										  format_type_be(getBaseType(attr->atttypid))));
	}
}

/* Makes a scan key for each of the first columns of an index. */
static void
describe_index(KeyIndex *key, Relation index, int nkeys)
{
	key->index = RelationGetRelid(index);
	key->nkeys = nkeys;
	key->sources = palloc(nkeys * sizeof(AttrNumber));
	key->keys = palloc0(nkeys * sizeof(ScanKeyData));
	for (int i = 0; i < nkeys; i++)
	{
		Oid			type = index->rd_opcintype[i];
		Oid			equal = get_opfamily_member(index->rd_opfamily[i], type, type,
												BTEqualStrategyNumber);

		ScanKeyEntryInitialize(&key->keys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid,
							   index->rd_indcollation[i], get_opcode(equal), (Datum) 0);
	}
}

/* Takes up the primary key of the history: the key of the online table, then the time. */
static void
find_versions_index(HistoryTable *table, Relation rel, Relation history)
{
	Oid			primary = RelationGetPrimaryKeyIndexCompat(history);
	Relation	index;
	int			nkeys;

	if (!OidIsValid(primary))
		refuse(rel, history, "has no primary key");
	index = index_open(primary, AccessShareLock);
	nkeys = IndexRelationGetNumberOfKeyAttributes(index) - 1;
	if (nkeys < 1 || index->rd_index->indkey.values[nkeys] != table->valid_from)
		refuse(rel, history, "has a primary key that does not end in _valid_from");
	describe_index(&table->versions, index, nkeys);
	for (int i = 0; i < nkeys; i++)
	{
		HistoryColumn *column = &table->columns[index->rd_index->indkey.values[i] - 1];

		if (column->source == 0)
			refuse(rel, history, "has a primary key with columns that the table has not");
		column->is_key = true;
		table->versions.sources[i] = column->source;
	}
	index_close(index, AccessShareLock);
}

/* Does a column of an index of the online table compare as one of the key of the history does? */
static bool
compares_alike(Relation index, int column, const ScanKeyData *key)
{
	Oid			type = index->rd_opcintype[column];
	Oid			equal = get_opfamily_member(index->rd_opfamily[column], type, type,
											BTEqualStrategyNumber);

	return get_opcode(equal) == key->sk_func.fn_oid &&
		index->rd_indcollation[column] == key->sk_collation;
}

/* Is this index of the online table unique over the key of the history? */
static bool
is_by_key(HistoryTable *table, Relation index)
{
	if (!index->rd_index->indisunique || !index->rd_index->indisvalid ||
		RelationGetIndexPredicate(index) != NIL || RelationGetIndexExpressions(index) != NIL ||
		IndexRelationGetNumberOfKeyAttributes(index) != table->versions.nkeys)
		return false;
	for (int i = 0; i < table->versions.nkeys; i++)
	{
		bool		found = false;

		for (int j = 0; j < table->versions.nkeys; j++)
			found |= index->rd_index->indkey.values[i] == table->versions.sources[j] &&
				compares_alike(index, i, &table->versions.keys[j]);
		if (!found)
			return false;
	}
	return true;
}

/* Finds an index of the online table by the key. */
static void
find_rows_index(HistoryTable *table, Relation rel, Relation history)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		bool		found = is_by_key(table, index);

		if (found)
		{
			describe_index(&table->rows, index, table->versions.nkeys);
			for (int i = 0; i < table->rows.nkeys; i++)
				table->rows.sources[i] = index->rd_index->indkey.values[i];
		}
		index_close(index, AccessShareLock);
		if (found)
			return;
	}
	refuse(rel, history, "has a key that is not unique any more in the table itself");
}

/* Takes up all indexes of the history, as an insert needs them. */
static void
describe_indexes(HistoryTable *table, Relation rel, Relation history)
{
	List	   *indexes = RelationGetIndexList(history);
	ListCell   *lc;

	table->indexes = palloc(list_length(indexes) * sizeof(Oid));
	table->index_infos = palloc(list_length(indexes) * sizeof(IndexInfo *));
	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		IndexInfo  *info = BuildIndexInfo(index);

		if (info->ii_Expressions != NIL || info->ii_Predicate != NIL ||
			info->ii_ExclusionOps != NULL || !index->rd_index->indimmediate)
			refuse(rel, history, "has an index with expressions, a predicate or a deferrable or exclusion constraint");
		if (info->ii_ReadyForInserts)
		{
			table->indexes[table->nindexes] = lfirst_oid(lc);
			table->index_infos[table->nindexes++] = info;
		}
		index_close(index, AccessShareLock);
	}
}

/* A version of a deleted row has NULLs but for the key. */
static void
check_nullable(HistoryTable *table, Relation rel, Relation history)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(history), i);

		if (attr->attnotnull && !attr->attisdropped && !table->columns[i].is_key &&
			i + 1 != table->valid_from && i + 1 != table->is_deleted)
			refuse(rel, history, psprintf("has the column \"%s\" that is not null", NameStr(attr->attname)));
	}
}

/* Fills an entry for a table with a history, which is locked. */
static void
describe_history(HistoryTable *table, Relation rel, Oid relid)
{
	Relation	history = relation_open(relid, NoLock);

	check_plain(rel, history);
	table->cxt = AllocSetContextCreate(CacheMemoryContext, "featurestore history",
									   ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(table->cxt);
	match_columns(table, rel, history);
	check_columns(table, rel, history);
	find_versions_index(table, rel, history);
	find_rows_index(table, rel, history);
	describe_indexes(table, rel, history);
	check_nullable(table, rel, history);
	/* a copy, since the descriptor of the relation may not be kept */
	table->version = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(history)),
											  &TTSOpsVirtual);
	table->history = relid;
	table->is_kept = true;
	relation_close(history, NoLock);
}

/* Reads an entry anew.  An error leaves it invalid. */
static void
read_history(HistoryTable *table, Relation rel)
{
	MemoryContext old = CurrentMemoryContext;
	uint64		before = invalidations;
	Oid			history;

	if (table->cxt)
		MemoryContextDelete(table->cxt);
	memset((char *) table + sizeof(Oid), 0, sizeof(HistoryTable) - sizeof(Oid));

	history = lock_history(RelationGetRelid(rel));
	if (OidIsValid(history))
	{
		before = invalidations;
		describe_history(table, rel, history);
		MemoryContextSwitchTo(old);
	}
	/* what an invalidation meanwhile was about may be known, or not */
	table->is_valid = before == invalidations;
}

/*
 * What is known of the history of a table that the trigger fired on, which is
 * locked then; NULL if it has none.  It is good until the trigger returns.
 * Raises 55000 if versions cannot be written to it.
 */
HistoryTable *
history_table(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	bool		found;
	HistoryTable *table = hash_search(tables, &relid, HASH_ENTER, &found);

	if (!found)
		memset((char *) table + sizeof(Oid), 0, sizeof(HistoryTable) - sizeof(Oid));
	/* the first lock brings the news that it has changed */
	if (table->is_valid && table->is_kept)
		LockRelationOid(table->history, RowExclusiveLock);
	if (!table->is_valid)
		read_history(table, rel);
	return table->is_kept ? table : NULL;
}

/*
 * _is_rewritten(relation regclass) RETURNS boolean
 * Has this transaction given a table, which is locked, new storage?
 */
Datum
is_rewritten(PG_FUNCTION_ARGS)
{
	Relation	rel = relation_open(PG_GETARG_OID(0), AccessShareLock);
	bool		result = RelationHasNewStorageCompat(rel);

	relation_close(rel, AccessShareLock);
	PG_RETURN_BOOL(result);
}
