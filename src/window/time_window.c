/*
 * time_window.c
 *	  Windows of time, and the SQL type time_window.
 *
 * A window is made from text, from intervals or from its binary form; whatever
 * the way, window_problem() alone knows which ones there can be.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "common/int.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "window/time_window.h"

/* Microseconds from the Unix epoch to that of PostgreSQL */
#define UNIX_EPOCH_DISTANCE \
	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* Arguments and parts of the text that follow the duration. */
typedef enum WindowPart
{
	PART_HOP,
	PART_SLIDE,
	PART_OFFSET,
	PART_DELAY
} WindowPart;

#define PART_COUNT (PART_DELAY + 1)
#define PART_BIT(part) (1 << (part))

static const char *const part_names[PART_COUNT] = {"hop", "slide", "offset", "delay"};

typedef struct WindowKindInfo
{
	const char *name;
	int			parts;			/* those it may have */
} WindowKindInfo;

static const WindowKindInfo kinds[] = {
	[WINDOW_ROLLING] = {"rolling", PART_BIT(PART_HOP) | PART_BIT(PART_DELAY)},
	[WINDOW_SAWTOOTH] = {"sawtooth", 0},
	[WINDOW_SLIDING] = {"sliding", PART_BIT(PART_SLIDE) | PART_BIT(PART_OFFSET) | PART_BIT(PART_DELAY)},
	[WINDOW_TUMBLING] = {"tumbling", PART_BIT(PART_OFFSET) | PART_BIT(PART_DELAY)},
	[WINDOW_LIFETIME] = {"lifetime", PART_BIT(PART_DELAY)}
};

typedef struct LengthUnit
{
	const char *name;
	int64		length;
} LengthUnit;

/* From the largest to the least */
static const LengthUnit units[] = {
	{"d", USECS_PER_DAY},
	{"h", USECS_PER_HOUR},
	{"m", USECS_PER_MINUTE},
	{"s", USECS_PER_SEC},
	{"ms", 1000},
	{"us", 1}
};

/* Hops that a rolling window may get by default, from the largest to the least */
static const int64 default_hops[] = {
	USECS_PER_DAY, 6 * USECS_PER_HOUR, USECS_PER_HOUR,
	15 * USECS_PER_MINUTE, 5 * USECS_PER_MINUTE, USECS_PER_MINUTE,
	30 * USECS_PER_SEC, 10 * USECS_PER_SEC, 5 * USECS_PER_SEC, USECS_PER_SEC
};

#define DEFAULT_HOPS_PER_DURATION 24

int64
add_saturated(int64 a, int64 b)
{
	int64		result;

	if (unlikely(pg_add_s64_overflow(a, b, &result)))
		return b < 0 ? PG_INT64_MIN : PG_INT64_MAX;
	return result;
}

int64
subtract_saturated(int64 a, int64 b)
{
	int64		result;

	if (unlikely(pg_sub_s64_overflow(a, b, &result)))
		return b < 0 ? PG_INT64_MAX : PG_INT64_MIN;
	return result;
}

/* What is left of a over the next lower multiple of b. */
static inline int64
floor_remainder(int64 a, int64 b)
{
	int64		remainder = a % b;

	return remainder < 0 ? remainder + b : remainder;
}

int64
lattice_floor(int64 t, int64 step, int64 offset)
{
	int64		phase = floor_remainder(offset, step) - floor_remainder(UNIX_EPOCH_DISTANCE, step);
	int64		distance = floor_remainder(t, step) - phase;

	/* The phase lies between -step and step, so the distance between -step and 2 * step */
	if (distance < 0)
		distance += step;
	else if (distance >= step)
		distance -= step;
	return subtract_saturated(t, distance);
}

int64
window_hi(const TimeWindow *window, int64 at)
{
	int64		delayed = subtract_saturated(at, window->delay);

	return window_has_exact_head(window) ? delayed :
		lattice_floor(delayed, window->step, window->offset);
}

