/*
 * plans.c
 *	  Plans of the extension's own statements, which a session keeps.
 *
 * To plan a statement takes longer than to run it for a few rows.  A plan is
 * kept by its text, and the server plans it anew when what it depends on
 * changes.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "catalog/plans.h"

/* More are not worth their memory: then all are forgotten. */
#define MAX_PLANS 1000

typedef struct KeptPlan
{
	uint64		hash;			/* key: of the text */
	char	   *sql;
	SPIPlanPtr	plan;
} KeptPlan;

static HTAB *plans = NULL;

static void
make_table(void)
{
	HASHCTL		control = {
		.keysize = sizeof(uint64), .entrysize = sizeof(KeptPlan), .hcxt = TopMemoryContext
	};

	plans = hash_create("featurestore plans", 64, &control,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Does a kept plan take parameters of these types? */
static bool
takes_types(const KeptPlan *kept, int nparams, const Oid *types)
{
	if (SPI_getargcount(kept->plan) != nparams)
		return false;
	for (int i = 0; i < nparams; i++)
	{
		if (SPI_getargtypeid(kept->plan, i) != types[i])
			return false;
	}
	return true;
}

/* Forgets all plans if there are too many. */
static void
bound_plans(void)
{
	HASH_SEQ_STATUS status;
	KeptPlan   *kept;

	if (hash_get_num_entries(plans) < MAX_PLANS)
		return;
	hash_seq_init(&status, plans);
	while ((kept = hash_seq_search(&status)) != NULL)
	{
		if (kept->plan)
			SPI_freeplan(kept->plan);
		if (kept->sql)
			pfree(kept->sql);
		hash_search(plans, &kept->hash, HASH_REMOVE, NULL);
	}
}

SPIPlanPtr
kept_plan(const char *sql, int nparams, const Oid *types)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) sql, strlen(sql), 0);
	KeptPlan   *kept;
	SPIPlanPtr	plan;
	bool		found;

	if (!plans)
		make_table();
	kept = hash_search(plans, &hash, HASH_FIND, NULL);
	if (kept)
		return kept->plan && strcmp(kept->sql, sql) == 0 && takes_types(kept, nparams, types) ?
			kept->plan : NULL;

	bound_plans();
	plan = SPI_prepare_cursor(sql, nparams, unconstify(Oid *, types), CURSOR_OPT_GENERIC_PLAN);
	if (!plan || SPI_keepplan(plan) != 0)
		return NULL;
	kept = hash_search(plans, &hash, HASH_ENTER, &found);
	kept->plan = NULL;
	kept->sql = MemoryContextStrdup(TopMemoryContext, sql);
	kept->plan = plan;
	return plan;
}

int
execute_kept(const char *sql, int nargs, const Oid *types, Datum *values, const char *nulls)
{
	SPIPlanPtr	plan = kept_plan(sql, nargs, types);

	if (plan)
		return SPI_execute_plan(plan, values, nulls, false, 0);
	return SPI_execute_with_args(sql, nargs, unconstify(Oid *, types), values, nulls, false, 0);
}
