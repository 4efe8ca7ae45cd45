/*
 * Items of a feature spec, resolved: checked one by one, bound by their names,
 * and put in the order they can run in.
 *
 * Each item is first resolved by itself: what it gives ("outputs", each with a
 * name), what it takes ("keys" of lookups, "needs" of all).  Names that no item
 * gives become arguments of the request.
 */

/* Raises an error about an item; label says which. */
CREATE FUNCTION featurestore._item_error(label text, errcode text, message text, hint text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF hint IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = errcode, MESSAGE = label || ': ' || message;
	END IF;
	RAISE EXCEPTION USING ERRCODE = errcode, MESSAGE = label || ': ' || message, HINT = hint;
END
$$;
COMMENT ON FUNCTION featurestore._item_error(text, text, text, text) IS 'internal: an error that names the item of a spec';

/* Columns of a relation: name, type with modifier, collation to write, number. */
CREATE FUNCTION featurestore._columns(relation regclass, OUT name text, OUT type text, OUT coll text, OUT attnum smallint, OUT type_oid oid) RETURNS SETOF record
	LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT a.attname, format_type(a.atttypid, a.atttypmod),
		   (SELECT format('%I.%I', n.nspname, c.collname)
			FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
			WHERE c.oid = a.attcollation),
		   a.attnum, a.atttypid
	FROM pg_attribute a
	WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
	ORDER BY a.attnum
$$;
COMMENT ON FUNCTION featurestore._columns(regclass) IS 'internal: columns of a relation';

/*
 * Unique keys of a relation that can identify a row: their columns in order,
 * the primary key first.
 */
CREATE FUNCTION featurestore._unique_keys(relation regclass, OUT columns text[], OUT is_primary boolean) RETURNS SETOF record
	LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT ARRAY(SELECT a.attname::text
				 FROM generate_series(0, i.indnkeyatts - 1) AS n
				 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n]
				 ORDER BY n), i.indisprimary
	FROM pg_index i
	WHERE i.indrelid = relation AND i.indisunique AND i.indisvalid AND i.indimmediate
		AND i.indpred IS NULL AND i.indexprs IS NULL
	ORDER BY i.indisprimary DESC, i.indexrelid
$$;
COMMENT ON FUNCTION featurestore._unique_keys(regclass) IS 'internal: columns of the unique keys of a relation';

/* An interval in microseconds; raises 22023 unless positive and without months. */
CREATE FUNCTION featurestore._bound(label text, name text, bound interval) RETURNS bigint
	LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF extract(year FROM bound) <> 0 OR extract(month FROM bound) <> 0 OR bound <= interval '0' THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value',
			format('%s must be a positive interval without months', name), 'Give it in days or less, as in ''30 days''.');
	END IF;
	RETURN (extract(epoch FROM bound) * 1000000)::bigint;
END
$$;
COMMENT ON FUNCTION featurestore._bound(text, text, interval) IS 'internal: an interval in microseconds';

/*
 * Binds lookup_key to columns of the table: a list of {column, from}, where
 * from is the name of a key of the request or an output.  entity, if given, is
 * the key of a table that has no index to say so.
 */
CREATE FUNCTION featurestore._lookup_keys(label text, relation regclass, lookup_key text[], entity text[] DEFAULT NULL) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	key_columns text[] := coalesce(entity, ARRAY(SELECT DISTINCT c FROM featurestore._unique_keys(relation) AS k, unnest(k.columns) AS c));
	primary_key text[] := coalesce(entity, (SELECT columns FROM featurestore._unique_keys(relation) WHERE is_primary));
	bound jsonb := '[]';
	named int;
	entry text;
	col text;
BEGIN
	IF key_columns = '{}' THEN
		key_columns := ARRAY(SELECT name FROM featurestore._columns(relation));
	END IF;
	IF coalesce(cardinality(lookup_key), 0) = 0 OR array_position(lookup_key, NULL) IS NOT NULL THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'lookup_key must name the key to look up by');
	ELSIF cardinality(lookup_key) > 32 THEN
		PERFORM featurestore._item_error(label, 'program_limit_exceeded', 'lookup_key cannot have more than 32 columns');
	END IF;
	SELECT count(*) INTO named FROM unnest(lookup_key) AS e
	WHERE e = ANY (key_columns) OR (position('=' in e) > 0 AND split_part(e, '=', 1) = ANY (key_columns));

	IF named = 0 AND (cardinality(lookup_key) > coalesce(cardinality(primary_key), 0)
					  OR EXISTS (SELECT FROM unnest(lookup_key) AS e WHERE position('=' in e) > 0)) THEN
		PERFORM featurestore._item_error(label, 'undefined_column',
			format('lookup_key {%s} does not fit the key of the table', array_to_string(lookup_key, ',')),
			format('The key columns are: %s.', array_to_string(key_columns, ', ')));
	ELSIF named NOT IN (0, cardinality(lookup_key)) THEN
		PERFORM featurestore._item_error(label, 'ambiguous_column',
			format('only some of lookup_key {%s} are key columns', array_to_string(lookup_key, ',')),
			'Write the others as ''column=name''.');
	END IF;

	FOREACH entry IN ARRAY lookup_key LOOP
		IF named = 0 THEN
			col := primary_key[jsonb_array_length(bound) + 1];
		ELSIF entry = ANY (key_columns) THEN
			col := entry;
		ELSE
			col := split_part(entry, '=', 1);
			entry := substr(entry, length(col) + 2);
		END IF;
		bound := bound || jsonb_build_object('column', col, 'from', entry);
	END LOOP;
	IF (SELECT count(*) <> count(DISTINCT b->>'column') FROM jsonb_array_elements(bound) AS b) THEN
		PERFORM featurestore._item_error(label, 'duplicate_column', 'lookup_key binds a column twice');
	END IF;
	RETURN bound;
