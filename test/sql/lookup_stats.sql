--
-- Lookups are counted only where the library is preloaded, which here it is not
--
SET client_min_messages = warning;
CREATE SCHEMA lookup_stats;
RESET client_min_messages;
SET search_path = lookup_stats, featurestore;
\pset null '(null)'
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

CREATE TABLE users (user_id int PRIMARY KEY, age int);
INSERT INTO users VALUES (1, 30);
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}')]);
SELECT * FROM s(1);
-- no zeros that were not counted
SELECT * FROM featurestore.lookup_stats WHERE spec = 's'::regclass;
SELECT refused('SELECT lookup_stats_reset()');
-- the place for counts is asked for when the server starts; the rest can be set
SELECT refused('SHOW featurestore.max_tracked_specs');
SET featurestore.track_lookups = off;
SELECT * FROM s(1);
RESET featurestore.track_lookups;

CREATE ROLE regress_stats_reader;
GRANT USAGE ON SCHEMA lookup_stats TO regress_stats_reader;
SET ROLE regress_stats_reader;
SELECT count(*) FROM featurestore.lookup_stats WHERE NOT is_available;
SELECT refused('SET featurestore.track_lookups = off');
SELECT refused('SELECT featurestore.lookup_stats_reset()');
RESET ROLE;
REVOKE ALL ON SCHEMA lookup_stats FROM regress_stats_reader;
DROP ROLE regress_stats_reader;

SET client_min_messages = warning;
DROP SCHEMA lookup_stats CASCADE;
