/*
 * value.c
 *	  Input values of window functions, and their images.
 *
 * All that depends on an input type is here: how a value becomes an image and
 * is made of it again, the order of values, hashes, and which bytes are images
 * at all.  Images are compared, hashed and checked as they lie, without making
 * values of them.
 *
 * The packed form of numeric is private to the server, but is what its tables
 * hold, so it cannot change.  All that is known of it is in this file.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/varlena.h"

#include "window/bytes.h"
#include "window/value.h"
#include "compat.h"

/* By code. */
static const ValueType types[VALUE_MAX_CODE + 1] = {
	{VALUE_NONE, InvalidOid, "none", 0},
	{VALUE_BOOL, BOOLOID, "bool", 1},
	{VALUE_INT2, INT2OID, "int2", 2,.is_integer = true,.is_number = true},
	{VALUE_INT4, INT4OID, "int4", 4,.is_integer = true,.is_number = true},
	{VALUE_INT8, INT8OID, "int8", 8,.is_integer = true,.is_number = true},
	{VALUE_FLOAT4, FLOAT4OID, "float4", 4,.is_float = true,.is_number = true},
	{VALUE_FLOAT8, FLOAT8OID, "float8", 8,.is_float = true,.is_number = true},
	{VALUE_NUMERIC, NUMERICOID, "numeric", -1,.is_number = true},
	{VALUE_TEXT, TEXTOID, "text", -1,.is_collatable = true},
	{VALUE_VARCHAR, VARCHAROID, "varchar", -1,.is_collatable = true},
	{VALUE_BPCHAR, BPCHAROID, "bpchar", -1,.is_collatable = true},
	{VALUE_BYTEA, BYTEAOID, "bytea", -1},
	{VALUE_UUID, UUIDOID, "uuid", UUID_LEN},
	{VALUE_DATE, DATEOID, "date", 4},
	{VALUE_TIMESTAMP, TIMESTAMPOID, "timestamp", 8},
	{VALUE_TIMESTAMPTZ, TIMESTAMPTZOID, "timestamptz", 8},
	{VALUE_INTERVAL, INTERVALOID, "interval", 16}
};

const ValueType *
value_type_by_code(int code)
{
	return code >= 0 && code <= VALUE_MAX_CODE ? &types[code] : NULL;
}

const ValueType *
value_type_by_oid(Oid type)
{
	Oid			base = type;

	for (;;)
	{
		for (int code = 0; code <= VALUE_MAX_CODE; code++)
		{
			if (types[code].oid == base)
				return &types[code];
		}
		/* A regtype may be of no type, which getBaseType would not forgive */
		if (base != type || !SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(type)))
			return NULL;
		base = getBaseType(type);
		if (base == type)
			return NULL;
	}
}

/* Little-endian numbers of 1, 2, 4 or 8 bytes. */
static inline void
store_number(char *bytes, uint64 value, int size)
{
	if (size == 8)
		store_uint64(bytes, value);
	else
	{
		for (int i = 0; i < size; i++)
			bytes[i] = (char) (value >> (8 * i));
	}
}

/*
 * An image of a numeric is made of 16-bit words.  The first is a header, whose
 * two highest bits tell the form:
 *
 *		00, 01	long: the sign (1 is negative), then 14 bits of scale, the number
 *				of decimals displayed; the second word is the weight
 *		10		short: 1 bit of sign, 6 of scale, 7 of weight, which is signed
 *		11		nothing but the header: NaN or an infinity
 *
 * All further words are digits in base 10,000, the highest first, which stands
 * for digit * 10000^weight.  In canonical form neither the first nor the last
 * digit is 0, zero has no digits and is positive, of weight 0, no digit lies
 * beyond the scale, and the form is short where that can be.
 */
#define NUMERIC_FORM_MASK	0xC000
#define NUMERIC_LONG_NEGATIVE	0x4000
#define NUMERIC_LONG_SCALE_MASK	0x3FFF
#define NUMERIC_SHORT	0x8000
#define NUMERIC_SHORT_NEGATIVE	0x2000
#define NUMERIC_SHORT_SCALE(header)	(((header) & 0x1FFF) >> 7)
#define NUMERIC_SHORT_MAX_SCALE	63
#define NUMERIC_SHORT_WEIGHT(header)	((int) ((header) & 0x7F) - (((header) & 0x40) << 1))
#define NUMERIC_SHORT_MIN_WEIGHT	(-64)
#define NUMERIC_SHORT_MAX_WEIGHT	63
#define NUMERIC_NAN	0xC000
#define NUMERIC_INFINITY	0xD000
#define NUMERIC_MINUS_INFINITY	0xF000
#define NUMERIC_BASE	10000
#define NUMERIC_BASE_DECIMALS	4

