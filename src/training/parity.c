/*
 * parity.c
 *	  What verify_parity has to know of a spec: which tables its outputs come
 *	  from, and what training reads instead of these.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "lookup/metadata.h"
#include "training/answer.h"
#include "training/labels.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(spec_arguments);
PG_FUNCTION_INFO_V1(parity_outputs);
PG_FUNCTION_INFO_V1(parity_tables);
PG_FUNCTION_INFO_V1(is_changed_since);

/* A list of texts, some of which may be NULL, as an array. */
static Datum
text_array(char **texts, int n)
{
	ArrayBuildState *state = initArrayResult(TEXTOID, CurrentMemoryContext, false);

	for (int i = 0; i < n; i++)
		accumArrayResult(state, texts[i] ? CStringGetTextDatum(texts[i]) : (Datum) 0, !texts[i],
						 TEXTOID, CurrentMemoryContext);
	return makeArrayResult(state, CurrentMemoryContext);
}

static void
put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* _spec_arguments(spec regclass, OUT name text, OUT type text) RETURNS SETOF record */
Datum
spec_arguments(PG_FUNCTION_ARGS)
{
	Spec	   *spec = spec_for_type(get_rel_type_id(PG_GETARG_OID(0)));

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < spec->nargs; i++)
	{
		SpecColumn *column = &spec->columns[i];
		Datum		values[2] = {
			CStringGetTextDatum(column->name),
			CStringGetTextDatum(format_type_extended(column->type, -1, FORMAT_TYPE_FORCE_QUALIFY))
		};
		bool		nulls[2] = {false};

		put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/* Opens a training run that only plans. */
static TrainingRun *
open_plan(FunctionCallInfo fcinfo)
{
	LabelOptions options = {
		.labels = text_to_cstring(PG_GETARG_TEXT_PP(1)),
		.timestamp_column = text_to_cstring(PG_GETARG_TEXT_PP(2))
	};

	return training_open(get_rel_type_id(PG_GETARG_OID(0)), NULL, &options, true, (Datum) 0);
}

/* The tables of what an output is made of, each once, and the names of that where it is not the output. */
static void
describe_inputs(Spec *spec, OutputReport *output, Datum *tables, Datum *inputs)
{
	Datum	   *relids = palloc_array(Datum, spec->nitems + 1);
	char	  **names = palloc_array(char *, spec->ncolumns);
	int			nrelids = 0;
	int			nnames = 0;

	for (int column = -1; (column = bms_next_member(output->inputs, column)) >= 0;)
	{
		Datum		relid = ObjectIdGetDatum(spec->items[spec->columns[column].item].relid);
		int			i = 0;

		while (i < nrelids && relids[i] != relid)
			i++;
		if (i == nrelids)
			relids[nrelids++] = relid;
		if (column != spec->results[output->result].column)
			names[nnames++] = spec->columns[column].name;
	}
	*tables = PointerGetDatum(construct_array(relids, nrelids, REGCLASSOID, sizeof(Oid), true,
											  TYPALIGN_INT));
	*inputs = text_array(names, nnames);
}

/*
 * _parity_outputs(spec regclass, labels text, timestamp_column text, OUT output text,
 *				   OUT is_number boolean, OUT point_in_time text, OUT history_from timestamptz,
 *				   OUT tables regclass[], OUT inputs text[], OUT is_computed boolean)
 * RETURNS SETOF record
 */
Datum
parity_outputs(PG_FUNCTION_ARGS)
{
	TrainingRun *run = open_plan(fcinfo);
	Spec	   *spec = run->lookup->spec;
	TrainingReport *report = report_begin(run);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < report->noutputs; i++)
	{
		OutputReport *output = &report->outputs[i];
		SpecColumn *column = &spec->columns[spec->results[output->result].column];
		char		category;
		bool		is_preferred;
		Datum		values[7];
		bool		nulls[7] = {false};

		get_type_category_preferred(getBaseType(column->type), &category, &is_preferred);
		values[0] = CStringGetTextDatum(column->name);
		values[1] = BoolGetDatum(category == TYPCATEGORY_NUMERIC);
		values[2] = CStringGetTextDatum(point_in_time_name(output->point_in_time));
		values[3] = TimestampTzGetDatum(output->history_from);
		nulls[3] = output->point_in_time != POINT_HISTORY_FROM;
		describe_inputs(spec, output, &values[4], &values[5]);
		values[6] = BoolGetDatum(!OidIsValid(spec->items[column->item].relid));
		put_row(fcinfo, values, nulls);
	}
	lookup_close(run->lookup);
	return (Datum) 0;
}

