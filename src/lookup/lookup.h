/*
 * lookup.h
 *	  A lookup, from request to working rows.
 *
 * A request holds, for each argument, one value or one a row.  The run takes
 * the request's rows in chunks.  For a chunk it takes the items in order: it
 * gathers the keys, each once and sorted, probes the table, and keeps the
 * columns it needs of what it found.  Then it gives out the chunk's working
 * rows one by one, to be formed into rows, vectors or json.  Items whose keys
 * are the same for every row are probed once a call.
 *
 *		request.c	SQL arguments -> LookupRequest
 *		needs.c		what a run takes of each item
 *		access.c	how a table can be probed, and why not directly
 *		keys.c		keys of a chunk, distinct and sorted
 *		probe.c		probes of a btree
 *		row_cache.c	where rows were last seen
 *		sql_probe.c	one set-based statement, where probes cannot be
 *		run.c		the run over chunks and items
 *		result.c	what an item found: statuses and defaults
 *		snapshot.c	the snapshot it reads under
 *		row.c		the working row, expressions included
 *		rows.c		typed rows
 *		vectors.c	vectors and matrices
 *		json_request.c, json.c	records and rows as json
 *		metadata.c	what is told of a lookup besides its values
 *		explain.c	what a lookup did, item by item
 *		stats.c		counts for lookup_stats
 *		serve_log.c	a sample of what was served
 *		support.c	estimates for the planner
 *		scan_path.c, scan.c	lookups in FROM as scans, for the planner and the executor
 *		join_path.c, join.c	the same for batches of requests from other relations
 */
#ifndef FEATURESTORE_LOOKUP_H
#define FEATURESTORE_LOOKUP_H

#include "access/skey.h"
#include "access/sdir.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "portability/instr_time.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

#include "catalog/spec.h"

/* What became of an output; the order is that of status_names. */
typedef enum LookupStatus
{
	STATUS_PRESENT,
	STATUS_NULL_VALUE,
	STATUS_NOT_FOUND,
	STATUS_OUTSIDE_MAX_AGE,
	STATUS_STALE,
	STATUS_NOT_READY,
	STATUS_TOO_OLD,
	STATUS_OUT_OF_RANGE
} LookupStatus;

#define NUMBER_OF_STATUSES (STATUS_OUT_OF_RANGE + 1)

/* Beside the flags of window_evaluate: an empty window left the output its default. */
#define OUTPUT_DEFAULTED 0x80

/* A requested column: one value for all rows, or one a row. */
typedef struct RequestColumn
{
	Datum	   *values;
	bool	   *nulls;
	bool	   *given;			/* per row, for overrides; NULL: every row */
	bool		is_single;
} RequestColumn;

/* How values of one type become another. */
typedef enum CoercionKind
{
	COERCE_NOTHING,
	COERCE_INTEGER,
	COERCE_LITERAL,
	COERCE_FUNCTION
} CoercionKind;

typedef struct Coercion
{
	CoercionKind kind;
	Oid			function;
	int			nargs;
	Oid			domain;			/* whose constraints to check, or 0 */
} Coercion;

typedef struct LookupRequest
{
	int			nrows;
	TimestampTz as_of;			/* T */
	TimestampTz *times;			/* T of each row, for training; NULL: the same for all */
	RequestColumn *columns;		/* of the arguments */
	RequestColumn **overrides;	/* by working column, or NULL: none */
} LookupRequest;

/* How a table is probed. */
typedef struct ItemAccess
{
	bool		is_direct;
	const char *reason;			/* why not directly */
	bool		is_newest;		/* keys are a prefix; read the newest row */
	bool		is_unique;		/* an index says that a key has one row */
	Oid			index;
	ScanDirection direction;	/* in which the newest row comes first */
	int			nscankeys;
	ScanKeyData *scankeys;		/* in index order; arguments to fill in */
	int		   *key_positions;	/* scan key of each of the item's keys */
	int			time_position;	/* scan key of the event time */
	AttrNumber	last_attno;		/* deform up to here */
	List	   *tiebreak;		/* columns after the time in the unique index */
	bool		is_settled;		/* no snapshot is older than the table's file */

	Oid		   *range_types;	/* per key: integer type it may be beyond, or InvalidOid */
	Oid		   *key_types;		/* of the columns */
	int16	   *key_lengths;
	bool	   *key_byval;

	SPIPlanPtr	plan;			/* made when first needed */
	bool		has_callback;	/* that frees the plan with the spec */
} ItemAccess;

/* What a run takes of an item. */
typedef struct ItemNeeds
{
	bool		is_needed;		/* anything of it; if not, it does not run */
	AttrNumber	last_attno;		/* of the table's: deform up to here */
	int			ncolumns;
	int		   *columns;		/* which of the item's are kept, window outputs aside */
	bool	   *windows;		/* by column of states: any output is needed */
} ItemNeeds;

