/*
 * entries.h
 *	  Accumulators of families that keep a few events: the first, last,
 *	  greatest or least n.
 *
 * Entries are kept in ascending order: by time if the family's are timed, then
 * by value.  The family wants the n greatest of them, or the n least.
 *
 * Events that are equal in time and image are entries of their own, unless a
 * family keeps distinct values: then a value has one entry, at its latest
 * instant (where the greatest are wanted) or its earliest, and the least image
 * that the value has at this instant stands for it.  What it has at other
 * instants does not count: events there may have been forgotten, and then
 * their images could not be known whatever the order of merging was.
 *
 * Keeping so is a function of the multiset of events and commutes with merging:
 * what is not among the n best of a part is not among those of the whole.
 *
 *		a partial:
 *		events		varint: how many it is of, kept or not
 *		entries		in ascending order until the end of the partial, each:
 *			time	if timed; of the first entry 8 bytes, of others the distance
 *					from the one before (varint)
 *			count	if not timed: how many entries this one is (varint); so no
 *					two have the same image
 *			image	with its length if images of the type differ in it
 */
#ifndef FEATURESTORE_ENTRIES_H
#define FEATURESTORE_ENTRIES_H

#include "window/family.h"

typedef struct EntryRules
{
	bool		timed;			/* in order of time, else only of value */
	bool		greatest;		/* the greatest are wanted, else the least */
	bool		distinct;		/* one entry a value; only of timed ones */
} EntryRules;

extern Size entries_size(const FamilySpec *spec);
extern void entries_init(void *acc, const FamilySpec *spec, const EntryRules *rules);
extern void entries_add(void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n);
extern void entries_merge(void *acc, const FamilySpec *spec, const char *partial, Size size);

/*
 * What is among the entries can only be taken away while they are all events
 * there were: else it is not known which other one would take its place.
 */
extern bool entries_subtract(void *acc, const FamilySpec *spec, int64 ts, Image value, uint64 n);
extern uint64 entries_count(const void *acc, const FamilySpec *spec);
extern void entries_write(const void *acc, const FamilySpec *spec, Writer *writer);
extern uint64 entries_check(const FamilySpec *spec, const EntryRules *rules,
							const char *partial, Size size);

/* The best entry, of a function without n, or an array of the n best, the best first. */
extern Datum entries_value(const void *acc, const FamilySpec *spec, const FunctionCall *call,
						   bool *isnull, uint8 *flags);

/* The input type, of a function without n, or arrays of it. */
extern Oid	entries_result_type(const FamilyFunction *function, const ValueType *type);

#endif							/* FEATURESTORE_ENTRIES_H */
