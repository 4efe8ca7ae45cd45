/*
 * Training sets: labels, each with the outputs of a spec as they were at its time.
 *
 * A training set is an ordinary table of the caller's.  What it was made of is
 * pinned by a spec of its own, NAME_spec: a view, as that of any spec, so that
 * Postgres refuses to drop what it reads.  The view also names, where it is
 * never evaluated, the features and sources that its outputs are computed from.
 */
CREATE TABLE featurestore.training_set (
	relation regclass PRIMARY KEY,
	frozen_spec regclass,
	spec regclass,
	spec_version int,
	features jsonb NOT NULL,
	labels text NOT NULL,
	timestamp_column text NOT NULL,
	label text[] NOT NULL,
	known_at text,
	exclude_columns text[] NOT NULL,
	snapshot pg_snapshot NOT NULL,
	allow_current boolean NOT NULL,
	created_at timestamptz NOT NULL,
	row_count bigint NOT NULL,
	hash text NOT NULL
);
COMMENT ON TABLE featurestore.training_set IS 'training sets, and what they were made of';
COMMENT ON COLUMN featurestore.training_set.relation IS 'the table';
COMMENT ON COLUMN featurestore.training_set.frozen_spec IS 'the spec as it was then, for this training set only; null if it was dropped';
COMMENT ON COLUMN featurestore.training_set.spec IS 'the spec it was made with; null if it was made of items, or the spec is gone';
COMMENT ON COLUMN featurestore.training_set.spec_version IS 'version of that spec';
COMMENT ON COLUMN featurestore.training_set.features IS 'features in it, with their versions';
COMMENT ON COLUMN featurestore.training_set.labels IS 'query of the labels';
COMMENT ON COLUMN featurestore.training_set.timestamp_column IS 'column with the time of a label';
COMMENT ON COLUMN featurestore.training_set.label IS 'columns that are to be predicted';
COMMENT ON COLUMN featurestore.training_set.known_at IS 'column with the time after which nothing was known; null if all that is known now counts';
COMMENT ON COLUMN featurestore.training_set.exclude_columns IS 'columns of labels and outputs that were left out';
COMMENT ON COLUMN featurestore.training_set.snapshot IS 'what was committed when it was made';
COMMENT ON COLUMN featurestore.training_set.allow_current IS 'whether tables may be in it that only have current values';
COMMENT ON COLUMN featurestore.training_set.created_at IS 'when it was made';
COMMENT ON COLUMN featurestore.training_set.row_count IS 'rows it was made with';
COMMENT ON COLUMN featurestore.training_set.hash IS 'hash of these rows, as training_set_hash gives it';

SELECT pg_catalog.pg_extension_config_dump('featurestore.training_set', '');
GRANT SELECT ON featurestore.training_set TO PUBLIC;

/*
 * Forgets training sets that are among dropped, and their frozen specs with
 * them.  A frozen spec that others depend on stays, with a WARNING, as a spec.
 * Runs as the extension's owner, and nothing of anybody's.
 */
CREATE FUNCTION featurestore._forget_training_sets(dropped oid[]) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	frozen regclass;
BEGIN
	FOR frozen IN
		DELETE FROM featurestore.training_set WHERE relation = ANY (dropped) RETURNING frozen_spec
	LOOP
		CONTINUE WHEN NOT EXISTS (SELECT FROM pg_class WHERE oid = frozen);
		BEGIN
			EXECUTE format('DROP VIEW %s', featurestore._relation_name(frozen));
		EXCEPTION WHEN OTHERS THEN
			RAISE WARNING USING MESSAGE = format('%s, the frozen spec of a training set, stays: %s', frozen, SQLERRM);
		END;
	END LOOP;
	UPDATE featurestore.spec SET training_set = NULL WHERE training_set = ANY (dropped);
	UPDATE featurestore.training_set SET frozen_spec = NULL WHERE frozen_spec = ANY (dropped);
	UPDATE featurestore.training_set SET spec = NULL WHERE spec = ANY (dropped);
END
$$;
COMMENT ON FUNCTION featurestore._forget_training_sets(oid[]) IS 'internal: forgets dropped training sets and drops their frozen specs';

/* Labels as a query: what they are, or all rows of the relation they name.  Raises 42P01 for a name of none. */
CREATE FUNCTION featurestore._label_query(labels text) RETURNS text
	AS 'MODULE_PATHNAME', 'training_label_query' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore._label_query(text) IS 'internal: labels as a query';

