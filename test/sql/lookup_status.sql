--
-- Age, lag, readiness: what an output is, and when a default stands in for it
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA lookup_status;
RESET client_min_messages;
SET search_path = lookup_status, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

-- statuses of one row, from the json metadata
CREATE FUNCTION status(spec text, records jsonb, as_of timestamptz DEFAULT NULL) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT string_agg(key || ' ' || (j->'values'->>key IS NOT NULL)::int || ' ' || (value->>'status') || CASE WHEN (value->>'defaulted')::boolean THEN ' defaulted' ELSE '' END
		|| coalesce(' at ' || (value->>'event_time'), ''), ', ' ORDER BY key COLLATE "C")
	FROM feature_lookup_json(spec, records, as_of, true) WITH ORDINALITY AS r(j, n), jsonb_each(j->'status') GROUP BY n ORDER BY n $$;

--
-- The row's time against as_of: TOO_OLD if later, for the whole key and without a default
--
CREATE TABLE profile (user_id int PRIMARY KEY, updated timestamptz, plan text, age int);
INSERT INTO profile VALUES (1, '2024-01-10', 'free', 33), (2, '2024-01-01', NULL, NULL), (3, NULL, 'pro', 44), (4, 'infinity', 'x', 1), (5, '-infinity', 'y', 2);
SELECT create_feature_spec('unregistered', ARRAY[lookup('profile', '{user_id}', '{plan}')], with_status => true);
SELECT * FROM same($$ SELECT * FROM unregistered_batch('{1,2,3,4,5,6}', '2020-01-01') $$);
SELECT create_online_table('profile', timeseries_column => 'updated');
-- a spec from before the table was registered knows of its time from now on
SELECT * FROM same($$ SELECT * FROM unregistered_batch('{1,2,3,4,5,6}', '2020-01-01') $$);
SELECT create_feature_spec('registered', ARRAY[lookup('profile', '{user_id}', default_values => '{"plan": "none", "age": 0}')], with_status => true);
SELECT * FROM same($$ SELECT * FROM registered_batch('{1,2,3,4,5,6,NULL}', '2024-01-10') $$);
SELECT * FROM same($$ SELECT * FROM registered_batch('{1,2,3,4,5,6,NULL}', '2024-01-09 23:59:59.999999') $$);
SELECT * FROM same($$ SELECT * FROM registered_batch('{1,2,3,4,5,6,NULL}', '-infinity') $$);
SELECT * FROM same($$ SELECT * FROM registered_batch('{1,2,3,4,5,6,NULL}', 'infinity') $$);
SELECT status('registered', '{"user_id": [1, 2, 3, 4, 5, 6, null]}', '2024-01-05');

