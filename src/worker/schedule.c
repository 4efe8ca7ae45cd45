/*
 * schedule.c
 *	  When a schedule comes next.
 *
 * A schedule is a set of local times.  In a time zone whose clock is changed
 * some local times do not happen, and others happen twice.  One for every hour
 * follows the clock as it runs: what does not happen is left out, and what
 * happens twice runs twice.  Of any other schedule each local time runs once:
 * what happens twice at the first, what is skipped at the first moment after,
 * together with all else that is.
 */
#include "postgres.h"

#include "fmgr.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "worker/schedule.h"

PG_FUNCTION_INFO_V1(next_run);

/* The calendar repeats itself after 28 years, or 40 where one has no leap day. */
#define HORIZON_YEARS 48

#define ALL_HOURS ((UINT64CONST(1) << 24) - 1)

/* From 1970 to 2000, in seconds. */
#define EPOCH_DIFFERENCE ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

static inline bool
has_bit(uint64 word, int bit)
{
	return bit >= 0 && bit < 64 && (word >> bit) & 1;
}

/* The first bit from one on; -1 for none. */
static int
next_bit(uint64 word, int from)
{
	for (int bit = from; bit < 64; bit++)
	{
		if (has_bit(word, bit))
			return bit;
	}
	return -1;
}

/* The weekday, Monday to Friday, nearest to a day of a month that has days, and in it. */
static int
nearest_weekday(int day, int weekday, int days)
{
	if (weekday == 6)
		return day == 1 ? day + 2 : day - 1;
	if (weekday == 0)
		return day == days ? day - 2 : day + 1;
	return day;
}

/* Is a day, of a month that has days, among those that are the nearest weekday to another? */
static bool
is_nearest(const Schedule *schedule, int day, int weekday, int days)
{
	for (int other = Max(day - 2, 1); other <= Min(day + 2, days); other++)
	{
		if ((has_bit(schedule->nearest, other) || has_bit(schedule->nearest_from_end, days - other)) &&
			nearest_weekday(other, (weekday + other - day + 7) % 7, days) == day)
			return true;
	}
	return false;
}

/* Does a schedule run on a day?  date counts from the Julian epoch. */
static bool
is_day(const Schedule *schedule, int date, int year, int month, int day)
{
	int			days = day_tab[isleap(year)][month - 1];
	int			weekday = (uint32) j2day(date) % 7; /* from 0 to 6, as compilers see now */
	int			year_bit = year - FIRST_YEAR;
	bool		by_day;
	bool		by_weekday;

	if (schedule->has_years && (year < FIRST_YEAR || year > LAST_YEAR ||
								!has_bit(schedule->years[year_bit / 64], year_bit % 64)))
		return false;
	by_day = has_bit(schedule->days, day) || has_bit(schedule->days_from_end, days - day) ||
		is_nearest(schedule, day, weekday, days);
	by_weekday = has_bit(schedule->weekdays, weekday) ||
		has_bit(schedule->nth_weekdays[weekday], (day - 1) / 7 + 1) ||
		(day + 7 > days && has_bit(schedule->last_weekdays, weekday));
	return schedule->either_day ? by_day || by_weekday : by_day && by_weekday;
}

/* The first second of a day, from one on, at which a schedule runs; -1 for none. */
static int
next_second_of_day(const Schedule *schedule, int from)
{
	int			hour = next_bit(schedule->hours, from / SECS_PER_HOUR);

	while (hour >= 0)
	{
		int			rest = Max(from - hour * SECS_PER_HOUR, 0);
		int			minute = next_bit(schedule->minutes, rest / SECS_PER_MINUTE);

		while (minute >= 0)
		{
			int			second = next_bit(schedule->seconds, Max(rest - minute * SECS_PER_MINUTE, 0));

			if (second >= 0)
				return hour * SECS_PER_HOUR + minute * SECS_PER_MINUTE + second;
			minute = next_bit(schedule->minutes, minute + 1);
		}
		hour = next_bit(schedule->hours, hour + 1);
	}
	return -1;
}

/*
 * The first local time from one on, and before end, at which a schedule runs;
 * end if there is none.  Local times are seconds since 1970 by the local clock.
 */