/* Keys to probe: nkeys Datums for each, and the probe of each chunk row. */
typedef struct ProbeKeys
{
	int			nprobes;
	Datum	   *values;
	int		   *row_probe;
} ProbeKeys;

/* What a probe found. */
typedef struct ProbeResult
{
	TimestampTz event_time;
	bool		has_time;
	uint8		status;
} ProbeResult;

/*
 * What a constant item needs for its one probe, so that requests of one row
 * allocate nothing: the key, and two results, the second for a key that is NULL.
 */
typedef struct ConstantRoom
{
	int			row_probe;
	ProbeResult results[2];
	Datum	   *key;
	Datum	   *values;
	bool	   *nulls;
	uint8	   *flags;
} ConstantRoom;

/*
 * An item in a run.  Result i has ncolumns values; one result more than there
 * are probes serves the rows whose key is NULL.
 */
typedef struct ItemRun
{
	SpecItem   *item;
	ItemNeeds  *needs;
	Relation	rel;			/* NULL if it is computed, or not needed */
	struct Prober *prober;		/* made by the first direct probe */
	bool		is_constant;	/* the same for every row of the request */
	bool		is_direct;		/* path of this call */
	const char *reason;
	LookupStatus table_status;	/* PRESENT: probe it */
	bool		has_position;
	TimestampTz applied_to;
	bool		is_done;		/* constant, and probed */

	struct ConstantRoom *room;	/* for what a constant item needs; lasts as long as the run */
	bool		is_gathered;	/* its key is */
	ProbeKeys	keys;
	Datum	   *values;
	bool	   *nulls;
	uint8	   *flags;			/* of window outputs; NULL if the item has none */
	ProbeResult *results;
	int			found;			/* how many of them */

	int64		nprobes;		/* of this request */
	int64		nfound;
	int64		past_probes;	/* of those before */
	int64		past_found;

	/* counted for explain_lookup */
	int64		buffers;
	instr_time	time;
} ItemRun;

typedef struct LookupRun
{
	Spec	   *spec;
	Oid			user;			/* whose rights it reads with: who opened it */
	LookupRequest *request;
	Snapshot	snapshot;
	bool		owns_snapshot;	/* rather than the statement */
	bool		is_pushed;		/* the snapshot it owns is the active one, until the end */
	MemoryContext run_cxt;		/* of the run */
	MemoryContext cxt;			/* of the request */
	MemoryContext chunk_cxt;	/* of the chunk */
	ItemRun    *items;
	bool		is_repeated;	/* there may be other requests */
	bool		with_positions; /* the caller shows applied_to */
	bool		is_counted;		/* the caller shows buffers and time */
	bool		is_logged;		/* rows of the sample go to the serve log */
	int			logged_rows;	/* of the request that were looked at for it */
	struct ServeLogRun *serve_log;	/* made with the first that was in the sample */
	bool		is_tracked;		/* for lookup_stats */
	instr_time	started;		/* if tracked */

	int			chunk_limit;	/* rows of the next chunk, as many as are expected to fit in memory */
	int			chunk_start;
	int			chunk_rows;
	bool		is_too_large;	/* the chunk, so that it is done again */
	int			row;			/* in the chunk; the current one */

	Datum	   *values;			/* the working row */
	bool	   *nulls;
	TupleTableSlot *slot;		/* the same as a slot, for expressions */
	ExprContext *econtext;
	ExprState **states;			/* of computed items */
	bool		owns_states;	/* rather than the spec's */
	Datum	   *status_texts;	/* those made so far, by status */
	int		   *varying_parts;	/* of vectors; made with the first row of several */
	int			nvarying_parts;
} LookupRun;

/* request.c */
extern LookupRequest *request_from_arguments(FunctionCallInfo fcinfo, Spec *spec, int first,
											 TimestampTz as_of);
extern bool has_coercion(Oid given, Oid wanted, Coercion *coercion);
extern Datum coerce_value(SpecColumn *column, Coercion *coercion, Datum value);
extern LookupRequest *request_from_values(Spec *spec, int n, Oid *types, NullableDatum *values,
										  TimestampTz as_of);
extern LookupRequest *request_in_place(Spec *spec, int n, Oid *types, NullableDatum *values);
extern TimestampTz request_time(FunctionCallInfo fcinfo, int argno);
extern int	combine_lengths(int nrows, int length);

/* needs.c */
extern ItemNeeds *needs_of_all(Spec *spec);
extern ItemNeeds *needs_of_results(Spec *spec, const Bitmapset *results);

/* access.c */
extern bool enable_direct_lookup;
extern ItemAccess *access_for_item(Spec *spec, SpecItem *item, Relation rel);
extern const char *access_obstacle(SpecItem *item, Relation rel);