/* Classes of numerics, in their order. */
typedef enum NumericClass
{
	CLASS_MINUS_INFINITY = -2,
	CLASS_NEGATIVE = -1,
	CLASS_ZERO = 0,
	CLASS_POSITIVE = 1,
	CLASS_INFINITY = 2,
	CLASS_NAN = 3
} NumericClass;

typedef struct NumericParts
{
	NumericClass class;
	int			scale;
	int			weight;
	const char *digits;			/* words, unaligned */
	int			ndigits;
} NumericParts;

static inline uint16
load_word(const char *bytes)
{
	return (uint16) load_unsigned(bytes, sizeof(uint16));
}

/* Takes an image apart; false if it has none of the three forms. */
static bool
numeric_parts(Image image, NumericParts *parts)
{
	uint16		header;
	bool		negative;
	int			header_size = sizeof(uint16);

	if (image.size < sizeof(uint16) || image.size % sizeof(uint16) != 0)
		return false;
	header = load_word(image.data);
	memset(parts, 0, sizeof(*parts));
	if ((header & NUMERIC_FORM_MASK) == NUMERIC_NAN)
	{
		parts->class = header == NUMERIC_INFINITY ? CLASS_INFINITY :
			header == NUMERIC_MINUS_INFINITY ? CLASS_MINUS_INFINITY : CLASS_NAN;
		return image.size == sizeof(uint16) &&
			(parts->class != CLASS_NAN || header == NUMERIC_NAN);
	}
	if (header & NUMERIC_SHORT)
	{
		negative = (header & NUMERIC_SHORT_NEGATIVE) != 0;
		parts->scale = NUMERIC_SHORT_SCALE(header);
		parts->weight = NUMERIC_SHORT_WEIGHT(header);
	}
	else
	{
		header_size += sizeof(uint16);
		if (image.size < header_size)
			return false;
		negative = (header & NUMERIC_LONG_NEGATIVE) != 0;
		parts->scale = header & NUMERIC_LONG_SCALE_MASK;
		parts->weight = (int16) load_word(image.data + sizeof(uint16));
	}
	parts->digits = image.data + header_size;
	parts->ndigits = (image.size - header_size) / sizeof(uint16);
	parts->class = negative ? CLASS_NEGATIVE :
		parts->ndigits > 0 ? CLASS_POSITIVE : CLASS_ZERO;
	return true;
}

/* Are these digits as they are in canonical form? */
static bool
numeric_digits_are_canonical(const NumericParts *parts)
{
	int64		decimals = ((int64) parts->ndigits - 1 - parts->weight) * NUMERIC_BASE_DECIMALS;
	int			digit = 0;

	for (int i = 0; i < parts->ndigits; i++)
	{
		digit = load_word(parts->digits + i * sizeof(uint16));
		if (digit >= NUMERIC_BASE || (i == 0 && digit == 0))
			return false;
	}
	if (digit == 0)
		return false;
	/* Trailing zeros of the last digit need not be displayed */
	for (; digit % 10 == 0; digit /= 10)
		decimals--;
	return decimals <= parts->scale;
}

/* Is this the one form in which the server makes a numeric of this value and scale? */
static bool
numeric_is_canonical(Image image)
{
	NumericParts parts;
	bool		can_be_short;

	if (!numeric_parts(image, &parts))
		return false;
	if (parts.digits == NULL)
		return true;
	can_be_short = parts.scale <= NUMERIC_SHORT_MAX_SCALE &&
		parts.weight >= NUMERIC_SHORT_MIN_WEIGHT &&
		parts.weight <= NUMERIC_SHORT_MAX_WEIGHT;
	if (can_be_short != ((load_word(image.data) & NUMERIC_SHORT) != 0))
		return false;
	if (parts.ndigits == 0)
		return parts.class == CLASS_ZERO && parts.weight == 0;
	return numeric_digits_are_canonical(&parts);
}

