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

#include "window/big.h"
#include "window/bytes.h"

/*
 * Limbs of 32 bits in 64-bit words, the upper half being room for carries: so
 * that 2^28 additions pass before they must be carried.  Only limbs from low
 * to high - 1 have been touched; the others count as 0 and are not even
 * initialized.
 */
typedef struct Exact
{
	int			power;
	int			low;
	int			high;
	uint32		pending;		/* no limb is beyond 2^32 * pending */
	int64		limbs[FLEXIBLE_ARRAY_MEMBER];
} Exact;

/* Highest power of a double that is summed. */
#define EXACT_MAX_POWER 4

/* Bytes of an Exact for sums of x^power, x a double or an int64; a multiple of 8. */
extern Size exact_size(int power);

extern void exact_init(Exact *sum, int power);

/* Adds (or, with a negative n, subtracts) n times x^power, x finite. */
extern void exact_add_double(Exact *sum, double x, int64 n);
extern void exact_add_int64(Exact *sum, int64 x, int64 n);

/* Adds (sign 1) or subtracts (sign -1) another sum of the same power. */
extern void exact_add(Exact *sum, const Exact *other, int sign);

extern bool exact_is_zero(const Exact *sum);

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
