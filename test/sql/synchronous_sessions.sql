--
-- What writers apply at their end does not depend on what their sessions have
-- set or have seen before
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET jit = off;
CREATE ROLE regress_ss_owner;
CREATE ROLE regress_ss_reader;
CREATE ROLE regress_ss_writer;
GRANT regress_ss_owner TO regress_ss_reader;
CREATE SCHEMA ss;
GRANT ALL ON SCHEMA ss TO regress_ss_owner, regress_ss_reader;
GRANT USAGE ON SCHEMA ss TO regress_ss_writer;
SET search_path = ss;

-- keys that go from statement to statement as texts
CREATE TABLE reading (sensor float8, since interval, at timestamptz, v int, PRIMARY KEY (sensor, since, at));
INSERT INTO reading SELECT 0.1::float8 + 0.2::float8, '1 day -2:03', at, extract(day FROM at) FROM unnest('{2024-01-01,2024-01-02}'::timestamptz[]) AS at;
SELECT featurestore.publish_table('reading', 'newest', 'SYNCHRONOUS', timeseries_column => 'at');
SET extra_float_digits = -3;
SET intervalstyle = sql_standard;
SET datestyle = 'SQL, DMY';
DELETE FROM reading WHERE v = 2;
SELECT v FROM newest;
INSERT INTO reading SELECT sensor, since, clock_timestamp() + '0.5 s', 3 FROM reading;
RESET extra_float_digits;
RESET intervalstyle;
RESET datestyle;
SELECT FROM pg_sleep(0.6);
CALL featurestore.run_due();
SELECT v FROM newest;

-- whoever loses the rights of the owner of a source gets no more of its rows
SET ROLE regress_ss_owner;
CREATE TABLE source (id int PRIMARY KEY, v int);
GRANT INSERT ON source TO regress_ss_writer;
SET ROLE regress_ss_reader;
SELECT featurestore.publish_table('source', 'readers', 'SYNCHRONOUS');
SET ROLE regress_ss_writer;
INSERT INTO source VALUES (1, 1);
RESET ROLE;
SELECT * FROM readers ORDER BY id;
REVOKE regress_ss_owner FROM regress_ss_reader;
SET ROLE regress_ss_writer;
INSERT INTO source VALUES (2, 2);
RESET ROLE;
SELECT * FROM readers ORDER BY id;

-- a trigger of the online table changes the source of a row that is about to be computed anew
CREATE TABLE event (u int, at timestamptz, v int);
INSERT INTO event VALUES (1, '2024-01-01', 1), (2, '2024-01-01', 1), (2, '2024-01-02', 5);
SELECT featurestore.register_feature('n', 'event', '{u}', 'at', 'count');
SELECT featurestore.register_feature('largest', 'event', '{u}', 'at', 'max', 'v');
SELECT featurestore.materialize_features('{n,largest}', 'states', publish_mode => 'SYNCHRONOUS');
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO ss.event SELECT 2, '2024-01-03', 100 WHERE NOT EXISTS (SELECT FROM ss.event WHERE v = 100);
	RETURN NULL;
END $$;
CREATE TRIGGER follow AFTER UPDATE ON states FOR EACH ROW WHEN (new.u = 1) EXECUTE FUNCTION follow();
BEGIN;
INSERT INTO event VALUES (1, '2024-01-05', 1);
DELETE FROM event WHERE v = 5;
COMMIT;
SELECT u, s.n = e.n AS n_is_right, s.largest = e.largest AS largest_is_right
FROM states_values AS s FULL JOIN (SELECT u, count(*) AS n, max(v) AS largest FROM event GROUP BY 1) AS e USING (u) ORDER BY u;

-- changes are applied between the triggers of a statement
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SET CONSTRAINTS ALL IMMEDIATE; RETURN NULL; END $$;
CREATE TRIGGER before_capture AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION look();
BEGIN;
DELETE FROM event WHERE v = 100;
INSERT INTO event VALUES (2, '2024-01-04', 7), (2, '2024-01-05', 8), (3, '2024-01-05', 8);
COMMIT;
SELECT u, s.n = e.n AS n_is_right, s.largest = e.largest AS largest_is_right
FROM states_values AS s FULL JOIN (SELECT u, count(*) AS n, max(v) AS largest FROM event GROUP BY 1) AS e USING (u) ORDER BY u;

-- what is known of tables goes with them
CREATE PROCEDURE publish_and_drop() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..10 LOOP
		PERFORM featurestore.publish_table('ss.source', 'ss.brief', 'SYNCHRONOUS');
		INSERT INTO ss.source VALUES (10 + i, i);
		COMMIT;
		DROP TABLE ss.brief;
		COMMIT;
	END LOOP;
END $$;
CALL publish_and_drop();
SELECT count(*) < 6 AS few FROM pg_backend_memory_contexts WHERE name = 'featurestore synchronous table';

RESET search_path;
DROP SCHEMA ss CASCADE;
DROP ROLE regress_ss_owner, regress_ss_reader, regress_ss_writer;
