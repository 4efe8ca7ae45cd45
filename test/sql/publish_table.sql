--
-- Publishing
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_publisher;
CREATE ROLE regress_reader;
CREATE ROLE regress_stranger;
CREATE SCHEMA publish AUTHORIZATION regress_publisher;
CREATE SCHEMA serve AUTHORIZATION regress_publisher;
GRANT USAGE ON SCHEMA publish, serve TO regress_reader, regress_stranger;
RESET client_min_messages;
SET search_path = publish;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
SET ROLE regress_publisher;

CREATE VIEW publications AS
	SELECT relation::text, source::text, publish_mode, primary_key, timeseries_column, features, filter
	FROM featurestore.publication WHERE pg_catalog.pg_table_is_visible(relation) ORDER BY relation::text COLLATE "C";
CREATE VIEW changed AS
	SELECT relation::text, rows_changed FROM featurestore.publication_position
	WHERE pg_catalog.pg_table_is_visible(relation) ORDER BY relation::text COLLATE "C";
-- the shape of a table
CREATE FUNCTION columns(relation regclass) RETURNS TABLE(name name, type text, not_null boolean, collation_name name)
	LANGUAGE sql AS $$
SELECT attname, format_type(atttypid, atttypmod), attnotnull, nullif(collname, 'default')
FROM pg_attribute LEFT JOIN pg_collation c ON c.oid = attcollation
WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped ORDER BY attnum $$;

--
-- A plain source
--
CREATE TABLE users (
	user_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name varchar(20) COLLATE "C",
	score numeric(8,2),
	tags text[],
	profile json,
	double_score numeric GENERATED ALWAYS AS (score * 2) STORED
);
INSERT INTO users (name, score, tags, profile) VALUES
	('ann', 1.5, '{a,b}', '{"a": 1}'), ('bob', NULL, NULL, NULL), ('cat', -3, '{}', '[]');

SELECT featurestore.publish_table('users', 'users_online');
SELECT * FROM columns('users_online');
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'users_online'::regclass;
SELECT reloptions, relowner::regrole, relkind FROM pg_class WHERE oid = 'users_online'::regclass;
SELECT * FROM users_online ORDER BY user_id;
SELECT * FROM publications;
SELECT * FROM changed;
SELECT system_identifier = (SELECT c.system_identifier FROM pg_control_system() c) AS this_cluster,
	applied_to <= synced_at AS ordered
FROM featurestore.publication_position WHERE relation = 'users_online'::regclass;

-- inserts, updates and deletes; what has not changed is not written
CREATE TEMP TABLE before AS SELECT user_id, ctid AS place, xmin::text AS writer FROM users_online;
INSERT INTO users (name) VALUES ('dan');
UPDATE users SET score = 2 WHERE name = 'ann';
DELETE FROM users WHERE name = 'bob';
CALL featurestore.sync('users_online');
SELECT * FROM users_online ORDER BY user_id;
SELECT user_id, place = o.ctid AND writer = o.xmin::text AS untouched FROM users_online o JOIN before USING (user_id) ORDER BY user_id;
SELECT * FROM changed;
CALL featurestore.sync('users_online');
SELECT * FROM changed;

-- a position never claims more than the snapshot of its transaction has
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL featurestore.sync('users_online');
SELECT applied_to = now() AS start_of_transaction FROM featurestore.publication_position WHERE relation = 'users_online'::regclass;
COMMIT;
BEGIN;
CALL featurestore.sync('users_online');
SELECT applied_to > now() AS after_start FROM featurestore.publication_position WHERE relation = 'users_online'::regclass;
COMMIT;

-- rows that are equal but not the same are carried over
UPDATE users SET profile = '{"a":1}' WHERE name = 'ann';
CALL featurestore.sync('users_online');
SELECT profile FROM users_online WHERE name = 'ann';
SELECT * FROM changed;

-- an emptied source empties the table
BEGIN;
DELETE FROM users;
CALL featurestore.sync('users_online');
SELECT count(*) FROM users_online;
SELECT * FROM changed;
ROLLBACK;
SELECT count(*) FROM users_online;

