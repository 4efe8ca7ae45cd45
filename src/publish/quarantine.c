/*
 * quarantine.c
 *	  Finds the changes of a batch that cannot be applied, so that the others can.
 *
 * A batch is applied as a whole, in a subtransaction.  Only if that fails with
 * an error of a row (SQLSTATE classes 22, data exception, and 23, integrity
 * constraint violation) is it looked at more closely.  Most faults show without
 * writing: in a filter, an expression, a constraint.  For these the changes are
 * read again and checked, a thousand at a time, halving what fails.  What is
 * left shows only when written: then the keys of the batch are halved.  Changes
 * found guilty are kept with their error, and the rest is applied.  Errors of
 * any other class are nobody's fault, and abort the run.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "publish/batch.h"
#include "compat.h"

/* Changes that are checked at once. */
#define SLICE_SIZE 1000

/*
 * Most subtransactions that may write in one run.  A batch that needs more
 * has more than a few bad rows: somebody should look at it.
 */
#define MAX_ATTEMPTS 10000

/* Changes of one staging table, and how they are checked. */
typedef struct Slice
{
	const char *check;			/* statement that fails for bad ones among them */
	SPITupleTable *table;
	uint64		begin;			/* which of the table are looked at */
	uint64		end;
	int			sequence;		/* number of the column _sequence */
} Slice;

/* Numbers of the changes of each key of a batch. */
typedef struct Groups
{
	List	  **numbers;		/* of int64 pointers, in order */
	int			n;
	int			attempts;
} Groups;

/* Is an error the fault of a row? */
static bool
is_row_fault(ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_DATA_EXCEPTION ||
		category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION;
}

/*
 * Runs a step in a subtransaction.  False, with the error in the batch's
 * memory, if it fails for the fault of a row; any other failure is raised.
 */
bool
try_step(void (*step) (Batch *batch, void *arg), Batch *batch, void *arg, ErrorData **error)
{
	MemoryContext oldcontext = CurrentMemoryContext;
	ResourceOwner oldowner = CurrentResourceOwner;
	volatile bool is_done = true;

	CHECK_FOR_INTERRUPTS();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(oldcontext);
	PG_TRY();
	{
		step(batch, arg);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(oldcontext);
		CurrentResourceOwner = oldowner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(batch->context);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(oldcontext);
		CurrentResourceOwner = oldowner;
		if (!is_row_fault(*error))
			ReThrowError(*error);
		is_done = false;
	}
	PG_END_TRY();

	return is_done;
}

static void
reject(Batch *batch, int64 sequence, ErrorData *error)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(batch->context);
	RejectedChange *change = palloc(sizeof(RejectedChange));

	change->sequence = sequence;
	change->sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	change->message = pstrdup(error->message);
	batch->rejected = lappend(batch->rejected, change);
	MemoryContextSwitchTo(oldcontext);
}

/* The numbers of the rejected changes become the parameter that leaves them out. */
static void
leave_out_rejected(Batch *batch)
{
	Datum	   *numbers = palloc(sizeof(Datum) * Max(list_length(batch->rejected), 1));
	int			n = 0;
	ListCell   *lc;
	MemoryContext oldcontext;

	foreach(lc, batch->rejected)
		numbers[n++] = Int64GetDatum(((RejectedChange *) lfirst(lc))->sequence);
	oldcontext = MemoryContextSwitchTo(batch->context);
	batch->params[PARAM_REJECTED] = PointerGetDatum(construct_array(numbers, n, INT8OID,
																	sizeof(int64),
																	FLOAT8PASSBYVAL,
																	TYPALIGN_DOUBLE));
	MemoryContextSwitchTo(oldcontext);
}

/* Checks the changes that are registered as the relation called slice. */
static void
check_step(Batch *batch, void *arg)
{
	execute_statement(batch, (const char *) arg, false, NUM_PARAMS, batch_param_types(), batch->params,
					  batch->nulls);
}

