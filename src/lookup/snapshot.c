/*
 * snapshot.c
 *	  The snapshot that a lookup reads under.
 *
 * It is that of the calling statement, which was taken before the lookup could
 * lock its tables.  In between, a table may have been truncated and filled
 * again, or rewritten, by a transaction that the snapshot does not see: maybe
 * the very one the lookup waited for.  Its rows would be missing then.  A plain
 * query does not have this problem, since it locks its tables first.  In such a
 * case, which is rare, the lookup takes a snapshot of its own.
 *
 * A transaction that keeps its snapshot (REPEATABLE READ) sees what any other
 * query of it would.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "lookup/lookup.h"
#include "compat.h"

/* Has an item's table, or one of its partitions or children, a file that the snapshot does not know? */
static bool
table_is_new(ItemRun *irun, Snapshot snapshot)
{
	ItemAccess *access = irun->item->access;
	ListCell   *lc;
	bool		is_settled;

	if (!irun->rel->rd_rel->relhassubclass)
		return !access->is_settled &&
			file_is_new(irun->item->relid, snapshot, &access->is_settled);

	/* what happens to a partition is not told of the whole, so nothing is kept */
	foreach(lc, find_all_inheritors(irun->item->relid, AccessShareLock, NULL))
	{
		if (file_is_new(lfirst_oid(lc), snapshot, &is_settled))
			return true;
	}
	return false;
}

/*
 * Decides on the snapshot of a run whose tables are locked: that of the
 * statement, which is given, or one of its own.
 */
void
choose_snapshot(LookupRun *run, Snapshot snapshot)
{
	run->snapshot = snapshot;
	for (int i = 0; i < run->spec->nitems && !run->owns_snapshot; i++)
	{
		if (!run->items[i].rel || IsolationUsesXactSnapshot() ||
			!table_is_new(&run->items[i], snapshot))
			continue;
		if (IsInParallelMode())
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("%s: table was rewritten during the query", run->items[i].item->name),
					 errhint("Try again.")));
		run->snapshot = RegisterSnapshot(GetLatestSnapshot());
		run->owns_snapshot = true;
	}
}