/* Describes what answers an item. */
static void
put_source(FunctionCallInfo fcinfo, Spec *spec, SpecItem *item, AnswerSource *source)
{
	char	  **columns = palloc_array(char *, item->nkeys);
	char	  **arguments = palloc_array(char *, item->nkeys);
	Datum		values[7];
	bool		nulls[7] = {false};

	for (int i = 0; i < item->nkeys; i++)
	{
		int			column = item->keys[i].column;

		columns[i] = get_attname(item->relid, item->keys[i].attno, false);
		arguments[i] = column < spec->nargs ? spec->columns[column].name : NULL;
	}
	values[0] = ObjectIdGetDatum(item->relid);
	values[1] = text_array(columns, item->nkeys);
	values[2] = text_array(arguments, item->nkeys);
	values[3] = ObjectIdGetDatum(source->relid);
	values[4] = text_array(source->keys, source->nkeys);
	nulls[5] = source->kind != SOURCE_EVENTS || !source->time;
	values[5] = nulls[5] ? (Datum) 0 : CStringGetTextDatum(source->time);
	values[6] = BoolGetDatum(source->has_xmin);
	put_row(fcinfo, values, nulls);
}

/*
 * _parity_tables(spec regclass, labels text, timestamp_column text, OUT relation regclass,
 *				  OUT key_columns text[], OUT arguments text[], OUT source regclass,
 *				  OUT source_keys text[], OUT event_time text, OUT has_xmin boolean)
 * RETURNS SETOF record
 */
Datum
parity_tables(PG_FUNCTION_ARGS)
{
	TrainingRun *run = open_plan(fcinfo);
	Spec	   *spec = run->lookup->spec;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, run->plans)
	{
		AnswerPlan *plan = lfirst(lc);
		ListCell   *ls;

		for (int i = 0; i < plan->nitems; i++)
		{
			foreach(ls, plan->sources)
				put_source(fcinfo, spec, &spec->items[plan->items[i]], lfirst(ls));
		}
	}
	lookup_close(run->lookup);
	return (Datum) 0;
}

/* Opens a table all of which the user may read. */
static Relation
open_readable(Oid relid)
{
	AclResult	acl = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);

	if (acl == ACLCHECK_OK && check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		acl = ACLCHECK_NO_PRIV;
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_TABLE, get_rel_name(relid));
	return table_open(relid, AccessShareLock);
}

/*
 * _is_changed_since(relation oid, row tid, snapshot pg_snapshot) RETURNS boolean
 *
 * Did a row that the query sees take the place of another after a snapshot?  It
 * says so itself, for as long as it is there.  A row that is not there did not.
 * Raises 42501 to who may not read the table, or not all of it.
 */
Datum
is_changed_since(PG_FUNCTION_ARGS)
{
	Relation	rel = open_readable(PG_GETARG_OID(0));
	HeapTupleData tuple = {.t_self = *(ItemPointer) PG_GETARG_POINTER(1)};
	FullTransactionId next = ReadNextFullTransactionId();
	Buffer		buffer;
	bool		result = false;

	if (rel->rd_tableam == GetHeapamTableAmRoutine() &&
		ItemPointerGetBlockNumberNoCheck(&tuple.t_self) < RelationGetNumberOfBlocks(rel) &&
		heap_fetch(rel, GetActiveSnapshot(), &tuple, &buffer, false))
	{
		uint64		xid = widen_xid(next, HeapTupleHeaderGetRawXmin(tuple.t_data));

		result = (tuple.t_data->t_infomask & HEAP_UPDATED) &&
			!DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot,
											  FullTransactionIdGetDatum(FullTransactionIdFromU64(xid)),
											  PG_GETARG_DATUM(2)));
		ReleaseBuffer(buffer);
	}
	table_close(rel, AccessShareLock);
	PG_RETURN_BOOL(result);
}
