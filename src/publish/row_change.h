/*
 * row_change.h
 *	  A change of one row as a row trigger sees it.
 */
#ifndef FEATURESTORE_ROW_CHANGE_H
#define FEATURESTORE_ROW_CHANGE_H

#include "access/htup.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"

/* One slot, or both. */
typedef struct RowChange
{
	TupleTableSlot *old;
	TupleTableSlot *new;
	CommandId	cid;
	bool		is_heap;		/* the slots show the rows as they are on the page */
} RowChange;

extern RowChange row_change(TriggerData *trigdata);
extern bool is_superseded(HeapTupleHeader tuple);
extern bool same_tuples(const RowChange *change);

/* The row of a slot that shows it as it is on the page. */
static inline HeapTupleHeader
slot_header(TupleTableSlot *slot)
{
	return ((HeapTupleTableSlot *) slot)->tuple->t_data;
}

#endif							/* FEATURESTORE_ROW_CHANGE_H */
