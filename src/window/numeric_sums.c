/*
 * numeric_sums.c
 *	  Exact sums of numerics and of their powers.
 *
 * A sum is a row of limbs in base 10,000, as are the digits of a numeric, so
 * that a digit is added to the limb of its weight; the row grows to where
 * digits come.  Limbs have either sign and are carried when the sum is asked
 * for, on a copy.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "window/numeric_sums.h"

#define BASE 10000
#define BASE_DECIMALS 4

/* Bounds of what can be in a numeric: weights of its digits, and its scale. */
#define MAX_WEIGHT PG_INT16_MAX
#define MAX_SCALE 0x3FFF
#define MIN_WEIGHT (-(MAX_SCALE + BASE_DECIMALS - 1) / BASE_DECIMALS)

/* Digits of a count in base 10,000. */
#define COUNT_DIGITS 5

/* What is carried beyond a sum's last limb has no more digits. */
#define CARRY_DIGITS 6

/* What is pending then leaves room for as much again. */
#define MAX_PENDING (UINT64CONST(1) << 48)

/* Digits of a number on the stack; more are palloc'd. */
#define FEW_DIGITS 128

/* A finite number as an image has it (value.c): digits are words, the highest first. */
typedef struct Decimal
{
	bool		negative;
	int			scale;
	int			low;			/* weight of its last digit */
	int			ndigits;
	const uint8 *digits;
} Decimal;

static inline int
digit_at(const Decimal *decimal, int index)
{
	return decimal->digits[2 * index] | decimal->digits[2 * index + 1] << 8;
}

/* The form is told by the two highest bits of the first word. */
SpecialValue
numeric_special(Image image)
{
	uint8		high = (uint8) image.data[1];

	if (high < 0xC0)
		return SPECIAL_NONE;
	return high == 0xD0 ? SPECIAL_INFINITY :
		high == 0xF0 ? SPECIAL_MINUS_INFINITY : SPECIAL_NAN;
}

static Decimal
decimal_of_image(Image image)
{
	const uint8 *bytes = (const uint8 *) image.data;
	int			header = bytes[0] | bytes[1] << 8;
	int			header_size = header & 0x8000 ? 2 : 4;
	int			weight;
	Decimal		decimal;

	if (header & 0x8000)
	{
		decimal.negative = (header & 0x2000) != 0;
		decimal.scale = (header & 0x1FFF) >> 7;
		weight = (header & 0x7F) - ((header & 0x40) << 1);
	}
	else
	{
		decimal.negative = (header & 0x4000) != 0;
		decimal.scale = header & MAX_SCALE;
		weight = (int16) (bytes[2] | bytes[3] << 8);
	}
	decimal.digits = bytes + header_size;
	decimal.ndigits = (image.size - header_size) / 2;
	decimal.low = weight - decimal.ndigits + 1;
	return decimal;
}

/* Room for limbs of the weights low to end - 1. */
static void
decimal_widen(DecimalSum *sum, int low, int end)
{
	int			old_end = sum->low + sum->size;
	int			new_low = sum->size > 0 ? Min(low, sum->low) : low;
	int			new_end = sum->size > 0 ? Max(end, old_end) : end;
	int64	   *limbs;

	if (sum->size > 0 && new_low == sum->low && new_end == old_end)
		return;
	limbs = palloc0((new_end - new_low) * sizeof(int64));
	if (sum->size > 0)
	{
		memcpy(limbs + (sum->low - new_low), sum->limbs, sum->size * sizeof(int64));
		pfree(sum->limbs);
	}
	sum->limbs = limbs;
	sum->low = new_low;
	sum->size = new_end - new_low;
}

/*
 * Carries from limbs, which become digits of 0 to 9999 in out (may be the limbs
 * themselves); gives what is carried from the last, and the last's sign.
 */
static int64
decimal_carry(const int64 *limbs, int size, int64 *out)
{
	int64		rest = 0;

	for (int i = 0; i < size; i++)
	{
		int64		digit;

		rest += limbs[i];
		digit = rest % BASE;
		if (digit < 0)
			digit += BASE;
		rest = (rest - digit) / BASE;
		out[i] = digit;
	}
	return rest;
}

static void
decimal_carry_in_place(DecimalSum *sum)
{
	int			first_new = sum->size;
	int64		rest = decimal_carry(sum->limbs, sum->size, sum->limbs);

	if (rest < -1 || rest > 0)
	{
		decimal_widen(sum, sum->low, sum->low + sum->size + CARRY_DIGITS);
		sum->limbs[first_new] = rest;
		rest = decimal_carry(sum->limbs + first_new, CARRY_DIGITS, sum->limbs + first_new);
	}
	/* The sign stays in the last limb */
	sum->limbs[sum->size - 1] += rest * BASE;
	sum->pending = 1;
}

