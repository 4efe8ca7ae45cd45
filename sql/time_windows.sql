/*
 * Windows of time.
 *
 * A window of one kind, seen from an instant T, has the events with
 * window_lo(T) <= ts < window_hi(T).  Its text form is its kind, its duration,
 * and its other parts where they are not 0.
 */
CREATE TYPE featurestore.time_window;

CREATE FUNCTION featurestore._time_window_in(text cstring) RETURNS featurestore.time_window
	AS 'MODULE_PATHNAME', 'time_window_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_in(cstring) IS 'internal: input of time_window';

CREATE FUNCTION featurestore._time_window_out("window" featurestore.time_window) RETURNS cstring
	AS 'MODULE_PATHNAME', 'time_window_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_out(featurestore.time_window) IS 'internal: output of time_window';

CREATE FUNCTION featurestore._time_window_recv(message internal) RETURNS featurestore.time_window
	AS 'MODULE_PATHNAME', 'time_window_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_recv(internal) IS 'internal: binary input of time_window';

CREATE FUNCTION featurestore._time_window_send("window" featurestore.time_window) RETURNS bytea
	AS 'MODULE_PATHNAME', 'time_window_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_send(featurestore.time_window) IS 'internal: binary output of time_window';

CREATE TYPE featurestore.time_window (
	INPUT = featurestore._time_window_in,
	OUTPUT = featurestore._time_window_out,
	RECEIVE = featurestore._time_window_recv,
	SEND = featurestore._time_window_send,
	INTERNALLENGTH = 40,
	ALIGNMENT = double
);
COMMENT ON TYPE featurestore.time_window IS 'which events a feature is made of: rolling 7d hop 6h, sliding 7d slide 1d, tumbling 1d, sawtooth 7d or lifetime';

/* Windows are ordered by kind (rolling, sawtooth, sliding, tumbling, lifetime), duration, step, offset and delay. */
CREATE FUNCTION featurestore._time_window_lt(a featurestore.time_window, b featurestore.time_window) RETURNS boolean
	AS 'MODULE_PATHNAME', 'time_window_lt' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_lt(featurestore.time_window, featurestore.time_window) IS 'internal: implementation of the operator <';

CREATE FUNCTION featurestore._time_window_le(a featurestore.time_window, b featurestore.time_window) RETURNS boolean
	AS 'MODULE_PATHNAME', 'time_window_le' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_le(featurestore.time_window, featurestore.time_window) IS 'internal: implementation of the operator <=';

CREATE FUNCTION featurestore._time_window_eq(a featurestore.time_window, b featurestore.time_window) RETURNS boolean
	AS 'MODULE_PATHNAME', 'time_window_eq' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_eq(featurestore.time_window, featurestore.time_window) IS 'internal: implementation of the operator =';

CREATE FUNCTION featurestore._time_window_ne(a featurestore.time_window, b featurestore.time_window) RETURNS boolean
	AS 'MODULE_PATHNAME', 'time_window_ne' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_ne(featurestore.time_window, featurestore.time_window) IS 'internal: implementation of the operator <>';

CREATE FUNCTION featurestore._time_window_ge(a featurestore.time_window, b featurestore.time_window) RETURNS boolean
	AS 'MODULE_PATHNAME', 'time_window_ge' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_ge(featurestore.time_window, featurestore.time_window) IS 'internal: implementation of the operator >=';

CREATE FUNCTION featurestore._time_window_gt(a featurestore.time_window, b featurestore.time_window) RETURNS boolean
	AS 'MODULE_PATHNAME', 'time_window_gt' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_gt(featurestore.time_window, featurestore.time_window) IS 'internal: implementation of the operator >';

CREATE OPERATOR featurestore.< (
	FUNCTION = featurestore._time_window_lt, LEFTARG = featurestore.time_window, RIGHTARG = featurestore.time_window,
	COMMUTATOR = OPERATOR(featurestore.>), NEGATOR = OPERATOR(featurestore.>=),
	RESTRICT = pg_catalog.scalarltsel, JOIN = pg_catalog.scalarltjoinsel);
