--
-- Keys of all kinds, and odd names: filled at once and in steps, changed, and rebuilt
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA publish_keys;
SET search_path = publish_keys, featurestore;
SET TimeZone = 'UTC';
\pset tuples_only on
\pset format unaligned

CREATE TYPE letter AS ENUM ('z', 'a', 'm');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN price AS numeric(10, 2) CHECK (value >= 0);
CREATE TABLE kinds (type text, keys text[]);
INSERT INTO kinds VALUES ('text COLLATE "C"', '{a,B,"c''\"d\\\\"}'), ('char(5)', '{a,"b c"}'), ('numeric', '{1.0,2.50,NaN}'),
	('double precision', '{0.30000000000000004,0.3,-0,NaN}'), ('price', '{1.00,2.5}'), ('date', '{2024-01-02,2024-02-01,infinity,"0044-03-15 BC"}'),
	('interval', '{"1 mon","30 days 00:00:01"}'), ('int[]', '{"{1,2}","{}","{NULL}"}'), ('letter', '{z,a,m}'), ('pair', '{"(1,a)","(2,)","(,)"}'), ('jsonb', '{"{\"a\": 1}",3}');

CREATE PROCEDURE difference(wanted text, online text) LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(row::text, '' '') FROM ((%1$s EXCEPT ALL %2$s) UNION ALL (%2$s EXCEPT ALL %1$s)) AS d(row)', wanted, online) INTO result;
	IF result IS NOT NULL THEN
		RAISE WARNING 'different: %', result;
	END IF;
END $$;
CREATE PROCEDURE try(type text, keys text[], is_at_once boolean) LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS rows, rows_online, series, series_online;
	EXECUTE format('CREATE TABLE rows (k %s PRIMARY KEY, v text)', type);
	EXECUTE format('CREATE TABLE series (k %s, ts timestamptz, v text, PRIMARY KEY (k, ts))', type);
	EXECUTE format('INSERT INTO rows SELECT key::%s FROM unnest($1) AS key', type) USING keys;
	INSERT INTO series SELECT k, timestamptz '2024-01-01' + n * interval '1 day', 'v' || n FROM rows, generate_series(1, 3) AS n;
	PERFORM publish_table('rows', 'rows_online', wait => is_at_once);
	PERFORM publish_table('series', 'series_online', timeseries_column => 'ts', wait => is_at_once);
	IF NOT is_at_once THEN
		CALL sync('rows_online');
		CALL sync('series_online');
	END IF;
	UPDATE rows SET v = 'new';
	DELETE FROM series WHERE ts = '2024-01-04';
	CALL sync('rows_online');
	CALL sync('series_online');
	CALL difference('SELECT r::text FROM rows r', 'SELECT o::text FROM rows_online o');
	CALL difference('(SELECT s::text FROM series s WHERE ts = ''2024-01-03'')', 'SELECT o::text FROM series_online o');
	DELETE FROM rows WHERE ctid = (SELECT min(ctid) FROM rows);
	CALL sync('rows_online');
	CALL difference('SELECT r::text FROM rows r', 'SELECT o::text FROM rows_online o');
END $$;
SET featurestore.fill_chunk = 1;
-- what a session shows of values is nothing to runs, which keep keys as texts
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SET extra_float_digits = -10;
DO $$
DECLARE
	kind kinds;
BEGIN
	FOR kind IN SELECT * FROM kinds LOOP
		RAISE INFO '%', kind.type;
		CALL try(kind.type, kind.keys, kind.type = 'pair');
	END LOOP;
END $$;
SELECT count(*) FROM rejected_changes;

-- a fill that goes on in another session
CREATE TABLE days (day date PRIMARY KEY);
INSERT INTO days SELECT date '2024-01-01' + n FROM generate_series(0, 59) AS n;
SELECT publish_table('days', 'days_online', wait => false);
SET featurestore.fill_chunk = 2;
SELECT _run('days_online', 'SYNC', NULL) ->> 'operation';
SET DateStyle = 'ISO, MDY';
RESET featurestore.fill_chunk;
CALL sync('days_online');
SELECT count(*) FROM days_online;

-- names that statements use themselves, or that need care
CREATE TABLE words (id int PRIMARY KEY, is_put boolean, is_due boolean, key int, n int, due int, later int, source text, online text, latest int, change int, numbers int, place int, code text, message text);
SELECT publish_table('words', 'words_online', filter => 'n IS NULL OR n > 0');
ALTER TABLE words_online ADD CHECK (source <> 'bad');
INSERT INTO words (id, is_put, source) VALUES (1, true, 'good'), (2, false, 'bad');
CALL sync('words_online');
SELECT id, is_put, source FROM words_online;
SELECT change FROM (SELECT change - '{_sequence,_xid,_commit_timestamp,_commit_version,_partition}'::text[] FROM rejected_changes) AS c(change);
CREATE SCHEMA "Odd %s ""'\";
CREATE TABLE "Odd %s ""'\"."T%I ""'\" ("K%s ""'\" text COLLATE "C", "t%1$s" date, "V $1 ""'\" text, PRIMARY KEY ("K%s ""'\", "t%1$s"));
SELECT publish_table('"Odd %s ""''\"."T%I ""''\"', '"Odd %s ""''\"."O%I ""''\"', timeseries_column => 't%1$s', filter => $$"V $1 ""'\" <> E'it''s %s\\'$$);
INSERT INTO "Odd %s ""'\"."T%I ""'\" VALUES (E'a\\''"', '2024-01-01', 'x'), (E'a\\''"', '2024-01-02', 'y'), ('b', '2024-01-01', E'it''s %s\\');
CALL sync('"Odd %s ""''\"."O%I ""''\"');
DELETE FROM "Odd %s ""'\"."T%I ""'\" WHERE "t%1$s" = '2024-01-02';
CALL sync('"Odd %s ""''\"."O%I ""''\"');
SELECT * FROM "Odd %s ""'\"."O%I ""'\";

SET client_min_messages = warning;
DROP SCHEMA publish_keys, "Odd %s ""'\" CASCADE;
