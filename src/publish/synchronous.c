/*
 * synchronous.c
 *	  A transaction applies its own changes to the online tables of SYNCHRONOUS
 *	  publications: at its end, or before when somebody wants to see them.
 *
 * This is done just before the transaction commits or is prepared, after its
 * deferred triggers, whose changes are thus among those that are applied.  A
 * deferred trigger of our own would do for that, too, but it would make the
 * server refuse to alter or truncate a source that the transaction has changed,
 * and could not be queued by what runs with restricted rights, as applying does.
 *
 * The statements (see synchronous_tables.c) run as the owner of the online table,
 * and under snapshots that see all that is committed, whatever the isolation
 * level.  Own changes are handed to them as a named relation.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "publish/batch.h"
#include "publish/capture.h"
#include "publish/sync.h"
#include "publish/synchronous.h"
#include "compat.h"

#define ADDS ((1 << CHANGE_INSERT) | (1 << CHANGE_UPDATE_POSTIMAGE))

/* What is applied to a table, and how it goes. */
typedef struct Application
{
	SynchronousTable *table;
	List	   *changes;		/* OwnChanges of all sources */
	TimestampTz clock;			/* read with the locks held: whoever applied before has read his before */
	int			nest_level;		/* of settings */
	List	   *inserted;		/* Jsonb: arrays of keys whose rows were missing */
	List	   *rebuild;		/* of keys to be computed anew */
	List	   *later;			/* of keys that are due later, and when */
} Application;

static bool is_applying = false;

/*
 * Tables in which keys were computed anew, in this transaction, when there were
 * changes that are not among those applied: such that triggers of online tables
 * had made meanwhile, or, within a trigger, of rows whose own has yet to run.
 * They are counted already, so when they are applied the whole table is compared
 * with its sources.
 */
static List *counted_ahead = NIL;

/* Called when a transaction ends. */
void
synchronous_forget(void)
{
	counted_ahead = NIL;
}

/* The changes of a source; NULL if there are none.  is_whole: or the source must be looked at as a whole. */
static OwnChanges *
changes_of(Application *application, Oid source, bool *is_whole)
{
	OwnChanges *result = NULL;
	int			truncations = 1 << CHANGE_TRUNCATE;
	ListCell   *lc;

	if (!application->table->has_purges)
		truncations |= 1 << CHANGE_TRUNCATE_PARTITION;
	foreach(lc, application->changes)
	{
		OwnChanges *changes = lfirst(lc);

		if (changes->source != source)
			continue;
		/* two lists: the source was altered between the changes */
		if (result || (changes->types & truncations))
			*is_whole = true;
		result = changes;
	}
	return result;
}

/* Is a plan ready to be run again, without a look at settings? */
static bool
is_ready(Statement *statement)
{
	return statement->plan && statement->is_warm && SPI_plan_is_valid(statement->plan);
}

/*
 * Runs a statement under a snapshot that sees all that is committed by now;
 * gives how many rows it has processed.
 */
static uint64
run_statement(Application *application, Statement *statement, Jsonb *keys)
{
	Oid			types[] = {TIMESTAMPTZOID, JSONBOID};
	Datum		values[] = {TimestampTzGetDatum(application->clock), PointerGetDatum(keys)};
	Snapshot	snapshot;
	int			status;

	if (!is_ready(statement))
		set_for_planning();
	if (!statement->plan)
	{
		statement->plan = SPI_prepare_cursor(statement->sql, keys ? 2 : 1, types,
											 CURSOR_OPT_GENERIC_PLAN);
		if (!statement->plan || SPI_keepplan(statement->plan) != 0)
			elog(ERROR, "could not prepare a statement for own changes");
	}
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	status = SPI_execute_snapshot(statement->plan, values, NULL, snapshot, InvalidSnapshot, false,
								  true, 0);
	UnregisterSnapshot(snapshot);
	if (status < 0)
		elog(ERROR, "could not apply own changes");
	statement->is_warm = true;
	return SPI_processed;
}

/* Adds an array that is a member of an object to a list. */
static List *
add_member(List *list, Jsonb *object, const char *name)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(&object->root, name, strlen(name), &value) == NULL ||
		value.type != jbvBinary || !JsonContainerIsArray(value.val.binary.data) ||
		JsonContainerSize(value.val.binary.data) == 0)
		return list;
	return lappend(list, JsonbValueToJsonb(&value));
}

