/*
 * state.c
 *	  Reading, validating and composing the bytes of states.
 *
 * States that come from outside are validated byte for byte before they become
 * values.  Those that are stored were validated then, or made here; reading
 * them stays within their bytes whatever these are.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "window/tiles.h"
#include "compat.h"

/* Version, flags, size of the spec. */
#define HEADER_SIZE 4

void
report_damaged_state(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("window state is damaged")));
}

/* Finds the parts of an open state, from what follows its spec. */
static bool
view_open(Reader *reader, StateView *view)
{
	uint64		used = read_uint64(reader);
	uint64		closed = read_uint64(reader);

	if (reader->failed || used > (Size) (reader->end - reader->at) || closed < sizeof(int64) ||
		closed > used)
		return false;
	view->tiles = reader->at;
	view->tiles_size = closed - sizeof(int64);
	view->watermark = (int64) load_uint64(view->tiles + view->tiles_size);
	view->raw = reader->at + closed;
	view->raw_size = used - closed;
	return true;
}

void
state_view(struct varlena *state, StateView *view)
{
	Reader		reader = reader_over(VARDATA_ANY(state), VARSIZE_ANY_EXHDR(state));
	uint8		version = read_byte(&reader);
	uint8		flags = read_byte(&reader);
	Size		spec_size = read_byte(&reader);
	const char *spec;

	spec_size |= (Size) read_byte(&reader) << 8;
	spec = read_bytes(&reader, spec_size);
	if (reader.failed || version != STATE_VERSION || (flags & ~(STATE_OPEN | STATE_AGG)))
		report_damaged_state();
	view->spec = spec_from_bytes(spec, spec_size, (flags & STATE_AGG) != 0);
	if (!view->spec)
		report_damaged_state();

	view->is_open = (flags & STATE_OPEN) != 0;
	view->raw_size = 0;
	if (view->is_open)
	{
		if (!view_open(&reader, view))
			report_damaged_state();
		return;
	}
	if (reader.end - reader.at < sizeof(int64))
		report_damaged_state();
	view->tiles = reader.at;
	view->tiles_size = reader.end - reader.at - sizeof(int64);
	view->watermark = (int64) load_uint64(reader.end - sizeof(int64));
}

void
write_state_header(Writer *writer, const StateSpec *spec, uint8 flags)
{
	write_byte(writer, STATE_VERSION);
	write_byte(writer, flags | (spec->is_agg ? STATE_AGG : 0));
	write_byte(writer, spec->size & 0xff);
	write_byte(writer, spec->size >> 8);
	write_bytes(writer, spec->bytes, spec->size);
}

/* The state without events: every list of tiles is empty. */
struct varlena *
empty_state(StateSpec *spec)
{
	Writer		writer;

	writer_init(&writer, 128);
	write_space(&writer, VARHDRSZ);
	write_state_header(&writer, spec, 0);
	write_uint64(&writer, (uint64) PG_INT64_MIN);
	SET_VARSIZE(writer.data, writer.size);
	return (struct varlena *) writer.data;
}

/* Are these the images of a verbatim tile: valid and in order? */
static bool
images_are_valid(const ValueType *type, const Tile *tile)
{
	Reader		reader = reader_over(tile->data, tile->size);
	Image		before = {0};

	for (uint32 i = 0; i < tile->nverbatim; i++)
	{
		Image		image = read_image(type, &reader);

		if (reader.failed || !value_is_valid(type, image) ||
			(i > 0 && image_order(before, image) > 0))
			return false;
		before = image;
	}
	return reader.at == reader.end;
}

/* How many events a tile has; 0 if it is not as it should be. */
static uint64
checked_events(const StateSpec *spec, const Tile *tile)
{
	const FamilySpec *family = &spec->family;
	uint64		n;

	if (tile->nverbatim > 0)
		return images_are_valid(family->type, tile) ? tile->nverbatim : 0;
	n = family->family->check(family, tile->data, tile->size);
	return n > spec->verbatim ? n : 0;
}

/* Is a tile where the watermark wants its events to be? */
static bool
tile_is_placed(const StateSpec *spec, const Horizon *horizon, const Tile *tile)
{
	int64		start;

	if (tile->level == LEVEL_EXPIRED)
		return true;
	return place_tile(spec, horizon, tile->start, &start) == tile->level && start == tile->start &&
		IS_VALID_TIMESTAMP(tile->start + (tile->level ? spec->levels[tile->level - 1].width - 1 : 0));
}

/* Is the watermark in the newest tile? */
static bool
watermark_is_last(const StateView *view, const Tile *last, const Horizon *horizon)
{
	int64		start;

	return IS_VALID_TIMESTAMP(view->watermark) &&
		place_tile(view->spec, horizon, view->watermark, &start) == last->level &&
		start == last->start;
}

/*
 * Validates what was not made here.  Nothing is allocated but the thresholds;
 * each tile is read once.
 */
bool
state_is_valid(const StateView *view)
{
	StateSpec  *spec = view->spec;
	int64		thresholds[STATE_MAX_WINDOWS];
	Horizon		horizon = {.thresholds = thresholds};
	TileReader	tiles;
	Tile		tile;
	Tile		last = {0};
	bool		any = false;

	if (view->is_open)
		return false;
	if (view->watermark == PG_INT64_MIN)
		return view->tiles_size == 0;
	if (!IS_VALID_TIMESTAMP(view->watermark))
		return false;

	find_horizon(spec, view->watermark, &horizon);
	begin_tiles(&tiles, spec, view->tiles, view->tiles_size);
	while (next_tile(&tiles, &tile))
	{
		uint64		n = checked_events(spec, &tile);

		CHECK_FOR_INTERRUPTS();
		if (n == 0 || !tile_is_placed(spec, &horizon, &tile) ||
			(any && tile.start <= last.start))
			return false;
		last = tile;
		any = true;
	}
	return any && !tiles.reader.failed && tiles.level == 0 && tiles.left == 0 &&
		tiles.reader.at == tiles.reader.end && watermark_is_last(view, &last, &horizon);
}

void
check_same_spec(const StateSpec *a, const StateSpec *b)
{
	if (a != b)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("states of different specs cannot be mixed"),
				 errdetail("One is %s, the other %s.", spec_to_text(a), spec_to_text(b)),
				 errhint("Only states made for the same function, input, parameters and windows have the same form.")));
}
