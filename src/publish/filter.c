/*
 * filter.c
 *	  The filter of a publication, in a form that means the same in any session.
 *
 * A filter is stored as text and parsed again by every sync.  What the user
 * wrote depends on the search path, the time zone and other settings of the
 * session that wrote it; so it is parsed once, there, and stored as the parser
 * understood it, the way views and index predicates are kept.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "catalog/expression.h"

PG_FUNCTION_INFO_V1(canonical_filter);

/* Puts the cursor of a parse error into the filter, not into the caller's statement. */
static void
filter_error_callback(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

/*
 * Analyzes filter as a condition over one row of source.  It must give the
 * same answer whenever it is asked, or rows would come and go unnoticed.
 */
static Node *
analyze_filter(Relation source, const char *filter)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	Node	   *expression;

	pstate->p_sourcetext = filter;
	item = addRangeTableEntryForRelation(pstate, source, AccessShareLock, NULL, false, true);
	addNSItemToQuery(pstate, item, false, true, true);

	expression = transformExpr(pstate, parse_bare_expression(filter), EXPR_KIND_WHERE);
	expression = coerce_to_boolean(pstate, expression, "filter");
	assign_expr_collations(pstate, expression);

	if (pstate->p_hasSubLinks)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use subquery in filter")));
	if (contain_mutable_functions((Node *) expression_planner((Expr *) copyObject(expression))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("functions in filter must be marked IMMUTABLE"),
				 errhint("Only the columns of the source may decide whether a row is published.")));

	free_parsestate(pstate);
	return expression;
}

/*
 * Text of expression, with every name qualified and every constant in a form
 * that does not depend on settings.  Columns belong to "source".
 */
static char *
deparse_filter(Relation source, Node *expression)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"DateStyle", "ISO"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "3"},
		{"standard_conforming_strings", "on"},
	};
	int			nestlevel = NewGUCNestLevel();
	char	   *result;

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	result = deparse_expression(expression,
								deparse_context_for("source", RelationGetRelid(source)),
								true, false);
	AtEOXact_GUC(true, nestlevel);

	return result;
}

Datum
canonical_filter(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *filter = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Relation	source = table_open(relid, AccessShareLock);
	ErrorContextCallback callback;
	Node	   *expression;
	char	   *result;

	callback.callback = filter_error_callback;
	callback.arg = filter;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	expression = analyze_filter(source, filter);
	error_context_stack = callback.previous;

	result = deparse_filter(source, expression);
	table_close(source, AccessShareLock);

	PG_RETURN_TEXT_P(cstring_to_text(result));
}
