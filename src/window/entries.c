/*
 * entries.c
 *	  Accumulators of families that keep a few events; see entries.h.
 *
 * Entries lie in one array in ascending order.  Events mostly come in order of
 * time, so that is made cheap: where the greatest are wanted, a new one goes to
 * the end and the worst leaves at the start, and the array slides through
 * memory twice as long as it; where the least are wanted, a look at the worst
 * shows that the new one is not among them.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "window/entries.h"
#include "window/kept.h"

typedef struct Entry
{
	int64		ts;				/* 0 if not timed */
	uint64		hash;			/* of the value, where values are distinct */
	KeptImage	image;
} Entry;

typedef struct Entries
{
	const EntryRules *rules;
	uint64		events;
	bool		hashed;			/* do equal values have equal hashes? */
	uint32		limit;			/* entries kept at most */
	uint32		start;			/* entries are items[start] to items[end - 1] */
	uint32		end;
	uint32		capacity;		/* of items */
	Entry	   *items;
} Entries;

/* An entry of a partial. */
typedef struct StoredEntry
{
	int64		ts;
	uint64		count;
	Image		image;
} StoredEntry;

#define INITIAL_CAPACITY 8

static inline uint32
entries_limit(const FamilySpec *spec)
{
	return Min(Max(spec->param, 1), WINDOW_MAX_N);
}

/* Values of a collation that is not deterministic may be equal with other hashes. */
static bool
equals_have_equal_hashes(const FamilySpec *spec)
{
	if (!spec->type->is_collatable ||
		spec->collation == DEFAULT_COLLATION_OID || spec->collation == C_COLLATION_OID)
		return true;
	return get_collation_isdeterministic(spec->collation);
}

/* Order of entries; of distinct values only the values count, not their images. */
static inline int
entry_order(const FamilySpec *spec, const EntryRules *rules,
			int64 ts_a, Image a, int64 ts_b, Image b)
{
	if (ts_a != ts_b)
		return ts_a < ts_b ? -1 : 1;
	if (rules->distinct)
		return value_order(spec->type, spec->collation, a, b);
	return value_total_order(spec->type, spec->collation, a, b);
}

static inline int
order_with(const Entries *entries, const FamilySpec *spec, int64 ts, Image value, uint32 index)
{
	const Entry *entry = &entries->items[index];

	return entry_order(spec, entries->rules, ts, value, entry->ts, kept_image(&entry->image));
}

/* Below 0: less wanted than the worst entry; 0: as much.  There must be one. */
static inline int
order_with_worst(const Entries *entries, const FamilySpec *spec, int64 ts, Image value)
{
	if (entries->rules->greatest)
		return order_with(entries, spec, ts, value, entries->start);
	return -order_with(entries, spec, ts, value, entries->end - 1);
}

