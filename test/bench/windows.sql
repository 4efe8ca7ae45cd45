/*
 * What windowed features cost, beside what they are compared with: both sides
 * run alternately in this session, without parallel workers, and the least time
 * of each counts.  Prints a table with the ratio of the two and its target.
 *
 *		psql -v events=4000000 -v entities=20000 -v groups=1000000 -v rounds=3
 */
\set ON_ERROR_STOP on
\set QUIET on
\pset pager off
\pset footer off
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET work_mem = '256MB';
SET synchronous_commit = off;

DROP SCHEMA IF EXISTS wbench CASCADE;
CREATE SCHEMA wbench;
CREATE TABLE wbench.report (n int GENERATED ALWAYS AS IDENTITY, name text, measured text, against text, ratio numeric, target text);

/*
 * Adds the least times of two statements, and their ratio, to the report.
 * Each run is a transaction, so that what it replaces can be cleaned up.
 */
CREATE PROCEDURE wbench.compare(name text, a text, b text, rounds int, target text)
	LANGUAGE plpgsql AS $$
DECLARE
	started timestamptz;
	a_time float8 := 'infinity';
	b_time float8 := 'infinity';
BEGIN
	FOR i IN 1 .. rounds LOOP
		started := clock_timestamp();
		EXECUTE a;
		COMMIT;
		a_time := least(a_time, extract(epoch FROM clock_timestamp() - started) * 1e3);
		started := clock_timestamp();
		EXECUTE b;
		COMMIT;
		b_time := least(b_time, extract(epoch FROM clock_timestamp() - started) * 1e3);
	END LOOP;
	INSERT INTO wbench.report (name, measured, against, ratio, target)
	VALUES (compare.name, round(a_time::numeric, 2) || ' ms', round(b_time::numeric, 2) || ' ms',
			round((a_time / b_time)::numeric, 3), compare.target);
END
$$;

/* Events of 30 days: entities in turn, at random times */
SELECT setseed(0.5) \g /dev/null
CREATE TABLE wbench.events AS
	SELECT (i % :entities)::int AS entity, timestamptz '2026-03-31' - random() * interval '30 days' AS ts,
		   round((random() * 1000)::numeric, 2)::float8 AS amount
	FROM generate_series(1, :events) AS i;
CREATE INDEX ON wbench.events (entity, ts);
CREATE TABLE wbench.many AS
	SELECT (i * 7919::bigint % :groups)::int AS entity, timestamptz '2026-03-31' - random() * interval '30 days' AS ts,
		   round((random() * 1000)::numeric, 2)::float8 AS amount
	FROM generate_series(1, :groups * 2) AS i;
VACUUM ANALYZE wbench.events;
VACUUM ANALYZE wbench.many;

CREATE FUNCTION wbench.template() RETURNS featurestore.window_state LANGUAGE sql IMMUTABLE
	RETURN featurestore.window_state('sum', 'float8', '{rolling 1h,rolling 24h,rolling 7d,rolling 30d}'::featurestore.time_window[]);

CALL wbench.compare('build states: 4 windows x count, sum, max',
	'SELECT count(s) FROM (SELECT entity, featurestore.accumulate(wbench.template(), ts, amount) AS s FROM wbench.events GROUP BY entity) AS q',
	'SELECT count(c + s + m) FROM (SELECT entity, count(amount) AS c, sum(amount) AS s, max(amount) AS m FROM wbench.events GROUP BY entity) AS q',
	:rounds, '<= 3');

CALL wbench.compare('exact float sum, bulk',
	$$SELECT featurestore.accumulate(featurestore.agg_state('sum', 'float8'), ts, amount) IS NULL FROM wbench.events$$,
	'SELECT sum(amount) FROM wbench.events', :rounds, '<= 3');

/* The same aggregate, by hash and by sort; the sort is not part of what is compared */
CREATE TABLE wbench.many_sorted AS SELECT * FROM wbench.many ORDER BY entity;
CREATE INDEX ON wbench.many_sorted (entity);
VACUUM ANALYZE wbench.many_sorted;
CREATE FUNCTION wbench.by_hash() RETURNS bigint LANGUAGE sql SET enable_sort = off SET enable_indexscan = off SET enable_bitmapscan = off SET work_mem = '64MB'
	AS 'SELECT count(s) FROM (SELECT entity, featurestore.accumulate(wbench.template(), ts, amount) AS s FROM wbench.many GROUP BY entity) AS q';
CREATE FUNCTION wbench.by_group() RETURNS bigint LANGUAGE sql SET enable_hashagg = off SET work_mem = '64MB'
	AS 'SELECT count(s) FROM (SELECT entity, featurestore.accumulate(wbench.template(), ts, amount) AS s FROM wbench.many GROUP BY entity) AS q';
CALL wbench.compare(:groups || ' groups by hash', 'SELECT wbench.by_hash()', 'SELECT wbench.by_group()', :rounds, '<= 1.5');

