# Windowed features of the customers and products of a real shop, against plain
# SQL over its events: at 1,000 times of one customer or product each, and for
# every customer through publication and spec on several days of its history.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Retail;
use Test::More;

my $node = Retail::start('retail_windows');
$node->safe_psql('postgres', <<'END');
CREATE TABLE shop.event AS
	SELECT customer::int AS customer_id, stock_code COLLATE "C" AS stock_code, at, quantity, quantity * price AS amount, round(quantity * price * 64)::float8 / 64 AS rough FROM shop.line WHERE customer IS NOT NULL;
CREATE INDEX ON shop.event (customer_id, at);
CREATE INDEX ON shop.event (stock_code, at);
ANALYZE shop.event;
END

# Each function, and plain SQL for it over rows (at, v): ties at one minute go by value
my @functions = (
	# function, column, type of its value, plain SQL
	[ 'count', 'amount', 'bigint', 'count(v)' ],
	[ 'sum', 'amount', 'numeric', 'sum(v)' ],
	[ 'avg', 'amount', 'numeric', 'avg(v)' ],
	[ 'min', 'amount', 'numeric', 'min(v)' ],
	[ 'max', 'amount', 'numeric', 'max(v)' ],
	[ 'var_pop', 'amount', 'numeric', 'var_pop(v)' ],
	[ 'stddev_samp', 'amount', 'numeric', 'stddev_samp(v)' ],
	[ 'sum', 'quantity', 'bigint', 'sum(v)' ],
	[ 'avg', 'quantity', 'numeric', 'avg(v)' ],
	[ 'stddev_pop', 'quantity', 'numeric', 'stddev_pop(v)' ],
	[ 'var_samp', 'quantity', 'numeric', 'var_samp(v)' ],
	[ 'sum', 'rough', 'float8', 'sum(v::numeric)::float8' ],
	[ 'max', 'rough', 'float8', 'max(v)' ],
	[ 'first', 'quantity', 'int', '(array_agg(v ORDER BY at, v))[1]' ],
	[ 'last', 'quantity', 'int', '(array_agg(v ORDER BY at DESC, v DESC))[1]' ],
	[ 'first_n(4)', 'quantity', 'int[]', '(array_agg(v ORDER BY at, v))[1:4]' ],
	[ 'last_n(5)', 'quantity', 'int[]', '(array_agg(v ORDER BY at DESC, v DESC))[1:5]' ],
	[ 'top_n(3)', 'quantity', 'int[]', '(array_agg(v ORDER BY v DESC))[1:3]' ],
	[ 'bottom_n(3)', 'quantity', 'int[]', '(array_agg(v ORDER BY v))[1:3]' ],
	[ 'last_distinct_n(3)', 'quantity', 'int[]', '(SELECT array_agg(v ORDER BY latest DESC, v DESC) FROM (SELECT v, max(at) AS latest FROM e GROUP BY v ORDER BY 2 DESC, 1 DESC LIMIT 3) AS d)' ],
	[ 'first_distinct_n(3)', 'quantity', 'int[]', '(SELECT array_agg(v ORDER BY earliest, v) FROM (SELECT v, min(at) AS earliest FROM e GROUP BY v ORDER BY 2, 1 LIMIT 3) AS d)' ],
	[ 'count_distinct', 'quantity', 'bigint', 'count(DISTINCT v)' ],
	[ 'histogram', 'quantity', 'jsonb', '(SELECT jsonb_object_agg(v, n) FROM (SELECT v, count(*) AS n FROM e GROUP BY v) AS h)' ],
	# those that are not exact, or whose oracle is not, with how far they may be off
	[ 'skew', 'quantity', 'float8', moment('m3 / (m2 * sqrt(m2 + zeros))'), '1e-14' ],
	[ 'kurtosis', 'quantity', 'float8', moment('m4 / (m2 * m2) - 3'), '1e-14' ],
	[ 'approx_count_distinct', 'quantity', 'bigint', 'count(DISTINCT v)', '0.25' ],
	[ 'approx_percentile(0.5)', 'quantity', 'int', 'percentile_disc(0.5) WITHIN GROUP (ORDER BY v)', '0.01' ],
	[ 'approx_percentile(0.9)', 'amount', 'numeric', 'percentile_disc(0.9) WITHIN GROUP (ORDER BY v)', '0.01' ],
);

# A function of the central moments m2, m3 and m4, which numeric has with many digits
sub moment
{
	my ($expression) = @_;
	return "(SELECT CASE WHEN m2 <> 0 THEN ($expression)::float8 END FROM (SELECT avg(d ^ 2) AS m2, avg(d ^ 3) AS m3, avg(d ^ 4) AS m4, 0::numeric(60,50) AS zeros"
		. " FROM (SELECT v + 0::numeric(60,50) - avg(v) OVER () AS d FROM e) AS centred) AS moments)";
}
my $windows = '{rolling 1h,rolling 1d,rolling 7d,rolling 30d}';

