/*
 * stats.c
 *	  Counts lookups, spec by spec.
 *
 * The counts are in shared memory, which there is only if the library is in
 * shared_preload_libraries.  A table of fixed size has a slot for each spec
 * that is looked up, in any database.  A spec remembers its slot, so that a
 * lookup takes one spinlock, its own; whose slot it is is read under that, for
 * it may have changed hands.  The lock of the table is for finding a slot and
 * for changing whose it is.
 *
 * Slots of specs that were dropped are taken back when there is no free one.
 * Nothing is taken note of at the DROP, which may be rolled back, nor is there
 * a DROP for the specs of a dropped database.  To others a spec that is not
 * committed yet looks like a dropped one: it may lose what it has counted.
 *
 * A lookup that fails is not counted, nor is explain_lookup.
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "lookup/lookup.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(lookup_stats);
PG_FUNCTION_INFO_V1(lookup_stats_state);
PG_FUNCTION_INFO_V1(lookup_stats_reset);

/*
 * The histogram of times: each doubling from 2^8 ns (a quarter of a
 * microsecond) to 2^38 ns (four minutes and a half) has eight buckets of the
 * same width.  The middle of a bucket is at most 1/16 off what is in it.
 */
#define LEAST_EXPONENT 8
#define DOUBLINGS 30
#define BUCKET_BITS 3
#define BUCKETS_PER_DOUBLING (1 << BUCKET_BITS)
#define BUCKETS (DOUBLINGS * BUCKETS_PER_DOUBLING)

#define LOCK_NAME "featurestore_lookup_stats"
#define STATS_COLUMNS 10

/* Slots are taken back at most this often. */
#define SWEEP_INTERVAL USECS_PER_SEC

/* Whose a slot is; no spec: nobody's. */
typedef struct StatsKey
{
	Oid			database;
	Oid			spec;
} StatsKey;

typedef struct LookupCounts
{
	TimestampTz since;
	int64		calls;
	int64		rows;			/* requested */
	int64		probes;			/* distinct keys that tables were probed for */
	int64		misses;			/* of which found no row */
	int64		sql_probes;		/* of which went through the planner */
	int64		stale;			/* calls that met a table with too much lag */
	int64		times[BUCKETS];
} LookupCounts;

typedef struct StatsSlot
{
	slock_t		mutex;			/* for counts, and to keep the key */
	LookupCounts counts;
} StatsSlot;

typedef struct StatsTable
{
	pg_atomic_uint64 untracked; /* calls that found no slot */
	pg_atomic_uint64 swept_at;	/* when slots were last taken back */
	StatsKey	keys[FLEXIBLE_ARRAY_MEMBER];	/* written under lock and mutex */
} StatsTable;

/* Settings. */
bool		track_lookups = true;
static int	max_tracked_specs = 1000;

static StatsTable *table = NULL;
static StatsSlot *slots = NULL;
static LWLock *table_lock = NULL;

static shmem_request_hook_type previous_shmem_request_hook = NULL;
static shmem_startup_hook_type previous_shmem_startup_hook = NULL;

static Size
table_size(void)
{
	return CACHELINEALIGN(add_size(offsetof(StatsTable, keys),
								   mul_size(sizeof(StatsKey), max_tracked_specs)));
}

static void
request_shmem(void)
{
	if (previous_shmem_request_hook)
		previous_shmem_request_hook();
	RequestAddinShmemSpace(add_size(table_size(), mul_size(sizeof(StatsSlot), max_tracked_specs)));
	RequestNamedLWLockTranche(LOCK_NAME, 1);
}

