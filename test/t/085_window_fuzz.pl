# No bytes harm the server: window states with bytes changed or cut off are
# refused by the binary input, or are states like others, which can be
# evaluated, described, merged, retracted and sent again.  Once as fast as can
# be, once under valgrind with fewer of them.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Family, functions with the type of their values; a function, type and params that make states; a value of an event.
my @kinds = (
	[ 'sum', 'int4', '{}', 'k', 'sum bigint', 'avg numeric', 'min int4' ],
	[ 'sum', 'float8', '{}', "CASE k % 5 WHEN 3 THEN 'NaN' WHEN 4 THEN '-0' ELSE k / 7.0 END", 'sum float8', 'avg float8', 'max float8' ],
	[ 'sum', 'numeric', '{}', "CASE WHEN k % 5 = 3 THEN 'Infinity' ELSE round(k / 7.0, k % 4) END", 'sum numeric', 'avg numeric', 'max numeric' ],
	[ 'sum', 'interval', '{}', "k * interval '1 mon 1 day 1 h'", 'sum interval', 'avg interval', 'max interval' ],
	[ 'min', 'text', '{}', "repeat('x', k % 20)", 'count bigint', 'min text', 'max text' ],
	[ 'count', undef, '{}', undef, 'count bigint' ],
	[ 'var_pop', 'float8', '{}', 'k / 7.0', 'var_pop float8', 'stddev_samp float8' ],
	[ 'skew', 'numeric', '{}', 'round(k / 7.0, k % 4)', 'skew float8', 'kurtosis float8' ],
	[ 'skew', 'int8', '{}', 'k * 10000000007', 'skew float8', 'kurtosis float8' ],
	[ 'first_n', 'text', '{"n": 3}', "repeat('x', k % 20)", 'first text', 'first_n(3) text[]' ],
	[ 'last_n', 'numeric', '{"n": 3}', 'k / 7.0', 'last numeric', 'last_n(3) numeric[]' ],
	[ 'first_distinct_n', 'float4', '{"n": 3}', 'k % 5', 'first_distinct_n(3) float4[]' ],
	[ 'last_distinct_n', 'bpchar', '{"n": 3}', "repeat('x', k % 4) || repeat(' ', k % 3)", 'last_distinct_n(3) bpchar[]' ],
	[ 'top_n', 'interval', '{"n": 3}', "k * interval '10 h'", 'top_n(2) interval[]' ],
	[ 'bottom_n', 'bytea', '{"n": 3}', "decode(repeat('ab', k % 9), 'hex')", 'bottom_n(3) bytea[]' ],
	[ 'count_distinct', 'timestamptz', '{"bound": 5}', "timestamptz '2024-01-01 00:00Z' + k % 7 * interval '1 day'", 'count_distinct bigint', 'histogram jsonb' ],
	[ 'histogram', 'numeric', '{}', 'round(k / 7.0, k % 4)', 'count_distinct bigint', 'histogram jsonb' ],
	[ 'approx_count_distinct', 'uuid', '{"relative_error": 0.3}', 'md5(k::text)', 'approx_count_distinct bigint' ],
	[ 'approx_count_distinct', 'date', '{"relative_error": 0.1}', "date '2024-01-01' + k", 'approx_count_distinct bigint' ],
	[ 'approx_percentile', 'float8', '{"percentile": 0.5}', 'k / 7.0 - 1', 'approx_percentile(0.9) float8' ],
	[ 'approx_percentile', 'numeric', '{"percentile": 0.5}', 'k / 7.0 - 1', 'approx_percentile(0.9) numeric' ],
);
my $windows = '{rolling 1h hop 1m,tumbling 1d,lifetime}';

# Puts the bytes of changed states through the binary input, which is that of COPY, and uses what comes out of it.
my $setup = <<'SETUP';
CREATE EXTENSION featurestore;
SET search_path = public, featurestore;
CREATE TABLE original (kind int PRIMARY KEY, w window_state, a agg_state);
CREATE TABLE changed_w (state window_state);
CREATE TABLE changed_a (state agg_state);
CREATE TABLE outcome (kind int, what text, n bigint);
CREATE PROCEDURE try_all(kind int, directory text, type text, number int, use text, evaluation text) LANGUAGE plpgsql SET search_path = public, featurestore AS $$
DECLARE
	refused int := 0;
	elsewhere int := 0;
	taken int := 0;
	changed int := 0;
	result record;
