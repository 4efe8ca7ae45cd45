/*
 * moments.c
 *	  Variances and deviations; skew and kurtosis.
 *
 * The sums of the first powers of the values are kept, exactly, and what a
 * function is made of is computed exactly of them, so that nothing cancels.
 *
 *	- Over integers and numerics, variances and deviations are those of
 *	  PostgreSQL, to the last digit.
 *	- Over floats, they are the exact result, correctly rounded: a deviation is
 *	  the root of the exact variance, not of the rounded one.
 *	- Skew is m3 / m2^1.5, kurtosis is m4 / m2^2 - 3, where m are the central
 *	  moments of the population.  With n times the sum of squares minus the
 *	  square of the sum, and its like of higher powers, which are exact, n
 *	  cancels: what is left is to round two numbers and to divide one by a power
 *	  of the other, which is no more than 6 roundings: a relative error below
 *	  6 * 2^-53.
 *
 * A partial:
 *		number of events (varint)
 *		but for integers: flags (1 byte), the special values there are; a count
 *			(varint) for each, in their order: NaNs, infinities, minus infinities
 *		sums of x^1, x^2, and for skew and kurtosis x^3 and x^4, of finite x:
 *			numerics see numeric_sums.h; others see exact.h
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"

#include "window/exact.h"
#include "window/family.h"
#include "window/numeric_sums.h"
#include "window/special_values.h"

#define VARIANCE_POWER 2
#define SHAPE_POWER 4

typedef enum VarianceFunction
{
	VAR_POP,
	VAR_SAMP,
	STDDEV_POP,
	STDDEV_SAMP
} VarianceFunction;

typedef enum ShapeFunction
{
	SKEW,
	KURTOSIS
} ShapeFunction;

typedef struct MomentsAccumulator
{
	uint64		count;
	int			power;
	SpecialCounts specials;
	NumericSums numerics;
	/* Of integers and floats: where the sum of each power is, counted from here */
	int			offsets[SHAPE_POWER];
} MomentsAccumulator;

static inline Exact *
power_sum(const MomentsAccumulator *acc, int power)
{
	return (Exact *) ((char *) acc + acc->offsets[power - 1]);
}

static inline bool
is_numeric(const FamilySpec *spec)
{
	return spec->type->code == VALUE_NUMERIC;
}

static int
highest_power(const FamilySpec *spec)
{
	return spec->family == &family_shape ? SHAPE_POWER : VARIANCE_POWER;
}

static Oid
variance_result_type(int function, const ValueType *type)
{
	if (!type->is_number)
		return InvalidOid;
	return type->is_float ? FLOAT8OID : NUMERICOID;
}

static Oid
shape_result_type(int function, const ValueType *type)
{
	return type->is_number ? FLOAT8OID : InvalidOid;
}

static Size
moments_size(const FamilySpec *spec)
{
	Size		size = MAXALIGN(sizeof(MomentsAccumulator));

	for (int power = 1; power <= highest_power(spec) && !is_numeric(spec); power++)
		size += exact_size(power);
	return size;
}

static void
moments_init(void *accumulator, const FamilySpec *spec)
{
	MomentsAccumulator *acc = accumulator;
	Size		offset = MAXALIGN(sizeof(MomentsAccumulator));

	memset(acc, 0, sizeof(*acc));
	acc->power = highest_power(spec);
	if (is_numeric(spec))
	{
		numeric_sums_init(&acc->numerics, acc->power);
		return;
	}
	for (int power = 1; power <= acc->power; power++)
	{
		acc->offsets[power - 1] = (int) offset;
		exact_init(power_sum(acc, power), power);
		offset += exact_size(power);
	}
}

/* Adds n times the powers of an integer or float, n negative to subtract. */
static SpecialValue
add_powers(MomentsAccumulator *acc, const FamilySpec *spec, Image value, int64 n)
{
	if (spec->type->is_integer)
	{
		int64		x = value_int64(spec->type, value);

		for (int power = 1; power <= acc->power; power++)
			exact_add_int64(power_sum(acc, power), x, n);
	}
	else
	{
		double		x = value_float8(spec->type, value);
		SpecialValue special = special_of_float8(x);

		if (unlikely(special != SPECIAL_NONE))
			return special == SPECIAL_MINUS_ZERO ? SPECIAL_NONE : special;
		for (int power = 1; power <= acc->power; power++)
			exact_add_double(power_sum(acc, power), x, n);
	}
	return SPECIAL_NONE;
}

static void
moments_add(void *accumulator, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	MomentsAccumulator *acc = accumulator;
	SpecialValue special;

	if (is_numeric(spec))
	{
		special = numeric_special(value);
		if (special == SPECIAL_NONE)
			numeric_sums_add(&acc->numerics, value, n);
	}
	else
		special = add_powers(acc, spec, value, (int64) n);
	if (special != SPECIAL_NONE)
		acc->specials.counts[special] += n;
	add_events(&acc->count, n);
}

