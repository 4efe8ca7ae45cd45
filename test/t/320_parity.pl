# On a healthy store nothing is a BUG: while clients write, with savepoints that
# stay open for a while, a worker applies and others look up, what was logged is
# what training gives, but for rows that came later and lag; so is what a client
# logged of a standby.  What is broken on purpose is found.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<'END');
timezone = 'UTC'
shared_preload_libraries = 'featurestore'
featurestore.serve_log_size = '16MB'
restart_after_crash = on
END
$primary->start;

sub run { return $primary->safe_psql('postgres', $_[0]); }

run(<<'END');
CREATE EXTENSION featurestore;
CREATE SCHEMA rec;
CREATE TABLE rec.clicks (user_id int, at timestamptz, n float8);
INSERT INTO rec.clicks SELECT i % 40, now() - i * interval '1 minute', i / 7.0::float8 FROM generate_series(1, 4000) AS i;
CREATE INDEX ON rec.clicks (user_id, at);
CREATE TABLE rec.orders (LIKE rec.clicks);
CREATE INDEX ON rec.orders (user_id, at);
CREATE TABLE rec.prices (user_id int, at timestamptz, price float8, PRIMARY KEY (user_id, at));
INSERT INTO rec.prices SELECT i % 40, now() - i * interval '1 minute', i / 7.0::float8 FROM generate_series(1, 400) AS i;
SELECT featurestore.register_feature(format('rec.%s_%s', t, f), ('rec.' || t)::regclass, '{user_id}', 'at', f, CASE WHEN f <> 'count' THEN 'n' END, featurestore.rolling_window('1 day'))
	FROM unnest('{clicks,orders}'::text[]) AS t, unnest('{sum,count,avg,max,stddev_pop}'::text[]) AS f;
SELECT featurestore.materialize_features(ARRAY(SELECT feature::text FROM featurestore.features WHERE source_table = 'rec.clicks'::regclass), 'rec.continuous', publish_mode => 'CONTINUOUS');
SELECT featurestore.materialize_features(ARRAY(SELECT feature::text FROM featurestore.features WHERE source_table = 'rec.orders'::regclass), 'rec.synchronous', publish_mode => 'SYNCHRONOUS');
SELECT featurestore.publish_table('rec.prices', 'rec.newest', publish_mode => 'CONTINUOUS');
SELECT featurestore.create_feature_spec('rec.s', ARRAY[featurestore.feature(ARRAY(SELECT feature::text FROM featurestore.features)), featurestore.lookup('rec.newest', '{user_id}'),
	featurestore.lookup('rec.prices', '{user_id}', rename_outputs => '{"price": "asked"}'),
	featurestore.expression('clicks_sum - orders_sum', 'both')]);
SELECT featurestore.log_lookups('rec.s', 1);
END

# What verify_parity says, added up
sub verdict
{
	my ($node, $arguments) = @_;
	return $node->safe_psql('postgres', "SELECT sum(checked) > 0, sum(checked) - sum(equal) - sum(late) - sum(lag), sum(mutated), sum(unknown), sum(bug) FROM featurestore.verify_parity($arguments)");
}

# Why it is not what it should be
sub examples
{
	my ($node, $arguments) = @_;
	diag($node->safe_psql('postgres', "SELECT * FROM featurestore.verify_parity($arguments) WHERE bug + unknown + mutated > 0"));
}

