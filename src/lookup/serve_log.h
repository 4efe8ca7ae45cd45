/*
 * serve_log.h
 *	  What lookups have served, on its way from them to a table.
 */
#ifndef FEATURESTORE_SERVE_LOG_H
#define FEATURESTORE_SERVE_LOG_H

#include "storage/proc.h"
#include "utils/snapshot.h"

#include "lookup/lookup.h"
#include "lookup/metadata.h"

/* What precedes a vector; what is the same for its run, statuses and row follow. */
typedef struct VectorHeader
{
	uint32		size;			/* of it all */
	Oid			spec;
	int			version;
	uint32		common_size;
	uint32		nstatuses;		/* one a result column of the spec */
	uint32		row_size;
	TimestampTz as_of;
	TimestampTz logged_at;
} VectorHeader;

/* One vector that was served; all but the header and rest is read on request. */
typedef struct ServedVector
{
	VectorHeader header;
	char	   *rest;
	char	   *snapshot;
	TablePosition *positions;
	int			npositions;
	uint8	   *statuses;
	HeapTupleData row;			/* the working row */
} ServedVector;

/* Vectors of this database that were taken out of shared memory. */
typedef struct ServedVectors
{
	char	   *data;
	Size		size;
	Size		at;				/* where the next begins */
} ServedVectors;

extern void serve_log_init(void);

extern Oid	owner_of(Oid relation);

/* For lookups: whether any row of a run is to be logged, and the current one if it is. */
extern bool serve_log_wants(LookupRun *run);
extern void serve_log_row(LookupRun *run);

/* For the worker: takes all there is, in the current memory context; and the vectors one by one. */
extern bool serve_log_is_there(void);
extern bool serve_log_is_pressing(void);
extern bool serve_log_take(ServedVectors *vectors);
extern bool next_served_vector(ServedVectors *vectors, ServedVector *vector);
extern void read_served_vector(ServedVector *vector);
extern void count_served_vectors(int64 logged, int64 lost);
extern void serve_log_forget_dropped(void);

#endif							/* FEATURESTORE_SERVE_LOG_H */
