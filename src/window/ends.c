/*
 * ends.c
 *	  The first and the last events by time.
 *
 * Within one instant events are in order of value, then of image: so last is
 * the greatest of the latest instant, first the least of the earliest.
 *
 * A partial is entries.h's, of timed entries that need not be distinct: the
 * number of events; time and image of each of the n best, duplicates each by
 * itself.  It needs the times of events, so buckets are never verbatim.
 */
#include "postgres.h"

#include "window/entries.h"

static const EntryRules first_rules = {.timed = true};

static const FamilyFunction first_functions[] = {
	{"first", PARAM_NONE},
	{"first_n", PARAM_N}
};

static Oid
first_result_type(int function, const ValueType *type)
{
	return entries_result_type(&first_functions[function], type);
}

static void
first_init(void *acc, const FamilySpec *spec)
{
	entries_init(acc, spec, &first_rules);
}

static uint64
first_check(const FamilySpec *spec, const char *partial, Size size)
{
	return entries_check(spec, &first_rules, partial, size);
}

const Family family_first = {
	.code = 4,
	.name = "first",
	.functions = first_functions,
	.nfunctions = lengthof(first_functions),
	.verbatim = 0,
	.result_type = first_result_type,
	.size = entries_size,
	.init = first_init,
	.add = entries_add,
	.merge = entries_merge,
	.subtract = entries_subtract,
	.count = entries_count,
	.write = entries_write,
	.check = first_check,
	.value = entries_value
};

static const EntryRules last_rules = {.timed = true,.greatest = true};

static const FamilyFunction last_functions[] = {
	{"last", PARAM_NONE},
	{"last_n", PARAM_N}
};

static Oid
last_result_type(int function, const ValueType *type)
{
	return entries_result_type(&last_functions[function], type);
}

static void
last_init(void *acc, const FamilySpec *spec)
{
	entries_init(acc, spec, &last_rules);
}

static uint64
last_check(const FamilySpec *spec, const char *partial, Size size)
{
	return entries_check(spec, &last_rules, partial, size);
}

const Family family_last = {
	.code = 5,
	.name = "last",
	.functions = last_functions,
	.nfunctions = lengthof(last_functions),
	.verbatim = 0,
	.result_type = last_result_type,
	.size = entries_size,
	.init = last_init,
	.add = entries_add,
	.merge = entries_merge,
	.subtract = entries_subtract,
	.count = entries_count,
	.write = entries_write,
	.check = last_check,
	.value = entries_value
};
