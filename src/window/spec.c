/*
 * spec.c
 *	  What a state is made for, and what follows from it: levels, thresholds.
 *
 * The bytes of a spec:
 *		code of the family, code of the input type, r		a byte each
 *		size of the collation's name (a byte), the name		size 0: the default
 *		parameter of the family								varint
 *		of a window state besides: head slack (length), number of windows
 *		(varint), and each window: kind (a byte), duration, step, offset, delay
 *		(lengths)
 *	  A length is a varint: seconds * 2, or microseconds * 2 + 1 if these are no
 *	  whole seconds.
 *
 * Compiled specs are cached by their bytes, since every state carries them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "common/int128.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#include "window/state.h"
#include "compat.h"

/* Specs that the cache may hold beyond the end of a transaction. */
#define MAX_CACHED_SPECS 1000

typedef struct CachedSpec
{
	uint32		hash;			/* the key */
	List	   *specs;			/* with this hash */
} CachedSpec;

static MemoryContext spec_cxt = NULL;
static HTAB *spec_cache = NULL;
static int	cached_specs = 0;
static StateSpec *last_spec = NULL;

uint64		spec_cache_generation = 0;

/* Empties the cache at the end of a transaction, when nobody points into it, if it is large. */
static void
shrink_cache(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (cached_specs <= MAX_CACHED_SPECS)
		return;
	spec_cache = NULL;
	last_spec = NULL;
	cached_specs = 0;
	spec_cache_generation++;
	MemoryContextReset(spec_cxt);
}

