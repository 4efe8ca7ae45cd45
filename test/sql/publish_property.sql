--
-- After every sync the online tables are what SQL over the source says
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA publish_property;
SET search_path = publish_property;
SET TimeZone = 'UTC';
SELECT setseed(0.5);

CREATE TABLE source (
	a int, b text COLLATE "C", at timestamptz, n numeric, f float8, j json, t text, PRIMARY KEY (a, b, at)
);
CREATE UNIQUE INDEX ON source (n);
ALTER TABLE source ALTER n SET NOT NULL;
CREATE VIEW source_view AS SELECT b, a, at::date AS day, max(t) AS t, count(*) AS c FROM source GROUP BY 1, 2, 3;

-- values with few bits, so that keys, times and values meet again; some are NULL, some times lie ahead
CREATE FUNCTION change() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO source
	SELECT random() * 5, (ARRAY['', 'x', 'X', 'é', 'long' || repeat('y', 3000)])[1 + random() * 4],
		CASE WHEN random() < 0.1 THEN clock_timestamp() + interval '1 day' * random() * 3
			 ELSE timestamptz '2024-01-01' + interval '1 day' * (random() * 6)::int END,
		round((random() * 500)::numeric, (random() * 3)::int),
		(ARRAY[0, '-0', 'NaN', NULL, 1.5]::float8[])[1 + random() * 4],
		(ARRAY['{"a":1}', '{"a": 1}', NULL, 'null']::json[])[1 + random() * 3],
		CASE WHEN random() > 0.3 THEN repeat(md5(random()::text), (random() * 200)::int) END
	FROM generate_series(1, (random() * 30)::int)
	ON CONFLICT DO NOTHING;
	UPDATE source SET f = -f, j = (ARRAY['{"a":1}', '{"a": 1}', NULL]::json[])[1 + random() * 2] WHERE random() < 0.2;
	UPDATE source SET n = n * 1.0 WHERE random() < 0.1;
	UPDATE source s SET a = a + 100 WHERE random() < 0.05
		AND NOT EXISTS (SELECT FROM source o WHERE (o.a, o.b, o.at) = (s.a + 100, s.b, s.at));
	UPDATE source s SET at = at + '1 hour' WHERE random() < 0.1
		AND NOT EXISTS (SELECT FROM source o WHERE (o.a, o.b, o.at) = (s.a, s.b, s.at + '1 hour'));
	DELETE FROM source WHERE random() < 0.15;
END
$$;

-- rows of one side only, compared by their text, which shows every bit of these types
CREATE FUNCTION difference(online text, expected text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('WITH o AS (SELECT o::text FROM (%1$s) o), e AS (SELECT e::text FROM (%2$s) e)
		SELECT (SELECT count(*) FROM (TABLE o EXCEPT ALL TABLE e) x) + (SELECT count(*) FROM (TABLE e EXCEPT ALL TABLE o) x)',
		online, expected) INTO result;
	RETURN result;
END
$$;

SELECT change();
SELECT featurestore.publish_table('source', 'whole', wait => false);
SELECT featurestore.publish_table('source', 'newest', timeseries_column => 'at', features => '{n,f,j,t}', filter => 'f IS DISTINCT FROM 1.5 AND length(t) > 100');
SELECT featurestore.publish_table('source', 'by_number', primary_key => '{n}', features => '{f,j,b}');
SELECT featurestore.publish_table('source_view', 'viewed', 'SNAPSHOT', primary_key => '{a,b,day}', timeseries_column => 'day');

CREATE TABLE result (round int, rows_changed bigint, whole bigint, newest bigint, by_number bigint, viewed bigint);
DO $$
BEGIN
	FOR round IN 1..50 LOOP
		PERFORM change();
		CALL featurestore.sync('whole');
		CALL featurestore.sync('newest');
		CALL featurestore.sync('by_number');
		CALL featurestore.sync('viewed');
		INSERT INTO result SELECT round,
			(SELECT sum(p.rows_changed) FROM featurestore.publication_position p WHERE relation IN ('whole'::regclass, 'newest'::regclass)),
			difference('SELECT * FROM whole', 'SELECT a, b, at, n, f, j, t FROM source'),
			difference('SELECT * FROM newest', 'SELECT DISTINCT ON (a, b) a, b, at, n, f, j, t FROM source
				WHERE at <= (SELECT applied_to FROM featurestore.publication_position WHERE relation = ''newest''::regclass)
				AND f IS DISTINCT FROM 1.5 AND length(t) > 100 ORDER BY a, b, at DESC'),
			difference('SELECT * FROM by_number', 'SELECT n, f, j, b FROM source'),
			difference('SELECT * FROM viewed', 'SELECT DISTINCT ON (a, b) a, b, day, t, c FROM source_view
				WHERE day <= ((SELECT applied_to FROM featurestore.publication_position WHERE relation = ''viewed''::regclass) AT TIME ZONE ''UTC'')::date ORDER BY a, b, day DESC');
	END LOOP;
END
$$;
SELECT count(*) AS rounds, count(*) FILTER (WHERE rows_changed > 0) > 40 AS moving,
	sum(whole) AS whole, sum(newest) AS newest, sum(by_number) AS by_number, sum(viewed) AS viewed FROM result;
-- and there is nothing left to do
CALL featurestore.sync('whole');
CALL featurestore.sync('newest');
CALL featurestore.sync('by_number');
CALL featurestore.sync('viewed');
SELECT relation, rows_changed FROM featurestore.publication_position
WHERE relation IN ('whole'::regclass, 'newest'::regclass, 'by_number'::regclass, 'viewed'::regclass) ORDER BY relation::text;

DROP SCHEMA publish_property CASCADE;
