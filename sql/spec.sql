/*
 * Feature specs: from items to a view, its functions and a catalog row.
 *
 * Each item is first resolved by itself: what it gives ("outputs", each with a
 * name), what it takes ("keys" of lookups, "needs" of all).  Then names are
 * bound, items put in the order they can run in, and the view composed level
 * by level, as src/catalog/spec.h describes.  The parser checks each level;
 * the lookup's own loader has the last word on the whole.
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
 * from is the name of a key of the request or an output.
 */
CREATE FUNCTION featurestore._lookup_keys(label text, relation regclass, lookup_key text[]) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	key_columns text[] := ARRAY(SELECT DISTINCT c FROM featurestore._unique_keys(relation) AS k, unnest(k.columns) AS c);
	primary_key text[] := (SELECT columns FROM featurestore._unique_keys(relation) WHERE is_primary);
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
COMMENT ON FUNCTION featurestore._lookup_keys(text, regclass, text[]) IS 'internal: binds lookup_key to columns';

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

/*
 * The outputs of a lookup: {name, column, type, collation, length, is_declared
 * (the length)}.  Without feature_names all columns that are neither in the
 * primary key, nor looked up by, nor the event time.
 */
CREATE FUNCTION featurestore._lookup_outputs(label text, relation regclass, definition jsonb, keys jsonb, time_column text) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	feature_names text[];
	no_feature text[] := ARRAY(SELECT k->>'column' FROM jsonb_array_elements(keys) AS k)
		|| (SELECT columns FROM featurestore._unique_keys(relation) WHERE is_primary) || time_column;
	outputs jsonb := '[]';
	wanted text;
	declared text;
	col record;
BEGIN
	IF definition->'feature_names' = 'null' THEN
		feature_names := ARRAY(SELECT name FROM featurestore._columns(relation) WHERE name <> ALL (array_remove(no_feature, NULL)));
	ELSE
		feature_names := ARRAY(SELECT jsonb_array_elements_text(definition->'feature_names'));
	END IF;
	IF array_position(feature_names, NULL) IS NOT NULL THEN
		PERFORM featurestore._item_error(label, 'null_value_not_allowed', 'feature_names must not contain null');
	END IF;
	FOREACH wanted IN ARRAY feature_names LOOP
		declared := NULL;
		SELECT * INTO col FROM featurestore._columns(relation) WHERE name = wanted;
		IF NOT FOUND AND wanted ~ '\[[0-9]{1,6}\]$' THEN
			declared := substring(wanted from '\[([0-9]+)\]$');
			SELECT * INTO col FROM featurestore._columns(relation) WHERE name = regexp_replace(wanted, '\[[0-9]+\]$', '');
		END IF;
		IF col.name IS NULL THEN
			PERFORM featurestore._item_error(label, 'undefined_column', format('column "%s" does not exist', wanted),
				format('The columns are: %s.', (SELECT string_agg(name, ', ' ORDER BY attnum) FROM featurestore._columns(relation))));
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

/* Resolves a lookup: {table, keys, time, outputs, defaults, max_age, max_lag, needs}. */
CREATE FUNCTION featurestore._resolve_lookup(label text, definition jsonb) RETURNS jsonb
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
	IF jsonb_typeof(definition->'rename_outputs') <> 'object' OR jsonb_typeof(definition->'default_values') <> 'object' THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'rename_outputs and default_values must be json objects');
	ELSIF EXISTS (SELECT FROM jsonb_each(definition->'rename_outputs') WHERE jsonb_typeof(value) <> 'string') THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'rename_outputs must map names to names', 'Write it as {"column": "output"}.');
	END IF;
	keys := featurestore._lookup_keys(label, target, ARRAY(SELECT jsonb_array_elements_text(nullif(definition->'lookup_key', 'null'))));
	time_column := featurestore._lookup_time(label, target, ARRAY(SELECT k->>'column' FROM jsonb_array_elements(keys) AS k));
	PERFORM featurestore._check_readable(label, target, array_remove(ARRAY(SELECT k->>'column' FROM jsonb_array_elements(keys) AS k) || time_column, NULL));
	outputs := featurestore._lookup_outputs(label, target, definition, keys, time_column);

	SELECT r INTO unknown FROM jsonb_object_keys(definition->'rename_outputs') AS r
	WHERE r NOT IN (SELECT o->>'column' FROM jsonb_array_elements(outputs) AS o);
	IF FOUND THEN
		PERFORM featurestore._item_error(label, 'undefined_column', format('rename_outputs names "%s", which is no feature of the lookup', unknown));
	END IF;
	IF max_age IS NOT NULL AND time_column IS NULL THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'max_age needs a table with a timeseries column',
			'Register it with featurestore.create_online_table(..., timeseries_column => ...).');
	END IF;
	IF max_lag IS NOT NULL AND NOT EXISTS (SELECT FROM featurestore.publication AS p WHERE p.relation = target) THEN
		PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'max_lag needs a published table',
			'Publish it with featurestore.publish_table.');
	END IF;
	RETURN jsonb_build_object('table', featurestore._relation_name(target), 'keys', keys, 'time', time_column,
		'time_type', (SELECT type FROM featurestore._columns(target) WHERE name = time_column), 'outputs', outputs,
		'defaults', featurestore._lookup_defaults(label, outputs, definition->'default_values'), 'max_age', max_age, 'max_lag', max_lag);
