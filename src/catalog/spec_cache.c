/*
 * spec_cache.c
 *	  The backend's cache of compiled specs, and its invalidation.
 *
 * One entry a spec, found by the OID of its row type.  Invalidation callbacks
 * only set flags: an entry that went stale is replaced at its next use.  A
 * replaced entry may still be in use by a lookup further up the stack, so it
 * is kept until the end of the transaction.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "catalog/spec.h"
#include "compat.h"

typedef struct SpecCacheEntry
{
	Oid			type;
	Spec	   *spec;
} SpecCacheEntry;

static HTAB *spec_cache = NULL;
static List *dead_specs = NIL;

/* Counts invalidations, so that a load can tell whether one came meanwhile. */
static uint64 invalidations = 0;

/* Does a spec read this relation?  Its own view counts. */
static bool
spec_reads(Spec *spec, Oid relid)
{
	if (spec->relid == relid)
		return true;
	for (int i = 0; i < spec->nitems; i++)
	{
		if (spec->items[i].relid == relid)
			return true;
	}
	return false;
}

/* Relcache callback: flags the specs that read a relation, or all. */
static void
invalidate_relation(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	SpecCacheEntry *entry;

	invalidations++;
	hash_seq_init(&status, spec_cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->spec && (!OidIsValid(relid) || spec_reads(entry->spec, relid)))
			entry->spec->is_valid = false;
	}
}

/* Syscache callback: a schema or a function changed; which is not worth telling. */
static void
invalidate_all(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidate_relation(arg, InvalidOid);
}

/* Syscache callback: a role or a membership changed, and with it the rights to call functions. */
static void
doubt_users(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS status;
	SpecCacheEntry *entry;

	hash_seq_init(&status, spec_cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->spec)
			entry->spec->user = InvalidOid;
	}
}

/* At the end of a transaction nobody uses replaced entries any more. */
static void
free_dead_specs(XactEvent event, void *arg)
{
	ListCell   *lc;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_PARALLEL_COMMIT &&
		event != XACT_EVENT_ABORT && event != XACT_EVENT_PARALLEL_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;

	foreach(lc, dead_specs)
		MemoryContextDelete(((Spec *) lfirst(lc))->cxt);
	list_free(dead_specs);
	dead_specs = NIL;
}

/* Makes the cache and registers its callbacks, once a backend. */
void
spec_cache_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(SpecCacheEntry)};

	if (!CacheMemoryContext)
		CreateCacheMemoryContext();
	ctl.hcxt = CacheMemoryContext;
	spec_cache = hash_create("featurestore specs", 16, &ctl,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(invalidate_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, invalidate_all, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, invalidate_all, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, doubt_users, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, doubt_users, (Datum) 0);
	RegisterXactCallback(free_dead_specs, NULL);
}

/* Puts a replaced spec on the list of those to free later. */
static void
bury(Spec *spec)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	dead_specs = lappend(dead_specs, spec);
	MemoryContextSwitchTo(old);
}

/*
 * Checks that the user may call the functions of a spec's expressions, when
 * that is another than last time: what is cached of expressions has been
 * checked for the user it was made for.  A revoked right invalidates the spec,
 * and a change of roles makes the user another.
 */
static void
check_functions(Spec *spec)
{
	ListCell   *lc;

	if (spec->user == GetUserId())
		return;
	foreach(lc, spec->functions)
	{
		AclResult	result = FunctionAclcheckCompat(lfirst_oid(lc), GetUserId());

		if (result != ACLCHECK_OK)
			aclcheck_error(result, OBJECT_FUNCTION, get_func_name(lfirst_oid(lc)));
	}
	spec->user = GetUserId();
}

/* Nothing can be compiled from this type. */
static void
refuse_type(Oid type)
{
	Oid			relid = get_typ_typrelid(type);

	/*
	 * The caller has found it in the cache, and it may have been dropped since.
	 * Who drops it tells so after others can see it, but before letting go of the
	 * lock on the view.
	 */
	if (OidIsValid(relid) && get_rel_relkind(relid) == RELKIND_VIEW)
		LockRelationOid(relid, AccessShareLock);
	AcceptInvalidationMessages();
	if (!SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(type)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("feature spec was dropped or replaced during the lookup"),
				 errhint("Try again.")));
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("type %s is not a feature spec", format_type_be(type)),
			 errhint("Pass NULL cast to the spec, as in NULL::schema.spec, or create the spec with featurestore.create_feature_spec.")));
}

/*
 * The compiled spec whose row type this is.  Raises 42809 when it is not the
 * type of a spec, 42704 when it is not one any more, 42501 when the user may
 * not call its functions.  The result is good until the end of the transaction,
 * though its is_valid may turn false.
 */
Spec *
spec_for_type(Oid type)
{
	SpecCacheEntry *entry = hash_search(spec_cache, &type, HASH_FIND, NULL);
	Spec	   *spec;
	uint64		before;
	bool		found;

	if (entry && entry->spec && entry->spec->is_valid &&
		!(entry->spec->is_for_user && entry->spec->user != GetUserId()))
	{
		check_functions(entry->spec);
		return entry->spec;
	}

	before = invalidations;
	spec = spec_load(type);
	if (!spec)
		refuse_type(type);

	entry = hash_search(spec_cache, &type, HASH_ENTER, &found);
	if (found && entry->spec)
		bury(entry->spec);
	MemoryContextSetParent(spec->cxt, CacheMemoryContext);
	spec->is_valid = (invalidations == before);
	entry->spec = spec;
	return spec;
}

/* Is this the row type of a spec? */
bool
is_spec_type(Oid type)
{
	SpecCacheEntry *entry = hash_search(spec_cache, &type, HASH_FIND, NULL);
	Oid			relid;
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];

	if (entry && entry->spec && entry->spec->is_valid)
		return true;
	relid = get_typ_typrelid(type);
	return OidIsValid(relid) && get_rel_relkind(relid) == RELKIND_VIEW &&
		catalog_fetch("spec", relid, NULL, values, nulls) != NULL;
}

static void
refuse_name(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("feature spec \"%s\" does not exist", name),
			 errhint("The view featurestore.feature_specs lists the specs there are.")));
}

/* RangeVarGetRelidExtended callback: what is no view is not to be locked. */
static void
check_is_view(const RangeVar *rv, Oid relid, Oid before, void *name)
{
	if (OidIsValid(relid) && get_rel_relkind(relid) != RELKIND_VIEW)
		refuse_name(name);
}

/*
 * The row type of the spec with this (qualified) name, whose view is locked, so
 * that the type stays; raises 42704 if there is none.
 */
Oid
spec_type_by_name(const char *name)
{
	List	   *names = stringToQualifiedNameListCompat(name);
	Oid			relid = RangeVarGetRelidExtended(makeRangeVarFromNameList(names), AccessShareLock,
												 RVR_MISSING_OK, check_is_view, unconstify(char *, name));
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];

	if (!OidIsValid(relid) || !catalog_fetch("spec", relid, NULL, values, nulls))
		refuse_name(name);
	return get_rel_type_id(relid);
}
