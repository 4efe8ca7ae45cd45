/*
 * Views for people: what is defined, and how far it is.
 */
CREATE VIEW featurestore.feature_specs AS
	SELECT s.relation AS spec, s.version, r.rolname AS owner,
		   ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a
				 WHERE a.attrelid = s.relation AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)::text[] AS columns,
		   ARRAY(SELECT DISTINCT d.refobjid::regclass::text FROM pg_catalog.pg_rewrite w
				 JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
				 WHERE w.ev_class = s.relation AND d.refclassid = 'pg_catalog.pg_class'::regclass
					AND d.refobjid <> s.relation ORDER BY 1) AS tables,
		   s.with_status, s.exclude_columns, s.items
	FROM featurestore.spec s
	JOIN pg_catalog.pg_class c ON c.oid = s.relation
	JOIN pg_catalog.pg_roles r ON r.oid = c.relowner;
COMMENT ON VIEW featurestore.feature_specs IS 'feature specs: their columns, the tables they read, their items';

CREATE VIEW featurestore.publications AS
	SELECT p.relation AS online_table, p.source AS source_table, p.publish_mode, p.primary_key, p.timeseries_column,
		   p.features, p.filter, o.ttl, r.rolname AS owner,
		   n.relation IS NOT NULL AS is_ready, n.applied_to, n.synced_at, n.rows_changed
	FROM featurestore.publication p
	JOIN pg_catalog.pg_class c ON c.oid = p.relation
	JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
	LEFT JOIN featurestore.online_table o ON o.relation = p.relation
	LEFT JOIN featurestore.publication_position n ON n.relation = p.relation;
COMMENT ON VIEW featurestore.publications IS 'publications: what is published where, and how far it is';

CREATE VIEW featurestore.feature_tables AS
	SELECT t.relation AS table_name, p.source AS source_table, o.timeseries_column, o.ttl, r.rolname AS owner,
		   ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a
				 WHERE a.attrelid = t.relation AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)::text[] AS columns
	FROM (SELECT relation FROM featurestore.online_table UNION SELECT relation FROM featurestore.publication) AS t
	JOIN pg_catalog.pg_class c ON c.oid = t.relation
	JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
	LEFT JOIN featurestore.online_table o ON o.relation = t.relation
	LEFT JOIN featurestore.publication p ON p.relation = t.relation;
COMMENT ON VIEW featurestore.feature_tables IS 'online tables: published ones and those an application writes';

GRANT SELECT ON featurestore.feature_specs, featurestore.publications, featurestore.feature_tables TO PUBLIC;
