# Tables, and clients that write to them at random, for tests in which something
# dies; what of them is published, and what that must hold.
#
# Each publish mode has a prefix, of all that is published in that mode: the
# same tables from the same sources, so that a transaction is tried in all modes
# at once.  States are to be the bytes of those of the prefix 's', which are
# computed anew.
package Writers;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

# What a test may have otherwise, before it makes scripts
our %options = (
	users => 25,
	ids => 80,
	ahead => 1,                  # some times are ahead of the clock; otherwise all have been, in whole seconds
	null_keys => 0,              # how likely a click is nobody's
	begin => ['BEGIN'],          # what transactions start with
	in_savepoint => [''],        # what is done before the end of a subtransaction
	transactions => 250,         # of a script
	pause => 0.04,               # between two of them, at most
	lock_timeout => '100ms',
	failures => '');             # SQLSTATEs, with commas, that runs may fail with

my %modes = (t => 'TRIGGERED', c => 'CONTINUOUS', y => 'SYNCHRONOUS', s => 'SNAPSHOT');

our $config = <<'END';
restart_after_crash = on
max_prepared_transactions = 6
autovacuum_naptime = 1s
deadlock_timeout = 100ms
featurestore.autostart_worker = on
shared_buffers = 32MB
timezone = 'UTC'
# errors with their SQLSTATE, and little else
log_error_verbosity = verbose
log_statement = none
log_min_error_statement = panic
END

# Numbers of clicks are of one transaction each, visits have a partition of each
# kind; device_truth is what the rows staged for devices add up to.
my $sources = <<'SQL';
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

# What is filled from the first is made by start_fills, time and again
my $tables = <<'SQL';
SELECT featurestore.publish_table('accounts', 'P_accounts_all', publish_mode => 'MODE');
SELECT featurestore.publish_table('accounts', 'P_accounts_rich', publish_mode => 'MODE', features => '{balance}', filter => 'balance > 50');
SELECT featurestore.publish_table('prices', 'P_newest', publish_mode => 'MODE', timeseries_column => 'at');
SELECT featurestore.publish_table('visits', 'P_newest_visits', publish_mode => 'MODE', timeseries_column => 'at');
SQL
my $states = <<'SQL';
SELECT count(*) FROM feature, featurestore.register_feature('P_' || name, source, ARRAY[entity], 'at', function, input, w, '{}', filter);
SELECT featurestore.materialize_features(array_agg('P_' || name), 'P_' || online, publish_mode => 'MODE') FROM feature WHERE online <> 'big_w' OR 'P' = 's' GROUP BY online;
SELECT featurestore.create_feature_spec('P_answers', ARRAY[
	featurestore.feature('{P_amount,P_largest_a,P_clicks,P_last_over_5,P_least,P_seconds,P_longest,P_visits}')]);
SQL
my $fills = <<'SQL';
DROP TABLE IF EXISTS P_filled, P_big_w CASCADE;
SELECT featurestore.publish_table('big', 'P_filled', publish_mode => 'MODE', wait => WAIT);
SELECT featurestore.materialize_features('{P_v,P_big_v}', 'P_big_w', publish_mode => 'MODE', wait => WAIT);
SQL

# SQL for a prefix
sub of_prefix
{
	my ($sql, $prefix) = @_;
	my $wait = $prefix eq 'y' ? 'true' : 'false';
	return $sql =~ s/\bP(?=\b|_)/$prefix/gr =~ s/\bMODE\b/$modes{$prefix}/gr =~ s/\bWAIT\b/$wait/gr;
}

my $as_owner = 'SET client_min_messages = warning; SET SESSION AUTHORIZATION cr_owner; SET search_path = cr;';

# Makes the sources, the tables of each prefix, and the states that others are compared with
sub make
{
	my ($node, @prefixes) = @_;
	$node->safe_psql('postgres', $sources);
	$node->safe_psql('postgres', join "\n", $as_owner, (map { of_prefix($tables . $states, $_) } @prefixes), of_prefix($states, 's'));
}

