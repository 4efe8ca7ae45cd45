--
-- Features in specs: windows of states, beside plain columns
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA lookup_windows;
SET search_path = lookup_windows, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

CREATE TABLE click (user_id int, item_id bigint, at timestamptz, price float8, amount numeric, took interval, word text);
INSERT INTO click VALUES
	(1, 10, '2024-01-01 00:00', 1.5, 10.00, '1 s', 'a'),
	(1, 11, '2024-01-05 12:00', 2.5, 0.125, '2 s', 'b'),
	(1, 10, '2024-01-06 00:00', 'NaN', NULL, '3 s', 'c'),
	(1, 12, '2024-01-08 00:00', 4.5, 7, '4 s', NULL),
	(2, 10, '2023-11-01 00:00', 8, 8, '8 s', 'old'),
	(4, 10, '2024-01-07 00:00', 1, 1, '178000000 years', 'x'),
	(4, 10, '2024-01-07 01:00', 1, 1, '178000000 years', 'y');
CREATE TABLE profile (user_id int PRIMARY KEY, name text, age int);
INSERT INTO profile VALUES (1, 'one', 31), (2, 'two', 32), (3, 'three', 33), (4, 'four', 34);
CREATE TABLE item (item_id bigint PRIMARY KEY, title text);
INSERT INTO item VALUES (10, 'ten'), (11, 'eleven'), (12, 'twelve');

-- the features, all in one table but for those of another entity
CREATE FUNCTION define(name text, function text, input text, time_window time_window, params jsonb DEFAULT '{}', entity text[] DEFAULT '{user_id}') RETURNS text
	LANGUAGE sql AS $$ SELECT register_feature(name, 'click', entity, 'at', function, input, time_window, params) $$;
SELECT count(define(name, function, input, w::time_window, params)) FROM (VALUES
	('clicks_7d', 'count', NULL, 'rolling 7d hop 6h', '{}'::jsonb), ('clicks_ever', 'count', NULL, 'lifetime', '{}'),
	('spent_7d', 'sum', 'amount', 'rolling 7d hop 6h', '{}'), ('spent_1d', 'sum', 'amount', 'rolling 1d hop 1h', '{}'),
	('price_max_7d', 'max', 'price', 'rolling 7d hop 6h', '{}'), ('price_avg_7d', 'avg', 'price', 'rolling 7d hop 6h', '{}'),
	('took_7d', 'sum', 'took', 'rolling 7d hop 6h', '{}'), ('words_7d', 'last_n', 'word', 'rolling 7d hop 6h', '{"n": 3}'),
	('prices_7d', 'last_n', 'price', 'rolling 7d hop 6h', '{"n": 3}'), ('last_item_7d', 'last', 'item_id', 'rolling 7d hop 6h', '{}'),
	('items_7d', 'approx_count_distinct', 'item_id', 'rolling 7d hop 6h', '{}'), ('price_var_7d', 'var_samp', 'price', 'rolling 7d hop 6h', '{}'))
	AS f(name, function, input, w, params);
SELECT define('pair_clicks_7d', 'count', NULL, 'rolling 7d hop 6h', entity => '{user_id,item_id}');
SELECT define('loose_7d', 'count', NULL, 'rolling 7d hop 6h');
SELECT materialize_features(ARRAY['clicks_7d', 'clicks_ever', 'spent_7d', 'spent_1d', 'price_max_7d', 'price_avg_7d', 'took_7d', 'words_7d', 'prices_7d',
	'last_item_7d', 'items_7d', 'price_var_7d'], 'user_features');
SELECT materialize_features(ARRAY['pair_clicks_7d'], 'pair_features');

-- statuses of one row, from the json metadata
CREATE FUNCTION status(spec text, records jsonb, as_of timestamptz) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT string_agg(format('%s=%s %s', key, j->'values'->>key, concat_ws(' ', value->>'status', CASE WHEN (value->>'defaulted')::boolean THEN 'defaulted' END,
		CASE WHEN (value->>'approximate')::boolean THEN 'approximate' END)), ', ' ORDER BY key COLLATE "C")
	FROM feature_lookup_json(spec, records, as_of, true) WITH ORDINALITY AS r(j, n), jsonb_each(j->'status') GROUP BY n ORDER BY n $$;

--
-- Windows beside plain columns, at several times, with every way to ask
--
SELECT create_feature_spec('ranker', ARRAY[
	lookup('profile', '{user_id}', '{name,age}'),
	feature('{clicks_7d,clicks_ever,spent_7d,spent_1d,price_max_7d,price_avg_7d,took_7d,words_7d,last_item_7d,items_7d,price_var_7d}'),
	expression('clicks_7d * 100 / nullif(clicks_ever, 0)', 'recent_percent')]);
