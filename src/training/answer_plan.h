/*
 * answer_plan.h
 *	  What plans of rows and plans of events have in common.
 */
#ifndef FEATURESTORE_ANSWER_PLAN_H
#define FEATURESTORE_ANSWER_PLAN_H

#include "catalog/json_values.h"
#include "training/answer.h"

/* What an item is planned with. */
typedef struct ItemPlanner
{
	Spec	   *spec;
	SpecItem   *item;
	Relation	rel;			/* its table */
	bool		has_known_at;
	bool		allow_current;
	JsonbContainer *table;		/* as of _training_table */
} ItemPlanner;

/* answer_plan.c */

/* Runs a function that gives an object; NULL for NULL. */
extern JsonbContainer *call_for_object(const char *sql, int nargs, Oid *types, Datum *values,
									   const char *nulls);

/* The relation whose OID is a member of an object, or InvalidOid. */
extern Oid	get_relation(JsonbContainer *object, const char *member);

/* A plan for one item that has no sources yet. */
extern AnswerPlan *make_plan(ItemPlanner *planner, int item);

/* A source that is this relation, with the item's keys. */
extern AnswerSource *make_source(ItemPlanner *planner, SourceKind kind, Oid relid);

/* The time of rows is a column of the source. */
extern void set_time(AnswerSource *source, const char *name);

/* Asks when rows were committed, to compare that with what was known; raises 55000 if that is not kept. */
extern void add_commit_times(AnswerSource *source);

/* answer_events.c */

/* Plans an item whose outputs are over windows of features; false if it has others. */
extern bool plan_events(ItemPlanner *planner, int item, List **plans);

/* Completes these plans, once all items are in. */
extern void finish_event_plans(List *plans);

#endif							/* FEATURESTORE_ANSWER_PLAN_H */
