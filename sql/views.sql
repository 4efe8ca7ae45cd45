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
COMMENT ON COLUMN featurestore.feature_specs.spec IS 'the view whose row type is the row a lookup gives';
COMMENT ON COLUMN featurestore.feature_specs.version IS 'starts at 1, goes up when the spec is replaced';
COMMENT ON COLUMN featurestore.feature_specs.owner IS 'role that owns the spec';
COMMENT ON COLUMN featurestore.feature_specs.columns IS 'columns of the row that a lookup gives';
COMMENT ON COLUMN featurestore.feature_specs.tables IS 'relations that the spec reads';
COMMENT ON COLUMN featurestore.feature_specs.with_status IS 'whether each output has a status column beside it';
COMMENT ON COLUMN featurestore.feature_specs.exclude_columns IS 'columns computed but not given';
COMMENT ON COLUMN featurestore.feature_specs.items IS 'the items as they were defined';

CREATE VIEW featurestore.publications AS
	SELECT p.relation AS online_table, p.source AS source_table, p.publish_mode, p.primary_key, p.timeseries_column,
		   p.features, p.filter, o.ttl, r.rolname AS owner,
		   n.relation IS NOT NULL AS is_ready, n.applied_to, n.synced_at, n.rows_changed
	FROM featurestore.publication p
	JOIN pg_catalog.pg_class c ON c.oid = p.relation
	JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
	LEFT JOIN featurestore.online_table o ON o.relation = p.relation
	LEFT JOIN featurestore.publication_position n ON n.relation = p.relation
		AND n.system_identifier = (SELECT system_identifier FROM pg_catalog.pg_control_system());
COMMENT ON VIEW featurestore.publications IS 'publications: what is published where, and how far it is';
COMMENT ON COLUMN featurestore.publications.online_table IS 'the online table';
COMMENT ON COLUMN featurestore.publications.source_table IS 'the table the rows come from';
COMMENT ON COLUMN featurestore.publications.publish_mode IS 'how changes travel: SNAPSHOT';
COMMENT ON COLUMN featurestore.publications.primary_key IS 'key columns of the online table';
COMMENT ON COLUMN featurestore.publications.timeseries_column IS 'time column of the source; the newest row of a key is published';
COMMENT ON COLUMN featurestore.publications.features IS 'columns published besides the key';
COMMENT ON COLUMN featurestore.publications.filter IS 'SQL condition over the source row; other rows are not published';
COMMENT ON COLUMN featurestore.publications.ttl IS 'age beyond which a row is OUTSIDE_MAX_AGE';
COMMENT ON COLUMN featurestore.publications.owner IS 'role that owns the online table';
COMMENT ON COLUMN featurestore.publications.is_ready IS 'whether the first fill is done';
COMMENT ON COLUMN featurestore.publications.applied_to IS 'every change of the source committed before this time is in the online table';
COMMENT ON COLUMN featurestore.publications.synced_at IS 'end of the last run';
COMMENT ON COLUMN featurestore.publications.rows_changed IS 'rows the last run inserted, updated or deleted';

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
COMMENT ON COLUMN featurestore.feature_tables.table_name IS 'the online table';
COMMENT ON COLUMN featurestore.feature_tables.source_table IS 'the table it is published from; null if an application writes it';
COMMENT ON COLUMN featurestore.feature_tables.timeseries_column IS 'column with the event time of a row, if it has one';
COMMENT ON COLUMN featurestore.feature_tables.ttl IS 'age beyond which a row is OUTSIDE_MAX_AGE';
COMMENT ON COLUMN featurestore.feature_tables.owner IS 'role that owns the table';
COMMENT ON COLUMN featurestore.feature_tables.columns IS 'columns of the table';

GRANT SELECT ON featurestore.feature_specs, featurestore.publications, featurestore.feature_tables TO PUBLIC;
