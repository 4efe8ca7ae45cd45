/*
 * Merge rules: what becomes of a stored value when a row for its key is
 * written directly, and the statement that does that for a batch of rows.
 *
 * A statement first merges the rows of a key with each other, so that it writes
 * each row of the table once, in the order of the key; then with the stored row.
 * Both steps choose by the same order (see src/publish/merge_rules.c), so that
 * it makes no difference how rows are split into batches.
 */

/* Does a type have an order? */
CREATE FUNCTION featurestore._is_ordered(type regtype) RETURNS boolean
	AS 'MODULE_PATHNAME', 'rule_is_ordered' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._is_ordered(regtype) IS 'internal: whether values of a type can be compared';

/* The least and the greatest of two values, of which either can be NULL; of equal ones that with the least image. */
CREATE FUNCTION featurestore._least(a anyelement, b anyelement) RETURNS anyelement
	AS 'MODULE_PATHNAME', 'rule_least' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._least(anyelement, anyelement) IS 'internal: the least of two values';
CREATE FUNCTION featurestore._greatest(a anyelement, b anyelement) RETURNS anyelement
	AS 'MODULE_PATHNAME', 'rule_greatest' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._greatest(anyelement, anyelement) IS 'internal: the greatest of two values';
CREATE AGGREGATE featurestore._min(anyelement) (SFUNC = featurestore._least, STYPE = anyelement);
COMMENT ON AGGREGATE featurestore._min(anyelement) IS 'internal: the least value';
CREATE AGGREGATE featurestore._max(anyelement) (SFUNC = featurestore._greatest, STYPE = anyelement);
COMMENT ON AGGREGATE featurestore._max(anyelement) IS 'internal: the greatest value';

/* Is a value of an earlier or a later time than another?  Of one time the values themselves decide; NULL is no value. */
CREATE FUNCTION featurestore._is_earlier(at timestamptz, value anyelement, other_at timestamptz, other anyelement) RETURNS boolean
	AS 'MODULE_PATHNAME', 'rule_is_earlier' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._is_earlier(timestamptz, anyelement, timestamptz, anyelement) IS 'internal: whether a value comes before another';
CREATE FUNCTION featurestore._is_later(at timestamptz, value anyelement, other_at timestamptz, other anyelement) RETURNS boolean
	AS 'MODULE_PATHNAME', 'rule_is_later' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._is_later(timestamptz, anyelement, timestamptz, anyelement) IS 'internal: whether a value comes after another';

/* The value, or NULL, of the newest row, and of those of one time that with the greatest number. */
CREATE FUNCTION featurestore._newest_step(internal, value anyelement, at timestamptz, number bigint) RETURNS internal
	AS 'MODULE_PATHNAME', 'rule_newest_step' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._newest_step(internal, anyelement, timestamptz, bigint) IS 'internal: transition of _newest';
CREATE FUNCTION featurestore._newest_value(internal, value anyelement, at timestamptz, number bigint) RETURNS anyelement
	AS 'MODULE_PATHNAME', 'rule_kept_value' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._newest_value(internal, anyelement, timestamptz, bigint) IS 'internal: result of _newest';
CREATE AGGREGATE featurestore._newest(value anyelement, at timestamptz, number bigint) (
	SFUNC = featurestore._newest_step, STYPE = internal, FINALFUNC = featurestore._newest_value, FINALFUNC_EXTRA);
COMMENT ON AGGREGATE featurestore._newest(anyelement, timestamptz, bigint) IS 'internal: the value of the newest row';

/* The first and the last value by time; NULLs are none. */
CREATE FUNCTION featurestore._first_step(internal, value anyelement, at timestamptz) RETURNS internal
	AS 'MODULE_PATHNAME', 'rule_first_step' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._first_step(internal, anyelement, timestamptz) IS 'internal: transition of _first';
CREATE FUNCTION featurestore._last_step(internal, value anyelement, at timestamptz) RETURNS internal
	AS 'MODULE_PATHNAME', 'rule_last_step' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._last_step(internal, anyelement, timestamptz) IS 'internal: transition of _last';
CREATE FUNCTION featurestore._end_value(internal, value anyelement, at timestamptz) RETURNS anyelement
	AS 'MODULE_PATHNAME', 'rule_kept_value' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._end_value(internal, anyelement, timestamptz) IS 'internal: result of _first and _last';
