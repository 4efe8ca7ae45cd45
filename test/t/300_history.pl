# Histories through what happens to a server: crashes among writers, dumps, a
# worker that prunes, and subscriptions that write online tables.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', <<'END');
timezone = 'UTC'
restart_after_crash = on
synchronous_commit = off
END
$node->start;

my $setup = <<'END';
CREATE SCHEMA h;
CREATE TABLE h.source (id int PRIMARY KEY, v int, note text COLLATE "C");
INSERT INTO h.source SELECT i, 0, 'note ' || i FROM generate_series(1, 40) AS i;
SELECT featurestore.publish_table('h.source', 'h.synchronous', 'SYNCHRONOUS', history => true);
SELECT featurestore.publish_table('h.source', 'h.triggered', history => true);
CREATE TABLE h.direct (id int PRIMARY KEY, v int, note text);
SELECT featurestore.create_online_table('h.direct', '{"v": "add"}', allow_duplicates => true, history => true);
-- tables that are not what the newest versions of their history say, or whose versions do not follow each other
CREATE FUNCTION h.wrong() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	t text;
	n bigint;
BEGIN
	FOREACH t IN ARRAY '{synchronous,triggered,direct}'::text[] LOOP
		EXECUTE format('SELECT count(*) FROM h.%1$s AS o FULL JOIN (SELECT id, v, note FROM (SELECT DISTINCT ON (id) * FROM h.%1$s_history ORDER BY id, _valid_from DESC) AS w WHERE NOT _is_deleted) AS h USING (id)
			WHERE ROW(o.id, o.v, o.note)::text IS DISTINCT FROM ROW(h.*)::text', t) INTO n;
		IF n > 0 THEN RETURN NEXT format('%s: %s newest versions', t, n); END IF;
		-- written one after the other, whatever their transactions
		EXECUTE format('SELECT count(*) FROM (SELECT _is_deleted AND coalesce(lag(_is_deleted) OVER w, true) AS is_bad FROM h.%s_history WINDOW w AS (PARTITION BY id ORDER BY _valid_from)) AS v WHERE is_bad', t) INTO n;
		IF n > 0 THEN RETURN NEXT format('%s: %s deletes of nothing', t, n); END IF;
	END LOOP;
END $$;
END
$node->safe_psql('postgres', "CREATE EXTENSION featurestore; $setup");
sub run { return $node->safe_psql('postgres', $_[0]); }

#
# Crashes among writers of the same keys
#
my $script = PostgreSQL::Test::Utils::tempdir . '/write.sql';
append_to_file($script, <<'END');
\set a random(1, 40)
\set b random(1, 40)
\set what random(1, 6)
\if :what = 1
DELETE FROM h.source WHERE id IN (:a, :b);
\elif :what = 2
INSERT INTO h.source VALUES (:a, :b, 'again') ON CONFLICT (id) DO UPDATE SET v = excluded.v;
\elif :what = 3
SELECT * FROM h.direct_write(ARRAY[:a, :b], ARRAY[1, 1], ARRAY['x', 'y']);
\elif :what = 4
DELETE FROM h.direct WHERE id = :a;
\elif :what = 5
CALL featurestore.sync('h.triggered');
\else
BEGIN;
UPDATE h.source SET v = v + 1 WHERE id = :a;
SAVEPOINT s;
UPDATE h.source SET note = 'b' || :b WHERE id = :a;
ROLLBACK TO s;
UPDATE h.direct SET note = 'a' || :a WHERE id = :a;
COMMIT;
\endif
END
for my $round (1 .. 4)
{
	my $bench = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-T', '30', '--max-tries', '100', '-f', $script, $node->connstr('postgres') ], '>', \my $out, '2>', \my $err);
	sleep 1.5;
	$node->stop('immediate');
	$bench->finish;
	$node->start;
	is(run('SELECT * FROM h.wrong()'), '', "after crash $round histories say what tables hold");
}
cmp_ok(run('SELECT count(*) FROM h.synchronous_history'), '>', 100, 'there were many versions');
cmp_ok(run('SELECT count(*) FROM h.direct_history WHERE _is_deleted'), '>', 0, 'and deletes');

#
# Dumps: histories go on, from the time they had begun
#
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
command_ok([ 'pg_dump', '-Fc', '--no-sync', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
run('CREATE DATABASE restored');
command_ok([ 'pg_restore', '-e', '-j2', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
my $definitions = 'SELECT relation, history_table, history_from FROM featurestore.online_table ORDER BY relation::text COLLATE "C"';
is($node->safe_psql('restored', $definitions), run($definitions), 'the same definitions');
my $versions = q(SELECT md5(string_agg(v::text, ',' ORDER BY id, _valid_from)) FROM h.direct_history AS v);
is($node->safe_psql('restored', $versions), run($versions), 'the same versions');
my $before = $node->safe_psql('restored', 'SELECT count(*) FROM h.synchronous_history');
$node->safe_psql('restored', q(CALL featurestore.sync('h.synchronous'); CALL featurestore.sync('h.triggered')));
is($node->safe_psql('restored', 'SELECT count(*) FROM h.synchronous_history'), $before, 'a sync that finds nothing new writes no versions');
$node->safe_psql('restored', <<'END');
INSERT INTO h.source VALUES (1000, 1, 'new');
UPDATE h.source SET v = v + 1000;
CALL featurestore.sync('h.triggered');
DELETE FROM h.direct WHERE id % 2 = 0;
ALTER TABLE h.direct ADD COLUMN w int DEFAULT 5;
TRUNCATE h.synchronous;
END
is($node->safe_psql('restored', 'SELECT * FROM h.wrong()'), '', 'histories go on');
is($node->safe_psql('restored', 'SELECT count(*) > 0 AND count(*) = count(w) FROM (SELECT DISTINCT ON (id) * FROM h.direct_history ORDER BY id, _valid_from DESC) AS v WHERE NOT _is_deleted'), 't', 'and follow a table that is altered');
is($node->safe_psql('restored', 'SELECT count(*) = (SELECT count(*) FROM h.direct) FROM h.direct_validity WHERE _valid_to = \'infinity\''), 't', 'views as well');
$node->safe_psql('restored', 'DROP TABLE h.direct');
is($node->safe_psql('restored', q(SELECT count(*) FROM pg_class WHERE relname ~ '^direct_')), '0', 'and go with their tables');

#
# A worker prunes what is older than the retention
#
run(<<'END');
UPDATE featurestore.online_table SET history_from = now() - interval '100 days';
INSERT INTO h.direct_history SELECT 5000, i, 'old', now() - make_interval(days => i), false FROM generate_series(1, 90) AS i;
INSERT INTO h.direct VALUES (5000, 1, 'old');
ALTER SYSTEM SET featurestore.history_retention = '30d';
SELECT pg_reload_conf();
END
run('SELECT featurestore.start_worker()');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 30 FROM h.direct_history WHERE id = 5000'), 'a worker prunes');
is(run(q(SELECT bool_and(now() - history_from BETWEEN '30 days' AND '30 days 5 min') FROM featurestore.online_table)), 't', 'and says from when on a history is complete');
is(run('SELECT * FROM h.wrong()'), '', 'what is valid stays');
run('SELECT featurestore.stop_worker()');
# one that cannot be pruned holds up nobody
run(<<'END');
CREATE FUNCTION h.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
DO $$
BEGIN
	FOR i IN 1..9 LOOP
		EXECUTE format('CREATE TABLE h.refused%s (id int PRIMARY KEY, v int)', i);
		PERFORM featurestore.create_online_table(format('h.refused%s', i), history => true);
		EXECUTE format('INSERT INTO h.refused%s_history SELECT 1, i, now() - make_interval(days => i), false FROM generate_series(40, 50) AS i', i);
		IF i < 9 THEN
			EXECUTE format('CREATE TRIGGER refuse BEFORE DELETE ON h.refused%s_history EXECUTE FUNCTION h.refuse()', i);
		END IF;
	END LOOP;
END $$;
UPDATE featurestore.online_table SET history_from = now() - interval '100 days' WHERE relation::text ~ 'refused';
END
run('SELECT featurestore.start_worker()');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM h.refused9_history'), 'a worker goes on after those that it cannot prune');
is(run('SELECT count(*) FROM h.refused1_history'), '11', 'which stay as they are');
run('SELECT featurestore.stop_worker()');
run(join('', map { "DROP TABLE h.refused$_;" } 1 .. 9));

#
# A subscription writes an online table; it has all that is written, so commits wait for that
#
$node->safe_psql('postgres', 'ALTER SYSTEM SET synchronous_commit = on');
$node->reload;
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init(allows_streaming => 'logical');
$subscriber->start;
$subscriber->safe_psql('postgres', <<'END');
CREATE EXTENSION featurestore;
CREATE SCHEMA h;
CREATE TABLE h.source (id int PRIMARY KEY, v int, note text COLLATE "C");
SELECT featurestore.create_online_table('h.source', history => true);
END
run('CREATE PUBLICATION p FOR TABLE h.source');
my $connstr = $node->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION s CONNECTION '$connstr' PUBLICATION p");
$subscriber->wait_for_subscription_sync($node, 's');
run(q(INSERT INTO h.source VALUES (2000, 1, 'one'); UPDATE h.source SET v = 2 WHERE id = 2000; UPDATE h.source SET v = v WHERE id = 2000; UPDATE h.source SET id = 2001 WHERE id = 2000; DELETE FROM h.source WHERE id = 2001;
	BEGIN; INSERT INTO h.source VALUES (2002, 1); DELETE FROM h.source WHERE id = 2002; INSERT INTO h.source VALUES (2002, 2); COMMIT));
$node->wait_for_catchup('s');
is($subscriber->safe_psql('postgres', 'SELECT id, v, _is_deleted FROM h.source_history WHERE id >= 2000 ORDER BY id, _valid_from'),
	"2000|1|f\n2000|2|f\n2000||t\n2001|2|f\n2001||t\n2002|1|f\n2002||t\n2002|2|f", 'what a subscription applies are versions');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM h.source WHERE id < 2000'), $subscriber->safe_psql('postgres', 'SELECT count(*) FROM h.source_history WHERE id < 2000'), 'and what it copies at first');
run('TRUNCATE h.source');
$node->wait_for_catchup('s');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FILTER (WHERE NOT _is_deleted) FROM (SELECT DISTINCT ON (id) * FROM h.source_history ORDER BY id, _valid_from DESC) AS v'), '0', 'and truncations');
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION s');

done_testing();
