--
-- Schedules: when one comes next, against a naive reading of it; and when
-- publications that have one run
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA schedules;
RESET client_min_messages;
SET search_path = schedules, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

-- the next times, by the local clock
CREATE FUNCTION runs(schedule text, after text, n int DEFAULT 3, zone text DEFAULT 'UTC') RETURNS text LANGUAGE sql AS $$
	WITH RECURSIVE r(i, t) AS (
		SELECT 1, featurestore._next_run(schedule, zone, after::timestamp AT TIME ZONE zone)
		UNION ALL SELECT i + 1, featurestore._next_run(schedule, zone, t) FROM r WHERE i < n)
	SELECT string_agg(coalesce(to_char(t AT TIME ZONE zone, 'Dy YYYY-MM-DD HH24:MI:SS'), 'never'), ', ' ORDER BY i) FROM r $$;

--
-- cron
--
SELECT s, runs(s, '2024-01-31 23:58:30') FROM unnest(ARRAY[
	'* * * * *', '*/5 * * * *', '59 * * * *', '30 6 * * *', '0 0 1 * *', '0 12 * * mon-fri', '0 12 * * 1-5', '0 0 * * 0', '0 0 * * 7', '0 0 * * SUN',
	'0 0 * * sat-sun', '0 0 * * 5-7', '15,45 8-10 * * *', '5-59/20 */6 * * *', '10/20 * * * *', '0 0 29 2 *', '0 0 31 * *', '0 0 1 jan,JUL *', '0 0 1 */3 *',
	'  0	0  1 1   *  ', '@hourly', '@daily', '@midnight', '@weekly', '@monthly', '@yearly', '@annually', '@HOURLY']) AS s;
-- one of the days is enough, unless one begins with a star
SELECT s, runs(s, '2024-09-01', 4) FROM unnest(ARRAY['0 0 13 * fri', '0 0 13 * *', '0 0 * * fri', '0 0 */2 * fri', '0 0 13 * */2', '0 0 1-7 * mon']) AS s;
SELECT s, runs(s, '2024-01-01', 1) FROM unnest(ARRAY['0 0 30 2 *', '0 0 31 2,4,6,9,11 *', '0 0 31 11 fri']) AS s;
-- strictly after
SELECT runs('0 0 * * *', t, 1) FROM unnest(ARRAY['2024-01-01 00:00:00', '2024-01-01 00:00:00.000001', '2023-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999', '1999-12-31 23:59:59.999999']) AS t;
SELECT _next_run('* * * * *', NULL, t) FROM unnest('{infinity,-infinity,NULL,4713-01-01 BC,1900-02-28 23:59Z,294276-12-31 23:58Z,294276-12-31 23:59Z}'::timestamptz[]) AS t;
SELECT _next_run(NULL, NULL, now());

--
-- Quartz
--
SELECT s, runs(s, '2024-01-31 23:58:30') FROM unnest(ARRAY[
	'0 */5 * * * ?', '*/20 * * * * ?', '30 0 12 ? * MON-FRI', '0 0 12 ? * 2-6', '0 0 0 ? * 1', '0 0 0 ? * 7', '0 0 0 ? * FRI-MON', '0 0 22-2 * * ?', '0 55-5/5 0 * * ?', '0 0 0 1 11-2 ?',
	'0 0 0 L * ?', '0 0 0 L-3 * ?', '0 0 0 LW * ?', '0 0 0 L-2W * ?', '0 0 0 15W * ?', '0 0 0 1W * ?', '0 0 0 31W * ?', '0 0 0 1,L * ?', '0 0 0 ? * L', '0 0 0 ? * 6L', '0 0 0 ? * FRIL',
	'0 0 0 ? * 6#3', '0 0 0 ? * fri#5', '0 0 0 ? * 2#1,4#1', '0 0 0 1 1 ? 2030', '0 0 0 1 1 ? 2025/10', '0 0 0 1 1 ? 2098-2099', '0 0 0 1 1 ? *', '0 0 0 29 2 ? 2025-2027,2096', '0 0 0 1 1 ? 1970-2023']) AS s;

