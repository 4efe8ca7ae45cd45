/*
 * distinct_sketch.c
 *	  How many values are distinct, approximately: approx_count_distinct.
 *
 * An ExaLogLog (Ertl, "ExaLogLog: Space-Efficient and Practical Approximate
 * Distinct Counting up to the Exa-Scale", 2024) with parameters t = 2, d = 20:
 * a value's hash chooses one of 2^p registers and a level k >= 1, which is
 * geometrically distributed, four levels to each halving.  A register keeps
 * the greatest k seen, u, and of the 20 levels below it whether they were seen.
 * That is a set union, so order and repetitions do not matter.
 *
 * While there are few distinct values the hashes are kept as tokens instead:
 * 32 bits that say which level of which register a hash means for every p, and
 * more, so that different values all but always have different tokens and
 * their number is the answer.  More tokens than make as many bytes as the
 * registers become registers.
 *
 * The estimate is the most likely number given the registers (as if values
 * came as a Poisson process), less its bias.  It is a function of the final
 * registers alone, and of arithmetic that is the same on all machines.
 *
 *		partial:
 *		number of events	varint
 *		either the tokens	4 bytes each, ascending, less than the registers take
 *		or the registers	two in 7 bytes: u * 2^20 + bits in 28 bits, of which bit
 *							20 - s is level u - s; level 0 counts as seen, those
 *							below it do not; 0: no level seen
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "port/pg_bitutils.h"

#include "window/family.h"
#include "window/kept.h"

#define LEVEL_BITS 2			/* t */
#define LEVELS_PER_HALVING (1 << LEVEL_BITS)
#define HISTORY 20				/* d */
#define HISTORY_MASK (((uint32) 1 << HISTORY) - 1)
#define REGISTER_BITS 28
#define REGISTER_PAIR_SIZE 7

/*
 * A token: the lower bits of the hash, then the number of zeros that lead the
 * others in 6 bits.  So no token is EMPTY_SLOT.
 */
#define TOKEN_SIZE 4
#define TOKEN_HASH_BITS 26
#define TOKEN_ZEROS_BITS 6
#define TOKEN_MAX_ZEROS (64 - TOKEN_HASH_BITS)
#define EMPTY_SLOT PG_UINT32_MAX

/*
 * Two values have one token with odds of 1 : 3 * 2^26.  Among as many tokens as
 * this it has happened with odds of 1 : 6000, above it the number of tokens is
 * called approximate too.
 */
#define MAX_EXACT_TOKENS 256

#define FIRST_SLOTS 32

/*
 * With m registers the estimate of n has a standard error of less than n *
 * STANDARD_ERROR / sqrt(m), and was greater by n * BIAS / m before it is
 * corrected.  Both were measured, for each p and n from few to 10^9 * m; in
 * theory the error tends to 0.362 for great m.
 */
#define STANDARD_ERROR 0.38
#define BIAS 0.11

typedef struct DistinctSketch
{
	uint64		nevents;
	uint32	   *registers;		/* NULL: there are tokens instead */
	uint32		ntokens;
	uint32		nslots;			/* of the hash table of tokens; a power of 2, at least 2 * ntokens */
	uint32	   *slots;			/* NULL: they are first_slots */
	uint32		first_slots[FIRST_SLOTS];
} DistinctSketch;

/*
 * Registers, as their likelihood sees them: exp(-mean * not_seen) * product
 * over j of (1 - exp(-mean / 2^j))^seen[j], where mean is the number of values
 * per register.
 */
typedef struct Likelihood
{
	uint64		not_seen;		/* in units of 2^-(64 - p) */
	uint32		seen[65];
} Likelihood;

static inline uint32
register_count(const FamilySpec *spec)
{
	return (uint32) 1 << spec->param;
}

static inline Size
registers_size(const FamilySpec *spec)
{
	return (Size) register_count(spec) / 2 * REGISTER_PAIR_SIZE;
}

/* So many tokens take less than the registers. */
static inline uint32
max_tokens(const FamilySpec *spec)
{
	return (registers_size(spec) - 1) / TOKEN_SIZE;
}

