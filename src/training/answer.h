/*
 * answer.h
 *	  The parts of an answer, which only the files of answers see.
 *
 * Rows of the source come in order of key and time, and so do the labels.
 * Whatever the plan, a merge hands rows to a Taker, and asks it for the result
 * of a label when all rows that count for the label have come.
 */
#ifndef FEATURESTORE_ANSWER_H
#define FEATURESTORE_ANSWER_H

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/sortsupport.h"
#include "utils/tuplesort.h"

#include "lookup/lookup.h"
#include "training/training.h"
#include "window/timeline.h"

/* What the rows of a source are. */
typedef enum SourceKind
{
	SOURCE_AS_OF,				/* of each key the newest at T counts */
	SOURCE_VERSIONS,			/* of each key the version valid at T counts */
	SOURCE_DATED_VERSIONS,		/* versions of rows with a time: as of T and of known_at */
	SOURCE_VERSIONS_BY_DATE,	/* versions of a key's one row, which has a time: likewise */
	SOURCE_CURRENT,				/* the one row of a key, whatever T */
	SOURCE_EVENTS				/* all in windows count */
} SourceKind;

/* Where rows have no event time, or it is their place in time. */
#define NO_EVENT_TIME (-1)
#define EVENT_TIME_IS_TIME (-2)

/* Functions of one family, for outputs of the plan's items. */
typedef struct EventFunctions
{
	FamilySpec	family;
	int			noutputs;
	WindowOutput *outputs;
	int		   *items;			/* place in the plan of the item of each output */
	int		   *columns;		/* and the column there */
	int			first_value;	/* place of the first output among the source's values */
} EventFunctions;

/* Events that have one input and one filter. */
typedef struct EventTrack
{
	const char *input;			/* SQL; NULL: rows */
	const char *filter;			/* SQL, or NULL */
	const ValueType *type;
	List	   *functions;		/* of EventFunctions */
} EventTrack;

typedef struct AskedLabels AskedLabels;
typedef struct Results Results;

/* What is read; texts are SQL, about a row called source. */
typedef struct AnswerSource
{
	SourceKind	kind;
	const char *label;			/* for messages */
	Oid			relid;
	Oid			origin;			/* where its rows come from, if it is the view of a feature */
	char	   *relation;
	int			nkeys;
	char	  **keys;
	Oid		   *key_types;		/* of the labels' keys, which those have, too */
	Oid		   *key_collations;
	char	   *time;			/* or NULL */
	Oid			time_type;
	List	   *order;			/* of what follows the time */
	char	   *filter;			/* or NULL */
	char	   *arrived;		/* when a row became known, or NULL; VERSIONS_BY_DATE: its time */
	char	   *deleted;		/* or NULL */
	bool		is_restricted;	/* visible_in says which rows count */
	bool		runs_code;		/* that no lookup would run */
	bool		has_xmin;		/* it can, and when rows arrived can be told */
	int			ncolumns;
	char	  **columns;		/* what is read besides */
	Oid		   *column_types;	/* of rows, not of events */

	/* What it gives: for each value, the place of its item in the plan, and its column there */
	int			nvalues;
	int		   *value_items;
	int		   *value_columns;

	/* Rows: where the item's columns, states and event time are in columns */
	int		   *positions;		/* -1: a window output */
	int		   *states;
	int			event_time;		/* or NO_EVENT_TIME, or EVENT_TIME_IS_TIME: that of the source */

	/* Events: column i is the input of track i */
	List	   *tracks;
	char	   *rows;			/* the view's text, if the view is read */
	Oid			rows_owner;		/* whose rights it is read with; 0: the user's */
} AnswerSource;

/* A label that was asked for. */
typedef struct AskedLabel
{
	Datum	   *keys;
	TimestampTz bound;			/* rows up to it count */
	int64		row;
	TimestampTz known_at;
	TimestampTz at;
} AskedLabel;

/* A row of the source. */
typedef struct SourceRow
{
	Datum	   *keys;
	bool	   *key_nulls;
	TimestampTz time;			/* DT_NOBEGIN if there is none */
	TimestampTz arrived;		/* DT_NOBEGIN unless the source tells */
	bool		is_deleted;
	Datum	   *values;			/* of the source's columns */
	bool	   *nulls;
} SourceRow;

/* What becomes of rows: as_of.c, windows.c.  The result is that of the pass. */
typedef struct Taker
{
	void		(*clear) (struct Taker *taker); /* the next rows are of another key */
	void		(*next_label) (struct Taker *taker, const AskedLabel *label);	/* or NULL */
	void		(*take) (struct Taker *taker, const SourceRow *row);
	void		(*give) (struct Taker *taker, const AskedLabel *label); /* fills in the result */
} Taker;

