/*
 * basic.c
 *	  count, sum, avg, min and max.
 *
 * Sums are exact: of integers and of the parts of intervals in 128 bits, of
 * floats in an Exact, of numerics in base 10,000.  Rounding and range come
 * last.  Of values that compare equal the one with the least image is the
 * minimum, or maximum.
 *
 * A partial:
 *		number of events (varint); that is all if rows or bools are counted
 *		flags (1 byte): the special values there are, BASIC_ALIKE
 *		a count (varint) for each special value there is, in their order: NaNs,
 *			infinities, minus infinities, of floats also minus zeros
 *		the sum: integers in 128 bits; intervals as three of them, months, days
 *			and microseconds; floats see exact.h; numerics see numeric_sums.h;
 *			other types have none
 *		the minimum's image, after its size (varint) if that is not fixed
 *		unless all values are alike: the maximum's image likewise
 *
 * An integer in 128 bits is its number of bytes (1 byte), then these, two's
 * complement, little-endian, as few as hold it.
 *
 * The interval whose three fields are all the greatest (least) there are is an
 * infinity, as it is from PostgreSQL 17 on.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "window/exact.h"
#include "window/family.h"
#include "window/numeric_sums.h"
#include "window/special_values.h"

/* All values have one image. */
#define BASIC_ALIKE SPECIAL_FLAG(NSPECIALS)

typedef enum BasicFunction
{
	BASIC_COUNT,
	BASIC_SUM,
	BASIC_AVG,
	BASIC_MIN,
	BASIC_MAX
} BasicFunction;

/* How values are summed. */
typedef enum SumKind
{
	SUM_NOTHING,
	SUM_INTEGERS,
	SUM_FLOATS,
	SUM_NUMERICS,
	SUM_INTERVALS
} SumKind;

/* Parts of an interval. */
enum
{
	MONTHS,
	DAYS,
	MICROSECONDS,
	NPARTS
};

/* An image that stays: in fixed if its type's images fit, else palloc'd. */
typedef struct Extreme
{
	uint32		size;
	uint32		capacity;
	char	   *memory;
	char		fixed[VALUE_MAX_FIXED];
} Extreme;

typedef struct BasicAccumulator
{
	uint64		count;
	SumKind		kind;
	bool		has_extremes;
	SpecialCounts specials;
	Extreme		min;
	Extreme		max;

	/*
	 * What lies between these is neither minimum nor maximum; that spares most
	 * numbers a look at the images.
	 */
	union
	{
		int64		integers[2];
		double		floats[2];
	}			between;
	union
	{
		int128		integer;
		int128		parts[NPARTS];
		NumericSums numerics;
	}			sum;
	/* floats have an Exact after it */
} BasicAccumulator;

static inline Exact *
float_sum(const BasicAccumulator *acc)
{
	return (Exact *) ((char *) acc + MAXALIGN(sizeof(BasicAccumulator)));
}

static SumKind
sum_kind(const ValueType *type)
{
	return type->is_integer ? SUM_INTEGERS : type->is_float ? SUM_FLOATS :
		type->is_number ? SUM_NUMERICS : type->code == VALUE_INTERVAL ? SUM_INTERVALS :
		SUM_NOTHING;
}

static bool
has_extremes(const ValueType *type)
{
	return type->code != VALUE_NONE && type->code != VALUE_BOOL;
}

static Oid
basic_result_type(int function, const ValueType *type)
{
	switch ((BasicFunction) function)
	{
		case BASIC_COUNT:
			return INT8OID;
		case BASIC_SUM:
			if (type->code == VALUE_INT2 || type->code == VALUE_INT4)
				return INT8OID;
			if (type->code == VALUE_INT8)
				return NUMERICOID;
			return sum_kind(type) == SUM_NOTHING ? InvalidOid : type->oid;
		case BASIC_AVG:
			if (type->is_number)
				return type->is_float ? FLOAT8OID : NUMERICOID;
			return sum_kind(type) == SUM_NOTHING ? InvalidOid : type->oid;
		case BASIC_MIN:
		case BASIC_MAX:
			return has_extremes(type) ? type->oid : InvalidOid;
	}
	return InvalidOid;
}