BEGIN
	FOR i IN 1..number LOOP
		BEGIN
			EXECUTE format('COPY changed_%s FROM %L (FORMAT binary)', type, directory || '/' || i);
		EXCEPTION WHEN OTHERS THEN
			-- what a user can cause, and no server is alarmed by
			IF SQLSTATE !~ '^(22|42|0A|54)' THEN
				RAISE;
			END IF;
			refused := refused + 1;
			CONTINUE;
		END;
		taken := taken + 1;
		BEGIN
			EXECUTE use INTO result;
			IF NOT result.is_same THEN
				changed := changed + 1;
			END IF;
			-- it may be one of another function or with other windows
			EXECUTE replace(evaluation, 'KIND', kind::text);
		EXCEPTION WHEN invalid_parameter_value OR datatype_mismatch OR program_limit_exceeded THEN
			elsewhere := elsewhere + 1;
		END;
		EXECUTE format('DELETE FROM changed_%s', type);
	END LOOP;
	INSERT INTO outcome VALUES (kind, 'refused ' || type, refused), (kind, 'taken ' || type, taken), (kind, 'of another kind ' || type, elsewhere), (kind, 'not the same when sent ' || type, changed);
END
$$;
SETUP

# A COPY file of one row of one column.
sub write_file
{
	my ($name, $bytes) = @_;
	open(my $file, '>:raw', $name) or die "$name: $!";
	print $file "PGCOPY\n\xff\r\n\0", pack('NN', 0, 0), pack('nN', 1, length $bytes), $bytes, pack('n', 0xffff);
	close $file;
}

# Changes of bytes: each cut off, and each with some of its bits flipped or replaced.  Every step-th of them.
sub changes
{
	my ($bytes, $step) = @_;
	my @changes;
	my $i = 0;
	foreach my $at (0 .. length($bytes) - 1)
	{
		push @changes, substr($bytes, 0, $at) if $i++ % $step == 0;
		foreach my $mask (0x01, 0x02, 0x10, 0x40, 0x80, 0xff)
		{
			next if $i++ % $step != 0;
			my $copy = $bytes;
			substr($copy, $at, 1) = chr(ord(substr($bytes, $at, 1)) ^ $mask);
			push @changes, $copy;
		}
		# a byte more, and one less
		push @changes, substr($bytes, 0, $at) . "\0" . substr($bytes, $at) if $i++ % $step == 0;
		push @changes, substr($bytes, 0, $at) . substr($bytes, $at + 1) if $i++ % $step == 0;
	}
	return @changes;
}

