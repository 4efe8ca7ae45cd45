/*
 * probe.c
 *	  Probes a btree for the keys of a chunk and keeps what is found.
 *
 * One scan serves all keys, restarted for each.  The caller holds a lock on
 * the table taken before its metadata was validated, so neither table nor
 * index can change below us.  The snapshot is that of the calling statement.
 * The buffer of a row is pinned only until the next restart, so what is kept
 * is copied at once.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "lookup/lookup.h"
#include "compat.h"

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
 * Probes the index for all keys of an item.  Returns false, having done
 * nothing, if the index cannot be used under this snapshot.
 */
bool
probe_index(LookupRun *run, ItemRun *irun)
{
	SpecItem   *item = irun->item;
	ItemAccess *access = item->access;
	ScanKeyData scankeys[INDEX_MAX_KEYS];
	Relation	index = index_open(access->index, AccessShareLock);
	IndexScanDesc scan;
	TupleTableSlot *slot;

	if (index_is_too_young(index))
	{
		index_close(index, NoLock);
		return false;
	}

	memcpy(scankeys, access->scankeys, sizeof(ScanKeyData) * access->nscankeys);
	if (access->is_newest)
		scankeys[access->time_position].sk_argument = time_bound(item, run->request->as_of);
	scan = index_beginscanCompat(irun->rel, index, run->snapshot, access->nscankeys);
	slot = table_slot_create(irun->rel, NULL);

	for (int probe = 0; probe < irun->keys.nprobes; probe++)
	{
		for (int k = 0; k < item->nkeys; k++)
			scankeys[access->key_positions[k]].sk_argument =
				irun->keys.values[(Size) probe * item->nkeys + k];
		CHECK_FOR_INTERRUPTS();
		index_rescan(scan, scankeys, access->nscankeys, NULL, 0);
		if (index_getnext_slot(scan, access->direction, slot))
		{
			slot_getsomeattrs(slot, access->last_attno);
			keep_found(run, irun, probe, slot->tts_values, slot->tts_isnull, item->attnos,
					   item->time_attno ? slot->tts_values[item->time_attno - 1] : (Datum) 0,
					   item->time_attno ? slot->tts_isnull[item->time_attno - 1] : true);
		}
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	return true;
}
