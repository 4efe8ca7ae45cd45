-- What approximate functions promise: errors, sizes, and states that do not
-- depend on the order of events
SET TimeZone = 'UTC';
SET search_path = public, featurestore;
SET client_min_messages = warning;
SET jit = off;

CREATE FUNCTION pg_temp.distinct_template(relative_error float8) RETURNS agg_state LANGUAGE sql IMMUTABLE
	RETURN agg_state('approx_count_distinct', 'int8', jsonb_build_object('relative_error', relative_error));
CREATE FUNCTION pg_temp.percentile_template(type regtype, relative_error float8) RETURNS agg_state LANGUAGE sql IMMUTABLE
	RETURN agg_state('approx_percentile', type, jsonb_build_object('percentile', 0.5, 'relative_error', relative_error));
CREATE FUNCTION pg_temp.distinct_value(state agg_state) RETURNS bigint LANGUAGE sql IMMUTABLE
	RETURN agg_value(state, 'approx_count_distinct', NULL::bigint);
CREATE FUNCTION pg_temp.bytes(state agg_state) RETURNS int LANGUAGE sql IMMUTABLE
	RETURN (describe(state) ->> 'bytes')::int;

-- approx_count_distinct: n values, some of them several times.  The estimate is
-- off by less than 4 standard errors, and the state no larger than this
CREATE TEMP TABLE counted AS
	SELECT n, relative_error, state
	FROM unnest('{1,2,7,20,55,56,100,1000,10000,100000,1000000}'::bigint[]) AS n,
		(SELECT relative_error, pg_temp.distinct_template(relative_error) AS template FROM unnest('{0.01,0.03,0.05,0.1,0.3}'::float8[]) AS relative_error OFFSET 0) AS templates,
		LATERAL (SELECT accumulate(template, timestamptz '2024-01-01', v) AS state
			FROM (SELECT v FROM generate_series(1, n) AS v UNION ALL SELECT v FROM generate_series(1, n, 3) AS v) AS events) AS made;
SELECT relative_error, count(*),
	count(*) FILTER (WHERE abs(pg_temp.distinct_value(state) - n) <= 4 * relative_error * n) AS near,
	max(pg_temp.bytes(state)) AS bytes
FROM counted GROUP BY relative_error ORDER BY relative_error;
-- so few are counted exactly
SELECT relative_error, few, count(*), bool_and(pg_temp.distinct_value(state) = n) AS exact
FROM counted JOIN (VALUES (0.01, 1791), (0.03, 223), (0.05, 55), (0.1, 13), (0.3, 3)) AS exact (relative_error, few) USING (relative_error)
WHERE n <= few GROUP BY relative_error, few ORDER BY relative_error;

-- many
SELECT abs(pg_temp.distinct_value(accumulate(pg_temp.distinct_template(0.02), timestamptz '2024-01-01', v % 4000000)) / 4e6 - 1) < 0.06 AS near
FROM generate_series(1, 5000000::bigint) AS v;

-- the error over 120 sets of values, and that it leans to neither side: a mean
-- of so many is within 4 standard errors / sqrt(120)
WITH estimates AS (
	SELECT n, pg_temp.distinct_value(state) / n::float8 - 1 AS error
	FROM unnest('{60,200,3000}'::bigint[]) AS n, generate_series(1, 120) AS set,
		LATERAL (SELECT accumulate(pg_temp.distinct_template(0.05), timestamptz '2024-01-01', set * 1000000007::bigint + v) AS state
			FROM generate_series(1, n) AS v, generate_series(1, 2)) AS made)
SELECT n, sqrt(avg(error ^ 2)) BETWEEN 0.02 AND 0.053 AS spread, abs(avg(error)) < 4 * 0.05 / sqrt(120) AS centred
FROM estimates GROUP BY n ORDER BY n;

-- values of other types, also those that compare equal with different images
SELECT pg_temp.distinct_value(accumulate(agg_state('approx_count_distinct', 'numeric'), timestamptz '2024-01-01', v)) AS numerics
FROM (SELECT v / 2.0 FROM generate_series(1, 20) AS v UNION ALL SELECT v::numeric FROM generate_series(1, 10) AS v) AS n (v);
SELECT pg_temp.distinct_value(accumulate(agg_state('approx_count_distinct', 'float8'), timestamptz '2024-01-01', v)) AS floats
FROM unnest('{0,-0,1,NaN,NaN,Infinity,-Infinity}'::float8[]) AS v;
SELECT pg_temp.distinct_value(accumulate(agg_state('approx_count_distinct', 'text', '{}', 'pg_catalog."C"'), timestamptz '2024-01-01', v)) AS texts
FROM unnest('{a,b,"",ab,a,"a "}'::text[]) AS v;
SELECT pg_temp.distinct_value(agg_state('approx_count_distinct', 'uuid')) AS nothing;

