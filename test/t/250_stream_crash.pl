# Workers and publications in all modes while everything dies at random: the
# server, workers, appliers, writers, their clients.
#
# It is 100_apply_crash with workers: the same writers, over the same sources
# published in each mode.  In some rounds the library is preloaded, in others a
# commit starts the worker.  When all is resolved the workers must, by themselves,
# bring what is CONTINUOUS, staged by external writers or held to be due in step;
# what is SYNCHRONOUS is so already, without a run.  Then each online table must
# equal what SQL over the sources says, and states be the bytes of those that are
# computed anew.
#
# FS_STREAM_CRASH_SEED repeats a sequence of statements and of what is killed
# when, FS_STREAM_CRASH_ROUNDS is how many rounds.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);
use Writers;

my $seed = $ENV{FS_STREAM_CRASH_SEED} // int(rand(1_000_000));
my $rounds = $ENV{FS_STREAM_CRASH_ROUNDS} // 50;
my $checked_each = 10;
my $writers = 4;
note "seed $seed, $rounds rounds";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', $Writers::config . <<'END');
featurestore.fill_chunk = 200
featurestore.workers = 2
max_worker_processes = 12
END
$node->start;

my @modes = qw(t c y);
Writers::make($node, @modes);
$node->safe_psql('postgres', "SET ROLE cr_owner; SELECT featurestore.publish_table('cr.accounts', 'cr.s_accounts', publish_mode => 'SNAPSHOT', schedule => '*/2 * * * * ?')");

# What clients run besides the workers
sub applier_script
{
	my @lines;
	for (1 .. 100)
	{
		push @lines, Writers::one_of('CALL featurestore.run_due();', sprintf("CALL featurestore.sync('cr.%s');", Writers::one_of(qw(t_newest t_both_w c_accounts_all c_both_w devices))));
		push @lines, sprintf('SELECT featurestore._rotate(relation, %d) FROM featurestore.staging;', Writers::one_of(0, 8192, 65536)) if rand() < 0.2;
		push @lines, sprintf('SELECT pg_sleep(%.4f);', rand 0.1);
	}
	return join "\n", @lines, 'SELECT pg_sleep(60);', '';
}

Writers::start_fills($node, @modes);
srand($seed);
my %done;
for my $round (1 .. $rounds)
{
	my @clients = ((map { Writers::start_client($node, 'writer', Writers::writer_script()) } 1 .. $writers), Writers::start_client($node, 'applier', applier_script()));
	sleep 0.5 + rand 1.5;

	my $end = Writers::one_of(('stop') x 3, ('crash') x 5, 'terminate', 'client');
	my $who = Writers::one_of(('featurestore worker') x 3, 'writer', 'applier');
	$done{$end eq 'crash' ? "$end of $who" : $end}++;
	my $victim = "SELECT pid FROM pg_stat_activity WHERE application_name = '$who' ORDER BY state <> 'active', md5(pid::text) LIMIT 1";
	Writers::finish($node, $end, $victim, 'shared_preload_libraries = ' . Writers::one_of("''", 'featurestore'), @clients);
	# a worker that goes for no reason
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'featurestore worker'") if rand() < 0.2;

	if ($round % $checked_each == 0 || $round == $rounds)
	{
		Writers::resolve($node);
		Writers::await_workers($node, "round $round");
		Writers::check($node, "round $round", q{online_table::text ~ '^(t|s)_'}, "''infinity''", @modes);
		is($node->safe_psql('postgres', q{SELECT cr.difference('SELECT * FROM cr.s_accounts', 'SELECT * FROM cr.accounts')}), '0', "round $round: and a snapshot of them");
		Writers::start_fills($node, @modes) if $round < $rounds;
	}
}
note join ', ', map { "$_ $done{$_}" } sort keys %done;
note 'schedule: ' . $node->safe_psql('postgres', q{SELECT count(*) FROM featurestore.publish_run WHERE relation = 'cr.s_accounts'::regclass}) . ' runs';

$node->safe_psql('postgres', q{SELECT featurestore.stop_worker()});
Writers::check_staging($node);
Writers::check_log($node, $Writers::permitted);
$node->stop;
done_testing();
