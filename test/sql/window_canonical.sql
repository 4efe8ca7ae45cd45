-- Equal events make equal bytes: whatever the order in which they came, how
-- they were split into states and how these were merged, whichever plan ran the
-- aggregate, and whatever else was there and was taken away again
SET TimeZone = 'UTC';
SET intervalstyle = 'postgres';
SET datestyle = 'ISO, MDY';
SET search_path = public, featurestore;
SET client_min_messages = warning;
SET jit = off;

-- A number from 0 to less than 1 that depends on the key alone
CREATE FUNCTION pg_temp.chance(VARIADIC key text[]) RETURNS float8 LANGUAGE sql IMMUTABLE
	RETURN ('x' || substr(md5(array_to_string(key, '/')), 1, 12))::bit(48)::bigint / 2.0 ^ 48;
CREATE FUNCTION pg_temp.bytes(state window_state) RETURNS text LANGUAGE sql IMMUTABLE
	RETURN md5(_window_state_send(state));
CREATE FUNCTION pg_temp.bytes(state agg_state) RETURNS text LANGUAGE sql IMMUTABLE
	RETURN md5(_agg_state_send(state));

-- Events of 8 sets: spread over days, in bursts, at few instants; parallel plans read tables that are not temporary
CREATE TABLE canonical_event AS
	SELECT set, n, '2024-03-01 00:00Z'::timestamptz - make_interval(secs => CASE set % 4
			WHEN 0 THEN trunc(a * 20 * 86400)
			WHEN 1 THEN trunc(b * 5) * 86400 + trunc(a * 1e6) / 1e6
			WHEN 2 THEN trunc(a * 8) * 1800
			ELSE trunc(a ^ 3 * 3e6 * 1e6) / 1e6 END) AS ts,
		(c * 9)::int AS few, c * 2000 - 1000 AS many
	FROM generate_series(1, 8) AS set, generate_series(1, 100) AS n,
		LATERAL (SELECT pg_temp.chance('a', set::text, n::text) AS a, pg_temp.chance('b', set::text, n::text) AS b, pg_temp.chance('c', set::text, n::text) AS c) AS chances;
ALTER TABLE canonical_event ADD PRIMARY KEY (set, n);

CREATE TABLE canonical_windows (grp int, slack interval, windows time_window[]);
INSERT INTO canonical_windows VALUES
	(1, '10 s', '{rolling 1h hop 1m,rolling 7d hop 6h,tumbling 1d,lifetime}'),
	(2, '0', '{rolling 3h hop 0,sliding 2d slide 6h}'),
	(3, '1 day', '{sawtooth 12h}');

CREATE TEMP TABLE input (position int GENERATED ALWAYS AS IDENTITY, type text, value text);
INSERT INTO input (type, value) VALUES
	('bool', 'few < 4'),
	('int4', 'many'),
	('int8', '(many * 1e15)::int8'),
	('float4', $$CASE WHEN few = 3 THEN ('{-0,0,NaN,Infinity,-Infinity,1e38}'::float4[])[1 + n % 6] ELSE many / 7 END$$),
	('float8', $$CASE WHEN few = 3 THEN ('{-0,0,-0,Infinity,NaN,5e-324,-1e308,1e308}'::float8[])[1 + n % 8] WHEN few = 4 THEN 0.5 ELSE many * 10.0 ^ (few * 5 - 20) END$$),
	('numeric', $$CASE WHEN few = 3 THEN ('{NaN,Infinity,-Infinity,0,0.0,0.00}'::numeric[])[1 + n % 6] WHEN few < 3 THEN round(few::numeric, n % 4) ELSE many::numeric * 10.0 ^ (few * 5 - 20) END$$),
	('text', $$repeat(chr(97 + few), few * 5) || n % 10$$),
	('bpchar', $$(ARRAY['a','a ','a  ','b','b '])[1 + few % 5]$$),
	('bytea', $$substr(decode(md5(n::text), 'hex'), 1, few)$$),
	('uuid', $$md5(few::text)$$),
	('timestamptz', $$'2020-01-01 00:00Z'::timestamptz + few * interval '1 h'$$),
	('interval', $$('{1 mon,30 days,29 days 24:00,720:00,1 day,24:00,-1 h}'::interval[])[1 + few % 7]$$);

