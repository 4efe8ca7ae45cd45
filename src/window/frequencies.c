/*
 * frequencies.c
 *	  Distinct values with how often each occurs: count_distinct, histogram.
 *
 * Values that compare equal are one, and the least image among them stands for
 * all.  Text is compared by its bytes, whatever its collation.
 *
 * A multiset of at most "bound" distinct values is kept as it is.  Of more, the
 * bound values of the least hash are kept, with exact counts: a sample of the
 * values that does not depend on how often they occur nor on their order of
 * arrival, and that commutes with merging, since a value among the least of
 * the whole is among the least of every part that has it.
 *
 * From such a sample the number of distinct values is estimated as
 * (bound - 1) / h, h being the greatest hash kept as a fraction of all hashes;
 * its standard error is 1 / sqrt(bound - 2) of the number.
 *
 *		a partial:
 *		dropped		varint: number of events whose values are not kept; 0: it is
 *					exact
 *		values		in order of hash, and of value where hashes are equal, until
 *					the end of the partial, each:
 *			count		events (varint)
 *			image		with its length if images of the type differ in it
 *			variants	events of another image (varint), of values that can have
 *						several
 *
 * With the variants it is known whether the least image is left when events are
 * taken away.  For a few events that is not much less than their images are,
 * and these can always be taken away: hence verbatim buckets.
 *
 * The accumulator keeps up to twice as many values as its bound, so that the
 * greatest hashes need not be found with every new value, but now and then.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "window/family.h"
#include "window/kept.h"
#include "window/value_text.h"

typedef struct FrequencyKey
{
	uint64		hash;
	KeptImage	image;
} FrequencyKey;

/* A value that occurs. */
typedef struct Frequency
{
	FrequencyKey key;			/* with the least image */
	uint64		count;			/* of events */
	uint64		variants;		/* those of them with another image */
	char		status;
} Frequency;

static inline Oid
byte_collation(const ValueType *type)
{
	return type->is_collatable ? C_COLLATION_OID : InvalidOid;
}

static inline bool
are_equal(const ValueType *type, const FrequencyKey *a, const FrequencyKey *b)
{
	Image		x = kept_image(&a->image);
	Image		y = kept_image(&b->image);

	if (a->hash != b->hash)
		return false;
	return image_order(x, y) == 0 || value_order(type, byte_collation(type), x, y) == 0;
}

/* The high bits of those that stay in the end are all 0, so the low ones it is. */
#define SH_PREFIX frequency
#define SH_ELEMENT_TYPE Frequency
#define SH_KEY_TYPE FrequencyKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) ((uint32) (key).hash)
#define SH_EQUAL(table, a, b) are_equal((const ValueType *) (table)->private_data, &(a), &(b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * Values with hashes above the limit are not among the bound least, nor are
 * some of those with this hash; their events may be in "dropped" only, or in
 * the table in part.  All others are in the table with all of their events.
 */
typedef struct Frequencies
{
	uint64		events;
	uint64		dropped;		/* events whose values are not in the table */
	uint64		hash_limit;
	bool		truncated;		/* has hash_limit a meaning? */
	uint32		bound;
	uint32		room;			/* the table is truncated when it has more values */
	struct frequency_hash *table;
} Frequencies;

#define INITIAL_VALUES 8

/* Can there be another image for an equal value? */
static inline bool
has_variants(const ValueType *type, Image image)
{
	if (type->is_float)
	{
		double		value = value_float8(type, image);

		return value == 0 || isnan(value);
	}
	return type->code == VALUE_NUMERIC || type->code == VALUE_BPCHAR ||
		type->code == VALUE_INTERVAL;
}

static inline uint32
frequencies_bound(const FamilySpec *spec)
{
	return Min(Max(spec->param, 1), WINDOW_MAX_BOUND);
}

static Oid
frequencies_result_type(int function, const ValueType *type)
{
	if (type->code == VALUE_NONE)
		return InvalidOid;
	return function == 0 ? INT8OID : JSONBOID;
}

static Size
frequencies_size(const FamilySpec *spec)
{
	return sizeof(Frequencies);
}

static void
frequencies_init(void *acc, const FamilySpec *spec)
{
	Frequencies *frequencies = acc;

	memset(frequencies, 0, sizeof(Frequencies));
	frequencies->bound = frequencies_bound(spec);
	frequencies->room = 2 * frequencies->bound;
	frequencies->table = frequency_create(CurrentMemoryContext, INITIAL_VALUES,
										  (void *) spec->type);
}

