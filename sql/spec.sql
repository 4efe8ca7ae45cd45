/*
 * Feature specs: the view, the functions and the catalog row of resolved items.
 *
 * The view is composed level by level, as src/catalog/spec.h describes.  The
 * parser checks each level; the lookup's own loader has the last word on the
 * whole.
 */

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
			(SELECT string_agg(format(', %s AS %I', coalesce(o->>'expression', format('t.%I', o->>'column')), o->>'name'), '' ORDER BY n) FROM jsonb_array_elements(item->'outputs') WITH ORDINALITY AS r(o, n)),
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

/* Drops a spec's functions and view. Raises 2BP01, naming them, if other objects depend on these, or for the frozen spec of a training set. */
CREATE FUNCTION featurestore._drop_spec(spec regclass, action text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	name text := featurestore._relation_name(spec);
	functions text := (SELECT string_agg(f.function::text, ', ') FROM featurestore._spec_functions(spec) AS f);
	training_set regclass := (SELECT s.training_set FROM featurestore.spec AS s WHERE s.relation = spec);
	dependents text;
BEGIN
	IF training_set IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'dependent_objects_still_exist', MESSAGE = format('cannot %s feature spec %s because training set %s was made of it', action, name, training_set),
			HINT = 'Drop the training set with featurestore.drop_training_set.';
	END IF;
	IF functions IS NOT NULL THEN
		EXECUTE format('DROP FUNCTION %s', functions);
	END IF;
	EXECUTE format('DROP VIEW %s', name);
EXCEPTION WHEN dependent_objects_still_exist THEN
	IF training_set IS NOT NULL THEN
		RAISE;
	END IF;
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
	ELSIF EXISTS (SELECT FROM featurestore.spec AS s WHERE s.relation = old AND s.training_set IS NOT NULL) THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_table', MESSAGE = format('%s is what a training set was made of', name),
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
	logged featurestore.serve_log := (SELECT l FROM featurestore.serve_log AS l WHERE relation = old.relation);
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
		IF logged.relation IS NOT NULL THEN
			PERFORM featurestore._store_definition('serve_log', to_jsonb(logged) || jsonb_build_object('relation', name, 'log_table', featurestore._relation_name(logged.log_table)));
		END IF;
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
