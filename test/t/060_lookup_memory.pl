# A lookup of 100,000 keys stays within work_mem, whatever the width of the rows:
# it takes them in chunks, and its result goes to disk.  What comes with the
# request and a matrix that is the result itself do not count.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (!-w '/proc/self/clear_refs')
{
	plan skip_all => 'the peak of memory cannot be read without /proc';
}

my $node = PostgreSQL::Test::Cluster->new('memory');
$node->init;
# Tables are small against shared_buffers, so that reading them makes them all part of the process
$node->append_conf('postgresql.conf', "shared_buffers = 1GB\nmax_wal_size = 4GB\nautovacuum = off\njit = off");
$node->start;

$node->safe_psql('postgres', <<'END');
CREATE EXTENSION featurestore;
CREATE TABLE item (item_id int PRIMARY KEY, name text, price float8, parts int4[]);
INSERT INTO item SELECT i, repeat(md5(i::text), 30), i / 7.0, ARRAY[i, -i] FROM generate_series(1, 100000) AS i;
CREATE TABLE plain (k int PRIMARY KEY, w text);
CREATE TABLE toasted (k int PRIMARY KEY, w text);
ALTER TABLE plain ALTER w SET STORAGE PLAIN;
ALTER TABLE toasted ALTER w SET STORAGE EXTERNAL;
INSERT INTO plain SELECT k, (SELECT string_agg(md5((k * 1000 + n)::text), '') FROM generate_series(1, 250) AS n) FROM generate_series(1, 2000) AS k;
INSERT INTO toasted TABLE plain;
CREATE VIEW expanded AS SELECT k, repeat(w, 3) AS w FROM plain;
VACUUM ANALYZE item, plain, toasted;
SELECT featurestore.create_feature_spec('items', ARRAY[featurestore.lookup('item', '{item_id}')]);
SELECT featurestore.create_feature_spec('numbers', ARRAY[featurestore.lookup('item', '{item_id}')], exclude_columns => '{name}');
SELECT featurestore.create_feature_spec('plain_rows', ARRAY[featurestore.lookup('plain', '{k}')]);
SELECT featurestore.create_feature_spec('toasted_rows', ARRAY[featurestore.lookup('toasted', '{k}')]);
SELECT featurestore.create_feature_spec('expanded_rows', ARRAY[featurestore.lookup('expanded', '{k}')]);
SELECT featurestore.create_feature_spec('chained', ARRAY[featurestore.lookup('toasted', '{k}'),
	featurestore.expression('upper(w)', 'key'), featurestore.expression('length(key) - 7999', 'item_id'), featurestore.lookup('item', '{item_id}', '{price}')]);
SELECT featurestore.create_feature_spec('ranked', ARRAY[featurestore.lookup('plain', '{k}'), featurestore.lookup('item', '{item_id}')]);
END

# What is common to all rows, and keys: each once, and of 2000 with many duplicates
my $settings = 'SET featurestore.row_cache_size = 0; SET enable_seqscan = off;';
my $all = 'ARRAY(SELECT 100001 - i FROM generate_series(1, 100000) AS i)';
my $some = 'ARRAY(SELECT 1 + i * 7 % 2000 FROM generate_series(1, 100000) AS i)';
my $touch = join('', map { "SELECT sum(hashtext($_->[2])::bigint) FROM $_->[0] WHERE $_->[1] > 0;" }
	[ 'item', 'item_id', 'name' ], [ 'plain', 'k', 'w' ], [ 'toasted', 'k', 'w' ]);

