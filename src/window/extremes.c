/*
 * extremes.c
 *	  The greatest and the least values, duplicates kept.
 *
 * Values that compare equal are in order of their images.
 *
 * A partial is entries.h's, of entries without times: the number of events;
 * the n best values, each image once, with how many of the n it is.  A single
 * event takes less as it came, and can then be taken away again; more than two
 * would cost where n is small.
 */
#include "postgres.h"

#include "window/entries.h"

static const EntryRules top_rules = {.greatest = true};

static const FamilyFunction top_functions[] = {
	{"top_n", PARAM_N}
};

static Oid
top_result_type(int function, const ValueType *type)
{
	return entries_result_type(&top_functions[function], type);
}

static void
top_init(void *acc, const FamilySpec *spec)
{
	entries_init(acc, spec, &top_rules);
}

static uint64
top_check(const FamilySpec *spec, const char *partial, Size size)
{
	return entries_check(spec, &top_rules, partial, size);
}

const Family family_top = {
	.code = 8,
	.name = "top",
	.functions = top_functions,
	.nfunctions = lengthof(top_functions),
	.verbatim = 2,
	.result_type = top_result_type,
	.size = entries_size,
	.init = top_init,
	.add = entries_add,
	.merge = entries_merge,
	.subtract = entries_subtract,
	.count = entries_count,
	.write = entries_write,
	.check = top_check,
	.value = entries_value
};

static const EntryRules bottom_rules = {.greatest = false};

static const FamilyFunction bottom_functions[] = {
	{"bottom_n", PARAM_N}
};

static Oid
bottom_result_type(int function, const ValueType *type)
{
	return entries_result_type(&bottom_functions[function], type);
}

static void
bottom_init(void *acc, const FamilySpec *spec)
{
	entries_init(acc, spec, &bottom_rules);
}

static uint64
bottom_check(const FamilySpec *spec, const char *partial, Size size)
{
	return entries_check(spec, &bottom_rules, partial, size);
}

const Family family_bottom = {
	.code = 9,
	.name = "bottom",
	.functions = bottom_functions,
	.nfunctions = lengthof(bottom_functions),
	.verbatim = 2,
	.result_type = bottom_result_type,
	.size = entries_size,
	.init = bottom_init,
	.add = entries_add,
	.merge = entries_merge,
	.subtract = entries_subtract,
	.count = entries_count,
	.write = entries_write,
	.check = bottom_check,
	.value = entries_value
};
