/*
 * pending.h
 *	  Changes that are staged for a publication and not applied yet.
 */
#ifndef FEATURESTORE_PENDING_H
#define FEATURESTORE_PENDING_H

#include "access/transam.h"
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "utils/fmgrprotos.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "utils/xid8.h"

/* The changes that are applied: those that a snapshot sees, and a part of those of the transaction that took it. */
typedef struct AppliedChanges
{
	Datum		snapshot;		/* pg_snapshot */
	FullTransactionId oldest;	/* its xmin */
	FullTransactionId own_xid;	/* or InvalidFullTransactionId */
	int64		own_sequence;	/* of own_xid, those up to this number */
} AppliedChanges;

/* Is a change, known by its transaction and number, not among those that are applied? */
static inline bool
change_is_after(const AppliedChanges *applied, FullTransactionId xid, int64 sequence)
{
	if (FullTransactionIdPrecedes(xid, applied->oldest))
		return false;
	if (FullTransactionIdEquals(xid, applied->own_xid))
		return sequence > applied->own_sequence;
	return !DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot,
											 FullTransactionIdGetDatum(xid), applied->snapshot));
}

/* What waits for an online table. */
typedef struct PendingChanges
{
	int64		changes;		/* that are staged */
	TimestampTz oldest;			/* when the first was made, or a held key was due; DT_NOEND for none */
} PendingChanges;

/*
 * Finds what a snapshot sees waiting for an online table.  False if that cannot
 * be told: before the first fill, and when the next run is to compare the whole
 * source.
 */
extern bool find_pending(Oid online_table, Snapshot snapshot, PendingChanges *pending);

/*
 * Does a snapshot see anything that has waited for an online table since before
 * a time (DT_NOEND: since whenever), or can that not be told?  Stops at the first.
 */
extern bool has_pending(Oid online_table, Snapshot snapshot, TimestampTz before);

/* quiet.c */
extern XLogRecPtr quiet_begin(void);
extern void quiet_remember(Relation rel, XLogRecPtr read_at, FullTransactionId newest);
extern bool quiet_before(Relation rel, FullTransactionId xid);

/* replay.c */
extern TimestampTz seen_up_to(void);

#endif							/* FEATURESTORE_PENDING_H */
