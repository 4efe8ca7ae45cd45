--
-- Features: definitions, names, versions, errors, previews
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_definer;
CREATE ROLE regress_stranger;
CREATE SCHEMA declare AUTHORIZATION regress_definer;
CREATE SCHEMA other AUTHORIZATION regress_definer;
GRANT USAGE ON SCHEMA declare TO regress_stranger;
RESET client_min_messages;
SET search_path = declare;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
SET ROLE regress_definer;

CREATE TABLE payments (
	user_id bigint, ts timestamptz, day date, amount bigint, price float8, "Odd name" int, kind text,
	local timestamp, note json, value int);
INSERT INTO payments (user_id, ts, day, amount, price, "Odd name", kind) VALUES
	(1, '2024-03-01 10:00', '2024-03-01', 10, 0.5, 1, 'card'),
	(1, '2024-03-01 18:00', '2024-03-01', 20, 1.5, 2, 'card'),
	(1, '2024-03-03 10:00', '2024-03-03', 40, NULL, 3, 'cash'),
	(2, '2024-03-02 00:00', '2024-03-02', 80, 2.5, 4, 'cash'),
	(2, '2024-03-05 00:00', '2024-03-05', NULL, 3.5, 5, NULL),
	(NULL, '2024-03-02 00:00', '2024-03-02', 7, 1, 6, 'cash'),
	(2, NULL, NULL, 7, 1, 7, 'cash'),
	(2, 'infinity', 'infinity', 7, 1, 8, 'cash');
CREATE VIEW features AS
	SELECT feature::text, version, is_current, source_table::text AS source, entity, timeseries_column AS time, function, input, filter,
		time_window, result_type, class, description
	FROM featurestore.features WHERE pg_catalog.pg_table_is_visible(feature) ORDER BY feature::text COLLATE "C";

--
-- Names
--
SELECT featurestore.register_feature(NULL, 'payments', '{user_id}', 'ts', 'sum', 'amount', featurestore.rolling_window('7 days'));
SELECT featurestore.register_feature(NULL, 'payments', '{user_id}', 'ts', 'count', time_window => featurestore.rolling_window('30 days', delay => '1 day'));
SELECT featurestore.register_feature(NULL, 'payments', '{user_id}', 'ts', 'avg', 'price', featurestore.sliding_window('7 days', '1 day'));
SELECT featurestore.register_feature(NULL, 'payments', '{user_id}', 'day', 'max', '"Odd name"', featurestore.tumbling_window('1 day'));
SELECT featurestore.register_feature(NULL, 'payments', '{user_id}', 'ts', 'last_n', 'amount', params => '{"n": 2}');
SELECT featurestore.register_feature('other."Mixed Case"', 'payments', '{user_id}', 'ts', 'min', 'amount * 2 + "Odd name"', filter => 'price > 1 AND kind = ''card''');
SELECT featurestore.register_feature('Folded', 'payments', '{user_id,kind}', 'ts', 'stddev_pop', 'amount', description => 'spread of amounts');
SELECT * FROM features;
SELECT * FROM amount_sum_rolling_7d ORDER BY user_id, ts;
SELECT * FROM other."Mixed Case";
SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod)
FROM pg_attribute WHERE attrelid IN ('count_rolling_30d_1d'::regclass, 'other."Mixed Case"'::regclass, '"Odd name_max_tumbling_1d"'::regclass)
ORDER BY attrelid, attnum;
SELECT relation, state_column, call, time_window, result_type, entity, is_count, version, feature
FROM featurestore._materialized_feature('count_rolling_30d_1d');
SELECT count(*) FROM featurestore._materialized_feature('payments');

-- the time zone and search path of whoever asks do not matter
SET TimeZone = 'Asia/Tokyo';
SELECT ts = '2024-03-01 00:00+00' AS midnight_utc FROM (SELECT day AS ts FROM "Odd name_max_tumbling_1d" ORDER BY day LIMIT 1) AS d;
SET TimeZone = 'UTC';

