# Sources that a subscription fills: what its workers apply, in a session whose
# ordinary triggers do not fire, is captured and applied like all else; to
# SYNCHRONOUS publications by the workers themselves.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->start;
my $node = PostgreSQL::Test::Cluster->new('subscriber');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', "timezone = 'UTC'");
$node->start;

my $tables = <<'END';
CREATE TABLE accounts (id int PRIMARY KEY, balance int, note text);
CREATE TABLE events (event_id int PRIMARY KEY, user_id int, at timestamptz, amount int);
CREATE TABLE visits (region int, user_id int, at timestamptz, n int, PRIMARY KEY (region, user_id, at)) PARTITION BY LIST (region);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES IN (2);
END
$publisher->safe_psql('postgres', $tables . <<'END');
INSERT INTO accounts SELECT i, i * 10, 'note ' || i FROM generate_series(1, 50) AS i;
INSERT INTO events SELECT i, i % 10, '2024-01-01 00:00Z'::timestamptz + i * interval '1 minute', i FROM generate_series(1, 100) AS i;
INSERT INTO visits SELECT 1 + i % 2, i % 10, '2024-01-01 00:00Z'::timestamptz + i * interval '1 minute', i FROM generate_series(1, 100) AS i;
CREATE PUBLICATION fs FOR TABLE accounts, events, visits WITH (publish_via_partition_root = true);
END

$node->safe_psql('postgres', "CREATE EXTENSION featurestore; $tables" . <<'END');
SELECT featurestore.publish_table('accounts', 'accounts_online');
SELECT featurestore.publish_table('visits', 'newest_visits', timeseries_column => 'at');
SELECT featurestore.register_feature('f_amount', 'events', '{user_id}', 'at', 'sum', 'amount', featurestore.rolling_window('1 hour'));
SELECT featurestore.register_feature('f_largest', 'events', '{user_id}', 'at', 'max', 'amount', featurestore.lifetime_window());
SELECT featurestore.materialize_features('{f_amount,f_largest}', 'events_w');
SELECT featurestore.register_feature('s_amount', 'events', '{user_id}', 'at', 'sum', 'amount', featurestore.rolling_window('1 hour'));
SELECT featurestore.register_feature('s_largest', 'events', '{user_id}', 'at', 'max', 'amount', featurestore.lifetime_window());
SELECT featurestore.materialize_features('{s_amount,s_largest}', 's_events_w', publish_mode => 'SNAPSHOT');
SELECT featurestore.publish_table('accounts', 'accounts_now', 'SYNCHRONOUS');
SELECT featurestore.publish_table('visits', 'visits_now', 'SYNCHRONOUS', timeseries_column => 'at');
SELECT featurestore.register_feature('n_events', 'events', '{user_id}', 'at', 'count');
SELECT featurestore.register_feature('n_largest', 'events', '{user_id}', 'at', 'max', 'amount', featurestore.lifetime_window());
SELECT featurestore.materialize_features('{n_events,n_largest}', 'events_now', publish_mode => 'SYNCHRONOUS');
CREATE VIEW wrong_now AS
	SELECT 'accounts_now' AS name FROM accounts_now a FULL JOIN accounts b USING (id) WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
	UNION SELECT 'visits_now' FROM visits_now a FULL JOIN (SELECT DISTINCT ON (region, user_id) * FROM visits ORDER BY region, user_id, at DESC) b USING (region, user_id)
		WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
	UNION SELECT 'events_now' FROM events_now_values a FULL JOIN (SELECT user_id, count(*) AS n, max(amount) AS largest FROM events GROUP BY 1) b USING (user_id)
		WHERE ROW(a.n_events, a.n_largest) IS DISTINCT FROM ROW(b.n, b.largest);
-- names of tables that do not hold what SQL over the sources says, and of sources that hold nothing
CREATE VIEW wrong AS
	SELECT 'accounts_online' AS name FROM accounts_online a FULL JOIN accounts b USING (id) WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
	UNION SELECT 'newest_visits' FROM newest_visits a FULL JOIN (SELECT DISTINCT ON (region, user_id) * FROM visits ORDER BY region, user_id, at DESC) b USING (region, user_id)
		WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
	UNION SELECT 'events_w' FROM events_w a FULL JOIN s_events_w b USING (user_id) WHERE ROW(a.*)::text IS DISTINCT FROM ROW(b.*)::text;
