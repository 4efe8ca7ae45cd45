/*
 * A lookup alone in FROM is a scan of its own; it gives what the function scan
 * gives, wherever it stands.
 */
SET client_min_messages = warning;
CREATE SCHEMA lookup_scan;
SET search_path = lookup_scan;
CREATE TABLE u (uid int PRIMARY KEY, a int, b text, c numeric(8, 2), seller int) WITH (autovacuum_enabled = off);
CREATE TABLE s (seller int PRIMARY KEY, rating float8, tags text[]) WITH (autovacuum_enabled = off);
CREATE TABLE i (iid bigint, ts timestamptz, x int, y text, PRIMARY KEY (iid, ts)) WITH (autovacuum_enabled = off);
CREATE TABLE part (pid int PRIMARY KEY, p int) PARTITION BY HASH (pid);
CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE part_1 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO u SELECT n, n * 10, 'user ' || n, n / 7.0, n % 20 FROM generate_series(1, 1000) AS n;
UPDATE u SET b = NULL, a = NULL WHERE uid % 50 = 0;
UPDATE u SET b = repeat(md5(uid::text), 200) WHERE uid % 99 = 0;
INSERT INTO s SELECT n, n / 3.0, ARRAY['a', n::text] FROM generate_series(1, 20) AS n;
INSERT INTO i SELECT n, '2026-01-01'::timestamptz + k * '1 day'::interval, n * k, 'item ' || n FROM generate_series(1, 200) AS n, generate_series(1, 3) AS k;
INSERT INTO part SELECT n, n * 5 FROM generate_series(1, 500) AS n;
ANALYZE u, s, i, part;

SELECT featurestore.create_feature_spec('f', ARRAY[
	featurestore.lookup('u', '{uid}', default_values => '{"a": -1}'),
	featurestore.lookup('s', '{seller}'),
	featurestore.lookup('i', '{iid}'),
	featurestore.request_field('r', 'int'),
	featurestore.expression('rating * x', 'score'),
	featurestore.expression('1000 / r', 'risky')], with_status => true);
SELECT featurestore.create_feature_spec('g', ARRAY[featurestore.lookup('u', '{uid}', '{a,c}'), featurestore.lookup('part', '{pid}')]);

-- how many rows two queries do not share, of how many; the second has a function scan
CREATE FUNCTION image(query text) RETURNS TABLE(n bigint, image bytea) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT row_number() OVER (), record_send(q) FROM (%s) AS q', query);
END
$$;
CREATE FUNCTION is_scan(query text, OUT is_scan boolean) LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	is_scan := false;
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		is_scan := is_scan OR line ~ 'FeatureLookup';
	END LOOP;
END
$$;
CREATE FUNCTION differ(query text, OUT scan text, OUT rows bigint, OUT wrong bigint) LANGUAGE plpgsql AS $$
DECLARE
	images bytea[];
BEGIN
	scan := CASE WHEN is_scan(query) THEN 'scan' ELSE 'function' END;
	images := ARRAY(SELECT image FROM image(query) ORDER BY n);
	SET LOCAL featurestore.enable_lookup_join = off;
	IF images <> ARRAY(SELECT image FROM image(query) ORDER BY n) THEN
		RAISE 'one request after the other gives other rows: %', query;
	END IF;
	SET LOCAL featurestore.enable_lookup_scan = off;
	IF is_scan(query) THEN
		RAISE 'not a function scan: %', query;
	END IF;
	SELECT count(*), count(*) FILTER (WHERE o.image IS DISTINCT FROM images[o.n]) INTO rows, wrong FROM image(query) AS o;
	wrong := wrong + abs(rows - cardinality(images));
	SET LOCAL featurestore.enable_lookup_scan = on;
	SET LOCAL featurestore.enable_lookup_join = on;
END
$$;

