/*
 * spec.h
 *	  A feature spec, compiled: what a lookup needs to know, ready to run.
 *
 * A spec is stored as a view that is never executed.  Its innermost subquery
 * gives the request (typed NULLs named after the arguments, as_of last); each
 * level around it adds the columns of one item, in the order in which the
 * items run; the outermost level picks the result.  So every level has the
 * columns of the one below at the same positions, and the columns of the last
 * level are the "working row" that a lookup fills from left to right.
 *
 * A level that joins a table takes columns of it, and window outputs: what
 * window_value gives of a column of states, at as_of.  The call is not run as
 * such; all outputs of one state are evaluated together.  A spec that is only
 * for training can have NULL in the place of the state: then the table is the
 * view of a feature, and the output is computed from its events.
 *
 * PostgreSQL tracks the view's dependencies: DROP, RENAME, dumps and restores
 * of what a spec reads behave as they do for any view.
 */
#ifndef FEATURESTORE_SPEC_H
#define FEATURESTORE_SPEC_H

#include "access/attnum.h"
#include "access/htup.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "nodes/execnodes.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/palloc.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "catalog/pending.h"

/* A column of the working row. */
typedef struct SpecColumn
{
	char	   *name;
	Oid			type;
	int32		typmod;
	Oid			collation;
	Oid			array_type;		/* of such values, or 0 */
	int16		typlen;
	bool		typbyval;
	char		typalign;
	bool		is_output;		/* an item gives it, or a request field */
	int			item;			/* index of the item that gives it, or -1 */
	int			length;			/* declared length of an array output, or 0 */
	bool		has_default;
	Datum		default_value;
	bool		is_window;		/* a window output */
	bool		has_empty_value;	/* of an entity never seen: a count's 0 */
	Datum		empty_value;
} SpecColumn;

/* A column of the result row: a working column, or the status of one. */
typedef struct ResultColumn
{
	int			column;
	bool		is_status;
} ResultColumn;

/* One key of a looked-up table. */
typedef struct SpecKey
{
	AttrNumber	attno;			/* in the table */
	int			column;			/* in the working row */
} SpecKey;

/* The window outputs of an item that come from one column of states. */
typedef struct SpecWindows
{
	AttrNumber	attno;			/* of the states, or 0: there are none */
	struct WindowPlan *plan;
	int		   *positions;		/* of each output among the item's columns */
	Datum	   *values;			/* of the outputs, to be reused from row to row */
	bool	   *nulls;
	uint8	   *flags;
} SpecWindows;

/*
 * An item that runs: a lookup (relid is valid) or a computed column, which is
 * an expression or a feature function (expr is set).
 */
typedef struct SpecItem
{
	char	   *name;			/* for messages */
	int			first_column;	/* its columns in the working row */
	int			ncolumns;

	Oid			relid;
	int			nkeys;
	SpecKey    *keys;
	AttrNumber	time_attno;		/* event time column, or 0 */
	Oid			time_type;		/* timestamptz or date */
	AttrNumber *attnos;			/* table column of each working column; 0: a window output */
	int			nwindows;
	SpecWindows *windows;		/* one for each column of states */
	Bitmapset  *columns_read;	/* of the table, besides keys */
	int64		max_age;		/* microseconds, or -1: the least of the bounds */
	int64		max_lag;		/* microseconds, or -1 */
	bool		is_published;	/* has a publication, so it may not be ready */
	bool		known_ready;	/* its first fill is visible to everybody */
	struct ItemAccess *access;	/* how to reach it; made by the lookup */
	bool		is_computed;	/* a feature that has no states; the table is its view */

	Expr	   *expr;
	bool		is_early;		/* a later item needs it as a key */
	ExprState  *state;			/* cached when evaluation cannot re-enter */
} SpecItem;

