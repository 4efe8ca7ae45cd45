/*
 * Lookups.  The functions that a spec makes call the _lookup functions, which
 * take the spec's row type by a NULL of it and the time of the lookup (NULL:
 * the start of the statement); the others are for any spec.  They come in a
 * form for specs that parallel workers may run and one for those they may not,
 * since the planner sees these after it has inlined the spec's own.
 */
CREATE FUNCTION featurestore._lookup_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'lookup_support' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._lookup_support(internal) IS 'internal: estimates rows and cost of a lookup for the planner';

CREATE FUNCTION featurestore._lookup_rows(spec anyelement, as_of timestamptz, VARIADIC keys "any") RETURNS SETOF anyelement
	AS 'MODULE_PATHNAME', 'lookup_rows' LANGUAGE C STABLE PARALLEL SAFE SUPPORT featurestore._lookup_support;
COMMENT ON FUNCTION featurestore._lookup_rows(anyelement, timestamptz, "any") IS 'internal: typed rows of a spec';
CREATE FUNCTION featurestore._lookup_rows_restricted(spec anyelement, as_of timestamptz, VARIADIC keys "any") RETURNS SETOF anyelement
	AS 'MODULE_PATHNAME', 'lookup_rows' LANGUAGE C STABLE PARALLEL RESTRICTED SUPPORT featurestore._lookup_support;
COMMENT ON FUNCTION featurestore._lookup_rows_restricted(anyelement, timestamptz, "any") IS 'internal: typed rows of a spec that parallel workers may not run';

CREATE FUNCTION featurestore._lookup_vectors(spec anyelement, as_of timestamptz, VARIADIC keys "any") RETURNS SETOF float4[]
	AS 'MODULE_PATHNAME', 'lookup_vectors' LANGUAGE C STABLE PARALLEL SAFE SUPPORT featurestore._lookup_support;
COMMENT ON FUNCTION featurestore._lookup_vectors(anyelement, timestamptz, "any") IS 'internal: vectors of a spec';
CREATE FUNCTION featurestore._lookup_vectors_restricted(spec anyelement, as_of timestamptz, VARIADIC keys "any") RETURNS SETOF float4[]
	AS 'MODULE_PATHNAME', 'lookup_vectors' LANGUAGE C STABLE PARALLEL RESTRICTED SUPPORT featurestore._lookup_support;
COMMENT ON FUNCTION featurestore._lookup_vectors_restricted(anyelement, timestamptz, "any") IS 'internal: vectors of a spec that parallel workers may not run';

CREATE FUNCTION featurestore._lookup_matrix(spec anyelement, as_of timestamptz, VARIADIC keys "any") RETURNS bytea
	AS 'MODULE_PATHNAME', 'lookup_matrix' LANGUAGE C STABLE PARALLEL SAFE SUPPORT featurestore._lookup_support;
COMMENT ON FUNCTION featurestore._lookup_matrix(anyelement, timestamptz, "any") IS 'internal: matrix of a spec';
CREATE FUNCTION featurestore._lookup_matrix_restricted(spec anyelement, as_of timestamptz, VARIADIC keys "any") RETURNS bytea
	AS 'MODULE_PATHNAME', 'lookup_matrix' LANGUAGE C STABLE PARALLEL RESTRICTED SUPPORT featurestore._lookup_support;
COMMENT ON FUNCTION featurestore._lookup_matrix_restricted(anyelement, timestamptz, "any") IS 'internal: matrix of a spec that parallel workers may not run';

/*
 * Typed rows of a spec, which is given as NULL::spec.  The keys are the spec's
 * arguments in order, each a value or an array; values and one-element arrays
 * serve all rows.  Gives one row for each requested, in order.  Raises 42809
 * for what is no spec, 22023, 42804, 2202E, 22004 for wrong arguments, 42501
 * without privilege.
 */
CREATE FUNCTION featurestore.feature_lookup(spec anyelement, VARIADIC keys "any") RETURNS SETOF anyelement
	AS 'MODULE_PATHNAME', 'feature_lookup' LANGUAGE C STABLE PARALLEL RESTRICTED SUPPORT featurestore._lookup_support;
COMMENT ON FUNCTION featurestore.feature_lookup(anyelement, "any") IS 'typed rows of a spec';

/* The same as vectors: the outputs as numbers, in the spec's order. Raises 42804 for an output that is not numbers. */
CREATE FUNCTION featurestore.feature_vectors(spec text, VARIADIC keys "any") RETURNS SETOF float4[]
	AS 'MODULE_PATHNAME', 'feature_vectors' LANGUAGE C STABLE PARALLEL RESTRICTED SUPPORT featurestore._lookup_support;
COMMENT ON FUNCTION featurestore.feature_vectors(text, "any") IS 'vectors of a spec, one a row';

/* All vectors in one value: little-endian float4, row after row. */
CREATE FUNCTION featurestore.feature_matrix(spec text, VARIADIC keys "any") RETURNS bytea
	AS 'MODULE_PATHNAME', 'feature_matrix' LANGUAGE C STABLE PARALLEL RESTRICTED SUPPORT featurestore._lookup_support;
COMMENT ON FUNCTION featurestore.feature_matrix(text, "any") IS 'vectors of a spec as one row-major matrix of little-endian float4';

/* What the numbers of a vector are, in order; elements of an array as name[1], name[2]... */
CREATE FUNCTION featurestore.feature_matrix_columns(spec text) RETURNS text[]
	AS 'MODULE_PATHNAME', 'feature_matrix_columns' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore.feature_matrix_columns(text) IS 'names of the numbers in a vector of a spec';

/*
 * Rows as json.  records is an object of the spec's arguments, each a value or
 * an array as in feature_lookup, or a list of such objects, one a row; a key
 * that is an output's name gives that output instead of the lookup.  as_of
 * defaults to the start of the statement.  With metadata each row has values,
 * status (of each output: status, defaulted, event_time, of a window also
 * approximate), tables (applied_to, and the snapshot whose changes are in it, as
 * publication_position has them), spec, version, as_of and the snapshot that was
 * read, which is null if the transaction has written: it may see what nobody else
 * does; and the system_identifier of the cluster that snapshots belong to.  So
 * that it can be logged (see served_vector), request and texts have the arguments
 * and outputs as their types write them; given names outputs that the request
 * gave.  Raises 22023 for malformed records.
 */
CREATE FUNCTION featurestore.feature_lookup_json(spec text, records jsonb, as_of timestamptz DEFAULT NULL, metadata boolean DEFAULT false) RETURNS SETOF jsonb
	AS 'MODULE_PATHNAME', 'feature_lookup_json' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore.feature_lookup_json(text, jsonb, timestamptz, boolean) IS 'rows of a spec as json, with statuses on request';

/*
 * Runs a lookup, whose records are as for feature_lookup_json, and tells of
 * each item: its relation, the path taken (index or sql) and why, the distinct
 * keys, how many were found, buffers touched and milliseconds spent.
 */
CREATE FUNCTION featurestore.explain_lookup(spec text, records jsonb, OUT item text, OUT relation regclass, OUT path text, OUT reason text, OUT keys bigint, OUT found bigint, OUT buffers bigint, OUT "time" double precision) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'explain_lookup' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore.explain_lookup(text, jsonb) IS 'what a lookup does, item by item';