-- what hangs on the table stays
CREATE INDEX users_online_name ON users_online (name);
CREATE UNIQUE INDEX users_online_score ON users_online (score);
CREATE VIEW high_scores AS SELECT user_id FROM users_online WHERE score > 0;
CREATE VIEW identity AS SELECT oid::bigint AS id, relfilenode FROM pg_class WHERE oid = 'users_online'::regclass;
SELECT id, relfilenode FROM identity \gset
GRANT SELECT ON users_online TO regress_reader;
-- a unique value passes from a row that goes to one that stays
INSERT INTO users (name, score) VALUES ('eve', 7);
CALL featurestore.sync('users_online');
DELETE FROM users WHERE name = 'eve';
UPDATE users SET score = 7 WHERE name = 'cat';
CALL featurestore.sync('users_online');
SET ROLE regress_reader;
SELECT user_id, name, score FROM users_online ORDER BY user_id;
SET ROLE regress_publisher;
SELECT * FROM high_scores ORDER BY 1;
SELECT id = :id AS same_table, relfilenode = :relfilenode AS same_file FROM identity;
SELECT relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 'users_online'::regclass ORDER BY 1;

-- again, differently, and in the way
SELECT featurestore.publish_table('users', 'users_online');
SELECT featurestore.publish_table('users', 'publish.users_online', 'TRIGGERED', primary_key => '{user_id}');
SELECT featurestore.publish_table('users', 'users_online', features => '{score,name}', filter => 'score > 0');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 'users_online_name');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 'high_scores');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 'users');
\echo :SQLSTATE
SELECT featurestore.publish_table('users_online', 'chained', wait => false);
SELECT featurestore.publish_table('chained', 'users_online');
\echo :SQLSTATE
DROP TABLE chained;
SELECT * FROM publications;

--
-- Names
--
SELECT featurestore.publish_table('users', 'serve."Users Online"', features => '{}');
SELECT * FROM columns('serve."Users Online"');
SELECT featurestore.publish_table('users', 'Serve.Lower_Case', features => '{name}', wait => false);
SET search_path = serve, publish;
SELECT featurestore.publish_table('users', 'unqualified', features => '{name}', wait => false);
SELECT relnamespace::regnamespace FROM pg_class WHERE relname = 'unqualified';
SET search_path = publish;
SELECT featurestore.publish_table('users', repeat('x', 63), wait => false) = repeat('x', 63)::regclass AS longest;
SELECT featurestore.publish_table('users', repeat('x', 64));
\echo :SQLSTATE
SELECT featurestore.publish_table('users', '"' || repeat('é', 32) || '".t');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 'a.b.c');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 'a b');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', '');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', NULL);
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 'nowhere.t');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 'pg_temp.t');
\echo :SQLSTATE
SET search_path = nowhere;
SELECT featurestore.publish_table('publish.users', 't');
\echo :SQLSTATE
SET search_path = publish;
DROP TABLE serve."Users Online", serve.lower_case, serve.unqualified;
SELECT format('DROP TABLE %I', repeat('x', 63)) \gexec

--
-- Features and filter
--
SELECT featurestore.publish_table('users', 'scores', features => '{double_score,name}', filter => 'score > 0 AND name <> ''zoe''');
SELECT * FROM columns('scores');
SELECT * FROM scores ORDER BY user_id;
SELECT * FROM publications;
-- a row that leaves the filter leaves the table
UPDATE users SET score = -score WHERE name = 'ann';
CALL featurestore.sync('scores');
SELECT * FROM scores ORDER BY user_id;
DROP TABLE scores;

