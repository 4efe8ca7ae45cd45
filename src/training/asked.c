/*
 * asked.c
 *	  The labels that were asked for, in order of key and time.
 *
 * Most keys are one integer.  Such labels are small enough to be sorted in an
 * array of their own, as long as it takes no more than half of work_mem; all
 * others, and those beyond that, are left to a tuplesort, which spills.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "training/answer.h"

/* A label whose key is an integer, and of which nothing else is to be known. */
typedef struct PlainLabel
{
	int64		key;
	TimestampTz at;
	int64		row;
} PlainLabel;

#define ST_SORT sort_plain_labels
#define ST_ELEMENT_TYPE PlainLabel
#define ST_COMPARE(a, b) \
	((a)->key < (b)->key ? -1 : (a)->key > (b)->key ? 1 : \
	 (a)->at < (b)->at ? -1 : (a)->at > (b)->at)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

#define FIRST_CAPACITY 1024

struct AskedLabels
{
	Answer	   *answer;
	int64		n;

	PlainLabel *plain;			/* NULL: they are in the sort */
	Size		capacity;
	Size		next;
	Datum		plain_key;		/* of the label that was read last */

	Tuplesortstate *sort;
	TupleTableSlot *unsorted;
	TupleTableSlot *sorted;
};

/* The columns of a label in the sort: keys, bound, row, known_at, T. */
static TupleDesc
label_columns(Answer *answer)
{
	TupleDesc	desc = CreateTemplateTupleDesc(answer->nkeys + 4);

	for (int i = 0; i < answer->nkeys; i++)
	{
		TupleDescInitEntry(desc, i + 1, NULL, answer->key_types[i], -1, 0);
		TupleDescInitEntryCollation(desc, i + 1, answer->key_order[i].ssup_collation);
	}
	for (int i = 0; i < 4; i++)
		TupleDescInitEntry(desc, answer->nkeys + i + 1, NULL,
						   i == 1 ? INT8OID : TIMESTAMPTZOID, -1, 0);
	return desc;
}

/* In the answer's memory: whoever asks may be in one that is gone before the labels are sorted. */
static void
begin_sort(AskedLabels *asked)
{
	Answer	   *answer = asked->answer;
	MemoryContext old = MemoryContextSwitchTo(answer->cxt);
	TupleDesc	desc = label_columns(answer);
	int			n = answer->nkeys + 1;
	AttrNumber *attnos = palloc(sizeof(AttrNumber) * n);
	Oid		   *operators = palloc(sizeof(Oid) * n);
	Oid		   *collations = palloc0(sizeof(Oid) * n);
	bool	   *nulls_first = palloc0(sizeof(bool) * n);

	for (int i = 0; i < n; i++)
	{
		Oid			type = i < answer->nkeys ? answer->key_types[i] : TIMESTAMPTZOID;

		attnos[i] = i + 1;
		operators[i] = lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr;
		if (i < answer->nkeys)
			collations[i] = answer->key_order[i].ssup_collation;
	}
	asked->sort = tuplesort_begin_heap(desc, n, attnos, operators, collations, nulls_first,
									   Max(work_mem / 2, 64), NULL,
									   answer->npasses > 1 ? TUPLESORT_RANDOMACCESS : TUPLESORT_NONE);
	asked->sorted = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	asked->unsorted = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	MemoryContextSwitchTo(old);
}

AskedLabels *
asked_begin(Answer *answer)
{
	AskedLabels *asked = palloc0(sizeof(AskedLabels));

	asked->answer = answer;
	if (answer->has_integer_key && !answer->plan->has_known_at)
	{
		asked->capacity = FIRST_CAPACITY;
		asked->plain = palloc(sizeof(PlainLabel) * asked->capacity);
	}
	else
		begin_sort(asked);
	return asked;
}

