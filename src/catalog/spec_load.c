/*
 * spec_load.c
 *	  Compiles a spec from its view and its catalog row.
 *
 * See spec.h for the form of the view.  What the view says (tables, columns,
 * keys, expressions) is read from its parsed query, which follows renames;
 * what a view cannot say (defaults, bounds) comes from the row's "steps", an
 * object of "fields", the names of arguments that are outputs, and "items",
 * one object for each level of the view in the same order.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog/json_values.h"
#include "catalog/spec.h"
#include "compat.h"

/* Longest array output that can be declared */
#define MAX_ARRAY_LENGTH 999999

/* A level of the view: the subquery below it, and the table it joins. */
typedef struct Level
{
	Query	   *query;
	Query	   *below;
	Index		below_rti;
	RangeTblEntry *table;
	Index		table_rti;
} Level;

/* The view is not as create_feature_spec made it. */
static void
malformed_view(Spec *spec)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("view %s was changed and no longer describes a feature spec", spec->name),
			 errhint("Create the spec again with featurestore.create_feature_spec(..., replace => true).")));
}

/* Finds the parts of a level; the innermost has nothing below it. */
static Level
read_level(Spec *spec, Query *query)
{
	Level		level = {.query = query};
	ListCell   *lc;

	foreach(lc, query->jointree->fromlist)
	{
		Node	   *item = lfirst(lc);
		Index		rti;
		RangeTblEntry *rte;

		if (!IsA(item, RangeTblRef))
			malformed_view(spec);
		rti = ((RangeTblRef *) item)->rtindex;
		rte = rt_fetch(rti, query->rtable);
		if (rte->rtekind == RTE_SUBQUERY && !rte->lateral && !level.below)
		{
			level.below = rte->subquery;
			level.below_rti = rti;
		}
		else if (rte->rtekind == RTE_RELATION && !level.table)
		{
			level.table = rte;
			level.table_rti = rti;
		}
		else
			malformed_view(spec);
	}
	return level;
}

/* Interval in microseconds; months never get into the catalog. */
static int64
interval_microseconds(Interval *interval)
{
	return interval->time + (int64) interval->day * USECS_PER_DAY;
}

/* Sets up a working column from the target that makes it. */
static void
load_column(SpecColumn *column, TargetEntry *target, int item)
{
	Node	   *expr = (Node *) target->expr;

	column->name = pstrdup(target->resname);
	column->type = exprType(expr);
	column->typmod = exprTypmod(expr);
	column->collation = exprCollation(expr);
	column->array_type = get_array_type(column->type);
	get_typlenbyvalalign(column->type, &column->typlen, &column->typbyval, &column->typalign);
	column->item = item;
	column->is_output = item >= 0;
}

/* Strips what the parser puts around a column of a binary-compatible type. */
static Var *
plain_var(Node *node)
{
	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node && IsA(node, Var) ? (Var *) node : NULL;
}

/* Is this the lookup's time, as it is or as a date? */
static bool
is_as_of(Spec *spec, Level *level, Node *node)
{
	List	   *vars = pull_var_clause(node, 0);
	Var		   *var = list_length(vars) == 1 ? linitial(vars) : NULL;

	return var && var->varno == level->below_rti && var->varattno == spec->nargs + 1;
}

/* Is this a column of the level's table? */
static bool
is_table_column(Level *level, Var *var)
{
	return var && var->varno == level->table_rti && var->varlevelsup == 0 && var->varattno > 0;
}

/* Is this a working column that comes before those of the item? */
static bool
is_working_column(SpecItem *item, Level *level, Var *var)
{
	return var && var->varno == level->below_rti && var->varlevelsup == 0 &&
		var->varattno > 0 && var->varattno <= item->first_column;
}

