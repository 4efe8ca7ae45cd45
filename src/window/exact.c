/*
 * exact.c
 *	  Exact sums of numbers: no rounding until the very end.
 *
 * A number that is added is cut at the borders of 32 bits, and each part is
 * added to the limb it belongs to.  Nothing is carried then, since limbs have
 * room for it; carrying waits until a limb might overflow, or until the value
 * is asked for, when it is done on a copy.  So sums of equal value can differ
 * in their limbs, and in what is near and what is in limbs, never in what is
 * written or returned.
 */
#include "postgres.h"

#include <math.h>

#include "window/exact.h"

/* Binary digits of a double before the point, and of a count. */
#define DOUBLE_WHOLE_BITS 1024
#define COUNT_BITS 64

/* Limbs before the binary point, and after it those for valid sums. */
#define FRACTION_LIMBS(power) (((power) * EXACT_FRACTION_BITS + 31) / 32)
#define WHOLE_LIMBS(power) (((power) * DOUBLE_WHOLE_BITS + COUNT_BITS + 31) / 32)

/*
 * Two more at the top.  What is stored can say anything within its bounds, and
 * a sum of such things is wrong but must not leave the limbs.
 */
#define SPARE_LIMBS 2
#define EXACT_LIMBS(power) (FRACTION_LIMBS(power) + WHOLE_LIMBS(power) + SPARE_LIMBS)
#define EXACT_MAX_LIMBS EXACT_LIMBS(EXACT_MAX_POWER)

#define MAX_PENDING (1U << 29)

/* 32-bit parts of the fourth power of an int64, times a count. */
#define MAX_PARTS (2 * EXACT_MAX_POWER + 2)

Size
exact_size(int power)
{
	return MAXALIGN(offsetof(Exact, limbs) + EXACT_LIMBS(power) * sizeof(int64));
}

void
exact_init(Exact *sum, int power)
{
	Assert(power >= 1 && power <= EXACT_MAX_POWER);
	sum->power = power;
	sum->low = 0;
	sum->high = 0;
	sum->pending = 0;
	sum->near_exponent = 0;
	sum->near_additions = 0;
	sum->near_sum = 0;
}

static void
widen(Exact *sum, int low, int high)
{
	Assert(low >= 0 && high <= EXACT_LIMBS(sum->power));
	if (sum->low == sum->high)
		sum->low = sum->high = low;
	if (low < sum->low)
	{
		memset(sum->limbs + low, 0, (sum->low - low) * sizeof(int64));
		sum->low = low;
	}
	if (high > sum->high)
	{
		memset(sum->limbs + sum->high, 0, (high - sum->high) * sizeof(int64));
		sum->high = high;
	}
}

/* Limbs from low to high - 1 are going to be touched. */
static inline void
touch(Exact *sum, int low, int high)
{
	if (unlikely(low < sum->low || high > sum->high))
		widen(sum, low, high);
}

/*
 * Carries from limbs to the next ones, leaving 32 bits in each but the last.
 * The last is not carried from at the end of the room there is, where only
 * sums that no events have can come.
 */
static void
carry(Exact *sum)
{
	int64		rest = 0;

	if (sum->low == sum->high)
		return;
	if (sum->high < EXACT_LIMBS(sum->power))
		touch(sum, sum->low, sum->high + 1);
	for (int i = sum->low; i < sum->high - 1; i++)
	{
		rest += sum->limbs[i];
		sum->limbs[i] = (uint32) rest;
		rest >>= 32;
	}
	sum->limbs[sum->high - 1] = (int64) ((uint64) sum->limbs[sum->high - 1] + (uint64) rest);
	sum->pending = 1;
}

/* Says that each limb is going to get up to so many numbers of 32 bits. */
static inline void
count_pending(Exact *sum, uint32 additions)
{
	if (unlikely(sum->pending + additions > MAX_PENDING))
		carry(sum);
	sum->pending += additions;
}

/* Adds or subtracts parts * 2^shift, where shift counts from the lowest limb's first bit. */
static inline void
add_parts(Exact *sum, const uint32 *parts, int nparts, int shift, bool negative)
{
	int			first = shift >> 5;
	int64	   *limb = sum->limbs + first;

	shift &= 31;
	count_pending(sum, 2);
	touch(sum, first, first + nparts + 1);
	for (int i = 0; i < nparts; i++)
	{
		uint64		part = (uint64) parts[i] << shift;
		int64		lower = (int64) (uint32) part;
		int64		upper = (int64) (part >> 32);

		limb[i] += negative ? -lower : lower;
		limb[i + 1] += negative ? -upper : upper;
	}
}