static inline uint64
load_little_endian(const char *bytes, Size size)
{
	char		buffer[sizeof(uint64)] = {0};

	memcpy(buffer, bytes, size);
	return load_uint64(buffer);
}

static inline void
store_little_endian(char *bytes, Size size, uint64 value)
{
	char		buffer[sizeof(uint64)];

	store_uint64(buffer, value);
	memcpy(bytes, buffer, size);
}

uint32
distinct_sketch_precision(double relative_error)
{
	uint32		precision = DISTINCT_SKETCH_MIN_PRECISION;

	while (precision < DISTINCT_SKETCH_MAX_PRECISION &&
		   STANDARD_ERROR * STANDARD_ERROR > relative_error * relative_error * (1 << precision))
		precision++;
	return precision;
}

/* The greatest level there is. */
static inline uint32
max_level(uint32 precision)
{
	return (65 - precision - LEVEL_BITS) * LEVELS_PER_HALVING;
}

/* A value has this level with odds of 1 : 2^result. */
static inline int
level_rarity(uint32 precision, uint32 level)
{
	return Min(LEVEL_BITS + 1 + (level - 1) / LEVELS_PER_HALVING, 64 - precision);
}

static inline uint32
hash_token(uint64 hash)
{
	uint64		rest = hash >> TOKEN_HASH_BITS;
	uint32		zeros = rest ? TOKEN_MAX_ZEROS - 1 - pg_leftmost_one_pos64(rest) : TOKEN_MAX_ZEROS;

	return (uint32) (hash << TOKEN_ZEROS_BITS) | zeros;
}

/* Both registers in one: the greater, and what the other adds below its level. */
static inline uint32
merge_registers(uint32 a, uint32 b)
{
	uint32		greater = Max(a, b);
	uint32		lesser = Min(a, b);
	uint32		distance = (greater >> HISTORY) - (lesser >> HISTORY);
	uint32		seen = ((uint32) 1 << HISTORY) | (lesser & HISTORY_MASK);

	return greater | ((seen >> Min(distance, HISTORY + 1)) & HISTORY_MASK);
}

static inline void
add_token_to_registers(uint32 *registers, uint32 precision, uint32 token)
{
	uint32		hash = token >> TOKEN_ZEROS_BITS;
	uint32		zeros = token & ((1 << TOKEN_ZEROS_BITS) - 1);
	uint32		index = (hash >> LEVEL_BITS) & (((uint32) 1 << precision) - 1);
	uint32		rest = hash >> (LEVEL_BITS + precision);
	uint32		level;
	uint32		value;

	if (zeros == TOKEN_MAX_ZEROS)
	{
		zeros = 64 - LEVEL_BITS - precision;
		if (rest > 0)
			zeros -= pg_leftmost_one_pos32(rest) + 1;
	}
	level = zeros * LEVELS_PER_HALVING + (hash & (LEVELS_PER_HALVING - 1)) + 1;
	value = level << HISTORY;
	if (level <= HISTORY)
		value |= (uint32) 1 << (HISTORY - level);
	registers[index] = merge_registers(registers[index], value);
}

static inline uint32 *
token_slots(const DistinctSketch *sketch)
{
	return sketch->slots ? sketch->slots : (uint32 *) sketch->first_slots;
}

/* The slot that has a token, or the empty one where it belongs. */
static inline uint32 *
find_slot(uint32 *slots, uint32 nslots, uint32 token)
{
	uint32		at = (uint32) (((uint64) (token * 0x9e3779b1U) * nslots) >> 32);

	while (slots[at] != token && slots[at] != EMPTY_SLOT)
		at = (at + 1) & (nslots - 1);
	return &slots[at];
}

static void
grow_slots(DistinctSketch *sketch)
{
	uint32	   *old = token_slots(sketch);
	uint32		nslots = sketch->nslots * 2;
	uint32	   *slots = palloc(nslots * sizeof(uint32));

	memset(slots, 0xff, nslots * sizeof(uint32));
	for (uint32 i = 0; i < sketch->nslots; i++)
		if (old[i] != EMPTY_SLOT)
			*find_slot(slots, nslots, old[i]) = old[i];
	if (sketch->slots)
		pfree(sketch->slots);
	sketch->slots = slots;
	sketch->nslots = nslots;
}

