/*
 * training.h
 *	  Spec outputs as they were at the time of each label.
 *
 * Training is a lookup whose rows are labels, each with a T of its own.  Where
 * a lookup probes a table, training asks an answer: what the item would have
 * found at T.  All else, from defaults to expressions, is the lookup's code.
 *
 * An answer is asked for all labels first and then performed, so that it can
 * choose: to sort the labels and read the source once in the same order (a
 * sweep), or to look up each (a seek).  Both give the same bytes.  Items that
 * read the same source by the same key share an answer.
 *
 *		training_sources.sql	what an item is read from
 *		answer_plan.c, answer_events.c	the catalog's description of it -> AnswerPlan
 *		answer.c	asking and giving; which plan costs least
 *		asked.c, results.c	labels in order of key, results in order of row
 *		source_query.c	the statements that read a source
 *		sweep.c		merges rows in order of key with the labels
 *		seek.c		looks up what labels need
 *		as_of.c		the row that counts at T
 *		windows.c	functions over windows at T
 */
#ifndef FEATURESTORE_TRAINING_H
#define FEATURESTORE_TRAINING_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "catalog/spec.h"

/* How point-in-time an answer is, the better the less. */
typedef enum PointInTime
{
	POINT_EXACT,				/* as it was at T */
	POINT_HISTORY_FROM,			/* the same from a time on; before it nothing is known */
	POINT_CURRENT_ROW			/* as it is now, whatever T */
} PointInTime;

/* How lookup items of a spec that have the same keys are answered together. */
typedef struct AnswerPlan
{
	int			nitems;
	int		   *items;			/* of the spec */
	int			nkeys;			/* of each of the items */
	int		   *key_columns;	/* of the working row, in the order in which keys are asked */
	PointInTime point_in_time;
	TimestampTz history_from;	/* of POINT_HISTORY_FROM */
	bool		has_known_at;
	List	   *sources;		/* what is read, each in one pass; answer_plan.c's */
} AnswerPlan;

/* What an item found for a label. */
typedef struct AnswerItem
{
	bool		found;			/* if not, there are no values */
	bool		has_time;
	TimestampTz event_time;		/* of the row found, for max_age */
	Datum	   *values;			/* of the item's columns in the working row */
	bool	   *nulls;
	uint8	   *flags;			/* of window outputs, as window_evaluate gives them; else 0 */
} AnswerItem;

typedef struct Answer Answer;

/* How sources are read; a setting, for tests. */
typedef enum TrainingPlan
{
	TRAINING_PLAN_AUTO,			/* by what costs least */
	TRAINING_PLAN_SWEEP,
	TRAINING_PLAN_SEEK
} TrainingPlan;

/* answer_plan.c */

/*
 * Plans answers for all lookup items of a spec, in an order in which the keys
 * of each come from the request or from items of plans before it, or computed
 * from these.  Plans live in the current memory context.  Raises 55000 for an
 * item that cannot be had, 42501 where reading it takes a privilege that the
 * user does not have.
 */
extern List *plan_answers(Spec *spec, bool has_known_at, bool allow_current);

/* answer.c */
extern int	training_plan;

/* point_in_time as users see it. */
extern const char *point_in_time_name(PointInTime point);

/*
 * Begins an answer, in a memory context of its own below the current one.  If
 * visible_in is not 0 it is a pg_snapshot, and rows of the source that it does
 * not show do not count.
 */
extern Answer *answer_begin(Spec *spec, AnswerPlan *plan, Datum visible_in);

/*
 * Asks for a label; rows ascend, and need not be without gaps.  Keys are of
 * the types of the looked-up table's key columns, as fetch_keys() gives them
 * in the order of the item's keys; none is NULL.  They are copied.  T and
 * known_at are finite; known_at counts only if the plan has it.
 */
extern void answer_ask(Answer *answer, int64 row, const Datum *keys, TimestampTz at,
					   TimestampTz known_at);

/* Reads the source, under the active snapshot and with the user's rights. */
extern void answer_perform(Answer *answer);

/*
 * Gives the next row that was asked for, and for each item of the plan what it
 * found, good until the next call; false at the end.
 */
extern bool answer_next(Answer *answer, int64 *row, AnswerItem *items);

/* Starts giving from the first row again. */
extern void answer_rewind(Answer *answer);

extern void answer_end(Answer *answer);

#endif							/* FEATURESTORE_TRAINING_H */
