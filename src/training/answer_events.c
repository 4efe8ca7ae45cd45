/*
 * answer_events.c
 *	  How outputs over windows of features are answered: from the features' events.
 *
 * Items with the same keys share a plan, and features of one source and time
 * one of its passes, where the user can read the source: each input and filter
 * is a column of the statement.  Else the features' views are read, which have
 * their owner's rights, those with the same rows once.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "training/answer_plan.h"

extern Datum window_state_in(PG_FUNCTION_ARGS);
extern Datum agg_state_in(PG_FUNCTION_ARGS);

/* What the states that a SpecWindows is of are made of; NULL if they are not those of a feature. */
static JsonbContainer *
describe_states(SpecItem *item, const SpecWindows *windows)
{
	Oid			types[] = {REGCLASSOID, TEXTOID};
	Datum		values[] = {ObjectIdGetDatum(item->relid), (Datum) 0};
	const char *nulls = windows->attno ? "  " : " n";

	if (windows->attno)
		values[1] = CStringGetTextDatum(get_attname(item->relid, windows->attno, false));
	return call_for_object("SELECT featurestore._training_states($1, $2)", 2, types, values, nulls);
}

/* Are a source's keys of the types, and in the order, of those of an item? */
static bool
has_keys_of(const AnswerSource *source, ItemPlanner *planner)
{
	for (int i = 0; i < source->nkeys; i++)
	{
		Form_pg_attribute attr =
			TupleDescAttr(RelationGetDescr(planner->rel), planner->item->keys[i].attno - 1);

		if (source->key_types[i] != attr->atttypid || source->key_collations[i] != attr->attcollation)
			return false;
	}
	return true;
}

/* The plan of events with an item's keys, or NULL. */
static AnswerPlan *
find_plan(ItemPlanner *planner, const AnswerPlan *wanted, List *plans)
{
	ListCell   *lc;

	foreach(lc, plans)
	{
		AnswerPlan *plan = lfirst(lc);
		AnswerSource *source = linitial(plan->sources);

		if (source->kind == SOURCE_EVENTS && plan->nkeys == wanted->nkeys &&
			memcmp(plan->key_columns, wanted->key_columns, sizeof(int) * plan->nkeys) == 0 &&
			has_keys_of(source, planner))
			return plan;
	}
	return NULL;
}

/* Have two sources the same keys, in the same columns? */
static bool
same_keys(const AnswerSource *a, const AnswerSource *b)
{
	for (int i = 0; i < a->nkeys; i++)
	{
		if (a->key_types[i] != b->key_types[i] || a->key_collations[i] != b->key_collations[i] ||
			strcmp(a->keys[i], b->keys[i]) != 0)
			return false;
	}
	return true;
}

/* Do two views with the same text have the same rows?  Whose rights they are read with can decide. */
static bool
same_rows(const AnswerSource *a, const AnswerSource *b)
{
	return a->relid == b->relid ||
		(strcmp(a->rows, b->rows) == 0 && a->rows_owner == b->rows_owner);
}

/* The source of a plan that has these events; added if there is none yet. */
static AnswerSource *
find_source(ItemPlanner *planner, AnswerPlan *plan, JsonbContainer *states)
{
	bool		reads_source = json_get_bool(states, "reads_source");
	char	   *rows = reads_source ? NULL : json_get_string(states, "rows");
	AnswerSource *wanted = make_source(planner, SOURCE_EVENTS,
									   get_relation(states, reads_source ? "source" : "view"));
	ListCell   *lc;

	set_time(wanted, json_get_string(states, "time"));
	wanted->rows = rows;
	wanted->rows_owner = get_relation(states, "rows_owner");
	foreach(lc, plan->sources)
	{
		AnswerSource *source = lfirst(lc);

		if (strcmp(source->time, wanted->time) == 0 && same_keys(source, wanted) &&
			(rows ? source->rows && same_rows(source, wanted) :
			 !source->rows && source->relid == wanted->relid))
			return source;
	}
	wanted->origin = get_relation(states, "source");
	wanted->is_restricted = true;
	wanted->runs_code = true;
	if (planner->has_known_at)
		add_commit_times(wanted);
	plan->sources = lappend(plan->sources, wanted);
	return wanted;
}

/* Are two texts the same, or both absent? */
static bool
same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The track of a source with the input and filter of states; added if there is none yet. */
static EventTrack *
find_track(AnswerSource *source, JsonbContainer *states, const ValueType *type)
{
	char	   *input = json_get_string(states, "input");
	char	   *filter = source->rows ? NULL : json_get_string(states, "filter");
	EventTrack *track;
	ListCell   *lc;

	if (source->rows && input)
		input = "source.value";
	foreach(lc, source->tracks)
	{
		track = lfirst(lc);
		if (track->type == type && same_text(track->input, input) &&
			same_text(track->filter, filter))
			return track;
	}
	track = palloc0(sizeof(EventTrack));
	track->input = input;
	track->filter = filter;
	track->type = type;
	source->tracks = lappend(source->tracks, track);
	return track;
}

/* Does the parameter of a family only say how many values are kept? */
static bool
keeps_values(const Family *family)
{
	for (int i = 0; i < family->nfunctions; i++)
	{
		if (family->functions[i].param == PARAM_N)
			return true;
	}
	return false;
}

