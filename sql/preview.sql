/*
 * Looking into features: what a feature gives for a key at a time, computed
 * from its source, and why.
 */

/* Raises 22008 unless as_of is finite; NULL stands for now. */
CREATE FUNCTION featurestore._as_of(as_of timestamptz) RETURNS timestamptz
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF NOT isfinite(as_of) THEN
		RAISE EXCEPTION USING ERRCODE = 'datetime_field_overflow', MESSAGE = 'as_of must be finite';
	END IF;
	RETURN coalesce(as_of, statement_timestamp());
END
$$;
COMMENT ON FUNCTION featurestore._as_of(timestamptz) IS 'internal: the time to evaluate at';

/* Raises 22023 unless keys is an object with the entity columns, or a list of such; gives the list, NULL for NULL. */
CREATE FUNCTION featurestore._key_list(keys jsonb, entity text[]) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	list jsonb := CASE jsonb_typeof(keys) WHEN 'array' THEN keys ELSE jsonb_build_array(keys) END;
BEGIN
	IF keys IS NULL THEN
		RETURN NULL;
	END IF;
	IF EXISTS (SELECT FROM jsonb_array_elements(list) AS key
			   WHERE CASE WHEN jsonb_typeof(key) <> 'object' THEN true ELSE NOT key ?& entity OR key - entity <> '{}' END) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'a key is an object with the entity columns of the feature',
			DETAIL = format('Its entity is: %s.', array_to_string(entity, ', ')),
			HINT = format('Write it as {%s}.', (SELECT string_agg(format('%s: ...', to_json(e)), ', ') FROM unnest(entity) AS e));
	END IF;
	RETURN list;
END
$$;
COMMENT ON FUNCTION featurestore._key_list(jsonb, text[]) IS 'internal: keys as a list of objects, or an error';

/* Key columns by number, k1, k2 and so on, and n, the place, of a list of keys in $1. */
CREATE FUNCTION featurestore._keys_query(feature featurestore.feature) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('SELECT %s, key.n FROM jsonb_array_elements($1) WITH ORDINALITY AS key(object, n), jsonb_populate_record(NULL::%s, key.object) AS r',
			  (SELECT string_agg(format('r.%I AS k%s', name, i), ', ' ORDER BY i) FROM unnest(feature.entity) WITH ORDINALITY AS e(name, i)),
			  feature.relation)
$$;
COMMENT ON FUNCTION featurestore._keys_query(featurestore.feature) IS 'internal: SQL that gives keys their types';

/*
 * The work of preview_feature on the feature that relation is.  $1 of the
 * statements is the keys, $2 and $3 the ends of the window.
 */
CREATE FUNCTION featurestore._preview(relation regclass, name text, keys jsonb, as_of timestamptz, OUT key jsonb, OUT value jsonb) RETURNS SETOF record
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	feature featurestore.feature := featurestore._feature(relation, name);
	at timestamptz := featurestore._as_of(as_of);
	key_object text;
	evaluation text;
	state text;
	query text;
BEGIN
	SELECT format('jsonb_build_object(%s)', string_agg(format('%s, %%1$s.k%s', replace(quote_literal(e.name), '%', '%%'), n), ', ' ORDER BY n))
	INTO key_object FROM unnest(feature.entity) WITH ORDINALITY AS e(name, n);
	SELECT format('%s FILTER (WHERE at >= $2 AND at < $3)', featurestore._accumulate_call(feature, template)),
		format('to_jsonb(featurestore.agg_value(coalesce(state, %s), %L, NULL::%s))', template, d.call, format_type(feature.result_type, -1))
	INTO state, evaluation
	FROM featurestore._described_features(ARRAY[feature]) AS d, featurestore._agg_template(d.definition, d.value_collation) AS template;

	IF keys IS NULL THEN
		query := format('SELECT %s, %s FROM (SELECT %s, %s AS state FROM (%s) AS e WHERE at < $3 AND num_nulls(%3$s) = 0 GROUP BY %3$s) AS g ORDER BY %3$s',
						format(key_object, 'g'), evaluation, featurestore._key_numbers(feature.entity), state, featurestore._dated_events_query(feature));
	ELSE
		query := format('SELECT %s, %s FROM (%s) AS r CROSS JOIN LATERAL (SELECT %s AS state FROM (%s) AS e WHERE at >= $2 AND at < $3 AND %s) AS s ORDER BY r.n',
						format(key_object, 'r'), evaluation, featurestore._keys_query(feature), state, featurestore._dated_events_query(feature),
						featurestore._same_key(relation, feature.entity, 'e', 'r'));
	END IF;
	RETURN QUERY EXECUTE query USING featurestore._key_list(keys, feature.entity),
		featurestore.window_lo(feature.time_window, at), featurestore.window_hi(feature.time_window, at);
END
$$;
COMMENT ON FUNCTION featurestore._preview(regclass, text, jsonb, timestamptz) IS 'internal: the work of preview_feature';

