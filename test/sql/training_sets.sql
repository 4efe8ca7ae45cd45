--
-- Training sets: rows against plain SQL, pins, scores, lineage
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA training_sets;
SET search_path = training_sets, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

-- a table that keeps all rows, keys that look alike, NULLs that are values
CREATE TABLE price (shop text, item text, ts timestamptz, price numeric, seller text, PRIMARY KEY (shop, item, ts));
INSERT INTO price
	SELECT (ARRAY['1', '12', '2'])[1 + n % 3], (ARRAY['23', '3', '33'])[1 + n / 3 % 3], '2024-01-01'::timestamptz + n * interval '7 hours',
		   CASE WHEN n % 5 > 0 THEN n * 0.25 END, 's' || n % 4
	FROM generate_series(0, 199) AS n;
-- one that only has current values
CREATE TABLE seller (id text PRIMARY KEY, name text, fee float8);
INSERT INTO seller VALUES ('s0', 'zero', 0.5), ('s1', 'one', '-0'), ('s2', NULL, 'NaN');
-- events, with ties, NULL inputs and entities that begin late
CREATE TABLE purchase (customer int, shop text, at timestamptz, amount numeric, weight float8);
INSERT INTO purchase
	SELECT n % 23, (ARRAY['1', '12', '2'])[1 + n % 3], '2024-01-03'::timestamptz + (n / 2) * interval '3 hours 1 second',
		   CASE WHEN n % 7 > 0 THEN (n % 50) * 1.10 END, CASE WHEN n % 11 > 0 THEN (n % 3) * 0.25 - 0.5 END
	FROM generate_series(1, 600) AS n;
INSERT INTO purchase VALUES (99, '1', '2024-02-01', 5, 1);
SELECT count(register_feature(name, 'purchase', '{customer}', 'at', function, input, w::time_window, params)) FROM (VALUES
	('purchases_7d', 'count', NULL, 'rolling 7d hop 0', '{}'::jsonb), ('purchases', 'count', NULL, 'lifetime', '{}'),
	('spent_7d', 'sum', 'amount', 'rolling 7d hop 0', '{}'), ('spent_day', 'sum', 'amount', 'tumbling 1d', '{}'),
	('weight_avg_3d', 'avg', 'weight', 'sliding 3d slide 1h', '{}'), ('last_shops', 'last_n', 'shop', 'rolling 30d hop 0', '{"n": 3}'))
	AS f(name, function, input, w, params);
SELECT register_feature('shop_max', 'purchase', '{shop}', 'at', 'max', 'amount', 'rolling 2d hop 0', filter => 'amount < 50');
SELECT materialize_features('{purchases_7d,purchases,spent_7d,spent_day,weight_avg_3d,last_shops}', 'customer_features');

CREATE FUNCTION margin(price numeric, fee float8) RETURNS float8 IMMUTABLE LANGUAGE sql AS 'SELECT price::float8 * (1 - fee)';
SELECT create_feature_spec('ranker', ARRAY[
	lookup('price', '{shop,item}', '{price,seller}', default_values => '{"price": 9.99}'),
	lookup('price', '{shop,item}', '{price}', '{"price": "fresh"}', max_age => '20 hours'),
	lookup('seller', '{id=seller}', '{name,fee}', '{"name": "seller_name"}'),
	feature('{purchases_7d,purchases,spent_7d,spent_day,weight_avg_3d,last_shops}', default_values => '{"spent_7d": -1}'),
	request_field('hour', 'int'),
	expression('upper(seller)', 'seller_code'),
	expression('coalesce(price, 0) * hour', 'weighted'),
	expression('(as_of AT TIME ZONE ''UTC'')::time', 'time_of_day'),
	feature_function('margin(numeric,float8)', '{"price": "price", "fee": "fee"}', 'margin')]);

CREATE TABLE label (shop text, item text, customer bigint, hour int, t timestamptz, y float8);
INSERT INTO label
	SELECT (ARRAY['1', '12', '2', '3'])[1 + n % 4], (ARRAY['23', '3', '33'])[1 + n % 3], n * 7 % 25, n % 24,
		   '2023-12-30'::timestamptz + n * interval '5 hours 20 minutes', n % 2
	FROM generate_series(0, 299) AS n;
