/*
 * family.c
 *	  The table of families.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "window/family.h"

static const Family *const families[] = {
	&family_basic,
	&family_variance,
	&family_shape,
	&family_first,
	&family_last,
	&family_first_distinct,
	&family_last_distinct,
	&family_top,
	&family_bottom,
	&family_frequencies,
	&family_distinct_sketch,
	&family_percentile_sketch,
};

const Family *
family_by_code(int code)
{
	for (int i = 0; i < lengthof(families); i++)
	{
		if (families[i]->code == code)
			return families[i];
	}
	return NULL;
}

const Family *
family_by_name(const char *name)
{
	for (int i = 0; i < lengthof(families); i++)
	{
		if (strcmp(families[i]->name, name) == 0)
			return families[i];
	}
	return NULL;
}

const Family *
family_of_function(const char *name, int *function)
{
	for (int i = 0; i < lengthof(families); i++)
	{
		for (int j = 0; j < families[i]->nfunctions; j++)
		{
			if (strcmp(families[i]->functions[j].name, name) == 0)
			{
				*function = j;
				return families[i];
			}
		}
	}
	return NULL;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

char *
function_names(void)
{
	const char *names[64];
	int			n = 0;
	StringInfoData list;

	for (int i = 0; i < lengthof(families); i++)
	{
		for (int j = 0; j < families[i]->nfunctions && n < lengthof(names); j++)
			names[n++] = families[i]->functions[j].name;
	}
	qsort(names, n, sizeof(*names), compare_names);

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
		appendStringInfo(&list, "%s%s", i ? ", " : "", names[i]);
	return list.data;
}