/* A key the parser converts, to find an operator, cannot be probed by. */
static void
refuse_conversion(Spec *spec, SpecItem *item, Level *level, OpExpr *op)
{
	List	   *lefts = pull_var_clause(linitial(op->args), 0);
	List	   *rights = pull_var_clause(lsecond(op->args), 0);
	Var		   *left = list_length(lefts) == 1 ? linitial(lefts) : NULL;
	Var		   *right = list_length(rights) == 1 ? linitial(rights) : NULL;

	if (!is_table_column(level, left) || !is_working_column(item, level, right))
		malformed_view(spec);
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("%s: key \"%s\" is of type %s but column \"%s\" of type %s", item->name,
					spec->columns[right->varattno - 1].name, format_type_be(right->vartype),
					get_attname(item->relid, left->varattno, false),
					format_type_be(left->vartype)),
			 errhint("Give one of them the type of the other.")));
}

/*
 * Reads the conditions of a lookup: "table column = working column" for each
 * key, and "time column <= as_of" where the table has an event time.
 */
static void
load_conditions(Spec *spec, SpecItem *item, Level *level)
{
	List	   *conditions = make_ands_implicit((Expr *) level->query->jointree->quals);
	ListCell   *lc;

	if (list_length(conditions) > INDEX_MAX_KEYS + 1)
		malformed_view(spec);
	item->keys = palloc0(sizeof(SpecKey) * list_length(conditions));
	foreach(lc, conditions)
	{
		OpExpr	   *op = lfirst(lc);
		Var		   *left;
		Var		   *right;

		if (!IsA(op, OpExpr) || list_length(op->args) != 2)
			malformed_view(spec);
		left = plain_var(linitial(op->args));
		right = plain_var(lsecond(op->args));
		if (is_table_column(level, left) && is_as_of(spec, level, lsecond(op->args)))
		{
			item->time_attno = left->varattno;
			item->time_type = left->vartype;
		}
		else if (is_table_column(level, left) && is_working_column(item, level, right))
		{
			item->keys[item->nkeys].attno = left->varattno;
			item->keys[item->nkeys++].column = right->varattno - 1;
		}
		else
			refuse_conversion(spec, item, level, op);
	}
	if (item->nkeys == 0 || item->nkeys > INDEX_MAX_KEYS ||
		(item->time_attno && item->time_type != TIMESTAMPTZOID && item->time_type != DATEOID))
		malformed_view(spec);
}

/* The entry that permits a lookup to read its columns, for the check of each call. */
static void
add_permission(Spec *spec, SpecItem *item, RangeTblEntry *table)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	Bitmapset  *columns = NULL;
	int			shift = FirstLowInvalidHeapAttributeNumber;

	for (int attno = -1; (attno = bms_next_member(item->columns_read, attno)) >= 0;)
		columns = bms_add_member(columns, attno - shift);
	for (int i = 0; i < item->nkeys; i++)
		columns = bms_add_member(columns, item->keys[i].attno - shift);

	rte->rtekind = RTE_RELATION;
	rte->relid = item->relid;
	rte->relkind = table->relkind;
	rte->rellockmode = AccessShareLock;
	rte->inh = true;
	spec->rtes = lappend(spec->rtes, rte);
	spec->perminfos = SetSelectPermissionCompat(spec->perminfos, rte, columns);
}

/*
 * The event time of a table that was registered after the spec was made, when
 * the view knows of none.
 */
static void
load_registered_time(SpecItem *item, const char *name)
{
	item->time_attno = get_attnum(item->relid, name);
	if (item->time_attno != InvalidAttrNumber)
		item->time_type = get_atttype(item->relid, item->time_attno);
	if (item->time_type != TIMESTAMPTZOID && item->time_type != DATEOID)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s: \"%s\", the timeseries column of table \"%s\", was dropped, renamed or retyped",
						item->name, name, get_rel_name(item->relid)),
				 errhint("Register the table again, with featurestore.drop_online_table and featurestore.create_online_table.")));
}

/*
 * Event time and time to live, as registered, and bounds of the lookup.  Windows
 * have times of their own, whatever that of the row is.
 */
