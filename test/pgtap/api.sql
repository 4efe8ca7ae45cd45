-- The API as others meet it: what there is, what it promises, who may use it,
-- that it is documented, and what a spec makes.
--
--		pg_prove -d DATABASE test/pgtap/api.sql

\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
\set ON_ERROR_ROLLBACK off
\set ON_ERROR_STOP on

BEGIN;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS featurestore;
SELECT * FROM no_plan();

SELECT has_extension('featurestore');
SELECT has_schema('featurestore');

-- Public functions: all that do not start with an underscore, and no others
CREATE TEMP TABLE expected (name text PRIMARY KEY, is_strict boolean, volatility text, parallel text, language text,
							settings text, arguments text, result text);
INSERT INTO expected VALUES
('publish_table', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'source_table regclass, online_table text, publish_mode text DEFAULT ''TRIGGERED''::text, primary_key text[] DEFAULT NULL::text[], timeseries_column text DEFAULT NULL::text, features text[] DEFAULT NULL::text[], filter text DEFAULT NULL::text, schedule text DEFAULT NULL::text, time_zone text DEFAULT NULL::text, ttl interval DEFAULT NULL::interval, source_retention interval DEFAULT NULL::interval, history boolean DEFAULT false, wait boolean DEFAULT true', 'regclass'),
('unpublish_table', false, 'VOLATILE', 'UNSAFE', 'plpgsql', 'search_path=pg_catalog, pg_temp',
 'online_table regclass', 'void'),
('pause_publication', false, 'VOLATILE', 'UNSAFE', 'plpgsql', 'search_path=pg_catalog, pg_temp',
 'online_table regclass', 'void'),
('resume_publication', false, 'VOLATILE', 'UNSAFE', 'plpgsql', 'search_path=pg_catalog, pg_temp',
 'online_table regclass', 'void'),
('alter_publication', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'online_table regclass, publish_mode text DEFAULT NULL::text, filter text DEFAULT NULL::text, schedule text DEFAULT NULL::text, time_zone text DEFAULT NULL::text, source_retention interval DEFAULT NULL::interval, history boolean DEFAULT NULL::boolean', 'void'),
('sync', false, 'VOLATILE', 'UNSAFE', 'c', NULL,
 'IN online_table regclass', NULL),
('rebuild', false, 'VOLATILE', 'UNSAFE', 'c', NULL,
 'IN online_table regclass, IN keys jsonb DEFAULT NULL::jsonb', NULL),
('run_due', false, 'VOLATILE', 'UNSAFE', 'c', NULL,
 '', NULL),
('start_worker', false, 'VOLATILE', 'UNSAFE', 'c', NULL,
 '', 'void'),
('stop_worker', false, 'VOLATILE', 'UNSAFE', 'c', NULL,
 '', 'void'),
('register_feature', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'name text, source regclass, entity text[], timeseries_column text, function text, input text DEFAULT NULL::text, time_window featurestore.time_window DEFAULT NULL::featurestore.time_window, params jsonb DEFAULT ''{}''::jsonb, filter text DEFAULT NULL::text, description text DEFAULT NULL::text, replace boolean DEFAULT false', 'text'),
('register_features', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'source regclass, entity text[], timeseries_column text, aggregations jsonb, windows featurestore.time_window[], filter text DEFAULT NULL::text, replace boolean DEFAULT false', 'SETOF text'),
('drop_feature', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'name text, cascade boolean DEFAULT false', 'void'),
('materialize_features', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'features text[], online_table text, offline_table text DEFAULT NULL::text, publish_mode text DEFAULT NULL::text, schedule text DEFAULT NULL::text, time_zone text DEFAULT NULL::text, source_retention interval DEFAULT NULL::interval, wait boolean DEFAULT true', 'regclass'),
('preview_feature', false, 'STABLE', 'UNSAFE', 'sql', NULL,
 'name text, keys jsonb DEFAULT NULL::jsonb, as_of timestamp with time zone DEFAULT NULL::timestamp with time zone', 'TABLE(key jsonb, value jsonb)'),
('explain_feature', false, 'STABLE', 'UNSAFE', 'sql', NULL,
 'name text, key jsonb, as_of timestamp with time zone DEFAULT NULL::timestamp with time zone', 'TABLE(item text, value text)'),
('create_online_table', false, 'VOLATILE', 'UNSAFE', 'plpgsql', 'search_path=pg_catalog, pg_temp',
 'online_table regclass, merge jsonb DEFAULT ''{}''::jsonb, outputs jsonb DEFAULT ''{}''::jsonb, timeseries_column text DEFAULT NULL::text, ttl interval DEFAULT NULL::interval, allow_duplicates boolean DEFAULT false, history boolean DEFAULT false', 'regclass'),
