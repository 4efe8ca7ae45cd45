/*
 * What the benchmark of training compares: events, a table with all rows of
 * each key, labels at random times, and specs over both.
 *
 *		psql -v events=4000000 -v entities=20000 -v labels=400000 -v most=4000000
 */
\set ON_ERROR_STOP on
CREATE EXTENSION IF NOT EXISTS featurestore;
DROP SCHEMA IF EXISTS tbench CASCADE;
CREATE SCHEMA tbench;
CREATE TABLE time (name text, side text, round int, seconds float8, memory bigint);

/* The most memory that this backend had for itself, in bytes. */
CREATE FUNCTION own_memory() RETURNS bigint LANGUAGE sql VOLATILE AS $$
SELECT 1024 * (sum(kb) FILTER (WHERE name = 'VmHWM') - sum(kb) FILTER (WHERE name <> 'VmHWM'))::bigint
FROM regexp_matches(pg_read_file('/proc/self/status'), '(VmHWM|RssFile|RssShmem):\s+(\d+)', 'g') AS m, LATERAL (SELECT m[1], m[2]::bigint) AS p(name, kb)
$$;

/* Raises an error unless the tables trained and other have the same rows; sums of floats may differ in how they were rounded. */
CREATE PROCEDURE check_equal(name text) LANGUAGE plpgsql AS $$
DECLARE
	different text := (SELECT string_agg(CASE atttypid WHEN 'float8'::regtype THEN format('abs(t.%1$I - o.%1$I) > 1e-6 OR num_nulls(t.%1$I, o.%1$I) = 1', attname)
											  ELSE format('t.%1$I IS DISTINCT FROM o.%1$I', attname) END, ' OR ') FROM pg_attribute WHERE attrelid = 'other'::regclass AND attnum > 0);
	found bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM trained AS t FULL JOIN other AS o USING (i) WHERE t.i IS NULL OR o.i IS NULL OR %s', different) INTO found;
	ASSERT found = 0, format('%s: %s rows differ', name, found);
END
$$;

/* Times training rows for a few labels, and a query about the same, in turns; each is asked once before. */
CREATE PROCEDURE compare_few(kind text, query text, rounds int) LANGUAGE plpgsql AS $$
DECLARE
	rows refcursor;
	row record;
	started timestamptz;
BEGIN
	FOR i IN 0 .. rounds LOOP
		FOREACH query IN ARRAY ARRAY[NULL, query] LOOP
			started := clock_timestamp();
			IF query IS NULL THEN
				rows := featurestore.training_rows('few_label', kind, 'at');
			ELSE
				OPEN rows FOR EXECUTE query;
			END IF;
			LOOP
				FETCH rows INTO row;
				EXIT WHEN NOT FOUND;
			END LOOP;
			CLOSE rows;
			INSERT INTO time SELECT '1,000 labels, ' || kind, CASE WHEN query IS NULL THEN 'training' ELSE 'LATERAL' END, i, extract(epoch FROM clock_timestamp() - started) WHERE i > 0;
		END LOOP;
	END LOOP;
END
$$;

SELECT setseed(0.5);
CREATE TABLE event (entity int, at timestamptz, amount float8);
INSERT INTO event SELECT floor(random() * :entities), '2024-01-01Z'::timestamptz + random() * interval '90 days', random() * 100 FROM generate_series(1, :events);
CREATE INDEX ON event (entity, at) INCLUDE (amount);
CREATE TABLE rated (entity int, at timestamptz, amount float8, PRIMARY KEY (entity, at) INCLUDE (amount));
INSERT INTO rated SELECT * FROM event ON CONFLICT DO NOTHING;
CREATE TABLE many_label AS SELECT i, floor(random() * :entities)::int AS entity, '2024-01-01Z'::timestamptz + random() * interval '90 days' AS at FROM generate_series(1::bigint, :most) AS i;
CREATE TABLE label AS SELECT * FROM many_label WHERE i <= :labels;
CREATE TABLE few_label AS SELECT * FROM many_label WHERE i <= 1000;
VACUUM ANALYZE event, rated, label, few_label, many_label;

SELECT create_online_table('rated', timeseries_column => 'at');
SELECT create_feature_spec('latest', ARRAY[lookup('rated', '{entity}', '{amount}')]);
SELECT register_feature(format('%s_%sd', function, days), 'event', '{entity}', 'at', function, input, rolling_window(make_interval(days => days), hop => '0'))
FROM unnest('{1,7,30,90}'::int[]) AS days, (VALUES ('count', NULL), ('sum', 'amount'), ('max', 'amount')) AS f(function, input);
SELECT materialize_features(ARRAY(SELECT relation::text FROM feature WHERE source = 'event'::regclass), 'entity_windows', publish_mode => 'TRIGGERED', wait => false);
SELECT create_feature_spec('windows', ARRAY[feature(ARRAY(SELECT relation::text FROM feature WHERE source = 'event'::regclass ORDER BY relation))]);
