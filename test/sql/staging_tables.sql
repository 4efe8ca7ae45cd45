--
-- Staging tables: capture of sources set up, mended and ended, rotation, tables
-- for external writers.  What is captured is not looked at here.
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_capturer;
CREATE ROLE regress_heir;
CREATE ROLE regress_writer;
CREATE SCHEMA staging AUTHORIZATION regress_capturer;
GRANT USAGE ON SCHEMA staging TO regress_heir, regress_writer;
RESET client_min_messages;
SET search_path = staging;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET ROLE regress_capturer;

CREATE VIEW captured AS
	SELECT relation, captured_source, online_table, key_columns, current_partition AS partition, current_relation
	FROM featurestore.staging WHERE pg_table_is_visible(relation) ORDER BY relation::text COLLATE "C";
CREATE FUNCTION columns(relation regclass) RETURNS TABLE(name name, type text, not_null boolean, collation_name name, value text)
	LANGUAGE sql AS $$
SELECT attname, format_type(atttypid, atttypmod), attnotnull, nullif(collname, 'default'), pg_get_expr(adbin, adrelid)
FROM pg_attribute LEFT JOIN pg_collation c ON c.oid = attcollation LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped ORDER BY attnum $$;
CREATE FUNCTION triggers(relation regclass) RETURNS TABLE(on_table regclass, name name, enabled "char", is_clone boolean)
	LANGUAGE sql AS $$
SELECT tgrelid, tgname, tgenabled, tgparentid <> 0
FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree(relation) UNION SELECT relation) ORDER BY tgrelid::regclass::text COLLATE "C", tgname $$;
CREATE FUNCTION members(relation regclass) RETURNS TABLE(member regclass, owner regrole)
	LANGUAGE sql AS $$
SELECT oid, relowner FROM pg_partition_tree(relation) JOIN pg_class ON oid = relid ORDER BY relid::text COLLATE "C" $$;

--
-- Setting up
--
CREATE DOMAIN code AS varchar(8) CHECK (VALUE <> '');
CREATE TABLE source (
	id int PRIMARY KEY, name text COLLATE "C" NOT NULL DEFAULT 'x', price numeric(8,2), codes code[], code code,
	twice numeric GENERATED ALWAYS AS (price * 2) STORED, gone int, "odd "" name" timestamptz(3)
);
ALTER TABLE source DROP COLUMN gone;
SELECT featurestore._capture_source('source', '{id}');
SELECT * FROM columns('source_changes');
SELECT * FROM members('source_changes');
SELECT relkind, relpersistence FROM pg_class WHERE oid IN ('source_changes'::regclass, 'source_changes_0'::regclass) ORDER BY 1;
SELECT * FROM triggers('source');
SELECT * FROM captured;
SELECT system_identifier = (SELECT c.system_identifier FROM pg_control_system() c) AS this_cluster FROM featurestore.staging;

-- again, and with more key columns
CREATE TEMP TABLE before AS SELECT xmin::text AS writer FROM featurestore.staging;
SELECT featurestore._capture_source('source', '{id}');
SELECT featurestore._capture_source('source', '{}');
SELECT s.xmin::text = writer AS untouched FROM featurestore.staging s, before;
SELECT featurestore._capture_source('source', '{name,code}');
SELECT featurestore._capture_source('source', '{id,code}');
SELECT key_columns FROM captured;
SELECT featurestore._capture_source('source', NULL);
SELECT featurestore._capture_source('source', '{price}');
SELECT key_columns FROM captured;

-- changes arrive
INSERT INTO source (id, price) VALUES (1, 1.5);
SELECT featurestore._consumers('source');