/* The packed form of a numeric with its words little-endian, and back. */
static const char *
numeric_swapped(const char *data, uint32 size)
{
#ifdef WORDS_BIGENDIAN
	char	   *swapped = palloc(size);

	for (uint32 i = 0; i + 1 < size; i += 2)
	{
		swapped[i] = data[i + 1];
		swapped[i + 1] = data[i];
	}
	return swapped;
#else
	return data;
#endif
}

static Image
varlena_image(Datum value)
{
	struct varlena *varlena = PG_DETOAST_DATUM_PACKED(value);

	return (Image) {VARDATA_ANY(varlena), VARSIZE_ANY_EXHDR(varlena)};
}

/*
 * Tables that came through pg_upgrade from before 9.1 hold numerics in long
 * form only; such a value is made anew, so that it has the image of its equals.
 */
static Image
numeric_image(Datum value)
{
	Image		image = varlena_image(value);

	image.data = numeric_swapped(image.data, image.size);
	if (unlikely(!numeric_is_canonical(image)))
	{
		Datum		text = DirectFunctionCall1(numeric_out, value);

		image = varlena_image(DirectFunctionCall3(numeric_in, text,
												  ObjectIdGetDatum(InvalidOid),
												  Int32GetDatum(-1)));
		image.data = numeric_swapped(image.data, image.size);
	}
	return image;
}

static void
store_interval(char *buffer, const Interval *interval)
{
	store_number(buffer, interval->time, 8);
	store_number(buffer + 8, interval->day, 4);
	store_number(buffer + 12, interval->month, 4);
}

Image
value_image(const ValueType *type, Datum value, char *buffer)
{
	switch (type->code)
	{
		case VALUE_NONE:
			break;
		case VALUE_BOOL:
			buffer[0] = DatumGetBool(value) ? 1 : 0;
			break;
		case VALUE_INT2:
			store_number(buffer, DatumGetInt16(value), 2);
			break;
		case VALUE_INT4:
		case VALUE_DATE:
		case VALUE_FLOAT4:
			/* Never as a float: some machines change NaNs when they load them */
			store_number(buffer, DatumGetInt32(value), 4);
			break;
		case VALUE_INT8:
		case VALUE_TIMESTAMP:
		case VALUE_TIMESTAMPTZ:
		case VALUE_FLOAT8:
			store_number(buffer, DatumGetInt64(value), 8);
			break;
		case VALUE_NUMERIC:
			return numeric_image(value);
		case VALUE_TEXT:
		case VALUE_VARCHAR:
		case VALUE_BPCHAR:
		case VALUE_BYTEA:
			return varlena_image(value);
		case VALUE_UUID:
			memcpy(buffer, DatumGetUUIDP(value)->data, UUID_LEN);
			break;
		case VALUE_INTERVAL:
			store_interval(buffer, DatumGetIntervalP(value));
			break;
	}
	return (Image) {buffer, type->size};
}

static Datum
varlena_datum(const char *data, uint32 size)
{
	struct varlena *result = palloc(VARHDRSZ + (Size) size);

	SET_VARSIZE(result, VARHDRSZ + (Size) size);
	memcpy(VARDATA(result), data, size);
	return PointerGetDatum(result);
}

static void
load_interval(Interval *interval, Image image)
{
	interval->time = load_signed(image.data, 8);
	interval->day = (int32) load_signed(image.data + 8, 4);
	interval->month = (int32) load_signed(image.data + 12, 4);
}

Datum
value_datum(const ValueType *type, Image image)
{
	switch (type->code)
	{
		case VALUE_NONE:
			break;
		case VALUE_BOOL:
			return BoolGetDatum(image.data[0] != 0);
		case VALUE_INT2:
			return Int16GetDatum((int16) load_signed(image.data, 2));
		case VALUE_INT4:
		case VALUE_DATE:
		case VALUE_FLOAT4:
			return Int32GetDatum((int32) load_signed(image.data, 4));
		case VALUE_INT8:
		case VALUE_TIMESTAMP:
		case VALUE_TIMESTAMPTZ:
		case VALUE_FLOAT8:
			return Int64GetDatum(load_signed(image.data, 8));
		case VALUE_NUMERIC:
			return varlena_datum(numeric_swapped(image.data, image.size), image.size);
		case VALUE_TEXT:
		case VALUE_VARCHAR:
		case VALUE_BPCHAR:
		case VALUE_BYTEA:
			return varlena_datum(image.data, image.size);
		case VALUE_UUID:
			return PointerGetDatum(memcpy(palloc(UUID_LEN), image.data, UUID_LEN));
		case VALUE_INTERVAL:
			{
				Interval   *interval = palloc(sizeof(Interval));

				load_interval(interval, image);
				return IntervalPGetDatum(interval);
			}
	}
	return (Datum) 0;
}

