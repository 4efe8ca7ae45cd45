--
-- What create_feature_spec refuses, and that it leaves nothing behind
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA spec_errors;
RESET client_min_messages;
SET search_path = spec_errors, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

CREATE TABLE users (user_id bigint PRIMARY KEY, email text UNIQUE, age int, tags text[], emb float4[]);
CREATE TABLE stock (shop int, item int, n int, PRIMARY KEY (shop, item));
CREATE TABLE sessions (user_id bigint, seen timestamptz, clicks int, PRIMARY KEY (user_id, seen));
CREATE TABLE local_sessions (user_id bigint, seen timestamp, clicks int, PRIMARY KEY (user_id, seen));
CREATE TABLE no_key (a int, b int);
CREATE TABLE other_key (id text PRIMARY KEY, ref numeric UNIQUE, doc json, at date);
CREATE TABLE array_key (id int[] PRIMARY KEY, v int);
CREATE SEQUENCE a_sequence;
CREATE INDEX an_index ON users (age);
\pset format unaligned
\pset tuples_only on

-- the spec as a whole
SELECT refused($$ SELECT create_feature_spec('s', NULL) $$);
SELECT refused($$ SELECT create_feature_spec('s', '{}') $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[NULL::spec_item]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[ROW('join', '{}')::spec_item]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[ROW('lookup', NULL)::spec_item]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[ROW('lookup', '[]')::spec_item]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[ROW('request_field', '{"name": "x"}')::spec_item]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[ROW('expression', '{}')::spec_item]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[expression('1', 'one')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', (SELECT array_agg(request_field('f' || n, 'int')) FROM generate_series(1, 91) AS n)) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}')], '{user_id,age}') $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}')], '{email}') $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}')], '{NULL}') $$);

