/*
 * keys.c
 *	  The keys of a chunk: each once, in an order that is kind to the index.
 *
 * Keys are told apart by their binary images, which is finer than equality and
 * needs no operator.  Integers and their like are sorted as such, which is the
 * order of a btree; other keys by image, which for most is near to it.  Rows
 * with a NULL in the key have no probe of their own: they share the result
 * after the last.
 */
#include "postgres.h"

#include "utils/rel.h"

#include "lookup/lookup.h"

typedef struct IntegerKey
{
	int64		key;
	int			row;
} IntegerKey;

#define ST_SORT sort_integer_keys
#define ST_ELEMENT_TYPE IntegerKey
#define ST_COMPARE(a, b) ((a)->key < (b)->key ? -1 : (a)->key > (b)->key)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* For the general case: the keys of all rows, and what they are like. */
typedef struct KeyImages
{
	Datum	   *values;			/* nkeys for each row */
	ItemAccess *access;
	int			nkeys;
} KeyImages;

/* Is this an integer type, so that values of another fit after a range check? */
bool
is_integer_type(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* Is a value of any integer type in the range of this one? */
bool
integer_fits(Oid type, Datum value)
{
	int64		integer = (int64) value;

	switch (type)
	{
		case INT2OID:
			return integer >= PG_INT16_MIN && integer <= PG_INT16_MAX;
		case INT4OID:
			return integer >= PG_INT32_MIN && integer <= PG_INT32_MAX;
		default:
			return true;
	}
}

/* Fetches key k of a row; false when no row of the table can have it. */
static bool
fetch_key(LookupRun *run, ItemRun *irun, int k, int row, Datum *value)
{
	ItemAccess *access = irun->item->access;

	if (!row_value(run, irun->item->keys[k].column, row, value))
		return false;
	if (OidIsValid(access->range_types[k]) && !integer_fits(access->range_types[k], *value))
		return false;
	if (access->key_lengths[k] == -1)
		*value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(*value));
	return true;
}

/* Fetches all keys of a row; false when no row of the table can have them. */
bool
fetch_keys(LookupRun *run, ItemRun *irun, int row, Datum *values)
{
	for (int k = 0; k < irun->item->nkeys; k++)
	{
		if (!fetch_key(run, irun, k, row, &values[k]))
			return false;
	}
	return true;
}

/* One key that is passed by value: sort the values themselves. */
static void
gather_integer_keys(LookupRun *run, ItemRun *irun, int nrows)
{
	ProbeKeys  *keys = &irun->keys;
	IntegerKey *sorted = palloc(sizeof(IntegerKey) * nrows);
	int			n = 0;

	for (int row = 0; row < nrows; row++)
	{
		Datum		value;

		keys->row_probe[row] = -1;
		if (fetch_key(run, irun, 0, row, &value))
		{
			sorted[n].key = (int64) value;
			sorted[n++].row = row;
		}
	}
	if (n > 1)
		sort_integer_keys(sorted, n);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || sorted[i].key != sorted[i - 1].key)
			keys->values[keys->nprobes++] = (Datum) sorted[i].key;
		keys->row_probe[sorted[i].row] = keys->nprobes - 1;
	}
	pfree(sorted);
}

/* Orders two values by image. */
static int
compare_images(Datum a, Datum b, bool byval, int16 length)
{
	Size		length_a;
	Size		length_b;
	int			order;

	if (byval)
		return (int64) a < (int64) b ? -1 : (int64) a > (int64) b;
	if (length > 0)
		return memcmp(DatumGetPointer(a), DatumGetPointer(b), length);
	length_a = VARSIZE_ANY_EXHDR(DatumGetPointer(a));
	length_b = VARSIZE_ANY_EXHDR(DatumGetPointer(b));
	order = memcmp(VARDATA_ANY(DatumGetPointer(a)), VARDATA_ANY(DatumGetPointer(b)),
				   Min(length_a, length_b));
	if (order != 0)
		return order;
	return length_a < length_b ? -1 : length_a > length_b;
}

/*
 * Are two values equal to the bit?  False is no answer for one that is stored
 * compressed or out of line.
 */
