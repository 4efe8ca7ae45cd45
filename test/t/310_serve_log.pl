# Lookups are logged where the library is preloaded: a worker writes a sample,
# chosen by key, of what every form of lookup gave, exactly and with the rights of
# the spec's owner; what finds no room is counted; a client logs what it reads on
# a standby.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<'END');
timezone = 'Asia/Kolkata'
datestyle = 'German'
shared_preload_libraries = 'featurestore'
featurestore.serve_log_size = '512kB'
restart_after_crash = on
END
$primary->start;

sub run { return $primary->safe_psql('postgres', $_[0]); }

# Waits until everything that was looked up has been written, or lost
sub drained { return $primary->poll_query_until('postgres', 'SELECT waiting = 0 FROM featurestore._serve_log_state()'); }

run(<<'END');
ALTER DATABASE postgres SET extra_float_digits = -5;
CREATE EXTENSION featurestore;
CREATE SCHEMA rec;
CREATE TABLE rec.users (user_id int PRIMARY KEY, age int, score float8, note text, at timestamptz DEFAULT '2024-01-01 00:00Z');
INSERT INTO rec.users SELECT i, i % 50, CASE i WHEN 1 THEN '-0' WHEN 2 THEN 'NaN' ELSE i / 3.0::float8 END, repeat('x', i % 7) FROM generate_series(1, 3000) AS i;
CREATE TABLE rec.clicks (user_id int, at timestamptz, n float8);
INSERT INTO rec.clicks SELECT i, now() - i * interval '1 second', 0.1 * i FROM generate_series(1, 100) AS i;
SELECT featurestore.register_feature('rec.total', 'rec.clicks', '{user_id}', 'at', 'sum', 'n', featurestore.rolling_window('1 day'));
SELECT featurestore.materialize_features('{rec.total}', 'rec.windows', publish_mode => 'SYNCHRONOUS');
SELECT featurestore.create_feature_spec('rec.s', exclude_columns => '{age}', items => ARRAY[featurestore.lookup('rec.users', '{user_id}'), featurestore.feature('{rec.total}'),
	featurestore.request_field('hour', 'float4'), featurestore.expression('age * hour', 'product')]);
END

is(run("SELECT featurestore.log_lookups('rec.s', 1)"), 'rec.s_log', 'logging starts');
is(run('SELECT spec, log_table, fraction, is_available, waiting, logged, lost FROM featurestore.serve_logs'), 'rec.s|rec.s_log|1|t|0|0|0', 'serve_logs shows it');
my (undef, undef, $notice) = $primary->psql('postgres', "SELECT featurestore.log_lookups('rec.s', 1)");
like($notice, qr/NOTICE:.*is logged already, skipping/, 'again it is a notice');

# Every form of lookup
my @forms = (
	[ 'SELECT * FROM rec.s(1, 2)', 1 ],
	[ "SELECT * FROM rec.s_batch('{1,2,3,NULL,9999}', '{0.5}')", 5 ],
	[ "SELECT * FROM rec.s_batch('{1}', '{}')", 0 ],
	[ "SELECT * FROM featurestore.feature_lookup(NULL::rec.s, ARRAY[1,2], 1)", 2 ],
	[ q{SELECT * FROM featurestore.feature_lookup_json('rec.s', '[{"user_id": 1, "hour": 2}]')}, 1 ],
	[ 'BEGIN READ ONLY; SELECT * FROM rec.s(3, 2); COMMIT', 1 ],
	[ 'BEGIN; SELECT * FROM rec.s(3, 2); ROLLBACK', 1 ],
	[ "SET work_mem = '64kB'; SELECT count(*) FROM rec.s_batch(ARRAY(SELECT generate_series(1, 100)), '{1}')", 100 ],
	[ 'SELECT count(*) FROM generate_series(1, 80) AS u, LATERAL rec.s(u, 1)', 80 ],
	[ 'SET featurestore.enable_lookup_join = off; SELECT count(*) FROM generate_series(1, 80) AS u, LATERAL rec.s(u, 1)', 80 ],
	[ "SET enable_material = off; SELECT count(*) FROM generate_series(1, 3) AS n LEFT JOIN rec.s_batch('{1,2}', '{1}') AS s ON s.hour < n", 2 ],
	[ 'SET featurestore.enable_direct_lookup = off; SELECT * FROM rec.s(4, 2)', 1 ]);