my @lookups = (
	[ 'rows', "SELECT count(*), sum(hashtext(name)::bigint), sum(hashfloat8(price)::bigint) FROM items_batch($all)",
		'SELECT count(*), sum(hashtext(name)::bigint), sum(hashfloat8(price)::bigint) FROM item' ],
	[ 'vectors', "SELECT count(*), sum(hash_array(v)::bigint) FROM numbers_vectors($all) AS v",
		'SELECT count(*), sum(hash_array(ARRAY[price::float4] || parts::float4[])::bigint) FROM item' ],
	[ 'a matrix', "SELECT length(m), md5(m) FROM numbers_matrix($all) AS m",
		"SELECT 1200000, md5(string_agg(numbers_matrix(ARRAY(SELECT 100001 - i FROM generate_series(n, n + 9999) AS i)), '' ORDER BY n)) FROM generate_series(1, 100000, 10000) AS n" ],
	[ 'wide rows', "SELECT count(*), sum(hashtext(w)::bigint) FROM plain_rows_batch($some)",
		'SELECT count(*) * 50, sum(hashtext(w)::bigint) * 50 FROM plain' ],
	[ 'rows with values out of line', "SELECT count(*), sum(hashtext(w)::bigint) FROM toasted_rows_batch($some)",
		'SELECT count(*) * 50, sum(hashtext(w)::bigint) * 50 FROM plain' ],
	[ 'one wide row and many others', "SELECT count(*), sum(hashtext(name)::bigint), sum(hashtext(right(w, 9))::bigint) FROM ranked_batch('{7}', $all)",
		"SELECT count(*), sum(hashtext(name)::bigint), sum(hashtext(right(w, 9))::bigint) FROM item, plain WHERE k = 7" ],
	[ 'wide values on the way to a key', 'SELECT count(*), sum(hashfloat8(price)::bigint), sum(hashtext(w)::bigint) FROM chained_batch(ARRAY(SELECT 1 + i * 7 % 2000 FROM generate_series(1, 10000) AS i))',
		'SELECT count(*) * 5, sum(hashfloat8(price)::bigint) * 5, sum(hashtext(w)::bigint) * 5 FROM plain, item WHERE item_id = 1' ],
	[ 'wide values made by a view', 'SELECT count(*), sum(hashtext(w)::bigint) FROM expanded_rows_batch(ARRAY(SELECT 1 + i * 7 % 2000 FROM generate_series(1, 10000) AS i))',
		'SELECT count(*) * 5, sum(hashtext(repeat(w, 3))::bigint) * 5 FROM plain' ]);

# A lookup's result and by how many kB the process has grown, at its peak, in a session of its own
sub measure
{
	my ($direct, $work_mem, $query) = @_;
	my $peak = q{SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)'))[1];};
	# specs and plans are made before; writing 5 makes the peak what is in use
	my $before = "$settings $touch SELECT count(*) FROM items_batch('{1,2}'); SELECT item_id FROM chained(1); SELECT count(*) FROM ranked_batch('{1}', '{1}');";
	my $output = $node->safe_psql('postgres', "SET work_mem = '$work_mem kB'; SET featurestore.enable_direct_lookup = $direct;
		$before COPY (SELECT 5) TO '/proc/self/clear_refs'; $peak $query; $peak");
	my @lines = split /\n/, $output;
	return ($lines[-2], $lines[-1] - $lines[-3]);
}

sub temp_bytes { return $node->safe_psql('postgres', "SELECT temp_bytes FROM pg_stat_database WHERE datname = 'postgres'"); }

foreach my $lookup (@lookups)
{
	my ($name, $query, $plain) = @$lookup;
	my $expected = $node->safe_psql('postgres', "$settings $plain");

	foreach my $case ([ 'on', 1024 ], [ 'off', 4096 ])
	{
		my ($direct, $work_mem) = @$case;
		my ($result, $growth) = measure($direct, $work_mem, $query);
		my $how = "with direct lookup $direct and work_mem $work_mem kB";

		is($result, $expected, "$name $how: what plain SQL gives");
		# work_mem for the series that makes the request, the result, and with half of it to spare a chunk; the request itself
		cmp_ok($growth, '<', 3 * $work_mem + 4000, "$name $how: $growth kB");
	}
}

# Results were on disk: 100 MB of rows, twice, and 800 MB of wide ones
my $temp = 0;
foreach (1 .. 100)
{
	$temp = temp_bytes();
	last if $temp > 1_500_000_000;
	select(undef, undef, undef, 0.1);
}
cmp_ok($temp, '>', 1_500_000_000, 'results went to temporary files');

$node->stop;
done_testing();
