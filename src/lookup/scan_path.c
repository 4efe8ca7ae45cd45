/*
 * scan_path.c
 *	  Lookups in FROM as scans, for the planner.
 *
 * A lookup function that stands alone in FROM is planned as a custom scan: rows
 * go straight to the node above, only the columns that the query refers to are
 * fetched, and new parameters restart the scan without opening anything again.
 * The function scan gives the same rows, and stays for whatever else there is:
 * ORDINALITY, ROWS FROM, arguments that are volatile.
 *
 * The functions of a spec are inlined, so that the planner sees the functions
 * they call.  To estimate the rows of these it calls their support function,
 * which loads the library if nothing else has: our hook comes after that.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"

#include "lookup/scan.h"
#include "compat.h"

bool		enable_lookup_scan = true;

static set_rel_pathlist_hook_type previous_set_rel_pathlist_hook = NULL;

/* Which lookup function is this? */
LookupScanKind
scan_kind(Oid function)
{
	FmgrInfo	info;

	fmgr_info(function, &info);
	if (info.fn_addr == lookup_rows)
		return SCAN_ROWS_AT;
	if (info.fn_addr == feature_lookup)
		return SCAN_ROWS;
	if (info.fn_addr == lookup_vectors)
		return SCAN_VECTORS_AT;
	return SCAN_NONE;
}

/* The columns of the function that a query refers to: a Var for each. */
static List *
referenced_columns(RelOptInfo *rel, List *clauses)
{
	List	   *vars = list_concat(pull_var_clause((Node *) rel->reltarget->exprs, PVC_RECURSE_PLACEHOLDERS),
								   pull_var_clause((Node *) clauses, PVC_RECURSE_PLACEHOLDERS));
	Bitmapset  *seen = NULL;
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, vars)
	{
		Var		   *var = lfirst(lc);

		if (var->varno != rel->relid || bms_is_member(var->varattno, seen))
			continue;
		seen = bms_add_member(seen, var->varattno);
		columns = lappend(columns, copyObject(var));
	}
	return columns;
}

/* Does a query want the rows of a function as records, whose type is made up as it runs? */
static bool
wants_records(RelOptInfo *rel)
{
	ListCell   *lc;

	foreach(lc, referenced_columns(rel, NIL))
	{
		Var		   *var = lfirst(lc);

		if (var->varattno == InvalidAttrNumber && var->vartype == RECORDOID)
			return true;
	}
	return false;
}

/* The call of a lookup that a scan can stand for, or NULL. */
FuncExpr *
scannable_call(RelOptInfo *rel, RangeTblEntry *rte)
{
	RangeTblFunction *function;
	FuncExpr   *call;

	if (!enable_lookup_scan || rte->rtekind != RTE_FUNCTION || rte->funcordinality ||
		list_length(rte->functions) != 1)
		return NULL;
	function = linitial(rte->functions);
	call = (FuncExpr *) function->funcexpr;
	if (!IsA(call, FuncExpr) || call->funcvariadic || function->funccolnames != NIL ||
		!OidIsValid(get_func_support(call->funcid)) || scan_kind(call->funcid) == SCAN_NONE)
		return NULL;
	if (!IsA(linitial(call->args), Const) || contain_volatile_functions((Node *) call->args) ||
		!is_spec_type(exprType(linitial(call->args))) || wants_records(rel))
		return NULL;
	return call;
}

/* What a call takes of the spec's items for those of these columns that are of its rows. */
ItemNeeds *
needs_of_columns(Spec *spec, FuncExpr *call, Index rti, List *columns)
{
	Bitmapset  *results = NULL;
	ListCell   *lc;

	if (scan_kind(call->funcid) == SCAN_VECTORS_AT)
		return needs_of_all(spec);
	foreach(lc, columns)
	{
		Var		   *var = lfirst(lc);

		if (var->varno != rti)
			continue;
		if (var->varattno == InvalidAttrNumber)
			return needs_of_all(spec);
		results = bms_add_member(results, var->varattno - 1);
	}
	return needs_of_results(spec, results);
}

/* How many probes it takes to give so many rows, given which columns of the request vary among them. */
double
estimate_probes(Spec *spec, ItemNeeds *needs, bool *varies, double rows)
{
	bool	   *is_constant = palloc_array(bool, Max(spec->nitems, 1));
	double		probes = 0;

	for (int i = 0; i < spec->nitems; i++)
	{
		SpecItem   *item = &spec->items[i];

		is_constant[i] = OidIsValid(item->relid);
		for (int k = 0; k < item->nkeys; k++)
		{
			int			column = item->keys[k].column;
			int			giver = spec->columns[column].item;

			is_constant[i] &= giver >= 0 ? is_constant[giver] : !varies[column];
		}
		if (needs[i].is_needed && OidIsValid(item->relid))
			probes += is_constant[i] ? 1 : rows;
	}
	return probes;
}

/* Which columns of the request differ among the rows of one call: those given as arrays. */
static bool *
columns_of_arrays(Spec *spec, FuncExpr *call, int first)
{
	bool	   *varies = palloc0_array(bool, spec->nargs + 1);

	for (int i = 0; i < spec->nargs; i++)
		varies[i] = OidIsValid(get_element_type(exprType(list_nth(call->args, first + i))));
	return varies;
}

/*
 * What a scan costs.  Opening the tables is left out of it when the scan is to
 * be restarted for row after row: it is done once.
 */
