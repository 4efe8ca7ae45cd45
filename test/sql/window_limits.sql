-- Where window states end: times they cannot answer, windows without events,
-- what cannot be made, asked or mixed; their description
SET TimeZone = 'UTC';
SET intervalstyle = 'postgres';
SET datestyle = 'ISO, MDY';
SET search_path = public, featurestore;

-- SQLSTATE, message, detail and hint of an error
CREATE FUNCTION pg_temp.error(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, message, nullif(detail, ''), nullif(hint, ''));
END
$$;

CREATE TEMP TABLE event (ts timestamptz, v int);
INSERT INTO event SELECT '2024-03-01 12:00Z'::timestamptz - (i * i) * interval '1 min', i FROM generate_series(0, 12) AS i;
CREATE TEMP TABLE state AS
	SELECT 'slack 10s' AS name, accumulate(window_state('sum', 'int4', '{rolling 1h hop 1m,rolling 10m hop 0 delay 5m,sliding 1h slide 15m delay 2m,tumbling 1d,lifetime}'), ts, v) AS state FROM event
	UNION ALL SELECT 'slack 0', accumulate(window_state('sum', 'int4', '{rolling 1h hop 1m,rolling 10m hop 0 delay 5m,sliding 1h slide 15m delay 2m,tumbling 1d,lifetime}', head_slack => '0'), ts, v) FROM event
	UNION ALL SELECT 'slack 1 day', accumulate(window_state('sum', 'int4', '{rolling 1h hop 1m,rolling 10m hop 0 delay 5m,sliding 1h slide 15m delay 2m,tumbling 1d,lifetime}', head_slack => '1 day'), ts, v) FROM event;

-- The head: from the newest event less the slack on there is an answer, before there is none
SELECT name, at, window_value(state, 'sum', 'rolling 1h hop 1m', at, NULL::bigint) AS sum, window_value(state, 'count', 'rolling 1h hop 1m', at, NULL::bigint) AS count,
	window_value(state, 'sum', 'lifetime', at, NULL::bigint) AS lifetime, _window_flags(state, 'sum', 'rolling 1h hop 1m', at) AS flags
FROM state, unnest('{2024-03-01 12:00:00.000001Z,2024-03-01 12:00Z,2024-03-01 11:59:59.999999Z,2024-03-01 11:59:50Z,2024-03-01 11:59:49.999999Z,2024-02-29 12:00Z,2024-02-29 11:59:59.999999Z,-infinity}'::timestamptz[]) AS at
ORDER BY name, at DESC;

-- Decay: nothing new comes in, and windows become empty; where they slide they do so at the slide
SELECT w AS "window", at, window_value(state, 'count', w, at, NULL::bigint) AS count, window_value(state, 'sum', w, at, NULL::bigint) AS sum, window_value(state, 'min', w, at, NULL::int) AS min, _window_flags(state, 'sum', w, at) AS flags
FROM state, unnest('{rolling 1h hop 1m,rolling 10m hop 0 delay 5m,sliding 1h slide 15m delay 2m,tumbling 1d,lifetime}'::time_window[]) AS w,
	unnest('{2024-03-01 12:00Z,2024-03-01 12:05Z,2024-03-01 12:05:00.000001Z,2024-03-01 12:16:59.999999Z,2024-03-01 12:17Z,2024-03-01 12:15Z,2024-03-01 12:15:00.000001Z,2024-03-01 13:00Z,2024-03-01 13:00:59.999999Z,2024-03-01 13:01Z,2024-03-01 13:16:59.999999Z,2024-03-01 13:17Z,2024-03-02 00:00Z,2024-03-03 00:00Z,2124-01-01 00:00Z,infinity}'::timestamptz[]) AS at
WHERE name = 'slack 10s' ORDER BY w, at;