/* Runs a statement that gives an object, and notes what that says is left to do. */
static void
run_reporting(Application *application, Statement *statement, Jsonb *keys)
{
	bool		isnull;
	Datum		result;

	run_statement(application, statement, keys);
	if (!SPI_tuptable || SPI_processed != 1 || SPI_gettypeid(SPI_tuptable->tupdesc, 1) != JSONBOID)
		elog(ERROR, "a statement for own changes must give one jsonb");
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
	{
		application->inserted = add_member(application->inserted, DatumGetJsonbP(result), "inserted");
		application->rebuild = add_member(application->rebuild, DatumGetJsonbP(result), "rebuild");
		application->later = add_member(application->later, DatumGetJsonbP(result), "later");
	}
	SPI_freetuptable(SPI_tuptable);
}

/* One array of the elements of some. */
static Jsonb *
concatenated(List *arrays)
{
	Datum		result = JsonbPGetDatum(linitial(arrays));
	ListCell   *lc;

	for_each_from(lc, arrays, 1)
		result = DirectFunctionCall2(jsonb_concat, result, JsonbPGetDatum(lfirst(lc)));
	return DatumGetJsonbP(result);
}

/* Lets statements read the changes of a source. */
static void
show_changes(SourcePart *part, OwnChanges *changes, SynchronousTable *table)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));

	if (part->desc && !equalTupleDescs(part->desc, changes->desc))
		forget_plans(part);
	if (!part->desc)
	{
		MemoryContext old = MemoryContextSwitchTo(table->context);

		part->desc = CreateTupleDescCopy(changes->desc);
		MemoryContextSwitchTo(old);
	}
	enr->md.name = part->name;
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = part->desc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = 1;
	enr->reldata = changes->rows;
	if (SPI_register_relation(enr) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register own changes");
}

/* Locks the rows that changes of some sources reach. */
static void
lock_rows(Application *application, SourcePart **parts, int nparts)
{
	Statement	several = {0};
	Statement  *statement = nparts == 1 ? &parts[0]->lock : &several;

	if (!statement->sql)
	{
		StringInfoData keys;

		/* a UNION with nothing makes the keys of a single source distinct, too */
		initStringInfo(&keys);
		for (int i = 0; i < nparts; i++)
			appendStringInfo(&keys, "%s%s", i > 0 ? " UNION " : "", parts[i]->keys);
		if (nparts == 1)
			appendStringInfo(&keys, " UNION %s AND false", parts[0]->keys);
		statement->sql = psprintf("WITH wanted AS (%s)%s", keys.data, application->table->lock);
		if (nparts == 1)
			statement->sql = MemoryContextStrdup(application->table->context, statement->sql);
	}
	run_reporting(application, statement, NULL);
	if (nparts > 1)
		forget_statement(statement);
}

/* Applies changes that only add.  False if the changes must be looked at more closely. */
static bool
put_changes(Application *application, SourcePart *part)
{
	uint64		n;

	memset(&change_tally, 0, sizeof(change_tally));
	n = run_statement(application, &part->put, NULL);
	if (!part->is_whole)
		return n > 0;
	if (change_tally.later > 0)
	{
		set_for_texts();
		run_reporting(application, &part->later, NULL);
	}
	return true;
}

/* Do the changes of a source only add, and can they be put? */
static bool
can_put(SourcePart *part, OwnChanges *changes)
{
	if (changes->types & ~ADDS)
		return false;
	/* rows of a published table: one, as they may be of one key */
	return changes->n == 1 || part->later.sql;
}

/* The sources of a table are about to be read: notes if they have changes that are to be applied later. */
static void
note_counted_ahead(Oid relation)
{
	MemoryContext old;

	if (!has_own_changes() && DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) == 0)
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	counted_ahead = list_append_unique_oid(counted_ahead, relation);
	MemoryContextSwitchTo(old);
}

/*
 * Applies the changes of the parts of a table that have some.  Those of one
 * source that only add lock their rows in order as they write them.
 */
static void
apply_parts(Application *application, SourcePart **parts, OwnChanges **changes, int nparts)
{
	SynchronousTable *table = application->table;

	if (nparts == 1 && can_put(parts[0], changes[0]) && put_changes(application, parts[0]))
		return;
	set_for_texts();
	if (table->lock)
	{
		lock_rows(application, parts, nparts);
		application->clock = GetCurrentTimestamp();
	}
	for (int i = 0; i < nparts; i++)
	{
		if (nparts > 1 && can_put(parts[i], changes[i]))
			put_changes(application, parts[i]);
		else
			run_reporting(application, &parts[i]->apply, NULL);
	}
	if (application->inserted)
		run_reporting(application, &table->empty, concatenated(application->inserted));
	if (application->rebuild)
	{
		note_counted_ahead(table->relation);
		run_reporting(application, &table->rebuild, concatenated(application->rebuild));
	}
}

