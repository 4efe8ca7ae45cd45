/*
 * Tables of the benchmark: users, their sessions and items, ten numeric
 * features each.  psql variables users and items hold the numbers of rows.
 *
 * The values have six significant digits, as prices, rates and counts have:
 * full random doubles would make Redis, which keeps text, look worse than it
 * is.
 */
\set ON_ERROR_STOP on
SET synchronous_commit = off;
SET maintenance_work_mem = '512MB';
SELECT setseed(0.25) \g /dev/null

CREATE SCHEMA bench;
CREATE TABLE bench.users (
	user_id bigint NOT NULL,
	u0 float8, u1 float8, u2 float8, u3 float8, u4 float8, u5 float8,
	u6 int4, u7 int4, u8 float4, u9 bool
) WITH (autovacuum_enabled = off);
CREATE TABLE bench.sessions (
	user_id bigint NOT NULL,
	s0 float8, s1 float8, s2 float8, s3 float8, s4 float8, s5 float8,
	s6 int4, s7 int4, s8 float4, s9 bool
) WITH (autovacuum_enabled = off);
CREATE TABLE bench.items (
	item_id bigint NOT NULL,
	i0 float8, i1 float8, i2 float8, i3 float8, i4 float8, i5 float8,
	i6 int4, i7 int4, i8 float8, i9 float8
) WITH (autovacuum_enabled = off);

/* A value of six significant digits that differs by row and column. */
CREATE FUNCTION bench.v(digits int) RETURNS float8 LANGUAGE sql VOLATILE
	AS $$SELECT floor(random() * 1e6) / 10 ^ digits$$;

INSERT INTO bench.users
SELECT g, bench.v(4), bench.v(4), bench.v(4), bench.v(6), bench.v(6), bench.v(6),
	   bench.v(0), bench.v(3), bench.v(5), random() < 0.5
FROM generate_series(1, :users) g;
INSERT INTO bench.sessions
SELECT g, bench.v(4), bench.v(4), bench.v(4), bench.v(6), bench.v(6), bench.v(6),
	   bench.v(0), bench.v(3), bench.v(5), random() < 0.5
FROM generate_series(1, :users) g;
INSERT INTO bench.items
SELECT g, bench.v(2), bench.v(4), bench.v(4), bench.v(6), bench.v(6), bench.v(6),
	   bench.v(0), bench.v(3), bench.v(5), bench.v(4)
FROM generate_series(1, :items) g;

ALTER TABLE bench.users ADD PRIMARY KEY (user_id);
ALTER TABLE bench.sessions ADD PRIMARY KEY (user_id);
ALTER TABLE bench.items ADD PRIMARY KEY (item_id);
CREATE TABLE bench.requests WITH (autovacuum_enabled = off) AS
SELECT g AS n, 1 + floor(random() * :users)::bigint AS user_id, 1 + floor(random() * :items)::bigint AS item_id,
	   floor(random() * 24)::int4 AS hour
FROM generate_series(1, :users) g;
VACUUM (ANALYZE) bench.requests;
VACUUM (ANALYZE) bench.users, bench.sessions, bench.items;
CHECKPOINT;
