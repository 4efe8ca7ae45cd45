\set ECHO none
\o /dev/null
-- Sources that change at random, their publications, and what these should hold.
-- They are made in schema apply_property, and twins by snapshot in schema
-- apply_twin.  mode is that of the publications, wait whether all are filled.

--
-- Sources.  Values have few bits, so that keys, times and values meet again
--

-- rows that move between partitions, and keys that are equal but not the same
CREATE TABLE plain (a int, b text COLLATE "C", k numeric, n numeric, f float8, j json, t text, PRIMARY KEY (a, b, k)) PARTITION BY RANGE (a);
CREATE TABLE plain_low PARTITION OF plain FOR VALUES FROM (MINVALUE) TO (3);
CREATE TABLE plain_high (t text, j json, f float8, n numeric, gone int, k numeric NOT NULL, b text COLLATE "C" NOT NULL, a int NOT NULL);
ALTER TABLE plain_high DROP COLUMN gone;
ALTER TABLE plain ATTACH PARTITION plain_high FOR VALUES FROM (3) TO (MAXVALUE);

-- one source of publications with different keys
CREATE TABLE shared (a int, b text COLLATE "C", at timestamptz, n numeric NOT NULL, f float8, j json, t text, PRIMARY KEY (a, b, at));
CREATE UNIQUE INDEX ON shared (n);

-- events without key, some of no entity or time
CREATE TABLE event (user_id int, shop text COLLATE "C", at timestamptz, seen timestamptz, x float8, n numeric, i bigint, w text) PARTITION BY RANGE (at);
CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('2024-03-04');
CREATE TABLE event_new PARTITION OF event FOR VALUES FROM ('2024-03-04') TO (MAXVALUE);
CREATE TABLE event_other PARTITION OF event DEFAULT;

-- a time series by date, of rows and of events
CREATE TABLE daily (user_id int, shop text COLLATE "C", day date, v numeric, w text, PRIMARY KEY (user_id, shop, day));

-- a source that old rows are purged from, and one that keeps them
CREATE TABLE purged (user_id int, at timestamptz, id int, v numeric, PRIMARY KEY (user_id, at, id));
CREATE TABLE kept (LIKE purged INCLUDING INDEXES);
SELECT now() - timestamptz '2024-03-03 00:30' AS retention \gset

--
-- Publications, and for those of states a twin in SNAPSHOT mode
--
SELECT featurestore.publish_table('plain', 'plain_whole', wait => :wait, publish_mode => :'mode');
SELECT featurestore.publish_table('plain', 'plain_some', features => '{f,j}', filter => 'n > 0 AND f IS DISTINCT FROM 1.5', publish_mode => :'mode');
SELECT featurestore.publish_table('shared', 'shared_whole', publish_mode => :'mode');
SELECT featurestore.publish_table('shared', 'shared_newest', timeseries_column => 'at', features => '{n,f,t}', filter => 'f IS DISTINCT FROM 1.5', publish_mode => :'mode');
SELECT featurestore.publish_table('shared', 'shared_by_number', primary_key => '{n}', features => '{f,j,b}', wait => :wait, publish_mode => :'mode');
SELECT featurestore.publish_table('daily', 'daily_newest', timeseries_column => 'day', filter => 'v <> 3', publish_mode => :'mode');
SELECT featurestore.publish_table('purged', 'purged_newest', primary_key => '{user_id,id,at}', timeseries_column => 'at', source_retention => :'retention', publish_mode => :'mode');