# Two statements that use the state that was taken: as any can be, and as those can that are of the kind of the original.
sub evaluation
{
	my ($type, @calls) = @_;
	my $original = "(SELECT $type FROM original WHERE kind = KIND)";
	my @values = $type eq 'a' ?
		map { my ($call, $result) = split ' '; "agg_value(state, '$call', NULL::$result)::text" } @calls :
		map { my ($call, $result) = split ' ';
			map { "window_value(state, '$call', '$_', '2024-03-01 12:00Z', NULL::$result)::text, window_value(state, '$call', '$_', '2124-03-01 12:00Z', NULL::$result)::text" }
				('rolling 1h hop 1m', 'lifetime') } @calls;
	my $send = $type eq 'a' ? '_agg_state_send' : '_window_state_send';
	my $kind = $type eq 'a' ? 'agg_state' : 'window_state';
	return ("SELECT $send(state) = $send(state::text::$kind) AND $send(coalesce((state + state) - state, state)) IS NOT NULL AS is_same, " .
			"describe(state), (SELECT rollup(s) FROM unnest(ARRAY[state, state, state]) AS s), state - state FROM changed_$type",
		join(', ', "SELECT $values[0]", @values[1 .. $#values], "state + $original", "$original - state") . " FROM changed_$type");
}

sub fuzz
{
	my ($node, $label, $step) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir();
	my $number = 0;
	my $script = '';

	foreach my $kind (0 .. $#kinds)
	{
		my ($maker, $input, $params, $value, @calls) = @{ $kinds[$kind] };
		my $arguments = join(', ', "'$maker'", defined $input ? "'$input'" : 'NULL');
		my $v = defined $value ? ", ($value)::$input" : '';
		# some at one time, some alone, some in an hour that is long gone
		$node->safe_psql('postgres', <<"END");
SET search_path = public, featurestore;
INSERT INTO original SELECT $kind, accumulate(window_state($arguments, '$windows', '$params'), '2024-03-01 12:00Z'::timestamptz -
		CASE WHEN k < 5 THEN interval '1 s' WHEN k < 8 THEN k * interval '33.3 min' ELSE interval '5 days' - k * interval '11 s' END$v), accumulate(agg_state($arguments, '$params'), 'epoch'$v)
	FROM generate_series(1, 24) AS k;
END
		foreach my $type ('w', 'a')
		{
			my $send = $type eq 'a' ? '_agg_state_send' : '_window_state_send';
			my $hex = $node->safe_psql('postgres', "SELECT encode(featurestore.$send($type), 'hex') FROM original WHERE kind = $kind");
			my @changes = changes(pack('H*', $hex), $step);
			mkdir "$directory/$type$kind";
			my $n = 0;
			write_file("$directory/$type$kind/" . ++$n, $_) foreach (pack('H*', $hex), @changes);
			$number += $n;
			my ($use, $evaluation) = map { s/'/''/gr } evaluation($type, @calls);
			$script .= "CALL try_all($kind, '$directory/$type$kind', '$type', $n, '$use', '$evaluation');\n";
		}
	}
	my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 1);
	is($status, 0, "$label: $number states") or diag($err);
	is($node->safe_psql('postgres', q{SELECT kind, what, n FROM outcome WHERE what LIKE 'not the same%' AND n > 0 ORDER BY 1, 2}), '', "$label: what is taken is written as it is read");
	is($node->safe_psql('postgres', q{SELECT count(DISTINCT kind) FROM outcome WHERE what LIKE 'taken%' AND n > 0}), scalar(@kinds), "$label: of each kind some are taken");
	note($node->safe_psql('postgres', 'SELECT what, sum(n) FROM outcome GROUP BY what ORDER BY what'));
}

my $node = PostgreSQL::Test::Cluster->new('plain');
$node->init;
$node->append_conf('postgresql.conf', "log_min_messages = fatal\nautovacuum = off\nfsync = off");
$node->start;
$node->safe_psql('postgres', $setup);
fuzz($node, 'plain', 1);
ok(!$node->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed');
$node->stop;

SKIP:
{
	skip 'valgrind is not installed', 1 if system('valgrind --version > /dev/null 2>&1') != 0;

	my $slow = PostgreSQL::Test::Cluster->new('valgrind');
	$slow->init;
	$slow->append_conf('postgresql.conf', "log_min_messages = fatal\nautovacuum = off\nfsync = off");

	# As pg_ctl would start it, but for the program
	my $log = $slow->basedir . '/valgrind.log';
	my $server = IPC::Run::start([ 'valgrind', '--quiet', "--log-file=$log", 'postgres', '-D', $slow->data_dir ],
		'<', \'', '>&', $slow->logfile);
	for (my $i = 0; $i < 180; $i++)
	{
		last if system('pg_isready', '-q', '-h', $slow->host, '-p', $slow->port) == 0;
		sleep 1;
	}
	$slow->safe_psql('postgres', $setup);
	fuzz($slow, 'valgrind', 97);
	$slow->command_ok([ 'pg_ctl', '-D', $slow->data_dir, '-m', 'fast', 'stop' ], 'valgrind: the server stops');
	$server->finish;
	ok(!$slow->log_contains('TRAP:|PANIC|terminated by signal'), 'valgrind: nothing crashed');

	# The server's own start-up has a known report; ours would name the library
	my @ours = grep { /featurestore\.so/ } split /\n(?===\d+== \n|$)/, slurp_file($log);
	is(scalar(@ours), 0, 'valgrind: no report with our code in it') or diag(join("\n", @ours));
}

done_testing();
