/*
 * apply.c
 *	  Applies a batch of changes: runs its statements under one snapshot.
 *
 * The snapshot decides what the batch is: the staged changes that it sees and
 * the position does not.  It is also what the source is read under where keys
 * have to be computed anew, and it becomes the position, in the transaction that
 * writes the rows.  So no change is seen twice and none is missed, whatever
 * other transactions do meanwhile.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "catalog/plans.h"
#include "publish/batch.h"
#include "publish/sync.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(apply_batch);

const Oid *
batch_param_types(void)
{
	static const Oid types[NUM_PARAMS] = {
		TIMESTAMPTZOID, PG_SNAPSHOTOID, XID8OID, INT8OID, INT8ARRAYOID, INT8ARRAYOID
	};

	return types;
}

/* Text of a member of an object; NULL if it is not there or null. */
char *
program_text(JsonbContainer *object, const char *name)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(object, name, strlen(name), &value) == NULL ||
		value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

/* Is a member of an object true? */
static bool
is_true(Jsonb *object, const char *name)
{
	JsonbValue	value;

	return getKeyJsonValueFromContainer(&object->root, name, strlen(name), &value) != NULL &&
		value.type == jbvBool && value.val.boolean;
}

/* An array that is a member of an object, as a value of its own; NULL if there is none. */
static Jsonb *
array_member(Jsonb *object, const char *name)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(&object->root, name, strlen(name), &value) == NULL ||
		value.type != jbvBinary || !JsonContainerIsArray(value.val.binary.data))
		return NULL;
	return JsonbValueToJsonb(&value);
}

/*
 * Runs one statement under the snapshot of the batch; gives the object that it
 * returns, in the batch's memory.  keep: the same statement will be run again
 * by this session.
 */
Jsonb *
execute_statement(Batch *batch, const char *sql, bool keep, int nparams, const Oid *types,
				  Datum *values, const char *nulls)
{
	SPIPlanPtr	kept = keep ? kept_plan(sql, nparams, types) : NULL;
	SPIPlanPtr	plan = kept ? kept : SPI_prepare_cursor(sql, nparams, unconstify(Oid *, types),
														CURSOR_OPT_CUSTOM_PLAN);
	Datum		datum;
	Jsonb	   *result;
	bool		isnull;
	MemoryContext oldcontext;

	if (!plan)
		elog(ERROR, "could not prepare a statement of a batch");
	if (SPI_execute_snapshot(plan, values, nulls, batch->snapshot, InvalidSnapshot, false, true,
							 0) < 0)
		elog(ERROR, "could not run a statement of a batch");
	if (!SPI_tuptable || SPI_processed != 1 || SPI_gettypeid(SPI_tuptable->tupdesc, 1) != JSONBOID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a statement of a batch must give one jsonb")));
	datum = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	oldcontext = MemoryContextSwitchTo(batch->context);
	result = isnull ? DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"))) :
		DatumGetJsonbPCopy(datum);
	MemoryContextSwitchTo(oldcontext);
	SPI_freetuptable(SPI_tuptable);
	if (!kept)
		SPI_freeplan(plan);

	return result;
}

static void
keep_result(Batch *batch, Jsonb *result)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(batch->context);

	batch->results = lappend(batch->results, result);
	MemoryContextSwitchTo(oldcontext);
}

/* Rebuilds keys, an array of objects. */
static void
rebuild_keys(Batch *batch, Jsonb *keys)
{
	Oid			types[] = {TIMESTAMPTZOID, JSONBOID};
	Datum		values[] = {batch->params[PARAM_CLOCK], JsonbPGetDatum(keys)};
	char	   *sql = program_text(&batch->program->root, "rebuild");

	if (sql && JB_ROOT_COUNT(keys) > 0)
		keep_result(batch, execute_statement(batch, sql, true, 2, types, values, NULL));
}

/* An object from its text, in the batch's memory. */
static Jsonb *
parse_object(Batch *batch, const char *text)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(batch->context);
	Jsonb	   *result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));

	MemoryContextSwitchTo(oldcontext);
	return result;
}

/* The statement that applies the changes, as far as one knows what they are. */
static char *
apply_statement(Batch *batch)
{
	char	   *sql = program_text(&batch->program->root,
								   batch->is_in_quarantine ? "quarantine" :
								   batch->has_removals ? "apply" : "add");

	if (!sql)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the program of a batch has no statement to apply it")));
	return sql;
}

/*
 * Notes what the statement has read.  What was done will not do, and is undone
 * as if it were for a row, if there were other changes than the statement is
 * for.
 */
static void
note_tally(Batch *batch, ChangeTally tally)
{
	batch->kinds |= tally.kinds;
	if (batch->kinds & batch->truncations)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("a source was truncated")));
	if (!batch->is_in_quarantine && !batch->has_removals &&
		(tally.kinds & (KIND_REMOVE | KIND_UNKNOWN)))
	{
		batch->has_removals = true;
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("a batch does not only add")));
	}
	keep_result(batch, parse_object(batch, psprintf("{\"rows_read\": " INT64_FORMAT "}", tally.rows)));
}

