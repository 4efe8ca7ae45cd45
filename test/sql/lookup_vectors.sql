--
-- Vectors and matrices: what becomes a number, and in which order
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA lookup_vectors;
RESET client_min_messages;
SET search_path = lookup_vectors, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql
\pset tuples_only on
\pset format unaligned

-- number n of a matrix, taken apart by hand: little-endian IEEE 754
CREATE FUNCTION number_at(matrix bytea, n bigint) RETURNS float4 LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	bits bigint := get_byte(matrix, 4 * n::int) + (get_byte(matrix, 4 * n::int + 1) << 8) + (get_byte(matrix, 4 * n::int + 2) << 16) + (get_byte(matrix, 4 * n::int + 3)::bigint << 24);
	sign float8 := CASE WHEN bits >> 31 = 1 THEN -1 ELSE 1 END;
	exponent int := (bits >> 23) & 255;
	fraction float8 := (bits & 8388607) / 8388608.0;
BEGIN
	IF exponent = 255 THEN
		RETURN CASE WHEN fraction > 0 THEN 'NaN'::float8 ELSE sign * 'Infinity'::float8 END;
	END IF;
	RETURN sign * power(2::float8, greatest(exponent, 1) - 127) * (CASE WHEN exponent > 0 THEN 1 ELSE 0 END + fraction);
END $$;
CREATE FUNCTION rows_of(matrix bytea, width bigint) RETURNS SETOF float4[] LANGUAGE sql AS $$
	SELECT array_agg(number_at(matrix, n) ORDER BY n) FROM generate_series(0, length(matrix) / 4 - 1) AS n GROUP BY n / width ORDER BY n / width $$;

--
-- All types that are numbers
--
CREATE DOMAIN score AS numeric(4,1) CHECK (VALUE < 500);
CREATE DOMAIN pair AS float8[] CHECK (cardinality(VALUE) = 2);
CREATE TABLE numbers (id int PRIMARY KEY, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, b boolean, dom score,
	emb float4[], counts int2[], mixed numeric[], flags boolean[], big float8[], longs int8[], d pair);
