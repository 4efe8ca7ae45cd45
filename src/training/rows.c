/*
 * rows.c
 *	  Rows of training sets: into a table, and to whoever asks.
 *
 * A row is the number of the label, then the columns of the label, then the
 * outputs of the spec.  Where rows must have the form of a table, its columns
 * are found among these by name.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "training/labels.h"
#include "training/target.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(training_columns);
PG_FUNCTION_INFO_V1(training_rows);
PG_FUNCTION_INFO_V1(training_rows_of_items);
PG_FUNCTION_INFO_V1(fill_training_set);
PG_FUNCTION_INFO_V1(score_batch);

#define LABEL_ROW "label_row"

/* Where a column of a row comes from. */
typedef enum ColumnKind
{
	COLUMN_NOTHING,				/* NULL */
	COLUMN_LABEL_ROW,
	COLUMN_LABEL,
	COLUMN_OUTPUT
} ColumnKind;

typedef struct RowColumn
{
	ColumnKind	kind;
	int			index;			/* of the labels' columns, or of the spec's results */
	bool		is_coerced;		/* from the type of the labels' column */
	Coercion	coercion;
	SpecColumn	as;
} RowColumn;

/* Forms rows of a run. */
typedef struct RowForm
{
	TrainingRun *run;
	int			ncolumns;
	RowColumn  *columns;
	Datum	   *values;			/* of the row */
	bool	   *nulls;
	Datum	   *results;		/* of the spec */
	bool	   *result_nulls;
} RowForm;

static char *
text_argument(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

/* Raises 22004 for what must not be NULL. */
static void
check_not_null(FunctionCallInfo fcinfo, int i, const char *name)
{
	if (PG_ARGISNULL(i))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/* A form for rows of ncolumns columns, all of nothing yet. */
static RowForm *
make_form(TrainingRun *run, int ncolumns)
{
	RowForm    *form = palloc0_object(RowForm);
	int			nresults = run->lookup->spec->nresults;

	form->run = run;
	form->ncolumns = ncolumns;
	form->columns = palloc0_array(RowColumn, ncolumns);
	form->values = palloc0_array(Datum, ncolumns);
	form->nulls = palloc0_array(bool, ncolumns);
	form->results = palloc0_array(Datum, nresults);
	form->result_nulls = palloc0_array(bool, nresults);
	return form;
}

/* The form that has all columns in order, and a description of it. */
static RowForm *
complete_form(TrainingRun *run, TupleDesc *desc)
{
	Spec	   *spec = run->lookup->spec;
	TupleDesc	labels = run->labels->desc;
	RowForm    *form = make_form(run, 1 + labels->natts + spec->nresults);
	int			n = 0;

	form->columns[n++].kind = COLUMN_LABEL_ROW;
	for (int i = 0; i < labels->natts; i++)
		form->columns[n++] = (RowColumn) {.kind = COLUMN_LABEL,.index = i};
	for (int i = 0; i < spec->nresults; i++)
	{
		if (is_training_output(spec, i))
			form->columns[n++] = (RowColumn) {.kind = COLUMN_OUTPUT,.index = i};
	}
	form->ncolumns = n;
	*desc = CreateTemplateTupleDesc(n);
	TupleDescInitEntry(*desc, 1, LABEL_ROW, INT8OID, -1, 0);
	for (int i = 1; i < n; i++)
	{
		RowColumn  *column = &form->columns[i];

		TupleDescCopyEntry(*desc, i + 1, column->kind == COLUMN_LABEL ? labels : spec->result_desc,
						   column->index + 1);
	}
	return form;
}

/* The type of a column of a form. */
static Form_pg_attribute
form_attribute(RowForm *form, RowColumn *column)
{
	return TupleDescAttr(column->kind == COLUMN_LABEL ? form->run->labels->desc :
						 form->run->lookup->spec->result_desc, column->index);
}

/* Where the column of this name comes from. */
static RowColumn
find_column(TrainingRun *run, const char *name)
{
	Spec	   *spec = run->lookup->spec;
	RowColumn	found = {.kind = COLUMN_NOTHING};

	if (strcmp(name, LABEL_ROW) == 0)
		found.kind = COLUMN_LABEL_ROW;
	for (int i = 0; i < run->labels->desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(run->labels->desc, i)->attname), name) == 0)
			found = (RowColumn) {.kind = COLUMN_LABEL,.index = i};
	}
	for (int i = 0; i < spec->nresults; i++)
	{
		if (!is_training_output(spec, i) ||
			strcmp(NameStr(TupleDescAttr(spec->result_desc, i)->attname), name) != 0)
			continue;
		if (found.kind != COLUMN_NOTHING)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" of the labels has the name of an output", name),
					 errhint("Leave it out of the labels, or rename it with AS.")));
		found = (RowColumn) {.kind = COLUMN_OUTPUT,.index = i};
	}
	return found;
}

