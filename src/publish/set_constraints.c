/*
 * set_constraints.c
 *	  SET CONSTRAINTS ... IMMEDIATE applies own changes at once.
 *
 * A transaction applies its own changes just before it commits, as deferred
 * constraints are checked.  Whoever wants to see the outcome before says so as
 * for these.  No constraint of the server's stands for it, so we look at the
 * statement: the library is loaded in whatever session has own changes.
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"

#include "publish/capture.h"

static ProcessUtility_hook_type previous_hook = NULL;

static void
set_constraints(PlannedStmt *statement, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *dest, QueryCompletion *completion)
{
	bool		is_immediate = IsA(statement->utilityStmt, ConstraintsSetStmt) &&
		!castNode(ConstraintsSetStmt, statement->utilityStmt)->deferred;

	if (previous_hook)
		previous_hook(statement, query, read_only_tree, context, params, environment, dest,
					  completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context, params, environment,
								dest, completion);
	if (is_immediate && apply_own_changes())
		CommandCounterIncrement();
}

/* Takes its place among those who look at utility statements. */
void
set_constraints_init(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = set_constraints;
}
