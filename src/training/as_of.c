/*
 * as_of.c
 *	  The row of a key that counts at the time of a label.
 *
 * Rows come in order of time, so that it is the last that came: one row is
 * held at a time.  Where labels differ in what was known, an earlier row may
 * count instead, and all rows of a key are kept.
 *
 * A version that says that the row was deleted counts as one, which has
 * nothing.  Of rows with a time each version takes the place of those before
 * it that have the same time.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "training/answer.h"
#include "window/state.h"
#include "compat.h"

/* A row that was kept. */
typedef struct KeptRow
{
	TimestampTz time;
	TimestampTz arrived;
	bool		is_deleted;
	Datum	   *values;
	bool	   *nulls;
} KeptRow;

typedef struct AsOfTaker
{
	Taker		taker;
	AnswerPass *pass;
	AnswerSource *source;
	SpecItem   *item;
	bool	   *byval;			/* of the source's columns */
	int16	   *lengths;
	bool		keeps_all;
	MemoryContext row_cxt;		/* of the rows kept */
	MemoryContext value_cxt;	/* of the values of a label */

	/* One row, in memory that is used again */
	bool		has_row;
	KeptRow		held;
	char	  **buffers;		/* of values that are not passed by value */
	Size	   *sizes;

	/* All rows of the key */
	KeptRow    *rows;
	int64		nrows;
	int64		capacity;
} AsOfTaker;

static void
clear(Taker *taker)
{
	AsOfTaker  *as_of = (AsOfTaker *) taker;

	as_of->has_row = false;
	as_of->nrows = 0;
	if (as_of->keeps_all)
		MemoryContextReset(as_of->row_cxt);
}

/* A key that is to have one row has another. */
static void
refuse_second_row(AsOfTaker *as_of)
{
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("%s: more than one row has the same key", as_of->source->label),
			 errdetail("Relation %s has no unique index that would rule this out.",
					   as_of->source->relation)));
}

/* Copies a value into the buffer of its column. */
static Datum
hold_value(AsOfTaker *as_of, int column, Datum value)
{
	int16		length = as_of->lengths[column];
	Size		size;

	if (as_of->byval[column])
		return value;
	/* What lives in the memory of the statement has to be flat to be copied */
	if (length == -1 && VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(value)))
		value = PointerGetDatum(PG_DETOAST_DATUM(value));
	size = datumGetSize(value, false, length);
	if (size > as_of->sizes[column])
	{
		if (as_of->buffers[column])
			pfree(as_of->buffers[column]);
		as_of->buffers[column] = MemoryContextAlloc(as_of->row_cxt, size + size / 2);
		as_of->sizes[column] = size + size / 2;
	}
	memcpy(as_of->buffers[column], DatumGetPointer(value), size);
	return PointerGetDatum(as_of->buffers[column]);
}

/* Holds a row instead of the one before. */
static void
hold(Taker *taker, const SourceRow *row)
{
	AsOfTaker  *as_of = (AsOfTaker *) taker;
	KeptRow    *held = &as_of->held;

	if (as_of->has_row && as_of->source->kind == SOURCE_CURRENT)
		refuse_second_row(as_of);
	as_of->has_row = true;
	held->time = row->time;
	held->arrived = row->arrived;
	held->is_deleted = row->is_deleted;
	for (int i = 0; i < as_of->source->ncolumns; i++)
	{
		held->nulls[i] = row->nulls[i];
		if (!row->nulls[i])
			held->values[i] = hold_value(as_of, i, row->values[i]);
	}
}

/* Keeps a row beside those before. */
static void
keep(Taker *taker, const SourceRow *row)
{
	AsOfTaker  *as_of = (AsOfTaker *) taker;
	int			ncolumns = as_of->source->ncolumns;
	MemoryContext old;
	KeptRow    *kept;

	if (as_of->nrows == as_of->capacity)
	{
		as_of->capacity *= 2;
		as_of->rows = repalloc_huge(as_of->rows, sizeof(KeptRow) * as_of->capacity);
	}
	kept = &as_of->rows[as_of->nrows++];
	kept->time = row->time;
	kept->arrived = row->arrived;
	kept->is_deleted = row->is_deleted;
	old = MemoryContextSwitchTo(as_of->row_cxt);
	kept->values = palloc(sizeof(Datum) * Max(ncolumns, 1));
	kept->nulls = palloc(sizeof(bool) * Max(ncolumns, 1));
	for (int i = 0; i < ncolumns; i++)
	{
		kept->nulls[i] = row->nulls[i];
		if (!row->nulls[i])
			kept->values[i] = datumCopy(row->values[i], as_of->byval[i], as_of->lengths[i]);
	}
	MemoryContextSwitchTo(old);
}

