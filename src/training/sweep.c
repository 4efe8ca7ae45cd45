/*
 * sweep.c
 *	  Merges the rows of a source with the labels, both in order of key and time.
 *
 * The statement pushes its rows here, without a copy in between.  A row that
 * is beyond the current label, by key or by time, means that all rows which
 * count for the label have come: its result is given, and the next label is
 * the current one.  Rows of keys that no label has are passed over.
 *
 * It is all labels, or a chunk of them where what they need is looked up.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "training/answer.h"

struct Sweep
{
	DestReceiver receiver;
	AnswerPass *pass;
	Answer	   *answer;
	AnswerSource *source;
	Taker	   *taker;
	bool		is_complete;	/* the statement gives all keys, not only those of labels */

	const AskedLabel *chunk;	/* labels, or NULL: all of them, as they are sorted */
	int			nchunk;
	int			next;

	bool		has_label;
	AskedLabel	label;
	Datum	   *keys;			/* of the current label, copied */
	MemoryContext key_cxt;		/* lasts as long as the key does */
};

/* Raises 42804 if a column is not of a type. */
static void
check_type(AnswerSource *source, Oid given, Oid wanted)
{
	if (given != wanted)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("%s: a column of %s is of type %s, not %s", source->label,
						source->relation, format_type_be(given), format_type_be(wanted)),
				 errdetail("It has got another type since the features were made.")));
}

/* Raises 42804 unless the columns of a statement, from one on, are what they are taken for. */
void
check_row_types(AnswerSource *source, TupleDesc desc, int first)
{
	int			at = first;

	for (int i = 0; i < source->nkeys; i++)
		check_type(source, TupleDescAttr(desc, at++)->atttypid, source->key_types[i]);
	if (source->time)
		check_type(source, getBaseType(TupleDescAttr(desc, at)->atttypid), source->time_type);
	at += 1 + (source->arrived ? 1 : 0) + (source->deleted ? 1 : 0);
	for (int i = 0; i < source->ncolumns; i++)
	{
		Oid			type = TupleDescAttr(desc, at++)->atttypid;

		if (source->kind != SOURCE_EVENTS)
			check_type(source, type, source->column_types[i]);
		else if (((EventTrack *) list_nth(source->tracks, i))->input)
			check_type(source, getBaseType(type),
					   ((EventTrack *) list_nth(source->tracks, i))->type->oid);
	}
}

/* Takes the columns of a row of a source apart. */
void
read_row(AnswerSource *source, Datum *values, bool *nulls, SourceRow *row)
{
	int			at = source->nkeys;

	row->keys = values;
	row->key_nulls = nulls;
	row->time = nulls[at] ? DT_NOBEGIN : source_timestamp(source, values[at]);
	row->arrived = DT_NOBEGIN;
	row->is_deleted = false;
	at++;
	if (source->arrived)
	{
		if (!nulls[at])
			row->arrived = DatumGetTimestampTz(values[at]);
		at++;
	}
	if (source->deleted)
	{
		row->is_deleted = !nulls[at] && DatumGetBool(values[at]);
		at++;
	}
	row->values = values + at;
	row->nulls = nulls + at;
}

/* How two keys compare, neither of which has NULLs. */
static inline int
compare_keys(Sweep *sweep, const Datum *a, const Datum *b)
{
	if (likely(sweep->answer->has_integer_key))
		return (int64) a[0] < (int64) b[0] ? -1 : (int64) a[0] > (int64) b[0];
	for (int i = 0; i < sweep->source->nkeys; i++)
	{
		int			order = ApplySortComparator(a[i], false, b[i], false,
												&sweep->answer->key_order[i]);

		if (order != 0)
			return order;
	}
	return 0;
}

/* Keeps the key of the current label, which is another than the one before. */
static void
begin_key(Sweep *sweep)
{
	Answer	   *answer = sweep->answer;
	MemoryContext old;

	MemoryContextReset(sweep->key_cxt);
	old = MemoryContextSwitchTo(sweep->key_cxt);
	for (int i = 0; i < answer->nkeys; i++)
		sweep->keys[i] = datumCopy(sweep->label.keys[i], answer->key_byval[i],
								   answer->key_lengths[i]);
	MemoryContextSwitchTo(old);
	sweep->taker->clear(sweep->taker);
}

