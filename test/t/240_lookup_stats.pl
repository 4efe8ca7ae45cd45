# Lookups are counted when the library is preloaded: exactly, by every form of
# lookup, in parallel workers, in read-only transactions and on a standby; the
# table of specs is bounded, and a crash empties it.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<'END');
timezone = 'UTC'
shared_preload_libraries = 'featurestore'
featurestore.max_tracked_specs = 6
max_prepared_transactions = 5
END
$primary->start;

$primary->safe_psql('postgres', <<'END');
CREATE EXTENSION featurestore;
CREATE TABLE users (user_id int PRIMARY KEY, age int);
INSERT INTO users SELECT i, i % 50 FROM generate_series(1, 3000) AS i;
CREATE TABLE items (item_id int PRIMARY KEY, price float8);
INSERT INTO items SELECT i, i FROM generate_series(1, 3000) AS i;
SELECT featurestore.publish_table('items', 'fresh', publish_mode => 'SNAPSHOT');
SELECT featurestore.create_feature_spec('s', ARRAY[featurestore.lookup('users', '{user_id}'), featurestore.lookup('items', '{item_id}')]);
SELECT featurestore.create_feature_spec('aged', ARRAY[featurestore.lookup('fresh', '{item_id}', max_lag => '1 hour'), featurestore.lookup('users', '{user_id}')]);
END

# What is counted of a spec
sub counts
{
	my ($node, $spec) = @_;
	return $node->safe_psql('postgres', "SELECT is_available, calls, keys, probes, misses, stale, slow_path FROM featurestore.lookup_stats WHERE spec = '$spec'::regclass");
}

sub reset_counts { $primary->safe_psql('postgres', 'SELECT featurestore.lookup_stats_reset()'); }

is(counts($primary, 's'), 't|0|||||', 'a spec that nobody has looked up');

# Every form of lookup: its rows requested, keys probed for, keys not found
my @forms = (
	[ 'SELECT * FROM s(1, 2)', 1, 2, 0 ],
	[ 'SELECT * FROM s(1, 9999)', 1, 2, 1 ],
	[ 'SELECT * FROM s(NULL, 1)', 1, 1, 0 ],
	[ "SELECT * FROM s_batch('{1}', '{1,2,9998,9999,9999}')", 5, 5, 2 ],
	[ "SELECT * FROM s_batch('{1}', '{}')", 0, 0, 0 ],
	[ "SELECT * FROM s_vectors('{1,2}', '{3,9999}')", 2, 4, 1 ],
	[ "SELECT length(s_matrix('{1,2}', '{3}'))", 2, 3, 0 ],
	[ 'SELECT * FROM featurestore.feature_lookup(NULL::s, 1, ARRAY[2,3])', 2, 3, 0 ],
	[ "SELECT * FROM featurestore.feature_vectors('s', 1, ARRAY[2,3])", 2, 3, 0 ],
	[ "SELECT featurestore.feature_matrix('s', ARRAY[1,2], 3)", 2, 3, 0 ],
	[ q{SELECT * FROM featurestore.feature_lookup_json('s', '[{"user_id": 9999, "item_id": 1}]', metadata => true)}, 1, 2, 1 ],
	[ 'SELECT s.* FROM generate_series(1, 10) AS i, LATERAL s(i, 1) LIMIT 10', 10, 11, 0 ],
	[ 'SELECT count(s) FROM generate_series(1, 100) AS i, LATERAL s(i, i)', 100, 200, 0, 2 ],
	[ 'SET featurestore.enable_lookup_join = off; SELECT s.* FROM generate_series(1, 10) AS i, LATERAL s(i, 1) LIMIT 10', 10, 20, 0, 10 ],
	[ "SELECT count(*) FROM s_batch('{1}', ARRAY(SELECT generate_series(1, 3000)))", 3000, 3001, 0 ],
	[ 'BEGIN READ ONLY; SELECT * FROM s(1, 2); COMMIT', 1, 2, 0 ],
	[ 'BEGIN; SELECT * FROM s(1, 2); ROLLBACK', 1, 2, 0 ],
	[ "BEGIN; SELECT * FROM s(1, 2); PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'", 1, 2, 0 ],
	[ "SET work_mem = '64kB'; SELECT count(*) FROM s_batch('{1}', ARRAY(SELECT generate_series(1, 3000)))", 3000, 3001, 0 ]);
