/*
 * big.c
 *	  Whole numbers of any size, times a power of two.
 *
 * All rounding is of one kind: the highest bits of a number are taken into 128
 * bits, those below are only asked whether any is set, and that is enough to
 * round to the nearest, since no more than 53 bits remain.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "port/pg_bitutils.h"

#include "window/big.h"

/* What a rounding leaves: bits of the mantissa, and the least exponent of its last bit. */
typedef struct FloatFormat
{
	int			precision;
	int			least_exponent;
} FloatFormat;

static const FloatFormat float8_format = {53, -1074};
static const FloatFormat float4_format = {24, -149};

/* No bound on the exponent, for numbers that are still computed with. */
static const FloatFormat unbounded_format = {53, PG_INT32_MIN / 2};

/* bits * 2^exponent, and a little more if inexact. */
typedef struct Truncated
{
	uint128		bits;
	int			exponent;
	bool		inexact;
} Truncated;

Big
big_trimmed(Big a)
{
	while (a.size > 0 && a.limbs[a.size - 1] == 0)
		a.size--;
	a.negative &= a.size > 0;
	return a;
}

static Big
big_alloc(int size, int exponent)
{
	return (Big) {.size = size,.exponent = exponent,
		.limbs = palloc_extended(Max((Size) size, 1) * sizeof(uint32),
								 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO)};
}

Big
big_multiply(Big a, Big b)
{
	Big			result = big_alloc(a.size + b.size, a.exponent + b.exponent);

	for (int i = 0; i < a.size; i++)
	{
		uint64		carry = 0;

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < b.size; j++)
		{
			carry += (uint64) a.limbs[i] * b.limbs[j] + result.limbs[i + j];
			result.limbs[i + j] = (uint32) carry;
			carry >>= 32;
		}
		result.limbs[i + b.size] = (uint32) carry;
	}
	result.negative = a.negative != b.negative;
	return big_trimmed(result);
}

Big
big_multiply_uint64(Big a, uint64 b)
{
	uint32		limbs[2] = {(uint32) b, (uint32) (b >> 32)};

	return big_multiply(a, big_trimmed((Big) {.size = 2,.limbs = limbs}));
}

/* Adds b << shift limbs to a (which has room for it), or subtracts it. */
static void
add_limbs(Big *a, Big b, int shift, bool subtract)
{
	int64		carry = 0;

	for (int i = shift; i < a->size; i++)
	{
		int64		limb = i - shift < b.size ? b.limbs[i - shift] : 0;

		carry += (int64) a->limbs[i] + (subtract ? -limb : limb);
		a->limbs[i] = (uint32) carry;
		carry >>= 32;
		if (carry == 0 && i - shift >= b.size)
			break;
	}
	if (carry < 0)
	{
		/* What was subtracted was more: negate */
		carry = 1;
		for (int i = 0; i < a->size; i++)
		{
			carry += (uint32) ~a->limbs[i];
			a->limbs[i] = (uint32) carry;
			carry >>= 32;
		}
		a->negative = !a->negative;
	}
}

Big
big_add(Big a, Big b)
{
	int			exponent = Min(a.exponent, b.exponent);
	int			end = Max(a.size + a.exponent, b.size + b.exponent) + 1;
	Big			result;

	if (a.size == 0)
		return b;
	if (b.size == 0)
		return a;
	result = big_alloc(end - exponent, exponent);
	memcpy(result.limbs + (a.exponent - exponent), a.limbs, a.size * sizeof(uint32));
	result.negative = a.negative;
	add_limbs(&result, b, b.exponent - exponent, a.negative != b.negative);
	return big_trimmed(result);
}

Big
big_subtract(Big a, Big b)
{
	b.negative = !b.negative;
	return big_add(a, b);
}

/* The highest 128 bits, the highest of them set unless the number has fewer. */
static Truncated
truncated(Big a)
{
	Truncated	result = {0};
	int			low = Max(a.size - 4, 0);
	int			unused;

	if (a.size == 0)
		return result;
	for (int i = a.size - 1; i >= low; i--)
		result.bits = result.bits << 32 | a.limbs[i];
	result.exponent = 32 * (a.exponent + low);
	unused = 31 - pg_leftmost_one_pos32(a.limbs[a.size - 1]);
	if (low > 0 && unused > 0)
	{
		low--;
		result.bits = result.bits << unused | a.limbs[low] >> (32 - unused);
		result.exponent -= unused;
		result.inexact = (uint32) (a.limbs[low] << unused) != 0;
	}
	while (!result.inexact && low > 0)
		result.inexact = a.limbs[--low] != 0;
	return result;
}

static int
bit_length(uint128 bits)
{
	uint64		high = (uint64) (bits >> 64);

	if (high != 0)
		return 65 + pg_leftmost_one_pos64(high);
	return (uint64) bits != 0 ? 1 + pg_leftmost_one_pos64((uint64) bits) : 0;
}

