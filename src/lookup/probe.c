/*
 * probe.c
 *	  Probes a table for the keys of a chunk and keeps what is found.
 *
 * The caller holds a lock on the table taken before its metadata was
 * validated, so neither table nor index can change below us.  The snapshot is
 * that of the calling statement.  The buffer of a row is pinned only until the
 * next probe, so what is kept is copied at once.
 *
 * The key of a unique index is first looked for where it was last seen (see
 * row_cache.h), which saves the descent of the btree; the memory this will
 * touch is asked for some probes ahead.  One scan serves the other keys,
 * restarted for each.  Serializable transactions always scan, since it is the
 * scan that locks the key against rows to come.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "lookup/lookup.h"
#include "lookup/row_cache.h"
#include "compat.h"

/* How many probes ahead memory is asked for: buckets, pages, rows. */
#define BUCKETS_AHEAD 24
#define PAGES_AHEAD 16
#define ROWS_AHEAD 8

/* What serves the probes of one item. */
typedef struct Prober
{
	LookupRun  *run;
	ItemRun    *irun;
	Relation	index;			/* opened when first needed, like scan */
	IndexScanDesc scan;
	ScanKeyData scankeys[INDEX_MAX_KEYS];
	TupleTableSlot *slot;
	HeapTupleData tuple;		/* what the slot holds, if fetched by hint */
	RowCache   *cache;			/* or NULL */
	uint32	   *hashes;			/* of the keys */
	RowHint    *hints;			/* for the keys, when they get near */
} Prober;

/*
 * An index made while older versions of its rows lived on in HOT chains does
 * not serve snapshots that can see these.
 */
static bool
index_is_too_young(Relation index)
{
	return index->rd_index->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data),
							   TransactionXmin);
}

/* Opens the index and starts the scan; false if it cannot serve the snapshot. */
static bool
begin_scan(Prober *prober)
{
	SpecItem   *item = prober->irun->item;
	ItemAccess *access = item->access;

	prober->index = index_open(access->index, AccessShareLock);
	if (index_is_too_young(prober->index))
		return false;
	memcpy(prober->scankeys, access->scankeys, sizeof(ScanKeyData) * access->nscankeys);
	if (access->is_newest)
		prober->scankeys[access->time_position].sk_argument =
			time_bound(item, prober->run->request->as_of);
	prober->scan = index_beginscanCompat(prober->irun->rel, prober->index,
										 prober->run->snapshot, access->nscankeys);
	return true;
}

/* Mixes the bits of a value (the finalizer of MurmurHash3). */
static inline uint64
mix(uint64 value)
{
	value = (value ^ (value >> 33)) * UINT64CONST(0xff51afd7ed558ccd);
	value = (value ^ (value >> 33)) * UINT64CONST(0xc4ceb9fe1a85ec53);
	return value ^ (value >> 33);
}

/* Hash of a key's image. */
static uint32
hash_key(ItemAccess *access, int nkeys, Datum *key)
{
	uint64		hash = 0;

	for (int k = 0; k < nkeys; k++)
	{
		if (access->key_byval[k])
			hash = hash_combine64(hash, mix(key[k]));
		else
		{
			int			length = access->key_lengths[k];
			unsigned char *image = (unsigned char *) DatumGetPointer(key[k]);

			if (length < 0)
			{
				length = VARSIZE_ANY_EXHDR(image);
				image = (unsigned char *) VARDATA_ANY(image);
			}
			hash = hash_combine64(hash, hash_bytes_extended(image, length, 0));
		}
	}
	return (uint32) hash;
}

/*
 * The hints for an item, where rows can be fetched by them: they must be in
 * shared buffers and of the heap, whose fetch we know.
 */
static RowCache *
cache_for_item(ItemRun *irun)
{
	ItemAccess *access = irun->item->access;

	if (access->is_newest || IsolationIsSerializable() ||
		RelationUsesLocalBuffers(irun->rel) ||
		irun->rel->rd_tableam != GetHeapamTableAmRoutine())
		return NULL;
	return row_cache_for_index(access->index);
}

/* Sets up the use of hints. */
static void
use_cache(Prober *prober)
{
	ItemRun    *irun = prober->irun;
	ItemAccess *access = irun->item->access;
	int			nprobes = irun->keys.nprobes;

	prober->cache = cache_for_item(irun);
	if (!prober->cache)
		return;
	prober->hashes = palloc_array(uint32, nprobes);
	prober->hints = palloc_array(RowHint, nprobes);
	for (int probe = 0; probe < nprobes; probe++)
		prober->hashes[probe] =
			hash_key(access, irun->item->nkeys,
					 irun->keys.values + (Size) probe * irun->item->nkeys);
}

