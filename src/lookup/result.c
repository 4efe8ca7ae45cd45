/*
 * result.c
 *	  What an item found for a key, with its status and its defaults.
 *
 * A row that was found counts if it is as young as the item wants it; what is
 * missing, or does not count, takes defaults.  It is the same whoever found the
 * row, and when: a lookup finds all at one T, training each at one of its own.
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "lookup/lookup.h"
#include "window/state.h"
#include "compat.h"

/* An event time as a timestamp; a date is its midnight, UTC. */
TimestampTz
event_timestamp(SpecItem *item, Datum time)
{
	DateADT		date;
	TimestampTz result;

	if (item->time_type != DATEOID)
		return DatumGetTimestampTz(time);
	date = DatumGetDateADT(time);
	if (DATE_IS_NOBEGIN(date))
		TIMESTAMP_NOBEGIN(result);
	else if (DATE_IS_NOEND(date) || date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		TIMESTAMP_NOEND(result);
	else
		result = (TimestampTz) date * USECS_PER_DAY;
	return result;
}

/* Is an event older than the bound at T? */
bool
is_older(TimestampTz as_of, TimestampTz event, int64 bound)
{
	int64		age;

	if (TIMESTAMP_IS_NOBEGIN(event) || TIMESTAMP_IS_NOEND(as_of))
		return event != as_of;
	return pg_sub_s64_overflow(as_of, event, &age) ? as_of > event : age > bound;
}

/*
 * Gives the columns of a probe without a usable row their defaults.  What is
 * not there counts as an entity without events.
 */
void
fill_missing(LookupRun *run, ItemRun *irun, int probe)
{
	SpecItem   *item = irun->item;
	bool		may_default = irun->results[probe].status != STATUS_TOO_OLD;
	bool		is_empty = irun->results[probe].status == STATUS_NOT_FOUND;

	for (int i = 0; i < item->ncolumns; i++)
	{
		SpecColumn *column = &run->spec->columns[item->first_column + i];
		Size		at = (Size) probe * item->ncolumns + i;

		irun->nulls[at] = false;
		if (is_empty && column->has_empty_value)
			irun->values[at] = column->empty_value;
		else if (may_default && column->has_default)
			irun->values[at] = column->default_value;
		else
		{
			irun->nulls[at] = true;
			irun->values[at] = (Datum) 0;
		}
	}
}

/* What a row that was found counts as at T, given its event time. */
static LookupStatus
found_status(SpecItem *item, ProbeResult *result, TimestampTz as_of)
{
	if (result->has_time && result->event_time > as_of)
		return STATUS_TOO_OLD;
	if (item->max_age >= 0 &&
		(!result->has_time || is_older(as_of, result->event_time, item->max_age)))
		return STATUS_OUTSIDE_MAX_AGE;
	return STATUS_PRESENT;
}

/* Copies those of an item's columns, or all, that are not passed by value out of where they are. */
static void
copy_by_reference(Spec *spec, SpecItem *item, int ncolumns, const int *columns, Datum *values,
				  bool *nulls)
{
	Size		sizes[MaxTupleAttributeNumber];
	Size		total = 0;
	char	   *space;

	for (int k = 0; k < ncolumns; k++)
	{
		int			i = columns ? columns[k] : k;
		SpecColumn *column = &spec->columns[item->first_column + i];

		sizes[k] = 0;
		if (!column->typbyval && !nulls[i])
			sizes[k] = datumGetSize(values[i], false, column->typlen);
		total += MAXALIGN(sizes[k]);
	}
	if (total == 0)
		return;
	space = palloc(total);
	for (int k = 0; k < ncolumns; k++)
	{
		int			i = columns ? columns[k] : k;

		if (sizes[k] == 0)
			continue;
		memcpy(space, DatumGetPointer(values[i]), sizes[k]);
		values[i] = PointerGetDatum(space);
		space += MAXALIGN(sizes[k]);
	}
}

/* States of another input than the spec was made for can give values of another type. */
static void
refuse_result_type(ItemRun *irun, SpecWindows *windows, SpecColumn *column, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("%s: states in column \"%s\" give output \"%s\" as %s, not as %s",
					irun->item->name, get_attname(irun->item->relid, windows->attno, false),
					column->name, format_type_be(type), format_type_be(column->type)),
			 errhint("Create the spec again with featurestore.create_feature_spec(..., replace => true).")));
}

/*
 * Keeps a window output as it was evaluated.  An empty window takes the default;
 * a count, which has a value, does not.
 */
static void
keep_output(LookupRun *run, ItemRun *irun, int probe, int position, Datum value, bool isnull,
			uint8 flags)
{
	SpecColumn *column = &run->spec->columns[irun->item->first_column + position];
	Size		at = (Size) probe * irun->item->ncolumns + position;

	irun->values[at] = value;
	irun->nulls[at] = isnull;
	irun->flags[at] = flags;
	if (column->has_default && !column->has_empty_value &&
		(flags & (VALUE_EMPTY | VALUE_TOO_OLD)) == VALUE_EMPTY)
	{
		irun->values[at] = column->default_value;
		irun->nulls[at] = false;
		irun->flags[at] |= OUTPUT_DEFAULTED;
	}
}

