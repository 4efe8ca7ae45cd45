/*
 * row_change.c
 *	  What a row trigger that fires after a change can tell of it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"

#include "publish/row_change.h"

/* The change that a trigger fired for. */
RowChange
row_change(TriggerData *trigdata)
{
	RowChange	change = {0};
	TriggerEvent event = trigdata->tg_event;

	if (TRIGGER_FIRED_BY_INSERT(event))
		change.new = trigdata->tg_trigslot;
	else
		change.old = trigdata->tg_trigslot;
	if (TRIGGER_FIRED_BY_UPDATE(event))
		change.new = trigdata->tg_newslot;

	change.is_heap = TTS_IS_BUFFERTUPLE(change.old ? change.old : change.new);
	if (!change.is_heap)
		change.cid = GetCurrentCommandId(false);
	else if (change.new)
		change.cid = HeapTupleHeaderGetCmin(slot_header(change.new));
	else
		change.cid = HeapTupleHeaderGetCmax(slot_header(change.old));
	return change;
}

/* Has this transaction replaced or deleted the row again? */
bool
is_superseded(HeapTupleHeader tuple)
{
	return !(tuple->t_infomask & HEAP_XMAX_INVALID) &&
		!HEAP_XMAX_IS_LOCKED_ONLY(tuple->t_infomask) &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(tuple));
}

/* Are two rows the same, byte by byte?  False if it takes a closer look. */
bool
same_tuples(const RowChange *change)
{
	HeapTuple	old;
	HeapTuple	new;
	Size		start = offsetof(HeapTupleHeaderData, t_bits);

	if (!change->is_heap)
		return false;
	old = ((HeapTupleTableSlot *) change->old)->tuple;
	new = ((HeapTupleTableSlot *) change->new)->tuple;
	return old->t_len == new->t_len &&
		HeapTupleHeaderGetNatts(old->t_data) == HeapTupleHeaderGetNatts(new->t_data) &&
		HeapTupleHasNulls(old) == HeapTupleHasNulls(new) &&
		memcmp((char *) old->t_data + start, (char *) new->t_data + start, old->t_len - start) == 0;
}
