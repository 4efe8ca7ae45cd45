/*
 * Window states: the types agg_state and window_state, their aggregates and
 * functions.
 *
 * A state holds everything that is needed to evaluate aggregates over windows
 * at any time from then on; what it is depends on its events only, not on how
 * they came.  See src/window/state.h.
 */
CREATE TYPE featurestore.window_state;
CREATE TYPE featurestore.agg_state;

CREATE FUNCTION featurestore._window_state_in(cstring) RETURNS featurestore.window_state
	AS 'MODULE_PATHNAME', 'window_state_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._window_state_in(cstring) IS 'internal: input of window_state';
CREATE FUNCTION featurestore._window_state_out(featurestore.window_state) RETURNS cstring
	AS 'MODULE_PATHNAME', 'state_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._window_state_out(featurestore.window_state) IS 'internal: output of window_state';
CREATE FUNCTION featurestore._window_state_recv(internal) RETURNS featurestore.window_state
	AS 'MODULE_PATHNAME', 'window_state_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._window_state_recv(internal) IS 'internal: binary input of window_state';
CREATE FUNCTION featurestore._window_state_send(featurestore.window_state) RETURNS bytea
	AS 'MODULE_PATHNAME', 'state_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._window_state_send(featurestore.window_state) IS 'internal: binary output of window_state';

/* Kept in the row, and as it is: compression would make every byte of it change with each event */
CREATE TYPE featurestore.window_state (
	INPUT = featurestore._window_state_in, OUTPUT = featurestore._window_state_out,
	RECEIVE = featurestore._window_state_recv, SEND = featurestore._window_state_send,
	INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = main);
COMMENT ON TYPE featurestore.window_state IS 'aggregates over windows of time, ready to be evaluated at any time';

CREATE FUNCTION featurestore._agg_state_in(cstring) RETURNS featurestore.agg_state
	AS 'MODULE_PATHNAME', 'agg_state_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._agg_state_in(cstring) IS 'internal: input of agg_state';
CREATE FUNCTION featurestore._agg_state_out(featurestore.agg_state) RETURNS cstring
	AS 'MODULE_PATHNAME', 'state_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._agg_state_out(featurestore.agg_state) IS 'internal: output of agg_state';
CREATE FUNCTION featurestore._agg_state_recv(internal) RETURNS featurestore.agg_state
	AS 'MODULE_PATHNAME', 'agg_state_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._agg_state_recv(internal) IS 'internal: binary input of agg_state';
CREATE FUNCTION featurestore._agg_state_send(featurestore.agg_state) RETURNS bytea
	AS 'MODULE_PATHNAME', 'state_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._agg_state_send(featurestore.agg_state) IS 'internal: binary output of agg_state';

CREATE TYPE featurestore.agg_state (
	INPUT = featurestore._agg_state_in, OUTPUT = featurestore._agg_state_out,
	RECEIVE = featurestore._agg_state_recv, SEND = featurestore._agg_state_send,
	INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = main);
COMMENT ON TYPE featurestore.agg_state IS 'one mergeable aggregate';

/*
 * The empty state for a function (all functions of its family share it) over
 * values of type input (NULL: rows are counted) and windows that nest.
 *
 * params: what the function takes: n (1 to 1000; first_n, last_n, ...), bound
 *   (1 to 65536, default 1024; count_distinct, histogram), relative_error
 *   (0.01 to 0.3, default 0.05; approx_count_distinct; 0.001 to 0.1, default
 *   0.01: approx_percentile).
 * head_slack: how far before its newest event a state still answers exactly.
 * input_collation: of text, by name; NULL for the default collation.
 *
 * Raises 22023 for an unknown function, parameters out of range and windows
 * that do not nest, 42804 for an input that the function cannot take.
 */
CREATE FUNCTION featurestore.window_state(function text, input regtype, windows featurestore.time_window[],
	params jsonb DEFAULT '{}', head_slack interval DEFAULT '10 s', input_collation text DEFAULT NULL)
	RETURNS featurestore.window_state
	AS 'MODULE_PATHNAME', 'make_window_state' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.window_state(text, regtype, featurestore.time_window[], jsonb, interval, text) IS 'the empty window state for a function, an input type and windows';