\d ranker
\pset format unaligned
SELECT * FROM ranker(1, '2024-01-08 00:00');
SELECT * FROM ranker(1, '2024-01-08 00:00:00.000001');
SELECT * FROM same($$ SELECT * FROM ranker_batch('{1,2,3,4,99,NULL,1}', '2024-01-08 12:00') $$);
SELECT * FROM same($$ SELECT * FROM ranker_batch('{1,2,3,4,99,NULL,1}', '2024-02-01') $$);
SELECT * FROM same($$ SELECT * FROM ranker_batch('{1,2,3,4,99,NULL,1}', 'infinity') $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup_json('ranker', '{"user_id": [1, 2, 99]}', '2024-01-08 12:00') $$);
SELECT * FROM same($$ SELECT r FROM (VALUES (1), (2)) AS q(u), LATERAL ranker(u, '2024-01-08 12:00') AS r $$);

-- as_of before what a state can answer is TOO_OLD, for each state by itself
SELECT status('ranker', '{"user_id": [1, 2, 99]}', '2024-01-07');
SELECT status('ranker', '{"user_id": [1, 4]}', '2024-01-08 12:00');
SELECT status('ranker', '{"user_id": 1}', '-infinity');

-- values the request gives take the place of windows
SELECT status('ranker', '{"user_id": 1, "clicks_7d": 50, "price_max_7d": null, "items_7d": 7}', '2024-01-08 12:00');

--
-- Defaults: for missing entities and empty windows, not for counts, NULLs, TOO_OLD or OUT_OF_RANGE
--
SELECT create_feature_spec('defaulted', ARRAY[
	feature('{clicks_7d,spent_7d,price_max_7d,took_7d,words_7d,price_var_7d}', rename_outputs => '{"spent_7d": "spent", "clicks_7d": "clicks"}',
		default_values => '{"clicks": -1, "spent": "0.00", "price_max_7d": -1, "took_7d": "1 day", "words_7d": ["none"], "price_var_7d": 0}')], with_status => true);
SELECT * FROM same($$ SELECT * FROM defaulted_batch('{1,2,3,4,NULL}', '2024-01-08 12:00') $$);
SELECT status('defaulted', '{"user_id": [1, 2, 3, 4, null]}', '2024-01-08 12:00');
SELECT status('defaulted', '{"user_id": [1, 2, 3, 4, null]}', '2024-01-07');
-- an entity that never was and one whose windows are empty have the same values
SELECT count(DISTINCT to_jsonb(d) - 'user_id') FROM defaulted_batch('{2,3,77,NULL}', '2024-03-01') AS r,
	LATERAL (SELECT r.clicks, r.spent, r.price_max_7d, r.took_7d, r.words_7d, r.price_var_7d) AS d;

-- a table that is not filled: defaults for all, counts too
BEGIN;
DELETE FROM publication_position WHERE relation = 'user_features'::regclass;
SELECT create_feature_spec('unready', ARRAY[feature('{clicks_7d,spent_7d,price_max_7d}', default_values => '{"clicks_7d": -1, "spent_7d": 5}')]);
SELECT status('unready', '{"user_id": [1, 3]}', '2024-01-08 12:00');
ROLLBACK;

--
-- Keys: by name, renamed, of several columns, given by a window; several tables in one item
--
SELECT create_feature_spec('chained', ARRAY[
	feature('{clicks_7d,last_item_7d}', '{user_id=uid}', rename_outputs => '{"last_item_7d": "item_id", "clicks_7d": "clicks"}'),
	lookup('item', '{item_id}', '{title}'),
	feature('{pair_clicks_7d}', '{user_id=uid,item_id}')]);
SELECT * FROM same($$ SELECT * FROM chained_batch('{1,2,4,99}', '2024-01-08 12:00') $$);
SELECT create_feature_spec('mixed', ARRAY[feature('{pair_clicks_7d,clicks_7d,pair_clicks_7d}', rename_outputs => '{"pair_clicks_7d": "pair"}')]);
SELECT create_feature_spec('mixed', ARRAY[feature('{pair_clicks_7d,clicks_7d,spent_7d}')]);
\d mixed
SELECT * FROM same($$ SELECT * FROM mixed_batch('{1,1,2}', '{10,12,10}', '2024-01-08 12:00') $$);
SELECT item, relation, path, reason, keys, found FROM explain_lookup('mixed', '{"user_id": [1, 1], "item_id": [10, 12]}');

