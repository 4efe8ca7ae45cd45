/*
 * Features: named, versioned definitions of a windowed aggregate over the rows
 * of a source.
 *
 * A feature is a view in the user's schema: the entity columns, the event time
 * and the value of each row that counts.  So its name, owner, grants and
 * dependencies are Postgres's own, and fills, previews and training read the
 * very same rows.  What a view cannot say - function, window, version - is the
 * catalog's.  A replaced feature stays, under another name, with all that was
 * made from it.
 */
CREATE TABLE featurestore.feature (
	relation regclass PRIMARY KEY,
	version int NOT NULL,
	is_current boolean NOT NULL,
	source regclass NOT NULL,
	entity text[] NOT NULL,
	timeseries_column text NOT NULL,
	function text NOT NULL,
	params jsonb NOT NULL,
	input text,
	filter text,
	time_window featurestore.time_window NOT NULL,
	input_type regtype,
	result_type regtype NOT NULL,
	online_table regclass,
	state_column text
);
COMMENT ON TABLE featurestore.feature IS 'registered features; what a feature reads is held by its view, the rest here';
COMMENT ON COLUMN featurestore.feature.relation IS 'the view that gives key, time and value of each row that counts';
COMMENT ON COLUMN featurestore.feature.version IS 'starts at 1, goes up when the feature is replaced';
COMMENT ON COLUMN featurestore.feature.is_current IS 'false for a version that was replaced';
COMMENT ON COLUMN featurestore.feature.source IS 'the table the rows come from';
COMMENT ON COLUMN featurestore.feature.entity IS 'key columns, as the view names them';
COMMENT ON COLUMN featurestore.feature.timeseries_column IS 'column with the time of a row, as the view names it';
COMMENT ON COLUMN featurestore.feature.function IS 'the aggregate function';
COMMENT ON COLUMN featurestore.feature.params IS 'parameters of the function';
COMMENT ON COLUMN featurestore.feature.input IS 'SQL expression over the source row that is aggregated; null where rows are counted';
COMMENT ON COLUMN featurestore.feature.filter IS 'SQL condition over the source row; other rows do not count';
COMMENT ON COLUMN featurestore.feature.time_window IS 'the window';
COMMENT ON COLUMN featurestore.feature.input_type IS 'type of the input; null where rows are counted';
COMMENT ON COLUMN featurestore.feature.result_type IS 'type of the value';
COMMENT ON COLUMN featurestore.feature.online_table IS 'the table it is materialized in, if it is';
COMMENT ON COLUMN featurestore.feature.state_column IS 'the column of that table with its states';

CREATE TABLE featurestore.window_table (
	relation regclass PRIMARY KEY,
	entity text[] NOT NULL,
	state_columns text[] NOT NULL,
	templates featurestore.window_state[] NOT NULL,
	values_view regclass,
	offline_table regclass
);
COMMENT ON TABLE featurestore.window_table IS 'online tables of materialized features';
COMMENT ON COLUMN featurestore.window_table.relation IS 'the online table';
COMMENT ON COLUMN featurestore.window_table.entity IS 'key columns';
COMMENT ON COLUMN featurestore.window_table.state_columns IS 'columns that hold window states';
COMMENT ON COLUMN featurestore.window_table.templates IS 'the empty state of each of these columns';
COMMENT ON COLUMN featurestore.window_table.values_view IS 'the view that shows what the features are now';
COMMENT ON COLUMN featurestore.window_table.offline_table IS 'the table with the value of each closed window, if there is one';

