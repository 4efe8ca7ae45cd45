/*
 * scan.h
 *	  What scans of one lookup and joins with batches of requests have in common.
 */
#ifndef FEATURESTORE_SCAN_H
#define FEATURESTORE_SCAN_H

#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/pathnodes.h"

#include "lookup/lookup.h"

/* Functions that a scan can stand for; those "at" a time have it as an argument. */
typedef enum LookupScanKind
{
	SCAN_NONE,
	SCAN_ROWS,
	SCAN_ROWS_AT,
	SCAN_VECTORS_AT
} LookupScanKind;

/* Number of a call's argument that is the first column of the request; number 0 is the spec. */
#define FIRST_COLUMN_ARGUMENT(kind) ((kind) == SCAN_ROWS ? 1 : 2)

/* A column of the slot that is not a plain column of the working row. */
#define WHOLE_ROW (-1)
#define STATUS_TEXT (-2)
#define VECTOR_COLUMN (-3)
#define OUTER_COLUMN (-4)

/* The state of a scan. */
typedef struct LookupScan
{
	CustomScanState css;
	Oid			type;			/* of the spec's rows */
	LookupScanKind kind;
	LookupRun  *run;
	MemoryContext cxt;			/* of the request */
	bool		is_requested;	/* there is a request */
	bool		has_time;
	TimestampTz time;			/* T where no argument gives it: that of the first request */

	int			nargs;
	ExprState **args;			/* NULL for those whose value is known from the start */
	Oid		   *types;			/* of the arguments */
	NullableDatum *values;
	int			first;			/* of them that is a column of the request */
	LookupRequest *in_place;	/* if requests need only the values */

	int			ncolumns;
	int		   *results;		/* result that a column of the slot gives */
	int		   *columns;		/* the working column it is in, or one of the above */
	Datum	   *row_values;		/* of the row as a whole, if the query refers to it */
	bool	   *row_nulls;
	TupleTableSlot *row_slot;	/* for a row that is given again, made when needed */

	VectorLayout *layout;		/* if it gives vectors */
	Datum		vector;
	float4	   *numbers;		/* in it */
} LookupScan;

/* scan_path.c */
extern LookupScanKind scan_kind(Oid function);
extern FuncExpr *scannable_call(RelOptInfo *rel, RangeTblEntry *rte);
extern ItemNeeds *needs_of_columns(Spec *spec, FuncExpr *call, Index rti, List *columns);
extern double estimate_probes(Spec *spec, ItemNeeds *needs, bool *varies, double rows);
extern void note_dependencies(PlannerInfo *root, Spec *spec, FuncExpr *call);
extern List *describe_scan(FuncExpr *call, List *outer_columns);

/* scan.c */
extern void scan_open(LookupScan *scan, EState *estate);
extern void scan_expect_requests(LookupScan *scan);
extern TimestampTz scan_time(LookupScan *scan);
extern void scan_request(LookupScan *scan, LookupRequest *request);
extern bool scan_next(LookupScan *scan);
extern void scan_fill_slot(LookupScan *scan, TupleTableSlot *slot);
extern void scan_end_request(LookupScan *scan);
extern void scan_explain(CustomScanState *node, List *ancestors, struct ExplainState *es);
extern Node *create_lookup_scan_state(CustomScan *plan);

/* join_path.c */
extern void lookup_join_init(void);

/* join.c */
extern Node *create_lookup_join_state(CustomScan *plan);

#endif							/* FEATURESTORE_SCAN_H */
