/*
 * Parity: is what was served what training gives for the same moment?
 *
 * Vectors that were served are computed anew by the code of training and compared
 * by the texts of their types, so that one bit makes a difference.  Where they
 * differ they are computed again, of less: of the rows that the lookup could
 * have seen, and of those that were in the online table.  So rows that came
 * later, and lag, are told from what was wrong.
 */

/* The arguments of a spec, in order, with their types. */
CREATE FUNCTION featurestore._spec_arguments(spec regclass, OUT name text, OUT type text) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'spec_arguments' LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._spec_arguments(regclass) IS 'internal: arguments of a spec';

/*
 * The outputs of a spec for the columns of labels: how point-in-time each is, the
 * tables that it is made of, other columns that it is made of, and whether it is
 * computed rather than looked up.
 */
CREATE FUNCTION featurestore._parity_outputs(spec regclass, labels text, timestamp_column text, OUT output text, OUT is_number boolean, OUT point_in_time text,
											 OUT history_from timestamptz, OUT tables regclass[], OUT inputs text[], OUT is_computed boolean) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'parity_outputs' LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._parity_outputs(regclass, text, text) IS 'internal: outputs of a spec, and what they are made of';

/*
 * The tables that a spec looks up: key columns, the arguments these are (NULL for
 * what is no argument), and what training reads instead, with its keys as SQL, the
 * time of its events if it has them, and whether its rows have an xmin.
 */
CREATE FUNCTION featurestore._parity_tables(spec regclass, labels text, timestamp_column text, OUT relation regclass, OUT key_columns text[], OUT arguments text[],
											OUT source regclass, OUT source_keys text[], OUT event_time text, OUT has_xmin boolean) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'parity_tables' LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._parity_tables(regclass, text, text) IS 'internal: tables that a spec looks up, and what training reads instead';

/* Did a row take the place of another since a snapshot? */
CREATE FUNCTION featurestore._is_changed_since(relation oid, "row" tid, snapshot pg_snapshot) RETURNS boolean
	AS 'MODULE_PATHNAME', 'is_changed_since' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._is_changed_since(oid, tid, pg_snapshot) IS 'internal: whether a row took the place of another since a snapshot';

/* Labels for served vectors, a list of {n, as_of, request}: their arguments, with _served_row and _served_at. */
CREATE FUNCTION featurestore._parity_labels(spec regclass, vectors jsonb) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
BEGIN
	RETURN format('SELECT v.n AS _served_row, v.as_of AS _served_at%s FROM pg_catalog.jsonb_to_recordset(%s) AS v(n pg_catalog.int4, as_of pg_catalog.timestamptz, request pg_catalog.jsonb)',
		(SELECT string_agg(format(', (v.request OPERATOR(pg_catalog.->>) %L)::%s AS %I', a.name, a.type, a.name), '') FROM featurestore._spec_arguments(spec) AS a),
		quote_literal((SELECT coalesce(jsonb_agg(jsonb_build_object('n', v->'n', 'as_of', v->'as_of', 'request', v->'request')), '[]') FROM jsonb_array_elements(vectors) AS v)));
END
$$;
COMMENT ON FUNCTION featurestore._parity_labels(regclass, jsonb) IS 'internal: labels for served vectors';

/* The query that gives _trained_vectors of a spec; $1 is the spec, $2 the labels, $3 the snapshot. */
CREATE FUNCTION featurestore._trained_query(spec regclass) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	defined text;
	names text;
	texts text;
BEGIN
	SELECT string_agg(format('c%s %s', c.place, c.definition), ', ' ORDER BY c.place),
		string_agg(quote_literal(c.name), ', ' ORDER BY c.place) FILTER (WHERE c.is_output),
		/* concat has the output functions of types write them */
		string_agg(format('CASE WHEN pg_catalog.num_nulls(t.c%s) = 0 THEN pg_catalog.concat(t.c%s) END', c.place, c.place), ', ' ORDER BY c.place) FILTER (WHERE c.is_output)
	INTO defined, names, texts
	FROM featurestore._training_columns(spec, NULL, NULL, featurestore._parity_labels(spec, '[]'), '_served_at', NULL, true, NULL)
		WITH ORDINALITY AS c(name, definition, is_output, is_input, place);
	RETURN format('SELECT t.c2, pg_catalog.jsonb_object(ARRAY[%s]::pg_catalog.text[], ARRAY[%s]::pg_catalog.text[])'
				  ' FROM featurestore._training_rows($1, $2, ''_served_at'', NULL, true, $3) AS t(%s)', names, texts, defined);
END
$$;
COMMENT ON FUNCTION featurestore._trained_query(regclass) IS 'internal: query that gives served vectors as training does';

