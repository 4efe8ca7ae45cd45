# Training sets on a standby, in dumps, when they are many, and when they are
# cancelled.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
# Tables are small against shared_buffers, so that reading them makes them all part of the process
$primary->append_conf('postgresql.conf', "timezone = 'UTC'\nautovacuum = off\njit = off\nshared_buffers = 512MB\nmax_wal_size = 4GB\nmax_parallel_workers_per_gather = 0");
$primary->start;
$primary->safe_psql('postgres', 'CREATE DATABASE ml');

$primary->safe_psql('ml', <<'END');
CREATE EXTENSION featurestore;
CREATE SCHEMA ml;
CREATE TABLE ml.price (item int, ts timestamptz, price float8, PRIMARY KEY (item, ts));
INSERT INTO ml.price SELECT n % 500, '2024-01-01'::timestamptz + n * interval '1 minute', n / 3.0 FROM generate_series(1, 50000) AS n;
CREATE TABLE ml.event (customer int, at timestamptz, amount numeric);
INSERT INTO ml.event SELECT n % 700, '2024-01-01'::timestamptz + n * interval '1 minute', n % 99 FROM generate_series(1, 50000) AS n;
CREATE INDEX ON ml.event (customer, at);
SELECT featurestore.register_feature('ml.spent', 'ml.event', '{customer}', 'at', 'sum', 'amount', 'rolling 7d hop 0');
SELECT featurestore.register_feature('ml.times', 'ml.event', '{customer}', 'at', 'count', NULL, 'rolling 7d hop 0');
SELECT featurestore.register_feature('ml.tried', 'ml.event', '{customer}', 'at', 'max', 'amount', 'lifetime');
SELECT featurestore.materialize_features('{ml.spent,ml.times}', 'ml.customers');
SELECT featurestore.create_feature_spec('ml.ranker', ARRAY[featurestore.lookup('ml.price', '{item}'), featurestore.feature('{ml.spent,ml.times}'),
	featurestore.request_field('hour', 'int'), featurestore.expression('price * hour', 'weighted')]);
CREATE TABLE ml.label AS SELECT n % 510 AS item, n % 705 AS customer, '2024-01-01'::timestamptz + n * interval '17 seconds' AS t, n % 24 AS hour, n % 2 AS y FROM generate_series(1, 200000) AS n;
ANALYZE ml.price, ml.event, ml.label;
SELECT featurestore.create_training_set('ml.train', 'SELECT * FROM ml.label WHERE hour < 5', 'ml.ranker', 't', '{y}');
SELECT featurestore.create_training_set('ml.tried_set', 'SELECT * FROM ml.label LIMIT 1000', timestamp_column => 't', items => ARRAY[featurestore.feature('{ml.tried,ml.spent}')]);
END
my $rows = 'SELECT count(*), sum(hashtext(r::text)::bigint) FROM';
my $trained = $primary->safe_psql('ml', "$rows (SELECT * FROM ml.train) AS r");
my $hash = $primary->safe_psql('ml', "SELECT hash FROM featurestore.training_sets ORDER BY training_set::text");

#
# A standby, where nothing can be written
#
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
my $fetch = "BEGIN; SELECT featurestore.training_rows('SELECT * FROM ml.label WHERE hour < 5', 'ml.ranker', 't', cursor => 'c'); FETCH ALL FROM c; COMMIT;";
my $on_primary = $primary->safe_psql('ml', $fetch);
is($standby->safe_psql('ml', $fetch), $on_primary, 'training rows on a standby');
is(() = $on_primary =~ /\n/g, (split /\|/, $trained)[0], 'as many as there are labels');
my $items = "BEGIN; SELECT featurestore.training_rows('SELECT * FROM ml.label LIMIT 100', timestamp_column => 't', items => ARRAY[featurestore.feature('{ml.tried}'), featurestore.lookup('ml.price', '{item}')], cursor => 'c'); FETCH ALL FROM c; COMMIT;";
is($standby->safe_psql('ml', $items), $primary->safe_psql('ml', $items), 'of items, too');
is($standby->safe_psql('ml', "$rows featurestore.score_batch(NULL::ml.train, 'SELECT * FROM ml.label WHERE hour < 5', 't') AS r"), $trained, 'and scores');
my ($status, $out, $err) = $standby->psql('ml', "SELECT featurestore.create_training_set('ml.no', 'ml.label', 'ml.ranker', 't')");
like($err, qr/cannot execute CREATE TABLE in a read-only transaction/, 'but no training sets');
$standby->stop;

