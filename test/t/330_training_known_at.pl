# Training with what was known: rows of sources count from their commit on,
# rows of online tables with a history as their versions say.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "timezone = 'UTC'\ntrack_commit_timestamp = on");
$node->start;

$node->safe_psql('postgres', <<'END');
CREATE EXTENSION featurestore;
CREATE TABLE click (user_id int, at timestamptz, n int, word text);
CREATE TABLE price (item int, at timestamptz, price int, PRIMARY KEY (item, at));
CREATE TABLE moment (n int GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE profile (user_id int PRIMARY KEY, city text);
CREATE TABLE score (user_id int, at timestamptz, score int, PRIMARY KEY (user_id, at));
CREATE TABLE profile_then (moment int, user_id int, city text);
CREATE TABLE score_then (moment int, user_id int, at timestamptz, score int);
SET search_path = public, featurestore;
SELECT create_online_table('price', timeseries_column => 'at');
SELECT create_online_table('profile', history => true);
SELECT create_online_table('score', timeseries_column => 'at', history => true);
SELECT count(register_feature(f.function || '_' || split_part(w, ' ', 1) || split_part(w, ' ', 2), 'click', '{user_id}', 'at', f.function, f.input, w::time_window, f.params::jsonb))
	FROM (VALUES ('count', NULL, '{}'), ('sum', 'n', '{}'), ('max', 'n', '{}'), ('last_n', 'word', '{"n": 3}'), ('count_distinct', 'word', '{}')) AS f(function, input, params),
		unnest('{rolling 1d hop 0,rolling 7d hop 6h,lifetime}'::text[]) AS w;
SELECT materialize_features(ARRAY(SELECT relation::text FROM feature), 'user_features', publish_mode => 'TRIGGERED', wait => false);
SELECT create_feature_spec('windows', ARRAY[feature(ARRAY(SELECT relation::text FROM feature ORDER BY relation))]);
SELECT create_feature_spec('prices', ARRAY[lookup('price', '{item}', '{price}')]);
SELECT create_feature_spec('profiles', ARRAY[lookup('profile', '{user_id}', '{city}')]);
SELECT create_feature_spec('scores', ARRAY[lookup('score', '{user_id}', '{score}')]);
END

# Commits one after the other: later ones bring late rows, correct and remove others
for my $commit (1 .. 12)
{
	$node->safe_psql('postgres', <<"END");
SELECT setseed($commit / 100.0);
INSERT INTO click SELECT floor(random() * 5), '2024-01-01Z'::timestamptz + random() * interval '20 days', random() * 100, 'w' || floor(random() * 8) FROM generate_series(1, 80);
UPDATE click SET n = n + 1000 WHERE random() < 0.05;
INSERT INTO price SELECT floor(random() * 5), '2024-01-01Z'::timestamptz + floor(random() * 200) * interval '1 hour', random() * 100 FROM generate_series(1, 25) ON CONFLICT DO NOTHING;
UPDATE price SET price = price + 1000 WHERE random() < 0.1;
INSERT INTO profile SELECT u, 'city ' || $commit FROM generate_series(0, 4) AS u WHERE random() < 0.5 ON CONFLICT (user_id) DO UPDATE SET city = excluded.city;
DELETE FROM profile WHERE random() < 0.2;
INSERT INTO score SELECT DISTINCT floor(random() * 5), '2024-01-01Z'::timestamptz + floor(random() * 20) * interval '1 day', $commit FROM generate_series(1, 12)
	ON CONFLICT (user_id, at) DO UPDATE SET score = excluded.score;
DELETE FROM score WHERE random() < 0.1;
END
	$node->safe_psql('postgres', <<"END");
INSERT INTO moment DEFAULT VALUES;
INSERT INTO profile_then SELECT $commit, * FROM profile;
INSERT INTO score_then SELECT $commit, * FROM score;
END
}
$node->safe_psql('postgres', <<'END');
CREATE TABLE label AS SELECT row_number() OVER () AS i, u AS user_id, u AS item, '2024-01-01Z'::timestamptz + t * interval '17 hours' AS at, m.at AS known, m.n AS moment
	FROM generate_series(0, 5) AS u, generate_series(0, 30, 3) AS t, moment AS m;
CREATE TABLE now_label AS SELECT row_number() OVER () AS i, u AS user_id, m.at AS at, m.n AS moment FROM generate_series(0, 5) AS u, moment AS m;
END

# How many of the rows of a training set there are, and how many are not what a query says; by both plans
sub differences
{
	my ($spec, $labels, $options, $columns, $expected) = @_;
	my @results;
	for my $plan ('sweep', 'seek')
	{
		push @results, $node->safe_psql('postgres', <<"END");
SET search_path = public, featurestore;
SET client_min_messages = warning;
SET featurestore.training_plan = $plan;
CREATE TEMP TABLE report AS SELECT * FROM create_training_set('trained', \$l\$SELECT * FROM $labels\$l\$, '$spec', 'at'$options);
SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE ROW($columns)::text IS DISTINCT FROM ROW(e.*)::text), (SELECT string_agg(DISTINCT point_in_time, ',') FROM report))
	FROM trained AS t LEFT JOIN LATERAL ($expected) AS e ON true;
SELECT drop_training_set('trained');
END
	}
	chomp @results;
	s/\n+$// for @results;
	is($results[1], $results[0], "$spec of $labels: both plans give the same");
	return $results[0];
}

