/*
 * schedule_parse.c
 *	  Reads schedules: cron and Quartz expressions.
 *
 * Five fields are cron's, as pg_cron reads them: minute, hour, day of month,
 * month and day of week, where Sunday is 0 or 7.  Six or seven are Quartz's:
 * second, minute, hour, day of month, month, day of week, where Sunday is 1, and
 * year.
 */
#include "postgres.h"

#include <ctype.h>

#include "worker/schedule.h"

/* Longest schedule that is read, and most fields. */
#define MAX_LENGTH 1000
#define MAX_FIELDS 7

typedef enum FieldKind
{
	FIELD_SECOND,
	FIELD_MINUTE,
	FIELD_HOUR,
	FIELD_DAY,
	FIELD_MONTH,
	FIELD_WEEKDAY,
	FIELD_YEAR
} FieldKind;

static const char *const month_names[] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL
};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

/* What values a field takes, and their names; names[0] is the first value. */
static const struct
{
	const char *name;
	int			first;
	int			last;
	const char *const *names;
}			kinds[] = {
	[FIELD_SECOND] = {"second", 0, 59, NULL},
	[FIELD_MINUTE] = {"minute", 0, 59, NULL},
	[FIELD_HOUR] = {"hour", 0, 23, NULL},
	[FIELD_DAY] = {"day of month", 1, 31, NULL},
	[FIELD_MONTH] = {"month", 1, 12, month_names},
	[FIELD_WEEKDAY] = {"day of week", 0, 6, weekday_names},
	[FIELD_YEAR] = {"year", FIRST_YEAR, LAST_YEAR, NULL}
};

/* What stands for a whole schedule, as in pg_cron. */
static const struct
{
	const char *name;
	const char *schedule;
}			shorthands[] = {
	{"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"},
	{"@monthly", "0 0 1 * *"},
	{"@weekly", "0 0 * * 0"},
	{"@daily", "0 0 * * *"},
	{"@midnight", "0 0 * * *"},
	{"@hourly", "0 * * * *"}
};

/* A field that is being read. */
typedef struct Field
{
	const char *schedule;		/* all of it */
	int			number;			/* from 1 */
	FieldKind	kind;
	bool		is_quartz;
	const char *text;
	const char *rest;			/* what is not read yet */
} Field;

static void
schedule_error(const char *schedule, char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid schedule \"%s\"", schedule),
			 errdetail_internal("%s", detail),
			 errhint("A schedule is a cron expression, such as \"*/5 * * * *\", or a Quartz expression, such as \"0 */5 * * * ?\".")));
}

static void
field_error(const Field *field, char *problem)
{
	schedule_error(field->schedule,
				   psprintf("Field %d, the %s, is \"%s\": %s.", field->number, kinds[field->kind].name,
							field->text, problem));
}

/* Is a character next?  Then it is read. */
static bool
take(Field *field, char c)
{
	if (toupper((unsigned char) *field->rest) != c)
		return false;
	field->rest++;
	return true;
}

/* Reads a number. */
static int
read_number(Field *field)
{
	int			value = 0;

	if (!isdigit((unsigned char) *field->rest))
		field_error(field, *field->rest ?
					psprintf("\"%s\" is not understood", field->rest) : pstrdup("it ends too early"));
	while (isdigit((unsigned char) *field->rest))
	{
		value = value * 10 + (*field->rest++ - '0');
		if (value > 99999)
			field_error(field, "a number is too large");
	}
	return value;
}

/* Reads a number from first to last. */
static int
read_number_within(Field *field, const char *what, int first, int last)
{
	int			value = read_number(field);

	if (value < first || value > last)
		field_error(field, psprintf("%s must be from %d to %d, not %d", what, first, last, value));
	return value;
}

/*
 * Reads one value, a number or a name.  Days of the week come out with Sunday as
 * 0, whatever they were written as, but as 7 where it ends a range in cron.
 */
static int
read_value(Field *field, bool is_end)
{
	const char *const *names = kinds[field->kind].names;
	int			first = kinds[field->kind].first;
	int			last = kinds[field->kind].last;

	for (int i = 0; names && names[i]; i++)
	{
		if (pg_strncasecmp(field->rest, names[i], 3) == 0)
		{
			field->rest += 3;
			if (field->kind == FIELD_WEEKDAY && !field->is_quartz && is_end && i == 0)
				return 7;
			return first + i;
		}
	}
	if (field->kind != FIELD_WEEKDAY)
		return read_number_within(field, "a value", first, last);
	if (field->is_quartz)
		return read_number_within(field, "a value", 1, 7) - 1;
	last = read_number_within(field, "a value", 0, 7);
	return last == 7 && !is_end ? 0 : last;
}

/* Adds values from lo to hi, each step-th; past the end it goes on at the beginning. */
static void
add_values(const Field *field, Schedule *schedule, int lo, int hi, int step)
{
	int			first = kinds[field->kind].first;
	int			count = kinds[field->kind].last - first + 1;
	uint64	   *words[] = {
		&schedule->seconds, &schedule->minutes, &schedule->hours, &schedule->days,
		&schedule->months, &schedule->weekdays, schedule->years
	};

	if (hi < lo)
		hi += count;
	for (int value = lo; value <= hi; value += step)
	{
		int			bit = first + (value - first) % count;

		if (field->kind == FIELD_YEAR)
			bit -= FIRST_YEAR;
		words[field->kind][bit / 64] |= UINT64CONST(1) << (bit % 64);
	}
}