-- a filter means what it meant where it was written
CREATE TABLE seen (id int PRIMARY KEY, at timestamptz, kind text);
INSERT INTO seen VALUES (1, '2024-01-02 00:00+00', 'x'), (2, '2024-01-01 22:00+00', 'x'), (3, '2024-01-01 00:00+00', 'back\slash');
CREATE FUNCTION is_x(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$SELECT $1 = 'x'$$;
SET TimeZone = 'Europe/Berlin';
SET DateStyle = 'German';
SELECT featurestore.publish_table('seen', 'seen_online', filter => $$at >= '01.01.2024 23:30' AND is_x(seen.kind) OR kind = 'back\slash'$$);
SET TimeZone = 'America/New_York';
SET search_path = serve;
SET standard_conforming_strings = off;
CALL featurestore.sync('publish.seen_online');
RESET standard_conforming_strings;
SET search_path = publish;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SELECT * FROM seen_online ORDER BY id;
SELECT filter FROM publications WHERE relation = 'seen_online';
DROP TABLE seen_online;

-- bad ones
SELECT featurestore.publish_table('users', 't', features => '{name,nope}');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', features => '{name,score,name}');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', features => '{name,NULL}');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', features => '{name,user_id}');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', features => '{ctid}');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT featurestore.publish_table('users', 't', filter => 'score >');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', filter => '');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', filter => 'nope > 0');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', filter => 'score');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', filter => 'sum(score) > 0');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', filter => 'row_number() OVER () = 1');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', filter => 'score > (SELECT 0)');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', filter => 'random() < 0.5');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', filter => 'now() > ''2020-01-01''');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', filter => 'generate_series(1, 2) = 1');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', filter => 'score > $1');
\echo :SQLSTATE
\set VERBOSITY default
SELECT featurestore.publish_table('users', 't', publish_mode => 'HOURLY');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', publish_mode => NULL);
\echo :SQLSTATE
SELECT featurestore.publish_table(NULL, 't');
\echo :SQLSTATE
SELECT featurestore.publish_table('nowhere', 't');
\echo :SQLSTATE
SELECT featurestore.publish_table('users_user_id_seq', 't');
\echo :SQLSTATE
CREATE TEMP TABLE passing (id int PRIMARY KEY);
SELECT featurestore.publish_table('passing', 't');
\echo :SQLSTATE
-- nothing was left behind
SELECT to_regclass('t');
SELECT * FROM publications;

--
-- Keys
--
CREATE TYPE place AS (country text, city text);
CREATE TYPE size AS ENUM ('small', 'large');
CREATE TABLE shops (
	name text COLLATE "C", size size, place place NOT NULL, price numeric NOT NULL,
	v float8, note text, PRIMARY KEY (size, name)
);
CREATE UNIQUE INDEX ON shops (price);
CREATE UNIQUE INDEX ON shops (place, name);
INSERT INTO shops VALUES ('a', 'small', '(de,)', 1.0, 0, 'x'), ('b', 'small', '(,)', 2, 'NaN', 'y'), ('a', 'large', '(fr,paris)', 3, NULL, NULL);
-- in the order of the primary key, or in the order given
SELECT featurestore.publish_table('shops', 'shops_by_size', features => '{v}');
SELECT featurestore.publish_table('shops', 'shops_by_place', primary_key => '{name,place}');
SELECT featurestore.publish_table('shops', 'shops_by_price', primary_key => '{price}', features => '{note,v}');
SELECT relation, primary_key, features FROM publications WHERE source = 'shops';
SELECT * FROM shops_by_size ORDER BY 1, 2;
SELECT * FROM shops_by_place ORDER BY name, place;
-- a key that is equal but looks different, and a negative zero
UPDATE shops SET price = 1.00 WHERE price = 1;
UPDATE shops SET v = '-0' WHERE v = 0;
DELETE FROM shops WHERE name = 'b';
INSERT INTO shops VALUES ('c', 'large', '(,x)', 5, 1, 'z');
CALL featurestore.sync('shops_by_size');
CALL featurestore.sync('shops_by_place');
CALL featurestore.sync('shops_by_price');
SELECT * FROM shops_by_size ORDER BY 1, 2;
SELECT * FROM shops_by_place ORDER BY name, place;
SELECT * FROM shops_by_price ORDER BY price;
SELECT * FROM changed WHERE relation ~ '^shops';

CREATE TABLE loose (id int, other int NOT NULL, more int NOT NULL UNIQUE DEFERRABLE);
CREATE UNIQUE INDEX ON loose (id);
CREATE UNIQUE INDEX ON loose (other) WHERE other > 0;
SELECT featurestore.publish_table('loose', 't');
\echo :SQLSTATE
SELECT featurestore.publish_table('loose', 't', primary_key => '{id}');
\echo :SQLSTATE
SELECT featurestore.publish_table('loose', 't', primary_key => '{other}');
\echo :SQLSTATE
SELECT featurestore.publish_table('loose', 't', primary_key => '{more}');
\echo :SQLSTATE
SELECT featurestore.publish_table('loose', 't', primary_key => '{id,other}');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', primary_key => '{user_id,nope}');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', primary_key => '{user_id,user_id}');
\echo :SQLSTATE
SELECT featurestore.publish_table('users', 't', primary_key => '{}');
\echo :SQLSTATE