static void
make_registers(DistinctSketch *sketch, const FamilySpec *spec)
{
	uint32	   *slots = token_slots(sketch);

	sketch->registers = palloc0(register_count(spec) * sizeof(uint32));
	for (uint32 i = 0; i < sketch->nslots; i++)
		if (slots[i] != EMPTY_SLOT)
			add_token_to_registers(sketch->registers, spec->param, slots[i]);
}

static void
add_token(DistinctSketch *sketch, const FamilySpec *spec, uint32 token)
{
	uint32	   *slot;

	if (sketch->registers)
	{
		add_token_to_registers(sketch->registers, spec->param, token);
		return;
	}
	slot = find_slot(token_slots(sketch), sketch->nslots, token);
	if (*slot == token)
		return;
	*slot = token;
	sketch->ntokens++;
	if (sketch->ntokens > max_tokens(spec))
		make_registers(sketch, spec);
	else if (sketch->ntokens > sketch->nslots / 2)
		grow_slots(sketch);
}

static Oid
distinct_result_type(int function, const ValueType *type)
{
	return type->code == VALUE_NONE ? InvalidOid : INT8OID;
}

static Size
distinct_size(const FamilySpec *spec)
{
	return sizeof(DistinctSketch);
}

static void
distinct_init(void *acc, const FamilySpec *spec)
{
	DistinctSketch *sketch = acc;

	sketch->nevents = 0;
	sketch->registers = NULL;
	sketch->ntokens = 0;
	sketch->nslots = FIRST_SLOTS;
	sketch->slots = NULL;
	memset(sketch->first_slots, 0xff, sizeof(sketch->first_slots));
}

static void
distinct_add(void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	DistinctSketch *sketch = acc;

	add_events(&sketch->nevents, n);
	add_token(sketch, spec, hash_token(value_hash(spec->type, value)));
}

static void
distinct_merge(void *acc, const FamilySpec *spec, const char *partial, Size size)
{
	DistinctSketch *sketch = acc;
	Reader		reader = reader_over(partial, size);

	add_events(&sketch->nevents, read_varint(&reader));
	if (reader.end - reader.at == registers_size(spec))
	{
		if (!sketch->registers)
			make_registers(sketch, spec);
		for (uint32 i = 0; i < register_count(spec); i += 2, reader.at += REGISTER_PAIR_SIZE)
		{
			uint64		pair = load_little_endian(reader.at, REGISTER_PAIR_SIZE);
			uint32	   *registers = &sketch->registers[i];

			registers[0] = merge_registers(registers[0],
										   pair & (((uint32) 1 << REGISTER_BITS) - 1));
			registers[1] = merge_registers(registers[1], pair >> REGISTER_BITS);
		}
	}
	else
		for (; reader.at < reader.end; reader.at += TOKEN_SIZE)
			add_token(sketch, spec, load_little_endian(reader.at, TOKEN_SIZE));
}

/* Other events may have had the same value. */
static bool
distinct_subtract(void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	return false;
}

static uint64
distinct_count(const void *acc, const FamilySpec *spec)
{
	return ((const DistinctSketch *) acc)->nevents;
}

static int
token_order(const void *a, const void *b)
{
	uint32		left = *(const uint32 *) a;
	uint32		right = *(const uint32 *) b;

	return (left > right) - (left < right);
}

static void
write_tokens(const DistinctSketch *sketch, Writer *writer)
{
	uint32	   *slots = token_slots(sketch);
	uint32	   *tokens = palloc(sketch->ntokens * sizeof(uint32));
	uint32		n = 0;
	char	   *at = write_space(writer, (Size) sketch->ntokens * TOKEN_SIZE);

	for (uint32 i = 0; i < sketch->nslots; i++)
		if (slots[i] != EMPTY_SLOT)
			tokens[n++] = slots[i];
	qsort(tokens, n, sizeof(uint32), token_order);
	for (uint32 i = 0; i < n; i++, at += TOKEN_SIZE)
		store_little_endian(at, TOKEN_SIZE, tokens[i]);
	pfree(tokens);
}

