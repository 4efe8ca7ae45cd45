# pg_upgrade takes a cluster with specs and publications, from and to the
# version at hand.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sample;
use Test::More;

my $old = PostgreSQL::Test::Cluster->new('old');
$old->init;
$old->start;
Sample::make_roles($old);
$old->safe_psql('postgres', 'CREATE DATABASE sample');
Sample::make($old, 'sample');
is(Sample::refused_columns($old, 'sample'), '', 'no columns that pg_upgrade refuses');

my $definitions = Sample::definitions($old, 'sample');
my $lookups = Sample::lookups($old, 'sample');
my $published = Sample::published($old, 'sample');
my $oids = $old->safe_psql('sample', 'SELECT relation::oid, relation FROM featurestore.spec ORDER BY 1');
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;

# It writes into the current directory (14) or below the new cluster's
my $bindir = $new->config_data('--bindir');
chdir PostgreSQL::Test::Utils::tempdir or die;
my @upgrade = ('pg_upgrade', '-N', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
	'-s', $new->host, '-p', $old->port, '-P', $new->port, '-U', getpwuid($<) . '');
command_ok([ @upgrade, '--check' ], 'pg_upgrade --check');
command_ok([ @upgrade, '--link' ], 'pg_upgrade');
chdir "$FindBin::RealBin/../..";

$new->start;
is($new->safe_psql('sample', 'SELECT relation::oid, relation FROM featurestore.spec ORDER BY 1'), $oids, 'specs have their OIDs');
is($new->safe_psql('sample', 'SELECT count(*) FROM featurestore.publication_position'), '3', 'positions came along, of another cluster');
Sample::check_copy($new, 'sample', $definitions, $lookups, $published, 'upgraded');
ok(!$new->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed');
$new->stop;
done_testing();