int64
window_lo(const TimeWindow *window, int64 at)
{
	int64		lo;

	if (window->kind == WINDOW_LIFETIME)
		return PG_INT64_MIN;
	lo = subtract_saturated(window_hi(window, at), window->duration);
	if (window_has_exact_head(window) && window->step > 0)
		lo = lattice_floor(lo, window->step, 0);
	return lo;
}

bool
window_has_exact_head(const TimeWindow *window)
{
	return window->kind != WINDOW_SLIDING && window->kind != WINDOW_TUMBLING;
}

int
window_compare(const TimeWindow *a, const TimeWindow *b)
{
	const int64 parts_a[] = {a->kind, a->duration, a->step, a->offset, a->delay};
	const int64 parts_b[] = {b->kind, b->duration, b->step, b->offset, b->delay};

	for (int i = 0; i < lengthof(parts_a); i++)
	{
		if (parts_a[i] != parts_b[i])
			return parts_a[i] < parts_b[i] ? -1 : 1;
	}
	return 0;
}

/* Chronon's rule */
static int64
sawtooth_step(int64 duration)
{
	if (duration >= 12 * USECS_PER_DAY)
		return USECS_PER_DAY;
	if (duration >= 12 * USECS_PER_HOUR)
		return USECS_PER_HOUR;
	return 5 * USECS_PER_MINUTE;
}

/* The largest of the usual hops that divides the duration into enough; 0 if none does. */
static int64
default_hop(int64 duration)
{
	for (int i = 0; i < lengthof(default_hops); i++)
	{
		if (default_hops[i] <= duration / DEFAULT_HOPS_PER_DURATION &&
			duration % default_hops[i] == 0)
			return default_hops[i];
	}
	return 0;
}

/* What is wrong with the step of a window, and its offset; NULL if nothing is. */
static const char *
step_problem(const TimeWindow *window, const char **hint)
{
	switch (window->kind)
	{
		case WINDOW_ROLLING:
			if (window->step < 0)
				return "hop must not be negative";
			if (window->step > window->duration)
				return "hop must not be longer than the duration";
			if (window->step == 0 || window->duration % window->step == 0)
				return NULL;
			*hint = "A hop of 0 gives an exact window.";
			return "hop must divide the duration";
		case WINDOW_SLIDING:
			if (window->step <= 0)
				return "slide must be greater than zero";
			if (window->step > window->duration)
				return "slide must not be longer than the duration";
			if (window->offset < 0 || window->offset >= window->step)
				return "offset must not be negative, and must be shorter than the slide";
			return NULL;
		case WINDOW_TUMBLING:
			if (window->step != window->duration)
				return "slide of a tumbling window must be its duration";
			if (window->offset < 0 || window->offset >= window->step)
				return "offset must not be negative, and must be shorter than the duration";
			return NULL;
		case WINDOW_SAWTOOTH:
			return window->step == sawtooth_step(window->duration) ? NULL :
				"hop of a sawtooth window must be as its duration has it";
		default:
			return window->step == 0 ? NULL : "window of this kind has no steps";
	}
}

/* What is wrong with a window, for people; NULL if nothing is.  Sets the hint if there is one. */
static const char *
window_problem(const TimeWindow *window, const char **hint)
{
	*hint = NULL;
	if (window->kind < WINDOW_ROLLING || window->kind > WINDOW_LIFETIME || window->unused != 0)
		return "window is of no known kind";
	if (window->kind == WINDOW_LIFETIME && window->duration != 0)
		return "window of this kind has no duration";
	if (window->kind != WINDOW_LIFETIME && window->duration <= 0)
		return "duration must be greater than zero";
	if (window->duration > WINDOW_MAX_DURATION)
		return "duration must not be longer than 365250 days";
	if (window->delay < 0)
		return "delay must not be negative";
	if (window->delay > WINDOW_MAX_DURATION)
		return "delay must not be longer than 365250 days";
	if (window->delay != 0 && !(kinds[window->kind].parts & PART_BIT(PART_DELAY)))
		return "window of this kind has no delay";
	if (window->offset != 0 && !(kinds[window->kind].parts & PART_BIT(PART_OFFSET)))
		return "window of this kind has no offset";
	return step_problem(window, hint);
}