('write_features', false, 'VOLATILE', 'UNSAFE', 'plpgsql', 'search_path=pg_catalog, pg_temp; standard_conforming_strings=on',
 'online_table regclass, rows jsonb, batch_id text DEFAULT NULL::text', 'featurestore.write_result'),
('drop_online_table', false, 'VOLATILE', 'UNSAFE', 'plpgsql', 'search_path=pg_catalog, pg_temp',
 'online_table regclass', 'void'),
('create_staging_table', false, 'VOLATILE', 'UNSAFE', 'plpgsql', 'search_path=pg_catalog, pg_temp',
 'online_table regclass', 'regclass'),
('lookup', false, 'STABLE', 'SAFE', 'sql', 'search_path=pg_catalog, pg_temp; IntervalStyle=postgres',
 'table_name regclass, lookup_key text[], feature_names text[] DEFAULT NULL::text[], rename_outputs jsonb DEFAULT ''{}''::jsonb, default_values jsonb DEFAULT ''{}''::jsonb, max_age interval DEFAULT NULL::interval, max_lag interval DEFAULT NULL::interval', 'featurestore.spec_item'),
('feature', false, 'STABLE', 'SAFE', 'sql', NULL,
 'names text[], lookup_key text[] DEFAULT NULL::text[], rename_outputs jsonb DEFAULT ''{}''::jsonb, default_values jsonb DEFAULT ''{}''::jsonb', 'featurestore.spec_item'),
('request_field', false, 'STABLE', 'SAFE', 'sql', 'search_path=pg_catalog, pg_temp',
 'name text, type regtype', 'featurestore.spec_item'),
('expression', false, 'IMMUTABLE', 'SAFE', 'sql', NULL,
 'sql text, output_name text', 'featurestore.spec_item'),
('feature_function', false, 'STABLE', 'SAFE', 'sql', 'search_path=pg_catalog, pg_temp',
 'function regprocedure, input_bindings jsonb, output_name text', 'featurestore.spec_item'),
('create_feature_spec', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'name text, items featurestore.spec_item[], exclude_columns text[] DEFAULT NULL::text[], with_status boolean DEFAULT false, replace boolean DEFAULT false', 'regtype'),
('drop_feature_spec', false, 'VOLATILE', 'UNSAFE', 'plpgsql', NULL,
 'name text', 'void'),
('feature_lookup', false, 'STABLE', 'RESTRICTED', 'c', NULL,
 'spec anyelement, VARIADIC keys "any"', 'SETOF anyelement'),
('feature_vectors', false, 'STABLE', 'RESTRICTED', 'c', NULL,
 'spec text, VARIADIC keys "any"', 'SETOF real[]'),
('feature_matrix', false, 'STABLE', 'RESTRICTED', 'c', NULL,
 'spec text, VARIADIC keys "any"', 'bytea'),
('feature_lookup_json', false, 'STABLE', 'RESTRICTED', 'c', NULL,
 'spec text, records jsonb, as_of timestamp with time zone DEFAULT NULL::timestamp with time zone, metadata boolean DEFAULT false', 'SETOF jsonb'),
('feature_matrix_columns', true, 'STABLE', 'RESTRICTED', 'c', NULL,
 'spec text', 'text[]'),
('explain_lookup', true, 'STABLE', 'RESTRICTED', 'c', NULL,
 'spec text, records jsonb, OUT item text, OUT relation regclass, OUT path text, OUT reason text, OUT keys bigint, OUT found bigint, OUT buffers bigint, OUT "time" double precision', 'SETOF record'),
('create_training_set', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'name text, labels text, spec text DEFAULT NULL::text, timestamp_column text DEFAULT NULL::text, label text[] DEFAULT NULL::text[], exclude_columns text[] DEFAULT NULL::text[], known_at text DEFAULT NULL::text, allow_current boolean DEFAULT false, items featurestore.spec_item[] DEFAULT NULL::featurestore.spec_item[]', 'TABLE(output text, point_in_time text, history_from timestamp with time zone, nulls bigint, not_covered bigint)'),
('training_rows', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'labels text, spec text DEFAULT NULL::text, timestamp_column text DEFAULT NULL::text, label text[] DEFAULT NULL::text[], exclude_columns text[] DEFAULT NULL::text[], known_at text DEFAULT NULL::text, allow_current boolean DEFAULT false, items featurestore.spec_item[] DEFAULT NULL::featurestore.spec_item[], cursor refcursor DEFAULT NULL::refcursor', 'refcursor'),
('score_batch', false, 'VOLATILE', 'UNSAFE', 'c', NULL,
 'training_set anyelement, labels text, timestamp_column text DEFAULT NULL::text', 'SETOF anyelement'),
