--
-- Publishing by captured changes: what is refused, what is rejected, what stops
-- and goes on again
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_applier;
CREATE ROLE regress_stranger;
CREATE SCHEMA apply_errors AUTHORIZATION regress_applier;
GRANT USAGE, CREATE ON SCHEMA apply_errors TO regress_stranger;
CREATE FOREIGN DATA WRAPPER regress_nowhere;
CREATE SERVER regress_nowhere FOREIGN DATA WRAPPER regress_nowhere;
GRANT USAGE ON FOREIGN SERVER regress_nowhere TO regress_applier;
RESET client_min_messages;
SET search_path = apply_errors;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
SET ROLE regress_applier;
SET client_min_messages = warning;
\ir include/helpers.sql
RESET client_min_messages;

-- the last run of a table, and what became of its changes
CREATE FUNCTION last_run(online_table regclass) RETURNS TABLE(operation text, rows_read bigint, rows_changed bigint, rows_rejected bigint, sqlstate text, message text)
	LANGUAGE sql AS $$
SELECT operation, rows_read, rows_changed, rows_rejected, sqlstate, message
FROM featurestore.publish_runs r WHERE r.online_table = last_run.online_table ORDER BY id DESC LIMIT 1 $$;
CREATE FUNCTION rejected(online_table regclass) RETURNS TABLE(change jsonb, sqlstate text, message text)
	LANGUAGE sql AS $$
SELECT r.change - '{_xid,_sequence,_partition,_commit_timestamp,_commit_version}'::text[], r.sqlstate, r.message
FROM featurestore.rejected_changes r WHERE r.online_table = rejected.online_table ORDER BY id $$;
CREATE FUNCTION stopped(online_table regclass) RETURNS text
	LANGUAGE sql AS $$ SELECT stopped FROM featurestore.publication_position p WHERE p.relation = stopped.online_table $$;

--
-- Definitions that are refused
--
CREATE TABLE source (id int PRIMARY KEY, v int, w int UNIQUE, at timestamptz NOT NULL DEFAULT '2024-01-01', UNIQUE (id, at));
CREATE TABLE keyless (id int, v int);
CREATE VIEW viewed AS TABLE source;
CREATE MATERIALIZED VIEW stored AS TABLE source;
CREATE FOREIGN TABLE foreign_source (id int, v int) SERVER regress_nowhere;
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, v int);
CREATE TEMP TABLE temporary (id int PRIMARY KEY, v int);
CREATE TABLE taken (id int PRIMARY KEY, _xid int);
SET ROLE regress_stranger;
CREATE TABLE others (id int PRIMARY KEY, v int);
GRANT SELECT ON others TO regress_applier;
SET ROLE regress_applier;

SELECT refused($$SELECT featurestore.publish_table('keyless', 'online')$$);
SELECT refused($$SELECT featurestore.publish_table('keyless', 'online', primary_key => '{id}')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', primary_key => '{w}')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', primary_key => '{id,v}')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', 'CONTINUOUSLY')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', 'triggered')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', NULL)$$);
SELECT refused($$SELECT featurestore.publish_table('viewed', 'online', primary_key => '{id}')$$);
SELECT refused($$SELECT featurestore.publish_table('stored', 'online', primary_key => '{id}')$$);
SELECT refused($$SELECT featurestore.publish_table('foreign_source', 'online', primary_key => '{id}')$$);
SELECT refused($$SELECT featurestore.publish_table('unlogged', 'online')$$);
SELECT refused($$SELECT featurestore.publish_table('temporary', 'online')$$);
SELECT refused($$SELECT featurestore.publish_table('taken', 'online')$$);
SELECT refused($$SELECT featurestore.publish_table('others', 'online')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', filter => 'v > 0 AND')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', filter => 'v > random()')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', filter => 'at > current_date')$$);
-- nothing is left of them
SELECT to_regclass('online'), count(*) FROM featurestore.staging;
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgfoid = 'featurestore._capture()'::regprocedure;

