/*
 * Changing publications: their mode and filter, pausing and resuming.
 *
 * Whatever makes an online table differ from what its position says makes its
 * next run compare it with the whole source.
 */

/*
 * Lets go of the changes that are staged for a publication: its next run
 * compares the whole source.
 */
CREATE FUNCTION featurestore._forget_position(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	"position" featurestore.publication_position := featurestore._position(online_table);
BEGIN
	PERFORM featurestore._remove_definition('fill_position', online_table);
	IF "position".relation IS NOT NULL THEN
		PERFORM featurestore._store_definition('publication_position', to_jsonb("position")
			|| jsonb_build_object('relation', online_table::oid::text, 'snapshot', NULL));
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._forget_position(regclass) IS 'internal: makes the next run compare the whole source';

/* Stores a changed publication. */
CREATE FUNCTION featurestore._restore_publication(publication featurestore.publication) RETURNS void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._store_definition('publication', to_jsonb(publication) || jsonb_build_object(
	'relation', publication.relation::oid::text, 'source', publication.source::oid::text))
$$;
COMMENT ON FUNCTION featurestore._restore_publication(featurestore.publication) IS 'internal: stores a changed publication';

/* The publication of online_table, which the caller must own, locked against runs. */
CREATE FUNCTION featurestore._locked_publication(online_table regclass) RETURNS featurestore.publication
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM featurestore._check_online_table(online_table);
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', online_table);
	RETURN featurestore._declared_publication(online_table);
END
$$;
COMMENT ON FUNCTION featurestore._locked_publication(regclass) IS 'internal: the publication of a table, locked';

/*
 * Pauses the publication of online_table, after a run that is in progress: runs
 * are refused until it is resumed.  Changes are not kept for it meanwhile.
 * Pausing twice is a NOTICE.  Raises 42501 unless the caller owns the table,
 * 42704 if it is not published, and 42809 if a staging table feeds it.
 */
CREATE FUNCTION featurestore.pause_publication(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	publication featurestore.publication := featurestore._locked_publication(online_table);
BEGIN
	IF publication.is_paused THEN
		RAISE NOTICE 'publication of % is paused already, skipping', online_table;
		RETURN;
	END IF;
	publication.is_paused := true;
	PERFORM featurestore._restore_publication(publication);
	PERFORM featurestore._forget_position(online_table);
END
$$;
COMMENT ON FUNCTION featurestore.pause_publication(regclass) IS 'pauses a publication';

/*
 * Resumes the publication of online_table; its next run compares the whole
 * source, which is done at once where writers apply their changes.  One that is not paused is a NOTICE.  Raises as pause_publication does.
 */
CREATE FUNCTION featurestore.resume_publication(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	publication featurestore.publication := featurestore._locked_publication(online_table);
BEGIN
	IF NOT publication.is_paused THEN
		RAISE NOTICE 'publication of % is not paused, skipping', online_table;
		RETURN;
	END IF;
	publication.is_paused := false;
	PERFORM featurestore._restore_publication(publication);
	PERFORM featurestore._run_now(online_table, 'MERGE') WHERE publication.publish_mode = 'SYNCHRONOUS';
END
$$;
COMMENT ON FUNCTION featurestore.resume_publication(regclass) IS 'resumes a publication that was paused';

/*
 * Does a publication that was altered go on from its position?  So it does if
 * only who runs it changes, and when: the same changes are captured, and applied
 * in the same way.
 */
CREATE FUNCTION featurestore._goes_on(before featurestore.publication, after featurestore.publication) RETURNS boolean
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	was text := before.publish_mode;
BEGIN
	before.publish_mode := after.publish_mode;
	before.schedule := after.schedule;
	before.time_zone := after.time_zone;
	RETURN before IS NOT DISTINCT FROM after AND (was = after.publish_mode OR
		(was IN ('TRIGGERED', 'CONTINUOUS') AND after.publish_mode IN ('TRIGGERED', 'CONTINUOUS')));
END
$$;
COMMENT ON FUNCTION featurestore._goes_on(featurestore.publication, featurestore.publication) IS 'internal: whether an altered publication keeps its position';

/* The work of alter_publication, with filter in canonical form. */
CREATE FUNCTION featurestore._alter_publication(online_table regclass, publish_mode text, filter text, schedule text, time_zone text,
												source_retention interval, history boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	publication featurestore.publication;
	defined featurestore.publication;
	has_windows boolean;
BEGIN
	PERFORM featurestore._check_online_table(online_table);
	PERFORM featurestore._lock_sources(online_table, true);
	publication := featurestore._locked_publication(online_table);
	defined := publication;
	has_windows := featurestore._has_windows(publication);
	IF filter IS NOT NULL AND has_windows THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('table %s holds materialized features', online_table),
			DETAIL = 'Each feature has its own filter.';
	END IF;
	IF publish_mode IS NOT NULL THEN
		PERFORM featurestore._check_publish_mode(publish_mode);
	END IF;
	publication.publish_mode := coalesce(publish_mode, publication.publish_mode);
	publication.filter := nullif(coalesce(filter, publication.filter), 'true');
	publication.source_retention := featurestore._checked_retention(coalesce(source_retention, publication.source_retention), publication.publish_mode,
																   has_windows OR publication.timeseries_column IS NOT NULL);
	publication := featurestore._with_schedule(publication, schedule, time_zone);
	PERFORM featurestore._restore_publication(publication);
	IF NOT featurestore._goes_on(defined, publication) THEN
		PERFORM featurestore._forget_position(online_table);
	END IF;
	IF publication.publish_mode <> 'SNAPSHOT' THEN
		PERFORM featurestore._capture_sources(publication);
	END IF;
	PERFORM featurestore._release_source(source)
	FROM (SELECT publication.source UNION SELECT f.source FROM featurestore.feature f WHERE f.online_table = _alter_publication.online_table) AS s(source)
	WHERE source IS NOT NULL;
	PERFORM featurestore._set_history(online_table, history);
	PERFORM featurestore._run_now(online_table, 'MERGE') WHERE publication.publish_mode = 'SYNCHRONOUS' AND NOT publication.is_paused
		AND NOT featurestore._goes_on(defined, publication);
END
$$;
COMMENT ON FUNCTION featurestore._alter_publication(regclass, text, text, text, text, interval, boolean) IS 'internal: the work of alter_publication';

/* The source of a publication, for its filter; NULL for one of features. */
CREATE FUNCTION featurestore._source_of(online_table regclass) RETURNS regclass
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT p.source FROM featurestore.publication p WHERE p.relation = online_table $$;
COMMENT ON FUNCTION featurestore._source_of(regclass) IS 'internal: the source of a publication';

/*
 * Changes the publication of online_table; what is NULL stays as it is.  Its
 * next run compares the whole source, which is done at once if its mode is
 * SYNCHRONOUS then; unless only its schedule or its history changes, or TRIGGERED becomes CONTINUOUS
 * or the other way round.
 *
 * publish_mode, filter, schedule, time_zone, source_retention: as publish_table
 *   takes them; the filter 'true' publishes all rows, the schedule '' is none.
 * history: true begins the history of the table, with its rows as they are; one
 *   that was ended is taken up again.  false ends it: what it says stays.
 *
 * Raises as pause_publication does, and as publish_table does for bad values;
 * 42809 for a filter of a table that holds features.
 */
CREATE FUNCTION featurestore.alter_publication(online_table regclass, publish_mode text DEFAULT NULL, filter text DEFAULT NULL,
											   schedule text DEFAULT NULL, time_zone text DEFAULT NULL, source_retention interval DEFAULT NULL,
											   history boolean DEFAULT NULL) RETURNS void
	LANGUAGE sql VOLATILE
	/* no setting of its own: names in filter are resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT featurestore._alter_publication(alter_publication.online_table, alter_publication.publish_mode,
			coalesce(featurestore._canonical_filter(featurestore._source_of(alter_publication.online_table), alter_publication.filter), alter_publication.filter),
			alter_publication.schedule, alter_publication.time_zone, alter_publication.source_retention, alter_publication.history);
	END;
COMMENT ON FUNCTION featurestore.alter_publication(regclass, text, text, text, text, interval, boolean) IS 'changes a publication';
