/*
 * Fills: what the tables of materialized features should hold.
 *
 * Each view of a feature is read once: one grouping gives all states made of
 * its rows.  The groups of different views meet in full joins.  Rows without
 * key or time are of no entity or window: they are counted, and reported.
 */

/*
 * Gives the rows of query; $1 in it is clock.  Here a query can use parallel
 * workers, which the statement that writes cannot.  STABLE, so that it reads
 * under the snapshot of that statement.
 */
CREATE FUNCTION featurestore._read_source(online_table regclass, phase int, query text, clock timestamptz) RETURNS SETOF record
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	total bigint;
BEGIN
	PERFORM featurestore._report_progress(online_table, true, 1, -1);
	RETURN QUERY EXECUTE query USING clock;
	GET DIAGNOSTICS total = ROW_COUNT;
	PERFORM featurestore._report_progress(online_table, true, phase, total);
END
$$;
COMMENT ON FUNCTION featurestore._read_source(regclass, int, text, timestamptz) IS 'internal: the rows of a query, for a fill';

/* Key columns of a statement by number, k1, k2 and so on, each prefixed with the qualifier. */
CREATE FUNCTION featurestore._key_numbers(entity text[], qualifier text DEFAULT NULL) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT featurestore._column_list(ARRAY(SELECT 'k' || n FROM generate_subscripts(entity, 1) AS n), qualifier) $$;
COMMENT ON FUNCTION featurestore._key_numbers(text[], text) IS 'internal: key columns of a statement, by number';

