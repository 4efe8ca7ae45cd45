/*
 * Merging: the statements that make an online table, or part of it, equal to
 * its source.
 *
 * They compare what the table should hold, as of one snapshot, with what it
 * holds, and write the difference.
 */

/*
 * Condition that table alias a and table alias b, rows of online_table, have
 * the same key.  It uses the operators of the unique index on key, since "="
 * would mean what the search path says; NULL without such an index.
 */
CREATE FUNCTION featurestore._key_condition(online_table regclass, key text[], a text, b text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT string_agg(format('%I.%I OPERATOR(%I.%s) %I.%2$I', a, attname, nspname, oprname, b), ' AND ' ORDER BY n)
FROM unnest(key) WITH ORDINALITY AS k(name, n)
JOIN pg_attribute ON attrelid = online_table AND attname = name
JOIN pg_index i ON i.indexrelid = featurestore._unique_index(online_table, key)
JOIN pg_opclass c ON c.oid = (i.indclass::oid[])[array_position(i.indkey::int2[], attnum)]
JOIN pg_amop o ON o.amopfamily = c.opcfamily AND o.amoplefttype = c.opcintype
	AND o.amoprighttype = c.opcintype AND o.amopstrategy = 3
JOIN pg_operator op ON op.oid = o.amopopr
JOIN pg_namespace s ON s.oid = op.oprnamespace
$$;
COMMENT ON FUNCTION featurestore._key_condition(regclass, text[], text, text) IS 'internal: SQL that compares the keys of two rows';

/*
 * Query for the source rows that a sync considers: those that pass the filter
 * and are not dated later than $1, the clock of the sync.  A date counts from
 * its midnight in UTC.  A row without time is let through, to raise an error.
 * scope: a condition on rows called source; others are not looked at, and what
 * the filter makes of them is of no concern.
 */
CREATE FUNCTION featurestore._candidate_query(publication featurestore.publication, scope text DEFAULT NULL) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('SELECT %s FROM %s AS source WHERE %s AND (%s)',
			  featurestore._column_list(featurestore._published_columns(publication), 'source'),
			  CASE WHEN scope IS NULL THEN publication.source::text ELSE format('(SELECT source.* FROM %s AS source WHERE %s OFFSET 0)', publication.source, scope) END,
			  CASE (SELECT atttypid FROM pg_attribute WHERE attrelid = publication.source AND attname = publication.timeseries_column)
				   WHEN 'timestamptz'::regtype THEN format('(source.%I <= $1) IS NOT FALSE', publication.timeseries_column)
				   WHEN 'date'::regtype THEN format('(source.%I <= ($1 AT TIME ZONE ''UTC'')::date) IS NOT FALSE', publication.timeseries_column)
				   ELSE 'true' END,
			  coalesce(publication.filter, 'true'))
$$;
COMMENT ON FUNCTION featurestore._candidate_query(featurestore.publication, text) IS 'internal: SQL for the source rows that a sync considers';

/*
 * Query for one key of the candidates that cannot be published, because it
 * has a NULL or occurs twice.  It gives nothing without asking where an index
 * of the source rules that out.
 */
CREATE FUNCTION featurestore._bad_key_query(publication featurestore.publication) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE
	WHEN EXISTS (SELECT FROM pg_class WHERE oid = publication.source AND (relkind = 'p' OR (relkind = 'r' AND NOT relhassubclass)))
		AND featurestore._unique_index(publication.source, key) IS NOT NULL
	THEN 'SELECT NULL::text AS key, NULL::boolean AS has_null WHERE false'
	ELSE format('SELECT ROW(%1$s)::text AS key, num_nulls(%1$s) > 0 AS has_null FROM candidate GROUP BY %1$s'
				' HAVING count(*) > 1 OR num_nulls(%1$s) > 0 ORDER BY %1$s LIMIT 1', featurestore._column_list(key, 'candidate'))
	END
FROM (SELECT publication.primary_key || array_remove(ARRAY[publication.timeseries_column], NULL)) AS k(key)
$$;
COMMENT ON FUNCTION featurestore._bad_key_query(featurestore.publication) IS 'internal: SQL for a key that cannot be published';

/*
 * The statement of a sync, which makes online_table equal to "wanted".  $1 is
 * its clock.  rows is a list of common table expressions, among them wanted,
 * with these columns, and report, at most one row, which is given along with
 * the number of rows changed, as one object.  If report says is_bad nothing is written.
 *
 * Rows are compared by their binary images: this works for types that have no
 * equality, and carries over changes that equality does not see, as from 1.0
 * to 1.00.  Rows that are the same are neither written nor locked.  Deletes go
 * first, so that a value of another unique index can pass from row to row.
 * Where columns are only some of the table's, rows that are not wanted stay, as
 * do those, called online, that do not meet scope.
 */
CREATE FUNCTION featurestore._merge_statement(online_table regclass, key text[], columns text[], rows text,
											  is_partial boolean DEFAULT false, scope text DEFAULT 'true') RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format($merge$WITH %1$s,
	gone AS (
		DELETE FROM %2$s AS online WHERE %10$s RETURNING 1),
	written AS (
		INSERT INTO %2$s (%4$s)
		SELECT %5$s FROM wanted LEFT JOIN %2$s AS online ON %3$s
		WHERE (SELECT count(*) FROM gone) >= 0 AND NOT EXISTS (SELECT FROM report WHERE is_bad)
			AND featurestore._count_progress()
			AND (online.ctid IS NULL OR ROW(%5$s)::record OPERATOR(pg_catalog.*<>) ROW(%6$s)::record)
		ORDER BY %7$s
		ON CONFLICT (%8$s) DO UPDATE SET (%4$s) = ROW(%9$s) RETURNING 1)
SELECT to_jsonb(result) FROM (SELECT changed.n AS rows_changed, report.* FROM (SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM written) AS n) AS changed LEFT JOIN report ON true) AS result$merge$,
	rows,
	online_table,
	featurestore._key_condition(online_table, key, 'wanted', 'online'),
	featurestore._column_list(columns),
	featurestore._column_list(columns, 'wanted'),
	featurestore._column_list(columns, 'online'),
	featurestore._column_list(key, 'wanted'),
	featurestore._column_list(key),
	featurestore._column_list(columns, 'excluded'),
	CASE WHEN is_partial THEN 'false'
		 ELSE format('%s AND NOT EXISTS (SELECT FROM wanted WHERE %s)', scope, featurestore._key_condition(online_table, key, 'wanted', 'online')) END)