-- The ends of time
SELECT at, window_value(state, 'count', 'lifetime', at, NULL::bigint) AS lifetime, window_value(state, 'count', 'rolling 1d hop 1h', at, NULL::bigint) AS rolling, window_value(state, 'count', 'tumbling 7d', at, NULL::bigint) AS tumbling
FROM (SELECT accumulate(window_state('count', NULL, '{rolling 1d hop 1h,tumbling 7d,lifetime}'), ts) AS state FROM unnest('{4714-11-24 00:00 BC,4714-11-24 00:00:00.000001 BC,4714-11-25 00:00 BC}'::timestamptz[]) AS ts) AS s,
	unnest('{4714-11-24 00:00 BC,4714-11-25 00:00 BC,4714-11-25 00:00:00.000001 BC,294276-12-31 23:59:59.999999,infinity}'::timestamptz[]) AS at ORDER BY at;
SELECT at, window_value(state, 'count', 'lifetime', at, NULL::bigint) AS lifetime, window_value(state, 'count', 'rolling 1d hop 1h', at, NULL::bigint) AS rolling, window_value(state, 'count', 'tumbling 7d', at, NULL::bigint) AS tumbling,
	_window_state_send(state::text::window_state) = _window_state_send(state) AS is_read_back
FROM (SELECT accumulate(window_state('count', NULL, '{rolling 1d hop 1h,tumbling 7d,lifetime}'), ts) AS state FROM unnest('{4714-11-24 00:00 BC,294276-12-31 23:59:59.999999,294276-12-31 12:00,294276-12-20 12:00}'::timestamptz[]) AS ts) AS s,
	unnest('{294276-12-31 23:59:59.999999,infinity,2024-01-01}'::timestamptz[]) AS at ORDER BY at;

-- No state, and one without events
SELECT f AS function, state IS NULL AS is_null, window_value(state, f, 'rolling 1h hop 1m', now(), NULL::int8) AS value, _window_flags(state, f, 'rolling 1h hop 1m', '2024-03-01 12:00Z') AS flags
FROM unnest('{count,sum}'::text[]) AS f, (VALUES (NULL::window_state), (window_state('sum', 'int4', '{rolling 1h hop 1m}'))) AS s(state) ORDER BY f, is_null;
SELECT agg_value(NULL, 'count', NULL::bigint) AS count, agg_value(NULL, 'sum', NULL::bigint) AS sum, agg_value(agg_state('sum', 'int4'), 'count', NULL::bigint) AS count_of_empty, agg_value(agg_state('sum', 'int4'), 'sum', NULL::bigint) AS sum_of_empty,
	agg_value(agg_state('count', NULL), 'count', NULL::bigint) AS rows;
SELECT accumulate(window_state('sum', 'int4', '{lifetime}'), ts, v) IS NULL AS of_no_rows, rollup(window_state('sum', 'int4', '{lifetime}')) FILTER (WHERE false) IS NULL AS of_no_states FROM event WHERE false;
SELECT accumulate(window_state('sum', 'int4', '{lifetime}'), ts, NULL::int)::text = window_state('sum', 'int4', '{lifetime}')::text AS of_nulls, accumulate(window_state('sum', 'int4', '{lifetime}'), NULL::timestamptz, NULL::int)::text = window_state('sum', 'int4', '{lifetime}')::text AS of_nulls_without_time FROM event;

-- The newest event, or one of a group, cannot be taken away
SELECT state - (SELECT accumulate(window_state('sum', 'int4', '{rolling 1h hop 1m,rolling 10m hop 0 delay 5m,sliding 1h slide 15m delay 2m,tumbling 1d,lifetime}'), ts, v) FROM event WHERE v = 0) IS NULL AS newest,
	state - (SELECT accumulate(window_state('sum', 'int4', '{rolling 1h hop 1m,rolling 10m hop 0 delay 5m,sliding 1h slide 15m delay 2m,tumbling 1d,lifetime}'), ts, v) FROM event WHERE v = 5) IS NULL AS another,
	state - (SELECT accumulate(window_state('sum', 'int4', '{rolling 1h hop 1m,rolling 10m hop 0 delay 5m,sliding 1h slide 15m delay 2m,tumbling 1d,lifetime}'), ts, v + 1) FROM event WHERE v = 5) IS NULL AS none_of_it