END
$$;
COMMENT ON FUNCTION featurestore._lookup_keys(text, regclass, text[], text[]) IS 'internal: binds lookup_key to columns';

/*
 * The column with a row's event time, if any: as registered, or the one that
 * follows the looked-up columns in a unique key.  Refuses one without zone.
 */
CREATE FUNCTION featurestore._lookup_time(label text, relation regclass, looked_up text[]) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	time_column text := (SELECT timeseries_column FROM featurestore.online_table AS o WHERE o.relation = _lookup_time.relation);
	time_type oid;
BEGIN
	IF time_column IS NULL AND NOT EXISTS (SELECT FROM featurestore._unique_keys(relation)
										   WHERE columns <@ looked_up AND looked_up <@ columns) THEN
		SELECT columns[cardinality(looked_up) + 1] INTO time_column
		FROM featurestore._unique_keys(relation)
		WHERE cardinality(columns) > cardinality(looked_up)
			AND columns[1:cardinality(looked_up)] <@ looked_up LIMIT 1;
	END IF;
	SELECT type_oid INTO time_type FROM featurestore._columns(relation) WHERE name = time_column;
	IF time_column IS NOT NULL AND time_type IS NULL THEN
		PERFORM featurestore._item_error(label, 'undefined_column', format('timeseries column "%s" was dropped or renamed', time_column),
			'Register the table again, with featurestore.drop_online_table and featurestore.create_online_table.');
	END IF;
	IF time_type = 'timestamp'::regtype THEN
		PERFORM featurestore._item_error(label, 'datatype_mismatch',
			format('timeseries column "%s" is of type timestamp without time zone', time_column),
			format('Say which zone it is in: ALTER TABLE %s ALTER COLUMN %I TYPE timestamptz USING %2$I AT TIME ZONE ''UTC''.', relation, time_column));
	END IF;
	RETURN CASE WHEN time_type IN ('timestamptz'::regtype, 'date'::regtype) THEN time_column END;
END
$$;
COMMENT ON FUNCTION featurestore._lookup_time(text, regclass, text[]) IS 'internal: the event time column of a looked-up table';

/* Raises 42501 unless the caller may read these columns. */
CREATE FUNCTION featurestore._check_readable(label text, relation regclass, columns text[]) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	unreadable text := (SELECT c FROM unnest(columns) WITH ORDINALITY AS u(c, n) WHERE NOT has_column_privilege(relation, c, 'SELECT') ORDER BY n LIMIT 1);
BEGIN
	IF unreadable IS NOT NULL THEN
		PERFORM featurestore._item_error(label, 'insufficient_privilege', format('permission denied for column "%s"', unreadable));
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_readable(text, regclass, text[]) IS 'internal: checks that the caller may read columns';

/* The length of arrays in a column: that of one there is, or NULL. */
CREATE FUNCTION featurestore._array_length(relation regclass, col text) RETURNS int
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	length int;
BEGIN
	EXECUTE format('SELECT cardinality(%I) FROM %s WHERE cardinality(%1$I) > 0 LIMIT 1', col,
				   featurestore._relation_name(relation)) INTO length;
	RETURN length;
END
$$;
COMMENT ON FUNCTION featurestore._array_length(regclass, text) IS 'internal: length of the arrays in a column';

