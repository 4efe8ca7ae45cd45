/*
 * row_cache.h
 *	  Where a key's row was last seen: hints for probes of a unique index.
 *
 * A hint is a tuple id and the buffer its page was in.  It may be wrong in any
 * way: the fetch checks the buffer's tag, the row's visibility and its key.  A
 * visible row with the key is the row, since the index is unique; anything
 * else means to ask the index.
 */
#ifndef FEATURESTORE_ROW_CACHE_H
#define FEATURESTORE_ROW_CACHE_H

#include "storage/block.h"
#include "storage/buf.h"
#include "storage/itemptr.h"
#include "storage/off.h"

#define HINTS_PER_BUCKET 4

/* An empty hint has no offset. */
typedef struct RowHint
{
	uint32		hash;			/* of the key */
	BlockNumber block;
	Buffer		buffer;
	OffsetNumber offset;
} RowHint;

/* As long as a cache line, and aligned as one. */
typedef struct HintBucket
{
	RowHint		hints[HINTS_PER_BUCKET];
} HintBucket;

typedef struct RowCache
{
	Oid			index;			/* key of the table of caches */
	uint32		nbuckets;		/* an even number */
	uint32		evicted;		/* since it got this size */
	void	   *memory;
	HintBucket *buckets;
} RowCache;

extern int	row_cache_size;		/* kB, of all caches of the backend; 0: none */

extern RowCache *row_cache_for_index(Oid index);
extern void row_cache_store(RowCache *cache, uint32 hash, ItemPointer tid, Buffer buffer);

/* The bucket of a hash. */
static inline HintBucket *
row_cache_bucket(RowCache *cache, uint32 hash)
{
	return &cache->buckets[((uint64) hash * cache->nbuckets) >> 32];
}

/* The one next to it, which takes what does not fit. */
static inline HintBucket *
row_cache_neighbour(RowCache *cache, uint32 hash)
{
	return &cache->buckets[(((uint64) hash * cache->nbuckets) >> 32) ^ 1];
}

/* The hint for a hash, or NULL. */
static inline RowHint *
row_cache_find(RowCache *cache, uint32 hash)
{
	HintBucket *bucket = row_cache_bucket(cache, hash);

	for (int i = 0; i < HINTS_PER_BUCKET; i++)
	{
		/* a bucket is filled from the front, and before its neighbour */
		if (bucket->hints[i].offset == InvalidOffsetNumber)
			return NULL;
		if (bucket->hints[i].hash == hash)
			return &bucket->hints[i];
	}
	bucket = row_cache_neighbour(cache, hash);
	for (int i = 0; i < HINTS_PER_BUCKET; i++)
	{
		if (bucket->hints[i].hash == hash &&
			bucket->hints[i].offset != InvalidOffsetNumber)
			return &bucket->hints[i];
	}
	return NULL;
}

#endif							/* FEATURESTORE_ROW_CACHE_H */
