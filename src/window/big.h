/*
 * big.h
 *	  Whole numbers of any size, times a power of two: for what is computed of
 *	  exact sums before the one rounding at the end.
 */
#ifndef FEATURESTORE_BIG_H
#define FEATURESTORE_BIG_H

/*
 * The sum of limbs[i] * 2^(32 * (i + exponent)).  The highest limb is not 0;
 * zero has no limbs.
 */
typedef struct Big
{
	bool		negative;
	int			size;
	int			exponent;
	uint32	   *limbs;
} Big;

/* Drops zeros at the top; gives the number as it then is. */
extern Big	big_trimmed(Big a);

/* Results are in the current memory context. */
extern Big	big_multiply(Big a, Big b);
extern Big	big_multiply_uint64(Big a, uint64 b);
/* a + b and a - b */
extern Big	big_add(Big a, Big b);
extern Big	big_subtract(Big a, Big b);

/* The nearest float8, or float4, ties to even; beyond range an infinity. */
extern double big_float8(Big a);
extern float big_float4(Big a);

/* The nearest float8 to a / (divisor1 * divisor2), and to the root of that (a >= 0). */
extern double big_quotient(Big a, uint64 divisor1, uint64 divisor2);
extern double big_quotient_root(Big a, uint64 divisor1, uint64 divisor2);

/* Like frexp: the nearest number of 53 bits, as a mantissa of [0.5, 1) and its exponent. */
extern double big_frexp(Big a, int *exponent);

#endif							/* FEATURESTORE_BIG_H */
