/*
 * Lookups for the rows of other relations are joined with them in batches; that
 * gives what one scan after the other and what function scans give.
 */
SET client_min_messages = warning;
CREATE SCHEMA lookup_join;
SET search_path = lookup_join;
CREATE TABLE u (uid int PRIMARY KEY, a int, b text, seller int) WITH (autovacuum_enabled = off);
CREATE TABLE s (seller int PRIMARY KEY, rating float8, tags text[]) WITH (autovacuum_enabled = off);
CREATE TABLE k (code text, day date, amount numeric, PRIMARY KEY (code, day)) WITH (autovacuum_enabled = off);
CREATE TABLE part (pid bigint PRIMARY KEY, p int) PARTITION BY HASH (pid);
CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE part_1 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO u SELECT n, n * 10, 'user ' || n, n % 40 FROM generate_series(1, 5000) AS n;
UPDATE u SET b = NULL, a = NULL WHERE uid % 50 = 0;
UPDATE u SET b = repeat(md5(uid::text), 200) WHERE uid % 990 = 0;
INSERT INTO s SELECT n, n / 3.0, ARRAY['a', n::text] FROM generate_series(1, 30) AS n;
INSERT INTO k SELECT repeat(chr(97 + n % 26), 1 + n % 300), '2026-01-01'::date + n / 100, n / 7.0 FROM generate_series(1, 3000) AS n
	ON CONFLICT DO NOTHING;
INSERT INTO part SELECT n, n * 5 FROM generate_series(1, 500) AS n;
-- more than little memory holds
CREATE TABLE wide (id int PRIMARY KEY, w text);
ALTER TABLE wide ALTER w SET STORAGE PLAIN;
INSERT INTO wide SELECT n, repeat(n::text, 1000) FROM generate_series(1, 300) AS n;
ANALYZE u, s, k, part, wide;
SELECT featurestore.create_feature_spec('f', ARRAY[
	featurestore.lookup('u', '{uid}', default_values => '{"a": -1}'),
	featurestore.lookup('s', '{seller}'),
	featurestore.request_field('r', 'int'),
	featurestore.expression('rating * coalesce(a, 0)', 'score'),
	featurestore.expression('1000 / r', 'risky')], with_status => true);
SELECT featurestore.create_feature_spec('g', ARRAY[featurestore.lookup('k', '{code,day}'), featurestore.lookup('part', '{pid}')]);
SELECT featurestore.create_feature_spec('h', ARRAY[featurestore.lookup('u', '{uid}', '{a}'), featurestore.expression('as_of', 'at')]);
SELECT featurestore.create_feature_spec('w', ARRAY[featurestore.lookup('wide', '{id}')]);
SELECT featurestore.create_feature_spec('v', ARRAY[featurestore.lookup('u', '{uid}', '{a,seller}')]);

CREATE TABLE request (n int PRIMARY KEY, uid int, code text, day date, pid bigint, r int, note text, ts timestamptz);
INSERT INTO request SELECT n, CASE WHEN n % 31 <> 0 THEN n * 37 % 5500 END, CASE WHEN n % 37 <> 0 THEN repeat(chr(97 + n * 7 % 26), 1 + n % 300) END, '2026-01-01'::date + n % 35, n % 600,
	CASE WHEN n % 10 <> 0 THEN n % 5 + 1 END, CASE WHEN n % 100 = 0 THEN repeat('note ' || n, 1000) ELSE 'n' || n END,
	'2026-01-01'::timestamptz + n * '1 minute'::interval FROM generate_series(1, 9000) AS n;
CREATE TABLE pieces (LIKE request) PARTITION BY RANGE (n);
CREATE TABLE pieces_1 PARTITION OF pieces FOR VALUES FROM (MINVALUE) TO (3000);
CREATE TABLE pieces_2 PARTITION OF pieces FOR VALUES FROM (3000) TO (MAXVALUE);
INSERT INTO pieces SELECT * FROM request WHERE n <= 6000;
ANALYZE request, pieces;

