# Writers of SYNCHRONOUS publications while everything dies at random: the
# server, writers, their clients.  After any of it, and with nothing else done,
# each online table must equal what SQL over its sources says, and states be the
# bytes of those that a snapshot publication computes.
#
# In each round four clients write at random, in transactions of all kinds; one
# computes keys and tables anew.  Prepared transactions live on into later rounds.
#
# FS_SYNCHRONOUS_SEED repeats a sequence of statements, FS_SYNCHRONOUS_ROUNDS is
# how many rounds.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $seed = $ENV{FS_SYNCHRONOUS_SEED} // int(rand(1_000_000));
my $rounds = $ENV{FS_SYNCHRONOUS_ROUNDS} // 12;
my $users = 12;
note "seed $seed, $rounds rounds";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'END');
restart_after_crash = on
max_prepared_transactions = 6
autovacuum_naptime = 1s
deadlock_timeout = 100ms
timezone = 'UTC'
log_error_verbosity = verbose
log_statement = none
log_min_error_statement = panic
END
$node->start;

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION featurestore;
CREATE ROLE sy_owner LOGIN;
CREATE ROLE sy_writer LOGIN;
CREATE SCHEMA sy AUTHORIZATION sy_owner;
SET SESSION AUTHORIZATION sy_owner;
SET search_path = sy;
CREATE TABLE accounts (id int PRIMARY KEY, balance numeric, note text);
CREATE TABLE prices (item int, at timestamptz, price int, PRIMARY KEY (item, at));
CREATE TABLE clicks (user_id int, at timestamptz, amount int, kind text, n int);
CREATE INDEX ON clicks (user_id, n);
CREATE TABLE visits (region int, user_id int, at timestamptz, seconds float8, PRIMARY KEY (region, user_id, at)) PARTITION BY LIST (region);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
CREATE TABLE visits_rest PARTITION OF visits DEFAULT;
GRANT USAGE ON SCHEMA sy TO sy_writer;
GRANT ALL ON accounts, prices, clicks, visits, visits_1 TO sy_writer;

SELECT featurestore.publish_table('accounts', 'accounts_all', 'SYNCHRONOUS');
SELECT featurestore.publish_table('accounts', 'accounts_rich', 'SYNCHRONOUS', features => '{balance}', filter => 'balance > 50');
SELECT featurestore.publish_table('accounts', 'accounts_later', 'TRIGGERED');
SELECT featurestore.publish_table('prices', 'newest', 'SYNCHRONOUS', timeseries_column => 'at', filter => 'price <> 7');
SELECT featurestore.publish_table('accounts_all', 'accounts_copy', 'SYNCHRONOUS');

CREATE TABLE feature (online text, name text, source regclass, function text, input text, w featurestore.time_window, filter text);
INSERT INTO feature VALUES
	('clicks_w', 'amount', 'clicks', 'sum', 'amount', featurestore.rolling_window('1 hour', hop => '0'), NULL),
	('clicks_w', 'largest_a', 'clicks', 'max', 'amount', featurestore.rolling_window('1 hour', hop => '0'), $$kind = 'a'$$),
	('clicks_w', 'clicks', 'clicks', 'count', NULL, featurestore.lifetime_window(), NULL),
	('clicks_w', 'last_over_5', 'clicks', 'last', 'amount', featurestore.lifetime_window(), 'amount > 5'),
	('clicks_w', 'kinds', 'clicks', 'count_distinct', 'kind', featurestore.rolling_window('2 hours'), NULL),
	('both_w', 'by_kind', 'clicks', 'histogram', 'kind', featurestore.rolling_window('30 minutes'), NULL),
	('both_w', 'least', 'clicks', 'min', 'amount', featurestore.rolling_window('1 hour', hop => '0'), NULL),
	('both_w', 'seconds', 'visits', 'sum', 'seconds', featurestore.tumbling_window('1 hour'), NULL),
	('both_w', 'longest', 'visits', 'max', 'seconds', featurestore.lifetime_window(), NULL),
	('both_w', 'visits', 'visits', 'count', NULL, featurestore.rolling_window('1 hour', hop => '0'), 'region <> 2');
-- each of them twice, the second for what a snapshot publication computes
SELECT count(featurestore.register_feature(prefix || name, source, '{user_id}', 'at', function, input, w, '{}', filter))
FROM feature, unnest('{f_,s_}'::text[]) AS prefix;
SELECT featurestore.materialize_features(array_agg('f_' || name), online, publish_mode => 'SYNCHRONOUS') FROM feature GROUP BY online;
SELECT featurestore.materialize_features(array_agg('s_' || name), 's_' || online, publish_mode => 'SNAPSHOT') FROM feature GROUP BY online;

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

