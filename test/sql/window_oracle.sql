-- What window states answer is what plain SQL says of the rows in the window:
-- every function, of every type of input that it takes, over windows of every
-- kind, at many times
SET TimeZone = 'UTC';
SET intervalstyle = 'postgres';
SET datestyle = 'ISO, MDY';
SET search_path = public, featurestore;
SET client_min_messages = warning;
SET jit = off;

-- A number from 0 to less than 1 that depends on the key alone
CREATE FUNCTION pg_temp.chance(VARIADIC key text[]) RETURNS float8 LANGUAGE sql IMMUTABLE
	RETURN ('x' || substr(md5(array_to_string(key, '/')), 1, 12))::bit(48)::bigint / 2.0 ^ 48;
CREATE FUNCTION pg_temp.us(n float8) RETURNS interval LANGUAGE sql IMMUTABLE
	RETURN make_interval(secs => trunc(n) / 1e6);

-- Sets of events by how they lie in time
CREATE TEMP TABLE made (set int, ts timestamptz);
-- uniform over 45 days
INSERT INTO made SELECT 1, '2024-01-25 00:00Z'::timestamptz + pg_temp.us(pg_temp.chance('uniform', i::text) * 45 * 86400e6) FROM generate_series(1, 260) AS i;
-- bursts of 16 within a second
INSERT INTO made SELECT 2, '2024-02-20 00:00Z'::timestamptz + pg_temp.us(pg_temp.chance('burst', (i / 16)::text) * 20 * 86400e6 + pg_temp.chance('in it', i::text) * 1e6) FROM generate_series(1, 240) AS i;
-- 2,000 at one instant, and some others
INSERT INTO made SELECT 3, '2024-03-01 10:20:30.123456Z' FROM generate_series(1, 2000);
INSERT INTO made SELECT 3, '2024-02-28 00:00Z'::timestamptz + pg_temp.us(pg_temp.chance('other', i::text) * 4 * 86400e6) FROM generate_series(1, 60) AS i;
-- a microsecond apart, twice, and some before
INSERT INTO made SELECT 4, '2024-03-02 00:00Z'::timestamptz + pg_temp.us(i - 60) FROM generate_series(1, 120) AS i;
INSERT INTO made SELECT 4, '2024-03-02 01:00Z'::timestamptz + pg_temp.us(i - 60) FROM generate_series(1, 120) AS i;
INSERT INTO made SELECT 4, '2024-03-01 20:00Z'::timestamptz + pg_temp.us(pg_temp.chance('before', i::text) * 5 * 3600e6) FROM generate_series(1, 40) AS i;
-- on edges of lattices, and a microsecond beside them
INSERT INTO made SELECT 5, date_bin(step, '2024-02-01 00:00Z'::timestamptz + pg_temp.us(pg_temp.chance('edge', step::text, i::text) * 30 * 86400e6), '1970-01-01 00:00Z') + pg_temp.us(aside)
	FROM unnest('{1 min,1 h,6 h,1 day,7 days}'::interval[]) AS step, generate_series(1, 14) AS i, generate_series(-1, 1) AS aside;
-- before 1970 and a little after
INSERT INTO made SELECT 6, '1969-12-02 00:00Z'::timestamptz + pg_temp.us(pg_temp.chance('old', i::text) * 32 * 86400e6) FROM generate_series(1, 180) AS i;
-- few, far apart
INSERT INTO made SELECT 7, '2021-01-01 00:00Z'::timestamptz + pg_temp.us(pg_temp.chance('few', i::text) * 800 * 86400e6) FROM generate_series(1, 9) AS i;
-- within the last hours, with values that are special: see below
INSERT INTO made SELECT 8, '2024-03-05 00:00Z'::timestamptz + pg_temp.us(pg_temp.chance('special', i::text) ^ 2 * 30 * 3600e6) FROM generate_series(1, 220) AS i;

-- n numbers the events of a set from 0; few is for values that repeat, is_special for values at the ends of types
CREATE TEMP TABLE event AS
	SELECT set, ts, n, (chance * 12)::int AS few, chance * 2000 - 1000 AS many,
		set = 8 AND pg_temp.chance('is special', set::text, n::text) < 0.15 AS is_special,
		pg_temp.chance('is null', set::text, n::text) < 0.05 AND n > 0 AS is_null
	FROM (SELECT set, ts, row_number() OVER (PARTITION BY set ORDER BY ts) - 1 AS n FROM made) AS numbered,
		LATERAL (SELECT pg_temp.chance('value', set::text, n::text) AS chance) AS c;

