--
-- SYNCHRONOUS publications: their definitions, whose rights they use, what fails
-- and what does not; what they apply is in synchronous_property
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET jit = off;
CREATE ROLE regress_sync_owner;
CREATE ROLE regress_sync_writer;
CREATE SCHEMA synced;
GRANT ALL ON SCHEMA synced TO regress_sync_owner;
GRANT USAGE ON SCHEMA synced TO regress_sync_writer;
SET search_path = synced;
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql
\set ECHO all

SET ROLE regress_sync_owner;
CREATE TABLE users (id int PRIMARY KEY, name text, age int CHECK (age < 1000));
INSERT INTO users VALUES (1, 'one', 1), (2, 'two', 2);
SELECT featurestore.publish_table('users', 'users_online', 'SYNCHRONOUS');
GRANT ALL ON users TO regress_sync_writer;
SELECT publish_mode, state, is_ready FROM featurestore.publications WHERE online_table = 'users_online'::regclass;
SELECT is_written, is_applied FROM featurestore.staging WHERE captured_source = 'users'::regclass;

--
-- A writer who may not even read the online table
--
SET ROLE regress_sync_writer;
INSERT INTO users VALUES (3, 'three', 3);
UPDATE users SET age = age + 10 WHERE id < 3;
UPDATE users SET id = 20 WHERE id = 2;
DELETE FROM users WHERE id = 1;
COPY users FROM stdin;
4	four	4
5	five	5
\.
INSERT INTO users VALUES (4, 'vier', 40) ON CONFLICT (id) DO UPDATE SET name = excluded.name;
MERGE INTO users USING (VALUES (5), (6)) AS n(id) ON n.id = users.id
	WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (n.id, 'six', 6);
SELECT refused('SELECT * FROM users_online');
RESET ROLE;
SELECT * FROM users_online ORDER BY id;
-- nothing before the end, unless it is asked for, and nothing of what is rolled back
BEGIN;
INSERT INTO users VALUES (7, 'seven', 7);
SELECT count(*) FROM users_online WHERE id = 7;
SAVEPOINT s;
INSERT INTO users VALUES (8, 'eight', 8);
CALL featurestore.sync('users_online');
SELECT id FROM users_online WHERE id IN (7, 8) ORDER BY id;
ROLLBACK TO s;
SELECT id FROM users_online WHERE id IN (7, 8) ORDER BY id;
DO $$ BEGIN
	INSERT INTO users VALUES (9, 'nine', 9);
	RAISE triggered_action_exception;
EXCEPTION WHEN triggered_action_exception THEN INSERT INTO users VALUES (10, 'ten', 10);
END $$;
COMMIT;
SELECT id FROM users_online WHERE id IN (7, 8, 9, 10) ORDER BY id;
-- procedures that commit
CREATE PROCEDURE in_steps() LANGUAGE plpgsql AS $$ BEGIN
	FOR i IN 11..13 LOOP
		INSERT INTO users VALUES (i, 'step', i);
		IF i = 12 THEN ROLLBACK; ELSE COMMIT; END IF;
	END LOOP;
END $$;
CALL in_steps();
SELECT id FROM users_online WHERE name = 'step' ORDER BY id;
-- triggers are no obstacle to what else a transaction does
BEGIN;
INSERT INTO users VALUES (14, 'before', 14);
ALTER TABLE users ADD COLUMN note text DEFAULT 'x';
INSERT INTO users VALUES (15, 'after', 15);
COMMIT;
SELECT * FROM users_online WHERE id IN (14, 15) ORDER BY id;
BEGIN;
INSERT INTO users VALUES (16, 'before', 16);
TRUNCATE users;
INSERT INTO users VALUES (17, 'after', 17);
COMMIT;
SELECT * FROM users_online;
SET session_replication_role = replica;
INSERT INTO users VALUES (18, 'replica', 18);
RESET session_replication_role;
SELECT id FROM users_online ORDER BY id;