/* An output that a table is registered with, as _feature_output gives a feature; wanted may end in '[length]'.  NULL if there is none. */
CREATE FUNCTION featurestore._stream_output(label text, relation regclass, wanted text, rename_outputs jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	online featurestore.online_table := (SELECT o FROM featurestore.online_table o WHERE o.relation = _stream_output.relation);
	name text := CASE WHEN online.outputs ? wanted THEN wanted ELSE regexp_replace(wanted, '\[[0-9]{1,6}\]$', '') END;
	length int := CASE WHEN name <> wanted THEN substring(wanted from '\[([0-9]+)\]$') END;
	output jsonb := online.outputs -> name;
	type pg_type;
BEGIN
	IF output IS NULL THEN
		RETURN NULL;
	END IF;
	SELECT t.* INTO type FROM featurestore._function_info(output ->> 'function', coalesce(output ->> 'type', online.merge -> (output ->> 'column') ->> 'type')::regtype, '{}') AS i
	JOIN pg_type t ON t.oid = i.result;
	PERFORM featurestore._check_readable(label, relation, ARRAY[output ->> 'column']);
	IF length = 0 OR (length IS NOT NULL AND type.typcategory <> 'A') THEN
		PERFORM featurestore._item_error(label, 'datatype_mismatch', format('"%s" declares the length of what is no array, or none', wanted));
	END IF;
	RETURN jsonb_build_object('feature', name, 'name', coalesce(rename_outputs ->> name, name), 'column', output ->> 'column',
		'type', format_type(type.oid, -1), 'length', length, 'is_declared', length IS NOT NULL,
		'expression', format(CASE WHEN output ? 'window' THEN 'featurestore.window_value(t.%1$I, %2$L, %3$L::featurestore.time_window, v.as_of, NULL::%4$s)'
								  ELSE 'featurestore.agg_value(t.%1$I, %2$L, NULL::%4$s)' END,
							 output ->> 'column', output ->> 'function', output ->> 'window', format_type(type.oid, -1)));
END
$$;
COMMENT ON FUNCTION featurestore._stream_output(text, regclass, text, jsonb) IS 'internal: an output that a table is registered with';

/* What a lookup of a table gives by default: its columns but for those in no_feature, states and times of values, and its outputs. */
CREATE FUNCTION featurestore._default_features(relation regclass, no_feature text[]) RETURNS text[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
WITH merged AS (SELECT m.name, m.companion, m.rule FROM featurestore._merge_columns(relation) AS m)
SELECT ARRAY(SELECT c.name FROM featurestore._columns(relation) AS c
			 WHERE c.name <> ALL (no_feature) AND c.name NOT IN (SELECT m.companion FROM merged AS m WHERE m.companion IS NOT NULL)
				AND c.name NOT IN (SELECT m.name FROM merged AS m WHERE m.rule IN ('accumulate', 'merge')))
	|| ARRAY(SELECT k FROM featurestore.online_table o, jsonb_object_keys(o.outputs) AS k WHERE o.relation = _default_features.relation ORDER BY k COLLATE "C")
$$;
COMMENT ON FUNCTION featurestore._default_features(regclass, text[]) IS 'internal: what a lookup of a table gives by default';

/*
 * The outputs of a lookup: {name, column, type, collation, length, is_declared
 * (the length)}, and {feature, expression} of those that come from states.
 * Without feature_names all columns that are neither in the primary key, nor
 * looked up by, nor the event time, and what the table is registered with.
 */
CREATE FUNCTION featurestore._lookup_outputs(label text, relation regclass, definition jsonb, keys jsonb, time_column text) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	feature_names text[];
	no_feature text[] := ARRAY(SELECT k->>'column' FROM jsonb_array_elements(keys) AS k)
		|| (SELECT columns FROM featurestore._unique_keys(relation) WHERE is_primary) || time_column;
	outputs jsonb := '[]';
	wanted text;
	declared text;
	col record;
	output jsonb;
BEGIN
	IF definition->'feature_names' = 'null' THEN
		feature_names := featurestore._default_features(relation, array_remove(no_feature, NULL));
	ELSE
		feature_names := ARRAY(SELECT jsonb_array_elements_text(definition->'feature_names'));
	END IF;
	IF array_position(feature_names, NULL) IS NOT NULL THEN
		PERFORM featurestore._item_error(label, 'null_value_not_allowed', 'feature_names must not contain null');
	END IF;
	FOREACH wanted IN ARRAY feature_names LOOP
		declared := NULL;
		output := featurestore._stream_output(label, relation, wanted, definition->'rename_outputs');
		IF output IS NOT NULL THEN
			outputs := outputs || output;
			CONTINUE;
		END IF;
		SELECT * INTO col FROM featurestore._columns(relation) WHERE name = wanted;
		IF NOT FOUND AND wanted ~ '\[[0-9]{1,6}\]$' THEN
			declared := substring(wanted from '\[([0-9]+)\]$');
			SELECT * INTO col FROM featurestore._columns(relation) WHERE name = regexp_replace(wanted, '\[[0-9]+\]$', '');
		END IF;
		IF col.name IS NULL THEN
			PERFORM featurestore._item_error(label, 'undefined_column', format('column "%s" does not exist', wanted),
				format('The columns are: %s.', (SELECT string_agg(name, ', ' ORDER BY attnum) FROM featurestore._columns(relation)))
				|| coalesce((SELECT format(' The outputs are: %s.', string_agg(k, ', ' ORDER BY k COLLATE "C")) FROM featurestore.online_table o, jsonb_object_keys(o.outputs) AS k
							 WHERE o.relation = _lookup_outputs.relation HAVING count(*) > 0), ''));
		END IF;
		PERFORM featurestore._check_readable(label, relation, ARRAY[col.name]);
		IF declared IS NOT NULL AND (declared::int = 0 OR NOT EXISTS (SELECT FROM pg_type WHERE oid = col.type_oid AND typcategory = 'A')) THEN
			PERFORM featurestore._item_error(label, 'datatype_mismatch', format('"%s" declares the length of what is no array, or none', wanted));
		ELSIF declared IS NULL AND EXISTS (SELECT FROM pg_type t JOIN pg_type e ON e.oid = t.typelem
										   WHERE t.oid = col.type_oid AND t.typcategory = 'A' AND e.typcategory IN ('N', 'B')) THEN
			declared := featurestore._array_length(relation, col.name);
		END IF;
		outputs := outputs || jsonb_build_object('name', coalesce(definition->'rename_outputs'->>col.name, col.name), 'column', col.name,
			'type', col.type, 'coll', col.coll, 'length', declared::int, 'is_declared', wanted <> col.name);
	END LOOP;
	RETURN outputs;
END
$$;
COMMENT ON FUNCTION featurestore._lookup_outputs(text, regclass, jsonb, jsonb, text) IS 'internal: outputs of a lookup';

/*
 * Defaults of a lookup as text by output, checked against the outputs' types.
 * The text is one that means the same in every session.
 */
CREATE FUNCTION featurestore._lookup_defaults(label text, outputs jsonb, default_values jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET extra_float_digits = 1
	AS $$
DECLARE
	defaults jsonb := '{}';
	entry record;
	type text;
	value text;
BEGIN
	FOR entry IN SELECT * FROM jsonb_each(default_values) LOOP
		SELECT o->>'type' INTO type FROM jsonb_array_elements(outputs) AS o WHERE o->>'name' = entry.key;
		IF NOT FOUND THEN
			PERFORM featurestore._item_error(label, 'undefined_column', format('default_values names "%s", which is no output', entry.key),
				'Defaults go by the name of the output, after renaming.');
		END IF;
		BEGIN
			EXECUTE format('SELECT x::text FROM jsonb_to_record($1) AS t(x %s)', type) INTO value USING jsonb_build_object('x', entry.value);
		EXCEPTION WHEN data_exception OR check_violation OR not_null_violation THEN
			PERFORM featurestore._item_error(label, SQLSTATE, format('default of output "%s": %s', entry.key, SQLERRM));
		END;
		IF jsonb_typeof(entry.value) = 'array' AND EXISTS (SELECT FROM jsonb_array_elements(outputs) AS o WHERE o->>'name' = entry.key
				AND (o->>'is_declared')::boolean AND o->'length' <> to_jsonb(jsonb_array_length(entry.value))) THEN
			PERFORM featurestore._item_error(label, 'array_subscript_error', format('default of output "%s" is not of the declared length', entry.key));
		END IF;
		defaults := defaults || jsonb_build_object(entry.key, value);
	END LOOP;
	RETURN defaults;
END
$$;
COMMENT ON FUNCTION featurestore._lookup_defaults(text, jsonb, jsonb) IS 'internal: defaults of a lookup';

/* Raises 42809 for what cannot be looked up: other than tables and their like, temporary ones, feature specs. */
CREATE FUNCTION featurestore._check_looked_up(label text, relation regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	class pg_class := (SELECT c FROM pg_class AS c WHERE c.oid = relation);
BEGIN
	IF class.relkind NOT IN ('r', 'p', 'v', 'm', 'f') THEN
		PERFORM featurestore._item_error(label, 'wrong_object_type', 'it has no rows to look up', 'Give a table, view, materialized view or foreign table.');
	ELSIF class.relpersistence = 't' THEN
		PERFORM featurestore._item_error(label, 'wrong_object_type', 'it is temporary', 'A feature spec outlives the session, and so must what it reads.');
	ELSIF EXISTS (SELECT FROM featurestore.spec AS s WHERE s.relation = class.oid) THEN
		PERFORM featurestore._item_error(label, 'wrong_object_type', 'it is a feature spec', 'Look up the tables that it reads.');
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_looked_up(text, regclass) IS 'internal: checks that a relation can be looked up';

/* Raises 22023 unless rename_outputs and default_values are objects of the right form. */
CREATE FUNCTION featurestore._check_output_options(label text, definition jsonb) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF jsonb_typeof(definition->'rename_outputs') <> 'object' OR jsonb_typeof(definition->'default_values') <> 'object' THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'rename_outputs and default_values must be json objects');
	ELSIF EXISTS (SELECT FROM jsonb_each(definition->'rename_outputs') WHERE jsonb_typeof(value) <> 'string') THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'rename_outputs must map names to names',
			format('Write it as {"%s": "output"}.', CASE WHEN definition ? 'table' THEN 'column' ELSE 'feature' END));
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_output_options(text, jsonb) IS 'internal: checks the options of an item that name outputs';

/*
 * Resolves a lookup: {table, keys, time, outputs, defaults, max_age, max_lag,
 * needs}.  Outputs over windows are a lookup of their own, without a time: their
 * states know by themselves what was when.
 */
CREATE FUNCTION featurestore._resolve_lookup(label text, definition jsonb) RETURNS SETOF jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	target regclass := (definition->>'table')::regclass;
	keys jsonb;
	time_column text;
	outputs jsonb;
	max_age bigint := featurestore._bound(label, 'max_age', (definition->>'max_age')::interval);
	max_lag bigint := featurestore._bound(label, 'max_lag', (definition->>'max_lag')::interval);
	unknown text;
BEGIN
	IF target IS NULL THEN
		PERFORM featurestore._item_error(label, 'null_value_not_allowed', 'table_name must not be null');
	END IF;
	PERFORM featurestore._check_looked_up(label, target);
	IF (SELECT relpersistence = 't' FROM pg_class WHERE oid = target) THEN
		PERFORM featurestore._item_error(label, 'wrong_object_type', 'the table is temporary', 'A feature spec outlives the session.');
	END IF;
	PERFORM featurestore._check_output_options(label, definition);
	keys := featurestore._lookup_keys(label, target, ARRAY(SELECT jsonb_array_elements_text(nullif(definition->'lookup_key', 'null'))));
	time_column := featurestore._lookup_time(label, target, ARRAY(SELECT k->>'column' FROM jsonb_array_elements(keys) AS k));
	PERFORM featurestore._check_readable(label, target, array_remove(ARRAY(SELECT k->>'column' FROM jsonb_array_elements(keys) AS k) || time_column, NULL));
	outputs := featurestore._lookup_outputs(label, target, definition, keys, time_column);

	SELECT r INTO unknown FROM jsonb_object_keys(definition->'rename_outputs') AS r
	WHERE r NOT IN (SELECT coalesce(o->>'feature', o->>'column') FROM jsonb_array_elements(outputs) AS o);
	IF FOUND THEN
		PERFORM featurestore._item_error(label, 'undefined_column', format('rename_outputs names "%s", which is no feature of the lookup', unknown));
	END IF;
	IF max_age IS NOT NULL AND time_column IS NULL THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'max_age needs a table with a timeseries column',
			'Register it with featurestore.create_online_table(..., timeseries_column => ...).');
	END IF;
	IF max_lag IS NOT NULL AND NOT EXISTS (SELECT FROM featurestore.publication AS p WHERE p.relation = target)
		AND NOT EXISTS (SELECT FROM featurestore.staging AS s WHERE s.online_table = target) THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'max_lag needs a published table',
			'Publish it with featurestore.publish_table.');
	END IF;
	RETURN QUERY SELECT jsonb_build_object('table', featurestore._relation_name(target), 'keys', keys, 'outputs', jsonb_agg(o ORDER BY n),
			'defaults', featurestore._lookup_defaults(label, outputs, definition->'default_values'), 'max_lag', max_lag)
		|| CASE WHEN has_windows THEN '{}' ELSE jsonb_build_object('time', time_column, 'max_age', max_age,
			'time_type', (SELECT type FROM featurestore._columns(target) WHERE name = time_column)) END
	FROM jsonb_array_elements(outputs) WITH ORDINALITY AS e(o, n), starts_with(coalesce(o ->> 'expression', ''), 'featurestore.window_value') AS has_windows
	GROUP BY has_windows ORDER BY has_windows;
	IF outputs = '[]' THEN
		RETURN NEXT jsonb_build_object('table', featurestore._relation_name(target), 'keys', keys, 'time', time_column,
			'time_type', (SELECT type FROM featurestore._columns(target) WHERE name = time_column), 'outputs', outputs, 'defaults', '{}'::jsonb, 'max_age', max_age, 'max_lag', max_lag);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._resolve_lookup(text, jsonb) IS 'internal: resolves a lookup item';

