/*
 * Tables of the benchmark of publishing, which test/bench/publish runs:
 *
 *		psql -v rows=1000000 -v entities=50000 -v dense=2500 -v fill=5000000
 */
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SET synchronous_commit = off;

DROP SCHEMA IF EXISTS pbench, pbench_sparse, pbench_dense CASCADE;
CREATE SCHEMA pbench;
/* What is measured: seconds, or work done in a second; round 0 is to warm up */
CREATE TABLE pbench.time (name text, side text, round int, seconds float8);
CREATE TABLE pbench.rate (name text, side text, round int, rate float8);

/* Plain rows: a source, the table published from it, and an equal one written by hand */
CREATE FUNCTION pbench.item_row(id bigint)
	RETURNS TABLE(id bigint, name text, price numeric(10,2), stock int, rating float8, category int, is_active bool, updated_at timestamptz)
	LANGUAGE sql VOLATILE AS $$
	SELECT id, 'item number ' || id, round((random() * 1000)::numeric, 2), (random() * 1000)::int, random() * 5, (random() * 100)::int, random() < 0.9, now()
$$;
CREATE TABLE pbench.item AS SELECT r.* FROM generate_series(1, :rows) AS i, pbench.item_row(i) AS r;
ALTER TABLE pbench.item ADD PRIMARY KEY (id);
ANALYZE pbench.item;
SELECT featurestore.publish_table('pbench.item', 'pbench.online') \g /dev/null
CREATE TABLE pbench.twin (LIKE pbench.online INCLUDING ALL) WITH (fillfactor = 80);
INSERT INTO pbench.twin SELECT * FROM pbench.online;

/* Changes n rows with random keys, four of five there already, some twice */
CREATE PROCEDURE pbench.change(source text, count int, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 2 LOOP
		EXECUTE format('INSERT INTO pbench.%I SELECT r.* FROM (SELECT DISTINCT (random() * $2 * 1.25)::bigint + 1 AS id FROM generate_series(1, $1 / 2)) AS k, pbench.item_row(k.id) AS r'
					   ' ON CONFLICT (id) DO UPDATE SET name = excluded.name, price = excluded.price, stock = excluded.stock, rating = excluded.rating,'
					   ' category = excluded.category, is_active = excluded.is_active, updated_at = excluded.updated_at', source)
		USING count, rows;
	END LOOP;
END
$$;

/* Events of 30 days, as in windows.sql: 40 for each entity, or one in each tile */
CREATE TABLE pbench.sparse_event AS
	SELECT e AS entity, now() - interval '1 minute' - random() * interval '30 days' AS ts, round((random() * 1000)::numeric, 2)::float8 AS amount
	FROM generate_series(1, :entities) AS e, generate_series(1, 40);
CREATE TABLE pbench.dense_event AS
	SELECT e AS entity, now() - interval '1 minute' - age AS ts, (e * 31 + n) % 1000 / 8.0::float8 AS amount
	FROM generate_series(1, :dense) AS e, LATERAL (
		SELECT i * interval '1 minute' AS age, i AS n FROM generate_series(0, 60) AS i
		UNION ALL SELECT i * interval '1 hour', i + 61 FROM generate_series(1, 25) AS i
		UNION ALL SELECT i * interval '6 hours', i + 90 FROM generate_series(4, 29) AS i
		UNION ALL SELECT i * interval '1 day', i + 120 FROM generate_series(7, 29) AS i) AS a,
		generate_series(1, 4);
CREATE FUNCTION pbench.declare(kind text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE INDEX ON pbench.%I (entity, ts)', kind || '_event');
	EXECUTE format('ANALYZE pbench.%I', kind || '_event');
	EXECUTE format('CREATE SCHEMA pbench_%s', kind);
	PERFORM set_config('search_path', format('pbench_%s', kind), true);
	PERFORM featurestore.materialize_features(ARRAY(SELECT featurestore.register_features(format('pbench.%s_event', kind)::regclass, '{entity}', 'ts',
		'[{"function": "count", "input": "amount"}, {"function": "sum", "input": "amount"}, {"function": "max", "input": "amount"}]',
		'{rolling 1h,rolling 24h,rolling 7d,rolling 30d}')), 'online');
	EXECUTE format('CREATE TABLE counter (entity int PRIMARY KEY, n bigint NOT NULL, total float8 NOT NULL, most float8 NOT NULL) WITH (fillfactor = 70)');
	EXECUTE format('INSERT INTO counter SELECT entity, count(amount), sum(amount), max(amount) FROM pbench.%I GROUP BY entity', kind || '_event');
END
$$;
SELECT pbench.declare('sparse'), pbench.declare('dense') \g /dev/null

/* n events of now, five for each of some entities taken at random */
CREATE PROCEDURE pbench.add_events(kind text, count int, entities bigint) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO pbench.%I SELECT entity, clock_timestamp(), round((random() * 1000)::numeric, 2)'
				   ' FROM generate_series(1, 5), (SELECT i AS entity FROM generate_series(1, $2) AS i ORDER BY random() LIMIT $1 / 5) AS e', kind || '_event')
	USING count, entities;
END
$$;

/* Inserts that are captured, beside those that are not */
CREATE TABLE pbench.captured (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, price numeric(10,2), stock int, rating float8, category int, is_active bool, updated_at timestamptz);
CREATE TABLE pbench.free (LIKE pbench.captured INCLUDING ALL);
SELECT featurestore.publish_table('pbench.captured', 'pbench.captured_online') \g /dev/null

/* Four tables for four sessions */
CREATE FUNCTION pbench.make_source(n int, rows bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE pbench.source_%s AS SELECT r.* FROM generate_series(1, %s) AS i, pbench.item_row(i) AS r', n, rows);
	EXECUTE format('ALTER TABLE pbench.source_%s ADD PRIMARY KEY (id)', n);
	PERFORM featurestore.publish_table(format('pbench.source_%s', n)::regclass, format('pbench.online_%s', n));
END
$$;
SELECT pbench.make_source(n, :rows / 4) FROM generate_series(0, 3) AS n \g /dev/null
CREATE TABLE pbench.together (round int, sessions int, started timestamptz, ended timestamptz);
CREATE TABLE pbench.arrival ();

/* Returns once there have been so many calls */
CREATE PROCEDURE pbench.meet(calls int) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO pbench.arrival DEFAULT VALUES;
	COMMIT;
	WHILE (SELECT count(*) < calls FROM pbench.arrival) LOOP
		PERFORM pg_sleep(0.002);
	END LOOP;
END
$$;

VACUUM ANALYZE;
CHECKPOINT;