#
# Dumps
#
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
command_ok([ 'pg_dump', '--no-sync', '-Fc', '-d', $primary->connstr('ml'), '-f', $dump ], 'pg_dump');
$primary->safe_psql('postgres', 'CREATE DATABASE copy');
command_ok([ 'pg_restore', '-e', '-d', $primary->connstr('copy'), $dump ], 'pg_restore');
is($primary->safe_psql('copy', "SELECT featurestore.training_set_hash(training_set::text) FROM featurestore.training_sets ORDER BY training_set::text"), $hash, 'training sets are the same');
my $definitions = q{SELECT training_set, spec, spec_version, features, labels, timestamp_column, label, frozen_spec, snapshot, created_at, row_count, hash FROM featurestore.training_sets ORDER BY training_set::text;
	SELECT relation, training_set, items, steps FROM featurestore.spec ORDER BY relation::text; SELECT * FROM featurestore.lineage ORDER BY from_kind, from_object::text, to_kind, to_object::text};
is($primary->safe_psql('copy', $definitions), $primary->safe_psql('ml', $definitions), 'and what they are made of');
is($primary->safe_psql('copy', "$rows featurestore.score_batch(NULL::ml.train, 'SELECT * FROM ml.label WHERE hour < 5', 't') AS r"), $trained, 'and so are scores');
($status, $out, $err) = $primary->psql('copy', 'DROP VIEW ml.spent');
like($err, qr/view ml\.train_spec depends on view ml\.spent/, 'features are pinned there');
$primary->safe_psql('copy', 'DROP TABLE ml.train, ml.tried_set');
is($primary->safe_psql('copy', q{SELECT count(*) FROM pg_class WHERE relname ~ '_spec$' AND relnamespace = 'ml'::regnamespace}), '0', 'and frozen specs go with their tables');

#
# Memory: 200,000 labels, wide or not; labels, what is found for each, and the
# rows, each in work_mem
#
SKIP:
{
	skip 'the peak of memory cannot be read without /proc', 4 if !-w '/proc/self/clear_refs';
	my $peak = q{SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)'))[1];};
	foreach my $plan ('sweep', 'seek')
	{
		foreach my $labels ('ml.label', "SELECT *, repeat(md5(t::text), 10) AS pad FROM ml.label LIMIT 100000")
		{
			my @lines = split /\n/, $primary->safe_psql('ml', "SET work_mem = '2MB'; SET featurestore.training_plan = $plan; SELECT sum(hashtext(l::text)::bigint) FROM ml.label AS l;
				SELECT sum(hashtext(l::text)::bigint) FROM ml.price AS l; SELECT sum(hashtext(l::text)::bigint) FROM ml.event AS l; SET enable_seqscan = off; SELECT count(amount) FROM ml.event WHERE customer >= 0; RESET enable_seqscan;
				BEGIN; SELECT featurestore.training_rows('SELECT * FROM ml.label LIMIT 10', 'ml.ranker', 't', cursor => 'c'); FETCH ALL FROM c; COMMIT;
				COPY (SELECT 5) TO '/proc/self/clear_refs'; $peak
				BEGIN; SELECT featurestore.training_rows(\$\$$labels\$\$, 'ml.ranker', 't', cursor => 'c'); MOVE ALL FROM c; $peak COMMIT;");
			my $grown = $lines[-1] - $lines[-3];
			cmp_ok($grown, '<', 16 * 1024, "memory: $plan, " . ($labels eq 'ml.label' ? 'many labels' : 'wide labels') . ": $grown kB");
		}
	}
}

#
# Cancelled, at any time, at once; nothing is left
#
my $all = "SELECT count(*) FROM featurestore.create_training_set('ml.cancelled', 'SELECT l.* FROM ml.label AS l, generate_series(1, 3)', 'ml.ranker', 't', '{y}')";
my $started = time;
$primary->safe_psql('ml', "BEGIN; $all; ROLLBACK");
my $whole = time - $started;
my $longest = 0;
foreach my $part (0.1, 0.3, 0.5, 0.6)
{
	my $timeout = int(1000 * $whole * $part);
	$started = time;
	($status, $out, $err) = $primary->psql('ml', "SET statement_timeout = $timeout; $all");
	my $late = time - $started - $timeout / 1000;
	$longest = $late if $late > $longest;
	like($err, qr/canceling statement due to statement timeout/, "cancelled after $part of its time");
}
cmp_ok($longest, '<', 1 + $whole / 4, "at once: at most $longest s later, of $whole s");
is($primary->safe_psql('ml', q{SELECT count(*) FROM pg_class WHERE relname ~ 'cancelled'; SELECT count(*) FROM featurestore.training_set; SELECT count(*) FROM pg_ls_tmpdir()}), "0\n2\n0", 'nothing is left');

if (0) {}
ok(!$_->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed') foreach $primary, $standby;
$primary->stop;
done_testing();
