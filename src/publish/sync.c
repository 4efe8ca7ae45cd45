/*
 * sync.c
 *	  Runs a sync as the owner of the online table.
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

#include "catalog/definition.h"

PG_FUNCTION_INFO_V1(sync_as_owner);

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
