/*
 * report.c
 *	  How point-in-time the outputs of a training set are, and how many labels
 *	  they cover.
 *
 * An output is as good as the worst of the lookups that it is made of: those
 * that give it, or what it is computed of, and those that give their keys.  A
 * label is not covered where what its output would be made of is gone: a table's
 * history begins later, or the source has been purged of what the window, or the
 * row, would be of.
 */
#include "postgres.h"

#include "access/xact.h"
#include "optimizer/optimizer.h"
#include "utils/timestamp.h"

#include "training/labels.h"
#include "window/state.h"
#include "compat.h"

/* Is a result column of the spec one that training adds to the labels? */
bool
is_training_output(Spec *spec, int result)
{
	return spec->results[result].is_status || spec->results[result].column > spec->nargs;
}

/* Adds the columns of lookups that a column is made of. */
static Bitmapset *
add_inputs(Spec *spec, int column, Bitmapset *inputs)
{
	SpecItem   *item;
	List	   *vars;
	ListCell   *lc;

	if (spec->columns[column].item < 0 || bms_is_member(column, inputs))
		return inputs;
	item = &spec->items[spec->columns[column].item];
	if (OidIsValid(item->relid))
	{
		inputs = bms_add_member(inputs, column);
		for (int i = 0; i < item->nkeys; i++)
			inputs = add_inputs(spec, item->keys[i].column, inputs);
		return inputs;
	}
	vars = pull_var_clause((Node *) item->expr, 0);
	foreach(lc, vars)
		inputs = add_inputs(spec, ((Var *) lfirst(lc))->varattno - 1, inputs);
	return inputs;
}

/* The plan that answers an item. */
static AnswerPlan *
plan_of(TrainingRun *run, int item)
{
	ListCell   *lc;

	foreach(lc, run->plans)
	{
		AnswerPlan *plan = lfirst(lc);

		for (int i = 0; i < plan->nitems; i++)
		{
			if (plan->items[i] == item)
				return plan;
		}
	}
	elog(ERROR, "item %d has no answer", item);
	return NULL;
}

/* From when on the source of a published table has all its rows, if these leave it by purges. */
static TimestampTz
retained_from(Oid relid)
{
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];
	Datum		from;

	if (!catalog_fetch("publication", relid, NULL, values, nulls) ||
		nulls[Anum_publication_source_retention - 1])
		return DT_NOBEGIN;
	from = DirectFunctionCall2(timestamptz_mi_interval,
							   TimestampTzGetDatum(GetCurrentStatementStartTimestamp()),
							   values[Anum_publication_source_retention - 1]);
	return DatumGetTimestampTz(from);
}

/* Finds from when on what is read for each working column is there. */
static void
find_coverage(TrainingReport *report)
{
	Spec	   *spec = report->run->lookup->spec;

	for (int i = 0; i < spec->ncolumns; i++)
		report->covered_from[i] = DT_NOBEGIN;
	for (int i = 0; i < spec->nitems; i++)
	{
		SpecItem   *item = &spec->items[i];
		AnswerPlan *plan;
		TimestampTz from;

		if (!OidIsValid(item->relid))
			continue;
		plan = plan_of(report->run, i);
		if (plan->point_in_time == POINT_CURRENT_ROW)
			continue;
		from = plan->point_in_time == POINT_HISTORY_FROM ? plan->history_from :
			retained_from(item->relid);
		report->is_bounded |= from != DT_NOBEGIN;
		for (int k = 0; k < item->ncolumns; k++)
			report->covered_from[item->first_column + k] = from;
	}
}

/* Sets up one output. */
static void
describe_output(TrainingReport *report, OutputReport *output, int result)
{
	Spec	   *spec = report->run->lookup->spec;

	output->result = result;
	output->history_from = DT_NOBEGIN;
	output->inputs = add_inputs(spec, spec->results[result].column, NULL);
	for (int column = -1; (column = bms_next_member(output->inputs, column)) >= 0;)
	{
		AnswerPlan *plan = plan_of(report->run, spec->columns[column].item);

		output->point_in_time = Max(output->point_in_time, plan->point_in_time);
		if (plan->point_in_time == POINT_HISTORY_FROM)
			output->history_from = Max(output->history_from, plan->history_from);
	}
}

TrainingReport *
report_begin(TrainingRun *run)
{
	TrainingReport *report = palloc0_object(TrainingReport);
	Spec	   *spec = run->lookup->spec;

	report->run = run;
	report->covered_from = palloc_array(TimestampTz, spec->ncolumns);
	report->outputs = palloc0_array(OutputReport, spec->nresults);
	find_coverage(report);
	for (int i = 0; i < spec->nresults; i++)
	{
		if (is_training_output(spec, i) && !spec->results[i].is_status)
			describe_output(report, &report->outputs[report->noutputs++], i);
	}
	return report;
}

/* The window of a window output that is computed from its source; NULL for other columns. */
static const TimeWindow *
window_of(Spec *spec, int column)
{
	SpecItem   *item = &spec->items[spec->columns[column].item];

	for (int i = 0; i < item->nwindows; i++)
	{
		for (int k = 0; k < item->windows[i].plan->noutputs; k++)
		{
			if (item->first_column + item->windows[i].positions[k] == column)
				return &item->windows[i].plan->outputs[k].window;
		}
	}
	return NULL;
}

/* Is a lookup's column made of what is there, at the times of the current label? */
static bool
is_covered(TrainingReport *report, int column)
{
	Spec	   *spec = report->run->lookup->spec;
	LabelTimes *times = &report->run->times;
	TimestampTz from = report->covered_from[column];
	AnswerPlan *plan;
	const TimeWindow *window;

	if (from == DT_NOBEGIN)
		return true;
	plan = plan_of(report->run, spec->columns[column].item);
	if (plan->point_in_time == POINT_HISTORY_FROM)
		return history_time(&spec->items[spec->columns[column].item], times,
							plan->has_known_at) >= from;
	window = window_of(spec, column);
	return (window && window->kind != 0 ? window_lo(window, times->at) : times->at) >= from;
}

void
report_count(TrainingReport *report, const bool *nulls)
{
	report->rows++;
	for (int i = 0; i < report->noutputs; i++)
	{
		OutputReport *output = &report->outputs[i];
		int			column = -1;

		output->nulls += nulls[output->result];
		if (!report->is_bounded || !report->run->has_outputs)
			continue;
		while ((column = bms_next_member(output->inputs, column)) >= 0 && is_covered(report, column))
			;
		output->not_covered += column >= 0;
	}
}