static void
load_bounds(SpecItem *item, JsonbContainer *step)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];
	bool		is_online = (item->nwindows == 0 || item->time_attno) &&
		catalog_fetch("online_table", item->relid, NULL, values, nulls) != NULL;

	item->max_age = json_get_int(step, "max_age", -1);
	item->max_lag = json_get_int(step, "max_lag", -1);
	if (is_online && !item->time_attno && !nulls[Anum_online_table_timeseries_column - 1])
		load_registered_time(item, TextDatumGetCString(values[Anum_online_table_timeseries_column - 1]));
	if (is_online && !nulls[Anum_online_table_ttl - 1])
	{
		int64		ttl = interval_microseconds(DatumGetIntervalP(values[Anum_online_table_ttl - 1]));

		if (item->max_age < 0 || ttl < item->max_age)
			item->max_age = ttl;
	}
	item->is_published = catalog_fetch("publication", item->relid, NULL, values, nulls);
	item->known_ready = !item->is_published;
}

/* Notes what is read of the table: columns, states and the event time. */
static void
note_columns_read(SpecItem *item)
{
	for (int i = 0; i < item->ncolumns; i++)
	{
		if (item->attnos[i])
			item->columns_read = bms_add_member(item->columns_read, item->attnos[i]);
	}
	for (int i = 0; i < item->nwindows; i++)
	{
		if (item->windows[i].attno)
			item->columns_read = bms_add_member(item->columns_read, item->windows[i].attno);
	}
	if (item->time_attno)
		item->columns_read = bms_add_member(item->columns_read, item->time_attno);
}

/* Reads a level that joins a table. */
static void
load_lookup(Spec *spec, SpecItem *item, Level *level, JsonbContainer *step)
{
	item->relid = level->table->relid;
	LockRelationOid(item->relid, AccessShareLock);
	item->attnos = palloc0(sizeof(AttrNumber) * Max(item->ncolumns, 1));
	for (int i = 0; i < item->ncolumns; i++)
	{
		TargetEntry *target = list_nth(level->query->targetList, item->first_column + i);
		Var		   *var = (Var *) target->expr;

		if (!IsA(var, Var))
			continue;
		if (var->varno != level->table_rti || var->varlevelsup != 0 || var->varattno <= 0)
			malformed_view(spec);
		item->attnos[i] = var->varattno;
	}
	if (!load_windows(spec, item, level->query->targetList, level->table_rti, level->below_rti))
		malformed_view(spec);
	load_conditions(spec, item, level);
	load_bounds(item, step);
	note_columns_read(item);
	add_permission(spec, item, level->table);
}

/*
 * Can an expression's state be kept across calls?  Functions in C can; those
 * in SQL or a procedural language hold on to what ends with a transaction.
 */
static bool
is_not_plain_function(Oid funcid, void *context)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	Oid			language;

	if (!HeapTupleIsValid(tuple))
		return true;
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	return language != INTERNALlanguageId && language != ClanguageId;
}

/* Finds a function that forbids keeping the expression's state. */
static bool
has_procedural_function(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, CoerceToDomain))
		return true;
	if (check_functions_in_node(node, is_not_plain_function, context))
		return true;
	return expression_tree_walker(node, has_procedural_function, context);
}

/* An expression reads nothing but the columns before its own. */
static void
check_vars(Spec *spec, SpecItem *item, Level *level, Node *expr)
{
	List	   *vars = pull_var_clause(expr, 0);
	ListCell   *lc;

	foreach(lc, vars)
	{
		Var		   *var = lfirst(lc);

		if (var->varno != level->below_rti || var->varattno < 1 ||
			var->varattno > item->first_column)
			malformed_view(spec);
	}
}

/* check_functions_in_node callback: notes one function. */
static bool
note_function(Oid funcid, void *functions)
{
	*(List **) functions = list_append_unique_oid(*(List **) functions, funcid);
	return false;
}

/* Collects the functions an expression calls. */
static bool
collect_functions(Node *node, void *functions)
{
	if (node == NULL)
		return false;
	check_functions_in_node(node, note_function, functions);
	return expression_tree_walker(node, collect_functions, functions);
}

/*
 * Checks that the user may call what an expression calls: the planner may put
 * bodies or results in the place of calls.
 */
static void
check_functions(SpecItem *item, List *functions)
{
	ListCell   *lc;

	foreach(lc, functions)
	{
		if (FunctionAclcheckCompat(lfirst_oid(lc), GetUserId()) != ACLCHECK_OK)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("%s: permission denied for function %s", item->name,
							get_func_name(lfirst_oid(lc)))));
	}
}

