--
-- What training rows hold is what plain SQL over the sources says of each
-- label's time, whichever way the sources are read: by one sweep or by seeking
-- what each label needs, in memory or spilled
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA training_answers;
SET search_path = training_answers, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET jit = off;
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

-- A number from 0 to less than 1 that depends on the key alone
CREATE FUNCTION chance(VARIADIC key text[]) RETURNS float8 LANGUAGE sql IMMUTABLE
	RETURN ('x' || substr(md5(array_to_string(key, '/')), 1, 12))::bit(48)::bigint / 2.0 ^ 48;

-- The rows of a training set by each plan, with memory and without; they are the same, or it says which differ
CREATE FUNCTION train(name text, labels text, spec text, allow_current boolean DEFAULT false) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	plan text;
	memory text;
	other text;
	differ bigint;
BEGIN
	FOREACH plan IN ARRAY '{auto,sweep,seek}'::text[] LOOP
		FOREACH memory IN ARRAY '{4MB,64kB}'::text[] LOOP
			other := lower(format('%s_%s_%s', name, plan, memory));
			PERFORM set_config('featurestore.training_plan', plan, true), set_config('work_mem', memory, true);
			PERFORM create_training_set(other, labels, spec, 'at', allow_current => train.allow_current);
			EXECUTE format('SELECT count(*) FROM (SELECT label_row, md5(t::text) FROM %I AS t) AS a FULL JOIN (SELECT label_row, md5(t::text) FROM %I AS t) AS b USING (label_row) WHERE a.md5 IS DISTINCT FROM b.md5',
						   name || '_auto_4mb', other) INTO differ;
			IF differ > 0 THEN
				RETURN NEXT format('%s of %s differ', differ, other);
			END IF;
		END LOOP;
	END LOOP;
	PERFORM set_config('featurestore.training_plan', 'auto', true), set_config('work_mem', '4MB', true);
END
$$;

--
-- Windows: every function and kind of window, filters, inputs that are NULL or
-- expressions, two sources in one table of states
--
CREATE TABLE click (user_id int, at timestamptz, price float8, amount numeric, n int, word text);
INSERT INTO click
	SELECT chance('user', i::text) * 12, '2024-01-01 00:00Z'::timestamptz + make_interval(secs => trunc(chance('at', i::text) * 40 * 86400)),
		CASE WHEN chance('null', i::text) > 0.05 THEN round((chance('price', i::text) * 100)::numeric, 3) END, trunc((chance('amount', i::text) * 1000)::numeric, 2),
		chance('n', i::text) * 10, 'w' || trunc(chance('word', i::text) * 20)
	FROM generate_series(1, 6000) AS i;
-- many at one instant, in an order that is not that of their values
INSERT INTO click SELECT 3, '2024-01-20 00:00Z', i * 7919 % 700, i, i, 'x' || i % 7 FROM generate_series(1, 700) AS i;
-- no key, no time, times that are none
INSERT INTO click VALUES (NULL, '2024-01-20 00:00Z', 1, 1, 1, 'a'), (3, NULL, 1, 1, 1, 'a'), (3, 'infinity', 1, 1, 1, 'a'), (3, '-infinity', 1, 1, 1, 'a');
CREATE TABLE visit (user_id int, day date, pages int);
INSERT INTO visit SELECT chance('visitor', i::text) * 12, '2024-01-01'::date + (chance('day', i::text) * 40)::int, chance('pages', i::text) * 30 FROM generate_series(1, 800) AS i;

