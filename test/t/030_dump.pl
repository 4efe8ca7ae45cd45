# Dumps: specs come back usable, definitions the same, and publications start
# again, however the dump is made.

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

my $definitions = Sample::definitions($old, 'sample');
my $lookups = Sample::lookups($old, 'sample');
my $published = Sample::published($old, 'sample');
is($published, "1|l45|3|PRESENT|45|PRESENT||NOT_READY\n2|l3|6|PRESENT|-7|NOT_FOUND||NOT_READY\n200|l50||NOT_FOUND|50|PRESENT||NOT_READY", 'published rows before');
Sample::check_windows($old, 'sample', 'before');
like($lookups->{'rows, direct path on'}, qr/^50\|50\|PRESENT\|\{50,50\.5\}\|PRESENT\|5\|PRESENT\|50\|PRESENT\|sad\|PRESENT\|2\|PRESENT\|5\|PRESENT\|100\|PRESENT\|1050\|PRESENT$/m, 'rows before');

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->start;
Sample::make_roles($new);

my $dumps = PostgreSQL::Test::Utils::tempdir;
my @dump = ('pg_dump', '--no-sync', '-d', $old->connstr('sample'));

sub into
{
	my ($node, $name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	return ('-d', $node->connstr($name));
}

# Plain text, into another cluster
command_ok([ @dump, '-f', "$dumps/plain.sql" ], 'pg_dump');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', "$dumps/plain.out", into($new, 'plain'), '-f', "$dumps/plain.sql" ], 'psql restores it');
is(Sample::refused_columns($new, 'plain'), '', 'no columns that pg_upgrade refuses');
Sample::check_copy($new, 'plain', $definitions, $lookups, $published, 'plain');

# Custom format, in parallel; positions of the same cluster are not in it either
command_ok([ @dump, '-Fc', '-f', "$dumps/custom" ], 'pg_dump -Fc');
command_ok([ 'pg_restore', '-e', '-j2', into($old, 'custom'), "$dumps/custom" ], 'pg_restore -j');
Sample::check_copy($old, 'custom', $definitions, $lookups, $published, 'custom');

# With its database, over what is there: dropped first
command_ok([ 'pg_restore', '-e', '--create', '-d', $new->connstr('postgres'), "$dumps/custom" ], 'pg_restore --create');
command_ok([ 'pg_restore', '-e', '--create', '--clean', '-d', $new->connstr('postgres'), "$dumps/custom" ], 'pg_restore --clean over it');
Sample::check_copy($new, 'sample', $definitions, $lookups, $published, 'again');

# Schema and data apart; before the data there are no specs
command_ok([ 'pg_restore', '-e', '--schema-only', into($new, 'parts'), "$dumps/custom" ], 'pg_restore --schema-only');
is($new->safe_psql('parts', 'SELECT count(*) FROM featurestore.spec'), '0', 'no definitions yet');
my ($status, $out, $err) = $new->psql('parts', 'SELECT * FROM rec.published_batch(NULL, NULL)');
like($err, qr/is not a feature spec/, 'and no lookups');
command_ok([ 'pg_restore', '-e', '--data-only', '--disable-triggers', '-d', $new->connstr('parts'), "$dumps/custom" ], 'pg_restore --data-only');
$new->safe_psql('parts', 'REFRESH MATERIALIZED VIEW rec.stored');
Sample::check_copy($new, 'parts', $definitions, $lookups, $published, 'data only');

# Schemas chosen, with the extension's definitions, into a database that has the extension
$new->safe_psql('postgres', 'CREATE DATABASE chosen');
$new->safe_psql('chosen', 'CREATE EXTENSION featurestore');
command_ok([ @dump, '-Fc', '-n', 'rec', '-n', 'lib', '-n', '"Odd ""Schema"', '-e', 'featurestore', '-f', "$dumps/chosen" ], 'pg_dump -n -e');
command_ok([ 'pg_restore', '-e', '-d', $new->connstr('chosen'), "$dumps/chosen" ], 'pg_restore');
Sample::check_copy($new, 'chosen', $definitions, $lookups, $published, 'chosen schemas');

ok(!$_->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed') foreach $old, $new;
$old->stop;
$new->stop;
done_testing();
