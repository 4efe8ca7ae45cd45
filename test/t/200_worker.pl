# The worker of a database, where the library is not preloaded: commits start it
# and wake it, start_worker and stop_worker rule it, and neither its death nor
# whatever is altered, locked or dropped beside it keeps it from its work, or it
# others from theirs.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'END');
restart_after_crash = on
max_prepared_transactions = 5
featurestore.autostart_worker = on
featurestore.fill_chunk = 100
timezone = 'UTC'
# what users and databases set must not reach the worker
default_transaction_isolation = 'repeatable read'
END
$node->start;

sub run { return $node->safe_psql('postgres', $_[0]); }

# Waits until a query gives true, for at most so many seconds.
sub wait_for
{
	my ($query, $what, $seconds) = @_;
	my $end = time + ($seconds // 20);
	my ($result, $out, $err);
	do
	{
		$result = $node->psql('postgres', $query, stdout => \$out, stderr => \$err) == 0 ? $out : "error: $err";
		return ok(1, $what) if $result eq 't';
		sleep 0.02;
	} while (time < $end);
	fail($what);
	diag("last result of $query: $result");
	return 0;
}

sub worker { return run(q(SELECT coalesce(string_agg(pid::text, ' '), '') FROM pg_stat_activity WHERE backend_type = 'featurestore worker')); }

# Is an online table what its source says?
sub same
{
	my ($online, $source) = @_;
	return "SELECT NOT EXISTS ((TABLE $source EXCEPT TABLE $online) UNION ALL (TABLE $online EXCEPT TABLE $source))";
}

my $log_offset = 0;
sub logged
{
	my ($pattern) = @_;
	return slurp_file($node->logfile, $log_offset) =~ $pattern;
}

#
# Commits start a worker when there is work for one
#
run(<<'SQL');
CREATE EXTENSION featurestore;
CREATE ROLE w_owner LOGIN;
CREATE SCHEMA w AUTHORIZATION w_owner;
ALTER DATABASE postgres SET default_transaction_read_only = off;
SET SESSION AUTHORIZATION w_owner;
SET search_path = w;
CREATE TABLE users (id int PRIMARY KEY, v int);
INSERT INTO users SELECT i, i FROM generate_series(1, 1000) AS i;
SELECT featurestore.publish_table('users', 'by_hand');
INSERT INTO users VALUES (1001, 1);
SQL
sleep 0.3;
is(worker(), '', 'what is TRIGGERED starts no worker');
is(run('SELECT featurestore._is_worker_running()'), 'f', 'and none runs');

run("SET SESSION AUTHORIZATION w_owner; SET search_path = w; SELECT featurestore.publish_table('users', 'live', 'CONTINUOUS')");
wait_for('SELECT featurestore._is_worker_running()', 'a publication that is CONTINUOUS does');
my $first = worker();
like($first, qr/^\d+$/, 'one');
is(run('SELECT pid FROM featurestore.worker'), $first, 'which says who it is');
is(run("SELECT application_name FROM pg_stat_activity WHERE pid = $first"), 'featurestore worker', 'in pg_stat_activity, too');

run('INSERT INTO w.users VALUES (1002, 2); UPDATE w.users SET v = -1 WHERE id = 5; DELETE FROM w.users WHERE id = 6');
wait_for(same('w.live', 'w.users'), 'changes are applied as they commit');
is(run('SELECT count(*) FROM w.by_hand WHERE id > 1000'), '0', 'and those of a TRIGGERED publication are not');

# changed in a session that knows the worker: it is woken, not found by polling
my $session = $node->background_psql('postgres');
$session->query_safe('SET search_path = w');
$session->query_safe('INSERT INTO users VALUES (2000, 0)');
sleep 3;
my @waits;
foreach my $i (1 .. 20)
{
	my $started = time;
	$session->query_safe("UPDATE users SET v = $i WHERE id = 2000");
	1 until $session->query_safe('SELECT v FROM live WHERE id = 2000') eq $i || time > $started + 5;
	push @waits, time - $started;
	sleep 0.05;
}
@waits = sort { $a <=> $b } @waits;
note sprintf('commit to visible, through psql: median %.1f ms, longest %.1f ms', 1000 * $waits[10], 1000 * $waits[-1]);
cmp_ok($waits[10], '<', 0.25, 'which wakes the worker');

# savepoints, and changes that are undone
run('BEGIN; INSERT INTO w.users VALUES (3000, 1); ROLLBACK; BEGIN; SAVEPOINT a; UPDATE w.users SET v = 0; ROLLBACK TO a; INSERT INTO w.users VALUES (3001, 1); COMMIT');
wait_for(same('w.live', 'w.users'), 'what was rolled back leaves nothing behind');

# nobody knows when a prepared transaction commits
run("BEGIN; INSERT INTO w.users VALUES (3002, 1); PREPARE TRANSACTION 'p'");
sleep 2;
is(run('SELECT count(*) FROM w.live WHERE id = 3002'), '0', 'a prepared transaction is not seen');
run("COMMIT PREPARED 'p'");
wait_for(same('w.live', 'w.users'), 'until it commits', 5);

#
# start_worker and stop_worker
#
is(worker(), $first, 'it is still the first');
my ($ret, $out, $err) = $node->psql('postgres', 'SELECT featurestore.start_worker()');
like($err, qr/NOTICE:  worker of database "postgres" is running already, skipping/, 'it cannot be started twice');
foreach my $function (qw(start_worker stop_worker))
{
	($ret, $out, $err) = $node->psql('postgres', "SET ROLE w_owner; \\set VERBOSITY verbose\nSELECT featurestore.$function()");
	like($err, qr/ERROR:  42501: permission denied to control workers of database "postgres".*HINT:  Only members/s, "not anybody may call $function");
}
run('SELECT featurestore.stop_worker()');
is(worker(), '', 'it can be stopped');
run('INSERT INTO w.users VALUES (4000, 1)');
sleep 1.5;
run('INSERT INTO w.users VALUES (4001, 1)');
sleep 0.3;
is(worker(), '', 'and then commits do not start one');
($ret, $out, $err) = $node->psql('postgres', 'SELECT featurestore.stop_worker()');
like($err, qr/NOTICE:  workers of database "postgres" are stopped already, skipping/, 'it cannot be stopped twice');
$node->restart;
run('INSERT INTO w.users VALUES (4002, 1)');
sleep 0.5;
is(worker(), '', 'nor after a restart');
run('SELECT featurestore.start_worker()');
like(worker(), qr/^\d+$/, 'until it is started');
wait_for(same('w.live', 'w.users'), 'and catches up');

($ret, $out, $err) = $node->psql('template1', "\\set VERBOSITY verbose\nBEGIN; CREATE EXTENSION featurestore; SELECT featurestore.start_worker(); COMMIT");
like($err, qr/ERROR:  55000: worker could not be started/, 'an extension that is being created has no worker');

#
# Deaths
#
my $pid = worker();
kill 'TERM', $pid;
wait_for("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)", 'a worker that is terminated ends');
sleep 1;
run('INSERT INTO w.users VALUES (5000, 1)');
wait_for(same('w.live', 'w.users'), 'and the next commit starts another');
isnt(worker(), $pid, 'which is another');

$pid = worker();
$session->quit;
kill 'KILL', $pid;
$node->poll_query_until('postgres', "SELECT pg_postmaster_start_time() IS NOT NULL AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)");
sleep 0.5;
$node->poll_query_until('postgres', 'SELECT true');
run('INSERT INTO w.users VALUES (5001, 1)');
wait_for(same('w.live', 'w.users'), 'so does the first commit after a crash');

$node->restart;
run('INSERT INTO w.users VALUES (5002, 1)');
wait_for(same('w.live', 'w.users'), 'and after a restart');

#
# What is altered, locked and dropped beside it
#
run('ALTER TABLE w.users ADD COLUMN note text; UPDATE w.users SET v = -7 WHERE id = 7');
wait_for('SELECT v = -7 FROM w.live WHERE id = 7', 'a column that is added to a source');
run('BEGIN; ALTER TABLE w.users DISABLE TRIGGER USER; UPDATE w.users SET v = -8 WHERE id = 8; ALTER TABLE w.users ENABLE TRIGGER USER; COMMIT; UPDATE w.users SET v = -9 WHERE id = 9');
wait_for('SELECT sum(v) = -17 FROM w.live WHERE id IN (8, 9)', 'triggers that were off for a while');
run('ALTER TABLE w.live ADD COLUMN extra int; UPDATE w.users SET v = -10 WHERE id = 10');
wait_for('SELECT v = -10 FROM w.live WHERE id = 10', 'a column that is added to the online table');
run('ALTER TABLE w.live DROP COLUMN extra; ALTER TABLE w.users DROP COLUMN note; UPDATE w.users SET v = -11 WHERE id = 11');
wait_for(same('w.live', 'w.users'), 'and dropped again');

my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE w.live IN SHARE MODE');
run('CREATE TABLE w.other (id int PRIMARY KEY, v int); ' .
	q(ALTER TABLE w.other OWNER TO w_owner; SET ROLE w_owner; SELECT featurestore.publish_table('w.other', 'w.other_live', 'CONTINUOUS')));
run('UPDATE w.users SET v = -12 WHERE id = 12; INSERT INTO w.other VALUES (1, 1)');
wait_for('SELECT count(*) = 1 FROM w.other_live', 'a table that is locked does not hold up others');
is(run('SELECT v FROM w.live WHERE id = 12'), '12', 'while it waits');
run('INSERT INTO w.users VALUES (6000, 1)');
is(run('SELECT count(*) FROM w.live WHERE id = 6000'), '0', 'for its lock');
$locker->query_safe('COMMIT');
wait_for(same('w.live', 'w.users'), 'and has its turn after');
$locker->query_safe('BEGIN; LOCK TABLE w.users IN ACCESS EXCLUSIVE MODE; UPDATE w.users SET v = -13 WHERE id = 13');
run('INSERT INTO w.other VALUES (2, 2)');
wait_for('SELECT count(*) = 2 FROM w.other_live', 'nor does a source that is locked');
$locker->query_safe('COMMIT');
wait_for(same('w.live', 'w.users'), 'whose turn comes, too');
is(run(q(SELECT count(*) FROM featurestore.publish_runs WHERE sqlstate = '55P03')), '0', 'to wait for a lock is no failure');

# one that fails
run(<<'SQL');
SET SESSION AUTHORIZATION w_owner;
SET search_path = w;
CREATE TABLE bad (id int PRIMARY KEY, v int);
SELECT featurestore.publish_table('bad', 'bad_live', 'CONTINUOUS');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '58000'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON bad_live FOR EACH ROW EXECUTE FUNCTION refuse();
INSERT INTO bad VALUES (1, 1);
INSERT INTO other VALUES (3, 3);
SQL
wait_for('SELECT count(*) = 3 FROM w.other_live', 'a publication that fails does not hold up others');
wait_for(q(SELECT count(*) > 0 FROM featurestore.publish_runs WHERE online_table = 'w.bad_live'::regclass AND sqlstate = '58000'), 'is recorded');
ok(logged(qr/WARNING:  publication of w.bad_live failed: no/), 'and logged');
sleep 2.5;
cmp_ok(run(q(SELECT count(*) FROM featurestore.publish_runs WHERE online_table = 'w.bad_live'::regclass AND sqlstate = '58000')), '<=', 3, 'it is not tried again and again');
run('DROP TRIGGER refuse ON w.bad_live');
wait_for('SELECT count(*) = 1 FROM w.bad_live', 'but after a while');

# paused, altered, filled by steps
run(q(SELECT featurestore.pause_publication('w.live')));
run('UPDATE w.users SET v = -14 WHERE id = 14');
sleep 0.3;
is(run('SELECT v FROM w.live WHERE id = 14'), '14', 'nothing is applied to what is paused');
is(run(q(SELECT count(*) FROM featurestore.publish_runs WHERE message ~ 'paused')), '0', 'nor tried');
run(q(SELECT featurestore.resume_publication('w.live')));
wait_for(same('w.live', 'w.users'), 'until it is resumed');
run(q(CALL featurestore.sync('w.by_hand'); UPDATE w.users SET v = -2 WHERE id = 2));
my $snapshot = run(q(SELECT snapshot IS NOT NULL FROM featurestore.publication_position WHERE relation = 'w.by_hand'::regclass));
is($snapshot, 't', 'a TRIGGERED publication has a position');
run(q(SELECT featurestore.alter_publication('w.by_hand', publish_mode => 'CONTINUOUS')));
wait_for(same('w.by_hand', 'w.users'), 'it goes on when it becomes CONTINUOUS');
is(run(q(SELECT string_agg(DISTINCT operation, ' ') FROM featurestore.publish_runs WHERE online_table = 'w.by_hand'::regclass AND id > (SELECT max(id) FROM featurestore.publish_runs WHERE online_table = 'w.by_hand'::regclass AND operation = 'MERGE'))),
	'APPLY', 'without comparing its source');
run(q(SELECT featurestore.alter_publication('w.by_hand', publish_mode => 'TRIGGERED')));
run('UPDATE w.users SET v = -15 WHERE id = 1');
wait_for(same('w.live', 'w.users'), 'one is applied');
isnt(run('SELECT v FROM w.by_hand WHERE id = 1'), '-15', 'and one that is TRIGGERED again is not');
run(q(CALL featurestore.sync('w.by_hand')));
is(run(same('w.by_hand', 'w.users')), 't', 'but by a sync');

run(q(SET SESSION AUTHORIZATION w_owner; SELECT featurestore.publish_table('w.users', 'w.filled', 'CONTINUOUS', wait => false)));
wait_for(same('w.filled', 'w.users'), 'what is not waited for is filled by the worker');
cmp_ok(run(q(SELECT count(*) FROM featurestore.publish_runs WHERE online_table = 'w.filled'::regclass AND operation = 'FILL')), '>', 5, 'in steps');

# external writers, features, a chain
run(<<'SQL');
SET SESSION AUTHORIZATION w_owner;
SET search_path = w;
CREATE TABLE devices (id int PRIMARY KEY, v int);
SELECT featurestore.create_staging_table('devices');
INSERT INTO devices_staging (id, v) SELECT i, i FROM generate_series(1, 10) AS i;
SELECT featurestore.publish_table('live', 'chained', 'CONTINUOUS');
CREATE TABLE clicks (user_id int, at timestamptz, n int);
SELECT featurestore.register_feature('clicked', 'clicks', '{user_id}', 'at', 'sum', 'n', featurestore.rolling_window('1 h'));
SELECT featurestore.materialize_features('{clicked}', 'sums');
INSERT INTO clicks VALUES (1, now() - interval '1 s', 5), (1, now() - interval '2 s', 6);
INSERT INTO clicks VALUES (2, clock_timestamp() + interval '12 s', 7);
INSERT INTO users VALUES (7000, 1);
SQL
wait_for('SELECT count(*) = 10 FROM w.devices', 'a staging table is applied');
wait_for('SELECT clicked = 11 FROM w.sums_values WHERE user_id = 1', 'features are CONTINUOUS unless one says otherwise');
wait_for(same('w.chained', 'w.users'), 'what is published from an online table follows it');
wait_for('SELECT clicked = 7 FROM w.sums_values WHERE user_id = 2', 'what is dated in the future is applied when it is due', 30);

run('DROP TABLE w.live, w.chained, w.bad_live, w.bad CASCADE; INSERT INTO w.other VALUES (4, 4)');
wait_for('SELECT count(*) = 4 FROM w.other_live', 'what is dropped is no longer run');

# several
$node->append_conf('postgresql.conf', 'featurestore.workers = 2');
$node->reload;
my $several = join('; ', map { "CREATE TABLE w.t$_ (id int PRIMARY KEY); SELECT featurestore.publish_table('w.t$_', 'w.o$_', 'CONTINUOUS')" } 1 .. 4);
run($several);
my $end = time + 15;
my $n = 0;
while (time < $end && run('SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE backend_type = \'featurestore worker\'') ne '2')
{
	$n++;
	run(join('; ', map { "INSERT INTO w.t$_ VALUES ($n)" } 1 .. 4));
}
is(run('SELECT count(*) FROM featurestore.worker WHERE slot < 2'), '2', 'there can be two');
run(join('; ', map { "INSERT INTO w.t$_ VALUES (-1)" } 1 .. 4));
wait_for(same("w.o$_", "w.t$_"), "they share the work: table $_") foreach 1 .. 4;
$node->append_conf('postgresql.conf', 'featurestore.workers = 1');
$node->reload;
wait_for(q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'featurestore worker'), 'and then one again');

