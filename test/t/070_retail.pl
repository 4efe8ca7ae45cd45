# Every customer and every product of a real shop, through publications and a
# spec, against plain SQL over what was published: the same rows, to the bit.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Retail;
use Test::More;

my $node = Retail::start('retail');
$node->safe_psql('postgres', 'CREATE SCHEMA online');
is($node->safe_psql('postgres', 'SELECT count(*), count(customer), count(DISTINCT customer), count(DISTINCT stock_code) FROM shop.line'),
	'541909|406829|4372|4070', 'lines of the shop');

# What a model might want of customers, products, customers in a country, and customers by day
$node->safe_psql('postgres', <<'END');
CREATE TABLE shop.customer AS
	SELECT customer::int AS customer_id, count(DISTINCT invoice) AS orders, count(*)::int AS lines, sum(quantity) AS quantity, sum(quantity * price) AS spent, avg(price) AS average_price,
		sum(quantity * price::float8 ORDER BY at, invoice, stock_code, quantity, price) / count(DISTINCT invoice) AS per_order, (count(*) FILTER (WHERE invoice LIKE 'C%'))::int2 AS cancelled,
		max(at) FILTER (WHERE invoice NOT LIKE 'C%') AS last_purchase, min(at) AS first_purchase, mode() WITHIN GROUP (ORDER BY country) AS favourite_country,
		bool_or(country <> 'United Kingdom') AS is_abroad, ARRAY[count(*) FILTER (WHERE at < '2011-04-01'), count(*) FILTER (WHERE at >= '2011-04-01' AND at < '2011-08-01'), count(*) FILTER (WHERE at >= '2011-08-01')]::int4[] AS by_season,
		ARRAY[stddev_samp(quantity)::float8, stddev_samp(price)::float8] AS spread, (array_agg(stock_code ORDER BY at DESC, invoice, stock_code))[1:5] AS last_products,
		jsonb_object_agg(invoice, price ORDER BY at, stock_code, quantity, price) AS prices
	FROM shop.line WHERE customer IS NOT NULL GROUP BY 1;
ALTER TABLE shop.customer ADD PRIMARY KEY (customer_id);
CREATE TABLE shop.product AS
	SELECT stock_code, mode() WITHIN GROUP (ORDER BY description) AS description, sum(quantity) AS sold, count(DISTINCT customer) AS buyers, sum(quantity * price) AS revenue, min(price) AS least_price, max(price) AS greatest_price,
		avg(price::float8 ORDER BY price)::float4 AS average_price, max(at)::date AS last_sold, string_agg(DISTINCT country, ', ') AS countries
	FROM shop.line GROUP BY 1;
ALTER TABLE shop.product ADD PRIMARY KEY (stock_code);
CREATE TABLE shop.customer_country AS
	SELECT customer::int AS customer_id, country, count(*) AS lines, sum(quantity * price) AS spent, max(at) AS last_at
	FROM shop.line WHERE customer IS NOT NULL GROUP BY 1, 2;
ALTER TABLE shop.customer_country ADD PRIMARY KEY (country, customer_id);
CREATE TABLE shop.customer_day AS
	SELECT customer::int AS customer_id, at::date AS day, sum(quantity * price) AS spent, count(DISTINCT stock_code) AS products
	FROM shop.line WHERE customer IS NOT NULL GROUP BY 1, 2;
ALTER TABLE shop.customer_day ADD PRIMARY KEY (customer_id, day);
SELECT featurestore.publish_table('shop.customer', 'online.customer', 'SNAPSHOT');
SELECT featurestore.publish_table('shop.product', 'online.product', 'SNAPSHOT');
SELECT featurestore.publish_table('shop.customer_country', 'online.customer_country', 'SNAPSHOT', features => '{spent,lines,last_at}');
SELECT featurestore.publish_table('shop.customer_day', 'online.customer_day', 'SNAPSHOT', timeseries_column => 'day', wait => false);
CALL featurestore.sync('online.customer_day');

