/*
 * sync.c
 *	  Runs publications: as the owner of the online table, step by step.
 *
 * A run evaluates what the owner chose: views, filters, triggers, operators
 * of types.  As with REFRESH MATERIALIZED VIEW they must not run with the
 * rights of whoever asks, who may be a superuser; and they must see the same
 * rows of the source whoever asks.
 *
 * Called outside of a transaction block, the procedures commit after each step,
 * and a failure is recorded before it is raised.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/definition.h"
#include "catalog/plans.h"
#include "catalog/spec.h"
#include "publish/sync.h"

PG_FUNCTION_INFO_V1(run_now);
PG_FUNCTION_INFO_V1(sync_table);
PG_FUNCTION_INFO_V1(rebuild_table);
PG_FUNCTION_INFO_V1(run_due);
PG_FUNCTION_INFO_V1(merge_together);

int			fill_chunk = 100000;
int			history_retention = 0;

/*
 * Bytes of a partition of staged changes that are worth to be truncated.  Each run
 * reads it whole, so whoever runs all the time wants it small.
 */
#define ROTATED_SIZE (4 * 1024 * 1024)
#define OFTEN_ROTATED_SIZE (1024 * 1024)

/* What is asked of a publication. */
typedef struct Request
{
	Oid			relation;
	const char *what;			/* see _run */
	Datum		keys;			/* jsonb */
	bool		has_keys;
	bool		is_pruning;		/* of its history, instead */
	int64		block;			/* that it has come to */
} Request;

static void
check_table_given(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("online_table must not be null")));
}

