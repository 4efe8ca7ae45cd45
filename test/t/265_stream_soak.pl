# A short soak: test/soak, which says what it looks at.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (!-e '/proc/self/status')
{
	plan skip_all => 'memory cannot be read without /proc';
}

my $seconds = $ENV{FS_SOAK_SECONDS} // 20;
my $node = PostgreSQL::Test::Cluster->new('soak');
$node->init;
$node->append_conf('postgresql.conf', "shared_buffers = 128MB\nmax_wal_size = 2GB\nfsync = off\ntimezone = 'UTC'\nlog_statement = none");
$node->start;

local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', FS_SERVER_LOG => $node->logfile);
my ($out, $err) = ('', '');
my $is_good = IPC::Run::run([ 'test/soak', $seconds, '--database' ], '>', \$out, '2>', \$err);
note $out;
ok($is_good, "$seconds seconds of writing at full rate: memory, staging, freshness and log are as they should be") or diag($err, join "\n", grep { !/^ +\d/ } split /\n/, $out);
$node->stop;
done_testing();