static Size
basic_size(const FamilySpec *spec)
{
	return MAXALIGN(sizeof(BasicAccumulator)) + (spec->type->is_float ? exact_size(1) : 0);
}

static void
basic_init(void *accumulator, const FamilySpec *spec)
{
	BasicAccumulator *acc = accumulator;

	memset(acc, 0, sizeof(*acc));
	acc->kind = sum_kind(spec->type);
	acc->has_extremes = has_extremes(spec->type);
	if (acc->kind == SUM_FLOATS)
		exact_init(float_sum(acc), 1);
	else if (acc->kind == SUM_NUMERICS)
		numeric_sums_init(&acc->sum.numerics, 1);
}

static Image
extreme_image(const Extreme *extreme)
{
	return (Image) {extreme->memory ? extreme->memory : extreme->fixed, extreme->size};
}

static void
set_long_extreme(Extreme *extreme, Image image)
{
	if (extreme->capacity < image.size)
	{
		if (extreme->memory)
			pfree(extreme->memory);
		extreme->capacity = image.size;
		extreme->memory = palloc(image.size);
	}
	memcpy(extreme->memory, image.data, image.size);
}

static inline void
set_extreme(Extreme *extreme, Image image)
{
	extreme->size = image.size;
	if (image.size > VALUE_MAX_FIXED || extreme->memory != NULL)
		set_long_extreme(extreme, image);
	else if (image.size == sizeof(uint64))
		memcpy(extreme->fixed, image.data, sizeof(uint64));
	else
		memcpy(extreme->fixed, image.data, image.size);
}

/* Takes an image as minimum or maximum, whichever it is.  Rare, so that it is not to burden what is not. */
static pg_noinline void
note_extremes(BasicAccumulator *acc, const FamilySpec *spec, Image image)
{
	if (acc->count == 0)
	{
		set_extreme(&acc->min, image);
		set_extreme(&acc->max, image);
	}
	else
	{
		Image		min = extreme_image(&acc->min);
		Image		max = extreme_image(&acc->max);
		int			from_min = value_order(spec->type, spec->collation, image, min);
		int			from_max = from_min < 0 ? -1 :
			value_order(spec->type, spec->collation, image, max);

		if (from_min < 0 || (from_min == 0 && image_order(image, min) < 0))
			set_extreme(&acc->min, image);
		if (from_max > 0 || (from_max == 0 && image_order(image, max) < 0))
			set_extreme(&acc->max, image);
	}
	if (acc->kind == SUM_INTEGERS)
	{
		acc->between.integers[0] = value_int64(spec->type, extreme_image(&acc->min));
		acc->between.integers[1] = value_int64(spec->type, extreme_image(&acc->max));
	}
	else if (acc->kind == SUM_FLOATS)
	{
		acc->between.floats[0] = value_float8(spec->type, extreme_image(&acc->min));
		acc->between.floats[1] = value_float8(spec->type, extreme_image(&acc->max));
		/* A NaN is above all others, which comparison does not know */
		if (isnan(acc->between.floats[1]))
			acc->between.floats[1] = INFINITY;
	}
}

static inline void
note_integer(BasicAccumulator *acc, const FamilySpec *spec, Image image, int64 value)
{
	/* What equals an integer has its image */
	if (unlikely(acc->count == 0))
		note_extremes(acc, spec, image);
	else if (value < acc->between.integers[0])
	{
		set_extreme(&acc->min, image);
		acc->between.integers[0] = value;
	}
	else if (value > acc->between.integers[1])
	{
		set_extreme(&acc->max, image);
		acc->between.integers[1] = value;
	}
}

static inline void
note_float(BasicAccumulator *acc, const FamilySpec *spec, Image image, double value)
{
	if (likely(value > acc->between.floats[0] && value < acc->between.floats[1]))
		return;
	/* NaNs, infinities and what equals an extreme take the long way */
	if (acc->count > 0 && value < acc->between.floats[0])
	{
		set_extreme(&acc->min, image);
		acc->between.floats[0] = value;
	}
	else if (acc->count > 0 && value > acc->between.floats[1])
	{
		set_extreme(&acc->max, image);
		acc->between.floats[1] = value;
	}
	else
		note_extremes(acc, spec, image);
}

