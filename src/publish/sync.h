/*
 * sync.h
 *	  Runs of publications.
 */
#ifndef FEATURESTORE_SYNC_H
#define FEATURESTORE_SYNC_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/elog.h"
#include "utils/palloc.h"
#include "utils/snapshot.h"

/* Setting: rows of a source that one step of a first fill goes through. */
extern int	fill_chunk;

/* Setting: minutes for which versions are kept that are not valid any more; 0: forever. */
extern int	history_retention;

/*
 * Takes the turn of a run, and a lock of the table, without waiting; false if
 * others have them.  The turn may be held then, until the end of the transaction.
 */
extern bool try_lock_for_run(Oid relation);

/*
 * Runs one step of a sync; gives whether all is done.  To look whether space can
 * be given back in staging tables is not worth it at each of many small steps.
 */
extern bool sync_step(Oid relation, bool rotate);

/* The online tables whose histories are to be pruned, in a memory context. */
extern List *due_histories(MemoryContext context);

/* The lock that this takes on an online table. */
#define PRUNE_LOCK_MODE ShareUpdateExclusiveLock

/* Runs one step of that, from a block on, which moves on; gives whether all is done. */
extern bool prune_step(Oid relation, int64 *block);

/* The snapshot of a run; sees_latest: of all that is committed, whatever the isolation level. */
extern Snapshot run_snapshot(bool sees_latest);

/* Records that a step failed. */
extern void record_failure(Oid relation, TimestampTz started, ErrorData *error);

/*
 * Makes an online table, locked and of this owner, equal to its sources as they
 * are by now, whatever the isolation level of the transaction.
 */
extern void merge_own_table(Oid relation, Oid owner);

#endif							/* FEATURESTORE_SYNC_H */
