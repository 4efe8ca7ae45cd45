--
-- Online tables: registering tables that lookups read
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_online_owner;
CREATE ROLE regress_online_other;
CREATE SCHEMA online_table AUTHORIZATION regress_online_owner;
RESET client_min_messages;
GRANT USAGE ON SCHEMA online_table TO regress_online_other;
SET search_path = online_table;
SET IntervalStyle = 'postgres';
SET ROLE regress_online_owner;

CREATE TABLE users (user_id bigint PRIMARY KEY, seen timestamptz, day date, local timestamp, score float8);
CREATE VIEW registered AS
	SELECT relation::text, timeseries_column, ttl, merge FROM featurestore.online_table
	WHERE relation::text ~ '^online_table' OR pg_catalog.pg_table_is_visible(relation) ORDER BY 1;

-- a plain one, again, and differently
SELECT featurestore.create_online_table('users');
SELECT featurestore.create_online_table('users');
SELECT featurestore.create_online_table('users', timeseries_column => 'seen', ttl => '1 day');
SELECT * FROM registered;
SELECT featurestore.drop_online_table('users');
SELECT featurestore.drop_online_table('users');
SELECT * FROM registered;

-- with everything; equal lengths of time are equal
SELECT featurestore.create_online_table('users', '{"score": "replace"}', '{}', 'seen', '24 hours');
SELECT featurestore.create_online_table('users', '{"score": "replace"}', '{}', 'seen', '1 day');
SELECT featurestore.create_online_table('users', '{}', '{}', 'day', '2 days');
SELECT * FROM registered;

-- a rename is followed, a drop forgets
ALTER TABLE users RENAME TO people;
SELECT * FROM registered;
DROP TABLE people;
SELECT * FROM registered;

-- other shapes: partitioned, quoted, another unique key
CREATE TABLE "Item Features" ("Item Id" text, "As Of" date, price numeric(10,2), PRIMARY KEY ("Item Id", "As Of")) PARTITION BY HASH ("Item Id");
SELECT featurestore.create_online_table('"Item Features"', timeseries_column => 'As Of');
CREATE TABLE by_index (id int, v int);
CREATE UNIQUE INDEX ON by_index (id) INCLUDE (v);
SELECT featurestore.create_online_table('by_index');
SELECT * FROM registered;

-- what cannot be an online table
CREATE TABLE no_key (id int);
CREATE UNIQUE INDEX ON no_key (id) WHERE id > 0;
CREATE UNIQUE INDEX ON no_key ((id + 1));
ALTER TABLE no_key ADD UNIQUE (id) DEFERRABLE;
SELECT featurestore.create_online_table('no_key');
\echo :SQLSTATE
CREATE VIEW a_view AS SELECT 1 AS id;
SELECT featurestore.create_online_table('a_view');
\echo :SQLSTATE
CREATE TEMP TABLE a_temp (id int PRIMARY KEY);
SELECT featurestore.create_online_table('a_temp');
\echo :SQLSTATE
SELECT featurestore.create_online_table(NULL);
\echo :SQLSTATE
SELECT featurestore.create_online_table('nowhere');
\echo :SQLSTATE
SELECT featurestore.create_online_table(4294967294::oid::regclass);
\echo :SQLSTATE

-- bad arguments
CREATE TABLE users (user_id bigint PRIMARY KEY, seen timestamptz, day date, local timestamp, score float8);
SELECT featurestore.create_online_table('users', timeseries_column => 'nope');
\echo :SQLSTATE
SELECT featurestore.create_online_table('users', timeseries_column => 'score');
\echo :SQLSTATE
SELECT featurestore.create_online_table('users', timeseries_column => 'local');
\echo :SQLSTATE
SELECT featurestore.create_online_table('users', ttl => '1 day');
\echo :SQLSTATE
SELECT featurestore.create_online_table('users', timeseries_column => 'seen', ttl => '0');
\echo :SQLSTATE
SELECT featurestore.create_online_table('users', timeseries_column => 'seen', ttl => '-1 day');
SELECT featurestore.create_online_table('users', timeseries_column => 'seen', ttl => '1 month');
\echo :SQLSTATE
SELECT featurestore.create_online_table('users', timeseries_column => 'seen', ttl => '1 year 2 days');
SELECT featurestore.create_online_table('users', NULL);
\echo :SQLSTATE
SELECT featurestore.create_online_table('users', '["score"]');
\echo :SQLSTATE
SELECT featurestore.create_online_table('users', '{"score": "sum"}');
\echo :SQLSTATE
SELECT featurestore.create_online_table('users', '{"score": null}');
SELECT featurestore.create_online_table('users', '{"nope": "replace"}');
\echo :SQLSTATE
SELECT featurestore.drop_online_table(NULL);
\echo :SQLSTATE

-- only the owner
SET ROLE regress_online_other;
SELECT featurestore.create_online_table('users');
\echo :SQLSTATE
SELECT featurestore.drop_online_table('by_index');
\echo :SQLSTATE
SELECT featurestore._store_definition('online_table', '{"relation": "users", "merge": {}}');
\echo :SQLSTATE
SELECT featurestore._remove_definition('online_table', 'by_index');
\echo :SQLSTATE
INSERT INTO featurestore.online_table (relation) VALUES ('users');
\echo :SQLSTATE
SET ROLE regress_online_owner;

-- the writer of the catalog knows its tables, and needs a relation
SELECT featurestore._store_definition('pg_class', '{"relation": "users"}');
\echo :SQLSTATE
SELECT featurestore._store_definition('online_table', '{"merge": {}}');
\echo :SQLSTATE
SELECT featurestore._store_definition('online_table', '{"relation": "4294967294", "merge": {}}');
\echo :SQLSTATE
-- nothing on the search path gets in between
CREATE FUNCTION online_table.equal(oid, oid) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''redirected''; END';
CREATE OPERATOR online_table.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = online_table.equal);
CREATE FUNCTION online_table.jsonb_populate_record(anyelement, jsonb) RETURNS anyelement LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''redirected''; END';
SET search_path = online_table, pg_catalog;
SELECT featurestore.create_online_table('users', timeseries_column => 'seen');
SELECT featurestore.drop_online_table('users');
SET search_path = online_table;

-- undone with its transaction
BEGIN;
SELECT featurestore.create_online_table('users');
ROLLBACK;
SELECT * FROM registered;

RESET ROLE;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA online_table CASCADE;
SELECT count(*) FROM featurestore.online_table WHERE relation NOT IN (SELECT oid FROM pg_class);
DROP OWNED BY regress_online_owner, regress_online_other;
DROP ROLE regress_online_owner, regress_online_other;
