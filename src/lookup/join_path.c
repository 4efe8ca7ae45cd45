/*
 * join_path.c
 *	  Joins of requests with a lookup, for the planner.
 *
 * A lookup whose arguments come from the rows of other relations (LATERAL) can
 * be a scan that is restarted for each of them.  If there are many it is better
 * to read a batch of them and to look them all up at once, with their keys in
 * order: the join is a scan of its own, with the plan of the other relations
 * below it.  It gives their rows in their order, one for each, so that it is
 * the same whether the join is an inner or a left one.
 *
 * What has to be evaluated row by row stays with the nested loop: arguments
 * that are arrays or of other types than the request's columns, or have
 * subqueries, a T that differs from row to row, rows that are locked.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"

#include "lookup/scan.h"
#include "compat.h"

bool		enable_lookup_join = true;

static set_join_pathlist_hook_type previous_set_join_pathlist_hook = NULL;

/* A join as it is being planned. */
typedef struct JoinPlan
{
	PlannerInfo *root;
	RelOptInfo *joinrel;
	RelOptInfo *outerrel;
	FuncExpr   *call;
	Index		rti;			/* of the lookup */
	List	   *clauses;		/* what rows have to meet */
	List	   *columns;		/* that are referred to, each once */
	Spec	   *spec;
	ItemNeeds  *needs;
	bool	   *varies;			/* by column of the request */
} JoinPlan;

/* Does T of a call come from the rows of other relations? */
static bool
time_varies(FuncExpr *call)
{
	return scan_kind(call->funcid) != SCAN_ROWS && contain_var_clause(lsecond(call->args));
}

/* Are all columns of the request given, as single values of their types? */
static bool
columns_are_given(Spec *spec, FuncExpr *call)
{
	int			first = FIRST_COLUMN_ARGUMENT(scan_kind(call->funcid));

	if (list_length(call->args) - first != spec->nargs)
		return false;
	for (int i = 0; i < spec->nargs; i++)
	{
		if (exprType(list_nth(call->args, first + i)) != spec->columns[i].type)
			return false;
	}
	return true;
}

/* Marks the columns of the request that come from other relations. */
static bool *
columns_that_vary(Spec *spec, FuncExpr *call)
{
	int			first = FIRST_COLUMN_ARGUMENT(scan_kind(call->funcid));
	bool	   *varies = palloc0_array(bool, spec->nargs + 1);

	for (int i = 0; i < spec->nargs; i++)
		varies[i] = contain_var_clause(list_nth(call->args, first + i));
	return varies;
}

/* The level of security at which a clause has to be evaluated, and its cost. */
static Index
clause_level(PlannerInfo *root, RestrictInfo *clause, Cost *cost)
{
	QualCost	qual_cost;

	cost_qual_eval_node(&qual_cost, (Node *) clause, root);
	*cost = qual_cost.per_tuple;
	return clause->leakproof && *cost < 10 * cpu_operator_cost ? 0 : clause->security_level;
}

/* Is a clause to be evaluated before another? */
static bool
comes_before(PlannerInfo *root, RestrictInfo *a, RestrictInfo *b)
{
	Cost		a_cost;
	Cost		b_cost;
	Index		a_level = clause_level(root, a, &a_cost);
	Index		b_level = clause_level(root, b, &b_cost);

	return a_level != b_level ? a_level < b_level : a_cost < b_cost;
}

/*
 * Puts clauses in the order in which the planner has them evaluated elsewhere:
 * those that must come before others for security, unless they tell nothing and
 * cost little, then those that cost less.
 */
static List *
order_clauses(PlannerInfo *root, List *clauses)
{
	List	   *ordered = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		RestrictInfo *clause = lfirst_node(RestrictInfo, lc);
		int			at = list_length(ordered);

		while (at > 0 && comes_before(root, clause, list_nth(ordered, at - 1)))
			at--;
		ordered = list_insert_nth(ordered, at, clause);
	}
	return ordered;
}