/* Adds or subtracts digits (the lowest first, its weight is low). */
static void
decimal_add(DecimalSum *sum, const uint64 *digits, int ndigits, int low, bool negative)
{
	int64	   *limb;

	if (unlikely(sum->pending >= MAX_PENDING))
		decimal_carry_in_place(sum);
	sum->pending++;
	decimal_widen(sum, low, low + ndigits);
	limb = sum->limbs + (low - sum->low);
	for (int i = 0; i < ndigits; i++)
		limb[i] += negative ? -(int64) digits[i] : (int64) digits[i];
}

/* product = digits * the decimal's; gives its number of digits. */
static int
decimal_multiply(const uint64 *digits, int ndigits, const Decimal *decimal, uint64 *product)
{
	int			size = ndigits + decimal->ndigits;
	uint64		rest = 0;

	memset(product, 0, size * sizeof(uint64));
	for (int i = 0; i < decimal->ndigits; i++)
	{
		int			digit = digit_at(decimal, decimal->ndigits - 1 - i);

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < ndigits; j++)
			product[i + j] += digit * digits[j];
	}
	for (int i = 0; i < size; i++)
	{
		rest += product[i];
		product[i] = rest % BASE;
		rest /= BASE;
	}
	while (size > 0 && product[size - 1] == 0)
		size--;
	return size;
}

/* Adds or subtracts n times each power of a number. */
static void
add_powers(NumericSums *sums, const Decimal *decimal, uint64 n, bool subtract)
{
	uint64		few[2 * FEW_DIGITS];
	int			most = sums->power * decimal->ndigits + COUNT_DIGITS;
	uint64	   *power = most <= FEW_DIGITS ? few : palloc(2 * most * sizeof(uint64));
	uint64	   *next = power + (most <= FEW_DIGITS ? FEW_DIGITS : most);
	uint64	   *memory = power;
	int			size = 0;

	for (; n > 0; n /= BASE)
		power[size++] = n % BASE;
	for (int i = 1; i <= sums->power; i++)
	{
		uint64	   *swap = power;

		size = decimal_multiply(power, size, decimal, next);
		power = next;
		next = swap;
		decimal_add(&sums->sums[i - 1], power, size, i * decimal->low,
					(decimal->negative && (i & 1)) != subtract);
	}
	if (memory != few)
		pfree(memory);
}

void
numeric_sums_init(NumericSums *sums, int power)
{
	Assert(power >= 1 && power <= NUMERIC_MAX_POWER);
	memset(sums, 0, sizeof(*sums));
	sums->power = power;
}

/* Where a scale is, or should be. */
static int
find_scale(const NumericSums *sums, uint32 scale)
{
	int			index = 0;

	while (index < sums->nscales && sums->scales[index].scale < scale)
		index++;
	return index;
}

static void
add_scale(NumericSums *sums, uint32 scale, uint64 n)
{
	int			index = find_scale(sums, scale);

	if (index < sums->nscales && sums->scales[index].scale == scale)
	{
		sums->scales[index].count += n;
		return;
	}
	if (sums->nscales == sums->scale_capacity)
	{
		int			capacity = Max(4, 2 * sums->scale_capacity);
		ScaleCount *scales = palloc(capacity * sizeof(ScaleCount));

		if (sums->nscales > 0)
		{
			memcpy(scales, sums->scales, sums->nscales * sizeof(ScaleCount));
			pfree(sums->scales);
		}
		sums->scales = scales;
		sums->scale_capacity = capacity;
	}
	memmove(sums->scales + index + 1, sums->scales + index,
			(sums->nscales - index) * sizeof(ScaleCount));
	sums->scales[index] = (ScaleCount) {scale, n};
	sums->nscales++;
}

void
numeric_sums_add(NumericSums *sums, Image image, uint64 n)
{
	Decimal		decimal = decimal_of_image(image);

	add_scale(sums, decimal.scale, n);
	if (decimal.ndigits > 0)
		add_powers(sums, &decimal, n, false);
}