foreach my $form (@forms)
{
	run('TRUNCATE rec.s_log');
	run($form->[0]);
	drained();
	is(run('SELECT count(*) FROM rec.s_log'), $form->[1], "logged: $form->[0]");
}
run('TRUNCATE rec.s_log');
run('SELECT hour FROM rec.s(7, 2)');
drained();
is(run("SELECT outputs->>'note', outputs->>'product' FROM rec.s_log"), '|14', 'all is logged, however little the query refers to');
run('CREATE TABLE rec.prices (user_id int PRIMARY KEY, price float8); INSERT INTO rec.prices VALUES (1, 2.5)');
run("SELECT featurestore.create_feature_spec('rec.v', ARRAY[featurestore.lookup('rec.prices', '{user_id}')]); SELECT featurestore.log_lookups('rec.v', 1)");
run("SELECT * FROM rec.v_vectors('{1,2}'); SELECT length(rec.v_matrix('{1,2,3}'))");
drained();
is(run("SELECT string_agg(outputs->>'price', ',') || ' of ' || count(*) FROM rec.v_log"), '2.5,2.5 of 5', 'vectors and matrices are logged, too');

# A log row is the same as what a client makes of the metadata
run('TRUNCATE rec.s_log');
run(q{SET timezone = 'UTC'; INSERT INTO rec.s_log SELECT v.* FROM featurestore.feature_lookup_json('rec.s', '{"user_id": [1,2,3,50,9999,null], "hour": -1.5}', '2024-06-01 00:00Z', true) AS j, featurestore.served_vector(j, '2020-01-01') AS v});
drained();
run("DELETE FROM rec.s_log WHERE logged_at > '2021-01-01'");
run("SELECT * FROM rec.s_batch('{1,2,3,50,9999,NULL}', '{-1.5}', '2024-06-01 00:00Z')");
drained();
my $both = 'as_of, spec_version, system_identifier, positions, request, outputs, statuses';
is(run("SELECT count(*), count(DISTINCT ($both)) FROM rec.s_log"), '12|6', 'what the worker logs is what a client can log');
is(run("SELECT string_agg(format('%s:%s:%s:%s', request->>'user_id', request->>'hour', outputs->>'score', outputs->>'product'), ' ' ORDER BY request->>'user_id') FROM rec.s_log WHERE logged_at > '2021-01-01'"),
	'1:-1.5:-0:-1.5 2:-1.5:NaN:-3 3:-1.5:1:-4.5 50:-1.5:16.666666666666668:-0 9999:-1.5:: :-1.5::', 'exact texts');

# What is not logged
run('TRUNCATE rec.s_log');
run(q{SELECT * FROM featurestore.explain_lookup('rec.s', '{"user_id": 1, "hour": 2}')});
run(q{SELECT * FROM featurestore.feature_lookup_json('rec.s', '{"user_id": 1, "hour": 2, "score": 1}')});
run('BEGIN; INSERT INTO rec.users VALUES (4000); SELECT * FROM rec.s(4000, 2); ROLLBACK');
run('CREATE ROLE app; GRANT USAGE ON SCHEMA rec TO app; GRANT SELECT ON ALL TABLES IN SCHEMA rec TO app; ALTER TABLE rec.users ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON rec.users USING (user_id < 3)');
run('SET ROLE app; SELECT * FROM rec.s(5, 2)');
run('ALTER TABLE rec.users DISABLE ROW LEVEL SECURITY; DROP POLICY p ON rec.users');
drained();
is(run('SELECT count(*) FROM rec.s_log'), 0, 'explain_lookup, given outputs, own writes and policies are not');
run('SET ROLE app; SELECT * FROM rec.s(5, 2)');
drained();
is(run('SELECT count(*) FROM rec.s_log'), 1, "others' lookups are");