/* Index of the first entry that is greater. */
static uint32
upper_bound(const Entries *entries, const FamilySpec *spec, int64 ts, Image value)
{
	uint32		low = entries->start;
	uint32		high = entries->end;

	if (low < high && order_with(entries, spec, ts, value, high - 1) >= 0)
		return high;
	while (low < high)
	{
		uint32		middle = low + (high - low) / 2;

		if (order_with(entries, spec, ts, value, middle) >= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Index of the entry of a value; entries->end if there is none. */
static uint32
find_value(const Entries *entries, const FamilySpec *spec, uint64 hash, Image value)
{
	for (uint32 i = entries->start; i < entries->end; i++)
	{
		const Entry *entry = &entries->items[i];

		if (entry->hash == hash &&
			value_order(spec->type, spec->collation, value, kept_image(&entry->image)) == 0)
			return i;
	}
	return entries->end;
}

static void
remove_entry(Entries *entries, uint32 index)
{
	drop_image(&entries->items[index].image);
	if (index == entries->start)
		entries->start++;
	else
	{
		memmove(&entries->items[index], &entries->items[index + 1],
				(entries->end - index - 1) * sizeof(Entry));
		entries->end--;
	}
}

/* Makes room behind the last entry, at the start of the array or in a longer one. */
static void
make_room(Entries *entries)
{
	uint32		kept = entries->end - entries->start;

	if (entries->start > 0 && entries->start >= entries->capacity / 2)
	{
		memmove(entries->items, &entries->items[entries->start], kept * sizeof(Entry));
		entries->start = 0;
		entries->end = kept;
		return;
	}
	if (entries->items == NULL)
	{
		entries->capacity = Min(INITIAL_CAPACITY, 2 * entries->limit);
		entries->items = palloc(entries->capacity * sizeof(Entry));
		return;
	}
	entries->capacity = Min(2 * entries->capacity, 2 * entries->limit);
	entries->items = repalloc(entries->items, entries->capacity * sizeof(Entry));
}

static void
insert_entry(Entries *entries, const FamilySpec *spec, int64 ts, Image value, uint64 hash)
{
	uint32		index;

	if (entries->end == entries->capacity)
		make_room(entries);
	index = upper_bound(entries, spec, ts, value);
	memmove(&entries->items[index + 1], &entries->items[index],
			(entries->end - index) * sizeof(Entry));
	entries->items[index] = (Entry) {ts, hash, keep_image(value)};
	entries->end++;
}

static inline void
remove_worst(Entries *entries)
{
	remove_entry(entries, entries->rules->greatest ? entries->start : entries->end - 1);
}

/*
 * The entry of a distinct value meets another event with it: true if it now
 * stands for this one too, else it is removed for the event to take its place.
 */
static bool
settle_value(Entries *entries, uint32 index, int64 ts, Image value)
{
	Entry	   *entry = &entries->items[index];

	if (ts != entry->ts)
	{
		if ((ts > entry->ts) != entries->rules->greatest)
			return true;
		remove_entry(entries, index);
		return false;
	}
	if (image_order(value, kept_image(&entry->image)) < 0)
	{
		KeptImage	old = entry->image;

		entry->image = keep_image(value);
		drop_image(&old);
	}
	return true;
}

/* Keeps an event if it belongs to the entries; false if it is worse than all. */
static bool
keep_event(Entries *entries, const FamilySpec *spec, int64 ts, Image value)
{
	bool		full = entries->end - entries->start == entries->limit;
	bool		distinct = entries->rules->distinct;
	uint64		hash = 0;

	if (full)
	{
		int			order = order_with_worst(entries, spec, ts, value);

		if (order < 0 || (order == 0 && !distinct))
			return false;
	}
	if (distinct)
	{
		uint32		index;

		if (entries->hashed)
			hash = value_hash(spec->type, value);
		index = find_value(entries, spec, hash, value);
		if (index < entries->end)
		{
			if (settle_value(entries, index, ts, value))
				return true;
			full = false;
		}
	}
	if (full)
		remove_worst(entries);
	insert_entry(entries, spec, ts, value, hash);
	return true;
}

/* Keeps several equal events; false as above. */
static bool
keep_events(Entries *entries, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	uint64		different = entries->rules->distinct ? 1 : Min(n, entries->limit);

	for (uint64 i = 0; i < different; i++)
	{
		if (!keep_event(entries, spec, ts, value))
			return false;
	}
	return true;
}

Size
entries_size(const FamilySpec *spec)
{
	return sizeof(Entries);
}

void
entries_init(void *acc, const FamilySpec *spec, const EntryRules *rules)
{
	Entries    *entries = acc;

	memset(entries, 0, sizeof(Entries));
	entries->rules = rules;
	entries->limit = entries_limit(spec);
	entries->hashed = rules->distinct && equals_have_equal_hashes(spec);
}

void
entries_add(void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	Entries    *entries = acc;

	add_events(&entries->events, n);
	keep_events(entries, spec, entries->rules->timed ? ts : 0, value, n);
}

/* Reads an entry; previous is NULL before the first. */
static inline StoredEntry
read_entry(Reader *reader, const FamilySpec *spec, const EntryRules *rules,
		   const StoredEntry *previous)
{
	StoredEntry entry = {.count = 1};

	if (!rules->timed)
		entry.count = read_varint(reader);
	else if (previous == NULL)
		entry.ts = (int64) read_uint64(reader);
	else
	{
		uint64		distance = read_varint(reader);

		if (distance > (uint64) PG_INT64_MAX - (uint64) previous->ts)
			reader->failed = true;
		entry.ts = (int64) ((uint64) previous->ts + distance);
	}
	entry.image = read_image(spec->type, reader);
	return entry;
}

void
entries_merge(void *acc, const FamilySpec *spec, const char *partial, Size size)
{
	Entries    *entries = acc;
	Reader		reader = reader_over(partial, size);
	StoredEntry entry;
	bool		first = true;

	add_events(&entries->events, read_varint(&reader));
	while (reader.at < reader.end)
	{
		entry = read_entry(&reader, spec, entries->rules, first ? NULL : &entry);
		first = false;
		if (!keep_events(entries, spec, entry.ts, entry.image, entry.count) &&
			!entries->rules->greatest)
			break;				/* all that follow are worse still */
	}
}

/* Takes away events all of which are entries. */
static bool
subtract_kept(Entries *entries, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	uint32		end = upper_bound(entries, spec, ts, value);

	if (n > end - entries->start ||
		order_with(entries, spec, ts, value, end - n) != 0 ||
		image_order(value, kept_image(&entries->items[end - n].image)) != 0)
		return false;
	for (uint64 i = 0; i < n; i++)
		remove_entry(entries, end - n);
	entries->events -= n;
	return true;
}

/* Does a distinct value have an entry that stays as it is without an event of it? */
static bool
is_shadowed(const Entries *entries, uint32 index, int64 ts, Image value)
{
	const Entry *entry = &entries->items[index];

	if (ts != entry->ts)
		return (ts < entry->ts) == entries->rules->greatest;
	return image_order(value, kept_image(&entry->image)) > 0;
}

bool
entries_subtract(void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n)
{
	Entries    *entries = acc;
	uint32		kept = entries->end - entries->start;
	uint32		index = entries->end;

	Assert(n > 0);
	if (!entries->rules->timed)
		ts = 0;
	if (entries->events == kept)
		return n <= kept && subtract_kept(entries, spec, ts, value, n);
	if (n > entries->events - kept)
		return false;
	if (entries->rules->distinct)
		index = find_value(entries, spec,
						   entries->hashed ? value_hash(spec->type, value) : 0, value);
	if (index < entries->end)
	{
		if (!is_shadowed(entries, index, ts, value))
			return false;
	}
	else if (kept < entries->limit || order_with_worst(entries, spec, ts, value) >= 0)
		return false;
	entries->events -= n;
	return true;
}

uint64
entries_count(const void *acc, const FamilySpec *spec)
{
	return ((const Entries *) acc)->events;
}

/* How many entries from this one on are equal to it. */
static uint32
equal_run(const Entries *entries, uint32 index)
{
	Image		image = kept_image(&entries->items[index].image);
	uint32		next = index + 1;

	while (next < entries->end &&
		   image_order(kept_image(&entries->items[next].image), image) == 0)
		next++;
	return next - index;
}

void
entries_write(const void *acc, const FamilySpec *spec, Writer *writer)
{
	const Entries *entries = acc;
	uint32		index = entries->start;

	write_varint(writer, entries->events);
	while (index < entries->end)
	{
		const Entry *entry = &entries->items[index];
		uint32		run = entries->rules->timed ? 1 : equal_run(entries, index);

		if (!entries->rules->timed)
			write_varint(writer, run);
		else if (index == entries->start)
			write_uint64(writer, (uint64) entry->ts);
		else
			write_varint(writer, (uint64) entry->ts - (uint64) entry[-1].ts);
		write_image(spec->type, writer, kept_image(&entry->image));
		index += run;
	}
}

static int
compare_values(const void *a, const void *b, void *arg)
{
	const FamilySpec *spec = arg;

	return value_order(spec->type, spec->collation, *(const Image *) a, *(const Image *) b);
}

/* Are no two of these values equal?  Changes their order. */
static bool
are_distinct(const FamilySpec *spec, Image *values, uint32 n)
{
	qsort_arg(values, n, sizeof(Image), compare_values, (void *) spec);
	for (uint32 i = 1; i < n; i++)
	{
		if (value_order(spec->type, spec->collation, values[i - 1], values[i]) == 0)
			return false;
	}
	return true;
}

/* May an entry follow another? */
static bool
may_follow(const FamilySpec *spec, const EntryRules *rules,
		   const StoredEntry *previous, const StoredEntry *entry)
{
	int			order = entry_order(spec, rules, previous->ts, previous->image,
									entry->ts, entry->image);

	return order < 0 || (order == 0 && rules->timed && !rules->distinct);
}

uint64
entries_check(const FamilySpec *spec, const EntryRules *rules, const char *partial, Size size)
{
	Reader		reader = reader_over(partial, size);
	uint64		events = read_varint(&reader);
	uint64		room = Min(events, entries_limit(spec));
	Image		values[WINDOW_MAX_N];
	uint32		nvalues = 0;
	StoredEntry previous = {0};

	if (events > MAX_EVENTS)
		return 0;
	while (reader.at < reader.end)
	{
		StoredEntry entry = read_entry(&reader, spec, rules, nvalues > 0 ? &previous : NULL);

		if (reader.failed || entry.count == 0 || entry.count > room ||
			!value_is_valid(spec->type, entry.image))
			return 0;
		if (nvalues > 0 && !may_follow(spec, rules, &previous, &entry))
			return 0;
		room -= entry.count;
		values[nvalues++] = entry.image;
		previous = entry;
	}
	if (reader.failed || nvalues == 0)
		return 0;
	if (rules->distinct ? !are_distinct(spec, values, nvalues) : room > 0)
		return 0;
	return events;
}

Datum
entries_value(const void *acc, const FamilySpec *spec, const FunctionCall *call,
			  bool *isnull, uint8 *flags)
{
	const Entries *entries = acc;
	bool		is_array = spec->family->functions[call->function].param == PARAM_N;
	uint32		n = Min(entries->end - entries->start, is_array ? call->n : 1);
	Datum	   *values;
	int			lower_bound = 1;
	int			length = n;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	*isnull = n == 0;
	*flags = n == 0 ? VALUE_EMPTY : 0;
	if (n == 0)
		return (Datum) 0;
	values = palloc(n * sizeof(Datum));
	for (uint32 i = 0; i < n; i++)
	{
		uint32		index = entries->rules->greatest ? entries->end - 1 - i : entries->start + i;

		values[i] = value_datum(spec->type, kept_image(&entries->items[index].image));
	}
	if (!is_array)
		return values[0];
	get_typlenbyvalalign(spec->type->oid, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array(values, NULL, 1, &length, &lower_bound,
											  spec->type->oid, typlen, typbyval, typalign));
}

Oid
entries_result_type(const FamilyFunction *function, const ValueType *type)
{
	if (type->code == VALUE_NONE)
		return InvalidOid;
	return function->param == PARAM_N ? get_array_type(type->oid) : type->oid;
}