static void
connect(bool nonatomic)
{
	if (SPI_connect_ext(nonatomic ? SPI_OPT_NONATOMIC : 0) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/*
 * Runs sql as another role, and with no other rights.  What it sets, the search
 * path for one, is forgotten: else triggers of that role could choose what the
 * next statement of the caller means.  Compiling the expressions of statements
 * that are planned anew each time takes longer than running them, and so does
 * planning those that are kept.
 */
static void
execute_as(Oid role, const char *sql, int nargs, Oid *types, Datum *values, const char *nulls)
{
	Oid			user;
	int			context;
	int			nest_level = NewGUCNestLevel();

	set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	set_config_option("plan_cache_mode", "force_generic_plan", PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(&user, &context);
	if (role != user)
		SetUserIdAndSecContext(role, context | SECURITY_RESTRICTED_OPERATION);
	if (execute_kept(sql, nargs, types, values, nulls) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
	SetUserIdAndSecContext(user, context);
	AtEOXact_GUC(false, nest_level);
}

/*
 * Gives back the space of changes that are applied, in the staging tables that
 * a publication reads, as the owners of those.
 */
static void
rotate_stagings(Oid relation, int64 size)
{
	Oid			types[] = {REGCLASSOID, INT8OID};
	Datum		values[] = {ObjectIdGetDatum(relation), Int64GetDatum(size)};
	SPITupleTable *stagings;
	uint64		n;

	if (execute_kept("SELECT staging, owner FROM featurestore._stagings($1)", 1, types, values,
					 NULL) != SPI_OK_SELECT)
		elog(ERROR, "could not find the staging tables of relation with OID %u", relation);
	stagings = SPI_tuptable;
	n = SPI_processed;
	for (uint64 i = 0; i < n; i++)
	{
		bool		isnull;
		Oid			owner = DatumGetObjectId(SPI_getbinval(stagings->vals[i], stagings->tupdesc, 2,
														   &isnull));

		values[0] = SPI_getbinval(stagings->vals[i], stagings->tupdesc, 1, &isnull);
		execute_as(owner, "SELECT featurestore._rotate($1, $2)", 2, types, values, NULL);
		if (SPI_processed == 1)
		{
			char	   *obstacle = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

			if (obstacle)
				ereport(NOTICE, (errmsg("%s", obstacle)));
		}
	}
}

/*
 * The lock that a run takes on an online table.  Others who write it are kept
 * out by those runs that compare it as a whole, and where transactions write it
 * that change the source.  A run of changes only needs that nobody alters the
 * table: it must not be in the way of VACUUM, nor VACUUM in its.
 */
static LOCKMODE
run_lock_mode(Oid relation)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];
	char	   *mode;

	if (!catalog_fetch("publication", relation, NULL, values, nulls))
		return RowExclusiveLock;
	mode = TextDatumGetCString(values[Anum_publication_publish_mode - 1]);
	if (strcmp(mode, "SYNCHRONOUS") == 0 || strcmp(mode, "SNAPSHOT") == 0)
		return ShareRowExclusiveLock;
	return RowExclusiveLock;
}

/* One run of a table at a time: false if it is not our turn and we do not wait for it. */
static bool
lock_turn(Oid relation, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId, relation, 1);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Where others are kept out the run locks the sources first, as writers do, and
 * we only see to it that the table stays.
 */
bool
try_lock_for_run(Oid relation)
{
	LOCKMODE	mode = run_lock_mode(relation);

	return lock_turn(relation, false) &&
		ConditionalLockRelationOid(relation, mode == RowExclusiveLock ? mode : AccessShareLock);
}

/*
 * Runs one step of what is asked, but for giving back space.  It keeps out other
 * runs; readers never notice.  Snapshots are taken after the locks.  Gives
 * whether all is done.
 */
static bool
run_only(Request *request)
{
	Oid			types[] = {REGCLASSOID, TEXTOID, JSONBOID};
	Datum		values[] = {
		ObjectIdGetDatum(request->relation), CStringGetTextDatum(request->what), request->keys
	};
	Oid			owner = check_owner(request->relation);
	bool		isnull;

	lock_turn(request->relation, true);
	execute_as(owner, "SELECT featurestore._lock_sources($1)", 1, types, values, NULL);
	lock_owned_relation(request->relation, run_lock_mode(request->relation));
	/* once more, as it may have changed while we waited */
	owner = lock_owned_relation(request->relation, run_lock_mode(request->relation));
	execute_as(owner, "SELECT (featurestore._run($1, $2, $3) OPERATOR(pg_catalog.->>) 'is_done')::pg_catalog.bool",
			   3, types, values, request->has_keys ? NULL : "  n");
	return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * One step of pruning a history.  The lock keeps out whoever says something of the
 * history, that it is interrupted, for one; what he says would be overwritten.
 */
static bool
prune_only(Request *request)
{
	Oid			types[] = {REGCLASSOID, INT8OID};
	Datum		values[] = {ObjectIdGetDatum(request->relation), Int64GetDatum(request->block)};
	Oid			owner = lock_owned_relation(request->relation, PRUNE_LOCK_MODE);
	bool		is_done;

	execute_as(owner, "SELECT featurestore._prune_history($1, $2)", 2, types, values, NULL);
	request->block = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
												 &is_done));
	return is_done;
}

/* One step of what is asked. */
static bool
run_step(Request *request)
{
	bool		is_done;

	if (request->is_pruning)
		return prune_only(request);
	is_done = run_only(request);
	rotate_stagings(request->relation, ROTATED_SIZE);
	return is_done;
}

void
merge_own_table(Oid relation, Oid owner)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relation)};

	execute_as(owner, "SELECT featurestore._run($1, 'MERGE', NULL)", 1, types, values, NULL);
}

/* Notes that a step failed. */
static void
note_failure(Request *request, TimestampTz started, ErrorData *error)
{
	Oid			types[] = {REGCLASSOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID};
	Datum		values[] = {
		ObjectIdGetDatum(request->relation), CStringGetTextDatum(request->what),
		TimestampTzGetDatum(started),
		CStringGetTextDatum(unpack_sql_state(error->sqlerrcode)), CStringGetTextDatum(error->message)
	};

	if (SPI_execute_with_args("SELECT featurestore._note_failure($1, $2, $3, $4, $5)", 5, types,
							  values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not note a failure");
}

/* May what failed be recorded?  Not if there is no such table, or it is another's. */
static bool
can_note(Request *request)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(request->relation)};

	return SPI_execute_with_args("SELECT FROM featurestore._publications() AS p JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) p.relation "
								 "WHERE p.relation OPERATOR(pg_catalog.=) $1 AND pg_catalog.pg_has_role(c.relowner, 'USAGE')",
								 1, types, values, NULL, false, 1) == SPI_OK_SELECT && SPI_processed == 1;
}

