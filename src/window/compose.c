/*
 * compose.c
 *	  Events and tiles of states -> the canonical state of them all.
 *
 * Everything is a piece: an event, or a tile of one of the states.  With the
 * watermark known each piece has a tile to go to; pieces of one tile become
 * one.  A piece that is alone in its tile, as most are when an event is added
 * to a state, is copied as it is.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "window/tiles.h"
#include "compat.h"

typedef enum PieceKind
{
	PIECE_IMAGES,				/* of a verbatim tile */
	PIECE_PARTIAL,
	PIECE_EVENT					/* one image */
} PieceKind;

typedef struct Piece
{
	int64		start;			/* of the tile it goes to */
	int64		at;				/* its own time, or start of its tile */
	int32		level;			/* of the tile it goes to */
	uint32		nimages;
	const char *data;
	Size		size;
	PieceKind	kind;
} Piece;

typedef struct Composition
{
	StateSpec  *spec;
	Piece	   *pieces;
	int			npieces;
	int			capacity;
	int64		watermark;
	Horizon		horizon;
	void	   *acc;			/* made when first needed */
	MemoryContext scratch;		/* for accumulators */
	Writer		writer;
} Composition;

#define ST_SORT sort_pieces
#define ST_ELEMENT_TYPE Piece
#define ST_COMPARE(a, b) ((a)->start < (b)->start ? -1 : (a)->start > (b)->start)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static Piece *
add_piece(Composition *composition)
{
	if (composition->npieces == composition->capacity)
	{
		composition->capacity *= 2;
		composition->pieces = repalloc_huge(composition->pieces,
											sizeof(Piece) * composition->capacity);
	}
	return &composition->pieces[composition->npieces++];
}

static void
gather_tiles(Composition *composition, const StateView *view)
{
	TileReader	tiles;
	Tile		tile;

	begin_tiles(&tiles, view->spec, view->tiles, view->tiles_size);
	while (next_tile(&tiles, &tile))
	{
		Piece	   *piece = add_piece(composition);

		piece->at = tile.start;
		piece->kind = tile.nverbatim > 0 ? PIECE_IMAGES : PIECE_PARTIAL;
		piece->nimages = tile.nverbatim;
		piece->data = tile.data;
		piece->size = tile.size;
	}
	if (tiles.reader.failed)
		report_damaged_state();
	composition->watermark = Max(composition->watermark, view->watermark);
}

static void
gather_events(Composition *composition, const StateView *view)
{
	const ValueType *type = view->spec->family.type;
	Reader		reader = reader_over(view->raw, view->raw_size);

	while (reader.at < reader.end)
	{
		Piece	   *piece = add_piece(composition);

		piece->at = (int64) read_uint64(&reader);
		piece->kind = PIECE_EVENT;
		piece->nimages = 1;
		piece->data = reader.at;
		read_image(type, &reader);
		piece->size = reader.at - piece->data;
		composition->watermark = Max(composition->watermark, piece->at);
		if (reader.failed)
			report_damaged_state();
	}
}

/* Gives each piece its tile, drops what has expired, and puts them in order. */
static void
place_pieces(Composition *composition)
{
	StateSpec  *spec = composition->spec;
	bool		is_sorted = true;
	int			n = 0;

	find_horizon(spec, composition->watermark, &composition->horizon);
	for (int i = 0; i < composition->npieces; i++)
	{
		Piece		piece = composition->pieces[i];

		piece.level = place_tile(spec, &composition->horizon, piece.at, &piece.start);
		if (piece.level == LEVEL_EXPIRED && !spec->keeps_expired)
			continue;
		if (n > 0 && composition->pieces[n - 1].start > piece.start)
			is_sorted = false;
		composition->pieces[n++] = piece;
	}
	composition->npieces = n;
	if (!is_sorted)
		sort_pieces(composition->pieces, n);
}