--
-- The same definition again, another one, and modes
--
SET client_min_messages = notice;
SELECT featurestore.publish_table('users', 'users_online', 'SYNCHRONOUS', features => '{name,age}');
SET client_min_messages = warning;
SELECT refused($$ SELECT featurestore.publish_table('users', 'users_online', 'TRIGGERED', features => '{name,age}') $$);
-- filled by the first sync; writers have nothing to do with it until then
SELECT featurestore.publish_table('users', 'users_waiting', 'SYNCHRONOUS', wait => false);
INSERT INTO users VALUES (19, 'nineteen', 19);
SELECT count(*) FROM users_waiting;
SELECT state FROM featurestore.publications WHERE online_table = 'users_waiting'::regclass;
CALL featurestore.run_due();
INSERT INTO users VALUES (21, 'twentyone', 21);
SELECT id FROM users_waiting ORDER BY id;
DROP TABLE users_waiting;
-- with another publication of the source changes are staged, too, and without it no longer
SELECT featurestore.publish_table('users', 'users_later', 'TRIGGERED');
INSERT INTO users VALUES (22, 'both', 22);
SELECT is_written, is_applied, (SELECT count(*) FROM users_changes) FROM featurestore.staging WHERE captured_source = 'users'::regclass;
CALL featurestore.sync('users_later');
SELECT (SELECT count(*) FROM users_later WHERE id = 22) AS later, (SELECT count(*) FROM users_online WHERE id = 22) AS online;
SELECT featurestore.alter_publication('users_later', publish_mode => 'SYNCHRONOUS');
INSERT INTO users VALUES (23, 'both', 23);
SELECT is_written, is_applied, (SELECT count(*) FROM users_changes) FROM featurestore.staging WHERE captured_source = 'users'::regclass;
SELECT (SELECT count(*) FROM users_later WHERE id = 23) AS later, (SELECT count(*) FROM users_online WHERE id = 23) AS online;
SELECT featurestore.alter_publication('users_later', publish_mode => 'TRIGGERED');
INSERT INTO users VALUES (24, 'both', 24);
SELECT is_written, is_applied FROM featurestore.staging WHERE captured_source = 'users'::regclass;
SELECT (SELECT count(*) FROM users_later WHERE id = 24) AS later, (SELECT count(*) FROM users_online WHERE id = 24) AS online;
SELECT featurestore.alter_publication('users_later', publish_mode => 'SNAPSHOT');
SELECT is_written, is_applied FROM featurestore.staging WHERE captured_source = 'users'::regclass;
SELECT featurestore.alter_publication('users_later', publish_mode => 'TRIGGERED');
CALL featurestore.sync('users_later');
SELECT featurestore.unpublish_table('users_online');
SELECT is_written, is_applied FROM featurestore.staging WHERE captured_source = 'users'::regclass;
INSERT INTO users VALUES (25, 'not online', 25);
SELECT count(*) FROM users_online WHERE id = 25;
SELECT featurestore.unpublish_table('users_later');
SELECT count(*) FROM featurestore.staging WHERE captured_source = 'users'::regclass;
DROP TABLE users_online, users_later;
-- another filter holds for all rows at once
SELECT featurestore.publish_table('users', 'users_online', 'SYNCHRONOUS', features => '{name}', filter => 'age > 20');
UPDATE users SET age = 1 WHERE id = 25;
UPDATE users SET age = 50 WHERE id = 17;
SELECT * FROM users_online ORDER BY id;
SELECT featurestore.alter_publication('users_online', filter => 'age < 20');
SELECT * FROM users_online ORDER BY id;
UPDATE users SET age = 30 WHERE id = 25;
SELECT * FROM users_online ORDER BY id;
SELECT featurestore.alter_publication('users_online', filter => 'true');

