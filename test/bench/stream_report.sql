/*
 * The report of test/bench/stream.
 */
\set ON_ERROR_STOP on
\set QUIET on
\pset pager off
\pset footer off
\pset null ''
SET search_path = sbench, pg_catalog;

CREATE TEMP VIEW median AS
	SELECT name, side, percentile_disc(0.5) WITHIN GROUP (ORDER BY p50)::numeric AS p50, percentile_disc(0.5) WITHIN GROUP (ORDER BY p99)::numeric AS p99,
		   max(most)::numeric AS most, sum(probes) AS probes, percentile_disc(0.5) WITHIN GROUP (ORDER BY rate)::numeric AS rate
	FROM latency WHERE round > 0 OR name LIKE 'events at%' GROUP BY name, side;
\pset title 'From commit until a lookup gives it, ms (medians of rounds)'
SELECT name AS "case", round(p50, 2) AS p50, round(p99, 2) AS p99, round(most, 1) AS most, probes,
	CASE WHEN name ~ '1000' THEN 'p50 <= 10, p99 <= 50' END AS target,
	CASE WHEN name ~ '1000' THEN CASE WHEN p50 <= 10 AND p99 <= 50 THEN 'ok' ELSE 'MISSED' END END AS verdict
FROM (SELECT name || CASE WHEN name LIKE 'events at%' THEN format(' (%s/s), %s', round(rate), CASE side WHEN 'measured' THEN 'twelve features' ELSE 'counters by hand' END) ELSE '' END AS name,
			 p50, p99, most, probes FROM median WHERE name <> 'lookup, ms') AS m ORDER BY name;

/* what is compared, round by round */
CREATE TEMP TABLE target (n int GENERATED ALWAYS AS IDENTITY, name text, against text, comparison text, bound numeric);
INSERT INTO target (name, against, comparison, bound) VALUES
	('idle worker, % of a CPU', NULL, '<=', 0.1),
	('sustained events/s, p99 < 1 s', 'loop with upsert of 3 counters', NULL, NULL),
	('microseconds of CPU per event', 'loop with upsert of 3 counters', NULL, NULL),
	('lookup during full-rate apply, p99 in us', 'the same at rest', '<=', 2),
	('SYNCHRONOUS inserts/s, rows', 'no publication', '>=', 0.4),
	('SYNCHRONOUS inserts/s, events', 'no publication', '>=', 0.4),
	('SYNCHRONOUS inserts/s, one key, 8 writers', 'trigger with upsert of 3 counters', NULL, NULL),
	('typed writer, replace, rows/s', 'INSERT of arrays ON CONFLICT', '>=', 0.7),
	('typed writer, add and max, rows/s', 'INSERT of arrays ON CONFLICT', '>=', 0.7),
	('write_features, replace, rows/s', 'INSERT of arrays ON CONFLICT', NULL, NULL),
	('write_features, add and max, rows/s', 'INSERT of arrays ON CONFLICT', NULL, NULL);
CREATE TEMP VIEW value AS
	SELECT name, side, round, value FROM figure WHERE round > 0 OR name LIKE '%CPU per event'
	UNION ALL SELECT 'lookup during full-rate apply, p99 in us', side, round, p99 * 1000 FROM latency WHERE name = 'lookup, ms' AND round > 0
	UNION ALL SELECT format('%s, %s, rows/s', CASE WHEN b.name LIKE '%json' THEN 'write_features' ELSE 'typed writer' END, CASE WHEN b.name LIKE 'added%' THEN 'add and max' ELSE 'replace' END),
		s.side, round, rows / CASE s.side WHEN 'measured' THEN b.seconds ELSE a.seconds END
	FROM block AS b JOIN block AS a USING (round) CROSS JOIN (VALUES ('measured'), ('against')) AS s(side) CROSS JOIN (SELECT :calls * 500.0 AS rows) AS c
	WHERE a.name = split_part(b.name, '_', 1) || '_upsert' AND b.name <> a.name AND round > 0;
\pset title 'Streams (medians of rounds; ratios are measured / against)'
SELECT name AS "case", round(m.value::numeric, CASE WHEN m.value < 10 THEN 3 ELSE 0 END) AS measured,
	CASE WHEN t.against IS NOT NULL THEN format('%s: %s', round(a.value::numeric, CASE WHEN a.value < 10 THEN 3 ELSE 0 END), t.against) END AS against,
	round(r.ratio::numeric, 3) AS ratio, comparison || ' ' || bound AS target,
	CASE WHEN CASE comparison WHEN '>=' THEN coalesce(r.ratio, m.value) >= bound ELSE coalesce(r.ratio, m.value) <= bound END THEN 'ok' WHEN bound IS NOT NULL THEN 'MISSED' END AS verdict
FROM target AS t
JOIN (SELECT name, percentile_disc(0.5) WITHIN GROUP (ORDER BY value) AS value FROM value WHERE side = 'measured' GROUP BY name) AS m USING (name)
LEFT JOIN (SELECT name, percentile_disc(0.5) WITHIN GROUP (ORDER BY value) AS value FROM value WHERE side = 'against' GROUP BY name) AS a USING (name)
LEFT JOIN (SELECT name, percentile_disc(0.5) WITHIN GROUP (ORDER BY m.value / a.value) AS ratio FROM value AS m JOIN value AS a USING (name, round)
		   WHERE m.side = 'measured' AND a.side = 'against' GROUP BY name) AS r USING (name)
ORDER BY n;

\pset title 'Lookups (medians of rounds)'
SELECT CASE side WHEN 'measured' THEN 'while the worker applies' ELSE 'at rest' END AS "case", round(p50 * 1000) AS "p50, us", round(p99 * 1000) AS "p99, us", probes AS lookups, round(rate) AS "worker, % of a CPU"
FROM median WHERE name = 'lookup, ms' ORDER BY side;
