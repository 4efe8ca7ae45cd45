/*
 * Publishing: standing orders that keep an online table in step with its
 * source.
 *
 * A sync applies the changes of the source that were captured since the last one
 * (see apply), or in SNAPSHOT mode compares the whole source with the online
 * table (see merge).  The online table is an ordinary table of the caller and
 * stays the same one: its indexes, grants, views and readers never notice.
 */

/*
 * Gives filter, a condition over one row of source, in the form that is
 * stored: names qualified, constants spelled out, columns prefixed "source".
 * Names in filter are resolved as the caller's search path says.  Raises 42804
 * unless it is boolean, 0A000 for subqueries, 42803 for aggregates, 42P20 for
 * window functions and 42P17 for functions that are not IMMUTABLE.
 */
CREATE FUNCTION featurestore._canonical_filter(source regclass, filter text) RETURNS text
	AS 'MODULE_PATHNAME', 'canonical_filter' LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._canonical_filter(regclass, text) IS 'internal: a filter in a form that means the same in any session';

/*
 * How rows of type are grouped: its equality operator, as a statement writes it
 * where "=" would mean what the search path says; NULL if it has none.
 */
CREATE FUNCTION featurestore._equality(type regtype) RETURNS text
	AS 'MODULE_PATHNAME', 'equality_operator' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._equality(regtype) IS 'internal: the equality operator of a type';

/*
 * Progress of a fill, as the view progress shows it: begins a phase, which will
 * handle total rows (-1: not known); phase 0 ends the report.
 */
CREATE FUNCTION featurestore._report_progress(online_table regclass, has_windows boolean, phase int, total bigint) RETURNS void
	AS 'MODULE_PATHNAME', 'report_progress' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._report_progress(regclass, boolean, int, bigint) IS 'internal: says what phase a fill is in';

/* Counts one row as done in this phase; always true. */
CREATE FUNCTION featurestore._count_progress() RETURNS boolean
	AS 'MODULE_PATHNAME', 'count_progress' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore._count_progress() IS 'internal: counts a row in the progress of a fill';

/* Long work that is running in this database, of that the caller may see. */
CREATE FUNCTION featurestore._progress(OUT pid int, OUT relation regclass, OUT operation text, OUT phase text, OUT done bigint, OUT total bigint,
									   OUT started timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'running_progress' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore._progress() IS 'internal: long work that is running';

/*
 * A unique index that makes sure that no two rows of relation have equal
 * columns; NULL if there is none.  It compares as the columns do by default,
 * since that is how the primary key of an online table compares.
 */
CREATE FUNCTION featurestore._unique_index(relation regclass, columns text[]) RETURNS regclass
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT min(i.indexrelid)::regclass FROM pg_index i
WHERE i.indrelid = relation AND i.indisunique AND i.indimmediate AND i.indisvalid
	AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = cardinality(columns)
	AND columns <@ ARRAY(
		SELECT a.attname::text
		FROM unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[]) AS k(attnum, opclass, collation_oid)
		JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = k.attnum AND a.attcollation = k.collation_oid
		JOIN pg_opclass o ON o.oid = k.opclass AND o.opcdefault)
$$;
COMMENT ON FUNCTION featurestore._unique_index(regclass, text[]) IS 'internal: an index that keeps these columns unique';

/*
 * Raises an error unless source can be published from: 22004 for NULL, 42809
 * unless it is a table, view, materialized view or foreign table, and not a
 * temporary one.  argument is the name of the argument it was given in.
 */
