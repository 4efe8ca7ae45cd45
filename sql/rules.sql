/*
 * What online tables are registered with, checked: merge rules of columns, and
 * outputs that lookups evaluate from states.
 *
 * Each is brought to the one form in which it is stored, so that a definition
 * that is repeated is told to be the same.
 */

/* Raises an error about the merge rule of a column. */
CREATE FUNCTION featurestore._rule_error(col text, errcode text, message text, hint text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF hint IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = errcode, MESSAGE = format('merge rule of column "%s": %s', col, message);
	END IF;
	RAISE EXCEPTION USING ERRCODE = errcode, MESSAGE = format('merge rule of column "%s": %s', col, message), HINT = hint;
END
$$;
COMMENT ON FUNCTION featurestore._rule_error(text, text, text, text) IS 'internal: an error about a merge rule';

/*
 * A rule accumulate in its one form: names of types and windows as they are
 * written out.  Raises an error unless an empty state can be made for it.
 */
CREATE FUNCTION featurestore._checked_accumulate(col text, rule jsonb, has_time boolean) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	unknown text := (SELECT min(k COLLATE "C") FROM jsonb_object_keys(rule) AS k WHERE k NOT IN ('rule', 'function', 'type', 'windows', 'params'));
	result jsonb;
	code text;
	message text;
	hint text;
BEGIN
	IF unknown IS NOT NULL THEN
		PERFORM featurestore._rule_error(col, 'invalid_parameter_value', format('unknown member "%s"', unknown),
			'It has function, type (of the values; none counts rows), windows (none for an agg_state) and params.');
	ELSIF jsonb_typeof(rule -> 'function') IS DISTINCT FROM 'string' OR jsonb_typeof(rule -> 'type') NOT IN ('string', 'null')
		OR jsonb_typeof(rule -> 'windows') <> 'array' OR jsonb_typeof(rule -> 'params') <> 'object' THEN
		PERFORM featurestore._rule_error(col, 'invalid_parameter_value', 'function and type must be texts, windows an array, params an object',
			'As in {"rule": "accumulate", "function": "sum", "type": "float8", "windows": ["rolling 7d"]}.');
	END IF;
	BEGIN
		result := rule || jsonb_build_object('type', format_type((rule ->> 'type')::regtype, -1)) || CASE WHEN rule ? 'windows' THEN jsonb_build_object('windows', (
			SELECT jsonb_agg(w::featurestore.time_window::text ORDER BY n) FROM jsonb_array_elements_text(rule -> 'windows') WITH ORDINALITY AS e(w, n))) ELSE '{}' END;
		PERFORM featurestore._rule_template(result);
	EXCEPTION WHEN data_exception OR datatype_mismatch OR undefined_object OR invalid_schema_name OR syntax_error THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
		PERFORM featurestore._rule_error(col, code, message, nullif(hint, ''));
	END;
	IF NOT has_time AND (rule ? 'windows' OR rule ->> 'function' ~ '^(first|last)') THEN
		PERFORM featurestore._rule_error(col, 'invalid_parameter_value', 'accumulate needs the time of each row', 'Give timeseries_column.');
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._checked_accumulate(text, jsonb, boolean) IS 'internal: a rule accumulate in its one form, or an error';

/* Raises 42804 unless values of a column's type can be merged by a rule. */
CREATE FUNCTION featurestore._check_rule_type(col text, rule text, definition jsonb, type regtype) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	element regtype := (SELECT b.base FROM pg_type t, featurestore._base_type(t.typelem, -1) AS b WHERE t.oid = type AND t.typcategory = 'A' AND t.typelem <> 0);
	wanted text := CASE
		WHEN rule = 'add' AND type NOT IN ('int2', 'int4', 'int8', 'float4', 'float8', 'numeric', 'interval') THEN 'a number or an interval'
		WHEN rule IN ('min', 'max', 'first', 'last') AND NOT featurestore._is_ordered(type) THEN 'of a type with an order'
		WHEN rule = 'last_n' AND (element IS NULL OR NOT featurestore._is_ordered(element)) THEN 'an array of values with an order'
		WHEN rule = 'accumulate' AND definition ? 'windows' AND type <> 'featurestore.window_state'::regtype THEN 'of type featurestore.window_state'
		WHEN rule = 'accumulate' AND NOT definition ? 'windows' AND type <> 'featurestore.agg_state'::regtype THEN 'of type featurestore.agg_state, or the rule must have windows'
		WHEN rule = 'merge' AND type NOT IN ('featurestore.window_state', 'featurestore.agg_state') THEN 'of type featurestore.window_state or featurestore.agg_state'
		WHEN rule = 'now' AND type <> 'timestamptz'::regtype THEN 'of type timestamp with time zone' END;
BEGIN
	IF wanted IS NOT NULL THEN
		PERFORM featurestore._rule_error(col, 'datatype_mismatch', format('"%s" cannot be used for type %s', rule, type), format('The column must be %s.', wanted));
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_rule_type(text, text, jsonb, regtype) IS 'internal: raises an error unless a rule fits a type';

/* One rule in its one form; see _checked_merge. */
CREATE FUNCTION featurestore._checked_rule(relation regclass, col text, definition jsonb, timeseries_column text) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	rule text := featurestore._rule_name(definition);
	n text := substring(definition #>> '{}' FROM '^last_n\(([0-9]+)\)$');
	attribute pg_attribute := (SELECT a FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = col);
BEGIN
	IF rule IS NULL OR rule NOT IN ('replace', 'add', 'min', 'max', 'first', 'last', 'coalesce', 'last_n', 'accumulate', 'merge', 'now') THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('unknown merge rule %s for column "%s"', definition, col),
			HINT = 'Known merge rules: "replace", "add", "min", "max", "first", "last", "coalesce", "last_n(10)", "merge", "now", {"rule": "accumulate", "function": ...}.';
	ELSIF (jsonb_typeof(definition) = 'object') <> (rule = 'accumulate') THEN
		PERFORM featurestore._rule_error(col, 'invalid_parameter_value', format('"%s" is written differently', rule),
			CASE rule WHEN 'accumulate' THEN 'As in {"rule": "accumulate", "function": "sum", "type": "float8", "windows": ["rolling 7d"]}.'
					  WHEN 'last_n' THEN 'As in "last_n(10)".' ELSE format('Write "%s".', rule) END);
	ELSIF rule = 'last_n' AND (n IS NULL OR n::bigint NOT BETWEEN 1 AND 1000) THEN
		PERFORM featurestore._rule_error(col, 'invalid_parameter_value', 'last_n keeps from 1 to 1000 values', 'As in "last_n(10)".');
	ELSIF col = timeseries_column THEN
		PERFORM featurestore._rule_error(col, 'invalid_parameter_value', 'the timeseries column keeps the newest time') WHERE rule <> 'replace';
	ELSIF col = ANY ((SELECT k.columns FROM featurestore._unique_keys(relation) AS k LIMIT 1)::text[]) THEN
		PERFORM featurestore._rule_error(col, 'invalid_parameter_value', 'key columns have no rule');
	ELSIF attribute.attgenerated <> '' OR attribute.attidentity = 'a' THEN
		PERFORM featurestore._rule_error(col, 'invalid_parameter_value', 'the column is generated');
	ELSIF rule IN ('first', 'last', 'last_n') AND timeseries_column IS NULL THEN
		PERFORM featurestore._rule_error(col, 'invalid_parameter_value', format('"%s" needs the time of each row', rule), 'Give timeseries_column.');
	END IF;
	IF rule = 'accumulate' THEN
		definition := featurestore._checked_accumulate(col, definition, timeseries_column IS NOT NULL);
	END IF;
	PERFORM featurestore._check_rule_type(col, rule, definition, (SELECT base FROM featurestore._base_type(attribute.atttypid, -1)));
	RETURN definition;
END
$$;
COMMENT ON FUNCTION featurestore._checked_rule(regclass, text, jsonb, text) IS 'internal: a merge rule in its one form, or an error';

/* Raises 42701 if a column of relation has a name that statements which write rows use for what is not in the table. */
CREATE FUNCTION featurestore._check_write_names(relation regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	names text[] := ARRAY(SELECT c.name FROM featurestore._columns(relation) AS c);
	bad text := CASE WHEN '_row_number' = ANY (names) THEN '_row_number' WHEN '{batch_id,write_batch_id}' <@ names THEN 'write_batch_id' END;
BEGIN
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_column',
			MESSAGE = format('column "%s" of %s has a name that writing rows needs', bad, relation),
			HINT = 'Rename the column.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_write_names(regclass) IS 'internal: raises an error if a column has a name that writing rows needs';

/*
 * Merge rules in their one form.  Raises 22023 unless merge is an object of
 * column -> rule and each rule is known and complete; 42703 for a column that
 * relation does not have; 42804 for a rule that does not fit its column; 22004
 * for a NULL.
 */
CREATE FUNCTION featurestore._checked_merge(relation regclass, merge jsonb, timeseries_column text) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF merge IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'merge must not be null';
	END IF;
	IF jsonb_typeof(merge) <> 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'merge must be an object',
			HINT = 'Give a rule for each column: {"column": "replace"}.';
	END IF;
	PERFORM featurestore._check_columns(relation, 'merge', ARRAY(SELECT jsonb_object_keys(merge)));
	RETURN (SELECT coalesce(jsonb_object_agg(key, featurestore._checked_rule(relation, key, value, timeseries_column) ORDER BY key), '{}') FROM jsonb_each(merge));
END
$$;
COMMENT ON FUNCTION featurestore._checked_merge(regclass, jsonb, text) IS 'internal: merge rules in their one form, or an error';

/*
 * One output in its one form: names of types and windows as they are written
 * out.  Raises an error unless the states in its column can give it.
 */
CREATE FUNCTION featurestore._checked_output(relation regclass, name text, output jsonb, rule jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	type regtype := (SELECT type_oid FROM featurestore._columns(relation) AS c WHERE c.name = output ->> 'column');
	is_window boolean := type = 'featurestore.window_state'::regtype;
	info record;
	result jsonb := output;
	code text;
	message text;
	hint text;
BEGIN
	IF jsonb_typeof(output) <> 'object' OR jsonb_typeof(output -> 'column') IS DISTINCT FROM 'string' OR jsonb_typeof(output -> 'function') IS DISTINCT FROM 'string'
		OR jsonb_typeof(output -> 'window') <> 'string' OR jsonb_typeof(output -> 'type') <> 'string' OR output - '{column,function,window,type}'::text[] <> '{}' THEN
		PERFORM featurestore._item_error(format('output "%s"', name), 'invalid_parameter_value', 'it must be an object with column, function, window and type',
			'As in {"column": "amounts", "function": "sum", "window": "rolling 7d"}; type is that of the values in states that are merged.');
	ELSIF type IS NULL THEN
		PERFORM featurestore._item_error(format('output "%s"', name), 'undefined_column', format('column "%s" does not exist', output ->> 'column'));
	ELSIF type NOT IN ('featurestore.window_state', 'featurestore.agg_state') OR is_window IS DISTINCT FROM output ? 'window' THEN
		PERFORM featurestore._item_error(format('output "%s"', name), 'datatype_mismatch', format('column "%s" is of type %s', output ->> 'column', type),
			'An output with a window is of a window_state, one without of an agg_state.');
	ELSIF featurestore._rule_name(rule) = 'accumulate' AND output ? 'type' THEN
		PERFORM featurestore._item_error(format('output "%s"', name), 'invalid_parameter_value', 'the type of its values is that in the merge rule');
	END IF;
	BEGIN
		SELECT * INTO info FROM featurestore._function_info(output ->> 'function', coalesce(output ->> 'type', rule ->> 'type')::regtype, '{}');
		result := result || jsonb_build_object('function', info.call)
			|| CASE WHEN is_window THEN jsonb_build_object('window', (output ->> 'window')::featurestore.time_window::text) ELSE '{}' END
			|| CASE WHEN output ? 'type' THEN jsonb_build_object('type', format_type((output ->> 'type')::regtype, -1)) ELSE '{}' END;
		IF featurestore._rule_name(rule) = 'accumulate' THEN
			EXECUTE format(CASE WHEN is_window THEN 'SELECT featurestore.window_value(%s, %L, %L::featurestore.time_window, now(), NULL::%4$s)'
								ELSE 'SELECT featurestore.agg_value(%1$s, %2$L, NULL::%4$s)' END,
						   featurestore._rule_template(rule), info.call, result ->> 'window', format_type(info.result, -1));
		END IF;
	EXCEPTION WHEN data_exception OR datatype_mismatch OR undefined_object OR invalid_schema_name OR syntax_error THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
		PERFORM featurestore._item_error(format('output "%s"', name), code, message, nullif(hint, ''));
	END;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._checked_output(regclass, text, jsonb, jsonb) IS 'internal: an output in its one form, or an error';

/*
 * Outputs in their one form.  Raises 22004 for NULL, 22023 unless outputs is an
 * object of name -> output, 42701 for names of columns, 42602 and 42622 for bad
 * ones, 22023 for a table with more than a row for an entity, and what
 * _checked_output does.
 */
CREATE FUNCTION featurestore._checked_outputs(relation regclass, merge jsonb, outputs jsonb, timeseries_column text) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	output_name text;
BEGIN
	IF outputs IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'outputs must not be null';
	ELSIF jsonb_typeof(outputs) <> 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'outputs must be an object',
			HINT = 'As in {"spent_7d": {"column": "amounts", "function": "sum", "window": "rolling 7d"}}.';
	ELSIF outputs <> '{}' AND timeseries_column = ANY ((SELECT k.columns FROM featurestore._unique_keys(relation) AS k LIMIT 1)::text[]) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'outputs need a table with one row for each entity',
			DETAIL = format('The timeseries column "%s" is part of the key.', timeseries_column);
	END IF;
	FOR output_name IN SELECT k FROM jsonb_object_keys(outputs) AS k ORDER BY k COLLATE "C" LOOP
		IF output_name = '' OR output_name = 'as_of' THEN
			RAISE EXCEPTION USING ERRCODE = 'invalid_name', MESSAGE = format('an output cannot be named "%s"', output_name);
		ELSIF octet_length(output_name) > 63 THEN
			RAISE EXCEPTION USING ERRCODE = 'name_too_long', MESSAGE = format('output name "%s" is too long', output_name), DETAIL = 'A name has at most 63 bytes.';
		ELSIF EXISTS (SELECT FROM featurestore._columns(relation) AS c WHERE c.name = output_name) THEN
			RAISE EXCEPTION USING ERRCODE = 'duplicate_column', MESSAGE = format('output "%s" has the name of a column', output_name);
		END IF;
	END LOOP;
	RETURN (SELECT coalesce(jsonb_object_agg(key, featurestore._checked_output(relation, key, value, merge -> (value ->> 'column')) ORDER BY key), '{}') FROM jsonb_each(outputs));
END
$$;
COMMENT ON FUNCTION featurestore._checked_outputs(regclass, jsonb, jsonb, text) IS 'internal: outputs in their one form, or an error';
