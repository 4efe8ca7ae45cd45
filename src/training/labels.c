/*
 * labels.c
 *	  The label frame: a query, the columns of it that training needs, its rows.
 *
 * The query runs once, with the rights and the search path of the caller and
 * under the snapshot that all of a training set is read under.  Its rows are
 * kept as they are, in its order, and read as often as there are passes over
 * them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "executor/tstoreReceiver.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "training/labels.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(training_label_query);

/* Quoted name of a relation in the catalogs, qualified. */
static char *
relation_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

char *
label_query(const char *labels)
{
	List	   *parts = NIL;
	List	   *names = NIL;
	RangeVar   *relation;
	Oid			relid;
	ListCell   *lc;

	/* what is no list of identifiers is a query */
	if (!SplitIdentifierString(pstrdup(labels), '.', &parts) || parts == NIL)
		return pstrdup(labels);
	foreach(lc, parts)
		names = lappend(names, makeString(lfirst(lc)));
	relation = makeRangeVarFromNameList(names);
	relid = RangeVarGetRelid(relation, NoLock, true);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", labels),
				 errhint("Labels are the name of a table or view, or a query.")));
	return psprintf("SELECT * FROM %s", relation_name(relid));
}

/* _label_query(labels text) RETURNS text */
Datum
training_label_query(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(label_query(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

/* Makes the names in labels mean what they mean to the caller; gives what to hand to leave_path. */
static int
enter_path(const LabelOptions *options)
{
	int			nest = NewGUCNestLevel();

	if (options->search_path)
		set_config_option("search_path", options->search_path, PGC_USERSET, PGC_S_SESSION,
						  GUC_ACTION_SAVE, true, 0, false);
	return nest;
}

static void
leave_path(int nest)
{
	AtEOXact_GUC(true, nest);
}

/* Prepares the query, and refuses what is none that only reads. */
static SPIPlanPtr
prepare_query(const char *query)
{
	SPIPrepareOptions options = {.cursorOptions = CURSOR_OPT_PARALLEL_OK};
	SPIPlanPtr	plan = SPI_prepare_extended(query, &options);
	List	   *sources = plan ? SPI_plan_get_plan_sources(plan) : NIL;
	CachedPlanSource *source = list_length(sources) == 1 ? linitial(sources) : NULL;
	Query	   *first = source && list_length(source->query_list) == 1 ?
		linitial_node(Query, source->query_list) : NULL;

	if (!first || !source->resultDesc || first->commandType != CMD_SELECT ||
		first->hasModifyingCTE || first->rowMarks)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("labels are neither a query that only reads nor the name of a relation"),
				 errdetail("They are: %s", query),
				 errhint("Give one SELECT, or the name of a table or view.")));
	return plan;
}

/* The number of a column of the labels; raises 42703 if there is none. */
static AttrNumber
find_column(LabelFrame *frame, const char *name, const char *what)
{
	StringInfoData list;

	for (int i = 0; i < frame->desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(frame->desc, i)->attname), name) == 0)
			return i + 1;
	}
	initStringInfo(&list);
	for (int i = 0; i < frame->desc->natts; i++)
		appendStringInfo(&list, "%s%s", i ? ", " : "", NameStr(TupleDescAttr(frame->desc, i)->attname));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("labels have no column \"%s\"", name),
			 errdetail("It is %s.", what),
			 errhint("Their columns are: %s.", list.data)));
	return InvalidAttrNumber;
}

/* A column of the labels with a time: timestamptz, or date if that will do. */
static AttrNumber
find_time(LabelFrame *frame, const char *name, const char *what, bool may_be_date)
{
	AttrNumber	attno = find_column(frame, name, what);
	Oid			type = getBaseType(TupleDescAttr(frame->desc, attno - 1)->atttypid);

	if (type == TIMESTAMPOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the labels is of type %s", name, format_type_be(type)),
				 errdetail("It is %s, which must be a moment.", what),
				 errhint("Say which zone it is in: %s AT TIME ZONE 'UTC' AS %s.",
						 quote_identifier(name), quote_identifier(name))));
	if (type != TIMESTAMPTZOID && !(type == DATEOID && may_be_date))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the labels is of type %s", name, format_type_be(type)),
				 errdetail("It is %s, which must be a moment.", what),
				 errhint("Cast it to timestamptz.")));
	return attno;
}

/* Refuses columns of one name. */
static void
check_names(LabelFrame *frame)
{
	for (int i = 0; i < frame->desc->natts; i++)
	{
		char	   *name = NameStr(TupleDescAttr(frame->desc, i)->attname);

		for (int j = 0; j < i; j++)
		{
			if (strcmp(NameStr(TupleDescAttr(frame->desc, j)->attname), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("labels have two columns \"%s\"", name),
						 errhint("Rename one of them with AS.")));
		}
	}
}

/*
 * Finds an argument of the spec among the columns.  Fields are taken as they
 * are, as when they come with a request; keys are converted as in a lookup.
 */
