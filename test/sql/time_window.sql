-- Windows of time: their text, constructors, edges and order
SET TimeZone = 'UTC';
SET intervalstyle = 'postgres';
SET datestyle = 'ISO, MDY';
SET search_path = public, featurestore;

-- SQLSTATE and message of an error, and the hint but for that of the syntax, which is long
CREATE FUNCTION pg_temp.error(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' ', SQLSTATE, message, CASE WHEN SQLSTATE <> '22P02' THEN '(' || nullif(hint, '') || ')' END);
END
$$;
CREATE FUNCTION pg_temp.input_error(text text) RETURNS text LANGUAGE sql
	RETURN pg_temp.error(format('SELECT %L::featurestore.time_window', text));

-- Text form
SELECT t AS input, t::time_window AS output FROM unnest(ARRAY[
	'rolling 7d hop 6h delay 1h', 'rolling 7d hop 0', 'rolling 7d', 'rolling 7d hop 0 delay 10s',
	'sliding 7d slide 1d offset 6h delay 1h', 'sliding 7d slide 7d', 'sliding 7d slide 2d', 'sliding 10s slide 3s offset 2999999us',
	'tumbling 1d offset 6h delay 1h', 'tumbling 1us', 'tumbling 365250d delay 365250d',
	'sawtooth 7d', 'sawtooth 1us', 'lifetime', 'lifetime delay 1d',
	E'  ROLLING\t1d12h delay  90m hop 30M\n', 'rolling 24h60m hop 60s', 'tumbling 1000ms', 'tumbling 1500ms', 'tumbling 1500us',
	'tumbling 1us1ms1s1m1h1d', 'tumbling 007d', 'tumbling 1d1d', 'lifetime delay 0', 'lifetime delay 0s'
]) WITH ORDINALITY AS u(t, n) ORDER BY n;

-- Text that is none, and text of windows that cannot be
SELECT t AS input, pg_temp.input_error(t) AS error FROM unnest(ARRAY[
	'', '  ', 'rolling', 'roll 7d', 'rollingx 7d', 'rolling 7', 'rolling d', 'rolling 7d6', 'rolling 7w', 'rolling 1mo', 'rolling 1 month',
	'rolling -7d', 'rolling 1.5d', 'rolling +1d', 'rolling 7d hop', 'rolling 7d 6h', 'rolling 7d hop 6h hop 6h', 'rolling 7d slide 1d', 'rolling 7d offset 1h',
	'sliding 7d', 'sliding 7d offset 1d', 'sliding 7d hop 1d', 'tumbling 7d slide 7d', 'tumbling 7d hop 1d',
	'sawtooth 7d delay 1h', 'sawtooth 7d hop 1h', 'lifetime 7d', 'lifetime hop 1d', 'lifetime delay', 'rolling 7d;', 'rolling 7d hop 00', 'rolling 7dx', 'rolling 7é',
	'rolling 0', 'rolling 0d', 'rolling 365251d', 'rolling 365250d1us', 'rolling 99999999999999999999d', 'rolling 99999999999999999999us99999999999999999999d',
	'rolling 1d delay 365251d', 'rolling 1d hop 7h', 'rolling 1d hop 2d', 'rolling 1d hop 99999999999999999999h',
	'sliding 1d slide 0', 'sliding 1d slide 2d', 'sliding 1d slide 6h offset 6h', 'tumbling 1d offset 1d', 'tumbling 0', 'sawtooth 0', 'sawtooth 400000d'
]) WITH ORDINALITY AS u(t, n) ORDER BY n;

SELECT 'windows'::time_window;

-- Constructors
SELECT tumbling_window('1 day'), tumbling_window('1 day', '6 hours', '1 hour'), tumbling_window(duration => '1h', delay => '1 min');
SELECT sliding_window('7 days', '1 day'), sliding_window('7 days', '1 day', '6 hours', '1 hour');
SELECT rolling_window('7 days'), rolling_window('7 days', '1 hour'), rolling_window('7 days', hop => '0'), rolling_window('7 days', '1 hour', '1 day');
SELECT sawtooth_window('7 days'), lifetime_window(), lifetime_window('1 day');
SELECT tumbling_window('1 day -23 hours') AS one_hour, tumbling_window('0.000001 s') AS least, tumbling_window('365250 days') AS longest;

-- Default hops
SELECT d AS duration, rolling_window(d) FROM unnest(ARRAY[
	'1 us', '23 s', '24 s', '2 min', '4 min', '12 min', '24 min', '2 h', '6 h', '12 h', '1 day', '36 h', '6 days', '7 days', '24 days', '30 days', '365 days',
	'23.999999 s', '24.5 s', '25 h 1 s', '247 h', '24 days 1 us', '365250 days'
]::interval[]) WITH ORDINALITY AS u(d, n) ORDER BY n;

