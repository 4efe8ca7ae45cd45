/*
 * drain.c
 *	  Writes what lookups have served to the logs of their specs.
 *
 * The lookups leave it in shared memory (see lookup/serve_log.c), and nobody
 * tells us: we look once a second, for as long as any spec is logged, and when
 * we are told that much is waiting.  Each spec's vectors are written in a
 * transaction of their own, with the rights of its owner; an error loses those,
 * which is counted, and nothing else.
 *
 * A log is its owner's, but what is in it was looked up with the rights of
 * others: vectors of what the owner may not read (any more) are lost, too.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "lookup/serve_log.h"
#include "worker/worker.h"
#include "compat.h"

/* How often vectors are looked for, and databases that are gone, in ms. */
#define DRAIN_INTERVAL 1000
#define FORGET_INTERVAL 60000

#define LOG_COLUMNS 9

/* The log of a spec, which has to belong to the spec's owner; InvalidOid for none. */
static Oid
log_of(Oid spec)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];
	Oid			log;

	if (!catalog_fetch("serve_log", spec, NULL, values, nulls))
		return InvalidOid;
	log = DatumGetObjectId(values[Anum_serve_log_log_table - 1]);
	if (!OidIsValid(owner_of(spec)) || !OidIsValid(owner_of(log)))
		return InvalidOid;
	if (owner_of(log) != owner_of(spec))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("serve log \"%s\" does not belong to the owner of the spec",
						get_rel_name(log)),
				 errhint("Use ALTER TABLE ... OWNER TO, or rename it and call log_lookups with a fraction of 0 and then again.")));
	return log;
}

static SPIPlanPtr
prepare_insert(Oid log)
{
	Oid			types[LOG_COLUMNS] = {
		TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, TEXTOID, JSONBOID, JSONBOID, JSONBOID, JSONBOID,
		INT8OID
	};
	char	   *table = quote_qualified_identifier(get_namespace_name(get_rel_namespace(log)),
												   get_rel_name(log));
	SPIPlanPtr	plan = SPI_prepare(psprintf("INSERT INTO %s (logged_at, as_of, spec_version, snapshot, positions, request, outputs, statuses, system_identifier) "
											"VALUES ($1, $2, $3, $4::pg_catalog.pg_snapshot, $5, $6, $7, $8, $9)", table),
								   LOG_COLUMNS, types);

	if (!plan)
		elog(ERROR, "could not prepare to write a log of lookups");
	return plan;
}

