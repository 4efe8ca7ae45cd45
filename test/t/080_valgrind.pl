# What parses what users send touches no memory it should not: json records,
# arguments and expressions are read by a server that runs under valgrind.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'valgrind is not installed' if system('valgrind --version > /dev/null 2>&1') != 0;

my $node = PostgreSQL::Test::Cluster->new('valgrind');
$node->init;
$node->append_conf('postgresql.conf', 'autovacuum = off');

# As pg_ctl would start it, but for the program.
my $log = $node->basedir . '/valgrind.log';
my $server = IPC::Run::start([
	'valgrind', '--quiet', "--log-file=$log", 'postgres', '-D', $node->data_dir ],
	'<', \'', '>&', $node->logfile);
for (my $i = 0; $i < 180; $i++)
{
	last if system('pg_isready', '-q', '-h', $node->host, '-p', $node->port) == 0;
	sleep 1;
}

foreach my $test (qw(lookup_json lookup_vectors))
{
	$node->safe_psql('postgres', "CREATE DATABASE $test");
	$node->safe_psql($test, 'CREATE EXTENSION featurestore');
	my ($status) = $node->psql($test, slurp_file("test/sql/$test.sql"), on_error_stop => 0);
	is($status, 0, "$test ran");
}

# Texts that are no expressions, and some that are: each answers or raises.
my @texts = ('', ' ', ';', 'a', 'a.b', 'a b', '1;2', 'a FROM b', '(SELECT 1)', 'count(*)', 'f() OVER ()', '$1',
	"'", '"', '/*', '--', 'x' x 100_000, '(' x 5_000, join('+', ('a') x 2_000), "E'\\x'", "\xe2\x82", 'a[1:2]', 'ROW(a).*');
my $calls = join("\n", map { my $text = $_ =~ s/'/''/gr; "SELECT cardinality(featurestore._expression_columns('$text'));" } @texts);
my ($status) = $node->psql('lookup_json', $calls, on_error_stop => 0);
is($status, 0, 'expressions were read');

$node->command_ok([ 'pg_ctl', '-D', $node->data_dir, '-m', 'fast', 'stop' ], 'the server stops');
$server->finish;

# The server's own start-up has a known report; ours would name the library.
my @ours = grep { /featurestore\.so/ } split /\n(?===\d+== \n|$)/, slurp_file($log);
is(scalar(@ours), 0, 'no report with our code in it') or diag(join("\n", @ours));

done_testing();
