--
-- Whose rights publishing has: nothing that the owner of a source, of an online
-- table or of a row of the catalog makes runs with the rights of another role
--
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_mallory;
CREATE ROLE regress_member IN ROLE regress_mallory;
CREATE ROLE regress_victim;
CREATE SCHEMA evil AUTHORIZATION regress_mallory;
CREATE SCHEMA good AUTHORIZATION regress_victim;
CREATE SCHEMA root;
GRANT USAGE ON SCHEMA evil, good TO PUBLIC;
RESET client_min_messages;
SET search_path = root, featurestore;
SET TimeZone = 'UTC';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql
\pset tuples_only on
\pset format unaligned
GRANT USAGE ON SCHEMA root TO PUBLIC;

--
-- Baits: each counts that it was swallowed, and complains unless the owner did
--
SET ROLE regress_mallory;
CREATE SEQUENCE evil.filter;
CREATE SEQUENCE evil.online_trigger;
CREATE SEQUENCE evil.online_default;
CREATE SEQUENCE evil.online_check;
CREATE SEQUENCE evil.online_index;
CREATE SEQUENCE evil.staging_truncate;
CREATE SEQUENCE evil.staging_insert;
CREATE SEQUENCE evil.staging_check;
CREATE SEQUENCE evil.domain;
CREATE SEQUENCE evil.feature;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.bait(place text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM nextval(('evil.' || place)::regclass);
	IF current_user <> 'regress_mallory' THEN
		RAISE WARNING '% ran as %', place, current_user;
	END IF;
	RETURN true;
END $$;
CREATE FUNCTION evil.bait_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM evil.bait(tg_argv[0]);
	-- what should not outlive the run
	PERFORM set_config('search_path', 'evil', false);
	PERFORM set_config('featurestore.fill_chunk', '17', false);
	RETURN new;
END $$;
CREATE FUNCTION evil.bait_value(place text) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT evil.bait(place)::text $$;
CREATE DOMAIN evil.key AS int CHECK (evil.bait('domain') AND value > 0);

CREATE TABLE evil.source (id evil.key PRIMARY KEY, v text, at timestamptz);
INSERT INTO evil.source SELECT g, 'v' || g, '2024-01-01' FROM generate_series(1, 5) AS g;
SELECT publish_table('evil.source', 'evil.online', filter => $$v <> 'hidden' AND evil.bait('filter')$$);
CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON evil.online FOR EACH ROW EXECUTE FUNCTION evil.bait_trigger('online_trigger');
ALTER TABLE evil.online ADD extra text DEFAULT evil.bait_value('online_default');
ALTER TABLE evil.online ADD CHECK (v <> 'refused' AND evil.bait('online_check'));
CREATE INDEX ON evil.online ((evil.bait('online_index')));
-- of the staging table, a partition at a time, since that is what rows go to
CREATE TRIGGER t BEFORE INSERT ON evil.source_changes_0 FOR EACH ROW EXECUTE FUNCTION evil.bait_trigger('staging_insert');
CREATE TRIGGER u BEFORE TRUNCATE ON evil.source_changes_0 FOR EACH STATEMENT EXECUTE FUNCTION evil.bait_trigger('staging_truncate');
CREATE TRIGGER u BEFORE TRUNCATE ON evil.source_changes_1 FOR EACH STATEMENT EXECUTE FUNCTION evil.bait_trigger('staging_truncate');
ALTER TABLE evil.source_changes ADD CHECK (evil.bait('staging_check'));
-- the same for states
CREATE TABLE evil.events (id int, at timestamptz, v int);
INSERT INTO evil.events VALUES (1, '2024-01-01', 1), (2, '2024-01-01', 2);
SET client_min_messages = warning;
SELECT register_feature('evil.total', 'evil.events', '{id}', 'at', 'sum', 'v', lifetime_window(), filter => $$evil.bait('feature')$$);
SELECT materialize_features('{evil.total}', 'evil.states');

--
-- Others run what is mallory's: the counts start again, so that all baits are seen to be swallowed
--
RESET ROLE;
SELECT bool_and(setval(oid::regclass, 1, false) = 1) FROM pg_class WHERE relnamespace = 'evil'::regnamespace AND relkind = 'S';
CREATE VIEW swallowed AS SELECT string_agg(sequencename, ' ' ORDER BY sequencename COLLATE "C") AS baits
FROM pg_sequences WHERE schemaname = 'evil' AND last_value IS NOT NULL;
-- what is written by a superuser is staged without running anything of the staging table
UPDATE evil.source SET v = v || '!' WHERE id = 1;
DELETE FROM evil.source WHERE id = 2;
UPDATE evil.events SET v = 5 WHERE id = 1;
TRUNCATE evil.events;
INSERT INTO evil.events VALUES (3, '2024-01-01', 1);
SELECT * FROM swallowed;
CALL sync('evil.online');
CALL sync('evil.states');
CALL rebuild('evil.online', '[{"id": 3}]');
CALL rebuild('evil.online');
SELECT current_setting('search_path'), current_setting('featurestore.fill_chunk');
SET ROLE regress_member;
INSERT INTO evil.events VALUES (3, '2024-01-02', 1);
UPDATE evil.source SET v = v || '!' WHERE id = 1;
DELETE FROM evil.source WHERE id = 4;
CALL run_due();
SELECT current_setting('search_path'), current_setting('featurestore.fill_chunk');
RESET ROLE;
-- two of the larger kind: the partition that rows go to becomes another, then the first is emptied
UPDATE evil.source SET v = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 70000) AS g) WHERE id IN (1, 3, 5);
CALL sync('evil.online');
UPDATE evil.source SET v = 'short' WHERE id = 3;
CALL sync('evil.online');
SELECT pg_relation_size('evil.source_changes_0'), current_relation FROM staging WHERE relation = 'evil.source_changes'::regclass;
SELECT * FROM swallowed;
SELECT id, left(v, 8), extra FROM evil.online ORDER BY id;
SELECT id, total FROM evil.states_values ORDER BY id;
-- nor a change that cannot be applied, which is looked at one by one, by a superuser
SET ROLE regress_mallory;
INSERT INTO evil.source VALUES (6, 'refused'), (7, 'accepted');
RESET ROLE;
CALL sync('evil.online');
SELECT id, left(v, 8) FROM evil.online WHERE id > 5;
-- deferred to a time when the superuser has his rights back
SET ROLE regress_mallory;
CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON evil.online DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION evil.bait_trigger('online_trigger');
UPDATE evil.source SET v = 'late' WHERE id = 1;
RESET ROLE;
SELECT refused($$ CALL sync('evil.online') $$);
SET ROLE regress_mallory;
DROP TRIGGER late ON evil.online;
CREATE TABLE evil.other (id int);
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON evil.other DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION evil.bait_trigger('online_trigger');
CREATE FUNCTION evil.write_other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.other VALUES (1); RETURN new; END $$;
CREATE TRIGGER other BEFORE INSERT ON evil.online FOR EACH ROW EXECUTE FUNCTION evil.write_other();
RESET ROLE;
SELECT refused($$ CALL sync('evil.online') $$);
SET ROLE regress_mallory;
DROP TRIGGER other ON evil.online;
CALL sync('evil.online');

