/*
 * Apply for tables of states.
 *
 * The events of a batch become states of their own, one for what is added and
 * one for what is removed, which are merged into and retracted from those in
 * the table.  Changes that undo each other within the batch cancel first.  What
 * a state cannot retract is computed anew from the source, entity by entity.
 */

/*
 * Query for the events of a feature among staged changes, as _events_query has
 * them, with weight: 1 for events to add, -1 for events to remove.  changes is
 * a relation with the staged rows.
 */
CREATE FUNCTION featurestore._staged_events_query(feature featurestore.feature, changes text, retention interval) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('SELECT %1$s, source.%2$I AS at%3$s, isfinite(source.%2$I) IS TRUE AS has_time, (isfinite(source.%2$I) AND source.%2$I <= (SELECT $1 + %4$L::interval)) IS TRUE AS is_due, _is_put'
			  ' FROM %5$s AS source WHERE (%6$s) AND NOT %7$s',
			  (SELECT string_agg(format('source.%I AS k%s', name, n), ', ' ORDER BY n) FROM unnest(feature.entity) WITH ORDINALITY AS e(name, n)),
			  feature.timeseries_column, ', (' || feature.input || ') AS value', featurestore._head_slack(), changes,
			  coalesce(feature.filter, 'true'), featurestore._is_purge(retention, format('source.%I', feature.timeseries_column)))
$$;
COMMENT ON FUNCTION featurestore._staged_events_query(featurestore.feature, text, interval) IS 'internal: SQL for the events among staged changes';

/* The events that are left when those added and removed alike have cancelled each other. */
CREATE FUNCTION featurestore._net_events_query(feature featurestore.feature, events text) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY %1$s, _is_put) AS n, count(*) FILTER (WHERE _is_put) OVER same AS added, count(*) FILTER (WHERE NOT _is_put) OVER same AS removed'
			  ' FROM (%2$s) AS e WINDOW same AS (PARTITION BY %1$s)) AS e WHERE n > CASE WHEN _is_put THEN removed ELSE added END',
			  featurestore._key_numbers(feature.entity) || ', at' || CASE WHEN feature.input IS NULL THEN '' ELSE ', featurestore._image(value)' END, events)
$$;
COMMENT ON FUNCTION featurestore._net_events_query(featurestore.feature, text) IS 'internal: SQL that cancels events added and removed';

/*
 * Query for what a batch adds to and removes from states: key columns k1, ...,
 * p1, ... what is added, m1, ... what is removed, by place in state_columns,
 * and what was left out.  changes maps each source to a relation with the
 * staged rows and _is_put; may_remove: whether any of them removes something.
 */
CREATE FUNCTION featurestore._delta_query(window_table featurestore.window_table, changes jsonb, retention interval, may_remove boolean) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	states text[] := '{}';
	delta text;
	events text;
	part record;
BEGIN
	FOR part IN SELECT * FROM featurestore._state_parts(window_table, window_table.state_columns) WHERE changes ? ((feature).source::oid::text) ORDER BY n LOOP
		states := states || ARRAY(SELECT kind || s FROM unnest(part.states) AS s, unnest('{p,m}'::text[]) AS kind);
		events := featurestore._staged_events_query(part.feature, changes ->> ((part.feature).source::oid::text), retention);
		IF may_remove THEN
			events := featurestore._net_events_query(part.feature, events);
		END IF;
		delta := featurestore._join_parts(window_table, delta, format('SELECT %1$s, %2$s, %4$s FROM (%3$s) AS e GROUP BY %1$s',
			featurestore._key_numbers(window_table.entity),
			(SELECT string_agg(format('%1$s FILTER (WHERE is_due AND _is_put) AS p%2$s, %3$s AS m%2$s', call, s,
									  CASE WHEN may_remove THEN call || ' FILTER (WHERE is_due AND NOT _is_put)' ELSE 'NULL::featurestore.window_state' END), ', ' ORDER BY s)
			 FROM unnest(part.states) AS s,
				featurestore._accumulate_call(part.feature, format('%L::featurestore.window_state', window_table.templates[s])) AS call),
			events, featurestore._left_out_counts(featurestore._key_numbers(window_table.entity), part.is_first)), states);
	END LOOP;
	RETURN delta;