# What writers do
sub one_of { return $_[ rand @_ ] }
sub user { return 1 + int rand $users }
sub id { return 1 + int rand 40 }
sub click { return 'user_id = ' . user() . ' AND n % 5 = ' . int(rand 5) }
sub event_time { return sprintf "(date_trunc('second', now()) - interval '%d s')", one_of((int rand 90) x 8, int rand 20_000) }
sub insert_click { return sprintf "INSERT INTO sy.clicks VALUES (%s, %s, %s, '%s', %d)", one_of((user()) x 20, 'NULL'), event_time(), one_of(1 .. 20, 'NULL'), one_of('a', 'b', 'c'), int rand 1000 }
sub insert_visit { return sprintf 'INSERT INTO sy.visits VALUES (%d, %d, %s, %s) ON CONFLICT DO NOTHING', one_of(1, 1, 2, 3), user(), event_time(), (int rand 400) / 4 }
sub insert_price { return sprintf "INSERT INTO sy.prices VALUES (%d, date_trunc('second', now()) - interval '%d s', %d) ON CONFLICT (item, at) DO UPDATE SET price = excluded.price", user(), rand 10, id() }

my @changes = (
	sub { sprintf "INSERT INTO sy.accounts VALUES (%d, %d, 'new') ON CONFLICT (id) DO UPDATE SET balance = excluded.balance", id(), rand 100 },
	sub { sprintf 'UPDATE sy.accounts SET balance = balance + %d WHERE (id - %d) BETWEEN 0 AND %d', -30 + rand 60, id(), rand 4 },
	sub { sprintf 'UPDATE sy.accounts SET id = %d WHERE id = %d', id(), id() },
	sub { sprintf 'DELETE FROM sy.accounts WHERE id = %d', id() },
	sub { sprintf "DELETE FROM sy.accounts WHERE id = %1\$d; INSERT INTO sy.accounts VALUES (%1\$d, %2\$d, repeat('x', %3\$d))", id(), rand 100, rand 3000 },
	\&insert_price,
	\&insert_price,
	sub { sprintf 'UPDATE sy.prices SET price = %d WHERE item = %d', id(), user() },
	sub { sprintf 'UPDATE sy.prices SET at = at - interval \'%d s\' WHERE item = %d', one_of(3, 1, 2), user() },
	sub { sprintf 'DELETE FROM sy.prices p WHERE item = %d AND at = (SELECT max(at) FROM sy.prices q WHERE q.item = p.item)', user() },
	sub { sprintf 'DELETE FROM sy.prices WHERE item = %d', user() },
	sub { join '; ', map { insert_click() } 1 .. 3 },
	\&insert_click,
	\&insert_click,
	sub { sprintf 'UPDATE sy.clicks SET amount = %d WHERE %s', rand 20, click() },
	sub { sprintf 'UPDATE sy.clicks SET at = %s WHERE %s', event_time(), click() },
	sub { sprintf 'UPDATE sy.clicks SET user_id = %d WHERE %s', user(), click() },
	sub { sprintf 'DELETE FROM sy.clicks WHERE %s', click() },
	sub { sprintf 'DELETE FROM sy.clicks WHERE user_id = %d', user() },
	sub { join '; ', map { insert_visit() } 1 .. 3 },
	\&insert_visit,
	sub { sprintf 'UPDATE sy.visits SET seconds = %d WHERE user_id = %d', rand 100, user() },
	sub { sprintf 'UPDATE sy.visits SET region = 4 - region WHERE user_id = %d AND region <> 2', user() },
	sub { sprintf 'DELETE FROM sy.visits WHERE user_id = %d AND region = %d', user(), one_of(1, 2, 3) });

my $prepared = 0;

# One transaction, as lines of a psql script
sub transaction
{
	my $kind = rand;
	my @lines = map { one_of(@changes)->() . ';' } 1 .. 1 + rand 4;

	return $lines[0] if $kind < 0.3;
	unshift @lines, sprintf 'TRUNCATE sy.%s;', one_of('accounts', 'prices', 'clicks', 'visits', 'visits_1', 'accounts, sy.clicks') if $kind < 0.304;
	if ($kind > 0.9)
	{
		$_ = "SAVEPOINT s;\n$_\n" . one_of('SELECT featurestore._flush_captured();', '', '') . one_of('ROLLBACK TO s;', 'ROLLBACK TO s;', 'RELEASE s;', '') foreach @lines;
		unshift @lines, insert_click() . ';';
	}
	splice @lines, rand @lines, 0, sprintf('SELECT pg_sleep(%.3f);', rand 0.2) if $kind > 0.5 && $kind < 0.55;
	my $end = $kind > 0.8 && $kind < 0.85 ? 'ROLLBACK;'
		: $kind > 0.93 && $kind < 0.95 ? sprintf("PREPARE TRANSACTION 'p%d';", ++$prepared)
		: 'COMMIT;';
	return join "\n", 'BEGIN' . one_of('', '', '', ' ISOLATION LEVEL REPEATABLE READ', ' ISOLATION LEVEL SERIALIZABLE') . ';', @lines, $end;
}

