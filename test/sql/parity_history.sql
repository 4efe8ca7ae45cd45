--
-- verify_parity of tables that keep their history: what was served is in it,
-- whatever has become of the row since, in the table and in the source.
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA parity_history;
SET search_path = parity_history, featurestore, public;
CREATE TABLE users (user_id int PRIMARY KEY, age int);
INSERT INTO users SELECT i, i FROM generate_series(1, 20) AS i;
SELECT publish_table('users', 'kept', publish_mode => 'TRIGGERED', history => true);
CREATE TABLE direct (user_id int PRIMARY KEY, level int);
SELECT create_online_table('direct', history => true);
SELECT write_features('direct', (SELECT jsonb_agg(jsonb_build_object('user_id', i, 'level', i)) FROM generate_series(1, 20) AS i));
SELECT create_feature_spec('s', ARRAY[lookup('kept', '{user_id}'), lookup('direct', '{user_id}')]);
SELECT create_serve_log('s');
CREATE FUNCTION serve(as_of timestamptz) RETURNS void LANGUAGE sql AS $$
	INSERT INTO s_log SELECT v.* FROM feature_lookup_json('s', jsonb_build_object('user_id', ARRAY(SELECT generate_series(1, 22))), as_of, true) AS j, served_vector(j) AS v
$$;
SELECT output, checked, equal FROM verify_parity('s');
SELECT serve(NULL);
SELECT output, checked, equal FROM verify_parity('s', log => 's_log');

-- Updated and deleted since, in the source and in the table
UPDATE users SET age = age + 100 WHERE user_id < 5;
DELETE FROM users WHERE user_id = 7;
CALL sync('kept');
SELECT write_features('direct', '[{"user_id": 3, "level": 300}]');
DELETE FROM direct WHERE user_id = 9;
SELECT output, checked, equal, largest_difference FROM verify_parity('s', log => 's_log');
-- A version that there was not
UPDATE s_log SET outputs = outputs || '{"age": "9"}' WHERE request->>'user_id' = '8';
SELECT output, checked, equal, bug, unknown, example->>'class' AS class FROM verify_parity('s', log => 's_log');
-- One that came after the lookup, and counts at its time
TRUNCATE s_log;
SELECT serve(clock_timestamp() + interval '1 second');
SELECT write_features('direct', '[{"user_id": 3, "level": 301}]');
SELECT pg_sleep(1);
SELECT output, checked, equal, late, bug, unknown, largest_difference FROM verify_parity('s', log => 's_log');
-- One that came between the lookup's time, which is that of its statement, and its snapshot
TRUNCATE s_log;
CREATE PROCEDURE write_and_serve() LANGUAGE plpgsql AS $$
BEGIN
	UPDATE direct SET level = 302 WHERE user_id = 3;
	DELETE FROM direct WHERE user_id = 4;
	COMMIT;
	PERFORM serve(NULL);
END
$$;
CALL write_and_serve();
SELECT output, checked, equal, late, bug, unknown FROM verify_parity('s', log => 's_log');
UPDATE direct SET level = 303 WHERE user_id = 3;
SELECT output, checked, equal, late, bug, unknown FROM verify_parity('s', log => 's_log');
-- but not one that there was not
UPDATE s_log SET outputs = outputs || '{"level": "303"}' WHERE request->>'user_id' = '3';
SELECT output, checked, equal, late, bug, unknown FROM verify_parity('s', log => 's_log');
-- What was before the history is not checked
UPDATE s_log SET as_of = '2020-01-01';
SELECT output, checked, equal FROM verify_parity('s', log => 's_log');

DROP SCHEMA parity_history CASCADE;
