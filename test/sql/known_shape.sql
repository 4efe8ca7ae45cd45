-- What a session knows of the shape of sources from its last run: whatever is
-- altered since, the next run notices.
CREATE SCHEMA shape;
SET search_path = shape;
SET client_min_messages = warning;
CREATE TABLE source (id int PRIMARY KEY, v int, note text, at timestamptz DEFAULT '2024-01-01 00:00Z');
INSERT INTO source SELECT i, i, 'n' || i FROM generate_series(1, 20) AS i;
SELECT featurestore.publish_table('source', 'online', features => '{v,note}');
SELECT featurestore.register_feature('total', 'source', '{id}', 'at', 'sum', 'v', featurestore.lifetime_window());
SELECT featurestore.materialize_features('{total}', 'sums', publish_mode => 'TRIGGERED');

\set differs 'SELECT count(*) AS differ FROM ((SELECT id, v, note FROM source EXCEPT SELECT id, v, note FROM online) UNION ALL (SELECT id, v, note FROM online EXCEPT SELECT id, v, note FROM source) UNION ALL (SELECT id, v, \'\' FROM source EXCEPT SELECT id, total, \'\' FROM sums_values)) AS d'
-- changes, two runs, after which the session knows all it needs, then a statement that alters something, and a run
\set warm 'UPDATE source SET v = v + 1 WHERE id % 3 = 0; CALL featurestore.sync(\'online\'); CALL featurestore.sync(\'sums\'); UPDATE source SET v = v + 1 WHERE id % 5 = 0; CALL featurestore.sync(\'online\'); CALL featurestore.sync(\'sums\')'
\set check 'CALL featurestore.sync(\'online\'); CALL featurestore.sync(\'sums\'); '

:warm;
:check :differs;

-- triggers that are off for a while
:warm;
BEGIN; ALTER TABLE source DISABLE TRIGGER USER; UPDATE source SET v = 100 WHERE id = 1; ALTER TABLE source ENABLE TRIGGER USER; COMMIT;
:check :differs;
:warm;
BEGIN; ALTER TABLE source DISABLE TRIGGER featurestore_capture; UPDATE source SET v = 101 WHERE id = 1; ALTER TABLE source ENABLE ALWAYS TRIGGER featurestore_capture; COMMIT;
:check :differs;
-- and stay so
:warm;
ALTER TABLE source DISABLE TRIGGER USER;
UPDATE source SET v = 102 WHERE id = 1;
:check :differs;

-- columns
:warm;
ALTER TABLE source ALTER COLUMN note TYPE text USING upper(note);
:check :differs;
:warm;
ALTER TABLE source ADD COLUMN more int;
:check :differs;
:warm;
ALTER TABLE source DROP COLUMN more;
:check :differs;
:warm;
ALTER TABLE source RENAME TO renamed;
ALTER TABLE renamed RENAME TO source;
:check :differs;

-- the staging table
:warm;
ALTER TABLE source_changes RENAME TO moved;
UPDATE source SET v = 103 WHERE id = 2;
:check :differs;
:warm;
DROP TABLE moved CASCADE;
:check :differs;

-- what is undone leaves nothing behind
:warm;
BEGIN;
ALTER TABLE source DISABLE TRIGGER USER;
UPDATE source SET v = 104 WHERE id = 3;
ALTER TABLE source ENABLE TRIGGER USER;
CALL featurestore.sync('online');
SELECT v FROM online WHERE id = 3;
ROLLBACK;
:check :differs;

-- children, which are altered one by one
\set VERBOSITY terse
:warm;
CREATE TABLE child () INHERITS (source);
INSERT INTO child VALUES (50, 1, 'child');
CALL featurestore.sync('online');
DROP TABLE child;
:check :differs;

-- a filter
:warm;
SELECT featurestore.alter_publication('online', filter => 'v < 1000');
UPDATE source SET v = 2000 WHERE id = 4;
CALL featurestore.sync('online');
SELECT count(*) FROM online WHERE id = 4;

DROP SCHEMA shape CASCADE;
