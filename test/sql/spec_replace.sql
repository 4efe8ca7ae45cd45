--
-- The same definition again, another one, and what replacing keeps
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE ROLE regress_spec_owner;
CREATE ROLE regress_spec_member IN ROLE regress_spec_owner;
CREATE ROLE regress_spec_reader;
CREATE ROLE regress_spec_other;
CREATE SCHEMA spec_replace;
GRANT ALL ON SCHEMA spec_replace TO PUBLIC;
RESET client_min_messages;
SET search_path = spec_replace, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql
SET ROLE regress_spec_owner;

CREATE TABLE users (user_id bigint PRIMARY KEY, country text, age int, emb float4[]);
CREATE TABLE visits (user_id bigint, seen timestamptz, clicks int, PRIMARY KEY (user_id, seen));
INSERT INTO users VALUES (1, 'de', 33, NULL), (2, 'fr', NULL, NULL);
INSERT INTO visits VALUES (1, '2024-01-01', 5), (1, '2024-01-02', 7);
GRANT SELECT ON users, visits TO regress_spec_reader, regress_spec_other;

-- identity of a spec's objects, remembered and compared
CREATE VIEW identity AS
	SELECT o.name, o.oid, o.owner, ARRAY(SELECT a::text FROM aclexplode(o.acl) AS a ORDER BY 1) AS rights
	FROM (SELECT 'view ' || relname AS name, oid, relowner AS owner, relacl AS acl FROM pg_class WHERE relnamespace = 'spec_replace'::regnamespace
		  UNION ALL
		  SELECT 'function ' || proname, oid, proowner, proacl FROM pg_proc WHERE pronamespace = 'spec_replace'::regnamespace) AS o
	WHERE o.name ~ ' s($|_)';
CREATE TABLE remembered AS SELECT * FROM identity;
CREATE FUNCTION remember() RETURNS void LANGUAGE sql AS 'TRUNCATE remembered; INSERT INTO remembered SELECT * FROM identity';
CREATE VIEW changed AS
	SELECT name, i.oid IS NOT DISTINCT FROM r.oid AS same_oid, i.rights IS NOT DISTINCT FROM r.rights AS same_rights, i.owner IS NOT DISTINCT FROM r.owner AS same_owner
	FROM identity i FULL JOIN remembered r USING (name) ORDER BY name COLLATE "C";
CREATE VIEW version AS SELECT version FROM featurestore.spec WHERE relation::text = 's';

--
-- Again the same: a NOTICE, whatever way it is said
--
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}'), lookup('visits', '{user_id}', max_age => '24 hours')]);
SELECT remember();
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}'), lookup('visits', '{user_id}', max_age => '24 hours')]);
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}'), lookup('visits', '{user_id}', max_age => '24 hours')], replace => true);
SELECT create_feature_spec('spec_replace.s', ARRAY[lookup('spec_replace.users', '{user_id=user_id}', '{country,age}'), lookup('visits', '{user_id}', '{clicks}', max_age => '1 day')], '{}', false);
SET IntervalStyle = 'iso_8601';
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}'), lookup('visits', '{user_id}', max_age => '24 hours')]);
SET IntervalStyle = 'postgres';
SET search_path = featurestore;
SELECT create_feature_spec('spec_replace.s', ARRAY[lookup('spec_replace.users', '{user_id}', '{country,age}'), lookup('spec_replace.visits', '{user_id}', max_age => '24 hours')]);
SET search_path = spec_replace, featurestore;
SELECT * FROM changed WHERE NOT (same_oid AND same_rights AND same_owner);
SELECT * FROM version;

--
-- Another one: an error that tells the difference
--
\pset tuples_only on
\pset format unaligned
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}'), lookup('visits', '{user_id}', max_age => '2 days')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}'), lookup('visits', '{user_id}', max_age => '24 hours')], '{age}', true) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}'), lookup('visits', '{user_id}', max_age => '24 hours'), expression('age + 1', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}', default_values => '{"age": 1}'), lookup('visits', '{user_id}', max_age => '24 hours')]) $$);
\pset tuples_only off
\pset format aligned