/* snapshot.c */
extern void choose_snapshot(LookupRun *run, Snapshot snapshot);

/* keys.c */
extern bool is_integer_type(Oid type);
extern bool integer_fits(Oid type, Datum value);
extern void gather_keys(LookupRun *run, ItemRun *irun);
extern void gather_constant_key(LookupRun *run, ItemRun *irun);
extern bool fetch_keys(LookupRun *run, ItemRun *irun, int row, Datum *values);
extern bool key_images_equal(Datum a, Datum b, bool byval, int16 length);

/* probe.c */
extern bool probe_index(LookupRun *run, ItemRun *irun);
extern void end_probes(ItemRun *irun);
extern void prefetch_constant_items(LookupRun *run);

/* sql_probe.c */
extern char *equality_operator_text(Oid type);
extern void probe_sql(LookupRun *run, ItemRun *irun);

/* run.c */
extern LookupRun *lookup_open(Oid type);
extern LookupRun *lookup_open_for(Oid type, const Bitmapset *results);
extern void lookup_open_tables(LookupRun *run, Oid type, Spec *spec);
extern void lookup_start(LookupRun *run, LookupRequest *request);
extern void lookup_begin(LookupRun *run, Snapshot snapshot);
extern void lookup_begin_active(LookupRun *run);
extern void lookup_request(LookupRun *run, LookupRequest *request);
extern bool lookup_next(LookupRun *run);
extern bool lookup_is_probed(LookupRun *run);
extern bool lookup_rewind(LookupRun *run);
extern bool chunk_is_too_large(LookupRun *run);
extern void lookup_close(LookupRun *run);
extern Datum time_bound(SpecItem *item, TimestampTz as_of);

/* result.c */
extern TimestampTz event_timestamp(SpecItem *item, Datum time);
extern bool is_older(TimestampTz as_of, TimestampTz event, int64 bound);
extern void prepare_results(LookupRun *run, ItemRun *irun, int n);
extern void fill_missing(LookupRun *run, ItemRun *irun, int probe);
extern void keep_found(LookupRun *run, ItemRun *irun, int probe, Datum *values, bool *nulls);
extern void keep_answer(LookupRun *run, ItemRun *irun, int probe, TimestampTz as_of,
						Datum *values, bool *nulls, uint8 *flags);

/* row.c */
extern void row_begin(LookupRun *run);
extern void row_start(LookupRun *run);
extern void row_end(LookupRun *run);
extern void row_fill(LookupRun *run, int row);
extern void row_compute_early(LookupRun *run, ItemRun *irun);
extern bool row_value(LookupRun *run, int column, int row, Datum *value);
extern bool row_is_overridden(LookupRun *run, int column, int row);
extern ProbeResult *row_result(LookupRun *run, int column);
extern LookupStatus row_status(LookupRun *run, int column);
extern bool row_is_defaulted(LookupRun *run, int column);
extern bool row_is_approximate(LookupRun *run, int column);
extern const char *status_name(LookupStatus status);

/* rows.c */
extern Tuplestorestate *begin_result(FunctionCallInfo fcinfo, TupleDesc desc);
extern Datum status_text(LookupRun *run, LookupStatus status);
extern void row_to_result(LookupRun *run, Datum *values, bool *nulls);

/* vectors.c */
typedef struct VectorLayout VectorLayout;
extern VectorLayout *vector_layout(Spec *spec);
extern ArrayType *make_vector(VectorLayout *layout, float4 **numbers);
extern bool next_vector(LookupRun *run, VectorLayout *layout, float4 *vector);

/* explain.c */
extern const char *path_name(ItemRun *irun);
extern const char *path_reason(ItemRun *irun);

/* stats.c */
extern bool track_lookups;
extern void lookup_stats_init(void);
extern void lookup_stats_start(LookupRun *run);
extern void lookup_stats_end(LookupRun *run);

/* support.c: start of a call, a probe of a table, and one of many in order, in units of the planner */
#define LOOKUP_CALL_COST (20 * cpu_tuple_cost)
#define LOOKUP_PROBE_COST (10 * cpu_tuple_cost)
#define LOOKUP_BATCHED_PROBE_COST (4 * cpu_tuple_cost)

/* scan_path.c */
extern bool enable_lookup_scan;
extern void lookup_scan_init(void);

/* join_path.c */
extern bool enable_lookup_join;

/* functions that a scan can stand for */
extern PGDLLEXPORT Datum lookup_rows(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum feature_lookup(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum lookup_vectors(PG_FUNCTION_ARGS);

/* json_request.c */
extern LookupRequest *request_from_json(Spec *spec, Jsonb *records, TimestampTz as_of);

#endif							/* FEATURESTORE_LOOKUP_H */