('training_set_hash', false, 'STABLE', 'UNSAFE', 'sql', NULL,
 'name text', 'text'),
('drop_training_set', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'name text', 'void'),
('served_vector', false, 'VOLATILE', 'UNSAFE', 'plpgsql', 'search_path=pg_catalog, pg_temp',
 'looked_up jsonb, logged_at timestamp with time zone DEFAULT NULL::timestamp with time zone', 'featurestore.served_vector'),
('create_serve_log', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'spec text', 'regclass'),
('log_lookups', false, 'VOLATILE', 'UNSAFE', 'sql', NULL,
 'spec text, fraction double precision', 'regclass'),
('verify_parity', false, 'STABLE', 'UNSAFE', 'sql', NULL,
 'spec text, sample integer DEFAULT 1000, log regclass DEFAULT NULL::regclass', 'TABLE(output text, checked bigint, equal bigint, late bigint, mutated bigint, lag bigint, bug bigint, unknown bigint, largest_difference double precision, example jsonb)'),
('lookup_stats_reset', true, 'VOLATILE', 'RESTRICTED', 'c', NULL,
 '', 'void');

CREATE TEMP VIEW function AS
	SELECT p.oid, p.proname::text AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
		   CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END AS volatility,
		   CASE p.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' ELSE 'UNSAFE' END AS parallel,
		   l.lanname::text AS language, array_to_string(p.proconfig, '; ') AS settings, p.proisstrict AS is_strict,
		   p.prosecdef AS is_definer, p.prosqlbody IS NOT NULL AS is_parsed, n.nspname::text AS schema, p.proacl
	FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace;

-- Those of windows and states, which windows.sql looks at, have a form for each type
CREATE TEMP VIEW public_function AS
	SELECT * FROM function WHERE schema = 'featurestore' AND name !~ '^_' AND volatility <> 'IMMUTABLE'
	UNION ALL SELECT * FROM function WHERE schema = 'featurestore' AND name = 'expression';
SELECT set_eq('SELECT name FROM public_function', 'SELECT name FROM expected', 'public functions are these, and none has overloads')
UNION ALL
SELECT is((SELECT count(*) FROM public_function), (SELECT count(*) FROM expected), 'each once');

SELECT t.result
FROM expected e LEFT JOIN function f ON f.schema = 'featurestore' AND f.name = e.name,
	LATERAL (VALUES
		(is(f.arguments, e.arguments, e.name || ': arguments')),
		(is(f.result, e.result, e.name || ': result')),
		(is(f.volatility, e.volatility, e.name || ' is ' || e.volatility)),
		(is(f.parallel, e.parallel, e.name || ' is PARALLEL ' || e.parallel)),
		(is(f.language, e.language, e.name || ' is in ' || e.language)),
		(is(f.is_strict, e.is_strict, e.name || CASE WHEN e.is_strict THEN ' is STRICT' ELSE ' takes NULLs' END)),
		(is(f.settings, e.settings, e.name || ': settings')),
		(is(f.is_definer, false, e.name || ' runs with the rights of its caller')),
		(isnt(obj_description(f.oid, 'pg_proc'), NULL, e.name || ' has a comment'))) AS t(result);
SELECT is((SELECT prokind FROM pg_proc WHERE proname = 'sync' AND pronamespace = 'featurestore'::regnamespace), 'p', 'sync is a procedure');

-- Internal functions
SELECT is_empty($$SELECT oid::regprocedure FROM function WHERE schema = 'featurestore' AND name ~ '^_'
				  AND obj_description(oid, 'pg_proc') !~ '^internal: '$$, 'internal functions say so');
SELECT set_eq($$SELECT name FROM function WHERE schema = 'featurestore' AND is_definer$$, ARRAY['_follow_altered', '_forget_dropped'],
			  'no function has more rights than its caller but those of event triggers');
SELECT is_empty($$SELECT oid::regprocedure FROM function f WHERE schema = 'featurestore' AND language NOT IN ('c', 'sql', 'plpgsql')
				  AND oid NOT IN (SELECT aggfnoid FROM pg_aggregate)$$,
				'functions are in C, SQL and PL/pgSQL');
-- a body that was parsed when it was made does not depend on the search path
SELECT set_eq($$SELECT name FROM function WHERE schema = 'featurestore' AND language NOT IN ('c', 'internal') AND NOT is_parsed
				AND settings !~ 'search_path=pg_catalog, pg_temp' IS NOT FALSE$$, ARRAY['drop_feature_spec'],
			  'no search path can lead functions astray; drop_feature_spec takes a name in the caller''s');
