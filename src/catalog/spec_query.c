/*
 * spec_query.c
 *	  Queries of specs, compared by what they mean rather than by their text.
 *
 * Items are given in names, and a name can come to stand for another object.
 * Here a query is parsed anew, by the search path of the moment, and compared
 * with what the parser made of it when the spec was created.  It is parsed as a
 * whole and never planned: what a planner makes of one level in another can
 * grow without bounds.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(same_query);
PG_FUNCTION_INFO_V1(called_functions);

/* Parses the text of one query. */
static Query *
parse_query(const char *text)
{
	List	   *statements = pg_parse_query(text);

	if (list_length(statements) != 1)
		elog(ERROR, "not one query: %s", text);
	return parse_analyze_fixedparams(linitial_node(RawStmt, statements), text, NULL, 0, NULL);
}

/* Makes a query forget names, places and permissions, which do not change what it gives. */
static bool
forget_forms(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		rte->alias = NULL;
		rte->eref = NULL;
		ForgetPermissionCompat(rte);
		return false;
	}
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		query->stmt_location = -1;
		query->stmt_len = 0;
		ForgetPermissionsCompat(query);
		return query_tree_walker(query, forget_forms, context, QTW_EXAMINE_RTES_BEFORE);
	}
	return expression_tree_walker(node, forget_forms, context);
}

/*
 * A copy of a query that can be compared with others, NULL if it is not over
 * one subquery.  A view's query may have entries for OLD and NEW in its range
 * table; they go.
 */
static Query *
comparable(Query *query)
{
	RangeTblRef *from;

	query = copyObject(query);
	if (list_length(query->jointree->fromlist) != 1 ||
		!IsA(linitial(query->jointree->fromlist), RangeTblRef))
		return NULL;
	from = linitial(query->jointree->fromlist);
	query->rtable = list_make1(rt_fetch(from->rtindex, query->rtable));
	ChangeVarNodes((Node *) query, from->rtindex, 1, 0);
	forget_forms((Node *) query, NULL);
	return query;
}

/*
 * _same_query(spec regclass, query text) RETURNS boolean
 * Does the query read, compute and give what the spec's view does?
 */
Datum
same_query(PG_FUNCTION_ARGS)
{
	Query	   *query = comparable(parse_query(text_to_cstring(PG_GETARG_TEXT_PP(1))));
	Relation	view = relation_open(PG_GETARG_OID(0), AccessShareLock);
	Query	   *other = NULL;

	if (view->rd_rel->relkind == RELKIND_VIEW)
		other = comparable(get_view_query(view));
	relation_close(view, NoLock);
	PG_RETURN_BOOL(other && equal(query, other));
}

/* The subquery in the FROM of a query, or NULL. */
static Query *
subquery_of(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_SUBQUERY)
			return rte->subquery;
	}
	return NULL;
}

/*
 * _called_functions(query text) RETURNS oid[]
 * For each level between the innermost and the outermost query, from the inside
 * out, the function whose call is its last column, or 0.  Raises what the
 * parser does.
 */
Datum
called_functions(PG_FUNCTION_ARGS)
{
	Query	   *query = subquery_of(parse_query(text_to_cstring(PG_GETARG_TEXT_PP(0))));
	List	   *functions = NIL;
	ArrayBuildState *array = initArrayResult(OIDOID, CurrentMemoryContext, false);
	ListCell   *lc;

	for (; query && subquery_of(query); query = subquery_of(query))
	{
		Expr	   *last = ((TargetEntry *) llast(query->targetList))->expr;

		functions = lcons_oid(IsA(last, FuncExpr) ? ((FuncExpr *) last)->funcid : InvalidOid,
							  functions);
	}
	foreach(lc, functions)
		accumArrayResult(array, ObjectIdGetDatum(lfirst_oid(lc)), false, OIDOID,
						 CurrentMemoryContext);
	PG_RETURN_DATUM(makeArrayResult(array, CurrentMemoryContext));
}