/* Writes one vector of a spec as it is now. */
static void
write_vector(SPIPlanPtr plan, const Spec *spec, ServedVector *vector)
{
	Datum	   *row = palloc_array(Datum, spec->ncolumns);
	bool	   *nulls = palloc_array(bool, spec->ncolumns);
	Datum		values[LOG_COLUMNS];

	read_served_vector(vector);
	heap_deform_tuple(&vector->row, spec->working_desc, row, nulls);
	values[0] = TimestampTzGetDatum(vector->header.logged_at);
	values[1] = TimestampTzGetDatum(vector->header.as_of);
	values[2] = Int32GetDatum(vector->header.version);
	values[3] = CStringGetTextDatum(vector->snapshot);
	values[4] = JsonbPGetDatum(positions_as_json(vector->positions, vector->npositions));
	values[5] = JsonbPGetDatum(request_as_json(spec, row, nulls));
	values[6] = JsonbPGetDatum(outputs_as_json(spec, row, nulls));
	values[7] = JsonbPGetDatum(statuses_as_json(spec, vector->statuses));
	values[8] = Int64GetDatum((int64) GetSystemIdentifier());
	if (SPI_execute_plan(plan, values, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write a log of lookups");
}

/* May the current user, the owner of a spec, read all that it looks up? */
static bool
may_read(const Spec *spec)
{
	if (!HavePermissionsCompat(spec->rtes, spec->perminfos))
		return false;
	for (int i = 0; i < spec->nitems; i++)
	{
		Oid			relid = spec->items[i].relid;

		if (OidIsValid(relid) && check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
			return false;
	}
	return true;
}

/* Writes the vectors of a spec, as its owner; gives how many. */
static int64
write_as_owner(Oid relid, Oid log, ServedVectors vectors)
{
	Spec	   *spec = spec_for_type(get_rel_type_id(relid));
	SPIPlanPtr	plan;
	MemoryContext context;
	ServedVector vector;
	int64		written = 0;

	if (!may_read(spec))
		return 0;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = prepare_insert(log);
	context = AllocSetContextCreate(CurrentMemoryContext, "featurestore served vector",
									ALLOCSET_DEFAULT_SIZES);
	while (next_served_vector(&vectors, &vector))
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		/* what another version gave cannot be read any more */
		if (vector.header.spec == relid && vector.header.version == spec->version)
		{
			write_vector(plan, spec, &vector);
			written++;
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	SPI_finish();
	return written;
}

/* Writes the vectors of a spec, in the current transaction; gives how many. */
static int64
write_vectors(Oid spec, const ServedVectors *vectors)
{
	Oid			log;
	Oid			user;
	int			context;
	int			nest_level;
	int64		written;

	PushActiveSnapshot(GetTransactionSnapshot());
	log = log_of(spec);
	if (!OidIsValid(log))
	{
		PopActiveSnapshot();
		return 0;
	}
	/* publications do not wait for who builds an index on a log */
	if (!ConditionalLockRelationOid(log, RowExclusiveLock))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("serve log \"%s\" is locked by somebody else", get_rel_name(log))));
	nest_level = begin_texts();
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner_of(log), context | SECURITY_RESTRICTED_OPERATION);
	written = write_as_owner(spec, log, *vectors);
	SetUserIdAndSecContext(user, context);
	end_texts(nest_level);
	PopActiveSnapshot();
	return written;
}

/* Says that vectors of a spec could not be written. */
static void
report_loss(Oid spec, ErrorData *error)
{
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("lookups of the feature spec with OID %u could not be logged: %s", spec,
					error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
}

/* Writes the vectors of a spec, of which there are n, in a transaction of its own. */
static void
write_spec(Oid spec, const ServedVectors *vectors, int64 n)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = NULL;
	volatile int64 written = 0;

	PG_TRY();
	{
		start_worker_transaction();
		written = write_vectors(spec, vectors);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		written = 0;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (error)
		report_loss(spec, error);
	count_served_vectors(written, n - written);
}

/* Writes the vectors of all specs. */
static void
write_all(ServedVectors *vectors)
{
	List	   *specs = NIL;
	ServedVectors at = *vectors;
	ServedVector vector;
	ListCell   *lc;

	while (next_served_vector(&at, &vector))
		specs = list_append_unique_oid(specs, vector.header.spec);
	foreach(lc, specs)
	{
		int64		n = 0;

		for (at = *vectors; next_served_vector(&at, &vector);)
			n += vector.header.spec == lfirst_oid(lc);
		write_spec(lfirst_oid(lc), vectors, n);
	}
}

static bool
is_time(TimestampTz *last, int interval)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(*last, now, interval))
		return false;
	*last = now;
	return true;
}

/* Writes what is waiting, if it is time to; gives when to come again. */
TimestampTz
drain_serve_log(bool keeps_log)
{
	static TimestampTz drained_at = 0;
	static TimestampTz forgot_at = 0;
	MemoryContext context;
	MemoryContext old;
	ServedVectors vectors;

	if (!serve_log_is_there())
		return DT_NOEND;
	if (is_time(&drained_at, DRAIN_INTERVAL) || serve_log_is_pressing())
	{
		context = AllocSetContextCreate(CurrentMemoryContext, "featurestore served vectors",
										ALLOCSET_DEFAULT_SIZES);
		old = MemoryContextSwitchTo(context);
		if (serve_log_take(&vectors))
			write_all(&vectors);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
	}
	if (is_time(&forgot_at, FORGET_INTERVAL))
	{
		start_worker_transaction();
		serve_log_forget_dropped();
		finish_transaction();
	}
	return keeps_log ? TimestampTzPlusMilliseconds(drained_at, DRAIN_INTERVAL) : DT_NOEND;
}
