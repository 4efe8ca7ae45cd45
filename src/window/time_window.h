/*
 * time_window.h
 *	  Windows of time: which events belong to one, as seen from an instant T.
 *
 * An event belongs to a window iff lo(T) <= ts < hi(T).  All lengths are in
 * microseconds.  Lattices are aligned to the Unix epoch, plus an offset.
 */
#ifndef FEATURESTORE_TIME_WINDOW_H
#define FEATURESTORE_TIME_WINDOW_H

#include "datatype/timestamp.h"
#include "fmgr.h"

/* Kinds, as stored; a number is never given another meaning. */
typedef enum WindowKind
{
	WINDOW_ROLLING = 1,			/* step: the hop of lo; 0: exact */
	WINDOW_SAWTOOTH = 2,		/* step: as Chronon's rule gives it */
	WINDOW_SLIDING = 3,			/* step: the slide */
	WINDOW_TUMBLING = 4,		/* step = duration */
	WINDOW_LIFETIME = 5			/* duration and step are 0 */
} WindowKind;

/* The SQL type time_window: fixed length, passed by reference. */
typedef struct TimeWindow
{
	int64		duration;
	int64		step;
	int64		offset;			/* of sliding and tumbling windows; 0 <= offset < step */
	int64		delay;
	int32		kind;
	int32		unused;			/* 0 */
} TimeWindow;

#define DatumGetTimeWindowP(d) ((TimeWindow *) DatumGetPointer(d))
#define PG_GETARG_TIME_WINDOW_P(n) DatumGetTimeWindowP(PG_GETARG_DATUM(n))

/* Longest duration and delay: 1,000 years of 365.25 days. */
#define WINDOW_MAX_DURATION (INT64CONST(365250) * USECS_PER_DAY)

/* Start of the lattice step of which t is a part: the greatest k * step + offset <= t. */
extern int64 lattice_floor(int64 t, int64 step, int64 offset);

/* a + b and a - b, at the ends of int64 where they would leave it. */
extern int64 add_saturated(int64 a, int64 b);
extern int64 subtract_saturated(int64 a, int64 b);

/* hi(T) and lo(T); PG_INT64_MIN is the lo of a lifetime window. */
extern int64 window_hi(const TimeWindow *window, int64 at);
extern int64 window_lo(const TimeWindow *window, int64 at);

/* Does the head of a window cut at any instant, rather than on its lattice? */
extern bool window_has_exact_head(const TimeWindow *window);

/* Total order of windows: by kind, duration, step, offset, delay. */
extern int	window_compare(const TimeWindow *a, const TimeWindow *b);

/* Are all fields in bounds and consistent?  For binary input. */
extern bool window_is_valid(const TimeWindow *window);

/* Text form, "rolling 7d hop 6h delay 1h", palloc'd; and back, raising 22P02 or 22023. */
extern char *window_to_text(const TimeWindow *window);
extern void window_from_text(const char *text, TimeWindow *window);

#endif							/* FEATURESTORE_TIME_WINDOW_H */