CREATE TABLE wanted (n int GENERATED ALWAYS AS IDENTITY, source regclass, at text, function text, input text, params jsonb, filter text);
INSERT INTO wanted (source, at, function, input, params, filter) VALUES
	('click', 'at', 'count', NULL, '{}', NULL), ('click', 'at', 'count', 'price', '{}', NULL), ('click', 'at', 'count', NULL, '{}', 'n > 3'),
	('click', 'at', 'sum', 'price', '{}', NULL), ('click', 'at', 'sum', 'amount', '{}', 'n > 3'), ('click', 'at', 'avg', 'n', '{}', NULL),
	('click', 'at', 'min', 'price', '{}', NULL), ('click', 'at', 'max', 'word', '{}', NULL), ('click', 'at', 'sum', '1000 / n', '{}', 'n <> 0'),
	('click', 'at', 'first', 'word', '{}', NULL), ('click', 'at', 'last', 'word', '{}', NULL), ('click', 'at', 'stddev_samp', 'price', '{}', NULL),
	('click', 'at', 'var_pop', 'amount', '{}', NULL), ('click', 'at', 'skew', 'price', '{}', NULL), ('click', 'at', 'kurtosis', 'n', '{}', NULL),
	('click', 'at', 'first_n', 'word', '{"n": 3}', NULL), ('click', 'at', 'last_n', 'word', '{"n": 4}', NULL), ('click', 'at', 'last_n', 'word', '{"n": 2}', NULL),
	('click', 'at', 'first_distinct_n', 'word', '{"n": 3}', NULL), ('click', 'at', 'last_distinct_n', 'word', '{"n": 3}', NULL),
	('click', 'at', 'top_n', 'price', '{"n": 3}', NULL), ('click', 'at', 'bottom_n', 'n', '{"n": 3}', NULL),
	('click', 'at', 'count_distinct', 'word', '{}', NULL), ('click', 'at', 'count_distinct', 'price', '{"bound": 5}', NULL),
	('click', 'at', 'approx_count_distinct', 'amount', '{}', NULL), ('click', 'at', 'approx_percentile', 'price', '{"percentile": 0.9}', NULL),
	('click', 'at', 'histogram', 'n', '{}', NULL), ('visit', 'day', 'sum', 'pages', '{}', NULL), ('visit', 'day', 'last', 'pages', '{}', 'pages > 4');
CREATE VIEW made AS
	SELECT format('f%s_%s_%s', n, function, m) AS name, wanted.*, time_window
	FROM wanted, unnest('{rolling 1h hop 0,rolling 7d hop 6h,rolling 1d hop 1h delay 1h,tumbling 1d,sawtooth 13d,lifetime,sliding 36h slide 1h,rolling 20d hop 0}'::time_window[])
		WITH ORDINALITY AS w(time_window, m);
SELECT count(register_feature(name, source, '{user_id}', at, function, input, time_window, params, filter)) FROM made;
SELECT materialize_features(ARRAY(SELECT name FROM made ORDER BY n, name), 'user_features', publish_mode => 'TRIGGERED');
SELECT create_feature_spec('windows', ARRAY[feature(ARRAY(SELECT name FROM made ORDER BY n, name))]);

-- labels anywhere, of users without events, at the time of an event, twice, before and after any, without time or key
CREATE TABLE label AS
	SELECT chance('label user', i::text)::numeric * 15 AS user_id, '2023-12-30 00:00Z'::timestamptz + make_interval(secs => trunc(chance('label', i::text) * 45 * 86400)) AS at
	FROM generate_series(1, 60) AS i;
ALTER TABLE label ALTER user_id TYPE int;
INSERT INTO label (SELECT user_id, at FROM click WHERE isfinite(at) AND user_id IS NOT NULL ORDER BY chance('event', at::text) LIMIT 12);
INSERT INTO label VALUES (3, '2024-01-20 00:00Z'), (3, '2024-01-20 00:00:00.000001Z'), (3, '2024-01-20 00:00:00.000001Z'), (3, '2024-01-25 00:00Z'),
	(5, '1990-01-01 00:00Z'), (5, '2090-01-01 00:00Z'), (5, NULL), (NULL, '2024-01-20 00:00Z');
SELECT train('windows_set', 'SELECT * FROM label', 'windows');
SELECT count(*), count(DISTINCT label_row), min(label_row), max(label_row) FROM windows_set_auto_4mb;

-- the oracle: events of the feature's view within the window, aggregated by one aggregate
CREATE TABLE trained AS SELECT label_row, user_id, at, e.key AS name, e.value FROM windows_set_auto_4mb AS t, jsonb_each_text(to_jsonb(t)) AS e WHERE e.key ~ '^f\d';
CREATE TABLE expected (label_row bigint, name text, value text);
DO $$
DECLARE
	f record;
BEGIN
	FOR f IN SELECT d.name, (d.definition).*, d.call, featurestore._agg_template(d.definition, d.value_collation) AS template
			 FROM featurestore._described_features(featurestore._features_in('user_features')) AS d LOOP
		EXECUTE format('INSERT INTO expected SELECT l.label_row, $1, to_jsonb(agg_value(coalesce(s.state, %1$s), $2, NULL::%2$s)) #>> ''{}''
			FROM windows_set_auto_4mb AS l CROSS JOIN LATERAL (
				SELECT accumulate(%1$s, e.%3$I%4$s) AS state FROM %5$s AS e
				WHERE e.user_id = l.user_id AND e.%3$I >= window_lo($3, l.at) AND e.%3$I < window_hi($3, l.at) AND isfinite(e.%3$I)) AS s WHERE l.at IS NOT NULL',
			f.template, f.result_type, f.timeseries_column, CASE WHEN f.input IS NULL THEN '' ELSE ', e.value' END, f.relation)
			USING f.name, f.call, f.time_window;
	END LOOP;
