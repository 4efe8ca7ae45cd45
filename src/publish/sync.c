/*
 * sync.c
 *	  Runs a sync as the owner of the online table, and its statements under one
 *	  snapshot.
 *
 * A sync evaluates what the owner chose: views, filters, triggers, operators
 * of types.  As with REFRESH MATERIALIZED VIEW they must not run with the
 * rights of whoever asks, who may be a superuser; and they must see the same
 * rows of the source whoever asks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "catalog/definition.h"

PG_FUNCTION_INFO_V1(sync_as_owner);
PG_FUNCTION_INFO_V1(merge_together);

Datum
sync_as_owner(PG_FUNCTION_ARGS)
{
	Oid			types[] = {REGCLASSOID, BOOLOID};
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	Oid			owner;
	Oid			user;
	int			context;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("online_table must not be null")));

	/*
	 * Keeps out other syncs and all other writers; readers never notice.  The
	 * statements of the merge take their snapshots after this.
	 */
	owner = lock_owned_relation(PG_GETARG_OID(0), ShareRowExclusiveLock);

	GetUserIdAndSecContext(&user, &context);
	if (owner != user)
		SetUserIdAndSecContext(owner, context | SECURITY_RESTRICTED_OPERATION);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	if (SPI_execute_with_args("SELECT featurestore._merge($1, $2)",
							  2, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not merge relation with OID %u", PG_GETARG_OID(0));

	SPI_finish();
	SetUserIdAndSecContext(user, context);

	PG_RETURN_VOID();
}

/* Runs one statement, with the clock as $1, under a snapshot; gives the json it returns. */
static Datum
execute_merge(const char *sql, Datum clock, Snapshot snapshot)
{
	Oid			types[] = {TIMESTAMPTZOID};
	SPIPlanPtr	plan = SPI_prepare(sql, 1, types);
	Datum		result = (Datum) 0;
	bool		isnull = true;

	if (!plan)
		elog(ERROR, "could not prepare merge");
	/* As foreign keys do: it sees what this command wrote, and of others what the snapshot has */
	if (SPI_execute_snapshot(plan, &clock, NULL, snapshot, InvalidSnapshot, false, true, 0) < 0)
		elog(ERROR, "could not merge");
	if (SPI_tuptable && SPI_processed == 1 && SPI_gettypeid(SPI_tuptable->tupdesc, 1) == JSONBOID)
		result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a statement to be run under one snapshot must give one jsonb")));
	return SPI_datumTransfer(result, false, -1);
}

/*
 * _merge_together(statements text[], clock timestamptz) RETURNS jsonb[]
 * Runs statements that each give one jsonb, all under one snapshot: what one
 * reads of the sources the others read, too.
 */
Datum
merge_together(PG_FUNCTION_ARGS)
{
	ArrayType  *statements = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *texts;
	Datum	   *results;
	int			n;
	Snapshot	snapshot;

	deconstruct_array(statements, TEXTOID, -1, false, TYPALIGN_INT, &texts, NULL, &n);
	results = palloc(sizeof(Datum) * Max(n, 1));
	snapshot = RegisterSnapshot(IsolationUsesXactSnapshot() ? GetTransactionSnapshot() :
								GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	for (int i = 0; i < n; i++)
		results[i] = execute_merge(TextDatumGetCString(texts[i]), PG_GETARG_DATUM(1), snapshot);
	SPI_finish();
	UnregisterSnapshot(snapshot);

	PG_RETURN_ARRAYTYPE_P(construct_array(results, n, JSONBOID, -1, false, TYPALIGN_INT));
}