/* Reads the step of a range, if it has one. */
static int
read_step(Field *field)
{
	if (!take(field, '/'))
		return 1;
	return read_number_within(field, "a step", 1,
							  kinds[field->kind].last - kinds[field->kind].first + 1);
}

/* Quartz: "L" days from the end of the month, "L-3", "LW". */
static void
read_day_from_end(Field *field, Schedule *schedule)
{
	int			offset = take(field, '-') ? read_number_within(field, "days before the last", 0, 30) : 0;

	if (take(field, 'W'))
		schedule->nearest_from_end |= UINT64CONST(1) << offset;
	else
		schedule->days_from_end |= UINT64CONST(1) << offset;
}

/* Quartz: what may follow one day, "15W", "6L", "FRI#2".  True if something does. */
static bool
read_day_suffix(Field *field, Schedule *schedule, int value)
{
	if (field->is_quartz && field->kind == FIELD_DAY && take(field, 'W'))
		schedule->nearest |= UINT64CONST(1) << value;
	else if (field->is_quartz && field->kind == FIELD_WEEKDAY && take(field, 'L'))
		schedule->last_weekdays |= UINT64CONST(1) << value;
	else if (field->is_quartz && field->kind == FIELD_WEEKDAY && take(field, '#'))
		schedule->nth_weekdays[value] |= UINT64CONST(1) << read_number_within(field, "the number of a weekday", 1, 5);
	else
		return false;
	return true;
}

/* Reads one element of a list. */
static void
read_element(Field *field, Schedule *schedule)
{
	int			first = kinds[field->kind].first;
	int			last = kinds[field->kind].last;
	int			lo;
	int			hi;

	if (take(field, '*'))
	{
		add_values(field, schedule, first, last, read_step(field));
		return;
	}
	if (field->is_quartz && field->kind == FIELD_DAY && take(field, 'L'))
	{
		read_day_from_end(field, schedule);
		return;
	}
	if (field->is_quartz && field->kind == FIELD_WEEKDAY && take(field, 'L'))
	{
		add_values(field, schedule, 6, 6, 1);
		return;
	}

	lo = hi = read_value(field, false);
	if (read_day_suffix(field, schedule, lo))
		return;
	if (take(field, '-'))
		hi = read_value(field, true);
	else if (*field->rest == '/')
		hi = last;
	/* the days of Quartz's weeks go round, and so do its other values */
	if (hi < lo && (!field->is_quartz || field->kind == FIELD_YEAR))
		field_error(field, "a range ends before it begins");
	add_values(field, schedule, lo, hi, read_step(field));
}

/* Reads a field. */
static void
read_field(Field *field, Schedule *schedule)
{
	if (strcmp(field->text, "?") == 0 && field->is_quartz &&
		(field->kind == FIELD_DAY || field->kind == FIELD_WEEKDAY))
		field->rest = "*";
	do
		read_element(field, schedule);
	while (take(field, ','));
	if (*field->rest)
		field_error(field, psprintf("\"%s\" is not understood", field->rest));
}

/* Takes the fields apart, in place; gives how many there are, at most one too many. */
static int
split_fields(char *text, char **fields)
{
	int			n = 0;
	char	   *next = strtok(text, " \t\r\n");

	while (next && n <= MAX_FIELDS)
	{
		fields[n++] = next;
		next = strtok(NULL, " \t\r\n");
	}
	return n;
}

/* Looks up what a name stands for; gives schedule itself if it is none. */
static const char *
expand_shorthand(const char *schedule)
{
	for (int i = 0; i < lengthof(shorthands); i++)
	{
		if (pg_strcasecmp(schedule, shorthands[i].name) == 0)
			return shorthands[i].schedule;
	}
	return schedule;
}

/* Reads a schedule; raises 22023 if it is none. */
void
parse_schedule(const char *text, Schedule *schedule)
{
	char	   *fields[MAX_FIELDS + 1];
	int			n;
	bool		is_quartz;

	memset(schedule, 0, sizeof(Schedule));
	if (strlen(text) > MAX_LENGTH)
		schedule_error(pnstrdup(text, 40), "It is too long.");
	n = split_fields(pstrdup(expand_shorthand(text)), fields);
	if (n < 5 || n > MAX_FIELDS)
		schedule_error(text, psprintf("It has %s fields, instead of 5, 6 or 7.",
									  n > MAX_FIELDS ? "more than 7" : psprintf("%d", n)));

	is_quartz = n > 5;
	for (int i = 0; i < n; i++)
	{
		Field		field = {
			.schedule = text, .number = i + 1, .kind = i + (is_quartz ? FIELD_SECOND : FIELD_MINUTE),
			.is_quartz = is_quartz, .text = fields[i], .rest = fields[i]
		};

		read_field(&field, schedule);
	}

	schedule->has_years = n == 7 && strcmp(fields[6], "*") != 0;
	if (!is_quartz)
	{
		schedule->seconds = 1;
		/* as cron does: if both are given, and none begins with a star, one is enough */
		schedule->either_day = fields[2][0] != '*' && fields[4][0] != '*';
	}
	else if ((strcmp(fields[3], "?") == 0) == (strcmp(fields[5], "?") == 0))
		schedule_error(text, "Of field 4, the day of month, and field 6, the day of week, one must be \"?\", and the other not.");
}