/*
 * The clauses that rows of the join have to meet; false if there is one that
 * decides more than that: which rows a left join finds, or whether to run at all.
 */
static bool
collect_clauses(JoinPlan *plan, RelOptInfo *innerrel, JoinType jointype, List *restrictlist)
{
	List	   *all = list_concat_copy(restrictlist, innerrel->baserestrictinfo);
	ListCell   *lc;

	foreach(lc, all)
	{
		RestrictInfo *clause = lfirst_node(RestrictInfo, lc);

		if (clause->pseudoconstant)
			return false;
		if (jointype == JOIN_LEFT &&
			(!RINFO_IS_PUSHED_DOWN(clause, plan->joinrel->relids) ||
			 list_member_ptr(innerrel->baserestrictinfo, clause)))
			return false;
	}
	plan->clauses = extract_actual_clauses(order_clauses(plan->root, all), false);
	return true;
}

/*
 * Columns that the slot of the join must have; false if some are expressions
 * that are evaluated below an outer join.
 */
static bool
collect_columns(JoinPlan *plan)
{
	List	   *exprs = list_make3(plan->joinrel->reltarget->exprs, plan->clauses, plan->call->args);
	ListCell   *lc;

	foreach(lc, pull_var_clause((Node *) exprs, PVC_INCLUDE_PLACEHOLDERS))
	{
		if (!IsA(lfirst(lc), Var))
			return false;
		plan->columns = list_append_unique(plan->columns, lfirst(lc));
	}
	return true;
}

/* Can these relations be joined with a lookup in batches?  Fills in the plan. */
static bool
is_batched(JoinPlan *plan, RelOptInfo *innerrel, JoinType jointype, List *restrictlist)
{
	PlannerInfo *root = plan->root;

	if (!enable_lookup_join || innerrel->reloptkind != RELOPT_BASEREL ||
		bms_is_empty(innerrel->lateral_relids) ||
		!bms_is_subset(innerrel->lateral_relids, plan->outerrel->relids) ||
		!bms_is_empty(plan->joinrel->lateral_relids) || root->rowMarks != NIL ||
		(jointype != JOIN_INNER && jointype != JOIN_LEFT))
		return false;
	plan->rti = innerrel->relid;
	plan->call = scannable_call(innerrel, root->simple_rte_array[plan->rti]);
	if (!plan->call || contain_subplans((Node *) plan->call->args) || time_varies(plan->call))
		return false;
	plan->spec = spec_for_type(exprType(linitial(plan->call->args)));
	return columns_are_given(plan->spec, plan->call) &&
		collect_clauses(plan, innerrel, jointype, restrictlist) && collect_columns(plan);
}

/* What a join costs: a batch is read before its first row is given, but the first ones are small. */
static void
cost_join(JoinPlan *plan, Path *path, Path *outer)
{
	QualCost	args;
	QualCost	clauses;
	double		probes = estimate_probes(plan->spec, plan->needs, plan->varies, outer->rows);

	cost_qual_eval_node(&args, (Node *) plan->call->args, plan->root);
	cost_qual_eval(&clauses, plan->clauses, plan->root);
	path->startup_cost = outer->startup_cost + args.startup + clauses.startup +
		path->pathtarget->cost.startup + LOOKUP_CALL_COST;
	path->total_cost = path->startup_cost + (outer->total_cost - outer->startup_cost) +
		LOOKUP_BATCHED_PROBE_COST * probes +
		(args.per_tuple + clauses.per_tuple + cpu_tuple_cost) * outer->rows +
		path->pathtarget->cost.per_tuple * path->rows;
}

static const CustomScanMethods join_methods = {
	.CustomName = "FeatureLookupJoin",
	.CreateCustomScanState = create_lookup_join_state,
};

/*
 * Which column of the plan below is this?  It may be marked there as one of more
 * outer joins than an argument knows of, that was written below them.
 */