-- order of events and merging change nothing; values around the place where
-- tokens become registers
WITH events AS (SELECT n, v FROM unnest('{10,54,55,56,57,300,5000}'::bigint[]) AS n, generate_series(1, n) AS v, generate_series(1, 1 + v::int % 2)),
	forward AS (SELECT n, accumulate(pg_temp.distinct_template(0.05), timestamptz '2024-01-01', v ORDER BY v) AS state FROM events GROUP BY n),
	backward AS (SELECT n, accumulate(pg_temp.distinct_template(0.05), timestamptz '2024-01-01', v ORDER BY v DESC) AS state FROM events GROUP BY n),
	parts AS (SELECT n, accumulate(pg_temp.distinct_template(0.05), timestamptz '2024-01-01', v) AS state FROM events GROUP BY n, v * v % 7),
	merged AS (SELECT n, rollup(state) AS state FROM parts GROUP BY n)
SELECT n, forward.state::text = backward.state::text AS backward, forward.state::text = merged.state::text AS merged
FROM forward JOIN backward USING (n) JOIN merged USING (n) ORDER BY n;

-- approx_percentile: numbers from 0 to 1 that are evenly spread, and
-- distributions made of them
CREATE TEMP TABLE evenly AS
	SELECT i, (i * 0.6180339887498949) % 1 AS u, (i * 0.7548776662466927) % 1 AS w FROM generate_series(1, 20000) AS i;
CREATE TEMP TABLE drawn (distribution text, v float8);
INSERT INTO drawn
	SELECT distribution, v
	FROM evenly, LATERAL (SELECT sqrt(-2 * ln(1 - u)) * cos(2 * pi() * w) AS g) AS gaussian,
		LATERAL (VALUES ('uniform', u), ('normal', g), ('normal far from 0', 100 + 15 * g), ('lognormal', exp(g)), ('lognormal wide', exp(3 + 2 * g)),
			('pareto', (1 - u) ^ (-1 / 1.1)), ('negative', ln(1 - u)), ('half zeros', CASE WHEN i % 2 = 0 THEN exp(g) ELSE 0 END),
			('mixture', CASE i % 3 WHEN 0 THEN -exp(g) WHEN 1 THEN 1000 + g ELSE exp(5 + g) END),
			('denormal', floor(exp(9 + g)) * 4.9406564584124654e-324), ('huge', 1e307 * (1 + 10 * u)), ('constant', 42)) AS made (distribution, v);
CREATE FUNCTION pg_temp.percentile_errors(relative_error float8, OUT distribution text, OUT promised bool, OUT ends bool, OUT bytes int) RETURNS SETOF record LANGUAGE sql
AS $$
	WITH made AS (
		SELECT drawn.distribution, accumulate(template, timestamptz '2024-01-01', v) AS state,
			percentile_disc('{0,0.001,0.01,0.1,0.25,0.5,0.75,0.9,0.99,0.999,1}'::float8[]) WITHIN GROUP (ORDER BY v) AS exact
		FROM drawn, (SELECT pg_temp.percentile_template('float8', relative_error) AS template OFFSET 0) AS t GROUP BY drawn.distribution)
	SELECT made.distribution,
		bool_and(abs(value - v) / unit <= relative_error * (abs(v) / unit) + CASE WHEN unit < 1 THEN 0.5 ELSE 0 END),
		bool_and(value = v) FILTER (WHERE p IN (0, 1)),
		max(pg_temp.bytes(state))
	FROM made, unnest('{0,0.001,0.01,0.1,0.25,0.5,0.75,0.9,0.99,0.999,1}'::float8[], exact) AS at (p, v),
		LATERAL (SELECT agg_value(state, format('approx_percentile(%s)', p), NULL::float8) AS value,
			CASE WHEN abs(v) < 1e-300 THEN 4.9406564584124654e-324 ELSE 1 END AS unit) AS answer
	GROUP BY made.distribution