--
-- The same again, other definitions, versions
--
SELECT featurestore.register_feature('amount_sum_rolling_7d', 'payments', '{user_id}', 'ts', 'sum', 'payments.amount', featurestore.rolling_window('168 hours'));
SELECT featurestore.register_feature('amount_sum_rolling_7d', 'payments', '{user_id}', 'ts', 'avg', 'amount', featurestore.rolling_window('7 days'), filter => 'price > 0');
SELECT featurestore.register_feature('amount_sum_rolling_7d', 'payments', '{user_id}', 'ts', 'sum', 'amount', featurestore.rolling_window('7 days'), description => 'paid in a week');
GRANT SELECT ON amount_sum_rolling_7d TO regress_stranger;
SELECT featurestore.register_feature('amount_sum_rolling_7d', 'payments', '{user_id}', 'ts', 'sum', 'amount', featurestore.rolling_window('7 days'), filter => 'price > 0', replace => true);
SELECT featurestore.register_feature('amount_sum_rolling_7d', 'payments', '{user_id}', 'ts', 'sum', 'amount', featurestore.rolling_window('7 days'), filter => 'price > 0', replace => true);
SELECT featurestore.register_feature('amount_sum_rolling_7d', 'payments', '{user_id}', 'ts', 'sum', 'amount', featurestore.rolling_window('8 days'), replace => true);
SELECT feature, version, is_current, filter, time_window, description FROM features WHERE feature ~ 'amount_sum';
SELECT has_table_privilege('regress_stranger', 'amount_sum_rolling_7d_v1', 'SELECT'), has_table_privilege('regress_stranger', 'amount_sum_rolling_7d', 'SELECT');
SELECT featurestore.register_feature('amount_sum_rolling_7d_v1', 'payments', '{user_id}', 'ts', 'sum', 'amount', featurestore.rolling_window('9 days'), replace => true);
-- a name that was dropped goes on counting
SELECT featurestore.drop_feature('amount_sum_rolling_7d');
SELECT featurestore.register_feature('amount_sum_rolling_7d', 'payments', '{user_id}', 'ts', 'sum', 'amount');
SELECT feature, version, is_current FROM features WHERE feature ~ 'amount_sum';
-- renaming is Postgres's own
ALTER VIEW amount_sum_rolling_7d RENAME TO total;
SELECT feature, version FROM features WHERE feature = 'total';
DROP VIEW amount_sum_rolling_7d_v1;
SELECT count(*) FROM featurestore.feature WHERE relation::text ~ 'v1';

--
-- Many at once
--
SELECT * FROM featurestore.register_features('payments', '{user_id}', 'ts',
	'[{"function": "sum", "input": "amount"}, {"function": "count"}, {"function": "approx_percentile", "input": "price", "params": {"percentile": 0.9}, "name": "price_p90"}]',
	ARRAY[featurestore.rolling_window('1 hour'), featurestore.tumbling_window('1 day', "offset" => '6 hours'), featurestore.lifetime_window()],
	filter => 'amount > 0');
-- all or nothing
SELECT * FROM featurestore.register_features('payments', '{user_id}', 'ts',
	'[{"function": "min", "input": "amount"}, {"function": "sum", "input": "kind"}]', ARRAY[featurestore.lifetime_window()]);
SELECT to_regclass('amount_min_lifetime');
SELECT * FROM featurestore.register_features('payments', '{user_id}', 'ts', NULL, ARRAY[featurestore.lifetime_window()]);
SELECT * FROM featurestore.register_features('payments', '{user_id}', 'ts', '[{"function": "min", "input": "amount"}]', ARRAY[NULL::featurestore.time_window]);
SELECT * FROM featurestore.register_features('payments', '{user_id}', 'ts', '[]', ARRAY[featurestore.lifetime_window()]);
SELECT * FROM featurestore.register_features('payments', '{user_id}', 'ts', '["sum"]', ARRAY[featurestore.lifetime_window()]);
SELECT * FROM featurestore.register_features('payments', '{user_id}', 'ts', '[{"function": "sum", "column": "amount"}]', ARRAY[featurestore.lifetime_window()]);
SELECT * FROM featurestore.register_features('payments', '{user_id}', 'ts',
	'[{"function": "approx_percentile", "input": "price", "params": {"percentile": 0.9}}, {"function": "approx_percentile", "input": "price", "params": {"percentile": 0.5}}]',
	ARRAY[featurestore.lifetime_window()]);

