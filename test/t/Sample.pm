# What tests of dumps and upgrades ask of the database that sample.sql makes.
package Sample;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

# Roles are not in a dump of a database.
sub make_roles
{
	$_[0]->safe_psql('postgres', 'CREATE ROLE feature_owner; CREATE ROLE feature_reader');
}

sub make
{
	my ($node, $database) = @_;
	$node->safe_psql($database, slurp_file('test/t/sample.sql'));
}

# Definitions, as text; positions are not among them.
my %definitions = (
	'specs' => 'SELECT * FROM featurestore.spec ORDER BY relation::text',
	'online tables' => 'SELECT * FROM featurestore.online_table ORDER BY relation::text',
	'publications' => 'SELECT * FROM featurestore.publication ORDER BY relation::text',
	'views of specs' => q{SELECT s.relation, pg_get_viewdef(s.relation), obj_description(s.relation, 'pg_class'), rolname, relacl
		FROM featurestore.spec s JOIN pg_class c ON c.oid = s.relation JOIN pg_roles r ON r.oid = c.relowner ORDER BY s.relation::text},
	'functions of specs' => q{SELECT p.oid::regprocedure, pg_get_functiondef(p.oid), proacl, rolname
		FROM featurestore.spec s JOIN pg_class c ON c.oid = s.relation JOIN pg_proc p ON p.pronamespace = c.relnamespace
			AND p.proname = ANY (ARRAY[relname, relname || '_batch', relname || '_vectors', relname || '_matrix'])
		JOIN pg_roles r ON r.oid = p.proowner ORDER BY p.oid::regprocedure::text},
	'features' => 'SELECT * FROM featurestore.features ORDER BY feature::text',
	'views of features' => 'SELECT feature, pg_get_viewdef(feature) FROM featurestore.features ORDER BY feature::text',
	'window tables' => 'SELECT *, pg_get_viewdef(values_view) FROM featurestore.window_table ORDER BY relation::text',
	'feature_specs' => 'SELECT * FROM featurestore.feature_specs ORDER BY spec::text',
	'feature_tables' => 'SELECT * FROM featurestore.feature_tables ORDER BY table_name::text',
);

# Lookups that do not depend on positions, in both paths.
my @lookups = (
	[ 'rows', q{SELECT * FROM rec.whole_batch('{1,50,95,200}', '{happy,sad,ok,NULL}', '{1,2,3,NULL}', '2024-01-06 12:00Z')} ],
	[ 'one row', q{SELECT * FROM rec.whole(7, 'ok', 10, '2024-01-03 12:00Z')} ],
	[ 'json', q{SELECT j - '{snapshot,system_identifier}'::text[] FROM featurestore.feature_lookup_json('rec.whole', '{"user_id": [1, 200], "mood": "sad", "size": 5}', '2024-01-07 00:00Z', true) AS j} ],
	[ 'odd rows', q{SELECT * FROM "Odd ""Schema"."The Spec_batch"('{1,50,2000}', '2024-01-02 12:00Z')} ],
	[ 'paths', q{SELECT item, relation, path, reason, keys, found FROM featurestore.explain_lookup('"Odd ""Schema"."The Spec"', '{"k": [1, 2]}')} ],
);
my @published = (q{SELECT id, label, amount, amount_status, code, code_status, never, never_status FROM rec.published_batch('{1,2,200}', '{l45,l3,l50}')});

# Features of ids that have events, and of one that has none; offline rows.
my $windows = q{SELECT * FROM rec.windowed_batch('{1,2,200}', '2024-01-01 04:00Z')};
my $closed = q{SELECT count(*), sum(daily) FROM "Odd ""Schema".closed};
my $windows_ready = "1|6|PRESENT|0|PRESENT|{odd!}|PRESENT\n2|12|PRESENT|0|PRESENT|{even!}|PRESENT\n200||NOT_FOUND|0|NOT_FOUND|{none}|NOT_FOUND";

sub check_windows
{
	my ($node, $database, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($node->safe_psql($database, $windows), $windows_ready, "$what: features");
	is($node->safe_psql($database, $closed), '100|300', "$what: offline rows of features");
}

sub definitions
{
	my ($node, $database) = @_;
	return { map { $_ => $node->safe_psql($database, $definitions{$_}) } keys %definitions };
}

sub lookups
{
	my ($node, $database) = @_;
	my %results;
	foreach my $path ('on', 'off')
	{
		$results{"$_->[0], direct path $path"} =
			$node->safe_psql($database, "SET timezone = 'UTC'; SET featurestore.enable_direct_lookup = $path; $_->[1]")
			foreach @lookups;
	}
	delete $results{'paths, direct path off'};
	return \%results;
}

sub published
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, $published[0]);
}

