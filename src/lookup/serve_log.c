/*
 * serve_log.c
 *	  Logs a sample of what lookups serve, by way of shared memory.
 *
 * The memory, which there is only if the library is preloaded, is cut into
 * blocks.  A lookup that logs a row takes free blocks, copies the row into them,
 * and hangs them to the list of its database; what finds no place is counted and
 * lost.  A worker of the database takes the list and writes it to tables (see
 * worker/drain.c).  The lock is held only to unlink and link blocks.  No
 * database gets more than half of them, so that one without a worker leaves
 * room for others.
 *
 * Rows are chosen by a hash of their keys, so that of an entity all rows are
 * logged or none.  What a transaction looks up after it has written is left out,
 * since it may have seen what nobody else does; and so is what the owner of the
 * spec, who reads the log, might not have seen: what is looked up through policies,
 * of whoever looks up or of the owner, or by another than the owner through a view.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "lookup/serve_log.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(serve_log_state);

#define LOCK_NAME "featurestore_serve_log"
#define BLOCK_SIZE 512
#define NO_BLOCK (-1)

/* Databases that can log at a time. */
#define DATABASES 64

typedef struct LogBlock
{
	int			next;
	char		data[BLOCK_SIZE - sizeof(int)];
} LogBlock;

#define BLOCK_DATA (sizeof(((LogBlock *) NULL)->data))

/* What a database has logged. */
typedef struct LoggingDatabase
{
	Oid			oid;			/* InvalidOid: a free place */
	int			first;
	int			last;
	int			nblocks;
	int64		nvectors;		/* that wait in them */
	int64		ntaken;			/* that are being written */
	bool		is_pressing;	/* there are many, and the worker was told */
	Latch	   *worker;			/* of who last took them */
	int64		logged;			/* since the server started */
	int64		lost;
} LoggingDatabase;

typedef struct ServeLog
{
	int			first_free;
	int			nfree;
	LoggingDatabase databases[DATABASES];
	LogBlock		blocks[FLEXIBLE_ARRAY_MEMBER];
} ServeLog;

/* What a run keeps to log its rows. */
typedef struct ServeLogRun
{
	StringInfoData common;		/* snapshot and positions, the same for all rows */
	StringInfoData vector;
	TimestampTz logged_at;
} ServeLogRun;

static int	serve_log_size = 4096;	/* kB */

static ServeLog *serve_log = NULL;
static LWLock *serve_log_lock = NULL;
static int	my_place = -1;

static shmem_request_hook_type previous_shmem_request_hook = NULL;
static shmem_startup_hook_type previous_shmem_startup_hook = NULL;

static int
number_of_blocks(void)
{
	return (int) ((Size) serve_log_size * 1024 / sizeof(LogBlock));
}

static Size
shared_size(void)
{
	return add_size(offsetof(ServeLog, blocks), mul_size(number_of_blocks(), sizeof(LogBlock)));
}

static void
request_shmem(void)
{
	if (previous_shmem_request_hook)
		previous_shmem_request_hook();
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche(LOCK_NAME, 1);
}