bool
numeric_sums_subtract(NumericSums *sums, Image image, uint64 n)
{
	Decimal		decimal = decimal_of_image(image);
	int			index = find_scale(sums, decimal.scale);

	if (index == sums->nscales || sums->scales[index].scale != decimal.scale ||
		sums->scales[index].count < n)
		return false;
	sums->scales[index].count -= n;
	if (sums->scales[index].count == 0)
	{
		sums->nscales--;
		memmove(sums->scales + index, sums->scales + index + 1,
				(sums->nscales - index) * sizeof(ScaleCount));
	}
	if (decimal.ndigits > 0)
		add_powers(sums, &decimal, n, true);
	return true;
}

/* A sum's magnitude in digits, the lowest first, neither end 0. */
typedef struct Digits
{
	bool		negative;
	int			low;
	int			size;
	int64	   *digits;
	int64	   *memory;
} Digits;

static void
trim_digits(Digits *digits)
{
	while (digits->size > 0 && digits->digits[digits->size - 1] == 0)
		digits->size--;
	for (; digits->size > 0 && digits->digits[0] == 0; digits->size--)
	{
		digits->digits++;
		digits->low++;
	}
	digits->negative &= digits->size > 0;
}

static Digits
decimal_digits(const DecimalSum *sum)
{
	Digits		result = {.low = sum->low,.size = sum->size + CARRY_DIGITS};
	int64		rest;

	result.digits = result.memory = palloc(result.size * sizeof(int64));
	rest = decimal_carry(sum->limbs, sum->size, result.digits);
	result.negative = rest < 0;
	if (result.negative)
	{
		for (int i = 0; i < sum->size; i++)
			result.digits[i] = -result.digits[i];
		rest = -rest + decimal_carry(result.digits, sum->size, result.digits);
	}
	for (int i = sum->size; i < result.size; i++, rest /= BASE)
		result.digits[i] = rest % BASE;
	trim_digits(&result);
	return result;
}

static void
write_decimal(const DecimalSum *sum, Writer *writer)
{
	Digits		digits = decimal_digits(sum);
	char	   *at;

	write_varint(writer, 2 * (uint64) digits.size + digits.negative);
	if (digits.size > 0)
	{
		write_varint(writer, zigzag(digits.low));
		at = write_space(writer, 2 * digits.size);
		for (int i = 0; i < digits.size; i++)
		{
			*at++ = (char) digits.digits[i];
			*at++ = (char) (digits.digits[i] >> 8);
		}
	}
	pfree(digits.memory);
}

static void
merge_decimal(DecimalSum *sum, Reader *reader)
{
	uint64		size = read_varint(reader);
	bool		negative = (size & 1) != 0;
	uint64		few[FEW_DIGITS];
	uint64	   *digits = few;
	const uint8 *bytes;
	int			low;

	size >>= 1;
	if (size == 0)
		return;
	if (size > FEW_DIGITS)
		digits = palloc(size * sizeof(uint64));
	low = (int) unzigzag(read_varint(reader));
	bytes = (const uint8 *) read_bytes(reader, 2 * size);
	for (uint64 i = 0; i < size; i++)
		digits[i] = bytes[2 * i] | bytes[2 * i + 1] << 8;
	decimal_add(sum, digits, (int) size, low, negative);
	if (digits != few)
		pfree(digits);
}

static void
skip_decimal(int power, Reader *reader)
{
	uint64		size = read_varint(reader);
	int64		low;
	const uint8 *bytes;

	if (size == 0)
		return;
	size >>= 1;
	low = unzigzag(read_varint(reader));
	bytes = size > 0 && size < MaxAllocSize ? (const uint8 *) read_bytes(reader, 2 * size) : NULL;
	if (bytes == NULL || low < power * MIN_WEIGHT ||
		low > power * (MAX_WEIGHT + 1) + COUNT_DIGITS - (int64) size)
	{
		reader->failed = true;
		return;
	}
	for (uint64 i = 0; i < size; i++)
	{
		int			digit = bytes[2 * i] | bytes[2 * i + 1] << 8;

		if (digit >= BASE || (digit == 0 && (i == 0 || i == size - 1)))
			reader->failed = true;
	}
}

void
numeric_sums_write(const NumericSums *sums, Writer *writer)
{
	uint32		before = 0;

	write_varint(writer, sums->nscales);
	for (int i = 0; i < sums->nscales; i++)
	{
		write_varint(writer, sums->scales[i].scale - before);
		before = sums->scales[i].scale;
		if (i < sums->nscales - 1)
			write_varint(writer, sums->scales[i].count);
	}
	for (int i = 0; i < sums->power; i++)
		write_decimal(&sums->sums[i], writer);
}

