/*
 * Training: what an item of a spec is read from.
 *
 * A lookup reads an online table as it is now.  Training needs what was there
 * at the time of each label, and so reads where that is kept: the events of
 * features, a table or source with a time, or the history of the online table.
 */

/* Is a row whose system column xmin is this shown by a snapshot? */
CREATE FUNCTION featurestore._is_visible_in(xmin xid, snapshot pg_snapshot) RETURNS boolean
	AS 'MODULE_PATHNAME', 'is_visible_in' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._is_visible_in(xid, pg_snapshot) IS 'internal: whether a snapshot shows a row';

/* When a row was committed whose system column xmin is this; -infinity: before this was kept; infinity: not yet. */
CREATE FUNCTION featurestore._committed_at(xmin xid) RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'committed_at' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._committed_at(xid) IS 'internal: when a row was committed';

/*
 * What a looked-up table is kept in step with, as an object: source, filter and
 * time of a publication that publishes the newest row of each key; history and
 * history_from if its versions are kept; is_published.
 */
CREATE FUNCTION featurestore._training_table(relation regclass) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	publication featurestore.publication;
	online_table featurestore.online_table;
BEGIN
	SELECT * INTO publication FROM featurestore.publication p WHERE p.relation = _training_table.relation;
	SELECT * INTO online_table FROM featurestore.online_table o WHERE o.relation = _training_table.relation;
	RETURN jsonb_strip_nulls(jsonb_build_object(
		'is_published', publication.relation IS NOT NULL,
		'source', CASE WHEN publication.timeseries_column IS NOT NULL THEN publication.source::oid::text END,
		'time', publication.timeseries_column, 'filter', publication.filter,
		'history', online_table.history_table::oid::text, 'history_from', online_table.history_from));
END
$$;
COMMENT ON FUNCTION featurestore._training_table(regclass) IS 'internal: what training can read instead of a table';

/*
 * Whether the source of a feature has, under the names that the feature knows,
 * what its view reads: columns can have been renamed, and others have taken
 * their names.
 */
CREATE FUNCTION featurestore._is_as_defined(feature featurestore.feature) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN featurestore._same_query(feature.relation, featurestore._feature_query(feature));
EXCEPTION WHEN syntax_error_or_access_rule_violation THEN
	RETURN false;
END
$$;
COMMENT ON FUNCTION featurestore._is_as_defined(featurestore.feature) IS 'internal: whether a feature''s view reads what its definition names';

/*
 * What the states in a column of an online table, or with NULL those that the
 * feature that relation is would have, are made of, as an object; NULL if they
 * are not those of features.  view gives the events with the rights of
 * rows_owner, or of the caller; reads_source: the caller can read the source itself, where input and
 * filter apply as in the view; template is an empty state.
 */
CREATE FUNCTION featurestore._training_states(relation regclass, state_column text) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	feature featurestore.feature;
	template text;
	source pg_class;
BEGIN
	SELECT * INTO feature FROM featurestore.feature f
	WHERE CASE WHEN _training_states.state_column IS NULL THEN f.relation = _training_states.relation
			   ELSE f.online_table = _training_states.relation AND f.state_column = _training_states.state_column END
	ORDER BY has_table_privilege(f.relation, 'SELECT') DESC, f.relation LIMIT 1;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	IF _training_states.state_column IS NULL THEN
		template := (SELECT featurestore.agg_state(feature.function, feature.input_type, feature.params, d.value_collation)
					 FROM featurestore._described_features(ARRAY[feature]) AS d);
	ELSE
		template := (SELECT t.templates[array_position(t.state_columns, _training_states.state_column)] FROM featurestore.window_table t
					 WHERE t.relation = _training_states.relation);
	END IF;
	SELECT * INTO source FROM pg_class c WHERE c.oid = feature.source;
	RETURN jsonb_strip_nulls(jsonb_build_object(
		'view', feature.relation::oid::text, 'source', feature.source::oid::text, 'entity', to_jsonb(feature.entity),
		'time', feature.timeseries_column, 'input', feature.input, 'filter', feature.filter, 'template', template,
		'rows', pg_get_viewdef(feature.relation),
		'rows_owner', (SELECT c.relowner::text FROM pg_class c WHERE c.oid = feature.relation
					   AND NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions) AS o WHERE o.option_name = 'security_invoker' AND o.option_value::boolean)),
		'reads_source', source.relkind IN ('r', 'p', 'm', 'f') AND NOT row_security_active(source.oid)
			AND has_schema_privilege(source.relnamespace, 'USAGE') AND has_table_privilege(source.oid, 'SELECT')
			AND featurestore._is_as_defined(feature)));
END
$$;
COMMENT ON FUNCTION featurestore._training_states(regclass, text) IS 'internal: what states are made of';
