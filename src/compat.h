/*
 * compat.h
 *	  All differences between PostgreSQL majors 15 to 18, in one place.
 *
 * A macro or function with the suffix Compat takes what the extension has at
 * hand and calls the server's form of it.
 */
#ifndef FEATURESTORE_COMPAT_H
#define FEATURESTORE_COMPAT_H

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "featurestore supports PostgreSQL 15 to 18"
#endif

#include "catalog/pg_proc.h"
#include "parser/parse_relation.h"
#include "utils/acl.h"

/* 16 moved the macros for values of varying length out of postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18 moved what EXPLAIN prints with to headers of its own */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#else
#include "commands/explain.h"
#endif

/* 16 gained soft errors for qualified names */
#if PG_VERSION_NUM >= 160000
#define stringToQualifiedNameListCompat(string) stringToQualifiedNameList(string, NULL)
#else
#define stringToQualifiedNameListCompat(string) stringToQualifiedNameList(string)
#endif

/* 16 has one ownership check for all kinds of objects */
#if PG_VERSION_NUM >= 160000
#define RelationOwnercheckCompat(relid, roleid) \
	object_ownercheck(RelationRelationId, relid, roleid)
#else
#define RelationOwnercheckCompat(relid, roleid) pg_class_ownercheck(relid, roleid)
#endif

#if PG_VERSION_NUM >= 160000
#define FunctionOwnercheckCompat(funcid, roleid) \
	object_ownercheck(ProcedureRelationId, funcid, roleid)
#else
#define FunctionOwnercheckCompat(funcid, roleid) pg_proc_ownercheck(funcid, roleid)
#endif

/* 16 has one privilege check for most kinds of objects */
#if PG_VERSION_NUM >= 160000
#define FunctionAclcheckCompat(funcid, roleid) \
	object_aclcheck(ProcedureRelationId, funcid, roleid, ACL_EXECUTE)
#else
#define FunctionAclcheckCompat(funcid, roleid) pg_proc_aclcheck(funcid, roleid, ACL_EXECUTE)
#endif

/* 18 asks whether a deferrable primary key will do */
#if PG_VERSION_NUM >= 180000
#define RelationGetPrimaryKeyIndexCompat(rel) RelationGetPrimaryKeyIndex(rel, false)
#else
#define RelationGetPrimaryKeyIndexCompat(rel) RelationGetPrimaryKeyIndex(rel)
#endif

/* 16 split the permission check off the range table */
#if PG_VERSION_NUM >= 160000
#define CheckPermissionsCompat(rtes, perminfos) ExecCheckPermissions(rtes, perminfos, true)
#else
#define CheckPermissionsCompat(rtes, perminfos) ExecCheckRTPerms(rtes, true)
#endif

#if PG_VERSION_NUM >= 160000
#define HavePermissionsCompat(rtes, perminfos) ExecCheckPermissions(rtes, perminfos, false)
#else
#define HavePermissionsCompat(rtes, perminfos) ExecCheckRTPerms(rtes, false)
#endif

/* Adds the right to read columns of an entry to what is checked; gives the new list. */
static inline List *
SetSelectPermissionCompat(List *perminfos, RangeTblEntry *rte, Bitmapset *columns)
{
#if PG_VERSION_NUM >= 160000
	RTEPermissionInfo *perminfo = addRTEPermissionInfo(&perminfos, rte);

	perminfo->requiredPerms = ACL_SELECT;
	perminfo->selectedCols = columns;
#else
	rte->requiredPerms = ACL_SELECT;
	rte->selectedCols = columns;
#endif
	return perminfos;
}

/* Makes a range table entry, and a query, forget who may do what. */
static inline void
ForgetPermissionCompat(RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 160000
	rte->perminfoindex = 0;
#else
	rte->requiredPerms = 0;
	rte->checkAsUser = InvalidOid;
	rte->selectedCols = NULL;
#endif
}