# Publishes what a run cannot fill at once; where writers wait for it, it is filled
sub start_fills
{
	my ($node, @prefixes) = @_;
	$node->safe_psql('postgres', join "\n", $as_owner, map { of_prefix($fills, $_) } @prefixes);
}

# What writers do
sub one_of { return $_[ @_ > 1 ? rand @_ : 0 ] }
sub user { return 1 + int rand $options{users} }
sub id { return 1 + int rand $options{ids} }
sub click { return 'user_id = ' . user() . ' AND n % 5 = ' . int(rand 5) }

# One of some numbers of seconds before now
sub ago
{
	my $ago = one_of(@_);
	return $options{ahead} ? $ago : abs $ago;
}

# Times meet each other; some are of long ago, some so far ahead that the event is held for a second
sub event_time { return sprintf "(date_trunc('second', now()) - interval '%d s')", ago((int rand 90) x 8, int rand 20_000, -int rand 12) }

sub insert_click { return sprintf "INSERT INTO cr.clicks VALUES (%s, %s, %s, '%s', %d)", $options{null_keys} && rand() < $options{null_keys} ? 'NULL' : user(), event_time(), one_of(1 .. 20, 'NULL'), one_of('a', 'b', 'c'), int rand 1000 }
sub insert_visit { return sprintf 'INSERT INTO cr.visits VALUES (%d, %d, %s, %s) ON CONFLICT DO NOTHING', one_of(1, 1, 2, 2, 3), user(), event_time(), (int rand 400) / 4 }
sub insert_price { return sprintf 'INSERT INTO cr.prices VALUES (%d, %s - interval \'%d s\', %d) ON CONFLICT (item, at) DO UPDATE SET price = excluded.price', user(), $options{ahead} ? 'now()' : "date_trunc('second', now())", ago(-2, -1, 0, 0, 1, 5), id() }

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
	sub { sprintf 'UPDATE cr.prices SET at = at - interval \'%d s\' WHERE item = %d', ago(3, -1, -2), user() },
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
		$_ = "SAVEPOINT s;\n$_\n" . one_of($options{in_savepoint}->@*) . one_of('ROLLBACK TO s;', 'ROLLBACK TO s;', 'RELEASE s;', '') foreach @lines;
		unshift @lines, insert_click() . ';';
	}
	splice @lines, rand @lines, 0, sprintf('SELECT pg_sleep(%.3f);', rand 0.4) if $kind > 0.5 && $kind < 0.55;
	my $end = $kind > 0.8 && $kind < 0.85 ? 'ROLLBACK;'
		: $kind > 0.93 && $kind < 0.955 ? sprintf("PREPARE TRANSACTION 'p%d';", ++$prepared)
		: 'COMMIT;';
	return join "\n", one_of($options{begin}->@*) . ';', @lines, $end;
}

my $resolve = q{SELECT format('%s PREPARED %L', (ARRAY['COMMIT', 'ROLLBACK'])[1 + (hashtext(gid) & 1)], gid) FROM pg_prepared_xacts WHERE hashtext(gid) % 2 = %d LIMIT 1 \gexec};

sub writer_script
{
	my @lines = ("SET lock_timeout = '$options{lock_timeout}';");
	for (1 .. $options{transactions})
	{
		push @lines, 'SET synchronous_commit = ' . one_of('on', 'off') . ';' if rand() < 0.05;
		push @lines, $resolve =~ s/%d/one_of(0, 1, -1)/er if rand() < 0.03;
		push @lines, transaction(), one_of('', sprintf('SELECT pg_sleep(%.4f);', rand $options{pause}));
	}
	return join "\n", @lines, 'SELECT pg_sleep(60);', '';
}

my $scripts = PostgreSQL::Test::Utils::tempdir;
my $clients = 0;

