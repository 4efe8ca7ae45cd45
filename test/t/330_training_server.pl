# Training and the server: on a hot standby and in read-only transactions, within
# work_mem, cancelled at any moment, while others change and drop what is read,
# with the rights of whoever asks, and through dumps and pg_upgrade.

use strict;
use warnings;

use FindBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
# Tables are small against shared_buffers, so that reading them makes them all part of the process
$primary->append_conf('postgresql.conf', "timezone = 'UTC'\nshared_buffers = 512MB\nmax_wal_size = 4GB\nautovacuum = off\njit = off\ntrack_commit_timestamp = on");
$primary->start;

$primary->safe_psql('postgres', <<'END');
CREATE EXTENSION featurestore;
CREATE SCHEMA ml;
CREATE TABLE ml.event (user_id int, at timestamptz, amount int, price numeric, word text COLLATE "C");
INSERT INTO ml.event SELECT CASE WHEN i % 5 = 0 THEN 1 ELSE i % 3000 END, '2024-01-01 00:00Z'::timestamptz + i * interval '10 s', i % 1000, i % 77, 'w' || i % 9 FROM generate_series(1, 400000) AS i;
CREATE INDEX ON ml.event (user_id, at);
CREATE TABLE ml.rating (user_id int, at timestamptz, rating int, note text, PRIMARY KEY (user_id, at));
INSERT INTO ml.rating SELECT i % 3000, '2024-01-01 00:00Z'::timestamptz + i * interval '5 min', i % 7, repeat(md5(i::text), 5) FROM generate_series(1, 60000) AS i;
SELECT featurestore.create_online_table('ml.rating', timeseries_column => 'at');
SET search_path = ml, public;
SELECT count(*) FROM featurestore.register_features('ml.event', '{user_id}', 'at',
	'[{"function": "count", "name": "n"}, {"function": "sum", "input": "price"}, {"function": "max", "input": "amount"}, {"function": "last_distinct_n", "input": "word", "params": {"n": 3}}, {"function": "histogram", "input": "word"}]',
	'{rolling 1d,rolling 7d hop 0,lifetime}');
SELECT featurestore.materialize_features(ARRAY(SELECT feature::text FROM featurestore.features ORDER BY 1), 'ml.state', publish_mode => 'SNAPSHOT');
SELECT featurestore.create_feature_spec('ml.model', ARRAY[
	featurestore.feature(ARRAY(SELECT feature::text FROM featurestore.features ORDER BY 1)),
	featurestore.lookup('ml.rating', '{user_id}'), featurestore.expression('rating * n_rolling_1d', 'score')]);
SELECT featurestore.create_feature_spec('ml.wide', ARRAY[
	featurestore.feature('{n_rolling_1d}'), featurestore.lookup('ml.rating', '{user_id}', '{rating,note}')]);
RESET search_path;
CREATE TABLE ml.label AS SELECT i AS id, i * 7 % 3100 AS user_id, '2024-01-01 00:00Z'::timestamptz + (i::bigint * 7919 % 4000000) * interval '1 s' AS t, i % 2 = 0 AS bought FROM generate_series(1, 2000) AS i;
ALTER TABLE ml.label ADD PRIMARY KEY (id);
VACUUM ANALYZE;

-- Rows that a cursor gives: their number, and their bytes
CREATE FUNCTION ml.fetched(labels text, spec text, OUT n bigint, OUT hash text) LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := featurestore.training_rows(labels, spec, 't');
	r record;
BEGIN
	n := 0;
	hash := '';
	LOOP
		FETCH c INTO r;
		EXIT WHEN NOT FOUND;
		n := n + 1;
		hash := md5(hash || r::text);
	END LOOP;
	CLOSE c;
END $$;
END

my $labels = 'SELECT user_id, t, bought FROM ml.label ORDER BY id';
my $sets = "featurestore.create_training_set";
is($primary->safe_psql('postgres', "SELECT count(*), sum(not_covered) FROM $sets('ml.train', '$labels', 'ml.model', 't', label => '{bought}')"), '18|0', 'a training set');
my $rows = $primary->safe_psql('postgres', "SELECT * FROM ml.fetched('$labels', 'ml.model')");
like($rows, qr/^2000\|/, 'rows of a cursor');

