/*
 * capture.c
 *	  The triggers that stage changes.
 *
 * A row trigger copies the images of a changed row into the form of a row of
 * the staging table and leaves it to the buffer to write it.  What an image
 * has out of line is fetched: by the time it is written it may be gone.
 *
 * A staged row takes its number when the trigger runs, after the row is locked;
 * so for one key numbers have the order of the changes of different
 * transactions.  Within a transaction they need not.  The triggers of a
 * statement run after all of it is done, and if one of them changes the table
 * again, that is captured before rows of the statement whose turn has yet to
 * come.  Two signs tell:
 *
 * - The version of the row that an insert or update made is no more: who
 *   replaced it may have been staged already.  Then the late change goes before
 *   that one, and they exchange numbers.
 * - Rows were inserted by a later command than the one that deleted this: one
 *   may have the key of the deleted row, so the delete goes before all of
 *   them.  (A command that began earlier but deleted after such an insert
 *   would have found two rows of one key.)
 *
 * A number that a change gets this way was drawn after the statement had locked
 * all of its rows, so that among transactions the order holds as well.  When
 * the row to go before has been written, it is too late.  Then the change is
 * also staged as the truncation of a partition, of which nobody can tell what
 * it did without looking at the source anew.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/xid8.h"

#include "catalog/spec.h"
#include "publish/capture.h"
#include "publish/row_change.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(capture);
PG_FUNCTION_INFO_V1(change_number);
PG_FUNCTION_INFO_V1(stamp);
PG_FUNCTION_INFO_V1(current_partition);

/* Where the rows of a change go in the buffer's list. */
typedef struct Places
{
	int			old;
	int			new;
	bool		is_lost;		/* too late */
} Places;

/* The row to go before has been written. */
#define TOO_LATE (-1)

/* Can a row of this subtransaction be put before another? */
static bool
is_movable(const StagedRow *row)
{
	return row->written_in == InvalidSubTransactionId &&
		row->made_in >= GetCurrentSubTransactionId();
}

/*
 * Where the new version of a row goes, before the change that replaced it.  If
 * that is not staged its own trigger has yet to run, unless it was written.
 */
static int
place_before_successor(StagedRows *list, Oid relid, TupleTableSlot *new)
{
	int			place = list->n;

	for (int i = list->n - 1; i >= 0 && is_movable(&list->rows[i]); i--)
	{
		if (list->rows[i].source == relid &&
			ItemPointerEquals(&list->rows[i].replaced, &new->tts_tid))
			place = i;
		else if (place < list->n)
			return place;
	}
	if (place == list->n && HeapTupleHeaderGetCmax(slot_header(new)) <= list->written)
		return TOO_LATE;
	return place;
}

/* Where the old version of a row goes, before what later commands inserted. */
static int
place_before_inserts(StagedRows *list, CommandId cid)
{
	int			place = list->n;

	if (list->written_insert > cid)
		return TOO_LATE;
	for (int i = list->n - 1; i >= 0 && is_movable(&list->rows[i]); i--)
	{
		if (list->rows[i].type == CHANGE_INSERT && list->rows[i].cid > cid)
			place = i;
	}
	return place;
}

/* Where the rows of a change go: nearly always at the end. */
static Places
places_of(StagedRows *list, Oid relid, const RowChange *change)
{
	Places		places = {list->n, list->n, false};

	if (!change->is_heap)
		return places;
	if (change->new && is_superseded(slot_header(change->new)))
		places.new = place_before_successor(list, relid, change->new);
	if (change->old && list->last_insert > change->cid)
		places.old = place_before_inserts(list, change->cid);
	places.is_lost = places.new == TOO_LATE || places.old == TOO_LATE;
	if (places.is_lost)
		places.new = places.old = list->n;
	else if (change->new)
		places.old = Min(places.old, places.new);
	return places;
}

/* A value as it can be kept. */
static inline Datum
inline_value(Datum value, int16 typlen)
{
	if (typlen == -1 && VARATT_IS_EXTERNAL(DatumGetPointer(value)))
		return PointerGetDatum(detoast_external_attr((struct varlena *) DatumGetPointer(value)));
	return value;
}