SELECT featurestore.create_feature_spec('shop.everything', ARRAY[
	featurestore.lookup('online.customer', '{customer_id}', default_values => '{"orders": 0, "favourite_country": "nowhere"}'),
	featurestore.lookup('online.product', '{stock_code}', rename_outputs => '{"average_price": "product_price"}'),
	featurestore.lookup('online.customer_country', '{customer_id,country}', rename_outputs => '{"spent": "spent_there", "lines": "lines_there"}', default_values => '{"spent_there": 0.00}'),
	featurestore.lookup('online.customer_day', '{customer_id}', '{day,spent,products}', '{"spent": "spent_last_day"}'),
	featurestore.lookup('online.product', '{stock_code=last_product}', '{description}', '{"description": "last_description"}'),
	featurestore.expression('last_products[1]', 'last_product'),
	featurestore.expression('round(spent / nullif(orders, 0), 4)', 'spent_per_order')]);
SELECT featurestore.create_feature_spec('shop.numbers', ARRAY[
	featurestore.lookup('online.customer', '{customer_id}', '{orders,lines,quantity,spent,average_price,per_order,cancelled,is_abroad,by_season,spread}'),
	featurestore.lookup('online.product', '{stock_code}', '{sold,buyers,revenue,least_price,average_price}', '{"average_price": "product_price"}'),
	featurestore.lookup('online.customer_country', '{customer_id,country}', '{spent}', '{"spent": "spent_there"}')]);

-- each customer and each product at least once, with one of those they bought and a country they may not have been in, and strangers
CREATE TABLE shop.request AS
	SELECT row_number() OVER (ORDER BY md5(customer_id::text || stock_code), country) AS n, customer_id, stock_code, country
	FROM (SELECT customer::int AS customer_id, min(stock_code) AS stock_code, max(country) AS country FROM shop.line WHERE customer IS NOT NULL GROUP BY 1
		  UNION ALL SELECT min(customer)::int, stock_code, min(country) FROM shop.line GROUP BY 2
		  UNION ALL SELECT i, 'none', 'Atlantis' FROM generate_series(1, 50) AS i UNION ALL VALUES (NULL, '85123A', 'France'), (12583, NULL, 'France'), (12583, '85123A', NULL)) AS x;
CREATE VIEW shop.expected AS
	SELECT q.n, ROW(q.customer_id, q.stock_code, q.country, CASE WHEN c.customer_id IS NULL THEN 0 ELSE c.orders END, c.lines, c.quantity, c.spent, c.average_price, c.per_order, c.cancelled, c.last_purchase, c.first_purchase,
		CASE WHEN c.customer_id IS NULL THEN 'nowhere' ELSE c.favourite_country END, c.is_abroad, c.by_season, c.spread, c.last_products, c.prices,
		p.description, p.sold, p.buyers, p.revenue, p.least_price, p.greatest_price, p.average_price, p.last_sold, p.countries,
		CASE WHEN cc.country IS NULL THEN 0.00 ELSE cc.spent END, cc.lines, cc.last_at, d.day, d.spent, d.products, l.description, c.last_products[1],
		round(c.spent / nullif(CASE WHEN c.customer_id IS NULL THEN 0 ELSE c.orders END, 0), 4))::shop.everything AS r
	FROM shop.request AS q LEFT JOIN shop.customer AS c USING (customer_id) LEFT JOIN shop.product AS p USING (stock_code) LEFT JOIN shop.customer_country AS cc USING (customer_id, country)
	LEFT JOIN (SELECT DISTINCT ON (customer_id) * FROM shop.customer_day ORDER BY customer_id, day DESC) AS d USING (customer_id) LEFT JOIN shop.product AS l ON l.stock_code = c.last_products[1];