END
$$;
SELECT count(*) AS compared, count(*) FILTER (WHERE t.value IS DISTINCT FROM e.value) AS different, count(DISTINCT name) AS features, count(e.value) AS not_null
	FROM trained AS t JOIN expected AS e USING (label_row, name);
SELECT t.name, count(*) FROM trained AS t JOIN expected AS e USING (label_row, name) WHERE t.value IS DISTINCT FROM e.value GROUP BY 1 ORDER BY 1 LIMIT 5;
-- without a time there is nothing, without a key there are no events
SELECT count(value) FILTER (WHERE at IS NULL) AS without_time, array_agg(DISTINCT value) FILTER (WHERE user_id IS NULL) AS without_key FROM trained;

-- and some by plain SQL
SELECT count(*) AS compared, count(*) FILTER (WHERE (t.f1_count_2, t.f5_sum_2, t.f8_max_2, t.f22_bottom_n_2, t.f28_sum_2)
													IS DISTINCT FROM (o.count, o.sum, o.max, o.bottom_n, o.pages)) AS different
FROM windows_set_auto_4mb AS t CROSS JOIN LATERAL (
	SELECT count(*), sum(amount) FILTER (WHERE n > 3), max(word),
		(SELECT array_agg(n ORDER BY n) FROM (SELECT n FROM click c WHERE c.user_id = t.user_id AND c.at >= lo AND c.at < hi AND n IS NOT NULL ORDER BY n LIMIT 3) AS least) AS bottom_n,
		(SELECT sum(pages) FROM visit v WHERE v.user_id = t.user_id AND v.day::timestamp AT TIME ZONE 'UTC' >= lo AND v.day::timestamp AT TIME ZONE 'UTC' < hi) AS pages
	FROM (SELECT date_bin('6 h', t.at - interval '7 d', '1970-01-01Z'), t.at) AS w(lo, hi) JOIN click c ON c.user_id = t.user_id AND c.at >= lo AND c.at < hi
	GROUP BY lo, hi) AS o
WHERE t.at IS NOT NULL;

--
-- More events of a key, and more labels, than fit in little memory; partials of partials
--
CREATE TABLE busy (user_id bigint, at timestamptz, n int, word text);
INSERT INTO busy SELECT i % 3 / 2, '2024-01-01 00:00Z'::timestamptz + make_interval(secs => trunc(chance('busy', i::text) * 10 * 86400)), chance('busy n', i::text) * 1000, 'word ' || i % 50
	FROM generate_series(1, 18000) AS i;
SELECT count(register_feature('busy_' || name, 'busy', '{user_id}', 'at', function, input, time_window::time_window, params::jsonb)) FROM (VALUES
	('count_1d', 'count', NULL, 'rolling 1d hop 0', '{}'), ('sum_1d', 'sum', 'n', 'rolling 1d hop 0', '{}'), ('words_1d', 'count_distinct', 'word', 'rolling 1d hop 0', '{}'),
	('last_8h', 'last_n', 'word', 'rolling 8h hop 0', '{"n": 5}'), ('max_ever', 'max', 'n', 'lifetime', '{}'), ('sum_ever', 'sum', 'n', 'lifetime', '{}')) AS f(name, function, input, time_window, params);
SELECT materialize_features('{busy_count_1d,busy_sum_1d,busy_words_1d,busy_last_8h,busy_max_ever,busy_sum_ever}', 'busy_features', publish_mode => 'TRIGGERED', wait => false);
SELECT create_feature_spec('busy_windows', ARRAY[feature('{busy_count_1d,busy_sum_1d,busy_words_1d,busy_last_8h,busy_max_ever,busy_sum_ever}')]);
CREATE TABLE busy_label AS SELECT i % 2 AS user_id, '2023-12-31 00:00Z'::timestamptz + make_interval(secs => trunc(chance('busy label', i::text) * 12 * 86400)) AS at FROM generate_series(1, 2500) AS i;
SELECT train('busy_set', 'SELECT * FROM busy_label', 'busy_windows');
SELECT count(*) AS compared, count(*) FILTER (WHERE (t.busy_count_1d, t.busy_sum_1d, t.busy_words_1d, t.busy_last_8h, t.busy_max_ever, t.busy_sum_ever) IS DISTINCT FROM
	(o.count, o.sum, o.words, o.last, o.max, o.sum_ever)) AS different