/*
 * Checks a slice; false, with the error, if it fails.  What a failure must not
 * leave behind is made outside of the subtransaction.
 */
static bool
passes_check(Batch *batch, Slice *slice, ErrorData **error)
{
	EphemeralNamedRelationData relation = {0};
	Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);
	bool		result;

	for (uint64 i = slice->begin; i < slice->end; i++)
		tuplestore_puttuple(store, slice->table->vals[i]);
	relation.md.name = "slice";
	relation.md.reliddesc = InvalidOid;
	relation.md.tupdesc = slice->table->tupdesc;
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	relation.md.enrtuples = slice->end - slice->begin;
	relation.reldata = store;
	if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register the changes to check");

	result = try_step(check_step, batch, unconstify(char *, slice->check), error);

	SPI_unregister_relation("slice");
	tuplestore_end(store);
	return result;
}

/* Rejects those of a slice that cannot be applied. */
static void
check_slice(Batch *batch, Slice slice)
{
	ErrorData  *error;
	Slice		half = slice;
	bool		isnull;
	Datum		sequence;

	check_stack_depth();
	if (slice.begin == slice.end || passes_check(batch, &slice, &error))
		return;

	if (slice.end - slice.begin == 1)
	{
		sequence = SPI_getbinval(slice.table->vals[slice.begin], slice.table->tupdesc,
								 slice.sequence, &isnull);
		if (isnull)
			ReThrowError(error);
		reject(batch, DatumGetInt64(sequence), error);
		return;
	}
	FreeErrorData(error);
	half.end = slice.begin + (slice.end - slice.begin) / 2;
	check_slice(batch, half);
	half.begin = half.end;
	half.end = slice.end;
	check_slice(batch, half);
}

/* A statement about a staging table, which its object must have. */
static char *
source_text(JsonbContainer *source, const char *name)
{
	char	   *sql = program_text(source, name);

	if (!sql)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the program of a batch has no statement \"%s\" for a staging table", name)));
	return sql;
}

/* Rejects the changes of a staging table that cannot be applied, as far as that shows without writing. */
static void
check_source(Batch *batch, JsonbContainer *source)
{
	Slice		slice = {.check = source_text(source, "check")};
	char	   *rows = source_text(source, "rows");
	Portal		portal;

	PushActiveSnapshot(batch->snapshot);
	portal = SPI_cursor_open_with_args(NULL, rows, NUM_PARAMS,
									   unconstify(Oid *, batch_param_types()), batch->params,
									   batch->nulls, true, 0);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, SLICE_SIZE);
		if (SPI_processed == 0)
			break;
		slice.table = SPI_tuptable;
		slice.begin = 0;
		slice.end = SPI_processed;
		slice.sequence = SPI_fnumber(slice.table->tupdesc, "_sequence");
		check_slice(batch, slice);
		SPI_freetuptable(slice.table);
	}
	SPI_cursor_close(portal);
	PopActiveSnapshot();
}

/* Calls a function for the queries about each staging table of the batch. */
static void
each_source(Batch *batch, void (*visit) (Batch *batch, JsonbContainer *source, void *arg), void *arg)
{
	JsonbValue	sources;
	JsonbValue *source;

	if (getKeyJsonValueFromContainer(&batch->program->root, "sources", 7, &sources) == NULL ||
		sources.type != jbvBinary || !JsonContainerIsArray(sources.val.binary.data))
		return;
	for (int i = 0; (source = getIthJsonbValueFromContainer(sources.val.binary.data, i)) != NULL; i++)
	{
		if (source->type == jbvBinary && JsonContainerIsObject(source->val.binary.data))
			visit(batch, source->val.binary.data, arg);
	}
}

static void
visit_check(Batch *batch, JsonbContainer *source, void *arg)
{
	check_source(batch, source);
}