-- names of features, by the table that they go to
CREATE FUNCTION register(target text) RETURNS SETOF text LANGUAGE sql AS $$
	-- all families
	SELECT featurestore.register_features('event', '{user_id,shop}', 'at', '[
		{"function": "sum", "input": "x"}, {"function": "min", "input": "x"}, {"function": "max", "input": "n"}, {"function": "sum", "input": "n"},
		{"function": "first", "input": "x"}, {"function": "last", "input": "n"}, {"function": "var_samp", "input": "n"}, {"function": "stddev_pop", "input": "x"},
		{"function": "skew", "input": "x"}, {"function": "kurtosis", "input": "i"}, {"function": "first_n", "input": "w", "params": {"n": 3}},
		{"function": "last_n", "input": "n", "params": {"n": 3}}, {"function": "first_distinct_n", "input": "w", "params": {"n": 2}},
		{"function": "last_distinct_n", "input": "x", "params": {"n": 2}}, {"function": "top_n", "input": "x", "params": {"n": 3}},
		{"function": "bottom_n", "input": "w", "params": {"n": 3}}, {"function": "count_distinct", "input": "n"}, {"function": "approx_count_distinct", "input": "w"},
		{"function": "approx_percentile", "input": "x", "params": {"percentile": 0.5}}, {"function": "histogram", "input": "w"}]',
		ARRAY[featurestore.lifetime_window(), featurestore.rolling_window('1 day')])
	WHERE target = 'families'
	UNION ALL
	-- those that can retract, over windows that do not nest
	SELECT featurestore.register_features('event', '{user_id,shop}', 'at', '[
		{"function": "count", "name": "rows"}, {"function": "avg", "input": "n", "name": "avg"}, {"function": "sum", "input": "x", "name": "xs"},
		{"function": "var_pop", "input": "i", "name": "var"}, {"function": "sum", "input": "n * 2", "name": "twice"}]',
		ARRAY[featurestore.lifetime_window(delay => '1 hour'), featurestore.rolling_window('3 hours', delay => '90 minutes', hop => '0'), featurestore.rolling_window('30 hours'),
			featurestore.sliding_window('2 days', '12 hours', delay => '1 hour'), featurestore.tumbling_window('7 hours', "offset" => '1 hour'), featurestore.sawtooth_window('13 days')])
	WHERE target = 'sums'
	UNION ALL
	-- two sources, filters, inputs and time columns
	SELECT unnest(ARRAY[
		featurestore.register_feature('positive', 'event', '{user_id,shop}', 'at', 'sum', 'i', featurestore.rolling_window('2 days'), filter => 'i > 0'),
		featurestore.register_feature('negative', 'event', '{user_id,shop}', 'at', 'count', 'i', filter => 'i < 0'),
		featurestore.register_feature('sightings', 'event', '{user_id,shop}', 'seen', 'count', NULL, featurestore.tumbling_window('1 day')),
		featurestore.register_feature('sight', 'event', '{user_id,shop}', 'seen', 'last', 'w', filter => 'i > 0'),
		featurestore.register_feature('days', 'daily', '{user_id,shop}', 'day', 'sum', 'v', featurestore.sliding_window('3 days', '1 day')),
		featurestore.register_feature('words', 'daily', '{user_id,shop}', 'day', 'histogram', 'w', filter => 'v > 1')])
	WHERE target = 'two_sources'
	UNION ALL
	SELECT featurestore.register_features('purged', '{user_id}', 'at', '[{"function": "count", "name": "purged"}, {"function": "sum", "input": "v"}]',
		ARRAY[featurestore.lifetime_window(), featurestore.rolling_window('12 hours')], filter => 'v > 0')
	WHERE target = 'unpurged'
	UNION ALL
	SELECT featurestore.register_features('kept', '{user_id}', 'at', '[{"function": "count", "name": "purged"}, {"function": "sum", "input": "v"}]',
		ARRAY[featurestore.lifetime_window(), featurestore.rolling_window('12 hours')], filter => 'v > 0')
	WHERE target = 'unpurged twin' $$;

SELECT featurestore.materialize_features(ARRAY(SELECT register('families')), 'families', wait => :wait, publish_mode => :'mode');
SELECT featurestore.materialize_features(ARRAY(SELECT register('sums')), 'sums', publish_mode => :'mode');
SELECT featurestore.materialize_features(ARRAY(SELECT register('two_sources')), 'two_sources', publish_mode => :'mode');
SELECT featurestore.materialize_features(ARRAY(SELECT register('unpurged')), 'unpurged', source_retention => :'retention', publish_mode => :'mode');
SET search_path = apply_twin, apply_property;
SELECT featurestore.materialize_features(ARRAY(SELECT register(name)), name, publish_mode => 'SNAPSHOT') FROM unnest('{families,sums,two_sources}'::text[]) AS name;
SELECT featurestore.materialize_features(ARRAY(SELECT register('unpurged twin')), 'unpurged', publish_mode => 'SNAPSHOT');
SET search_path = apply_property;

--
-- Changes
--

-- one of some values
CREATE FUNCTION pick(VARIADIC choice anycompatiblearray) RETURNS anycompatible LANGUAGE sql VOLATILE AS $$ SELECT choice[1 + trunc(random() * cardinality(choice))::int] $$;
CREATE FUNCTION number() RETURNS numeric LANGUAGE sql VOLATILE AS $$ SELECT pick(1.0, 1.00, 2, 3.50, -2, 0, 0.00, 'NaN', NULL, round(random()::numeric * 100, 2)) $$;
CREATE FUNCTION float_number() RETURNS float8 LANGUAGE sql VOLATILE AS $$ SELECT pick(0::float8, '-0', 'NaN', NULL, 1.5, 'Infinity', random() * 100, 1e-300) $$;
CREATE FUNCTION word() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT pick('', 'a', 'A', 'é', NULL, repeat('long', 1000), md5((random() * 9)::int::text)) $$;
CREATE FUNCTION instant() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
	SELECT timestamptz '2024-03-01' + interval '6 hours' * trunc(random() * 30) + CASE WHEN random() < 0.3 THEN interval '1 us' * trunc(random() * 6e9) ELSE '0' END $$;
