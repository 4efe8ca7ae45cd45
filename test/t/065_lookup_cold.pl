# Lookups of a table that is larger than shared buffers, whose pages are asked
# for ahead: whatever others do to its rows meanwhile, a lookup gives what a join
# gives under the same snapshot.  By scans and by functions, of keys with hints
# and without.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'END');
shared_buffers = 1MB
fsync = off
autovacuum = off
effective_io_concurrency = 16
END
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION featurestore;
CREATE TABLE t (k int PRIMARY KEY, v int, pad text) WITH (fillfactor = 80);
INSERT INTO t SELECT g, g, repeat('x', 200) FROM generate_series(1, 20000) AS g;
CREATE TABLE w (k text, n int, v int, PRIMARY KEY (k, n));
INSERT INTO w SELECT 'key ' || g, g % 3, g FROM generate_series(1, 20000) AS g;
SELECT featurestore.create_feature_spec('s', ARRAY[featurestore.lookup('t', '{k}')]);
SELECT featurestore.create_feature_spec('two', ARRAY[featurestore.lookup('w', '{k,n}')]);

-- how many rows lookups get wrong
CREATE FUNCTION wrong() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	keys int[] := ARRAY(SELECT (random() * 21000)::int FROM generate_series(1, 700));
	names text[] := ARRAY(SELECT 'key ' || k FROM unnest(keys) AS k);
	result bigint;
BEGIN
	SELECT (SELECT count(*) FROM featurestore.feature_lookup(NULL::s, keys) AS f LEFT JOIN t USING (k)
			WHERE (f.v, f.pad) IS DISTINCT FROM (t.v, t.pad))
		+ (SELECT count(*) FROM featurestore.feature_lookup(NULL::two, names, ARRAY(SELECT k % 3 FROM unnest(keys) AS k)) AS f LEFT JOIN w USING (k, n)
		   WHERE f.v IS DISTINCT FROM w.v)
		+ abs(700 - (SELECT count(*) FROM featurestore.feature_lookup(NULL::s, keys)))
		+ (SELECT count(*) FROM unnest(keys[1:100]) AS r(k), LATERAL s(r.k) AS f LEFT JOIN t ON t.k = f.k WHERE f.v IS DISTINCT FROM t.v)
	INTO result;
	RETURN result;
END
$$;
SQL

my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/change.sql", <<'END');
\set k random(1, 20000)
\set i random(1, 6)
\if :i = 1
DELETE FROM t WHERE k BETWEEN :k AND :k + 20;
\elif :i = 2
INSERT INTO t SELECT g, -g, repeat('y', 150) FROM generate_series(:k, :k + 20) AS g ON CONFLICT DO NOTHING;
\elif :i = 3
UPDATE t SET v = v + 1 WHERE k BETWEEN :k AND :k + 50;
\elif :i = 4
UPDATE t SET v = v + 1, pad = pad || 'z' WHERE k BETWEEN :k AND :k + 20;
\elif :i = 5
UPDATE w SET v = -v WHERE k = 'key ' || :k;
\else
VACUUM t;
\endif
END
append_to_file("$dir/check.sql", <<'END');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT 1 / (wrong() = 0)::int;
COMMIT;
END

for my $settings ('', '-c featurestore.enable_lookup_scan=off', '-c featurestore.row_cache_size=128kB',
	'-c effective_io_concurrency=0')
{
	local $ENV{PGOPTIONS} = $settings;
	my $changes = IPC::Run::start(
		[ 'pgbench', '-n', '-f', "$dir/change.sql", '-T', '4', '-c', '2', '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', "$dir/changes.out", '2>', "$dir/changes.err");
	my ($out, $err) = run_command(
		[ 'pgbench', '-n', '-f', "$dir/check.sql", '-T', '3', '-c', '2', '-h', $node->host, '-p', $node->port, 'postgres' ]);
	IPC::Run::finish($changes);
	my ($checks) = $out =~ /transactions actually processed: (\d+)/;
	unlike($err, qr/ERROR|aborted/, "rows are right, with settings '$settings'");
	cmp_ok($checks // 0, '>', 3, 'lookups were checked');
	note("$checks checks");
}
is($node->safe_psql('postgres', "REINDEX TABLE t; SELECT wrong() + wrong()"), '0', 'after the index was built again');
is($node->safe_psql('postgres', "DELETE FROM t WHERE k > 3000; VACUUM t; SELECT wrong() + wrong()"), '0', 'after the end of the table went');
cmp_ok($node->safe_psql('postgres', "SELECT heap_blks_read FROM pg_statio_user_tables WHERE relname = 't'"), '>', 1000, 'pages were read');
$node->stop;
done_testing();