$$;
SELECT distribution, promised, ends, bytes < 1000 AS small FROM pg_temp.percentile_errors(0.01) ORDER BY distribution;
SELECT count(*), bool_and(promised AND ends) AS promised, max(bytes) < 250 AS small FROM pg_temp.percentile_errors(0.1);
-- 0.001 of so wide a spread would take more buckets than there are; not of these
SELECT distribution, promised, ends FROM pg_temp.percentile_errors(0.001) WHERE distribution IN ('normal far from 0', 'huge', 'constant') ORDER BY distribution;

-- other types: an integer is also rounded
CREATE TEMP TABLE whole AS SELECT (exp(ln(32767) * u))::int AS v FROM evenly;
CREATE FUNCTION pg_temp.type_errors(type regtype, template anyelement, OUT near bigint, OUT ends bool) LANGUAGE plpgsql
AS $$
BEGIN
	EXECUTE format($query$
		SELECT count(*) FILTER (WHERE abs(value - exact) <= 0.01 * exact + CASE WHEN %2$s THEN 0.5 ELSE 0 END), bool_and(value = exact) FILTER (WHERE p %% 100 = 0)
		FROM (SELECT p, agg_value(state, format('approx_percentile(%%s)', p / 100.0), NULL::%1$s)::numeric AS value,
				(SELECT percentile_disc(p / 100.0) WITHIN GROUP (ORDER BY v)::numeric FROM whole) AS exact
			FROM (SELECT accumulate(pg_temp.percentile_template('%1$s', 0.01), timestamptz '2024-01-01', v::%1$s) FROM whole) AS made (state),
				generate_series(0, 100, 5) AS p) AS answers
		$query$, type, CASE WHEN type::text IN ('smallint', 'integer', 'bigint') THEN 'true' ELSE 'false' END) INTO near, ends;
END
$$;
SELECT type, (pg_temp.type_errors(type, NULL::int)).* FROM unnest('{int2,int4,int8,float4,float8,numeric}'::regtype[]) AS type;

-- small integers are exact: each has a bucket of its own
SELECT bool_and(agg_value(state, format('approx_percentile(%s)', (p - 0.5) / 50), NULL::int) = p - 25) AS exact
FROM (SELECT accumulate(pg_temp.percentile_template('int4', 0.01), timestamptz '2024-01-01', v) FROM generate_series(-24, 25) AS v, generate_series(1, 100)) AS made (state),
	generate_series(1, 50) AS p;
-- the ends of types
SELECT agg_value(state, 'approx_percentile(0.3)', NULL::int8), agg_value(state, 'approx_percentile(0.7)', NULL::int8)
FROM (SELECT accumulate(pg_temp.percentile_template('int8', 0.01), timestamptz '2024-01-01', v)
	FROM unnest('{-9223372036854775808,9223372036854775807}'::int8[]) AS v, generate_series(1, 10)) AS made (state);
SELECT agg_value(state, 'approx_percentile(0.3)', NULL::int2), agg_value(state, 'approx_percentile(0.7)', NULL::int2)
FROM (SELECT accumulate(pg_temp.percentile_template('int2', 0.1), timestamptz '2024-01-01', v)
	FROM unnest('{-32768,32767}'::int2[]) AS v, generate_series(1, 10)) AS made (state);

-- NaN, infinities and both zeros
SELECT p, agg_value(state, format('approx_percentile(%s)', p), NULL::float8)
FROM (SELECT accumulate(pg_temp.percentile_template('float8', 0.01), timestamptz '2024-01-01', v)
	FROM unnest('{-Infinity,-0,0,1,Infinity,NaN}'::float8[]) AS v, generate_series(1, 10)) AS made (state),
	unnest('{0,0.1,0.2,0.4,0.6,0.8,0.9,1}'::float8[]) AS p;
SELECT p, agg_value(state, format('approx_percentile(%s)', p), NULL::numeric)
FROM (SELECT accumulate(pg_temp.percentile_template('numeric', 0.01), timestamptz '2024-01-01', v)
	FROM unnest('{-Infinity,0.00,0,5.00,Infinity,NaN}'::numeric[]) AS v, generate_series(1, 10)) AS made (state),
	unnest('{0,0.1,0.2,0.4,0.6,0.8,0.9,1}'::float8[]) AS p;