FROM state WHERE name = 'slack 10s';

-- Values beyond their type
SELECT window_value(state, 'sum', 'lifetime', '2024-03-02 00:00Z', NULL::float8) AS sum, window_value(state, 'avg', 'lifetime', '2024-03-02 00:00Z', NULL::float8) AS avg, _window_flags(state, 'sum', 'lifetime', '2024-03-02 00:00Z') AS flags
FROM (SELECT accumulate(window_state('sum', 'float8', '{lifetime}'), ts, 1.7e308::float8) AS state FROM event) AS s;
SELECT window_value(state, 'sum', 'lifetime', '2024-03-02 00:00Z', NULL::interval) AS sum, _window_flags(state, 'sum', 'lifetime', '2024-03-02 00:00Z') AS flags
FROM (SELECT accumulate(window_state('sum', 'interval', '{lifetime}'), ts, '170000000 years'::interval) AS state FROM event) AS s;

-- States that cannot be made
SELECT s AS "window_state(...)", pg_temp.error(format('SELECT featurestore.window_state(%s)', s)) AS error FROM unnest(ARRAY[
	$$'median', 'int4', '{lifetime}'$$, $$'', 'int4', '{lifetime}'$$, $$'sum(', 'int4', '{lifetime}'$$, $$'sum(2)', 'int4', '{lifetime}'$$, $$NULL, 'int4', '{lifetime}'$$,
	$$'sum', 'text', '{lifetime}'$$, $$'sum', 'jsonb', '{lifetime}'$$, $$'sum', NULL, '{lifetime}'$$, $$'min', 'bool', '{lifetime}'$$, $$'approx_percentile', 'interval', '{lifetime}', '{"percentile": 0.5}'$$, $$'histogram', NULL, '{lifetime}'$$,
	$$'sum', 'int4', '{lifetime}', '{"n": 3}'$$, $$'sum', 'int4', '{lifetime}', '[]'$$, $$'last_n', 'int4', '{lifetime}', '{"n": "3"}'$$, $$'last_n', 'int4', '{lifetime}', '{"n": {"a": 1}}'$$, $$'last_n', 'int4', '{lifetime}', '{"m": {"a": 1}}'$$,
	$$'last_n', 'int4', '{lifetime}', '{"n": [3]}'$$, $$'last_n', 'int4', '{lifetime}', '{"n": null}'$$,
	$$'last_n', 'int4', '{lifetime}'$$, $$'last_n', 'int4', '{lifetime}', '{"n": 0}'$$, $$'last_n', 'int4', '{lifetime}', '{"n": 1001}'$$, $$'last_n', 'int4', '{lifetime}', '{"n": 1.5}'$$, $$'last_n', 'int4', '{lifetime}', '{"n": -1}'$$, $$'last_n', 'int4', '{lifetime}', '{"n": 1e400}'$$,
	$$'last_n(5)', 'int4', '{lifetime}'$$, $$'last_n(x)', 'int4', '{lifetime}'$$, $$'last_n(NaN)', 'int4', '{lifetime}'$$,
	$$'approx_percentile', 'int4', '{lifetime}', '{"percentile": 1.1}'$$, $$'approx_percentile', 'int4', '{lifetime}', '{"percentile": -0.1}'$$, $$'approx_percentile', 'int4', '{lifetime}', '{"percentile": 0.5, "relative_error": 0.5}'$$,
	$$'approx_count_distinct', 'int4', '{lifetime}', '{"relative_error": 0.001}'$$, $$'approx_count_distinct', 'int4', '{lifetime}', '{"relative_error": -1}'$$, $$'count_distinct', 'int4', '{lifetime}', '{"bound": 0}'$$, $$'count_distinct', 'int4', '{lifetime}', '{"bound": 65537}'$$,
	$$'sum', 'int4', '{}'$$, $$'sum', 'int4', NULL$$, $$'sum', 'int4', '{lifetime,NULL}'$$, $$'sum', 'int4', '{lifetime,6 hours}'$$,
	$$'sum', 'int4', '{tumbling 7m,tumbling 1h}'$$, $$'sum', 'int4', '{tumbling 1d,tumbling 1d offset 6h}'$$, $$'sum', 'int4', '{sliding 7d slide 2d,tumbling 7d offset 1d}'$$,
	$$'sum', 'int4', (SELECT array_agg(rolling_window(i * interval '1 h', hop => '0')) FROM generate_series(1, 65) AS i)$$,
	$$'sum', 'int4', '{lifetime}', head_slack => '-1 s'$$, $$'sum', 'int4', '{lifetime}', head_slack => '1 mon'$$, $$'sum', 'int4', '{lifetime}', head_slack => '2000 years'$$, $$'sum', 'int4', '{lifetime}', head_slack => NULL$$, $$'sum', 'int4', '{lifetime}', head_slack => '400000 days'$$,
	$$'min', 'text', '{lifetime}', input_collation => 'nowhere'$$, $$'min', 'text', '{lifetime}', input_collation => 'a.b.c.d'$$, $$'min', 'int4', '{lifetime}', input_collation => 'C'$$, $$'min', 'text', '{lifetime}', input_collation => ''$$
]) WITH ORDINALITY AS u(s, n) ORDER BY n;
-- Those that can, at their ends
SELECT describe(window_state('last_n(1000)', 'text', '{rolling 1us hop 0,lifetime delay 1000d}', head_slack => '365250 days', input_collation => 'pg_catalog."C"')) AS description;
SELECT describe(window_state('sum', 'int4', (SELECT array_agg(rolling_window(i * interval '1 h', hop => '0')) FROM generate_series(1, 64) AS i))) -> 'windows' -> 63 AS last_window,
	describe(window_state('sum', 'int4', '{rolling 1h,rolling 1h,lifetime,lifetime}')) -> 'windows' AS each_once;

