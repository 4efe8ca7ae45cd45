/*
 * records.c
 *	  What publishing keeps beside the online tables: records of runs, changes
 *	  that could not be applied, and keys to look at again.
 *
 * As with definitions, the right to write these rows is the right to alter the
 * relation they are about; they are written as the owner of the extension.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "catalog/definition.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(append_records);
PG_FUNCTION_INFO_V1(hold_keys);
PG_FUNCTION_INFO_V1(due_keys);
PG_FUNCTION_INFO_V1(fill_key);

/* A table of records: the columns that they have, and what is done besides. */
typedef struct RecordTable
{
	const char *name;
	const char *insert;			/* $1 the relation, $2 the records */
	const char *prune;			/* $1 the relation; forgets old records, or NULL */
} RecordTable;

static const RecordTable record_tables[] = {
	{"publish_run",
		"INSERT INTO featurestore.publish_run (relation, operation, started_at, rows_read, rows_changed, rows_rejected, sqlstate, message) "
		"SELECT $1, r.operation, r.started_at, r.rows_read, r.rows_changed, r.rows_rejected, r.sqlstate, r.message "
		"FROM pg_catalog.jsonb_populate_recordset(NULL::featurestore.publish_run, $2) AS r "
		"RETURNING id OPERATOR(pg_catalog.%) 100 OPERATOR(pg_catalog.=) 0",
		"DELETE FROM featurestore.publish_run WHERE relation OPERATOR(pg_catalog.=) $1 AND id OPERATOR(pg_catalog.<=) "
		"(SELECT id FROM featurestore.publish_run WHERE relation OPERATOR(pg_catalog.=) $1 "
	"ORDER BY id DESC OFFSET 1000 LIMIT 1)"},
	{"rejected_change",
		"INSERT INTO featurestore.rejected_change (relation, sequence, change, sqlstate, message) "
		"SELECT $1, r.sequence, r.change, r.sqlstate, r.message "
		"FROM pg_catalog.jsonb_populate_recordset(NULL::featurestore.rejected_change, $2) AS r",
	NULL}
};

/* _record(catalog text, relation regclass, records jsonb) RETURNS void */
Datum
append_records(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid			types[] = {REGCLASSOID, JSONBOID};
	Datum		values[] = {PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
	const RecordTable *records = NULL;
	Relation	table;
	bool		isnull;
	bool		is_time;

	for (int i = 0; i < lengthof(record_tables); i++)
	{
		if (strcmp(record_tables[i].name, name) == 0)
			records = &record_tables[i];
	}
	if (!records)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a table of records", name)));

	lock_owned_relation(PG_GETARG_OID(1), AccessShareLock);
	table = open_catalog_table(name);
	is_time = DatumGetBool(execute_as_owner(table, records->insert, 2, types, values, &isnull));
	if (records->prune && !isnull && is_time)
		execute_as_owner(table, records->prune, 1, types, values, &isnull);
	table_close(table, NoLock);

	PG_RETURN_VOID();
}

/* _hold(relation regclass, clock timestamptz, later jsonb) RETURNS void */
Datum
hold_keys(PG_FUNCTION_ARGS)
{
	Oid			types[] = {REGCLASSOID, TIMESTAMPTZOID, JSONBOID, INT8OID};
	Datum		values[] = {
		PG_GETARG_DATUM(0),
		PG_ARGISNULL(1) ? TimestampTzGetDatum(DT_NOEND) : PG_GETARG_DATUM(1),
		PG_GETARG_DATUM(2),
		Int64GetDatum((int64) GetSystemIdentifier())
	};
	Relation	table;
	bool		isnull;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation and keys must not be null")));

	lock_owned_relation(PG_GETARG_OID(0), AccessShareLock);
	table = open_catalog_table("held_change");
	execute_as_owner(table,
					 "DELETE FROM featurestore.held_change WHERE relation OPERATOR(pg_catalog.=) $1 AND due OPERATOR(pg_catalog.<=) $2",
					 2, types, values, &isnull);
	execute_as_owner(table,
					 "INSERT INTO featurestore.held_change AS held (relation, system_identifier, key, due) "
					 "SELECT $1, $4, r.key, pg_catalog.min(r.due) FROM pg_catalog.jsonb_to_recordset($3) AS r(key pg_catalog.jsonb, due pg_catalog.timestamptz) GROUP BY r.key ORDER BY r.key "
					 "ON CONFLICT (relation, key) DO UPDATE SET due = LEAST(held.due, excluded.due), system_identifier = excluded.system_identifier",
					 4, types, values, &isnull);
	table_close(table, NoLock);

	PG_RETURN_VOID();
}

/* _due_keys(relation regclass, clock timestamptz) RETURNS jsonb */
Datum
due_keys(PG_FUNCTION_ARGS)
{
	Oid			types[] = {REGCLASSOID, TIMESTAMPTZOID, INT8OID};
	Datum		values[] = {
		PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), Int64GetDatum((int64) GetSystemIdentifier())
	};
	Relation	table;
	Datum		result;
	bool		isnull;

	lock_owned_relation(PG_GETARG_OID(0), AccessShareLock);
	table = open_catalog_table("held_change");
	result = execute_as_owner(table,
							  "SELECT COALESCE(pg_catalog.jsonb_agg(key), '[]') FROM featurestore.held_change "
							  "WHERE relation OPERATOR(pg_catalog.=) $1 AND due OPERATOR(pg_catalog.<=) $2 AND system_identifier OPERATOR(pg_catalog.=) $3",
							  3, types, values, &isnull);
	table_close(table, NoLock);

	PG_RETURN_DATUM(result);
}

/* _fill_key(relation regclass) RETURNS jsonb */
Datum
fill_key(PG_FUNCTION_ARGS)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {PG_GETARG_DATUM(0)};
	Relation	table;
	Datum		result;
	bool		isnull;

	lock_owned_relation(PG_GETARG_OID(0), AccessShareLock);
	table = open_catalog_table("fill_position");
	result = execute_as_owner(table, "SELECT fill_key FROM featurestore.fill_position WHERE relation OPERATOR(pg_catalog.=) $1",
							  1, types, values, &isnull);
	table_close(table, NoLock);

	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}