/* Finds how a column becomes one of the type that a table has; what labels give may be converted. */
static void
fit_column(RowForm *form, RowColumn *column, Form_pg_attribute attribute)
{
	Oid			type = column->kind == COLUMN_LABEL_ROW ? INT8OID : form_attribute(form, column)->atttypid;

	if (type == attribute->atttypid)
		return;
	column->is_coerced = true;
	column->as.name = pstrdup(NameStr(attribute->attname));
	column->as.type = attribute->atttypid;
	column->as.typmod = attribute->atttypmod;
	column->as.collation = attribute->attcollation;
	if (column->kind != COLUMN_LABEL || !has_coercion(type, attribute->atttypid, &column->coercion))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" is of type %s in the training set but comes as %s",
						column->as.name, format_type_be(attribute->atttypid), format_type_be(type)),
				 errhint("Cast it in the labels, or leave it out.")));
}

/* The form that rows of a table have, found by name; columns of other names are NULL. */
static RowForm *
table_form(TrainingRun *run, TupleDesc desc)
{
	RowForm    *form = make_form(run, desc->natts);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped)
			continue;
		form->columns[i] = find_column(run, NameStr(attribute->attname));
		if (form->columns[i].kind != COLUMN_NOTHING)
			fit_column(form, &form->columns[i], attribute);
	}
	return form;
}

/* Coerces a value of the labels in the memory of their chunk. */
static Datum
coerce_in_chunk(RowForm *form, RowColumn *column, Datum value)
{
	MemoryContext old = MemoryContextSwitchTo(form->run->chunk_cxt);

	value = coerce_value(&column->as, &column->coercion, value);
	MemoryContextSwitchTo(old);
	return value;
}

/* Forms the row of the current label. */
static void
form_row(RowForm *form)
{
	TrainingRun *run = form->run;

	if (run->has_outputs)
		row_to_result(run->lookup, form->results, form->result_nulls);
	else
		memset(form->result_nulls, true, run->lookup->spec->nresults);
	for (int i = 0; i < form->ncolumns; i++)
	{
		RowColumn  *column = &form->columns[i];

		switch (column->kind)
		{
			case COLUMN_NOTHING:
				form->nulls[i] = true;
				break;
			case COLUMN_LABEL_ROW:
				form->values[i] = Int64GetDatum(run->row);
				form->nulls[i] = false;
				break;
			case COLUMN_LABEL:
				form->values[i] = run->slot->tts_values[column->index];
				form->nulls[i] = run->slot->tts_isnull[column->index];
				if (column->is_coerced && !form->nulls[i])
					form->values[i] = coerce_in_chunk(form, column, form->values[i]);
				break;
			case COLUMN_OUTPUT:
				form->values[i] = form->results[column->index];
				form->nulls[i] = form->result_nulls[column->index];
				break;
		}
	}
}

/* Gives all rows of a run to the function's caller, and ends it. */
static Datum
give_rows(FunctionCallInfo fcinfo, RowForm *form, TupleDesc desc)
{
	Tuplestorestate *store = begin_result(fcinfo, desc);

	training_start(form->run);
	while (training_next(form->run))
	{
		form_row(form);
		tuplestore_putvalues(store, desc, form->values, form->nulls);
	}
	training_close(form->run);
	return (Datum) 0;
}

/* Options of labels that arguments from first on give: labels, timestamp_column, known_at. */
static LabelOptions
label_options(FunctionCallInfo fcinfo, int first, int search_path)
{
	LabelOptions options;

	check_not_null(fcinfo, first, "labels");
	check_not_null(fcinfo, first + 1, "timestamp_column");
	options.labels = text_argument(fcinfo, first);
	options.timestamp_column = text_argument(fcinfo, first + 1);
	options.known_at = text_argument(fcinfo, first + 2);
	options.search_path = text_argument(fcinfo, search_path);
	return options;
}