/*
 * The columns that training rows have, all there are: that with the number of
 * the label, those of the labels, the outputs.  The spec is a spec or, of
 * items, a query and its steps.  is_input: the spec or the time is taken from
 * it.  Raises what is wrong with labels and spec, see create_training_set.
 */
CREATE FUNCTION featurestore._training_columns(spec regclass, query text, steps jsonb, labels text, timestamp_column text, known_at text,
											   allow_current boolean, search_path text, OUT name text, OUT definition text, OUT is_output boolean, OUT is_input boolean)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'training_columns' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._training_columns(regclass, text, jsonb, text, text, text, boolean, text) IS 'internal: columns of training rows';

/*
 * Training rows of a spec, in the order of the labels: label_row bigint, the
 * columns of the labels, the outputs, as _training_columns says.  Labels are
 * read with the search path given, or that of the session.  If visible_in is
 * given, rows of sources that it does not show do not count.
 */
CREATE FUNCTION featurestore._training_rows(spec regclass, labels text, timestamp_column text, known_at text DEFAULT NULL, allow_current boolean DEFAULT false,
											visible_in pg_snapshot DEFAULT NULL, search_path text DEFAULT NULL) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'training_rows' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100000 COST 100000;
COMMENT ON FUNCTION featurestore._training_rows(regclass, text, text, text, boolean, pg_snapshot, text) IS 'internal: training rows of a spec';

/* The same of items that are in no spec. */
CREATE FUNCTION featurestore._training_rows_of_items(query text, steps jsonb, labels text, timestamp_column text, known_at text DEFAULT NULL,
													 allow_current boolean DEFAULT false, search_path text DEFAULT NULL) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'training_rows_of_items' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100000 COST 100000;
COMMENT ON FUNCTION featurestore._training_rows_of_items(text, jsonb, text, text, text, boolean, text) IS 'internal: training rows of items';

/* Fills a training set, whose columns are found by name, and reports on it; the last three are the same in each row. */
CREATE FUNCTION featurestore._fill_training_set(target regclass, spec regclass, labels text, timestamp_column text, known_at text, allow_current boolean, search_path text,
												OUT output text, OUT point_in_time text, OUT history_from timestamptz, OUT nulls bigint, OUT not_covered bigint,
												OUT row_count bigint, OUT hash text, OUT snapshot pg_snapshot) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'fill_training_set' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._fill_training_set(regclass, regclass, text, text, text, boolean, text) IS 'internal: fills a training set';

/* Adds to a hash that of a row. */
CREATE FUNCTION featurestore._add_row_hash(hash bigint, row_of_set record) RETURNS bigint
	AS 'MODULE_PATHNAME', 'add_row_hash' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._add_row_hash(bigint, record) IS 'internal: adds the hash of a row';

CREATE AGGREGATE featurestore._rows_hash(record) (
	SFUNC = featurestore._add_row_hash, STYPE = bigint, INITCOND = '0', PARALLEL = RESTRICTED);
COMMENT ON AGGREGATE featurestore._rows_hash(record) IS 'internal: hash of rows';

/* The query of a spec made of items for training only, and its steps.  Names in expressions are resolved by the caller's search path. */
CREATE FUNCTION featurestore._training_items(items featurestore.spec_item[], caller_path text, OUT query text, OUT steps jsonb)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	resolved jsonb := featurestore._resolve_items(items, true);
	arguments jsonb := featurestore._request_arguments(resolved);
	ordered jsonb;
BEGIN
	PERFORM featurestore._check_arguments(resolved, arguments);
	ordered := featurestore._order_items(resolved, arguments);
	query := featurestore._spec_query(arguments, ordered, featurestore._result_columns(resolved, arguments, '{}', false), caller_path);
	steps := featurestore._spec_steps(arguments, ordered);
END
$$;
COMMENT ON FUNCTION featurestore._training_items(featurestore.spec_item[], text) IS 'internal: items as the query of a spec for training';

/* Keeps a spec from being replaced and dropped until the transaction ends; false if it is gone already. */
CREATE FUNCTION featurestore._lock_spec(spec regclass) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lock_spec' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore._lock_spec(regclass) IS 'internal: locks a spec, if it is there';

/*
 * The spec that name is resolved to by the caller, locked; NULL if items
 * are given instead.  Raises 22023 unless one of them is, 42704 if there is no
 * such spec.
 */
