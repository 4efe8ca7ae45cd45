--
-- Training sets are what plain SQL says: as-of joins and windows of random data,
-- row for row, and bit for bit the same by sweep, seek, spilled or in parallel;
-- what was applied later does not leak where known_at is given
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
SET jit = off;
CREATE SCHEMA training_oracle;
SET search_path = training_oracle, featurestore;
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

-- A number from 0 to less than 1 that depends on the key alone
CREATE FUNCTION chance(VARIADIC key text[]) RETURNS float8 LANGUAGE sql IMMUTABLE
	RETURN ('x' || substr(md5(array_to_string(key, '/')), 1, 12))::bit(48)::bigint / 2.0 ^ 48;

-- All rows of a training set that is not made, as text; opts is added to the arguments
CREATE FUNCTION rows_of(labels text, opts text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	c refcursor;
	r record;
BEGIN
	EXECUTE format('SELECT featurestore.training_rows(labels => %L, timestamp_column => ''t'', %s)', labels, opts) INTO c;
	LOOP
		FETCH c INTO r;
		EXIT WHEN NOT FOUND;
		RETURN NEXT r::text;
	END LOOP;
	CLOSE c;
END $$;
-- How many, and their bytes in order
CREATE FUNCTION digest(labels text, opts text) RETURNS text LANGUAGE sql AS $$
	SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(r), '' ORDER BY n)), '') FROM rows_of(labels, opts) WITH ORDINALITY AS u(r, n) $$;

--
-- Windows.  Keys look alike when they are put together, and differ by case and blanks
--
CREATE TABLE entity (n int, a text, b text COLLATE "C", c char(3));
INSERT INTO entity VALUES (1, '1', '23', 'x'), (2, '12', '3', 'x'), (3, '123', '', 'x'), (4, '', '123', 'x'), (5, 'a', 'B', 'y'), (6, 'A', 'b', 'y'), (7, 'a', 'b', 'y'), (8, 'a', 'b', 'z');

-- ties, edges of windows, the change to summer time of New York, special values; some events are of nobody or of no time
CREATE TABLE event (a text, b text COLLATE "C", c char(3), at timestamptz, i int, n numeric, f float8, w text, d date);
INSERT INTO event
	SELECT e.a, e.b, e.c, at, CASE WHEN x > 0.05 THEN trunc((x - 0.5) * 40) END,
		CASE WHEN x > 0.1 THEN round(((y - 0.5) * 100)::numeric, trunc(x * 4)::int) WHEN x > 0.07 THEN 'NaN' WHEN x > 0.05 THEN 'Infinity' END,
		CASE WHEN x > 0.3 THEN trunc((y - 0.5) * 4096) / 1024 WHEN x > 0.15 THEN ('{-0,0,-0,0,NaN,Infinity,-Infinity,-0}'::float8[])[1 + trunc(y * 8)::int] END,
		CASE WHEN x > 0.1 THEN (ARRAY['a', 'A', 'b', 'ä', '', 'a '])[1 + trunc(y * 6)::int] || trunc(x * 3) END, at::date
	FROM entity AS e, generate_series(1, CASE WHEN e.n = 8 THEN 3 ELSE 150 END) AS k,
		LATERAL (SELECT chance('x', e.n::text, k::text), chance('y', e.n::text, k::text), chance('t', e.n::text, (k / 2)::text)) AS c(x, y, z),
		LATERAL (SELECT CASE WHEN k % 3 = 0 THEN date_bin('1 h', '2024-02-20 00:00Z'::timestamptz + z * interval '25 days', '2024-01-01 00:00Z')
			ELSE date_bin('1 us', '2024-02-20 00:00Z'::timestamptz + z * interval '25 days', '2024-01-01 00:00Z') END) AS t(at);
INSERT INTO event SELECT NULL, b, c, at, i, n, f, w, d FROM event WHERE i % 7 = 0;
INSERT INTO event SELECT a, b, c, t, i, n, f, w, NULL FROM event, unnest('{NULL,infinity,-infinity}'::timestamptz[]) AS t WHERE i % 9 = 0;
CREATE INDEX ON event (a, b, c, at);
ANALYZE event;

-- at random, when an event was, when one leaves a window, a microsecond beside these; before all, long after; some twice, of nobody, at no time
CREATE TABLE label (id int, a text, b text COLLATE "C", c char(3), t timestamptz, note text);
INSERT INTO label
	SELECT row_number() OVER (ORDER BY chance('order', n::text, k::text)), a, b, c, t, format('%s/%s', n, k)
	FROM (
		SELECT n, k, a, b, c, date_bin('1 us', '2024-02-19 00:00Z'::timestamptz + chance('at', n::text, k::text) * interval '28 days', '2024-01-01') AS t FROM entity, generate_series(1, 12) AS k
		UNION ALL
		SELECT n, 100 + k, e.a, e.b, e.c, at + distance + interval '1 us' * (k % 3 - 1)
		FROM entity AS e, generate_series(1, 36) AS k, LATERAL (SELECT ('{0,0,0,20 min,1 h,1 day,2 days,5 days,1 h 20 min,12 h,7 days,10 s}'::interval[])[1 + k / 3 % 12]) AS d(distance),
			LATERAL (SELECT at FROM event v WHERE (v.a, v.b, v.c) = (e.a, e.b, e.c) AND isfinite(at) ORDER BY md5(v::text || k) LIMIT 1) AS v
		UNION ALL SELECT n, 200, a, b, c, '2020-01-01 00:00Z' FROM entity
		UNION ALL SELECT n, 201, a, b, c, '2034-01-01 00:00Z' FROM entity
		UNION ALL SELECT n, 202 + k, a, b, c, '2024-03-10 06:59:59.999999Z'::timestamptz + k * interval '1 us' FROM entity, generate_series(0, 1) AS k
		UNION ALL SELECT n, 210, a, NULL, c, '2024-03-01 00:00Z' FROM entity WHERE n < 3
		UNION ALL SELECT n, 211, a, b, c, NULL FROM entity WHERE n < 3
		UNION ALL SELECT 1, 212, NULL, NULL, NULL, NULL
		UNION ALL SELECT 2, 213, '12', '3', 'q', '2024-03-01 00:00Z') AS made,
		generate_series(1, CASE WHEN chance('twice', n::text, k::text) < 0.1 THEN 2 ELSE 1 END);
ANALYZE label;
SELECT count(*), count(*) - count(DISTINCT note) AS duplicates, count(*) FILTER (WHERE t IS NULL) AS timeless FROM label;