static bool
moments_subtract(void *accumulator, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	MomentsAccumulator *acc = accumulator;
	SpecialValue special;

	if (n > acc->count)
		return false;
	if (is_numeric(spec))
	{
		special = numeric_special(value);
		if (special == SPECIAL_NONE && !numeric_sums_subtract(&acc->numerics, value, n))
			return false;
	}
	else
		special = add_powers(acc, spec, value, -(int64) n);
	if (special != SPECIAL_NONE)
	{
		if (acc->specials.counts[special] < n)
			return false;
		acc->specials.counts[special] -= n;
	}
	acc->count -= n;
	return true;
}

static uint64
moments_count(const void *accumulator, const FamilySpec *spec)
{
	return ((const MomentsAccumulator *) accumulator)->count;
}

static void
moments_write(const void *accumulator, const FamilySpec *spec, Writer *writer)
{
	const MomentsAccumulator *acc = accumulator;

	write_varint(writer, acc->count);
	if (!spec->type->is_integer)
	{
		write_byte(writer, special_flags(&acc->specials));
		special_write(&acc->specials, writer);
	}
	if (is_numeric(spec))
		numeric_sums_write(&acc->numerics, writer);
	else
	{
		for (int power = 1; power <= acc->power; power++)
			exact_write(power_sum(acc, power), writer);
	}
}

static void
moments_merge(void *accumulator, const FamilySpec *spec, const char *partial, Size size)
{
	MomentsAccumulator *acc = accumulator;
	Reader		reader = reader_over(partial, size);
	uint64		count = read_varint(&reader);
	uint64		finite = count;

	if (!spec->type->is_integer)
	{
		uint8		flags = read_byte(&reader);

		finite -= special_merge(&acc->specials, flags, &reader);
	}
	if (is_numeric(spec))
		numeric_sums_merge(&acc->numerics, finite, &reader);
	else
	{
		for (int power = 1; power <= acc->power; power++)
			exact_merge(power_sum(acc, power), &reader);
	}
	add_events(&acc->count, count);
}

static uint64
moments_check(const FamilySpec *spec, const char *partial, Size size)
{
	Reader		reader = reader_over(partial, size);
	uint64		count = read_varint(&reader);
	SpecialCounts specials = {{0}};

	if (count == 0 || count > PG_INT64_MAX)
		return 0;
	if (!spec->type->is_integer)
	{
		uint8		flags = read_byte(&reader);

		if ((flags & ~SPECIAL_NOT_FINITE) != 0 ||
			!special_skip(&specials, flags, count, &reader))
			return 0;
	}
	if (is_numeric(spec))
		numeric_sums_skip(highest_power(spec), count - special_not_finite(&specials), &reader);
	else
	{
		for (int power = 1; power <= highest_power(spec); power++)
			exact_skip(power, spec->type->is_integer, &reader);
	}
	return !reader.failed && reader.at == reader.end ? count : 0;
}

/* n times the sum of squares, less the square of the sum: n^2 times the variance. */
static Big
scaled_variance(const Big *sums, uint64 n)
{
	return big_subtract(big_multiply_uint64(sums[1], n), big_multiply(sums[0], sums[0]));
}

static Datum
float_variance(const MomentsAccumulator *acc, bool sample, bool root)
{
	Big			sums[VARIANCE_POWER] = {exact_big(power_sum(acc, 1)), exact_big(power_sum(acc, 2))};
	Big			variance = scaled_variance(sums, acc->count);
	uint64		divisor = sample ? acc->count - 1 : acc->count;

	/* Negative it can only be if what was merged was no state of any events */
	if (variance.size == 0 || variance.negative)
		return Float8GetDatum(0);
	return Float8GetDatum(root ? big_quotient_root(variance, acc->count, divisor) :
						  big_quotient(variance, acc->count, divisor));
}

/* Sums of x and x^2; false if a numeric cannot be one of them. */
static bool
numeric_of_sums(const MomentsAccumulator *acc, const FamilySpec *spec, Numeric *sums)
{
	for (int power = 1; power <= VARIANCE_POWER; power++)
	{
		if (is_numeric(spec) ?
			!numeric_of_sum(&acc->numerics, power, &sums[power - 1]) :
			!numeric_of_big(exact_big(power_sum(acc, power)), &sums[power - 1]))
			return false;
	}
	return true;
}

static Datum
variance_value(const void *accumulator, const FamilySpec *spec, const FunctionCall *call,
			   bool *isnull, uint8 *flags)
{
	const MomentsAccumulator *acc = accumulator;
	bool		sample = call->function == VAR_SAMP || call->function == STDDEV_SAMP;
	bool		root = call->function == STDDEV_POP || call->function == STDDEV_SAMP;
	bool		is_float = spec->type->is_float;
	Numeric		sums[VARIANCE_POWER];
	Numeric		result;

	*flags = 0;
	*isnull = acc->count < (sample ? 2 : 1);
	if (*isnull)
		return (Datum) 0;
	if (special_not_finite(&acc->specials) > 0)
		return is_float ? Float8GetDatum(NAN) : NumericGetDatum(numeric_of_special(SPECIAL_NAN));
	if (is_float)
		return float_variance(acc, sample, root);
	if (!numeric_of_sums(acc, spec, sums) ||
		!numeric_variance(sums[0], sums[1], acc->count, sample, root, &result))
	{
		*isnull = true;
		*flags = VALUE_OUT_OF_RANGE;
		return (Datum) 0;
	}
	return NumericGetDatum(result);
}