CREATE FUNCTION featurestore._training_spec(name text, resolved regclass, items featurestore.spec_item[]) RETURNS featurestore.spec
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	result featurestore.spec;
BEGIN
	IF featurestore._lock_spec(resolved) THEN
		SELECT * INTO result FROM featurestore.spec AS s WHERE s.relation = resolved;
	END IF;
	IF num_nonnulls(name, items) <> 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = CASE WHEN name IS NULL THEN 'neither spec nor items is given' ELSE 'both spec and items are given' END,
			HINT = 'Give the name of a feature spec, or items as for create_feature_spec.';
	ELSIF name IS NOT NULL AND result.relation IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('feature spec "%s" does not exist', name),
			HINT = 'The view featurestore.feature_specs lists the specs there are.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._training_spec(text, regclass, featurestore.spec_item[]) IS 'internal: the spec of a training set';

/*
 * Raises an error unless names, an argument called what, are columns that there
 * are, each once: 22004 for NULLs, 42701 for what is named twice, 42703 for
 * unknown names.
 */
CREATE FUNCTION featurestore._check_training_names(what text, names text[], columns text[]) RETURNS void
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	name text;
BEGIN
	IF array_position(names, NULL) IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = format('%s must not contain null', what);
	END IF;
	SELECT n INTO name FROM unnest(names) AS n GROUP BY n HAVING count(*) > 1 ORDER BY n COLLATE "C" LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_column', MESSAGE = format('%s names "%s" twice', what, name);
	END IF;
	SELECT n INTO name FROM unnest(names) WITH ORDINALITY AS u(n, i) WHERE n <> ALL (columns) ORDER BY i LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column', MESSAGE = format('%s names "%s", which does not exist', what, name),
			HINT = format('There is: %s.', array_to_string(columns, ', '));
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_training_names(text, text[], text[]) IS 'internal: checks names of columns of a training set';

/*
 * The columns that a training set is to have: a list of {name, definition,
 * place (among all), is_output}.  Raises 42701 if two have one name, 42P17 if no output is
 * left, 22023 for a label that is left out or that a feature or the time is taken from.
 */
CREATE FUNCTION featurestore._kept_columns(spec regclass, query text, steps jsonb, labels text, timestamp_column text, label text[], exclude_columns text[],
										   known_at text, allow_current boolean, caller_path text) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	columns jsonb;
	bad record;
BEGIN
	SELECT jsonb_agg(to_jsonb(c) ORDER BY c.place) INTO columns
	FROM featurestore._training_columns(spec, query, steps, labels, timestamp_column, known_at, allow_current, caller_path) WITH ORDINALITY AS c(name, definition, is_output, is_input, place);
	PERFORM featurestore._check_training_names('exclude_columns', exclude_columns, ARRAY(
		SELECT DISTINCT ON (min(n)) c ->> 'name' FROM jsonb_array_elements(columns) WITH ORDINALITY AS e(c, n) WHERE n > 1 GROUP BY c ->> 'name' ORDER BY min(n)));
	PERFORM featurestore._check_training_names('label', label, ARRAY(
		SELECT c ->> 'name' FROM jsonb_array_elements(columns) WITH ORDINALITY AS e(c, n) WHERE n > 1 AND NOT (c ->> 'is_output')::boolean ORDER BY n));

	SELECT c ->> 'name' AS name, c ->> 'name' = ANY (exclude_columns) AS is_excluded INTO bad FROM jsonb_array_elements(columns) AS c
	WHERE NOT (c ->> 'is_output')::boolean AND c ->> 'name' = ANY (label) AND (c ->> 'name' = ANY (exclude_columns) OR (c ->> 'is_input')::boolean) LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = CASE WHEN bad.is_excluded THEN format('label "%s" is in exclude_columns', bad.name)
			ELSE format('label "%s" is what features are looked up or computed with', bad.name) END,
			HINT = CASE WHEN bad.is_excluded THEN 'Leave it out of one of them.' ELSE 'What is to be predicted is not known when it is asked for.' END;
	END IF;
	columns := (SELECT jsonb_agg(c ORDER BY n) FROM jsonb_array_elements(columns) WITH ORDINALITY AS e(c, n) WHERE n = 1 OR c ->> 'name' <> ALL (exclude_columns));
	SELECT c ->> 'name' AS name, bool_or((c ->> 'is_output')::boolean) AS is_output INTO bad FROM jsonb_array_elements(columns) WITH ORDINALITY AS e(c, n)
	GROUP BY c ->> 'name' HAVING count(*) > 1 ORDER BY min(n) LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_column', MESSAGE = format('column "%s" of the labels has the name of %s', bad.name,
				CASE WHEN bad.is_output THEN 'an output' ELSE 'the number of the row' END),
			HINT = 'Rename it with AS, or the output in the spec, or leave both out with exclude_columns.';
	ELSIF NOT columns @> '[{"is_output": true}]' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_object_definition', MESSAGE = 'exclude_columns leaves no output';
	END IF;
	RETURN columns;
