/*
 * run.c
 *	  A training run: a lookup whose rows are labels, each with a T of its own.
 *
 * First each lookup of the spec is asked for all labels, in passes over them:
 * one pass asks what the keys are known for, which can be outputs of lookups
 * answered before, or computed of these.  Then a last pass gives the rows.  A
 * pass goes by chunks; for a chunk the working rows are filled as in a lookup,
 * with what the answers give in the place of what probes find.  Answers come in
 * order of labels, so a pass reads them side by side.
 *
 * Labels without a time have no features: nothing is asked or computed for them.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalog/progress.h"
#include "training/labels.h"
#include "compat.h"

/* Labels of a chunk at most, and of the first one */
#define CHUNK_LABELS 1024
#define FIRST_CHUNK_LABELS 64

/* An answer that is being read, and the label it is at. */
typedef struct RunAnswer
{
	AnswerPlan *plan;
	Answer	   *answer;
	AnswerItem *items;
	int64		row;			/* that items are of; 0: none yet */
	bool		at_end;
} RunAnswer;

TrainingRun *
training_open(Oid type, Spec *spec, const LabelOptions *options, bool allow_current,
			  Datum visible_in)
{
	TrainingRun *run = palloc0_object(TrainingRun);
	LookupRun  *lookup = palloc0_object(LookupRun);

	lookup_open_tables(lookup, type, spec);
	run->lookup = lookup;
	run->visible_in = visible_in;
	run->cxt = CurrentMemoryContext;
	run->labels = labels_describe(lookup->spec, options);
	run->plans = plan_answers(lookup->spec, options->known_at != NULL, allow_current);
	run->answers = palloc0_array(RunAnswer, list_length(run->plans) + 1);
	run->is_known = palloc0_array(bool, lookup->spec->nitems + 1);
	return run;
}

/* Says what is done now, and of how many labels; each lookup is for all of them. */
static void
begin_phase(TrainingRun *run, ProgressPhase phase, int64 total)
{
	progress_begin(run->lookup->spec->relid, OPERATION_TRAIN, phase, total);
}

static int64
count_labels(TrainingRun *run)
{
	return tuplestore_tuple_count(run->labels->store);
}

/* Prepares a run over the labels, which are read. */
static void
begin_passes(TrainingRun *run)
{
	Spec	   *spec = run->lookup->spec;

	run->request.columns = palloc0_array(RequestColumn, spec->nargs);
	for (int i = 0; i < spec->nargs; i++)
	{
		run->request.columns[i].values = palloc_array(Datum, CHUNK_LABELS);
		run->request.columns[i].nulls = palloc_array(bool, CHUNK_LABELS);
	}
	run->request.times = palloc_array(TimestampTz, CHUNK_LABELS);
	run->known_at = palloc_array(TimestampTz, CHUNK_LABELS);
	run->label_rows = palloc_array(int64, CHUNK_LABELS);
	run->chunk_rows = palloc_array(int, CHUNK_LABELS);
	run->tuples = palloc_array(MinimalTuple, CHUNK_LABELS);
	run->slot = MakeSingleTupleTableSlot(run->labels->desc, &TTSOpsMinimalTuple);
	run->chunk_limit = FIRST_CHUNK_LABELS;
	run->chunk_cxt = AllocSetContextCreate(run->cxt, "featurestore training chunk",
										   ALLOCSET_DEFAULT_SIZES);

	run->lookup->request = &run->request;
	run->lookup->cxt = run->cxt;
	run->lookup->chunk_cxt = run->cxt;	/* chunks are bounded here */
	for (int i = 0; i < spec->nitems; i++)
		run->lookup->items[i].table_status = STATUS_PRESENT;
	row_start(run->lookup);
}

/* Starts from the first label again. */
static void
rewind_labels(TrainingRun *run)
{
	tuplestore_rescan(run->labels->store);
	run->first = 0;
	run->nlabels = 0;
	for (int i = 0; i < run->nanswers; i++)
	{
		answer_rewind(run->answers[i].answer);
		run->answers[i].row = 0;
		run->answers[i].at_end = false;
	}
}

/* Makes the label in the slot a row of the request. */
static void
add_request_row(TrainingRun *run, LabelTimes times)
{
	int			row = run->request.nrows++;

	run->label_rows[row] = run->first + run->nlabels + 1;
	run->request.times[row] = times.at;
	run->known_at[row] = times.known_at;
	for (int i = 0; i < run->lookup->spec->nargs; i++)
	{
		RequestColumn *column = &run->request.columns[i];

		column->nulls[row] = !label_argument(run->labels, i, run->slot, &column->values[row]);
	}
}

