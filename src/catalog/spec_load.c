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

#include "catalog/spec.h"
#include "compat.h"

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
		if (rte->rtekind == RTE_SUBQUERY && !level.below)
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

/* The value of a key of a json object, or NULL if absent or null. */
static JsonbValue *
json_get(JsonbContainer *object, const char *key)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object, key, strlen(key), NULL);

	return value && value->type != jbvNull ? value : NULL;
}

/* An integer of a json object, or the value given if absent. */
static int64
json_get_int(JsonbContainer *object, const char *key, int64 absent)
{
	JsonbValue *value = json_get(object, key);

	if (!value || value->type != jbvNumeric)
		return absent;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

/* The container under a key of a json object, or NULL. */
static JsonbContainer *
json_get_container(JsonbContainer *object, const char *key)
{
	JsonbValue *value = json_get(object, key);

	return value && value->type == jbvBinary ? value->val.binary.data : NULL;
}

/* Is name an element of the json array? */
static bool
json_array_has(JsonbContainer *array, const char *name)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = (char *) name;
	value.val.string.len = strlen(name);
	return array && findJsonbValueFromContainer(array, JB_FARRAY, &value) != NULL;
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
	get_typlenbyval(column->type, &column->typlen, &column->typbyval);
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

/*
 * Reads the conditions of a lookup: "table column = working column" for each
 * key, and "time column <= as_of" where the table has an event time.
 */
static void
load_conditions(Spec *spec, SpecItem *item, Level *level)
{
	List	   *conditions = make_ands_implicit((Expr *) level->query->jointree->quals);
	ListCell   *lc;

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
		if (!left || left->varno != level->table_rti || left->varattno <= 0)
			malformed_view(spec);
		if (right && right->varno == level->below_rti && right->varattno != spec->nargs + 1)
		{
			item->keys[item->nkeys].attno = left->varattno;
			item->keys[item->nkeys++].column = right->varattno - 1;
		}
		else
		{
			item->time_attno = left->varattno;
			item->time_type = left->vartype;
		}
	}
	if (item->nkeys == 0)
		malformed_view(spec);
}

/* The entry that permits a lookup to read its columns, for the check of each call. */
static void
add_permission(Spec *spec, SpecItem *item, RangeTblEntry *table)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	Bitmapset  *columns = NULL;
	int			shift = FirstLowInvalidHeapAttributeNumber;

	for (int i = 0; i < item->ncolumns; i++)
		columns = bms_add_member(columns, item->attnos[i] - shift);
	for (int i = 0; i < item->nkeys; i++)
		columns = bms_add_member(columns, item->keys[i].attno - shift);
	if (item->time_attno)
		columns = bms_add_member(columns, item->time_attno - shift);

	rte->rtekind = RTE_RELATION;
	rte->relid = item->relid;
	rte->relkind = table->relkind;
	rte->rellockmode = AccessShareLock;
	rte->inh = true;
	spec->rtes = lappend(spec->rtes, rte);
	spec->perminfos = SetSelectPermissionCompat(spec->perminfos, rte, columns);
}

/* Bounds on age come from the lookup and from the table's time to live. */
static void
load_bounds(SpecItem *item, JsonbContainer *step)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];

	item->max_age = json_get_int(step, "max_age", -1);
	item->max_lag = json_get_int(step, "max_lag", -1);
	if (catalog_fetch("online_table", item->relid, NULL, values, nulls) &&
		!nulls[Anum_online_table_ttl - 1])
	{
		int64		ttl = interval_microseconds(DatumGetIntervalP(values[Anum_online_table_ttl - 1]));

		if (item->max_age < 0 || ttl < item->max_age)
			item->max_age = ttl;
	}
	item->is_published = catalog_fetch("publication", item->relid, NULL, values, nulls);
	item->known_ready = !item->is_published;
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

		if (!IsA(var, Var) || var->varno != level->table_rti || var->varattno <= 0)
			malformed_view(spec);
		item->attnos[i] = var->varattno;
	}
	load_conditions(spec, item, level);
	add_permission(spec, item, level->table);
	load_bounds(item, step);
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

