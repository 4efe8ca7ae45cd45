--
-- Relations of all kinds, and the path a lookup takes to each
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA lookup_relations;
RESET client_min_messages;
SET search_path = lookup_relations, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql
CREATE FUNCTION path(spec text, records jsonb) RETURNS SETOF text LANGUAGE sql AS
	$$ SELECT path || ': ' || reason || format(' (%s of %s found)', found, keys) FROM explain_lookup(spec, records) WHERE relation IS NOT NULL $$;

CREATE TABLE users (user_id bigint PRIMARY KEY, country text, age int, twice_age int GENERATED ALWAYS AS (age * 2) STORED, mail text UNIQUE);
INSERT INTO users (user_id, country, age, mail) VALUES (1, 'de', 33, 'a@x'), (2, 'fr', 44, 'b@x'), (3, 'it', NULL, NULL);

--
-- Tables: ordinary, unlogged, of a composite type, with dropped and generated columns, of the system
--
CREATE UNLOGGED TABLE unlogged AS SELECT * FROM users;
ALTER TABLE unlogged ADD PRIMARY KEY (user_id);
CREATE TYPE user_type AS (user_id bigint, age int);
CREATE TABLE typed OF user_type (PRIMARY KEY (user_id));
INSERT INTO typed VALUES (1, 33);
ALTER TABLE users DROP country, ADD country text DEFAULT 'xx';
SELECT create_feature_spec('tables', ARRAY[
	lookup('users', '{user_id}', '{age,twice_age,country}'), lookup('unlogged', '{user_id}', '{age}', '{"age": "unlogged_age"}'), lookup('typed', '{user_id}', '{age}', '{"age": "typed_age"}'),
	lookup('pg_catalog.pg_class', '{relname=name,relnamespace=schema}', '{relkind}'), request_field('name', 'name'), request_field('schema', 'oid')]);
SELECT * FROM same($$ SELECT user_id, age, twice_age, country, unlogged_age, typed_age, relkind FROM tables_batch('{1,2,9}', '{users,nothing,some_view}', ARRAY['lookup_relations'::regnamespace::oid]) $$);
SELECT path('tables', jsonb_build_object('user_id', 1, 'name', 'users', 'schema', 'lookup_relations'::regnamespace::int));

--
-- Views: keys by name only; of several rows with a key there is an error, never one of them
--
CREATE VIEW some_view AS SELECT user_id AS id, age, mail FROM users WHERE user_id < 3;
SELECT create_feature_spec('of_view', ARRAY[lookup('some_view', '{id}')]);
SELECT * FROM same($$ SELECT * FROM of_view_batch('{2,3,NULL,1,1}') $$);
SELECT path('of_view', '{"id": [1, 3, null, 1]}');
SELECT create_feature_spec('of_view_by', ARRAY[lookup('some_view', '{mail,age=years}', '{id}')]);
SELECT * FROM same($$ SELECT * FROM of_view_by_batch('{a@x,a@x,b@x}', '{33,44,44}') $$);
CREATE VIEW joined AS SELECT u.user_id, u.age, n FROM users AS u CROSS JOIN generate_series(1, 2) AS n WHERE user_id <> 2 OR n = 1;
SELECT create_feature_spec('of_join', ARRAY[lookup('joined', '{user_id}')]);
SELECT * FROM same($$ SELECT * FROM of_join_batch('{2,2,7}') $$);
SELECT refused($$ SELECT * FROM of_join_batch('{2,1}') $$);
SELECT refused($$ SELECT * FROM feature_lookup_json('of_join', '{"user_id": 1}') $$);
SELECT * FROM same($$ SELECT * FROM of_join(2) $$);
CREATE VIEW aggregated AS SELECT country, count(*) AS n, array_agg(user_id ORDER BY user_id) AS ids FROM users GROUP BY country;
SELECT create_feature_spec('of_aggregate', ARRAY[lookup('aggregated', '{country}')]);
SELECT * FROM same($$ SELECT * FROM of_aggregate_batch('{xx,yy}') $$);
-- a view that is redefined
CREATE OR REPLACE VIEW some_view AS SELECT user_id + 1 AS id, age, mail FROM users;
SELECT * FROM same($$ SELECT * FROM of_view_batch('{2,3,1}') $$);

--
-- Materialized views: direct once there is an index, an error while they are not filled
--
CREATE MATERIALIZED VIEW mat AS SELECT * FROM users WITH NO DATA;
CREATE UNIQUE INDEX mat_index ON mat (user_id);
SELECT create_feature_spec('of_mat', ARRAY[lookup('mat', '{user_id}', '{age}')]);
SELECT refused('SELECT * FROM of_mat(1)');
REFRESH MATERIALIZED VIEW mat;
SELECT * FROM same($$ SELECT * FROM of_mat_batch('{1,2,3,4}') $$);
SELECT path('of_mat', '{"user_id": [1, 4]}');
UPDATE users SET age = 45 WHERE user_id = 2;
REFRESH MATERIALIZED VIEW CONCURRENTLY mat;
SELECT * FROM same($$ SELECT * FROM of_mat_batch('{1,2,3,4}') $$);
REFRESH MATERIALIZED VIEW mat WITH NO DATA;
SELECT refused('SELECT * FROM of_mat(1)') ~ '^55000: materialized view "mat" has not been populated' AS refused;
CREATE MATERIALIZED VIEW mat_without_index AS SELECT * FROM users;
SELECT refused($$ SELECT create_feature_spec('s', ARRAY[lookup('mat_without_index', '{user_id}')]) $$) ~ '^55000' AS refused;