--
-- max_age and ttl: the shorter of both counts
--
SELECT create_feature_spec('fresh', ARRAY[lookup('profile', '{user_id}', default_values => '{"plan": "none"}', max_age => '2 days 12:00')], with_status => true);
SELECT * FROM same($$ SELECT * FROM fresh_batch('{1,2,3,4,5,6}', '2024-01-12 12:00') $$);
SELECT * FROM same($$ SELECT * FROM fresh_batch('{1,2,3,4,5,6}', '2024-01-12 12:00:00.000001') $$);
SELECT * FROM same($$ SELECT * FROM fresh_batch('{1,2,3,4,5,6}', '2024-01-03') $$);
SELECT * FROM same($$ SELECT * FROM fresh_batch('{1,4,5}', 'infinity') $$);
SELECT * FROM same($$ SELECT * FROM fresh_batch('{1,4,5}', '-infinity') $$);
SELECT status('fresh', '{"user_id": [1, 2, 3, 5, 6]}', '2024-01-20');
SELECT drop_online_table('profile');
SELECT create_online_table('profile', timeseries_column => 'updated', ttl => '1 day');
SELECT * FROM same($$ SELECT * FROM fresh_batch('{1,2,3,6}', '2024-01-11') $$);
SELECT * FROM same($$ SELECT * FROM fresh_batch('{1,2,3,6}', '2024-01-11 00:00:00.000001') $$);
SELECT * FROM same($$ SELECT * FROM registered_batch('{1,2,3,6}', '2024-01-11 00:00:00.000001') $$);
SELECT * FROM same($$ SELECT * FROM unregistered_batch('{1,2,3,6}', '2024-01-11 00:00:00.000001') $$);
SELECT drop_online_table('profile');
SELECT create_online_table('profile', timeseries_column => 'updated', ttl => '1000 days');
SELECT * FROM same($$ SELECT * FROM fresh_batch('{1,2,3,6}', '2024-01-11 00:00:00.000001') $$);
SELECT drop_online_table('profile');
-- the bound of the spec stays
SELECT * FROM same($$ SELECT * FROM fresh_batch('{1,2,3,6}', '2024-01-13') $$);
-- of a time series the newest row, with its age; dates are as old as their midnight
CREATE TABLE seen (user_id int, day date, n int, PRIMARY KEY (user_id, day));
INSERT INTO seen VALUES (1, '2024-01-01', 1), (1, '2024-01-03', 3);
SELECT create_feature_spec('aged', ARRAY[lookup('seen', '{user_id}', '{n}', max_age => '1 day 1 hour')], with_status => true);
SELECT * FROM same($$ SELECT * FROM aged_batch('{1,2}', '2024-01-02 01:00') $$);
SELECT * FROM same($$ SELECT * FROM aged_batch('{1,2}', '2024-01-02 01:00:00.000001') $$);
SELECT * FROM same($$ SELECT * FROM aged_batch('{1,2}', '2024-01-03') $$);
SELECT status('aged', '{"user_id": [1, 2]}', '2024-01-02 12:00');
-- by the whole key, of which the time is a part
SELECT create_online_table('seen', timeseries_column => 'day', ttl => '30 days');
SELECT create_feature_spec('exact', ARRAY[lookup('seen', '{user_id,day}', '{n}')], with_status => true);
SELECT * FROM same($$ SELECT * FROM exact_batch('{1,1,1}', '{2024-01-01,2024-01-02,2024-01-03}', '2024-01-02 12:00') $$);
SELECT * FROM same($$ SELECT * FROM exact_batch('{1,1,1}', '{2024-01-01,2024-01-02,2024-01-03}', '2024-02-01') $$);
-- the default when T is not given is the start of the statement
BEGIN;
INSERT INTO profile VALUES (10, clock_timestamp(), 'now', 1), (11, clock_timestamp() + interval '1 hour', 'later', 1);
SELECT create_online_table('profile', timeseries_column => 'updated');
SELECT plan_status FROM registered_batch('{10,11}');
SELECT (feature_lookup_json('registered', '{"user_id": 10}', NULL, true)->>'as_of')::timestamptz = statement_timestamp() AS t_is_of_statement;
ROLLBACK;
-- a registered column that is renamed or retyped
SELECT create_online_table('profile', timeseries_column => 'updated', ttl => '1 day');
SELECT drop_feature_spec('fresh'), drop_feature_spec('registered');
ALTER TABLE profile RENAME updated TO changed;
\pset tuples_only on
\pset format unaligned
SELECT refused($$ SELECT * FROM unregistered(1) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('profile', '{user_id}')]) $$);
ALTER TABLE profile RENAME changed TO updated;
ALTER TABLE profile ALTER updated TYPE text;
SELECT refused($$ SELECT * FROM unregistered(1) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('profile', '{user_id}', '{plan}', max_age => '1 day')]) $$);
\pset tuples_only off
\pset format aligned
SELECT drop_online_table('profile');
SELECT * FROM unregistered(1);

--
-- Published tables: not ready, ready, behind
--
CREATE TABLE items (item_id int PRIMARY KEY, price numeric, stock int);
INSERT INTO items VALUES (1, 9.99, 5), (2, NULL, NULL);
SELECT publish_table('items', 'items_online', 'SNAPSHOT', wait => false);
SELECT create_feature_spec('published', ARRAY[lookup('items_online', '{item_id}', default_values => '{"stock": 0}'), expression('stock + 1', 'more')], with_status => true);
SELECT create_feature_spec('punctual', ARRAY[lookup('items_online', '{item_id}', default_values => '{"stock": 0}', max_lag => '1 hour')], with_status => true);
SELECT * FROM same($$ SELECT * FROM published_batch('{1,2,3,NULL}') $$);
SELECT * FROM same($$ SELECT * FROM punctual_batch('{1,2,3,NULL}') $$);
SELECT status('published', '{"item_id": [1, 2, 3]}');
SELECT item, path, reason, keys, found FROM explain_lookup('published', '{"item_id": [1, 2]}');
SELECT feature_lookup_json('published', '{"item_id": 1}', NULL, true)->'tables';
-- the first fill within a transaction that is undone
CREATE FUNCTION set_position(applied timestamptz) RETURNS void LANGUAGE sql AS $$
	INSERT INTO featurestore.publication_position SELECT 'lookup_status.items_online'::regclass, system_identifier, applied, applied, 0, NULL FROM pg_control_system()
	ON CONFLICT (relation) DO UPDATE SET applied_to = excluded.applied_to $$;