/* The newest of the rows kept that counts for a label, or NULL. */
static const KeptRow *
find_kept(AsOfTaker *as_of, const AskedLabel *label)
{
	int64		i = as_of->nrows - 1;

	while (i >= 0)
	{
		const KeptRow *row = &as_of->rows[i];

		if (row->arrived <= label->known_at && !row->is_deleted)
			return row;
		/* There was one row, which is gone */
		if (row->arrived <= label->known_at && as_of->source->kind == SOURCE_VERSIONS_BY_DATE)
			return NULL;
		/* The versions before one that counts, though it says deleted, do not */
		if (row->arrived <= label->known_at && as_of->source->kind == SOURCE_DATED_VERSIONS)
		{
			while (i > 0 && as_of->rows[i - 1].time == row->time)
				i--;
		}
		i--;
	}
	return NULL;
}

/* Evaluates the window outputs of a row that has states. */
static void
give_windows(AsOfTaker *as_of, const KeptRow *row, TimestampTz at)
{
	AnswerPass *pass = as_of->pass;
	SpecItem   *item = as_of->item;

	for (int i = 0; i < item->nwindows; i++)
	{
		SpecWindows *windows = &item->windows[i];
		int			from = as_of->source->states[i];
		struct varlena *state = row->nulls[from] ? NULL :
			(struct varlena *) DatumGetPointer(row->values[from]);

		window_evaluate(windows->plan, state, at, windows->values, windows->nulls, windows->flags);
		for (int k = 0; k < windows->plan->noutputs; k++)
		{
			int			position = windows->positions[k];

			check_output_type(pass, position, windows->plan->outputs[k].call.result_type);
			pass->values[position] = windows->values[k];
			pass->nulls[position] = windows->nulls[k];
			pass->flags[position] = windows->flags[k];
		}
	}
}

/* The row that counts for a label, or NULL. */
static const KeptRow *
find_row(AsOfTaker *as_of, const AskedLabel *label)
{
	if (as_of->keeps_all)
		return find_kept(as_of, label);
	if (!as_of->has_row || as_of->held.is_deleted || as_of->held.arrived > label->known_at)
		return NULL;
	return &as_of->held;
}

/* Fills in the result of a label. */
static void
give(Taker *taker, const AskedLabel *label)
{
	AsOfTaker  *as_of = (AsOfTaker *) taker;
	AnswerSource *source = as_of->source;
	AnswerPass *pass = as_of->pass;
	const KeptRow *row = find_row(as_of, label);
	MemoryContext old;

	if (!row)
		return;
	*pass->found = BoolGetDatum(true);
	*pass->has_no_time = source->event_time == NO_EVENT_TIME ||
		(source->event_time >= 0 && row->nulls[source->event_time]);
	if (source->event_time == EVENT_TIME_IS_TIME)
		*pass->event_time = TimestampTzGetDatum(row->time);
	else if (!*pass->has_no_time)
		*pass->event_time = TimestampTzGetDatum(event_timestamp(as_of->item,
																row->values[source->event_time]));
	for (int i = 0; i < source->nvalues; i++)
	{
		int			from = source->positions[i];

		if (from < 0)
			continue;
		pass->nulls[i] = row->nulls[from];
		pass->values[i] = row->values[from];
	}
	if (as_of->item->nwindows == 0)
		return;
	MemoryContextReset(as_of->value_cxt);
	old = MemoryContextSwitchTo(as_of->value_cxt);
	give_windows(as_of, row, label->at);
	MemoryContextSwitchTo(old);
}

Taker *
as_of_taker(AnswerPass *pass)
{
	AsOfTaker  *as_of = palloc0(sizeof(AsOfTaker));
	AnswerSource *source = pass->source;
	AnswerPlan *plan = pass->answer->plan;
	int			n = Max(source->ncolumns, 1);

	as_of->pass = pass;
	as_of->source = source;
	as_of->item = &pass->answer->spec->items[plan->items[0]];
	as_of->keeps_all = source->arrived &&
		(source->kind == SOURCE_AS_OF || source->kind == SOURCE_DATED_VERSIONS ||
		 source->kind == SOURCE_VERSIONS_BY_DATE);
	as_of->taker.clear = clear;
	as_of->taker.take = as_of->keeps_all ? keep : hold;
	as_of->taker.give = give;
	as_of->row_cxt = AllocSetContextCreate(pass->answer->cxt, "featurestore rows",
										   ALLOCSET_DEFAULT_SIZES);
	as_of->value_cxt = AllocSetContextCreate(pass->answer->cxt, "featurestore window values",
											 ALLOCSET_DEFAULT_SIZES);
	as_of->byval = palloc(sizeof(bool) * n);
	as_of->lengths = palloc(sizeof(int16) * n);
	for (int i = 0; i < source->ncolumns; i++)
		get_typlenbyval(source->column_types[i], &as_of->lengths[i], &as_of->byval[i]);
	as_of->held.values = palloc0(sizeof(Datum) * n);
	as_of->held.nulls = palloc0(sizeof(bool) * n);
	as_of->buffers = palloc0(sizeof(char *) * n);
	as_of->sizes = palloc0(sizeof(Size) * n);
	as_of->capacity = 64;
	as_of->rows = palloc(sizeof(KeptRow) * as_of->capacity);
	return &as_of->taker;
}