-- source_retention
SELECT refused($$SELECT featurestore.publish_table('source', 'online', source_retention => '1 day')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', 'SNAPSHOT', primary_key => '{id,at}', timeseries_column => 'at', source_retention => '1 day')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', primary_key => '{id,at}', timeseries_column => 'at', source_retention => '-1 day')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', primary_key => '{id,at}', timeseries_column => 'at', source_retention => '0')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', primary_key => '{id,at}', timeseries_column => 'at', source_retention => '1 month')$$);
SELECT featurestore.register_feature('many', 'source', '{id}', 'at', 'count');
SELECT refused($$SELECT featurestore.materialize_features('{many}', 'states', publish_mode => 'SNAPSHOT', source_retention => '1 day')$$);
SELECT refused($$SELECT featurestore.materialize_features('{many}', 'states', publish_mode => 'sometimes')$$);

-- again, and differently
INSERT INTO source VALUES (1, 1, 1), (2, 2, 2);
SELECT featurestore.publish_table('source', 'online', features => '{v}');
SELECT featurestore.publish_table('source', 'online', features => '{v}');
SELECT refused($$SELECT featurestore.publish_table('source', 'online', 'SNAPSHOT', features => '{v}')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'online', features => '{v}', filter => 'v > 0')$$);
SELECT refused($$SELECT featurestore.publish_table('source', 'keyless')$$);
SELECT featurestore.materialize_features('{many}', 'states', source_retention => '36 hours');
SELECT featurestore.materialize_features('{many}', 'states', source_retention => '1 day 12:00');
SELECT refused($$SELECT featurestore.materialize_features('{many}', 'states', source_retention => '1 day')$$);
SELECT refused($$SELECT featurestore.materialize_features('{many}', 'states', publish_mode => 'SNAPSHOT')$$);

-- onto itself, and in a circle
SELECT refused($$SELECT featurestore.publish_table('source', 'source')$$);
SELECT refused($$SELECT featurestore.publish_table('online', 'online')$$);
SELECT featurestore.publish_table('online', 'further');
SELECT refused($$SELECT featurestore.publish_table('further', 'online')$$);
SELECT refused($$SELECT featurestore.publish_table('further', 'source')$$);
-- changes pass on
INSERT INTO source VALUES (3, 3, 3);
CALL featurestore.sync('online');
CALL featurestore.sync('further');
SELECT * FROM further ORDER BY id;
SET client_min_messages = warning;
DROP TABLE further, states, online CASCADE;
RESET client_min_messages;

--
-- What external writers give: keys that are NULL, unknown kinds of changes
--
CREATE TABLE fed (id int PRIMARY KEY, v int);
SELECT featurestore.create_staging_table('fed');
INSERT INTO fed_staging (id, v, _change_type) VALUES (1, 1, 'insert'), (NULL, 2, 'insert'), (3, 3, 'upsert'), (4, 4, DEFAULT), (NULL, 5, 'delete'), (NULL, NULL, 'truncated');
CALL featurestore.sync('fed');
SELECT * FROM fed ORDER BY id;
SELECT * FROM rejected('fed');
SELECT * FROM last_run('fed');
-- they are not tried again
INSERT INTO fed_staging (id, v, _change_type) VALUES (1, NULL, 'delete');
CALL featurestore.sync('fed');
SELECT * FROM fed ORDER BY id;
SELECT count(*) FROM rejected('fed');
-- nor are they of a table that is gone
DROP TABLE fed;
SELECT count(*) FROM featurestore.rejected_changes;

