-- A database that uses all there is, for the tests of dumps and upgrades.
-- Run by a superuser; what is made belongs to feature_owner.

CREATE EXTENSION featurestore;
CREATE SCHEMA "Odd ""Schema" AUTHORIZATION feature_owner;
CREATE SCHEMA rec AUTHORIZATION feature_owner;
CREATE SCHEMA lib AUTHORIZATION feature_owner;
CREATE COLLATION lib.backwards (provider = libc, locale = 'C');
ALTER COLLATION lib.backwards OWNER TO feature_owner;
SET SESSION AUTHORIZATION feature_owner;

-- specs over tables, functions, names in a search path, and what was renamed later
CREATE TABLE "Odd ""Schema"."Odd Table" ("User Id" int PRIMARY KEY, "Some Age" int, label text COLLATE lib.backwards, weights real[]);
INSERT INTO "Odd ""Schema"."Odd Table" SELECT i, i % 90, 'l' || i, ARRAY[i, i + 0.5] FROM generate_series(1, 100) AS i;
CREATE TABLE rec.first_name (user_id int, at timestamptz, n int, PRIMARY KEY (user_id, at));
INSERT INTO rec.first_name SELECT i, '2024-01-01 00:00Z'::timestamptz + d * interval '1 day', d FROM generate_series(1, 100) AS i, generate_series(1, 5) AS d;
CREATE TABLE rec.codes (label text COLLATE lib.backwards PRIMARY KEY, code int);
INSERT INTO rec.codes SELECT 'l' || i, i FROM generate_series(1, 50) AS i;
CREATE TABLE rec.parts (k int, d date, v numeric, PRIMARY KEY (k, d)) PARTITION BY RANGE (k);
CREATE TABLE rec.part PARTITION OF rec.parts FOR VALUES FROM (0) TO (1000);
INSERT INTO rec.parts SELECT i, '2024-01-01'::date + d, i + d / 10.0 FROM generate_series(1, 100) AS i, generate_series(1, 3) AS d;
CREATE VIEW rec.viewed AS SELECT user_id, max(n) AS most FROM rec.first_name GROUP BY user_id;
CREATE MATERIALIZED VIEW rec.stored AS SELECT user_id, min(n) AS least FROM rec.first_name GROUP BY user_id;
CREATE UNIQUE INDEX ON rec.stored (user_id);

CREATE FUNCTION lib.twice(x int) RETURNS int IMMUTABLE PARALLEL SAFE LANGUAGE sql AS 'SELECT 2 * x';
CREATE FUNCTION lib."Add It"(a int, b int DEFAULT 1000) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN a + b; END';
CREATE FUNCTION lib.plus(a int, b int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT a + b';
CREATE OPERATOR lib.<+> (LEFTARG = int, RIGHTARG = int, FUNCTION = lib.plus);
CREATE TYPE lib.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN lib.small AS int CHECK (VALUE < 1000);

SELECT featurestore.create_online_table('rec.first_name', timeseries_column => 'at', ttl => '30 days');
SET search_path = lib, public;
SELECT featurestore.create_feature_spec('rec.whole', with_status => true, exclude_columns => '{label}', items => ARRAY[
	featurestore.lookup('"Odd ""Schema"."Odd Table"', '{User Id=user_id}', rename_outputs => '{"Some Age": "the age"}', default_values => '{"the age": -1}'),
	featurestore.lookup('rec.first_name', '{user_id}', max_age => '36 hours'),
	featurestore.lookup('rec.codes', '{label}', default_values => '{"code": 7}'),
	featurestore.request_field('mood', 'mood'),
	featurestore.request_field('size', 'small'),
	featurestore.expression($$CASE mood WHEN 'happy'::mood THEN 1 ELSE twice("size") <+> 1 END$$, 'mooded'),
	featurestore.feature_function('lib.twice(int)', '{"x": "the age"}', 'doubled'),
	featurestore.feature_function('lib."Add It"(int,int)', '["code"]', 'added')]);
SELECT featurestore.create_feature_spec('"Odd ""Schema"."The Spec"', ARRAY[
	featurestore.lookup('rec.parts', '{k}'),
	featurestore.lookup('rec.viewed', '{user_id=k}'),
	featurestore.lookup('rec.stored', '{user_id=k}'),
	featurestore.expression('as_of', 'now')]);
RESET search_path;
ALTER TABLE rec.first_name RENAME TO second_name;
ALTER TABLE rec.second_name RENAME COLUMN n TO number;
ALTER TABLE rec.second_name RENAME COLUMN user_id TO "User";
ALTER TABLE "Odd ""Schema"."Odd Table" RENAME COLUMN "Some Age" TO age;
ALTER FUNCTION lib.twice RENAME TO double;
ALTER TABLE rec.codes SET SCHEMA lib;

-- published tables: with a time column, with a filter, and one not filled
CREATE TABLE rec.events (id int, at timestamptz, amount numeric, kind text, PRIMARY KEY (id, at));
INSERT INTO rec.events SELECT i, '2024-01-01 00:00Z'::timestamptz + d * interval '1 hour', i * d, CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END
	FROM generate_series(1, 100) AS i, generate_series(1, 3) AS d;
SELECT featurestore.publish_table('rec.events', '"Odd ""Schema".newest', timeseries_column => 'at', ttl => '100000 days');
SELECT featurestore.publish_table('lib.codes', 'rec.some', filter => 'code > 40 AND label IS NOT NULL', features => '{code}');
SELECT featurestore.publish_table('lib.codes', 'rec.never', wait => false);
SELECT featurestore.create_feature_spec('rec.published', with_status => true, items => ARRAY[
	featurestore.lookup('"Odd ""Schema".newest', '{id}', max_lag => '3000 days'),
	featurestore.lookup('rec.some', '{label}', default_values => '{"code": -7}'),
	featurestore.lookup('rec.never', '{label}', rename_outputs => '{"code": "never"}')]);

-- features, materialized: with a filter, of a version that was replaced, with an offline table
SELECT featurestore.register_feature('rec.spent', 'rec.events', '{id}', 'at', 'sum', 'amount', featurestore.rolling_window('7 days', hop => '1 hour'));
SELECT featurestore.register_feature('rec.daily', 'rec.events', '{id}', 'at', 'count', time_window => featurestore.tumbling_window('1 day'));
SELECT featurestore.register_feature('rec.kinds', 'rec.events', '{id}', 'at', 'last_distinct_n', 'kind || ''!''', params => '{"n": 2}', filter => 'amount > 1', description => 'Kinds');
SELECT featurestore.materialize_features('{rec.spent,rec.daily,rec.kinds}', 'rec.windows', '"Odd ""Schema".closed');
SELECT featurestore.register_feature('rec.spent', 'rec.events', '{id}', 'at', 'avg', 'amount', replace => true);
SELECT featurestore.create_feature_spec('rec.windowed', with_status => true, items => ARRAY[
	featurestore.feature('{rec.spent_v1,rec.daily,rec.kinds}', default_values => '{"kinds": ["none"]}')]);

GRANT USAGE ON SCHEMA rec TO feature_reader;
GRANT SELECT (id, at, amount) ON "Odd ""Schema".newest TO feature_reader;
REVOKE EXECUTE ON FUNCTION rec.published_batch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rec.published_batch TO feature_reader;
RESET SESSION AUTHORIZATION;