/*
 * A feature as an output: {feature (its name without schema), name, table,
 * entity, column (of states), type, expression, length, is_declared}.  wanted
 * may end in '[length]'.  For training a feature need not be materialized; then
 * the table is its view, and there is no column.
 */
CREATE FUNCTION featurestore._feature_output(label text, wanted text, rename_outputs jsonb, for_training boolean) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	feature text := wanted;
	length int;
	made record;
	type pg_type;
BEGIN
	SELECT * INTO made FROM featurestore._materialized_feature(feature);
	IF NOT FOUND AND wanted ~ '\[[0-9]{1,6}\]$' THEN
		feature := regexp_replace(wanted, '\[[0-9]+\]$', '');
		length := substring(wanted from '\[([0-9]+)\]$');
		SELECT * INTO made FROM featurestore._materialized_feature(feature);
	END IF;
	IF NOT FOUND THEN
		PERFORM featurestore._item_error(label, 'undefined_object', format('feature "%s" does not exist', feature),
			'Features are made with featurestore.register_feature.');
	ELSIF made.relation IS NULL AND NOT for_training THEN
		PERFORM featurestore._item_error(label, 'object_not_in_prerequisite_state', format('feature "%s" is not materialized', feature),
			'Materialize it with featurestore.materialize_features.');
	END IF;
	feature := (parse_ident(feature))[2];
	SELECT * INTO type FROM pg_type AS t WHERE t.oid = made.result_type::regtype;
	IF length = 0 OR (length IS NOT NULL AND type.typcategory <> 'A') THEN
		PERFORM featurestore._item_error(label, 'datatype_mismatch', format('"%s" declares the length of what is no array, or none', wanted));
	END IF;
	RETURN jsonb_build_object('feature', feature, 'name', coalesce(rename_outputs->>feature, feature),
		'table', featurestore._relation_name(coalesce(made.relation, made.feature)), 'entity', made.entity, 'column', made.state_column,
		'type', format_type(type.oid, -1), 'length', length, 'is_declared', length IS NOT NULL,
		'expression', format('featurestore.window_value(%s, %L, %L::featurestore.time_window, v.as_of, NULL::%I.%I)',
			coalesce('t.' || quote_ident(made.state_column), 'NULL::featurestore.window_state'), made.call, made.time_window, (SELECT nspname FROM pg_namespace WHERE oid = type.typnamespace), type.typname));