my %scripts = (
	'write@2' => <<'END',
\set id random(0, 39)
\set age random(0, 20)
BEGIN;
INSERT INTO rec.clicks VALUES (:id, clock_timestamp() - :age * interval '1 millisecond', :age / 3.0);
SAVEPOINT a;
INSERT INTO rec.clicks VALUES (:id, clock_timestamp(), :age / 9.0);
INSERT INTO rec.orders VALUES (:id, clock_timestamp() - :age * interval '1 millisecond', :age / 3.0);
\sleep 5 ms
SAVEPOINT b;
INSERT INTO rec.prices VALUES (:id, clock_timestamp(), :age) ON CONFLICT DO NOTHING;
ROLLBACK TO b;
INSERT INTO rec.prices VALUES (:id, clock_timestamp(), :age / 9.0) ON CONFLICT DO NOTHING;
\sleep 5 ms
COMMIT;
END
	'late@1' => <<'END',
\set id random(0, 39)
INSERT INTO rec.prices VALUES (:id, clock_timestamp() - interval '1 seconds', 1) ON CONFLICT DO NOTHING;
INSERT INTO rec.orders VALUES (:id, clock_timestamp() + interval '20 milliseconds', 1);
INSERT INTO rec.clicks VALUES (:id, clock_timestamp() - interval '1 seconds', 1);
\sleep 50 ms
END
	'look_up@6' => <<'END');
\set id random(0, 44)
SELECT * FROM rec.s(:id);
\sleep 5 ms
END

$primary->pgbench('-n -c 6 -j 2 -T 6', 0, [qr/number of failed transactions: 0|number of transactions/], [qr/^$/], 'clients write and look up', \%scripts);
ok($primary->poll_query_until('postgres', 'SELECT waiting = 0 FROM featurestore._serve_log_state()'), 'what they got is logged');
is(run('SELECT lost FROM featurestore._serve_log_state()'), 0, 'all of it');
cmp_ok(run('SELECT count(*) FROM rec.s_log'), '>', 200, 'and that is much');
is(verdict($primary, "'rec.s', 300, 'rec.s_log'"), 't|0|0|0|0', 'all is equal, late or a lag') or examples($primary, "'rec.s', 300, 'rec.s_log'");
my $counts = run("SELECT sum(equal) * 10 > sum(checked) * 5, sum(late) > 0, sum(lag) FILTER (WHERE output ~ 'orders|asked') FROM featurestore.verify_parity('rec.s', 300, 'rec.s_log')");
is($counts, 't|t|0', 'most is equal, some is late, and nothing lags that transactions apply themselves');
is(verdict($primary, "'rec.s'"), 't|0|0|0|0', 'so it is of what is looked up now') or examples($primary, "'rec.s'");

