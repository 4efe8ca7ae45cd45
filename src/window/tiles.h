/*
 * tiles.h
 *	  Reading the tiles of a state.
 *
 * Inline, since it is a good part of what an evaluation costs.  What it reads
 * is within the bytes of the state whatever these are.
 */
#ifndef FEATURESTORE_TILES_H
#define FEATURESTORE_TILES_H

#include "common/int.h"

#include "window/state.h"

/* One tile, as read. */
typedef struct Tile
{
	int64		start;			/* PG_INT64_MIN: expired */
	int			level;
	uint32		nverbatim;		/* 0: data is a partial */
	const char *data;
	Size		size;
} Tile;

/* Walks over the tiles of a state from the oldest to the newest. */
typedef struct TileReader
{
	const StateSpec *spec;
	Reader		reader;
	int			level;
	uint64		left;			/* tiles of this level that were not read yet */
	bool		is_first;		/* of its level */
	int64		width;			/* of this level's tiles */
	int64		start;			/* of the tile read last */
} TileReader;

/* Starts to walk over tiles. */
static inline void
begin_tiles(TileReader *tiles, const StateSpec *spec, const char *data, Size size)
{
	tiles->spec = spec;
	tiles->reader = reader_over(data, size);
	tiles->level = spec->nlevels + 1;
	tiles->left = 0;
	if (spec->keeps_expired && size > 0)
	{
		uint8		has_expired = read_byte(&tiles->reader);

		tiles->left = has_expired;
		tiles->reader.failed |= has_expired > 1;
	}
}

/* start = from + count * width; false where that is no time. */
static inline bool
tile_start(int64 from, int64 count, int64 width, int64 *start)
{
	if (unlikely(pg_mul_s64_overflow(count, width, start) ||
				 pg_add_s64_overflow(*start, from, start)))
	{
		/* Between the first and the last days there are more microseconds than an int64 can count */
		__int128	at = (__int128) count * width + from;

		*start = (int64) at;
		if (*start != at)
			return false;
	}
	return *start != PG_INT64_MIN;
}

/* Finds where the first tile of a level starts, from its index. */
static inline bool
first_start(TileReader *tiles)
{
	int64		index = unzigzag(read_varint(&tiles->reader));
	const StateLevel *level;

	tiles->is_first = false;
	tiles->width = 1;
	if (tiles->level == 0)
		return tile_start(0, index, 1, &tiles->start);
	level = &tiles->spec->levels[tiles->level - 1];
	tiles->width = level->width;
	return tile_start(level->offset - UNIX_EPOCH_USECS, index, level->width, &tiles->start);
}

/* Finds where the next tile starts. */
static inline bool
next_start(TileReader *tiles, Tile *tile)
{
	tile->level = tiles->level;
	if (unlikely(tiles->level > tiles->spec->nlevels))
	{
		tile->level = LEVEL_EXPIRED;
		tile->start = PG_INT64_MIN;
		return true;
	}
	if (tiles->is_first)
	{
		if (!first_start(tiles))
			return false;
	}
	else
	{
		uint64		distance = read_varint(&tiles->reader);

		if (distance == 0 || distance > PG_INT64_MAX ||
			!tile_start(tiles->start, (int64) distance, tiles->width, &tiles->start))
			return false;
	}
	tile->start = tiles->start;
	return true;
}

/* Skips the images of a verbatim tile. */
static inline void
skip_images(const ValueType *type, Reader *reader, uint32 n)
{
	if (type->size >= 0)
		read_bytes(reader, (Size) n * type->size);
	else
	{
		for (uint32 i = 0; i < n; i++)
			read_bytes(reader, read_varint(reader));
	}
}

/* Reads the next tile; false at the end, or if they are damaged. */
static inline bool
next_tile(TileReader *tiles, Tile *tile)
{
	Reader	   *reader = &tiles->reader;
	uint64		n;

	while (tiles->left == 0)
	{
		if (tiles->level == 0 || reader->at == reader->end)
			return false;
		tiles->level--;
		tiles->left = read_varint(reader);
		tiles->is_first = true;
	}
	tiles->left--;
	n = next_start(tiles, tile) ? read_varint(reader) : PG_UINT64_MAX;
	if (reader->failed || n > tiles->spec->verbatim)
	{
		reader->failed = true;
		return false;
	}

	tile->nverbatim = (uint32) n;
	if (n == 0)
	{
		tile->size = read_varint(reader);
		tile->data = read_bytes(reader, tile->size);
	}
	else
	{
		tile->data = reader->at;
		skip_images(tiles->spec->family.type, reader, tile->nverbatim);
		tile->size = reader->at - tile->data;
	}
	return !reader->failed;
}

#endif							/* FEATURESTORE_TILES_H */