SELECT is_empty($$SELECT oid::regprocedure FROM function WHERE schema = 'featurestore' AND settings ~ 'search_path'
				  AND settings !~ 'search_path=pg_catalog, pg_temp(;|$)'$$, 'a search path that is set is pg_catalog');
SELECT is_empty($$SELECT oid::regprocedure FROM function WHERE schema = 'featurestore' AND name !~ '_restricted$' AND parallel = 'SAFE'
				  AND name || '_restricted' IN (SELECT name FROM function WHERE parallel <> 'RESTRICTED')$$,
				'twins of lookup functions are PARALLEL RESTRICTED');
SELECT is_empty($$SELECT oid::regprocedure FROM function WHERE schema = 'featurestore' AND name ~ '^_lookup_(rows|vectors|matrix)'
				  AND (volatility <> 'STABLE' OR NOT EXISTS (SELECT FROM pg_proc WHERE pg_proc.oid = function.oid AND prosupport = 'featurestore._lookup_support'::regproc))$$,
				'lookup functions are STABLE and tell the planner what to expect');

-- Tables, views, types
SELECT tables_are('featurestore', ARRAY['feature', 'fill_position', 'held_change', 'online_table', 'publication', 'publication_position', 'publish_run', 'rejected_change', 'serve_log', 'spec',
	'staging', 'training_set', 'window_table', 'worker', 'write_batch']);
SELECT views_are('featurestore', ARRAY['feature_specs', 'feature_tables', 'features', 'freshness', 'lineage', 'lookup_stats', 'progress', 'publications', 'publish_runs', 'rejected_changes', 'serve_logs', 'training_sets', 'write_batches']);
SELECT types_are('featurestore', ARRAY['agg_state', 'served_vector', 'spec_item', 'time_window', 'window_state', 'write_result']);
SELECT sequences_are('featurestore', ARRAY['change_number', 'publish_run_id_seq', 'rejected_change_id_seq']);
SELECT sequence_privs_are('featurestore', 'change_number', 'public', ARRAY['USAGE']);
SELECT columns_are('featurestore', 'online_table', ARRAY['relation', 'timeseries_column', 'ttl', 'merge', 'outputs', 'allow_duplicates', 'history_table', 'history_from']);
SELECT columns_are('featurestore', 'write_batch', ARRAY['relation', 'batch_id', 'digest', 'rows_given', 'written_at']);
SELECT columns_are('featurestore', 'publication', ARRAY['relation', 'source', 'publish_mode', 'primary_key', 'timeseries_column', 'features', 'filter',
	'source_retention', 'is_paused', 'schedule', 'time_zone']);
SELECT columns_are('featurestore', 'publication_position', ARRAY['relation', 'system_identifier', 'applied_to', 'synced_at', 'rows_changed', 'filled',
	'snapshot', 'own_xid', 'own_sequence', 'fingerprint', 'stopped']);
SELECT columns_are('featurestore', 'fill_position', ARRAY['relation', 'system_identifier', 'snapshot', 'own_xid', 'own_sequence', 'fill_key', 'fingerprint', 'rows_changed']);
SELECT columns_are('featurestore', 'staging', ARRAY['relation', 'captured_source', 'online_table', 'key_columns', 'current_partition', 'current_relation', 'system_identifier', 'is_written', 'is_applied']);
SELECT columns_are('featurestore', 'feature', ARRAY['relation', 'version', 'is_current', 'source', 'entity', 'timeseries_column', 'function', 'params',
	'input', 'filter', 'time_window', 'input_type', 'result_type', 'online_table', 'state_column']);
SELECT columns_are('featurestore', 'window_table', ARRAY['relation', 'entity', 'state_columns', 'templates', 'values_view', 'offline_table']);
SELECT columns_are('featurestore', 'features', ARRAY['feature', 'version', 'is_current', 'owner', 'source_table', 'entity', 'timeseries_column', 'function',
	'input', 'filter', 'time_window', 'params', 'result_type', 'class', 'online_table', 'state_column', 'description']);
SELECT columns_are('featurestore', 'progress', ARRAY['pid', 'operation', 'online_table', 'phase', 'done', 'total', 'rate']);
SELECT columns_are('featurestore', 'worker', ARRAY['slot', 'pid', 'started_at', 'system_identifier', 'is_stopped']);
SELECT columns_are('featurestore', 'serve_log', ARRAY['relation', 'log_table', 'fraction']);
SELECT columns_are('featurestore', 'serve_logs', ARRAY['spec', 'log_table', 'fraction', 'is_available', 'waiting', 'logged', 'lost']);
SELECT columns_are('featurestore', 'spec', ARRAY['relation', 'version', 'with_status', 'exclude_columns', 'items', 'steps', 'training_set']);
SELECT columns_are('featurestore', 'training_set', ARRAY['relation', 'frozen_spec', 'spec', 'spec_version', 'features', 'labels', 'timestamp_column', 'label',
	'known_at', 'exclude_columns', 'snapshot', 'allow_current', 'created_at', 'row_count', 'hash']);
