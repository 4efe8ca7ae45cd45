/*
 * SYNCHRONOUS: the statements with which a transaction applies its own changes
 * at its end.
 *
 * Changes are not staged.  They are in memory, and a statement reads those of a
 * source under the name that _own_changes gives.  $1 is the clock.
 *
 * Whoever applies to a row of an online table keeps it locked until his
 * transaction ends.  So who adds to a row adds to all that was applied before,
 * and who must compute a row anew from the source locks it first and then takes
 * a snapshot: what it does not show of the source is not in the row either, and
 * those who did it will add it.  Rows are locked in the order of their keys and
 * tables in that of their OIDs, so that transactions do not wait for each other
 * in a circle.
 */

/* The name under which statements read own changes of a source. */
CREATE FUNCTION featurestore._own_changes(source regclass) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT 'own_change_' || source::oid $$;
COMMENT ON FUNCTION featurestore._own_changes(regclass) IS 'internal: the name of own changes of a source';

/*
 * Is an event in the states at this horizon?  One that is dated later is
 * counted, so that whoever runs the statement learns of it.
 */
CREATE FUNCTION featurestore._note_due(at timestamptz, horizon timestamptz) RETURNS boolean
	AS 'MODULE_PATHNAME', 'note_due' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._note_due(timestamptz, timestamptz) IS 'internal: whether an event is due, counted if it is not';

/* The statement for one change that leaves a row; it writes none where that takes a closer look. */
CREATE FUNCTION featurestore._put_statement(publication featurestore.publication) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('INSERT INTO %1$s AS online (%2$s) SELECT %3$s FROM %4$s AS source WHERE %5$s ON CONFLICT (%6$s) DO UPDATE SET (%2$s) = ROW(%7$s) WHERE (%8$s)%9$s',
	publication.relation, featurestore._column_list(columns), featurestore._column_list(columns, 'source'), featurestore._own_changes(publication.source),
	concat_ws(' AND ', '(' || coalesce(publication.filter, 'true') || ')', CASE WHEN ts IS NOT NULL THEN featurestore._time_of(publication, 'source') || ' <= $1' END),
	featurestore._column_list(publication.primary_key), featurestore._column_list(columns, 'excluded'),
	featurestore._rows_differ(publication.relation, columns, 'online', 'excluded'),
	CASE WHEN ts IS NULL THEN '' ELSE format(' AND online.%1$I <= excluded.%1$I', ts) END)
FROM (SELECT publication.timeseries_column, featurestore._published_columns(publication)) AS p(ts, columns)
$$;
COMMENT ON FUNCTION featurestore._put_statement(featurestore.publication) IS 'internal: SQL that applies one own change that leaves a row';

/* The keys of a table of states that own changes of a source reach, by number. */
CREATE FUNCTION featurestore._own_keys(entity text[], source regclass) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('SELECT %s FROM %s AS source WHERE num_nulls(%s) = 0',
	(SELECT string_agg(format('source.%I AS k%s', name, n), ', ' ORDER BY n) FROM unnest(entity) WITH ORDINALITY AS e(name, n)),
	featurestore._own_changes(source), featurestore._column_list(entity, 'source'))
$$;
COMMENT ON FUNCTION featurestore._own_keys(text[], regclass) IS 'internal: SQL for the keys of own changes';

/*
 * The end of the statement that locks the rows of the keys of own changes, which
 * a common table expression has that comes before it.  Of a time series those that are there: only a row that
 * is there can be that of a change that is undone.
 */
CREATE FUNCTION featurestore._lock_statement(publication featurestore.publication) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format(', locked AS MATERIALIZED (SELECT 1 FROM wanted JOIN %s AS online ON %s ORDER BY %s FOR UPDATE OF online)'
			  ' SELECT jsonb_build_object(''locked'', count(*)) FROM locked',
	publication.relation,
	(SELECT string_agg(format('online.%I %s wanted.k%s', c.name, featurestore._equality(c.type_oid), e.n), ' AND ' ORDER BY e.n)
	 FROM unnest(publication.primary_key) WITH ORDINALITY AS e(name, n) JOIN featurestore._columns(publication.relation) AS c USING (name)),
	featurestore._key_numbers(publication.primary_key, 'wanted'))
$$;
COMMENT ON FUNCTION featurestore._lock_statement(featurestore.publication) IS 'internal: SQL that locks rows of a time series';

