/*
 * Size and error of approximate functions, beside the extensions hll and
 * tdigest with what they take by default.  Sets of numbers of one size are
 * drawn several times; the error is the root mean square of relative errors.
 */
\set ON_ERROR_STOP on
\set QUIET on
\pset pager off
\pset footer off
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET work_mem = '256MB';
SELECT count(*) = 2 AS both FROM pg_available_extensions WHERE name IN ('hll', 'tdigest') \gset
\if :both
CREATE EXTENSION IF NOT EXISTS hll;
CREATE EXTENSION IF NOT EXISTS tdigest;
DROP SCHEMA IF EXISTS sketch_bench CASCADE;
CREATE SCHEMA sketch_bench;
SET search_path = sketch_bench, public;

-- distinct values: the same numbers to both
CREATE TABLE distinct_error AS
WITH sketched AS (
	SELECT n, draw, hll_add_agg(hll_hash_bigint(v)) AS theirs,
		featurestore.accumulate(featurestore.agg_state('approx_count_distinct', 'int8', '{"relative_error": 0.03}'), timestamptz '2026-01-01', v) AS ours
	FROM unnest('{300,3000,30000,1000000}'::int[]) AS n, generate_series(1, :draws) AS draw,
		LATERAL (SELECT draw * 1000000007::bigint + i AS v FROM generate_series(1, n) AS i) AS drawn
	WHERE n < 1000000 OR draw <= 4
	GROUP BY n, draw)
SELECT n, max(pg_column_size(ours)) AS our_bytes, max(pg_column_size(theirs)) AS their_bytes,
	sqrt(avg((featurestore.agg_value(ours, 'approx_count_distinct', NULL::bigint) / n::float8 - 1) ^ 2)) AS our_error,
	sqrt(avg((hll_cardinality(theirs) / n - 1) ^ 2)) AS their_error
FROM sketched GROUP BY n;

-- percentiles, of 100,000 numbers each
CREATE TABLE drawn AS
SELECT distribution, v
FROM generate_series(1, 100000) AS i, LATERAL (SELECT (i * 0.6180339887498949) % 1 AS u, (i * 0.7548776662466927) % 1 AS w) AS e,
	LATERAL (SELECT sqrt(-2 * ln(1 - u)) * cos(2 * pi() * w) AS g) AS gaussian,
	LATERAL (VALUES ('uniform', 1 + 99 * u), ('lognormal', exp(g)), ('pareto', (1 - u) ^ (-1 / 1.1)), ('normal', 100 + 15 * g)) AS made (distribution, v);
CREATE TABLE percentile_error AS
WITH sketched AS (
	SELECT distribution, tdigest(v, 100) AS theirs,
		featurestore.accumulate(featurestore.agg_state('approx_percentile', 'float8', '{"percentile": 0.5, "relative_error": 0.01}'), timestamptz '2026-01-01', v) AS ours,
		percentile_disc('{0.01,0.05,0.1,0.25,0.5,0.75,0.9,0.95,0.99,0.999}'::float8[]) WITHIN GROUP (ORDER BY v) AS exact
	FROM drawn GROUP BY distribution
), answered AS (
	SELECT distribution, pg_column_size(s.ours) AS our_bytes, pg_column_size(s.theirs) AS their_bytes, v,
		featurestore.agg_value(s.ours, format('approx_percentile(%s)', p), NULL::float8) AS ours, (SELECT tdigest_percentile(t.theirs, p) FROM (SELECT s.theirs) AS t) AS theirs
	FROM sketched s, unnest('{0.01,0.05,0.1,0.25,0.5,0.75,0.9,0.95,0.99,0.999}'::float8[], exact) AS e (p, v))
SELECT distribution, our_bytes, their_bytes, sqrt(avg((ours / v - 1) ^ 2)) AS our_error, sqrt(avg((theirs / v - 1) ^ 2)) AS their_error,
	max(abs(ours / v - 1)) AS our_worst, max(abs(theirs / v - 1)) AS their_worst
FROM answered GROUP BY distribution, our_bytes, their_bytes;

\pset title 'Sketches (bytes and relative errors; better: on size and on error)'
SELECT format('%s distinct values, hll', n) AS "case", our_bytes || ' B' AS ours, their_bytes || ' B' AS theirs,
	round(our_error::numeric * 100, 2) || ' %' AS "our error", round(their_error::numeric * 100, 2) || ' %' AS "their error",
	concat_ws(', ', CASE WHEN our_bytes < their_bytes THEN 'size' END, CASE WHEN our_error < their_error THEN 'error' END) AS better
FROM distinct_error
UNION ALL
SELECT format('percentiles, %s, tdigest', distribution), our_bytes || ' B', their_bytes || ' B',
	round(our_error::numeric * 100, 2) || ' %, worst ' || round(our_worst::numeric * 100, 2) || ' %',
	round(their_error::numeric * 100, 2) || ' %, worst ' || round(their_worst::numeric * 100, 2) || ' %',
	concat_ws(', ', CASE WHEN our_bytes < their_bytes THEN 'size' END, CASE WHEN our_error < their_error THEN 'error' END)
FROM percentile_error;
DROP SCHEMA sketch_bench CASCADE;
\else
\echo 'NOT RUN: sketches beside hll and tdigest: these extensions are not installed'
\endif