void
numeric_sums_merge(NumericSums *sums, uint64 finite, Reader *reader)
{
	uint64		nscales = read_varint(reader);
	uint32		scale = 0;

	for (uint64 i = 0; i < nscales; i++)
	{
		uint64		count = finite;

		scale += (uint32) read_varint(reader);
		if (i < nscales - 1)
		{
			count = read_varint(reader);
			finite -= count;
		}
		add_scale(sums, scale, count);
	}
	for (int i = 0; i < sums->power; i++)
		merge_decimal(&sums->sums[i], reader);
}

void
numeric_sums_skip(int power, uint64 finite, Reader *reader)
{
	uint64		nscales = read_varint(reader);
	uint64		scale = 0;

	if (nscales > MAX_SCALE + 1 || (nscales == 0) != (finite == 0))
		reader->failed = true;
	for (uint64 i = 0; i < nscales && !reader->failed; i++)
	{
		uint64		distance = read_varint(reader);

		if (distance > MAX_SCALE - scale || (distance == 0 && i > 0))
			reader->failed = true;
		scale += distance;
		if (i < nscales - 1)
		{
			uint64		count = read_varint(reader);

			if (count == 0 || count >= finite)
				reader->failed = true;
			finite -= count;
		}
	}
	for (int i = 1; i <= power && !reader->failed; i++)
		skip_decimal(i, reader);
}

/* Makes an image of it, and of that the numeric; false if no numeric can be it. */
static bool
numeric_of_digits(Digits digits, uint32 scale, Numeric *result)
{
	const ValueType *type = value_type_by_code(VALUE_NUMERIC);
	int			weight = digits.size > 0 ? digits.low + digits.size - 1 : 0;
	Image		image;
	uint8	   *bytes;
	uint8	   *at;

	if (weight > MAX_WEIGHT || scale > MAX_SCALE)
		return false;
	at = bytes = palloc(4 + 2 * digits.size);
	if (scale <= 63 && weight >= -64 && weight <= 63)
	{
		int			header = 0x8000 | (digits.negative ? 0x2000 : 0) | scale << 7 | (weight & 0x7F);

		*at++ = (uint8) header;
		*at++ = (uint8) (header >> 8);
	}
	else
	{
		int			header = (digits.negative ? 0x4000 : 0) | scale;

		*at++ = (uint8) header;
		*at++ = (uint8) (header >> 8);
		*at++ = (uint8) weight;
		*at++ = (uint8) (weight >> 8);
	}
	for (int i = digits.size - 1; i >= 0; i--)
	{
		*at++ = (uint8) digits.digits[i];
		*at++ = (uint8) (digits.digits[i] >> 8);
	}
	image = (Image) {(const char *) bytes, (uint32) (at - bytes)};
	*result = DatumGetNumeric(value_datum(type, image));
	pfree(bytes);
	return true;
}

bool
numeric_of_sum(const NumericSums *sums, int power, Numeric *result)
{
	Digits		digits = decimal_digits(&sums->sums[power - 1]);
	uint32		scale = sums->nscales > 0 ? sums->scales[sums->nscales - 1].scale : 0;
	bool		fits;

	fits = numeric_of_digits(digits, power * scale, result);
	pfree(digits.memory);
	return fits;
}

bool
numeric_of_big(Big big, Numeric *result)
{
	int			size = big.size + big.exponent;
	uint32	   *limbs = palloc0(Max(size, 1) * sizeof(uint32));
	Digits		digits = {.negative = big.negative};
	bool		fits;

	Assert(big.size == 0 || big.exponent >= 0);
	if (big.size > 0)
		memcpy(limbs + big.exponent, big.limbs, big.size * sizeof(uint32));
	/* A limb has less than 2.5 digits */
	digits.digits = digits.memory = palloc((3 * Max(size, 0) + 1) * sizeof(int64));
	while (size > 0)
	{
		uint64		rest = 0;

		for (int i = size - 1; i >= 0; i--)
		{
			rest = rest << 32 | limbs[i];
			limbs[i] = (uint32) (rest / BASE);
			rest %= BASE;
		}
		digits.digits[digits.size++] = (int64) rest;
		while (size > 0 && limbs[size - 1] == 0)
			size--;
	}
	trim_digits(&digits);
	fits = numeric_of_digits(digits, 0, result);
	pfree(digits.memory);
	pfree(limbs);
	return fits;
}