$$;
COMMENT ON FUNCTION featurestore._merge_statement(regclass, text[], text[], text, boolean, text) IS 'internal: SQL that makes an online table equal to what it should hold';

/* Query for the candidates to publish: of a time series the newest of each key. */
CREATE FUNCTION featurestore._newest_candidates(publication featurestore.publication) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE WHEN publication.timeseries_column IS NULL THEN 'SELECT * FROM candidate'
			ELSE format('SELECT DISTINCT ON (%1$s) * FROM candidate ORDER BY %1$s, %2$I DESC',
						featurestore._column_list(publication.primary_key), publication.timeseries_column) END
$$;
COMMENT ON FUNCTION featurestore._newest_candidates(featurestore.publication) IS 'internal: SQL for the candidates to publish';

/*
 * What _merge_statement takes as rows for a publication.  Its report is a key
 * that cannot be published.
 */
CREATE FUNCTION featurestore._published_rows(publication featurestore.publication) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('candidate AS (%s),
	report AS MATERIALIZED (SELECT key, has_null, true AS is_bad FROM (%s) AS bad),
	wanted AS MATERIALIZED (%s)',
	featurestore._candidate_query(publication),
	featurestore._bad_key_query(publication),
	featurestore._newest_candidates(publication))
$$;
COMMENT ON FUNCTION featurestore._published_rows(featurestore.publication) IS 'internal: SQL for the rows that a published table should hold';

/*
 * Runs statements, each with the clock as $1 and giving one jsonb, all under
 * one snapshot; gives what they gave.  sees_latest: it sees all that is
 * committed, even if the transaction keeps an older one.
 */
CREATE FUNCTION featurestore._merge_together(statements text[], clock timestamptz, sees_latest boolean DEFAULT false) RETURNS jsonb[]
	AS 'MODULE_PATHNAME', 'merge_together' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._merge_together(text[], timestamptz, boolean) IS 'internal: runs statements under one snapshot';

/* The statements that merge the source of a publication into its online table. */
CREATE FUNCTION featurestore._source_merge(publication featurestore.publication) RETURNS text[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._merge_statement(publication.relation, publication.primary_key, featurestore._published_columns(publication),
									 featurestore._published_rows(publication))
	|| CASE WHEN publication.timeseries_column IS NULL OR publication.publish_mode = 'SNAPSHOT' THEN '{}'
			ELSE ARRAY[format('SELECT jsonb_build_object(''later'', (%s))', featurestore._later_rows(publication, 'true'))] END
$$;
COMMENT ON FUNCTION featurestore._source_merge(featurestore.publication) IS 'internal: SQL that makes a published table equal to its source';

/* Raises 23502 or 21000 if a merge, whose result is given, met a key that cannot be published. */
CREATE FUNCTION featurestore._check_merged(publication featurestore.publication, result jsonb) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	key text := array_to_string(publication.primary_key || publication.timeseries_column, ', ');
BEGIN
	IF (result->>'has_null')::boolean THEN
		RAISE EXCEPTION USING ERRCODE = 'not_null_violation',
			MESSAGE = format('null value in key of source %s', publication.source),
			DETAIL = format('There is a row with key (%s)=%s.', key, result->>'key');
	ELSIF result->>'key' IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'cardinality_violation',
			MESSAGE = format('duplicate key in source %s', publication.source),
			DETAIL = format('There is more than one row with key (%s)=%s.', key, result->>'key');
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_merged(featurestore.publication, jsonb) IS 'internal: raises an error if a merge met a bad key';