static inline int
order_int64(int64 a, int64 b)
{
	return (a > b) - (a < b);
}

/* NaNs are equal, and greater than all else. */
static inline int
order_float8(float8 a, float8 b)
{
	if (unlikely(isnan(a) || isnan(b)))
		return (isnan(a) != 0) - (isnan(b) != 0);
	return (a > b) - (a < b);
}

static int
order_numerics(Image a, Image b)
{
	NumericParts x;
	NumericParts y;
	int			order;

	numeric_parts(a, &x);
	numeric_parts(b, &y);
	if (x.class != y.class)
		return x.class < y.class ? -1 : 1;
	if (x.ndigits == 0)
		return 0;
	order = x.weight - y.weight;
	for (int i = 0; order == 0 && i < Min(x.ndigits, y.ndigits); i++)
		order = load_word(x.digits + i * sizeof(uint16)) - load_word(y.digits + i * sizeof(uint16));
	if (order == 0)
		order = x.ndigits - y.ndigits;
	return x.class == CLASS_NEGATIVE ? -order : order;
}

/*
 * Length of an interval as its order sees it, a month being 30 days: whole
 * days, and the microseconds left, which are fewer than a day has.
 */
static void
interval_span(Image image, int64 *days, int64 *microseconds)
{
	Interval	interval;

	load_interval(&interval, image);
	*days = (int64) interval.month * DAYS_PER_MONTH + interval.day + interval.time / USECS_PER_DAY;
	*microseconds = interval.time % USECS_PER_DAY;
	if (*microseconds < 0)
	{
		*microseconds += USECS_PER_DAY;
		(*days)--;
	}
}

static int
order_intervals(Image a, Image b)
{
	int64		days_a;
	int64		days_b;
	int64		microseconds_a;
	int64		microseconds_b;

	interval_span(a, &days_a, &microseconds_a);
	interval_span(b, &days_b, &microseconds_b);
	return days_a != days_b ? order_int64(days_a, days_b) :
		order_int64(microseconds_a, microseconds_b);
}

/* A value of type bpchar without its trailing blanks, which mean nothing. */
static Image
without_blanks(Image image)
{
	while (image.size > 0 && image.data[image.size - 1] == ' ')
		image.size--;
	return image;
}

int
value_order(const ValueType *type, Oid collation, Image a, Image b)
{
	switch (type->code)
	{
		case VALUE_NONE:
			break;
		case VALUE_BOOL:
		case VALUE_INT2:
		case VALUE_INT4:
		case VALUE_INT8:
		case VALUE_DATE:
		case VALUE_TIMESTAMP:
		case VALUE_TIMESTAMPTZ:
			return order_int64(load_signed(a.data, type->size), load_signed(b.data, type->size));
		case VALUE_FLOAT4:
			return order_float8(load_float4(a.data), load_float4(b.data));
		case VALUE_FLOAT8:
			return order_float8(load_float8(a.data), load_float8(b.data));
		case VALUE_NUMERIC:
			return order_numerics(a, b);
		case VALUE_BPCHAR:
			a = without_blanks(a);
			b = without_blanks(b);
			/* FALLTHROUGH */
		case VALUE_TEXT:
		case VALUE_VARCHAR:
			return varstr_cmp(a.data, a.size, b.data, b.size, collation);
		case VALUE_BYTEA:
		case VALUE_UUID:
			return image_order(a, b);
		case VALUE_INTERVAL:
			return order_intervals(a, b);
	}
	return 0;
}

int
image_order(Image a, Image b)
{
	uint32		common = Min(a.size, b.size);
	int			order = common > 0 ? memcmp(a.data, b.data, common) : 0;

	return order != 0 ? order : order_int64(a.size, b.size);
}

int
value_total_order(const ValueType *type, Oid collation, Image a, Image b)
{
	int			order = value_order(type, collation, a, b);

	return order != 0 ? order : image_order(a, b);
}

/*
 * Every bit of a word changes every bit of the result with a probability of
 * nearly 1/2.  The factors are the first bits of the fractions of pi and e.
 */
