/*
 * evaluate.c
 *	  Functions over windows, from states.
 *
 * Windows that end together are evaluated in one pass from their end back: an
 * accumulator takes in tile after tile, and whenever the start of a window is
 * reached it has just what the window's functions need.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "window/evaluation.h"
#include "window/tiles.h"
#include "compat.h"

/* Tiles and accumulators up to this are kept on the stack. */
#define STACK_TILES 160
#define STACK_ACCUMULATOR 2048

/* The tiles of a state, oldest first. */
typedef struct TileList
{
	Tile	   *tiles;
	int			ntiles;
	int			capacity;
	bool		is_allocated;
} TileList;

/* One evaluation of a plan. */
typedef struct Evaluation
{
	WindowPlan *plan;
	const FamilySpec *family;
	void	   *acc;
	TileList	list;
	Datum	   *values;
	bool	   *nulls;
	uint8	   *flags;
} Evaluation;

static int
compare_outputs(const void *a, const void *b, void *arg)
{
	const WindowOutput *outputs = arg;

	return window_compare(&outputs[*(const int *) a].window, &outputs[*(const int *) b].window);
}

WindowPlan *
window_plan(WindowOutput *outputs, int noutputs)
{
	WindowPlan *plan = palloc0(sizeof(WindowPlan));

	plan->noutputs = noutputs;
	plan->outputs = outputs;
	plan->scratch = AllocSetContextCreate(CurrentMemoryContext, "featurestore windows",
										  ALLOCSET_SMALL_SIZES);
	plan->order = palloc(sizeof(int) * noutputs);
	plan->spans = palloc(sizeof(WindowSpan) * noutputs);
	for (int i = 0; i < noutputs; i++)
		plan->order[i] = i;
	qsort_arg(plan->order, noutputs, sizeof(int), compare_outputs, outputs);
	return plan;
}

/* Raises an error unless the spec has a window. */
static void
check_window(const StateSpec *spec, const TimeWindow *window)
{
	for (int i = 0; i < spec->nwindows; i++)
	{
		if (window_compare(&spec->windows[i], window) == 0)
			return;
	}
	if (!spec->is_agg)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("window state does not serve the window %s", window_to_text(window)),
				 errdetail("It is %s.", spec_to_text(spec))));
}

/* Checks the outputs of a plan against a spec, once as long as states have the same. */
static void
prepare_plan(WindowPlan *plan, StateSpec *spec)
{
	if (plan->spec == spec && plan->generation == spec_cache_generation)
		return;
	for (int i = 0; i < plan->noutputs; i++)
	{
		FunctionCall *call = &plan->outputs[i].call;
		const FamilyFunction *function = &call->family->functions[call->function];

		if (call->family == spec->family.family)
			call->result_type = call->family->result_type(call->function, spec->family.type);
		if (call->family != spec->family.family || !OidIsValid(call->result_type) ||
			(function->param == PARAM_N && call->n > spec->family.param))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("window state does not serve the function %s", function->name),
					 errdetail("It is %s.", spec_to_text(spec))));
		check_window(spec, &plan->outputs[i].window);
	}
	plan->spec = spec;
	plan->generation = spec_cache_generation;
	plan->nspans = 0;
}

/* Sets all outputs to what they are where there is no state. */
static void
give_nothing(WindowPlan *plan, Datum *values, bool *nulls, uint8 *flags, uint8 flag)
{
	for (int i = 0; i < plan->noutputs; i++)
	{
		const FunctionCall *call = &plan->outputs[i].call;

		values[i] = Int64GetDatum(0);
		nulls[i] = !(flag == VALUE_EMPTY && call->family->functions[call->function].is_count);
		flags[i] = flag;
	}
}

static void
read_tiles(TileList *list, const StateView *view)
{
	TileReader	reader;

	begin_tiles(&reader, view->spec, view->tiles, view->tiles_size);
	while (next_tile(&reader, &list->tiles[list->ntiles]))
	{
		if (++list->ntiles < list->capacity)
			continue;
		list->capacity *= 4;
		if (!list->is_allocated)
		{
			Tile	   *tiles = palloc(sizeof(Tile) * list->capacity);

			memcpy(tiles, list->tiles, sizeof(Tile) * list->ntiles);
			list->tiles = tiles;
			list->is_allocated = true;
		}
		else
			list->tiles = repalloc_huge(list->tiles, sizeof(Tile) * list->capacity);
	}
	if (reader.reader.failed)
		report_damaged_state();
}

/* Adds a tile to the accumulator. */
static inline void
add_tile(Evaluation *evaluation, const Tile *tile)
{
	const FamilySpec *family = evaluation->family;
	int			size = family->type->size;

	if (tile->nverbatim == 0)
		family->family->merge(evaluation->acc, family, tile->data, tile->size);
	else if (size >= 0)
	{
		Image		image = {.data = tile->data,.size = size};

		for (uint32 i = 0; i < tile->nverbatim; i++, image.data += size)
			family->family->add(evaluation->acc, family, tile->start, image, 1);
	}
	else
	{
		Reader		reader = reader_over(tile->data, tile->size);

		for (uint32 i = 0; i < tile->nverbatim; i++)
			family->family->add(evaluation->acc, family, tile->start,
								read_image(family->type, &reader), 1);
	}
}