END
$$;
COMMENT ON FUNCTION featurestore._feature_output(text, text, jsonb, boolean) IS 'internal: a feature as an output';

/* The outputs of a feature item, checked; see _feature_output. */
CREATE FUNCTION featurestore._feature_outputs(label text, definition jsonb, for_training boolean) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	names text[] := ARRAY(SELECT jsonb_array_elements_text(nullif(definition->'names', 'null')));
	lookup_key jsonb := nullif(definition->'lookup_key', 'null');
	outputs jsonb;
	unknown text;
	other record;
BEGIN
	IF names = '{}' OR array_position(names, NULL) IS NOT NULL THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'names must name features');
	END IF;
	PERFORM featurestore._check_output_options(label, definition);
	outputs := (SELECT jsonb_agg(featurestore._feature_output(label, name, definition->'rename_outputs', for_training) ORDER BY n) FROM unnest(names) WITH ORDINALITY AS u(name, n));
	SELECT r INTO unknown FROM jsonb_object_keys(definition->'rename_outputs') AS r
	WHERE r NOT IN (SELECT o->>'feature' FROM jsonb_array_elements(outputs) AS o);
	IF FOUND THEN
		PERFORM featurestore._item_error(label, 'undefined_object', format('rename_outputs names "%s", which is no feature of the item', unknown),
			format('Its features are: %s.', (SELECT string_agg(o->>'feature', ', ' ORDER BY n) FROM jsonb_array_elements(outputs) WITH ORDINALITY AS e(o, n))));
	END IF;
	SELECT o->>'feature' AS feature, o->'entity' AS entity INTO other FROM jsonb_array_elements(outputs) AS o
	WHERE jsonb_array_length(o->'entity') <> jsonb_array_length(lookup_key) LIMIT 1;
	IF FOUND THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value', format('lookup_key {%s} does not fit feature "%s"',
				array_to_string(ARRAY(SELECT jsonb_array_elements_text(lookup_key)), ','), other.feature),
			format('Its entity is: %s.', array_to_string(ARRAY(SELECT jsonb_array_elements_text(other.entity)), ', ')));
	END IF;
	RETURN outputs;
