/*
 * numeric_sums.h
 *	  Exact sums of numerics and of their powers, and numerics as results.
 *
 * What PostgreSQL's own aggregates give over integers and numerics is computed
 * here as they do: from exact sums, with one division at the end.
 */
#ifndef FEATURESTORE_NUMERIC_SUMS_H
#define FEATURESTORE_NUMERIC_SUMS_H

#include "utils/numeric.h"

#include "window/big.h"
#include "window/bytes.h"
#include "window/special_values.h"
#include "window/value.h"

/* A sum in base 10,000: limbs[i] * 10000^(low + i), each limb with room for carries. */
typedef struct DecimalSum
{
	int			low;
	int			size;
	uint64		pending;		/* no limb is beyond 10000 * pending */
	int64	   *limbs;
} DecimalSum;

#define NUMERIC_MAX_POWER 4

/* How many numbers have a scale: a sum is displayed with the greatest there is. */
typedef struct ScaleCount
{
	uint32		scale;
	uint64		count;
} ScaleCount;

/* Sums of x^1 to x^power of the finite numbers. */
typedef struct NumericSums
{
	int			power;
	int			nscales;
	int			scale_capacity;
	ScaleCount *scales;			/* by scale */
	DecimalSum	sums[NUMERIC_MAX_POWER];
} NumericSums;

extern void numeric_sums_init(NumericSums *sums, int power);

/* Which special value an image is. */
extern SpecialValue numeric_special(Image image);

/* Adds n times a finite number. */
extern void numeric_sums_add(NumericSums *sums, Image image, uint64 n);
/* Takes n of them away; false if there are none of its scale. */
extern bool numeric_sums_subtract(NumericSums *sums, Image image, uint64 n);

/*
 * Stored form: number of scales (varint), each as its distance from the one
 * before (varint) and, but for the last, its count (varint); then for each
 * power: number of base 10,000 digits times 2, plus 1 if it is negative
 * (varint; 0: the sum is zero, and nothing follows); weight of the lowest digit
 * (zigzag varint); the digits, 2 bytes each, the lowest first, neither end 0.
 * The count of the last scale is what is missing to finite, the number of
 * finite values.
 */
extern void numeric_sums_write(const NumericSums *sums, Writer *writer);
extern void numeric_sums_merge(NumericSums *sums, uint64 finite, Reader *reader);
/* Skips what is stored; marks the reader failed if it is not valid. */
extern void numeric_sums_skip(int power, uint64 finite, Reader *reader);

/* The sum of x^power; false, as for those below, if a numeric cannot be it. */
extern bool numeric_of_sum(const NumericSums *sums, int power, Numeric *result);
extern bool numeric_of_big(Big big, Numeric *result);
extern Numeric numeric_of_special(SpecialValue special);
extern bool numeric_average(Numeric sum, uint64 n, Numeric *result);

/* Variance or its root, of n numbers with these sums of x and x^2. */
extern bool numeric_variance(Numeric sum, Numeric sum_of_squares, uint64 n, bool sample,
							 bool root, Numeric *result);

/*
 * The sums as whole numbers, of numbers all times the same power of 10: enough
 * for what does not depend on a unit.
 */
extern void numeric_sums_whole(const NumericSums *sums, Big *wholes);

#endif							/* FEATURESTORE_NUMERIC_SUMS_H */