CREATE TABLE request AS SELECT n, n * 3 % 1100 AS uid, n * 7 % 210 AS iid, CASE WHEN n % 10 <> 0 THEN n % 5 + 1 END AS r FROM generate_series(1, 3000) AS n;
UPDATE request SET uid = NULL WHERE n % 31 = 0;
ANALYZE request;
CREATE VIEW v AS SELECT request.n, f.a, f.score, f AS whole FROM request, LATERAL f(uid, iid, r) AS f;
CREATE VIEW invoker WITH (security_invoker = on) AS SELECT * FROM g(3, 4);
CREATE VIEW barrier WITH (security_barrier = on) AS SELECT * FROM f_batch('{1,2,3}', '{4}', '{1}');

\pset format unaligned
SELECT n, q AS query, d.* FROM (VALUES
	(1, $$ SELECT * FROM f(1, 2, 3) $$),
	(2, $$ SELECT * FROM f(1, 2, 3, '2026-01-02 12:00+0') $$),
	(3, $$ SELECT * FROM featurestore.feature_lookup(NULL::f, ARRAY(SELECT uid FROM request ORDER BY n), ARRAY(SELECT iid FROM request ORDER BY n), 5) $$),
	(4, $$ SELECT * FROM featurestore.feature_lookup(NULL::f, '{1,2,NULL,4000}'::int[], 3, '{2,3,4,NULL}'::int[]) $$),
	(5, $$ SELECT * FROM f_batch('{}', '{}', '{}') $$),
	(6, $$ SELECT a, score_status FROM f_batch('{1,2,3000}', '{4}', '{1}') WHERE uid > 1 $$),
	(7, $$ SELECT count(*) FROM f_batch('{1,2,3000}', '{4}', '{1}') $$),
	(8, $$ SELECT f FROM f_batch('{1,2,99,3000}', '{4}', '{1}') AS f $$),
	(9, $$ SELECT f, f.a, (f).b, f.b || 'x' FROM f_batch('{1,2,99,3000}', '{4}', '{1}') AS f $$),
	(10, $$ SELECT row_to_json(f) FROM f_batch('{1,2,99,3000}', '{4}', '{1}') AS f $$),
	(11, $$ SELECT * FROM f_batch('{1,2,3000}', '{4}', '{1}') WITH ORDINALITY $$),
	(12, $$ SELECT * FROM ROWS FROM (f_batch('{1,2,3000}', '{4}', '{1}'), generate_series(1, 4)) $$),
	(13, $$ SELECT f_batch('{1,2,3000}', '{4}', '{1}') $$),
	(14, $$ SELECT (f(1, 2, 3)).a $$),
	(15, $$ SELECT * FROM request, LATERAL f(uid, iid, r) $$),
	(16, $$ SELECT request.n, f.b FROM request, LATERAL f(uid, iid, r) AS f WHERE f.x > 100 $$),
	(17, $$ SELECT request.n, f.b FROM request LEFT JOIN LATERAL f(uid, iid, r) AS f ON f.a > 5000 $$),
	(18, $$ SELECT sum(f.a), count(f) FROM request, LATERAL f(uid, iid, r) AS f $$),
	(19, $$ SELECT o.n, f.* FROM request AS o, LATERAL f_batch(ARRAY[o.uid, o.uid + 1], ARRAY[o.iid], ARRAY[o.r]) AS f WHERE o.n < 300 $$),
	(20, $$ SELECT o.n, f.a FROM request AS o JOIN featurestore.feature_lookup(NULL::f, ARRAY(SELECT generate_series(1, 50)), 1, 2) AS f ON f.uid > o.n WHERE o.n < 40 ORDER BY o.n, f.uid $$),
	(21, $$ SELECT n, (SELECT f.b FROM f(uid, iid, r) AS f) FROM request $$),
	(22, $$ SELECT n FROM request WHERE EXISTS (SELECT FROM f(uid, iid, r) AS f WHERE f.a > 1000) $$),
	(23, $$ SELECT n, f.a FROM request, LATERAL featurestore.feature_lookup(NULL::f, (SELECT max(uid) FROM u WHERE u.uid <= request.uid), iid, r) AS f WHERE n < 100 $$),
	(24, $$ SELECT * FROM v $$),
	(25, $$ SELECT n, a FROM v WHERE n % 7 = 0 ORDER BY n DESC LIMIT 20 $$),
	(26, $$ SELECT * FROM invoker $$),
	(27, $$ SELECT b, x FROM barrier WHERE a > 10 $$),
	(28, $$ SELECT * FROM f(1, 2, 3) UNION ALL SELECT * FROM f(2, 3, 4) UNION ALL SELECT * FROM f(3000, 4000, NULL) $$),
	(29, $$ SELECT 1 AS one, a FROM f(1, 2, 3) UNION ALL SELECT 2, c::int FROM g(1, 2) $$),
	(30, $$ WITH q AS MATERIALIZED (SELECT * FROM f_batch('{1,2,3}', '{4}', '{1}')) SELECT * FROM q AS x, q AS y $$),
	(31, $$ SELECT DISTINCT seller, count(*) OVER (PARTITION BY seller) FROM featurestore.feature_lookup(NULL::f, ARRAY(SELECT generate_series(1, 100)), 1, 2) $$),
	(32, $$ SELECT x.a, y.b FROM f(1, 2, 3) AS x, f(2, 3, 4) AS y $$),
	(33, $$ SELECT x.a, y.p FROM request, LATERAL f(uid, iid, r) AS x, LATERAL g(x.seller, x.a) AS y WHERE n < 200 $$),
	(34, $$ SELECT * FROM featurestore.feature_lookup(NULL::g, ARRAY(SELECT generate_series(1, 600)), ARRAY(SELECT generate_series(600, 1, -1))) $$),
	(35, $$ SELECT p FROM request, LATERAL g(1, n) WHERE n < 60 $$),
	(36, $$ SELECT * FROM g_vectors('{1,2,3000}', '{4}') $$),
	(37, $$ SELECT n, w FROM request, LATERAL g_vectors(ARRAY[uid], ARRAY[n]) AS w WHERE n < 100 $$),
	(38, $$ SELECT w FROM g_vectors('{1,2,3000}', '{4}') AS w $$),
	(39, $$ SELECT count(*) FROM g_vectors('{1,2,3000}', '{4}') $$),
	(40, $$ SELECT * FROM featurestore.feature_lookup(NULL::g, '7', 8::bigint) $$),
	(41, $$ SELECT n, f.a FROM request LEFT JOIN (SELECT uid + 1 AS k FROM u WHERE uid < 500) AS o ON o.k = request.uid, LATERAL f(o.k, iid, r) AS f WHERE n < 300 $$),
	(42, $$ SELECT a, a, b, a FROM f_batch('{3,1,2}', '{4}', '{1}') ORDER BY b, a $$),
	(43, $$ SELECT * FROM f_batch(ARRAY(SELECT generate_series(1, 30)), '{4}', '{1}') $$),
	(44, $$ SELECT y FROM f(1, 2, 3, 'infinity') UNION ALL SELECT y FROM f(1, 2, 3, '-infinity') $$)
) AS queries(n, q), LATERAL differ(q) AS d ORDER BY n;
-- arguments that change from call to call are evaluated once a call, as the function's
SELECT is_scan($$ SELECT * FROM f((random() * 10)::int, 1, 1) $$);