/* Asks for the memory of a hint's page: descriptor, header and line pointer. */
static inline void
prefetch_page(RowHint *hint)
{
	char	   *page = BufferGetPage(hint->buffer);

	__builtin_prefetch(GetBufferDescriptor(hint->buffer - 1));
	__builtin_prefetch(page);
	__builtin_prefetch(page + SizeOfPageHeaderData + hint->offset * sizeof(ItemIdData));
}

/*
 * Asks for the memory of a hint's row.  The page may be another by now, or
 * change as we look; all that comes of it is an address within the page.
 */
static inline void
prefetch_row(RowHint *hint)
{
	char	   *page = BufferGetPage(hint->buffer);
	ItemIdData	line;

	if (hint->offset > MaxHeapTuplesPerPage)
		return;
	memcpy(&line, page + SizeOfPageHeaderData + (hint->offset - 1) * sizeof(ItemIdData),
		   sizeof(line));
	page += ItemIdGetOffset(&line) % BLCKSZ;
	__builtin_prefetch(page);
	__builtin_prefetch(page + PG_CACHE_LINE_SIZE / 2);
}

/* Looks ahead from a probe: each step needs what the one before asked for. */
static inline void
look_ahead(Prober *prober, int probe)
{
	int			nprobes = prober->irun->keys.nprobes;
	int			at = probe + BUCKETS_AHEAD;

	if (at < nprobes)
		__builtin_prefetch(row_cache_bucket(prober->cache, prober->hashes[at]));
	at = probe + PAGES_AHEAD;
	if (at >= 0 && at < nprobes)
	{
		RowHint    *hint = row_cache_find(prober->cache, prober->hashes[at]);

		prober->hints[at].offset = InvalidOffsetNumber;
		if (hint)
		{
			prober->hints[at] = *hint;
			prefetch_page(hint);
		}
	}
	at = probe + ROWS_AHEAD;
	if (at >= 0 && at < nprobes && prober->hints[at].offset != InvalidOffsetNumber)
		prefetch_row(&prober->hints[at]);
}

/* Does the row in the slot have this key, to the bit? */
static bool
has_key(Prober *prober, Datum *key)
{
	SpecItem   *item = prober->irun->item;
	ItemAccess *access = item->access;

	for (int k = 0; k < item->nkeys; k++)
	{
		AttrNumber	attno = item->keys[k].attno;

		if (prober->slot->tts_isnull[attno - 1] ||
			!key_images_equal(prober->slot->tts_values[attno - 1], key[k],
							  access->key_byval[k], access->key_lengths[k]))
			return false;
	}
	return true;
}

/* Fetches the row of a key to where its hint says; false if it is not there. */
static bool
fetch_by_hint(Prober *prober, RowHint *hint, Datum *key)
{
	Relation	rel = prober->irun->rel;
	ItemPointerData tid;
	bool		found;

	if (!ReadRecentBuffer(RelationGetLocatorCompat(rel), MAIN_FORKNUM, hint->block,
						  hint->buffer))
		return false;
	ItemPointerSet(&tid, hint->block, hint->offset);
	LockBuffer(hint->buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&tid, rel, hint->buffer, prober->run->snapshot,
								   &prober->tuple, NULL, true);
	LockBuffer(hint->buffer, BUFFER_LOCK_UNLOCK);
	if (!found)
	{
		ReleaseBuffer(hint->buffer);
		return false;
	}
	prober->tuple.t_tableOid = RelationGetRelid(rel);
	ExecStorePinnedBufferHeapTuple(&prober->tuple, prober->slot, hint->buffer);
	slot_getsomeattrs(prober->slot, prober->irun->item->access->last_attno);
	return has_key(prober, key);
}

