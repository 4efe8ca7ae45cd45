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
	JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
	WHERE s.training_set IS NULL;
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
		   CASE WHEN p.source IS NULL THEN ARRAY(SELECT f.relation::text FROM featurestore.feature f WHERE f.online_table = p.relation ORDER BY 1)
				ELSE p.features END AS features, p.filter, p.schedule, p.time_zone, o.ttl, p.source_retention, r.rolname AS owner,
		   featurestore._is_filled(p.relation) AS is_ready,
		   featurestore._state(p, n) AS state,
		   n.stopped AS reason, n.applied_to, n.synced_at, n.rows_changed
	FROM featurestore.publication p
	JOIN pg_catalog.pg_class c ON c.oid = p.relation
	JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
	LEFT JOIN featurestore.online_table o ON o.relation = p.relation
	LEFT JOIN featurestore.publication_position n ON n.relation = p.relation
		AND n.system_identifier = (SELECT system_identifier FROM pg_catalog.pg_control_system());
COMMENT ON VIEW featurestore.publications IS 'publications: what is published where, and how far it is';
COMMENT ON COLUMN featurestore.publications.online_table IS 'the online table';
COMMENT ON COLUMN featurestore.publications.source_table IS 'the table the rows come from; null where features are materialized, each from its own';
COMMENT ON COLUMN featurestore.publications.publish_mode IS 'how changes travel: SNAPSHOT, TRIGGERED, CONTINUOUS or SYNCHRONOUS';
COMMENT ON COLUMN featurestore.publications.primary_key IS 'key columns of the online table';
COMMENT ON COLUMN featurestore.publications.timeseries_column IS 'time column of the source; the newest row of a key is published';
COMMENT ON COLUMN featurestore.publications.features IS 'columns published besides the key, or features that are materialized';
COMMENT ON COLUMN featurestore.publications.filter IS 'SQL condition over the source row; other rows are not published';
COMMENT ON COLUMN featurestore.publications.schedule IS 'when it runs, as a cron or Quartz expression; null if it has no schedule';
COMMENT ON COLUMN featurestore.publications.time_zone IS 'time zone that the schedule is in';
COMMENT ON COLUMN featurestore.publications.ttl IS 'age beyond which a row is OUTSIDE_MAX_AGE';
COMMENT ON COLUMN featurestore.publications.source_retention IS 'age beyond which rows leave the source by purges, which change nothing; null if it keeps all';
COMMENT ON COLUMN featurestore.publications.owner IS 'role that owns the online table';
COMMENT ON COLUMN featurestore.publications.is_ready IS 'whether the first fill is done, of all that it holds';
COMMENT ON COLUMN featurestore.publications.state IS 'OK; INITIALIZING before the first fill is done; RESYNC if the next run compares the whole source; PAUSED; STOPPED until what is wrong is mended';
COMMENT ON COLUMN featurestore.publications.reason IS 'why it has stopped';
COMMENT ON COLUMN featurestore.publications.applied_to IS 'every change of the source committed before this time is in the online table';
COMMENT ON COLUMN featurestore.publications.synced_at IS 'end of the last run';
COMMENT ON COLUMN featurestore.publications.rows_changed IS 'rows the last run inserted, updated or deleted';

CREATE VIEW featurestore.feature_tables AS
	SELECT t.relation AS table_name, p.source AS source_table, w.relation IS NOT NULL AS has_windows,
		   o.timeseries_column, o.ttl, r.rolname AS owner,
		   ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a
				 WHERE a.attrelid = t.relation AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)::text[] AS columns
	FROM (SELECT relation FROM featurestore.online_table UNION SELECT relation FROM featurestore.publication) AS t
	JOIN pg_catalog.pg_class c ON c.oid = t.relation
	JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
	LEFT JOIN featurestore.online_table o ON o.relation = t.relation
	LEFT JOIN featurestore.publication p ON p.relation = t.relation
	LEFT JOIN featurestore.window_table w ON w.relation = t.relation;