-- plain columns of the same table, states among them
SELECT create_feature_spec('plain', ARRAY[lookup('user_features', '{user_id}'), feature('{clicks_7d}')]);
SELECT pg_typeof(r.clicks_7d), r.clicks_7d FROM plain(1, '2024-01-08 12:00') AS r;

--
-- Vectors: numbers of any type, arrays of declared length
--
SELECT create_feature_spec('numbers', ARRAY[lookup('profile', '{user_id}', '{age}'),
	feature('{clicks_7d,spent_7d,price_max_7d,last_item_7d,items_7d,prices_7d[3]}', default_values => '{"spent_7d": 0}')]);
SELECT feature_matrix_columns('numbers');
SELECT * FROM same($$ SELECT * FROM numbers_vectors('{1,2,99}', '2024-01-08 12:00') $$);
SELECT octet_length(numbers_matrix('{1,2,99}', '2024-01-08 12:00'));
SELECT refused($$ SELECT numbers_vectors('{4}', '2024-01-08 12:00') $$);
SELECT refused($$ SELECT ranker_vectors('{1}') $$);
SELECT create_feature_spec('unmeasured', ARRAY[feature('{prices_7d}')]);
SELECT refused($$ SELECT unmeasured_vectors('{1}') $$);

--
-- Memory: a request whose states and values outgrow it comes in smaller chunks
--
SET work_mem = '64kB';
SELECT count(*), count(DISTINCT r.words_7d), sum(r.clicks_7d) FROM ranker_batch(ARRAY(SELECT i % 5 + 1 FROM generate_series(1, 20000) AS i), '2024-01-08 12:00') AS r;
RESET work_mem;

--
-- What is refused, each naming the item
--
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{nothing}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{no_schema.nothing}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{profile}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{loose_7d}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature(NULL)]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d,NULL}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d,clicks_7d}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d}'), lookup('profile', '{user_id}', '{age}', '{"age": "clicks_7d"}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d,pair_clicks_7d}', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{pair_clicks_7d}', '{user_id,x}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d}', '{user_id,user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d}', '{NULL}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d}', rename_outputs => '{"clicks": "c"}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d}', rename_outputs => '{"clicks_7d": 1}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d}', rename_outputs => '{"clicks_7d": "user_id"}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d}', default_values => '{"clicks_7d": "many"}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d}', default_values => '{"other": 1}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d}', default_values => '[]')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{clicks_7d[3]}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{prices_7d[0]}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{prices_7d[2]}', default_values => '{"prices_7d": [1]}')]) $$);
SELECT refused($$ SELECT create_feature_spec('bad', ARRAY[feature('{last_item_7d}', '{user_id=word}', '{"last_item_7d": "item_id"}'), lookup('item', '{item_id=title2}'), expression('item_id::text', 'title2')]) $$);

--
-- A spec is found again whatever the search path, and keeps to a feature's version
--
SELECT create_feature_spec('mixed', ARRAY[feature('{pair_clicks_7d,clicks_7d,spent_7d}')]);
SELECT create_feature_spec('mixed', ARRAY[feature('{lookup_windows.pair_clicks_7d,lookup_windows.clicks_7d,lookup_windows.spent_7d}')]);
SET search_path = featurestore;
SELECT lookup_windows.refused($$ SELECT create_feature_spec('lookup_windows.bad', ARRAY[feature('{clicks_7d}')]) $$);
SELECT create_feature_spec('lookup_windows.mixed', ARRAY[feature('{lookup_windows.pair_clicks_7d,lookup_windows.clicks_7d,lookup_windows.spent_7d}')]);
SET search_path = lookup_windows, featurestore;

--
-- Privileges: the state column's
--
CREATE ROLE lookup_windows_reader;
GRANT USAGE ON SCHEMA lookup_windows TO lookup_windows_reader;
GRANT SELECT ON profile TO lookup_windows_reader;
SET ROLE lookup_windows_reader;
SELECT refused($$ SELECT * FROM ranker(1) $$);
RESET ROLE;
GRANT SELECT ON user_features TO lookup_windows_reader;
SET ROLE lookup_windows_reader;
SELECT name, clicks_7d FROM ranker(1, '2024-01-08 12:00');
RESET ROLE;
REVOKE SELECT ON user_features FROM lookup_windows_reader;
GRANT SELECT (user_id) ON user_features TO lookup_windows_reader;
SET ROLE lookup_windows_reader;
SELECT refused($$ SELECT * FROM ranker(1) $$);
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA lookup_windows CASCADE;
DROP ROLE lookup_windows_reader;
