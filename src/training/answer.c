/*
 * answer.c
 *	  Asking for labels, and giving what was found.
 *
 * Labels are sorted by key and time, results by row, each within half of
 * work_mem.  In between the source is read by the plan that costs least: a
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

/* A time of a source as a timestamp; a date is its midnight, UTC. */
TimestampTz
row_timestamp(Oid type, Datum time)
{
	SpecItem	item = {.time_type = type};

	return event_timestamp(&item, time);
}

/* The columns of a label as it is stored: keys, bound, row, known_at, T. */
static TupleDesc
label_columns(AnswerSource *source)
{
	TupleDesc	desc = CreateTemplateTupleDesc(source->nkeys + 4);

	for (int i = 0; i < source->nkeys; i++)
	{
		TupleDescInitEntry(desc, i + 1, NULL, source->key_types[i], -1, 0);
		TupleDescInitEntryCollation(desc, i + 1, source->key_collations[i]);
	}
	for (int i = 0; i < 4; i++)
		TupleDescInitEntry(desc, source->nkeys + i + 1, NULL,
						   i == 1 ? INT8OID : TIMESTAMPTZOID, -1, 0);
	return desc;
}

/* Begins the sort of labels, and finds out how keys compare. */
static void
begin_labels(Answer *answer)
{
	AnswerSource *source = linitial(answer->plan->sources);
	TupleDesc	desc = label_columns(source);
	int			n = source->nkeys + 1;
	AttrNumber *attnos = palloc(sizeof(AttrNumber) * n);
	Oid		   *operators = palloc(sizeof(Oid) * n);
	Oid		   *collations = palloc0(sizeof(Oid) * n);
	bool	   *nulls_first = palloc0(sizeof(bool) * n);

	answer->nkeys = source->nkeys;
	answer->key_types = source->key_types;
	answer->key_order = palloc0(sizeof(SortSupportData) * source->nkeys);
	for (int i = 0; i < n; i++)
	{
		Oid			type = i < source->nkeys ? source->key_types[i] : TIMESTAMPTZOID;

		attnos[i] = i + 1;
		operators[i] = lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr;
		if (!OidIsValid(operators[i]))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("%s: could not identify an ordering operator for type %s",
							source->label, format_type_be(type)),
					 errdetail("Training reads rows in order of their keys.")));
		if (i == source->nkeys)
			break;
		collations[i] = source->key_collations[i];
		answer->key_order[i].ssup_cxt = answer->cxt;
		answer->key_order[i].ssup_collation = collations[i];
		PrepareSortSupportFromOrderingOp(operators[i], &answer->key_order[i]);
	}
	answer->labels = tuplesort_begin_heap(desc, n, attnos, operators, collations, nulls_first,
										  Max(work_mem / 2, 64), NULL,
										  list_length(answer->plan->sources) > 1 ?
										  TUPLESORT_RANDOMACCESS : TUPLESORT_NONE);
	answer->asked = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	answer->unsorted = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
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
	AttrNumber	attno = RESULT_ROW + 1;
	Oid			operator = lookup_type_cache(INT8OID, TYPECACHE_LT_OPR)->lt_opr;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;
	TupleDesc	desc;

	pass->answer = answer;
	pass->source = source;
	desc = result_columns(pass);
	pass->results = tuplesort_begin_heap(desc, 1, &attno, &operator, &collation, &nulls_first,
										 Max(work_mem / 2 / answer->npasses, 64), NULL,
										 TUPLESORT_RANDOMACCESS);
	pass->result = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	pass->found = &pass->result->tts_values[RESULT_FOUND];
	pass->event_time = &pass->result->tts_values[RESULT_TIME];
	pass->has_no_time = &pass->result->tts_isnull[RESULT_TIME];
	pass->values = &pass->result->tts_values[RESULT_VALUES];
	pass->nulls = &pass->result->tts_isnull[RESULT_VALUES];
	pass->given = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
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
	answer->last_at = DT_NOBEGIN;
	begin_labels(answer);
	make_items(answer);
	answer->npasses = list_length(plan->sources);
	answer->passes = palloc0(sizeof(AnswerPass) * answer->npasses);
	foreach(lc, plan->sources)
		begin_pass(answer, &answer->passes[foreach_current_index(lc)], lfirst(lc));
	MemoryContextSwitchTo(old);
	return answer;
}

void
answer_ask(Answer *answer, int64 row, const Datum *keys, TimestampTz at, TimestampTz known_at)
{
	TupleTableSlot *slot = answer->unsorted;
	int			nkeys = answer->nkeys;
	bool		has_known_at = answer->plan->has_known_at;
	TimestampTz bound = at;

	/* Of versions, that which was valid at T and known is the one valid at the earlier of both */
	if (has_known_at &&
		((AnswerSource *) linitial(answer->plan->sources))->kind == SOURCE_VERSIONS)
		bound = Min(at, known_at);
	ExecClearTuple(slot);
	memset(slot->tts_isnull, false, sizeof(bool) * (nkeys + 4));
	memcpy(slot->tts_values, keys, sizeof(Datum) * nkeys);
	slot->tts_values[nkeys] = TimestampTzGetDatum(bound);
	slot->tts_values[nkeys + 1] = Int64GetDatum(row);
	slot->tts_values[nkeys + 2] = TimestampTzGetDatum(known_at);
	slot->tts_isnull[nkeys + 2] = !has_known_at;
	slot->tts_values[nkeys + 3] = TimestampTzGetDatum(at);
	slot->tts_isnull[nkeys + 3] = at == bound;
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(answer->labels, slot);
	answer->nlabels++;
	answer->first_at = Min(answer->first_at, at);
	answer->last_at = Max(answer->last_at, at);
}

