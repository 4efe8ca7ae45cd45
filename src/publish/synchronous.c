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
 * The statements, of sql/synchronous.sql, are kept per session, with their
 * plans, until something that they were made from changes; every table that
 * matters is watched for that.  They run as the owner of the online table, and
 * under snapshots that see all that is committed, whatever the isolation level.
 * Own changes are handed to them as a named relation.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "publish/batch.h"
#include "publish/capture.h"
#include "publish/sync.h"
#include "compat.h"

#define ADDS ((1 << CHANGE_INSERT) | (1 << CHANGE_UPDATE_POSTIMAGE))

/* A statement and its plan, which is made when it is needed. */
typedef struct Statement
{
	char	   *sql;			/* NULL if there is none */
	SPIPlanPtr	plan;
	bool		is_warm;		/* the plan has been run */
} Statement;

/* What changes of one source take; see _synchronous_part. */
typedef struct SourcePart
{
	Oid			source;
	char	   *name;			/* of its own changes in the statements */
	TupleDesc	desc;			/* that the plans were made with */
	bool		is_whole;
	Statement	put;
	Statement	apply;
	Statement	later;
	Statement	lock;			/* for changes of this source alone */
	char	   *keys;
} SourcePart;

/* An online table that own changes are applied to. */
typedef struct SynchronousTable
{
	Oid			relation;		/* key */
	uint64		generation;		/* in which this was read */
	MemoryContext context;		/* of what follows */
	bool		is_applied_to;
	Oid			owner;
	bool		has_purges;
	char	   *lock;			/* NULL where nothing needs to be locked first */
	Statement	empty;			/* which of the rows that were inserted to be locked are so */
	Statement	rebuild;
	int			nparts;
	SourcePart *parts;
} SynchronousTable;

/* A source, and the tables that its changes are applied to. */
typedef struct SynchronousSource
{
	Oid			source;			/* key */
	uint64		generation;
	int			ntables;
	Oid		   *tables;			/* ascending */
} SynchronousSource;

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

static HTAB *tables = NULL;
static HTAB *sources = NULL;
static HTAB *watched = NULL;

/* Changes when anything does that is watched. */
static uint64 generation = 1;

static bool is_applying = false;

/*
 * Tables in which keys were computed anew, in this transaction, when there were
 * changes that are not among those applied: such that triggers of online tables
 * had made meanwhile, or, within a trigger, of rows whose own has yet to run.
 * They are counted already, so when they are applied the whole table is compared
 * with its sources.
 */
static List *counted_ahead = NIL;

/* Called when something about a relation, or all, may have changed. */
void
synchronous_invalidate(Oid relid)
{
	if (!OidIsValid(relid) || hash_search(watched, &relid, HASH_FIND, NULL))
		generation++;
}

/* Called when a transaction ends. */
void
synchronous_forget(void)
{
	counted_ahead = NIL;
}

/* Which tables take changes of a source depends on who has the rights of its owner, too. */
static void
invalidate_roles(Datum arg, int cacheid, uint32 hash)
{
	synchronous_invalidate(InvalidOid);
}

static HTAB *
make_table(const char *name, Size entrysize)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = entrysize,.hcxt = CacheMemoryContext};

	return hash_create(name, 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Makes the caches, once a backend; what knows of captured sources tells of changes. */
void
synchronous_init(void)
{
	tables = make_table("featurestore synchronous tables", sizeof(SynchronousTable));
	sources = make_table("featurestore synchronous sources", sizeof(SynchronousSource));
	watched = make_table("featurestore watched relations", sizeof(Oid));
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, invalidate_roles, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, invalidate_roles, (Datum) 0);
}

static void
watch(Oid relid)
{
	hash_search(watched, &relid, HASH_ENTER, NULL);
}

/* The tables that changes of a source are applied to. */
static SynchronousSource *
find_source(Oid relid)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	SynchronousSource *source;
	SPIPlanPtr	plan;
	bool		found;
	uint64		before;

	source = hash_search(sources, &relid, HASH_ENTER, &found);
	if (!found)
		memset((char *) source + sizeof(Oid), 0, sizeof(SynchronousSource) - sizeof(Oid));
	if (source->generation == generation)
		return source;

	watch(relid);
	before = generation;
	plan = SPI_prepare("SELECT t FROM featurestore._synchronous_tables($1) AS t", 1, types);
	if (!plan || SPI_execute_snapshot(plan, values, NULL, GetLatestSnapshot(), InvalidSnapshot,
									  false, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not find the tables that changes are applied to");
	if (source->tables)
		pfree(source->tables);
	source->tables = NULL;
	source->ntables = 0;
	source->tables = MemoryContextAlloc(CacheMemoryContext, sizeof(Oid) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Oid			table = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i],
														   SPI_tuptable->tupdesc, 1, &isnull));

		watch(table);
		/* the first is the staging table, of which only news is wanted */
		if (i > 0)
			source->tables[source->ntables++] = table;
	}
	SPI_freetuptable(SPI_tuptable);
	SPI_freeplan(plan);
	source->generation = before;
	return source;
}

static void
forget_statement(Statement *statement)
{
	if (statement->plan)
		SPI_freeplan(statement->plan);
	statement->plan = NULL;
	statement->is_warm = false;
}

static void
forget_plans(SourcePart *part)
{
	forget_statement(&part->put);
	forget_statement(&part->apply);
	forget_statement(&part->later);
	forget_statement(&part->lock);
	part->desc = NULL;
}

static void
forget_table(SynchronousTable *table)
{
	for (int i = 0; i < table->nparts; i++)
		forget_plans(&table->parts[i]);
	forget_statement(&table->empty);
	forget_statement(&table->rebuild);
	if (table->context)
		MemoryContextDelete(table->context);
	memset((char *) table + sizeof(Oid), 0, sizeof(SynchronousTable) - sizeof(Oid));
}