COMMENT ON OPERATOR featurestore.< (featurestore.time_window, featurestore.time_window) IS 'is less than';

CREATE OPERATOR featurestore.<= (
	FUNCTION = featurestore._time_window_le, LEFTARG = featurestore.time_window, RIGHTARG = featurestore.time_window,
	COMMUTATOR = OPERATOR(featurestore.>=), NEGATOR = OPERATOR(featurestore.>),
	RESTRICT = pg_catalog.scalarlesel, JOIN = pg_catalog.scalarlejoinsel);
COMMENT ON OPERATOR featurestore.<= (featurestore.time_window, featurestore.time_window) IS 'is less than or equal to';

CREATE OPERATOR featurestore.= (
	FUNCTION = featurestore._time_window_eq, LEFTARG = featurestore.time_window, RIGHTARG = featurestore.time_window,
	COMMUTATOR = OPERATOR(featurestore.=), NEGATOR = OPERATOR(featurestore.<>),
	RESTRICT = pg_catalog.eqsel, JOIN = pg_catalog.eqjoinsel, HASHES, MERGES);
COMMENT ON OPERATOR featurestore.= (featurestore.time_window, featurestore.time_window) IS 'is equal to';

CREATE OPERATOR featurestore.<> (
	FUNCTION = featurestore._time_window_ne, LEFTARG = featurestore.time_window, RIGHTARG = featurestore.time_window,
	COMMUTATOR = OPERATOR(featurestore.<>), NEGATOR = OPERATOR(featurestore.=),
	RESTRICT = pg_catalog.neqsel, JOIN = pg_catalog.neqjoinsel);
COMMENT ON OPERATOR featurestore.<> (featurestore.time_window, featurestore.time_window) IS 'is not equal to';

CREATE OPERATOR featurestore.>= (
	FUNCTION = featurestore._time_window_ge, LEFTARG = featurestore.time_window, RIGHTARG = featurestore.time_window,
	COMMUTATOR = OPERATOR(featurestore.<=), NEGATOR = OPERATOR(featurestore.<),
	RESTRICT = pg_catalog.scalargesel, JOIN = pg_catalog.scalargejoinsel);
COMMENT ON OPERATOR featurestore.>= (featurestore.time_window, featurestore.time_window) IS 'is greater than or equal to';

CREATE OPERATOR featurestore.> (
	FUNCTION = featurestore._time_window_gt, LEFTARG = featurestore.time_window, RIGHTARG = featurestore.time_window,
	COMMUTATOR = OPERATOR(featurestore.<), NEGATOR = OPERATOR(featurestore.<=),
	RESTRICT = pg_catalog.scalargtsel, JOIN = pg_catalog.scalargtjoinsel);
COMMENT ON OPERATOR featurestore.> (featurestore.time_window, featurestore.time_window) IS 'is greater than';

CREATE FUNCTION featurestore._time_window_cmp(a featurestore.time_window, b featurestore.time_window) RETURNS int
	AS 'MODULE_PATHNAME', 'time_window_cmp' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_cmp(featurestore.time_window, featurestore.time_window) IS 'internal: order of windows';

CREATE FUNCTION featurestore._time_window_hash("window" featurestore.time_window) RETURNS int
	AS 'MODULE_PATHNAME', 'time_window_hash' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_hash(featurestore.time_window) IS 'internal: hash of a window';