--
-- A superuser publishes from a table of mallory's, and reads what the staging table holds
--
CREATE TABLE evil.prices (id int PRIMARY KEY, v text);
INSERT INTO evil.prices VALUES (1, 'a');
RESET ROLE;
SELECT publish_table('evil.prices', 'root.prices');
-- columns of another type, with a cast
SET ROLE regress_mallory;
CREATE TYPE evil.type AS (x text);
CREATE FUNCTION evil.cast_type(evil.type) RETURNS text LANGUAGE sql AS $$ SELECT evil.bait('filter')::text $$;
CREATE CAST (evil.type AS text) WITH FUNCTION evil.cast_type AS IMPLICIT;
ALTER TABLE evil.prices_changes DROP COLUMN v;
ALTER TABLE evil.prices_changes ADD COLUMN v evil.type;
INSERT INTO evil.prices VALUES (2, 'b');
UPDATE evil.prices_changes SET v = ROW('z');
RESET ROLE;
CALL sync('root.prices');
SELECT * FROM root.prices ORDER BY id;
SET ROLE regress_mallory;
ALTER TABLE evil.prices_changes DROP COLUMN _change_type;
ALTER TABLE evil.prices_changes ADD COLUMN _change_type evil.type DEFAULT ROW('z')::evil.type;
RESET ROLE;
CALL sync('root.prices');
-- a view in its place
SET ROLE regress_mallory;
CREATE VIEW evil.changes AS SELECT 3 AS id, 'c' AS v, 'insert' AS _change_type, 1::bigint AS _commit_version, now() AS _commit_timestamp,
	9223372036854775807 AS _sequence, '9223372036854775807'::xid8 AS _xid, 0::smallint AS _partition WHERE evil.bait('filter');