/* The row type of a spec that an argument names. */
static Oid
spec_argument(FunctionCallInfo fcinfo, int i)
{
	Oid			relid;

	check_not_null(fcinfo, i, "spec");
	relid = PG_GETARG_OID(i);
	return OidIsValid(get_rel_type_id(relid)) ? get_rel_type_id(relid) : InvalidOid;
}

/* The spec of a query and the steps of it, names in which are resolved by the search path. */
static Spec *
items_spec(const char *text, Jsonb *steps, const char *search_path)
{
	int			nest = NewGUCNestLevel();
	List	   *statements;
	Query	   *query;

	if (search_path)
		set_config_option("search_path", search_path, PGC_USERSET, PGC_S_SESSION,
						  GUC_ACTION_SAVE, true, 0, false);
	statements = pg_parse_query(text);
	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the items are not one query")));
	query = parse_analyze_fixedparams(linitial_node(RawStmt, statements), text, NULL, 0, NULL);
	AtEOXact_GUC(true, nest);
	if (query->commandType != CMD_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the items are no query")));
	return spec_from_query(query, steps);
}

/*
 * _training_rows(spec regclass, labels text, timestamp_column text, known_at text,
 *				  allow_current boolean, visible_in pg_snapshot, search_path text)
 * RETURNS SETOF record
 */
Datum
training_rows(PG_FUNCTION_ARGS)
{
	Oid			type = spec_argument(fcinfo, 0);
	LabelOptions options = label_options(fcinfo, 1, 6);
	bool		allow_current = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	Datum		visible_in = PG_ARGISNULL(5) ? (Datum) 0 : PG_GETARG_DATUM(5);
	TrainingRun *run = training_open(type, NULL, &options, allow_current, visible_in);
	TupleDesc	desc;
	RowForm    *form = complete_form(run, &desc);

	return give_rows(fcinfo, form, desc);
}

/*
 * _training_rows_of_items(query text, steps jsonb, labels text, timestamp_column text,
 *						   known_at text, allow_current boolean, search_path text)
 * RETURNS SETOF record
 */
Datum
training_rows_of_items(PG_FUNCTION_ARGS)
{
	LabelOptions options = label_options(fcinfo, 2, 6);
	bool		allow_current = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);
	TrainingRun *run;
	TupleDesc	desc;
	RowForm    *form;

	check_not_null(fcinfo, 0, "query");
	check_not_null(fcinfo, 1, "steps");
	run = training_open(InvalidOid, items_spec(text_argument(fcinfo, 0), PG_GETARG_JSONB_P(1),
											   options.search_path),
						&options, allow_current, (Datum) 0);
	form = complete_form(run, &desc);
	return give_rows(fcinfo, form, desc);
}

/* Type and collation of a column, as CREATE TABLE takes them. */
static char *
column_definition(Form_pg_attribute attribute)
{
	char	   *type = format_type_with_typemod(attribute->atttypid, attribute->atttypmod);
	Oid			collation = attribute->attcollation;

	if (!OidIsValid(collation) || collation == get_typcollation(attribute->atttypid))
		return type;
	return psprintf("%s COLLATE %s", type, generate_collation_name(collation));
}

/*
 * _training_columns(spec regclass, query text, steps jsonb, labels text, timestamp_column text,
 *					 known_at text, allow_current boolean, search_path text,
 *					 OUT name text, OUT definition text, OUT is_output boolean, OUT is_input boolean)
 * RETURNS SETOF record
 */
Datum
training_columns(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	LabelOptions options = label_options(fcinfo, 3, 7);
	Spec	   *spec = PG_ARGISNULL(1) || PG_ARGISNULL(2) ? NULL :
		items_spec(text_argument(fcinfo, 1), PG_GETARG_JSONB_P(2), options.search_path);
	Oid			type = spec ? InvalidOid : spec_argument(fcinfo, 0);
	TrainingRun *run = training_open(type, spec, &options,
									 !PG_ARGISNULL(6) && PG_GETARG_BOOL(6), (Datum) 0);
	TupleDesc	desc;
	RowForm    *form = complete_form(run, &desc);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < form->ncolumns; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = CStringGetTextDatum(NameStr(attribute->attname));
		values[1] = CStringGetTextDatum(column_definition(attribute));
		values[2] = BoolGetDatum(form->columns[i].kind == COLUMN_OUTPUT);
		values[3] = BoolGetDatum(form->columns[i].kind == COLUMN_LABEL &&
								 label_is_input(run->labels, form->columns[i].index + 1));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	lookup_close(run->lookup);
	return (Datum) 0;
}

