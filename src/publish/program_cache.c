/*
 * program_cache.c
 *	  The statements of publications, which a session keeps from run to run.
 *
 * To write the statements takes longer than to apply a few changes.  A program
 * is kept with a token, which has everything that the statements were made from.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(kept_program);
PG_FUNCTION_INFO_V1(keep_program);

/* More are not worth their memory: then all are forgotten. */
#define MAX_PROGRAMS 1000

typedef struct KeptProgram
{
	Oid			relation;		/* key */
	MemoryContext context;		/* of what follows */
	Oid			user;			/* who kept it: it is run with his rights only */
	char	   *token;
	Jsonb	   *program;
} KeptProgram;

static HTAB *programs = NULL;

static void
make_table(void)
{
	HASHCTL		control = {
		.keysize = sizeof(Oid), .entrysize = sizeof(KeptProgram), .hcxt = TopMemoryContext
	};

	programs = hash_create("featurestore programs", 64, &control,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
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
		make_table();
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