/* An element of an array of arrays of numbers, which anybody may have written; raises 22023 for another. */
static JsonbValue *
group_element(JsonbContainer *array, int i, enum jbvType type)
{
	JsonbValue *element = getIthJsonbValueFromContainer(array, i);

	if (element->type != type ||
		(type == jbvBinary && !JsonContainerIsArray(element->val.binary.data)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("groups of changes must be an array of arrays of numbers")));
	return element;
}

/* Adds the groups of a staging table. */
static void
visit_groups(Batch *batch, JsonbContainer *source, void *arg)
{
	Groups	   *groups = arg;
	Jsonb	   *result = execute_statement(batch, source_text(source, "groups"), false, NUM_PARAMS,
										   batch_param_types(), batch->params, batch->nulls);
	int			n = JB_ROOT_IS_ARRAY(result) ? JB_ROOT_COUNT(result) : 0;

	groups->numbers = groups->numbers ?
		repalloc_huge(groups->numbers, sizeof(List *) * (groups->n + n)) :
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(List *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		JsonbContainer *array = group_element(&result->root, i, jbvBinary)->val.binary.data;
		List	   *numbers = NIL;

		for (int k = 0; k < JsonContainerSize(array); k++)
		{
			JsonbValue *number = group_element(array, k, jbvNumeric);
			int64	   *value = palloc(sizeof(int64));

			*value = DatumGetInt64(DirectFunctionCall1(numeric_int8,
													   NumericGetDatum(number->val.numeric)));
			numbers = lappend(numbers, value);
		}
		if (numbers != NIL)
			groups->numbers[groups->n++] = numbers;
	}
}

/* Makes the changes of some groups the only ones to apply. */
static void
apply_only(Batch *batch, Groups *groups, int begin, int end)
{
	ArrayBuildState *state = initArrayResult(INT8OID, CurrentMemoryContext, false);
	ListCell   *lc;

	for (int i = begin; i < end; i++)
	{
		foreach(lc, groups->numbers[i])
			accumArrayResult(state, Int64GetDatum(*(int64 *) lfirst(lc)), false, INT8OID,
							 CurrentMemoryContext);
	}
	batch->params[PARAM_ONLY] = makeArrayResult(state, CurrentMemoryContext);
	batch->nulls[PARAM_ONLY] = ' ';
}

/* Applies the changes of some groups, rejecting the newest of a key for as long as it fails. */
static void
apply_groups(Batch *batch, Groups *groups, int begin, int end)
{
	Jsonb	   *no_keys = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("[]")));
	ErrorData  *error;

	check_stack_depth();
	if (begin == end)
		return;
	if (++groups->attempts > MAX_ATTEMPTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many changes of one batch cannot be applied"),
				 errhint("Look at what the online table refuses: its constraints and triggers.")));

	apply_only(batch, groups, begin, end);
	if (try_apply(batch, no_keys, &error) || (batch->kinds & batch->truncations))
		return;
	if (end - begin == 1)
	{
		reject(batch, *(int64 *) llast(groups->numbers[begin]), error);
		groups->numbers[begin] = list_delete_last(groups->numbers[begin]);
		if (groups->numbers[begin] != NIL)
			apply_groups(batch, groups, begin, end);
		return;
	}
	FreeErrorData(error);
	apply_groups(batch, groups, begin, begin + (end - begin) / 2);
	apply_groups(batch, groups, begin + (end - begin) / 2, end);
}

