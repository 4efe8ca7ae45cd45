/*
 * known_shape.c
 *	  What a session has found out of the shape of tables, and still holds.
 *
 * Each run asks what the sources look like and whether it can read what is
 * staged, which takes longer than to apply a few changes.  The answer holds as
 * long as no invalidation tells that some table was altered.
 *
 * That has to be said with care, since who commits is seen by snapshots before
 * others hear of his invalidations.  But he keeps his locks until he has sent
 * them, and whatever alters a table takes a lock that excludes others who do.
 * So we look whether we could have such a lock, which takes in what was sent
 * before, and only then whether there was anything.  Of tables with partitions
 * or children the answer is not kept, for they can be altered one by one.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "publish/capture.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(known_shape);
PG_FUNCTION_INFO_V1(keep_shape);

/* More are not worth their memory: then all are forgotten. */
#define MAX_SHAPES 1000

/* An answer is known by the relation that it is about, and what was asked. */
typedef struct ShapeKey
{
	Oid			relation;
	int			question;
} ShapeKey;

typedef struct KnownShape
{
	ShapeKey	key;
	uint64		asked_at;		/* count of invalidations when it was last asked */
	uint64		valid_at;		/* and when the answer was given */
	Oid			user;			/* who got it */
	MemoryContext context;		/* of what follows; NULL: no answer */
	int			nrelations;
	Oid		   *relations;		/* that it depends on */
	Jsonb	   *answer;
} KnownShape;

static HTAB *shapes = NULL;

static void
forget_shape(KnownShape *shape)
{
	if (shape->context)
		MemoryContextDelete(shape->context);
	shape->context = NULL;
}

/* Makes the table, or empties it if it is full. */
static void
bound_shapes(void)
{
	HASHCTL		control = {
		.keysize = sizeof(ShapeKey), .entrysize = sizeof(KnownShape), .hcxt = TopMemoryContext
	};
	HASH_SEQ_STATUS status;
	KnownShape *shape;

	if (!shapes)
		shapes = hash_create("featurestore shapes", 64, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (hash_get_num_entries(shapes) < MAX_SHAPES)
		return;
	hash_seq_init(&status, shapes);
	while ((shape = hash_seq_search(&status)) != NULL)
	{
		forget_shape(shape);
		hash_search(shapes, &shape->key, HASH_REMOVE, NULL);
	}
}

/* The place of an answer, which may have none. */
static KnownShape *
place_of(Oid relation, int question)
{
	ShapeKey	key = {.relation = relation, .question = question};
	KnownShape *shape;
	bool		found;

	bound_shapes();
	shape = hash_search(shapes, &key, HASH_ENTER, &found);
	if (!found)
	{
		shape->context = NULL;
		shape->asked_at = 0;
	}
	return shape;
}

/*
 * Is nobody altering the relations?  They are kept from being altered until the
 * end of the transaction by the weak lock, and nobody was at it by the strong
 * one.
 */
static bool
are_at_rest(const KnownShape *shape)
{
	for (int i = 0; i < shape->nrelations; i++)
	{
		if (!ConditionalLockRelationOid(shape->relations[i], AccessShareLock) ||
			!ConditionalLockRelationOid(shape->relations[i], ShareUpdateExclusiveLock))
			return false;
		UnlockRelationOid(shape->relations[i], ShareUpdateExclusiveLock);
	}
	return true;
}

/* _known_shape(relation regclass, question int) RETURNS jsonb: NULL if it has to be found out */
Datum
known_shape(PG_FUNCTION_ARGS)
{
	KnownShape *shape = place_of(PG_GETARG_OID(0), PG_GETARG_INT32(1));

	shape->asked_at = capture_invalidations();
	if (!shape->context || shape->user != GetUserId() || IsolationUsesXactSnapshot() ||
		!are_at_rest(shape) || shape->valid_at != capture_invalidations())
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(DatumGetJsonbPCopy(JsonbPGetDatum(shape->answer)));
}

/*
 * _keep_shape(relation regclass, question int, relations regclass[], answer jsonb) RETURNS jsonb: the answer
 * Keeps what was found out after _known_shape had nothing.
 */
Datum
keep_shape(PG_FUNCTION_ARGS)
{
	KnownShape *shape = place_of(PG_GETARG_OID(0), PG_GETARG_INT32(1));
	Jsonb	   *answer = PG_GETARG_JSONB_P(3);
	MemoryContext context;
	Datum	   *relations;
	int			n;

	forget_shape(shape);
	if (IsolationUsesXactSnapshot())
		PG_RETURN_JSONB_P(answer);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT,
					  &relations, NULL, &n);
	context = AllocSetContextCreate(TopMemoryContext, "featurestore shape", ALLOCSET_SMALL_SIZES);
	shape->relations = MemoryContextAlloc(context, sizeof(Oid) * Max(n, 1));
	for (int i = 0; i < n; i++)
		shape->relations[i] = DatumGetObjectId(relations[i]);
	shape->nrelations = n;
	shape->answer = MemoryContextAlloc(context, VARSIZE(answer));
	memcpy(shape->answer, answer, VARSIZE(answer));
	shape->user = GetUserId();
	shape->valid_at = shape->asked_at;
	shape->context = context;
	PG_RETURN_JSONB_P(answer);
}