/* Gives the report of a training set that was filled, a row an output. */
static void
give_report(FunctionCallInfo fcinfo, TrainingReport *report)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TupleDesc	outputs = report->run->lookup->spec->result_desc;

	for (int i = 0; i < report->noutputs; i++)
	{
		OutputReport *output = &report->outputs[i];
		Datum		values[8];
		bool		nulls[8] = {false};

		values[0] = CStringGetTextDatum(NameStr(TupleDescAttr(outputs, output->result)->attname));
		values[1] = CStringGetTextDatum(point_in_time_name(output->point_in_time));
		nulls[2] = output->point_in_time != POINT_HISTORY_FROM;
		values[2] = TimestampTzGetDatum(output->history_from);
		values[3] = Int64GetDatum(output->nulls);
		values[4] = Int64GetDatum(output->not_covered);
		values[5] = Int64GetDatum(report->rows);
		values[6] = CStringGetTextDatum(psprintf("%016llx", (unsigned long long) report->hash));
		values[7] = OidFunctionCall0(F_PG_CURRENT_SNAPSHOT);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/*
 * _fill_training_set(target regclass, spec regclass, labels text, timestamp_column text,
 *					  known_at text, allow_current boolean, search_path text, OUT output text,
 *					  OUT point_in_time text, OUT history_from timestamptz, OUT nulls bigint,
 *					  OUT not_covered bigint, OUT row_count bigint, OUT hash text,
 *					  OUT snapshot pg_snapshot)
 * RETURNS SETOF record
 */
Datum
fill_training_set(PG_FUNCTION_ARGS)
{
	LabelOptions options = label_options(fcinfo, 2, 6);
	Oid			type = spec_argument(fcinfo, 1);
	bool		allow_current = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);
	TrainingRun *run;
	TrainingReport *report;
	RowForm    *form;
	RowTarget  *target;
	TupleDesc	desc;

	check_not_null(fcinfo, 0, "target");
	InitMaterializedSRF(fcinfo, 0);
	run = training_open(type, NULL, &options, allow_current, (Datum) 0);
	target = target_open(PG_GETARG_OID(0), &desc);
	form = table_form(run, desc);
	report = report_begin(run);
	training_start(run);
	while (training_next(run))
	{
		form_row(form);
		report_count(report, form->result_nulls);
		report->hash += row_hash(desc, form->values, form->nulls);
		target_put(target, form->values, form->nulls);
	}
	target_close(target);
	give_report(fcinfo, report);
	training_close(run);
	return (Datum) 0;
}

/* The frozen spec of the training set whose row type this is; raises 42809 for other types. */
static Oid
frozen_spec(Oid type, bool *allow_current)
{
	Oid			relid = get_typ_typrelid(type);
	Datum		values[CATALOG_MAX_COLUMNS];
	bool		nulls[CATALOG_MAX_COLUMNS];

	if (!OidIsValid(relid) || !catalog_fetch("training_set", relid, NULL, values, nulls))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("type %s is not that of a training set", format_type_be(type)),
				 errhint("Pass NULL cast to the training set, as in NULL::schema.name, or make one with featurestore.create_training_set.")));
	if (nulls[Anum_training_set_frozen_spec - 1])
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("what training set %s was made of has been dropped", format_type_be(type))));
	*allow_current = DatumGetBool(values[Anum_training_set_allow_current - 1]);
	return get_rel_type_id(DatumGetObjectId(values[Anum_training_set_frozen_spec - 1]));
}

/*
 * score_batch(training_set anyelement, labels text, timestamp_column text)
 * RETURNS SETOF anyelement
 */
Datum
score_batch(PG_FUNCTION_ARGS)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	bool		allow_current;
	Oid			spec = frozen_spec(type, &allow_current);
	LabelOptions options = {0};
	TrainingRun *run;
	TupleDesc	desc;

	check_not_null(fcinfo, 1, "labels");
	options.labels = text_argument(fcinfo, 1);
	options.timestamp_column = text_argument(fcinfo, 2);
	run = training_open(spec, NULL, &options, allow_current || !options.timestamp_column, (Datum) 0);
	desc = lookup_rowtype_tupdesc_copy(type, -1);
	return give_rows(fcinfo, table_form(run, desc), desc);
}