bool
window_is_valid(const TimeWindow *window)
{
	const char *hint;

	return window_problem(window, &hint) == NULL;
}

/*
 * The window of a kind with these parts.  given tells which of them are: the
 * others are 0, save for a hop.  Raises 22023 if there can be no such window.
 */
static void
make_window(TimeWindow *window, WindowKind kind, int64 duration,
			const int64 *parts, int given)
{
	const char *problem;
	const char *hint;

	memset(window, 0, sizeof(*window));
	window->kind = kind;
	window->duration = duration;
	window->offset = given & PART_BIT(PART_OFFSET) ? parts[PART_OFFSET] : 0;
	window->delay = given & PART_BIT(PART_DELAY) ? parts[PART_DELAY] : 0;
	if (kind == WINDOW_ROLLING)
		window->step = given & PART_BIT(PART_HOP) ? parts[PART_HOP] : default_hop(duration);
	else if (kind == WINDOW_SLIDING)
		window->step = parts[PART_SLIDE];
	else if (kind == WINDOW_TUMBLING)
		window->step = duration;
	else if (kind == WINDOW_SAWTOOTH)
		window->step = sawtooth_step(duration);

	problem = window_problem(window, &hint);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg_internal("%s", problem),
				 hint ? errhint("%s", hint) : 0));
}

/* A length in the largest unit that divides it: "36h". */
static void
append_length(StringInfo text, int64 length)
{
	int			unit = 0;

	if (length == 0)
	{
		appendStringInfoChar(text, '0');
		return;
	}
	while (length % units[unit].length != 0)
		unit++;
	appendStringInfo(text, INT64_FORMAT "%s", length / units[unit].length, units[unit].name);
}

static void
append_part(StringInfo text, WindowPart part, int64 length)
{
	appendStringInfo(text, " %s ", part_names[part]);
	append_length(text, length);
}

char *
window_to_text(const TimeWindow *window)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, kinds[window->kind].name);
	if (window->kind != WINDOW_LIFETIME)
	{
		appendStringInfoChar(&text, ' ');
		append_length(&text, window->duration);
	}
	if (window->kind == WINDOW_ROLLING)
		append_part(&text, PART_HOP, window->step);
	if (window->kind == WINDOW_SLIDING)
		append_part(&text, PART_SLIDE, window->step);
	if (window->offset != 0)
		append_part(&text, PART_OFFSET, window->offset);
	if (window->delay != 0)
		append_part(&text, PART_DELAY, window->delay);
	return text.data;
}

static void
raise_syntax_error(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", "time_window", text),
			 errhint("Examples are \"rolling 7d hop 6h delay 1h\", \"sliding 7d slide 1d offset 6h\", \"tumbling 1d\", \"sawtooth 7d\" and \"lifetime\"; units are d, h, m (minutes), s, ms and us.")));
}

/* Takes the next word of the text; false at its end. */
static bool
next_word(const char **text, const char **word, int *size)
{
	const char *at = *text;

	while (scanner_isspace(*at))
		at++;
	*word = at;
	while (*at != '\0' && !scanner_isspace(*at))
		at++;
	*size = at - *word;
	*text = at;
	return *size > 0;
}

static bool
word_is(const char *word, int size, const char *name)
{
	return strlen(name) == size && pg_strncasecmp(word, name, size) == 0;
}

/* Takes a number, which is cut at what is too long in any unit; false if there is none. */
static bool
next_number(const char **at, const char *end, int64 *number)
{
	const char *start = *at;

	*number = 0;
	for (; *at < end && **at >= '0' && **at <= '9'; (*at)++)
		*number = Min(*number * 10 + (**at - '0'), WINDOW_MAX_DURATION + 1);
	return *at > start;
}