/*
 * The same for a table of states.  Rows that are missing are inserted, with empty
 * states: somebody else may be about to make them, and what is computed anew
 * would then take the place of what he has made.  Their keys are given.
 */
CREATE FUNCTION featurestore._lock_windows_statement(window_table featurestore.window_table) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format(', inserted AS (INSERT INTO %1$s AS online (%2$s, %3$s) SELECT %4$s, %5$s FROM wanted ORDER BY %4$s'
			  ' ON CONFLICT (%2$s) DO UPDATE SET (%2$s) = ROW(%6$s) WHERE false RETURNING %7$s AS key)'
			  ' SELECT jsonb_build_object(''inserted'', coalesce(jsonb_agg(key), ''[]'')) FROM inserted',
	window_table.relation, featurestore._column_list(window_table.entity), featurestore._column_list(window_table.state_columns),
	featurestore._key_numbers(window_table.entity, 'wanted'),
	(SELECT string_agg(format('%L::featurestore.window_state', template), ', ' ORDER BY n) FROM unnest(window_table.templates) WITH ORDINALITY AS t(template, n)),
	featurestore._column_list(window_table.entity, 'online'),
	featurestore._key_object(window_table.entity, 'online'))
$$;
COMMENT ON FUNCTION featurestore._lock_windows_statement(featurestore.window_table) IS 'internal: SQL that locks rows of a table of states';

/* Query for those of the keys in $2 whose states are empty: there may be nothing that they should be in the table for. */
CREATE FUNCTION featurestore._empty_rows_query(window_table featurestore.window_table) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format('WITH %s SELECT jsonb_build_object(''rebuild'', jsonb_agg(%s)) FROM wanted_key JOIN %s AS online ON %s WHERE ROW(%s)::record OPERATOR(pg_catalog.*=) ROW(%s)::record',
	featurestore._wanted_keys(window_table.relation, window_table.entity), featurestore._key_object(window_table.entity, 'online'), window_table.relation,
	featurestore._key_condition(window_table.relation, window_table.entity, 'wanted_key', 'online'),
	featurestore._column_list(window_table.state_columns, 'online'),
	(SELECT string_agg(format('%L::featurestore.window_state', template), ', ' ORDER BY n) FROM unnest(window_table.templates) WITH ORDINALITY AS t(template, n)))
$$;
COMMENT ON FUNCTION featurestore._empty_rows_query(featurestore.window_table) IS 'internal: SQL for keys whose states are empty';

/*
 * The statement that merges own changes of a source that only add into a table
 * of states.  The source is read once, whatever number of states is made of it.
 */
CREATE FUNCTION featurestore._put_windows_statement(window_table featurestore.window_table, source regclass) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
WITH state AS (
	SELECT s, window_table.state_columns[s] AS name, format('%L::featurestore.window_state', window_table.templates[s]) AS template,
		(p.feature).timeseries_column, (p.feature).input, (p.feature).filter
	FROM featurestore._state_parts(window_table, window_table.state_columns) AS p, unnest(p.states) AS s
	WHERE (p.feature).source = _put_windows_statement.source)
SELECT format('INSERT INTO %1$s AS online (%2$s, %3$s) SELECT %4$s, %5$s FROM (SELECT %6$s, %7$s FROM %8$s AS source WHERE num_nulls(%9$s) = 0 GROUP BY %9$s) AS delta'
			  ' WHERE num_nonnulls(%10$s) > 0 ORDER BY %4$s ON CONFLICT (%2$s) DO UPDATE SET %11$s',
	window_table.relation, featurestore._column_list(window_table.entity),
	string_agg(quote_ident(name), ', ' ORDER BY s),
	featurestore._key_numbers(window_table.entity),
	string_agg(format('coalesce(p%s, %s)', s, template), ', ' ORDER BY s),
	(SELECT string_agg(format('source.%I AS k%s', e.name, e.n), ', ' ORDER BY e.n) FROM unnest(window_table.entity) WITH ORDINALITY AS e(name, n)),
	string_agg(format('featurestore.accumulate(%1$s, source.%2$I%3$s) FILTER (WHERE (%4$s) AND featurestore._note_due(source.%2$I, $1 + %5$L::interval)) AS p%6$s',
					  template, timeseries_column, ', (' || input || ')', coalesce(filter, 'true'), featurestore._head_slack(), s), ', ' ORDER BY s),
	featurestore._own_changes(source), featurestore._column_list(window_table.entity, 'source'),
	string_agg('p' || s, ', ' ORDER BY s),
	string_agg(format('%1$I = featurestore.merge(online.%1$I, excluded.%1$I)', name), ', ' ORDER BY s))
