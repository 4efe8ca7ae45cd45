/*
 * What was made of what: training sets, and the way from sources to them.
 */
CREATE VIEW featurestore.training_sets AS
	SELECT t.relation AS training_set, r.rolname AS owner, t.spec, t.spec_version, t.features, t.labels, t.timestamp_column, t.label, t.known_at,
		   t.allow_current, t.exclude_columns, t.frozen_spec, t.snapshot, t.created_at, t.row_count, t.hash
	FROM featurestore.training_set t
	JOIN pg_catalog.pg_class c ON c.oid = t.relation
	JOIN pg_catalog.pg_roles r ON r.oid = c.relowner;
COMMENT ON VIEW featurestore.training_sets IS 'training sets, and what they were made of';
COMMENT ON COLUMN featurestore.training_sets.training_set IS 'the table';
COMMENT ON COLUMN featurestore.training_sets.owner IS 'role that owns it';
COMMENT ON COLUMN featurestore.training_sets.spec IS 'the spec it was made with; null if it was made of items, or the spec is gone';
COMMENT ON COLUMN featurestore.training_sets.spec_version IS 'version of that spec';
COMMENT ON COLUMN featurestore.training_sets.features IS 'features in it, with their versions';
COMMENT ON COLUMN featurestore.training_sets.labels IS 'query of the labels';
COMMENT ON COLUMN featurestore.training_sets.timestamp_column IS 'column with the time of a label';
COMMENT ON COLUMN featurestore.training_sets.label IS 'columns that are to be predicted';
COMMENT ON COLUMN featurestore.training_sets.known_at IS 'column with the time after which nothing was known; null if all that is known now counts';
COMMENT ON COLUMN featurestore.training_sets.allow_current IS 'whether tables may be in it that only have current values';
COMMENT ON COLUMN featurestore.training_sets.exclude_columns IS 'columns of labels and outputs that were left out';
COMMENT ON COLUMN featurestore.training_sets.frozen_spec IS 'the spec as it was then, for this training set only; null if it was dropped';
COMMENT ON COLUMN featurestore.training_sets.snapshot IS 'what was committed when it was made';
COMMENT ON COLUMN featurestore.training_sets.created_at IS 'when it was made';
COMMENT ON COLUMN featurestore.training_sets.row_count IS 'rows it was made with';
COMMENT ON COLUMN featurestore.training_sets.hash IS 'hash of these rows, as training_set_hash gives it';

/* What a relation is to the feature store. */
CREATE FUNCTION featurestore._object_kind(relation regclass) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT CASE WHEN EXISTS (SELECT FROM featurestore.feature f WHERE f.relation = _object_kind.relation) THEN 'feature'
		WHEN EXISTS (SELECT FROM featurestore.publication p WHERE p.relation = _object_kind.relation)
			OR EXISTS (SELECT FROM featurestore.online_table o WHERE o.relation = _object_kind.relation) THEN 'online table'
		ELSE 'source' END
$$;
COMMENT ON FUNCTION featurestore._object_kind(regclass) IS 'internal: what a relation is to the feature store';

CREATE VIEW featurestore.lineage AS
	WITH spec AS (
		SELECT s.relation, CASE WHEN s.training_set IS NULL THEN 'spec' ELSE 'training set' END AS kind, COALESCE(s.training_set, s.relation) AS object
		FROM featurestore.spec s
	)
	SELECT featurestore._object_kind(f.source) AS from_kind, f.source AS from_object, 'feature' AS to_kind, f.relation AS to_object
	FROM featurestore.feature f
	UNION
	SELECT 'feature', f.relation, 'online table', f.online_table
	FROM featurestore.feature f WHERE f.online_table IS NOT NULL
	UNION
	SELECT featurestore._object_kind(p.source), p.source, 'online table', p.relation
	FROM featurestore.publication p WHERE p.source IS NOT NULL
	UNION
	SELECT 'feature', f.relation, s.kind, s.object
	FROM featurestore.feature f CROSS JOIN LATERAL pg_catalog.unnest(featurestore._specs_with(f)) AS w JOIN spec s ON s.relation = w
	UNION
	SELECT featurestore._object_kind(d.refobjid), d.refobjid::regclass, s.kind, s.object
	FROM spec s JOIN pg_catalog.pg_rewrite w ON w.ev_class = s.relation
	JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
	WHERE d.refobjid <> s.relation AND NOT EXISTS (SELECT FROM featurestore.feature f WHERE f.relation = d.refobjid)
	UNION
	SELECT 'spec', t.spec, 'training set', t.relation
	FROM featurestore.training_set t WHERE t.spec IS NOT NULL;
COMMENT ON VIEW featurestore.lineage IS 'what was made of what, from sources over features, online tables and specs to training sets';
COMMENT ON COLUMN featurestore.lineage.from_kind IS 'source, feature, online table or spec';
COMMENT ON COLUMN featurestore.lineage.from_object IS 'what something was made of';
COMMENT ON COLUMN featurestore.lineage.to_kind IS 'feature, online table, spec or training set';
COMMENT ON COLUMN featurestore.lineage.to_object IS 'what was made of it';

GRANT SELECT ON featurestore.training_sets, featurestore.lineage TO PUBLIC;
