--
-- Histories of online tables: each state of a row is a version, whoever writes it
--
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA kept;
SET search_path = kept;

-- versions in order, without their times
CREATE FUNCTION versions(online regclass, VARIADIC columns text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	history regclass := (SELECT history_table FROM featurestore.online_table WHERE relation = online);
	key text := (SELECT string_agg(quote_ident(c), ', ') FROM unnest(featurestore._history_key(history)) AS c);
BEGIN
	RETURN QUERY EXECUTE format('SELECT concat_ws('' '', %s, %s, CASE WHEN _is_deleted THEN ''deleted'' END) FROM %s ORDER BY %1$s, _valid_from',
		key, (SELECT string_agg(quote_ident(c), ', ') FROM unnest(columns) AS c), history);
END $$;
-- the newest versions are the rows of the table, and times of a key only grow
CREATE FUNCTION is_in_step(online regclass) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	history regclass := (SELECT history_table FROM featurestore.online_table WHERE relation = online);
	key text := (SELECT string_agg(quote_ident(c), ', ') FROM unnest(featurestore._history_key(history)) AS c);
	columns text := (SELECT string_agg(quote_ident(name), ', ') FROM featurestore._columns(online));
	result boolean;
BEGIN
	EXECUTE format('SELECT count(*) = 0 FROM (SELECT * FROM (SELECT DISTINCT ON (%1$s) %2$s, _is_deleted FROM %3$s ORDER BY %1$s, _valid_from DESC) AS h WHERE NOT _is_deleted) AS newest
		FULL JOIN %4$s AS online USING (%1$s) WHERE newest._is_deleted IS NULL OR (SELECT r FROM (SELECT newest.*) AS r)::text IS DISTINCT FROM (SELECT r FROM (SELECT %5$s, false) AS r)::text',
		key, columns, history, online, (SELECT string_agg(format('online.%I', name), ', ') FROM featurestore._columns(online))) INTO result;
	RETURN result;
END $$;

--
-- A published table
--
CREATE TABLE source (id int PRIMARY KEY, name text, n numeric);
INSERT INTO source VALUES (1, 'one', 1), (2, 'two', 2.0), (3, NULL, NULL);
SELECT featurestore.publish_table('source', 'kept.plain', history => true);
\d plain
\d plain_history
\d plain_validity
-- rows of the first fill are known from then on
SELECT relation, history_table, history_from <= clock_timestamp() AS began FROM featurestore.online_table;
SELECT id, name, n, _valid_from = (SELECT history_from FROM featurestore.online_table) AS at_fill, _is_deleted FROM plain_history ORDER BY id;
-- the same again, and another
SET client_min_messages = notice;
SELECT featurestore.publish_table('source', 'kept.plain', history => true);
\set VERBOSITY default
SELECT featurestore.publish_table('source', 'kept.plain');
\set VERBOSITY terse
SET client_min_messages = warning;

-- what a sync changes, and what it leaves
UPDATE source SET name = 'uno' WHERE id = 1;
UPDATE source SET n = 2.00 WHERE id = 2;
UPDATE source SET name = name;
DELETE FROM source WHERE id = 3;
INSERT INTO source VALUES (4, 'four', 4);
CALL featurestore.sync('plain');
SELECT versions('plain', 'name', 'n');
UPDATE source SET name = 'x' WHERE id = 1;
UPDATE source SET name = 'uno' WHERE id = 1;
INSERT INTO source VALUES (3, 'again', 3);
CALL featurestore.sync('plain');
CALL featurestore.sync('plain');
CALL featurestore.rebuild('plain');
CALL featurestore.rebuild('plain', '[{"id": 4}, {"id": 9}]');
SELECT versions('plain', 'name', 'n');
SELECT is_in_step('plain');
SELECT id, name, _valid_to = 'infinity' AS is_current, _valid_to > _valid_from AS is_long FROM plain_validity ORDER BY id, _valid_from;

-- plain statements: updates that change nothing, or another row of the key
UPDATE plain SET name = name, n = n * 1;
UPDATE plain SET id = id + 10 WHERE id = 1;
DELETE FROM plain WHERE id = 2;
WITH gone AS (DELETE FROM plain WHERE id = 3 RETURNING *) INSERT INTO plain SELECT id, 'back', n FROM gone;
WITH gone AS (DELETE FROM plain WHERE id = 4 RETURNING *) INSERT INTO plain SELECT * FROM gone;
-- an insert that is done before the delete that feeds it
WITH gone AS (DELETE FROM plain WHERE id IN (3, 4) RETURNING *) INSERT INTO plain SELECT id, 'kept', n FROM gone ORDER BY id LIMIT 1;
MERGE INTO plain USING (VALUES (3, 'merged'), (20, 'new')) AS v(id, name) ON v.id = plain.id
	WHEN MATCHED THEN UPDATE SET name = v.name WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.name, 0);