/* Puts spans that end together side by side, the shorter ones first. */
static void
sort_spans(WindowSpan *spans, int nspans)
{
	for (int i = 1; i < nspans; i++)
	{
		WindowSpan	span = spans[i];
		int			j = i;

		while (j > 0 && (spans[j - 1].hi < span.hi ||
						 (spans[j - 1].hi == span.hi && spans[j - 1].lo < span.lo)))
		{
			spans[j] = spans[j - 1];
			j--;
		}
		spans[j] = span;
	}
}

void
find_spans(WindowPlan *plan, bool is_agg, int64 at)
{
	if (plan->nspans > 0 && plan->at == at)
		return;
	plan->at = at;
	plan->nspans = 0;
	for (int i = 0; i < plan->noutputs;)
	{
		const TimeWindow *window = &plan->outputs[plan->order[i]].window;
		WindowSpan *span = &plan->spans[plan->nspans++];

		span->first = i;
		while (++i < plan->noutputs &&
			   window_compare(&plan->outputs[plan->order[i]].window, window) == 0)
			 /* the same */ ;
		span->end = i;
		span->lo = is_agg ? PG_INT64_MIN : window_lo(window, at);
		span->hi = is_agg ? PG_INT64_MAX : window_hi(window, at);
	}
	sort_spans(plan->spans, plan->nspans);
}

/* Evaluates the spans from one on that end with it; gives how many. */
static int
evaluate_spans(Evaluation *evaluation, const WindowSpan *spans, int nspans)
{
	WindowPlan *plan = evaluation->plan;
	TileList   *list = &evaluation->list;
	MemoryContext caller = MemoryContextSwitchTo(plan->scratch);
	int			at = list->ntiles - 1;
	int			i;

	evaluation->family->family->init(evaluation->acc, evaluation->family);
	while (at >= 0 && list->tiles[at].start >= spans[0].hi)
		at--;
	for (i = 0; i < nspans && spans[i].hi == spans[0].hi; i++)
	{
		for (; at >= 0 && list->tiles[at].start >= spans[i].lo; at--)
			add_tile(evaluation, &list->tiles[at]);
		MemoryContextSwitchTo(caller);
		give_span(plan, &spans[i], evaluation->family, evaluation->acc, evaluation->values,
				  evaluation->nulls, evaluation->flags);
		MemoryContextSwitchTo(plan->scratch);
	}
	MemoryContextSwitchTo(caller);
	return i;
}

/* Evaluates a plan over the tiles of a state. */
static void
evaluate_tiles(Evaluation *evaluation, const StateView *view, int64 at)
{
	WindowPlan *plan = evaluation->plan;

	find_spans(plan, plan->spec->is_agg, at);
	read_tiles(&evaluation->list, view);
	for (int i = 0; i < plan->nspans;)
		i += evaluate_spans(evaluation, &plan->spans[i], plan->nspans - i);
	if (evaluation->list.is_allocated)
		pfree(evaluation->list.tiles);
	MemoryContextReset(plan->scratch);
}

/* Evaluates a plan over a state whose parts are found. */
static void
evaluate_view(WindowPlan *plan, const StateView *view, int64 at, Datum *values, bool *nulls,
			  uint8 *flags)
{
	Tile		stack_tiles[STACK_TILES];
	char		stack_acc[STACK_ACCUMULATOR] pg_attribute_aligned(MAXIMUM_ALIGNOF);
	const FamilySpec *family = &view->spec->family;
	Size		size = family->family->size(family);
	Evaluation	evaluation = {
		.plan = plan,.family = family,.values = values,.nulls = nulls,.flags = flags,
		.list = {.tiles = stack_tiles,.capacity = STACK_TILES}
	};

	prepare_plan(plan, view->spec);
	if (is_too_old(view->spec, view->watermark, at))
	{
		give_nothing(plan, values, nulls, flags, VALUE_TOO_OLD);
		return;
	}
	evaluation.acc = size <= STACK_ACCUMULATOR ? (void *) stack_acc :
		MemoryContextAlloc(plan->scratch, size);
	evaluate_tiles(&evaluation, view, at);
}

void
window_evaluate(WindowPlan *plan, struct varlena *state, TimestampTz at, Datum *values,
				bool *nulls, uint8 *flags)
{
	struct varlena *plain;
	StateView	view;

	if (!state)
	{
		give_nothing(plan, values, nulls, flags, VALUE_EMPTY);
		return;
	}
	plain = pg_detoast_datum_packed(state);
	state_view(plain, &view);
	if (view.is_open)
	{
		struct varlena *closed = compose(&view, 1);

		state_view(closed, &view);
		evaluate_view(plan, &view, at, values, nulls, flags);
		pfree(closed);
	}
	else
		evaluate_view(plan, &view, at, values, nulls, flags);
	if (plain != state)
		pfree(plain);
}