# What the owner of a spec may not see is not in its log, whoever looks up, by whatever way
run(<<'END');
CREATE ROLE tenant;
CREATE ROLE neighbour;
GRANT ALL ON SCHEMA rec TO tenant, neighbour;
CREATE TABLE rec.secrets (id int PRIMARY KEY, tenant text, secret text);
INSERT INTO rec.secrets VALUES (1, 'tenant', 'mine'), (2, 'neighbour', 'theirs');
ALTER TABLE rec.secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON rec.secrets USING (tenant = current_user);
CREATE VIEW rec.invoked WITH (security_invoker) AS SELECT * FROM rec.secrets;
CREATE TABLE rec.open (id int PRIMARY KEY, secret text);
INSERT INTO rec.open VALUES (1, 'none'), (2, 'none');
CREATE VIEW rec.asking AS SELECT id, secret || current_user AS secret FROM rec.open;
GRANT SELECT ON rec.secrets, rec.invoked, rec.asking, rec.open TO tenant, neighbour;
SET ROLE tenant;
SELECT featurestore.create_feature_spec('rec.by_' || t, ARRAY[featurestore.lookup('rec.' || t, '{id}', '{secret}')]) FROM unnest('{secrets,invoked,asking,open}'::text[]) AS t;
SELECT featurestore.log_lookups('rec.by_' || t, 1) FROM unnest('{secrets,invoked,asking,open}'::text[]) AS t;
END
run("$_; SELECT * FROM rec.by_secrets(2); SELECT * FROM rec.by_invoked(2); SELECT * FROM rec.by_asking(2); SELECT * FROM rec.by_open(2)")
	foreach 'RESET ROLE', 'SET ROLE neighbour', 'SET ROLE tenant';
drained();
is(run("SELECT string_agg(l.outputs->>'secret', ' ') FROM (TABLE rec.by_secrets_log UNION ALL TABLE rec.by_invoked_log) AS l"), '', 'nothing that policies hide from the owner is in his log');
is(run("SELECT string_agg(outputs->>'secret', ' ') FROM rec.by_asking_log"), 'nonetenant', 'of a view there is only what he looked up himself');
is(run("SELECT count(*) FROM rec.by_open_log"), 3, 'and of a table what anybody did');
run('SELECT featurestore.stop_worker()');
run("SELECT * FROM rec.by_open(2); ALTER TABLE rec.open ENABLE ROW LEVEL SECURITY; SELECT featurestore.start_worker()");
drained();
is(run("SELECT count(*) FROM rec.by_open_log"), 3, 'what policies hide from him since is not written');
run('SET ROLE tenant; SELECT featurestore.log_lookups(spec::text, 0) FROM featurestore.serve_logs WHERE spec::text ~ \'by_\'');

# A sample by key: all of an entity or none
run('TRUNCATE rec.s_log');
is(run("SELECT featurestore.log_lookups('rec.s', 0.25)"), 'rec.s_log', 'another fraction');
run("SELECT count(*) FROM rec.s_batch(ARRAY(SELECT generate_series(1, 200)), '{$_}')") foreach 1 .. 3;
drained();
is(run("SELECT count(*) FROM (SELECT 1 FROM rec.s_log GROUP BY request->>'user_id' HAVING count(*) <> 3) AS u"), 0, 'of an entity all lookups are logged or none');
my $entities = run("SELECT count(DISTINCT request->>'user_id') FROM rec.s_log");
cmp_ok($entities, '>', 25, 'of about a quarter');
cmp_ok($entities, '<', 80, 'of the entities');