/* Condition that a and b, which have key columns by number, have the same key; columns of relation tell the types. */
CREATE FUNCTION featurestore._same_key(relation regclass, entity text[], a text, b text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT string_agg(format('%I.k%s %s %I.k%2$s', a, e.n, featurestore._equality(c.type_oid), b), ' AND ' ORDER BY e.n)
FROM unnest(entity) WITH ORDINALITY AS e(name, n) JOIN featurestore._columns(relation) AS c USING (name)
$$;
COMMENT ON FUNCTION featurestore._same_key(regclass, text[], text, text) IS 'internal: SQL that compares keys by number';

/* Definitions of the key columns by number, as the list behind a function in FROM has them. */
CREATE FUNCTION featurestore._key_definitions(relation regclass, entity text[]) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT string_agg(concat_ws(' ', 'k' || e.n, format_type(c.type_oid, -1), 'COLLATE ' || c.coll), ', ' ORDER BY e.n)
FROM unnest(entity) WITH ORDINALITY AS e(name, n) JOIN featurestore._columns(relation) AS c USING (name)
$$;
COMMENT ON FUNCTION featurestore._key_definitions(regclass, text[]) IS 'internal: definitions of key columns by number';

/*
 * Query for the events of a feature's view: key by number, at, value, and
 * is_due: false for what has no time or is dated later than $1, the clock,
 * allows.
 */
CREATE FUNCTION featurestore._events_query(feature featurestore.feature) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('SELECT %1$s, %2$I AS at%3$s, isfinite(%2$I) IS TRUE AS has_time, (isfinite(%2$I) AND %2$I <= $1 + %4$L::interval) IS TRUE AS is_due FROM %5$s',
			  (SELECT string_agg(format('%I AS k%s', name, n), ', ' ORDER BY n) FROM unnest(feature.entity) WITH ORDINALITY AS e(name, n)),
			  feature.timeseries_column, CASE WHEN feature.input IS NULL THEN '' ELSE ', value' END,
			  featurestore._head_slack(), feature.relation)
$$;
COMMENT ON FUNCTION featurestore._events_query(featurestore.feature) IS 'internal: SQL for the events of a feature';

/*
 * The same of rows of the source, called source, that are in scope.  Others are
 * not looked at: what a filter or an input makes of them is of no concern.
 */
CREATE FUNCTION featurestore._scoped_events_query(feature featurestore.feature, scope text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('SELECT %1$s, source.%2$I AS at%3$s, isfinite(source.%2$I) IS TRUE AS has_time, (isfinite(source.%2$I) AND source.%2$I <= $1 + %4$L::interval) IS TRUE AS is_due'
			  ' FROM (SELECT source.* FROM %5$s AS source WHERE %6$s OFFSET 0) AS source WHERE %7$s',
			  (SELECT string_agg(format('source.%I AS k%s', name, n), ', ' ORDER BY n) FROM unnest(feature.entity) WITH ORDINALITY AS e(name, n)),
			  feature.timeseries_column, ', (' || feature.input || ') AS value', featurestore._head_slack(), feature.source, scope, coalesce(feature.filter, 'true'))
$$;
COMMENT ON FUNCTION featurestore._scoped_events_query(featurestore.feature, text) IS 'internal: SQL for the events of a feature among some rows';

/* The same whatever the clock: events that have a time. */
CREATE FUNCTION featurestore._dated_events_query(feature featurestore.feature) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('SELECT %s, %I AS at%s FROM %s WHERE isfinite(%2$I)',
			  (SELECT string_agg(format('%I AS k%s', name, n), ', ' ORDER BY n) FROM unnest(feature.entity) WITH ORDINALITY AS e(name, n)),
			  feature.timeseries_column, CASE WHEN feature.input IS NULL THEN '' ELSE ', value' END, feature.relation)
$$;
COMMENT ON FUNCTION featurestore._dated_events_query(featurestore.feature) IS 'internal: SQL for the events of a feature that have a time';

/* The empty state without windows for a feature, as a literal with its type. */
CREATE FUNCTION featurestore._agg_template(feature featurestore.feature, value_collation text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format('%L::featurestore.agg_state', featurestore.agg_state(feature.function, feature.input_type, feature.params, value_collation))
$$;
COMMENT ON FUNCTION featurestore._agg_template(featurestore.feature, text) IS 'internal: SQL for the empty state of a feature';

/* The call that aggregates events, as of _events_query, from template, a literal with its type. */
CREATE FUNCTION featurestore._accumulate_call(feature featurestore.feature, template text) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT format('featurestore.accumulate(%s, at%s)', template, CASE WHEN feature.input IS NULL THEN '' ELSE ', value' END) $$;
COMMENT ON FUNCTION featurestore._accumulate_call(featurestore.feature, text) IS 'internal: SQL that makes a state of events';

/*
 * The parts of the states of a table that belong in columns: one reads the rows
 * of one view, for one timeseries column and input, and makes the states whose
 * places are in states.  feature is any of its features; is_first: no part
 * before it reads the same rows.
 */
CREATE FUNCTION featurestore._state_parts(window_table featurestore.window_table, columns text[])
	RETURNS TABLE(n bigint, feature featurestore.feature, states int[], is_first boolean)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT row_number() OVER (ORDER BY min(d.n)), (array_agg(d.definition ORDER BY d.n))[1],
	array_agg(DISTINCT array_position(window_table.state_columns, (d.definition).state_column)),
	row_number() OVER (PARTITION BY min((d.definition).source::oid), (d.definition).timeseries_column, min((d.definition).filter) ORDER BY min(d.n)) = 1
FROM featurestore._described_features(featurestore._features_in(window_table.relation)) AS d
WHERE (d.definition).state_column = ANY (columns)
GROUP BY d.rows, (d.definition).timeseries_column, (d.definition).input IS NULL ORDER BY min(d.n)
$$;
COMMENT ON FUNCTION featurestore._state_parts(featurestore.window_table, text[]) IS 'internal: what the states of a table are made of';

/*
 * Aggregates of events, as of _events_query, about rows that are not in states:
 * how many, in one of the parts that have them, and when the first that is
 * dated in the future is due.
 */
CREATE FUNCTION featurestore._left_out_counts(keys text, is_first boolean) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE WHEN is_first
			THEN format('CASE WHEN num_nulls(%s) > 0 THEN count(*) ELSE 0 END AS null_keys, count(*) FILTER (WHERE NOT has_time) AS no_time,'
						' count(*) FILTER (WHERE has_time AND NOT is_due) AS held', keys)
			ELSE '0::bigint AS null_keys, 0::bigint AS no_time, 0::bigint AS held' END
	|| format(', min(at) FILTER (WHERE has_time AND NOT is_due) - %L::interval AS due', featurestore._head_slack())
$$;
COMMENT ON FUNCTION featurestore._left_out_counts(text, boolean) IS 'internal: SQL for what is not in states';

/* Query that joins two parts, a of which is NULL at first; columns are their states. */
CREATE FUNCTION featurestore._join_parts(window_table featurestore.window_table, a text, b text, columns text[]) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE WHEN a IS NULL THEN b ELSE
	format('SELECT %s, %s, %s, least(a.due, b.due) AS due FROM (%s) AS a FULL JOIN (%s) AS b ON %s',
		(SELECT string_agg(format('coalesce(a.k%s, b.k%1$s) AS k%1$s', n), ', ' ORDER BY n) FROM generate_subscripts(window_table.entity, 1) AS n),
		array_to_string(columns, ', '),
		(SELECT string_agg(format('coalesce(a.%s, 0) + coalesce(b.%1$s, 0) AS %1$s', c), ', ') FROM unnest('{null_keys,no_time,held}'::text[]) AS c),
		a, b, featurestore._same_key(window_table.relation, window_table.entity, 'a', 'b')) END
$$;
COMMENT ON FUNCTION featurestore._join_parts(featurestore.window_table, text, text, text[]) IS 'internal: SQL that joins parts of states';

/*
 * Query for the states of a table that belong in columns: key columns k1, ...,
 * the states s1, ... by their place in state_columns, and what was left out.
 * Keys with NULLs are among the rows.  states are the places that it gives.
 * scope is a condition on the rows of the sources, called source; NULL for all.
 */
CREATE FUNCTION featurestore._states_query(window_table featurestore.window_table, columns text[], scope text, OUT query text, OUT states int[])
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	part record;
BEGIN
	states := '{}';
	FOR part IN SELECT * FROM featurestore._state_parts(window_table, columns) ORDER BY n LOOP
		states := states || part.states;
		query := featurestore._join_parts(window_table, query, format('SELECT %1$s, %2$s, %4$s FROM (%3$s) AS e GROUP BY %1$s',
			featurestore._key_numbers(window_table.entity, 'e'),
			(SELECT string_agg(format('%s FILTER (WHERE is_due) AS s%s', featurestore._accumulate_call(part.feature,
									  format('%L::featurestore.window_state', window_table.templates[s])), s), ', ' ORDER BY s)
			 FROM unnest(part.states) AS s),
			CASE WHEN scope IS NULL THEN featurestore._events_query(part.feature) ELSE featurestore._scoped_events_query(part.feature, scope) END,
			featurestore._left_out_counts(featurestore._key_numbers(window_table.entity, 'e'), part.is_first)),
			ARRAY(SELECT 's' || s FROM unnest(states) AS s));
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._states_query(featurestore.window_table, text[], text) IS 'internal: SQL for the states of a table';

/*
 * What _merge_statement takes as rows for a table of states.  Its report is
 * what was left out.  An entity has a row if any of its events is in a state.
 * fresh is a query for the states.
 */
CREATE FUNCTION featurestore._window_rows(window_table featurestore.window_table, fresh text, states int[]) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format('fresh AS MATERIALIZED (%1$s),
	report AS MATERIALIZED (SELECT coalesce(sum(null_keys), 0) AS null_keys, coalesce(sum(no_time), 0) AS no_time, coalesce(sum(held), 0) AS held,
		jsonb_agg(jsonb_build_object(''key'', jsonb_build_object(%2$s), ''due'', due)) FILTER (WHERE due IS NOT NULL AND num_nulls(%3$s) = 0) AS later,
		false AS is_bad FROM fresh),
	wanted AS NOT MATERIALIZED (SELECT %4$s, %5$s FROM fresh WHERE num_nulls(%3$s) = 0 AND num_nonnulls(%6$s) > 0)',
	fresh,
	(SELECT string_agg(format('%L, k%s', name, n), ', ' ORDER BY n) FROM unnest(window_table.entity) WITH ORDINALITY AS e(name, n)),
	featurestore._key_numbers(window_table.entity),
	(SELECT string_agg(format('k%s AS %I', n, name), ', ' ORDER BY n) FROM unnest(window_table.entity) WITH ORDINALITY AS e(name, n)),
	(SELECT string_agg(format('coalesce(s%s, %L::featurestore.window_state) AS %I', s, window_table.templates[s], window_table.state_columns[s]), ', ' ORDER BY n)
	 FROM unnest(states) WITH ORDINALITY AS u(s, n)),
	(SELECT string_agg('s' || s, ', ') FROM unnest(states) AS s))
$$;
COMMENT ON FUNCTION featurestore._window_rows(featurestore.window_table, text, int[]) IS 'internal: SQL for the rows that a table of states should hold';

/* The states of a query as a statement that writes can use it: read in a function, so that it can run in parallel. */
CREATE FUNCTION featurestore._read_states(window_table featurestore.window_table, query text, states int[]) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format('SELECT * FROM featurestore._read_source(%L::regclass, 2, %L, $1) AS f(%s, %s, null_keys bigint, no_time bigint, held bigint, due timestamptz)',
	window_table.relation::oid, query, featurestore._key_definitions(window_table.relation, window_table.entity),
	(SELECT string_agg(format('s%s featurestore.window_state', s), ', ' ORDER BY n) FROM unnest(states) WITH ORDINALITY AS u(s, n)))
$$;
COMMENT ON FUNCTION featurestore._read_states(featurestore.window_table, text, int[]) IS 'internal: SQL that reads states in parallel';

/* The statement that merges the states of a table that belong in columns; with is_partial the other columns keep theirs. */
CREATE FUNCTION featurestore._states_merge(window_table featurestore.window_table, is_partial boolean, columns text[]) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	part record := featurestore._states_query(window_table, columns, NULL);
BEGIN
	RETURN featurestore._merge_statement(window_table.relation, window_table.entity,
		window_table.entity || ARRAY(SELECT window_table.state_columns[s] FROM unnest(part.states) WITH ORDINALITY AS u(s, n) ORDER BY n),
		featurestore._window_rows(window_table, featurestore._read_states(window_table, part.query, part.states), part.states), is_partial);
END
$$;
COMMENT ON FUNCTION featurestore._states_merge(featurestore.window_table, boolean, text[]) IS 'internal: SQL that makes columns of states equal to their sources';

/* Says what rows are not in states, from what the statements of a run gave. */
CREATE FUNCTION featurestore._report_left_out(online_table regclass, results jsonb[]) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	null_keys bigint := featurestore._sum(results, 'null_keys');
	no_time bigint := featurestore._sum(results, 'no_time');
	held bigint := featurestore._sum(results, 'held');
BEGIN
	IF null_keys + no_time > 0 THEN
		RAISE WARNING 'rows of the sources of % were left out', online_table
			USING DETAIL = format('%s have a null in their key, %s have no time or an infinite one.', null_keys, no_time);
	END IF;
	IF held > 0 THEN
		RAISE NOTICE 'rows of the sources of % are dated in the future', online_table
			USING DETAIL = format('%s rows will be in the states once they are due.', held);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._report_left_out(regclass, jsonb[]) IS 'internal: says what rows are not in states';

/*
 * The statements that compute the states that belong in columns anew, and the
 * rows of the offline table, if there is one, which is locked, and merge them.
 */
CREATE FUNCTION featurestore._windows_merge(online_table regclass, is_partial boolean, columns text[]) RETURNS text[]
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	window_table featurestore.window_table;
	statements text[] := '{}';
BEGIN
	SELECT * INTO STRICT window_table FROM featurestore.window_table t WHERE t.relation = online_table;
	IF columns <> '{}' THEN
		statements := ARRAY[featurestore._states_merge(window_table, is_partial, columns)];
	END IF;
	RETURN statements || featurestore._offline_statements(window_table);
END
$$;
COMMENT ON FUNCTION featurestore._windows_merge(regclass, boolean, text[]) IS 'internal: SQL that makes a table of states and its offline table equal to their sources';

/* The statements that bring the offline table of a table of states up to date, which is locked; none if there is none. */
CREATE FUNCTION featurestore._offline_statements(window_table featurestore.window_table) RETURNS text[]
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF window_table.offline_table IS NULL THEN
		RETURN '{}';
	END IF;
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', window_table.offline_table);
	RETURN ARRAY[featurestore._offline_merge(window_table)];
END
$$;
COMMENT ON FUNCTION featurestore._offline_statements(featurestore.window_table) IS 'internal: SQL that brings an offline table up to date';

/*
 * Says how large the states of a table are, and how many entities have a value
 * that is approximate now.
 */
CREATE FUNCTION featurestore._report_states(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	flags text;
	result record;
BEGIN
	SELECT string_agg(format('featurestore._window_flags(%I, %L, %L::featurestore.time_window, statement_timestamp())',
							 (d.definition).state_column, d.call, (d.definition).time_window), ' | ' ORDER BY d.n)
	INTO flags FROM featurestore._described_features(featurestore._features_in(online_table)) AS d;

	EXECUTE format('SELECT count(*) AS entities, count(*) FILTER (WHERE flags & 1 <> 0) AS approximate, max(size) AS largest,'
				   ' percentile_disc(0.5) WITHIN GROUP (ORDER BY size) AS p50, percentile_disc(0.99) WITHIN GROUP (ORDER BY size) AS p99'
				   ' FROM (SELECT %s AS size, %s AS flags FROM %s) AS state',
				   (SELECT string_agg(DISTINCT format('pg_column_size(%I)', f.state_column), ' + ') FROM unnest(featurestore._features_in(online_table)) AS f),
				   flags, online_table)
	INTO result;
	IF result.entities = 0 THEN
		RAISE NOTICE 'table % has no entities yet', online_table;
	ELSE
		RAISE NOTICE 'table % has % entities', online_table, result.entities
			USING DETAIL = format('Bytes of state per entity: median %s, 99th percentile %s, largest %s. Entities with approximate values now: %s.',
								  result.p50, result.p99, result.largest, result.approximate);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._report_states(regclass) IS 'internal: says how large the states of a table are';

/*
 * Features of an offline table, those whose windows close, with SQL for what
 * their queries need: the template, the step, duration and delay of the window.
 */
CREATE FUNCTION featurestore._closing_features(online_table regclass)
	RETURNS TABLE(n int, name text, call text, definition featurestore.feature, template text, step interval, duration interval, delay interval)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT d.n, d.name, d.call, d.definition,
	featurestore._agg_template(d.definition, d.value_collation),
	p.step, p.duration, p.delay
FROM featurestore._described_features(featurestore._features_in(online_table)) AS d
CROSS JOIN LATERAL featurestore._window_parts((d.definition).time_window) AS p
WHERE p.kind IN ('sliding', 'tumbling')
$$;
COMMENT ON FUNCTION featurestore._closing_features(regclass) IS 'internal: features whose windows close';

/*
 * Query for the rows of an offline table.  e<n> has the state of each window
 * of feature n that has events; ends has all that a row is for: per lattice,
 * from the first end after the first event of an entity until the last event
 * has left.  A row is there once the greatest delay has passed since its end.
 * Events of the first days there are, whose windows begin before, are left out.
 */
CREATE FUNCTION featurestore._offline_query(window_table featurestore.window_table) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
WITH closing AS (
	SELECT *, format('%L::featurestore.time_window', (definition).time_window) AS w, format('%L::interval', step) AS s,
		format('%L::interval', delay) AS d, format('%L::interval', duration + delay) AS reach,
		format('(%s) AS event WHERE is_due AND num_nulls(%s) = 0 AND at >= timestamptz ''4714-11-24 00:00:00+00 BC'' + %L::interval',
			   featurestore._events_query(definition), keys, step) AS events
	FROM featurestore._closing_features(window_table.relation), featurestore._key_numbers(window_table.entity) AS keys
), deadline AS (
	SELECT format('$1 - %L::interval', max(delay)) AS text FROM closing
)
SELECT format('WITH %s, ends AS (%s) SELECT %s, ends.at AS window_end, %s FROM ends %s',
	string_agg(format('e%1$s AS (SELECT %2$s, window_end, %3$s AS state FROM (SELECT event.*, generate_series(featurestore.window_hi(%4$s, at + %5$s) + %6$s,'
					  ' least(featurestore.window_hi(%4$s, at + %7$s), %8$s), %6$s) AS window_end FROM %9$s) AS contained GROUP BY %2$s, window_end)',
					  c.n, c.keys, featurestore._accumulate_call(c.definition, c.template), c.w, c.d, c.s, c.reach, deadline.text, c.events), ', ' ORDER BY c.n),
	string_agg(format('SELECT %1$s, generate_series(featurestore.window_hi(%2$s, min(at) + %3$s) + %4$s,'
					  ' least(featurestore.window_hi(%2$s, max(at) + %5$s), %6$s), %4$s) AS at FROM %7$s GROUP BY %1$s',
					  c.keys, c.w, c.d, c.s, c.reach, deadline.text, c.events), ' UNION ' ORDER BY c.n),
	featurestore._key_numbers(window_table.entity, 'ends'),
	string_agg(format('featurestore.agg_value(coalesce(e%s.state, %s), %L, NULL::%s)', c.n, c.template, c.call, format_type((c.definition).result_type, -1)),
			   ', ' ORDER BY c.n),
	string_agg(format('LEFT JOIN e%1$s ON %2$s AND e%1$s.window_end = featurestore.window_hi(%3$s, ends.at + %4$s)', c.n,
					  featurestore._same_key(window_table.relation, window_table.entity, 'ends', 'e' || c.n), c.w, c.d), ' ' ORDER BY c.n))
FROM closing c, deadline
$$;
COMMENT ON FUNCTION featurestore._offline_query(featurestore.window_table) IS 'internal: SQL for the rows of an offline table';

/* The statement that merges the values of closed windows into the offline table of a table of states. */
CREATE FUNCTION featurestore._offline_merge(window_table featurestore.window_table) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	names text[] := ARRAY(SELECT name FROM featurestore._closing_features(window_table.relation) ORDER BY n);
	key text[] := window_table.entity || 'window_end'::text;
	bad text := (SELECT name FROM unnest(key || names) AS name
				 WHERE name NOT IN (SELECT c.name FROM featurestore._columns(window_table.offline_table) AS c) LIMIT 1);
BEGIN
	IF bad IS NOT NULL OR featurestore._unique_index(window_table.offline_table, key) IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('offline table %s has no %s any more', window_table.offline_table,
							 coalesce(format('column "%s"', bad), 'unique index on its entity and window_end')),
			HINT = 'Add it again, give a column that was renamed the name of its feature, or drop the table.';
	END IF;
	RETURN featurestore._merge_statement(window_table.offline_table, key, key || names,
		format('report AS (SELECT true AS is_offline, false AS is_bad), wanted AS MATERIALIZED (SELECT * FROM featurestore._read_source(%L::regclass, 3, %L, $1) AS f(%s, window_end timestamptz, %s))',
			   window_table.relation::oid, featurestore._offline_query(window_table),
			   (SELECT string_agg(concat_ws(' ', quote_ident(c.name), format_type(c.type_oid, -1), 'COLLATE ' || c.coll), ', ' ORDER BY e.n)
				FROM unnest(window_table.entity) WITH ORDINALITY AS e(name, n) JOIN featurestore._columns(window_table.relation) AS c USING (name)),
			   (SELECT string_agg(format('%I %s', name, format_type((definition).result_type, -1)), ', ' ORDER BY n)
				FROM featurestore._closing_features(window_table.relation))));
END
$$;
COMMENT ON FUNCTION featurestore._offline_merge(featurestore.window_table) IS 'internal: SQL that makes an offline table equal to its sources';
