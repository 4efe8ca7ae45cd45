--
-- Privileges: what a lookup, a spec and the catalog allow to whom
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE ROLE regress_lookup_owner;
CREATE ROLE regress_lookup_reader;
CREATE ROLE regress_lookup_member IN ROLE regress_lookup_reader;
CREATE ROLE regress_lookup_other;
CREATE ROLE regress_lookup_bypass BYPASSRLS;
CREATE SCHEMA lookup_privileges AUTHORIZATION regress_lookup_owner;
CREATE SCHEMA lookup_private AUTHORIZATION regress_lookup_other;
GRANT USAGE ON SCHEMA lookup_privileges TO PUBLIC;
RESET client_min_messages;
SET search_path = lookup_privileges, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql
\pset tuples_only on
\pset format unaligned
GRANT SELECT ON objects TO PUBLIC;

SET ROLE regress_lookup_owner;
CREATE TABLE users (user_id bigint PRIMARY KEY, country text, age int, secret text);
CREATE TABLE visits (user_id bigint, at timestamptz, tie int, clicks int, PRIMARY KEY (user_id, at, tie));
INSERT INTO users VALUES (1, 'de', 33, 'x'), (2, 'fr', 44, 'y'), (3, 'de', 55, 'z');
INSERT INTO visits VALUES (1, '2024-01-01', 1, 5), (1, '2024-01-01', 2, 7);
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 * 2;
CREATE FUNCTION thrice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 * 3; END $$;
SELECT create_feature_spec('of_users', ARRAY[lookup('users', '{user_id}', '{country,age}')]);
SELECT create_feature_spec('of_both', ARRAY[lookup('users', '{user_id}', '{age}'), lookup('visits', '{user_id}')], '{age}');
SELECT create_feature_spec('computed', ARRAY[lookup('users', '{user_id}', '{age}'), expression('twice(age)', 'double'), expression('thrice(age)', 'triple')]);