static inline uint64
scramble(uint64 word)
{
	word = (word ^ (word >> 32)) * UINT64CONST(0x243F6A8885A308D3);
	word = (word ^ (word >> 29)) * UINT64CONST(0xB7E151628AED2A6B);
	word = (word ^ (word >> 32)) * UINT64CONST(0x243F6A8885A308D3);
	return word ^ (word >> 29);
}

static inline uint64
hash_words(uint64 state, uint64 word)
{
	/* The addition keeps a word of 0 from leaving a state of 0 as it is */
	return scramble((state ^ word) + UINT64CONST(0x9E3779B97F4A7C15));
}

/* Of bytes whose number is known, or is hashed besides. */
static inline uint64
hash_bytes(const char *data, uint32 size)
{
	uint64		state = 0;

	for (; size >= sizeof(uint64); size -= sizeof(uint64))
	{
		state = hash_words(state, load_uint64(data));
		data += sizeof(uint64);
	}
	return size > 0 ? hash_words(state, load_unsigned(data, size)) : state;
}

static uint64
hash_float(uint64 bits, float8 value)
{
	if (value == 0)
		bits = 0;
	else if (isnan(value))
		bits = UINT64CONST(0x7FF8000000000000);
	return hash_words(0, bits);
}

/* Of all but the scale, which is not part of a number's value. */
static uint64
hash_numeric_image(Image image)
{
	NumericParts parts;
	uint64		rest;

	numeric_parts(image, &parts);
	rest = (uint64) (parts.class - CLASS_MINUS_INFINITY) << 16 | (uint16) parts.weight;
	return hash_words(hash_bytes(parts.digits, parts.ndigits * sizeof(uint16)), rest);
}

static uint64
hash_interval(Image image)
{
	int64		days;
	int64		microseconds;

	interval_span(image, &days, &microseconds);
	return hash_words(hash_words(0, days), microseconds);
}

uint64
value_hash(const ValueType *type, Image image)
{
	switch (type->code)
	{
		case VALUE_FLOAT4:
			return hash_float(load_unsigned(image.data, 4), load_float4(image.data));
		case VALUE_FLOAT8:
			return hash_float(load_uint64(image.data), load_float8(image.data));
		case VALUE_NUMERIC:
			return hash_numeric_image(image);
		case VALUE_BPCHAR:
			image = without_blanks(image);
			break;
		case VALUE_INTERVAL:
			return hash_interval(image);
		default:
			break;
	}
	if (type->size >= 0)
		return hash_bytes(image.data, image.size);
	return hash_words(hash_bytes(image.data, image.size), image.size);
}

static bool
timestamp_is_valid(int64 timestamp)
{
	return TIMESTAMP_NOT_FINITE(timestamp) || IS_VALID_TIMESTAMP(timestamp);
}

static bool
date_is_valid(DateADT date)
{
	return DATE_NOT_FINITE(date) || IS_VALID_DATE(date);
}

bool
value_is_valid(const ValueType *type, Image image)
{
	if (type->size >= 0 ? image.size != type->size : image.size > MaxAllocSize - VARHDRSZ)
		return false;
	switch (type->code)
	{
		case VALUE_BOOL:
			return (uint8) image.data[0] <= 1;
		case VALUE_NUMERIC:
			return numeric_is_canonical(image);
		case VALUE_TEXT:
		case VALUE_VARCHAR:
		case VALUE_BPCHAR:
			return pg_verify_mbstr(GetDatabaseEncoding(), image.data, image.size, true);
		case VALUE_DATE:
			return date_is_valid((DateADT) load_signed(image.data, 4));
		case VALUE_TIMESTAMP:
		case VALUE_TIMESTAMPTZ:
			return timestamp_is_valid(load_signed(image.data, 8));
		default:
			return true;
	}
}

static double
numeric_float8_value(Image image)
{
	Datum		numeric = value_datum(&types[VALUE_NUMERIC], image);
	double		value = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, numeric));

	pfree(DatumGetPointer(numeric));
	return value;
}

double
value_float8_of(const ValueType *type, Image image)
{
	Assert(type->is_number);
	switch (type->code)
	{
		case VALUE_FLOAT4:
			return load_float4(image.data);
		case VALUE_FLOAT8:
			return load_float8(image.data);
		case VALUE_NUMERIC:
			return numeric_float8_value(image);
		default:
			return (double) value_int64(type, image);
	}
}

int64
value_int64(const ValueType *type, Image image)
{
	Assert(type->is_integer);
	return load_signed(image.data, type->size);
}