bool
key_images_equal(Datum a, Datum b, bool byval, int16 length)
{
	if (!byval && length == -1 &&
		(VARATT_IS_COMPRESSED(DatumGetPointer(a)) || VARATT_IS_EXTERNAL(DatumGetPointer(a))))
		return false;
	return compare_images(a, b, byval, length) == 0;
}

/* qsort_arg comparator of two rows by their keys. */
static int
compare_rows(const void *a, const void *b, void *arg)
{
	KeyImages  *images = arg;
	Datum	   *left = images->values + (Size) *(const int *) a * images->nkeys;
	Datum	   *right = images->values + (Size) *(const int *) b * images->nkeys;

	for (int k = 0; k < images->nkeys; k++)
	{
		int			order = compare_images(left[k], right[k], images->access->key_byval[k],
										   images->access->key_lengths[k]);

		if (order != 0)
			return order;
	}
	return 0;
}

/* Any keys: sort the rows by the images of their keys. */
static void
gather_any_keys(LookupRun *run, ItemRun *irun, int nrows)
{
	ProbeKeys  *keys = &irun->keys;
	int			nkeys = irun->item->nkeys;
	KeyImages	images = {.access = irun->item->access,.nkeys = nkeys};
	int		   *sorted = palloc(sizeof(int) * nrows);
	int			n = 0;

	images.values = palloc(sizeof(Datum) * nkeys * nrows);
	for (int row = 0; row < nrows; row++)
	{
		keys->row_probe[row] = -1;
		if (fetch_keys(run, irun, row, &images.values[(Size) row * nkeys]))
			sorted[n++] = row;
	}
	if (n > 1)
		qsort_arg(sorted, n, sizeof(int), compare_rows, &images);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || compare_rows(&sorted[i], &sorted[i - 1], &images) != 0)
		{
			memcpy(keys->values + (Size) keys->nprobes * nkeys,
				   images.values + (Size) sorted[i] * nkeys, sizeof(Datum) * nkeys);
			keys->nprobes++;
		}
		keys->row_probe[sorted[i]] = keys->nprobes - 1;
	}
}

/* Makes the room of a constant item, in one piece. */
static ConstantRoom *
make_room(LookupRun *run, SpecItem *item)
{
	Size		head = MAXALIGN(sizeof(ConstantRoom));
	Size		size = head + sizeof(Datum) * (item->nkeys + 2 * item->ncolumns) +
		(sizeof(bool) + sizeof(uint8)) * 2 * item->ncolumns;
	char	   *space = MemoryContextAlloc(run->run_cxt, size);
	ConstantRoom *room = (ConstantRoom *) space;

	room->key = (Datum *) (space + head);
	room->values = room->key + item->nkeys;
	room->nulls = (bool *) (room->values + 2 * item->ncolumns);
	room->flags = (uint8 *) (room->nulls + 2 * item->ncolumns);
	return room;
}

/* Gathers the key of a constant item; what is detoasted of it is in the memory of the request. */
void
gather_constant_key(LookupRun *run, ItemRun *irun)
{
	ProbeKeys  *keys = &irun->keys;

	if (irun->is_gathered)
		return;
	if (!irun->room)
		irun->room = make_room(run, irun->item);
	keys->values = irun->room->key;
	keys->row_probe = &irun->room->row_probe;
	keys->row_probe[0] = 0;
	keys->nprobes = fetch_keys(run, irun, 0, keys->values) ? 1 : 0;
	irun->is_gathered = true;
}

/* Gathers the keys of the chunk for an item. */
void
gather_keys(LookupRun *run, ItemRun *irun)
{
	ProbeKeys  *keys = &irun->keys;
	int			nrows = run->chunk_rows;
	ItemAccess *access = irun->item->access;

	if (irun->is_constant)
	{
		gather_constant_key(run, irun);
		return;
	}
	keys->nprobes = 0;
	keys->values = palloc(sizeof(Datum) * irun->item->nkeys * nrows);
	keys->row_probe = palloc(sizeof(int) * nrows);
	if (irun->item->nkeys == 1 && access->key_byval[0])
		gather_integer_keys(run, irun, nrows);
	else
		gather_any_keys(run, irun, nrows);

	for (int row = 0; row < nrows; row++)
	{
		if (keys->row_probe[row] < 0)
			keys->row_probe[row] = keys->nprobes;
	}
}
