--
-- Lookups by json: forms of a request, overrides, types, what is refused, metadata
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA lookup_json;
RESET client_min_messages;
SET search_path = lookup_json, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql
\pset tuples_only on
\pset format unaligned

CREATE TYPE mood AS ENUM ('fine', 'bad');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE users (user_id bigint PRIMARY KEY, country text, item_id int, emb float4[], tags text[], meta jsonb, active boolean, secret text);
CREATE TABLE items (item_id int PRIMARY KEY, price numeric(6,2), weight float8);
CREATE TABLE sessions (user_id bigint, at timestamptz, clicks int, PRIMARY KEY (user_id, at));
INSERT INTO users VALUES (1, 'de', 10, '{1,2}', '{a,b}', '{"k": [1, 2]}', true, 's1'), (2, 'fr', NULL, NULL, '{}', 'null', false, 's2');
INSERT INTO items VALUES (10, 9.5, 1), (11, 20, NULL);
INSERT INTO sessions VALUES (1, '2024-01-01', 5);
SELECT create_feature_spec('s', ARRAY[
	lookup('users', '{user_id}', default_values => '{"country": "??"}'), lookup('items', '{item_id}', '{price,weight}'), lookup('sessions', '{user_id}', '{clicks}'),
	request_field('hour', 'float8'), expression('price * hour::numeric', 'product'), expression('product + length(secret)', 'sum')], '{secret}');

--
-- Forms
--
SELECT * FROM same($$ SELECT * FROM feature_lookup_json('s', '{"user_id": 1, "hour": 2}') $$);
SELECT j->'user_id', j->'price', j->'hour', j->'country' FROM feature_lookup_json('s', '{"user_id": [2, 1, 1, 3, null], "hour": [0.5]}') AS j;
SELECT j->'user_id', j->'price', j->'hour', j->'country' FROM feature_lookup_json('s', '[{"user_id": 2, "hour": 1}, {"hour": null, "user_id": 1}, {"user_id": null, "hour": 3}]') AS j;
SELECT count(*) FROM feature_lookup_json('s', '[]');
SELECT count(*) FROM feature_lookup_json('s', '{"user_id": [], "hour": []}');
SELECT count(*) FROM feature_lookup_json('s', '{"user_id": [], "hour": 1}');
SELECT count(*) FROM feature_lookup_json('s', '{"user_id": [1], "hour": [1, 2, 3]}');
-- the last of two like keys counts, as in jsonb
SELECT j->'user_id' FROM feature_lookup_json('s', '{"user_id": 2, "user_id": 1, "hour": 1}') AS j;
-- as_of
SELECT j->'clicks' FROM feature_lookup_json('s', '{"user_id": 1, "hour": 1}', '2023-12-31') AS j;
SELECT j->'clicks' FROM feature_lookup_json('s', '{"user_id": 1, "hour": 1}', as_of => '2024-01-01') AS j;
-- many
SELECT count(*), sum((j->>'price')::numeric) FROM feature_lookup_json('s', (SELECT jsonb_agg(jsonb_build_object('user_id', n % 3, 'hour', n)) FROM generate_series(1, 3000) AS n)) AS j;
-- in a function, a cursor, the select list, LATERAL
SELECT feature_lookup_json('s', '{"user_id": [1, 2], "hour": 1}')->'country';
SELECT u.user_id, j->'product' FROM users AS u, LATERAL feature_lookup_json('s', jsonb_build_object('user_id', u.user_id, 'hour', 2)) AS j ORDER BY 1;

