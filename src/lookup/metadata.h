/*
 * metadata.h
 *	  What can be told, and logged, of a lookup besides its values.
 */
#ifndef FEATURESTORE_METADATA_H
#define FEATURESTORE_METADATA_H

#include "access/transam.h"
#include "utils/jsonb.h"
#include "utils/snapshot.h"

#include "lookup/lookup.h"

/* Beside a LookupStatus: the window output is not exact. */
#define STATUS_IS_APPROXIMATE 0x80

/* How far a table was, as a snapshot sees it. */
typedef struct TablePosition
{
	Oid			relid;
	bool		is_known;		/* it is published and filled */
	TimestampTz applied_to;
	char	   *snapshot;		/* changes it shows are applied; NULL: none is kept */
	uint64		own_xid;		/* of these up to own_sequence, too; 0: none */
	int64		own_sequence;
} TablePosition;

/* What is the same for all rows of a lookup. */
typedef struct LookupMetadata
{
	Jsonb	   *tables;
	char	   *snapshot;		/* NULL where the lookup may see what nobody else does */
} LookupMetadata;

/* A transaction id with its epoch, given the next one. */
static inline uint64
widen_xid(FullTransactionId next, TransactionId xid)
{
	uint64		epoch = EpochFromFullTransactionId(next);

	if (!TransactionIdIsNormal(xid))
		return xid;
	return (epoch - (xid > XidFromFullTransactionId(next))) << 32 | xid;
}

/* Between these, types write values in a form that depends on no setting. */
extern int	begin_texts(void);
extern void end_texts(int nest_level);

/* Is a result column an output, neither a key nor a status? */
extern bool is_served(const Spec *spec, int result);

extern char *snapshot_text(Snapshot snapshot);
extern TablePosition table_position(Oid relid, Snapshot snapshot);

/* The positions of all tables of a run. */
extern TablePosition *run_positions(LookupRun *run, int *n);
extern Jsonb *positions_as_json(const TablePosition *positions, int n);

/* Arguments and outputs of a working row as texts, and the statuses of the latter, by name. */
extern Jsonb *request_as_json(const Spec *spec, const Datum *values, const bool *nulls);
extern Jsonb *outputs_as_json(const Spec *spec, const Datum *values, const bool *nulls);
extern Jsonb *statuses_as_json(const Spec *spec, const uint8 *statuses);

/* Finds what is the same for all rows, once the run has started. */
extern void begin_metadata(LookupRun *run, LookupMetadata *metadata);

/* The current row's values, with everything that is known about them. */
extern Jsonb *add_metadata(LookupRun *run, const LookupMetadata *metadata, Jsonb *values);

#endif							/* FEATURESTORE_METADATA_H */
