--
-- Lookups: the forms a request can take, and the places a lookup can stand in
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA feature_lookup;
RESET client_min_messages;
SET search_path = feature_lookup, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

CREATE TABLE users (user_id bigint PRIMARY KEY, country text, score float8);
CREATE TABLE items (item_id int PRIMARY KEY, title text, price numeric(8,2));
INSERT INTO users VALUES (1, 'de', 0.5), (2, 'fr', NULL), (3, repeat('long', 1000), 3);
INSERT INTO items SELECT n, 'item ' || n, n / 2.0 FROM generate_series(1, 3000) AS n;
SELECT create_feature_spec('ranker', ARRAY[
	lookup('users', '{user_id}', '{country,score}', default_values => '{"country": "none"}'), lookup('items', '{item_id}', '{title,price}'),
	expression('length(title) + hour', 'size'), request_field('hour', 'int')]);
SELECT create_feature_spec('plain', ARRAY[lookup('items', '{item_id}', '{price}')]);

--
-- Rows: order, duplicates, broadcast, missing, none
--
SELECT * FROM same($$ SELECT * FROM ranker(1, 7, 12) $$);
SELECT * FROM same($$ SELECT * FROM ranker_batch('{2}', '{3,1,3000,1,4000,3}', '{0}') $$);
SELECT * FROM same($$ SELECT * FROM ranker_batch('{2,1,NULL,9}', '{3,NULL,1,1}', '{0,1,2,NULL}') $$);
SELECT * FROM same($$ SELECT * FROM ranker(NULL, NULL, NULL) $$);
SELECT * FROM same($$ SELECT * FROM ranker_batch('{}', '{}', '{}') $$);
SELECT * FROM same($$ SELECT * FROM ranker_batch('{1}', '{}', '{1}') $$);
SELECT * FROM same($$ SELECT * FROM plain_batch('{NULL,NULL}') $$);
SELECT * FROM same($$ SELECT * FROM plain_batch('[5:6]={7,8}') $$);
SELECT * FROM same($$ SELECT * FROM plain_batch(ARRAY[-1, 2147483647, -2147483648]) $$);
-- by name, with as_of
SELECT * FROM same($$ SELECT * FROM ranker(hour => 5, item_id => 7, user_id => 1, as_of => '2024-01-01') $$);
SELECT * FROM same($$ SELECT * FROM ranker_batch(item_id => '{7,8}', user_id => '{1}', hour => '{1}', as_of => NULL) $$);
-- many more rows than a chunk has
SELECT count(*), count(DISTINCT item_id), sum(price), bool_and(user_id = 1 AND country = 'de' AND title = 'item ' || item_id)
FROM ranker_batch('{1}', (SELECT array_agg(1 + n * 7 % 3000 ORDER BY n) FROM generate_series(1, 10000) AS n), '{1}');
SELECT bool_and(b.item_id = n AND b.price = n / 2.0) FROM plain_batch((SELECT array_agg(n ORDER BY n DESC) FROM generate_series(1, 3000) AS n)) WITH ORDINALITY AS b(item_id, price, at), LATERAL (SELECT 3001 - at) AS r(n);

