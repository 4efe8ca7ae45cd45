/*
 * bytes.c
 *	  Reading and writing the bytes of states, where it is not inline.
 */
#include "postgres.h"

#include "window/bytes.h"

uint64
read_varint_slow(Reader *reader)
{
	uint64		value = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		uint8		byte = read_byte(reader);

		if (shift == 63 && byte > 1)
			break;
		value |= (uint64) (byte & 0x7f) << shift;
		if (!(byte & 0x80))
		{
			if (byte == 0 && shift > 0)
				break;
			return value;
		}
	}
	reader->failed = true;
	reader->at = reader->end;
	return 0;
}

void
writer_init(Writer *writer, Size capacity)
{
	writer->data = palloc(capacity);
	writer->size = 0;
	writer->capacity = capacity;
}

/* Raises 54000 beyond what a value can have. */
void
writer_grow(Writer *writer, Size size)
{
	Size		wanted = writer->size + size;

	if (wanted > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("window state is too large"),
				 errdetail("It would have more than %zu bytes.", (Size) MaxAllocSize)));
	writer->capacity = Min(Max(wanted, writer->capacity * 2), MaxAllocSize);
	writer->data = repalloc(writer->data, writer->capacity);
}