static AttrNumber
column_below(Var *var, List *tlist)
{
	ListCell   *lc;

	foreach(lc, tlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		Var		   *below = (Var *) entry->expr;

		if (IsA(below, Var) && below->varno == var->varno && below->varattno == var->varattno)
			return entry->resno;
	}
	elog(ERROR, "column %d of relation %d is not in the plan below", var->varattno, var->varno);
}

/* Makes the plan of a path, whose private part is the call, its clauses, and the lookup's relation. */
static Plan *
plan_lookup_join(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
				 List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	JoinPlan	plan = {.root = root,.joinrel = rel,.call = linitial(path->custom_private)};
	List	   *outer_tlist = ((Plan *) linitial(custom_plans))->targetlist;
	List	   *outer_columns = NIL;
	ListCell   *lc;

	plan.clauses = lsecond(path->custom_private);
	plan.rti = intVal(lthird(path->custom_private));
	collect_columns(&plan);
	foreach(lc, plan.columns)
	{
		Var		   *var = lfirst_node(Var, lc);

		outer_columns = lappend_int(outer_columns, var->varno == plan.rti ? 0 :
									column_below(var, outer_tlist));
		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist,
										  makeTargetEntry((Expr *) var, foreach_current_index(lc) + 1,
														  NULL, false));
	}
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = plan.clauses;
	scan->flags = path->flags;
	scan->custom_plans = custom_plans;
	scan->custom_exprs = list_copy_tail(copyObject(plan.call->args), 1);
	scan->custom_private = describe_scan(plan.call, outer_columns);
	scan->methods = &join_methods;
	note_dependencies(root, spec_for_type(exprType(linitial(plan.call->args))), plan.call);
	return &scan->scan.plan;
}

static const CustomPathMethods path_methods = {
	.CustomName = "FeatureLookupJoin",
	.PlanCustomPath = plan_lookup_join,
};

/* Makes the path of a join over one of the other relations. */
static Path *
make_path(JoinPlan *plan, Path *outer)
{
	CustomPath *path = makeNode(CustomPath);

	path->path.pathtype = T_CustomScan;
	path->path.parent = plan->joinrel;
	path->path.pathtarget = plan->joinrel->reltarget;
	path->path.rows = clamp_row_est(plan->joinrel->rows * outer->rows / plan->outerrel->rows);
	path->path.parallel_safe = plan->joinrel->consider_parallel && outer->parallel_safe;
	path->path.parallel_workers = outer->parallel_workers;
	path->path.pathkeys = outer->pathkeys;
	SetDisabledNodesCompat(&path->path, outer);
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_paths = list_make1(outer);
	path->custom_private = list_make3(plan->call, plan->clauses, makeInteger(plan->rti));
	path->methods = &path_methods;
	cost_join(plan, &path->path, outer);
	return &path->path;
}

/* set_join_pathlist_hook: adds joins in batches to the paths of a join with a lookup. */
static void
add_join_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
			   RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra)
{
	JoinPlan	plan = {.root = root,.joinrel = joinrel,.outerrel = outerrel};
	ListCell   *lc;

	if (previous_set_join_pathlist_hook)
		previous_set_join_pathlist_hook(root, joinrel, outerrel, innerrel, jointype, extra);
	if (!is_batched(&plan, innerrel, jointype, extra->restrictlist))
		return;
	plan.needs = needs_of_columns(plan.spec, plan.call, plan.rti, plan.columns);
	plan.varies = columns_that_vary(plan.spec, plan.call);
	foreach(lc, outerrel->pathlist)
	{
		Path	   *outer = lfirst(lc);

		if (!outer->param_info)
			add_path(joinrel, make_path(&plan, outer));
	}
	if (joinrel->consider_parallel && outerrel->partial_pathlist != NIL)
		add_partial_path(joinrel, make_path(&plan, linitial(outerrel->partial_pathlist)));
}

/* Registers the join, once a backend. */
void
lookup_join_init(void)
{
	RegisterCustomScanMethods(&join_methods);
	previous_set_join_pathlist_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = add_join_paths;
}