/* Makes a row for a target, with the image in slot (NULL: none). */
static HeapTuple
form_row(CaptureSource *source, CaptureTarget *target, ChangeType type, TupleTableSlot *slot,
		 int64 sequence)
{
	const MetadataColumns *metadata = &target->metadata;
	Datum	   *values = target->values;
	bool	   *nulls = target->nulls;
	MemoryContext old;
	HeapTuple	tuple;

	for (int i = 0; i < target->ncolumns; i++)
	{
		StagedColumn *column = &target->columns[i];

		nulls[column->staged - 1] = !slot || slot->tts_isnull[column->attno - 1];
		if (!nulls[column->staged - 1])
			values[column->staged - 1] = inline_value(slot->tts_values[column->attno - 1],
													  column->typlen);
	}
	values[metadata->change_type - 1] = source->change_names[type];
	values[metadata->commit_timestamp - 1] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	values[metadata->sequence - 1] = Int64GetDatum(sequence);
	values[metadata->xid - 1] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	values[metadata->partition - 1] = Int16GetDatum(source->partition_number);
	nulls[metadata->change_type - 1] = false;
	nulls[metadata->commit_timestamp - 1] = false;
	nulls[metadata->sequence - 1] = false;
	nulls[metadata->xid - 1] = false;
	nulls[metadata->partition - 1] = false;

	old = MemoryContextSwitchTo(staged_rows_memory());
	tuple = heap_form_tuple(target->desc, values, nulls);
	MemoryContextSwitchTo(old);
	return tuple;
}

/*
 * A number that tells the order of changes.  It is drawn while the row is
 * locked, and made of the place in the WAL, in units that a staged row takes
 * more than one of: who changes the row next has waited for our commit, which
 * lies behind all rows that we write, and draws a greater one.  The process
 * makes numbers differ that are drawn at the same place.
 *
 * A sequence would do as well, but drawing from it is what lastval() tells the
 * writer, who wants to hear of his own.
 */
static int64
next_change_number(void)
{
	static uint64 last = 0;

	last = Max(last + 1, GetXLogInsertRecPtr() / CHANGE_NUMBER_UNIT);
	return (int64) ((last << 12) | (MyProcNumberCompat & 0xFFF));
}

/*
 * _change_number() RETURNS bigint
 * Greater than the number of any change that this transaction has captured.
 */
Datum
change_number(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(next_change_number());
}

/* Stages one image of a change, or none. */
static void
stage_image(CaptureSource *source, CaptureTarget *target, const RowChange *change, ChangeType type,
			TupleTableSlot *slot, int place)
{
	StagedRow	row = {0};

	row.sequence = next_change_number();
	row.tuple = form_row(source, target, type, slot, row.sequence);
	row.cid = change->cid;
	row.source = source->relid;
	row.type = type;
	if (change->old)
		row.replaced = change->old->tts_tid;
	stage_row(target->rows, &row, place);
}

static bool
same_value(const StagedColumn *column, TupleTableSlot *old, TupleTableSlot *new)
{
	int			i = column->attno - 1;

	if (old->tts_isnull[i] || new->tts_isnull[i])
		return old->tts_isnull[i] == new->tts_isnull[i];
	return datum_image_eq(old->tts_values[i], new->tts_values[i], column->typbyval, column->typlen);
}

/* What an update stages: nothing, or the new image, or both. */
static void
compare_images(CaptureSource *source, const RowChange *change, bool *is_change, bool *has_preimage)
{
	CaptureTarget *target = &source->targets[source->ntargets - 1];

	*is_change = *has_preimage = false;
	if (same_tuples(change))
		return;
	for (int i = 0; i < target->ncolumns; i++)
	{
		StagedColumn *column = &target->columns[i];

		if (*is_change && !column->is_key)
			continue;
		if (!same_value(column, change->old, change->new))
		{
			*is_change = true;
			*has_preimage = column->is_key || source->always_preimage;
			if (*has_preimage)
				return;
		}
	}
}

/* Stages the images of a change for a target. */
static void
stage_change(CaptureSource *source, CaptureTarget *target, const RowChange *change, bool has_old)
{
	Places		places = places_of(target->rows, source->relid, change);

	if (has_old)
		stage_image(source, target, change, change->new ? CHANGE_UPDATE_PREIMAGE : CHANGE_DELETE,
					change->old, places.old);
	if (change->new)
		stage_image(source, target, change, change->old ? CHANGE_UPDATE_POSTIMAGE : CHANGE_INSERT,
					change->new, places.new + (has_old ? 1 : 0));
	if (places.is_lost || has_too_many(target->rows))
		stage_image(source, target, change, CHANGE_TRUNCATE, NULL, target->rows->n);
}