-- What cannot be asked
SELECT s AS "window_value(...)", pg_temp.error(format('SELECT featurestore.window_value(%s) FROM state', s)) AS error FROM unnest(ARRAY[
	$$state, 'sum', 'rolling 2h', '2024-03-02 00:00Z', NULL::bigint$$, $$state, 'sum', 'rolling 1h hop 0', '2024-03-02 00:00Z', NULL::bigint$$, $$state, 'sum', 'rolling 1h hop 1m delay 1us', '2024-03-02 00:00Z', NULL::bigint$$,
	$$state, 'stddev_pop', 'lifetime', '2024-03-02 00:00Z', NULL::numeric$$, $$state, 'last_n(3)', 'lifetime', '2024-03-02 00:00Z', NULL::int[]$$, $$state, 'last_n', 'lifetime', '2024-03-02 00:00Z', NULL::int[]$$, $$state, 'total', 'lifetime', '2024-03-02 00:00Z', NULL::bigint$$,
	$$state, 'sum', 'lifetime', '2024-03-02 00:00Z'$$, $$state, 'sum', 'lifetime', '2024-03-02 00:00Z', NULL::int$$, $$state, 'sum', 'lifetime', '2024-03-02 00:00Z', NULL$$, $$state, 'sum', 'lifetime', '2024-03-02 00:00Z', NULL::bigint[]$$
]) WITH ORDINALITY AS u(s, n) ORDER BY n;
SELECT pg_temp.error($$SELECT featurestore.window_value(featurestore.window_state('last_n', 'int4', '{lifetime}', '{"n": 3}'), 'last_n(4)', 'lifetime', now(), NULL::int[])$$) AS more_than_is_kept,
	pg_temp.error($$SELECT featurestore.agg_value(featurestore.agg_state('sum', 'int4'), 'sum', NULL::float8)$$) AS another_type,
	pg_temp.error($$SELECT featurestore.agg_value(featurestore.agg_state('sum', 'int4'), 'approx_percentile(2)', NULL::int)$$) AS no_percentile;