--
-- A filter and an input that fail for one row in ten
--
CREATE TABLE ratio (id int PRIMARY KEY, v int, at timestamptz DEFAULT '2024-01-01');
SELECT featurestore.publish_table('ratio', 'ratios', filter => '100 / v > 0');
SELECT featurestore.register_feature('inverse', 'ratio', '{id}', 'at', 'sum', '100 / v');
SELECT featurestore.materialize_features('{inverse}', 'inverses');
INSERT INTO ratio SELECT i, i % 10 FROM generate_series(1, 2000) AS i;
CALL featurestore.sync('ratios');
SELECT count(*), sum(v) FROM ratios;
SELECT change ->> 'v' AS v, sqlstate, message, count(*), min((change ->> 'id')::int), max((change ->> 'id')::int) FROM rejected('ratios') GROUP BY 1, 2, 3;
SELECT * FROM last_run('ratios');
CALL featurestore.sync('inverses');
SELECT count(*), sum(inverse) FROM inverses_values;
SELECT change ->> 'v' AS v, sqlstate, message, count(*), min((change ->> 'id')::int), max((change ->> 'id')::int) FROM rejected('inverses') GROUP BY 1, 2, 3;
SELECT * FROM last_run('inverses');
-- they are mended, others become bad and go, or are bad and good again within a batch
UPDATE ratio SET v = 7 WHERE id IN (10, 20);
UPDATE ratio SET v = 0 WHERE id IN (1, 2, 3);
UPDATE ratio SET v = 5 WHERE id = 3;
DELETE FROM ratio WHERE id IN (30, 40, 4);
CALL featurestore.sync('ratios');
SELECT * FROM ratios WHERE id < 6 OR id % 10 = 0 ORDER BY id;
SELECT change, sqlstate FROM rejected('ratios') OFFSET 200;
CALL featurestore.sync('inverses');
SELECT id, inverse FROM inverses_values WHERE id < 6 OR id % 10 = 0 ORDER BY id;
SELECT change, sqlstate FROM rejected('inverses') OFFSET 200;
-- a source that has bad rows cannot be compared as a whole
CALL featurestore.rebuild('ratios');
SELECT * FROM last_run('ratios');
SELECT refused($$SELECT featurestore.publish_table('ratio', 'refilled', filter => '100 / v > 0')$$);
SET client_min_messages = warning;
DROP TABLE ratio, ratios, inverses CASCADE;
RESET client_min_messages;

--
-- Columns may have any names
--
CREATE TABLE named (
	n int NOT NULL, due timestamptz NOT NULL, is_put int, is_due int, code int, message int, key int, source int, change int, online int, newest int, latest int, delta int, at int, k1 int, value int,
	PRIMARY KEY (n, due)
);
SELECT featurestore.publish_table('named', 'named_whole', filter => '100 / code > 0');
SELECT featurestore.publish_table('named', 'named_newest', timeseries_column => 'due', filter => '100 / code > 0');
SELECT featurestore.register_features('named', '{n}', 'due', '[{"function": "sum", "input": "100 / code", "name": "sum"}, {"function": "last", "input": "at"}, {"function": "count"}]', ARRAY[featurestore.lifetime_window()]);
SELECT featurestore.materialize_features('{sum_lifetime,at_last_lifetime,count_lifetime}', 'named_states');
INSERT INTO named SELECT n, timestamptz '2024-01-01' + k * interval '1 day', k, k, k - 1, k, k, k, k, k, k, k, k, k, k, k FROM generate_series(1, 2) AS n, generate_series(1, 3) AS k;
CALL featurestore.sync('named_whole');
CALL featurestore.sync('named_newest');
CALL featurestore.sync('named_states');
SELECT n, due, is_put, is_due FROM named_whole ORDER BY 1, 2;
SELECT n, due, is_put, is_due FROM named_newest ORDER BY 1;
SELECT n, sum_lifetime, at_last_lifetime, count_lifetime FROM named_states_values ORDER BY 1;
SELECT online_table, count(*), min(change ->> 'source') AS source, min(sqlstate) AS sqlstate FROM featurestore.rejected_changes WHERE online_table::text LIKE 'named%' GROUP BY 1 ORDER BY 1;
SET client_min_messages = warning;
DROP TABLE named, named_whole, named_newest, named_states CASCADE;
RESET client_min_messages;

