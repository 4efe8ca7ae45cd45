/*
 * bytes.h
 *	  Reading and writing the bytes of states: little-endian, unaligned.
 *
 * A Reader never reads beyond its end: what is not there reads as 0 and marks
 * the reader as failed, so that hostile input is checked once, at the end.  A
 * Writer writes into memory that grows in the current memory context.
 */
#ifndef FEATURESTORE_BYTES_H
#define FEATURESTORE_BYTES_H

#include "fmgr.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"

typedef struct Reader
{
	const char *at;
	const char *end;
	bool		failed;
} Reader;

typedef struct Writer
{
	char	   *data;
	Size		size;			/* bytes written */
	Size		capacity;
} Writer;

static inline Reader
reader_over(const char *data, Size size)
{
	return (Reader) {.at = data,.end = data + size};
}

/* The next bytes, or NULL if there are fewer. */
static inline const char *
read_bytes(Reader *reader, Size size)
{
	const char *result = reader->at;

	if (unlikely((Size) (reader->end - reader->at) < size))
	{
		reader->failed = true;
		reader->at = reader->end;
		return NULL;
	}
	reader->at += size;
	return result;
}

static inline uint8
read_byte(Reader *reader)
{
	const char *byte = read_bytes(reader, 1);

	return byte ? (uint8) *byte : 0;
}

static inline uint64
load_uint64(const char *bytes)
{
	uint64		value;

	memcpy(&value, bytes, sizeof(value));
#ifdef WORDS_BIGENDIAN
	value = pg_bswap64(value);
#endif
	return value;
}

/* Numbers of 1 to 8 bytes. */
static inline uint64
load_unsigned(const char *bytes, int size)
{
	uint64		value = 0;

	if (size == 8)
		return load_uint64(bytes);
	for (int i = 0; i < size; i++)
		value |= (uint64) (uint8) bytes[i] << (8 * i);
	return value;
}

static inline int64
load_signed(const char *bytes, int size)
{
	int			unused_bits = 64 - 8 * size;

	return (int64) (load_unsigned(bytes, size) << unused_bits) >> unused_bits;
}

static inline float4
load_float4(const char *bytes)
{
	return DatumGetFloat4(Int32GetDatum((int32) load_signed(bytes, 4)));
}

static inline float8
load_float8(const char *bytes)
{
	uint64		bits = load_uint64(bytes);
	float8		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline void
store_uint64(char *bytes, uint64 value)
{
#ifdef WORDS_BIGENDIAN
	value = pg_bswap64(value);
#endif
	memcpy(bytes, &value, sizeof(value));
}

static inline uint64
read_uint64(Reader *reader)
{
	const char *bytes = read_bytes(reader, sizeof(uint64));

	return bytes ? load_uint64(bytes) : 0;
}

/* Reads the rest of a number of more than 7 bits. */
extern uint64 read_varint_slow(Reader *reader);

/*
 * A number in groups of 7 bits, least first; only the shortest form is valid,
 * so that a number has one.
 */
static inline uint64
read_varint(Reader *reader)
{
	if (likely(reader->at < reader->end && !(*reader->at & 0x80)))
		return (uint8) *reader->at++;
	return read_varint_slow(reader);
}

/* Small numbers of either sign: 0, -1, 1, -2, ... */
static inline uint64
zigzag(int64 value)
{
	return ((uint64) value << 1) ^ (uint64) (value >> 63);
}

static inline int64
unzigzag(uint64 value)
{
	return (int64) (value >> 1) ^ -(int64) (value & 1);
}

#define VARINT_MAX_SIZE 10

extern void writer_init(Writer *writer, Size capacity);

/* Makes the writer's memory larger, for at least size bytes more. */
extern void writer_grow(Writer *writer, Size size);

/* Room for size bytes, to be filled in by the caller. */
static inline char *
write_space(Writer *writer, Size size)
{
	char	   *result;

	if (unlikely(writer->capacity - writer->size < size))
		writer_grow(writer, size);
	result = writer->data + writer->size;
	writer->size += size;
	return result;
}

static inline void
write_bytes(Writer *writer, const char *data, Size size)
{
	memcpy(write_space(writer, size), data, size);
}

static inline void
write_byte(Writer *writer, uint8 byte)
{
	*write_space(writer, 1) = (char) byte;
}

static inline void
write_uint64(Writer *writer, uint64 value)
{
	store_uint64(write_space(writer, sizeof(value)), value);
}

static inline void
write_varint(Writer *writer, uint64 value)
{
	char	   *at = write_space(writer, VARINT_MAX_SIZE);
	char	   *start = at;

	while (value >= 0x80)
	{
		*at++ = (char) (value | 0x80);
		value >>= 7;
	}
	*at++ = (char) value;
	writer->size -= VARINT_MAX_SIZE - (at - start);
}

#endif							/* FEATURESTORE_BYTES_H */