-- Hops of sawtooth windows
SELECT d AS duration, step FROM unnest(ARRAY['1 min', '11:59:59.999999', '12 h', '11 days 23:59:59.999999', '12 days', '30 days']::interval[]) WITH ORDINALITY AS u(d, n),
	_window_parts(sawtooth_window(d)) ORDER BY n;

-- What constructors refuse
SELECT c AS call, pg_temp.error('SELECT ' || c) AS error FROM unnest(ARRAY[
	$$tumbling_window(NULL)$$, $$tumbling_window('1 d', NULL)$$, $$tumbling_window('1 d', '0', NULL)$$,
	$$sliding_window(NULL, '1 d')$$, $$sliding_window('1 d', NULL)$$, $$sliding_window('1 d', '1 h', NULL)$$, $$sliding_window('1 d', '1 h', '0', NULL)$$,
	$$rolling_window(NULL)$$, $$rolling_window('1 d', NULL)$$, $$rolling_window('1 d', '0', NULL)$$, $$sawtooth_window(NULL)$$, $$lifetime_window(NULL)$$,
	$$tumbling_window('1 month')$$, $$tumbling_window('1 year -360 days')$$, $$tumbling_window('1 d', '1 month')$$, $$lifetime_window('-1 month')$$, $$rolling_window('7 d', hop => '1 mon')$$,
	$$tumbling_window('0')$$, $$tumbling_window('-1 d')$$, $$tumbling_window('1 day -25 hours')$$, $$tumbling_window('365250 days 0.000001 s')$$,
	$$tumbling_window(make_interval(days => 2147483647))$$, $$tumbling_window(make_interval(days => -2147483648))$$,
	$$tumbling_window('2147483647 days 2562047788 hours')$$, $$tumbling_window('-2147483648 days -2562047788 hours')$$,
	$$tumbling_window('1 d', '-1 h')$$, $$tumbling_window('1 d', '1 d')$$, $$tumbling_window('1 d', '0', '-1 h')$$, $$tumbling_window('1 d', '0', '365251 d')$$,
	$$sliding_window('7 d', '0')$$, $$sliding_window('7 d', '-1 d')$$, $$sliding_window('7 d', '8 d')$$, $$sliding_window('7 d', '1 d', '1 d')$$, $$sliding_window('7 d', '1 d', '-1 h')$$,
	$$rolling_window('7 d', '-1 h')$$, $$rolling_window('7 d', hop => '-1 h')$$, $$rolling_window('7 d', hop => '8 d')$$, $$rolling_window('7 d', hop => '5 h')$$,
	$$sawtooth_window('-1 d')$$, $$lifetime_window('-1 h')$$
]) WITH ORDINALITY AS u(c, n) ORDER BY n;

-- Edges
SELECT w AS "window", at, window_lo(w, at) AS lo, window_hi(w, at) AS hi
FROM unnest('{rolling 7d hop 0 delay 1h,rolling 7d hop 6h delay 1h,sliding 7d slide 1d offset 6h delay 1h,sliding 10d slide 7d,tumbling 1d,tumbling 7d,sawtooth 1h,sawtooth 1d,sawtooth 12d,lifetime delay 1d}'::time_window[])
	WITH ORDINALITY AS u(w, n),
	unnest('{2024-03-10 12:34:56.789012,1970-01-01 00:00,1969-12-31 23:59:59.999999,1950-06-01 05:59:59.999999,1950-06-01 07:00}'::timestamptz[]) WITH ORDINALITY AS v(at, m)
ORDER BY n, m;

-- A head on the lattice is at the instant itself, one microsecond before it a step behind
SELECT window_hi('tumbling 7d', '1970-01-08'), window_hi('tumbling 7d', '1970-01-07 23:59:59.999999'),
	window_hi('tumbling 7d offset 1h', '1969-12-25 01:00'), window_hi('tumbling 7d offset 1h', '1969-12-25 00:59:59.999999');

-- Against the definition, by arithmetic that knows no bounds
CREATE FUNCTION pg_temp.microseconds(t timestamptz) RETURNS numeric LANGUAGE sql IMMUTABLE
	RETURN ((t AT TIME ZONE 'UTC')::date - date '1970-01-01') * 86400000000::numeric + extract(epoch FROM (t AT TIME ZONE 'UTC')::time) * 1000000;
CREATE FUNCTION pg_temp.microseconds(t interval) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN extract(epoch FROM t) * 1000000;
CREATE FUNCTION pg_temp.lattice(t numeric, step numeric, "offset" numeric) RETURNS numeric LANGUAGE sql IMMUTABLE
	RETURN CASE step WHEN 0 THEN t ELSE t - mod(mod(t - "offset", step) + step, step) END;
