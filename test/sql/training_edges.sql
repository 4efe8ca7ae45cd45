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