-- Windows of one group nest
CREATE TEMP TABLE "group" (grp int, slack interval, windows time_window[]);
INSERT INTO "group" VALUES
	(1, '10 s', '{rolling 1h hop 1m,rolling 24h hop 1h,rolling 7d hop 6h,rolling 30d hop 1d,rolling 1d hop 1h delay 1h,tumbling 1d,sawtooth 12h,sawtooth 13d,lifetime}'),
	(2, '0', '{rolling 3h hop 0,rolling 20m hop 0 delay 90s,sliding 7d slide 1d offset 6h delay 1h,sliding 2d slide 6h}'),
	(3, '1 h', '{tumbling 1d,tumbling 7d,lifetime delay 1d,sliding 36h slide 1h}'),
	(4, '10 s', '{rolling 1h hop 1m}'),
	(5, '1.5 s', '{sliding 10s slide 4s offset 3s}'),
	(6, '10 s', '{sawtooth 20m,rolling 30us hop 0,tumbling 5m delay 10m}');

-- Times from before the head of the states to far past them, also such that an event lies on lo or hi of a window
CREATE TEMP TABLE "time" AS
	WITH ends AS (SELECT set, max(ts) AS last, max(n) AS n FROM event WHERE NOT is_null GROUP BY set)
	SELECT set, k, CASE
			WHEN k <= 6 THEN last + ('{-10 s,-10.000001 s,0,0.000001 s,-1 h,-1.5 s}'::interval[])[k]
			WHEN k <= 40 THEN last + pg_temp.us((chance - 0.5) * 20e6)
			WHEN k <= 50 THEN last + pg_temp.us((chance - 0.5) * 200)
			WHEN k <= 80 THEN last + pg_temp.us(chance * 3600e6)
			WHEN k <= 110 THEN last + pg_temp.us(chance * 2 * 86400e6)
			WHEN k <= 140 THEN last + pg_temp.us(chance * 40 * 86400e6)
			WHEN k <= 145 THEN last + pg_temp.us(chance * 4000 * 86400e6)
			ELSE (SELECT greatest(e.ts + distance + pg_temp.us(k % 3 - 1), last - interval '10 s') FROM event e,
					LATERAL (SELECT ('{0,90 s,10 min,1 h,3 h,12 h,1 day,25 h,7 days,30 days,10 s,21.5 min}'::interval[])[1 + trunc(pg_temp.chance('distance', k::text, ends.set::text) * 12)::int]) AS d(distance)
				WHERE e.set = ends.set AND e.n = trunc((1 - chance ^ 3) * ends.n)::int)
		END AS at
	FROM ends, generate_series(1, 200) AS k, LATERAL (SELECT pg_temp.chance('time', set::text, k::text)) AS c(chance);

-- Which events are in which window: those from the first to before the second number
CREATE TEMP TABLE seen AS
	SELECT t.set, grp, "window", k, at, at < last - slack AS is_too_old,
		width_bucket(window_lo("window", at) - interval '1 us', instants) AS "from",
		width_bucket(window_hi("window", at) - interval '1 us', instants) AS "to"
	FROM "time" t JOIN (SELECT set, array_agg(ts ORDER BY n) AS instants, max(ts) FILTER (WHERE NOT is_null) AS last FROM event GROUP BY set) AS e ON e.set = t.set,
		"group", unnest(windows) AS "window";
ANALYZE seen;
SELECT count(*) AS windows_at_times, count(*) FILTER (WHERE is_too_old) AS too_old, count(*) FILTER (WHERE "from" >= "to") AS empty FROM seen;