/*
 * Runs a step in a subtransaction and records a failure; gives the error, in
 * context, or NULL.
 */
static ErrorData *
run_recorded_step(Request *request, MemoryContext context, bool *is_done)
{
	MemoryContext oldcontext = CurrentMemoryContext;
	ResourceOwner oldowner = CurrentResourceOwner;
	TimestampTz started = GetCurrentTimestamp();
	ErrorData  *error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(oldcontext);
	PG_TRY();
	{
		*is_done = run_step(request);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(oldcontext);
		CurrentResourceOwner = oldowner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(oldcontext);
		CurrentResourceOwner = oldowner;
	}
	PG_END_TRY();

	if (error && !request->is_pruning && can_note(request))
		note_failure(request, started, error);
	return error;
}

/* Runs steps until all is done, in one transaction. */
static void
run_at_once(Request *request)
{
	while (!run_step(request))
		CHECK_FOR_INTERRUPTS();
}

/* Runs steps until all is done, each in a transaction of its own; gives the error that ended it, or NULL. */
static ErrorData *
run_in_steps(Request *request, MemoryContext context)
{
	bool		is_done = false;
	ErrorData  *error;

	do
	{
		CHECK_FOR_INTERRUPTS();
		error = run_recorded_step(request, context, &is_done);
		SPI_commit();
	} while (!error && !is_done);

	return error;
}

bool
sync_step(Oid relation, bool rotate)
{
	Request		request = {.relation = relation, .what = "SYNC"};
	bool		is_done;

	connect(false);
	is_done = run_only(&request);
	if (rotate)
		rotate_stagings(relation, OFTEN_ROTATED_SIZE);
	SPI_finish();
	return is_done;
}

bool
prune_step(Oid relation, int64 *block)
{
	Request		request = {.relation = relation, .is_pruning = true, .block = *block};
	bool		is_done;

	connect(false);
	is_done = prune_only(&request);
	SPI_finish();
	*block = request.block;
	return is_done;
}

void
record_failure(Oid relation, TimestampTz started, ErrorData *error)
{
	Request		request = {.relation = relation, .what = "SYNC"};

	connect(false);
	if (can_note(&request))
		note_failure(&request, started, error);
	SPI_finish();
}

/* Is a procedure called where it can commit? */
static bool
can_commit(FunctionCallInfo fcinfo)
{
	return fcinfo->context && IsA(fcinfo->context, CallContext) &&
		!((CallContext *) fcinfo->context)->atomic;
}

/* Runs a request for a procedure. */
static void
run_request(FunctionCallInfo fcinfo, Request *request)
{
	MemoryContext context = CurrentMemoryContext;
	bool		nonatomic = can_commit(fcinfo);
	ErrorData  *error = NULL;

	connect(nonatomic);
	if (nonatomic)
		error = run_in_steps(request, context);
	else
		run_at_once(request);
	SPI_finish();
	if (error)
		ReThrowError(error);
}

/* _run_now(online_table regclass, what text) RETURNS void */
Datum
run_now(PG_FUNCTION_ARGS)
{
	Request		request = {0};

	check_table_given(fcinfo);
	request.relation = PG_GETARG_OID(0);
	request.what = PG_ARGISNULL(1) ? "SYNC" : text_to_cstring(PG_GETARG_TEXT_PP(1));
	connect(false);
	run_at_once(&request);
	SPI_finish();
	PG_RETURN_VOID();
}

/* sync(online_table regclass) */
Datum
sync_table(PG_FUNCTION_ARGS)
{
	Request		request = {.what = "SYNC"};

	check_table_given(fcinfo);
	request.relation = PG_GETARG_OID(0);
	run_request(fcinfo, &request);
	PG_RETURN_VOID();
}

/* rebuild(online_table regclass, keys jsonb) */
Datum
rebuild_table(PG_FUNCTION_ARGS)
{
	Request		request = {.what = "MERGE"};

	check_table_given(fcinfo);
	request.relation = PG_GETARG_OID(0);
	if (!PG_ARGISNULL(1))
	{
		request.what = "REBUILD";
		request.keys = JsonbPGetDatum(PG_GETARG_JSONB_P_COPY(1));
		request.has_keys = true;
	}
	run_request(fcinfo, &request);
	PG_RETURN_VOID();
}

