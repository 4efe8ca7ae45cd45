/*
 * windows.c
 *	  Functions over windows at the time of each label.
 *
 * All features of a source are answered in one pass: a timeline for each input
 * and filter, which has the events of one key.  Events before the earliest
 * window of the label at hand are in no window of those that follow either.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "training/answer.h"

/* How often, in events, to see how much memory they take. */
#define TRIM_INTERVAL 1024

typedef struct TakerTrack
{
	Timeline   *timeline;
	bool		has_input;
	bool		is_varying;		/* values differ in size */
	int			nfunctions;
	TimelineFunctions **functions;
	int		   *first_values;	/* places of their outputs */
	int64		lo;				/* of the current label */
	Size		trim_at;		/* bytes beyond which old events are dropped */
} TakerTrack;

typedef struct WindowTaker
{
	Taker		taker;
	AnswerPass *pass;
	int			ntracks;
	TakerTrack *tracks;
	bool		found;			/* an event of the key */
	MemoryContext value_cxt;	/* of the values of a label */
	MemoryContext image_cxt;	/* of the value of an event */
} WindowTaker;

static void
clear(Taker *taker)
{
	WindowTaker *windows = (WindowTaker *) taker;

	windows->found = false;
	for (int i = 0; i < windows->ntracks; i++)
	{
		timeline_clear(windows->tracks[i].timeline);
		windows->tracks[i].trim_at = (Size) work_mem * 1024;
	}
}

static void
next_label(Taker *taker, const AskedLabel *label)
{
	WindowTaker *windows = (WindowTaker *) taker;

	for (int i = 0; i < windows->ntracks; i++)
		windows->tracks[i].lo = timeline_lo(windows->tracks[i].timeline, label->at);
}

/* Drops events that no window needs any more, when those of a key take much memory. */
static pg_noinline void
trim(TakerTrack *track)
{
	timeline_trim(track->timeline, track->lo);
	track->trim_at = Max(track->trim_at, 2 * timeline_bytes(track->timeline));
}

/* Adds an event; what its value is unpacked into is gone afterwards. */
static inline void
append(WindowTaker *windows, Timeline *timeline, bool is_varying, const SourceRow *row, int column)
{
	MemoryContext old;

	if (!is_varying)
	{
		timeline_append(timeline, row->time, row->values[column], row->arrived);
		return;
	}
	old = MemoryContextSwitchTo(windows->image_cxt);
	timeline_append(timeline, row->time, row->values[column], row->arrived);
	MemoryContextSwitchTo(old);
	MemoryContextReset(windows->image_cxt);
}

static void
take(Taker *taker, const SourceRow *row)
{
	WindowTaker *windows = (WindowTaker *) taker;

	if (TIMESTAMP_NOT_FINITE(row->time))
		return;
	for (int i = 0; i < windows->ntracks; i++)
	{
		TakerTrack *track = &windows->tracks[i];

		if (row->nulls[i] || (!track->has_input && !DatumGetBool(row->values[i])))
			continue;
		windows->found = true;
		if (row->time < track->lo)
			continue;
		append(windows, track->timeline, track->is_varying, row, i);
		if (unlikely(timeline_length(track->timeline) % TRIM_INTERVAL == 0) &&
			timeline_bytes(track->timeline) > track->trim_at)
			trim(track);
	}
}

void
check_output_type(AnswerPass *pass, int value, Oid type)
{
	AnswerPlan *plan = pass->answer->plan;
	SpecItem   *item = &pass->answer->spec->items[plan->items[pass->source->value_items[value]]];
	SpecColumn *column = &pass->answer->spec->columns[item->first_column +
													  pass->source->value_columns[value]];

	if (type != column->type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("%s: output \"%s\" is of type %s, not %s", item->name, column->name,
						format_type_be(type), format_type_be(column->type)),
				 errhint("Create the spec again with featurestore.create_feature_spec(..., replace => true).")));
}

static void
give(Taker *taker, const AskedLabel *label)
{
	WindowTaker *windows = (WindowTaker *) taker;
	AnswerPass *pass = windows->pass;
	MemoryContext old;

	MemoryContextReset(windows->value_cxt);
	old = MemoryContextSwitchTo(windows->value_cxt);
	for (int i = 0; i < windows->ntracks; i++)
	{
		TakerTrack *track = &windows->tracks[i];

		for (int k = 0; k < track->nfunctions; k++)
		{
			int			first = track->first_values[k];

			timeline_evaluate(track->functions[k], label->at, label->known_at,
							  pass->values + first, pass->nulls + first, pass->flags + first);
		}
	}
	*pass->found = BoolGetDatum(windows->found);
	MemoryContextSwitchTo(old);
}

/* Makes the functions of a timeline, and checks what they give. */
static void
add_functions(WindowTaker *windows, TakerTrack *track, EventFunctions *outputs)
{
	track->first_values[track->nfunctions] = outputs->first_value;
	track->functions[track->nfunctions++] =
		timeline_add_functions(track->timeline, &outputs->family, outputs->outputs,
							   outputs->noutputs);
	for (int k = 0; k < outputs->noutputs; k++)
		check_output_type(windows->pass, outputs->first_value + k,
						  outputs->outputs[k].call.result_type);
}

Taker *
window_taker(AnswerPass *pass)
{
	WindowTaker *windows = palloc0(sizeof(WindowTaker));
	AnswerSource *source = pass->source;
	ListCell   *lc;

	windows->pass = pass;
	windows->taker.clear = clear;
	windows->taker.next_label = next_label;
	windows->taker.take = take;
	windows->taker.give = give;
	windows->value_cxt = AllocSetContextCreate(pass->answer->cxt, "featurestore window values",
											   ALLOCSET_DEFAULT_SIZES);
	windows->image_cxt = AllocSetContextCreate(pass->answer->cxt, "featurestore event",
											   ALLOCSET_DEFAULT_SIZES);
	windows->tracks = palloc0(sizeof(TakerTrack) * list_length(source->tracks));
	foreach(lc, source->tracks)
	{
		EventTrack *events = lfirst(lc);
		TakerTrack *track = &windows->tracks[windows->ntracks++];
		ListCell   *functions;

		track->timeline = timeline_make(events->type, source->arrived != NULL);
		track->has_input = events->type->code != VALUE_NONE;
		track->is_varying = events->type->size < 0;
		track->functions = palloc(sizeof(TimelineFunctions *) * list_length(events->functions));
		track->first_values = palloc(sizeof(int) * list_length(events->functions));
		foreach(functions, events->functions)
			add_functions(windows, track, lfirst(functions));
	}
	return &windows->taker;
}

/* Are statuses among the results of a spec? */
static bool
has_statuses(const Spec *spec)
{
	for (int i = 0; i < spec->nresults; i++)
	{
		if (spec->results[i].is_status)
			return true;
	}
	return false;
}

TimestampTz
window_taker_lo(Taker *taker, TimestampTz at)
{
	WindowTaker *windows = (WindowTaker *) taker;
	int64		result = PG_INT64_MAX;

	/* A status says whether there were events before the windows, too */
	if (has_statuses(windows->pass->answer->spec))
		return DT_NOBEGIN;
	for (int i = 0; i < windows->ntracks; i++)
		result = Min(result, timeline_lo(windows->tracks[i].timeline, at));
	return result;
}