-- Values of each type: an expression over event, and one for the bytes that decide where values are equal
CREATE TEMP TABLE input (position int GENERATED ALWAYS AS IDENTITY, type text, is_number boolean, has_sum boolean, value text, tie text);
INSERT INTO input (type, is_number, has_sum, value, tie) VALUES
	('bool', false, false, 'few < 4', 'NULL::int'),
	('int2', true, true, $$CASE WHEN is_special THEN (-32768 + few % 2 * 65535) ELSE few - 6 END$$, 'NULL::int'),
	('int4', true, true, $$CASE WHEN is_special THEN -2147483648 + few % 2 * 4294967295 ELSE many END$$, 'NULL::int'),
	('int8', true, true, $$CASE WHEN is_special THEN (ARRAY[-9223372036854775808, 9223372036854775807])[1 + few % 2] ELSE (many * 1e6)::int8 END$$, 'NULL::int'),
	('float4', true, true, $$CASE WHEN is_special THEN ('{-0,0,NaN,Infinity,-Infinity,-0,0,-0}'::float4[])[1 + few % 8] ELSE trunc(many * 16) / 16 END$$, 'float4send(v)'),
	('float8', true, true, $$CASE WHEN is_special THEN ('{-0,0,-0,0,Infinity,-Infinity,NaN,0}'::float8[])[1 + few % 8] WHEN few = 2 THEN 0.5 ELSE trunc(many * 1024) / 1024 END$$, 'float8send(v)'),
	('numeric', true, true, $$CASE WHEN is_special THEN ('{NaN,Infinity,-Infinity,0,0.0,0.00,-1.50,-1.5}'::numeric[])[1 + few % 8] WHEN few % 3 = 0 THEN round(few::numeric, few / 3) ELSE round(many::numeric, few) END$$, 'ARRAY[scale(v) % 2, scale(v)]'),
	('text', false, false, $$CASE WHEN is_special THEN repeat(chr(few + 97), few * 40) ELSE (ARRAY['a','B','b','ä','','zz','Z'])[1 + few % 7] || trunc(many / 100)::int END$$, 'NULL::int'),
	('varchar', false, false, $$(ARRAY['a','B','b','ä','','zz','Z'])[1 + few % 7] COLLATE "C"$$, 'NULL::int'),
	('bpchar', false, false, $$(ARRAY['a','a ','a  ','b','b ','c','d'])[1 + few % 7]$$, 'bpcharsend(v)'),
	('bytea', false, false, $$substr(decode(md5(trunc(many / 50)::text), 'hex'), 1, few % 5)$$, 'NULL::int'),
	('uuid', false, false, $$md5(trunc(many / 50)::text)$$, 'NULL::int'),
	('date', false, false, $$CASE WHEN is_special THEN ('{infinity,-infinity,0044-03-15 BC}'::date[])[1 + few % 3] ELSE '2020-02-28'::date + (many / 20)::int END$$, 'NULL::int'),
	('timestamp', false, false, $$CASE WHEN is_special THEN ('{infinity,-infinity,0044-03-15 BC}'::timestamp[])[1 + few % 3] ELSE '2020-02-28'::timestamp + pg_temp.us(few * 123456789) END$$, 'NULL::int'),
	('timestamptz', false, false, $$CASE WHEN is_special THEN ('{infinity,-infinity,0044-03-15 BC}'::timestamptz[])[1 + few % 3] ELSE '2020-02-28 00:00Z'::timestamptz + pg_temp.us(many * 1e8) END$$, 'NULL::int'),
	('interval', false, true, $$('{1 mon,30 days,29 days 24:00,720:00,1 day,24:00,-1 h,0,1 mon -30 days,00:00:01.5,2 days,5 mon 3 days 01:02:03.456789,7 us}'::interval[])[1 + few]$$,
		$$(SELECT array_agg(get_byte(b, i) ORDER BY i / 8, CASE WHEN i < 8 THEN -i WHEN i < 12 THEN 8 - i ELSE 16 - i END) FROM interval_send(v) AS b, generate_series(0, 15) AS i)$$);

-- Functions as they are called, a function of the same family and params that make their state, the type of the result, and what they
-- are in SQL, of what pg_temp.expected has of the rows; err: what they may be off, as a part of the value, where that is more than exact_to
-- (percentiles of integers are rounded to whole ones besides)
CREATE TEMP TABLE func (position int GENERATED ALWAYS AS IDENTITY, call text, family text, maker text, params jsonb, inputs text, result text, expected text,
	err numeric, exact_to numeric DEFAULT -1);