CREATE FUNCTION featurestore._check_source(argument text, source regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF source IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
			MESSAGE = format('%s must not be null', argument);
	END IF;
	IF NOT EXISTS (SELECT FROM pg_class WHERE oid = source AND relkind IN ('r', 'p', 'v', 'm', 'f')
				   AND relpersistence <> 't') THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('%s cannot be a source', source),
			DETAIL = 'A source is a table, view, materialized view or foreign table that is not temporary.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_source(text, regclass) IS 'internal: raises an error unless the relation can be a source';

/*
 * Raises an error unless key identifies the rows of source: of a table its
 * columns must be NOT NULL and unique by an index.  Of other sources this is
 * checked by every sync.
 */
CREATE FUNCTION featurestore._check_key(source regclass, key text[]) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad text;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_class WHERE oid = source AND relkind IN ('r', 'p')) THEN
		RETURN;
	END IF;

	SELECT attname INTO bad FROM pg_attribute
	WHERE attrelid = source AND attname = ANY (key) AND NOT attnotnull ORDER BY attnum LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('key column "%s" of source %s can be null', bad, source),
			HINT = format('Make it NOT NULL: ALTER TABLE %s ALTER COLUMN %I SET NOT NULL.', source, bad);
	END IF;
	IF featurestore._unique_index(source, key) IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('source %s has no unique index on (%s)', source, array_to_string(key, ', ')),
			DETAIL = 'The index must be over exactly these columns, immediate, and without predicate.',
			HINT = 'Create the index, or give primary_key the columns that identify a row.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_key(regclass, text[]) IS 'internal: raises an error unless these columns identify the rows of the source';

/*
 * Columns that identify a row of source, the timeseries column last if there
 * is one: primary_key if given, else the primary key of source.
 */
CREATE FUNCTION featurestore._source_key(source regclass, primary_key text[], timeseries_column text) RETURNS text[]
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	key text[] := primary_key;
BEGIN
	IF key IS NULL THEN
		SELECT array_agg(a.attname::text ORDER BY k.n) INTO key
		FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n), pg_attribute a
		WHERE i.indrelid = source AND i.indisprimary AND k.n <= i.indnkeyatts
			AND a.attrelid = source AND a.attnum = k.attnum;
	END IF;
	IF key IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('source %s has no primary key', source),
			HINT = 'Give primary_key the columns that identify a row.';
	END IF;
	IF key = '{}' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'primary_key must not be empty';
	END IF;

	PERFORM featurestore._check_columns(source, 'primary_key', key);
	PERFORM featurestore._check_key(source, key);
	PERFORM featurestore._check_timeseries_column(source, timeseries_column);
	IF timeseries_column <> key[cardinality(key)] OR (timeseries_column IS NOT NULL AND cardinality(key) < 2) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('timeseries column "%s" must be the last of at least two key columns', timeseries_column),
			DETAIL = format('The key of source %s is (%s).', source, array_to_string(key, ', '));
	END IF;
	RETURN key;
END
$$;
COMMENT ON FUNCTION featurestore._source_key(regclass, text[], text) IS 'internal: the columns that identify a row of a source';

/*
 * Columns published besides key: features if given, else all others.  Raises
 * an error for unknown, repeated and key columns.
 */
CREATE FUNCTION featurestore._source_features(source regclass, key text[], features text[]) RETURNS text[]
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad text;
BEGIN
	IF features IS NULL THEN
		RETURN ARRAY(SELECT attname::text FROM pg_attribute
					 WHERE attrelid = source AND attnum > 0 AND NOT attisdropped AND attname <> ALL (key)
					 ORDER BY attnum);
	END IF;

	PERFORM featurestore._check_columns(source, 'features', features);
	SELECT name INTO bad FROM unnest(features) AS name WHERE name = ANY (key) LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('column "%s" is a key column', bad),
			HINT = 'Leave it out of features; key columns are always published.';
	END IF;
	RETURN ARRAY(SELECT unnest(features));
END
$$;
COMMENT ON FUNCTION featurestore._source_features(regclass, text[], text[]) IS 'internal: the columns a publication carries besides its key';

/*
 * Columns of the online table of a publication, in order.
 */
CREATE FUNCTION featurestore._published_columns(publication featurestore.publication) RETURNS text[]
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT publication.primary_key
	|| CASE WHEN publication.timeseries_column IS NULL THEN '{}' ELSE ARRAY[publication.timeseries_column] END
	|| publication.features
$$;
COMMENT ON FUNCTION featurestore._published_columns(featurestore.publication) IS 'internal: the columns of a published table';

/*
 * Gives columns as a list for a statement, each prefixed with the quoted
 * qualifier unless that is NULL.
 */