--
-- The same in three ways
--
SELECT * FROM same($$ SELECT * FROM feature_lookup(NULL::ranker, 1, ARRAY[7, 8], 12) $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup(NULL::ranker, '{1,2}'::bigint[], 7, '{1,2}'::int[]) $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup_json('ranker', '{"user_id": 1, "item_id": [7, 8], "hour": 12}') $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup_json('ranker', '[{"user_id": 1, "item_id": 7, "hour": 12}, {"user_id": 1, "item_id": 8, "hour": 12}]') $$);
-- what coerces: integers that fit, implicit casts, literals
SELECT * FROM same($$ SELECT * FROM feature_lookup(NULL::ranker, 1::int2, 7::int8, '12') $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup(NULL::ranker, '{1,2}'::int2[], '{7,8}'::int8[], NULL::int2) $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup(NULL::ranker, NULL, 8, NULL) $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup(ROW(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::ranker, 1, 7, 12) $$);
PREPARE untyped AS SELECT * FROM ranker_batch($1, $2, $3);
EXECUTE untyped('{1}', '{7}', '{12}');
PREPARE untyped_any(unknown, unknown, unknown) AS SELECT * FROM feature_lookup(NULL::ranker, $1, $2, $3);
PREPARE typed_any(bigint, int[], int) AS SELECT * FROM feature_lookup(NULL::ranker, $1, $2, $3);
EXECUTE typed_any(1, '{7}', 12);

SELECT create_feature_spec('coerced', ARRAY[lookup('items', '{item_id}', '{price}'), request_field('f4', 'float4'), request_field('f8', 'float8'), request_field('n', 'numeric'), request_field('tz', 'timestamptz'),
	request_field('t', 'text'), request_field('v', 'varchar'), request_field('c', 'bpchar'), request_field('o', 'oid')]);
SELECT * FROM same($$ SELECT * FROM feature_lookup(NULL::coerced, 1, 1.5::float8, 2, 3, '2024-01-01'::date, 'v'::varchar, 't'::text, 'x'::text, 5) $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup(NULL::coerced, 1, 1.5, 2.5, 3::int2, '2024-01-01'::timestamp, 'n'::name, 'c'::bpchar, 'v'::varchar, 5::bigint) $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup(NULL::coerced, 1, ARRAY[1, NULL], ARRAY[1.5, 2], ARRAY[1, 2], '{2024-01-01,2024-01-02}'::date[], '{a,b}'::name[], '{a,b}'::text[], 'c', 5) $$);

--
-- Bad requests
--
\pset tuples_only on
\pset format unaligned
SELECT refused($$ SELECT * FROM feature_lookup(NULL::users, 1) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::int, 1) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL, 1) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker) $$) ~ '^42883';
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, 1) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, 1, 2, 3, 4) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, VARIADIC ARRAY[1, 2, 3]) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, 1, 2.5, 3) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, 1, '2'::text, 3) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, 1, ARRAY['2'], 3) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, 1, 'x', 3) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, 1, '{1,2}', 3) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, 1, 3000000000, 3) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, 1, ARRAY[1, 3000000000], 3) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::coerced, 1, 1e39::float8, 2, 3, now(), 'v', 't', 'x', 5) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::coerced, 1, 1, 2, 3, now(), 5, 't', 'x', 5) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, '{1,2}'::int[], '{1,2,3}'::int[], 3) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, '{}'::int[], '{1,2,3}'::int[], 3) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, 1, '{{1,2},{3,4}}'::int[], 3) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::ranker, 1, NULL::int[], 3) $$);
SELECT refused($$ SELECT * FROM ranker_batch('{1,2}', '{1,2,3}', '{1}') $$);
SELECT refused($$ SELECT * FROM ranker_batch('{1,2}', '{1,2}', '{}') $$);
SELECT refused($$ SELECT * FROM ranker_batch('{1,2}', '{{1},{2}}', '{1}') $$);
SELECT refused($$ SELECT * FROM ranker_batch('{1,2}', NULL, '{1}') $$);
SELECT refused($$ SELECT * FROM ranker_batch(1, 2, 3) $$);
SELECT refused($$ SELECT * FROM ranker(1, 2) $$);
SELECT refused($$ SELECT * FROM ranker('x', 1, 1) $$);
SELECT refused($$ SELECT * FROM feature_vectors('nothing', 1) $$);
SELECT refused($$ SELECT * FROM feature_vectors('users', 1) $$);
SELECT refused($$ SELECT * FROM feature_vectors('no.such.name.at_all', 1) $$);
SELECT refused($$ SELECT * FROM feature_vectors('', 1) $$);
SELECT refused($$ SELECT * FROM feature_vectors(NULL, 1) $$);
SELECT refused($$ SELECT feature_matrix(NULL, 1) $$);
SELECT refused($$ SELECT feature_matrix('plain', VARIADIC ARRAY[1]) $$);
SELECT refused($$ SELECT * FROM explain_lookup('nothing', '{}') $$);
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
SELECT create_feature_spec('domains', ARRAY[lookup('items', '{item_id}', '{price}'), request_field('p', 'percent')]);
SELECT refused($$ SELECT * FROM domains(1, 101) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::domains, 1, 101) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::domains, 1, ARRAY[1, 101]) $$);
SELECT refused($$ SELECT * FROM feature_lookup_json('domains', '{"item_id": 1, "p": 101}') $$);
SELECT * FROM feature_lookup(NULL::domains, 1, '{1,100,NULL}'::int[]);
\pset tuples_only off
\pset format aligned