/* Evaluates the window outputs of a row that was found, as far as they are needed. */
static void
evaluate_windows(LookupRun *run, ItemRun *irun, int probe, Datum *values, bool *nulls)
{
	SpecItem   *item = irun->item;

	for (int i = 0; i < item->nwindows; i++)
	{
		SpecWindows *windows = &item->windows[i];
		struct varlena *state;

		if (!irun->needs->windows[i])
			continue;
		state = nulls[windows->attno - 1] ? NULL :
			(struct varlena *) DatumGetPointer(values[windows->attno - 1]);
		window_evaluate(windows->plan, state, run->request->as_of, windows->values,
						windows->nulls, windows->flags);
		for (int k = 0; k < windows->plan->noutputs; k++)
		{
			SpecColumn *column = &run->spec->columns[item->first_column + windows->positions[k]];
			Oid			type = windows->plan->outputs[k].call.result_type;

			if (type != column->type)
				refuse_result_type(irun, windows, column, type);
			keep_output(run, irun, probe, windows->positions[k], windows->values[k],
						windows->nulls[k], windows->flags[k]);
		}
	}
}

/*
 * Keeps what a probe found, given as values of the table's columns, as far as
 * these are needed.
 */
void
keep_found(LookupRun *run, ItemRun *irun, int probe, Datum *values, bool *nulls)
{
	SpecItem   *item = irun->item;
	ItemNeeds  *needs = irun->needs;
	ProbeResult *result = &irun->results[probe];
	Datum	   *kept = irun->values + (Size) probe * item->ncolumns;
	bool	   *kept_nulls = irun->nulls + (Size) probe * item->ncolumns;

	result->has_time = item->time_attno && !nulls[item->time_attno - 1];
	if (result->has_time)
		result->event_time = event_timestamp(item, values[item->time_attno - 1]);
	result->status = found_status(item, result, run->request->as_of);
	irun->found++;
	if (result->status != STATUS_PRESENT)
	{
		fill_missing(run, irun, probe);
		return;
	}
	for (int k = 0; k < needs->ncolumns; k++)
	{
		int			i = needs->columns[k];
		int			from = item->attnos[i] - 1;

		kept_nulls[i] = nulls[from];
		kept[i] = kept_nulls[i] ? (Datum) 0 : values[from];
	}
	copy_by_reference(run->spec, item, needs->ncolumns, needs->columns, kept, kept_nulls);
	evaluate_windows(run, irun, probe, values, nulls);
}

/*
 * Keeps what was found at T, given as values of the item's columns, with the
 * flags of window outputs; the result has its event time already.  Values that
 * are not passed by value are copied.
 */
void
keep_answer(LookupRun *run, ItemRun *irun, int probe, TimestampTz as_of, Datum *values,
			bool *nulls, uint8 *flags)
{
	SpecItem   *item = irun->item;
	ProbeResult *result = &irun->results[probe];
	Size		first = (Size) probe * item->ncolumns;

	result->status = found_status(item, result, as_of);
	irun->found++;
	if (result->status != STATUS_PRESENT)
	{
		fill_missing(run, irun, probe);
		return;
	}
	memcpy(irun->values + first, values, sizeof(Datum) * item->ncolumns);
	memcpy(irun->nulls + first, nulls, item->ncolumns);
	copy_by_reference(run->spec, item, item->ncolumns, NULL, irun->values + first,
					  irun->nulls + first);
	for (int i = 0; i < item->ncolumns; i++)
	{
		if (!item->attnos[i])
			keep_output(run, irun, probe, i, irun->values[first + i], irun->nulls[first + i],
						flags[i]);
	}
}

/* Makes place for results. */
static void
allocate_results(ItemRun *irun, int n)
{
	Size		size = (Size) n * irun->item->ncolumns;

	irun->values = palloc_array(Datum, size);
	irun->nulls = palloc_array(bool, size);
	irun->results = palloc_array(ProbeResult, n);
	irun->flags = irun->item->nwindows > 0 ? palloc_array(uint8, size) : NULL;
}

/* Takes that of a constant item. */
static void
take_room(ItemRun *irun)
{
	ConstantRoom *room = irun->room;

	irun->values = room->values;
	irun->nulls = room->nulls;
	irun->results = room->results;
	irun->flags = irun->item->nwindows > 0 ? room->flags : NULL;
}

/* Readies n results, all missing until found. */
void
prepare_results(LookupRun *run, ItemRun *irun, int n)
{
	LookupStatus status = irun->table_status == STATUS_PRESENT ?
		STATUS_NOT_FOUND : irun->table_status;

	if (irun->is_constant && irun->room)
		take_room(irun);
	else
		allocate_results(irun, n);
	if (irun->flags)
		memset(irun->flags, 0, (Size) n * irun->item->ncolumns);
	irun->found = 0;
	for (int probe = 0; probe < n; probe++)
	{
		irun->results[probe].has_time = false;
		irun->results[probe].event_time = 0;
		irun->results[probe].status = status;
	}
}