END
$$;
COMMENT ON FUNCTION featurestore._delta_query(featurestore.window_table, jsonb, interval, boolean) IS 'internal: SQL for what a batch adds to states';

/* Places of the states that changes of sources, the keys of changes, reach. */
CREATE FUNCTION featurestore._delta_states(window_table featurestore.window_table, changes jsonb) RETURNS int[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT ARRAY(SELECT unnest(states) FROM featurestore._state_parts(window_table, window_table.state_columns) WHERE changes ? ((feature).source::oid::text))
$$;
COMMENT ON FUNCTION featurestore._delta_states(featurestore.window_table, jsonb) IS 'internal: which states changes reach';

/* Expression for a state after a batch, of row online of the table, which may not be there, and delta. */
CREATE FUNCTION featurestore._state_after(window_table featurestore.window_table, s int) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format('CASE WHEN delta.m%1$s IS NULL THEN %2$s WHEN online.%3$I IS NOT NULL THEN featurestore.retract(%2$s, delta.m%1$s) END', s, added, name)
FROM (SELECT window_table.state_columns[s],
		format('CASE WHEN online.%1$I IS NULL THEN coalesce(delta.p%2$s, %3$L::featurestore.window_state) WHEN delta.p%2$s IS NULL THEN online.%1$I ELSE featurestore.merge(online.%1$I, delta.p%2$s) END',
			   window_table.state_columns[s], s, window_table.templates[s])) AS a(name, added)
$$;
COMMENT ON FUNCTION featurestore._state_after(featurestore.window_table, int) IS 'internal: SQL for a state after a batch';

/*
 * The staged changes as _delta_query takes them: for each source a query about
 * its staging table, in which condition tells the batch.  A source that several
 * parts read is read once, into a common table expression.
 */
CREATE FUNCTION featurestore._added_changes(window_table featurestore.window_table, changes jsonb, condition text, OUT queries jsonb, OUT expressions text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT jsonb_object_agg(source, CASE WHEN is_shared THEN 'change_' || source ELSE format('(%s)', query) END),
	coalesce(string_agg(format('change_%s AS MATERIALIZED (%s), ', source, query), '') FILTER (WHERE is_shared), '')
FROM (SELECT c.source, format('SELECT source.*, featurestore._note_change(source._change_type) = 1 AS _is_put FROM %s AS source WHERE %s', c.staging, condition),
		(SELECT count(*) > 1 FROM featurestore._state_parts(window_table, window_table.state_columns) WHERE (feature).source::oid::text = c.source)
	  FROM jsonb_each_text(changes) AS c(source, staging)) AS q(source, query, is_shared)
$$;
COMMENT ON FUNCTION featurestore._added_changes(featurestore.window_table, jsonb, text) IS 'internal: SQL for staged changes that all add something';

/* Aggregates over delta about what was left out of states. */
CREATE FUNCTION featurestore._delta_report(window_table featurestore.window_table) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format('SELECT coalesce(sum(null_keys), 0) AS null_keys, coalesce(sum(no_time), 0) AS no_time, coalesce(sum(held), 0) AS held,'
			  ' jsonb_agg(jsonb_build_object(''key'', jsonb_build_object(%s), ''due'', due)) FILTER (WHERE due IS NOT NULL AND num_nulls(%s) = 0) AS later FROM delta',
			  (SELECT string_agg(format('%L, k%s', name, n), ', ' ORDER BY n) FROM unnest(window_table.entity) WITH ORDINALITY AS e(name, n)),
			  featurestore._key_numbers(window_table.entity))
$$;
COMMENT ON FUNCTION featurestore._delta_report(featurestore.window_table) IS 'internal: SQL for what was left out of states';

/*
 * The statement that applies a batch that only adds to a table of states: each
 * state is merged where it is.  Since nobody else writes the table meanwhile,
 * rows can be updated that are there, and the others inserted, which spares the
 * lock that ON CONFLICT takes on each row.
 */
CREATE FUNCTION featurestore._add_windows_statement(window_table featurestore.window_table, changes jsonb, condition text, retention interval) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format($add$WITH %1$s delta AS MATERIALIZED (%2$s),
	updated AS (
		UPDATE %3$s AS online SET %4$s FROM (SELECT * FROM delta WHERE num_nonnulls(%5$s) > 0 ORDER BY %6$s OFFSET 0) AS delta WHERE %7$s RETURNING 1),
	inserted AS (
		INSERT INTO %3$s (%8$s)
		SELECT %9$s FROM delta
		WHERE (SELECT count(*) FROM updated) < (SELECT count(*) FROM delta WHERE num_nulls(%6$s) = 0 AND num_nonnulls(%5$s) > 0)
			AND num_nulls(%6$s) = 0 AND num_nonnulls(%5$s) > 0 AND NOT EXISTS (SELECT FROM %3$s AS online WHERE %7$s) RETURNING 1)
SELECT to_jsonb(result) FROM (SELECT (SELECT count(*) FROM updated) + (SELECT count(*) FROM inserted) AS rows_changed, left_out.* FROM (%10$s) AS left_out) AS result$add$,
	added.expressions,
	featurestore._delta_query(window_table, added.queries, retention, false),
	window_table.relation,
	(SELECT string_agg(format('%1$I = CASE WHEN delta.p%2$s IS NULL THEN online.%1$I ELSE featurestore.merge(online.%1$I, delta.p%2$s) END', window_table.state_columns[s], s), ', ') FROM unnest(states) AS s),
	(SELECT string_agg('p' || s, ', ') FROM unnest(states) AS s),
	featurestore._key_numbers(window_table.entity, 'delta'),
	(SELECT string_agg(format('online.%I %s delta.k%s', c.name, featurestore._equality(c.type_oid), e.n), ' AND ' ORDER BY e.n)
	 FROM unnest(window_table.entity) WITH ORDINALITY AS e(name, n) JOIN featurestore._columns(window_table.relation) AS c USING (name)),
	featurestore._column_list(window_table.entity || ARRAY(SELECT window_table.state_columns[s] FROM unnest(states) WITH ORDINALITY AS u(s, n) ORDER BY n)),
	featurestore._key_numbers(window_table.entity, 'delta') || ', '
		|| (SELECT string_agg(format('coalesce(p%s, %L::featurestore.window_state)', s, window_table.templates[s]), ', ' ORDER BY n) FROM unnest(states) WITH ORDINALITY AS u(s, n)),
	featurestore._delta_report(window_table))
FROM featurestore._delta_states(window_table, changes) AS states, featurestore._added_changes(window_table, changes, condition) AS added
$$;
COMMENT ON FUNCTION featurestore._add_windows_statement(featurestore.window_table, jsonb, text, interval) IS 'internal: SQL that adds a batch to a table of states';

/*
 * The statement that applies a batch to a table of states.  An entity is for
 * rebuild if one of its states cannot retract what is removed, or if they are
 * all empty afterwards: then there may be no event any more.  Columns of states
 * that no change reaches keep theirs.
 */
CREATE FUNCTION featurestore._apply_windows_statement(window_table featurestore.window_table, changes jsonb, condition text, retention interval) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format($apply$WITH %1$s,
	delta AS MATERIALIZED (%2$s),
	fresh AS MATERIALIZED (
		SELECT delta.*, %3$s, online.ctid AS place, %4$s
		FROM delta LEFT JOIN %5$s AS online ON %6$s WHERE num_nulls(%7$s) = 0 AND num_nonnulls(%8$s) > 0),
	verdict AS MATERIALIZED (SELECT *, %9$s AS is_rebuild FROM fresh),
	written AS (
		INSERT INTO %5$s AS online (%10$s, %11$s)
		SELECT %12$s, %13$s FROM verdict
		WHERE NOT is_rebuild AND (place IS NULL OR %14$s) ORDER BY %12$s
		ON CONFLICT (%10$s) DO UPDATE SET (%11$s) = ROW(%15$s) RETURNING 1)
SELECT to_jsonb(result) FROM (SELECT (SELECT count(*) FROM written) AS rows_changed,
	(SELECT jsonb_agg(jsonb_build_object(%16$s)) FROM verdict WHERE is_rebuild) AS rebuild, left_out.*
	FROM (%17$s) AS left_out) AS result$apply$,
	(SELECT string_agg(format('change_%1$s AS MATERIALIZED (SELECT source.*, %2$s AS _is_put FROM %3$s AS source WHERE %4$s)', source,
							  featurestore._is_put('{}', 'true', false), staging, condition), ', ' ORDER BY source::oid)
	 FROM jsonb_each_text(changes) AS c(source, staging)),
	featurestore._delta_query(window_table, (SELECT jsonb_object_agg(source, 'change_' || source) FROM jsonb_object_keys(changes) AS source), retention, true),
	(SELECT string_agg(format('online.%I AS o%s', window_table.state_columns[s], s), ', ') FROM unnest(states) AS s),
	(SELECT string_agg(format('%s AS n%s', featurestore._state_after(window_table, s), s), ', ') FROM unnest(states) AS s),
	window_table.relation,
	(SELECT string_agg(format('online.%I %s delta.k%s', c.name, featurestore._equality(c.type_oid), e.n), ' AND ' ORDER BY e.n)
	 FROM unnest(window_table.entity) WITH ORDINALITY AS e(name, n) JOIN featurestore._columns(window_table.relation) AS c USING (name)),
	featurestore._key_numbers(window_table.entity, 'delta'),
	(SELECT string_agg(format('delta.p%s, delta.m%1$s', s), ', ') FROM unnest(states) AS s),
	format('num_nulls(%1$s) > 0 OR (num_nonnulls(%2$s) > 0 AND ROW(%1$s)::record OPERATOR(pg_catalog.*=) ROW(%3$s)::record)',
		(SELECT string_agg('n' || s, ', ') FROM unnest(states) AS s), (SELECT string_agg('m' || s, ', ') FROM unnest(states) AS s),
		(SELECT string_agg(format('%L::featurestore.window_state', window_table.templates[s]), ', ') FROM unnest(states) AS s)),
	featurestore._column_list(window_table.entity),
	featurestore._column_list(columns),
	featurestore._key_numbers(window_table.entity),
	(SELECT string_agg('n' || s, ', ') FROM unnest(states) AS s),
	(SELECT string_agg(format('featurestore._differ(n%s, o%1$s)', s), ' OR ') FROM unnest(states) AS s),
	featurestore._column_list(columns, 'excluded'),
	(SELECT string_agg(format('%L, k%s', name, n), ', ' ORDER BY n) FROM unnest(window_table.entity) WITH ORDINALITY AS e(name, n)),
	featurestore._delta_report(window_table))
FROM featurestore._delta_states(window_table, changes) AS states
CROSS JOIN LATERAL (SELECT ARRAY(SELECT window_table.state_columns[s] FROM unnest(states) WITH ORDINALITY AS u(s, n) ORDER BY n)) AS c(columns)
$$;
COMMENT ON FUNCTION featurestore._apply_windows_statement(featurestore.window_table, jsonb, text, interval) IS 'internal: SQL that applies a batch to a table of states';

/*
 * The statement that makes the states of the entities in scope anew: keys is a
 * common table expression with a comma, or empty; in_source a condition on rows of
 * the sources, called source; in_table a condition on rows of the table, called online.
 */
CREATE FUNCTION featurestore._part_windows_statement(window_table featurestore.window_table, keys text, in_source text, in_table text) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	part record := featurestore._states_query(window_table, window_table.state_columns, in_source);
BEGIN
	RETURN featurestore._merge_statement(window_table.relation, window_table.entity,
		window_table.entity || ARRAY(SELECT window_table.state_columns[s] FROM unnest(part.states) WITH ORDINALITY AS u(s, n) ORDER BY n),
		keys || featurestore._window_rows(window_table, part.query, part.states), false, in_table);
END
$$;
COMMENT ON FUNCTION featurestore._part_windows_statement(featurestore.window_table, text, text, text) IS 'internal: SQL that makes part of a table of states anew';

/* The same for the entities in $2. */
CREATE FUNCTION featurestore._rebuild_windows_statement(window_table featurestore.window_table) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._part_windows_statement(window_table, featurestore._wanted_keys(window_table.relation, window_table.entity) || ', ',
	format('EXISTS (SELECT FROM wanted_key WHERE %s)', featurestore._key_condition(window_table.relation, window_table.entity, 'wanted_key', 'source')),
	format('EXISTS (SELECT FROM wanted_key WHERE %s)', featurestore._key_condition(window_table.relation, window_table.entity, 'wanted_key', 'online')))
$$;
COMMENT ON FUNCTION featurestore._rebuild_windows_statement(featurestore.window_table) IS 'internal: SQL that makes states of entities anew';

/* Query that fails if a change of source, among rows called slice of a staging table, cannot be in a state. */
CREATE FUNCTION featurestore._check_windows_query(window_table featurestore.window_table, source regclass, retention interval) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('WITH change AS MATERIALIZED (SELECT source.*, %s AS _is_put FROM slice AS source), delta AS MATERIALIZED (%s) SELECT to_jsonb(count(*)) FROM delta',
			  featurestore._is_put('{}', 'true', false),
			  featurestore._delta_query(window_table, jsonb_build_object(source::oid::text, 'change'), retention, true))
$$;
COMMENT ON FUNCTION featurestore._check_windows_query(featurestore.window_table, regclass, interval) IS 'internal: SQL that fails for changes that cannot be in states';

/* All that it takes to apply a batch to a table of states; see _source_program. */
CREATE FUNCTION featurestore._windows_program(publication featurestore.publication, scope text) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	window_table featurestore.window_table;
	changes jsonb;
	condition text := featurestore._is_in_batch(publication.source_retention IS NOT NULL, false) || ' AND ' || scope;
	in_quarantine text := featurestore._is_in_batch(publication.source_retention IS NOT NULL, true);
BEGIN
	SELECT * INTO STRICT window_table FROM featurestore.window_table t WHERE t.relation = publication.relation;
	SELECT jsonb_object_agg(source::oid::text, featurestore._staging_of(publication, source)::text) INTO changes
	FROM featurestore._captured_sources(publication.relation) AS source;
	RETURN jsonb_build_object('settle', featurestore._settle_statement(publication),
		'add', featurestore._add_windows_statement(window_table, changes, condition, publication.source_retention),
		'apply', featurestore._apply_windows_statement(window_table, changes, condition, publication.source_retention),
		'quarantine', featurestore._apply_windows_statement(window_table, changes, in_quarantine || ' AND ' || scope, publication.source_retention),
		'rebuild', featurestore._rebuild_windows_statement(window_table),
		'sources', (SELECT jsonb_agg(featurestore._quarantine_queries(staging::regclass, window_table.entity, in_quarantine,
														featurestore._check_windows_query(window_table, source::oid, publication.source_retention)))
					FROM jsonb_each_text(changes) AS c(source, staging)));
END
$$;
COMMENT ON FUNCTION featurestore._windows_program(featurestore.publication, text) IS 'internal: all statements that apply a batch to a table of states';
