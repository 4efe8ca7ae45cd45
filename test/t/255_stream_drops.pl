# What is dropped, renamed or made again at a random moment, while clients write
# and workers apply: nothing hangs, nothing is left behind, workers go when what
# they serve goes and come when it is there again.
#
# Each round has a database of its own with publications in all modes and three
# writers.  After a moment something is dropped in one of many ways; what takes
# longer than it may is an error.  In half of the rounds the library is preloaded.
#
# FS_STREAM_DROPS_SEED repeats a sequence, FS_STREAM_DROPS_ROUNDS is how many
# rounds.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $seed = $ENV{FS_STREAM_DROPS_SEED} // int(rand(1_000_000));
my $rounds = $ENV{FS_STREAM_DROPS_ROUNDS} // 18;
my $limit = 15;
note "seed $seed, $rounds rounds";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'END');
autovacuum_naptime = 1s
deadlock_timeout = 100ms
shared_buffers = 32MB
fsync = off
featurestore.fill_chunk = 500
featurestore.autostart_worker = on
featurestore.workers = 2
max_worker_processes = 16
timezone = 'UTC'
log_error_verbosity = verbose
log_statement = none
log_min_error_statement = panic
END
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE dr_owner LOGIN SUPERUSER');

sub one_of { return $_[ rand @_ ] }

my $tables = <<'SQL';
CREATE SCHEMA dr;
SET search_path = dr;
CREATE TABLE item (id int PRIMARY KEY, n int, note text);
INSERT INTO item SELECT i, 0, repeat('x', i % 90) FROM generate_series(1, 3000) AS i;
CREATE TABLE event (entity int, at timestamptz, amount int) PARTITION BY LIST (entity);
CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1, 2, 3);
CREATE TABLE event_2 PARTITION OF event DEFAULT;
CREATE TABLE device (id int PRIMARY KEY, v int);
SQL
my $published = <<'SQL';
SET search_path = dr;
SELECT featurestore.publish_table('item', 'item_t', publish_mode => 'TRIGGERED');
SELECT featurestore.publish_table('item', 'item_c', publish_mode => 'CONTINUOUS', wait => false);
SELECT featurestore.publish_table('item', 'item_y', publish_mode => 'SYNCHRONOUS');
SELECT featurestore.register_feature('events', 'event', '{entity}', 'at', 'count', NULL, featurestore.lifetime_window());
SELECT featurestore.register_feature('most', 'event', '{entity}', 'at', 'max', 'amount', featurestore.rolling_window('1 hour'));
SELECT featurestore.materialize_features('{events}', 'event_c', publish_mode => 'CONTINUOUS');
SELECT featurestore.materialize_features('{most}', 'event_y', publish_mode => 'SYNCHRONOUS');
SELECT featurestore.create_staging_table('device');
SQL

my @changes = (
	sub { sprintf 'UPDATE dr.item SET n = n + 1 WHERE id BETWEEN %1$d AND %1$d + %2$d', rand 3000, rand 20 },
	sub { sprintf 'DELETE FROM dr.item WHERE id = %d', rand 3000 },
	sub { sprintf 'INSERT INTO dr.item SELECT %d, 1 ON CONFLICT DO NOTHING', rand 4000 },
	(sub { sprintf 'INSERT INTO dr.event SELECT 1 + i %% 9, now() - i * interval \'1 s\', i FROM generate_series(1, %d) AS i', rand 30 }) x 2,
	sub { sprintf 'UPDATE dr.event SET amount = amount + 1 WHERE entity = %d AND amount < 3', rand 9 },
	sub { sprintf 'INSERT INTO dr.device_staging (id, v) VALUES (%d, 1)', rand 50 });

my $scripts = PostgreSQL::Test::Utils::tempdir;
my $clients = 0;

sub start_writer
{
	my ($database) = @_;
	my $file = sprintf '%s/%d.sql', $scripts, ++$clients;
	append_to_file($file, join '', "SET lock_timeout = '2s'; SET statement_timeout = '20s';\n", map { one_of('', '', "BEGIN; SAVEPOINT s;\n") . one_of(@changes)->() . ";\nCOMMIT;\n" . sprintf("SELECT pg_sleep(%.4f);\n", rand 0.01) } 1 .. 2000);
	return IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr($database) . ' user=dr_owner application_name=writer', '-f', $file ], '<', \undef, '>', '/dev/null', '2>', '/dev/null');
}

