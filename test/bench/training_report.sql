/* The report of the benchmark of training: times, ratios and memory, from tbench.time. */
\pset footer off
\pset null ''
\echo
\echo 'Training: times are medians, ratios medians of the rounds; memory is the most that a session had of its own'
WITH median AS (
	SELECT name, side, min(ctid) AS first, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds, max(memory) AS memory FROM tbench.time GROUP BY name, side
), ratio AS (
	SELECT o.name, o.side, percentile_cont(0.5) WITHIN GROUP (ORDER BY o.seconds / t.seconds) AS ratio
	FROM tbench.time AS t JOIN tbench.time AS o USING (name, round) WHERE t.side = 'training' AND o.side <> 'training' GROUP BY 1, 2
)
SELECT t.name AS "case", r.side AS against, to_char(1000 * t.seconds, 'FM999990.0') AS "training, ms", to_char(1000 * o.seconds, 'FM999990.0') AS "other, ms",
	to_char(r.ratio, 'FM99990.00') AS "times faster",
	CASE r.name WHEN 'as-of join' THEN '>= 3' WHEN '12 windows' THEN '>= 8 than the better' WHEN 'as-of join in SQL of Feast' THEN '>= 30' ELSE '>= 0.83' END AS target,
	pg_size_pretty(t.memory) AS memory, pg_size_pretty(o.memory) AS "other's"
FROM ratio AS r JOIN median AS t ON t.name = r.name AND t.side = 'training' JOIN median AS o ON o.name = r.name AND o.side = r.side ORDER BY o.first;

\echo 'Against DuckDB, which has the rows in memory; aim <= 4'
SELECT 'as-of join' AS "case", to_char(1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), 'FM999990.0') AS "training, ms", nullif(:'duckdb', '') AS "DuckDB, ms",
	to_char(1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) / nullif(:'duckdb', '')::float8, 'FM990.00') AS "times its time"
FROM tbench.time WHERE name = 'as-of join' AND side = 'training';

\echo 'Labels, and what each more costs: the last column is to be within 1.3 of the one before, from 1/10 of the most labels on'
WITH series AS (
	SELECT split_part(name, ', ', 2) AS spec, split_part(name, ' ', 1)::bigint AS labels, min(seconds) AS seconds, max(memory) AS memory
	FROM tbench.time WHERE name ~ '^\d+ labels, ' GROUP BY 1, 2
)
SELECT spec, labels, to_char(1000 * seconds, 'FM9999990.0') AS "training, ms", pg_size_pretty(memory) AS memory,
	to_char(1e6 * (seconds - lag(seconds) OVER w) / (labels - lag(labels) OVER w), 'FM9990.00') AS "us a label more"
FROM series WINDOW w AS (PARTITION BY spec ORDER BY labels) ORDER BY spec, labels;