COPY plain FROM stdin;
30	copied	1
\.
SELECT versions('plain', 'name', 'n');
SELECT is_in_step('plain');
-- keys that swap
BEGIN;
UPDATE plain SET id = -id WHERE id IN (20, 30);
UPDATE plain SET id = CASE id WHEN -20 THEN 30 ELSE 20 END WHERE id < 0;
COMMIT;
SELECT * FROM versions('plain', 'name') AS v WHERE v ~ '^-?[23]0';
SELECT is_in_step('plain');

-- what is rolled back leaves nothing
SELECT count(*) AS versions FROM plain_history \gset
BEGIN;
UPDATE plain SET name = 'never';
SAVEPOINT s;
TRUNCATE plain;
ROLLBACK TO s;
DELETE FROM plain;
ROLLBACK;
SELECT count(*) = :versions AS same, is_in_step('plain') FROM plain_history;
BEGIN;
UPDATE plain SET name = 'in the transaction' WHERE id = 3;
SAVEPOINT s;
UPDATE plain SET name = 'never' WHERE id = 3;
DELETE FROM plain WHERE id = 11;
ROLLBACK TO s;
UPDATE plain SET n = 7 WHERE id = 3;
COMMIT;
SELECT * FROM versions('plain', 'name', 'n') AS v WHERE v ~ '^3 ';
SELECT is_in_step('plain');

-- all rows go
TRUNCATE plain;
SELECT count(*) FILTER (WHERE _is_deleted) AS deleted FROM (SELECT DISTINCT ON (id) * FROM plain_history ORDER BY id, _valid_from DESC) AS newest;
SELECT is_in_step('plain');
CALL featurestore.rebuild('plain');
SELECT is_in_step('plain'), count(*) FROM plain;

--
-- Triggers that change the table again
--
CREATE TABLE loop (id int PRIMARY KEY, v text);
SELECT featurestore.create_online_table('kept.loop', history => true);
CREATE FUNCTION change_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() > 1 THEN RETURN NULL; END IF;
	CASE NEW.v WHEN 'update' THEN UPDATE loop SET v = 'updated again' WHERE id = NEW.id;
			   WHEN 'update others' THEN UPDATE loop SET v = 'updated by ' || NEW.id;
			   WHEN 'delete' THEN DELETE FROM loop WHERE id = NEW.id;
			   WHEN 'replace' THEN DELETE FROM loop WHERE id = NEW.id; INSERT INTO loop VALUES (NEW.id, 'replaced');
			   WHEN 'back' THEN UPDATE loop SET v = 'quiet' WHERE id = NEW.id;
			   WHEN 'undone' THEN
				BEGIN
					UPDATE loop SET v = 'never' WHERE id = NEW.id;
					RAISE triggered_action_exception;
				EXCEPTION WHEN triggered_action_exception THEN NULL;
				END;
			   ELSE NULL; END CASE;
	RETURN NULL;
END $$;
CREATE FUNCTION insert_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO loop VALUES (OLD.id, 'inserted again');
	RETURN NULL;
END $$;
-- before and after ours, by name
CREATE TRIGGER a_change AFTER INSERT OR UPDATE ON loop FOR EACH ROW EXECUTE FUNCTION change_again();
INSERT INTO loop VALUES (1, 'update'), (2, 'delete'), (3, 'replace'), (4, 'undone'), (5, 'quiet');
UPDATE loop SET v = 'back' WHERE id = 5;
SELECT versions('loop', 'v');
SELECT is_in_step('loop');
UPDATE loop SET v = CASE id WHEN 3 THEN 'update others' ELSE 'quiet' END;
SELECT versions('loop', 'v');
SELECT is_in_step('loop');
ALTER TRIGGER a_change ON loop RENAME TO z_change;
CREATE TRIGGER z_insert AFTER DELETE ON loop FOR EACH ROW EXECUTE FUNCTION insert_again();
TRUNCATE loop;
INSERT INTO loop VALUES (1, 'update'), (4, 'undone'), (5, 'quiet');
DELETE FROM loop WHERE id = 5;
SELECT is_in_step('loop');
SELECT * FROM versions('loop', 'v') AS v WHERE v ~ '^[15]';
DROP TABLE loop;