-- A function of each family, and the types it takes here
CREATE TEMP TABLE family (position int GENERATED ALWAYS AS IDENTITY, family text, maker text, params jsonb, takes text);
INSERT INTO family (family, maker, params, takes) VALUES
	('basic', 'count', '{}', '.'), ('variance', 'var_pop', '{}', '^(int[48]|float|numeric)'), ('shape', 'skew', '{}', '^(int[48]|float|numeric)'),
	('first', 'first_n', '{"n": 3}', '.'), ('last', 'last_n', '{"n": 3}', '.'), ('first_distinct', 'first_distinct_n', '{"n": 3}', '.'),
	('last_distinct', 'last_distinct_n', '{"n": 3}', '.'), ('top', 'top_n', '{"n": 3}', '.'), ('bottom', 'bottom_n', '{"n": 3}', '.'),
	('frequencies', 'count_distinct', '{"bound": 1024}', '.'), ('frequencies of few', 'count_distinct', '{"bound": 5}', '.'),
	('distinct_sketch', 'approx_count_distinct', '{"relative_error": 0.2}', '.'), ('percentile_sketch', 'approx_percentile', '{"percentile": 0.5}', '^(int[48]|float|numeric)');

CREATE TEMP TABLE outcome (family text, way text, compared bigint, different bigint, left_open bigint DEFAULT 0, example text);

/*
 * Compares states of one family over one type, made in several ways, with those
 * that are made in order of time.  Way 'taken away' has states of all events
 * less those of some: these are the states of the others, or NULL.
 */
CREATE FUNCTION pg_temp.compare(f family, i input) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
	kind text;
	template text;
	query text;
	way text;
BEGIN
	EXECUTE format('CREATE TEMP TABLE v AS SELECT set, grp, n, ts, windows, slack, (%s)::%s AS v FROM canonical_event, canonical_windows', i.value, i.type);
	FOREACH kind IN ARRAY '{window_state,agg_state}'::text[] LOOP
		template := CASE kind WHEN 'window_state' THEN format('window_state(%L, %L, windows, %L, slack)', f.maker, i.type, f.params)
			ELSE format('agg_state(%L, %L, %L)', f.maker, i.type, f.params) END;
		EXECUTE format('CREATE TEMP TABLE straight AS SELECT set, grp, accumulate(%s, ts, v ORDER BY ts, v) AS state FROM v GROUP BY set, grp', template);
		EXECUTE format('CREATE TEMP TABLE one AS SELECT set, grp, n, accumulate(%s, ts, v) AS state FROM v GROUP BY set, grp, n', template);
		-- parts by n of 2, 7 and 30 events or so
		EXECUTE format($$CREATE TEMP TABLE part AS SELECT set, grp, size, part, accumulate(%s, ts, v) AS state
			FROM v, unnest('{2,7,30}'::int[]) AS size, LATERAL (SELECT trunc(pg_temp.chance('part', size::text, n::text) * 100 / size)::int AS part) AS p GROUP BY set, grp, size, part$$, template);
		FOR way, query IN VALUES
			('backwards', format('SELECT set, grp, accumulate(%s, ts, v ORDER BY ts DESC, n DESC) AS state FROM v GROUP BY set, grp', template)),
			('shuffled', format($$SELECT set, grp, accumulate(%s, ts, v ORDER BY md5(n::text)) AS state FROM v GROUP BY set, grp$$, template)),
			('one by one', 'SELECT set, grp, rollup(state ORDER BY md5(n::text)) AS state FROM one GROUP BY set, grp'),
			('of parts', 'SELECT set, grp, rollup(state ORDER BY md5((part * size)::text)) AS state FROM part GROUP BY set, grp, size'),
			('of parts of parts', $$SELECT set, grp, rollup(state) AS state FROM (SELECT set, grp, size, rollup(state ORDER BY part DESC) AS state FROM part GROUP BY set, grp, size, part % 3) AS p GROUP BY set, grp, size$$),
			('merged', $$SELECT set, grp, merge(merge(a[3], a[1]), a[2]) AS state FROM (SELECT set, grp, array_agg(state) AS a FROM (SELECT set, grp, rollup(state) AS state FROM part WHERE size = 7 GROUP BY set, grp, part % 3) AS p GROUP BY set, grp) AS p$$),
			('added', $$SELECT set, grp, a[1] + (a[2] + a[3]) AS state FROM (SELECT set, grp, array_agg(state) AS a FROM (SELECT set, grp, rollup(state) AS state FROM part WHERE size = 2 GROUP BY set, grp, part % 3) AS p GROUP BY set, grp) AS p$$),
			('with an empty one', format($$SELECT set, grp, %s + state AS state FROM straight JOIN canonical_windows USING (grp)$$, template)),
			('taken away', $$SELECT s.set, s.grp, (s.state + e.state) - e.state AS state FROM straight AS s JOIN canonical_extra AS e ON e.grp = s.grp AND e.which = s.set % 4$$)
		LOOP
			IF way = 'taken away' THEN
				-- other events, none of them the newest; of set 4 some of its own once more
				EXECUTE format($$CREATE TEMP TABLE canonical_extra AS SELECT grp, which, accumulate(%s, ts, v) AS state FROM v, generate_series(0, 3) AS which
					WHERE set = ('{4,8,3,7}'::int[])[which + 1] AND n %% 16 < which + 1 AND ts < '2024-02-29 00:00Z' GROUP BY grp, which$$, template);
			END IF;
			EXECUTE format($$INSERT INTO outcome SELECT %L, %L, count(*), count(*) FILTER (WHERE is_different), count(*) FILTER (WHERE state IS NULL),
					min(format('%%s %s set %%s grp %%s', %L, set, grp)) FILTER (WHERE is_different)
				FROM (SELECT set, grp, other.state, pg_temp.bytes(straight.state) <> pg_temp.bytes(other.state) AS is_different FROM straight JOIN (%s) AS other USING (set, grp)) AS c$$,
				f.family, way, kind, i.type, query);
		END LOOP;
		DROP TABLE straight, one, part, canonical_extra;
	END LOOP;
	DROP TABLE v;
