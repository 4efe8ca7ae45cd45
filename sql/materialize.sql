/*
 * Materialized features: online tables of window states.
 *
 * An online table has one row for each entity, and a column of states for each
 * set of features that one state can serve: same rows, same values, same
 * family of functions, windows whose lattices nest.  Which value a state has
 * depends on when it is looked at; the view beside the table shows what it is
 * now.  A table of states is published like any other: a sync computes the
 * states anew from their sources, all as of one snapshot, and merges the
 * difference.
 */

/* How far ahead of the clock an event may be dated and still be in the states. */
CREATE FUNCTION featurestore._head_slack() RETURNS interval
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT interval '10 s' $$;
COMMENT ON FUNCTION featurestore._head_slack() IS 'internal: how far ahead of the clock an event may be dated';

/* Name of a relation without its schema. */
CREATE FUNCTION featurestore._bare_name(relation regclass) RETURNS text
	LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
	AS $$ SELECT relname::text FROM pg_class WHERE oid = relation $$;
COMMENT ON FUNCTION featurestore._bare_name(regclass) IS 'internal: name of a relation without its schema';

/*
 * Features with what is derived from their definitions: call is the function as
 * window_value takes it, rows the text of the view, equal for features that
 * read the same values, share what else one state needs to have in common: its
 * family and its parameter, unless that only says how many values it keeps.
 */
CREATE FUNCTION featurestore._described_features(features featurestore.feature[])
	RETURNS TABLE(n int, relation regclass, name text, call text, family text, share text, param int, is_count boolean, rows text,
				  value_collation text, definition featurestore.feature)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT s.n, f.relation, featurestore._bare_name(f.relation), i.call, i.family,
	i.family || CASE WHEN i.call ~ '(^first|^last|_n\()' THEN '' ELSE ' ' || i.param END, i.param, i.is_count,
	pg_get_viewdef(f.relation), (SELECT c.coll FROM featurestore._columns(f.relation) AS c WHERE c.name = 'value' AND f.input IS NOT NULL),
	features[s.n]
FROM generate_subscripts(features, 1) AS s(n)
CROSS JOIN LATERAL (SELECT (features[s.n]).*) AS f
CROSS JOIN LATERAL featurestore._function_info(f.function, f.input_type, f.params) AS i
$$;
COMMENT ON FUNCTION featurestore._described_features(featurestore.feature[]) IS 'internal: features with what is derived from their definitions';

/* The features materialized in online_table, as a rule in the order they were registered in. */
CREATE FUNCTION featurestore._features_in(online_table regclass) RETURNS featurestore.feature[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT coalesce(array_agg(f ORDER BY f.relation), '{}')
FROM featurestore.feature f WHERE f.online_table = _features_in.online_table
$$;
COMMENT ON FUNCTION featurestore._features_in(regclass) IS 'internal: the features materialized in a table';

/* The columns of states of a table that features need; none where it holds no features. */
CREATE FUNCTION featurestore._state_columns(online_table regclass) RETURNS text[]
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT ARRAY(SELECT DISTINCT f.state_column FROM featurestore.feature f WHERE f.online_table = _state_columns.online_table));
END
$$;
COMMENT ON FUNCTION featurestore._state_columns(regclass) IS 'internal: the columns of states that features need';

/* Entity columns of a relation with their types, as messages and comparisons want them. */
CREATE FUNCTION featurestore._entity_columns(relation regclass, entity text[]) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT string_agg(concat_ws(' ', quote_ident(e.name), c.type, 'COLLATE ' || nullif(c.coll, 'pg_catalog."default"')), ', ' ORDER BY e.n)
FROM unnest(entity) WITH ORDINALITY AS e(name, n) LEFT JOIN featurestore._columns(relation) AS c ON c.name = e.name
$$;
COMMENT ON FUNCTION featurestore._entity_columns(regclass, text[]) IS 'internal: entity columns and their types';

/*
 * Raises 42501 unless relation, the view of a feature, has the owner of
 * online_table, or without one is the current user's: a sync evaluates the view
 * with the rights of the owner of the table.
 */
