/*
 * row_cache.c
 *	  The backend's hints of where rows are, a cache for each index.
 *
 * Hints go into buckets of a cache line's size, or into the one beside when
 * theirs is full, so that finding one costs one miss, seldom two.  A cache
 * starts small and grows by half as soon as it throws hints out, while the
 * backend's budget lasts: to grow late would mean to have lost many by then.
 * When a new cache finds no room, the largest becomes small again.
 */
#include "postgres.h"

#include <sys/mman.h>

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "lookup/row_cache.h"

#define FIRST_BUCKETS 256

/* A cache grows when it has thrown out one hint for so many buckets. */
#define MANY_EVICTED 256

/* The size and alignment of huge pages, which spare most hints a miss of the TLB. */
#define HUGE_PAGE (2 * 1024 * 1024)

int			row_cache_size = 16384;

static HTAB *caches = NULL;
static Size total_size = 0;

/* Puts a hint into the first free place of a bucket; false if there is none. */
static bool
put_into_bucket(HintBucket *bucket, RowHint *hint)
{
	for (int i = 0; i < HINTS_PER_BUCKET; i++)
	{
		if (bucket->hints[i].offset == InvalidOffsetNumber)
		{
			bucket->hints[i] = *hint;
			return true;
		}
	}
	return false;
}

/* Puts a hint into its bucket or the one next to it; returns whether another had to go. */
static bool
put_hint(RowCache *cache, RowHint *hint)
{
	HintBucket *bucket = row_cache_bucket(cache, hint->hash);

	if (put_into_bucket(bucket, hint) ||
		put_into_bucket(row_cache_neighbour(cache, hint->hash), hint))
		return false;
	/* Any will do; the last bits of the hash are not those of the bucket. */
	bucket->hints[hint->hash % HINTS_PER_BUCKET] = *hint;
	return true;
}

/* Gives a cache memory for its buckets, in huge pages where the system has them. */
static void
allocate_buckets(RowCache *cache, Size size)
{
	Size		alignment = size >= HUGE_PAGE ? HUGE_PAGE : 2 * sizeof(HintBucket);

	cache->memory = MemoryContextAllocExtended(TopMemoryContext, size + alignment,
											   MCXT_ALLOC_HUGE);
	cache->buckets = (HintBucket *) TYPEALIGN(alignment, cache->memory);
#ifdef MADV_HUGEPAGE
	if (size >= HUGE_PAGE)
		(void) madvise(cache->buckets, size, MADV_HUGEPAGE);
#endif
	memset(cache->buckets, 0, size);
}

/* Gives a cache a number of buckets, and the hints it had. */
static void
set_buckets(RowCache *cache, uint32 nbuckets)
{
	RowCache	old = *cache;
	Size		size = nbuckets * sizeof(HintBucket);

	StaticAssertStmt(sizeof(HintBucket) == PG_CACHE_LINE_SIZE / 2, "a bucket is a cache line");
	allocate_buckets(cache, size);
	cache->nbuckets = nbuckets;
	cache->evicted = 0;
	total_size += size;
	if (!old.memory)
		return;

	for (uint32 i = 0; i < old.nbuckets; i++)
	{
		for (int k = 0; k < HINTS_PER_BUCKET; k++)
		{
			if (old.buckets[i].hints[k].offset != InvalidOffsetNumber)
				put_hint(cache, &old.buckets[i].hints[k]);
		}
	}
	total_size -= old.nbuckets * sizeof(HintBucket);
	pfree(old.memory);
}

/* May the caches grow by so many buckets? */
static bool
budget_allows(uint32 nbuckets)
{
	return total_size + nbuckets * sizeof(HintBucket) <= (Size) row_cache_size * 1024;
}

/*
 * Makes room for a new cache by taking it from the largest, which may be that
 * of an index long gone.  False when all are as small as can be.
 */
static bool
make_room(void)
{
	RowCache   *largest = NULL;
	RowCache   *cache;
	HASH_SEQ_STATUS status;

	hash_seq_init(&status, caches);
	while ((cache = hash_seq_search(&status)) != NULL)
	{
		if (cache->memory && (!largest || cache->nbuckets > largest->nbuckets))
			largest = cache;
	}
	if (!largest || largest->nbuckets <= FIRST_BUCKETS)
		return false;
	set_buckets(largest, FIRST_BUCKETS);
	return true;
}

/* The cache of an index; NULL when there is no room for one. */
RowCache *
row_cache_for_index(Oid index)
{
	RowCache   *cache;
	bool		found;

	if (row_cache_size == 0)
		return NULL;
	if (!caches)
	{
		HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(RowCache)};

		caches = hash_create("featurestore row caches", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	cache = hash_search(caches, &index, HASH_ENTER, &found);
	if (!found)
		cache->memory = NULL;
	if (!cache->memory)
	{
		while (!budget_allows(FIRST_BUCKETS))
		{
			if (!make_room())
				return NULL;
		}
		set_buckets(cache, FIRST_BUCKETS);
	}
	return cache;
}

/* Notes where the row of a key is. */
void
row_cache_store(RowCache *cache, uint32 hash, ItemPointer tid, Buffer buffer)
{
	RowHint    *known = row_cache_find(cache, hash);
	RowHint		hint = {.hash = hash,.buffer = buffer};
	uint32		growth = cache->nbuckets / 4 * 2;

	hint.block = ItemPointerGetBlockNumber(tid);
	hint.offset = ItemPointerGetOffsetNumber(tid);
	if (known)
	{
		*known = hint;
		return;
	}
	if (cache->evicted > cache->nbuckets / MANY_EVICTED && budget_allows(growth))
		set_buckets(cache, cache->nbuckets + growth);
	if (put_hint(cache, &hint))
		cache->evicted++;
}
