--
-- The serve log where the library is not preloaded: clients write its rows from
-- the metadata of what they look up.  Texts are exact and depend on no setting.
--
\set SHOW_CONTEXT never
CREATE SCHEMA served_vectors;
SET search_path = served_vectors, featurestore, public;
SET timezone = 'UTC';

CREATE TABLE users (user_id bigint PRIMARY KEY, age int, score float8, price numeric(10, 2), seen timestamptz, span interval, raw bytea, tags text[], flags json, weights real[]);
INSERT INTO users VALUES (1, 30, '-0', 1.50, '2024-01-02 03:04:05.678901Z', '1 day 02:00', '\xdeadbeef', '{a,"b c"}', '{"a" :  1}', '{0.1,NaN}'),
	(2, NULL, 'NaN', NULL, 'infinity', NULL, NULL, NULL, NULL, NULL), (3, 1, '0.1', 1.5, '-infinity', '0', '', '{}', 'null', '{}');
CREATE TABLE clicks (user_id bigint, at timestamptz, n float8);
INSERT INTO clicks VALUES (1, '2024-01-01', 0.1), (1, '2024-01-01', 0.2);
SELECT register_feature('total', 'clicks', '{user_id}', 'at', 'sum', 'n', rolling_window('1 day'));
SELECT register_feature('served', 'clicks', '{user_id}', 'at', 'count', NULL, rolling_window('1 day'));
SET client_min_messages = warning;
SELECT materialize_features('{total,served}', 'windows', publish_mode => 'TRIGGERED');
RESET client_min_messages;
SELECT create_feature_spec('s', exclude_columns => '{age}', items => ARRAY[lookup('users', '{user_id}', default_values => '{"age": 5}'), feature('{total,served}'),
	request_field('hour', 'float4'), expression('age + 1', 'older')]);

-- What a client gets can be logged; keys that the spec leaves out of rows, too
SELECT create_serve_log('s');
SELECT create_serve_log('s');
SELECT create_serve_log('served_vectors.s');
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute a WHERE attrelid = 's_log'::regclass AND attnum > 0 ORDER BY attnum;
CREATE FUNCTION serve(keys bigint[], hour text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO s_log SELECT v.* FROM feature_lookup_json('s', jsonb_build_object('user_id', keys, 'hour', hour::jsonb), '2024-01-01 12:00Z', true) AS j, served_vector(j) AS v
$$;
SELECT serve('{1,2,3,99,null}', '-1.5');
SELECT as_of, spec_version, request, outputs - 'flags' AS outputs, outputs->'flags' AS flags, statuses FROM s_log ORDER BY request->>'user_id';
SELECT count(*) = 5 AS all, bool_and(logged_at BETWEEN now() - interval '1 hour' AND now()) AS logged_now, bool_and(snapshot IS NOT NULL) AS seen, bool_and(system_identifier = (SELECT c.system_identifier FROM pg_control_system() AS c)) AS ours,
	   bool_and(positions->'served_vectors.users' = '{"applied_to": null}') AS not_published,
	   bool_and((positions->'served_vectors.windows'->>'applied_to')::timestamptz < now() AND positions->'served_vectors.windows'->>'snapshot' ~ '^[0-9]+:[0-9]+:') AS position
FROM s_log;

-- Texts are the same whatever the session's settings
CREATE TEMP TABLE before AS SELECT request, outputs, statuses FROM s_log;
TRUNCATE s_log;
SET timezone = 'Asia/Kolkata'; SET datestyle = 'German'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = -5; SET bytea_output = 'escape';
SELECT serve('{1,2,3,99,null}', '-1.5');
SET timezone = 'UTC'; RESET datestyle; RESET intervalstyle; RESET extra_float_digits; RESET bytea_output;
SELECT count(*) FROM (SELECT request, outputs, statuses FROM s_log EXCEPT TABLE before) AS differences;
-- and the settings are the session's afterwards
SET datestyle = 'German';
SELECT count(*) FROM feature_lookup_json('s', '{"user_id": 1, "hour": 1}', metadata => true);
SHOW datestyle;
RESET datestyle;

-- They give the values back
SELECT bool_and((s_log.outputs->>'score')::float8::text = u.score::text AND (s_log.outputs->>'tags')::text[] IS NOT DISTINCT FROM u.tags
				AND (s_log.outputs->>'flags') IS NOT DISTINCT FROM u.flags::text AND (s_log.outputs->>'weights') IS NOT DISTINCT FROM u.weights::text
				AND (s_log.outputs->>'seen')::timestamptz = u.seen) AS exact
FROM s_log JOIN users u ON u.user_id = (s_log.request->>'user_id')::bigint;

-- A request that gives outputs leaves none to check
SELECT (v).request, (v).outputs, (v).statuses FROM feature_lookup_json('s', '{"user_id": 1, "hour": 1, "score": 7}', '2024-01-01', true) AS j, LATERAL (SELECT served_vector(j) AS v) AS l;
-- Who has written sees what nobody else does
BEGIN;
INSERT INTO users (user_id) VALUES (4);
SELECT j->'snapshot', (served_vector(j)).snapshot IS NULL AS unseen FROM feature_lookup_json('s', '{"user_id": 4, "hour": 1}', metadata => true) AS j;
ROLLBACK;
-- A time of the client's own, as when it logs later
SELECT (served_vector(j, '2030-01-01 00:00Z')).logged_at FROM feature_lookup_json('s', '{"user_id": 1, "hour": 1}', metadata => true) AS j;

-- What is refused
SELECT served_vector(NULL);
SELECT served_vector('[]');
SELECT served_vector(j) FROM feature_lookup_json('s', '{"user_id": 1, "hour": 1}') AS j;
SELECT create_serve_log(NULL);
SELECT create_serve_log('nothing');
SELECT create_serve_log('users');
SELECT log_lookups('s', 0.5);
SELECT log_lookups('s', NULL);
SELECT log_lookups('s', -0.1);
SELECT log_lookups('s', 1.5);
SELECT log_lookups('s', 'NaN');
SELECT log_lookups('s', 0);
SELECT log_lookups(NULL, 1);
SELECT log_lookups('nothing', 1);
TABLE serve_logs;
SELECT create_feature_spec('t', ARRAY[lookup('users', '{user_id}', '{age}')]);
CREATE VIEW t_log AS SELECT 1 AS a;
SELECT create_serve_log('t');
DROP VIEW t_log;
CREATE TABLE t_log (LIKE s_log);
ALTER TABLE t_log ALTER request TYPE json;
SELECT create_serve_log('t');
DROP TABLE t_log;

-- A log is its spec's owner's
CREATE ROLE regress_served_owner;
CREATE ROLE regress_served_other;
GRANT ALL ON SCHEMA served_vectors TO regress_served_owner, regress_served_other;
GRANT SELECT ON users TO regress_served_owner, regress_served_other;
ALTER VIEW t OWNER TO regress_served_owner;
SET ROLE regress_served_other;
SELECT create_serve_log('t');
SELECT log_lookups('t', 1);
SELECT served_vector(j) IS NOT NULL AS anybody_can_describe FROM feature_lookup_json('t', '{"user_id": 1}', metadata => true) AS j;
RESET ROLE;
SELECT create_serve_log('t');
SELECT relowner::regrole, relacl FROM pg_class WHERE oid = 't_log'::regclass;
SET ROLE regress_served_other;
SELECT * FROM t_log;
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA served_vectors CASCADE;
DROP ROLE regress_served_owner, regress_served_other;