static void
startup_shmem(void)
{
	bool		found;

	if (previous_shmem_startup_hook)
		previous_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	table = ShmemInitStruct("featurestore lookup stats",
							add_size(table_size(), mul_size(sizeof(StatsSlot), max_tracked_specs)),
							&found);
	slots = (StatsSlot *) ((char *) table + table_size());
	table_lock = &GetNamedLWLockTranche(LOCK_NAME)->lock;
	if (!found)
	{
		pg_atomic_init_u64(&table->untracked, 0);
		pg_atomic_init_u64(&table->swept_at, 0);
		memset(table->keys, 0, sizeof(StatsKey) * max_tracked_specs);
		for (int i = 0; i < max_tracked_specs; i++)
			SpinLockInit(&slots[i].mutex);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Asks for shared memory, which is given only while the server starts. */
void
lookup_stats_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	DefineCustomIntVariable("featurestore.max_tracked_specs",
							"Feature specs whose lookups are counted.",
							"Of all databases; each takes 2 kB of shared memory.",
							&max_tracked_specs, 1000, 1, 100000, PGC_POSTMASTER, 0,
							NULL, NULL, NULL);
	previous_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	previous_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/* The bucket of a time. */
static int
bucket_of(uint64 ns)
{
	int			exponent;

	if (ns < UINT64CONST(1) << LEAST_EXPONENT)
		return 0;
	exponent = pg_leftmost_one_pos64(ns);
	if (exponent >= LEAST_EXPONENT + DOUBLINGS)
		return BUCKETS - 1;
	return (exponent - LEAST_EXPONENT) * BUCKETS_PER_DOUBLING +
		((ns >> (exponent - BUCKET_BITS)) & (BUCKETS_PER_DOUBLING - 1));
}

/* The middle of a bucket, in milliseconds. */
static double
bucket_middle(int bucket)
{
	int			exponent = LEAST_EXPONENT + bucket / BUCKETS_PER_DOUBLING;
	double		width = (double) (UINT64CONST(1) << (exponent - BUCKET_BITS));

	return (BUCKETS_PER_DOUBLING + bucket % BUCKETS_PER_DOUBLING + 0.5) * width / 1e6;
}

/* The time that a fraction of the calls did not take longer than; there are some. */
static double
quantile(LookupCounts *counts, double fraction)
{
	int64		left = (int64) ceil(fraction * counts->calls);
	int			bucket = 0;

	while (bucket < BUCKETS - 1 && (left -= counts->times[bucket]) > 0)
		bucket++;
	return bucket_middle(bucket);
}

static bool
keys_equal(StatsKey a, StatsKey b)
{
	return a.database == b.database && a.spec == b.spec;
}

/* Gives a slot to a spec, or to nobody; the table is locked. */
static void
assign_slot(int slot, StatsKey key)
{
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&slots[slot].mutex);
	table->keys[slot] = key;
	memset(&slots[slot].counts, 0, sizeof(LookupCounts));
	slots[slot].counts.since = now;
	SpinLockRelease(&slots[slot].mutex);
}

/* The slot with a key, or -1; the table is locked. */
static int
slot_with_key(StatsKey key)
{
	for (int i = 0; i < max_tracked_specs; i++)
	{
		if (keys_equal(table->keys[i], key))
			return i;
	}
	return -1;
}

/* The slot of a spec, which is given one if there is a free one; else -1. */
static int
find_slot(StatsKey key)
{
	int			slot;

	LWLockAcquire(table_lock, LW_SHARED);
	slot = slot_with_key(key);
	LWLockRelease(table_lock);
	if (slot >= 0)
		return slot;

	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	slot = slot_with_key(key);
	if (slot < 0)
	{
		slot = slot_with_key((StatsKey) {InvalidOid, InvalidOid});
		if (slot >= 0)
			assign_slot(slot, key);
	}
	LWLockRelease(table_lock);
	return slot;
}

/* Is a spec gone, as far as this database can tell? */
static bool
is_dropped(StatsKey key)
{
	if (key.database != MyDatabaseId)
		return !SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(key.database));
	return !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(key.spec));
}

/*
 * Takes back the slots of dropped specs.  The catalog is read with no lock of
 * ours held.
 */
static void
release_dropped(void)
{
	Size		size = sizeof(StatsKey) * max_tracked_specs;
	StatsKey   *keys = palloc(size);

	LWLockAcquire(table_lock, LW_SHARED);
	memcpy(keys, table->keys, size);
	LWLockRelease(table_lock);

	for (int i = 0; i < max_tracked_specs; i++)
	{
		if (!OidIsValid(keys[i].spec) || !is_dropped(keys[i]))
			continue;
		LWLockAcquire(table_lock, LW_EXCLUSIVE);
		if (keys_equal(table->keys[i], keys[i]))
			assign_slot(i, (StatsKey) {InvalidOid, InvalidOid});
		LWLockRelease(table_lock);
	}
	pfree(keys);
}

/* Is it time to take slots back?  If so, the caller does it. */
static bool
may_sweep(void)
{
	uint64		now = (uint64) GetCurrentTimestamp();
	uint64		before = pg_atomic_read_u64(&table->swept_at);

	if (now >= before && now - before < SWEEP_INTERVAL)
		return false;
	return pg_atomic_compare_exchange_u64(&table->swept_at, &before, now);
}

/* Adds a call to a slot; false if it is another's. */
static bool
add_to_slot(int slot, StatsKey key, LookupCounts *call, int bucket)
{
	LookupCounts *counts = &slots[slot].counts;
	bool		is_ours;

	SpinLockAcquire(&slots[slot].mutex);
	is_ours = keys_equal(table->keys[slot], key);
	if (is_ours)
	{
		counts->calls++;
		counts->rows += call->rows;
		counts->probes += call->probes;
		counts->misses += call->misses;
		counts->sql_probes += call->sql_probes;
		counts->stale += call->stale;
		counts->times[bucket]++;
	}
	SpinLockRelease(&slots[slot].mutex);
	return is_ours;
}