--
-- Nor do strings have to conform to the standard
--
SET standard_conforming_strings = off;
SET escape_string_warning = off;
CREATE TABLE quoted (id int, "at\ time" timestamptz, w text, PRIMARY KEY (id, "at\ time"));
SELECT featurestore.register_feature('words', 'quoted', '{id}', 'at\\ time', 'last_n', 'w', params => '{"n": 2}', filter => 'w <> E''\\\\''');
SELECT featurestore.materialize_features('{words}', 'quoted_words');
SELECT featurestore.publish_table('quoted', 'quoted_newest', timeseries_column => 'at\\ time', filter => 'w <> E''\\\\''');
INSERT INTO quoted VALUES (1, '2024-01-01', 'a'), (1, '2024-01-02', E'\\'), (1, '2024-01-03', E'b\\');
CALL featurestore.sync('quoted_words');
CALL featurestore.sync('quoted_newest');
SELECT id, words FROM quoted_words_values;
SELECT * FROM quoted_newest;
SELECT featurestore._rotate('quoted_changes', 0);
SELECT current_relation FROM featurestore.staging WHERE captured_source = 'quoted'::regclass;
SET client_min_messages = warning;
DROP TABLE quoted, quoted_words, quoted_newest CASCADE;
RESET client_min_messages;
RESET standard_conforming_strings;
RESET escape_string_warning;

--
-- What the online table refuses: the good rows are applied, the others rejected
--
CREATE TABLE thing (id int PRIMARY KEY, v int, code text);
SELECT featurestore.publish_table('thing', 'things');
CREATE TABLE codes (code text PRIMARY KEY);
INSERT INTO codes VALUES ('a'), ('b'), ('c');
ALTER TABLE things ADD CHECK (v < 1000), ALTER COLUMN v SET NOT NULL, ADD FOREIGN KEY (code) REFERENCES codes;
CREATE UNIQUE INDEX ON things ((v % 100));
CREATE FUNCTION check_thing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF NEW.v = 50 THEN
		RAISE check_violation USING MESSAGE = 'fifty is no value';
	ELSIF NEW.v = 51 THEN
		PERFORM 1 / 0;
	ELSIF NEW.v = 52 THEN
		RETURN NULL;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER check_thing BEFORE INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION check_thing();
INSERT INTO thing VALUES (1, 1, 'a'), (2, 1000, 'a'), (3, NULL, 'a'), (4, 4, 'x'), (5, 101, 'a'), (6, 50, 'a'), (7, 51, 'a'), (8, 52, 'a'), (9, 9, NULL);
CALL featurestore.sync('things');
SELECT * FROM things ORDER BY id;
SELECT * FROM rejected('things');
SELECT * FROM last_run('things');
-- older changes of a key count when the newest is refused
BEGIN;
UPDATE thing SET v = 10 WHERE id = 1;
UPDATE thing SET v = 50 WHERE id = 1;
DELETE FROM thing WHERE id = 9;
INSERT INTO thing VALUES (9, 19, 'b');
UPDATE thing SET code = 'y' WHERE id = 9;
COMMIT;
CALL featurestore.sync('things');
SELECT * FROM things ORDER BY id;
SELECT * FROM rejected('things') OFFSET 6;
-- a value of a unique index passes from row to row
UPDATE thing SET v = 500 WHERE id = 1;
UPDATE thing SET v = 10 WHERE id = 2;
CALL featurestore.sync('things');
SELECT * FROM things ORDER BY id;
SELECT * FROM rejected('things') OFFSET 8;
-- a delete that is refused
CREATE TABLE uses (id int REFERENCES things);
INSERT INTO uses VALUES (1);
DELETE FROM thing WHERE id IN (1, 2);
CALL featurestore.sync('things');
SELECT * FROM things ORDER BY id;
SELECT * FROM rejected('things') OFFSET 8;
SET client_min_messages = warning;
DROP TABLE thing, things CASCADE;
RESET client_min_messages;

--
-- Failures that are no row's fault reject nothing and lose nothing
--
CREATE TABLE stock (id int, at timestamptz, v int, PRIMARY KEY (id, at));
INSERT INTO stock SELECT i, timestamptz '2024-01-01' + d * interval '1 day', d FROM generate_series(1, 3) AS i, generate_series(1, 3) AS d;
SELECT featurestore.publish_table('stock', 'stocks', timeseries_column => 'at');
CREATE TABLE failure (sqlstate text);
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF EXISTS (SELECT FROM apply_errors.failure) THEN
		RAISE EXCEPTION USING ERRCODE = (SELECT sqlstate FROM apply_errors.failure), MESSAGE = 'failed';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON stocks FOR EACH ROW EXECUTE FUNCTION fail();
