/*
 * capture.h
 *	  Capture of changes: what a trigger knows of its table, and the buffer of
 *	  the rows that it stages or that are applied when the transaction ends.
 */
#ifndef FEATURESTORE_CAPTURE_H
#define FEATURESTORE_CAPTURE_H

#include "access/attnum.h"
#include "access/htup.h"
#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/palloc.h"
#include "utils/relcache.h"

/* What a staged row says happened; the order is that of change_names. */
typedef enum ChangeType
{
	CHANGE_INSERT,
	CHANGE_UPDATE_PREIMAGE,
	CHANGE_UPDATE_POSTIMAGE,
	CHANGE_DELETE,
	CHANGE_TRUNCATE,
	CHANGE_TRUNCATE_PARTITION
} ChangeType;

#define CHANGE_TYPES (CHANGE_TRUNCATE_PARTITION + 1)

/* Bytes of WAL to a change number; the metadata of a staged row alone take more. */
#define CHANGE_NUMBER_UNIT 32

/* A column of a staged row that a column of the source goes to. */
typedef struct StagedColumn
{
	AttrNumber	staged;			/* in the staged row */
	AttrNumber	attno;			/* in the source */
	int16		typlen;
	bool		typbyval;
	bool		is_key;			/* an update that changes it has a preimage */
} StagedColumn;

/* Where the columns that each staging table has are. */
typedef struct MetadataColumns
{
	AttrNumber	change_type;
	AttrNumber	commit_timestamp;
	AttrNumber	sequence;
	AttrNumber	xid;
	AttrNumber	partition;
} MetadataColumns;

/*
 * Where changes go: to the staging table, or, as own changes, to what the
 * transaction applies itself.  Own changes have the columns of the source as it
 * is, so that a staging table that lags behind it does not matter.
 */
typedef struct CaptureTarget
{
	bool		is_own;
	Oid			relid;			/* partition of the staging table, or the source */
	TupleDesc	desc;			/* of the rows */
	MetadataColumns metadata;
	int			ncolumns;
	StagedColumn *columns;
	Datum	   *values;			/* of the row being staged */
	bool	   *nulls;
	struct StagedRows *rows;	/* their place in the buffer */
} CaptureTarget;

/* What the trigger knows of the table that it fired on. */
typedef struct CaptureSource
{
	Oid			relid;			/* key of the cache */
	bool		is_valid;
	bool		is_captured;	/* has a staging table; if not, the rest is not set */
	bool		is_written;		/* changes go to the staging table */
	Oid			root;			/* the table that is captured: this or an ancestor */
	Oid			staging;
	Oid			partition;		/* of the staging table */
	int16		partition_number;

	MemoryContext cxt;			/* holds what follows */
	int			ntargets;
	CaptureTarget targets[2];
	AttrNumber	last_attno;		/* greatest attno of columns */
	bool		always_preimage;
	Datum		change_names[CHANGE_TYPES];

	uint64		epoch;			/* in which it was locked and rows were looked up */
} CaptureSource;

/* A change as the buffer takes it. */
typedef struct StagedRow
{
	HeapTuple	tuple;			/* in the buffer's memory; NULL when being written for good */
	int64		sequence;
	CommandId	cid;			/* of the change */
	SubTransactionId made_in;
	SubTransactionId written_in;	/* or InvalidSubTransactionId */
	Oid			source;			/* table that changed */
	ItemPointerData replaced;	/* the version of the row that is no more; invalid for none */
	ChangeType	type;
} StagedRow;

/*
 * Rows of one partition of a staging table, or own changes of one source; these
 * count as written once they are applied.
 */
typedef struct StagedRows
{
	Oid			relid;
	bool		is_own;
	TupleDesc	desc;			/* that the rows were made with */
	AttrNumber	sequence_attno;
	int64		own_bytes;		/* of own changes that are not applied */
	int			n;
	int			size;
	StagedRow  *rows;
	CommandId	last_insert;	/* greatest cid of an insert, ever appended */
	CommandId	written;		/* greatest cid among rows that were written */
	CommandId	written_insert; /* and among the inserts of these */
} StagedRows;

/* capture_source.c */
extern void capture_source_init(void);
extern CaptureSource *capture_source(Relation rel);
extern void find_metadata(TupleDesc desc, MetadataColumns *metadata, Oid relid);
extern Oid	change_sequence(void);
extern uint64 capture_invalidations(void);

/* capture_buffer.c */
extern uint64 capture_epoch;
extern bool changes_staged;

extern void capture_buffer_init(void);
extern StagedRows *staged_rows(const CaptureTarget *target);
extern MemoryContext staged_rows_memory(void);
extern void stage_row(StagedRows *rows, const StagedRow *row, int position);
extern bool has_too_many(const StagedRows *list);
extern void write_rows_if_full(void);
extern void flush_captured_changes(void);
extern bool has_own_changes(void);
extern List *take_own_changes(void);

/* synchronous.c: own changes of a source, taken from the buffer to be applied */
typedef struct OwnChanges
{
	Oid			source;
	TupleDesc	desc;
	struct Tuplestorestate *rows;
	int			n;
	int			types;			/* bits of ChangeType */
} OwnChanges;

extern bool apply_own_changes(void);
extern void synchronous_forget(void);

/* synchronous_tables.c */
extern void synchronous_init(void);
extern void synchronous_invalidate(Oid relid);

/* set_constraints.c */
extern void set_constraints_init(void);

#endif							/* FEATURESTORE_CAPTURE_H */