/* Keeps the keys that are due later. */
static void
hold_later(Application *application)
{
	Oid			types[] = {REGCLASSOID, JSONBOID};
	Datum		values[2];

	if (!application->later)
		return;
	values[0] = ObjectIdGetDatum(application->table->relation);
	values[1] = JsonbPGetDatum(concatenated(application->later));
	if (SPI_execute_with_args("SELECT featurestore._hold($1, '-infinity', $2)", 2, types, values,
							  NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not keep what is due later");
}

/* Makes a table equal to its sources as they are by now. */
static void
compare_all(Application *application)
{
	Oid			relation = application->table->relation;

	/* whoever has applied to it has committed once we have this */
	LockRelationOid(relation, ShareRowExclusiveLock);
	counted_ahead = list_delete_oid(counted_ahead, relation);
	note_counted_ahead(relation);
	merge_own_table(relation, application->table->owner);
}

/* Names the publication in errors. */
static void
say_what_failed(void *arg)
{
	Oid			relation = *(Oid *) arg;
	char	   *name = get_rel_name(relation);

	if (name)
		errcontext("changes applied to online table \"%s\", whose publish mode is SYNCHRONOUS", name);
}

/* Applies changes to one table. */
static void
apply_to_table(Oid relation, List *changes)
{
	ErrorContextCallback callback = {error_context_stack, say_what_failed, &relation};
	Application application = {.changes = changes};
	SynchronousTable *table;
	SourcePart **parts;
	OwnChanges **own;
	int			nparts = 0;
	bool		is_whole = list_member_oid(counted_ahead, relation);
	Oid			user;
	int			context;

	error_context_stack = &callback;
	table = application.table = find_table(relation);
	application.clock = GetCurrentTimestamp();
	if (table->is_applied_to)
	{
		parts = palloc(sizeof(SourcePart *) * table->nparts);
		own = palloc(sizeof(OwnChanges *) * table->nparts);
		for (int i = 0; i < table->nparts; i++)
		{
			own[nparts] = changes_of(&application, table->parts[i].source, &is_whole);
			if (own[nparts])
				parts[nparts++] = &table->parts[i];
		}
		if (is_whole && nparts > 0)
			compare_all(&application);
		else if (nparts > 0)
		{
			begin_as(table->owner, &application.nest_level, &user, &context);
			for (int i = 0; i < nparts; i++)
				show_changes(parts[i], own[i], table);
			apply_parts(&application, parts, own, nparts);
			hold_later(&application);
			for (int i = 0; i < nparts; i++)
				SPI_unregister_relation(parts[i]->name);
			end_as(application.nest_level, user, context);
		}
	}
	error_context_stack = callback.previous;
}

/* Applies changes to all tables that they are to be applied to. */
static void
apply_changes(List *changes)
{
	List	   *relations = NIL;
	ListCell   *lc;

	foreach(lc, changes)
	{
		SynchronousSource *source = find_source(((OwnChanges *) lfirst(lc))->source);

		for (int i = 0; i < source->ntables; i++)
			relations = list_append_unique_oid(relations, source->tables[i]);
	}
	list_sort(relations, list_oid_cmp);
	foreach(lc, relations)
	{
		CHECK_FOR_INTERRUPTS();
		apply_to_table(lfirst_oid(lc), changes);
	}
}

/*
 * Applies the own changes of this transaction that are not applied yet; false
 * if there are none.  All that it takes lives in the memory of the SPI procedure.
 */
bool
apply_own_changes(void)
{
	List	   *changes;
	ListCell   *lc;

	if (is_applying || !has_own_changes())
		return false;
	is_applying = true;
	PG_TRY();
	{
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		PushActiveSnapshot(GetTransactionSnapshot());
		while ((changes = take_own_changes()) != NIL)
		{
			apply_changes(changes);
			foreach(lc, changes)
				tuplestore_end(((OwnChanges *) lfirst(lc))->rows);
		}
		PopActiveSnapshot();
		SPI_finish();
	}
	PG_FINALLY();
	{
		is_applying = false;
	}
	PG_END_TRY();
	return true;
}