--
-- What is none
--
SELECT s, refused(format('SELECT featurestore._next_run(%L, NULL, now())', s)) FROM unnest(ARRAY[
	'', ' ', '*', '* * * *', '* * * * * *', '0 * * * * * *', '0 * * ? * ?', '0 0 0 1 * 2', '* * * * * ? * *', '@reboot', '@never',
	'60 * * * *', '* 24 * * *', '* * 0 * *', '* * 32 * *', '* * * 0 *', '* * * 13 *', '* * * * 8', '99999999999 * * * *', '-1 * * * *',
	'5-1 * * * *', '* * * * fri-mon', '*/0 * * * *', '*/61 * * * *', '*/ * * * *', '1- * * * *', ', * * * *', '1,,2 * * * *', '1, * * * *', '1 2 3 4 5x', 'mon * * * *', '* * * monday *',
	'? * * * *', '* * L * *', '* * 15W * *', '* * * * 5#2', '* * * * 5L', '**  * * * *', '1-2-3 * * * *', '*/2/3 * * * *',
	'0 0 0 L-31 * ?', '0 0 0 32W * ?', '0 0 0 1-5W * ?', '0 0 0 ? * 0', '0 0 0 ? * 8', '0 0 0 ? * 2#0', '0 0 0 ? * 2#6', '0 0 0 ? * 2#', '0 0 0 ? * ?', '0 0 0 1 1 ? 1969', '0 0 0 1 1 ? 2100', '0 0 0 1 1 ? 2030-2025', 'é * * * *', '0 0 0 ?? * 1']) AS s;
SELECT refused(format('SELECT featurestore._next_run(%L, NULL, now())', repeat('1,', 600) || '1 * * * *'));
SELECT refused(format('SELECT featurestore._next_run(%L, %L, now())', '@daily', z)) FROM unnest(ARRAY['Mars/Olympus', '', '+03', 'PST', repeat('x', 1000), '../UTC']) AS z;
SELECT runs('0 12 * * *', '2024-07-01', 1, z) FROM unnest(ARRAY['utc', 'EUROPE/berlin', 'Asia/Kathmandu', 'EST5EDT', '<+0330>-3:30']) AS z;

--
-- Where the clock is changed.  One for every hour follows it; of any other each
-- local time counts once, at the first moment after if it is skipped.
--
SELECT z, s, runs(s, after, n, z) FROM (VALUES
	('Europe/Berlin', '30 2 * * *', '2024-03-30 12:00', 3), ('Europe/Berlin', '*/20 2 * * *', '2024-03-30 12:00', 3), ('Europe/Berlin', '0,30 1-3 * * *', '2024-03-31 00:00', 5),
	('Europe/Berlin', '30 * * * *', '2024-03-31 00:00', 4), ('Europe/Berlin', '30 0-23 * * *', '2024-03-31 00:00', 4), ('Europe/Berlin', '0 */2 * * *', '2024-03-31 00:00', 3),
	('Europe/Berlin', '0 2 31 3 *', '2024-03-30 00:00', 2),
	('Europe/Berlin', '30 2 * * *', '2024-10-26 12:00', 3), ('Europe/Berlin', '30 * * * *', '2024-10-27 01:00', 4), ('Europe/Berlin', '*/30 1-3 * * *', '2024-10-27 01:00', 7),
	('America/Sao_Paulo', '0 0 * * *', '2018-11-03 12:00', 2), ('America/Sao_Paulo', '30 0 * * *', '2018-11-03 12:00', 2), ('America/Sao_Paulo', '30 23 * * *', '2018-02-16 12:00', 3),
	('America/Sao_Paulo', '30 * * * *', '2018-02-17 22:00', 4), ('America/Havana', '0 0 * * *', '2024-11-02 12:00', 3), ('Asia/Beirut', '@daily', '2022-03-26 12:00', 2),
	('Australia/Lord_Howe', '15 2 * * *', '2024-10-05 12:00', 2), ('Australia/Lord_Howe', '15 * * * *', '2024-10-06 00:30', 4), ('Australia/Lord_Howe', '45 1 * * *', '2024-04-06 12:00', 2),
	('Australia/Lord_Howe', '45 * * * *', '2024-04-07 00:30', 4), ('Pacific/Apia', '0 12 * * *', '2011-12-29 00:00', 3), ('Pacific/Apia', '0 */6 30 12 *', '2011-12-29 00:00', 2),
	('Pacific/Apia', '0 * 30 12 *', '2011-12-29 00:00', 1), ('Asia/Pyongyang', '15 0 * * *', '2018-05-04 12:00', 2)) AS v(z, s, after, n);