--
-- In place: columns are only added, or nothing changes that shows
--
GRANT EXECUTE ON FUNCTION s_batch TO regress_spec_reader WITH GRANT OPTION;
REVOKE EXECUTE ON FUNCTION s FROM PUBLIC;
COMMENT ON VIEW s IS 'what the scorer needs';
CREATE VIEW on_s AS SELECT * FROM s_batch('{1,2}', '2024-01-02 12:00');
CREATE TABLE kept AS SELECT * FROM s_batch('{1,2}', '2024-01-02 12:00');
CREATE FUNCTION uses_s() RETURNS SETOF s LANGUAGE sql BEGIN ATOMIC SELECT * FROM s(1, '2024-01-02 12:00'); END;
PREPARE prepared AS SELECT * FROM s_batch($1, '2024-01-02 12:00');
EXECUTE prepared('{1}');
SELECT remember();
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}', default_values => '{"age": 1}'), lookup('visits', '{user_id}')], replace => true);
SELECT * FROM s_batch('{1,3}', '2024-02-01');
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}'), lookup('visits', '{user_id}', max_age => '24 hours'), expression('age + clicks', 'sum')], replace => true);
SELECT * FROM changed;
SELECT * FROM version;
SELECT obj_description('s'::regclass, 'pg_class');
EXECUTE prepared('{1}');
DEALLOCATE prepared;
SELECT * FROM on_s;
SELECT * FROM same($$ SELECT * FROM s_batch('{1,2}', '2024-01-02 12:00') $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup_json('s', '{"user_id": [1,2]}', '2024-01-02 12:00') $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup(NULL::s, '{1,2}'::int[]) WHERE user_id = 2 $$);

--
-- Made anew: refused while something depends on it, else with its grants
--
\pset tuples_only on
\pset format unaligned
-- a column goes
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country}')], replace => true) $$);
DROP VIEW on_s;
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country}')], replace => true) $$);
DROP FUNCTION uses_s;
CREATE TABLE of_type (id int, features s);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country}')], replace => true) $$);
DROP TABLE of_type;
CREATE MATERIALIZED VIEW mat_s AS SELECT country FROM s(1);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country}')], replace => true) $$);
DROP MATERIALIZED VIEW mat_s;
\pset tuples_only off
\pset format aligned
SELECT * FROM changed WHERE NOT same_oid;
SELECT * FROM version;
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country}')], replace => true);
SELECT * FROM changed;
SELECT * FROM version;
SELECT obj_description('s'::regclass, 'pg_class');
SELECT * FROM same($$ SELECT * FROM s_batch('{1,2}') $$);
-- an argument comes: the functions differ though the view only grows
SELECT remember();
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country}'), request_field('hour', 'int')], replace => true);
SELECT * FROM changed;
SELECT * FROM s(1, 5);
SELECT refused('SELECT s(1)');
-- a type changes, an order, a name
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country}'), request_field('hour', 'float8')], replace => true);
SELECT * FROM s(1, 5.5);
SELECT create_feature_spec('s', ARRAY[request_field('hour', 'float8'), lookup('users', '{user_id}', '{country}')], replace => true);
SELECT * FROM s(5.5, 1);
SELECT create_feature_spec('s', ARRAY[request_field('hour', 'float8'), lookup('users', '{user_id=id}', '{country}')], with_status => true, replace => true);
SELECT * FROM s(hour => 5.5, id => 1);
SELECT * FROM changed;
SELECT * FROM version;
-- a column is hidden, which is no addition either, and a key's type changes with its table
SELECT create_feature_spec('s', ARRAY[request_field('hour', 'float8'), lookup('users', '{user_id=id}', '{country}')], '{hour}', true, true);
SELECT * FROM s(hour => 5.5, id => 1);

--
-- Owner and grants when another makes it anew
--
SELECT remember();
RESET ROLE;
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}')], replace => true);
SET ROLE regress_spec_owner;
SELECT * FROM changed;
SET ROLE regress_spec_member;
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country}')], replace => true);
SET ROLE regress_spec_owner;
SELECT * FROM changed;
SET ROLE regress_spec_reader;
SELECT * FROM s_batch('{1}');
SELECT refused('SELECT * FROM s(1)');
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country,age}')], replace => true) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id=x}', '{age}')], replace => true) $$);
SELECT refused($$ SELECT drop_feature_spec('s') $$);
-- what is the same is the same for all
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country}')]);
SET ROLE regress_spec_owner;
SELECT * FROM version;

