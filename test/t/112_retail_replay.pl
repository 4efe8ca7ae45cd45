# A year of a real shop, replayed day by day through captured changes: lines
# arrive by COPY, some of them late, some are corrected or deleted.  After each
# of 30 days all online values equal plain SQL over the sources, to the bit,
# and all states those that are built from scratch.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Retail;
use Test::More;

my $node = Retail::start('retail_replay');
my $directory = $node->basedir;

# What arrives each day, as files: sales, one customer in ten two days late, and prices
$node->safe_psql('postgres', <<"SETUP");
CREATE SCHEMA online;
CREATE SCHEMA anew;
CREATE TABLE shop.sale (customer_id int, stock_code text COLLATE "C", at timestamptz, quantity int, amount numeric);
CREATE INDEX ON shop.sale (customer_id, at);
CREATE INDEX ON shop.sale (at);
CREATE TABLE shop.price (stock_code text, at timestamptz, price numeric, description text, PRIMARY KEY (stock_code, at));
CREATE TABLE shop.customer (customer_id int PRIMARY KEY, country text, lines bigint, spent numeric, last_at timestamptz);

CREATE TABLE shop.arrival AS
	SELECT at::date + CASE WHEN customer % 10 = 0 THEN 2 ELSE 0 END AS day, customer::int AS customer_id, stock_code COLLATE "C" AS stock_code, at, quantity, quantity * price AS amount, country
	FROM shop.line WHERE customer IS NOT NULL;
CREATE INDEX ON shop.arrival (day);
CREATE TABLE shop.offer AS
	SELECT DISTINCT ON (stock_code, at) at::date AS day, stock_code, at, price, description FROM shop.line ORDER BY stock_code, at, price, description;
CREATE INDEX ON shop.offer (day);
ANALYZE shop.arrival, shop.offer;
CREATE TABLE shop.day AS SELECT day, ntile(30) OVER (ORDER BY day) AS part FROM (SELECT day FROM shop.arrival UNION SELECT day FROM shop.offer) AS d;
DO \$\$
DECLARE
	d date;
BEGIN
	FOR d IN SELECT day FROM shop.day LOOP
		EXECUTE format('COPY (SELECT customer_id, stock_code, at, quantity, amount FROM shop.arrival WHERE day = %L) TO %L', d, '$directory/sale.' || d);
		EXECUTE format('COPY (SELECT stock_code, at, price, description FROM shop.offer WHERE day = %L) TO %L', d, '$directory/price.' || d);
	END LOOP;
END
\$\$;

-- Each day is a transaction of its own
CREATE PROCEDURE shop.replay(up_to int) LANGUAGE plpgsql AS \$\$
DECLARE
	d date;
BEGIN
	FOR d IN SELECT day FROM shop.day WHERE part = up_to ORDER BY day LOOP
		EXECUTE format('COPY shop.sale FROM %L', '$directory/sale.' || d);
		EXECUTE format('COPY shop.price FROM %L', '$directory/price.' || d);
		INSERT INTO shop.customer AS c SELECT customer_id, min(country), count(*), sum(amount), max(at) FROM shop.arrival WHERE day = d GROUP BY 1
			ON CONFLICT (customer_id) DO UPDATE SET lines = c.lines + excluded.lines, spent = c.spent + excluded.spent, last_at = greatest(c.last_at, excluded.last_at);
		COMMIT;
	END LOOP;
	-- of the last days a few sales are corrected or withdrawn, and prices too; a customer leaves now and then
	UPDATE shop.sale SET quantity = quantity + 1, amount = amount + 0.50 WHERE at >= d - 3 AND customer_id % 40 = up_to;
	DELETE FROM shop.sale WHERE at >= d - 10 AND quantity < 0 AND customer_id % 5 = 0;
	UPDATE shop.sale SET at = at - interval '1 day' WHERE at >= d - 1 AND customer_id % 40 = up_to + 1;
	DELETE FROM shop.price WHERE at >= d - 2 AND md5(stock_code) < '1';
	UPDATE shop.price SET price = price * 1.10 WHERE at >= d - 1 AND md5(stock_code) > 'f';
	DELETE FROM shop.customer WHERE customer_id % 200 = up_to;
	DELETE FROM shop.sale WHERE customer_id % 200 = up_to;
END
\$\$;

SELECT featurestore.publish_table('shop.customer', 'online.customer');
SELECT featurestore.publish_table('shop.price', 'online.price', timeseries_column => 'at', filter => 'price > 0');
SETUP

