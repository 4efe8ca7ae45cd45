/*
 * answer_plan.c
 *	  What each lookup item of a spec is read from.
 *
 * In the order in which they are better:
 *	  - outputs over windows of features: the events of the features' sources,
 *	  - a table that has all rows of a key, each with its time: the table,
 *	  - a table with the newest row of each key, published from a source that
 *		has all: the source, through the publication's filter,
 *	  - a table that has a history: the version that was valid at T,
 *	  - the table as it is now, if that is allowed.
 * Where labels say what was known, a history comes first.
 */
#include "postgres.h"

#include "access/commit_ts.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog/plans.h"
#include "training/answer_plan.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(is_visible_in);
PG_FUNCTION_INFO_V1(committed_at);

/*
 * _is_visible_in(xmin xid, snapshot pg_snapshot) RETURNS boolean
 * Is a row whose system column xmin is this shown by a snapshot?
 */
Datum
is_visible_in(PG_FUNCTION_ARGS)
{
	TransactionId xid = PG_GETARG_TRANSACTIONID(0);
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);

	if (!TransactionIdIsNormal(xid))
		PG_RETURN_BOOL(true);
	if (xid > XidFromFullTransactionId(next))
		epoch--;
	PG_RETURN_DATUM(DirectFunctionCall2(pg_visible_in_snapshot,
										FullTransactionIdGetDatum(FullTransactionIdFromEpochAndXid(epoch, xid)),
										PG_GETARG_DATUM(1)));
}

/*
 * _committed_at(xmin xid) RETURNS timestamptz
 * When was a row committed whose system column xmin is this?  -infinity: before
 * this was kept; infinity: not yet, by the transaction at hand.
 */
Datum
committed_at(PG_FUNCTION_ARGS)
{
	TransactionId xid = PG_GETARG_TRANSACTIONID(0);
	TimestampTz result;

	if (TransactionIdIsCurrentTransactionId(xid))
		PG_RETURN_TIMESTAMPTZ(DT_NOEND);
	if (!TransactionIdIsNormal(xid) || !TransactionIdGetCommitTsData(xid, &result, NULL))
		PG_RETURN_TIMESTAMPTZ(DT_NOBEGIN);
	PG_RETURN_TIMESTAMPTZ(result);
}

/* Raises 55000 if it cannot be told which rows of a source a snapshot shows. */
void
check_restriction(AnswerSource *source)
{
	if (source->is_restricted && !source->has_xmin)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s: rows of %s do not tell which transaction wrote them", source->label,
						source->relation),
				 errdetail("Only tables do, to users who can read them and whom no row-level security concerns.")));
}

JsonbContainer *
call_for_object(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls)
{
	MemoryContext caller = CurrentMemoryContext;
	JsonbContainer *result = NULL;
	bool		isnull;
	Datum		value;

	SPI_connect();
	if (execute_kept(sql, nargs, types, values, nulls) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not execute \"%s\"", sql);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		result = &DatumGetJsonbPCopy(value)->root;
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	return result;
}

static JsonbContainer *
describe_table(Oid relid)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};

	return call_for_object("SELECT featurestore._training_table($1)", 1, types, values, NULL);
}

Oid
get_relation(JsonbContainer *object, const char *member)
{
	char	   *text = json_get_string(object, member);

	return text ? atooid(text) : InvalidOid;
}

char *
relation_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (!name)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
}

/* A column of a source under the name that it has in the looked-up table; not there: 55000. */
static AttrNumber
source_column(AnswerSource *source, const char *name)
{
	AttrNumber	attno = get_attnum(source->relid, name);

	if (attno == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s: %s has no column \"%s\"", source->label, source->relation, name),
				 errdetail("Training reads it from there.")));
	return attno;
}

/* The name of a collation as an expression has it. */
static char *
collation_name(Oid collation)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	result = quote_qualified_identifier(get_namespace_name(form->collnamespace),
										NameStr(form->collname));
	ReleaseSysCache(tuple);
	return result;
}

/* SQL for a column of a source, as it is in the looked-up table. */
static char *
column_sql(AnswerSource *source, const char *name, Oid type, int32 typmod, Oid collation)
{
	AttrNumber	attno = source_column(source, name);
	char	   *sql = psprintf("source.%s", quote_identifier(name));
	Oid			given;
	int32		given_typmod;
	Oid			given_collation;

	get_atttypetypmodcoll(source->relid, attno, &given, &given_typmod, &given_collation);
	if (given != type || (typmod >= 0 && given_typmod != typmod))
		sql = psprintf("(%s)::%s", sql, format_type_extended(type, typmod, FORMAT_TYPE_FORCE_QUALIFY |
															 (typmod >= 0 ? FORMAT_TYPE_TYPEMOD_GIVEN : 0)));
	if (OidIsValid(collation) && given_collation != collation)
		sql = psprintf("(%s COLLATE %s)", sql, collation_name(collation));
	return sql;
}

/* SQL for a column of the item's table, read from a source. */
static char *
table_column_sql(ItemPlanner *planner, AnswerSource *source, AttrNumber attno)
{
	Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(planner->rel), attno - 1);

	return column_sql(source, NameStr(attr->attname), attr->atttypid, attr->atttypmod,
					  attr->attcollation);
}