END
$$;
COMMENT ON FUNCTION featurestore._resolve_lookup(text, jsonb) IS 'internal: resolves a lookup item';

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

/* Resolves all items, each with its label, kind and outputs. */
CREATE FUNCTION featurestore._resolve_items(items featurestore.spec_item[]) RETURNS jsonb
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
		CASE
			WHEN item.kind = 'lookup' THEN
				part := featurestore._resolve_lookup(label, item.definition);
			WHEN item.kind IN ('expression', 'feature_function') THEN
				part := featurestore._resolve_computed(label, item.kind, item.definition);
			WHEN item.kind = 'request_field' THEN
				part := featurestore._resolve_field(label, item.definition);
			ELSE
				PERFORM featurestore._item_error(label, 'invalid_parameter_value', 'unknown kind of item',
					'Make items with featurestore.lookup, request_field, expression or feature_function.');
		END CASE;
		resolved := resolved || (part || jsonb_build_object('label', label, 'kind', item.kind));
	END LOOP;
	PERFORM featurestore._check_output_names(resolved);
	RETURN resolved;
END
$$;
COMMENT ON FUNCTION featurestore._resolve_items(featurestore.spec_item[]) IS 'internal: resolves the items of a spec';

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

/*
 * The innermost level of the view: typed NULLs for the request.  Types are
 * without modifiers: a key is compared and given back as it was requested, not
 * as it would be stored.
 */
CREATE FUNCTION featurestore._request_level(arguments jsonb) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT format('SELECT %s, NULL::pg_catalog.timestamptz AS as_of', string_agg(
		format('NULL::%I.%I%s AS %I', s.nspname, t.typname, ' COLLATE ' || (a->>'coll'), a->>'name'), ', ' ORDER BY n))
	FROM jsonb_array_elements(arguments) WITH ORDINALITY AS r(a, n)
	JOIN pg_type t ON t.oid = (a->>'type')::regtype JOIN pg_namespace s ON s.oid = t.typnamespace
$$;
COMMENT ON FUNCTION featurestore._request_level(jsonb) IS 'internal: innermost level of a spec''s view';

