# Capture and apply while everything dies at random: the server, appliers,
# writers, their clients.  Whatever was committed is applied once, whatever was
# not is not, and nothing of it stays behind.
#
# In each round four clients write to the sources at random, in transactions of
# all kinds, and two apply, until something is killed.  Prepared transactions
# live on into later rounds.  Every few rounds what is open is resolved, and
# after a sync each online table must equal what SQL over the sources says, and
# states be the bytes of those that a snapshot publication computes.
#
# FS_APPLY_CRASH_SEED repeats a sequence of statements and of what is killed
# when, FS_APPLY_CRASH_ROUNDS is how many rounds.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $seed = $ENV{FS_APPLY_CRASH_SEED} // int(rand(1_000_000));
my $rounds = $ENV{FS_APPLY_CRASH_ROUNDS} // 50;
my $checked_each = 5;
my $writers = 4;
my $users = 25;
note "seed $seed, $rounds rounds";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'END');
restart_after_crash = on
max_prepared_transactions = 6
autovacuum_naptime = 1s
deadlock_timeout = 100ms
shared_buffers = 32MB
featurestore.fill_chunk = 60
timezone = 'UTC'
# errors with their SQLSTATE, and little else
log_error_verbosity = verbose
log_statement = none
log_min_error_statement = panic
END
$node->start;

# Numbers of clicks are of one transaction each, visits have a partition of each
# kind; device_truth is what the rows staged for devices add up to.
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION featurestore;
CREATE ROLE cr_owner LOGIN;
CREATE SCHEMA cr AUTHORIZATION cr_owner;
SET SESSION AUTHORIZATION cr_owner;
SET search_path = cr;
CREATE TABLE accounts (id int PRIMARY KEY, balance numeric, note text);
CREATE TABLE prices (item int, at timestamptz, price int, PRIMARY KEY (item, at));
CREATE TABLE clicks (user_id int, at timestamptz, amount int, kind text, n int);
CREATE INDEX ON clicks (user_id, n);
CREATE TABLE visits (region int, user_id int, at timestamptz, seconds float8, PRIMARY KEY (region, user_id, at)) PARTITION BY LIST (region);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES IN (2) PARTITION BY RANGE (user_id);
CREATE TABLE visits_2a PARTITION OF visits_2 FOR VALUES FROM (0) TO (12);
CREATE TABLE visits_2b PARTITION OF visits_2 FOR VALUES FROM (12) TO (1000);
CREATE TABLE visits_rest PARTITION OF visits DEFAULT;
CREATE TABLE big (grp int, id int, at timestamptz NOT NULL, v int, PRIMARY KEY (grp, id));
INSERT INTO big SELECT i % 600, i, '2024-01-01 00:00Z'::timestamptz + i * interval '1 min', i FROM generate_series(1, 6000) AS i;
CREATE TABLE devices (id int PRIMARY KEY, v int, note text);
CREATE TABLE device_truth (LIKE devices INCLUDING ALL);

SELECT featurestore.create_staging_table('devices');
SELECT featurestore.publish_table('accounts', 'accounts_all');
SELECT featurestore.publish_table('accounts', 'accounts_rich', features => '{balance}', filter => 'balance > 50');
SELECT featurestore.publish_table('prices', 'newest', timeseries_column => 'at');
SELECT featurestore.publish_table('visits', 'newest_visits', timeseries_column => 'at');

