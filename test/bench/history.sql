/*
 * Benchmark of histories: what it costs to keep one, beside a table without, and
 * beside one that keeps it by statement triggers with transition tables in SQL.
 *
 *		psql -v rows=500000 -v rounds=15
 *
 * All three tables are published from one source.  Each statement changes one in
 * fifty of the rows; what is compared runs in turns, and the ratio reported is the
 * median of those of the rounds.
 */
\set ON_ERROR_STOP on
\set QUIET on
\pset pager off
\pset footer off
SET client_min_messages = warning;
SET synchronous_commit = off;
CREATE EXTENSION IF NOT EXISTS featurestore;
CREATE SCHEMA hbench;
SET search_path = hbench;
CREATE TABLE item (id bigint PRIMARY KEY, name text, price numeric, stock int, rating float8, category int, is_active boolean, updated_at timestamptz);
INSERT INTO item SELECT i, 'item ' || i, i % 1000 + 0.5, i % 100, random(), i % 50, true, now() FROM generate_series(1, :rows) AS i;
SELECT featurestore.publish_table('item', 'hbench.bare'), featurestore.publish_table('item', 'hbench.kept', history => true), featurestore.publish_table('item', 'hbench.sql') \g /dev/null

CREATE TABLE sql_history (LIKE kept_history INCLUDING ALL);
INSERT INTO sql_history SELECT * FROM kept_history;
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO hbench.sql_history
	SELECT n.*, greatest(clock_timestamp(), (SELECT max(h._valid_from) FROM hbench.sql_history h WHERE h.id = n.id) + interval '1 us'), false
	FROM new_rows AS n JOIN old_rows AS o USING (id) WHERE ROW(n.*)::record *<> ROW(o.*)::record;
	RETURN NULL;
END $$;
CREATE TRIGGER keep AFTER UPDATE ON sql REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION keep();
VACUUM ANALYZE;

CREATE TABLE time (what text, side text, round int, seconds float8);
CREATE PROCEDURE timed(what text, side text, round int, statement text) LANGUAGE plpgsql AS $$
DECLARE
	started timestamptz := clock_timestamp();
BEGIN
	EXECUTE format(statement, 'hbench.' || side, round + 20);
	INSERT INTO hbench.time VALUES (what, side, round, extract(epoch FROM clock_timestamp() - started));
	COMMIT;
END $$;
CREATE PROCEDURE run(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	sides text[] := '{bare,kept,sql}';
BEGIN
	FOR round IN 0..rounds LOOP
		UPDATE hbench.item SET price = price + 1, updated_at = clock_timestamp() WHERE id % 50 = round;
		COMMIT;
		FOR i IN 1..3 LOOP
			CALL hbench.timed('sync', sides[i], round, 'CALL featurestore.sync(%1$L)');
			CALL hbench.timed('UPDATE', sides[i], round, 'UPDATE %1$s SET price = price + 1 WHERE id %% 50 = %2$s');
			CALL hbench.timed('UPDATE that changes nothing', sides[i], round, 'UPDATE %1$s SET price = price WHERE id %% 50 = %2$s');
		END LOOP;
	END LOOP;
END $$;
CALL run(:rounds);

\pset title 'Histories (medians; ratios are of the time without)'
SELECT b.what AS "case", round((percentile_disc(0.5) WITHIN GROUP (ORDER BY b.seconds) * 1e6 * 50 / :rows)::numeric, 2) AS "us a row, without",
	round(percentile_disc(0.5) WITHIN GROUP (ORDER BY k.seconds / b.seconds)::numeric, 2) AS "with history",
	round(percentile_disc(0.5) WITHIN GROUP (ORDER BY s.seconds / b.seconds)::numeric, 2) AS "by transition tables"
FROM time AS b JOIN time AS k USING (what, round) JOIN time AS s USING (what, round)
WHERE b.side = 'bare' AND k.side = 'kept' AND s.side = 'sql' AND round > 0 GROUP BY b.what ORDER BY 1;
