--
-- Feature specs: what items can be made of, and what comes of them
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA spec;
RESET client_min_messages;
SET search_path = spec, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

-- sellers sell items, which users rate; flights go from airport to airport
CREATE TABLE users (user_id bigint PRIMARY KEY, country text, age int, score float8);
CREATE TABLE items (item_id int PRIMARY KEY, seller_id int, price numeric(10,2), title text);
CREATE TABLE sellers (seller_id int PRIMARY KEY, rating float4, region text, city text);
CREATE TABLE regions (region text, city text, tax numeric, PRIMARY KEY (region, city));
CREATE TABLE airports (code char(3) PRIMARY KEY, delay float8, runways smallint);
INSERT INTO users VALUES (1, 'de', 33, 0.5), (2, 'fr', NULL, NULL);
INSERT INTO items VALUES (10, 100, 9.99, 'pen'), (11, 101, 25, 'book'), (12, NULL, 3, 'gum'), (13, 999, 4, 'cup');
INSERT INTO sellers VALUES (100, 4.5, 'eu', 'bonn'), (101, 3, 'us', 'reno');
INSERT INTO regions VALUES ('eu', 'bonn', 0.19), ('us', 'reno', 0.08);
INSERT INTO airports VALUES ('ber', 1.5, 2), ('cdg', 2.5, 4);

CREATE FUNCTION discounted(price numeric, "percent off" int DEFAULT 10) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN round(price * (100 - "percent off") / 100, 2);
CREATE FUNCTION hours(since timestamptz, until timestamptz) RETURNS float8
	LANGUAGE plpgsql IMMUTABLE PARALLEL RESTRICTED AS $$ BEGIN RETURN extract(epoch FROM until - since) / 3600; END $$;

-- the functions of a spec
CREATE VIEW signatures AS
	SELECT p.proname::text AS function, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
		p.provolatile AS volatile, p.proparallel AS parallel, l.lanname AS language
	FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 'spec'::regnamespace ORDER BY p.proname COLLATE "C";

--
-- All kinds of items, in an order in which they cannot run
--
SELECT create_feature_spec('ranker', ARRAY[
	expression('price_now * (1 + coalesce(tax, 0))', 'gross'),
	lookup('regions', '{region,city}', default_values => '{"tax": 0.2}'),
	lookup('sellers', '{seller_id}'),
	feature_function('discounted(numeric,int)', '{"price": "price", "percent off": "off"}', 'price_now'),
	lookup('items', '{item_id}'),
	request_field('off', 'int'),
	lookup('users', '{user_id}', '{country,score}', '{"score": "user score"}', '{"user score": 0.25, "country": "??"}')]);
\d ranker
SELECT * FROM signatures WHERE function ~ '^ranker';
SELECT * FROM same('SELECT * FROM ranker(10, 20, 1)');
SELECT * FROM same($$ SELECT item_id, "off", user_id, gross, tax, rating, price_now, country, "user score" FROM ranker_batch('{10,11,12,13,14}', '{0}', '{1,2,3,1,NULL}') $$);
SELECT version, owner = current_user AS mine, columns, tables, with_status, exclude_columns FROM feature_specs WHERE spec = 'ranker'::regclass;
SELECT jsonb_pretty(item) FROM feature_specs, jsonb_array_elements(items) WITH ORDINALITY AS i(item, n) WHERE spec = 'ranker'::regclass AND n IN (1, 4, 6, 7) ORDER BY n;
SELECT item, relation, path FROM explain_lookup('ranker', '{"item_id": 10, "off": 0, "user_id": 1}');
SELECT obj_description('ranker'::regclass, 'pg_class');
-- the view is but a form
SELECT count(*) FROM ranker;

--
-- A table twice, under different keys
--
SELECT create_feature_spec('flight', ARRAY[
	lookup('airports', '{origin}', rename_outputs => '{"delay": "origin_delay", "runways": "origin_runways"}'),
	lookup('airports', '{code=destination}', '{delay}', '{"delay": "destination_delay"}')]);
SELECT * FROM same($$ SELECT * FROM flight('ber', 'cdg') $$);
SELECT * FROM same($$ SELECT * FROM flight_batch('{ber,cdg,xxx}', '{cdg}') $$);
SELECT * FROM signatures WHERE function ~ '^flight';

--
-- Keys from outputs of other items
--
-- of a lookup that is given later, hidden
SELECT create_feature_spec('via_lookup', ARRAY[
	lookup('sellers', '{seller_id}', '{rating}'),
	lookup('items', '{item_id}', '{seller_id}')], exclude_columns => '{seller_id}');