static void
capture_row(CaptureSource *source, TriggerData *trigdata)
{
	RowChange	change = row_change(trigdata);
	bool		has_old = change.old != NULL;

	if (change.old)
		slot_getsomeattrs(change.old, source->last_attno);
	if (change.new)
		slot_getsomeattrs(change.new, source->last_attno);
	if (change.old && change.new)
	{
		bool		is_change;

		compare_images(source, &change, &is_change, &has_old);
		if (!is_change)
			return;
	}

	for (int i = 0; i < source->ntargets; i++)
		stage_change(source, &source->targets[i], &change, has_old);
}

static void
capture_truncate(CaptureSource *source)
{
	RowChange	change = {.cid = GetCurrentCommandId(false)};

	for (int i = 0; i < source->ntargets; i++)
		stage_image(source, &source->targets[i], &change,
					source->relid == source->root ? CHANGE_TRUNCATE : CHANGE_TRUNCATE_PARTITION,
					NULL, source->targets[i].rows->n);
}

/*
 * _capture() RETURNS trigger
 * AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW, or AFTER TRUNCATE FOR EACH STATEMENT.
 */
Datum
capture(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	CaptureSource *source;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function featurestore._capture() can only be called as a trigger")));
	if (!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		(!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) &&
		 !TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function featurestore._capture() must be fired after rows or truncation")));

	source = capture_source(trigdata->tg_relation);
	if (source)
	{
		if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
			capture_truncate(source);
		else
			capture_row(source, trigdata);
		write_rows_if_full();
	}
	return PointerGetDatum(NULL);
}

/*
 * _stamp() RETURNS trigger
 * BEFORE INSERT FOR EACH ROW on a staging table that others write.
 */
Datum
stamp(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	MetadataColumns metadata;
	TupleDesc	desc;
	HeapTuple	tuple;
	int			attnos[4];
	Datum		values[4];
	bool		nulls[4] = {false};
	int			n = 2;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function featurestore._stamp() must be fired before inserts of rows")));

	changes_staged = true;
	tuple = trigdata->tg_trigtuple;
	desc = RelationGetDescr(trigdata->tg_relation);
	find_metadata(desc, &metadata, RelationGetRelid(trigdata->tg_relation));
	attnos[0] = metadata.xid;
	values[0] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	attnos[1] = metadata.sequence;
	values[1] = Int64GetDatum(nextval_internal(change_sequence(), false));
	heap_getattr(tuple, metadata.commit_timestamp, desc, &isnull);
	if (isnull)
	{
		attnos[n] = metadata.commit_timestamp;
		values[n++] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	}
	heap_getattr(tuple, metadata.change_type, desc, &isnull);
	if (isnull)
	{
		attnos[n] = metadata.change_type;
		values[n++] = CStringGetTextDatum("insert");
	}
	return PointerGetDatum(heap_modify_tuple_by_cols(tuple, desc, n, attnos, values, nulls));
}

/* The partition that a staging table had when a call looked. */
typedef struct KnownPartition
{
	Oid			staging;
	uint64		invalidations;
	int16		number;
} KnownPartition;

/*
 * _current_partition(staging regclass) RETURNS smallint
 * It is asked for each row of a statement, so a call remembers the answer.
 */
Datum
current_partition(PG_FUNCTION_ARGS)
{
	Oid			staging = PG_GETARG_OID(0);
	KnownPartition *known = fcinfo->flinfo->fn_extra;
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];

	if (!known)
		known = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
																  sizeof(KnownPartition));
	if (known->staging != staging || known->invalidations != capture_invalidations())
	{
		known->staging = InvalidOid;
		known->invalidations = capture_invalidations();
		if (!catalog_fetch("staging", staging, NULL, values, nulls))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("relation %s is not a staging table",
							DatumGetCString(DirectFunctionCall1(regclassout, PG_GETARG_DATUM(0))))));
		known->staging = staging;
		known->number = DatumGetInt16(values[Anum_staging_current_partition - 1]);
	}
	PG_RETURN_INT16(known->number);
}
