/*
 * distinct_ends.c
 *	  The first and the last distinct values by time.
 *
 * last_distinct_n gives the n values with the greatest latest time, in
 * descending order of this time, then of value; first_distinct_n those with the
 * least earliest time, in ascending order.  Among values that compare equal the
 * least image of those at that time stands for all.
 *
 * A partial is entries.h's, of timed, distinct entries: the number of events;
 * time and image of each of the n best values.  It needs the times of events,
 * so buckets are never verbatim.
 */
#include "postgres.h"

#include "window/entries.h"

static const EntryRules first_distinct_rules = {.timed = true,.distinct = true};

static const FamilyFunction first_distinct_functions[] = {
	{"first_distinct_n", PARAM_N}
};

static Oid
first_distinct_result_type(int function, const ValueType *type)
{
	return entries_result_type(&first_distinct_functions[function], type);
}

static void
first_distinct_init(void *acc, const FamilySpec *spec)
{
	entries_init(acc, spec, &first_distinct_rules);
}

static uint64
first_distinct_check(const FamilySpec *spec, const char *partial, Size size)
{
	return entries_check(spec, &first_distinct_rules, partial, size);
}

const Family family_first_distinct = {
	.code = 6,
	.name = "first_distinct",
	.functions = first_distinct_functions,
	.nfunctions = lengthof(first_distinct_functions),
	.verbatim = 0,
	.result_type = first_distinct_result_type,
	.size = entries_size,
	.init = first_distinct_init,
	.add = entries_add,
	.merge = entries_merge,
	.subtract = entries_subtract,
	.count = entries_count,
	.write = entries_write,
	.check = first_distinct_check,
	.value = entries_value
};

static const EntryRules last_distinct_rules = {.timed = true,.greatest = true,.distinct = true};

static const FamilyFunction last_distinct_functions[] = {
	{"last_distinct_n", PARAM_N}
};

static Oid
last_distinct_result_type(int function, const ValueType *type)
{
	return entries_result_type(&last_distinct_functions[function], type);
}

static void
last_distinct_init(void *acc, const FamilySpec *spec)
{
	entries_init(acc, spec, &last_distinct_rules);
}

static uint64
last_distinct_check(const FamilySpec *spec, const char *partial, Size size)
{
	return entries_check(spec, &last_distinct_rules, partial, size);
}

const Family family_last_distinct = {
	.code = 7,
	.name = "last_distinct",
	.functions = last_distinct_functions,
	.nfunctions = lengthof(last_distinct_functions),
	.verbatim = 0,
	.result_type = last_distinct_result_type,
	.size = entries_size,
	.init = last_distinct_init,
	.add = entries_add,
	.merge = entries_merge,
	.subtract = entries_subtract,
	.count = entries_count,
	.write = entries_write,
	.check = last_distinct_check,
	.value = entries_value
};
