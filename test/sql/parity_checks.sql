--
-- verify_parity: what was served against what training gives, with and without
-- a log; each way in which they can differ, provoked.  The server of these tests
-- does not preload the library, so logs are written from metadata.
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA parity_checks;
SET search_path = parity_checks, featurestore, public;
SET timezone = 'UTC';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

-- Events; rows with a time, published as the newest; the same looked up as they are; a table of current values
CREATE TABLE events (user_id int, at timestamptz, n float8, word text);
INSERT INTO events SELECT i % 50, now() - i * interval '5 min', i / 7.0::float8, chr(97 + i % 20) FROM generate_series(1, 1500) AS i;
CREATE INDEX ON events (user_id, at);
CREATE TABLE profiles (user_id int, at timestamptz, age int, score numeric(12, 4), PRIMARY KEY (user_id, at));
INSERT INTO profiles SELECT i, now() - d * interval '1 day', i + d, i / 4.0 FROM generate_series(1, 60) AS i, generate_series(1, 3) AS d;
CREATE TABLE plain (user_id int PRIMARY KEY, level int);
INSERT INTO plain SELECT i, i % 3 FROM generate_series(1, 40) AS i;
SELECT count(*) FROM (VALUES ('total', 'sum', 'n'), ('served', 'count', NULL), ('mean', 'avg', 'n'), ('spread', 'stddev_samp', 'n'), ('newest', 'last', 'word'), ('highest', 'max', 'n')) AS f(name, function, input),
	LATERAL register_feature(f.name, 'events', '{user_id}', 'at', f.function, f.input, rolling_window('2 days', hop => '0'));
SELECT materialize_features('{total,served,mean,spread,newest,highest}', 'windows', publish_mode => 'TRIGGERED');
SELECT publish_table('profiles', 'online', publish_mode => 'TRIGGERED');
SELECT create_feature_spec('s', exclude_columns => '{mean}', items => ARRAY[
	feature('{total,served,mean,spread,newest,highest}'), lookup('online', '{user_id}', '{age,score}', default_values => '{"age": -1}'),
	lookup('profiles', '{user_id}', '{age}', rename_outputs => '{"age": "age_then"}'), lookup('plain', '{user_id}', '{level}'),
	request_field('hour', 'float4'), expression('total * hour', 'weighted'), expression('age + mean', 'hidden')]);
SELECT create_serve_log('s');