CREATE FUNCTION featurestore._column_list(columns text[], qualifier text DEFAULT NULL) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT string_agg(coalesce(quote_ident(qualifier) || '.', '') || quote_ident(name), ', ' ORDER BY n)
FROM unnest(columns) WITH ORDINALITY AS c(name, n)
$$;
COMMENT ON FUNCTION featurestore._column_list(text[], text) IS 'internal: a list of columns for a statement';

/* Gives the online table of a publication its primary key. */
CREATE FUNCTION featurestore._add_key(publication featurestore.publication) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (%s)', publication.relation,
				   featurestore._column_list(publication.primary_key));
	IF publication.timeseries_column IS NOT NULL THEN
		EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', publication.relation, publication.timeseries_column);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._add_key(featurestore.publication) IS 'internal: gives an online table its key';

/*
 * Creates the empty online table of a publication under name (schema and
 * name): types, type modifiers and collations are those of the source.  Room
 * is left on its pages for updates in place.
 */
CREATE FUNCTION featurestore._create_published_table(name text[], publication featurestore.publication) RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	qualified text := format('%I.%I', name[1], name[2]);
BEGIN
	EXECUTE format('CREATE TABLE %s WITH (fillfactor = 80) AS SELECT %s FROM %s WITH NO DATA', qualified,
				   featurestore._column_list(featurestore._published_columns(publication)), publication.source);
	publication.relation := qualified::regclass;
	PERFORM featurestore._add_key(publication);
	RETURN publication.relation;
END
$$;
COMMENT ON FUNCTION featurestore._create_published_table(text[], featurestore.publication) IS 'internal: creates the online table of a publication';

/*
 * Stores a publication and the time column and ttl of its online table, and
 * begins the history of that if there is to be one.
 */