--
-- Values of the request for outputs
--
CREATE FUNCTION given(records jsonb, shown text[] DEFAULT '{user_id,country,item_id,price,product,sum}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT string_agg(c || '=' || coalesce(j->'values'->>c, '-') || ' ' || coalesce(j->'status'->c->>'status', ''), ', ' ORDER BY o)
	FROM feature_lookup_json('s', records, '2024-06-01', true) WITH ORDINALITY AS r(j, n), unnest(shown) WITH ORDINALITY AS s(c, o) GROUP BY n ORDER BY n $$;
-- of a lookup
SELECT given('{"user_id": [1, 2, 3], "hour": 2, "country": "it"}');
SELECT given('{"user_id": [1, 2, 3], "hour": 2, "country": [null, "x", "y"]}');
SELECT given('[{"user_id": 1, "hour": 2, "country": "it"}, {"user_id": 1, "hour": 2}, {"user_id": 3, "hour": 2, "country": null}]');
-- of one that is a key of another lookup
SELECT given('{"user_id": 1, "hour": 2, "item_id": [11, 10, 12, null]}');
SELECT given('[{"user_id": 1, "hour": 2, "item_id": 11}, {"user_id": 1, "hour": 2}, {"user_id": 2, "hour": 2, "item_id": 10}, {"user_id": 2, "hour": 2}]');
-- of computed ones, and of what these need
SELECT given('{"user_id": [1, 2], "hour": 2, "product": 100}');
SELECT given('{"user_id": [1, 2], "hour": 2, "sum": [7, null]}');
SELECT given('{"user_id": [1, 2], "hour": 2, "price": 3.456}');
-- of a hidden one
SELECT given('{"user_id": [1, 2, 3], "hour": 2, "secret": "four"}');
-- of arrays: one for all, or an array of them
SELECT j->'emb', j->'tags', j->'meta' FROM feature_lookup_json('s', '{"user_id": [1, 2], "hour": 1, "emb": [7, 8, null], "tags": [], "meta": {"x": []}}') AS j;
SELECT j->'emb', j->'tags', j->'meta' FROM feature_lookup_json('s', '{"user_id": 1, "hour": 1, "emb": [[7, 8], [9]], "tags": [["x"], null], "meta": [[1], {"a": 1}]}') AS j;
SELECT j->'emb', j->'tags', j->'meta' FROM feature_lookup_json('s', '[{"user_id": 1, "hour": 1, "emb": [7, 8], "meta": [1, [2]]}, {"user_id": 1, "hour": 1, "tags": ["x"]}, {"user_id": 1, "hour": 1, "emb": null, "meta": null}]') AS j;
-- of one that is the same for all rows, over several chunks
SELECT count(*), count(DISTINCT j->'country'), sum((j->>'price')::numeric) FROM feature_lookup_json('s', (SELECT jsonb_build_object('user_id', 1, 'hour', jsonb_agg(n), 'country', jsonb_agg('c' || n % 7)) FROM generate_series(1, 3000) AS n)) AS j;
SELECT count(*), count(DISTINCT j->'country'), sum((j->>'price')::numeric) FROM feature_lookup_json('s', (SELECT jsonb_agg(jsonb_build_object('user_id', 1, 'hour', n) || CASE WHEN n % 2 = 0 THEN jsonb_build_object('item_id', 11) ELSE '{}' END) FROM generate_series(1, 3000) AS n)) AS j;
-- an expression for a key is not computed where its output is given
CREATE FUNCTION strict_item(x text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x::int; END $$;
SELECT create_feature_spec('early', ARRAY[request_field('x', 'text'), expression('strict_item(x)', 'item'), lookup('items', '{item_id=item}', '{price}')]);
SELECT feature_lookup_json('early', '[{"x": "10"}, {"x": "11", "item": 10}, {"x": "bad", "item": 11}]');
SELECT refused($$ SELECT feature_lookup_json('early', '[{"x": "10"}, {"x": "bad", "item": null}, {"x": "bad"}]') $$);

--
-- Types
--
SELECT create_feature_spec('typed', ARRAY[request_field('i2', 'int2'), request_field('i8', 'int8'), request_field('f4', 'float4'), request_field('n', 'numeric'), request_field('b', 'boolean'),
	request_field('t', 'text'), request_field('v', 'varchar'), request_field('d', 'date'), request_field('tz', 'timestamptz'), request_field('iv', 'interval'), request_field('u', 'uuid'), request_field('by', 'bytea'),
	request_field('m', 'mood'), request_field('p', 'pair'), request_field('j', 'jsonb'), request_field('js', 'json'), request_field('r', 'int4range'), request_field('ip', 'inet')]);
CREATE TABLE right_values AS SELECT '{"i2": -32768, "i8": 9223372036854775807, "f4": 0.1, "n": 1e-20, "b": false, "t": "1", "v": "", "d": "2024-02-29", "tz": "2024-01-01T00:00:00+01:00",
	"iv": "1 day", "u": "00000000-0000-0000-0000-000000000001", "by": "\\x00ff", "m": "bad", "p": "(1,x)", "j": {"a": [null]}, "js": {"b":1}, "r": "[1,3)", "ip": "::1"}'::jsonb AS v;
SELECT feature_lookup_json('typed', v) FROM right_values;
SELECT feature_lookup_json('typed', (SELECT jsonb_object_agg(key, NULL) FROM jsonb_each(v))) FROM right_values;
-- what it gives it takes
SELECT once = twice FROM right_values, feature_lookup_json('typed', v || '{"p": null}') AS once, feature_lookup_json('typed', once) AS twice;
SELECT refused(format('SELECT feature_lookup_json(''typed'', %L)', right_values.v || wrong))
FROM right_values, (VALUES (1, '{"i2": "1"}'::jsonb), (2, '{"i2": 32768}'), (3, '{"i2": 1.5}'), (4, '{"i2": true}'), (5, '{"i8": 9223372036854775808}'), (6, '{"i8": {}}'), (7, '{"f4": "NaN"}'), (8, '{"n": "1"}'),
	(9, '{"b": 1}'), (10, '{"b": "true"}'), (11, '{"t": 1}'), (12, '{"t": true}'), (13, '{"t": {}}'), (14, '{"d": 20240229}'), (15, '{"d": "2023-02-29"}'), (16, '{"u": "x"}'), (17, '{"m": "awful"}'), (18, '{"p": {"a": 1}}'),
	(19, '{"i8": [[1]]}'), (20, '{"t": [["a"], ["b"]]}'), (21, '{"tz": "noon-ish"}'), (22, '{"by": "\\xzz"}')) AS w(n, wrong) ORDER BY n;
SELECT feature_lookup_json('typed', jsonb_build_array(v || '{"j": [1, [2]], "js": []}')) = feature_lookup_json('typed', v || '{"j": [[1, [2]]], "js": [[]]}') FROM right_values;
-- outputs, of their columns' types
SELECT refused($$ SELECT feature_lookup_json('s', '{"user_id": 1, "hour": 1, "price": "9"}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '{"user_id": 1, "hour": 1, "price": 123456}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '{"user_id": 1, "hour": 1, "emb": ["1"]}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '{"user_id": 1, "hour": 1, "emb": "{1,2}"}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '[{"user_id": 1, "hour": 1, "emb": [[1], [2]]}]') $$);

--
-- Records that are no request
--
SELECT refused($$ SELECT feature_lookup_json('s', '1') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '"x"') $$);
SELECT refused($$ SELECT feature_lookup_json('s', 'null') $$);
SELECT left(refused($$ SELECT feature_lookup_json('s', '{"user_id": 1, "hour"}') $$), 5);
SELECT refused($$ SELECT feature_lookup_json('s', '{}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '[{}]') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '{"user_id": 1}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '[{"user_id": 1, "hour": 1}, {"hour": 1}]') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '[{"user_id": 1, "hour": 1}, 2]') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '[[{"user_id": 1, "hour": 1}]]') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '[null]') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '{"user_id": 1, "hour": 1, "colour": "red"}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '{"user_id": 1, "hour": 1, "as_of": "2024-01-01"}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '{"USER_ID": 1, "hour": 1}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '{"user_id": [1, 2], "hour": [1, 2, 3]}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '{"user_id": [1, 2], "hour": 1, "country": ["a", "b", "c"]}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '{"user_id": [1, 2], "hour": []}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', '{"user_id": [[1, 2]], "hour": 1}') $$);
SELECT refused($$ SELECT feature_lookup_json('nothing', '{}') $$);
SELECT refused($$ SELECT feature_lookup_json(NULL, '{}') $$);
SELECT refused($$ SELECT feature_lookup_json('s', NULL) $$);
SELECT refused($$ SELECT * FROM explain_lookup('s', '{"user_id": 1}') $$);
SELECT count(*) FROM explain_lookup('s', NULL);

