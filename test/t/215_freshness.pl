# Freshness on a primary and a hot standby: workers that are there or not, a
# standby that is behind, and lookups that bound the lag.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
# the primary says every three seconds that nothing is new
$primary->append_conf('postgresql.conf', "timezone = 'UTC'\nautovacuum = off\nfeaturestore.autostart_worker = off\nwal_sender_timeout = '6s'");
$primary->start;

$primary->safe_psql('postgres', <<'END');
CREATE EXTENSION featurestore;
CREATE SCHEMA f;
CREATE TABLE f.source (id int PRIMARY KEY, v int);
INSERT INTO f.source VALUES (1, 1);
SELECT featurestore.publish_table('f.source', 'f.continuous', 'CONTINUOUS');
SELECT featurestore.publish_table('f.source', 'f.compared', 'SNAPSHOT', schedule => '* * * * * ?');
SELECT featurestore.publish_table('f.source', 'f.seldom', schedule => '0 0 1 1 *');
CREATE TABLE f.direct (id int PRIMARY KEY, at timestamptz);
SELECT featurestore.create_online_table('f.direct', timeseries_column => 'at');
SELECT featurestore.create_feature_spec('f.s', ARRAY[featurestore.lookup('f.continuous', '{id}', max_lag => '1 hour')], with_status => true);
SELECT featurestore.create_feature_spec('f.prompt', ARRAY[featurestore.lookup('f.continuous', '{id}', max_lag => '10 s')], with_status => true);
CREATE FUNCTION f.make_old(age interval) RETURNS void LANGUAGE sql AS $$
	UPDATE featurestore.publication_position SET applied_to = applied_to - age, synced_at = synced_at - age WHERE relation = 'f.continuous'::regclass $$;
END
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = '1s'\nwal_retrieve_retry_interval = '200ms'");
$standby->start;