CREATE FUNCTION featurestore._store_publication(publication featurestore.publication, ttl interval, history boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	relation jsonb := jsonb_build_object('relation', publication.relation::oid::text);
BEGIN
	PERFORM featurestore._store_definition('publication',
		to_jsonb(publication) || relation || jsonb_build_object('source', publication.source::oid::text));
	IF publication.timeseries_column IS NOT NULL THEN
		PERFORM featurestore._store_definition('online_table', relation || jsonb_build_object(
			'timeseries_column', publication.timeseries_column, 'ttl', ttl, 'merge', '{}'::jsonb, 'outputs', '{}'::jsonb, 'allow_duplicates', false));
	END IF;
	PERFORM featurestore._set_history(publication.relation, history);
END
$$;
COMMENT ON FUNCTION featurestore._store_publication(featurestore.publication, interval, boolean) IS 'internal: stores a publication';

/*
 * Raises 42P17 if source is online_table, or is itself published from it,
 * directly or through others.
 */
CREATE FUNCTION featurestore._check_cycle(source regclass, online_table regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF EXISTS (WITH RECURSIVE origin(relation) AS (
				   SELECT source
				   UNION
				   SELECT p.source
				   FROM origin JOIN (SELECT o.relation, o.source FROM featurestore.publication o
									 UNION ALL SELECT f.online_table, f.source FROM featurestore.feature f) AS p USING (relation))
			   SELECT FROM origin WHERE relation = online_table) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_object_definition',
			MESSAGE = format('cannot publish %s to %s', source, online_table),
			DETAIL = CASE WHEN source = online_table THEN 'Source and online table are the same table.'
					 ELSE 'The source is itself published from this table.' END;
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_cycle(regclass, regclass) IS 'internal: raises an error if a publication would feed itself';

/*
 * Raises an error unless the relation that a publication would create, and
 * that exists, is that publication already: 42P07 for any other relation,
 * 42501 unless the caller owns it, 42710 if its definition differs.
 */
CREATE FUNCTION featurestore._check_published(publication featurestore.publication, ttl interval, history boolean) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	online_table regclass := publication.relation;
	difference text;
BEGIN
	PERFORM featurestore._check_cycle(publication.source, online_table);
	SELECT coalesce(featurestore._difference(to_jsonb(p) - 'is_paused' || jsonb_build_object('ttl', o.ttl, 'history', o.history_table IS NOT NULL),
											 to_jsonb(publication) - 'is_paused' || jsonb_build_object('ttl', _check_published.ttl, 'history', coalesce(history, false))), '')
	INTO difference
	FROM featurestore.publication p LEFT JOIN featurestore.online_table o USING (relation)
	WHERE p.relation = online_table;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
			MESSAGE = format('relation %s already exists', online_table),
			DETAIL = 'It is not a published table.',
			HINT = 'Choose another name for the online table, or drop the relation first.';
	END IF;
	PERFORM featurestore._check_online_table(online_table);
	IF difference <> '' THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
			MESSAGE = format('table %s is published already, differently', online_table),
			DETAIL = difference,
			HINT = 'Drop the online table first, or choose another name.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_published(featurestore.publication, interval, boolean) IS 'internal: raises an error unless a relation is exactly this publication';

/*
 * Raises an error unless a sync can carry the columns of a publication, naming
 * the first one that it cannot: 42P01 for a dropped source, 42703 for a column
 * that source or online table no longer have, 42804 for one whose type is no
 * longer the same in both, 42501 unless the caller can read what it needs.
 */
CREATE FUNCTION featurestore._check_syncable(publication featurestore.publication) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	online_table regclass := publication.relation;
	bad record;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_class WHERE oid = publication.source) THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_table',
			MESSAGE = format('the source of %s has been dropped', online_table),
			HINT = 'Call unpublish_table to keep the table as it is.';
	END IF;
	IF featurestore._is_external(publication) AND featurestore._is_merged(online_table) THEN
		PERFORM featurestore._check_merge_staging(publication);
		RETURN;
	END IF;

	SELECT c.name, CASE WHEN s.attnum IS NULL THEN publication.source WHEN o.attnum IS NULL THEN online_table END AS lacking,
		format_type(s.atttypid, s.atttypmod) AS source_type, format_type(o.atttypid, o.atttypmod) AS online_type
	INTO bad
	FROM unnest(featurestore._published_columns(publication)) WITH ORDINALITY AS c(name, n)
	LEFT JOIN pg_attribute s ON s.attrelid = publication.source AND s.attname = c.name AND s.attnum > 0 AND NOT s.attisdropped
	LEFT JOIN pg_attribute o ON o.attrelid = online_table AND o.attname = c.name AND o.attnum > 0 AND NOT o.attisdropped
	WHERE (s.atttypid, s.atttypmod, s.attcollation) IS DISTINCT FROM (o.atttypid, o.atttypmod, o.attcollation)
		OR s.attnum IS NULL
	ORDER BY c.n LIMIT 1;
	IF bad.lacking IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column',
			MESSAGE = format('column "%s" of relation %s does not exist any more', bad.name, bad.lacking),
			DETAIL = format('Table %s is published with this column.', online_table),
			HINT = 'Restore the column, or drop the online table and publish it anew.';
	ELSIF bad.name IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
			MESSAGE = format('column "%s" has different types in source and online table', bad.name),
			DETAIL = format('It is of type %s in %s and of type %s in %s, or has another collation.',
							bad.source_type, publication.source, bad.online_type, online_table),
			HINT = format('Change one of them: ALTER TABLE ... ALTER COLUMN %I TYPE ...', bad.name);
	END IF;

	/* the server's own checks, on all that a sync reads; from here on the source keeps its indexes */
	EXECUTE format('SELECT FROM (%s) AS candidate WHERE false', featurestore._candidate_query(publication)) USING now();
END
$$;
COMMENT ON FUNCTION featurestore._check_syncable(featurestore.publication) IS 'internal: raises an error unless a sync can read the source and has where to put its columns';

/*
 * All publications.  A table that external writers feed through a staging table
 * counts as one of that table, by its first unique key.
 */
CREATE FUNCTION featurestore._publications() RETURNS SETOF featurestore.publication
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT * FROM featurestore.publication
	UNION ALL
	SELECT s.online_table, s.relation, 'TRIGGERED', k.key, CASE WHEN o.timeseries_column <> ALL (k.key) THEN o.timeseries_column END,
		ARRAY(SELECT c.name FROM featurestore._columns(s.online_table) AS c JOIN featurestore._columns(s.relation) AS t USING (name)
			  WHERE c.name <> ALL (k.key) AND c.name IS DISTINCT FROM o.timeseries_column ORDER BY c.attnum), NULL, NULL, false, NULL, NULL
	FROM featurestore.staging s LEFT JOIN featurestore.online_table o ON o.relation = s.online_table
	CROSS JOIN LATERAL (
		SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS u(attnum, n)
					 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum WHERE u.n <= i.indnkeyatts ORDER BY u.n) AS key
		FROM pg_index i WHERE i.indrelid = s.online_table AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
		ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) AS k
	WHERE s.online_table IS NOT NULL;
