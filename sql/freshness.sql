/*
 * Freshness: how far online tables are behind, whether that is as it should be,
 * and if not why.
 *
 * How fresh a table is to be follows from how it is kept: each rung of the ladder
 * costs less than the one above.  Changes in the writer's own transaction are
 * there in less than a second, those that a worker applies as they come in
 * seconds, those of a schedule as often as that comes; else somebody runs it by
 * hand.
 */

/*
 * How far a standby is behind its primary; NULL on a primary, or if it is not
 * known.  It is zero while all that the standby knows of is replayed and it has
 * heard of the primary within a minute; else the time since the last commit that
 * is replayed, or since the primary last said that this is all.
 */
CREATE FUNCTION featurestore._replay_lag() RETURNS interval
	AS 'MODULE_PATHNAME', 'replay_lag' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore._replay_lag() IS 'internal: how far a standby is behind';

/* May the caller know how far a table is behind?  Whoever may look it up may. */
CREATE FUNCTION featurestore._may_know(online_table regclass) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT has_any_column_privilege(c.oid, 'SELECT') OR pg_has_role(c.relowner, 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE')
FROM pg_class c WHERE c.oid = online_table
$$;
COMMENT ON FUNCTION featurestore._may_know(regclass) IS 'internal: whether the caller may know how far a table is behind';

/* What a publication is up to, by its position, which is NULL before the first fill. */
CREATE FUNCTION featurestore._state(publication featurestore.publication, "position" featurestore.publication_position) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE WHEN publication.is_paused THEN 'PAUSED' WHEN "position".stopped IS NOT NULL THEN 'STOPPED'
			WHEN NOT featurestore._is_filled(publication.relation) THEN 'INITIALIZING'
			WHEN publication.publish_mode <> 'SNAPSHOT' AND "position".snapshot IS NULL THEN 'RESYNC' ELSE 'OK' END
$$;
COMMENT ON FUNCTION featurestore._state(featurestore.publication, featurestore.publication_position) IS 'internal: what a publication is up to';

/* The rung of the ladder that a publication is on. */
CREATE FUNCTION featurestore._rung(publication featurestore.publication) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	first timestamptz := featurestore._next_run(publication.schedule, publication.time_zone, statement_timestamp());
	second timestamptz := featurestore._next_run(publication.schedule, publication.time_zone, first);
BEGIN
	RETURN CASE WHEN publication.publish_mode = 'SYNCHRONOUS' THEN 'sub-second'
		   WHEN publication.publish_mode = 'CONTINUOUS' OR featurestore._is_external(publication) THEN 'seconds'
		   WHEN publication.schedule IS NULL THEN 'by hand'
		   WHEN second - first < interval '1 min' THEN 'seconds'
		   WHEN second - first < interval '1 hour' THEN 'minutes'
		   WHEN second - first < interval '1 day' THEN 'hours' ELSE 'days' END;
END
$$;
COMMENT ON FUNCTION featurestore._rung(featurestore.publication) IS 'internal: how fresh a publication is to be';

/*
 * How far a table is behind: by the oldest change that waits, not at all if none
 * does; where that cannot be told, and by snapshot, by its last run.  On a standby
 * at least as far as that.  NULL before the first fill.
 */
CREATE FUNCTION featurestore._lag(publication featurestore.publication, "position" featurestore.publication_position, OUT pending bigint, OUT lag interval) RETURNS record
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	oldest timestamptz;
	replay_lag interval := CASE WHEN pg_is_in_recovery() THEN featurestore._replay_lag() ELSE '0' END;
BEGIN
	SELECT p.changes, p.oldest INTO pending, oldest FROM featurestore._pending(publication.relation) AS p;
	IF "position".relation IS NOT NULL THEN
		lag := greatest(CASE WHEN pending IS NULL THEN statement_timestamp() - "position".applied_to WHEN oldest IS NULL THEN '0' ELSE statement_timestamp() - oldest END, '0', replay_lag);
		lag := CASE WHEN replay_lag IS NOT NULL THEN lag END;
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._lag(featurestore.publication, featurestore.publication_position) IS 'internal: how far a table is behind';

/* What is to be done so that something runs by itself; NULL where a worker is there to do it, and on a standby, where none can be. */
CREATE FUNCTION featurestore._lacks_worker() RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN CASE WHEN NOT pg_is_in_recovery() AND NOT featurestore._is_worker_running()
		   THEN 'no worker runs in this database; start one with featurestore.start_worker()' END;
END
$$;
COMMENT ON FUNCTION featurestore._lacks_worker() IS 'internal: says that no worker runs';

/*
 * How a publication is, for the view freshness.  The last error is told to the
 * owner of the table only, as by publish_runs.
 */
CREATE FUNCTION featurestore._freshness(publication featurestore.publication, OUT rung text, OUT state text, OUT reason text, OUT lag interval,
										OUT pending bigint, OUT next_run timestamptz) RETURNS record
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	"position" featurestore.publication_position := featurestore._position(publication.relation);
	runs_itself boolean;
	is_late boolean;
	error text;
BEGIN
	rung := featurestore._rung(publication);
	state := featurestore._state(publication, "position");
	runs_itself := rung <> 'by hand';
	next_run := featurestore._scheduled_at(publication, "position".applied_to);
	next_run := CASE WHEN next_run = 'infinity' OR publication.is_paused THEN NULL WHEN next_run = '-infinity' THEN statement_timestamp() ELSE next_run END;
	IF featurestore._may_know(publication.relation) THEN
		SELECT l.pending, l.lag INTO pending, lag FROM featurestore._lag(publication, "position") AS l;
	END IF;
	is_late := CASE WHEN publication.schedule IS NULL THEN rung <> 'by hand' AND lag > interval '10 s'
					ELSE lag > interval '0' AND next_run < statement_timestamp() - interval '1 min' END;
	state := CASE WHEN state <> 'OK' THEN state WHEN is_late THEN 'LAGGING' WHEN lag IS NOT NULL THEN 'OK' END;

	error := 'its last run failed: ' || (SELECT r.message FROM featurestore.publish_runs r
										 WHERE r.online_table = publication.relation AND EXISTS (SELECT FROM featurestore._failures(publication.relation))
										 ORDER BY r.id DESC LIMIT 1);
	reason := CASE state
		WHEN 'PAUSED' THEN 'it is paused; go on with featurestore.resume_publication()'
		WHEN 'STOPPED' THEN "position".stopped
		WHEN 'INITIALIZING' THEN coalesce(error, CASE WHEN EXISTS (SELECT FROM featurestore.fill_position f WHERE f.relation = publication.relation)
			THEN 'its first fill is under way' END, CASE WHEN runs_itself THEN featurestore._lacks_worker() END, 'it is to be filled, by a worker or CALL featurestore.sync()')
		WHEN 'RESYNC' THEN coalesce(error, CASE WHEN runs_itself THEN featurestore._lacks_worker() END, 'its next run compares the whole source')
		WHEN 'LAGGING' THEN coalesce(error, CASE WHEN featurestore._replay_lag() > interval '10 s' THEN 'this standby is behind' END,
									 CASE WHEN runs_itself THEN featurestore._lacks_worker() END, 'changes wait to be applied')
		ELSE error END;
END
$$;
COMMENT ON FUNCTION featurestore._freshness(featurestore.publication) IS 'internal: how a publication is';

/* The same of a table that an application writes itself. */
CREATE FUNCTION featurestore._direct_freshness(OUT rung text, OUT state text, OUT reason text, OUT lag interval) RETURNS record
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	rung := 'sub-second';
	lag := CASE WHEN pg_is_in_recovery() THEN featurestore._replay_lag() ELSE '0' END;
	state := CASE WHEN lag > interval '10 s' THEN 'LAGGING' ELSE 'OK' END;
	reason := CASE WHEN state = 'LAGGING' THEN 'this standby is behind' END;
END
$$;
COMMENT ON FUNCTION featurestore._direct_freshness() IS 'internal: how a table is that an application writes';

CREATE VIEW featurestore.freshness WITH (security_barrier) AS
	SELECT t.relation AS online_table, t.publish_mode, f.rung, f.state, f.reason, f.lag, f.pending, n.applied_to,
		   CASE WHEN k.may_know THEN (SELECT count(*) FROM featurestore.rejected_change r WHERE r.relation = t.relation) END AS rejected,
		   CASE WHEN k.may_know THEN (SELECT count(*) FROM featurestore.held_change h WHERE h.relation = t.relation AND h.system_identifier = s.system_identifier) END AS held,
		   f.next_run,
		   ARRAY(SELECT DISTINCT w.ev_class::regclass::text FROM pg_catalog.pg_depend d
				 JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
				 JOIN featurestore.spec ON spec.relation = w.ev_class
				 WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = t.relation ORDER BY 1) AS specs
	FROM (SELECT p.relation, p.publish_mode, p AS publication FROM featurestore.publication p
		  UNION ALL SELECT p.relation, NULL, p FROM featurestore._publications() AS p WHERE p.relation NOT IN (SELECT relation FROM featurestore.publication)
		  UNION ALL SELECT o.relation, NULL, NULL FROM featurestore.online_table o
		  WHERE o.relation NOT IN (SELECT relation FROM featurestore.publication UNION ALL SELECT online_table FROM featurestore.staging WHERE online_table IS NOT NULL)) AS t
	JOIN pg_catalog.pg_class c ON c.oid = t.relation
	CROSS JOIN LATERAL (SELECT system_identifier FROM pg_catalog.pg_control_system()) AS s
	CROSS JOIN LATERAL featurestore._may_know(t.relation) AS k(may_know)
	CROSS JOIN LATERAL (SELECT * FROM featurestore._freshness(t.publication) WHERE num_nonnulls(t.publication) = 1
						UNION ALL SELECT rung, state, reason, lag, NULL, NULL FROM featurestore._direct_freshness() WHERE num_nonnulls(t.publication) = 0) AS f
	LEFT JOIN featurestore.publication_position n ON n.relation = t.relation AND n.system_identifier = s.system_identifier;
COMMENT ON VIEW featurestore.freshness IS 'how far online tables are behind, and why';
COMMENT ON COLUMN featurestore.freshness.online_table IS 'the online table';
COMMENT ON COLUMN featurestore.freshness.publish_mode IS 'how changes travel; null where external writers feed it or an application writes it';
COMMENT ON COLUMN featurestore.freshness.rung IS 'how fresh it is to be: sub-second, seconds, minutes, hours, days; by hand if nothing runs it by itself';
COMMENT ON COLUMN featurestore.freshness.state IS 'as in publications, or LAGGING: a change waits for more than 10 s where it is to be there in seconds or less; with a schedule, for a run that is overdue by more than a minute; null if that cannot be told';
COMMENT ON COLUMN featurestore.freshness.reason IS 'why it is not OK, or what failed last; errors only for the owner';
COMMENT ON COLUMN featurestore.freshness.lag IS 'age of the oldest change that is not applied, zero if there is none; by snapshot, and where that cannot be told, of the last run; on a standby at least as far as that is behind; null for who may not read the table';
COMMENT ON COLUMN featurestore.freshness.pending IS 'changes that are not applied; null if that cannot be told';
COMMENT ON COLUMN featurestore.freshness.applied_to IS 'every change of the source committed before this time is in the online table';
COMMENT ON COLUMN featurestore.freshness.rejected IS 'changes that could not be applied, see rejected_changes';
COMMENT ON COLUMN featurestore.freshness.held IS 'keys with rows dated in the future, which count from then on';
COMMENT ON COLUMN featurestore.freshness.next_run IS 'when its schedule makes it due, in the past if it is overdue; null without a schedule and while it is paused';
COMMENT ON COLUMN featurestore.freshness.specs IS 'feature specs that read it';
GRANT SELECT ON featurestore.freshness TO PUBLIC;