/* The level of the view that adds the columns of an item to those below. */
CREATE FUNCTION featurestore._item_level(item jsonb, below text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT CASE WHEN item->>'kind' <> 'lookup' THEN
		format(E'SELECT v.*, (%s\n) AS %I FROM (%s) AS v', item->>'sql', item->'outputs'->0->>'name', below)
	ELSE
		format('SELECT v.*%s FROM (%s) AS v, %s AS t WHERE %s%s',
			(SELECT string_agg(format(', t.%I AS %I', o->>'column', o->>'name'), '' ORDER BY n) FROM jsonb_array_elements(item->'outputs') WITH ORDINALITY AS r(o, n)),
			below, item->>'table',
			(SELECT string_agg(format('t.%I = v.%I', k->>'column', k->>'from'), ' AND ' ORDER BY n) FROM jsonb_array_elements(item->'keys') WITH ORDINALITY AS r(k, n)),
			CASE WHEN item->>'time_type' = 'date' THEN format(' AND t.%I <= (v.as_of AT TIME ZONE ''UTC'')::pg_catalog.date', item->>'time')
				 WHEN item->>'time' IS NOT NULL THEN format(' AND t.%I <= v.as_of', item->>'time') ELSE '' END)
	END
$$;
COMMENT ON FUNCTION featurestore._item_level(jsonb, text) IS 'internal: level of an item in a spec''s view';

/*
 * The columns of the result, in order: keys of the request, then outputs in
 * the order of their items, each with a status beside it if wanted, less what
 * is excluded.  A list of {name, is_status}.
 */
CREATE FUNCTION featurestore._result_columns(resolved jsonb, arguments jsonb, exclude_columns text[], with_status boolean) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	keys text[] := ARRAY(SELECT a->>'name' FROM jsonb_array_elements(arguments) WITH ORDINALITY AS r(a, n) WHERE NOT (a->>'is_field')::boolean ORDER BY n);
	outputs text[] := ARRAY(SELECT o->>'name' FROM jsonb_array_elements(resolved) WITH ORDINALITY AS r(i, n),
							jsonb_array_elements(i->'outputs') WITH ORDINALITY AS p(o, m) ORDER BY n, m);
	result jsonb := '[]';
	name text;
BEGIN
	IF array_position(exclude_columns, NULL) IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'exclude_columns must not contain null';
	END IF;
	FOREACH name IN ARRAY exclude_columns LOOP
		IF name <> ALL (keys || outputs) THEN
			RAISE EXCEPTION USING ERRCODE = 'undefined_column', MESSAGE = format('exclude_columns names "%s", which the feature spec does not have', name),
				HINT = format('It has: %s.', array_to_string(keys || outputs, ', '));
		END IF;
	END LOOP;
	FOREACH name IN ARRAY keys || outputs LOOP
		CONTINUE WHEN name = ANY (exclude_columns);
		result := result || jsonb_build_object('name', name, 'is_status', false);
		CONTINUE WHEN NOT with_status OR name = ANY (keys);
		IF name || '_status' = ANY (keys || outputs) OR octet_length(name) > 56 THEN
			RAISE EXCEPTION USING ERRCODE = 'duplicate_column', MESSAGE = format('the status column of output "%s" cannot be named "%1$s_status"', name),
				DETAIL = 'The name is taken or longer than 63 bytes.', HINT = 'Rename the output with rename_outputs.';
		END IF;
		result := result || jsonb_build_object('name', name, 'is_status', true);
	END LOOP;
	IF result = '[]' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_object_definition', MESSAGE = 'exclude_columns leaves nothing of the feature spec';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._result_columns(jsonb, jsonb, text[], boolean) IS 'internal: columns of a spec''s row';

/*
 * The function that each level of a query calls for its last column, 0 where
 * it is no call, from the inside out.  Raises what the parser does.
 */
CREATE FUNCTION featurestore._called_functions(query text) RETURNS oid[]
	AS 'MODULE_PATHNAME', 'called_functions' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore._called_functions(text) IS 'internal: the functions that the levels of a query call';

/* The same, with names in expressions resolved by the caller's search path. */
CREATE FUNCTION featurestore._parse_levels(query text, caller_path text) RETURNS oid[]
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	called oid[];
BEGIN
	PERFORM set_config('search_path', caller_path, true);
	called := featurestore._called_functions(query);
	PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
	RETURN called;
END
$$;
COMMENT ON FUNCTION featurestore._parse_levels(text, text) IS 'internal: parses the query of a spec''s view';

/* Raises the error that the parser has about a spec's query, naming the item it is about. */
CREATE FUNCTION featurestore._blame_item(arguments jsonb, ordered jsonb, caller_path text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	level text := featurestore._request_level(arguments);
	item jsonb;
	message text;
	hint text;
BEGIN
	FOR item IN SELECT i FROM jsonb_array_elements(ordered) WITH ORDINALITY AS r(i, n) ORDER BY n LOOP
		level := featurestore._item_level(item, level);
		BEGIN
			PERFORM featurestore._parse_levels(level, caller_path);
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
			IF SQLSTATE = '42883' AND item->>'kind' = 'lookup' THEN
				PERFORM featurestore._item_error(item->>'label', 'datatype_mismatch', 'key does not fit: ' || message, 'Give keys the types of the columns they are looked up in.');
			END IF;
			PERFORM featurestore._item_error(item->>'label', SQLSTATE, message, nullif(hint, ''));
		END;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._blame_item(jsonb, jsonb, text) IS 'internal: raises the error of an item in a spec''s query';

/* Of overloaded functions the parser must have taken the one that was asked for. */
CREATE FUNCTION featurestore._check_called(ordered jsonb, called oid[]) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	other record;
BEGIN
	SELECT i->>'label' AS label, i->>'function' AS wanted, f::regprocedure::text AS function INTO other
	FROM jsonb_array_elements(ordered) WITH ORDINALITY AS r(i, n) JOIN unnest(called) WITH ORDINALITY AS c(f, n) USING (n)
	WHERE i->>'kind' = 'feature_function' AND f <> (i->>'function')::regprocedure LIMIT 1;
	IF FOUND THEN
		PERFORM featurestore._item_error(other.label, 'ambiguous_function', format('inputs of these types would call %s, not %s',
			coalesce(nullif(other.function, '-'), 'another function'), other.wanted), 'Convert the inputs to the types of its parameters with an expression.');
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_called(jsonb, oid[]) IS 'internal: checks which functions a spec''s query calls';

/* The view's query, checked by the parser. */
CREATE FUNCTION featurestore._spec_query(arguments jsonb, ordered jsonb, result jsonb, caller_path text) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	levels text := featurestore._request_level(arguments);
	statement text;
	item jsonb;
	called oid[];
BEGIN
	FOR item IN SELECT i FROM jsonb_array_elements(ordered) WITH ORDINALITY AS r(i, n) ORDER BY n LOOP
		levels := featurestore._item_level(item, levels);
	END LOOP;
	statement := format('SELECT %s FROM (%s) AS v WHERE false',
		(SELECT string_agg(CASE WHEN (c->>'is_status')::boolean THEN format('NULL::pg_catalog.text AS %I', (c->>'name') || '_status')
								ELSE format('v.%I', c->>'name') END, ', ' ORDER BY n)
		 FROM jsonb_array_elements(result) WITH ORDINALITY AS r(c, n)), levels);
	BEGIN
		called := featurestore._parse_levels(statement, caller_path);
	EXCEPTION WHEN OTHERS THEN
		PERFORM featurestore._blame_item(arguments, ordered, caller_path);
		RAISE;
	END;
	PERFORM featurestore._check_called(ordered, called);
	RETURN statement;
END
$$;
COMMENT ON FUNCTION featurestore._spec_query(jsonb, jsonb, jsonb, text) IS 'internal: query of a spec''s view';

/* What the loader needs besides the view; see src/catalog/spec_load.c. */
CREATE FUNCTION featurestore._spec_steps(arguments jsonb, ordered jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT jsonb_build_object(
		'fields', (SELECT coalesce(jsonb_agg(a->'name'), '[]') FROM jsonb_array_elements(arguments) AS a WHERE (a->>'is_field')::boolean),
		'items', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', i->'label', 'max_age', i->'max_age', 'max_lag', i->'max_lag', 'defaults', i->'defaults',
				'lengths', (SELECT jsonb_object_agg(o->>'name', o->'length') FROM jsonb_array_elements(i->'outputs') AS o WHERE o->>'length' IS NOT NULL))
				ORDER BY n), '[]') FROM jsonb_array_elements(ordered) WITH ORDINALITY AS r(i, n)))