foreach my $form (@forms)
{
	my ($query, $rows, $probes, $misses, $calls) = @$form;
	$calls //= 1;
	foreach my $direct ('on', 'off')
	{
		reset_counts();
		$primary->safe_psql('postgres', "SET featurestore.enable_direct_lookup = $direct; $query");
		my $slow = $probes == 0 ? '' : $direct eq 'on' ? '0' : '1';
		is(counts($primary, 's'), "t|$calls|$rows|$probes|$misses|0|$slow", "enable_direct_lookup = $direct: $query");
	}
}

# Some of the tables through the planner
reset_counts();
$primary->safe_psql('postgres', 'ALTER TABLE users ENABLE ROW LEVEL SECURITY; ALTER TABLE users FORCE ROW LEVEL SECURITY');
$primary->safe_psql('postgres', 'CREATE ROLE app; GRANT SELECT ON users, items, featurestore.lookup_stats TO app; CREATE POLICY p ON users USING (user_id < 3)');
$primary->safe_psql('postgres', "SET ROLE app; SELECT * FROM s_batch('{1}', '{1,2,3}')");
is(counts($primary, 's'), 't|1|3|4|0|0|0.25', 'a table with policies goes the slow way');
$primary->safe_psql('postgres', 'ALTER TABLE users DISABLE ROW LEVEL SECURITY');

# What is not counted
reset_counts();
$primary->psql('postgres', $_) foreach (
	q{SELECT * FROM featurestore.explain_lookup('s', '{"user_id": 1, "item_id": 2}')},
	"SELECT * FROM s_batch('{1,2,3}', '{1,2}')",
	'SET featurestore.track_lookups = off; SELECT * FROM s(1, 2)');
is(counts($primary, 's'), 't|0|0|0|0|0|', 'explain_lookup, failed lookups and those with track_lookups off do not count');
my ($status, undef, $err) = $primary->psql('postgres', 'SET ROLE app; SET featurestore.track_lookups = off');
like($err, qr/permission denied to set parameter "featurestore.track_lookups"/, 'turning it off is not for everybody');

# Lag
$primary->safe_psql('postgres', "SELECT * FROM aged(1, 1); SELECT * FROM aged_batch('{1,2}', '{1,2}', now() + interval '2 hours'); SELECT * FROM aged(1, 1, now() + interval '2 hours')");
is(counts($primary, 'aged'), 't|3|4|5|0|2|0', 'lookups of a table with too much lag, which is not probed then');

