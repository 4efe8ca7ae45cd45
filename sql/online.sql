/*
 * Online tables: ordinary tables that lookups read.
 *
 * Any table with a unique key can be looked up.  Registering it adds what its
 * columns do not say: which one holds the time of a row, and how long a row
 * is good for.
 */

/*
 * Raises 22004 for a NULL online_table, 42809 unless it is an ordinary or
 * partitioned table, and not a temporary one, and 42501 unless the caller owns
 * it.
 */
CREATE FUNCTION featurestore._check_online_table(online_table regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	class pg_class;
BEGIN
	IF online_table IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
			MESSAGE = 'online_table must not be null';
	END IF;

	SELECT * INTO class FROM pg_class WHERE oid = online_table;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_table',
			MESSAGE = format('relation with OID %s does not exist', online_table::oid);
	END IF;
	IF class.relkind NOT IN ('r', 'p') OR class.relpersistence = 't' THEN
		RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
			MESSAGE = format('%s cannot be an online table', online_table),
			DETAIL = 'An online table is an ordinary or partitioned table that is not temporary.';
	END IF;
	IF NOT pg_has_role(class.relowner, 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('must be owner of table %s', online_table);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_online_table(regclass) IS 'internal: raises an error unless the caller may define this online table';

/*
 * Raises an error unless each of columns is the name of a column of relation,
 * given once: 22004 for a NULL, 42701 for a duplicate, 42703 for an unknown
 * name.  argument is the name of the argument they were given in.
 */
CREATE FUNCTION featurestore._check_columns(relation regclass, argument text, columns text[]) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad text;
BEGIN
	IF array_position(columns, NULL) IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
			MESSAGE = format('%s must not contain null', argument);
	END IF;

	SELECT name INTO bad FROM unnest(columns) WITH ORDINALITY AS c(name, n)
	GROUP BY name HAVING count(*) > 1 ORDER BY min(n) LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_column',
			MESSAGE = format('column "%s" is given more than once in %s', bad, argument);
	END IF;

	SELECT name INTO bad FROM unnest(columns) WITH ORDINALITY AS c(name, n)
	WHERE NOT EXISTS (SELECT FROM pg_attribute
					  WHERE attrelid = relation AND attname = name AND attnum > 0 AND NOT attisdropped)
	ORDER BY n LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column',
			MESSAGE = format('column "%s" of relation %s does not exist', bad, relation),
			DETAIL = format('It is given in %s.', argument);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_columns(regclass, text, text[]) IS 'internal: raises an error unless these are columns of the relation';

/*
 * Raises 42703 unless timeseries_column, if not NULL, is a column of relation,
 * and 42804 unless its type is timestamptz or date.
 */
CREATE FUNCTION featurestore._check_timeseries_column(relation regclass, timeseries_column text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	type regtype;
BEGIN
	PERFORM featurestore._check_columns(relation, 'timeseries_column', ARRAY[timeseries_column])
	WHERE timeseries_column IS NOT NULL;

	SELECT atttypid INTO type FROM pg_attribute WHERE attrelid = relation AND attname = timeseries_column;
	IF type NOT IN ('timestamptz'::regtype, 'date'::regtype) THEN
		RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
			MESSAGE = format('timeseries column "%s" is of type %s', timeseries_column, type),
			DETAIL = 'A timeseries column is of type timestamp with time zone or date.',
			HINT = CASE
				WHEN type <> 'timestamp'::regtype THEN 'Choose the column that holds the time of a row.'
				WHEN (SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = relation)
				THEN format('If its times are in UTC, convert it: ALTER TABLE %s ALTER COLUMN %I TYPE timestamptz USING %2$I AT TIME ZONE ''UTC''.',
							relation, timeseries_column)
				ELSE format('If its times are in UTC, select it as: %I AT TIME ZONE ''UTC''.', timeseries_column)
			END;
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_timeseries_column(regclass, text) IS 'internal: raises an error unless this column can hold event times';

/*
 * Gives ttl in its one form for a length of time, so that equal ones compare
 * equal as text.  Raises 22023 for a ttl without timeseries_column, and unless
 * it is a positive, finite time in days or less.
 */
CREATE FUNCTION featurestore._checked_ttl(ttl interval, timeseries_column text) RETURNS interval
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF ttl IS NULL THEN
		RETURN NULL;
	END IF;
	IF timeseries_column IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'ttl needs a timeseries column',
			DETAIL = 'The age of a row is counted from the time in its timeseries column.';
	END IF;
	IF NOT isfinite(ttl) OR ttl <= '0' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'ttl must be positive and finite';
	END IF;
	IF extract(year FROM ttl) <> 0 OR extract(month FROM ttl) <> 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'ttl must not contain months or years',
			HINT = 'Their length varies; give days.';
	END IF;
	RETURN justify_hours(ttl);
END
$$;
COMMENT ON FUNCTION featurestore._checked_ttl(interval, text) IS 'internal: a time to live in its canonical form, or an error';

/*
 * Says where two definitions, as objects, differ; NULL if they do not.
 */
CREATE FUNCTION featurestore._difference(defined jsonb, given jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT 'Defined is ' || string_agg(format('%s = %s, not %s', key, coalesce(defined -> key, 'null'), coalesce(given -> key, 'null')),
								   '; ' ORDER BY key COLLATE "C") || '.'
FROM jsonb_object_keys(defined || given) AS key
WHERE coalesce(defined -> key, 'null') <> coalesce(given -> key, 'null')
$$;
COMMENT ON FUNCTION featurestore._difference(jsonb, jsonb) IS 'internal: the difference of two definitions, as a sentence';

/*
 * Registers an existing table of the caller as an online table, and makes what
 * writes to it need.
 *
 * online_table: an ordinary or partitioned table with a primary key or another
 *   unique index that is immediate and has neither predicate nor expressions.
 * merge: rule by column for rows that are written with write_features, the
 *   writer function or a staging table; columns not named have "replace".
 *     "replace", "coalesce": the new value; the new value unless it is NULL.  They
 *       do not count in a row that is older than the stored row, or value.
 *     "add", "min", "max": numbers or intervals add up; the least, greatest value.
 *     "first", "last", "last_n(10)": by the timeseries column, NULLs are skipped;
 *       last_n is for arrays, and takes one value a row.
 *     {"rule": "accumulate", "function": "sum", "type": "float8", "windows": [...],
 *       "params": {...}}: values become a window_state, or without windows an
 *       agg_state; without a type rows are counted, and no value is given.
 *     "merge": states become one.    "now": the clock of the last write.
 *   first, last, last_n, and coalesce if there is a timeseries column, keep the
 *   times of their values in a column COLUMN_at, which is added to the table.
 * outputs: what lookups give by name from columns of states: an object of
 *   {"column": ..., "function": ..., "window": ...}; no window for an agg_state.
 * timeseries_column: the column with the time of a row, timestamptz or date.
 * ttl: age beyond which a row counts as OUTSIDE_MAX_AGE; positive, without
 *   months and years; needs a timeseries_column.
 * allow_duplicates: rows can be written without a batch_id though there is a rule
 *   (add, last_n, accumulate, merge) by which a repeated row counts again.
 * history: keep each state that a row was in, and from when on, in the table
 *   ONLINE_history; the view ONLINE_validity says until when, too.  Not for
 *   partitioned tables; the key must be NOT NULL.
 *
 * Makes the function ONLINE_write, and where a rule counts repeated rows again a
 * trigger that refuses plain updates of its column.  Gives online_table.  The
 * same definition again is a NOTICE, a different one an error (42710).  Raises
 * 42501 unless the caller owns the table, 42809 for what is no such table, 55000
 * for a table without unique key or one that publish_table made, 42703 and 42804
 * for columns that do not exist or do not fit, 42701 for one named as what writing
 * rows needs, 42723 if there is another function ONLINE_write, 22023 and 22004 for
 * bad values.
 */
CREATE FUNCTION featurestore.create_online_table(online_table regclass, merge jsonb DEFAULT '{}', outputs jsonb DEFAULT '{}',
												 timeseries_column text DEFAULT NULL, ttl interval DEFAULT NULL,
												 allow_duplicates boolean DEFAULT false, history boolean DEFAULT false)
	RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	given jsonb;
	defined jsonb;
BEGIN
	PERFORM featurestore._check_online_table(online_table);
	/* from here on nobody else defines the table or drops its key */
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', online_table);
	IF EXISTS (SELECT FROM featurestore.publication p WHERE p.relation = online_table) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('table %s is published', online_table),
			HINT = 'Give timeseries_column and ttl to publish_table.';
	END IF;
	IF NOT EXISTS (SELECT FROM featurestore._unique_keys(online_table)) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('table %s has no unique key', online_table),
			HINT = 'Add a primary key over the columns it is looked up by.';
	END IF;
	PERFORM featurestore._check_timeseries_column(online_table, timeseries_column);
	PERFORM featurestore._check_write_names(online_table);
	merge := featurestore._checked_merge(online_table, merge, timeseries_column);

	given := jsonb_build_object('timeseries_column', timeseries_column, 'merge', merge,
								'outputs', featurestore._checked_outputs(online_table, merge, outputs, timeseries_column),
								'ttl', featurestore._checked_ttl(ttl, timeseries_column), 'allow_duplicates', coalesce(allow_duplicates, false), 'history', coalesce(history, false));
	SELECT to_jsonb(o) - '{relation,history_table,history_from}'::text[] || jsonb_build_object('history', o.history_table IS NOT NULL) INTO defined FROM featurestore.online_table o WHERE o.relation = online_table;
	IF NOT FOUND THEN
		PERFORM featurestore._store_definition('online_table',
			given || jsonb_build_object('relation', online_table::oid::text));
		PERFORM featurestore._check_no_staging(online_table);
		PERFORM featurestore._create_stream(online_table);
		PERFORM featurestore._set_history(online_table, history);
	ELSIF defined = given THEN
		RAISE NOTICE 'online table % is defined already, skipping', online_table;
		PERFORM featurestore._renew_writer(online_table);
		PERFORM featurestore._set_history(online_table, history);
	ELSE
		RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
			MESSAGE = format('online table %s is defined already, differently', online_table),
			DETAIL = featurestore._difference(defined, given),
			HINT = 'Call drop_online_table first; it keeps the table.';
	END IF;
	RETURN online_table;
END
$$;
COMMENT ON FUNCTION featurestore.create_online_table(regclass, jsonb, jsonb, text, interval, boolean, boolean) IS 'registers a table of the caller as an online table';

/*
 * Forgets that online_table is an online table; the table itself stays, and its
 * history, which is no longer written; its writer function goes.  Raises 42501 unless the caller owns it, 42704 if it is
 * not registered, and 55000 if publish_table made it or it has a staging table
 * and merge rules.
 */
CREATE FUNCTION featurestore.drop_online_table(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM featurestore._check_online_table(online_table);
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', online_table);
	IF EXISTS (SELECT FROM featurestore.publication p WHERE p.relation = online_table) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('table %s is published', online_table),
			HINT = 'Call unpublish_table first.';
	END IF;
	IF NOT EXISTS (SELECT FROM featurestore.online_table o WHERE o.relation = online_table) THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object',
			MESSAGE = format('table %s is not registered as an online table', online_table);
	END IF;
	PERFORM featurestore._check_no_staging(online_table);
	PERFORM featurestore._drop_stream(online_table);
	PERFORM featurestore._end_history(online_table);
	PERFORM featurestore._remove_definition('online_table', online_table);
END
$$;
COMMENT ON FUNCTION featurestore.drop_online_table(regclass) IS 'forgets that a table is an online table; the table stays';