-- its name
SELECT refused($$ SELECT create_feature_spec(NULL, ARRAY[lookup('users', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('', ARRAY[lookup('users', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('a b', ARRAY[lookup('users', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('a.b.c', ARRAY[lookup('users', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('pg_temp.s', ARRAY[lookup('users', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('no_such_schema.s', ARRAY[lookup('users', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec(repeat('n', 56), ARRAY[lookup('users', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec(repeat('ö', 32), ARRAY[lookup('users', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('users', ARRAY[lookup('users', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('an_index', ARRAY[lookup('users', '{user_id}')], replace => true) $$);
CREATE FUNCTION taken_batch(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
SELECT refused($$ SELECT create_feature_spec('taken', ARRAY[lookup('users', '{user_id}')]) $$);
DROP FUNCTION taken_batch;
CREATE DOMAIN taken AS int;
SELECT refused($$ SELECT create_feature_spec('taken', ARRAY[lookup('users', '{user_id}')]) $$);
DROP DOMAIN taken;
SET search_path = no_such_schema;
SELECT spec_errors.refused($$ SELECT featurestore.create_feature_spec('s', ARRAY[featurestore.lookup('spec_errors.users', '{user_id}')]) $$);
SET search_path = spec_errors, featurestore;

-- what is looked up
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup(NULL, '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('nothing', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('x', 'int'), ROW('lookup', '{"table": "spec_errors.nothing"}')::spec_item]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('a_sequence', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('an_index', '{user_id}')]) $$);
CREATE TEMP TABLE a_temp (id int PRIMARY KEY);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('a_temp', '{id}')]) $$) ~ '^42809: item 1 \(lookup of pg_temp_\d+.a_temp\): it is temporary';
SELECT create_feature_spec('chained', ARRAY[lookup('users', '{user_id}', '{age}')]);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('chained', '{user_id}')]) $$);
SELECT drop_feature_spec('chained');

-- lookup_key
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', NULL)]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{NULL}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{""}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{a,b}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{age=a}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id=}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id=as_of}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', ARRAY['user_id=' || repeat('x', 64)])]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('stock', '{shop,other}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('stock', '{shop=a,shop=b}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('stock', '{item}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('stock', '{a}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id,email}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('no_key', '{a}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('no_key', '{c}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('sessions', '{seen}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('local_sessions', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('array_key', '{id}')]) $$);
SELECT format('CREATE TABLE wide (%s)', string_agg(format('c%s int', n), ', ')) FROM generate_series(1, 40) AS n \gexec
CREATE VIEW wide_view AS SELECT * FROM wide;
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('wide_view', (SELECT array_agg('c' || n) FROM generate_series(1, 33) AS n))]) $$);
SELECT create_feature_spec('s', ARRAY[lookup('wide_view', (SELECT array_agg('c' || n) FROM generate_series(1, 32) AS n))], (SELECT array_agg('c' || n) FROM generate_series(1, 39) AS n));
SELECT feature_lookup_json('s', (SELECT jsonb_object_agg('c' || n, n) FROM generate_series(1, 32) AS n));
SELECT drop_feature_spec('s');

-- types of keys
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('k', 'text'), lookup('users', '{user_id=k}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('k', 'numeric'), lookup('users', '{user_id=k}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('k', 'int'), lookup('other_key', '{ref=k}', '{doc}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('k', 'bpchar'), lookup('other_key', '{id=k}', '{doc}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id=key}', '{age}'), lookup('other_key', '{id=key}', '{doc}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}'), lookup('other_key', '{id=age}', '{doc}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{}'), expression('user_id / 2.5', 'half'), lookup('stock', '{shop=half,item=half}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('k', 'timestamptz'), request_field('i', 'int'), lookup('sessions', '{user_id=i,seen=x}'), expression('k AT TIME ZONE ''UTC''', 'x')]) $$);

CREATE TABLE shapes (b box, j json, n int);
CREATE VIEW shape_view AS SELECT * FROM shapes;
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('shape_view', '{b}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('shape_view', '{j}')]) $$);

-- feature_names, rename_outputs, default_values, bounds
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{nothing}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{NULL}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{ctid}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age,age}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age[3]}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{emb[0]}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{emb[x]}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{emb[1000000]}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{user_id}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', '{"email": "x"}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', '{"age": ""}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', '{"age": "as_of"}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', '{"age": "user_id"}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', jsonb_build_object('age', repeat('é', 32)))]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', '{"age": 1}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', '[]')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', NULL, NULL)]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', '{"age": "x"}', '{"age": 1}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', default_values => '{"age": "many"}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', default_values => '{"age": 3000000000}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{emb}', default_values => '{"emb": [1, "x"]}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', max_age => '1 day')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('sessions', '{user_id}', max_age => '1 month')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('sessions', '{user_id}', max_age => '0')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('sessions', '{user_id}', max_age => '-1 day')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('sessions', '{user_id}', max_lag => '1 day')]) $$);
CREATE DOMAIN adult AS int CHECK (VALUE >= 18);
CREATE TABLE grown (id int PRIMARY KEY, age adult);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('grown', '{id}', default_values => '{"age": 3}')]) $$);

-- request fields
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('x', 'nothing')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('x', NULL)]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field(NULL, 'int')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('', 'int')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('as_of', 'timestamptz')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('x', 'int[]')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('x', 'anyelement')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('x', 'int'), request_field('x', 'int')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}'), request_field('age', 'int')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field(repeat('x', 64), 'int')]) $$);

-- expressions
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression(NULL, 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('age', NULL)]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('age +', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('age, age', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('age FROM users', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('age) AS y, (age', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('age; DROP TABLE users', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('agee + 1', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('v.age', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('v', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('ROW(v.*)', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('*', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('$1', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('(SELECT 1)', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('age IN (SELECT n FROM stock)', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('count(*)', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('sum(age)', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('rank() OVER ()', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('generate_series(1, age)', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('now() - as_of', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('current_date', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('as_of::date', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('random() + age', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('current_user', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('age + email', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('email::int + 1', 'age')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('nothing(age)', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('1 / 0', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('ROW(age)', 'x')]) $$);

-- feature functions
CREATE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE RETURN a + b;
CREATE FUNCTION plus(a int, b bigint) RETURNS int LANGUAGE sql IMMUTABLE RETURN 0;
CREATE FUNCTION stable_plus(a int, b int) RETURNS int LANGUAGE sql STABLE RETURN a + b;
CREATE FUNCTION many(a int) RETURNS SETOF int LANGUAGE sql IMMUTABLE RETURN a;
CREATE FUNCTION nothing(a int) RETURNS void LANGUAGE sql IMMUTABLE RETURN NULL;
CREATE PROCEDURE proc(a int) LANGUAGE sql AS '';
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function(NULL, '{}', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('minus(int)', '{}', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('plus(int,int)', NULL, 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('plus(int,int)', '"age"', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('plus(int,int)', '["age"]', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('plus(int,int)', '{"a": "age", "c": "age"}', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('plus(int,int)', '{"a": "age", "b": "nothing"}', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('plus(int,int)', '{"a": "age", "b": 1}', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('plus(int,int)', '{"a": "age", "b": null}', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('plus(int,int)', '["age", "user_id"]', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('stable_plus(int,int)', '["age", "age"]', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('many(int)', '["age"]', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('nothing(int)', '["age"]', 'x')]) $$);
CREATE FUNCTION two(a int, OUT b int, OUT c int) LANGUAGE sql IMMUTABLE AS 'SELECT 1, 2';
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('two(int)', '["age"]', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('proc(int)', '["age"]', 'x')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), feature_function('pg_catalog.sum(int)', '["age"]', 'x')]) $$);

-- between items
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), lookup('users', '{user_id=other}')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}'), expression('age', 'age')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}'), expression('age', 'user_id')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}'), expression('b + 1', 'a'), expression('c + 1', 'b'), expression('a + 1', 'c'), expression('age + 1', 'd')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('x', 'int'), lookup('stock', '{shop=x,item}', '{n}'), expression('n', 'item')]) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[request_field('x', 'int'), expression('y + x', 'y')]) $$);
-- status columns
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age,email}', '{"email": "age_status"}')], with_status => true) $$);
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}', jsonb_build_object('age', repeat('x', 57)))], with_status => true) $$);

-- nothing is left behind
SELECT * FROM objects WHERE kind IN ('view', 'spec', 'lost') OR name ~ '^s(_|$)' OR name ~ '^taken';
SELECT count(*) FROM pg_type WHERE typname IN ('s', '_s', 'taken') AND typnamespace = 'spec_errors'::regnamespace;
-- neither after a statement of its own, outside of any subtransaction
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}'), expression('now()', 'x')]);
\echo :SQLSTATE
SELECT * FROM objects WHERE kind IN ('spec', 'lost') OR name ~ '^s(_|$)';
-- and what was refused can be mended in the same transaction
BEGIN;
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}'), expression('now()', 'x')]) $$);
SELECT create_feature_spec('s', ARRAY[lookup('users', '{user_id}', '{age}'), expression('as_of', 'x')]);
SELECT age FROM s(1);
ROLLBACK;
SELECT * FROM objects WHERE kind IN ('spec', 'lost') OR name ~ '^s(_|$)';

\pset format aligned
\pset tuples_only off
SET client_min_messages = warning;
DROP SCHEMA spec_errors CASCADE;
