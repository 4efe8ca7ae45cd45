# Served equals trained.  A week of a real shop is replayed, an invoice a
# transaction, and what lookups give is kept as they give it: at 2,000 times of a
# customer and a product, the first events of each among them.  Training rows of
# the same moments must be the same bytes, and each output counts:
#
#	live	SYNCHRONOUS publications: of all events in the end.  Then a part of
#			the events arrives late: with known_at, of those known then
#	later	TRIGGERED ones, applied now and then: of the events that had been
#			applied, as the position of the lookup says
#	stream	a CONTINUOUS one, applied by a worker at times of its own: the same
#
# FS_TRAINING_SEED repeats a choice of moments.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Retail;
use Test::More;

my $seed = $ENV{FS_TRAINING_SEED} // int(rand(1_000_000));
note "seed $seed";

my $node = Retail::start('served');
$node->append_conf('postgresql.conf', "track_commit_timestamp = on\nfeaturestore.autostart_worker = on\nmax_worker_processes = 16\nlog_min_messages = error");
$node->restart;

# What arrives: an invoice is a transaction, minutes are when they are
$node->safe_psql('postgres', <<'END');
CREATE SCHEMA live;
CREATE SCHEMA later;
CREATE SCHEMA stream;
CREATE TABLE shop.sale (customer_id int, stock_code text COLLATE "C", at timestamptz, quantity int, amount numeric, rough float8);
CREATE INDEX ON shop.sale (customer_id, at);
CREATE INDEX ON shop.sale (stock_code, at);
CREATE TABLE shop.price (stock_code text COLLATE "C", at timestamptz, price numeric, description text, PRIMARY KEY (stock_code, at));
CREATE TABLE shop.customer (customer_id int PRIMARY KEY, country text, lines bigint, spent numeric, last_invoice text);

CREATE TABLE shop.arrival AS
	SELECT dense_rank() OVER (ORDER BY at, invoice) AS n, at, invoice, customer::int AS customer_id, stock_code COLLATE "C" AS stock_code, quantity, quantity * price AS amount,
		CASE WHEN price = 0 THEN -0.0 ELSE quantity * price::float8 / 7 END AS rough, price, description, country
	FROM shop.line WHERE at < '2010-12-10';
CREATE INDEX ON shop.arrival (n);
CREATE TABLE shop.invoice AS SELECT n, min(at) AS at, min(invoice) AS invoice, at >= '2010-12-08' AND min(customer_id) % 10 = 0 AS is_late FROM shop.arrival GROUP BY n, at;
CREATE INDEX ON shop.invoice (at);
ANALYZE shop.arrival, shop.invoice;
END

# Every function; windows of every kind
my @functions = (
	[ 'count' ], [ 'sum', 'amount' ], [ 'avg', 'amount' ], [ 'min', 'amount' ], [ 'max', 'rough' ], [ 'sum', 'rough' ], [ 'avg', 'rough' ],
	[ 'first', 'quantity' ], [ 'last', 'amount' ], [ 'stddev_pop', 'quantity' ], [ 'stddev_samp', 'rough' ], [ 'var_pop', 'amount' ], [ 'var_samp', 'quantity' ],
	[ 'skew', 'amount' ], [ 'kurtosis', 'rough' ], [ 'first_n', 'amount', 'n', 3 ], [ 'last_n', 'rough', 'n', 4 ],
	[ 'first_distinct_n', 'OTHER', 'n', 2 ], [ 'last_distinct_n', 'OTHER', 'n', 3 ], [ 'top_n', 'amount', 'n', 3 ], [ 'bottom_n', 'rough', 'n', 2 ],
	[ 'count_distinct', 'OTHER' ], [ 'count_distinct', 'OTHER', 'bound', 8 ], [ 'approx_count_distinct', 'OTHER' ], [ 'approx_percentile', 'amount', 'percentile', 0.5 ], [ 'histogram', 'quantity' ]);
my $windows = '{rolling 1h,rolling 6h hop 0,rolling 3d,rolling 1d hop 1h delay 1h,sliding 2d slide 12h offset 3h,tumbling 1d,sawtooth 12h,lifetime}';
my $few_windows = '{rolling 3h,sawtooth 2d,lifetime}';

