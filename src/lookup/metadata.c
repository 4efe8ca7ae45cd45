/*
 * metadata.c
 *	  What is told of a lookup besides its values: what became of each output,
 *	  when and as of what it was, and enough to check it later.
 *
 * Values in json are for models, and json has no NaN, no negative zero and no
 * types.  So that a client can log what it got, requests and outputs are given
 * again as their types write them, in a form that depends on no setting.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "lib/qunique.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "lookup/lookup.h"
#include "lookup/metadata.h"
#include "compat.h"

/* Values become texts that mean the same in any session from here on, until end_texts. */
int
begin_texts(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"TimeZone", "UTC"},
		{"DateStyle", "ISO"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"xmlbinary", "base64"},
	};
	int			nest_level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
						  GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

void
end_texts(int nest_level)
{
	AtEOXact_GUC(false, nest_level);
}

/* Adds a key to the object being built. */
static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = (char *) key;
	value.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
}

/* Adds a key with a string; NULL is a json null. */
static void
push_string(JsonbParseState **state, const char *key, const char *string)
{
	JsonbValue	value = {.type = jbvNull};

	push_key(state, key);
	if (string)
	{
		value.type = jbvString;
		value.val.string.val = (char *) string;
		value.val.string.len = strlen(string);
	}
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* Adds a key with a time, in the form of json. */
static void
push_time(JsonbParseState **state, const char *key, TimestampTz time)
{
	char	   *text = palloc(MAXDATELEN + 1);

	push_string(state, key, JsonEncodeDateTime(text, TimestampTzGetDatum(time), TIMESTAMPTZOID,
											   NULL));
}

/* Adds a key with a boolean. */
static void
push_bool(JsonbParseState **state, const char *key, bool boolean)
{
	JsonbValue	value = {.type = jbvBool};

	push_key(state, key);
	value.val.boolean = boolean;
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* Adds a key with a number. */
static void
push_number(JsonbParseState **state, const char *key, int64 number)
{
	JsonbValue	value = {.type = jbvNumeric};

	push_key(state, key);
	value.val.numeric = int64_to_numeric(number);
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* Adds a key with an object that is finished. */
static void
push_object(JsonbParseState **state, const char *key, Jsonb *object)
{
	JsonbValue	value = {.type = jbvBinary};

	push_key(state, key);
	value.val.binary.data = &object->root;
	value.val.binary.len = VARSIZE(object) - VARHDRSZ;
	pushJsonbValue(state, WJB_VALUE, &value);
}

bool
is_served(const Spec *spec, int result)
{
	return !spec->results[result].is_status && spec->columns[spec->results[result].column].is_output;
}

/* Adds what became of each output of the current row. */
static void
push_statuses(JsonbParseState **state, LookupRun *run)
{
	push_key(state, "status");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < run->spec->nresults; i++)
	{
		int			column = run->spec->results[i].column;
		ProbeResult *result = row_result(run, column);

		if (!is_served(run->spec, i))
			continue;
		push_key(state, run->spec->columns[column].name);
		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		push_string(state, "status", status_name(row_status(run, column)));
		push_bool(state, "defaulted", row_is_defaulted(run, column));
		if (run->spec->columns[column].is_window)
			push_bool(state, "approximate", row_is_approximate(run, column));
		if (result && result->has_time)
			push_time(state, "event_time", result->event_time);
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static int
compare_xids(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

/*
 * A snapshot in the form of pg_snapshot.  Unlike pg_current_snapshot it has the
 * transactions that run on the primary when this is a standby, and names
 * subtransactions, which rows name, too.
 */
char *
snapshot_text(Snapshot snapshot)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint64	   *xids = palloc_array(uint64, snapshot->xcnt + Max(snapshot->subxcnt, 0) + 1);
	uint64		xmax = widen_xid(next, snapshot->xmax);
	uint64		xmin = widen_xid(next, snapshot->xmin);
	size_t		n = 0;
	StringInfoData text;

	for (uint32 i = 0; i < snapshot->xcnt; i++)
		xids[n++] = widen_xid(next, snapshot->xip[i]);
	for (int32 i = 0; i < snapshot->subxcnt; i++)
		xids[n++] = widen_xid(next, snapshot->subxip[i]);
	qsort(xids, n, sizeof(uint64), compare_xids);
	n = qunique(xids, n, sizeof(uint64), compare_xids);

	initStringInfo(&text);
	appendStringInfo(&text, UINT64_FORMAT ":" UINT64_FORMAT ":", xmin, xmax);
	for (size_t i = 0, kept = 0; i < n; i++)
	{
		if (xids[i] >= xmin && xids[i] < xmax)
			appendStringInfo(&text, "%s" UINT64_FORMAT, kept++ ? "," : "", xids[i]);
	}
	pfree(xids);
	return text.data;
}

/* The changes that are in a table, in the form that logs keep. */
static void
push_position(JsonbParseState **state, const TablePosition *position)
{
	if (!position->is_known)
	{
		push_string(state, "applied_to", NULL);
		return;
	}
	push_time(state, "applied_to", position->applied_to);
	if (!position->snapshot)
		return;
	push_string(state, "snapshot", position->snapshot);
	if (position->own_xid)
	{
		push_number(state, "own_xid", (int64) position->own_xid);
		push_number(state, "own_sequence", position->own_sequence);
	}
}

TablePosition
table_position(Oid relid, Snapshot snapshot)
{
	TablePosition result = {.relid = relid};
	PublicationPosition position;

	result.is_known = publication_position(relid, snapshot, &position);
	if (!result.is_known)
		return result;
	result.applied_to = position.applied_to;
	if (position.has_snapshot)
	{
		result.snapshot = DatumGetCString(DirectFunctionCall1(pg_snapshot_out,
															  position.applied.snapshot));
		result.own_xid = U64FromFullTransactionId(position.applied.own_xid);
		result.own_sequence = position.applied.own_sequence;
	}
	return result;
}

Jsonb *
positions_as_json(const TablePosition *positions, int n)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
	{
		char	   *name = get_rel_name(positions[i].relid);

		if (!name)
			continue;
		push_key(&state, quote_qualified_identifier(get_namespace_name(get_rel_namespace(positions[i].relid)),
													name));
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_position(&state, &positions[i]);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

TablePosition *
run_positions(LookupRun *run, int *n)
{
	TablePosition *positions = palloc_array(TablePosition, Max(run->spec->nitems, 1));

	*n = 0;
	for (int i = 0; i < run->spec->nitems; i++)
	{
		ItemRun    *irun = &run->items[i];

		if (!irun->rel)
			continue;
		positions[*n] = table_position(irun->item->relid, run->snapshot);
		positions[(*n)++].is_known &= irun->has_position || !run->with_positions;
	}
	return positions;
}

/* A value of the working row as text; NULL for NULL. */
static char *
column_text(const Spec *spec, const Datum *values, const bool *nulls, int column)
{
	Oid			output;
	bool		is_varlena;

	if (nulls[column])
		return NULL;
	getTypeOutputInfo(spec->columns[column].type, &output, &is_varlena);
	return OidOutputFunctionCall(output, values[column]);
}

Jsonb *
request_as_json(const Spec *spec, const Datum *values, const bool *nulls)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < spec->nargs; i++)
		push_string(&state, spec->columns[i].name, column_text(spec, values, nulls, i));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Jsonb *
outputs_as_json(const Spec *spec, const Datum *values, const bool *nulls)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < spec->nresults; i++)
	{
		int			column = spec->results[i].column;

		if (is_served(spec, i) && column >= spec->nargs)
			push_string(&state, spec->columns[column].name,
						column_text(spec, values, nulls, column));
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Jsonb *
statuses_as_json(const Spec *spec, const uint8 *statuses)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < spec->nresults; i++)
	{
		int			column = spec->results[i].column;

		if (!is_served(spec, i) || column < spec->nargs)
			continue;
		push_string(&state, spec->columns[column].name,
					statuses[i] & STATUS_IS_APPROXIMATE ? "APPROXIMATE" :
					status_name(statuses[i]));
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Adds the outputs that the request gave itself, so that nobody takes them for features. */
static void
push_overrides(JsonbParseState **state, LookupRun *run)
{
	push_key(state, "given");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = run->spec->nargs + 1; i < run->spec->ncolumns; i++)
	{
		JsonbValue	value = {.type = jbvString};

		if (!row_is_overridden(run, i, run->row))
			continue;
		value.val.string.val = run->spec->columns[i].name;
		value.val.string.len = strlen(run->spec->columns[i].name);
		pushJsonbValue(state, WJB_ELEM, &value);
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

void
begin_metadata(LookupRun *run, LookupMetadata *metadata)
{
	TablePosition *positions;
	int			n;

	positions = run_positions(run, &n);
	metadata->tables = positions_as_json(positions, n);
	/* nobody else sees what a transaction has done that has not ended */
	metadata->snapshot = TransactionIdIsValid(GetTopTransactionIdIfAny()) ? NULL :
		snapshot_text(run->snapshot);
}

Jsonb *
add_metadata(LookupRun *run, const LookupMetadata *metadata, Jsonb *values)
{
	JsonbParseState *state = NULL;
	int			nest_level;
	Jsonb	   *request;
	Jsonb	   *texts;

	nest_level = begin_texts();
	request = request_as_json(run->spec, run->values, run->nulls);
	texts = outputs_as_json(run->spec, run->values, run->nulls);
	end_texts(nest_level);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_string(&state, "spec", run->spec->name);
	push_object(&state, "values", values);
	push_object(&state, "texts", texts);
	push_object(&state, "request", request);
	if (run->request->overrides)
		push_overrides(&state, run);
	push_statuses(&state, run);
	push_object(&state, "tables", metadata->tables);
	push_time(&state, "as_of", run->request->as_of);
	push_string(&state, "snapshot", metadata->snapshot);
	push_number(&state, "version", run->spec->version);
	push_number(&state, "system_identifier", (int64) GetSystemIdentifier());
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
