/*
 * timeline.c
 *	  The events of one entity in memory, and functions over windows of them.
 *
 * Events lie in arrays in order of time.  So that a long window does not cost
 * as many additions as it has events, a family keeps partials of groups: of 16
 * events that start at a multiple of 16, of 16 such groups, and so on.  A
 * partial is made when a window first needs it.  A window takes in, from its
 * end back, events up to the end of a group, groups as large as fit, and so
 * down to single events again: some 30 steps for each power of 16.
 *
 * Windows that end together are evaluated in one pass, the shorter ones first,
 * as those of a state are (evaluate.c).
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "window/evaluation.h"
#include "window/timeline.h"

/* Events of a group, and groups of the next larger one. */
#define FANOUT_BITS 4
#define FANOUT (1 << FANOUT_BITS)

/* Groups of 16^8 events are more than an entity has. */
#define MAX_LEVELS 8

#define FIRST_CAPACITY 256

/* Where a partial is; size 0: not made yet. */
typedef struct Partial
{
	Size		offset;
	uint32		size;
} Partial;

/* Groups of one size. */
typedef struct Level
{
	Partial    *partials;
	Size		capacity;
	Size		used;			/* those from here on are not initialized */
} Level;

struct TimelineFunctions
{
	Timeline   *timeline;
	FamilySpec	family;
	WindowPlan *plan;
	bool		adds_at_once;	/* rows are counted: how many is all there is to know */
	void	   *acc;
	void	   *group_acc;		/* to make partials with */
	Level		levels[MAX_LEVELS];
	Writer		bytes;			/* of the partials */
	TimelineFunctions *next;
};

struct Timeline
{
	MemoryContext cxt;
	const ValueType *type;
	bool		has_arrivals;
	Size		n;
	Size		capacity;
	int64	   *times;
	int64	   *arrivals;
	char	   *fixed;			/* images, if all have one size */
	Size	   *ends;			/* of each image in bytes, if they differ */
	Writer		bytes;
	TimelineFunctions *functions;
};

Timeline *
timeline_make(const ValueType *type, bool has_arrivals)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "featurestore timeline",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Timeline   *timeline = palloc0(sizeof(Timeline));

	timeline->cxt = cxt;
	timeline->type = type;
	timeline->has_arrivals = has_arrivals;
	timeline->capacity = FIRST_CAPACITY;
	timeline->times = palloc(sizeof(int64) * FIRST_CAPACITY);
	if (has_arrivals)
		timeline->arrivals = palloc(sizeof(int64) * FIRST_CAPACITY);
	if (type->size < 0)
	{
		timeline->ends = palloc(sizeof(Size) * FIRST_CAPACITY);
		writer_init(&timeline->bytes, FIRST_CAPACITY * 16);
	}
	else
		timeline->fixed = palloc(FIRST_CAPACITY * Max(type->size, 1));
	MemoryContextSwitchTo(old);
	return timeline;
}

/* Gives an output its result type, or raises an error if the family spec does not serve it. */
static void
prepare_output(const FamilySpec *spec, WindowOutput *output)
{
	FunctionCall *call = &output->call;
	const FamilyFunction *function = &call->family->functions[call->function];

	if (call->family == spec->family)
		call->result_type = spec->family->result_type(call->function, spec->type);
	if (call->family != spec->family || !OidIsValid(call->result_type) ||
		(function->param == PARAM_N && call->n > spec->param))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function %s does not take the values of the feature", function->name),
				 errdetail("They are of type %s.", spec->type->name)));
}

TimelineFunctions *
timeline_add_functions(Timeline *timeline, const FamilySpec *family, WindowOutput *outputs,
					   int noutputs)
{
	MemoryContext old = MemoryContextSwitchTo(timeline->cxt);
	TimelineFunctions *functions = palloc0(sizeof(TimelineFunctions));
	Size		size = family->family->size(family);

	for (int i = 0; i < noutputs; i++)
		prepare_output(family, &outputs[i]);
	functions->timeline = timeline;
	functions->family = *family;
	functions->plan = window_plan(outputs, noutputs);
	functions->adds_at_once = family->family == &family_basic && family->type->code == VALUE_NONE;
	functions->acc = palloc(size);
	functions->group_acc = palloc(size);
	writer_init(&functions->bytes, 1024);
	functions->next = timeline->functions;
	timeline->functions = functions;
	MemoryContextSwitchTo(old);
	return functions;
}

int64
timeline_lo(const Timeline *timeline, int64 at)
{
	int64		result = PG_INT64_MAX;

	for (TimelineFunctions *functions = timeline->functions; functions; functions = functions->next)
	{
		WindowPlan *plan = functions->plan;

		find_spans(plan, false, at);
		for (int i = 0; i < plan->nspans; i++)
			result = Min(result, plan->spans[i].lo);
	}
	return result;
}