INSERT INTO stock VALUES (1, '2024-02-01', 100), (4, '2024-02-01', 100);
DELETE FROM stock WHERE id = 2 AND v = 3;
INSERT INTO failure VALUES ('53100');
CALL featurestore.sync('stocks');
SELECT * FROM last_run('stocks');
UPDATE failure SET sqlstate = '55P03';
CALL featurestore.sync('stocks');
UPDATE failure SET sqlstate = 'P0001';
CALL featurestore.sync('stocks');
SELECT operation, sqlstate, message FROM featurestore.publish_runs WHERE online_table = 'stocks'::regclass ORDER BY id;
SELECT stopped('stocks'), count(*) FROM rejected('stocks');
SELECT * FROM stocks ORDER BY id;
TRUNCATE failure;
CALL featurestore.sync('stocks');
SELECT * FROM stocks ORDER BY id;
SELECT * FROM last_run('stocks');
-- in a transaction of the caller nothing is recorded
INSERT INTO failure VALUES ('53100');
INSERT INTO stock VALUES (5, '2024-02-01', 100);
SELECT refused($$CALL featurestore.sync('stocks')$$);
TRUNCATE failure;
SELECT * FROM last_run('stocks');

-- a privilege that is gone
DELETE FROM stock WHERE id = 1 AND v = 100;
REVOKE SELECT ON stock FROM regress_applier;
CALL featurestore.sync('stocks');
SELECT stopped('stocks'), count(*) FROM rejected('stocks');
INSERT INTO stock VALUES (6, '2024-02-01', 100);
CALL featurestore.sync('stocks');
GRANT SELECT ON stock TO regress_applier;
CALL featurestore.sync('stocks');
SELECT stopped('stocks');
SELECT * FROM stocks ORDER BY id;
SELECT operation, sqlstate, message FROM featurestore.publish_runs WHERE online_table = 'stocks'::regclass ORDER BY id DESC LIMIT 3;

--
-- Columns that are gone
--
ALTER TABLE stock DROP COLUMN v;
CALL featurestore.sync('stocks');
SELECT stopped('stocks');
INSERT INTO stock VALUES (7, '2024-02-01');
CALL featurestore.sync('stocks');
SELECT stopped('stocks');
ALTER TABLE stock ADD COLUMN v int DEFAULT 8;
INSERT INTO stock VALUES (7, '2024-02-02', 9);
CALL featurestore.sync('stocks');
SELECT stopped('stocks');
SELECT * FROM stocks ORDER BY id;
INSERT INTO stock VALUES (7, '2024-02-03', 10);
CALL featurestore.sync('stocks');
SELECT * FROM stocks WHERE id = 7;
SELECT * FROM last_run('stocks');
-- of another type, and back
ALTER TABLE stock ALTER COLUMN v TYPE bigint;
CALL featurestore.sync('stocks');
SELECT stopped('stocks');
ALTER TABLE stocks ALTER COLUMN v TYPE bigint;
CALL featurestore.sync('stocks');
SELECT stopped('stocks');
-- one that is not published
ALTER TABLE stock ADD COLUMN note text;
CALL featurestore.sync('stocks');
ALTER TABLE stock DROP COLUMN note;
INSERT INTO stock VALUES (7, '2024-02-04', 11);
CALL featurestore.sync('stocks');
SELECT * FROM stocks WHERE id = 7;
-- the key of the online table
ALTER TABLE stocks DROP CONSTRAINT stocks_pkey;
INSERT INTO stock VALUES (7, '2024-02-05', 12);
CALL featurestore.sync('stocks');
SELECT stopped('stocks');
ALTER TABLE stocks ADD PRIMARY KEY (id);
CALL featurestore.sync('stocks');
SELECT * FROM stocks WHERE id = 7;
-- the staging table, and with it changes
DROP TABLE stock_changes;
INSERT INTO stock VALUES (7, '2024-02-06', 13);
CALL featurestore.sync('stocks');
INSERT INTO stock VALUES (7, '2024-02-07', 14);
CALL featurestore.sync('stocks');
SELECT * FROM stocks WHERE id = 7;
SELECT * FROM last_run('stocks');
-- the source, of another name, and gone
ALTER TABLE stock RENAME TO renamed;
ALTER TABLE renamed RENAME COLUMN id TO number;
CALL featurestore.sync('stocks');
SELECT stopped('stocks');
ALTER TABLE renamed RENAME COLUMN number TO id;
CALL featurestore.sync('stocks');
SELECT stopped('stocks');
-- without its triggers and staging table it cannot be known what has changed
DROP TABLE renamed CASCADE;
CALL featurestore.sync('stocks');
SELECT featurestore.unpublish_table('stocks');
CALL featurestore.sync('stocks');