-- NULLs
SELECT window_value(state, NULL, 'lifetime', now(), NULL::bigint), window_value(state, 'sum', NULL, now(), NULL::bigint), window_value(state, 'sum', 'lifetime', NULL, NULL::bigint), _window_flags(state, 'sum', 'lifetime', NULL) FROM state WHERE name = 'slack 0';

-- What cannot be accumulated, or mixed
SELECT s AS statement, pg_temp.error(s) AS error FROM unnest(ARRAY[
	$$SELECT featurestore.accumulate(featurestore.window_state('sum', 'int4', '{lifetime}'), NULL::timestamptz, 1)$$,
	$$SELECT featurestore.accumulate(featurestore.window_state('sum', 'int4', '{lifetime}'), 'infinity'::timestamptz, 1)$$,
	$$SELECT featurestore.accumulate(featurestore.window_state('sum', 'int4', '{lifetime}'), '-infinity'::timestamptz, 1)$$,
	$$SELECT featurestore.accumulate(featurestore.agg_state('sum', 'int4'), 'infinity'::timestamptz, 1)$$,
	$$SELECT featurestore.accumulate(featurestore.window_state('count', NULL, '{lifetime}'), NULL::timestamptz)$$,
	$$SELECT featurestore.accumulate(featurestore.window_state('sum', 'int4', '{lifetime}'), now(), 1::bigint)$$,
	$$SELECT featurestore.accumulate(featurestore.window_state('sum', 'int4', '{lifetime}'), now())$$,
	$$SELECT featurestore.accumulate(featurestore.window_state('count', NULL, '{lifetime}'), now(), 1)$$,
	$$SELECT featurestore.accumulate(NULL::featurestore.window_state, now(), 1)$$,
	$$SELECT featurestore.accumulate(state, now(), 1) FROM state$$,
	$$SELECT featurestore.accumulate(CASE i WHEN 1 THEN featurestore.window_state('sum', 'int4', '{lifetime}') ELSE featurestore.window_state('sum', 'int4', '{tumbling 1d}') END, now(), 1) FROM generate_series(1, 2) AS i$$,
	$$SELECT featurestore.window_state('sum', 'int4', '{lifetime}') OPERATOR(featurestore.+) featurestore.window_state('sum', 'int4', '{lifetime}', head_slack => '11 s')$$,
	$$SELECT featurestore.window_state('sum', 'int4', '{lifetime}') OPERATOR(featurestore.-) featurestore.window_state('sum', 'int8', '{lifetime}')$$,
	$$SELECT featurestore.rollup(s) FROM (VALUES (featurestore.window_state('last_n', 'text', '{lifetime}', '{"n": 3}')), (featurestore.window_state('last_n', 'text', '{lifetime}', '{"n": 4}', input_collation => '"C"'))) AS v(s)$$,
	$$SELECT featurestore.rollup(s) FROM (VALUES (featurestore.agg_state('sum', 'int4')), (featurestore.agg_state('skew', 'int4'))) AS v(s)$$,
	$$SELECT featurestore._accumulate(NULL, featurestore.window_state('sum', 'int4', '{lifetime}'), now(), 1)$$,
	$$SELECT featurestore.agg_state('sum', 'int4')::text::featurestore.window_state$$,
	$$SELECT featurestore.window_state('sum', 'int4', '{lifetime}')::text::featurestore.agg_state$$
]) WITH ORDINALITY AS u(s, n) ORDER BY n;

-- Values of a domain are those of its type
CREATE DOMAIN pg_temp.score AS int CHECK (VALUE >= 0);
SELECT agg_value(accumulate(agg_state('sum', 'int4'), ts, v::pg_temp.score), 'sum', NULL::bigint) AS sum FROM event;