SELECT columns_are('featurestore', 'training_sets', ARRAY['training_set', 'owner', 'spec', 'spec_version', 'features', 'labels', 'timestamp_column', 'label',
	'known_at', 'allow_current', 'exclude_columns', 'frozen_spec', 'snapshot', 'created_at', 'row_count', 'hash']);
SELECT columns_are('featurestore', 'lineage', ARRAY['from_kind', 'from_object', 'to_kind', 'to_object']);
SELECT columns_are('featurestore', 'feature_specs', ARRAY['spec', 'version', 'owner', 'columns', 'tables', 'with_status', 'exclude_columns', 'items']);
SELECT columns_are('featurestore', 'lookup_stats', ARRAY['spec', 'is_available', 'calls', 'keys', 'probes', 'misses', 'stale', 'slow_path', 'p50', 'p99', 'since', 'untracked']);
SELECT columns_are('featurestore', 'publications', ARRAY['online_table', 'source_table', 'publish_mode', 'primary_key', 'timeseries_column',
	'features', 'filter', 'schedule', 'time_zone', 'ttl', 'source_retention', 'owner', 'is_ready', 'state', 'reason', 'applied_to', 'synced_at', 'rows_changed']);
SELECT columns_are('featurestore', 'freshness', ARRAY['online_table', 'publish_mode', 'rung', 'state', 'reason', 'lag', 'pending', 'applied_to', 'rejected', 'held', 'next_run', 'specs']);
SELECT columns_are('featurestore', 'held_change', ARRAY['relation', 'system_identifier', 'key', 'due']);
SELECT columns_are('featurestore', 'publish_runs', ARRAY['id', 'online_table', 'operation', 'started_at', 'ended_at', 'rows_read', 'rows_changed', 'rows_rejected', 'sqlstate', 'message']);
SELECT columns_are('featurestore', 'rejected_changes', ARRAY['id', 'online_table', 'sequence', 'change', 'sqlstate', 'message', 'rejected_at']);
SELECT columns_are('featurestore', 'feature_tables', ARRAY['table_name', 'source_table', 'has_windows', 'timeseries_column', 'ttl', 'owner', 'columns']);
SELECT col_is_pk('featurestore', t, 'relation'::name, t || ' has a row a relation') FROM unnest(ARRAY['feature', 'fill_position', 'online_table', 'publication', 'publication_position', 'serve_log', 'spec', 'staging', 'training_set', 'window_table']::name[]) AS t;
SELECT col_type_is('featurestore', t, 'relation', 'regclass', t || ' knows relations by regclass') FROM unnest(ARRAY['feature', 'fill_position', 'online_table', 'publication', 'publication_position', 'serve_log', 'spec', 'staging', 'training_set', 'window_table']::name[]) AS t;
SELECT set_eq($$SELECT evtname FROM pg_event_trigger WHERE evtname ~ 'featurestore'$$, ARRAY['featurestore_follow_altered', 'featurestore_follow_history', 'featurestore_forget_dropped']);
SELECT results_eq($$SELECT unnest(extconfig)::regclass::text FROM pg_extension WHERE extname = 'featurestore' ORDER BY 1$$,
				  ARRAY['featurestore.change_number', 'featurestore.feature', 'featurestore.online_table', 'featurestore.publication',
						'featurestore.rejected_change', 'featurestore.rejected_change_id_seq', 'featurestore.serve_log', 'featurestore.spec', 'featurestore.staging', 'featurestore.training_set', 'featurestore.window_table', 'featurestore.write_batch'], 'dumps have definitions and what was written, not positions');

-- pg_upgrade refuses columns of types whose OIDs it does not keep
SELECT is_empty($$SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
				  WHERE relnamespace = 'featurestore'::regnamespace AND relkind IN ('r', 'm', 'i') AND attnum > 0
				  AND atttypid IN ('regproc'::regtype, 'regprocedure'::regtype, 'regoper'::regtype, 'regoperator'::regtype, 'regconfig'::regtype,
								   'regdictionary'::regtype, 'regnamespace'::regtype, 'regcollation'::regtype)$$, 'nothing that pg_upgrade refuses');