/* Online tables: dense (an event in every tile), sparse (40 events), and plain columns */
CREATE TABLE wbench.dense_events AS
	SELECT e AS entity, timestamptz '2026-03-31' - age AS ts, (e * 31 + n) % 1000 / 8.0::float8 AS amount
	FROM generate_series(1, 5000) AS e, LATERAL (
		SELECT i * interval '1 minute' AS age, i AS n FROM generate_series(0, 60) AS i
		UNION ALL SELECT i * interval '1 hour', i + 61 FROM generate_series(1, 25) AS i
		UNION ALL SELECT i * interval '6 hours', i + 90 FROM generate_series(4, 29) AS i
		UNION ALL SELECT i * interval '1 day', i + 120 FROM generate_series(7, 29) AS i) AS a,
		generate_series(1, 4);
CREATE TABLE wbench.sparse_events AS
	SELECT e AS entity, timestamptz '2026-03-31' - random() * interval '30 days' AS ts, round((random() * 1000)::numeric, 2)::float8 AS amount
	FROM generate_series(1, 50000) AS e, generate_series(1, 40);
CREATE TABLE wbench.dense (entity int PRIMARY KEY, s featurestore.window_state NOT NULL) WITH (fillfactor = 50, toast_tuple_target = 8160);
CREATE TABLE wbench.sparse (LIKE wbench.dense INCLUDING ALL) WITH (fillfactor = 50, toast_tuple_target = 8160);
INSERT INTO wbench.dense SELECT entity, featurestore.accumulate(wbench.template(), ts, amount) FROM wbench.dense_events GROUP BY entity;
INSERT INTO wbench.sparse SELECT entity, featurestore.accumulate(wbench.template(), ts, amount) FROM wbench.sparse_events GROUP BY entity;
CREATE TABLE wbench.plain (entity int PRIMARY KEY, c1 bigint, c2 bigint, c3 bigint, c4 bigint, s1 float8, s2 float8, s3 float8, s4 float8, m1 float8, m2 float8, m3 float8, m4 float8);
INSERT INTO wbench.plain SELECT e, 1, 2, 3, 4, e, e + 1, e + 2, e + 3, e, e + 1, e + 2, e + 3 FROM generate_series(1, 50000) AS e;
CREATE TABLE wbench.counter (entity int PRIMARY KEY, n bigint NOT NULL, total float8 NOT NULL, most float8 NOT NULL) WITH (fillfactor = 50);
INSERT INTO wbench.counter SELECT e, 40, e, e FROM generate_series(1, 50000) AS e;
VACUUM ANALYZE wbench.dense;
VACUUM ANALYZE wbench.sparse;
VACUUM ANALYZE wbench.plain;
VACUUM ANALYZE wbench.counter;

INSERT INTO wbench.report (name, measured, target)
	SELECT 'size of a dense state', round(avg(pg_column_size(s))) || ' B', '<= 6144 B' FROM wbench.dense;
INSERT INTO wbench.report (name, measured, target)
	SELECT 'size of a sparse state', round(avg(pg_column_size(s))) || ' B', '<= 1024 B' FROM wbench.sparse;