INSERT INTO func (call, family, maker, params, inputs, result, expected, err) VALUES
	('count', 'basic', 'count', '{}', 'all', 'bigint', 'n', 0),
	('min', 'basic', 'count', '{}', 'ordered', 'input', 'by_value[1]', 0),
	('max', 'basic', 'count', '{}', 'ordered', 'input', 'greatest_value', 0),
	('sum', 'basic', 'count', '{}', 'sum', 'sum', 'sum', 0),
	('avg', 'basic', 'count', '{}', 'sum', 'avg', 'avg', 0),
	('var_pop', 'variance', 'var_pop', '{}', 'number', 'avg', 'var_pop', 0),
	('var_samp', 'variance', 'var_pop', '{}', 'number', 'avg', 'var_samp', 0),
	('stddev_pop', 'variance', 'var_pop', '{}', 'number', 'avg', 'stddev_pop', 0),
	('stddev_samp', 'variance', 'var_pop', '{}', 'number', 'avg', 'stddev_samp', 0),
	('skew', 'shape', 'skew', '{}', 'number', 'float8', 'skew', 1e-15),
	('kurtosis', 'shape', 'skew', '{}', 'number', 'float8', 'kurtosis', 1e-15),
	('first', 'first', 'first_n', '{"n": 5}', 'all', 'input', 'by_time[1]', 0),
	('first_n(5)', 'first', 'first_n', '{"n": 5}', 'all', 'array', 'by_time[1:5]', 0),
	('last', 'last', 'last_n', '{"n": 5}', 'all', 'input', 'by_time[n]', 0),
	('last_n(4)', 'last', 'last_n', '{"n": 5}', 'all', 'array', '(SELECT array_agg(by_time[i] ORDER BY i DESC) FROM generate_series(greatest(n - 3, 1), n) AS i)', 0),
	('first_distinct_n(5)', 'first_distinct', 'first_distinct_n', '{"n": 5}', 'all', 'array', 'first_distinct', 0),
	('last_distinct_n(3)', 'last_distinct', 'last_distinct_n', '{"n": 5}', 'all', 'array', 'last_distinct[1:3]', 0),
	('top_n(5)', 'top', 'top_n', '{"n": 5}', 'all', 'array', '(SELECT array_agg(by_value[i] ORDER BY i DESC) FROM generate_series(greatest(n - 4, 1), n) AS i)', 0),
	('bottom_n(4)', 'bottom', 'bottom_n', '{"n": 5}', 'all', 'array', 'by_value[1:4]', 0),
	('count_distinct', 'frequencies', 'count_distinct', '{"bound": 5000}', 'all', 'bigint', 'distinct_values', 0),
	('histogram', 'frequencies', 'count_distinct', '{"bound": 5000}', 'all', 'jsonb', 'frequencies', 0),
	('count_distinct', 'sample', 'count_distinct', '{"bound": 102}', 'all', 'bigint', 'distinct_values', 0.5),
	('approx_count_distinct', 'distinct_sketch', 'approx_count_distinct', '{"relative_error": 0.05}', 'all', 'bigint', 'distinct_values', 0.25),
	('approx_percentile(0.5)', 'percentile_sketch', 'approx_percentile', '{"percentile": 0.9}', 'number', 'input', 'percentile_disc_1', 0.01),
	('approx_percentile(0.95)', 'percentile_sketch', 'approx_percentile', '{"percentile": 0.9}', 'number', 'input', 'percentile_disc_2', 0.01),
	('approx_percentile(1)', 'percentile_sketch', 'approx_percentile', '{"percentile": 0.9}', 'number', 'input', 'percentile_disc_3', 0.01);

UPDATE func SET exact_to = 100 WHERE family = 'sample';
UPDATE func SET exact_to = 50 WHERE family = 'distinct_sketch';

-- The type of a function's values
CREATE FUNCTION pg_temp.result(f func, i input) RETURNS text LANGUAGE sql RETURN CASE f.result
	WHEN 'input' THEN i.type
	WHEN 'array' THEN i.type || '[]'
	WHEN 'sum' THEN CASE WHEN i.type IN ('int2', 'int4') THEN 'bigint' WHEN i.type = 'int8' THEN 'numeric' ELSE i.type END
	WHEN 'avg' THEN CASE WHEN i.type IN ('int2', 'int4', 'int8') THEN 'numeric' WHEN i.type = 'float4' THEN 'float8' ELSE i.type END
	ELSE f.result END;

