/*
 * What lookups cost and find, spec by spec.  The counts are in shared memory,
 * so that they are there only if the library is preloaded, on a standby as on
 * the primary, and begin anew when the server starts.
 */
CREATE FUNCTION featurestore._lookup_stats(OUT spec oid, OUT calls bigint, OUT keys bigint, OUT probes bigint, OUT misses bigint, OUT stale bigint,
		OUT sql_probes bigint, OUT p50 double precision, OUT p99 double precision, OUT since timestamptz) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'lookup_stats' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._lookup_stats() IS 'internal: what was counted of lookups in this database';

CREATE FUNCTION featurestore._lookup_stats_state(OUT is_available boolean, OUT untracked bigint)
	AS 'MODULE_PATHNAME', 'lookup_stats_state' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._lookup_stats_state() IS 'internal: whether lookups are counted at all, and how many found no place';

/* A spec that nothing is known of has counted nothing, unless it may be one of those without a place. */
CREATE VIEW featurestore.lookup_stats AS
	SELECT s.relation AS spec, t.is_available, CASE WHEN t.untracked = 0 THEN COALESCE(n.calls, 0) ELSE n.calls END AS calls,
		   n.keys, n.probes, n.misses, n.stale, n.sql_probes / nullif(n.probes, 0)::double precision AS slow_path, n.p50, n.p99, n.since, t.untracked
	FROM featurestore.spec s
	CROSS JOIN featurestore._lookup_stats_state() AS t
	LEFT JOIN featurestore._lookup_stats() AS n ON n.spec = s.relation::oid;
COMMENT ON VIEW featurestore.lookup_stats IS 'finished lookups by spec, but those of explain_lookup, counted since the server started';
COMMENT ON COLUMN featurestore.lookup_stats.spec IS 'the feature spec';
COMMENT ON COLUMN featurestore.lookup_stats.is_available IS 'whether lookups are counted: the library is in shared_preload_libraries; the others are null if not';
COMMENT ON COLUMN featurestore.lookup_stats.calls IS 'lookups, of which a batch of requests in a join is one; null if they may be among the untracked';
COMMENT ON COLUMN featurestore.lookup_stats.keys IS 'rows that were requested';
COMMENT ON COLUMN featurestore.lookup_stats.probes IS 'keys that tables were probed for, in rows that are looked up together each once a table';
COMMENT ON COLUMN featurestore.lookup_stats.misses IS 'probes that found no row';
COMMENT ON COLUMN featurestore.lookup_stats.stale IS 'lookups that met a table whose lag was over max_lag';
COMMENT ON COLUMN featurestore.lookup_stats.slow_path IS 'share of the probes that went through the planner instead of directly to an index';
COMMENT ON COLUMN featurestore.lookup_stats.p50 IS 'milliseconds that half of the lookups did not take longer than, to within 1/16';
COMMENT ON COLUMN featurestore.lookup_stats.p99 IS 'the same of 99 in 100';
COMMENT ON COLUMN featurestore.lookup_stats.since IS 'first of the lookups that were counted, or the last reset';
COMMENT ON COLUMN featurestore.lookup_stats.untracked IS 'lookups of any spec that were not counted since there are more specs than featurestore.max_tracked_specs';

/*
 * Lets the specs of this database count from 0.  For whoever installed the
 * extension, and those he grants it to.  Raises 55000 if lookups are not
 * counted.
 */
CREATE FUNCTION featurestore.lookup_stats_reset() RETURNS void
	AS 'MODULE_PATHNAME', 'lookup_stats_reset' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore.lookup_stats_reset() IS 'lets lookup_stats count from 0';
REVOKE ALL ON FUNCTION featurestore.lookup_stats_reset() FROM PUBLIC;

GRANT SELECT ON featurestore.lookup_stats TO PUBLIC;
