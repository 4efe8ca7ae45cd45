/*
 * percentile_sketch.c
 *	  Percentiles, approximately: approx_percentile.
 *
 * Counts of values by buckets whose bounds grow geometrically
 * (percentile_buckets.c), as in a DDSketch (Masson, Rim, Lee 2019): what stands
 * for a bucket is off by a fraction of the value at most, whatever value of the
 * bucket is meant.  Infinities, zero and NaN are counted apart; the least and
 * the greatest value are kept as they are.
 *
 * A sketch with more than MAX_BUCKETS buckets doubles their width, by pairs,
 * until there are no more (UDDSketch; Epicoco et al. 2020): how often is the
 * sketch's level, a function of the multiset of values.
 *
 *		partial:
 *		head		1 byte: level in the lower 4 bits, then a bit for each of the
 *					special values that there are
 *		counts		of these special values (varints): -Infinity, 0, Infinity, NaN
 *		least, greatest		images; of numeric, each after its size (varint)
 *		buckets, if there are any, ascending: index of the first (varint); then of
 *					each count * 2 (varint), + 1 unless the bucket follows the one
 *					before, and if so the number of empty ones between, less 1
 *					(varint)
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "port/pg_bitutils.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"

#include "window/family.h"
#include "window/kept.h"
#include "window/percentile_buckets.h"

#define MAX_BUCKETS 2048

/* Kept apart from buckets. */
typedef enum Special
{
	MINUS_INFINITY,
	ZERO,
	INFINITE,
	NOT_A_NUMBER
} Special;

#define NSPECIALS 4

/* Counts of adjacent buckets; those that are not used are not initialized. */
#define PAGE_BUCKETS 32

typedef struct Page
{
	uint32		number;			/* bucket index / PAGE_BUCKETS */
	uint32		used;			/* bit for each */
	uint64		counts[PAGE_BUCKETS];
} Page;

/* The least or greatest value. */
typedef struct Extreme
{
	double		value;
	KeptImage	image;
} Extreme;

typedef struct PercentileSketch
{
	uint64		nevents;
	uint64		specials[NSPECIALS];
	uint32		level;
	uint32		nbuckets;
	uint32		npages;
	uint32		max_pages;
	uint32		last;			/* page found last */
	Page	  **pages;			/* by number */
	Extreme		least;
	Extreme		greatest;
} PercentileSketch;

/* Where a value is counted. */
typedef struct Place
{
	bool		is_special;
	Special		special;
	uint32		bucket;			/* of level 0 */
} Place;

static inline Place
special_place(Special special)
{
	return (Place) {.is_special = true,.special = special};
}

static inline Place
value_place(double value, uint32 precision)
{
	if (value == 0)
		return special_place(ZERO);
	if (unlikely(isnan(value)))
		return special_place(NOT_A_NUMBER);
	if (unlikely(isinf(value)))
		return special_place(value > 0 ? INFINITE : MINUS_INFINITY);
	return (Place) {.bucket = bucket_of(value, precision)};
}

/* The nearest float8 that is not infinite if the value is not. */
static inline double
place_value(const FamilySpec *spec, Image image)
{
	double		value = value_float8(spec->type, image);

	/* an infinite numeric has no digits */
	if (unlikely(isinf(value)) && spec->type->code == VALUE_NUMERIC &&
		image.size > sizeof(uint16))
		return value > 0 ? DBL_MAX : -DBL_MAX;
	return value;
}

static void
set_extreme(Extreme *extreme, double value, Image image)
{
	drop_image(&extreme->image);
	extreme->value = value;
	extreme->image = keep_image(image);
}

/* Order of a value and an extreme, as of values; place_value() keeps order. */
static inline int
extreme_order(const FamilySpec *spec, double value, Image image, const Extreme *extreme)
{
	if (value < extreme->value)
		return -1;
	if (value > extreme->value)
		return 1;
	return value_order(spec->type, InvalidOid, image, kept_image(&extreme->image));
}

/* Among values that compare equal, the one with the least image stands for all. */
static void
note_extremes(PercentileSketch *sketch, const FamilySpec *spec, double value, Image image)
{
	bool		is_first = sketch->nevents == 0;
	int			order = is_first ? -1 : extreme_order(spec, value, image, &sketch->least);

	if (order < 0 ||
		(order == 0 && image_order(image, kept_image(&sketch->least.image)) < 0))
		set_extreme(&sketch->least, value, image);
	order = is_first ? 1 : extreme_order(spec, value, image, &sketch->greatest);
	if (order > 0 ||
		(order == 0 && image_order(image, kept_image(&sketch->greatest.image)) < 0))
		set_extreme(&sketch->greatest, value, image);
}