-- Text that is no state
SELECT t AS input, pg_temp.error(format('SELECT %L::featurestore.window_state', t)) AS error FROM unnest(ARRAY[
	'', '{', '[]', '1', '{}', '{"version": 2}', '{"version": 1}', '{"version": "1"}',
	'{"version": 1, "family": "basics", "input": "int4", "param": 0, "verbatim": 3, "head_slack": "10s", "windows": ["lifetime"], "tiles": ""}',
	'{"version": 1, "family": "basic", "input": "jsonb", "param": 0, "verbatim": 3, "head_slack": "10s", "windows": ["lifetime"], "tiles": ""}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 1, "verbatim": 3, "head_slack": "10s", "windows": ["lifetime"], "tiles": ""}',
	'{"version": 1, "family": "basic", "input": "int4", "param": -1, "verbatim": 3, "head_slack": "10s", "windows": ["lifetime"], "tiles": ""}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 300, "head_slack": "10s", "windows": ["lifetime"], "tiles": ""}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 3, "head_slack": "10 s", "windows": ["lifetime"], "tiles": ""}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 3, "windows": ["lifetime"], "tiles": ""}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 3, "head_slack": "10s", "windows": [], "tiles": ""}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 3, "head_slack": "10s", "windows": ["forever"], "tiles": ""}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 3, "head_slack": "10s", "windows": ["lifetime"]}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 3, "head_slack": "10s", "windows": ["lifetime"], "tiles": "0"}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 3, "head_slack": "10s", "windows": ["lifetime"], "tiles": "zz"}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 3, "head_slack": "10s", "windows": ["lifetime"], "tiles": "00"}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 3, "head_slack": "10s", "windows": ["lifetime"], "watermark": "2024-03-01 12:00:00", "tiles": ""}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 3, "head_slack": "10s", "windows": ["lifetime"], "watermark": "infinity", "tiles": ""}',
	'{"version": 1, "family": "basic", "input": "int4", "param": 0, "verbatim": 3, "head_slack": "10s", "windows": ["lifetime"], "watermark": "yesterday noon", "tiles": "00"}'
]) WITH ORDINALITY AS u(t, n) ORDER BY n;

-- A state described, and its text
SELECT jsonb_pretty(describe(state)) FROM state WHERE name = 'slack 10s';
SELECT describe(window_state('sum', 'int4', '{rolling 1h}')) AS empty, describe(accumulate(agg_state('sum', 'int4'), ts, v)) AS without_windows FROM event;
SELECT count(*) AS states, count(*) FILTER (WHERE state::text::window_state::text = state::text AND _window_state_send(state::text::window_state) = _window_state_send(state)) AS read_back FROM state;
-- whatever the settings
SET TimeZone = 'Asia/Kolkata';
SET datestyle = 'German';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = 0;
SELECT state FROM state WHERE name = 'slack 0';
SELECT count(*) AS states, count(*) FILTER (WHERE state::text::window_state::text = state::text AND _window_state_send(state::text::window_state) = _window_state_send(state)) AS read_back FROM state;

SELECT pg_temp.error($$SELECT window_state('sum', 0::regtype, '{lifetime}')$$), pg_temp.error($$SELECT agg_state('sum', 4294967295::oid::regtype)$$);

-- A collation is known by its qualified name, whatever the search path
SELECT describe(window_state('min', 'text', '{lifetime}', input_collation => '"C"')) ->> 'collation' AS collation;

-- A made-up number of events stays one, and what states of them make can be read again
WITH s AS (SELECT '{"version": 1, "family": "basic", "input": "none", "param": 0, "verbatim": 0, "watermark": "2024-01-01 00:00:00", "tiles": "01000980808080808080804000"}'::agg_state AS s)
SELECT agg_value(s, 'count', NULL::bigint) AS one, agg_value(s + s, 'count', NULL::bigint) AS two, agg_value(s + s + s + s, 'count', NULL::bigint) AS four, (s + s + s + s)::text::agg_state::text = (s + s + s + s)::text AS read_again FROM s;

