# Every command of the README works as it stands, in its order.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = slurp_file('README.md');

my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init;
$node->start;

# One session: what one block sets up the next ones use.
my $sql = join("\n", $readme =~ /^```sql\n(.*?)^```$/msg);
cmp_ok(length($sql), '>', 1000, 'the README has SQL');
my ($status, $stdout, $stderr) = $node->psql('postgres', $sql, on_error_stop => 1);
is($status, 0, 'SQL of the README runs') or diag($stderr);
like($stdout, qr/^42\|7\|.*\|19\.99\|/m, 'and serves what the README made');

# Tables of the API name functions, procedures and views that exist.
my @named = $readme =~ /(?<=[`(, ])(?:CALL )?([a-z_]+)\((?=[a-zN])/g;
my %known = map { $_ => 1 } split /\n/, $node->safe_psql('postgres',
	"SELECT proname FROM pg_proc WHERE pronamespace = 'featurestore'::regnamespace");
my %elsewhere = map { $_ => 1 } qw(now generate_series len frombuffer);
is_deeply([ grep { !$known{$_} && !$elsewhere{$_} } @named ], [], 'all functions it names exist');

my @settings = $readme =~ /`(featurestore\.\w+)` \(/g;
cmp_ok(scalar(@settings), '>', 0, 'the README has settings');
$node->safe_psql('postgres', join('', "LOAD 'featurestore';", map { "SHOW $_;" } @settings));

# Targets of make.
my @targets = $readme =~ /^make (\w+)/mg;
foreach my $target (@targets)
{
	like(slurp_file('Makefile'), qr/^$target:/m, "make $target is there");
}

$node->stop;
done_testing();
