# Lookups on a hot standby: every form gives what it gives on the primary, a
# session there sees what is replayed, and promotion changes nothing.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "timezone = 'UTC'\nautovacuum = off");
$primary->start;

$primary->safe_psql('postgres', <<'END');
CREATE EXTENSION featurestore;
CREATE SCHEMA rec;
CREATE TABLE rec.users (user_id int PRIMARY KEY, age int, score float8, weights real[]);
INSERT INTO rec.users SELECT i, 20 + i % 50, i / 4.0, ARRAY[i, -i] FROM generate_series(1, 1000) AS i;
CREATE TABLE rec.sessions (user_id int, at timestamptz, clicks int, PRIMARY KEY (user_id, at));
INSERT INTO rec.sessions SELECT i, '2024-01-01 00:00Z'::timestamptz + d * interval '1 day', 10 * i + d
	FROM generate_series(1, 1000) AS i, generate_series(0, 2) AS d;
CREATE TABLE rec.items (item_id bigint, price numeric, PRIMARY KEY (item_id)) PARTITION BY HASH (item_id);
CREATE TABLE rec.items0 PARTITION OF rec.items FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE rec.items1 PARTITION OF rec.items FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO rec.items SELECT i, i + 0.5 FROM generate_series(1, 1000) AS i;
CREATE TABLE rec.catalog (item_id bigint PRIMARY KEY, stock int);
INSERT INTO rec.catalog SELECT i, i % 7 FROM generate_series(1, 1000) AS i;
SELECT featurestore.publish_table('rec.catalog', 'rec.filled');
SELECT featurestore.publish_table('rec.catalog', 'rec.awaited', wait => false);
SELECT featurestore.create_feature_spec('rec.s', ARRAY[
	featurestore.lookup('rec.users', '{user_id}'),
	featurestore.lookup('rec.sessions', '{user_id}', max_age => '2 days'),
	featurestore.lookup('rec.items', '{item_id}', default_values => '{"price": 1}'),
	featurestore.lookup('rec.filled', '{item_id}'),
	featurestore.lookup('rec.awaited', '{item_id}', rename_outputs => '{"stock": "awaited"}', default_values => '{"awaited": -1}'),
	featurestore.expression('age * clicks', 'product')]);
SELECT featurestore.create_feature_spec('rec.simple', ARRAY[featurestore.lookup('rec.users', '{user_id}', '{age}')]);
CREATE TABLE rec.log AS SELECT user_id, at, clicks FROM rec.sessions;
SELECT featurestore.register_feature('rec.total', 'rec.log', '{user_id}', 'at', 'sum', 'clicks', featurestore.rolling_window('2 days'));
SELECT featurestore.register_feature('rec.recent', 'rec.log', '{user_id}', 'at', 'last_n', 'clicks', params => '{"n": 2}');
SELECT featurestore.materialize_features('{rec.total,rec.recent}', 'rec.windows');
SELECT featurestore.create_feature_spec('rec.windowed', ARRAY[featurestore.feature('{rec.total,rec.recent}')]);
SELECT featurestore.create_feature_spec('rec.doomed', ARRAY[featurestore.lookup('rec.users', '{user_id}', '{age}')]);
END

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