my $resolve = q{SELECT format('%s PREPARED %L', (ARRAY['COMMIT', 'ROLLBACK'])[1 + (hashtext(gid) & 1)], gid) FROM pg_prepared_xacts WHERE hashtext(gid) % 2 = %d LIMIT 1 \gexec};

sub writer_script
{
	my @lines = ("SET lock_timeout = '200ms';");
	for (1 .. 400)
	{
		push @lines, 'SET synchronous_commit = ' . one_of('on', 'off') . ';' if rand() < 0.05;
		push @lines, $resolve =~ s/%d/one_of(0, 1, -1)/er if rand() < 0.05;
		push @lines, transaction();
	}
	return join "\n", @lines, 'SELECT pg_sleep(60);', '';
}

sub owner_script
{
	my @lines = ("SET lock_timeout = '500ms';");
	for (1 .. 100)
	{
		push @lines, one_of(
			'CALL featurestore.run_due();', "CALL featurestore.sync('sy.accounts_later');",
			sprintf(q{CALL featurestore.rebuild('sy.clicks_w', '[{"user_id": %d}, {"user_id": %d}]');}, user(), user()),
			sprintf(q{CALL featurestore.rebuild('sy.%s');}, one_of(qw(accounts_all newest clicks_w both_w))),
			sprintf(q{SELECT featurestore.pause_publication('sy.%1$s'); SELECT featurestore.resume_publication('sy.%1$s');}, one_of(qw(accounts_rich both_w)))),
			sprintf('SELECT pg_sleep(%.3f);', rand 0.3);
	}
	return join "\n", @lines, '';
}

my $scripts = PostgreSQL::Test::Utils::tempdir;
my $clients = 0;

sub start_client
{
	my ($role, $script) = @_;
	my $file = sprintf '%s/%d.sql', $scripts, ++$clients;
	append_to_file($file, $script);
	return IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') . " user=$role", '-f', $file ],
		'<', \undef, '>', '/dev/null', '2>', '/dev/null');
}

# Resolves what is prepared, and compares.  A publication that was interrupted between pause and resume is resumed.
sub check
{
	my ($round) = @_;
	my $open = $node->safe_psql('postgres', q{SELECT string_agg(format('%s PREPARED %L;', (ARRAY['COMMIT', 'ROLLBACK'])[1 + (hashtext(gid) & 1)], gid), E'\n' ORDER BY gid) FROM pg_prepared_xacts});
	$node->safe_psql('postgres', $open) if $open;

	my $out = $node->safe_psql('postgres', <<"END");
SET client_min_messages = warning;
SET search_path = sy;
SET role = sy_owner;
SELECT format('SELECT FROM featurestore.resume_publication(%L)', online_table) FROM featurestore.publications WHERE state = 'PAUSED' \\gexec
CALL featurestore.sync('accounts_later');
CALL featurestore.sync('s_clicks_w');
CALL featurestore.sync('s_both_w');
SELECT * FROM (VALUES
	('accounts_all', difference('SELECT * FROM accounts_all', 'SELECT * FROM accounts')),
	('accounts_copy', difference('SELECT * FROM accounts_copy', 'SELECT * FROM accounts')),
	('accounts_later', difference('SELECT * FROM accounts_later', 'SELECT * FROM accounts')),
	('accounts_rich', difference('SELECT * FROM accounts_rich', 'SELECT id, balance FROM accounts WHERE balance > 50')),
	('newest', difference('SELECT * FROM newest', 'SELECT DISTINCT ON (item) * FROM prices WHERE price <> 7 ORDER BY item, at DESC')),
	('clicks_w', (SELECT count(*) FROM clicks_w a FULL JOIN s_clicks_w b USING (user_id) WHERE (ROW(a.*)::record *<> ROW(b.*)::record))),
	('both_w', (SELECT count(*) FROM both_w a FULL JOIN s_both_w b USING (user_id) WHERE (ROW(a.*)::record *<> ROW(b.*)::record))),
	('rejected changes', (SELECT count(*) FROM featurestore.rejected_changes))) AS d(what, differing)
WHERE differing <> 0;
END
	is($out, '', "round $round: all is what SQL says");
}

