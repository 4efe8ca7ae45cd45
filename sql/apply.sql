/*
 * Apply: the statements that carry a batch of staged changes to an online
 * table.
 *
 * A batch is what the snapshot of a run sees of the staging tables and the
 * position of the publication does not.  Per key only the newest change counts.
 * Where the changes alone do not tell what a key should hold, it is computed
 * anew from the source, under the same snapshot.
 *
 * All statements have $1, the clock.  Those that read staged changes have $2 to
 * $4, the position; $5, the numbers of changes that are rejected; and $6, those
 * of the only changes to apply, or NULL for all.  Each gives one object.
 */

/*
 * Raises an error of a row: its SQLSTATE is of class 22 or 23, so that the row
 * is rejected.
 */
CREATE FUNCTION featurestore._reject_row(sqlstate text, message text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = sqlstate, MESSAGE = message;
END
$$;
COMMENT ON FUNCTION featurestore._reject_row(text, text) IS 'internal: raises an error for which a row is rejected';

/* The bytes of a value, the same for equal bytes only. */
CREATE FUNCTION featurestore._image(value anyelement) RETURNS bytea
	AS 'MODULE_PATHNAME', 'value_bytes' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._image(anyelement) IS 'internal: the bytes of a value';

/*
 * Is a staged change, by its transaction and number, not part of a position?
 * The position is taken to be the same for all rows of a statement.
 */
CREATE FUNCTION featurestore._is_after(xid xid8, sequence bigint, snapshot pg_snapshot, own_xid xid8, own_sequence bigint) RETURNS boolean
	AS 'MODULE_PATHNAME', 'is_after_position' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._is_after(xid8, bigint, pg_snapshot, xid8, bigint) IS 'internal: whether a change is not part of a position';

/*
 * The kind of a change: 1 leaves a row, 2 removes one, 4 empties the source, 8 a
 * partition of it, 16 is unknown.
 */
CREATE FUNCTION featurestore._change_kind(change_type text) RETURNS int
	AS 'MODULE_PATHNAME', 'change_kind' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._change_kind(text) IS 'internal: the kind of a change';

/* The same, which is counted: what a statement has read of a batch is known when it ends. */
CREATE FUNCTION featurestore._note_change(change_type text) RETURNS int
	AS 'MODULE_PATHNAME', 'note_change' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._note_change(text) IS 'internal: the kind of a change, counted';

/* Have two values, or NULLs, different bytes? */
CREATE FUNCTION featurestore._differ(a anyelement, b anyelement) RETURNS boolean
	AS 'MODULE_PATHNAME', 'values_differ' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._differ(anyelement, anyelement) IS 'internal: whether two values have different bytes';

/*
 * Condition that columns of rows a and b differ in their bytes.  Columns whose
 * types have an equality that means this are looked at first, by that.
 */
CREATE FUNCTION featurestore._rows_differ(relation regclass, columns text[], a text, b text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT coalesce(string_agg(format(CASE WHEN is_plain THEN '%1$I.%2$I IS DISTINCT FROM %3$I.%2$I' ELSE 'featurestore._differ(%1$I.%2$I, %3$I.%2$I)' END, a, name, b),
						   ' OR ' ORDER BY is_plain DESC, n), 'false')
FROM (SELECT e.name, e.n, c.type_oid = ANY ('{int2,int4,int8,bool,oid,date,timestamp,timestamptz,uuid}'::regtype[]) AS is_plain
	  FROM unnest(columns) WITH ORDINALITY AS e(name, n) JOIN featurestore._columns(relation) AS c USING (name)) AS p
$$;
COMMENT ON FUNCTION featurestore._rows_differ(regclass, text[], text, text) IS 'internal: SQL that tells whether rows differ';

/* The staging table that has the changes for a publication: of its source, or of external writers; NULL if none. */
CREATE FUNCTION featurestore._staging_of(publication featurestore.publication, source regclass) RETURNS regclass
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT s.relation FROM featurestore.staging s
	WHERE s.captured_source = source OR (s.online_table = publication.relation AND s.relation = source));
END
$$;
COMMENT ON FUNCTION featurestore._staging_of(featurestore.publication, regclass) IS 'internal: the staging table with the changes for a publication';

/* Is a table fed by external writers, through a staging table, rather than from a source? */
CREATE FUNCTION featurestore._is_external(publication featurestore.publication) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT EXISTS (SELECT FROM featurestore.staging s WHERE s.online_table = publication.relation AND s.relation = publication.source));
END
$$;
COMMENT ON FUNCTION featurestore._is_external(featurestore.publication) IS 'internal: whether external writers feed a table';