$$;
COMMENT ON FUNCTION featurestore._spec_steps(jsonb, jsonb) IS 'internal: catalog form of the items of a spec';

/*
 * The weakest parallel label of what a spec runs: SAFE, RESTRICTED or UNSAFE.
 * Loads the spec, and so raises what is wrong with it: items that are not
 * IMMUTABLE (42P17), keys of the wrong type (42804) or not unique (55000).
 */
CREATE FUNCTION featurestore._check_spec(spec regclass) RETURNS text
	AS 'MODULE_PATHNAME', 'check_spec' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._check_spec(regclass) IS 'internal: checks a spec and gives its parallel label';

/*
 * The functions of a spec that exist, each with the suffix of its kind, the
 * typed one first: those that depend on its type and call a lookup with it,
 * whatever they were renamed to.
 */
CREATE FUNCTION featurestore._spec_functions(spec regclass, OUT function regprocedure, OUT suffix text) RETURNS SETOF record
	LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT DISTINCT p.oid::regprocedure, CASE WHEN l.proname ~ '^_lookup_vectors' THEN '_vectors' WHEN l.proname ~ '^_lookup_matrix' THEN '_matrix'
											  WHEN a.typcategory = 'A' THEN '_batch' ELSE '' END AS suffix
	FROM pg_class c
	JOIN pg_depend d ON d.refclassid IN ('pg_type'::regclass, 'pg_class'::regclass) AND d.refobjid IN (c.oid, c.reltype) AND d.classid = 'pg_proc'::regclass
	JOIN pg_proc p ON p.oid = d.objid
	JOIN pg_type a ON a.oid = p.proargtypes[0]
	JOIN pg_depend e ON e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.refclassid = 'pg_proc'::regclass
	JOIN pg_proc l ON l.oid = e.refobjid AND l.pronamespace = 'featurestore'::regnamespace AND l.proname ~ '^_lookup_(rows|vectors|matrix)'
	WHERE c.oid = spec
	ORDER BY suffix
