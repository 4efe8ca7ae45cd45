/*
 * staged.c
 *	  What the statements of a batch ask of each staged row: is it new, what kind
 *	  of change is it; and of each row they write: does it differ.
 */
#include "postgres.h"

#include "access/transam.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "catalog/pending.h"
#include "publish/batch.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(is_after_position);
PG_FUNCTION_INFO_V1(change_kind);
PG_FUNCTION_INFO_V1(note_change);
PG_FUNCTION_INFO_V1(note_due);
PG_FUNCTION_INFO_V1(values_differ);

ChangeTally change_tally;

/*
 * _is_after(xid xid8, sequence bigint, snapshot pg_snapshot, own_xid xid8, own_sequence bigint) RETURNS boolean
 * Is a change not part of a position?  The last two may be NULL.
 */
Datum
is_after_position(PG_FUNCTION_ARGS)
{
	AppliedChanges *applied = fcinfo->flinfo->fn_extra;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	if (!applied)
	{
		/* the position is the same for all rows of a statement */
		applied = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(AppliedChanges));
		applied->oldest = DatumGetFullTransactionId(DirectFunctionCall1(pg_snapshot_xmin,
																		PG_GETARG_DATUM(2)));
		applied->own_xid = PG_ARGISNULL(3) ? InvalidFullTransactionId : PG_GETARG_FULLTRANSACTIONID(3);
		applied->own_sequence = PG_ARGISNULL(4) ? PG_INT64_MIN : PG_GETARG_INT64(4);
		fcinfo->flinfo->fn_extra = applied;
	}
	applied->snapshot = PG_GETARG_DATUM(2);
	PG_RETURN_BOOL(change_is_after(applied, PG_GETARG_FULLTRANSACTIONID(0), PG_GETARG_INT64(1)));
}

/* The kind of a change, by its type; NULL is unknown. */
static int
kind_of(text *type)
{
	static const struct
	{
		const char *name;
		int			kind;
	}			kinds[] = {
		{"insert", KIND_PUT},
		{"update_postimage", KIND_PUT},
		{"delete", KIND_REMOVE},
		{"update_preimage", KIND_REMOVE},
		{"truncate", KIND_TRUNCATE},
		{"truncate_partition", KIND_TRUNCATE_PARTITION}
	};
	Size		size = type ? VARSIZE_ANY_EXHDR(type) : 0;

	for (int i = 0; type && i < lengthof(kinds); i++)
	{
		if (strlen(kinds[i].name) == size && memcmp(kinds[i].name, VARDATA_ANY(type), size) == 0)
			return kinds[i].kind;
	}
	return KIND_UNKNOWN;
}

/* _change_kind(change_type text) RETURNS int */
Datum
change_kind(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(kind_of(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0)));
}

/*
 * _note_change(change_type text) RETURNS int: the kind, which the tally is told of
 * A batch is read once that way: to look first what is in it would cost a
 * further scan.
 */
Datum
note_change(PG_FUNCTION_ARGS)
{
	int			kind = kind_of(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0));

	change_tally.rows++;
	change_tally.kinds |= kind;
	PG_RETURN_INT32(kind);
}

/* _note_due(at timestamptz, horizon timestamptz) RETURNS boolean: false for a time that is none, too */
Datum
note_due(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_ARGISNULL(0) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(0);
	bool		is_due = !TIMESTAMP_NOT_FINITE(at) && !PG_ARGISNULL(1) && at <= PG_GETARG_TIMESTAMPTZ(1);

	if (!is_due && !TIMESTAMP_NOT_FINITE(at))
		change_tally.later++;
	PG_RETURN_BOOL(is_due);
}

/* How the values of a type are stored. */
typedef struct Storage
{
	int16		length;
	bool		by_value;
} Storage;

/* _differ(a anyelement, b anyelement) RETURNS boolean: have two values, or NULLs, different bytes? */
Datum
values_differ(PG_FUNCTION_ARGS)
{
	Storage    *storage = fcinfo->flinfo->fn_extra;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_BOOL(PG_ARGISNULL(0) != PG_ARGISNULL(1));
	if (!storage)
	{
		storage = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(Storage));
		get_typlenbyval(get_fn_expr_argtype(fcinfo->flinfo, 0), &storage->length,
						&storage->by_value);
		fcinfo->flinfo->fn_extra = storage;
	}
	PG_RETURN_BOOL(!datum_image_eq(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), storage->by_value,
								   storage->length));
}
