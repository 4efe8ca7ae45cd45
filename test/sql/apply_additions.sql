--
-- Batches that only add, which go a way of their own: events are merged into
-- states where they are, rows are upserted; and what only looks like that
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA apply_additions;
SET search_path = apply_additions, featurestore;
CREATE TABLE event (id int PRIMARY KEY, u int, at timestamptz NOT NULL, amount numeric, kind text);
CREATE TABLE visit (id int PRIMARY KEY, u int, at timestamptz NOT NULL);
CREATE FUNCTION declare(prefix text) RETURNS text[] LANGUAGE sql AS $$
	SELECT ARRAY[register_feature(prefix || '_spent', 'event', '{u}', 'at', 'sum', 'amount', rolling_window('7 days')),
		register_feature(prefix || '_last', 'event', '{u}', 'at', 'last_n', 'amount', filter => 'kind <> ''x''', params => '{"n": 3}'),
		register_feature(prefix || '_events', 'event', '{u}', 'at', 'count'),
		register_feature(prefix || '_visits', 'visit', '{u}', 'at', 'count', time_window => rolling_window('1 day'))] $$;
SELECT materialize_features(declare('a'), 'states');
SELECT materialize_features(declare('b'), 'twin', publish_mode => 'SNAPSHOT');
SELECT publish_table('event', 'events_online');
-- rows that differ between what was applied and what was computed from scratch
CREATE VIEW differing AS
	SELECT (SELECT count(*) FROM states s FULL JOIN twin t USING (u) WHERE ROW(s.*)::record *<> ROW(t.*)::record) AS states,
		(SELECT count(*) FROM event e FULL JOIN events_online o USING (id) WHERE ROW(e.*)::record *<> ROW(o.*)::record) AS rows,
		(SELECT count(*) FROM states) AS entities;
CREATE PROCEDURE check_all() LANGUAGE plpgsql AS $$
BEGIN
	CALL featurestore.sync('states');
	CALL featurestore.sync('twin');
	CALL featurestore.sync('events_online');
END
$$;

INSERT INTO event SELECT i, i % 5, timestamptz '2024-01-01' + i * interval '1 hour', i / 10.0, chr(119 + i % 3) FROM generate_series(1, 60) AS i;
CALL check_all();
SELECT * FROM differing;
-- entities that are there and new ones; late events; one source only, then both
INSERT INTO event SELECT i, i % 7, timestamptz '2024-01-02' + i * interval '10 minutes', i / 10.0, chr(119 + i % 3) FROM generate_series(61, 120) AS i;
CALL check_all();
SELECT * FROM differing;
INSERT INTO visit SELECT i, i % 9, timestamptz '2024-01-03' + i * interval '1 minute' FROM generate_series(1, 40) AS i;
CALL check_all();
SELECT * FROM differing;
INSERT INTO visit SELECT i, i % 4, timestamptz '2024-01-03' + i * interval '1 minute' FROM generate_series(41, 60) AS i;
INSERT INTO event SELECT i, i % 4, timestamptz '2024-01-04' - i * interval '1 second', NULLIF(i, 125), 'y' FROM generate_series(121, 130) AS i;
INSERT INTO event VALUES (131, NULL, '2024-01-04', 1, 'y');
CALL check_all();
SELECT * FROM differing;
-- a removal behind many additions, and a truncation among them
INSERT INTO event SELECT i, i % 4, timestamptz '2024-01-05' - i * interval '1 second', i, 'y' FROM generate_series(200, 300) AS i;
DELETE FROM event WHERE id IN (3, 250);
CALL check_all();
SELECT * FROM differing;
INSERT INTO visit VALUES (1000, 1, '2024-01-06');
TRUNCATE event;
INSERT INTO event VALUES (1, 1, '2024-01-06', 1, 'y');
CALL check_all();
SELECT * FROM differing;
SELECT DISTINCT online_table, operation FROM publish_runs WHERE online_table <> 'twin'::regclass ORDER BY 1, 2;

DROP SCHEMA apply_additions CASCADE;