END
my $connection = $publisher->connstr('postgres') =~ s/'/''/gr;
$node->safe_psql('postgres', "CREATE SUBSCRIPTION sub CONNECTION '$connection' PUBLICATION fs");
$node->wait_for_subscription_sync($publisher, 'sub');

# A sync, and the kinds of runs that it took
sub sync
{
	my $last = $node->safe_psql('postgres', 'SELECT max(id) FROM featurestore.publish_run');
	$node->safe_psql('postgres', "CALL featurestore.sync('$_')") foreach 'accounts_online', 'newest_visits', 'events_w', 's_events_w';
	return $node->safe_psql('postgres', "SELECT string_agg(concat_ws(' ', operation, rows_read), ', ' ORDER BY online_table::text) FROM featurestore.publish_runs WHERE id > $last AND online_table <> 's_events_w'::regclass");
}

sub replicate
{
	$publisher->safe_psql('postgres', $_[0]);
	$publisher->wait_for_catchup('sub');
	is($node->safe_psql('postgres', 'TABLE wrong_now'), '', 'workers have applied it');
}

# The copy that a subscription begins with
is($node->safe_psql('postgres', 'TABLE wrong_now'), '', 'workers apply what they copy');
is(sync(), 'APPLY 50, APPLY 100, APPLY 100', 'rows that are copied are captured');
is($node->safe_psql('postgres', 'TABLE wrong'), '', 'and applied');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM accounts_online), (SELECT count(*) FROM newest_visits), (SELECT count(*) FROM events_w)'), '50|10|10', 'all of them');

replicate(<<'END');
UPDATE accounts SET balance = balance + 1 WHERE id <= 3;
UPDATE accounts SET id = 100 WHERE id = 4;
DELETE FROM accounts WHERE id = 5;
INSERT INTO accounts VALUES (200, 1, 'new');
BEGIN;
INSERT INTO events VALUES (200, 1, '2024-01-01 02:00Z', 1000), (201, 55, '2024-01-01 02:00Z', 1);
UPDATE events SET user_id = 7 WHERE event_id = 12;
UPDATE events SET at = at + interval '1 day' WHERE event_id = 13;
DELETE FROM events WHERE event_id IN (99, 100);
SAVEPOINT s;
DELETE FROM events;
ROLLBACK TO s;
UPDATE visits SET region = 3 - region WHERE user_id = 3;
DELETE FROM visits WHERE user_id = 4 AND at > '2024-01-01 01:00Z';
COMMIT;
END
like(sync(), qr/^APPLY \d+, APPLY \d+, APPLY \d+$/, 'changes of all kinds are captured');
is($node->safe_psql('postgres', 'TABLE wrong'), '', 'and applied');
is($node->safe_psql('postgres', 'SELECT id, balance FROM accounts_online WHERE id IN (1, 4, 5, 100, 200) ORDER BY 1'), "1|11\n100|40\n200|1", 'as they were made');

# Own changes among those of the subscription, and more of those while there is no sync
$node->safe_psql('postgres', 'UPDATE accounts SET balance = -1 WHERE id = 10; INSERT INTO visits VALUES (1, 99, now(), 1)');
replicate("UPDATE accounts SET note = '$_' WHERE id BETWEEN 8 AND 12") for 1 .. 2;
$node->restart;
replicate('DELETE FROM accounts WHERE id = 11');
is(sync(), 'APPLY 12, APPLY 1', 'changes of both');
is($node->safe_psql('postgres', 'TABLE wrong'), '', 'are applied');

replicate('TRUNCATE accounts; INSERT INTO accounts VALUES (1, 1, NULL); TRUNCATE visits');
is(sync(), 'MERGE, MERGE', 'a truncation is noticed');
is($node->safe_psql('postgres', 'TABLE wrong'), '', 'and the sources are read anew');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM accounts_online), (SELECT count(*) FROM newest_visits)'), '1|0', 'which hold little');

ok(!$node->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed');
$node->stop;
$publisher->stop;
done_testing();