sub start_client
{
	my ($node, $name, $script, $role) = @_;
	$role //= 'cr_owner';
	my $file = sprintf '%s/%d.sql', $scripts, ++$clients;
	append_to_file($file, $script);
	return IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') . " user=$role application_name=$name", '-f', $file ],
		'<', \undef, '>', '/dev/null', '2>', '/dev/null');
}

# Ends a round: something dies, and the clients with it.  end is stop, immediately and into another configuration;
# crash of the process of the pid that victim, SQL, gives; terminate all sessions; client, where their clients die.
sub finish
{
	my ($node, $end, $victim, $config, @clients) = @_;
	my $offset = -s $node->logfile;
	my $pid = $end eq 'crash' && $node->safe_psql('postgres', $victim);

	if ($end eq 'stop')
	{
		$node->stop('immediate');
		$node->append_conf('postgresql.conf', $config);
	}
	elsif ($end eq 'crash')
	{
		kill 'KILL', $pid if $pid;
		$node->stop('immediate') unless $pid;
	}
	elsif ($end eq 'client')
	{
		$_->signal('KILL') foreach @clients;
	}
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename ~ '^cr_'") if $end eq 'terminate' || $end eq 'client';
	IPC::Run::finish($_) foreach @clients;
	$node->wait_for_log(qr/database system is ready to accept connections/, $offset) if $pid;
	$node->start unless -e $node->data_dir . '/postmaster.pid';
}

# Commits or rolls back what is prepared
sub resolve
{
	my ($node) = @_;
	my $open = $node->safe_psql('postgres', q{SELECT string_agg(format('%s PREPARED %L;', (ARRAY['COMMIT', 'ROLLBACK'])[1 + (hashtext(gid) & 1)], gid), E'\n' ORDER BY gid) FROM pg_prepared_xacts});
	$node->safe_psql('postgres', $open) if $open;
}

