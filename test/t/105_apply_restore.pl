# What becomes of staged changes: a prepared transaction across restarts, dumps,
# pg_upgrade.
#
# Captured changes of another cluster count for nothing, since the publication
# compares its source anew.  What external writers have staged is nowhere else:
# it is applied in the copy, before what is staged there.

use strict;
use warnings;

use FindBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = PostgreSQL::Test::Cluster->new('old');
$old->init;
$old->append_conf('postgresql.conf', "max_prepared_transactions = 5\ntimezone = 'UTC'");
$old->start;
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf', "timezone = 'UTC'");
$new->start;
$_->safe_psql('postgres', 'CREATE ROLE app_owner') foreach $old, $new;
$old->safe_psql('postgres', 'CREATE DATABASE app');

# Runs SQL as the owner of all
sub as_owner
{
	my ($node, $database, $sql) = @_;
	return $node->safe_psql($database, "SET client_min_messages = warning; SET SESSION AUTHORIZATION app_owner; SET search_path = app; $sql");
}

$old->safe_psql('app', <<'SQL');
CREATE EXTENSION featurestore;
CREATE SCHEMA app AUTHORIZATION app_owner;
SET SESSION AUTHORIZATION app_owner;
SET search_path = app;
CREATE TABLE accounts (id int PRIMARY KEY, balance int, note text);
INSERT INTO accounts SELECT i, i * 10, 'note ' || i FROM generate_series(1, 50) AS i;
CREATE TABLE events (user_id int, at timestamptz, amount int, kind text);
INSERT INTO events SELECT i % 10, '2024-01-01 00:00Z'::timestamptz + i * interval '1 minute', i, CASE WHEN i % 3 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 100) AS i;
CREATE TABLE visits (region int, user_id int, at timestamptz, n int, PRIMARY KEY (region, user_id, at)) PARTITION BY LIST (region);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES IN (2);
INSERT INTO visits SELECT 1 + i % 2, i % 10, '2024-01-01 00:00Z'::timestamptz + i * interval '1 minute', i FROM generate_series(1, 100) AS i;
CREATE TABLE "De vices" ("Id" int PRIMARY KEY, v int, note text);

SELECT featurestore.publish_table('accounts', 'accounts_online');
SELECT featurestore.publish_table('accounts', 'accounts_later', filter => 'balance > 100', wait => false);
SELECT featurestore.publish_table('visits', 'newest_visits', timeseries_column => 'at');
SELECT featurestore.register_feature('f_amount', 'events', '{user_id}', 'at', 'sum', 'amount', featurestore.rolling_window('1 hour'));
SELECT featurestore.register_feature('f_largest', 'events', '{user_id}', 'at', 'max', 'amount', featurestore.lifetime_window(), filter => $$kind = 'a'$$);
SELECT featurestore.materialize_features('{f_amount,f_largest}', 'events_w');
SELECT featurestore.register_feature('s_amount', 'events', '{user_id}', 'at', 'sum', 'amount', featurestore.rolling_window('1 hour'));
SELECT featurestore.register_feature('s_largest', 'events', '{user_id}', 'at', 'max', 'amount', featurestore.lifetime_window(), filter => $$kind = 'a'$$);
SELECT featurestore.materialize_features('{s_amount,s_largest}', 's_events_w', publish_mode => 'SNAPSHOT');
SELECT featurestore.create_staging_table('"De vices"');

-- names of tables that do not hold what SQL over the sources says
CREATE VIEW wrong AS
	SELECT 'accounts_online' AS name FROM accounts_online a FULL JOIN accounts b USING (id) WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
	UNION SELECT 'newest_visits' FROM newest_visits a FULL JOIN (SELECT DISTINCT ON (region, user_id) * FROM visits ORDER BY region, user_id, at DESC) b USING (region, user_id)
		WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
	UNION SELECT 'events_w' FROM events_w a FULL JOIN s_events_w b USING (user_id) WHERE ROW(a.*)::text IS DISTINCT FROM ROW(b.*)::text;