#
# It gives way
#
$node->safe_psql('postgres', 'CREATE DATABASE doomed');
$node->safe_psql('doomed', q(CREATE EXTENSION featurestore; CREATE TABLE t (id int PRIMARY KEY); SELECT featurestore.publish_table('t', 'o', 'CONTINUOUS'); SELECT featurestore.start_worker()));
sleep 0.6;
my $started = time;
$node->safe_psql('postgres', 'CREATE DATABASE copied TEMPLATE doomed');
cmp_ok(time - $started, '<', 5, 'a database can be copied while its worker runs');
$node->safe_psql('copied', 'INSERT INTO t VALUES (1)');
wait_for('SELECT true', 'the copy', 1);
ok($node->poll_query_until('copied', 'SELECT count(*) = 1 FROM o'), 'has a worker of its own');
$started = time;
$node->safe_psql('postgres', 'ALTER DATABASE copied RENAME TO renamed');
$node->safe_psql('postgres', 'DROP DATABASE renamed');
$node->safe_psql('doomed', 'INSERT INTO t VALUES (1)');
ok($node->poll_query_until('doomed', 'SELECT count(*) = 1 FROM o'), 'the first has one again');
$node->safe_psql('postgres', 'DROP DATABASE doomed');
cmp_ok(time - $started, '<', 15, 'databases can be renamed and dropped');