--
-- A table that cannot be written as a whole
--
SELECT featurestore.publish_table('source', 'online');
INSERT INTO source VALUES (4, 4, 4);
ALTER TABLE online FORCE ROW LEVEL SECURITY;
CALL featurestore.sync('online');
ALTER TABLE online NO FORCE ROW LEVEL SECURITY;
CALL featurestore.sync('online');
SELECT stopped('online'), count(*) FROM online;
ALTER TABLE online ADD UNIQUE (v) DEFERRABLE INITIALLY DEFERRED;
CALL featurestore.sync('online');
SELECT stopped('online');
ALTER TABLE online DROP CONSTRAINT online_v_key, ADD UNIQUE (v) DEFERRABLE;
CALL featurestore.sync('online');
SELECT stopped('online');

--
-- Pausing, resuming, altering
--
SELECT featurestore.pause_publication('online');
SELECT featurestore.pause_publication('online');
INSERT INTO source VALUES (5, 5, 5);
CALL featurestore.sync('online');
SELECT refused($$CALL featurestore.rebuild('online')$$);
SELECT count(*) FROM online;
SELECT featurestore.resume_publication('online');
SELECT featurestore.resume_publication('online');
CALL featurestore.sync('online');
SELECT count(*) FROM online;
SELECT * FROM last_run('online');
SELECT refused($$SELECT featurestore.alter_publication('online', publish_mode => 'never')$$);
SELECT refused($$SELECT featurestore.alter_publication('online', filter => 'v >')$$);
SELECT refused($$SELECT featurestore.alter_publication('online', source_retention => '1 day')$$);
SELECT refused($$SELECT featurestore.alter_publication('keyless')$$);
SELECT refused($$SELECT featurestore.pause_publication('keyless')$$);
SELECT refused($$SELECT featurestore.pause_publication(NULL)$$);
SELECT featurestore.alter_publication('online', filter => 'v <> 5');
CALL featurestore.sync('online');
SELECT array_agg(id ORDER BY id) FROM online;
SELECT featurestore.alter_publication('online', filter => 'true');
UPDATE source SET v = 6 WHERE id = 5;
CALL featurestore.sync('online');
SELECT array_agg(id ORDER BY id) FROM online;
-- to SNAPSHOT and back: nothing captures meanwhile
SELECT featurestore.alter_publication('online', publish_mode => 'SNAPSHOT');
SELECT count(*) FROM featurestore.staging WHERE captured_source = 'source'::regclass;
DELETE FROM source WHERE id = 5;
SELECT featurestore.alter_publication('online', publish_mode => 'TRIGGERED');
DELETE FROM source WHERE id = 4;
CALL featurestore.sync('online');
SELECT array_agg(id ORDER BY id) FROM online;
INSERT INTO source VALUES (5, 5, 5);
CALL featurestore.sync('online');
SELECT array_agg(id ORDER BY id) FROM online;
SELECT * FROM last_run('online');
-- a view cannot be captured
SELECT featurestore.publish_table('viewed', 'online_view', 'SNAPSHOT', primary_key => '{id}');
SELECT refused($$SELECT featurestore.alter_publication('online_view', publish_mode => 'TRIGGERED')$$);
-- states
SELECT featurestore.materialize_features('{many}', 'states');
SELECT refused($$SELECT featurestore.alter_publication('states', filter => 'true')$$);
SELECT featurestore.pause_publication('states');
SELECT refused($$CALL featurestore.sync('states')$$);
DELETE FROM source WHERE id = 5;
SELECT featurestore.resume_publication('states');
CALL featurestore.sync('states');
SELECT id, many FROM states_values ORDER BY id;
-- somebody else
SET ROLE regress_stranger;
SELECT refused($$CALL featurestore.sync('online')$$);
SELECT refused($$CALL featurestore.rebuild('online')$$);
SELECT refused($$SELECT featurestore.pause_publication('online')$$);
SELECT refused($$SELECT featurestore.alter_publication('online', filter => 'true')$$);
SELECT refused($$SELECT featurestore.unpublish_table('online')$$);
SELECT count(*) FROM featurestore.publish_runs;
SELECT count(*) FROM featurestore.rejected_changes;
SET ROLE regress_applier;