FROM busy_set_auto_4mb AS t CROSS JOIN LATERAL (
	SELECT count(*) FILTER (WHERE is_near), sum(n) FILTER (WHERE is_near), count(DISTINCT word) FILTER (WHERE is_near) AS words,
		(array_agg(word ORDER BY at DESC, word COLLATE "C" DESC) FILTER (WHERE at >= t.at - interval '8 h'))[:5] AS last, max(n), sum(n) AS sum_ever
	FROM (SELECT *, at >= t.at - interval '1 d' AS is_near FROM busy b WHERE b.user_id = t.user_id AND b.at < t.at) AS b) AS o
WHERE label_row % 10 = 0;

--
-- Rows: keys that look alike, ties that the unique index breaks, NULLs that are
-- values, days for times, labels at the time of a row
--
CREATE TABLE price (shop text, item text, at timestamptz, batch int, price numeric, note text COLLATE "C", PRIMARY KEY (shop, item, at, batch));
INSERT INTO price
	SELECT shop, item, '2024-01-01 00:00Z'::timestamptz + make_interval(hours => (chance('price', i::text) * 200)::int), i,
		CASE WHEN chance('none', i::text) > 0.2 THEN i END, repeat('note ' || i, (chance('long', i::text) * 3000)::int)
	FROM generate_series(1, 600) AS i, LATERAL (SELECT (ARRAY['1', '12', '123', ''])[1 + (chance('shop', i::text) * 3.99)::int % 4], (ARRAY['23', '3', '', '123'])[1 + (chance('item', i::text) * 3.99)::int % 4]) AS k(shop, item);
SELECT create_online_table('price', timeseries_column => 'at');
CREATE TABLE rate (currency text, day date, rate float8, PRIMARY KEY (currency, day));
INSERT INTO rate SELECT c, '2024-01-01'::date + i * 2, i FROM unnest('{EUR,USD}'::text[]) AS c, generate_series(0, 4) AS i;
INSERT INTO rate VALUES ('EUR', '-infinity', -1), ('EUR', 'infinity', 1000), ('USD', '0044-03-15 BC', -2);
SELECT create_online_table('rate', timeseries_column => 'day', ttl => '3 days');
SELECT create_feature_spec('rows', ARRAY[
	lookup('price', '{shop,item}', '{batch,price,note}', default_values => '{"price": -1}'), lookup('rate', '{currency}', '{rate}', default_values => '{"rate": 0}')]);
CREATE TABLE sale AS
	SELECT i, (ARRAY['1', '12', '123', '', '4'])[1 + (chance('sale shop', i::text) * 4.99)::int % 5] AS shop, (ARRAY['23', '3', '', '123'])[1 + (chance('sale item', i::text) * 3.99)::int % 4] AS item,
		(ARRAY['EUR', 'USD', 'CHF'])[1 + (chance('currency', i::text) * 2.99)::int % 3] AS currency,
		'2023-12-31 00:00Z'::timestamptz + make_interval(hours => (chance('sale', i::text) * 260)::int, secs => CASE WHEN i % 3 = 0 THEN -0.000001 WHEN i % 3 = 1 THEN 0.000001 ELSE 0 END) AS at
	FROM generate_series(1, 400) AS i;
SELECT train('rows_set', 'SELECT * FROM sale ORDER BY i', 'rows');
SELECT count(*) AS compared, count(t.price) AS prices, count(*) FILTER (WHERE (t.batch, t.price, t.note, t.rate) IS DISTINCT FROM
	(p.batch, CASE WHEN p.batch IS NULL THEN -1 ELSE p.price END, p.note, coalesce(r.rate, 0))) AS different