-- Exact sums of floats, however far apart they are and however many: those near
-- the first one, those that are not, and as many as make what is near overflow.
-- The oracle is numeric, rounded once
CREATE TEMP TABLE far AS
	SELECT kind, i, CASE kind WHEN 'near' THEN (i % 1000) / 8.0 - 60 WHEN 'many' THEN 1e15 + i * 0.1 WHEN 'many large' THEN CASE WHEN i = 1 THEN 1 ELSE 4294967295 END
		WHEN 'far apart' THEN (1 + i * 0.37) * '10'::float8 ^ (i * 7919 % 600 - 300) * (1 - i % 2 * 2)
		WHEN 'denormal' THEN '5e-324'::float8 * (i % 97) WHEN 'huge' THEN 1e305 * (i % 7 - 3)
		WHEN 'cancels' THEN '1e200'::float8 * (1 - i % 2 * 2) + CASE WHEN i = 7 THEN 1e190 ELSE 0 END
		WHEN 'small first' THEN '1e-20'::float8 * i ^ 12 END::float8 AS v
	FROM unnest('{near,many,many large,far apart,denormal,huge,cancels,small first}'::text[]) AS kind, generate_series(1, 80000) AS i WHERE kind ~ 'many' OR i <= 1000;
CREATE FUNCTION pg_temp.exact_numeric(v float8) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
	SELECT (CASE WHEN bits < 0 THEN -1 ELSE 1 END) * mantissa
		* CASE WHEN e >= 0 THEN trunc(2::numeric ^ e) ELSE trunc(5::numeric ^ -e) * ('1e' || e)::numeric END
	FROM (SELECT ('x' || encode(float8send(v), 'hex'))::bit(64)::bigint AS bits) AS b,
		LATERAL (SELECT (bits >> 52 & 2047)::int AS biased) AS x,
		LATERAL (SELECT (bits & 4503599627370495) + CASE WHEN biased > 0 THEN 4503599627370496 ELSE 0 END AS mantissa, greatest(biased, 1) - 1075 AS e) AS p $$;
WITH sums AS (
	SELECT kind, count(*), accumulate(agg_state('sum', 'float8'), '2024-01-01', v ORDER BY i) AS forward,
		accumulate(agg_state('sum', 'float8'), '2024-01-01', v ORDER BY i DESC) AS backward,
		sum(pg_temp.exact_numeric(v)) AS oracle FROM far GROUP BY kind
), parts AS (
	SELECT kind, accumulate(agg_state('sum', 'float8'), '2024-01-01', v) AS state FROM far GROUP BY kind, i::bigint * i % 13
), merged AS (
	SELECT kind, rollup(state) AS state FROM parts GROUP BY kind
)
SELECT kind, count, agg_value(forward, 'sum', NULL::float8) = oracle::float8 AS sum, agg_value(merged.state, 'sum', NULL::float8) = oracle::float8 AS of_parts,
	_agg_state_send(forward) = _agg_state_send(backward) AS backward, _agg_state_send(forward) = _agg_state_send(merged.state) AS merged
FROM sums JOIN merged USING (kind) ORDER BY kind COLLATE "C";
-- evaluated event by event, from the newest on: more than fit near the first one
SELECT window_value(accumulate(window_state('sum', 'float8', '{rolling 1d hop 0}'), timestamptz '2024-01-01' + i * interval '1 ms', CASE WHEN i = 80000 THEN 1 ELSE 4294967295 END::float8),
	'sum', 'rolling 1d hop 0', '2024-01-01 00:01:21', NULL::float8) = 79999 * 4294967295.0 + 1 AS sum
FROM generate_series(1, 80000) AS i;