# Events before a random time of a random entity make a state, which is asked at that time
foreach my $entity ('customer_id', 'stock_code')
{
	$node->safe_psql('postgres', <<"END");
DROP TABLE IF EXISTS shop.asked;
SELECT setseed(0.25);
CREATE TABLE shop.asked AS
	SELECT row_number() OVER () AS n, $entity AS entity, at + random() * random() * interval '40 days' AS t
	FROM (SELECT $entity, at FROM shop.event ORDER BY random() LIMIT 500) AS e;
END
	foreach my $function (@functions)
	{
		my ($call, $column, $type, $sql, $tolerance) = @$function;
		my ($name, $n) = $call =~ /^(\w+)(?:\(([\d.]+)\))?/;
		my $params = !defined $n ? '{}' : $name eq 'approx_percentile' ? qq({"percentile": $n}) : qq({"n": $n});
		my $differs = 'served::text IS DISTINCT FROM expected::text';
		# a percentile of integers is rounded to one
		$differs = "(served IS NULL) <> (expected IS NULL) OR abs(served - expected) > $tolerance * abs(expected) + "
			. ($name eq 'approx_percentile' && $type eq 'int' ? '0.5' : '0') if defined $tolerance;
		# a subselect of its own counts and sees the rows as "e"
		my $oracle = "(WITH e AS (SELECT at, $column AS v FROM shop.event WHERE $entity = a.entity AND at >= featurestore.window_lo(w, a.t) AND at < featurestore.window_hi(w, a.t)) SELECT "
			. ($sql =~ /^\(SELECT/ ? $sql : "$sql FROM e") . ')';
		my $input = { amount => 'numeric', quantity => 'int4', rough => 'float8' }->{$column};
		my $result = $node->safe_psql('postgres', <<"END");
WITH s AS MATERIALIZED (
	SELECT a.n, a.entity, a.t, (SELECT featurestore.accumulate(featurestore.window_state('$name', '$input', '$windows', '$params'), at, $column)
		FROM shop.event WHERE $entity = a.entity AND at < a.t) AS state
	FROM shop.asked AS a
), v AS (
	SELECT featurestore.window_value(a.state, '$call', w, a.t, NULL::$type) AS served, $oracle AS expected
	FROM s AS a, unnest('$windows'::featurestore.time_window[]) AS w
)
SELECT count(*), count(*) FILTER (WHERE $differs), count(expected) > 0 FROM v
END
		is($result, '2000|0|t', "$call of $column by $entity: 4 windows at 500 times");
	}
}

# The shop's life day by day: features are declared once and served as of the end of each chosen day
$node->safe_psql('postgres', <<"END");
CREATE TABLE shop.sale (LIKE shop.event);
SELECT featurestore.register_features('shop.sale', '{customer_id}', 'at',
	'[{"function": "count"}, {"function": "sum", "input": "amount"}, {"function": "avg", "input": "amount"}, {"function": "max", "input": "quantity"},
	  {"function": "count_distinct", "input": "stock_code"}, {"function": "last", "input": "quantity"}]', '$windows');
SELECT featurestore.materialize_features(ARRAY(SELECT feature::text FROM featurestore.features ORDER BY 1), 'shop.customer', wait => false);
SELECT featurestore.create_feature_spec('shop.model', ARRAY[featurestore.feature(ARRAY(SELECT feature::text FROM featurestore.features ORDER BY 1))]);
END
my $before = '2010-01-01';
foreach my $day ('2010-12-10', '2011-03-31', '2011-07-15', '2011-12-10')
{
	$node->safe_psql('postgres', "INSERT INTO shop.sale SELECT * FROM shop.event WHERE at >= '$before' AND at < '$day'; CALL featurestore.sync('shop.customer')");
	$before = $day;
	my $columns = join(', ', map {
		my $w = $_;
		map { "$_->[1] AS $_->[0]_rolling_$w" } (
			[ 'count', "count(*) FILTER (WHERE at >= lo_$w)" ],
			[ 'amount_sum', "sum(amount) FILTER (WHERE at >= lo_$w)" ],
			[ 'amount_avg', "avg(amount) FILTER (WHERE at >= lo_$w)" ],
			[ 'quantity_max', "max(quantity) FILTER (WHERE at >= lo_$w)" ],
			[ 'stock_code_count_distinct', "count(DISTINCT stock_code) FILTER (WHERE at >= lo_$w)" ],
			[ 'quantity_last', "(array_agg(quantity ORDER BY at DESC, quantity DESC) FILTER (WHERE at >= lo_$w))[1]" ])
	} ('1h', '1d', '7d', '30d'));
	my $bounds = join(', ', map { "featurestore.window_lo('rolling $_', '$day') AS lo_$_" } ('1h', '1d', '7d', '30d'));
	my $result = $node->safe_psql('postgres', <<"END");
CREATE TEMP VIEW expected AS SELECT customer_id, $columns FROM shop.sale, (SELECT $bounds) AS b GROUP BY customer_id;
CREATE TEMP VIEW served AS SELECT * FROM shop.model_batch(ARRAY(SELECT DISTINCT customer_id FROM shop.event), as_of => '$day');
SELECT (SELECT count(*) FROM served) = (SELECT count(DISTINCT customer_id) FROM shop.event),
	(SELECT count(*) FROM expected) > 100,
	(SELECT count(*) FROM served AS s JOIN expected AS e USING (customer_id) WHERE to_jsonb(s)::text <> to_jsonb(e)::text),
	(SELECT count(*) FROM served AS s WHERE NOT EXISTS (SELECT FROM expected AS e WHERE e.customer_id = s.customer_id) AND (s.count_rolling_30d <> 0 OR s.amount_sum_rolling_30d IS NOT NULL))
END
	is($result, 't|t|0|0', "every customer on $day");
}

$node->stop;
done_testing();