# In the copy all is as it was, but publications start again.
sub check_copy
{
	my ($node, $database, $definitions, $lookups, $published, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	my $now = definitions($node, $database);
	is($now->{$_}, $definitions->{$_}, "$what: $_ are the same") foreach sort keys %$definitions;
	$now = lookups($node, $database);
	is($now->{$_}, $lookups->{$_}, "$what: $_ is the same") foreach sort keys %$lookups;

	is(published($node, $database), "1|l45||NOT_READY|-7|NOT_READY||NOT_READY\n2|l3||NOT_READY|-7|NOT_READY||NOT_READY\n200|l50||NOT_READY|-7|NOT_READY||NOT_READY",
		"$what: published tables are not ready");
	unlike($node->safe_psql($database, $windows), qr/PRESENT|NOT_FOUND/, "$what: nor are features");
	is($node->safe_psql($database, 'SELECT count(*) FROM rec.windows_values WHERE spent_v1 IS NOT NULL OR daily IS NOT NULL'), '0', "$what: nor does their view show any");
	is($node->safe_psql($database, 'SELECT count(*), count(*) FILTER (WHERE is_ready), count(applied_to) FROM featurestore.publications'), '4|0|0',
		"$what: and the view says so");
	is($node->safe_psql($database, "SELECT count(*) > 0 FROM rec.some"), 't', "$what: though their rows are there");
	my ($status, $out, $err) = $node->psql($database, q{SET ROLE feature_owner; SELECT featurestore.publish_table('lib.codes', 'rec.some', filter => 'code > 40 AND label IS NOT NULL', features => '{code}')});
	is($status, 0, "$what: published again, a sync is made") or diag($err);
	like($err, qr/NOTICE: .*published already/, "$what: of the same publication");
	$node->safe_psql($database, q{SET ROLE feature_owner; CALL featurestore.sync('"Odd ""Schema".newest')});
	is(published($node, $database), $published, "$what: after a sync lookups are as before");
	is($node->safe_psql($database, 'SELECT count(*) FILTER (WHERE is_ready) FROM featurestore.publications'), '2', "$what: and the view says so");
	my $states = $node->safe_psql($database, 'SELECT md5(string_agg(w::text, E\'\\n\' ORDER BY id)) FROM rec.windows AS w');
	$node->safe_psql($database, q{SET ROLE feature_owner; CALL featurestore.sync('rec.windows')});
	check_windows($node, $database, "$what, after a sync");
	is($node->safe_psql($database, 'SELECT md5(string_agg(w::text, E\'\\n\' ORDER BY id)) FROM rec.windows AS w'), $states, "$what: states had been copied as they were");
	is($node->safe_psql($database, q{SELECT rows_changed FROM featurestore.publications WHERE online_table = 'rec.windows'::regclass}), '0', "$what: the sync had nothing to write");

	# Specs can be worked on
	$node->safe_psql($database, q{SET ROLE feature_owner; ALTER TABLE rec.second_name RENAME COLUMN number TO n2});
	is(lookups($node, $database)->{'rows, direct path on'}, $lookups->{'rows, direct path on'}, "$what: columns can be renamed");
	($status, $out, $err) = $node->psql($database, 'SET ROLE feature_owner; DROP TABLE rec.second_name');
	like($err, qr/other objects depend on it/, "$what: tables of a spec are held");
	$node->safe_psql($database, q{SET ROLE feature_owner; SELECT featurestore.create_feature_spec('rec.whole', replace => true, items => ARRAY[
		featurestore.lookup('rec.second_name', '{User=user_id}')])});
	is($node->safe_psql($database, q{SELECT * FROM rec.whole(1, '2024-01-03 12:00Z')}), '1|2', "$what: specs can be replaced");
	$node->safe_psql($database, q{SET ROLE feature_owner; SELECT featurestore.drop_feature_spec('rec.whole'); DROP TABLE rec.second_name CASCADE});
	is($node->safe_psql($database, q{SELECT count(*) FROM featurestore.spec}), '2', "$what: and dropped, with what they read");
	$node->safe_psql($database, 'DROP EXTENSION featurestore CASCADE');
}

# Columns of user tables that pg_upgrade refuses, also within other types.
sub refused_columns
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, <<'END');
WITH RECURSIVE refused(type) AS (
	SELECT oid FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace
		AND typname IN ('regproc', 'regprocedure', 'regoper', 'regoperator', 'regconfig', 'regdictionary', 'regnamespace', 'regcollation')
	UNION
	SELECT t.oid FROM refused JOIN pg_type t ON t.typbasetype = type OR t.typelem = type
		OR t.oid IN (SELECT r.rngtypid FROM pg_range r WHERE r.rngsubtype = type)
		OR t.typrelid IN (SELECT a.attrelid FROM pg_attribute a WHERE a.atttypid = type AND NOT a.attisdropped)
)
SELECT attrelid::regclass, attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE atttypid IN (SELECT type FROM refused) AND NOT attisdropped AND relkind IN ('r', 'm', 'i')
	AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
END
}

1;