-- columns that come, go and change need another table
ALTER TABLE source ADD COLUMN more int;
SELECT featurestore._capture_source('source', NULL);
SELECT name, type FROM columns('source_changes') WHERE name !~ '^_';
SELECT * FROM captured;
ALTER TABLE source DROP COLUMN "odd "" name";
SELECT 'source_changes'::regclass::oid AS id \gset
SELECT featurestore._capture_source('source', NULL);
SELECT 'source_changes'::regclass::oid = :id AS same_table;
ALTER TABLE source ALTER COLUMN more TYPE bigint;
SELECT featurestore._capture_source('source', NULL);
SELECT name, type FROM columns('source_changes') WHERE name !~ '^_';
SELECT count(*) FROM pg_class WHERE relnamespace = 'staging'::regnamespace AND relname ~ '_changes';
-- the old one stays if something depends on it
CREATE VIEW on_changes AS SELECT id, _change_type FROM source_changes;
ALTER TABLE source ADD COLUMN most int;
SELECT featurestore._capture_source('source', NULL);
SELECT * FROM captured;
DROP VIEW on_changes;
DROP TABLE source_changes;
SELECT * FROM captured;

-- triggers that are dropped, disabled, renamed
DROP TRIGGER featurestore_capture ON source;
ALTER TABLE source DISABLE TRIGGER featurestore_capture_truncate;
SELECT featurestore._capture_source('source', NULL);
SELECT * FROM triggers('source');
ALTER TABLE source ENABLE REPLICA TRIGGER featurestore_capture;
DROP TRIGGER featurestore_capture_truncate ON source;
SELECT featurestore._capture_source('source', NULL);
ALTER TRIGGER featurestore_capture ON source RENAME TO mine;
ALTER TABLE source DISABLE TRIGGER mine;
SELECT featurestore._capture_source('source', NULL);
SELECT * FROM triggers('source');

-- names that are taken, or long
CREATE TABLE taken (id int);
CREATE TABLE taken_changes (id int);
CREATE TYPE taken_changes1 AS (id int);
SELECT featurestore._capture_source('taken', NULL);
CREATE TABLE "a very long name, äöü, which with an endinäöüäöüäöü" (id int);
SELECT featurestore._capture_source('"a very long name, äöü, which with an endinäöüäöüäöü"', NULL);
SELECT member FROM members((SELECT relation FROM captured WHERE relation::text ~ 'a very'));

-- another cluster's
RESET ROLE;
UPDATE featurestore.staging SET system_identifier = 1, key_columns = '{id}' WHERE captured_source = 'taken'::regclass;
SET ROLE regress_capturer;
SELECT 'taken_changes2'::regclass::oid AS id \gset
SELECT featurestore._capture_source('taken', '{}');
SELECT s.relation::oid = :id AS same_table, s.system_identifier = 1 AS other_cluster, s.key_columns FROM featurestore.staging s WHERE captured_source = 'taken'::regclass;

-- errors
SELECT featurestore._capture_source(NULL, NULL);
\echo :SQLSTATE
SELECT featurestore._capture_source(1::regclass, NULL);
\echo :SQLSTATE
SELECT featurestore._capture_source('source', '{id,no}');
\echo :SQLSTATE
SELECT featurestore._capture_source('source', '{id,id}');
\echo :SQLSTATE
SELECT featurestore._capture_source('source', '{id,NULL}');
\echo :SQLSTATE
SELECT featurestore._capture_source('captured', NULL);
\echo :SQLSTATE
CREATE UNLOGGED TABLE unlogged (id int);
SELECT featurestore._capture_source('unlogged', NULL);
\echo :SQLSTATE
CREATE TEMP TABLE temporary (id int);
SELECT featurestore._capture_source('temporary', NULL);
\echo :SQLSTATE
CREATE TABLE heirs (id int);
CREATE TABLE heir (more int) INHERITS (heirs);
SELECT featurestore._capture_source('heirs', NULL);
\echo :SQLSTATE
SELECT featurestore._capture_source('heir', NULL);
CREATE TABLE named (id int, _xid int);
SELECT featurestore._capture_source('named', NULL);
\echo :SQLSTATE
SELECT featurestore._capture_source('source_changes1', NULL);
\echo :SQLSTATE
SET ROLE regress_heir;
SELECT featurestore._capture_source('source', NULL);
\echo :SQLSTATE
SELECT featurestore._try_lock('source', 'SHARE');
\echo :SQLSTATE
SELECT featurestore._hold_staged('source_changes1');
\echo :SQLSTATE
SET ROLE regress_capturer;
SELECT featurestore._try_lock('source', 'share');
\echo :SQLSTATE
SELECT featurestore._try_lock(1::regclass, 'SHARE'), featurestore._hold_staged(1::regclass);