SELECT _remove_definition('staging', relation) FROM staging WHERE captured_source = 'evil.prices'::regclass;
SELECT _store_definition('staging', '{"relation": "evil.changes", "captured_source": "evil.prices", "current_relation": "evil.changes", "current_partition": 0}');
RESET ROLE;
CALL sync('root.prices');
SELECT * FROM root.prices ORDER BY id;
SELECT count(*), bool_and(relation <> 'evil.changes'::regclass) FROM staging WHERE captured_source = 'evil.prices'::regclass;

--
-- Who sees what
--
SET ROLE regress_mallory;
SELECT sequence > 0, change ->> 'v', sqlstate, message FROM rejected_changes WHERE online_table = 'evil.online'::regclass;
SELECT DISTINCT operation FROM publish_runs WHERE online_table = 'evil.online'::regclass ORDER BY 1;
SELECT publish_table('evil.source', 'evil.filling', wait => false);
SET featurestore.fill_chunk = 2;
SELECT _run('evil.filling', 'SYNC', NULL) ->> 'operation';
RESET featurestore.fill_chunk;
SELECT _fill_key('evil.filling');
SET ROLE regress_victim;
SELECT count(*) FROM rejected_changes;
SELECT count(*) FROM publish_runs;
SELECT refused($$ SELECT FROM featurestore.rejected_change $$);
SELECT refused($$ SELECT FROM featurestore.publish_run $$);
SELECT refused($$ SELECT FROM featurestore.held_change $$);
SELECT refused($$ SELECT FROM evil.source_changes $$);
SELECT refused($$ SELECT FROM evil.source_changes_0 $$);
SELECT refused($$ SELECT fill_key FROM featurestore.fill_position $$);
SELECT refused($$ SELECT _fill_key('evil.filling') $$);
SELECT refused($$ SELECT _due_keys('evil.online', now()) $$);
SELECT refused($$ SELECT _hold('evil.online', NULL, '[]') $$);
SELECT refused($$ SELECT _record('publish_run', 'evil.online', '[]') $$);
SELECT refused($$ SELECT _store_definition('publication_position', '{"relation": "evil.online"}') $$);
SELECT refused($$ SELECT _remove_definition('staging', 'evil.source_changes') $$);
SELECT refused($$ SELECT _try_lock('evil.source_changes', 'ACCESS SHARE') $$);
SELECT refused($$ SELECT _try_rotation('evil.source_changes') $$);
SELECT refused($$ SELECT _hold_staged('evil.source_changes') $$);
SELECT refused($$ SELECT _try_discard('evil.source_changes') $$);
SELECT refused($$ SELECT _rotate('evil.source_changes') $$);
SELECT refused($$ SELECT _run_now('evil.online', 'SYNC') $$);
SELECT refused($$ SELECT _run('evil.online', 'SYNC', NULL) $$);
SELECT refused($$ SELECT _capture_source('evil.source', NULL) $$);
SELECT refused($$ CALL sync('evil.online') $$);
SELECT refused($$ CALL rebuild('evil.online') $$);
SELECT refused($$ SELECT pause_publication('evil.online') $$);
SELECT refused($$ SELECT alter_publication('evil.online', 'SNAPSHOT') $$);
-- his own are due, and those of no other
CALL run_due();

--
-- Rows of the catalog about tables of others
--
SET ROLE regress_victim;
CREATE TABLE good.source (id int PRIMARY KEY, v text);
SELECT publish_table('good.source', 'good.online');
SET ROLE regress_mallory;
CREATE TABLE evil.pin (id int PRIMARY KEY, v text);
SELECT refused($$ SELECT _store_definition('staging', '{"relation": "evil.pin", "captured_source": "good.source", "current_relation": "evil.pin", "current_partition": 0}') $$);
SELECT refused($$ SELECT _store_definition('staging', '{"relation": "evil.pin", "online_table": "good.online", "current_relation": "evil.pin", "current_partition": 0}') $$);
SELECT refused($$ SELECT _store_definition('staging', '{"relation": "evil.pin", "current_relation": "good.source_changes_0", "current_partition": 0}') $$);
-- a publication of the table of another, to have changes kept, and to read them
SELECT _store_definition('publication', '{"relation": "evil.pin", "source": "good.source", "publish_mode": "TRIGGERED", "primary_key": ["id"], "features": ["v"], "is_paused": false}');
SELECT _store_definition('publication_position', '{"relation": "evil.pin", "applied_to": "-infinity", "synced_at": "-infinity", "rows_changed": 0, "snapshot": "3:3:"}');
SELECT * FROM _consumers('good.source');
SELECT refused($$ CALL sync('evil.pin') $$);
SELECT _release_source('good.source');
SET ROLE regress_victim;
SELECT unpublish_table('good.online');
SELECT count(*) FROM staging WHERE captured_source = 'good.source'::regclass;
SET ROLE regress_mallory;
DROP TABLE evil.pin;

