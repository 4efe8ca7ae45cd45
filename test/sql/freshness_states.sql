--
-- The view freshness: rungs, states and their reasons, and who sees what
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA freshness_states;
SET search_path = freshness_states, featurestore;
SET TimeZone = 'UTC';

CREATE FUNCTION make_old(online_table regclass, age interval) RETURNS void LANGUAGE sql AS $$
	UPDATE featurestore.publication_position SET applied_to = applied_to - age, synced_at = synced_at - age WHERE relation = online_table $$;
CREATE FUNCTION make_old_changes(staging regclass, age interval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('UPDATE %s SET _commit_timestamp = _commit_timestamp - %L::interval', staging, age);
END $$;
-- lag and next_run by the hour, and as much as does not move
CREATE FUNCTION fresh(online_tables regclass[] DEFAULT NULL) RETURNS TABLE(online_table regclass, mode text, rung text, state text, lag text, pending bigint, rejected bigint, held bigint, specs text[], reason text)
	LANGUAGE sql AS $$
	SELECT f.online_table, publish_mode, rung, state, CASE WHEN lag = '0' THEN 'none' WHEN lag < '10 s' THEN 'hardly' ELSE date_trunc('hour', lag)::text END, pending, rejected, held, specs, reason
	FROM featurestore.freshness f WHERE fresh.online_tables IS NULL OR f.online_table = ANY (fresh.online_tables) ORDER BY f.online_table::text $$;

CREATE TABLE source (id int PRIMARY KEY, v int);
INSERT INTO source VALUES (1, 1);
CREATE TABLE log (id int, at timestamptz, v int);
SELECT register_feature('total', 'log', '{id}', 'at', 'sum', 'v');

-- rungs
SELECT publish_table('source', 'continuous', 'CONTINUOUS');
SELECT publish_table('source', 'by_hand');
SELECT publish_table('source', 'compared', 'SNAPSHOT');
SELECT publish_table('source', 'every_10_s', schedule => '*/10 * * * * ?', wait => false);
SELECT publish_table('source', 'every_minute', schedule => '* * * * *', wait => false);
SELECT publish_table('source', 'every_5_min', 'SNAPSHOT', schedule => '*/5 * * * *', wait => false);
SELECT publish_table('source', 'hourly', schedule => '@hourly', wait => false);
SELECT publish_table('source', 'daily', schedule => '@daily', wait => false);
SELECT publish_table('source', 'last_time', schedule => '0 0 0 1 1 ? 2099', wait => false);
SELECT materialize_features('{total}', 'totals', publish_mode => 'TRIGGERED', schedule => '0 0 * * mon', wait => false);
CREATE TABLE fed (id int PRIMARY KEY, v int);
SELECT create_staging_table('fed');
CREATE TABLE direct (id int PRIMARY KEY, at timestamptz, v int);
SELECT create_online_table('direct', timeseries_column => 'at');
SELECT create_feature_spec('two', ARRAY[lookup('continuous', '{id}'), lookup('direct', '{id}', '{v}', '{"v": "direct"}')]);
SELECT create_feature_spec('one', ARRAY[lookup('continuous', '{id}'), feature('{total}', '{id}')]);
SELECT * FROM fresh();
SELECT online_table, next_run <= clock_timestamp() AS is_due FROM freshness ORDER BY online_table::text;
CALL run_due();
SELECT online_table, next_run > applied_to AS comes, next_run - applied_to <= '1 minute' AS soon FROM freshness WHERE (rung = 'seconds' OR online_table = 'last_time'::regclass) AND next_run IS NOT NULL ORDER BY online_table::text;
SELECT * FROM fresh();

-- nothing has happened for long: as it should be, but for comparing, whose run is overdue
SELECT make_old(online_table, '3 days') FROM publications WHERE online_table <> 'totals'::regclass;
SELECT make_old('fed', '3 days');
SELECT * FROM fresh();
SELECT online_table, state FROM publications WHERE state <> 'OK';
-- a change waits, for a moment
INSERT INTO source VALUES (2, 2);
INSERT INTO fed_staging (id, v) VALUES (1, 1);
SELECT * FROM fresh('{continuous,fed,by_hand}');
-- and for long
SELECT make_old_changes('source_changes', '2 hours'), make_old_changes('fed_staging', '2 hours');
SELECT * FROM fresh('{continuous,fed,by_hand,hourly,last_time}');
CALL sync('continuous');
CALL sync('fed');
SELECT * FROM fresh('{continuous,fed}');
-- rejected and held
ALTER TABLE continuous ADD CHECK (v < 100);
INSERT INTO source VALUES (3, 300);
INSERT INTO log VALUES (1, now() + interval '1 year', 1), (2, now() + interval '1 year', 1);
SET client_min_messages = error;
CALL sync('continuous');
CALL sync('totals');
SET client_min_messages = warning;
SELECT * FROM fresh('{continuous,totals}');
UPDATE held_change SET due = now() - interval '2 hours';
SELECT make_old('totals', '10 days');
SELECT * FROM fresh('{totals}');

-- a run that failed, and one that will fail until something is mended
SET client_min_messages = error;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today, %', NEW.v; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON continuous FOR EACH ROW EXECUTE FUNCTION refuse();
INSERT INTO source VALUES (4, 4);
CALL run_due();
SELECT * FROM fresh('{continuous}');
SELECT make_old_changes('source_changes', '2 hours');
SELECT * FROM fresh('{continuous}');
CREATE ROLE regress_freshness_reader;
CREATE ROLE regress_freshness_stranger;
CREATE ROLE regress_freshness_monitor IN ROLE pg_read_all_stats;
GRANT USAGE ON SCHEMA freshness_states TO regress_freshness_reader, regress_freshness_stranger, regress_freshness_monitor;
GRANT SELECT (v) ON continuous TO regress_freshness_reader;
SET ROLE regress_freshness_reader;
SELECT * FROM fresh('{continuous,by_hand,direct}');
SET ROLE regress_freshness_stranger;
SELECT * FROM fresh('{continuous,by_hand,direct}');
SET ROLE regress_freshness_monitor;
SELECT * FROM fresh('{continuous,by_hand,direct}');
RESET ROLE;
ALTER TABLE continuous DISABLE TRIGGER refuse;
CALL sync('continuous');
SELECT * FROM fresh('{continuous}');
ALTER TABLE hourly DROP COLUMN v;
SELECT make_old('hourly', '3 days');
CALL run_due();
SELECT * FROM fresh('{hourly}');
SELECT state, reason FROM publications WHERE online_table = 'hourly'::regclass;

-- paused, resumed, under way
SELECT pause_publication('continuous');
SELECT pause_publication('every_minute');
SELECT * FROM fresh('{continuous,every_minute}');
SELECT next_run FROM freshness WHERE online_table = 'every_minute'::regclass;
SELECT resume_publication('continuous');
SELECT alter_publication('by_hand', filter => 'v > 0');
SELECT * FROM fresh('{continuous,by_hand}');
SELECT publish_table('source', 'filling', wait => false);
SELECT * FROM fresh('{filling}');

SELECT unpublish_table('filling');
DROP TABLE fed_staging;
SELECT * FROM fresh('{filling,fed}');
DROP SCHEMA freshness_states CASCADE;
DROP ROLE regress_freshness_reader, regress_freshness_stranger, regress_freshness_monitor;
