/*
 * spec_query.c
 *	  Queries of specs, compared by what they mean rather than by their text.
 *
 * Items are given in names, and a name can come to stand for another object.
 * Here a query is parsed anew, by the search path of the moment, and then
 * compared with what the parser made of it when the spec was created.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "parser/analyze.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

PG_FUNCTION_INFO_V1(same_query);
PG_FUNCTION_INFO_V1(called_function);

/* Parses the text of one query. */
static Query *
parse_query(const char *text)
{
	List	   *statements = pg_parse_query(text);

	if (list_length(statements) != 1)
		elog(ERROR, "not one query: %s", text);
	return parse_analyze_fixedparams(linitial_node(RawStmt, statements), text, NULL, 0, NULL);
}

/*
 * A query as text, NULL if it is not over one subquery.  A view's query may
 * have entries for OLD and NEW in its range table, which change how columns
 * are written; they go.
 */
static char *
write_query(Query *query)
{
	RangeTblRef *from;

	query = copyObject(query);
	if (list_length(query->jointree->fromlist) != 1 ||
		!IsA(linitial(query->jointree->fromlist), RangeTblRef))
		return NULL;
	from = linitial(query->jointree->fromlist);
	query->rtable = list_make1(rt_fetch(from->rtindex, query->rtable));
	ChangeVarNodes((Node *) query, from->rtindex, 1, 0);
	return pg_get_querydef(query, false);
}

/*
 * _same_query(spec regclass, query text) RETURNS boolean
 * Does the query read and compute what the spec's view does?  Both are written
 * out and compared as text, in which every name is unambiguous.
 */
Datum
same_query(PG_FUNCTION_ARGS)
{
	Query	   *query = parse_query(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	Relation	view = relation_open(PG_GETARG_OID(0), AccessShareLock);
	char	   *written = NULL;

	if (view->rd_rel->relkind == RELKIND_VIEW)
		written = write_query(get_view_query(view));
	relation_close(view, NoLock);
	PG_RETURN_BOOL(written && strcmp(written, write_query(query)) == 0);
}

/*
 * _called_function(query text) RETURNS oid
 * The function whose call is the last column of the query, or 0.
 */
Datum
called_function(PG_FUNCTION_ARGS)
{
	Query	   *query = parse_query(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	TargetEntry *target = llast(query->targetList);

	PG_RETURN_OID(IsA(target->expr, FuncExpr) ? ((FuncExpr *) target->expr)->funcid : InvalidOid);
}