--
-- Rows that are written directly
--
CREATE DOMAIN given AS text NOT NULL COLLATE "C";
CREATE TABLE direct (id int, shop text COLLATE "C", seen timestamptz, total bigint, best given DEFAULT 'x', big text, twice bigint GENERATED ALWAYS AS (total * 2) STORED, PRIMARY KEY (id, shop));
SELECT featurestore.create_online_table('kept.direct', '{"total": "add"}', timeseries_column => 'seen', allow_duplicates => true, history => true);
\d direct_history
SELECT * FROM featurestore.write_features('direct', '[{"id": 1, "shop": "a", "seen": "2024-01-01", "total": 1, "best": "b"}, {"id": 1, "shop": "a", "seen": "2024-01-01", "total": 2, "best": "b"}]');
SELECT * FROM direct_write(ARRAY[1, 2], ARRAY['a', 'é'], ARRAY['2024-01-02', '2024-01-01']::timestamptz[], ARRAY[5, 6]::bigint[], ARRAY['c', 'd'], ARRAY[NULL, repeat('long', 3000)]);
-- too old to change all but what adds up
SELECT * FROM direct_write(ARRAY[1], ARRAY['a'], ARRAY['2023-01-02']::timestamptz[], ARRAY[0]::bigint[], ARRAY['old'], ARRAY[NULL]);
UPDATE direct SET big = big || '' WHERE id = 2;
UPDATE direct SET big = big || '!' WHERE id = 2;
DELETE FROM direct WHERE id = 1;
SELECT versions('direct', 'seen', 'total', 'best', 'twice');
SELECT id, length(big) FROM direct_history ORDER BY id, _valid_from;
SELECT is_in_step('direct');
-- staged rows
CREATE TABLE staged (id int PRIMARY KEY, v int);
SELECT featurestore.create_online_table('kept.staged', '{"v": "max"}', history => true);
SELECT featurestore.create_staging_table('kept.staged');
INSERT INTO staged_staging (id, v) VALUES (1, 1), (2, 2), (1, 3);
CALL featurestore.sync('staged');
INSERT INTO staged_staging (id, v, _change_type) VALUES (1, 2, 'insert'), (2, NULL, 'delete'), (2, 1, 'insert'), (3, 1, 'insert'), (3, NULL, 'delete');
CALL featurestore.sync('staged');
SELECT versions('staged', 'v');
SELECT is_in_step('staged');

--
-- Materialized features: a history that is begun later, and gets columns
--
CREATE TABLE event (user_id int, at timestamptz, x int);
INSERT INTO event VALUES (1, '2024-01-01', 1), (2, '2024-01-02', 2);
SELECT featurestore.materialize_features(ARRAY[featurestore.register_feature('x_sum', 'event', '{user_id}', 'at', 'sum', 'x')], 'kept.states', publish_mode => 'SYNCHRONOUS');
SELECT featurestore.alter_publication('states', history => true);
INSERT INTO event VALUES (1, '2024-01-03', 5), (3, '2024-01-01', NULL);
SELECT featurestore.materialize_features(ARRAY[featurestore.register_feature('w_count', 'event', '{user_id}', 'at', 'count', NULL, featurestore.tumbling_window('7 hours'))], 'kept.states', publish_mode => 'SYNCHRONOUS');
DELETE FROM event WHERE user_id = 2;
SELECT user_id, count(*) AS versions, count(DISTINCT s::text) AS states, bool_or(_is_deleted) AS deleted FROM states_history s GROUP BY 1 ORDER BY 1;
\d states_history
SELECT is_in_step('states');

--
-- Times: the newest version may be ahead of the clock
--
UPDATE plain_history SET _valid_from = '2100-01-01' WHERE id = 1 AND _valid_from = (SELECT max(_valid_from) FROM plain_history WHERE id = 1);
UPDATE plain SET name = 'later' WHERE id = 1;
UPDATE plain SET name = 'latest' WHERE id = 1;
DELETE FROM plain WHERE id = 1;
SELECT name, _valid_from, _is_deleted FROM plain_history WHERE id = 1 AND _valid_from > '2099-01-01' ORDER BY _valid_from;
-- a statement that writes a key twice
BEGIN;
INSERT INTO plain VALUES (1, 'a', 1);
UPDATE plain SET name = 'b' WHERE id = 1;
UPDATE plain SET name = 'c' WHERE id = 1;
COMMIT;
SELECT name, _valid_from FROM plain_history WHERE id = 1 AND _valid_from > '2100-01-01 00:00:00.000002+00' ORDER BY _valid_from;

