/*
 * support.c
 *	  Estimates for the planner: how many rows a lookup gives, and at what cost.
 *
 * A lookup gives a row for each element of its longest array.  A probe finds
 * its pages in memory, where it costs about what a few tuples do; this also
 * keeps a plan for the arrays at hand from looking better than the generic one,
 * so that prepared lookups are not planned again at each call.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "lookup/lookup.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(lookup_support);

/* Rows that a call gives: the elements of its longest array. */
static double
estimate_rows(PlannerInfo *root, Node *node)
{
	double		rows = 1;
	ListCell   *lc;

	if (!node || !IsA(node, FuncExpr))
		return 100;
	foreach(lc, ((FuncExpr *) node)->args)
	{
		Node	   *arg = lfirst(lc);

		if (OidIsValid(get_element_type(exprType(arg))))
			rows = Max(rows, estimate_array_lengthCompat(root, arg));
	}
	return rows;
}

/* _lookup_support(internal) RETURNS internal */
Datum
lookup_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestRows))
	{
		SupportRequestRows *rows = (SupportRequestRows *) request;

		rows->rows = estimate_rows(rows->root, rows->node);
		PG_RETURN_POINTER(rows);
	}
	if (IsA(request, SupportRequestCost))
	{
		SupportRequestCost *cost = (SupportRequestCost *) request;

		cost->startup = LOOKUP_CALL_COST;
		cost->per_tuple = LOOKUP_PROBE_COST * estimate_rows(cost->root, cost->node);
		PG_RETURN_POINTER(cost);
	}
	PG_RETURN_POINTER(NULL);
}