static void
distinct_write(const void *acc, const FamilySpec *spec, Writer *writer)
{
	const DistinctSketch *sketch = acc;
	char	   *at;

	write_varint(writer, sketch->nevents);
	if (!sketch->registers)
	{
		write_tokens(sketch, writer);
		return;
	}
	at = write_space(writer, registers_size(spec));
	for (uint32 i = 0; i < register_count(spec); i += 2, at += REGISTER_PAIR_SIZE)
		store_little_endian(at, REGISTER_PAIR_SIZE,
							sketch->registers[i] |
							(uint64) sketch->registers[i + 1] << REGISTER_BITS);
}

/* Is this a register that hashes can have made?  0 is. */
static bool
register_is_valid(uint32 value, uint32 precision)
{
	uint32		level = value >> HISTORY;

	if (level == 0)
		return value == 0;
	if (level > max_level(precision))
		return false;
	/* level 0 is seen, and what would be below is not */
	return level > HISTORY ||
		(value & (((uint32) 1 << (HISTORY - level + 1)) - 1)) ==
		(uint32) 1 << (HISTORY - level);
}

static bool
registers_are_valid(const char *data, const FamilySpec *spec)
{
	uint64		any = 0;

	for (uint32 i = 0; i < register_count(spec); i += 2, data += REGISTER_PAIR_SIZE)
	{
		uint64		pair = load_little_endian(data, REGISTER_PAIR_SIZE);

		if (!register_is_valid(pair & (((uint32) 1 << REGISTER_BITS) - 1), spec->param) ||
			!register_is_valid(pair >> REGISTER_BITS, spec->param))
			return false;
		any |= pair;
	}
	return any != 0;
}

static bool
tokens_are_valid(const char *data, uint32 n)
{
	int64		last = -1;

	for (uint32 i = 0; i < n; i++)
	{
		uint32		token = load_little_endian(data + i * TOKEN_SIZE, TOKEN_SIZE);

		if (token <= last || (token & ((1 << TOKEN_ZEROS_BITS) - 1)) > TOKEN_MAX_ZEROS)
			return false;
		last = token;
	}
	return true;
}

static uint64
distinct_check(const FamilySpec *spec, const char *partial, Size size)
{
	Reader		reader = reader_over(partial, size);
	uint64		nevents = read_varint(&reader);
	Size		rest = reader.end - reader.at;

	if (reader.failed || nevents > MAX_EVENTS)
		return 0;
	if (rest == registers_size(spec))
		return nevents > max_tokens(spec) && registers_are_valid(reader.at, spec) ? nevents : 0;
	if (rest == 0 || rest > registers_size(spec) || rest % TOKEN_SIZE != 0)
		return 0;
	return nevents >= rest / TOKEN_SIZE && tokens_are_valid(reader.at, rest / TOKEN_SIZE) ?
		nevents : 0;
}

/* Adds what a register tells. */
static void
add_likelihood(Likelihood *likelihood, uint32 precision, uint32 value)
{
	uint32		level = value >> HISTORY;
	int			unit = 64 - precision;
	int			rarity;
	uint32		halving;

	if (level == 0)
	{
		likelihood->not_seen += UINT64CONST(1) << unit;
		return;
	}

	/* none above it: the rest of its halving, and all further ones */
	rarity = level_rarity(precision, level);
	halving = (level - 1) / LEVELS_PER_HALVING;
	likelihood->not_seen += (uint64) (LEVELS_PER_HALVING - 1 - (level - 1) % LEVELS_PER_HALVING)
		<< (unit - rarity);
	if (halving < unit - LEVEL_BITS)
		likelihood->not_seen += UINT64CONST(1) << (unit - halving - 1);

	likelihood->seen[rarity]++;
	for (uint32 bit = (uint32) 1 << (HISTORY - 1); bit > 0 && --level > 0; bit >>= 1)
	{
		rarity = level_rarity(precision, level);
		if (value & bit)
			likelihood->seen[rarity]++;
		else
			likelihood->not_seen += UINT64CONST(1) << (unit - rarity);
	}
}