# What differs in the tables of a prefix; in time series, rows that were due at a time are there
my $comparisons = <<'END';
	('P_accounts_all', difference('SELECT * FROM P_accounts_all', 'SELECT * FROM accounts')),
	('P_accounts_rich', difference('SELECT * FROM P_accounts_rich', 'SELECT id, balance FROM accounts WHERE balance > 50')),
	('P_newest', difference('SELECT * FROM P_newest', 'SELECT DISTINCT ON (item) * FROM prices WHERE at <= APPLIED(P_newest) ORDER BY item, at DESC')),
	('P_newest_visits', difference('SELECT * FROM P_newest_visits', 'SELECT DISTINCT ON (region, user_id) * FROM visits WHERE at <= APPLIED(P_newest_visits) ORDER BY region, user_id, at DESC')),
	('P_filled', difference('SELECT * FROM P_filled', 'SELECT * FROM big')),
	('P_answers', difference(format('SELECT * FROM P_answers_batch(ARRAY(SELECT generate_series(1, USERS)), as_of => %L)', statement_timestamp()), format('SELECT u.id,
			sum(amount) FILTER (WHERE is_click AND at >= t - interval ''1 hour''),
			max(amount) FILTER (WHERE is_click AND at >= t - interval ''1 hour'' AND kind = ''a''),
			count(*) FILTER (WHERE is_click),
			(array_agg(amount ORDER BY at DESC, amount DESC) FILTER (WHERE is_click AND amount > 5))[1],
			min(amount) FILTER (WHERE is_click AND at >= t - interval ''1 hour''),
			sum(seconds) FILTER (WHERE NOT is_click AND at >= date_trunc(''hour'', t) - interval ''1 hour'' AND at < date_trunc(''hour'', t)),
			max(seconds) FILTER (WHERE NOT is_click),
			count(*) FILTER (WHERE NOT is_click AND at >= t - interval ''1 hour'' AND region <> 2)
		FROM generate_series(1, USERS) AS u(id)
		LEFT JOIN (SELECT user_id, at, amount, kind, true AS is_click, NULL::int AS region, NULL::float8 AS seconds FROM clicks
				   UNION ALL SELECT user_id, at, NULL, NULL, false, region, seconds FROM visits) AS e ON e.user_id = u.id AND at < %1$L
		CROSS JOIN (SELECT timestamptz %1$L) AS t(t) GROUP BY 1', statement_timestamp()))),
	('P_clicks_w', (SELECT count(*) FROM P_clicks_w a FULL JOIN s_clicks_w b USING (user_id) WHERE (ROW(a.*)::record *<> ROW(b.*)::record))),
	('P_both_w', (SELECT count(*) FROM P_both_w a FULL JOIN s_both_w b USING (user_id) WHERE (ROW(a.*)::record *<> ROW(b.*)::record))),
	('P_big_w', (SELECT count(*) FROM P_big_w a FULL JOIN s_big_w b USING (grp) WHERE (ROW(a.*)::record *<> ROW(b.*)::record))),
END

# SQL for the seconds until the last event counts that is ahead of the clock, but for those within what a state answers
our $seconds_ahead = q{SELECT greatest(extract(epoch FROM max(at) - interval '9.9 s' - clock_timestamp()), 0) FROM (SELECT at FROM cr.clicks UNION ALL SELECT at FROM cr.visits) AS e};

# What workers are to do by themselves
my $undone = <<'END';
SELECT string_agg(what, ', ' ORDER BY what) FROM (
	SELECT 'fill of ' || relation AS what FROM featurestore.publication WHERE publish_mode = 'CONTINUOUS' AND NOT featurestore._is_filled(relation)
	UNION ALL SELECT 'changes of ' || relation FROM (SELECT relation FROM featurestore.publication WHERE publish_mode = 'CONTINUOUS' UNION ALL SELECT online_table FROM featurestore.staging WHERE online_table IS NOT NULL) AS p
		WHERE featurestore._has_pending(relation)
	UNION ALL SELECT DISTINCT 'rows held of ' || relation FROM featurestore.held_change JOIN featurestore.publication USING (relation) WHERE publish_mode IN ('CONTINUOUS', 'SYNCHRONOUS') AND due < clock_timestamp()) AS u
END

# Waits until that is done.  Rows of time series that are still ahead are deleted, since they would come due while
# tables are compared.
sub await_workers
{
	my ($node, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $until = time + 60;
	my $committed = 0;
	my $left;

	sleep $node->safe_psql('postgres', $seconds_ahead);
	$node->safe_psql('postgres', 'DELETE FROM cr.prices WHERE at > now(); DELETE FROM cr.visits WHERE at > now()');
	while (($left = $node->safe_psql('postgres', $undone)) ne '' && time < $until)
	{
		# One that was killed just after its start is not started again at once, and then not before there is a commit
		if (time > $committed + 1)
		{
			$node->safe_psql('postgres', 'INSERT INTO cr.clicks VALUES (1, now(), 1, NULL, 0)');
			$committed = time;
		}
		sleep 0.02;
	}
	is($left, '', "$name: workers have done what there was to do");
}

# Syncs and compares.  sync says which tables are synced first, an SQL condition over online_table; applied is up to
# when rows of time series are due, an SQL expression where TABLE stands for the online table.
sub check
{
	my ($node, $name, $sync, $applied, @prefixes) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	my $compared = join '', map { of_prefix($comparisons, $_) } @prefixes;
	$compared =~ s/USERS/$options{users}/g;
	$compared =~ s/APPLIED\((\w+)\)/my $table = $1; $applied =~ s{TABLE}{$table}gr/eg;
	is($node->safe_psql('postgres', <<"END"), '', "$name: all is what SQL says");
$as_owner
SET featurestore.fill_chunk = 5000;
SELECT format('CALL featurestore.sync(%L)', online_table) FROM (SELECT online_table FROM featurestore.publications UNION ALL SELECT 'devices') AS t WHERE $sync ORDER BY online_table::text \\gexec
SELECT * FROM (VALUES
$compared
	('devices', difference('SELECT * FROM devices', 'SELECT * FROM device_truth')),
	('rejected changes', (SELECT count(*) FROM featurestore.rejected_changes)),
	('failed runs', (SELECT count(*) FROM featurestore.publish_runs WHERE sqlstate IS NOT NULL AND sqlstate <> ALL ('{$options{failures}}'))),
	('fills not finished', (SELECT count(*) FROM featurestore.fill_position))) AS d(what, differing)
WHERE differing <> 0;
END
	note 'rows: ' . $node->safe_psql('postgres', q{SELECT string_agg(n || ' ' || t, ', ') FROM (SELECT (SELECT count(*) FROM cr.accounts), 'accounts' UNION ALL
		SELECT (SELECT count(*) FROM cr.prices), 'prices' UNION ALL SELECT (SELECT count(*) FROM cr.clicks), 'clicks' UNION ALL
		SELECT (SELECT count(*) FROM cr.visits), 'visits' UNION ALL SELECT (SELECT count(*) FROM cr.big), 'big' UNION ALL
		SELECT (SELECT count(*) FROM cr.devices), 'devices' UNION ALL SELECT count(*), 'staged partitions' FROM featurestore.staging s JOIN pg_inherits ON inhparent = s.relation UNION ALL
		SELECT sum(pg_relation_size(inhrelid)), 'bytes in them' FROM featurestore.staging s JOIN pg_inherits ON inhparent = s.relation) AS c(n, t)});
	note 'runs: ' . $node->safe_psql('postgres', q{SELECT string_agg(format('%s %s %s', relation::regclass, operation, n), ', ') FROM (SELECT relation, operation, count(*) AS n FROM featurestore.publish_run GROUP BY 1, 2 ORDER BY 1::text, 2) AS r});
}

# With nothing left to apply nothing stays staged, once what is current has been so before, and nobody, autovacuum for
# one, has a lock on it
sub check_staging
{
	my ($node, $sources) = @_;
	my $until = time + 20;
	my $left;
	do
	{
		$node->safe_psql('postgres', 'SET ROLE cr_owner; SELECT featurestore._rotate(relation, 0) FROM featurestore.staging') for 1 .. 2;
		$left = $node->safe_psql('postgres', 'SELECT s.relation, sum(pg_relation_size(inhrelid)) FROM featurestore.staging s JOIN pg_inherits ON inhparent = s.relation GROUP BY 1 HAVING sum(pg_relation_size(inhrelid)) > 0');
	} while ($left ne '' && time < $until);
	is($left, '', 'nothing is left in staging tables');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM featurestore.staging'), $sources // 6, 'one staging table a source');
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relnamespace = 'cr'::regnamespace AND relname ~ '_changes' AND relispartition
		AND oid NOT IN (SELECT inhrelid FROM featurestore.staging s JOIN pg_inherits ON inhparent = s.relation)"), '0', 'and none that is not used');
}

# What went wrong was our doing, or the writers'
sub check_log
{
	my ($node, $permitted, %more) = @_;
	my %expected = (
		'23505' => 'unique violations', '40001' => 'rows that moved', '40P01' => 'deadlocks', '55P03' => 'lock timeouts', '25P02' => 'statements after an error', '3B001' => 'savepoints after an error',
		'57P01' => 'terminated', '57P02' => 'crash shutdown', '57P03' => 'not up yet', '08006' => 'lost connections', '57014' => 'cancelled autovacuum',
		'25P01' => 'no transaction', '01000' => 'terminated already', '42704' => 'prepared transactions resolved by another', %more);
	my @unexpected = grep { /(?:WARNING|ERROR|FATAL|PANIC):  (\w{5}): (.*)/ && !exists $expected{$1} && $2 !~ $permitted } split /\n/, slurp_file($node->logfile);
	is(join("\n", @unexpected > 20 ? @unexpected[ 0 .. 19 ] : @unexpected), '', 'no unexpected errors');
	ok(!$node->log_contains('TRAP:|PANIC|terminated by signal (?!9:)'), 'nothing crashed by itself');
}

our $permitted = qr/maximum number of prepared transactions|prepared transaction with identifier .* is busy/;

1;