/* Makes room for as many events again. */
static void
enlarge(Timeline *timeline)
{
	Size		capacity = timeline->capacity * 2;

	timeline->times = repalloc_huge(timeline->times, sizeof(int64) * capacity);
	if (timeline->arrivals)
		timeline->arrivals = repalloc_huge(timeline->arrivals, sizeof(int64) * capacity);
	if (timeline->ends)
		timeline->ends = repalloc_huge(timeline->ends, sizeof(Size) * capacity);
	else
		timeline->fixed = repalloc_huge(timeline->fixed, capacity * Max(timeline->type->size, 1));
	timeline->capacity = capacity;
}

void
timeline_append(Timeline *timeline, int64 ts, Datum value, int64 arrived)
{
	Size		n = timeline->n;
	int			size = timeline->type->size;

	if (unlikely(n == timeline->capacity))
		enlarge(timeline);
	timeline->times[n] = ts;
	if (timeline->arrivals)
		timeline->arrivals[n] = arrived;
	if (size != 0)
	{
		char		buffer[VALUE_MAX_FIXED];
		Image		image = value_image(timeline->type, value, buffer);

		if (likely(size == sizeof(uint64)))
			memcpy(timeline->fixed + n * sizeof(uint64), image.data, sizeof(uint64));
		else if (size > 0)
			memcpy(timeline->fixed + n * size, image.data, size);
		else
		{
			if (unlikely(image.size > MaxAllocSize - timeline->bytes.size))
				ereport(ERROR,
						(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						 errmsg("events of one entity take too much memory"),
						 errdetail("Their values have more than %zu bytes.", (Size) MaxAllocSize)));
			write_bytes(&timeline->bytes, image.data, image.size);
			timeline->ends[n] = timeline->bytes.size;
		}
	}
	timeline->n++;
}

/* The image of an event. */
static inline Image
event_image(const Timeline *timeline, Size event)
{
	int			size = timeline->type->size;
	Size		start;

	if (likely(size >= 0))
		return (Image) {timeline->fixed + event * size, size};
	start = event == 0 ? 0 : timeline->ends[event - 1];
	return (Image) {timeline->bytes.data + start, timeline->ends[event] - start};
}

/* Adds events from one on, up to but not including end, to an accumulator. */
static inline void
add_events_to(TimelineFunctions *functions, void *acc, Size from, Size end)
{
	const Timeline *timeline = functions->timeline;
	const FamilySpec *family = &functions->family;

	for (Size i = from; i < end; i++)
		family->family->add(acc, family, timeline->times[i], event_image(timeline, i), 1);
}

/* The place of a group's partial, which may not have been made. */
static Partial *
partial_place(TimelineFunctions *functions, int level, Size group)
{
	Level	   *groups = &functions->levels[level];

	if (group >= groups->capacity)
	{
		Size		capacity = Max(group + 1, groups->capacity * 2);

		if (groups->capacity == 0)
			groups->partials = MemoryContextAllocHuge(functions->timeline->cxt,
													  sizeof(Partial) * capacity);
		else
			groups->partials = repalloc_huge(groups->partials, sizeof(Partial) * capacity);
		groups->capacity = capacity;
	}
	if (group >= groups->used)
	{
		memset(&groups->partials[groups->used], 0, sizeof(Partial) * (group + 1 - groups->used));
		groups->used = group + 1;
	}
	return &groups->partials[group];
}

/* The partial of a group; level 0 has groups of 16 events.  The group is complete. */
static Partial
group_partial(TimelineFunctions *functions, int level, Size group)
{
	const FamilySpec *family = &functions->family;
	Partial	   *place = partial_place(functions, level, group);
	Partial		made;

	if (likely(place->size > 0))
		return *place;
	/* What the parts need is made first: there is one accumulator */
	if (level > 0)
	{
		for (int i = 0; i < FANOUT; i++)
			group_partial(functions, level - 1, group * FANOUT + i);
	}
	family->family->init(functions->group_acc, family);
	if (level == 0)
		add_events_to(functions, functions->group_acc, group * FANOUT, (group + 1) * FANOUT);
	else
	{
		for (int i = 0; i < FANOUT; i++)
		{
			Partial		part = group_partial(functions, level - 1, group * FANOUT + i);

			family->family->merge(functions->group_acc, family,
								  functions->bytes.data + part.offset, part.size);
		}
	}
	made.offset = functions->bytes.size;
	family->family->write(functions->group_acc, family, &functions->bytes);
	made.size = functions->bytes.size - made.offset;
	functions->levels[level].partials[group] = made;
	return made;
}

/* The largest group that ends with an event and does not begin before start; -1: none. */
static inline int
group_level(Size start, Size end)
{
	int			level = -1;
	Size		size = FANOUT;

	while (level + 1 < MAX_LEVELS && (end & (size - 1)) == 0 && end - start >= size)
	{
		level++;
		size <<= FANOUT_BITS;
	}
	return level;
}