srand($seed);
my %done;
for my $round (1 .. $rounds)
{
	my @clients = ((map { start_client('sy_writer', writer_script()) } 1 .. 4), start_client('sy_owner', owner_script()));
	my $offset = -s $node->logfile;
	sleep 1 + rand 2;

	my $end = one_of(('stop') x 3, ('crash') x 2, 'terminate', 'client');
	$done{$end}++;
	$node->stop('immediate') if $end eq 'stop';
	if ($end eq 'crash')
	{
		my $pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE usename = 'sy_writer' ORDER BY state <> 'active', md5(pid::text) LIMIT 1");
		kill 'KILL', $pid if $pid;
		$node->stop('immediate') unless $pid;
	}
	$_->signal('KILL') foreach $end eq 'client' ? @clients : ();
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename ~ '^sy_'") if $end eq 'terminate' || $end eq 'client';
	IPC::Run::finish($_) foreach @clients;
	$node->wait_for_log(qr/database system is ready to accept connections/, $offset) if $end eq 'crash' && -e $node->data_dir . '/postmaster.pid';
	$node->start unless -e $node->data_dir . '/postmaster.pid';
	check($round);
}
note join ', ', map { "$_ $done{$_}" } sort keys %done;
note 'rows: ' . $node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM sy.accounts), (SELECT count(*) FROM sy.prices), (SELECT count(*) FROM sy.clicks), (SELECT count(*) FROM sy.visits)});

# Applied changes are nowhere else, and what only SYNCHRONOUS publications read was never staged
is($node->safe_psql('postgres', q{SELECT string_agg(relation::text, ' ' ORDER BY relation::text) FROM featurestore.staging WHERE is_written}), 'sy.accounts_changes', 'staged is what has another publication');
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM sy.clicks_changes) + (SELECT count(*) FROM sy.prices_changes) + (SELECT count(*) FROM sy.accounts_all_changes)}), '0', 'and nothing else');

# A restored database says that its tables are not filled; a run fills them, and from then on writers keep them in step
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'dump');
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->append_conf('postgresql.conf', "timezone = 'UTC'");
$other->start;
$other->safe_psql('postgres', 'CREATE ROLE sy_owner LOGIN; CREATE ROLE sy_writer LOGIN');
$other->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $other->connstr('postgres'), '-f', $dump ], 'restore');
$other->safe_psql('postgres', q{SET ROLE sy_writer; INSERT INTO sy.clicks VALUES (1, now(), 1, 'a', 1); INSERT INTO sy.accounts VALUES (1000, 1)});
is($other->safe_psql('postgres', q{SELECT string_agg(DISTINCT state, ' ') FROM featurestore.publications WHERE publish_mode = 'SYNCHRONOUS'}), 'INITIALIZING', 'restored tables are not filled');
$other->safe_psql('postgres', q{SET ROLE sy_owner; CALL featurestore.run_due()});
is($other->safe_psql('postgres', q{SELECT string_agg(DISTINCT state, ' ') FROM featurestore.publications WHERE publish_mode = 'SYNCHRONOUS'}), 'OK', 'until they are');
$other->safe_psql('postgres', q{SET ROLE sy_writer; INSERT INTO sy.clicks VALUES (1, now(), 1, 'a', 1); INSERT INTO sy.accounts VALUES (1001, 1); DELETE FROM sy.accounts WHERE id < 1000});
is($other->safe_psql('postgres', q{SELECT (SELECT count(*) FROM sy.accounts_copy), sum(f_clicks) = (SELECT count(*) FROM sy.clicks WHERE user_id IS NOT NULL AND at < statement_timestamp()) FROM sy.clicks_w_values}), '2|t', 'writers keep them in step');
$other->stop;

# What went wrong was our doing, or the writers'
my %expected = (
	'23505' => 'unique violations', '40001' => 'rows that moved', '40P01' => 'deadlocks', '55P03' => 'lock timeouts', '25P02' => 'statements after an error', '3B001' => 'savepoints after an error',
	'57P01' => 'terminated', '57P02' => 'crash shutdown', '57P03' => 'not up yet', '08006' => 'lost connections', '57014' => 'cancelled autovacuum', '25P01' => 'no transaction', '01000' => 'terminated already',
	'42704' => 'prepared transactions resolved by another', '55000' => 'paused');
my %errors;
my @unexpected = grep { /(?:WARNING|ERROR|FATAL|PANIC):  (\w{5}): (.*)/ && ++$errors{$1} && !exists $expected{$1}
	&& $2 !~ /maximum number of prepared transactions|prepared transaction with identifier .* is busy|publication of .* failed/ } split /\n/, slurp_file($node->logfile);
note join ', ', map { "$_ $errors{$_}" } sort keys %errors;
is(join("\n", @unexpected > 20 ? @unexpected[ 0 .. 19 ] : @unexpected), '', 'no unexpected errors');
ok(!$node->log_contains('TRAP:|PANIC|terminated by signal (?!9:)'), 'nothing crashed by itself');
$node->stop;
done_testing();