-- locks
BEGIN;
SELECT featurestore._try_lock('source', mode) FROM unnest('{ACCESS SHARE,ROW SHARE,ROW EXCLUSIVE,SHARE UPDATE EXCLUSIVE,SHARE,SHARE ROW EXCLUSIVE,EXCLUSIVE,ACCESS EXCLUSIVE}'::text[]) AS mode;
SELECT mode FROM pg_locks WHERE relation = 'source'::regclass AND pid = pg_backend_pid() ORDER BY mode;
COMMIT;

--
-- Partitioned sources
--
CREATE TABLE parted (id int, kind text) PARTITION BY LIST (kind);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
CREATE TABLE parted_b PARTITION OF parted FOR VALUES IN ('b') PARTITION BY RANGE (id);
CREATE TABLE parted_b1 PARTITION OF parted_b FOR VALUES FROM (0) TO (10);
SELECT featurestore._capture_source('parted', '{id}');
SELECT * FROM triggers('parted');
-- later ones have the trigger for rows from the server
CREATE TABLE parted_b2 (kind text, id int);
ALTER TABLE parted_b ATTACH PARTITION parted_b2 FOR VALUES FROM (10) TO (20);
CREATE TABLE parted_c PARTITION OF parted FOR VALUES IN ('c');
ALTER TABLE parted_a DISABLE TRIGGER featurestore_capture;
SELECT featurestore._capture_source('parted', '{id}');
SELECT * FROM triggers('parted');
INSERT INTO parted VALUES (1, 'a'), (15, 'b');
TRUNCATE parted_a;
-- in parts
SELECT featurestore._capture_source('parted_b', '{id}');
\echo :SQLSTATE
SELECT featurestore._capture_source('parted_b2', '{id}');
\echo :SQLSTATE
CREATE TABLE other (id int, kind text) PARTITION BY LIST (kind);
CREATE TABLE other_a PARTITION OF other FOR VALUES IN ('a');
CREATE TABLE other_b PARTITION OF other FOR VALUES IN ('b');
SELECT featurestore._capture_source('other_a', '{id}');
SELECT * FROM triggers('other');
SELECT featurestore._capture_source('other', '{id}');
\echo :SQLSTATE
-- with partitions that cannot be captured
SELECT featurestore._release_source('other_a');
CREATE UNLOGGED TABLE other_u PARTITION OF other FOR VALUES IN ('u');
SELECT featurestore._capture_source('other', '{id}');
\echo :SQLSTATE
DROP TABLE other_u;
RESET ROLE;
CREATE FOREIGN DATA WRAPPER regress_far;
CREATE SERVER regress_far FOREIGN DATA WRAPPER regress_far;
CREATE FOREIGN TABLE staging.far PARTITION OF other FOR VALUES IN ('f') SERVER regress_far;
SELECT featurestore._capture_source('other', '{id}');
\echo :SQLSTATE
SET client_min_messages = warning;
DROP FOREIGN DATA WRAPPER regress_far CASCADE;
RESET client_min_messages;
ALTER TABLE other_b OWNER TO regress_heir;
SET ROLE regress_capturer;
SELECT featurestore._capture_source('other', '{id}');
\echo :SQLSTATE

--
-- Fingerprints
--
RESET ROLE;
CREATE FUNCTION fingerprint_changes(command text, source regclass DEFAULT to_regclass('print')) RETURNS TABLE(base boolean, children text)
	LANGUAGE plpgsql AS $$
DECLARE
	before jsonb := featurestore._fingerprint(source);
	after jsonb;