/*
 * Can the changes for a publication be read?  The staging table of a source
 * belongs to the owner of that, who may have altered it: a cast from a type of
 * his would run with the rights of the owner of the online table.  So its
 * columns must be as they were made; it is locked, and stays so.  Raises 55000
 * if the staging table of external writers has another owner than the online
 * table.
 */
CREATE FUNCTION featurestore._can_read_staged(publication featurestore.publication) RETURNS boolean
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	source regclass;
	staging regclass;
	is_as_made boolean;
BEGIN
	IF featurestore._known_shape(publication.relation, 2) IS NOT NULL THEN
		RETURN true;
	END IF;
	IF featurestore._is_external(publication)
		AND (SELECT count(DISTINCT relowner) > 1 FROM pg_class WHERE oid IN (publication.source, publication.relation)) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('table %s and its staging table %s have different owners', publication.relation, publication.source),
			HINT = 'Give both to one role: ALTER TABLE ... OWNER TO ...';
	END IF;
	FOR source IN SELECT featurestore._captured_sources(publication.relation) LOOP
		staging := featurestore._staging_of(publication, source);
		IF NOT coalesce(featurestore._is_staging(staging) AND featurestore._has_columns(staging, source), false) THEN
			RETURN false;
		END IF;
		/* once more, as the parser sees it, whose view may be newer than that of our snapshot */
		EXECUTE format('SELECT %s FROM (SELECT) AS one LEFT JOIN %s AS staged ON false',
			(SELECT string_agg(format('pg_typeof(staged.%I) = %L::oid', c.name, c.type::oid), ' AND ')
			 FROM (SELECT attname::text, atttypid::regtype FROM featurestore._staged_columns(source, true)
				   UNION ALL SELECT * FROM featurestore._metadata_types()) AS c(name, type)), staging)
		INTO is_as_made;
		IF NOT is_as_made THEN
			RETURN false;
		END IF;
	END LOOP;
	PERFORM featurestore._keep_shape(publication.relation, 2, featurestore._shape_relations(publication.relation), 'true');
	RETURN true;
END
$$;
COMMENT ON FUNCTION featurestore._can_read_staged(featurestore.publication) IS 'internal: whether staging tables are what they should be';

/* Condition that a staged row, alias source, is in a batch after the position $2 to $4. */
CREATE FUNCTION featurestore._is_staged() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT 'featurestore._is_after(source._xid, source._sequence, $2, $3, $4)'
$$;
COMMENT ON FUNCTION featurestore._is_staged() IS 'internal: SQL that tells what is in a batch';

/*
 * The same, for those changes that count, which purges of partitions do not.
 * in_quarantine: and that the change is not rejected and among those to apply.
 */
CREATE FUNCTION featurestore._is_in_batch(has_purges boolean, in_quarantine boolean) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._is_staged()
	|| CASE WHEN has_purges THEN ' AND featurestore._change_kind(source._change_type) <> 8' ELSE '' END
	|| CASE WHEN in_quarantine THEN ' AND source._sequence <> ALL ($5) AND ($6 IS NULL OR source._sequence = ANY ($6))' ELSE '' END
$$;
COMMENT ON FUNCTION featurestore._is_in_batch(boolean, boolean) IS 'internal: SQL that tells what of a batch is to be applied';

/*
 * Expression that is true for a staged row, alias source, whose row is to be
 * there, and false for one to be gone, or a truncation, which only our trigger
 * stages.  It rejects NULL keys and unknown kinds of changes.  condition is what
 * rows of the source have to meet.
 */