sub aggregations
{
	my ($entity, $other, @of) = @_;
	return join ', ', map {
		my ($function, $input, $param, $value) = @{ $functions[$_] };
		$input =~ s/OTHER/$other/ if $input;
		qq({"name": "$entity$_", "function": "$function") . ($input ? qq(, "input": "$input") : '') . ($param ? qq(, "params": {"$param": $value}) : '') . '}'
	} @of;
}

# Sources published to a schema, and specs over that; what has history is in the spec "known" alone
sub make_store
{
	my ($schema, $mode) = @_;
	my $customer = aggregations('c', 'stock_code', 0 .. $#functions);
	my $product = aggregations('p', 'customer_id', 0 .. $#functions);
	my $names = "ARRAY(SELECT featurestore._relation_name(feature) FROM featurestore.features WHERE featurestore._relation_name(feature) ~ '^$schema\\.%s' ORDER BY 1)";
	my ($of_customer, $of_product) = map { sprintf $names, $_ } 'c\d', 'p\d';

	$node->safe_psql('postgres', <<"END");
SET search_path = $schema, public;
SELECT count(*) FROM featurestore.register_features('shop.sale', '{customer_id}', 'at', '[$customer]', '$windows');
SELECT count(*) FROM featurestore.register_features('shop.sale', '{stock_code}', 'at', '[$product]', '$few_windows', filter => 'quantity <> 1');
SELECT featurestore.register_feature('last_code', 'shop.sale', '{customer_id}', 'at', 'last', 'stock_code', 'rolling 2d');
SELECT featurestore.materialize_features($of_customer || '$schema.last_code'::text, 'customer_state', publish_mode => '$mode');
SELECT featurestore.materialize_features($of_product, 'product_state', publish_mode => '$mode');
SELECT featurestore.publish_table('shop.price', 'price', '$mode', timeseries_column => 'at', filter => 'price > 0');
SELECT featurestore.publish_table('shop.customer', 'customer', '$mode', history => true);
CREATE FUNCTION per_hour(spent numeric, hour int) RETURNS numeric IMMUTABLE LANGUAGE sql AS 'SELECT round(spent / nullif(hour, 0), 6)';
SELECT featurestore.create_feature_spec('model', ARRAY[
	featurestore.feature($of_customer, default_values => '{"c1_rolling_1h": "0.00", "c15_lifetime": [-1], "c25_rolling_3d": {}}'),
	featurestore.feature($of_product),
	featurestore.lookup('price', '{stock_code}', '{at,price,description}', rename_outputs => '{"at": "price_at"}', default_values => '{"price": 0.0, "description": "unknown"}', max_age => '30 hours'),
	featurestore.feature('{$schema.last_code}'),
	featurestore.lookup('price', '{stock_code=last_code}', '{price}', '{"price": "last_price"}'),
	featurestore.request_field('hour', 'int'),
	featurestore.expression('c1_lifetime / nullif(c0_rolling_3d, 0) - price', 'ratio'),
	featurestore.expression('as_of - price_at', 'price_age'),
	featurestore.feature_function('per_hour(numeric, int)', '{"spent": "c1_lifetime", "hour": "hour"}', 'spent_per_hour')]);
SELECT featurestore.create_feature_spec('known', ARRAY[
	featurestore.feature('{$schema.c1_rolling_3d,$schema.c0_lifetime,$schema.last_code}'),
	featurestore.lookup('customer', '{customer_id}', default_values => '{"spent": -1, "country": "nowhere"}'),
	featurestore.lookup('price', '{stock_code}'),
	featurestore.expression('spent / nullif(c0_lifetime, 0)', 'per_line')]);
SELECT featurestore.create_feature_spec('status', ARRAY[
	featurestore.feature('{$schema.c1_rolling_1h,$schema.c1_rolling_3d,$schema.c22_lifetime,$schema.p1_lifetime}', default_values => '{"c1_rolling_3d": 0}'),
	featurestore.lookup('price', '{stock_code}', default_values => '{"price": 0.0}', max_age => '10 hours')], with_status => true);
END
}
make_store('live', 'SYNCHRONOUS');
make_store('later', 'TRIGGERED');
my $streamed = aggregations('c', 'stock_code', 1, 5, 8, 13, 18, 22, 25);
$node->safe_psql('postgres', <<"END");
SET search_path = stream, public;
SELECT count(*) FROM featurestore.register_features('shop.sale', '{customer_id}', 'at', '[$streamed]', '$few_windows');
SELECT featurestore.materialize_features(ARRAY(SELECT feature::text FROM featurestore.features WHERE state_column IS NULL AND feature::text ~ '^c\\d' ORDER BY 1), 'state', publish_mode => 'CONTINUOUS');
SELECT featurestore.create_feature_spec('model', ARRAY[featurestore.feature(ARRAY(SELECT feature::text FROM featurestore.features WHERE online_table = 'state'::regclass ORDER BY 1))]);
END

# The moments: where customers and products are first seen, when something happens to them, and at any time; some are nobody
$node->safe_psql('postgres', <<"END");
SELECT setseed($seed / 1000000.0);
CREATE TABLE shop.moment (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t timestamptz, customer_id int, stock_code text COLLATE "C", hour int, kind text);
INSERT INTO shop.moment (t, customer_id, stock_code, kind)
	SELECT at, customer_id, stock_code, 'first of a customer' FROM (SELECT DISTINCT ON (customer_id) * FROM shop.arrival WHERE customer_id IS NOT NULL ORDER BY customer_id, at) AS a
	UNION ALL (SELECT at, customer_id, stock_code, 'first of a product' FROM (SELECT DISTINCT ON (stock_code) * FROM shop.arrival ORDER BY stock_code, at) AS a ORDER BY random() LIMIT 500)
	UNION ALL (SELECT at, customer_id, stock_code, 'an event' FROM shop.arrival ORDER BY random() LIMIT 600);
INSERT INTO shop.moment (t, customer_id, stock_code, kind)
	SELECT date_bin('1 us', CASE WHEN r < 0.5 THEN '2010-12-01 08:00Z'::timestamptz + (random() * 203.5) * interval '1 h' ELSE a.at + (ARRAY['1 us', '1 h', '6 h', '1 day', '1 h 1 us', '5 min'])[1 + trunc(random() * 6)::int]::interval END, '2010-01-01'),
		CASE WHEN random() < 0.9 THEN a.customer_id WHEN random() < 0.5 THEN 1 END, CASE WHEN random() < 0.5 THEN a.stock_code WHEN random() < 0.9 THEN b.stock_code WHEN random() < 0.5 THEN 'none' END, 'any time'
	FROM (SELECT *, random() AS r, row_number() OVER (ORDER BY random()) AS k FROM shop.arrival WHERE customer_id IS NOT NULL) AS a
	JOIN (SELECT stock_code, row_number() OVER (ORDER BY random()) AS k FROM shop.arrival) AS b USING (k)
	WHERE k <= greatest(2000 - (SELECT count(*) FROM shop.moment), 900);
DELETE FROM shop.moment WHERE t >= '2010-12-10';
UPDATE shop.moment SET hour = nullif(trunc(random() * 25)::int, 24);
CREATE INDEX ON shop.moment (t);

CREATE TABLE shop.live (n int, is_before boolean, clock timestamptz, model live.model, known live.known, status live.status);
-- with what a client would log: how far each table is, texts of all outputs
CREATE TABLE shop.later (n int, clock timestamptz, tables jsonb, texts jsonb);
CREATE TABLE shop.stream (n int, clock timestamptz, tables jsonb, texts jsonb);
END

# What lookups give at the moments from one time to before another, after a transaction that ended at clock
$node->safe_psql('postgres', <<'END');
CREATE PROCEDURE shop.serve(since timestamptz, until timestamptz, is_before boolean) LANGUAGE plpgsql AS $$
DECLARE
	clock timestamptz := clock_timestamp();
	m shop.moment;
BEGIN
	FOR m IN SELECT * FROM shop.moment WHERE t >= since AND t < until ORDER BY t LOOP
		INSERT INTO shop.live VALUES (m.n, is_before, clock, live.model(customer_id => m.customer_id, stock_code => m.stock_code, hour => m.hour, as_of => m.t),
			live.known(customer_id => m.customer_id, stock_code => m.stock_code, as_of => clock), live.status(customer_id => m.customer_id, stock_code => m.stock_code, as_of => m.t));
		CONTINUE WHEN is_before;
		INSERT INTO shop.later SELECT m.n, clock, j -> 'tables', j -> 'texts'
			FROM featurestore.feature_lookup_json('later.model', to_jsonb(m) - '{n,t,kind}'::text[], m.t, true) AS j;
		-- the worker may be about to apply
		IF m.n % 4 = 0 THEN
			INSERT INTO shop.stream SELECT m.n, clock, j -> 'tables', j -> 'texts'
				FROM featurestore.feature_lookup_json('stream.model', jsonb_build_object('customer_id', m.customer_id), m.t, true) AS j;
		END IF;
	END LOOP;
	COMMIT;
END $$;
CREATE PROCEDURE shop.buy(invoices bigint[]) LANGUAGE plpgsql AS $$
DECLARE
	i bigint;
BEGIN
	FOREACH i IN ARRAY invoices LOOP
		INSERT INTO shop.sale SELECT customer_id, stock_code, at, quantity, amount, rough FROM shop.arrival WHERE n = i;
		INSERT INTO shop.price SELECT DISTINCT ON (stock_code) stock_code, at, price, description FROM shop.arrival WHERE n = i ORDER BY stock_code, price DESC, description ON CONFLICT DO NOTHING;
		INSERT INTO shop.customer AS c SELECT customer_id, min(country), count(*), sum(amount), min(invoice) FROM shop.arrival WHERE n = i AND customer_id IS NOT NULL GROUP BY 1
			ON CONFLICT (customer_id) DO UPDATE SET lines = c.lines + excluded.lines, spent = c.spent + excluded.spent, last_invoice = excluded.last_invoice;
		DELETE FROM shop.customer WHERE customer_id % 100 = i % 100;
		COMMIT;
	END LOOP;
END $$;
-- What is late comes three hours after it happened
CREATE PROCEDURE shop.replay(since timestamptz, until timestamptz) LANGUAGE plpgsql AS $$
DECLARE
	instant record;
	step int := 0;
BEGIN
	FOR instant IN SELECT at, array_agg(n ORDER BY n) AS invoices, lead(at, 1, until) OVER (ORDER BY at) AS next
		FROM (SELECT n, at + CASE WHEN is_late THEN interval '3 h' ELSE '0' END AS at FROM shop.invoice WHERE invoice.at >= since AND invoice.at < until) AS i
		GROUP BY at ORDER BY at LOOP
		-- of what happens at an instant windows have nothing then: before as after it
		CALL shop.serve(instant.at, instant.at + interval '1 us', true);
		CALL shop.buy(instant.invoices);
		step := step + 1;
		IF step % 16 = 0 THEN
			CALL featurestore.sync('later.customer_state');
			CALL featurestore.sync('later.product_state');
			CALL featurestore.sync('later.price');
			CALL featurestore.sync('later.customer');
		END IF;
		CALL shop.serve(instant.at, instant.next, false);
	END LOOP;
END $$;
END
my $started = time;
$node->safe_psql('postgres', "CALL shop.replay('2010-12-01', '2010-12-08')");
note 'replayed in ', time - $started, ' s';
note $node->safe_psql('postgres', 'SELECT kind, count(*) FROM shop.moment JOIN shop.live USING (n) WHERE NOT is_before GROUP BY 1');
is($node->safe_psql('postgres', <<'END'), 't|t|t|t|t', 'moments were served, customers and products when they were first seen among them');
SELECT (SELECT count(*) FILTER (WHERE NOT is_before) >= 2000 FROM shop.live), (SELECT count(*) FILTER (WHERE is_before) > 700 FROM shop.live), (SELECT count(*) > 1400 FROM shop.later), (SELECT count(*) > 300 FROM shop.stream),
	NOT EXISTS (SELECT FROM shop.arrival AS a WHERE at < '2010-12-08' AND NOT EXISTS (SELECT FROM shop.moment JOIN shop.live USING (n) WHERE customer_id = a.customer_id AND t <= a.at) AND customer_id IS NOT NULL)
END

# Labels of what was served from one time on; what is given to training sets
sub labels
{
	my ($since, $more) = @_;
	return "SELECT m.* $more FROM shop.moment AS m JOIN shop.live AS l USING (n) WHERE NOT l.is_before AND t >= '$since' ORDER BY n";
}

# Compares a column of shop.live with a training set: columns of the spec that match, in rows where a condition holds
sub compare
{
	my ($trained, $column, $where, $match) = @_;
	my $columns = $node->safe_psql('postgres', "SELECT string_agg(format('%I', attname), ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'live.$column'::regclass AND attnum > 0 AND attname ~ '$match'");
	my @columns = split / /, $columns;
	my $row = sub { my $of = shift; 'ROW(' . join(', ', map { "$of.$_" } @columns) . ')::record' };
	my ($trained_row, $served_row) = ($row->('tr'), $row->("(l.$column)"));

	note scalar(@columns), " columns of $trained";
	my $result = $node->safe_psql('postgres', <<"END");
ANALYZE $trained;
SELECT count(*) > 0, count(*) FILTER (WHERE NOT coalesce($trained_row *= $served_row, false)) FROM shop.live AS l LEFT JOIN $trained AS tr USING (n) LEFT JOIN shop.moment AS m USING (n) WHERE $where
END
	return $result if $result =~ /\|0$/;
	return "$result\n" . $node->safe_psql('postgres', <<"END");
SELECT format('moment %s: %s trained %s, served %s', n, a.key, a.value, b.value)
FROM (SELECT n, to_jsonb(tr) AS trained, to_jsonb(l.$column) AS served FROM shop.live AS l LEFT JOIN $trained AS tr USING (n) LEFT JOIN shop.moment AS m USING (n)
	  WHERE ($where) AND NOT coalesce($trained_row *= $served_row, false) ORDER BY n LIMIT 3) AS d,
	jsonb_each_text(trained) AS a JOIN LATERAL jsonb_each_text(served) AS b ON b.key = a.key WHERE a.value IS DISTINCT FROM b.value AND a.key ~ '$match' LIMIT 20
END
}

# In the order in which they happen, all events are those that counted
my $classes = 'SELECT string_agg(DISTINCT point_in_time, \',\'), sum(not_covered) FROM featurestore.create_training_set';
is($node->safe_psql('postgres', "$classes('live.trained', \$\$@{[ labels('2010-12-01', '') ]}\$\$, 'live.model', 't')"), 'EXACT|0', 'all outputs are exact');
is(compare('live.trained', 'model', 'NOT is_before', '.'), 't|0', 'SYNCHRONOUS: served equals trained');
is(compare('live.trained', 'model', 'is_before', '^[cp][0-9]|last_code|spent_per_hour'), 't|0', 'and just before the event of a label is there');
is($node->safe_psql('postgres', "$classes('live.status_trained', \$\$@{[ labels('2010-12-01', '') ]}\$\$, 'live.status', 't')"), 'EXACT|0', 'a spec with statuses');
# an event that a lookup must not count tells it that there is the entity: until then nobody is found
is(compare('live.status_trained', 'status', 'is_before', '^[cp][0-9]'), 't|0', 'statuses are the same');
is(compare('live.status_trained', 'status', 'NOT is_before', '^(price|description)|^[cp][0-9].*(lifetime|_1h|_3d)$'), 't|0', 'and of what is looked up');

# What was applied at the position of a lookup is trained with what is visible in it.  All tables of a run have the
# same changes: there were none meanwhile.
sub compare_positions
{
	my ($schema, $table) = @_;
	$node->safe_psql('postgres', "DROP TABLE IF EXISTS $schema.trained; SELECT featurestore.create_training_set('$schema.trained', 'SELECT m.* FROM shop.moment AS m JOIN shop.$schema USING (n) WHERE false', '$schema.model', 't')");
	my $columns = $node->safe_psql('postgres', "SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '$schema.trained'::regclass AND attnum > 0");
	my @outputs = split / /, $node->safe_psql('postgres', "SELECT string_agg(key, ' ') FROM (SELECT jsonb_object_keys(texts) AS key FROM (SELECT texts FROM shop.$schema LIMIT 1) AS s) AS k");
	my ($names, $values) = (join(',', @outputs), join(', ', map { "t.$_\::text" } @outputs));

	note scalar(@outputs), " outputs of $schema.model, positions: ", $node->safe_psql('postgres', "SELECT count(DISTINCT tables -> '$table' ->> 'snapshot') FROM shop.$schema");
	return $node->safe_psql('postgres', <<"END");
DO \$\$
DECLARE
	s record;
BEGIN
	FOR s IN SELECT tables -> '$table' ->> 'snapshot' AS snapshot, array_agg(n) AS moments FROM shop.$schema GROUP BY 1 LOOP
		EXECUTE format('INSERT INTO $schema.trained SELECT * FROM featurestore._training_rows(%L, %L, ''t'', NULL, false, %L) AS t($columns)',
			'$schema.model', format('SELECT * FROM shop.moment WHERE n = ANY (%L) ORDER BY n', s.moments), s.snapshot);
	END LOOP;
END \$\$;
ANALYZE $schema.trained;
CREATE TEMP VIEW compared AS
	SELECT n, name, value, texts ->> name AS served FROM shop.$schema AS s LEFT JOIN $schema.trained AS t USING (n), unnest('{$names}'::text[], ARRAY[$values]) AS u(name, value);
CREATE TEMP TABLE different AS SELECT * FROM compared WHERE value IS DISTINCT FROM served;
SELECT (SELECT count(*) > 0 FROM shop.$schema), count(DISTINCT n) FROM different;
SELECT format('moment %s: %s trained %s, served %s', n, name, value, served) FROM different ORDER BY n LIMIT 20;
END
}
is(compare_positions('later', 'later.customer_state'), 't|0', 'TRIGGERED: trained with what had been applied is what was served');
is(compare_positions('stream', 'stream.state'), 't|0', 'CONTINUOUS: the same');
cmp_ok($node->safe_psql('postgres', <<'END'), '>', 100, 'which was behind');
SELECT count(*) FROM shop.later AS l JOIN shop.live AS s USING (n) WHERE NOT is_before AND (texts ->> 'c0_lifetime', texts ->> 'p0_lifetime') <> ((s.model).c0_lifetime::text, (s.model).p0_lifetime::text)
END

# Then some arrive late: what was known counts, in windows and series; at the time of the lookup itself in tables with history, too
$node->safe_psql('postgres', "TRUNCATE shop.later, shop.stream; CALL shop.replay('2010-12-08', '2010-12-10')");
my $with_clock = labels('2010-12-01', ', l.clock');
$node->safe_psql('postgres', "$classes('live.trained_later', \$\$$with_clock\$\$, 'live.model', 't')");
like(compare('live.trained_later', 'model', q{NOT is_before AND m.t < '2010-12-08'}, '.'), qr/^t\|0$/m, 'what comes later is of no effect before');
unlike(compare('live.trained_later', 'model', q{NOT is_before AND m.t >= '2010-12-08'}, '.'), qr/^t\|0$/m, 'late events were not served');
is($node->safe_psql('postgres', "$classes('live.trained_known', \$\$$with_clock\$\$, 'live.model', 't', known_at => 'clock')"), 'EXACT|0', 'all outputs are exact');
is(compare('live.trained_known', 'model', 'NOT is_before', '.'), 't|0', 'with known_at served equals trained');
is($node->safe_psql('postgres', "$classes('live.known_trained', \$\$$with_clock\$\$, 'live.known', 'clock', known_at => 'clock')"), 'EXACT,HISTORY_FROM|0', 'what a table was is exact from when it has history');
is(compare('live.known_trained', 'known', 'NOT is_before', '.'), 't|0', 'and is what was served');
is(compare_positions('later', 'later.customer_state'), 't|0', 'TRIGGERED, late events: trained with what had been applied is what was served');
is(compare_positions('stream', 'stream.state'), 't|0', 'CONTINUOUS, late events: the same');

# A comparison that could not fail proves nothing
$node->safe_psql('postgres', "UPDATE shop.sale SET amount = amount + 0.01 WHERE at = '2010-12-06 09:58Z'; $classes('live.trained_changed', \$\$@{[ labels('2010-12-01', '') ]}\$\$, 'live.model', 't')");
like(compare('live.trained_changed', 'model', 'NOT is_before', '.'), qr/^t\|[1-9]\d+$/m, 'a changed event is noticed');
note 'took ', time - $started, ' s';
ok(!$node->log_contains('TRAP:|PANIC|terminated by signal'), 'nothing crashed');

$node->stop;
done_testing();