END
$function$;

SELECT count(*) AS combinations FROM (SELECT pg_temp.compare(f, i) FROM family AS f, input AS i WHERE type ~ takes OFFSET 0) AS c;
SELECT way, count(DISTINCT family) AS families, sum(compared) AS compared, sum(different) AS different FROM outcome GROUP BY way ORDER BY way COLLATE "C";
SELECT family, way, sum(different) AS different, min(example) AS example FROM outcome WHERE different > 0 GROUP BY family, way ORDER BY family, way COLLATE "C";
-- Whether the events themselves were needed to take some away: not always, and of the families that forget some of them sometimes
SELECT family, sum(compared) AS compared, sum(left_open) BETWEEN 1 AND sum(compared) - 1 AS made_anew_at_times FROM outcome WHERE way = 'taken away' GROUP BY family ORDER BY family COLLATE "C";

-- A state less some of its own events is that of the others, or NULL
CREATE TEMP TABLE less (family text, compared bigint, different bigint, made_anew bigint);
CREATE FUNCTION pg_temp.take_away(f family, i input) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
	state text := format('accumulate(window_state(%L, %L, windows, %L, slack), ts, (%s)::%s)', f.maker, i.type, f.params, i.value, i.type);
BEGIN
	EXECUTE format($$INSERT INTO less SELECT %L, count(*), count(*) FILTER (WHERE pg_temp.bytes(whole - part) <> pg_temp.bytes(others)), count(*) FILTER (WHERE whole - part IS NULL)
		FROM (SELECT %s AS whole, %s FILTER (WHERE n %% 40 = k) AS part, %s FILTER (WHERE n %% 40 <> k) AS others
			FROM canonical_event, canonical_windows, generate_series(1, 5) AS k GROUP BY set, grp, k) AS s$$, f.family, state, state, state);
END
$function$;
SELECT count(*) AS combinations FROM (SELECT pg_temp.take_away(f, i) FROM family AS f, input AS i WHERE i.type ~ takes AND i.type IN ('int4', 'float8', 'numeric', 'bpchar') OFFSET 0) AS c;
SELECT family, sum(compared) AS compared, sum(different) AS different, sum(made_anew) BETWEEN 1 AND sum(compared) - 1 AS made_anew_at_times FROM less GROUP BY family ORDER BY family COLLATE "C";

-- Plans: sorted, hashed, hashed with little memory, parallel
CREATE FUNCTION pg_temp.plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	nodes text[] := '{}';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		nodes := nodes || (regexp_match(line, '(Partial \w+Aggregate|Finalize \w+Aggregate|\w+Aggregate|Gather Merge|Gather|Parallel Seq Scan|Seq Scan)'))[1];
	END LOOP;
	RETURN array_to_string(array_remove(nodes, NULL), ', ');