$pid = worker();
$started = time;
run('DROP EXTENSION featurestore CASCADE');
cmp_ok(time - $started, '<', 5, 'so can the extension');
wait_for(q(SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type ~ 'featurestore')), 'and then the worker ends', 5);
run(q(CREATE EXTENSION featurestore; DROP SCHEMA w CASCADE; CREATE TABLE again (id int PRIMARY KEY); SELECT featurestore.publish_table('again', 'again_live', 'CONTINUOUS')));
run('INSERT INTO again VALUES (1)');
wait_for('SELECT count(*) = 1 FROM again_live', 'created again, it has a worker again');

# what is not of one publication: an extension that is not whole
$log_offset = -s $node->logfile;
run('ALTER FUNCTION featurestore._worker_tasks() RENAME TO _gone');
foreach (1 .. 20) { run("INSERT INTO again VALUES ($_ + 100)"); sleep 0.1; }
my @failures = slurp_file($node->logfile, $log_offset) =~ /ERROR:  function featurestore._worker_tasks\(\) does not exist/g;
run('ALTER FUNCTION featurestore._gone() RENAME TO _worker_tasks');
cmp_ok(scalar(@failures), '>', 0, 'a worker cannot do without the functions of the extension');
cmp_ok(scalar(@failures), '<', 5, 'a worker that cannot work tries again, but not all the time');
wait_for('SELECT count(*) = 21 FROM again_live', 'and goes on when it can');