#if PG_VERSION_NUM >= 160000
#define ForgetPermissionsCompat(query) ((query)->rteperminfos = NIL)
#else
#define ForgetPermissionsCompat(query) ((void) (query))
#endif

/* 18 counts index searches for EXPLAIN */
#if PG_VERSION_NUM >= 180000
#define index_beginscanCompat(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define index_beginscanCompat(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/* 18 counts the nodes of a path that settings disable, which one above must add up */
#if PG_VERSION_NUM >= 180000
#define SetDisabledNodesCompat(path, below) ((path)->disabled_nodes = (below)->disabled_nodes)
#else
#define SetDisabledNodesCompat(path, below) ((void) 0)
#endif

/* 17 estimates array lengths from statistics, so it asks for the planner's state */
#if PG_VERSION_NUM >= 170000
#define estimate_array_lengthCompat(root, node) estimate_array_length(root, node)
#else
#define estimate_array_lengthCompat(root, node) ((double) estimate_array_length(node))
#endif

/* 18 has generated columns without storage */
#if PG_VERSION_NUM >= 180000
#define AttributeIsVirtual(attr) ((attr)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#else
#define AttributeIsVirtual(attr) ((void) (attr), false)
#endif

/* 17 grouped the parts of a virtual transaction id */
#if PG_VERSION_NUM >= 170000
#define MyLocalTransactionIdCompat (MyProc->vxid.lxid)
#else
#define MyLocalTransactionIdCompat (MyProc->lxid)
#endif

/* 17 numbers processes, before only their slots were */
#if PG_VERSION_NUM >= 170000
#define MyProcNumberCompat (MyProcNumber)
#else
#define MyProcNumberCompat (MyProc->pgprocno)
#endif

/* 16 renamed what says where a relation is stored */
#if PG_VERSION_NUM >= 160000
#define RelationGetLocatorCompat(rel) ((rel)->rd_locator)
#else
#define RelationGetLocatorCompat(rel) ((rel)->rd_node)
#endif

/* 16 renamed what says that a relation has got new storage */
#if PG_VERSION_NUM >= 160000
#define RelationHasNewStorageCompat(rel) \
	((rel)->rd_newRelfilelocatorSubid != InvalidSubTransactionId)
#else
#define RelationHasNewStorageCompat(rel) \
	((rel)->rd_newRelfilenodeSubid != InvalidSubTransactionId)
#endif

/* 16 renamed what gives the status of a backend by its place in the list */
#if PG_VERSION_NUM >= 160000
#define pgstat_get_local_beentryCompat(index) pgstat_get_local_beentry_by_index(index)
#else
#define pgstat_get_local_beentryCompat(index) pgstat_fetch_stat_local_beentry(index)
#endif

/* 17 bounds how long transactions take */
#if PG_VERSION_NUM >= 170000
#define SetTransactionTimeoutCompat() \
	SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE)
#else
#define SetTransactionTimeoutCompat() ((void) 0)
#endif

/* 17 can also ask for stronger locks */
#if PG_VERSION_NUM >= 170000
#define LockHeldByMeCompat(tag, mode) LockHeldByMe(tag, mode, false)
#else
#define LockHeldByMeCompat(tag, mode) LockHeldByMe(tag, mode)
#endif

/* 17 lets an index keep something from insert to insert */
#if PG_VERSION_NUM >= 170000
#define index_insert_cleanupCompat(index, info) index_insert_cleanup(index, info)
#else
#define index_insert_cleanupCompat(index, info) ((void) 0)
#endif

/* 18 lets a module tell its name and version */
#if PG_VERSION_NUM >= 180000
#define MODULE_MAGIC_COMPAT \
	PG_MODULE_MAGIC_EXT(.name = "featurestore", .version = FEATURESTORE_VERSION)
#else
#define MODULE_MAGIC_COMPAT PG_MODULE_MAGIC
#endif

#endif							/* FEATURESTORE_COMPAT_H */