WITH cases AS (
	SELECT w, at, kind, pg_temp.microseconds(at) AS t, pg_temp.microseconds(duration) AS duration, pg_temp.microseconds(step) AS step,
		pg_temp.microseconds("offset") AS "offset", pg_temp.microseconds(delay) AS delay
	FROM unnest('{rolling 7us hop 0,rolling 7us hop 1us delay 3us,rolling 30d,rolling 1000d hop 100d delay 7h,sliding 7d slide 10007us offset 10006us,sliding 90d slide 17d offset 13d delay 1us,tumbling 365250d offset 365249d,tumbling 3us offset 2us,sawtooth 5m,sawtooth 13h,sawtooth 100d}'::time_window[]) AS u(w),
		_window_parts(w),
		(SELECT '2000-01-01'::timestamptz + sign * i * i * i * interval '0.654321 s' + i * interval '1 us' AS at FROM generate_series(0, 400) AS i, unnest('{-1,1}'::int[]) AS sign
		UNION ALL VALUES ('294276-12-31 23:59:59.999999'::timestamptz), ('1970-01-01'), ('3000-01-01 BC'), ('0001-01-01'), ('1969-12-31 23:59:59.999999')) AS times
), edges AS (
	SELECT *, CASE WHEN kind IN ('sliding', 'tumbling') THEN pg_temp.lattice(t - delay, step, "offset") ELSE t - delay END AS hi FROM cases
)
SELECT count(*) AS cases,
	count(*) FILTER (WHERE hi <> pg_temp.microseconds(window_hi(w, at))) AS wrong_hi,
	count(*) FILTER (WHERE CASE WHEN kind IN ('sliding', 'tumbling') THEN hi - duration ELSE pg_temp.lattice(hi - duration, step, 0) END <> pg_temp.microseconds(window_lo(w, at))) AS wrong_lo
FROM edges;

-- Edges at the ends of time
SELECT window_lo('lifetime delay 1d', '4714-11-26 00:00 BC'), window_hi('lifetime delay 1d', '4714-11-26 00:00 BC');
SELECT c AS call, pg_temp.error('SELECT ' || c) AS error FROM unnest(ARRAY[
	$$window_lo('tumbling 1d', 'infinity')$$, $$window_hi('tumbling 1d', '-infinity')$$, $$window_lo('lifetime', '-infinity')$$, $$window_hi('rolling 1d', 'infinity')$$,
	$$window_lo('rolling 1d', '4714-11-24 00:00 BC')$$, $$window_hi('lifetime delay 1d', '4714-11-24 00:00 BC')$$, $$window_lo('tumbling 365250d', '4714-11-24 00:00 BC')$$,
	$$window_hi('tumbling 365250d', '4714-11-24 00:00 BC')$$
]) WITH ORDINALITY AS u(c, n) ORDER BY n;
SELECT window_lo(NULL, now()) IS NULL AS lo, window_hi('lifetime', NULL) IS NULL AS hi;

-- Parts and names
SELECT w AS "window", p.*, _window_name(w) AS name
FROM unnest('{rolling 7d,rolling 30d delay 1d,rolling 7d hop 1h,rolling 1d hop 0 delay 90m,sliding 7d slide 1d,sliding 7d slide 1d delay 2d offset 6h,tumbling 1d,tumbling 36h delay 1d,tumbling 1d offset 6h,sawtooth 7d,lifetime,lifetime delay 1d}'::time_window[])
	WITH ORDINALITY AS u(w, n), _window_parts(w) AS p ORDER BY n;

-- Order and equality
CREATE TABLE windows (w time_window);
INSERT INTO windows SELECT unnest('{lifetime,tumbling 1d,sliding 7d slide 1d,sawtooth 1d,rolling 7d,rolling 1d,rolling 1d hop 0,rolling 1d delay 1h,tumbling 1d offset 1h,rolling 24h,lifetime delay 0}'::time_window[]);
SELECT DISTINCT w FROM windows ORDER BY w;
SELECT w, count(*) FROM windows GROUP BY w HAVING count(*) > 1 ORDER BY w DESC;
CREATE INDEX ON windows (w);
CREATE INDEX ON windows USING hash (w);
SET enable_seqscan = off;
SELECT count(*) FROM windows WHERE w = 'rolling 1d';
SELECT count(*) FROM windows WHERE w >= 'sliding 7d slide 1d';
RESET enable_seqscan;
SELECT count(*) AS pairs,
	bool_and((a.w < b.w) = (_time_window_cmp(a.w, b.w) < 0)) AS lt, bool_and((a.w <= b.w) = NOT (a.w > b.w)) AS le, bool_and((a.w = b.w) = NOT (a.w <> b.w)) AS eq,
	bool_and((a.w = b.w) = (a.w::text = b.w::text)) AS same_text, bool_and((a.w >= b.w) = (b.w <= a.w)) AS ge,
	bool_and((_time_window_hash_extended(a.w, 1) = _time_window_hash_extended(b.w, 1)) = (a.w = b.w)) AS hash