-- at the very time of rows and events, and just before it; twice the same; without keys; without a time
INSERT INTO label SELECT '1', '23', n % 23, 1, (SELECT at FROM purchase ORDER BY at OFFSET n LIMIT 1), 0 FROM generate_series(1, 100, 9) AS n;
INSERT INTO label SELECT shop, item, 3, 2, ts, 1 FROM price WHERE shop = '12' ORDER BY ts LIMIT 20;
INSERT INTO label SELECT shop, item, 3, 2, ts - interval '1 microsecond', 1 FROM price WHERE shop = '12' ORDER BY ts LIMIT 20;
INSERT INTO label SELECT * FROM label WHERE hour = 5;
INSERT INTO label VALUES (NULL, '23', 3, 1, '2024-01-20', 0), ('1', '23', NULL, 1, '2024-01-20', 0), ('1', '23', 3, NULL, '2024-01-20', 0),
	('1', '23', 3, 1, NULL, 1), (NULL, NULL, NULL, NULL, NULL, NULL), ('1', '23', 99, 1, '2024-02-01', 0), ('1', '23', 99, 1, '2024-02-01 00:00:00.000001', 0);

SELECT * FROM create_training_set('train', 'label', 'ranker', 't', '{y}', allow_current => true);
\d train
SELECT count(*), min(label_row), max(label_row), count(DISTINCT label_row) FROM train;

-- every label once, in order, as it was
SELECT count(*) FROM (
	(SELECT row_number() OVER (), * FROM label EXCEPT ALL SELECT label_row, shop, item, customer, hour, t, y FROM train)
	UNION ALL (SELECT label_row, shop, item, customer, hour, t, y FROM train EXCEPT ALL SELECT row_number() OVER (), * FROM label)) AS different;

-- the same in plain SQL
CREATE VIEW oracle AS
	WITH numbered AS (SELECT row_number() OVER () AS label_row, * FROM label)
	SELECT l.*, CASE WHEN l.t IS NULL THEN NULL WHEN p.ts IS NULL THEN 9.99 ELSE p.price END AS price, p.seller,
		   CASE WHEN p.ts >= l.t - interval '20 hours' THEN p.price END AS fresh, s.name AS seller_name, s.fee,
		   CASE WHEN l.t IS NOT NULL THEN w.purchases_7d END AS purchases_7d, CASE WHEN l.t IS NOT NULL THEN w.purchases END AS purchases,
		   CASE WHEN l.t IS NULL OR w.purchases = 0 THEN (CASE WHEN l.t IS NOT NULL THEN -1 END) ELSE coalesce(w.spent_7d, -1) END AS spent_7d,
		   w.spent_day, w.weight_avg_3d, w.last_shops
	FROM numbered l
	LEFT JOIN LATERAL (SELECT * FROM price p WHERE p.shop = l.shop AND p.item = l.item AND p.ts <= l.t ORDER BY p.ts DESC LIMIT 1) AS p ON true
	LEFT JOIN seller s ON s.id = p.seller
	LEFT JOIN LATERAL (
		SELECT count(*) FILTER (WHERE at >= l.t - interval '7 days') AS purchases_7d, count(*) AS purchases,
			   sum(amount) FILTER (WHERE at >= l.t - interval '7 days') AS spent_7d,
			   sum(amount) FILTER (WHERE at >= date_trunc('day', l.t) - interval '1 day' AND at < date_trunc('day', l.t)) AS spent_day,
			   avg(weight::numeric) FILTER (WHERE at >= date_trunc('hour', l.t) - interval '3 days' AND at < date_trunc('hour', l.t))::float8 AS weight_avg_3d,
			   (array_agg(e.shop ORDER BY at DESC, e.shop COLLATE "C" DESC) FILTER (WHERE at >= l.t - interval '30 days'))[1:3] AS last_shops
		FROM purchase e WHERE e.customer = l.customer AND e.at < l.t) AS w ON true;