--
-- Rights: a writer needs none on the history, and cannot write to it
--
CREATE ROLE regress_history_writer;
GRANT USAGE, CREATE ON SCHEMA kept TO regress_history_writer;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER ON direct TO regress_history_writer;
SET ROLE regress_history_writer;
INSERT INTO direct VALUES (7, 'w', '2024-01-01', 1, 'written');
INSERT INTO direct_history (id, shop, _valid_from, _is_deleted) VALUES (7, 'w', '2024-01-01', false);
SELECT count(*) FROM direct_history;
-- the function of the trigger takes no other table for the one with the history
CREATE TABLE forged (id int, shop text, PRIMARY KEY (id, shop));
CREATE TRIGGER featurestore_history AFTER INSERT OR UPDATE OR DELETE ON forged FOR EACH ROW EXECUTE FUNCTION featurestore._keep_history();
INSERT INTO forged VALUES (8, 'forged');
-- and writes nothing twice
CREATE TRIGGER again AFTER INSERT OR DELETE ON direct FOR EACH ROW EXECUTE FUNCTION featurestore._keep_history();
INSERT INTO direct VALUES (9, 'w', '2024-01-01', 1, 'once');
DELETE FROM direct WHERE id = 9;
CREATE TRIGGER wrong BEFORE INSERT ON direct FOR EACH ROW EXECUTE FUNCTION featurestore._keep_history();
INSERT INTO direct VALUES (9, 'w', '2024-01-01', 1, 'never');
-- nor can he make another's table the history of his own
SELECT featurestore._store_definition('online_table', '{"relation": "kept.forged", "merge": {}, "outputs": {}, "allow_duplicates": false, "history_table": "kept.direct_history"}');
SELECT featurestore._keep_history();
RESET ROLE;
DROP TRIGGER wrong ON direct;
DROP TRIGGER again ON direct;
SELECT * FROM versions('direct', 'best') AS v WHERE v ~ '^[789]';
DROP TABLE forged;
-- the history goes to a new owner of the table
ALTER TABLE direct OWNER TO regress_history_writer;
SELECT relname, relowner::regrole FROM pg_class WHERE relname IN ('direct', 'direct_history', 'direct_validity') ORDER BY 1;
ALTER TABLE direct_history OWNER TO CURRENT_USER;
\set VERBOSITY default
INSERT INTO direct VALUES (9, 'w', '2024-01-01', 1, 'never');
\set VERBOSITY terse
ALTER TABLE direct OWNER TO CURRENT_USER;
INSERT INTO direct VALUES (9, 'w', '2024-01-01', 1, 'owned');
-- in sessions that replicate, too
SET session_replication_role = replica;
UPDATE direct SET best = 'replicated' WHERE id = 9;
RESET session_replication_role;
SELECT is_in_step('direct');

--
-- Columns: the history follows, or the table is not altered
--
CREATE TABLE altered (id int PRIMARY KEY, a text, b int);
INSERT INTO altered VALUES (1, 'a', 1), (2, 'b', NULL);
SELECT featurestore.create_online_table('kept.altered', history => true);
ALTER TABLE altered ADD COLUMN c text;
SELECT versions('altered', 'a', 'b', 'c');
ALTER TABLE altered ADD COLUMN d int DEFAULT 4, ADD COLUMN "E e" text COLLATE "C" DEFAULT 'e';
ALTER TABLE altered RENAME COLUMN a TO aa;
ALTER TABLE altered RENAME TO renamed;
UPDATE renamed SET aa = 'B', c = 'c' WHERE id = 2;
SELECT versions('renamed', 'aa', 'b', 'c', 'd', 'E e');
\d altered_validity
-- a column that goes, and comes back as another
ALTER TABLE renamed DROP COLUMN b;
DELETE FROM renamed WHERE id = 2;
ALTER TABLE renamed ADD COLUMN b int;
UPDATE renamed SET b = 9;
SELECT versions('renamed', 'aa', 'b');
SELECT is_in_step('renamed');
-- values that change though neither name nor type of their column does
BEGIN;
ALTER TABLE renamed ALTER COLUMN b TYPE int USING b * 100;
SELECT versions('renamed', 'b');
ALTER TABLE renamed DROP COLUMN b, ADD COLUMN b int DEFAULT 7;
SELECT versions('renamed', 'b');
ALTER TABLE renamed DROP COLUMN b, ADD COLUMN b int;
SELECT versions('renamed', 'b');
SELECT is_in_step('renamed');
CREATE DOMAIN going_int AS int;
ALTER TABLE renamed ADD COLUMN g going_int DEFAULT 1;
DROP DOMAIN going_int CASCADE;
ALTER TABLE renamed ADD COLUMN g int;
SELECT is_in_step('renamed');
ROLLBACK;
\set VERBOSITY default
ALTER TABLE renamed DROP COLUMN c;
ALTER TABLE renamed RENAME COLUMN aa TO c;
ALTER TABLE renamed RENAME COLUMN d TO _valid_from;
ALTER TABLE renamed ALTER COLUMN d TYPE bigint;
ALTER TABLE renamed ADD COLUMN _is_deleted boolean;
ALTER TABLE renamed DROP COLUMN id;
CREATE TABLE child () INHERITS (renamed);
CREATE TABLE child (LIKE renamed);
ALTER TABLE child INHERIT renamed;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE foreign_child () INHERITS (altered_history) SERVER nowhere;
DROP FOREIGN DATA WRAPPER nothing CASCADE;
DROP TABLE child;
ALTER TABLE renamed SET UNLOGGED;
ALTER TABLE altered_history SET UNLOGGED;
ALTER TABLE altered_history DROP COLUMN _is_deleted CASCADE;
ALTER TABLE altered_history ALTER COLUMN d TYPE text;
\set VERBOSITY terse
ALTER TABLE altered_history RENAME COLUMN d TO dd;
ALTER TABLE altered_history DROP CONSTRAINT altered_history_pkey;
-- what versions are written without
ALTER TABLE altered_history ADD CHECK (d > 0);
\set VERBOSITY default
UPDATE renamed SET aa = 'never';
\set VERBOSITY terse
ALTER TABLE altered_history DROP CONSTRAINT altered_history_d_check;
CREATE INDEX expression ON altered_history (lower(aa));
UPDATE renamed SET aa = 'never';
DROP INDEX expression;
CREATE TRIGGER t BEFORE INSERT ON altered_history FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
UPDATE renamed SET aa = 'never';
DROP TRIGGER t ON altered_history;
ALTER TABLE renamed DROP CONSTRAINT altered_pkey;
UPDATE renamed SET aa = 'never';
ALTER TABLE renamed ADD PRIMARY KEY (id);
CREATE FUNCTION constant() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''as %'', current_user; END';
ALTER TABLE altered_history ALTER COLUMN c SET DEFAULT constant();
\set VERBOSITY default
ALTER TABLE renamed ADD COLUMN f int DEFAULT 1;
\set VERBOSITY terse
ALTER TABLE altered_history ALTER COLUMN c DROP DEFAULT;
CREATE INDEX by_time ON altered_history USING brin (_valid_from);
CREATE INDEX by_text ON altered_history USING hash (aa);
UPDATE renamed SET aa = 'at last';
SELECT count(*) FROM altered_history WHERE aa = 'at last';
SELECT is_in_step('renamed');