--
-- Newest rows
--
CREATE TABLE prices (item int, region text, at timestamptz, price float8, PRIMARY KEY (item, region, at));
INSERT INTO prices VALUES
	(1, 'eu', '2024-01-01', 10), (1, 'eu', '2024-01-03', 30), (1, 'eu', '2024-01-02', 20),
	(1, 'us', '2024-01-01', NULL), (2, 'eu', '-infinity', 1),
	(1, 'eu', now() + '1 day', 99), (3, 'eu', now() + '1 day', 99), (4, 'eu', 'infinity', 99);
SELECT featurestore.publish_table('prices', 'prices_online', timeseries_column => 'at', ttl => '36 hours');
SELECT * FROM columns('prices_online');
SELECT * FROM prices_online ORDER BY item, region;
SELECT relation, primary_key, timeseries_column, features FROM publications WHERE source = 'prices';
SELECT timeseries_column, ttl, merge FROM featurestore.online_table WHERE relation = 'prices_online'::regclass;
-- falls back to the row before, forward to a newer one; late rows change nothing
DELETE FROM prices WHERE item = 1 AND at = '2024-01-03';
INSERT INTO prices VALUES (1, 'us', '2024-01-05', 50), (2, 'eu', '2024-01-01', 2);
INSERT INTO prices VALUES (1, 'us', '2024-01-04', 40);
CALL featurestore.sync('prices_online');
SELECT * FROM prices_online ORDER BY item, region;
-- the history as it is
SELECT featurestore.publish_table('prices', 'prices_history', filter => 'item < 3 AND price < 90');
SELECT * FROM prices_history ORDER BY 1, 2, 3;
-- with the filter before the choice
SELECT featurestore.publish_table('prices', 'prices_cheap', timeseries_column => 'at', features => '{}', filter => 'price < 45');
SELECT * FROM prices_cheap ORDER BY item, region;
SELECT featurestore.publish_table('prices', 'prices_online', timeseries_column => 'at', ttl => '1 day 12:00');
SELECT featurestore.publish_table('prices', 'prices_online', timeseries_column => 'at', ttl => '1 day');
\echo :SQLSTATE
SELECT featurestore.publish_table('prices', 'prices_online');
\echo :SQLSTATE

-- a date counts from its midnight in UTC
CREATE TABLE days (id int, day date, v int, PRIMARY KEY (id, day));
INSERT INTO days SELECT 1, (now() AT TIME ZONE 'UTC')::date + n, n FROM generate_series(-1, 2) n;
INSERT INTO days VALUES (2, '5874897-12-31', 1);
SET TimeZone = 'Pacific/Kiritimati';
SELECT featurestore.publish_table('days', 'days_online', timeseries_column => 'day');
SET TimeZone = 'UTC';
SELECT id, day - (now() AT TIME ZONE 'UTC')::date AS days_from_now, v FROM days_online;

-- bad ones
SELECT featurestore.publish_table('prices', 't', timeseries_column => 'nope');
\echo :SQLSTATE
SELECT featurestore.publish_table('prices', 't', timeseries_column => 'price');
\echo :SQLSTATE
SELECT featurestore.publish_table('days', 't', primary_key => '{day,id}', timeseries_column => 'day');
\echo :SQLSTATE
CREATE TABLE local_times (id int, at timestamp, PRIMARY KEY (id, at));
SELECT featurestore.publish_table('local_times', 't', timeseries_column => 'at');
\echo :SQLSTATE
CREATE TABLE only_time (at timestamptz PRIMARY KEY, v int);
SELECT featurestore.publish_table('only_time', 't', timeseries_column => 'at');
\echo :SQLSTATE
SELECT featurestore.publish_table('prices', 't', ttl => '1 day');
\echo :SQLSTATE
SELECT featurestore.publish_table('prices', 't', timeseries_column => 'at', ttl => '1 month');
\echo :SQLSTATE
SELECT featurestore.publish_table('prices', 't', timeseries_column => 'at', ttl => '-1 s');
\echo :SQLSTATE