/* Zeros at the low end go first: a sum of integers touches no limb of fractions. */
void
exact_settle(Exact *sum)
{
	bool		negative = sum->near_sum < 0;
	uint128		magnitude = negative ? -(uint128) sum->near_sum : (uint128) sum->near_sum;
	int			shift = sum->near_exponent - EXACT_LEAST_EXPONENT;
	uint32		parts[4];
	int			nparts = 0;

	while (magnitude != 0 && !(magnitude & 1))
	{
		int			zeros = (uint64) magnitude == 0 ? 64 : pg_rightmost_one_pos64((uint64) magnitude);

		magnitude >>= zeros;
		shift += zeros;
	}
	for (; magnitude != 0; magnitude >>= 32)
		parts[nparts++] = (uint32) magnitude;
	if (nparts > 0)
		add_parts(sum, parts, nparts, shift, negative);
	sum->near_sum = 0;
	sum->near_additions = 0;
}

/* parts *= factor; gives how many there are then. */
static int
multiply_parts(uint32 *parts, int nparts, uint64 factor)
{
	uint128		rest = 0;

	for (int i = 0; i < nparts + 2; i++)
	{
		rest += (uint128) factor * (i < nparts ? parts[i] : 0);
		parts[i] = (uint32) rest;
		rest >>= 32;
	}
	nparts += 2;
	while (nparts > 1 && parts[nparts - 1] == 0)
		nparts--;
	return nparts;
}

/* Adds or subtracts n times (magnitude * 2^exponent)^power. */
static inline void
add_power(Exact *sum, uint64 magnitude, int exponent, bool negative, int64 n)
{
	uint32		parts[MAX_PARTS];
	int			nparts = 2;
	int			power = sum->power;
	int			shift = exponent * power + 32 * FRACTION_LIMBS(power);
	uint64		times = n < 0 ? -(uint64) n : (uint64) n;

	negative = (negative && (power & 1)) != (n < 0);
	parts[0] = (uint32) magnitude;
	parts[1] = (uint32) (magnitude >> 32);
	if (power == 1 && times == 1)
	{
		add_parts(sum, parts, 2, shift, negative);
		return;
	}
	for (int i = 1; i < power; i++)
		nparts = multiply_parts(parts, nparts, magnitude);
	if (times != 1)
		nparts = multiply_parts(parts, nparts, times);
	add_parts(sum, parts, nparts, shift, negative);
}

void
exact_add_far(Exact *sum, double x, int64 n)
{
	uint64		magnitude;
	int			exponent;

	exact_parts(x, &magnitude, &exponent);
	add_power(sum, magnitude, exponent, x < 0, n);
}

void
exact_add_int64(Exact *sum, int64 x, int64 n)
{
	if (x == 0 || (sum->power == 1 && n == 1 && exact_add_near(sum, x, 0)))
		return;
	add_power(sum, x < 0 ? -(uint64) x : (uint64) x, 0, x < 0, n);
}

/* A sum of power 1. */
typedef union Copy
{
	Exact		sum;
	char		room[offsetof(Exact, limbs) + EXACT_LIMBS(1) * sizeof(int64)];
} Copy;

/* The same sum with nothing near: itself, or a copy. */
static const Exact *
settled(const Exact *sum, Copy *copy)
{
	if (sum->near_additions == 0)
		return sum;
	memcpy(copy, sum, offsetof(Exact, limbs));
	memcpy(copy->sum.limbs + sum->low, sum->limbs + sum->low,
		   (sum->high - sum->low) * sizeof(int64));
	exact_settle(&copy->sum);
	return &copy->sum;
}

/*
 * Carries into 32-bit limbs in two's complement; the sign goes into the one
 * added at the top, and is returned: 0 or -1.  There are then high - low + 1.
 */
static int64
carried_limbs(const Exact *sum, uint32 *limbs)
{
	int64		rest = 0;
	int			count = sum->high - sum->low;

	for (int i = 0; i < count; i++)
	{
		rest += sum->limbs[sum->low + i];
		limbs[i] = (uint32) rest;
		rest >>= 32;
	}
	limbs[count] = (uint32) rest;
	return rest < 0 ? -1 : 0;
}

/* The value in limbs that the caller has room for: EXACT_MAX_LIMBS + 1. */
static Big
magnitude_in(const Exact *sum, uint32 *limbs)
{
	Big			result = {.limbs = limbs};
	Copy		copy;

	sum = settled(sum, &copy);
	result.negative = carried_limbs(sum, limbs) < 0;
	result.size = sum->high - sum->low + 1;
	result.exponent = sum->low - FRACTION_LIMBS(sum->power);
	if (result.negative)
	{
		uint64		rest = 1;

		for (int i = 0; i < result.size; i++)
		{
			rest += (uint32) ~limbs[i];
			limbs[i] = (uint32) rest;
			rest >>= 32;
		}
	}
	return big_trimmed(result);
}