CREATE TABLE strict (id int PRIMARY KEY, v int);
SELECT featurestore.create_online_table('kept.strict', history => true);
ALTER TABLE strict_history ALTER COLUMN v SET NOT NULL;
\set VERBOSITY default
INSERT INTO strict VALUES (1, 1);
\set VERBOSITY terse

-- a unique index that compares otherwise does not tell whether a key is there
CREATE COLLATION ignores_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE cased (name text NOT NULL, v int);
CREATE UNIQUE INDEX ON cased (name COLLATE ignores_case);
ALTER TABLE cased ADD PRIMARY KEY (name);
SELECT featurestore.create_online_table('kept.cased', history => true);
INSERT INTO cased VALUES ('A', 1);
UPDATE cased SET name = 'a';
SELECT versions('cased', 'v');
SELECT is_in_step('cased');

-- keys of composite types leave nothing behind for each row
CREATE TYPE pair AS (a int, b text);
CREATE TABLE paired (id pair PRIMARY KEY, v int);
SELECT featurestore.create_online_table('kept.paired', history => true);
INSERT INTO paired SELECT ROW(i, 'x')::pair, 0 FROM generate_series(1, 2000) AS i;
SELECT sum(used_bytes) AS used FROM pg_backend_memory_contexts WHERE name = 'featurestore history' \gset
UPDATE paired SET v = 1;
DELETE FROM paired;
SELECT sum(used_bytes) - :used < 10000 AS is_small FROM pg_backend_memory_contexts WHERE name = 'featurestore history';
DROP TABLE paired;