CREATE FUNCTION differences(training_set regclass) RETURNS TABLE(label_row bigint, output text, trained text, expected text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT o.label_row, e.key, trained.j ->> e.key, e.value
		FROM (SELECT label_row, to_jsonb(trained) AS j FROM %s AS trained) AS trained JOIN oracle o USING (label_row), jsonb_each_text(to_jsonb(o)) AS e
		WHERE trained.j ->> e.key IS DISTINCT FROM e.value ORDER BY 1, 2 LIMIT 10', training_set);
END
$$;
SELECT * FROM differences('train');
-- what is computed
SELECT count(*) FILTER (WHERE seller_code IS DISTINCT FROM upper(seller)) AS seller_code,
	   count(*) FILTER (WHERE weighted IS DISTINCT FROM CASE WHEN t IS NOT NULL THEN coalesce(price, 0) * hour END) AS weighted,
	   count(*) FILTER (WHERE time_of_day IS DISTINCT FROM t::time) AS time_of_day,
	   count(*) FILTER (WHERE margin IS DISTINCT FROM margin(price, fee)) AS margin
FROM train;
SELECT * FROM train WHERE t IS NULL;

-- the same as what lookups give at these times, to the bit
SELECT count(*), count(*) FILTER (WHERE ROW(r.price, r.seller, r.fresh, r.seller_name, r.fee::text, r.seller_code, r.weighted, r.time_of_day, r.margin::text)
		IS DISTINCT FROM ROW(t.price, t.seller, t.fresh, t.seller_name, t.fee::text, t.seller_code, t.weighted, t.time_of_day, t.margin::text)) AS different
FROM train t CROSS JOIN LATERAL ranker(t.shop, t.item, t.customer::int, t.hour, as_of => t.t) AS r WHERE t.t IS NOT NULL;
SELECT count(*), count(*) FILTER (WHERE ROW(r.purchases_7d, r.purchases, r.spent_7d, r.spent_day, r.weight_avg_3d::text, r.last_shops)
		IS DISTINCT FROM ROW(t.purchases_7d, t.purchases, t.spent_7d, t.spent_day, t.weight_avg_3d::text, t.last_shops)) AS different
FROM train t CROSS JOIN LATERAL ranker(t.shop, t.item, t.customer::int, t.hour, as_of => t.t) AS r
WHERE t.t >= (SELECT max(at) FROM purchase p WHERE p.customer = t.customer);

--
-- However it is made
--
-- with little memory
SET work_mem = '64kB';
SELECT count(*) FROM create_training_set('train_small', 'label', 'ranker', 't', '{y}', allow_current => true);
RESET work_mem;
SELECT training_set_hash('train') = training_set_hash('train_small') AS same, training_set_hash('train') = (SELECT hash FROM training_sets WHERE training_set = 'train'::regclass) AS as_made;
-- by a sweep or by seeking
SET featurestore.training_plan = 'sweep';
SELECT count(*) FROM create_training_set('train_sweep', 'label', 'ranker', 't', '{y}', allow_current => true);
SET featurestore.training_plan = 'seek';
SELECT count(*) FROM create_training_set('train_seek', 'label', 'ranker', 't', '{y}', allow_current => true);
RESET featurestore.training_plan;
SELECT count(DISTINCT hash), count(*) FROM training_sets WHERE training_set::text ~ '^train';
-- the hash is of what is in the rows, not of how or where they are
UPDATE train_small SET y = y;
VACUUM FULL train_small;
SELECT training_set_hash('train') = training_set_hash('train_small') AS same;
UPDATE train_small SET fee = '0' WHERE fee = '-0' AND label_row = (SELECT min(label_row) FROM train_small WHERE fee = '-0');
SELECT training_set_hash('train') = training_set_hash('train_small') AS same;

-- more labels than fit in memory, in another order
SET work_mem = '64kB';
SELECT count(*) FROM create_training_set('train_long', 'SELECT l.*, repeat(''x'', n) AS pad FROM label AS l, generate_series(1, 30) AS n ORDER BY n, t, y', 'ranker', 't', allow_current => true);
RESET work_mem;
SELECT count(*), count(DISTINCT label_row), max(label_row) FROM train_long;
SELECT count(*) FROM (SELECT shop, item, customer, hour, t, y, price, fresh, seller_name, fee, purchases_7d, spent_7d, last_shops, margin FROM train_long WHERE pad = 'xxx'
	EXCEPT ALL SELECT shop, item, customer, hour, t, y, price, fresh, seller_name, fee, purchases_7d, spent_7d, last_shops, margin FROM train) AS different;
SELECT bool_and(length(pad) >= lag) AS in_order FROM (SELECT length(pad), pad, lag(length(pad), 1, 0) OVER (ORDER BY label_row) FROM train_long) AS p;

-- as rows, in a transaction that writes nothing
BEGIN;
SELECT training_rows('label', 'ranker', 't', '{y}', '{shop,hour,margin,last_shops,weight_avg_3d}', allow_current => true, cursor => 'rows');
FETCH 2 FROM rows;
MOVE 300 FROM rows;
FETCH 1 FROM rows;
MOVE ALL FROM rows;
COMMIT;
BEGIN READ ONLY;
SELECT training_rows('SELECT * FROM label WHERE hour = 7 LIMIT 2', 'ranker', 't', exclude_columns => '{margin,last_shops,weight_avg_3d}', allow_current => true, cursor => 'rows');
FETCH ALL FROM rows;
COMMIT;

--
-- Items that are in no spec, features that are not materialized
--
SELECT register_feature('spent_2d', 'purchase', '{customer}', 'at', 'sum', 'amount', rolling_window('2 days', hop => '0'));
SELECT create_feature_spec('too_early', ARRAY[feature('{spent_2d}')]);
SELECT * FROM create_training_set('tried', 'SELECT *, customer::int AS id FROM label', timestamp_column => 't', exclude_columns => '{hour,item,id}', items => ARRAY[
	feature('{spent_2d,purchases_7d}'), feature('{spent_2d}', '{other}', '{"spent_2d": "spent_of_other"}'), feature('{shop_max}'), expression('customer % 3', 'other'),
	expression('spent_2d - shop_max', 'above')]);
SELECT count(*), count(*) FILTER (WHERE t.spent_2d IS DISTINCT FROM a.spent OR t.spent_of_other IS DISTINCT FROM b.spent OR t.shop_max IS DISTINCT FROM c.most
		OR above IS DISTINCT FROM t.spent_2d - t.shop_max OR t.purchases_7d IS DISTINCT FROM m.purchases_7d) AS different
FROM tried t JOIN train m USING (label_row),
	LATERAL (SELECT sum(amount) AS spent FROM purchase e WHERE e.customer = t.customer AND at >= t.t - interval '2 days' AND at < t.t) AS a,
	LATERAL (SELECT sum(amount) AS spent FROM purchase e WHERE e.customer = t.customer % 3 AND at >= t.t - interval '2 days' AND at < t.t) AS b,
	LATERAL (SELECT max(amount) AS most FROM purchase e WHERE e.shop = t.shop AND amount < 50 AND at >= t.t - interval '2 days' AND at < t.t) AS c;
SELECT feature_lookup(NULL::tried_spec, 1, '1');
BEGIN READ ONLY;
SELECT training_rows('SELECT * FROM label WHERE hour = 7 LIMIT 2', timestamp_column => 't', items => ARRAY[feature('{spent_2d}')], cursor => 'rows');
FETCH ALL FROM rows;
COMMIT;

-- statuses
SELECT create_feature_spec('with_statuses', ARRAY[lookup('price', '{shop,item}', '{price}', max_age => '20 hours'), feature('{spent_day}')], with_status => true);
SELECT output FROM create_training_set('statuses', 'label', 'with_statuses', 't');
SELECT price_status, spent_day_status, count(*), count(price) AS price, count(spent_day) AS spent_day FROM statuses GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) FROM statuses t CROSS JOIN LATERAL with_statuses(t.shop, t.item, t.customer::int, as_of => t.t) AS r
WHERE r.price_status <> t.price_status OR r.price IS DISTINCT FROM t.price;

