/*
 * staging.c
 *	  Locks of staging tables, which are hardly ever waited for.
 *
 * Whoever rotates a staging table must not keep writers, syncs or dumps
 * waiting, and must not wait for them: he asks for each lock, and does without
 * what he does not get.
 *
 * Rotation throws away changes that every publication has applied, as its
 * position says.  Who fills an online table has taken a snapshot and will read
 * later changes from the staging table, but nobody sees that from his position
 * until he commits; nor is the publication itself seen, where it is as new.  So
 * he holds the changes, by a lock that excludes throwing any away.  No lock of
 * the table would do: those that exclude each other exclude writers or readers,
 * too.  It is a lock on the pair of the catalog of staging tables and the table.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/definition.h"

PG_FUNCTION_INFO_V1(try_lock);
PG_FUNCTION_INFO_V1(try_rotation);
PG_FUNCTION_INFO_V1(hold_staged);
PG_FUNCTION_INFO_V1(try_discard);

static LOCKMODE
lock_mode(const char *name)
{
	static const char *const names[] = {
		[AccessShareLock] = "ACCESS SHARE",
		[RowShareLock] = "ROW SHARE",
		[RowExclusiveLock] = "ROW EXCLUSIVE",
		[ShareUpdateExclusiveLock] = "SHARE UPDATE EXCLUSIVE",
		[ShareLock] = "SHARE",
		[ShareRowExclusiveLock] = "SHARE ROW EXCLUSIVE",
		[ExclusiveLock] = "EXCLUSIVE",
		[AccessExclusiveLock] = "ACCESS EXCLUSIVE",
	};

	for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
	{
		if (strcmp(names[mode], name) == 0)
			return mode;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown lock mode \"%s\"", name)));
}

/*
 * _try_lock(relation regclass, mode text) RETURNS boolean
 * Locks a table of the current user unless that means to wait; not what is
 * below it.  False if it is not to be had, or there is no such relation any
 * more.
 */
Datum
try_lock(PG_FUNCTION_ARGS)
{
	Oid			relation = PG_GETARG_OID(0);
	LOCKMODE	mode = lock_mode(text_to_cstring(PG_GETARG_TEXT_PP(1)));

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)))
		PG_RETURN_BOOL(false);
	check_owner(relation);
	if (!ConditionalLockRelationOid(relation, mode))
		PG_RETURN_BOOL(false);

	/* the lock has let in what others did to it before */
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)))
	{
		UnlockRelationOid(relation, mode);
		PG_RETURN_BOOL(false);
	}
	check_owner(relation);
	PG_RETURN_BOOL(true);
}

/*
 * _try_rotation(staging regclass) RETURNS boolean
 * The lock of whoever rotates: one at a time, nobody who attaches partitions
 * or changes the definition beside him, and once a transaction.
 *
 * Once, since a partition that the transaction itself has turned away from is
 * still the current one to everybody else: to truncate it would make all
 * writers wait until it commits.
 */
Datum
try_rotation(PG_FUNCTION_ARGS)
{
	Oid			staging = PG_GETARG_OID(0);
	LOCKTAG		tag;

	check_owner(staging);
	SET_LOCKTAG_RELATION(tag, MyDatabaseId, staging);
	if (LockAcquire(&tag, ShareUpdateExclusiveLock, false, true) != LOCKACQUIRE_OK)
		PG_RETURN_BOOL(false);
	AcceptInvalidationMessages();
	check_owner(staging);
	PG_RETURN_BOOL(true);
}

static void
set_held_tag(LOCKTAG *tag, Oid staging)
{
	Oid			catalog = get_relname_relid("staging", get_namespace_oid("featurestore", false));

	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, catalog, staging, 0);
}

/*
 * _hold_staged(staging regclass) RETURNS boolean
 * Until the end of the transaction, changes that are not thrown away by now
 * stay.  To be called before the snapshot is taken from which on they are
 * needed.  Waits for a transaction that has thrown some away.  False if there
 * is no such table any more.
 */
Datum
hold_staged(PG_FUNCTION_ARGS)
{
	Oid			staging = PG_GETARG_OID(0);
	LOCKTAG		tag;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(staging)))
		PG_RETURN_BOOL(false);
	check_owner(staging);
	set_held_tag(&tag, staging);
	LockAcquire(&tag, ShareLock, false, false);
	AcceptInvalidationMessages();
	PG_RETURN_BOOL(SearchSysCacheExists1(RELOID, ObjectIdGetDatum(staging)));
}

/*
 * _try_discard(staging regclass) RETURNS boolean
 * Whether changes may be thrown away that all positions, as seen after this,
 * do without: false while another transaction holds them.
 */
Datum
try_discard(PG_FUNCTION_ARGS)
{
	Oid			staging = PG_GETARG_OID(0);
	LOCKTAG		tag;

	check_owner(staging);
	set_held_tag(&tag, staging);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		PG_RETURN_BOOL(false);
	AcceptInvalidationMessages();
	PG_RETURN_BOOL(true);
}