-- what a type's input raises says of which value it is
\set VERBOSITY default
\set SHOW_CONTEXT errors
SELECT feature_lookup_json('s', '[{"user_id": 1, "hour": 2, "item_id": 1}, {"user_id": 1.5, "hour": 2, "item_id": 1}]');
\set SHOW_CONTEXT never
SELECT bool_and(buffers > 0) AS buffers, bool_and("time" > 0) AS "time" FROM explain_lookup('s', '{"user_id": 1, "hour": 2, "item_id": [1, 2]}') WHERE path = 'index';

--
-- Metadata
--
SELECT jsonb_pretty(j - '{snapshot,system_identifier}'::text[]) FROM feature_lookup_json('s', '{"user_id": 1, "hour": 2, "country": "it"}', '2024-06-01', true) AS j;
SELECT create_feature_spec('s', ARRAY[
	lookup('users', '{user_id}', default_values => '{"country": "??"}'), lookup('items', '{item_id}', '{price,weight}'), lookup('sessions', '{user_id}', '{clicks}'),
	request_field('hour', 'float8')], '{secret}', with_status => true, replace => true);
SELECT jsonb_pretty(j - '{snapshot,system_identifier}'::text[]) FROM feature_lookup_json('s', '{"user_id": 2, "hour": 2}', '2024-06-01', true) AS j;
SELECT j->'as_of', j->'version', j->'spec' FROM feature_lookup_json('s', '{"user_id": 2, "hour": 2}', 'infinity', true) AS j;
SELECT feature_lookup_json('s', '{"user_id": 2, "hour": 2}', '2024-06-01', NULL) = feature_lookup_json('s', '{"user_id": 2, "hour": 2}', '2024-06-01');
SET TimeZone = 'Asia/Tokyo';
SELECT j->'as_of', j->'status'->'clicks' FROM feature_lookup_json('s', '{"user_id": 1, "hour": 2}', '2024-06-01 09:00+09', true) AS j;

SET client_min_messages = warning;
DROP SCHEMA lookup_json CASCADE;