/* A label as it is stored; good as long as the slot keeps the tuple. */
void
read_label(Answer *answer, TupleTableSlot *slot, AskedLabel *label)
{
	int			nkeys = answer->nkeys;

	slot_getallattrs(slot);
	label->keys = slot->tts_values;
	label->bound = DatumGetTimestampTz(slot->tts_values[nkeys]);
	label->row = DatumGetInt64(slot->tts_values[nkeys + 1]);
	label->known_at = slot->tts_isnull[nkeys + 2] ? DT_NOEND :
		DatumGetTimestampTz(slot->tts_values[nkeys + 2]);
	label->at = slot->tts_isnull[nkeys + 3] ? label->bound :
		DatumGetTimestampTz(slot->tts_values[nkeys + 3]);
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
	tuplesort_puttupleslot(pass->results, slot);
}

/* Plans a statement; its cost is what the planner says. */
static SPIPlanPtr
prepare(const char *sql, int nargs, Oid *types, int options, double *cost)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(sql, nargs, types, options);
	CachedPlan *cached;

	if (!plan)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
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

/* Types of the parameters of a point or range query; gives how many. */
static int
parameter_types(AnswerSource *source, bool is_array, bool is_range, Oid *types)
{
	int			n = source->nkeys;

	memcpy(types, source->key_types, sizeof(Oid) * n);
	if (!is_range || is_array)
		types[n++] = source->time ? source->time_type : TIMESTAMPTZOID;
	if (is_range && is_array && source->kind == SOURCE_EVENTS)
		types[n++] = source->time_type;
	if (!is_range && source->arrived)
		types[n++] = TIMESTAMPTZOID;
	for (int i = 0; is_array && i < n; i++)
		types[i] = get_array_type(types[i]);
	return n;
}

/* What looking up a label costs. */
static double
seek_cost(AnswerPass *pass, bool is_range)
{
	Oid			types[INDEX_MAX_KEYS + 3];
	int			n = parameter_types(pass->source, false, is_range, types);
	char	   *sql = is_range ? range_query(pass, true) : point_query(pass, true);
	double		cost;

	SPI_freeplan(prepare(sql, n, types, CURSOR_OPT_GENERIC_PLAN, &cost));
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
	int			n = parameter_types(pass->source, true, is_range, types);
	char	   *sql = is_range ? range_query(pass, false) : point_query(pass, false);
	SPIPlanPtr	plan = prepare(sql, n, types, CURSOR_OPT_GENERIC_PLAN, NULL);

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
	double		cost;
	SPIPlanPtr	plan;

	SPI_connect();
	set_options(pass);
	if (training_plan == TRAINING_PLAN_SEEK)
		seek(pass, is_range);
	else
	{
		plan = prepare(sweep_query(pass), 0, NULL, CURSOR_OPT_PARALLEL_OK, &cost);
		if (training_plan == TRAINING_PLAN_AUTO &&
			seek_cost(pass, is_range) * pass->answer->nlabels < cost)
			seek(pass, is_range);
		else
			sweep_all(pass, plan);
	}
	SPI_finish();
}

void
answer_perform(Answer *answer)
{
	MemoryContext old = MemoryContextSwitchTo(answer->cxt);

	tuplesort_performsort(answer->labels);
	for (int i = 0; i < answer->npasses; i++)
	{
		int			nest_level = NewGUCNestLevel();

		if (i > 0)
			tuplesort_rescan(answer->labels);
		if (answer->nlabels > 0)
			read_source(&answer->passes[i]);
		AtEOXact_GUC(true, nest_level);
		ExecClearTuple(answer->asked);
		tuplesort_performsort(answer->passes[i].results);
	}
	tuplesort_end(answer->labels);
	answer->labels = NULL;
	MemoryContextSwitchTo(old);
}

/* Puts what a pass found for a row into the items. */
static void
give_found(AnswerPass *pass)
{
	TupleTableSlot *slot = pass->given;
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
		AnswerPass *pass = &answer->passes[i];

		if (!tuplesort_gettupleslot(pass->results, true, false, pass->given, NULL))
			return false;
		slot_getallattrs(pass->given);
		*row = DatumGetInt64(pass->given->tts_values[RESULT_ROW]);
		give_found(pass);
	}
	memcpy(items, answer->items, sizeof(AnswerItem) * answer->plan->nitems);
	return true;
}

void
answer_rewind(Answer *answer)
{
	for (int i = 0; i < answer->npasses; i++)
	{
		ExecClearTuple(answer->passes[i].given);
		tuplesort_rescan(answer->passes[i].results);
	}
}

void
answer_end(Answer *answer)
{
	ExecDropSingleTupleTableSlot(answer->asked);
	ExecDropSingleTupleTableSlot(answer->unsorted);
	if (answer->labels)
		tuplesort_end(answer->labels);
	for (int i = 0; i < answer->npasses; i++)
	{
		ExecDropSingleTupleTableSlot(answer->passes[i].result);
		ExecDropSingleTupleTableSlot(answer->passes[i].given);
		tuplesort_end(answer->passes[i].results);
	}
	MemoryContextDelete(answer->cxt);
}
