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
 *
 * If pages turn out not to be in shared buffers, those of the next keys are
 * asked for before they are needed, so that the storage works on many at a
 * time: keys without a hint are looked up in the index ahead, which gives them
 * one.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "executor/instrument.h"
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

/* How many keys have their pages asked for together, if these must be read. */
#define READS_AHEAD 64

/* What serves the probes of one item as long as the run lasts. */
typedef struct Prober
{
	LookupRun  *run;
	ItemRun    *irun;
	Relation	index;			/* opened when first needed, like scan */
	IndexScanDesc scan;
	ScanKeyData *scankeys;		/* of the scan */
	TupleTableSlot *slot;
	HeapTupleData tuple;		/* what the slot holds, if fetched by hint */
	RowCache   *cache;			/* or NULL */
	BlockNumber nblocks;		/* of the table, which cannot shrink while we lock it */
	bool		reads_pages;	/* pages had to be read, so others are asked for ahead */

	/* of the keys of the chunk */
	uint32	   *hashes;
	RowHint    *hints;			/* when they get near */
	int			resolved;		/* keys before this one had their rows' pages asked for */

	/* of the key of a constant item */
	uint32		constant_hash;
	RowHint		constant_hint;
	bool		has_taken_hint;
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

/*
 * Opens the index and starts the scan; false if it cannot serve the snapshot.
 * Our own transaction may have dropped it, if a cursor kept the lookup open.
 */
static bool
begin_scan(Prober *prober)
{
	ItemAccess *access = prober->irun->item->access;
	MemoryContext old;

	old = MemoryContextSwitchTo(prober->run->run_cxt);
	if (!prober->index)
		prober->index = try_relation_open(access->index, AccessShareLock);
	if (!prober->index)
		prober->irun->reason = "index was dropped";
	else if (index_is_too_young(prober->index))
		prober->irun->reason = "index is too young for the snapshot";
	else
	{
		if (!prober->scankeys)
			prober->scankeys = palloc_array(ScanKeyData, access->nscankeys);
		memcpy(prober->scankeys, access->scankeys, sizeof(ScanKeyData) * access->nscankeys);
		prober->scan = index_beginscanCompat(prober->irun->rel, prober->index,
											 prober->run->snapshot, access->nscankeys);
	}
	MemoryContextSwitchTo(old);
	return prober->scan != NULL;
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

/* Hash of the key of a probe. */
static uint32
hash_of_probe(ItemRun *irun, int probe)
{
	return hash_key(irun->item->access, irun->item->nkeys,
					irun->keys.values + (Size) probe * irun->item->nkeys);
}

/* Hashes the keys of a chunk, to find their hints. */
static void
hash_keys(Prober *prober)
{
	int			nprobes = prober->irun->keys.nprobes;

	prober->hashes = palloc_array(uint32, nprobes);
	prober->hints = palloc_array(RowHint, nprobes);
	for (int probe = 0; probe < nprobes; probe++)
		prober->hashes[probe] = hash_of_probe(prober->irun, probe);
}

/* Takes the hint of a constant key, if there is one. */
static void
take_constant_hint(Prober *prober)
{
	RowHint    *hint = row_cache_find(prober->cache, prober->constant_hash);

	prober->constant_hint.offset = InvalidOffsetNumber;
	if (hint)
		prober->constant_hint = *hint;
	prober->has_taken_hint = true;
}

/* The same as hash_keys for the one key of a constant item, of which much may be done already. */
static void
hash_constant_key(Prober *prober)
{
	prober->hashes = &prober->constant_hash;
	prober->hints = &prober->constant_hint;
	if (prober->has_taken_hint)
		return;
	prober->constant_hash = hash_of_probe(prober->irun, 0);
	take_constant_hint(prober);
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
	if (at >= prober->resolved && at < nprobes)
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
	if (at >= prober->resolved && at < nprobes && prober->hints[at].offset != InvalidOffsetNumber)
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

/* Does the table have such a page, or not for as long as the run has known it? */
static bool
page_exists(Prober *prober, BlockNumber block)
{
	if (prober->nblocks == InvalidBlockNumber)
		prober->nblocks = RelationGetNumberOfBlocks(prober->irun->rel);
	return block < prober->nblocks;
}

/*
 * The buffer with the page of a hint, pinned: the one it was in when it was last
 * seen, or another; invalid if there is no such page.
 */
static Buffer
read_hinted_page(Prober *prober, int probe, RowHint *hint)
{
	Relation	rel = prober->irun->rel;
	ItemPointerData tid;
	Buffer		buffer;

	if (BufferIsValid(hint->buffer) &&
		ReadRecentBuffer(RelationGetLocatorCompat(rel), MAIN_FORKNUM, hint->block, hint->buffer))
		return hint->buffer;
	if (!page_exists(prober, hint->block))
		return InvalidBuffer;
	buffer = ReadBuffer(rel, hint->block);
	ItemPointerSet(&tid, hint->block, hint->offset);
	row_cache_store(prober->cache, prober->hashes[probe], &tid, buffer);
	return buffer;
}

/* Fetches the row of a key to where its hint says; false if it is not there. */
static bool
fetch_by_hint(Prober *prober, int probe, Datum *key)
{
	Relation	rel = prober->irun->rel;
	RowHint    *hint = &prober->hints[probe];
	Buffer		buffer = read_hinted_page(prober, probe, hint);
	ItemPointerData tid;
	bool		found;

	if (!BufferIsValid(buffer))
		return false;
	ItemPointerSet(&tid, hint->block, hint->offset);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&tid, rel, buffer, prober->run->snapshot,
								   &prober->tuple, NULL, true);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	if (!found)
	{
		ReleaseBuffer(buffer);
		return false;
	}
	prober->tuple.t_tableOid = RelationGetRelid(rel);
	ExecStorePinnedBufferHeapTuple(&prober->tuple, prober->slot, buffer);
	slot_getsomeattrs(prober->slot, prober->irun->needs->last_attno);
	return has_key(prober, key);
}

/* Fetches the next row of the scan, and notes where it was. */
static bool
fetch_next(Prober *prober, int probe)
{
	ItemAccess *access = prober->irun->item->access;
	ItemPointer next;

	while ((next = index_getnext_tid(prober->scan, access->direction)) != NULL)
	{
		ItemPointerData tid = *next;

		if (!index_fetch_heap(prober->scan, prober->slot))
			continue;
		if (prober->cache)
			row_cache_store(prober->cache, prober->hashes[probe], &tid,
							((BufferHeapTupleTableSlot *) prober->slot)->buffer);
		slot_getsomeattrs(prober->slot, prober->irun->needs->last_attno);
		return true;
	}
	return false;
}

/* Restarts the scan for a key. */
static void
restart_scan(Prober *prober, Datum *key)
{
	SpecItem   *item = prober->irun->item;
	ItemAccess *access = item->access;

	for (int k = 0; k < item->nkeys; k++)
		prober->scankeys[access->key_positions[k]].sk_argument = key[k];
	if (access->is_newest)
		prober->scankeys[access->time_position].sk_argument =
			time_bound(item, prober->run->request->as_of);
	index_rescan(prober->scan, prober->scankeys, access->nscankeys, NULL, 0);
}

/*
 * Fetches the row of a key through the index.  What the scan allocates on the
 * way must last as long as itself.
 */
static bool
fetch_by_index(Prober *prober, int probe, Datum *key)
{
	MemoryContext old = MemoryContextSwitchTo(prober->run->run_cxt);
	bool		found;

	restart_scan(prober, key);
	found = fetch_next(prober, probe);
	MemoryContextSwitchTo(old);
	return found;
}

/* Gives a key without a hint the one that the index has; false if the index has none. */
static bool
hint_from_index(Prober *prober, int probe, Datum *key)
{
	RowHint    *hint = &prober->hints[probe];
	MemoryContext old = MemoryContextSwitchTo(prober->run->run_cxt);
	ItemPointer tid;

	restart_scan(prober, key);
	tid = index_getnext_tid(prober->scan, prober->irun->item->access->direction);
	MemoryContextSwitchTo(old);
	if (!tid)
		return false;
	hint->hash = prober->hashes[probe];
	hint->block = ItemPointerGetBlockNumber(tid);
	hint->offset = ItemPointerGetOffsetNumber(tid);
	hint->buffer = InvalidBuffer;
	return true;
}

/* Asks for the pages of the keys from a probe on, all at a time. */
static void
read_ahead(Prober *prober, int probe)
{
	ProbeKeys  *keys = &prober->irun->keys;
	int			nkeys = prober->irun->item->nkeys;
	int			end = Min(probe + READS_AHEAD, keys->nprobes);

	prober->resolved = end;
	prober->reads_pages = false;
	for (int i = probe; i < end; i++)
	{
		RowHint    *hint = row_cache_find(prober->cache, prober->hashes[i]);

		prober->hints[i].offset = InvalidOffsetNumber;
		if (hint)
			prober->hints[i] = *hint;
		else if (!prober->scan ||
				 !hint_from_index(prober, i, keys->values + (Size) i * nkeys))
			continue;
		if (page_exists(prober, prober->hints[i].block))
			PrefetchBuffer(prober->irun->rel, MAIN_FORKNUM, prober->hints[i].block);
	}
}

/* Keeps the row in the slot. */
static void
keep_slot(Prober *prober, int probe)
{
	keep_found(prober->run, prober->irun, probe, prober->slot->tts_values,
			   prober->slot->tts_isnull);
}

/* Fetches the row of a key, if it is where a hint says or there is a scan that finds it. */
static bool
fetch_row(Prober *prober, int probe, Datum *key)
{
	if (prober->cache)
	{
		if (!prober->irun->is_constant)
			look_ahead(prober, probe);
		if (prober->reads_pages && probe >= prober->resolved &&
			!prober->irun->is_constant && effective_io_concurrency > 0)
			read_ahead(prober, probe);
		if (prober->hints[probe].offset != InvalidOffsetNumber && fetch_by_hint(prober, probe, key))
			return true;
	}
	return prober->scan && fetch_by_index(prober, probe, key);
}

/* Probes for all keys; false if the index cannot be used. */
static bool
probe_keys(Prober *prober)
{
	ProbeKeys  *keys = &prober->irun->keys;
	int			nkeys = prober->irun->item->nkeys;

	prober->resolved = 0;
	if (prober->cache && !prober->irun->is_constant)
	{
		for (int ahead = -BUCKETS_AHEAD; ahead < 0; ahead++)
			look_ahead(prober, ahead);
	}
	for (int probe = 0; probe < keys->nprobes; probe++)
	{
		Datum	   *key = keys->values + (Size) probe * nkeys;
		int64		reads = pgBufferUsage.shared_blks_read;

		CHECK_FOR_INTERRUPTS();
		if (probe % 64 == 63 && chunk_is_too_large(prober->run))
			return true;
		if (fetch_row(prober, probe, key))
			keep_slot(prober, probe);
		else if (!prober->scan)
		{
			if (!begin_scan(prober))
				return false;
			if (fetch_by_index(prober, probe, key))
				keep_slot(prober, probe);
		}
		prober->reads_pages |= pgBufferUsage.shared_blks_read > reads;
	}
	return true;
}

/* Makes what serves the probes of an item. */
static Prober *
make_prober(LookupRun *run, ItemRun *irun)
{
	MemoryContext old = MemoryContextSwitchTo(run->run_cxt);
	Prober	   *prober = palloc0_object(Prober);

	prober->run = run;
	prober->irun = irun;
	prober->cache = cache_for_item(irun);
	prober->nblocks = InvalidBlockNumber;
	prober->slot = table_slot_create(irun->rel, NULL);
	MemoryContextSwitchTo(old);
	return prober;
}

/* Ends the scan of the index; it is large, and malloc may give its memory back to the system. */
static void
end_scan(Prober *prober)
{
	if (prober->scan)
		index_endscan(prober->scan);
	if (prober->index)
		index_close(prober->index, NoLock);
	prober->scan = NULL;
	prober->index = NULL;
}

/*
 * Probes for all keys of an item.  Returns false if the index cannot be used,
 * for a reason that is noted, in which case some keys may have been found all
 * the same.  What is not needed again is not kept beside what comes next.
 */
bool
probe_index(LookupRun *run, ItemRun *irun)
{
	Prober	   *prober;
	bool		done;

	if (!irun->prober)
		irun->prober = make_prober(run, irun);
	prober = irun->prober;
	if (prober->cache && irun->is_constant)
		hash_constant_key(prober);
	else if (prober->cache)
		hash_keys(prober);
	done = probe_keys(prober);
	prober->has_taken_hint = false;
	ExecClearTuple(prober->slot);
	if (irun->is_constant && !run->is_repeated)
		end_scan(prober);
	return done;
}

/* Lets go of what the probes of an item used. */
void
end_probes(ItemRun *irun)
{
	ExecDropSingleTupleTableSlot(irun->prober->slot);
	end_scan(irun->prober);
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

/* Gathers the key of an item that is keyed by the request, and hashes it; false if there is nothing to find. */
static bool
hash_request_key(LookupRun *run, ItemRun *irun)
{
	if (!is_keyed_by_request(run, irun))
		return false;
	if (!irun->prober)
		irun->prober = make_prober(run, irun);
	irun->prober->has_taken_hint = false;
	if (!irun->prober->cache)
		return false;
	gather_constant_key(run, irun);
	if (irun->keys.nprobes == 0)
		return false;
	irun->prober->constant_hash = hash_of_probe(irun, 0);
	irun->prober->has_taken_hint = true;
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
	ItemRun    *end = run->items + run->spec->nitems;

	for (ItemRun *irun = run->items; irun < end; irun++)
	{
		if (hash_request_key(run, irun))
			__builtin_prefetch(row_cache_bucket(irun->prober->cache, irun->prober->constant_hash));
	}
	for (ItemRun *irun = run->items; irun < end; irun++)
	{
		if (!irun->prober || !irun->prober->has_taken_hint)
			continue;
		take_constant_hint(irun->prober);
		if (irun->prober->constant_hint.offset != InvalidOffsetNumber)
			prefetch_page(&irun->prober->constant_hint);
	}
	for (ItemRun *irun = run->items; irun < end; irun++)
	{
		if (irun->prober && irun->prober->has_taken_hint &&
			irun->prober->constant_hint.offset != InvalidOffsetNumber)
			prefetch_row(&irun->prober->constant_hint);
	}
}