CREATE FUNCTION change(n int) RETURNS void LANGUAGE sql BEGIN ATOMIC
	UPDATE accounts SET balance = balance + n WHERE id % 7 = n % 7;
	UPDATE accounts SET id = id + 100 WHERE id = n;
	DELETE FROM accounts WHERE id = n + 20;
	INSERT INTO accounts VALUES (n + 200, n, 'new');
	INSERT INTO events VALUES (n, '2024-01-01 02:00Z', n, 'a'), (n + 20, '2024-01-01 00:30Z', n, 'b');
	UPDATE events SET user_id = user_id + 1 WHERE amount = n;
	DELETE FROM events WHERE amount BETWEEN 100 - 3 * n AND 102 - 3 * n;
	UPDATE visits SET region = 3 - region WHERE user_id = n;
	DELETE FROM visits v WHERE user_id = n + 1 AND at = (SELECT max(at) FROM visits w WHERE w.user_id = v.user_id);
END;
SQL

my @synced = ('accounts_online', 'newest_visits', 'events_w', 's_events_w', '"De vices"');

sub sync { as_owner(@_[ 0, 1 ], join '', map { "CALL featurestore.sync('$_');" } @synced) }
sub devices { return as_owner(@_, q{SELECT string_agg(format('%s=%s', "Id", v), ' ' ORDER BY "Id") FROM "De vices"}) }
sub wrong { return as_owner(@_, 'TABLE wrong') }

# A prepared transaction is staged where it was made, and applied once it has committed
sync($old, 'app');
as_owner($old, 'app', <<'END');
BEGIN;
SELECT change(1);
INSERT INTO "De vices_staging" ("Id", v) VALUES (1, 1), (2, 1);
SAVEPOINT s;
INSERT INTO "De vices_staging" ("Id", v) VALUES (3, 1);
ROLLBACK TO s;
PREPARE TRANSACTION 'kept';
BEGIN;
INSERT INTO accounts VALUES (1000, 1, 'rolled back');
INSERT INTO "De vices_staging" ("Id", v) VALUES (4, 1);
PREPARE TRANSACTION 'lost';
END
my $before = as_owner($old, 'app', 'SELECT * FROM accounts_online ORDER BY id');
foreach my $mode ('immediate', 'fast')
{
	$old->stop($mode);
	$old->start;
	as_owner($old, 'app', "UPDATE accounts SET note = '$mode' WHERE id = 49");
	sync($old, 'app');
	as_owner($old, 'app', 'SELECT featurestore._rotate(relation, 0) FROM featurestore.staging');
	is(wrong($old, 'app') . devices($old, 'app'), '', "stopped ($mode), nothing prepared is applied");
}
$old->safe_psql('app', $_) foreach "COMMIT PREPARED 'kept'", "ROLLBACK PREPARED 'lost'";
unlike(wrong($old, 'app'), qr/^$/, 'committed, it is not applied yet');
sync($old, 'app');
is(wrong($old, 'app'), '', 'after a sync it is');
is(devices($old, 'app'), '1=1 2=1', 'also what was staged directly');
is($old->safe_psql('app', "SELECT count(*) FROM featurestore.publish_runs WHERE operation <> 'APPLY' AND online_table <> 'app.s_events_w'::regclass AND started_at > pg_postmaster_start_time()"), '0', 'none had to compare its source');

# What was staged directly is nowhere else: whatever happens, the table is not compared with what is staged still
as_owner($old, 'app', 'SELECT featurestore._rotate(relation, 0) FROM featurestore.staging') for 1 .. 2;
as_owner($old, 'app', q{ALTER TABLE "De vices" ADD more int; INSERT INTO "De vices_staging" ("Id", v) VALUES (9, 1)});
sync($old, 'app');
is(devices($old, 'app'), '1=1 2=1 9=1', 'a column more in the online table');
my ($status, $out, $err) = $old->psql('app', q{CALL featurestore.rebuild('app."De vices"')});
like($err, qr/rows of app."De vices" cannot be computed anew/, 'nothing to rebuild it from');
as_owner($old, 'app', q{INSERT INTO "De vices_staging" ("Id", _change_type) VALUES (1, 'truncate'), (9, 'delete')});
sync($old, 'app');
is(devices($old, 'app') . $old->safe_psql('app', 'SELECT message FROM featurestore.rejected_changes'), '1=1 2=1unknown change type "truncate"', 'only our triggers stage truncations');
as_owner($old, 'app', q{ALTER TABLE "De vices" ALTER v TYPE text; INSERT INTO "De vices_staging" ("Id", v) VALUES (9, 2)});
($status, $out, $err) = $old->psql('app', q{CALL featurestore.sync('app."De vices"')});
like($err, qr/column "v" has different types in source and online table/, 'a sync fails');
as_owner($old, 'app', q{ALTER TABLE "De vices" ALTER v TYPE int USING v::int});
sync($old, 'app');
is(devices($old, 'app'), '1=1 2=1 9=2', 'and goes on once that is mended');
as_owner($old, 'app', q{SELECT featurestore._rotate('"De vices_staging"', 0); INSERT INTO "De vices_staging" ("Id", _change_type) VALUES (9, 'delete')});
sync($old, 'app');

