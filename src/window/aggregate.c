/*
 * aggregate.c
 *	  The SQL aggregates that make and merge states.
 *
 * While rows come in, a state is open: events are only appended to it, in
 * place.  When its room is used up it is composed, which makes tiles of them,
 * and given twice the room if that did not help.  The executor copies a
 * transition value that has moved, into the aggregate's memory, so that a
 * state is one piece of memory there and is counted as such.
 *
 *		an open state, after its spec:
 *		bytes used of what follows the next field (uint64)
 *		bytes of tiles and watermark (uint64)
 *		tiles, watermark, events: time (8 bytes), image
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "window/state.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(state_accumulate);
PG_FUNCTION_INFO_V1(state_rollup);
PG_FUNCTION_INFO_V1(state_combine);
PG_FUNCTION_INFO_V1(state_close);

/* States are not composed before they have so many bytes; sorting little often is dear. */
#define COMPOSE_FROM 4096

/* An open state without events has room for so many bytes of them. */
#define FIRST_ROOM 64

/* What is the same for all rows of an aggregate. */
typedef struct Accumulation
{
	StateSpec  *spec;
	uint64		generation;
	Size		header;			/* bytes of an open state before used */
} Accumulation;

#define VERSION_AND_FLAGS 4

static inline char *
open_fields(struct varlena *state, Size header)
{
	return VARDATA(state) + header;
}

/* Makes an open state of tiles, with room for events. */
static struct varlena *
open_state(StateSpec *spec, const char *tiles, Size tiles_size, int64 watermark, Size room)
{
	Size		closed = tiles_size + sizeof(int64);
	Writer		writer;

	writer_init(&writer, VARHDRSZ + VERSION_AND_FLAGS + spec->size + 2 * sizeof(uint64) + closed + room);
	write_space(&writer, VARHDRSZ);
	write_state_header(&writer, spec, STATE_OPEN);
	write_uint64(&writer, closed);
	write_uint64(&writer, closed);
	write_bytes(&writer, tiles, tiles_size);
	write_uint64(&writer, (uint64) watermark);
	write_space(&writer, room);
	SET_VARSIZE(writer.data, writer.size);
	return (struct varlena *) writer.data;
}

/* An open state that has what a state has, and room for as much again. */
static struct varlena *
reopen_state(struct varlena *state, Size room)
{
	StateView	view;
	StateView	composed;

	state_view(state, &view);
	composed = view;
	if (view.raw_size > 0)
		state_view(compose(&view, 1), &composed);
	return open_state(view.spec, composed.tiles, composed.tiles_size, composed.watermark,
					  Max(room, composed.tiles_size + FIRST_ROOM));
}

/* An open state with the same content as a full one, and more room. */
static struct varlena *
enlarge_state(struct varlena *state, Size wanted)
{
	Size		size = VARSIZE(state);
	struct varlena *larger;

	if (size >= COMPOSE_FROM)
		return reopen_state(state, Max(wanted, size / 2));
	if (wanted > MaxAllocSize / 4)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of %zu bytes is too large for a window state", wanted)));
	larger = palloc(size * 2 + wanted);
	memcpy(larger, state, size);
	SET_VARSIZE(larger, size * 2 + wanted);
	return larger;
}

/* Raises an error unless values of the type of an argument fit the spec. */
static void
check_value_type(FunctionCallInfo fcinfo, const StateSpec *spec)
{
	Oid			type = PG_NARGS() > 3 ? get_fn_expr_argtype(fcinfo->flinfo, 3) : InvalidOid;
	const ValueType *given = OidIsValid(type) ? value_type_by_oid(type) : value_type_by_code(VALUE_NONE);

	if (given != spec->family.type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("template takes values of type %s, not %s",
						spec->family.type->name,
						OidIsValid(type) ? format_type_be(type) : "none"),
				 errhint("Cast the value, or make a template for its type.")));
}

/* The spec of the template, checked once as long as it stays the same. */
static Accumulation *
template_spec(FunctionCallInfo fcinfo, struct varlena *template)
{
	Accumulation *accumulation = fcinfo->flinfo->fn_extra;
	StateView	view;

	state_view(template, &view);
	if (accumulation && accumulation->spec == view.spec &&
		accumulation->generation == spec_cache_generation)
		return accumulation;
	if (view.watermark != PG_INT64_MIN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("template has events"),
				 errhint("Make it with featurestore.window_state or featurestore.agg_state.")));
	check_value_type(fcinfo, view.spec);
	if (!accumulation)
		accumulation = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(Accumulation));
	accumulation->spec = view.spec;
	accumulation->generation = spec_cache_generation;
	accumulation->header = VERSION_AND_FLAGS + view.spec->size;
	return fcinfo->flinfo->fn_extra = accumulation;
}

