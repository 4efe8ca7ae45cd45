# Every way to look up gives the rows of a hand-written join, in its order and to
# the bit, under the snapshot of a REPEATABLE READ transaction: scans and function
# scans, with hints and without, by index and through the planner, of some columns
# or all, of arrays, of single values and of the rows of a table, by cursors and
# generic plans, as vectors and as matrices.  Meanwhile others update rows in HOT
# chains and out of them, delete them and insert them again with the same key, give
# keys to other rows, roll back, vacuum, cluster, truncate and build indexes again.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'END');
shared_buffers = 16MB
fsync = off
autovacuum = off
jit = off
timezone = 'UTC'
min_parallel_table_scan_size = 0
END
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION featurestore;
CREATE TABLE t (k int PRIMARY KEY, v int, w numeric, pad text, x int) WITH (fillfactor = 70);
CREATE INDEX t_x ON t (x);
CREATE TABLE e (k int, at timestamptz, ev int, PRIMARY KEY (k, at)) WITH (fillfactor = 70);
CREATE TABLE p (name text, m smallint, pv float8, PRIMARY KEY (name, m)) WITH (fillfactor = 70);
CREATE TABLE c (x int PRIMARY KEY, cv int) WITH (fillfactor = 70);
CREATE TABLE d (k int PRIMARY KEY, dv int) PARTITION BY HASH (k);
CREATE TABLE d_0 PARTITION OF d FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE d_1 PARTITION OF d FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE FUNCTION fill(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CASE name
		WHEN 't' THEN INSERT INTO t SELECT g, CASE WHEN g % 11 <> 0 THEN g END, g / 8.0, repeat('x', g % 500), g % 400 FROM generate_series(1, 6000) AS g;
		WHEN 'e' THEN INSERT INTO e SELECT g, '2026-01-01'::timestamptz + h * interval '1 day', g + h FROM generate_series(1, 6000) AS g, generate_series(1, 3) AS h;
		WHEN 'p' THEN INSERT INTO p SELECT 'name ' || g / 3, g % 3, g / 7.0 FROM generate_series(1, 6000) AS g;
		WHEN 'c' THEN INSERT INTO c SELECT g, g * 10 FROM generate_series(0, 350) AS g;
		WHEN 'd' THEN INSERT INTO d SELECT g, -g FROM generate_series(1, 6000) AS g;
	END CASE;
END
$$;
SELECT fill(name) FROM unnest('{t,e,p,c,d}'::text[]) AS name;
CREATE TABLE request AS SELECT n, CASE WHEN n % 37 <> 0 THEN (random() * 6100)::int END AS k, 'name ' || (random() * 2050)::int AS name, (random() * 2)::smallint AS m
	FROM generate_series(1, 6000) AS n;
CREATE UNIQUE INDEX ON request (n);
ANALYZE;

SELECT featurestore.create_feature_spec('s', ARRAY[
	featurestore.lookup('t', '{k}'),
	featurestore.lookup('e', '{k}'),
	featurestore.lookup('p', '{name,m}'),
	featurestore.lookup('c', '{x}', default_values => '{"cv": -1}'),
	featurestore.expression('v + cv', 'total')], with_status => true);
SELECT featurestore.create_feature_spec('g', ARRAY[featurestore.lookup('t', '{k}', '{v,w,x}'), featurestore.lookup('d', '{k}'), featurestore.lookup('c', '{x}')]);
CREATE SEQUENCE compared;

-- the columns of spec s, and how the join makes them of request r and rows t, e, p, c; then those of g's vectors
CREATE FUNCTION status(is_found boolean, value anyelement) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$ SELECT CASE WHEN NOT is_found THEN 'NOT_FOUND' WHEN value IS NULL THEN 'NULL_VALUE' ELSE 'PRESENT' END $$;
CREATE TABLE output (n int GENERATED ALWAYS AS IDENTITY, name text, sql text);
INSERT INTO output (name, sql) VALUES
	('k', 'r.k'), ('name', 'r.name'), ('m', 'r.m'),
	('v', 't.v'), ('v_status', 'status(t.k IS NOT NULL, t.v)'),
	('w', 't.w'), ('w_status', 'status(t.k IS NOT NULL, t.w)'),
	('pad', 't.pad'), ('pad_status', 'status(t.k IS NOT NULL, t.pad)'),
	('x', 't.x'), ('x_status', 'status(t.k IS NOT NULL, t.x)'),
	('ev', 'e.ev'), ('ev_status', 'status(e.k IS NOT NULL, e.ev)'),
	('pv', 'p.pv'), ('pv_status', 'status(p.name IS NOT NULL, p.pv)'),
	('cv', 'CASE WHEN c.x IS NULL THEN -1 ELSE c.cv END'), ('cv_status', 'status(c.x IS NOT NULL, c.cv)'),
	('total', 't.v + CASE WHEN c.x IS NULL THEN -1 ELSE c.cv END'), ('total_status', 'status(true, t.v + CASE WHEN c.x IS NULL THEN -1 ELSE c.cv END)');
CREATE FUNCTION joined(outputs text) RETURNS text LANGUAGE sql AS $_$
	SELECT format($$ SELECT %s FROM request AS r0 CROSS JOIN LATERAL (SELECT r0.n, CASE WHEN $7 THEN $1[1] ELSE r0.k END AS k, r0.name, r0.m) AS r
		LEFT JOIN t ON t.k = r.k
		LEFT JOIN LATERAL (SELECT * FROM e WHERE e.k = r.k AND e.at <= $4 ORDER BY e.at DESC LIMIT 1) AS e ON true
		LEFT JOIN p ON p.name = r.name AND p.m = r.m LEFT JOIN c ON c.x = t.x LEFT JOIN d ON d.k = r.k
		WHERE r.n BETWEEN $5 AND $6 ORDER BY r.n $$, outputs)
$_$;

-- a request as the parameters $1 to $6 of all queries, $7 saying that all rows have the first key
CREATE TYPE asked AS (k int[], name text[], m smallint[], as_of timestamptz, first int, last int, is_one boolean);
CREATE FUNCTION rows_of(query text, q asked) RETURNS bytea[] LANGUAGE plpgsql AS $$
DECLARE
	result bytea[];
BEGIN
	EXECUTE format('SELECT array_agg(sha256(record_send(o))) FROM (%s) AS o', query) INTO result USING q.k, q.name, q.m, q.as_of, q.first, q.last, q.is_one;
	RETURN result;
END
$$;
-- by a cursor that others have time to get in the way of
CREATE FUNCTION rows_of_cursor(query text, q asked) RETURNS bytea[] LANGUAGE plpgsql AS $$
DECLARE
	c refcursor;
	image bytea;
	result bytea[];
BEGIN
	OPEN c FOR EXECUTE format('SELECT sha256(record_send(o)) FROM (%s) AS o', query) USING q.k, q.name, q.m, q.as_of, q.first, q.last, q.is_one;
	LOOP
		FETCH c INTO image;
		EXIT WHEN NOT FOUND;
		result := result || image;
		IF cardinality(result) IN (1, 1000) THEN
			PERFORM pg_sleep(0.02);
		END IF;
	END LOOP;
	CLOSE c;
	RETURN result;
END
$$;
-- one by one, by a generic plan with parameters that are known from the start
CREATE FUNCTION row_of(k int, name text, m smallint, as_of timestamptz) RETURNS bytea LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (SELECT sha256(record_send(f)) FROM s(k, name, m, as_of) AS f);
END
$$;
CREATE FUNCTION matrix_of(vectors float4[]) RETURNS bytea LANGUAGE sql AS $$
	SELECT string_agg(substr(b, 4, 1) || substr(b, 3, 1) || substr(b, 2, 1) || substr(b, 1, 1), '' ORDER BY n)
	FROM unnest(vectors) WITH ORDINALITY AS o(x, n), float4send(x) AS b
$$;
CREATE FUNCTION set_to(settings text) RETURNS void LANGUAGE sql AS $$
	SELECT set_config(split_part(s, '=', 1), split_part(s, '=', 2), true) FROM unnest(string_to_array(settings, ' ')) AS s
$$;
CREATE FUNCTION compare(way text, got bytea[], expected bytea[], q asked) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('compared');
	IF got IS DISTINCT FROM expected THEN
		RAISE '% differs: % rows, % expected, the first at request %', way, cardinality(got), cardinality(expected),
			(SELECT q.first + min(n) - 1 FROM generate_series(1, greatest(cardinality(got), cardinality(expected))) AS n WHERE got[n] IS DISTINCT FROM expected[n]);
	END IF;
END
$$;

CREATE FUNCTION check_rows(q asked) RETURNS void LANGUAGE plpgsql AS $_$
DECLARE
	outputs text := (SELECT string_agg(sql || ' AS ' || name, ', ' ORDER BY n) FROM output);
	chosen int[] := ARRAY(SELECT n FROM output WHERE random() < 0.3);
	batch text := 's_batch($1, $2, $3, $4) AS f';
	lateral_call text := 'request AS r, LATERAL s(CASE WHEN $7 THEN $1[1] ELSE r.k END, r.name, r.m, $4) AS f WHERE r.n BETWEEN $5 AND $6 ORDER BY r.n';
	expected bytea[] := rows_of(joined(outputs), q);
	some_expected bytea[] := rows_of(joined((SELECT string_agg(sql || ' AS ' || name, ', ' ORDER BY n) FROM output WHERE n = ANY (chosen))), q);
	some_outputs text := (SELECT string_agg('f.' || name, ', ' ORDER BY n) FROM output WHERE n = ANY (chosen));
	settings text;
BEGIN
	FOR settings IN SELECT * FROM unnest(ARRAY['', '', 'featurestore.enable_lookup_join=off', 'featurestore.enable_lookup_scan=off', 'featurestore.row_cache_size=0', 'featurestore.enable_direct_lookup=off',
		'featurestore.enable_direct_lookup=off featurestore.enable_lookup_scan=off', 'parallel_setup_cost=0 parallel_tuple_cost=0']) ORDER BY random() LIMIT 2 LOOP
		PERFORM set_to(settings);
		PERFORM compare('batch ' || settings, rows_of('SELECT f.* FROM ' || batch, q), expected, q);
		PERFORM compare('some columns ' || settings, rows_of(format('SELECT %s FROM %s', some_outputs, batch), q), some_expected, q);
		PERFORM compare('rows of a table ' || settings, rows_of('SELECT f.* FROM ' || lateral_call, q), expected, q);
		PERFORM compare('some columns for rows of a table ' || settings, rows_of(format('SELECT %s FROM %s', some_outputs, lateral_call), q), some_expected, q);
		PERFORM set_to('featurestore.enable_lookup_join=on featurestore.enable_lookup_scan=on featurestore.row_cache_size=16MB featurestore.enable_direct_lookup=on parallel_setup_cost=1000 parallel_tuple_cost=0.1');
	END LOOP;
	PERFORM compare('cursor', rows_of_cursor('SELECT f.* FROM ' || batch, q), expected, q);
	PERFORM compare('cursor over rows of a table', rows_of_cursor('SELECT f.* FROM ' || lateral_call, q), expected, q);
	PERFORM compare('whole rows', rows_of('SELECT (o.f).* FROM (SELECT f FROM ' || batch || ' OFFSET 0) AS o', q), expected, q);
	PERFORM compare('generic plan', ARRAY(SELECT row_of(CASE WHEN q.is_one THEN q.k[1] ELSE r.k END, name, m, q.as_of) FROM request AS r
		WHERE n BETWEEN q.first AND least(q.last, q.first + 50) ORDER BY n), expected[:51], q);
	PERFORM compare('the join again', rows_of(joined(outputs), q), expected, q);
END
$_$;
CREATE FUNCTION check_vectors(q asked) RETURNS void LANGUAGE plpgsql AS $_$
DECLARE
	expected bytea[] := rows_of(joined('ARRAY[' || (SELECT string_agg(format('coalesce(%s::float4, ''NaN'')', c), ', ')
		FROM unnest('{t.v,t.w,t.x,d.dv,c.cv}'::text[]) AS c) || '] AS vector'), q);
	settings text;
	matrix bytea;
BEGIN
	FOREACH settings IN ARRAY ARRAY['', 'featurestore.enable_lookup_scan=off', 'featurestore.row_cache_size=0'] LOOP
		PERFORM set_to(settings);
		PERFORM compare('vectors ' || settings, rows_of('SELECT * FROM g_vectors(CASE WHEN $7 THEN ARRAY(SELECT $1[1] FROM generate_series($5, $6)) ELSE $1 END, $4)', q), expected, q);
		PERFORM set_to('featurestore.enable_lookup_scan=on featurestore.row_cache_size=16MB');
	END LOOP;
	PERFORM compare('vectors for rows of a table', rows_of('SELECT v.* FROM request AS r, LATERAL g_vectors(ARRAY[CASE WHEN $7 THEN $1[1] ELSE r.k END], $4) AS v
		WHERE r.n BETWEEN $5 AND $6 ORDER BY r.n', q), expected, q);
	EXECUTE 'SELECT g_matrix($1, $2)' INTO matrix USING q.k, q.as_of;
	PERFORM compare('matrix', ARRAY[matrix], ARRAY[(SELECT matrix_of(array_agg(x ORDER BY v.n, o.n)) FROM g_vectors(q.k, q.as_of) WITH ORDINALITY AS v(vector, n), unnest(vector) WITH ORDINALITY AS o(x, n))], q);
END
$_$;

-- draws a request, and asks it in every way
CREATE FUNCTION check_all() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	q asked;
	size int := (ARRAY[1, 2, 5, 10, 20, 30, 50, 80, 100, 100, 200, 300, 500, 1500])[1 + floor(random() * 14)];
BEGIN
	q.first := 1 + floor(random() * (6000 - size));
	q.last := q.first + size - 1;
	q.as_of := '2026-01-01'::timestamptz + random() * interval '6 days';
	q.is_one := random() < 0.3;
	q.k := CASE WHEN q.is_one THEN ARRAY[(random() * 6000)::int] ELSE ARRAY(SELECT k FROM request WHERE n BETWEEN q.first AND q.last ORDER BY n) END;
	q.name := ARRAY(SELECT name FROM request WHERE n BETWEEN q.first AND q.last ORDER BY n);
	q.m := ARRAY(SELECT m FROM request WHERE n BETWEEN q.first AND q.last ORDER BY n);
	IF random() < 0.8 THEN
		PERFORM check_rows(q);
	ELSE
		PERFORM check_vectors(q);
	END IF;
END
$$;
SQL

# what is written, by two sessions: one has the even keys, the other the odd ones
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/change.sql", <<'END');
\set n random(1, 3000)
\set k 2 * :n + :client_id
\set i random(1, 12)
\if :i = 1
UPDATE t SET v = v + 1 WHERE k BETWEEN :k AND :k + 60 AND k % 2 = :client_id;
\elif :i = 2
UPDATE t SET x = (x + 1) % 400, w = w + 0.5 WHERE k BETWEEN :k AND :k + 30 AND k % 2 = :client_id;
\elif :i = 3
DELETE FROM t WHERE k BETWEEN :k AND :k + 40 AND k % 2 = :client_id;
\elif :i = 4
INSERT INTO t SELECT g, -g, g, repeat('y', g % 300), g % 400 FROM generate_series(:k, :k + 400, 2) AS g ON CONFLICT DO NOTHING;
\elif :i = 5
BEGIN;
DELETE FROM t WHERE k BETWEEN :k AND :k + 20 AND k % 2 = :client_id;
INSERT INTO t SELECT g, -g, g / 3.0, 'again', g % 300 FROM generate_series(:k, :k + 20, 2) AS g;
UPDATE t SET v = v + 1 WHERE k BETWEEN :k AND :k + 20 AND k % 2 = :client_id;
COMMIT;
\elif :i = 6
BEGIN;
UPDATE t SET v = v + 1000, x = x + 1 WHERE k BETWEEN :k AND :k + 60 AND k % 2 = :client_id;
DELETE FROM t WHERE k = :k + 2;
DELETE FROM p WHERE name = 'name ' || :k;
INSERT INTO t VALUES (:k + 2, 7, 7, 'never', 7);
ROLLBACK;
\elif :i = 7
BEGIN;
SAVEPOINT a;
DELETE FROM t WHERE k BETWEEN :k AND :k + 30 AND k % 2 = :client_id;
ROLLBACK TO a;
UPDATE t SET v = v + 1 WHERE k BETWEEN :k AND :k + 30 AND k % 2 = :client_id;
SAVEPOINT b;
UPDATE t SET v = v + 1 WHERE k BETWEEN :k AND :k + 30 AND k % 2 = :client_id;
RELEASE b;
COMMIT;
\elif :i = 8
BEGIN;
UPDATE t SET k = -k WHERE k IN (:k, :k + 4);
UPDATE t SET k = 2 * :k + 4 + k WHERE k IN (-:k, -:k - 4);
COMMIT;
\elif :i = 9
UPDATE p SET pv = pv + 1 WHERE name LIKE 'name ' || :n % 100 || '%' AND length(name) % 2 = :client_id;
\elif :i = 10
BEGIN;
DELETE FROM p WHERE name = 'name ' || :k;
INSERT INTO p SELECT 'name ' || :k, g, g FROM generate_series(0, 2) AS g WHERE :n % 3 > 0;
COMMIT;
\elif :i = 11
DELETE FROM e WHERE k BETWEEN :k AND :k + 10 AND k % 2 = :client_id AND at > '2026-01-02';
INSERT INTO e SELECT g, '2026-01-02'::timestamptz + :n % 50 * interval '1 hour', :n FROM generate_series(:k, :k + 30, 2) AS g ON CONFLICT DO NOTHING;
\else
UPDATE c SET cv = cv + 1 WHERE x BETWEEN :n % 400 AND :n % 400 + 20 AND x % 2 = :client_id;
DELETE FROM c WHERE x = 2 * (:n % 200) + :client_id;
INSERT INTO c VALUES ((2 * :n + 6) % 400 + :client_id, :n) ON CONFLICT (x) DO UPDATE SET cv = excluded.cv;
UPDATE d SET dv = dv + 1 WHERE k BETWEEN :k AND :k + 30 AND k % 2 = :client_id;
UPDATE d SET k = -k WHERE k = :k;
\endif
END
append_to_file("$dir/maintain.sql", <<'END');
\set i random(1, 14)
\if :i <= 4
VACUUM t;
VACUUM e, p, c;
\elif :i = 5
VACUUM FULL t;
\elif :i = 6
REINDEX TABLE t;
\elif :i = 7
REINDEX TABLE CONCURRENTLY t;
\elif :i = 8
CLUSTER t USING t_x;
\elif :i = 9
BEGIN;
TRUNCATE t;
SELECT fill('t');
COMMIT;
\elif :i = 10
REINDEX TABLE p;
REINDEX TABLE CONCURRENTLY e;
\elif :i = 11
BEGIN;
TRUNCATE p, c;
SELECT fill('c'), fill('p');
COMMIT;
\elif :i = 12
CLUSTER p USING p_pkey;
VACUUM FULL e;
\elif :i = 13
BEGIN;
TRUNCATE t;
ROLLBACK;
\else
DROP INDEX CONCURRENTLY t_x;
CREATE INDEX CONCURRENTLY t_x ON t (x);
\endif
\sleep 20 ms
END
append_to_file("$dir/check.sql", <<'END');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT check_all();
COMMIT;
END

# Runs a script against the server, beside others; gives what is read when it is over.
sub start
{
	my ($script, $clients, $seconds) = @_;
	my $run = { script => $script, err => '' };
	$run->{harness} = IPC::Run::start([ 'pgbench', '-n', '--max-tries=0', '-f', "$dir/$script.sql", '-T', $seconds, '-c', $clients,
		'-h', $node->host, '-p', $node->port, 'postgres' ], '>', \$run->{out}, '2>', \$run->{err});
	return $run;
}

sub finish
{
	my ($run, $name) = @_;
	IPC::Run::finish($run->{harness});
	unlike($run->{err}, qr/ERROR|abort/, $name);
	note("$run->{script}: $1") if $run->{out} =~ /(transactions actually processed: \d+)/;
}

sub check_beside_writers
{
	my ($name) = @_;
	my @others = (start('change', 2, 15), start('maintain', 1, 15));
	my $before = $node->safe_psql('postgres', q{SELECT last_value FROM compared});
	finish(start('check', 2, 14), "all ways give the same rows, $name");
	finish($_, "$_->{script}, $name") for @others;
	my $compared = $node->safe_psql('postgres', "SELECT last_value - $before FROM compared");
	cmp_ok($compared, '>', 200, 'much was compared');
	note("$compared comparisons $name");
}

like($node->safe_psql('postgres', q{EXPLAIN SELECT v FROM s_batch('{1,2}', '{a,b}', '{1,2}')}), qr/FeatureLookup/, 'lookups are scans');
check_beside_writers('from memory');
$node->append_conf('postgresql.conf', "shared_buffers = 2MB\neffective_io_concurrency = 16");
$node->restart;
check_beside_writers('with pages that are read');
cmp_ok($node->safe_psql('postgres', q{SELECT sum(heap_blks_read) FROM pg_statio_user_tables WHERE relname IN ('t', 'e')}), '>', 1000, 'pages were read');
$node->stop;
done_testing();
