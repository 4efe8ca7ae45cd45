# Large transactions, and many publications: a transaction of millions of changes
# is captured and applied within bounds of memory, and run_due brings 200
# publications of 20 sources up to date.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

if (!-w '/proc/self/clear_refs')
{
	plan skip_all => 'the peak of memory cannot be read without /proc';
}

my $node = PostgreSQL::Test::Cluster->new('scale');
$node->init;
# Shared buffers are part of the process once it has used them, so that there are few
$node->append_conf('postgresql.conf', "shared_buffers = 16MB\nmax_wal_size = 4GB\njit = off\nfsync = off\nlog_statement = none");
$node->start;

$node->safe_psql('postgres', <<'END');
CREATE EXTENSION featurestore;
CREATE TABLE item (id bigint PRIMARY KEY, entity int, at timestamptz, price float8, name text);
INSERT INTO item SELECT i, i % 2000, timestamptz '2026-01-01' + i * interval '1 s', i / 8.0, 'item ' || i FROM generate_series(1, 200000) AS i;
SELECT featurestore.publish_table('item', 'item_online');
SELECT featurestore.materialize_features(ARRAY(SELECT featurestore.register_features('item', '{entity}', 'at',
	'[{"function": "count"}, {"function": "sum", "input": "price"}, {"function": "max", "input": "price"}]', '{rolling 1d,rolling 30d}', 'id % 10 < 2')), 'entity_online');
END

# By how many kB a session has grown at its peak while it ran statements, first of which is one that finds all caches filled
sub growth
{
	my ($warm_up, $statements) = @_;
	my $peak = q{SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)'))[1];};
	# writing 5 makes the peak what is in use
	my @lines = split /\n/, $node->safe_psql('postgres', "$warm_up; COPY (SELECT 5) TO '/proc/self/clear_refs'; $peak $statements; $peak");
	return $lines[-1] - $lines[-2];
}

# In one transaction: inserts, updates with and without a new key, deletes, and some of all that is rolled back
my $growth = growth('SELECT count(*) FROM item WHERE id < 0; UPDATE item SET price = price WHERE id = 1', <<'END');
BEGIN;
INSERT INTO item SELECT i, i % 2000, timestamptz '2026-01-01' + i * interval '1 s', i / 8.0, 'item ' || i FROM generate_series(200001, 1700000) AS i;
SAVEPOINT s;
UPDATE item SET price = price + 1 WHERE id % 6 = 0;
ROLLBACK TO s;
UPDATE item SET price = price + 1, entity = entity + 1 WHERE id % 6 = 1;
UPDATE item SET id = id + 10000000 WHERE id % 60 = 2;
DELETE FROM item WHERE id % 12 = 3;
COMMIT
END
# The server itself keeps some 12 bytes for each row of a statement until its triggers have fired; then there are
# shared buffers, and captured rows that wait to be written, a few MB.  The staged rows are 200 MB.
note("writing took $growth kB");
cmp_ok($growth, '<', 12 * 1500 + 16 * 1024 + 8 * 1024, "two million changes are captured with $growth kB");

# Shared buffers, work_mem for each of a few sorts, hash tables and intermediate results, and for each of three states of
# 600 entities up to 8 kB: so much they take before tiles are made of events
my %limit = (item_online => 16 * 1024 + 10 * 4 * 1024, entity_online => 16 * 1024 + 10 * 4 * 1024 + 600 * 3 * 8);
foreach my $table ('item_online', 'entity_online')
{
	my $start = time;
	$growth = growth('SELECT 1', "CALL featurestore.sync('$table')");
	note(sprintf 'sync of %s: %.1f s', $table, time - $start);
	cmp_ok($growth, '<', $limit{$table}, "and applied to $table with $growth kB");
}

is($node->safe_psql('postgres', q{SELECT min(rows_read) > 1900000 FROM featurestore.publish_runs WHERE operation = 'APPLY'}), 't', 'all of them at once');
is($node->safe_psql('postgres', 'SELECT count(*) FROM item AS s FULL JOIN item_online AS o USING (id) WHERE NOT coalesce(s *= o, false)'), '0', 'rows as in the source');
$node->safe_psql('postgres', "CREATE TABLE entity_before AS TABLE entity_online; CALL featurestore.rebuild('entity_online')");
is($node->safe_psql('postgres', 'SELECT count(*), count(*) FILTER (WHERE NOT coalesce(b *= o, false)) FROM entity_before AS b FULL JOIN entity_online AS o USING (entity)'), '600|0', 'states as made anew');