static void
make_cache(void)
{
	HASHCTL		ctl = {.keysize = sizeof(uint32),.entrysize = sizeof(CachedSpec)};

	if (!spec_cxt)
	{
		spec_cxt = AllocSetContextCreate(TopMemoryContext, "featurestore window specs",
										 ALLOCSET_DEFAULT_SIZES);
		RegisterXactCallback(shrink_cache, NULL);
	}
	ctl.hcxt = spec_cxt;
	spec_cache = hash_create("featurestore window specs", 64, &ctl,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
write_length(Writer *writer, int64 length)
{
	if (length % USECS_PER_SEC == 0)
		write_varint(writer, (uint64) (length / USECS_PER_SEC) << 1);
	else
		write_varint(writer, (uint64) length << 1 | 1);
}

/* Lengths are at most WINDOW_MAX_DURATION, and have one form. */
static int64
read_length(Reader *reader)
{
	uint64		coded = read_varint(reader);
	uint64		value = coded >> 1;

	if (!(coded & 1) && value <= WINDOW_MAX_DURATION / USECS_PER_SEC)
		return (int64) value * USECS_PER_SEC;
	if ((coded & 1) && value <= WINDOW_MAX_DURATION && value % USECS_PER_SEC != 0)
		return (int64) value;
	reader->failed = true;
	return 0;
}

static int64
greatest_common_divisor(int64 a, int64 b)
{
	while (b != 0)
	{
		int64		rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* The lattice on which a window's edges lie; false if they may be anywhere, or there are none. */
static bool
window_lattice(const TimeWindow *window, StateLevel *lattice)
{
	lattice->width = window->step;
	if (window->kind == WINDOW_SLIDING || window->kind == WINDOW_TUMBLING)
		lattice->width = greatest_common_divisor(window->duration, window->step);
	if (window->kind == WINDOW_LIFETIME || lattice->width <= 1)
		return false;
	lattice->offset = window->offset % lattice->width;
	return true;
}

/* Are all edges of the coarser lattice edges of the finer one? */
static bool
lattices_nest(const StateLevel *finer, const StateLevel *coarser)
{
	return coarser->width % finer->width == 0 &&
		(coarser->offset - finer->offset) % finer->width == 0;
}

/* Puts a lattice in its place among the levels; false if it does not nest with them. */
static bool
add_level(StateLevel *levels, int *nlevels, const StateLevel *lattice)
{
	int			at = 0;

	while (at < *nlevels && levels[at].width < lattice->width)
		at++;
	if (at < *nlevels && levels[at].width == lattice->width)
		return levels[at].offset == lattice->offset;
	if ((at > 0 && !lattices_nest(&levels[at - 1], lattice)) ||
		(at < *nlevels && !lattices_nest(lattice, &levels[at])))
		return false;
	memmove(&levels[at + 1], &levels[at], sizeof(StateLevel) * (*nlevels - at));
	levels[at] = *lattice;
	(*nlevels)++;
	return true;
}

/* Levels of all windows of a spec, and which one each has; false if they do not nest. */
static bool
find_levels(StateSpec *spec)
{
	StateLevel	lattice;

	spec->levels = palloc(sizeof(StateLevel) * Max(spec->nwindows, 1));
	spec->window_levels = palloc0(sizeof(int) * Max(spec->nwindows, 1));
	for (int i = 0; i < spec->nwindows; i++)
	{
		if (window_lattice(&spec->windows[i], &lattice) &&
			!add_level(spec->levels, &spec->nlevels, &lattice))
			return false;
	}
	for (int i = 0; i < spec->nwindows; i++)
	{
		if (!window_lattice(&spec->windows[i], &lattice))
			continue;
		while (spec->levels[spec->window_levels[i]++].width != lattice.width)
			 /* look on */ ;
	}
	return true;
}

void
group_windows(const TimeWindow *windows, int nwindows, int *groups)
{
	StateLevel **levels = palloc0(sizeof(StateLevel *) * (nwindows + 1));
	int		   *nlevels = palloc0(sizeof(int) * (nwindows + 1));
	int		   *sizes = palloc0(sizeof(int) * (nwindows + 1));

	for (int i = 0; i < nwindows; i++)
	{
		StateLevel	lattice;
		bool		has_lattice = window_lattice(&windows[i], &lattice);
		int			group;

		for (group = 1;; group++)
		{
			if (!levels[group])
				levels[group] = palloc(sizeof(StateLevel) * nwindows);
			if (sizes[group] < STATE_MAX_WINDOWS &&
				(!has_lattice || add_level(levels[group], &nlevels[group], &lattice)))
				break;
		}
		sizes[group]++;
		groups[i] = group;
	}
}

/* OID of the collation a spec names; InvalidOid where the type has none. */
static Oid
spec_collation(const StateSpec *spec)
{
	if (!spec->family.type->is_collatable)
		return InvalidOid;
	if (!spec->collation)
		return DEFAULT_COLLATION_OID;
	return get_collation_oid(stringToQualifiedNameListCompat(spec->collation), false);
}

/* Reads a spec; false if it is none.  Everything is allocated in the current context. */
static bool
read_spec(StateSpec *spec, Reader *reader)
{
	uint8		length;
	uint64		param;
	uint64		nwindows;

	spec->family.family = family_by_code(read_byte(reader));
	spec->family.type = value_type_by_code(read_byte(reader));
	spec->verbatim = read_byte(reader);
	length = read_byte(reader);
	if (length > 0 && !reader->failed)
	{
		const char *name = read_bytes(reader, length);

		spec->collation = name ? pnstrdup(name, length) : NULL;
	}
	param = read_varint(reader);
	if (reader->failed || !spec->family.family || !spec->family.type || param > PG_UINT32_MAX)
		return false;
	spec->family.param = (uint32) param;
	if (spec->is_agg)
	{
		spec->keeps_expired = true;
		return find_levels(spec) && reader->at == reader->end;
	}

	spec->head_slack = read_length(reader);
	nwindows = read_varint(reader);
	if (reader->failed || nwindows < 1 || nwindows > STATE_MAX_WINDOWS)
		return false;
	spec->nwindows = (int) nwindows;
	spec->windows = palloc0(sizeof(TimeWindow) * nwindows);
	for (int i = 0; i < spec->nwindows; i++)
	{
		TimeWindow *window = &spec->windows[i];

		window->kind = read_byte(reader);
		window->duration = read_length(reader);
		window->step = read_length(reader);
		window->offset = read_length(reader);
		window->delay = read_length(reader);
		if (reader->failed || !window_is_valid(window) ||
			(i > 0 && window_compare(window - 1, window) >= 0))
			return false;
		if (window->kind == WINDOW_LIFETIME)
			spec->keeps_expired = true;
	}
	return find_levels(spec) && reader->at == reader->end;
}

/* Can states of this spec be made?  A family takes some types only, and a range of parameters. */
static bool
family_fits(const StateSpec *spec)
{
	const Family *family = spec->family.family;
	FunctionParam param = family->functions[0].param;
	uint32		given = spec->family.param;

	if (spec->collation && !spec->family.type->is_collatable)
		return false;
	if (spec->verbatim > 0 && spec->family.type->code == VALUE_NONE)
		return false;
	if ((spec->verbatim > 0) != (family->verbatim > 0 && spec->family.type->code != VALUE_NONE))
		return false;
	for (int i = 0; i < family->nfunctions; i++)
	{
		if (family->functions[i].param != PARAM_NONE)
			param = family->functions[i].param;
	}
	if ((param == PARAM_NONE && given != 0) ||
		(param == PARAM_N && (given < 1 || given > WINDOW_MAX_N)) ||
		(param == PARAM_BOUND && (given < 1 || given > WINDOW_MAX_BOUND)) ||
		(param == PARAM_ERROR && (given < DISTINCT_SKETCH_MIN_PRECISION || given > DISTINCT_SKETCH_MAX_PRECISION)) ||
		(param == PARAM_PERCENTILE && (given < PERCENTILE_SKETCH_MIN_PRECISION || given > PERCENTILE_SKETCH_MAX_PRECISION)))
		return false;
	for (int i = 0; i < family->nfunctions; i++)
	{
		if (OidIsValid(family->result_type(i, spec->family.type)))
			return true;
	}
	return false;
}

/*
 * Compiles a spec for the cache; NULL if the bytes are none.  It becomes part of
 * the cache only when it is complete, so that bytes that are none leave nothing.
 */
static StateSpec *
compile_spec(const char *bytes, Size size, bool is_agg)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "featurestore window spec",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	StateSpec  *spec = palloc0(sizeof(StateSpec));
	Reader		reader = reader_over(bytes, size);

	spec->is_agg = is_agg;
	if (!read_spec(spec, &reader) || !family_fits(spec))
	{
		MemoryContextSwitchTo(old);
		MemoryContextDelete(cxt);
		return NULL;
	}
	spec->family.collation = spec_collation(spec);
	spec->size = size;
	spec->bytes = palloc(size);
	memcpy(spec->bytes, bytes, size);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(cxt, spec_cxt);
	return spec;
}

static inline bool
is_spec(const StateSpec *spec, const char *bytes, Size size, bool is_agg)
{
	return spec->size == size && spec->is_agg == is_agg && memcmp(spec->bytes, bytes, size) == 0;
}

StateSpec *
spec_from_bytes(const char *bytes, Size size, bool is_agg)
{
	CachedSpec *cached;
	StateSpec  *spec;
	uint32		hash;
	bool		found;
	ListCell   *lc;
	MemoryContext old;

	if (last_spec && is_spec(last_spec, bytes, size, is_agg))
		return last_spec;
	if (!spec_cache)
		make_cache();

	hash = hash_bytes((const unsigned char *) bytes, (int) size);
	cached = hash_search(spec_cache, &hash, HASH_FIND, NULL);
	foreach(lc, cached ? cached->specs : NIL)
	{
		if (is_spec(lfirst(lc), bytes, size, is_agg))
			return last_spec = lfirst(lc);
	}

	spec = compile_spec(bytes, size, is_agg);
	if (!spec)
		return NULL;
	cached = hash_search(spec_cache, &hash, HASH_ENTER, &found);
	if (!found)
		cached->specs = NIL;
	old = MemoryContextSwitchTo(spec_cxt);
	cached->specs = lappend(cached->specs, spec);
	MemoryContextSwitchTo(old);
	cached_specs++;
	return last_spec = spec;
}

/* Can one state serve all of the windows? */
static bool
windows_nest(const TimeWindow *windows, int nwindows)
{
	int		   *groups = palloc(sizeof(int) * Max(nwindows, 1));

	group_windows(windows, nwindows, groups);
	for (int i = 0; i < nwindows; i++)
	{
		if (groups[i] != 1)
			return false;
	}
	return true;
}

static int
compare_windows(const void *a, const void *b)
{
	return window_compare(a, b);
}

StateSpec *
spec_make(const FamilySpec *family, const char *collation, uint32 verbatim, int64 head_slack,
		  const TimeWindow *windows, int nwindows, bool is_agg)
{
	Writer		writer;
	TimeWindow *sorted = palloc(sizeof(TimeWindow) * Max(nwindows, 1));
	int			n = 0;
	StateSpec  *spec;

	memcpy(sorted, windows, sizeof(TimeWindow) * nwindows);
	qsort(sorted, nwindows, sizeof(TimeWindow), compare_windows);
	for (int i = 0; i < nwindows; i++)
	{
		if (n == 0 || window_compare(&sorted[n - 1], &sorted[i]) != 0)
			sorted[n++] = sorted[i];
	}
	if (n > STATE_MAX_WINDOWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many windows for one state"),
				 errdetail("There are %d; a state serves at most %d.", n, STATE_MAX_WINDOWS)));

	writer_init(&writer, 64);
	write_byte(&writer, family->family->code);
	write_byte(&writer, family->type->code);
	write_byte(&writer, verbatim);
	write_byte(&writer, collation ? strlen(collation) : 0);
	if (collation)
		write_bytes(&writer, collation, strlen(collation));
	write_varint(&writer, family->param);
	if (!is_agg)
	{
		write_length(&writer, head_slack);
		write_varint(&writer, n);
		for (int i = 0; i < n; i++)
		{
			write_byte(&writer, sorted[i].kind);
			write_length(&writer, sorted[i].duration);
			write_length(&writer, sorted[i].step);
			write_length(&writer, sorted[i].offset);
			write_length(&writer, sorted[i].delay);
		}
	}

	spec = spec_from_bytes(writer.data, writer.size, is_agg);
	if (!spec && windows_nest(sorted, n))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are no states of these parts"),
				 errdetail("The family takes another input, parameter or number of events kept verbatim, or there is no window.")));
	if (!spec)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("windows of one state must have nesting lattices"),
				 errdetail("Where the edges of two windows lie, those of the coarser one must be edges of the finer one too."),
				 errhint("Make a state for each group of windows that nest.")));
	return spec;
}

