--
-- What becomes of a spec when what it reads is renamed, altered, dropped
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA spec_ddl;
CREATE SCHEMA spec_ddl_hostile;
RESET client_min_messages;
SET search_path = spec_ddl, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

CREATE TABLE users (user_id bigint PRIMARY KEY, country text, age int, unused int);
CREATE TABLE visits (user_id bigint, seen timestamptz, clicks int, PRIMARY KEY (user_id, seen));
CREATE VIEW user_view AS SELECT user_id, age AS years FROM users;
INSERT INTO users VALUES (1, 'de', 33), (2, 'fr', 44);
INSERT INTO visits VALUES (1, '2024-01-01', 5), (1, '2024-01-02', 7);
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 * 2;
CREATE FUNCTION thrice(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x * 3; END $$;
SELECT create_feature_spec('s', ARRAY[
	lookup('users', '{user_id}', '{country,age}'), lookup('visits', '{user_id}'), lookup('user_view', '{user_id}'),
	expression('twice(age)', 'double'), feature_function('thrice(int)', '{"x": "age"}', 'triple')]);

-- this session has looked up before each change, on either path
CREATE FUNCTION now_is() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT * FROM spec_ddl.same('SELECT * FROM spec_ddl.s_batch(''{1,2,3}'', ''2024-06-01'')') $$;
SELECT * FROM now_is();

--
-- Renames are followed
--
ALTER TABLE users RENAME TO "the Users";
SELECT * FROM now_is();
ALTER TABLE "the Users" RENAME age TO "Age";
ALTER TABLE "the Users" RENAME user_id TO id;
ALTER TABLE visits RENAME seen TO at;
ALTER VIEW user_view RENAME years TO y;
ALTER VIEW user_view RENAME TO uv;
SELECT * FROM now_is();
ALTER FUNCTION twice RENAME TO doubled;
ALTER FUNCTION thrice RENAME TO tripled;
SELECT * FROM now_is();
CREATE SCHEMA spec_ddl_new;
ALTER TABLE "the Users" SET SCHEMA spec_ddl_new;
ALTER FUNCTION doubled SET SCHEMA spec_ddl_new;
SELECT * FROM now_is();
ALTER SCHEMA spec_ddl_new RENAME TO "spec ddl new";
SELECT * FROM now_is();
SELECT item, relation::text, path FROM explain_lookup('s', '{"user_id": 1}');
SELECT tables FROM feature_specs WHERE spec = 's'::regclass;

--
-- Others that take the names are not read
--
CREATE TABLE users (user_id bigint CONSTRAINT wrong_key PRIMARY KEY, country text, age int);
INSERT INTO users VALUES (1, 'wrong', -1);
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN -1;
ALTER TABLE "spec ddl new"."the Users" ADD age int DEFAULT -1;
SELECT * FROM now_is();
-- a swap, within a transaction and after it
ALTER TABLE "spec ddl new"."the Users" SET SCHEMA spec_ddl;
BEGIN;
ALTER TABLE users RENAME TO aside;
ALTER TABLE "the Users" RENAME TO users;
SELECT * FROM now_is();
ALTER TABLE users RENAME TO "the Users";
ALTER TABLE aside RENAME TO users;
SELECT * FROM now_is();
COMMIT;
SELECT * FROM now_is();
BEGIN;
ALTER TABLE users RENAME TO aside;
ALTER TABLE "the Users" RENAME TO users;
SELECT * FROM now_is();
ROLLBACK;
SELECT * FROM now_is();
-- two tables of one spec exchange their names
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, v text);
INSERT INTO a VALUES (1, 'a');
INSERT INTO b VALUES (1, 'b');
SELECT create_feature_spec('two', ARRAY[lookup('a', '{id}', rename_outputs => '{"v": "from_a"}'), lookup('b', '{id}', rename_outputs => '{"v": "from_b"}')]);
SELECT * FROM same('SELECT * FROM two(1)');
ALTER TABLE a RENAME TO c;
ALTER TABLE b RENAME TO a;
ALTER TABLE c RENAME TO b;
SELECT * FROM same('SELECT * FROM two(1)');
ALTER TABLE a RENAME v TO w;
SELECT * FROM same('SELECT * FROM two(1)');

