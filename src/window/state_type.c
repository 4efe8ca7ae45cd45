/*
 * state_type.c
 *	  The SQL types agg_state and window_state: input, output, description.
 *
 * The text form is a json object: what the state is for, in words, and its
 * tiles in hexadecimal; describe() tells what these hold.  Both types have the
 * same forms; a flag in the bytes tells them apart.
 */
#include "postgres.h"

#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "window/tiles.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(window_state_in);
PG_FUNCTION_INFO_V1(agg_state_in);
PG_FUNCTION_INFO_V1(state_out);
PG_FUNCTION_INFO_V1(window_state_recv);
PG_FUNCTION_INFO_V1(agg_state_recv);
PG_FUNCTION_INFO_V1(state_send);
PG_FUNCTION_INFO_V1(state_describe);
PG_FUNCTION_INFO_V1(state_merge);
PG_FUNCTION_INFO_V1(state_retract);

/* A state as it is stored, whatever form it has. */
static struct varlena *
closed_state(Datum state)
{
	struct varlena *plain = PG_DETOAST_DATUM_PACKED(state);
	StateView	view;

	state_view(plain, &view);
	return view.is_open ? compose(&view, 1) : plain;
}

/* A time as text, in UTC whatever the session's settings. */
static char *
time_text(int64 at)
{
	char	   *text = palloc(MAXDATELEN + 1);
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		return pstrdup("out of range");
	EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, text);
	return text;
}

/* A length of time as windows write it. */
static char *
length_text(int64 length)
{
	TimeWindow	window = {.kind = WINDOW_LIFETIME,.delay = length};

	return length == 0 ? "0" : window_to_text(&window) + strlen("lifetime delay ");
}

/* Appends members of a json object that tell what a spec is. */
static void
append_spec(StringInfo out, const StateSpec *spec)
{
	appendStringInfo(out, "\"family\": \"%s\", \"input\": \"%s\"", spec->family.family->name,
					 spec->family.type->name);
	if (spec->collation)
	{
		appendStringInfoString(out, ", \"collation\": ");
		escape_json(out, spec->collation);
	}
	appendStringInfo(out, ", \"param\": %u, \"verbatim\": %u", spec->family.param, spec->verbatim);
	if (spec->is_agg)
		return;
	appendStringInfo(out, ", \"head_slack\": \"%s\", \"windows\": [", length_text(spec->head_slack));
	for (int i = 0; i < spec->nwindows; i++)
		appendStringInfo(out, "%s\"%s\"", i ? ", " : "", window_to_text(&spec->windows[i]));
	appendStringInfoChar(out, ']');
}

char *
spec_to_text(const StateSpec *spec)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, spec->is_agg ? "an agg_state {" : "a window_state {");
	append_spec(&out, spec);
	appendStringInfoChar(&out, '}');
	return out.data;
}

static void
append_hex(StringInfo out, const char *data, Size size)
{
	enlargeStringInfo(out, size * 2 + 1);
	out->len += hex_encode(data, size, out->data + out->len);
	out->data[out->len] = '\0';
}

/* Text form of a state. */
Datum
state_out(PG_FUNCTION_ARGS)
{
	StateView	view;
	StringInfoData out;

	state_view(closed_state(PG_GETARG_DATUM(0)), &view);
	initStringInfo(&out);
	appendStringInfo(&out, "{\"version\": %d, ", STATE_VERSION);
	append_spec(&out, view.spec);
	if (view.watermark != PG_INT64_MIN)
		appendStringInfo(&out, ", \"watermark\": \"%s\"", time_text(view.watermark));
	appendStringInfoString(&out, ", \"tiles\": \"");
	append_hex(&out, view.tiles, view.tiles_size);
	appendStringInfoString(&out, "\"}");
	PG_RETURN_CSTRING(out.data);
}

static void
refuse_text(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid text form of a window state"),
			 errdetail("%s", detail)));
}

/* A member of the object; NULL if it has none, or one of another type. */
static JsonbValue *
member(Jsonb *object, const char *name, enum jbvType type)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&object->root, name, strlen(name), NULL);

	return value && value->type == type ? value : NULL;
}