-- times as dates and in other zones
SELECT create_feature_spec('dated_items', ARRAY[lookup('price', '{shop,item}', '{price}')]);
SELECT output, point_in_time FROM create_training_set('dated', $$SELECT '1' AS shop, '23' AS item, g::date AS day FROM generate_series('2024-01-02'::date, '2024-01-06', '1 day') AS g$$, 'dated_items', 'day');
SELECT d.day, d.price, p.price AS expected FROM dated d LEFT JOIN LATERAL (SELECT price FROM price WHERE shop = '1' AND item = '23' AND ts <= d.day::timestamp AT TIME ZONE 'UTC' ORDER BY ts DESC LIMIT 1) AS p ON true ORDER BY 1;

-- a table whose versions are kept; before that nothing is known, not even that there was no row
CREATE TABLE stock (id int PRIMARY KEY, on_hand int);
CREATE TABLE stock_history (id int, on_hand int, _valid_from timestamptz NOT NULL, _is_deleted boolean NOT NULL, PRIMARY KEY (id, _valid_from));
INSERT INTO stock_history VALUES (1, 10, '2024-01-05', false), (1, 9, '2024-01-07', false), (1, NULL, '2024-01-08', true), (2, 7, '2024-01-06', false);
SELECT featurestore._store_definition('online_table', jsonb_build_object('relation', 'stock', 'merge', '{}'::jsonb, 'outputs', '{}'::jsonb, 'allow_duplicates', false,
	'history_table', 'stock_history', 'history_from', '2024-01-05'));
