/*
 * answer.c
 *	  Asking for labels, and giving what was found.
 *
 * Labels are sorted by key and time, results by row, each within half of
 * work_mem (asked.c, results.c).  In between the source is read by the plan that costs least: a
 * sweep over all of it in the order of the labels, or a seek, which looks up
 * what each label, or each key, needs.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "training/answer.h"

int			training_plan = TRAINING_PLAN_AUTO;

/*
 * What a page costs that is cached, and what looking something up costs besides,
 * in the planner's units.  The planner takes each probe for the first; in truth
 * a source that fits in the cache is read from disk once at most.
 */
#define CACHED_PAGE_COST "0.1"
#define SEEK_COST 1.5

const char *
point_in_time_name(PointInTime point)
{
	static const char *const names[] = {"EXACT", "HISTORY_FROM", "CURRENT_ROW"};

	return names[point];
}

/* Finds out what keys are and how they compare. */
static void
describe_keys(Answer *answer)
{
	AnswerSource *source = linitial(answer->plan->sources);

	answer->nkeys = source->nkeys;
	answer->key_types = source->key_types;
	answer->key_order = palloc0(sizeof(SortSupportData) * source->nkeys);
	answer->key_byval = palloc(sizeof(bool) * source->nkeys);
	answer->key_lengths = palloc(sizeof(int16) * source->nkeys);
	for (int i = 0; i < source->nkeys; i++)
	{
		Oid			operator = lookup_type_cache(source->key_types[i], TYPECACHE_LT_OPR)->lt_opr;

		if (!OidIsValid(operator))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("%s: could not identify an ordering operator for type %s",
							source->label, format_type_be(source->key_types[i])),
					 errdetail("Training reads rows in order of their keys.")));
		answer->key_order[i].ssup_cxt = answer->cxt;
		answer->key_order[i].ssup_collation = source->key_collations[i];
		PrepareSortSupportFromOrderingOp(operator, &answer->key_order[i]);
		get_typlenbyval(source->key_types[i], &answer->key_lengths[i], &answer->key_byval[i]);
	}
	answer->has_integer_key = source->nkeys == 1 && is_integer_type(source->key_types[0]);
}

/* Places in a result; flags come last. */
#define RESULT_ROW 0
#define RESULT_FOUND 1
#define RESULT_TIME 2
#define RESULT_VALUES 3

/* The column of the working row that a value of a source is for. */
static SpecColumn *
value_column(AnswerPass *pass, int value)
{
	Spec	   *spec = pass->answer->spec;
	int			item = pass->answer->plan->items[pass->source->value_items[value]];

	return &spec->columns[spec->items[item].first_column + pass->source->value_columns[value]];
}

/* The columns of a result: row, found, event time, values, and their flags if there are windows. */
static TupleDesc
result_columns(AnswerPass *pass)
{
	int			nvalues = pass->source->nvalues;
	bool		has_windows = false;
	TupleDesc	desc;

	for (int i = 0; i < nvalues; i++)
		has_windows |= value_column(pass, i)->is_window;
	desc = CreateTemplateTupleDesc(RESULT_VALUES + nvalues + (has_windows ? 1 : 0));
	TupleDescInitEntry(desc, RESULT_ROW + 1, NULL, INT8OID, -1, 0);
	TupleDescInitEntry(desc, RESULT_FOUND + 1, NULL, BOOLOID, -1, 0);
	TupleDescInitEntry(desc, RESULT_TIME + 1, NULL, TIMESTAMPTZOID, -1, 0);
	for (int i = 0; i < nvalues; i++)
		TupleDescInitEntry(desc, RESULT_VALUES + i + 1, NULL, value_column(pass, i)->type, -1, 0);
	if (has_windows)
	{
		TupleDescInitEntry(desc, RESULT_VALUES + nvalues + 1, NULL, BYTEAOID, -1, 0);
		pass->flags_bytes = palloc0(VARHDRSZ + nvalues);
		SET_VARSIZE(pass->flags_bytes, VARHDRSZ + nvalues);
		pass->flags = (uint8 *) VARDATA(pass->flags_bytes);
	}
	return desc;
}