--
-- What the same text means has changed
--
-- a table takes the place of another
ALTER TABLE users RENAME TO old_users;
CREATE TABLE users (LIKE old_users INCLUDING ALL);
INSERT INTO users VALUES (1, 'new', 1);
SELECT * FROM same('SELECT * FROM s(1)');
\pset tuples_only on
\pset format unaligned
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country}')]) $$);
\pset tuples_only off
\pset format aligned
-- by its new name the table is still what it was
SELECT create_feature_spec('s', ARRAY[lookup('old_users', '{user_id}', '{country}')]);
SELECT remember();
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{country}')], replace => true);
SELECT * FROM same('SELECT * FROM s(1)');
SELECT * FROM changed WHERE NOT same_oid;
-- a column and a function do
CREATE FUNCTION f(text) RETURNS text LANGUAGE sql IMMUTABLE RETURN $1 || '!';
SELECT create_feature_spec('t', ARRAY[lookup('users', '{user_id}', '{country}'), expression('f(country)', 'x')]);
ALTER TABLE users RENAME country TO old_country;
ALTER TABLE users RENAME emb TO country;
ALTER TABLE users ALTER country TYPE text USING 'emb';
SELECT refused($$ SELECT create_feature_spec('t', ARRAY[lookup('users', '{user_id}', '{country}'), expression('f(country)', 'x')]) $$) ~ '^42710.*Names in its items' AS refused;
SELECT * FROM same('SELECT * FROM t(1)');
SELECT create_feature_spec('t', ARRAY[lookup('users', '{user_id}', '{country}'), expression('f(country)', 'x')], replace => true);
SELECT * FROM same('SELECT * FROM t(1)');
ALTER FUNCTION f RENAME TO g;
CREATE FUNCTION f(text) RETURNS text LANGUAGE sql IMMUTABLE RETURN '?';
SELECT refused($$ SELECT create_feature_spec('t', ARRAY[lookup('users', '{user_id}', '{country}'), expression('f(country)', 'x')]) $$) ~ '^42710.*Names in its items' AS refused;
SELECT create_feature_spec('t', ARRAY[lookup('users', '{user_id}', '{country}'), expression('f(country)', 'x')], replace => true);
SELECT * FROM same('SELECT * FROM t(1)');
-- the view was tampered with
CREATE OR REPLACE VIEW t AS SELECT 1::bigint AS user_id, 'a'::text AS country, 'b'::text AS x;
SELECT refused('SELECT * FROM t(1)');
SELECT create_feature_spec('t', ARRAY[lookup('users', '{user_id}', '{country}'), expression('f(country)', 'x')], replace => true);
SELECT * FROM same('SELECT * FROM t(1)');
-- lengths of arrays that are found count for who wants to replace
CREATE TABLE vectors (id int PRIMARY KEY, emb float4[]);
SELECT create_feature_spec('v', ARRAY[lookup('vectors', '{id}')]);
INSERT INTO vectors VALUES (1, '{1,2}');
SELECT create_feature_spec('v', ARRAY[lookup('vectors', '{id}')]);
SELECT refused('SELECT v_vectors(ARRAY[1])');
SELECT create_feature_spec('v', ARRAY[lookup('vectors', '{id}')], replace => true);
SELECT v_vectors(ARRAY[1]);

--
-- Replacing is all or nothing
--
SELECT remember();
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}'), expression('now()', 'x')], replace => true) $$);
SELECT * FROM changed WHERE NOT same_oid;
SELECT * FROM same('SELECT * FROM s(1)');
BEGIN;
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}')], replace => true);
SELECT * FROM s(1);
ROLLBACK;
SELECT * FROM changed WHERE NOT same_oid;
SELECT * FROM same('SELECT * FROM s(1)');
-- a name taken meanwhile
CREATE FUNCTION s_batch(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}')], replace => true) $$);
DROP FUNCTION s_batch(text);
-- a renamed spec
ALTER VIEW s RENAME TO s_renamed;
SELECT create_feature_spec('s_renamed', ARRAY[lookup('users', '{user_id}', '{age}')], replace => true);
SELECT name FROM identity ORDER BY 1;
SELECT * FROM s_renamed(1);

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA spec_replace CASCADE;
DROP ROLE regress_spec_member, regress_spec_owner, regress_spec_reader, regress_spec_other;