/* Reads a level that computes one column. */
static void
load_computed(Spec *spec, SpecItem *item, Level *level)
{
	TargetEntry *target = llast(level->query->targetList);
	Node	   *expr = copyObject((Node *) target->expr);

	if (item->ncolumns != 1)
		malformed_view(spec);
	if (level->query->hasSubLinks || level->query->hasAggs || level->query->hasWindowFuncs ||
		level->query->hasTargetSRFs)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s: aggregates, subqueries and functions that return a set cannot be used",
						item->name),
				 errhint("An item computes one value from one row.")));
	if (level->below_rti != 1)
		ChangeVarNodes(expr, level->below_rti, 1, 0);
	item->expr = expression_planner((Expr *) expr);
	if (contain_mutable_functions((Node *) item->expr))
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
		JsonbValue *text = defaults ? json_get(defaults, column->name) : NULL;

		if (text && text->type == jbvString)
		{
			Oid			input;
			Oid			ioparam;

			getTypeInputInfo(column->type, &input, &ioparam);
			column->default_value =
				OidInputFunctionCall(input, pnstrdup(text->val.string.val, text->val.string.len),
									 ioparam, column->typmod);
			column->has_default = true;
		}
		if (lengths)
			column->length = json_get_int(lengths, column->name, 0);
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
		load_column(&spec->columns[i], lfirst(lc), -1);
		spec->columns[i].is_output = json_array_has(fields, spec->columns[i].name);
		i++;
	}
	if (spec->nargs < 1 || spec->columns[spec->nargs].type != TIMESTAMPTZOID)
		malformed_view(spec);
	spec->ncolumns = i;
}

/* Reads the items, one a level. */
static void
load_items(Spec *spec, List *levels, JsonbContainer *steps)
{
	ListCell   *lc;

	if (!steps || JsonContainerSize(steps) != list_length(levels))
		malformed_view(spec);
	spec->items = palloc0(sizeof(SpecItem) * Max(list_length(levels), 1));
	foreach(lc, levels)
	{
		Level	   *level = lfirst(lc);
		SpecItem   *item = &spec->items[spec->nitems];
		JsonbContainer *step = getIthJsonbValueFromContainer(steps, spec->nitems)->val.binary.data;
		JsonbValue *name = json_get(step, "name");

		if (list_length(level->query->targetList) < spec->ncolumns || !name)
			malformed_view(spec);
		item->name = pnstrdup(name->val.string.val, name->val.string.len);
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
load_results(Spec *spec, Level *result, Relation view)
{
	ListCell   *lc;
	int			previous = -1;

	spec->results = palloc0(sizeof(ResultColumn) * list_length(result->query->targetList));
	foreach(lc, result->query->targetList)
	{
		Expr	   *expr = ((TargetEntry *) lfirst(lc))->expr;
		ResultColumn *column = &spec->results[spec->nresults++];

		if (IsA(expr, Var))
			previous = ((Var *) expr)->varattno - 1;
		else if (previous < 0)
			malformed_view(spec);
		column->column = previous;
		column->is_status = !IsA(expr, Var);
	}
	spec->result_desc = CreateTupleDescCopy(RelationGetDescr(view));
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

/* Reads the view's query into the spec. */
static void
load_view(Spec *spec, Relation view, Jsonb *steps)
{
	Level		result = read_level(spec, get_view_query(view));
	Level		request;
	List	   *levels = list_levels(spec, &result, &request);

	spec->columns = palloc0(sizeof(SpecColumn) *
							Max(list_length(result.below->targetList),
								list_length(request.query->targetList)));
	load_request(spec, &request, json_get_container(&steps->root, "fields"));
	load_items(spec, levels, json_get_container(&steps->root, "items"));
	load_results(spec, &result, view);
	make_working_slot(spec);
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
	MemoryContext cxt;
	MemoryContext old;
	Relation	view;
	Spec	   *spec;

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_VIEW)
		return NULL;
	view = relation_open(relid, AccessShareLock);
	if (!catalog_fetch("spec", relid, NULL, values, nulls))
	{
		relation_close(view, AccessShareLock);
		return NULL;
	}

	cxt = AllocSetContextCreate(CurrentMemoryContext, "featurestore spec",
								ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(cxt);
	spec = palloc0(sizeof(Spec));
	spec->cxt = cxt;
	spec->type = type;
	spec->relid = relid;
	spec->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(view)),
											RelationGetRelationName(view));
	MemoryContextCopyAndSetIdentifier(cxt, spec->name);
	spec->version = DatumGetInt32(values[Anum_spec_version - 1]);
	load_view(spec, view, DatumGetJsonbP(values[Anum_spec_steps - 1]));
	MemoryContextSwitchTo(old);
	relation_close(view, NoLock);
	return spec;
}
