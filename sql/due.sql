/*
 * Due: which publications are to be run now, by whoever asks for it.
 *
 * Changes that wait, keys that are held until a time, and schedules make one due;
 * one that has failed waits for a while.
 */

/* When a publication that has failed so many times since its last run is tried again: after 1 s, then twice as long each time, up to 5 min. */
CREATE FUNCTION featurestore._retry_at(failures bigint, failed_at timestamptz) RETURNS timestamptz
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT failed_at + least(interval '1 s' * 2 ^ least(failures - 1, 20), interval '5 min') $$;
COMMENT ON FUNCTION featurestore._retry_at(bigint, timestamptz) IS 'internal: when a publication that failed is tried again';

/*
 * What waits for online_table, as of the current snapshot: the number of staged
 * changes that are not applied, and when the oldest was made, or a key with rows
 * dated in the future was due.  changes is NULL if that cannot be told: before
 * the first fill, when the next run is to compare the whole source, and for who
 * may not read the table.  Nothing waits for a table in SYNCHRONOUS mode but
 * such keys.
 */
CREATE FUNCTION featurestore._pending(online_table regclass, OUT changes bigint, OUT oldest timestamptz) RETURNS record
	AS 'MODULE_PATHNAME', 'pending_changes' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore._pending(regclass) IS 'internal: staged changes that are not applied yet';

/* Does anything wait for online_table, or can that not be told?  NULL for who may not read the table. */
CREATE FUNCTION featurestore._has_pending(online_table regclass) RETURNS boolean
	AS 'MODULE_PATHNAME', 'has_pending_changes' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore._has_pending(regclass) IS 'internal: whether staged changes are not applied yet';

/*
 * Is there anything to do for a run of a SYNCHRONOUS publication, which the
 * caller owns?  A first fill, keys that are due, and what fires no trigger.
 */
CREATE FUNCTION featurestore._needs_run(online_table regclass) RETURNS boolean
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN NOT featurestore._is_in_step(featurestore._publication(online_table)) OR featurestore._due_keys(online_table, clock_timestamp()) <> '[]';
END
$$;
COMMENT ON FUNCTION featurestore._needs_run(regclass) IS 'internal: whether a run of a SYNCHRONOUS publication has anything to do';

/*
 * Publications of the current user that are due: those with a schedule when it
 * says so, or they were never filled, and of the others those that go by changes;
 * of those that writers apply only those that need a run.  Those that are paused,
 * or wait because they have failed, are not.
 */
CREATE FUNCTION featurestore._due_publications() RETURNS SETOF regclass
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
	AS $$
SELECT p.relation FROM featurestore._publications() AS p JOIN pg_class c ON c.oid = p.relation
WHERE CASE WHEN p.is_paused OR NOT pg_has_role(c.relowner, 'USAGE') THEN false
		   WHEN p.schedule IS NOT NULL THEN featurestore._scheduled_at(p, (featurestore._position(p.relation)).applied_to) <= clock_timestamp()
		   WHEN p.publish_mode = 'SYNCHRONOUS' THEN featurestore._needs_run(p.relation)
		   ELSE p.publish_mode <> 'SNAPSHOT' END
	AND NOT EXISTS (SELECT FROM featurestore._failures(p.relation) AS f
					WHERE featurestore._retry_at(f.failures, f.ended_at) > clock_timestamp())
ORDER BY p.relation
$$;
COMMENT ON FUNCTION featurestore._due_publications() IS 'internal: publications that are due';

/*
 * Runs all publications of the caller that are due: those with a schedule when it
 * says so, and all others that go by changes.  One that fails is recorded, with a
 * WARNING, and tried again later; the others go on.  Then it deletes versions from
 * the histories of the caller's tables that are older than
 * featurestore.history_retention.  Outside of a transaction block it commits after
 * each step.
 */
CREATE PROCEDURE featurestore.run_due()
	AS 'MODULE_PATHNAME', 'run_due' LANGUAGE C;
COMMENT ON PROCEDURE featurestore.run_due() IS 'runs all publications that are due';