--
-- Tables and columns, checked for the caller at each call
--
CREATE FUNCTION tried(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	path text;
BEGIN
	FOREACH path IN ARRAY '{on,off}'::text[] LOOP
		PERFORM set_config('featurestore.enable_direct_lookup', path, true);
		BEGIN
			RETURN QUERY EXECUTE format('SELECT %L || string_agg(q::text, '' '') FROM (%s) AS q', path || ': ', query);
		EXCEPTION WHEN OTHERS THEN
			RETURN NEXT path || ': ' || SQLSTATE || ' ' || SQLERRM;
		END;
	END LOOP;
	PERFORM set_config('featurestore.enable_direct_lookup', 'on', true);
END $$;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM of_users(1)');
SELECT refused($$ SELECT feature_lookup_json('of_users', '{"user_id": 1}') $$);
SELECT refused($$ SELECT feature_matrix('of_both', 1) $$);
SELECT refused($$ SELECT * FROM explain_lookup('of_users', '{"user_id": 1}') $$);
-- also when there are no rows to look up, and no column to give
SELECT tried($$ SELECT * FROM of_users_batch('{}') $$);
-- of all but one column, in turn: an output, the key
SET ROLE regress_lookup_owner;
GRANT SELECT (user_id, country) ON users TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM of_users(1)');
SET ROLE regress_lookup_owner;
GRANT SELECT (age) ON users TO regress_lookup_reader;
REVOKE SELECT (user_id) ON users FROM regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM of_users(1)');
SET ROLE regress_lookup_owner;
GRANT SELECT (user_id) ON users TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM of_users(1)');
-- a member of the role, by inheritance; another role in the same session
SET ROLE regress_lookup_member;
SELECT tried('SELECT * FROM of_users(2)');
SET ROLE regress_lookup_other;
SELECT tried('SELECT * FROM of_users(2)');
-- the event time, and hidden columns
SET ROLE regress_lookup_owner;
GRANT SELECT (user_id, tie, clicks) ON visits TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT clicks FROM of_both(1)');
SET ROLE regress_lookup_owner;
GRANT SELECT (at) ON visits TO regress_lookup_reader;
REVOKE SELECT (age) ON users FROM regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT clicks FROM of_both(1)');
SET ROLE regress_lookup_owner;
GRANT SELECT (age) ON users TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT clicks FROM of_both(1)');
-- revoked after it worked, within a transaction as well; a prepared statement
PREPARE p AS SELECT * FROM of_users($1);
EXECUTE p(1);
RESET ROLE;
BEGIN;
REVOKE SELECT (age) ON users FROM regress_lookup_reader;
SET LOCAL ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM of_users(1)');
ROLLBACK;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM of_users(1)');
RESET ROLE;
REVOKE SELECT (age) ON users FROM regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM of_users(1)');
EXECUTE p(1);
RESET ROLE;
GRANT SELECT ON users TO regress_lookup_reader;
SET ROLE regress_lookup_reader;
EXECUTE p(1);
DEALLOCATE p;
-- through a function of the owner's, and a view, whose rows are the owner's but whose lookup is the caller's
RESET ROLE;
GRANT SELECT ON users, visits TO regress_lookup_owner WITH GRANT OPTION;
SET ROLE regress_lookup_owner;
CREATE FUNCTION as_owner(bigint) RETURNS SETOF of_users LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM lookup_privileges.of_users($1)';
CREATE VIEW on_spec AS SELECT * FROM of_users(2);
GRANT SELECT ON on_spec TO regress_lookup_other;
SET ROLE regress_lookup_other;
SELECT tried('SELECT * FROM as_owner(1)');
SELECT tried('SELECT * FROM of_users(1)');
SELECT tried('SELECT * FROM on_spec');
-- a view that is looked up is read with the rights of its owner
SET ROLE regress_lookup_owner;
CREATE VIEW open_users AS SELECT user_id, age FROM users;
SELECT create_feature_spec('of_open', ARRAY[lookup('open_users', '{user_id}')]);
GRANT SELECT ON open_users TO regress_lookup_other;
SET ROLE regress_lookup_other;
SELECT tried('SELECT * FROM of_open(3)');
SELECT tried('SELECT * FROM of_users(3)');
-- the schema
RESET ROLE;
REVOKE USAGE ON SCHEMA lookup_privileges FROM PUBLIC;
SET ROLE regress_lookup_reader;
SELECT featurestore.feature_lookup_json('lookup_privileges.of_users', '{"user_id": 1}');
\echo :SQLSTATE
RESET ROLE;
GRANT USAGE ON SCHEMA lookup_privileges TO PUBLIC;

--
-- Functions: of the spec, and in its expressions
--
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM computed(1)');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION twice FROM PUBLIC;
SET ROLE regress_lookup_owner;
SELECT tried('SELECT * FROM computed(1)');
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM computed(1)');
SET ROLE regress_lookup_owner;
SELECT tried('SELECT * FROM computed(1)');
GRANT EXECUTE ON FUNCTION twice TO regress_lookup_reader;
REVOKE EXECUTE ON FUNCTION thrice FROM PUBLIC;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM computed(1)');
RESET ROLE;
GRANT EXECUTE ON FUNCTION thrice TO PUBLIC;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM computed(1)');
-- one in C, whose state a session keeps
RESET ROLE;
REVOKE EXECUTE ON FUNCTION pg_catalog.md5(text) FROM PUBLIC;
SET ROLE regress_lookup_other;
SELECT refused($$ SELECT create_feature_spec('lookup_private.s', ARRAY[lookup('open_users', '{user_id}'), expression('md5(age::text)', 'hash')]) $$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_catalog.md5(text) TO regress_lookup_owner;
SET ROLE regress_lookup_owner;
SELECT create_feature_spec('hashed', ARRAY[lookup('users', '{user_id}', '{country}'), expression('md5(country)', 'hash')]);
SELECT tried('SELECT * FROM hashed(1)');
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM hashed(1)');
SET ROLE regress_lookup_owner;
SELECT tried('SELECT * FROM hashed(1)');
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_catalog.md5(text) TO PUBLIC;
REVOKE EXECUTE ON FUNCTION pg_catalog.md5(text) FROM regress_lookup_owner;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM hashed(1)');
-- what planning puts in the place of a function is the caller's to call, too
RESET ROLE;
CREATE FUNCTION lookup_privileges.inner_f(int) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'int4abs';
REVOKE EXECUTE ON FUNCTION lookup_privileges.inner_f FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_privileges.inner_f TO regress_lookup_owner;
SET ROLE regress_lookup_owner;
CREATE FUNCTION outer_f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT lookup_privileges.inner_f($1)';
SELECT create_feature_spec('inlined', ARRAY[lookup('users', '{user_id}', '{age}'), expression('outer_f(age)', 'x')]);
SELECT create_feature_spec('folded', ARRAY[lookup('users', '{user_id}', '{age}'), expression('age + outer_f(-1)', 'x')]);
SELECT tried('SELECT * FROM inlined(1)'), tried('SELECT * FROM folded(1)');
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM inlined(1)'), tried('SELECT * FROM folded(1)');
SET ROLE regress_lookup_owner;
SELECT tried('SELECT * FROM inlined(1)'), tried('SELECT * FROM folded(1)');
-- a right that comes with a role ends with the membership, also in a session that has used it
RESET ROLE;
CREATE ROLE regress_lookup_group;
GRANT EXECUTE ON FUNCTION lookup_privileges.inner_f TO regress_lookup_group;
GRANT regress_lookup_group TO regress_lookup_reader;
SET ROLE regress_lookup_owner;
SELECT create_feature_spec('plainly', ARRAY[lookup('users', '{user_id}', '{age}'), expression('inner_f(age)', 'x')]);
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM plainly(1)'), tried('SELECT * FROM inlined(1)');
RESET ROLE;
REVOKE regress_lookup_group FROM regress_lookup_reader;
SET ROLE regress_lookup_reader;
SELECT tried('SELECT * FROM plainly(1)'), tried('SELECT * FROM inlined(1)');
RESET ROLE;
SET client_min_messages = warning;
REVOKE EXECUTE ON FUNCTION lookup_privileges.inner_f FROM regress_lookup_group;
DROP ROLE regress_lookup_group;
RESET client_min_messages;
-- those of the spec itself can be revoked, which does not touch the others
SET ROLE regress_lookup_owner;
REVOKE EXECUTE ON FUNCTION of_users_batch FROM PUBLIC;
SET ROLE regress_lookup_reader;
SELECT tried($$ SELECT * FROM of_users_batch('{1}') $$);
SELECT tried('SELECT * FROM of_users(1)');

--
-- Row-level security: of the caller, at each call
--
SET ROLE regress_lookup_owner;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY germans ON users TO regress_lookup_reader USING (country = 'de');
CREATE POLICY by_setting ON users TO regress_lookup_other USING (country = current_setting('lookup_privileges.country', true));
GRANT SELECT ON users TO regress_lookup_other, regress_lookup_bypass;
CREATE FUNCTION seen() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT current_user || ' ' || string_agg(user_id || ' ' || coalesce(age::text, '-'), ', ') FROM lookup_privileges.of_users(1) UNION ALL
	SELECT string_agg(r->>'user_id' || ' ' || coalesce(r->>'age', '-'), ', ') FROM featurestore.feature_lookup_json('lookup_privileges.of_users', '{"user_id": [1, 2, 3]}') AS r UNION ALL
	SELECT path || ': ' || reason FROM featurestore.explain_lookup('lookup_privileges.of_users', '{"user_id": 1}') $$;
SELECT seen();
SET ROLE regress_lookup_reader;
SELECT seen();
SET ROLE regress_lookup_other;
SELECT seen();
SET lookup_privileges.country = 'fr';
SELECT seen();
SET lookup_privileges.country = 'de';
SELECT seen();
SET ROLE regress_lookup_member;
SELECT seen();
SET ROLE regress_lookup_bypass;
SELECT seen();
SET ROLE regress_lookup_owner;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
SELECT seen();
ALTER TABLE users NO FORCE ROW LEVEL SECURITY;
SELECT seen();
-- policies that change, and a session that would rather fail than be filtered
ALTER POLICY germans ON users USING (country = 'fr');
SET ROLE regress_lookup_reader;
SELECT seen();
SET row_security = off;
SELECT refused('SELECT seen()');
RESET row_security;
SET ROLE regress_lookup_owner;
ALTER TABLE users DISABLE ROW LEVEL SECURITY;
SET ROLE regress_lookup_reader;
SELECT seen();
-- of a lookup that goes by the newest row
SET ROLE regress_lookup_owner;
ALTER TABLE visits ENABLE ROW LEVEL SECURITY;
CREATE POLICY firsts ON visits TO regress_lookup_reader USING (tie = 1);
SET ROLE regress_lookup_reader;
SELECT tried('SELECT clicks FROM of_both(1)');
SET ROLE regress_lookup_owner;
SELECT tried('SELECT clicks FROM of_both(1)');
ALTER TABLE visits DISABLE ROW LEVEL SECURITY;

--
-- Who may make specs, of what, and change whose
--
SET ROLE regress_lookup_other;
SET search_path = lookup_private, lookup_privileges, featurestore;
SELECT create_feature_spec('own', ARRAY[lookup('users', '{user_id}', '{age}'), expression('thrice(age)', 'x')]);
SELECT * FROM own(2);
SELECT (SELECT owner FROM feature_specs WHERE spec = 'own'::regclass), (SELECT count(*) FROM pg_proc WHERE pronamespace = 'lookup_private'::regnamespace AND proowner = 'regress_lookup_other'::regrole);
-- where it may not create, what it may not read, call or use
SELECT refused($$ SELECT create_feature_spec('lookup_privileges.s', ARRAY[lookup('users', '{user_id}', '{age}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('visits', '{user_id}', '{clicks}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}'), expression('twice(age)', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}'), feature_function('twice(int)', '["age"]', 'x')]) $$);
SELECT * FROM objects;
RESET ROLE;
REVOKE SELECT ON users FROM regress_lookup_other;
GRANT SELECT (user_id, age) ON users TO regress_lookup_other;
SET ROLE regress_lookup_other;
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}')]) $$);
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}')]);
SELECT drop_feature_spec('s');
-- others' specs
SELECT refused($$ SELECT create_feature_spec('lookup_privileges.of_users', ARRAY[lookup('users', '{user_id}', '{age}')], replace => true) $$);
SELECT refused($$ SELECT drop_feature_spec('lookup_privileges.of_users') $$);
SELECT refused($$ SELECT featurestore._drop_spec('lookup_privileges.of_users', 'drop') $$);
SELECT refused($$ SELECT featurestore._store_definition('spec', '{"relation": "lookup_privileges.of_users", "version": 1, "with_status": false, "exclude_columns": [], "items": [], "steps": {}}') $$);
SELECT refused($$ SELECT featurestore._remove_definition('spec', 'lookup_privileges.of_users') $$);
SELECT refused($$ SELECT featurestore._store_definition('spec', '{"relation": "featurestore.spec", "version": 1, "with_status": false, "exclude_columns": [], "items": [], "steps": {}}') $$);
SELECT refused($$ DELETE FROM featurestore.spec $$);
SELECT refused($$ INSERT INTO featurestore.spec SELECT * FROM featurestore.spec $$);
-- another takes over
RESET ROLE;
ALTER VIEW own OWNER TO regress_lookup_owner;
GRANT ALL ON SCHEMA lookup_private TO regress_lookup_owner;
SET ROLE regress_lookup_other;
SELECT refused($$ SELECT create_feature_spec('own', ARRAY[lookup('users', '{user_id}', '{age}')], replace => true) $$);
RESET ROLE;
ALTER VIEW own OWNER TO regress_lookup_other;