COMMENT ON VIEW featurestore.feature_tables IS 'online tables: published ones, those of features and those an application writes';
COMMENT ON COLUMN featurestore.feature_tables.table_name IS 'the online table';
COMMENT ON COLUMN featurestore.feature_tables.source_table IS 'the table it is published from; null if an application writes it or features are materialized in it';
COMMENT ON COLUMN featurestore.feature_tables.has_windows IS 'whether features are materialized in it';
COMMENT ON COLUMN featurestore.feature_tables.timeseries_column IS 'column with the event time of a row, if it has one';
COMMENT ON COLUMN featurestore.feature_tables.ttl IS 'age beyond which a row is OUTSIDE_MAX_AGE';
COMMENT ON COLUMN featurestore.feature_tables.owner IS 'role that owns the table';
COMMENT ON COLUMN featurestore.feature_tables.columns IS 'columns of the table';

CREATE VIEW featurestore.features AS
	SELECT f.relation AS feature, f.version, f.is_current, r.rolname AS owner, f.source AS source_table, f.entity, f.timeseries_column,
		   i.call AS function, f.input, f.filter, f.time_window, f.params, f.result_type,
		   COALESCE('bounded: ' || i.bound, 'exact') AS class, f.online_table, f.state_column,
		   pg_catalog.obj_description(f.relation, 'pg_class') AS description
	FROM featurestore.feature f
	JOIN pg_catalog.pg_class c ON c.oid = f.relation
	JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
	CROSS JOIN LATERAL featurestore._function_info(f.function, f.input_type, f.params) AS i;
COMMENT ON VIEW featurestore.features IS 'registered features';
COMMENT ON COLUMN featurestore.features.feature IS 'the view that gives key, time and value of each row that counts';
COMMENT ON COLUMN featurestore.features.version IS 'starts at 1, goes up when the feature is replaced';
COMMENT ON COLUMN featurestore.features.is_current IS 'false for a version that was replaced';
COMMENT ON COLUMN featurestore.features.owner IS 'role that owns the feature';
COMMENT ON COLUMN featurestore.features.source_table IS 'the table the rows come from';
COMMENT ON COLUMN featurestore.features.entity IS 'key columns';
COMMENT ON COLUMN featurestore.features.timeseries_column IS 'column with the time of a row';
COMMENT ON COLUMN featurestore.features.function IS 'the aggregate function, with its parameter if it has one';
COMMENT ON COLUMN featurestore.features.input IS 'SQL expression over the source row that is aggregated; null where rows are counted';
COMMENT ON COLUMN featurestore.features.filter IS 'SQL condition over the source row; other rows do not count';
COMMENT ON COLUMN featurestore.features.time_window IS 'the window';
COMMENT ON COLUMN featurestore.features.params IS 'parameters of the function';
COMMENT ON COLUMN featurestore.features.result_type IS 'type of the value';
COMMENT ON COLUMN featurestore.features.class IS 'exact, or how far the value can be off';
COMMENT ON COLUMN featurestore.features.online_table IS 'the table it is materialized in, if it is';
COMMENT ON COLUMN featurestore.features.state_column IS 'the column of that table with its states';
COMMENT ON COLUMN featurestore.features.description IS 'comment of the view';

CREATE VIEW featurestore.progress AS
	SELECT pid, operation, relation AS online_table, phase, done, total,
		   round((done / nullif(extract(epoch FROM clock_timestamp() - started), 0))::numeric, 1) AS rate
	FROM featurestore._progress();
COMMENT ON VIEW featurestore.progress IS 'fills, syncs and training sets that are running, of those the caller may see';
COMMENT ON COLUMN featurestore.progress.pid IS 'process that runs it';
COMMENT ON COLUMN featurestore.progress.operation IS 'publish, or materialize where the table holds features; train';
COMMENT ON COLUMN featurestore.progress.online_table IS 'the online table, or the spec that training rows are made of; its OID while others cannot see it yet';
COMMENT ON COLUMN featurestore.progress.phase IS 'reading sources, writing, or writing the offline table; applying changes; filling a range of keys; reading labels, looking up, giving rows';
COMMENT ON COLUMN featurestore.progress.done IS 'rows compared so far in this phase; 0 while reading; labels';
COMMENT ON COLUMN featurestore.progress.rate IS 'rows a second in this phase';
COMMENT ON COLUMN featurestore.progress.total IS 'rows that this phase compares, or labels, counted for each of the lookups; null if not known';

GRANT SELECT ON featurestore.feature_specs, featurestore.publications, featurestore.feature_tables,
	featurestore.features, featurestore.progress TO PUBLIC;