static void
startup_shmem(void)
{
	bool		found;

	if (previous_shmem_startup_hook)
		previous_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	serve_log = ShmemInitStruct("featurestore serve log", shared_size(), &found);
	serve_log_lock = &GetNamedLWLockTranche(LOCK_NAME)->lock;
	if (!found)
	{
		int			n = number_of_blocks();

		memset(serve_log, 0, offsetof(ServeLog, blocks));
		for (int i = 0; i < n; i++)
			serve_log->blocks[i].next = i + 1 < n ? i + 1 : NO_BLOCK;
		serve_log->nfree = n;
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Asks for shared memory, which is given only while the server starts. */
void
serve_log_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	DefineCustomIntVariable("featurestore.serve_log_size",
							"Memory in which served vectors wait to be written to the log.",
							"What finds no room is not logged, and counted.",
							&serve_log_size, 4096, 64, 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_KB,
							NULL, NULL, NULL);
	previous_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	previous_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/* The place of this database, which is given one if there is any; else NULL.  The lock is held. */
static LoggingDatabase *
my_database(bool may_make)
{
	int			free_place = -1;

	if (my_place >= 0 && serve_log->databases[my_place].oid == MyDatabaseId)
		return &serve_log->databases[my_place];
	my_place = -1;
	for (int i = 0; i < DATABASES && my_place < 0; i++)
	{
		if (serve_log->databases[i].oid == MyDatabaseId)
			my_place = i;
		else if (free_place < 0 && !OidIsValid(serve_log->databases[i].oid))
			free_place = i;
	}
	if (my_place >= 0)
		return &serve_log->databases[my_place];
	if (free_place < 0 || !may_make)
		return NULL;
	my_place = free_place;
	serve_log->databases[my_place] = (LoggingDatabase) {
		.oid = MyDatabaseId,.first = NO_BLOCK,.last = NO_BLOCK
	};
	return &serve_log->databases[my_place];
}

/* Takes n blocks off the free ones; NO_BLOCK if that is too many.  Gives the last one, too. */
static int
take_blocks(int n, int *last)
{
	LoggingDatabase *database;
	int			first = NO_BLOCK;

	LWLockAcquire(serve_log_lock, LW_EXCLUSIVE);
	database = my_database(true);
	if (database && n <= serve_log->nfree && database->nblocks + n <= number_of_blocks() / 2)
	{
		first = *last = serve_log->first_free;
		for (int i = 1; i < n; i++)
			*last = serve_log->blocks[*last].next;
		serve_log->first_free = serve_log->blocks[*last].next;
		serve_log->nfree -= n;
		/* counted now, so that all who come at a time do not take more than their half */
		database->nblocks += n;
	}
	else if (database)
		database->lost++;
	LWLockRelease(serve_log_lock);
	return first;
}

/* Hangs filled blocks to the list of this database. */
static void
hang_blocks(int first, int last)
{
	LoggingDatabase *database;
	Latch	   *worker = NULL;

	LWLockAcquire(serve_log_lock, LW_EXCLUSIVE);
	/* it keeps its place for as long as it is connected to */
	database = my_database(false);
	serve_log->blocks[last].next = NO_BLOCK;
	if (database->first == NO_BLOCK)
		database->first = first;
	else
		serve_log->blocks[database->last].next = first;
	database->last = last;
	database->nvectors++;
	if (!database->is_pressing && database->nblocks > number_of_blocks() / 4)
	{
		database->is_pressing = true;
		worker = database->worker;
	}
	LWLockRelease(serve_log_lock);
	/* should it be another's by now, that looks around and sleeps on */
	if (worker)
		SetLatch(worker);
}

/* Puts a vector into shared memory, or loses it. */
static void
put_vector(const char *data, Size size)
{
	int			last;
	int			first = take_blocks((size + BLOCK_DATA - 1) / BLOCK_DATA, &last);

	for (int block = first; block != NO_BLOCK && size > 0; block = serve_log->blocks[block].next)
	{
		Size		part = Min(size, BLOCK_DATA);

		memcpy(serve_log->blocks[block].data, data, part);
		data += part;
		size -= part;
	}
	if (first != NO_BLOCK)
		hang_blocks(first, last);
}

/* Are the keys of the current row in the sample? */
static bool
is_sampled(LookupRun *run)
{
	Spec	   *spec = run->spec;
	uint32		hash = 0;

	if (spec->log_limit > PG_UINT32_MAX)
		return true;
	for (int i = 0; i < spec->nargs; i++)
	{
		SpecColumn *column = &spec->columns[i];
		uint32		value = 0;

		if (column->is_output)
			continue;
		if (!run->nulls[i])
			value = datum_image_hash(run->values[i], column->typbyval, column->typlen);
		hash = hash_combine(hash, murmurhash32(value));
	}
	return hash < spec->log_limit;
}

/* The owner of a relation; InvalidOid if it is gone. */
Oid
owner_of(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/*
 * May one user see other rows of a table than another?  A view can ask who
 * reads it, or read tables with policies; a foreign server has users of its own.
 */
static bool
depends_on_user(Relation rel, Oid user, Oid other)
{
	char		relkind = rel->rd_rel->relkind;

	if (relkind == RELKIND_VIEW || relkind == RELKIND_FOREIGN_TABLE)
		return user != other;
	return rel->rd_rel->relrowsecurity &&
		(check_enable_rls(RelationGetRelid(rel), user, true) == RLS_ENABLED ||
		 check_enable_rls(RelationGetRelid(rel), other, true) == RLS_ENABLED);
}

/* Is what a run gives nothing that the owner of its spec, who reads the log, may not see? */
static bool
is_for_owner(LookupRun *run)
{
	Oid			owner = owner_of(run->spec->relid);

	for (int i = 0; i < run->spec->nitems; i++)
	{
		Relation	rel = run->items[i].rel;

		if (rel && depends_on_user(rel, run->user, owner))
			return false;
	}
	return true;
}

bool
serve_log_wants(LookupRun *run)
{
	return serve_log && !run->is_counted && !run->request->overrides && !RecoveryInProgress() &&
		!TransactionIdIsValid(GetTopTransactionIdIfAny()) && is_for_owner(run);
}

/* Writes what is the same for all rows of a run. */
static void
write_common(LookupRun *run, StringInfo to)
{
	int			n;
	TablePosition *positions = run_positions(run, &n);
	char	   *snapshot = snapshot_text(run->snapshot);

	initStringInfo(to);
	appendBinaryStringInfo(to, snapshot, strlen(snapshot) + 1);
	appendBinaryStringInfo(to, (char *) &n, sizeof(n));
	for (int i = 0; i < n; i++)
	{
		const char *applied = positions[i].snapshot ? positions[i].snapshot : "";

		appendBinaryStringInfo(to, (char *) &positions[i], sizeof(TablePosition));
		appendBinaryStringInfo(to, applied, strlen(applied) + 1);
	}
}

/* What a run keeps for the log, made when its first row is logged. */
static ServeLogRun *
serve_log_run(LookupRun *run)
{
	MemoryContext old;

	if (run->serve_log)
		return run->serve_log;
	old = MemoryContextSwitchTo(run->run_cxt);
	run->serve_log = palloc0_object(ServeLogRun);
	initStringInfo(&run->serve_log->vector);
	write_common(run, &run->serve_log->common);
	run->serve_log->logged_at = GetCurrentTimestamp();
	MemoryContextSwitchTo(old);
	return run->serve_log;
}

/* The working row, with nothing of it elsewhere. */
static HeapTuple
form_row(LookupRun *run)
{
	TupleDesc	desc = run->spec->working_desc;
	HeapTuple	row = heap_form_tuple(desc, run->values, run->nulls);
	HeapTuple	flat;

	if (!HeapTupleHasExternal(row))
		return row;
	flat = toast_flatten_tuple(row, desc);
	heap_freetuple(row);
	return flat;
}

/* Writes the statuses of the current row's results. */
static void
write_statuses(LookupRun *run, StringInfo to)
{
	for (int i = 0; i < run->spec->nresults; i++)
	{
		int			column = run->spec->results[i].column;
		char		status = 0;

		if (is_served(run->spec, i))
			status = (char) (row_status(run, column) |
							 (row_is_approximate(run, column) ? STATUS_IS_APPROXIMATE : 0));
		appendStringInfoCharMacro(to, status);
	}
}

/* Logs the current row, if it is in the sample. */
void
serve_log_row(LookupRun *run)
{
	ServeLogRun *log;
	HeapTuple	row;
	VectorHeader header;

	if (!is_sampled(run))
		return;
	log = serve_log_run(run);
	row = form_row(run);
	header = (VectorHeader) {
		.spec = run->spec->relid,.version = run->spec->version,
		.common_size = log->common.len,.nstatuses = run->spec->nresults,
		.row_size = row->t_len,.as_of = run->request->as_of,.logged_at = log->logged_at
	};
	header.size = sizeof(header) + header.common_size + header.nstatuses + header.row_size;

	resetStringInfo(&log->vector);
	appendBinaryStringInfo(&log->vector, (char *) &header, sizeof(header));
	appendBinaryStringInfo(&log->vector, log->common.data, log->common.len);
	write_statuses(run, &log->vector);
	appendBinaryStringInfo(&log->vector, (char *) row->t_data, row->t_len);
	Assert(log->vector.len == header.size);
	put_vector(log->vector.data, log->vector.len);
	heap_freetuple(row);
}

/* Gives blocks that were taken off a list back. */
static void
free_blocks(int first, int last, int n)
{
	serve_log->blocks[last].next = serve_log->first_free;
	serve_log->first_free = first;
	serve_log->nfree += n;
}

/* Does anything hang in the list of this database? */
static bool
is_any_waiting(void)
{
	LoggingDatabase *database;
	bool		result;

	LWLockAcquire(serve_log_lock, LW_SHARED);
	database = my_database(false);
	result = database && database->first != NO_BLOCK;
	LWLockRelease(serve_log_lock);
	return result;
}

bool
serve_log_is_there(void)
{
	return serve_log != NULL;
}

/* Is so much waiting that it is to be taken soon? */
bool
serve_log_is_pressing(void)
{
	LoggingDatabase *database;
	bool		result;

	LWLockAcquire(serve_log_lock, LW_SHARED);
	database = my_database(false);
	result = database && database->is_pressing;
	LWLockRelease(serve_log_lock);
	return result;
}

/*
 * Takes the vectors of this database, in the current memory context; false if
 * there are none.  A vector that a lookup is about to add, whose blocks are
 * counted, stays out.
 */
bool
serve_log_take(ServedVectors *vectors)
{
	Size		room = number_of_blocks() / 2;
	int			first = NO_BLOCK;
	int			last = NO_BLOCK;
	int			n = 0;
	LoggingDatabase *database;

	if (!serve_log || !is_any_waiting())
		return false;
	/* nobody has more than half of it */
	vectors->data = MemoryContextAllocHuge(CurrentMemoryContext, room * BLOCK_DATA);

	LWLockAcquire(serve_log_lock, LW_EXCLUSIVE);
	database = my_database(false);
	if (database)
	{
		first = database->first;
		last = database->last;
		database->first = database->last = NO_BLOCK;
		database->ntaken = database->nvectors;
		database->nvectors = 0;
		database->is_pressing = false;
		database->worker = MyLatch;
	}
	LWLockRelease(serve_log_lock);

	for (int block = first; block != NO_BLOCK; block = serve_log->blocks[block].next)
		memcpy(vectors->data + BLOCK_DATA * n++, serve_log->blocks[block].data, BLOCK_DATA);
	if (n > 0)
	{
		LWLockAcquire(serve_log_lock, LW_EXCLUSIVE);
		my_database(false)->nblocks -= n;
		free_blocks(first, last, n);
		LWLockRelease(serve_log_lock);
	}
	vectors->size = BLOCK_DATA * n;
	vectors->at = 0;
	return n > 0;
}

/* Reads what write_common wrote; gives what follows. */
static char *
read_common(char *from, ServedVector *vector)
{
	vector->snapshot = from;
	from += strlen(from) + 1;
	memcpy(&vector->npositions, from, sizeof(int));
	from += sizeof(int);
	vector->positions = palloc_array(TablePosition, Max(vector->npositions, 1));
	for (int i = 0; i < vector->npositions; i++)
	{
		TablePosition *position = &vector->positions[i];

		memcpy(position, from, sizeof(TablePosition));
		from += sizeof(TablePosition);
		/* the pointer was another process's */
		if (position->snapshot)
			position->snapshot = from;
		from += strlen(from) + 1;
	}
	return from;
}

bool
next_served_vector(ServedVectors *vectors, ServedVector *vector)
{
	char	   *from = vectors->data + vectors->at;

	if (vectors->at >= vectors->size)
		return false;
	memcpy(&vector->header, from, sizeof(VectorHeader));
	vector->rest = from + sizeof(VectorHeader);
	/* each begins a block */
	vectors->at += (vector->header.size + BLOCK_DATA - 1) / BLOCK_DATA * BLOCK_DATA;
	return true;
}

/* Reads the rest of a vector; the row is copied to where it is aligned. */
void
read_served_vector(ServedVector *vector)
{
	char	   *from = read_common(vector->rest, vector);

	vector->statuses = (uint8 *) from;
	vector->row.t_len = vector->header.row_size;
	ItemPointerSetInvalid(&vector->row.t_self);
	vector->row.t_tableOid = InvalidOid;
	vector->row.t_data = palloc(vector->header.row_size);
	memcpy(vector->row.t_data, from + vector->header.nstatuses, vector->header.row_size);
}

void
count_served_vectors(int64 logged, int64 lost)
{
	LoggingDatabase *database;

	LWLockAcquire(serve_log_lock, LW_EXCLUSIVE);
	database = my_database(true);
	if (database)
	{
		database->ntaken -= logged + lost;
		database->logged += logged;
		database->lost += lost;
	}
	LWLockRelease(serve_log_lock);
}

/* Throws away what databases have logged that are gone, and forgets them. */
void
serve_log_forget_dropped(void)
{
	for (int i = 0; serve_log && i < DATABASES; i++)
	{
		LoggingDatabase *database = &serve_log->databases[i];
		Oid			oid;

		LWLockAcquire(serve_log_lock, LW_SHARED);
		oid = database->oid;
		LWLockRelease(serve_log_lock);
		if (!OidIsValid(oid) || SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(oid)))
			continue;
		LWLockAcquire(serve_log_lock, LW_EXCLUSIVE);
		if (database->oid == oid)
		{
			if (database->first != NO_BLOCK)
				free_blocks(database->first, database->last, database->nblocks);
			database->oid = InvalidOid;
		}
		LWLockRelease(serve_log_lock);
	}
}

/*
 * _serve_log_state(OUT is_available boolean, OUT waiting bigint, OUT logged bigint,
 *					OUT lost bigint)
 */
Datum
serve_log_state(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[4] = {BoolGetDatum(serve_log != NULL)};
	bool		nulls[4] = {false, !serve_log, !serve_log, !serve_log};
	LoggingDatabase state = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (serve_log)
	{
		LoggingDatabase *database;

		LWLockAcquire(serve_log_lock, LW_SHARED);
		database = my_database(false);
		if (database)
			state = *database;
		LWLockRelease(serve_log_lock);
	}
	values[1] = Int64GetDatum(state.nvectors + state.ntaken);
	values[2] = Int64GetDatum(state.logged);
	values[3] = Int64GetDatum(state.lost);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