--
-- Against what is naive: a field is the list of its values, a day is looked up
-- in its month, and all minutes of some days are looked at, one by one
--
CREATE FUNCTION value_of(name text, kind text, is_quartz boolean) RETURNS int LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN name ~ '^\d+$' THEN CASE WHEN kind <> 'dow' THEN name::int WHEN is_quartz THEN name::int - 1 ELSE name::int % 7 END
		   WHEN kind = 'dow' THEN array_position('{sun,mon,tue,wed,thu,fri,sat}', lower(name)) - 1
		   ELSE array_position('{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}', lower(name)) END $$;
CREATE FUNCTION values_of(field text, kind text, is_quartz boolean) RETURNS int[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	first int := CASE WHEN kind IN ('dom', 'month') THEN 1 ELSE 0 END;
	last int := (CASE kind WHEN 'hour' THEN 23 WHEN 'dom' THEN 31 WHEN 'month' THEN 12 WHEN 'dow' THEN 6 ELSE 59 END);
	result int[] := '{}';
	m text[];
	element text;
	lo int;
	hi int;
BEGIN
	FOREACH element IN ARRAY string_to_array(field, ',') LOOP
		m := regexp_match(element, '^(\*|\?|\w+)(?:-(\w+))?(?:/(\d+))?$');
		IF m[1] IN ('*', '?') THEN
			lo := first; hi := last;
		ELSE
			lo := value_of(m[1], kind, is_quartz);
			hi := coalesce(value_of(m[2], kind, is_quartz), CASE WHEN m[3] IS NULL THEN lo ELSE last END);
		END IF;
		/* round the clock, one by one */
		FOR i IN 0..last - first LOOP
			IF i % coalesce(m[3], '1')::int = 0 THEN
				result := result || (first + (lo - first + i) % (last - first + 1));
			END IF;
			EXIT WHEN (lo - first + i) % (last - first + 1) = hi - first;
		END LOOP;
	END LOOP;
	RETURN result;
END $$;
CREATE FUNCTION is_in_month(day date, field text, kind text, is_quartz boolean) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
	month date[] := ARRAY(SELECT d::date FROM generate_series(date_trunc('month', day), date_trunc('month', day) + interval '1 month - 1 day', '1 day') AS d ORDER BY d);
	same date[] := ARRAY(SELECT d FROM unnest(month) AS d WHERE extract(dow FROM d) = extract(dow FROM day) ORDER BY d);
	element text;
	m text[];
	target date;
BEGIN
	FOREACH element IN ARRAY string_to_array(field, ',') LOOP
		m := regexp_match(upper(element), '^(L(?:-(\d+))?|\d+)(W?)$');
		IF kind = 'dom' AND is_quartz AND m IS NOT NULL AND (m[1] ~ '^L' OR m[3] = 'W') THEN
			target := CASE WHEN m[1] ~ '^L' THEN month[cardinality(month) - coalesce(m[2], '0')::int] ELSE month[m[1]::int] END;
			IF m[3] = 'W' THEN
				target := (SELECT d FROM unnest(month) AS d WHERE extract(dow FROM d) BETWEEN 1 AND 5 AND target IS NOT NULL ORDER BY abs(d - target) LIMIT 1);
			END IF;
			IF target = day THEN
				RETURN true;
			END IF;
			CONTINUE;
		END IF;
		m := regexp_match(upper(element), '^(\w+?)?(L|#(\d))$');
		IF kind = 'dow' AND is_quartz AND m IS NOT NULL THEN
			IF m[1] IS NULL THEN
				IF extract(dow FROM day) = 6 THEN RETURN true; END IF;
			ELSIF extract(dow FROM day) = value_of(m[1], 'dow', true) AND day = (CASE m[2] WHEN 'L' THEN same[cardinality(same)] ELSE same[m[3]::int] END) THEN
				RETURN true;
			END IF;
			CONTINUE;
		END IF;
		IF (CASE kind WHEN 'dom' THEN extract(day FROM day) ELSE extract(dow FROM day) END)::int = ANY (values_of(element, kind, is_quartz)) THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
CREATE FUNCTION is_day(day date, fields text[], is_quartz boolean) RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT extract(month FROM day)::int = ANY (values_of(fields[4], 'month', is_quartz))
		AND CASE WHEN is_quartz OR fields[3] ~ '^\*' OR fields[5] ~ '^\*' THEN is_in_month(day, fields[3], 'dom', is_quartz) AND is_in_month(day, fields[5], 'dow', is_quartz)
			ELSE is_in_month(day, fields[3], 'dom', is_quartz) OR is_in_month(day, fields[5], 'dow', is_quartz) END $$;

-- minute, hour, day, month and weekday; for Quartz second comes before
CREATE FUNCTION naive_runs(schedule text, zone text, since timestamptz, until timestamptz) RETURNS timestamptz[] LANGUAGE plpgsql STABLE AS $$
DECLARE
	parts text[] := regexp_split_to_array(schedule, ' ');
	is_quartz boolean := cardinality(parts) = 6;
	fields text[] := CASE WHEN is_quartz THEN parts[2:] ELSE parts END;
	second interval := CASE WHEN is_quartz THEN (parts[1] || ' s')::interval ELSE '0' END;
	minutes int[] := values_of(fields[1], 'minute', is_quartz);
	hours int[] := values_of(fields[2], 'hour', is_quartz);
	follows_clock boolean := (SELECT count(DISTINCT h) = 24 FROM unnest(hours) AS h);
	days date[] := ARRAY(SELECT d::date FROM generate_series(date_trunc('day', since AT TIME ZONE zone) - interval '2 days', until AT TIME ZONE zone + interval '2 days', '1 day') AS d
						 WHERE is_day(d::date, fields, is_quartz));
BEGIN
	RETURN ARRAY(
	WITH moment AS MATERIALIZED (
		SELECT t, t AT TIME ZONE zone AS local, (t - interval '1 min') AT TIME ZONE zone + interval '1 min' AS expected
		FROM generate_series(since, until, '1 min') AS t),
	local_run AS MATERIALIZED (
		SELECT local FROM (SELECT local FROM moment
						   UNION SELECT generate_series(expected, local - interval '1 min', '1 min') FROM moment WHERE local > expected) AS l
		WHERE extract(minute FROM local)::int = ANY (minutes) AND extract(hour FROM local)::int = ANY (hours) AND local::date = ANY (days))
	SELECT DISTINCT run FROM (
		SELECT t + second AS run FROM moment
		WHERE local IN (SELECT local FROM local_run)
			AND (follows_clock OR NOT EXISTS (SELECT FROM unnest('{1,2,3,4,46,47,48}'::int[]) AS k WHERE (t - k * interval '30 min') AT TIME ZONE zone = local))
		UNION ALL
		SELECT t FROM moment
		WHERE NOT follows_clock AND local > expected AND EXISTS (SELECT FROM local_run r WHERE r.local >= expected AND r.local < moment.local)) AS runs
	WHERE run <= until ORDER BY run);
END $$;
CREATE FUNCTION all_runs(schedule text, zone text, since timestamptz, until timestamptz) RETURNS timestamptz[] LANGUAGE sql STABLE AS $$
	WITH RECURSIVE r(t) AS (
		SELECT featurestore._next_run(schedule, zone, since - interval '1 us')
		UNION ALL SELECT featurestore._next_run(schedule, zone, t) FROM r WHERE t <= until)
	SELECT coalesce(array_agg(t ORDER BY t) FILTER (WHERE t <= until), '{}') FROM r $$;

CREATE FUNCTION one_of(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT choices[1 + floor(random() * cardinality(choices))] $$;
CREATE FUNCTION a_value(kind text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT CASE kind WHEN 'minute' THEN floor(random() * 60)::text WHEN 'hour' THEN CASE WHEN random() < 0.7 THEN one_of('0', '1', '2', '3', '23') ELSE floor(random() * 24)::text END
		   WHEN 'dom' THEN floor(1 + random() * 31)::text WHEN 'month' THEN CASE WHEN random() < 0.3 THEN one_of('jan', 'Mar', 'APR', 'sep', 'OCT', 'nov') ELSE floor(1 + random() * 12)::text END
		   ELSE one_of('1', '2', '3', '4', '5', '6', 'sun', 'Mon', 'tue', 'WED', 'thu', 'fri', 'sat') END $$;
-- a field that is none too seldom
CREATE FUNCTION a_field(kind text, is_quartz boolean) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	lo text := a_value(kind);
	hi text := a_value(kind);
BEGIN
	IF NOT is_quartz AND value_of(hi, kind, false) < value_of(lo, kind, false) THEN
		RETURN '*';
	END IF;
	RETURN (CASE floor(random() * 7)::int
		WHEN 0 THEN lo
		WHEN 1 THEN lo || ',' || hi
		WHEN 2 THEN lo || '-' || hi
		WHEN 3 THEN lo || '-' || hi || '/' || one_of('2', '3', '5')
		WHEN 4 THEN '*/' || one_of('2', '3', '5')
		WHEN 5 THEN lo || '/' || one_of('2', '3', '5')
		ELSE '*' END);
END $$;
CREATE FUNCTION a_schedule(is_quartz boolean) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	days text := CASE WHEN random() < 0.3 THEN a_field('dom', is_quartz) ELSE '*' END;
	weekdays text := CASE WHEN random() < 0.3 THEN a_field('dow', is_quartz) ELSE '*' END;
	rest text := a_field('minute', is_quartz) || ' ' || a_field('hour', is_quartz);
	month text := CASE WHEN random() < 0.2 THEN a_field('month', is_quartz) ELSE '*' END;
BEGIN
	IF NOT is_quartz THEN
		RETURN concat_ws(' ', rest, days, month, weekdays);
	ELSIF random() < 0.5 THEN
		RETURN concat_ws(' ', floor(random() * 60), rest, days, month, '?');
	END IF;
	RETURN concat_ws(' ', floor(random() * 60), rest, '?', month, weekdays);
END $$;
-- days around a change of the clock, of an hour, of half one, at midnight, of a day, or none
CREATE TABLE zone (zone text, since timestamptz);
INSERT INTO zone VALUES ('Europe/Berlin', '2024-03-30'), ('Europe/Berlin', '2024-10-26'), ('America/New_York', '2024-03-09 12:00Z'), ('America/New_York', '2024-11-02 12:00Z'),
	('Australia/Lord_Howe', '2024-10-05'), ('Australia/Lord_Howe', '2024-04-06'), ('America/Sao_Paulo', '2018-11-03 06:00Z'), ('America/Sao_Paulo', '2018-02-17 06:00Z'),
	('America/Havana', '2024-03-09 12:00Z'), ('America/Havana', '2024-11-02 12:00Z'), ('Asia/Beirut', '2022-03-26'), ('Pacific/Apia', '2011-12-29 12:00Z'),
	('Asia/Kathmandu', '2024-02-28'), ('UTC', '2024-02-28'), ('Africa/Casablanca', '2024-03-09'), ('Africa/Casablanca', '2024-04-13'), ('Asia/Pyongyang', '2018-05-04');
SELECT setseed(0.42);
CREATE TABLE tried AS
	SELECT *, naive_runs(schedule, zone, since, until) AS runs
	FROM (SELECT n, a_schedule(n % 2 = 0) AS schedule, zone, since, since + interval '2 days' AS until FROM generate_series(1, 12) AS n, zone) AS s;
SELECT count(*) > 200 AS many, sum(cardinality(runs)) > 5000 AS run FROM tried;
SELECT * FROM tried WHERE runs <> all_runs(schedule, zone, since, until) ORDER BY zone, n LIMIT 3;

-- days, over some years
CREATE TABLE tried_days AS
	SELECT n, CASE n % 3 WHEN 0 THEN concat_ws(' ', '0 0', a_field('dom', false), a_field('month', false), a_field('dow', false))
		WHEN 1 THEN concat_ws(' ', '0 0 0', one_of('L', 'LW', 'L-' || floor(random() * 31), 'L-' || floor(random() * 31) || 'W', a_value('dom') || 'W', a_value('dom') || 'W,' || a_value('dom'), 'L,' || a_field('dom', true)), a_field('month', true), '?')
		ELSE concat_ws(' ', '0 0 0', '?', a_field('month', true), one_of('L', a_value('dow') || 'L', a_value('dow') || '#' || floor(1 + random() * 5), a_value('dow') || '#' || floor(1 + random() * 5) || ',' || a_value('dow'), a_field('dow', true))) END AS schedule
	FROM generate_series(1, 60) AS n;
CREATE TABLE day AS SELECT d::date AS day FROM generate_series('2024-01-01'::timestamp, '2025-12-31', '1 day') AS d;
CREATE FUNCTION naive_days(schedule text) RETURNS timestamptz[] LANGUAGE sql STABLE AS $$
	SELECT coalesce(array_agg(day::timestamptz ORDER BY day) FILTER (WHERE is_day(day, CASE WHEN cardinality(parts) = 6 THEN parts[2:] ELSE parts END, cardinality(parts) = 6)), '{}')
	FROM day, string_to_array(schedule, ' ') AS parts $$;
SELECT sum(cardinality(all_runs(schedule, 'UTC', '2024-01-01', '2025-12-31'))) > 1000 AS run FROM tried_days;
SELECT * FROM tried_days WHERE naive_days(schedule) <> all_runs(schedule, 'UTC', '2024-01-01', '2025-12-31') ORDER BY n LIMIT 3;

-- seconds
CREATE TABLE tried_seconds AS SELECT n, concat_ws(' ', a_field('minute', true), a_field('minute', true), '* * * ?') AS schedule FROM generate_series(1, 50) AS n;
SELECT * FROM tried_seconds, string_to_array(schedule, ' ') AS parts
WHERE all_runs(schedule, 'UTC', '2024-01-01', '2024-01-01 02:00') <> ARRAY(
	SELECT t FROM generate_series('2024-01-01'::timestamptz, '2024-01-01 02:00', '1 s') AS t
	WHERE extract(second FROM t)::int = ANY (values_of(parts[1], 'minute', true)) AND extract(minute FROM t)::int = ANY (values_of(parts[2], 'minute', true)) ORDER BY t) LIMIT 3;

--
-- Publications
--
SET client_min_messages = warning;
CREATE TABLE source (id int PRIMARY KEY, v int);
INSERT INTO source VALUES (1, 1);
CREATE TABLE log (id int, at timestamptz, v int);
SELECT register_feature('total', 'log', '{id}', 'at', 'sum', 'v');
SELECT publish_table('source', 'hourly', schedule => '0 * * * *');
RESET client_min_messages;
SELECT publish_table('source', 'hourly', schedule => ' 0  * * * * ', time_zone => 'UTC');
SELECT refused($$ SELECT publish_table('source', 'hourly') $$);
SELECT refused($$ SELECT publish_table('source', 'hourly', schedule => '0 * * * *', time_zone => 'Asia/Tokyo') $$);
SELECT refused($$ SELECT publish_table('source', 'bad', schedule => '0 * * *') $$);
SELECT refused($$ SELECT publish_table('source', 'bad', schedule => '0 0 30 2 *') $$);
SELECT refused($$ SELECT publish_table('source', 'bad', schedule => '0 0 0 1 1 ? 2001') $$);
SELECT refused($$ SELECT publish_table('source', 'bad', schedule => '@daily', time_zone => 'Mars') $$);
SELECT refused($$ SELECT publish_table('source', 'bad', time_zone => 'UTC') $$);
SELECT refused($$ SELECT publish_table('source', 'bad', 'CONTINUOUS', schedule => '@daily') $$);
SELECT publish_table('source', 'compared', 'SNAPSHOT', schedule => '0 0 2 ? * MON-FRI', time_zone => 'Europe/Berlin', wait => false);
SELECT publish_table('source', 'by_hand', schedule => '');
SELECT publish_table('source', 'seldom', 'SNAPSHOT');
SELECT materialize_features('{total}', 'totals', publish_mode => 'TRIGGERED', schedule => '*/15 * * * *', wait => false);
SELECT materialize_features('{total}', 'totals', schedule => '*/15 * * * *', time_zone => 'UTC', wait => false);
SELECT materialize_features('{total}', 'totals', wait => false);
SELECT refused($$ SELECT materialize_features('{total}', 'totals', schedule => '@daily') $$);
SELECT refused($$ SELECT materialize_features('{total}', 'totals', schedule => '@dayly') $$);
SELECT online_table, publish_mode, schedule, time_zone, state FROM publications ORDER BY online_table::text;
SELECT refused($$ SELECT alter_publication('hourly', schedule => '61 * * * *') $$);
SELECT refused($$ SELECT alter_publication('hourly', publish_mode => 'CONTINUOUS') $$);
SELECT refused($$ SELECT alter_publication('by_hand', time_zone => 'UTC') $$);

-- only a schedule is changed: nothing is compared again
SELECT alter_publication('hourly', schedule => '@daily');
SELECT alter_publication('hourly', time_zone => 'Asia/Tokyo');
SELECT schedule, time_zone, state FROM publications WHERE online_table = 'hourly'::regclass;
SELECT alter_publication('hourly', schedule => '');
SELECT schedule, time_zone, state FROM publications WHERE online_table = 'hourly'::regclass;
SELECT alter_publication('hourly', publish_mode => 'CONTINUOUS');
SELECT alter_publication('hourly', publish_mode => 'TRIGGERED', schedule => '0 * * * *');
CALL sync('hourly');
SELECT schedule, time_zone, state FROM publications WHERE online_table = 'hourly'::regclass;

-- What is due, for who calls run_due and for workers: never filled, or its time has come since its last run
CREATE FUNCTION due() RETURNS TABLE(online_table regclass, by_client boolean, by_worker boolean) LANGUAGE sql AS $$
	SELECT p.relation, p.relation IN (SELECT featurestore._due_publications()), p.relation IN (SELECT relation FROM featurestore._worker_tasks() WHERE due_at <= clock_timestamp())
	FROM featurestore.publication p ORDER BY p.relation::text $$;
CREATE FUNCTION make_old(online_table regclass, age interval) RETURNS void LANGUAGE sql AS $$
	UPDATE featurestore.publication_position SET applied_to = applied_to - age, synced_at = synced_at - age WHERE relation = online_table $$;
-- schedules that do not come while this runs
SELECT alter_publication(t, schedule => format('0 0 1 %s *', 1 + extract(month FROM now())::int % 12), time_zone => 'UTC') FROM unnest('{hourly,totals}'::regclass[]) AS t;
SELECT alter_publication('compared', schedule => format('0 0 0 1 %s ? *', 1 + extract(month FROM now())::int % 12), time_zone => 'UTC');
SELECT * FROM due();
CALL run_due();
SELECT * FROM due();
SELECT online_table, state FROM publications ORDER BY online_table::text;
-- missed runs are one
SELECT make_old('hourly', '3 years'), make_old('compared', '3 years'), make_old('totals', '3 years'), make_old('seldom', '3 years');
SELECT * FROM due();
INSERT INTO source VALUES (2, 2);
CALL run_due();
SELECT * FROM due();
SELECT (SELECT count(*) FROM hourly) AS hourly, (SELECT count(*) FROM compared) AS compared, (SELECT count(*) FROM seldom) AS seldom;
-- changes alone do not make one due
INSERT INTO source VALUES (3, 3);
SELECT * FROM due();
CALL run_due();
SELECT (SELECT count(*) FROM hourly) AS hourly, (SELECT count(*) FROM by_hand) AS by_hand;
-- nor is one that is paused
SELECT make_old('hourly', '3 years'), make_old('compared', '3 years');
SELECT pause_publication('hourly');
SELECT * FROM due();
SELECT resume_publication('hourly');
SELECT * FROM due();
-- or has failed, for a while
SET client_min_messages = warning;
ALTER TABLE hourly RENAME v TO w;
CALL run_due();
SELECT * FROM due() WHERE online_table IN ('hourly'::regclass, 'compared'::regclass);
UPDATE publish_run SET ended_at = ended_at - interval '10 minutes' WHERE relation = 'hourly'::regclass;
SELECT * FROM due() WHERE online_table IN ('hourly'::regclass, 'compared'::regclass);
ALTER TABLE hourly RENAME w TO v;
CALL run_due();
SELECT * FROM due() WHERE online_table IN ('hourly'::regclass, 'compared'::regclass);

DROP SCHEMA schedules CASCADE;