--
-- Triggers that are disabled or dropped interrupt it
--
CREATE FUNCTION began(online regclass) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN history_from = 'infinity' THEN 'interrupted' WHEN history_from > now() THEN 'just now' ELSE 'before' END FROM featurestore.online_table WHERE relation = online $$;
ALTER TABLE strict_history ALTER COLUMN v DROP NOT NULL;
INSERT INTO strict VALUES (1, 1), (2, 2);
\set VERBOSITY default
ALTER TABLE strict DISABLE TRIGGER ALL;
\set VERBOSITY terse
ALTER TABLE strict ADD COLUMN w int;
UPDATE strict SET v = 10 WHERE id = 1;
DELETE FROM strict WHERE id = 2;
SELECT began('strict'), versions('strict', 'v');
BEGIN;
ALTER TABLE strict ENABLE TRIGGER ALL;
SELECT began('strict'), versions('strict', 'v');
COMMIT;
SELECT tgenabled FROM pg_trigger WHERE tgrelid = 'strict'::regclass;
UPDATE strict SET w = 1;
SELECT is_in_step('strict'), began('strict');
DROP TRIGGER featurestore_history ON strict;
UPDATE strict SET w = 2;
SELECT began('strict');
SELECT featurestore.create_online_table('kept.strict', history => true);
SELECT is_in_step('strict'), began('strict');
-- as do those that are replaced by less
CREATE TRIGGER featurestore_other AFTER INSERT ON strict FOR EACH ROW EXECUTE FUNCTION featurestore._keep_history();
DROP TRIGGER featurestore_other ON strict;
SELECT began('strict') <> 'interrupted' AS is_kept;
CREATE OR REPLACE TRIGGER featurestore_history AFTER INSERT OR UPDATE OR DELETE ON strict FOR EACH ROW EXECUTE FUNCTION featurestore._keep_history();
SELECT began('strict') <> 'interrupted' AS is_kept, tgenabled FROM pg_trigger WHERE tgrelid = 'strict'::regclass ORDER BY tgname;
CREATE OR REPLACE TRIGGER featurestore_history AFTER INSERT ON strict FOR EACH ROW EXECUTE FUNCTION featurestore._keep_history();
UPDATE strict SET w = 3;
SELECT began('strict');
SELECT featurestore.create_online_table('kept.strict', history => true);
SELECT is_in_step('strict'), began('strict');
CREATE OR REPLACE TRIGGER featurestore_history AFTER INSERT OR UPDATE OF v OR DELETE ON strict FOR EACH ROW EXECUTE FUNCTION featurestore._keep_history();
SELECT began('strict');
SELECT featurestore.create_online_table('kept.strict', history => true);
ALTER TABLE strict DISABLE TRIGGER featurestore_history_truncate;
SELECT featurestore.drop_online_table('strict');

--
-- It ends, and is taken up again
--
SET client_min_messages = notice;
SELECT featurestore.alter_publication('plain', history => false);
SELECT featurestore.alter_publication('plain', history => false);
SELECT relation, history_table FROM featurestore.online_table WHERE relation = 'plain'::regclass;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'plain'::regclass;
UPDATE plain SET name = 'in the gap' WHERE id = 4;
DELETE FROM plain WHERE id = 2;
SELECT featurestore.alter_publication('plain', history => true);
SELECT * FROM versions('plain', 'name') AS v WHERE v ~ '^[24] ';
SELECT is_in_step('plain'), history_from >= (SELECT max(_valid_from) FROM plain_history) AS since_then FROM featurestore.online_table WHERE relation = 'plain'::regclass;
\set VERBOSITY default
SELECT featurestore.create_online_table('kept.renamed');
SELECT featurestore.drop_online_table('renamed');
\set VERBOSITY terse
SELECT featurestore.create_online_table('kept.renamed', history => true);
SELECT to_regclass('renamed_history') IS NOT NULL AS made, to_regclass('altered_history') IS NOT NULL AS left;
-- of a published table without time the row in the catalog goes with the history
SELECT featurestore.unpublish_table('plain');
SELECT featurestore.drop_online_table('plain');
SELECT count(*) FROM featurestore.online_table WHERE relation = 'plain'::regclass;
SET client_min_messages = warning;

--
-- Retention
--
SELECT featurestore.create_online_table('kept.plain', history => true);
TRUNCATE plain, plain_history;
INSERT INTO plain VALUES (1, 'always', 1);
INSERT INTO plain_history SELECT 2, 'v' || d, d, now() - make_interval(days => d), false FROM generate_series(1, 20) AS d;
INSERT INTO plain_history SELECT 3, CASE WHEN d <> 8 THEN 'v' || d END, CASE WHEN d <> 8 THEN d END, now() - make_interval(days => d), d = 8 FROM generate_series(8, 12) AS d;
INSERT INTO plain_history VALUES (4, NULL, NULL, now() - interval '30 days', true), (5, 'old', 5, now() - interval '30 days', false);
INSERT INTO plain VALUES (2, 'v1', 1), (5, 'old', 5);
CREATE FUNCTION days() RETURNS TABLE (id int, days text) LANGUAGE sql AS $$
	SELECT id, string_agg(CASE WHEN _is_deleted THEN '-' ELSE '' END || extract(day FROM now() - _valid_from), ' ' ORDER BY _valid_from) FROM plain_history GROUP BY id ORDER BY id $$;
