--
-- Direct writes: what can be wrong with them, batches that are repeated, and
-- what comes and goes with a table
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_write_owner;
CREATE SCHEMA write AUTHORIZATION regress_write_owner;
RESET client_min_messages;
SET search_path = write;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET ROLE regress_write_owner;

CREATE TABLE counts (id int PRIMARY KEY, at timestamptz, clicks bigint NOT NULL DEFAULT 0, name varchar(5), twice bigint GENERATED ALWAYS AS (clicks * 2) STORED,
					 serial int GENERATED ALWAYS AS IDENTITY, CHECK (clicks < 1000));
SELECT featurestore.create_online_table('counts', '{"clicks": "add"}', timeseries_column => 'at');
SELECT proname, pg_get_function_arguments(oid) AS arguments, pg_get_function_result(oid) AS result, proowner::regrole AS owner, prosecdef AS is_definer, obj_description(oid) AS comment
FROM pg_proc WHERE proname = 'counts_write';
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'counts'::regclass;

-- batches: once, and only once
SELECT * FROM featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01", "clicks": 1}', 'a');
SELECT * FROM featurestore.write_features('counts', '[{"id": 1, "at": "2024-01-01", "clicks": 1}]', 'a');
SELECT * FROM featurestore.write_features('counts', '[{"clicks": 1, "at": "2024-01-01", "id": 1}]', 'a');
SELECT featurestore.write_features('counts', '[{"id": 1, "at": "2024-01-01", "clicks": 2}]', 'a');
\echo :SQLSTATE
SELECT featurestore.write_features('counts', '[{"id": 1, "at": "2024-01-01", "clicks": 1}, {"id": 1, "at": "2024-01-01", "clicks": 1}]', 'a');
\echo :SQLSTATE
SELECT * FROM counts_write('{1,2,1}', '{2024-01-01,2024-01-02,2024-01-03}', '{1,1,1}', '{a,b,c}', 'b');
SELECT * FROM counts_write('{1,2,1}', '{2024-01-01,2024-01-02,2024-01-03}', '{1,1,1}', '{a,b,c}', 'b');
SELECT counts_write('{1,2,1}', '{2024-01-01,2024-01-02,2024-01-03}', '{1,1,1}', '{a,b,d}', 'b');
SELECT * FROM counts_write('{1,2}', '{2024-01-04,2024-01-02}', clicks => '{1,NULL}', batch_id => 'c');
SELECT * FROM counts_write('{}', '{}', '{}', '{}', 'nothing');
SELECT * FROM featurestore.write_features('counts', '[]', 'nothing either');
SELECT id, at, clicks, name, twice FROM counts ORDER BY id;
SELECT * FROM featurestore.write_features('counts', '[{"id": 1, "at": "2024-01-02", "clicks": null}]', 'no clicks');
SELECT online_table, batch_id, rows_given FROM featurestore.write_batches ORDER BY batch_id;
-- one that failed is not noted
SELECT featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01", "clicks": 5000}', 'd');
\echo :SQLSTATE
SELECT featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01", "clicks": 5}', 'd');
BEGIN;
SELECT featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01", "clicks": 5}', 'e');
SAVEPOINT s;
SELECT featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01", "clicks": 5}', 'f');
ROLLBACK TO s;
SELECT featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01", "clicks": 5}', 'f');
SELECT featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01", "clicks": 5}', 'f');
COMMIT;
SELECT clicks FROM counts WHERE id = 1;
-- ids
SELECT featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01"}', '');
SELECT featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01"}', repeat('x', 1001));
SELECT is_repeat FROM featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01"}', repeat('x', 1000));
SELECT featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01", "clicks": 1}');
\echo :SQLSTATE
SELECT counts_write('{1}', '{2024-01-01}', '{1}', '{a}');
\echo :SQLSTATE