FROM rows_set_auto_4mb AS t
LEFT JOIN LATERAL (SELECT p.batch, p.price, p.note FROM price p WHERE p.shop = t.shop AND p.item = t.item AND p.at <= t.at ORDER BY p.at DESC, p.batch DESC LIMIT 1) AS p ON true
LEFT JOIN LATERAL (SELECT CASE WHEN r.day::timestamp AT TIME ZONE 'UTC' >= t.at - interval '3 days' THEN r.rate END AS rate
	FROM rate r WHERE r.currency = t.currency AND r.day::timestamp AT TIME ZONE 'UTC' <= t.at ORDER BY r.day DESC LIMIT 1) AS r ON true;

--
-- A published table has the newest row of each key; training reads its source
--
CREATE TABLE stock (item int, seen timestamptz, units smallint, is_valid boolean NOT NULL, PRIMARY KEY (item, seen));
INSERT INTO stock SELECT chance('stock item', i::text) * 8, '2024-01-01 00:00Z'::timestamptz + make_interval(mins => i * 7), i % 100, chance('valid', i::text) > 0.3 FROM generate_series(1, 300) AS i;
SELECT publish_table('stock', 'stock_now', 'TRIGGERED', timeseries_column => 'seen', filter => 'is_valid');
SELECT create_feature_spec('stocks', ARRAY[lookup('stock_now', '{item}', '{units,seen}')]);
CREATE TABLE request AS SELECT chance('request', i::text)::numeric * 9 AS item, '2024-01-01 00:00Z'::timestamptz + make_interval(mins => (chance('request at', i::text) * 2400)::int) AS at FROM generate_series(1, 200) AS i;
ALTER TABLE request ALTER item TYPE int;
SELECT train('stocks_set', 'SELECT * FROM request', 'stocks');
SELECT count(*) AS compared, count(t.seen) AS found, count(*) FILTER (WHERE (t.units, t.seen) IS DISTINCT FROM (s.units, s.seen)) AS different
FROM stocks_set_auto_4mb AS t
LEFT JOIN LATERAL (SELECT s.units, s.seen FROM stock s WHERE s.item = t.item AND s.seen <= t.at AND s.is_valid ORDER BY s.seen DESC LIMIT 1) AS s ON true;

--
-- Current values only if they are wanted
--
CREATE TABLE profile (user_id int PRIMARY KEY, name text, born timestamptz);
INSERT INTO profile SELECT i, 'user ' || i, '2000-01-01Z' FROM generate_series(0, 9) AS i;
SELECT create_feature_spec('people', ARRAY[lookup('profile', '{user_id}', '{name}')]);
SELECT refused($$SELECT create_training_set('people_set', 'SELECT * FROM label', 'people', 'at')$$);
SELECT train('people_set', 'SELECT * FROM label', 'people', allow_current => true);
SELECT count(*) AS compared, count(t.name) AS found, count(*) FILTER (WHERE t.name IS DISTINCT FROM p.name AND t.at IS NOT NULL) AS different
FROM people_set_auto_4mb AS t LEFT JOIN profile p USING (user_id);
-- of a view the planner knows no key: two rows of one are an error, by each plan
CREATE VIEW profiles AS SELECT * FROM profile UNION ALL SELECT 5, 'another', NULL;
SELECT create_feature_spec('views', ARRAY[lookup('profiles', '{user_id}', '{name}')]);
SET featurestore.training_plan = sweep;
SELECT refused($$SELECT create_training_set('views_set', 'SELECT 5 AS user_id, now() AS at', 'views', 'at', allow_current => true)$$);
SELECT * FROM create_training_set('views_set', 'SELECT 6 AS user_id, now() AS at', 'views', 'at', allow_current => true);
SET featurestore.training_plan = seek;
SELECT refused($$SELECT create_training_set('more_views_set', 'SELECT 5 AS user_id, now() AS at', 'views', 'at', allow_current => true)$$);
RESET featurestore.training_plan;

--
-- When rows became known is to be told by their transactions
--
SELECT refused($$SELECT create_training_set('known_set', 'SELECT *, at AS known FROM sale', 'rows', 'at', known_at => 'known')$$);
SELECT refused($$SELECT create_training_set('known_set', 'SELECT *, at AS known FROM label', 'windows', 'at', known_at => 'known')$$);
SELECT refused($$SELECT create_training_set('known_set', 'SELECT *, at AS known FROM label', 'views', 'at', known_at => 'known', allow_current => true)$$);