CREATE TABLE feature (online text, name text, source regclass, entity text, function text, input text, w featurestore.time_window, filter text);
INSERT INTO feature VALUES
	('clicks_w', 'amount', 'clicks', 'user_id', 'sum', 'amount', featurestore.rolling_window('1 hour', hop => '0'), NULL),
	('clicks_w', 'largest_a', 'clicks', 'user_id', 'max', 'amount', featurestore.rolling_window('1 hour', hop => '0'), $$kind = 'a'$$),
	('clicks_w', 'clicks', 'clicks', 'user_id', 'count', NULL, featurestore.lifetime_window(), NULL),
	('clicks_w', 'last_over_5', 'clicks', 'user_id', 'last', 'amount', featurestore.lifetime_window(), 'amount > 5'),
	('clicks_w', 'kinds', 'clicks', 'user_id', 'count_distinct', 'kind', featurestore.rolling_window('2 hours'), NULL),
	('clicks_w', 'deviation', 'clicks', 'user_id', 'stddev_samp', 'amount', featurestore.rolling_window('2 hours'), 'n % 2 = 0'),
	('both_w', 'by_kind', 'clicks', 'user_id', 'histogram', 'kind', featurestore.rolling_window('30 minutes'), NULL),
	('both_w', 'least', 'clicks', 'user_id', 'min', 'amount', featurestore.rolling_window('1 hour', hop => '0'), NULL),
	('both_w', 'seconds', 'visits', 'user_id', 'sum', 'seconds', featurestore.tumbling_window('1 hour'), NULL),
	('both_w', 'longest', 'visits', 'user_id', 'max', 'seconds', featurestore.lifetime_window(), NULL),
	('both_w', 'visits', 'visits', 'user_id', 'count', NULL, featurestore.rolling_window('1 hour', hop => '0'), 'region <> 2'),
	('big_w', 'v', 'big', 'grp', 'sum', 'v', featurestore.lifetime_window(), NULL),
	('big_w', 'big_v', 'big', 'grp', 'max', 'v', featurestore.lifetime_window(), NULL);
-- each of them twice, the second for what a snapshot publication computes
SELECT count(featurestore.register_feature(prefix || name, source, ARRAY[entity], 'at', function, input, w, '{}', filter))
FROM feature, unnest('{f_,s_}'::text[]) AS prefix;
SELECT featurestore.materialize_features(array_agg('f_' || name), online) FROM feature WHERE online <> 'big_w' GROUP BY online;
SELECT featurestore.materialize_features(array_agg('s_' || name), 's_' || online, publish_mode => 'SNAPSHOT') FROM feature GROUP BY online;
SELECT featurestore.create_feature_spec('answers', ARRAY[
	featurestore.feature('{f_amount,f_largest_a,f_clicks,f_last_over_5,f_least,f_seconds,f_longest,f_visits}')]);