/*
 * A length such as 7d or 1d12h; one that is too long comes out as some length
 * that is.  False if it is none.
 */
static bool
parse_length(const char *word, int size, int64 *length)
{
	const char *end = word + size;

	*length = 0;
	if (word_is(word, size, "0"))
		return true;
	while (word < end)
	{
		int64		number;
		const char *name;
		int			unit = 0;

		if (!next_number(&word, end, &number))
			return false;
		for (name = word; word < end && !(*word >= '0' && *word <= '9'); word++)
			continue;
		while (unit < lengthof(units) && !word_is(name, word - name, units[unit].name))
			unit++;
		if (unit == lengthof(units))
			return false;
		if (number > WINDOW_MAX_DURATION / units[unit].length)
			number = WINDOW_MAX_DURATION / units[unit].length + 1;
		*length = Min(*length + number * units[unit].length, 2 * WINDOW_MAX_DURATION);
	}
	return size > 0;
}

/* Takes the parts after the duration; gives which there are, or -1 if they are not as they must be. */
static int
parse_parts(const char *text, WindowKind kind, int64 *parts)
{
	const char *word;
	int			size;
	int			given = 0;

	while (next_word(&text, &word, &size))
	{
		int			part = 0;

		while (part < PART_COUNT && !word_is(word, size, part_names[part]))
			part++;
		if (part == PART_COUNT || !(kinds[kind].parts & PART_BIT(part)) ||
			(given & PART_BIT(part)))
			return -1;
		if (!next_word(&text, &word, &size) || !parse_length(word, size, &parts[part]))
			return -1;
		given |= PART_BIT(part);
	}
	return kind == WINDOW_SLIDING && !(given & PART_BIT(PART_SLIDE)) ? -1 : given;
}

void
window_from_text(const char *text, TimeWindow *window)
{
	const char *at = text;
	const char *word;
	int			size;
	int			kind = WINDOW_ROLLING;
	int64		duration = 0;
	int64		parts[PART_COUNT] = {0};
	int			given;

	next_word(&at, &word, &size);
	while (kind < lengthof(kinds) && !word_is(word, size, kinds[kind].name))
		kind++;
	if (kind == lengthof(kinds))
		raise_syntax_error(text);
	if (kind != WINDOW_LIFETIME &&
		!(next_word(&at, &word, &size) && parse_length(word, size, &duration)))
		raise_syntax_error(text);
	given = parse_parts(at, kind, parts);
	if (given < 0)
		raise_syntax_error(text);
	make_window(window, kind, duration, parts, given);
}

PG_FUNCTION_INFO_V1(time_window_in);
Datum
time_window_in(PG_FUNCTION_ARGS)
{
	TimeWindow *window = palloc(sizeof(TimeWindow));

	window_from_text(PG_GETARG_CSTRING(0), window);
	PG_RETURN_POINTER(window);
}

PG_FUNCTION_INFO_V1(time_window_out);
Datum
time_window_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(window_to_text(PG_GETARG_TIME_WINDOW_P(0)));
}

PG_FUNCTION_INFO_V1(time_window_recv);
Datum
time_window_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	TimeWindow *window = palloc0(sizeof(TimeWindow));

	window->kind = (int32) pq_getmsgint(message, sizeof(int32));
	window->duration = pq_getmsgint64(message);
	window->step = pq_getmsgint64(message);
	window->offset = pq_getmsgint64(message);
	window->delay = pq_getmsgint64(message);
	if (!window_is_valid(window))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid external \"%s\" value", "time_window")));
	PG_RETURN_POINTER(window);
}

