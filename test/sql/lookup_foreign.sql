--
-- Lookups of foreign tables
--
SELECT count(*) = 0 AS skip FROM pg_available_extensions WHERE name = 'file_fdw' \gset
\if :skip
\echo file_fdw is not installed
\quit
\endif
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE EXTENSION file_fdw;
CREATE SCHEMA lookup_foreign;
RESET client_min_messages;
SET search_path = lookup_foreign, public, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE prices (id int, shop text, price numeric) SERVER files OPTIONS (program 'printf ''1,a,1.5\n2,a,2.5\n2,b,3.5\n3,a,\n''', format 'csv');
SELECT create_feature_spec('s', ARRAY[lookup('prices', '{id,shop}')]);
SELECT * FROM same($$ SELECT * FROM s_batch('{2,1,2,3,4,NULL}', '{b,a,a,a,a,a}') $$);
SELECT path, reason, keys, found FROM explain_lookup('s', '{"id": [1, 2], "shop": "b"}');
SELECT proparallel FROM pg_proc WHERE oid = 's'::regproc;
-- it has no keys, so nothing says that there is one row
SELECT create_feature_spec('by_id', ARRAY[lookup('prices', '{id}', '{price}')]);
SELECT * FROM same($$ SELECT * FROM by_id_batch('{1,3}') $$);
SELECT refused($$ SELECT * FROM by_id_batch('{1,2}') $$);
-- as a partition
CREATE TABLE parted (id int, shop text, price numeric) PARTITION BY LIST (shop);
CREATE FOREIGN TABLE parted_a PARTITION OF parted FOR VALUES IN ('a') SERVER files OPTIONS (program 'printf ''1,a,1.5\n2,a,2.5\n''', format 'csv');
SELECT refused($$ SELECT create_feature_spec('of_parted', ARRAY[lookup('parted', '{id,shop}')]) $$) ~ '^55000' AS refused;
-- dropping what it hangs on
SET client_min_messages = warning;
ALTER FOREIGN TABLE prices DROP COLUMN price CASCADE;
SELECT * FROM objects WHERE kind IN ('spec', 'lost');
SELECT create_feature_spec('s', ARRAY[lookup('prices', '{id,shop}')]);
DROP SERVER files CASCADE;
SELECT * FROM objects WHERE kind IN ('spec', 'lost');

DROP SCHEMA lookup_foreign CASCADE;
DROP EXTENSION file_fdw;