--
-- Columns
--
-- one that is not read may do as it likes
ALTER TABLE "the Users" ALTER unused TYPE text;
ALTER TABLE "the Users" DROP unused;
ALTER TABLE "the Users" ADD extra int DEFAULT 5;
SELECT * FROM now_is();
-- one that is cannot be retyped or dropped, nor can a key or the event time
SELECT refused('ALTER TABLE "the Users" ALTER "Age" TYPE bigint') ~ '^0A000: cannot alter type of a column used by a view or rule' AS refused;
SELECT refused('ALTER TABLE "the Users" ALTER id TYPE int') ~ '^0A000' AS refused;
SELECT refused('ALTER TABLE visits ALTER at TYPE date') ~ '^0A000' AS refused;
SELECT refused('ALTER TABLE "the Users" DROP "Age"') ~ '^2BP01: cannot drop column' AS refused;
SELECT refused('ALTER TABLE visits DROP at') ~ '^2BP01: cannot drop column' AS refused;
SELECT refused('DROP VIEW uv') ~ '^2BP01: cannot drop view' AS refused;
SELECT refused('DROP FUNCTION tripled') ~ '^2BP01: cannot drop function' AS refused;
SELECT * FROM now_is();
-- the table is rewritten, emptied, filled
ALTER TABLE "the Users" ADD volatile float8 DEFAULT random();
VACUUM FULL "the Users";
CLUSTER "the Users" USING users_pkey;
SELECT * FROM now_is();
BEGIN;
TRUNCATE "the Users";
SELECT * FROM now_is();
ROLLBACK;
SELECT * FROM now_is();
-- a value of a column added to old rows
ALTER TABLE visits ADD score int DEFAULT 9;
SELECT create_feature_spec('added', ARRAY[lookup('visits', '{user_id}', '{score,clicks}')]);
SELECT * FROM same($$ SELECT * FROM added(1) $$);

--
-- Keys
--
\pset tuples_only on
\pset format unaligned
ALTER TABLE "the Users" DROP CONSTRAINT users_pkey;
SELECT refused('SELECT * FROM s(1)');
-- what cannot stand for it
CREATE UNIQUE INDEX partial ON "the Users" (id) WHERE id > 0;
CREATE UNIQUE INDEX expressed ON "the Users" ((id + 0));
ALTER TABLE "the Users" ADD CONSTRAINT late UNIQUE (id) DEFERRABLE;
CREATE INDEX plain ON "the Users" (id);
SELECT refused('SELECT * FROM s(1)');
\pset tuples_only off
\pset format aligned
CREATE UNIQUE INDEX by_id ON "the Users" (id);
SELECT * FROM now_is();
SELECT item, reason FROM explain_lookup('s', '{"user_id": 1}') WHERE path = 'index';
ALTER INDEX by_id RENAME TO "By Id";
REINDEX INDEX "By Id";
SELECT item, reason FROM explain_lookup('s', '{"user_id": 1}') WHERE path = 'index';
BEGIN;
DROP INDEX "By Id";
SELECT refused('SELECT * FROM s(1)') ~ '^55000' AS refused;
ROLLBACK;
SELECT * FROM now_is();
ALTER TABLE "the Users" ADD PRIMARY KEY USING INDEX "By Id";
SELECT * FROM now_is();
-- the newest of a key, when there is an index for the key alone
ALTER TABLE visits DROP CONSTRAINT visits_pkey;
SELECT refused('SELECT * FROM s(1)') ~ '^55000: item 2 .* identifies a row by \(user_id\)' AS refused;
DELETE FROM visits WHERE clicks = 5;
ALTER TABLE visits ADD PRIMARY KEY (user_id);
SELECT * FROM now_is();
-- of before the row's time
SELECT * FROM same($$ SELECT clicks FROM s_batch('{1}', '2024-01-01') $$);