Big
exact_big(const Exact *sum)
{
	uint32		limbs[EXACT_MAX_LIMBS + 1];
	Big			result = magnitude_in(sum, limbs);

	result.limbs = palloc(Max(result.size, 1) * sizeof(uint32));
	memcpy(result.limbs, limbs, result.size * sizeof(uint32));
	return result;
}

double
exact_float8(const Exact *sum)
{
	uint32		limbs[EXACT_MAX_LIMBS + 1];

	/* Where the result is no denormal and not beyond range the conversion rounds, once */
	if (sum->low == sum->high && abs(sum->near_exponent) < 800)
		return ldexp((double) sum->near_sum, sum->near_exponent);
	return big_float8(magnitude_in(sum, limbs));
}

float
exact_float4(const Exact *sum)
{
	uint32		limbs[EXACT_MAX_LIMBS + 1];

	return big_float4(magnitude_in(sum, limbs));
}

double
exact_divide(const Exact *sum, uint64 n)
{
	uint32		limbs[EXACT_MAX_LIMBS + 1];

	return big_quotient(magnitude_in(sum, limbs), n, 1);
}

void
exact_write(const Exact *sum, Writer *writer)
{
	uint32		limbs[EXACT_MAX_LIMBS + 1];
	char		bytes[sizeof(limbs)];
	char		sign;
	int			first = 0;
	int			end = 0;
	Copy		copy;

	sum = settled(sum, &copy);
	sign = (char) carried_limbs(sum, limbs);

	for (int i = 0; i <= sum->high - sum->low; i++)
	{
		for (int j = 0; j < 4; j++)
			bytes[end++] = (char) (limbs[i] >> (8 * j));
	}
	while (end > 0 && bytes[end - 1] == sign)
		end--;
	if (end > 0 && (bytes[end - 1] ^ sign) & 0x80)
		bytes[end++] = sign;
	/* -1, of which no byte is left */
	if (end == 0 && sign != 0)
		end = 1;
	while (first < end && bytes[first] == 0)
		first++;
	write_varint(writer, end - first);
	if (first == end)
		return;
	write_varint(writer, zigzag(4 * (sum->low - FRACTION_LIMBS(sum->power)) + first));
	write_bytes(writer, bytes + first, end - first);
}

void
exact_merge(Exact *sum, Reader *reader)
{
	Size		size = read_varint(reader);
	int			position;
	int			shift;
	int64		top;
	const char *bytes;
	int64	   *limb;

	if (size == 0)
		return;
	position = (int) unzigzag(read_varint(reader));
	bytes = read_bytes(reader, size);
	if (sum->power == 1 && size <= sizeof(int64))
	{
		int			unused_bits = 64 - 8 * (int) size;
		bool		is_last = (Size) (reader->end - bytes) < sizeof(int64);
		uint64		loaded = is_last ? load_unsigned(bytes, (int) size) : load_uint64(bytes);

		if (exact_add_near(sum, (int64) (loaded << unused_bits) >> unused_bits, 8 * position))
			return;
	}
	position += 4 * FRACTION_LIMBS(sum->power);
	shift = 8 * (position & 3);
	limb = sum->limbs + (position >> 2);
	count_pending(sum, 2);
	touch(sum, position >> 2, (position >> 2) + (int) (size + 3) / 4 + 1);
	for (; size > 4; size -= 4, bytes += 4)
	{
		uint64		part = (uint64) ((uint8) bytes[0] | (uint8) bytes[1] << 8 |
									 (uint8) bytes[2] << 16 | (uint32) (uint8) bytes[3] << 24) << shift;

		*limb++ += (uint32) part;
		*limb += (int64) (part >> 32);
	}
	/* The highest byte has the sign */
	top = (int8) bytes[--size];
	while (size > 0)
		top = top * 256 + (uint8) bytes[--size];
	top *= INT64CONST(1) << shift;
	*limb++ += (uint32) top;
	*limb += top >> 32;
}

void
exact_skip(int power, bool whole, Reader *reader)
{
	uint64		size = read_varint(reader);
	int64		least = whole ? 0 : -4 * FRACTION_LIMBS(power);
	int64		position;
	const char *bytes;

	if (size == 0)
		return;
	position = unzigzag(read_varint(reader));
	if (size > 4 * (FRACTION_LIMBS(power) + WHOLE_LIMBS(power)) ||
		position < least ||
		position > 4 * WHOLE_LIMBS(power) - (int64) size)
	{
		reader->failed = true;
		return;
	}
	bytes = read_bytes(reader, size);
	if (bytes == NULL || bytes[0] == 0 ||
		(size > 1 && bytes[size - 1] == (char) ((bytes[size - 2] & 0x80) ? -1 : 0)))
		reader->failed = true;
}