CREATE FUNCTION featurestore._check_same_owner(relation regclass, online_table regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	feature_owner regrole := (SELECT relowner FROM pg_class WHERE oid = relation);
	table_owner regrole := coalesce((SELECT relowner::regrole FROM pg_class WHERE oid = online_table), current_user::regrole);
BEGIN
	IF feature_owner <> table_owner THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = CASE WHEN online_table IS NULL THEN format('feature %s belongs to another role', relation)
						   ELSE format('feature %s and table %s belong to different roles', relation, online_table) END,
			DETAIL = format('They are %s and %s.', feature_owner, table_owner),
			HINT = 'A sync reads features with the rights of the owner of the table. Materialize them as their owner, or change one of the owners.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_same_owner(regclass, regclass) IS 'internal: raises an error unless feature and table have one owner';

/*
 * Raises an error unless features can be in one table, which has the rows of
 * entity as relation has them: 22023 for features of another entity and 55000
 * for those materialized elsewhere.
 */
CREATE FUNCTION featurestore._check_materializable(features featurestore.feature[], relation regclass, entity text[], online_table regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	wanted text := featurestore._entity_columns(relation, entity);
	feature featurestore.feature;
BEGIN
	FOREACH feature IN ARRAY features LOOP
		PERFORM featurestore._check_feature_owner(feature);
		PERFORM featurestore._check_same_owner(feature.relation, online_table);
		IF feature.online_table IS DISTINCT FROM online_table AND feature.online_table IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
				MESSAGE = format('feature %s is materialized in %s already', feature.relation, feature.online_table),
				HINT = 'A feature is materialized in one table. Register it under another name to have it in two.';
		ELSIF featurestore._entity_columns(feature.relation, feature.entity) <> wanted THEN
			RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
				MESSAGE = format('feature %s describes another entity', feature.relation),
				DETAIL = format('Its entity is (%s), that of the online table is (%s).',
								featurestore._entity_columns(feature.relation, feature.entity), wanted),
				HINT = 'An online table has the features of one entity.';
		END IF;
		IF online_table IS NOT NULL THEN
			PERFORM featurestore._check_cycle(feature.source, online_table);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._check_materializable(featurestore.feature[], regclass, text[], regclass) IS 'internal: raises an error unless features can be in one table';

/* Raises 42701 if two of the columns that features make in views and tables would have one name. */
CREATE FUNCTION featurestore._check_feature_names(features featurestore.feature[], entity text[]) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad text := (SELECT name FROM unnest(entity || 'window_end'::text
										 || ARRAY(SELECT featurestore._bare_name(f.relation) FROM unnest(features) AS f)) AS name
				 GROUP BY name HAVING count(*) > 1 ORDER BY name COLLATE "C" LIMIT 1);
BEGIN
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_column',
			MESSAGE = format('column "%s" would be there more than once', bad),
			DETAIL = 'The features and entity columns of one online table have different names, none of them window_end.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_feature_names(featurestore.feature[], text[]) IS 'internal: raises an error if two features have one name';

/*
 * Creates the table for features of one entity, with no column of states yet,
 * under name (schema and name), and says that it is published.  Room is left on
 * its pages for updates in place, and states stay on them if they can.
 */
CREATE FUNCTION featurestore._create_window_table(name text[], feature featurestore.feature, publish_mode text, schedule text, time_zone text,
												  source_retention interval) RETURNS featurestore.window_table
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	qualified text := format('%I.%I', name[1], name[2]);
	result featurestore.window_table;
BEGIN
	EXECUTE format('CREATE TABLE %s WITH (fillfactor = 70, toast_tuple_target = 8160) AS SELECT %s FROM %s WITH NO DATA', qualified,
				   featurestore._column_list(feature.entity), feature.relation);
	EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (%s)', qualified, featurestore._column_list(feature.entity));
	result := ROW(qualified::regclass, feature.entity, '{}', '{}', NULL, NULL);
	PERFORM featurestore._check_cycle(feature.source, result.relation);
	PERFORM featurestore._store_definition('publication', to_jsonb(featurestore._with_schedule(
		ROW(result.relation, NULL, publish_mode, feature.entity, NULL, '{}', NULL, source_retention, false, NULL, NULL), schedule, time_zone))
		|| jsonb_build_object('relation', result.relation::oid::text));
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._create_window_table(text[], featurestore.feature, text, text, text, interval) IS 'internal: creates the online table of features';

/* Stores what a table of states is. */
CREATE FUNCTION featurestore._store_window_table(window_table featurestore.window_table) RETURNS void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._store_definition('window_table', to_jsonb(window_table) || jsonb_build_object(
	'relation', window_table.relation::oid::text, 'values_view', window_table.values_view::oid::text,
	'offline_table', window_table.offline_table::oid::text))
$$;
COMMENT ON FUNCTION featurestore._store_window_table(featurestore.window_table) IS 'internal: stores what a table of states is';

/* A name for a column of states, after the input and what the states hold, that is not taken. */
CREATE FUNCTION featurestore._state_column_name(online_table regclass, input text, family text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT concat_ws('_', CASE WHEN octet_length(stem) > 40 THEN left(stem, 10) ELSE stem END, family, CASE WHEN n > 1 THEN n END)
FROM (SELECT CASE WHEN input IS NULL THEN 'rows'
				  WHEN input ~ '^source\.([[:alpha:]_][[:alnum:]_$]*|"([^"]|"")+")$' THEN (parse_ident(input))[2]
				  ELSE 'value' END) AS s(stem), generate_series(1, 2000) AS n
WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = online_table
				  AND attname = concat_ws('_', CASE WHEN octet_length(stem) > 40 THEN left(stem, 10) ELSE stem END, family, CASE WHEN n > 1 THEN n END))
ORDER BY n LIMIT 1
$$;
COMMENT ON FUNCTION featurestore._state_column_name(regclass, text, text) IS 'internal: a name for a column of states';

/*
 * Adds a column of states, each empty so far.  A default that is a constant
 * costs nothing on the rows there are.
 */
CREATE FUNCTION featurestore._add_state_column(window_table featurestore.window_table, name text, template featurestore.window_state)
	RETURNS featurestore.window_table
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	EXECUTE format('ALTER TABLE %s ADD COLUMN %I featurestore.window_state NOT NULL DEFAULT %L::featurestore.window_state',
				   window_table.relation, name, template);
	EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE MAIN', window_table.relation, name);
	window_table.state_columns := window_table.state_columns || name;
	window_table.templates := window_table.templates || template;
	RETURN window_table;
END
$$;
COMMENT ON FUNCTION featurestore._add_state_column(featurestore.window_table, text, featurestore.window_state) IS 'internal: adds a column of states';

/*
 * The column of states of a table that can serve a feature as it is; NULL if
 * there is none.  Windows are part of a state from the start.
 */
CREATE FUNCTION featurestore._serving_column(window_table featurestore.window_table, feature featurestore.feature) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT (d.definition).state_column
FROM featurestore._described_features(ARRAY[feature]) AS wanted
JOIN featurestore._described_features(featurestore._features_in(window_table.relation)) AS d USING (rows, share)
WHERE d.param >= wanted.param
	AND featurestore.describe(window_table.templates[array_position(window_table.state_columns, (d.definition).state_column)])
		-> 'windows' ? feature.time_window::text
ORDER BY array_position(window_table.state_columns, (d.definition).state_column) LIMIT 1
$$;
COMMENT ON FUNCTION featurestore._serving_column(featurestore.window_table, featurestore.feature) IS 'internal: a column of states that can serve a feature';

/* Sets where a feature is materialized; NULLs for nowhere. */
CREATE FUNCTION featurestore._place_feature(feature featurestore.feature, online_table regclass, state_column text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	feature.online_table := online_table;
	feature.state_column := state_column;
	PERFORM featurestore._store_feature(feature);
END
$$;
COMMENT ON FUNCTION featurestore._place_feature(featurestore.feature, regclass, text) IS 'internal: notes where a feature is materialized';

/*
 * Gives each of features, none of which is materialized, its column of states,
 * and adds those that are missing: one for all features that a state can serve
 * together.  The function with the greatest parameter makes the template, since
 * that state serves the others too.
 */
CREATE FUNCTION featurestore._add_features(window_table featurestore.window_table, features featurestore.feature[])
	RETURNS featurestore.window_table
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	open_features featurestore.feature[] := '{}';
	feature featurestore.feature;
	name text;
	part record;
BEGIN
	FOREACH feature IN ARRAY features LOOP
		name := featurestore._serving_column(window_table, feature);
		IF name IS NULL THEN
			open_features := open_features || feature;
		ELSE
			PERFORM featurestore._place_feature(feature, window_table.relation, name);
		END IF;
	END LOOP;

	FOR part IN
		WITH described AS (
			SELECT * FROM featurestore._described_features(open_features)
		), lattice AS (
			SELECT g.features[i] AS n, g.groups[i] AS lattice
			FROM (SELECT array_agg(n ORDER BY n) AS features,
					featurestore._window_groups(array_agg((d.definition).time_window ORDER BY n)) AS groups
				  FROM described d GROUP BY rows, share) AS g, generate_subscripts(g.features, 1) AS i)
		SELECT min(d.family) AS family, min((d.definition).input) AS input, array_agg(d.definition ORDER BY d.n) AS features,
			(array_agg(d.definition ORDER BY d.param DESC, d.n))[1] AS widest, min(d.value_collation) AS value_collation,
			array_agg(DISTINCT (d.definition).time_window::text)::featurestore.time_window[] AS windows
		FROM described d JOIN lattice USING (n)
		GROUP BY d.rows, d.share, lattice.lattice ORDER BY min(d.n)
	LOOP
		name := featurestore._state_column_name(window_table.relation, part.input, part.family);
		window_table := featurestore._add_state_column(window_table, name, featurestore.window_state(
			(part.widest).function, (part.widest).input_type, part.windows, (part.widest).params,
			featurestore._head_slack(), part.value_collation));
		FOREACH feature IN ARRAY part.features LOOP
			PERFORM featurestore._place_feature(feature, window_table.relation, name);
		END LOOP;
	END LOOP;
	RETURN window_table;
END
$$;
COMMENT ON FUNCTION featurestore._add_features(featurestore.window_table, featurestore.feature[]) IS 'internal: gives features their columns of states';

/*
 * Makes the view that shows what the features of a table are now; NULL until
 * they are filled.  Columns that it has keep their places; where one must go,
 * the view is made anew.
 */
CREATE FUNCTION featurestore._show_values(window_table featurestore.window_table) RETURNS featurestore.window_table
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	view text := coalesce(featurestore._relation_name(window_table.values_view),
						  (SELECT format('%I.%I', n.nspname, c.relname || '_values')
						   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = window_table.relation));
	features featurestore.feature[] := featurestore._features_in(window_table.relation);
	there text[] := ARRAY(SELECT c.name FROM featurestore._columns(window_table.values_view) AS c WHERE c.name <> ALL (window_table.entity));
	grants text[] := featurestore._view_grants(window_table.values_view);
	outputs text;
BEGIN
	PERFORM featurestore._check_feature_names(features, window_table.entity);
	SELECT string_agg(format(', CASE WHEN %L = ANY (p.filled) THEN featurestore.window_value(t.%1$I, %L, %L::featurestore.time_window, statement_timestamp(), NULL::%s) END AS %I',
							 (d.definition).state_column, d.call, (d.definition).time_window, format_type((d.definition).result_type, -1), d.name),
					  '' ORDER BY array_position(there, d.name), d.n)
	INTO outputs FROM featurestore._described_features(features) AS d;

	IF EXISTS (SELECT FROM unnest(there) AS t(name) WHERE name NOT IN (SELECT featurestore._bare_name(f.relation) FROM unnest(features) AS f)) THEN
		EXECUTE format('DROP VIEW %s', view);
		window_table.values_view := NULL;
	END IF;
	EXECUTE format('CREATE %s VIEW %s AS SELECT %s%s FROM %s AS t LEFT JOIN featurestore._position(%5$L::regclass) AS p ON true',
				   CASE WHEN window_table.values_view IS NULL THEN '' ELSE 'OR REPLACE' END, view,
				   featurestore._column_list(window_table.entity, 't'), outputs, window_table.relation);
	PERFORM featurestore._execute(grants) WHERE window_table.values_view IS NULL;
	window_table.values_view := view::regclass;
	RETURN window_table;
END
$$;
COMMENT ON FUNCTION featurestore._show_values(featurestore.window_table) IS 'internal: makes the view with the values of materialized features';

/*
 * Raises an error unless a sync of a table of states can do its work: 55000 if
 * a feature was dropped or altered behind its back, 42703 for a column that it
 * has no more, 42804 for entity columns whose type has changed, 42501 unless
 * the caller can read all views.
 */
CREATE FUNCTION featurestore._check_window_table(online_table regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	window_table featurestore.window_table;
	features featurestore.feature[] := featurestore._features_in(online_table);
	feature featurestore.feature;
	bad text;
BEGIN
	SELECT * INTO window_table FROM featurestore.window_table t WHERE t.relation = online_table;
	IF NOT FOUND OR features = '{}' THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('no feature is materialized in %s any more', online_table),
			HINT = 'Drop the table.';
	END IF;
	/* before anything of the views is planned, since that may run what is in them */
	FOREACH feature IN ARRAY features LOOP
		PERFORM featurestore._check_same_owner(feature.relation, online_table);
	END LOOP;

	SELECT c.name INTO bad
	FROM unnest(window_table.entity || ARRAY(SELECT f.state_column FROM unnest(features) AS f)) WITH ORDINALITY AS c(name, n)
	WHERE c.name NOT IN (SELECT o.name FROM featurestore._columns(online_table) AS o) ORDER BY c.n LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column',
			MESSAGE = format('column "%s" of relation %s does not exist any more', bad, online_table),
			HINT = 'Restore the column, or drop the online table and materialize its features anew.';
	END IF;
	SELECT c.name INTO bad FROM featurestore._columns(online_table) AS c
	WHERE c.name = ANY (window_table.state_columns) AND c.name NOT IN (SELECT f.state_column FROM unnest(features) AS f)
	ORDER BY c.attnum LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('column "%s" of %s has lost its features', bad, online_table),
			DETAIL = 'Their views were dropped, so nothing keeps the states in it in step.',
			HINT = format('Drop it with all that reads it: ALTER TABLE %s DROP COLUMN %I CASCADE.', online_table, bad);
	END IF;
	SELECT (d.definition).state_column INTO bad FROM featurestore._described_features(features) AS d
	GROUP BY 1 HAVING count(DISTINCT d.rows) > 1 ORDER BY 1 LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('features that share column "%s" of %s no longer read the same rows', bad, online_table),
			DETAIL = 'The view of a feature is not to be altered.',
			HINT = 'Drop those that were altered with drop_feature, and register them anew.';
	END IF;

	FOREACH feature IN ARRAY features LOOP
		IF featurestore._entity_columns(feature.relation, window_table.entity)
			<> featurestore._entity_columns(online_table, window_table.entity) THEN
			RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
				MESSAGE = format('entity columns of feature %s and online table %s differ', feature.relation, online_table),
				DETAIL = format('They are (%s) and (%s).', featurestore._entity_columns(feature.relation, window_table.entity),
								featurestore._entity_columns(online_table, window_table.entity));
		END IF;
		EXECUTE format('SELECT FROM %s WHERE false', feature.relation);
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._check_window_table(regclass) IS 'internal: raises an error unless a sync can compute the states of a table';

/*
 * Adds to the offline table of a table of states, which is created under name
 * (schema and name) if there is none, columns for the features whose windows
 * close.  Raises 22023 if there are none.
 */
CREATE FUNCTION featurestore._extend_offline_table(window_table featurestore.window_table, name text[]) RETURNS featurestore.window_table
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	qualified text := quote_ident(name[1]) || '.' || quote_ident(name[2]);
	feature record;
BEGIN
	IF NOT EXISTS (SELECT FROM featurestore._closing_features(window_table.relation)) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'no feature has a window that closes',
			DETAIL = 'An offline table has the values of sliding and tumbling windows.';
	END IF;
	IF window_table.offline_table IS NULL THEN
		EXECUTE format('CREATE TABLE %s AS SELECT %s, NULL::timestamptz AS window_end FROM %s WITH NO DATA', qualified,
					   featurestore._column_list(window_table.entity), window_table.relation);
		EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (%s)', qualified, featurestore._column_list(window_table.entity || 'window_end'::text));
		window_table.offline_table := qualified::regclass;
	END IF;
	FOR feature IN
		SELECT c.name, format_type((c.definition).result_type, -1) AS type
		FROM featurestore._closing_features(window_table.relation) AS c
		WHERE c.name NOT IN (SELECT o.name FROM featurestore._columns(window_table.offline_table) AS o) ORDER BY c.n
	LOOP
		EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', window_table.offline_table, feature.name, feature.type);
	END LOOP;
	RETURN window_table;
END
$$;
COMMENT ON FUNCTION featurestore._extend_offline_table(featurestore.window_table, text[]) IS 'internal: adds columns to the offline table of materialized features';

/*
 * The table of states called name (schema and name), locked; NULL if nothing
 * is called so.  Raises 42P07 for any other relation, 42501 unless the caller
 * owns it, and 42710 if its offline table is not the one given.
 */
CREATE FUNCTION featurestore._existing_window_table(name text[], offline_table text[]) RETURNS featurestore.window_table
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	online_table regclass := to_regclass(format('%I.%I', name[1], name[2]));
	result featurestore.window_table;
BEGIN
	IF online_table IS NULL THEN
		RETURN NULL;
	END IF;
	IF NOT EXISTS (SELECT FROM featurestore.window_table t WHERE t.relation = online_table) THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
			MESSAGE = format('relation %s already exists', online_table),
			DETAIL = 'It is not a table of materialized features.',
			HINT = 'Choose another name for the online table, or drop the relation first.';
	END IF;
	PERFORM featurestore._check_online_table(online_table);
	PERFORM featurestore._lock_sources(online_table, true);
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', online_table);
	SELECT * INTO STRICT result FROM featurestore.window_table t WHERE t.relation = online_table;
	IF offline_table IS NOT NULL AND result.offline_table IS NOT NULL
		AND result.offline_table IS DISTINCT FROM to_regclass(quote_ident(offline_table[1]) || '.' || quote_ident(offline_table[2])) THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
			MESSAGE = format('table %s has another offline table', online_table),
			DETAIL = format('It is %s.', result.offline_table);
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._existing_window_table(text[], text[]) IS 'internal: the table of states of a name';

/* Registered features, each once, by their names and what the caller's search path makes of them. */
CREATE FUNCTION featurestore._named_features(names text[], relations regclass[]) RETURNS featurestore.feature[]
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF names IS NULL OR names = '{}' THEN
		RAISE EXCEPTION USING ERRCODE = CASE WHEN names IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
			MESSAGE = 'features must name at least one feature';
	END IF;
	RETURN ARRAY(SELECT featurestore._feature(relation, name)
				 FROM (SELECT DISTINCT ON (relation, CASE WHEN relation IS NULL THEN name END) relation, name, n
					   FROM unnest(names, relations) WITH ORDINALITY AS f(name, relation, n) ORDER BY 1, CASE WHEN relation IS NULL THEN name END, n) AS f
				 ORDER BY n);
END
$$;
COMMENT ON FUNCTION featurestore._named_features(text[], regclass[]) IS 'internal: registered features of these names';

/*
 * Takes columns of states that were added to a table from those that count as
 * filled: one of their name that was dropped may have been.
 */
CREATE FUNCTION featurestore._note_unfilled(online_table regclass, columns_before text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	"position" featurestore.publication_position := featurestore._position(online_table);
	filled text[] := ARRAY(SELECT unnest("position".filled) INTERSECT SELECT unnest(columns_before));
BEGIN
	IF NOT "position".filled <@ filled THEN
		"position".filled := filled;
		PERFORM featurestore._store_definition('publication_position',
			to_jsonb("position") || jsonb_build_object('relation', online_table::oid::text));
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._note_unfilled(regclass, text[]) IS 'internal: notes which columns of states are not filled';

/*
 * Raises 22023 unless there is such a publish mode, and 42710 if online_table is
 * published in another one or with another schedule or retention; NULLs are no
 * wish.
 */
CREATE FUNCTION featurestore._check_window_mode(online_table regclass, publish_mode text, schedule text, time_zone text, source_retention interval) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	defined featurestore.publication;
	wanted featurestore.publication;
BEGIN
	IF publish_mode IS NOT NULL THEN
		PERFORM featurestore._check_publish_mode(publish_mode);
	END IF;
	SELECT * INTO defined FROM featurestore.publication p WHERE p.relation = online_table;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	wanted := defined;
	IF source_retention IS NOT NULL THEN
		wanted.source_retention := featurestore._checked_retention(source_retention, defined.publish_mode, true);
	END IF;
	IF num_nonnulls(schedule, time_zone) > 0 THEN
		wanted := featurestore._with_schedule(wanted, schedule, time_zone);
	END IF;
	IF publish_mode <> defined.publish_mode OR wanted IS DISTINCT FROM defined THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
			MESSAGE = format('table %s is published already, differently', online_table),
			DETAIL = format('Its publish mode is %s, its source_retention %s, its schedule %s.', defined.publish_mode,
							coalesce(defined.source_retention::text, 'null'), coalesce(quote_literal(defined.schedule) || ' in time zone ' || defined.time_zone, 'null')),
			HINT = 'Use alter_publication.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_window_mode(regclass, text, text, text, interval) IS 'internal: raises an error unless features can be published so';

/*
 * The work of materialize_features, with names as the caller's search path
 * resolves them and creation_schema, the schema that names without one are
 * created in.
 */
CREATE FUNCTION featurestore._materialize(names text[], relations regclass[], online_table text, offline_table text,
										  creation_schema text, publish_mode text, schedule text, time_zone text, source_retention interval, wait boolean)
	RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	online_name text[] := featurestore._object_name('online_table', online_table, creation_schema);
	offline_name text[] := CASE WHEN offline_table IS NOT NULL THEN featurestore._object_name('offline_table', offline_table, creation_schema) END;
	/* locks the table, if it exists; what is in it is read after that */
	defined featurestore.window_table := featurestore._existing_window_table(online_name, offline_name);
	window_table featurestore.window_table := defined;
	features featurestore.feature[] := featurestore._named_features(names, relations);
	added featurestore.feature[];
BEGIN
	PERFORM featurestore._check_window_mode(defined.relation, publish_mode, schedule, time_zone, source_retention);
	PERFORM featurestore._object_name('online_table', format('%I.%I', online_name[1], online_name[2] || '_values'), NULL);
	PERFORM featurestore._check_materializable(features, coalesce(defined.relation, (features[1]).relation),
											   coalesce(defined.entity, (features[1]).entity), defined.relation);
	PERFORM featurestore._check_feature_names(features, (features[1]).entity);
	IF window_table.relation IS NULL THEN
		publish_mode := coalesce(publish_mode, CASE WHEN schedule IS NULL THEN 'CONTINUOUS' ELSE 'TRIGGERED' END);
		window_table := featurestore._create_window_table(online_name, features[1], publish_mode, schedule, time_zone,
			featurestore._checked_retention(source_retention, publish_mode, true));
	END IF;

	added := ARRAY(SELECT features[n] FROM generate_subscripts(features, 1) AS n WHERE (features[n]).online_table IS NULL ORDER BY n);
	IF added <> '{}' THEN
		window_table := featurestore._add_features(window_table, added);
	END IF;
	IF added <> '{}' OR window_table.values_view IS NULL THEN
		window_table := featurestore._show_values(window_table);
	END IF;
	IF offline_name IS NOT NULL OR (window_table.offline_table IS NOT NULL AND added <> '{}') THEN
		window_table := featurestore._extend_offline_table(window_table, offline_name);
	END IF;
	IF added = '{}' THEN
		RAISE NOTICE 'features are materialized in % already, skipping', window_table.relation;
	END IF;
	IF added <> '{}' OR window_table.values_view IS DISTINCT FROM defined.values_view
		OR window_table.offline_table IS DISTINCT FROM defined.offline_table THEN
		PERFORM featurestore._store_window_table(window_table);
	END IF;
	PERFORM featurestore._note_unfilled(window_table.relation, defined.state_columns);
	PERFORM featurestore._capture_sources(p) FROM featurestore.publication p
	WHERE p.relation = window_table.relation AND p.publish_mode <> 'SNAPSHOT' AND added <> '{}';

	IF wait IS NOT FALSE AND (window_table.offline_table IS DISTINCT FROM defined.offline_table
							  OR NOT featurestore._is_filled(window_table.relation)) THEN
		PERFORM featurestore._run_now(window_table.relation, 'ADD');
	END IF;
	RETURN window_table.relation;
END
$$;
COMMENT ON FUNCTION featurestore._materialize(text[], regclass[], text, text, text, text, text, text, interval, boolean) IS 'internal: the work of materialize_features';

/*
 * Keeps the values of features ready for lookups, in an online table with one
 * row for each entity.
 *
 * features: names of registered features of one entity that the caller owns.
 * online_table: name of the table, as in SQL: it may be quoted and qualified;
 *   without a schema it goes where CREATE TABLE would put it.  It has the
 *   entity columns as primary key, and columns of states.  Features are added
 *   to a table that this function has made.
 * offline_table: name of a table for the values of sliding and tumbling
 *   windows: for each entity a row at each end of a window, from its first
 *   event until the last has left all windows.
 * publish_mode: 'TRIGGERED': triggers on the sources capture their changes, and a
 *   sync merges those since the last one into the states; the sources must be
 *   tables of the caller's.  'CONTINUOUS': so, and the worker merges them as
 *   transactions commit.  'SYNCHRONOUS': the same triggers, and a transaction that
 *   changes a source merges its changes itself before it commits.  'SNAPSHOT': a
 *   sync computes all states anew and merges what has changed.  NULL: that of the
 *   table, of a new one CONTINUOUS, or TRIGGERED with a schedule.
 * schedule, time_zone: when workers and run_due run it, as publish_table takes
 *   them; NULL: as the table has them, a new one has none.
 * source_retention: age beyond which rows may be deleted from the sources by
 *   purges: such deletes leave states alone; positive, without months and years.
 * wait: false to define only; the next CALL sync(online_table), or in mode
 *   CONTINUOUS the worker, then fills the table.  Until then lookups find what was added NOT_READY.
 *
 * Gives the online table, which belongs to the caller, as does the view beside
 * it, called like it with _values behind, that shows what the features are now.
 * Repeating the call is a NOTICE.  Of features that are added to a table only
 * their own columns of states are filled, as of now; the table is locked
 * against writers until the end of the transaction.  Raises 42704 for features
 * that are not registered, 22023 for features of different entities or none, 55000 for one that is
 * materialized elsewhere, 42P07 if the name is that of another relation, 42710
 * for another offline table than before, 42701 if names of columns clash, 42P17
 * for a feature whose source is made from the table, 42501 unless the caller
 * owns all, 22023 and 22004 for bad values.
 */
CREATE FUNCTION featurestore.materialize_features(features text[], online_table text, offline_table text DEFAULT NULL,
												  publish_mode text DEFAULT NULL, schedule text DEFAULT NULL, time_zone text DEFAULT NULL,
												  source_retention interval DEFAULT NULL, wait boolean DEFAULT true) RETURNS regclass
	LANGUAGE sql VOLATILE
	/* no setting of its own: names are resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT featurestore._materialize(materialize_features.features,
			ARRAY(SELECT to_regclass(f.name) FROM unnest(materialize_features.features) WITH ORDINALITY AS f(name, n) ORDER BY f.n),
			materialize_features.online_table, materialize_features.offline_table, current_schema()::text,
			materialize_features.publish_mode, materialize_features.schedule, materialize_features.time_zone,
			materialize_features.source_retention, materialize_features.wait);
	END;
COMMENT ON FUNCTION featurestore.materialize_features(text[], text, text, text, text, text, interval, boolean) IS 'keeps the values of features ready for lookups';

/*
 * Undoes what materialize_features did for one feature.  The last feature of a
 * table takes the table with it.
 */
CREATE FUNCTION featurestore._dematerialize(feature featurestore.feature) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	window_table featurestore.window_table;
	place int;
BEGIN
	PERFORM featurestore._check_online_table(feature.online_table);
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', feature.online_table);
	SELECT * INTO STRICT window_table FROM featurestore.window_table t WHERE t.relation = feature.online_table;
	IF cardinality(featurestore._features_in(feature.online_table)) = 1 THEN
		EXECUTE (SELECT string_agg(format('DROP %s %s', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::regclass), '; ' ORDER BY c.relkind DESC)
				 FROM pg_class c WHERE c.oid IN (window_table.values_view, window_table.offline_table));
		EXECUTE format('DROP TABLE %s', window_table.relation);
		RETURN;
	END IF;

	PERFORM featurestore._place_feature(feature, NULL, NULL);
	window_table := featurestore._show_values(window_table);
	IF EXISTS (SELECT FROM featurestore._columns(window_table.offline_table) WHERE name = featurestore._bare_name(feature.relation)) THEN
		EXECUTE format('ALTER TABLE %s DROP COLUMN %I', window_table.offline_table, featurestore._bare_name(feature.relation));
	END IF;
	IF NOT EXISTS (SELECT FROM featurestore.feature f WHERE f.online_table = window_table.relation AND f.state_column = feature.state_column) THEN
		EXECUTE format('ALTER TABLE %s DROP COLUMN IF EXISTS %I', window_table.relation, feature.state_column);
		place := array_position(window_table.state_columns, feature.state_column);
		window_table.state_columns := window_table.state_columns[:place - 1] || window_table.state_columns[place + 1:];
		window_table.templates := window_table.templates[:place - 1] || window_table.templates[place + 1:];
	END IF;
	PERFORM featurestore._store_window_table(window_table);
	PERFORM featurestore._release_source(feature.source);
END
$$;
COMMENT ON FUNCTION featurestore._dematerialize(featurestore.feature) IS 'internal: undoes the materialization of a feature';