BEGIN
	EXECUTE command;
	after := featurestore._fingerprint(source);
	RETURN QUERY SELECT before->'base' <> after->'base', string_agg(
		CASE WHEN a.key IS NULL THEN '-' WHEN b.key IS NULL THEN '+' ELSE '' END || CASE WHEN coalesce(a.key, b.key)::oid::regclass::text ~ '^\d+$' THEN 'dropped' ELSE coalesce(a.key, b.key)::oid::regclass::text END, ' ' ORDER BY coalesce(a.key, b.key)::oid::regclass::text COLLATE "C")
	FROM jsonb_each_text(before->'children') b FULL JOIN jsonb_each_text(after->'children') a USING (key)
	WHERE a.value IS DISTINCT FROM b.value;
END $$;
SET ROLE regress_capturer;
CREATE TABLE print (id int NOT NULL, v int);
INSERT INTO print SELECT i, i FROM generate_series(1, 10) AS i;
SELECT featurestore._capture_source('print', NULL);
SELECT jsonb_typeof(featurestore._fingerprint('print')->'base') AS base, featurestore._fingerprint('print')->'children' AS children;
SELECT featurestore._fingerprint('print') AS print \gset
ANALYZE print;
VACUUM FULL print;
VACUUM FREEZE print;
CREATE UNIQUE INDEX print_id ON print (id);
CREATE INDEX CONCURRENTLY print_v ON print (v);
CLUSTER print USING print_id;
REINDEX TABLE print;
GRANT SELECT ON print TO regress_writer;
TRUNCATE print;
INSERT INTO print VALUES (1, 1);
CREATE TRIGGER other AFTER UPDATE ON print FOR EACH ROW WHEN (false) EXECUTE FUNCTION suppress_redundant_updates_trigger();
ALTER TABLE print RENAME TO printed;
ALTER TABLE printed RENAME TO print;
SELECT featurestore._fingerprint('print') = :'print' AS same;
SELECT base FROM fingerprint_changes('ALTER TABLE print ADD COLUMN w int');
SELECT base FROM fingerprint_changes('ALTER TABLE print DROP COLUMN w');
SELECT base FROM fingerprint_changes('ALTER TABLE print RENAME COLUMN v TO w');
SELECT base FROM fingerprint_changes('ALTER TABLE print ALTER COLUMN w TYPE int USING w + 1');
SELECT base FROM fingerprint_changes('ALTER TABLE print DISABLE TRIGGER ALL; ALTER TABLE print ENABLE ALWAYS TRIGGER featurestore_capture; ALTER TABLE print ENABLE ALWAYS TRIGGER featurestore_capture_truncate');
SELECT base FROM fingerprint_changes('ALTER TABLE print DISABLE TRIGGER featurestore_capture_truncate');
SELECT base FROM fingerprint_changes('SELECT featurestore._capture_source(''print'', NULL)');
SELECT base FROM fingerprint_changes('SELECT featurestore._capture_source(''print'', NULL)');
SELECT base FROM fingerprint_changes('ALTER TABLE print SET UNLOGGED');
SELECT base FROM fingerprint_changes('DROP TABLE print_changes');
RESET ROLE;
SELECT base FROM fingerprint_changes('ALTER TABLE print OWNER TO regress_heir');
SET ROLE regress_capturer;
SELECT * FROM fingerprint_changes('ANALYZE parted; CREATE INDEX ON parted (id); TRUNCATE parted_b; GRANT SELECT ON parted TO regress_writer', 'parted');
SELECT * FROM fingerprint_changes('CREATE TABLE parted_d PARTITION OF parted FOR VALUES IN (''d'')', 'parted');
SELECT * FROM fingerprint_changes('SELECT featurestore._capture_source(''parted'', NULL)', 'parted');
SELECT * FROM fingerprint_changes('ALTER TABLE parted DETACH PARTITION parted_d', 'parted');
SELECT * FROM fingerprint_changes('ALTER TABLE parted ATTACH PARTITION parted_d FOR VALUES IN (''d'')', 'parted');
SELECT * FROM fingerprint_changes('ALTER TABLE parted_b DETACH PARTITION parted_b1; ALTER TABLE parted_b ATTACH PARTITION parted_b1 FOR VALUES FROM (0) TO (10)', 'parted');
SELECT * FROM fingerprint_changes('ALTER TABLE parted_a DISABLE TRIGGER featurestore_capture', 'parted');
SELECT * FROM fingerprint_changes('DROP TABLE parted_d', 'parted');
SELECT base, children ~ '^parted_a parted_b parted_b1 parted_b2 parted_c$' AS all_children FROM fingerprint_changes('ALTER TABLE parted ADD COLUMN w int', 'parted');