# What there is when it is dumped: changes that are applied and still staged, and
# others that are not; older ones in the second partition, later ones in the
# first, and a captured row that nothing else has.  Transactions of the old
# cluster are far ahead of those of the new one.
as_owner($old, 'app', <<'SQL');
SELECT featurestore._rotate(relation, 0) FROM featurestore.staging;
SELECT change(2);
INSERT INTO "De vices_staging" ("Id", v) VALUES (1, 2), (2, 2), (3, 2), (4, 2), (5, 2);
SELECT featurestore._rotate(relation, 0) FROM featurestore.staging;
SELECT change(3);
INSERT INTO "De vices_staging" ("Id", v) VALUES (1, 3), (5, 3);
INSERT INTO "De vices_staging" ("Id", _change_type) VALUES (4, 'delete');
INSERT INTO accounts_changes (id, balance, _change_type, _sequence, _xid, _partition)
	VALUES (999, 1, 'insert', 9000000000000000000, pg_current_xact_id(), 0);
CREATE TABLE burnt (x int);
DO $$ BEGIN FOR i IN 1 .. 3000 LOOP INSERT INTO burnt VALUES (i); COMMIT; END LOOP; END $$;
INSERT INTO "De vices_staging" ("Id", v) VALUES (2, 4);
SQL
is(as_owner($old, 'app', q{SELECT string_agg(part, ' ' ORDER BY first) FROM (SELECT tableoid::regclass::text AS part, min(_sequence) AS first FROM "De vices_staging" WHERE _sequence > 20 GROUP BY 1) AS p}),
	'"De vices_staging_1" "De vices_staging_0"', 'staged in two partitions');
is(devices($old, 'app'), '1=1 2=1', 'and not applied');

my $definitions = q{SELECT s.relation, s.captured_source, s.online_table, s.key_columns, s.current_partition, s.current_relation FROM featurestore.staging s ORDER BY s.relation::text;
	SELECT p.* FROM featurestore.publication p ORDER BY relation::text};
my $triggers = q{SELECT tgrelid::regclass, tgname, tgenabled, tgfoid::regproc FROM pg_trigger WHERE tgfoid::regproc::text ~ '^featurestore' ORDER BY tgrelid::regclass::text, 2};
my $captures = $triggers =~ s/\^featurestore/_capture\$/r;
my %before = map { $_ => as_owner($old, 'app', $_) } $definitions, $triggers, $captures;
like($before{$triggers}, qr/visits_1\|featurestore_capture\|A\|featurestore._capture/, 'triggers that fire always');