/*
 * exp(x) - 1: a short series for a small argument, which is then doubled.  No
 * sum here or below has a product as its last step, which some compilers would
 * fuse with the addition and so round differently.
 */
static double
exp_minus_1(double x)
{
	int			ndoublings = 0;
	double		series = 1;

	while (x > 1.0 / 16)
	{
		x /= 2;
		ndoublings++;
	}
	for (int term = 9; term > 1; term--)
		series = 1 + series * x / term;
	series *= x;
	while (ndoublings-- > 0)
		series *= 2 + series;
	return series;
}

/*
 * The mean at which the likelihood is greatest, where its derivative's
 * numerator, sum over j of seen[j] / 2^j / (exp(mean / 2^j) - 1) - not_seen,
 * is 0.  That falls and is convex, so Newton's method comes from the left
 * nearer with every step; it starts at a lower bound due to 1 / (exp(x) - 1) >
 * 1 / x - 1 / 2.
 */
static double
most_likely_mean(const Likelihood *likelihood, uint32 precision)
{
	double		not_seen = ldexp((double) likelihood->not_seen, -(int) (64 - precision));
	double		nseen = 0;
	double		weight = 0;
	int			lowest = 0;
	int			highest = 0;
	double		mean;

	for (int j = 64; j > 0; j--)
		if (likelihood->seen[j] > 0)
		{
			highest = Max(highest, j);
			lowest = j;
			nseen += likelihood->seen[j];
			weight += ldexp(likelihood->seen[j], -j);
		}

	mean = nseen / (not_seen + weight / 2);
	for (int step = 0; step < 64; step++)
	{
		double		power = exp_minus_1(ldexp(mean, -highest));
		double		excess = 0;
		double		slope = 0;
		double		change;

		for (int j = highest; j >= lowest; j--)
		{
			double		share = ldexp(likelihood->seen[j], -j);

			excess += share / power;
			slope += ldexp(share, -j) * (1 + 1 / power) / power;
			power *= 2 + power;
		}
		change = (excess - not_seen) / slope;
		if (!(change > mean * 1e-12))
			break;
		mean += change;
	}
	return mean;
}

static int64
estimate(const DistinctSketch *sketch, const FamilySpec *spec)
{
	Likelihood	likelihood = {0};
	double		n = register_count(spec);

	for (uint32 i = 0; i < register_count(spec); i++)
		add_likelihood(&likelihood, spec->param, sketch->registers[i]);
	if (likelihood.not_seen == 0)
		return sketch->nevents;
	n *= most_likely_mean(&likelihood, spec->param) / (1 + BIAS / n);
	n = floor(n + 0.5);

	/* there are more values than fit as tokens, and no more than events */
	if (n <= max_tokens(spec))
		return max_tokens(spec) + 1;
	return n < sketch->nevents ? (int64) n : sketch->nevents;
}

static Datum
distinct_value(const void *acc, const FamilySpec *spec, const FunctionCall *call,
			   bool *isnull, uint8 *flags)
{
	const DistinctSketch *sketch = acc;

	*isnull = false;
	*flags = 0;
	if (sketch->nevents == 0)
		*flags = VALUE_EMPTY;
	else if (sketch->registers || sketch->ntokens > MAX_EXACT_TOKENS)
		*flags = VALUE_APPROXIMATE;
	return Int64GetDatum(sketch->registers ? estimate(sketch, spec) : sketch->ntokens);
}

static const FamilyFunction distinct_functions[] = {
	{
		.name = "approx_count_distinct",
		.param = PARAM_ERROR,
		.is_count = true,
		.bound = "standard error at most relative_error"
	}
};

const Family family_distinct_sketch = {
	.code = 10,
	.name = "distinct_sketch",
	.functions = distinct_functions,
	.nfunctions = lengthof(distinct_functions),
	.verbatim = 8,
	.result_type = distinct_result_type,
	.size = distinct_size,
	.init = distinct_init,
	.add = distinct_add,
	.merge = distinct_merge,
	.subtract = distinct_subtract,
	.count = distinct_count,
	.write = distinct_write,
	.check = distinct_check,
	.value = distinct_value
};