/* How many labels to take next, given what this chunk took. */
static void
adapt_chunk_limit(TrainingRun *run)
{
	Size		allocated = MemoryContextMemAllocated(run->chunk_cxt, true);
	Size		allowed = (Size) work_mem * 1024;

	if (allocated > allowed / 2)
		run->chunk_limit = Max(run->chunk_limit / 2, 1);
	else if (allocated < allowed / 8)
		run->chunk_limit = Min(run->chunk_limit * 2, CHUNK_LABELS);
}

/*
 * The next label's tuple, which the slot has, too; NULL at the end.  It stays
 * until the chunk's memory is reset, or longer: the store holds it, or has read
 * it from disk for us.
 */
static MinimalTuple
next_tuple(TrainingRun *run)
{
	TupleTableSlot *slot = run->slot;

	if (!tuplestore_gettupleslot(run->labels->store, true, false, slot))
		return NULL;
	slot->tts_flags &= ~TTS_FLAG_SHOULDFREE;
	slot_getallattrs(slot);
	return ((MinimalTupleTableSlot *) slot)->mintuple;
}

/* Reads the next labels; false when there are none. */
static bool
next_labels(TrainingRun *run)
{
	MemoryContext old;

	CHECK_FOR_INTERRUPTS();
	ExecClearTuple(run->slot);
	adapt_chunk_limit(run);
	MemoryContextReset(run->chunk_cxt);
	old = MemoryContextSwitchTo(run->chunk_cxt);
	run->first += run->nlabels;
	run->nlabels = 0;
	run->request.nrows = 0;
	while (run->nlabels < run->chunk_limit &&
		   (run->tuples[run->nlabels] = next_tuple(run)) != NULL)
	{
		LabelTimes	times = label_times(run->labels, run->slot);

		run->chunk_rows[run->nlabels] = times.has_times ? run->request.nrows : -1;
		if (times.has_times)
			add_request_row(run, times);
		run->nlabels++;
	}
	MemoryContextSwitchTo(old);
	run->lookup->chunk_rows = run->request.nrows;
	run->next = 0;
	return run->nlabels > 0;
}

/* What an answer gives for a label; NULL if it was not asked. */
static AnswerItem *
answer_of(RunAnswer *answer, int64 row)
{
	while (!answer->at_end && answer->row < row)
		answer->at_end = !answer_next(answer->answer, &answer->row, answer->items);
	return !answer->at_end && answer->row == row ? answer->items : NULL;
}

/*
 * The time that a history is asked for: T, or when it was to be known by.  Rows
 * with a time of their own say by that whether they count at T.
 */
TimestampTz
history_time(SpecItem *item, const LabelTimes *times, bool has_known_at)
{
	if (!has_known_at)
		return times->at;
	return item->time_attno ? times->known_at : Min(times->at, times->known_at);
}

/*
 * Fills in what an answer gives for the chunk.  Before a history begins nothing
 * is known, and so there are no defaults either.
 */
static void
fill_answered(TrainingRun *run, RunAnswer *answer)
{
	LookupRun  *lookup = run->lookup;
	AnswerPlan *plan = answer->plan;

	for (int i = 0; i < plan->nitems; i++)
		prepare_results(lookup, &lookup->items[plan->items[i]], lookup->chunk_rows);
	for (int row = 0; row < lookup->chunk_rows; row++)
	{
		AnswerItem *found = answer_of(answer, run->label_rows[row]);
		LabelTimes	times = {run->request.times[row], run->known_at[row], true};

		for (int i = 0; i < plan->nitems; i++)
		{
			ItemRun    *irun = &lookup->items[plan->items[i]];

			if (plan->point_in_time == POINT_HISTORY_FROM &&
				history_time(irun->item, &times, plan->has_known_at) < plan->history_from)
			{
				irun->results[row].status = STATUS_TOO_OLD;
				fill_missing(lookup, irun, row);
				continue;
			}
			if (!found || !found[i].found)
			{
				fill_missing(lookup, irun, row);
				continue;
			}
			irun->results[row].has_time = found[i].has_time;
			irun->results[row].event_time = found[i].event_time;
			keep_answer(lookup, irun, row, times.at, found[i].values, found[i].nulls,
						found[i].flags);
		}
	}
}

