--
-- Materialized features: states, values, syncs, offline tables
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_definer;
CREATE ROLE regress_stranger;
CREATE SCHEMA states AUTHORIZATION regress_definer;
GRANT USAGE ON SCHEMA states TO regress_stranger;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_stranger', current_database()); END $$;
RESET client_min_messages;
SET search_path = states;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
SET ROLE regress_definer;

CREATE VIEW placed AS
	SELECT feature::text, function, time_window, online_table::text, state_column
	FROM featurestore.features WHERE pg_catalog.pg_table_is_visible(feature) ORDER BY feature::text COLLATE "C";
CREATE VIEW changed AS
	SELECT relation::text, rows_changed FROM featurestore.publication_position WHERE pg_catalog.pg_table_is_visible(relation) ORDER BY 1;
-- columns of a table: states where they are
CREATE FUNCTION columns(relation regclass) RETURNS TABLE(name name, type text, not_null boolean, storage "char")
	LANGUAGE sql AS $$
SELECT attname, format_type(atttypid, atttypmod), attnotnull, CASE WHEN atttypid::regtype::text ~ 'state' THEN attstorage END FROM pg_attribute
WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped ORDER BY attnum $$;

--
-- Fixed events, so that values over all time and closed windows are known
--
CREATE TABLE payments (user_id bigint, item text COLLATE "C", ts timestamptz, amount bigint, kind int);
INSERT INTO payments VALUES
	(1, 'a', '2024-03-01 10:00', 10, 1), (1, 'b', '2024-03-01 18:00', 20, 2), (1, 'a', '2024-03-03 10:00', 40, 1),
	(2, 'a', '2024-03-02 00:00', 80, 2), (2, 'b', '2024-03-05 00:00', NULL, 2);
SELECT * FROM featurestore.register_features('payments', '{user_id}', 'ts',
	'[{"function": "sum", "input": "amount"}, {"function": "count", "input": "amount"}, {"function": "count"}, {"function": "last_n", "input": "kind", "params": {"n": 2}}]',
	ARRAY[featurestore.lifetime_window(), featurestore.tumbling_window('1 day'), featurestore.sliding_window('2 days', '12 hours')]);
SELECT featurestore.materialize_features(ARRAY(SELECT feature FROM placed), 'users', publish_mode => 'SNAPSHOT');
SELECT * FROM columns('users');
SELECT reloptions FROM pg_class WHERE oid = 'users'::regclass;
SELECT * FROM placed;
SELECT * FROM columns('users_values');
SELECT user_id, amount_sum_lifetime, amount_count_lifetime, count_lifetime, kind_last_n_lifetime, amount_sum_tumbling_1d, count_tumbling_1d
FROM users_values ORDER BY user_id;
SELECT primary_key, publish_mode, source_table, is_ready, cardinality(features) FROM featurestore.publications WHERE online_table = 'users'::regclass;
SELECT source_table, has_windows FROM featurestore.feature_tables WHERE table_name = 'users'::regclass;
SELECT state_column, call, time_window, result_type, entity, is_count, version FROM featurestore._materialized_feature('amount_sum_lifetime');

-- the same again
SELECT featurestore.materialize_features('{amount_sum_lifetime,states.count_lifetime,amount_sum_lifetime}', 'users');

-- a sync writes what has changed, and nothing else
CALL featurestore.sync('users');
SELECT * FROM changed;
INSERT INTO payments VALUES (3, 'c', '2024-03-04', 5, 9), (1, 'c', '2024-02-01', 1, 7);
DELETE FROM payments WHERE user_id = 2;
CALL featurestore.sync('users');
SELECT * FROM changed;
SELECT user_id, amount_sum_lifetime, amount_count_lifetime, count_lifetime, kind_last_n_lifetime FROM users_values ORDER BY user_id;

-- what is of no entity or window is counted; what is not due is held
BEGIN;
INSERT INTO payments VALUES (NULL, 'c', '2024-03-04', 5, 9), (NULL, 'c', '2024-03-04', 6, 9), (4, 'c', NULL, 5, 9), (4, 'c', 'infinity', 5, 9),
	(4, 'c', '-infinity', 5, 9), (5, 'c', now() + interval '1 hour', 1, 1), (1, 'c', now() + interval '1 hour', 1000, 1);
