/*
 * seek.c
 *	  Looks up what labels need, where they are few beside the rows of the source.
 *
 * Labels go to the statement in chunks, as arrays.  A point gives the one row
 * that counts for a label; a range gives all rows of a key that windows of its
 * labels can have, which then are merged with these as in a sweep.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "training/answer.h"

/* Labels looked up by one execution of the statement. */
#define CHUNK_LABELS 1024

/* The labels of a chunk, and what is asked for them. */
typedef struct Chunk
{
	AnswerPass *pass;
	Answer	   *answer;
	MemoryContext cxt;
	AskedLabel *labels;
	int			nlabels;
	int			nasked;			/* elements of each array */
	int			narrays;
	Datum	  **arrays;
	Oid		   *types;			/* of the elements */
} Chunk;

/* DestReceiver of points: each row says which label it is for. */
typedef struct PointReceiver
{
	DestReceiver receiver;
	Chunk	   *chunk;
	int			given;			/* labels whose results were given */
	bool		has_row;		/* of the label after these */
} PointReceiver;

static Chunk *
begin_chunks(AnswerPass *pass)
{
	Answer	   *answer = pass->answer;
	Chunk	   *chunk = palloc0(sizeof(Chunk));
	int			n = answer->nkeys + 2;

	chunk->pass = pass;
	chunk->answer = answer;
	chunk->cxt = AllocSetContextCreate(answer->cxt, "featurestore label chunk",
									   ALLOCSET_DEFAULT_SIZES);
	chunk->labels = palloc(sizeof(AskedLabel) * CHUNK_LABELS);
	chunk->arrays = palloc(sizeof(Datum *) * n);
	chunk->types = palloc(sizeof(Oid) * n);
	for (int i = 0; i < n; i++)
		chunk->arrays[i] = palloc(sizeof(Datum) * CHUNK_LABELS);
	memcpy(chunk->types, answer->key_types, sizeof(Oid) * answer->nkeys);
	return chunk;
}

static void
end_chunks(Chunk *chunk)
{
	MemoryContextDelete(chunk->cxt);
}

/* Keeps a label beyond the next that is fetched. */
static void
copy_keys(Answer *answer, AskedLabel *label)
{
	Datum	   *keys = palloc(sizeof(Datum) * answer->nkeys);

	for (int i = 0; i < answer->nkeys; i++)
		keys[i] = datumCopy(label->keys[i], answer->key_byval[i], answer->key_lengths[i]);
	label->keys = keys;
}

/* Fetches the next labels; false if there are none. */
static bool
next_chunk(Chunk *chunk)
{
	MemoryContext old;

	MemoryContextReset(chunk->cxt);
	old = MemoryContextSwitchTo(chunk->cxt);
	chunk->nlabels = 0;
	chunk->nasked = 0;
	while (chunk->nlabels < CHUNK_LABELS &&
		   asked_next(chunk->answer->labels, &chunk->labels[chunk->nlabels]))
		copy_keys(chunk->answer, &chunk->labels[chunk->nlabels++]);
	MemoryContextSwitchTo(old);
	return chunk->nlabels > 0;
}

/* A time as the source's time is compared with it. */
static Datum
source_time(AnswerSource *source, TimestampTz time)
{
	SpecItem	item = {.time_type = source->time_type};

	return time_bound(&item, time);
}

/* The arrays as parameters. */
static ParamListInfo
bind_arrays(Chunk *chunk)
{
	ParamListInfo parameters = makeParamList(chunk->narrays);

	for (int i = 0; i < chunk->narrays; i++)
	{
		int16		length;
		bool		byval;
		char		align;

		get_typlenbyvalalign(chunk->types[i], &length, &byval, &align);
		parameters->params[i].value = PointerGetDatum(construct_array(chunk->arrays[i], chunk->nasked,
																	  chunk->types[i], length, byval, align));
		parameters->params[i].isnull = false;
		parameters->params[i].pflags = PARAM_FLAG_CONST;
		parameters->params[i].ptype = get_array_type(chunk->types[i]);
	}
	return parameters;
}

/* Gives results of labels that no row came for, up to but not including one. */
static void
give_up_to(PointReceiver *points, int label)
{
	AnswerPass *pass = points->chunk->pass;
	MemoryContext old = MemoryContextSwitchTo(pass->answer->cxt);

	while (points->given < label)
	{
		give_label(pass, &points->chunk->labels[points->given++]);
		pass->taker->clear(pass->taker);
	}
	MemoryContextSwitchTo(old);
}