UPDATE featurestore.online_table SET history_from = now() - interval '40 days' WHERE relation = 'plain'::regclass;
SELECT * FROM days();
-- all is kept as long as nothing is said
CALL featurestore.run_due();
SELECT count(*) FROM plain_history;
SET featurestore.history_retention = '50d';
CALL featurestore.run_due();
SELECT count(*) FROM plain_history;
-- the version of the day it is cut at stays, and versions of rows that were gone by then go after what they ended
SET featurestore.history_retention = '10d';
CALL featurestore.run_due();
SELECT * FROM days();
SELECT now() - history_from BETWEEN '10 days' AND '10 days 1 h' FROM featurestore.online_table WHERE relation = 'plain'::regclass;
SET featurestore.history_retention = '5d';
CALL featurestore.run_due();
SELECT * FROM days();
-- not worth the look
SET featurestore.history_retention = '7100min';
CALL featurestore.run_due();
SELECT now() - history_from > '4 days 23 h' AS stays FROM featurestore.online_table WHERE relation = 'plain'::regclass;
SET featurestore.history_retention = '1d';
BEGIN;
CALL featurestore.run_due();
SELECT * FROM days();
ROLLBACK;
SELECT * FROM days();
-- nobody prunes another's
SET ROLE regress_history_writer;
SET featurestore.history_retention = '1min';
CALL featurestore.run_due();
SELECT featurestore._prune_history('plain', 0);
RESET ROLE;
SELECT * FROM days();
-- many steps
SET featurestore.history_retention = '1d';
CREATE TABLE many (id int PRIMARY KEY, v text);
INSERT INTO many SELECT i, 'v' FROM generate_series(1, 1000) AS i;
SELECT featurestore.create_online_table('kept.many', history => true);
ALTER TABLE many_history ALTER COLUMN v SET STORAGE PLAIN;
INSERT INTO many_history SELECT i, repeat('x', 2500), now() - make_interval(hours => h), false FROM generate_series(1, 1000) AS i, generate_series(20, 60) AS h;
UPDATE featurestore.online_table SET history_from = now() - interval '10 days' WHERE relation = 'many'::regclass;
SELECT pg_relation_size('many_history') / current_setting('block_size')::int / 4096 AS steps;
CALL featurestore.run_due();
SELECT count(*), min(now() - _valid_from) >= '0' AND max(now() - _valid_from) < '1 day 61 min' AS in_time FROM many_history;
-- nothing is pruned while it is interrupted, nor what is older than the time it began again
ALTER TABLE many DISABLE TRIGGER ALL;
SELECT featurestore._prune_history('many', 0);
SELECT count(*) FROM many_history;
ALTER TABLE many ENABLE TRIGGER ALL;
SELECT featurestore._prune_history('many', 4096);
SELECT count(*) FROM many_history;
RESET featurestore.history_retention;

--
-- Dropped together, or the history stays
--
DROP TABLE many;
SELECT to_regclass('many_history'), to_regclass('many_validity');
CREATE VIEW reads AS SELECT * FROM direct_validity;
DROP TABLE direct;
SELECT to_regclass('direct_history') IS NOT NULL AS left, count(*) FROM featurestore.online_table WHERE relation::text ~ 'direct';
DROP TABLE direct_history CASCADE;
-- without its history a table is written as ever
DROP TABLE staged_history CASCADE;
SELECT history_table, history_from FROM featurestore.online_table WHERE relation = 'staged'::regclass;
INSERT INTO staged VALUES (5, 5);
TRUNCATE staged;