/* The same without windows; see window_state. */
CREATE FUNCTION featurestore.agg_state(function text, input regtype, params jsonb DEFAULT '{}', input_collation text DEFAULT NULL)
	RETURNS featurestore.agg_state
	AS 'MODULE_PATHNAME', 'make_agg_state' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.agg_state(text, regtype, jsonb, text) IS 'the empty aggregate state for a function and an input type';

/*
 * Aggregates: accumulate makes a state of events, rollup one of states.
 * template is an empty state; rows whose value is NULL are skipped; the result
 * is NULL only for no rows at all.  A NULL time raises 22004, an infinite one
 * 22008, a value of another type than the template's 42804.
 */
CREATE FUNCTION featurestore._accumulate(state featurestore.window_state, template featurestore.window_state, at timestamptz, value anyelement)
	RETURNS featurestore.window_state
	AS 'MODULE_PATHNAME', 'state_accumulate' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._accumulate(featurestore.window_state, featurestore.window_state, timestamptz, anyelement) IS 'internal: transition of accumulate';
CREATE FUNCTION featurestore._accumulate(state featurestore.window_state, template featurestore.window_state, at timestamptz)
	RETURNS featurestore.window_state
	AS 'MODULE_PATHNAME', 'state_accumulate' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._accumulate(featurestore.window_state, featurestore.window_state, timestamptz) IS 'internal: transition of accumulate over rows';
CREATE FUNCTION featurestore._rollup(state featurestore.window_state, other featurestore.window_state)
	RETURNS featurestore.window_state
	AS 'MODULE_PATHNAME', 'state_rollup' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._rollup(featurestore.window_state, featurestore.window_state) IS 'internal: transition of rollup';
CREATE FUNCTION featurestore._combine(state featurestore.window_state, other featurestore.window_state)
	RETURNS featurestore.window_state
	AS 'MODULE_PATHNAME', 'state_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._combine(featurestore.window_state, featurestore.window_state) IS 'internal: combines states of parallel workers';
CREATE FUNCTION featurestore._close(state featurestore.window_state) RETURNS featurestore.window_state
	AS 'MODULE_PATHNAME', 'state_close' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._close(featurestore.window_state) IS 'internal: makes a state canonical';

CREATE AGGREGATE featurestore.accumulate(template featurestore.window_state, at timestamptz, value anyelement) (
	SFUNC = featurestore._accumulate, STYPE = featurestore.window_state, SSPACE = 512,
	FINALFUNC = featurestore._close, COMBINEFUNC = featurestore._combine, PARALLEL = SAFE);
COMMENT ON AGGREGATE featurestore.accumulate(featurestore.window_state, timestamptz, anyelement) IS 'window state of events with values';
CREATE AGGREGATE featurestore.accumulate(template featurestore.window_state, at timestamptz) (
	SFUNC = featurestore._accumulate, STYPE = featurestore.window_state, SSPACE = 512,
	FINALFUNC = featurestore._close, COMBINEFUNC = featurestore._combine, PARALLEL = SAFE);
COMMENT ON AGGREGATE featurestore.accumulate(featurestore.window_state, timestamptz) IS 'window state of events that are only counted';
CREATE AGGREGATE featurestore.rollup(featurestore.window_state) (
	SFUNC = featurestore._rollup, STYPE = featurestore.window_state, SSPACE = 512,
	FINALFUNC = featurestore._close, COMBINEFUNC = featurestore._combine, PARALLEL = SAFE);
COMMENT ON AGGREGATE featurestore.rollup(featurestore.window_state) IS 'window state of the events of all states';

CREATE FUNCTION featurestore._accumulate(state featurestore.agg_state, template featurestore.agg_state, at timestamptz, value anyelement)
	RETURNS featurestore.agg_state
	AS 'MODULE_PATHNAME', 'state_accumulate' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._accumulate(featurestore.agg_state, featurestore.agg_state, timestamptz, anyelement) IS 'internal: transition of accumulate';