static void
begin_pass(Answer *answer, AnswerPass *pass, AnswerSource *source)
{
	pass->answer = answer;
	pass->source = source;
	pass->result_desc = result_columns(pass);
	pass->result = MakeSingleTupleTableSlot(pass->result_desc, &TTSOpsVirtual);
	pass->found = &pass->result->tts_values[RESULT_FOUND];
	pass->event_time = &pass->result->tts_values[RESULT_TIME];
	pass->has_no_time = &pass->result->tts_isnull[RESULT_TIME];
	pass->values = &pass->result->tts_values[RESULT_VALUES];
	pass->nulls = &pass->result->tts_isnull[RESULT_VALUES];
	pass->taker = source->kind == SOURCE_EVENTS ? window_taker(pass) : as_of_taker(pass);
}

/* Makes room for what is given of each item. */
static void
make_items(Answer *answer)
{
	answer->items = palloc0(sizeof(AnswerItem) * answer->plan->nitems);
	for (int i = 0; i < answer->plan->nitems; i++)
	{
		int			n = Max(answer->spec->items[answer->plan->items[i]].ncolumns, 1);

		answer->items[i].values = palloc0(sizeof(Datum) * n);
		answer->items[i].nulls = palloc(sizeof(bool) * n);
		memset(answer->items[i].nulls, true, sizeof(bool) * n);
		answer->items[i].flags = palloc0(n);
	}
}

Answer *
answer_begin(Spec *spec, AnswerPlan *plan, Datum visible_in)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "featurestore answer",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Answer	   *answer = palloc0(sizeof(Answer));
	ListCell   *lc;

	answer->cxt = cxt;
	answer->spec = spec;
	answer->plan = plan;
	if (visible_in != (Datum) 0)
	{
		Oid			output;
		bool		is_varlena;

		foreach(lc, plan->sources)
			check_restriction(lfirst(lc));
		getTypeOutputInfo(PG_SNAPSHOTOID, &output, &is_varlena);
		answer->visible_in = OidOutputFunctionCall(output, visible_in);
	}
	answer->first_at = DT_NOEND;
	answer->last_bound = DT_NOBEGIN;
	answer->first_row = PG_INT64_MAX;
	answer->last_row = PG_INT64_MIN;
	describe_keys(answer);
	make_items(answer);
	answer->npasses = list_length(plan->sources);
	answer->labels = asked_begin(answer);
	answer->passes = palloc0(sizeof(AnswerPass) * answer->npasses);
	foreach(lc, plan->sources)
		begin_pass(answer, &answer->passes[foreach_current_index(lc)], lfirst(lc));
	MemoryContextSwitchTo(old);
	return answer;
}

void
answer_ask(Answer *answer, int64 row, const Datum *keys, TimestampTz at, TimestampTz known_at)
{
	AskedLabel	label = {
		.keys = unconstify(Datum *, keys),.bound = at,.row = row,.at = at,
		.known_at = answer->plan->has_known_at ? known_at : DT_NOEND
	};
	SourceKind	kind = ((AnswerSource *) linitial(answer->plan->sources))->kind;

	/* Of versions, that which was valid at T and known is the one valid at the earlier of both */
	if (kind == SOURCE_VERSIONS)
		label.bound = Min(at, label.known_at);
	/* Those of a row that has a time come in the order in which they became known */
	if (kind == SOURCE_VERSIONS_BY_DATE)
	{
		label.bound = known_at;
		label.known_at = at;
	}
	asked_add(answer->labels, &label);
	answer->first_row = Min(answer->first_row, row);
	answer->last_row = Max(answer->last_row, row);
	answer->first_at = Min(answer->first_at, at);
	answer->last_bound = Max(answer->last_bound, label.bound);
}

/* Gives the result of a label, once rows have come. */
void
give_label(AnswerPass *pass, const AskedLabel *label)
{
	TupleTableSlot *slot = pass->result;
	int			nvalues = pass->source->nvalues;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * (RESULT_VALUES + nvalues));
	slot->tts_values[RESULT_ROW] = Int64GetDatum(label->row);
	slot->tts_isnull[RESULT_ROW] = false;
	*pass->found = BoolGetDatum(false);
	slot->tts_isnull[RESULT_FOUND] = false;
	if (pass->flags)
	{
		memset(pass->flags, 0, nvalues);
		slot->tts_values[RESULT_VALUES + nvalues] = PointerGetDatum(pass->flags_bytes);
		slot->tts_isnull[RESULT_VALUES + nvalues] = false;
	}
	pass->taker->give(pass->taker, label);
	ExecStoreVirtualTuple(slot);
	results_put(pass->results, slot);
}