SELECT * FROM same($$ SELECT * FROM via_lookup_batch('{10,11,12,13,14,NULL}') $$);
-- of a default
SELECT create_feature_spec('via_default', ARRAY[
	lookup('sellers', '{seller_id}', '{rating}'),
	lookup('items', '{item_id}', '{seller_id}', default_values => '{"seller_id": 101}')], with_status => true);
SELECT * FROM same($$ SELECT * FROM via_default_batch('{10,12,13,14,NULL}') $$);
-- of an expression over a lookup, a field and another expression, two levels deep
SELECT create_feature_spec('via_expression', ARRAY[
	lookup('regions', '{city,region=eu_region}'),
	expression('seller_id + shift', 'shifted'),
	expression('CASE WHEN rating > 0 THEN region END', 'eu_region'),
	lookup('sellers', '{shifted}'),
	lookup('items', '{item_id}', '{seller_id}'),
	request_field('shift', 'int'),
	expression('shifted * 10', 'late')]);
SELECT * FROM same($$ SELECT * FROM via_expression_batch('{10,11,10,12}', '{0,0,1,0}') $$);
-- of a feature function, its parameters by position, beside one in a procedural language
CREATE FUNCTION pick(int, numeric) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 || '/' || $2; END $$;
SELECT create_feature_spec('via_function', ARRAY[
	lookup('sellers', '{seller}', '{rating}'),
	expression('spec.pick(item_id, base)', 'picked'),
	feature_function('discounted(numeric,int)', '["base"]', 'off'),
	expression('"off"::int', 'seller'),
	request_field('base', 'numeric'),
	lookup('items', '{item_id}', '{price}')]);
SELECT * FROM same($$ SELECT * FROM via_function_batch('{112,111.11,NULL}', '{10,11,12}') $$);

--
-- Time of the lookup in expressions; labels of the weakest part
--
SELECT create_feature_spec('timed', ARRAY[request_field('since', 'timestamptz'), expression('hours(since, as_of)', 'age'), lookup('users', '{user_id}', '{}')]);
SELECT * FROM timed('2024-01-01', 1, '2024-01-02 12:00');
SELECT function, volatile, parallel FROM signatures WHERE function ~ '^timed';
CREATE FUNCTION unsafe(int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL UNSAFE AS 'SELECT $1 UNION SELECT $1';
SELECT create_feature_spec('unsafe_part', ARRAY[lookup('users', '{user_id}', '{age}'), expression('unsafe(age)', 'x'), expression('age + 1', 'y')]);
SELECT function, parallel FROM signatures WHERE function ~ '^unsafe_part';
SELECT * FROM unsafe_part(1);
CREATE VIEW some_users AS SELECT * FROM users WHERE user_id < 2;
SELECT create_feature_spec('of_view', ARRAY[lookup('some_users', '{user_id}', '{age}')]);
SELECT function, parallel FROM signatures WHERE function ~ '^of_view';
-- policies may call what no parallel worker may run
CREATE TABLE guarded (id int PRIMARY KEY, v int);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
SELECT create_feature_spec('of_guarded', ARRAY[lookup('guarded', '{id}')]);
SELECT function, parallel FROM signatures WHERE function ~ '^of_guarded';

--
-- Expressions: constants, comments, quoting, case, subscripts, types, NULL
--
SELECT create_feature_spec('expressions', ARRAY[
	lookup('users', '{user_id}', '{country,age}', '{"age": "Age \"of\" user"}'),
	expression('42', 'constant'),
	expression('user_id + 1 -- the next', 'next'),
	expression('/* v */ upper(country) || $q$'';--$q$', 'Upper Case'),
	expression('"Age ""of"" user" IS NOT NULL AND "Age ""of"" user" BETWEEN 18 AND 65', 'adult'),
	expression('(ARRAY[country, ''x''])[2]', 'element'),
	expression('(as_of AT TIME ZONE ''Asia/Tokyo'')::date', 'day'),
	expression('ROW(user_id, country) = ROW(1::bigint, ''de''::text)', 'is_first'),
	expression('NULL::int', 'nothing'),
	expression('coalesce(nothing, nullif("Age ""of"" user", 33))', 'picked')]);
SELECT * FROM expressions_batch('{1,2,3}', as_of => '2024-02-29 20:00');

-- functions of all kinds of parameters, names that the view uses itself, fields of composite types
CREATE FUNCTION variadic_one(VARIADIC int[]) RETURNS int LANGUAGE sql IMMUTABLE RETURN cardinality($1);
CREATE FUNCTION second_one(a anyelement, b anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT $2';
CREATE FUNCTION out_one(a int, OUT b int) LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE TYPE point3 AS (x int, y int, z int);
CREATE TABLE t (v int PRIMARY KEY, t int, k text, p point3, ps point3[]);
INSERT INTO t VALUES (1, 2, 'key', '(1,2,3)', '{"(4,5,6)"}');
SELECT create_feature_spec('kinds', ARRAY[
	lookup('t', '{v}'), expression('v + t', 'v_t'), feature_function('variadic_one(int[])', '["v", "t", "v"]', 'count'), feature_function('second_one(anyelement,anyelement)', '{"b": "k", "a": "k"}', 'second'),
	feature_function('out_one(int)', '["t"]', 'out'), expression('(p).y + (ps[1]).z', 'sum'), expression('ROW(v, t, v_t)::point3', 'made'), lookup('users', '{user_id=x}', '{country}'), expression('(made).x', 'x')]);
SELECT * FROM same('SELECT * FROM kinds_batch(''{1,2}'')');
-- many that build on each other: each is computed once
SELECT create_feature_spec('doubled', (SELECT array_agg(expression(CASE n WHEN 50 THEN 'age::bigint' ELSE format('d%s + d%1$s', n + 1) END, 'd' || n) ORDER BY n) FROM generate_series(1, 50) AS n)
	|| lookup('users', '{user_id}', '{age}'), (SELECT array_agg('d' || n) FROM generate_series(2, 50) AS n));
SELECT * FROM doubled_batch('{1,2}');
-- a constant that cannot be computed
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('CASE WHEN age > 0 THEN 1 / 0 END', 'x')]) $$);

