/*
 * labels.h
 *	  The label frame: the rows that a training set is made for.
 *
 *		labels.c	the frame: a query, the columns of it that training needs, its rows
 *		run.c		from labels to working rows, chunk by chunk
 *		report.c	how point-in-time outputs are, and how many labels they cover
 *		rows.c		rows of training sets: into tables, and to whoever asks
 *		row_hash.c	a hash of rows that does not depend on how they are stored
 */
#ifndef FEATURESTORE_LABELS_H
#define FEATURESTORE_LABELS_H

#include "utils/tuplestore.h"

#include "lookup/lookup.h"
#include "training/training.h"

/* What labels are taken from, and how. */
typedef struct LabelOptions
{
	char	   *labels;			/* name of a relation, or query */
	char	   *timestamp_column;	/* NULL: all have the time of the statement */
	char	   *known_at;		/* column, or NULL */
	char	   *search_path;	/* for the names in labels; NULL: that of the session */
} LabelOptions;

typedef struct LabelFrame
{
	LabelOptions options;
	char	   *query;
	Spec	   *spec;
	TupleDesc	desc;
	AttrNumber	time_attno;		/* T; 0: that of the statement */
	Oid			time_type;		/* timestamptz or date */
	AttrNumber	known_attno;	/* or 0 */
	AttrNumber *attnos;			/* of the spec's arguments */
	Coercion   *coercions;		/* of values to the types of these */
	Tuplestorestate *store;		/* the rows, once they are read */
} LabelFrame;

/*
 * A label that is being read: its columns, and its times if it has all of
 * them.  A label without can have no features.
 */
typedef struct LabelTimes
{
	TimestampTz at;
	TimestampTz known_at;
	bool		has_times;
} LabelTimes;

/* The query that labels stands for: itself, or all rows of the relation that it names. */
extern char *label_query(const char *labels);

/*
 * Finds the columns of the labels that a spec needs, or refuses them.  Nothing
 * is read yet.
 */
extern LabelFrame *labels_describe(Spec *spec, const LabelOptions *options);

/* Runs the query; the rows go into the frame's store, which spills. */
extern void labels_read(LabelFrame *frame);

/* The times of the label in slot, all columns of which are fetched. */
extern LabelTimes label_times(LabelFrame *frame, TupleTableSlot *slot);

/* Is a column of the labels one that times, keys or fields are taken from? */
extern bool label_is_input(LabelFrame *frame, AttrNumber attno);

/* Argument i of the spec from the label in slot, in the current memory context; false for NULL. */
extern bool label_argument(LabelFrame *frame, int i, TupleTableSlot *slot, Datum *value);

typedef struct TrainingRun TrainingRun;

/* Opens a training run over a spec, that of a row type or one that is in no cache. */
extern TrainingRun *training_open(Oid type, Spec *spec, const LabelOptions *options,
								  bool allow_current, Datum visible_in);

/* Reads the labels and answers all lookups. */
extern void training_start(TrainingRun *run);

/*
 * Moves to the next label; false at the end.  The label's columns are in slot;
 * has_outputs says whether the working row of the lookup is that of the label,
 * or there are no outputs since the label has no time.
 */
extern bool training_next(TrainingRun *run);

extern void training_close(TrainingRun *run);

/* The time of a label for which a history of an item's table is asked. */
extern TimestampTz history_time(SpecItem *item, const LabelTimes *times, bool has_known_at);

struct TrainingRun
{
	LookupRun  *lookup;
	LookupRequest request;		/* the chunk's */
	LabelFrame *labels;
	List	   *plans;			/* AnswerPlans */
	Datum		visible_in;
	MemoryContext cxt;			/* of the call */

	int			nanswers;		/* that are performed, in the order of plans */
	struct RunAnswer *answers;
	bool	   *is_known;		/* items that these answer, and what is computed of them */

	MemoryContext chunk_cxt;
	int			chunk_limit;	/* labels of a chunk that are expected to fit in memory */
	int			nlabels;		/* of the chunk */
	int			next;			/* the next of them */
	int64		first;			/* number of the first of them, from 0 */
	MinimalTuple *tuples;
	int		   *chunk_rows;		/* row of the request of each, or -1 */
	int64	   *label_rows;		/* and number of the label of each row, from 1 */
	TimestampTz *known_at;		/* of each row */

	int64		row;			/* number of the current label, from 1 */
	TupleTableSlot *slot;		/* its columns */
	bool		has_outputs;
	LabelTimes	times;			/* if it has outputs */
};

/* report.c */

/* An output, or the status of one, of a spec. */
typedef struct OutputReport
{
	int			result;			/* of the spec's result columns */
	PointInTime point_in_time;
	TimestampTz history_from;
	Bitmapset  *inputs;			/* working columns of lookups that it is made of */
	int64		nulls;
	int64		not_covered;
} OutputReport;

typedef struct TrainingReport
{
	TrainingRun *run;
	int			noutputs;
	OutputReport *outputs;
	TimestampTz *covered_from;	/* of working columns: what is older is gone; DT_NOBEGIN: nothing is */
	bool		is_bounded;		/* is it, of any */
	int64		rows;
	uint64		hash;
} TrainingReport;

extern bool is_training_output(Spec *spec, int result);
extern TrainingReport *report_begin(TrainingRun *run);

/* Counts the current label, whose result row is given. */
extern void report_count(TrainingReport *report, const bool *nulls);

/* row_hash.c */
extern uint64 row_hash(TupleDesc desc, const Datum *values, const bool *nulls);

#endif							/* FEATURESTORE_LABELS_H */