/* Have all rows of a relation a system column xmin? */
static bool
has_xmin(Oid relid)
{
	char		relkind = get_rel_relkind(relid);
	ListCell   *lc;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		return relkind == RELKIND_MATVIEW;
	/* Partitions and children can be foreign */
	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
			return false;
	}
	return true;
}

AnswerSource *
make_source(ItemPlanner *planner, SourceKind kind, Oid relid)
{
	SpecItem   *item = planner->item;
	AnswerSource *source = palloc0(sizeof(AnswerSource));

	/* Its columns are named here and read later */
	LockRelationOid(relid, AccessShareLock);
	source->kind = kind;
	source->label = item->name;
	source->relid = source->origin = relid;
	source->relation = relation_name(relid);
	source->has_xmin = has_xmin(relid);
	source->event_time = NO_EVENT_TIME;
	source->nkeys = item->nkeys;
	source->keys = palloc(sizeof(char *) * item->nkeys);
	source->key_types = palloc(sizeof(Oid) * item->nkeys);
	source->key_collations = palloc(sizeof(Oid) * item->nkeys);
	for (int i = 0; i < item->nkeys; i++)
	{
		Form_pg_attribute attr =
			TupleDescAttr(RelationGetDescr(planner->rel), item->keys[i].attno - 1);

		source->keys[i] = table_column_sql(planner, source, item->keys[i].attno);
		source->key_types[i] = attr->atttypid;
		source->key_collations[i] = attr->attcollation;
	}
	return source;
}

void
add_commit_times(AnswerSource *source)
{
	if (!source->has_xmin)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s: rows of %s do not tell when they became known", source->label,
						source->relation),
				 errdetail("Only tables do, to users who can read them and whom no row-level security concerns."),
				 errhint("Leave known_at out.")));
	if (!track_commit_timestamp)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s: it is not known when rows of %s were committed", source->label,
						source->relation),
				 errdetail("The setting track_commit_timestamp is off."),
				 source->kind == SOURCE_EVENTS ? errhint("Turn it on, or leave known_at out.") :
				 errhint("Turn it on, or keep the history of the online table with history => true.")));
	source->arrived = "featurestore._committed_at(source.xmin)";
}

/* Adds a column of the item's table to what is read; gives its place. */
static int
add_column(ItemPlanner *planner, AnswerSource *source, AttrNumber attno)
{
	source->columns[source->ncolumns] = table_column_sql(planner, source, attno);
	source->column_types[source->ncolumns] =
		TupleDescAttr(RelationGetDescr(planner->rel), attno - 1)->atttypid;
	return source->ncolumns++;
}

/* What a source of rows is read for: the item's columns, states and event time. */
static void
add_columns(ItemPlanner *planner, AnswerSource *source)
{
	SpecItem   *item = planner->item;
	int			n = item->ncolumns + item->nwindows + 1;

	source->columns = palloc(sizeof(char *) * n);
	source->column_types = palloc(sizeof(Oid) * n);
	source->positions = palloc(sizeof(int) * Max(item->ncolumns, 1));
	source->states = palloc(sizeof(int) * Max(item->nwindows, 1));
	source->nvalues = item->ncolumns;
	source->value_items = palloc0(sizeof(int) * Max(item->ncolumns, 1));
	source->value_columns = palloc(sizeof(int) * Max(item->ncolumns, 1));
	for (int i = 0; i < item->ncolumns; i++)
	{
		source->value_columns[i] = i;
		source->positions[i] = item->attnos[i] ? add_column(planner, source, item->attnos[i]) : -1;
	}
	for (int i = 0; i < item->nwindows; i++)
		source->states[i] = add_column(planner, source, item->windows[i].attno);
	if (item->time_attno)
		source->event_time = source->kind == SOURCE_AS_OF || source->kind == SOURCE_DATED_VERSIONS ?
			EVENT_TIME_IS_TIME : add_column(planner, source, item->time_attno);
}

void
set_time(AnswerSource *source, const char *name)
{
	source->time = psprintf("source.%s", quote_identifier(name));
	source->time_type = getBaseType(get_atttype(source->relid, source_column(source, name)));
	if (source->time_type != TIMESTAMPTZOID && source->time_type != DATEOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("%s: column \"%s\" of %s is no time any more", source->label, name,
						source->relation)));
}

/* The table itself, which has all rows: what breaks ties in a lookup does here, too. */
static AnswerSource *
read_time_series(ItemPlanner *planner)
{
	SpecItem   *item = planner->item;
	AnswerSource *source = make_source(planner, SOURCE_AS_OF, item->relid);
	ListCell   *lc;

	set_time(source, get_attname(item->relid, item->time_attno, false));
	foreach(lc, item->access->tiebreak)
		source->order = lappend(source->order, psprintf("source.%s",
														quote_identifier(get_attname(item->relid, lfirst_int(lc), false))));
	source->is_restricted = true;
	if (planner->has_known_at)
		add_commit_times(source);
	return source;
}