/* The tables that a query gives, in a memory context. */
static List *
find_tables(const char *query, MemoryContext context)
{
	List	   *tables = NIL;

	if (SPI_execute(query, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not find what is due");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		relation = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);
		MemoryContext oldcontext = MemoryContextSwitchTo(context);

		tables = lappend_oid(tables, DatumGetObjectId(relation));
		MemoryContextSwitchTo(oldcontext);
	}
	return tables;
}

List *
due_histories(MemoryContext context)
{
	List	   *due;

	connect(false);
	due = find_tables("SELECT * FROM featurestore._due_histories()", context);
	SPI_finish();
	return due;
}

/* Does what is asked of a table that is due; an error is a WARNING. */
static void
run_due_request(Request *request, const char *failure, bool nonatomic, MemoryContext context)
{
	bool		is_done = false;
	ErrorData  *error = NULL;

	if (nonatomic)
		error = run_in_steps(request, context);
	while (!nonatomic && !error && !is_done)
		error = run_recorded_step(request, context, &is_done);
	if (!error)
		return;
	/* whoever cancels does not mean the one that happens to run only */
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg(failure,
					DatumGetCString(DirectFunctionCall1(regclassout,
														ObjectIdGetDatum(request->relation))),
					error->message)));
}

/* run_due() */
Datum
run_due(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	bool		nonatomic = can_commit(fcinfo);
	ListCell   *lc;

	connect(nonatomic);
	MemoryContextSwitchTo(context);
	foreach(lc, find_tables("SELECT * FROM featurestore._due_publications()", context))
	{
		Request		request = {.relation = lfirst_oid(lc), .what = "SYNC"};

		run_due_request(&request, "publication of %s failed: %s", nonatomic, context);
	}
	foreach(lc, find_tables("SELECT * FROM featurestore._due_histories()", context))
	{
		Request		request = {.relation = lfirst_oid(lc), .is_pruning = true};

		run_due_request(&request, "history of %s could not be pruned: %s", nonatomic, context);
	}
	SPI_finish();
	PG_RETURN_VOID();
}

/* Runs one statement, with the clock as $1, under a snapshot; gives the json it returns, for CREATE TABLE AS how many rows there are. */
static Datum
execute_merge(const char *sql, Datum clock, Snapshot snapshot)
{
	Oid			types[] = {TIMESTAMPTZOID};
	SPIPlanPtr	plan = SPI_prepare(sql, 1, types);
	Datum		result = (Datum) 0;
	bool		isnull = true;
	int			status;

	if (!plan)
		elog(ERROR, "could not prepare merge");
	/* As foreign keys do: it sees what this command wrote, and of others what the snapshot has */
	status = SPI_execute_snapshot(plan, &clock, NULL, snapshot, InvalidSnapshot, false, true, 0);
	if (status < 0)
		elog(ERROR, "could not merge");
	if (status == SPI_OK_UTILITY)
	{
		result = DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("{\"rows_changed\": " UINT64_FORMAT "}", SPI_processed)));
		isnull = false;
	}
	else if (SPI_tuptable && SPI_processed == 1 && SPI_gettypeid(SPI_tuptable->tupdesc, 1) == JSONBOID)
		result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a statement to be run under one snapshot must give one jsonb")));
	return SPI_datumTransfer(result, false, -1);
}

/*
 * What a transaction sees that keeps its snapshot will not do for tables that
 * writers apply to: what they have applied since, nobody will apply again.
 */
Snapshot
run_snapshot(bool sees_latest)
{
	return IsolationUsesXactSnapshot() && !sees_latest ? GetTransactionSnapshot() :
		GetLatestSnapshot();
}

/*
 * _merge_together(statements text[], clock timestamptz, sees_latest boolean) RETURNS jsonb[]
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
	snapshot = RegisterSnapshot(run_snapshot(PG_GETARG_BOOL(2)));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	for (int i = 0; i < n; i++)
		results[i] = execute_merge(TextDatumGetCString(texts[i]), PG_GETARG_DATUM(1), snapshot);
	SPI_finish();
	UnregisterSnapshot(snapshot);

	PG_RETURN_ARRAYTYPE_P(construct_array(results, n, JSONBOID, -1, false, TYPALIGN_INT));
}
