/*
 * progress.c
 *	  How far long work that is running is: fills, and training sets.
 *
 * It is one transaction, so no table can show others how far it is.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"

#include "catalog/progress.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(report_progress);
PG_FUNCTION_INFO_V1(count_progress);
PG_FUNCTION_INFO_V1(running_progress);

static const char *const operations[] = {"publish", "materialize", "train"};

static const char *const phases[] = {
	"", "reading", "writing", "writing offline", "applying", "filling", "reading labels",
	"looking up", "giving rows"
};

/*
 * _report_progress(online_table regclass, has_windows boolean, phase int, total bigint)
 * Begins a phase; 0 ends the report.
 */
Datum
report_progress(PG_FUNCTION_ARGS)
{
	if (PG_GETARG_INT32(2) == PHASE_NONE)
		pgstat_progress_end_command();
	else
		progress_begin(PG_GETARG_OID(0), PG_GETARG_BOOL(1) ? OPERATION_MATERIALIZE : OPERATION_PUBLISH,
					   PG_GETARG_INT32(2), PG_GETARG_INT64(3));
	PG_RETURN_VOID();
}

/* _count_progress() RETURNS boolean: one row more is done; always true */
Datum
count_progress(PG_FUNCTION_ARGS)
{
	if (MyBEEntry)
		pgstat_progress_update_param(PROGRESS_DONE, MyBEEntry->st_progress_param[PROGRESS_DONE] + 1);
	PG_RETURN_BOOL(true);
}

/* May the current user see what a backend is doing?  As in the server's views. */
static bool
may_see(PgBackendStatus *backend)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		has_privs_of_role(GetUserId(), backend->st_userid);
}

/*
 * _progress(OUT pid int, OUT relation regclass, OUT operation text, OUT phase text,
 *			 OUT done bigint, OUT total bigint, OUT started timestamptz) RETURNS SETOF record
 */
Datum
running_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			count;

	InitMaterializedSRF(fcinfo, 0);
	count = pgstat_fetch_stat_numbackends();
	for (int i = 1; i <= count; i++)
	{
		PgBackendStatus *backend = &pgstat_get_local_beentryCompat(i)->backendStatus;
		int64		operation = backend->st_progress_param[PROGRESS_OPERATION];
		int64		phase = backend->st_progress_param[PROGRESS_PHASE];
		int64		total = backend->st_progress_param[PROGRESS_TOTAL];
		Datum		values[7];
		bool		nulls[7] = {false};

		if (backend->st_progress_command != PROGRESS_COMMAND_FEATURESTORE ||
			backend->st_databaseid != MyDatabaseId || !may_see(backend) ||
			operation < 0 || operation >= lengthof(operations) ||
			phase < 0 || phase >= lengthof(phases))
			continue;
		values[0] = Int32GetDatum(backend->st_procpid);
		values[1] = ObjectIdGetDatum(backend->st_progress_command_target);
		values[2] = CStringGetTextDatum(operations[operation]);
		values[3] = CStringGetTextDatum(phases[phase]);
		values[4] = Int64GetDatum(backend->st_progress_param[PROGRESS_DONE]);
		values[5] = Int64GetDatum(total);
		nulls[5] = total < 0;
		values[6] = TimestampTzGetDatum(backend->st_progress_param[PROGRESS_STARTED]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