-- Functions, and plain SQL for them over the rows e (at, v, tie) of a window; those without are compared with states alone
CREATE TABLE func (position int GENERATED ALWAYS AS IDENTITY, name text, input text, function text, params jsonb, sql text);
INSERT INTO func (name, input, function, params, sql) VALUES
	('rows', NULL, 'count', '{}', 'count(*)'),
	('i_count', 'i', 'count', '{}', 'count(v)'),
	('i_sum', 'i', 'sum', '{}', 'sum(v)'),
	('i_avg', 'i', 'avg', '{}', 'avg(v)'),
	('i_min', 'i', 'min', '{}', 'min(v)'),
	('i_var_pop', 'i', 'var_pop', '{}', 'var_pop(v)'),
	('i_stddev_samp', 'i', 'stddev_samp', '{}', 'stddev_samp(v)'),
	('i_skew', 'i', 'skew', '{}', NULL),
	('i_kurtosis', 'i', 'kurtosis', '{}', NULL),
	('i_last', 'i', 'last', '{}', '(array_agg(v ORDER BY at DESC, v DESC) FILTER (WHERE v IS NOT NULL))[1]'),
	('i_first', 'i', 'first', '{}', '(array_agg(v ORDER BY at, v) FILTER (WHERE v IS NOT NULL))[1]'),
	('i_top', 'i', 'top_n', '{"n": 3}', '(array_agg(v ORDER BY v DESC) FILTER (WHERE v IS NOT NULL))[1:3]'),
	('i_bottom', 'i', 'bottom_n', '{"n": 3}', '(array_agg(v ORDER BY v) FILTER (WHERE v IS NOT NULL))[1:3]'),
	('i_distinct', 'i', 'count_distinct', '{}', 'count(DISTINCT v)'),
	('i_approx', 'i', 'approx_count_distinct', '{}', NULL),
	('i_median', 'i', 'approx_percentile', '{"percentile": 0.5}', NULL),
	('n_sum', 'n', 'sum', '{}', 'sum(v)'),
	('n_avg', 'n', 'avg', '{}', 'avg(v)'),
	('n_max', 'n', 'max', '{}', '(array_agg(v ORDER BY v DESC NULLS LAST, tie))[1]'),
	('n_stddev', 'n', 'stddev_pop', '{}', 'stddev_pop(v)'),
	('n_var', 'n', 'var_samp', '{}', 'var_samp(v)'),
	('f_sum', 'f', 'sum', '{}', 'sum(v)'),
	('f_avg', 'f', 'avg', '{}', 'avg(v)'),
	('f_min', 'f', 'min', '{}', '(array_agg(v ORDER BY v NULLS LAST, tie))[1]'),
	('f_max', 'f', 'max', '{}', '(array_agg(v ORDER BY v DESC NULLS LAST, tie))[1]'),
	('f_last_n', 'f', 'last_n', '{"n": 4}', '(array_agg(v ORDER BY at DESC, v DESC, tie DESC) FILTER (WHERE v IS NOT NULL))[1:4]'),
	('f_skew', 'f', 'skew', '{}', NULL),
	('w_first_n', 'w', 'first_n', '{"n": 3}', '(array_agg(v ORDER BY at, v) FILTER (WHERE v IS NOT NULL))[1:3]'),
	('w_first_distinct', 'w', 'first_distinct_n', '{"n": 2}', '(SELECT array_agg(v ORDER BY earliest, v) FROM (SELECT v, min(at) AS earliest FROM unnest(array_agg(v), array_agg(at)) AS d(v, at) WHERE v IS NOT NULL GROUP BY v ORDER BY 2, 1 LIMIT 2) AS d)'),
	('w_last_distinct', 'w', 'last_distinct_n', '{"n": 2}', '(SELECT array_agg(v ORDER BY latest DESC, v DESC) FROM (SELECT v, max(at) AS latest FROM unnest(array_agg(v), array_agg(at)) AS d(v, at) WHERE v IS NOT NULL GROUP BY v ORDER BY 2 DESC, 1 DESC LIMIT 2) AS d)'),
	('w_histogram', 'w', 'histogram', '{}', '(SELECT jsonb_object_agg(v, n) FROM (SELECT v, count(*) AS n FROM unnest(array_agg(v)) AS d(v) WHERE v IS NOT NULL GROUP BY v) AS h)');
CREATE TABLE span (position int GENERATED ALWAYS AS IDENTITY, w time_window);
INSERT INTO span (w) VALUES ('rolling 1h hop 1m'), ('rolling 5d'), ('rolling 2d hop 0 delay 20m'), ('sliding 1d slide 6h offset 1h delay 1h'), ('tumbling 12h'), ('sawtooth 7d'), ('lifetime');

-- the same features twice: those in a table of states, and those that were never materialized
CREATE SCHEMA loose;
CREATE FUNCTION register(schema text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', schema || ', featurestore, training_oracle', true);
	RETURN QUERY SELECT featurestore.register_features('training_oracle.event', '{a,b,c}', 'at',
		(SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('name', name, 'function', function, 'params', params, 'input', input)) ORDER BY position) FROM training_oracle.func),
		(SELECT array_agg(w ORDER BY position) FROM training_oracle.span));
	PERFORM set_config('search_path', 'training_oracle, featurestore', true);
END $$;
SELECT count(*), count(DISTINCT feature) FROM (SELECT register('training_oracle') UNION ALL SELECT register('loose')) AS f(feature);
SELECT materialize_features(ARRAY(SELECT feature::text FROM features WHERE feature::text NOT LIKE 'loose.%' ORDER BY feature::text COLLATE "C"), 'state', publish_mode => 'SNAPSHOT');
SELECT create_feature_spec('windows', ARRAY[feature(ARRAY(SELECT feature::text FROM features WHERE feature::text NOT LIKE 'loose.%' ORDER BY feature::text COLLATE "C"))]);
SELECT array_agg(feature::text ORDER BY feature::text COLLATE "C") AS loose_names FROM features WHERE feature::text LIKE 'loose.%' \gset

SELECT count(*), sum(not_covered) AS not_covered, array_agg(DISTINCT point_in_time) AS point_in_time FROM create_training_set('trained', 'TABLE label ORDER BY id', 'windows', 't');
SELECT count(*), sum(not_covered) AS not_covered, array_agg(DISTINCT point_in_time) AS point_in_time
FROM create_training_set('trained_loose', 'TABLE label ORDER BY id', timestamp_column => 't', items => ARRAY[feature(:'loose_names')]);