BEGIN;
SELECT set_position('2024-01-01');
SELECT stock_status FROM published(1);
SAVEPOINT a;
DELETE FROM featurestore.publication_position WHERE relation = 'items_online'::regclass;
SELECT stock_status FROM published(1);
ROLLBACK TO a;
SELECT stock_status FROM published(1);
ROLLBACK;
SELECT stock_status FROM published(1);
CALL sync('items_online');
SELECT * FROM same($$ SELECT * FROM published_batch('{1,2,3,NULL}') $$);
SELECT stock_status FROM punctual(1);
SELECT set_position('2024-01-01 12:00');
SELECT * FROM same($$ SELECT * FROM punctual_batch('{1,2,3,NULL}', '2024-01-01 13:00') $$);
SELECT * FROM same($$ SELECT * FROM punctual_batch('{1,2,3,NULL}', '2024-01-01 13:00:00.000001') $$);
SELECT * FROM same($$ SELECT * FROM punctual_batch('{1,2,3,NULL}', '2023-01-01') $$);
SELECT * FROM same($$ SELECT * FROM punctual_batch('{1}', '-infinity') $$);
SELECT * FROM same($$ SELECT * FROM punctual_batch('{1}', '4000-01-01 BC') $$);
SELECT * FROM same($$ SELECT * FROM punctual_batch('{1}', 'infinity') $$);
SELECT * FROM same($$ SELECT * FROM published_batch('{1,2,3,NULL}', '2024-01-01 13:00:00.000001') $$);
SELECT status('punctual', '{"item_id": [1, 2, 3]}', '2024-02-01');
SELECT item, path, reason FROM explain_lookup('punctual', '{"item_id": 1}');
SELECT feature_lookup_json('punctual', '{"item_id": 1}', '2024-01-01 12:30', true)->'tables';
-- a position of another cluster counts for nothing
BEGIN;
UPDATE featurestore.publication_position SET system_identifier = 1 WHERE relation = 'items_online'::regclass;
SELECT stock_status FROM punctual(1);
ROLLBACK;
SELECT * FROM same($$ SELECT * FROM punctual_batch('{1,3}', '2024-01-01 13:00') $$);
-- no longer published: nobody can say how far it is
SELECT unpublish_table('items_online');
SELECT * FROM same($$ SELECT * FROM punctual_batch('{1,3}', '2024-01-01 13:00') $$);
SELECT * FROM same($$ SELECT * FROM published_batch('{1,3}') $$);

--
-- Defaults: of all types, feeding expressions and keys, not for what is stored as null
--
CREATE TYPE mood AS ENUM ('fine', 'bad');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN adult AS int CHECK (VALUE >= 18);
CREATE TABLE defaults (id int PRIMARY KEY, t text, v varchar(3), c char(3), n numeric(6,2), f4 float4, f8 float8, b boolean, d date, tz timestamptz, i interval,
	m mood, p pair, j jsonb, js json, a int[], fa float8[], by bytea, u uuid, r int4range, dom adult, nothing int, next int);
INSERT INTO defaults (id) VALUES (1);
SELECT create_feature_spec('typed_defaults', ARRAY[lookup('defaults', '{id}', default_values => '{"t": "text", "v": "abc", "c": "ab", "n": 1.5, "f4": 0.1, "f8": "NaN", "b": true, "d": "2024-01-01",
	"tz": "2024-01-01 00:00+01", "i": "90 minutes", "m": "bad", "p": {"a": 1, "b": "x"}, "j": {"k": [1, null]}, "js": [1], "a": [1, 2, null], "fa": [0.5, "-Infinity"], "by": "\\x00ff",
	"u": "00000000-0000-0000-0000-000000000001", "r": "[1,5]", "dom": 18, "nothing": null}')]);
SELECT * FROM same($$ SELECT * FROM typed_defaults_batch('{1,2}') $$);
SELECT create_feature_spec('chain', ARRAY[lookup('defaults', '{id}', '{next,t}', default_values => '{"next": 7, "t": "none"}'),
	lookup('defaults', '{id=next}', '{n}', default_values => '{"n": -1}'), expression('t || coalesce(n, 0)::text', 'u')], with_status => true);
SELECT * FROM same($$ SELECT * FROM chain_batch('{1,2,NULL}') $$);
SELECT status('chain', '{"id": [1, 2]}');
-- as is, or rounded and padded as the column would
SELECT create_feature_spec('rounded', ARRAY[lookup('defaults', '{id}', '{n,c}', default_values => '{"n": 1.239, "c": "x"}')]);
SELECT n, c || '|' AS c, pg_column_size(c) FROM rounded(5);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('defaults', '{id}', '{v}', default_values => '{"v": "long"}')]) $$) ~ '^22001: item 1.*default of output "v"' AS refused;

SET client_min_messages = warning;
DROP SCHEMA lookup_status CASCADE;
