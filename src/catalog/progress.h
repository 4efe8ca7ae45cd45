/*
 * progress.h
 *	  Where long work says how far it is.
 *
 * Each backend has a place in shared memory where the server's own long
 * commands report; ours use that, as a command that the server's progress views
 * do not know and so leave out.  The server clears it when a transaction aborts.
 */
#ifndef FEATURESTORE_PROGRESS_H
#define FEATURESTORE_PROGRESS_H

#include "utils/backend_progress.h"
#include "utils/timestamp.h"

/* No command of the server's; they are numbered from 1. */
#define PROGRESS_COMMAND_FEATURESTORE ((ProgressCommandType) 0x4653)

/* What its parameters mean. */
enum
{
	PROGRESS_OPERATION,
	PROGRESS_PHASE,
	PROGRESS_DONE,
	PROGRESS_TOTAL,				/* -1: not known */
	PROGRESS_STARTED			/* of the phase */
};

typedef enum ProgressOperation
{
	OPERATION_PUBLISH,
	OPERATION_MATERIALIZE,
	OPERATION_TRAIN
} ProgressOperation;

/* Those of fills are numbered in SQL. */
typedef enum ProgressPhase
{
	PHASE_NONE,
	PHASE_READING,
	PHASE_WRITING,
	PHASE_WRITING_OFFLINE,
	PHASE_APPLYING,
	PHASE_FILLING,
	PHASE_READING_LABELS,
	PHASE_LOOKING_UP,
	PHASE_GIVING_ROWS
} ProgressPhase;

/* Begins a phase of an operation that is about a relation. */
static inline void
progress_begin(Oid relid, ProgressOperation operation, ProgressPhase phase, int64 total)
{
	static const int parameters[] = {
		PROGRESS_OPERATION, PROGRESS_PHASE, PROGRESS_DONE, PROGRESS_TOTAL, PROGRESS_STARTED
	};
	int64		values[] = {operation, phase, 0, total, GetCurrentTimestamp()};

	pgstat_progress_start_command(PROGRESS_COMMAND_FEATURESTORE, relid);
	pgstat_progress_update_multi_param(lengthof(parameters), parameters, values);
}

#endif							/* FEATURESTORE_PROGRESS_H */