static void
find_argument(LabelFrame *frame, int i)
{
	SpecColumn *argument = &frame->spec->columns[i];
	AttrNumber	attno = find_column(frame, argument->name, argument->is_output ?
									psprintf("a request field of feature spec %s", frame->spec->name) :
									psprintf("a key of feature spec %s", frame->spec->name));
	Oid			given = TupleDescAttr(frame->desc, attno - 1)->atttypid;

	frame->attnos[i] = attno;
	if (argument->is_output ? given != argument->type :
		!has_coercion(given, argument->type, &frame->coercions[i]))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the labels is of type %s, not %s", argument->name,
						format_type_be(given), format_type_be(argument->type)),
				 argument->is_output ? errdetail("What a request field is must be the same in training and serving.") : 0,
				 errhint("Cast it: %s::%s AS %s.", quote_identifier(argument->name),
						 format_type_be(argument->type), quote_identifier(argument->name))));
}

LabelFrame *
labels_describe(Spec *spec, const LabelOptions *options)
{
	LabelFrame *frame = palloc0_object(LabelFrame);
	MemoryContext cxt = CurrentMemoryContext;
	int			nest = enter_path(options);
	SPIPlanPtr	plan;

	frame->options = *options;
	frame->spec = spec;
	frame->query = label_query(options->labels);
	SPI_connect();
	plan = prepare_query(frame->query);
	MemoryContextSwitchTo(cxt);
	frame->desc = CreateTupleDescCopy(((CachedPlanSource *)
									   linitial(SPI_plan_get_plan_sources(plan)))->resultDesc);
	SPI_finish();
	leave_path(nest);

	check_names(frame);
	if (options->timestamp_column)
	{
		frame->time_attno = find_time(frame, options->timestamp_column, "the timestamp_column", true);
		frame->time_type = getBaseType(TupleDescAttr(frame->desc, frame->time_attno - 1)->atttypid);
	}
	if (options->known_at)
		frame->known_attno = find_time(frame, options->known_at, "known_at", false);
	frame->attnos = palloc0_array(AttrNumber, spec->nargs);
	frame->coercions = palloc0_array(Coercion, spec->nargs);
	for (int i = 0; i < spec->nargs; i++)
		find_argument(frame, i);
	return frame;
}

void
labels_read(LabelFrame *frame)
{
	MemoryContext cxt = CurrentMemoryContext;
	int			nest = enter_path(&frame->options);
	DestReceiver *receiver = CreateDestReceiver(DestTuplestore);
	SPIExecuteOptions options = {.read_only = true,.dest = receiver};
	SPIPlanPtr	plan;
	TupleDesc	desc;
	int			result;

	frame->store = tuplestore_begin_heap(false, false, work_mem);
	SetTuplestoreDestReceiverParams(receiver, frame->store, cxt, false, NULL, NULL);
	SPI_connect();
	plan = prepare_query(frame->query);
	desc = ((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan)))->resultDesc;
	if (!equalTupleDescs(desc, frame->desc))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("what the labels are read from was changed meanwhile"),
				 errhint("Try again.")));
	result = SPI_execute_plan_extended(plan, &options);
	if (result < 0)
		elog(ERROR, "could not read labels: %s", SPI_result_code_string(result));
	SPI_finish();
	receiver->rDestroy(receiver);
	leave_path(nest);
}

/* Refuses a time that is none. */
static void
check_finite(LabelFrame *frame, AttrNumber attno, TimestampTz time)
{
	if (TIMESTAMP_NOT_FINITE(time))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("column \"%s\" of the labels has an infinite time",
						NameStr(TupleDescAttr(frame->desc, attno - 1)->attname)),
				 errhint("A label without a time has NULL there, and then no features.")));
}

/* A time of a label; false for NULL.  A date is its midnight, UTC. */
static bool
label_time(LabelFrame *frame, AttrNumber attno, Oid type, TupleTableSlot *slot, TimestampTz *time)
{
	Datum		value = slot->tts_values[attno - 1];

	if (slot->tts_isnull[attno - 1])
		return false;
	if (type == DATEOID)
	{
		DateADT		date = DatumGetDateADT(value);

		if (DATE_IS_NOBEGIN(date))
			TIMESTAMP_NOBEGIN(*time);
		else if (DATE_NOT_FINITE(date) || date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
			TIMESTAMP_NOEND(*time);
		else
			*time = (TimestampTz) date * USECS_PER_DAY;
	}
	else
		*time = DatumGetTimestampTz(value);
	check_finite(frame, attno, *time);
	return true;
}

LabelTimes
label_times(LabelFrame *frame, TupleTableSlot *slot)
{
	LabelTimes	times = {.at = GetCurrentStatementStartTimestamp(),.has_times = true};

	if (frame->time_attno)
		times.has_times = label_time(frame, frame->time_attno, frame->time_type, slot, &times.at);
	if (frame->known_attno)
		times.has_times &= label_time(frame, frame->known_attno, TIMESTAMPTZOID, slot,
									  &times.known_at);
	return times;
}

bool
label_argument(LabelFrame *frame, int i, TupleTableSlot *slot, Datum *value)
{
	AttrNumber	attno = frame->attnos[i];

	if (slot->tts_isnull[attno - 1])
		return false;
	*value = coerce_value(&frame->spec->columns[i], &frame->coercions[i],
						  slot->tts_values[attno - 1]);
	return true;
}

bool
label_is_input(LabelFrame *frame, AttrNumber attno)
{
	for (int i = 0; i < frame->spec->nargs; i++)
	{
		if (frame->attnos[i] == attno)
			return true;
	}
	return attno == frame->time_attno || attno == frame->known_attno;
}