/* Served vectors as training gives them, their outputs as texts by name; of rows of sources that a snapshot shows, or of all. */
CREATE FUNCTION featurestore._trained_vectors(spec regclass, query text, vectors jsonb, visible_in pg_snapshot) RETURNS TABLE (n int, outputs jsonb)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN QUERY EXECUTE query USING spec, featurestore._parity_labels(spec, vectors), visible_in;
END
$$;
COMMENT ON FUNCTION featurestore._trained_vectors(regclass, text, jsonb, pg_snapshot) IS 'internal: served vectors as training gives them';

/* A snapshot that shows a transaction besides what it shows; NULL where that would take too long a list. */
CREATE FUNCTION featurestore._snapshot_with(snapshot pg_snapshot, xid bigint) RETURNS text
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	xmax bigint := pg_snapshot_xmax(snapshot)::text;
	running bigint[] := ARRAY(SELECT x::text::bigint FROM pg_snapshot_xip(snapshot) AS x WHERE x::text::bigint IS DISTINCT FROM xid);
BEGIN
	IF xid - xmax > 10000 THEN
		RETURN NULL;
	ELSIF xid >= xmax THEN
		running := running || ARRAY(SELECT generate_series(xmax, xid - 1));
		xmax := xid + 1;
	END IF;
	RETURN format('%s:%s:%s', pg_snapshot_xmin(snapshot), xmax, array_to_string(running, ','));
END
$$;
COMMENT ON FUNCTION featurestore._snapshot_with(pg_snapshot, bigint) IS 'internal: a snapshot that shows one transaction more';

/*
 * The snapshots in which a vector may have been computed of what there was, the
 * likeliest first, each with what it means if it explains an output: LATE, that
 * rows came after the lookup, or between its time and what it saw; LAG, that they were not applied to one of tables,
 * for which training reads what is applied to them.  A position does not know subtransactions that ran, so that the least
 * that it can mean is tried, too; but not where transactions apply what they do.
 * None if it is not known what the lookup saw.
 *	  A lookup's time is that of its statement, which comes before its snapshot: of
 * histories, which have one version of a row at a time, the newest that the snapshot
 * shows is tried, too, whenever it came.
 */
CREATE FUNCTION featurestore._parity_trials(vector jsonb, tables regclass[], is_history boolean) RETURNS TABLE (rank int, class text, visible_in text, is_at_snapshot boolean)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF vector->>'snapshot' IS NULL THEN
		RETURN;
	END IF;
	RETURN QUERY SELECT 0, 'LATE', vector->>'snapshot', false;
	IF is_history THEN
		RETURN QUERY SELECT 1, 'LATE', vector->>'snapshot', true;
	END IF;
	RETURN QUERY
	SELECT t.rank, 'LAG', t.visible_in, false
	FROM unnest(tables) AS looked_up
	JOIN featurestore.publication p ON p.relation = looked_up AND p.publish_mode <> 'SYNCHRONOUS'
	CROSS JOIN LATERAL (SELECT vector->'positions'->featurestore._relation_name(looked_up) AS position) AS r
	CROSS JOIN LATERAL (VALUES (1, featurestore._snapshot_with((position->>'snapshot')::pg_snapshot, (position->>'own_xid')::bigint)),
						(2, position->>'snapshot'),
						(3, format('%1$s:%1$s:', pg_snapshot_xmin((position->>'snapshot')::pg_snapshot)))) AS t(rank, visible_in)
	WHERE position->>'snapshot' IS NOT NULL AND t.visible_in IS NOT NULL;
END
$$;
COMMENT ON FUNCTION featurestore._parity_trials(jsonb, regclass[], boolean) IS 'internal: snapshots in which a vector may have been computed';

/*
 * Explains differences, a list of {n, output, served, tables}, by what snapshots
 * show: gives those explained, with their class.  Sources whose rows do not tell
 * who wrote them explain nothing.
 */