--
-- What is dropped or changes hands
--
SELECT captured_source FROM captured;
-- a source
DROP TABLE taken, heir;
SELECT captured_source FROM captured;
SELECT to_regclass('taken_changes2'), to_regclass('heir_changes');
-- a staging table, or the partition that is written to
CREATE TABLE t (id int PRIMARY KEY, v int);
SELECT featurestore._capture_source('t', NULL);
DROP TABLE t_changes;
SELECT * FROM triggers('t');
SELECT featurestore._capture_source('t', NULL);
DROP TABLE t_changes_1;
SELECT current_relation FROM captured WHERE captured_source = 't'::regclass;
DROP TABLE t_changes_0;
SELECT * FROM triggers('t');
SELECT to_regclass('t_changes');
DROP TABLE parted_changes;
SELECT * FROM triggers('parted');
-- an online table
SELECT featurestore.publish_table('t', 'online', 'SNAPSHOT', wait => false);
SELECT featurestore.publish_table('t', 'online_too', 'SNAPSHOT', wait => false);
SELECT featurestore._captured_sources('online'), featurestore._consumers('t');
RESET ROLE;
UPDATE featurestore.publication SET publish_mode = 'TRIGGERED' WHERE relation IN ('online'::regclass, 'online_too'::regclass);
SET ROLE regress_capturer;
SELECT featurestore._captured_sources('online');
SELECT consumer FROM featurestore._consumers('t') AS consumer ORDER BY consumer::text;
SELECT featurestore._capture_source('t', NULL);
SELECT featurestore._release_source('t');
SELECT * FROM triggers('t');
DROP TABLE online;
SELECT * FROM triggers('t');
DROP TABLE online_too;
SELECT * FROM triggers('t');
SELECT to_regclass('t_changes');
-- features
CREATE TABLE event (user_id int, at timestamptz, n int);
SELECT featurestore.register_feature('events', 'event', '{user_id}', 'at', 'count');
SELECT featurestore.register_feature('n_sum', 'event', '{user_id}', 'at', 'sum', 'n');
SELECT featurestore.materialize_features('{events,n_sum}', 'users', wait => false);
RESET ROLE;
UPDATE featurestore.publication SET publish_mode = 'TRIGGERED' WHERE relation = 'users'::regclass;
SET ROLE regress_capturer;
SELECT featurestore._captured_sources('users'), featurestore._consumers('event');
SELECT featurestore._capture_source('event', NULL);
SET client_min_messages = warning;
DROP TABLE users CASCADE;
RESET client_min_messages;
SELECT * FROM triggers('event');
-- released without a publication; again; in a transaction that keeps its snapshot
SELECT featurestore._capture_source('event', NULL);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT featurestore._release_source('event');
COMMIT;
SELECT featurestore._release_source('event');
SELECT featurestore._release_source('event');
SELECT * FROM triggers('event');
-- what cannot be had stays
SELECT featurestore._capture_source('event', NULL);
CREATE VIEW on_changes AS SELECT _change_type FROM event_changes;
SELECT featurestore._release_source('event');
SELECT * FROM triggers('event');
SELECT captured_source FROM captured WHERE captured_source = 'event'::regclass;
INSERT INTO event VALUES (2, now(), 1);
DROP VIEW on_changes;
DROP TABLE event_changes;
SELECT featurestore._capture_source('event', NULL);
SELECT * FROM triggers('event');
-- an owner
RESET ROLE;
GRANT CREATE ON SCHEMA staging TO regress_heir;
ALTER TABLE event OWNER TO regress_heir;
SELECT * FROM members('event_changes');
ALTER TABLE event_changes OWNER TO regress_capturer;
ALTER TABLE event_changes_1 OWNER TO regress_capturer;
SELECT * FROM members('event_changes');
SET ROLE regress_heir;
INSERT INTO event VALUES (3, now(), 1);
-- the caller need not be the owner itself
RESET ROLE;
GRANT regress_heir TO regress_capturer;
SET ROLE regress_capturer;
SELECT featurestore._release_source('event');
SELECT featurestore._capture_source('event', NULL);
SELECT * FROM members('event_changes');
RESET ROLE;
REASSIGN OWNED BY regress_heir TO regress_capturer;
REVOKE regress_heir FROM regress_capturer;
SELECT * FROM members('event_changes');
SET ROLE regress_capturer;
SELECT featurestore._capture_source('event', NULL);
DROP TABLE event CASCADE;