FROM windows a, windows b;
SELECT 'rolling 1d' = ANY ('{lifetime,rolling 1d}'::time_window[]) AS found, '{lifetime}'::time_window[] || 'sawtooth 1d'::time_window AS appended, to_jsonb('rolling 1d'::time_window) AS json;

SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'time_window_ops';

-- Binary form: goes round, and all that comes in is checked
SELECT _time_window_send('rolling 7d hop 6h delay 1h');
CREATE TABLE received (w time_window);
CREATE FUNCTION pg_temp.receive(value bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message bytea := '\x5047434f50590aff0d0a00 00000000 00000000 0001'::bytea || int4send(length(value)) || value || int2send((-1)::int2);
	octal text := (SELECT string_agg('\' || (b >> 6) || ((b >> 3) & 7) || (b & 7), '' ORDER BY n)
				   FROM generate_series(0, length(message) - 1) AS n, get_byte(message, n) AS b);
BEGIN
	RETURN pg_temp.error(format('COPY received FROM PROGRAM %L (FORMAT binary)', format('printf ''%s''', octal)));
END
$$;
SELECT DISTINCT pg_temp.receive(_time_window_send(w)) FROM windows;
SELECT count(*) AS lost FROM (TABLE windows EXCEPT ALL TABLE received) AS lost;
TRUNCATE received;
CREATE FUNCTION pg_temp.binary(kind int, duration bigint, step bigint, "offset" bigint, delay bigint) RETURNS bytea LANGUAGE sql
	RETURN int4send(kind) || int8send(duration) || int8send(step) || int8send("offset") || int8send(delay);
SELECT what, pg_temp.receive(value) AS error FROM (VALUES
	('no kind', pg_temp.binary(0, 10, 1, 0, 0)), ('unknown kind', pg_temp.binary(6, 10, 1, 0, 0)), ('negative kind', pg_temp.binary(-1, 10, 1, 0, 0)),
	('no duration', pg_temp.binary(1, 0, 0, 0, 0)), ('negative duration', pg_temp.binary(4, -10, -10, 0, 0)), ('least duration', pg_temp.binary(1, -9223372036854775808, 1, 0, 0)),
	('long duration', pg_temp.binary(1, 31557600000000001, 1, 0, 0)), ('longest duration', pg_temp.binary(1, 31557600000000000, 1, 0, 0)),
	('negative hop', pg_temp.binary(1, 10, -1, 0, 0)), ('long hop', pg_temp.binary(1, 10, 20, 0, 0)), ('hop that does not divide', pg_temp.binary(1, 10, 3, 0, 0)),
	('offset of a rolling window', pg_temp.binary(1, 10, 5, 1, 0)), ('negative delay', pg_temp.binary(1, 10, 5, 0, -1)), ('long delay', pg_temp.binary(1, 10, 5, 0, 31557600000000001)),
	('hop of a sawtooth window', pg_temp.binary(2, 10, 5, 0, 0)), ('delay of a sawtooth window', pg_temp.binary(2, 10, 300000000, 0, 1)), ('sawtooth window', pg_temp.binary(2, 10, 300000000, 0, 0)),
	('no slide', pg_temp.binary(3, 10, 0, 0, 0)), ('negative slide', pg_temp.binary(3, 10, -1, 0, 0)), ('long slide', pg_temp.binary(3, 10, 11, 0, 0)),
	('long offset', pg_temp.binary(3, 10, 3, 3, 0)), ('negative offset', pg_temp.binary(3, 10, 3, -1, 0)), ('slide of a tumbling window', pg_temp.binary(4, 10, 5, 0, 0)),
	('duration of a lifetime window', pg_temp.binary(5, 10, 0, 0, 0)), ('step of a lifetime window', pg_temp.binary(5, 0, 1, 0, 0)), ('offset of a lifetime window', pg_temp.binary(5, 0, 0, 1, 0)),
	('too short', substr(pg_temp.binary(5, 0, 0, 0, 0), 1, 35)), ('too long', pg_temp.binary(5, 0, 0, 0, 0) || '\x00'), ('nothing', ''::bytea)
) AS v(what, value);
TABLE received;
DROP TABLE windows, received;
