/*
 * Workers: processes that run publications by themselves.
 */

/*
 * What there is to do for workers: the publications that run by themselves,
 * whether they do so whenever there are changes, and when they are due in any
 * case.  That is at once before the first fill is done and if the next run is to
 * compare the source; when keys are held until then; and a minute after the last
 * run, for what no trigger tells.  That is all that is left to do where writers
 * apply their own changes.  Those with a schedule are due when it says so.  One
 * that failed waits before it is tried again.
 */
CREATE FUNCTION featurestore._worker_tasks(OUT relation regclass, OUT is_continuous boolean, OUT due_at timestamptz) RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN QUERY
	SELECT p.relation, p.schedule IS NULL AND p.publish_mode <> 'SYNCHRONOUS',
		greatest(CASE WHEN p.schedule IS NOT NULL THEN featurestore._scheduled_at(p, n.applied_to)
				 WHEN n.snapshot IS NULL OR NOT featurestore._is_filled(p.relation) THEN '-infinity'
				 ELSE least(n.synced_at + interval '1 min', (SELECT min(h.due) FROM featurestore.held_change h
															 WHERE h.relation = p.relation AND h.system_identifier = n.system_identifier)) END,
				 (SELECT featurestore._retry_at(f.failures, f.ended_at) FROM featurestore._failures(p.relation) AS f))
	FROM featurestore._publications() AS p JOIN pg_class c ON c.oid = p.relation
	LEFT JOIN featurestore.publication_position n ON n.relation = p.relation AND n.system_identifier = (SELECT system_identifier FROM pg_control_system())
	WHERE NOT p.is_paused AND (p.publish_mode IN ('CONTINUOUS', 'SYNCHRONOUS') OR p.schedule IS NOT NULL OR featurestore._is_external(p))
	ORDER BY p.relation;
END
$$;
COMMENT ON FUNCTION featurestore._worker_tasks() IS 'internal: publications that run by themselves, and when';

/*
 * Starts the worker of this database, and waits until it runs; from now on
 * commits and the launcher start one as well, when there is none.  One that runs
 * already is a NOTICE.  It does not wait for the end of the transaction, and is
 * not undone with it.  Raises 42501 unless the caller is a member of the role
 * that owns the database or of that which owns the extension, 53400 if the
 * server can have no more background workers, 25006 during recovery, and 55000
 * if the worker ends at once.
 */
CREATE FUNCTION featurestore.start_worker() RETURNS void
	AS 'MODULE_PATHNAME', 'start_worker' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore.start_worker() IS 'starts the worker of this database';

/*
 * Ends the workers of this database, and waits until they are gone; when the
 * transaction has committed, none is started until start_worker is called.  If
 * that is so already it is a NOTICE.  Raises 42501 and 25006 as start_worker
 * does, and 55006 if a worker does not end.
 */
CREATE FUNCTION featurestore.stop_worker() RETURNS void
	AS 'MODULE_PATHNAME', 'stop_worker' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore.stop_worker() IS 'stops the workers of this database';

/* Is a worker running in this database? */
CREATE FUNCTION featurestore._is_worker_running() RETURNS boolean
	AS 'MODULE_PATHNAME', 'is_worker_running' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore._is_worker_running() IS 'internal: whether a worker is running';