END
$$;
COMMENT ON FUNCTION featurestore._kept_columns(regclass, text, jsonb, text, text, text[], text[], text, boolean, text) IS 'internal: columns that a training set is to have';

/*
 * The features that a spec reads: views of features that are in it, and of
 * those that are materialized the ones with the functions and windows that are.  If features
 * differ in nothing but their names, those that the items name.
 */
CREATE FUNCTION featurestore._features_of_spec(spec featurestore.spec) RETURNS SETOF regclass
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
	WITH read AS (
		SELECT DISTINCT d.refobjid, d.refobjsubid FROM pg_rewrite w
		JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
		WHERE w.ev_class = spec.relation
	), candidate AS MATERIALIZED (
		/* before anything is computed of a feature, since there may be many */
		SELECT f.* FROM featurestore.feature f
		WHERE EXISTS (SELECT FROM read JOIN pg_attribute a ON a.attrelid = read.refobjid AND a.attnum = read.refobjsubid
					  WHERE a.attrelid = f.online_table AND a.attname = f.state_column)
	), definition AS MATERIALIZED (
		SELECT pg_get_viewdef(spec.relation) AS text WHERE EXISTS (SELECT FROM candidate)
	), found AS (
		SELECT f.relation, f.online_table, f.state_column, i.call, f.time_window::text AS time_window,
			   spec.items @? format('$.**."names"[*] ? (@ == %s)', to_jsonb(featurestore._relation_name(f.relation)))::jsonpath AS is_named
		FROM definition CROSS JOIN candidate f CROSS JOIN LATERAL featurestore._function_info(f.function, f.input_type, f.params) AS i
		WHERE strpos(definition.text, format('%I, %L::text, %L::featurestore.time_window', f.state_column, i.call, f.time_window)) > 0
	)
	SELECT relation FROM (SELECT *, bool_or(is_named) OVER (PARTITION BY online_table, state_column, call, time_window) AS one_is_named FROM found) AS f
	WHERE is_named OR NOT one_is_named
	UNION
	SELECT f.relation FROM featurestore.feature f JOIN read ON read.refobjid = f.relation
$$;
COMMENT ON FUNCTION featurestore._features_of_spec(featurestore.spec) IS 'internal: features that a spec reads';

/*
 * The relations that are read for training beside those in the spec: its
 * features, and the sources of tables that are published from all rows of a
 * key, as far as the caller can name them.
 */
CREATE FUNCTION featurestore._training_pins(spec featurestore.spec) RETURNS SETOF regclass
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT featurestore._features_of_spec(spec)
	UNION
	SELECT p.source FROM featurestore.publication p JOIN pg_rewrite w ON w.ev_class = spec.relation
	JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = p.relation
	JOIN pg_class s ON s.oid = p.source
	WHERE p.timeseries_column IS NOT NULL AND has_schema_privilege(s.relnamespace, 'USAGE')
$$;
COMMENT ON FUNCTION featurestore._training_pins(featurestore.spec) IS 'internal: what a training set pins beside the tables of its spec';

/*
 * Makes the frozen spec of a training set: the view of spec as it is now, or of
 * the query of items, with what is read beside it in a condition that is never
 * evaluated.  Gives the view.
 */
CREATE FUNCTION featurestore._freeze_spec(name text, training_set regclass, spec featurestore.spec, items featurestore.spec_item[], query text, steps jsonb, caller_path text)
	RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	frozen featurestore.spec := spec;
	pins text;
	create_view text := format('CREATE VIEW %s AS %s', name, coalesce(query, rtrim(pg_get_viewdef(spec.relation), ';')));
	replace_view text;