CREATE FUNCTION featurestore._accumulate(state featurestore.agg_state, template featurestore.agg_state, at timestamptz)
	RETURNS featurestore.agg_state
	AS 'MODULE_PATHNAME', 'state_accumulate' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._accumulate(featurestore.agg_state, featurestore.agg_state, timestamptz) IS 'internal: transition of accumulate over rows';
CREATE FUNCTION featurestore._rollup(state featurestore.agg_state, other featurestore.agg_state)
	RETURNS featurestore.agg_state
	AS 'MODULE_PATHNAME', 'state_rollup' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._rollup(featurestore.agg_state, featurestore.agg_state) IS 'internal: transition of rollup';
CREATE FUNCTION featurestore._combine(state featurestore.agg_state, other featurestore.agg_state)
	RETURNS featurestore.agg_state
	AS 'MODULE_PATHNAME', 'state_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._combine(featurestore.agg_state, featurestore.agg_state) IS 'internal: combines states of parallel workers';
CREATE FUNCTION featurestore._close(state featurestore.agg_state) RETURNS featurestore.agg_state
	AS 'MODULE_PATHNAME', 'state_close' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._close(featurestore.agg_state) IS 'internal: makes a state canonical';

CREATE AGGREGATE featurestore.accumulate(template featurestore.agg_state, at timestamptz, value anyelement) (
	SFUNC = featurestore._accumulate, STYPE = featurestore.agg_state, SSPACE = 512,
	FINALFUNC = featurestore._close, COMBINEFUNC = featurestore._combine, PARALLEL = SAFE);
COMMENT ON AGGREGATE featurestore.accumulate(featurestore.agg_state, timestamptz, anyelement) IS 'aggregate state of events with values';
CREATE AGGREGATE featurestore.accumulate(template featurestore.agg_state, at timestamptz) (
	SFUNC = featurestore._accumulate, STYPE = featurestore.agg_state, SSPACE = 512,
	FINALFUNC = featurestore._close, COMBINEFUNC = featurestore._combine, PARALLEL = SAFE);
COMMENT ON AGGREGATE featurestore.accumulate(featurestore.agg_state, timestamptz) IS 'aggregate state of events that are only counted';
CREATE AGGREGATE featurestore.rollup(featurestore.agg_state) (
	SFUNC = featurestore._rollup, STYPE = featurestore.agg_state, SSPACE = 512,
	FINALFUNC = featurestore._close, COMBINEFUNC = featurestore._combine, PARALLEL = SAFE);
COMMENT ON AGGREGATE featurestore.rollup(featurestore.agg_state) IS 'aggregate state of the events of all states';

/*
 * The state of the events of both, and of those of the first without the
 * second's; the latter is NULL where only the events themselves can tell, and
 * the state must be made anew.  Both raise 22023 for states of different specs.
 */
CREATE FUNCTION featurestore.merge(a featurestore.window_state, b featurestore.window_state) RETURNS featurestore.window_state
	AS 'MODULE_PATHNAME', 'state_merge' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.merge(featurestore.window_state, featurestore.window_state) IS 'window state of the events of both';
CREATE FUNCTION featurestore.merge(a featurestore.agg_state, b featurestore.agg_state) RETURNS featurestore.agg_state
	AS 'MODULE_PATHNAME', 'state_merge' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.merge(featurestore.agg_state, featurestore.agg_state) IS 'aggregate state of the events of both';
CREATE FUNCTION featurestore.retract(a featurestore.window_state, b featurestore.window_state) RETURNS featurestore.window_state
	AS 'MODULE_PATHNAME', 'state_retract' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.retract(featurestore.window_state, featurestore.window_state) IS 'window state of the events of the first without those of the second; NULL: make it anew';
CREATE FUNCTION featurestore.retract(a featurestore.agg_state, b featurestore.agg_state) RETURNS featurestore.agg_state
	AS 'MODULE_PATHNAME', 'state_retract' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.retract(featurestore.agg_state, featurestore.agg_state) IS 'aggregate state of the events of the first without those of the second; NULL: make it anew';

CREATE OPERATOR featurestore.+ (LEFTARG = featurestore.window_state, RIGHTARG = featurestore.window_state,
	FUNCTION = featurestore.merge, COMMUTATOR = OPERATOR(featurestore.+));