--
-- Partitions: of each kind, nested, attached and detached; a partition by itself
--
CREATE TABLE parted (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE TABLE parted_us PARTITION OF parted FOR VALUES IN ('us') PARTITION BY HASH (id);
CREATE TABLE parted_us_0 PARTITION OF parted_us FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted_us_1 PARTITION OF parted_us FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted VALUES (1, 'eu', 10), (1, 'us', 20), (2, 'us', 30);
SELECT create_feature_spec('of_parted', ARRAY[lookup('parted', '{region,id}')]);
SELECT create_feature_spec('of_partition', ARRAY[lookup('parted_us_0', '{region,id}')]);
SELECT * FROM same($$ SELECT * FROM of_parted_batch('{us,us,eu,eu,xx}', '{1,2,1,2,1}') $$);
SELECT path('of_parted', '{"region": "us", "id": [1, 7]}');
SELECT path('of_partition', '{"region": "us", "id": 1}') ~ '^index: unique index parted_us_0_pkey' AS direct;
ALTER TABLE parted DETACH PARTITION parted_eu;
SELECT * FROM same($$ SELECT * FROM of_parted_batch('{us,eu}', '{1,1}') $$);
UPDATE parted_eu SET v = 11;
ALTER TABLE parted ATTACH PARTITION parted_eu FOR VALUES IN ('eu');
SELECT * FROM same($$ SELECT * FROM of_parted_batch('{us,eu}', '{1,1}') $$);
SELECT drop_feature_spec('of_partition');
DROP TABLE parted_us;
SELECT * FROM same($$ SELECT * FROM of_parted_batch('{us,eu}', '{1,1}') $$);
-- by time, the newest across partitions
CREATE TABLE by_day (id int, at timestamptz, v int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE by_day_1 PARTITION OF by_day FOR VALUES FROM ('2024-01-01') TO ('2024-01-02');
CREATE TABLE by_day_2 PARTITION OF by_day FOR VALUES FROM ('2024-01-02') TO ('2024-01-03');
INSERT INTO by_day VALUES (1, '2024-01-01 10:00', 1), (1, '2024-01-02 10:00', 2), (2, '2024-01-01 11:00', 3);
SELECT create_feature_spec('of_days', ARRAY[lookup('by_day', '{id}')], with_status => true);
SELECT * FROM same($$ SELECT * FROM of_days_batch('{1,2,3,NULL}', '2024-01-02 12:00') $$);
SELECT * FROM same($$ SELECT * FROM of_days_batch('{1,2,3,NULL}', '2024-01-02 09:00') $$);
SELECT * FROM same($$ SELECT * FROM of_days_batch('{1,2,3,NULL}', '2024-01-01 10:30') $$);
SELECT path('of_days', '{"id": 1}');

--
-- Inheritance: a parent is read with its children, whose rows can repeat a key; a child alone, like any table
--
CREATE TABLE parent (id int PRIMARY KEY, v int);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO parent VALUES (1, 10);
INSERT INTO child VALUES (2, 20);
SELECT create_feature_spec('of_parent', ARRAY[lookup('parent', '{id}'), lookup('child', '{id}', '{v}', '{"v": "child_v"}')]);
SELECT * FROM same($$ SELECT * FROM of_parent_batch('{1,2,3}') $$);
SELECT path('of_parent', '{"id": 2}');
INSERT INTO child VALUES (1, 11);
SELECT refused($$ SELECT * FROM of_parent(1) $$);
SELECT * FROM same($$ SELECT * FROM of_parent_batch('{2,3}') $$);
SELECT drop_feature_spec('of_parent');
DROP TABLE child;
SELECT create_feature_spec('of_parent', ARRAY[lookup('parent', '{id}')]);
SELECT * FROM same($$ SELECT * FROM of_parent_batch('{1,2}') $$);
CREATE TABLE sibling () INHERITS (parent);
INSERT INTO sibling VALUES (2, 22);
SELECT * FROM same($$ SELECT * FROM of_parent_batch('{1,2}') $$);
ALTER TABLE sibling NO INHERIT parent;
SELECT * FROM same($$ SELECT * FROM of_parent_batch('{1,2}') $$);

--
-- Row-level security: the owner's own tables are read directly until it is forced
--
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
SELECT create_feature_spec('of_users', ARRAY[lookup('users', '{user_id}', '{age}')]);
SELECT path('of_users', '{"user_id": 1}');

--
-- Where Citus is there, any table may be a shell for its shards
--
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass);
RESET allow_system_table_mods;
SELECT create_feature_spec('where_citus_is', ARRAY[lookup('unlogged', '{user_id}', '{age}')]);
SELECT path('where_citus_is', '{"user_id": 1}');
SELECT * FROM same($$ SELECT * FROM where_citus_is_batch('{1,2}') $$);
SET allow_system_table_mods = on;
DROP TABLE pg_catalog.pg_dist_partition;
RESET allow_system_table_mods;
\c -
SET search_path = lookup_relations, featurestore;
SELECT path('where_citus_is', '{"user_id": 1}');

--
-- Through the planner, with work that does not fit into memory and with little of it
--
SET featurestore.enable_direct_lookup = off;
SELECT count(*), count(age) FROM of_users_batch((SELECT array_agg(n % 5) FROM generate_series(1, 20000) AS n));
SET work_mem = '64kB';
SELECT count(*), count(age) FROM of_users_batch((SELECT array_agg(n % 5) FROM generate_series(1, 20000) AS n));
RESET featurestore.enable_direct_lookup;
SELECT count(*), count(age) FROM of_users_batch((SELECT array_agg(n % 5) FROM generate_series(1, 20000) AS n));

SET client_min_messages = warning;
DROP SCHEMA lookup_relations CASCADE;