CALL featurestore.sync('users');
SELECT user_id, amount_sum_lifetime FROM users_values ORDER BY user_id;
ROLLBACK;

--
-- A fill uses parallel workers where the planner wants them
--
CREATE FUNCTION process(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS 'BEGIN RETURN pg_backend_pid(); END';
CREATE TABLE many AS SELECT i % 10 AS k, now() - i * interval '1 s' AS ts, i FROM generate_series(1, 20000) AS i;
ANALYZE many;
SELECT featurestore.register_feature('processes', 'many', '{k}', 'ts', 'histogram', 'process(i)');
SET client_min_messages = warning;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET parallel_leader_participation = off;
SELECT featurestore.materialize_features('{processes}', 'worked');
SELECT count(*), count(*) FILTER (WHERE processes ? pg_backend_pid()::text) AS by_this FROM worked_values;
RESET min_parallel_table_scan_size;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET parallel_leader_participation;
SELECT featurestore.drop_feature('processes', cascade => true);
RESET client_min_messages;

--
-- Any time: states against plain SQL over the rows of each window
--
CREATE TABLE events (user_id int, shop text, ts timestamptz, day date, amount bigint, price float8);
INSERT INTO events
SELECT i % 2, chr(97 + i % 3), ts, ts::date, CASE WHEN i % 11 > 0 THEN i * 37 % 100 END, i * 0.1
FROM generate_series(1, 1000) AS i, LATERAL (SELECT date_trunc('hour', now()) - make_interval(mins => i * i % 15000) AS ts) AS t;
SELECT count(*) FROM featurestore.register_features('events', '{user_id,shop}', 'ts',
	'[{"function": "sum", "input": "amount", "name": "sum"}, {"function": "max", "input": "amount", "name": "max"}, {"function": "count", "name": "rows"},
	  {"function": "sum", "input": "price", "name": "price"}, {"function": "first", "input": "price", "name": "first"},
	  {"function": "top_n", "input": "amount", "params": {"n": 3}, "name": "top3"}, {"function": "top_n", "input": "amount", "params": {"n": 5}, "name": "top5"},
	  {"function": "count_distinct", "input": "amount", "name": "distinct"}]',
	ARRAY[featurestore.rolling_window('1 day'), featurestore.rolling_window('3 hours', delay => '90 minutes', hop => '0'),
		  featurestore.sliding_window('7 days', '1 day', delay => '1 hour'), featurestore.tumbling_window('1 hour'),
		  featurestore.tumbling_window('7 hours', "offset" => '1 hour'), featurestore.sawtooth_window('3 days'), featurestore.lifetime_window()],
	filter => 'amount IS DISTINCT FROM 13');
SET client_min_messages = warning;
SELECT featurestore.materialize_features(ARRAY(SELECT feature FROM placed WHERE online_table IS NULL), 'shops', 'shops_offline');
RESET client_min_messages;
SELECT * FROM columns('shops');
-- features that nest share a state; those with a smaller n that of a greater
SELECT state_column, count(*) FROM placed WHERE online_table = 'shops' GROUP BY 1 ORDER BY 1;

CREATE FUNCTION check_feature(feature text, aggregate text, at timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	f featurestore.features;
	wrong bigint;
BEGIN
	SELECT * INTO STRICT f FROM featurestore.features WHERE features.feature = check_feature.feature::regclass;
	EXECUTE format('SELECT count(*) FROM shops s LEFT JOIN (SELECT user_id, shop, %s AS value FROM events AS source
		WHERE %s AND ts >= $1 AND ts < $2 GROUP BY 1, 2) AS o USING (user_id, shop)
		WHERE featurestore.window_value(s.%I, %L, %L, $3, NULL::%s)::text IS DISTINCT FROM coalesce(o.value, %s)::text',
		aggregate, f.filter, f.state_column, f.function, f.time_window, f.result_type, CASE WHEN aggregate ~ 'count' THEN '0' ELSE 'NULL' END)
	INTO wrong USING featurestore.window_lo(f.time_window, at), featurestore.window_hi(f.time_window, at), at;
	RETURN wrong;