END
$$;
COMMENT ON FUNCTION featurestore._feature_outputs(text, jsonb, boolean) IS 'internal: outputs of a feature item';

/* Resolves a feature item: a lookup, as of _resolve_lookup, for each table that its features are in. */
CREATE FUNCTION featurestore._resolve_features(label text, nth int, definition jsonb, for_training boolean) RETURNS SETOF jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	outputs jsonb := featurestore._feature_outputs(label, definition, for_training);
	defaults jsonb := featurestore._lookup_defaults(label, outputs, definition->'default_values');
	lookup_key text[] := ARRAY(SELECT jsonb_array_elements_text(nullif(definition->'lookup_key', 'null')));
	part record;
	keys jsonb;
	columns text[];
	time_column text;
BEGIN
	FOR part IN
		SELECT (o->>'table')::regclass AS target, format('item %s (feature of %s)', nth, o->>'table') AS label,
			   jsonb_agg(o - '{feature,table,entity}'::text[] ORDER BY n) AS outputs, array_agg(o->>'column' ORDER BY n) AS states,
			   bool_or(o->>'column' IS NULL) AS is_computed,
			   ARRAY(SELECT jsonb_array_elements_text((array_agg(o->'entity' ORDER BY n))[1])) AS entity
		FROM jsonb_array_elements(outputs) WITH ORDINALITY AS e(o, n)
		GROUP BY o->>'table' ORDER BY min(n)
	LOOP
		keys := featurestore._lookup_keys(part.label, part.target, coalesce(nullif(lookup_key, '{}'), part.entity), CASE WHEN part.is_computed THEN part.entity END);
		columns := ARRAY(SELECT k->>'column' FROM jsonb_array_elements(keys) AS k);
		time_column := featurestore._lookup_time(part.label, part.target, columns);
		PERFORM featurestore._check_readable(part.label, part.target, array_remove(columns || part.states || time_column, NULL));
		RETURN NEXT jsonb_build_object('label', part.label, 'table', featurestore._relation_name(part.target), 'keys', keys, 'time', time_column,
			'time_type', (SELECT c.type FROM featurestore._columns(part.target) AS c WHERE c.name = time_column), 'outputs', part.outputs,
			'defaults', defaults);
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._resolve_features(text, int, jsonb, boolean) IS 'internal: resolves a feature item';

/* Resolves an expression or a feature function: {sql, function, needs, outputs}. */
CREATE FUNCTION featurestore._resolve_computed(label text, kind text, definition jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	sql text := definition->>'sql';
	bindings jsonb := definition->'input_bindings';
BEGIN
	IF kind = 'feature_function' THEN
		IF definition->>'call' IS NULL THEN
			PERFORM featurestore._item_error(label, 'null_value_not_allowed', 'function must not be null');
		ELSIF (CASE jsonb_typeof(bindings) WHEN 'object' THEN EXISTS (SELECT FROM jsonb_each(bindings) WHERE jsonb_typeof(value) <> 'string')
				WHEN 'array' THEN EXISTS (SELECT FROM jsonb_array_elements(bindings) AS b WHERE jsonb_typeof(b) <> 'string') END) THEN
			PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'input_bindings must give names', 'Write a constant into an expression, and bind to that.');
		ELSIF jsonb_typeof(bindings) = 'object' THEN
			sql := (SELECT string_agg(format('%I => %I', key, value), ', ') FROM jsonb_each_text(bindings));
		ELSIF jsonb_typeof(bindings) = 'array' THEN
			sql := (SELECT string_agg(quote_ident(value), ', ' ORDER BY n) FROM jsonb_array_elements_text(bindings) WITH ORDINALITY AS b(value, n));
		ELSE
			PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'input_bindings must be a json object or array');
		END IF;
		sql := format('%s(%s)', definition->>'call', sql);
	ELSIF sql IS NULL THEN
		PERFORM featurestore._item_error(label, 'null_value_not_allowed', 'sql must not be null');
	END IF;
	BEGIN
		RETURN jsonb_build_object('sql', sql, 'function', definition->'function', 'needs', to_jsonb(featurestore._expression_columns(sql)),
			'outputs', jsonb_build_array(jsonb_build_object('name', definition->'output_name')));
	EXCEPTION WHEN syntax_error OR feature_not_supported THEN
		PERFORM featurestore._item_error(label, SQLSTATE, SQLERRM);
	END;