END
$$;
COMMENT ON FUNCTION featurestore._publications() IS 'internal: all publications';

/*
 * Raises 42704 unless online_table is published or fed by a staging table; gives
 * its publication.
 */
CREATE FUNCTION featurestore._publication(online_table regclass) RETURNS featurestore.publication
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	result featurestore.publication;
BEGIN
	SELECT * INTO result FROM featurestore.publication p WHERE p.relation = online_table;
	IF NOT FOUND THEN
		SELECT * INTO result FROM featurestore._publications() AS p WHERE p.relation = online_table;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object',
			MESSAGE = format('table %s is not published', online_table),
			HINT = 'Publish a source to an online table with publish_table, or features with materialize_features.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._publication(regclass) IS 'internal: the publication of an online table, or an error';

/* The same of what publish_table or materialize_features published; 42809 for a table that external writers feed. */
CREATE FUNCTION featurestore._declared_publication(online_table regclass) RETURNS featurestore.publication
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	result featurestore.publication := featurestore._publication(online_table);
BEGIN
	IF featurestore._is_external(result) THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('table %s is fed through staging table %s', online_table, result.source),
			HINT = 'Drop the staging table to end that.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._declared_publication(regclass) IS 'internal: the publication of an online table that was declared, or an error';

/* Does a table hold materialized features, rather than rows of one source? */
CREATE FUNCTION featurestore._has_windows(publication featurestore.publication) RETURNS boolean
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN publication.source IS NULL;
END
$$;
COMMENT ON FUNCTION featurestore._has_windows(featurestore.publication) IS 'internal: whether a table holds materialized features';

/* How far this cluster has brought online_table; NULL before its first fill. */
CREATE FUNCTION featurestore._position(online_table regclass) RETURNS featurestore.publication_position
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT p FROM featurestore.publication_position p
	WHERE p.relation = online_table AND p.system_identifier = (SELECT system_identifier FROM pg_control_system()));
END
$$;
COMMENT ON FUNCTION featurestore._position(regclass) IS 'internal: how far this cluster has brought a table';

/* Has this cluster filled online_table with all that it holds? */
CREATE FUNCTION featurestore._is_filled(online_table regclass) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	"position" featurestore.publication_position := featurestore._position(online_table);
BEGIN
	RETURN "position".relation IS NOT NULL AND featurestore._state_columns(online_table) <@ coalesce("position".filled, '{}');
END
$$;
COMMENT ON FUNCTION featurestore._is_filled(regclass) IS 'internal: whether the first fill of a table is done';

/* Raises 22023 unless there is such a publish mode. */
CREATE FUNCTION featurestore._check_publish_mode(publish_mode text) RETURNS void
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF publish_mode IS NULL OR publish_mode NOT IN ('SNAPSHOT', 'TRIGGERED', 'CONTINUOUS', 'SYNCHRONOUS') THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('unknown publish mode "%s"', coalesce(publish_mode, 'null')),
			HINT = 'Known publish modes: SNAPSHOT, TRIGGERED, CONTINUOUS, SYNCHRONOUS.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_publish_mode(text) IS 'internal: raises an error unless there is such a publish mode';

/*
 * Creates the online table of a publication under name (schema and name) with
 * all its rows at once, stores the publication and its position, and gives the
 * table.  It is filled before it has its key, which is faster than to merge into
 * an empty table.
 */
CREATE FUNCTION featurestore._publish_filled(name text[], publication featurestore.publication, ttl interval, history boolean) RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET row_security = off SET standard_conforming_strings = on
	/* as _run has them */
	SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET extra_float_digits = 1
	AS $$