CREATE VIEW shop.expected_numbers AS
	SELECT q.n, ARRAY(SELECT coalesce(x, 'NaN') FROM unnest(ARRAY[c.orders::float4, c.lines::float4, c.quantity::float4, c.spent::float4, c.average_price::float4, c.per_order::float4, c.cancelled::float4, c.is_abroad::int::float4,
		c.by_season[1]::float4, c.by_season[2]::float4, c.by_season[3]::float4, c.spread[1]::float4, c.spread[2]::float4, p.sold::float4, p.buyers::float4, p.revenue::float4, p.least_price::float4, p.average_price, cc.spent::float4])
		WITH ORDINALITY AS u(x, i) ORDER BY i) AS v
	FROM shop.request AS q LEFT JOIN shop.customer AS c USING (customer_id) LEFT JOIN shop.product AS p USING (stock_code) LEFT JOIN shop.customer_country AS cc USING (customer_id, country);
CREATE FUNCTION shop.little_endian(v float4[]) RETURNS bytea LANGUAGE sql AS $$
	SELECT string_agg(substr(x, 4, 1) || substr(x, 3, 1) || substr(x, 2, 1) || substr(x, 1, 1), '' ORDER BY n) FROM unnest(v) WITH ORDINALITY AS u(f, n), float4send(f) AS x
$$;
ANALYZE;
END
is($node->safe_psql('postgres', <<'END'), '0|0', 'all customers and products are asked for');
SELECT (SELECT count(*) FROM shop.customer WHERE customer_id NOT IN (SELECT customer_id FROM shop.request WHERE customer_id IS NOT NULL)),
	(SELECT count(*) FROM shop.product WHERE stock_code NOT IN (SELECT stock_code FROM shop.request WHERE stock_code IS NOT NULL))
END

my $keys = join ', ', map { "ARRAY(SELECT $_ FROM shop.request ORDER BY n)" } qw(customer_id stock_code country);

