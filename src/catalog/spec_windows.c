/*
 * spec_windows.c
 *	  Window outputs of a spec: which state, function and window each is of.
 *
 * In the spec's view such an output is a call
 *
 *		window_value(t.STATE, 'FUNCTION', 'WINDOW', v.as_of, NULL::TYPE)
 *
 * or, where the state has no windows, agg_value(t.STATE, 'FUNCTION', NULL::TYPE),
 * which is taken apart here.  Outputs of one column of states share a plan, so
 * that a state is read once however many they are.  NULL in the place of the
 * state is that of a feature which has none.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/spec.h"
#include "window/state.h"
#include "compat.h"

/* What the outputs of an item are of. */
typedef struct WindowOutputs
{
	bool	   *is_window;		/* of each working column */
	AttrNumber *attnos;			/* column of its state, or 0: there is none */
	WindowOutput *outputs;
} WindowOutputs;

/* The arguments if this is a call of window_value or agg_value, else NIL. */
static List *
value_arguments(Expr *expr)
{
	FuncExpr   *call = (FuncExpr *) expr;
	char	   *name;

	if (!IsA(call, FuncExpr) ||
		get_func_namespace(call->funcid) != get_namespace_oid("featurestore", false))
		return NIL;
	name = get_func_name(call->funcid);
	if (name && ((strcmp(name, "window_value") == 0 && list_length(call->args) == 5) ||
				 (strcmp(name, "agg_value") == 0 && list_length(call->args) == 3)))
		return call->args;
	return NIL;
}

/* The column of a level's input that a node stands for, or 0. */
static AttrNumber
column_of(Node *node, Index input)
{
	Var		   *var = (Var *) node;

	return IsA(var, Var) && var->varno == input && var->varlevelsup == 0 &&
		var->varattno > 0 ? var->varattno : 0;
}

/* Is a node a constant, NULL or not? */
static bool
is_constant(Node *node, bool is_null)
{
	return IsA(node, Const) && ((Const *) node)->constisnull == is_null;
}

/* Takes the expression of one output apart; false if it is no window output. */
static bool
read_output(Spec *spec, Expr *expr, Index table, Index below, AttrNumber *attno,
			WindowOutput *output)
{
	List	   *arguments = value_arguments(expr);

	if (arguments == NIL)
		return false;
	*attno = column_of(linitial(arguments), table);
	if ((*attno == 0 && !is_constant(linitial(arguments), true)) ||
		!is_constant(lsecond(arguments), false) || !is_constant(llast(arguments), true))
		return false;
	parse_function(TextDatumGetCString(((Const *) lsecond(arguments))->constvalue), &output->call);
	if (list_length(arguments) == 5)
	{
		if (!is_constant(lthird(arguments), false) ||
			column_of(lfourth(arguments), below) != spec->nargs + 1)
			return false;
		output->window = *DatumGetTimeWindowP(((Const *) lthird(arguments))->constvalue);
	}
	output->call.result_type = exprType(llast(arguments));
	return true;
}

/* What the outputs are for an entity never seen: counts have a value, the others none. */
static void
note_empty_values(Spec *spec, SpecItem *item, SpecWindows *windows)
{
	window_evaluate(windows->plan, NULL, 0, windows->values, windows->nulls, windows->flags);
	for (int k = 0; k < windows->plan->noutputs; k++)
	{
		SpecColumn *column = &spec->columns[item->first_column + windows->positions[k]];

		column->is_window = true;
		column->has_empty_value = !windows->nulls[k];
		column->empty_value = windows->values[k];
	}
}

/* Plans the outputs that come from the same states as that at first. */
static void
plan_outputs(Spec *spec, SpecItem *item, WindowOutputs *all, int first)
{
	SpecWindows *windows = &item->windows[item->nwindows++];
	WindowOutput *outputs;
	int			n = 0;

	for (int i = first; i < item->ncolumns; i++)
		n += all->is_window[i] && all->attnos[i] == all->attnos[first];
	windows->attno = all->attnos[first];
	windows->positions = palloc(sizeof(int) * n);
	windows->values = palloc0(sizeof(Datum) * n);
	windows->nulls = palloc0(sizeof(bool) * n);
	windows->flags = palloc0(sizeof(uint8) * n);
	outputs = palloc(sizeof(WindowOutput) * n);
	n = 0;
	for (int i = first; i < item->ncolumns; i++)
	{
		if (!all->is_window[i] || all->attnos[i] != windows->attno)
			continue;
		windows->positions[n] = i;
		outputs[n++] = all->outputs[i];
	}
	windows->plan = window_plan(outputs, n);
	note_empty_values(spec, item, windows);
}

/* Has a column before this one its value from the same states? */
static bool
is_planned(WindowOutputs *all, int column)
{
	for (int i = 0; i < column; i++)
	{
		if (all->is_window[i] && all->attnos[i] == all->attnos[column])
			return true;
	}
	return false;
}

/*
 * Reads the targets of an item that are not columns of its table.  False if
 * one is no window output either.
 */
bool
load_windows(Spec *spec, SpecItem *item, List *targets, Index table, Index below)
{
	WindowOutputs all;

	all.is_window = palloc0(sizeof(bool) * Max(item->ncolumns, 1));
	all.attnos = palloc0(sizeof(AttrNumber) * Max(item->ncolumns, 1));
	all.outputs = palloc0(sizeof(WindowOutput) * Max(item->ncolumns, 1));
	for (int i = 0; i < item->ncolumns; i++)
	{
		TargetEntry *target = list_nth(targets, item->first_column + i);

		all.is_window[i] = !item->attnos[i];
		if (all.is_window[i] && !read_output(spec, target->expr, table, below, &all.attnos[i],
											 &all.outputs[i]))
			return false;
		item->is_computed |= all.is_window[i] && !all.attnos[i];
	}
	item->windows = palloc0(sizeof(SpecWindows) * Max(item->ncolumns, 1));
	for (int i = 0; i < item->ncolumns; i++)
	{
		if (all.is_window[i] && !is_planned(&all, i))
			plan_outputs(spec, item, &all, i);
	}
	pfree(all.is_window);
	pfree(all.attnos);
	pfree(all.outputs);
	return true;
}