/* n^3 times the third central moment, divided by the 1.5th power of n^2 times the second. */
static double
skew_of_sums(const Big *sums, uint64 n, Big variance)
{
	/* n (n S3 - 3 S1 S2) + 2 S1^3 */
	Big			products = big_multiply_uint64(big_multiply(sums[0], sums[1]), 3);
	Big			cube = big_multiply(big_multiply(sums[0], sums[0]), sums[0]);
	Big			third = big_subtract(big_multiply_uint64(sums[2], n), products);
	double		dividend;
	double		divisor;
	int			exponent;
	int			divisor_exponent;

	third = big_add(big_multiply_uint64(third, n), big_multiply_uint64(cube, 2));
	dividend = big_frexp(third, &exponent);
	divisor = big_frexp(variance, &divisor_exponent);
	/* Half of the exponent is the root's, so it must be even */
	if (divisor_exponent & 1)
	{
		divisor *= 2;
		divisor_exponent--;
	}
	return ldexp(dividend / (divisor * sqrt(divisor)),
				 exponent - divisor_exponent - divisor_exponent / 2);
}

/*
 * Of n^4 times the fourth central moment and the square of n^2 times the
 * second: the former less 3 times the latter, divided by the latter.
 */
static double
kurtosis_of_sums(const Big *sums, uint64 n, Big variance)
{
	/* n (n (n S4 - 4 S1 S3) + 6 S1^2 S2) - 3 S1^4 */
	Big			square = big_multiply(sums[0], sums[0]);
	Big			fourth = big_subtract(big_multiply_uint64(sums[3], n),
									  big_multiply_uint64(big_multiply(sums[0], sums[2]), 4));
	Big			normal = big_multiply_uint64(big_multiply(variance, variance), 3);
	double		dividend;
	double		divisor;
	int			exponent;
	int			divisor_exponent;

	fourth = big_add(big_multiply_uint64(fourth, n),
					 big_multiply_uint64(big_multiply(square, sums[1]), 6));
	fourth = big_subtract(big_multiply_uint64(fourth, n),
						  big_multiply_uint64(big_multiply(square, square), 3));
	dividend = big_frexp(big_subtract(fourth, normal), &exponent);
	divisor = big_frexp(variance, &divisor_exponent);
	return ldexp(dividend / (divisor * divisor), exponent - 2 * divisor_exponent);
}

static Datum
shape_value(const void *accumulator, const FamilySpec *spec, const FunctionCall *call,
			bool *isnull, uint8 *flags)
{
	const MomentsAccumulator *acc = accumulator;
	Big			sums[SHAPE_POWER];
	Big			variance;

	*flags = 0;
	*isnull = acc->count == 0;
	if (*isnull)
		return (Datum) 0;
	if (special_not_finite(&acc->specials) > 0)
		return Float8GetDatum(NAN);
	if (is_numeric(spec))
		numeric_sums_whole(&acc->numerics, sums);
	else
	{
		for (int power = 1; power <= SHAPE_POWER; power++)
			sums[power - 1] = exact_big(power_sum(acc, power));
	}
	variance = scaled_variance(sums, acc->count);
	*isnull = variance.size == 0 || variance.negative;
	if (*isnull)
		return (Datum) 0;
	return Float8GetDatum(call->function == SKEW ?
						  skew_of_sums(sums, acc->count, variance) :
						  kurtosis_of_sums(sums, acc->count, variance));
}

static const FamilyFunction variance_functions[] = {
	[VAR_POP] = {.name = "var_pop"},
	[VAR_SAMP] = {.name = "var_samp"},
	[STDDEV_POP] = {.name = "stddev_pop"},
	[STDDEV_SAMP] = {.name = "stddev_samp"},
};

static const FamilyFunction shape_functions[] = {
	[SKEW] = {.name = "skew",.bound = "relative error at most 1e-15"},
	[KURTOSIS] = {.name = "kurtosis",.bound = "relative error at most 1e-15"},
};

const Family family_variance = {
	.code = 2,
	.name = "variance",
	.functions = variance_functions,
	.nfunctions = lengthof(variance_functions),
	.verbatim = 3,
	.result_type = variance_result_type,
	.size = moments_size,
	.init = moments_init,
	.add = moments_add,
	.merge = moments_merge,
	.subtract = moments_subtract,
	.count = moments_count,
	.write = moments_write,
	.check = moments_check,
	.value = variance_value
};

const Family family_shape = {
	.code = 3,
	.name = "shape",
	.functions = shape_functions,
	.nfunctions = lengthof(shape_functions),
	.verbatim = 3,
	.result_type = shape_result_type,
	.size = moments_size,
	.init = moments_init,
	.add = moments_add,
	.merge = moments_merge,
	.subtract = moments_subtract,
	.count = moments_count,
	.write = moments_write,
	.check = moments_check,
	.value = shape_value
};
