-- The functions of windows and states: what there is, that all are immutable and
-- safe for parallel workers, so that queries can be planned around them, and
-- that each is documented.
--
--		pg_prove -d DATABASE test/pgtap/windows.sql

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

CREATE TEMP VIEW function AS
	SELECT p.oid, p.proname::text AS name, p.prokind, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
		   p.provolatile, p.proparallel, p.proisstrict
	FROM pg_proc p WHERE p.pronamespace = 'featurestore'::regnamespace AND p.provolatile = 'i' AND p.proname !~ '^_' AND p.proname <> 'expression';

SELECT set_eq('SELECT name, prokind::text, arguments, result FROM function', $$VALUES
	('tumbling_window', 'f', 'duration interval, "offset" interval DEFAULT ''00:00:00''::interval, delay interval DEFAULT ''00:00:00''::interval', 'featurestore.time_window'),
	('sliding_window', 'f', 'duration interval, slide interval, "offset" interval DEFAULT ''00:00:00''::interval, delay interval DEFAULT ''00:00:00''::interval', 'featurestore.time_window'),
	('rolling_window', 'f', 'duration interval, delay interval DEFAULT ''00:00:00''::interval, hop interval DEFAULT NULL::interval', 'featurestore.time_window'),
	('sawtooth_window', 'f', 'duration interval', 'featurestore.time_window'),
	('lifetime_window', 'f', 'delay interval DEFAULT ''00:00:00''::interval', 'featurestore.time_window'),
	('window_lo', 'f', '"window" featurestore.time_window, at timestamp with time zone', 'timestamp with time zone'),
	('window_hi', 'f', '"window" featurestore.time_window, at timestamp with time zone', 'timestamp with time zone'),
	('window_state', 'f', 'function text, input regtype, windows featurestore.time_window[], params jsonb DEFAULT ''{}''::jsonb, head_slack interval DEFAULT ''00:00:10''::interval, input_collation text DEFAULT NULL::text', 'featurestore.window_state'),
	('agg_state', 'f', 'function text, input regtype, params jsonb DEFAULT ''{}''::jsonb, input_collation text DEFAULT NULL::text', 'featurestore.agg_state'),
	('accumulate', 'a', 'template featurestore.window_state, at timestamp with time zone, value anyelement', 'featurestore.window_state'),
	('accumulate', 'a', 'template featurestore.window_state, at timestamp with time zone', 'featurestore.window_state'),
	('accumulate', 'a', 'template featurestore.agg_state, at timestamp with time zone, value anyelement', 'featurestore.agg_state'),
	('accumulate', 'a', 'template featurestore.agg_state, at timestamp with time zone', 'featurestore.agg_state'),
	('rollup', 'a', 'featurestore.window_state', 'featurestore.window_state'),
	('rollup', 'a', 'featurestore.agg_state', 'featurestore.agg_state'),
	('merge', 'f', 'a featurestore.window_state, b featurestore.window_state', 'featurestore.window_state'),
	('merge', 'f', 'a featurestore.agg_state, b featurestore.agg_state', 'featurestore.agg_state'),
	('retract', 'f', 'a featurestore.window_state, b featurestore.window_state', 'featurestore.window_state'),
	('retract', 'f', 'a featurestore.agg_state, b featurestore.agg_state', 'featurestore.agg_state'),
	('window_value', 'f', 'state featurestore.window_state, function text, "window" featurestore.time_window, at timestamp with time zone, result anyelement DEFAULT NULL::double precision', 'anyelement'),
	('agg_value', 'f', 'state featurestore.agg_state, function text, result anyelement DEFAULT NULL::double precision', 'anyelement'),
	('describe', 'f', 'state featurestore.window_state', 'jsonb'),
	('describe', 'f', 'state featurestore.agg_state', 'jsonb')$$, 'functions of windows and states');
SELECT is(proparallel, 's'::"char", name || '(' || arguments || ') is PARALLEL SAFE') FROM function;
SELECT isnt(obj_description(oid, 'pg_proc'), NULL, name || '(' || arguments || ') has a comment') FROM function;

-- All aggregates can run in parallel, and their states be sent between processes
SELECT is_empty($$SELECT aggfnoid::regprocedure FROM pg_aggregate JOIN function ON oid = aggfnoid
				  WHERE aggcombinefn = 0 OR aggtranstype = 'internal'::regtype OR aggtranstype <> (SELECT prorettype FROM pg_proc WHERE oid = aggfnoid)$$,
				'aggregates have states of the type they give, and combine them');
SELECT is_empty($$SELECT typname FROM pg_type WHERE typnamespace = 'featurestore'::regnamespace AND typtype = 'b' AND typelem = 0
				  AND (typreceive = 0 OR typsend = 0)$$, 'types have binary forms');

SELECT * FROM finish();
ROLLBACK;