INSERT INTO numbers VALUES
	(1, -32768, 2147483647, 9007199254740993, 0.1, 0.1, 0.1, true, 99.94, '{1,2,3}', '{4,5}', '{1.5,NaN}', '{t,f}', '{1e300,-1e300}', '{-1}', '{1,2}'),
	(2, 32767, -2147483648, -9223372036854775808, 'NaN', 'NaN', 'NaN', false, NULL, '{NULL,-0,Infinity}', '{NULL,NULL}', '{1e400,-1e400}', '{NULL,t}', '{NaN,1e-300}', '{9223372036854775807}', NULL),
	(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(4, 0, 0, 0, '-Infinity', 1e39, -1e400, NULL, -0.04, '[5:7]={7,8,9}', '{{1},{2}}', '{0,0}', '{f,f}', '{0,0}', '{0}', '{0,0}');
SELECT create_feature_spec('all_numbers', ARRAY[lookup('numbers', '{id}', '{i2,i4,i8,f4,f8,n,b,dom,emb,counts[2],mixed,flags,big,longs,d[2]}')]);
SELECT feature_matrix_columns('all_numbers');
SELECT * FROM same($$ SELECT * FROM all_numbers_vectors('{1,2,3,4,5,NULL}') $$);
SELECT rows_of(all_numbers_matrix('{1,2,3,4,5,NULL}'), cardinality(feature_matrix_columns('all_numbers')));
SELECT count(*) AS rows, bool_and(v::text = m::text) AS same FROM (SELECT v, row_number() OVER () AS n FROM all_numbers_vectors('{4,2,1,3,1,5}') AS v) AS a
	JOIN (SELECT m, row_number() OVER () AS n FROM rows_of(all_numbers_matrix('{4,2,1,3,1,5}'), cardinality(feature_matrix_columns('all_numbers'))) AS m) AS b USING (n);
-- by the name of the spec, with values and arrays
SELECT * FROM feature_vectors('all_numbers', 1);
SELECT length(feature_matrix('all_numbers', ARRAY[1, 2])), feature_matrix('all_numbers', '{1,2}'::int8[]) = all_numbers_matrix('{1,2}');

--
-- In the order of the spec, arrays in place, fields and expressions as well; keys, hidden columns and statuses are no part
--
CREATE TABLE users (user_id bigint PRIMARY KEY, name text, age int, emb float8[]);
CREATE TABLE items (item_id int PRIMARY KEY, price numeric, stock int);
INSERT INTO users VALUES (1, 'ann', 33, '{0.5,0.25}'), (2, NULL, NULL, NULL);
INSERT INTO items VALUES (10, 9.5, 3), (11, 1, NULL);
SELECT create_feature_spec('ranker', ARRAY[
	expression('price * hour', 'product'), lookup('items', '{item_id}', rename_outputs => '{"price": "p"}', default_values => '{"stock": -1}'),
	expression('p', 'price'), lookup('users', '{user_id}'), request_field('hour', 'int'), expression('coalesce(length(name), 0)', 'length')], '{name,p}', with_status => true);
SELECT feature_matrix_columns('ranker');
SELECT * FROM same($$ SELECT * FROM ranker_vectors(item_id => '{10,11,12,10}', user_id => '{1,2,3,NULL}', hour => '{1,2,3,1}') $$);
SELECT * FROM same($$ SELECT * FROM ranker_vectors('{10,11,12,10}', '{1}', '{2}') $$);
SELECT rows_of(ranker_matrix('{10,11,12,10}', '{1}', '{2}'), 8);
SELECT rows_of(ranker_matrix('{10}', '{2,3}', '{1,2}', '2024-01-01'), 8);
SELECT rows_of(ranker_matrix(item_id => '{10}', hour => '{2}', user_id => '{1}', as_of => '2024-01-01'), 8);
-- over chunks, what is the same for all rows with what is not
SELECT count(*), sum(nullif(v[1], 'NaN')), min(v[4]), max(v[4]), sum(v[7]), sum(v[5]) FROM ranker_vectors((SELECT array_agg(10 + n % 3 ORDER BY n) FROM generate_series(1, 5000) AS n), '{1}', '{2}') AS v;
SELECT count(*), sum(nullif(v[1], 'NaN')), min(v[4]), max(v[4]), sum(v[7]), sum(v[5]) FROM rows_of(ranker_matrix((SELECT array_agg(10 + n % 3 ORDER BY n) FROM generate_series(1, 1500) AS n), '{1}', '{2}'), 8) AS v;

-- no rows, no numbers
SELECT count(*) FROM ranker_vectors('{}', '{}', '{}');
SELECT ranker_matrix('{}', '{1}', '{1}') = '', feature_matrix('ranker', '{}'::int[], 1, '{}'::int[]) = '';
SELECT create_feature_spec('nothing', ARRAY[lookup('users', '{user_id}', '{}')]);
SELECT feature_matrix_columns('nothing'), nothing_matrix('{1,2}') = '';
SELECT * FROM nothing_vectors('{1,2}');
SELECT create_feature_spec('one', ARRAY[lookup('items', '{item_id}', '{stock}')]);
SELECT one_matrix('{10,11,12,13}');
-- in the select list, joined with rows in order
SELECT one_vectors('{10,11}'), 'x';
SELECT i, v FROM ROWS FROM (unnest('{11,10}'::int[]), one_vectors('{11,10}')) AS r(i, v);

--
-- What is no number is refused by name, also where there are no rows
--
SELECT create_feature_spec('texts', ARRAY[lookup('users', '{user_id}', '{age,name}')]);
SELECT refused($$ SELECT * FROM texts_vectors('{1}') $$);
SELECT refused($$ SELECT * FROM texts_vectors('{}') $$);
SELECT refused($$ SELECT texts_matrix('{1}') $$);
SELECT refused($$ SELECT feature_vectors('texts', 1) $$);
SELECT refused($$ SELECT feature_matrix('texts', 1) $$);
SELECT refused($$ SELECT feature_matrix_columns('texts') $$);
SELECT * FROM texts(1);
CREATE TABLE others (id int PRIMARY KEY, d date, j jsonb, m money, o oid, t text[], i interval, iv int2vector, r int4range, p pair[]);
SELECT refused(format('SELECT create_feature_spec(''other'', ARRAY[lookup(''others'', ''{id}'', ''{%s}'')], replace => true), feature_vectors(''other'', 1)', c)) FROM unnest('{d,j,m,o,t,i,iv,r,p}'::text[]) AS c;
SELECT refused($$ SELECT feature_matrix_columns('users') $$);
SELECT feature_matrix_columns(NULL);

--
-- Lengths of arrays: as declared, as found, never guessed per row
--
CREATE TABLE arrays (id int PRIMARY KEY, emb float4[], "odd[2]" int, "arr[3]" float4[]);
SELECT create_feature_spec('unknown', ARRAY[lookup('arrays', '{id}', '{emb}')]);
SELECT refused($$ SELECT unknown_vectors('{1}') $$);
SELECT create_feature_spec('declared', ARRAY[lookup('arrays', '{id}', '{emb[3]}', '{"emb": "e"}')]);
SELECT feature_matrix_columns('declared');
SELECT declared_vectors('{1}');
INSERT INTO arrays VALUES (1, '{1,2,3}', 5, '{1,2}'), (2, '{1,2}', 6, NULL), (3, '{}', 7, '{}'), (4, '{1,2,3,4}', 8, '{1}');
SELECT declared_vectors('{1}');
SELECT refused($$ SELECT declared_vectors('{1,2}') $$);
SELECT refused($$ SELECT declared_vectors('{1,3}') $$);
SELECT refused($$ SELECT declared_matrix('{4}') $$);
-- the typed row has it as it is
SELECT * FROM declared_batch('{1,2,3,4}');
-- an array that is a default
SELECT create_feature_spec('defaulted', ARRAY[lookup('arrays', '{id}', '{emb[3]}', default_values => '{"emb": [0, 0, 0]}')]);
SELECT defaulted_vectors('{1,9}');
SELECT refused($$ SELECT create_feature_spec('badly_defaulted', ARRAY[lookup('arrays', '{id}', '{emb[3]}', default_values => '{"emb": [0]}')]) $$);
-- columns whose names look like declarations
SELECT create_feature_spec('odd', ARRAY[lookup('arrays', '{id}', '{"odd[2]","arr[3][2]"}')]);
SELECT feature_matrix_columns('odd');
SELECT odd_vectors('{1,2}');
-- arrays that expressions give have no length
SELECT create_feature_spec('computed', ARRAY[lookup('arrays', '{id}', '{}'), expression('ARRAY[id, 2.5]', 'a'), expression('(ARRAY[id, 2.5])[2]', 'b')]);
SELECT refused($$ SELECT computed_vectors('{1}') $$);
SELECT * FROM computed(1);

--
-- A matrix that would be too large is refused before any work
--
SELECT create_feature_spec('huge', ARRAY[lookup('arrays', '{id}', '{emb[999999]}')]);
SELECT refused($$ SELECT huge_matrix((SELECT array_agg(n) FROM generate_series(1, 300) AS n)) $$);
SELECT length(huge_matrix('{9}')), cardinality(feature_matrix_columns('huge'));

SET client_min_messages = warning;
DROP SCHEMA lookup_vectors CASCADE;