--
-- Rows that a snapshot does not show can be left out
--
CREATE TABLE shown AS SELECT pg_current_snapshot() AS snapshot;
INSERT INTO click SELECT user_id, at, 1e6, 1e6, 9, 'late' FROM click WHERE n = 5;
UPDATE price SET price = -5 WHERE batch % 2 = 0;
CREATE FUNCTION rows_in(spec regclass, labels text, snapshot pg_snapshot) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	outputs text := (SELECT string_agg(format(', %I %s', attname, format_type(atttypid, atttypmod)), '' ORDER BY attnum) FROM pg_attribute WHERE attrelid = spec AND attnum > 0 AND attname NOT IN ('user_id', 'shop', 'item', 'currency'));
	columns text := (SELECT string_agg(format(', %I %s', attname, format_type(atttypid, atttypmod)), '' ORDER BY attnum) FROM pg_attribute WHERE attrelid = labels::regclass AND attnum > 0);
BEGIN
	RETURN QUERY EXECUTE format('SELECT md5(t::text) FROM featurestore._training_rows(%L, %L, %L, visible_in => %L) AS t(label_row bigint%s%s) ORDER BY label_row', spec, labels, 'at', snapshot, columns, outputs);
END
$$;
SELECT count(*) AS compared, count(*) FILTER (WHERE md5(t::text) <> shown) AS different, count(*) FILTER (WHERE md5(t::text) <> now) AS changed_since
FROM windows_set_auto_4mb AS t JOIN rows_in('windows', 'label', (SELECT snapshot FROM shown)) WITH ORDINALITY AS s(shown, label_row) USING (label_row)
	JOIN rows_in('windows', 'label', NULL) WITH ORDINALITY AS n(now, label_row) USING (label_row);

--
-- Who cannot read the source, or not all its rows, reads what the features' views show; the same
--
CREATE ROLE regress_training_reader;
GRANT USAGE ON SCHEMA training_answers TO regress_training_reader;
GRANT SELECT ON user_features, label TO regress_training_reader;
DO $$ BEGIN EXECUTE (SELECT string_agg(format('GRANT SELECT ON %I TO regress_training_reader', name), ';') FROM made); END $$;
CREATE FUNCTION few_in(reader regrole) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %s', reader);
	RETURN QUERY SELECT md5(t::text) FROM featurestore._training_rows('few', 'label', 'at') AS t(label_row bigint, user_id int, at timestamptz, f1_count_2 bigint, f5_sum_4 numeric, f3_count_1 bigint, f17_last_n_6 text[], f28_sum_8 bigint);
	RESET ROLE;
END
$$;
SELECT create_feature_spec('few', ARRAY[feature('{f1_count_2,f5_sum_4,f3_count_1,f17_last_n_6,f28_sum_8}')], exclude_columns => '{user_id}');
GRANT SELECT ON few TO regress_training_reader;
CREATE TABLE few_shown AS SELECT * FROM few_in(current_user::regrole) WITH ORDINALITY AS f(row, n);
SELECT count(*) AS compared, count(*) FILTER (WHERE f.row <> r.row) AS different FROM few_shown AS f FULL JOIN few_in('regress_training_reader') WITH ORDINALITY AS r(row, n) USING (n);
GRANT SELECT ON click, visit TO regress_training_reader;
SELECT count(*) AS compared, count(*) FILTER (WHERE f.row <> r.row) AS different FROM few_shown AS f FULL JOIN few_in('regress_training_reader') WITH ORDINALITY AS r(row, n) USING (n);
ALTER TABLE click ENABLE ROW LEVEL SECURITY;
SELECT count(*) AS compared, count(*) FILTER (WHERE f.row <> r.row) AS different FROM few_shown AS f FULL JOIN few_in('regress_training_reader') WITH ORDINALITY AS r(row, n) USING (n);
-- which rows count there the views do not tell; whom no policy concerns reads the source itself
GRANT SELECT ON shown TO regress_training_reader;
SET ROLE regress_training_reader;
SELECT refused($$SELECT rows_in('few', 'label', (SELECT snapshot FROM shown))$$);
RESET ROLE;
SELECT count(*) FROM rows_in('few', 'label', (SELECT snapshot FROM shown));
ALTER TABLE click DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON click FROM regress_training_reader;
DO $$ BEGIN EXECUTE (SELECT string_agg(format('REVOKE SELECT ON %I FROM regress_training_reader', name), ';') FROM made WHERE n = 5); END $$;
SELECT refused($$SELECT few_in('regress_training_reader')$$);

\set VERBOSITY terse
DROP SCHEMA training_answers CASCADE;
\set VERBOSITY default
DROP ROLE regress_training_reader;