# Data restored apart leaves triggers that fire always enabled as usual, until a sync mends those of sources
sub check_copy
{
	my ($node, $database, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is(as_owner($node, $database, $definitions), $before{$definitions}, "$what: publications and staging tables are the same");
	is(as_owner($node, $database, $triggers), $before{$triggers}, "$what: and triggers") unless $what eq 'data apart';
	is($node->safe_psql($database, 'SELECT count(*) FILTER (WHERE is_ready) FROM featurestore.publications'), '0', "$what: no publication is ready");

	# before the first sync
	as_owner($node, $database, q{SELECT change(4); INSERT INTO "De vices_staging" ("Id", v) VALUES (1, 5), (6, 5), (7, 5)});
	as_owner($node, $database, q{INSERT INTO "De vices_staging" ("Id", _change_type) VALUES (5, 'delete'), (7, 'delete')});
	is(devices($node, $database), '1=1 2=1', "$what: devices are as they were");
	sync($node, $database);
	is(wrong($node, $database), '', "$what: after a sync all is what SQL says");
	is(devices($node, $database), '1=5 2=4 3=2 6=5', "$what: what was staged is applied in order, old and new");
	sync($node, $database);
	is($node->safe_psql($database, "SELECT count(*) FROM featurestore.publications WHERE rows_changed <> 0") . wrong($node, $database), '0', "$what: a second sync has nothing to do");

	# and from then on
	as_owner($node, $database, q{SELECT change(5); INSERT INTO "De vices_staging" ("Id", v) VALUES (1, 6), (8, 6)});
	my $last = $node->safe_psql($database, 'SELECT max(id) FROM featurestore.publish_run');
	sync($node, $database);
	is(wrong($node, $database), '', "$what: later changes are applied");
	is(devices($node, $database), '1=6 2=4 3=2 6=5 8=6', "$what: also those staged directly");
	is($node->safe_psql($database, "SELECT string_agg(operation, ' ' ORDER BY online_table::text) FROM featurestore.publish_runs WHERE id > $last AND online_table <> 'app.s_events_w'::regclass"),
		'APPLY APPLY APPLY APPLY', "$what: without comparing the sources");
	is(as_owner($node, $database, "CALL featurestore.sync('accounts_later'); SELECT count(*) FROM accounts_later a FULL JOIN (SELECT * FROM accounts WHERE balance > 100) b USING (id) WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)"),
		'0', "$what: what was never filled is filled");

	# nothing of the old cluster stays
	is(as_owner($node, $database, $captures), $before{$captures}, "$what: changes are captured in all sessions");
	as_owner($node, $database, 'SELECT featurestore._rotate(relation, 0) FROM featurestore.staging') for 1 .. 2;
	is($node->safe_psql($database, 'SELECT s.relation, sum(pg_relation_size(inhrelid)) FROM featurestore.staging s JOIN pg_inherits ON inhparent = s.relation GROUP BY 1 HAVING sum(pg_relation_size(inhrelid)) > 0'),
		'', "$what: staging tables can be emptied");
	is($node->safe_psql($database, "SELECT count(*) FROM pg_class WHERE relkind = 'p' AND relname ~ '_(changes|staging)'"), '4', "$what: there are no more of them");
}

my $dumps = PostgreSQL::Test::Utils::tempdir;
my @dump = ('pg_dump', '--no-sync', '-d', $old->connstr('app'));

sub into
{
	my ($node, $name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	return ('-d', $node->connstr($name));
}

command_ok([ @dump, '-f', "$dumps/plain.sql" ], 'pg_dump');
command_ok([ @dump, '-Fc', '-f', "$dumps/custom" ], 'pg_dump -Fc');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', "$dumps/plain.out", into($new, 'plain'), '-f', "$dumps/plain.sql" ], 'psql restores it');
check_copy($new, 'plain', 'plain');
command_ok([ 'pg_restore', '-e', '-j2', into($old, 'custom'), "$dumps/custom" ], 'pg_restore -j in the same cluster');
check_copy($old, 'custom', 'same cluster');
command_ok([ 'pg_restore', '-e', '--schema-only', into($new, 'parts'), "$dumps/custom" ], 'pg_restore --schema-only');
command_ok([ 'pg_restore', '-e', '--data-only', '--disable-triggers', '-d', $new->connstr('parts'), "$dumps/custom" ], 'pg_restore --data-only');
check_copy($new, 'parts', 'data apart');
$new->stop;

# pg_upgrade, from and to the version at hand, with files as they are
$old->safe_psql('postgres', 'DROP DATABASE custom');
$old->stop;
my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
$upgraded->init;
my $bindir = $upgraded->config_data('--bindir');
chdir PostgreSQL::Test::Utils::tempdir or die;
command_ok([ 'pg_upgrade', '-N', '-d', $old->data_dir, '-D', $upgraded->data_dir, '-b', $bindir, '-B', $bindir,
	'-s', $upgraded->host, '-p', $old->port, '-P', $upgraded->port, '-U', getpwuid($<) . '' ], 'pg_upgrade');
chdir "$FindBin::RealBin/../..";
$upgraded->append_conf('postgresql.conf', "timezone = 'UTC'");
$upgraded->start;
check_copy($upgraded, 'app', 'upgraded');
$upgraded->stop;

ok(!$_->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed') foreach $old, $new, $upgraded;
done_testing();