-- rows of one side only
CREATE FUNCTION difference(online text, expected text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('WITH o AS (SELECT o::text FROM (%1$s) o), e AS (SELECT e::text FROM (%2$s) e)
		SELECT (SELECT count(*) FROM (TABLE o EXCEPT ALL TABLE e) x) + (SELECT count(*) FROM (TABLE e EXCEPT ALL TABLE o) x)',
		online, expected) INTO result;
	RETURN result;
END
$$;
SQL

# What is filled step by step, time and again
sub start_fills
{
	$node->safe_psql('postgres', <<'END');
SET ROLE cr_owner;
SET search_path = cr;
SET client_min_messages = warning;
DROP TABLE IF EXISTS filled, big_w CASCADE;
SELECT featurestore.publish_table('big', 'filled', wait => false);
SELECT featurestore.materialize_features('{f_v,f_big_v}', 'big_w', wait => false);
END
}

# What writers do
sub one_of { return $_[ rand @_ ] }
sub user { return 1 + int rand $users }
sub id { return 1 + int rand 80 }
sub click { return 'user_id = ' . user() . ' AND n % 5 = ' . int(rand 5) }

# Times meet each other; some are of long ago, some so far ahead that the event is held for a second
sub event_time
{
	my $ago = one_of((int rand 90) x 8, int rand 20_000, -int rand 12);
	return "(date_trunc('second', now()) - interval '$ago s')";
}

sub insert_click { return sprintf "INSERT INTO cr.clicks VALUES (%d, %s, %s, '%s', %d)", user(), event_time(), one_of(1 .. 20, 'NULL'), one_of('a', 'b', 'c'), int rand 1000 }
sub insert_visit { return sprintf 'INSERT INTO cr.visits VALUES (%d, %d, %s, %s) ON CONFLICT DO NOTHING', one_of(1, 1, 2, 2, 3), user(), event_time(), (int rand 400) / 4 }
sub insert_price { return sprintf 'INSERT INTO cr.prices VALUES (%d, now() - interval \'%d s\', %d) ON CONFLICT (item, at) DO UPDATE SET price = excluded.price', user(), one_of(-2, -1, 0, 0, 1, 5), id() }

my @changes = (
	sub { sprintf "INSERT INTO cr.accounts VALUES (%d, %d, 'new') ON CONFLICT (id) DO UPDATE SET balance = excluded.balance", id(), rand 100 },
	sub { sprintf "INSERT INTO cr.accounts VALUES (%d, %d, 'only new')", id(), rand 100 },
	sub { sprintf 'UPDATE cr.accounts SET balance = balance + %d WHERE (id - %d) BETWEEN 0 AND %d', -30 + rand 60, id(), rand 4 },
	sub { sprintf 'UPDATE cr.accounts SET id = %d WHERE id = %d', id(), id() },
	sub { sprintf 'DELETE FROM cr.accounts WHERE id = %d', id() },
	sub { sprintf "DELETE FROM cr.accounts WHERE id = %1\$d; INSERT INTO cr.accounts VALUES (%1\$d, %2\$d, repeat('x', %3\$d))", id(), rand 100, rand 3000 },
	\&insert_price,
	\&insert_price,
	sub { sprintf 'UPDATE cr.prices SET price = %d WHERE item = %d', id(), user() },
	sub { sprintf 'UPDATE cr.prices SET at = at + interval \'%d s\' WHERE item = %d', one_of(-3, 1, 2), user() },
	sub { sprintf 'DELETE FROM cr.prices p WHERE item = %d AND at = (SELECT max(at) FROM cr.prices q WHERE q.item = p.item)', user() },
	sub { sprintf 'DELETE FROM cr.prices WHERE item = %d', user() },
	sub { join '; ', map { insert_click() } 1 .. 3 },
	\&insert_click,
	sub { sprintf 'UPDATE cr.clicks SET amount = %d WHERE %s', rand 20, click() },
	sub { sprintf 'UPDATE cr.clicks SET at = %s WHERE %s', event_time(), click() },
	sub { sprintf 'UPDATE cr.clicks SET user_id = %d WHERE %s', user(), click() },
	sub { sprintf 'DELETE FROM cr.clicks WHERE %s', click() },
	sub { sprintf 'DELETE FROM cr.clicks WHERE user_id = %d', user() },
	sub { join '; ', map { insert_visit() } 1 .. 3 },
	\&insert_visit,
	sub { sprintf 'UPDATE cr.visits SET seconds = %d WHERE user_id = %d', rand 100, user() },
	sub { sprintf 'UPDATE cr.visits SET region = 6 - region - %d WHERE user_id = %d AND region <> 3', one_of(3, 2), user() },
	sub { sprintf 'DELETE FROM cr.visits WHERE user_id = %d AND region = %d', user(), one_of(1, 2, 3) },
	sub { sprintf 'UPDATE cr.big SET v = v + 1 WHERE grp = %d', rand 600 },
	sub { sprintf 'UPDATE cr.big SET grp = %d WHERE grp = %d AND id %% 5 = %d', rand 600, rand 600, rand 5 },
	sub { sprintf 'DELETE FROM cr.big WHERE grp = %d AND id %% 3 = %d', rand 600, rand 3 },
	sub { sprintf "INSERT INTO cr.big SELECT grp, %d, '2024-01-01 00:00Z', 1 FROM generate_series(0, 599, 29) AS grp ON CONFLICT DO NOTHING", rand 100_000 },
	# the row of device_truth is locked while the change is staged
	sub {
		my ($id, $v, $note) = (1 + int rand 30, int rand 100, one_of('a', 'b', 'c' x 100));
		return rand() < 0.3 ? "WITH gone AS (DELETE FROM cr.device_truth WHERE id = $id RETURNING id) INSERT INTO cr.devices_staging (id, _change_type) SELECT id, 'delete' FROM gone"
			: "WITH put AS (INSERT INTO cr.device_truth VALUES ($id, $v, '$note') ON CONFLICT (id) DO UPDATE SET v = excluded.v, note = excluded.note RETURNING *) INSERT INTO cr.devices_staging (id, v, note) TABLE put";
	});

my $prepared = 0;

# One transaction, as lines of a psql script
sub transaction
{
	my $kind = rand;
	my @lines = map { one_of(@changes)->() . ';' } 1 .. 1 + rand 4;

	return $lines[0] if $kind < 0.3;
	if ($kind < 0.303)
	{
		my $table = one_of('accounts', 'prices', 'clicks', 'visits', 'visits_1', 'visits_2', 'visits_2b', 'accounts, cr.clicks');
		unshift @lines, "TRUNCATE cr.$table;";
	}
	if ($kind > 0.9)
	{
		$_ = "SAVEPOINT s;\n$_\n" . one_of('ROLLBACK TO s;', 'ROLLBACK TO s;', 'RELEASE s;', '') foreach @lines;
		unshift @lines, insert_click() . ';';
	}
	splice @lines, rand @lines, 0, sprintf('SELECT pg_sleep(%.3f);', rand 0.4) if $kind > 0.5 && $kind < 0.55;
	my $end = $kind > 0.8 && $kind < 0.85 ? 'ROLLBACK;'
		: $kind > 0.93 && $kind < 0.955 ? sprintf("PREPARE TRANSACTION 'p%d';", ++$prepared)
		: 'COMMIT;';
	return join "\n", 'BEGIN;', @lines, $end;
}

my $resolve = q{SELECT format('%s PREPARED %L', (ARRAY['COMMIT', 'ROLLBACK'])[1 + (hashtext(gid) & 1)], gid) FROM pg_prepared_xacts WHERE hashtext(gid) % 2 = %d LIMIT 1 \gexec};

sub writer_script
{
	my @lines = ("SET lock_timeout = '100ms';");
	for (1 .. 250)
	{
		push @lines, 'SET synchronous_commit = ' . one_of('on', 'off') . ';' if rand() < 0.05;
		push @lines, $resolve =~ s/%d/one_of(0, 1, -1)/er if rand() < 0.03;
		push @lines, transaction(), one_of('', sprintf('SELECT pg_sleep(%.4f);', rand 0.04));
	}
	return join "\n", @lines, 'SELECT pg_sleep(60);', '';
}

# Rotation at a size that is reached soon, so that it happens all the time
sub applier_script
{
	my @tables = qw(accounts_all accounts_rich newest newest_visits clicks_w both_w devices);
	my @lines;
	for (1 .. 100)
	{
		push @lines, 'SET synchronous_commit = ' . one_of('on', 'off') . ';' if rand() < 0.1;
		push @lines, rand() < 0.2 ? 'CALL featurestore.run_due();' : sprintf('CALL featurestore.sync(\'cr.%s\');', one_of(@tables));
		push @lines, one_of('BEGIN; ', '') . sprintf('SELECT featurestore._rotate(relation, %d) FROM featurestore.staging; COMMIT;', one_of(0, 8192, 65536)) if rand() < 0.3;
		push @lines, sprintf('CALL featurestore.sync(\'cr.%s\');', one_of('filled', 'big_w')) if rand() < 0.1;
	}
	return join "\n", @lines, 'SELECT pg_sleep(60);', '';
}

my $scripts = PostgreSQL::Test::Utils::tempdir;
my $clients = 0;

sub start_client
{
	my ($name, $script) = @_;
	my $file = sprintf '%s/%d.sql', $scripts, ++$clients;
	append_to_file($file, $script);
	return IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') . " user=cr_owner application_name=$name", '-f', $file ],
		'<', \undef, '>', '/dev/null', '2>', '/dev/null');
}