/* What the table is published from. */
static AnswerSource *
read_published(ItemPlanner *planner)
{
	AnswerSource *source = make_source(planner, SOURCE_AS_OF,
									   get_relation(planner->table, "source"));

	set_time(source, json_get_string(planner->table, "time"));
	source->filter = json_get_string(planner->table, "filter");
	source->is_restricted = true;
	source->runs_code = true;
	if (planner->has_known_at)
		add_commit_times(source);
	return source;
}

/* The history of the table. */
static AnswerSource *
read_history(ItemPlanner *planner)
{
	SpecItem   *item = planner->item;
	bool		has_date = item->time_attno && planner->has_known_at;
	SourceKind	kind = !has_date ? SOURCE_VERSIONS :
		item->access->is_newest ? SOURCE_DATED_VERSIONS : SOURCE_VERSIONS_BY_DATE;
	AnswerSource *source = make_source(planner, kind, get_relation(planner->table, "history"));

	source->deleted = "source._is_deleted";
	source->is_restricted = true;
	if (has_date)
		set_time(source, get_attname(item->relid, item->time_attno, false));
	if (kind == SOURCE_DATED_VERSIONS)
	{
		source->order = list_make1("source._valid_from");
		source->arrived = "source._valid_from";
		return source;
	}
	if (kind == SOURCE_VERSIONS_BY_DATE)
		source->arrived = psprintf(source->time_type == DATEOID ?
								   "coalesce(%s::pg_catalog.timestamp AT TIME ZONE 'UTC', '-infinity')" :
								   "coalesce(%s, '-infinity')", source->time);
	set_time(source, "_valid_from");
	return source;
}

/* The table as it is, which the user has to allow. */
static AnswerSource *
read_current(ItemPlanner *planner)
{
	SpecItem   *item = planner->item;
	AnswerSource *source;

	if (!planner->allow_current)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s: only current values of %s can be had", item->name,
						relation_name(item->relid)),
				 errdetail("What they were at the time of a label is not kept."),
				 errhint("Keep the history of the table with history => true, or accept values that were not there yet with allow_current => true.")));
	source = make_source(planner, SOURCE_CURRENT, item->relid);
	if (planner->has_known_at)
		add_commit_times(source);
	return source;
}

/* Sets how point-in-time a plan is that reads a history, or what there is now. */
static void
note_history(ItemPlanner *planner, AnswerPlan *plan)
{
	char	   *from = json_get_string(planner->table, "history_from");

	plan->point_in_time = POINT_HISTORY_FROM;
	plan->history_from = from ?
		DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(from),
												ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))) :
		DT_NOBEGIN;
}

AnswerPlan *
make_plan(ItemPlanner *planner, int item)
{
	AnswerPlan *plan = palloc0(sizeof(AnswerPlan));

	plan->nitems = 1;
	plan->items = palloc(sizeof(int) * planner->spec->nitems);
	plan->items[0] = item;
	plan->nkeys = planner->item->nkeys;
	plan->key_columns = palloc(sizeof(int) * plan->nkeys);
	for (int i = 0; i < plan->nkeys; i++)
		plan->key_columns[i] = planner->item->keys[i].column;
	plan->has_known_at = planner->has_known_at;
	return plan;
}

/* Plans an item that is answered by rows. */
static AnswerPlan *
plan_rows(ItemPlanner *planner, int item)
{
	AnswerPlan *plan = make_plan(planner, item);
	bool		is_newest = planner->item->access->is_newest;
	AnswerSource *source;
	bool		has_history;

	planner->table = describe_table(planner->item->relid);
	has_history = OidIsValid(get_relation(planner->table, "history"));
	if (is_newest && !(has_history && planner->has_known_at))
		source = read_time_series(planner);
	else if (OidIsValid(get_relation(planner->table, "source")) &&
			 !(has_history && planner->has_known_at))
		source = read_published(planner);
	else if (has_history)
	{
		source = read_history(planner);
		note_history(planner, plan);
	}
	else
	{
		source = read_current(planner);
		plan->point_in_time = POINT_CURRENT_ROW;
	}
	add_columns(planner, source);
	plan->sources = list_make1(source);
	return plan;
}

/* Plans an item, as part of a plan that there is or as one of its own. */
static List *
plan_item(ItemPlanner *planner, int item, List *plans)
{
	planner->item = &planner->spec->items[item];
	planner->rel = table_open(planner->item->relid, AccessShareLock);
	if (!planner->item->access)
		planner->item->access = access_for_item(planner->spec, planner->item, planner->rel);
	if (!plan_events(planner, item, &plans))
		plans = lappend(plans, plan_rows(planner, item));
	table_close(planner->rel, NoLock);
	return plans;
}

List *
plan_answers(Spec *spec, bool has_known_at, bool allow_current)
{
	ItemPlanner planner = {
		.spec = spec,.has_known_at = has_known_at,.allow_current = allow_current
	};
	List	   *plans = NIL;

	for (int i = 0; i < spec->nitems; i++)
	{
		if (OidIsValid(spec->items[i].relid))
			plans = plan_item(&planner, i, plans);
	}
	finish_event_plans(plans);
	return plans;
}
