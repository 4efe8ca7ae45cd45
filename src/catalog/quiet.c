/*
 * quiet.c
 *	  Remembers what partitions of staging tables held when they were read last.
 *
 * Where nothing happens, changes that are applied lie in a staging table until
 * there are enough of them, and every lookup that bounds the lag would read them
 * again.  It is enough to know the greatest transaction among them, whether it
 * has committed or not, as long as no page has changed since: a page carries the
 * place in the WAL of its last change.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "storage/bufmgr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "catalog/pending.h"

/* More partitions are not remembered; then all are forgotten. */
#define MAX_PARTITIONS 1000

/* A partition as it was read. */
typedef struct Partition
{
	Oid			relid;			/* key of the table */
	Oid			file;
	BlockNumber pages;
	XLogRecPtr	read_at;		/* before it was read */
	FullTransactionId newest;	/* transaction of any change in it */
} Partition;

static HTAB *partitions = NULL;

/* Can it be told from its pages whether a relation has changed? */
static bool
tells_changes(Relation rel)
{
	return rel->rd_tableam == GetHeapamTableAmRoutine() && RelationNeedsWAL(rel);
}

/* The place in the WAL up to which pages may have changed by now. */
XLogRecPtr
quiet_begin(void)
{
	return RecoveryInProgress() ? GetXLogReplayRecPtr(NULL) : GetXLogInsertRecPtr();
}

/* Remembers the newest transaction in a partition that was read from end to end, beginning at a place in the WAL. */
void
quiet_remember(Relation rel, XLogRecPtr read_at, FullTransactionId newest)
{
	Partition  *partition;
	Oid			relid = RelationGetRelid(rel);

	if (!tells_changes(rel))
		return;
	if (partitions && hash_get_num_entries(partitions) >= MAX_PARTITIONS)
	{
		hash_destroy(partitions);
		partitions = NULL;
	}
	if (!partitions)
	{
		HASHCTL		ctl = {
			.keysize = sizeof(Oid), .entrysize = sizeof(Partition), .hcxt = TopMemoryContext
		};

		partitions = hash_create("featurestore partitions", 16, &ctl,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	partition = hash_search(partitions, &relid, HASH_ENTER, NULL);
	partition->file = rel->rd_rel->relfilenode;
	partition->pages = RelationGetNumberOfBlocks(rel);
	partition->read_at = read_at;
	partition->newest = newest;
}

/* Is it known that all changes in a partition are of transactions before this one? */
bool
quiet_before(Relation rel, FullTransactionId xid)
{
	Oid			relid = RelationGetRelid(rel);
	Partition  *partition = partitions ? hash_search(partitions, &relid, HASH_FIND, NULL) : NULL;

	if (!partition || !tells_changes(rel) || partition->file != rel->rd_rel->relfilenode ||
		!FullTransactionIdPrecedes(partition->newest, xid) ||
		partition->pages != RelationGetNumberOfBlocks(rel))
		return false;
	for (BlockNumber page = 0; page < partition->pages; page++)
	{
		Buffer		buffer = ReadBuffer(rel, page);
		XLogRecPtr	changed_at = BufferGetLSNAtomic(buffer);

		ReleaseBuffer(buffer);
		if (changed_at > partition->read_at)
			return false;
	}
	return true;
}
