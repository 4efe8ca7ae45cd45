/*
 * Items of a feature spec: each function only notes what is wanted, which
 * create_feature_spec then checks as a whole.
 */
CREATE TYPE featurestore.spec_item AS (
	kind text,
	definition jsonb
);
COMMENT ON TYPE featurestore.spec_item IS 'an item of a feature spec, made by lookup, feature, request_field, expression or feature_function';
COMMENT ON COLUMN featurestore.spec_item.kind IS 'the function that made it';
COMMENT ON COLUMN featurestore.spec_item.definition IS 'its arguments';

/* Name of a relation, qualified and quoted: the same whatever the search path. */
CREATE FUNCTION featurestore._relation_name(relation regclass) RETURNS text
	LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	RETURN (SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
			FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE c.oid = relation);
COMMENT ON FUNCTION featurestore._relation_name(regclass) IS 'internal: qualified and quoted name of a relation';

/*
 * Schema and name that a name, which may be quoted and qualified, stands for;
 * argument is what holds it, for messages, and creation_schema that of a name
 * that is not qualified.  Raises 22004 for NULL, 22023 or 42601 for what is no
 * name, 42622 for a part of more than 63 bytes, 3F000 where there is no schema
 * to create in, and 42P16 for temporary ones.
 */
CREATE FUNCTION featurestore._object_name(argument text, name text, creation_schema text) RETURNS text[]
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	parts text[];
	part text;
BEGIN
	IF name IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
			MESSAGE = format('%s must not be null', argument);
	END IF;

	parts := parse_ident(name);
	IF cardinality(parts) > 2 THEN
		RAISE EXCEPTION USING ERRCODE = 'syntax_error',
			MESSAGE = format('improper relation name (too many dotted names): %s', name);
	END IF;
	FOREACH part IN ARRAY parts LOOP
		IF octet_length(part) > 63 THEN
			RAISE EXCEPTION USING ERRCODE = 'name_too_long',
				MESSAGE = format('name "%s" is too long', part),
				DETAIL = 'A name has at most 63 bytes.';
		END IF;
	END LOOP;

	IF cardinality(parts) = 1 THEN
		parts := creation_schema || parts;
	END IF;
	IF parts[1] IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name',
			MESSAGE = 'no schema has been selected to create in';
	END IF;
	IF parts[1] ~ '^pg_temp' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_table_definition',
			MESSAGE = format('%s cannot be in a temporary schema', argument);
	END IF;
	RETURN parts;
END
$$;
COMMENT ON FUNCTION featurestore._object_name(text, text, text) IS 'internal: schema and name of an object';

/*
 * The column names an expression uses, each once.  Raises 42601 unless the text
 * is one SQL expression and nothing else, 0A000 if it holds a subquery, a
 * window function, a parameter or an aggregate's syntax.
 */
CREATE FUNCTION featurestore._expression_columns(expression text) RETURNS text[]
	AS 'MODULE_PATHNAME', 'expression_columns' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._expression_columns(text) IS 'internal: column names in an SQL expression';

/*
 * Looks up columns of a table by key.
 *
 * lookup_key names, for each key column, the value to look up: a request key
 * or an output of another item.  Names that are key columns bind to these,
 * other names to the primary key in its order, 'column=name' says both.
 * feature_names are the columns to give (default: all that are no key), an
 * array that shall be part of vectors as 'name[length]'.  rename_outputs maps
 * column to output, default_values output to the value that stands in for a
 * missing row.  max_age bounds the age of a row's event time, max_lag how far
 * the table may be behind its source; both positive, without months.
 */
CREATE FUNCTION featurestore.lookup(
	table_name regclass, lookup_key text[], feature_names text[] DEFAULT NULL,
	rename_outputs jsonb DEFAULT '{}', default_values jsonb DEFAULT '{}',
	max_age interval DEFAULT NULL, max_lag interval DEFAULT NULL) RETURNS featurestore.spec_item
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres'
	RETURN ROW('lookup', pg_catalog.jsonb_build_object(
		'table', featurestore._relation_name(table_name), 'lookup_key', lookup_key,
		'feature_names', feature_names, 'rename_outputs', rename_outputs,
		'default_values', default_values, 'max_age', pg_catalog.justify_hours(max_age),
		'max_lag', pg_catalog.justify_hours(max_lag)))::featurestore.spec_item;
