/*
 * Workers: processes that run publications by themselves.
 */

/*
 * What there is to do for workers: the publications that run by themselves,
 * whether they do so whenever there are changes, and when they are due in any
 * case.  That is at once before the first fill is done and if the next run is to
 * compare the source; when keys are held until then; and a minute after the last
 * run, for what no trigger tells.  One that failed waits before it is tried
 * again.
 */
CREATE FUNCTION featurestore._worker_tasks(OUT relation regclass, OUT is_continuous boolean, OUT due_at timestamptz) RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN QUERY
	SELECT p.relation, true,
		greatest(CASE WHEN n.snapshot IS NULL OR NOT featurestore._is_filled(p.relation) THEN '-infinity'
				 ELSE least(n.synced_at + interval '1 min', (SELECT min(h.due) FROM featurestore.held_change h
															 WHERE h.relation = p.relation AND h.system_identifier = n.system_identifier)) END,
				 (SELECT featurestore._retry_at(f.failures, f.ended_at) FROM featurestore._failures(p.relation) AS f))
	FROM featurestore._publications() AS p JOIN pg_class c ON c.oid = p.relation
	LEFT JOIN featurestore.publication_position n ON n.relation = p.relation AND n.system_identifier = (SELECT system_identifier FROM pg_control_system())
	WHERE NOT p.is_paused AND (p.publish_mode = 'CONTINUOUS' OR featurestore._is_external(p))
	ORDER BY p.relation;
END
$$;
COMMENT ON FUNCTION featurestore._worker_tasks() IS 'internal: publications that run by themselves, and when';