/* DestReceiver: the row that counts for a label, whose number comes first. */
static bool
receive_point(TupleTableSlot *slot, DestReceiver *receiver)
{
	PointReceiver *points = (PointReceiver *) receiver;
	AnswerPass *pass = points->chunk->pass;
	SourceRow	row;
	int			label;

	slot_getallattrs(slot);
	label = (int) DatumGetInt64(slot->tts_values[0]) - 1;
	if (label < points->given)
		elog(ERROR, "rows of %s came out of order", pass->source->relation);
	give_up_to(points, label);
	read_row(pass->source, slot->tts_values + 1, slot->tts_isnull + 1, &row);
	pass->taker->take(pass->taker, &row);
	return true;
}

static void
start_points(DestReceiver *receiver, int operation, TupleDesc desc)
{
	check_row_types(((PointReceiver *) receiver)->chunk->pass->source, desc, 1);
}

static void
end_points(DestReceiver *receiver)
{
}

/* What a chunk of points asks: keys, bounds, known_at. */
static void
ask_points(Chunk *chunk)
{
	AnswerSource *source = chunk->pass->source;
	int			nkeys = source->nkeys;

	chunk->types[nkeys] = source->time ? source->time_type : TIMESTAMPTZOID;
	chunk->types[nkeys + 1] = TIMESTAMPTZOID;
	chunk->narrays = nkeys + 1 + (source->arrived ? 1 : 0);
	for (int i = 0; i < chunk->nlabels; i++)
	{
		AskedLabel *label = &chunk->labels[i];

		for (int k = 0; k < nkeys; k++)
			chunk->arrays[k][i] = label->keys[k];
		chunk->arrays[nkeys][i] = source_time(source, label->bound);
		chunk->arrays[nkeys + 1][i] = TimestampTzGetDatum(label->known_at);
	}
	chunk->nasked = chunk->nlabels;
}

/* Looks up the row that counts for each label. */
void
seek_points(AnswerPass *pass, SPIPlanPtr plan)
{
	MemoryContext cxt = pass->answer->cxt;
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Chunk	   *chunk = begin_chunks(pass);

	while (next_chunk(chunk))
	{
		PointReceiver points = {
			.receiver = {
				.receiveSlot = receive_point,.rStartup = start_points,
				.rShutdown = end_points,.rDestroy = end_points,.mydest = DestNone
			},
			.chunk = chunk
		};

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(chunk->cxt);
		ask_points(chunk);
		pass->taker->clear(pass->taker);
		execute_into(plan, bind_arrays(chunk), &points.receiver);
		give_up_to(&points, chunk->nlabels);
		MemoryContextSwitchTo(cxt);
	}
	end_chunks(chunk);
	MemoryContextSwitchTo(old);
}

/* Are the keys of a label those asked for last? */
static bool
is_same_key(Chunk *chunk, const AskedLabel *label)
{
	for (int k = 0; chunk->nasked > 0 && k < chunk->answer->nkeys; k++)
	{
		if (ApplySortComparator(chunk->arrays[k][chunk->nasked - 1], false, label->keys[k], false,
								&chunk->answer->key_order[k]) != 0)
			return false;
	}
	return chunk->nasked > 0;
}

/* What a chunk of ranges asks: each key once, from the start of its first label's windows to its last label. */
static void
ask_ranges(Chunk *chunk)
{
	AnswerSource *source = chunk->pass->source;
	int			nkeys = source->nkeys;

	chunk->types[nkeys] = chunk->types[nkeys + 1] = source->time_type;
	chunk->narrays = nkeys + 2;
	for (int i = 0; i < chunk->nlabels; i++)
	{
		AskedLabel *label = &chunk->labels[i];

		if (!is_same_key(chunk, label))
		{
			TimestampTz lo = window_taker_lo(chunk->pass->taker, label->at);

			for (int k = 0; k < nkeys; k++)
				chunk->arrays[k][chunk->nasked] = label->keys[k];
			chunk->arrays[nkeys][chunk->nasked] =
				source_time(source, lo < MIN_TIMESTAMP ? DT_NOBEGIN : lo);
			chunk->nasked++;
		}
		chunk->arrays[nkeys + 1][chunk->nasked - 1] = source_time(source, label->bound);
	}
}

/* Looks up the rows that the windows of labels can have. */
void
seek_ranges(AnswerPass *pass, SPIPlanPtr plan)
{
	MemoryContext cxt = pass->answer->cxt;
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Chunk	   *chunk = begin_chunks(pass);
	Sweep	   *sweep = sweep_begin(pass, false);

	while (next_chunk(chunk))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(chunk->cxt);
		ask_ranges(chunk);
		sweep_labels(sweep, chunk->labels, chunk->nlabels);
		sweep_run(sweep, plan, bind_arrays(chunk));
		MemoryContextSwitchTo(cxt);
	}
	sweep_end(sweep);
	end_chunks(chunk);
	MemoryContextSwitchTo(old);
}
