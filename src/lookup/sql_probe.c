/*
 * sql_probe.c
 *	  Probes a table by one set-based statement for all keys of a chunk.
 *
 * The path for whatever a plain index probe cannot serve: partitions,
 * policies, foreign tables, views.  The statement joins the keys, passed as
 * arrays, to the table; it is planned once, generically, since a plan made for
 * the arrays of every call would cost more than the call.  It runs read-only,
 * hence under the calling statement's snapshot, and with the rights of who
 * opened the lookup: a cursor may be another's by the time rows are fetched.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "lookup/lookup.h"
#include "compat.h"

/* Rows taken from the statement at a time. */
#define FETCH_ROWS 32

/* The default equality of a type, written so that no search_path matters. */
char *
equality_operator_text(Oid type)
{
	Oid			operator = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple;
	Form_pg_operator form;
	char	   *result;

	if (!OidIsValid(operator))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify an equality operator for type %s",
						format_type_be(type))));
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	result = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					  NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return result;
}

/* "t.column" of the item's table. */
static void
append_column(StringInfo sql, SpecItem *item, AttrNumber attno)
{
	appendStringInfo(sql, "t.%s", quote_identifier(get_attname(item->relid, attno, false)));
}

/*
 * "FROM table t WHERE keys match"; newest also: not after T, newest first.  The
 * relation that is open may not know yet that its new name was rolled back.
 */
static void
append_source(StringInfo sql, SpecItem *item)
{
	ItemAccess *access = item->access;
	ListCell   *lc;

	appendStringInfo(sql, " FROM %s t WHERE ",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(item->relid)),
												get_rel_name(item->relid)));
	for (int k = 0; k < item->nkeys; k++)
	{
		appendStringInfoString(sql, k ? " AND " : "");
		append_column(sql, item, item->keys[k].attno);
		appendStringInfo(sql, " %s k.k%d", equality_operator_text(access->key_types[k]), k);
	}
	if (!access->is_newest)
		return;
	appendStringInfoString(sql, " AND ");
	append_column(sql, item, item->time_attno);
	appendStringInfo(sql, " OPERATOR(pg_catalog.<=) $%d ORDER BY ", item->nkeys + 1);
	append_column(sql, item, item->time_attno);
	appendStringInfoString(sql, " DESC");
	foreach(lc, access->tiebreak)
	{
		appendStringInfoString(sql, ", ");
		append_column(sql, item, lfirst_int(lc));
		appendStringInfoString(sql, " DESC");
	}
	appendStringInfoString(sql, " LIMIT 1");
}

/*
 * The statement: position of the key, then what is read of the table in the
 * order of its columns.  The arrays are parameters $1.., T is the one after.
 */
