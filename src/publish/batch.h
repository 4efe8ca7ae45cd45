/*
 * batch.h
 *	  A batch of changes on its way to an online table.
 */
#ifndef FEATURESTORE_BATCH_H
#define FEATURESTORE_BATCH_H

#include "executor/spi.h"
#include "nodes/pg_list.h"
#include "utils/elog.h"
#include "utils/jsonb.h"
#include "utils/snapshot.h"

/*
 * Parameters of the statements that read staged changes: the clock, the
 * position, changes not to apply, and the only ones to apply, if not NULL.
 */
enum
{
	PARAM_CLOCK,
	PARAM_SNAPSHOT,
	PARAM_OWN_XID,
	PARAM_OWN_SEQUENCE,
	PARAM_REJECTED,
	PARAM_ONLY,
	NUM_PARAMS
};

/* Kinds of changes, bits that are put together over a batch. */
enum
{
	KIND_PUT = 1,
	KIND_REMOVE = 2,
	KIND_TRUNCATE = 4,
	KIND_TRUNCATE_PARTITION = 8,
	KIND_UNKNOWN = 16
};

/* What the statement that runs has read of a batch. */
typedef struct ChangeTally
{
	int64		rows;
	int			kinds;
	int64		later;			/* events that are not due yet */
} ChangeTally;

typedef struct Batch
{
	Jsonb	   *program;		/* the statements */
	Snapshot	snapshot;		/* everything is read under it */
	Datum		params[NUM_PARAMS];
	char		nulls[NUM_PARAMS];
	int			truncations;	/* kinds of changes that tell that the source must be looked at anew */
	int			kinds;			/* found in it so far */
	bool		has_removals;	/* the statement for batches that only add will not do */
	bool		is_in_quarantine;	/* changes are left out: plans depend on which */
	Jsonb	   *keys;			/* to be rebuilt besides those that the changes ask for */
	List	   *results;		/* Jsonb that the statements gave */
	List	   *rejected;		/* RejectedChange */
	MemoryContext context;		/* of all that is kept */
} Batch;

/* A change that cannot be applied. */
typedef struct RejectedChange
{
	int64		sequence;
	char	   *sqlstate;
	char	   *message;
} RejectedChange;

/* apply.c */
extern Jsonb *execute_statement(Batch *batch, const char *sql, bool keep, int nparams,
								const Oid *types, Datum *values, const char *nulls);
extern const Oid *batch_param_types(void);
extern char *program_text(JsonbContainer *object, const char *name);
extern bool try_apply(Batch *batch, Jsonb *keys, ErrorData **error);

/* staged.c */
extern ChangeTally change_tally;

/* quarantine.c */
extern bool try_step(void (*step) (Batch *batch, void *arg), Batch *batch, void *arg,
					 ErrorData **error);
extern bool apply_with_quarantine(Batch *batch);

#endif							/* FEATURESTORE_BATCH_H */