/* Applies the changes, and rebuilds the keys that they ask for and those given. */
static void
apply_step(Batch *batch, void *arg)
{
	Jsonb	   *keys = arg;
	Jsonb	   *result;
	Jsonb	   *asked;

	memset(&change_tally, 0, sizeof(change_tally));
	result = execute_statement(batch, apply_statement(batch), !batch->is_in_quarantine, NUM_PARAMS,
							   batch_param_types(), batch->params, batch->nulls);
	keep_result(batch, result);
	note_tally(batch, change_tally);
	asked = array_member(result, "rebuild");
	if (asked)
		keys = DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(keys),
												  JsonbPGetDatum(asked)));
	rebuild_keys(batch, keys);
}

/*
 * Applies what the parameters say in a subtransaction.  False, with the error,
 * if that fails for the fault of a row; any other failure is raised.
 */
bool
try_apply(Batch *batch, Jsonb *keys, ErrorData **error)
{
	int			nresults = list_length(batch->results);

	if (try_step(apply_step, batch, keys, error))
		return true;
	batch->results = list_truncate(batch->results, nresults);
	/* the statement may have failed before it had read all */
	batch->kinds |= change_tally.kinds;
	return false;
}

/* Runs statements with the clock as $1. */
static void
run_further(Batch *batch, ArrayType *statements)
{
	Oid			types[] = {TIMESTAMPTZOID};
	Datum	   *texts;
	bool	   *nulls;
	int			n;

	deconstruct_array(statements, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			keep_result(batch, execute_statement(batch, TextDatumGetCString(texts[i]), false, 1,
												 types, batch->params, NULL));
	}
}

/* What the batch is; false if it cannot be applied, since more has happened than was staged. */
static bool
settle(Batch *batch, NullableDatum fingerprint)
{
	Oid			types[] = {TIMESTAMPTZOID, PG_SNAPSHOTOID, XID8OID, INT8OID, JSONBOID};
	Datum		values[5];
	char		nulls[5];
	char	   *sql = program_text(&batch->program->root, "settle");
	Jsonb	   *settled;
	JsonbValue	truncations;

	if (!sql)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the program of a batch has no statement to settle it")));
	memcpy(values, batch->params, 4 * sizeof(Datum));
	memcpy(nulls, batch->nulls, 4);
	values[4] = fingerprint.value;
	nulls[4] = fingerprint.isnull ? 'n' : ' ';
	settled = execute_statement(batch, sql, true, 5, types, values, nulls);
	keep_result(batch, settled);

	if (getKeyJsonValueFromContainer(&settled->root, "truncations", 11, &truncations) != NULL &&
		truncations.type == jbvNumeric)
		batch->truncations = DatumGetInt32(DirectFunctionCall1(numeric_int4,
															   NumericGetDatum(truncations.val.numeric)));

	return is_true(settled, "is_same");
}

/* The results as an array. */
static Datum
result_array(List *results)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(list_length(results), 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, results)
		values[n++] = JsonbPGetDatum(lfirst(lc));
	return PointerGetDatum(construct_array(values, n, JSONBOID, -1, false, TYPALIGN_INT));
}

/*
 * _apply_batch(program jsonb, fingerprint jsonb, clock timestamptz, snapshot pg_snapshot,
 *				own_xid xid8, own_sequence bigint, keys jsonb, further text[]) RETURNS jsonb[]
 */
Datum
apply_batch(PG_FUNCTION_ARGS)
{
	Batch		batch = {.context = CurrentMemoryContext};
	NullableDatum fingerprint = {.value = PG_GETARG_DATUM(1), .isnull = PG_ARGISNULL(1)};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(6) ||
		PG_ARGISNULL(7) || !JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(0)) ||
		!JB_ROOT_IS_ARRAY(PG_GETARG_JSONB_P(6)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a batch needs a program, a clock, a position and an array of keys")));

	batch.program = PG_GETARG_JSONB_P(0);
	batch.keys = PG_GETARG_JSONB_P(6);
	for (int i = PARAM_CLOCK; i <= PARAM_OWN_SEQUENCE; i++)
	{
		batch.params[i] = PG_GETARG_DATUM(i + 2);
		batch.nulls[i] = PG_ARGISNULL(i + 2) ? 'n' : ' ';
	}
	batch.params[PARAM_REJECTED] = PointerGetDatum(construct_empty_array(INT8OID));
	batch.nulls[PARAM_REJECTED] = ' ';
	batch.nulls[PARAM_ONLY] = 'n';

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	batch.snapshot = RegisterSnapshot(run_snapshot(is_true(batch.program, "sees_latest")));
	if (settle(&batch, fingerprint))
	{
		if (apply_with_quarantine(&batch))
			run_further(&batch, PG_GETARG_ARRAYTYPE_P(7));
		else
			linitial(batch.results) = parse_object(&batch, "{\"is_same\": false}");
	}
	UnregisterSnapshot(batch.snapshot);
	SPI_finish();

	PG_RETURN_DATUM(result_array(batch.results));
}
