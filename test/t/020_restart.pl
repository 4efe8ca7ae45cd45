# What a crash leaves: specs and their results as they were, nothing of what was
# not committed.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "timezone = 'UTC'\nmax_prepared_transactions = 5");
$node->start;

$node->safe_psql('postgres', <<'END');
CREATE EXTENSION featurestore;
CREATE TABLE users (user_id int PRIMARY KEY, age int, name text);
INSERT INTO users SELECT i, i, 'user ' || i FROM generate_series(1, 5000) AS i;
CREATE TABLE seen (user_id int, at timestamptz, n int, PRIMARY KEY (user_id, at));
INSERT INTO seen SELECT i, '2024-01-01 00:00Z'::timestamptz + d * interval '1 hour', d FROM generate_series(1, 1000) AS i, generate_series(1, 5) AS d;
CREATE UNLOGGED TABLE volatile (user_id int PRIMARY KEY, v int);
INSERT INTO volatile VALUES (1, 1), (2, 2);
CREATE TABLE source (user_id int PRIMARY KEY, p int);
INSERT INTO source VALUES (1, 10), (2, 20);
CREATE FUNCTION twice(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 2 * x; END';
SELECT featurestore.create_online_table('seen', timeseries_column => 'at', ttl => '2 days');
SELECT featurestore.publish_table('source', 'online');
SELECT featurestore.create_feature_spec('s', with_status => true, items => ARRAY[
	featurestore.lookup('users', '{user_id}'),
	featurestore.lookup('seen', '{user_id}'),
	featurestore.lookup('online', '{user_id}', default_values => '{"p": 0}'),
	featurestore.feature_function('twice(int)', '{"x": "age"}', 'double')]);
SELECT featurestore.create_feature_spec('u', ARRAY[featurestore.lookup('volatile', '{user_id}')]);
SELECT featurestore.create_feature_spec('v', ARRAY[featurestore.lookup('volatile', '{user_id}')]);
END

my @queries = (
	"SELECT * FROM s_batch('{1,2,5000,5001,1}', '2024-01-01 03:30Z')",
	"SELECT * FROM s_batch('{1,2,5000,5001,1}', '2024-02-01 00:00Z')",
	q{SELECT j - 'snapshot' FROM featurestore.feature_lookup_json('s', '{"user_id": [1, 9999]}', '2024-01-02 00:00Z', true) AS j},
	q{SELECT item, relation, path, reason, keys, found FROM featurestore.explain_lookup('s', '{"user_id": [1, 2]}')},
	'SELECT * FROM featurestore.feature_specs ORDER BY spec::text',
	'SELECT * FROM featurestore.publications',
	'SELECT * FROM featurestore.feature_tables ORDER BY table_name::text');
my @before = map { $node->safe_psql('postgres', $_) } @queries;
like($before[0], qr/^1\|1\|PRESENT\|user 1\|PRESENT\|3\|PRESENT\|10\|PRESENT\|2\|PRESENT$/m, 'a row before');

# In progress when the server goes down: a replaced spec, a new one, a dropped one
my $session = $node->background_psql('postgres');
$session->query_safe(<<'END');
BEGIN;
SELECT featurestore.create_feature_spec('s', replace => true, items => ARRAY[featurestore.lookup('users', '{user_id}')]);
SELECT featurestore.create_feature_spec('lost', ARRAY[featurestore.lookup('users', '{user_id}')]);
SELECT featurestore.drop_feature_spec('v');
UPDATE source SET p = 0;
CALL featurestore.sync('online');
SELECT * FROM lost(1);
END

# ... and prepared to be committed
$node->safe_psql('postgres', <<'END');
BEGIN;
SELECT * FROM u(1);
CREATE TABLE later (user_id int PRIMARY KEY, z int);
INSERT INTO later VALUES (1, 42);
SELECT featurestore.create_feature_spec('kept', ARRAY[featurestore.lookup('later', '{user_id}')]);
SELECT * FROM kept(1);
PREPARE TRANSACTION 'kept';
END

$node->stop('immediate');
$node->start;
eval { $session->quit };

for my $i (0 .. $#queries)
{
	is($node->safe_psql('postgres', $queries[$i]), $before[$i], "after the crash: $queries[$i]");
}
is($node->safe_psql('postgres', "SELECT to_regclass('lost'), count(*) FROM pg_proc WHERE proname ~ '^lost'"), '|0', 'nothing is left of a spec that was not committed');
is($node->safe_psql('postgres', 'SELECT * FROM u(1)'), '1|', 'an unlogged table is empty now, and so looked up');
$node->safe_psql('postgres', "COMMIT PREPARED 'kept'");
is($node->safe_psql('postgres', 'SELECT * FROM kept(1)'), '1|42', 'a spec of a prepared transaction is there');

$node->safe_psql('postgres', "CALL featurestore.sync('online')");
is($node->safe_psql('postgres', 'SELECT p FROM s(1)'), '10', 'syncs go on');
$node->restart;
is($node->safe_psql('postgres', $queries[0]), $before[0], 'after a plain restart');

# A library loaded at start is the same
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'featurestore'");
$node->restart;
is($node->safe_psql('postgres', $queries[0]), $before[0], 'with the library preloaded');
is($node->safe_psql('postgres', 'SHOW featurestore.enable_direct_lookup'), 'on', 'and its settings known');

ok(!$node->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed by itself');
$node->stop;
done_testing();