/* The functions of a track that a state of this spec would serve, too; added if there are none yet. */
static EventFunctions *
find_functions(EventTrack *track, const FamilySpec *family)
{
	EventFunctions *functions;
	ListCell   *lc;

	foreach(lc, track->functions)
	{
		functions = lfirst(lc);
		if (functions->family.family == family->family &&
			functions->family.collation == family->collation &&
			(functions->family.param == family->param || keeps_values(family->family)))
		{
			functions->family.param = Max(functions->family.param, family->param);
			return functions;
		}
	}
	functions = palloc0(sizeof(EventFunctions));
	functions->family = *family;
	track->functions = lappend(track->functions, functions);
	return functions;
}

/* Adds the outputs of states to functions; item is the item's place in the plan. */
static void
add_outputs(EventFunctions *functions, const SpecWindows *windows, int item)
{
	int			n = functions->noutputs + windows->plan->noutputs;
	WindowOutput *outputs = palloc(sizeof(WindowOutput) * n);
	int		   *items = palloc(sizeof(int) * n);
	int		   *columns = palloc(sizeof(int) * n);
	int			at = functions->noutputs;

	if (at > 0)
	{
		memcpy(outputs, functions->outputs, sizeof(WindowOutput) * at);
		memcpy(items, functions->items, sizeof(int) * at);
		memcpy(columns, functions->columns, sizeof(int) * at);
	}
	for (int k = 0; k < windows->plan->noutputs; k++, at++)
	{
		outputs[at] = windows->plan->outputs[k];
		items[at] = item;
		columns[at] = windows->positions[k];
	}
	functions->outputs = outputs;
	functions->items = items;
	functions->columns = columns;
	functions->noutputs = n;
}

/* What states are for. */
static FamilySpec
states_family(JsonbContainer *states, bool is_agg)
{
	char	   *text = json_get_string(states, "template");
	StateView	view;

	state_view((struct varlena *) DatumGetPointer(DirectFunctionCall1(is_agg ? agg_state_in : window_state_in,
																	  CStringGetDatum(text))), &view);
	return view.spec->family;
}

bool
plan_events(ItemPlanner *planner, int item, List **plans)
{
	SpecItem   *spec_item = planner->item;
	JsonbContainer **states = palloc(sizeof(JsonbContainer *) * Max(spec_item->nwindows, 1));
	AnswerPlan *wanted;
	AnswerPlan *plan;

	if (spec_item->nwindows == 0)
		return false;
	for (int i = 0; i < spec_item->ncolumns; i++)
	{
		if (spec_item->attnos[i])
			return false;
	}
	for (int i = 0; i < spec_item->nwindows; i++)
	{
		states[i] = describe_states(spec_item, &spec_item->windows[i]);
		if (!states[i])
			return false;
	}
	wanted = make_plan(planner, item);
	plan = find_plan(planner, wanted, *plans);
	if (plan)
		plan->items[plan->nitems++] = item;
	else
	{
		plan = wanted;
		*plans = lappend(*plans, plan);
	}
	for (int i = 0; i < spec_item->nwindows; i++)
	{
		FamilySpec	family = states_family(states[i], spec_item->windows[i].attno == 0);
		AnswerSource *source = find_source(planner, plan, states[i]);
		EventTrack *track = find_track(source, states[i], family.type);

		add_outputs(find_functions(track, &family), &spec_item->windows[i], plan->nitems - 1);
	}
	return true;
}

/* The filter that all tracks of a source have, or NULL. */
static const char *
common_filter(AnswerSource *source)
{
	const char *filter = ((EventTrack *) linitial(source->tracks))->filter;
	ListCell   *lc;

	foreach(lc, source->tracks)
	{
		if (!same_text(((EventTrack *) lfirst(lc))->filter, filter))
			return NULL;
	}
	return filter;
}

/*
 * SQL for the events of a track: the input, NULL where there is none; or true
 * for rows that count.  Inputs of rows that the filter leaves out are not
 * computed.
 */
static char *
track_sql(const EventTrack *track, const char *filter)
{
	if (!filter)
		return track->input ? psprintf("(%s)", track->input) : "true";
	if (!track->input)
		return psprintf("(%s)", filter);
	return psprintf("CASE WHEN %s THEN (%s) END", filter, track->input);
}

/* Lays out what a source of events gives, and what is read for it. */
static void
finish_source(AnswerSource *source)
{
	const char *filter = common_filter(source);
	ListCell   *lc;
	ListCell   *cell;

	source->filter = filter ? pstrdup(filter) : NULL;
	source->columns = palloc(sizeof(char *) * list_length(source->tracks));
	foreach(lc, source->tracks)
	{
		EventTrack *track = lfirst(lc);

		source->columns[source->ncolumns++] = track_sql(track, filter ? NULL : track->filter);
		foreach(cell, track->functions)
			source->nvalues += ((EventFunctions *) lfirst(cell))->noutputs;
	}
	source->value_items = palloc(sizeof(int) * source->nvalues);
	source->value_columns = palloc(sizeof(int) * source->nvalues);
	source->nvalues = 0;
	foreach(lc, source->tracks)
	{
		foreach(cell, ((EventTrack *) lfirst(lc))->functions)
		{
			EventFunctions *functions = lfirst(cell);
			Size		bytes = sizeof(int) * functions->noutputs;

			functions->first_value = source->nvalues;
			memcpy(source->value_items + source->nvalues, functions->items, bytes);
			memcpy(source->value_columns + source->nvalues, functions->columns, bytes);
			source->nvalues += functions->noutputs;
		}
	}
}

void
finish_event_plans(List *plans)
{
	ListCell   *lc;
	ListCell   *cell;

	foreach(lc, plans)
	{
		foreach(cell, ((AnswerPlan *) lfirst(lc))->sources)
		{
			AnswerSource *source = lfirst(cell);

			if (source->kind == SOURCE_EVENTS)
				finish_source(source);
		}
	}
}
