/*
 * verify.c
 *	  Before anything is timed: both sides give the same values.
 *
 * Typed rows must equal the join's bit by bit, with names, types and NULLs;
 * vectors and matrices must equal the join's numbers as float4; Redis' parsed
 * doubles must equal the stored ones.  Some of the requested users and items
 * do not exist.
 */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS 20

static double numbers[MAX_ITEMS * MAX_COLUMNS];

static void
compare_rows(Side *ours, const PGresult *a, const PGresult *b)
{
	if (PQnfields(a) != PQnfields(b) || PQntuples(a) != PQntuples(b))
		die("%s: %d rows of %d columns, the join has %d of %d", ours->name,
			PQntuples(b), PQnfields(b), PQntuples(a), PQnfields(a));
	for (int c = 0; c < PQnfields(a); c++)
	{
		if (strcmp(PQfname(a, c), PQfname(b, c)) != 0 || PQftype(a, c) != PQftype(b, c))
			die("%s: column %d is %s, in the join %s", ours->name, c + 1, PQfname(b, c), PQfname(a, c));
		for (int r = 0; r < PQntuples(a); r++)
			if (PQgetisnull(a, r, c) != PQgetisnull(b, r, c) ||
				PQgetlength(a, r, c) != PQgetlength(b, r, c) ||
				memcmp(PQgetvalue(a, r, c), PQgetvalue(b, r, c), PQgetlength(a, r, c)) != 0)
				die("%s: row %d, column %s differs from the join", ours->name, r + 1, PQfname(a, c));
	}
}

static bool
same(double a, double b)
{
	return isnan(a) ? isnan(b) : a == b;
}

/* Numbers of an answer against the columns of the join behind its keys. */
static void
compare_numbers(const char *name, const PGresult *join, int keys, int n, bool as_float)
{
	int			width = PQnfields(join) - keys;

	if (n != PQntuples(join) * width)
		die("%s: %d numbers, the join has %d", name, n, PQntuples(join) * width);
	for (int r = 0; r < PQntuples(join); r++)
		for (int c = 0; c < width; c++)
		{
			double		want = pg_number(join, r, keys + c);

			if (!same(as_float ? (float) want : want, numbers[r * width + c]))
				die("%s: row %d, %s is %.17g, in the join %.17g", name, r + 1,
					PQfname(join, keys + c), numbers[r * width + c], want);
		}
}

/* One request in which some ids are beyond what exists. */
static void
make_partly_unknown(Request *r, int nitems, int64_t users, int64_t catalogue)
{
	make_request(r, nitems, 0);
	if (rand() % 4 == 0)
		r->user += users;
	for (int i = 0; i < nitems; i++)
		if (rand() % 8 == 0)
			r->items[i] += catalogue;
}

/* Asks every side the same requests, once if they take no arguments; the join has its keys first. */
void
verify(Side *join, int keys, Side *const *sides, int nsides, int64_t users, int64_t catalogue)
{
	static Request r;
	int			requests = *join->args ? REQUESTS : 1;

	for (int i = 0; i < requests * nsides; i++)
	{
		Side	   *s = sides[i % nsides];
		PGresult   *want,
				   *got;

		make_partly_unknown(&r, s->nitems, users, catalogue);
		want = pg_send(join, &r);
		got = s->sql ? pg_send(s, &r) : NULL;
		if (!s->sql)
			compare_numbers(s->name, want, keys, redis_ask(&r, numbers), false);
		else if (s->decode == DECODE_NONE)
			compare_rows(s, want, got);
		else
			compare_numbers(s->name, want, keys, pg_decode(s, got, numbers), true);
		PQclear(want);
		PQclear(got);
	}
}