sub catch_up { $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert')); }

sub on_primary
{
	$primary->safe_psql('postgres', $_[0]);
	catch_up();
}

# What a query gives in a session, or its error.
sub ask
{
	my ($session, $query) = @_;
	$session->{stderr} = '';
	my $result = $session->query($query);
	return $session->{stderr} =~ /ERROR: +(.*)/ ? "ERROR $1" : $result;
}

my $time = '2024-01-04 00:00Z';
my @forms = (
	[ 'typed row', "SELECT * FROM rec.s(5, 6, '$time')" ],
	[ 'typed rows', "SELECT * FROM rec.s_batch('{1}', '{1,2,2000,2}', '$time')" ],
	[ 'no rows', "SELECT * FROM rec.s_batch('{1}', '{}', '$time')" ],
	[ 'vectors', "SELECT * FROM rec.s_vectors('{1,2,2000}', '{3,2,2000}', '$time')" ],
	[ 'matrix', "SELECT * FROM rec.s_matrix('{1,2,2000}', '{3}', '$time')" ],
	[ 'generic rows', 'SELECT * FROM featurestore.feature_lookup(NULL::rec.s, 1, ARRAY[2,3])' ],
	[ 'generic vectors', "SELECT * FROM featurestore.feature_vectors('rec.s', 1, ARRAY[2,3])" ],
	[ 'generic matrix', "SELECT * FROM featurestore.feature_matrix('rec.s', ARRAY[1,2], 3)" ],
	[ 'columns of the matrix', "SELECT featurestore.feature_matrix_columns('rec.s')" ],
	[ 'json', qq{SELECT * FROM featurestore.feature_lookup_json('rec.s', '{"user_id": 1, "item_id": [2, 2000]}', '$time')} ],
	[ 'json with metadata', qq{SELECT j - 'snapshot' FROM featurestore.feature_lookup_json('rec.s', '[{"user_id": 1, "item_id": 2}, {"user_id": 2000, "item_id": 3}]', '$time', true) AS j} ],
	[ 'explain_lookup', q{SELECT item, relation, path, reason, keys, found FROM featurestore.explain_lookup('rec.s', '{"user_id": 1, "item_id": [2, 2000]}')} ],
	[ 'feature_specs', 'SELECT * FROM featurestore.feature_specs' ],
	[ 'publications', 'SELECT * FROM featurestore.publications' ],
	[ 'windows', "SELECT * FROM rec.windowed_batch('{1,2,2000,NULL}', '$time')" ],
	[ 'values of windows', 'SELECT * FROM rec.windows_values WHERE user_id < 10 ORDER BY user_id' ]);

foreach my $path ('on', 'off')
{
	my $set = "SET featurestore.enable_direct_lookup = $path;";
	foreach my $form (@forms)
	{
		my ($name, $query) = @$form;
		my $here = $primary->safe_psql('postgres', "$set $query");
		is($standby->safe_psql('postgres', "$set $query"), $here, "$name, direct path $path");
		isnt($here, '', "$name is something") unless $name eq 'no rows';
		is($primary->safe_psql('postgres', "$set BEGIN READ ONLY; $query; COMMIT"), $here, "$name, in a read-only transaction");
	}
}
is($standby->safe_psql('postgres', "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT age FROM rec.simple(5); COMMIT"), '25', 'in REPEATABLE READ');
like($standby->safe_psql('postgres', $forms[10][1]), qr/"awaited": \{"status": "NOT_READY"/, 'a table not filled is NOT_READY');

# Sessions that stay: one for each path
my @sessions;
foreach my $path ('on', 'off')
{
	my $session = $standby->background_psql('postgres', on_error_stop => 0);
	ask($session, "SET featurestore.enable_direct_lookup = $path");
	ask($session, "PREPARE s AS SELECT age, clicks, price, stock, awaited FROM rec.s(7, 8, '$time')");
	ask($session, "PREPARE simple AS SELECT * FROM rec.simple_batch('{7,5000}')");
	ask($session, "PREPARE doomed AS SELECT * FROM rec.doomed(7)");
	push @sessions, $session;
}

sub all_see
{
	my ($query, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(ask($sessions[0], $query), $expected, "$name, probing the index");
	is(ask($sessions[1], $query), $expected, "$name, by the planner");
}

all_see('EXECUTE s', '27|72|8.5|1|-1', 'before');
all_see('EXECUTE simple', "7|27\n5000|", 'before');
all_see('EXECUTE doomed', '7|27', 'before');

on_primary(<<'END');
UPDATE rec.users SET age = 99 WHERE user_id = 7;
INSERT INTO rec.users VALUES (5000, 50);
INSERT INTO rec.sessions VALUES (7, '2024-01-03 12:00Z', 1234), (7, '2024-02-03 12:00Z', 0);
UPDATE rec.items SET price = 2 WHERE item_id = 8;
UPDATE rec.catalog SET stock = 70 WHERE item_id = 8;
CALL featurestore.sync('rec.filled');
END
all_see('EXECUTE s', '99|1234|2|70|-1', 'changed rows');
all_see('EXECUTE simple', "7|99\n5000|50", 'a new row');

on_primary("INSERT INTO rec.log VALUES (7, '2024-01-03 12:00Z', 5); CALL featurestore.sync('rec.windows')");
is($_->safe_psql('postgres', "SELECT * FROM rec.windowed(7, '$time')"), '7|148|{5,72}', 'windows after a sync on ' . $_->name) foreach $primary, $standby;

on_primary("CALL featurestore.sync('rec.awaited')");
all_see('EXECUTE s', '99|1234|2|70|70', 'the first fill');
is($standby->safe_psql('postgres', 'SELECT * FROM featurestore.publication_position ORDER BY relation::text'),
	$primary->safe_psql('postgres', 'SELECT * FROM featurestore.publication_position ORDER BY relation::text'), 'positions are replayed');

on_primary('ALTER TABLE rec.users RENAME COLUMN age TO years; ALTER TABLE rec.users RENAME TO people; VACUUM FULL rec.people');
all_see('EXECUTE s', '99|1234|2|70|70', 'renamed column and table, rewritten');
on_primary('BEGIN; TRUNCATE rec.people; INSERT INTO rec.people VALUES (7, 11, 1); COMMIT; REINDEX TABLE CONCURRENTLY rec.people');
all_see('EXECUTE simple', "7|11\n5000|", 'truncated and filled, index made anew');
on_primary('DELETE FROM rec.people WHERE user_id = 7; VACUUM rec.people');
all_see('EXECUTE simple', "7|\n5000|", 'deleted and vacuumed');
on_primary('INSERT INTO rec.people VALUES (8, 12, 2), (7, 13, 3)');
all_see('EXECUTE simple', "7|13\n5000|", 'inserted again');

on_primary(<<'END');
SELECT featurestore.create_feature_spec('rec.simple', replace => true, items => ARRAY[
	featurestore.lookup('rec.people', '{user_id}', '{score}', rename_outputs => '{"score": "age"}')]);
END
all_see('EXECUTE simple', 'ERROR cached plan must not change result type', 'a spec replaced by one of other types');
all_see("SELECT * FROM rec.simple_batch('{7,5000}')", "7|3\n5000|", 'and looked up anew');
on_primary(<<'END');
SELECT featurestore.create_feature_spec('rec.simple', replace => true, items => ARRAY[
	featurestore.lookup('rec.people', '{user_id}', '{score}', rename_outputs => '{"score": "age"}', default_values => '{"age": 0.5}')]);
END
all_see("SELECT * FROM rec.simple_batch('{7,5000}')", "7|3\n5000|0.5", 'a spec replaced in place');

on_primary("SELECT featurestore.drop_feature_spec('rec.doomed')");
all_see('EXECUTE doomed', 'ERROR function rec.doomed(integer) does not exist', 'a dropped spec');
all_see(q{SELECT featurestore.feature_lookup_json('rec.doomed', '{"user_id": 7}')}, 'ERROR feature spec "rec.doomed" does not exist', 'a dropped spec by name');

# What writes cannot run here, and says so
foreach my $query ("CALL featurestore.sync('rec.filled')", "SELECT featurestore.drop_feature_spec('rec.s')",
	q{SELECT featurestore.create_feature_spec('rec.t', ARRAY[featurestore.lookup('rec.people', '{user_id}')])})
{
	my ($status, $out, $err) = $standby->psql('postgres', $query);
	isnt($status, 0, "refused on a standby: $query");
	like($err, qr/read-only transaction|during recovery/, 'with a reason');
}

# The standby takes over: same sessions, same plans
$primary->stop;
$standby->promote;
all_see('EXECUTE s', '13|1234|2|70|70', 'after promotion');
$standby->safe_psql('postgres', 'UPDATE rec.people SET years = 14 WHERE user_id = 7; UPDATE rec.catalog SET stock = 71 WHERE item_id = 8');
$standby->safe_psql('postgres', "CALL featurestore.sync('rec.filled')");
all_see('EXECUTE s', '14|1234|2|71|70', 'after a change and a sync there');
is($standby->safe_psql('postgres', 'SELECT bool_and(is_ready) FROM featurestore.publications'), 't', 'positions are good on the new primary');

$_->quit foreach @sessions;
ok(!$standby->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed');
$standby->stop;
done_testing();
