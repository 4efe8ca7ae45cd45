/*
 * reader.c
 *	  Whose functions run while a source is read, and with whose rights.
 *
 * What a looked-up table is published from is read through the publication's
 * filter, and events through the inputs and filters of features.  A lookup runs
 * none of these, so that their functions must not get the rights of the user
 * who trains: unless they are a superuser's or his own, the source is read with
 * the rights of their owner.  The user needs the privileges all the same.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "training/answer.h"
#include "compat.h"

/* What is not to run with the user's rights. */
typedef struct Foreign
{
	const AnswerSource *source;
	bool		reads_more;		/* tables other than the source */
	Oid			owner;			/* of a function; 0: there is none */
	Oid			function;		/* or 0 for the checks of a domain */
	Oid			domain;
} Foreign;

static Oid
function_owner(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

static Oid
type_owner(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_type) GETSTRUCT(tuple))->typowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/* May code of a role run with the user's rights? */
static bool
is_trusted(Oid owner)
{
	return owner == GetUserId() || superuser_arg(owner);
}

/* check_functions_in_node callback: notes a function that may not; true ends the walk. */
static bool
note_function(Oid function, void *context)
{
	Foreign    *foreign = context;
	Oid			owner = function_owner(function);

	if (is_trusted(owner))
		return false;
	foreign->owner = owner;
	foreign->function = function;
	return true;
}

/* Is anything that a statement names read with the user's rights?  Else it is a view's, with its owner's. */
static bool
reads_as_user(const AnswerSource *source)
{
	return !source->rows || !OidIsValid(source->rows_owner);
}

/* A relation of a statement; true ends the walk.  Policies run for whoever reads a table, and are left out. */
static bool
note_relation(RangeTblEntry *rte, Foreign *foreign)
{
	rte->securityQuals = NIL;
	foreign->reads_more = rte->rtekind == RTE_RELATION && reads_as_user(foreign->source) &&
		rte->relid != foreign->source->relid && rte->relid != foreign->source->origin;
	return foreign->reads_more;
}

static bool
find_foreign(Node *node, void *context)
{
	Foreign    *foreign = context;

	if (!node)
		return false;
	if (IsA(node, RangeTblEntry))
		return note_relation((RangeTblEntry *) node, foreign);	/* query_tree_walker goes on into it */
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_foreign, context, QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, CoerceToDomain) && !is_trusted(type_owner(((CoerceToDomain *) node)->resulttype)))
	{
		foreign->domain = ((CoerceToDomain *) node)->resulttype;
		foreign->owner = type_owner(foreign->domain);
		return true;
	}
	return check_functions_in_node(node, note_function, context) ||
		expression_tree_walker(node, find_foreign, context);
}

/* What a statement has that is not to run with the rights of the user.  Nothing is evaluated. */
static Foreign
foreign_of(const AnswerSource *source, SPIPlanPtr plan)
{
	List	   *statements = SPI_plan_get_plan_sources(plan);
	Foreign		foreign = {.source = source};

	if (list_length(statements) == 1)
		find_foreign(copyObject(linitial(((CachedPlanSource *) linitial(statements))->query_list)),
					 &foreign);
	else
		foreign.reads_more = true;
	return foreign;
}

static void
refuse(AnswerSource *source, const Foreign *foreign)
{
	if (foreign->reads_more)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s: filters and inputs of what is read from %s read other tables",
						source->label, source->relation),
				 errdetail("They would be read with the rights of %s.",
						   GetUserNameFromId(GetUserId(), false))));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s: reading %s would run %s of role %s with the rights of %s", source->label,
					source->relation,
					OidIsValid(foreign->function) ? format_procedure(foreign->function) :
					format_type_be(foreign->domain),
					GetUserNameFromId(foreign->owner, false), GetUserNameFromId(GetUserId(), false)),
			 errdetail("It is read with the rights of that role if both may read it, and no row-level security concerns them."),
			 errhint("Give what runs to a superuser, or train as that role.")));
}

/* May the user run a statement, and does he see all rows? */
static bool
may_read(SPIPlanPtr plan, const PlannedStmt *stmt)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));

	return HavePermissionsCompat(stmt->rtable, stmt->permInfos) &&
		!((Query *) linitial(source->query_list))->hasRowSecurity;
}

/* Whether a statement may be planned, which can run functions already; raises 42501. */
void
check_reader(AnswerSource *source, SPIPlanPtr plan)
{
	Foreign		foreign;

	if (!source->runs_code)
		return;
	foreign = foreign_of(source, plan);
	if (foreign.reads_more || OidIsValid(foreign.owner))
		refuse(source, &foreign);
}

/*
 * Becomes the role that a source is to be read by.  The caller sets the user
 * back; after an error the (sub)transaction's abort does.
 */
void
become_reader(AnswerSource *source, const char *sql)
{
	SPIPlanPtr	by_user;
	SPIPlanPtr	by_owner;
	CachedPlan *cached;
	PlannedStmt *stmt;
	Foreign		foreign;
	Oid			user;
	int			context;
	bool		is_allowed;

	if (!source->runs_code)
		return;
	by_user = SPI_prepare(sql, 0, NULL);
	if (!by_user)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	foreign = foreign_of(source, by_user);
	if (foreign.reads_more)
		refuse(source, &foreign);
	if (!OidIsValid(foreign.owner))
	{
		SPI_freeplan(by_user);
		return;
	}
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(foreign.owner, context | SECURITY_RESTRICTED_OPERATION);
	by_owner = SPI_prepare(sql, 0, NULL);
	if (!by_owner)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	check_reader(source, by_owner);
	cached = SPI_plan_get_cached_plan(by_owner);
	stmt = linitial_node(PlannedStmt, cached->stmt_list);
	is_allowed = may_read(by_owner, stmt);
	SetUserIdAndSecContext(user, context);
	is_allowed &= may_read(by_user, stmt);
	if (!is_allowed)
		refuse(source, &foreign);
	SetUserIdAndSecContext(foreign.owner, context | SECURITY_RESTRICTED_OPERATION);
	ReleaseCachedPlan(cached, NULL);
	SPI_freeplan(by_owner);
	SPI_freeplan(by_user);
}