--
-- Programs that are none
--
CREATE FUNCTION evil.apply(program jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT root.refused(format('SELECT featurestore._apply_batch(%L, NULL, now(), ''3:3:'', NULL, NULL, ''[]'', ''{}'')',
		jsonb_build_object('settle', $p$SELECT '{"is_same": true}'::jsonb$p$,
			'add', $p$SELECT to_jsonb(1 / 0)$p$,
			'quarantine', $p$SELECT CASE WHEN $6 = '{}' THEN '{}'::jsonb ELSE to_jsonb(1 / 0) END$p$) || program)) $$;
SELECT evil.apply('{"add": null}');
SELECT evil.apply('{"settle": "SELECT"}');
SELECT evil.apply('{"settle": "ROLLBACK"}');
SELECT evil.apply('{"sources": [{}]}');
SELECT evil.apply('{"sources": [{"rows": "SELECT 1 AS x", "check": "SELECT to_jsonb(1 / 0)"}]}');
SELECT evil.apply(jsonb_build_object('sources', jsonb_build_array('{"rows": "SELECT WHERE false", "check": "SELECT"}' ||
	jsonb_build_object('groups', format('SELECT %L::jsonb', groups))))) FROM unnest(ARRAY['[1]', '[{}]', '[["x"]]', '[[null]]']) AS groups;
-- one text for statements with different parameters
SELECT _apply_batch(jsonb_build_object('settle', q, 'add', q), '{}', now(), '3:3:', NULL, NULL, '[]', '{}')
FROM (VALUES ($p$SELECT jsonb_build_object('is_same', true, 'truncations', 0, 'x', $5)$p$)) AS p(q);
SELECT refused($$ SELECT _merge_together(ARRAY[NULL], now()) $$);
SELECT refused($$ SELECT _merge_together(ARRAY['COMMIT'], now()) $$);

--
-- A source, and an online table, that change hands
--
CREATE TABLE evil.stock (id int PRIMARY KEY, v text);
SELECT publish_table('evil.stock', 'evil.stock_online');
INSERT INTO evil.stock VALUES (1, 'a');
RESET ROLE;
GRANT CREATE ON SCHEMA evil TO regress_victim;
ALTER TABLE evil.stock OWNER TO regress_victim;
SELECT relname, relowner::regrole FROM pg_class WHERE relname ~ '^stock_changes' ORDER BY 1;
SET ROLE regress_victim;
INSERT INTO evil.stock VALUES (2, 'b');
SET ROLE regress_mallory;
CALL sync('evil.stock_online');
\echo :SQLSTATE
SELECT refused($$ SELECT FROM evil.stock_changes $$);
SELECT * FROM _consumers('evil.stock');
RESET ROLE;
-- whoever has the rights of the owner goes on, and what was not kept meanwhile is not missed
GRANT regress_victim TO regress_mallory;
SET ROLE regress_mallory;
CALL sync('evil.stock_online');
SELECT * FROM evil.stock_online ORDER BY id;
INSERT INTO evil.stock VALUES (3, 'c');
RESET ROLE;
REVOKE regress_victim FROM regress_mallory;
SET ROLE regress_victim;
SELECT _rotate('evil.stock_changes', 0);
SELECT _rotate('evil.stock_changes', 0);
SELECT count(*) FROM evil.stock_changes;
RESET ROLE;
GRANT regress_victim TO regress_mallory;
SET ROLE regress_mallory;
CALL sync('evil.stock_online');
SELECT * FROM evil.stock_online ORDER BY id;
RESET ROLE;
REVOKE regress_victim FROM regress_mallory;
-- the online table, with all that is known of it
ALTER TABLE evil.stock_online OWNER TO regress_victim;
SET ROLE regress_mallory;
SELECT count(*) FROM publish_runs WHERE online_table = 'evil.stock_online'::regclass;
SELECT refused($$ CALL sync('evil.stock_online') $$);
SET ROLE regress_victim;
INSERT INTO evil.stock VALUES (4, 'd');
CALL sync('evil.stock_online');
SELECT count(*) FROM evil.stock_online;
SELECT count(*) > 0 FROM publish_runs WHERE online_table = 'evil.stock_online'::regclass;
-- a table that external writers feed, and its staging table
CREATE TABLE good.fed (id int PRIMARY KEY, v text);
SELECT create_staging_table('good.fed');
INSERT INTO good.fed_staging (id, v) VALUES (1, 'a');
RESET ROLE;
ALTER EVENT TRIGGER featurestore_follow_altered DISABLE;
ALTER TABLE good.fed_staging OWNER TO regress_mallory;
ALTER EVENT TRIGGER featurestore_follow_altered ENABLE;
GRANT SELECT, DELETE ON good.fed_staging TO regress_victim;
SELECT refused($$ CALL sync('good.fed') $$);
SET ROLE regress_victim;
DROP TABLE evil.stock_online, good.fed;

--
-- Row-level security
--
SET ROLE regress_victim;
CREATE TABLE good.rows (id int PRIMARY KEY, v text);
INSERT INTO good.rows VALUES (1, 'a'), (2, 'b');
SELECT publish_table('good.rows', 'good.rows_online');
ALTER TABLE good.rows ENABLE ROW LEVEL SECURITY;
ALTER TABLE good.rows_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE good.rows_online ENABLE ROW LEVEL SECURITY;
UPDATE good.rows SET v = 'c' WHERE id = 1;
CALL sync('good.rows_online');
SELECT * FROM good.rows_online ORDER BY id;
-- what holds for the owner, too, hides changes and rows: an error, and nothing is deleted
ALTER TABLE good.rows_changes FORCE ROW LEVEL SECURITY;
SELECT refused($$ CALL sync('good.rows_online') $$);
ALTER TABLE good.rows_changes NO FORCE ROW LEVEL SECURITY;
ALTER TABLE good.rows FORCE ROW LEVEL SECURITY;
SELECT refused($$ CALL rebuild('good.rows_online') $$);
ALTER TABLE good.rows NO FORCE ROW LEVEL SECURITY;
ALTER TABLE good.rows_online FORCE ROW LEVEL SECURITY;
SELECT refused($$ CALL sync('good.rows_online') $$);
ALTER TABLE good.rows_online NO FORCE ROW LEVEL SECURITY;
CALL sync('good.rows_online');
SELECT * FROM good.rows_online ORDER BY id;

--
-- A cancel ends run_due, other failures do not
--
CREATE FUNCTION good.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = tg_argv[0]; END $$;
CREATE TABLE good.next (id int PRIMARY KEY);
SELECT publish_table('good.next', 'good.next_online');
CREATE TRIGGER fail BEFORE INSERT ON good.rows_online FOR EACH ROW EXECUTE FUNCTION good.fail('XX001');
INSERT INTO good.rows VALUES (3, 'd');
INSERT INTO good.next VALUES (1);
CALL run_due();
SELECT count(*) FROM good.next_online;
DROP TRIGGER fail ON good.rows_online;
CALL sync('good.rows_online');
CREATE TRIGGER fail BEFORE INSERT ON good.rows_online FOR EACH ROW EXECUTE FUNCTION good.fail('57014');
INSERT INTO good.rows VALUES (4, 'e');
INSERT INTO good.next VALUES (2);
CALL run_due();
SELECT count(*) FROM good.next_online;
SELECT sqlstate, message FROM publish_runs WHERE online_table = 'good.rows_online'::regclass ORDER BY id DESC LIMIT 1;

--
-- Staged rows are written without checks, so that there must be none that readers rely on
--
ALTER TABLE good.next_changes ALTER id SET NOT NULL;
INSERT INTO good.next VALUES (3);
ALTER TABLE good.next_changes ALTER id DROP NOT NULL;
INSERT INTO good.next VALUES (3);

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA evil, good, root CASCADE;
DROP ROLE regress_mallory, regress_member, regress_victim;