CREATE FUNCTION kind(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	kind text := 'function';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line ~ 'FeatureLookupJoin' THEN
			RETURN 'join';
		ELSIF line ~ 'FeatureLookup' THEN
			kind := 'scan';
		END IF;
	END LOOP;
	RETURN kind;
END
$$;
CREATE FUNCTION images(query text) RETURNS bytea[] LANGUAGE plpgsql AS $$
DECLARE
	result bytea[];
BEGIN
	EXECUTE format('SELECT array_agg(sha256(record_send(q))) FROM (%s) AS q', query) INTO result;
	RETURN result;
END
$$;
-- rows of queries over several tables come in any order, as those of workers do
CREATE FUNCTION sorted(images bytea[]) RETURNS bytea[] LANGUAGE sql AS 'SELECT array_agg(i ORDER BY i) FROM unnest(images) AS i';
CREATE FUNCTION is_other(a bytea[], b bytea[], is_ordered boolean) RETURNS boolean LANGUAGE sql
	RETURN CASE WHEN is_ordered THEN a IS DISTINCT FROM b ELSE sorted(a) IS DISTINCT FROM sorted(b) END;
-- the rows of a query, how its lookups are planned, and whether scans and functions give others
CREATE FUNCTION differ(query text, is_ordered boolean, OUT kind text, OUT rows int, OUT scans boolean, OUT functions boolean) LANGUAGE plpgsql AS $$
DECLARE
	joined bytea[];
BEGIN
	kind := kind(query);
	joined := images(query);
	rows := cardinality(joined);
	SET LOCAL featurestore.enable_lookup_join = off;
	IF kind(query) = 'join' THEN
		RAISE 'not without a join: %', query;
	END IF;
	scans := is_other(images(query), joined, is_ordered);
	SET LOCAL featurestore.enable_lookup_scan = off;
	functions := is_other(images(query), joined, is_ordered);
	SET LOCAL featurestore.enable_lookup_scan = on;
	SET LOCAL featurestore.enable_lookup_join = on;
END
$$;

CREATE TABLE query (id serial, q text, is_ordered boolean);
INSERT INTO query (q) VALUES
	-- all or some columns, of both sides, or none
	($$ SELECT * FROM request, LATERAL f(uid, r) $$),
	($$ SELECT n, a FROM request, LATERAL f(uid, r) $$),
	($$ SELECT f FROM request, LATERAL f(request.uid, request.r) AS f $$),
	($$ SELECT request, f, f.b FROM request, LATERAL f(request.uid, request.r) AS f $$),
	($$ SELECT score, score_status, a_status FROM request, LATERAL f(request.uid, request.r) $$),
	($$ SELECT count(*) FROM request, LATERAL f(uid, r) $$),
	($$ SELECT 1 FROM request, LATERAL f(uid, r) $$),
	($$ SELECT note FROM request, LATERAL f(uid, r) $$),
	-- keys by reference, of several columns, toasted
	($$ SELECT n, amount, p FROM request, LATERAL g(code, day, pid) $$),
	($$ SELECT n, amount, p FROM request, LATERAL g(upper(lower(code)), day + 1, pid * 2) $$),
	($$ SELECT n, amount FROM request, LATERAL g(note, day, pid) $$),
	($$ SELECT n, w.* FROM request, LATERAL w(n) AS w WHERE n < 400 $$),
	-- what is the same for all rows
	($$ SELECT n, f.* FROM request, LATERAL f(17, r) AS f $$),
	($$ SELECT n, f.* FROM request, LATERAL f(uid, 3) AS f $$),
	($$ SELECT n, f.* FROM request, LATERAL f(uid, NULL) AS f $$),
	-- clauses
	($$ SELECT n, f.* FROM request, LATERAL f(uid, r) AS f WHERE f.a > 20000 $$),
	($$ SELECT n, f.* FROM request, LATERAL f(uid, r) AS f WHERE f.a % 1000 = n % 10 * 100 $$),
	($$ SELECT n, f.* FROM request JOIN LATERAL f(uid, r) AS f ON f.seller = request.n WHERE f.rating > 1 $$),
	($$ SELECT n, f.a FROM request, LATERAL f(uid, r) AS f WHERE n % 7 = 0 AND f.score > 10 $$),
	($$ SELECT n FROM request, LATERAL f(uid, r) AS f WHERE false $$),
	($$ SELECT n FROM request, LATERAL f(uid, r) AS f WHERE now() < '2000-01-01' $$),
	($$ SELECT n FROM request, LATERAL f(uid, r) AS f WHERE f.b IN (SELECT b FROM u WHERE uid % 3 = 0) $$),
	-- joins of other kinds
	($$ SELECT n, f.* FROM request LEFT JOIN LATERAL f(uid, r) AS f ON true $$),
	($$ SELECT n, f.* FROM request LEFT JOIN LATERAL f(uid, r) AS f ON true WHERE f.a IS NULL $$),
	($$ SELECT n, f.* FROM request LEFT JOIN LATERAL f(uid, r) AS f ON f.a > 20000 $$),
	($$ SELECT n, f.* FROM request LEFT JOIN LATERAL f(uid, r) AS f ON request.n % 2 = 0 $$),
	($$ SELECT n FROM request WHERE EXISTS (SELECT FROM f(uid, r) AS f WHERE f.a > 20000) $$),
	($$ SELECT n FROM request WHERE NOT EXISTS (SELECT FROM f(uid, r) AS f WHERE f.a > 20000) $$),
	($$ SELECT n, x.k, f.a FROM request LEFT JOIN (SELECT uid AS k FROM u WHERE a > 10000) AS x ON x.k = request.uid, LATERAL f(x.k, r) AS f WHERE n < 3000 $$),
	($$ SELECT n, x.k, f.a FROM request LEFT JOIN (SELECT uid AS id, coalesce(uid, 7) AS k FROM u WHERE a > 10000) AS x ON x.id = request.uid, LATERAL f(x.k, r) AS f WHERE n < 3000 $$),
	($$ SELECT n, x.a, x.w FROM request LEFT JOIN LATERAL (SELECT f.*, coalesce(f.a, 0) AS w FROM f(uid, r) AS f) AS x ON true $$),
	($$ SELECT n, x.a, x.w FROM request LEFT JOIN (SELECT u.uid AS id, f.a, coalesce(f.a, 0) AS w FROM u, LATERAL f(u.uid, 1) AS f) AS x ON x.id = request.uid $$),
	($$ SELECT x.n, y.n AS m, f.a FROM request AS x LEFT JOIN pieces AS y ON y.n = x.n - 100 LEFT JOIN LATERAL f(y.uid, x.r) AS f ON true $$),
	($$ SELECT x.n, y.n AS m, u.a AS ua, f.a FROM request AS x LEFT JOIN pieces AS y ON y.n = x.n - 100 LEFT JOIN u ON u.uid = y.uid LEFT JOIN LATERAL f(u.uid, y.r) AS f ON true $$),
	($$ SELECT x.n, z.* FROM request AS x LEFT JOIN (SELECT y.n AS m, y.note, f.* FROM pieces AS y LEFT JOIN LATERAL f(y.uid, y.r) AS f ON true) AS z ON z.m = x.n - 100 $$),
	($$ SELECT x.n, z.* FROM request AS x FULL JOIN (SELECT y.n AS m, f.* FROM pieces AS y, LATERAL f(y.uid, y.r) AS f) AS z ON z.m = x.n - 100 $$),
	($$ SELECT x.n, f.a FROM request AS x RIGHT JOIN pieces AS y ON y.n = x.n - 100 LEFT JOIN LATERAL f(x.uid, y.r) AS f ON true LEFT JOIN u ON u.uid = f.seller WHERE coalesce(u.a, 0) % 20 = 0 $$),
	($$ SELECT x.n, f.a, g.p FROM request AS x LEFT JOIN (pieces AS y LEFT JOIN LATERAL f(y.uid, y.r) AS f ON true) ON y.n = x.n - 100 LEFT JOIN LATERAL g(y.code, x.day, f.a) AS g ON true $$),
	($$ SELECT x.*, f.a FROM (SELECT n, uid, r FROM request UNION ALL SELECT n, uid, r FROM pieces) AS x, LATERAL f(x.uid, x.r) AS f $$),
	($$ SELECT n, f.a FROM request, LATERAL f(uid, r) AS f WHERE (SELECT max(u.a) FROM u WHERE u.uid = f.a / 10) > 100 AND n < 500 $$),
	-- several lookups, with arguments from one another
	($$ SELECT n, x.a, y.amount FROM request, LATERAL f(uid, r) AS x, LATERAL g(code, day, pid) AS y $$),
	($$ SELECT n, x.a, y.* FROM request, LATERAL f(uid, r) AS x, LATERAL f(x.seller, x.a) AS y $$),
	($$ SELECT n, x.a, y.p FROM request, LATERAL f(uid, r) AS x, LATERAL g(code, day, x.a) AS y WHERE y.p IS NULL $$),
	-- requests from elsewhere
	($$ SELECT * FROM generate_series(1, 700) AS n, LATERAL f(n, 1) $$),
	($$ SELECT * FROM (VALUES (1, 2), (3, 4), (NULL, 5)) AS v(x, y), LATERAL f(x, y) $$),
	($$ SELECT n, f.a FROM pieces, LATERAL f(uid, r) AS f $$),
	($$ WITH q AS MATERIALIZED (SELECT * FROM request WHERE n % 3 = 0) SELECT n, f.a FROM q, LATERAL f(uid, r) AS f $$),
	($$ SELECT x.seller, n, f.b FROM (SELECT max(uid) AS id, seller, count(*) AS n FROM u GROUP BY seller) AS x, LATERAL f(x.id, 4) AS f $$),
	($$ SELECT n, f.a FROM (SELECT * FROM request ORDER BY note DESC, n LIMIT 1000) AS x, LATERAL f(uid, r) AS f $$),
	($$ SELECT x.n, f.a FROM request AS x JOIN request AS y ON y.n = x.n + 1, LATERAL f(x.uid + y.uid, x.r) AS f $$),
	($$ SELECT x.n, f.a FROM request AS x, LATERAL (SELECT * FROM request AS y WHERE y.n > x.n AND y.n < x.n + 3) AS z, LATERAL f(z.uid, x.r) AS f WHERE x.n < 500 $$),
	($$ SELECT o.n, i.* FROM (SELECT * FROM request WHERE n < 60) AS o, LATERAL (SELECT count(*), sum(f.a) FROM request AS x, LATERAL f(x.uid, o.r) AS f WHERE x.n % 60 = o.n) AS i $$),
	($$ SELECT n, (SELECT sum(f.a + f.r) FROM u, LATERAL f(u.uid, request.r) AS f WHERE u.uid < request.n) FROM request WHERE n < 200 $$),
	($$ SELECT n, f.a FROM request, LATERAL f(uid, r) AS f WHERE n < 100 UNION ALL SELECT n, g.p FROM request, LATERAL g(code, day, pid) AS g WHERE n > 8900 $$),
	($$ WITH RECURSIVE q AS (SELECT 1 AS id, 0 AS depth UNION ALL SELECT f.a / 10 + 1, depth + 1 FROM q, LATERAL f(q.id, 1) AS f WHERE depth < 300) SELECT * FROM q $$),
	-- order, and a few rows of many
	($$ SELECT n, f.a FROM request, LATERAL f(uid, r) AS f ORDER BY n $$),
	($$ SELECT n, f.a FROM request, LATERAL f(uid, r) AS f ORDER BY n DESC LIMIT 70 OFFSET 60 $$),
	($$ SELECT n, f.a FROM request, LATERAL f(uid, r) AS f ORDER BY f.b, n $$),
	($$ SELECT n, f.a, row_number() OVER (ORDER BY n) FROM request, LATERAL f(uid, r) AS f $$),
	($$ SELECT f.seller, count(*), sum(f.a), max(note) FROM request, LATERAL f(uid, r) AS f GROUP BY f.seller ORDER BY 1 $$),
	($$ SELECT DISTINCT f.seller FROM request, LATERAL f(uid, r) AS f ORDER BY 1 $$),
	($$ SELECT n, n + f.a AS x, generate_series(1, f.seller % 3) FROM request, LATERAL f(uid, r) AS f $$),
	-- T
	($$ SELECT n, h.* FROM request, LATERAL h(uid, as_of => '2026-03-01') AS h $$),
	($$ SELECT n, h.* FROM request, LATERAL h(uid, as_of => ts) AS h $$),
	-- vectors
	($$ SELECT n, w FROM request, LATERAL featurestore._lookup_vectors(NULL::v, '2026-03-01', uid) AS w $$),
	-- what is looked up one by one
	($$ SELECT n, f.a FROM request, LATERAL f_batch(ARRAY[uid, uid + 1], ARRAY[r]) AS f WHERE n < 500 $$),
	($$ SELECT n, f.a FROM request, LATERAL featurestore.feature_lookup(NULL::f, pid, r) AS f $$),
	($$ SELECT n, f.a FROM request, LATERAL featurestore.feature_lookup(NULL::f, (SELECT max(uid) FROM u WHERE u.uid <= request.uid), r) AS f WHERE n < 100 $$),
	($$ SELECT n, f.a FROM request, LATERAL featurestore.feature_lookup(NULL::f, uid, r) WITH ORDINALITY AS f WHERE n < 100 $$),
	($$ SELECT n, f.a FROM (SELECT * FROM request FOR UPDATE) AS request, LATERAL f(uid, r) AS f $$);
UPDATE query SET is_ordered = q ~ 'ORDER BY' OR q !~ ' JOIN | IN | GROUP BY |generate_series|UNION|AS z';
\pset format unaligned
SELECT id, q, is_ordered, d.* FROM query, LATERAL differ(q, is_ordered) AS d ORDER BY id;

-- the same in little memory, without hints, through SQL, with workers: no row of any query is another
CREATE FUNCTION all_images() RETURNS TABLE (id int, images bytea[]) LANGUAGE plpgsql AS $$
BEGIN
	FOR id IN SELECT query.id FROM query ORDER BY query.id LOOP
		SELECT sorted(images(q)) INTO images FROM query WHERE query.id = all_images.id;
		RETURN NEXT;
	END LOOP;
END
$$;
CREATE TABLE image AS SELECT * FROM all_images();
SELECT cardinality(images) IS NULL AS empty, count(*) FROM image GROUP BY 1 ORDER BY 1;
SET work_mem = '64kB';
SELECT id FROM image JOIN all_images() AS a USING (id) WHERE image.images IS DISTINCT FROM a.images;
RESET work_mem;
SET featurestore.row_cache_size = 0;
SELECT id FROM image JOIN all_images() AS a USING (id) WHERE image.images IS DISTINCT FROM a.images;
RESET featurestore.row_cache_size;
SET featurestore.enable_direct_lookup = off;
SELECT id FROM image JOIN all_images() AS a USING (id) WHERE image.images IS DISTINCT FROM a.images;
RESET featurestore.enable_direct_lookup;
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/parallel_plans.sql
SET parallel_leader_participation = off;
SELECT is_parallel('SELECT sum(f.a) FROM request, LATERAL f(uid, r) AS f', 'FeatureLookupJoin');
SELECT id FROM image JOIN all_images() AS a USING (id) WHERE image.images IS DISTINCT FROM a.images;
RESET ALL;
SET search_path = lookup_join;
SET client_min_messages = warning;

-- a table that is joined is what it was when the statement began
BEGIN;
DECLARE c CURSOR FOR SELECT n, f.a FROM request, LATERAL f(uid, r) AS f WHERE n > 1 ORDER BY n;
FETCH 1 FROM c;
UPDATE u SET a = 0;
DELETE FROM s;
TRUNCATE part;
FETCH 1 FROM c;
MOVE 200 FROM c;
FETCH 2 FROM c;
ROLLBACK;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT n, f.a FROM request, LATERAL f(uid, r) AS f;
MOVE 500 FROM c;
FETCH BACKWARD 2 FROM c;
ROLLBACK;

-- errors, in the middle of a batch
SELECT sum(risky) FROM request, LATERAL f(uid, CASE WHEN n = 4000 THEN 0 ELSE 1 END) AS f;
SELECT count(score) FROM request, LATERAL f(uid, CASE WHEN n = 4000 THEN 0 ELSE 1 END) AS f;
SELECT sum(a) FROM request, LATERAL f(1000 / (n - 4000), 1) AS f;

-- without rows no argument is evaluated, nor is memory taken again and again
PREPARE p(int) AS SELECT count(f.r) FROM generate_series(1, $1 - 1) AS n, LATERAL featurestore.feature_lookup(NULL::f, n, 1000 / ($1 - 1)) AS f;
SET plan_cache_mode = force_generic_plan;
SELECT kind('EXECUTE p(1)');
EXECUTE p(1);
EXECUTE p(3);
RESET plan_cache_mode;
DEALLOCATE p;
CREATE FUNCTION is_small() RETURNS boolean LANGUAGE sql
	RETURN (SELECT sum(total_bytes) < 4000000 FROM pg_backend_memory_contexts WHERE name LIKE 'featurestore lookup%');
BEGIN;
DECLARE c CURSOR FOR SELECT (SELECT sum(f.a) FROM generate_series(1, o.n - 100000) AS x, LATERAL f(x, o.r) AS f) FROM request AS o;
MOVE 9000 FROM c;
SELECT is_small();
-- large rows make small batches, and so do many columns
DECLARE d CURSOR FOR SELECT n, length(x.large), f.a FROM (SELECT *, repeat(n::text, 200000) AS large FROM request OFFSET 0) AS x, LATERAL f(x.uid, x.r) AS f;
MOVE 200 FROM d;
SELECT is_small();
CLOSE d;
DO $$ BEGIN EXECUTE (SELECT 'CREATE TABLE many AS SELECT ' || string_agg('n AS c' || i, ', ') || ' FROM generate_series(1, 5000) AS n' FROM generate_series(1, 500) AS i); END $$;
DECLARE d CURSOR FOR SELECT many.*, f.a FROM many, LATERAL f(c1, 1) AS f;
MOVE 4000 FROM d;
SELECT is_small();
ROLLBACK;

-- cheap clauses are evaluated before others
CREATE FUNCTION dear(a int) RETURNS boolean LANGUAGE plpgsql COST 100 STABLE AS $$ BEGIN RETURN 1 / (a + 1) IS NOT NULL; END $$;
SELECT kind('SELECT n FROM request, LATERAL f(uid, r) AS f WHERE dear(f.a) AND f.a > 0');
SELECT count(*) FROM request, LATERAL f(uid, r) AS f WHERE dear(f.a) AND f.a > 0;

-- writing
CREATE TABLE copy (n int, a int);
INSERT INTO copy SELECT n, f.a FROM request, LATERAL f(uid, r) AS f;
SELECT count(*), sum(a) FROM copy;
UPDATE copy SET a = f.a + 1 FROM request, LATERAL f(uid, r) AS f WHERE copy.n = request.n;
SELECT count(*), sum(a) FROM copy;
DELETE FROM copy USING request, LATERAL f(uid, r) AS f WHERE copy.n = request.n AND f.a < 0;
SELECT count(*), sum(a) FROM copy;

MERGE INTO copy USING (SELECT n, f.b FROM request, LATERAL f(uid, r) AS f) AS x ON x.n = copy.n
	WHEN MATCHED AND x.b IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET a = length(x.b) WHEN NOT MATCHED THEN INSERT VALUES (x.n, -7);
SELECT count(*), sum(a), sum(a) FILTER (WHERE a < 0) FROM copy;

-- what is kept of a cursor after its transaction, and a batch that takes too long
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT n, f.a FROM request, LATERAL f(uid, r) AS f ORDER BY n;
FETCH 1 FROM h;
COMMIT;
MOVE 300 FROM h;
FETCH 1 FROM h;
CLOSE h;
BEGIN;
SET LOCAL statement_timeout = '200ms';
SELECT count(f.b) FROM request AS x, request AS y, LATERAL f(x.uid + y.n, 1) AS f;
ROLLBACK;
SELECT count(f.b) FROM request, LATERAL f(uid, r) AS f;

-- prepared: plans end with what they were made from
SET plan_cache_mode = force_generic_plan;
PREPARE p(int) AS SELECT count(*), sum(f.a) FROM request, LATERAL f(uid + $1, r) AS f;
EXECUTE p(0);
EXECUTE p(5000);
UPDATE u SET a = a + 1;
EXECUTE p(0);
SELECT featurestore.create_feature_spec('f', ARRAY[featurestore.lookup('u', '{uid}', rename_outputs => '{"seller": "a", "a": "seller"}'),
	featurestore.request_field('r', 'int')], replace => true);
EXECUTE p(0);
DEALLOCATE p;
RESET plan_cache_mode;

-- rights and policies are those of who asks
CREATE ROLE lookup_join_user;
GRANT USAGE ON SCHEMA lookup_join TO lookup_join_user;
GRANT SELECT ON request TO lookup_join_user;
GRANT SELECT (uid, a, b) ON u TO lookup_join_user;
SELECT featurestore.create_feature_spec('f', ARRAY[featurestore.lookup('u', '{uid}', '{a,b}')], replace => true);
ALTER TABLE u ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_few ON u TO lookup_join_user USING (uid < 1000);
PREPARE p AS SELECT count(f.a) FROM request, LATERAL f(uid) AS f;
EXECUTE p;
SET ROLE lookup_join_user;
EXECUTE p;
SELECT count(f.a) FROM request, LATERAL h(uid) AS f;
RESET ROLE;
ALTER TABLE request ENABLE ROW LEVEL SECURITY;
CREATE POLICY even_ones ON request TO lookup_join_user USING (n % 2 = 0);
SET ROLE lookup_join_user;
EXECUTE p;
SELECT count(f.a), count(*) FROM request, LATERAL f(uid) AS f;
RESET ROLE;
ALTER TABLE request DISABLE ROW LEVEL SECURITY;
REVOKE SELECT (b) ON u FROM lookup_join_user;
SET ROLE lookup_join_user;
EXECUTE p;
SELECT count(f.a) FROM request, LATERAL f(uid) AS f;
RESET ROLE;
DEALLOCATE p;

DROP SCHEMA lookup_join CASCADE;
DROP ROLE lookup_join_user;
