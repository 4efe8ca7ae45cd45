/*
 * state.h
 *	  States: the canonical image of a multiset of events.
 *
 * A window state is a timeline of tiles.  What it looks like is a function of
 * its spec (family, input type, windows, head slack, r), of the multiset of
 * its events and of nothing else: the greatest event time, the watermark,
 * decides how wide a tile is at each place, and how far back the timeline goes.
 * So states can be merged in any order, and equal multisets have equal bytes.
 *
 * Levels.  The edges of the windows of a state lie on nested lattices; level 0
 * is a lattice of single microseconds.  For every level above 0 there is a
 * time, the level's threshold, that only depends on the watermark: a tile of
 * that level exists iff it ends at or before the threshold, since then no edge
 * of a window of a finer lattice can cut it at any T >= watermark - slack.
 * What lies before the last threshold, that of all windows, has expired; if
 * there is a lifetime window it is one tile without a start instead.
 *
 * An agg_state is the same without windows: one tile that has everything.
 *
 *		bytes, after the varlena header:
 *		version		1 byte
 *		flags		1 byte: STATE_OPEN, STATE_AGG
 *		spec size	2 bytes, little-endian
 *		spec		see spec.c
 *		tiles		level by level from the coarsest, in order of time: number of
 *					tiles (varint), and if there are any: index of the first (start
 *					/ width, zigzag varint), then of each other its distance from
 *					the one before, each followed by the tile; the expired tile, if
 *					there can be one, comes first of all and has no index
 *		watermark	8 bytes
 *
 *		a tile: number of events (varint) and their images in order, each after
 *		its size (varint) unless the type has one size, if they are at most r;
 *		else 0, the size of the partial (varint), and the partial
 *
 * While an aggregate runs, its state is open: it has room for events that are
 * only appended, and becomes canonical in the end.  An open state is never
 * stored; all that read states take both.
 *
 *		spec.c		what a state is made for; levels and thresholds
 *		state.c		reading, validating and composing the bytes
 *		tiles.h		reading tiles, which every evaluation does
 *		compose.c	events and tiles -> canonical tiles
 *		evaluate.c	functions over windows at T
 *		aggregate.c	the SQL aggregates
 *		state_type.c	in, out, receive, send, describe
 */
#ifndef FEATURESTORE_STATE_H
#define FEATURESTORE_STATE_H

#include "datatype/timestamp.h"
#include "fmgr.h"

#include "window/family.h"
#include "window/time_window.h"

#define STATE_VERSION 1
#define STATE_OPEN	0x01		/* has events that are not in tiles yet */
#define STATE_AGG	0x02		/* an agg_state */

#define STATE_MAX_WINDOWS 64
#define STATE_MAX_VERBATIM 255

/* From the Unix epoch, to which lattices are aligned, to that of timestamps. */
#define UNIX_EPOCH_USECS ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* A lattice of tile edges. */
typedef struct StateLevel
{
	int64		width;			/* of its tiles */
	int64		offset;			/* edges are k * width + offset since the Unix epoch */
} StateLevel;

/* What a state was made for. */
typedef struct StateSpec
{
	FamilySpec	family;
	uint32		verbatim;		/* r */
	int64		head_slack;
	bool		is_agg;
	int			nwindows;
	TimeWindow *windows;		/* in their total order */
	int		   *window_levels;	/* the level a window's lattice is; 0: it is exact */
	int			nlevels;		/* above level 0 */
	StateLevel *levels;			/* finest first; that of level k is levels[k - 1] */
	bool		keeps_expired;	/* in a tile of their own */
	char	   *collation;		/* its name; NULL: none or the default */
	Size		size;			/* its bytes as stored */
	char	   *bytes;
} StateSpec;

/* The parts of a state. */
typedef struct StateView
{
	StateSpec  *spec;			/* cached; good until the end of the transaction */
	bool		is_open;
	const char *tiles;
	Size		tiles_size;
	int64		watermark;		/* PG_INT64_MIN: no event in tiles */
	const char *raw;			/* events of an open state, in no order */
	Size		raw_size;
} StateView;

/* Level of the tile that holds what has expired. */
#define LEVEL_EXPIRED PG_INT32_MAX

