/*
 * access.c
 *	  How a table can be probed.
 *
 * A key names at most one row when a unique index is over exactly its columns,
 * and names the newest row when a unique index has its columns first and the
 * event time next.  With a plain table and a plain btree that index is probed
 * directly; anything else goes through the planner, which knows about
 * partitions, policies, foreign tables and views.  Both give the same rows.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "lookup/lookup.h"
#include "compat.h"

bool		enable_direct_lookup = true;

/* The position of a table column among the item's keys, or -1. */
static int
key_of_column(SpecItem *item, AttrNumber attno)
{
	for (int i = 0; i < item->nkeys; i++)
	{
		if (item->keys[i].attno == attno)
			return i;
	}
	return -1;
}

/* Names of the item's key columns, for messages. */
static char *
key_column_names(SpecItem *item)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < item->nkeys; i++)
		appendStringInfo(&names, "%s%s", i ? ", " : "",
						 get_attname(item->relid, item->keys[i].attno, false));
	return names.data;
}

/*
 * Does this index say that a key has one row (true), and is it by being the
 * newest (*is_newest)?  Keys that are not part of the index, partial indexes,
 * expressions and deferrable constraints say nothing.
 */
static bool
index_identifies(SpecItem *item, Relation index, bool *is_newest)
{
	Form_pg_index form = index->rd_index;
	int			nkeys = item->nkeys;

	if (!form->indisunique || !form->indisvalid || !form->indisready || !form->indimmediate ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL))
		return false;
	if (form->indnkeyatts < nkeys)
		return false;
	for (int i = 0; i < nkeys; i++)
	{
		if (key_of_column(item, form->indkey.values[i]) < 0)
			return false;
	}
	*is_newest = form->indnkeyatts > nkeys;
	return !*is_newest ||
		(item->time_attno && form->indkey.values[nkeys] == item->time_attno);
}

/* The index to go by: one over exactly the key is better than a longer one. */
static Relation
choose_index(SpecItem *item, Relation rel, bool *is_newest)
{
	List	   *indexes = RelationGetIndexList(rel);
	Relation	chosen = NULL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		bool		newest;

		if (index_identifies(item, index, &newest) && (!chosen || (*is_newest && !newest)))
		{
			if (chosen)
				index_close(chosen, NoLock);
			chosen = index;
			*is_newest = newest;
		}
		else
			index_close(index, NoLock);
	}
	list_free(indexes);
	return chosen;
}

/* Why a relation of this kind cannot be probed, or NULL. */
static const char *
relation_obstacle(SpecItem *item, Relation rel)
{
	Oid			distribution;

	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_MATVIEW:
			break;
		case RELKIND_PARTITIONED_TABLE:
			return "table is partitioned";
		case RELKIND_FOREIGN_TABLE:
			return "table is foreign";
		default:
			return "relation is a view";
	}
	if (rel->rd_rel->relhassubclass)
		return "table has children";
	if (RELATION_IS_OTHER_TEMP(rel))
		return "table is another session's";
	for (int attno = -1; (attno = bms_next_member(item->columns_read, attno)) >= 0;)
	{
		if (AttributeIsVirtual(TupleDescAttr(RelationGetDescr(rel), attno - 1)))
			return "column is generated when read";
	}

	/* Where Citus is, the table may be an empty shell for its shards. */
	distribution = get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE);
	if (OidIsValid(distribution))
		return "tables may be distributed";
	return NULL;
}

/* Is an index column in the order that ORDER BY its column gives? */
static bool
orders_as_column(Relation rel, Relation index, int i)
{
	Form_pg_attribute attr =
		TupleDescAttr(RelationGetDescr(rel), index->rd_index->indkey.values[i] - 1);

	return index->rd_indcollation[i] == attr->attcollation &&
		index->rd_opfamily[i] == lookup_type_cache(attr->atttypid, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
}

/* Why an index cannot be probed for this item, or NULL. */
static const char *
index_obstacle(SpecItem *item, Relation rel, Relation index, bool is_newest)
{
	int			nkeys = item->nkeys + (is_newest ? 1 : 0);

	if (index->rd_rel->relam != BTREE_AM_OID)
		return "index is not a btree";
	for (int i = 0; i < nkeys; i++)
	{
		AttrNumber	attno = index->rd_index->indkey.values[i];
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(rel), attno - 1);
		TypeCacheEntry *type = lookup_type_cache(attr->atttypid, TYPECACHE_EQ_OPR);

		if (index->rd_indcollation[i] != attr->attcollation)
			return "index has a collation of its own";
		if (get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
								index->rd_opcintype[i], BTEqualStrategyNumber) != type->eq_opr)
			return "index has an equality of its own";
	}
	/* What breaks ties of the event time must be newest first, too. */
	for (int i = nkeys; is_newest && i < index->rd_index->indnkeyatts; i++)
	{
		int			option = index->rd_indoption[i];
		bool		is_desc = (option & INDOPTION_DESC) != 0;

		if (is_desc != ((index->rd_indoption[nkeys - 1] & INDOPTION_DESC) != 0) ||
			is_desc != ((option & INDOPTION_NULLS_FIRST) != 0))
			return "index has mixed directions";
		if (!orders_as_column(rel, index, i))
			return "index has an order of its own";
	}
	return NULL;
}

