# Standbys that are promoted under load.  Each becomes the primary of the next.
#
# Before its promotion a standby runs nothing and serves what it has; what its
# tables lack shows as lag.  Afterwards its worker goes on, started by the
# launcher or by a commit, and all tables become what SQL over the sources says:
# what the last primary had applied and sent counts, and nothing counts twice.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);
use Writers;

my $seed = $ENV{FS_STREAM_PROMOTE_SEED} // int(rand(1_000_000));
my $promotions = $ENV{FS_STREAM_PROMOTE_ROUNDS} // 3;
note "seed $seed, $promotions promotions";

my $primary = PostgreSQL::Test::Cluster->new('node_0');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', $Writers::config . "max_worker_processes = 12\nfeaturestore.fill_chunk = 500");
$primary->start;

my @modes = qw(c y);
Writers::make($primary, @modes);
Writers::start_fills($primary, @modes);
$primary->safe_psql('postgres', <<'SQL');
SET ROLE cr_owner;
SET search_path = cr;
CREATE TABLE beat (id int PRIMARY KEY, n int);
INSERT INTO beat VALUES (1, 0);
SELECT featurestore.publish_table('beat', 'c_beat', publish_mode => 'CONTINUOUS');
SELECT featurestore.create_feature_spec('late', ARRAY[featurestore.lookup('c_beat', '{id}', max_lag => '1 s')]);
SQL

# Value and status of a row that is STALE when its table lacks a change for more than a second
sub beat { return $_[0]->safe_psql('postgres', q{SELECT format('%s %s', r #>> '{values,n}', r #>> '{status,n,status}') FROM (SELECT featurestore.feature_lookup_json('cr.late', '{"id": 1}', metadata => true)) AS l(r)}) }

sub await
{
	my ($node, $is_good, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $until = time + 30;
	my $beat;
	sleep 0.1 while ($beat = beat($node)) !~ $is_good && time < $until;
	like($beat, $is_good, $name);
}

sub start_writers { my ($node) = @_; return map { Writers::start_client($node, 'writer', Writers::writer_script()) } 1 .. 3 }

srand($seed);
my @nodes = ($primary);
for my $round (1 .. $promotions)
{
	my $name = "promotion $round";
	$primary->backup("backup_$round");
	my $standby = PostgreSQL::Test::Cluster->new("node_$round");
	$standby->init_from_backup($primary, "backup_$round", has_streaming => 1);
	$standby->append_conf('postgresql.conf', 'shared_preload_libraries = ' . ($round % 2 ? 'featurestore' : "''"));
	$standby->start;
	my @clients = start_writers($primary);
	sleep 1;

	# Without a worker there is lag, which the standby can tell
	$primary->safe_psql('postgres', "SELECT featurestore.stop_worker(); UPDATE cr.beat SET n = $round WHERE id = 1");
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	my $before = $round - 1;
	await($standby, qr/STALE/, "$name: the standby says that it lacks a change");
	is($standby->safe_psql('postgres', 'SELECT n FROM cr.c_beat'), $before, "$name: and it does");
	$primary->safe_psql('postgres', 'SELECT featurestore.start_worker()');
	await($standby, qr/^$round PRESENT/, "$name: it has it once there is a worker");
	sleep 1.2;
	like(beat($standby), qr/PRESENT/, "$name: a table that nothing happens to is not late");
	is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'featurestore worker'"), '0', "$name: the standby runs none itself");

	$primary->stop('immediate');
	IPC::Run::finish($_) foreach @clients;
	$standby->promote;
	$primary = $standby;
	push @nodes, $primary;
	if ($round % 2)
	{
		$primary->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'featurestore worker' AND datname = 'postgres'")
			or fail("$name: the launcher starts a worker");
	}
	@clients = start_writers($primary);
	sleep 1 + rand 2;
	Writers::finish($primary, 'client', undef, undef, @clients);
	Writers::resolve($primary);
	Writers::await_workers($primary, $name);
	Writers::check($primary, $name, q{online_table::text ~ '^s_'}, "''infinity''", @modes);
}
Writers::check_staging($primary, 7);
foreach my $node (@nodes)
{
	Writers::check_log($node, qr/$Writers::permitted|could not (receive data from WAL stream|connect to the primary)|terminating walreceiver|invalid magic|replication terminated/);
	$node->stop if -e $node->data_dir . '/postmaster.pid';
}
done_testing();