--
-- Functions
--
CREATE OR REPLACE FUNCTION tripled(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN -x; END $$;
CREATE OR REPLACE FUNCTION "spec ddl new".doubled(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN -2 * $1;
SELECT * FROM now_is();
-- also one that a function calls
CREATE FUNCTION inner_one(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 + 1;
CREATE OR REPLACE FUNCTION "spec ddl new".doubled(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN spec_ddl.inner_one($1);
SELECT * FROM now_is();
CREATE OR REPLACE FUNCTION inner_one(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 + 2;
SELECT * FROM now_is();
-- within a transaction that is rolled back
BEGIN;
CREATE OR REPLACE FUNCTION inner_one(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 + 3;
SELECT double FROM s(1);
SAVEPOINT a;
CREATE OR REPLACE FUNCTION inner_one(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 + 4;
SELECT double FROM s(1);
ROLLBACK TO a;
SELECT double FROM s(1);
ROLLBACK;
SELECT double FROM s(1);
-- a label that changes
\pset tuples_only on
\pset format unaligned
ALTER FUNCTION tripled VOLATILE;
SELECT refused('SELECT * FROM s(1)');
ALTER FUNCTION tripled IMMUTABLE;
SELECT * FROM now_is();
ALTER FUNCTION "spec ddl new".doubled STABLE;
SELECT refused('SELECT * FROM s(1)');
ALTER FUNCTION "spec ddl new".doubled IMMUTABLE;
\pset tuples_only off
\pset format aligned
SELECT * FROM now_is();
-- a spec that no longer works can be replaced, and dropped
ALTER FUNCTION tripled STABLE;
SELECT create_feature_spec('s', ARRAY[
	lookup('"the Users"', '{user_id}', '{country,Age}', '{"Age": "age"}'), lookup('visits', '{user_id}', '{clicks}'), lookup('uv', '{user_id}', rename_outputs => '{"y": "years"}'),
	expression('"spec ddl new".doubled(age)', 'double'), expression('age * 3', 'triple')], replace => true);
SELECT * FROM now_is();
SELECT create_feature_spec('broken', ARRAY[lookup('a', '{id}')]);
ALTER TABLE a DROP CONSTRAINT b_pkey;
SELECT refused('SELECT * FROM broken(1)') ~ '^55000' AS refused;
SELECT drop_feature_spec('broken');

--
-- Search paths: what a spec reads was settled when it was made
--
CREATE TABLE spec_ddl_hostile.visits (user_id bigint PRIMARY KEY, at timestamptz, clicks int);
INSERT INTO spec_ddl_hostile.visits VALUES (1, '2024-01-01', -1);
CREATE FUNCTION spec_ddl_hostile.upper(text) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'hostile';
CREATE FUNCTION spec_ddl_hostile.eq(bigint, bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'hostile'; END $$;
CREATE OPERATOR spec_ddl_hostile.= (FUNCTION = spec_ddl_hostile.eq, LEFTARG = bigint, RIGHTARG = bigint);
CREATE FUNCTION spec_ddl_hostile.eq(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'hostile'; END $$;
CREATE OPERATOR spec_ddl_hostile.= (FUNCTION = spec_ddl_hostile.eq, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION spec_ddl_hostile.concat(text, text) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'hostile';
CREATE OPERATOR spec_ddl_hostile.|| (FUNCTION = spec_ddl_hostile.concat, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION spec_ddl_hostile.le(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'hostile'; END $$;
CREATE OPERATOR spec_ddl_hostile.<= (FUNCTION = spec_ddl_hostile.le, LEFTARG = timestamptz, RIGHTARG = timestamptz);
CREATE FUNCTION spec_ddl_hostile.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$ BEGIN RAISE 'hostile'; END $$;
CREATE DOMAIN spec_ddl_hostile.text AS pg_catalog.text CHECK (VALUE = 'hostile');
CREATE DOMAIN spec_ddl_hostile.date AS pg_catalog.date CHECK (false);
CREATE TYPE spec_ddl_hostile.timestamptz AS ENUM ('hostile');
CREATE TABLE daily (name text, day date, n int, PRIMARY KEY (name, day));
INSERT INTO daily VALUES ('x', '2024-01-01', 1), ('x', '2024-01-02', 2);
SELECT create_feature_spec('pathless', ARRAY[
	lookup('visits', '{user_id}', '{clicks}'), lookup('daily', '{name}'),
	expression('upper(name) || clicks::text', 'up')]);
SELECT * FROM same($$ SELECT * FROM pathless_batch('{1,1}', '{x}', '2024-01-02 12:00') $$);
SET search_path = spec_ddl_hostile, pg_catalog;
SELECT * FROM spec_ddl.pathless_batch('{1,1}', '{x}', '2024-01-02 12:00');
SET featurestore.enable_direct_lookup = off;
SELECT * FROM spec_ddl.pathless_batch('{1,1}', '{x}', '2024-01-02 12:00');
RESET featurestore.enable_direct_lookup;
SELECT * FROM featurestore.feature_lookup_json('spec_ddl.pathless', '{"user_id": 1, "name": "x"}', '2024-01-02 12:00');
SET search_path = '';
SELECT * FROM spec_ddl.pathless_batch('{1,1}', '{x}', '2024-01-02 12:00');
SET featurestore.enable_direct_lookup = off;
SELECT * FROM spec_ddl.pathless_batch('{1,1}', '{x}', '2024-01-02 12:00');
RESET featurestore.enable_direct_lookup;
\c -
\set SHOW_CONTEXT never
SET search_path = spec_ddl_hostile, pg_catalog;
SELECT up FROM spec_ddl.pathless(1, 'x', '2024-01-02 12:00');
-- a spec made by such a path: what its expressions name is what that path says, the rest is not touched by it
SELECT featurestore.create_feature_spec('spec_ddl.by_path', ARRAY[
	featurestore.lookup('spec_ddl.visits', '{user_id}', '{clicks}'), featurestore.lookup('spec_ddl.daily', '{name}', default_values => '{"n": 0}'),
	featurestore.request_field('field', 'pg_catalog.text'), featurestore.expression('upper(name)', 'up')], with_status => true);
SELECT * FROM spec_ddl.by_path_batch('{1,1}', '{x,z}', '{f}', '2024-01-02 12:00');
SET featurestore.enable_direct_lookup = off;
SELECT * FROM spec_ddl.by_path_batch('{1,1}', '{x,z}', '{f}', '2024-01-02 12:00');
RESET featurestore.enable_direct_lookup;
RESET search_path;
SELECT featurestore.create_feature_spec('spec_ddl.by_path', ARRAY[
	featurestore.lookup('spec_ddl.visits', '{user_id}', '{clicks}'), featurestore.lookup('spec_ddl.daily', '{name}', default_values => '{"n": 0}'),
	featurestore.request_field('field', 'pg_catalog.text'), featurestore.expression('upper(name)', 'up')], with_status => true, replace => true);
SELECT * FROM spec_ddl.by_path_batch('{1,1}', '{x,z}', '{f}', '2024-01-02 12:00');
SET featurestore.enable_direct_lookup = off;
SELECT * FROM spec_ddl.by_path_batch('{1,1}', '{x,z}', '{f}', '2024-01-02 12:00');
RESET featurestore.enable_direct_lookup;
SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'spec_ddl.by_path'::regclass ORDER BY attnum;

-- other settings of the session that made it
SET search_path = spec_ddl, featurestore;
CREATE TABLE settings (id int PRIMARY KEY, d date, t timestamptz, i interval, f float8, b bytea);
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SET TimeZone = 'Asia/Tokyo';
SET extra_float_digits = -5;
SET bytea_output = 'escape';
SELECT create_feature_spec('defaults', ARRAY[lookup('settings', '{id}', default_values => '{"d": "02/01/2024", "t": "02/01/2024 09:00", "i": "-1 -2:03:04", "f": 0.1234567890123456, "b": "\\x00ff"}')]);
SELECT * FROM defaults(1);
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'iso_8601';
SET TimeZone = 'UTC';
RESET extra_float_digits;
RESET bytea_output;
SELECT * FROM defaults(1);
\c -
SET search_path = spec_ddl, featurestore;
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';
SELECT * FROM defaults(1);

SET client_min_messages = warning;
DROP SCHEMA spec_ddl, "spec ddl new", spec_ddl_hostile CASCADE;
