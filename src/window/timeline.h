/*
 * timeline.h
 *	  The events of one entity in memory, and functions over windows of them.
 *
 * A state knows what it needs to be evaluated from now on; a timeline knows
 * all events, and so can be evaluated at any time.  Both use the same families
 * and so give the same bytes.
 */
#ifndef FEATURESTORE_TIMELINE_H
#define FEATURESTORE_TIMELINE_H

#include "window/state.h"

typedef struct Timeline Timeline;
typedef struct TimelineFunctions TimelineFunctions;

/*
 * A timeline of events with values of a type, in a memory context of its own
 * below the current one.  With has_arrivals it also keeps when each event
 * became known.
 */
extern Timeline *timeline_make(const ValueType *type, bool has_arrivals);

/*
 * Functions of one family over windows; outputs are kept, not copied, and get
 * their result types.  Raises 22023 for one that the family spec does not serve.
 */
extern TimelineFunctions *timeline_add_functions(Timeline *timeline, const FamilySpec *family,
												 WindowOutput *outputs, int noutputs);

/* The start of the earliest of all windows at an instant. */
extern int64 timeline_lo(const Timeline *timeline, int64 at);

/* Adds an event, no earlier than those before it. */
extern void timeline_append(Timeline *timeline, int64 ts, Datum value, int64 arrived);

/*
 * Evaluates functions at an instant; later calls, until the timeline is
 * cleared, ask for the same or a later one.  With arrivals, events that arrived
 * after known_at do not count.  Values are made in the current memory context.
 */
extern void timeline_evaluate(TimelineFunctions *functions, int64 at, int64 known_at,
							  Datum *values, bool *nulls, uint8 *flags);

/* How many events there are. */
extern Size timeline_length(const Timeline *timeline);

/* Forgets all events, for the next entity. */
extern void timeline_clear(Timeline *timeline);

/* Forgets events before lo, if that makes enough room to be worth it. */
extern void timeline_trim(Timeline *timeline, int64 lo);

/* Bytes that events take. */
extern Size timeline_bytes(const Timeline *timeline);

#endif							/* FEATURESTORE_TIMELINE_H */