typedef struct Spec
{
	Oid			type;			/* of the result row; the cache's key */
	Oid			relid;			/* of the view */
	bool		is_valid;
	MemoryContext cxt;			/* holds all of this */
	char	   *name;			/* qualified and quoted */
	int			version;

	int			nargs;			/* the first columns are the request's */
	int			ncolumns;		/* column nargs is as_of */
	SpecColumn *columns;
	TupleDesc	working_desc;

	int			nitems;
	SpecItem   *items;
	List	   *functions;		/* that expressions call */
	Oid			user;			/* was last found to have the right to call them */
	bool		is_for_user;	/* planning put what only this user may call in their place */
	bool		has_expressions;
	bool		has_late_expressions;

	/*
	 * For expressions, all reused from call to call: whoever runs first in a
	 * transaction takes them, and notes the transaction; a lookup within a
	 * lookup makes its own.
	 */
	bool		states_are_cached;
	LocalTransactionId taken_by;
	TupleTableSlot *slot;
	ExprContext *econtext;

	int			nresults;
	ResultColumn *results;
	TupleDesc	result_desc;

	List	   *rtes;			/* for the permission check of each call */
	List	   *perminfos;

	struct ItemNeeds *needs;	/* of all columns; made by the first lookup */
	struct VectorLayout *vector;	/* made by the first vector or matrix call */
	int			stats_slot;		/* where lookups may be counted */
	uint64		log_limit;		/* rows whose keys have a hash below it are logged */
} Spec;

/* spec_cache.c */
extern Spec *spec_for_type(Oid type);
extern bool is_spec_type(Oid type);
extern Oid	spec_type_by_name(const char *name);
extern void spec_cache_init(void);

/* spec_load.c */
extern Spec *spec_load(Oid type);
extern Spec *spec_from_query(struct Query *query, Jsonb *steps);

/* spec_windows.c */
extern bool load_windows(Spec *spec, SpecItem *item, List *targets, Index table, Index below);

/* catalog.c: rows of the catalog tables, and the columns we read */
#define CATALOG_MAX_COLUMNS 20

#define Anum_online_table_timeseries_column 2
#define Anum_online_table_ttl 3
#define Anum_online_table_history_table 7
#define Anum_online_table_history_from 8

#define Anum_publication_source 2
#define Anum_publication_publish_mode 3
#define Anum_publication_source_retention 8
#define Anum_publication_is_paused 9
#define Anum_publication_schedule 10

#define Anum_publication_position_system_identifier 2
#define Anum_publication_position_applied_to 3
#define Anum_publication_position_filled 6
#define Anum_publication_position_snapshot 7
#define Anum_publication_position_own_xid 8
#define Anum_publication_position_own_sequence 9

#define Anum_staging_relation 1
#define Anum_staging_captured_source 2
#define Anum_staging_online_table 3
#define Anum_staging_key_columns 4
#define Anum_staging_current_partition 5
#define Anum_staging_current_relation 6
#define Anum_staging_system_identifier 7
#define Anum_staging_is_written 8
#define Anum_staging_is_applied 9

#define Anum_held_change_relation 1
#define Anum_held_change_system_identifier 2
#define Anum_held_change_due 4

#define Anum_feature_source 4
#define Anum_feature_online_table 14

#define Anum_training_set_frozen_spec 2
#define Anum_training_set_allow_current 12

#define Anum_spec_version 2
#define Anum_spec_steps 6

#define Anum_serve_log_log_table 2
#define Anum_serve_log_fraction 3

extern Relation open_catalog_to_read(const char *catalog);
extern HeapTuple catalog_fetch(const char *catalog, Oid relid, Snapshot snapshot, Datum *values,
							   bool *nulls);
extern HeapTuple catalog_fetch_captured(Oid source, Datum *values, bool *nulls);
extern HeapTuple catalog_fetch_fed(Oid online_table, Datum *values, bool *nulls);

/* How far a publication has come. */
typedef struct PublicationPosition
{
	TimestampTz applied_to;		/* every change of the source committed before is in the table */
	ArrayType  *filled;			/* names of columns of states that are filled, or NULL */
	bool		is_settled;		/* no snapshot of this session, present or future, finds it missing */
	bool		has_snapshot;	/* changes are applied as they are captured; if not, the next is not set */
	AppliedChanges applied;
} PublicationPosition;

extern bool publication_position(Oid relid, Snapshot snapshot, PublicationPosition *position);

/* file.c */
extern bool file_is_new(Oid relid, Snapshot snapshot, bool *is_settled);

#endif							/* FEATURESTORE_SPEC_H */