DECLARE
	is_captured boolean := publication.publish_mode <> 'SNAPSHOT';
	started timestamptz := clock_timestamp();
	own_sequence bigint;
	clock timestamptz;
	results jsonb[];
BEGIN
	PERFORM featurestore._flush_captured();
	IF publication.publish_mode = 'SYNCHRONOUS' THEN
		EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', publication.source);
		PERFORM featurestore._announce_synchronous(publication.source);
	END IF;
	own_sequence := featurestore._own_sequence(publication);
	clock := featurestore._run_clock(publication);
	results := featurestore._merge_together(ARRAY[
		format('SELECT jsonb_build_object(''snapshot'', pg_current_snapshot()::text%s)',
			   CASE WHEN is_captured THEN format(', ''sources'', jsonb_build_object(%L, featurestore._fingerprint(%1$L::regclass))', publication.source::oid) ELSE '' END),
		format('CREATE TABLE %I.%I WITH (fillfactor = 80) AS WITH candidate AS (%s) %s', name[1], name[2],
			   featurestore._candidate_query(publication), featurestore._newest_candidates(publication))]
		|| CASE WHEN is_captured AND publication.timeseries_column IS NOT NULL
				THEN ARRAY[format('SELECT jsonb_build_object(''later'', (%s))', featurestore._later_rows(publication, 'true'))] ELSE '{}' END, clock, publication.publish_mode = 'SYNCHRONOUS');
	publication.relation := format('%I.%I', name[1], name[2])::regclass;
	PERFORM featurestore._add_key(publication);
	PERFORM featurestore._store_publication(publication, ttl, history);

	IF is_captured THEN
		PERFORM featurestore._check_program(publication);
		PERFORM featurestore._hold(publication.relation, NULL, featurestore._elements(results, 'later'));
		results[1] := results[1] || jsonb_build_object('fingerprint', featurestore._fingerprints(publication.relation)
													   || jsonb_build_object('sources', results[1] -> 'sources'));
	END IF;
	PERFORM featurestore._store_position(publication, clock, CASE WHEN is_captured THEN results[1] END, own_sequence,
										 featurestore._sum(results, 'rows_changed'), NULL);
	PERFORM featurestore._record('publish_run', publication.relation, jsonb_build_array(jsonb_build_object(
		'operation', 'MERGE', 'started_at', started, 'rows_changed', featurestore._sum(results, 'rows_changed'))));
	RETURN publication.relation;
END
$$;
COMMENT ON FUNCTION featurestore._publish_filled(text[], featurestore.publication, interval, boolean) IS 'internal: creates and fills the online table of a publication';

/* Can the table of a publication be made with all its rows at once?  Its keys must be known to be good. */
CREATE FUNCTION featurestore._can_create_filled(publication featurestore.publication) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT EXISTS (SELECT FROM pg_class WHERE oid = publication.source AND (relkind = 'p' OR (relkind = 'r' AND NOT relhassubclass)))
	AND featurestore._unique_index(publication.source, featurestore._row_key(publication)) IS NOT NULL
$$;
COMMENT ON FUNCTION featurestore._can_create_filled(featurestore.publication) IS 'internal: whether a table can be made with all its rows at once';

/*
 * Gives the retention of a source in its one form.  Raises 22023 unless it is
 * positive, finite and without months and years, and where it means nothing: by
 * snapshot, or without event time.
 */
CREATE FUNCTION featurestore._checked_retention(source_retention interval, publish_mode text, has_time boolean) RETURNS interval
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF source_retention IS NULL THEN
		RETURN NULL;
	END IF;
	IF NOT isfinite(source_retention) OR source_retention <= '0' OR extract(year FROM source_retention) <> 0 OR extract(month FROM source_retention) <> 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'source_retention must be positive and finite, without months and years';
	ELSIF publish_mode = 'SNAPSHOT' OR NOT has_time THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'source_retention needs captured changes and an event time',
			DETAIL = 'It tells the deletes of rows that the source need not keep any longer from others.',
			HINT = 'Publish in mode TRIGGERED with a timeseries column.';
	END IF;
	RETURN justify_hours(source_retention);
END
$$;
COMMENT ON FUNCTION featurestore._checked_retention(interval, text, boolean) IS 'internal: the retention of a source in its canonical form, or an error';

