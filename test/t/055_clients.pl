# Clients that know nothing of our types: psycopg 3, pgbench in each of its
# query modes, the protocol with binary parameters.

use strict;
use warnings;

use FindBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '-E', 'UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "timezone = 'UTC'");
$node->start;

$node->safe_psql('postgres', <<'END');
SET client_encoding = 'UTF8';
CREATE EXTENSION featurestore;
CREATE SCHEMA cl;
CREATE TABLE cl.ints (id int PRIMARY KEY, a int, label text);
INSERT INTO cl.ints VALUES (1, 10, 'one'), (2, 20, 'two'), (40000, 20, 'big');
CREATE TABLE cl.bigs (id bigint PRIMARY KEY, x float8);
INSERT INTO cl.bigs VALUES (1, 1.5), (1099511627776, 2.5);
CREATE TABLE cl.texts (name text PRIMARY KEY, n int);
INSERT INTO cl.texts VALUES ('näme', 7), ('b,"{', 8);
CREATE TABLE cl.uuids (id uuid PRIMARY KEY, day date);
INSERT INTO cl.uuids VALUES ('00000000-0000-0000-0000-000000000001', '2024-01-02');
CREATE TABLE cl.dates (day date PRIMARY KEY, is_open boolean);
INSERT INTO cl.dates VALUES ('2024-01-02', true);
CREATE TABLE cl.numerics (price numeric PRIMARY KEY, n smallint);
INSERT INTO cl.numerics VALUES (1.1, 3), (2, 4);
CREATE TABLE cl.events (id int, at timestamptz, n int, PRIMARY KEY (id, at));
INSERT INTO cl.events VALUES (1, '2024-01-02 00:00Z', 1), (1, '2024-01-03 00:00Z', 2), (1, '2024-01-04 00:00Z', 5), (2, '2024-01-01 00:00Z', 6);
CREATE TABLE cl.many (id int PRIMARY KEY, a int, b bigint, c float8, d text);
INSERT INTO cl.many SELECT i, i * 2, i * 3, i / 2.0, 'd' || i FROM generate_series(1, 10000) AS i;

SELECT featurestore.create_feature_spec('cl.by_int', ARRAY[featurestore.lookup('cl.ints', '{id}')]);
SELECT featurestore.create_feature_spec('cl.by_big', ARRAY[featurestore.lookup('cl.bigs', '{id}')]);
SELECT featurestore.create_feature_spec('cl.by_text', ARRAY[featurestore.lookup('cl.texts', '{name}')]);
SELECT featurestore.create_feature_spec('cl.by_uuid', ARRAY[featurestore.lookup('cl.uuids', '{id}')]);
SELECT featurestore.create_feature_spec('cl.by_date', ARRAY[featurestore.lookup('cl.dates', '{day}')]);
SELECT featurestore.create_feature_spec('cl.by_numeric', ARRAY[featurestore.lookup('cl.numerics', '{price}')]);
SELECT featurestore.create_feature_spec('cl.newest', exclude_columns => '{id}', items => ARRAY[
	featurestore.lookup('cl.events', '{id}'),
	featurestore.request_field('x', 'float8'),
	featurestore.expression('n + x', 'sum')]);
SELECT featurestore.create_feature_spec('cl.m', ARRAY[featurestore.lookup('cl.many', '{id}')]);
SELECT featurestore.create_feature_spec('cl.numbers', exclude_columns => '{d}', items => ARRAY[featurestore.lookup('cl.many', '{id}')]);
END

# pgbench: a wrong answer is a division by zero
my $scripts = PostgreSQL::Test::Utils::tempdir;
append_to_file("$scripts/lookup.sql", <<'END');
\set id random(1, 10000)
\set other random(1, 10000)
\set missing 0 - :id
SELECT 1 / (id = :id AND a = :id * 2 AND b = :id * 3 AND c = :id / 2.0 AND d = 'd' || :id)::int FROM cl.m(:id);
SELECT 1 / (id = :id AND a = :id * 2)::int FROM cl.m(id => :id, as_of => NULL);
SELECT 1 / (count(*) = 3 AND sum(a) = 2 * (2 * :id + :other))::int FROM cl.m_batch(ARRAY[:id, :other, :id]::int[]);
SELECT 1 / (v = ARRAY[:id * 2, :id * 3, :id / 2.0]::real[])::int FROM cl.numbers_vectors(ARRAY[:id::int]) AS v;
SELECT 1 / (length(m) = 24)::int FROM cl.numbers_matrix(ARRAY[:id::int, :other::int]) AS m;
SELECT 1 / (a = :id * 2)::int FROM featurestore.feature_lookup(NULL::cl.m, :id::int);
SELECT 1 / ((r->>'a')::int = :id * 2)::int FROM featurestore.feature_lookup_json('cl.m', jsonb_build_object('id', :id::int)) AS r;
SELECT 1 / (a IS NULL)::int FROM cl.m(:missing);
BEGIN;
SELECT 1 / (a = :other * 2)::int FROM cl.m(:other);
UPDATE cl.many SET a = a WHERE id = :other;
SELECT 1 / (a = :other * 2)::int FROM cl.m(:other);
COMMIT;
END
foreach my $mode ('simple', 'extended', 'prepared')
{
	$node->command_checks_all([ 'pgbench', '-n', '-M', $mode, '-c', '3', '-j', '2', '-t', '150', '-f', "$scripts/lookup.sql", 'postgres' ],
		0, [ qr{transactions actually processed: 450/450} ], [ qr/^(?!.*(error|abort))/s ], "pgbench -M $mode");
}

# psycopg
SKIP:
{
	my $version = `python3 -c "import psycopg; print(psycopg.__version__)" 2>/dev/null`;
	skip 'python3-psycopg is not here', 1 unless $version && $version =~ /^3/;
	my ($out, $err);
	my $result = IPC::Run::run([ 'python3', "$FindBin::RealBin/psycopg_client.py", $node->connstr('postgres') . " client_encoding=utf8" ], '>', \$out, '2>', \$err);
	ok($result, 'the client ran to its end') or diag($err);
	my ($plan) = $out =~ /^1\.\.(\d+)$/m;
	my $n = 0;
	while ($out =~ /^(not )?ok \d+ - (.*)\n((?:#.*\n)*)/mg)
	{
		$n++;
		ok(!$1, "psycopg: $2") or diag($3);
	}
	is($n, $plan, 'psycopg: all tests ran');
}

ok(!$node->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed');
$node->stop;
done_testing();
