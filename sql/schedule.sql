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

/*
 * A publication with another schedule.  NULLs leave it as it is; a schedule that
 * is empty takes it away.  Without a time zone it is in UTC.
 *
 * Raises 22023 for a schedule that is none, or never comes, for a time zone that
 * is unknown or without schedule, and for a mode that needs no schedule.
 */
CREATE FUNCTION featurestore._with_schedule(publication featurestore.publication, schedule text, time_zone text) RETURNS featurestore.publication
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
BEGIN
	publication.schedule := nullif(btrim(regexp_replace(coalesce(schedule, publication.schedule), '\s+', ' ', 'g')), '');
	IF publication.schedule IS NULL THEN
		IF time_zone IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
				MESSAGE = 'time_zone needs a schedule',
				HINT = 'Give schedule, too.';
		END IF;
		publication.time_zone := NULL;
		RETURN publication;
	END IF;

	publication.time_zone := coalesce(time_zone, publication.time_zone, 'UTC');
	IF publication.publish_mode NOT IN ('SNAPSHOT', 'TRIGGERED') THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('publish mode %s takes no schedule', publication.publish_mode),
			DETAIL = 'Changes are applied as they come.',
			HINT = CASE WHEN schedule IS NULL THEN 'Remove the schedule: schedule => ''''.' ELSE 'Leave it out, or use publish mode SNAPSHOT or TRIGGERED.' END;
	ELSIF featurestore._next_run(publication.schedule, publication.time_zone, now()) IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('schedule "%s" never comes', publication.schedule),
			DETAIL = 'No date is as it says, from now on.';
	END IF;
	RETURN publication;
END
$$;
COMMENT ON FUNCTION featurestore._with_schedule(featurestore.publication, text, text) IS 'internal: a publication with another schedule';

/* When a publication with a schedule is to run, having applied all until then; at once if it is not filled.  NULL without a schedule. */
CREATE FUNCTION featurestore._scheduled_at(publication featurestore.publication, applied_to timestamptz) RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN CASE WHEN publication.schedule IS NULL THEN NULL WHEN applied_to IS NULL THEN '-infinity'
		   ELSE coalesce(featurestore._next_run(publication.schedule, publication.time_zone, applied_to), 'infinity') END;
END
$$;
COMMENT ON FUNCTION featurestore._scheduled_at(featurestore.publication, timestamptz) IS 'internal: when a publication with a schedule is to run';
