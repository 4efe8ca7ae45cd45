--
-- After every sync of captured changes the online tables are what SQL over the
-- source says, and states are those of a table that is computed anew
--
\set SHOW_CONTEXT never
SET client_min_messages = error;
SET TimeZone = 'UTC';
SET jit = off;
SELECT setseed(0.25);

CREATE SCHEMA apply_property;
CREATE SCHEMA apply_twin;
SET search_path = apply_property;

\set mode TRIGGERED
\set wait false
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/changing_sources.sql
\set ECHO all

--
-- Scripts: changes and syncs, in transactions and subtransactions of which some are rolled back
--
CREATE FUNCTION change(target target) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT change_%s()', CASE WHEN target.relation = 'two_sources' AND random() < 0.3 THEN 'daily' ELSE target.source END);
END $$;

-- syncs a table and says if it is wrong
CREATE PROCEDURE sync_and_check(target target, what text, INOUT checked int, INOUT wrong text[]) LANGUAGE plpgsql AS $$
BEGIN
	CALL featurestore.sync(target.relation);
	IF target.twin IS NOT NULL THEN
		CALL featurestore.sync(target.twin);
	END IF;
	checked := checked + 1;
	IF differences(target) > 0 THEN
		wrong := wrong || format('%s: %s', what, target.relation);
	END IF;
END $$;