BEGIN
	IF query IS NOT NULL THEN
		PERFORM set_config('search_path', caller_path, true);
	END IF;
	EXECUTE create_view;
	PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

	frozen.relation := name::regclass;
	frozen.items := coalesce(to_jsonb(items), spec.items);
	SELECT string_agg(format(' AND EXISTS (SELECT FROM %s)', featurestore._relation_name(p)), '' ORDER BY featurestore._relation_name(p) COLLATE "C") INTO pins
	FROM featurestore._training_pins(frozen) AS p;
	replace_view := format('CREATE OR REPLACE VIEW %s AS %s%s', name, rtrim(pg_get_viewdef(frozen.relation), ';'), pins);
	EXECUTE replace_view;
	EXECUTE format('COMMENT ON VIEW %s IS %L', name, format('what training set %s was made of, its query is never run', training_set));
	PERFORM featurestore._store_definition('spec', jsonb_build_object('relation', name, 'version', coalesce(spec.version, 1), 'with_status', coalesce(spec.with_status, false),
		'exclude_columns', coalesce(spec.exclude_columns, '{}'), 'items', frozen.items, 'steps', coalesce(steps, spec.steps), 'training_set', training_set::oid::text));
	RETURN frozen.relation;
END
$$;
COMMENT ON FUNCTION featurestore._freeze_spec(text, regclass, featurestore.spec, featurestore.spec_item[], text, jsonb, text) IS 'internal: makes the frozen spec of a training set';

/* Schema, name, and name of the frozen spec of a training set that is to be made.  Raises 42P07 if they are taken, 42622 if the name is too long. */
CREATE FUNCTION featurestore._training_set_name(name text, creation_schema text) RETURNS text[]
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	parts text[] := featurestore._object_name('name', name, creation_schema);
	taken text;
BEGIN
	IF octet_length(parts[2]) > 58 THEN
		RAISE EXCEPTION USING ERRCODE = 'name_too_long', MESSAGE = format('name "%s" of a training set is too long', parts[2]),
			DETAIL = 'With the suffix _spec a name has at most 63 bytes.';
	END IF;
	parts := parts || (parts[2] || '_spec');
	IF EXISTS (SELECT FROM featurestore.training_set WHERE relation = to_regclass(format('%I.%I', parts[1], parts[2]))) THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_table', MESSAGE = format('training set %I.%I already exists', parts[1], parts[2]),
			DETAIL = 'Made again it could have other rows.', HINT = 'Choose another name, or drop it first with featurestore.drop_training_set.';
	END IF;
	SELECT r INTO taken FROM unnest(parts[2:3]) AS r WHERE to_regclass(format('%I.%I', parts[1], r)) IS NOT NULL LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_table', MESSAGE = format('relation %I.%I already exists', parts[1], taken), HINT = 'Choose another name.';
	END IF;
	RETURN parts;
END
$$;
COMMENT ON FUNCTION featurestore._training_set_name(text, text) IS 'internal: names of a training set that is to be made';