-- every label once, in order, as it was
SELECT count(*) AS labels, count(*) FILTER (WHERE l.id IS DISTINCT FROM t.label_row OR (l.a, l.b, l.c, l.t, l.note) IS DISTINCT FROM (t.a, t.b, t.c, t.t, t.note)) AS different
FROM label AS l FULL JOIN trained AS t ON t.label_row = l.id;

-- What the features of a window should be: of plain SQL, and of states of the events before T
CREATE FUNCTION expected_windows() RETURNS TABLE (id int, w time_window, name text, by_sql text, by_state text) LANGUAGE plpgsql AS $$
DECLARE
	f record;
BEGIN
	FOR f IN SELECT func.*, l.function AS call, l.result_type FROM func JOIN features AS l ON l.feature::text = func.name || '_lifetime' ORDER BY position LOOP
		RETURN QUERY EXECUTE format($q$
			SELECT l.id, span.w, %1$L::text, (%2$s)::text, window_value(s.state, %3$L, span.w, l.t, NULL::%4$s)::text
			FROM label AS l CROSS JOIN span
			CROSS JOIN LATERAL (SELECT accumulate(window_state(%5$L, %6$s, ARRAY[span.w], %7$L), v.at%8$s) AS state
				FROM event AS v WHERE (v.a, v.b, v.c) = (l.a, l.b, l.c) AND v.at < l.t AND isfinite(v.at)) AS s
			WHERE l.t IS NOT NULL$q$,
			f.name, CASE WHEN f.sql IS NULL THEN 'NULL' ELSE format('SELECT %s FROM (SELECT at, %s AS v, %s AS tie FROM event AS v WHERE (v.a, v.b, v.c) = (l.a, l.b, l.c) AND at >= window_lo(span.w, l.t) AND at < window_hi(span.w, l.t) AND isfinite(at)) AS e',
				f.sql, coalesce(f.input, '1'), CASE f.input WHEN 'f' THEN 'float8send(f)' WHEN 'n' THEN 'ARRAY[scale(n) % 2, scale(n)]' ELSE 'NULL::int' END) END,
			f.call, f.result_type, f.function, CASE WHEN f.input IS NULL THEN 'NULL' ELSE (SELECT quote_literal(format_type(atttypid, -1)) FROM pg_attribute WHERE attrelid = 'event'::regclass AND attname = f.input) END,
			f.params, ', v.' || f.input);
	END LOOP;
END $$;
CREATE TABLE expected AS SELECT * FROM expected_windows();
SELECT count(*) > 100000 AS many FROM expected;

-- what was trained, one row a value
CREATE FUNCTION trained_values(relation regclass) RETURNS TABLE (id bigint, w time_window, name text, value text) LANGUAGE plpgsql AS $$
DECLARE
	s span;
BEGIN
	FOR s IN SELECT * FROM span LOOP
		RETURN QUERY EXECUTE format('SELECT t.label_row, %L::featurestore.time_window, u.name, u.value FROM %s AS t, unnest(%L::text[], ARRAY[%s]::text[]) AS u(name, value)', s.w, relation,
			(SELECT array_agg(f.name ORDER BY position) FROM func f), (SELECT string_agg(format('t.%I::text', f.name || '_' || featurestore._window_name(s.w)), ', ' ORDER BY position) FROM func f));
	END LOOP;
END $$;
CREATE TABLE got AS SELECT * FROM trained_values('trained');
SELECT count(*) AS values, count(*) FILTER (WHERE g.value IS NULL) AS nulls_of_no_time FROM got AS g JOIN label AS l ON l.id = g.id WHERE l.t IS NULL;
SELECT count(e.id) = count(g.id) AS all_there, count(*) FILTER (WHERE e.by_state IS DISTINCT FROM g.value) AS differ_from_states,
	count(*) FILTER (WHERE e.by_sql IS DISTINCT FROM g.value AND f.sql IS NOT NULL) AS differ_from_sql
FROM expected AS e FULL JOIN (SELECT g.* FROM got AS g JOIN label AS l ON l.id = g.id WHERE l.t IS NOT NULL) AS g USING (id, w, name) LEFT JOIN func AS f USING (name);
SELECT name, w, count(*), min(format('label %s at %s: %s, by SQL %s, by state %s', id, t, g.value, e.by_sql, e.by_state)) AS example
FROM expected AS e JOIN got AS g USING (id, w, name) JOIN func AS f USING (name) JOIN label USING (id)
WHERE e.by_state IS DISTINCT FROM g.value OR e.by_sql IS DISTINCT FROM g.value AND f.sql IS NOT NULL GROUP BY name, w ORDER BY name COLLATE "C", w LIMIT 20;
SELECT count(*) FILTER (WHERE value IS NOT NULL) > count(*) / 2 AS most_are_something FROM got;

-- features that were never materialized are the same
SELECT count(*) AS rows, count(*) FILTER (WHERE NOT coalesce(to_jsonb(x)::text = to_jsonb(y)::text, false)) AS different FROM trained AS x FULL JOIN trained_loose AS y USING (label_row);
SELECT string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ') AS types_differ
FROM pg_attribute AS a LEFT JOIN pg_attribute AS b ON b.attrelid = 'trained_loose'::regclass AND (b.attname, b.atttypid, b.atttypmod, b.attcollation) = (a.attname, a.atttypid, a.atttypmod, a.attcollation)
WHERE a.attrelid = 'trained'::regclass AND a.attnum > 0 AND b.attname IS NULL;

-- and types of outputs are those of a lookup
SELECT string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ') AS types_differ
FROM pg_attribute AS a LEFT JOIN pg_attribute AS b ON b.attrelid = 'trained'::regclass AND (b.attname, b.atttypid, b.atttypmod, b.attcollation) = (a.attname, a.atttypid, a.atttypmod, a.attcollation)
WHERE a.attrelid = 'windows'::regclass AND a.attnum > 3 AND b.attname IS NULL;

