/*
 * write_batch.c
 *	  Batches of rows that are written directly: whether they may be, and whether
 *	  they have been already.
 *
 * A writer that does not know whether its last batch arrived sends it again,
 * under the same name.  The names are kept, with a digest of the rows, by the
 * transaction that writes these: so a batch is written once, or not at all.
 * A second writer of the same name waits until the first one is done.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/definition.h"
#include "catalog/plans.h"
#include "catalog/spec.h"
#include "publish/batch.h"
#include "publish/write_batch.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(begin_write);
PG_FUNCTION_INFO_V1(bind_writer);
PG_FUNCTION_INFO_V1(guard_merged);

bool		guard_merge_rules = true;
int			batch_retention = 24 * 60;

#define MAX_BATCH_ID 1000

/* One batch in so many, told by its name, looks for names to forget. */
#define BATCHES_PER_PRUNE 64

/*
 * Names are forgotten when they are old and there are enough newer ones.  Those
 * that another writer is just forgetting are left to him.
 */
static const char *const prune_sql =
"DELETE FROM featurestore.write_batch WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
"SELECT ctid FROM featurestore.write_batch WHERE relation OPERATOR(pg_catalog.=) $1 "
"AND written_at OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.make_interval(mins => $2)) "
"AND written_at OPERATOR(pg_catalog.<) (SELECT written_at FROM featurestore.write_batch "
"WHERE relation OPERATOR(pg_catalog.=) $1 ORDER BY written_at DESC OFFSET 9999 LIMIT 1) "
"ORDER BY written_at LIMIT 10000 FOR UPDATE SKIP LOCKED))";

static const char *const insert_sql =
"INSERT INTO featurestore.write_batch (relation, batch_id, digest, rows_given) "
"VALUES ($1, $2, $3, $4) ON CONFLICT (relation, batch_id) DO NOTHING";

static const char *const find_sql =
"SELECT digest OPERATOR(pg_catalog.=) $3 AND rows_given OPERATOR(pg_catalog.=) $4 FROM featurestore.write_batch "
"WHERE relation OPERATOR(pg_catalog.=) $1 AND batch_id OPERATOR(pg_catalog.=) $2";

/* Raises an error unless there is a table, registered and written by nobody but applications. */
static void
check_written(Oid relation)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];
	char	   *name = get_rel_name(relation);

	if (!name)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (catalog_fetch("publication", relation, NULL, values, nulls))
	{
		if (DatumGetBool(values[Anum_publication_is_paused - 1]))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("publication of %s is paused", name),
					 errdetail("The rows of the table come from its source."),
					 errhint("Write to the source.")));
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s is published", name),
				 errdetail("Its rows come from its source, and a sync would undo what others write."),
				 errhint("Write to the source.")));
	}
	if (!catalog_fetch("online_table", relation, NULL, values, nulls))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table %s is not registered as an online table", name),
				 errhint("Register it with featurestore.create_online_table.")));
}

/* May the user insert into the columns of an index? */
static bool
may_insert_into(Oid relation, Form_pg_index index)
{
	for (int i = 0; i < index->indnkeyatts; i++)
	{
		AttrNumber	attno = index->indkey.values[i];

		if (attno <= 0 ||
			pg_attribute_aclcheck(relation, attno, GetUserId(), ACL_INSERT) != ACLCHECK_OK)
			return false;
	}
	return true;
}

/*
 * Raises 42501 unless the user may insert rows into relation, which takes at
 * least a key: whoever cannot write rows shall not keep others from it.
 */
static void
check_may_insert(Oid relation)
{
	Relation	rel;
	bool		may = pg_class_aclcheck(relation, GetUserId(), ACL_INSERT) == ACLCHECK_OK;
	ListCell   *lc;

	if (may)
		return;
	rel = table_open(relation, AccessShareLock);
	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_index->indisunique && may_insert_into(relation, index->rd_index))
			may = true;
		index_close(index, AccessShareLock);
	}
	table_close(rel, AccessShareLock);
	if (!may)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(get_rel_relkind(relation)),
					   get_rel_name(relation));
}