CREATE FUNCTION featurestore._is_put(key text[], condition text, is_external boolean) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format('CASE featurestore._note_change(source._change_type) WHEN 1 THEN CASE WHEN %1$s THEN %2$s ELSE (%3$s) IS TRUE END'
			  ' WHEN 2 THEN CASE WHEN %1$s THEN %2$s ELSE false END %4$s'
			  ' ELSE featurestore._reject_row(''22023'', format(''unknown change type "%%s"'', source._change_type)) END',
			  /* not IS NULL, which is true for a row of NULLs */
			  CASE WHEN key = '{}' THEN 'false' ELSE format('num_nulls(%s) > 0', featurestore._column_list(key, 'source')) END,
			  format('featurestore._reject_row(''23502'', %L)', format('null value in key (%s)', array_to_string(key, ', '))), condition,
			  CASE WHEN is_external THEN '' ELSE 'WHEN 4 THEN false WHEN 8 THEN false' END)
$$;
COMMENT ON FUNCTION featurestore._is_put(text[], text, boolean) IS 'internal: SQL that tells whether a change leaves a row';

/* Type of the timeseries column of a publication; NULL without one. */
CREATE FUNCTION featurestore._timeseries_type(publication featurestore.publication) RETURNS regtype
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = publication.source AND attname = publication.timeseries_column $$;
COMMENT ON FUNCTION featurestore._timeseries_type(featurestore.publication) IS 'internal: type of a timeseries column';

