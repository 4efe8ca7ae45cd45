/*
 * The hints of where rows are: whatever happens to the rows they point to, a
 * lookup gives what a join gives.  Every check looks up all keys, some of them
 * missing, so that the next one finds hints for them.
 */
SET client_min_messages = warning;
CREATE SCHEMA row_cache;
SET search_path = row_cache;
CREATE TABLE t (k int PRIMARY KEY, v int, pad text) WITH (fillfactor = 50, autovacuum_enabled = off);
CREATE TABLE s (k text, n int, v int, PRIMARY KEY (k, n)) WITH (autovacuum_enabled = off);
INSERT INTO t SELECT i, i * 10, repeat('x', 100) FROM generate_series(1, 2000) AS i;
INSERT INTO s SELECT 'key ' || i / 2, i % 2, i FROM generate_series(1, 2000) AS i;
SELECT featurestore.create_feature_spec('one', ARRAY[featurestore.lookup('t', '{k}')]);
SELECT featurestore.create_feature_spec('two', ARRAY[featurestore.lookup('s', '{k,n}')]);

/* How many keys a lookup gets wrong. */
CREATE FUNCTION wrong() RETURNS bigint LANGUAGE sql AS $$
	SELECT (SELECT count(*)
			FROM one_batch(ARRAY(SELECT generate_series(-10, 2100))) AS f LEFT JOIN t USING (k)
			WHERE (f.v, f.pad) IS DISTINCT FROM (t.v, t.pad))
		+ (SELECT count(*)
		   FROM two_batch(ARRAY(SELECT 'key ' || i / 2 FROM generate_series(0, 2100) AS i),
						  ARRAY(SELECT i % 2 FROM generate_series(0, 2100) AS i)) AS f LEFT JOIN s USING (k, n)
		   WHERE f.v IS DISTINCT FROM s.v)