--
-- Places
--
-- several specs in one statement, joined; in the select list; LATERAL; in a subquery and a CTE
SELECT r.item_id, r.price, p.price FROM ranker_batch('{1}', '{1,2}', '{0}') AS r JOIN plain_batch('{2,1}') AS p USING (item_id) ORDER BY 1;
SELECT (ranker(1, 7, 12)).title, plain_batch('{1,2}');
SELECT feature_lookup(NULL::plain, ARRAY[1, 2]), 'x' AS x;
SELECT n, (plain(n)).price FROM generate_series(1, 3) AS n;
SELECT u.user_id, r.title, r.country = u.country AS same FROM users AS u, LATERAL ranker(u.user_id, u.user_id::int * 10, 0) AS r ORDER BY 1;
SELECT u.user_id, r.price FROM users AS u LEFT JOIN LATERAL plain_batch(ARRAY[u.user_id::int, 5000]) AS r ON r.price IS NOT NULL ORDER BY 1;
WITH r AS MATERIALIZED (SELECT * FROM plain_batch('{1,2,3}')) SELECT sum(price) FROM r;
SELECT ARRAY(SELECT price FROM plain_batch('{1,2,3}')), EXISTS (SELECT FROM plain(1)), (SELECT price FROM plain(2));
SELECT * FROM plain_batch('{1,2}') WITH ORDINALITY;
SELECT * FROM ROWS FROM (plain_batch('{1,2}'), plain_vectors('{3}'));
-- by parallel workers
SELECT create_feature_spec('parallel', ARRAY[lookup('items', '{item_id}', '{title,price}'), expression('upper(title)', 'u')]);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(*), sum(r.price) = sum(i.price) AS same, count(DISTINCT r.u) FROM items AS i, LATERAL parallel(i.item_id) AS r;
SET featurestore.enable_direct_lookup = off;
SELECT count(*), sum(r.price) = sum(i.price) AS same, count(DISTINCT r.u) FROM items AS i, LATERAL parallel(i.item_id) AS r WHERE i.item_id <= 100;
RESET featurestore.enable_direct_lookup;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
-- with its result cut short, twice in a nested loop, sorted
SELECT * FROM plain_batch('{5,4,3}') LIMIT 1;
SELECT a.item_id, b.item_id FROM plain_batch('{1,2}') AS a, plain_batch('{3,4}') AS b;
SELECT * FROM plain_batch('{5,4,6}') ORDER BY price;
-- written by an INSERT, an UPDATE, a view, a materialized view
CREATE TABLE target AS SELECT * FROM plain_batch('{1,2}') WITH NO DATA;
INSERT INTO target SELECT * FROM plain_batch('{1,2}');
UPDATE target SET price = r.price + 1 FROM plain_batch('{1,2}') AS r WHERE r.item_id = target.item_id RETURNING target.*;
CREATE VIEW plain_view AS SELECT * FROM plain_batch('{1,2}');
CREATE MATERIALIZED VIEW plain_mat AS SELECT * FROM ranker(3, 1, 1);
UPDATE items SET price = 100 WHERE item_id = 1;
SELECT * FROM plain_view;
REFRESH MATERIALIZED VIEW plain_mat;
SELECT price, length(country) FROM plain_mat;
UPDATE items SET price = 0.5 WHERE item_id = 1;
-- in the statement that writes the table: what was there before it
WITH w AS (UPDATE items SET price = 7 WHERE item_id = 1 RETURNING price) SELECT w.price, p.price FROM w, plain(1) AS p;
UPDATE items SET price = 0.5 WHERE item_id = 1 RETURNING price, (SELECT price FROM plain(1));