PG_FUNCTION_INFO_V1(time_window_send);
Datum
time_window_send(PG_FUNCTION_ARGS)
{
	TimeWindow *window = PG_GETARG_TIME_WINDOW_P(0);
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendint32(&message, window->kind);
	pq_sendint64(&message, window->duration);
	pq_sendint64(&message, window->step);
	pq_sendint64(&message, window->offset);
	pq_sendint64(&message, window->delay);
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

/* The function of one operator. */
#define WINDOW_COMPARISON(name, operator) \
	PG_FUNCTION_INFO_V1(name); \
	Datum \
	name(PG_FUNCTION_ARGS) \
	{ \
		PG_RETURN_BOOL(window_compare(PG_GETARG_TIME_WINDOW_P(0), \
									  PG_GETARG_TIME_WINDOW_P(1)) operator 0); \
	}

WINDOW_COMPARISON(time_window_lt, <)
WINDOW_COMPARISON(time_window_le, <=)
WINDOW_COMPARISON(time_window_eq, ==)
WINDOW_COMPARISON(time_window_ne, !=)
WINDOW_COMPARISON(time_window_ge, >=)
WINDOW_COMPARISON(time_window_gt, >)

PG_FUNCTION_INFO_V1(time_window_cmp);
Datum
time_window_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(window_compare(PG_GETARG_TIME_WINDOW_P(0), PG_GETARG_TIME_WINDOW_P(1)));
}

/* All bytes of a window are part of its value, as unused ones are 0. */
PG_FUNCTION_INFO_V1(time_window_hash);
Datum
time_window_hash(PG_FUNCTION_ARGS)
{
	return hash_any((const unsigned char *) PG_GETARG_POINTER(0), sizeof(TimeWindow));
}

PG_FUNCTION_INFO_V1(time_window_hash_extended);
Datum
time_window_hash_extended(PG_FUNCTION_ARGS)
{
	return hash_any_extended((const unsigned char *) PG_GETARG_POINTER(0), sizeof(TimeWindow),
							 PG_GETARG_INT64(1));
}

/* Microseconds of an argument, which one beyond range takes to its end; the name is for errors. */
static int64
length_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	Interval   *interval;

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	interval = PG_GETARG_INTERVAL_P(argument);
	if (interval->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be given in days, hours or smaller units", name),
				 errhint("Months and years vary in length: give days.")));
	return add_saturated((int64) interval->day * USECS_PER_DAY, interval->time);
}

PG_FUNCTION_INFO_V1(tumbling_window);
Datum
tumbling_window(PG_FUNCTION_ARGS)
{
	TimeWindow *window = palloc(sizeof(TimeWindow));
	int64		duration = length_argument(fcinfo, 0, "duration");
	int64		parts[PART_COUNT] = {
		[PART_OFFSET] = length_argument(fcinfo, 1, part_names[PART_OFFSET]),
		[PART_DELAY] = length_argument(fcinfo, 2, part_names[PART_DELAY])
	};

	make_window(window, WINDOW_TUMBLING, duration, parts, kinds[WINDOW_TUMBLING].parts);
	PG_RETURN_POINTER(window);
}

PG_FUNCTION_INFO_V1(sliding_window);
Datum
sliding_window(PG_FUNCTION_ARGS)
{
	TimeWindow *window = palloc(sizeof(TimeWindow));
	int64		duration = length_argument(fcinfo, 0, "duration");
	int64		parts[PART_COUNT] = {
		[PART_SLIDE] = length_argument(fcinfo, 1, part_names[PART_SLIDE]),
		[PART_OFFSET] = length_argument(fcinfo, 2, part_names[PART_OFFSET]),
		[PART_DELAY] = length_argument(fcinfo, 3, part_names[PART_DELAY])
	};

	make_window(window, WINDOW_SLIDING, duration, parts, kinds[WINDOW_SLIDING].parts);
	PG_RETURN_POINTER(window);
}

PG_FUNCTION_INFO_V1(rolling_window);
Datum
rolling_window(PG_FUNCTION_ARGS)
{
	TimeWindow *window = palloc(sizeof(TimeWindow));
	int64		duration = length_argument(fcinfo, 0, "duration");
	int64		parts[PART_COUNT] = {
		[PART_DELAY] = length_argument(fcinfo, 1, part_names[PART_DELAY])
	};
	int			given = PART_BIT(PART_DELAY);

	if (!PG_ARGISNULL(2))
	{
		parts[PART_HOP] = length_argument(fcinfo, 2, part_names[PART_HOP]);
		given |= PART_BIT(PART_HOP);
	}
	make_window(window, WINDOW_ROLLING, duration, parts, given);
	PG_RETURN_POINTER(window);
}