CREATE FUNCTION few() RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT pick(0, 1, 3, 10)  $$;

CREATE FUNCTION change_plain() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO plain SELECT random() * 5, pick('', 'x', 'X', 'é'), pick(1.0, 1.00, 2), number(), float_number(), pick('{"a":1}', '{"a": 1}', NULL)::json, word()
	FROM generate_series(1, few()) ON CONFLICT DO NOTHING;
	UPDATE plain SET n = number() WHERE random() < 0.1;
	UPDATE plain SET f = -f, t = t WHERE random() < 0.1;
	UPDATE plain SET n = n WHERE random() < 0.1;
	UPDATE plain SET k = k * 1.0 WHERE random() < 0.1;
	DELETE FROM plain WHERE random() < 0.05;
	BEGIN
		UPDATE plain SET a = a + pick(-3, 3), t = 'moved' WHERE random() < 0.05;
		UPDATE plain SET b = pick('', 'x', 'X'), j = NULL WHERE random() < 0.05;
	EXCEPTION WHEN unique_violation THEN NULL;
	END;
	WITH gone AS (DELETE FROM plain WHERE random() < 0.05 RETURNING *)
	INSERT INTO plain SELECT a, b, k, number(), f, j, t FROM gone;
END $$;

CREATE FUNCTION change_shared() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO shared SELECT random() * 4, pick('', 'x', 'X'), date_trunc('hour', instant()), round((random() * 300)::numeric, pick(0, 1, 2)), float_number(), pick('1', ' 1', NULL)::json, word()
	FROM generate_series(1, few()) ON CONFLICT DO NOTHING;
	UPDATE shared SET f = float_number() WHERE random() < 0.1;
	UPDATE shared SET n = n * 1.0 WHERE random() < 0.05;
	BEGIN
		UPDATE shared SET at = at + pick('6 hours', '-6 hours', '1 us')::interval WHERE random() < 0.1;
		UPDATE shared SET a = a + 1 WHERE random() < 0.05;
		UPDATE shared SET n = round((random() * 300)::numeric, 1) WHERE random() < 0.05;
	EXCEPTION WHEN unique_violation THEN NULL;
	END;
	-- the newest of some keys, and of some the newest two
	DELETE FROM shared s WHERE random() < 0.1 AND NOT EXISTS (SELECT FROM shared o WHERE (o.a, o.b) = (s.a, s.b) AND o.at > s.at);
	DELETE FROM shared s WHERE random() < 0.1 AND NOT EXISTS (SELECT FROM shared o WHERE (o.a, o.b) = (s.a, s.b) AND o.at > s.at);
	DELETE FROM shared WHERE random() < 0.05;
	WITH gone AS (DELETE FROM shared WHERE random() < 0.1 RETURNING *)
	INSERT INTO shared SELECT a, b, at, n, -f, j, t FROM gone;
END $$;

CREATE FUNCTION change_event() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO event SELECT pick(1, 2, 3, 4, 4, 4, 4, NULL), pick('a', 'a', 'a', 'b', 'A'), CASE WHEN random() < 0.95 THEN instant() ELSE pick(NULL, 'infinity', '-infinity')::timestamptz END,
		instant(), float_number(), number(), pick(-2, -1, 1, 2, 3, NULL), word()
	FROM generate_series(1, few() * 4);
	INSERT INTO event SELECT * FROM event WHERE random() < 0.03;
	UPDATE event SET n = number(), x = float_number() WHERE random() < 0.05;
	UPDATE event SET n = n * 1.0, x = -x WHERE random() < 0.05;
	UPDATE event SET i = -i WHERE random() < 0.05;
	UPDATE event SET w = w WHERE random() < 0.1;
	UPDATE event SET w = word() WHERE random() < 0.03;
	UPDATE event SET user_id = pick(1, 2, 3, 4, NULL) WHERE random() < 0.03;
	UPDATE event SET at = instant() WHERE random() < 0.05;
	UPDATE event SET seen = instant() WHERE random() < 0.03;
	-- what is undone again
	UPDATE event SET i = i + 100 WHERE user_id = 2;
	UPDATE event SET i = i - 100 WHERE user_id = 2;
	INSERT INTO event SELECT 5, 'a', instant(), NULL, 7, 7, 7, 'seven';
	DELETE FROM event WHERE user_id = 5 AND random() < 0.9;
	WITH gone AS (DELETE FROM event WHERE random() < 0.03 RETURNING *)
	INSERT INTO event SELECT user_id, shop, at, seen, x, n, i, w FROM gone;
	DELETE FROM event WHERE random() < 0.04;
	DELETE FROM event WHERE user_id = pick(1, 2, 3, 4) AND random() < 0.1;
	-- an entity that goes altogether
	DELETE FROM event WHERE user_id = 3 AND shop = 'b' AND (SELECT random() < 0.3);