$$;
/* How often a lookup of 500 keys goes to the index. */
CREATE FUNCTION index_scans(spec text, index regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint;
BEGIN
	before := pg_stat_get_xact_numscans(index);
	EXECUTE format('SELECT FROM %I(ARRAY(SELECT generate_series(1, 500)))', spec || '_batch');
	RETURN pg_stat_get_xact_numscans(index) - before;
END
$$;

SELECT wrong();
SELECT wrong();
SELECT index_scans('one', 't_pkey') < 50 AS "few, when hints serve";

-- HOT updates, within the page; then so many that rows move
UPDATE t SET v = v + 1 WHERE k % 3 = 0;
SELECT wrong();
UPDATE t SET v = v + 1;
UPDATE t SET v = v + 1, pad = pad || 'y';
SELECT wrong();
-- keys change hands: the hinted row is another key's
UPDATE t SET k = -k WHERE k <= 10;
SELECT wrong();
UPDATE t SET k = k + 5000 WHERE k IN (20, 21);
UPDATE t SET k = 20 WHERE k = 5021;
UPDATE t SET k = 21 WHERE k = 5020;
SELECT wrong();
UPDATE s SET n = n + 10;
UPDATE s SET n = 1 - (n - 10);
SELECT wrong();
-- rows go, and their places are taken by others
DELETE FROM t WHERE k % 5 = 0;
DELETE FROM s WHERE v % 7 = 0;
SELECT wrong();
VACUUM t, s;
SELECT wrong();
INSERT INTO t SELECT i, -i, 'new' FROM generate_series(2001, 2090) AS i;
INSERT INTO t SELECT i, -i, 'again' FROM generate_series(5, 2000, 5) AS i ON CONFLICT DO NOTHING;
SELECT wrong();
-- the end of the table goes
DELETE FROM t WHERE ctid >= '(20,0)';
VACUUM (TRUNCATE) t;
SELECT wrong();
-- everything moves
VACUUM FULL t;
SELECT wrong();
CLUSTER s USING s_pkey;
SELECT wrong();
REINDEX TABLE t;
SELECT wrong();
TRUNCATE t;
SELECT wrong();
INSERT INTO t SELECT i, i * 3, 'back' FROM generate_series(1500, 1, -1) AS i;
SELECT wrong();
ALTER TABLE t ADD COLUMN late int DEFAULT 7;
SELECT wrong();
-- own changes, and their undoing
BEGIN;
UPDATE t SET v = 0;
SELECT wrong();
SAVEPOINT p;
DELETE FROM t;
SELECT wrong();
ROLLBACK TO p;
SELECT wrong();
ROLLBACK;
SELECT wrong();
-- transactions that must lock what is not there yet do not use hints
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT wrong();
SELECT index_scans('one', 't_pkey') AS "all, when serializable";
COMMIT;
-- a cache with no room
SET featurestore.row_cache_size = 0;
SELECT wrong();
SELECT index_scans('one', 't_pkey') AS "all, without a cache";
RESET featurestore.row_cache_size;

-- a cursor sees the rows of its snapshot, whatever the hints say
BEGIN;
DECLARE old CURSOR FOR SELECT k, v FROM one_batch(ARRAY(SELECT generate_series(1, 3)));
UPDATE t SET v = -1;
SELECT wrong();
FETCH ALL FROM old;
ROLLBACK;

-- at random, with a cache that must throw hints out
SET featurestore.row_cache_size = '16kB';
DO $$
DECLARE
	x int;
	failures int := 0;
BEGIN
	FOR round IN 1 .. 120 LOOP
		x := (random() * 2000)::int;
		CASE round % 6
			WHEN 0 THEN DELETE FROM t WHERE k BETWEEN x AND x + 50;
			WHEN 1 THEN INSERT INTO t SELECT i, round, 'r' || round FROM generate_series(x, x + 50) AS i ON CONFLICT DO NOTHING;
			WHEN 2 THEN UPDATE t SET v = v + round WHERE k BETWEEN x AND x + 100;
			WHEN 3 THEN UPDATE t SET k = k + 10000 * round WHERE k BETWEEN x AND x + 5;
			WHEN 4 THEN UPDATE s SET v = -v, n = 1 - n WHERE k = 'key ' || x / 2 AND n = 5;
			ELSE UPDATE s SET v = v + round WHERE v % 10 = round % 10;
		END CASE;
		IF wrong() > 0 THEN
			failures := failures + 1;
		END IF;
	END LOOP;
	RAISE WARNING 'wrong after % changes', failures;
END
$$;

-- nearly every key that was seen once has a hint, although the cache grew meanwhile
RESET featurestore.row_cache_size;
CREATE TABLE many (k int PRIMARY KEY, v int) WITH (autovacuum_enabled = off);
INSERT INTO many SELECT i, -i FROM generate_series(1, 60000) AS i;
SELECT featurestore.create_feature_spec('many_spec', ARRAY[featurestore.lookup('many', '{k}')]);
SELECT count(*) FROM many_spec_batch(ARRAY(SELECT generate_series(1, 60000)));
DO $$
DECLARE
	before bigint := pg_stat_get_xact_numscans('many_pkey'::regclass);
BEGIN
	IF (SELECT count(*) FROM many_spec_batch(ARRAY(SELECT generate_series(1, 60000))) WHERE v = -k) <> 60000 THEN
		RAISE WARNING 'wrong rows';
	END IF;
	IF pg_stat_get_xact_numscans('many_pkey'::regclass) - before > 600 THEN
		RAISE WARNING 'many keys have no hint: %', pg_stat_get_xact_numscans('many_pkey'::regclass) - before;
	END IF;
END
$$;

-- a new table gets its share of a cache that is full
SET featurestore.row_cache_size = '64kB';
SELECT wrong();
SELECT wrong();
CREATE TABLE u (k int PRIMARY KEY, v int);
INSERT INTO u SELECT i, i FROM generate_series(1, 500) AS i;
SELECT featurestore.create_feature_spec('three', ARRAY[featurestore.lookup('u', '{k}')]);
SELECT index_scans('three', 'u_pkey');
SELECT index_scans('three', 'u_pkey') < 50 AS "few, when hints serve";
SELECT wrong();

SET client_min_messages = error;
DROP SCHEMA row_cache CASCADE;