SELECT pg_catalog.pg_extension_config_dump('featurestore.feature', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.window_table', '');

GRANT SELECT ON featurestore.feature, featurestore.window_table TO PUBLIC;

/*
 * Where and how a feature is materialized; name is resolved as the caller's
 * search path says.  No row unless there is a registered feature of that name;
 * relation, the online table, is NULL unless it is materialized.
 */
CREATE FUNCTION featurestore._materialized_feature(name text)
	RETURNS TABLE(relation regclass, state_column text, call text, time_window featurestore.time_window, result_type text,
				  entity text[], is_count boolean, version int, feature regclass)
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT f.online_table, f.state_column, i.call, f.time_window, pg_catalog.format_type(f.result_type, -1),
			f.entity, i.is_count, f.version, f.relation
		FROM featurestore.feature f, featurestore._function_info(f.function, f.input_type, f.params) AS i
		WHERE f.relation = pg_catalog.to_regclass(_materialized_feature.name);
	END;
COMMENT ON FUNCTION featurestore._materialized_feature(text) IS 'internal: where a feature is materialized, and how it is evaluated';

/*
 * The canonical form of input, an expression over one row of source, its type,
 * and its name if it is a column of source and nothing else.  Names in it are
 * resolved as the caller's search path says.  Raises 0A000 for subqueries and
 * what returns sets, 42803 for aggregates, 42P20 for window functions and 42P17
 * for functions that are not IMMUTABLE.
 */
CREATE FUNCTION featurestore._canonical_input(source regclass, input text, OUT canonical text, OUT type regtype, OUT column_name text)
	AS 'MODULE_PATHNAME', 'canonical_input' LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._canonical_input(regclass, text) IS 'internal: an input in a form that means the same in any session';

/*
 * What _canonical_filter (is_condition) or _canonical_input would raise for an
 * expression: an object with code, message, detail and hint; NULL for nothing.
 */
CREATE FUNCTION featurestore._expression_problem(source regclass, expression text, is_condition boolean) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'expression_problem' LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._expression_problem(regclass, text, boolean) IS 'internal: what is wrong with an input or filter';

/* The registered feature that relation is; raises 42704 if it is none, naming it as the caller did. */
CREATE FUNCTION featurestore._feature(relation regclass, name text) RETURNS featurestore.feature
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	result featurestore.feature;
BEGIN
	IF name IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'the name of a feature must not be null';
	END IF;
	SELECT * INTO result FROM featurestore.feature f WHERE f.relation = _feature.relation;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object',
			MESSAGE = format('feature "%s" is not registered', name),
			HINT = 'The view featurestore.features lists the features there are; register_feature makes one.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._feature(regclass, text) IS 'internal: a registered feature, or an error';

/* Raises 42501 unless the caller owns the feature. */
CREATE FUNCTION featurestore._check_feature_owner(feature featurestore.feature) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF NOT (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = feature.relation) THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('must be owner of feature %s', feature.relation);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_feature_owner(featurestore.feature) IS 'internal: raises an error unless the caller owns the feature';

/* Stores a feature. */
CREATE FUNCTION featurestore._store_feature(feature featurestore.feature) RETURNS void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._store_definition('feature', to_jsonb(feature) || jsonb_build_object(
	'relation', feature.relation::oid::text, 'source', feature.source::oid::text, 'online_table', feature.online_table::oid::text))
$$;
COMMENT ON FUNCTION featurestore._store_feature(featurestore.feature) IS 'internal: stores a feature';

/* What makes two features the same one, as an object. */
CREATE FUNCTION featurestore._feature_definition(feature featurestore.feature) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT to_jsonb(feature) - '{relation,version,is_current,online_table,state_column}'::text[]
$$;
COMMENT ON FUNCTION featurestore._feature_definition(featurestore.feature) IS 'internal: the definition of a feature, without its state';

/*
 * Raises an error unless entity can be the entity columns of a feature: 22004
 * for NULL, 22023 for none or too many, 42703 and 42701 for unknown and repeated
 * columns, 42804 for floats, whose equality is not identity, and for types that
 * cannot be compared.
 */
CREATE FUNCTION featurestore._check_entity(source regclass, entity text[]) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad record;
BEGIN
	IF entity IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'entity must not be null';
	ELSIF cardinality(entity) NOT BETWEEN 1 AND 32 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'entity must name 1 to 32 columns';
	END IF;
	PERFORM featurestore._check_columns(source, 'entity', entity);

	SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type INTO bad
	FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
	WHERE a.attrelid = source AND a.attname = ANY (entity)
		AND (featurestore._equality(a.atttypid) IS NULL
			 OR CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END IN ('float4'::regtype, 'float8'::regtype))
	ORDER BY array_position(entity, a.attname::text) LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
			MESSAGE = format('entity column "%s" is of type %s', bad.name, bad.type),
			DETAIL = 'An entity is identified by values that are equal or not, such as numbers without fraction, texts or uuids.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_entity(regclass, text[]) IS 'internal: raises an error unless these columns can identify an entity';

/* Raises 22004, 42703 or 42804 unless events have their time in timeseries_column, and 22023 if that is an entity column. */
CREATE FUNCTION featurestore._check_event_time(source regclass, entity text[], timeseries_column text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF timeseries_column IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'timeseries_column must not be null';
	END IF;
	PERFORM featurestore._check_timeseries_column(source, timeseries_column);
	IF timeseries_column = ANY (entity) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('timeseries column "%s" is an entity column', timeseries_column);
	END IF;
	IF 'value' = ANY (entity || timeseries_column) THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_column',
			MESSAGE = 'a column called "value" cannot be an entity or timeseries column',
			DETAIL = 'In the view of a feature, this is the name of its input.',
			HINT = 'Make a view of the source that gives the column another name.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_event_time(regclass, text[], text) IS 'internal: raises an error unless this column has the time of events';

/*
 * What is wrong with the parts of a feature: a list of objects with code,
 * message, detail and hint.  The function is left out where has_input_type is
 * false, since whether it fits depends on the input.
 */
CREATE FUNCTION featurestore._feature_problems(feature featurestore.feature, has_input_type boolean) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	part text;
	problems jsonb := '[]';
	code text;
	message text;
	detail text;
	hint text;
BEGIN
	FOREACH part IN ARRAY CASE WHEN has_input_type THEN '{entity,time,function}' ELSE '{entity,time}' END::text[] LOOP
		BEGIN
			CASE part
				WHEN 'entity' THEN PERFORM featurestore._check_entity(feature.source, feature.entity);
				WHEN 'time' THEN PERFORM featurestore._check_event_time(feature.source, feature.entity, feature.timeseries_column);
				WHEN 'function' THEN PERFORM featurestore._function_info(feature.function, feature.input_type, feature.params);
			END CASE;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			problems := problems || jsonb_build_object('code', code, 'message', message, 'detail', detail, 'hint', hint);
		END;
	END LOOP;
	RETURN problems;
END
$$;
COMMENT ON FUNCTION featurestore._feature_problems(featurestore.feature, boolean) IS 'internal: what is wrong with a feature';

/* Raises an error that names all problems, if there are any. */
CREATE FUNCTION featurestore._raise_problems(problems jsonb) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	problem jsonb := problems -> 0;
BEGIN
	IF jsonb_array_length(problems) > 1 THEN
		problem := problem || jsonb_build_object('message', format('the feature has %s problems', jsonb_array_length(problems)),
			'detail', (SELECT string_agg(concat_ws(' ', p->>'message' || '.', nullif(p->>'detail', ''), nullif(p->>'hint', '')), E'\n' ORDER BY n)
					   FROM jsonb_array_elements(problems) WITH ORDINALITY AS e(p, n)), 'hint', '');
	END IF;
	IF problem IS NOT NULL THEN
		PERFORM featurestore._raise(problem->>'code', problem->>'message', problem->>'detail', problem->>'hint');
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._raise_problems(jsonb) IS 'internal: raises an error for a list of problems';

/* Raises an error unless a feature has what it needs.  With more than one problem the error names them all. */
CREATE FUNCTION featurestore._check_feature(feature featurestore.feature) RETURNS void
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT featurestore._raise_problems(featurestore._feature_problems(feature, true)) $$;
COMMENT ON FUNCTION featurestore._check_feature(featurestore.feature) IS 'internal: raises an error unless a feature has what it needs';

/*
 * Raises an error if input or filter are wrong, and there is more than that one
 * problem.  A single problem is left to be raised where it shows, with its place
 * in the text.
 */
CREATE FUNCTION featurestore._check_expressions(source regclass, entity text[], timeseries_column text, input_problem jsonb, filter_problem jsonb) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	feature featurestore.feature;
	problems jsonb := '[]';
BEGIN
	IF num_nonnulls(input_problem, filter_problem) = 0 THEN
		RETURN;
	END IF;
	feature.source := source;
	feature.entity := entity;
	feature.timeseries_column := timeseries_column;
	problems := featurestore._feature_problems(feature, false)
		|| to_jsonb(array_remove(ARRAY[input_problem, filter_problem], NULL));
	IF jsonb_array_length(problems) > 1 THEN
		PERFORM featurestore._raise_problems(problems);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_expressions(regclass, text[], text, jsonb, jsonb) IS 'internal: raises an error for several problems of a feature at once';

/* Raises an error whose detail and hint may be empty. */
CREATE FUNCTION featurestore._raise(code text, message text, detail text, hint text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF detail <> '' AND hint <> '' THEN
		RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = detail, HINT = hint;
	ELSIF detail <> '' THEN
		RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = detail;
	ELSIF hint <> '' THEN
		RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, HINT = hint;
	END IF;
	RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message;
END
$$;
COMMENT ON FUNCTION featurestore._raise(text, text, text, text) IS 'internal: raises an error';

/*
 * The name of a feature that was given none: column, function, window.  Raises
 * 22023 for an input that has no name, and 42622 for more than 63 bytes.
 */
CREATE FUNCTION featurestore._automatic_name(column_name text, function text, has_input boolean, time_window featurestore.time_window) RETURNS text
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	name text := concat_ws('_', column_name, function, featurestore._window_name(time_window));
BEGIN
	IF has_input AND column_name IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'a feature whose input is no plain column needs a name';
	ELSIF octet_length(name) > 63 THEN
		RAISE EXCEPTION USING ERRCODE = 'name_too_long',
			MESSAGE = format('name "%s" is too long', name),
			DETAIL = 'A name has at most 63 bytes.',
			HINT = 'Give the feature a name.';
	END IF;
	RETURN name;
END
$$;
COMMENT ON FUNCTION featurestore._automatic_name(text, text, boolean, featurestore.time_window) IS 'internal: the name of a feature that was given none';

/* Statements that grant what is granted on a view, should it be made anew. */
CREATE FUNCTION featurestore._view_grants(view regclass) RETURNS text[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT ARRAY(SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type, featurestore._relation_name(view),
						   CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
						   CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
			 FROM pg_class c, aclexplode(c.relacl) AS a WHERE c.oid = view AND a.grantee <> c.relowner)
$$;
COMMENT ON FUNCTION featurestore._view_grants(regclass) IS 'internal: grants on a view, as statements';

/* Executes statements in order. */
CREATE FUNCTION featurestore._execute(statements text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	statement text;
BEGIN
	FOREACH statement IN ARRAY statements LOOP
		EXECUTE statement;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._execute(text[]) IS 'internal: executes statements';

/* The query of a feature's view.  A date stands for its midnight in UTC. */
CREATE FUNCTION featurestore._feature_query(feature featurestore.feature) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
BEGIN
	RETURN format('SELECT %s, %s AS %I%s FROM %s AS source WHERE %s',
		featurestore._column_list(feature.entity, 'source'),
		format(CASE (SELECT atttypid FROM pg_attribute WHERE attrelid = feature.source AND attname = feature.timeseries_column)
			   WHEN 'date'::regtype THEN
				   /* days that are no timestamp count as never */
				   'CASE WHEN source.%1$I > ''294276-12-31'' THEN ''infinity'' ELSE source.%1$I::timestamp AT TIME ZONE ''UTC'' END' ELSE 'source.%I' END, feature.timeseries_column),
		feature.timeseries_column, ', (' || feature.input || ') AS value', feature.source, coalesce(feature.filter, 'true'));
END
$$;
COMMENT ON FUNCTION featurestore._feature_query(featurestore.feature) IS 'internal: the query of a feature''s view';

/* Creates the view of a feature. */
CREATE FUNCTION featurestore._create_feature_view(name text[], feature featurestore.feature) RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	qualified text := format('%I.%I', name[1], name[2]);
BEGIN
	EXECUTE format('CREATE VIEW %s AS %s', qualified, featurestore._feature_query(feature));
	/* the server's own checks: the owner of the view must be able to read the source */
	EXECUTE format('SELECT FROM %s WHERE false', qualified);
	RETURN qualified::regclass;
END
$$;
COMMENT ON FUNCTION featurestore._create_feature_view(text[], featurestore.feature) IS 'internal: creates the view of a feature';

/*
 * Moves a feature out of the way of its next version.  Its view goes on as
 * NAME_v1 or the like, and what was made from it with it.
 */
CREATE FUNCTION featurestore._retire_feature(feature featurestore.feature) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	old_name text := (SELECT relname FROM pg_class WHERE oid = feature.relation);
	new_name text := format('%s_v%s', old_name, feature.version);
	column_of record;
BEGIN
	IF octet_length(new_name) > 63 THEN
		RAISE EXCEPTION USING ERRCODE = 'name_too_long',
			MESSAGE = format('name "%s" is too long', new_name),
			DETAIL = 'The version that is replaced goes on under this name. A name has at most 63 bytes.';
	END IF;
	EXECUTE format('ALTER VIEW %s RENAME TO %I', feature.relation, new_name);
	FOR column_of IN
		SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind, c.oid::regclass AS relation
		FROM featurestore.window_table t JOIN pg_class c ON c.oid IN (t.values_view, t.offline_table)
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = old_name AND NOT a.attisdropped
		WHERE t.relation = feature.online_table
	LOOP
		EXECUTE format('ALTER %s %s RENAME COLUMN %I TO %I', column_of.kind, column_of.relation, old_name, new_name);
	END LOOP;
	feature.is_current := false;
	PERFORM featurestore._store_feature(feature);
END
$$;
COMMENT ON FUNCTION featurestore._retire_feature(featurestore.feature) IS 'internal: renames a feature that is replaced';

/* The version of a feature that is new: it goes on from versions that were replaced. */
CREATE FUNCTION featurestore._next_version(name text[]) RETURNS int
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT coalesce(max(f.version), 0) + 1
FROM featurestore.feature f JOIN pg_class c ON c.oid = f.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = name[1] AND c.relname = CASE WHEN f.is_current THEN name[2] ELSE format('%s_v%s', name[2], f.version) END
$$;
COMMENT ON FUNCTION featurestore._next_version(text[]) IS 'internal: the version of a feature that is registered';

/*
 * Makes feature, whose relation, version and result type are still open, under
 * name (schema and name).  Raises 42P07 if the name is that of another
 * relation, 42710 if that of a different feature, unless replace.
 */
CREATE FUNCTION featurestore._define_feature(name text[], feature featurestore.feature, description text, replace boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	existing regclass := to_regclass(format('%I.%I', name[1], name[2]));
	defined featurestore.feature;
	difference text;
	grants text[] := featurestore._view_grants(existing);
BEGIN
	PERFORM featurestore._check_feature(feature);
	feature.result_type := (featurestore._function_info(feature.function, feature.input_type, feature.params)).result;
	feature.is_current := true;

	SELECT * INTO defined FROM featurestore.feature f WHERE f.relation = existing;
	IF existing IS NOT NULL AND NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
			MESSAGE = format('relation %s already exists', existing),
			DETAIL = 'It is not a feature.',
			HINT = 'Choose another name for the feature, or drop the relation first.';
	ELSIF existing IS NOT NULL THEN
		PERFORM featurestore._check_feature_owner(defined);
		difference := featurestore._difference(featurestore._feature_definition(defined), featurestore._feature_definition(feature));
		IF difference IS NOT NULL AND replace IS NOT TRUE THEN
			RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
				MESSAGE = format('feature %s is registered already, differently', existing),
				DETAIL = difference,
				HINT = 'With replace => true this becomes its next version.';
		ELSIF difference IS NOT NULL AND NOT defined.is_current THEN
			RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
				MESSAGE = format('feature %s is a version that was replaced', existing),
				HINT = 'Replace the current version.';
		END IF;
	END IF;

	IF existing IS NULL OR difference IS NOT NULL THEN
		feature.version := featurestore._next_version(name);
		PERFORM featurestore._retire_feature(defined) WHERE existing IS NOT NULL;
		feature.relation := featurestore._create_feature_view(name, feature);
		/* raises an error if there can be no state of the input, as of texts of some collations */
		PERFORM featurestore._agg_template(d.definition, d.value_collation) FROM featurestore._described_features(ARRAY[feature]) AS d;
		PERFORM featurestore._execute(grants);
		PERFORM featurestore._store_feature(feature);
	ELSE
		feature.relation := existing;
		RAISE NOTICE 'feature % is registered already, skipping', existing;
	END IF;
	IF description IS NOT NULL THEN
		EXECUTE format('COMMENT ON VIEW %s IS %L', feature.relation, description);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._define_feature(text[], featurestore.feature, text, boolean) IS 'internal: makes a feature';

/*
 * The work of register_feature, with input and filter in canonical form and
 * creation_schema, the schema that names without one are created in.
 */
CREATE FUNCTION featurestore._register_feature(name text, creation_schema text, source regclass, entity text[], timeseries_column text,
											   function text, input text, input_type regtype, input_name text,
											   time_window featurestore.time_window, params jsonb,
											   filter text, description text, replace boolean) RETURNS text
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	qualified text[];
	feature featurestore.feature;
BEGIN
	IF function IS NULL OR params IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
			MESSAGE = format('%s must not be null', CASE WHEN function IS NULL THEN 'function' ELSE 'params' END);
	END IF;
	time_window := coalesce(time_window, featurestore.lifetime_window());
	feature.source := source;
	feature.entity := entity;
	feature.timeseries_column := timeseries_column;
	feature.function := function;
	feature.params := params;
	feature.input := input;
	feature.input_type := input_type;
	feature.filter := filter;
	feature.time_window := time_window;
	IF name IS NULL THEN
		PERFORM featurestore._check_feature(feature);
		name := quote_ident(featurestore._automatic_name(input_name, function, input IS NOT NULL, time_window));
	END IF;
	qualified := featurestore._object_name('name', name, creation_schema);
	PERFORM featurestore._define_feature(qualified, feature, description, replace);
	RETURN format('%I.%I', qualified[1], qualified[2]);
END
$$;
COMMENT ON FUNCTION featurestore._register_feature(text, text, regclass, text[], text, text, text, regtype, text, featurestore.time_window, jsonb, text, text, boolean) IS 'internal: the work of register_feature';

/*
 * Registers a feature: a function over the rows of source that an entity has
 * in a window of time.
 *
 * name: of the feature, as in SQL: it may be quoted and qualified; without a
 *   schema it goes where CREATE VIEW would put it.  NULL for one made of
 *   column, function and window, as amount_sum_rolling_7d.
 * source: a table, view, materialized view or foreign table that the caller
 *   can read; its rows are the events.
 * entity: columns that name what the feature describes; of any type that can
 *   be compared, but not floats.
 * timeseries_column: when an event happened, timestamptz or date (midnight UTC).
 * function: count, sum, avg, min, max, first, last, var_pop, var_samp,
 *   stddev_pop, stddev_samp, skew, kurtosis, first_n, last_n,
 *   first_distinct_n, last_distinct_n, top_n, bottom_n, count_distinct,
 *   approx_count_distinct, approx_percentile or histogram.
 * input: a column, or an immutable expression over one row of source, whose
 *   values are aggregated; NULLs are skipped.  NULL with count counts rows.
 * time_window: made by rolling_window, sliding_window, tumbling_window,
 *   sawtooth_window or lifetime_window; NULL for all time.
 * params: {"n": ...} of first_n and its like, {"percentile": ...} of
 *   approx_percentile, {"relative_error": ...} of the approximate functions,
 *   {"bound": ...} of count_distinct and histogram.
 * filter: an immutable condition over one row of source; other rows do not count.
 * description: becomes the comment of the feature's view.
 * replace: makes a different definition of a registered feature its next
 *   version.  The one before goes on as NAME_v1 or the like, and with it all
 *   that was materialized or specified with it.  Grants are the same on both.
 *
 * Gives the name of the feature, qualified.  The feature is a view that belongs
 * to the caller and gives key, time and value of each row that counts.  The
 * same definition again is a NOTICE, a different one an error (42710) unless
 * replace.  Raises 42P07 if the name is that of another relation, 42703, 42701
 * and 42804 for columns that do not exist, are repeated or do not fit, 22023
 * for functions, parameters and names that are not possible, 42501 without
 * SELECT on the source or CREATE on the schema, 42601, 42803, 0A000 and 42P17
 * for an input or filter that is no immutable expression, 42622 for names of
 * more than 63 bytes, 22004 for NULLs.
 */
CREATE FUNCTION featurestore.register_feature(name text, source regclass, entity text[], timeseries_column text, function text,
											  input text DEFAULT NULL, time_window featurestore.time_window DEFAULT NULL,
											  params jsonb DEFAULT '{}', filter text DEFAULT NULL, description text DEFAULT NULL,
											  replace boolean DEFAULT false) RETURNS text
	LANGUAGE sql VOLATILE
	/* no setting of its own: names are resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT featurestore._check_source('source', register_feature.source);
		SELECT featurestore._check_expressions(register_feature.source, register_feature.entity, register_feature.timeseries_column,
			featurestore._expression_problem(register_feature.source, register_feature.input, false),
			featurestore._expression_problem(register_feature.source, register_feature.filter, true));
		SELECT featurestore._register_feature(register_feature.name, current_schema()::text, register_feature.source,
			register_feature.entity, register_feature.timeseries_column, register_feature.function,
			i.canonical, i.type, i.column_name, register_feature.time_window, register_feature.params,
			featurestore._canonical_filter(register_feature.source, register_feature.filter),
			register_feature.description, register_feature.replace)
		FROM featurestore._canonical_input(register_feature.source, register_feature.input) AS i;
	END;
COMMENT ON FUNCTION featurestore.register_feature(text, regclass, text[], text, text, text, featurestore.time_window, jsonb, text, text, boolean) IS 'registers a feature: a function over the rows an entity has in a window of time';

/*
 * Raises 22023 unless aggregations is a list of what register_features takes,
 * and windows a list of windows, of which no two give a feature of one name;
 * 22004 for NULLs.
 */
CREATE FUNCTION featurestore._check_aggregations(aggregations jsonb, windows featurestore.time_window[]) RETURNS void
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad text;
BEGIN
	IF aggregations IS NULL OR windows IS NULL OR array_position(windows::text[], NULL) IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
			MESSAGE = 'aggregations and windows must not be null',
			HINT = 'The window over all time is lifetime_window().';
	END IF;

	IF jsonb_typeof(aggregations) <> 'array' OR aggregations = '[]' OR windows = '{}' THEN
		bad := 'aggregations and windows must be lists that are not empty';
	ELSE
		SELECT format('aggregation %s is not understood: %s', n, a) INTO bad
		FROM jsonb_array_elements(aggregations) WITH ORDINALITY AS e(a, n)
		WHERE CASE WHEN jsonb_typeof(a) <> 'object' THEN true
			  ELSE a - '{function,input,params,name,description}'::text[] <> '{}'
				OR EXISTS (SELECT FROM jsonb_each(a) WHERE key <> 'params' AND jsonb_typeof(value) NOT IN ('string', 'null')) END
		ORDER BY n LIMIT 1;
	END IF;
	IF bad IS NULL THEN
		SELECT format('more than one feature would be called %s', name) INTO bad
		FROM (SELECT concat_ws('_', coalesce(a->>'name', concat_ws('_', a->>'input', a->>'function')), featurestore._window_name(w)) AS name
			  FROM jsonb_array_elements(aggregations) AS a, unnest(windows) AS w) AS names
		GROUP BY name HAVING count(*) > 1 ORDER BY name COLLATE "C" LIMIT 1;
	END IF;
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = bad,
			HINT = 'An aggregation is an object such as {"function": "sum", "input": "amount"}, with "params" if the function takes any, and "name", which stands for column and function in the names of its features.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_aggregations(jsonb, featurestore.time_window[]) IS 'internal: raises an error unless this is what register_features takes';

/*
 * Registers a feature for each of aggregations over each of windows, or none
 * of them.
 *
 * aggregations: a list of {"function": ..., "input": ..., "params": {...},
 *   "name": ..., "description": ...}; all but function may be left out.
 * windows: a list of windows.
 *
 * Names are made of column, function and window; a "name" stands for the first
 * two.  Gives the names.  All else is as for register_feature.
 */
CREATE FUNCTION featurestore.register_features(source regclass, entity text[], timeseries_column text, aggregations jsonb,
											   windows featurestore.time_window[], filter text DEFAULT NULL,
											   replace boolean DEFAULT false) RETURNS SETOF text
	LANGUAGE sql VOLATILE
	/* no setting of its own: names are resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT featurestore._check_source('source', register_features.source);
		SELECT featurestore._check_aggregations(register_features.aggregations, register_features.windows);
		SELECT featurestore._register_feature(quote_ident(((a.definition ->> 'name') || '_') || featurestore._window_name(w.time_window)),
			current_schema()::text, register_features.source, register_features.entity, register_features.timeseries_column,
			a.definition ->> 'function', i.canonical, i.type, i.column_name, w.time_window,
			COALESCE(a.definition -> 'params', '{}'::jsonb),
			featurestore._canonical_filter(register_features.source, register_features.filter),
			a.definition ->> 'description', register_features.replace)
		FROM jsonb_array_elements(register_features.aggregations) WITH ORDINALITY AS a(definition, n)
		CROSS JOIN unnest(register_features.windows) WITH ORDINALITY AS w(time_window, n)
		CROSS JOIN LATERAL featurestore._canonical_input(register_features.source, a.definition ->> 'input') AS i
		ORDER BY a.n, w.n;
	END;
COMMENT ON FUNCTION featurestore.register_features(regclass, text[], text, jsonb, featurestore.time_window[], text, boolean) IS 'registers a feature for each aggregation over each window';

/*
 * Specs that read a feature: those that depend on its view or, where it is
 * materialized, on its states and either name it or read nothing else there.
 */
CREATE FUNCTION featurestore._specs_with(feature featurestore.feature) RETURNS regclass[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT ARRAY(
	SELECT DISTINCT s.relation
	FROM featurestore.spec s JOIN pg_rewrite w ON w.ev_class = s.relation
	JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
	WHERE d.refobjid = feature.relation
		OR (d.refobjid = feature.online_table
			AND d.refobjsubid = (SELECT attnum FROM pg_attribute WHERE attrelid = feature.online_table AND attname = feature.state_column)
			AND (s.items @? format('$.**."names"[*] ? (@ == %s)', to_jsonb(featurestore._relation_name(feature.relation)))::jsonpath
				 OR NOT EXISTS (SELECT FROM featurestore.feature f
								WHERE f.online_table = feature.online_table AND f.state_column = feature.state_column
									AND f.relation <> feature.relation)))
	ORDER BY 1)
$$;
COMMENT ON FUNCTION featurestore._specs_with(featurestore.feature) IS 'internal: specs that read a feature';

/* The work of drop_feature on the feature that relation is. */
CREATE FUNCTION featurestore._drop_feature(relation regclass, name text, cascade boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	feature featurestore.feature := featurestore._feature(relation, name);
	specs regclass[] := featurestore._specs_with(feature);
	spec regclass;
	users text[];
BEGIN
	PERFORM featurestore._check_feature_owner(feature);
	users := ARRAY(SELECT format('spec %s reads it', s) FROM unnest(specs) AS s)
		|| CASE WHEN feature.online_table IS NULL THEN '{}' ELSE ARRAY[format('it is materialized in %s', feature.online_table)] END;
	IF users <> '{}' AND cascade IS NOT TRUE THEN
		RAISE EXCEPTION USING ERRCODE = 'dependent_objects_still_exist',
			MESSAGE = format('cannot drop feature %s because it is in use', relation),
			DETAIL = upper(left(array_to_string(users, '; '), 1)) || substr(array_to_string(users, '; '), 2) || '.',
			HINT = 'With cascade => true these go too.';
	END IF;

	FOREACH spec IN ARRAY specs LOOP
		RAISE NOTICE 'drop cascades to feature spec %', spec;
		PERFORM featurestore._drop_spec(spec, 'drop');
	END LOOP;
	IF feature.online_table IS NOT NULL THEN
		RAISE NOTICE 'drop cascades to what is materialized in %', feature.online_table;
		PERFORM featurestore._dematerialize(feature);
	END IF;
	EXECUTE format('DROP VIEW %s', relation);
END
$$;
COMMENT ON FUNCTION featurestore._drop_feature(regclass, text, boolean) IS 'internal: the work of drop_feature';

/*
 * Drops a feature.  With cascade, also the specs that read it and what is
 * materialized of it: its states, if no other feature needs them, its values,
 * and the online table with its last feature.  Raises 42704 if there is no
 * such feature, 42501 unless the caller owns it and what goes with it, 2BP01
 * if something uses it and cascade was not asked for, or if something else
 * than a spec depends on it.
 */
CREATE FUNCTION featurestore.drop_feature(name text, cascade boolean DEFAULT false) RETURNS void
	LANGUAGE sql VOLATILE
	/* no setting of its own: the name is resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT featurestore._drop_feature(to_regclass(drop_feature.name), drop_feature.name, drop_feature.cascade);
	END;
COMMENT ON FUNCTION featurestore.drop_feature(text, boolean) IS 'drops a feature';
