/*
 * schedule.h
 *	  A schedule, taken apart.
 *
 * Everything that a field allows is a bit.  A schedule is a set of local times;
 * it knows nothing of time zones.
 */
#ifndef FEATURESTORE_SCHEDULE_H
#define FEATURESTORE_SCHEDULE_H

#define FIRST_YEAR 1970			/* as Quartz has it */
#define LAST_YEAR 2099

typedef struct Schedule
{
	uint64		seconds;		/* bit n: second n */
	uint64		minutes;
	uint64		hours;
	uint64		months;			/* 1 to 12 */
	uint64		years[3];		/* bit n: FIRST_YEAR + n */
	bool		has_years;

	/* days of the month, 1 to 31; those from the end count back from 0, the last */
	uint64		days;
	uint64		days_from_end;
	uint64		nearest;		/* the weekday nearest to such a day */
	uint64		nearest_from_end;

	/* days of the week, Sunday is 0 */
	uint64		weekdays;
	uint64		last_weekdays;	/* of the month */
	uint64		nth_weekdays[7];	/* bit n: the nth of the month */

	bool		either_day;		/* a day need only match one of both */
} Schedule;

/* schedule_parse.c */
extern void parse_schedule(const char *text, Schedule *schedule);

#endif							/* FEATURESTORE_SCHEDULE_H */