#
# No process to be had
#
run('SELECT featurestore.stop_worker()');
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
run('UPDATE featurestore.worker SET is_stopped = false');
sleep 0.2;
$log_offset = -s $node->logfile;
run('INSERT INTO again VALUES (2); INSERT INTO again VALUES (3)');
ok(logged(qr/LOG:  out of background worker slots for a featurestore worker.*HINT:  You might need to increase "max_worker_processes"/s), 'a commit without a worker says so');
my @lines = slurp_file($node->logfile, $log_offset) =~ /out of background worker slots/g;
is(scalar(@lines), 1, 'once');
is(run('SELECT count(*) FROM again'), '23', 'and goes on');
($ret, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT featurestore.start_worker()");
like($err, qr/ERROR:  53400: out of background worker slots.*HINT:  You might need to increase "max_worker_processes"/s, 'start_worker fails');
run('CALL featurestore.run_due()');
is(run('SELECT count(*) FROM again_live'), '23', 'what a worker would do a client can');

$node->stop;
my @unexpected = grep { !/terminating background worker|database \d+ does not exist|permission denied|could not be started|out of background worker slots|terminating connection|already exists|in recovery mode|not yet accepting connections|is starting up|_worker_tasks/ }
	slurp_file($node->logfile) =~ /\b(?:ERROR|FATAL|PANIC|TRAP): .*/g;
is(join("\n", @unexpected), '', 'no other errors in the log');

done_testing();