/* Index of the first page with this number or a greater one; most often that found last. */
static inline uint32
find_page(PercentileSketch *sketch, uint32 number)
{
	uint32		low = 0;
	uint32		high = sketch->npages;

	if (sketch->last < high && sketch->pages[sketch->last]->number == number)
		return sketch->last;
	while (low < high)
	{
		uint32		middle = (low + high) / 2;

		if (sketch->pages[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	sketch->last = low;
	return low;
}

static void
insert_page(PercentileSketch *sketch, uint32 at, uint32 number)
{
	Page	   *page = palloc(sizeof(Page));

	if (sketch->npages == sketch->max_pages)
	{
		sketch->max_pages = Max(sketch->max_pages * 2, 16);
		sketch->pages = sketch->pages ?
			repalloc(sketch->pages, sketch->max_pages * sizeof(Page *)) :
			palloc(sketch->max_pages * sizeof(Page *));
	}
	page->number = number;
	page->used = 0;
	memmove(&sketch->pages[at + 1], &sketch->pages[at],
			(sketch->npages - at) * sizeof(Page *));
	sketch->pages[at] = page;
	sketch->npages++;
}

/* Counts n in the bucket with an index of the sketch's level. */
static inline void
count_bucket(PercentileSketch *sketch, uint32 index, uint64 n)
{
	uint32		at = find_page(sketch, index / PAGE_BUCKETS);
	uint32		bit = (uint32) 1 << index % PAGE_BUCKETS;
	Page	   *page;

	if (at == sketch->npages || sketch->pages[at]->number != index / PAGE_BUCKETS)
		insert_page(sketch, at, index / PAGE_BUCKETS);
	page = sketch->pages[at];
	if (page->used & bit)
		page->counts[index % PAGE_BUCKETS] += n;
	else
	{
		page->used |= bit;
		page->counts[index % PAGE_BUCKETS] = n;
		sketch->nbuckets++;
	}
}

/* To the next level. */
static void
widen_buckets(PercentileSketch *sketch)
{
	Page	  **pages = sketch->pages;
	uint32		npages = sketch->npages;

	sketch->level++;
	sketch->nbuckets = 0;
	sketch->npages = 0;
	sketch->max_pages = 0;
	sketch->pages = NULL;
	for (uint32 i = 0; i < npages; i++)
	{
		for (uint32 used = pages[i]->used; used != 0; used &= used - 1)
		{
			int			bucket = pg_rightmost_one_pos32(used);

			count_bucket(sketch, (pages[i]->number * PAGE_BUCKETS + bucket) >> 1,
						 pages[i]->counts[bucket]);
		}
		pfree(pages[i]);
	}
	if (pages)
		pfree(pages);
}

/* Counts n in the bucket with an index of a level not above the sketch's. */
static inline void
add_bucket(PercentileSketch *sketch, uint32 index, uint32 level, uint64 n)
{
	count_bucket(sketch, index >> (sketch->level - level), n);
	while (unlikely(sketch->nbuckets > MAX_BUCKETS))
		widen_buckets(sketch);
}

static Oid
percentile_result_type(int function, const ValueType *type)
{
	return type->is_number ? type->oid : InvalidOid;
}

static Size
percentile_size(const FamilySpec *spec)
{
	return sizeof(PercentileSketch);
}

static void
percentile_init(void *acc, const FamilySpec *spec)
{
	memset(acc, 0, sizeof(PercentileSketch));
}

static void
percentile_add(void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	PercentileSketch *sketch = acc;
	double		number = place_value(spec, value);
	Place		place = value_place(number, spec->param);

	note_extremes(sketch, spec, number, value);
	add_events(&sketch->nevents, n);
	if (place.is_special)
		sketch->specials[place.special] += n;
	else
		add_bucket(sketch, place.bucket, 0, n);
}

/* The next bucket: its count, and its index, which was that of the one before (-1: none). */
static inline uint64
read_bucket(Reader *reader, int64 *index)
{
	uint64		count;

	if (*index < 0)
	{
		uint64		first = read_varint(reader);

		*index = Min(first, MAX_BUCKET + 1);
		count = read_varint(reader);
		reader->failed |= count & 1;
		return count >> 1;
	}
	count = read_varint(reader);
	*index += 1;
	if (count & 1)
	{
		uint64		gap = read_varint(reader);

		*index += 1 + (int64) Min(gap, MAX_BUCKET);
	}
	return count >> 1;
}

static void
percentile_merge(void *acc, const FamilySpec *spec, const char *partial, Size size)
{
	PercentileSketch *sketch = acc;
	Reader		reader = reader_over(partial, size);
	uint8		head = read_byte(&reader);
	uint32		level = head % 16;
	uint64		nevents = 0;
	int64		index = -1;
	Image		least;
	Image		greatest;

	while (sketch->level < level)
		widen_buckets(sketch);
	for (int i = 0; i < NSPECIALS; i++)
	{
		if (head & (16 << i))
		{
			uint64		count = read_varint(&reader);

			sketch->specials[i] += count;
			nevents += count;
		}
	}
	least = read_image(spec->type, &reader);
	greatest = read_image(spec->type, &reader);
	while (reader.at < reader.end)
	{
		uint64		count = read_bucket(&reader, &index);

		add_bucket(sketch, index, level, count);
		nevents += count;
	}
	note_extremes(sketch, spec, place_value(spec, least), least);
	add_events(&sketch->nevents, nevents);
	note_extremes(sketch, spec, place_value(spec, greatest), greatest);
}

/* Is this where an extreme is counted? */
static bool
is_place_of(const Extreme *extreme, Place place, uint32 buckets)
{
	Place		own = value_place(extreme->value, buckets);

	return own.is_special == place.is_special &&
		(own.is_special ? own.special == place.special : own.bucket == place.bucket);
}

/*
 * Not the extremes, since it is not known which would be next, nor from wider
 * buckets, since it is not known when they need not be as wide.
 */
static bool
percentile_subtract(void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	PercentileSketch *sketch = acc;
	double		number = place_value(spec, value);
	Place		place = value_place(number, spec->param);
	Page	   *page = NULL;
	uint64	   *count;

	if (sketch->level > 0 || sketch->nevents == 0 ||
		extreme_order(spec, number, value, &sketch->least) <= 0 ||
		extreme_order(spec, number, value, &sketch->greatest) >= 0)
		return false;
	if (place.is_special)
		count = &sketch->specials[place.special];
	else
	{
		uint32		at = find_page(sketch, place.bucket / PAGE_BUCKETS);

		if (at == sketch->npages || sketch->pages[at]->number != place.bucket / PAGE_BUCKETS)
			return false;
		page = sketch->pages[at];
		if (!(page->used & (uint32) 1 << place.bucket % PAGE_BUCKETS))
			return false;
		count = &page->counts[place.bucket % PAGE_BUCKETS];
	}
	if (*count < n ||
		(*count == n && (is_place_of(&sketch->least, place, spec->param) ||
						 is_place_of(&sketch->greatest, place, spec->param))))
		return false;
	*count -= n;
	sketch->nevents -= n;
	if (*count == 0 && page)
	{
		page->used &= ~((uint32) 1 << place.bucket % PAGE_BUCKETS);
		sketch->nbuckets--;
	}
	return true;
}

static uint64
percentile_count(const void *acc, const FamilySpec *spec)
{
	return ((const PercentileSketch *) acc)->nevents;
}

static void
write_buckets(const PercentileSketch *sketch, Writer *writer)
{
	int64		last = -1;

	for (uint32 i = 0; i < sketch->npages; i++)
	{
		const Page *page = sketch->pages[i];

		for (uint32 used = page->used; used != 0; used &= used - 1)
		{
			int			bucket = pg_rightmost_one_pos32(used);
			int64		index = (int64) page->number * PAGE_BUCKETS + bucket;
			bool		has_gap = last >= 0 && index > last + 1;

			if (last < 0)
				write_varint(writer, index);
			write_varint(writer, page->counts[bucket] << 1 | (has_gap ? 1 : 0));
			if (has_gap)
				write_varint(writer, index - last - 2);
			last = index;
		}
	}
}

static void
percentile_write(const void *acc, const FamilySpec *spec, Writer *writer)
{
	const PercentileSketch *sketch = acc;
	uint8		head = sketch->level;

	for (int i = 0; i < NSPECIALS; i++)
		if (sketch->specials[i] > 0)
			head |= 16 << i;
	write_byte(writer, head);
	for (int i = 0; i < NSPECIALS; i++)
		if (sketch->specials[i] > 0)
			write_varint(writer, sketch->specials[i]);
	write_image(spec->type, writer, kept_image(&sketch->least.image));
	write_image(spec->type, writer, kept_image(&sketch->greatest.image));
	write_buckets(sketch, writer);
}

/* What check learns on its way: numbers in the order of places, and their sum. */
typedef struct Checked
{
	int64		first;			/* place of the least and the greatest value, */
	int64		last;
	uint64		nevents;
} Checked;

/* A number for a place of a level, in the order of values. */
static int64
place_number(Place place, uint32 level)
{
	static const int64 special_numbers[NSPECIALS] = {-1, 0, PG_INT32_MAX, (int64) PG_INT32_MAX + 1};

	if (!place.is_special)
		return 2 * (int64) (place.bucket >> level) + 1;
	if (place.special == ZERO)
		return 2 * (int64) (FIRST_POSITIVE_BUCKET >> level);
	return special_numbers[place.special];
}

/* False if there are none, or more than can be. */
static bool
check_count(Checked *checked, int64 number, uint64 count)
{
	if (count == 0 || count > MAX_EVENTS - checked->nevents)
		return false;
	checked->first = checked->nevents == 0 ? number : Min(checked->first, number);
	checked->last = checked->nevents == 0 ? number : Max(checked->last, number);
	checked->nevents += count;
	return true;
}

static bool
check_specials(Checked *checked, const FamilySpec *spec, Reader *reader, uint8 head)
{
	for (int i = 0; i < NSPECIALS; i++)
	{
		if (!(head & (16 << i)))
			continue;
		if (i != ZERO && spec->type->is_integer)
			return false;
		if (!check_count(checked, place_number(special_place(i), head % 16), read_varint(reader)))
			return false;
	}
	return true;
}

/* Buckets are as wide as they are because at the level below they were too many. */
static bool
check_buckets(Checked *checked, Reader *reader, uint32 level)
{
	uint32		nbuckets = 0;
	uint32		nbefore = 0;	/* at most, of the level below */
	int64		index = -1;

	while (reader->at < reader->end)
	{
		uint64		count = read_bucket(reader, &index);

		if (reader->failed || index > MAX_BUCKET >> level ||
			!check_count(checked, 2 * index + 1, count))
			return false;
		nbuckets++;
		nbefore += Min(count, 2);
		if (nbuckets > MAX_BUCKETS)
			return false;
	}
	return level == 0 || nbefore > MAX_BUCKETS;
}

static uint64
percentile_check(const FamilySpec *spec, const char *partial, Size size)
{
	Checked		checked = {0};
	Reader		reader = reader_over(partial, size);
	uint8		head = read_byte(&reader);
	uint32		level = head % 16;
	Image		least;
	Image		greatest;
	Place		first;
	Place		last;

	if (reader.failed || level > MAX_BUCKET_LEVEL || !check_specials(&checked, spec, &reader, head))
		return 0;
	least = read_image(spec->type, &reader);
	greatest = read_image(spec->type, &reader);
	if (reader.failed || !value_is_valid(spec->type, least) ||
		!value_is_valid(spec->type, greatest) ||
		value_order(spec->type, InvalidOid, least, greatest) > 0 ||
		!check_buckets(&checked, &reader, level) || checked.nevents == 0)
		return 0;
	if (value_order(spec->type, InvalidOid, least, greatest) == 0 || checked.nevents == 1)
	{
		if (image_order(least, greatest) != 0)
			return 0;
	}
	first = value_place(place_value(spec, least), spec->param);
	last = value_place(place_value(spec, greatest), spec->param);
	return place_number(first, level) == checked.first &&
		place_number(last, level) == checked.last ? checked.nevents : 0;
}

/* Finds the bucket in which the rank'th of all values in buckets is, from 1 on. */
static uint32
find_bucket(const PercentileSketch *sketch, uint64 rank)
{
	uint32		index = 0;

	for (uint32 i = 0; i < sketch->npages; i++)
	{
		const Page *page = sketch->pages[i];

		for (uint32 used = page->used; used != 0; used &= used - 1)
		{
			int			bucket = pg_rightmost_one_pos32(used);

			index = page->number * PAGE_BUCKETS + bucket;
			if (rank <= page->counts[bucket])
				return index;
			rank -= page->counts[bucket];
		}
	}
	return index;
}

static uint64
count_negative(const PercentileSketch *sketch)
{
	uint32		first_positive = FIRST_POSITIVE_BUCKET >> sketch->level;
	uint64		result = 0;

	for (uint32 i = 0; i < sketch->npages; i++)
	{
		const Page *page = sketch->pages[i];

		if (page->number >= first_positive / PAGE_BUCKETS)
			break;
		for (uint32 used = page->used; used != 0; used &= used - 1)
			result += page->counts[pg_rightmost_one_pos32(used)];
	}
	return result;
}

/* What stands for the value of a rank, from 1 on. */
static double
rank_value(const PercentileSketch *sketch, const FamilySpec *spec, uint64 rank)
{
	const uint64 *specials = sketch->specials;
	uint64		negative = count_negative(sketch);
	uint64		finite = sketch->nevents - specials[MINUS_INFINITY] - specials[INFINITE] -
		specials[NOT_A_NUMBER];

	if (rank <= specials[MINUS_INFINITY])
		return -get_float8_infinity();
	rank -= specials[MINUS_INFINITY];
	if (rank > finite)
		return rank > finite + specials[INFINITE] ? get_float8_nan() : get_float8_infinity();
	if (rank > negative)
	{
		if (rank <= negative + specials[ZERO])
			return 0;
		rank -= specials[ZERO];
	}
	return bucket_value(find_bucket(sketch, rank), sketch->level, spec->param,
						spec->type->is_integer);
}

/* A value of the type that is as near as can be to one it has room for. */
static Datum
number_datum(const ValueType *type, double value)
{
	switch (type->code)
	{
		case VALUE_INT2:
			return Int16GetDatum((int16) value);
		case VALUE_INT4:
			return Int32GetDatum((int32) value);
		case VALUE_INT8:
			return Int64GetDatum((int64) value);
		case VALUE_FLOAT4:
			return Float4GetDatum((float4) value);
		case VALUE_FLOAT8:
			return Float8GetDatum(value);
		default:
			return DirectFunctionCall1(float8_numeric, Float8GetDatum(value));
	}
}

static Datum
percentile_value(const void *acc, const FamilySpec *spec, const FunctionCall *call,
				 bool *isnull, uint8 *flags)
{
	const PercentileSketch *sketch = acc;
	Image		least = kept_image(&sketch->least.image);
	Image		greatest = kept_image(&sketch->greatest.image);
	char		buffer[VALUE_MAX_FIXED];
	double		rank = ceil(call->fraction * sketch->nevents);
	double		value;
	Datum		result;
	Image		image;

	*isnull = sketch->nevents == 0;
	*flags = *isnull ? VALUE_EMPTY : 0;
	if (*isnull)
		return (Datum) 0;
	if (rank <= 1)
		return value_datum(spec->type, least);
	if (rank >= sketch->nevents)
		return value_datum(spec->type, greatest);
	if (sketch->level > 0)
		*flags = VALUE_APPROXIMATE;

	value = rank_value(sketch, spec, (uint64) rank);
	if (value <= sketch->least.value)
		return value_datum(spec->type, least);
	if (value >= sketch->greatest.value)
		return value_datum(spec->type, greatest);

	/* a numeric is made of 15 digits of the value and may come out beyond them */
	result = number_datum(spec->type, value);
	image = value_image(spec->type, result, buffer);
	if (value_order(spec->type, InvalidOid, image, least) < 0)
		return value_datum(spec->type, least);
	if (value_order(spec->type, InvalidOid, image, greatest) > 0)
		return value_datum(spec->type, greatest);
	return result;
}

static const FamilyFunction percentile_functions[] = {
	{
		.name = "approx_percentile",
		.param = PARAM_PERCENTILE,
		.bound = "off by relative_error of the value at most, besides rounding, unless flagged"
	}
};

const Family family_percentile_sketch = {
	.code = 11,
	.name = "percentile_sketch",
	.functions = percentile_functions,
	.nfunctions = lengthof(percentile_functions),
	.verbatim = 8,
	.result_type = percentile_result_type,
	.size = percentile_size,
	.init = percentile_init,
	.add = percentile_add,
	.merge = percentile_merge,
	.subtract = percentile_subtract,
	.count = percentile_count,
	.write = percentile_write,
	.check = percentile_check,
	.value = percentile_value
};