--
-- Errors
--
CREATE PROCEDURE try(arguments text) LANGUAGE plpgsql AS $$
DECLARE
	message text; detail text; hint text;
BEGIN
	EXECUTE format('SELECT featurestore.register_feature(%s)', arguments);
	RAISE WARNING 'no error: %', arguments;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RAISE INFO '% %', SQLSTATE, message || coalesce(E'\n  ' || nullif(detail, ''), '') || coalesce(E'\n  ' || nullif(hint, ''), '');
END
$$;
-- windows
CALL try($$'f', 'payments', '{user_id}', 'ts', 'count', time_window => featurestore.rolling_window('1 month')$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'count', time_window => featurestore.rolling_window('0')$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'count', time_window => featurestore.rolling_window('-1 day')$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'count', time_window => featurestore.rolling_window('1 day', delay => '-1 hour')$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'count', time_window => featurestore.sliding_window('1 day', '2 days')$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'count', time_window => featurestore.rolling_window('1 day', hop => '-1 hour')$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'count', time_window => 'rolling 7d hop 5x'$$);
-- columns
CALL try($$'f', 'payments', '{nobody}', 'ts', 'count'$$);
CALL try($$'f', 'payments', '{user_id,user_id}', 'ts', 'count'$$);
CALL try($$'f', 'payments', '{}', 'ts', 'count'$$);
CALL try($$'f', 'payments', NULL, 'ts', 'count'$$);
CALL try($$'f', 'payments', '{price}', 'ts', 'count'$$);
CALL try($$'f', 'payments', '{note}', 'ts', 'count'$$);
CALL try($$'f', 'payments', '{value}', 'ts', 'count'$$);
CALL try($$'f', 'payments', '{ts}', 'ts', 'count'$$);
CALL try($$'f', 'payments', '{user_id}', 'when', 'count'$$);
CALL try($$'f', 'payments', '{user_id}', 'local', 'count'$$);
CALL try($$'f', 'payments', '{user_id}', NULL, 'count'$$);
-- functions
CALL try($$'f', 'payments', '{user_id}', 'ts', 'median', 'amount'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', NULL, 'amount'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'kind'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'last_n', 'amount'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'last_n', 'amount', params => '{"n": 0}'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'last_n', 'amount', params => '{"n": 1001}'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'amount', params => '{"n": 3}'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'approx_percentile', 'price', params => '{"percentile": 1.5}'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'amount', params => NULL$$);
-- inputs and filters
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'amount + random()'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', '(SELECT 1)'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'sum(amount)'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'rank() OVER ()'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'generate_series(1, 2)'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'amount, price'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'missing'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'amount', filter => 'ts > now()'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'amount', filter => 'amount'$$);
CALL try($$NULL, 'payments', '{user_id}', 'ts', 'sum', 'amount + 1'$$);
-- names and relations
CALL try($$'payments', 'payments', '{user_id}', 'ts', 'count'$$);
CALL try($$'a.b.c', 'payments', '{user_id}', 'ts', 'count'$$);
CALL try(format($$%L, 'payments', '{user_id}', 'ts', 'count'$$, repeat('x', 64)));
CALL try($$'nowhere.f', 'payments', '{user_id}', 'ts', 'count'$$);
CALL try($$'f', NULL, '{user_id}', 'ts', 'count'$$);
CREATE TEMP TABLE passing AS SELECT * FROM payments;
CALL try($$'f', 'passing', '{user_id}', 'ts', 'count'$$);
-- all that is wrong at once
CALL try($$'f', 'payments', '{nobody}', 'when', 'median', 'amount'$$);
CALL try($$'f', 'payments', '{nobody}', 'when', 'median', 'nothing + 1', filter => 'now() > ts'$$);
CALL try($$'f', 'payments', '{user_id}', 'ts', 'sum', 'amount +', filter => 'amount'$$);
CALL try($$'f', 'payments', '{user_id}', 'when', 'sum', '(SELECT 1)'$$);
SELECT to_regclass('f');

--
-- Privileges
--
SET ROLE regress_stranger;
SELECT featurestore.register_feature('f', 'declare.payments', '{user_id}', 'ts', 'count');
SELECT featurestore.drop_feature('declare.total');
SELECT * FROM featurestore.preview_feature('declare.total');
SELECT featurestore.register_feature('declare.total', 'declare.payments', '{user_id}', 'ts', 'max', 'amount', replace => true);
SET ROLE regress_definer;
GRANT CREATE ON SCHEMA declare TO regress_stranger;
SET ROLE regress_stranger;
SELECT featurestore.register_feature('f', 'declare.payments', '{user_id}', 'ts', 'count');
SET ROLE regress_definer;
GRANT SELECT (user_id, ts) ON payments TO regress_stranger;
SET ROLE regress_stranger;
SELECT featurestore.register_feature('f', 'declare.payments', '{user_id}', 'ts', 'count');
SELECT featurestore.register_feature('g', 'declare.payments', '{user_id}', 'ts', 'sum', 'amount');
SELECT featurestore.drop_feature('f');
SET ROLE regress_definer;

--
-- Previews
--
SELECT * FROM featurestore.preview_feature('total');
SELECT * FROM featurestore.preview_feature('total', '{"user_id": 1}');
SELECT * FROM featurestore.preview_feature('total', '[{"user_id": 2}, {"user_id": 3}, {"user_id": 2}]');
SELECT * FROM featurestore.preview_feature('total', as_of => '2024-03-02');
SELECT * FROM featurestore.preview_feature('amount_last_n_lifetime', as_of => '2024-03-03 10:00');
SELECT * FROM featurestore.preview_feature('amount_last_n_lifetime', as_of => '2024-03-03 10:00:00.000001');
SELECT * FROM featurestore.preview_feature('"Odd name_max_tumbling_1d"', as_of => '2024-03-03');
SELECT * FROM featurestore.preview_feature('"Odd name_max_tumbling_1d"', '[{"user_id": 1}, {"user_id": 2}]', '2024-03-03');
SELECT * FROM featurestore.preview_feature('count_rolling_30d_1d', '{"user_id": 9}');
SELECT * FROM featurestore.preview_feature('folded');
SELECT * FROM featurestore.explain_feature('total', '{"user_id": 1}', '2024-03-03 10:00');
SELECT * FROM featurestore.explain_feature('count_rolling_30d_1d', '{"user_id": 1}', '2024-03-02 18:00');
-- and what they refuse
SELECT * FROM featurestore.preview_feature('payments');
SELECT * FROM featurestore.preview_feature('nothing');
SELECT * FROM featurestore.preview_feature(NULL);
SELECT * FROM featurestore.preview_feature('total', '{"user": 1}');
SELECT * FROM featurestore.preview_feature('total', '[1]');
SELECT * FROM featurestore.preview_feature('total', '{"user_id": "x"}');
SELECT * FROM featurestore.preview_feature('total', as_of => 'infinity');
SELECT * FROM featurestore.explain_feature('total', '[]');

--
-- Dropping
--
CREATE VIEW reads_it AS SELECT * FROM total;
SELECT featurestore.drop_feature('total');
DROP VIEW reads_it;
SELECT featurestore.drop_feature('total');
SELECT featurestore.drop_feature('total');
SELECT featurestore.drop_feature(feature::text) FROM featurestore.features WHERE feature::text ~ 'lifetime|rolling|tumbling|sliding';
DROP TABLE payments;
DROP TABLE passing;
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA declare, other CASCADE;
SELECT count(*) FROM featurestore.feature;
DROP ROLE regress_definer, regress_stranger;