/* Plans an expression; what it raises, as of constants, names the item. */
static Expr *
plan_expression(SpecItem *item, Expr *expr)
{
	MemoryContext cxt = CurrentMemoryContext;

	PG_TRY();
	{
		expr = expression_planner(expr);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		error->message = psprintf("%s: %s", item->name, error->message);
		ReThrowError(error);
	}
	PG_END_TRY();
	return expr;
}

/* Reads a level that computes one column. */
static void
load_computed(Spec *spec, SpecItem *item, Level *level)
{
	TargetEntry *target = llast(level->query->targetList);
	Node	   *expr = copyObject((Node *) target->expr);
	List	   *functions = NIL;
	bool		is_mutable;

	if (item->ncolumns != 1)
		malformed_view(spec);
	if (level->query->hasSubLinks || level->query->hasAggs || level->query->hasWindowFuncs ||
		level->query->hasTargetSRFs)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s: aggregates, subqueries and functions that return a set cannot be used",
						item->name),
				 errhint("An item computes one value from one row.")));
	check_vars(spec, item, level, expr);
	if (level->below_rti != 1)
		ChangeVarNodes(expr, level->below_rti, 1, 0);
	collect_functions(expr, &functions);
	check_functions(item, functions);
	spec->functions = list_concat_unique_oid(spec->functions, functions);

	/* Labels count as they are declared, and in what planning brings to light. */
	is_mutable = contain_mutable_functions(expr);
	item->expr = plan_expression(item, (Expr *) expr);
	spec->is_for_user |= has_procedural_function(expr, NULL);
	if (is_mutable || contain_mutable_functions((Node *) item->expr))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("%s: functions must be marked IMMUTABLE", item->name),
				 errdetail("What is served could not be computed again for training."),
				 errhint("Use as_of for the time, and AT TIME ZONE instead of casts that depend on the session.")));
	if (!has_procedural_function((Node *) item->expr, NULL))
		item->state = ExecInitExpr(item->expr, NULL);
}

/* Defaults and declared array lengths of an item's columns. */
static void
load_column_options(Spec *spec, SpecItem *item, JsonbContainer *step)
{
	JsonbContainer *defaults = json_get_container(step, "defaults");
	JsonbContainer *lengths = json_get_container(step, "lengths");

	for (int i = item->first_column; i < item->first_column + item->ncolumns; i++)
	{
		SpecColumn *column = &spec->columns[i];
		char	   *text = json_get_string(defaults, column->name);

		if (text)
		{
			Oid			input;
			Oid			ioparam;

			getTypeInputInfo(column->type, &input, &ioparam);
			column->default_value =
				OidInputFunctionCall(input, text, ioparam, column->typmod);
			column->has_default = true;
		}
		column->length = json_get_int(lengths, column->name, 0);
		if (column->length < 0 || column->length > MAX_ARRAY_LENGTH)
			malformed_view(spec);
	}
}

/* The levels of the view between the request and the result, innermost first. */
static List *
list_levels(Spec *spec, Level *result, Level *request)
{
	List	   *levels = NIL;
	Query	   *query = result->below;

	if (!query)
		malformed_view(spec);
	for (;;)
	{
		Level	   *level = palloc(sizeof(Level));

		*level = read_level(spec, query);
		if (!level->below)
		{
			*request = *level;
			return levels;
		}
		levels = lcons(level, levels);
		query = level->below;
	}
}

/* Marks computed columns that a lookup's key needs, directly or not. */
static void
mark_early(Spec *spec, int column)
{
	SpecItem   *item;
	List	   *vars;
	ListCell   *lc;

	if (spec->columns[column].item < 0)
		return;
	item = &spec->items[spec->columns[column].item];
	if (!item->expr || item->is_early)
		return;
	item->is_early = true;
	vars = pull_var_clause((Node *) item->expr, 0);
	foreach(lc, vars)
		mark_early(spec, ((Var *) lfirst(lc))->varattno - 1);
}