--
-- What cannot be applied makes the writer fail, with the name of the publication
--
CREATE FUNCTION refused_at_end(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	context text;
BEGIN
	EXECUTE statement;
	PERFORM featurestore._flush_captured();
	RETURN 'NOT REFUSED';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
	RETURN concat_ws(E'\n', sqlstate || ': ' || sqlerrm, substring(context FROM 'changes applied[^\n]*'));
END $$;
ALTER TABLE users_online ADD CONSTRAINT short CHECK (length(name) < 20);
SELECT refused_at_end($$ INSERT INTO users VALUES (30, repeat('long', 10), 30) $$);
INSERT INTO users VALUES (30, repeat('long', 10), 30);
SELECT count(*) FROM users WHERE id = 30;
ALTER TABLE users_online DROP CONSTRAINT short;
SELECT featurestore.alter_publication('users_online', filter => '10 / age < 20');
SELECT refused_at_end($$ INSERT INTO users VALUES (30, 'thirty', 0) $$);
ALTER TABLE users ALTER COLUMN name TYPE varchar(10);
SELECT refused_at_end($$ INSERT INTO users VALUES (30, 'thirty', 30) $$);
-- a way out, until it is mended
SELECT featurestore.pause_publication('users_online');
INSERT INTO users VALUES (30, 'thirty', 30);
ALTER TABLE users_online ALTER COLUMN name TYPE varchar(10);
SELECT featurestore.resume_publication('users_online');
INSERT INTO users VALUES (31, 'thirtyone', 31);
SELECT * FROM users_online WHERE id IN (30, 31) ORDER BY id;
SELECT state, reason FROM featurestore.publications WHERE online_table = 'users_online'::regclass;
SELECT count(*) FROM featurestore.rejected_changes;

--
-- It runs as the owner of the online table, whoever writes, and by no other's search path
--
CREATE TABLE seen (who name, path text);
GRANT ALL ON seen TO regress_sync_owner;
ALTER TABLE users OWNER TO regress_sync_owner;
ALTER TABLE users_online OWNER TO regress_sync_owner;
SET ROLE regress_sync_owner;
CALL featurestore.sync('users_online');
CREATE FUNCTION note_writer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO synced.seen VALUES (current_user, current_setting('search_path'));
	RETURN NEW;
END $$;
CREATE TRIGGER note_writer BEFORE INSERT ON users_online FOR EACH ROW EXECUTE FUNCTION note_writer();
CREATE FUNCTION become_other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	EXECUTE 'SET ROLE regress_sync_writer';
	RETURN NEW;
END $$;
SET ROLE regress_sync_writer;
INSERT INTO users (id, name, age) VALUES (40, 'forty', 40);
SELECT current_user, current_setting('search_path');
SET ROLE regress_sync_owner;
SELECT * FROM seen;
CREATE TRIGGER other BEFORE INSERT ON users_online FOR EACH ROW EXECUTE FUNCTION become_other();
SET ROLE regress_sync_writer;
SELECT refused($$ INSERT INTO users (id, name, age) VALUES (41, 'fortyone', 41); SELECT featurestore._flush_captured() $$);
SET ROLE regress_sync_owner;
DROP TRIGGER other ON users_online;
DROP TRIGGER note_writer ON users_online;
-- whoever does not have the rights of the owner of the source cannot be applied to
RESET ROLE;
ALTER TABLE users OWNER TO CURRENT_USER;
INSERT INTO users VALUES (42, 'fortytwo', 42);
SELECT count(*) FROM users_online WHERE id = 42;
ALTER TABLE users OWNER TO regress_sync_owner;
SET ROLE regress_sync_owner;
CALL featurestore.run_due();
SELECT count(*) FROM users_online WHERE id = 42;
RESET ROLE;

--
-- States, of several sources, some of them in partitions
--
CREATE TABLE event (u int, at timestamptz, v int) PARTITION BY RANGE (at);
CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('2024-01-02');
CREATE TABLE event_new PARTITION OF event FOR VALUES FROM ('2024-01-02') TO (MAXVALUE);
CREATE TABLE visit (u int, at timestamptz);
SELECT featurestore.register_feature('n', 'event', '{u}', 'at', 'count'), featurestore.register_feature('largest', 'event', '{u}', 'at', 'max', 'v', filter => 'v <> 7'),
	featurestore.register_feature('visits', 'visit', '{u}', 'at', 'count');
SELECT featurestore.materialize_features('{n,largest}', 'states', publish_mode => 'SYNCHRONOUS');
INSERT INTO event VALUES (1, '2024-01-01', 1), (1, '2024-01-03', 3), (2, '2024-01-03', 7), (NULL, '2024-01-03', 3), (3, 'infinity', 3);
TABLE states_values ORDER BY u;
SELECT featurestore.materialize_features('{visits}', 'states');
BEGIN;
INSERT INTO visit VALUES (1, '2024-01-01'), (4, '2024-01-01');
DELETE FROM event WHERE v = 3;
UPDATE event SET at = '2024-01-05' WHERE u = 1;
COMMIT;
TABLE states_values ORDER BY u;
DELETE FROM event WHERE u = 2;
DELETE FROM visit WHERE u = 4;
TABLE states_values ORDER BY u;
TRUNCATE event_new;
TABLE states_values ORDER BY u;
-- partitions that come and go are noticed by a run
ALTER TABLE event DETACH PARTITION event_new;
INSERT INTO event_new VALUES (5, '2024-01-03', 5);
ALTER TABLE event ATTACH PARTITION event_new FOR VALUES FROM ('2024-01-02') TO (MAXVALUE);
INSERT INTO event VALUES (1, '2024-01-01', 1);
CALL featurestore.run_due();
INSERT INTO event VALUES (5, '2024-01-03', 5);
TABLE states_values ORDER BY u;
SELECT operation, rows_changed FROM featurestore.publish_runs WHERE online_table = 'states'::regclass ORDER BY id;
-- one column more, and one less
SELECT featurestore.register_feature('kinds', 'event', '{u}', 'at', 'count_distinct', 'v');
SELECT featurestore.materialize_features('{kinds}', 'states');
INSERT INTO event VALUES (5, '2024-01-03', 6);
TABLE states_values ORDER BY u;
SELECT featurestore.drop_feature('n', cascade => true);
INSERT INTO event VALUES (5, '2024-01-03', 8);
TABLE states_values ORDER BY u;

--
-- So many changes that they do not stay in memory
--
CREATE TABLE large (id int PRIMARY KEY, filler text);
SELECT featurestore.publish_table('large', 'large_online', 'SYNCHRONOUS');
SET maintenance_work_mem = '1MB';
INSERT INTO large SELECT i, repeat(i::text, 20) FROM generate_series(1, 9000) AS i;
SELECT count(*), count(*) FILTER (WHERE o.filler = l.filler) AS same FROM large l LEFT JOIN large_online o USING (id);
SELECT operation, rows_changed FROM featurestore.publish_runs WHERE online_table = 'large_online'::regclass ORDER BY id;
BEGIN;
DELETE FROM large WHERE id > 5;
SAVEPOINT s;
UPDATE large SET filler = 'x' WHERE id = 1;
ROLLBACK TO s;
INSERT INTO large SELECT i, repeat(i::text, 20) FROM generate_series(10001, 17500) AS i;
SAVEPOINT s;
DELETE FROM large WHERE id > 10005;
RELEASE s;
COMMIT;
-- what is forgotten with a subtransaction
BEGIN;
INSERT INTO large VALUES (6, 'six');
SAVEPOINT s;
INSERT INTO large SELECT i, repeat(i::text, 20) FROM generate_series(10001, 17500) AS i ON CONFLICT DO NOTHING;
ROLLBACK TO s;
INSERT INTO large VALUES (7, 'seven');
COMMIT;
SELECT count(*), count(*) FILTER (WHERE o.filler = l.filler) AS same FROM large l FULL JOIN large_online o USING (id);
SELECT operation, rows_changed FROM featurestore.publish_runs WHERE online_table = 'large_online'::regclass ORDER BY id;

--
-- Before the transaction ends
--
BEGIN;
INSERT INTO large VALUES (8, 'eight');
SELECT filler FROM large_online WHERE id = 8;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT filler FROM large_online WHERE id = 8;
UPDATE large SET filler = 'acht' WHERE id = 8;
SET CONSTRAINTS ALL DEFERRED;
SELECT filler FROM large_online WHERE id = 8;
COMMIT;
SELECT filler FROM large_online WHERE id = 8;
-- with the subtransaction that did it
BEGIN;
SAVEPOINT s;
INSERT INTO large VALUES (9, 'nine');
DO 'BEGIN SET CONSTRAINTS ALL IMMEDIATE; END';
SELECT filler FROM large_online WHERE id = 9;
ROLLBACK TO s;
COMMIT;
SELECT filler FROM large_online WHERE id = 9;

DROP SCHEMA synced CASCADE;
DROP ROLE regress_sync_owner, regress_sync_writer;