/* Plans a statement; its cost is what the planner says. */
static SPIPlanPtr
prepare(AnswerSource *source, const char *sql, int nargs, Oid *types, int options, double *cost)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(sql, nargs, types, options);
	CachedPlan *cached;

	if (!plan)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	check_reader(source, plan);
	if (cost)
	{
		cached = SPI_plan_get_cached_plan(plan);
		if (!cached)
			elog(ERROR, "could not plan \"%s\"", sql);
		*cost = linitial_node(PlannedStmt, cached->stmt_list)->planTree->total_cost;
		ReleaseCachedPlan(cached, NULL);
	}
	return plan;
}

/* Types of the parameters of a query for points or ranges, or of a probe of it; gives how many. */
static int
parameter_types(AnswerSource *source, bool is_probe, bool is_range, Oid *types)
{
	int			n = source->nkeys;

	memcpy(types, source->key_types, sizeof(Oid) * n);
	if (is_range && !is_probe)
	{
		types[n++] = source->time_type;
		types[n++] = source->time_type;
	}
	else if (!is_range)
	{
		types[n++] = source->time ? source->time_type : TIMESTAMPTZOID;
		if (source->arrived)
			types[n++] = TIMESTAMPTZOID;
	}
	for (int i = 0; !is_probe && i < n; i++)
		types[i] = get_array_type(types[i]);
	return n;
}

/* What looking up a label costs. */
static double
seek_cost(AnswerPass *pass, bool is_range)
{
	Oid			types[INDEX_MAX_KEYS + 3];
	int			n = parameter_types(pass->source, true, is_range, types);
	char	   *sql = is_range ? range_query(pass, true) : point_query(pass, true);
	double		cost;

	SPI_freeplan(prepare(pass->source, sql, n, types, CURSOR_OPT_GENERIC_PLAN, &cost));
	return cost + SEEK_COST;
}

/* Bytes of a table with its indexes and partitions; 0 for what has none here. */
static int64
relation_size(Oid relid)
{
	List	   *relids = get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ?
		find_all_inheritors(relid, NoLock, NULL) : list_make1_oid(relid);
	int64		result = 0;
	ListCell   *lc;

	foreach(lc, relids)
	{
		LOCAL_FCINFO(fcinfo, 1);
		Datum		size;

		InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
		fcinfo->args[0].value = ObjectIdGetDatum(lfirst_oid(lc));
		fcinfo->args[0].isnull = false;
		size = pg_total_relation_size(fcinfo);
		result += fcinfo->isnull ? 0 : DatumGetInt64(size);
	}
	return result;
}

/* Does a source fit in the cache, as far as the planner knows? */
static bool
fits_in_cache(AnswerSource *source)
{
	int64		size = relation_size(source->origin);

	return size > 0 && size / BLCKSZ <= effective_cache_size;
}