/* Time of a row, called alias, as timestamptz; a date counts from its midnight in UTC, one beyond the range of timestamptz never comes. */
CREATE FUNCTION featurestore._time_of(publication featurestore.publication, alias text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format(CASE featurestore._timeseries_type(publication)
				  WHEN 'date'::regtype THEN 'CASE WHEN %1$I.%2$I < date ''294276-01-01'' THEN %1$I.%2$I::timestamp AT TIME ZONE ''UTC'' ELSE timestamptz ''infinity'' END'
				  ELSE '%I.%I' END, alias, publication.timeseries_column)
$$;
COMMENT ON FUNCTION featurestore._time_of(featurestore.publication, text) IS 'internal: SQL for the time of a row';

/* Condition that a staged row, alias source, is a purge: the delete of a row that the source need not keep any longer. */
CREATE FUNCTION featurestore._is_purge(retention interval, "time" text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE WHEN retention IS NULL THEN 'false'
			ELSE format('(source._change_type = ''delete'' AND %s < $1 - %L::interval) IS TRUE', "time", retention) END
$$;
COMMENT ON FUNCTION featurestore._is_purge(interval, text) IS 'internal: SQL that tells a purge';

/* Columns of a publication that identify a row of its source. */
CREATE FUNCTION featurestore._row_key(publication featurestore.publication) RETURNS text[]
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT publication.primary_key || array_remove(ARRAY[publication.timeseries_column], NULL) $$;
COMMENT ON FUNCTION featurestore._row_key(featurestore.publication) IS 'internal: the columns that identify a row of a source';

/* Key columns of alias as an object, for keys that are passed from statement to statement. */
CREATE FUNCTION featurestore._key_object(key text[], alias text) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format('jsonb_build_object(%s)', string_agg(format('%L, %I.%I', name, alias, name), ', ' ORDER BY n))
FROM unnest(key) WITH ORDINALITY AS k(name, n)
$$;
COMMENT ON FUNCTION featurestore._key_object(text[], text) IS 'internal: SQL for a key as an object';

/*
 * Query for the changes of a batch, newest of each row only: columns, _is_put,
 * and _is_due unless their time is yet to come.  source is the staging table, or
 * the name of something with its rows; condition what is of the batch.
 */
CREATE FUNCTION featurestore._latest_changes(publication featurestore.publication, source text, condition text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('SELECT DISTINCT ON (%1$s) %2$s, _is_put%3$s FROM (SELECT %4$s, source._commit_version, source._sequence, %5$s AS _is_put FROM %6$s AS source WHERE %7$s) AS change'
			  ' ORDER BY %1$s, _commit_version DESC NULLS LAST, _sequence DESC',
	featurestore._column_list(row_key),
	featurestore._column_list(featurestore._published_columns(publication)),
	CASE WHEN "time" IS NULL THEN '' ELSE format(', %s <= $1 AS _is_due', featurestore._time_of(publication, 'change')) END,
	featurestore._column_list(featurestore._published_columns(publication), 'source'),
	/* keys of a source that is captured are not NULL */
	featurestore._is_put(CASE WHEN is_external THEN row_key ELSE '{}' END, coalesce(publication.filter, 'true'), is_external),
	source, condition || CASE WHEN publication.source_retention IS NULL THEN '' ELSE ' AND NOT ' || featurestore._is_purge(publication.source_retention, "time") END)
FROM (SELECT featurestore._row_key(publication),
		CASE WHEN publication.timeseries_column IS NOT NULL THEN featurestore._time_of(publication, 'source') END,
		featurestore._is_external(publication)) AS p(row_key, "time", is_external)
$$;
COMMENT ON FUNCTION featurestore._latest_changes(featurestore.publication, text, text) IS 'internal: SQL for the newest change of each row in a batch';

/*
 * The statement that applies a batch to a published table.  Of a time series
 * the newest row that is due counts: rows older than the one there change
 * nothing, and if it goes without a newer one in the batch the key is for
 * rebuild.  A table that external writers feed has no source to fall back to.
 * Rows are written in the order of their keys, which latest has.
 *
 * own: the name of own changes, which are read rather than a staging table.
 * Their rows are locked, but for those that are not there; so only a row that
 * they have made is for rebuild, and not one that somebody else makes meanwhile.
 */
CREATE FUNCTION featurestore._apply_statement(publication featurestore.publication, condition text, own text DEFAULT NULL) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format($apply$WITH latest AS MATERIALIZED (%1$s),
	%2$s,
	removed AS (
		DELETE FROM %3$s AS online USING gone WHERE %4$s RETURNING 1),
	written AS (
		INSERT INTO %3$s AS online (%5$s)
		SELECT %5$s FROM newest WHERE (SELECT count(*) FROM removed) >= 0
		ON CONFLICT (%6$s) DO UPDATE SET (%5$s) = ROW(%7$s)
		WHERE (%8$s)%9$s RETURNING 1)
SELECT to_jsonb(result) FROM (SELECT (SELECT count(*) FROM removed) + (SELECT count(*) FROM written) AS rows_changed, %10$s) AS result$apply$,
	featurestore._latest_changes(publication, coalesce(own, featurestore._staging_of(publication, publication.source)::text), condition),
	CASE WHEN ts IS NULL THEN 'newest AS (SELECT * FROM latest WHERE _is_put), gone AS (SELECT * FROM latest WHERE NOT _is_put)'
		 ELSE format($series$newest AS MATERIALIZED (SELECT DISTINCT ON (%1$s) * FROM latest WHERE _is_put AND _is_due ORDER BY %1$s, %2$I DESC),
	ended AS MATERIALIZED (
		SELECT %3$s, ended.%2$I FROM %8$s AS ended
		JOIN %4$s AS online ON %5$s AND online.%2$I %9$s ended.%2$I
		WHERE NOT EXISTS (SELECT FROM newest WHERE %6$s AND newest.%2$I > ended.%2$I)),
	gone AS (SELECT * FROM ended%7$s)$series$,
			featurestore._column_list(publication.primary_key), ts, featurestore._column_list(publication.primary_key, 'ended'), publication.relation,
			featurestore._key_condition(publication.relation, publication.primary_key, 'ended', 'online'),
			featurestore._key_condition(publication.relation, publication.primary_key, 'newest', 'ended'),
			CASE WHEN featurestore._is_external(publication) THEN '' ELSE ' WHERE false' END,
			CASE WHEN own IS NULL THEN format('(SELECT %1$s, max(%2$I) AS %2$I FROM latest WHERE NOT _is_put AND _is_due GROUP BY %1$s)', featurestore._column_list(publication.primary_key), ts)
				 ELSE '(SELECT * FROM latest WHERE NOT _is_put AND _is_due)' END,
			CASE WHEN own IS NULL THEN '<=' ELSE '=' END) END,
	publication.relation,
	featurestore._key_condition(publication.relation, publication.primary_key, 'gone', 'online'),
	featurestore._column_list(columns),
	featurestore._column_list(publication.primary_key),
	featurestore._column_list(columns, 'excluded'),
	featurestore._rows_differ(publication.relation, columns, 'online', 'excluded'),
	CASE WHEN ts IS NULL THEN '' ELSE format(' AND online.%1$I <= excluded.%1$I', ts) END,
	CASE WHEN ts IS NULL THEN 'NULL::jsonb AS rebuild, NULL::jsonb AS later'
		 ELSE format('%s AS rebuild, (SELECT jsonb_agg(jsonb_build_object(''key'', key, ''due'', due)) FROM (SELECT %s AS key, min(%s) AS due FROM latest WHERE _is_put AND NOT _is_due GROUP BY 1) AS later) AS later',
			CASE WHEN featurestore._is_external(publication) THEN 'NULL::jsonb'
				 ELSE format('(SELECT jsonb_agg(%s) FROM ended)', featurestore._key_object(publication.primary_key, 'ended')) END,
			featurestore._key_object(publication.primary_key, 'latest'), featurestore._time_of(publication, 'latest')) END)
FROM (SELECT publication.timeseries_column, featurestore._published_columns(publication)) AS p(ts, columns)
$$;
COMMENT ON FUNCTION featurestore._apply_statement(featurestore.publication, text, text) IS 'internal: SQL that applies a batch to a published table';

/*
 * The same for a batch that has nothing but rows to be there, of a publication
 * without time column and filter: it needs to be read once only.
 */
CREATE FUNCTION featurestore._add_statement(publication featurestore.publication, condition text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format($add$WITH written AS (
		INSERT INTO %1$s AS online (%2$s) SELECT %2$s FROM (%3$s) AS latest WHERE _is_put
		ON CONFLICT (%4$s) DO UPDATE SET (%2$s) = ROW(%5$s) WHERE %6$s RETURNING 1)
SELECT jsonb_build_object('rows_changed', (SELECT count(*) FROM written))$add$,
	publication.relation, featurestore._column_list(columns),
	featurestore._latest_changes(publication, featurestore._staging_of(publication, publication.source)::text, condition),
	featurestore._column_list(publication.primary_key), featurestore._column_list(columns, 'excluded'),
	featurestore._rows_differ(publication.relation, columns, 'online', 'excluded'))
FROM featurestore._published_columns(publication) AS columns
$$;
COMMENT ON FUNCTION featurestore._add_statement(featurestore.publication, text) IS 'internal: SQL that applies a batch that only adds';

/*
 * Query for the first row dated later than the clock of each key of rows of
 * the source: when the key is to be looked at again.  scope is a further
 * condition on the row, alias source.
 */
CREATE FUNCTION featurestore._later_rows(publication featurestore.publication, scope text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('SELECT jsonb_agg(jsonb_build_object(''key'', key, ''due'', due)) FROM (SELECT %1$s AS key, min(%2$s) AS due FROM (SELECT source.* FROM %3$s AS source WHERE %5$s OFFSET 0) AS source WHERE %2$s > $1 AND (%4$s) GROUP BY 1) AS later',
			  featurestore._key_object(publication.primary_key, 'source'), featurestore._time_of(publication, 'source'), publication.source,
			  coalesce(publication.filter, 'true'), scope)
$$;
COMMENT ON FUNCTION featurestore._later_rows(featurestore.publication, text) IS 'internal: SQL for rows that are not due yet';

/* Definitions of columns of a relation, as the list behind a function in FROM has them. */
CREATE FUNCTION featurestore._column_definitions(relation regclass, columns text[]) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT string_agg(concat_ws(' ', quote_ident(c.name), format_type(c.type_oid, -1), 'COLLATE ' || c.coll), ', ' ORDER BY e.n)
FROM unnest(columns) WITH ORDINALITY AS e(name, n) JOIN featurestore._columns(relation) AS c USING (name)
$$;
COMMENT ON FUNCTION featurestore._column_definitions(regclass, text[]) IS 'internal: definitions of columns';

/* Common table expression with the keys, columns of relation, that $2 has as an array of objects. */
CREATE FUNCTION featurestore._wanted_keys(relation regclass, key text[]) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('wanted_key AS MATERIALIZED (SELECT DISTINCT %s FROM jsonb_to_recordset($2) AS k(%s))',
			  featurestore._column_list(key), featurestore._column_definitions(relation, key))
$$;
COMMENT ON FUNCTION featurestore._wanted_keys(regclass, text[]) IS 'internal: SQL for keys that are given as objects';

/*
 * The statement that makes the rows of a published table equal to the source
 * where in_source and in_table hold, conditions on rows called source and
 * online; keys is a further common table expression, with a comma, or empty.
 */
CREATE FUNCTION featurestore._part_statement(publication featurestore.publication, keys text, in_source text, in_table text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._merge_statement(publication.relation, publication.primary_key, featurestore._published_columns(publication),
	format('%s report AS MATERIALIZED (SELECT (%s) AS later, false AS is_bad), candidate AS (%s), wanted AS MATERIALIZED (%s)',
		   keys, CASE WHEN publication.timeseries_column IS NULL THEN 'NULL::jsonb' ELSE featurestore._later_rows(publication, in_source) END,
		   featurestore._candidate_query(publication, in_source), featurestore._newest_candidates(publication)), false, in_table)
$$;
COMMENT ON FUNCTION featurestore._part_statement(featurestore.publication, text, text, text) IS 'internal: SQL that makes part of a published table equal to its source';

/* The same for the keys in $2. */
CREATE FUNCTION featurestore._rebuild_statement(publication featurestore.publication) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._part_statement(publication, featurestore._wanted_keys(publication.relation, publication.primary_key) || ',',
	format('EXISTS (SELECT FROM wanted_key WHERE %s)', featurestore._key_condition(publication.relation, publication.primary_key, 'wanted_key', 'source')),
	format('EXISTS (SELECT FROM wanted_key WHERE %s)', featurestore._key_condition(publication.relation, publication.primary_key, 'wanted_key', 'online')))
$$;
COMMENT ON FUNCTION featurestore._rebuild_statement(featurestore.publication) IS 'internal: SQL that makes keys of a published table equal to its source';

/*
 * Query over changes, rows called slice of a staging table, that fails if one
 * of them cannot be in the online table: its filter, or a constraint of the
 * table that can be checked without writing.
 */
CREATE FUNCTION featurestore._check_query(publication featurestore.publication) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format('SELECT to_jsonb(count(CASE WHEN NOT _is_put THEN true %s ELSE true END)) FROM (%s) AS latest',
	(SELECT string_agg(format('WHEN %s THEN featurestore._reject_row(%L, %L)', condition, code, message), ' ' ORDER BY code, message)
	 FROM (SELECT format('num_nulls(%I) > 0', attname), '23502', format('null value in column "%s" of relation "%s" violates not-null constraint', attname, name)
		   FROM pg_attribute WHERE attrelid = publication.relation AND attnotnull AND attname = ANY (columns)
		   UNION ALL
		   SELECT format('(%s) IS FALSE', pg_get_expr(conbin, conrelid)), '23514', format('new row for relation "%s" violates check constraint "%s"', name, conname)
		   FROM pg_constraint WHERE conrelid = publication.relation AND contype = 'c'
				AND conkey <@ ARRAY(SELECT attnum FROM pg_attribute WHERE attrelid = publication.relation AND attname = ANY (columns))) AS c(condition, code, message)),
	featurestore._latest_changes(publication, 'slice', 'true'))
FROM (SELECT featurestore._published_columns(publication), featurestore._bare_name(publication.relation)) AS p(columns, name)
$$;
COMMENT ON FUNCTION featurestore._check_query(featurestore.publication) IS 'internal: SQL that fails for changes that cannot be applied';

/*
 * What it takes to find changes of a staging table that cannot be applied:
 * rows, the changes of a batch, which meet
 * condition; check, which fails for bad ones among rows
 * called slice; groups, the numbers of the changes of each key; rejected,
 * what is kept of the changes whose numbers, SQLSTATEs and messages are $1 to $3.
 */
CREATE FUNCTION featurestore._quarantine_queries(staging regclass, key text[], condition text, check_query text) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT jsonb_build_object('staging', staging::oid::text, 'check', check_query,
	'rows', format('SELECT source.* FROM %s AS source WHERE %s ORDER BY source._sequence', staging, condition),
	'groups', format('SELECT coalesce(jsonb_agg(numbers), ''[]'') FROM (SELECT array_agg(source._sequence ORDER BY source._sequence) AS numbers FROM %s AS source WHERE %s GROUP BY %s ORDER BY %3$s) AS g',
					 staging, condition, featurestore._column_list(key, 'source')),
	'rejected', format('SELECT jsonb_build_object(''rejected'', jsonb_agg(jsonb_build_object(''sequence'', r.n, ''sqlstate'', r.code, ''message'', r.message, ''change'', to_jsonb(source.*)) ORDER BY r.n))'
					   ' FROM unnest($1, $2, $3) AS r(n, code, message) JOIN %s AS source ON source._sequence = r.n', staging))
$$;
COMMENT ON FUNCTION featurestore._quarantine_queries(regclass, text[], text, text) IS 'internal: SQL that finds changes that cannot be applied';

/*
 * What a run looks at first, all under its snapshot: the snapshot itself,
 * whether the sources still look as in $5, and which kinds of changes tell that
 * the source must be looked at anew.
 */
CREATE FUNCTION featurestore._settle_statement(publication featurestore.publication) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format($settle$SELECT to_jsonb(result) FROM (
	SELECT pg_current_snapshot()::text AS snapshot, shape AS fingerprint, featurestore._is_same_shape($5, shape, %1$L) AS is_same, %2$s AS truncations
	/* offset: once, not where it is used */
	FROM (SELECT featurestore._fingerprints(%3$L::regclass) OFFSET 0) AS f(shape)) AS result$settle$,
	publication.source_retention IS NOT NULL,
	CASE WHEN featurestore._is_external(publication) THEN 0 WHEN publication.source_retention IS NULL THEN 12 ELSE 4 END, publication.relation::oid)
$$;
COMMENT ON FUNCTION featurestore._settle_statement(featurestore.publication) IS 'internal: SQL for what a run looks at first';

/*
 * All that it takes to apply a batch to a published table: settle; add for
 * batches that only add, apply for others; rebuild; and what is needed when a
 * change cannot be applied, among it quarantine, which is apply but for what is
 * rejected.  scope restricts the changes, rows called source.
 */
CREATE FUNCTION featurestore._source_program(publication featurestore.publication, scope text) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE WHEN is_merged THEN featurestore._merged_program(publication, scope) ELSE jsonb_build_object('settle', featurestore._settle_statement(publication),
	'add', CASE WHEN publication.timeseries_column IS NULL AND publication.filter IS NULL THEN featurestore._add_statement(publication, condition) ELSE apply END,
	'apply', apply, 'quarantine', featurestore._apply_statement(publication, in_quarantine || ' AND ' || scope),
	'rebuild', CASE WHEN NOT featurestore._is_external(publication) THEN featurestore._rebuild_statement(publication) END,
	'sources', jsonb_build_array(featurestore._quarantine_queries(staging, publication.primary_key, in_quarantine, featurestore._check_query(publication)))) END
FROM (SELECT featurestore._is_external(publication) AND featurestore._is_merged(publication.relation)) AS m(is_merged),
	featurestore._staging_of(publication, publication.source) AS staging,
	featurestore._is_in_batch(publication.source_retention IS NOT NULL, true) AS in_quarantine,
	concat(featurestore._is_in_batch(publication.source_retention IS NOT NULL, false), ' AND ', scope) AS condition,
	featurestore._apply_statement(publication, condition) AS apply
$$;
COMMENT ON FUNCTION featurestore._source_program(featurestore.publication, text) IS 'internal: all statements that apply a batch to a published table';

/*
 * Raises an error unless the statements of a publication can be planned: 42703
 * for expressions that read what is not staged, as system columns, whole rows
 * and virtual columns of the source.
 */
CREATE FUNCTION featurestore._check_program(publication featurestore.publication) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET jit = off
	AS $$
BEGIN
	EXECUTE 'EXPLAIN ' || (featurestore._batch_program(publication, 'true') ->> 'apply')
	USING now(), NULL::pg_snapshot, NULL::xid8, NULL::bigint, NULL::bigint[], NULL::bigint[];
END
$$;
COMMENT ON FUNCTION featurestore._check_program(featurestore.publication) IS 'internal: raises an error unless the statements of a publication can be planned';