--
-- Views and other sources without keys of their own
--
CREATE TABLE facts (k text, at timestamptz, v int);
INSERT INTO facts VALUES ('a', '2024-01-01', 1), ('a', '2024-01-02', 2), ('b', '2024-01-01', 3);
CREATE VIEW facts_view AS SELECT k, at, v, at AT TIME ZONE 'UTC' AS local FROM facts;
SELECT featurestore.publish_table('facts_view', 't', 'SNAPSHOT');
\echo :SQLSTATE
SELECT featurestore.publish_table('facts_view', 't', 'SNAPSHOT', primary_key => '{k,local}', timeseries_column => 'local');
\echo :SQLSTATE
SELECT featurestore.publish_table('facts_view', 't', 'SNAPSHOT', primary_key => '{k}');
\echo :SQLSTATE
SELECT featurestore.publish_table('facts_view', 'facts_online', 'SNAPSHOT', primary_key => '{k,at}', timeseries_column => 'at', features => '{v}');
SELECT * FROM facts_online ORDER BY k;
-- keys that go bad later leave the table as it is
INSERT INTO facts VALUES ('b', '2024-01-01', 4);
CALL featurestore.sync('facts_online');
\echo :SQLSTATE
DELETE FROM facts WHERE v = 4;
INSERT INTO facts VALUES (NULL, '2024-01-01', 4);
CALL featurestore.sync('facts_online');
\echo :SQLSTATE
UPDATE facts SET k = 'c', at = NULL WHERE v = 4;
CALL featurestore.sync('facts_online');
\echo :SQLSTATE
-- rows that are not published do not count
UPDATE facts SET k = 'b', at = 'infinity' WHERE v = 4;
INSERT INTO facts VALUES ('b', 'infinity', 5);
CALL featurestore.sync('facts_online');
SELECT * FROM facts_online ORDER BY k;