/* Keeps what there is to be kept of the rejected changes of a staging table. */
static void
visit_rejected(Batch *batch, JsonbContainer *source, void *arg)
{
	Oid			types[] = {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID};
	int			n = list_length(batch->rejected);
	Datum	   *codes = palloc(sizeof(Datum) * n);
	Datum	   *messages = palloc(sizeof(Datum) * n);
	Datum		values[3];
	Jsonb	   *result;
	MemoryContext oldcontext;

	for (int i = 0; i < n; i++)
	{
		RejectedChange *change = list_nth(batch->rejected, i);

		codes[i] = CStringGetTextDatum(change->sqlstate);
		messages[i] = CStringGetTextDatum(change->message);
	}
	values[0] = batch->params[PARAM_REJECTED];
	values[1] = PointerGetDatum(construct_array(codes, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[2] = PointerGetDatum(construct_array(messages, n, TEXTOID, -1, false, TYPALIGN_INT));
	result = execute_statement(batch, source_text(source, "rejected"), false, 3, types, values, NULL);
	oldcontext = MemoryContextSwitchTo(batch->context);
	batch->results = lappend(batch->results, result);
	MemoryContextSwitchTo(oldcontext);
}

/* Some of an array of keys, as an array. */
static Jsonb *
some_keys(Jsonb *keys, int begin, int end)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = begin; i < end; i++)
		pushJsonbValue(&state, WJB_ELEM, getIthJsonbValueFromContainer(&keys->root, i));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* Keeps a key that cannot be rebuilt, for the fault of a row of the source, in place of a change. */
static void
reject_key(Batch *batch, Jsonb *key, ErrorData *error)
{
	Oid			types[] = {JSONBOID, TEXTOID, TEXTOID};
	Datum		values[] = {
		JsonbPGetDatum(key), CStringGetTextDatum(unpack_sql_state(error->sqlerrcode)),
		CStringGetTextDatum(error->message)
	};
	Jsonb	   *result = execute_statement(batch, "SELECT jsonb_build_object('rejected', jsonb_build_array("
										   "jsonb_build_object('sequence', 0, 'change', $1 -> 0, 'sqlstate', $2, 'message', $3)))",
										   false, 3, types, values, NULL);
	MemoryContext oldcontext = MemoryContextSwitchTo(batch->context);

	batch->results = lappend(batch->results, result);
	MemoryContextSwitchTo(oldcontext);
}

/* Rebuilds keys, all but those whose rows in the source cannot be published. */
static void
rebuild_apart(Batch *batch, Jsonb *keys, int begin, int end)
{
	ErrorData  *error;

	check_stack_depth();
	if (begin == end || try_apply(batch, some_keys(keys, begin, end), &error))
		return;
	if (end - begin == 1)
	{
		reject_key(batch, some_keys(keys, begin, end), error);
		return;
	}
	rebuild_apart(batch, keys, begin, begin + (end - begin) / 2);
	rebuild_apart(batch, keys, begin + (end - begin) / 2, end);
}

/* Applies the batch key by key, after the keys that are rebuilt whatever has changed. */
static void
apply_by_groups(Batch *batch)
{
	Groups		groups = {0};

	apply_only(batch, &groups, 0, 0);
	rebuild_apart(batch, batch->keys, 0, JB_ROOT_COUNT(batch->keys));
	batch->nulls[PARAM_ONLY] = 'n';
	each_source(batch, visit_groups, &groups);
	apply_groups(batch, &groups, 0, groups.n);
	leave_out_rejected(batch);
}

/*
 * Applies the batch, but for the changes that cannot be applied, which are kept.
 * False if the source was truncated, and must be looked at anew, whatever was
 * done.
 */
bool
apply_with_quarantine(Batch *batch)
{
	ErrorData  *error;
	bool		is_done = try_apply(batch, batch->keys, &error);

	/* what looked as if it only added does not */
	if (!is_done && batch->has_removals && !(batch->kinds & batch->truncations))
		is_done = try_apply(batch, batch->keys, &error);
	if (is_done || (batch->kinds & batch->truncations))
		return is_done;

	batch->is_in_quarantine = true;
	each_source(batch, visit_check, NULL);
	if (batch->rejected != NIL)
	{
		leave_out_rejected(batch);
		is_done = try_apply(batch, batch->keys, &error);
	}
	if (!is_done && !(batch->kinds & batch->truncations))
		apply_by_groups(batch);
	if (batch->kinds & batch->truncations)
		return false;
	if (batch->rejected != NIL)
		each_source(batch, visit_rejected, NULL);
	return true;
}