/* Fills in, for the chunk, what answers and the expressions that keys need give so far. */
static void
fill_chunk(TrainingRun *run)
{
	LookupRun  *lookup = run->lookup;
	MemoryContext old = MemoryContextSwitchTo(run->chunk_cxt);

	for (int i = 0; i < lookup->spec->nitems; i++)
		lookup->items[i].values = NULL;
	for (int i = 0; i < run->nanswers; i++)
		fill_answered(run, &run->answers[i]);
	for (int i = 0; i < lookup->spec->nitems; i++)
	{
		if (run->is_known[i] && lookup->items[i].item->is_early)
			row_compute_early(lookup, &lookup->items[i]);
	}
	MemoryContextSwitchTo(old);
}

/* Are all columns known that an early expression reads? */
static bool
can_compute(TrainingRun *run, SpecItem *item)
{
	List	   *vars = pull_var_clause((Node *) item->expr, 0);
	ListCell   *lc;

	foreach(lc, vars)
	{
		int			giver = run->lookup->spec->columns[((Var *) lfirst(lc))->varattno - 1].item;

		if (giver >= 0 && !run->is_known[giver])
			return false;
	}
	return true;
}

/* Notes which items are known by now; each comes after what it is computed of. */
static void
note_known(TrainingRun *run)
{
	Spec	   *spec = run->lookup->spec;

	for (int i = 0; i < run->nanswers; i++)
	{
		AnswerPlan *plan = run->answers[i].plan;

		for (int k = 0; k < plan->nitems; k++)
			run->is_known[plan->items[k]] = true;
	}
	for (int i = 0; i < spec->nitems; i++)
	{
		if (spec->items[i].is_early)
			run->is_known[i] = can_compute(run, &spec->items[i]);
	}
}

/* Asks an answer for all labels whose keys are not NULL. */
static void
ask_labels(TrainingRun *run, RunAnswer *answer)
{
	LookupRun  *lookup = run->lookup;
	ItemRun    *irun = &lookup->items[answer->plan->items[0]];
	Datum		keys[INDEX_MAX_KEYS];

	while (next_labels(run))
	{
		fill_chunk(run);
		for (int row = 0; row < lookup->chunk_rows; row++)
		{
			MemoryContext old = MemoryContextSwitchTo(run->chunk_cxt);
			bool		has_keys = fetch_keys(lookup, irun, row, keys);

			MemoryContextSwitchTo(old);
			if (has_keys)
				answer_ask(answer->answer, run->label_rows[row], keys, run->request.times[row],
						   run->known_at[row]);
		}
		pgstat_progress_update_param(PROGRESS_DONE, run->nanswers * count_labels(run) +
									 run->first + run->nlabels);
	}
}

/* Answers the next of the plans. */
static void
answer_plan(TrainingRun *run, AnswerPlan *plan)
{
	RunAnswer  *answer = &run->answers[run->nanswers];

	answer->plan = plan;
	answer->answer = answer_begin(run->lookup->spec, plan, run->visible_in);
	answer->items = palloc0_array(AnswerItem, plan->nitems);
	rewind_labels(run);
	ask_labels(run, answer);
	answer_perform(answer->answer);
	run->nanswers++;
	note_known(run);
}

void
training_start(TrainingRun *run)
{
	ListCell   *lc;

	lookup_begin_active(run->lookup);
	begin_phase(run, PHASE_READING_LABELS, -1);
	labels_read(run->labels);
	begin_phase(run, PHASE_LOOKING_UP, count_labels(run) * list_length(run->plans));
	begin_passes(run);
	note_known(run);
	foreach(lc, run->plans)
		answer_plan(run, lfirst(lc));
	rewind_labels(run);
	begin_phase(run, PHASE_GIVING_ROWS, count_labels(run));
}

bool
training_next(TrainingRun *run)
{
	int			row;

	if (run->next >= run->nlabels)
	{
		pgstat_progress_update_param(PROGRESS_DONE, run->first + run->nlabels);
		if (!next_labels(run))
			return false;
		fill_chunk(run);
	}
	ExecStoreMinimalTuple(run->tuples[run->next], run->slot, false);
	slot_getallattrs(run->slot);
	run->row = run->first + run->next + 1;
	row = run->chunk_rows[run->next++];
	run->has_outputs = row >= 0;
	if (run->has_outputs)
	{
		run->times.at = run->request.times[row];
		run->times.known_at = run->known_at[row];
		run->lookup->row = row;
		row_fill(run->lookup, row);
	}
	return true;
}

void
training_close(TrainingRun *run)
{
	for (int i = 0; i < run->nanswers; i++)
		answer_end(run->answers[i].answer);
	tuplestore_end(run->labels->store);
	ExecDropSingleTupleTableSlot(run->slot);
	lookup_close(run->lookup);
	pgstat_progress_end_command();
}