my $known = ", known_at => 'known'";
my $window_columns = 't.count_rolling1d, t.sum_rolling7d, t.max_lifetime, t.count_distinct_rolling7d';
my $windows = <<'END';
SELECT count(*) FILTER (WHERE c.at >= t.at - interval '1 d'), sum(n) FILTER (WHERE c.at >= date_bin('6 h', t.at - interval '7 d', '1970-01-01Z')), max(n),
	count(DISTINCT word) FILTER (WHERE c.at >= date_bin('6 h', t.at - interval '7 d', '1970-01-01Z'))
FROM click c WHERE c.user_id = t.user_id AND c.at < t.at
END
is(differences('windows', 'label', '', $window_columns, $windows), '792 0 EXACT', 'windows of all events');
is(differences('windows', 'label', $known, $window_columns, "$windows AND pg_xact_commit_timestamp(c.xmin) <= t.known"), '792 0 EXACT', 'windows of events that were known');

my $price = 'SELECT price FROM price p WHERE p.item = t.item AND p.at <= t.at %s ORDER BY p.at DESC LIMIT 1';
is(differences('prices', 'label', '', 't.price', sprintf($price, '')), '792 0 EXACT', 'the newest row');
is(differences('prices', 'label', $known, 't.price', sprintf($price, 'AND pg_xact_commit_timestamp(p.xmin) <= t.known')),
	'792 0 EXACT', 'the newest row that was known');

my $city = 'SELECT city FROM profile_then p WHERE p.user_id = t.user_id AND p.moment = t.moment';
is(differences('profiles', 'now_label', '', 't.city', $city), '72 0 HISTORY_FROM', 'the version at the time of the label');
is(differences('profiles', '(SELECT *, clock_timestamp() AS known FROM now_label) AS l', $known, 't.city', $city), '72 0 HISTORY_FROM', 'what was known later is not what was valid');
is(differences('profiles', "(SELECT i, user_id, '2090-01-01Z'::timestamptz AS at, at AS known, moment FROM now_label) AS l", $known, 't.city', $city), '72 0 HISTORY_FROM', 'nor is what was valid later what was known');

my $score = 'SELECT score FROM score_then s WHERE s.user_id = t.user_id AND s.at <= t.at AND s.moment = t.moment ORDER BY s.at DESC LIMIT 1';
is(differences('scores', 'label', $known, 't.score', $score), '792 0 HISTORY_FROM', 'the newest row of those that were known, as it was then');

# Rows of the transaction at hand, and of its subtransactions, are not known by then
is($node->safe_psql('postgres', <<'END'), '2|0', 'what is not committed is not known');
SET search_path = public, featurestore;
SET client_min_messages = warning;
BEGIN;
INSERT INTO click VALUES (100, '2024-01-01Z', 1, 'a');
SAVEPOINT s;
INSERT INTO click VALUES (100, '2024-01-01Z', 1, 'a');
RELEASE s;
CREATE TEMP TABLE own AS SELECT 1 FROM create_training_set('own_all', 'SELECT 100 AS user_id, ''2024-01-01 01:00Z''::timestamptz AS at', 'windows', 'at');
CREATE TEMP TABLE own_known AS SELECT 1 FROM create_training_set('own_known_at', 'SELECT 100 AS user_id, ''2024-01-01 01:00Z''::timestamptz AS at, now() AS known', 'windows', 'at', known_at => 'known');
SELECT a.count_rolling1d, k.count_rolling1d FROM own_all AS a, own_known_at AS k;
ROLLBACK;
END

$node->stop;
done_testing();