FROM state
$$;
COMMENT ON FUNCTION featurestore._put_windows_statement(featurestore.window_table, regclass) IS 'internal: SQL that merges own changes that only add';

/* Query for the keys of own events that are not due yet, and when they are. */
CREATE FUNCTION featurestore._later_events_query(window_table featurestore.window_table, source regclass) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format('SELECT jsonb_build_object(''later'', jsonb_agg(jsonb_build_object(''key'', %s, ''due'', due))) FROM (SELECT %s, min(due) AS due FROM (%s) AS event GROUP BY %2$s) AS event',
	featurestore._key_object(window_table.entity, 'event'), featurestore._column_list(window_table.entity),
	string_agg(format('SELECT %1$s, source.%2$I - %3$L::interval AS due FROM %4$s AS source WHERE num_nulls(%1$s) = 0 AND isfinite(source.%2$I) AND source.%2$I > $1 + %3$L::interval AND (%5$s)',
					  featurestore._column_list(window_table.entity, 'source'), (p.feature).timeseries_column, featurestore._head_slack(),
					  featurestore._own_changes(_later_events_query.source), coalesce((p.feature).filter, 'true')), ' UNION ALL ' ORDER BY p.n))
FROM featurestore._state_parts(window_table, window_table.state_columns) AS p WHERE (p.feature).source = _later_events_query.source
$$;
COMMENT ON FUNCTION featurestore._later_events_query(featurestore.window_table, regclass) IS 'internal: SQL for own events that are not due yet';

/*
 * What own changes of one source of a publication take.  put: for changes that
 * only add; is_whole: whatever it writes, it is all that there is to do; apply:
 * for any changes, with locked rows; later: what put has left for later; keys:
 * of the changes, to be locked.
 */
CREATE FUNCTION featurestore._synchronous_part(publication featurestore.publication, source regclass) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	window_table featurestore.window_table;
	condition text := CASE WHEN publication.source_retention IS NULL THEN 'true' ELSE 'featurestore._change_kind(source._change_type) <> 8' END;
	own text := featurestore._own_changes(source);
BEGIN
	IF featurestore._has_windows(publication) THEN
		SELECT * INTO STRICT window_table FROM featurestore.window_table t WHERE t.relation = publication.relation;
		RETURN jsonb_build_object('source', source::oid::text, 'is_whole', true,
			'put', featurestore._put_windows_statement(window_table, source),
			'later', featurestore._later_events_query(window_table, source),
			'apply', featurestore._apply_windows_statement(window_table, jsonb_build_object(source::oid::text, own), condition, publication.source_retention),
			'keys', featurestore._own_keys(window_table.entity, source));
	END IF;
	RETURN jsonb_build_object('source', source::oid::text, 'is_whole', publication.timeseries_column IS NULL AND publication.filter IS NULL,
		'put', featurestore._put_statement(publication),
		'apply', featurestore._apply_statement(publication, condition, own),
		'keys', featurestore._own_keys(publication.primary_key, source));
END
$$;
COMMENT ON FUNCTION featurestore._synchronous_part(featurestore.publication, regclass) IS 'internal: what own changes of one source take';

/* Are own changes applied to the table of a publication by those who make them? */
CREATE FUNCTION featurestore._is_synchronous(publication featurestore.publication) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT publication.publish_mode = 'SYNCHRONOUS' AND NOT publication.is_paused
	AND (featurestore._position(publication.relation)).snapshot IS NOT NULL
$$;
COMMENT ON FUNCTION featurestore._is_synchronous(featurestore.publication) IS 'internal: whether writers apply their own changes';

/*
 * All that it takes to apply own changes to online_table, for C, which runs this
 * and what it gives as the owner of the table: parts, see _synchronous_part;
 * lock, where rows have to be; empty, which of those that lock has inserted are
 * for rebuild; rebuild; and watched, relations that it was made from.  NULL if
 * they are not to be applied.  STABLE, and so is all that it calls: it tells how
 * things are by the snapshot of the statement, which may be newer than that of
 * the transaction.
 */
CREATE FUNCTION featurestore._synchronous_program(online_table regclass) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	publication featurestore.publication;
	has_windows boolean;
	window_table featurestore.window_table;