/* Which computed columns run with the lookups, and which when rows are given out. */
static void
order_expressions(Spec *spec)
{
	for (int i = 0; i < spec->nitems; i++)
	{
		for (int k = 0; k < spec->items[i].nkeys; k++)
			mark_early(spec, spec->items[i].keys[k].column);
	}
	spec->states_are_cached = true;
	for (int i = 0; i < spec->nitems; i++)
	{
		if (!spec->items[i].expr)
			continue;
		spec->has_expressions = true;
		spec->has_late_expressions |= !spec->items[i].is_early;
		spec->states_are_cached &= spec->items[i].state != NULL;
	}
}

/* Reads the request: the arguments and, after them, as_of. */
static void
load_request(Spec *spec, Level *request, JsonbContainer *fields)
{
	ListCell   *lc;
	int			i = 0;

	spec->nargs = list_length(request->query->targetList) - 1;
	foreach(lc, request->query->targetList)
	{
		if (((TargetEntry *) lfirst(lc))->resjunk)
			malformed_view(spec);
		load_column(&spec->columns[i], lfirst(lc), -1);
		spec->columns[i].is_output = json_array_has(fields, spec->columns[i].name);
		i++;
	}
	if (spec->nargs < 1 || spec->columns[spec->nargs].type != TIMESTAMPTZOID)
		malformed_view(spec);
	spec->ncolumns = i;
}

/* A level gives the columns below it at the same positions, then its own. */
static void
check_level(Spec *spec, Level *level)
{
	ListCell   *lc;
	int			i = 0;

	if (list_length(level->query->targetList) < spec->ncolumns)
		malformed_view(spec);
	foreach(lc, level->query->targetList)
	{
		TargetEntry *target = lfirst(lc);
		Var		   *var = (Var *) target->expr;

		if (target->resjunk)
			malformed_view(spec);
		if (i++ < spec->ncolumns &&
			(!IsA(var, Var) || var->varno != level->below_rti || var->varlevelsup != 0 ||
			 var->varattno != i))
			malformed_view(spec);
	}
}

/* Reads the items, one a level. */
static void
load_items(Spec *spec, List *levels, JsonbContainer *steps)
{
	ListCell   *lc;

	if (!steps || !JsonContainerIsArray(steps) || JsonContainerSize(steps) != list_length(levels))
		malformed_view(spec);
	spec->items = palloc0(sizeof(SpecItem) * Max(list_length(levels), 1));
	foreach(lc, levels)
	{
		Level	   *level = lfirst(lc);
		SpecItem   *item = &spec->items[spec->nitems];
		JsonbContainer *step = json_array_object(steps, spec->nitems);

		check_level(spec, level);
		item->name = json_get_string(step, "name");
		if (!item->name)
			malformed_view(spec);
		item->first_column = spec->ncolumns;
		item->ncolumns = list_length(level->query->targetList) - spec->ncolumns;
		for (int i = 0; i < item->ncolumns; i++)
			load_column(&spec->columns[spec->ncolumns + i],
						list_nth(level->query->targetList, spec->ncolumns + i), spec->nitems);
		spec->ncolumns += item->ncolumns;
		if (level->table)
			load_lookup(spec, item, level, step);
		else
			load_computed(spec, item, level);
		load_column_options(spec, item, step);
		spec->nitems++;
	}
	order_expressions(spec);
}

/* Reads the result: working columns, each maybe followed by its status. */
static void
load_results(Spec *spec, Level *result, TupleDesc desc)
{
	ListCell   *lc;
	int			previous = -1;

	spec->results = palloc0(sizeof(ResultColumn) * list_length(result->query->targetList));
	foreach(lc, result->query->targetList)
	{
		Expr	   *expr = ((TargetEntry *) lfirst(lc))->expr;
		ResultColumn *column = &spec->results[spec->nresults++];

		column->is_status = !IsA(expr, Var);
		if (!column->is_status)
			previous = ((Var *) expr)->varattno - 1;
		if (previous < 0 || previous >= spec->ncolumns ||
			(column->is_status ? exprType((Node *) expr) != TEXTOID :
			 ((Var *) expr)->varno != result->below_rti))
			malformed_view(spec);
		column->column = previous;
	}
	spec->result_desc = CreateTupleDescCopy(desc);
	/* The executor frees descriptors that are not reference-counted. */
	spec->result_desc->tdrefcount = 1;
	if (spec->result_desc->natts != spec->nresults)
		malformed_view(spec);
}

