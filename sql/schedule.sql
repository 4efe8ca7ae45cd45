/*
 * Schedules: when a publication that has one is to run.
 */

/*
 * The first time after "after" at which schedule comes; NULL if it never does.
 *
 * schedule: five fields as cron has them: minute, hour, day of month, month, day
 *   of week, with lists, ranges, steps and names; Sunday is 0 or 7.  Of day of
 *   month and day of week one is enough if both are given and none begins with
 *   "*".  @hourly, @daily, @weekly, @monthly and @yearly are known.  Or six or
 *   seven as Quartz has them: second, minute, hour, day of month, month, day of
 *   week, year, with "?", L, L-3, LW, 15W, 6L and 6#3, too; Sunday is 1.
 * time_zone: as in SET TIME ZONE; NULL is UTC.
 *
 * Where the clock is changed, a schedule for every hour follows it as it runs.
 * Of any other each local time counts once: one that comes twice when it first
 * comes, one that is skipped at the first moment after.
 *
 * Raises 22023 for a schedule that is none, and for an unknown time zone.
 */
CREATE FUNCTION featurestore._next_run(schedule text, time_zone text, after timestamptz) RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'next_run' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._next_run(text, text, timestamptz) IS 'internal: when a schedule comes next';
