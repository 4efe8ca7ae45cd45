/*
 * check.c
 *	  Checks a spec as a whole when it is created; locks it for those who copy it.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "lookup/lookup.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(check_spec);
PG_FUNCTION_INFO_V1(lock_spec);

/*
 * Can parallel workers read this relation through an index or the planner?
 * Policies may call functions that must not run there, and may change.
 */
static bool
relation_is_shared(Relation rel)
{
	char		relkind = rel->rd_rel->relkind;

	if (rel->rd_rel->relrowsecurity)
		return false;
	return relkind == RELKIND_RELATION || relkind == RELKIND_MATVIEW ||
		relkind == RELKIND_PARTITIONED_TABLE;
}

/* The weakest parallel label among a spec's tables and expressions. */
static char
parallel_label(LookupRun *run)
{
	Query	   *query = makeNode(Query);
	bool		is_restricted = false;
	char		label;

	for (int i = 0; i < run->spec->nitems; i++)
	{
		Expr	   *expr = run->items[i].item->expr;

		if (run->items[i].rel)
			is_restricted |= !relation_is_shared(run->items[i].rel);
		else
			query->targetList = lappend(query->targetList,
										makeTargetEntry(expr, i + 1, NULL, false));
	}
	label = max_parallel_hazard(query);
	return label == PROPARALLEL_SAFE && is_restricted ? PROPARALLEL_RESTRICTED : label;
}

/*
 * _check_spec(spec regclass) RETURNS text
 * Opens a lookup on a spec without running it, which checks all there is to
 * check, and gives the label of the spec's functions.
 */
Datum
check_spec(PG_FUNCTION_ARGS)
{
	LookupRun  *run = lookup_open(get_rel_type_id(PG_GETARG_OID(0)));
	char		label = parallel_label(run);

	lookup_close(run);
	PG_RETURN_TEXT_P(cstring_to_text(label == PROPARALLEL_SAFE ? "SAFE" :
									 label == PROPARALLEL_RESTRICTED ? "RESTRICTED" : "UNSAFE"));
}

/*
 * _lock_spec(spec regclass) RETURNS boolean
 * Locks a spec's view until the end of the transaction, without a look at
 * privileges, which a lookup needs on what the view reads; false if it is gone.
 */
Datum
lock_spec(PG_FUNCTION_ARGS)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];
	Relation	view;

	/* nobody is to lock here what is no spec */
	if (!catalog_fetch("spec", PG_GETARG_OID(0), NULL, values, nulls))
		PG_RETURN_BOOL(false);
	view = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	if (!view)
		PG_RETURN_BOOL(false);
	relation_close(view, NoLock);
	PG_RETURN_BOOL(true);
}
