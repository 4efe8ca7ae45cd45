/*
 * history.h
 *	  Histories of online tables: what the trigger that writes them knows of one.
 */
#ifndef FEATURESTORE_HISTORY_H
#define FEATURESTORE_HISTORY_H

#include "access/attnum.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/palloc.h"
#include "utils/relcache.h"

/* A column of a history; where it comes from and how its values compare. */
typedef struct HistoryColumn
{
	AttrNumber	source;			/* column of the online table; 0: none any more */
	int16		typlen;
	bool		typbyval;
	bool		is_key;
} HistoryColumn;

/* An index by the key, and the columns of the online table that it takes, in its order. */
typedef struct KeyIndex
{
	Oid			index;
	int			nkeys;
	AttrNumber *sources;
	ScanKeyData *keys;			/* without arguments */
} KeyIndex;

typedef struct HistoryTable
{
	Oid			relid;			/* the online table: key of the cache */
	bool		is_valid;
	bool		is_kept;		/* has a history; if not, the rest is not set */
	Oid			history;

	MemoryContext cxt;			/* holds what follows */
	int			ncolumns;
	HistoryColumn *columns;		/* of the history, by attribute number */
	AttrNumber	last_source;	/* greatest source of them */
	AttrNumber	valid_from;
	AttrNumber	is_deleted;
	KeyIndex	versions;		/* index of the history; the time follows the key */
	KeyIndex	rows;			/* index of the online table */
	int			nindexes;		/* of the history */
	Oid		   *indexes;
	IndexInfo **index_infos;
	TupleTableSlot *version;	/* the version being written */
} HistoryTable;

extern void history_table_init(void);
extern HistoryTable *history_table(Relation rel);

#endif							/* FEATURESTORE_HISTORY_H */