COMMENT ON FUNCTION featurestore.lookup(regclass, text[], text[], jsonb, jsonb, interval, interval) IS 'spec item: columns of a table, found by key';

/* A feature's name, which may end in '[length]': qualified and quoted if the caller's search path finds it. */
CREATE FUNCTION featurestore._feature_name(name text) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT COALESCE(
			featurestore._relation_name(pg_catalog.to_regclass(name)),
			featurestore._relation_name(pg_catalog.to_regclass(pg_catalog.regexp_replace(name, '\[[0-9]+\]$', '')))
				|| pg_catalog.substring(name, '\[[0-9]+\]$'), name);
	END;
COMMENT ON FUNCTION featurestore._feature_name(text) IS 'internal: qualified and quoted name of a feature';

/*
 * Looks up declared features, which must be materialized.
 *
 * lookup_key is as for lookup; by default the entity's columns, by name.  An
 * array that shall be part of vectors is named as 'name[length]'.  Outputs have
 * the names of their features, without schema, unless rename_outputs maps these
 * to others; default_values maps output to the value that stands in for a
 * missing entity or an empty window.  A count is 0 for both, whatever its
 * default.  The spec keeps to the version that each feature has now.
 */
CREATE FUNCTION featurestore.feature(
	names text[], lookup_key text[] DEFAULT NULL, rename_outputs jsonb DEFAULT '{}',
	default_values jsonb DEFAULT '{}') RETURNS featurestore.spec_item
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN ROW('feature', pg_catalog.jsonb_build_object(
		'names', (SELECT pg_catalog.array_agg(featurestore._feature_name(name) ORDER BY n)
				  FROM pg_catalog.unnest(names) WITH ORDINALITY AS u(name, n)), 'lookup_key', lookup_key, 'rename_outputs', rename_outputs,
		'default_values', default_values))::featurestore.spec_item;
COMMENT ON FUNCTION featurestore.feature(text[], text[], jsonb, jsonb) IS 'spec item: declared features, found by key';

/* A value that comes with the request: a required argument, and an output. */
CREATE FUNCTION featurestore.request_field(name text, type regtype) RETURNS featurestore.spec_item
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	RETURN ROW('request_field', pg_catalog.jsonb_build_object(
		'name', name, 'type', pg_catalog.format_type(type, -1)))::featurestore.spec_item;
COMMENT ON FUNCTION featurestore.request_field(text, regtype) IS 'spec item: a value that comes with the request';

/*
 * A column computed by an SQL expression over request keys and fields, outputs
 * of other items and as_of, the time of the lookup.  It must be immutable.
 */
CREATE FUNCTION featurestore.expression(sql text, output_name text) RETURNS featurestore.spec_item
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN ROW('expression', pg_catalog.jsonb_build_object(
		'sql', sql, 'output_name', output_name))::featurestore.spec_item;
COMMENT ON FUNCTION featurestore.expression(text, text) IS 'spec item: a column computed by an SQL expression';

/*
 * A column computed by a function, which must be immutable.  input_bindings
 * gives for each parameter, by name or in an array by position, the request
 * key, field or output it takes; parameters with defaults may be left out.
 */
CREATE FUNCTION featurestore.feature_function(function regprocedure, input_bindings jsonb,
	output_name text) RETURNS featurestore.spec_item
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	RETURN ROW('feature_function', pg_catalog.jsonb_build_object(
		'function', (SELECT pg_catalog.format('%I.%I(%s)', n.nspname, p.proname,
						pg_catalog.array_to_string(ARRAY(
							SELECT pg_catalog.format_type(type, -1)
							FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS a(type, n) ORDER BY a.n), ', '))
					 FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
					 WHERE p.oid = function),
		'call', (SELECT pg_catalog.format('%I.%I', n.nspname, p.proname)
				 FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
				 WHERE p.oid = function),
		'input_bindings', input_bindings, 'output_name', output_name))::featurestore.spec_item;
COMMENT ON FUNCTION featurestore.feature_function(regprocedure, jsonb, text) IS 'spec item: a column computed by a function';
