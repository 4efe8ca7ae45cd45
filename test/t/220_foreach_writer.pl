# Four writers like Spark's foreachBatch write batches of 500 rows at once, half
# of them as arrays, half as json.  They are killed at random and begin again
# where they believe they were, repeat batches, and lose the server once.  In the
# end each batch has been written once: the totals are exact.  A dump takes with
# it what was written, and that it was.

use strict;
use warnings;

use FindBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $version = `python3 -c "import psycopg; print(psycopg.__version__)" 2>/dev/null`;
plan skip_all => 'python3-psycopg is not here' unless $version && $version =~ /^3/;

my $writers = 4;
my $batches = $ENV{FS_FOREACH_BATCHES} // 200;
my $kills = $ENV{FS_FOREACH_KILLS} // 12;
my $script = "$FindBin::RealBin/foreach_writer.py";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "timezone = 'UTC'\nfsync = on\ndeadlock_timeout = 100ms");
$node->start;
$node->safe_psql('postgres', <<'END');
CREATE EXTENSION featurestore;
CREATE SCHEMA fw;
CREATE TABLE fw.totals (id int PRIMARY KEY, at timestamptz, clicks bigint, spent numeric(14,2), top int, plan text, rows featurestore.agg_state) WITH (fillfactor = 80);
SELECT featurestore.create_online_table('fw.totals', '{"clicks": "add", "spent": "add", "top": "max", "plan": "last", "rows": {"rule": "accumulate", "function": "count"}}',
	'{"n": {"column": "rows", "function": "count"}}', 'at');
SELECT featurestore.create_feature_spec('fw.spec', ARRAY[featurestore.lookup('fw.totals', '{id}')]);
END

my $directory = PostgreSQL::Test::Utils::tempdir;
my %running;

sub start_writer
{
	my ($writer) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		open(STDERR, '>>', "$directory/$writer.err");
		exec('python3', $script, 'run', $node->connstr('postgres'), $writer, $batches, "$directory/$writer.last") or POSIX::_exit(127);
	}
	$running{$pid} = $writer;
	return $pid;
}

# Those that have ended; with a signal they are started again, unless it is not time for that
my $failed = 0;

sub reap
{
	foreach my $pid (keys %running)
	{
		next unless waitpid($pid, POSIX::WNOHANG()) == $pid;
		my $writer = delete $running{$pid};
		$failed++ if $? != 0 && $? != 9;
		start_writer($writer) if $? == 9;
	}
}

my $began = time;
start_writer($_) foreach 0 .. $writers - 1;
my $killed = 0;
my $crashed = 0;
while (%running && time - $began < 300)
{
	sleep(0.1 + rand(0.3));
	reap();
	my @pids = keys %running;
	if (@pids && $killed < $kills)
	{
		kill('KILL', $pids[ rand @pids ]);
		$killed++;
	}
	if (!$crashed && $killed >= $kills / 2)
	{
		$node->stop('immediate');
		$node->start;
		$crashed = 1;
	}
}
kill('KILL', $_) && waitpid($_, 0) foreach keys %running;
is(scalar(keys %running), 0, 'all writers came to their end');
is($failed, 0, 'and none of them failed') or diag(`cat $directory/*.err`);
is("$killed $crashed", "$kills 1", 'writers were killed, and the server');
is($node->safe_psql('postgres', 'SELECT count(*), sum(rows_given) FROM featurestore.write_batches'), $writers * $batches . '|' . $writers * $batches * 500, 'each batch was written');

# What all of them come to
my $expected = `python3 $script expect $writers $batches`;
PostgreSQL::Test::Utils::append_to_file("$directory/expected", $expected);
chmod(0644, "$directory/expected");
$node->safe_psql('postgres', "CREATE TABLE fw.expected (id int, at timestamptz, clicks bigint, spent numeric(14,2), top int, plan text, n bigint);");
$node->safe_psql('postgres', "\\copy fw.expected FROM '$directory/expected'");
my $compare = <<'END';
SELECT (SELECT count(*) FROM fw.expected), (SELECT count(*) FROM (TABLE fw.expected EXCEPT TABLE held) AS d), (SELECT count(*) FROM (TABLE held EXCEPT TABLE fw.expected) AS d)
END
my $held = 'WITH held AS (SELECT id, at, clicks, spent, top, plan, featurestore.agg_value(rows, \'count\', NULL::bigint) FROM fw.totals) ';
is($node->safe_psql('postgres', $held . $compare), '300|0|0', 'the totals are exact');
is($node->safe_psql('postgres', 'SELECT count(*) FROM fw.expected e, LATERAL fw.spec(e.id) AS s WHERE s.n = e.n AND s.clicks = e.clicks'), '300', 'and are served');

# A copy of the database has what was written, and knows that it was
my @copy = ('-d', $node->connstr('copy'));
command_ok([ 'pg_dump', '--no-sync', '-Fc', '-f', "$directory/dump", '-d', $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
command_ok([ 'pg_restore', '-e', '-j2', @copy, "$directory/dump" ], 'pg_restore');
is($node->safe_psql('copy', $held . $compare), '300|0|0', 'totals of the copy');
is($node->safe_psql('copy', 'SELECT count(*) FROM featurestore.write_batches'), $writers * $batches, 'batches of the copy');
is($node->safe_psql('copy', 'SELECT merge, outputs, timeseries_column, allow_duplicates FROM featurestore.online_table'),
	$node->safe_psql('postgres', 'SELECT merge, outputs, timeseries_column, allow_duplicates FROM featurestore.online_table'), 'definition of the copy');
foreach my $writer (0, 1)
{
	unlink("$directory/$writer.last");
	is(system('python3', $script, 'run', $node->connstr('copy'), $writer, 2, "$directory/$writer.last"), 0, "writer $writer repeats what it wrote");
}
is($node->safe_psql('copy', $held . $compare), '300|0|0', 'which changes nothing');
my (undef, undef, $err) = $node->psql('copy', 'UPDATE fw.totals SET clicks = 0');
like($err, qr/cannot be updated/, 'columns of the copy are guarded');
is($node->safe_psql('copy', "SELECT rows_written FROM fw.totals_write('{1}', '{2024-01-01}', '{1}', '{1}', '{1}', '{x}', 'new')"), '1', 'new batches are written');
$node->safe_psql('copy', 'DROP TABLE fw.totals CASCADE');
is($node->safe_psql('copy', "SELECT count(*) FROM pg_proc WHERE proname = 'totals_write'"), '0', 'the writer function goes with its table there, too');

ok(!$node->log_contains('TRAP:|PANIC'), 'nothing crashed by itself');
$node->stop;
done_testing();