-- Comments
CREATE TEMP VIEW member AS
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'featurestore'
		-- 17 and later also name the types that come with a table, a view or a type
		AND NOT (d.classid = 'pg_type'::regclass AND EXISTS (
			SELECT FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid WHERE t.oid = d.objid AND (t.typcategory = 'A' OR c.relkind <> 'c')));
SELECT cmp_ok((SELECT count(*) FROM member), '>', 50::bigint, 'the extension has members');
SELECT set_eq('SELECT DISTINCT classid::regclass::text FROM member',
			  ARRAY['pg_class', 'pg_event_trigger', 'pg_namespace', 'pg_opclass', 'pg_operator', 'pg_opfamily', 'pg_proc', 'pg_type'], 'which are of these kinds');
SELECT is_empty($$SELECT pg_describe_object(classid, objid, 0) FROM member
				  WHERE obj_description(objid, (SELECT relname FROM pg_class WHERE oid = classid)) IS NULL$$, 'each has a comment');
SELECT is_empty($$SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
				  WHERE relnamespace = 'featurestore'::regnamespace AND relkind IN ('r', 'v', 'm', 'c', 'f', 'p') AND attnum > 0 AND NOT attisdropped
				  AND col_description(attrelid, attnum) IS NULL$$, 'and each column of a table, view or type');
SELECT isnt(obj_description(oid, 'pg_extension'), NULL, 'the extension has a comment') FROM pg_extension WHERE extname = 'featurestore';
SELECT is_empty($$SELECT oid::regclass FROM pg_class WHERE relnamespace = 'featurestore'::regnamespace AND relkind NOT IN ('i', 'c', 't')
				  AND oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)$$, 'all in its schema belongs to it');

-- Privileges
CREATE ROLE regress_api_nobody;
SELECT schema_privs_are('featurestore', 'regress_api_nobody', ARRAY['USAGE']);
SELECT table_privs_are('featurestore', t, 'regress_api_nobody', ARRAY['SELECT'])
FROM unnest(ARRAY['online_table', 'publication', 'publication_position', 'staging', 'spec', 'serve_log', 'serve_logs', 'feature_specs', 'feature_tables', 'freshness', 'lineage', 'lookup_stats', 'publications', 'publish_runs',
				  'rejected_changes', 'training_set', 'training_sets', 'write_batches']::name[]) AS t;
SELECT table_privs_are('featurestore', t, 'regress_api_nobody', ARRAY[]::text[]) FROM unnest(ARRAY['held_change', 'publish_run', 'rejected_change', 'write_batch']::name[]) AS t;
SELECT is_empty($$SELECT c.oid::regclass, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
				  WHERE c.relnamespace = 'featurestore'::regnamespace AND a.attacl IS NOT NULL AND c.relname <> 'fill_position'$$, 'no privileges on columns');
SELECT is_empty($$SELECT a.attname FROM pg_attribute a WHERE a.attrelid = 'featurestore.fill_position'::regclass AND a.attnum > 0
				  AND has_column_privilege('regress_api_nobody', a.attrelid, a.attnum, 'SELECT') <> (a.attname <> 'fill_key')$$, 'but the key that a fill has come to is private');
SELECT set_eq($$SELECT name FROM function WHERE schema = 'featurestore' AND NOT has_function_privilege('regress_api_nobody', oid, 'EXECUTE')$$,
			  ARRAY['_follow_altered', '_follow_history', '_forget_dropped', 'lookup_stats_reset'], 'everybody may call all functions but those of event triggers and the reset of counts');

-- Settings
LOAD 'featurestore';
SELECT set_eq($$SELECT name FROM pg_settings WHERE name ~ '^featurestore\.'$$,
			  ARRAY['featurestore.autostart_worker', 'featurestore.batch_retention', 'featurestore.enable_direct_lookup', 'featurestore.enable_lookup_join', 'featurestore.enable_lookup_scan', 'featurestore.fill_chunk', 'featurestore.guard_merge_rules',
					'featurestore.history_retention', 'featurestore.row_cache_size', 'featurestore.track_lookups', 'featurestore.training_plan', 'featurestore.workers'], 'settings are these');
SELECT is_empty($$SELECT name FROM pg_settings WHERE name ~ '^featurestore\.' AND (short_desc = '' OR extra_desc IS NULL OR
				  context <> CASE WHEN name ~ 'track_lookups' THEN 'superuser' WHEN name ~ 'worker|batch' THEN 'sighup' ELSE 'user' END)$$,
				'each explains itself, and those that are not about all sessions are anybody''s to set');
SELECT throws_ok('SET featurestore.no_such = 1', '42602', NULL, 'no others can be set');