static void
check_batch_id(const char *batch_id)
{
	Size		length = strlen(batch_id);

	if (length == 0 || length > MAX_BATCH_ID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch_id must have from 1 to %d bytes", MAX_BATCH_ID)));
}

/* Runs a statement about (relation, batch_id, digest, rows), which is planned once a session. */
static uint64
execute_about_batch(const char *sql, int nargs, const Oid *types, Datum *values)
{
	if (execute_kept(sql, nargs, types, values, NULL) < 0)
		elog(ERROR, "could not access the names of batches");
	return SPI_processed;
}

/*
 * Notes a batch, as the owner of the catalog; false if it is noted already.
 * The row that is in the way can be forgotten before it is read.
 */
static bool
note_batch(Datum *values)
{
	static const Oid types[] = {REGCLASSOID, TEXTOID, BYTEAOID, INT8OID};
	bool		isnull;

	for (;;)
	{
		if (execute_about_batch(insert_sql, 4, types, values) > 0)
			return true;
		if (execute_about_batch(find_sql, 4, types, values) == 0)
			continue;
		if (!DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)))
			ereport(ERROR,
					(errcode(ERRCODE_UNIQUE_VIOLATION),
					 errmsg("batch \"%s\" was written already, with other rows",
							TextDatumGetCString(values[1])),
					 errdetail("Nothing was written."),
					 errhint("Give each batch an id of its own; a batch is repeated with the same rows in the same order.")));
		return false;
	}
}

/* Forgets names of batches. */
static void
prune_batches(Datum relation)
{
	static const Oid types[] = {REGCLASSOID, INT4OID};
	Datum		values[] = {relation, Int32GetDatum(batch_retention)};

	execute_about_batch(prune_sql, 2, types, values);
}

/* Is a batch new?  Then it is noted. */
static bool
is_new_batch(Datum *values)
{
	Relation	catalog = open_catalog_table("write_batch");
	text	   *batch_id = DatumGetTextPP(values[1]);
	Oid			user;
	int			context;
	bool		result;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(catalog->rd_rel->relowner, context | SECURITY_LOCAL_USERID_CHANGE);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = note_batch(values);
	if (result && hash_bytes((unsigned char *) VARDATA_ANY(batch_id),
							 VARSIZE_ANY_EXHDR(batch_id)) % BATCHES_PER_PRUNE == 0)
		prune_batches(values[0]);
	SPI_finish();
	SetUserIdAndSecContext(user, context);
	table_close(catalog, NoLock);
	return result;
}

/*
 * _begin_write(online_table regclass, batch_id text, digest bytea, rows bigint)
 * RETURNS boolean
 *
 * The guard of merge rules is down until the calling function ends, which has a
 * setting of its own for that.
 */
Datum
begin_write(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), PG_GETARG_DATUM(3)};
	bool		is_new = true;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("online_table must not be null")));
	check_written(PG_GETARG_OID(0));
	check_may_insert(PG_GETARG_OID(0));
	if (!PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(2) || PG_ARGISNULL(3))
			elog(ERROR, "a batch needs a digest");
		check_batch_id(TextDatumGetCString(values[1]));
		is_new = is_new_batch(values);
	}
	(void) set_config_option("featurestore.guard_merge_rules", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	PG_RETURN_BOOL(is_new);
}

/* _bind_writer(writer regprocedure, online_table regclass) RETURNS void */
Datum
bind_writer(PG_FUNCTION_ARGS)
{
	ObjectAddress writer;
	ObjectAddress table;

	ObjectAddressSet(writer, ProcedureRelationId, PG_GETARG_OID(0));
	ObjectAddressSet(table, RelationRelationId, PG_GETARG_OID(1));
	lock_owned_relation(table.objectId, AccessShareLock);
	if (!FunctionOwnercheckCompat(writer.objectId, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, get_func_name(writer.objectId));
	deleteDependencyRecordsForSpecific(ProcedureRelationId, writer.objectId, DEPENDENCY_AUTO,
									   RelationRelationId, table.objectId);
	recordDependencyOn(&writer, &table, DEPENDENCY_AUTO);
	PG_RETURN_VOID();
}

/* _guard_merged() RETURNS trigger: refuses updates of columns that are merged, but for ours */
Datum
guard_merged(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "_guard_merged")));
	if (guard_merge_rules)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("columns of table \"%s\" that have merge rules cannot be updated",
						RelationGetRelationName(data->tg_relation)),
				 errdetail("An update that is repeated would count twice."),
				 errhint("Write rows with featurestore.write_features or the writer function of the table. "
						 "To mend values by hand, SET featurestore.guard_merge_rules = off.")));
	return PointerGetDatum(NULL);
}
