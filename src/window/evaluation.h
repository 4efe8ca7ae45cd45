/*
 * evaluation.h
 *	  What evaluations have in common, whatever holds the events.
 */
#ifndef FEATURESTORE_EVALUATION_H
#define FEATURESTORE_EVALUATION_H

#include "window/state.h"

/* A window at the time of an evaluation, and the outputs that have it. */
typedef struct WindowSpan
{
	int64		lo;
	int64		hi;
	int			first;			/* in the plan's order */
	int			end;
} WindowSpan;

/*
 * Finds the windows of a plan at an instant, unless it has them already: those
 * that end together side by side, the later ends and then the shorter windows
 * first.  is_agg: all events, whatever the time.
 */
extern void find_spans(WindowPlan *plan, bool is_agg, int64 at);

/* Gives the outputs of a window what their functions say of its events, in the current memory context. */
static inline void
give_span(WindowPlan *plan, const WindowSpan *span, const FamilySpec *family, const void *acc,
		  Datum *values, bool *nulls, uint8 *flags)
{
	bool		is_empty = family->family->count(acc, family) == 0;

	for (int i = span->first; i < span->end; i++)
	{
		int			output = plan->order[i];

		flags[output] = 0;
		nulls[output] = false;
		values[output] = family->family->value(acc, family, &plan->outputs[output].call,
											   &nulls[output], &flags[output]);
		if (is_empty)
			flags[output] |= VALUE_EMPTY;
	}
}

#endif							/* FEATURESTORE_EVALUATION_H */