END
$$;
CREATE TABLE canonical_entity AS SELECT entity, ts + entity * interval '1 min' AS ts, few, many FROM canonical_event, generate_series(1, 40) AS entity WHERE n % 40 = entity % 40 OR entity < 5;
ALTER TABLE canonical_entity SET (parallel_workers = 2);
ANALYZE canonical_entity;
CREATE TEMP TABLE plan_query (name text, query text);
INSERT INTO plan_query
	SELECT f.family || ' of ' || i.type || CASE windowed WHEN 1 THEN '' ELSE ', no window' END, format('SELECT entity, accumulate(%s, ts, %s) AS state FROM canonical_entity GROUP BY entity',
		CASE windowed WHEN 1 THEN format('window_state(%L, %L, %L, %L)', f.maker, i.type, '{rolling 1h hop 1m,rolling 7d hop 6h,lifetime}', f.params) ELSE format('agg_state(%L, %L, %L)', f.maker, i.type, f.params) END,
		CASE i.type WHEN 'text' THEN $$few || repeat('x', few * 10)$$ ELSE '(many * 100)::' || i.type END)
	FROM family f, (VALUES ('float8'), ('numeric'), ('text')) AS i(type), generate_series(1, 2) AS windowed WHERE i.type ~ takes;
CREATE TEMP TABLE plan_state (plan text, name text, entity int, bytes text);
CREATE FUNCTION pg_temp.run(label text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	q plan_query;
	plans text;
BEGIN
	FOR q IN SELECT * FROM plan_query LOOP
		plans := pg_temp.plan('CREATE TEMP TABLE made AS ' || q.query);
		EXECUTE 'CREATE TEMP TABLE made AS ' || q.query;
		INSERT INTO plan_state SELECT label, q.name, entity, md5(state::text) FROM made;
		DROP TABLE made;
	END LOOP;
	RETURN plans;
END
$$;
SET max_parallel_workers_per_gather = 0;
SET enable_hashagg = off;
SELECT pg_temp.run('sorted');
SET enable_hashagg = on;
SET enable_sort = off;
SELECT pg_temp.run('hashed');
SET work_mem = '64kB';
SET hash_mem_multiplier = 1;
-- what states take counts: groups that outgrow hash_mem go to disk
CREATE FUNCTION pg_temp.spills(groups int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format($q$EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
		SELECT g, accumulate(window_state('sum', 'float8', '{rolling 1h hop 1m}'), timestamptz '2024-01-01' + n * interval '1 min', n::float8)
		FROM generate_series(1, 20) AS n, generate_series(1, %s) AS g GROUP BY g$q$, groups) LOOP
		IF line ~ 'Batches: ' THEN
			RETURN substring(line FROM 'Batches: (\d+)')::int > 1;
		END IF;
	END LOOP;
END
$$;
SELECT pg_temp.spills(20) AS few, pg_temp.spills(2000) AS many;
SELECT pg_temp.run('spilled');
RESET work_mem;
RESET hash_mem_multiplier;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT pg_temp.run('parallel, hashed');
RESET enable_sort;
SET enable_hashagg = off;
SELECT pg_temp.run('parallel, sorted');
SELECT o.plan, count(*) AS compared, count(*) FILTER (WHERE o.bytes <> s.bytes) AS different FROM plan_state AS s JOIN plan_state AS o USING (name, entity)
WHERE s.plan = 'sorted' AND o.plan <> s.plan GROUP BY o.plan ORDER BY o.plan COLLATE "C";
-- States of states, in parallel
CREATE TABLE canonical_state AS SELECT entity, few, accumulate(window_state('sum', 'float8', '{rolling 1h hop 1m,lifetime}'), ts, many) AS state FROM canonical_entity GROUP BY entity, few;
ALTER TABLE canonical_state SET (parallel_workers = 2);
ANALYZE canonical_state;
SELECT pg_temp.plan('SELECT entity, rollup(state) FROM canonical_state GROUP BY entity');
CREATE TEMP TABLE rolled_up AS SELECT entity, rollup(state) AS state FROM canonical_state GROUP BY entity;
SELECT count(*) AS compared, count(*) FILTER (WHERE pg_temp.bytes(a.state) <> pg_temp.bytes(b.state)) AS different
FROM rolled_up AS a JOIN
	(SELECT entity, accumulate(window_state('sum', 'float8', '{rolling 1h hop 1m,lifetime}'), ts, many) AS state FROM canonical_entity GROUP BY entity) AS b USING (entity);
DROP TABLE canonical_event, canonical_windows, canonical_entity, canonical_state;