static char *
member_text(Jsonb *object, const char *name)
{
	JsonbValue *value = member(object, name, jbvString);

	return value ? pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

/* A number from 0 to limit; raises an error if it is none. */
static uint32
member_number(Jsonb *object, const char *name, uint32 limit)
{
	JsonbValue *value = member(object, name, jbvNumeric);
	double		number = value ? DatumGetFloat8(DirectFunctionCall1(numeric_float8,
																	NumericGetDatum(value->val.numeric))) : -1;

	if (!(number >= 0 && number <= limit && number == (uint32) number))
		refuse_text(psprintf("\"%s\" must be a number from 0 to %u.", name, limit));
	return (uint32) number;
}

static const ValueType *
type_by_name(const char *name)
{
	for (int code = 0; name && code <= VALUE_MAX_CODE; code++)
	{
		const ValueType *type = value_type_by_code(code);

		if (type && strcmp(type->name, name) == 0)
			return type;
	}
	return NULL;
}

/* Reads the windows of the text form. */
static int
member_windows(Jsonb *object, TimeWindow *windows)
{
	JsonbValue *array = member(object, "windows", jbvBinary);
	int			n = 0;

	if (!array || !JsonContainerIsArray(array->val.binary.data))
		refuse_text("\"windows\" must be an array.");
	for (;; n++)
	{
		JsonbValue *window = getIthJsonbValueFromContainer(array->val.binary.data, n);

		if (!window)
			return n;
		if (window->type != jbvString || n == STATE_MAX_WINDOWS)
			refuse_text("\"windows\" must be at most 64 windows as text.");
		window_from_text(pnstrdup(window->val.string.val, window->val.string.len), &windows[n]);
	}
}

/* Reads the spec of the text form. */
static StateSpec *
member_spec(Jsonb *object, bool is_agg)
{
	FamilySpec	family = {0};
	char	   *name = member_text(object, "family");
	TimeWindow	windows[STATE_MAX_WINDOWS];
	TimeWindow	slack = {0};
	char	   *slack_text = member_text(object, "head_slack");
	int			nwindows = 0;

	family.family = name ? family_by_name(name) : NULL;
	family.type = type_by_name(member_text(object, "input"));
	if (!family.family || !family.type)
		refuse_text("\"family\" and \"input\" must name a family and a type.");
	family.param = member_number(object, "param", PG_INT32_MAX);
	if (!is_agg)
	{
		if (!slack_text)
			refuse_text("\"head_slack\" must be a length of time.");
		if (strcmp(slack_text, "0") != 0)
			window_from_text(psprintf("lifetime delay %s", slack_text), &slack);
		nwindows = member_windows(object, windows);
	}
	else if (member(object, "windows", jbvBinary))
		refuse_text("An agg_state has no \"windows\".");
	return spec_make(&family, member_text(object, "collation"),
					 member_number(object, "verbatim", STATE_MAX_VERBATIM), slack.delay, windows,
					 nwindows, is_agg);
}

/* The bytes that "tiles" gives. */
static void
read_hex(Jsonb *object, Writer *writer)
{
	char	   *hex = member_text(object, "tiles");
	Size		size;

	if (!hex || strlen(hex) % 2 != 0)
		refuse_text("\"tiles\" must be bytes in hexadecimal.");
	size = strlen(hex);
	hex_decode(hex, size, write_space(writer, size / 2));
}

/* Validates bytes that came from outside, and makes a state of them. */
static Datum
checked_state(Writer *writer, bool is_agg, int error)
{
	StateView	view;
	Reader		reader = reader_over(writer->data + VARHDRSZ, writer->size - VARHDRSZ);
	uint8		version = read_byte(&reader);
	uint8		flags = read_byte(&reader);
	Size		spec_size = read_byte(&reader);
	const char *spec;

	spec_size |= (Size) read_byte(&reader) << 8;
	spec = read_bytes(&reader, spec_size);
	if (!reader.failed && version != STATE_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("window state has version %u", version),
				 errdetail("This version of the extension reads version %d.", STATE_VERSION)));
	if (reader.failed || flags != (is_agg ? STATE_AGG : 0) ||
		reader.end - reader.at < (ptrdiff_t) sizeof(int64) ||
		!spec_from_bytes(spec, spec_size, is_agg))
		ereport(ERROR,
				(errcode(error),
				 errmsg("invalid form of a window state")));

	SET_VARSIZE(writer->data, writer->size);
	state_view((struct varlena *) writer->data, &view);
	if (!state_is_valid(&view))
		ereport(ERROR,
				(errcode(error),
				 errmsg("invalid form of a window state"),
				 errdetail("Its tiles are not those of any events.")));
	return PointerGetDatum(writer->data);
}

/* Reads the text form; raises 22P02 for what is none, 0A000 for another version. */
static Datum
state_in(FunctionCallInfo fcinfo, bool is_agg)
{
	Jsonb	   *object = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, PG_GETARG_DATUM(0)));
	StateSpec  *spec;
	char	   *watermark;
	int64		at = PG_INT64_MIN;
	Writer		writer;

	if (!JB_ROOT_IS_OBJECT(object))
		refuse_text("It must be a json object.");
	if (member_number(object, "version", PG_INT32_MAX) != STATE_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("window state has another version"),
				 errdetail("This version of the extension reads version %d.", STATE_VERSION)));
	spec = member_spec(object, is_agg);
	watermark = member_text(object, "watermark");
	if (watermark)
		at = DatumGetTimestamp(DirectFunctionCall3(timestamp_in, CStringGetDatum(watermark),
													 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));

	writer_init(&writer, 256);
	write_space(&writer, VARHDRSZ);
	write_state_header(&writer, spec, 0);
	read_hex(object, &writer);
	write_uint64(&writer, (uint64) at);
	return checked_state(&writer, is_agg, ERRCODE_INVALID_TEXT_REPRESENTATION);
}