/*
 * The work of publish_table, with its filter in canonical form and
 * creation_schema, the schema that names without one are created in.
 */
CREATE FUNCTION featurestore._publish(source regclass, online_table text, creation_schema text, publish_mode text,
									  primary_key text[], timeseries_column text, features text[], filter text,
									  schedule text, time_zone text, ttl interval, source_retention interval, history boolean, wait boolean)
	RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	name text[] := featurestore._object_name('online_table', online_table, creation_schema);
	publication featurestore.publication;
	key text[];
BEGIN
	PERFORM featurestore._check_publish_mode(publish_mode);
	PERFORM featurestore._check_source('source_table', source);
	key := featurestore._source_key(source, primary_key, timeseries_column);
	ttl := featurestore._checked_ttl(ttl, timeseries_column);
	publication := ROW(to_regclass(format('%I.%I', name[1], name[2])), source, publish_mode,
					   CASE WHEN timeseries_column IS NULL THEN key ELSE trim_array(key, 1) END, timeseries_column,
					   featurestore._source_features(source, key, features), filter,
					   featurestore._checked_retention(source_retention, publish_mode, timeseries_column IS NOT NULL), false, NULL, NULL);
	publication := featurestore._with_schedule(publication, schedule, time_zone);

	IF publication.relation IS NULL THEN
		PERFORM featurestore._hold_staged(featurestore._capture_source(source, key, publish_mode)) WHERE publish_mode <> 'SNAPSHOT';
		IF wait IS NOT FALSE AND featurestore._can_create_filled(publication) THEN
			RETURN featurestore._publish_filled(name, publication, ttl, history);
		END IF;
		publication.relation := featurestore._create_published_table(name, publication);
		PERFORM featurestore._check_syncable(publication);
		PERFORM featurestore._store_publication(publication, ttl, history);
		PERFORM featurestore._check_program(publication) WHERE publish_mode <> 'SNAPSHOT';
	ELSE
		PERFORM featurestore._check_published(publication, ttl, history);
		RAISE NOTICE 'table % is published already, skipping', publication.relation;
		PERFORM featurestore._set_history(publication.relation, history);
	END IF;

	/* also fills what was defined before, or in another cluster, and never filled here */
	IF wait IS NOT FALSE AND NOT featurestore._is_filled(publication.relation) THEN
		PERFORM featurestore._run_now(publication.relation, 'MERGE');
	END IF;
	RETURN publication.relation;
END
$$;
COMMENT ON FUNCTION featurestore._publish(regclass, text, text, text, text[], text, text[], text, text, text, interval, interval, boolean, boolean) IS 'internal: the work of publish_table';

