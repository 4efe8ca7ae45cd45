/*
 * expression.c
 *	  Checks the text of expressions that users give, before it becomes part of
 *	  a statement.
 *
 * The text is parsed as the expression it has to be: nothing can follow it,
 * and no subquery can hide in it.  Names and types are left to the statement.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "catalog/expression.h"

PG_FUNCTION_INFO_V1(expression_columns);

/* Refuses what an expression over one row cannot have. */
static void
refuse(const char *text, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("expression \"%s\" contains %s", text, what),
			 errhint("An expression computes one value from one row.")));
}

/* Finds what is refused. */
static bool
refuse_walker(Node *node, void *text)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		refuse(text, "a subquery");
	if (IsA(node, FuncCall))
	{
		FuncCall   *call = (FuncCall *) node;

		if (call->over)
			refuse(text, "a window function");
		if (call->agg_order || call->agg_filter || call->agg_within_group || call->agg_star ||
			call->agg_distinct)
			refuse(text, "an aggregate function");
	}
	if (IsA(node, ParamRef))
		refuse(text, "a parameter");
	return raw_expression_tree_walker(node, refuse_walker, text);
}

/*
 * The raw parse tree of an expression.  Raises 42601 unless the text is one
 * expression and nothing else, 0A000 if it has subqueries, window functions,
 * parameters or the syntax of aggregates.
 */
Node *
parse_bare_expression(const char *text)
{
	List	   *list = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = (SelectStmt *) linitial_node(RawStmt, list)->stmt;
	ResTarget  *target;

	if (!IsA(select, SelectStmt) || select->op != SETOP_NONE || select->distinctClause ||
		select->fromClause || select->whereClause || select->groupClause ||
		select->havingClause || select->windowClause || select->sortClause ||
		select->limitCount || select->limitOffset || select->lockingClause ||
		select->withClause || list_length(select->targetList) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("\"%s\" is not an expression", text),
				 errhint("Give one expression, with no FROM or other clause.")));
	target = linitial_node(ResTarget, select->targetList);
	/* also where what looks like half an expression is a name, as in "a AND" */
	if (target->name)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("\"%s\" is not an expression", text),
				 errhint("Give one expression, without a name for it.")));
	refuse_walker(target->val, (void *) text);
	return target->val;
}

/* Collects the names of columns. */
static bool
column_walker(Node *node, List **names)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		Node	   *field = linitial(((ColumnRef *) node)->fields);

		if (!IsA(field, String) || list_length(((ColumnRef *) node)->fields) != 1)
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("column names in an expression must be plain"),
					 errhint("Write the name of an output, a request field or a key without qualification.")));
		*names = list_append_unique(*names, field);
	}
	return raw_expression_tree_walker(node, column_walker, names);
}

/*
 * _expression_columns(expression text) RETURNS text[]
 * The columns an expression names.  Raises what parse_bare_expression does, and
 * 42601 for qualified names.
 */
Datum
expression_columns(PG_FUNCTION_ARGS)
{
	Node	   *expression = parse_bare_expression(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	List	   *names = NIL;
	ArrayBuildState *array = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	ListCell   *lc;

	column_walker(expression, &names);
	foreach(lc, names)
		accumArrayResult(array, CStringGetTextDatum(strVal(lfirst(lc))), false, TEXTOID,
						 CurrentMemoryContext);
	PG_RETURN_DATUM(makeArrayResult(array, CurrentMemoryContext));
}
