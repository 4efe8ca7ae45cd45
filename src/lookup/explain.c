/*
 * explain.c
 *	  What a lookup does, item by item.
 *
 * The lookup is run for real, with time and buffers counted.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "lookup/lookup.h"
#include "compat.h"

#define EXPLAIN_COLUMNS 8

PG_FUNCTION_INFO_V1(explain_lookup);

/* The path an item took. */
const char *
path_name(ItemRun *irun)
{
	if (!irun->rel)
		return "computed";
	if (irun->table_status != STATUS_PRESENT)
		return "none";
	return irun->is_direct ? "index" : "sql";
}

/* Why the item took its path; an index that goes at the same time has no name any more. */
const char *
path_reason(ItemRun *irun)
{
	char	   *index;

	if (irun->table_status != STATUS_PRESENT)
		return status_name(irun->table_status);
	if (!irun->is_direct)
		return irun->reason;
	index = get_rel_name(irun->item->access->index);
	return index ? psprintf("unique index %s", quote_identifier(index)) : "unique index";
}

/* Describes one item. */
static void
put_item(Tuplestorestate *store, TupleDesc desc, ItemRun *irun)
{
	Datum		values[EXPLAIN_COLUMNS] = {0};
	bool		nulls[EXPLAIN_COLUMNS] = {0};

	values[0] = CStringGetTextDatum(irun->item->name);
	values[2] = CStringGetTextDatum(path_name(irun));
	if (irun->rel)
	{
		values[1] = ObjectIdGetDatum(RelationGetRelid(irun->rel));
		values[3] = CStringGetTextDatum(path_reason(irun));
		values[4] = Int64GetDatum(irun->nprobes);
		values[5] = Int64GetDatum(irun->nfound);
		values[6] = Int64GetDatum(irun->buffers);
		values[7] = Float8GetDatum(INSTR_TIME_GET_MILLISEC(irun->time));
	}
	else
	{
		for (int i = 0; i < EXPLAIN_COLUMNS; i++)
			nulls[i] = i != 0 && i != 2;
	}
	tuplestore_putvalues(store, desc, values, nulls);
}

/* explain_lookup(spec text, records jsonb) RETURNS SETOF record */
Datum
explain_lookup(PG_FUNCTION_ARGS)
{
	LookupRun  *run = lookup_open(spec_type_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0))));
	TupleDesc	desc;
	Tuplestorestate *store;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	store = begin_result(fcinfo, desc);
	run->is_counted = true;
	lookup_start(run, request_from_json(run->spec, PG_GETARG_JSONB_P(1),
										GetCurrentStatementStartTimestamp()));
	while (lookup_next(run))
		;
	for (int i = 0; i < run->spec->nitems; i++)
		put_item(store, desc, &run->items[i]);
	lookup_close(run);
	return (Datum) 0;
}