-- A value as it is compared: of exact floats every bit
CREATE FUNCTION pg_temp.shown(f func, i input, value text) RETURNS text LANGUAGE sql RETURN
	CASE WHEN f.err = 0 AND pg_temp.result(f, i) IN ('float4', 'float8') THEN format('(%s)::text || %ssend(%s)', value, pg_temp.result(f, i), value)
		ELSE format('(%s)::text', value) END;

-- The rows of the windows in SQL.  Of floats, sums and what is made of them are the exact results, rounded once: x is
-- the value as numeric where it is finite, and zeros are for digits enough that the quotient rounds as if it had them all.
CREATE FUNCTION pg_temp.expected(i input) RETURNS text LANGUAGE sql AS $function$
	SELECT $$(SELECT count(*) AS n, array_agg(v ORDER BY ts, v, tie) AS by_time, array_agg(v ORDER BY v, tie) AS by_value,
		(array_agg(v ORDER BY v DESC, tie))[1] AS greatest_value, count(DISTINCT v) AS distinct_values$$ ||
	CASE WHEN i.has_sum AND i.type NOT LIKE 'float%' THEN ', sum(v), avg(v)' ELSE '' END ||
	CASE WHEN i.is_number AND i.type NOT LIKE 'float%' THEN ', var_pop(v), var_samp(v), stddev_pop(v), stddev_samp(v)' ELSE '' END ||
	CASE WHEN i.is_number THEN $$, percentile_disc(0.5) WITHIN GROUP (ORDER BY v) AS percentile_disc_1, percentile_disc(0.95) WITHIN GROUP (ORDER BY v) AS percentile_disc_2,
		percentile_disc(1) WITHIN GROUP (ORDER BY v) AS percentile_disc_3, sum(x) AS s1, sum(x * x) AS s2, sum(x * x * x) AS s3, sum(x * x * x * x) AS s4,
		count(*) FILTER (WHERE odd = 'NaN') AS nans, count(*) FILTER (WHERE odd = 'Infinity') AS infinities, count(*) FILTER (WHERE odd = '-Infinity') AS minus_infinities,
		bool_and(tie::text IN ('\x80000000', '\x8000000000000000')) AS is_minus_zero, repeat('0', 90)::text AS zero_digits$$ ELSE '' END ||
	' FROM event_value AS e WHERE e.set = r.set AND e.n >= r."from" AND e.n < r."to" AND v IS NOT NULL) AS a' ||
	CASE WHEN i.is_number THEN $$, LATERAL (SELECT ('0.' || zero_digits)::numeric AS zeros, n * s2 - s1 * s1 AS m2,
		n * n * s3 - 3 * n * s1 * s2 + 2 * s1 * s1 * s1 AS m3, n * n * n * s4 - 4 * n * n * s1 * s3 + 6 * n * s1 * s1 * s2 - 3 * s1 * s1 * s1 * s1 AS m4,
		CASE WHEN nans > 0 OR infinities > 0 AND minus_infinities > 0 THEN 'NaN'::float8 WHEN infinities > 0 THEN 'Infinity' WHEN minus_infinities > 0 THEN '-Infinity' END AS special) AS b,
		LATERAL (SELECT CASE WHEN special IS NOT NULL THEN 'NaN'::float8 WHEN m2 <> 0 THEN ((m3 + zeros) / (m2 * sqrt(m2 + zeros)))::float8 END AS skew,
			CASE WHEN special IS NOT NULL THEN 'NaN'::float8 WHEN m2 <> 0 THEN ((m4 + zeros) / (m2 * m2) - 3)::float8 END AS kurtosis) AS c$$ ELSE '' END ||
	CASE WHEN i.type LIKE 'float%' THEN $$, LATERAL (SELECT coalesce(special, CASE WHEN is_minus_zero THEN '-0' ELSE s1::TYPE END)::TYPE AS sum,
			coalesce(special, CASE WHEN is_minus_zero THEN '-0' ELSE ((s1 + zeros) / nullif(n, 0))::float8 END) AS avg,
			CASE WHEN special IS NOT NULL THEN 'NaN'::float8 ELSE ((m2 + zeros) / nullif(n * n, 0))::float8 END AS var_pop,
			CASE WHEN n < 2 THEN NULL WHEN special IS NOT NULL THEN 'NaN'::float8 ELSE ((m2 + zeros) / nullif(n * (n - 1), 0))::float8 END AS var_samp,
			CASE WHEN special IS NOT NULL THEN 'NaN'::float8 ELSE sqrt((m2 + zeros) / nullif(n * n, 0))::float8 END AS stddev_pop,
			CASE WHEN n < 2 THEN NULL WHEN special IS NOT NULL THEN 'NaN'::float8 ELSE sqrt((m2 + zeros) / nullif(n * (n - 1), 0))::float8 END AS stddev_samp) AS d$$ ELSE '' END ||
	$$, LATERAL (SELECT
		(SELECT array_agg(v ORDER BY ts, v) FROM (SELECT v, ts FROM (SELECT DISTINCT ON (v) v, ts FROM event_value AS e WHERE e.set = r.set AND e.n >= r."from" AND e.n < r."to" AND v IS NOT NULL
			ORDER BY v, ts, tie) AS distinct_value ORDER BY ts, v LIMIT 5) AS f) AS first_distinct,
		(SELECT array_agg(v ORDER BY ts DESC, v DESC) FROM (SELECT v, ts FROM (SELECT DISTINCT ON (v) v, ts FROM event_value AS e WHERE e.set = r.set AND e.n >= r."from" AND e.n < r."to" AND v IS NOT NULL
			ORDER BY v, ts DESC, tie) AS distinct_value ORDER BY ts DESC, v DESC LIMIT 5) AS f) AS last_distinct,
		(SELECT jsonb_object_agg(to_jsonb(least) #>> '{}', count) FROM (SELECT (array_agg(v ORDER BY tie))[1] AS least, count(*) FROM event_value AS e
			WHERE e.set = r.set AND e.n >= r."from" AND e.n < r."to" AND v IS NOT NULL GROUP BY v) AS value) AS frequencies) AS g$$
$function$;

CREATE TEMP TABLE outcome (type text, call text, compared bigint, different bigint, example text);

-- Compares all functions over values of a type.  Of the times, each type has its share.
CREATE FUNCTION pg_temp.compare(i input) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
	functions func[] := (SELECT array_agg(f ORDER BY position) FROM func f WHERE inputs = 'all' OR inputs = 'ordered' AND i.type <> 'bool' OR inputs = 'sum' AND i.has_sum OR inputs = 'number' AND i.is_number);
	states text;
BEGIN
	-- x: the value as a numeric, odd: if it cannot be summed; a cast of floats to numeric would drop digits of float4
	EXECUTE format('CREATE TEMP TABLE event_value AS SELECT set, n, ts, v, %s AS tie, %s AS x, %s AS odd FROM (SELECT *, CASE WHEN NOT is_null THEN (%s)::%s END AS v FROM event) AS e',
		i.tie,
		CASE WHEN i.type IN ('float4', 'float8', 'numeric') THEN format('CASE WHEN abs(v) < ''Infinity'' THEN v::%s::numeric END', replace(i.type, '4', '8'))
			WHEN i.is_number THEN 'v::numeric' ELSE 'NULL' END,
		CASE WHEN i.type IN ('float4', 'float8', 'numeric') THEN 'CASE WHEN NOT abs(v) < ''Infinity'' THEN v::float8 END' ELSE 'NULL::float8' END, i.value, i.type);
	CREATE INDEX ON event_value (set, n);
	ANALYZE event_value;
	CREATE TEMP TABLE looked AS SELECT * FROM seen WHERE k % 8 = i.position % 8;

	EXECUTE format('CREATE TEMP TABLE want AS SELECT r.set, r."from", r."to", ARRAY[%s] AS want FROM (SELECT DISTINCT set, "from", "to" FROM looked WHERE NOT is_too_old) AS r, LATERAL %s',
		(SELECT string_agg(pg_temp.shown(f, i, f.expected), ', ' ORDER BY f.position) FROM unnest(functions) AS f),
		replace(pg_temp.expected(i), 'TYPE', i.type));
	CREATE INDEX ON want (set, "from", "to");

	SELECT string_agg(format('accumulate(window_state(%L, %L, windows, %L, slack), ts, v) AS %I', maker, i.type, params, family), ', ') INTO states
	FROM (SELECT DISTINCT maker, params, family FROM unnest(functions)) AS f;
	EXECUTE format('CREATE TEMP TABLE state AS SELECT set, grp, %s FROM event_value, "group" GROUP BY set, grp', states);
	EXECUTE format('CREATE TEMP TABLE got AS SELECT l.*, ARRAY[%s] AS got FROM (SELECT * FROM looked ORDER BY "window") AS l JOIN state USING (set, grp)',
		(SELECT string_agg(pg_temp.shown(f, i, format('window_value(state.%I, %L, "window", at, NULL::%s)', f.family, f.call, pg_temp.result(f, i))), ', ' ORDER BY f.position) FROM unnest(functions) AS f));

	INSERT INTO outcome
		SELECT i.type, f.call, count(*), count(*) FILTER (WHERE NOT is_same),
			min(format('set %s window %s at %s: %s instead of %s', set, "window", at, coalesce(left(one_got, 100), 'NULL'), coalesce(left(one_want, 100), 'NULL'))) FILTER (WHERE NOT is_same)
		FROM (SELECT got.*, want FROM got LEFT JOIN want ON NOT is_too_old AND (want.set, want."from", want."to") = (got.set, got."from", got."to")) AS both_sides,
			LATERAL unnest(got, want, functions) WITH ORDINALITY AS u(one_got, one_want, position, call, family, maker, params, inputs, result, expected, err, exact_to, n)
			CROSS JOIN LATERAL (SELECT CASE WHEN call LIKE 'approx_percentile%' AND i.type LIKE 'int%' THEN 0.5 ELSE 0 END) AS r(rounding)
			CROSS JOIN LATERAL (SELECT coalesce(one_got IS NOT DISTINCT FROM one_want OR
				err > 0 AND abs(one_want::numeric) > exact_to AND abs(one_got::numeric - one_want::numeric) <= err * abs(one_want::numeric) + rounding, false) AS is_same) AS s
			CROSS JOIN LATERAL (SELECT call || CASE family WHEN 'sample' THEN ' of a sample' ELSE '' END AS call) AS f
		GROUP BY f.call;
	DROP TABLE event_value, looked, want, state, got;
END
$function$;

SELECT count(*) FROM (SELECT pg_temp.compare(input) FROM input ORDER BY position OFFSET 0) AS c;
SELECT call, count(*) AS types, sum(compared) AS compared, sum(different) AS different FROM outcome GROUP BY call ORDER BY call COLLATE "C";
SELECT type, call, different, example FROM outcome WHERE different > 0 ORDER BY type COLLATE "C", call COLLATE "C";

-- Rows are counted whatever is in them
WITH state AS (SELECT set, grp, max(ts) - slack AS head, accumulate(window_state('count', NULL, windows, head_slack => slack), ts) AS rows FROM event, "group" GROUP BY set, grp, slack)
SELECT count(*) AS compared, count(*) FILTER (WHERE window_value(rows, 'count', "window", at, NULL::bigint) IS DISTINCT FROM greatest("to" - "from", 0)) AS different
FROM seen JOIN state USING (set, grp) WHERE at >= head;

-- What there is to know of a value
WITH state AS (SELECT set, grp, accumulate(window_state('count_distinct', 'int4', windows, '{"bound": 20}', slack), ts, (many * 3)::int) AS state FROM event, "group" WHERE NOT is_null GROUP BY set, grp)
SELECT flags, is_too_old, is_empty, is_above_bound, count(*) FROM seen JOIN state USING (set, grp),
	LATERAL (SELECT _window_flags(state, 'count_distinct', "window", at) AS flags, count(*) = 0 AS is_empty, count(DISTINCT (many * 3)::int) > 20 AS is_above_bound
		FROM event e WHERE e.set = seen.set AND e.n >= "from" AND e.n < "to" AND NOT is_null AND NOT is_too_old) AS f
WHERE seen.k % 4 = 0
GROUP BY flags, is_too_old, is_empty, is_above_bound ORDER BY flags, is_too_old, is_empty, is_above_bound;