/*
 * Computes a feature from its source, whether or not it is materialized.
 *
 * keys: an object with the entity columns, or a list of such, which gives a row
 *   for each, in order; NULL for all entities that have events by then.
 * as_of: the time to compute it at; NULL for now.
 *
 * Reads the rows of the source that are there now.  Raises 42704 if there is no
 * such feature, 22023 for keys that do not name the entity columns, 22008 for
 * an infinite as_of, 42501 unless the caller can read the feature's view.
 */
CREATE FUNCTION featurestore.preview_feature(name text, keys jsonb DEFAULT NULL, as_of timestamptz DEFAULT NULL)
	RETURNS TABLE(key jsonb, value jsonb)
	LANGUAGE sql STABLE
	/* no setting of its own: the name is resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT p.key, p.value
		FROM featurestore._preview(to_regclass(preview_feature.name), preview_feature.name, preview_feature.keys, preview_feature.as_of) AS p;
	END;
COMMENT ON FUNCTION featurestore.preview_feature(text, jsonb, timestamptz) IS 'computes a feature from its source';

/*
 * What explain_feature tells of the events of one key, as one row: how many are
 * in the window and when, those next to it, the value computed from them.  An
 * event whose input is NULL is none.
 */
CREATE FUNCTION featurestore._explain_events(feature featurestore.feature, key jsonb, lo timestamptz, hi timestamptz) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC'
	AS $$
DECLARE
	described record := featurestore._described_features(ARRAY[feature]);
	template text := featurestore._agg_template(feature, described.value_collation);
	result jsonb;
BEGIN
	EXECUTE format('SELECT to_jsonb(v) || jsonb_build_object(''value'', featurestore.agg_value(coalesce(state, %s), %L, NULL::%s)::text) - ''state'''
		' FROM (SELECT count(*) FILTER (WHERE inside) AS events, min(at) FILTER (WHERE inside) AS first, max(at) FILTER (WHERE inside) AS last,'
		' max(at) FILTER (WHERE at < $2) AS before, min(at) FILTER (WHERE at >= $3) AS after, %s FILTER (WHERE inside) AS state'
		' FROM (%s) AS r JOIN (SELECT *, at >= $2 AND at < $3 AS inside FROM (%s) AS d) AS e ON %s) AS v',
		template, described.call, format_type(feature.result_type, -1), featurestore._accumulate_call(feature, template),
		featurestore._keys_query(feature),
		featurestore._dated_events_query(feature) || CASE WHEN feature.input IS NULL THEN '' ELSE ' AND value IS NOT NULL' END,
		featurestore._same_key(feature.relation, feature.entity, 'e', 'r'))
	INTO result USING key, lo, hi;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._explain_events(featurestore.feature, jsonb, timestamptz, timestamptz) IS 'internal: what there is to know of the events of a key';

/*
 * What explain_feature tells of the state of one key, as one row: value, flags,
 * state (described); NULL if there is no state.
 */
CREATE FUNCTION featurestore._explain_state(feature featurestore.feature, key jsonb, at timestamptz) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC'
	AS $$
DECLARE
	call text := (featurestore._function_info(feature.function, feature.input_type, feature.params)).call;
	result jsonb;
BEGIN
	EXECUTE format('SELECT jsonb_build_object(''value'', featurestore.window_value(state, %1$L, $2, $3, NULL::%2$s)::text,'
		' ''flags'', featurestore._window_flags(state, %1$L, $2, $3), ''state'', featurestore.describe(state))'
		' FROM (%3$s) AS r JOIN (SELECT %4$s, %5$I AS state FROM %6$s) AS e ON %7$s',
		call, format_type(feature.result_type, -1), featurestore._keys_query(feature),
		(SELECT string_agg(format('%I AS k%s', name, n), ', ' ORDER BY n) FROM unnest(feature.entity) WITH ORDINALITY AS c(name, n)),
		feature.state_column, feature.online_table, featurestore._same_key(feature.relation, feature.entity, 'e', 'r'))
	INTO result USING key, feature.time_window, at;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._explain_state(featurestore.feature, jsonb, timestamptz) IS 'internal: what there is to know of the state of a key';

/* What the flags of a served value, and its readiness, amount to: a status, and what goes with it. */
CREATE FUNCTION featurestore._explain_status(state jsonb, is_ready boolean) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE WHEN NOT is_ready THEN 'NOT_READY'
	WHEN state IS NULL THEN 'NOT_FOUND'
	ELSE concat_ws(', ',
		CASE WHEN flags & 8 <> 0 THEN 'TOO_OLD' WHEN flags & 2 <> 0 THEN 'OUT_OF_RANGE'
			 WHEN state->>'value' IS NULL THEN 'NULL_VALUE' ELSE 'PRESENT' END,
		CASE WHEN flags & 1 <> 0 THEN 'approximate' END, CASE WHEN flags & 4 <> 0 THEN 'no event in the window' END) END
FROM (SELECT (state->>'flags')::int) AS f(flags)
$$;
COMMENT ON FUNCTION featurestore._explain_status(jsonb, boolean) IS 'internal: the status of a served value';

/* How many tiles of a described state a window touches. */
CREATE FUNCTION featurestore._explain_tiles(state jsonb, lo timestamptz, hi timestamptz) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
	AS $$