END $$;
CREATE TABLE oracle AS
	SELECT feature::text, aggregate
	FROM featurestore.features JOIN (VALUES ('sum', 'sum(amount)'), ('max', 'max(amount)'), ('rows', 'count(*)'), ('first', '(array_agg(price ORDER BY ts, price))[1]'),
		('top3', '(array_agg(amount ORDER BY amount DESC) FILTER (WHERE amount IS NOT NULL))[:3]'),
		('top5', '(array_agg(amount ORDER BY amount DESC) FILTER (WHERE amount IS NOT NULL))[:5]'), ('distinct', 'count(DISTINCT amount)')) AS o(name, aggregate)
	ON feature::text ~ ('^' || name) WHERE online_table = 'shops'::regclass;
SELECT count(*) FROM oracle;
SELECT feature, minutes FROM oracle, unnest(ARRAY[0, 1, 61, 1500]) AS minutes
WHERE check_feature(feature, aggregate, statement_timestamp() + minutes * interval '1 minute') > 0 ORDER BY 1, 2;
-- what is served is what a preview computes
CREATE FUNCTION check_preview(feature text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	wrong bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM shops_values v LEFT JOIN featurestore.preview_feature(%L, as_of => statement_timestamp()) AS p
		ON p.key = jsonb_build_object(''user_id'', user_id, ''shop'', shop) WHERE to_jsonb(v.%I) IS DISTINCT FROM nullif(p.value, ''null'')', feature, feature) INTO wrong;
	RETURN wrong;
END $$;
SELECT feature FROM placed WHERE online_table = 'shops' AND check_preview(feature) > 0;

--
-- Offline: a row for each end of a window
--
SELECT count(DISTINCT name) AS columns FROM columns('shops_offline');
SELECT count(*) = count(DISTINCT (user_id, shop, window_end)) AS is_unique, count(*) > 1000 AS many, max(window_end) + interval '1 hour' <= now() + interval '1 minute' AS closed FROM shops_offline;
CREATE FUNCTION check_offline(feature text, aggregate text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	f featurestore.features;
	p record;
	wrong bigint;
BEGIN
	SELECT * INTO STRICT f FROM featurestore.features WHERE features.feature = check_offline.feature::regclass;
	SELECT * INTO p FROM featurestore._window_parts(f.time_window);
	EXECUTE format('SELECT count(*) FROM shops_offline s
		CROSS JOIN LATERAL (SELECT featurestore.window_hi(%1$L, s.window_end + %2$L::interval) AS hi) AS h
		CROSS JOIN LATERAL (SELECT %3$s AS value FROM events AS source WHERE %4$s AND source.user_id = s.user_id AND source.shop = s.shop
							AND ts >= hi - %5$L::interval AND ts < hi) AS o
		WHERE s.window_end > now() - interval ''1 day'' AND s.%6$I::text IS DISTINCT FROM o.value::text', f.time_window, p.delay, aggregate, f.filter, p.duration, feature)
	INTO wrong;
	RETURN wrong;
END $$;
SELECT feature FROM oracle WHERE feature ~ 'sliding|tumbling' AND check_offline(feature, aggregate) > 0;
-- no end is missing or too many
WITH ends AS (
	SELECT user_id, shop, e FROM (SELECT user_id, shop, min(ts), max(ts) FROM events WHERE amount IS DISTINCT FROM 13 GROUP BY 1, 2) AS b,
		(VALUES (interval '7 days', interval '1 day', interval '0'), ('1 hour', '1 hour', '0'), ('7 hours', '7 hours', '1 hour')) AS w(duration, step, shift),
		generate_series(date_bin(step, min, timestamptz '1970-01-01 00:00+00' + shift) + step,
						date_bin(step, max + duration, timestamptz '1970-01-01 00:00+00' + shift), step) AS e
	WHERE e + interval '1 hour' <= (SELECT applied_to FROM featurestore.publication_position WHERE relation = 'shops'::regclass))
SELECT count(*) FROM (SELECT user_id, shop, e FROM ends) AS e FULL JOIN shops_offline o ON (e.user_id, e.shop, e.e) = (o.user_id, o.shop, o.window_end)
WHERE e.user_id IS NULL OR o.user_id IS NULL;

-- after changes the merged tables are those that a fill would make
INSERT INTO events SELECT user_id, shop, ts - interval '30 minutes', day, amount + 1, price FROM events WHERE amount % 9 = 0;
DELETE FROM events WHERE amount % 8 = 0;
UPDATE events SET amount = amount + 100 WHERE amount % 7 = 0;
CREATE TABLE before AS SELECT * FROM shops;
CREATE TABLE before_offline AS SELECT * FROM shops_offline;
CALL featurestore.sync('shops');
SELECT feature FROM oracle WHERE check_feature(feature, aggregate, statement_timestamp()) > 0 OR (feature ~ 'sliding|tumbling' AND check_offline(feature, aggregate) > 0);
SELECT count(*) > 0 AS differ FROM shops JOIN before USING (user_id, shop) WHERE shops::text <> before::text;
CREATE TABLE merged AS SELECT * FROM shops;
TRUNCATE shops;
CALL featurestore.rebuild('shops');
SELECT count(*) FROM shops s FULL JOIN merged m USING (user_id, shop) WHERE s::text IS DISTINCT FROM m::text;

--
-- More features in a table
--
SELECT featurestore.register_feature('mean', 'payments', '{user_id}', 'ts', 'avg', 'amount');
SELECT featurestore.register_feature('week', 'payments', '{user_id}', 'ts', 'sum', 'amount', featurestore.rolling_window('7 days'));
SELECT featurestore.register_feature('items', 'payments', '{user_id}', 'ts', 'histogram', 'kind');
SELECT featurestore.materialize_features('{mean,items}', 'users', wait => false);
SELECT feature, state_column FROM placed WHERE feature IN ('mean', 'items');
-- there are states for one already; the other is not ready until it is filled
SELECT is_ready FROM featurestore.publications WHERE online_table = 'users'::regclass;
SELECT feature, item, value FROM unnest('{mean,items}'::text[]) AS feature, featurestore.explain_feature(feature, '{"user_id": 1}') WHERE item ~ 'status|served';
SELECT featurestore.create_feature_spec('growing', ARRAY[featurestore.feature('{mean,amount_sum_lifetime}'), featurestore.feature('{items}')]);
CREATE FUNCTION statuses(user_id int) RETURNS text LANGUAGE sql AS $$
SELECT string_agg(concat_ws(' ', key, j -> 'values' ->> key, value ->> 'status'), ', ' ORDER BY key)
FROM featurestore.feature_lookup_json('growing', jsonb_build_object('user_id', user_id), metadata => true) AS j, jsonb_each(j -> 'status') $$;
SELECT statuses(1), statuses(77);
SELECT user_id, mean, items FROM users_values ORDER BY user_id;
-- only what was added is filled; what was there stays as of its time, which is that of the table
CREATE TABLE filled AS SELECT applied_to FROM featurestore.publication_position WHERE relation = 'users'::regclass;
INSERT INTO payments VALUES (1, 'd', '2024-03-04', 1000, 3), (9, 'd', '2024-03-04', 1000, 3);
SET client_min_messages = warning;
SELECT featurestore.materialize_features('{week,mean,items}', 'users');
RESET client_min_messages;
SELECT * FROM changed WHERE relation = 'users';
SELECT p.applied_to = f.applied_to AS unchanged FROM featurestore.publication_position p, filled f WHERE relation = 'users'::regclass;
SELECT user_id, amount_sum_lifetime, mean, items FROM users_values ORDER BY user_id;
SELECT statuses(1), statuses(9), statuses(77);
CALL featurestore.sync('users');
SELECT user_id, amount_sum_lifetime, mean, items FROM users_values ORDER BY user_id;
DELETE FROM payments WHERE amount = 1000;
CALL featurestore.sync('users');
-- a column of the name of one that was filled before is not
SET client_min_messages = warning;
BEGIN;
SELECT featurestore.drop_feature('items', cascade => true);
SELECT featurestore.register_feature('items', 'payments', '{user_id}', 'ts', 'histogram', 'kind');
SELECT featurestore.materialize_features('{items}', 'users', wait => false);
SELECT name FROM columns('users') WHERE name ~ 'kind';
SELECT featurestore.create_feature_spec('growing', ARRAY[featurestore.feature('{mean,amount_sum_lifetime}'), featurestore.feature('{items}')]);
SELECT statuses(1);
ROLLBACK;
SELECT featurestore.drop_feature_spec('growing');
RESET client_min_messages;
SELECT name FROM columns('users');
SELECT name FROM columns('users_values');
SELECT user_id, amount_sum_lifetime, mean, week, items FROM users_values ORDER BY user_id;
SELECT item, value FROM featurestore.explain_feature('mean', '{"user_id": 1}') WHERE item !~ 'as of|window|bytes|applied';
SELECT item, value FROM featurestore.explain_feature('count_lifetime', '{"user_id": 99}') WHERE item ~ 'status|value|served';

-- from several sources, by dates
CREATE TABLE visits (user_id bigint, day date, page text);
INSERT INTO visits VALUES (1, '2024-03-01', 'home'), (1, '2024-03-02', 'cart'), (8, '2024-03-02', 'home');
SELECT featurestore.register_feature('pages', 'visits', '{user_id}', 'day', 'count', 'page');
SET client_min_messages = warning;
SELECT featurestore.materialize_features('{pages}', 'users');
RESET client_min_messages;
SELECT user_id, amount_sum_lifetime, count_lifetime, mean, pages FROM users_values ORDER BY user_id;

-- the next version goes beside the one before
GRANT SELECT ON users_values TO regress_stranger;
SELECT featurestore.register_feature('mean', 'payments', '{user_id}', 'ts', 'avg', 'amount', filter => 'kind = 1', replace => true);
SET client_min_messages = warning;
SELECT featurestore.materialize_features('{mean}', 'users');
RESET client_min_messages;
SELECT user_id, mean, mean_v1 FROM users_values ORDER BY user_id;

-- a spec keeps the version it was made with
SELECT featurestore.create_feature_spec('scored', ARRAY[featurestore.feature('{mean,pages}')]);
SELECT featurestore.register_feature('mean', 'payments', '{user_id}', 'ts', 'max', 'amount', replace => true);
SELECT * FROM scored(1);
SELECT featurestore.drop_feature('pages');
SELECT featurestore.drop_feature('mean_v2');
SELECT featurestore.drop_feature('mean_v2', cascade => true);
SELECT to_regclass('scored');
SET client_min_messages = warning;
SELECT featurestore.materialize_features('{mean}', 'users');
RESET client_min_messages;

--
-- Types with modifiers, names that are awkward, times at the ends, very many windows
--
CREATE TABLE odd (n char(5), "100%" bit(3), k date, v char(4), w varchar(9));
INSERT INTO odd VALUES ('a', '101', '2024-03-01', 'x', 'yy'), ('a', '101', '2024-03-02', 'z ', 'y'), ('b', '000', '5000000-01-01', 'q', 'q'), ('c', '111', '4714-11-24 BC', 'r', 'r'),
	('c', '111', '2024-03-01', 's', 's'), ('d', '010', 'infinity', 't', 't'), ('d', '010', NULL, 't', 't');
SELECT count(*) FROM featurestore.register_features('odd', '{n,100%}', 'k', '[{"function": "max", "input": "v", "name": "most"}, {"function": "last_n", "input": "w", "params": {"n": 2}, "name": "latest"}]',
	ARRAY[featurestore.lifetime_window(), featurestore.tumbling_window('1 day')]);
SET client_min_messages = warning;
SELECT featurestore.materialize_features('{most_lifetime,latest_lifetime,most_tumbling_1d}', 'odds', 'odds_offline');
RESET client_min_messages;
SELECT name, type FROM columns('odds') UNION ALL SELECT name, type FROM columns('odds_offline');
SELECT n, "100%", most_lifetime, latest_lifetime FROM odds_values ORDER BY 1;
SELECT * FROM odds_offline ORDER BY 1, 3;
SELECT key, value FROM featurestore.preview_feature('latest_lifetime', '{"n": "a", "100%": "101"}');
SELECT key, value FROM featurestore.preview_feature('most_lifetime');
SELECT value FROM featurestore.explain_feature('most_lifetime', '{"n": "a", "100%": "101"}') WHERE item ~ 'served';
SELECT featurestore.create_feature_spec('odd_spec', ARRAY[featurestore.feature('{most_lifetime}', default_values => '{"most_lifetime": "none"}')]);
SELECT * FROM odd_spec_batch('{a,zz}', '{101,101}');
SELECT featurestore.drop_feature_spec('odd_spec');
SELECT count(*) FROM featurestore.register_features('odd', '{n}', 'k', '[{"function": "count", "name": "odd_rows"}]', ARRAY(SELECT featurestore.rolling_window(i * interval '1 day', hop => '1 day') FROM generate_series(1, 70) AS i));
SET client_min_messages = warning;
SELECT featurestore.materialize_features(ARRAY(SELECT feature FROM placed WHERE feature ~ '^odd_rows'), 'odd_counts');
RESET client_min_messages;
SELECT state_column, count(*) FROM placed WHERE online_table = 'odd_counts' GROUP BY 1 ORDER BY 1;

--
-- Dropping
--
SELECT featurestore.drop_feature('mean');
SELECT featurestore.drop_feature('mean', cascade => true);
SELECT featurestore.drop_feature('mean_v1', cascade => true);
SELECT name FROM columns('users');
SELECT name FROM columns('users_values');
SELECT has_table_privilege('regress_stranger', 'users_values', 'SELECT');
SELECT cardinality(state_columns) = cardinality(templates) AS fit, state_columns FROM featurestore.window_table WHERE relation = 'users'::regclass;
CALL featurestore.sync('users');
-- the last one takes the table with it
SELECT featurestore.register_feature('alone', 'payments', '{user_id}', 'ts', 'max', 'amount', featurestore.tumbling_window('1 day'));
SET client_min_messages = warning;
SELECT featurestore.materialize_features('{alone}', 'lonely', 'lonely_offline');
RESET client_min_messages;
SELECT user_id, count(*) FROM lonely_offline GROUP BY 1 ORDER BY 1;
SELECT * FROM lonely_offline WHERE alone IS NOT NULL ORDER BY 1, 2;
SELECT featurestore.register_feature('alone', 'payments', '{user_id}', 'ts', 'min', 'amount', featurestore.tumbling_window('1 day'), replace => true);
CALL featurestore.sync('lonely');
SELECT name FROM columns('lonely_offline');
SELECT rows_changed FROM changed WHERE relation = 'lonely';
SELECT featurestore.drop_feature('alone_v1', true);
SELECT featurestore.drop_feature('alone', true);
SELECT to_regclass('lonely'), to_regclass('lonely_offline'), to_regclass('lonely_values');
-- dropping by hand
DROP VIEW items;
CALL featurestore.sync('users');
SET client_min_messages = warning;
ALTER TABLE users DROP COLUMN kind_frequencies CASCADE;
RESET client_min_messages;
CALL featurestore.sync('users');
SELECT featurestore.materialize_features('{week}', 'users');
SELECT name FROM columns('users_values');
DROP VIEW users_values;
DROP TABLE users;
SELECT feature, online_table, state_column FROM placed WHERE feature = 'week';

--
-- Errors
--
SELECT featurestore.materialize_features('{nothing}', 'users');
SELECT featurestore.materialize_features('{payments}', 'users');
SELECT featurestore.materialize_features('{}', 'users');
SELECT featurestore.materialize_features(NULL, 'users');
SELECT featurestore.materialize_features('{NULL}', 'users');
SELECT featurestore.materialize_features('{week}', NULL);
SELECT featurestore.materialize_features('{week}', 'users', publish_mode => 'HOURLY');
SELECT featurestore.materialize_features('{week}', 'payments');
SELECT featurestore.materialize_features('{week}', repeat('x', 60));
SELECT featurestore.materialize_features('{week}', 'users', 'users_offline');
SELECT featurestore.materialize_features('{week}', 'shops');
SELECT featurestore.materialize_features('{week,sum_lifetime}', 'users');
SELECT featurestore.materialize_features('{top5_lifetime}', 'users');
SELECT featurestore.materialize_features('{top5_lifetime}', 'shops', 'elsewhere');
SELECT featurestore.register_feature('user_id', 'payments', '{user_id}', 'ts', 'count');
SELECT featurestore.materialize_features('{user_id}', 'users');
SELECT featurestore.unpublish_table('shops');
SELECT featurestore.create_online_table('shops');
CALL featurestore.sync('shops_offline');
SELECT to_regclass('users');
-- a feature made from the table that it is in
SELECT featurestore.register_feature('circle', 'shops', '{user_id,shop}', 'ts', 'count');
CREATE TABLE log (user_id bigint, ts timestamptz);
SELECT featurestore.register_feature('logged', 'log', '{user_id}', 'ts', 'count');
SELECT featurestore.materialize_features('{logged}', 'logs');
SELECT * FROM logs_values;

--
-- Privileges
--
SET ROLE regress_stranger;
SELECT featurestore.materialize_features('{states.week}', 'states.users');
CALL featurestore.sync('states.logs');
SELECT * FROM states.logs_values;
RESET ROLE;
CALL featurestore.sync('states.logs');
SET ROLE regress_definer;

-- what an owner can write into the catalog reaches nothing of others
SET ROLE regress_stranger;
CREATE SCHEMA strange;
CREATE TABLE strange.log (user_id bigint, ts timestamptz);
SELECT featurestore.register_feature('strange.evil', 'strange.log', '{user_id}', 'ts', 'count');
SELECT featurestore._store_definition('feature', to_jsonb(f) || '{"relation": "strange.evil", "online_table": "states.logs", "state_column": null}')
FROM featurestore.feature f WHERE relation = 'strange.evil'::regclass;
SELECT featurestore.materialize_features('{strange.evil}', 'strange.online', wait => false);
SELECT featurestore._store_definition('window_table', to_jsonb(w) || '{"relation": "strange.online", "values_view": "strange.online_values", "offline_table": "states.log"}')
FROM featurestore.window_table w WHERE relation = 'strange.online'::regclass;
SELECT featurestore._store_definition('window_table', to_jsonb(w) || '{"relation": "strange.online", "values_view": "states.logs_values"}')
FROM featurestore.window_table w WHERE relation = 'strange.online'::regclass;
-- also under names that mean another to the owner of the catalog, or that are numbers
RESET ROLE;
DO $$ BEGIN EXECUTE format('CREATE SCHEMA %I; CREATE TABLE %1$I.taken (a int)', current_user); END $$;
CREATE SCHEMA regress_stranger AUTHORIZATION regress_stranger;
SET ROLE regress_stranger;
CREATE TABLE regress_stranger.taken (a int);
SET search_path = "$user";
SELECT featurestore._store_definition('window_table', to_jsonb(w) || '{"relation": "strange.online", "values_view": null, "offline_table": "taken"}')
FROM featurestore.window_table w WHERE relation = 'strange.online'::regclass;
SET search_path = states;
SELECT offline_table::text FROM featurestore.window_table WHERE relation = 'strange.online'::regclass;
SELECT featurestore._store_definition('window_table', to_jsonb(w) || '{"relation": "strange.online", "values_view": null, "offline_table": 1259}')
FROM featurestore.window_table w WHERE relation = 'strange.online'::regclass;
SELECT featurestore._store_definition('window_table', to_jsonb(w) || '{"relation": "strange.online", "values_view": "strange.online_values", "offline_table": null}')
FROM featurestore.window_table w WHERE relation = 'strange.online'::regclass;
-- what runs statements takes those that give what it gives
SELECT featurestore._merge_together(ARRAY['SELECT 1'], now());
SELECT featurestore._merge_together(ARRAY['SELECT NULL::jsonb'], now());
SELECT featurestore._merge_together(ARRAY['SELECT WHERE false'], now());
SELECT featurestore._merge_together(ARRAY['CREATE TABLE strange.made (a int)'], now());
SELECT featurestore._merge_together(ARRAY['SELECT jsonb ''1''', 'SELECT to_jsonb($1 = now())'], now());
RESET ROLE;
SET client_min_messages = warning;
DO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_user); END $$;
DROP SCHEMA regress_stranger CASCADE;
RESET client_min_messages;
-- nor does a superuser lend rights to a feature, or to a view that changes hands
RESET ROLE;
SELECT featurestore.materialize_features('{strange.evil}', 'states.logs');
SELECT featurestore.materialize_features('{states.week}', 'states.borrowed');
ALTER VIEW strange.evil OWNER TO regress_definer;
CALL featurestore.sync('strange.online');
ALTER VIEW strange.evil OWNER TO regress_stranger;
CALL featurestore.sync('strange.online');
SET client_min_messages = warning;
DROP SCHEMA strange CASCADE;
RESET client_min_messages;
SET ROLE regress_definer;

-- nothing runs
SELECT * FROM featurestore.progress;

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA states CASCADE;
SELECT count(*) FROM featurestore.feature;
SELECT count(*) FROM featurestore.window_table;
SELECT count(*) FROM featurestore.publication;
DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM regress_stranger', current_database()); END $$;
DROP ROLE regress_definer, regress_stranger;