SELECT create_feature_spec('of_stock', ARRAY[lookup('stock', '{id}', default_values => '{"on_hand": -1}'), expression('on_hand * 2', 'twice')], with_status => true);
SET client_min_messages = notice;
SELECT * FROM create_training_set('stocked', $$SELECT id, t, t - interval '36 hours' AS known FROM generate_series(1, 2) AS id, generate_series('2024-01-04'::timestamptz, '2024-01-09', '1 day') AS t ORDER BY id, t$$, 'of_stock', 't');
SELECT * FROM create_training_set('known_stock', 'SELECT id, t, known FROM stocked', 'of_stock', 't', known_at => 'known', exclude_columns => '{twice,twice_status}');
SET client_min_messages = warning;
SELECT s.*, k.on_hand AS then_known, k.on_hand_status AS and_its_status FROM stocked s JOIN known_stock k USING (label_row) ORDER BY label_row;
SELECT refused($$SELECT create_training_set('unknown', 'SELECT id, t, ''infinity''::timestamptz AS known FROM stocked', 'of_stock', 't', known_at => 'known')$$);
SELECT count(output) FROM create_training_set('unknown', 'SELECT id, t, NULL::timestamptz AS known FROM stocked', 'of_stock', 't', known_at => 'known');
SELECT count(*), count(on_hand_status) FROM unknown;

--
-- Nothing to do, and all there is
--
SELECT * FROM create_training_set('none', 'SELECT * FROM label WHERE false', 'dated_items', 't');
SELECT count(*) FROM none;
SELECT row_count, hash FROM training_sets WHERE training_set = 'none'::regclass;
SELECT * FROM create_training_set('null_times', 'SELECT shop, item, NULL::timestamptz AS t FROM label', 'dated_items', 't');

-- what is shown meanwhile
SELECT count(*) FROM create_training_set('watched', $$SELECT '1' AS shop, '23' AS item, p.operation, p.online_table, p.phase, clock_timestamp() AS t FROM featurestore.progress AS p WHERE pid = pg_backend_pid()$$,
	'dated_items', 't');
SELECT operation, online_table, phase FROM watched;
SELECT * FROM progress;

-- what an event trigger does to new tables is honoured
CREATE FUNCTION add_index() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity ~ 'indexed$' AND object_type = 'table') THEN
		ALTER TABLE training_sets.indexed ADD CHECK (label_row > 0), ADD PRIMARY KEY (label_row);
	END IF;
END
$$;
CREATE EVENT TRIGGER add_index ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION add_index();
SELECT count(*) FROM create_training_set('indexed', 'label', 'ranker', 't', allow_current => true);
DROP EVENT TRIGGER add_index;
SET enable_seqscan = off;
SELECT label_row, seller_name FROM indexed WHERE label_row = 12;
RESET enable_seqscan;
SELECT training_set_hash('indexed') = training_set_hash('train') AS same;