/* The least lo of a window at any T >= head, where head = watermark - slack. */
static int64
least_lo(const TimeWindow *window, int64 head)
{
	return window_lo(window, head);
}

void
find_horizon(const StateSpec *spec, int64 watermark, Horizon *horizon)
{
	int64		head = subtract_saturated(watermark, spec->head_slack);

	horizon->expired = PG_INT64_MAX;
	for (int i = 0; i < spec->nlevels; i++)
		horizon->thresholds[i] = PG_INT64_MAX;
	for (int i = 0; i < spec->nwindows; i++)
	{
		const TimeWindow *window = &spec->windows[i];
		int64		lo = least_lo(window, head);

		if (window_has_exact_head(window))
		{
			int64		hi = window_hi(window, head);

			horizon->expired = Min(horizon->expired, hi);
			for (int k = 0; k < spec->nlevels; k++)
				horizon->thresholds[k] = Min(horizon->thresholds[k], hi);
		}
		if (window->kind == WINDOW_LIFETIME)
			continue;
		horizon->expired = Min(horizon->expired, lo);
		for (int k = spec->window_levels[i]; k < spec->nlevels; k++)
			horizon->thresholds[k] = Min(horizon->thresholds[k], lo);
	}
}

/* End of the tile of a level that holds an instant, which starts at start. */
static inline int64
tile_end(const StateLevel *level, int64 at, int64 *start)
{
	*start = lattice_floor(at, level->width, level->offset);
	return add_saturated(*start, level->width);
}

int
place_tile(const StateSpec *spec, const Horizon *horizon, int64 at, int64 *start)
{
	int64		last_end;

	if (spec->nlevels > 0)
		last_end = tile_end(&spec->levels[spec->nlevels - 1], at, start);
	else
		last_end = add_saturated(at, 1);
	if (at == PG_INT64_MIN || spec->is_agg || last_end <= horizon->expired)
	{
		*start = PG_INT64_MIN;
		return LEVEL_EXPIRED;
	}
	for (int k = spec->nlevels; k > 0; k--)
	{
		if (tile_end(&spec->levels[k - 1], at, start) <= horizon->thresholds[k - 1])
			return k;
	}
	*start = at;
	return 0;
}

bool
is_too_old(const StateSpec *spec, int64 watermark, int64 at)
{
	return !spec->is_agg && at < subtract_saturated(watermark, spec->head_slack);
}