-- Serves and logs some entities
CREATE FUNCTION serve(keys int[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO s_log SELECT v.* FROM feature_lookup_json('s', jsonb_build_object('user_id', keys, 'hour', 2.5), metadata => true) AS j, served_vector(j) AS v
$$;
-- What there is to be said, with a line for each output that is not as it should be
CREATE FUNCTION verify(OUT output text, OUT checked bigint, OUT equal bigint, OUT others text, OUT largest_difference float8, OUT example text) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT p.output, p.checked, p.equal, concat_ws(', ', p.late || ' late', p.mutated || ' mutated', p.lag || ' lag', p.bug || ' bug', p.unknown || ' unknown') AS others,
		p.largest_difference, concat_ws(' ', p.example->>'class', p.example->'request'->>'user_id', p.example->'served', p.example->'trained')
	FROM verify_parity('s', log => 's_log') AS p WHERE p.checked <> p.equal
$$;

--
-- A healthy store
--
SELECT output, checked, equal, largest_difference, example FROM verify_parity('s', 200);
SELECT output, checked, equal FROM verify_parity('s', 1);
TRUNCATE s_log;
SELECT serve(ARRAY(SELECT generate_series(0, 70)) || '{NULL}');
SELECT output, checked, equal, largest_difference, example FROM verify_parity('s', log => 's_log');
SELECT output, checked, equal FROM verify_parity('s', 10, 's_log') WHERE output = 'total';
-- with no effect on anything, in a transaction that cannot have any
BEGIN READ ONLY;
SELECT bool_and(checked = equal) FROM verify_parity('s', 20);
SELECT bool_and(checked = equal) FROM verify_parity('s', log => 's_log');
ROLLBACK;
-- whatever the settings
SET extra_float_digits = -3; SET datestyle = 'German'; SET timezone = 'Asia/Kolkata';
SELECT bool_and(checked = equal) FROM verify_parity('s', 20);
SELECT bool_and(checked = equal) FROM verify_parity('s', log => 's_log');
RESET extra_float_digits; RESET datestyle; SET timezone = 'UTC';

--
-- LATE: rows came after the lookup
--
TRUNCATE s_log;
SELECT serve('{1,2,3,60}');
INSERT INTO events VALUES (1, now() - interval '1 hour', 1000, 'zz');
INSERT INTO profiles VALUES (2, now() - interval '1 hour', 77, 0.5);
SELECT * FROM verify();
-- applied meanwhile or not
CALL sync('windows');
CALL sync('online');
SELECT * FROM verify();
TRUNCATE s_log;
SELECT serve('{1,2,3,60}');
SELECT * FROM verify();

--
-- LAG: the lookup could have seen them, but they were not applied
--
INSERT INTO events VALUES (3, now() - interval '2 hours', 10, 'zz');
INSERT INTO profiles VALUES (3, now() - interval '1 hour', 78, 2.5);
TRUNCATE s_log;
SELECT serve('{1,2,3,60}');
SELECT * FROM verify();
SELECT output, checked, equal, lag, bug, unknown FROM verify_parity('s', 1000) WHERE lag > 0;
-- and more came after
INSERT INTO events VALUES (3, now() - interval '2 hours', 20, 'zzz');
SELECT output, equal, others FROM verify();
CALL sync('windows');
CALL sync('online');
SELECT output, equal, others FROM verify();
-- a run in the transaction that has changed the source itself, and goes on to do so
BEGIN;
INSERT INTO events VALUES (4, now() - interval '2 hours', 10, 'zz');
SAVEPOINT a;
INSERT INTO events VALUES (4, now() - interval '3 hours', 10, 'zz');
RELEASE a;
COMMIT;
CALL sync('windows');
TRUNCATE s_log;
SELECT serve('{4}');
SELECT * FROM verify();

--
-- MUTATED: what it was made of has been changed since
--
TRUNCATE s_log;
SELECT serve('{5,6,7}');
UPDATE events SET n = n + 1 WHERE user_id = 6;
UPDATE profiles SET age = 0 WHERE user_id = 7;
SELECT output, equal, others, largest_difference FROM verify();
CALL sync('windows');
CALL sync('online');
SELECT output, equal, others FROM verify();
-- what was looked up since is as it is
TRUNCATE s_log;
SELECT serve('{5,6,7}');
SELECT * FROM verify();

--
-- UNKNOWN: rows are gone, and nothing tells which
--
TRUNCATE s_log;
SELECT serve('{8,9}');
DELETE FROM events WHERE user_id = 9;
SELECT output, equal, others FROM verify();
CALL sync('windows');
-- nobody knows what a transaction saw that had written
TRUNCATE s_log;
BEGIN;
CREATE TABLE written ();
SELECT serve('{8,9}');
INSERT INTO events VALUES (8, now() - interval '1 hour', 1, 'a');
COMMIT;
SELECT output, equal, others FROM verify();
CALL sync('windows');
-- nor what snapshots of another cluster mean
TRUNCATE s_log;
SELECT serve('{10}');
UPDATE s_log SET system_identifier = 1;
INSERT INTO events VALUES (10, now() - interval '1 hour', 1, 'a');
SELECT output, equal, others FROM verify();
CALL sync('windows');

--
-- BUG: nothing explains it.  Here the source has lost nothing that could.
--
CREATE TABLE facts (user_id int, at timestamptz, n float8);
INSERT INTO facts SELECT i % 10, now() - i * interval '1 hour', i FROM generate_series(1, 100) AS i;
SELECT register_feature('fact', 'facts', '{user_id}', 'at', 'sum', 'n', rolling_window('2 days', hop => '0'));
SELECT register_feature('facts_seen', 'facts', '{user_id}', 'at', 'count', NULL, rolling_window('2 days', hop => '0'));
SELECT materialize_features('{fact,facts_seen}', 'states', publish_mode => 'SYNCHRONOUS');
SELECT create_feature_spec('t', ARRAY[feature('{fact,facts_seen}'), request_field('hour', 'float8'), expression('fact * hour', 'weighted'), expression('-fact', 'negative')]);
SELECT create_serve_log('t');
CREATE FUNCTION serve_t(keys int[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO t_log SELECT v.* FROM feature_lookup_json('t', jsonb_build_object('user_id', keys, 'hour', 2), metadata => true) AS j, served_vector(j) AS v
$$;
SELECT output, checked, equal, late, mutated, lag, bug, unknown FROM verify_parity('t');
TRUNCATE t_log;
SELECT serve_t(ARRAY(SELECT generate_series(0, 9)));
SELECT output, checked, equal, late, mutated, lag, bug, unknown FROM verify_parity('t', log => 't_log');
-- a row that comes later is late, and never a lag where transactions apply what they do
INSERT INTO facts VALUES (1, now() - interval '1 hour', 0.5);
SELECT output, checked, equal, late, mutated, lag, bug, unknown FROM verify_parity('t', log => 't_log');
-- a doctored log, by one bit; the sign of a zero; a value that there was, but then
TRUNCATE t_log;
SELECT serve_t(ARRAY(SELECT generate_series(0, 9)));
UPDATE t_log SET outputs = outputs || jsonb_build_object('fact', ((outputs->>'fact')::float8 * (1 + 2.220446049250313e-16))::text) WHERE request->>'user_id' = '3';
UPDATE t_log SET outputs = outputs || '{"weighted": "-0"}', request = request || '{"hour": "0"}' WHERE request->>'user_id' = '4';
SELECT output, checked, equal, late, mutated, lag, bug, unknown, largest_difference > 0 AS differs, example->>'class' AS class, example->'request' AS request FROM verify_parity('t', log => 't_log');
-- a state that is another's
SET featurestore.guard_merge_rules = off;
DO $$
DECLARE
	column_name text := (SELECT state_column FROM featurestore.feature WHERE relation = 'fact'::regclass);
BEGIN
	EXECUTE format('UPDATE states SET %1$I = (SELECT o.%1$I FROM states o WHERE o.user_id = 6) WHERE user_id = 5', column_name);
END
$$;
RESET featurestore.guard_merge_rules;
SELECT output, checked, equal, late, mutated, lag, bug, unknown, example->'request'->>'user_id' AS user_id FROM verify_parity('t');
TRUNCATE t_log;
SELECT serve_t(ARRAY(SELECT generate_series(0, 9)));
SELECT output, checked, equal, late, mutated, lag, bug, unknown, example->'request'->>'user_id' AS user_id FROM verify_parity('t', log => 't_log');
CALL rebuild('states');
SELECT output, checked, equal FROM verify_parity('t') WHERE checked <> equal;

--
-- What is not checked: what training has only as it is now, what was not exact or
-- too old, other versions of the spec, requests that gave outputs, T that is no time
--
SELECT output, point_in_time FROM (SELECT create_training_set('trained', 'SELECT 1 AS user_id, 1::float4 AS hour, now() AS at', 's', timestamp_column => 'at', allow_current => true) AS r) AS c,
	LATERAL (SELECT (r).*) AS o WHERE point_in_time <> 'EXACT';
TRUNCATE t_log;
SELECT serve_t('{1,2,3}');
UPDATE t_log SET statuses = statuses || '{"fact": "TOO_OLD", "facts_seen": "APPROXIMATE"}', outputs = outputs || '{"fact": "1", "facts_seen": "2"}' WHERE request->>'user_id' = '1';
UPDATE t_log SET spec_version = 7 WHERE request->>'user_id' = '2';
INSERT INTO t_log SELECT v.* FROM feature_lookup_json('t', '{"user_id": 2, "hour": 2, "fact": 3}', metadata => true) AS j, served_vector(j) AS v;
INSERT INTO t_log SELECT v.* FROM feature_lookup_json('t', '{"user_id": 2, "hour": 2}', 'infinity', metadata => true) AS j, served_vector(j) AS v;
SELECT output, checked, equal FROM verify_parity('t', log => 't_log');
-- nor what a client has written that is no vector, of which it warns
CREATE TABLE kept_log AS TABLE t_log;
SET client_min_messages = notice;
TRUNCATE t_log;
SELECT serve_t('{1,2,3,4,5,6}');
UPDATE t_log SET request = '{"user_id": "x"}' WHERE request->>'user_id' = '1';
UPDATE t_log SET request = '[]', outputs = '["fact"]' WHERE request->>'user_id' = '2';
UPDATE t_log SET positions = '{"parity_checks.states": {"snapshot": "x"}}' WHERE request->>'user_id' = '3';
UPDATE t_log SET positions = '[]' WHERE request->>'user_id' = '4';
UPDATE t_log SET statuses = '[]' WHERE request->>'user_id' = '5';
SELECT output, checked, equal FROM verify_parity('t', log => 't_log');
UPDATE t_log SET outputs = '{"fact": "x", "facts_seen": 7}' WHERE request->>'user_id' = '6';
SELECT output, checked, equal, bug, largest_difference FROM verify_parity('t', log => 't_log') WHERE checked > 0;
SET client_min_messages = warning;
TRUNCATE t_log;
INSERT INTO t_log TABLE kept_log;
-- more lag than was allowed, and a first fill that was not done
SELECT create_feature_spec('u', ARRAY[lookup('online', '{user_id}', '{age}', max_lag => '1 hour'), lookup('plain', '{user_id}', '{level}')]);
SELECT create_serve_log('u');
INSERT INTO profiles VALUES (11, now() - interval '1 hour', 1, 1);
INSERT INTO u_log SELECT v.* FROM feature_lookup_json('u', '{"user_id": [11,12]}', now() + interval '2 hours', metadata => true) AS j, served_vector(j) AS v;
SELECT statuses->'age' AS status, count(*) FROM u_log GROUP BY 1;
SELECT output, checked, equal, late, mutated, lag, bug, unknown FROM verify_parity('u', log => 'u_log');
TRUNCATE u_log;
SELECT output, checked, equal FROM verify_parity('u', log => 'u_log');
-- no keys to be had
SELECT create_feature_spec('v', ARRAY[lookup('plain', '{user_id}', '{level}'), lookup('profiles', '{user_id=level}', '{age}')]);
SELECT output, checked, equal FROM verify_parity('v', 50);
TRUNCATE plain;
SELECT output, checked, equal FROM verify_parity('v', 50);

--
-- Who may, and what is refused
--
CREATE ROLE regress_parity;
GRANT USAGE ON SCHEMA parity_checks TO regress_parity;
GRANT SELECT ON states, t_log TO regress_parity;
SET ROLE regress_parity;
SELECT output, checked FROM verify_parity('t');
RESET ROLE;
GRANT SELECT ON fact, facts_seen TO regress_parity;
SET ROLE regress_parity;
SELECT output, checked, equal FROM verify_parity('t', log => 't_log');
RESET ROLE;
INSERT INTO facts SELECT i, now() - interval '1 hour', 5 FROM generate_series(0, 9) AS i;
-- through views no row tells who wrote it
SET ROLE regress_parity;
SELECT output, checked, equal, late, mutated, lag, bug, unknown FROM verify_parity('t', log => 't_log');
RESET ROLE;
REVOKE SELECT ON t_log FROM regress_parity;
SET ROLE regress_parity;
SELECT output, checked, equal FROM verify_parity('t', log => 't_log');
RESET ROLE;
-- what is asked of rows is asked by who may read them
SELECT _is_changed_since('facts'::regclass, '(100000,1)', '1:1:');
SELECT _is_changed_since(0, '(0,1)', '1:1:');
SET ROLE regress_parity;
SELECT _is_changed_since('pg_authid'::regclass, '(0,1)', '1:1:');
SELECT _is_changed_since('facts'::regclass, '(0,1)', '1:1:');
RESET ROLE;
SELECT * FROM verify_parity(NULL);
SELECT * FROM verify_parity('t', NULL);
SELECT * FROM verify_parity('t', 0);
SELECT * FROM verify_parity('nothing');
SELECT * FROM verify_parity('events');
SELECT * FROM verify_parity('t', log => 'events');

DROP SCHEMA parity_checks CASCADE;
DROP ROLE regress_parity;