Datum
window_state_in(PG_FUNCTION_ARGS)
{
	return state_in(fcinfo, false);
}

Datum
agg_state_in(PG_FUNCTION_ARGS)
{
	return state_in(fcinfo, true);
}

/* Reads the binary form, the bytes as they are stored; raises 22P03, 0A000. */
static Datum
state_recv(FunctionCallInfo fcinfo, bool is_agg)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	Size		size = message->len - message->cursor;
	Writer		writer;

	writer_init(&writer, VARHDRSZ + size);
	write_space(&writer, VARHDRSZ);
	write_bytes(&writer, pq_getmsgbytes(message, (int) size), size);
	return checked_state(&writer, is_agg, ERRCODE_INVALID_BINARY_REPRESENTATION);
}

Datum
window_state_recv(PG_FUNCTION_ARGS)
{
	return state_recv(fcinfo, false);
}

Datum
agg_state_recv(PG_FUNCTION_ARGS)
{
	return state_recv(fcinfo, true);
}

Datum
state_send(PG_FUNCTION_ARGS)
{
	struct varlena *state = closed_state(PG_GETARG_DATUM(0));
	StringInfoData out;

	pq_begintypsend(&out);
	pq_sendbytes(&out, VARDATA_ANY(state), VARSIZE_ANY_EXHDR(state));
	PG_RETURN_BYTEA_P(pq_endtypsend(&out));
}

/* Appends what is in a tile. */
static void
append_tile(StringInfo out, const StateSpec *spec, const Tile *tile, uint64 *events)
{
	uint64		n = tile->nverbatim;

	if (n == 0)
		n = spec->family.family->check(&spec->family, tile->data, tile->size);
	add_events(events, n);
	appendStringInfoString(out, "{\"start\": ");
	if (tile->level == LEVEL_EXPIRED)
		appendStringInfoString(out, "null, \"width\": null");
	else
		appendStringInfo(out, "\"%s\", \"width\": \"%s\"", time_text(tile->start),
						 length_text(tile->level ? spec->levels[tile->level - 1].width : 1));
	appendStringInfo(out, ", \"events\": " UINT64_FORMAT ", \"verbatim\": %s, \"bytes\": %zu}", n,
					 tile->nverbatim ? "true" : "false", tile->size);
}

/*
 * What a state is for and holds, as jsonb: family, input, param, verbatim (r),
 * head_slack, windows, watermark, events, bytes, tiles.
 */
Datum
state_describe(PG_FUNCTION_ARGS)
{
	struct varlena *state = closed_state(PG_GETARG_DATUM(0));
	StateView	view;
	TileReader	tiles;
	Tile		tile;
	StringInfoData out;
	StringInfoData list;
	uint64		events = 0;

	state_view(state, &view);
	initStringInfo(&list);
	begin_tiles(&tiles, view.spec, view.tiles, view.tiles_size);
	while (next_tile(&tiles, &tile))
	{
		CHECK_FOR_INTERRUPTS();
		appendStringInfoString(&list, list.len ? ", " : "");
		append_tile(&list, view.spec, &tile, &events);
	}
	if (tiles.reader.failed)
		report_damaged_state();

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	append_spec(&out, view.spec);
	appendStringInfo(&out, ", \"watermark\": %s%s%s, \"events\": " UINT64_FORMAT ", \"bytes\": %zu, \"tiles\": [%s]}",
					 view.watermark == PG_INT64_MIN ? "" : "\"",
					 view.watermark == PG_INT64_MIN ? "null" : time_text(view.watermark),
					 view.watermark == PG_INT64_MIN ? "" : "\"",
					 events, (Size) VARSIZE_ANY(state), list.data);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(out.data));
}

/* The state of the events of both; raises 22023 for states of different specs. */
Datum
state_merge(PG_FUNCTION_ARGS)
{
	StateView	views[2];

	state_view(PG_GETARG_VARLENA_PP(0), &views[0]);
	state_view(PG_GETARG_VARLENA_PP(1), &views[1]);
	check_same_spec(views[0].spec, views[1].spec);
	PG_RETURN_POINTER(compose(views, 2));
}

/*
 * The state of the events of the first without those of the second; NULL where
 * that takes the events themselves.  Raises 22023 for states of different specs.
 */
Datum
state_retract(PG_FUNCTION_ARGS)
{
	StateView	a;
	StateView	b;
	struct varlena *result;

	state_view(closed_state(PG_GETARG_DATUM(0)), &a);
	state_view(PG_GETARG_VARLENA_PP(1), &b);
	check_same_spec(a.spec, b.spec);
	result = retract(&a, &b);
	if (!result)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(result);
}