CREATE TABLE result (checked int, wrong text[]);
CREATE PROCEDURE run_script(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	targets target[];
	target target;
	checked int := 0;
	wrong text[] := '{}';
BEGIN
	FOR round IN 1..rounds LOOP
		targets := ARRAY(SELECT t FROM target t ORDER BY random() LIMIT 3);
		IF random() < 0.5 THEN
			-- changes in one or more transactions; syncs in their own, or the first in that of the last changes
			FOREACH target IN ARRAY targets LOOP
				PERFORM change(target);
				IF random() < 0.4 THEN
					COMMIT;
				END IF;
			END LOOP;
			FOREACH target IN ARRAY targets LOOP
				CALL sync_and_check(target, round::text, checked, wrong);
			END LOOP;
		ELSE
			-- changes and syncs that alternate in one transaction
			FOR step IN 1..4 LOOP
				BEGIN
					target := targets[1 + step % 2];
					PERFORM change(target);
					CALL sync_and_check(target, round || '.' || step, checked, wrong);
					IF random() < 0.3 THEN
						RAISE triggered_action_exception;
					END IF;
				EXCEPTION WHEN triggered_action_exception THEN NULL;
				END;
			END LOOP;
			IF random() < 0.2 THEN
				ROLLBACK;
			ELSE
				COMMIT;
			END IF;
		END IF;
	END LOOP;
	FOR target IN SELECT * FROM target LOOP
		CALL sync_and_check(target, 'end', checked, wrong);
	END LOOP;
	INSERT INTO result VALUES (checked, wrong);
END $$;

DO $$ BEGIN
	FOR i IN 1..5 LOOP
		PERFORM change_plain(), change_shared(), change_event(), change_daily(), change_purged();
	END LOOP;
END $$;
CALL run_script(32);
SELECT checked > 100 AS many, wrong FROM result;
-- changes were applied, not tables compared
SELECT online_table, count(*) FILTER (WHERE operation = 'APPLY' AND rows_changed > 0) > 1 AS applied, count(*) FILTER (WHERE operation <> 'APPLY') AS compared, sum(rows_rejected) AS rejected, max(message) AS message
FROM featurestore.publish_runs WHERE online_table IN (SELECT relation::regclass FROM target) GROUP BY 1 ORDER BY 1;

--
-- Rows dated ahead of the clock count once they are due: after each sync those that were by its clock do
--
SELECT featurestore.materialize_features(ARRAY[featurestore.register_feature('ahead_count', 'event', '{user_id,shop}', 'at', 'count')], 'ahead');
CREATE FUNCTION differences_ahead() RETURNS TABLE (newest bigint, ahead bigint) LANGUAGE sql AS $$
	SELECT (SELECT count(*) FROM shared_newest AS o FULL JOIN (
				SELECT DISTINCT ON (a, b) a, b, at, n, f, t FROM shared
				WHERE f IS DISTINCT FROM 1.5 AND at <= (SELECT applied_to FROM featurestore.publications WHERE online_table = 'shared_newest'::regclass)
				ORDER BY a, b, at DESC) AS e USING (a, b) WHERE ROW(o.*)::record *<> ROW(e.*)::record),
		   (SELECT count(*) FROM ahead AS o FULL JOIN (
				SELECT user_id, shop, count(*) AS n FROM event
				WHERE isfinite(at) AND user_id IS NOT NULL
					AND at <= (SELECT applied_to + interval '10 s' FROM featurestore.publications WHERE online_table = 'ahead'::regclass)
				GROUP BY 1, 2) AS e USING (user_id, shop)
			WHERE featurestore.window_value(rows_basic, 'count', featurestore.lifetime_window(), now() + interval '1 day', NULL::bigint) IS DISTINCT FROM e.n) $$;
CREATE PROCEDURE sync_ahead() LANGUAGE plpgsql AS $$ BEGIN
	CALL featurestore.sync('shared_newest');
	CALL featurestore.sync('ahead');
	CALL featurestore.sync('two_sources');
END $$;

SELECT clock_timestamp() AS start \gset
INSERT INTO shared SELECT a, b, :'start'::timestamptz + ahead, 1000 + row_number() OVER (), 1, NULL, 'ahead'
FROM (VALUES (1, '0.9 s'::interval), (2, '1 h'), (3, '0.9 s'), (3, '1 h'), (50, '0.9 s'), (51, '1 h'), (52, '0.9 s')) AS v(a, ahead), unnest('{x,y}'::text[]) AS b;
INSERT INTO event SELECT user_id, shop, :'start'::timestamptz + '10 s' + ahead, :'start'::timestamptz + '10 s' + ahead, 1, 1, 1, 'ahead'
FROM (VALUES (1, '0.9 s'::interval), (2, '1 h'), (50, '0.9 s'), (50, '1 h'), (51, '1 h'), (52, '0.9 s')) AS v(user_id, ahead), unnest('{a,b,h}'::text[]) AS shop;
CALL sync_ahead();
SELECT * FROM differences_ahead();
-- what is held changes and goes, and so does what is there
UPDATE shared SET t = 'later' WHERE n > 1000 AND b = 'y' AND a = 1;
DELETE FROM shared WHERE n > 1000 AND b = 'y' AND a IN (3, 52);
UPDATE shared SET at = :'start' WHERE n > 1000 AND b = 'y' AND a IN (2, 51);
DELETE FROM shared WHERE a = 2 AND n <= 1000;
UPDATE event SET n = 2 WHERE w = 'ahead' AND shop = 'b' AND user_id = 1;
DELETE FROM event WHERE w = 'ahead' AND shop = 'h' AND user_id IN (1, 52);
UPDATE event SET at = :'start', seen = :'start' WHERE w = 'ahead' AND shop = 'b' AND user_id IN (2, 51);
CALL sync_ahead();
SELECT * FROM differences_ahead();
-- due, without any change
SELECT FROM pg_sleep(1);
CALL sync_ahead();
SELECT * FROM differences_ahead();
SELECT count(*) FROM shared_newest WHERE t IN ('ahead', 'later');
SELECT key FROM featurestore.held_change WHERE relation = 'ahead'::regclass ORDER BY key;
-- gone again
DELETE FROM shared WHERE n > 1000;
DELETE FROM event WHERE w = 'ahead' AND (shop = 'a' OR user_id = 51);
CALL sync_ahead();
SELECT * FROM differences_ahead();
CALL featurestore.sync('apply_twin.two_sources');
SELECT sum(differences(t)) FROM target t WHERE relation = 'two_sources';

--
-- How a session has values shown does not matter to keys that are kept as text, of a fill that another session goes on with and of rows to fall back to
--
CREATE TABLE shown (day date, f float8, i interval, at timestamptz, v int, PRIMARY KEY (day, f, i, at));
INSERT INTO shown SELECT date '2024-01-01' + n, n / 7.0, '1 mon -3 days 00:00:01'::interval * n, timestamptz '2024-01-01' + n * interval '2 s' + k * interval '1 us', k
FROM generate_series(1, 40) AS n, generate_series(1, 3) AS k;
SET featurestore.fill_chunk = 7;
SELECT featurestore.publish_table('shown', 'shown_whole', wait => false), featurestore.publish_table('shown', 'shown_newest', timeseries_column => 'at', wait => false);
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SET extra_float_digits = -10;
SELECT featurestore._run(t, 'SYNC', NULL) FROM unnest('{shown_whole,shown_newest}'::regclass[]) AS t, generate_series(1, 3);
RESET DateStyle;
RESET IntervalStyle;
RESET extra_float_digits;
CALL featurestore.sync('shown_whole');
CALL featurestore.sync('shown_newest');
SELECT count(*) AS differences FROM (TABLE shown_whole EXCEPT TABLE shown UNION ALL TABLE shown EXCEPT TABLE shown_whole) AS d;
SELECT count(*), min(v), max(v) FROM shown_newest;
DELETE FROM shown WHERE v = 3;
SET extra_float_digits = -10;
SET IntervalStyle = 'sql_standard';
CALL featurestore.sync('shown_newest');
RESET extra_float_digits;
RESET IntervalStyle;
SELECT count(*), min(v), max(v) FROM shown_newest;
SELECT count(*) FROM shown_newest JOIN shown USING (day, f, i, at, v);

DROP SCHEMA apply_property, apply_twin CASCADE;