--
-- Rotation.  A position sees transactions up to a number, and the rows have numbers of our choice.
--
SELECT featurestore.publish_table('t', 'first', wait => false);
SELECT featurestore.publish_table('t', 'second', wait => false);
SELECT featurestore._capture_source('t', NULL);
RESET ROLE;
UPDATE featurestore.publication SET publish_mode = 'TRIGGERED' WHERE relation = 'first'::regclass;
CREATE FUNCTION apply_to(online_table regclass, snapshot pg_snapshot, own_xid xid8 DEFAULT NULL, own_sequence bigint DEFAULT NULL) RETURNS void
	LANGUAGE sql SECURITY DEFINER AS $$
INSERT INTO featurestore.publication_position (relation, system_identifier, applied_to, synced_at, rows_changed, snapshot, own_xid, own_sequence)
SELECT online_table, system_identifier, now(), now(), 0, snapshot, own_xid, own_sequence FROM pg_control_system()
ON CONFLICT (relation) DO UPDATE SET snapshot = excluded.snapshot, own_xid = excluded.own_xid, own_sequence = excluded.own_sequence $$;
SET ROLE regress_capturer;
CREATE FUNCTION stage(xid xid8, sequence bigint DEFAULT 0) RETURNS void LANGUAGE sql AS $$
INSERT INTO t_changes (_change_type, _xid, _sequence, _partition) SELECT 'insert', xid, sequence, current_partition FROM featurestore.staging WHERE relation = 't_changes'::regclass $$;
CREATE VIEW state AS
	SELECT current_partition AS current, (SELECT string_agg(tableoid::regclass || ':' || xids, ' ' ORDER BY tableoid::regclass::text)
		FROM (SELECT tableoid, string_agg(_xid::text, ',' ORDER BY _xid) AS xids FROM t_changes GROUP BY 1) AS p) AS rows,
		(SELECT count(*) FROM pg_inherits WHERE inhparent = relation) AS partitions
	FROM featurestore.staging WHERE relation = 't_changes'::regclass;

-- nothing to do; small
SELECT apply_to('first', '100:100:');
SELECT featurestore._rotate('t_changes');
SELECT stage('90'), stage('99');
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
-- large: to the next; then what all have applied is truncated
SELECT featurestore._rotate('t_changes', 0);
SELECT * FROM state;
SELECT stage('101');
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
SELECT featurestore._rotate('t_changes', 0);
SELECT stage('102');
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
-- there is no empty one
SELECT featurestore._rotate('t_changes', 0);
SELECT * FROM state;
SELECT apply_to('first', '102:102:');
SELECT featurestore._rotate('t_changes', 0);
SELECT * FROM state;
SELECT apply_to('first', '103:103:');
SELECT featurestore._rotate('t_changes', 0);
SELECT * FROM state;
SELECT stage('103');
SELECT featurestore._rotate('t_changes', 0);
SELECT * FROM state;