$node->safe_psql('postgres', 'DROP TABLE item, item_online, entity_online, entity_before CASCADE');

# Each source has nine tables of some of its rows and one of features
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
DO $$
BEGIN
	FOR n IN 1 .. 20 LOOP
		EXECUTE format('CREATE SCHEMA s%s', n);
		PERFORM set_config('search_path', 's' || n, true);
		CREATE TABLE source (k int PRIMARY KEY, entity int, at timestamptz, v int);
		INSERT INTO source SELECT i, i % 50, timestamptz '2026-01-01' + i * interval '1 h', i * n FROM generate_series(1, 500) AS i;
		FOR m IN 1 .. 9 LOOP
			PERFORM featurestore.publish_table('source', 'online_' || m, filter => format('v %% %s = 0', m));
		END LOOP;
		PERFORM featurestore.materialize_features(ARRAY[featurestore.register_feature('total', 'source', '{entity}', 'at', 'sum', 'v')], 'online_10');
	END LOOP;
END
$$;
-- How many rows of all tables are not what their source says
CREATE FUNCTION differing() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	total bigint := 0;
	result bigint;
BEGIN
	FOR n IN 1 .. 20 LOOP
		FOR m IN 1 .. 9 LOOP
			EXECUTE format('SELECT count(*) FROM (SELECT * FROM s%1$s.source WHERE v %% %2$s = 0) AS s FULL JOIN s%1$s.online_%2$s AS o USING (k) WHERE NOT coalesce(ROW(k, s.entity, s.at, s.v)::record *= ROW(k, o.entity, o.at, o.v)::record, false)', n, m) INTO result;
			total := total + result;
		END LOOP;
		EXECUTE format('SELECT count(*) FROM (SELECT entity, sum(v) AS total FROM s%1$s.source GROUP BY 1) AS s FULL JOIN s%1$s.online_10_values AS o USING (entity) WHERE s.total IS DISTINCT FROM o.total', n) INTO result;
		total := total + result;
	END LOOP;
	RETURN total;
END
$$;
SQL
is($node->safe_psql('postgres', 'SELECT count(*), differing() FROM featurestore.publication'), '200|0', '200 publications');

sub run_due
{
	my $start = time;
	$node->safe_psql('postgres', 'CALL featurestore.run_due()');
	note(sprintf 'run_due of 200 publications after %s: %.1f s', $_[0], time - $start);
}

$node->safe_psql('postgres', join '', map { "UPDATE s$_.source SET v = v + k WHERE k % 7 = 0; DELETE FROM s$_.source WHERE k % 11 = 0; INSERT INTO s$_.source SELECT i, i % 60, '2026-03-01', i FROM generate_series(501, 600) AS i;" } 1 .. 20);
cmp_ok($node->safe_psql('postgres', 'SELECT differing()'), '>', 10000, 'all sources have changed');
run_due('changes of all sources');
is($node->safe_psql('postgres', 'SELECT differing()'), '0', 'all tables are up to date');
is($node->safe_psql('postgres', q{SELECT count(DISTINCT online_table), count(*), bool_and(sqlstate IS NULL) FROM featurestore.publish_runs WHERE operation = 'APPLY'}), '200|200|t', 'by one run each');

$node->safe_psql('postgres', 'UPDATE s7.source SET v = v + 2520 WHERE k = 70');
run_due('one change');
is($node->safe_psql('postgres', 'SELECT differing()'), '0', 'and again after a change of one source');
is($node->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE NOT online_table::text LIKE 's7.%') FROM featurestore.publish_runs WHERE operation = 'APPLY' AND id > (SELECT max(id) - 10 FROM featurestore.publish_runs)}), '0', 'nothing is recorded where nothing was to be done');

$node->stop;
done_testing();