END $$;

CREATE FUNCTION change_daily() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO daily SELECT random() * 4, pick('a', 'b'), date '2024-03-01' + trunc(random() * 8)::int, pick(1, 2.0, 2.00, 3, NULL), word()
	FROM generate_series(1, few()) ON CONFLICT DO NOTHING;
	UPDATE daily SET v = pick(1, 2.0, 2.00, 3) WHERE random() < 0.1;
	BEGIN
		UPDATE daily SET day = day + pick(1, -1) WHERE random() < 0.1;
	EXCEPTION WHEN unique_violation THEN NULL;
	END;
	DELETE FROM daily d WHERE random() < 0.1 AND NOT EXISTS (SELECT FROM daily o WHERE (o.user_id, o.shop) = (d.user_id, d.shop) AND o.day > d.day);
	DELETE FROM daily WHERE random() < 0.05;
	WITH gone AS (DELETE FROM daily WHERE random() < 0.05 RETURNING *)
	INSERT INTO daily SELECT user_id, shop, day, v, 'again' FROM gone;
END $$;

-- Old rows are purged.  What is computed anew cannot have what was purged, so no younger row goes that asks for that: the newest of a key, or one of a state
CREATE FUNCTION change_purged() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WITH new AS (
		INSERT INTO kept SELECT random() * 2, date_trunc('hour', instant()), random() * 3, pick(1, 2.0, 2.00, NULL) FROM generate_series(1, few())
		ON CONFLICT DO NOTHING RETURNING *)
	INSERT INTO purged SELECT * FROM new;
	DELETE FROM purged p WHERE at < '2024-03-03 00:30' AND random() < 0.3;
	WITH gone AS (
		DELETE FROM purged p WHERE at > '2024-03-03 00:30' AND random() < 0.3 AND v IS NULL AND EXISTS (SELECT FROM purged o WHERE (o.user_id, o.id) = (p.user_id, p.id) AND o.at > p.at)
		RETURNING *)
	DELETE FROM kept k USING gone g WHERE (k.user_id, k.at, k.id) = (g.user_id, g.at, g.id);
END $$;

--
-- What tables should hold
--
CREATE TABLE target (relation text, source text, twin text, key text, expected text);
INSERT INTO target (source, relation, key, expected) VALUES
	('plain', 'plain_whole', 'a, b, k', 'SELECT a, b, k, n, f, j, t FROM plain'),
	('plain', 'plain_some', 'a, b, k', 'SELECT a, b, k, f, j FROM plain WHERE n > 0 AND f IS DISTINCT FROM 1.5'),
	('shared', 'shared_whole', 'a, b, at', 'SELECT a, b, at, n, f, j, t FROM shared'),
	('shared', 'shared_newest', 'a, b', 'SELECT DISTINCT ON (a, b) a, b, at, n, f, t FROM shared WHERE f IS DISTINCT FROM 1.5 ORDER BY a, b, at DESC'),
	('shared', 'shared_by_number', 'n', 'SELECT n, f, j, b FROM shared'),
	('daily', 'daily_newest', 'user_id, shop', 'SELECT DISTINCT ON (user_id, shop) user_id, shop, day, v, w FROM daily WHERE v <> 3 ORDER BY user_id, shop, day DESC'),
	('purged', 'purged_newest', 'user_id, id', 'SELECT DISTINCT ON (user_id, id) user_id, id, at, v FROM kept ORDER BY user_id, id, at DESC');
INSERT INTO target (source, relation, twin, key, expected)
SELECT CASE name WHEN 'unpurged' THEN 'purged' ELSE 'event' END, name, 'apply_twin.' || name, CASE name WHEN 'unpurged' THEN 'user_id' ELSE 'user_id, shop' END, 'TABLE apply_twin.' || name
FROM unnest('{families,sums,two_sources,unpurged}'::text[]) AS name;

-- rows that differ, byte by byte
CREATE FUNCTION differences(target target) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM %s AS o FULL JOIN (%s) AS e USING (%s) WHERE ROW(o.*)::record *<> ROW(e.*)::record',
				   target.relation, target.expected, target.key) INTO result;
	RETURN result;
END $$;
\o