static int64
next_local_time(const Schedule *schedule, int64 from, int64 end)
{
	int64		date = from / SECS_PER_DAY - (from % SECS_PER_DAY < 0);
	int			second = from - date * SECS_PER_DAY;

	while (date * SECS_PER_DAY < end)
	{
		int			julian = date + UNIX_EPOCH_JDATE;
		int			year;
		int			month;
		int			day;

		j2date(julian, &year, &month, &day);
		if (!has_bit(schedule->months, month))
		{
			/* to the next month */
			date += day_tab[isleap(year)][month - 1] - day + 1;
			second = 0;
			continue;
		}
		if (is_day(schedule, julian, year, month, day))
		{
			int			found = next_second_of_day(schedule, second);

			if (found >= 0)
				return Min(date * SECS_PER_DAY + found, end);
		}
		date++;
		second = 0;
	}
	return end;
}

/*
 * The first time from one on, and before horizon, at which a schedule runs in a
 * time zone; horizon if there is none.  Times are seconds since 1970.
 *
 * Goes through the stretches of time between two changes of the clock.  It
 * begins early enough to know what happens for the second time.
 */
static int64
next_time(const Schedule *schedule, pg_tz *zone, int64 from, int64 horizon)
{
	bool		is_every_hour = schedule->hours == ALL_HOURS;
	bool		is_first = true;
	pg_time_t	begin = from - 2 * SECS_PER_DAY;
	long		before = 0;

	while (begin < horizon)
	{
		long		offset;
		long		after;
		int			is_dst;
		int			next_is_dst;
		pg_time_t	end;
		int64		lo;
		int64		found;
		int			changes = pg_next_dst_boundary(&begin, &offset, &is_dst, &end, &after,
												   &next_is_dst, zone);

		if (changes <= 0 || end > horizon)
			end = horizon;
		if (!is_first && !is_every_hour && offset > before && begin >= from &&
			next_local_time(schedule, begin + before, begin + offset) < begin + offset)
			return begin;

		lo = Max(begin, from) + offset;
		if (!is_first && !is_every_hour)
			lo = Max(lo, begin + before);
		found = next_local_time(schedule, lo, end + offset);
		if (found < end + offset)
			return found - offset;

		begin = end;
		before = offset;
		is_first = false;
	}
	return horizon;
}

/* A time zone by its name, as SET TIME ZONE takes it; raises 22023 if there is none. */
static pg_tz *
time_zone_by_name(const char *name)
{
	pg_tz	   *zone = strlen(name) <= TZ_STRLEN_MAX ? pg_tzset(name) : NULL;

	if (!zone || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint("The view pg_timezone_names lists those that there are.")));
	return zone;
}

/*
 * _next_run(schedule text, time_zone text, after timestamptz) RETURNS timestamptz
 * A time zone that is NULL is UTC.
 */
Datum
next_run(PG_FUNCTION_ARGS)
{
	Schedule	schedule;
	pg_tz	   *zone;
	TimestampTz after;
	int64		from;
	int64		horizon;
	int64		found;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	parse_schedule(text_to_cstring(PG_GETARG_TEXT_PP(0)), &schedule);
	zone = time_zone_by_name(PG_ARGISNULL(1) ? "UTC" : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	after = PG_GETARG_TIMESTAMPTZ(2);
	if (TIMESTAMP_NOT_FINITE(after))
		PG_RETURN_NULL();

	/* the first whole second after it */
	from = after / USECS_PER_SEC - (after % USECS_PER_SEC < 0) + 1 + EPOCH_DIFFERENCE;
	horizon = from + (int64) HORIZON_YEARS * 366 * SECS_PER_DAY;
	if (schedule.has_years)
		horizon = Max(horizon, (int64) (date2j(LAST_YEAR + 1, 1, 2) - UNIX_EPOCH_JDATE) * SECS_PER_DAY);
	found = next_time(&schedule, zone, from, horizon);
	if (found >= horizon || found - EPOCH_DIFFERENCE >= END_TIMESTAMP / USECS_PER_SEC)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ((found - EPOCH_DIFFERENCE) * USECS_PER_SEC);
}