--
-- What an owner can write into the catalog does no harm, except to the own spec
--
SET ROLE regress_lookup_other;
CREATE FUNCTION stored(steps jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM featurestore._store_definition('spec', jsonb_build_object('relation', 'lookup_private.own', 'version', 1, 'with_status', false, 'exclude_columns', '[]'::jsonb, 'items', '[]'::jsonb, 'steps', steps));
	RETURN (SELECT string_agg(o::text, ' ') FROM lookup_private.own(2) AS o);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT stored(steps) FROM featurestore.spec WHERE relation = 'own'::regclass;
SELECT steps, stored(steps) FROM unnest(ARRAY['1', '"x"', 'null', '[]', '{}', '{"items": 1}', '{"items": {}}', '{"items": []}', '{"items": [1, 2]}', '{"items": [{}, {}]}', '{"items": [[], []]}', '{"items": ["a", "b"]}',
	'{"items": [{"name": 1}, {"name": 2}]}', '{"items": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}', '{"items": [{"name": "a"}, {"name": "b"}], "fields": {"user_id": 1}}',
	'{"items": [{"name": "a", "defaults": [1], "lengths": [1]}, {"name": "b", "defaults": 1, "lengths": "x"}]}', '{"items": [{"name": "a", "defaults": {"age": "x"}}, {"name": "b"}]}',
	'{"items": [{"name": "a", "defaults": {"age": {}}, "lengths": {"age": -1}}, {"name": "b"}]}', '{"items": [{"name": "a", "max_age": "x", "max_lag": {}}, {"name": "b"}]}',
	'{"items": [{"name": "a", "max_age": 1e300}, {"name": "b"}]}', '{"items": [{"name": "a"}, {"name": "b"}]}']::jsonb[]) AS steps;
-- nor does a view of another form
CREATE FUNCTION shaped(query text, items int DEFAULT 1) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE 'CREATE VIEW shape AS ' || query;
	PERFORM featurestore._store_definition('spec', jsonb_build_object('relation', 'lookup_private.shape', 'version', 1, 'with_status', false, 'exclude_columns', '[]'::jsonb, 'items', '[]'::jsonb,
		'steps', jsonb_build_object('items', (SELECT coalesce(jsonb_agg('{"name": "x"}'::jsonb), '[]') FROM generate_series(1, items)))));
	EXECUTE $q$ SELECT string_agg(f::text, ' ') FROM featurestore.feature_lookup(NULL::shape, 2) AS f $q$ INTO result;
	RAISE 'undone: %', result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT shaped('SELECT 1 AS a', 0);
SELECT shaped('SELECT v.a FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS v WHERE false', 0);
SELECT shaped('SELECT v.a FROM (SELECT NULL::bigint AS a) AS v', 0);
SELECT shaped('SELECT v.a FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of UNION SELECT 1, NULL) AS v', 0);
SELECT shaped('SELECT v.a FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of ORDER BY random()) AS v', 0);
SELECT shaped('SELECT v.a FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS v ORDER BY random()', 0);
SELECT shaped('SELECT v.as_of, v.a FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS v', 0) ~ '^P0001 undone: \("20.*",2\)$';
SELECT shaped('SELECT v.a, 5 AS b FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS v', 0);
SELECT shaped('SELECT ''x''::text AS b, v.a FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS v', 0);
SELECT shaped('SELECT v FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS v', 0);
SELECT shaped('SELECT v.a, w.b FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS v, (SELECT ''x''::text AS b) AS w', 0);
SELECT shaped('SELECT v.a FROM users AS v');
-- columns that change places would be taken for each other
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.as_of AS a, w.a AS as_of, ''x''::text AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w) AS v');
SELECT shaped('SELECT v.a, v.x FROM (SELECT 1::bigint AS a, w.as_of, w.a::text AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w) AS v');
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, (SELECT max(age) FROM users) AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w) AS v');
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, w AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w) AS v');
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, count(*) AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w GROUP BY 1, 2) AS v') ~ '^(0A000|55000)';
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, t.age + 1 AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w, users AS t WHERE t.user_id = w.a) AS v');
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, t.age AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w, users AS t) AS v');
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, t.age AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w, users AS t WHERE t.user_id = 5) AS v');
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, t.age AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w, users AS t WHERE t.user_id = w.a OR true) AS v');
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, t.age AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w JOIN users AS t ON t.user_id = w.a) AS v');
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, t.oid AS x FROM (SELECT NULL::text AS a, NULL::timestamptz AS as_of) AS w, pg_class AS t WHERE t.relname = w.a) AS v');
-- keys that are no columns of the request, or of another table
CREATE TYPE pair AS (a bigint, as_of timestamptz);
CREATE TABLE paired (p pair PRIMARY KEY, name text, v int);
CREATE TABLE wide (c1 int, c2 int, c3 int, c4 bigint);
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, t.v AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w, paired AS t WHERE t.p = w) AS v');
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, t.v AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w, paired AS t WHERE t.name = w::text) AS v');
SELECT shaped('SELECT v.a, v.x FROM (SELECT w.a, w.as_of, t.v AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w, paired AS t WHERE t = w) AS v') ~ '^(42|55)';
SELECT shaped('SELECT v.a, v.x FROM wide AS o, LATERAL (SELECT w.a, w.as_of, t.age AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w, users AS t WHERE o.c4 = w.a) AS v');
SELECT shaped('SELECT v.a, v.x FROM LATERAL (SELECT w.a, w.as_of, t.age AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w, users AS t WHERE t.user_id = w.a) AS v');
DROP TABLE paired, wide;
DROP TYPE pair;
-- one that is as it should be
SELECT shaped('SELECT v.a, v.x, NULL::text AS s FROM (SELECT w.a, w.as_of, t.age AS x FROM (SELECT NULL::bigint AS a, NULL::timestamptz AS as_of) AS w, users AS t WHERE t.user_id = w.a) AS v WHERE false');

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA lookup_privileges, lookup_private CASCADE;
DROP ROLE regress_lookup_owner, regress_lookup_member, regress_lookup_reader, regress_lookup_other, regress_lookup_bypass;
