# Capture and apply while everything dies at random: the server, appliers,
# writers, their clients.  Whatever was committed is applied once, whatever was
# not is not, and nothing of it stays behind.
#
# In each round four clients write to the sources at random, in transactions of
# all kinds, and two apply, until something is killed.  Prepared transactions
# live on into later rounds.  Every few rounds what is open is resolved, and
# after a sync each online table must equal what SQL over the sources says, and
# states be the bytes of those that a snapshot publication computes.
#
# FS_APPLY_CRASH_SEED repeats a sequence of statements and of what is killed
# when, FS_APPLY_CRASH_ROUNDS is how many rounds.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);
use Writers;

my $seed = $ENV{FS_APPLY_CRASH_SEED} // int(rand(1_000_000));
my $rounds = $ENV{FS_APPLY_CRASH_ROUNDS} // 50;
my $checked_each = 5;
my $writers = 4;
my $applied = "(SELECT applied_to FROM featurestore.publications WHERE online_table = ''TABLE''::regclass)";
note "seed $seed, $rounds rounds";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "${Writers::config}featurestore.autostart_worker = off\nfeaturestore.fill_chunk = 60");
$node->start;

Writers::make($node, 't');

# Rotation at a size that is reached soon, so that it happens all the time
sub applier_script
{
	my @tables = qw(t_accounts_all t_accounts_rich t_newest t_newest_visits t_clicks_w t_both_w devices);
	my @lines;
	for (1 .. 100)
	{
		push @lines, 'SET synchronous_commit = ' . Writers::one_of('on', 'off') . ';' if rand() < 0.1;
		push @lines, rand() < 0.2 ? 'CALL featurestore.run_due();' : sprintf('CALL featurestore.sync(\'cr.%s\');', Writers::one_of(@tables));
		push @lines, Writers::one_of('BEGIN; ', '') . sprintf('SELECT featurestore._rotate(relation, %d) FROM featurestore.staging; COMMIT;', Writers::one_of(0, 8192, 65536)) if rand() < 0.3;
		push @lines, sprintf('CALL featurestore.sync(\'cr.%s\');', Writers::one_of('t_filled', 't_big_w')) if rand() < 0.1;
	}
	return join "\n", @lines, 'SELECT pg_sleep(60);', '';
}

Writers::start_fills($node, 't');
srand($seed);
my %done;
for my $round (1 .. $rounds)
{
	my @clients = ((map { Writers::start_client($node, 'writer', Writers::writer_script()) } 1 .. $writers), (map { Writers::start_client($node, 'applier', applier_script()) } 1 .. 2));
	push @clients, Writers::start_client($node, 'applier', join "\n", map { "CALL featurestore.sync('cr.$_');" } Writers::one_of([ 't_filled', 't_big_w' ], [ 't_big_w', 't_filled' ])->@*);
	sleep 0.7 + rand 2;

	my $end = Writers::one_of(('stop') x 5, ('crash') x 3, 'terminate', 'client');
	$done{$end}++;
	# one that is at work, if there is one
	my $victim = "SELECT pid FROM pg_stat_activity WHERE application_name = 'applier' ORDER BY state <> 'active', md5(pid::text) LIMIT 1";
	Writers::finish($node, $end, $victim, 'wal_level = ' . Writers::one_of('minimal', 'replica'), @clients);

	if ($round % $checked_each == 0 || $round == $rounds)
	{
		Writers::resolve($node);
		# An event is held while it is further ahead than what counts as now
		sleep $node->safe_psql('postgres', $Writers::seconds_ahead);
		Writers::check($node, "round $round", 'true', $applied, 't');
		Writers::start_fills($node, 't') if $round < $rounds;
	}
}
note join ', ', map { "$_ $done{$_}" } sort keys %done;

Writers::check_staging($node);
Writers::check_log($node, $Writers::permitted);
$node->stop;
done_testing();