-- Each plan, with memory or without, by one process or more, in any time zone and order: the same bytes
SELECT digest('TABLE label ORDER BY id', $$spec => 'windows'$$) AS digest \gset
SELECT split_part(:'digest', ' ', 1) AS rows;
CREATE FUNCTION others(labels text, opts text, digest text) RETURNS TABLE (plan text, memory text, zone text, is_same boolean) LANGUAGE plpgsql AS $$
BEGIN
	FOR plan, memory, zone IN SELECT * FROM (VALUES ('sweep', '4MB', 'UTC'), ('seek', '4MB', 'UTC'), ('sweep', '64kB', 'UTC'), ('seek', '64kB', 'UTC'), ('auto', '64kB', 'America/New_York'), ('sweep', '4MB', 'Pacific/Apia')) AS v LOOP
		PERFORM set_config('featurestore.training_plan', plan, true), set_config('work_mem', memory, true), set_config('TimeZone', zone, true);
		-- times are compared as they are in the zone that the digest was made in
		EXECUTE 'SELECT digest($1, $2) = $3' INTO is_same USING labels, opts, digest;
		IF NOT is_same AND zone <> 'UTC' THEN
			EXECUTE 'SELECT count(*) || '' '' || md5(string_agg(md5(x), '''' ORDER BY n)) = $3 FROM (SELECT n, r AS x FROM training_oracle.in_utc($1, $2) WITH ORDINALITY AS u(r, n)) AS u' INTO is_same USING labels, opts, digest;
		END IF;
		RETURN NEXT;
	END LOOP;
	PERFORM set_config('featurestore.training_plan', 'auto', true), set_config('work_mem', '4MB', true), set_config('TimeZone', 'UTC', true);
END $$;
-- made in the time zone of the session, shown in that of the tests
CREATE FUNCTION in_utc(labels text, opts text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	c refcursor;
	r record;
	zone text := current_setting('TimeZone');
BEGIN
	EXECUTE format('SELECT featurestore.training_rows(labels => %L, timestamp_column => ''t'', %s)', labels, opts) INTO c;
	LOOP
		FETCH c INTO r;
		EXIT WHEN NOT FOUND;
		PERFORM set_config('TimeZone', 'UTC', true);
		RETURN NEXT r::text;
		PERFORM set_config('TimeZone', zone, true);
	END LOOP;
	CLOSE c;
END $$;
SELECT * FROM others('TABLE label ORDER BY id', $$spec => 'windows'$$, :'digest');
BEGIN;
SET LOCAL max_parallel_workers_per_gather = 4;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL min_parallel_index_scan_size = 0;
SET LOCAL parallel_leader_participation = off;
SELECT * FROM others('TABLE label ORDER BY id', $$spec => 'windows'$$, :'digest') WHERE zone = 'UTC';
ROLLBACK;
BEGIN;
SET LOCAL enable_indexscan = off;
SET LOCAL enable_indexonlyscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT * FROM others('TABLE label ORDER BY id', $$spec => 'windows'$$, :'digest') WHERE zone = 'UTC' AND plan = 'sweep';
ROLLBACK;
-- the order of labels decides the order of rows, and nothing else
SELECT count(*) AS rows, count(*) FILTER (WHERE NOT coalesce(a = b, false)) AS different
FROM (SELECT regexp_replace(r, '^\(\d+,', '') AS a, row_number() OVER (ORDER BY regexp_replace(r, '^\(\d+,', '') COLLATE "C") AS n FROM rows_of('TABLE label ORDER BY id', $$spec => 'windows'$$) AS u(r)) AS x
FULL JOIN (SELECT regexp_replace(r, '^\(\d+,', '') AS b, row_number() OVER (ORDER BY regexp_replace(r, '^\(\d+,', '') COLLATE "C") AS n FROM rows_of('TABLE label ORDER BY md5(id::text)', $$spec => 'windows'$$) AS u(r)) AS y USING (n);

--
-- An entity with 10^5 events among others with few
--
CREATE TABLE busy (user_id bigint, at timestamptz, i int, n numeric, f float8);
INSERT INTO busy
	SELECT CASE WHEN k % 50 = 0 THEN 2 + k % 17 ELSE 1 END, '2024-01-01 00:00Z'::timestamptz + interval '1 s' * trunc(chance('busy', (k / 3)::text) * 60 * 86400), k % 1000 - 500, (k % 77)::numeric / 100, (k % 4096) / 1024.0
	FROM generate_series(1, 102000) AS k;
ANALYZE busy;
SELECT count(*) FILTER (WHERE user_id = 1) FROM busy;
SELECT count(*) FROM register_features('busy', '{user_id}', 'at', '[{"function": "count", "name": "busy"}, {"function": "sum", "input": "i", "name": "busy_sum"}, {"function": "max", "input": "i", "name": "busy_max"},
	{"function": "avg", "input": "n", "name": "busy_avg"}, {"function": "sum", "input": "f", "name": "busy_f"}, {"function": "last_n", "input": "i", "name": "busy_last", "params": {"n": 3}}]',
	'{rolling 1h,rolling 7d,rolling 30d hop 0,lifetime}');
CREATE TABLE busy_label AS
	SELECT k AS id, CASE WHEN k % 3 = 0 THEN 2 + k % 17 ELSE 1 END AS user_id, '2023-12-31 00:00Z'::timestamptz + interval '1 s' * trunc(chance('busy label', k::text) * 63 * 86400) AS t FROM generate_series(1, 300) AS k;
ANALYZE busy_label;
SELECT count(*) FROM create_training_set('busy_trained', 'TABLE busy_label ORDER BY id', timestamp_column => 't', items => ARRAY[feature(ARRAY(SELECT feature::text FROM features WHERE feature::text LIKE 'busy%' ORDER BY feature::text COLLATE "C"))]);
SELECT count(*) AS rows, count(*) FILTER (WHERE ROW(b.*)::record IS DISTINCT FROM ROW(g.*)::record) AS different
FROM busy_label AS l
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE at >= window_lo('rolling 1h', t)), count(*) FILTER (WHERE at >= window_lo('rolling 7d', t)), count(*) FILTER (WHERE at >= t - interval '30 d'), count(*),
	sum(i) FILTER (WHERE at >= window_lo('rolling 1h', t)), sum(i) FILTER (WHERE at >= window_lo('rolling 7d', t)), sum(i) FILTER (WHERE at >= t - interval '30 d'), sum(i),
	max(i) FILTER (WHERE at >= window_lo('rolling 1h', t)), max(i) FILTER (WHERE at >= window_lo('rolling 7d', t)), max(i) FILTER (WHERE at >= t - interval '30 d'), max(i),
	(avg(n) FILTER (WHERE at >= window_lo('rolling 1h', t)))::text, (avg(n) FILTER (WHERE at >= window_lo('rolling 7d', t)))::text, (avg(n) FILTER (WHERE at >= t - interval '30 d'))::text, avg(n)::text,
	sum(f) FILTER (WHERE at >= window_lo('rolling 1h', t)), sum(f) FILTER (WHERE at >= window_lo('rolling 7d', t)), sum(f) FILTER (WHERE at >= t - interval '30 d'), sum(f),
	(array_agg(i ORDER BY at DESC, i DESC) FILTER (WHERE at >= window_lo('rolling 1h', t)))[1:3], (array_agg(i ORDER BY at DESC, i DESC))[1:3]
	FROM busy AS e WHERE e.user_id = l.user_id AND e.at < l.t) AS b
JOIN LATERAL (SELECT busy_rolling_1h, busy_rolling_7d, busy_rolling_30d_hop_0, busy_lifetime, busy_sum_rolling_1h, busy_sum_rolling_7d, busy_sum_rolling_30d_hop_0, busy_sum_lifetime, busy_max_rolling_1h, busy_max_rolling_7d, busy_max_rolling_30d_hop_0, busy_max_lifetime,
	busy_avg_rolling_1h::text, busy_avg_rolling_7d::text, busy_avg_rolling_30d_hop_0::text, busy_avg_lifetime::text, busy_f_rolling_1h, busy_f_rolling_7d, busy_f_rolling_30d_hop_0, busy_f_lifetime, busy_last_rolling_1h, busy_last_lifetime
	FROM busy_trained WHERE label_row = l.id) AS g ON true;

--
-- As-of joins: keys of several types, dates, ttl and max_age, stored NULLs, keys that other items give, a published series
--
CREATE TABLE series (k int, name text COLLATE "C", size numeric, at timestamptz, v text, amount numeric, ratio float8, PRIMARY KEY (k, name, size, at));
INSERT INTO series
	SELECT k, name, size, at, CASE WHEN x > 0.2 THEN format('%s %s', k, trunc(x * 100)) END, round((x * 50)::numeric, trunc(y * 4)::int), CASE WHEN y < 0.1 THEN '-0' WHEN y < 0.2 THEN 'NaN' ELSE x END
	FROM generate_series(0, 3) AS k, unnest('{23,3,"",B,b}'::text[]) AS name, unnest('{1.0,2.50,-1}'::numeric[]) AS size, generate_series(1, 12) AS n,
		LATERAL (SELECT chance('series', k::text, name, size::text, n::text), chance('y', k::text, name, size::text, n::text)) AS c(x, y),
		LATERAL (SELECT date_bin(CASE WHEN n % 2 = 0 THEN interval '1 day' ELSE '1 us' END, '2024-03-01 00:00Z'::timestamptz + x * interval '15 days', '2024-01-01 00:00Z')) AS t(at)
	WHERE k < 3 OR name = '3'
	ON CONFLICT DO NOTHING;
SELECT create_online_table('series', timeseries_column => 'at', ttl => '6 days');
CREATE TABLE daily (id uuid, day date, n int, code text, PRIMARY KEY (id, day));
INSERT INTO daily SELECT md5(i::text)::uuid, '2024-02-28'::date + trunc(chance('daily', i::text, n::text) * 14)::int, CASE WHEN n % 5 > 0 THEN i * 100 + n END, CASE WHEN n % 4 > 0 THEN 'p' || (i + n) % 7 END
FROM generate_series(1, 5) AS i, generate_series(1, 9) AS n ON CONFLICT DO NOTHING;
SELECT create_online_table('daily', timeseries_column => 'day');
CREATE TABLE price (code text, region int, at timestamptz, price numeric, is_open boolean, PRIMARY KEY (code, region, at));
INSERT INTO price SELECT 'p' || i, r, '2024-02-25 00:00Z'::timestamptz + interval '1 h' * trunc(chance('price', i::text, r::text, n::text) * 24 * 18), round((chance('p', i::text, n::text) * 9)::numeric, n % 3), n % 6 > 0
FROM generate_series(0, 5) AS i, generate_series(1, 2) AS r, generate_series(1, 30) AS n ON CONFLICT DO NOTHING;
SELECT publish_table('price', 'prices', timeseries_column => 'at', filter => 'is_open', features => '{price}');
ANALYZE series, daily, price;
SELECT create_feature_spec('joined', ARRAY[
	lookup('series', '{k,name,size}', '{at,v,amount,ratio}', default_values => '{"v": "none"}'),
	lookup('series', '{k,name,size}', '{amount,at}', '{"amount": "recent", "at": "recent_at"}', '{"recent": -1}', max_age => '36 hours'),
	lookup('daily', '{id}', '{day,n,code}', '{"n": "d_n"}', '{"d_n": 0}'),
	lookup('prices', '{code,region}', '{at,price}', '{"at": "price_at"}', '{"price": 0.000}'),
	expression('round(price * recent, 3)', 'value'), expression('as_of - price_at', 'age'), request_field('note', 'text'), expression('coalesce(note, ''-'') || v', 'text')]);
CREATE TABLE joined_label AS
	SELECT row_number() OVER (ORDER BY chance('joined', n::text)) AS id, k, name COLLATE "C" AS name, size, u AS id_of, r AS region, t, CASE WHEN n % 3 > 0 THEN 'n' || n END AS note
	FROM generate_series(1, 1200) AS n,
		LATERAL (SELECT trunc(chance('k', n::text) * 5)::int, (ARRAY['23', '3', '', 'B', 'b', 'x', NULL])[1 + trunc(chance('name', n::text) * 7)::int], (ARRAY[1.00, 1, 2.5, -1.000, 0, NULL])[1 + trunc(chance('size', n::text) * 6)::int],
			CASE WHEN n % 17 > 0 THEN md5((n % 6)::text)::uuid END, CASE WHEN n % 19 > 0 THEN 1 + n % 3 END) AS c(k, name, size, u, r),
		LATERAL (SELECT CASE WHEN n % 50 = 0 THEN NULL WHEN n % 5 = 0 THEN '2020-01-01 00:00Z'
			WHEN n % 2 = 0 THEN date_bin('1 us', '2024-02-27 00:00Z'::timestamptz + chance('t', n::text) * interval '22 days', '2024-01-01')
			ELSE coalesce((SELECT at + distance FROM series s, LATERAL (SELECT ('{0,1 us,-1 us,36 h,36:00:00.000001,6 days,6 days 00:00:00.000001}'::interval[])[1 + n / 2 % 7]) AS d(distance) WHERE s.k = c.k AND s.name = c.name AND s.size = c.size ORDER BY md5(s.at::text || n) LIMIT 1),
				'2024-03-01 00:00Z'::timestamptz + interval '1 day' * (n % 14) - interval '1 us' * (n % 3 - 1)) END) AS t(t);
INSERT INTO joined_label SELECT 1200 + id, k, name, size, id_of, region, t, note FROM joined_label WHERE id % 10 = 0;
ANALYZE joined_label;
SELECT output, point_in_time, history_from, nulls > 0 AS has_nulls, not_covered
FROM create_training_set('joined_trained', 'SELECT id AS n, k, name, size, id_of AS id, region, t, note FROM joined_label ORDER BY 1', 'joined', 't', exclude_columns => '{note}');
CREATE VIEW joined_expected AS
	SELECT l.id AS n, l.k, l.name, l.size, l.id_of, l.region, l.t,
		s.at, CASE WHEN s.k IS NULL THEN CASE WHEN l.t IS NOT NULL THEN 'none' END ELSE s.v END AS v, s.amount, s.ratio,
		CASE WHEN r.k IS NULL THEN CASE WHEN l.t IS NOT NULL THEN -1 END ELSE r.amount END AS recent, r.at AS recent_at,
		d.day, CASE WHEN d.id IS NULL THEN CASE WHEN l.t IS NOT NULL THEN 0 END ELSE d.n END AS d_n, d.code,
		p.at AS price_at, CASE WHEN p.code IS NULL THEN CASE WHEN l.t IS NOT NULL THEN 0.000 END ELSE p.price END AS price
	FROM joined_label AS l
	LEFT JOIN LATERAL (SELECT * FROM (SELECT * FROM series AS s WHERE (s.k, s.name, s.size) = (l.k, l.name, l.size) AND s.at <= l.t ORDER BY at DESC LIMIT 1) AS s WHERE l.t - at <= interval '6 days') AS s ON true
	LEFT JOIN LATERAL (SELECT * FROM (SELECT * FROM series AS s WHERE (s.k, s.name, s.size) = (l.k, l.name, l.size) AND s.at <= l.t ORDER BY at DESC LIMIT 1) AS s WHERE l.t - at <= interval '36 hours') AS r ON true
	LEFT JOIN LATERAL (SELECT * FROM daily AS d WHERE d.id = l.id_of AND d.day::timestamp AT TIME ZONE 'UTC' <= l.t ORDER BY day DESC LIMIT 1) AS d ON true
	LEFT JOIN LATERAL (SELECT * FROM price AS p WHERE (p.code, p.region) = (d.code, l.region) AND is_open AND p.at <= l.t ORDER BY at DESC LIMIT 1) AS p ON true;
CREATE FUNCTION joined_difference(relation text) RETURNS TABLE (rows bigint, different bigint, example text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		SELECT count(*), count(*) FILTER (WHERE NOT same), min(format('%%s instead of %%s', g, e)) FILTER (WHERE NOT same)
		FROM (SELECT g, e, coalesce(g::record *= e::record, false) AS same FROM
			(SELECT n, ROW(n, k, name, size, id, region, t, at, v, amount, ratio, recent, recent_at, day, d_n, code, price_at, price)::record AS g FROM %s) AS g
			FULL JOIN (SELECT e.n, ROW(e.*)::record AS e FROM joined_expected AS e) AS e USING (n)) AS both_sides$q$, relation);
END $$;
SELECT * FROM joined_difference('joined_trained');
-- expressions, over what was joined
SELECT count(*) AS rows, count(*) FILTER (WHERE NOT coalesce(ROW(t.value, t.age, t.text)::record *= CASE WHEN t.t IS NULL THEN ROW(NULL::numeric, NULL::interval, NULL::text) ELSE ROW(round(t.price * t.recent, 3), t.t - t.price_at, coalesce(l.note, '-') || t.v) END::record, false)) AS different
FROM joined_trained AS t JOIN joined_label AS l ON l.id = t.n;
SELECT count(*) FILTER (WHERE label_row <> n_row) AS out_of_order FROM (SELECT label_row, row_number() OVER (ORDER BY n) AS n_row FROM joined_trained) AS o;
SELECT count(at) > 200 AS at, count(recent_at) > 100 AS recent_at, count(day) > 700 AS day, count(price_at) > 300 AS price_at, count(*) FILTER (WHERE at IS NOT NULL AND v IS NULL) > 20 AS stored_nulls FROM joined_trained;
SELECT digest('SELECT id AS n, k, name, size, id_of AS id, region, t, note FROM joined_label ORDER BY 1', $$spec => 'joined'$$) AS digest \gset
SELECT * FROM others('SELECT id AS n, k, name, size, id_of AS id, region, t, note FROM joined_label ORDER BY 1', $$spec => 'joined'$$, :'digest') WHERE zone = 'UTC';

--
-- History: at the time of each label, and with known_at, what was served then; rows are changed, deleted, written late and out of order
--
CREATE TABLE stock (item int PRIMARY KEY, on_hand int, note text);
INSERT INTO stock SELECT i, 10 * i, 'first' FROM generate_series(1, 6) AS i;
SELECT create_online_table('stock', history => true);
CREATE TABLE driver (id int PRIMARY KEY, at timestamptz, trips int, note text);
SELECT create_online_table('driver', timeseries_column => 'at', history => true);
CREATE TABLE visit (id int, at timestamptz, trips int, PRIMARY KEY (id, at));
SELECT create_online_table('visit', timeseries_column => 'at', history => true);
SELECT create_feature_spec('of_stock', ARRAY[lookup('stock', '{item}', default_values => '{"on_hand": -1}')]);
SELECT create_feature_spec('known', ARRAY[lookup('visit', '{id}', '{at,trips}', rename_outputs => '{"at": "visit_at"}', default_values => '{"trips": -1}')]);
SELECT create_feature_spec('current', ARRAY[lookup('driver', '{id}', '{at,trips,note}', rename_outputs => '{"at": "driver_at"}'), lookup('visit', '{id}', '{trips}', rename_outputs => '{"trips": "visit_trips"}'),
	lookup('stock', '{item=id}', rename_outputs => '{"note": "stock_note"}')]);
SELECT pg_sleep(0.001) IS NOT NULL AS later;

-- what lookups gave, and when
CREATE TABLE was_served (moment int, id int, t timestamptz, clock timestamptz, stock of_stock, current current, known known);
CREATE PROCEDURE serve(moment int) LANGUAGE plpgsql AS $$
DECLARE
	clock timestamptz;
BEGIN
	COMMIT;
	clock := clock_timestamp();
	INSERT INTO was_served
		SELECT moment, i, t, clock, of_stock(i, as_of => clock), current(i, as_of => clock), known(i, as_of => t)
		FROM generate_series(1, 10) AS i, unnest('{2024-03-02 12:00,2024-03-04,2024-03-04 18:00,2030-01-01}'::timestamptz[]) AS t;
	COMMIT;
END $$;
CREATE PROCEDURE live() LANGUAGE plpgsql AS $$
DECLARE
	r int;
BEGIN
	CALL serve(0);
	FOR moment IN 1..40 LOOP
		r := trunc(chance('live', moment::text) * 10);
		IF moment % 3 = 0 THEN
			INSERT INTO stock VALUES (1 + r, moment, 'inserted') ON CONFLICT (item) DO UPDATE SET on_hand = excluded.on_hand, note = 'updated';
			UPDATE stock SET note = note WHERE item = 2;
		ELSIF moment % 5 = 0 THEN
			DELETE FROM stock WHERE item = 1 + r;
			DELETE FROM visit WHERE id = 1 + r AND at = (SELECT max(at) FROM visit WHERE id = 1 + r);
		ELSIF moment % 17 = 0 THEN
			DELETE FROM driver WHERE id = 1 + r;
		END IF;
		-- of an instant, earlier and later ones, in any order within a batch
		PERFORM write_features(relation, (SELECT jsonb_agg(jsonb_build_object('id', 1 + (r + i) % 10, 'at', '2024-03-01 00:00Z'::timestamptz + interval '12 h' * trunc(chance('at', moment::text, i::text) * 8), 'trips', 100 * moment + i))
			FROM generate_series(1, 4) AS i)) FROM unnest('{driver,visit}'::regclass[]) AS relation;
		CALL serve(moment);
	END LOOP;
END $$;
CALL live();
SELECT count(*), count(DISTINCT current::text) > 50 AS many_current, count(DISTINCT known::text) > 50 AS many_known FROM was_served;
CREATE VIEW then_label AS SELECT row_number() OVER (ORDER BY moment, id, t) AS n, moment, id, t AS at_time, clock FROM was_served;

-- rows of no time: the version of the label's time
SELECT output, point_in_time, history_from IS NOT NULL AS has_history_from, nulls, not_covered
FROM create_training_set('stock_trained', 'SELECT n, id AS item, clock AS t FROM then_label ORDER BY n', 'of_stock', 't');
SELECT count(*) AS rows, count(*) FILTER (WHERE NOT coalesce(ROW(t.item, t.on_hand, t.note)::of_stock *= s.stock, false)) AS different
FROM stock_trained AS t FULL JOIN (SELECT row_number() OVER (ORDER BY moment, id, t) AS label_row, stock FROM was_served) AS s USING (label_row);
-- with known_at: what was known then of the present, and of an earlier or later time where all rows have theirs
SELECT output, point_in_time, history_from IS NOT NULL AS has_history_from, nulls > 0 AS has_nulls, not_covered
FROM create_training_set('current_trained', 'SELECT n, id, clock AS t FROM then_label ORDER BY n', 'current', 't', known_at => 't');
SELECT count(*) AS rows, count(*) FILTER (WHERE NOT is_same) AS different, min(format('label %s: %s instead of %s', label_row, x, current)) FILTER (WHERE NOT is_same) AS example
FROM (SELECT *, coalesce(x *= current, false) AS is_same FROM (SELECT label_row, ROW(t.id, t.driver_at, t.trips, t.note, t.visit_trips, t.on_hand, t.stock_note)::current AS x FROM current_trained AS t) AS t
	FULL JOIN (SELECT row_number() OVER (ORDER BY moment, id, t) AS label_row, current FROM was_served) AS s USING (label_row)) AS compared;
SELECT output, point_in_time, history_from IS NOT NULL AS has_history_from, nulls > 0 AS has_nulls, not_covered
FROM create_training_set('known_trained', 'SELECT n, id, at_time AS t, clock FROM then_label ORDER BY n', 'known', 't', known_at => 'clock');
SELECT count(*) AS rows, count(*) FILTER (WHERE NOT is_same) AS different, min(format('label %s: %s instead of %s', label_row, x, known)) FILTER (WHERE NOT is_same) AS example
FROM (SELECT *, coalesce(x *= known, false) AS is_same FROM (SELECT label_row, ROW(t.id, t.visit_at, t.trips)::known AS x FROM known_trained AS t) AS t
	FULL JOIN (SELECT row_number() OVER (ORDER BY moment, id, t) AS label_row, known FROM was_served) AS s USING (label_row)) AS compared;
SELECT digest('SELECT n, id, at_time AS t, clock FROM then_label ORDER BY n', $$spec => 'known', known_at => 'clock'$$) AS digest \gset
SELECT * FROM others('SELECT n, id, at_time AS t, clock FROM then_label ORDER BY n', $$spec => 'known', known_at => 'clock'$$, :'digest') WHERE zone = 'UTC';
-- before there was any history
SELECT output, point_in_time, nulls, not_covered FROM create_training_set('too_early', $$SELECT 1 AS item, timestamptz '2020-01-01' AS t$$, 'of_stock', 't');
TABLE too_early;

-- Feast's cases of late backfills: (1001, 10) and (1002, 30) of a day, then (1001, 20) and (1002, 40) of the same day; and one where the later day is written first
SELECT write_features('visit', '[{"id": 1001, "at": "2024-03-01", "trips": 10}, {"id": 1002, "at": "2024-03-01", "trips": 30}, {"id": 1003, "at": "2024-03-02", "trips": 40}]');
SELECT clock_timestamp() AS before \gset
SELECT write_features('visit', '[{"id": 1001, "at": "2024-03-01", "trips": 20}, {"id": 1002, "at": "2024-03-01", "trips": 40}, {"id": 1003, "at": "2024-03-01", "trips": 30}]');
SELECT clock_timestamp() AS after \gset
SELECT create_feature_spec('trips', ARRAY[lookup('visit', '{id}', '{trips}')]);
SELECT format('SELECT id, timestamptz ''2024-03-03'' AS t, timestamptz %L AS before, timestamptz %L AS after FROM unnest(''{1001,1002,1003}''::int[]) AS id ORDER BY id', :'before', :'after') AS labels \gset
SELECT 'default' AS known, rows_of(:'labels', $$spec => 'trips', exclude_columns => '{before,after}'$$)
UNION ALL SELECT 'before', rows_of(:'labels', $$spec => 'trips', known_at => 'before', exclude_columns => '{before,after}'$$)
UNION ALL SELECT 'after', rows_of(:'labels', $$spec => 'trips', known_at => 'after', exclude_columns => '{before,after}'$$);
-- an older event never overwrites a newer one, and is not a version; of one batch the newest wins, in whatever order it is
SELECT write_features('driver', '[{"id": 123, "at": "2024-03-01 12:00", "note": "hi"}]');
SELECT clock_timestamp() AS c1 \gset
SELECT write_features('driver', '[{"id": 123, "at": "2024-03-01 11:00", "note": "bye"}, {"id": 567, "at": "2024-03-01 12:00", "note": "hi"}]');
SELECT clock_timestamp() AS c2 \gset
SELECT write_features('driver', '[{"id": 123, "at": "2024-03-01 12:00:01", "note": "latest"}, {"id": 567, "at": "2024-03-01 11:59", "note": "old"}]');
SELECT clock_timestamp() AS c3 \gset
SELECT create_feature_spec('noted', ARRAY[lookup('driver', '{id}', '{note}', default_values => '{"note": "nothing"}')]);
SELECT rows_of(format('SELECT id, timestamptz ''2200-01-01'' AS t, c.known FROM unnest(''{123,567}''::int[]) AS id, unnest(%L::timestamptz[]) WITH ORDINALITY AS c(known, n) ORDER BY id, n', ARRAY[:'c1', :'c2', :'c3']),
	$$spec => 'noted', known_at => 'known', exclude_columns => '{known}'$$);
SELECT write_features('driver', jsonb_build_array(
	jsonb_build_object('id', 2000 + n, 'at', format('2024-03-01 0%s:00', a), 'note', a), jsonb_build_object('id', 2000 + n, 'at', format('2024-03-01 0%s:00', b), 'note', b), jsonb_build_object('id', 2000 + n, 'at', format('2024-03-01 0%s:00', c), 'note', c)))
FROM (VALUES (1, 3, 2, 1), (2, 3, 1, 2), (3, 2, 1, 3), (4, 2, 3, 1), (5, 1, 2, 3), (6, 1, 3, 2)) AS v(n, a, b, c);
SELECT clock_timestamp() AS c4 \gset
SELECT rows_of(format('SELECT id, timestamptz ''2200-01-01'' AS t, timestamptz %L AS known FROM generate_series(2001, 2006) AS id ORDER BY id', :'c4'), $$spec => 'noted', known_at => 'known', exclude_columns => '{known,t}'$$);

--
-- Changed definitions: a training set keeps the versions that it was made with
--
CREATE TABLE click (user_id int, at timestamptz, amount int);
INSERT INTO click SELECT 1 + k % 4, '2024-03-01 00:00Z'::timestamptz + interval '37 min' * k, k % 13 FROM generate_series(1, 200) AS k;
CREATE TABLE click_label AS SELECT k AS id, 1 + k % 5 AS user_id, '2024-02-29 12:00Z'::timestamptz + interval '91 min' * k AS t, k % 2 = 0 AS bought FROM generate_series(1, 90) AS k;
SELECT register_feature('spent', 'click', '{user_id}', 'at', 'sum', 'amount', 'rolling 1d'), register_feature('clicks', 'click', '{user_id}', 'at', 'count');
SELECT materialize_features('{spent,clicks}', 'click_state', publish_mode => 'SYNCHRONOUS');
SELECT create_feature_spec('shop', ARRAY[feature('{spent,clicks}', default_values => '{"spent": -1}'), expression('spent * 10 + clicks', 'score')]);
SELECT output, point_in_time, nulls, not_covered FROM create_training_set('pinned', 'SELECT user_id, t, bought FROM click_label ORDER BY id', 'shop', 't', label => '{bought}');
SELECT count(*) AS rows, count(*) FILTER (WHERE NOT coalesce(ROW(p.spent, p.clicks, p.score)::record *= ROW(coalesce(e.spent, -1), e.clicks, coalesce(e.spent, -1) * 10 + e.clicks)::record, false)) AS different
FROM click_label AS l JOIN pinned AS p ON p.label_row = l.id,
	LATERAL (SELECT sum(amount) FILTER (WHERE at >= window_lo('rolling 1d', l.t)) AS spent, count(*) AS clicks FROM click WHERE user_id = l.user_id AND at < l.t) AS e;
CREATE FUNCTION scored() RETURNS TABLE (rows bigint, different bigint) LANGUAGE sql AS $$
	SELECT count(*), count(*) FILTER (WHERE NOT coalesce(to_jsonb(a)::text = to_jsonb(b)::text, false))
	FROM pinned AS a FULL JOIN score_batch(NULL::pinned, 'SELECT user_id, t, bought FROM click_label ORDER BY id', 't') AS b USING (label_row) $$;
SELECT * FROM scored();
-- a feature of another function, in a spec of other items
SELECT register_feature('spent', 'click', '{user_id}', 'at', 'max', 'amount', 'rolling 2d', replace => true);
SELECT materialize_features('{spent}', 'click_state', publish_mode => 'SYNCHRONOUS');
SELECT create_feature_spec('shop', ARRAY[feature('{clicks,spent}'), expression('clicks * 2', 'score')], replace => true);
SELECT * FROM scored();
SELECT count(*) AS rows, count(*) FILTER (WHERE coalesce(n.spent, -1) <> p.spent) > 10 AS another_function
FROM (SELECT create_training_set('renewed', 'SELECT user_id, t, bought FROM click_label ORDER BY id', 'shop', 't')) AS c, pinned AS p JOIN click_label AS l ON l.id = p.label_row,
	LATERAL (SELECT max(amount) AS spent FROM click WHERE user_id = l.user_id AND at < l.t AND at >= window_lo('rolling 2d', l.t)) AS n GROUP BY c LIMIT 1;
SELECT drop_feature_spec('shop');
SELECT * FROM scored();
-- what later events change
INSERT INTO click SELECT user_id, t - interval '1 us', 100 FROM click_label WHERE id % 9 = 0;
SELECT rows, different > 9 AS different FROM scored();
-- labels without the columns of a model's training, at the present time
SELECT score_batch(NULL::pinned, 'SELECT * FROM unnest(''{4,1,77,NULL,4}''::int[]) AS user_id');

SET client_min_messages = error;
DROP SCHEMA loose, training_oracle CASCADE;