CREATE MATERIALIZED VIEW facts_copy AS SELECT k, max(v) AS v FROM facts GROUP BY k;
SELECT featurestore.publish_table('facts_copy', 'facts_copy_online', 'SNAPSHOT', primary_key => '{k}');
SELECT * FROM facts_copy_online ORDER BY k;
-- the index of a parent says nothing about its children
CREATE TABLE parent (id int PRIMARY KEY, v int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent VALUES (1, 1);
SELECT featurestore.publish_table('parent', 'parent_online', 'SNAPSHOT');
INSERT INTO child VALUES (2, 2);
CALL featurestore.sync('parent_online');
SELECT * FROM parent_online ORDER BY id;
INSERT INTO child VALUES (1, 3);
CALL featurestore.sync('parent_online');
\echo :SQLSTATE
-- nor does an index that is gone
CREATE TABLE keyed (id int PRIMARY KEY, v int);
INSERT INTO keyed VALUES (1, 1);
SELECT featurestore.publish_table('keyed', 'keyed_online');
ALTER TABLE keyed DROP CONSTRAINT keyed_pkey, ALTER id DROP NOT NULL;
INSERT INTO keyed VALUES (1, 2);
CALL featurestore.sync('keyed_online');
\echo :SQLSTATE
UPDATE keyed SET id = NULL WHERE v = 2;
CALL featurestore.sync('keyed_online');
\echo :SQLSTATE
CREATE TABLE parts (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
INSERT INTO parts VALUES (1, 'x'), (11, 'y');
SELECT featurestore.publish_table('parts', 'parts_online');
ALTER TABLE parts DETACH PARTITION parts_2;
CALL featurestore.sync('parts_online');
SELECT * FROM parts_online;

--
-- Defining only
--
SELECT featurestore.publish_table('users', 'later', wait => false);
SELECT count(*) FROM later;
SELECT * FROM changed WHERE relation = 'later';
SELECT featurestore.publish_table('users', 'later', wait => false);
SELECT * FROM changed WHERE relation = 'later';
CALL featurestore.sync('later');
SELECT count(*) FROM later;
SELECT * FROM changed WHERE relation = 'later';
-- waiting for what was only defined fills it
SELECT featurestore.publish_table('seen', 'later_still', wait => false);
SELECT featurestore.publish_table('seen', 'later_still');
SELECT count(*) FROM later_still;

--
-- Sources and tables that change their shape
--
CREATE TABLE shape (id int PRIMARY KEY, a int, b varchar(5), c int, d int);
INSERT INTO shape VALUES (1, 2, 'x', 3, 4);
SELECT featurestore.publish_table('shape', 'shape_online', features => '{a,b}', filter => 'c > 0');
-- not its business
ALTER TABLE shape DROP COLUMN d, ADD COLUMN e int;
ALTER TABLE shape_online ADD COLUMN note text DEFAULT 'kept';
UPDATE shape_online SET note = 'mine';
UPDATE shape SET a = 3;
CALL featurestore.sync('shape_online');
SELECT * FROM shape_online;
BEGIN;
ALTER TABLE shape RENAME COLUMN a TO z;
CALL featurestore.sync('shape_online');
\echo :SQLSTATE
ROLLBACK;
BEGIN;
ALTER TABLE shape DROP COLUMN c;
CALL featurestore.sync('shape_online');
\echo :SQLSTATE
ROLLBACK;
BEGIN;
ALTER TABLE shape ALTER b TYPE varchar(6);
CALL featurestore.sync('shape_online');
\echo :SQLSTATE
ROLLBACK;
BEGIN;
ALTER TABLE shape_online DROP COLUMN b;
CALL featurestore.sync('shape_online');
\echo :SQLSTATE
ROLLBACK;
BEGIN;
ALTER TABLE shape_online DROP CONSTRAINT shape_online_pkey;
CALL featurestore.sync('shape_online');
\echo :SQLSTATE
ROLLBACK;
BEGIN;
ALTER TABLE shape RENAME TO figure;
ALTER TABLE shape_online RENAME TO figure_online;
ALTER TABLE figure_online SET SCHEMA serve;
UPDATE figure SET a = 4;
CALL featurestore.sync('serve.figure_online');
SELECT * FROM serve.figure_online;
ROLLBACK;
BEGIN;
DROP TABLE shape;
CALL featurestore.sync('shape_online');
\echo :SQLSTATE
ROLLBACK;

--
-- Unpublishing and dropping
--
SELECT featurestore.drop_online_table('prices_online');
\echo :SQLSTATE
SELECT featurestore.create_online_table('shape_online');
\echo :SQLSTATE
SELECT featurestore.unpublish_table('prices_online');
SELECT count(*) FROM prices_online;
SELECT timeseries_column, ttl FROM featurestore.online_table WHERE relation = 'prices_online'::regclass;
SELECT * FROM changed WHERE relation = 'prices_online';
CALL featurestore.sync('prices_online');
\echo :SQLSTATE
SELECT featurestore.unpublish_table('prices_online');
\echo :SQLSTATE
SELECT featurestore.publish_table('prices', 'prices_online', timeseries_column => 'at');
\echo :SQLSTATE
SELECT featurestore.drop_online_table('prices_online');
CALL featurestore.sync(NULL);
\echo :SQLSTATE
SELECT featurestore.unpublish_table(NULL);
\echo :SQLSTATE
DROP TABLE shops_by_size;
SELECT relation FROM publications WHERE source = 'shops';

--
-- Privileges
--
CREATE TABLE secrets (id int PRIMARY KEY, open int, closed int);
INSERT INTO secrets VALUES (1, 2, 3);
SET ROLE regress_stranger;
SELECT featurestore.publish_table('publish.secrets', 'publish.t', 'SNAPSHOT');
\echo :SQLSTATE
SET ROLE regress_publisher;
GRANT CREATE ON SCHEMA serve TO regress_stranger;
GRANT SELECT (id, open) ON secrets TO regress_stranger;
SET ROLE regress_stranger;
SELECT featurestore.publish_table('publish.secrets', 'serve.t', 'SNAPSHOT', wait => false);
\echo :SQLSTATE
SELECT featurestore.publish_table('publish.secrets', 'serve.t', 'SNAPSHOT', features => '{open}', filter => 'closed > 0', wait => false);
\echo :SQLSTATE
SELECT featurestore.publish_table('publish.secrets', 'serve.t', 'SNAPSHOT', features => '{open}', filter => 'open > 0');
SELECT * FROM serve.t;
-- what belongs to others
CALL featurestore.sync('publish.users_online');
\echo :SQLSTATE
SELECT featurestore.unpublish_table('publish.users_online');
\echo :SQLSTATE
SELECT featurestore._run('publish.users_online', 'SYNC', NULL);
\echo :SQLSTATE
SET ROLE regress_publisher;
SELECT featurestore.publish_table('publish.secrets', 'serve.t', 'SNAPSHOT', features => '{open}', filter => 'open > 0');
\echo :SQLSTATE
CALL featurestore.sync('serve.t');
\echo :SQLSTATE
-- a right taken away
REVOKE SELECT (open) ON secrets FROM regress_stranger;
SET ROLE regress_stranger;
CALL featurestore.sync('serve.t');
\echo :SQLSTATE
-- a superuser syncs as the owner does
RESET ROLE;
CALL featurestore.sync('serve.t');
\echo :SQLSTATE
GRANT SELECT (open) ON publish.secrets TO regress_stranger;
UPDATE publish.secrets SET open = 5;
CREATE FUNCTION whoami() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'running as %', current_user; RETURN NEW; END$$;
CREATE TRIGGER whoami BEFORE UPDATE ON serve.t FOR EACH ROW EXECUTE FUNCTION whoami();
CALL featurestore.sync('serve.t');
SELECT * FROM serve.t;
SELECT current_user = session_user AS back;
-- rows hidden by policies are not taken for deleted
ALTER TABLE publish.secrets ENABLE ROW LEVEL SECURITY;
CALL featurestore.sync('serve.t');
\echo :SQLSTATE
SELECT * FROM serve.t;

--
-- A type that compares through its own operators
--
SET client_min_messages = warning;
CREATE TYPE backwards;
CREATE FUNCTION backwards_in(cstring) RETURNS backwards IMMUTABLE STRICT LANGUAGE internal AS 'int4in';
CREATE FUNCTION backwards_out(backwards) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'int4out';
CREATE TYPE backwards (INPUT = backwards_in, OUTPUT = backwards_out, LIKE = int4);
CREATE CAST (backwards AS int) WITHOUT FUNCTION AS IMPLICIT;
CREATE FUNCTION backwards_eq(backwards, backwards) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS 'SELECT $1::int % 100 = $2::int % 100';
CREATE FUNCTION backwards_lt(backwards, backwards) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS 'SELECT $1::int % 100 > $2::int % 100';
CREATE FUNCTION backwards_le(backwards, backwards) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS 'SELECT $1::int % 100 >= $2::int % 100';
CREATE FUNCTION backwards_cmp(backwards, backwards) RETURNS int IMMUTABLE STRICT LANGUAGE sql AS 'SELECT sign($2::int % 100 - $1::int % 100)::int';
CREATE OPERATOR = (LEFTARG = backwards, RIGHTARG = backwards, FUNCTION = backwards_eq, COMMUTATOR = =, MERGES);
CREATE OPERATOR < (LEFTARG = backwards, RIGHTARG = backwards, FUNCTION = backwards_lt, COMMUTATOR = >);
CREATE OPERATOR <= (LEFTARG = backwards, RIGHTARG = backwards, FUNCTION = backwards_le, COMMUTATOR = >=);
CREATE OPERATOR > (LEFTARG = backwards, RIGHTARG = backwards, FUNCTION = backwards_lt, COMMUTATOR = <);
CREATE OPERATOR >= (LEFTARG = backwards, RIGHTARG = backwards, FUNCTION = backwards_le, COMMUTATOR = <=);
CREATE OPERATOR CLASS backwards_ops DEFAULT FOR TYPE backwards USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 backwards_cmp(backwards, backwards);
RESET client_min_messages;
CREATE TABLE turned (id backwards PRIMARY KEY, v int);
INSERT INTO turned VALUES ('1', 1), ('2', 2);
SELECT featurestore.publish_table('turned', 'turned_online');
-- 101 is equal to 1 by its own operator, though not as an integer
UPDATE turned SET id = '101' WHERE v = 1;
CALL featurestore.sync('turned_online');
SELECT * FROM turned_online ORDER BY v;
SELECT * FROM changed WHERE relation = 'turned_online';

SET client_min_messages = warning;
DROP SCHEMA publish, serve CASCADE;
SELECT count(*) FROM featurestore.publication WHERE relation NOT IN (SELECT oid FROM pg_class);
SELECT count(*) FROM featurestore.publication_position WHERE relation NOT IN (SELECT oid FROM pg_class);
DROP OWNED BY regress_publisher, regress_reader, regress_stranger;
DROP ROLE regress_publisher, regress_reader, regress_stranger;