static void
cost_scan(PlannerInfo *root, RelOptInfo *rel, Path *path, FuncExpr *call, double probes)
{
	QualCost	cost;
	Cost		per_row = cpu_tuple_cost + path->pathtarget->cost.per_tuple;

	path->rows = path->param_info ? path->param_info->ppi_rows : rel->rows;
	cost_qual_eval_node(&cost, (Node *) call->args, root);
	path->startup_cost = cost.startup + cost.per_tuple + path->pathtarget->cost.startup;
	if (!path->param_info)
		path->startup_cost += LOOKUP_CALL_COST;

	cost_qual_eval(&cost, rel->baserestrictinfo, root);
	per_row += cost.per_tuple;
	path->startup_cost += cost.startup;
	if (path->param_info)
	{
		cost_qual_eval(&cost, path->param_info->ppi_clauses, root);
		per_row += cost.per_tuple;
		path->startup_cost += cost.startup;
	}
	path->total_cost = path->startup_cost + LOOKUP_PROBE_COST * probes + per_row * rel->tuples;
}

/* Takes what only functions can be scanned with out of the paths of a relation. */
static void
remove_function_scans(RelOptInfo *rel)
{
	ListCell   *lc;

	foreach(lc, rel->pathlist)
	{
		if (((Path *) lfirst(lc))->pathtype == T_FunctionScan)
			rel->pathlist = foreach_delete_current(rel->pathlist, lc);
	}
}

/*
 * Keeps the planner from remembering what it looked up before (Memoize) where it
 * cannot tell whether that pays: it takes it for granted that several columns
 * have few combinations, a tenth as many as there are rows, while requests
 * mostly are all different.  A key that cannot be hashed is one too many for it.
 */
static void
forbid_memoize(RelOptInfo *rel)
{
	if (list_length(rel->lateral_vars) > 1)
		rel->lateral_vars = lappend(rel->lateral_vars,
									makeNullConst(POINTOID, -1, InvalidOid));
}

/* The plan has to be made again when what it was made from changes. */
void
note_dependencies(PlannerInfo *root, Spec *spec, FuncExpr *call)
{
	record_plan_type_dependency(root, spec->type);
	record_plan_function_dependency(root, call->funcid);
	root->glob->relationOids = lappend_oid(root->glob->relationOids, spec->relid);
	for (int i = 0; i < spec->nitems; i++)
	{
		if (OidIsValid(spec->items[i].relid))
			root->glob->relationOids = lappend_oid(root->glob->relationOids, spec->items[i].relid);
	}
}

/*
 * The private part of a plan, as scan_open reads it: the call, and for each
 * column of the slot which one of the outer plan's it is; 0: the lookup's.
 */
List *
describe_scan(FuncExpr *call, List *outer_columns)
{
	return list_make2(list_make3_oid(exprType(linitial(call->args)), call->funcid,
									 scan_kind(call->funcid)),
					  outer_columns);
}

static const CustomScanMethods scan_methods = {
	.CustomName = "FeatureLookup",
	.CreateCustomScanState = create_lookup_scan_state,
};

/* Makes the plan of a path: its private part is the call. */
static Plan *
plan_lookup_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
				 List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	FuncExpr   *call = linitial(path->custom_private);
	List	   *outer_columns = NIL;
	ListCell   *lc;

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->flags = path->flags;
	scan->custom_exprs = list_copy_tail(copyObject(call->args), 1);
	foreach(lc, referenced_columns(rel, scan->scan.plan.qual))
	{
		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist,
										  makeTargetEntry(lfirst(lc), foreach_current_index(lc) + 1,
														  NULL, false));
		outer_columns = lappend_int(outer_columns, 0);
	}
	scan->custom_private = describe_scan(call, outer_columns);
	scan->methods = &scan_methods;
	note_dependencies(root, spec_for_type(exprType(linitial(call->args))), call);
	return &scan->scan.plan;
}

static const CustomPathMethods path_methods = {
	.CustomName = "FeatureLookup",
	.PlanCustomPath = plan_lookup_scan,
};

/* set_rel_pathlist_hook: makes a scan the only path of a lookup. */
static void
add_lookup_path(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	FuncExpr   *call;
	Spec	   *spec;
	CustomPath *path;
	ItemNeeds  *needs;
	int			first;

	if (previous_set_rel_pathlist_hook)
		previous_set_rel_pathlist_hook(root, rel, rti, rte);
	call = scannable_call(rel, rte);
	if (!call)
		return;
	spec = spec_for_type(exprType(linitial(call->args)));
	first = FIRST_COLUMN_ARGUMENT(scan_kind(call->funcid));
	/* a call with too few or too many arguments has an error of its own */
	if (list_length(call->args) - first != spec->nargs)
		return;

	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = get_baserel_parampathinfo(root, rel, rel->lateral_relids);
	path->path.parallel_safe = rel->consider_parallel;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_private = list_make1(call);
	path->methods = &path_methods;
	needs = needs_of_columns(spec, call, rti,
							 referenced_columns(rel, extract_actual_clauses(rel->baserestrictinfo, false)));
	cost_scan(root, rel, &path->path, call,
			  estimate_probes(spec, needs, columns_of_arrays(spec, call, first), rel->tuples));
	forbid_memoize(rel);
	remove_function_scans(rel);
	add_path(rel, &path->path);
}

/* Registers the scan, once a backend. */
void
lookup_scan_init(void)
{
	RegisterCustomScanMethods(&scan_methods);
	previous_set_rel_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_lookup_path;
	lookup_join_init();
}
