-- max_lag: a table is late if it has missed a change for longer, not if nothing
-- has happened since its last run
\set SHOW_CONTEXT never
CREATE SCHEMA lookup_lag;
SET search_path = lookup_lag, featurestore;
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

CREATE TABLE items (item_id int PRIMARY KEY, stock int);
INSERT INTO items SELECT i, i FROM generate_series(1, 3) AS i;
SELECT publish_table('items', 'items_online');
SELECT create_feature_spec('punctual', ARRAY[lookup('items_online', '{item_id}', max_lag => '1 hour')], with_status => true);

-- the last run of a table was long ago; what is staged is as old
CREATE FUNCTION age_position(online_table regclass, age interval) RETURNS void LANGUAGE sql AS $$
	UPDATE featurestore.publication_position SET applied_to = now() - age WHERE relation = online_table $$;
CREATE FUNCTION age_changes(staging regclass, age interval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('UPDATE %s SET _commit_timestamp = now() - %L::interval', staging, age);
END $$;
CREATE FUNCTION pending(online_table regclass, OUT changes bigint, OUT age interval) LANGUAGE sql AS $$
	SELECT p.changes, date_trunc('minute', now() - p.oldest) FROM featurestore._pending(online_table) AS p $$;
SELECT age_position('items_online', '1 day');

-- nothing has happened since
SELECT *, _has_pending('items_online') FROM pending('items_online');
SELECT stock, stock_status FROM punctual(1);
SELECT stock_status FROM punctual(1, as_of => now() - interval '1 year');
SELECT stock_status FROM punctual(1, as_of => '-infinity');
-- nobody knows what will have happened by then
SELECT stock_status FROM punctual(1, as_of => now() + interval '59 minutes');
SELECT stock_status FROM punctual(1, as_of => now() + interval '2 hours');
SELECT stock_status FROM punctual(1, as_of => 'infinity');

-- a change is missing, but not for long
UPDATE items SET stock = 10 WHERE item_id = 1;
SELECT *, _has_pending('items_online') FROM pending('items_online');
SELECT stock, stock_status FROM punctual(1);
-- for too long
SELECT age_changes('items_changes', '2 hours');
SELECT *, _has_pending('items_online') FROM pending('items_online');
SELECT stock, stock_status FROM punctual(1);
SELECT stock_status FROM punctual(1, as_of => now() - interval '61 minutes');
SELECT stock_status FROM punctual(1, as_of => now() - interval '59 minutes');
-- one more, and that is newer
INSERT INTO items VALUES (4, 4);
SELECT * FROM pending('items_online');
SELECT stock, stock_status FROM punctual(1);
-- a change without a time may have waited for ever
UPDATE items_changes SET _commit_timestamp = NULL WHERE item_id = 4;
SELECT changes, oldest FROM _pending('items_online');
CALL sync('items_online');
SELECT age_position('items_online', '1 day');
SELECT *, _has_pending('items_online') FROM pending('items_online');
SELECT stock, stock_status FROM punctual(1);
-- a change that is undone
BEGIN;
INSERT INTO items VALUES (5, 5);
SELECT 1 FROM featurestore._flush_captured();
SELECT changes FROM _pending('items_online');
ROLLBACK;
SELECT changes FROM _pending('items_online');
-- part of a transaction is applied by itself
BEGIN;
INSERT INTO items VALUES (5, 5);
CALL sync('items_online');
INSERT INTO items VALUES (6, 6);
SELECT 1 FROM featurestore._flush_captured();
SELECT changes FROM _pending('items_online');
COMMIT;
SELECT changes FROM _pending('items_online');
CALL sync('items_online');
-- the source is emptied
TRUNCATE items;
SELECT age_changes('items_changes', '2 hours'), age_position('items_online', '1 day');
SELECT stock_status FROM punctual(1);
CALL sync('items_online');
SELECT age_position('items_online', '1 day');
SELECT stock_status FROM punctual(1);

-- what must be compared whole is as old as the last run
SELECT pause_publication('items_online');
SELECT *, _has_pending('items_online') FROM pending('items_online');
SELECT stock_status FROM punctual(1);
SELECT resume_publication('items_online');
SELECT stock_status FROM punctual(1);
CALL sync('items_online');
SELECT age_position('items_online', '59 minutes');
SELECT alter_publication('items_online', publish_mode => 'SNAPSHOT');
CALL sync('items_online');
SELECT *, _has_pending('items_online') FROM pending('items_online');
SELECT stock_status FROM punctual(1);
SELECT age_position('items_online', '61 minutes');
SELECT stock_status FROM punctual(1);
SELECT alter_publication('items_online', publish_mode => 'TRIGGERED');
CALL sync('items_online');
SELECT age_position('items_online', '1 day');
SELECT stock_status FROM punctual(1);

-- another staging table has taken the place of that with the changes
INSERT INTO items VALUES (1, 1);
ALTER TABLE items ADD COLUMN price numeric;
SELECT publish_table('items', 'items_priced');
SELECT *, _has_pending('items_online') FROM pending('items_online');
SELECT stock_status FROM punctual(1);
CALL sync('items_online');
SELECT age_position('items_online', '1 day');
SELECT *, _has_pending('items_online') FROM pending('items_online');
SELECT stock, stock_status FROM punctual(1);
-- each publication of a source has its own lag
UPDATE items SET stock = 2;
CALL sync('items_priced');
SELECT changes FROM unnest('{items_online,items_priced}'::regclass[]) AS t, _pending(t);
CALL sync('items_online');
-- the position is of another cluster, or missing
BEGIN;
UPDATE featurestore.publication_position SET system_identifier = 1 WHERE relation = 'items_online'::regclass;
SELECT *, _has_pending('items_online') FROM pending('items_online');
SELECT stock_status FROM punctual(1);
DELETE FROM featurestore.publication_position WHERE relation = 'items_online'::regclass;
SELECT *, _has_pending('items_online') FROM pending('items_online');
ROLLBACK;
-- so are the changes
BEGIN;
SELECT age_position('items_online', '1 day');
UPDATE featurestore.staging SET system_identifier = 1;
SELECT stock_status FROM punctual(1);
ROLLBACK;

-- a transaction that keeps its snapshot lags as long as it lasts
SELECT create_feature_spec('prompt', ARRAY[lookup('items_online', '{item_id}', max_lag => '100 ms')], with_status => true);
SELECT age_position('items_online', '1 day');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_sleep(0.15);
SELECT stock_status FROM prompt(1);
COMMIT;
BEGIN;
SELECT pg_sleep(0.15);
SELECT stock_status FROM prompt(1);
COMMIT;

-- features of two sources
CREATE TABLE views (item_id int, at timestamptz);
CREATE TABLE sales (item_id int, at timestamptz, amount numeric);
INSERT INTO views VALUES (1, now() - interval '1 day');
INSERT INTO sales VALUES (1, now() - interval '1 day', 1);
SELECT register_feature('n_views', 'views', '{item_id}', 'at', 'count');
SELECT register_feature('sold', 'sales', '{item_id}', 'at', 'sum', 'amount');
SELECT materialize_features('{n_views,sold}', 'counters', publish_mode => 'TRIGGERED');
SELECT create_feature_spec('counted', ARRAY[lookup('counters', '{item_id}', '{rows_basic}', max_lag => '1 hour')], with_status => true);
SELECT age_position('counters', '1 day');
SELECT rows_basic_status FROM counted(1);
INSERT INTO sales VALUES (1, now(), 1);
SELECT changes FROM _pending('counters');
SELECT age_changes('sales_changes', '2 hours');
SELECT rows_basic_status FROM counted(1);
INSERT INTO views VALUES (1, now());
SELECT changes FROM _pending('counters');
CALL sync('counters');
SELECT age_position('counters', '1 day');
SELECT rows_basic_status FROM counted(1, as_of => now() - interval '10 minutes');
-- a key is held, and then due
INSERT INTO sales VALUES (1, now() + interval '1 year', 1);
CALL sync('counters');
SELECT age_position('counters', '1 day');
SELECT count(*) FROM held_change;
SELECT *, _has_pending('counters') FROM pending('counters');
SELECT rows_basic_status FROM counted(1, as_of => now() - interval '10 minutes');
UPDATE held_change SET due = now() - interval '30 minutes';
SELECT *, _has_pending('counters') FROM pending('counters');
SELECT rows_basic_status FROM counted(1);
UPDATE held_change SET due = now() - interval '2 hours';
SELECT rows_basic_status FROM counted(1);
UPDATE held_change SET system_identifier = 1;
SELECT *, _has_pending('counters') FROM pending('counters');

-- external writers
CREATE TABLE profile (user_id int PRIMARY KEY, age int);
SELECT refused($$ SELECT create_feature_spec('aged', ARRAY[lookup('profile', '{user_id}', max_lag => '1 hour')]) $$);
SELECT create_staging_table('profile');
SELECT create_feature_spec('aged', ARRAY[lookup('profile', '{user_id}', max_lag => '1 hour')], with_status => true);
INSERT INTO profile VALUES (1, 30);
SELECT *, _has_pending('profile') FROM pending('profile');
SELECT * FROM aged(1);
CALL sync('profile');
SELECT age_position('profile', '1 day');
SELECT * FROM aged(1);
INSERT INTO profile_staging (user_id, age) VALUES (1, 31);
SELECT changes FROM _pending('profile');
SELECT * FROM aged(1);
SELECT age_changes('profile_staging', '2 hours');
SELECT * FROM aged(1);
CALL sync('profile');
SELECT age_position('profile', '1 day');
SELECT * FROM aged(1);
DROP TABLE profile_staging;
SELECT * FROM aged(1);

-- what waits is known to who may read the online table, though not the source
CREATE ROLE regress_lookup_lag;
GRANT USAGE ON SCHEMA lookup_lag TO regress_lookup_lag;
INSERT INTO items VALUES (2, 2);
SET ROLE regress_lookup_lag;
SELECT *, _has_pending('items_online') FROM pending('items_online');
RESET ROLE;
GRANT SELECT ON items_online, punctual TO regress_lookup_lag;
SELECT age_changes('items_changes', '2 hours'), age_position('items_online', '1 day');
SET ROLE regress_lookup_lag;
SELECT *, _has_pending('items_online') FROM pending('items_online');
SELECT stock_status FROM punctual(1);
RESET ROLE;
SELECT * FROM pending(NULL);
SELECT *, _has_pending(1) FROM pending(1);
SELECT *, _has_pending('items') FROM pending('items');

-- or some of its columns
REVOKE SELECT ON items_online FROM regress_lookup_lag;
GRANT SELECT (stock) ON items_online TO regress_lookup_lag;
SET ROLE regress_lookup_lag;
SELECT *, _has_pending('items_online') FROM pending('items_online');
RESET ROLE;
DROP OWNED BY regress_lookup_lag;
DROP ROLE regress_lookup_lag;

SET client_min_messages = warning;
DROP SCHEMA lookup_lag CASCADE;
