--
-- Direct writes are made with the rights of the writer
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_ws_owner;
CREATE ROLE regress_ws_writer;
CREATE ROLE regress_ws_columns;
CREATE ROLE regress_ws_nobody;
CREATE SCHEMA ws AUTHORIZATION regress_ws_owner;
GRANT USAGE ON SCHEMA ws TO PUBLIC;
RESET client_min_messages;
SET search_path = ws;
SET timezone = 'UTC';

SET ROLE regress_ws_owner;
CREATE TABLE t (id int PRIMARY KEY, at timestamptz, n bigint, name text, secret text);
SELECT featurestore.create_online_table('t', '{"n": "add"}', timeseries_column => 'at');
GRANT SELECT, INSERT, UPDATE ON t TO regress_ws_writer;
GRANT SELECT (id, at, name), INSERT (id, at, name), UPDATE (at, name) ON t TO regress_ws_columns;

SET ROLE regress_ws_writer;
SELECT * FROM t_write('{1}', '{2024-01-01}', '{1}', '{a}', '{s}', 'b1');
SELECT * FROM featurestore.write_features('t', '{"id": 1, "at": "2024-01-01", "n": 1}', 'b2');
-- what belongs to the owner
SELECT * FROM featurestore.write_batches;
SELECT count(*) FROM featurestore.write_batch;
\echo :SQLSTATE
SELECT featurestore.create_online_table('t');
\echo :SQLSTATE
SELECT featurestore.drop_online_table('t');
\echo :SQLSTATE
DROP FUNCTION t_write;
\echo :SQLSTATE
SELECT featurestore._bind_writer('t_write'::regproc::oid::regprocedure, 't');
\echo :SQLSTATE

-- some columns only: rows with just these
SET ROLE regress_ws_columns;
SELECT * FROM featurestore.write_features('t', '{"id": 2, "at": "2024-01-01", "name": "mine"}', 'c1');
SELECT featurestore.write_features('t', '{"id": 2, "at": "2024-01-01", "n": 1}', 'c2');
\echo :SQLSTATE
SELECT t_write('{2}', '{2024-01-01}', '{1}', '{a}', '{s}', 'c3');
\echo :SQLSTATE
SELECT * FROM t_write('{2}', '{2024-01-02}', name => '{again}', batch_id => 'c4');

-- nothing: nor may he note batches
SET ROLE regress_ws_nobody;
SELECT featurestore.write_features('t', '{"id": 3, "at": "2024-01-01"}', 'd1');
\echo :SQLSTATE
SELECT t_write('{3}', '{2024-01-01}', batch_id => 'd2');
\echo :SQLSTATE
SELECT featurestore._begin_write('t', 'd3', '\x00', 1);
\echo :SQLSTATE
-- nor may who can insert no key
SET ROLE regress_ws_owner;
GRANT INSERT (name) ON t TO regress_ws_nobody;
SET ROLE regress_ws_nobody;
SELECT featurestore._begin_write('t', 'd4', '\x00', 1);
\echo :SQLSTATE
SET ROLE regress_ws_owner;
SELECT batch_id FROM featurestore.write_batches ORDER BY 1;
TABLE t ORDER BY id;

-- row-level security holds
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY low ON t TO regress_ws_writer USING (id < 10) WITH CHECK (id < 10 AND name IS DISTINCT FROM 'bad');
SET ROLE regress_ws_writer;
SELECT * FROM t_write('{1,4}', '{2024-01-03,2024-01-03}', '{1,1}', '{ok,ok}', '{s,s}', 'e1');
SELECT t_write('{11}', '{2024-01-03}', '{1}', '{ok}', '{s}', 'e2');
\echo :SQLSTATE
SELECT featurestore.write_features('t', '{"id": 4, "at": "2024-01-04", "name": "bad", "n": 1}', 'e3');
\echo :SQLSTATE
SET ROLE regress_ws_owner;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
SELECT id, n, name FROM t ORDER BY id;

-- a definer function of the owner writes with his rights, a kept statement with nobody else's
CREATE FUNCTION write_for_all(rows jsonb, batch_id text) RETURNS featurestore.write_result LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$ SELECT featurestore.write_features('ws.t', rows, batch_id) $$;
SET ROLE regress_ws_nobody;
SELECT * FROM write_for_all('{"id": 5, "at": "2024-01-01", "n": 1}', 'f1');
SELECT featurestore.write_features('t', '{"id": 5, "at": "2024-01-01", "n": 1}', 'f2');
\echo :SQLSTATE

-- nothing on the search path of the writer gets in between
SET ROLE regress_ws_owner;
CREATE FUNCTION ws.plus(bigint, bigint) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''redirected''; END';
CREATE OPERATOR ws.+ (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = ws.plus);
CREATE FUNCTION ws.sum_of(bigint, bigint) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''redirected''; END';
CREATE AGGREGATE ws.sum(bigint) (SFUNC = ws.sum_of, STYPE = bigint);
CREATE FUNCTION ws.jsonb_to_record(jsonb) RETURNS record LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''redirected''; END';
SET search_path = ws, pg_catalog;
SELECT * FROM featurestore.write_features('t', '{"id": 5, "at": "2024-01-01", "n": 1}', 'g1');
SELECT * FROM t_write('{5}', '{2024-01-03}', '{1}', '{ok}', '{s}', 'g2');
SET search_path = ws;
-- triggers of the table run, too, and can stop a row
CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.name = 'stop' THEN RETURN NULL; END IF; new.secret := 'by trigger'; RETURN new; END $$;
CREATE TRIGGER stop BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stop();
SELECT * FROM t_write('{5,6}', '{2024-01-04,2024-01-04}', '{1,1}', '{ok,stop}', '{s,s}', 'g3');
SELECT id, n, name, secret FROM t WHERE id >= 5 ORDER BY id;

-- an owner who may not create functions where his table is
RESET ROLE;
CREATE SCHEMA ws_other;
CREATE TABLE ws_other.given (id int PRIMARY KEY, n int);
GRANT USAGE ON SCHEMA ws_other TO regress_ws_owner;
ALTER TABLE ws_other.given OWNER TO regress_ws_owner;
SET ROLE regress_ws_owner;
SELECT featurestore.create_online_table('ws_other.given');
SELECT * FROM featurestore.write_features('ws_other.given', '{"id": 1, "n": 1}');
-- made by a member of the owner: the owner's
RESET ROLE;
CREATE TABLE ws.made (id int PRIMARY KEY, n int);
ALTER TABLE ws.made OWNER TO regress_ws_owner;
SELECT featurestore.create_online_table('ws.made', '{"n": "add"}');
SELECT proowner::regrole FROM pg_proc WHERE proname = 'made_write';
-- another owner gets one of his own, whatever the old one did to his
SET ROLE regress_ws_owner;
ALTER FUNCTION made_write SECURITY DEFINER;
RESET ROLE;
GRANT CREATE ON SCHEMA ws TO regress_ws_writer;
ALTER TABLE ws.made OWNER TO regress_ws_writer;
SELECT proowner::regrole, prosecdef FROM pg_proc WHERE proname = 'made_write';
SET ROLE regress_ws_writer;
SELECT * FROM made_write('{1}', '{1}', 'h1');
DROP TABLE ws.made;
SELECT count(*) FROM pg_proc WHERE proname = 'made_write';

RESET ROLE;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA ws, ws_other CASCADE;
DROP ROLE regress_ws_owner, regress_ws_writer, regress_ws_columns, regress_ws_nobody;
