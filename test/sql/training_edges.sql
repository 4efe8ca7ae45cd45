--
-- What training must not get wrong at its edges: other settings, other keys,
-- other owners, other names, other forms of tables
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA training_edges;
SET search_path = training_edges, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

-- Rows by both plans: those of a sweep, and those of a seek that differ
CREATE FUNCTION by_both(arguments text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	plan text;
	rows text[];
	c refcursor;
	r record;
BEGIN
	FOREACH plan IN ARRAY '{sweep,seek}'::text[] LOOP
		PERFORM set_config('featurestore.training_plan', plan, true);
		rows := '{}';
		EXECUTE format('SELECT training_rows(%s)', arguments) INTO c;
		LOOP
			FETCH c INTO r;
			EXIT WHEN NOT FOUND;
			rows := rows || r::text;
		END LOOP;
		CLOSE c;
		IF plan = 'sweep' THEN
			RETURN QUERY SELECT unnest(rows);
			PERFORM set_config('training_edges.swept', rows::text, true);
		ELSIF rows::text <> current_setting('training_edges.swept') THEN
			RETURN QUERY SELECT 'seek: ' || unnest(rows);
		END IF;
	END LOOP;
END
$$;

--
-- The zone of the session does not move the bounds of what is read
--
CREATE TABLE event (k int, at timestamptz, x int);
INSERT INTO event VALUES (1, '2024-01-01 00:30Z', 1), (1, '2024-01-01 20:00Z', 10);
SELECT register_feature('sum_1d', 'event', '{k}', 'at', 'sum', 'x', 'rolling 1d hop 0');
CREATE TABLE price (k int, ts timestamptz, p int, PRIMARY KEY (k, ts));
INSERT INTO price VALUES (1, '2024-01-01 10:00Z', 5), (1, '2024-01-01 20:00Z', 6);
SET TimeZone = 'Asia/Tokyo';
SELECT by_both($$'SELECT 1 AS k, ''2024-01-02 00:00Z''::timestamptz AS t', timestamp_column => 't', items => ARRAY[feature('{sum_1d}', '{k}'), lookup('price', '{k}', '{p}')]$$);
SET TimeZone = 'America/Los_Angeles';
SELECT by_both($$'SELECT 1 AS k, ''2024-01-02 00:00Z''::timestamptz AS t', timestamp_column => 't', items => ARRAY[feature('{sum_1d}', '{k}'), lookup('price', '{k}', '{p}')]$$);
SET TimeZone = 'UTC';

--
-- Rows go into ordinary tables only
--
SELECT create_feature_spec('prices', ARRAY[lookup('price', '{k}', '{p}')]);
CREATE VIEW no_table AS SELECT 1 AS k;
CREATE TABLE parts (k int) PARTITION BY LIST (k);
SELECT refused($$SELECT featurestore._fill_training_set('no_table', 'prices', 'SELECT 1 AS k, now() AS t', 't', NULL, false, NULL)$$);
SELECT refused($$SELECT featurestore._fill_training_set('parts', 'prices', 'SELECT 1 AS k, now() AS t', 't', NULL, false, NULL)$$);

--
-- Keys of one name and type that sort otherwise
--
CREATE TABLE plain (u text COLLATE "C", at timestamptz);
CREATE TABLE icu (u text COLLATE "und-x-icu", at timestamptz);
INSERT INTO plain SELECT u, '2024-01-01' FROM unnest('{B,a,C,b,A,c}'::text[]) AS u;
INSERT INTO icu SELECT * FROM plain;
SELECT register_feature('of_plain', 'plain', '{u}', 'at', 'count', NULL, 'rolling 3d hop 0'), register_feature('of_icu', 'icu', '{u}', 'at', 'count', NULL, 'rolling 3d hop 0');
SELECT by_both($$'SELECT u, ''2024-01-02''::timestamptz AS t FROM plain', timestamp_column => 't', items => ARRAY[feature('{of_plain}', '{u}'), feature('{of_icu}', '{u}')]$$);

--
-- Views of features that read the same, each with the rights of its owner
--
CREATE ROLE regress_edges_a;
CREATE ROLE regress_edges_b;
CREATE ROLE regress_edges_c;
GRANT CREATE, USAGE ON SCHEMA training_edges TO regress_edges_a, regress_edges_b, regress_edges_c;
CREATE TABLE shared (k int, at timestamptz, tenant int);
INSERT INTO shared VALUES (1, '2024-01-01', 1), (1, '2024-01-01', 2), (1, '2024-01-01', 2);
ALTER TABLE shared ENABLE ROW LEVEL SECURITY;
CREATE POLICY a ON shared TO regress_edges_a USING (tenant = 1);
CREATE POLICY b ON shared TO regress_edges_b USING (tenant = 2);
GRANT SELECT, TRIGGER ON shared TO regress_edges_a, regress_edges_b;
SET ROLE regress_edges_a;
SELECT register_feature('of_a', 'shared', '{k}', 'at', 'count', NULL, 'rolling 3d hop 0');
GRANT SELECT ON of_a TO regress_edges_c;
SET ROLE regress_edges_b;
SELECT register_feature('of_b', 'shared', '{k}', 'at', 'count', NULL, 'rolling 3d hop 0');
GRANT SELECT ON of_b TO regress_edges_c;
SET ROLE regress_edges_c;
SELECT by_both($$'SELECT 1 AS k, ''2024-01-02''::timestamptz AS t', timestamp_column => 't', items => ARRAY[feature('{of_a,of_b}', '{k}')]$$);
RESET ROLE;

--
-- One row a key that has a time of its own: with known_at it counts by that time, as of what was known
--
CREATE TABLE driver (id int PRIMARY KEY, at timestamptz, day date, v int);
SELECT create_online_table('driver', timeseries_column => 'at', history => true);
INSERT INTO driver VALUES (1, '2024-03-01', '2024-03-01', 5), (2, '2024-03-01', '2024-03-01', 6), (3, '2024-03-01', '2024-03-01', 7);
SELECT clock_timestamp() AS first \gset
UPDATE driver SET at = '2024-06-01', v = 50 WHERE id = 1;
UPDATE driver SET at = '2024-02-01', v = 60 WHERE id = 2;
DELETE FROM driver WHERE id = 3;
SELECT clock_timestamp() AS second \gset
SELECT create_feature_spec('drivers', ARRAY[lookup('driver', '{id}', '{v}', default_values => '{"v": -1}')]);
CREATE TABLE driver_label AS SELECT id, t, known_at, known_at::timestamptz AS known FROM generate_series(1, 3) AS id,
	unnest('{2024-01-15,2024-02-15,2024-04-01,2024-07-01}'::timestamptz[]) AS t, unnest(ARRAY[:'first', :'second']) AS known_at;
CREATE TABLE by_date AS SELECT id, t, known, (
	SELECT CASE WHEN h._is_deleted THEN -1 ELSE h.v END FROM driver_history h
	WHERE h.id = l.id AND h._valid_from <= l.known AND (h._is_deleted OR h.at <= l.t) ORDER BY h._valid_from DESC LIMIT 1) AS v
	FROM driver_label AS l;
SET featurestore.training_plan = sweep;
SELECT count(*) FROM create_training_set('driver_sweep', 'SELECT id, t, known FROM driver_label', 'drivers', 't', known_at => 'known');
SET featurestore.training_plan = seek;
SELECT count(*) FROM create_training_set('driver_seek', 'SELECT id, t, known FROM driver_label', 'drivers', 't', known_at => 'known');
RESET featurestore.training_plan;
SELECT count(*) AS compared, count(*) FILTER (WHERE s.v <> coalesce(d.v, -1)) AS by_sweep, count(*) FILTER (WHERE k.v <> coalesce(d.v, -1)) AS by_seek, count(DISTINCT s.v) AS values
	FROM by_date AS d JOIN driver_sweep AS s USING (id, t, known) JOIN driver_seek AS k USING (id, t, known);
SELECT id, t::date, known::text = :'second' AS is_later, v FROM driver_sweep ORDER BY 1, 3, 2;

--
-- Tables that change their names while labels are read
--
CREATE TABLE other (k int, at timestamptz, x int);
INSERT INTO other VALUES (1, '2024-01-01 20:00Z', 666);
CREATE FUNCTION swap() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	ALTER TABLE training_edges.event RENAME TO event_before;
	ALTER TABLE training_edges.other RENAME TO event;
	RETURN 1;
END
$$;
BEGIN;
SELECT training_rows('SELECT training_edges.swap() AS k, ''2024-01-02''::timestamptz AS t', timestamp_column => 't', items => ARRAY[feature('{sum_1d}', '{k}')], cursor => 'c');
FETCH ALL FROM c;
ROLLBACK;

--
-- Statuses are those of a lookup by either plan: there were events, but none in the window
--
SELECT materialize_features('{sum_1d}', 'sums', publish_mode => 'SYNCHRONOUS');
SELECT create_feature_spec('sums_status', ARRAY[feature('{sum_1d}', '{k}', default_values => '{"sum_1d": -5}')], with_status => true);
SELECT by_both($$'SELECT k, t FROM (VALUES (1, ''2024-03-01Z''::timestamptz), (2, ''2024-01-02Z''), (1, ''2024-03-02Z''), (1, ''2023-01-01Z'')) AS v(k, t)', 'sums_status', 't'$$);
SELECT by_both($$'SELECT 1 AS k, ''2024-03-02Z''::timestamptz AS t', 'sums_status', 't'$$);

--
-- Functions in filters and inputs run with the rights of their owner
--
CREATE TABLE ran (as_user text, function text);
GRANT INSERT ON ran TO PUBLIC;
SET ROLE regress_edges_a;
CREATE FUNCTION note(name text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO training_edges.ran VALUES (current_user, name); END $$;
CREATE FUNCTION filter(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM training_edges.note('filter'); RETURN true; END $$;
CREATE FUNCTION input(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM training_edges.note('input'); RETURN $1; END $$;
CREATE TABLE cost (k int, ts timestamptz, p int, PRIMARY KEY (k, ts));
INSERT INTO cost VALUES (1, '2024-01-01', 5);
SELECT publish_table('cost', 'cost_online', publish_mode => 'SYNCHRONOUS', primary_key => '{k,ts}', timeseries_column => 'ts', filter => 'training_edges.filter(p) AND training_edges.filter(1)');
SELECT register_feature('cost_1d', 'cost', '{k}', 'ts', 'sum', 'training_edges.input(p)', 'rolling 1d hop 0');
SELECT materialize_features('{cost_1d}', 'costs', publish_mode => 'SYNCHRONOUS');
RESET ROLE;
SELECT create_feature_spec('costs_spec', ARRAY[lookup('cost_online', '{k}', '{p}'), feature('{cost_1d}', '{k}')]);
DELETE FROM ran;
SELECT by_both($$'SELECT 1 AS k, ''2024-01-01 12:00Z''::timestamptz AS t', 'costs_spec', 't'$$);
SELECT DISTINCT as_user, function FROM ran ORDER BY function;
SELECT current_user = session_user AS is_himself;
-- who may not read the source does not read it so either
GRANT SELECT ON cost_online, costs, cost_1d TO regress_edges_c;
SET ROLE regress_edges_c;
SELECT refused($$SELECT by_both($q$'SELECT 1 AS k, ''2024-01-01 12:00Z''::timestamptz AS t', timestamp_column => 't', items => ARRAY[lookup('cost_online', '{k}', '{p}')]$q$)$$);
SELECT by_both($$'SELECT 1 AS k, ''2024-01-01 12:00Z''::timestamptz AS t', timestamp_column => 't', items => ARRAY[feature('{cost_1d}', '{k}')]$$);
RESET ROLE;
SELECT DISTINCT as_user, function FROM ran ORDER BY function;
-- nor does a filter read tables, which its owner can write into the catalog
CREATE TABLE secret (s int);
SET ROLE regress_edges_a;
SELECT featurestore._store_definition('publication', (SELECT to_jsonb(p) || '{"filter": "(SELECT s FROM training_edges.secret) = 42"}' FROM featurestore.publication p WHERE p.relation = 'cost_online'::regclass));
RESET ROLE;
SELECT refused($$SELECT by_both($q$'SELECT 1 AS k, ''2024-01-01 12:00Z''::timestamptz AS t', timestamp_column => 't', items => ARRAY[lookup('cost_online', '{k}', '{p}')]$q$)$$);

--
-- Columns that were renamed, whose names others have taken: what a feature's view reads counts
--
CREATE TABLE renamed (k int, at timestamptz, x int);
INSERT INTO renamed VALUES (1, '2024-01-01', 7);
SELECT register_feature('of_renamed', 'renamed', '{k}', 'at', 'sum', 'x', 'rolling 3d hop 0');
SELECT featurestore._training_states('of_renamed', NULL)->'reads_source' AS reads_source;
ALTER TABLE renamed RENAME COLUMN x TO y;
SELECT by_both($$'SELECT 1 AS k, ''2024-01-02''::timestamptz AS t', timestamp_column => 't', items => ARRAY[feature('{of_renamed}', '{k}')]$$);
ALTER TABLE renamed ADD COLUMN x int DEFAULT 1000;
SELECT by_both($$'SELECT 1 AS k, ''2024-01-02''::timestamptz AS t', timestamp_column => 't', items => ARRAY[feature('{of_renamed}', '{k}')]$$);
SELECT featurestore._training_states('of_renamed', NULL)->'reads_source' AS reads_source;

--
-- Who may read a table and its history need not be able to name what it is published from
--
CREATE SCHEMA training_edges_hidden;
CREATE TABLE training_edges_hidden.item (id int PRIMARY KEY, title text);
INSERT INTO training_edges_hidden.item VALUES (1, 'one');
SELECT publish_table('training_edges_hidden.item', 'training_edges.item_online', publish_mode => 'SYNCHRONOUS', history => true);
GRANT SELECT ON item_online, item_online_history TO regress_edges_c;
SET ROLE regress_edges_c;
SELECT create_feature_spec('items', ARRAY[lookup('item_online', '{id}', '{title}')]);
SELECT output, point_in_time, nulls FROM create_training_set('item_set', 'SELECT 1 AS id, clock_timestamp() AS t', 'items', 't');
RESET ROLE;

--
-- Rows of foreign partitions do not tell when they became known
--
CREATE FOREIGN DATA WRAPPER edges_wrapper;
CREATE SERVER edges_server FOREIGN DATA WRAPPER edges_wrapper;
CREATE TABLE parted (k int, at timestamptz) PARTITION BY LIST (k);
CREATE FOREIGN TABLE parted_far PARTITION OF parted FOR VALUES IN (1) SERVER edges_server;
SELECT register_feature('of_parted', 'parted', '{k}', 'at', 'count', NULL, 'rolling 3d hop 0');
SELECT refused($$SELECT create_training_set('far', 'SELECT 1 AS k, now() AS t', timestamp_column => 't', known_at => 't', items => ARRAY[feature('{of_parted}', '{k}')])$$);

-- what is no query of items
SELECT refused($$SELECT FROM featurestore._training_rows_of_items('SELECT 1; SELECT 2', '{}', 'SELECT 1 AS k, now() AS t', 't') AS t(a bigint)$$);
SELECT refused($$SELECT FROM featurestore._training_rows_of_items('DELETE FROM training_edges.ran', '{}', 'SELECT 1 AS k, now() AS t', 't') AS t(a bigint)$$);

DROP SCHEMA training_edges, training_edges_hidden CASCADE;
DROP SERVER edges_server;
DROP FOREIGN DATA WRAPPER edges_wrapper;
DROP ROLE regress_edges_a, regress_edges_b, regress_edges_c;