# Resolves what is prepared, brings all in step, and compares
sub check
{
	my ($round) = @_;
	my $open = $node->safe_psql('postgres', q{SELECT string_agg(format('%s PREPARED %L;', (ARRAY['COMMIT', 'ROLLBACK'])[1 + (hashtext(gid) & 1)], gid), E'\n' ORDER BY gid) FROM pg_prepared_xacts});
	$node->safe_psql('postgres', $open) if $open;

	# An event is held while it is further ahead than what counts as now; in a session each, as a schedule would
	my $out = $node->safe_psql('postgres', <<"END");
SET client_min_messages = warning;
SET search_path = cr;
SET role = cr_owner;
SET featurestore.fill_chunk = 5000;
SELECT greatest(extract(epoch FROM max(at) - interval '9.9 s' - clock_timestamp()), 0) AS ahead FROM (SELECT at FROM clicks UNION ALL SELECT at FROM visits) AS e \\gset
SELECT FROM pg_sleep(:ahead);
SELECT format('CALL featurestore.sync(%L)', online_table) FROM featurestore.publications ORDER BY online_table::text \\gexec
CALL featurestore.sync('devices');
SELECT statement_timestamp() AS t \\gset
SELECT * FROM (VALUES
	('accounts_all', difference('SELECT * FROM accounts_all', 'SELECT * FROM accounts')),
	('accounts_rich', difference('SELECT * FROM accounts_rich', 'SELECT id, balance FROM accounts WHERE balance > 50')),
	('newest', difference('SELECT * FROM newest', 'SELECT DISTINCT ON (item) * FROM prices
		WHERE at <= (SELECT applied_to FROM featurestore.publications WHERE online_table = ''newest''::regclass) ORDER BY item, at DESC')),
	('newest_visits', difference('SELECT * FROM newest_visits', 'SELECT DISTINCT ON (region, user_id) * FROM visits
		WHERE at <= (SELECT applied_to FROM featurestore.publications WHERE online_table = ''newest_visits''::regclass) ORDER BY region, user_id, at DESC')),
	('devices', difference('SELECT * FROM devices', 'SELECT * FROM device_truth')),
	('filled', difference('SELECT * FROM filled', 'SELECT * FROM big')),
	('answers', difference(format('SELECT * FROM answers_batch(ARRAY(SELECT generate_series(1, $users)), as_of => %L)', :'t'), format('SELECT u.id,
			sum(amount) FILTER (WHERE is_click AND at >= t - interval ''1 hour''),
			max(amount) FILTER (WHERE is_click AND at >= t - interval ''1 hour'' AND kind = ''a''),
			count(*) FILTER (WHERE is_click),
			(array_agg(amount ORDER BY at DESC, amount DESC) FILTER (WHERE is_click AND amount > 5))[1],
			min(amount) FILTER (WHERE is_click AND at >= t - interval ''1 hour''),
			sum(seconds) FILTER (WHERE NOT is_click AND at >= date_trunc(''hour'', t) - interval ''1 hour'' AND at < date_trunc(''hour'', t)),
			max(seconds) FILTER (WHERE NOT is_click),
			count(*) FILTER (WHERE NOT is_click AND at >= t - interval ''1 hour'' AND region <> 2)
		FROM generate_series(1, $users) AS u(id)
		LEFT JOIN (SELECT user_id, at, amount, kind, true AS is_click, NULL::int AS region, NULL::float8 AS seconds FROM clicks
				   UNION ALL SELECT user_id, at, NULL, NULL, false, region, seconds FROM visits) AS e ON e.user_id = u.id AND at < %1\$L
		CROSS JOIN (SELECT timestamptz %1\$L) AS t(t) GROUP BY 1', :'t'))),
	('clicks_w', (SELECT count(*) FROM clicks_w a FULL JOIN s_clicks_w b USING (user_id) WHERE (ROW(a.*)::record *<> ROW(b.*)::record))),
	('both_w', (SELECT count(*) FROM both_w a FULL JOIN s_both_w b USING (user_id) WHERE (ROW(a.*)::record *<> ROW(b.*)::record))),
	('big_w', (SELECT count(*) FROM big_w a FULL JOIN s_big_w b USING (grp) WHERE (ROW(a.*)::record *<> ROW(b.*)::record))),
	('rejected changes', (SELECT count(*) FROM featurestore.rejected_changes)),
	('failed runs', (SELECT count(*) FROM featurestore.publish_runs WHERE sqlstate IS NOT NULL)),
	('fills not finished', (SELECT count(*) FROM featurestore.fill_position))) AS d(what, differing)
WHERE differing <> 0;
END
	is($out, '', "round $round: all is what SQL says");
	note 'rows: ' . $node->safe_psql('postgres', q{SELECT string_agg(n || ' ' || t, ', ') FROM (SELECT (SELECT count(*) FROM cr.accounts), 'accounts' UNION ALL
		SELECT (SELECT count(*) FROM cr.prices), 'prices' UNION ALL SELECT (SELECT count(*) FROM cr.clicks), 'clicks' UNION ALL
		SELECT (SELECT count(*) FROM cr.visits), 'visits' UNION ALL SELECT (SELECT count(*) FROM cr.big), 'big' UNION ALL
		SELECT (SELECT count(*) FROM cr.devices), 'devices' UNION ALL SELECT count(*), 'staged partitions' FROM featurestore.staging s JOIN pg_inherits ON inhparent = s.relation UNION ALL
		SELECT sum(pg_relation_size(inhrelid)), 'bytes in them' FROM featurestore.staging s JOIN pg_inherits ON inhparent = s.relation) AS c(n, t)});
	note 'runs: ' . $node->safe_psql('postgres', q{SELECT string_agg(format('%s %s %s', relation::regclass, operation, n), ', ') FROM (SELECT relation, operation, count(*) AS n FROM featurestore.publish_run GROUP BY 1, 2 ORDER BY 1::text, 2) AS r});
}

start_fills();
srand($seed);
my %done;
for my $round (1 .. $rounds)
{
	my @clients = ((map { start_client('writer', writer_script()) } 1 .. $writers), (map { start_client('applier', applier_script()) } 1 .. 2));
	push @clients, start_client('applier', join "\n", map { "CALL featurestore.sync('cr.$_');" } one_of([ 'filled', 'big_w' ], [ 'big_w', 'filled' ])->@*);
	my $offset = -s $node->logfile;
	sleep 0.7 + rand 2;

	my $end = one_of(('stop') x 5, ('crash') x 3, 'terminate', 'client');
	$done{$end}++;
	if ($end eq 'stop')
	{
		$node->stop('immediate');
		$node->append_conf('postgresql.conf', 'wal_level = ' . one_of('minimal', 'replica'));
	}
	elsif ($end eq 'crash')
	{
		# one that is at work, if there is one
		my $pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE application_name = 'applier' ORDER BY state <> 'active', md5(pid::text) LIMIT 1");
		kill 'KILL', $pid if $pid;
		$done{nobody}++ unless $pid;
		$node->stop('immediate') unless $pid;
	}
	elsif ($end eq 'client')
	{
		$_->signal('KILL') foreach @clients;
	}
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'cr_owner'") if $end eq 'terminate' || $end eq 'client';
	IPC::Run::finish($_) foreach @clients;
	$node->wait_for_log(qr/database system is ready to accept connections/, $offset) if $end eq 'crash' && -e $node->data_dir . '/postmaster.pid';
	$node->start unless -e $node->data_dir . '/postmaster.pid';

	if ($round % $checked_each == 0 || $round == $rounds)
	{
		check($round);
		start_fills() if $round < $rounds;
	}
}
note join ', ', map { "$_ $done{$_}" } sort keys %done;

# With nothing left to apply nothing stays staged, once what is current has been so before
$node->safe_psql('postgres', 'SET ROLE cr_owner; SELECT featurestore._rotate(relation, 0) FROM featurestore.staging') for 1 .. 2;
is($node->safe_psql('postgres', 'SELECT s.relation, sum(pg_relation_size(inhrelid)) FROM featurestore.staging s JOIN pg_inherits ON inhparent = s.relation GROUP BY 1 HAVING sum(pg_relation_size(inhrelid)) > 0'),
	'', 'nothing is left in staging tables');
is($node->safe_psql('postgres', 'SELECT count(*) FROM featurestore.staging'), '6', 'one staging table a source');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relnamespace = 'cr'::regnamespace AND relname ~ '_changes' AND relispartition
	AND oid NOT IN (SELECT inhrelid FROM featurestore.staging s JOIN pg_inherits ON inhparent = s.relation)"), '0', 'and none that is not used');

# What went wrong was our doing, or the writers'
my %expected = (
	'23505' => 'unique violations', '40001' => 'rows that moved', '40P01' => 'deadlocks', '55P03' => 'lock timeouts', '25P02' => 'statements after an error', '3B001' => 'savepoints after an error',
	'57P01' => 'terminated', '57P02' => 'crash shutdown', '57P03' => 'not up yet', '08006' => 'lost connections', '57014' => 'cancelled autovacuum',
	'25P01' => 'no transaction', '01000' => 'terminated already', '42704' => 'prepared transactions resolved by another');
my @unexpected = grep { /(?:WARNING|ERROR|FATAL|PANIC):  (\w{5}): (.*)/ && !exists $expected{$1}
	&& $2 !~ /maximum number of prepared transactions|prepared transaction with identifier .* is busy/ } split /\n/, slurp_file($node->logfile);
is(join("\n", @unexpected > 20 ? @unexpected[ 0 .. 19 ] : @unexpected), '', 'no unexpected errors');
ok(!$node->log_contains('TRAP:|PANIC|terminated by signal (?!9:)'), 'nothing crashed by itself');
$node->stop;
done_testing();
