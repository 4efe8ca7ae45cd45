/*
 * The report of test/bench/publish.  Rates are compared as rates and times as
 * times: at least, or at most, what the target says.
 *
 *		psql -v batch=10000
 */
\set ON_ERROR_STOP on
\set QUIET on
\pset pager off
\pset footer off
\pset null ''
INSERT INTO pbench.rate SELECT name, side, round, :batch / seconds FROM pbench.time WHERE name LIKE 'apply %';
INSERT INTO pbench.rate
	SELECT 'apply, 4 sessions', CASE sessions WHEN 4 THEN 'measured' ELSE 'against' END, round, :batch * sessions / extract(epoch FROM max(ended) - min(started))
	FROM pbench.together GROUP BY sessions, round;
CREATE TEMP TABLE target (n int GENERATED ALWAYS AS IDENTITY, pattern text, against text, bound numeric);
INSERT INTO target (pattern, against, bound) VALUES
	('apply % plain rows', 'upsert by hand', 0.8),
	('apply % events, sparse states', 'upsert of 3 counters', 0.4),
	('apply % events, dense states', 'upsert of 3 counters', 0.12),
	('apply, 4 sessions', 'one session', NULL),
	('capture, single rows, 4 clients', 'no trigger', 0.7),
	('capture, 1000 rows at once', 'no trigger', 0.5),
	('first fill of % rows', 'CREATE TABLE AS, ADD PRIMARY KEY', 1.5);

CREATE TEMP VIEW compared AS
	WITH value AS (
		SELECT name, side, round, rate AS value, '/s' AS unit FROM pbench.rate
		UNION ALL SELECT name, side, round, seconds * 1000, ' ms' FROM pbench.time WHERE name LIKE 'first %')
	SELECT name, unit, percentile_disc(0.5) WITHIN GROUP (ORDER BY m.value) AS measured, percentile_disc(0.5) WITHIN GROUP (ORDER BY a.value) AS compared_with,
		percentile_disc(0.5) WITHIN GROUP (ORDER BY m.value / a.value)::numeric AS ratio
	FROM value AS m JOIN value AS a USING (name, round, unit)
	WHERE round > 0 AND m.side = 'measured' AND a.side = 'against' GROUP BY name, unit;

\pset title 'Publishing (medians; ratios are measured / against)'
SELECT name AS "case", round(measured) || unit AS measured, format('%s%s: %s', round(compared_with), unit, against) AS against, round(ratio, 3) AS ratio,
	CASE unit WHEN '/s' THEN '>= ' ELSE '<= ' END || bound AS target,
	CASE WHEN CASE unit WHEN '/s' THEN ratio >= bound ELSE ratio <= bound END THEN 'ok' WHEN bound IS NOT NULL THEN 'MISSED' END AS verdict
FROM target JOIN compared ON name LIKE pattern ORDER BY n;

\pset title 'What a sync costs however little there is to do (medians)'
SELECT name AS "case", round((percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds) * 1000)::numeric, 2) || ' ms' AS measured
FROM pbench.time WHERE round > 0 AND name LIKE '%sync%' GROUP BY name ORDER BY name LIKE 'sync%', name LIKE '%features', name;
