/*
 * canonical.c
 *	  Expressions and operators in a form that means the same in any session.
 *
 * The filter of a publication and the filter and input of a feature are stored
 * as text and parsed again by every run.  What the user wrote depends on the
 * search path, the time zone and other settings of the session that wrote it;
 * so it is parsed once, there, and stored as the parser understood it, the way
 * views and index predicates are kept.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "optimizer/optimizer.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalog/expression.h"

PG_FUNCTION_INFO_V1(canonical_filter);
PG_FUNCTION_INFO_V1(canonical_input);
PG_FUNCTION_INFO_V1(expression_problem);
PG_FUNCTION_INFO_V1(equality_operator);

/* Puts the cursor of a parse error into the expression, not into the caller's statement. */
static void
expression_error_callback(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

/* What sees groups of rows, or makes rows, is no function of one row. */
static void
check_row_expression(ParseState *pstate, const char *name)
{
	if (pstate->p_hasSubLinks)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use subquery in %s", name)));
	if (pstate->p_hasAggs)
		ereport(ERROR,
				(errcode(ERRCODE_GROUPING_ERROR),
				 errmsg("aggregate functions are not allowed in %s", name)));
	if (pstate->p_hasWindowFuncs)
		ereport(ERROR,
				(errcode(ERRCODE_WINDOWING_ERROR),
				 errmsg("window functions are not allowed in %s", name)));
	if (pstate->p_hasTargetSRFs)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-returning functions are not allowed in %s", name)));
}

/*
 * Analyzes text as an expression over one row of source; name is what to call
 * it in messages.  It must give the same answer whenever it is asked, or rows
 * would come, go and change unnoticed.
 */
static Node *
analyze_expression(Relation source, const char *text, const char *name, bool is_condition)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	Node	   *expression;

	pstate->p_sourcetext = text;
	item = addRangeTableEntryForRelation(pstate, source, AccessShareLock, NULL, false, true);
	addNSItemToQuery(pstate, item, false, true, true);

	expression = transformExpr(pstate, parse_bare_expression(text),
							   is_condition ? EXPR_KIND_WHERE : EXPR_KIND_SELECT_TARGET);
	if (is_condition)
		expression = coerce_to_boolean(pstate, expression, name);
	else if (exprType(expression) == UNKNOWNOID)
		expression = coerce_to_common_type(pstate, expression, TEXTOID, name);
	assign_expr_collations(pstate, expression);
	check_row_expression(pstate, name);

	if (contain_mutable_functions((Node *) expression_planner((Expr *) copyObject(expression))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("functions in %s must be marked IMMUTABLE", name),
				 is_condition ?
				 errhint("Only the columns of the source may decide whether a row counts.") :
				 errhint("Only the columns of the source may decide the value of a row.")));

	free_parsestate(pstate);
	return expression;
}

/*
 * Text of expression, with every name qualified and every constant in a form
 * that does not depend on settings.  Columns belong to "source".
 */
static char *
deparse_canonical(Relation source, Node *expression)
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

/* The canonical text of an expression; *expression is its tree. */
static text *
canonical_text(Oid relid, text *given, const char *name, bool is_condition, Node **expression)
{
	char	   *string = text_to_cstring(given);
	Relation	source = table_open(relid, AccessShareLock);
	ErrorContextCallback callback;
	text	   *result;

	callback.callback = expression_error_callback;
	callback.arg = string;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	*expression = analyze_expression(source, string, name, is_condition);
	error_context_stack = callback.previous;

	result = cstring_to_text(deparse_canonical(source, *expression));
	table_close(source, AccessShareLock);
	return result;
}

/* _canonical_filter(source regclass, filter text) RETURNS text */
Datum
canonical_filter(PG_FUNCTION_ARGS)
{
	Node	   *expression;

	PG_RETURN_TEXT_P(canonical_text(PG_GETARG_OID(0), PG_GETARG_TEXT_PP(1), "filter", true, &expression));
}

/* What an error says, as an object with code, message, detail and hint, empty if there is none. */
static Datum
error_as_json(const ErrorData *error)
{
	const char *members[] = {
		"code", unpack_sql_state(error->sqlerrcode), "message", error->message,
		"detail", error->detail ? error->detail : "", "hint", error->hint ? error->hint : ""
	};
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < lengthof(members); i++)
	{
		JsonbValue	value = {.type = jbvString};

		value.val.string.val = pstrdup(members[i]);
		value.val.string.len = strlen(members[i]);
		pushJsonbValue(&state, i % 2 == 0 ? WJB_KEY : WJB_VALUE, &value);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/*
 * _expression_problem(source regclass, expression text, is_condition boolean) RETURNS jsonb
 * What _canonical_filter (is_condition) or _canonical_input would raise, NULL if
 * nothing.  In a subtransaction, as PL/pgSQL catches errors.
 */
Datum
expression_problem(PG_FUNCTION_ARGS)
{
	bool		is_condition = PG_GETARG_BOOL(2);
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile Datum problem = (Datum) 0;
	Node	   *expression;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		canonical_text(PG_GETARG_OID(0), PG_GETARG_TEXT_PP(1), is_condition ? "filter" : "input",
					   is_condition, &expression);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		/* A cancel is none of the expression's */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		problem = error_as_json(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;

	if (problem == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(problem);
}

/*
 * _canonical_input(source regclass, input text, OUT canonical text, OUT type regtype,
 *					OUT column_name text)
 * column_name is that of an input which is a column and nothing else.
 */
Datum
canonical_input(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	TupleDesc	desc;
	Datum		values[3] = {0};
	bool		nulls[3] = {false, false, true};
	Node	   *expression;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	values[0] = PointerGetDatum(canonical_text(relid, PG_GETARG_TEXT_PP(1), "input", false, &expression));
	values[1] = ObjectIdGetDatum(exprType(expression));
	if (IsA(expression, Var) && ((Var *) expression)->varattno > 0)
	{
		values[2] = CStringGetTextDatum(get_attname(relid, ((Var *) expression)->varattno, false));
		nulls[2] = false;
	}

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * _equality(type regtype) RETURNS text
 * The operator by which values of the type are grouped, as a statement writes
 * it where "=" would mean what the search path says; NULL if there is none.
 */
Datum
equality_operator(PG_FUNCTION_ARGS)
{
	Oid			operator = lookup_type_cache(PG_GETARG_OID(0), TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple;
	Form_pg_operator form;
	char	   *result;

	if (!OidIsValid(operator))
		PG_RETURN_NULL();
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	result = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					  NameStr(form->oprname));
	ReleaseSysCache(tuple);

	PG_RETURN_TEXT_P(cstring_to_text(result));
}