-- two publications; one that has no position needs nothing
RESET ROLE;
UPDATE featurestore.publication SET publish_mode = 'TRIGGERED' WHERE relation = 'second'::regclass;
SET ROLE regress_capturer;
SELECT apply_to('first', '200:200:'), apply_to('second', '103:103:');
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
SELECT apply_to('second', NULL);
-- in a transaction that may yet roll back; one that keeps its snapshot does not look
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT featurestore._rotate('t_changes');
SELECT stage('103');
SELECT featurestore._rotate('t_changes', 0);
ROLLBACK;
BEGIN;
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
ROLLBACK;
SELECT * FROM state;
-- a position of another cluster
SELECT apply_to('second', '103:103:');
RESET ROLE;
UPDATE featurestore.publication_position SET system_identifier = 1 WHERE relation = 'second'::regclass;
-- one that is being filled
INSERT INTO featurestore.fill_position SELECT 'second'::regclass, system_identifier, '103:103:', NULL, NULL, '{}', '{}', 0 FROM pg_control_system();
SET ROLE regress_capturer;
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
RESET ROLE;
UPDATE featurestore.fill_position SET snapshot = '104:104:';
SET ROLE regress_capturer;
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
RESET ROLE;
DELETE FROM featurestore.fill_position;
DELETE FROM featurestore.publication_position WHERE relation = 'second'::regclass;
SET ROLE regress_capturer;

-- changes of the transaction of a sync itself: applied up to a number
SELECT stage('205', 7), stage('205', 9);
SELECT featurestore._rotate('t_changes', 0);
SELECT apply_to('first', '203:203:', '205', 8);
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
SELECT apply_to('first', '210:210:', '205', 8);
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
SELECT apply_to('first', '203:203:', '205', 9);
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
-- in progress when the snapshot was taken; without a number
SELECT stage('305');
SELECT stage(NULL);
SELECT featurestore._rotate('t_changes', 0);
SELECT apply_to('first', '305:310:305');
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
SELECT apply_to('first', '310:310:');
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
DELETE FROM t_changes WHERE _xid IS NULL;
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;

-- once a transaction
BEGIN;
SELECT stage('1');
SELECT featurestore._rotate('t_changes', 0);
SELECT stage('1');
SELECT featurestore._rotate('t_changes', 0);
SELECT featurestore._rotate('t_changes');
SELECT * FROM state;
ROLLBACK;
-- scans that are open in this session
SELECT stage('1');
SELECT featurestore._rotate('t_changes', 0);
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM t_changes;
SELECT stage('1');
SELECT featurestore._rotate('t_changes', 0);
COMMIT;
SELECT * FROM state;
-- a role that may not create tables any more, and then a default partition: deletes
RESET ROLE;
CREATE TABLE t_changes_default PARTITION OF t_changes DEFAULT;
ALTER TABLE t_changes_default OWNER TO regress_capturer;
SET ROLE regress_capturer;
SELECT featurestore._rotate('t_changes');
DELETE FROM t_changes;
SELECT stage('400') FROM generate_series(1, 3);
SELECT featurestore._rotate('t_changes', 0);
SELECT stage('1'), stage('400');
SELECT featurestore._rotate('t_changes', 0);
SELECT stage('1'), stage('400');
SELECT featurestore._rotate('t_changes', 0);
SELECT * FROM state;
SELECT apply_to('first', '500:500:');
SELECT featurestore._rotate('t_changes', 0);
SELECT * FROM state;
-- what is no staging table
SELECT featurestore._rotate('t', 0);
DROP TABLE first, second;
SELECT * FROM triggers('t');