/* Takes note of a partial's minimum or maximum. */
static inline void
note_image(BasicAccumulator *acc, const FamilySpec *spec, Image image)
{
	if (acc->kind == SUM_INTEGERS)
		note_integer(acc, spec, image, value_int64(spec->type, image));
	else if (acc->kind == SUM_FLOATS)
		note_float(acc, spec, image, value_float8(spec->type, image));
	else
		note_extremes(acc, spec, image);
}

static SpecialValue
interval_special(const Interval *interval)
{
	if (interval->month == PG_INT32_MAX && interval->day == PG_INT32_MAX &&
		interval->time == PG_INT64_MAX)
		return SPECIAL_INFINITY;
	if (interval->month == PG_INT32_MIN && interval->day == PG_INT32_MIN &&
		interval->time == PG_INT64_MIN)
		return SPECIAL_MINUS_INFINITY;
	return SPECIAL_NONE;
}

/* Adds n times an interval's parts, n negative to subtract; an infinity has none. */
static SpecialValue
add_interval(BasicAccumulator *acc, Image image, int128 n)
{
	uint64		days_and_months = load_uint64(image.data + sizeof(uint64));
	Interval	interval = {
		.time = (int64) load_uint64(image.data),
		.day = (int32) days_and_months,
		.month = (int32) (days_and_months >> 32)
	};
	SpecialValue special = interval_special(&interval);

	if (special == SPECIAL_NONE)
	{
		acc->sum.parts[MONTHS] += n * interval.month;
		acc->sum.parts[DAYS] += n * interval.day;
		acc->sum.parts[MICROSECONDS] += n * interval.time;
	}
	return special;
}

/* Adds a value that is no float. */
static pg_noinline void
add_other(BasicAccumulator *acc, const FamilySpec *spec, Image value, uint64 n)
{
	SpecialValue special = SPECIAL_NONE;

	if (acc->kind == SUM_INTEGERS)
	{
		int64		x = value_int64(spec->type, value);

		note_integer(acc, spec, value, x);
		acc->sum.integer += (int128) x * (int128) n;
	}
	else if (acc->has_extremes)
	{
		note_extremes(acc, spec, value);
		if (acc->kind == SUM_NUMERICS)
		{
			special = numeric_special(value);
			if (special == SPECIAL_NONE)
				numeric_sums_add(&acc->sum.numerics, value, n);
		}
		else if (acc->kind == SUM_INTERVALS)
			special = add_interval(acc, value, n);
	}
	if (special != SPECIAL_NONE)
		acc->specials.counts[special] += n;
}

static void
basic_add(void *accumulator, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	BasicAccumulator *acc = accumulator;

	if (acc->kind == SUM_FLOATS)
	{
		double		x = value_float8(spec->type, value);
		SpecialValue special = special_of_float8(x);

		note_float(acc, spec, value, x);
		if (likely(special == SPECIAL_NONE))
			exact_add_double(float_sum(acc), x, (int64) n);
		else
			acc->specials.counts[special] += n;
	}
	else
		add_other(acc, spec, value, n);
	add_events(&acc->count, n);
}

