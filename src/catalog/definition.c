/*
 * definition.c
 *	  Writes the catalog tables on behalf of the owners of relations.
 *
 * The catalog tables belong to whoever installed the extension, and ordinary
 * roles can only read them.  A row describes one relation, so the right to
 * write the row is the right to alter that relation: these functions check
 * ownership as the caller and then write as the owner of the catalog.  No name
 * in the SQL that runs with those rights is left to the search path.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/definition.h"
#include "catalog/plans.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(store_definition);
PG_FUNCTION_INFO_V1(remove_definition);

bool		definitions_changed = false;

/*
 * Members of definitions, besides the relation, that name what is written or
 * dropped on the strength of the row: the caller must own that, too.
 */
static const char *const owned_members[] = {
	"online_table", "values_view", "offline_table", "captured_source", "current_relation", "history_table",
	"frozen_spec", "training_set", "log_table"
};

static const char *const catalogs[] = {
	"online_table", "publication", "publication_position", "fill_position", "staging", "spec",
	"feature", "window_table", "training_set", "serve_log"
};

/* Those of them whose rows belong to one cluster. */
static const char *const cluster_catalogs[] = {"publication_position", "fill_position", "staging"};

/* Those that move with every run, and that no session keeps. */
static const char *const position_catalogs[] = {"publication_position", "fill_position"};

static bool
is_among(const char *name, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

Relation
open_catalog_table(const char *name)
{
	return table_open(get_relname_relid(name, get_namespace_oid("featurestore", false)),
					  RowExclusiveLock);
}

/*
 * Opens the catalog table called name.  Only tables that hold one row a
 * relation, keyed by "relation", may be written this way.
 */
static Relation
open_catalog(const char *name)
{
	if (!is_among(name, catalogs, lengthof(catalogs)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a catalog of definitions", name)));
	return open_catalog_table(name);
}

/*
 * The relation that a member of definition names, as a text in any form that a
 * name has; InvalidOid for none, which is null or not there.
 */
static Oid
named_relation(Jsonb *definition, const char *member)
{
	JsonbValue	value;
	char	   *name;

	if (!JB_ROOT_IS_OBJECT(definition) ||
		getKeyJsonValueFromContainer(&definition->root, member, strlen(member), &value) == NULL ||
		value.type == jbvNull)
		return InvalidOid;
	if (value.type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" of a definition must be the name of a relation", member)));

	name = pnstrdup(value.val.string.val, value.val.string.len);
	return DatumGetObjectId(DirectFunctionCall1(regclassin, CStringGetDatum(name)));
}

/* The relation that definition is about. */
static Oid
defined_relation(Jsonb *definition)
{
	Oid			relation = named_relation(definition, "relation");

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("definition does not name its relation")));
	return relation;
}

Oid
check_owner(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	if (!RelationOwnercheckCompat(relation, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(relation)),
					   get_rel_name(relation));

	return owner;
}

Oid
lock_owned_relation(Oid relation, LOCKMODE mode)
{
	check_owner(relation);
	LockRelationOid(relation, mode);

	return check_owner(relation);
}

/* The (sub)transaction's abort restores the user after an error. */
Datum
execute_as_owner(Relation catalog, const char *sql, int nargs, Oid *types, Datum *values,
				 bool *isnull)
{
	Oid			user;
	int			context;
	Datum		result = (Datum) 0;

	*isnull = true;
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(catalog->rd_rel->relowner,
						   context | SECURITY_LOCAL_USERID_CHANGE);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	if (execute_kept(sql, nargs, types, values, NULL) < 0)
		elog(ERROR, "could not access catalog \"%s\"", RelationGetRelationName(catalog));

	if (SPI_tuptable != NULL && SPI_processed > 0)
	{
		Form_pg_attribute attribute = TupleDescAttr(SPI_tuptable->tupdesc, 0);

		result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, isnull);
		if (!*isnull)
			result = SPI_datumTransfer(result, attribute->attbyval, attribute->attlen);
	}

	SPI_finish();
	SetUserIdAndSecContext(user, context);

	return result;
}

