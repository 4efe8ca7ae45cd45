\set ECHO none
\o /dev/null
-- Random changes of published tables in a mode, and what their histories say of
-- them afterwards.
CREATE SCHEMA apply_property;
CREATE SCHEMA apply_twin;
SET search_path = apply_property;
\set wait true
\ir changing_sources.sql
\set ECHO none
\o /dev/null
SELECT featurestore.alter_publication(relation::regclass, history => true) FROM target;
SELECT featurestore.alter_publication(relation::regclass, publish_mode => :'then') FROM target WHERE source <> 'purged';
-- a column that is added, and one of another collation
ALTER TABLE plain_some ADD COLUMN note text COLLATE "C";
ALTER TABLE sums ADD COLUMN note int DEFAULT 3;

-- what tables held at which time
CREATE TABLE moment (n int, relation text, at timestamptz, contents text[]);
CREATE FUNCTION note_contents(n int, target target) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	contents text[];
BEGIN
	EXECUTE format('SELECT array_agg(md5(t::text) ORDER BY md5(t::text)) FROM %s AS t', target.relation) INTO contents;
	INSERT INTO moment VALUES (n, target.relation, clock_timestamp(), contents);
END $$;

-- changes of the online table itself; of one with more than its publication writes
CREATE FUNCTION change_online(target target) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	col text := split_part(target.key, ', ', 1);
BEGIN
	FOR step IN 1..2 LOOP
		BEGIN
			EXECUTE format('DELETE FROM %s WHERE random() < 0.1', target.relation);
			EXECUTE format('WITH gone AS (DELETE FROM %1$s WHERE random() < 0.1 RETURNING *) INSERT INTO %1$s SELECT * FROM gone WHERE random() < 0.7', target.relation);
			EXECUTE format('UPDATE %s SET %s = %2$s + 100 WHERE random() < 0.1', target.relation, col);
			EXECUTE format('UPDATE %s SET %s = %2$s WHERE random() < 0.1', target.relation, col);
			IF target.relation = 'plain_some' THEN
				UPDATE plain_some SET note = word() WHERE random() < 0.2;
				UPDATE plain_some SET f = -f WHERE random() < 0.1;
			END IF;
			IF random() < 0.1 THEN
				EXECUTE format('TRUNCATE %s', target.relation);
			END IF;
			IF random() < 0.3 THEN
				RAISE triggered_action_exception;
			END IF;
		EXCEPTION WHEN triggered_action_exception OR unique_violation THEN NULL;
		END;
	END LOOP;
END $$;

-- a trigger that changes the table again
CREATE FUNCTION change_again() RETURNS trigger LANGUAGE plpgsql SET search_path = apply_property AS $$
BEGIN
	IF pg_trigger_depth() > 1 OR random() < 0.8 THEN
		RETURN NULL;
	END IF;
	IF random() < 0.5 THEN
		UPDATE plain_some SET note = 'again' WHERE (a, b, k) = (NEW.a, NEW.b, NEW.k);
	ELSE
		BEGIN
			DELETE FROM plain_some WHERE (a, b, k) = (NEW.a, NEW.b, NEW.k);
			IF random() < 0.5 THEN
				INSERT INTO plain_some SELECT NEW.*;
			END IF;
			IF random() < 0.3 THEN
				RAISE triggered_action_exception;
			END IF;
		EXCEPTION WHEN triggered_action_exception THEN NULL;
		END;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER early AFTER INSERT OR UPDATE ON plain_some FOR EACH ROW EXECUTE FUNCTION change_again();
CREATE TRIGGER late AFTER INSERT OR UPDATE ON plain_some FOR EACH ROW EXECUTE FUNCTION change_again();
ALTER TABLE plain_some ENABLE ALWAYS TRIGGER early;

CREATE PROCEDURE run_script(rounds int, mode text) LANGUAGE plpgsql AS $$
DECLARE
	targets target[];
	target target;
BEGIN
	FOR round IN 1..rounds LOOP
		targets := ARRAY(SELECT t FROM target t ORDER BY random() LIMIT 3);
		FOREACH target IN ARRAY targets LOOP
			EXECUTE format('SELECT change_%s()', target.source);
			IF mode <> 'SYNCHRONOUS' OR random() < 0.2 THEN
				CALL featurestore.sync(target.relation);
			END IF;
			IF random() < 0.3 THEN
				PERFORM change_online(target);
			END IF;
			IF random() < 0.3 THEN
				CALL featurestore.rebuild(target.relation);
			END IF;
		END LOOP;
		IF random() < 0.2 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		PERFORM note_contents(round, t) FROM target t;
		COMMIT;
	END LOOP;
END $$;
CALL run_script(20, :'mode');

-- what the history of a table says it held at that time
CREATE FUNCTION replayed(relation text, key text, at timestamptz) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	contents text[];
BEGIN
	EXECUTE format('SELECT array_agg(md5(t::text) ORDER BY md5(t::text)) FROM (SELECT %1$s FROM (SELECT DISTINCT ON (%2$s) * FROM %3$s_history WHERE _valid_from <= $1 ORDER BY %2$s, _valid_from DESC) AS v WHERE NOT _is_deleted) AS t',
		(SELECT string_agg(quote_ident(name), ', ' ORDER BY attnum) FROM featurestore._columns(relation::regclass)), key, relation) INTO contents USING at;
	RETURN contents;
END $$;
CREATE FUNCTION shown(relation text, at timestamptz) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	contents text[];
BEGIN
	EXECUTE format('SELECT array_agg(md5(t::text) ORDER BY md5(t::text)) FROM (SELECT %1$s FROM %2$s_validity WHERE _valid_from <= $1 AND _valid_to > $1) AS t',
		(SELECT string_agg(quote_ident(name), ', ' ORDER BY attnum) FROM featurestore._columns(relation::regclass)), relation) INTO contents USING at;
	RETURN contents;
END $$;
-- versions that say what the one before says
CREATE FUNCTION idle_versions(relation text, key text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM (SELECT image OPERATOR(pg_catalog.*=) lag(image) OVER (PARTITION BY %1$s ORDER BY _valid_from) AS is_idle FROM (SELECT %1$s, _valid_from, ROW(%2$s, _is_deleted) AS image FROM %3$s_history) AS v) AS w WHERE is_idle',
		key, (SELECT string_agg(quote_ident(name), ', ') FROM featurestore._columns(relation::regclass)), relation) INTO result;
	RETURN result;
END $$;
\o
\set ECHO all
SELECT count(*), count(*) FILTER (WHERE m.contents IS DISTINCT FROM replayed(m.relation, t.key, m.at)) AS wrong,
	count(*) FILTER (WHERE m.contents IS DISTINCT FROM shown(m.relation, m.at)) AS shown_wrong, count(DISTINCT m.contents) > 50 AS many
FROM moment m JOIN target t USING (relation);
SELECT sum(idle_versions(relation, key)) AS idle FROM target;
DROP SCHEMA apply_property, apply_twin CASCADE;