$$;
COMMENT ON FUNCTION featurestore._spec_functions(regclass) IS 'internal: functions of a spec';

/* Makes, or replaces in place, the functions of a spec. */
CREATE FUNCTION featurestore._create_spec_functions(spec regclass, arguments jsonb, parallel text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	exists boolean := EXISTS (SELECT FROM featurestore._spec_functions(spec));
	variant text := CASE parallel WHEN 'SAFE' THEN '' ELSE '_restricted' END;
	passed text := (SELECT string_agg(format('$%s', n), ', ' ORDER BY n) FROM jsonb_array_elements(arguments) WITH ORDINALITY AS r(a, n));
	scalars text := (SELECT string_agg(format('%I %s', a->>'name', (a->>'type')::regtype), ', ' ORDER BY n) FROM jsonb_array_elements(arguments) WITH ORDINALITY AS r(a, n));
	arrays text := (SELECT string_agg(format('%I %s[]', a->>'name', (a->>'type')::regtype), ', ' ORDER BY n) FROM jsonb_array_elements(arguments) WITH ORDINALITY AS r(a, n));
	form record;
BEGIN
	FOR form IN
		SELECT f.*, n.nspname, c.relname || f.suffix AS name
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, (VALUES
			('', scalars, 'SETOF %s', 'ROWS 1', 'rows', 'SELECT * FROM'),
			('_batch', arrays, 'SETOF %s', 'ROWS 100', 'rows', 'SELECT * FROM'),
			('_vectors', arrays, 'SETOF real[]', 'ROWS 100', 'vectors', 'SELECT * FROM'),
			('_matrix', arrays, 'bytea', '', 'matrix', 'SELECT')) AS f(suffix, arguments, result, rows, family, call)
		WHERE c.oid = spec
	LOOP
		EXECUTE format('CREATE %s FUNCTION %I.%I(%s, as_of timestamptz DEFAULT NULL) RETURNS %s LANGUAGE sql STABLE PARALLEL %s %s '
			'BEGIN ATOMIC %s featurestore._lookup_%s%s(NULL::%s, $%s, %s); END',
			CASE WHEN exists THEN 'OR REPLACE' END, form.nspname, form.name, form.arguments,
			format(form.result, featurestore._relation_name(spec)), parallel, form.rows, form.call, form.family, variant,
			featurestore._relation_name(spec), jsonb_array_length(arguments) + 1, passed);
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._create_spec_functions(regclass, jsonb, text) IS 'internal: makes the functions of a spec';

/* Drops a spec's functions and view. Raises 2BP01, naming them, if other objects depend on these. */
CREATE FUNCTION featurestore._drop_spec(spec regclass, action text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	name text := featurestore._relation_name(spec);
	functions text := (SELECT string_agg(f.function::text, ', ') FROM featurestore._spec_functions(spec) AS f);
	dependents text;
BEGIN
	IF functions IS NOT NULL THEN
		EXECUTE format('DROP FUNCTION %s', functions);
	END IF;
	EXECUTE format('DROP VIEW %s', name);
EXCEPTION WHEN dependent_objects_still_exist THEN
	GET STACKED DIAGNOSTICS dependents = PG_EXCEPTION_DETAIL;
	RAISE EXCEPTION USING ERRCODE = 'dependent_objects_still_exist', MESSAGE = format('cannot %s feature spec %s because other objects depend on it', action, name),
		DETAIL = dependents, HINT = 'Drop these objects first.';
END
$$;
COMMENT ON FUNCTION featurestore._drop_spec(regclass, text) IS 'internal: drops the objects of a spec';

/* Statements that grant what is granted on the functions of a spec, should these be made anew. */
CREATE FUNCTION featurestore._spec_grants(spec regclass) RETURNS text[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
	WITH granted AS (
		SELECT format('%I.%I', n.nspname, c.relname || f.suffix) AS name, p.proowner, p.proacl
		FROM featurestore._spec_functions(spec) AS f JOIN pg_proc p ON p.oid = f.function
		JOIN pg_class c ON c.oid = spec JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE p.proacl IS NOT NULL
	), statement AS (
		SELECT 1 AS n, format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name) AS text FROM granted
		UNION ALL
		SELECT 2, format('GRANT EXECUTE ON FUNCTION %s TO %s%s', name,
						 CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
						 CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
		FROM granted, aclexplode(proacl) AS a WHERE a.grantee <> proowner
	)
	SELECT coalesce(array_agg(text ORDER BY n), '{}') FROM statement
$$;
COMMENT ON FUNCTION featurestore._spec_grants(regclass) IS 'internal: grants on the functions of a spec, as statements';

/* Does the function NAME of a spec take these arguments? NULL if there is none. */
CREATE FUNCTION featurestore._takes_arguments(spec regclass, arguments jsonb) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT pg_get_function_identity_arguments(p.oid) =
		(SELECT string_agg(format('%I %s, ', a->>'name', (a->>'type')::regtype), '' ORDER BY n) || 'as_of timestamp with time zone'
		 FROM jsonb_array_elements(arguments) WITH ORDINALITY AS r(a, n))
	FROM featurestore._spec_functions(spec) AS f
	JOIN pg_proc p ON p.oid = f.function JOIN pg_class c ON c.oid = spec AND c.relnamespace = p.pronamespace AND c.relname = p.proname
$$;
COMMENT ON FUNCTION featurestore._takes_arguments(regclass, jsonb) IS 'internal: whether a spec takes these arguments';

/*
 * Makes the view of a spec, anew or over the one there is.  What stays the
 * same keeps its identity: when columns are only added and the arguments are
 * the same, view and functions are replaced in place; otherwise they are
 * dropped, which fails if others depend on them.
 */
CREATE FUNCTION featurestore._create_spec_view(name text, arguments jsonb, query text, caller_path text) RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	old regclass := to_regclass(name);
	comment text := coalesce(obj_description(old, 'pg_class'), 'feature spec: its row is what a lookup gives, its query is never run');
	same_arguments boolean := featurestore._takes_arguments(old, arguments);
	create_view text := format('CREATE VIEW %s AS %s', name, query);
	replace_view text := format('CREATE OR REPLACE VIEW %s AS %s', name, query);
BEGIN
	PERFORM set_config('search_path', caller_path, true);
	BEGIN
		IF old IS NOT NULL AND same_arguments IS NOT TRUE THEN
			RAISE invalid_table_definition;
		END IF;
		EXECUTE replace_view;
	EXCEPTION WHEN invalid_table_definition THEN
		IF old IS NULL THEN
			RAISE;
		END IF;
		PERFORM featurestore._drop_spec(old, 'replace');
		EXECUTE create_view;
	END;
	PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
	EXECUTE format('COMMENT ON VIEW %s IS %L', name, comment);
	RETURN name::regclass;
END
$$;
COMMENT ON FUNCTION featurestore._create_spec_view(text, jsonb, text, text) IS 'internal: makes the view of a spec';

/* In what the items of a new definition of a spec differ from the stored ones; NULL if in nothing. */
CREATE FUNCTION featurestore._spec_difference(old featurestore.spec, items jsonb, exclude_columns text[], with_status boolean) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT string_agg(format('%s was %s and would be %s.', what, before, after), ' ' ORDER BY rank)
	FROM (
		SELECT n AS rank, format('Item %s', n) AS what, coalesce(o.i::text, 'absent') AS before, coalesce(w.i::text, 'absent') AS after
		FROM jsonb_array_elements(old.items) WITH ORDINALITY AS o(i, n) FULL JOIN jsonb_array_elements(items) WITH ORDINALITY AS w(i, n) USING (n)
		WHERE o.i IS DISTINCT FROM w.i
		UNION ALL
		SELECT 1e6, 'exclude_columns', old.exclude_columns::text, exclude_columns::text WHERE old.exclude_columns <> exclude_columns
		UNION ALL
		SELECT 1e7, 'with_status', old.with_status::text, with_status::text WHERE old.with_status <> with_status
	) AS difference
$$;
COMMENT ON FUNCTION featurestore._spec_difference(featurestore.spec, jsonb, text[], boolean) IS 'internal: what differs between definitions of a spec';

/* Whether the spec's view is what the query, parsed by the current search path, would make. */
CREATE FUNCTION featurestore._same_query(spec regclass, query text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'same_query' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore._same_query(regclass, text) IS 'internal: whether a query is that of a spec''s view';

/*
 * Whether a spec is what a new definition would make.  The text of items does
 * not tell: what it names can have been renamed, or another have taken the
 * name.  Lengths of arrays that were found rather than declared count only for
 * who wants to replace the spec.
 */
CREATE FUNCTION featurestore._is_same_spec(old featurestore.spec, query text, steps jsonb, with_lengths boolean, caller_path text) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	ignored text[] := CASE WHEN with_lengths THEN '{name}'::text[] ELSE '{name,lengths}' END;
	same_steps boolean := (old.steps - 'items') = (steps - 'items')
		AND ARRAY(SELECT s - ignored FROM jsonb_array_elements(old.steps->'items') AS s) = ARRAY(SELECT s - ignored FROM jsonb_array_elements(steps->'items') AS s);
	relation regclass := old.relation;
	same_query boolean;
BEGIN
	PERFORM set_config('search_path', caller_path, true);
	same_query := featurestore._same_query(relation, query);
	PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
	RETURN same_query AND same_steps;
END
$$;
COMMENT ON FUNCTION featurestore._is_same_spec(featurestore.spec, text, jsonb, boolean, text) IS 'internal: whether a spec is what a definition would make';

/*
 * Raises unless the names of a spec are free or its own: 42P07 for the view,
 * 42723 for the functions, which would be overloaded.
 */
CREATE FUNCTION featurestore._check_spec_names(name text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	old regclass := to_regclass(name);
	parts text[] := parse_ident(name);
	taken regprocedure;
BEGIN
	IF old IS NOT NULL AND NOT EXISTS (SELECT FROM featurestore.spec AS s WHERE s.relation = old) THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_table', MESSAGE = format('relation %s already exists and is not a feature spec', name),
			HINT = 'Choose another name.';
	END IF;
	SELECT p.oid INTO taken FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE n.nspname = parts[1] AND p.proname IN (parts[2], parts[2] || '_batch', parts[2] || '_vectors', parts[2] || '_matrix')
		AND p.oid NOT IN (SELECT f.function FROM featurestore._spec_functions(old) AS f)
	ORDER BY p.proname, p.oid LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_function', MESSAGE = format('function %s already exists and is not that of feature spec %s', taken, name),
			DETAIL = 'The functions of a feature spec are not overloaded, so that arguments of unknown type can be passed.', HINT = 'Choose another name.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_spec_names(text) IS 'internal: checks that the names of a spec are not taken';

/*
 * Whether a spec is to be made: false when it is there with the same
 * definition.  Raises 42710 when it has another and is not to be replaced.
 */
CREATE FUNCTION featurestore._spec_is_wanted(name text, difference text, is_same boolean, replace boolean) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF is_same THEN
		RAISE NOTICE 'feature spec % already exists with the same definition, skipping', name;
	ELSIF NOT replace THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_object', MESSAGE = format('feature spec %s already exists with another definition', name),
			DETAIL = coalesce(difference, 'Names in its items have come to stand for other objects.'), HINT = 'Say replace => true to replace it.';
	END IF;
	RETURN NOT is_same;
END
$$;
COMMENT ON FUNCTION featurestore._spec_is_wanted(text, text, boolean, boolean) IS 'internal: whether a spec is to be made';

/* Gives a spec that was made anew to whom it belonged, with the grants there were. */
CREATE FUNCTION featurestore._restore_rights(spec regclass, owner regrole, grants text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	function regprocedure;
	statement text;
BEGIN
	IF owner <> quote_ident(current_user)::regrole THEN
		EXECUTE format('ALTER VIEW %s OWNER TO %s', featurestore._relation_name(spec), owner);
		FOR function IN SELECT f.function FROM featurestore._spec_functions(spec) AS f LOOP
			EXECUTE format('ALTER FUNCTION %s OWNER TO %s', function, owner);
		END LOOP;
	END IF;
	FOREACH statement IN ARRAY grants LOOP
		EXECUTE statement;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._restore_rights(regclass, regrole, text[]) IS 'internal: restores owner and grants of a spec';

/* Makes or replaces a spec; see create_feature_spec. */
CREATE FUNCTION featurestore._define_spec(name text, items featurestore.spec_item[], exclude_columns text[], with_status boolean, replace boolean, caller_path text)
	RETURNS regtype LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	old featurestore.spec := (SELECT s FROM featurestore.spec AS s WHERE relation = to_regclass(name));
	owner regrole := (SELECT relowner FROM pg_class WHERE oid = old.relation);
	grants text[] := featurestore._spec_grants(old.relation);
	resolved jsonb;
	arguments jsonb;
	ordered jsonb;
	query text;
	steps jsonb;
	spec regclass;
BEGIN
	PERFORM featurestore._check_spec_names(name);
	resolved := featurestore._resolve_items(items);
	arguments := featurestore._request_arguments(resolved);
	PERFORM featurestore._check_arguments(resolved, arguments);
	ordered := featurestore._order_items(resolved, arguments);
	query := featurestore._spec_query(arguments, ordered, featurestore._result_columns(resolved, arguments, exclude_columns, with_status), caller_path);
	steps := featurestore._spec_steps(arguments, ordered);
	IF old.relation IS NOT NULL AND NOT featurestore._spec_is_wanted(name, featurestore._spec_difference(old, to_jsonb(items), exclude_columns, with_status),
			featurestore._is_same_spec(old, query, steps, replace, caller_path), replace) THEN
		RETURN name::regtype;
	END IF;
	spec := featurestore._create_spec_view(name, arguments, query, caller_path);
	PERFORM featurestore._store_definition('spec', jsonb_build_object('relation', name, 'version', coalesce(old.version, 0) + 1, 'with_status', with_status,
		'exclude_columns', exclude_columns, 'items', to_jsonb(items), 'steps', steps));
	PERFORM featurestore._create_spec_functions(spec, arguments, featurestore._check_spec(spec));
	IF spec <> old.relation THEN
		PERFORM featurestore._restore_rights(spec, owner, grants);
	END IF;
	RETURN name::regtype;
END
$$;
COMMENT ON FUNCTION featurestore._define_spec(text, featurestore.spec_item[], text[], boolean, boolean, text) IS 'internal: makes or replaces a spec';

/*
 * The qualified and quoted name of a spec, given by a name that may be neither.
 * Raises 22004 for NULL, 22023 or 42601 for what is no name, 42622 if the names
 * of the spec's functions would not fit, 3F000 without a schema to create in.
 */
CREATE FUNCTION featurestore._spec_name(name text, creation_schema text) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	parts text[] := featurestore._object_name('name', name, creation_schema);
BEGIN
	IF octet_length(parts[2]) > 55 THEN
		RAISE EXCEPTION USING ERRCODE = 'name_too_long', MESSAGE = format('feature spec name "%s" is too long', parts[2]),
			DETAIL = 'With the suffix _vectors a name has at most 63 bytes.';
	END IF;
	RETURN format('%I.%I', parts[1], parts[2]);
END
$$;
COMMENT ON FUNCTION featurestore._spec_name(text, text) IS 'internal: qualified name of a spec';

/*
 * Makes a feature spec: a named list of what one model needs.
 *
 * name, qualified or not, is that of the row type and of the functions NAME,
 * NAME_batch, NAME_vectors and NAME_matrix.  The row has the keys of the
 * request first and then the outputs in the order of items, less
 * exclude_columns; with_status adds a column OUTPUT_status beside each.  A
 * repeated call with the same definition does nothing; one with another is an
 * error unless replace.  Raises, naming the item: 42703 unknown names, 42701
 * duplicates, 42702 half-bound keys, 42804 types that do not fit, 42P17 cycles
 * and what is not IMMUTABLE, 55000 keys that are not unique, 42622 long names,
 * 42809 what cannot be looked up, 42501 without SELECT on it; also 42P07 and
 * 42723 for names that are taken, 42710 for another definition, 2BP01 if it
 * cannot be replaced because something depends on it.
 */
CREATE FUNCTION featurestore.create_feature_spec(name text, items featurestore.spec_item[], exclude_columns text[] DEFAULT NULL,
												 with_status boolean DEFAULT false, replace boolean DEFAULT false) RETURNS regtype
	LANGUAGE sql VOLATILE
	BEGIN ATOMIC
		SELECT featurestore._define_spec(featurestore._spec_name(name, pg_catalog.current_schema()), items,
			COALESCE(exclude_columns, '{}'::text[]), COALESCE(with_status, false), COALESCE(replace, false), pg_catalog.current_setting('search_path'));
	END;
COMMENT ON FUNCTION featurestore.create_feature_spec(text, featurestore.spec_item[], text[], boolean, boolean) IS 'makes a feature spec: what one model needs, in one lookup';

/* Drops a spec with its type and functions. Raises 42704 if there is none, 42501 to others than its owner, 2BP01 if something depends on it. */
CREATE FUNCTION featurestore.drop_feature_spec(name text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	AS $$
BEGIN
	IF name IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'the name of the feature spec must not be null';
	ELSIF pg_catalog.to_regclass(name) IS NULL OR NOT EXISTS (SELECT FROM featurestore.spec WHERE relation OPERATOR(pg_catalog.=) pg_catalog.to_regclass(name)) THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = pg_catalog.format('feature spec "%s" does not exist', name),
			HINT = 'The view featurestore.feature_specs lists the specs there are.';
	END IF;
	PERFORM featurestore._drop_spec(pg_catalog.to_regclass(name), 'drop');
END
$$;
COMMENT ON FUNCTION featurestore.drop_feature_spec(text) IS 'drops a feature spec with its type and functions';