-- rows that cannot be written: nothing is
CREATE FUNCTION refused(rows jsonb) RETURNS TABLE(code text, message text, detail text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM featurestore.write_features('write.counts', rows, 'bad');
	RAISE EXCEPTION 'written';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN NEXT;
END $$;
SELECT r.* FROM (VALUES (1, NULL::jsonb), (2, '1'), (3, '"x"'), (4, 'null'), (5, '[{"id": 1, "at": "2024-01-01"}, 7]'), (6, '[{"id": 1, "at": "2024-01-01"}, null]'), (7, '[{"id": 1, "at": "2024-01-01"}, {"id": 1, "at": "2024-01-01", "nope": 1}]'),
	(8, '{"id": 1, "at": "2024-01-01", "twice": 1}'), (9, '{"id": 1, "at": "2024-01-01", "serial": 1}'), (10, '[{"id": 1, "at": "2024-01-01"}, {"at": "2024-01-01"}]'), (11, '[{"id": 1, "at": "2024-01-01"}, {"id": null, "at": "2024-01-01"}]'),
	(12, '{"id": 1}'), (13, '{"id": 1, "at": null}'), (14, '[{"id": 1, "at": "2024-01-01", "clicks": 1}, {"id": 2, "at": "2024-01-01", "clicks": "many"}]'), (15, '[{"id": 1, "at": "2024-01-01", "name": "fits"}, {"id": 2, "at": "2024-01-01", "name": "too long"}]'),
	(16, '[{"id": 1, "at": "2024-01-01"}, {"id": 2, "at": "then"}]'), (17, '{"id": 1, "at": "2024-01-01", "clicks": 1e30}'), (18, '{"id": 9, "at": "2024-01-01", "clicks": 1000}'), (19, '{"id": 1, "at": "2024-01-01", "clicks": [1]}'), (20, '{"id": 9, "at": "2024-01-01", "clicks": null}'),
	(21, '{}')) AS v(n, rows), refused(v.rows) AS r ORDER BY v.n;
SELECT counts_write('{1,2}', '{2024-01-01}', '{1,1}', '{a,b}', 'bad');
\echo :SQLSTATE
SELECT counts_write('{1,NULL}', '{2024-01-01,2024-01-01}', '{1,1}', '{a,b}', 'bad');
\echo :SQLSTATE
SELECT counts_write('{1,2}', '{NULL,2024-01-01}', '{1,1}', '{a,b}', 'bad');
SELECT counts_write(NULL, '{2024-01-01}', batch_id => 'bad');
SELECT counts_write('{1}', NULL, batch_id => 'bad');
SELECT count(*) FROM featurestore.write_batches WHERE batch_id = 'bad';
SELECT id, clicks FROM counts ORDER BY id;

-- plain statements: not those that would count again
INSERT INTO counts (id, at, name) VALUES (1, '2024-02-01', 'plain') ON CONFLICT (id) DO UPDATE SET at = excluded.at, name = excluded.name;
UPDATE counts SET name = 'x' WHERE id = 2;
INSERT INTO counts (id, at, clicks) VALUES (3, '2024-01-01', 30);
UPDATE counts SET clicks = 0;
\echo :SQLSTATE
UPDATE counts SET name = 'y', clicks = clicks WHERE false;
INSERT INTO counts (id, at, clicks) VALUES (1, '2024-02-01', 1) ON CONFLICT (id) DO UPDATE SET clicks = counts.clicks + 1;
\echo :SQLSTATE
BEGIN;
SELECT is_repeat FROM featurestore.write_features('counts', '{"id": 1, "at": "2024-01-01", "clicks": 1}', 'g');
UPDATE counts SET clicks = 0;
ROLLBACK;
SET featurestore.guard_merge_rules = off;
UPDATE counts SET clicks = 31 WHERE id = 3;
RESET featurestore.guard_merge_rules;
DELETE FROM counts WHERE id = 3 RETURNING clicks;
-- nothing but rules that do not count again: any statement, and no ids needed
CREATE TABLE replaced (id int PRIMARY KEY, at timestamptz, n int, top int);
SELECT featurestore.create_online_table('replaced', '{"top": "max"}', timeseries_column => 'at');
SELECT * FROM replaced_write('{1,1}', '{2024-01-02,2024-01-01}', '{1,2}', '{1,2}');
UPDATE replaced SET n = 3, top = 3;
TABLE replaced;

-- tables that cannot be written to
SELECT featurestore.write_features(NULL, '[]');
SELECT featurestore.write_features('nowhere', '[]');
SELECT featurestore.write_features(4294967294::oid::regclass, '[]');
\echo :SQLSTATE
CREATE TABLE source (id int PRIMARY KEY, n int);
SELECT featurestore.write_features('source', '[{"id": 1}]');
\echo :SQLSTATE
SELECT featurestore.publish_table('source', 'published', 'SNAPSHOT');
SELECT featurestore.write_features('published', '[{"id": 1}]');
\echo :SQLSTATE
SELECT featurestore.pause_publication('published');
SELECT featurestore.write_features('published', '[{"id": 1}]');
\echo :SQLSTATE
-- columns that are gone, and the key
ALTER TABLE replaced RENAME top TO topmost;
SELECT featurestore.write_features('replaced', '[{"id": 1, "at": "2024-01-01", "n": 1}]');
\echo :SQLSTATE
ALTER TABLE replaced RENAME topmost TO top;
ALTER TABLE replaced DROP CONSTRAINT replaced_pkey;
SELECT featurestore.write_features('replaced', '[{"id": 1, "at": "2024-01-01", "n": 1}]');
\echo :SQLSTATE
ALTER TABLE replaced ADD PRIMARY KEY (id);

-- the future moves windows on, and is refused
CREATE TABLE windowed (id int PRIMARY KEY, at timestamptz, w featurestore.window_state);
SELECT featurestore.create_online_table('windowed', '{"w": {"rule": "accumulate", "function": "count", "windows": ["rolling 1h"]}}', timeseries_column => 'at', allow_duplicates => true);
SELECT * FROM windowed_write('{1,1}', ARRAY[now(), now() - interval '1 min']);
DO $$ BEGIN PERFORM write.windowed_write('{1}', ARRAY[now() + interval '1 min']); EXCEPTION WHEN datetime_field_overflow THEN RAISE NOTICE '% refused', SQLSTATE; END $$;
DO $$ BEGIN PERFORM featurestore.write_features('write.windowed', jsonb_build_object('id', 1, 'at', now() + interval '1 min')); EXCEPTION WHEN datetime_field_overflow THEN RAISE NOTICE '% refused', SQLSTATE; END $$;

-- the writer function follows a new column and a new name, and goes with the table or the definition
ALTER TABLE replaced ADD COLUMN more text DEFAULT 'none';
SELECT featurestore.create_online_table('replaced', '{"top": "max"}', timeseries_column => 'at');
SELECT pg_get_function_arguments('replaced_write'::regproc);
SELECT * FROM replaced_write('{2}', '{2024-01-02}', '{1}', '{1}', '{more}');
SELECT * FROM replaced_write('{3}', '{2024-01-02}', top => '{1}');
ALTER TABLE replaced RENAME TO renamed;
SELECT * FROM replaced_write('{4}', '{2024-01-02}', top => '{1}');
SELECT * FROM renamed ORDER BY id;
CREATE TABLE replaced (id int PRIMARY KEY, n int);
SELECT featurestore.create_online_table('replaced');
ALTER FUNCTION replaced_write RENAME TO write_renamed;
SELECT featurestore.create_online_table('replaced');
RESET ROLE;
ALTER SCHEMA write RENAME TO written;
SET ROLE regress_write_owner;
SET search_path = written;
SELECT * FROM written.replaced_write('{1}', '{7}');
SELECT * FROM written.write_renamed('{9}', '{2024-01-02}', top => '{1}');
DROP TABLE replaced;
SELECT featurestore.drop_online_table('renamed');
SELECT proname FROM pg_proc WHERE pronamespace = 'written'::regnamespace ORDER BY 1;
CREATE FUNCTION renamed_write() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT featurestore.create_online_table('renamed');
\echo :SQLSTATE
DROP FUNCTION renamed_write;
-- too many columns for a function, and a name too long: written as json
DO $$ BEGIN EXECUTE (SELECT format('CREATE TABLE wide (id int PRIMARY KEY, %s)', string_agg(format('c%s int', n), ', ' ORDER BY n)) FROM generate_series(1, 99) AS n); END $$;
SELECT featurestore.create_online_table('wide');
SELECT * FROM featurestore.write_features('wide', '{"id": 1, "c99": 2}');
SELECT id, c99 FROM wide;
CREATE TABLE a_table_with_a_name_that_is_as_long_as_names_of_tables_can_be_x (id int PRIMARY KEY);
SELECT featurestore.create_online_table('a_table_with_a_name_that_is_as_long_as_names_of_tables_can_be_x');
SELECT * FROM featurestore.write_features('a_table_with_a_name_that_is_as_long_as_names_of_tables_can_be_x', '{"id": 1}');

-- names that the statements of writes have taken
CREATE TABLE numbered (id int PRIMARY KEY, _row_number int);
SELECT featurestore.create_online_table('numbered');
\echo :SQLSTATE
CREATE TABLE batched (id int PRIMARY KEY, batch_id text, write_batch_id text);
SELECT featurestore.create_online_table('batched');
ALTER TABLE batched DROP COLUMN write_batch_id;
SELECT featurestore.create_online_table('batched');
SELECT * FROM batched_write('{1}', '{b}', write_batch_id => 'one');
TABLE batched;
DROP TABLE batched, numbered;

-- ids of a dropped table are forgotten, others are kept, the old ones beyond ten thousand not
DROP TABLE counts;
SELECT count(*) FROM featurestore.write_batches;
RESET ROLE;
CREATE TABLE many (id int PRIMARY KEY, n bigint);
SELECT featurestore.create_online_table('many', '{"n": "add"}');
INSERT INTO featurestore.write_batch (relation, batch_id, digest, rows_given, written_at)
	SELECT 'many'::regclass, 'old ' || n, '\x00', 1, now() - interval '30 days' + n * interval '1 s' FROM generate_series(1, 20000) AS n;
SELECT count(w.rows_written) FROM generate_series(1, 500) AS n, many_write(ARRAY[1], ARRAY[1::bigint], 'new ' || n) AS w;
SELECT count(*) FILTER (WHERE batch_id ~ 'new') AS new, count(*) BETWEEN 10000 AND 10500 AS is_pruned FROM featurestore.write_batch WHERE relation = 'many'::regclass;
SELECT n FROM many;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA written CASCADE;
DROP ROLE regress_write_owner;