-- a statement prepared, run until its plan is generic, and beyond a change
PREPARE batch(bigint[], int[]) AS SELECT * FROM ranker_batch($1, $2, '{1}');
EXECUTE batch('{1}', '{1}');
EXECUTE batch('{1,2}', '{1}');
EXECUTE batch('{1}', '{1,2,3}');
EXECUTE batch('{}', '{}');
EXECUTE batch('{1}', '{NULL}');
EXECUTE batch('{NULL}', '{2}');
EXECUTE batch('{2}', '{3}');
SELECT generic_plans + custom_plans AS runs FROM pg_prepared_statements WHERE name = 'batch';
ALTER TABLE items RENAME TO things;
EXECUTE batch('{2}', '{3}');
ALTER TABLE things RENAME TO items;
EXECUTE batch('{2}', '{3}');
PREPARE one(int) AS SELECT * FROM plain($1);
SET plan_cache_mode = force_generic_plan;
EXECUTE one(1);
EXECUTE one(NULL);
RESET plan_cache_mode;

-- cursors: as of their opening
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT * FROM plain_batch('{1,2,3}');
FETCH 1 FROM c;
UPDATE items SET price = 99 WHERE item_id = 2;
FETCH 1 FROM c;
DECLARE d CURSOR FOR SELECT * FROM plain_batch('{1,2}');
UPDATE items SET price = 98 WHERE item_id IN (1, 2);
FETCH 2 FROM d;
FETCH BACKWARD 1 FROM c;
ROLLBACK;
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT user_id, length(country), price FROM ranker_batch('{3}', '{1,2}', '{1}');
COMMIT;
TRUNCATE users;
FETCH ALL FROM h;
CLOSE h;
INSERT INTO users VALUES (1, 'de', 0.5), (2, 'fr', NULL), (3, repeat('long', 1000), 3);

-- transactions of all kinds; own changes are seen
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT * FROM plain(1);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM same('SELECT * FROM ranker(1, 1, 1)');
UPDATE items SET price = 5 WHERE item_id = 1;
SELECT * FROM same('SELECT * FROM ranker(1, 1, 1)');
ROLLBACK;
BEGIN READ ONLY;
SELECT * FROM same('SELECT * FROM ranker(1, 1, 1)');
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM plain(1);
DELETE FROM items WHERE item_id = 1;
SELECT * FROM plain(1);
SAVEPOINT a;
INSERT INTO items VALUES (1, 'again', 1);
SELECT * FROM plain(1);
ROLLBACK TO a;
SELECT * FROM plain(1);
ROLLBACK;
SELECT * FROM plain(1);
SET default_transaction_read_only = on;
SELECT * FROM plain(1);
RESET default_transaction_read_only;

-- in functions: simple calls in a loop, SQL, after errors
CREATE FUNCTION loop(ids int[]) RETURNS numeric LANGUAGE plpgsql STABLE AS $$
DECLARE
	total numeric := 0;
	r plain;
	id int;
BEGIN
	FOREACH id IN ARRAY ids LOOP
		SELECT * INTO r FROM feature_lookup.plain(id);
		total := total + coalesce(r.price, 0);
		total := total + (SELECT price FROM feature_lookup.plain(1));
	END LOOP;
	FOR r IN SELECT * FROM feature_lookup.plain_batch(ids) LOOP
		total := total + coalesce(r.price, 0);
	END LOOP;
	RETURN total;
END $$;
SELECT loop('{2,4,5000,6,8,10,12,14}');
CREATE FUNCTION sql_body(int) RETURNS numeric LANGUAGE sql STABLE RETURN (SELECT price FROM feature_lookup.plain($1));
SELECT sql_body(n) FROM generate_series(1, 3) AS n;
DO $$
BEGIN
	FOR i IN 1..3 LOOP
		BEGIN
			PERFORM * FROM feature_lookup.ranker_batch('{1,2}', '{1,2,3}', '{1}');
		EXCEPTION WHEN array_subscript_error THEN
			RAISE NOTICE 'refused; price is %', (SELECT price FROM feature_lookup.ranker(1, i, 1));
		END;
	END LOOP;
END $$;
CREATE PROCEDURE committing() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..2 LOOP
		UPDATE feature_lookup.items SET price = price + 1 WHERE item_id = 1;
		RAISE NOTICE 'price is %', (SELECT price FROM feature_lookup.plain(1));
		COMMIT;
		RAISE NOTICE 'price is %', (SELECT price FROM feature_lookup.plain(1));
	END LOOP;
