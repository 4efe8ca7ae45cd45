/*
 * synchronous_tables.c
 *	  Which tables own changes of a source are applied to, and by what statements.
 *
 * The statements, of sql/synchronous.sql, are kept per session, with their
 * plans, until something that they were made from changes; every table that
 * matters is watched for that.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "publish/batch.h"
#include "publish/capture.h"
#include "publish/synchronous.h"
#include "compat.h"

static HTAB *tables = NULL;
static HTAB *sources = NULL;
static HTAB *watched = NULL;

/* Changes when anything does that is watched. */
static uint64 generation = 1;

/* Called when something about a relation, or all, may have changed. */
void
synchronous_invalidate(Oid relid)
{
	if (!OidIsValid(relid) || hash_search(watched, &relid, HASH_FIND, NULL))
		generation++;
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
SynchronousSource *
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

void
forget_statement(Statement *statement)
{
	if (statement->plan)
		SPI_freeplan(statement->plan);
	statement->plan = NULL;
	statement->is_warm = false;
}

void
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
void
begin_as(Oid role, int *nest_level, Oid *user, int *context)
{
	*nest_level = NewGUCNestLevel();
	set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(user, context);
	if (role != *user)
		SetUserIdAndSecContext(role, *context | SECURITY_RESTRICTED_OPERATION);
}

void
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
void
set_for_texts(void)
{
	set_to("TimeZone", "UTC");
	set_to("DateStyle", "ISO");
	set_to("IntervalStyle", "postgres");
	set_to("extra_float_digits", "1");
}

/* The settings with which statements are made and planned. */
void
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
SynchronousTable *
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