CREATE AGGREGATE featurestore._first(value anyelement, at timestamptz) (
	SFUNC = featurestore._first_step, STYPE = internal, FINALFUNC = featurestore._end_value, FINALFUNC_EXTRA);
COMMENT ON AGGREGATE featurestore._first(anyelement, timestamptz) IS 'internal: the first value by time';
CREATE AGGREGATE featurestore._last(value anyelement, at timestamptz) (
	SFUNC = featurestore._last_step, STYPE = internal, FINALFUNC = featurestore._end_value, FINALFUNC_EXTRA);
COMMENT ON AGGREGATE featurestore._last(anyelement, timestamptz) IS 'internal: the last value by time';

/* The n newest values, newest first, NULL for none; and those of two such arrays, whose times are arrays, too. */
CREATE FUNCTION featurestore._last_n_step(internal, value anyelement, at timestamptz, n int) RETURNS internal
	AS 'MODULE_PATHNAME', 'rule_last_n_step' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._last_n_step(internal, anyelement, timestamptz, int) IS 'internal: transition of _last_n';
CREATE FUNCTION featurestore._last_n_value(internal, value anyelement, at timestamptz, n int) RETURNS anyarray
	AS 'MODULE_PATHNAME', 'rule_last_n_value' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._last_n_value(internal, anyelement, timestamptz, int) IS 'internal: result of _last_n';
CREATE AGGREGATE featurestore._last_n(value anyelement, at timestamptz, n int) (
	SFUNC = featurestore._last_n_step, STYPE = internal, FINALFUNC = featurestore._last_n_value, FINALFUNC_EXTRA);
COMMENT ON AGGREGATE featurestore._last_n(anyelement, timestamptz, int) IS 'internal: the newest values';
CREATE FUNCTION featurestore._merge_last_n(stored anyarray, stored_at timestamptz[], added anyarray, added_at timestamptz[], n int) RETURNS anyarray
	AS 'MODULE_PATHNAME', 'rule_merge_last_n' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._merge_last_n(anyarray, timestamptz[], anyarray, timestamptz[], int) IS 'internal: the newest values of two arrays';

/* What a domain is over, and its modifier; any other type as it is. */
CREATE FUNCTION featurestore._base_type(type oid, modifier int, OUT base oid, OUT base_modifier int)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
WITH RECURSIVE layer(oid, modifier, n) AS (
	SELECT _base_type.type, _base_type.modifier, 0
	UNION ALL
	SELECT t.typbasetype, t.typtypmod, n + 1 FROM layer JOIN pg_type t ON t.oid = layer.oid WHERE t.typtype = 'd')
SELECT oid, modifier FROM layer ORDER BY n DESC LIMIT 1
$$;
COMMENT ON FUNCTION featurestore._base_type(oid, int) IS 'internal: what a domain is over';

