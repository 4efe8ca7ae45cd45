/*
 * value.h
 *	  Input values of window functions, and their images.
 *
 * An image is the bytes by which a state keeps a value: the same on every
 * machine (little-endian, no OIDs), and enough to give the value back bit for
 * bit.  Images of fixed-length types have that many bytes; others are as long
 * as they are, and whoever stores one stores its length too.
 *
 *		bool 1 byte (0, 1); int2 2; int4, date 4; int8, timestamp, timestamptz 8;
 *		float4 4, float8 8 (IEEE, as they are: NaNs and zeros keep their sign);
 *		uuid 16; interval 16 (time int64, day int32, month int32);
 *		numeric: the bytes of its packed form after the length word, its 16-bit
 *		words little-endian; text, varchar, bpchar, bytea: their bytes
 */
#ifndef FEATURESTORE_VALUE_H
#define FEATURESTORE_VALUE_H

#include "fmgr.h"

#include "window/bytes.h"

/* Codes as stored; a number is never given another meaning. */
typedef enum ValueCode
{
	VALUE_NONE = 0,				/* rows are counted, whatever is in them */
	VALUE_BOOL = 1,
	VALUE_INT2 = 2,
	VALUE_INT4 = 3,
	VALUE_INT8 = 4,
	VALUE_FLOAT4 = 5,
	VALUE_FLOAT8 = 6,
	VALUE_NUMERIC = 7,
	VALUE_TEXT = 8,
	VALUE_VARCHAR = 9,
	VALUE_BPCHAR = 10,
	VALUE_BYTEA = 11,
	VALUE_UUID = 12,
	VALUE_DATE = 13,
	VALUE_TIMESTAMP = 14,
	VALUE_TIMESTAMPTZ = 15,
	VALUE_INTERVAL = 16
} ValueCode;

#define VALUE_MAX_CODE 16
#define VALUE_MAX_FIXED 16		/* bytes of the longest fixed-length image */

typedef struct ValueType
{
	ValueCode	code;
	Oid			oid;			/* InvalidOid for VALUE_NONE */
	const char *name;			/* as in SQL: "float8" */
	int			size;			/* bytes of an image; -1: they differ */
	bool		is_integer;		/* int2, int4, int8 */
	bool		is_float;		/* float4, float8 */
	bool		is_number;		/* these, and numeric */
	bool		is_collatable;
} ValueType;

typedef struct Image
{
	const char *data;
	uint32		size;
} Image;

/* The type with a code or OID (that of a domain's base type); NULL: none. */
extern const ValueType *value_type_by_code(int code);
extern const ValueType *value_type_by_oid(Oid type);

/*
 * Image of a value.  Fixed-length images are written to buffer (at least
 * VALUE_MAX_FIXED bytes); others point into the detoasted value, or memory
 * palloc'd for it.
 */
extern Image value_image(const ValueType *type, Datum value, char *buffer);

/* The value of a valid image; by-reference values are palloc'd. */
extern Datum value_datum(const ValueType *type, Image image);

/*
 * Order of the type's default btree operator class, under collation if it is
 * collatable; 0 for values that compare equal though their images differ.
 */
extern int	value_order(const ValueType *type, Oid collation, Image a, Image b);

/* Order of the bytes of images, a shorter one first where one is a prefix. */
extern int	image_order(Image a, Image b);

/* value_order, then image_order: a total order. */
extern int	value_total_order(const ValueType *type, Oid collation, Image a, Image b);

/*
 * Hash of 64 bits, the same on every machine and for values that compare equal
 * (collatable types: under a deterministic collation).
 */
extern uint64 value_hash(const ValueType *type, Image image);

/* As stored: the length, where a type's images differ in it (varint); the bytes. */
static inline void
write_image(const ValueType *type, Writer *writer, Image image)
{
	if (type->size < 0)
		write_varint(writer, image.size);
	if (image.size > 0)
		write_bytes(writer, image.data, image.size);
}

static inline Image
read_image(const ValueType *type, Reader *reader)
{
	uint64		size = type->size < 0 ? read_varint(reader) : (uint64) type->size;
	const char *bytes = size <= MaxAllocSize ? read_bytes(reader, size) : NULL;

	if (unlikely(bytes == NULL))
	{
		reader->failed = true;
		return (Image) {"", 0};
	}
	return (Image) {bytes, (uint32) size};
}

/* Is this an image of the type?  For binary input: data has size readable bytes. */
extern bool value_is_valid(const ValueType *type, Image image);

/* An integer or float as float8; numeric rounds to the nearest. */
extern double value_float8_of(const ValueType *type, Image image);

static inline double
value_float8(const ValueType *type, Image image)
{
	return likely(type->code == VALUE_FLOAT8) ? load_float8(image.data) : value_float8_of(type, image);
}

/* An integer's value. */
extern int64 value_int64(const ValueType *type, Image image);

#endif							/* FEATURESTORE_VALUE_H */
