--
-- Merge rules: what columns hold after rows were written, in whatever order and
-- batches, beside plain SQL over all rows
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_rules_owner;
CREATE SCHEMA rules AUTHORIZATION regress_rules_owner;
RESET client_min_messages;
SET search_path = rules;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET ROLE regress_rules_owner;

-- one row a rule, seen at work
CREATE TABLE seen (id int PRIMARY KEY, at timestamptz, plan text, n_add bigint, n_min int, n_max int, f text, l text, c text, news int[],
				   sum_1d featurestore.window_state, users featurestore.agg_state, rows featurestore.agg_state, written timestamptz);
SELECT featurestore.create_online_table('seen', '{"n_add": "add", "n_min": "min", "n_max": "max", "f": "first", "l": "last", "c": "coalesce", "news": "last_n(3)",
	"sum_1d": {"rule": "accumulate", "function": "sum", "type": "int8", "windows": ["rolling 1d"]},
	"users": {"rule": "accumulate", "function": "count_distinct", "params": {"bound": 100}, "type": "text"},
	"rows": {"rule": "accumulate", "function": "count"}, "written": "now", "plan": "replace"}', timeseries_column => 'at', allow_duplicates => true);
CREATE VIEW seen_values AS
	SELECT id, at, plan, n_add AS add, n_min AS min, n_max AS max, f, f_at, l, l_at, c, c_at, news, news_at, featurestore.window_value(sum_1d, 'sum', 'rolling 1d', at + interval '1 s', NULL::numeric) AS sum_1d,
		featurestore.agg_value(users, 'count_distinct', NULL::bigint) AS users, featurestore.agg_value(rows, 'count', NULL::bigint) AS rows,
		written BETWEEN now() AND clock_timestamp() AS written FROM seen;
\x on
BEGIN;
SELECT * FROM featurestore.write_features('seen', '[
	{"id": 1, "at": "2024-01-02", "plan": "new", "n_add": 1, "n_min": 5, "n_max": 5, "f": "b", "l": "b", "c": "b", "news": 2, "sum_1d": 10, "users": "u"},
	{"id": 1, "at": "2024-01-01", "plan": "old", "n_add": 2, "n_min": 3, "n_max": 3, "f": "a", "l": "a", "c": "a", "news": 1, "sum_1d": 100, "users": "v"}]');
SELECT * FROM seen_values;
-- later and with nothing in it; a row too late; of the same time
SELECT featurestore.write_features('seen', '{"id": 1, "at": "2024-01-03", "plan": null, "n_add": null, "n_min": null, "n_max": null, "f": null, "l": null, "c": null, "news": null, "sum_1d": null, "users": null}');
SELECT * FROM seen_values;
SELECT featurestore.write_features('seen', '{"id": 1, "at": "2024-01-02 12:00", "plan": "late", "n_add": 4, "n_min": 9, "n_max": 9, "f": "late", "l": "late", "c": "late", "news": 3, "sum_1d": 1000, "users": "u"}');
SELECT * FROM seen_values;
SELECT featurestore.write_features('seen', '{"id": 1, "at": "2024-01-02 12:00", "f": "z", "l": "z", "c": "a", "news": 4}');
SELECT f, f_at, l, l_at, c, c_at, news, news_at FROM seen_values;
-- columns that a row leaves out stay
SELECT featurestore.write_features('seen', '[{"id": 1, "at": "2024-01-04", "plan": "x"}, {"id": 2, "at": "2024-01-04", "n_add": 7}]');
SELECT * FROM seen_values ORDER BY id;
COMMIT;
\x off

-- bookkeeping is no feature
SELECT featurestore.create_feature_spec('seen_spec', ARRAY[featurestore.lookup('seen', '{id}')]);
SELECT json_object_keys(to_json(s)) AS given FROM seen_spec(2) AS s;