--
-- Columns left out; statuses beside outputs
--
SELECT create_feature_spec('shown', ARRAY[
	lookup('users', '{user_id}', default_values => '{"country": "none"}'),
	expression('score * 2', 'twice'), request_field('note', 'text')], '{user_id,score}', with_status => true);
\d shown
SELECT * FROM same($$ SELECT * FROM shown_batch('{1,2,3,NULL}', '{a,b,NULL,c}') $$);
-- what is left out is computed all the same, and statuses are no part of a lookup without outputs
SELECT create_feature_spec('nothing_left', ARRAY[lookup('users', '{user_id}', '{}')], with_status => true);
SELECT * FROM same($$ SELECT * FROM nothing_left_batch('{1,7,NULL}') $$);

--
-- Request fields: of any scalar type, also as the key of lookups
--
CREATE TYPE mood AS ENUM ('fine', 'bad');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
SELECT create_feature_spec('fields', ARRAY[
	request_field('user_id', 'int'), request_field('m', 'mood'), request_field('p', 'percent'), request_field('pair', 'spec.pair'),
	request_field('doc', 'jsonb'), request_field('d', 'date'), request_field('Select', 'varchar'), request_field('c', 'bpchar'), request_field('b', 'bit'),
	lookup('users', '{user_id}', '{country}')]);
SELECT * FROM signatures WHERE function ~ '^fields';
\d fields
SELECT * FROM same($$ SELECT * FROM fields(1, 'bad', 7, '(1,x)', '{"a": 1}', '2024-01-01', 'from', 'ab ', '101') $$);
SELECT * FROM fields_batch('{1,2}', '{bad,fine}', '{7}', ARRAY[ROW(1, 'x')]::pair[], ARRAY['1']::jsonb[], '{2024-01-01}', '{a}', '{b}', '{1}');
-- values that are literals, and integers of other sizes
SELECT user_id, m, p FROM feature_lookup(NULL::fields, 1::bigint, 'bad', '7', NULL, '{}', 'today', 'x', 'y', '1');

--
-- Names: in mixed case, reserved, unqualified, of 55 bytes
--
CREATE SCHEMA "Spec Two";
CREATE TABLE "Spec Two"."Order" ("Group" int PRIMARY KEY, "Limit" int, "a=b" int);
INSERT INTO "Spec Two"."Order" VALUES (1, 2, 3);
SELECT create_feature_spec('"Spec Two"."The Spec"', ARRAY[lookup('"Spec Two"."Order"', '{Group}'), expression('"Limit" + "a=b"', 'Sum')]);
SELECT * FROM "Spec Two"."The Spec_batch"('{1,2}');
SELECT * FROM feature_lookup_json('"Spec Two"."The Spec"', '{"Group": 1}');
SELECT create_feature_spec('Spec.Lower_Case', ARRAY[lookup('users', '{user_id}', '{age}')]);
SELECT age FROM lower_case(1);
SELECT create_feature_spec(repeat('n', 55), ARRAY[lookup('users', '{user_id}', '{age}', jsonb_build_object('age', repeat('o', 63)))])::text = repeat('n', 55) AS longest;
SELECT proname ~ '^n{55}_vectors$' AS longest FROM pg_proc WHERE proname ~ '^nnn.*vectors';
SELECT drop_feature_spec(repeat('n', 55));
SET search_path = "Spec Two", spec, featurestore;
SELECT create_feature_spec('where', ARRAY[lookup('users', '{user_id}', '{age}')]);
-- of specs with the same name the first in the path
SELECT drop_feature_spec('"The Spec"');
SET search_path = spec, featurestore;

