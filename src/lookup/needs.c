/*
 * needs.c
 *	  What a run takes of each item: all of it, or what some results come from.
 *
 * An item can use every column before its own, so one pass from the last item
 * to the first tells what is needed: a lookup of which anything is needed needs
 * its keys, an expression what it reads.  An item of which nothing is needed
 * does not run: its table is not opened, its expression not evaluated.
 */
#include "postgres.h"

#include "optimizer/optimizer.h"

#include "lookup/lookup.h"
#include "window/state.h"

/* Marks what an item of which something is needed reads of the columns before it. */
static void
mark_inputs(SpecItem *item, bool *columns)
{
	List	   *vars = item->expr ? pull_var_clause((Node *) item->expr, 0) : NIL;
	ListCell   *lc;

	for (int k = 0; k < item->nkeys; k++)
		columns[item->keys[k].column] = true;
	foreach(lc, vars)
		columns[((Var *) lfirst(lc))->varattno - 1] = true;
}

/* Is an output of these states among the needed columns of the item? */
static bool
windows_are_needed(SpecWindows *windows, bool *columns)
{
	for (int i = 0; i < windows->plan->noutputs; i++)
	{
		if (columns[windows->positions[i]])
			return true;
	}
	return false;
}

/* Fills in what is needed of a lookup's table, given which of the item's columns are. */
static void
note_columns(SpecItem *item, ItemNeeds *needs, bool *columns)
{
	needs->last_attno = item->time_attno;
	for (int k = 0; k < item->nkeys; k++)
		needs->last_attno = Max(needs->last_attno, item->keys[k].attno);

	needs->columns = palloc_array(int, Max(item->ncolumns, 1));
	for (int i = 0; i < item->ncolumns; i++)
	{
		if (!columns[i] || item->attnos[i] == 0)
			continue;
		needs->columns[needs->ncolumns++] = i;
		needs->last_attno = Max(needs->last_attno, item->attnos[i]);
	}

	needs->windows = palloc_array(bool, Max(item->nwindows, 1));
	for (int i = 0; i < item->nwindows; i++)
	{
		needs->windows[i] = windows_are_needed(&item->windows[i], columns);
		if (needs->windows[i])
			needs->last_attno = Max(needs->last_attno, item->windows[i].attno);
	}
}

/* Works out the needs from the columns that are marked; or all items are needed. */
static ItemNeeds *
work_out(Spec *spec, bool *columns, bool all)
{
	ItemNeeds  *needs = palloc0_array(ItemNeeds, Max(spec->nitems, 1));

	for (int i = spec->nitems - 1; i >= 0; i--)
	{
		SpecItem   *item = &spec->items[i];

		needs[i].is_needed = all;
		for (int k = 0; k < item->ncolumns; k++)
			needs[i].is_needed |= columns[item->first_column + k];
		if (!needs[i].is_needed)
			continue;
		mark_inputs(item, columns);
		if (OidIsValid(item->relid))
			note_columns(item, &needs[i], columns + item->first_column);
	}
	return needs;
}

/* What it takes to give every column, even those that the result leaves out. */
ItemNeeds *
needs_of_all(Spec *spec)
{
	MemoryContext old;
	bool	   *columns;

	if (spec->needs)
		return spec->needs;
	old = MemoryContextSwitchTo(spec->cxt);
	columns = palloc_array(bool, spec->ncolumns);
	memset(columns, true, spec->ncolumns);
	spec->needs = work_out(spec, columns, true);
	MemoryContextSwitchTo(old);
	return spec->needs;
}

/* What it takes to give these results, numbered from 0. */
ItemNeeds *
needs_of_results(Spec *spec, const Bitmapset *results)
{
	bool	   *columns;

	if (bms_num_members(results) >= spec->nresults)
		return needs_of_all(spec);
	columns = palloc0_array(bool, spec->ncolumns);
	for (int i = 0; i < spec->nresults; i++)
	{
		if (bms_is_member(i, results))
			columns[spec->results[i].column] = true;
	}
	return work_out(spec, columns, false);
}