/* Takes in the events from start on, up to but not including end. */
static void
take_in(TimelineFunctions *functions, Size start, Size end)
{
	const FamilySpec *family = &functions->family;

	if (functions->adds_at_once)
	{
		if (end > start)
			family->family->add(functions->acc, family, 0, (Image) {"", 0}, end - start);
		return;
	}
	while (end > start)
	{
		int			level = group_level(start, end);
		Size		from;

		if (level >= 0)
		{
			Size		size = (Size) 1 << (FANOUT_BITS * (level + 1));
			Partial		partial = group_partial(functions, level, end / size - 1);

			family->family->merge(functions->acc, family, functions->bytes.data + partial.offset,
								  partial.size);
			end -= size;
			continue;
		}
		from = Max(start, (end - 1) & ~(Size) (FANOUT - 1));
		add_events_to(functions, functions->acc, from, end);
		end = from;
	}
}

/* Takes in those of the events that had arrived. */
static void
take_in_known(TimelineFunctions *functions, Size start, Size end, int64 known_at)
{
	const Timeline *timeline = functions->timeline;

	for (Size i = start; i < end; i++)
	{
		if (timeline->arrivals[i] <= known_at)
			add_events_to(functions, functions->acc, i, i + 1);
	}
}

/* How many of the first n events are before an instant. */
static Size
events_before(const Timeline *timeline, Size n, int64 at)
{
	Size		low = 0;

	while (low < n)
	{
		Size		middle = low + (n - low) / 2;

		if (timeline->times[middle] < at)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

/* Evaluates the windows from one on that end with it; gives how many. */
static int
evaluate_spans(TimelineFunctions *functions, const WindowSpan *spans, int nspans, int64 known_at,
			   Datum *values, bool *nulls, uint8 *flags)
{
	const Timeline *timeline = functions->timeline;
	const FamilySpec *family = &functions->family;
	MemoryContext caller = MemoryContextSwitchTo(functions->plan->scratch);
	Size		end = events_before(timeline, timeline->n, spans[0].hi);
	int			i;

	family->family->init(functions->acc, family);
	for (i = 0; i < nspans && spans[i].hi == spans[0].hi; i++)
	{
		Size		start = events_before(timeline, end, spans[i].lo);

		if (timeline->has_arrivals)
			take_in_known(functions, start, end, known_at);
		else
			take_in(functions, start, end);
		end = start;
		MemoryContextSwitchTo(caller);
		give_span(functions->plan, &spans[i], family, functions->acc, values, nulls, flags);
		MemoryContextSwitchTo(functions->plan->scratch);
	}
	MemoryContextSwitchTo(caller);
	return i;
}

void
timeline_evaluate(TimelineFunctions *functions, int64 at, int64 known_at, Datum *values,
				  bool *nulls, uint8 *flags)
{
	WindowPlan *plan = functions->plan;

	CHECK_FOR_INTERRUPTS();
	find_spans(plan, false, at);
	for (int i = 0; i < plan->nspans;)
		i += evaluate_spans(functions, &plan->spans[i], plan->nspans - i, known_at, values, nulls,
							flags);
	MemoryContextReset(plan->scratch);
}

Size
timeline_length(const Timeline *timeline)
{
	return timeline->n;
}

/* Forgets partials, whose groups have gone. */
static void
forget_partials(Timeline *timeline)
{
	for (TimelineFunctions *functions = timeline->functions; functions; functions = functions->next)
	{
		for (int i = 0; i < MAX_LEVELS; i++)
			functions->levels[i].used = 0;
		functions->bytes.size = 0;
	}
}

void
timeline_clear(Timeline *timeline)
{
	timeline->n = 0;
	timeline->bytes.size = 0;
	forget_partials(timeline);
}

Size
timeline_bytes(const Timeline *timeline)
{
	Size		event = sizeof(int64) + (timeline->arrivals ? sizeof(int64) : 0) +
		(timeline->ends ? sizeof(Size) : timeline->type->size);
	Size		result = timeline->n * event + timeline->bytes.size;

	for (TimelineFunctions *functions = timeline->functions; functions; functions = functions->next)
		result += functions->bytes.size;
	return result;
}

/* Moves what follows the first events to the front. */
static void
drop_first(Timeline *timeline, Size dropped)
{
	Size		kept = timeline->n - dropped;
	int			size = timeline->type->size;

	memmove(timeline->times, timeline->times + dropped, sizeof(int64) * kept);
	if (timeline->arrivals)
		memmove(timeline->arrivals, timeline->arrivals + dropped, sizeof(int64) * kept);
	if (size >= 0)
		memmove(timeline->fixed, timeline->fixed + dropped * size, kept * size);
	else
	{
		Size		start = timeline->ends[dropped - 1];

		timeline->bytes.size -= start;
		memmove(timeline->bytes.data, timeline->bytes.data + start, timeline->bytes.size);
		for (Size i = 0; i < kept; i++)
			timeline->ends[i] = timeline->ends[dropped + i] - start;
	}
	timeline->n = kept;
}

void
timeline_trim(Timeline *timeline, int64 lo)
{
	Size		before = events_before(timeline, timeline->n, lo);

	/* Moving events, and making partials anew, is not to cost more than they did */
	if (before < timeline->n / 2 || before == 0)
		return;
	drop_first(timeline, before);
	forget_partials(timeline);
}