# Overflow is counted and blocks nobody; another database has its own
$primary->safe_psql('postgres', "SELECT featurestore.log_lookups('rec.s', 1)");
run('TRUNCATE rec.s_log');
my $lost = run('SELECT lost FROM featurestore._serve_log_state()');
my $logged = run('SELECT logged FROM featurestore._serve_log_state()');
is($lost, 1, 'nothing else was lost so far');
run("SELECT featurestore.stop_worker()");
run("SELECT count(*) FROM rec.s_batch(ARRAY(SELECT generate_series(1, 2000)), '{1}')");
my $waiting = run('SELECT waiting FROM featurestore._serve_log_state()');
$lost = run('SELECT lost FROM featurestore._serve_log_state()');
cmp_ok($waiting, '>', 100, 'some wait');
is($waiting + $lost - 1, 2000, 'the others are counted as lost');
run('CREATE DATABASE other');
$primary->safe_psql('other', <<'END');
CREATE EXTENSION featurestore;
CREATE TABLE users (user_id int PRIMARY KEY, age int);
SELECT featurestore.create_feature_spec('o', ARRAY[featurestore.lookup('users', '{user_id}')]);
SELECT featurestore.log_lookups('o', 1);
SELECT * FROM o(1);
END
ok($primary->poll_query_until('other', 'SELECT count(*) = 1 FROM o_log'), 'another database has room and a worker');
run('SELECT featurestore.start_worker()');
drained();
is(run('SELECT count(*) FROM rec.s_log'), $waiting, 'what had room is written once there is a worker');
is(run('SELECT logged FROM featurestore._serve_log_state()'), $logged + $waiting, 'and counted');
run('DROP DATABASE other');

# While the worker runs, many clients
run('TRUNCATE rec.s_log');
$logged = run('SELECT logged FROM featurestore._serve_log_state()');
$lost = run('SELECT lost FROM featurestore._serve_log_state()');
$primary->pgbench('-n -c 4 -j 2 -t 1000', 0, [qr/number of transactions actually processed: 4000/], [qr/^$/], 'clients at a time',
	{ 'serve_log' => "\\set id random(1, 3000)\nSELECT * FROM rec.s(:id, 2);\n" });
drained();
my $written = run('SELECT count(*) FROM rec.s_log');
is(run("SELECT logged - $logged FROM featurestore._serve_log_state()"), $written, 'each is counted once');
is(run("SELECT logged - $logged + lost - $lost FROM featurestore._serve_log_state()"), 4000, 'and none is forgotten');
cmp_ok($written, '>', 1000, 'most are written') or diag("written $written");
is(run("SELECT count(*) FROM rec.s_log AS l JOIN rec.users AS u ON u.user_id = (l.request->>'user_id')::int WHERE l.outputs->>'note' IS DISTINCT FROM u.note"), 0, 'and none is mixed up');

# Large values, in and out of line
run("INSERT INTO rec.users VALUES (5000, 1, 1, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) AS i)), (5001, 1, 1, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 20000) AS i))");
run('TRUNCATE rec.s_log');
run('SELECT count(*) FROM rec.s(5000, 1)');
run('SELECT count(*) FROM rec.s(5001, 1)');
run('UPDATE rec.users SET note = NULL WHERE user_id >= 5000; VACUUM rec.users');
drained();
is(run("SELECT request->>'user_id', length(outputs->>'note') FROM rec.s_log"), '5000|32000', 'a large value is logged as it was, one that is larger than the room is lost');