-- finite numerics beyond float8 are not infinite
SELECT p, agg_value(state, format('approx_percentile(%s)', p), NULL::numeric) BETWEEN 1e308 AND 1e400 AS finite
FROM (SELECT accumulate(pg_temp.percentile_template('numeric', 0.01), timestamptz '2024-01-01', v)
	FROM unnest(ARRAY[1, 1e399, 1e400, 'Infinity']::numeric[]) AS v, generate_series(1, 10)) AS made (state),
	unnest('{0.4,0.7}'::float8[]) AS p;

-- more buckets than a sketch has: wider ones, which is flagged
CREATE TEMP TABLE wide AS SELECT '1e-150'::float8 * 10 ^ (300 * u) AS v, i FROM evenly;
SELECT bytes < 8000 AS small, flags, bool_or(abs(value / exact - 1) > 0.01) AS more, bool_and(abs(value / exact - 1) < 0.32) AS not_much_more
FROM (SELECT accumulate(window_state('approx_percentile', 'float8', '{lifetime}', '{"percentile": 0.5}'), timestamptz '2024-01-01', v) AS state FROM wide) AS made,
	LATERAL (SELECT (describe(state) ->> 'bytes')::int AS bytes, _window_flags(state, 'approx_percentile(0.5)', 'lifetime', '2024-02-01') AS flags) AS f,
	generate_series(5, 95, 5) AS p,
	LATERAL (SELECT window_value(state, format('approx_percentile(%s)', p / 100.0), 'lifetime', '2024-02-01', NULL::float8) AS value) AS a,
	LATERAL (SELECT percentile_disc(p / 100.0) WITHIN GROUP (ORDER BY v) AS exact FROM wide) AS e
GROUP BY bytes, flags;
SELECT _window_flags(accumulate(window_state('approx_percentile', 'float8', '{lifetime}', '{"percentile": 0.5}'), timestamptz '2024-01-01', v), 'approx_percentile(0.5)', 'lifetime', '2024-02-01') AS flags
FROM drawn WHERE distribution = 'normal';
-- of counts, those that are not exact
SELECT n, _window_flags(accumulate(window_state('approx_count_distinct', 'int8', '{lifetime}'), timestamptz '2024-01-01', v), 'approx_count_distinct', 'lifetime', '2024-02-01') AS flags
FROM unnest('{5,55,56}'::bigint[]) AS n, generate_series(1, n) AS v GROUP BY n ORDER BY n;

-- order of events and merging change nothing, whether buckets get wider or not
WITH events AS (SELECT distribution, v, row_number() OVER (PARTITION BY distribution ORDER BY v) AS i FROM drawn
		UNION ALL SELECT 'wide', v, i FROM wide
		UNION ALL SELECT 'wide and special', CASE i % 50 WHEN 0 THEN '-0' WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' ELSE (i % 3 - 1) * v END, i FROM wide),
	forward AS (SELECT distribution, accumulate(pg_temp.percentile_template('float8', 0.01), timestamptz '2024-01-01', v ORDER BY v) AS state FROM events GROUP BY distribution),
	backward AS (SELECT distribution, accumulate(pg_temp.percentile_template('float8', 0.01), timestamptz '2024-01-01', v ORDER BY v DESC) AS state FROM events GROUP BY distribution),
	parts AS (SELECT distribution, accumulate(pg_temp.percentile_template('float8', 0.01), timestamptz '2024-01-01', v) AS state FROM events GROUP BY distribution, i * i % 11, i < 500),
	merged AS (SELECT distribution, rollup(state) AS state FROM parts GROUP BY distribution)
SELECT count(*), bool_and(forward.state::text = backward.state::text) AS backward, bool_and(forward.state::text = merged.state::text) AS merged
FROM forward JOIN backward USING (distribution) JOIN merged USING (distribution);

-- taking events away again, where that can be done, leaves the state that the others make
CREATE FUNCTION pg_temp.percentile_state(lo int, hi int) RETURNS agg_state LANGUAGE sql STABLE
	RETURN (SELECT accumulate(pg_temp.percentile_template('float8', 0.01), timestamptz '2024-01-01' + v * interval '1 s', ln(v)) FROM generate_series(lo, hi) AS v);
SELECT retract(pg_temp.percentile_state(1, 1000), pg_temp.percentile_state(400, 404))::text
	= merge(pg_temp.percentile_state(1, 399), pg_temp.percentile_state(405, 1000))::text AS within,
	retract(pg_temp.percentile_state(1, 1000), pg_temp.percentile_state(1, 1)) IS NULL AS least;