--
-- Rebuilding
--
SELECT refused($$CALL featurestore.rebuild('online', '{}')$$);
SELECT refused($$CALL featurestore.rebuild('online', '[1]')$$);
SELECT refused($$CALL featurestore.rebuild('online', '[{"v": 1}]')$$);
SELECT refused($$CALL featurestore.rebuild('online', '[{"id": "x"}]')$$);
SELECT refused($$CALL featurestore.rebuild('online_view', '[{"id": 1}]')$$);
SELECT refused($$CALL featurestore.rebuild('keyless')$$);
SELECT refused($$CALL featurestore.rebuild(NULL)$$);
-- what somebody has done to the table is undone, where it is asked for
UPDATE online SET v = v + 100;
INSERT INTO online VALUES (100, 200), (101, 201);
DELETE FROM online WHERE id = 3;
CALL featurestore.rebuild('online', '[{"id": 1}, {"id": 3}, {"id": 100}, {"id": 999}, {"id": 1, "v": 7}]');
SELECT id, v FROM online ORDER BY id;
SELECT * FROM last_run('online');
CALL featurestore.rebuild('online', '[]');
CALL featurestore.rebuild('online');
SELECT id, v FROM online ORDER BY id;
SELECT * FROM last_run('online');
DELETE FROM states WHERE id < 3;
CALL featurestore.rebuild('states', '[{"id": 2}, {"id": 1000}, {"id": null}]');
SELECT id, many FROM states_values ORDER BY id;
-- of a table that is not filled
SELECT featurestore.publish_table('source', 'unfilled', wait => false);
SELECT refused($$CALL featurestore.rebuild('unfilled', '[{"id": 1}]')$$);
DROP TABLE unfilled;

--
-- Keys that are computed anew and cannot be, for a row of the source that was
-- rejected: they are kept, and do not hold up the others
--
CREATE TABLE series (id int, at timestamptz, v int, PRIMARY KEY (id, at));
INSERT INTO series SELECT id, at, id FROM generate_series(1, 3) AS id, generate_series(timestamptz '2024-01-01', '2024-01-03', '1 day') AS at;
SELECT featurestore.publish_table('series', 'series_online', timeseries_column => 'at', filter => '100 / v > 0');
SELECT featurestore.register_feature('inverse', 'series', '{id}', 'at', 'max', '100 / v');
SELECT featurestore.materialize_features('{inverse}', 'series_states');
UPDATE series SET v = 0 WHERE id = 2 AND at = '2024-01-01';
CALL featurestore.sync('series_online');
CALL featurestore.sync('series_states');
DELETE FROM series WHERE at = '2024-01-03';
CALL featurestore.sync('series_online');
CALL featurestore.sync('series_states');
CALL featurestore.rebuild('series_online', '[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]');
SELECT id, at::date, v FROM series_online ORDER BY id;
SELECT * FROM series_states_values ORDER BY id;
SELECT online_table, sqlstate, message, change -> 'id' AS id, change -> 'at' AS at, change -> '_change_type' AS type
FROM featurestore.rejected_changes WHERE online_table IN ('series_online'::regclass, 'series_states'::regclass) ORDER BY rejected_changes.id;