END $$;
CALL committing();
UPDATE items SET price = 0.5 WHERE item_id = 1;

--
-- Expressions that fail, and lookups within lookups
--
CREATE FUNCTION checked(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF x > 5 THEN RAISE 'too much: %', x; END IF; RETURN x; END $$;
SELECT create_feature_spec('failing', ARRAY[lookup('items', '{item_id}', '{title}'), expression('100 / (item_id - 3)', 'ratio')]);
SELECT create_feature_spec('failing_too', ARRAY[lookup('items', '{item_id}', '{title}'), expression('checked(item_id)', 'x'), lookup('items', '{item_id=x}', '{price}')]);
SELECT refused($$ SELECT * FROM failing_batch('{1,2,3,4}') $$);
SELECT refused($$ SELECT * FROM failing_too_batch('{1,2,6,4}') $$);
BEGIN;
SELECT * FROM failing_batch('{1,2}');
SAVEPOINT a;
SELECT * FROM failing_batch('{1,2,3}');
ROLLBACK TO a;
SELECT * FROM failing_batch('{2,4}');
SAVEPOINT a;
SELECT * FROM failing_too_batch('{1,2,6,4}');
ROLLBACK TO a;
SELECT * FROM failing_too_batch('{1,5}');
SELECT refused($$ SELECT * FROM failing(3) $$), (failing(4)).ratio;
SELECT refused($$ SELECT * FROM failing(3) $$), (failing(5)).ratio;
COMMIT;
SELECT * FROM same('SELECT * FROM failing_batch(''{2,4}'')');
-- a function that an expression calls looks up itself: another spec, and the same
CREATE FUNCTION price_of(int) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT price FROM feature_lookup.plain($1)); END $$;
SELECT create_feature_spec('outer_spec', ARRAY[lookup('items', '{item_id}', '{price}'), expression('price_of(item_id * 2)', 'other'), expression('other / price', 'ratio')]);
SELECT * FROM same($$ SELECT * FROM outer_spec_batch('{1,2,3}') $$);
CREATE FUNCTION factorial_by_lookup(int) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 1; END $$;
SELECT create_feature_spec('recursive_spec', ARRAY[lookup('items', '{item_id}', '{price}'), expression('item_id * factorial_by_lookup(item_id - 1)', 'factorial'), expression('factorial + item_id', 'sum')]);
CREATE OR REPLACE FUNCTION factorial_by_lookup(int) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN RETURN CASE WHEN $1 <= 0 THEN 1 ELSE (SELECT factorial FROM feature_lookup.recursive_spec($1)) END; END $$;
SELECT * FROM same($$ SELECT * FROM recursive_spec_batch('{1,4,10,3}') $$);
-- one that fails three lookups deep, is caught, and looks up again
CREATE OR REPLACE FUNCTION factorial_by_lookup(int) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		IF $1 = 2 THEN RAISE 'stop'; END IF;
		RETURN CASE WHEN $1 <= 0 THEN 1 ELSE (SELECT factorial FROM feature_lookup.recursive_spec($1)) END;
	EXCEPTION WHEN raise_exception THEN
		IF $1 = 4 THEN RETURN (SELECT factorial FROM feature_lookup.recursive_spec(1)); END IF;
		RAISE;
	END $$;
SELECT * FROM same($$ SELECT * FROM recursive_spec_batch('{2,5,1}') $$);
SELECT refused($$ SELECT * FROM recursive_spec_batch('{2,5,3}') $$);
SELECT * FROM same($$ SELECT * FROM recursive_spec_batch('{2,5,1}') $$);
-- one that makes the session forget what it knows of the spec while it runs
CREATE FUNCTION meddle() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER FUNCTION feature_lookup.checked COST 5; END $$;
CREATE OR REPLACE FUNCTION factorial_by_lookup(int) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN PERFORM feature_lookup.meddle(); RETURN CASE WHEN $1 <= 0 THEN 1 ELSE (SELECT factorial FROM feature_lookup.recursive_spec($1)) END; END $$;
SELECT * FROM same($$ SELECT * FROM recursive_spec_batch('{1,4,10,3}') $$);

SET client_min_messages = warning;
DROP SCHEMA feature_lookup CASCADE;