/* Checks that requested values can be compared with the key columns. */
static void
check_key_types(Spec *spec, SpecItem *item, Relation rel, ItemAccess *access)
{
	for (int i = 0; i < item->nkeys; i++)
	{
		Form_pg_attribute attr =
			TupleDescAttr(RelationGetDescr(rel), item->keys[i].attno - 1);
		SpecColumn *column = &spec->columns[item->keys[i].column];
		Oid			given = getBaseType(column->type);
		Oid			wanted = getBaseType(attr->atttypid);

		if (type_is_rowtype(wanted) || OidIsValid(get_element_type(wanted)))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("%s: key column \"%s\" is of type %s", item->name, NameStr(attr->attname),
							format_type_be(attr->atttypid)),
					 errhint("Keys are scalars: an array of them is many rows.")));
		if (!OidIsValid(lookup_type_cache(wanted, TYPECACHE_EQ_OPR)->eq_opr))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("%s: key column \"%s\" is of type %s, which has no equality",
							item->name, NameStr(attr->attname), format_type_be(attr->atttypid))));
		if (given != wanted && is_integer_type(given) && is_integer_type(wanted))
			access->range_types[i] = wanted;
		else if (!IsBinaryCoercible(given, wanted))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("%s: key \"%s\" is of type %s but column \"%s\" of type %s",
							item->name, column->name, format_type_be(column->type),
							NameStr(attr->attname), format_type_be(attr->atttypid)),
					 errhint("Give one of them the type of the other.")));
		access->key_types[i] = attr->atttypid;
		access->key_lengths[i] = attr->attlen;
		access->key_byval[i] = attr->attbyval;
	}
}

/* Makes the scan keys of the index, their arguments still open. */
static void
make_scan_keys(SpecItem *item, Relation index, ItemAccess *access)
{
	int			n = item->nkeys + (access->is_newest ? 1 : 0);

	access->nscankeys = n;
	access->scankeys = palloc0(sizeof(ScanKeyData) * n);
	access->key_positions = palloc0(sizeof(int) * item->nkeys);
	for (int i = 0; i < n; i++)
	{
		bool		is_time = i == item->nkeys;
		StrategyNumber strategy = is_time ? BTLessEqualStrategyNumber : BTEqualStrategyNumber;
		Oid			operator = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
												   index->rd_opcintype[i], strategy);

		ScanKeyEntryInitialize(&access->scankeys[i], 0, i + 1, strategy, InvalidOid,
							   index->rd_indcollation[i], get_opcode(operator), (Datum) 0);
		if (is_time)
			access->time_position = i;
		else
			access->key_positions[key_of_column(item, index->rd_index->indkey.values[i])] = i;
	}
	access->direction = ForwardScanDirection;
	if (access->is_newest && !(index->rd_indoption[item->nkeys] & INDOPTION_DESC))
		access->direction = BackwardScanDirection;
}

/* Fills in what the index says about the key. */
static void
use_index(SpecItem *item, Relation rel, Relation index, ItemAccess *access)
{
	for (int i = item->nkeys + 1; access->is_newest && i < index->rd_index->indnkeyatts; i++)
		access->tiebreak = lappend_int(access->tiebreak, index->rd_index->indkey.values[i]);
	access->is_unique = rel->rd_rel->relhassubclass == false ||
		rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	if (!access->reason)
		access->reason = index_obstacle(item, rel, index, access->is_newest);
	if (access->reason)
		return;
	access->is_direct = true;
	access->index = RelationGetRelid(index);
	make_scan_keys(item, index, access);
}

/* Without such an index only views and foreign tables can be looked up. */
static void
refuse_without_index(SpecItem *item, Relation rel)
{
	char		relkind = rel->rd_rel->relkind;

	if (relkind == RELKIND_VIEW || relkind == RELKIND_FOREIGN_TABLE)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s: no unique index of table \"%s\" identifies a row by (%s)", item->name,
					RelationGetRelationName(rel), key_column_names(item)),
			 errdetail("A lookup needs a valid unique index, neither partial nor deferrable, over exactly these columns, or over these followed by the timeseries column."),
			 errhint("Add a primary key or a unique index, or give the whole key in lookup_key.")));
}

/*
 * How an item's table can be probed; rel is open and locked.  The result lives
 * in the spec's memory context.  Raises 55000 if a key can have several rows.
 */
ItemAccess *
access_for_item(Spec *spec, SpecItem *item, Relation rel)
{
	MemoryContext old = MemoryContextSwitchTo(spec->cxt);
	ItemAccess *access = palloc0(sizeof(ItemAccess));
	Relation	index = choose_index(item, rel, &access->is_newest);

	access->range_types = palloc0(sizeof(Oid) * item->nkeys);
	access->key_types = palloc0(sizeof(Oid) * item->nkeys);
	access->key_lengths = palloc0(sizeof(int16) * item->nkeys);
	access->key_byval = palloc0(sizeof(bool) * item->nkeys);
	check_key_types(spec, item, rel, access);

	access->last_attno = Max(bms_prev_member(item->columns_read, -1), 0);
	for (int i = 0; i < item->nkeys; i++)
		access->last_attno = Max(access->last_attno, item->keys[i].attno);

	access->reason = relation_obstacle(item, rel);
	if (index)
	{
		use_index(item, rel, index, access);
		index_close(index, NoLock);
	}
	else
		refuse_without_index(item, rel);
	MemoryContextSwitchTo(old);
	return access;
}

/*
 * What forbids direct probes just now, or NULL: it depends on the user, the
 * settings or the snapshot, and so is asked at every call.
 */
const char *
access_obstacle(SpecItem *item, Relation rel)
{
	if (!enable_direct_lookup)
		return "featurestore.enable_direct_lookup is off";
	if (rel->rd_rel->relrowsecurity &&
		check_enable_rls(RelationGetRelid(rel), InvalidOid, true) == RLS_ENABLED)
		return "row-level security applies";
	/* The planner's path has the error for it. */
	if (!RelationIsPopulated(rel))
		return "materialized view is not populated";
	return NULL;
}