--
-- All that is due: one that fails is tried again later, the others go on
--
CREATE TABLE due_a (id int PRIMARY KEY, v int);
CREATE TABLE due_b (id int PRIMARY KEY, v int);
SELECT featurestore.publish_table('due_a', 'a_failing'), featurestore.publish_table('due_b', 'b_going'), featurestore.publish_table('due_a', 'c_paused'),
	featurestore.publish_table('due_a', 'd_merged', 'SNAPSHOT');
SELECT featurestore.pause_publication('c_paused');
CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON a_failing FOR EACH ROW EXECUTE FUNCTION fail();
INSERT INTO failure VALUES ('53100');
INSERT INTO due_a VALUES (1, 1);
INSERT INTO due_b VALUES (1, 1);
CALL featurestore.run_due();
SELECT (SELECT count(*) FROM a_failing) AS a, (SELECT count(*) FROM b_going) AS b, (SELECT count(*) FROM c_paused) AS c, (SELECT count(*) FROM d_merged) AS d;
SELECT * FROM last_run('a_failing');
-- not now
TRUNCATE failure;
INSERT INTO due_b VALUES (2, 2);
RESET ROLE;
UPDATE featurestore.publish_run SET ended_at = ended_at + interval '1 h' WHERE relation = 'a_failing'::regclass AND sqlstate IS NOT NULL;
SET ROLE regress_applier;
CALL featurestore.run_due();
SELECT (SELECT count(*) FROM a_failing) AS a, (SELECT count(*) FROM b_going) AS b;
SELECT count(*) FROM featurestore.publish_runs WHERE online_table = 'a_failing'::regclass AND sqlstate IS NOT NULL;
-- but later
RESET ROLE;
UPDATE featurestore.publish_run SET ended_at = ended_at - interval '1 h 1 s' WHERE relation = 'a_failing'::regclass AND sqlstate IS NOT NULL;
UPDATE featurestore.publication_position SET synced_at = synced_at - interval '10 s' WHERE relation = 'a_failing'::regclass;
SET ROLE regress_applier;
BEGIN;
CALL featurestore.run_due();
COMMIT;
SELECT (SELECT count(*) FROM a_failing) AS a;
SET ROLE regress_stranger;
INSERT INTO others VALUES (1, 1);
CALL featurestore.run_due();
SET ROLE regress_applier;

--
-- The last publication takes trigger and staging table along
--
CREATE VIEW captured AS
	SELECT s.relation, s.captured_source, ARRAY(SELECT tgname FROM pg_trigger WHERE tgrelid = s.captured_source AND tgfoid = 'featurestore._capture()'::regprocedure ORDER BY 1) AS triggers
	FROM featurestore.staging s WHERE captured_source IN ('due_a'::regclass, 'source'::regclass) ORDER BY 1;
SELECT * FROM captured;
SELECT featurestore.unpublish_table('a_failing');
SELECT * FROM captured;
DROP TABLE c_paused;
SELECT * FROM captured;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'due_a'::regclass;
SELECT to_regclass('due_a_changes'), to_regclass('due_a_changes_0');
SELECT refused($$SELECT featurestore.unpublish_table('a_failing')$$);
SELECT refused($$SELECT featurestore.unpublish_table('states')$$);
SELECT featurestore.unpublish_table('online');
SELECT * FROM captured;
SELECT featurestore.drop_feature('many', cascade => true);
SELECT * FROM captured;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'source'::regclass;
-- the tables stay, and keep their names
SELECT count(*) FROM online;
SELECT refused($$SELECT featurestore.publish_table('source', 'online')$$);

RESET ROLE;
SET client_min_messages = warning;
DROP TABLE temporary;
DROP SCHEMA apply_errors CASCADE;
DROP SERVER regress_nowhere;
DROP FOREIGN DATA WRAPPER regress_nowhere;
DROP ROLE regress_applier, regress_stranger;