/* An array that is a member of an object, as texts or objects of jsonb. */
static JsonbContainer *
member_array(JsonbContainer *object, const char *name)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(object, name, strlen(name), &value) == NULL ||
		value.type != jbvBinary || !JsonContainerIsArray(value.val.binary.data))
		elog(ERROR, "program of own changes has no \"%s\"", name);
	return value.val.binary.data;
}

static bool
member_is_true(JsonbContainer *object, const char *name)
{
	JsonbValue	value;

	return getKeyJsonValueFromContainer(object, name, strlen(name), &value) != NULL &&
		value.type == jbvBool && value.val.boolean;
}

static Oid
text_to_oid(const char *text)
{
	return DatumGetObjectId(DirectFunctionCall1(oidin, CStringGetDatum(text)));
}

static void
read_part(SourcePart *part, JsonbContainer *object)
{
	part->source = text_to_oid(program_text(object, "source"));
	part->name = psprintf("own_change_%u", part->source);
	part->is_whole = member_is_true(object, "is_whole");
	part->put.sql = program_text(object, "put");
	part->apply.sql = program_text(object, "apply");
	part->later.sql = program_text(object, "later");
	part->keys = program_text(object, "keys");
}

/* Takes the statements of a table from its program. */
static void
read_program(SynchronousTable *table, Jsonb *program)
{
	MemoryContext old = MemoryContextSwitchTo(table->context);
	JsonbContainer *parts = member_array(&program->root, "parts");
	JsonbContainer *relations = member_array(&program->root, "watched");

	table->lock = program_text(&program->root, "lock");
	table->empty.sql = program_text(&program->root, "empty");
	table->rebuild.sql = program_text(&program->root, "rebuild");
	table->has_purges = member_is_true(&program->root, "has_purges");
	table->parts = palloc0(sizeof(SourcePart) * JsonContainerSize(parts));
	for (int i = 0; i < JsonContainerSize(parts); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(parts, i);

		read_part(&table->parts[i], value->val.binary.data);
		table->nparts++;
	}
	for (int i = 0; i < JsonContainerSize(relations); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(relations, i);

		watch(text_to_oid(pnstrdup(value->val.string.val, value->val.string.len)));
	}
	table->is_applied_to = true;
	MemoryContextSwitchTo(old);
}

/* Begins to work as a role, with no other rights and a search path that is known. */
static void
begin_as(Oid role, int *nest_level, Oid *user, int *context)
{
	*nest_level = NewGUCNestLevel();
	set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(user, context);
	if (role != *user)
		SetUserIdAndSecContext(role, *context | SECURITY_RESTRICTED_OPERATION);
}

static void
end_as(int nest_level, Oid user, int context)
{
	SetUserIdAndSecContext(user, context);
	AtEOXact_GUC(false, nest_level);
}

static void
set_to(const char *name, const char *value)
{
	set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* The settings with which keys become texts, which are read again, by runs too (see _run). */
static void
set_for_texts(void)
{
	set_to("TimeZone", "UTC");
	set_to("DateStyle", "ISO");
	set_to("IntervalStyle", "postgres");
	set_to("extra_float_digits", "1");
}

/* The settings with which statements are made and planned. */
static void
set_for_planning(void)
{
	set_to("jit", "off");
	set_to("row_security", "off");
	set_to("standard_conforming_strings", "on");
	set_for_texts();
}

/* Reads what it takes to apply changes to a table, unless it is known. */
static void
read_table(SynchronousTable *table)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(table->relation)};
	HeapTuple	tuple = SearchSysCache1(RELOID, values[0]);
	uint64		before = generation;
	SPIPlanPtr	plan;
	int			nest_level;
	Oid			user;
	int			context;
	bool		isnull;
	Datum		program;

	forget_table(table);
	if (!HeapTupleIsValid(tuple))
		return;
	table->owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	table->context = AllocSetContextCreate(CacheMemoryContext, "featurestore synchronous table",
										   ALLOCSET_SMALL_SIZES);

	begin_as(table->owner, &nest_level, &user, &context);
	set_for_planning();
	plan = SPI_prepare("SELECT featurestore._synchronous_program($1)", 1, types);
	if (!plan || SPI_execute_snapshot(plan, values, NULL, GetLatestSnapshot(), InvalidSnapshot,
									  false, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not find how to apply changes");
	end_as(nest_level, user, context);
	program = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		read_program(table, DatumGetJsonbP(program));
	SPI_freetuptable(SPI_tuptable);
	SPI_freeplan(plan);
	table->generation = before;
}

/* Forgets tables that there are no more, as one is added, so that they do not pile up. */
static void
forget_dropped(void)
{
	HASH_SEQ_STATUS status;
	SynchronousTable *table;

	hash_seq_init(&status, tables);
	while ((table = hash_seq_search(&status)) != NULL)
	{
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table->relation)))
			continue;
		forget_table(table);
		hash_search(tables, &table->relation, HASH_REMOVE, NULL);
	}
}

/*
 * The table, locked as who writes it locks it, and with what it takes to apply
 * changes.  The lock makes us wait for a run, and brings the news of it.
 */
static SynchronousTable *
find_table(Oid relid)
{
	SynchronousTable *table;

	LockRelationOid(relid, RowExclusiveLock);
	table = hash_search(tables, &relid, HASH_FIND, NULL);
	if (!table)
	{
		forget_dropped();
		table = hash_search(tables, &relid, HASH_ENTER, NULL);
		memset((char *) table + sizeof(Oid), 0, sizeof(SynchronousTable) - sizeof(Oid));
	}
	if (table->generation != generation)
		read_table(table);
	return table;
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