sub catch_up { $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert')); }
sub ask { return $_[0]->safe_psql('postgres', $_[1]); }
sub on_primary { ask($primary, $_[0]); catch_up(); }

# How a table is, without what moves
sub fresh
{
	my ($node, $table) = @_;
	return ask($node, "SELECT state, lag < '10 s', pending, reason FROM featurestore.freshness WHERE online_table = 'f.$table'::regclass");
}
sub both_are
{
	my ($table, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(fresh($primary, $table), $expected, "$name, on the primary");
	is(fresh($standby, $table), $expected, "$name, on the standby");
}
# The same of a change, which a slow machine may have made old meanwhile: then it is made new again
sub both_are_in_time
{
	my ($table, $expected, $name) = @_;
	for (1 .. 10)
	{
		last if fresh($primary, $table) eq $expected && fresh($standby, $table) eq $expected;
		on_primary('UPDATE f.source_changes SET _commit_timestamp = now()');
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	both_are($table, $expected, $name);
}
my $status = 'SELECT v, v_status FROM f.s(1)';
sub both_give
{
	my ($query, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(ask($primary, $query), $expected, "$name, on the primary");
	is(ask($standby, $query), $expected, "$name, on the standby");
}

on_primary("SELECT f.make_old('1 day')");
both_are('continuous', 'OK|t|0|', 'nothing has happened since yesterday');
both_are('direct', 'OK|t||', 'a table that is written directly');
both_give($status, '1|PRESENT', 'a lookup with max_lag');
like(ask($standby, q{SELECT featurestore.feature_lookup_json('f.s', '{"id": 1}', NULL, true)->'tables'}), qr/"applied_to"/, 'which says how far the last run came');

# No worker
on_primary('UPDATE f.source SET v = 2');
both_are_in_time('continuous', 'OK|t|1|', 'a change has come');
both_give($status, '1|PRESENT', 'a lookup may miss that');
on_primary("UPDATE f.source_changes SET _commit_timestamp = now() - interval '2 hours'");
is(fresh($primary, 'continuous'), 'LAGGING|f|1|no worker runs in this database; start one with featurestore.start_worker()', 'and waits for a worker');
is(fresh($standby, 'continuous'), 'LAGGING|f|1|changes wait to be applied', 'which is not for the standby to say');
both_give($status, '|STALE', 'a lookup must not miss that');
ask($primary, 'SELECT featurestore.start_worker()');
ok($primary->poll_query_until('postgres', "SELECT pending = 0 FROM featurestore.freshness WHERE online_table = 'f.continuous'::regclass"), 'a worker is started');
ok($primary->poll_query_until('postgres', "SELECT v = 2 FROM f.compared"), 'which goes by schedules, too');
is(ask($primary, 'SELECT v FROM f.seldom'), '1', 'and only by them');
catch_up();
both_are('continuous', 'OK|t|0|', 'with a worker');
both_give($status, '2|PRESENT', 'lookups see what was missing');
ask($primary, 'SELECT featurestore.stop_worker()');

# Paused, and compared again
on_primary("SELECT featurestore.pause_publication('f.continuous'); SELECT f.make_old('1 day')");
both_are('continuous', 'PAUSED|f||it is paused; go on with featurestore.resume_publication()', 'a paused table');
both_give($status, '|STALE', 'and it is as old as its last run');
on_primary("SELECT featurestore.resume_publication('f.continuous')");
is(fresh($primary, 'continuous'), 'RESYNC|f||no worker runs in this database; start one with featurestore.start_worker()', 'a table to be compared');
is(fresh($standby, 'continuous'), 'RESYNC|f||its next run compares the whole source', 'the same on the standby');
on_primary("CALL featurestore.sync('f.continuous')");
both_are('continuous', 'OK|t|0|', 'and it is');

# Stopped
on_primary("ALTER TABLE f.continuous RENAME v TO w");
my ($code, $out, $err) = $primary->psql('postgres', "CALL featurestore.sync('f.continuous')");
like($err, qr/does not exist any more/, 'a run fails');
catch_up();
both_are('continuous', 'STOPPED|t||column "v" of relation f.continuous does not exist any more', 'a stopped table');
on_primary("ALTER TABLE f.continuous RENAME w TO v; CALL featurestore.sync('f.continuous')");
both_are('continuous', 'OK|t|0|', 'mended');

# Rotation is replayed while a transaction on the standby keeps its snapshot
on_primary("SELECT f.make_old('1 day')");
is(ask($standby, "BEGIN ISOLATION LEVEL REPEATABLE READ; $status; COMMIT"), '|STALE', 'how far a kept snapshot is behind the primary is not known');
is(ask($standby, "BEGIN; $status; COMMIT"), '2|PRESENT', 'of others it is');

# A standby that is behind
ok($standby->poll_query_until('postgres', "SELECT v_status = 'PRESENT' FROM f.prompt(1)"), 'the standby hears of the primary often enough');
ask($standby, 'SELECT pg_wal_replay_pause()');
ok($standby->poll_query_until('postgres', "SELECT pg_get_wal_replay_pause_state() = 'paused'"), 'replay is paused');
ask($primary, "UPDATE f.source SET v = 3; CALL featurestore.sync('f.continuous')");
ok($standby->poll_query_until('postgres', "SELECT v_status = 'STALE' FROM f.prompt(1)"), 'a lookup finds it late');
is(ask($primary, 'SELECT v, v_status FROM f.prompt(1)'), '3|PRESENT', 'on the standby only');
ok($standby->poll_query_until('postgres', "SELECT state = 'LAGGING' FROM featurestore.freshness WHERE online_table = 'f.direct'::regclass"), 'a table that is written directly is late, too');
is(fresh($standby, 'continuous'), 'LAGGING|f|0|this standby is behind', 'and so says the view');
is(fresh($primary, 'continuous'), 'OK|t|0|', 'not on the primary');
ask($standby, 'SELECT pg_wal_replay_resume()');
catch_up();
both_are('continuous', 'OK|t|0|', 'the standby has caught up');
ok($standby->poll_query_until('postgres', "SELECT v = 3 AND v_status = 'PRESENT' FROM f.prompt(1)"), 'and lookups find so');

# A primary that is gone: what it has done since is not known
$primary->stop('immediate');
ok($standby->poll_query_until('postgres', "SELECT v_status = 'STALE' FROM f.prompt(1)"), 'a lookup does not trust a primary that is gone');
is(ask($standby, 'SELECT v, v_status FROM f.s(1)'), '3|PRESENT', 'unless it may lag for longer');
$standby->promote;
is(ask($standby, 'SELECT v, v_status FROM f.prompt(1)'), '3|PRESENT', 'the standby is the primary now');
is(fresh($standby, 'continuous'), 'OK|t|0|', 'where the view says so');

ok(!$standby->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed');
$standby->stop;
done_testing();