/*
 * Creates an online table and the standing order that keeps it in step with
 * source_table.
 *
 * source_table: a table, view, materialized view or foreign table that the
 *   caller can read.
 * online_table: name of the table to create, as in SQL: it may be quoted and
 *   qualified; without a schema it goes where CREATE TABLE would put it.
 * publish_mode: 'TRIGGERED': a trigger on the source captures its changes, and a
 *   sync applies those since the last one; the source must be a table of the
 *   caller's.  'CONTINUOUS': so, and the worker applies them as transactions
 *   commit.  'SYNCHRONOUS': the same trigger, and a transaction that changes the
 *   source applies its changes itself before it commits, with the rights of the
 *   owner of the online table; what cannot be applied makes it fail.  'SNAPSHOT':
 *   a sync compares and merges the whole source.
 * primary_key: columns that identify a row of the source; NULL for its primary
 *   key.  Of a table they must be NOT NULL and have a unique index; of other
 *   sources each sync checks them, and raises 21000 for a key that occurs
 *   twice and 23502 for one that has a NULL.
 * timeseries_column: last of these columns, timestamptz or date.  The online
 *   table then has one row for each key of the others, the newest one.  Rows
 *   dated later than the clock of a sync are not published before their time.
 * features: columns to publish besides the key; NULL for all others.
 * filter: an immutable condition over one row of the source; other rows are
 *   not published.  Its names are resolved now, as in a view.
 * schedule: when workers and run_due run the publication, as a cron expression
 *   ('0 2 * * mon-fri') or a Quartz expression ('0 0 2 ? * MON-FRI'); for
 *   publish modes SNAPSHOT and TRIGGERED.  Runs that are missed are made good by
 *   one.
 * time_zone: that of the schedule, as in SET TIME ZONE; NULL is UTC.
 * ttl: age beyond which a row counts as OUTSIDE_MAX_AGE; positive, without
 *   months and years; needs a timeseries_column.
 * source_retention: age beyond which rows may be deleted from the source by
 *   purges: such deletes change nothing; positive, without months and years;
 *   needs captured changes and a timeseries column.
 * history: keep each state that a row of the online table was in, and from when
 *   on, in the table ONLINE_history; the view ONLINE_validity says until when, too.
 *   Rows of the first fill are known from then on.
 * wait: false to define only; the first CALL sync(online_table), or in mode
 *   CONTINUOUS the worker, then fills it, in steps if an index of the source has
 *   the primary key in order.  Otherwise writers of a captured source wait until
 *   the end of the transaction.  In mode SYNCHRONOUS they wait for the first sync,
 *   too, and until it is done they apply nothing.
 *
 * Gives the online table, which belongs to the caller.  The same definition
 * again is a NOTICE, a different one an error (42710).  Raises 42P07 if the
 * name is that of another relation, 42P17 for a publication that would feed
 * itself, 55000 for a source without usable key, 42703, 42701 and 42804 for
 * columns that do not exist, are repeated or do not fit, 42501 without SELECT
 * on the source or CREATE on the schema, 42601, 42803, 0A000 and 42P17 for a
 * filter that is no immutable expression, 22023 and 22004 for bad values.
 */
CREATE FUNCTION featurestore.publish_table(source_table regclass, online_table text, publish_mode text DEFAULT 'TRIGGERED',
										   primary_key text[] DEFAULT NULL, timeseries_column text DEFAULT NULL,
										   features text[] DEFAULT NULL, filter text DEFAULT NULL, schedule text DEFAULT NULL,
										   time_zone text DEFAULT NULL, ttl interval DEFAULT NULL,
										   source_retention interval DEFAULT NULL, history boolean DEFAULT false, wait boolean DEFAULT true)
	RETURNS regclass
	LANGUAGE sql VOLATILE
	/* no setting of its own: name and filter are resolved as the caller's search path says */
	BEGIN ATOMIC
		SELECT featurestore._check_source('source_table', publish_table.source_table);
		SELECT featurestore._publish(publish_table.source_table, publish_table.online_table, current_schema()::text,
									 publish_table.publish_mode, publish_table.primary_key,
									 publish_table.timeseries_column, publish_table.features,
									 featurestore._canonical_filter(publish_table.source_table, publish_table.filter),
									 publish_table.schedule, publish_table.time_zone,
									 publish_table.ttl, publish_table.source_retention, publish_table.history, publish_table.wait);
	END;
COMMENT ON FUNCTION featurestore.publish_table(regclass, text, text, text[], text, text[], text, text, text, interval, interval, boolean, boolean) IS 'creates an online table and keeps it in step with a source';

/*
 * Forgets the publication of online_table, after a sync that is running.  The
 * table stays, with its rows, time column and ttl.  Raises 42501 unless the
 * caller owns it, 42704 if it is not published, and 42809 if features are
 * materialized in it.
 */
CREATE FUNCTION featurestore.unpublish_table(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	publication featurestore.publication;
BEGIN
	PERFORM featurestore._check_online_table(online_table);
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', online_table);
	publication := featurestore._declared_publication(online_table);
	IF featurestore._has_windows(publication) THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('table %s holds materialized features', online_table),
			DETAIL = 'Their states are of no use once nothing keeps them in step with their sources.',
			HINT = 'Drop the table, or the features in it with drop_feature.';
	END IF;
	PERFORM featurestore._remove_definition(catalog, online_table)
	FROM unnest('{publication,publication_position,fill_position}'::text[]) AS catalog;
	PERFORM featurestore._release_source(publication.source);
END
$$;
COMMENT ON FUNCTION featurestore.unpublish_table(regclass) IS 'forgets a publication; its online table stays';