/* Adds up what a lookup did. */
static void
sum_items(LookupRun *run, LookupCounts *call)
{
	call->rows = run->request->nrows;
	call->probes = call->misses = call->sql_probes = call->stale = 0;
	for (int i = 0; i < run->spec->nitems; i++)
	{
		ItemRun    *irun = &run->items[i];

		call->probes += irun->nprobes;
		call->misses += irun->nprobes - irun->nfound;
		if (!irun->is_direct)
			call->sql_probes += irun->nprobes;
		if (irun->table_status == STATUS_STALE)
			call->stale = 1;
	}
}

/* A lookup starts. */
void
lookup_stats_start(LookupRun *run)
{
	run->is_tracked = track_lookups && table;
	if (run->is_tracked)
		INSTR_TIME_SET_CURRENT(run->started);
}

/* A lookup has come to its end: counts it, once, unless it was opened only to check the spec. */
void
lookup_stats_end(LookupRun *run)
{
	Spec	   *spec = run->spec;
	StatsKey	key = {MyDatabaseId, spec->relid};
	LookupCounts call;
	instr_time	time;
	int			bucket;

	if (!run->is_tracked || !run->request || run->is_counted)
		return;
	run->is_tracked = false;
	INSTR_TIME_SET_CURRENT(time);
	INSTR_TIME_SUBTRACT(time, run->started);
	bucket = bucket_of((uint64) (INSTR_TIME_GET_MILLISEC(time) * 1e6));
	sum_items(run, &call);

	while (!add_to_slot(spec->stats_slot, key, &call, bucket))
	{
		int			slot = find_slot(key);

		if (slot < 0 && may_sweep())
		{
			release_dropped();
			slot = find_slot(key);
		}
		if (slot < 0)
		{
			pg_atomic_fetch_add_u64(&table->untracked, 1);
			return;
		}
		spec->stats_slot = slot;
	}
}

/* Describes what a slot has counted. */
static void
put_counts(ReturnSetInfo *rsinfo, Oid spec, LookupCounts *counts)
{
	Datum		values[STATS_COLUMNS];
	bool		nulls[STATS_COLUMNS] = {false};

	values[0] = ObjectIdGetDatum(spec);
	values[1] = Int64GetDatum(counts->calls);
	values[2] = Int64GetDatum(counts->rows);
	values[3] = Int64GetDatum(counts->probes);
	values[4] = Int64GetDatum(counts->misses);
	values[5] = Int64GetDatum(counts->stale);
	values[6] = Int64GetDatum(counts->sql_probes);
	nulls[7] = nulls[8] = counts->calls == 0;
	values[7] = Float8GetDatum(nulls[7] ? 0 : quantile(counts, 0.5));
	values[8] = Float8GetDatum(nulls[8] ? 0 : quantile(counts, 0.99));
	values[9] = TimestampTzGetDatum(counts->since);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * _lookup_stats(OUT spec oid, OUT calls bigint, OUT keys bigint, OUT probes bigint,
 *				 OUT misses bigint, OUT stale bigint, OUT sql_probes bigint,
 *				 OUT p50 double precision, OUT p99 double precision, OUT since timestamptz)
 * RETURNS SETOF record
 */
Datum
lookup_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; table && i < max_tracked_specs; i++)
	{
		StatsKey	key;
		LookupCounts counts;

		SpinLockAcquire(&slots[i].mutex);
		key = table->keys[i];
		if (key.database == MyDatabaseId)
			counts = slots[i].counts;
		SpinLockRelease(&slots[i].mutex);
		if (key.database == MyDatabaseId)
			put_counts(rsinfo, key.spec, &counts);
	}
	return (Datum) 0;
}

/* _lookup_stats_state(OUT is_available boolean, OUT untracked bigint) */
Datum
lookup_stats_state(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, table == NULL};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = BoolGetDatum(table != NULL);
	values[1] = Int64GetDatum(table ? (int64) pg_atomic_read_u64(&table->untracked) : 0);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* lookup_stats_reset() RETURNS void: the specs of this database count from 0. */
Datum
lookup_stats_reset(PG_FUNCTION_ARGS)
{
	if (!table)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("lookups are not counted"),
				 errdetail("The counts are in shared memory, which is asked for when the server starts."),
				 errhint("Add featurestore to shared_preload_libraries and restart the server.")));
	LWLockAcquire(table_lock, LW_EXCLUSIVE);
	for (int i = 0; i < max_tracked_specs; i++)
	{
		if (table->keys[i].database == MyDatabaseId)
			assign_slot(i, table->keys[i]);
	}
	LWLockRelease(table_lock);
	PG_RETURN_VOID();
}