END
$$;
COMMENT ON FUNCTION featurestore._resolve_computed(text, text, jsonb) IS 'internal: resolves an expression or feature function';

/* Resolves all items, each with its label, kind and outputs; for training they may name features that are not materialized. */
CREATE FUNCTION featurestore._resolve_items(items featurestore.spec_item[], for_training boolean DEFAULT false) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	resolved jsonb := '[]';
	part jsonb;
	label text;
	item featurestore.spec_item;
BEGIN
	IF coalesce(cardinality(items), 0) = 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'a feature spec needs at least one item';
	END IF;
	FOR i IN array_lower(items, 1) .. array_upper(items, 1) LOOP
		item := items[i];
		label := format('item %s (%s%s)', i, coalesce(item.kind, 'null'),
			coalesce(' of ' || (item.definition->>'table'), ' "' || coalesce(item.definition->>'output_name', item.definition->>'name') || '"'));
		IF item.kind = 'feature' THEN
			resolved := resolved || (SELECT jsonb_agg(f || '{"kind": "lookup"}'::jsonb) FROM featurestore._resolve_features(label, i, item.definition, for_training) AS f);
			CONTINUE;
		ELSIF item.kind = 'lookup' THEN
			resolved := resolved || (SELECT jsonb_agg(l || jsonb_build_object('label', label, 'kind', 'lookup')) FROM featurestore._resolve_lookup(label, item.definition) AS l);
			CONTINUE;
		END IF;
		CASE
			WHEN item.kind IN ('expression', 'feature_function') THEN
				part := featurestore._resolve_computed(label, item.kind, item.definition);
			WHEN item.kind = 'request_field' THEN
				part := featurestore._resolve_field(label, item.definition);
			ELSE
				PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'unknown kind of item',
					'Make items with featurestore.lookup, feature, request_field, expression or feature_function.');
		END CASE;
		resolved := resolved || (part || jsonb_build_object('label', label, 'kind', item.kind));
	END LOOP;
	PERFORM featurestore._check_output_names(resolved);
	RETURN resolved;
END
$$;
COMMENT ON FUNCTION featurestore._resolve_items(featurestore.spec_item[], boolean) IS 'internal: resolves the items of a spec';

/* Resolves a request field; only scalars, for an array is many rows. */
CREATE FUNCTION featurestore._resolve_field(label text, definition jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	type regtype := (definition->>'type')::regtype;
BEGIN
	IF type IS NULL THEN
		PERFORM featurestore._item_error(label, 'null_value_not_allowed', 'type must not be null');
	ELSIF EXISTS (SELECT FROM pg_type WHERE oid = type AND (typtype = 'p' OR typcategory = 'A')) THEN
		PERFORM featurestore._item_error(label, 'datatype_mismatch', format('a request field cannot be of type %s', type),
			'Use a scalar type; several numbers can be several fields.');
	END IF;
	RETURN jsonb_build_object('outputs', jsonb_build_array(jsonb_build_object('name', definition->'name', 'type', type)));
END
$$;
COMMENT ON FUNCTION featurestore._resolve_field(text, jsonb) IS 'internal: resolves a request field';

/* Outputs must have names, of at most 63 bytes, that are not taken. */
CREATE FUNCTION featurestore._check_output_names(resolved jsonb) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	output record;
BEGIN
	FOR output IN
		SELECT i->>'label' AS label, o->>'name' AS name,
			   first_value(i->>'label') OVER (PARTITION BY o->>'name' ORDER BY n, m) AS taken_by,
			   row_number() OVER (PARTITION BY o->>'name' ORDER BY n, m) AS nth
		FROM jsonb_array_elements(resolved) WITH ORDINALITY AS r(i, n),
			 jsonb_array_elements(i->'outputs') WITH ORDINALITY AS p(o, m)
		ORDER BY n, m
	LOOP
		IF coalesce(output.name, '') = '' THEN
			PERFORM featurestore._item_error(output.label, 'invalid_name', 'an output needs a name');
		ELSIF octet_length(output.name) > 63 THEN
			PERFORM featurestore._item_error(output.label, 'name_too_long', format('output name "%s" is too long', output.name), 'A name has at most 63 bytes.');
		ELSIF output.name = 'as_of' THEN
			PERFORM featurestore._item_error(output.label, 'reserved_name', 'the name as_of is that of the lookup''s time');
		ELSIF output.nth > 1 THEN
			PERFORM featurestore._item_error(output.label, 'duplicate_column',
				format('output "%s" is also given by %s', output.name, output.taken_by), 'Rename one of them with rename_outputs.');
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._check_output_names(jsonb) IS 'internal: checks the names of outputs';

/*
 * The arguments of the request, {name, type, collation, is_field}, in order of
 * first appearance: request fields, and the keys of lookups that no other item
 * gives, which have the type of the column they are first looked up in.
 */
CREATE FUNCTION featurestore._request_arguments(resolved jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
	WITH item AS (
		SELECT i, n FROM jsonb_array_elements(resolved) WITH ORDINALITY AS r(i, n)
	), field AS (
		SELECT o->>'name' AS name, o->>'type' AS type FROM item, jsonb_array_elements(i->'outputs') AS o
		WHERE i->>'kind' = 'request_field'
	), wanted AS (
		SELECT n, 0 AS m, name, NULL::text AS type, NULL::text AS coll
		FROM item, jsonb_to_recordset(i->'outputs') AS o(name text) WHERE i->>'kind' = 'request_field'
		UNION ALL
		SELECT n, m, k->>'from', c.type, c.coll
		FROM item, jsonb_array_elements(i->'keys') WITH ORDINALITY AS e(k, m), featurestore._columns((i->>'table')::regclass) AS c
		WHERE c.name = k->>'column' AND NOT EXISTS (
			SELECT FROM item AS other, jsonb_array_elements(other.i->'outputs') AS o
			WHERE other.n <> item.n AND o->>'name' = k->>'from' AND other.i->>'kind' <> 'request_field')
	), argument AS (
		SELECT DISTINCT ON (w.name) w.n, w.m, w.name, coalesce(f.type, w.type) AS type,
			   CASE WHEN f.type IS NULL THEN w.coll END AS coll, f.type IS NOT NULL AS is_field
		FROM wanted AS w LEFT JOIN field AS f USING (name) ORDER BY w.name, w.n, w.m
	)
	SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'type', type, 'coll', coll, 'is_field', is_field) ORDER BY n, m), '[]')
	FROM argument