COMMENT ON OPERATOR featurestore.+ (featurestore.window_state, featurestore.window_state) IS 'window state of the events of both';
CREATE OPERATOR featurestore.+ (LEFTARG = featurestore.agg_state, RIGHTARG = featurestore.agg_state,
	FUNCTION = featurestore.merge, COMMUTATOR = OPERATOR(featurestore.+));
COMMENT ON OPERATOR featurestore.+ (featurestore.agg_state, featurestore.agg_state) IS 'aggregate state of the events of both';
CREATE OPERATOR featurestore.- (LEFTARG = featurestore.window_state, RIGHTARG = featurestore.window_state,
	FUNCTION = featurestore.retract);
COMMENT ON OPERATOR featurestore.- (featurestore.window_state, featurestore.window_state) IS 'window state of the events of the first without those of the second';
CREATE OPERATOR featurestore.- (LEFTARG = featurestore.agg_state, RIGHTARG = featurestore.agg_state,
	FUNCTION = featurestore.retract);
COMMENT ON OPERATOR featurestore.- (featurestore.agg_state, featurestore.agg_state) IS 'aggregate state of the events of the first without those of the second';

/*
 * The value of a function over a window at a time.  function is written as
 * sum, last_n(5) or approx_percentile(0.9); result is a NULL of the type of
 * the value.  A NULL state is that of an entity never seen.  NULL for a time
 * before the state's newest event less its head_slack.  Raises 22023 for a
 * function or window that the state does not serve, 42804 for a result of
 * another type.
 */
CREATE FUNCTION featurestore.window_value(state featurestore.window_state, function text, "window" featurestore.time_window,
	at timestamptz, result anyelement DEFAULT NULL::float8) RETURNS anyelement
	AS 'MODULE_PATHNAME', 'window_value' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.window_value(featurestore.window_state, text, featurestore.time_window, timestamptz, anyelement) IS 'value of a function over a window at a time';

/* The value of a function over all events of a state; see window_value. */
CREATE FUNCTION featurestore.agg_value(state featurestore.agg_state, function text, result anyelement DEFAULT NULL::float8) RETURNS anyelement
	AS 'MODULE_PATHNAME', 'agg_value' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.agg_value(featurestore.agg_state, text, anyelement) IS 'value of a function over all events of a state';

/* What there is to know of a value: 1 approximate, 2 out of range, 4 no event in the window, 8 time too old for the state. */
CREATE FUNCTION featurestore._window_flags(state featurestore.window_state, function text, "window" featurestore.time_window,
	at timestamptz) RETURNS int
	AS 'MODULE_PATHNAME', 'window_flags' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._window_flags(featurestore.window_state, text, featurestore.time_window, timestamptz) IS 'internal: flags of a value';

/* What a state is for and holds: family, input, windows, watermark, events, bytes, tiles. */
CREATE FUNCTION featurestore.describe(state featurestore.window_state) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'state_describe' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.describe(featurestore.window_state) IS 'what a window state is for and holds';
CREATE FUNCTION featurestore.describe(state featurestore.agg_state) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'state_describe' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.describe(featurestore.agg_state) IS 'what an aggregate state is for and holds';

/*
 * What a function is over values of type input (NULL: rows): its family, how
 * window_value takes it, the type of its values, the family's parameter, the
 * bound of its error (NULL: it is exact), and whether it counts, so that it is
 * 0 over no events.  Raises as window_state does.
 */
CREATE FUNCTION featurestore._function_info(function text, input regtype, params jsonb,
	OUT family text, OUT call text, OUT result regtype, OUT param int, OUT bound text, OUT is_count boolean) RETURNS record
	AS 'MODULE_PATHNAME', 'function_info' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._function_info(text, regtype, jsonb) IS 'internal: what a window function is';

/* The group of each window, from 1: those of a group nest, and one state serves them. */
CREATE FUNCTION featurestore._window_groups(windows featurestore.time_window[]) RETURNS int[]
	AS 'MODULE_PATHNAME', 'window_groups' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._window_groups(featurestore.time_window[]) IS 'internal: groups of windows that one state can serve';