CREATE FUNCTION featurestore._time_window_hash_extended("window" featurestore.time_window, seed bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'time_window_hash_extended' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._time_window_hash_extended(featurestore.time_window, bigint) IS 'internal: seeded hash of a window';

CREATE OPERATOR FAMILY featurestore.time_window_ops USING btree;
COMMENT ON OPERATOR FAMILY featurestore.time_window_ops USING btree IS 'order of windows';
CREATE OPERATOR CLASS featurestore.time_window_ops DEFAULT FOR TYPE featurestore.time_window USING btree
	FAMILY featurestore.time_window_ops AS
	OPERATOR 1 featurestore.<,
	OPERATOR 2 featurestore.<=,
	OPERATOR 3 featurestore.=,
	OPERATOR 4 featurestore.>=,
	OPERATOR 5 featurestore.>,
	FUNCTION 1 featurestore._time_window_cmp(featurestore.time_window, featurestore.time_window);
COMMENT ON OPERATOR CLASS featurestore.time_window_ops USING btree IS 'order of windows';

CREATE OPERATOR FAMILY featurestore.time_window_ops USING hash;
COMMENT ON OPERATOR FAMILY featurestore.time_window_ops USING hash IS 'equality of windows';
CREATE OPERATOR CLASS featurestore.time_window_ops DEFAULT FOR TYPE featurestore.time_window USING hash
	FAMILY featurestore.time_window_ops AS
	OPERATOR 1 featurestore.=,
	FUNCTION 1 featurestore._time_window_hash(featurestore.time_window),
	FUNCTION 2 featurestore._time_window_hash_extended(featurestore.time_window, bigint);
COMMENT ON OPERATOR CLASS featurestore.time_window_ops USING hash IS 'equality of windows';

/*
 * Constructors.  All raise 22004 for NULL (save for a hop), 22023 for months and
 * years, which vary in length, and for lengths that no window can have.
 */
CREATE FUNCTION featurestore.tumbling_window(duration interval, "offset" interval DEFAULT '0', delay interval DEFAULT '0') RETURNS featurestore.time_window
	AS 'MODULE_PATHNAME', 'tumbling_window' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.tumbling_window(interval, interval, interval) IS 'window over the last whole period, such as yesterday';

CREATE FUNCTION featurestore.sliding_window(duration interval, slide interval, "offset" interval DEFAULT '0', delay interval DEFAULT '0') RETURNS featurestore.time_window
	AS 'MODULE_PATHNAME', 'sliding_window' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.sliding_window(interval, interval, interval, interval) IS 'window of a duration that moves on once every slide';

/* Without a hop it is the longest of 1 s, 5 s, 10 s, 30 s, 1 min, 5 min, 15 min, 1 h, 6 h and 1 d that goes into the duration 24 times at least and divides it, else 0. */
CREATE FUNCTION featurestore.rolling_window(duration interval, delay interval DEFAULT '0', hop interval DEFAULT NULL) RETURNS featurestore.time_window
	AS 'MODULE_PATHNAME', 'rolling_window' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.rolling_window(interval, interval, interval) IS 'window up to now, whose start moves on in hops; a hop of 0 makes it exact';

CREATE FUNCTION featurestore.sawtooth_window(duration interval) RETURNS featurestore.time_window
	AS 'MODULE_PATHNAME', 'sawtooth_window' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.sawtooth_window(interval) IS 'window up to now, whose start moves on in hops of 1 day, 1 hour or 5 minutes, as in Chronon';

CREATE FUNCTION featurestore.lifetime_window(delay interval DEFAULT '0') RETURNS featurestore.time_window
	AS 'MODULE_PATHNAME', 'lifetime_window' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.lifetime_window(interval) IS 'window over all events so far';

/* Both raise 22008 for an infinite time, and where an edge is out of the range of timestamptz. */
CREATE FUNCTION featurestore.window_lo("window" featurestore.time_window, at timestamptz) RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'time_window_lo' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.window_lo(featurestore.time_window, timestamptz) IS 'time from which on events belong to a window as seen at a time';

CREATE FUNCTION featurestore.window_hi("window" featurestore.time_window, at timestamptz) RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'time_window_hi' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore.window_hi(featurestore.time_window, timestamptz) IS 'time before which events belong to a window as seen at a time';

CREATE FUNCTION featurestore._window_parts("window" featurestore.time_window, OUT kind text, OUT duration interval, OUT step interval, OUT "offset" interval, OUT delay interval)
	AS 'MODULE_PATHNAME', 'time_window_parts' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._window_parts(featurestore.time_window) IS 'internal: what a window is made of; parts that its kind has not are 0';

CREATE FUNCTION featurestore._window_name("window" featurestore.time_window) RETURNS text
	AS 'MODULE_PATHNAME', 'time_window_name' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._window_name(featurestore.time_window) IS 'internal: a window in the name of a feature: rolling_30d_1d';