BEGIN
	SELECT * INTO publication FROM featurestore.publication p WHERE p.relation = online_table;
	IF NOT FOUND OR NOT featurestore._is_synchronous(publication) THEN
		RETURN NULL;
	END IF;
	PERFORM featurestore._check_runnable(publication);
	has_windows := featurestore._has_windows(publication);
	SELECT * INTO window_table FROM featurestore.window_table t WHERE t.relation = online_table;
	RETURN jsonb_build_object(
		'lock', CASE WHEN has_windows THEN featurestore._lock_windows_statement(window_table)
					 WHEN publication.timeseries_column IS NOT NULL THEN featurestore._lock_statement(publication) END,
		'empty', CASE WHEN has_windows THEN featurestore._empty_rows_query(window_table) END,
		'rebuild', CASE WHEN has_windows THEN featurestore._rebuild_windows_statement(window_table) ELSE featurestore._rebuild_statement(publication) END,
		'has_purges', publication.source_retention IS NOT NULL,
		'parts', (SELECT jsonb_agg(featurestore._synchronous_part(publication, source)) FROM featurestore._captured_sources(online_table) AS source),
		'watched', (SELECT jsonb_agg(w.relation::oid::text) FROM (
						SELECT online_table UNION SELECT featurestore._captured_sources(online_table)
						UNION SELECT f.relation FROM featurestore.feature f WHERE f.online_table = _synchronous_program.online_table) AS w(relation)));
END
$$;
COMMENT ON FUNCTION featurestore._synchronous_program(regclass) IS 'internal: all statements that apply own changes';

/* Online tables whose publications may be applied by those who change source, and its staging table, the first. */
CREATE FUNCTION featurestore._synchronous_tables(source regclass) RETURNS SETOF oid
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT s.relation::oid FROM featurestore.staging s WHERE s.captured_source = source
UNION ALL
(SELECT p.relation::oid FROM featurestore._consumers(source) AS consumer JOIN featurestore.publication p ON p.relation = consumer
 WHERE featurestore._is_synchronous(p) ORDER BY 1)
$$;
COMMENT ON FUNCTION featurestore._synchronous_tables(regclass) IS 'internal: online tables that own changes of a source are applied to';

/* Do writers keep online_table in step, so that a run finds nothing but keys that are due? */
CREATE FUNCTION featurestore._is_in_step(publication featurestore.publication) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._is_synchronous(publication) AND featurestore._is_filled(publication.relation)
	AND featurestore._is_same_shape((featurestore._position(publication.relation)).fingerprint, featurestore._fingerprints(publication.relation),
									publication.source_retention IS NOT NULL)
$$;
COMMENT ON FUNCTION featurestore._is_in_step(featurestore.publication) IS 'internal: whether writers keep a table in step';

/*
 * Locks the sources of a SYNCHRONOUS publication, before its online table, which
 * is the order of writers.  Unless they keep it in step, or even if they do, it
 * keeps them out: from then on nobody is on his way who would not apply his
 * changes.  Otherwise they are only kept from being altered.
 */
CREATE FUNCTION featurestore._lock_sources(online_table regclass, even_if_in_step boolean DEFAULT false) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	publication featurestore.publication;
	source regclass;
	mode text;
BEGIN
	SELECT * INTO publication FROM featurestore.publication p WHERE p.relation = online_table AND p.publish_mode = 'SYNCHRONOUS';
	IF NOT FOUND THEN
		RETURN;
	END IF;
	mode := CASE WHEN even_if_in_step OR NOT featurestore._is_in_step(publication) THEN 'SHARE ROW EXCLUSIVE' ELSE 'ACCESS SHARE' END;
	FOR source IN SELECT c.oid FROM pg_class c WHERE c.oid IN (SELECT featurestore._captured_sources(online_table)) ORDER BY c.oid LOOP
		EXECUTE format('LOCK TABLE %s IN %s MODE', source, mode);
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._lock_sources(regclass, boolean) IS 'internal: locks the sources of a publication that writers are to apply';

/* Lets sessions know that their own changes of a source, which is locked, go to one more table. */
CREATE FUNCTION featurestore._announce_synchronous(source regclass) RETURNS void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT featurestore._store_staging(featurestore._captured_in(source)) $$;
COMMENT ON FUNCTION featurestore._announce_synchronous(regclass) IS 'internal: lets sessions look again what they apply';