PG_FUNCTION_INFO_V1(sawtooth_window);
Datum
sawtooth_window(PG_FUNCTION_ARGS)
{
	TimeWindow *window = palloc(sizeof(TimeWindow));

	make_window(window, WINDOW_SAWTOOTH, length_argument(fcinfo, 0, "duration"), NULL, 0);
	PG_RETURN_POINTER(window);
}

PG_FUNCTION_INFO_V1(lifetime_window);
Datum
lifetime_window(PG_FUNCTION_ARGS)
{
	TimeWindow *window = palloc(sizeof(TimeWindow));
	int64		parts[PART_COUNT] = {
		[PART_DELAY] = length_argument(fcinfo, 0, part_names[PART_DELAY])
	};

	make_window(window, WINDOW_LIFETIME, 0, parts, PART_BIT(PART_DELAY));
	PG_RETURN_POINTER(window);
}

/* An edge of a window at a finite instant, as timestamptz. */
static Datum
window_edge(FunctionCallInfo fcinfo, int64 (*edge) (const TimeWindow *, int64))
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(1);
	TimestampTz result;

	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a window cannot be seen from an infinite time")));
	result = edge(PG_GETARG_TIME_WINDOW_P(0), at);
	if (!TIMESTAMP_IS_NOBEGIN(result) && !IS_VALID_TIMESTAMP(result))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	PG_RETURN_TIMESTAMPTZ(result);
}

PG_FUNCTION_INFO_V1(time_window_lo);
Datum
time_window_lo(PG_FUNCTION_ARGS)
{
	return window_edge(fcinfo, window_lo);
}

PG_FUNCTION_INFO_V1(time_window_hi);
Datum
time_window_hi(PG_FUNCTION_ARGS)
{
	return window_edge(fcinfo, window_hi);
}

static Datum
length_interval(int64 length)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->day = (int32) (length / USECS_PER_DAY);
	interval->time = length % USECS_PER_DAY;
	return IntervalPGetDatum(interval);
}

PG_FUNCTION_INFO_V1(time_window_parts);
Datum
time_window_parts(PG_FUNCTION_ARGS)
{
	TimeWindow *window = PG_GETARG_TIME_WINDOW_P(0);
	TupleDesc	descriptor;
	Datum		values[5];
	bool		nulls[5] = {0};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(kinds[window->kind].name);
	values[1] = length_interval(window->duration);
	values[2] = length_interval(window->step);
	values[3] = length_interval(window->offset);
	values[4] = length_interval(window->delay);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/* The name of a window in those of features: rolling_30d_1d has a delay of 1d, sliding_7d_1d such a slide. */
PG_FUNCTION_INFO_V1(time_window_name);
Datum
time_window_name(PG_FUNCTION_ARGS)
{
	TimeWindow *window = PG_GETARG_TIME_WINDOW_P(0);
	const struct
	{
		const char *before;
		int64		length;
		bool		shown;
	}			parts[] = {
		{"_", window->duration, window->kind != WINDOW_LIFETIME},
		{"_", window->step, window->kind == WINDOW_SLIDING},
		{"_", window->delay, window->delay != 0},
		{"_hop_", window->step, window->kind == WINDOW_ROLLING &&
		window->step != default_hop(window->duration)},
		{"_offset_", window->offset, window->offset != 0}
	};
	StringInfoData name;

	initStringInfo(&name);
	appendStringInfoString(&name, kinds[window->kind].name);
	for (int i = 0; i < lengthof(parts); i++)
	{
		if (parts[i].shown)
		{
			appendStringInfoString(&name, parts[i].before);
			append_length(&name, parts[i].length);
		}
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(name.data, name.len));
}