static void
begin_composition(Composition *composition, StateSpec *spec)
{
	memset(composition, 0, sizeof(*composition));
	composition->spec = spec;
	composition->watermark = PG_INT64_MIN;
	composition->capacity = 64;
	composition->pieces = palloc(sizeof(Piece) * composition->capacity);
	composition->horizon.thresholds = palloc(sizeof(int64) * (spec->nlevels + 1));
}

static void
end_composition(Composition *composition)
{
	pfree(composition->pieces);
	pfree(composition->horizon.thresholds);
	if (composition->scratch)
		MemoryContextDelete(composition->scratch);
}

/* An empty accumulator; what it allocates goes to the scratch context. */
static void
begin_accumulator(Composition *composition)
{
	const FamilySpec *family = &composition->spec->family;

	if (!composition->scratch)
		composition->scratch = AllocSetContextCreate(CurrentMemoryContext, "featurestore tile",
													 ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(composition->scratch);
	composition->acc = MemoryContextAlloc(composition->scratch, family->family->size(family));
	family->family->init(composition->acc, family);
}

/* Adds a piece to the accumulator. */
static void
accumulate_piece(Composition *composition, const Piece *piece)
{
	const FamilySpec *family = &composition->spec->family;
	Reader		reader = reader_over(piece->data, piece->size);

	if (piece->kind == PIECE_PARTIAL)
		family->family->merge(composition->acc, family, piece->data, piece->size);
	else
	{
		for (uint32 i = 0; i < piece->nimages; i++)
			family->family->add(composition->acc, family, piece->at,
								read_image(family->type, &reader), 1);
	}
}

static int
compare_images(const void *a, const void *b)
{
	return image_order(*(const Image *) a, *(const Image *) b);
}

/* Writes images in order, as a verbatim tile. */
static void
write_images(Composition *composition, Image *images, uint32 n)
{
	qsort(images, n, sizeof(Image), compare_images);
	write_varint(&composition->writer, n);
	for (uint32 i = 0; i < n; i++)
		write_image(composition->spec->family.type, &composition->writer, images[i]);
}

/* Writes the partial of the accumulator. */
static void
write_partial(Composition *composition)
{
	const FamilySpec *family = &composition->spec->family;
	MemoryContext old = MemoryContextSwitchTo(composition->scratch);
	Writer		partial;

	writer_init(&partial, 128);
	family->family->write(composition->acc, family, &partial);
	MemoryContextSwitchTo(old);
	write_varint(&composition->writer, 0);
	write_varint(&composition->writer, partial.size);
	write_bytes(&composition->writer, partial.data, partial.size);
}

/* Writes the tile that pieces make up. */
static void
write_tile(Composition *composition, const Piece *pieces, int npieces)
{
	const ValueType *type = composition->spec->family.type;
	uint64		n = 0;
	bool		is_verbatim = true;
	MemoryContext old;

	if (npieces == 1 && pieces->kind != PIECE_EVENT)
	{
		write_varint(&composition->writer, pieces->nimages);
		if (pieces->kind == PIECE_PARTIAL)
			write_varint(&composition->writer, pieces->size);
		write_bytes(&composition->writer, pieces->data, pieces->size);
		return;
	}

	for (int i = 0; i < npieces && is_verbatim; i++)
	{
		n += pieces[i].nimages;
		is_verbatim = pieces[i].kind != PIECE_PARTIAL && n <= composition->spec->verbatim;
	}
	if (is_verbatim)
	{
		Image		images[STATE_MAX_VERBATIM];

		n = 0;
		for (int i = 0; i < npieces; i++)
		{
			Reader		reader = reader_over(pieces[i].data, pieces[i].size);

			for (uint32 j = 0; j < pieces[i].nimages; j++)
				images[n++] = read_image(type, &reader);
		}
		write_images(composition, images, (uint32) n);
		return;
	}

	if (!composition->scratch)
		composition->scratch = AllocSetContextCreate(CurrentMemoryContext, "featurestore tile",
													 ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(composition->scratch);
	begin_accumulator(composition);
	for (int i = 0; i < npieces; i++)
	{
		CHECK_FOR_INTERRUPTS();
		accumulate_piece(composition, &pieces[i]);
	}
	MemoryContextSwitchTo(old);
	write_partial(composition);
}

/* Index of a tile in its level. */
static int64
tile_index(const StateSpec *spec, int level, int64 start)
{
	const StateLevel *lattice;

	if (level == 0)
		return start;
	lattice = &spec->levels[level - 1];
	return (int64) (((__int128) start - lattice->offset + UNIX_EPOCH_USECS) / lattice->width);
}

/* How many pieces from the first on go to its tile. */
static int
pieces_of_tile(const Composition *composition, int first)
{
	int			end = first + 1;

	while (end < composition->npieces &&
		   composition->pieces[end].start == composition->pieces[first].start)
		end++;
	return end - first;
}

/* Writes the tiles of one level, which start at piece *at. */
static void
write_level(Composition *composition, int level, int *at)
{
	uint64		ntiles = 0;
	int64		before = 0;
	int			end = *at;

	while (end < composition->npieces && composition->pieces[end].level == level)
	{
		ntiles++;
		end += pieces_of_tile(composition, end);
	}
	if (level == LEVEL_EXPIRED)
		write_byte(&composition->writer, (uint8) ntiles);
	else
		write_varint(&composition->writer, ntiles);

	for (bool is_first = true; *at < end; is_first = false)
	{
		int			n = pieces_of_tile(composition, *at);
		int64		start = composition->pieces[*at].start;

		if (level != LEVEL_EXPIRED)
		{
			int64		index = tile_index(composition->spec, level, start);

			write_varint(&composition->writer,
						 is_first ? zigzag(index) : (uint64) index - (uint64) before);
			before = index;
		}
		write_tile(composition, &composition->pieces[*at], n);
		*at += n;
	}
}

/* Writes the state of the pieces, which are placed. */
static struct varlena *
write_state(Composition *composition)
{
	StateSpec  *spec = composition->spec;
	int			at = 0;

	writer_init(&composition->writer, 256);
	write_space(&composition->writer, VARHDRSZ);
	write_state_header(&composition->writer, spec, 0);
	if (composition->npieces > 0)
	{
		if (spec->keeps_expired)
			write_level(composition, LEVEL_EXPIRED, &at);
		for (int level = spec->nlevels; level >= 0; level--)
			write_level(composition, level, &at);
	}
	write_uint64(&composition->writer, (uint64) composition->watermark);
	SET_VARSIZE(composition->writer.data, composition->writer.size);
	return (struct varlena *) composition->writer.data;
}

struct varlena *
compose(const StateView *views, int nviews)
{
	Composition composition;
	struct varlena *result;

	begin_composition(&composition, views[0].spec);
	for (int i = 0; i < nviews; i++)
	{
		gather_tiles(&composition, &views[i]);
		gather_events(&composition, &views[i]);
	}
	place_pieces(&composition);
	result = write_state(&composition);
	end_composition(&composition);
	return result;
}

/* Takes the events of a piece away from the accumulator; false if it cannot. */
static bool
subtract_piece(Composition *composition, const Piece *piece)
{
	const FamilySpec *family = &composition->spec->family;
	Reader		reader = reader_over(piece->data, piece->size);
	Image		none = {0};

	if (piece->kind == PIECE_PARTIAL)
	{
		if (family->type->code != VALUE_NONE)
			return false;
		return family->family->subtract(composition->acc, family, piece->at, none,
										family->family->check(family, piece->data, piece->size));
	}
	for (uint32 i = 0; i < piece->nimages; i++)
	{
		if (!family->family->subtract(composition->acc, family, piece->at,
									  read_image(family->type, &reader), 1))
			return false;
	}
	return true;
}

/* Takes images away from those of a verbatim tile; gives how many are left, -1: one is not there. */
static int
remove_images(Composition *composition, const Piece *from, const Piece *pieces, int npieces,
			  Image *left)
{
	const ValueType *type = composition->spec->family.type;
	Reader		reader = reader_over(from->data, from->size);
	int			nleft = 0;

	for (uint32 i = 0; i < from->nimages; i++)
		left[nleft++] = read_image(type, &reader);
	for (int i = 0; i < npieces; i++)
	{
		if (pieces[i].kind == PIECE_PARTIAL)
			return -1;
		reader = reader_over(pieces[i].data, pieces[i].size);
		for (uint32 j = 0; j < pieces[i].nimages; j++)
		{
			Image		gone = read_image(type, &reader);
			int			k = 0;

			while (k < nleft && image_order(left[k], gone) != 0)
				k++;
			if (k == nleft)
				return -1;
			left[k] = left[--nleft];
		}
	}
	return nleft;
}

/*
 * Makes what is left of a tile without pieces into a piece; false if that
 * takes the events themselves.  *is_empty tells that nothing is left.
 */
static bool
subtract_tile(Composition *composition, Piece *tile, const Piece *pieces, int npieces,
			  bool *is_empty)
{
	const FamilySpec *family = &composition->spec->family;
	uint64		n;
	Writer		writer;

	*is_empty = false;
	writer_init(&writer, 128);
	if (tile->kind != PIECE_PARTIAL)
	{
		Image		left[STATE_MAX_VERBATIM];
		int			nleft = remove_images(composition, tile, pieces, npieces, left);

		if (nleft < 0)
			return false;
		qsort(left, nleft, sizeof(Image), compare_images);
		for (int i = 0; i < nleft; i++)
			write_image(family->type, &writer, left[i]);
		*is_empty = nleft == 0;
		tile->nimages = (uint32) nleft;
	}
	else
	{
		begin_accumulator(composition);
		accumulate_piece(composition, tile);
		for (int i = 0; i < npieces; i++)
		{
			if (!subtract_piece(composition, &pieces[i]))
				return false;
		}
		n = family->family->count(composition->acc, family);
		*is_empty = n == 0;
		if (n > 0 && n <= composition->spec->verbatim)
			return false;
		if (n > 0)
			family->family->write(composition->acc, family, &writer);
	}
	tile->data = writer.data;
	tile->size = writer.size;
	return true;
}

/* Takes the pieces of the second composition from the first; false if that takes the events. */
static bool
subtract_pieces(Composition *from, Composition *what)
{
	int			kept = 0;
	int			at = 0;

	for (int i = 0; i < from->npieces; i++)
	{
		Piece		tile = from->pieces[i];
		bool		is_empty = false;

		if (at < what->npieces && what->pieces[at].start < tile.start)
			return false;
		if (at < what->npieces && what->pieces[at].start == tile.start)
		{
			int			n = pieces_of_tile(what, at);

			if (!subtract_tile(from, &tile, &what->pieces[at], n, &is_empty))
				return false;
			at += n;
		}
		if (!is_empty)
			from->pieces[kept++] = tile;
	}
	from->npieces = kept;
	return at == what->npieces;
}

struct varlena *
retract(const StateView *a, const StateView *b)
{
	Composition from;
	Composition what;
	struct varlena *result = NULL;

	begin_composition(&from, a->spec);
	gather_tiles(&from, a);
	begin_composition(&what, b->spec);
	gather_tiles(&what, b);
	gather_events(&what, b);

	/* Without the newest event the watermark is another, and what has expired may be needed again. */
	if (what.npieces == 0 || what.watermark < from.watermark)
	{
		what.watermark = from.watermark;
		place_pieces(&from);
		place_pieces(&what);
		if (subtract_pieces(&from, &what))
			result = write_state(&from);
	}
	end_composition(&from);
	end_composition(&what);
	return result;
}
