/*
 * special_values.h
 *	  Counts of values that are no part of a sum, or do not show in it.
 *
 * They are counted, rather than noted, so that they can leave again.
 */
#ifndef FEATURESTORE_SPECIAL_VALUES_H
#define FEATURESTORE_SPECIAL_VALUES_H

#include <math.h>

#include "window/bytes.h"

/* In the order in which their counts are stored; a number is never given another meaning. */
typedef enum SpecialValue
{
	SPECIAL_NAN = 0,
	SPECIAL_INFINITY = 1,
	SPECIAL_MINUS_INFINITY = 2,
	SPECIAL_MINUS_ZERO = 3,
	NSPECIALS,
	SPECIAL_NONE = NSPECIALS
} SpecialValue;

typedef struct SpecialCounts
{
	uint64		counts[NSPECIALS];
} SpecialCounts;

/* Bit i is set if there are special values i. */
#define SPECIAL_FLAG(special) (1 << (special))
#define SPECIAL_FLAGS (SPECIAL_FLAG(NSPECIALS) - 1)
#define SPECIAL_NOT_FINITE (SPECIAL_FLAGS - SPECIAL_FLAG(SPECIAL_MINUS_ZERO))
extern uint8 special_flags(const SpecialCounts *specials);

/* Writes the counts of those that there are. */
extern void special_write(const SpecialCounts *specials, Writer *writer);

/* Adds the counts that flags say there are; gives how many values are not finite. */
extern uint64 special_merge_counts(SpecialCounts *specials, uint8 flags, Reader *reader);

static inline uint64
special_merge(SpecialCounts *specials, uint8 flags, Reader *reader)
{
	return likely(flags == 0) ? 0 : special_merge_counts(specials, flags, reader);
}

/*
 * Reads the counts, of no more events than these; false if write cannot have
 * written them.
 */
extern bool special_skip(SpecialCounts *specials, uint8 flags, uint64 events, Reader *reader);

/* Values that are in no sum: NaNs and infinities. */
extern uint64 special_not_finite(const SpecialCounts *specials);

/* What a sum is if there are NaNs or infinities. */
extern SpecialValue special_sum(const SpecialCounts *specials);

/* Which one a float is. */
static inline SpecialValue
special_of_float8(double value)
{
	if (unlikely(isnan(value)))
		return SPECIAL_NAN;
	if (unlikely(isinf(value)))
		return value > 0 ? SPECIAL_INFINITY : SPECIAL_MINUS_INFINITY;
	return unlikely(value == 0) && signbit(value) ? SPECIAL_MINUS_ZERO : SPECIAL_NONE;
}

#endif							/* FEATURESTORE_SPECIAL_VALUES_H */