/* Sets what holds while sources are read: names mean what they meant, pages cost what they do. */
static void
set_options(AnswerPass *pass)
{
	set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
	if (!fits_in_cache(pass->source))
		return;
	set_config_option("random_page_cost", CACHED_PAGE_COST, PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
	set_config_option("seq_page_cost", CACHED_PAGE_COST, PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
}

/* Looks up what the labels need: of events all rows of a key in a range, else the one row that counts. */
static void
seek(AnswerPass *pass, bool is_range)
{
	Oid			types[INDEX_MAX_KEYS + 3];
	int			n = parameter_types(pass->source, false, is_range, types);
	char	   *sql = is_range ? range_query(pass, false) : point_query(pass, false);
	SPIPlanPtr	plan = prepare(pass->source, sql, n, types, CURSOR_OPT_GENERIC_PLAN, NULL);

	if (is_range)
		seek_ranges(pass, plan);
	else
		seek_points(pass, plan);
}

/* Reads a source by the plan that costs least. */
static void
read_source(AnswerPass *pass)
{
	bool		is_range = pass->source->kind == SOURCE_EVENTS;
	char	   *sweep;
	double		cost;
	SPIPlanPtr	plan;
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	/* Names are those of now: labels may have been long in coming */
	LockRelationOid(pass->source->relid, AccessShareLock);
	pass->source->relation = relation_name(pass->source->relid);
	SPI_connect();
	set_options(pass);
	sweep = sweep_query(pass);
	become_reader(pass->source, sweep);
	if (training_plan == TRAINING_PLAN_SEEK)
		seek(pass, is_range);
	else
	{
		plan = prepare(pass->source, sweep, 0, NULL, CURSOR_OPT_PARALLEL_OK, &cost);
		if (training_plan == TRAINING_PLAN_AUTO &&
			seek_cost(pass, is_range) * asked_count(pass->answer->labels) < cost)
			seek(pass, is_range);
		else
			sweep_all(pass, plan);
	}
	SetUserIdAndSecContext(user, context);
	SPI_finish();
}

/* Performs one pass; all have their part of half of work_mem for results. */
static void
perform_pass(AnswerPass *pass)
{
	Answer	   *answer = pass->answer;
	int			nest_level = NewGUCNestLevel();

	pass->results = results_begin(pass->result_desc, answer->first_row, answer->last_row,
								  asked_count(answer->labels),
								  (Size) work_mem * 1024 / 2 / answer->npasses);
	if (asked_count(answer->labels) > 0)
		read_source(pass);
	/* Functions may have changed more settings than were changed here */
	AtEOXact_GUC(false, nest_level);
	results_finish(pass->results);
}

void
answer_perform(Answer *answer)
{
	MemoryContext old = MemoryContextSwitchTo(answer->cxt);

	asked_sort(answer->labels);
	for (int i = 0; i < answer->npasses; i++)
	{
		if (i > 0)
			asked_rewind(answer->labels);
		perform_pass(&answer->passes[i]);
	}
	asked_end(answer->labels);
	answer->labels = NULL;
	MemoryContextSwitchTo(old);
}

/* Puts what a pass found for a row into the items. */
static void
give_found(AnswerPass *pass, TupleTableSlot *slot)
{
	AnswerSource *source = pass->source;
	uint8	   *flags = NULL;

	if (pass->flags)
		flags = (uint8 *) VARDATA_ANY(DatumGetPointer(slot->tts_values[RESULT_VALUES + source->nvalues]));
	for (int i = 0; i < source->nvalues; i++)
	{
		AnswerItem *item = &pass->answer->items[source->value_items[i]];
		int			column = source->value_columns[i];

		item->found |= DatumGetBool(slot->tts_values[RESULT_FOUND]);
		item->has_time |= !slot->tts_isnull[RESULT_TIME];
		item->event_time = DatumGetTimestampTz(slot->tts_values[RESULT_TIME]);
		item->values[column] = slot->tts_values[RESULT_VALUES + i];
		item->nulls[column] = slot->tts_isnull[RESULT_VALUES + i];
		if (flags)
			item->flags[column] = flags[i];
	}
}

bool
answer_next(Answer *answer, int64 *row, AnswerItem *items)
{
	for (int i = 0; i < answer->plan->nitems; i++)
		answer->items[i].found = answer->items[i].has_time = false;
	for (int i = 0; i < answer->npasses; i++)
	{
		TupleTableSlot *slot = results_next(answer->passes[i].results);

		if (!slot)
			return false;
		*row = DatumGetInt64(slot->tts_values[RESULT_ROW]);
		give_found(&answer->passes[i], slot);
	}
	memcpy(items, answer->items, sizeof(AnswerItem) * answer->plan->nitems);
	return true;
}

void
answer_rewind(Answer *answer)
{
	for (int i = 0; i < answer->npasses; i++)
		results_rewind(answer->passes[i].results);
}

void
answer_end(Answer *answer)
{
	if (answer->labels)
		asked_end(answer->labels);
	for (int i = 0; i < answer->npasses; i++)
	{
		ExecDropSingleTupleTableSlot(answer->passes[i].result);
		if (answer->passes[i].results)
			results_end(answer->passes[i].results);
	}
	MemoryContextDelete(answer->cxt);
}
