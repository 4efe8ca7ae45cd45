/*
 * results.c
 *	  What was found for labels, in order of row.
 *
 * Results come in order of key.  As long as they fit in their part of work_mem
 * each is put in its place; if not, a tuplesort brings them in order, which
 * spills.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "training/answer.h"

/* Tuples are put into blocks of this size: many are small, and allocating each would take as much again. */
#define BLOCK_SIZE (64 * 1024)

struct Results
{
	Size		memory;			/* tuples may take */
	TupleDesc	desc;
	TupleTableSlot *given;

	MinimalTuple *places;		/* by row, from first_row on; NULL: results are in the sort */
	int64		first_row;
	int64		nplaces;
	int64		next;
	MemoryContext cxt;			/* of the tuples in place */
	char	   *block;			/* where the next go, one after the other */
	Size		left;			/* bytes of it */
	Size		used;			/* bytes of all blocks */

	Tuplesortstate *sort;
};

/* In the memory of the results, wherever the caller is. */
static void
begin_sort(Results *results)
{
	MemoryContext old = MemoryContextSwitchTo(MemoryContextGetParent(results->cxt));
	AttrNumber	attno = 1;
	Oid			operator = lookup_type_cache(INT8OID, TYPECACHE_LT_OPR)->lt_opr;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;

	results->sort = tuplesort_begin_heap(results->desc, 1, &attno, &operator, &collation,
										 &nulls_first, results->memory / 1024, NULL,
										 TUPLESORT_RANDOMACCESS);
	MemoryContextSwitchTo(old);
}

/*
 * Results with these columns, the first of which is the row; rows are from
 * first to last, and n of them.
 */
Results *
results_begin(TupleDesc desc, int64 first, int64 last, int64 n, Size memory)
{
	Results    *results = palloc0(sizeof(Results));
	int64		range = last - first + 1;

	results->cxt = AllocSetContextCreate(CurrentMemoryContext, "featurestore results",
										 ALLOCSET_DEFAULT_SIZES);
	results->memory = Max(memory, BLOCK_SIZE);
	results->desc = desc;
	results->given = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	if (n > 0 && range <= results->memory / 4 / sizeof(MinimalTuple))
	{
		results->places = palloc0(sizeof(MinimalTuple) * range);
		results->memory -= sizeof(MinimalTuple) * range;
		results->first_row = first;
		results->nplaces = range;
	}
	else
		begin_sort(results);
	return results;
}

/* Moves results that are in place to the sort. */
static void
leave_places(Results *results)
{
	TupleTableSlot *slot = results->given;

	begin_sort(results);
	for (int64 i = 0; i < results->nplaces; i++)
	{
		if (!results->places[i])
			continue;
		ExecStoreMinimalTuple(results->places[i], slot, false);
		tuplesort_puttupleslot(results->sort, slot);
	}
	ExecClearTuple(slot);
	MemoryContextReset(results->cxt);
	pfree(results->places);
	results->places = NULL;
}

/* Copies a tuple to where it stays. */
static MinimalTuple
place_tuple(Results *results, TupleTableSlot *slot)
{
	bool		should_free;
	MinimalTuple tuple = ExecFetchSlotMinimalTuple(slot, &should_free);
	Size		size = MAXALIGN(tuple->t_len);
	MinimalTuple result;

	if (size > results->left)
	{
		results->left = Max(size, BLOCK_SIZE);
		results->block = MemoryContextAllocHuge(results->cxt, results->left);
		results->used += results->left;
	}
	result = (MinimalTuple) results->block;
	memcpy(result, tuple, tuple->t_len);
	results->block += size;
	results->left -= size;
	if (should_free)
		pfree(tuple);
	return result;
}

void
results_put(Results *results, TupleTableSlot *slot)
{
	if (!results->places)
	{
		tuplesort_puttupleslot(results->sort, slot);
		return;
	}
	results->places[DatumGetInt64(slot->tts_values[0]) - results->first_row] =
		place_tuple(results, slot);
	if (unlikely(results->used > results->memory))
		leave_places(results);
}

void
results_finish(Results *results)
{
	if (results->sort)
		tuplesort_performsort(results->sort);
}

/* The next result, or NULL at the end. */
TupleTableSlot *
results_next(Results *results)
{
	TupleTableSlot *slot = results->given;

	if (results->sort)
	{
		if (!tuplesort_gettupleslot(results->sort, true, false, slot, NULL))
			return NULL;
	}
	else
	{
		while (results->next < results->nplaces && !results->places[results->next])
			results->next++;
		if (results->next == results->nplaces)
			return NULL;
		ExecStoreMinimalTuple(results->places[results->next++], slot, false);
	}
	slot_getallattrs(slot);
	return slot;
}

void
results_rewind(Results *results)
{
	ExecClearTuple(results->given);
	results->next = 0;
	if (results->sort)
		tuplesort_rescan(results->sort);
}

void
results_end(Results *results)
{
	ExecDropSingleTupleTableSlot(results->given);
	if (results->sort)
		tuplesort_end(results->sort);
}