# The rights of the owner
run('CREATE ROLE maker; GRANT ALL ON SCHEMA rec TO maker; GRANT SELECT ON rec.prices TO maker');
run("SET ROLE maker; SELECT featurestore.create_feature_spec('rec.m', ARRAY[featurestore.lookup('rec.prices', '{user_id}')]); SELECT featurestore.log_lookups('rec.m', 1)");
run('SELECT * FROM rec.m(1)');
drained();
is(run("SELECT relowner::regrole, (SELECT count(*) FROM rec.m_log) FROM pg_class WHERE oid = 'rec.m_log'::regclass"), 'maker|1', 'a log is written for the owner of its spec');
run('REVOKE SELECT ON rec.prices FROM maker');
$lost = run('SELECT lost FROM featurestore._serve_log_state()');
run('SELECT * FROM rec.m(1)');
drained();
is(run('SELECT count(*) FROM rec.m_log'), 1, 'but not with what he may not read any more');
ok($primary->poll_query_until('postgres', "SELECT lost = $lost + 1 FROM featurestore._serve_log_state()"), 'which counts as lost');
run('GRANT SELECT ON rec.prices TO maker');
my ($status, undef, $err) = $primary->psql('postgres', "SET ROLE app; SELECT featurestore.log_lookups('rec.m', 0)");
like($err, qr/must be owner of feature spec rec.m/, 'nobody else starts or ends it');
run('CREATE ROLE heir; GRANT ALL ON SCHEMA rec TO heir; ALTER VIEW rec.m OWNER TO heir; GRANT SELECT ON rec.prices TO heir');
my $before = -s $primary->logfile;
run('SELECT * FROM rec.m(1)');
drained();
like(slurp_file($primary->logfile, $before), qr/WARNING:.*could not be logged: serve log "m_log" does not belong to the owner/, 'a log that is not handed on with its spec is not written, and it says so');
(undef, undef, $err) = $primary->psql('postgres', "SET ROLE heir; SELECT featurestore.log_lookups('rec.m', 1)");
like($err, qr/is not a serve log of feature spec rec.m/, 'also to who asks again');
run('ALTER VIEW rec.m OWNER TO maker');
run('CREATE FUNCTION rec.trap() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO rec.caught VALUES (current_user); RETURN NEW; END$$;
	CREATE TABLE rec.caught (who name); GRANT INSERT ON rec.caught TO maker; SET ROLE maker; CREATE TRIGGER trap BEFORE INSERT ON rec.m_log FOR EACH ROW EXECUTE FUNCTION rec.trap()');
run('SELECT * FROM rec.m(1)');
drained();
is(run('SELECT DISTINCT who FROM rec.caught'), 'maker', 'a trigger on it runs as the owner');

# An error loses the rows of one spec, and says so
run("ALTER TABLE rec.m_log ADD CHECK (request->>'user_id' <> '13'); TRUNCATE rec.s_log");
my $offset = -s $primary->logfile;
run('SELECT * FROM rec.m(13)');
run('SELECT * FROM rec.s(13, 1)');
drained();
ok($primary->poll_query_until('postgres', 'SELECT count(*) = 1 FROM rec.s_log'), 'an error with one log leaves the others alone');
like(slurp_file($primary->logfile, $offset), qr/WARNING:.*could not be logged: new row for relation "m_log" violates check/, 'and is reported');

my $locker = $primary->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE rec.m_log IN SHARE MODE');
run('SELECT * FROM rec.m(1)');
drained();
$locker->query_safe('COMMIT');
$locker->quit;
like(slurp_file($primary->logfile, $offset), qr/WARNING:.*could not be logged: serve log "m_log" is locked/, 'nobody waits for a lock on a log');

# A spec replaced goes on, one dropped or a log dropped ends it
run("SELECT featurestore.create_feature_spec('rec.v', ARRAY[featurestore.lookup('rec.prices', '{user_id}', rename_outputs => '{\"price\": \"cost\"}')], replace => true); TRUNCATE rec.v_log");
run('SELECT * FROM rec.v(1)');
drained();
is(run("SELECT spec_version, outputs FROM rec.v_log"), '2|{"cost": "2.5"}', 'a spec that is replaced is logged on');
run('DROP TABLE rec.v_log');
is(run("SELECT count(*) FROM featurestore.serve_logs WHERE spec = 'rec.v'::regclass"), 0, 'a log that is dropped is not written any more');
run('SELECT * FROM rec.v(1)');
run("SELECT featurestore.log_lookups('rec.v', 1)");
run('SELECT * FROM rec.v(1)');
ok($primary->poll_query_until('postgres', 'SELECT count(*) > 0 FROM rec.v_log'), 'and can be made anew');
run("SELECT featurestore.drop_feature_spec('rec.v')");
cmp_ok(run("SELECT count(*) FROM rec.v_log"), '>', 0, 'a log outlives its spec');
is(run("SELECT count(*) FROM featurestore.serve_log WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = relation)"), 0, 'but nothing else of it does');
run("ALTER TABLE rec.s_log RENAME TO served; ALTER VIEW rec.s RENAME TO renamed; TRUNCATE rec.served");
run('SELECT * FROM rec.s(1, 2)');
drained();
is(run('SELECT count(*) FROM rec.served'), 1, 'renamed, both go on');
is(run("SELECT featurestore.log_lookups('rec.renamed', 0)"), 'rec.served', '0 ends it');
run('SELECT * FROM rec.s(1, 2)');
sleep 2;
is(run('SELECT count(*) FROM rec.served'), 1, 'and nothing more is logged');

# A restart, a crash
is(run("ALTER TABLE rec.served RENAME TO renamed_log; SELECT featurestore.log_lookups('rec.renamed', 1)"), 'rec.renamed_log', 'a table of the name and form is used');
$primary->restart;
run('TRUNCATE rec.renamed_log; SELECT * FROM rec.s(1, 2)');
ok($primary->poll_query_until('postgres', 'SELECT count(*) = 1 FROM rec.renamed_log'), 'after a restart it goes on');
my $victim = $primary->background_psql('postgres', on_error_stop => 0);
my $pid = $victim->query_safe('SELECT pg_backend_pid()');
kill 'KILL', $pid;
ok($primary->poll_query_until('postgres', 'SELECT logged = 0 FROM featurestore._serve_log_state()'), 'a crash empties the memory');
eval { $victim->quit };
run('TRUNCATE rec.renamed_log; SELECT * FROM rec.s(1, 2)');
ok($primary->poll_query_until('postgres', 'SELECT count(*) = 1 FROM rec.renamed_log'), 'and it goes on');

# A standby: nothing is logged by itself, but a client can log what it got
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
my $writer = $primary->background_psql('postgres');
$writer->query_safe('BEGIN; SAVEPOINT a; UPDATE rec.users SET age = 99 WHERE user_id = 7; SELECT pg_current_xact_id();');
my $xid = $writer->query_safe('SELECT pg_current_xact_id()');
run('UPDATE rec.users SET note = note WHERE user_id = 8');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
my $got = $standby->safe_psql('postgres', q{SELECT featurestore.feature_lookup_json('rec.renamed', '{"user_id": 7, "hour": 1}', metadata => true)});
is($standby->safe_psql('postgres', 'SELECT waiting, lost FROM featurestore._serve_log_state()'), '0|0', 'a standby logs nothing by itself');
run('TRUNCATE rec.renamed_log');
run("INSERT INTO rec.renamed_log SELECT (featurestore.served_vector('" . ($got =~ s/'/''/gr) . "')).*");
is(run("SELECT request, outputs->>'note', system_identifier = (SELECT c.system_identifier FROM pg_control_system() AS c) FROM rec.renamed_log"), '{"hour": "1", "user_id": "7"}||t', 'a client logs on the primary what the standby gave');
is(run("SELECT pg_visible_in_snapshot('$xid', snapshot) FROM rec.renamed_log"), 'f', 'its snapshot knows what had not ended on the primary');
$writer->query_safe('ROLLBACK');
$writer->quit;
$standby->stop;

# Not preloaded: refused, and what is defined is harmless
$primary->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$primary->restart;
run('SELECT * FROM rec.s(1, 2)');
is(run('SELECT spec, fraction, is_available, waiting, logged, lost FROM featurestore.serve_logs WHERE spec = \'rec.renamed\'::regclass'), 'rec.renamed|1|f|||', 'without preloading nothing is logged, and it says so');
($status, undef, $err) = $primary->psql('postgres', "SELECT featurestore.log_lookups('rec.renamed', 0.5)");
like($err, qr/lookups cannot be logged/, 'nor can it be asked for');
ok(!$primary->log_contains('TRAP:|PANIC'), 'nothing crashed by itself');
$primary->stop;
done_testing();
