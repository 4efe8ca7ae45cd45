/*
 * program_cache.c
 *	  What a session keeps from run to run: the statements of publications and
 *	  the plans of those that every run executes.
 *
 * To write the statements and to plan them takes longer than to apply a few
 * changes.  A program is kept with a token, which has everything that the
 * statements were made from; a plan is kept by its text, and the server plans
 * it anew when what it depends on changes.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "publish/batch.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(kept_program);
PG_FUNCTION_INFO_V1(keep_program);

/* More than these are not worth their memory: then all are forgotten. */
#define MAX_PROGRAMS 1000
#define MAX_PLANS 1000

typedef struct KeptProgram
{
	Oid			relation;		/* key */
	MemoryContext context;		/* of what follows */
	Oid			user;			/* who kept it: it is run with his rights only */
	char	   *token;
	Jsonb	   *program;
} KeptProgram;

typedef struct KeptPlan
{
	uint64		hash;			/* key: of the text */
	char	   *sql;
	SPIPlanPtr	plan;
} KeptPlan;

static HTAB *programs = NULL;
static HTAB *plans = NULL;

static HTAB *
make_table(const char *name, Size keysize, Size entrysize)
{
	HASHCTL		control = {.keysize = keysize, .entrysize = entrysize, .hcxt = TopMemoryContext};

	return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
forget_program(KeptProgram *kept)
{
	if (kept->context)
		MemoryContextDelete(kept->context);
	kept->context = NULL;
}

/* _kept_program(online_table regclass, token text) RETURNS jsonb: NULL if there is none */
Datum
kept_program(PG_FUNCTION_ARGS)
{
	Oid			relation = PG_GETARG_OID(0);
	KeptProgram *kept = programs ? hash_search(programs, &relation, HASH_FIND, NULL) : NULL;

	if (!kept || !kept->context || kept->user != GetUserId() ||
		strcmp(kept->token, text_to_cstring(PG_GETARG_TEXT_PP(1))) != 0)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(DatumGetJsonbPCopy(JsonbPGetDatum(kept->program)));
}

/* Forgets all programs if there are too many. */
static void
bound_programs(void)
{
	HASH_SEQ_STATUS status;
	KeptProgram *kept;

	if (hash_get_num_entries(programs) < MAX_PROGRAMS)
		return;
	hash_seq_init(&status, programs);
	while ((kept = hash_seq_search(&status)) != NULL)
	{
		forget_program(kept);
		hash_search(programs, &kept->relation, HASH_REMOVE, NULL);
	}
}

/* _keep_program(online_table regclass, token text, program jsonb) RETURNS jsonb: the program */
Datum
keep_program(PG_FUNCTION_ARGS)
{
	Oid			relation = PG_GETARG_OID(0);
	char	   *token = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *program = PG_GETARG_JSONB_P(2);
	KeptProgram *kept;
	bool		found;
	MemoryContext context;

	if (!programs)
		programs = make_table("featurestore programs", sizeof(Oid), sizeof(KeptProgram));
	bound_programs();
	kept = hash_search(programs, &relation, HASH_ENTER, &found);
	if (found)
		forget_program(kept);
	kept->context = NULL;
	context = AllocSetContextCreate(TopMemoryContext, "featurestore program",
									ALLOCSET_SMALL_SIZES);
	kept->user = GetUserId();
	kept->token = MemoryContextStrdup(context, token);
	kept->program = MemoryContextAlloc(context, VARSIZE(program));
	memcpy(kept->program, program, VARSIZE(program));
	kept->context = context;

	PG_RETURN_JSONB_P(program);
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

/*
 * The plan of a statement, kept for the session; NULL if another text has its
 * place.  It does not depend on the values of the parameters.
 */
SPIPlanPtr
kept_plan(const char *sql, int nparams, const Oid *types)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) sql, strlen(sql), 0);
	KeptPlan   *kept;
	SPIPlanPtr	plan;
	bool		found;

	if (!plans)
		plans = make_table("featurestore plans", sizeof(uint64), sizeof(KeptPlan));
	kept = hash_search(plans, &hash, HASH_FIND, NULL);
	if (kept)
		return kept->plan && strcmp(kept->sql, sql) == 0 ? kept->plan : NULL;

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
