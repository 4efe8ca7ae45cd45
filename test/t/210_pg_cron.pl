# pg_cron runs CALL featurestore.run_due(), for a role without rights of its own
# on pg_cron's tables: publications run when their own schedules say so, however
# often the job comes.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('cron');
my $share = $node->config_data('--sharedir');
plan skip_all => 'pg_cron is not installed: test/setup test installs it where there is a package' if !-e "$share/extension/pg_cron.control";

$node->init;
$node->append_conf('postgresql.conf', <<'END');
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on
max_worker_processes = 16
featurestore.autostart_worker = off
END
$node->start;

sub ask { return $node->safe_psql('postgres', $_[0]); }

my $version = ask("CREATE EXTENSION pg_cron; CREATE EXTENSION featurestore; SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'");
my $every = $version >= 1.5 ? '2 seconds' : '* * * * *';
note "pg_cron $version, a job \"$every\"";

# Schedules that come each second, next year, and none; by snapshot, too
my $later = ask("SELECT format('0 0 1 %s *', 1 + extract(month FROM now())::int % 12)");
ask(<<"END");
CREATE ROLE app LOGIN;
CREATE SCHEMA s AUTHORIZATION app;
GRANT USAGE ON SCHEMA cron TO app;
SET ROLE app;
CREATE TABLE s.source (id int PRIMARY KEY, v int);
INSERT INTO s.source VALUES (1, 1);
SELECT featurestore.publish_table('s.source', 's.often', schedule => '* * * * * ?');
SELECT featurestore.publish_table('s.source', 's.compared', 'SNAPSHOT', schedule => '*/2 * * * * ?', time_zone => 'Asia/Kathmandu');
SELECT featurestore.publish_table('s.source', 's.later', schedule => '$later');
SELECT featurestore.publish_table('s.source', 's.unscheduled');
SELECT featurestore.publish_table('s.source', 's.unfilled', schedule => '$later', wait => false);
SELECT featurestore.publish_table('s.source', 's.by_hand', 'SNAPSHOT');
INSERT INTO s.source VALUES (2, 2);
SELECT cron.schedule('featurestore', '$every', 'CALL featurestore.run_due()');
END

my $counts = join ' UNION ALL ', map { "SELECT '$_', count(*) FROM s.$_" } qw(often compared later unscheduled unfilled by_hand);
my $expected = "often|2\ncompared|2\nlater|1\nunscheduled|2\nunfilled|2\nby_hand|1";
ok($node->poll_query_until('postgres', "SELECT string_agg(q::text, ' ') = '(often,2) (compared,2) (later,1) (unscheduled,2) (unfilled,2) (by_hand,1)' FROM ($counts) AS q"),
	'what is due is run, and nothing else');
is(ask($counts), $expected, 'these are the rows');
ok($node->poll_query_until('postgres', "SELECT bool_and(status = 'succeeded') FROM cron.job_run_details WHERE status NOT IN ('starting', 'running')"), 'the job succeeds');
is(ask('SELECT DISTINCT username FROM cron.job_run_details'), 'app', 'as the role');
is(ask("SELECT count(*) FROM featurestore.publish_runs WHERE sqlstate IS NOT NULL"), '0', 'no run failed');

# pg_cron can end with what it has begun
ask("SELECT cron.unschedule(jobid) FROM cron.job");
$node->stop;
done_testing();