--
-- What it was made of is pinned
--
SELECT training_set, owner = current_user AS is_mine, spec, spec_version, features, labels, timestamp_column, label, known_at, allow_current, exclude_columns, frozen_spec, row_count
FROM training_sets WHERE training_set IN ('train'::regclass, 'tried'::regclass) ORDER BY training_set::text COLLATE "C";
SELECT spec FROM feature_specs ORDER BY spec::text COLLATE "C";
SELECT count(*) FROM train AS made JOIN score_batch(NULL::train, 'label', 't') AS scored USING (label_row) WHERE made::text <> scored::text;
-- as later versions do not
SELECT register_feature('spent_7d', 'purchase', '{customer}', 'at', 'sum', 'amount * 2', 'rolling 7d hop 0', replace => true);
SELECT drop_feature_spec('ranker');
SELECT create_feature_spec('ranker', ARRAY[lookup('seller', '{id}', '{name}')]);
ALTER TABLE price RENAME COLUMN seller TO sold_by;
ALTER TABLE purchase RENAME TO bought;
SELECT count(*) FROM train AS made JOIN score_batch(NULL::train, 'label', 't') AS scored USING (label_row) WHERE made::text <> scored::text;
SELECT spec, features FROM training_sets WHERE training_set = 'train'::regclass;
-- labels that have no more than what features need; keys of another type; now
SELECT label_row, shop, item, customer, hour, t, y, price, purchases_7d, purchases, margin FROM score_batch(NULL::train, 'SELECT ''1'' AS shop, ''23'' AS item, 3::smallint AS customer, 5 AS hour');
SELECT count(*) FROM score_batch(NULL::train, 'SELECT ''1'' AS shop, ''23'' AS item, 3 AS customer, 5 AS hour, NULL::timestamptz AS t', 't') WHERE price IS NULL AND purchases IS NULL;

SET client_min_messages = notice;
SELECT refused('DROP TABLE price') ~ 'train_spec depends on table price';
SELECT refused('DROP FUNCTION margin') ~ 'train_spec depends on function margin';
SELECT refused('ALTER TABLE seller DROP COLUMN fee') ~ 'train_spec depends on column fee';
SELECT refused('DROP VIEW spent_7d_v1') ~ 'train_spec depends on view spent_7d_v1';
SELECT refused('DROP VIEW spent_2d');
SELECT refused($$SELECT drop_feature('spent_2d')$$);
SELECT refused($$SELECT drop_feature('spent_2d', cascade => true)$$);
SELECT refused($$SELECT drop_feature_spec('train_spec')$$);
SELECT refused($$SELECT create_feature_spec('train_spec', ARRAY[lookup('seller', '{id}')], replace => true)$$);
SELECT refused('ALTER TABLE customer_features DROP COLUMN ' || state_column) ~ 'train_spec' FROM feature WHERE relation = 'spent_7d_v1'::regclass;
SET client_min_messages = warning;

--
-- Lineage
--
SELECT from_kind, from_object, to_kind, to_object FROM lineage
WHERE to_object IN ('tried'::regclass, 'train'::regclass, 'customer_features'::regclass, 'ranker'::regclass, 'with_statuses'::regclass) OR to_kind = 'feature'
ORDER BY to_kind, to_object::text COLLATE "C", from_kind, from_object::text COLLATE "C";

--
-- Dropping
--
CREATE VIEW on_train AS SELECT count(*) FROM train;
CREATE VIEW on_frozen AS SELECT * FROM train_small_spec;
SELECT refused($$SELECT drop_training_set('train')$$);
SELECT refused($$SELECT drop_training_set('train_small')$$);
DROP VIEW on_train;
SELECT drop_training_set('train');
SELECT to_regclass('train'), to_regclass('train_spec');
DROP TABLE train_small;
SELECT to_regclass('train_small_spec'), (SELECT training_set FROM spec WHERE relation = 'train_small_spec'::regclass);
DROP VIEW on_frozen;
SELECT drop_feature_spec('train_small_spec');
DROP TABLE train_sweep, statuses;
DROP VIEW train_seek_spec;
SELECT refused($$SELECT score_batch(NULL::train_seek, 'label', 't')$$);
SELECT frozen_spec FROM training_sets WHERE training_set = 'train_seek'::regclass;
SELECT drop_training_set('train_seek');
ALTER TABLE tried RENAME TO tested;
ALTER VIEW tried_spec RENAME TO what_was_tried;
SELECT count(*) FROM score_batch(NULL::tested, 'SELECT *, customer::int AS id FROM label', 't');
SELECT drop_training_set('tested');
SELECT kind, name FROM objects WHERE kind IN ('spec', 'lost') OR name ~ '_spec$';
SELECT relation FROM featurestore.training_set ORDER BY relation::text COLLATE "C";
DROP SCHEMA training_sets CASCADE;
SELECT count(*) FROM featurestore.training_set;
