/*
 * family.h
 *	  Families of window functions: what a state needs to know of one.
 *
 * A family is a set of functions that one state serves.  It knows two forms
 * of a multiset of events: the accumulator, in memory, and the partial, bytes
 * that are stored.  A partial is a pure function of the multiset: whatever
 * the order in which events were added and partials merged, write() gives the
 * same bytes.  All else, tiles, windows, time and storage, is the state's
 * (state.h).
 *
 * To add a family:
 *	  1. write src/window/NAME.c with its functions; its head says what its
 *		 partial is made of, byte by byte,
 *	  2. declare its Family below and add it to the table in family.c, with a
 *		 code that was never used,
 *	  3. add it to the lists in test/sql/window_oracle.sql, which compares each
 *		 function with plain SQL.
 */
#ifndef FEATURESTORE_FAMILY_H
#define FEATURESTORE_FAMILY_H

#include "window/bytes.h"
#include "window/value.h"

/* What an accumulator is for: fixed when a state is made, stored in it. */
typedef struct FamilySpec
{
	const struct Family *family;
	const ValueType *type;
	Oid			collation;		/* of a collatable type, else InvalidOid */
	uint32		param;			/* n, bound or precision; 0 where a family has none */
} FamilySpec;

/* Flags beside a value. */
#define VALUE_APPROXIMATE	0x01	/* not exact */
#define VALUE_OUT_OF_RANGE	0x02	/* NULL because the result type cannot hold it */
#define VALUE_EMPTY			0x04	/* no event in the window */

/* A function of a family, as called: last_n(5) may be asked of a state made for 10. */
typedef struct FunctionCall
{
	const struct Family *family;
	int			function;		/* index in the family's functions */
	uint32		n;				/* of functions with n */
	double		fraction;		/* of approx_percentile */
	Oid			result_type;
} FunctionCall;

/* What sort of parameter a function takes. */
typedef enum FunctionParam
{
	PARAM_NONE,
	PARAM_N,					/* n, 1 to WINDOW_MAX_N: the state keeps the greatest asked for */
	PARAM_BOUND,				/* bound, 1 to WINDOW_MAX_BOUND, default 1024: exact up to it */
	PARAM_ERROR,				/* relative_error of approx_count_distinct, 0.01 to 0.3, default 0.05 */
	PARAM_PERCENTILE			/* percentile, 0 to 1, required; relative_error, 0.001 to 0.1, default 0.01 */
} FunctionParam;

#define WINDOW_MAX_N 1000
#define WINDOW_MAX_BOUND 65536

typedef struct FamilyFunction
{
	const char *name;
	FunctionParam param;
	bool		is_count;		/* 0, not NULL, over no events */
	const char *bound;			/* of its error, for people; NULL: exact */
} FamilyFunction;

typedef struct Family
{
	uint8		code;			/* as stored; never given another meaning */
	const char *name;
	const FamilyFunction *functions;
	int			nfunctions;
	int			verbatim;		/* a bucket of at most so many events is kept as it came; 0: never */

	/* Result type of a function over an input type; InvalidOid: it cannot take that. */
	Oid			(*result_type) (int function, const ValueType *type);

	/* Bytes of an accumulator, which is aligned as palloc does. */
	Size		(*size) (const FamilySpec *spec);

	/*
	 * Makes an accumulator empty; its memory is not initialized.  What else it
	 * needs it pallocs in the current memory context, which lives as long as
	 * the accumulator is used and is then reset or deleted as a whole; so it
	 * must never be init'ed from scratch over live data to save memory.
	 */
	void		(*init) (void *acc, const FamilySpec *spec);

	/* Adds n events at ts with this value (which may be gone afterwards). */
	void		(*add) (void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n);

	/* Adds the events of a valid partial (which may be gone afterwards). */
	void		(*merge) (void *acc, const FamilySpec *spec, const char *partial, Size size);

	/*
	 * Takes away n events at ts with this value; false if it cannot (what is
	 * left then is of no use): then whoever asks builds the state again.  The
	 * accumulator then is as if they had never been added.
	 */
	bool		(*subtract) (void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n);

	/* How many events the accumulator has. */
	uint64		(*count) (const void *acc, const FamilySpec *spec);

	/* Writes the partial of an accumulator that has events. */
	void		(*write) (const void *acc, const FamilySpec *spec, Writer *writer);

	/*
	 * Is this a partial that write() can have written?  Every byte is to be
	 * doubted, sizes above all; nothing is allocated.  Gives how many events
	 * it is of, 0 if it is not valid.  Also the way to learn the number from a
	 * valid one.
	 */
	uint64		(*check) (const FamilySpec *spec, const char *partial, Size size);

	/*
	 * A function's value, in the current memory context; never raises, save
	 * for want of memory.  The accumulator stays as it is, and is added to.
	 */
	Datum		(*value) (const void *acc, const FamilySpec *spec, const FunctionCall *call,
						  bool *isnull, uint8 *flags);
} Family;

/* Events are counted in int64, as count() gives their number. */
#define MAX_EVENTS ((uint64) PG_INT64_MAX)

/* Adds to a number of events, which stays at MAX_EVENTS: only made-up states get there. */
static inline void
add_events(uint64 *events, uint64 n)
{
	*events = likely(n <= MAX_EVENTS - *events) ? *events + n : MAX_EVENTS;
}

/* basic.c: count, sum, avg, min, max */
extern const Family family_basic;

/* moments.c: variances and deviations; skew and kurtosis besides */
extern const Family family_variance;
extern const Family family_shape;

/* ends.c: first, first_n; last, last_n: by time, then value */
extern const Family family_first;
extern const Family family_last;

/* distinct_ends.c: first_distinct_n; last_distinct_n */
extern const Family family_first_distinct;
extern const Family family_last_distinct;

/* extremes.c: top_n; bottom_n: by value */
extern const Family family_top;
extern const Family family_bottom;

/* frequencies.c: count_distinct, histogram */
extern const Family family_frequencies;

/* distinct_sketch.c: approx_count_distinct */
extern const Family family_distinct_sketch;

/* The least parameter of the family for which the standard error is at most relative_error. */
#define DISTINCT_SKETCH_MIN_PRECISION 2
#define DISTINCT_SKETCH_MAX_PRECISION 11
extern uint32 distinct_sketch_precision(double relative_error);

/* percentile_sketch.c, percentile_buckets.c: approx_percentile */
extern const Family family_percentile_sketch;

/* The least parameter of the family for which values are off by relative_error at most. */
#define PERCENTILE_SKETCH_MIN_PRECISION 4
#define PERCENTILE_SKETCH_MAX_PRECISION 352
extern uint32 percentile_sketch_precision(double relative_error);

/* family.c */
extern const Family *family_by_code(int code);
extern const Family *family_by_name(const char *name);

/* The family that has a function, and its index there; NULL: none has. */
extern const Family *family_of_function(const char *name, int *function);

/* Names of all functions, sorted, comma separated, for hints. */
extern char *function_names(void);

#endif							/* FEATURESTORE_FAMILY_H */