-- only what is referred to is computed and probed
SELECT a, score FROM f(1, 2, 0);
SELECT risky FROM f(1, 2, 0);
SELECT count(*) FROM f(1, 2, 0);
CREATE FUNCTION probed(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
		CONTINUE WHEN line !~ 'Lookup|Spec';
		-- 18 tells averages from numbers
		RETURN NEXT regexp_replace(regexp_replace(ltrim(line), '^->  ', ''), 'rows=(\d+)(\.00)?', 'rows=\1');
	END LOOP;
END
$$;
SELECT * FROM probed('SELECT * FROM f_batch(''{1,2,3000}'', ''{4}'', ''{1}'')');
SELECT * FROM probed('SELECT a FROM f_batch(''{1,2,3000}'', ''{4}'', ''{1}'')');
SELECT * FROM probed('SELECT rating FROM f_batch(''{1,2,3000}'', ''{4}'', ''{1}'')');
SELECT * FROM probed('SELECT r FROM f_batch(''{1,2,3000}'', ''{4}'', ''{1}'')');
SELECT * FROM probed('SELECT * FROM g_batch(''{1,2,3000}'', ''{4}'')');
SELECT * FROM probed('SELECT b FROM (SELECT * FROM request LIMIT 50) AS o, LATERAL f(uid, iid, r)');
SET featurestore.enable_lookup_join = off;
SELECT * FROM probed('SELECT b FROM (SELECT * FROM request LIMIT 50) AS o, LATERAL f(uid, iid, r)');
RESET featurestore.enable_lookup_join;
EXPLAIN (COSTS OFF) SELECT * FROM f(1, 2, 3);
CREATE FUNCTION yaml(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan text;
BEGIN
	EXECUTE 'EXPLAIN (COSTS OFF, FORMAT YAML) ' || query INTO plan;
	RETURN substring(plan FROM 'Feature Spec.*');
END
$$;
SELECT yaml('SELECT * FROM g(1, 2)');
BEGIN;
SET LOCAL featurestore.enable_direct_lookup = off;
EXPLAIN (COSTS OFF) SELECT a FROM f(1, 2, 3);
ROLLBACK;
\pset format aligned

-- prepared: generic plans, and their end
SET plan_cache_mode = force_generic_plan;
PREPARE p(int, bigint) AS SELECT uid, iid, a, x FROM f($1, $2, 3);
EXECUTE p(1, 2);
EXECUTE p(2, 3);
SELECT generic_plans > 1 AS generic FROM pg_prepared_statements WHERE name = 'p';
DROP VIEW v, barrier;
BEGIN;
ALTER TABLE u RENAME a TO a2;
EXECUTE p(1, 2);
ROLLBACK;
SELECT featurestore.create_feature_spec('f', ARRAY[
	featurestore.lookup('u', '{uid}', rename_outputs => '{"c": "a", "a": "c"}'), featurestore.lookup('i', '{iid}'),
	featurestore.request_field('r', 'int')], replace => true);
EXECUTE p(1, 2);
PREPARE q AS SELECT uid, x FROM f(5, 6, 3);
EXECUTE q;
SELECT featurestore.create_feature_spec('f', ARRAY[
	featurestore.lookup('u', '{uid}', '{b,c}'), featurestore.lookup('i', '{iid}', '{x}'), featurestore.request_field('r', 'int')], replace => true);
EXECUTE q;
EXECUTE p(1, 2);
SELECT featurestore.drop_feature_spec('f');
EXECUTE q;
DEALLOCATE ALL;
RESET plan_cache_mode;

-- cursors
SELECT featurestore.create_feature_spec('f', ARRAY[featurestore.lookup('u', '{uid}', '{a}'), featurestore.expression('a + 1', 'e')]);
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT * FROM f_batch('{1,2,3,4,5}');
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
UPDATE u SET a = 0;
FETCH ABSOLUTE 5 FROM c;
MOVE ABSOLUTE 0 FROM c;
FETCH 2 FROM c;
DECLARE d CURSOR FOR SELECT * FROM featurestore.feature_lookup(NULL::f, ARRAY(SELECT generate_series(1, 2500)));
MOVE 1 FROM d;
DELETE FROM u WHERE uid > 1000 OR uid = 3;
SELECT * FROM f(4);
SAVEPOINT sp;
FETCH 1 FROM d;
SELECT 1 / 0;
ROLLBACK TO sp;
FETCH 2 FROM d;
SAVEPOINT sp;
TRUNCATE u;
ROLLBACK TO sp;
-- the same rows though the spec is another by now
SELECT featurestore.create_feature_spec('f', ARRAY[featurestore.lookup('u', '{uid}', '{b}')], replace => true);
FETCH 2 FROM d;
MOVE ALL FROM d;
CLOSE c;
CLOSE d;
ROLLBACK;
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT * FROM request AS o, LATERAL f(uid) AS f WHERE n < 100 ORDER BY n;
COMMIT;
FETCH 2 FROM h;
CLOSE h;
-- the index goes while a cursor is open that has not needed it yet
BEGIN;
CREATE TABLE k (kid int NOT NULL, x int);
CREATE UNIQUE INDEX k_index ON k (kid);
INSERT INTO k SELECT n, n * 10 FROM generate_series(1, 2000) AS n;
SELECT featurestore.create_feature_spec('k_spec', ARRAY[featurestore.lookup('k', '{kid}')]);
SELECT array_agg(n) AS numbers FROM generate_series(1, 2000) AS n \gset
DECLARE c CURSOR FOR SELECT x FROM k_spec_batch(:'numbers');
DECLARE d CURSOR FOR SELECT x FROM featurestore.feature_lookup(NULL::k_spec, 7);
SAVEPOINT sp;
DROP INDEX k_index;
MOVE 1500 FROM c;
FETCH 2 FROM c;
FETCH 2 FROM d;
ROLLBACK TO sp;
FETCH 2 FROM c;
CLOSE c;
CLOSE d;
-- names change while a cursor is open, and another table takes that of the one it looks up
SAVEPOINT sp;
SET LOCAL featurestore.enable_direct_lookup = off;
DECLARE c CURSOR FOR SELECT x FROM k_spec_batch(:'numbers');
FETCH 2 FROM c;
ALTER TABLE k RENAME TO old_k;
ALTER TABLE old_k RENAME x TO old_x;
CREATE TABLE k (kid int PRIMARY KEY, x int);
FETCH 2 FROM c;
MOVE 1500 FROM c;
FETCH 2 FROM c;
ROLLBACK TO sp;
SET LOCAL featurestore.enable_direct_lookup = off;
DECLARE c CURSOR FOR SELECT x FROM k_spec_batch(:'numbers');
FETCH 2 FROM c;
SAVEPOINT renamed;
ALTER TABLE k RENAME TO old_k;
ROLLBACK TO renamed;
MOVE 1500 FROM c;
FETCH 2 FROM c;
ROLLBACK TO sp;
-- being restarted takes no memory, announced or not
CREATE FUNCTION kilobytes() RETURNS bigint LANGUAGE sql AS $$
	SELECT sum(total_bytes) / 1024 FROM pg_backend_memory_contexts WHERE name ~ 'ExecutorState|featurestore lookup'
$$;
CREATE TABLE restart AS SELECT generate_series(1, 200) AS n;
ANALYZE restart;
SET LOCAL enable_memoize = off;
SET LOCAL enable_material = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_seqscan = off;
DECLARE c NO SCROLL CURSOR FOR SELECT n FROM restart, LATERAL (SELECT f.x FROM k_spec_batch(:'numbers') AS f LEFT JOIN k ON k.kid = f.kid AND k.x > n WHERE f.kid > 1995 OFFSET 0) AS o
	WHERE n = 1 OR o.x < 0;
FETCH 1 FROM c;
SELECT kilobytes() AS before \gset
MOVE ALL FROM c;
SELECT kilobytes() - :before < 1000 AS "no more";
CLOSE c;
INSERT INTO restart SELECT generate_series(201, 20000);
DECLARE c NO SCROLL CURSOR FOR SELECT n FROM restart, k_spec_vectors('{1,2,3}') AS w WHERE n = 1 OR w[1] < 0;
FETCH 1 FROM c;
SELECT kilobytes() AS before \gset
MOVE ALL FROM c;
SELECT kilobytes() - :before < 100 AS "no more";
ROLLBACK;
-- every row of a query has the same T
BEGIN;
SELECT featurestore.create_feature_spec('t', ARRAY[featurestore.request_field('k', 'int'), featurestore.expression('as_of', 'at')]);
DECLARE c CURSOR FOR SELECT at FROM generate_series(1, 3) AS k, LATERAL t(k);
FETCH 1 FROM c \gset first_
SELECT pg_sleep(0.01) \g /dev/null
FETCH 1 FROM c \gset second_
SELECT :'first_at'::timestamptz = :'second_at'::timestamptz AS same;
ROLLBACK;

-- parallel workers
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/parallel_plans.sql
SET enable_memoize = off;
SELECT is_parallel('SELECT sum(f.a), sum(f.e) FROM request, LATERAL f(uid) AS f', 'FeatureLookupJoin');
SELECT * FROM differ('SELECT sum(f.a), sum(f.e), count(f) FROM request, LATERAL f(uid) AS f');
SET parallel_leader_participation = off;
SELECT * FROM differ('SELECT sum(f.a), sum(f.e), count(f) FROM request, LATERAL f(uid) AS f');
SELECT regexp_replace(p, 'rows.*', '') FROM probed('SELECT sum(f.a) FROM request, LATERAL f(uid) AS f') AS p WHERE p ~ 'Lookup:';
RESET ALL;
SET search_path = lookup_scan;
SET client_min_messages = warning;

-- privileges: of all that the spec reads, and to call the function
CREATE ROLE lookup_scan_user;
GRANT USAGE ON SCHEMA lookup_scan TO lookup_scan_user;
GRANT SELECT (uid, a) ON u TO lookup_scan_user;
CREATE VIEW owned AS SELECT * FROM g(3, 4);
GRANT SELECT ON owned, invoker TO lookup_scan_user;
SET ROLE lookup_scan_user;
SELECT * FROM f(1);
SELECT count(*) FROM g(1, 2);
SELECT * FROM owned;
EXPLAIN (COSTS OFF) SELECT a FROM g(1, 2);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION featurestore._lookup_rows FROM PUBLIC;
SET ROLE lookup_scan_user;
SELECT * FROM f(1);
RESET ROLE;
GRANT EXECUTE ON FUNCTION featurestore._lookup_rows TO PUBLIC;
REVOKE EXECUTE ON FUNCTION f FROM PUBLIC;
SET ROLE lookup_scan_user;
SELECT * FROM f(1);
RESET ROLE;
GRANT EXECUTE ON FUNCTION f TO PUBLIC;
-- policies, in one plan for two users
ALTER TABLE u ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_few ON u USING (uid < 3);
SET plan_cache_mode = force_generic_plan;
PREPARE p AS SELECT * FROM f_batch('{1,2,3,4}');
EXECUTE p;
SET ROLE lookup_scan_user;
EXECUTE p;
RESET ROLE;
EXECUTE p;
DEALLOCATE p;
RESET plan_cache_mode;

-- a cursor reads with the rights of who opened it, by either path, whoever fetches from it
CREATE TABLE secret (sid int PRIMARY KEY, x int);
INSERT INTO secret VALUES (1, 10), (2, 20), (3, 30);
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_odd ON secret USING (sid % 2 = 1);
SELECT featurestore.create_feature_spec('secret_spec', ARRAY[featurestore.lookup('secret', '{sid}')]);
CREATE FUNCTION open_cursor(c refcursor) RETURNS refcursor LANGUAGE plpgsql SECURITY DEFINER SET search_path = lookup_scan, pg_temp AS $$
BEGIN
	OPEN c FOR SELECT sid, x FROM secret_spec_batch('{1,2,3}');
	RETURN c;
END
$$;
SET ROLE lookup_scan_user;
BEGIN;
SELECT open_cursor('direct');
FETCH ALL FROM direct;
SET LOCAL featurestore.enable_direct_lookup = off;
SELECT open_cursor('planned');
FETCH ALL FROM planned;
SELECT current_user;
COMMIT;
RESET ROLE;
GRANT SELECT ON secret TO lookup_scan_user;
SET ROLE lookup_scan_user;
BEGIN;
DECLARE direct CURSOR FOR SELECT sid, x FROM secret_spec_batch('{1,2,3}');
SET LOCAL featurestore.enable_direct_lookup = off;
DECLARE planned CURSOR FOR SELECT sid, x FROM secret_spec_batch('{1,2,3}');
RESET ROLE;
FETCH ALL FROM direct;
FETCH ALL FROM planned;
SELECT sid, x FROM secret_spec_batch('{1,2,3}');
COMMIT;

DROP SCHEMA lookup_scan CASCADE;
DROP ROLE lookup_scan_user;