/* The time of an event, which must be one. */
static int64
event_time(FunctionCallInfo fcinfo)
{
	TimestampTz at;

	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("event time must not be null")));
	at = PG_GETARG_TIMESTAMPTZ(2);
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("event time must be finite")));
	return at;
}

/* Is this an open state of the spec? */
static inline bool
is_open_state(struct varlena *state, const Accumulation *accumulation)
{
	const char *data = VARDATA(state);

	return VARSIZE(state) >= VARHDRSZ + accumulation->header + 2 * sizeof(uint64) &&
		((uint8) data[1] & STATE_OPEN) &&
		(Size) (uint8) data[2] + ((Size) (uint8) data[3] << 8) == accumulation->spec->size &&
		memcmp(data + VERSION_AND_FLAGS, accumulation->spec->bytes, accumulation->spec->size) == 0;
}

/* Appends an event to an open state, which moves if it has no room. */
static struct varlena *
append_event(struct varlena *state, const Accumulation *accumulation, int64 at, Image image)
{
	const ValueType *type = accumulation->spec->family.type;
	Size		most = sizeof(int64) + VARINT_MAX_SIZE + image.size;
	Size		start = VARHDRSZ + accumulation->header + 2 * sizeof(uint64);
	uint64		used = load_uint64(open_fields(state, accumulation->header));
	Writer		writer;

	while (start + used + most > VARSIZE(state))
	{
		state = enlarge_state(state, most);
		used = load_uint64(open_fields(state, accumulation->header));
	}
	writer.data = (char *) state;
	writer.size = start + used;
	writer.capacity = VARSIZE(state);
	write_uint64(&writer, (uint64) at);
	write_image(type, &writer, image);
	store_uint64(open_fields(state, accumulation->header), writer.size - start);
	return state;
}

/*
 * The transition of accumulate: (state, template, at[, value]) -> state.
 * Raises 22004, 22008 for times that are none, 42804 for values of a type that
 * the template does not take.
 */
Datum
state_accumulate(PG_FUNCTION_ARGS)
{
	struct varlena *state;
	Accumulation *accumulation;
	int64		at;
	char		buffer[VALUE_MAX_FIXED];
	Image		image = {0};

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "state_accumulate called in non-aggregate context");
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("template must not be null")));
	accumulation = template_spec(fcinfo, PG_GETARG_VARLENA_PP(1));
	if (PG_ARGISNULL(0))
		state = open_state(accumulation->spec, "", 0, PG_INT64_MIN, FIRST_ROOM);
	else
	{
		state = PG_GETARG_VARLENA_P(0);
		if (!is_open_state(state, accumulation))
		{
			StateView	view;

			state_view(state, &view);
			check_same_spec(view.spec, accumulation->spec);
			state = reopen_state(state, FIRST_ROOM);
		}
	}
	if (PG_NARGS() > 3 && PG_ARGISNULL(3))
		PG_RETURN_POINTER(state);

	at = event_time(fcinfo);
	if (PG_NARGS() > 3)
		image = value_image(accumulation->spec->family.type, PG_GETARG_DATUM(3), buffer);
	PG_RETURN_POINTER(append_event(state, accumulation, at, image));
}

/* The canonical state of two, NULLs left out; NULL of two NULLs. */
static Datum
combine(FunctionCallInfo fcinfo)
{
	StateView	views[2];

	if (PG_ARGISNULL(0) && PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0))
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	if (PG_ARGISNULL(1))
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));

	state_view(PG_GETARG_VARLENA_PP(0), &views[0]);
	state_view(PG_GETARG_VARLENA_PP(1), &views[1]);
	check_same_spec(views[0].spec, views[1].spec);
	PG_RETURN_POINTER(compose(views, 2));
}

/* The transition of rollup; raises 22023 for states of different specs. */
Datum
state_rollup(PG_FUNCTION_ARGS)
{
	return combine(fcinfo);
}

/* Combines what parallel workers made; raises as state_rollup does. */
Datum
state_combine(PG_FUNCTION_ARGS)
{
	return combine(fcinfo);
}

/* The final function: an open state becomes canonical. */
Datum
state_close(PG_FUNCTION_ARGS)
{
	StateView	view;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state_view(PG_GETARG_VARLENA_PP(0), &view);
	if (!view.is_open)
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	PG_RETURN_POINTER(compose(&view, 1));
}