# A standby, whose lookups a client logs
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
run('TRUNCATE rec.s_log; SELECT featurestore.log_lookups(\'rec.s\', 0)');
my $writer = $primary->background_psql('postgres');
$writer->query_safe("BEGIN; SAVEPOINT a; INSERT INTO rec.clicks SELECT i, clock_timestamp() - interval '1 minute', 100 FROM generate_series(0, 19) AS i; INSERT INTO rec.prices SELECT i, clock_timestamp(), 3 FROM generate_series(0, 19) AS i;");
run("INSERT INTO rec.orders SELECT i, clock_timestamp(), 7 FROM generate_series(0, 39) AS i");
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
my $got = $standby->safe_psql('postgres', q{SELECT jsonb_agg(j) FROM featurestore.feature_lookup_json('rec.s', jsonb_build_object('user_id', ARRAY(SELECT generate_series(0, 41))), metadata => true) AS j});
$writer->query_safe('COMMIT');
$writer->quit;
run("INSERT INTO rec.s_log SELECT v.* FROM jsonb_array_elements('" . ($got =~ s/'/''/gr) . "') AS j, featurestore.served_vector(j) AS v");
is(run('SELECT count(*) FROM rec.s_log'), 42, 'a client has logged what a standby gave');
is(verdict($primary, "'rec.s', log => 'rec.s_log'"), 't|0|0|0|0', 'which is what training gives, but for what came later') or examples($primary, "'rec.s', log => 'rec.s_log'");
is(run("SELECT late FROM featurestore.verify_parity('rec.s', log => 'rec.s_log') WHERE output = 'clicks_count'"), 20, 'that of a transaction which had not ended is late');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is(verdict($standby, "'rec.s', log => 'rec.s_log'"), 't|0|0|0|0', 'as the standby says, too') or examples($standby, "'rec.s', log => 'rec.s_log'");
is(verdict($standby, "'rec.s', 100"), 't|0|0|0|0', 'and of what is looked up there now') or examples($standby, "'rec.s', 100");
$standby->stop;

# Broken on purpose: a row of the online table that is another's, and one that is lost
run("SELECT featurestore.stop_worker()");
my $columns = run("SELECT string_agg(format('%1\$I = o.%1\$I', attname), ', ') FROM pg_attribute WHERE attrelid = 'rec.synchronous'::regclass AND attnum > 1 AND NOT attisdropped");
run("SET featurestore.guard_merge_rules = off; UPDATE rec.synchronous AS s SET $columns FROM rec.synchronous AS o WHERE s.user_id = 5 AND o.user_id = 6; DELETE FROM rec.synchronous WHERE user_id = 7");
is(run("SELECT string_agg(output, ' ' ORDER BY output), min(bug), max(bug), sum(unknown) FROM featurestore.verify_parity('rec.s') WHERE checked <> equal AND output ~ 'orders_(sum|count)'"),
	'orders_count orders_sum|2|2|0', 'a state that is broken, and one that is lost, are found');
run("SELECT featurestore.log_lookups('rec.s', 1)");
run("SELECT * FROM rec.s_batch('{4,5,6,7,8}')");
run("CALL featurestore.rebuild('rec.synchronous'); SELECT featurestore.start_worker()");
ok($primary->poll_query_until('postgres', 'SELECT waiting = 0 FROM featurestore._serve_log_state()'), 'they are served and logged');
is(run("SELECT checked, bug FROM featurestore.verify_parity('rec.s', 5, 'rec.s_log') WHERE output = 'orders_sum'"), '5|2', 'found also after they are mended');
is(run("SELECT sum(bug) FROM featurestore.verify_parity('rec.s')"), 0, 'and not any more in what is served now');

# What another session has deleted that did not yet report it is no bug; nor is it when a crash takes the statistics
run(<<'END');
CREATE TABLE rec.views (LIKE rec.clicks);
INSERT INTO rec.views SELECT i % 40, now() - i * interval '1 minute', i FROM generate_series(1, 400) AS i;
SELECT featurestore.register_feature('rec.views_sum', 'rec.views', '{user_id}', 'at', 'sum', 'n', featurestore.rolling_window('1 day'));
SELECT featurestore.materialize_features('{rec.views_sum}', 'rec.viewed', publish_mode => 'SYNCHRONOUS');
SELECT featurestore.create_feature_spec('rec.v', ARRAY[featurestore.feature('{rec.views_sum}')]);
SELECT featurestore.create_serve_log('rec.v');
INSERT INTO rec.v_log SELECT v.* FROM featurestore.feature_lookup_json('rec.v', '{"user_id": [1,2,3]}', metadata => true) AS j, featurestore.served_vector(j) AS v;
END
my $deleter = $primary->background_psql('postgres');
$deleter->query_safe('SELECT 1; DELETE FROM rec.views WHERE user_id = 2 AND n < 100;');
my $lost_rows = "SELECT checked, equal, bug, unknown FROM featurestore.verify_parity('rec.v', log => 'rec.v_log')";
is(run($lost_rows), '3|2|0|1', 'a row deleted by a session that has not reported it is none to call a bug');
my $crasher = $primary->background_psql('postgres', on_error_stop => 0);
my $pid = $crasher->query_safe('SELECT pg_backend_pid()');
kill 'KILL', $pid;
eval { $_->quit } foreach $deleter, $crasher;
$primary->poll_query_until('postgres', 'SELECT true');
is(run($lost_rows), '3|2|0|1', 'nor is it after a crash');
ok(!$primary->log_contains('TRAP:|PANIC'), 'nothing crashed by itself');
$primary->stop;
done_testing();