/* A value in the order of its hash. */
typedef struct RankedValue
{
	uint64		hash;
	const Frequency *frequency;
} RankedValue;

static int
compare_ranks(const void *a, const void *b, void *arg)
{
	const RankedValue *x = a;
	const RankedValue *y = b;
	const ValueType *type = arg;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return value_order(type, byte_collation(type),
					   kept_image(&x->frequency->key.image),
					   kept_image(&y->frequency->key.image));
}

/* All values of the table, by hash, then value. */
static RankedValue *
ranked_values(const Frequencies *frequencies, const ValueType *type)
{
	RankedValue *ranked = palloc(Max(frequencies->table->members, 1) * sizeof(RankedValue));
	frequency_iterator iterator;
	const Frequency *frequency;
	uint32		n = 0;

	frequency_start_iterate(frequencies->table, &iterator);
	while ((frequency = frequency_iterate(frequencies->table, &iterator)) != NULL)
		ranked[n++] = (RankedValue) {frequency->key.hash, frequency};
	qsort_arg(ranked, n, sizeof(RankedValue), compare_ranks, (void *) type);
	return ranked;
}

static void
limit_hashes(Frequencies *frequencies, uint64 limit)
{
	if (!frequencies->truncated || limit < frequencies->hash_limit)
		frequencies->hash_limit = limit;
	frequencies->truncated = true;
}

/*
 * Drops the values that are not among the bound least, save those that share
 * the hash of the greatest of these, which are few unless someone is after it.
 */
static void
truncate_values(Frequencies *frequencies, const ValueType *type)
{
	uint32		n = frequencies->table->members;
	RankedValue *ranked = ranked_values(frequencies, type);
	Frequency  *values = palloc(n * sizeof(Frequency));

	limit_hashes(frequencies, ranked[frequencies->bound - 1].hash);
	for (uint32 i = 0; i < n; i++)
		values[i] = *ranked[i].frequency;
	frequency_reset(frequencies->table);
	for (uint32 i = 0; i < n; i++)
	{
		bool		found;
		Frequency  *kept;

		if (values[i].key.hash > frequencies->hash_limit)
		{
			frequencies->dropped += values[i].count;
			drop_image(&values[i].key.image);
			continue;
		}
		kept = frequency_insert(frequencies->table, values[i].key, &found);
		kept->count = values[i].count;
		kept->variants = values[i].variants;
	}
	pfree(values);
	pfree(ranked);
	frequencies->room = 2 * Max(frequencies->bound, frequencies->table->members);
}

/* Adds events of a value to those there are of it. */
static void
join_frequency(Frequency *frequency, Image value, uint64 count, uint64 variants)
{
	int			order = image_order(value, kept_image(&frequency->key.image));

	if (order == 0)
		frequency->variants += variants;
	else if (order > 0)
		frequency->variants += count;
	else
	{
		KeptImage	old = frequency->key.image;

		frequency->key.image = keep_image(value);
		drop_image(&old);
		frequency->variants = frequency->count + variants;
	}
	frequency->count += count;
}

/* Adds events of a value, which are part of the number of events already. */
static void
add_value(Frequencies *frequencies, const ValueType *type,
		  Image value, uint64 hash, uint64 count, uint64 variants)
{
	FrequencyKey key;
	Frequency  *frequency;
	bool		found;

	if (frequencies->truncated && hash > frequencies->hash_limit)
	{
		frequencies->dropped += count;
		return;
	}
	key.hash = hash;
	key.image = borrow_image(value);
	frequency = frequency_insert(frequencies->table, key, &found);
	if (found)
	{
		join_frequency(frequency, value, count, variants);
		return;
	}
	own_image(&frequency->key.image);
	frequency->count = count;
	frequency->variants = variants;
	if (frequencies->table->members > frequencies->room)
		truncate_values(frequencies, type);
}

static void
frequencies_add(void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	Frequencies *frequencies = acc;

	add_events(&frequencies->events, n);
	add_value(frequencies, spec->type, value, value_hash(spec->type, value), n, 0);
}

/* A value of a partial. */
typedef struct StoredFrequency
{
	uint64		count;
	uint64		variants;
	Image		image;
} StoredFrequency;

/* Its variants follow the image, which tells whether it can have any. */
static inline StoredFrequency
read_frequency(Reader *reader, const ValueType *type)
{
	StoredFrequency stored = {0};

	stored.count = read_varint(reader);
	stored.image = read_image(type, reader);
	if (!reader->failed && has_variants(type, stored.image))
		stored.variants = read_varint(reader);
	return stored;
}