CREATE FUNCTION featurestore._explain_by_snapshot(spec regclass, vectors jsonb, differences jsonb) RETURNS TABLE (n int, output text, class text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	applied regclass[];
	histories jsonb;
	query text := featurestore._trained_query(spec);
	left_over jsonb := differences;
	trials jsonb;
	trial_rank int;
	trial record;
	found jsonb;
	all_found jsonb[];
BEGIN
	SELECT array_agg(t.relation) FILTER (WHERE t.source <> t.relation AND t.source IS DISTINCT FROM o.history_table), coalesce(jsonb_agg(t.relation) FILTER (WHERE t.source = o.history_table), '[]')
	INTO applied, histories
	FROM featurestore._parity_tables(spec, featurestore._parity_labels(spec, '[]'), '_served_at') AS t LEFT JOIN featurestore.online_table o ON o.relation = t.relation;
	trials := (SELECT jsonb_agg(jsonb_build_object('n', d->'n', 'output', d->'output', 'served', d->'served', 'rank', t.rank, 'class', t.class, 'visible_in', t.visible_in, 'is_at_snapshot', t.is_at_snapshot))
			   FROM jsonb_array_elements(differences) AS d,
			   featurestore._parity_trials(vectors->(d->>'n')::int, ARRAY(SELECT a FROM unnest(applied) AS a WHERE d->'tables' ? a::text), d->'tables' <@ histories) AS t);
	FOR trial_rank IN SELECT DISTINCT (t->>'rank')::int FROM jsonb_array_elements(trials) AS t ORDER BY 1 LOOP
		all_found := '{}';
		FOR trial IN SELECT t->>'visible_in' AS visible_in, (t->>'is_at_snapshot')::boolean AS is_at_snapshot, jsonb_agg(t) AS outputs, array_agg(DISTINCT (t->>'n')::int) AS rows
					 FROM jsonb_array_elements(trials) AS t
					 WHERE (t->>'rank')::int = trial_rank
						AND EXISTS (SELECT FROM jsonb_array_elements(left_over) AS d WHERE d->'n' = t->'n' AND d->'output' = t->'output')
					 GROUP BY 1, 2 LOOP
			found := (SELECT jsonb_agg(t) FROM featurestore._trained_vectors(spec, query, (
						SELECT jsonb_agg(vectors->i || CASE WHEN trial.is_at_snapshot THEN jsonb_build_object('as_of', clock_timestamp()) ELSE '{}' END) FROM unnest(trial.rows) AS i), trial.visible_in::pg_snapshot) AS v
					  JOIN jsonb_array_elements(trial.outputs) AS t ON (t->>'n')::int = v.n
					  WHERE v.outputs->(t->>'output') = t->'served');
			CONTINUE WHEN found IS NULL;
			RETURN QUERY SELECT (t->>'n')::int, t->>'output', t->>'class' FROM jsonb_array_elements(found) AS t;
			all_found := all_found || found;
		END LOOP;
		left_over := (SELECT jsonb_agg(d) FROM jsonb_array_elements(left_over) AS d
					  WHERE NOT EXISTS (SELECT FROM unnest(all_found) AS f, jsonb_array_elements(f) AS t WHERE d->'n' = t->'n' AND d->'output' = t->'output'));
	END LOOP;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	RETURN;
END
$$;
COMMENT ON FUNCTION featurestore._explain_by_snapshot(regclass, jsonb, jsonb) IS 'internal: explains differences by rows that came later';

/*
 * What rows of a source tell about vectors, a list of {n, as_of, request,
 * snapshot, applied_to}: MUTATED, that rows of the entity took the place of others
 * since the snapshot; LAG, that there are events which were in the future when
 * changes were last applied, and held until their time.  Nothing where the keys
 * are not all arguments, or the source cannot be read.
 */
CREATE FUNCTION featurestore._explain_by_rows(source regclass, source_keys text[], arguments text[], event_time text, spec regclass, vectors jsonb) RETURNS TABLE (n int, class text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	keys text := (SELECT string_agg(format('%s = (v.request OPERATOR(pg_catalog.->>) %L)::%s', k.sql, a.name, a.type), ' AND ')
				  FROM unnest(source_keys, arguments) AS k(sql, argument) LEFT JOIN featurestore._spec_arguments(spec) AS a ON a.name = k.argument);
BEGIN
	IF array_position(arguments, NULL) IS NOT NULL OR NOT has_table_privilege(source, 'SELECT') THEN
		RETURN;
	END IF;
	RETURN QUERY EXECUTE format(
		'SELECT v.n, CASE WHEN pg_catalog.bool_or(featurestore._is_changed_since(source.tableoid, source.ctid, v.snapshot)) THEN ''MUTATED'''
		' WHEN pg_catalog.bool_or(%s) THEN ''LAG'' END'
		' FROM pg_catalog.jsonb_to_recordset($1) AS v(n pg_catalog.int4, as_of pg_catalog.timestamptz, request pg_catalog.jsonb, snapshot pg_catalog.pg_snapshot, applied_to pg_catalog.timestamptz)'
		' JOIN %s AS source ON %s GROUP BY v.n',
		CASE WHEN event_time IS NULL THEN 'false' ELSE format('%s > v.applied_to AND %s < v.as_of AND featurestore._is_visible_in(source.xmin, v.snapshot)', event_time, event_time) END, featurestore._relation_name(source), keys) USING vectors;
EXCEPTION WHEN undefined_function OR insufficient_privilege THEN
	RETURN;
END
$$;
COMMENT ON FUNCTION featurestore._explain_by_rows(regclass, text[], text[], text, regclass, jsonb) IS 'internal: what rows of a source tell about vectors';

/*
 * May rows of a source have been updated or deleted that vectors since then were
 * made of, as far as can be told?  A table whose statistics count neither since
 * they were last reset, and that was not rewritten, has all its rows.  A crash
 * resets them, too, and so does what begins from a backup; then they know less
 * rows than there are.
 */
CREATE FUNCTION featurestore._may_have_lost_rows(source regclass, since timestamptz) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT pg_is_in_recovery() OR NOT current_setting('track_counts')::boolean
		OR c.relkind <> 'r' OR c.relhassubclass OR pg_relation_filenode(c.oid) <> c.oid
		OR coalesce((SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()), '-infinity') > since
		OR (SELECT least(a.stats_reset, b.stats_reset) FROM pg_stat_archiver AS a, pg_stat_bgwriter AS b) > since
		OR pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_inserted(c.oid) < greatest(0.8 * c.reltuples, sign(pg_relation_size(c.oid)))
		OR pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid)
			+ pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid) > 0
	FROM pg_class c WHERE c.oid = source