SELECT format('%s of %s, %s of them partial', count(*) FILTER (WHERE touched), count(*), count(*) FILTER (WHERE touched AND NOT (tile->>'verbatim')::boolean))
FROM (SELECT tile, CASE WHEN tile->>'start' IS NULL THEN lo = '-infinity'
						ELSE (tile->>'start')::timestamptz < hi AND (tile->>'start')::timestamptz + (tile->>'width')::interval > lo END AS touched
	  FROM jsonb_array_elements(state->'tiles') AS tile) AS t
$$;
COMMENT ON FUNCTION featurestore._explain_tiles(jsonb, timestamptz, timestamptz) IS 'internal: the tiles of a state that a window touches';

/* The work of explain_feature on the feature that relation is. */
CREATE FUNCTION featurestore._explain(relation regclass, name text, key jsonb, as_of timestamptz, OUT item text, OUT value text) RETURNS SETOF record
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	feature featurestore.feature := featurestore._feature(relation, name);
	described record := featurestore._described_features(ARRAY[feature]);
	at timestamptz := featurestore._as_of(as_of);
	lo timestamptz := featurestore.window_lo(feature.time_window, at);
	hi timestamptz := featurestore.window_hi(feature.time_window, at);
	keys jsonb := featurestore._key_list(key, feature.entity);
	"position" featurestore.publication_position := featurestore._position(feature.online_table);
	is_ready boolean := coalesce(feature.state_column = ANY ("position".filled), false);
	events jsonb;
	state jsonb;
BEGIN
	IF keys IS NULL OR jsonb_array_length(keys) <> 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'explain_feature takes one key';
	END IF;
	events := featurestore._explain_events(feature, keys, lo, hi);
	RETURN QUERY SELECT * FROM (VALUES
		('feature', feature.relation::text), ('version', feature.version::text),
		('function', described.call), ('input', coalesce(feature.input, 'rows')), ('filter', feature.filter),
		('window', feature.time_window::text), ('as of', at::text), ('window start', lo::text), ('window end', hi::text),
		('value from source', coalesce(events->>'value', 'null')), ('events in window', events->>'events'),
		('first event', (events->>'first')::timestamptz::text), ('last event', (events->>'last')::timestamptz::text),
		('nearest event before', (events->>'before')::timestamptz || ': older than the window'),
		('nearest event after', (events->>'after')::timestamptz || CASE
			WHEN (events->>'after')::timestamptz > clock_timestamp() + featurestore._head_slack() THEN ': in the future, held until it is due'
			WHEN (events->>'after')::timestamptz >= at THEN ': at or after the time asked for'
			ELSE ': at or after the end of the window' END)) AS e(item, value)
		WHERE e.value IS NOT NULL;

	IF feature.online_table IS NOT NULL THEN
		state := featurestore._explain_state(feature, keys, at);
		RETURN QUERY SELECT * FROM (VALUES
			('materialized in', format('%s (%s)', feature.online_table, feature.state_column)),
			('value served', CASE WHEN NOT is_ready THEN NULL WHEN state IS NULL AND described.is_count THEN '0' ELSE coalesce(state->>'value', 'null') END),
			('status', featurestore._explain_status(state, is_ready)),
			('served equals source', CASE WHEN is_ready AND coalesce(state->>'value', CASE WHEN state IS NULL AND described.is_count THEN '0' END) IS NOT DISTINCT FROM events->>'value'
									 THEN 'yes' WHEN is_ready THEN 'no' END),
			('events in state', state->'state'->>'events'), ('state watermark', (state->'state'->>'watermark' || ' UTC')::timestamptz::text),
			('tiles touched', featurestore._explain_tiles(state->'state', lo, hi)), ('bytes of state', state->'state'->>'bytes'),
			('applied to', CASE WHEN is_ready THEN "position".applied_to::text END)) AS e(item, value)
			WHERE e.value IS NOT NULL;
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._explain(regclass, text, jsonb, timestamptz) IS 'internal: the work of explain_feature';

/*
 * Tells how the value of a feature comes about for one key: its window, the
 * events in it and next to it, the value computed from the source and, where
 * the feature is materialized, the one that is served, and what its state is.
 *
 * key: an object with the entity columns.
 * as_of: the time to explain it at; NULL for now.
 *
 * Raises 42704 if there is no such feature, 22023 for what is not one key,
 * 22008 for an infinite as_of, 42501 unless the caller can read the feature's
 * view and the online table.
 */
CREATE FUNCTION featurestore.explain_feature(name text, key jsonb, as_of timestamptz DEFAULT NULL)
	RETURNS TABLE(item text, value text)
	LANGUAGE sql STABLE
	/* no setting of its own: the name is resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT e.item, e.value
		FROM featurestore._explain(to_regclass(explain_feature.name), explain_feature.name, explain_feature.key, explain_feature.as_of) AS e;
	END;
COMMENT ON FUNCTION featurestore.explain_feature(text, jsonb, timestamptz) IS 'tells how the value of a feature comes about';