-- What a spec makes
CREATE SCHEMA api;
CREATE TABLE api.users (user_id bigint PRIMARY KEY, age int, name text COLLATE "C", weights real[] DEFAULT '{1,2}');
CREATE TABLE api.items (shop int, item_id uuid, price numeric(10,2), listed date, PRIMARY KEY (shop, item_id));
INSERT INTO api.users VALUES (1, 30, 'a');
CREATE FUNCTION api.half(x int) RETURNS float8 IMMUTABLE PARALLEL SAFE LANGUAGE sql AS 'SELECT x / 2.0';
CREATE FUNCTION api.unsafe(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN x; END';
CREATE FUNCTION api.restricted(x int) RETURNS int IMMUTABLE PARALLEL RESTRICTED LANGUAGE plpgsql AS 'BEGIN RETURN x; END';

CREATE FUNCTION pg_temp.user_items(extra featurestore.spec_item[] DEFAULT '{}') RETURNS featurestore.spec_item[] LANGUAGE sql AS
	$$SELECT ARRAY[featurestore.lookup('api.users', '{user_id}')] || extra$$;
SELECT is(featurestore.create_feature_spec('api.whole', with_status => true, exclude_columns => '{item_id}', items => ARRAY[
	featurestore.lookup('api.users', '{user_id}', rename_outputs => '{"name": "user name"}'),
	featurestore.request_field('hour', 'smallint'),
	featurestore.lookup('api.items', '{shop,item_id}'),
	featurestore.feature_function('api.half(int)', '{"x": "age"}', 'half'),
	featurestore.expression('price * hour', 'total')])::text, 'api.whole', 'create_feature_spec gives the type');
SELECT columns_are('api', 'whole', ARRAY['user_id', 'shop', 'age', 'age_status', 'user name', 'user name_status', 'weights', 'weights_status',
	'hour', 'hour_status', 'price', 'price_status', 'listed', 'listed_status', 'half', 'half_status', 'total', 'total_status']);
SELECT col_type_is('api', 'whole', column_name, type) FROM (VALUES
	('user_id'::name, 'bigint'), ('shop', 'integer'), ('age', 'integer'), ('age_status', 'text'), ('user name', 'text'), ('weights', 'real[]'),
	('hour', 'smallint'), ('price', 'numeric(10,2)'), ('listed', 'date'), ('half', 'double precision'), ('total', 'numeric')) AS t(column_name, type);
SELECT is((SELECT collname FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation WHERE attrelid = 'api.whole'::regclass AND attname = 'user name'),
		  'C', 'an output has the collation of its column');

CREATE TEMP TABLE made (name text, arguments text, result text);
INSERT INTO made VALUES
('whole', 'user_id bigint, hour smallint, shop integer, item_id uuid, as_of timestamp with time zone DEFAULT NULL::timestamp with time zone', 'SETOF api.whole'),
('whole_batch', 'user_id bigint[], hour smallint[], shop integer[], item_id uuid[], as_of timestamp with time zone DEFAULT NULL::timestamp with time zone', 'SETOF api.whole'),
('whole_vectors', 'user_id bigint[], hour smallint[], shop integer[], item_id uuid[], as_of timestamp with time zone DEFAULT NULL::timestamp with time zone', 'SETOF real[]'),
('whole_matrix', 'user_id bigint[], hour smallint[], shop integer[], item_id uuid[], as_of timestamp with time zone DEFAULT NULL::timestamp with time zone', 'bytea');
SELECT set_eq($$SELECT name, arguments, result FROM function WHERE schema = 'api' AND name ~ '^whole'$$, 'SELECT * FROM made',
			  'a spec makes four functions');
SELECT is_empty($$SELECT name FROM function WHERE schema = 'api' AND name ~ '^whole' AND
				  (volatility, parallel, language, is_definer, is_parsed, is_strict) <> ('STABLE', 'SAFE', 'sql', false, true, false)$$,
				'STABLE, PARALLEL SAFE, with the rights of their caller, inlinable');
SELECT is((SELECT array_agg(prorows ORDER BY proname) FROM pg_proc WHERE pronamespace = 'api'::regnamespace AND proname ~ '^whole'),
		  ARRAY[1, 100, 0, 100]::real[], 'with estimates of their rows');
SELECT isnt(obj_description('api.whole'::regclass), NULL, 'its view has a comment');
SELECT results_eq($$SELECT spec::text, version, with_status, exclude_columns, tables FROM featurestore.feature_specs WHERE spec = 'api.whole'::regclass$$,
				  $$VALUES ('api.whole', 1, true, '{item_id}'::text[], '{api.items,api.users}'::text[])$$, 'feature_specs shows it');
SELECT is_empty('SELECT * FROM api.whole', 'its view has no rows');

-- The parallel label is the weakest among the parts of a spec
CREATE TABLE api.parted (user_id bigint PRIMARY KEY, age int) PARTITION BY HASH (user_id);
CREATE MATERIALIZED VIEW api.stored AS SELECT * FROM api.users;
CREATE UNIQUE INDEX ON api.stored (user_id);
CREATE VIEW api.viewed AS SELECT * FROM api.users;
CREATE TEMP TABLE passing (user_id bigint PRIMARY KEY, age int);
CREATE TEMP TABLE labels (name text, expected text);

DO $$
DECLARE
	users featurestore.spec_item := featurestore.lookup('api.users', '{user_id}', '{age}');
BEGIN
	PERFORM featurestore.create_feature_spec('api.plain', ARRAY[users]);
	PERFORM featurestore.create_feature_spec('api.sql_function', ARRAY[users, featurestore.feature_function('api.half(int)', '{"x": "age"}', 'y')]);
	PERFORM featurestore.create_feature_spec('api.parted_table', ARRAY[featurestore.lookup('api.parted', '{user_id}')]);
	PERFORM featurestore.create_feature_spec('api.matview', ARRAY[featurestore.lookup('api.stored', '{user_id}')]);
	PERFORM featurestore.create_feature_spec('api.restricted_function', ARRAY[users, featurestore.feature_function('api.restricted(int)', '{"x": "age"}', 'y')]);
	PERFORM featurestore.create_feature_spec('api.view', ARRAY[featurestore.lookup('api.viewed', '{user_id}')]);
	PERFORM featurestore.create_feature_spec('api.unsafe_function', ARRAY[users, featurestore.feature_function('api.unsafe(int)', '{"x": "age"}', 'y')]);
	PERFORM featurestore.create_feature_spec('api.unsafe_expression', ARRAY[users, featurestore.expression('1 + api.unsafe(age)', 'y')]);
	PERFORM featurestore.create_feature_spec('api.unsafe_and_restricted', ARRAY[featurestore.lookup('api.viewed', '{user_id}', '{age}'),
		featurestore.feature_function('api.unsafe(int)', '{"x": "age"}', 'y')]);
	PERFORM featurestore.create_feature_spec('api.replaced', ARRAY[users, featurestore.feature_function('api.unsafe(int)', '{"x": "age"}', 'y')]);
	PERFORM featurestore.create_feature_spec('api.replaced', replace => true, items => ARRAY[users, featurestore.expression('age + 0', 'y')]);
	INSERT INTO labels VALUES ('plain', 'SAFE'), ('sql_function', 'SAFE'), ('parted_table', 'SAFE'), ('matview', 'SAFE'),
		('restricted_function', 'RESTRICTED'), ('view', 'RESTRICTED'),
		('unsafe_function', 'UNSAFE'), ('unsafe_expression', 'UNSAFE'), ('unsafe_and_restricted', 'UNSAFE'), ('replaced', 'SAFE');
	IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'file_fdw') THEN
		CREATE EXTENSION IF NOT EXISTS file_fdw;
		CREATE SERVER api_files FOREIGN DATA WRAPPER file_fdw;
		CREATE FOREIGN TABLE api.far (user_id bigint, age int) SERVER api_files OPTIONS (filename '/dev/null');
		PERFORM featurestore.create_feature_spec('api.foreign_table', ARRAY[featurestore.lookup('api.far', '{user_id}')]);
		INSERT INTO labels VALUES ('foreign_table', 'RESTRICTED');
	END IF;
END
$$;
SELECT is(f.parallel, l.expected, format('%s%s is PARALLEL %s', l.name, suffix, l.expected))
FROM labels AS l CROSS JOIN unnest(ARRAY['', '_batch', '_vectors', '_matrix']) AS suffix
LEFT JOIN function f ON f.schema = 'api' AND f.name = l.name || suffix;
-- as seen by the planner, which has inlined them
SELECT is(pg_get_functiondef(f.oid) ~ 'featurestore\._lookup_rows_restricted', l.expected <> 'SAFE',
		  format('%s calls the form for its label', l.name))
FROM labels AS l JOIN function f ON f.schema = 'api' AND f.name = l.name;

-- Dropped with all it made
SELECT lives_ok($$SELECT featurestore.drop_feature_spec('api.whole')$$, 'drop_feature_spec');
SELECT hasnt_view('api', 'whole', 'its view is gone');
SELECT is_empty($$SELECT name FROM function WHERE schema = 'api' AND name ~ '^whole'$$, 'its functions are gone');
SELECT is_empty($$SELECT FROM featurestore.spec WHERE relation::text ~ 'whole'$$, 'its definition is gone');

SELECT * FROM finish();
ROLLBACK;