$$;
COMMENT ON FUNCTION featurestore._may_have_lost_rows(regclass, timestamptz) IS 'internal: whether rows of a source may have been removed';

/*
 * The same of several sources; gives those that may.  Sessions report what they
 * counted within ten seconds of the end of their transaction, so if it seems that none
 * may, and others are or were at work, it waits for these and looks again.
 */
CREATE FUNCTION featurestore._which_may_have_lost_rows(sources regclass[], since timestamptz) RETURNS regclass[]
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	result regclass[];
BEGIN
	FOR attempt IN 1..2 LOOP
		PERFORM pg_stat_clear_snapshot();
		result := ARRAY(SELECT s FROM unnest(sources) AS s WHERE featurestore._may_have_lost_rows(s, since));
		EXIT WHEN attempt = 2 OR sources <@ result
			OR NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
						   AND (a.state IS DISTINCT FROM 'idle' OR a.state_change > clock_timestamp() - interval '11 seconds'));
		PERFORM pg_sleep(11);
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._which_may_have_lost_rows(regclass[], timestamptz) IS 'internal: sources of which rows may have been removed';

/*
 * Explains differences that snapshots do not, by what there is in the sources of
 * their tables; gives the class of each: LAG, MUTATED, UNKNOWN or BUG.
 */
