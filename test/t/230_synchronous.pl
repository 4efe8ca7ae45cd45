# Writers of SYNCHRONOUS publications while everything dies at random: the
# server, writers, their clients.  After any of it, and with nothing else done,
# each online table must equal what SQL over its sources says, and states be the
# bytes of those that a snapshot publication computes.
#
# It is 250_stream_crash without workers, and with what that has not: writers are
# not the owner, keys are few, so that they meet, transactions of all levels of
# isolation, and beside them the owner computes keys and tables anew, and pauses
# publications.  Prepared transactions live on until all is compared.
#
# FS_SYNCHRONOUS_SEED repeats a sequence of statements, FS_SYNCHRONOUS_ROUNDS is
# how many rounds.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use Writers;

my $seed = $ENV{FS_SYNCHRONOUS_SEED} // int(rand(1_000_000));
my $rounds = $ENV{FS_SYNCHRONOUS_ROUNDS} // 12;
note "seed $seed, $rounds rounds";

%Writers::options = (
	%Writers::options,
	users => 12,
	ids => 40,
	ahead => 0,
	null_keys => 0.05,
	begin => [ ('BEGIN') x 3, 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'BEGIN ISOLATION LEVEL SERIALIZABLE' ],
	in_savepoint => [ 'SELECT featurestore._flush_captured();', '', '' ],
	transactions => 400,
	pause => 0.001,
	lock_timeout => '200ms',
	# what the owner may have: deadlocks, lock timeouts
	failures => '40P01,55P03');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "${Writers::config}featurestore.autostart_worker = off");
$node->start;

Writers::make($node, 'y');
Writers::start_fills($node, 'y');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE cr_writer LOGIN;
SET SESSION AUTHORIZATION cr_owner;
SET search_path = cr;
GRANT USAGE ON SCHEMA cr TO cr_writer;
GRANT ALL ON accounts, prices, clicks, visits, visits_1, visits_2, visits_2b, big, device_truth, devices_staging TO cr_writer;
SELECT featurestore.publish_table('accounts', 't_accounts', 'TRIGGERED');
SELECT featurestore.publish_table('y_accounts_all', 'y_accounts_copy', 'SYNCHRONOUS');
SELECT featurestore.publish_table('prices', 'y_newest_but_7', 'SYNCHRONOUS', timeseries_column => 'at', filter => 'price <> 7');
SQL

sub owner_script
{
	my @lines = ("SET lock_timeout = '500ms';");
	for (1 .. 100)
	{
		push @lines, Writers::one_of(
			'CALL featurestore.run_due();', "CALL featurestore.sync('cr.t_accounts');",
			sprintf(q{CALL featurestore.rebuild('cr.y_clicks_w', '[{"user_id": %d}, {"user_id": %d}]');}, Writers::user(), Writers::user()),
			sprintf(q{CALL featurestore.rebuild('cr.y_%s');}, Writers::one_of(qw(accounts_all newest newest_but_7 clicks_w both_w))),
			sprintf(q{SELECT featurestore.pause_publication('cr.y_%1$s'); SELECT featurestore.resume_publication('cr.y_%1$s');}, Writers::one_of(qw(accounts_rich both_w)))),
			sprintf('SELECT pg_sleep(%.3f);', rand 0.3);
	}
	return join "\n", @lines, '';
}

srand($seed);
my %done;
for my $round (1 .. $rounds)
{
	my @clients = ((map { Writers::start_client($node, 'writer', Writers::writer_script(), 'cr_writer') } 1 .. 4), Writers::start_client($node, 'owner', owner_script()));
	sleep 1 + rand 2;

	my $end = Writers::one_of(('stop') x 3, ('crash') x 2, 'terminate', 'client');
	$done{$end}++;
	my $victim = "SELECT pid FROM pg_stat_activity WHERE application_name = 'writer' ORDER BY state <> 'active', md5(pid::text) LIMIT 1";
	Writers::finish($node, $end, $victim, '', @clients);

	Writers::resolve($node);
	# one that was interrupted after its pause
	$node->safe_psql('postgres', q{SET ROLE cr_owner; SELECT format('SELECT FROM featurestore.resume_publication(%L)', online_table) FROM featurestore.publications WHERE state = 'PAUSED' \gexec});
	Writers::check($node, "round $round", q{online_table::text ~ '^(t_|s_|devices)'}, "''infinity''", 'y');
	is($node->safe_psql('postgres', <<'SQL'), '0|0|0', "round $round: a copy, what is applied later, and what is filtered");
SET search_path = cr;
SELECT difference('TABLE y_accounts_copy', 'TABLE accounts'), difference('TABLE t_accounts', 'TABLE accounts'),
	difference('TABLE y_newest_but_7', 'SELECT DISTINCT ON (item) * FROM prices WHERE price <> 7 ORDER BY item, at DESC');
SQL
}
note join ', ', map { "$_ $done{$_}" } sort keys %done;

# Applied changes are nowhere else, and what only SYNCHRONOUS publications read was never staged
is($node->safe_psql('postgres', q{SELECT string_agg(relation::text, ' ' ORDER BY relation::text) FROM featurestore.staging WHERE is_written}), 'cr.accounts_changes', 'staged is what has another publication');
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM cr.clicks_changes) + (SELECT count(*) FROM cr.prices_changes) + (SELECT count(*) FROM cr.visits_changes) + (SELECT count(*) FROM cr.big_changes) + (SELECT count(*) FROM cr.y_accounts_all_changes)}), '0', 'and nothing else');

# A restored database says that its tables are not filled; a run fills them, and from then on writers keep them in step
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'dump');
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->append_conf('postgresql.conf', "timezone = 'UTC'");
$other->start;
$other->safe_psql('postgres', 'CREATE ROLE cr_owner LOGIN; CREATE ROLE cr_writer LOGIN');
$other->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $other->connstr('postgres'), '-f', $dump ], 'restore');
$other->safe_psql('postgres', q{SET ROLE cr_writer; INSERT INTO cr.clicks VALUES (1, now(), 1, 'a', 1); INSERT INTO cr.accounts VALUES (1000, 1)});
is($other->safe_psql('postgres', q{SELECT string_agg(DISTINCT state, ' ') FROM featurestore.publications WHERE publish_mode = 'SYNCHRONOUS'}), 'INITIALIZING', 'restored tables are not filled');
$other->safe_psql('postgres', q{SET ROLE cr_owner; CALL featurestore.run_due()});
is($other->safe_psql('postgres', q{SELECT string_agg(DISTINCT state, ' ') FROM featurestore.publications WHERE publish_mode = 'SYNCHRONOUS'}), 'OK', 'until they are');
$other->safe_psql('postgres', q{SET ROLE cr_writer; INSERT INTO cr.clicks VALUES (1, now(), 1, 'a', 1); INSERT INTO cr.accounts VALUES (1001, 1); DELETE FROM cr.accounts WHERE id < 1000});
is($other->safe_psql('postgres', q{SELECT (SELECT count(*) FROM cr.y_accounts_copy), sum(y_clicks) = (SELECT count(*) FROM cr.clicks WHERE user_id IS NOT NULL AND at < statement_timestamp()) FROM cr.y_clicks_w_values}), '2|t', 'writers keep them in step');
$other->stop;

Writers::check_log($node, $Writers::permitted, '55000' => 'paused');
$node->stop;
done_testing();