static bool
basic_subtract(void *accumulator, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	BasicAccumulator *acc = accumulator;
	SpecialValue special = SPECIAL_NONE;

	if (n > acc->count)
		return false;
	/* What follows a minimum or maximum that goes is not known */
	if (acc->has_extremes &&
		(acc->count == 0 ||
		 value_total_order(spec->type, spec->collation, value, extreme_image(&acc->min)) <= 0 ||
		 value_total_order(spec->type, spec->collation, value, extreme_image(&acc->max)) >= 0))
		return false;
	if (acc->kind == SUM_FLOATS)
	{
		double		x = value_float8(spec->type, value);

		special = special_of_float8(x);
		if (special == SPECIAL_NONE)
			exact_add_double(float_sum(acc), x, -(int64) n);
	}
	else if (acc->kind == SUM_INTEGERS)
		acc->sum.integer -= (int128) value_int64(spec->type, value) * (int128) n;
	else if (acc->kind == SUM_NUMERICS)
	{
		special = numeric_special(value);
		if (special == SPECIAL_NONE && !numeric_sums_subtract(&acc->sum.numerics, value, n))
			return false;
	}
	else if (acc->kind == SUM_INTERVALS)
		special = add_interval(acc, value, -(int128) n);
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
basic_count(const void *accumulator, const FamilySpec *spec)
{
	return ((const BasicAccumulator *) accumulator)->count;
}

static void
write_int128(int128 value, Writer *writer)
{
	char		bytes[sizeof(int128)];
	char		sign = (char) (value < 0 ? -1 : 0);
	int			size = sizeof(int128);

	for (int i = 0; i < size; i++)
		bytes[i] = (char) ((uint128) value >> (8 * i));
	while (size > 0 && bytes[size - 1] == sign &&
		   (size == 1 ? sign == 0 : ((bytes[size - 2] ^ sign) & 0x80) == 0))
		size--;
	write_byte(writer, (uint8) size);
	write_bytes(writer, bytes, size);
}

static int128
read_int128(Reader *reader)
{
	int			size = read_byte(reader);
	const char *bytes = read_bytes(reader, size);
	uint128		value;

	if (bytes == NULL || size == 0)
		return 0;
	value = (uint128) (int128) (int8) bytes[--size];
	while (size > 0)
		value = value << 8 | (uint8) bytes[--size];
	return (int128) value;
}

/* Marks the reader failed if there is no integer as write_int128 writes it. */
static void
skip_int128(Reader *reader)
{
	int			size = read_byte(reader);
	const char *bytes = read_bytes(reader, size);

	if (bytes == NULL || size > sizeof(int128) || (size == 1 && bytes[0] == 0) ||
		(size > 1 && bytes[size - 1] == (char) ((bytes[size - 2] & 0x80) ? -1 : 0)))
		reader->failed = true;
}

static void
basic_write(const void *accumulator, const FamilySpec *spec, Writer *writer)
{
	const BasicAccumulator *acc = accumulator;
	Image		min = extreme_image(&acc->min);
	Image		max = extreme_image(&acc->max);
	bool		alike = min.size == max.size && memcmp(min.data, max.data, min.size) == 0;

	write_varint(writer, acc->count);
	if (!acc->has_extremes)
		return;
	write_byte(writer, special_flags(&acc->specials) | (alike ? BASIC_ALIKE : 0));
	special_write(&acc->specials, writer);
	switch (acc->kind)
	{
		case SUM_NOTHING:
			break;
		case SUM_INTEGERS:
			write_int128(acc->sum.integer, writer);
			break;
		case SUM_FLOATS:
			exact_write(float_sum(acc), writer);
			break;
		case SUM_NUMERICS:
			numeric_sums_write(&acc->sum.numerics, writer);
			break;
		case SUM_INTERVALS:
			for (int i = 0; i < NPARTS; i++)
				write_int128(acc->sum.parts[i], writer);
			break;
	}
	write_image(spec->type, writer, min);
	if (!alike)
		write_image(spec->type, writer, max);
}

static void
merge_sum(BasicAccumulator *acc, uint64 finite, Reader *reader)
{
	switch (acc->kind)
	{
		case SUM_NOTHING:
			break;
		case SUM_INTEGERS:
			acc->sum.integer += read_int128(reader);
			break;
		case SUM_FLOATS:
			exact_merge(float_sum(acc), reader);
			break;
		case SUM_NUMERICS:
			numeric_sums_merge(&acc->sum.numerics, finite, reader);
			break;
		case SUM_INTERVALS:
			for (int i = 0; i < NPARTS; i++)
				acc->sum.parts[i] += read_int128(reader);
			break;
	}
}

static void
basic_merge(void *accumulator, const FamilySpec *spec, const char *partial, Size size)
{
	BasicAccumulator *acc = accumulator;
	Reader		reader = reader_over(partial, size);
	uint64		count = read_varint(&reader);

	if (acc->has_extremes)
	{
		uint8		flags = read_byte(&reader);

		merge_sum(acc, count - special_merge(&acc->specials, flags & SPECIAL_FLAGS, &reader),
				  &reader);
		note_image(acc, spec, read_image(spec->type, &reader));
		if (!(flags & BASIC_ALIKE))
		{
			/* The first image counts as an event, for the second to be compared with it */
			add_events(&acc->count, count);
			note_image(acc, spec, read_image(spec->type, &reader));
			return;
		}
	}
	add_events(&acc->count, count);
}

/* Reads, and checks, what a partial has of its sum. */
static void
skip_sum(SumKind kind, uint64 finite, Reader *reader)
{
	switch (kind)
	{
		case SUM_NOTHING:
			break;
		case SUM_INTEGERS:
			skip_int128(reader);
			break;
		case SUM_FLOATS:
			exact_skip(1, false, reader);
			break;
		case SUM_NUMERICS:
			numeric_sums_skip(1, finite, reader);
			break;
		case SUM_INTERVALS:
			for (int i = 0; i < NPARTS; i++)
				skip_int128(reader);
			break;
	}
}

/* Special values of a kind of sum, as flags. */
static uint8
possible_flags(SumKind kind)
{
	switch (kind)
	{
		case SUM_FLOATS:
			return SPECIAL_FLAGS;
		case SUM_NUMERICS:
			return SPECIAL_NOT_FINITE;
		case SUM_INTERVALS:
			return SPECIAL_NOT_FINITE - SPECIAL_FLAG(SPECIAL_NAN);
		default:
			return 0;
	}
}

/*
 * The order of a collatable type is that of this machine, so it is not asked
 * for here, where a state may come from another.
 */
static bool
extremes_are_valid(const FamilySpec *spec, bool alike, Reader *reader)
{
	Image		min = read_image(spec->type, reader);
	Image		max;

	if (reader->failed || !value_is_valid(spec->type, min))
		return false;
	if (alike)
		return true;
	max = read_image(spec->type, reader);
	return !reader->failed && value_is_valid(spec->type, max) &&
		(spec->type->is_collatable || value_order(spec->type, InvalidOid, min, max) < 0);
}

static uint64
basic_check(const FamilySpec *spec, const char *partial, Size size)
{
	Reader		reader = reader_over(partial, size);
	uint64		count = read_varint(&reader);
	SumKind		kind = sum_kind(spec->type);
	SpecialCounts specials;
	uint8		flags;

	if (count == 0 || count > PG_INT64_MAX)
		return 0;
	if (has_extremes(spec->type))
	{
		flags = read_byte(&reader);
		if ((flags & ~(possible_flags(kind) | BASIC_ALIKE)) != 0 ||
			(count == 1 && !(flags & BASIC_ALIKE)) ||
			!special_skip(&specials, flags, count, &reader))
			return 0;
		skip_sum(kind, count - special_not_finite(&specials), &reader);
		if (reader.failed || !extremes_are_valid(spec, flags & BASIC_ALIKE, &reader))
			return 0;
	}
	return !reader.failed && reader.at == reader.end ? count : 0;
}

static bool
integer_result(const BasicAccumulator *acc, const FamilySpec *spec, bool average, Datum *result)
{
	int128		sum = acc->sum.integer;
	uint128		magnitude = sum < 0 ? -(uint128) sum : (uint128) sum;
	uint32		limbs[4];
	Numeric		numeric;

	if (!average && spec->type->code != VALUE_INT8)
	{
		*result = Int64GetDatum((int64) sum);
		return sum >= PG_INT64_MIN && sum <= PG_INT64_MAX;
	}
	for (int i = 0; i < 4; i++)
		limbs[i] = (uint32) (magnitude >> (32 * i));
	if (!numeric_of_big(big_trimmed((Big) {.negative = sum < 0,.size = 4,.limbs = limbs}),
						&numeric) ||
		(average && !numeric_average(numeric, acc->count, &numeric)))
		return false;
	*result = NumericGetDatum(numeric);
	return true;
}

static Datum
float_result(const BasicAccumulator *acc, const FamilySpec *spec, bool average)
{
	SpecialValue special = special_sum(&acc->specials);
	bool		is_float4 = spec->type->code == VALUE_FLOAT4 && !average;
	double		value;

	if (special == SPECIAL_NAN)
		value = NAN;
	else if (special != SPECIAL_NONE)
		value = special == SPECIAL_INFINITY ? INFINITY : -INFINITY;
	else if (average)
		value = exact_divide(float_sum(acc), acc->count);
	else if (acc->specials.counts[SPECIAL_MINUS_ZERO] == acc->count)
		value = -0.0;
	else
		value = is_float4 ? exact_float4(float_sum(acc)) : exact_float8(float_sum(acc));
	return is_float4 ? Float4GetDatum((float4) value) : Float8GetDatum(value);
}

static bool
numeric_result(const BasicAccumulator *acc, bool average, Datum *result)
{
	SpecialValue special = special_sum(&acc->specials);
	Numeric		numeric;

	if (special != SPECIAL_NONE)
		numeric = numeric_of_special(special);
	else if (!numeric_of_sum(&acc->sum.numerics, 1, &numeric) ||
			 (average && !numeric_average(numeric, acc->count, &numeric)))
		return false;
	*result = NumericGetDatum(numeric);
	return true;
}

static bool
interval_result(const BasicAccumulator *acc, bool average, Datum *result)
{
	const int128 *parts = acc->sum.parts;
	SpecialValue special = special_sum(&acc->specials);
	Interval   *interval = palloc(sizeof(Interval));

	*result = IntervalPGetDatum(interval);
	if (special != SPECIAL_NONE)
	{
		bool		less = special == SPECIAL_MINUS_INFINITY;

		interval->month = less ? PG_INT32_MIN : PG_INT32_MAX;
		interval->day = less ? PG_INT32_MIN : PG_INT32_MAX;
		interval->time = less ? PG_INT64_MIN : PG_INT64_MAX;
		return special != SPECIAL_NAN;
	}
	if (parts[MONTHS] < PG_INT32_MIN || parts[MONTHS] > PG_INT32_MAX ||
		parts[DAYS] < PG_INT32_MIN || parts[DAYS] > PG_INT32_MAX ||
		parts[MICROSECONDS] < PG_INT64_MIN || parts[MICROSECONDS] > PG_INT64_MAX)
		return false;
	interval->month = (int32) parts[MONTHS];
	interval->day = (int32) parts[DAYS];
	interval->time = (int64) parts[MICROSECONDS];
	if (interval_special(interval) != SPECIAL_NONE)
		return false;
	if (!average)
		return true;
	/* Where interval_div would raise: of one interval it makes a float of the time */
	if (acc->count == 1 && fabs((double) interval->time) >= -(double) PG_INT64_MIN)
		return false;
	*result = DirectFunctionCall2(interval_div, *result, Float8GetDatum((double) acc->count));
	return true;
}

static Datum
basic_value(const void *accumulator, const FamilySpec *spec, const FunctionCall *call,
			bool *isnull, uint8 *flags)
{
	const BasicAccumulator *acc = accumulator;
	bool		average = call->function == BASIC_AVG;
	bool		fits = true;
	Datum		result = (Datum) 0;

	*flags = 0;
	*isnull = false;
	if (call->function == BASIC_COUNT)
		return Int64GetDatum((int64) acc->count);
	if (acc->count == 0)
	{
		*isnull = true;
		return result;
	}
	if (call->function == BASIC_MIN)
		return value_datum(spec->type, extreme_image(&acc->min));
	if (call->function == BASIC_MAX)
		return value_datum(spec->type, extreme_image(&acc->max));
	if (acc->kind == SUM_INTEGERS)
		fits = integer_result(acc, spec, average, &result);
	else if (acc->kind == SUM_FLOATS)
		result = float_result(acc, spec, average);
	else if (acc->kind == SUM_NUMERICS)
		fits = numeric_result(acc, average, &result);
	else
		fits = interval_result(acc, average, &result);
	*isnull = !fits;
	*flags = fits ? 0 : VALUE_OUT_OF_RANGE;
	return result;
}

static const FamilyFunction basic_functions[] = {
	[BASIC_COUNT] = {.name = "count",.is_count = true},
	[BASIC_SUM] = {.name = "sum"},
	[BASIC_AVG] = {.name = "avg"},
	[BASIC_MIN] = {.name = "min"},
	[BASIC_MAX] = {.name = "max"},
};

const Family family_basic = {
	.code = 1,
	.name = "basic",
	.functions = basic_functions,
	.nfunctions = lengthof(basic_functions),
	.verbatim = 3,
	.result_type = basic_result_type,
	.size = basic_size,
	.init = basic_init,
	.add = basic_add,
	.merge = basic_merge,
	.subtract = basic_subtract,
	.count = basic_count,
	.write = basic_write,
	.check = basic_check,
	.value = basic_value
};
