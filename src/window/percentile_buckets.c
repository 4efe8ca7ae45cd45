/*
 * percentile_buckets.c
 *	  Buckets of numbers that are close to each other.
 *
 * A bucket is found from the bits of a float8 by arithmetic of integers, which
 * is fast and the same on all machines: the exponent tells the octave, and a
 * cubic that is close to the logarithm tells the bucket within.  The cubic grows
 * by 10/7 of what the logarithm does at least, so that within a bucket the
 * logarithm grows by 0.7 / precision at most (the least there could be is
 * ln(2) / precision), and what stands for the bucket is off by half of that.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "port/pg_bitutils.h"

#include "window/family.h"
#include "window/percentile_buckets.h"

/*
 * Octaves are numbered from that of the least denormal.  Bits of a mantissa
 * below the STEP_BITS highest do not matter.
 */
#define MANTISSA_BITS 52
#define LEAST_EXPONENT (-1074)
#define STEP_BITS 19
#define STEPS (1 << STEP_BITS)

/* A little is added for what STEP_BITS round off. */
uint32
percentile_sketch_precision(double relative_error)
{
	double		precision = ceil(0.3515 / relative_error);

	return Min(Max(precision, PERCENTILE_SKETCH_MIN_PRECISION), PERCENTILE_SKETCH_MAX_PRECISION);
}

/*
 * In which of an octave's buckets the steps'th of its STEPS steps lies: x *
 * (50 - 21 x + 6 x^2) / 35 of them, where x = steps / STEPS.
 */
static inline uint32
step_bucket(uint32 steps, uint32 precision)
{
	uint64		x = steps;
	uint64		cubic = x * ((UINT64CONST(50) << (2 * STEP_BITS)) -
							 ((UINT64CONST(21) * x) << STEP_BITS) + 6 * x * x);

	return (cubic >> 26) * precision / (UINT64CONST(35) << (3 * STEP_BITS - 26));
}

/* The first step of a bucket: the least that step_bucket() puts there or beyond. */
static uint32
bucket_step(uint32 bucket, uint32 precision)
{
	uint32		low = 0;
	uint32		high = STEPS;

	while (low < high)
	{
		uint32		middle = (low + high) / 2;

		if (step_bucket(middle, precision) < bucket)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32
bucket_of(double value, uint32 precision)
{
	uint64		bits;
	uint32		octave;
	uint32		place;

	memcpy(&bits, &value, sizeof(bits));
	bits &= PG_INT64_MAX;
	octave = bits >> MANTISSA_BITS;
	if (likely(octave > 0))
		octave += MANTISSA_BITS - 1;
	else
	{
		/* a denormal, whose octave is that of its highest bit */
		octave = pg_leftmost_one_pos64(bits);
		bits <<= MANTISSA_BITS - octave;
	}
	place = octave * precision +
		step_bucket((bits >> (MANTISSA_BITS - STEP_BITS)) & (STEPS - 1), precision);
	return value > 0 ? FIRST_POSITIVE_BUCKET + place : FIRST_POSITIVE_BUCKET - 1 - place;
}

/*
 * The number of least relative distance to all from low to high, which are
 * positive: 2 / (1 / low + 1 / high), each being its mantissa * 2^exponent.
 */
static double
middle(double low, int low_exponent, double high, int high_exponent)
{
	double		ratio = ldexp(low / high, low_exponent - high_exponent);

	return ldexp(2 * low / (1 + ratio), low_exponent);
}

double
bucket_value(uint32 bucket, uint32 level, uint32 precision, bool integers)
{
	uint32		width = (uint32) 1 << level;
	bool		is_positive = bucket >= FIRST_POSITIVE_BUCKET >> level;
	uint32		first = is_positive ? bucket * width - FIRST_POSITIVE_BUCKET :
		FIRST_POSITIVE_BUCKET - (bucket + 1) * width;
	uint32		end = first + width;
	double		low = 1 + (double) bucket_step(first % precision, precision) / STEPS;
	double		high = 1 + (double) bucket_step(end % precision, precision) / STEPS;
	int			low_exponent = (int) (first / precision) + LEAST_EXPONENT;
	int			high_exponent = (int) (end / precision) + LEAST_EXPONENT;
	double		value;

	if (integers)
	{
		/* the least and the greatest integer in it */
		low = ceil(ldexp(low, low_exponent));
		high = Max(low, ceil(ldexp(high, high_exponent)) - 1);
		value = rint(middle(low, 0, high, 0));
	}
	else
		value = Min(middle(low, low_exponent, high, high_exponent), DBL_MAX);
	return is_positive ? value : -value;
}