--
-- All of it as an ordinary role; a first fill in steps
--
CREATE ROLE regress_history_owner;
GRANT regress_history_writer TO regress_history_owner;
CREATE SCHEMA owned AUTHORIZATION regress_history_owner;
GRANT ALL ON SCHEMA owned TO regress_history_writer;
SET ROLE regress_history_owner;
SET search_path = owned, kept;
CREATE TABLE owned.source (id int PRIMARY KEY, v int);
INSERT INTO owned.source SELECT i, i FROM generate_series(1, 95) AS i;
SET featurestore.fill_chunk = 10;
SELECT featurestore.publish_table('owned.source', 'owned.filled', history => true, wait => false);
SELECT count(*) FROM filled_history;
CALL featurestore.sync('filled');
SELECT count(*) AS versions, min(_valid_from) > (SELECT history_from FROM featurestore.online_table WHERE relation = 'owned.filled'::regclass) AS later
FROM filled_history;
RESET featurestore.fill_chunk;
UPDATE owned.source SET v = 0 WHERE id < 3;
CALL featurestore.run_due();
ALTER TABLE filled ADD COLUMN w int DEFAULT 7;
ALTER TABLE filled RENAME COLUMN w TO x;
SELECT * FROM versions('owned.filled', 'v', 'x') AS v WHERE v ~ '^[12] ';
SELECT featurestore.alter_publication('owned.filled', history => false);
SELECT featurestore.alter_publication('owned.filled', history => true);
SELECT is_in_step('owned.filled');
RESET ROLE;
-- a superuser runs nothing of the owner's with his rights
CREATE FUNCTION owned.whoami() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'as %', current_user; END $$;
CREATE TRIGGER whoami BEFORE INSERT ON filled_history FOR EACH ROW EXECUTE FUNCTION owned.whoami();
ALTER TABLE filled ADD COLUMN y int DEFAULT 7;
SELECT featurestore.alter_publication('owned.filled', history => false);
SELECT featurestore.alter_publication('owned.filled', history => true);
DROP TRIGGER whoami ON filled_history;
SELECT featurestore.alter_publication('owned.filled', history => true);
SELECT relname, relowner::regrole FROM pg_class WHERE relname ~ '^filled_(history|validity)$' ORDER BY 1;
-- nor of a domain, when it writes what was missed
SET ROLE regress_history_owner;
CREATE FUNCTION owned.is_good(v text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN IF current_user <> 'regress_history_owner' THEN RAISE EXCEPTION 'as %', current_user; END IF; RETURN true; END $$;
CREATE DOMAIN owned.checked AS text CHECK (owned.is_good(value));
ALTER TABLE filled ADD COLUMN z text;
ALTER TABLE filled DROP COLUMN z;
DROP VIEW filled_validity;
ALTER TABLE filled_history ALTER COLUMN z TYPE owned.checked;
RESET ROLE;
ALTER TABLE filled DISABLE TRIGGER ALL;
DELETE FROM filled WHERE id = 95;
ALTER TABLE filled ENABLE TRIGGER ALL;
SET ROLE regress_history_owner;
ALTER TABLE filled_history ALTER COLUMN z TYPE text;
RESET ROLE;
ALTER TABLE filled ENABLE TRIGGER ALL;
SELECT is_in_step('owned.filled');
-- another owner
SET ROLE regress_history_owner;
ALTER TABLE filled OWNER TO regress_history_writer;
UPDATE filled SET v = 1 WHERE id = 1;
SELECT is_in_step('owned.filled');
SELECT relname, relowner::regrole FROM pg_class WHERE relname ~ '^filled_(history|validity)$' ORDER BY 1;
DROP TABLE filled;
SELECT count(*) FROM pg_class WHERE relname ~ '^filled';
-- policies hide rows from the owner, but not from the history
CREATE TABLE hidden (id int PRIMARY KEY, v int);
SELECT featurestore.create_online_table('owned.hidden', history => true);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON hidden USING (v > 0) WITH CHECK (true);
INSERT INTO hidden VALUES (1, 1), (2, -1);
UPDATE hidden SET v = -v;
SELECT count(*) FROM hidden;
SELECT versions('owned.hidden', 'v');
ALTER TABLE hidden ADD COLUMN w int DEFAULT 1;
RESET ROLE;
SET search_path = kept;
DROP SCHEMA owned CASCADE;

--
-- What cannot have one
--
\set VERBOSITY default
CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY HASH (id);
SELECT featurestore.create_online_table('kept.parted', history => true);
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
SELECT featurestore.create_online_table('kept.unlogged', history => true);
CREATE TABLE nullable (id int UNIQUE, v int);
SELECT featurestore.create_online_table('kept.nullable', history => true);
CREATE TABLE named (id int PRIMARY KEY, _valid_to int);
SELECT featurestore.create_online_table('kept.named', history => true);
CREATE TABLE taken (id int PRIMARY KEY, v int);
CREATE TABLE taken_history (id int PRIMARY KEY, v int);
SELECT featurestore.create_online_table('kept.taken', history => true);
DROP TABLE taken_history;
CREATE TABLE taken_history (id int, v text, _valid_from timestamptz, _is_deleted boolean, PRIMARY KEY (id, _valid_from));
SELECT featurestore.create_online_table('kept.taken', history => true);
DROP TABLE taken_history;
CREATE TABLE taken_history (id int, v int, _valid_from timestamptz, _is_deleted boolean, PRIMARY KEY (id, _valid_from));
CREATE TRIGGER t BEFORE INSERT ON taken_history FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
SELECT featurestore.create_online_table('kept.taken', history => true);
DROP TRIGGER t ON taken_history;
CREATE TABLE taken_validity (id int);
SELECT featurestore.create_online_table('kept.taken', history => true);
CREATE TABLE a_name_of_a_table_that_leaves_no_room_for_what_comes_after_it (id int PRIMARY KEY);
SELECT featurestore.create_online_table('kept.a_name_of_a_table_that_leaves_no_room_for_what_comes_after_it', history => true);
SELECT count(*) FROM featurestore.online_table WHERE relation::text ~ '^(taken|named|nullable|parted|a_name)';

DROP SCHEMA kept CASCADE;
DROP ROLE regress_history_owner, regress_history_writer;