/* Fetches the row of a key through the index, and notes where it was. */
static bool
fetch_by_index(Prober *prober, int probe, Datum *key)
{
	SpecItem   *item = prober->irun->item;
	ItemAccess *access = item->access;
	ItemPointer next;

	for (int k = 0; k < item->nkeys; k++)
		prober->scankeys[access->key_positions[k]].sk_argument = key[k];
	index_rescan(prober->scan, prober->scankeys, access->nscankeys, NULL, 0);
	while ((next = index_getnext_tid(prober->scan, access->direction)) != NULL)
	{
		ItemPointerData tid = *next;

		if (!index_fetch_heap(prober->scan, prober->slot))
			continue;
		if (prober->cache)
			row_cache_store(prober->cache, prober->hashes[probe], &tid,
							((BufferHeapTupleTableSlot *) prober->slot)->buffer);
		slot_getsomeattrs(prober->slot, access->last_attno);
		return true;
	}
	return false;
}

/* Keeps the row in the slot. */
static void
keep_slot(Prober *prober, int probe)
{
	keep_found(prober->run, prober->irun, probe, prober->slot->tts_values,
			   prober->slot->tts_isnull);
}

/* Probes for all keys; false if the index cannot be used. */
static bool
probe_keys(Prober *prober)
{
	ProbeKeys  *keys = &prober->irun->keys;
	int			nkeys = prober->irun->item->nkeys;

	for (int ahead = -BUCKETS_AHEAD; prober->cache && ahead < 0; ahead++)
		look_ahead(prober, ahead);
	for (int probe = 0; probe < keys->nprobes; probe++)
	{
		Datum	   *key = keys->values + (Size) probe * nkeys;

		CHECK_FOR_INTERRUPTS();
		if (probe % 64 == 63 && chunk_is_too_large(prober->run))
			return true;
		if (prober->cache)
		{
			look_ahead(prober, probe);
			if (prober->hints[probe].offset != InvalidOffsetNumber &&
				fetch_by_hint(prober, &prober->hints[probe], key))
			{
				keep_slot(prober, probe);
				continue;
			}
		}
		if (!prober->scan && !begin_scan(prober))
			return false;
		if (fetch_by_index(prober, probe, key))
			keep_slot(prober, probe);
	}
	return true;
}

/*
 * Probes for all keys of an item.  Returns false if the index cannot be used
 * under this snapshot, in which case some keys may have been found all the
 * same.
 */
bool
probe_index(LookupRun *run, ItemRun *irun)
{
	Prober		prober;
	bool		done;

	prober.run = run;
	prober.irun = irun;
	prober.index = NULL;
	prober.scan = NULL;
	use_cache(&prober);
	prober.slot = table_slot_create(irun->rel, NULL);
	done = probe_keys(&prober);
	ExecDropSingleTupleTableSlot(prober.slot);
	if (prober.scan)
		index_endscan(prober.scan);
	if (prober.index)
		index_close(prober.index, NoLock);
	return done;
}

/* Is an item probed by keys that come with the request, the same for all rows? */
static bool
is_keyed_by_request(LookupRun *run, ItemRun *irun)
{
	if (!irun->is_direct || !irun->is_constant || irun->table_status != STATUS_PRESENT)
		return false;
	for (int k = 0; k < irun->item->nkeys; k++)
	{
		if (irun->item->keys[k].column > run->spec->nargs)
			return false;
	}
	return true;
}

/*
 * Asks for the memory that the probes of constant items will touch, of all
 * tables at a time, so that a lookup of one row does not wait for one table
 * after the other.
 */
void
prefetch_constant_items(LookupRun *run)
{
	int			nitems = run->spec->nitems;
	RowCache  **caches = palloc0_array(RowCache *, nitems);
	uint32	   *hashes = palloc_array(uint32, nitems);
	RowHint   **hints = palloc0_array(RowHint *, nitems);

	for (int i = 0; i < nitems; i++)
	{
		ItemRun    *irun = &run->items[i];
		Datum		key[INDEX_MAX_KEYS];

		if (!is_keyed_by_request(run, irun) || (caches[i] = cache_for_item(irun)) == NULL)
			continue;
		if (!fetch_keys(run, irun, 0, key))
		{
			caches[i] = NULL;
			continue;
		}
		hashes[i] = hash_key(irun->item->access, irun->item->nkeys, key);
		__builtin_prefetch(row_cache_bucket(caches[i], hashes[i]));
	}
	for (int i = 0; i < nitems; i++)
	{
		if (caches[i] && (hints[i] = row_cache_find(caches[i], hashes[i])) != NULL)
			prefetch_page(hints[i]);
	}
	for (int i = 0; i < nitems; i++)
	{
		if (hints[i])
			prefetch_row(hints[i]);
	}
}