/* One reading of one source, for all labels. */
typedef struct AnswerPass
{
	Answer	   *answer;
	AnswerSource *source;
	Taker	   *taker;

	TupleDesc	result_desc;
	Results    *results;		/* NULL: not performed yet */
	TupleTableSlot *result;		/* being filled */
	Datum	   *found;			/* in it */
	Datum	   *event_time;
	bool	   *has_no_time;
	Datum	   *values;
	bool	   *nulls;
	bytea	   *flags_bytes;	/* NULL if there are no windows */
	uint8	   *flags;
} AnswerPass;

struct Answer
{
	MemoryContext cxt;
	Spec	   *spec;
	AnswerPlan *plan;
	char	   *visible_in;		/* text of a snapshot, or NULL */
	SortSupport key_order;		/* of each key */
	int			npasses;
	AnswerPass *passes;
	AnswerItem *items;			/* what is given of each */

	int			nkeys;
	Oid		   *key_types;
	bool	   *key_byval;
	int16	   *key_lengths;
	bool		has_integer_key;	/* one, which compares as its Datum does */
	AskedLabels *labels;
	int64		first_row;
	int64		last_row;
	TimestampTz first_at;
	TimestampTz last_bound;
};

/* answer.c */
extern void give_label(AnswerPass *pass, const AskedLabel *label);

/* asked.c */
extern AskedLabels *asked_begin(Answer *answer);
extern void asked_add(AskedLabels *asked, const AskedLabel *label);
extern int64 asked_count(const AskedLabels *asked);
extern void asked_sort(AskedLabels *asked);
extern bool asked_next(AskedLabels *asked, AskedLabel *label);	/* good until the next call */
extern void asked_rewind(AskedLabels *asked);
extern void asked_end(AskedLabels *asked);

/* results.c */
extern Results *results_begin(TupleDesc desc, int64 first, int64 last, int64 n, Size memory);
extern void results_put(Results *results, TupleTableSlot *slot);
extern void results_finish(Results *results);
extern TupleTableSlot *results_next(Results *results);
extern void results_rewind(Results *results);
extern void results_end(Results *results);

/* as_of.c, windows.c */
extern Taker *as_of_taker(AnswerPass *pass);
extern Taker *window_taker(AnswerPass *pass);

/* The least start of all windows at an instant. */
extern TimestampTz window_taker_lo(Taker *taker, TimestampTz at);

/* Raises 42804 if an output is not of the type it was when the spec was made. */
extern void check_output_type(AnswerPass *pass, int value, Oid type);

/* source_query.c */
extern char *sweep_query(AnswerPass *pass);
extern char *point_query(AnswerPass *pass, bool is_probe);
extern char *range_query(AnswerPass *pass, bool is_probe);

/* sweep.c */
typedef struct Sweep Sweep;
extern Sweep *sweep_begin(AnswerPass *pass, bool is_complete);
extern void sweep_labels(Sweep *sweep, const AskedLabel *labels, int nlabels);
extern void sweep_run(Sweep *sweep, SPIPlanPtr plan, ParamListInfo parameters);
extern void sweep_end(Sweep *sweep);
extern void sweep_all(AnswerPass *pass, SPIPlanPtr plan);
extern void check_row_types(AnswerSource *source, TupleDesc desc, int first);
extern void read_row(AnswerSource *source, Datum *values, bool *nulls, SourceRow *row);
extern void execute_into(SPIPlanPtr plan, ParamListInfo parameters, DestReceiver *receiver);

/* reader.c */
extern void check_reader(AnswerSource *source, SPIPlanPtr plan);
extern void become_reader(AnswerSource *source, const char *sql);

/* seek.c */
extern void seek_points(AnswerPass *pass, SPIPlanPtr plan);
extern void seek_ranges(AnswerPass *pass, SPIPlanPtr plan);

/* answer_plan.c */
extern void check_restriction(AnswerSource *source);
extern char *relation_name(Oid relid);	/* raises 42P01 if there is none */

/* A time of a source as a timestamp; a date is its midnight, UTC. */
static inline TimestampTz
source_timestamp(const AnswerSource *source, Datum time)
{
	SpecItem	item = {.time_type = DATEOID};

	return likely(source->time_type != DATEOID) ? DatumGetTimestampTz(time) :
		event_timestamp(&item, time);
}

#endif							/* FEATURESTORE_ANSWER_H */
