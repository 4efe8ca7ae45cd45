/*
 * exact.h
 *	  Exact sums of numbers: no rounding until the very end.
 *
 * An Exact is a fixed-point number wide enough for the fourth powers of all
 * doubles, their sum over 2^63 events included.  Addition is exact, so it is
 * associative and commutative, and what was added can be subtracted again.
 */
#ifndef FEATURESTORE_EXACT_H
#define FEATURESTORE_EXACT_H

#include "port/pg_bitutils.h"

#include "window/big.h"
#include "window/bytes.h"

/*
 * Limbs of 32 bits in 64-bit words, the upper half being room for carries: so
 * that 2^28 additions pass before they must be carried.  Only limbs from low
 * to high - 1 have been touched; the others count as 0 and are not even
 * initialized.
 *
 * Most numbers that are summed are of similar size, and an integer of 128 bits
 * takes those in at once: near, which is part of the sum beside the limbs.  It
 * is only used for power 1.
 */
typedef struct Exact
{
	int			power;
	int			low;
	int			high;
	uint32		pending;		/* no limb is beyond 2^32 * pending */
	int			near_exponent;	/* near is near_sum * 2^near_exponent */
	uint32		near_additions; /* 0: near_exponent is not chosen yet */
	int128		near_sum;
	int64		limbs[FLEXIBLE_ARRAY_MEMBER];
} Exact;

/* Highest power of a double that is summed. */
#define EXACT_MAX_POWER 4

/* Binary digits of a double after the point. */
#define EXACT_FRACTION_BITS 1074

/*
 * What is near: numbers below 2^EXACT_NEAR_BITS in units of 2^near_exponent, so
 * many that an int128 holds their sum.  The first one's highest bit is put
 * where there is room for larger ones and for the fraction of smaller ones.
 */
#define EXACT_NEAR_BITS 111
#define EXACT_FIRST_BITS 80
#define EXACT_NEAR_ADDITIONS (1U << 15)
#define EXACT_LEAST_EXPONENT (-32 * ((EXACT_FRACTION_BITS + 31) / 32))

/* Bytes of an Exact for sums of x^power, x a double or an int64; a multiple of 8. */
extern Size exact_size(int power);

extern void exact_init(Exact *sum, int power);

/* Moves what is near into the limbs. */
extern void exact_settle(Exact *sum);

/* How many bits the magnitude of a value, not 0, has. */
static inline int
exact_bits(int64 value)
{
	return 1 + pg_leftmost_one_pos64(value < 0 ? -(uint64) value : (uint64) value);
}

/* Adds value * 2^exponent, value not 0, to what is near; false if it is too far away. */
static inline bool
exact_add_near(Exact *sum, int64 value, int exponent)
{
	int			shift;

	if (unlikely(sum->near_additions == 0))
		sum->near_exponent = Max(exponent + exact_bits(value) - EXACT_FIRST_BITS,
								 EXACT_LEAST_EXPONENT);
	shift = exponent - sum->near_exponent;
	if (unlikely((uint32) shift > EXACT_NEAR_BITS - 64) &&
		(shift < 0 || shift + exact_bits(value) > EXACT_NEAR_BITS))
		return false;
	sum->near_sum += (int128) ((uint128) (int128) value << shift);
	if (unlikely(++sum->near_additions == EXACT_NEAR_ADDITIONS))
		exact_settle(sum);
	return true;
}

/* A finite double, not 0, is magnitude * 2^exponent, and has a sign. */
static inline void
exact_parts(double x, uint64 *magnitude, int *exponent)
{
	uint64		bits;

	memcpy(&bits, &x, sizeof(bits));
	*magnitude = bits & UINT64CONST(0x000FFFFFFFFFFFFF);
	*exponent = (int) (bits >> 52) & 0x7FF;
	Assert(*exponent != 0x7FF);
	if (likely(*exponent != 0))
		*magnitude |= UINT64CONST(0x0010000000000000);
	else
		*exponent = 1;
	*exponent -= 1 + EXACT_FRACTION_BITS;
}

/* Adds what is not near, x not 0. */
extern void exact_add_far(Exact *sum, double x, int64 n);

/* Adds (or, with a negative n, subtracts) n times x^power, x finite. */
static inline void
exact_add_double(Exact *sum, double x, int64 n)
{
	uint64		magnitude;
	int			exponent;

	if (x == 0)
		return;
	if (likely(sum->power == 1 && (n == 1 || n == -1)))
	{
		exact_parts(x, &magnitude, &exponent);
		if (likely(exact_add_near(sum, (x < 0) == (n < 0) ? (int64) magnitude : -(int64) magnitude,
								  exponent)))
			return;
	}
	exact_add_far(sum, x, n);
}

extern void exact_add_int64(Exact *sum, int64 x, int64 n);

/*
 * Stored form, one for each value: number of bytes (varint; 0: the sum is zero,
 * and nothing follows); number of the lowest of them, counted from the binary
 * point (zigzag varint); the bytes, two's complement, little-endian, as few as
 * hold value and sign, the lowest of them not 0.
 */
extern void exact_write(const Exact *sum, Writer *writer);
/* Adds what is stored, which must be valid. */
extern void exact_merge(Exact *sum, Reader *reader);
/*
 * Skips what is stored; marks the reader failed if it is not valid for the
 * power, or not whole where it is a sum of integers.
 */
extern void exact_skip(int power, bool whole, Reader *reader);

/* The nearest float8, ties to even; beyond range an infinity. */
extern double exact_float8(const Exact *sum);
/* The nearest float4, rounded once. */
extern float exact_float4(const Exact *sum);
/* The nearest float8 to sum / n, rounded once. */
extern double exact_divide(const Exact *sum, uint64 n);
/* The value, in the current memory context. */
extern Big	exact_big(const Exact *sum);

#endif							/* FEATURESTORE_EXACT_H */
