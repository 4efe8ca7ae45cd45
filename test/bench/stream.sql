/*
 * Tables of the benchmark of streams, which test/bench/stream runs:
 *
 *		psql -v rows=1000000 -v entities=50000
 */
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SET synchronous_commit = off;

DROP SCHEMA IF EXISTS sbench, sbench_now CASCADE;
CREATE SCHEMA sbench;
CREATE SCHEMA sbench_now;
SET search_path = sbench;
/* What is measured: milliseconds until a commit is looked up, and other figures of rounds, of which round 0 is to warm up */
CREATE TABLE latency (name text, side text, round int, p50 float8, p99 float8, most float8, probes int, rate float8);
CREATE TABLE figure (name text, side text, round int, value float8);
CREATE TABLE block (name text, round int, seconds float8, cpu float8);

/* Plain rows; probes are of row 0 */
CREATE TABLE item AS SELECT i::bigint AS id, 0::bigint AS n, i / 8.0::float8 AS price, 'item number ' || i AS name, now() AS updated_at FROM generate_series(0, :rows) AS i;
ALTER TABLE item ADD PRIMARY KEY (id);
ANALYZE item;
SELECT featurestore.publish_table('item', 'item_online', publish_mode => 'CONTINUOUS') \g /dev/null
SELECT featurestore.create_feature_spec('items', ARRAY[featurestore.lookup('item_online', '{id}')]) \g /dev/null

/* Events, and states of twelve features; beside them events that are counted by hand */
CREATE TABLE event AS
	SELECT e AS entity, now() - interval '1 minute' - random() * interval '30 days' AS at, round((random() * 1000)::numeric, 2)::float8 AS amount
	FROM generate_series(1, :entities) AS e, generate_series(1, 40);
CREATE INDEX ON event (entity, at);
ANALYZE event;
SELECT count(featurestore.materialize_features(ARRAY(SELECT featurestore.register_features('event', '{entity}', 'at',
	'[{"function": "count", "input": "amount"}, {"function": "sum", "input": "amount"}, {"function": "max", "input": "amount"}]',
	'{rolling 1h,rolling 24h,rolling 7d,rolling 30d}')), 'windows', publish_mode => 'CONTINUOUS')) \g /dev/null
SELECT featurestore.create_feature_spec('answers', ARRAY[featurestore.feature('{amount_count_rolling_1h,amount_sum_rolling_1d,amount_max_rolling_7d}')]) \g /dev/null
CREATE TABLE hand_event (entity int, at timestamptz, amount float8, xid xid8 DEFAULT pg_current_xact_id());
CREATE INDEX ON hand_event (entity, at);
CREATE INDEX ON hand_event (xid);
CREATE TABLE counter (entity int PRIMARY KEY, n bigint NOT NULL, total float8 NOT NULL, most float8 NOT NULL) WITH (fillfactor = 70);
INSERT INTO counter SELECT entity, count(*), sum(amount), max(amount) FROM event GROUP BY entity;

/* The loop one would write by hand: counts the events of transactions that were running when it last did, and have ended */
CREATE PROCEDURE count_by_hand() LANGUAGE plpgsql AS $$
DECLARE
	done xid8 := pg_snapshot_xmin(pg_current_snapshot());
	newest xid8;
	changed bigint;
BEGIN
	LOOP
		COMMIT;
		newest := pg_snapshot_xmin(pg_current_snapshot());
		INSERT INTO sbench.counter AS t SELECT entity, count(amount), sum(amount), max(amount) FROM sbench.hand_event WHERE xid >= done AND xid < newest GROUP BY entity
			ON CONFLICT (entity) DO UPDATE SET n = t.n + excluded.n, total = t.total + excluded.total, most = greatest(t.most, excluded.most);
		GET DIAGNOSTICS changed = ROW_COUNT;
		done := newest;
		IF changed = 0 THEN
			PERFORM pg_sleep(0.001);
		END IF;
	END LOOP;
END
$$;

/* Inserts that are applied as they commit, beside those that are not, and those that a trigger counts */
CREATE TABLE now_item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n bigint, price float8, name text, updated_at timestamptz);
CREATE TABLE free_item (LIKE now_item INCLUDING ALL);
SELECT featurestore.publish_table('now_item', 'now_item_online', publish_mode => 'SYNCHRONOUS') \g /dev/null
CREATE TABLE now_event (entity int, at timestamptz, amount float8);
CREATE INDEX ON now_event (entity, at);
CREATE TABLE free_event (LIKE now_event INCLUDING ALL);
/* features of the same names */
SET search_path = sbench_now, sbench;
SELECT count(featurestore.materialize_features(ARRAY(SELECT featurestore.register_features('now_event', '{entity}', 'at',
	'[{"function": "count", "input": "amount"}, {"function": "sum", "input": "amount"}, {"function": "max", "input": "amount"}]',
	'{rolling 1h,rolling 24h,rolling 7d,rolling 30d}')), 'now_windows', publish_mode => 'SYNCHRONOUS')) \g /dev/null
SET search_path = sbench;
CREATE TABLE counted_event (LIKE now_event INCLUDING ALL);
CREATE TABLE now_counter (LIKE counter INCLUDING ALL) WITH (fillfactor = 70);
CREATE FUNCTION count_now() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO sbench.now_counter AS t VALUES (new.entity, 1, new.amount, new.amount)
		ON CONFLICT (entity) DO UPDATE SET n = t.n + 1, total = t.total + excluded.total, most = greatest(t.most, excluded.most);
	RETURN NULL;
END
$$;
CREATE TRIGGER count_now AFTER INSERT ON counted_event FOR EACH ROW EXECUTE FUNCTION count_now();

/* Rows that are written directly: replaced, or added up; each writer has a table of its own */
CREATE FUNCTION make_targets() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY '{replaced_upsert,replaced_typed,replaced_json,added_upsert,added_typed,added_json}'::text[] LOOP
		EXECUTE format('CREATE TABLE sbench.%I (id bigint PRIMARY KEY, clicks bigint, spent float8, seen timestamptz, name text) WITH (fillfactor = 70)', name);
		IF name NOT LIKE '%upsert' THEN
			PERFORM featurestore.create_online_table(name::regclass, CASE WHEN name LIKE 'added%' THEN '{"clicks": "add", "spent": "max", "seen": "max"}' ELSE '{}' END::jsonb);
		END IF;
	END LOOP;
END
$$;
SELECT make_targets() \g /dev/null

/* Parameters of calls: arrays of 500 rows in random order of keys, the same rows as json, and a number of the batch */
CREATE FUNCTION batches(calls int, keys bigint) RETURNS TABLE(ids text, clicks text, spent text, seen text, names text, batch_id text, rows text)
	LANGUAGE sql AS $$
	SELECT array_agg(id)::text, array_agg(clicks)::text, array_agg(spent)::text, array_agg(seen)::text, array_agg(name)::text, 'batch ' || call, jsonb_agg(to_jsonb(r) - 'call')::text
	FROM (SELECT call, (call * 500 + n) * 7919 % keys AS id, (random() * 10)::bigint AS clicks, random() AS spent, now() AS seen, 'name ' || n AS name
		  FROM generate_series(1, calls) AS call, generate_series(1, 500) AS n) AS r GROUP BY call
$$;

VACUUM ANALYZE;
CHECKPOINT;