/* Moves to the next label, if there is one. */
static void
next_label(Sweep *sweep, bool is_first)
{
	if (sweep->chunk)
	{
		sweep->has_label = sweep->next < sweep->nchunk;
		if (sweep->has_label)
			sweep->label = sweep->chunk[sweep->next++];
	}
	else
		sweep->has_label = asked_next(sweep->answer->labels, &sweep->label);
	if (!sweep->has_label)
		return;
	if (is_first || compare_keys(sweep, sweep->label.keys, sweep->keys) != 0)
		begin_key(sweep);
	if (sweep->taker->next_label)
		sweep->taker->next_label(sweep->taker, &sweep->label);
}

/* Gives the result of the current label. */
static void
give(Sweep *sweep)
{
	MemoryContext old = MemoryContextSwitchTo(sweep->answer->cxt);

	CHECK_FOR_INTERRUPTS();
	give_label(sweep->pass, &sweep->label);
	next_label(sweep, false);
	MemoryContextSwitchTo(old);
}

/* Does a row, of the key of the current label, count for it, as far as its time goes? */
static inline bool
is_within(Sweep *sweep, const SourceRow *row)
{
	return sweep->source->kind == SOURCE_EVENTS ? row->time < sweep->label.bound :
		row->time <= sweep->label.bound;
}

/* DestReceiver: takes a row; false when no label is left. */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *receiver)
{
	Sweep	   *sweep = (Sweep *) receiver;
	SourceRow	row;

	slot_getallattrs(slot);
	for (int i = 0; i < sweep->source->nkeys; i++)
	{
		if (slot->tts_isnull[i])
			return true;
	}
	read_row(sweep->source, slot->tts_values, slot->tts_isnull, &row);
	while (sweep->has_label)
	{
		int			order = compare_keys(sweep, row.keys, sweep->keys);

		if (order < 0)
		{
			if (unlikely(!sweep->is_complete))
				elog(ERROR, "rows of %s came out of order", sweep->source->relation);
			return true;
		}
		if (order == 0 && is_within(sweep, &row))
		{
			sweep->taker->take(sweep->taker, &row);
			return true;
		}
		give(sweep);
	}
	return false;
}

static void
start_rows(DestReceiver *receiver, int operation, TupleDesc desc)
{
	check_row_types(((Sweep *) receiver)->source, desc, 0);
}

static void
end_rows(DestReceiver *receiver)
{
}

/* Begins a merge.  is_complete: the rows of all keys are to come, so that some are of no label. */
Sweep *
sweep_begin(AnswerPass *pass, bool is_complete)
{
	Sweep	   *sweep = palloc0(sizeof(Sweep));

	sweep->receiver.receiveSlot = receive_row;
	sweep->receiver.rStartup = start_rows;
	sweep->receiver.rShutdown = end_rows;
	sweep->receiver.rDestroy = end_rows;
	sweep->receiver.mydest = DestNone;
	sweep->pass = pass;
	sweep->answer = pass->answer;
	sweep->source = pass->source;
	sweep->taker = pass->taker;
	sweep->is_complete = is_complete;
	sweep->keys = palloc(sizeof(Datum) * pass->source->nkeys);
	sweep->key_cxt = AllocSetContextCreate(pass->answer->cxt, "featurestore key",
										   ALLOCSET_SMALL_SIZES);
	return sweep;
}

/* Sets the labels: a chunk of them, or with NULL all. */
void
sweep_labels(Sweep *sweep, const AskedLabel *labels, int nlabels)
{
	sweep->chunk = labels;
	sweep->nchunk = nlabels;
	sweep->next = 0;
	next_label(sweep, true);
}

/* Executes a statement, under the active snapshot, and hands its rows to a receiver. */
void
execute_into(SPIPlanPtr plan, ParamListInfo parameters, DestReceiver *receiver)
{
	SPIExecuteOptions options = {
		.params = parameters,.read_only = true,.dest = receiver
	};
	int			result = SPI_execute_plan_extended(plan, &options);

	if (result < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s", SPI_result_code_string(result));
}

/* Merges the labels with the rows of a statement, and gives the results of all. */
void
sweep_run(Sweep *sweep, SPIPlanPtr plan, ParamListInfo parameters)
{
	execute_into(plan, parameters, &sweep->receiver);
	while (sweep->has_label)
		give(sweep);
}

void
sweep_end(Sweep *sweep)
{
	MemoryContextDelete(sweep->key_cxt);
	pfree(sweep->keys);
	pfree(sweep);
}

/* Merges all labels with all rows. */
void
sweep_all(AnswerPass *pass, SPIPlanPtr plan)
{
	MemoryContext old = MemoryContextSwitchTo(pass->answer->cxt);
	Sweep	   *sweep = sweep_begin(pass, true);

	sweep_labels(sweep, NULL, 0);
	sweep_run(sweep, plan, NULL);
	sweep_end(sweep);
	MemoryContextSwitchTo(old);
}