/*
 * The statement that inserts or replaces a row of catalog.  $1 is the
 * definition, $2 what overrides it; it returns whether the row is new.
 */
static char *
upsert_statement(Relation catalog)
{
	TupleDesc	desc = RelationGetDescr(catalog);
	const char *table = quote_qualified_identifier("featurestore",
												   RelationGetRelationName(catalog));
	StringInfoData sql;
	const char *separator = "";

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s SELECT (pg_catalog.jsonb_populate_record("
					 "NULL::%s, $1 OPERATOR(pg_catalog.||) $2)).* "
					 "ON CONFLICT (relation) DO UPDATE SET ", table, table);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		const char *column;

		if (attribute->attisdropped || strcmp(NameStr(attribute->attname), "relation") == 0)
			continue;

		column = quote_identifier(NameStr(attribute->attname));
		appendStringInfo(&sql, "%s%s = excluded.%s", separator, column, column);
		separator = ", ";
	}
	/* a row that replaced another has the locking transaction in its xmax */
	appendStringInfoString(&sql, " RETURNING (xmax OPERATOR(pg_catalog.=) '0'::pg_catalog.xid)");

	return sql.data;
}

/*
 * What the caller does not decide: the relations that were checked, as they were
 * resolved, since names could mean others to the owner of the catalog; and the
 * cluster that positions and staged rows belong to.  Those besides the relation are checked
 * here.
 */
static Datum
overrides(Jsonb *definition, Oid relation, bool of_cluster)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"relation\": \"%u\"", relation);
	for (int i = 0; i < lengthof(owned_members); i++)
	{
		Oid			member = named_relation(definition, owned_members[i]);

		if (!OidIsValid(member))
			continue;
		lock_owned_relation(member, AccessShareLock);
		appendStringInfo(&json, ", \"%s\": \"%u\"", owned_members[i], member);
	}
	if (of_cluster)
		appendStringInfo(&json, ", \"system_identifier\": " INT64_FORMAT,
						 (int64) GetSystemIdentifier());
	appendStringInfoChar(&json, '}');

	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* Workers keep a list of what there is to do, and hear of the catalogs that it is made from. */
static void
tell_workers(Relation catalog)
{
	CacheInvalidateRelcache(catalog);
	definitions_changed = true;
}

Datum
store_definition(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *definition = PG_GETARG_JSONB_P(1);
	Relation	catalog = open_catalog(name);
	bool		is_position = is_among(name, position_catalogs, lengthof(position_catalogs));
	Oid			relation = defined_relation(definition);
	Oid			types[] = {JSONBOID, JSONBOID};
	Datum		values[2];
	bool		inserted;
	bool		isnull;

	lock_owned_relation(relation, AccessShareLock);

	values[0] = JsonbPGetDatum(definition);
	values[1] = overrides(definition, relation,
						  is_among(name, cluster_catalogs, lengthof(cluster_catalogs)));
	inserted = DatumGetBool(execute_as_owner(catalog, upsert_statement(catalog), 2, types, values,
											 &isnull));

	/* positions move with every run, and lookups read them anew each call */
	if (inserted || !is_position)
		CacheInvalidateRelcacheByRelid(relation);
	if (!is_position)
		tell_workers(catalog);
	table_close(catalog, NoLock);

	PG_RETURN_VOID();
}

Datum
remove_definition(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid			relation = PG_GETARG_OID(1);
	Relation	catalog = open_catalog(name);
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(relation)};
	bool		isnull;

	lock_owned_relation(relation, AccessShareLock);

	execute_as_owner(catalog,
					 psprintf("DELETE FROM featurestore.%s WHERE relation OPERATOR(pg_catalog.=) $1",
							  quote_identifier(name)),
					 1, types, values, &isnull);

	CacheInvalidateRelcacheByRelid(relation);
	tell_workers(catalog);
	table_close(catalog, NoLock);

	PG_RETURN_VOID();
}