/* Rounds to the nearest mantissa of the format, ties to even. */
static uint64
round_mantissa(Truncated a, const FloatFormat *format, int *exponent)
{
	int			length = bit_length(a.bits);
	int			drop = length - format->precision;
	uint128		rest;
	uint128		half;
	uint64		mantissa;

	if (a.exponent + drop < format->least_exponent)
		drop = format->least_exponent - a.exponent;
	*exponent = a.exponent;
	if (drop <= 0)
		return (uint64) a.bits;
	*exponent += drop;
	if (drop > length)
		return 0;
	mantissa = drop < 128 ? (uint64) (a.bits >> drop) : 0;
	half = (uint128) 1 << (drop - 1);
	rest = drop < 128 ? a.bits & ((half << 1) - 1) : a.bits;
	if (rest > half || (rest == half && (a.inexact || (mantissa & 1))))
		mantissa++;
	return mantissa;
}

static double
rounded(Truncated a, const FloatFormat *format, bool negative)
{
	int			exponent;
	uint64		mantissa = round_mantissa(a, format, &exponent);
	double		result = ldexp((double) mantissa, exponent);

	return negative ? -result : result;
}

double
big_float8(Big a)
{
	return rounded(truncated(a), &float8_format, a.negative);
}

float
big_float4(Big a)
{
	double		value = rounded(truncated(a), &float4_format, a.negative);

	/* 2^128 is what the greatest float rounds up to; to convert it is undefined */
	if (fabs(value) >= ldexp(1, 128))
		return value < 0 ? -(float) INFINITY : (float) INFINITY;
	return (float) value;
}

double
big_frexp(Big a, int *exponent)
{
	int			scale;
	uint64		mantissa = round_mantissa(truncated(a), &unbounded_format, &scale);
	double		result = frexp((double) mantissa, exponent);

	*exponent += scale;
	return a.negative ? -result : result;
}

/* Divides limbs in place; gives the remainder. */
static uint64
divide_limbs(uint32 *limbs, int size, uint64 divisor)
{
	uint64		rest = 0;

	for (int i = size - 1; i >= 0; i--)
	{
		if (rest <= PG_UINT32_MAX)
		{
			uint64		part = rest << 32 | limbs[i];

			limbs[i] = (uint32) (part / divisor);
			rest = part % divisor;
		}
		else
		{
			uint128		part = (uint128) rest << 32 | limbs[i];

			limbs[i] = (uint32) (part / divisor);
			rest = (uint64) (part % divisor);
		}
	}
	return rest;
}

/* Limbs enough for a quotient of 128 bits by divisors of 128 bits. */
#define QUOTIENT_LIMBS 10

/*
 * The quotient a / (divisor1 * divisor2), to at least wanted bits.  Of a no
 * more than its highest limbs are divided: those left out cannot change the
 * whole part of the quotient, only make it inexact.
 */
static Truncated
truncated_quotient(Big a, uint64 divisor1, uint64 divisor2, int wanted)
{
	uint32		limbs[QUOTIENT_LIMBS] = {0};
	int			bits = pg_leftmost_one_pos64(divisor1) + pg_leftmost_one_pos64(divisor2) + 2;
	int			size = Min((bits + wanted + 31) / 32 + 1, QUOTIENT_LIMBS);
	int			taken = Min(size, a.size);
	Big			quotient = {.size = size,.exponent = a.exponent + a.size - size,.limbs = limbs};
	bool		inexact = false;
	Truncated	result;

	if (a.size == 0)
		return (Truncated) {0};
	memcpy(limbs + (size - taken), a.limbs + (a.size - taken), taken * sizeof(uint32));
	for (int i = a.size - taken - 1; i >= 0 && !inexact; i--)
		inexact = a.limbs[i] != 0;
	if (divisor1 > 1)
		inexact |= divide_limbs(limbs, size, divisor1) != 0;
	if (divisor2 > 1)
		inexact |= divide_limbs(limbs, size, divisor2) != 0;
	result = truncated(big_trimmed(quotient));
	result.inexact |= inexact;
	return result;
}

double
big_quotient(Big a, uint64 divisor1, uint64 divisor2)
{
	return rounded(truncated_quotient(a, divisor1, divisor2, 64), &float8_format, a.negative);
}

/* The root of a number of 126 to 128 bits, rounded down. */
static uint64
root_of_bits(uint128 bits)
{
	double		estimate = sqrt((double) bits);
	uint64		root = estimate < ldexp(1, 64) ? (uint64) estimate : PG_UINT64_MAX;

	/* 53 bits of it are right, so that one step makes all right but for the last */
	root = (uint64) Min(((uint128) root + bits / root) / 2, (uint128) PG_UINT64_MAX);
	while ((uint128) root * root > bits)
		root--;
	while (root < PG_UINT64_MAX && (uint128) (root + 1) * (root + 1) <= bits)
		root++;
	return root;
}

double
big_quotient_root(Big a, uint64 divisor1, uint64 divisor2)
{
	Truncated	square = truncated_quotient(a, divisor1, divisor2, 128);
	Truncated	root;

	if (square.bits == 0)
		return 0;
	Assert(bit_length(square.bits) == 128);
	/* Half of the exponent is the root's, so it must be even */
	if (square.exponent & 1)
	{
		square.inexact |= (square.bits & 1) != 0;
		square.bits >>= 1;
		square.exponent++;
	}
	root.bits = root_of_bits(square.bits);
	root.exponent = square.exponent / 2;
	root.inexact = square.inexact || root.bits * root.bits != square.bits;
	return rounded(root, &float8_format, false);
}