CREATE FUNCTION featurestore._explain_by_sources(spec regclass, vectors jsonb, differences jsonb) RETURNS TABLE (n int, output text, class text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	labels text := featurestore._parity_labels(spec, '[]');
	since timestamptz := (SELECT min((v->>'logged_at')::timestamptz) FROM jsonb_array_elements(vectors) AS v);
	source record;
	affected jsonb;
	evidence jsonb := '[]';
	by_row jsonb;
	doubtful regclass[];
	read_from jsonb := '{}';
	classes jsonb;
	lost regclass[];
BEGIN
	FOR source IN SELECT * FROM featurestore._parity_tables(spec, labels, '_served_at') LOOP
		affected := (SELECT jsonb_agg(DISTINCT jsonb_build_object('n', d->'n', 'as_of', v->'as_of', 'request', v->'request', 'applied_to', CASE WHEN p.publish_mode <> 'SYNCHRONOUS' THEN position->'applied_to' END,
							'snapshot', CASE WHEN p.publish_mode <> 'SYNCHRONOUS' AND source.source <> source.relation AND position->>'snapshot' IS NOT NULL THEN position->>'snapshot' ELSE v->>'snapshot' END))
					 FROM jsonb_array_elements(differences) AS d
					 CROSS JOIN LATERAL (SELECT vectors->(d->>'n')::int AS v) AS r
					 CROSS JOIN LATERAL (SELECT v->'positions'->featurestore._relation_name(source.relation) AS position) AS q
					 LEFT JOIN featurestore.publication p ON p.relation = source.relation
					 WHERE d->'tables' ? source.relation::text AND v->>'snapshot' IS NOT NULL);
		IF affected IS NOT NULL AND source.has_xmin THEN
			evidence := evidence || (SELECT coalesce(jsonb_agg(jsonb_build_object('n', e.n, 'table', source.relation::text, 'class', e.class)), '[]')
				FROM featurestore._explain_by_rows(source.source, source.source_keys, source.arguments, source.event_time, spec, affected) AS e WHERE e.class IS NOT NULL);
		END IF;
		IF NOT source.has_xmin OR EXISTS (SELECT FROM featurestore.rejected_changes c WHERE c.online_table = source.relation) THEN
			doubtful := doubtful || source.relation;
		END IF;
		read_from := read_from || jsonb_build_object(source.relation::text, coalesce(read_from->source.relation::text, '[]') || to_jsonb(source.source::oid));
	END LOOP;
	by_row := (SELECT coalesce(jsonb_object_agg(r.n, r.evidence), '{}') FROM (SELECT e->>'n' AS n, jsonb_agg(e) AS evidence FROM jsonb_array_elements(evidence) AS e GROUP BY 1) AS r);
	classes := (SELECT coalesce(jsonb_agg(jsonb_build_object('n', d->'n', 'output', d->'output', 'tables', d->'tables', 'class',
		CASE WHEN d->>'status' IN ('STALE', 'NOT_READY') THEN 'LAG'
			 ELSE coalesce((SELECT max(e->>'class') FROM jsonb_array_elements(by_row->(d->>'n')) AS e WHERE d->'tables' ? (e->>'table')),
				CASE WHEN vectors->(d->>'n')::int->>'snapshot' IS NULL
						OR EXISTS (SELECT FROM jsonb_array_elements_text(d->'tables') AS t WHERE NOT vectors->(d->>'n')::int->'positions' ? featurestore._relation_name(t::regclass))
						OR EXISTS (SELECT FROM unnest(doubtful) AS t WHERE d->'tables' ? t::text) THEN 'UNKNOWN' END) END)), '[]')
		FROM jsonb_array_elements(differences) AS d);
	lost := featurestore._which_may_have_lost_rows(ARRAY(
		SELECT DISTINCT s::oid::regclass FROM jsonb_array_elements(classes) AS c, jsonb_array_elements_text(c->'tables') AS t, jsonb_array_elements_text(read_from->t) AS s WHERE c->>'class' IS NULL), since);
	RETURN QUERY
	SELECT (c->>'n')::int, c->>'output',
		coalesce(c->>'class', CASE WHEN EXISTS (SELECT FROM jsonb_array_elements_text(c->'tables') AS t, jsonb_array_elements_text(read_from->t) AS s WHERE s::oid = ANY (lost)) THEN 'UNKNOWN' ELSE 'BUG' END)
	FROM jsonb_array_elements(classes) AS c;
END
$$;
COMMENT ON FUNCTION featurestore._explain_by_sources(regclass, jsonb, jsonb) IS 'internal: explains differences by what there is in sources';

/*
 * The class of each difference.  What is computed of outputs that were checked, or
 * looked up by one, is of their class if they differ; what is computed of outputs
 * that do not is a BUG.
 */
CREATE FUNCTION featurestore._explain_differences(spec regclass, vectors jsonb, differences jsonb) RETURNS TABLE (n int, output text, class text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	explained jsonb;
	rest jsonb;
	by_row jsonb;
BEGIN
	explained := (SELECT coalesce(jsonb_agg(to_jsonb(e) || '{"is_final": true}'), '[]')
				  FROM (SELECT DISTINCT ON (s.n, s.output) s.* FROM featurestore._explain_by_snapshot(spec, vectors, differences) AS s ORDER BY s.n, s.output, s.class) AS e);
	rest := (SELECT coalesce(jsonb_agg(d), '[]') FROM jsonb_array_elements(differences) AS d
			 WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(explained) AS e WHERE e->'n' = d->'n' AND e->'output' = d->'output'));
	explained := explained || (SELECT coalesce(jsonb_agg(to_jsonb(e)), '[]') FROM featurestore._explain_by_sources(spec, vectors, rest) AS e);
	by_row := (SELECT coalesce(jsonb_object_agg(r.n, r.explained), '{}') FROM (SELECT e->>'n' AS n, jsonb_object_agg(e->>'output', e) AS explained FROM jsonb_array_elements(explained) AS e GROUP BY 1) AS r);
	RETURN QUERY
	SELECT (d->>'n')::int, d->>'output',
		coalesce(CASE WHEN (e->>'is_final')::boolean THEN e->>'class' END,
				 (SELECT i->>'class' FROM jsonb_array_elements_text(d->'inputs') AS input, LATERAL (SELECT by_row->(d->>'n')->input AS i) AS r WHERE i IS NOT NULL ORDER BY i->>'class' = 'BUG' DESC, i->>'class' LIMIT 1),
				 CASE WHEN (d->>'is_computed')::boolean AND d->'checked' ?& ARRAY(SELECT jsonb_array_elements_text(d->'inputs')) THEN 'BUG' END,
				 e->>'class')
	FROM jsonb_array_elements(differences) AS d, LATERAL (SELECT by_row->(d->>'n')->(d->>'output') AS e) AS x;
END
$$;
COMMENT ON FUNCTION featurestore._explain_differences(regclass, jsonb, jsonb) IS 'internal: the class of each difference';

/* How far two numbers are from each other, by their texts; NULL for what is no number. */
CREATE FUNCTION featurestore._text_difference(a text, b text) RETURNS float8
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT CASE WHEN d = 'NaN' THEN NULL WHEN d > 1e308 THEN 'Infinity' ELSE d::float8 END
	FROM (SELECT abs(CASE WHEN a ~ number THEN a::numeric END - CASE WHEN b ~ number THEN b::numeric END) AS d FROM (VALUES ('^-?([0-9]+([.][0-9]+)?(e[+-]?[0-9]{1,3})?|Infinity)$|^NaN$')) AS v(number)) AS difference
$$;
COMMENT ON FUNCTION featurestore._text_difference(text, text) IS 'internal: how far two numbers are from each other';

/* Compares served vectors with what training gives; see verify_parity. */
CREATE FUNCTION featurestore._compare_vectors(spec regclass, vectors jsonb, is_log boolean)
	RETURNS TABLE (output text, checked bigint, equal bigint, late bigint, mutated bigint, lag bigint, bug bigint, unknown bigint, largest_difference float8, example jsonb)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmlbinary = 'base64'
	AS $$
DECLARE
	outputs jsonb := (SELECT coalesce(jsonb_agg(to_jsonb(o)), '[]') FROM featurestore._parity_outputs(spec, featurestore._parity_labels(spec, '[]'), '_served_at') AS o);
	trained jsonb := (SELECT jsonb_object_agg(v.n, v.outputs) FROM featurestore._trained_vectors(spec, featurestore._trained_query(spec), vectors, NULL) AS v);
	pairs jsonb;
	classes jsonb;
BEGIN
	pairs := (
		SELECT coalesce(jsonb_agg(o || jsonb_build_object('n', v->'n', 'served', v->'outputs'->(o->>'output'), 'trained', trained->(v->>'n')->(o->>'output'), 'status', v->'statuses'->(o->>'output'))), '[]')
		FROM jsonb_array_elements(vectors) AS v, jsonb_array_elements(outputs) AS o
		WHERE v->'outputs' ? (o->>'output') AND coalesce(v->'statuses'->>(o->>'output'), '') NOT IN ('TOO_OLD', 'APPROXIMATE')
			AND NOT (is_log AND o->>'point_in_time' = 'CURRENT_ROW')
			AND (o->>'history_from' IS NULL OR (v->>'as_of')::timestamptz >= (o->>'history_from')::timestamptz));
	classes := (SELECT coalesce(jsonb_agg(to_jsonb(e)), '[]')
				FROM featurestore._explain_differences(spec, vectors, (
					SELECT coalesce(jsonb_agg(p || jsonb_build_object('checked', c.outputs)), '[]') FROM jsonb_array_elements(pairs) AS p
					JOIN (SELECT a->'n' AS n, jsonb_agg(a->'output') AS outputs FROM jsonb_array_elements(pairs) AS a GROUP BY 1) AS c ON c.n = p->'n'
					WHERE p->'served' <> p->'trained')) AS e);
	RETURN QUERY
	WITH pair AS (
		SELECT p->>'output' AS name, p->'n' AS n, p, c->>'class' AS class, (p->>'is_number')::boolean AS is_number, p->>'served' AS served, p->>'trained' AS trained
		FROM jsonb_array_elements(pairs) AS p LEFT JOIN jsonb_array_elements(classes) AS c ON c->'n' = p->'n' AND c->'output' = p->'output'
	)
	SELECT o->>'output', count(p.name), count(p.name) FILTER (WHERE p.class IS NULL), count(*) FILTER (WHERE p.class = 'LATE'), count(*) FILTER (WHERE p.class = 'MUTATED'),
		count(*) FILTER (WHERE p.class = 'LAG'), count(*) FILTER (WHERE p.class = 'BUG'), count(*) FILTER (WHERE p.class = 'UNKNOWN'),
		max(featurestore._text_difference(p.served, p.trained)) FILTER (WHERE p.class IS NOT NULL AND p.is_number),
		(array_agg(jsonb_build_object('class', p.class, 'served', p.served, 'trained', p.trained, 'request', vectors->p.n::int->'request', 'as_of', vectors->p.n::int->'as_of')
				   ORDER BY array_position('{BUG,UNKNOWN,MUTATED,LAG,LATE}'::text[], p.class), p.n) FILTER (WHERE p.class IS NOT NULL))[1]
	FROM jsonb_array_elements(outputs) WITH ORDINALITY AS r(o, place) LEFT JOIN pair p ON p.name = o->>'output'
	GROUP BY place, o ORDER BY place;
END
$$;
COMMENT ON FUNCTION featurestore._compare_vectors(regclass, jsonb, boolean) IS 'internal: compares served vectors with what training gives';

/* Can vectors that somebody has written be computed and explained? */
CREATE FUNCTION featurestore._are_vectors(spec regclass, vectors jsonb) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	vector jsonb;
BEGIN
	FOR vector IN SELECT jsonb_array_elements(vectors) LOOP
		IF (jsonb_typeof(vector->'request') = 'object' AND jsonb_typeof(vector->'outputs') = 'object' AND jsonb_typeof(vector->'positions') = 'object'
				AND coalesce(jsonb_typeof(vector->'statuses') IN ('object', 'null'), true)) IS NOT TRUE THEN
			RETURN false;
		END IF;
		PERFORM (p.position->>'snapshot')::pg_snapshot, (p.position->>'own_xid')::bigint, (p.position->>'applied_to')::timestamptz FROM jsonb_each(vector->'positions') AS p(relation, position);
	END LOOP;
	EXECUTE format('SELECT pg_catalog.count(l) FROM (%s) AS l', featurestore._parity_labels(spec, vectors));
	RETURN true;
EXCEPTION WHEN data_exception OR integrity_constraint_violation OR undefined_object OR undefined_table OR undefined_function THEN
	RETURN false;
END
$$;
COMMENT ON FUNCTION featurestore._are_vectors(regclass, jsonb) IS 'internal: whether vectors that were logged are of the right form';

/*
 * Vectors without those that are of no use, of which a WARNING tells.  They are
 * looked at one by one only if there are any.
 */
CREATE FUNCTION featurestore._readable_vectors(spec regclass, vectors jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	result jsonb;
	n int := jsonb_array_length(vectors);
BEGIN
	IF featurestore._are_vectors(spec, vectors) THEN
		RETURN vectors;
	END IF;
	SELECT coalesce(jsonb_agg(v || jsonb_build_object('n', r.n) ORDER BY r.n), '[]') INTO result
	FROM (SELECT v, row_number() OVER (ORDER BY v->'n') - 1 AS n FROM jsonb_array_elements(vectors) AS v WHERE featurestore._are_vectors(spec, jsonb_build_array(v))) AS r;
	RAISE WARNING USING MESSAGE = format('%s of %s rows of the serve log could not be read', n - jsonb_array_length(result), n),
		DETAIL = 'What they hold is not what lookups give; they are not checked.';
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._readable_vectors(regclass, jsonb) IS 'internal: vectors that are of the right form';

/* The newest vectors in a log, as a list; raises 42703 for what is no log. */
CREATE FUNCTION featurestore._logged_vectors(spec regclass, log regclass, sample int) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	missing text := (SELECT format('It has no column "%s" of type %s.', t.attname, format_type(t.atttypid, t.atttypmod))
					 FROM pg_attribute t LEFT JOIN pg_attribute a ON a.attrelid = log AND a.attname = t.attname AND a.atttypid = t.atttypid AND NOT a.attisdropped
					 WHERE t.attrelid = 'featurestore.served_vector'::regclass AND a.attrelid IS NULL ORDER BY t.attnum LIMIT 1);
	result jsonb;
BEGIN
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column', MESSAGE = format('relation %s is not a serve log', log), DETAIL = missing,
			HINT = 'Serve logs are made by log_lookups and create_serve_log.';
	END IF;
	EXECUTE format('SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(l) OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(''n'', l.n) ORDER BY l.n)'
		' FROM (SELECT pg_catalog.row_number() OVER (ORDER BY v.logged_at DESC) - 1 AS n, v.as_of, v.logged_at, v.positions, v.request, v.outputs, v.statuses,'
		' CASE WHEN v.system_identifier = c.system_identifier THEN v.snapshot END AS snapshot'
		' FROM %s AS v CROSS JOIN pg_catalog.pg_control_system() AS c'
		' WHERE v.spec_version = $1 AND pg_catalog.isfinite(v.as_of) AND v.outputs IS DISTINCT FROM ''{}'' ORDER BY v.logged_at DESC LIMIT $2) AS l', featurestore._relation_name(log))
	INTO result USING (SELECT s.version FROM featurestore.spec AS s WHERE s.relation = _logged_vectors.spec), sample;
	RETURN featurestore._readable_vectors(spec, coalesce(result, '[]'));
END
$$;
COMMENT ON FUNCTION featurestore._logged_vectors(regclass, regclass, int) IS 'internal: the newest vectors in a log';

/*
 * Requests for keys that the tables of a spec have, as records of
 * feature_lookup_json, at most so many.  Of a table with many rows only some are
 * read.  Each argument comes from the table with the most keys that it is one of;
 * request fields, and keys that no table has, are null.
 */
CREATE FUNCTION featurestore._sampled_requests(spec regclass, sample int) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	result jsonb := jsonb_build_array((SELECT jsonb_object_agg(a.name, NULL::text) FROM featurestore._spec_arguments(spec) AS a));
	looked_up record;
	covered text[] := '{}';
	keys jsonb;
BEGIN
	FOR looked_up IN SELECT DISTINCT ON (cardinality(t.arguments), t.relation) t.relation, t.key_columns, t.arguments, c.reltuples, c.relkind
				 FROM featurestore._parity_tables(spec, featurestore._parity_labels(spec, '[]'), '_served_at') AS t JOIN pg_class c ON c.oid = t.relation
				 WHERE array_position(t.arguments, NULL) IS NULL ORDER BY cardinality(t.arguments) DESC, t.relation LOOP
		CONTINUE WHEN looked_up.arguments <@ covered;
		EXECUTE format('SELECT pg_catalog.jsonb_agg(k.key) FROM (SELECT DISTINCT pg_catalog.jsonb_build_object(%s) AS key FROM %s AS t%s LIMIT $1) AS k',
			(SELECT string_agg(format('%L, t.%I', k.argument, k.name), ', ') FROM unnest(looked_up.key_columns, looked_up.arguments) AS k(name, argument)
			 WHERE k.argument <> ALL (covered)),
			featurestore._relation_name(looked_up.relation),
			CASE WHEN looked_up.relkind IN ('r', 'm', 'p') AND looked_up.reltuples > 10 * sample
				 THEN format(' TABLESAMPLE BERNOULLI (%s)', (300.0 * sample / looked_up.reltuples)::numeric) ELSE '' END)
		INTO keys USING sample;
		covered := covered || looked_up.arguments;
		CONTINUE WHEN keys IS NULL;
		result := (SELECT jsonb_agg((result->(i % jsonb_array_length(result))) || (keys->(i % jsonb_array_length(keys))))
				   FROM generate_series(0, greatest(jsonb_array_length(result), jsonb_array_length(keys)) - 1) AS i);
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._sampled_requests(regclass, int) IS 'internal: requests for keys that the tables of a spec have';

/* Vectors of sampled keys, looked up now, as a list. */
CREATE FUNCTION featurestore._looked_up_vectors(spec regclass, sample int) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT coalesce(jsonb_agg(to_jsonb(v) || jsonb_build_object('n', j.n - 1) ORDER BY j.n), '[]')
	FROM featurestore.feature_lookup_json(featurestore._relation_name(spec), featurestore._sampled_requests(spec, sample), metadata => true) WITH ORDINALITY AS j(row, n),
	featurestore.served_vector(j.row) AS v
$$;
COMMENT ON FUNCTION featurestore._looked_up_vectors(regclass, int) IS 'internal: vectors of sampled keys, looked up now';

/* Verifies parity; see verify_parity. */
CREATE FUNCTION featurestore._verify_parity(spec regclass, name text, sample int, log regclass)
	RETURNS TABLE (output text, checked bigint, equal bigint, late bigint, mutated bigint, lag bigint, bug bigint, unknown bigint, largest_difference float8, example jsonb)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF name IS NULL OR sample IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'spec and sample must not be null';
	ELSIF sample < 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('%s vectors cannot be compared', sample), HINT = 'Give a sample of at least 1.';
	ELSIF spec IS NULL OR NOT EXISTS (SELECT FROM featurestore.spec s WHERE s.relation = _verify_parity.spec) THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('feature spec "%s" does not exist', name),
			HINT = 'The view featurestore.feature_specs lists the specs there are.';
	END IF;
	RETURN QUERY SELECT * FROM featurestore._compare_vectors(spec,
		CASE WHEN log IS NULL THEN featurestore._looked_up_vectors(spec, sample) ELSE featurestore._logged_vectors(spec, log, sample) END, log IS NOT NULL);
END
$$;
COMMENT ON FUNCTION featurestore._verify_parity(regclass, text, int, regclass) IS 'internal: compares what was served with what training gives';

/*
 * Compares what was served with what training gives for the same time: the
 * newest vectors of a serve log, which were looked up with the version that the
 * spec has, or without a log vectors of keys in the tables of the spec, looked up
 * now.  Gives for each output how many were checked; how many of these are equal
 * to the bit; and of the others how many differ since
 *	  LATE		rows came after the lookup that count at its time,
 *	  LAG		rows that the lookup could have seen were not applied,
 *	  MUTATED	rows that it was made of have been changed since,
 *	  UNKNOWN	nobody can tell: rows may have been removed, or it is not known what
 *				the lookup saw,
 *	  BUG		nothing explains it;
 * the largest difference of numbers, and an example of the worst.  Not checked are
 * outputs of a log that training has only as they are now, or that lie before the
 * history of their table; and those that were served as TOO_OLD or APPROXIMATE.
 * Training reads sources with the caller's rights, and so does the comparison;
 * it writes nothing, and so works on a standby.  Raises 22004 for NULL, 22023 for a sample
 * below 1, 42704 for what is no spec, 42703 for what is no log, and what reading
 * these does.
 */
CREATE FUNCTION featurestore.verify_parity(spec text, sample int DEFAULT 1000, log regclass DEFAULT NULL)
	RETURNS TABLE (output text, checked bigint, equal bigint, late bigint, mutated bigint, lag bigint, bug bigint, unknown bigint, largest_difference float8, example jsonb)
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT p.output, p.checked, p.equal, p.late, p.mutated, p.lag, p.bug, p.unknown, p.largest_difference, p.example
		FROM featurestore._verify_parity(pg_catalog.to_regclass(spec), spec, sample, log) AS p;
	END;
COMMENT ON FUNCTION featurestore.verify_parity(text, int, regclass) IS 'compares what was served with what training gives';