-- rules that do not fit
\set VERBOSITY default
CREATE TABLE bad (id int PRIMARY KEY, at timestamptz, t text, j jsonb, n int, a int[], js json[], s featurestore.window_state, g int GENERATED ALWAYS AS (n + 1) STORED, p point, w timestamp);
CREATE FUNCTION refused(merge jsonb, timeseries text DEFAULT 'at', outputs jsonb DEFAULT '{}') RETURNS TABLE(code text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM featurestore.create_online_table('rules.bad', merge, outputs, timeseries);
	RAISE EXCEPTION 'registered';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END $$;
SELECT r.* FROM (VALUES (1, '{"t": "concat"}'::jsonb), (2, '{"t": "add"}'), (3, '{"p": "min"}'), (4, '{"j": "add"}'), (5, '{"n": "last_n(3)"}'), (6, '{"a": "last_n"}'), (7, '{"a": "last_n(0)"}'),
	(8, '{"a": "last_n(1001)"}'), (9, '{"js": "last_n(3)"}'), (10, '{"id": "add"}'), (11, '{"at": "max"}'), (12, '{"g": "add"}'), (13, '{"w": "now"}'), (14, '{"n": "merge"}'), (15, '{"s": "accumulate"}'),
	(16, '{"s": {"rule": "accumulate"}}'), (17, '{"s": {"rule": "accumulate", "function": "sum", "type": "int8"}}'), (18, '{"s": {"rule": "accumulate", "function": "summe", "type": "int8", "windows": ["rolling 1d"]}}'),
	(19, '{"s": {"rule": "accumulate", "function": "sum", "type": "text", "windows": ["rolling 1d"]}}'), (20, '{"s": {"rule": "accumulate", "function": "sum", "type": "nope", "windows": ["rolling 1d"]}}'),
	(21, '{"s": {"rule": "accumulate", "function": "sum", "type": "int8", "windows": ["wobbling 1d"]}}'), (22, '{"s": {"rule": "accumulate", "function": "sum", "type": "int8", "windows": ["rolling 1d"], "window": 1}}'),
	(23, '{"n": {"rule": "accumulate", "function": "sum", "type": "int8", "windows": ["rolling 1d"]}}'), (24, '{"n": {"rule": "add"}}'), (25, '{"n": 1}'), (26, '{"zz": "add"}')) AS v(n, merge), refused(v.merge) AS r ORDER BY v.n;
SELECT r.* FROM (VALUES (1, '{"t": "first"}'::jsonb), (2, '{"a": "last_n(3)"}'), (3, '{"s": {"rule": "accumulate", "function": "sum", "type": "int8", "windows": ["rolling 1d"]}}')) AS v(n, merge), refused(v.merge, NULL) AS r ORDER BY v.n;
-- outputs that cannot be
SELECT r.* FROM (VALUES (1, '[]'::jsonb), (2, '{"o": 1}'), (3, '{"o": {"column": "s"}}'), (4, '{"o": {"column": "zz", "function": "sum"}}'), (5, '{"o": {"column": "n", "function": "sum"}}'), (6, '{"o": {"column": "s", "function": "sum"}}'),
	(7, '{"o": {"column": "s", "function": "sum", "window": "rolling 2d"}}'), (8, '{"o": {"column": "s", "function": "approx_count_distinct", "window": "rolling 1d"}}'), (9, '{"n": {"column": "s", "function": "sum", "window": "rolling 1d"}}'),
	(10, '{"as_of": {"column": "s", "function": "sum", "window": "rolling 1d"}}'), (11, '{"o": {"column": "s", "function": "sum", "window": "rolling 1d", "type": "text"}}')) AS v(n, outputs),
	refused('{"s": {"rule": "accumulate", "function": "sum", "type": "int8", "windows": ["rolling 1d"]}}', 'at', v.outputs) AS r ORDER BY v.n;
-- a column that is to hold times, and is of another type
ALTER TABLE bad ADD COLUMN t_at int;
SELECT * FROM refused('{"t": "first"}');
DROP TABLE bad;

--
-- Random rows, orders and batches.  The values tie in every way that there is.
--
CREATE TABLE event (n int PRIMARY KEY, id int, at timestamptz, a_int int, a_num numeric, a_iv interval, lo numeric, hi float8, lo_t text COLLATE "C", f text, l float8, ln numeric, news text, v float8, u text, p text);
SELECT setseed(0.42);
INSERT INTO event SELECT n, (random() * 12)::int, timestamptz '2024-01-01' + (random() * 20)::int * interval '5 min',
	nullif((random() * 9)::int, 0), (random() * 10)::numeric(10,3), make_interval(mins => (random() * 50)::int), (ARRAY['1.0', '1.00', '1', '2', 'NaN', NULL])[ceil(random() * 6)]::numeric,
	(ARRAY['0', '-0', '1', 'NaN', '-Infinity', NULL])[ceil(random() * 6)]::float8, (ARRAY['a', 'b', '', NULL])[ceil(random() * 4)], (ARRAY['a', 'b', 'c', NULL, NULL])[ceil(random() * 5)],
	(ARRAY['0', '-0', '1', NULL, NULL])[ceil(random() * 5)]::float8, (ARRAY['1.0', '1.00', '2', '3', NULL])[ceil(random() * 5)]::numeric, (ARRAY['a', 'b', 'c', 'd', NULL])[ceil(random() * 5)],
	round((random() * 100)::numeric, 2), 'u' || (random() * 30)::int, (ARRAY['p', 'q', 'r', NULL])[ceil(random() * 4)]
FROM generate_series(1, 600) AS n;

CREATE FUNCTION make_table(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE rules.%I (id int PRIMARY KEY, at timestamptz, a_int int, a_num numeric(12,2), a_iv interval, lo numeric, hi float8, lo_t text COLLATE "C", f text, l float8,
		ln numeric[], news text[], v featurestore.window_state, u featurestore.agg_state, p text, c text)', name);
	PERFORM featurestore.create_online_table(format('rules.%I', name)::regclass, '{"a_int": "add", "a_num": "add", "a_iv": "add", "lo": "min", "hi": "max", "lo_t": "min", "f": "first", "l": "last", "ln": "last_n(4)", "news": "last_n(2)",
		"v": {"rule": "accumulate", "function": "sum", "type": "float8", "windows": ["rolling 30m", "lifetime"]}, "u": {"rule": "accumulate", "function": "approx_count_distinct", "type": "text"}, "c": "coalesce"}',
		timeseries_column => 'at', allow_duplicates => true);
END $$;
/* Writes events in an order, in batches of a size at random, in one of the ways there are. */
CREATE FUNCTION write_events(name text, how text, sequence int[], size int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	at int := 1;
	batch int[];
BEGIN
	WHILE at <= cardinality(sequence) LOOP
		batch := sequence[at : at + (random() * size)::int];
		at := at + cardinality(batch);
		IF how = 'arrays' THEN
			EXECUTE format('SELECT rules.%I(array_agg(e.id ORDER BY s), array_agg(e.at ORDER BY s), array_agg(a_int ORDER BY s), array_agg(a_num ORDER BY s), array_agg(a_iv ORDER BY s), array_agg(lo ORDER BY s),
				array_agg(hi ORDER BY s), array_agg(lo_t ORDER BY s), array_agg(f ORDER BY s), array_agg(l ORDER BY s), array_agg(ln ORDER BY s), array_agg(news ORDER BY s), array_agg(v ORDER BY s), array_agg(u ORDER BY s),
				array_agg(p ORDER BY s), array_agg(p ORDER BY s)) FROM unnest($1) WITH ORDINALITY AS o(n, s) JOIN rules.event e USING (n)', name || '_write') USING batch;
		ELSIF how = 'json' THEN
			PERFORM featurestore.write_features(format('rules.%I', name)::regclass, (SELECT jsonb_agg(to_jsonb(e) - 'n' || jsonb_build_object('c', p) ORDER BY s) FROM unnest(batch) WITH ORDINALITY AS o(n, s) JOIN rules.event e USING (n)));
		ELSE
			EXECUTE format('INSERT INTO rules.%I (id, at, a_int, a_num, a_iv, lo, hi, lo_t, f, l, ln, news, v, u, p, c) SELECT e.id, e.at, a_int, a_num, a_iv, lo, hi, lo_t, f, l, ln, news, v, u, p, p
				FROM unnest($1) WITH ORDINALITY AS o(n, s) JOIN rules.event e USING (n) ORDER BY s', name || '_staging') USING batch;
			PERFORM featurestore._run_now(format('rules.%I', name)::regclass, 'SYNC');
		END IF;
	END LOOP;
END $$;

/* What any order and any batches must come to; replace and coalesce follow the order. */
CREATE VIEW oracle AS
	SELECT id, max(at) AS at, sum(a_int)::int AS a_int, sum(a_num::numeric(12,2)) AS a_num, sum(a_iv) AS a_iv, min(lo) AS lo, max(hi) AS hi, min(lo_t) AS lo_t,
		(array_agg(f ORDER BY at, f) FILTER (WHERE f IS NOT NULL))[1] AS f, min(at) FILTER (WHERE f IS NOT NULL) AS f_at,
		(array_agg(l ORDER BY at DESC, l DESC) FILTER (WHERE l IS NOT NULL))[1] AS l, max(at) FILTER (WHERE l IS NOT NULL) AS l_at,
		(array_agg(ln ORDER BY at DESC, ln DESC) FILTER (WHERE ln IS NOT NULL))[1:4] AS ln, (array_agg(at ORDER BY at DESC) FILTER (WHERE ln IS NOT NULL))[1:4] AS ln_at,
		(array_agg(news ORDER BY at DESC, news DESC) FILTER (WHERE news IS NOT NULL))[1:2] AS news, (array_agg(at ORDER BY at DESC) FILTER (WHERE news IS NOT NULL))[1:2] AS news_at,
		featurestore.accumulate(featurestore.window_state('sum', 'float8', '{rolling 30m, lifetime}'), at, v)::text AS v,
		featurestore.accumulate(featurestore.agg_state('approx_count_distinct', 'text'), at, u)::text AS u
	FROM event GROUP BY id;
CREATE FUNCTION held(name text) RETURNS TABLE(id int, at timestamptz, a_int int, a_num numeric, a_iv interval, lo numeric, hi float8, lo_t text, f text, f_at timestamptz, l float8, l_at timestamptz,
	ln numeric[], ln_at timestamptz[], news text[], news_at timestamptz[], v text, u text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT id, at, a_int, a_num, a_iv, lo, hi, lo_t, f, f_at, l, l_at, ln, ln_at, news, news_at, v::text, u::text FROM rules.%I', name);
END $$;

-- the same bytes, whatever the order, the batches, and the way; equal to the oracle (json knows no -0)
CREATE TABLE trial (name text PRIMARY KEY, how text, is_in_order boolean, size int);
INSERT INTO trial SELECT 't' || n, (ARRAY['arrays', 'json', 'staging'])[1 + n % 3], n < 6, (ARRAY[600, 40, 7])[1 + (n / 3) % 3] FROM generate_series(0, 11) AS n;
SET client_min_messages = warning;
SELECT count(make_table(name)) FROM trial;
SELECT count(featurestore.create_staging_table(name::regclass)) FROM trial WHERE how = 'staging';
SELECT count(write_events(name, how, ARRAY(SELECT n FROM event ORDER BY CASE WHEN is_in_order THEN n ELSE random() END), size)) FROM trial;
RESET client_min_messages;
SELECT how, is_in_order, size, (SELECT count(*) FROM held(name)) AS keys, (SELECT count(*) FROM (TABLE oracle EXCEPT SELECT * FROM held(name)) AS d) AS missing,
	(SELECT count(*) FROM (SELECT * FROM held(name) EXCEPT TABLE oracle) AS d) AS wrong,
	(SELECT md5(string_agg(h::text, ';' ORDER BY h.id)) FROM held(name) AS h) = (SELECT md5(string_agg(h::text, ';' ORDER BY h.id)) FROM held(CASE how WHEN 'json' THEN 't1' ELSE 't0' END) AS h) AS is_same
FROM trial ORDER BY is_in_order, how, size;
-- replace and coalesce are as if rows had been written one by one
SET client_min_messages = warning;
SELECT make_table('one_by_one');
RESET client_min_messages;
SELECT write_events('one_by_one', 'arrays', ARRAY(SELECT n FROM event ORDER BY n), 0);
CREATE FUNCTION replaced(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(concat_ws('' '', id, at, p, c, c_at), '';'' ORDER BY id) FROM rules.%I', name) INTO result;
	RETURN result;
END $$;
SELECT how, size, replaced(name) = replaced('one_by_one') AS is_same FROM trial WHERE is_in_order ORDER BY how, size;

-- rows that leave columns out, likewise
CREATE TABLE partial_rows AS
	SELECT n, jsonb_build_object('id', (random() * 5)::int, 'at', timestamptz '2024-01-01' + (random() * 30)::int * interval '1 min') || CASE WHEN random() < 0.6 THEN jsonb_build_object('p', 'p' || n) ELSE '{}' END
		|| CASE WHEN random() < 0.6 THEN jsonb_build_object('c', CASE WHEN random() < 0.5 THEN 'c' || n END) ELSE '{}' END || CASE WHEN random() < 0.6 THEN jsonb_build_object('a_int', 1) ELSE '{}' END AS given
	FROM generate_series(1, 200) AS n;
SET client_min_messages = warning;
SELECT make_table('part_batches'), make_table('part_rows');
RESET client_min_messages;
SELECT sum(w.rows_given) FROM (SELECT n / 50 AS b, jsonb_agg(given ORDER BY n) AS rows FROM partial_rows GROUP BY 1 ORDER BY 1) AS b, featurestore.write_features('part_batches', b.rows) AS w;
SELECT sum(w.rows_given) FROM (SELECT given FROM partial_rows ORDER BY n OFFSET 0) AS r, featurestore.write_features('part_rows', r.given) AS w;
SELECT replaced('part_batches') = replaced('part_rows') AS is_same, (SELECT sum(a_int) FROM part_batches) = (SELECT count(*) FROM partial_rows WHERE given ? 'a_int') AS adds_up;

-- states that come as states
CREATE TABLE merged (id int PRIMARY KEY, s featurestore.agg_state, w featurestore.window_state);
SELECT featurestore.create_online_table('merged', '{"s": "merge", "w": "merge"}', '{"users": {"column": "s", "function": "count_distinct", "type": "text"}}', allow_duplicates => true);
SELECT featurestore.write_features('merged', jsonb_agg(jsonb_build_object('id', id % 2, 's', s))) FROM (
	SELECT id, featurestore.accumulate(featurestore.agg_state('count_distinct', 'text'), at, u) AS s FROM event GROUP BY id) AS e;
SELECT m.id, m.s::text = (SELECT featurestore.accumulate(featurestore.agg_state('count_distinct', 'text'), e.at, e.u)::text FROM event e WHERE e.id % 2 = m.id) AS is_same FROM merged m ORDER BY id;
SELECT featurestore.create_feature_spec('merged_spec', ARRAY[featurestore.lookup('merged', '{id}')]);
SELECT s.id, s.users = (SELECT count(DISTINCT u) FROM event e WHERE e.id % 2 = s.id) AS is_right FROM merged_spec_batch('{0,1}') AS s ORDER BY 1;
-- of another kind
SELECT featurestore.write_features('merged', jsonb_build_object('id', 1, 's', featurestore.agg_state('sum', 'int4')));
\echo :SQLSTATE

-- keys: several columns, a date as time, a time in the key, a unique index, domains, modifiers, arrays
CREATE DOMAIN positive AS numeric(6,1) CHECK (VALUE >= 0);
CREATE TABLE shapes (shop text COLLATE "C", item int, day date, total positive, tag varchar(3), flags int[], PRIMARY KEY (item, shop));
SELECT featurestore.create_online_table('shapes', '{"total": "add"}', timeseries_column => 'day', allow_duplicates => true);
SELECT * FROM shapes_write(shop => '{A,a,B}', item => '{1,1,1}', day => '{2024-01-02,2024-01-01,2024-01-01}', total => '{1.25,2,3}', tag => '{x,y,z}', flags => ARRAY['{1,2}', NULL, '{}']);
SELECT shop, item, day, total, tag, flags FROM shapes ORDER BY shop;
SELECT shapes_write('{A}', '{1}', '{2024-01-03}', '{-100}');
\echo :SQLSTATE
SELECT shapes_write('{A}', '{1}', '{2024-01-03}', tag => '{long}');
\echo :SQLSTATE
CREATE TABLE history (id int, at timestamptz, n int, UNIQUE (id, at));
SELECT featurestore.create_online_table('history', '{"n": "add"}', timeseries_column => 'at', allow_duplicates => true);
SELECT * FROM history_write('{1,1,1}', '{2024-01-01,2024-01-02,2024-01-01}', '{1,2,3}');
SELECT * FROM history ORDER BY at;

RESET ROLE;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA rules CASCADE;
DROP ROLE regress_rules_owner;