#
# A standby, and read-only transactions: nothing is written
#
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

sub catch_up { $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert')); }

catch_up();
is($standby->safe_psql('postgres', "SELECT * FROM ml.fetched('$labels', 'ml.model')"), $rows, 'on a standby: the same bytes');
is($primary->safe_psql('postgres', "BEGIN READ ONLY; SELECT * FROM ml.fetched('$labels', 'ml.model'); COMMIT"), $rows, 'in a read-only transaction');
is($primary->safe_psql('postgres', "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; SELECT * FROM ml.fetched('$labels', 'ml.model'); COMMIT"), $rows, 'in a SERIALIZABLE one');
my $scored = "SELECT count(*), count(*) FILTER (WHERE NOT coalesce(a.*::text = b.*::text, false)) FROM ml.train AS a FULL JOIN featurestore.score_batch(NULL::ml.train, '$labels', 't') AS b USING (label_row)";
is($_->safe_psql('postgres', $scored), '2000|0', 'scores on ' . $_->name) foreach $primary, $standby;
is($standby->safe_psql('postgres', "BEGIN; SELECT featurestore.training_rows('$labels', 'ml.model', 't', cursor => 'c'); MOVE 1990 FROM c; FETCH ALL FROM c; COMMIT") =~ tr/\n//, 10, 'a cursor of a name');
foreach my $node ($standby, $primary)
{
	my ($status, $out, $err) = $node->psql('postgres', "SET default_transaction_read_only = on; SELECT $sets('ml.never', '$labels', 'ml.model', 't')");
	isnt($status, 0, 'a training set is refused by ' . $node->name);
	like($err, qr/read-only transaction|during recovery/, 'with a reason');
}

#
# Memory: labels and rows far larger than work_mem
#
my $many = "SELECT i AS id, i * 31 % 3100 AS user_id, timestamptz ''2024-01-01 00:00Z'' + (i::bigint * 7919 % 4000000) * interval ''1 s'' AS t, repeat(md5(i::text), 10) AS payload FROM generate_series(1, 300000) AS i";
sub measure
{
	my ($query) = @_;
	my $peak = q{SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)'))[1];};
	# specs and plans are made before; writing 5 makes the peak what is in use
	my $before = "SELECT n FROM ml.fetched('$labels', 'ml.wide'); SELECT sum(hashtext(note)::bigint) FROM ml.rating; SELECT sum(amount) FROM ml.event; SELECT sum(amount) FROM ml.event WHERE user_id > 0 AND at > '2020-01-01';";
	my $output = $primary->safe_psql('postgres', "SET work_mem = '4MB'; SET enable_seqscan = off; $before SET enable_seqscan = on; $before COPY (SELECT 5) TO '/proc/self/clear_refs'; $peak $query; $peak");
	my @lines = split /\n/, $output;
	return ($lines[-2], $lines[-1] - $lines[-3]);
}
SKIP:
{
	skip 'the peak of memory cannot be read without /proc', 6 if !-w '/proc/self/clear_refs';
	foreach my $case ([ 'a cursor', "SELECT n FROM ml.fetched('$many', 'ml.wide')" ],
		[ 'a training set', "SELECT nulls >= 0 FROM $sets('ml.large', '$many', 'ml.wide', 't') LIMIT 1" ],
		[ 'scores', "SELECT count(*) FROM featurestore.score_batch(NULL::ml.large, '$many', 't')" ])
	{
		my ($result, $growth) = measure($case->[1]);
		is($result, $case->[0] eq 'a training set' ? 't' : '300000', "$case->[0]: 100 MB of labels");
		# what is written passes through buffers of the table and of WAL, which are shared memory
		cmp_ok($growth, '<', $case->[0] eq 'a training set' ? 60_000 : 24_000, "$case->[0]: $growth kB");
	}
	$primary->safe_psql('postgres', 'DROP TABLE ml.large');
}

#
# Cancel: at any moment of a long run, of which the label query, the sweep and the output each have a part
#
sub run_for
{
	my ($timeout, $query) = @_;
	my $start = time;
	my ($status, $out, $err) = $primary->psql('postgres', "SET statement_timeout = '${timeout}ms'; $query");
	return (time - $start, $err);
}
my $long = "SELECT featurestore.create_training_set('ml.long', 'SELECT i AS id, CASE WHEN i % 4 = 0 THEN 1 ELSE i * 31 % 3100 END AS user_id, timestamptz ''2024-01-01 00:00Z'' + (i::bigint * 7919 % 4000000) * interval ''1 s'' AS t FROM generate_series(1, 60000) AS i', 'ml.model', 't')";
my ($whole, $error) = run_for(0, $long);
is($error, '', 'a long run');
note "takes $whole s";
$primary->safe_psql('postgres', 'DROP TABLE ml.long');
my $worst = 0;
foreach my $part (0.02, 0.15, 0.35, 0.55, 0.75, 0.95)
{
	my $timeout = int(1000 * $part * $whole);
	my ($took, $err) = run_for($timeout, $long);
	if ($err eq '')
	{
		# it was faster this time
		$primary->safe_psql('postgres', 'DROP TABLE ml.long');
		next;
	}
	like($err, qr/canceling statement due to statement timeout/, "cancelled after $timeout ms");
	$worst = $took - $timeout / 1000 if $took - $timeout / 1000 > $worst;
}
cmp_ok($worst, '<', 1.5, "ends within a second: $worst s, with connecting");
($whole, $error) = run_for(300, "SELECT featurestore.create_training_set('ml.long', 'SELECT i AS user_id, timestamptz ''2024-01-01'' + make_interval(secs => i) AS t FROM generate_series(1, 1000000000) AS i', 'ml.model', 't')");
like($error, qr/canceling statement due to statement timeout/, 'in a label query that does not end');
cmp_ok($whole, '<', 2, 'promptly');
is($primary->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relnamespace = 'ml'::regnamespace AND relname ~ 'long'; SELECT count(*) FROM featurestore.training_sets"), "0\n1", 'nothing is left');

#
# Whoever reads is held to be allowed to
#
$primary->safe_psql('postgres', <<'END');
CREATE ROLE reader LOGIN;
GRANT USAGE ON SCHEMA ml TO reader;
CREATE SCHEMA own AUTHORIZATION reader;
CREATE TABLE own.label AS TABLE ml.label;
ALTER TABLE own.label OWNER TO reader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ml TO reader;
END
my $own = 'SELECT user_id, t, bought FROM own.label ORDER BY id';
my $fetch = "SELECT * FROM ml.fetched('$own', 'ml.model')";
my $set_own = "SELECT max(point_in_time) FROM $sets('own.train', '$own', 'ml.model', 't')";
sub as_reader
{
	my ($query) = @_;
	my ($status, $out, $err) = $primary->psql('postgres', "SET ROLE reader; $query");
	return $status == 0 ? $out : $err =~ s/.*?ERROR:  ([^\n]*).*/ERROR $1/sr;
}
sub grants { $primary->safe_psql('postgres', join ' ', @_) }

like(as_reader($fetch), qr/^ERROR permission denied/, 'who may read nothing gets nothing');
# what a lookup of the spec takes, and the views of its features
grants('GRANT SELECT ON ml.model, ml.rating, ml.state TO reader;');
like(as_reader($fetch), qr/^ERROR permission denied for (table event|view)/, 'nor who may not read features or their source');
grants("SELECT format('GRANT SELECT ON %s TO reader', feature) FROM featurestore.features \\gexec");
is(as_reader($fetch), $rows, 'with the views of features: the same bytes');
is(as_reader($set_own), 'EXACT', 'and a training set');
is(as_reader("SELECT relowner::regrole FROM pg_class WHERE oid = 'own.train'::regclass"), 'reader', 'of whoever made it');
is(as_reader("SELECT count(*), count(*) FILTER (WHERE NOT coalesce(a.*::text = b.*::text, false)) FROM own.train AS a FULL JOIN featurestore.score_batch(NULL::own.train, '$own', 't') AS b USING (label_row)"), '2000|0', 'scores');
my $with_known = "SELECT count(*) FROM (SELECT featurestore.training_rows('SELECT user_id, t, now() AS known FROM own.label', 'ml.model', 't', known_at => 'known')) AS c";
like(as_reader($with_known), qr/^ERROR .*rows of ml\.\w+ do not tell when they became known/, 'when a row was written only the source knows');
grants('GRANT SELECT (user_id, at, amount, price) ON ml.event TO reader;');
is(as_reader($fetch), $rows, 'with some columns of the source: the same bytes');
grants('GRANT SELECT ON ml.event TO reader;');
is(as_reader($fetch), $rows, 'with the source: the same bytes');
is(as_reader($with_known), '1', 'and known_at');
# what views of features give is what their owner sees
grants('ALTER TABLE ml.event ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON ml.event USING (user_id > 5);');
is(as_reader($fetch), $rows, 'row-level security of the source: what the views give');
grants('ALTER TABLE ml.event DISABLE ROW LEVEL SECURITY; DROP POLICY p ON ml.event;');
# a table that is looked up, and labels
grants('ALTER TABLE ml.rating ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON ml.rating USING (rating < 3);');
is(as_reader("SELECT count(*) FILTER (WHERE rating >= 3), count(rating) > 0 FROM featurestore.score_batch(NULL::own.train, '$own', 't')"), '0|t', 'row-level security of a series');
grants('ALTER TABLE ml.rating DISABLE ROW LEVEL SECURITY; REVOKE SELECT ON ml.rating FROM reader; GRANT SELECT (user_id, at, rating) ON ml.rating TO reader;');
like(as_reader($fetch), qr/^ERROR permission denied for table rating/, 'a column that may not be read');
grants('GRANT SELECT (note) ON ml.rating TO reader;');
is(as_reader($fetch), $rows, 'all that are needed');
grants('GRANT SELECT (id, user_id, t) ON ml.label TO reader;');
like(as_reader("SELECT * FROM ml.fetched('$labels', 'ml.model')"), qr/^ERROR permission denied for table label/, 'a label that may not be read');
grants('GRANT SELECT ON ml.label TO reader; ALTER TABLE ml.label ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON ml.label USING (id <= 10);');
like(as_reader("SELECT * FROM ml.fetched('$labels', 'ml.model')"), qr/^10\|/, 'row-level security of labels');
grants('ALTER TABLE ml.label DISABLE ROW LEVEL SECURITY;');
like(as_reader("DROP TABLE ml.train"), qr/^ERROR must be owner/, "others' training sets stay");
like(as_reader("SELECT featurestore.drop_training_set('ml.train')"), qr/^ERROR must be owner/, 'by function, too');
# a label query runs as whoever asks, not as the owner of what it is made for
grants('CREATE FUNCTION own.who() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN IF current_user <> \'reader\' THEN RAISE \'ran as %\', current_user; END IF; RETURN true; END $$; ALTER FUNCTION own.who OWNER TO reader;');
like(as_reader("SELECT * FROM ml.fetched('SELECT user_id, t, own.who() AS bought FROM own.label', 'ml.model')"), qr/^2000\|/, 'label queries have the rights of the caller');

#
# Others change and drop what is read
#
my $holder = $primary->background_psql('postgres', on_error_stop => 0);
$holder->query_safe("BEGIN");
$holder->query_safe("SELECT featurestore.training_rows('$labels', 'ml.model', 't', cursor => 'c')");
$holder->query_safe("MOVE 5 FROM c");
foreach my $ddl ('DROP TABLE ml.rating CASCADE', 'TRUNCATE ml.rating', 'ALTER TABLE ml.state ADD x int')
{
	my ($status, $out, $err) = $primary->psql('postgres', "SET lock_timeout = '200ms'; $ddl");
	like($err, qr/lock timeout/, "waits for a cursor: $ddl");
}
$primary->safe_psql('postgres', 'DELETE FROM ml.rating WHERE user_id < 100; INSERT INTO ml.event SELECT user_id, at, 1, 1, \'x\' FROM ml.event WHERE user_id < 50');
is($holder->query("MOVE ALL FROM c") =~ s/\D//gr, '', 'it goes on');
$holder->query_safe("COMMIT");
is($holder->query("SELECT hash <> split_part('$rows', '|', 2), n FROM ml.fetched('$labels', 'ml.model')"), 't|2000', 'the next sees what was changed');
$holder->quit;

# training sets are made, dropped and read while others alter tables, replace features and specs, and drop them
my $directory = PostgreSQL::Test::Utils::tempdir;
foreach my $client (1, 2)
{
	append_to_file("$directory/train$client.sql", <<"END" x 25);
BEGIN;
SELECT featurestore.training_rows('SELECT user_id, t FROM ml.label WHERE id < 200', 'ml.moving', 't', cursor => 'c');
SELECT pg_sleep(random() * 0.02);
MOVE ALL FROM c;
COMMIT;
SELECT count(*) FROM $sets('ml.train_$client', 'SELECT user_id, t FROM ml.label WHERE id < 200', 'ml.moving', 't');
SELECT count(*) FROM featurestore.score_batch(NULL::ml.train, 'SELECT user_id, t FROM ml.label WHERE id < 100', 't');
SELECT count(*) FROM featurestore.score_batch(NULL::ml.train_$client, 'SELECT user_id, t FROM ml.label WHERE id < 100', 't');
SELECT featurestore.drop_training_set('ml.train_$client');
END
}
append_to_file("$directory/change.sql", <<'END' x 20);
ALTER TABLE ml.moved ADD x int;
SELECT featurestore.register_feature('ml.moving_sum', 'ml.event', '{user_id}', 'at', 'sum', 'amount', ('rolling ' || trunc(1 + random() * 5) || 'd')::featurestore.time_window, replace => true);
SELECT featurestore.create_feature_spec('ml.moving', ARRAY[featurestore.lookup('ml.moved', '{user_id}', '{v}', default_values => jsonb_build_object('v', trunc(random() * 5)))], replace => true);
ALTER TABLE ml.moved DROP x;
TRUNCATE ml.moved;
INSERT INTO ml.moved SELECT i, '2024-01-05', i FROM generate_series(1, 500) AS i;
ANALYZE ml.moved;
REINDEX TABLE ml.moved;
BEGIN;
SELECT featurestore.drop_feature_spec('ml.moving');
DROP TABLE ml.moved;
ROLLBACK;
SELECT featurestore.drop_feature_spec('ml.moving');
SELECT pg_sleep(0.01);
SELECT featurestore.create_feature_spec('ml.moving', ARRAY[featurestore.lookup('ml.moved', '{user_id}', '{v}')]);
END
$primary->safe_psql('postgres', <<'END');
CREATE TABLE ml.moved (user_id int, at timestamptz, v int, PRIMARY KEY (user_id, at));
SELECT featurestore.create_online_table('ml.moved', timeseries_column => 'at');
SELECT featurestore.create_feature_spec('ml.moving', ARRAY[featurestore.lookup('ml.moved', '{user_id}', '{v}')]);
END
my @clients = map { IPC::Run::start([ 'psql', '-XqAt', '-f', "$directory/$_.sql", '-d', $primary->connstr('postgres') ], '<', \undef, '>', "$directory/$_.out", '2>', "$directory/$_.err") } 'train1', 'train2', 'change';
IPC::Run::finish($_) foreach @clients;
ok(!$primary->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashes');
my %errors;
foreach my $client ('train1', 'train2', 'change')
{
	foreach my $line (split /\n/, slurp_file("$directory/$client.err"))
	{
		$errors{$1}++ if $line =~ /(?:ERROR|FATAL):  (.*)/;
	}
}
note join "\n", map { "$errors{$_} $_" } sort keys %errors;
is(join("\n", grep { !/deadlock detected|feature spec "ml.moving" does not exist|current transaction is aborted|cursor "c" does not exist|ml\.train_\d|other objects depend on it|feature spec was dropped or replaced during the lookup|training set "ml\.train_\d" does not exist/ } sort keys %errors), '', 'what fails has a reason');

#
# Dumps: training sets come back with what they are pinned to
#
$primary->safe_psql('postgres', q{DROP TABLE IF EXISTS ml.train_0, ml.train_1, own.train; INSERT INTO ml.rating VALUES (7, '2024-01-02 00:00:01Z', 9, 'dumped')});
$primary->safe_psql('postgres', "SELECT count(*) FROM $sets('ml.again', '$labels', 'ml.model', 't', label => '{bought}', exclude_columns => '{score}')");
my $scores = "SELECT count(*), count(*) FILTER (WHERE NOT coalesce(a.*::text = b.*::text, false)) FROM ml.again AS a FULL JOIN featurestore.score_batch(NULL::ml.again, '$labels', 't') AS b USING (label_row)";
my $definition = 'SELECT to_jsonb(t)::text FROM featurestore.training_sets AS t ORDER BY 1';
my $lineage = 'SELECT l::text FROM featurestore.lineage AS l ORDER BY l::text COLLATE "C"';
is($primary->safe_psql('postgres', $scores), '2000|0', 'before: scores equal the training set');
# the current definitions are others from here on
$primary->safe_psql('postgres', <<'END');
SET search_path = ml, public;
SELECT featurestore.create_feature_spec('ml.model', ARRAY[featurestore.lookup('ml.rating', '{user_id}', '{rating}')], replace => true);
SELECT featurestore.register_feature('n_rolling_1d', 'ml.event', '{user_id}', 'at', 'sum', 'amount', 'rolling 2d', replace => true);
END
is($primary->safe_psql('postgres', $scores), '2000|0', 'after changes: pinned');
my @expected = map { $primary->safe_psql('postgres', $_) } $definition, $lineage;

sub check_copy
{
	my ($node, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($node->safe_psql('postgres', $definition), $expected[0], "$what: training sets");
	is($node->safe_psql('postgres', $lineage), $expected[1], "$what: lineage");
	is($node->safe_psql('postgres', $scores), '2000|0', "$what: scores equal the training set");
	foreach my $drop ('DROP TABLE ml.rating', 'DROP VIEW ml.n_rolling_1d_v1', q{SELECT featurestore.drop_feature('ml.n_rolling_1d_v1')}, 'ALTER TABLE ml.rating DROP note')
	{
		my ($status, $out, $err) = $node->psql('postgres', $drop);
		isnt($status, 0, "$what: pinned: $drop");
	}
	is($node->safe_psql('postgres', q{DROP TABLE ml.again; SELECT featurestore.drop_training_set('ml.train'); SELECT count(*) FROM featurestore.training_sets; SELECT count(*) FROM featurestore.spec WHERE training_set IS NOT NULL}), "\n0\n0",
		"$what: they go with what was made for them");
	$node->safe_psql('postgres', q{SELECT featurestore.drop_feature_spec('ml.model'), featurestore.drop_feature_spec('ml.wide')});
	is(scalar($node->psql('postgres', q{ALTER TABLE ml.rating DROP note})), 0, "$what: then nothing is pinned");
}

$standby->stop;
foreach my $format ('plain', 'custom', 'parts')
{
	my $new = PostgreSQL::Test::Cluster->new("restored_$format");
	$new->init;
	$new->append_conf('postgresql.conf', "timezone = 'UTC'");
	$new->start;
	$new->safe_psql('postgres', 'CREATE ROLE reader LOGIN');
	my $dump = "$directory/$format";
	$primary->command_ok([ 'pg_dump', '--no-sync', $format eq 'plain' ? () : '-Fc', '-f', $dump, '-d', $primary->connstr('postgres') ], "$format dump");
	my @into = ('-d', $new->connstr('postgres'));
	if ($format eq 'plain') { $new->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', "$dump.out", @into, '-f', $dump ], 'restore'); }
	elsif ($format eq 'custom') { $new->command_ok([ 'pg_restore', '-e', '-j2', @into, $dump ], 'restore'); }
	else
	{
		$new->command_ok([ 'pg_restore', '-e', '--schema-only', @into, $dump ], 'restore definitions of tables');
		$new->command_ok([ 'pg_restore', '-e', '--data-only', '--disable-triggers', @into, $dump ], 'restore what is in them');
	}
	check_copy($new, $format);
	ok(!$new->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed');
	$new->stop;
}

$primary->stop;
my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
$upgraded->init;
my $bindir = $upgraded->config_data('--bindir');
my $home = "$FindBin::RealBin/../..";
chdir $directory or die;
command_ok([ 'pg_upgrade', '-N', '-d', $primary->data_dir, '-D', $upgraded->data_dir, '-b', $bindir, '-B', $bindir, '-s', $upgraded->host, '-p', $primary->port, '-P', $upgraded->port, '-U', getpwuid($<) . '', '--link' ], 'pg_upgrade');
chdir $home;
$upgraded->append_conf('postgresql.conf', "timezone = 'UTC'");
$upgraded->start;
check_copy($upgraded, 'upgraded');
$upgraded->stop;
done_testing();
