/*
 * synchronous.h
 *	  What a session knows of the tables that it applies its own changes to.
 */
#ifndef FEATURESTORE_SYNCHRONOUS_H
#define FEATURESTORE_SYNCHRONOUS_H

#include "access/tupdesc.h"
#include "executor/spi.h"
#include "utils/palloc.h"

/* A statement and its plan, which is made when it is needed. */
typedef struct Statement
{
	char	   *sql;			/* NULL if there is none */
	SPIPlanPtr	plan;
	bool		is_warm;		/* the plan has been run */
} Statement;

/* What changes of one source take; see _synchronous_part. */
typedef struct SourcePart
{
	Oid			source;
	char	   *name;			/* of its own changes in the statements */
	TupleDesc	desc;			/* that the plans were made with */
	bool		is_whole;
	Statement	put;
	Statement	apply;
	Statement	later;
	Statement	lock;			/* for changes of this source alone */
	char	   *keys;
} SourcePart;

/* An online table that own changes are applied to. */
typedef struct SynchronousTable
{
	Oid			relation;		/* key */
	uint64		generation;		/* in which this was read */
	MemoryContext context;		/* of what follows */
	bool		is_applied_to;
	Oid			owner;
	bool		has_purges;
	char	   *lock;			/* NULL where nothing needs to be locked first */
	Statement	empty;			/* which of the rows that were inserted to be locked are so */
	Statement	rebuild;
	int			nparts;
	SourcePart *parts;
} SynchronousTable;

/* A source, and the tables that its changes are applied to. */
typedef struct SynchronousSource
{
	Oid			source;			/* key */
	uint64		generation;
	int			ntables;
	Oid		   *tables;			/* ascending */
} SynchronousSource;

/* synchronous_tables.c */
extern SynchronousSource *find_source(Oid relid);
extern SynchronousTable *find_table(Oid relid);
extern void forget_statement(Statement *statement);
extern void forget_plans(SourcePart *part);
extern void begin_as(Oid role, int *nest_level, Oid *user, int *context);
extern void end_as(int nest_level, Oid user, int context);
extern void set_for_texts(void);
extern void set_for_planning(void);

#endif							/* FEATURESTORE_SYNCHRONOUS_H */
