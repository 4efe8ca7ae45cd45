--
-- Capture of changes: what the triggers stage, when it is written, and what
-- becomes of it when transactions and subtransactions end.
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_capturer;
CREATE ROLE regress_writer;
CREATE SCHEMA captured;
GRANT USAGE ON SCHEMA captured TO PUBLIC;
SET search_path = captured;
SET TimeZone = 'UTC';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

-- a staging table like the source, with two partitions, and the triggers
CREATE FUNCTION start_capture(source regclass, key_columns text[] DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	staging text := source || '_changes';
	columns text;
	part regclass;
BEGIN
	SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) INTO columns
	FROM pg_attribute WHERE attrelid = source AND attnum > 0 AND NOT attisdropped;
	EXECUTE format('CREATE TABLE %s (%s, _change_type text, _commit_version bigint, _commit_timestamp timestamptz,
		_sequence bigint, _xid xid8, _partition smallint) PARTITION BY LIST (_partition)', staging, columns);
	EXECUTE format('CREATE TABLE %1$s_1 PARTITION OF %1$s FOR VALUES IN (1)', staging);
	EXECUTE format('CREATE TABLE %1$s_2 PARTITION OF %1$s FOR VALUES IN (2)', staging);
	PERFORM featurestore._store_definition('staging', jsonb_build_object('relation', staging, 'captured_source', source,
		'key_columns', key_columns, 'current_partition', 1, 'current_relation', staging || '_1'));
	EXECUTE format('CREATE TRIGGER featurestore_capture AFTER INSERT OR UPDATE OR DELETE ON %s
		FOR EACH ROW EXECUTE FUNCTION featurestore._capture()', source);
	EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER featurestore_capture', source);
	FOR part IN SELECT relid FROM pg_partition_tree(source) UNION SELECT source LOOP
		EXECUTE format('CREATE TRIGGER featurestore_capture_truncate AFTER TRUNCATE ON %s
			FOR EACH STATEMENT EXECUTE FUNCTION featurestore._capture()', part);
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER featurestore_capture_truncate', part);
	END LOOP;
END
$$;
-- what is staged and written, in order; it is removed
CREATE FUNCTION changes(source regclass) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT _change_type || CASE WHEN _change_type LIKE ''truncate%%'' THEN '''' ELSE '' '' ||
		(to_jsonb(staged) - ''{_change_type,_commit_version,_commit_timestamp,_sequence,_xid,_partition}''::text[])::text END
		FROM %s_changes staged ORDER BY _sequence', source);
	EXECUTE format('DELETE FROM %s_changes', source);
END
$$;
CREATE FUNCTION written(source regclass, OUT count bigint) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT count(*) FROM %s_changes', source) INTO count;
END
$$;
-- whether each key's last change is its row, and the images before and after balance
CREATE FUNCTION is_faithful(source regclass, key text DEFAULT 'id') RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	result boolean;
BEGIN
	EXECUTE format('
		WITH image AS (
			SELECT _sequence, %2$I AS key, CASE WHEN _change_type IN (''insert'', ''update_postimage'') THEN 1 ELSE -1 END AS sign,
				to_jsonb(staged) - ''{_change_type,_commit_version,_commit_timestamp,_sequence,_xid,_partition}''::text[] AS row
			FROM %1$s_changes staged),
		last AS (SELECT DISTINCT ON (key) key, sign, row FROM image ORDER BY key, _sequence DESC),
		now AS (SELECT %2$I AS key, to_jsonb(source) AS row FROM %1$s source)
		SELECT NOT EXISTS (SELECT key, row FROM last WHERE sign = 1 EXCEPT SELECT key, row FROM now)
			AND NOT EXISTS (SELECT key, row FROM now EXCEPT SELECT key, row FROM last WHERE sign = 1)
			AND NOT EXISTS (SELECT key, row FROM (SELECT key, row, sign FROM image UNION ALL SELECT key, row, -1 FROM now) AS b
							GROUP BY key, row HAVING sum(sign) <> 0)', source, key) INTO result;
	RETURN result;
END
$$;

--
-- Statements
--
CREATE TABLE item (id int PRIMARY KEY, label text, price numeric(8,2), tags text[]);
SELECT start_capture('item');
INSERT INTO item VALUES (1, 'one', 1, '{a}'), (2, 'two', NULL, NULL);
UPDATE item SET price = 1.5 WHERE id = 1;
UPDATE item SET id = 3 WHERE id = 2;
DELETE FROM item WHERE id = 3;
SELECT changes('item');
-- nothing changes: the same bytes, though not written by the same statement
UPDATE item SET label = label, price = 1.50, tags = array_remove('{a,b}'::text[], 'b');
SELECT changes('item');
-- equal is not the same
ALTER TABLE item ALTER COLUMN price TYPE numeric;
ALTER TABLE item_changes ALTER COLUMN price TYPE numeric;
UPDATE item SET price = 1.500;
SELECT changes('item');
COPY item FROM stdin;
5	five	5	{}
6	\N	\N	\N
\.
SELECT changes('item');
INSERT INTO item VALUES (5, 'cinq', 5, NULL), (7, 'seven', 7, NULL)
	ON CONFLICT (id) DO UPDATE SET label = excluded.label WHERE item.label <> excluded.label;
INSERT INTO item VALUES (5, 'fünf') ON CONFLICT DO NOTHING;
SELECT changes('item');
MERGE INTO item USING (VALUES (5, 'fem'), (6, NULL), (8, 'eight')) AS n(id, label) ON n.id = item.id
	WHEN MATCHED AND n.label IS NULL THEN DELETE
	WHEN MATCHED THEN UPDATE SET label = n.label
	WHEN NOT MATCHED THEN INSERT VALUES (n.id, n.label, NULL, NULL);
SELECT changes('item');
WITH gone AS (DELETE FROM item WHERE id = 8 RETURNING *), new AS (INSERT INTO item VALUES (9, 'nine') RETURNING id)
UPDATE item SET label = 'uno' WHERE id = 1;
SELECT changes('item');
-- what says where and when
BEGIN;
INSERT INTO item VALUES (10, 'ten');
SELECT featurestore._flush_captured();
SELECT _commit_version, _commit_timestamp = now() AS at_start, _xid = pg_current_xact_id() AS of_this, _partition, tableoid::regclass,
	_sequence < featurestore._change_number() AS is_before FROM item_changes;
SAVEPOINT s;
UPDATE item SET label = 'zehn' WHERE id = 10;
SELECT featurestore._flush_captured();
SELECT _xid = pg_current_xact_id() AS of_this FROM item_changes ORDER BY _sequence;
ROLLBACK;
-- order, by number
INSERT INTO item SELECT i, i::text FROM generate_series(100, 109) AS i;
SELECT array_agg(id ORDER BY _sequence), count(DISTINCT _sequence) FROM item_changes;
TRUNCATE item; TRUNCATE item_changes;

--
-- Which updates have their old row
--
CREATE TABLE keyed (id int PRIMARY KEY, k text, v int);
SELECT start_capture('keyed', '{id,k,unknown}');
INSERT INTO keyed VALUES (1, 'a', 1);
UPDATE keyed SET v = 2;
UPDATE keyed SET k = 'b';
UPDATE keyed SET k = 'b', v = 2;
UPDATE keyed SET id = 2;
UPDATE keyed SET k = NULL;
DELETE FROM keyed;
SELECT changes('keyed');
-- widened
INSERT INTO keyed VALUES (1, 'a', 1);
SELECT featurestore._store_definition('staging', jsonb_build_object('relation', 'keyed_changes', 'captured_source', 'keyed',
	'key_columns', '{id,v}'::text[], 'current_partition', 1, 'current_relation', 'keyed_changes_1'));
UPDATE keyed SET v = 2;
UPDATE keyed SET k = 'c';
SELECT featurestore._store_definition('staging', jsonb_build_object('relation', 'keyed_changes', 'captured_source', 'keyed',
	'key_columns', '{}'::text[], 'current_partition', 1, 'current_relation', 'keyed_changes_1'));
UPDATE keyed SET v = 3;
SELECT changes('keyed');

--
-- Transactions and subtransactions
--
BEGIN;
INSERT INTO item VALUES (1, 'kept');
SAVEPOINT a;
INSERT INTO item VALUES (2, 'undone');
SAVEPOINT b;
INSERT INTO item VALUES (3, 'undone');
RELEASE b;
ROLLBACK TO a;
INSERT INTO item VALUES (4, 'kept');
SAVEPOINT c;
INSERT INTO item VALUES (5, 'kept');
SAVEPOINT d;
INSERT INTO item VALUES (6, 'undone');
ROLLBACK TO d;
RELEASE c;
INSERT INTO item VALUES (7, 'kept');
SELECT written('item');
COMMIT;
SELECT is_faithful('item');
SELECT changes('item');
BEGIN;
INSERT INTO item VALUES (8, 'undone');
SELECT featurestore._flush_captured();
INSERT INTO item VALUES (9, 'undone');
SELECT written('item');
ROLLBACK;
SELECT changes('item');
-- nothing survives into the next transaction
INSERT INTO item VALUES (8, 'kept');
SELECT changes('item');
SELECT featurestore._flush_captured();
-- a block that fails each other time
TRUNCATE item; TRUNCATE item_changes;
DO $$
BEGIN
	FOR i IN 1..6 LOOP
		BEGIN
			INSERT INTO item VALUES (i, 'block');
			PERFORM 1 / (i % 2);
		EXCEPTION WHEN division_by_zero THEN
			UPDATE item SET label = 'not ' || i WHERE id = 1;
		END;
	END LOOP;
END
$$;
SELECT is_faithful('item');
SELECT changes('item');
-- many such blocks, and more rows than are buffered
TRUNCATE item; TRUNCATE item_changes;
DO $$
BEGIN
	FOR i IN 1..5000 LOOP
		BEGIN
			INSERT INTO item VALUES (i, 'block');
			PERFORM 1 / (i % 7);
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END
$$;
SELECT is_faithful('item'), count(*), count(DISTINCT _sequence) = count(*) AS distinct_numbers FROM item_changes;
-- all of them undone but the first rows
TRUNCATE item; TRUNCATE item_changes;
DO $$
BEGIN
	INSERT INTO item SELECT n, 'first' FROM generate_series(1, 999) AS n;
	FOR i IN 1..20 LOOP
		BEGIN
			INSERT INTO item SELECT 10000 + n, 'block' FROM generate_series(1, 700) AS n;
			RAISE EXCEPTION 'undone';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
	END LOOP;
END
$$;
SELECT is_faithful('item'), count(*) FROM item_changes;
-- transactions of a procedure
TRUNCATE item; TRUNCATE item_changes;
CREATE PROCEDURE in_steps() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..4 LOOP
		INSERT INTO item VALUES (i, 'step');
		IF i = 3 THEN ROLLBACK; ELSE COMMIT; END IF;
	END LOOP;
END
$$;
CALL in_steps();
SELECT is_faithful('item');
SELECT changes('item');

-- More rows than are buffered, in parent and child
TRUNCATE item; TRUNCATE item_changes;
BEGIN;
INSERT INTO item SELECT i, 'parent' FROM generate_series(1, 1500) AS i;
SELECT written('item') > 0 AS some_are_written, written('item') < 1500 AS not_all;
SAVEPOINT child;
INSERT INTO item SELECT i, 'child' FROM generate_series(2001, 4500) AS i;
UPDATE item SET label = 'changed' WHERE id <= 1200;
ROLLBACK TO child;
INSERT INTO item VALUES (1501, 'parent');
COMMIT;
SELECT is_faithful('item'), count(*), count(DISTINCT _sequence) FROM item_changes;
TRUNCATE item; TRUNCATE item_changes;
BEGIN;
INSERT INTO item SELECT i, 'parent' FROM generate_series(1, 1500) AS i;
SAVEPOINT child;
INSERT INTO item SELECT i, 'child' FROM generate_series(2001, 4500) AS i;
SAVEPOINT grandchild;
DELETE FROM item WHERE id % 2 = 0;
RELEASE grandchild;
RELEASE child;
SAVEPOINT other;
UPDATE item SET label = 'changed' WHERE id < 200;
ROLLBACK TO other;
COMMIT;
SELECT is_faithful('item'), count(*), count(DISTINCT _sequence) FROM item_changes;

-- Written within a subtransaction that aborts, or commits: at each level
TRUNCATE item; TRUNCATE item_changes;
BEGIN;
INSERT INTO item VALUES (1, 'top');
SAVEPOINT a;
INSERT INTO item VALUES (2, 'a');
SAVEPOINT b;
INSERT INTO item VALUES (3, 'b');
SELECT featurestore._flush_captured();
SELECT written('item') AS three;
ROLLBACK TO b;
SELECT written('item') AS none;
SELECT featurestore._flush_captured();
SELECT written('item') AS two;
RELEASE b;
SELECT featurestore._flush_captured();
SELECT written('item') AS two;
ROLLBACK TO a;
SELECT written('item') AS none;
INSERT INTO item VALUES (4, 'a again');
SAVEPOINT c;
SELECT featurestore._flush_captured();
INSERT INTO item VALUES (5, 'c');
RELEASE c;
SELECT written('item') AS two;
SAVEPOINT d;
ROLLBACK TO d;
SELECT written('item') AS two;
ROLLBACK TO a;
SELECT written('item') AS none;
SAVEPOINT e;
SELECT featurestore._flush_captured();
RELEASE e;
RELEASE a;
SELECT written('item') AS one;
COMMIT;
SELECT is_faithful('item');
SELECT changes('item');

-- A transaction that changes two sources
BEGIN;
INSERT INTO keyed SELECT i, 'both', i FROM generate_series(10, 12) AS i;
INSERT INTO item VALUES (10, 'both');
UPDATE keyed SET v = 0 WHERE id = 10;
SAVEPOINT s;
DELETE FROM item;
DELETE FROM keyed;
ROLLBACK TO s;
COMMIT;
SELECT changes('item');
SELECT changes('keyed');

-- Changes made by deferred triggers, at commit
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE item SET label = label || '!' WHERE id = NEW.id AND label NOT LIKE '%!';
	RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER touch AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touch();
TRUNCATE item; TRUNCATE item_changes;
BEGIN;
INSERT INTO item VALUES (1, 'deferred');
COMMIT;
SELECT is_faithful('item');
SELECT changes('item');
DROP TRIGGER touch ON item;

--
-- Order of changes where triggers change the table again
--
-- the same row, by a trigger that runs before the one that captures
CREATE TRIGGER a_touch AFTER INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION touch();
TRUNCATE item; TRUNCATE item_changes;
INSERT INTO item VALUES (1, 'a'), (2, 'b');
SELECT is_faithful('item');
SELECT changes('item');
UPDATE item SET label = 'x' WHERE id = 1;
SELECT changes('item');
TRUNCATE item; TRUNCATE item_changes;
INSERT INTO item SELECT i, 'many' FROM generate_series(1, 3000) AS i;
SELECT is_faithful('item'), count(*), count(*) FILTER (WHERE _change_type LIKE 'truncate%') AS lost FROM item_changes;
DROP TRIGGER a_touch ON item;
-- another row of the statement, whose turn to be captured comes later
CREATE FUNCTION touch_next() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() = 1 THEN
		UPDATE item SET price = coalesce(price, 0) + 1 WHERE id = NEW.id + 1;
		DELETE FROM item WHERE id = NEW.id + 2 AND id % 5 = 0;
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER touch_next AFTER INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION touch_next();
TRUNCATE item; TRUNCATE item_changes;
INSERT INTO item SELECT i, 'row' FROM generate_series(1, 12) AS i;
UPDATE item SET label = 'changed';
SELECT is_faithful('item');
DROP TRIGGER touch_next ON item;
-- a row that is deleted comes back
CREATE FUNCTION restore() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO item VALUES (OLD.id, 'restored');
	RETURN NULL;
END
$$;
CREATE TRIGGER a_restore AFTER DELETE ON item FOR EACH ROW EXECUTE FUNCTION restore();
TRUNCATE item; TRUNCATE item_changes;
INSERT INTO item VALUES (1, 'a'), (2, 'b');
DELETE FROM item;
SELECT is_faithful('item');
SELECT changes('item');
DROP TRIGGER a_restore ON item;
-- a row makes room for another before it is inserted
CREATE FUNCTION make_room() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM item WHERE id = NEW.id;
	RETURN NEW;
END
$$;
CREATE TRIGGER make_room BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION make_room();
TRUNCATE item; TRUNCATE item_changes;
INSERT INTO item VALUES (1, 'a'), (2, 'b');
INSERT INTO item VALUES (2, 'c'), (3, 'd');
SELECT is_faithful('item');
SELECT changes('item');
DROP TRIGGER make_room ON item;
-- too late: what it should go before is written
CREATE FUNCTION touch_and_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE item SET label = 'later' WHERE id = NEW.id AND label <> 'later';
	PERFORM featurestore._flush_captured();
	RETURN NULL;
END
$$;
CREATE TRIGGER a_touch AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION touch_and_write();
TRUNCATE item; TRUNCATE item_changes;
INSERT INTO item VALUES (1, 'a');
SELECT changes('item');
DROP TRIGGER a_touch ON item;
-- foreign keys that cascade within the table
CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON UPDATE CASCADE ON DELETE CASCADE);
SELECT start_capture('tree');
INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 1);
UPDATE tree SET id = id + 10;
SELECT is_faithful('tree');
DELETE FROM tree WHERE id = 12;
SELECT is_faithful('tree'), count(*) FILTER (WHERE _change_type LIKE 'truncate%') AS lost FROM tree_changes;

--
-- Values out of line
--
CREATE TABLE big (id int PRIMARY KEY, body text, n int);
ALTER TABLE big ALTER COLUMN body SET STORAGE EXTERNAL;
SELECT start_capture('big');
CREATE VIEW big_staged AS SELECT _change_type, id, length(body), md5(body), n FROM big_changes ORDER BY _sequence;
INSERT INTO big VALUES (1, repeat('a', 10000), 1);
-- the value is the same one
UPDATE big SET n = 2;
UPDATE big SET n = 2;
-- an equal one
UPDATE big SET body = repeat('a', 5000) || repeat('a', 5000);
BEGIN;
UPDATE big SET body = repeat('b', 20000);
UPDATE big SET body = repeat('c', 30000);
DELETE FROM big;
COMMIT;
SELECT * FROM big_staged;
-- memory counts, too
TRUNCATE big_changes;
BEGIN;
INSERT INTO big SELECT i, repeat('x', 100000), i FROM generate_series(1, 30) AS i;
SELECT written('big') BETWEEN 10 AND 29 AS some_are_written;
COMMIT;
SELECT count(*), sum(length(body)) FROM big_changes;

--
-- Truncation and partitions
--
CREATE TABLE part (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_n PARTITION OF part FOR VALUES IN ('n');
-- other columns, in another order
CREATE TABLE part_s (junk int, v int, region text NOT NULL, more_junk text, id int NOT NULL);
ALTER TABLE part_s DROP COLUMN junk, DROP COLUMN more_junk;
ALTER TABLE part ATTACH PARTITION part_s FOR VALUES IN ('s');
CREATE TABLE part_o PARTITION OF part DEFAULT PARTITION BY RANGE (id);
CREATE TABLE part_o1 PARTITION OF part_o FOR VALUES FROM (0) TO (100);
SELECT start_capture('part');
INSERT INTO part VALUES (1, 'n', 1), (2, 's', 2), (3, 'x', 3);
INSERT INTO part_s (id, region, v) VALUES (4, 's', 4);
UPDATE part SET v = v + 10 WHERE id <= 3;
UPDATE part SET region = 's' WHERE id = 1;
UPDATE part SET region = 'y' WHERE id = 4;
DELETE FROM part WHERE id = 2;
SELECT changes('part');
-- a partition that comes later
CREATE TABLE part_w (v int, id int NOT NULL, region text NOT NULL);
ALTER TABLE part ATTACH PARTITION part_w FOR VALUES IN ('w');
INSERT INTO part VALUES (5, 'w', 5);
ALTER TABLE part DETACH PARTITION part_w;
INSERT INTO part_w VALUES (6, 6, 'w');
SELECT changes('part');
TRUNCATE part_o;
TRUNCATE part;
SELECT changes('part');
BEGIN;
INSERT INTO part VALUES (7, 'n', 7);
TRUNCATE part_n;
INSERT INTO part VALUES (7, 'n', 8);
ROLLBACK;
SELECT changes('part');
BEGIN;
INSERT INTO part VALUES (7, 'n', 7);
TRUNCATE part_n;
INSERT INTO part VALUES (7, 'n', 8);
COMMIT;
SELECT changes('part');

--
-- The partition that new rows go to
--
CREATE FUNCTION switch(staging text, source text, number int) RETURNS void LANGUAGE sql AS $$
SELECT featurestore._store_definition('staging', jsonb_build_object('relation', staging, 'captured_source', source,
	'current_partition', number, 'current_relation', staging || '_' || number))
$$;
TRUNCATE item; TRUNCATE item_changes;
INSERT INTO item VALUES (1, 'first');
BEGIN;
INSERT INTO item VALUES (2, 'first');
SELECT switch('item_changes', 'item', 2);
INSERT INTO item VALUES (3, 'second');
COMMIT;
INSERT INTO item VALUES (4, 'second');
BEGIN;
SELECT switch('item_changes', 'item', 1);
INSERT INTO item VALUES (5, 'undone');
ROLLBACK;
INSERT INTO item VALUES (6, 'second');
BEGIN;
SAVEPOINT s;
SELECT switch('item_changes', 'item', 1);
INSERT INTO item VALUES (7, 'undone');
ROLLBACK TO s;
INSERT INTO item VALUES (8, 'second');
COMMIT;
SELECT tableoid::regclass, _partition, id, label FROM item_changes ORDER BY _sequence;
-- further, emptied, gone
CREATE TABLE item_changes_3 PARTITION OF item_changes FOR VALUES IN (3);
SELECT switch('item_changes', 'item', 3);
TRUNCATE item_changes_1, item_changes_2;
INSERT INTO item VALUES (9, 'third');
SELECT tableoid::regclass, _partition, id, label FROM item_changes ORDER BY _sequence;
ALTER TABLE item_changes DETACH PARTITION item_changes_3;
SELECT refused('INSERT INTO item VALUES (10)');
SELECT switch('item_changes', 'item', 1);
INSERT INTO item VALUES (11, 'first');
SELECT tableoid::regclass, _partition, id, label FROM item_changes ORDER BY _sequence;
DROP TABLE item_changes_3;
SELECT refused('SELECT featurestore._current_partition(''item'')');
SELECT featurestore._current_partition('item_changes');
SELECT switch('item_changes', 'item', 2);
SELECT featurestore._current_partition('item_changes');
-- an index would not be maintained
CREATE INDEX item_index ON item_changes_2 (id);
SELECT refused('INSERT INTO item VALUES (12); SELECT featurestore._flush_captured()');
DROP INDEX item_index;
INSERT INTO item VALUES (12, 'second');
SELECT tableoid::regclass, id FROM item_changes ORDER BY _sequence DESC LIMIT 1;

--
-- Columns come and go
--
CREATE TABLE shape (id int PRIMARY KEY, a int, b text, c numeric GENERATED ALWAYS AS (a * 2) STORED);
SELECT start_capture('shape');
INSERT INTO shape VALUES (1, 1, 'b');
UPDATE shape SET a = 2;
-- not staged
ALTER TABLE shape ADD COLUMN d int DEFAULT 7;
UPDATE shape SET d = 8;
UPDATE shape SET a = 3;
SELECT changes('shape');
-- staged from now on, with the value that rows had all along
ALTER TABLE shape ADD COLUMN e text DEFAULT 'e';
ALTER TABLE shape_changes ADD COLUMN d int, ADD COLUMN e text;
UPDATE shape SET b = 'c';
UPDATE shape SET d = 9;
SELECT changes('shape');
ALTER TABLE shape DROP COLUMN b;
UPDATE shape SET a = 4;
ALTER TABLE shape ALTER COLUMN d TYPE text;
UPDATE shape SET a = 5;
SELECT changes('shape');
ALTER TABLE shape RENAME COLUMN e TO f;
UPDATE shape SET a = 6;
ALTER TABLE shape_changes DROP COLUMN b, DROP COLUMN d;
UPDATE shape SET a = 7;
ALTER TABLE shape RENAME TO form;
DELETE FROM form;
ALTER TABLE form RENAME TO shape;
SELECT changes('shape');
-- in the transaction of a change
BEGIN;
INSERT INTO shape VALUES (1, 1);
ALTER TABLE shape_changes ADD COLUMN b text;
ALTER TABLE shape ADD COLUMN b text DEFAULT 'new';
INSERT INTO shape VALUES (2, 2);
COMMIT;
SELECT changes('shape');
BEGIN;
INSERT INTO shape VALUES (3, 1);
ALTER TABLE shape_changes ALTER COLUMN a TYPE text;
COMMIT;
SELECT changes('shape');

--
-- Who may write
--
SET ROLE regress_writer;
SELECT refused('INSERT INTO item VALUES (20)');
RESET ROLE;
GRANT SELECT, INSERT ON item TO regress_writer;
TRUNCATE item; TRUNCATE item_changes;
SET ROLE regress_writer;
INSERT INTO item VALUES (20, 'by a writer');
SELECT refused('SELECT * FROM item_changes');
RESET ROLE;
SELECT changes('item');
-- staging tables follow what changes hands, unless nothing tells them
ALTER EVENT TRIGGER featurestore_follow_altered DISABLE;
ALTER TABLE item OWNER TO regress_capturer;
SELECT refused('INSERT INTO item VALUES (21)');
ALTER TABLE item_changes OWNER TO regress_capturer;
ALTER EVENT TRIGGER featurestore_follow_altered ENABLE;
INSERT INTO item VALUES (21, 'of its owner');
SELECT changes('item');
SET session_replication_role = replica;
INSERT INTO item VALUES (22, 'replicated');
TRUNCATE item;
RESET session_replication_role;
SELECT changes('item');

--
-- Not captured
--
BEGIN;
SELECT featurestore._remove_definition('staging', 'item_changes');
INSERT INTO item VALUES (23, 'not captured');
ROLLBACK;
INSERT INTO item VALUES (24, 'captured');
SELECT changes('item');
-- what is staged goes with the table
BEGIN;
INSERT INTO item VALUES (25, 'of no use');
SAVEPOINT s;
DROP TABLE item_changes;
DELETE FROM featurestore.staging WHERE captured_source = 'item'::regclass;
INSERT INTO item VALUES (26, 'not captured');
SELECT featurestore._flush_captured();
ROLLBACK TO s;
COMMIT;
SELECT changes('item');
BEGIN;
INSERT INTO item VALUES (27, 'of no use');
DELETE FROM featurestore.staging WHERE captured_source = 'item'::regclass;
DROP TABLE item_changes;
COMMIT;
INSERT INTO item VALUES (28, 'not captured');
TRUNCATE item;
-- from now on, for a session that knows it was not
SELECT featurestore._remove_definition('staging', 'keyed_changes');
INSERT INTO keyed VALUES (30);
DROP TRIGGER featurestore_capture ON keyed;
DROP TABLE keyed_changes;
DROP TRIGGER featurestore_capture_truncate ON keyed;
SELECT start_capture('keyed');
INSERT INTO keyed VALUES (31);
SELECT changes('keyed');

--
-- Not as it should be used
--
SELECT refused('SELECT featurestore._capture()');
SELECT refused('SELECT featurestore._stamp()');
CREATE TABLE plain (id int, _xid text);
CREATE TRIGGER wrong BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION featurestore._capture();
SELECT refused('INSERT INTO plain VALUES (1)');
DROP TRIGGER wrong ON plain;
CREATE TRIGGER wrong AFTER INSERT ON plain FOR EACH STATEMENT EXECUTE FUNCTION featurestore._capture();
SELECT refused('INSERT INTO plain VALUES (1)');
DROP TRIGGER wrong ON plain;
CREATE TRIGGER wrong BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION featurestore._stamp();
SELECT refused('INSERT INTO plain VALUES (1)');
DROP TRIGGER wrong ON plain;
CREATE TRIGGER wrong AFTER INSERT ON plain FOR EACH ROW EXECUTE FUNCTION featurestore._stamp();
SELECT refused('INSERT INTO plain VALUES (1)');

--
-- Rows of external writers
--
CREATE TABLE external (id int, _change_type text, _commit_version bigint, _commit_timestamp timestamptz,
	_sequence bigint, _xid xid8, _partition smallint) PARTITION BY LIST (_partition);
CREATE TABLE external_1 PARTITION OF external FOR VALUES IN (1);
CREATE TABLE external_2 (_partition smallint, junk int, _xid xid8, _sequence bigint, _commit_timestamp timestamptz,
	_commit_version bigint, _change_type text, id int);
ALTER TABLE external_2 DROP COLUMN junk;
ALTER TABLE external ATTACH PARTITION external_2 FOR VALUES IN (2);
INSERT INTO featurestore.staging SELECT 'external', NULL, 'plain', NULL, 1, 'external_1', system_identifier FROM pg_control_system();
CREATE TRIGGER featurestore_stamp BEFORE INSERT ON external FOR EACH ROW EXECUTE FUNCTION featurestore._stamp();
ALTER TABLE external ALTER COLUMN _partition SET DEFAULT featurestore._current_partition('external');
GRANT INSERT ON external TO regress_writer;
SET ROLE regress_writer;
INSERT INTO external (id) VALUES (1);
INSERT INTO external VALUES (2, 'delete', 17, '2024-01-01', -1, '5', 2);
RESET ROLE;
SELECT featurestore._store_definition('staging', jsonb_build_object('relation', 'external', 'online_table', 'plain',
	'current_partition', 2, 'current_relation', 'external_2'));
INSERT INTO external (id, _change_type) SELECT i, 'update_postimage' FROM generate_series(3, 4) AS i;
SELECT tableoid::regclass, id, _change_type, _commit_version, _commit_timestamp = '2024-01-01' AS given,
	_sequence > 0 AS numbered, _xid::text::bigint > 5 AS stamped, _partition
FROM external ORDER BY _sequence;
BEGIN;
INSERT INTO external (id) VALUES (5);
SELECT _xid = pg_current_xact_id() AS of_this, _commit_timestamp = now() AS at_start FROM external WHERE id = 5;
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA captured CASCADE;
DELETE FROM featurestore.staging;
DROP ROLE regress_capturer, regress_writer;