/* Where edges can be, given a watermark. */
typedef struct Horizon
{
	int64		expired;		/* tiles of the last level that end here have expired */
	int64	   *thresholds;		/* of each level above 0 */
} Horizon;

/* spec.c */

/*
 * The spec of these parts, which are copied; the windows are put in order and
 * made distinct.  Raises 22023 if they do not nest or are too many.
 */
extern StateSpec *spec_make(const FamilySpec *family, const char *collation, uint32 verbatim,
							int64 head_slack, const TimeWindow *windows, int nwindows,
							bool is_agg);

/* The spec with these bytes, from a cache; NULL if they are none. */
extern StateSpec *spec_from_bytes(const char *bytes, Size size, bool is_agg);

/* Assigns windows to groups that nest, of STATE_MAX_WINDOWS at most, from 1 on. */
extern void group_windows(const TimeWindow *windows, int nwindows, int *groups);

/* Fills in where edges can be; thresholds has room for spec->nlevels. */
extern void find_horizon(const StateSpec *spec, int64 watermark, Horizon *horizon);

/* Level and start of the tile in which an instant, or a finer tile from there, belongs. */
extern int	place_tile(const StateSpec *spec, const Horizon *horizon, int64 at, int64 *start);

/* Can a state with this watermark not answer at this time? */
extern bool is_too_old(const StateSpec *spec, int64 watermark, int64 at);

/* state.c */

/* Finds the parts of a state, detoasted; raises XX001 if it is damaged. */
extern void state_view(struct varlena *state, StateView *view);

/* Raises XX001: a state that was stored is not one. */
extern void report_damaged_state(void);

/* Are these the parts of a state that compose() can have written? */
extern bool state_is_valid(const StateView *view);

/* The bytes of a state without its varlena header, from spec, tiles, watermark. */
extern void write_state_header(Writer *writer, const StateSpec *spec, uint8 flags);
extern struct varlena *empty_state(StateSpec *spec);

/* Raises 22023 unless both are states of one spec; names both. */
extern void check_same_spec(const StateSpec *a, const StateSpec *b);

/* A spec for people, and its parts as the members of a json object. */
extern char *spec_to_text(const StateSpec *spec);

/* compose.c */

/* The canonical state of all events of the given ones, which have one spec. */
extern struct varlena *compose(const StateView *views, int nviews);

/* The canonical state of a without the events of b; NULL: build it again. */
extern struct varlena *retract(const StateView *a, const StateView *b);

/* evaluate.c */

/* What lookups ask of a state, once compiled: functions over windows. */
typedef struct WindowOutput
{
	TimeWindow	window;			/* of an agg_state: all 0 */
	FunctionCall call;
} WindowOutput;

typedef struct WindowPlan
{
	int			noutputs;
	WindowOutput *outputs;
	int		   *order;			/* outputs with equal windows side by side */
	MemoryContext scratch;		/* for accumulators */

	/* What the last evaluation found, since states of one table are asked at one time */
	StateSpec  *spec;
	uint64		generation;		/* of the spec cache then */
	int64		at;
	int			nspans;			/* 0: not found yet */
	struct WindowSpan *spans;	/* windows at that time, in the order of evaluation */
} WindowPlan;

/* Beside VALUE_APPROXIMATE and its like: at is before what the state can answer. */
#define VALUE_TOO_OLD		0x08

/*
 * Reads a function as users write it: sum, last_n(5), approx_percentile(0.9).
 * Gives its family; raises 22023 for what is none, with a hint that lists all.
 */
extern const Family *parse_function(const char *text, FunctionCall *call);

/*
 * A plan for the outputs in outputs (kept, not copied), allocated in the
 * current memory context.
 */
extern WindowPlan *window_plan(WindowOutput *outputs, int noutputs);

/*
 * Evaluates all outputs of a plan from one state (any varlena form; NULL for
 * that of an entity never seen: counts are 0, all else NULL) at an instant.
 * Values are made in the current memory context.  Raises 22023 if the state
 * was not made for a window or function, XX001 if it is damaged.
 */
extern void window_evaluate(WindowPlan *plan, struct varlena *state, TimestampTz at,
							Datum *values, bool *nulls, uint8 *flags);

/* Counts how often the cache of specs was emptied, so that pointers into it can be told to be stale. */
extern uint64 spec_cache_generation;

#endif							/* FEATURESTORE_STATE_H */
