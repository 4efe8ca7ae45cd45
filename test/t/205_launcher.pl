# The launcher, where the library is preloaded: it starts a worker in each
# database with the extension, those that come later as well, and in none whose
# workers were stopped.  A standby has no workers until it is promoted.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
# commits start no workers, so that all are the launcher's
$primary->append_conf('postgresql.conf', <<'END');
shared_preload_libraries = 'featurestore'
featurestore.autostart_worker = off
restart_after_crash = on
max_worker_processes = 12
timezone = 'UTC'
END
$primary->start;

my $workers = q(SELECT coalesce(string_agg(datname, ' ' ORDER BY datname), '') FROM pg_stat_activity WHERE backend_type = 'featurestore worker' AND state IS NOT NULL);

# Waits until a query gives a result; a database without the extension has a worker for an instant.
sub wait_for
{
	my ($node, $database, $query, $expected, $what, $seconds) = @_;
	my $end = time + ($seconds // 30);
	my $result = '';
	while (time < $end)
	{
		my ($out, $err) = ('', '');
		$result = $node->psql($database, $query, stdout => \$out, stderr => \$err) == 0 ? $out : "error: $err";
		last if $result eq $expected;
		sleep 0.05;
	}
	return is($result, $expected, $what);
}

my $define = q(CREATE EXTENSION featurestore; CREATE TABLE t (id int PRIMARY KEY); SELECT featurestore.publish_table('t', 'o', 'CONTINUOUS'););
my $running = 'SELECT featurestore._is_worker_running()';

is($primary->safe_psql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'featurestore launcher')), '1', 'there is a launcher');
$primary->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(one two plain stopped);
$primary->safe_psql($_, $define) foreach qw(one two stopped);
$primary->safe_psql('stopped', 'SELECT featurestore.stop_worker()');
$primary->restart;
wait_for($primary, 'postgres', $workers, 'one two', 'databases with the extension have workers');
$primary->safe_psql($_, 'INSERT INTO t VALUES (1)') foreach qw(one two stopped);
wait_for($primary, $_, 'SELECT count(*) FROM o', '1', "which work: $_") foreach qw(one two);
sleep 6;
is($primary->safe_psql('postgres', $workers), 'one two', 'and others have none');
is($primary->safe_psql('stopped', 'SELECT count(*) FROM o'), '0', 'one whose workers were stopped neither');
$primary->safe_psql('stopped', 'SELECT featurestore.start_worker()');
wait_for($primary, 'stopped', 'SELECT count(*) FROM o', '1', 'until they are started');

# a database that is new, one that is dropped
$primary->safe_psql('postgres', 'CREATE DATABASE late');
$primary->safe_psql('late', $define);
wait_for($primary, 'late', $running, 't', 'a database that is created later has one, too', 60);
$primary->safe_psql('late', 'INSERT INTO t VALUES (1)');
wait_for($primary, 'late', 'SELECT count(*) FROM o', '1', 'which works');
my $started = time;
$primary->safe_psql('postgres', 'DROP DATABASE late');
cmp_ok(time - $started, '<', 5, 'it can be dropped');

# the death of a worker, and of all
my $pid = $primary->safe_psql('one', 'SELECT pid FROM featurestore.worker WHERE slot = 0');
sleep 10;
kill 'TERM', $pid;
$primary->safe_psql('one', 'INSERT INTO t VALUES (2)');
wait_for($primary, 'one', 'SELECT count(*) FROM o', '2', 'one that is terminated is replaced');
isnt($primary->safe_psql('one', 'SELECT pid FROM featurestore.worker WHERE slot = 0'), $pid, 'by another');
$pid = $primary->safe_psql('two', 'SELECT pid FROM featurestore.worker WHERE slot = 0');
kill 'KILL', $pid;
sleep 0.5;
$primary->poll_query_until('two', 'SELECT true');
wait_for($primary, 'postgres', $workers, 'one stopped two', 'after a crash all are started again');

# the extension
$primary->safe_psql('two', 'DROP EXTENSION featurestore CASCADE');
wait_for($primary, 'postgres', $workers, 'one stopped', 'without the extension there is no worker', 10);

#
# A standby
#
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'featurestore.autostart_worker = on');
$standby->start;
$primary->safe_psql('one', 'INSERT INTO t VALUES (3)');
wait_for($primary, 'one', 'SELECT count(*) FROM o', '3', 'the primary applies');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is($standby->safe_psql('one', 'SELECT count(*) FROM o'), '3', 'for the standby, too');
is($standby->safe_psql('one', q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'featurestore')), '0', 'which has no workers');
is($standby->safe_psql('one', $running), 'f', 'and says so');
foreach my $function (qw(start_worker stop_worker))
{
	my ($ret, $out, $err) = $standby->psql('one', "\\set VERBOSITY verbose\nSELECT featurestore.$function()");
	like($err, qr/ERROR:  25006: workers do not run during recovery\n.*HINT:  Once this server is promoted/s, "$function is refused");
}
$primary->stop('immediate');
$standby->promote;
wait_for($standby, 'postgres', $workers, 'one stopped', 'once promoted it has workers');
$standby->safe_psql('one', 'INSERT INTO t VALUES (4)');
wait_for($standby, 'one', 'SELECT count(*) FROM o', '4', 'which work');
$standby->stop;

#
# More databases than processes
#
$primary->append_conf('postgresql.conf', 'max_worker_processes = 3');
$primary->start;
sleep 1;
my $log = slurp_file($primary->logfile);
$primary->safe_psql('postgres', 'CREATE DATABASE three');
$primary->safe_psql('three', $define);
ok($primary->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'featurestore worker' AND datname IN ('one', 'stopped', 'three'))),
	'as many workers run as can');
sleep 6;
my @complaints = slurp_file($primary->logfile) =~ /featurestore launcher.*LOG:  out of background worker slots|LOG:  out of background worker slots for a featurestore worker/g;
is(scalar(@complaints), 1, 'and the launcher says once that there are no more');
$primary->stop;

my @unexpected = grep { !/terminating background worker|database \d+ does not exist|terminating connection|terminating walreceiver|could not receive data|could not connect|streaming replication|recovery mode|shutting down|starting up|workers do not run during recovery|not yet accepting|base\/\d+/ }
	(slurp_file($primary->logfile) . slurp_file($standby->logfile)) =~ /\b(?:ERROR|FATAL|PANIC|TRAP|WARNING): .*/g;
is(join("\n", @unexpected), '', 'no other errors in the logs');

done_testing();