/* Tells that some labels reach back further than what outputs are made of. */
CREATE FUNCTION featurestore._tell_not_covered(report jsonb, row_count bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	most bigint := (SELECT max((r ->> 'not_covered')::bigint) FROM jsonb_array_elements(report) AS r);
BEGIN
	IF most > 0 THEN
		RAISE NOTICE USING MESSAGE = format('%s of %s labels reach back further than what is kept for their features', most, row_count),
			DETAIL = format('Not covered: %s.', (SELECT string_agg(format('%s of output %I', r ->> 'not_covered', r ->> 'output'), ', ' ORDER BY n)
				FROM jsonb_array_elements(report) WITH ORDINALITY AS e(r, n) WHERE (r ->> 'not_covered')::bigint > 0)),
			HINT = 'The retention of a source, or the history of a table, begins after them.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._tell_not_covered(jsonb, bigint) IS 'internal: a NOTICE of labels that are not covered';

/* The work of create_training_set, with names resolved as the caller's search path says. */
CREATE FUNCTION featurestore._create_training_set(name text[], label_query text, spec featurestore.spec, timestamp_column text, label text[], exclude_columns text[],
												  known_at text, allow_current boolean, items featurestore.spec_item[], caller_path text)
	RETURNS TABLE(output text, point_in_time text, history_from timestamptz, nulls bigint, not_covered bigint)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	table_name text := format('%I.%I', name[1], name[2]);
	of_items record;
	columns jsonb;
	target regclass;
	frozen regclass;
	made record;
BEGIN
	SELECT i.query, i.steps INTO of_items FROM featurestore._training_items(items, caller_path) AS i WHERE items IS NOT NULL;
	columns := featurestore._kept_columns(spec.relation, of_items.query, of_items.steps, label_query, timestamp_column, label, exclude_columns, known_at, allow_current, caller_path);
	EXECUTE format('CREATE TABLE %s (%s)', table_name, (SELECT string_agg(format('%I %s', c ->> 'name', c ->> 'definition'), ', ' ORDER BY n)
		FROM jsonb_array_elements(columns) WITH ORDINALITY AS e(c, n)));
	target := table_name::regclass;
	frozen := featurestore._freeze_spec(format('%I.%I', name[1], name[3]), target, spec, items, of_items.query, of_items.steps, caller_path);

	SELECT jsonb_agg(to_jsonb(f)) AS report, min(f.row_count) AS row_count, min(f.hash) AS hash, min(f.snapshot::text) AS snapshot INTO made
	FROM featurestore._fill_training_set(target, frozen, label_query, timestamp_column, known_at, allow_current, caller_path) AS f;
	PERFORM featurestore._store_definition('training_set', jsonb_build_object('relation', table_name, 'frozen_spec', frozen::oid::text, 'spec', spec.relation::oid::text,
		'spec_version', spec.version, 'labels', label_query, 'timestamp_column', timestamp_column, 'label', label, 'known_at', known_at,
		'allow_current', allow_current, 'exclude_columns', exclude_columns, 'snapshot', made.snapshot, 'created_at', statement_timestamp(),
		'row_count', made.row_count, 'hash', made.hash, 'features', (
			SELECT coalesce(jsonb_agg(jsonb_build_object('feature', featurestore._relation_name(f.relation), 'version', f.version) ORDER BY featurestore._relation_name(f.relation) COLLATE "C"), '[]')
			FROM featurestore.spec s, featurestore._features_of_spec(s) AS r JOIN featurestore.feature f ON f.relation = r WHERE s.relation = frozen)));
	EXECUTE format('COMMENT ON TABLE %s IS %L', table_name, 'training set: labels, with features as they were at the time of each');
	PERFORM featurestore._tell_not_covered(made.report, made.row_count);
	RETURN QUERY SELECT r.output, r.point_in_time, r.history_from, r.nulls, r.not_covered
	FROM jsonb_to_recordset(made.report) AS r(output text, point_in_time text, history_from timestamptz, nulls bigint, not_covered bigint)
	WHERE r.output <> ALL (exclude_columns);
END
$$;
COMMENT ON FUNCTION featurestore._create_training_set(text[], text, featurestore.spec, text, text[], text[], text, boolean, featurestore.spec_item[], text) IS 'internal: the work of create_training_set';

/*
 * Makes a training set: a table NAME with a row for each label, in order, with
 * its number as label_row, the columns of the label, and the outputs of a spec
 * as they were at the label's time: what a lookup would have given then.
 *
 * name: of the table, qualified or not.  NAME_spec becomes the name of a view
 *   that keeps what it was made of.
 * labels: name of a table or view, or a query; it has the keys and request
 *   fields of the spec as columns of their names.
 * spec: name of a feature spec; or else items, as for create_feature_spec,
 *   among them features that need not be materialized.
 * timestamp_column: column of the labels with the time of each: timestamptz, or date
 *   (midnight UTC).  A label without a time has no features.
 * label: columns that are to be predicted, to be recorded.
 * exclude_columns: columns of labels, and outputs, to be left out.
 * known_at: column of the labels with a timestamptz; what was applied, or
 *   committed, after it does not count.
 * allow_current: lets tables be looked up that only have current values.
 *
 * Gives for each output how it was had: EXACT, HISTORY_FROM a time, or
 * CURRENT_ROW; how often it is NULL; for how many labels what it would be made
 * of is gone.  All is read with the rights of the caller, under one snapshot.
 *
 * Raises 42P07 for names that are taken, 22023 unless one of spec and items is
 * given and for labels that are no query, 42703 for missing columns, 42701 for
 * columns of one name, 42804 for types that do not fit, 22008 for infinite
 * times, 55000 for what cannot be had for training, 42501 without privilege;
 * also what create_feature_spec does for items.
 */
CREATE FUNCTION featurestore.create_training_set(name text, labels text, spec text DEFAULT NULL, timestamp_column text DEFAULT NULL, label text[] DEFAULT NULL,
												 exclude_columns text[] DEFAULT NULL, known_at text DEFAULT NULL, allow_current boolean DEFAULT false,
												 items featurestore.spec_item[] DEFAULT NULL)
	RETURNS TABLE(output text, point_in_time text, history_from timestamptz, nulls bigint, not_covered bigint)
	LANGUAGE sql VOLATILE
	/* no setting of its own: names are resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT c.output, c.point_in_time, c.history_from, c.nulls, c.not_covered
		FROM featurestore._create_training_set(featurestore._training_set_name(create_training_set.name, pg_catalog.current_schema()::text),
			featurestore._label_query(create_training_set.labels),
			featurestore._training_spec(create_training_set.spec, pg_catalog.to_regclass(create_training_set.spec), create_training_set.items),
			create_training_set.timestamp_column, COALESCE(create_training_set.label, '{}'::text[]), COALESCE(create_training_set.exclude_columns, '{}'::text[]),
			create_training_set.known_at, COALESCE(create_training_set.allow_current, false), create_training_set.items, pg_catalog.current_setting('search_path')) AS c;
	END;
COMMENT ON FUNCTION featurestore.create_training_set(text, text, text, text, text[], text[], text, boolean, featurestore.spec_item[]) IS 'makes a training set: labels, with features as they were at the time of each';

/* The work of training_rows, with names resolved as the caller's search path says. */
CREATE FUNCTION featurestore._open_training_rows(label_query text, spec featurestore.spec, timestamp_column text, label text[], exclude_columns text[], known_at text,
												 allow_current boolean, items featurestore.spec_item[], cursor refcursor, caller_path text) RETURNS refcursor
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	of_items record;
	columns jsonb;
	selected text;
	defined text;
BEGIN
	SELECT i.query, i.steps INTO of_items FROM featurestore._training_items(items, caller_path) AS i WHERE items IS NOT NULL;
	columns := featurestore._kept_columns(spec.relation, of_items.query, of_items.steps, label_query, timestamp_column, label, exclude_columns, known_at, allow_current, caller_path);
	selected := (SELECT string_agg(format('t.c%s AS %I', c ->> 'place', c ->> 'name'), ', ' ORDER BY n) FROM jsonb_array_elements(columns) WITH ORDINALITY AS e(c, n));
	defined := (SELECT string_agg(format('c%s %s', c.place, c.definition), ', ' ORDER BY c.place)
		FROM featurestore._training_columns(spec.relation, of_items.query, of_items.steps, label_query, timestamp_column, known_at, allow_current, caller_path)
			WITH ORDINALITY AS c(name, definition, is_output, is_input, place));
	IF items IS NULL THEN
		OPEN cursor FOR EXECUTE format('SELECT %s FROM featurestore._training_rows($1, $2, $3, $4, $5, NULL, $6) AS t(%s)', selected, defined)
			USING spec.relation, label_query, timestamp_column, known_at, allow_current, caller_path;
	ELSE
		OPEN cursor FOR EXECUTE format('SELECT %s FROM featurestore._training_rows_of_items($1, $2, $3, $4, $5, $6, $7) AS t(%s)', selected, defined)
			USING of_items.query, of_items.steps, label_query, timestamp_column, known_at, allow_current, caller_path;
	END IF;
	RETURN cursor;
END
$$;
COMMENT ON FUNCTION featurestore._open_training_rows(text, featurestore.spec, text, text[], text[], text, boolean, featurestore.spec_item[], refcursor, text) IS 'internal: the work of training_rows';

/*
 * Opens a cursor over the rows that create_training_set would make, which also
 * describes the arguments.  cursor is its name; NULL for one that is chosen.
 * Writes nothing, and so works on a standby.  The rows are computed when the
 * first is fetched, and last as long as the transaction.
 */
CREATE FUNCTION featurestore.training_rows(labels text, spec text DEFAULT NULL, timestamp_column text DEFAULT NULL, label text[] DEFAULT NULL,
										   exclude_columns text[] DEFAULT NULL, known_at text DEFAULT NULL, allow_current boolean DEFAULT false,
										   items featurestore.spec_item[] DEFAULT NULL, cursor refcursor DEFAULT NULL) RETURNS refcursor
	LANGUAGE sql VOLATILE
	/* no setting of its own: names are resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT featurestore._open_training_rows(featurestore._label_query(training_rows.labels),
			featurestore._training_spec(training_rows.spec, pg_catalog.to_regclass(training_rows.spec), training_rows.items),
			training_rows.timestamp_column, COALESCE(training_rows.label, '{}'::text[]), COALESCE(training_rows.exclude_columns, '{}'::text[]),
			training_rows.known_at, COALESCE(training_rows.allow_current, false), training_rows.items, training_rows.cursor, pg_catalog.current_setting('search_path'));
	END;
COMMENT ON FUNCTION featurestore.training_rows(text, text, text, text[], text[], text, boolean, featurestore.spec_item[], refcursor) IS 'opens a cursor over training rows';

/*
 * Rows of a training set's type for labels, with the features that it was made
 * with, whatever became of them since.
 *
 * training_set: NULL of its row type, as in NULL::ml.train.
 * labels: as for create_training_set; columns of the training set that they do
 *   not have are NULL.
 * timestamp_column: column of the labels with their times; NULL: now.
 *
 * Raises 42809 for what is no training set, 55000 if what it was made of has been
 * dropped; also what create_training_set does.
 */
CREATE FUNCTION featurestore.score_batch(training_set anyelement, labels text, timestamp_column text DEFAULT NULL) RETURNS SETOF anyelement
	AS 'MODULE_PATHNAME', 'score_batch' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100000 COST 100000;
COMMENT ON FUNCTION featurestore.score_batch(anyelement, text, text) IS 'rows of a training set for other labels, with the features it was made with';

/* The training set that name is resolved to by the caller; raises 42704 if there is none. */
CREATE FUNCTION featurestore._training_set(name text, resolved regclass) RETURNS featurestore.training_set
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	result featurestore.training_set := (SELECT t FROM featurestore.training_set AS t WHERE t.relation = resolved);
BEGIN
	IF name IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'the name of the training set must not be null';
	ELSIF result.relation IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('training set "%s" does not exist', name),
			HINT = 'The view featurestore.training_sets lists the training sets there are.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._training_set(text, regclass) IS 'internal: a training set, or an error';

/* The work of training_set_hash. */
CREATE FUNCTION featurestore._training_set_hash(training_set featurestore.training_set) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	hash text;
BEGIN
	EXECUTE format('SELECT lpad(to_hex(featurestore._rows_hash(t.*)), 16, ''0'') FROM %s AS t', featurestore._relation_name(training_set.relation)) INTO hash;
	RETURN hash;
END
$$;
COMMENT ON FUNCTION featurestore._training_set_hash(featurestore.training_set) IS 'internal: the work of training_set_hash';

/*
 * A hash of the rows that a training set has now, however they are stored.
 * That of the rows it was made with is in the view training_sets.  Raises 42704
 * if there is no such training set, 42501 without SELECT on it.
 */
CREATE FUNCTION featurestore.training_set_hash(name text) RETURNS text
	LANGUAGE sql STABLE
	/* no setting of its own: the name is resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT featurestore._training_set_hash(featurestore._training_set(training_set_hash.name, pg_catalog.to_regclass(training_set_hash.name)));
	END;
COMMENT ON FUNCTION featurestore.training_set_hash(text) IS 'hash of the rows that a training set has';

/* The work of drop_training_set.  The frozen spec goes first, so that what depends on it keeps both. */
CREATE FUNCTION featurestore._drop_training_set(training_set featurestore.training_set) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	/* a table that was given to another has left it with its maker; then it goes with the table */
	IF (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = training_set.frozen_spec) THEN
		EXECUTE format('DROP VIEW %s', featurestore._relation_name(training_set.frozen_spec));
	END IF;
	EXECUTE format('DROP TABLE %s', featurestore._relation_name(training_set.relation));
END
$$;
COMMENT ON FUNCTION featurestore._drop_training_set(featurestore.training_set) IS 'internal: the work of drop_training_set';

/*
 * Drops a training set with what keeps its features.  Raises 42704 if there is
 * none, 42501 to others than its owner, 2BP01 if something depends on it.
 */
CREATE FUNCTION featurestore.drop_training_set(name text) RETURNS void
	LANGUAGE sql VOLATILE
	/* no setting of its own: the name is resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT featurestore._drop_training_set(featurestore._training_set(drop_training_set.name, pg_catalog.to_regclass(drop_training_set.name)));
	END;
COMMENT ON FUNCTION featurestore.drop_training_set(text) IS 'drops a training set';