/* The name of a merge rule: "last_n(10)" and {"rule": "accumulate", ...} are last_n and accumulate. */
CREATE FUNCTION featurestore._rule_name(rule jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT CASE jsonb_typeof(rule) WHEN 'string' THEN regexp_replace(rule #>> '{}', '^last_n\([0-9]{1,9}\)$', 'last_n')
							   WHEN 'object' THEN rule ->> 'rule' END
$$;
COMMENT ON FUNCTION featurestore._rule_name(jsonb) IS 'internal: the name of a merge rule';

/* The empty state for a rule accumulate, as a constant; raises as window_state and agg_state do. */
CREATE FUNCTION featurestore._rule_template(rule jsonb) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
BEGIN
	IF rule ? 'windows' THEN
		RETURN format('%L::featurestore.window_state', featurestore.window_state(rule ->> 'function', (rule ->> 'type')::regtype,
			ARRAY(SELECT w::featurestore.time_window FROM jsonb_array_elements_text(rule -> 'windows') WITH ORDINALITY AS e(w, n) ORDER BY n),
			coalesce(rule -> 'params', '{}')));
	END IF;
	RETURN format('%L::featurestore.agg_state', featurestore.agg_state(rule ->> 'function', (rule ->> 'type')::regtype, coalesce(rule -> 'params', '{}')));
END
$$;
COMMENT ON FUNCTION featurestore._rule_template(jsonb) IS 'internal: the empty state for a rule';

/*
 * Columns of an online table that rows are written to, and how.  input_type is
 * that of the values that are given, NULL for none; companion a column with the
 * time of the value, or of each of the values; n that of last_n.
 */
CREATE FUNCTION featurestore._merge_columns(online_table regclass)
	RETURNS TABLE(name text, attnum smallint, rule text, n int, type oid, modifier int, input_type oid, coll text, companion text,
				  template text, is_key boolean, is_time boolean)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
WITH online AS (
	SELECT o.merge, o.timeseries_column, (SELECT k.columns FROM featurestore._unique_keys(o.relation) AS k LIMIT 1) AS key
	FROM featurestore.online_table o WHERE o.relation = online_table
), col AS (
	SELECT a.attname::text AS name, a.attnum, coalesce(featurestore._rule_name(merge -> a.attname), 'replace') AS rule, merge -> a.attname AS definition,
		   b.base AS type, b.base_modifier AS modifier, c.coll, coalesce(a.attname = ANY (key), false) AS is_key,
		   coalesce(a.attname = timeseries_column, false) AS is_time, timeseries_column IS NOT NULL AS has_time
	FROM online, pg_attribute a JOIN featurestore._columns(online_table) AS c ON c.attnum = a.attnum,
		featurestore._base_type(a.atttypid, a.atttypmod) AS b
	WHERE a.attrelid = online_table AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
)
SELECT c.name, c.attnum, c.rule, coalesce(substring(c.definition #>> '{}' FROM '\(([0-9]+)\)')::int, 0), c.type, c.modifier,
	CASE c.rule WHEN 'now' THEN NULL WHEN 'accumulate' THEN (c.definition ->> 'type')::regtype::oid
				WHEN 'last_n' THEN (SELECT b.base FROM pg_type t, featurestore._base_type(t.typelem, -1) AS b WHERE t.oid = c.type) ELSE c.type END,
	c.coll, CASE WHEN c.rule IN ('first', 'last', 'last_n') OR (c.rule = 'coalesce' AND c.has_time) THEN c.name || '_at' END,
	CASE c.rule WHEN 'accumulate' THEN featurestore._rule_template(c.definition) END, c.is_key, c.is_time
FROM col c
WHERE NOT EXISTS (SELECT FROM col AS other WHERE other.name || '_at' = c.name
				  AND (other.rule IN ('first', 'last', 'last_n') OR (other.rule = 'coalesce' AND other.has_time)))
ORDER BY c.attnum
$$;
COMMENT ON FUNCTION featurestore._merge_columns(regclass) IS 'internal: columns that rows are written to, and how';

/* Does a rule count a row again that is written again? */
CREATE FUNCTION featurestore._counts_again(rule text) RETURNS boolean
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT rule IN ('add', 'last_n', 'accumulate', 'merge') $$;
COMMENT ON FUNCTION featurestore._counts_again(text) IS 'internal: whether a rule is not idempotent';

/* Raises 42703 for a column with a rule that the table has no more; 55000 if it has lost its key. */
CREATE FUNCTION featurestore._check_writable(online_table regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad text;
BEGIN
	SELECT c INTO bad FROM featurestore.online_table o, LATERAL (
		SELECT jsonb_object_keys(o.merge) UNION ALL SELECT o.timeseries_column
		UNION ALL SELECT m.companion FROM featurestore._merge_columns(o.relation) AS m) AS u(c)
	WHERE o.relation = online_table AND c NOT IN (SELECT name FROM featurestore._columns(online_table)) ORDER BY c LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column',
			MESSAGE = format('column "%s" of relation %s does not exist any more', bad, online_table),
			DETAIL = 'The table is registered with it.',
			HINT = 'Register the table again, with drop_online_table and create_online_table.';
	ELSIF NOT EXISTS (SELECT FROM featurestore._unique_keys(online_table)) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('table %s has no unique key any more', online_table), HINT = 'Add it again.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_writable(regclass) IS 'internal: raises an error unless rows can be written to a table';

/*
 * Expression for the value of a column in row r that is given.  Numbers and
 * times are brought to the precision of the column before they are merged.
 */
CREATE FUNCTION featurestore._input_value(name text, input_type oid, modifier int, rule text, coll text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('r.%I%s%s', name,
	CASE WHEN rule = 'accumulate' OR t.typcategory = 'A' OR (modifier <> -1 AND t.typcategory IN ('N', 'D', 'T'))
		 THEN '::' || format_type(input_type, CASE WHEN rule IN ('accumulate', 'last_n') THEN -1 ELSE modifier END) ELSE '' END,
	CASE WHEN rule <> 'accumulate' AND (t.typcollation <> 0 OR t.typcategory = 'A') THEN ' COLLATE ' || coll ELSE '' END)
FROM pg_type t WHERE t.oid = input_type
$$;
COMMENT ON FUNCTION featurestore._input_value(text, oid, int, text, text) IS 'internal: SQL for a value that is given';

/* Expression for the time of row r as timestamptz; a date counts from its midnight in UTC. */
CREATE FUNCTION featurestore._input_time(name text, type oid) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format(CASE WHEN name IS NULL THEN 'timestamptz ''epoch'''
				   WHEN type = 'date'::regtype THEN '(CASE WHEN r.%1$I < date ''294276-01-01'' THEN r.%1$I::timestamp AT TIME ZONE ''UTC'' ELSE timestamptz ''infinity'' END)'
				   ELSE 'r.%I' END, name)
$$;
COMMENT ON FUNCTION featurestore._input_time(text, oid) IS 'internal: SQL for the time of a given row';

/*
 * How a column is merged: expression over the rows r of a key, and over the
 * stored row, online, and what comes of the first, excluded.  value and at are
 * those of r; ts is the timeseries column, quoted, if it is not in the key.
 */
CREATE FUNCTION featurestore._rule_expressions(col text, rule text, type text, n int, template text, companion text, value text, at text, ts text,
											   OUT merged text, OUT updated text)
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format(m, col, value, at, type, n, template), format(u, col, companion, 'coalesce(online.' || companion || coalesce(', online.' || ts, '') || ')', template, n, ts)
FROM (VALUES
	('replace', 'featurestore._newest(%2$s, %3$s, r._row_number)',
		CASE WHEN ts IS NULL THEN 'excluded.%1$s' ELSE 'CASE WHEN (online.%6$s <= excluded.%6$s) IS NOT FALSE THEN excluded.%1$s ELSE online.%1$s END' END),
	('add', 'sum(%2$s)::%4$s', 'coalesce(online.%1$s + excluded.%1$s, excluded.%1$s, online.%1$s)'),
	('min', 'featurestore._min(%2$s)', 'featurestore._least(online.%1$s, excluded.%1$s)'),
	('max', 'featurestore._max(%2$s)', 'featurestore._greatest(online.%1$s, excluded.%1$s)'),
	('first', 'featurestore._first(%2$s, %3$s)', 'CASE WHEN featurestore._is_earlier(excluded.%2$s, excluded.%1$s, %3$s, online.%1$s) THEN excluded.%1$s ELSE online.%1$s END'),
	('last', 'featurestore._last(%2$s, %3$s)', 'CASE WHEN featurestore._is_later(excluded.%2$s, excluded.%1$s, %3$s, online.%1$s) THEN excluded.%1$s ELSE online.%1$s END'),
	('coalesce', 'featurestore._newest(%2$s, %3$s, r._row_number) FILTER (WHERE num_nonnulls(%2$s) > 0)',
		CASE WHEN companion IS NULL THEN 'coalesce(excluded.%1$s, online.%1$s)'
			 ELSE 'CASE WHEN num_nonnulls(online.%1$s) = 0 OR (%3$s <= excluded.%2$s) IS NOT FALSE THEN coalesce(excluded.%1$s, online.%1$s) ELSE online.%1$s END' END),
	('last_n', 'featurestore._last_n(%2$s, %3$s, %5$s)', 'featurestore._merge_last_n(online.%1$s, online.%2$s, excluded.%1$s, excluded.%2$s, %5$s)'),
	('accumulate', CASE WHEN value IS NULL THEN 'featurestore.accumulate(%6$s, %3$s)' ELSE 'featurestore.accumulate(%6$s, %3$s, %2$s)' END,
		'featurestore.merge(coalesce(online.%1$s, %4$s), excluded.%1$s)'),
	('merge', 'featurestore.rollup(%2$s) FILTER (WHERE %2$s IS NOT NULL)', 'coalesce(featurestore.merge(online.%1$s, excluded.%1$s), excluded.%1$s, online.%1$s)'),
	('now', 'max(clock_timestamp())', 'greatest(online.%1$s, excluded.%1$s)')) AS r(name, m, u)
WHERE r.name = rule
$$;
COMMENT ON FUNCTION featurestore._rule_expressions(text, text, text, int, text, text, text, text, text) IS 'internal: SQL that merges a column by its rule';

/* The same of its companion, the time of the value. */
CREATE FUNCTION featurestore._companion_expressions(col text, rule text, n int, companion text, value text, at text, ts text, OUT merged text, OUT updated text)
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format(CASE rule WHEN 'first' THEN 'min(%1$s) FILTER (WHERE num_nonnulls(%2$s) > 0)'
						WHEN 'last_n' THEN 'featurestore._last_n(%1$s, %1$s, %3$s) FILTER (WHERE num_nonnulls(%2$s) > 0)'
						ELSE 'max(%1$s) FILTER (WHERE num_nonnulls(%2$s) > 0)' END, at, value, n),
	CASE rule WHEN 'last_n' THEN format('featurestore._merge_last_n(online.%1$s, online.%1$s, excluded.%1$s, excluded.%1$s, %2$s)', companion, n)
			  ELSE format('CASE WHEN num_nonnulls(excluded.%1$s) = 0 THEN online.%2$s WHEN num_nonnulls(online.%1$s) = 0 THEN excluded.%2$s ELSE %3$s(%4$s, excluded.%2$s) END',
						  col, companion, CASE rule WHEN 'first' THEN 'least' ELSE 'greatest' END,
						  'coalesce(online.' || companion || coalesce(', online.' || ts, '') || ', ''-infinity'')') END
$$;
COMMENT ON FUNCTION featurestore._companion_expressions(text, text, int, text, text, text, text) IS 'internal: SQL that merges the time of a value';

/*
 * How the columns of a table are written that are among columns, in order, its
 * key first; and those that no value is given for.  merged and updated are as of
 * _rule_expressions, inserted is what a new row gets of merged, called delta.
 */
CREATE FUNCTION featurestore._written_columns(online_table regclass, columns text[])
	RETURNS TABLE(name text, is_key boolean, place int, merged text, inserted text, updated text, is_replaced boolean)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
WITH col AS (
	SELECT m.*, CASE WHEN m.input_type IS NOT NULL THEN featurestore._input_value(m.name, m.input_type, m.modifier, m.rule, m.coll) END AS value, t.at, t.ts
	FROM featurestore._merge_columns(online_table) AS m,
		(SELECT featurestore._input_time(max(w.name), max(w.type)), quote_ident(max(w.name) FILTER (WHERE NOT w.is_key))
		 FROM featurestore._merge_columns(online_table) AS w WHERE w.is_time) AS t(at, ts)
	WHERE m.name = ANY (columns) OR m.input_type IS NULL
)
SELECT col.name, col.is_key, col.attnum,
	CASE WHEN col.is_key THEN col.value WHEN col.is_time THEN format('max(%s)', col.value) ELSE e.merged END,
	format(CASE WHEN col.rule = 'accumulate' THEN 'coalesce(delta.%1$I, %2$s)'
				/* a NULL adds nothing */
				WHEN col.rule = 'add' AND a.attnotnull THEN 'coalesce(delta.%1$I, ''0'')' ELSE 'delta.%1$I' END, col.name, col.template),
	CASE WHEN col.is_key THEN NULL WHEN col.is_time THEN format('greatest(online.%1$I, excluded.%1$I)', col.name) ELSE e.updated END,
	col.is_time OR col.rule = 'replace'
FROM col JOIN pg_attribute a ON a.attrelid = online_table AND a.attnum = col.attnum
LEFT JOIN LATERAL featurestore._rule_expressions(quote_ident(col.name), col.rule, format_type(col.type, col.modifier), col.n, col.template,
	quote_ident(col.companion), col.value, col.at, col.ts) AS e ON true
UNION ALL
SELECT col.companion, false, col.attnum, e.merged, format('delta.%I', col.companion), e.updated, false
FROM col, featurestore._companion_expressions(quote_ident(col.name), col.rule, col.n, quote_ident(col.companion), col.value, col.at, col.ts) AS e
WHERE col.companion IS NOT NULL
$$;
COMMENT ON FUNCTION featurestore._written_columns(regclass, text[]) IS 'internal: how columns are written';

/*
 * The statement that writes rows to a table: input is what FROM has, rows called
 * r with the given columns and _row_number; condition is one on what is written.
 * Where all columns are replaced a row that is older changes nothing.
 */
CREATE FUNCTION featurestore._write_statement(online_table regclass, columns text[], input text, condition text DEFAULT 'true') RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('INSERT INTO %1$s AS online (%2$s) SELECT %3$s FROM (SELECT %4$s FROM %5$s GROUP BY %6$s) AS delta WHERE %7$s ORDER BY %8$s ON CONFLICT (%9$s) DO %10$s',
	featurestore._relation_name(online_table), string_agg(quote_ident(name), ', ' ORDER BY place, name), string_agg(inserted, ', ' ORDER BY place, name),
	string_agg(format('%s AS %I', merged, name), ', ' ORDER BY place, name), input, string_agg(merged, ', ' ORDER BY place) FILTER (WHERE is_key), condition,
	string_agg(format('delta.%I', name), ', ' ORDER BY array_position(key, name)) FILTER (WHERE is_key), featurestore._column_list(key),
	CASE WHEN count(updated) = 0 THEN 'NOTHING'
		 ELSE 'UPDATE SET ' || string_agg(format('%I = %s', name, updated), ', ' ORDER BY place, name) FILTER (WHERE updated IS NOT NULL)
			|| CASE WHEN ts IS NOT NULL AND bool_and(is_replaced) THEN format(' WHERE (online.%1$I <= excluded.%1$I) IS NOT FALSE', ts) ELSE '' END END)
FROM featurestore._written_columns(online_table, columns),
	(SELECT k.columns FROM featurestore._unique_keys(online_table) AS k LIMIT 1) AS k(key),
	(SELECT max(m.name) FROM featurestore._merge_columns(online_table) AS m WHERE m.is_time AND NOT m.is_key) AS t(ts)
GROUP BY key, ts
$$;
COMMENT ON FUNCTION featurestore._write_statement(regclass, text[], text, text) IS 'internal: SQL that writes rows by merge rules';

/* Has a table a column whose values are merged, rather than replaced? */
CREATE FUNCTION featurestore._is_merged(online_table regclass) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT EXISTS (SELECT FROM featurestore.online_table o, jsonb_each(o.merge) AS m WHERE o.relation = online_table AND m.value <> '"replace"')
$$;
COMMENT ON FUNCTION featurestore._is_merged(regclass) IS 'internal: whether a table has columns that are merged';

/* Raises 55000 if there is a staging table for online_table, which has merge rules: these tell what its columns are. */
CREATE FUNCTION featurestore._check_no_staging(online_table regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	staging regclass := (SELECT s.relation FROM featurestore.staging s WHERE s.online_table = _check_no_staging.online_table);
BEGIN
	IF staging IS NOT NULL AND featurestore._is_merged(online_table) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('table %s has the staging table %s', online_table, staging),
			DETAIL = 'Merge rules tell what its columns are.',
			HINT = format('When all that is staged is applied, drop it: DROP TABLE %s.', staging);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_no_staging(regclass) IS 'internal: raises an error if a table with merge rules has a staging table';

/* Raises an error unless the columns of a staging table are what the merge rules take: 42703 and 42804. */
CREATE FUNCTION featurestore._check_merge_staging(publication featurestore.publication) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad record;
BEGIN
	PERFORM featurestore._check_writable(publication.relation);
	SELECT m.name, format_type(m.input_type, -1) AS wanted, format_type(c.type_oid, -1) AS type INTO bad
	FROM featurestore._merge_columns(publication.relation) AS m LEFT JOIN featurestore._columns(publication.source) AS c USING (name)
	WHERE c.type_oid IS DISTINCT FROM m.input_type AND m.input_type IS NOT NULL
		AND (c.name IS NOT NULL OR m.is_key OR m.is_time OR m.name IN (SELECT jsonb_object_keys(o.merge) FROM featurestore.online_table o WHERE o.relation = publication.relation))
	ORDER BY m.attnum LIMIT 1;
	IF bad.type IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch', MESSAGE = format('column "%s" of staging table %s is of type %s, not %s', bad.name, publication.source, bad.type, bad.wanted),
			HINT = 'Drop the staging table and create it again.';
	ELSIF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column', MESSAGE = format('column "%s" of staging table %s does not exist any more', bad.name, publication.source),
			HINT = 'Drop the staging table and create it again.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_merge_staging(featurestore.publication) IS 'internal: raises an error unless a staging table fits merge rules';

/*
 * Expression as _is_put, for rows that are merged: they have no preimage, and a
 * time, which is not in the future where it would move windows on.
 */
CREATE FUNCTION featurestore._is_merged_put(publication featurestore.publication) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format($put$CASE WHEN source._change_type = 'update_preimage' THEN featurestore._reject_row('22023', 'a row that is merged has no preimage')%s ELSE %s END$put$,
	(SELECT format($time$ WHEN source._change_type <> 'delete' AND source.%1$I IS NULL THEN featurestore._reject_row('23502', %2$L)$time$, m.name, format('null value in column "%s"', m.name))
		|| CASE WHEN w.has_windows THEN format($time$ WHEN source._change_type <> 'delete' AND NOT (isfinite(source.%1$I) AND source.%1$I <= (SELECT $1 + %2$L::interval)) THEN featurestore._reject_row('22008', 'time of a row is in the future')$time$,
											   m.name, featurestore._head_slack()) ELSE '' END
	 FROM featurestore._merge_columns(publication.relation) AS m,
		(SELECT bool_or(type = 'featurestore.window_state'::regtype) FROM featurestore._merge_columns(publication.relation)) AS w(has_windows) WHERE m.is_time),
	featurestore._is_put(publication.primary_key, 'true', true))
$$;
COMMENT ON FUNCTION featurestore._is_merged_put(featurestore.publication) IS 'internal: SQL that tells whether a change leaves a row that is merged';

/*
 * The statement that applies a batch from a staging table by merge rules.  What
 * a key had before the last delete of it is gone, staged or stored.
 */
CREATE FUNCTION featurestore._merged_statement(publication featurestore.publication, condition text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format($apply$WITH change AS MATERIALIZED (
		SELECT %1$s, row_number() OVER (ORDER BY source._commit_version NULLS FIRST, source._sequence) AS _row_number, %2$s AS _is_put FROM %3$s AS source WHERE %4$s),
	gone AS MATERIALIZED (SELECT %5$s, max(_row_number) AS _row_number FROM change WHERE NOT _is_put GROUP BY %5$s),
	removed AS (DELETE FROM %6$s AS online USING gone WHERE %7$s RETURNING 1),
	written AS (%8$s RETURNING 1)
SELECT jsonb_build_object('rows_changed', (SELECT count(*) FROM removed) + (SELECT count(*) FROM written))$apply$,
	featurestore._column_list(columns, 'source'), featurestore._is_merged_put(publication), publication.source, condition,
	featurestore._column_list(publication.primary_key), publication.relation,
	featurestore._key_condition(publication.relation, publication.primary_key, 'gone', 'online'),
	featurestore._write_statement(publication.relation, columns, format(
		'(SELECT change.* FROM change WHERE _is_put AND NOT EXISTS (SELECT FROM gone WHERE %s AND gone._row_number > change._row_number)) AS r',
		featurestore._key_condition(publication.relation, publication.primary_key, 'gone', 'change')), '(SELECT count(*) FROM removed) >= 0'))
FROM featurestore._published_columns(publication) AS columns
$$;
COMMENT ON FUNCTION featurestore._merged_statement(featurestore.publication, text) IS 'internal: SQL that applies a batch by merge rules';

/* As _source_program, for a table with merge rules. */
CREATE FUNCTION featurestore._merged_program(publication featurestore.publication, scope text) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT jsonb_build_object('settle', featurestore._settle_statement(publication), 'add', apply, 'apply', apply, 'rebuild', NULL,
	'quarantine', featurestore._merged_statement(publication, in_quarantine || ' AND ' || scope),
	'sources', jsonb_build_array(featurestore._quarantine_queries(publication.source, publication.primary_key, in_quarantine,
		format('SELECT to_jsonb(count(%s)) FROM slice AS source', featurestore._is_merged_put(publication)))))
FROM featurestore._is_in_batch(false, true) AS in_quarantine,
	featurestore._merged_statement(publication, featurestore._is_in_batch(false, false) || ' AND ' || scope) AS apply
$$;
COMMENT ON FUNCTION featurestore._merged_program(featurestore.publication, text) IS 'internal: all statements that apply a batch by merge rules';
