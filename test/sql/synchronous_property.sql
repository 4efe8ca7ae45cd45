--
-- Writers keep SYNCHRONOUS publications in step: after every transaction, and
-- after each step of it that applies its changes, the online tables are what SQL
-- over the source says, and states those of a table that is computed anew
--
\set SHOW_CONTEXT never
SET client_min_messages = error;
SET TimeZone = 'UTC';
SET jit = off;
SELECT setseed(0.75);

CREATE SCHEMA apply_property;
CREATE SCHEMA apply_twin;
SET search_path = apply_property;

\set mode SYNCHRONOUS
\set wait true
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/changing_sources.sql
\set ECHO all

-- changes a source, in subtransactions of which some are rolled back
CREATE FUNCTION change(target target) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR step IN 1..3 LOOP
		BEGIN
			EXECUTE format('SELECT change_%s()', CASE WHEN target.relation = 'two_sources' AND random() < 0.3 THEN 'daily' ELSE target.source END);
			IF random() < 0.2 THEN
				PERFORM featurestore._flush_captured();
			END IF;
			IF random() < 0.3 THEN
				RAISE triggered_action_exception;
			END IF;
		EXCEPTION WHEN triggered_action_exception THEN NULL;
		END;
	END LOOP;
END $$;

CREATE PROCEDURE check_table(target target, what text, INOUT checked int, INOUT wrong text[]) LANGUAGE plpgsql AS $$
BEGIN
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
		FOREACH target IN ARRAY targets LOOP
			PERFORM change(target);
			IF random() < 0.3 THEN
				PERFORM featurestore._flush_captured();
				CALL check_table(target, round || ', before the end', checked, wrong);
			END IF;
		END LOOP;
		IF random() < 0.2 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		FOREACH target IN ARRAY targets LOOP
			CALL check_table(target, round::text, checked, wrong);
		END LOOP;
	END LOOP;
	FOR target IN SELECT * FROM target LOOP
		CALL check_table(target, 'end', checked, wrong);
	END LOOP;
	INSERT INTO result VALUES (checked, wrong);
END $$;

DO $$ BEGIN
	FOR i IN 1..5 LOOP
		PERFORM change_plain(), change_shared(), change_event(), change_daily(), change_purged();
	END LOOP;
END $$;
CALL run_script(24);
SELECT checked > 80 AS many, wrong FROM result;
-- writers did it, and nothing was staged
SELECT online_table, count(*) AS runs FROM featurestore.publish_runs WHERE online_table IN (SELECT relation::regclass FROM target) GROUP BY 1 ORDER BY 1;
SELECT relation, is_written, is_applied FROM featurestore.staging WHERE is_applied ORDER BY relation::text;
SELECT count(*) FROM (SELECT 1 FROM plain_changes UNION ALL SELECT 1 FROM shared_changes UNION ALL SELECT 1 FROM event_changes UNION ALL SELECT 1 FROM daily_changes) AS staged;

--
-- Rows dated ahead of the clock count once they are due, which takes a run
--
SELECT featurestore.materialize_features(ARRAY[featurestore.register_feature('ahead_count', 'event', '{user_id,shop}', 'at', 'count')], 'ahead', publish_mode => 'SYNCHRONOUS');
CREATE FUNCTION differences_ahead(since timestamptz) RETURNS TABLE (newest bigint, ahead bigint) LANGUAGE sql AS $$
	SELECT (SELECT count(*) FROM shared_newest AS o FULL JOIN (
				SELECT DISTINCT ON (a, b) a, b, at, n, f, t FROM shared WHERE f IS DISTINCT FROM 1.5 AND at <= since ORDER BY a, b, at DESC) AS e USING (a, b)
			WHERE ROW(o.*)::record *<> ROW(e.*)::record),
		   (SELECT count(*) FROM ahead AS o FULL JOIN (
				SELECT user_id, shop, count(*) AS n FROM event
				WHERE isfinite(at) AND user_id IS NOT NULL AND at <= since + interval '10 s'
				GROUP BY 1, 2) AS e USING (user_id, shop)
			WHERE featurestore.window_value(rows_basic, 'count', featurestore.lifetime_window(), now() + interval '1 day', NULL::bigint) IS DISTINCT FROM e.n) $$;

SELECT clock_timestamp() AS start, clock_timestamp() + interval '3 s' AS later \gset
INSERT INTO shared SELECT a, b, :'start'::timestamptz + ahead, 1000 + row_number() OVER (), 1, NULL, 'ahead'
FROM (VALUES (1, '3 s'::interval), (2, '1 h'), (3, '3 s'), (3, '1 h'), (50, '3 s'), (51, '1 h'), (52, '3 s')) AS v(a, ahead), unnest('{x,y}'::text[]) AS b;
INSERT INTO event SELECT user_id, shop, :'start'::timestamptz + '10 s' + ahead, :'start'::timestamptz + '10 s' + ahead, 1, 1, 1, 'ahead'
FROM (VALUES (1, '3 s'::interval), (2, '1 h'), (50, '3 s'), (50, '1 h'), (51, '1 h'), (52, '3 s')) AS v(user_id, ahead), unnest('{a,b,h}'::text[]) AS shop;
SELECT * FROM differences_ahead(:'start');
-- what is held changes and goes, and so does what is there
UPDATE shared SET t = 'later' WHERE n > 1000 AND b = 'y' AND a = 1;
DELETE FROM shared WHERE n > 1000 AND b = 'y' AND a IN (3, 52);
UPDATE shared SET at = :'start' WHERE n > 1000 AND b = 'y' AND a IN (2, 51);
DELETE FROM shared WHERE a = 2 AND n <= 1000;
UPDATE event SET n = 2 WHERE w = 'ahead' AND shop = 'b' AND user_id = 1;
DELETE FROM event WHERE w = 'ahead' AND shop = 'h' AND user_id IN (1, 52);
UPDATE event SET at = :'start', seen = :'start' WHERE w = 'ahead' AND shop = 'b' AND user_id IN (2, 51);
SELECT * FROM differences_ahead(:'start');
-- due, without any change
SELECT FROM pg_sleep_until(:'later'::timestamptz + '0.1 s');
CALL featurestore.run_due();
SELECT * FROM differences_ahead(:'later');
SELECT count(*) FROM shared_newest WHERE t IN ('ahead', 'later');
SELECT key FROM featurestore.held_change WHERE relation = 'ahead'::regclass ORDER BY key;
SELECT online_table, operation, rows_changed > 0 AS changed FROM featurestore.publish_runs WHERE operation <> 'MERGE' AND online_table IN ('shared_newest'::regclass, 'ahead') ORDER BY 1;
-- gone again
DELETE FROM shared WHERE n > 1000;
DELETE FROM event WHERE w = 'ahead' AND (shop = 'a' OR user_id = 51);
SELECT * FROM differences_ahead(:'later');
CALL featurestore.run_due();
CALL featurestore.sync('apply_twin.two_sources');
SELECT sum(differences(t)) FROM target t WHERE relation = 'two_sources';

DROP SCHEMA apply_property, apply_twin CASCADE;