# Each function, and plain SQL for it over the rows of a window; the same features twice, captured and built from scratch
my @functions = (
	[ 'count', '', 'count(*) FILTER (WHERE is_in)' ],
	[ 'sum', 'amount', 'sum(amount) FILTER (WHERE is_in)' ],
	[ 'avg', 'amount', 'avg(amount) FILTER (WHERE is_in)' ],
	[ 'max', 'quantity', 'max(quantity) FILTER (WHERE is_in)' ],
	[ 'stddev_pop', 'quantity', 'stddev_pop(quantity) FILTER (WHERE is_in)' ],
	[ 'last', 'quantity', '(array_agg(quantity ORDER BY at DESC, quantity DESC) FILTER (WHERE is_in))[1]' ],
	[ 'count_distinct', 'stock_code', 'count(DISTINCT stock_code) FILTER (WHERE is_in)', ', "params": {"bound": 4000}' ],
);
my @windows = ('rolling 1d', 'rolling 30d hop 0', 'sawtooth 30d', 'tumbling 28d', 'lifetime');
my $aggregations = join ', ', map { qq({"name": "f$_", "function": "$functions[$_][0]") . ($functions[$_][1] ? qq(, "input": "$functions[$_][1]") : '') . ($functions[$_][3] // '') . '}' } 0 .. $#functions;
foreach my $table ([ 'online', 'TRIGGERED' ], [ 'anew', 'SNAPSHOT' ])
{
	$node->safe_psql('postgres', "SET search_path = $table->[0]; SELECT featurestore.materialize_features(ARRAY(SELECT featurestore.register_features(
			'shop.sale', '{customer_id}', 'at', '[$aggregations]', '{" . join(',', @windows) . "}')), 'state', publish_mode => '$table->[1]')");
}

# The values of the states, and of plain SQL, in the same order
my (@served, @expected);
foreach my $n (0 .. $#functions)
{
	foreach my $window (@windows)
	{
		my ($call, $state, $type) = split /\|/, $node->safe_psql('postgres', "SELECT function, state_column, result_type FROM featurestore.features
			WHERE feature::text LIKE 'online.f${n}_%' AND time_window::text = '$window'::featurestore.time_window::text");
		push @served, "featurestore.window_value($state, '$call', '$window', DAY, NULL::$type)";
		push @expected, $functions[$n][2] =~ s/is_in/at >= featurestore.window_lo('$window', DAY) AND at < featurestore.window_hi('$window', DAY)/r;
	}
}
my $differing = <<"END";
SELECT (SELECT count(*) FROM shop.customer AS s FULL JOIN online.customer AS o USING (customer_id) WHERE NOT coalesce(s *= o, false)),
	(SELECT count(*) FROM (SELECT DISTINCT ON (stock_code) * FROM shop.price WHERE price > 0 ORDER BY stock_code, at DESC) AS s FULL JOIN online.price AS o USING (stock_code)
	 WHERE NOT coalesce((stock_code, s.at, s.price, s.description)::record *= (stock_code, o.at, o.price, o.description)::record, false)),
	(SELECT count(*) FROM (SELECT customer_id, ROW(@{[ join ', ', @expected ]}) AS r FROM shop.sale GROUP BY customer_id) AS s
	 FULL JOIN (SELECT customer_id, ROW(@{[ join ', ', @served ]}) AS r FROM online.state) AS o USING (customer_id) WHERE NOT coalesce(s.r *= o.r, false)),
	(SELECT count(*) FROM anew.state AS s FULL JOIN online.state AS o USING (customer_id) WHERE NOT coalesce(s *= o, false))
END

foreach my $part (1 .. 30)
{
	my $day = $node->safe_psql('postgres', "CALL shop.replay($part); SELECT max(day) + 1 FROM shop.day WHERE part = $part");
	$node->safe_psql('postgres', "CALL featurestore.sync('$_')") foreach 'online.customer', 'online.price', 'online.state', 'anew.state';
	is($node->safe_psql('postgres', $differing =~ s/DAY/'$day'::timestamptz/gr), '0|0|0|0', "before $day: customers, prices, values and states");
}
is($node->safe_psql('postgres', 'SELECT count(*) > 3000 FROM online.customer; SELECT count(*) > 3000 FROM online.price; SELECT count(*) > 3000 FROM online.state'), "t\nt\nt", 'most of the shop is there');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT operation, ',') FROM featurestore.publish_runs WHERE online_table::text LIKE 'online.%' AND id > 3"), 'APPLY', 'all by changes');

$node->stop;
done_testing();