/* Merging 500 events into 500 states */
CREATE FUNCTION wbench.merge_states(relation text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format($q$INSERT INTO wbench.%I AS t
		SELECT e, featurestore.accumulate(wbench.template(), timestamptz '2026-03-31' + interval '1 s' * e, 1.0::float8)
		FROM generate_series(1, 500) AS e GROUP BY e
		ON CONFLICT (entity) DO UPDATE SET s = t.s OPERATOR(featurestore.+) excluded.s$q$, relation);
END
$$;
CREATE FUNCTION wbench.merge_counters() RETURNS void LANGUAGE sql AS $$
	INSERT INTO wbench.counter AS t
		SELECT e, count(*), sum(1.0::float8), max(1.0::float8) FROM generate_series(1, 500) AS e GROUP BY e
		ON CONFLICT (entity) DO UPDATE SET n = t.n + excluded.n, total = t.total + excluded.total, most = greatest(t.most, excluded.most)
$$;
CALL wbench.compare('merge 500 events, sparse', $$SELECT wbench.merge_states('sparse')$$, 'SELECT wbench.merge_counters()', :rounds * 10, '<= 2.5');
CALL wbench.compare('merge 500 events, dense', $$SELECT wbench.merge_states('dense')$$, 'SELECT wbench.merge_counters()', :rounds * 10, '<= 8');

/* Lookups of 500 entities: 12 features each, beside 12 plain columns, the state as it is, and the aggregates at request time */
CREATE TABLE wbench.recent_events AS
	SELECT e AS entity, timestamptz '2026-03-31' - random() * interval '29 days' AS ts, round((random() * 1000)::numeric, 2)::float8 AS amount
	FROM generate_series(1, 50000) AS e, generate_series(1, 60);
CREATE INDEX ON wbench.recent_events (entity, ts);
VACUUM ANALYZE wbench.recent_events;
CREATE FUNCTION wbench.declare(kind text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	features text[];
BEGIN
	EXECUTE format('CREATE SCHEMA wbench_%s', kind);
	PERFORM set_config('search_path', format('wbench_%s', kind), true);
	features := ARRAY(SELECT featurestore.register_features(format('wbench.%s_events', kind)::regclass, '{entity}', 'ts',
		'[{"function": "count", "input": "amount"}, {"function": "sum", "input": "amount"}, {"function": "max", "input": "amount"}]',
		'{rolling 1h,rolling 24h,rolling 7d,rolling 30d}'));
	PERFORM featurestore.materialize_features(features, 'online');
	PERFORM featurestore.create_feature_spec('spec', ARRAY[featurestore.feature(features)]);
	PERFORM featurestore.create_feature_spec('states', ARRAY[featurestore.lookup('online', '{entity}')]);
END
$$;
SELECT wbench.declare('sparse'), wbench.declare('dense'), wbench.declare('recent') \g /dev/null
SELECT featurestore.create_feature_spec('wbench.plain_spec', ARRAY[featurestore.lookup('wbench.plain', '{entity}')]) \g /dev/null
VACUUM ANALYZE wbench_sparse.online;
VACUUM ANALYZE wbench_dense.online;
VACUUM ANALYZE wbench_recent.online;

/* The same 500 entities time and again, as text to be put into statements */
SELECT quote_literal(ARRAY(SELECT (i * 7919) % 5000 + 1 FROM generate_series(1, 500) AS i)::text) AS keys \gset
CREATE FUNCTION wbench.repeat(statement text, times int DEFAULT 20) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. times LOOP
		EXECUTE statement;
	END LOOP;
END
$$;
CREATE FUNCTION wbench.rows_of(spec text, keys text) RETURNS text LANGUAGE sql
	RETURN format('SELECT wbench.repeat(%L)', format('SELECT count(q) FROM (SELECT r.* FROM %s_batch(%L, ''2026-03-31'') AS r OFFSET 0) AS q', spec, keys));
CALL wbench.compare('20 x look up 500 sparse entities, 12 features', wbench.rows_of('wbench_sparse.spec', :keys), wbench.rows_of('wbench.plain_spec', :keys), :rounds * 5, '<= 2.5');
CALL wbench.compare('20 x look up 500 dense entities, 12 features', wbench.rows_of('wbench_dense.spec', :keys), wbench.rows_of('wbench.plain_spec', :keys), :rounds * 5, 'reported');
SELECT quote_literal(format($q$SELECT count(q) FROM (SELECT k, a.* FROM unnest(%L::int[]) AS k, LATERAL (
		SELECT %s FROM wbench.recent_events WHERE entity = k AND ts >= '2026-03-01' AND ts < '2026-03-31') AS a OFFSET 0) AS q$q$, :keys,
	string_agg(format('%s(amount) FILTER (WHERE ts >= %L)', f, featurestore.window_lo(w, '2026-03-31')), ', '))) AS request
FROM unnest('{count,sum,max}'::text[]) AS f, unnest('{rolling 1h,rolling 24h,rolling 7d,rolling 30d}'::featurestore.time_window[]) AS w \gset
CALL wbench.compare('20 x 12 aggregates at request time, 60 events each', format('SELECT wbench.repeat(%L)', :request), wbench.rows_of('wbench_recent.spec', :keys), :rounds, '>= 20');
CALL wbench.compare('20 x look up 500 states as they are, sparse', wbench.rows_of('wbench_sparse.states', :keys), wbench.rows_of('wbench.plain_spec', :keys), :rounds * 5, '');
CALL wbench.compare('20 x look up 500 states as they are, dense', wbench.rows_of('wbench_dense.states', :keys), wbench.rows_of('wbench.plain_spec', :keys), :rounds * 5, '');

/* What is left of a lookup without its probes is the evaluation: 10,000 of 12 outputs each */
INSERT INTO wbench.report (name, measured, target)
	SELECT format('evaluate 4 windows x 3 functions, %s', kind),
		   round((split_part(f.measured, ' ', 1)::numeric - split_part(s.measured, ' ', 1)::numeric) / 10, 2) || ' us', v.target
	FROM (VALUES ('sparse', '<= 1 us'), ('dense', '<= 3 us')) AS v(kind, target)
	JOIN wbench.report AS f ON f.name = format('20 x look up 500 %s entities, 12 features', kind)
	JOIN wbench.report AS s ON s.name = format('20 x look up 500 states as they are, %s', kind);

\pset title 'Windowed features (least times; ratios are measured / against)'
SELECT name AS "case", measured, against, ratio, target FROM wbench.report ORDER BY n;