$$;
COMMENT ON FUNCTION featurestore._request_arguments(jsonb) IS 'internal: arguments of a spec';

/* Arguments must have names that are usable, and not those of outputs. */
CREATE FUNCTION featurestore._check_arguments(resolved jsonb, arguments jsonb) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	argument record;
BEGIN
	IF arguments = '[]' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_object_definition', MESSAGE = 'the feature spec takes nothing from the request',
			HINT = 'At least one key must come with the request.';
	ELSIF jsonb_array_length(arguments) > 90 THEN
		RAISE EXCEPTION USING ERRCODE = 'too_many_arguments', MESSAGE = 'a feature spec cannot have more than 90 keys and request fields';
	END IF;
	FOR argument IN
		SELECT a->>'name' AS name, i->>'label' AS label,
			   EXISTS (SELECT FROM jsonb_array_elements(i->'outputs') AS o WHERE o->>'name' = a->>'name') AS is_own
		FROM jsonb_array_elements(arguments) AS a, jsonb_array_elements(resolved) AS i, jsonb_array_elements(i->'keys') AS k
		WHERE i->>'kind' = 'lookup' AND k->>'from' = a->>'name'
	LOOP
		IF argument.name = '' OR argument.name = 'as_of' THEN
			PERFORM featurestore._item_error(argument.label, 'invalid_name', format('a key cannot be named "%s"', argument.name));
		ELSIF octet_length(argument.name) > 63 THEN
			PERFORM featurestore._item_error(argument.label, 'name_too_long', format('key name "%s" is too long', argument.name), 'A name has at most 63 bytes.');
		ELSIF argument.is_own THEN
			PERFORM featurestore._item_error(argument.label, 'duplicate_column', format('output "%s" has the name of a key of the request', argument.name),
				'Leave it out of feature_names or rename it with rename_outputs.');
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._check_arguments(jsonb, jsonb) IS 'internal: checks the arguments of a spec';

/* Puts items in an order in which each comes after what it needs. */
CREATE FUNCTION featurestore._order_items(resolved jsonb, arguments jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	known text[] := ARRAY(SELECT a->>'name' FROM jsonb_array_elements(arguments) AS a) || 'as_of'::text;
	given text[] := ARRAY(SELECT o->>'name' FROM jsonb_array_elements(resolved) AS i, jsonb_array_elements(i->'outputs') AS o);
	todo jsonb := (SELECT coalesce(jsonb_agg(i ORDER BY n), '[]') FROM jsonb_array_elements(resolved) WITH ORDINALITY AS r(i, n) WHERE i->>'kind' <> 'request_field');
	ordered jsonb := '[]';
	later jsonb;
	item jsonb;
	needs text[];
	missing text;
BEGIN
	WHILE todo <> '[]' LOOP
		later := '[]';
		FOR item IN SELECT i FROM jsonb_array_elements(todo) WITH ORDINALITY AS r(i, n) ORDER BY n LOOP
			needs := ARRAY(SELECT jsonb_array_elements_text(item->'needs')) || ARRAY(SELECT k->>'from' FROM jsonb_array_elements(item->'keys') AS k);
			SELECT name INTO missing FROM unnest(needs) AS name WHERE name <> ALL (known || given);
			IF FOUND THEN
				PERFORM featurestore._item_error(item->>'label', 'undefined_column', format('"%s" is neither an output nor in the request', missing),
					'Name an output of another item, a request field, or a key that a lookup takes from the request.');
			ELSIF needs <@ known THEN
				ordered := ordered || item;
				known := known || ARRAY(SELECT o->>'name' FROM jsonb_array_elements(item->'outputs') AS o);
			ELSE
				later := later || item;
			END IF;
		END LOOP;
		IF later = todo THEN
			RAISE EXCEPTION USING ERRCODE = 'invalid_object_definition', MESSAGE = 'items of the feature spec depend on each other in a circle',
				DETAIL = format('They are: %s.', (SELECT string_agg(i->>'label', ', ' ORDER BY n) FROM jsonb_array_elements(todo) WITH ORDINALITY AS r(i, n)));
		END IF;
		todo := later;
	END LOOP;
	RETURN ordered;
END
$$;
COMMENT ON FUNCTION featurestore._order_items(jsonb, jsonb) IS 'internal: the order in which the items of a spec run';