--
-- Tables for external writers
--
CREATE TABLE stream (id int PRIMARY KEY, v text COLLATE "C" NOT NULL DEFAULT 'x', n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
SELECT featurestore.create_online_table('stream');
SELECT featurestore.create_staging_table('stream');
SELECT * FROM columns('stream_staging');
SELECT * FROM triggers('stream_staging');
SELECT * FROM members('stream_staging');
SELECT * FROM captured WHERE online_table IS NOT NULL;
SELECT featurestore.create_staging_table('stream');
GRANT INSERT ON stream_staging TO regress_writer;
SET ROLE regress_writer;
INSERT INTO stream_staging (id, v) VALUES (1, 'a');
COPY stream_staging (id, v, _change_type, _commit_timestamp, _xid, _sequence) FROM STDIN;
2	b	delete	2024-01-01 00:00:00+00	7	-7
\.
INSERT INTO stream_staging (id, _change_type) VALUES (3, NULL);
SELECT * FROM stream_staging;
SET ROLE regress_capturer;
SELECT id, v, n, _change_type, _commit_version, CASE WHEN _commit_timestamp < '2025-01-01' THEN _commit_timestamp END AS timestamp,
	_commit_timestamp IS NOT NULL AS has_timestamp, _xid > '7' AS has_xid, _sequence <> -7 AS has_sequence, _partition
FROM stream_staging ORDER BY id;
-- what is staged is needed until it is applied
SELECT featurestore._rotate('stream_staging', 0);
INSERT INTO stream_staging (id) VALUES (4);
SELECT featurestore._rotate('stream_staging');
SELECT tableoid::regclass, count(*) FROM stream_staging GROUP BY 1 ORDER BY 1;
SELECT apply_to('stream', NULL);
SELECT featurestore._rotate('stream_staging');
SELECT apply_to('stream', pg_current_snapshot());
SELECT featurestore._rotate('stream_staging');
SELECT tableoid::regclass, count(*) FROM stream_staging GROUP BY 1 ORDER BY 1;
-- renamed
ALTER TABLE stream_staging RENAME TO "Stream's";
INSERT INTO "Stream's" (id) VALUES (5);
RESET ROLE;
ALTER SCHEMA staging RENAME TO staged;
SET search_path = staged;
INSERT INTO "Stream's" (id) VALUES (6);
ALTER SCHEMA staged RENAME TO staging;
SET search_path = staging;
INSERT INTO "Stream's" (id) VALUES (7);
ALTER TABLE stream OWNER TO regress_heir;
SELECT * FROM members('"Stream''s"');
DROP TABLE stream;
SELECT to_regclass('"Stream''s"'), (SELECT count(*) FROM captured WHERE online_table IS NOT NULL) AS definitions;
SET ROLE regress_capturer;
-- any table with a unique key, that of partitions too
CREATE TABLE keyed (id int, v int, UNIQUE (id)) PARTITION BY LIST (id);
SELECT featurestore.create_staging_table('keyed');
DROP TABLE keyed_staging;
SELECT featurestore.create_staging_table('keyed');
-- errors
SELECT featurestore.create_staging_table(NULL);
\echo :SQLSTATE
SELECT featurestore.create_staging_table('captured');
\echo :SQLSTATE
CREATE TABLE keyless (id int);
CREATE UNIQUE INDEX ON keyless (id) WHERE id > 0;
CREATE UNIQUE INDEX ON keyless (abs(id));
SELECT featurestore.create_staging_table('keyless');
\echo :SQLSTATE
CREATE TABLE named_too (id int PRIMARY KEY, _partition int);
SELECT featurestore.create_staging_table('named_too');
\echo :SQLSTATE
SELECT featurestore.publish_table('t', 'published', wait => false);
SELECT featurestore.create_staging_table('published');
\echo :SQLSTATE
SET ROLE regress_heir;
SELECT featurestore.create_staging_table('keyed');
\echo :SQLSTATE

RESET ROLE;
SET client_min_messages = warning;
DROP TABLE before, temporary;
DROP SCHEMA staging CASCADE;
SELECT count(*) FROM featurestore.staging;
DROP ROLE regress_capturer, regress_heir, regress_writer;