static char *
probe_statement(SpecItem *item)
{
	StringInfoData sql;
	const char *separator = "";

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT k.n, f.* FROM ROWS FROM (");
	for (int k = 0; k < item->nkeys; k++)
		appendStringInfo(&sql, "%spg_catalog.unnest($%d)", k ? ", " : "", k + 1);
	appendStringInfoString(&sql, ") WITH ORDINALITY AS k(");
	for (int k = 0; k < item->nkeys; k++)
		appendStringInfo(&sql, "k%d, ", k);
	appendStringInfoString(&sql, "n) CROSS JOIN LATERAL (SELECT ");
	for (int attno = -1; (attno = bms_next_member(item->columns_read, attno)) >= 0;)
	{
		appendStringInfoString(&sql, separator);
		append_column(&sql, item, attno);
		appendStringInfo(&sql, " AS c%d", attno);
		separator = ", ";
	}
	append_source(&sql, item);
	appendStringInfoString(&sql, ") AS f");
	return sql.data;
}

/* The statement as it was prepared, and what it reads. */
static CachedPlanSource *
plan_source(SPIPlanPtr plan)
{
	return linitial(SPI_plan_get_plan_sources(plan));
}

/*
 * Checks that the plan, which may have been made again just now, reads the table
 * we hold rather than one that took its name.
 */
static void
check_plan(SPIPlanPtr plan, SpecItem *item)
{
	if (!list_member_oid(plan_source(plan)->relationOids, item->relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("%s: table was renamed during the lookup", item->name),
				 errhint("Try again.")));
}

/* Reset callback of the spec's memory context. */
static void
free_plan(void *access)
{
	SPIPlanPtr	plan = ((ItemAccess *) access)->plan;

	if (plan)
		SPI_freeplan(plan);
}

/*
 * Forgets a plan that was made for other names than there are now.  Our own
 * transaction can rename what it is looking up, if a cursor keeps the lookup
 * open; the spec is not valid any more then.
 */
static void
forget_renamed(LookupRun *run, SpecItem *item)
{
	ItemAccess *access = item->access;
	SPIPlanPtr	plan = access->plan;

	if (!plan || run->spec->is_valid ||
		strcmp(plan_source(plan)->query_string, probe_statement(item)) == 0)
		return;
	access->plan = NULL;
	SPI_freeplan(plan);
}

/* Prepares the statement; the plan lives as long as the spec. */
static void
prepare_probe(LookupRun *run, SpecItem *item)
{
	ItemAccess *access = item->access;
	Oid			types[INDEX_MAX_KEYS + 1];
	MemoryContextCallback *callback;
	SPIPlanPtr	plan;

	for (int k = 0; k < item->nkeys; k++)
		types[k] = get_array_type(access->key_types[k]);
	types[item->nkeys] = item->time_type;
	plan = SPI_prepare_cursor(probe_statement(item),
							  item->nkeys + (access->is_newest ? 1 : 0), types,
							  CURSOR_OPT_GENERIC_PLAN);
	if (!plan)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	access->plan = plan;
	if (access->has_callback)
		return;
	callback = MemoryContextAlloc(run->spec->cxt, sizeof(MemoryContextCallback));
	callback->func = free_plan;
	callback->arg = access;
	MemoryContextRegisterResetCallback(run->spec->cxt, callback);
	access->has_callback = true;
}

/* The arguments: an array for each key, and T. */
static void
bind_keys(LookupRun *run, ItemRun *irun, Datum *arguments)
{
	SpecItem   *item = irun->item;
	int			n = irun->keys.nprobes;
	Datum	   *column = palloc(sizeof(Datum) * n);

	for (int k = 0; k < item->nkeys; k++)
	{
		Oid			type = item->access->key_types[k];
		int16		length;
		bool		byval;
		char		align;

		for (int i = 0; i < n; i++)
			column[i] = irun->keys.values[(Size) i * item->nkeys + k];
		get_typlenbyvalalign(type, &length, &byval, &align);
		arguments[k] = PointerGetDatum(construct_array(column, n, type, length, byval, align));
	}
	arguments[item->nkeys] = time_bound(item, run->request->as_of);
}

/*
 * Keeps one row of the result; its key must not have had one before.  values
 * and nulls have a place for the key's position and then one for each column
 * of the table up to the last that is read.  The statement gives the columns
 * without gaps, so that each then moves up to its own place.
 */
static void
keep_row(LookupRun *run, ItemRun *irun, HeapTuple tuple, TupleDesc desc, Datum *values, bool *nulls)
{
	Bitmapset  *columns = irun->item->columns_read;
	int			place = desc->natts - 1;
	int			probe;

	heap_deform_tuple(tuple, desc, values, nulls);
	probe = (int) DatumGetInt64(values[0]) - 1;
	if (irun->results[probe].status != STATUS_NOT_FOUND)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("%s: more than one row has the same key", irun->item->name),
				 errdetail("Relation \"%s\" has no unique index that would rule this out.",
						   RelationGetRelationName(irun->rel))));
	for (int attno = -1; (attno = bms_prev_member(columns, attno)) >= 0; place--)
	{
		values[attno] = values[place];
		nulls[attno] = nulls[place];
	}
	keep_found(run, irun, probe, values + 1, nulls + 1);
}

/* Runs the statement, and keeps its rows in the current memory context. */
static void
run_statement(LookupRun *run, ItemRun *irun, Datum *arguments)
{
	SpecItem   *item = irun->item;
	MemoryContext kept = CurrentMemoryContext;
	Datum	   *values = palloc(sizeof(Datum) * (item->access->last_attno + 1));
	bool	   *nulls = palloc(sizeof(bool) * (item->access->last_attno + 1));
	Portal		portal;
	uint64		n;

	SPI_connect();
	forget_renamed(run, item);
	if (!item->access->plan)
		prepare_probe(run, item);
	portal = SPI_cursor_open(NULL, item->access->plan, arguments, NULL, true);
	check_plan(item->access->plan, item);
	do
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		MemoryContextSwitchTo(kept);
		n = SPI_processed;
		for (uint64 i = 0; i < n; i++)
			keep_row(run, irun, SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		SPI_freetuptable(SPI_tuptable);
	} while (n == FETCH_ROWS && !chunk_is_too_large(run));
	SPI_cursor_close(portal);
	SPI_finish();
	MemoryContextSwitchTo(kept);
}

/* Probes the table for all keys of an item. */
void
probe_sql(LookupRun *run, ItemRun *irun)
{
	Datum		arguments[INDEX_MAX_KEYS + 1];
	Oid			user;
	int			context;

	bind_keys(run, irun, arguments);
	GetUserIdAndSecContext(&user, &context);
	if (user != run->user)
		SetUserIdAndSecContext(run->user, context | SECURITY_LOCAL_USERID_CHANGE);
	run_statement(run, irun, arguments);
	if (user != run->user)
		SetUserIdAndSecContext(user, context);
}