static void
frequencies_merge(void *acc, const FamilySpec *spec, const char *partial, Size size)
{
	Frequencies *frequencies = acc;
	Reader		reader = reader_over(partial, size);
	uint64		dropped = read_varint(&reader);
	uint64		hash = 0;

	while (reader.at < reader.end)
	{
		StoredFrequency stored = read_frequency(&reader, spec->type);

		hash = value_hash(spec->type, stored.image);
		add_events(&frequencies->events, stored.count);
		add_value(frequencies, spec->type, stored.image, hash, stored.count, stored.variants);
	}
	if (dropped > 0)
	{
		/* What else the partial was of had greater values than these, which are bound many */
		add_events(&frequencies->events, dropped);
		frequencies->dropped += dropped;
		limit_hashes(frequencies, hash);
	}
}

/* Takes events of one image away from a value; false if its least image would be unknown. */
static bool
leave_frequency(Frequency *frequency, Image value, uint64 n)
{
	int			order = image_order(value, kept_image(&frequency->key.image));
	uint64		of_image = order == 0 ? frequency->count - frequency->variants :
		order > 0 ? frequency->variants : 0;

	if (n > of_image || (order == 0 && n == of_image && frequency->variants > 0))
		return false;
	if (order > 0)
		frequency->variants -= n;
	frequency->count -= n;
	return true;
}

/*
 * Where values were dropped, none of those kept may go: the one that would take
 * its place is not known.
 */
static bool
frequencies_subtract(void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	Frequencies *frequencies = acc;
	FrequencyKey key = {value_hash(spec->type, value), borrow_image(value)};
	Frequency  *frequency;

	if (n > frequencies->events)
		return false;
	if (frequencies->truncated && key.hash > frequencies->hash_limit)
	{
		if (n > frequencies->dropped)
			return false;
		frequencies->dropped -= n;
		frequencies->events -= n;
		return true;
	}
	frequency = frequency_lookup(frequencies->table, key);
	if (frequency == NULL || !leave_frequency(frequency, value, n))
		return false;
	frequencies->events -= n;
	if (frequency->count > 0)
		return true;
	if (frequencies->truncated)
		return false;
	drop_image(&frequency->key.image);
	frequency_delete_item(frequencies->table, frequency);
	return true;
}

static uint64
frequencies_count(const void *acc, const FamilySpec *spec)
{
	return ((const Frequencies *) acc)->events;
}

/* The values that a partial has: how many, and the events of all others. */
static uint32
kept_values(const Frequencies *frequencies, const RankedValue *ranked, uint64 *dropped)
{
	uint32		n = Min(frequencies->table->members, frequencies->bound);

	*dropped = frequencies->events;
	for (uint32 i = 0; i < n; i++)
		*dropped -= ranked[i].frequency->count;
	return n;
}

static void
frequencies_write(const void *acc, const FamilySpec *spec, Writer *writer)
{
	const Frequencies *frequencies = acc;
	RankedValue *ranked = ranked_values(frequencies, spec->type);
	uint64		dropped;
	uint32		n = kept_values(frequencies, ranked, &dropped);

	write_varint(writer, dropped);
	for (uint32 i = 0; i < n; i++)
	{
		const Frequency *frequency = ranked[i].frequency;
		Image		image = kept_image(&frequency->key.image);

		write_varint(writer, frequency->count);
		write_image(spec->type, writer, image);
		if (has_variants(spec->type, image))
			write_varint(writer, frequency->variants);
	}
	pfree(ranked);
}

static uint64
frequencies_check(const FamilySpec *spec, const char *partial, Size size)
{
	const ValueType *type = spec->type;
	Reader		reader = reader_over(partial, size);
	uint64		dropped = read_varint(&reader);
	uint64		events = dropped;
	uint32		n = 0;
	uint64		previous_hash = 0;
	Image		previous = {0};

	if (reader.failed || dropped > MAX_EVENTS)
		return 0;
	while (reader.at < reader.end)
	{
		StoredFrequency stored = read_frequency(&reader, type);
		uint64		hash;

		if (reader.failed || !value_is_valid(type, stored.image) ||
			stored.variants >= stored.count || stored.count > MAX_EVENTS - events ||
			n == frequencies_bound(spec))
			return 0;
		hash = value_hash(type, stored.image);
		if (n > 0 && (hash < previous_hash ||
					  (hash == previous_hash &&
					   value_order(type, byte_collation(type), previous, stored.image) >= 0)))
			return 0;
		events += stored.count;
		previous_hash = hash;
		previous = stored.image;
		n++;
	}
	if (reader.failed || n == 0 || (dropped > 0 && n < frequencies_bound(spec)))
		return 0;
	return events;
}