--
-- Dropping
--
SELECT drop_feature_spec('lower_case');
SELECT refused($$ SELECT drop_feature_spec('lower_case') $$);
SELECT refused($$ SELECT drop_feature_spec(NULL) $$);
SELECT refused($$ SELECT drop_feature_spec('users') $$);
SELECT refused($$ SELECT drop_feature_spec('no_such_schema.s') $$);
CREATE VIEW on_spec AS SELECT age FROM of_view(1);
SELECT refused($$ SELECT drop_feature_spec('of_view') $$);
SELECT * FROM on_spec;
DROP VIEW on_spec;
-- renamed and moved, a spec is still one
ALTER VIEW of_view RENAME TO viewed;
ALTER FUNCTION of_view_batch RENAME TO all_of_view;
SELECT * FROM all_of_view('{1,2}');
SELECT * FROM feature_lookup_json('viewed', '{"user_id": 1}');
SELECT refused($$ DROP VIEW viewed $$);
ALTER VIEW viewed SET SCHEMA "Spec Two";
SELECT * FROM of_view(1);
SELECT drop_feature_spec('"Spec Two".viewed');
SELECT * FROM objects WHERE name ~ 'view';
-- with CASCADE from below, everything of it goes
CREATE TABLE doomed (id int PRIMARY KEY, v int, w int);
SELECT create_feature_spec('short_lived', ARRAY[lookup('doomed', '{id}', '{v}')]);
SELECT refused('DROP TABLE doomed');
SELECT refused('ALTER TABLE doomed DROP COLUMN v');
SELECT refused('ALTER TABLE doomed DROP COLUMN id');
ALTER TABLE doomed DROP COLUMN w;
SELECT * FROM short_lived(1);
SET client_min_messages = warning;
ALTER TABLE doomed DROP COLUMN v CASCADE;
SELECT * FROM objects WHERE name ~ 'short_lived';
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 * 2;
CREATE OPERATOR @@@ (FUNCTION = twice, RIGHTARG = int);
SELECT create_feature_spec('short_lived', ARRAY[lookup('doomed', '{id}', '{}'), expression('@@@ id', 'x')]);
SELECT * FROM short_lived(4);
DROP OPERATOR @@@ (NONE, int) CASCADE;
SELECT * FROM objects WHERE name ~ 'short_lived';
SELECT create_feature_spec('short_lived', ARRAY[lookup('doomed', '{id}', '{}'), expression('twice(id)', 'x')]);
DROP FUNCTION twice CASCADE;
SELECT * FROM objects WHERE name ~ 'short_lived';
SELECT create_feature_spec('short_lived', ARRAY[lookup('doomed', '{id}', '{}')]);
DROP TABLE doomed CASCADE;
SELECT * FROM objects WHERE name ~ 'short_lived';
DROP SCHEMA "Spec Two" CASCADE;
SELECT * FROM objects WHERE kind IN ('spec', 'lost');
RESET client_min_messages;

-- the extension itself goes without a trace in a database of its own
SELECT current_database() AS home \gset
CREATE DATABASE regress_featurestore_spec;
\c regress_featurestore_spec
SET client_min_messages = warning;
CREATE EXTENSION featurestore;
CREATE TABLE t (id int PRIMARY KEY, v int);
SELECT featurestore.create_feature_spec('s', ARRAY[featurestore.lookup('t', '{id}')]);
DROP EXTENSION featurestore;
DROP EXTENSION featurestore CASCADE;
SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace;
SELECT nspname FROM pg_namespace WHERE nspname = 'featurestore';
SELECT evtname FROM pg_event_trigger;
CREATE EXTENSION featurestore;
DROP EXTENSION featurestore;
\c :home
DROP DATABASE regress_featurestore_spec;
SET client_min_messages = warning;
DROP SCHEMA spec CASCADE;
SELECT count(*) FROM featurestore.spec WHERE relation NOT IN (SELECT oid FROM pg_class);