Numeric
numeric_of_special(SpecialValue special)
{
	char		image[2] = {0, (char) (special == SPECIAL_INFINITY ? 0xD0 :
									   special == SPECIAL_MINUS_INFINITY ? 0xF0 : 0xC0)};

	return DatumGetNumeric(value_datum(value_type_by_code(VALUE_NUMERIC),
									   (Image) {image, sizeof(image)}));
}

bool
numeric_average(Numeric sum, uint64 n, Numeric *result)
{
	bool		error = false;

	*result = numeric_div_opt_error(sum, int64_to_numeric((int64) n), &error);
	return !error;
}

static int
numeric_order(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

static Datum
numeric_scale_of(Numeric number)
{
	return DirectFunctionCall1(numeric_scale, NumericGetDatum(number));
}

/*
 * The root, rounded to as many decimals as the number itself has, which are no
 * fewer than any root is asked for.  numeric_sqrt gives at least as many; where
 * it gives more it has rounded once, and to round again is wrong if it has come
 * up to just the middle.
 */
static Numeric
numeric_root(Numeric square)
{
	Datum		scale = numeric_scale_of(square);
	Numeric		root = DatumGetNumeric(DirectFunctionCall1(numeric_sqrt, NumericGetDatum(square)));
	Numeric		rounded;
	Numeric		truncated;

	if (DatumGetInt32(numeric_scale_of(root)) == DatumGetInt32(scale))
		return root;
	rounded = DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(root), scale));
	truncated = DatumGetNumeric(DirectFunctionCall2(numeric_trunc, NumericGetDatum(root), scale));
	if (numeric_order(numeric_add_opt_error(root, root, NULL),
					  numeric_add_opt_error(rounded, truncated, NULL)) == 0 &&
		numeric_order(numeric_mul_opt_error(root, root, NULL), square) > 0)
		return truncated;
	return rounded;
}

bool
numeric_variance(Numeric sum, Numeric sum_of_squares, uint64 n, bool sample, bool root,
				 Numeric *result)
{
	Numeric		count = int64_to_numeric((int64) n);
	Numeric		square;
	Numeric		divisor;
	bool		error = false;

	/* n * sum of squares - square of the sum */
	square = numeric_mul_opt_error(sum, sum, &error);
	if (error)
		return false;
	sum_of_squares = numeric_mul_opt_error(count, sum_of_squares, &error);
	if (error)
		return false;
	*result = numeric_sub_opt_error(sum_of_squares, square, &error);
	if (error)
		return false;
	if (numeric_order(sum_of_squares, square) <= 0)
	{
		*result = int64_to_numeric(0);
		return true;
	}
	divisor = numeric_mul_opt_error(count, int64_to_numeric((int64) (sample ? n - 1 : n)), NULL);
	*result = numeric_div_opt_error(*result, divisor, &error);
	if (error)
		return false;
	if (root)
		*result = numeric_root(*result);
	return true;
}

/* digits * 10000^zeros */
static Big
big_of_digits(Digits digits, int zeros)
{
	/* 27 bits hold two digits */
	int			room = (int) (((int64) digits.size + zeros) * 27 / 64) + 2;
	Big			result = {.negative = digits.negative};

	result.limbs = palloc(room * sizeof(uint32));
	for (int i = digits.size - 1; i >= -zeros; i--)
	{
		uint64		rest = i >= 0 ? (uint64) digits.digits[i] : 0;

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < result.size; j++)
		{
			rest += (uint64) result.limbs[j] * BASE;
			result.limbs[j] = (uint32) rest;
			rest >>= 32;
		}
		if (rest > 0)
			result.limbs[result.size++] = (uint32) rest;
	}
	return result;
}

static int
floor_divide(int dividend, int divisor)
{
	return dividend / divisor - (dividend % divisor < 0);
}

/* The weight of the unit, times a power, is not above any digit of the power's sum. */
void
numeric_sums_whole(const NumericSums *sums, Big *wholes)
{
	Digits		digits[NUMERIC_MAX_POWER];
	int			unit = PG_INT16_MAX;

	for (int i = 0; i < sums->power; i++)
	{
		digits[i] = decimal_digits(&sums->sums[i]);
		if (digits[i].size > 0)
			unit = Min(unit, floor_divide(digits[i].low, i + 1));
	}
	for (int i = 0; i < sums->power; i++)
	{
		wholes[i] = (Big) {0};
		if (digits[i].size > 0)
			wholes[i] = big_of_digits(digits[i], digits[i].low - (i + 1) * unit);
		pfree(digits[i].memory);
	}
}