/* Puts a label into the sort. */
static void
put(AskedLabels *asked, const AskedLabel *label)
{
	TupleTableSlot *slot = asked->unsorted;
	int			nkeys = asked->answer->nkeys;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, false, sizeof(bool) * (nkeys + 4));
	memcpy(slot->tts_values, label->keys, sizeof(Datum) * nkeys);
	slot->tts_values[nkeys] = TimestampTzGetDatum(label->bound);
	slot->tts_values[nkeys + 1] = Int64GetDatum(label->row);
	slot->tts_values[nkeys + 2] = TimestampTzGetDatum(label->known_at);
	slot->tts_isnull[nkeys + 2] = TIMESTAMP_IS_NOEND(label->known_at);
	slot->tts_values[nkeys + 3] = TimestampTzGetDatum(label->at);
	slot->tts_isnull[nkeys + 3] = label->at == label->bound;
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(asked->sort, slot);
}

/* Makes the array larger, or moves its labels to the sort. */
static void
enlarge(AskedLabels *asked)
{
	Size		bytes = asked->capacity * 2 * sizeof(PlainLabel);

	if (bytes <= (Size) work_mem * 1024 / 2)
	{
		asked->plain = repalloc_huge(asked->plain, bytes);
		asked->capacity *= 2;
		return;
	}
	begin_sort(asked);
	for (Size i = 0; i < asked->n; i++)
	{
		PlainLabel *plain = &asked->plain[i];
		Datum		key = (Datum) plain->key;
		AskedLabel	label = {
			.keys = &key,.bound = plain->at,.row = plain->row,.known_at = DT_NOEND,.at = plain->at
		};

		put(asked, &label);
	}
	pfree(asked->plain);
	asked->plain = NULL;
}

void
asked_add(AskedLabels *asked, const AskedLabel *label)
{
	if (asked->plain && asked->n == asked->capacity)
		enlarge(asked);
	if (asked->plain)
		asked->plain[asked->n] = (PlainLabel) {(int64) label->keys[0], label->bound, label->row};
	else
		put(asked, label);
	asked->n++;
}

int64
asked_count(const AskedLabels *asked)
{
	return asked->n;
}

void
asked_sort(AskedLabels *asked)
{
	if (!asked->plain)
		tuplesort_performsort(asked->sort);
	else if (asked->n > 1)
		sort_plain_labels(asked->plain, asked->n);
}

/* Takes a label of the sort apart. */
static void
read_sorted(AskedLabels *asked, AskedLabel *label)
{
	TupleTableSlot *slot = asked->sorted;
	int			nkeys = asked->answer->nkeys;

	slot_getallattrs(slot);
	label->keys = slot->tts_values;
	label->bound = DatumGetTimestampTz(slot->tts_values[nkeys]);
	label->row = DatumGetInt64(slot->tts_values[nkeys + 1]);
	label->known_at = slot->tts_isnull[nkeys + 2] ? DT_NOEND :
		DatumGetTimestampTz(slot->tts_values[nkeys + 2]);
	label->at = slot->tts_isnull[nkeys + 3] ? label->bound :
		DatumGetTimestampTz(slot->tts_values[nkeys + 3]);
}

bool
asked_next(AskedLabels *asked, AskedLabel *label)
{
	PlainLabel *plain;

	if (!asked->plain)
	{
		if (!tuplesort_gettupleslot(asked->sort, true, false, asked->sorted, NULL))
			return false;
		read_sorted(asked, label);
		return true;
	}
	if (asked->next == asked->n)
		return false;
	plain = &asked->plain[asked->next++];
	asked->plain_key = (Datum) plain->key;
	label->keys = &asked->plain_key;
	label->bound = label->at = plain->at;
	label->row = plain->row;
	label->known_at = DT_NOEND;
	return true;
}

void
asked_rewind(AskedLabels *asked)
{
	asked->next = 0;
	if (asked->sort)
	{
		ExecClearTuple(asked->sorted);
		tuplesort_rescan(asked->sort);
	}
}

void
asked_end(AskedLabels *asked)
{
	if (asked->plain)
		pfree(asked->plain);
	if (asked->sort)
	{
		ExecDropSingleTupleTableSlot(asked->unsorted);
		ExecDropSingleTupleTableSlot(asked->sorted);
		tuplesort_end(asked->sort);
	}
	pfree(asked);
}