/* The working row as a slot, which expressions read. */
static void
make_working_slot(Spec *spec)
{
	spec->working_desc = CreateTemplateTupleDesc(spec->ncolumns);
	for (int i = 0; i < spec->ncolumns; i++)
	{
		TupleDescInitEntry(spec->working_desc, i + 1, spec->columns[i].name,
						   spec->columns[i].type, spec->columns[i].typmod, 0);
		TupleDescInitEntryCollation(spec->working_desc, i + 1, spec->columns[i].collation);
	}
	if (spec->has_expressions && spec->states_are_cached)
	{
		spec->slot = MakeSingleTupleTableSlot(spec->working_desc, &TTSOpsVirtual);
		spec->econtext = CreateStandaloneExprContext();
		spec->econtext->ecxt_scantuple = spec->slot;
	}
}

/* Reads the view's query, whose rows are as desc says, into the spec. */
static void
load_query(Spec *spec, Query *query, TupleDesc desc, Jsonb *steps)
{
	Level		result = read_level(spec, query);
	Level		request;
	List	   *levels = list_levels(spec, &result, &request);

	spec->columns = palloc0(sizeof(SpecColumn) *
							Max(list_length(result.below->targetList),
								list_length(request.query->targetList)));
	load_request(spec, &request, json_get_container(&steps->root, "fields"));
	load_items(spec, levels, json_get_container(&steps->root, "items"));
	load_results(spec, &result, desc);
	make_working_slot(spec);
}

/* A spec to be filled, in a memory context of its own. */
static Spec *
empty_spec(void)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "featurestore spec",
											  ALLOCSET_SMALL_SIZES);
	Spec	   *spec = MemoryContextAllocZero(cxt, sizeof(Spec));

	spec->cxt = cxt;
	spec->user = GetUserId();
	return spec;
}

/*
 * Compiles a spec that has no view, from the query that its view would have;
 * it lives in a memory context of its own below the current one.
 */
Spec *
spec_from_query(Query *query, Jsonb *steps)
{
	Spec	   *spec = empty_spec();
	MemoryContext old = MemoryContextSwitchTo(spec->cxt);

	spec->name = "of these items";
	spec->is_valid = true;
	load_query(spec, query, ExecCleanTypeFromTL(query->targetList), steps);
	MemoryContextSwitchTo(old);
	return spec;
}

/* Which rows of the spec are logged. */
static void
load_log_limit(Spec *spec)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];

	if (catalog_fetch("serve_log", spec->relid, NULL, values, nulls))
		spec->log_limit = (uint64) (DatumGetFloat8(values[Anum_serve_log_fraction - 1]) *
									((double) PG_UINT32_MAX + 1));
}

/*
 * Compiles the spec whose row type this is; NULL if the type is no spec's.
 * Takes and keeps a lock on the view and on every table, as using a view does.
 * The spec lives in a memory context of its own below the current one.
 */
Spec *
spec_load(Oid type)
{
	Oid			relid = get_typ_typrelid(type);
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];
	MemoryContext old;
	Relation	view;
	Spec	   *spec;

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_VIEW)
		return NULL;
	view = try_relation_open(relid, AccessShareLock);
	if (!view)
		return NULL;
	if (!catalog_fetch("spec", relid, NULL, values, nulls))
	{
		relation_close(view, AccessShareLock);
		return NULL;
	}

	spec = empty_spec();
	old = MemoryContextSwitchTo(spec->cxt);
	spec->type = type;
	spec->relid = relid;
	spec->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(view)),
											RelationGetRelationName(view));
	MemoryContextCopyAndSetIdentifier(spec->cxt, spec->name);
	spec->version = DatumGetInt32(values[Anum_spec_version - 1]);
	load_query(spec, get_view_query(view), RelationGetDescr(view),
			   DatumGetJsonbP(values[Anum_spec_steps - 1]));
	load_log_limit(spec);
	MemoryContextSwitchTo(old);
	relation_close(view, NoLock);
	return spec;
}