/* Estimates how many distinct values there are, from the greatest hash kept. */
static int64
estimate_distinct(const Frequencies *frequencies, uint64 greatest_hash, uint64 dropped)
{
	uint64		at_least = (uint64) frequencies->bound + 1;
	uint64		at_most = frequencies->bound + dropped;
	double		estimate = rint(ldexp(frequencies->bound - 1, 64) / ((double) greatest_hash + 1));

	if (estimate >= (double) at_most)
		return (int64) at_most;
	return (int64) Max((uint64) estimate, at_least);
}

/* Room for the keys of a jsonb object, less what it needs itself for each. */
#define MAX_KEYS_SIZE ((Size) JENTRY_OFFLENMASK)
#define PAIR_SIZE 64

/* NULL if it has no room in a jsonb. */
static Jsonb *
histogram(const ValueType *type, const RankedValue *ranked, uint32 n)
{
	JsonbParseState *state = NULL;
	Size		room = MAX_KEYS_SIZE - n * (Size) PAIR_SIZE;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (uint32 i = 0; i < n; i++)
	{
		const Frequency *frequency = ranked[i].frequency;
		Image		image = kept_image(&frequency->key.image);
		Size		length;
		JsonbValue	key = {.type = jbvString};
		JsonbValue	count = {.type = jbvNumeric};

		CHECK_FOR_INTERRUPTS();
		if (image.size > room)
			return NULL;
		key.val.string.val = (char *) value_text(type, image, &length);
		if (length > room)
			return NULL;
		room -= length;
		key.val.string.len = (int) length;
		count.val.numeric = int64_to_numeric((int64) frequency->count);
		pushJsonbValue(&state, WJB_KEY, &key);
		pushJsonbValue(&state, WJB_VALUE, &count);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static Datum
histogram_value(const ValueType *type, const RankedValue *ranked, uint32 n,
				bool *isnull, uint8 *flags)
{
	Jsonb	   *result = histogram(type, ranked, n);

	if (result == NULL)
	{
		*isnull = true;
		*flags |= VALUE_OUT_OF_RANGE;
		return (Datum) 0;
	}
	return JsonbPGetDatum(result);
}

static Datum
frequencies_value(const void *acc, const FamilySpec *spec, const FunctionCall *call,
				  bool *isnull, uint8 *flags)
{
	const Frequencies *frequencies = acc;
	bool		is_count = spec->family->functions[call->function].is_count;
	uint32		members = frequencies->table->members;
	RankedValue *ranked;
	uint64		dropped;
	uint32		n;

	*isnull = frequencies->events == 0 && !is_count;
	*flags = frequencies->events == 0 ? VALUE_EMPTY : 0;
	if (*isnull)
		return (Datum) 0;
	if (is_count && !frequencies->truncated && members <= frequencies->bound)
		return Int64GetDatum(members);
	ranked = ranked_values(frequencies, spec->type);
	n = kept_values(frequencies, ranked, &dropped);
	if (dropped > 0)
		*flags |= VALUE_APPROXIMATE;
	if (!is_count)
		return histogram_value(spec->type, ranked, n, isnull, flags);
	return Int64GetDatum(dropped == 0 ? n :
						 estimate_distinct(frequencies, ranked[n - 1].hash, dropped));
}

static const FamilyFunction frequencies_functions[] = {
	{
		.name = "count_distinct",
		.param = PARAM_BOUND,
		.is_count = true,
		.bound = "exact up to bound distinct values, then standard error 1 / sqrt(bound - 2)"
	},
	{
		.name = "histogram",
		.param = PARAM_BOUND,
		.bound = "exact up to bound distinct values, then a sample of bound of them"
	}
};

const Family family_frequencies = {
	.code = 12,
	.name = "frequencies",
	.functions = frequencies_functions,
	.nfunctions = lengthof(frequencies_functions),
	.verbatim = 8,
	.result_type = frequencies_result_type,
	.size = frequencies_size,
	.init = frequencies_init,
	.add = frequencies_add,
	.merge = frequencies_merge,
	.subtract = frequencies_subtract,
	.count = frequencies_count,
	.write = frequencies_write,
	.check = frequencies_check,
	.value = frequencies_value
};