# Compares what all forms of lookup give with plain SQL over the sources; *= and <> of bytes tell every bit
sub check
{
	my ($what) = @_;
	my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM shop.request');

	foreach my $direct ('on', 'off')
	{
		my $set = "SET featurestore.enable_direct_lookup = $direct;";
		my $how = "$what, direct lookup $direct";

		foreach my $call ("shop.everything_batch($keys)", "featurestore.feature_lookup(NULL::shop.everything, $keys)")
		{
			is($node->safe_psql('postgres', "$set WITH got AS (SELECT row_number() OVER () AS n, r FROM $call AS r)
				SELECT count(*), count(*) FILTER (WHERE NOT coalesce(g.r *= e.r, false)) FROM got AS g FULL JOIN shop.expected AS e USING (n)"),
				"$rows|0", "$how: rows");
		}
		is($node->safe_psql('postgres', "$set WITH got AS (SELECT row_number() OVER () AS n, v FROM shop.numbers_vectors($keys) AS v)
			SELECT count(*), count(*) FILTER (WHERE array_send(g.v) IS DISTINCT FROM array_send(e.v)) FROM got AS g FULL JOIN shop.expected_numbers AS e USING (n)"),
			"$rows|0", "$how: vectors");
		is($node->safe_psql('postgres', "$set SELECT length(m) = 4 * 19 * $rows, m = (SELECT string_agg(shop.little_endian(v), '' ORDER BY n) FROM shop.expected_numbers) FROM shop.numbers_matrix($keys) AS m"),
			't|t', "$how: matrix");
		is($node->safe_psql('postgres', "$set WITH got AS (SELECT row_number() OVER () AS n, j FROM featurestore.feature_lookup_json('shop.everything',
				(SELECT jsonb_agg(to_jsonb(q) - 'n' ORDER BY n) FROM shop.request AS q WHERE n <= 1000)) AS j)
			SELECT count(*), count(*) FILTER (WHERE g.j::text IS DISTINCT FROM to_jsonb(e.r)::text) FROM got AS g FULL JOIN (SELECT * FROM shop.expected WHERE n <= 1000) AS e USING (n)"),
			'1000|0', "$how: json");
	}

	# one by one, and one customer against all products
	is($node->safe_psql('postgres', 'SELECT count(*), count(*) FILTER (WHERE NOT coalesce(g *= e.r, false)) FROM (SELECT * FROM shop.request WHERE n % 5 = 0) AS q,
			LATERAL shop.everything(q.customer_id, q.stock_code, q.country) AS g JOIN shop.expected AS e ON true WHERE e.n = q.n'),
		int($rows / 5) . '|0', "$what: one by one");
	is($node->safe_psql('postgres', "SELECT count(*) = (SELECT count(*) FROM shop.product), count(*) FILTER (WHERE (g.customer_id, g.spent, g.spent_there, g.description, g.revenue)
			IS DISTINCT FROM (c.customer_id, c.spent, cc.spent, p.description, p.revenue))
		FROM (SELECT row_number() OVER () AS n, g.* FROM shop.everything_batch('{12583}', ARRAY(SELECT stock_code FROM shop.product ORDER BY md5(stock_code)), '{France}') AS g) AS g
		FULL JOIN (SELECT row_number() OVER (ORDER BY md5(stock_code)) AS n, p.* FROM shop.product AS p) AS p USING (n), shop.customer AS c, shop.customer_country AS cc
		WHERE c.customer_id = 12583 AND cc.customer_id = 12583 AND cc.country = 'France'"),
		't|0', "$what: one customer, all products");
}

check('as published');

# The shop goes on: rows change, come and go, in every source
$node->safe_psql('postgres', <<'END');
UPDATE shop.customer SET orders = orders + 1, spent = spent + 9.990, last_products = '85123A'::text || last_products, prices = prices || '{"new": 1.50}' WHERE customer_id % 3 = 0;
UPDATE shop.customer SET per_order = -0.0::float8, spread = ARRAY['NaN', NULL]::float8[], average_price = average_price * 1.0 WHERE customer_id % 7 = 0;
DELETE FROM shop.customer WHERE customer_id % 11 = 0;
INSERT INTO shop.customer (customer_id, orders, favourite_country, spread, by_season) SELECT i, NULL, NULL, '{1,2}', '{1,2,3}' FROM generate_series(1, 25) AS i;
UPDATE shop.product SET description = NULL, revenue = revenue / 3 WHERE stock_code LIKE '%1';
UPDATE shop.product SET stock_code = stock_code || 'x' WHERE stock_code LIKE '%2';
DELETE FROM shop.product WHERE stock_code LIKE '%A';
DELETE FROM shop.customer_country WHERE country = 'Germany';
UPDATE shop.customer_country SET last_at = last_at + interval '1 microsecond', spent = round(spent, 4) WHERE lines > 50;
DELETE FROM shop.customer_day AS d USING (SELECT customer_id, max(day) AS day FROM shop.customer_day GROUP BY 1) AS l WHERE (d.customer_id, d.day) = (l.customer_id, l.day) AND d.customer_id % 4 = 0;
INSERT INTO shop.customer_day SELECT customer_id, max(day) + 5, 1.00, 0 FROM shop.customer_day WHERE customer_id % 4 = 1 GROUP BY 1;
UPDATE shop.customer_day SET spent = -spent WHERE customer_id % 5 = 0;
END
isnt($node->safe_psql('postgres', "SELECT count(*) FILTER (WHERE NOT g.r *= e.r) FROM (SELECT row_number() OVER () AS n, r FROM shop.everything_batch($keys) AS r) AS g JOIN shop.expected AS e USING (n)"),
	'0', 'before the sync the old rows are served');
$node->safe_psql('postgres', join ' ', map { "CALL featurestore.sync('online.$_');" } qw(customer product customer_country customer_day));
check('after a sync');

is($node->safe_psql('postgres', <<'END'), '0|0|0|0', 'nothing is left to do');
CALL featurestore.sync('online.customer');
CALL featurestore.sync('online.product');
CALL featurestore.sync('online.customer_country');
CALL featurestore.sync('online.customer_day');
SELECT string_agg(rows_changed::text, '|') FROM featurestore.publication_position;
END

$node->stop;
done_testing();