# Times: of many fast ones and a few slow ones
$primary->safe_psql('postgres', <<'END');
CREATE FUNCTION pause(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(x / 1000.0); RETURN x; END';
SELECT featurestore.create_feature_spec('slow', ARRAY[featurestore.lookup('users', '{user_id}'), featurestore.request_field('ms', 'int'),
	featurestore.feature_function('pause(int)', '{"x": "ms"}', 'paused')]);
SELECT count(*) FROM (SELECT (slow(i, 0)).* FROM generate_series(1, 97) AS i OFFSET 0) AS c;
SELECT count(*) FROM (SELECT (slow(i, 64)).* FROM generate_series(1, 3) AS i OFFSET 0) AS c;
END
my ($p50, $p99) = split /\|/, $primary->safe_psql('postgres', "SELECT p50, p99 FROM featurestore.lookup_stats WHERE spec = 'slow'::regclass");
cmp_ok($p50, '>', 0, 'the median is a time');
cmp_ok($p50, '<', 60, 'shorter than the slow ones');
cmp_ok($p99, '>=', 60, 'the 99th of a hundred is a slow one');
cmp_ok($p99, '<', 2000, 'and its time is plausible');
is($primary->safe_psql('postgres', "SELECT since BETWEEN now() - interval '10 minutes' AND now() FROM featurestore.lookup_stats WHERE spec = 'slow'::regclass"), 't', 'since when');

# Sessions and parallel workers add up
reset_counts();
my @sessions = map { $primary->background_psql('postgres') } 1 .. 4;
$sessions[ $_ % 4 ]->query_safe('SELECT count(*) FROM (SELECT s(i, 1) FROM generate_series(1, 100) AS i OFFSET 0) AS c') foreach 1 .. 20;
$_->quit foreach @sessions;
is(counts($primary, 's'), 't|2000|2000|4000|0|0|0', 'sessions add up');
reset_counts();
my $plan = $primary->safe_psql('postgres', <<'END');
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
SET parallel_leader_participation = off;
EXPLAIN (ANALYZE, COSTS off, TIMING off) SELECT sum(length(s_matrix(ARRAY[user_id], '{1}'))) FROM users;
END
like($plan, qr/Workers Launched: [12]\n.*Partial Aggregate/s, 'a query runs lookups in parallel workers');
is(counts($primary, 's'), 't|3000|3000|6000|0|0|0', 'which count');
my $log = $primary->pgbench('-n -c 4 -j 2 -t 500', 0, [qr/number of transactions actually processed: 2000/], [qr/^$/], 'four clients at once',
	{ 'lookup_stats' => "SELECT * FROM s(1, 2);\n" });
is(counts($primary, 's'), 't|5000|5000|10000|0|0|0', 'and clients at the same time');

# Another database has counts of its own, and a reset of its own
$primary->safe_psql('postgres', 'CREATE DATABASE other');
$primary->safe_psql('other', <<'END');
CREATE EXTENSION featurestore;
CREATE TABLE users (user_id int PRIMARY KEY, age int);
SELECT featurestore.create_feature_spec('o', ARRAY[featurestore.lookup('users', '{user_id}')]);
SELECT * FROM o(1);
SELECT * FROM o(2);
SELECT featurestore.lookup_stats_reset();
SELECT * FROM o(2);
END
is($primary->safe_psql('other', 'SELECT spec::text, calls, misses FROM featurestore.lookup_stats'), 'o|1|1', 'another database');
is(counts($primary, 's'), 't|5000|5000|10000|0|0|0', 'leaves the first alone');

# Whose the reset is
($status, undef, $err) = $primary->psql('postgres', 'SET ROLE app; SELECT featurestore.lookup_stats_reset()');
like($err, qr/permission denied for function lookup_stats_reset/, 'not everybody resets');
$primary->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION featurestore.lookup_stats_reset() TO app; SET ROLE app; SELECT featurestore.lookup_stats_reset()');
is(counts($primary, 's'), 't|0|0|0|0|0|', 'but who was granted it');
is($primary->safe_psql('postgres', 'SET ROLE app; SELECT count(*) FROM featurestore.lookup_stats'), '3', 'everybody sees');

# Six slots: s, aged, slow and o have one; t4 and t5 get the last
$primary->safe_psql('postgres', "SELECT featurestore.create_feature_spec('t' || i, ARRAY[featurestore.lookup('users', '{user_id}')]) FROM generate_series(4, 8) AS i");
$primary->safe_psql('postgres', join ';', map { "SELECT * FROM t$_(1)" } 4 .. 8);
is($primary->safe_psql('postgres', "SELECT spec::text, calls, untracked FROM featurestore.lookup_stats WHERE spec::text ~ '^t' ORDER BY 1"),
	"t4|1|3\nt5|1|3\nt6||3\nt7||3\nt8||3", 'lookups without a place are told of, and are not called none');
$primary->safe_psql('postgres', "SELECT featurestore.drop_feature_spec('t5')");
is($primary->safe_psql('postgres', "SELECT count(*) FROM featurestore.lookup_stats WHERE spec::text = 't5'"), '0', 'a dropped spec is not shown');
ok($primary->poll_query_until('postgres', "SELECT calls IS NOT NULL FROM featurestore.lookup_stats, t7(1) WHERE spec = 't7'::regclass"), 'and its place is taken by the next');
is(counts($primary, 't4'), 't|1|1|1|0|0|0', 'while the others keep theirs');
$primary->safe_psql('postgres', 'DROP DATABASE other');
ok($primary->poll_query_until('postgres', "SELECT calls IS NOT NULL FROM featurestore.lookup_stats, t8(1) WHERE spec = 't8'::regclass"), 'so is that of a dropped database');
# in one session, whose specs remember their slots
$primary->safe_psql('postgres', <<'END');
SELECT * FROM t7(1);
SELECT * FROM t8(1);
SELECT featurestore.drop_feature_spec('t7');
SELECT pg_sleep(1.1);
SELECT * FROM t6(1);
SELECT * FROM t6(1);
SELECT * FROM t8(1);
END
is($primary->safe_psql('postgres', "SELECT calls FROM featurestore.lookup_stats WHERE spec = 't6'::regclass"), '2', 'a place that has changed hands');

# A spec replaced in place goes on; one of a crash begins anew
$primary->safe_psql('postgres', "SELECT featurestore.create_feature_spec('t4', ARRAY[featurestore.lookup('users', '{user_id}', default_values => '{\"age\": 1}')], replace => true); SELECT * FROM t4(1)");
is(counts($primary, 't4'), 't|2|2|2|0|0|0', 'a spec replaced in place');

# A standby counts its own
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
is(counts($standby, 's'), 't|0|||||', 'a standby begins at 0');
$standby->safe_psql('postgres', "SELECT * FROM s(1, 9999); SET featurestore.enable_direct_lookup = off; SELECT * FROM s(1, 2)");
is(counts($standby, 's'), 't|2|2|4|1|0|0.5', 'counts');
$standby->safe_psql('postgres', 'SELECT featurestore.lookup_stats_reset()');
is(counts($standby, 's'), 't|0|0|0|0|0|', 'and resets');
is(counts($primary, 's'), 't|0|0|0|0|0|', 'the primary has its own');
$standby->safe_psql('postgres', 'SELECT * FROM s(1, 2)');
$standby->promote;
is(counts($standby, 's'), 't|1|1|2|0|0|0', 'a promotion keeps the counts');
$standby->stop;

# A backend that dies takes the counts with it, as all of shared memory
$primary->safe_psql('postgres', 'SELECT * FROM s(1, 2)');
is(counts($primary, 's'), 't|1|1|2|0|0|0', 'before a crash');
$primary->append_conf('postgresql.conf', 'restart_after_crash = on');
$primary->reload;
my $victim = $primary->background_psql('postgres', on_error_stop => 0);
my $pid = $victim->query_safe('SELECT pg_backend_pid()');
kill 'KILL', $pid;
ok($primary->poll_query_until('postgres', "SELECT calls = 0 FROM featurestore.lookup_stats WHERE spec = 's'::regclass"), 'a crash empties the table');
eval { $victim->quit };
$primary->safe_psql('postgres', 'SELECT * FROM s(1, 2)');
is(counts($primary, 's'), 't|1|1|2|0|0|0', 'and counting goes on');

# Without preloading there is nothing to see, and the setting is refused with a warning
$primary->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$primary->restart;
$primary->safe_psql('postgres', 'SELECT * FROM s(1, 2)');
is(counts($primary, 's'), 'f||||||', 'without preloading nothing is counted, and it says so');
ok(!$primary->log_contains('TRAP:|PANIC'), 'nothing crashed by itself');
$primary->stop;
done_testing();