# Runs SQL within the time that it may take; what loses a deadlock is tried again
sub bounded
{
	my ($database, $sql, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $started = time;
	my ($status, $err);
	do
	{
		($status, undef, $err) = $node->psql($database, "SET client_min_messages = warning; SET statement_timeout = '${limit}s'; $sql", timeout => 4 * $limit, extra_params => ['-v', 'VERBOSITY=verbose']);
	} while ($status != 0 && $err =~ /ERROR:  40P01/ && time < $started + $limit);
	ok($status == 0 && time < $started + $limit, sprintf '%s: %.1f s', $name, time - $started) or diag($err);
}

sub await
{
	my ($database, $query, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $until = time + $limit;
	my $left;
	sleep 0.05 while ($left = $node->safe_psql($database, $query)) ne '' && time < $until;
	is($left, '', $name);
}

sub no_writers { $node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'writer'") }

# Rows of the catalog about what is no more, and staging tables that nobody needs
my $left_behind = <<'SQL';
SELECT string_agg(what, ', ') FROM (
	SELECT 'publication' AS what, relation FROM featurestore.publication UNION ALL SELECT 'source', source FROM featurestore.publication WHERE source IS NOT NULL
	UNION ALL SELECT 'publication_position', relation FROM featurestore.publication_position UNION ALL SELECT 'fill_position', relation FROM featurestore.fill_position
	UNION ALL SELECT 'held_change', relation FROM featurestore.held_change UNION ALL SELECT 'rejected_change', relation FROM featurestore.rejected_change
	UNION ALL SELECT 'publish_run', relation FROM featurestore.publish_run UNION ALL SELECT 'online_table', relation FROM featurestore.online_table
	UNION ALL SELECT 'staging', relation FROM featurestore.staging UNION ALL SELECT 'captured source', captured_source FROM featurestore.staging WHERE captured_source IS NOT NULL
	UNION ALL SELECT 'fed table', online_table FROM featurestore.staging WHERE online_table IS NOT NULL) AS r
WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r.relation)
SQL
my $unused = <<'SQL';
SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
WHERE relname ~ '_(changes|staging)' AND relkind IN ('r', 'p') AND NOT EXISTS (
	SELECT FROM featurestore.staging s WHERE c.oid = s.relation OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = s.relation))
SQL
my $workers = "SELECT string_agg(pid::text, ', ') FROM pg_stat_activity WHERE backend_type = 'featurestore worker' AND datname";

# All that is there is published and filled, by workers
sub works_again
{
	my ($database, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $until = time + $limit;
	my $left = '?';
	while ($left ne '' && time < $until)
	{
		# a worker that was stopped just now is not started again at once
		$node->safe_psql($database, 'UPDATE dr.item SET n = n WHERE id = (SELECT min(id) FROM dr.item)');
		sleep 0.1;
		$left = $node->safe_psql($database, "SELECT string_agg(relation::text, ', ') FROM featurestore.publication WHERE publish_mode = 'CONTINUOUS' AND (NOT featurestore._is_filled(relation) OR featurestore._has_pending(relation))");
	}
	is($left, '', "$name: workers go on");
	is($node->safe_psql($database, "SELECT format('SELECT %L FROM %s a FULL JOIN dr.item b USING (id) WHERE ROW(a.n, a.note) IS DISTINCT FROM ROW(b.n, b.note) LIMIT 1', relation, relation)
		FROM featurestore.publication WHERE source = to_regclass('dr.item') AND publish_mode IN ('CONTINUOUS', 'SYNCHRONOUS') \\gexec"), '', "$name: tables are what their source is");
}

# One way to lose something each: what is run and in which database, what is to hold then
my %ways = (
	'DROP TABLE, an online one' => sub {
		my ($d) = @_;
		bounded($d, 'DROP TABLE dr.' . one_of(qw(item_t item_c item_y)), $_[1]);
	},
	'DROP TABLE, one of states' => sub { bounded($_[0], 'DROP TABLE dr.' . one_of(qw(event_c event_y)) . ' CASCADE', $_[1]) },
	'DROP TABLE, a source' => sub { bounded($_[0], 'BEGIN; DROP TABLE dr.event CASCADE; DROP TABLE dr.event_c, dr.event_y CASCADE; COMMIT', $_[1]) },
	'DROP TABLE, a partition' => sub { bounded($_[0], 'DROP TABLE dr.event_1', $_[1]) },
	'DROP TABLE, one that is fed' => sub { bounded($_[0], 'DROP TABLE dr.device CASCADE', $_[1]) },
	'DROP and publish again' => sub { bounded($_[0], "BEGIN; DROP TABLE dr.item_c; SELECT featurestore.publish_table('dr.item', 'dr.item_c', publish_mode => 'CONTINUOUS'); COMMIT", "$_[1] $_") foreach 1 .. 3 },
	'unpublish' => sub { bounded($_[0], "SELECT featurestore.unpublish_table('dr.item_c'); SELECT featurestore.publish_table('dr.item', 'dr.item_d', publish_mode => 'CONTINUOUS', wait => false)", $_[1]) },
	'a source that is another' => sub { bounded($_[0], 'BEGIN; ALTER TABLE dr.item RENAME TO gone; CREATE TABLE dr.item (LIKE dr.gone INCLUDING ALL); DROP TABLE dr.gone CASCADE; DROP TABLE dr.item_t, dr.item_c, dr.item_y; COMMIT', $_[1]) },
	'DROP SCHEMA' => sub { bounded($_[0], "BEGIN; DROP SCHEMA dr CASCADE; $tables $published COMMIT", $_[1]) },
	'DROP EXTENSION' => sub {
		my ($d, $name) = @_;
		bounded($d, 'DROP EXTENSION featurestore CASCADE', $name);
		await($d, "$workers = '$d'", "$name: its workers are gone");
		bounded($d, "BEGIN; DROP SCHEMA dr CASCADE; CREATE EXTENSION featurestore; $tables $published COMMIT", "$name, made again");
	},
	'DROP EXTENSION and CREATE in one transaction' => sub { bounded($_[0], "BEGIN; DROP EXTENSION featurestore CASCADE; CREATE EXTENSION featurestore; DROP SCHEMA dr CASCADE; $tables $published COMMIT", $_[1]) },
	'DROP DATABASE' => sub {
		my ($d, $name) = @_;
		no_writers();
		bounded('postgres', "DROP DATABASE $d", $name);
	},
	'DROP DATABASE WITH (FORCE)' => sub { bounded('postgres', "DROP DATABASE $_[0] WITH (FORCE)", $_[1]) },
	'ALTER DATABASE RENAME' => sub {
		my ($d, $name) = @_;
		no_writers();
		bounded('postgres', "ALTER DATABASE $d RENAME TO moved", $name);
		bounded('postgres', "ALTER DATABASE moved RENAME TO $d", "$name, and back");
	},
	'CREATE DATABASE from it' => sub {
		my ($d, $name) = @_;
		no_writers();
		bounded('postgres', "CREATE DATABASE copy TEMPLATE $d", $name);
		works_again('copy', "$name, the copy");
		bounded('postgres', 'DROP DATABASE copy', "$name, dropped");
	});

srand($seed);
my @order = sort { $a cmp $b } keys %ways;
for my $round (1 .. $rounds)
{
	my $database = "d$round";
	my $way = $round <= @order ? $order[ $round - 1 ] : one_of(@order);

	if ($round % 6 == 1)
	{
		$node->append_conf('postgresql.conf', 'shared_preload_libraries = ' . ($round % 12 == 1 ? "''" : 'featurestore'));
		$node->restart;
	}
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, "CREATE EXTENSION featurestore; $tables $published");
	my @writers = map { start_writer($database) } 1 .. 3;
	sleep 0.1 + rand 1;

	$ways{$way}->($database, "round $round, $way");
	if ($way !~ /^DROP DATABASE/)
	{
		no_writers();
		is($node->safe_psql($database, $left_behind) . $node->safe_psql($database, $unused), '', "round $round, $way: nothing is left behind");
		works_again($database, "round $round, $way");
		bounded('postgres', "DROP DATABASE $database", "round $round, the end");
	}
	$_->signal('KILL') foreach @writers;
	IPC::Run::finish($_) foreach @writers;
	await('postgres', "$workers = '$database'", "round $round, $way: no worker is left in it");
}

is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"), '0', 'no session hangs');
my %expected = (
	'42P01' => 'tables that are gone', '42703' => 'others in their place', '3F000' => 'schemas', '3D000' => 'databases', '42883' => 'functions', '42704' => 'types', '40P01' => 'deadlocks', '55P03' => 'lock timeouts',
	'57P01' => 'terminated', '08006' => 'lost connections', '25P02' => 'statements after an error', '25P01' => 'no transaction', '23505' => 'unique violations', '23514' => 'partitions that are gone, and staging tables without the extension', '57014' => 'cancelled autovacuum',
	'40001' => 'partitions that moved');
my @unexpected = grep { /(?:WARNING|ERROR|FATAL|PANIC):  (\w{5}): / && !exists $expected{$1} } split /\n/, slurp_file($node->logfile);
is(join("\n", @unexpected > 20 ? @unexpected[ 0 .. 19 ] : @unexpected), '', 'no unexpected errors');
ok(!$node->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed');
$node->stop;
done_testing();
