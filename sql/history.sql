/*
 * Histories: what rows of online tables were, and when.
 *
 * The history of a table is an ordinary table of its owner, with a row for each
 * state that a row of the table was left in: its columns, the time from which it
 * was so, and whether the row was deleted then.  A trigger writes it (see
 * src/publish/history.c), so that nothing that changes the table is left out.
 * What ALTER TABLE does fires no trigger of a row; an event trigger lets the
 * history follow.  Versions are written before their transaction commits, so
 * that nobody has seen them at their very time, but somewhat later.
 */

/* Writes a version of each row that is left in another state; see _begin_history. */
CREATE FUNCTION featurestore._keep_history() RETURNS trigger
	AS 'MODULE_PATHNAME', 'keep_history' LANGUAGE C;
COMMENT ON FUNCTION featurestore._keep_history() IS 'internal: writes the history of an online table';

/* The history of an online table; NULL if it has none. */
CREATE FUNCTION featurestore._history_of(online_table regclass) RETURNS regclass
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (SELECT o.history_table FROM featurestore.online_table o WHERE o.relation = online_table);
END
$$;
COMMENT ON FUNCTION featurestore._history_of(regclass) IS 'internal: the history of an online table';

/*
 * Columns of an online table as its history has them: of a domain the type that
 * it is over, since the version of a deleted row has NULLs.
 */
CREATE FUNCTION featurestore._history_columns(online_table regclass) RETURNS TABLE(name text, type text, coll text, attnum smallint, attgenerated "char")
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT c.name, format_type(b.base, b.base_modifier), CASE WHEN a.attcollation <> t.typcollation THEN c.coll END, c.attnum, a.attgenerated
	FROM featurestore._columns(online_table) AS c JOIN pg_attribute a ON a.attrelid = online_table AND a.attnum = c.attnum,
		featurestore._base_type(a.atttypid, a.atttypmod) AS b JOIN pg_type t ON t.oid = b.base
	ORDER BY c.attnum;
END
$$;
COMMENT ON FUNCTION featurestore._history_columns(regclass) IS 'internal: columns of an online table as its history has them';

/* The key of a history: the primary key without the time; NULL for what is no history. */
CREATE FUNCTION featurestore._history_key(history regclass) RETURNS text[]
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (SELECT trim_array(k.columns, 1) FROM featurestore._unique_keys(history) AS k
			WHERE k.is_primary AND cardinality(k.columns) > 1 AND k.columns[cardinality(k.columns)] = '_valid_from');
END
$$;
COMMENT ON FUNCTION featurestore._history_key(regclass) IS 'internal: the key of a history';

/*
 * Has relation the shape of a history?  Nothing else is written, dropped or given
 * away for what the catalog says.
 */
CREATE FUNCTION featurestore._is_history(relation regclass) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN EXISTS (SELECT FROM pg_class WHERE oid = relation AND relkind = 'r' AND NOT relispartition AND relpersistence = 'p')
		AND featurestore._history_key(relation) IS NOT NULL
		AND (SELECT count(*) = 2 FROM featurestore._columns(relation) AS c
			 WHERE (c.name, c.type_oid) IN (('_valid_from', 'timestamptz'::regtype::oid), ('_is_deleted', 'boolean'::regtype::oid)));
END
$$;
COMMENT ON FUNCTION featurestore._is_history(regclass) IS 'internal: whether a table has the shape of a history';

/* The view over a history that says until when a version was valid; NULL if there is none. */
CREATE FUNCTION featurestore._validity_view(history regclass) RETURNS regclass
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT min(v.oid)::regclass
	FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class JOIN pg_class h ON h.oid = d.refobjid
	WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = history AND v.relkind = 'v' AND v.relowner = h.relowner
		AND starts_with(obj_description(v.oid, 'pg_class'), 'validity of versions in '));
END
$$;
COMMENT ON FUNCTION featurestore._validity_view(regclass) IS 'internal: the view that says until when versions were valid';

/* Creates that view, or gives it (is_there) the columns that the history has got. */
CREATE FUNCTION featurestore._create_validity(name text, history regclass, is_there boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	columns text := (SELECT string_agg(quote_ident(c.name), ', ' ORDER BY c.attnum) FROM featurestore._columns(history) AS c WHERE c.name NOT IN ('_valid_from', '_is_deleted'));
BEGIN
	EXECUTE format('CREATE %5$s VIEW %1$s AS SELECT _valid_from, _valid_to, %2$s FROM (SELECT _valid_from,'
				   ' lead(_valid_from, 1, timestamptz ''infinity'') OVER (PARTITION BY %3$s ORDER BY _valid_from) AS _valid_to, _is_deleted, %2$s FROM %4$s) AS version WHERE NOT _is_deleted',
				   name, columns, featurestore._column_list(featurestore._history_key(history)), featurestore._relation_name(history),
				   CASE WHEN is_there THEN 'OR REPLACE' ELSE '' END);
	EXECUTE format('COMMENT ON VIEW %s IS %L', name, format('validity of versions in %s', history));
END
$$;
COMMENT ON FUNCTION featurestore._create_validity(text, regclass, boolean) IS 'internal: creates the view that says until when versions were valid';

/* What a history may not have, since its versions are written without it, or by others than its owner; as part of a sentence, NULL for none. */
CREATE FUNCTION featurestore._history_obstacle(history regclass) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN CASE
		WHEN EXISTS (SELECT FROM pg_trigger WHERE tgrelid = history) THEN 'triggers or foreign keys'
		WHEN EXISTS (SELECT FROM pg_rewrite WHERE ev_class = history) THEN 'rules'
		WHEN EXISTS (SELECT FROM pg_constraint WHERE conrelid = history AND contype = 'c') THEN 'check constraints'
		WHEN EXISTS (SELECT FROM pg_attrdef WHERE adrelid = history) THEN 'columns with defaults, or that are generated'
		WHEN EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = history AND t.typtype = 'd') THEN 'columns of domain types'
		WHEN EXISTS (SELECT FROM pg_index WHERE indrelid = history AND (indexprs IS NOT NULL OR indpred IS NOT NULL)) THEN 'indexes with expressions or predicates'
		WHEN EXISTS (SELECT FROM pg_class WHERE oid = history AND relrowsecurity) THEN 'row-level security' END;
END
$$;
COMMENT ON FUNCTION featurestore._history_obstacle(regclass) IS 'internal: what a history may not have';

/*
 * Writes a version at the time "at" for each row that is in another state than
 * the history has it, and for each that is gone: all rows, when it begins.  It
 * sees all that is committed, whatever the isolation level, since nobody will
 * write later what it does not see.  Gives "at", or the time of the last version
 * if that is later.  Raises 55000 if that would run what the owner of the history
 * wrote.
 */
CREATE FUNCTION featurestore._catch_up_history(online_table regclass, history regclass, at timestamptz) RETURNS timestamptz
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET row_security = off
	AS $$
DECLARE
	key text[] := featurestore._history_key(history);
	obstacle text := featurestore._history_obstacle(history);
	parts record;
BEGIN
	IF obstacle IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('history of table %s cannot be written', online_table),
			DETAIL = format('Table %s has %s.', history, obstacle);
	END IF;
	SELECT featurestore._column_list(array_agg(c.name)) AS columns, string_agg(format('online.%I::%s', c.name, c.type), ', ') AS stored,
		featurestore._column_list(array_agg(c.name), 'newest') AS known,
		string_agg(CASE WHEN c.name = ANY (key) THEN format('newest.%I', c.name) ELSE format('NULL::%s', c.type) END, ', ') AS gone
	INTO parts FROM featurestore._history_columns(online_table) AS c;
	RETURN (featurestore._merge_together(ARRAY[format($catch_up$WITH newest AS (SELECT DISTINCT ON (%1$s) version.* FROM %2$s AS version ORDER BY %1$s, version._valid_from DESC),
		written AS (INSERT INTO %2$s (%3$s, _valid_from, _is_deleted)
		SELECT %4$s, greatest($1, newest._valid_from + interval '1 microsecond'), false FROM ONLY %5$s AS online LEFT JOIN newest ON %6$s
		WHERE newest._is_deleted IS NOT FALSE OR ROW(%4$s)::record OPERATOR(pg_catalog.*<>) ROW(%7$s)::record
		UNION ALL
		SELECT %8$s, greatest($1, newest._valid_from + interval '1 microsecond'), true FROM newest
		WHERE NOT newest._is_deleted AND NOT EXISTS (SELECT FROM ONLY %5$s AS online WHERE %6$s)
		RETURNING _valid_from)
		SELECT to_jsonb(greatest($1, (SELECT max(_valid_from) FROM newest), (SELECT max(_valid_from) FROM written)))$catch_up$,
		featurestore._column_list(key, 'version'), history, parts.columns, parts.stored, online_table,
		featurestore._key_condition(online_table, key, 'newest', 'online'), parts.known, parts.gone)], at, true))[1] #>> '{}';
END
$$;
COMMENT ON FUNCTION featurestore._catch_up_history(regclass, regclass, timestamptz) IS 'internal: lets a history say what its table holds';

/* Raises an error unless a history can be kept of online_table: 0A000 and 55000, and 42701 for a column that is named as one of a history's own. */
CREATE FUNCTION featurestore._check_history_possible(online_table regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	key text[] := (SELECT k.columns FROM featurestore._unique_keys(online_table) AS k LIMIT 1);
	bad text;
BEGIN
	IF EXISTS (SELECT FROM pg_class WHERE oid = online_table AND (relkind <> 'r' OR relispartition OR relhassubclass)) THEN
		RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
			MESSAGE = format('a history of table %s cannot be kept', online_table),
			DETAIL = 'It is a partitioned table or has inheritance children, whose rows can change without it.';
	END IF;
	IF EXISTS (SELECT FROM pg_class WHERE oid = online_table AND relpersistence <> 'p') THEN
		RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
			MESSAGE = format('a history of table %s cannot be kept', online_table),
			DETAIL = 'It is an unlogged or temporary table, whose rows are lost without it.';
	END IF;
	SELECT a.attname INTO bad FROM pg_attribute a
	WHERE a.attrelid = online_table AND a.attname = ANY (key) AND NOT a.attnotnull ORDER BY a.attnum LIMIT 1;
	IF FOUND OR key IS NULL OR featurestore._unique_index(online_table, key) IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('a history of table %s cannot be kept', online_table),
			DETAIL = coalesce(format('Its key column "%s" can be null.', bad), 'It has no unique key that compares its columns as they do by default.'),
			HINT = coalesce(format('Make it NOT NULL: ALTER TABLE %s ALTER COLUMN %I SET NOT NULL.', online_table, bad), 'Add a primary key over the columns it is looked up by.');
	END IF;
	SELECT c.name INTO bad FROM featurestore._history_columns(online_table) AS c WHERE c.attgenerated = 'v' ORDER BY c.attnum LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
			MESSAGE = format('a history of table %s cannot be kept', online_table),
			DETAIL = format('Its column "%s" is computed when it is read.', bad),
			HINT = 'Let it be stored: GENERATED ALWAYS AS ... STORED.';
	END IF;
	SELECT c.name INTO bad FROM featurestore._history_columns(online_table) AS c
	WHERE c.name IN ('_valid_from', '_valid_to', '_is_deleted') ORDER BY c.attnum LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_column',
			MESSAGE = format('column "%s" of table %s has the name of one that its history has', bad, online_table),
			HINT = 'Rename it.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_history_possible(regclass) IS 'internal: raises an error unless a history can be kept';

/*
 * Raises 42P07 unless a relation that has the name of a history can be taken up
 * as that of online_table: it must be one, of the same owner, key and columns,
 * that runs nothing when it is written to.
 */
CREATE FUNCTION featurestore._check_history_usable(online_table regclass, history regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	class pg_class := (SELECT c FROM pg_class c WHERE c.oid = history);
	bad text := (SELECT c.name FROM featurestore._history_columns(online_table) AS c
				 LEFT JOIN featurestore._columns(history) AS h ON h.name = c.name AND h.type = c.type WHERE h.name IS NULL ORDER BY c.attnum LIMIT 1);
	reason text;
BEGIN
	reason := CASE
		WHEN NOT featurestore._is_history(history) THEN 'It is not a history.'
		WHEN class.relowner <> (SELECT relowner FROM pg_class WHERE oid = online_table) THEN 'It has another owner.'
		WHEN EXISTS (SELECT FROM featurestore.online_table o WHERE o.history_table = history AND o.relation <> online_table) THEN 'It is the history of another table.'
		WHEN bad IS NOT NULL THEN format('It has no column "%s" of the type that the table has.', bad)
		WHEN NOT featurestore._history_key(history) = (SELECT k.columns FROM featurestore._unique_keys(online_table) AS k LIMIT 1) THEN 'It has another key.'
		WHEN featurestore._history_obstacle(history) IS NOT NULL THEN format('It has %s.', featurestore._history_obstacle(history)) END;
	IF reason IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
			MESSAGE = format('relation %s already exists', history),
			DETAIL = format('It has the name of the history of %s, but cannot be taken up. %s', online_table, reason),
			HINT = 'Rename or drop it.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_history_usable(regclass, regclass) IS 'internal: raises an error unless a table can be taken up as a history';

/* Creates an empty history of a table, with the owner of that, under name. */
CREATE FUNCTION featurestore._create_history(name text, online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	key text[] := (SELECT k.columns FROM featurestore._unique_keys(online_table) AS k LIMIT 1);
BEGIN
	EXECUTE format('CREATE TABLE %s (%s, _valid_from timestamptz NOT NULL, _is_deleted boolean NOT NULL, PRIMARY KEY (%s, _valid_from))', name,
		(SELECT string_agg(concat_ws(' ', quote_ident(c.name), c.type, 'COLLATE ' || c.coll), ', ' ORDER BY c.attnum) FROM featurestore._history_columns(online_table) AS c),
		featurestore._column_list(key));
	EXECUTE format('COMMENT ON TABLE %s IS %L', name, format('history of %s', online_table));
	EXECUTE format('COMMENT ON COLUMN %s._valid_from IS %L', name, 'time from which on the row was so');
	EXECUTE format('COMMENT ON COLUMN %s._is_deleted IS %L', name, 'whether there was no such row from then on');
END
$$;
COMMENT ON FUNCTION featurestore._create_history(text, regclass) IS 'internal: creates the history of a table';

/* Stores where the history of a table is, and since when it is complete; NULLs for none. */
CREATE FUNCTION featurestore._store_history(online_table regclass, history regclass, history_from timestamptz) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM featurestore._store_definition('online_table',
		coalesce((SELECT to_jsonb(o) FROM featurestore.online_table o WHERE o.relation = online_table),
				 jsonb_build_object('merge', '{}'::jsonb, 'outputs', '{}'::jsonb, 'allow_duplicates', false))
		|| jsonb_build_object('relation', online_table::oid::text, 'history_table', history::oid::text, 'history_from', history_from));
END
$$;
COMMENT ON FUNCTION featurestore._store_history(regclass, regclass, timestamptz) IS 'internal: stores where a history is';

/* Is a trigger one of the two by which a history is kept, as _begin_history makes them?  These are known by their function. */
CREATE FUNCTION featurestore._is_history_trigger(t pg_trigger) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	/* AFTER INSERT OR UPDATE OR DELETE ... FOR EACH ROW, and BEFORE TRUNCATE */
	RETURN t.tgfoid = 'featurestore._keep_history()'::regprocedure AND t.tgtype IN (29, 34)
		AND t.tgqual IS NULL AND t.tgattr::text = '' AND NOT t.tgdeferrable;
END
$$;
COMMENT ON FUNCTION featurestore._is_history_trigger(pg_trigger) IS 'internal: whether a trigger writes a history';

/*
 * The triggers by which a history is kept: how many of the two there are, fire in
 * ordinary sessions, and in all.
 */
CREATE FUNCTION featurestore._history_triggers(online_table regclass, OUT present bigint, OUT firing bigint, OUT always bigint) RETURNS record
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	SELECT count(DISTINCT tgtype), count(DISTINCT tgtype) FILTER (WHERE tgenabled IN ('O', 'A')), count(DISTINCT tgtype) FILTER (WHERE tgenabled = 'A') INTO present, firing, always
	FROM pg_trigger t WHERE tgrelid = online_table AND featurestore._is_history_trigger(t);
END
$$;
COMMENT ON FUNCTION featurestore._history_triggers(regclass) IS 'internal: the triggers that write a history';

/*
 * Notes that a history is not written any more, since its triggers do not fire: it
 * says nothing that can be relied on until it is begun again.
 */
CREATE FUNCTION featurestore._interrupt_history(online_table regclass, history regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF EXISTS (SELECT FROM featurestore.online_table o WHERE o.relation = online_table AND o.history_from < 'infinity') THEN
		PERFORM featurestore._store_history(online_table, history, 'infinity');
		RAISE WARNING 'history of table % is interrupted', online_table
			USING DETAIL = 'Its triggers do not fire.', HINT = 'It counts again from the time on when they do: enable them, or begin it again.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._interrupt_history(regclass, regclass) IS 'internal: notes that a history is not written any more';

/* Writes what a history has missed, and counts it from now on; or later, should the clock have gone back since a time in it. */
CREATE FUNCTION featurestore._resume_history(online_table regclass, history regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM featurestore._store_history(online_table, history, featurestore._catch_up_history(online_table, history, clock_timestamp()));
END
$$;
COMMENT ON FUNCTION featurestore._resume_history(regclass, regclass) IS 'internal: counts a history from now on';

/* Lets the triggers that write a history fire in all sessions, those that replicate as well. */
CREATE FUNCTION featurestore._enable_history_triggers(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	EXECUTE format('ALTER TABLE %s %s', online_table, (SELECT string_agg(format('ENABLE ALWAYS TRIGGER %I', tgname), ', ')
		FROM pg_trigger WHERE tgrelid = online_table AND tgfoid = 'featurestore._keep_history()'::regprocedure));
END
$$;
COMMENT ON FUNCTION featurestore._enable_history_triggers(regclass) IS 'internal: lets the triggers that write a history fire';

/* Drops the triggers that write a history. */
CREATE FUNCTION featurestore._drop_history_triggers(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	trigger name;
BEGIN
	FOR trigger IN SELECT tgname FROM pg_trigger WHERE tgrelid = online_table AND tgfoid = 'featurestore._keep_history()'::regprocedure LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', trigger, online_table);
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._drop_history_triggers(regclass) IS 'internal: drops the triggers that write a history';

/*
 * Begins to keep the history of online_table, which the caller owns: all of its
 * rows become versions.  A history of it that was ended before is taken up again,
 * but since nobody knows what happened meanwhile, it counts from now on only.
 */
CREATE FUNCTION featurestore._begin_history(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	class pg_class := (SELECT c FROM pg_class c WHERE c.oid = online_table);
	view_name text := format('%s.%I', class.relnamespace::regnamespace, class.relname || '_validity');
	name text := format('%s.%I', class.relnamespace::regnamespace, class.relname || '_history');
	history regclass := featurestore._history_of(online_table);
BEGIN
	PERFORM featurestore._object_name('online_table', view_name, NULL);
	history := coalesce(history, to_regclass(name));
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', online_table);
	PERFORM featurestore._check_history_possible(online_table);
	IF history IS NULL THEN
		PERFORM featurestore._create_history(name, online_table);
		history := name::regclass;
	ELSE
		EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', history);
		PERFORM featurestore._check_history_usable(online_table, history);
		PERFORM featurestore._mark_lost_columns(online_table, history);
		RAISE NOTICE 'history % is taken up again', history USING DETAIL = 'What it says of the past has a gap, so that it counts from now on only.';
	END IF;
	EXECUTE format('ALTER TABLE %s OWNER TO %s', history, class.relowner::regrole);
	IF featurestore._validity_view(history) IS NULL THEN
		PERFORM featurestore._create_validity(view_name, history, false);
		EXECUTE format('ALTER VIEW %s OWNER TO %s', view_name, class.relowner::regrole);
	END IF;

	PERFORM featurestore._drop_history_triggers(online_table);
	EXECUTE format('CREATE TRIGGER featurestore_history AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION featurestore._keep_history()', online_table);
	EXECUTE format('CREATE TRIGGER featurestore_history_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION featurestore._keep_history()', online_table);
	PERFORM featurestore._enable_history_triggers(online_table);

	PERFORM featurestore._resume_history(online_table, history);
END
$$;
COMMENT ON FUNCTION featurestore._begin_history(regclass) IS 'internal: begins to keep the history of a table';

/* Ends the history of online_table, which the caller owns; what it says of the past stays. */
CREATE FUNCTION featurestore._end_history(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	history regclass := featurestore._history_of(online_table);
BEGIN
	IF history IS NOT NULL THEN
		/* as the drop of a trigger will */
		EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', online_table);
		PERFORM featurestore._store_history(online_table, NULL, NULL);
		RAISE NOTICE 'changes of table % are no longer kept in %', online_table, history USING DETAIL = 'The history stays as it is.';
	END IF;
	PERFORM featurestore._drop_history_triggers(online_table);
	/* a published table is in this catalog only for what it says besides */
	IF EXISTS (SELECT FROM featurestore.publication p WHERE p.relation = online_table)
		AND EXISTS (SELECT FROM featurestore.online_table o WHERE o.relation = online_table AND num_nonnulls(o.timeseries_column, o.ttl) = 0) THEN
		PERFORM featurestore._remove_definition('online_table', online_table);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._end_history(regclass) IS 'internal: ends the history of a table';

/* Begins or ends the history of a table as wanted, or begins one again that was interrupted; NULL: leaves it. */
CREATE FUNCTION featurestore._set_history(online_table regclass, wanted boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	is_kept boolean := featurestore._history_of(online_table) IS NOT NULL;
BEGIN
	IF wanted AND (NOT is_kept OR (SELECT t.always < 2 FROM featurestore._history_triggers(online_table) AS t)) THEN
		PERFORM featurestore._begin_history(online_table);
	ELSIF NOT wanted AND is_kept THEN
		PERFORM featurestore._end_history(online_table);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._set_history(regclass, boolean) IS 'internal: begins or ends the history of a table';

/*
 * Gives a column of a history, and of its view, the new name that a column of the
 * table has got.  Which one it was is told by the type, as long as there is only
 * one that the table has not; else 0A000.
 */
CREATE FUNCTION featurestore._rename_history_column(online_table regclass, history regclass, renamed int) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	col record;
	old_names text[];
	view_name regclass := featurestore._validity_view(history);
BEGIN
	SELECT * INTO col FROM featurestore._history_columns(online_table) AS c WHERE c.attnum = renamed;
	old_names := ARRAY(SELECT h.name FROM featurestore._columns(history) AS h
					   WHERE h.type = col.type AND h.name NOT IN (SELECT c.name FROM featurestore._columns(online_table) AS c UNION ALL VALUES ('_valid_from'), ('_is_deleted')));
	IF cardinality(old_names) <> 1 OR col.name = '_valid_to' OR col.name IN (SELECT h.name FROM featurestore._columns(history) AS h) THEN
		RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
			MESSAGE = format('column "%s" of table %s cannot be renamed so while its history is kept', col.name, online_table),
			DETAIL = CASE WHEN cardinality(old_names) = 1 THEN 'The history has a column of this name.'
						  ELSE format('Its history has several columns that the table has not any more: %s.', array_to_string(old_names, ', ')) END,
			HINT = 'End the history, rename the column in both, and begin it again.';
	END IF;
	EXECUTE format('ALTER TABLE %s RENAME COLUMN %I TO %I', history, old_names[1], col.name);
	IF view_name IS NOT NULL THEN
		EXECUTE format('ALTER VIEW %s RENAME COLUMN %I TO %I', view_name, old_names[1], col.name);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._rename_history_column(regclass, regclass, int) IS 'internal: lets a history follow a renamed column';

/* Columns of a table that its history has not. */
CREATE FUNCTION featurestore._new_columns(online_table regclass, history regclass) RETURNS text[]
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN ARRAY(SELECT c.name FROM featurestore._history_columns(online_table) AS c
				 WHERE c.name NOT IN (SELECT h.name FROM featurestore._columns(history) AS h) ORDER BY c.attnum);
END
$$;
COMMENT ON FUNCTION featurestore._new_columns(regclass, regclass) IS 'internal: columns of a table that its history has not';

/* The comment on a column of a history that its table has not any more. */
CREATE FUNCTION featurestore._lost_column_comment() RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT 'column that the table has not any more' $$;
COMMENT ON FUNCTION featurestore._lost_column_comment() IS 'internal: the comment on a column of a history that was dropped from its table';

/*
 * Marks the columns of a history that its table has lost: its last values of them
 * are not those of a column that is added under such a name.
 */
CREATE FUNCTION featurestore._mark_lost_columns(online_table regclass, history regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	col text;
BEGIN
	FOR col IN SELECT h.name FROM featurestore._columns(history) AS h
			   WHERE h.name NOT IN (SELECT c.name FROM featurestore._columns(online_table) AS c UNION ALL VALUES ('_valid_from'), ('_is_deleted'))
				   AND col_description(history, h.attnum) IS DISTINCT FROM featurestore._lost_column_comment() LOOP
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', history, col, featurestore._lost_column_comment());
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._mark_lost_columns(regclass, regclass) IS 'internal: marks the columns of a history that its table has lost';

/*
 * Marks those that are being dropped: at the end of the command another may have
 * the name.  For _forget_dropped.
 */
CREATE FUNCTION featurestore._mark_dropped_columns() RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	lost record;
BEGIN
	FOR lost IN SELECT o.history_table, h.name FROM pg_event_trigger_dropped_objects() AS d
				JOIN featurestore.online_table o ON o.relation = d.objid AND o.history_table IS NOT NULL,
				featurestore._columns(o.history_table) AS h
				WHERE d.object_type = 'table column' AND h.name = d.address_names[3] AND h.name NOT IN ('_valid_from', '_is_deleted') LOOP
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', lost.history_table, lost.name, featurestore._lost_column_comment());
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._mark_dropped_columns() IS 'internal: marks the columns of histories that are dropped from their tables';

/* Has this transaction written a table anew, as ALTER TABLE does that changes values? */
CREATE FUNCTION featurestore._is_rewritten(relation regclass) RETURNS boolean
	AS 'MODULE_PATHNAME', 'is_rewritten' LANGUAGE C STRICT;
COMMENT ON FUNCTION featurestore._is_rewritten(regclass) IS 'internal: whether this transaction has written a table anew';

/*
 * Gives a history, and its view, columns that its table has got, and marks those
 * that it has lost.  True if rows differ now from what the newest versions say.
 */
CREATE FUNCTION featurestore._add_history_columns(online_table regclass, history regclass) RETURNS boolean
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET row_security = off
	AS $$
DECLARE
	view_name regclass := featurestore._validity_view(history);
	col text;
	added text[] := featurestore._new_columns(online_table, history);
	returned text[];
	is_changed boolean;
BEGIN
	returned := ARRAY(SELECT h.name FROM featurestore._columns(history) AS h
					  WHERE h.name IN (SELECT c.name FROM featurestore._columns(online_table) AS c) AND col_description(history, h.attnum) = featurestore._lost_column_comment());
	FOREACH col IN ARRAY returned LOOP
		EXECUTE format('COMMENT ON COLUMN %s.%I IS NULL', history, col);
	END LOOP;
	PERFORM featurestore._mark_lost_columns(online_table, history);
	is_changed := returned <> '{}';
	IF added <> '{}' THEN
		EXECUTE format('ALTER TABLE %s %s', history, (
			SELECT string_agg(concat_ws(' ', 'ADD COLUMN', quote_ident(c.name), c.type, 'COLLATE ' || c.coll), ', ' ORDER BY c.attnum)
			FROM featurestore._history_columns(online_table) AS c WHERE c.name = ANY (added)));
		IF view_name IS NOT NULL THEN
			PERFORM featurestore._create_validity(view_name::text, history, true);
		END IF;
		IF NOT is_changed THEN
			is_changed := (featurestore._merge_together(ARRAY[
				format('SELECT to_jsonb(EXISTS (SELECT FROM ONLY %s AS online WHERE num_nonnulls(%s) > 0))', online_table, featurestore._column_list(added, 'online'))],
				clock_timestamp(), true))[1]::boolean;
		END IF;
	END IF;
	RETURN is_changed;
END
$$;
COMMENT ON FUNCTION featurestore._add_history_columns(regclass, regclass) IS 'internal: lets a history follow the columns of its table';

/*
 * Lets the history of a table follow what ALTER TABLE has done to that, or checks
 * what it has done to the history (only_check).  It takes the owner, columns that
 * were added, with their values, and values that were changed.  Columns that were
 * dropped stay in the history.  While its triggers are disabled it is interrupted.
 * Raises 0A000 for another type, 55000 if the history has lost what it needs.
 */
CREATE FUNCTION featurestore._fit_history(online_table regclass, history regclass, only_check boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET row_security = off
	AS $$
DECLARE
	owner regrole := (SELECT relowner FROM pg_class WHERE oid = online_table);
	view_name regclass;
	bad record;
	obstacle text;
	is_changed boolean;
	triggers record := featurestore._history_triggers(online_table);
BEGIN
	/* a dump restores keys one after the other, and triggers last */
	IF triggers.present < 2 OR (NOT only_check AND NOT featurestore._is_history(history)) THEN
		RETURN;
	ELSIF NOT only_check AND triggers.firing < 2 THEN
		PERFORM featurestore._interrupt_history(online_table, history);
		RETURN;
	ELSIF NOT only_check AND triggers.always < 2 THEN
		/* which comes here again */
		PERFORM featurestore._enable_history_triggers(online_table);
		RETURN;
	END IF;
	obstacle := CASE
		WHEN NOT featurestore._is_history(history) OR (only_check AND featurestore._new_columns(online_table, history) <> '{}')
			OR NOT featurestore._history_key(history) <@ ARRAY(SELECT c.name FROM featurestore._columns(online_table) AS c) THEN format('Table %s could not be written any more.', history)
		WHEN (SELECT relpersistence <> 'p' FROM pg_class WHERE oid = online_table) THEN 'In a crash an unlogged table loses its rows, and its history does not know of it.' END;
	IF obstacle IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('table %s would lose its history', online_table),
			DETAIL = obstacle,
			HINT = 'End the history first: see alter_publication and drop_online_table.';
	END IF;
	view_name := featurestore._validity_view(history);
	IF NOT only_check AND owner <> (SELECT relowner FROM pg_class WHERE oid = history) THEN
		EXECUTE format('ALTER TABLE %s OWNER TO %s', history, owner);
		IF view_name IS NOT NULL THEN
			EXECUTE format('ALTER VIEW %s OWNER TO %s', view_name, owner);
		END IF;
	END IF;

	SELECT c.name, c.type, h.type AS kept_type INTO bad
	FROM featurestore._history_columns(online_table) AS c LEFT JOIN featurestore._columns(history) AS h USING (name)
	WHERE h.type <> c.type OR c.attgenerated = 'v' OR c.name IN ('_valid_from', '_valid_to', '_is_deleted') ORDER BY c.attnum LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
			MESSAGE = format('table %s cannot be altered so while its history is kept', online_table),
			DETAIL = CASE WHEN bad.kept_type <> bad.type THEN format('Column "%s" would be of type %s, in the history it is of type %s.', bad.name, bad.type, bad.kept_type)
						  ELSE format('The history cannot have column "%s".', bad.name) END,
			HINT = 'End the history, alter both tables, and begin it again.';
	END IF;

	is_changed := featurestore._add_history_columns(online_table, history) OR (NOT only_check AND featurestore._is_rewritten(online_table));
	IF NOT only_check AND EXISTS (SELECT FROM featurestore.online_table o WHERE o.relation = online_table AND o.history_from = 'infinity') THEN
		PERFORM featurestore._resume_history(online_table, history);
	ELSIF is_changed THEN
		PERFORM featurestore._catch_up_history(online_table, history, clock_timestamp());
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._fit_history(regclass, regclass, boolean) IS 'internal: lets a history follow an altered table';

/* Raises 0A000 if a table has become an inheritance child of one with a history, or of a history. */
CREATE FUNCTION featurestore._check_history_children(children oid[]) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad record;
BEGIN
	SELECT i.inhrelid::regclass AS child, i.inhparent::regclass AS parent INTO bad
	FROM pg_inherits i JOIN featurestore.online_table o ON i.inhparent IN (o.relation, o.history_table)
	WHERE i.inhrelid = ANY (children) AND o.history_table IS NOT NULL ORDER BY i.inhrelid LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
			MESSAGE = format('table %s cannot inherit from table %s', bad.child, bad.parent),
			DETAIL = 'A history is kept, and rows of inheritance children can change without it.',
			HINT = 'End the history first: see alter_publication and drop_online_table.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_history_children(oid[]) IS 'internal: refuses inheritance children of tables with histories';

/*
 * Lets histories follow tables that are altered, and notes whose triggers are
 * dropped or replaced; with the rights of who alters them, since that may evaluate
 * what their owner wrote.
 */
CREATE FUNCTION featurestore._follow_history() RETURNS event_trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	altered record;
BEGIN
	IF tg_tag IN ('CREATE TABLE', 'CREATE FOREIGN TABLE', 'ALTER TABLE', 'ALTER FOREIGN TABLE') THEN
		PERFORM featurestore._check_history_children(ARRAY(SELECT c.objid FROM pg_event_trigger_ddl_commands() AS c WHERE c.classid = 'pg_class'::regclass));
	END IF;
	FOR altered IN
		SELECT o.relation, o.history_table, c.objsubid, c.object_type = 'table column' AND c.objid = o.relation AS is_renamed, c.objid = o.history_table AS is_history FROM pg_event_trigger_ddl_commands() AS c
		JOIN featurestore.online_table o ON c.objid IN (o.relation, o.history_table) WHERE o.history_table IS NOT NULL
	LOOP
		IF altered.is_renamed THEN
			PERFORM featurestore._rename_history_column(altered.relation, altered.history_table, altered.objsubid);
		END IF;
		PERFORM featurestore._fit_history(altered.relation, altered.history_table, altered.is_history);
	END LOOP;
	/* a dump restores the triggers one after the other: it makes none that is another by the name of one of them */
	FOR altered IN
		SELECT o.relation, o.history_table, featurestore._is_history_trigger(t) AS is_kept, n.present, n.always
		FROM pg_event_trigger_ddl_commands() AS c JOIN pg_trigger t ON c.classid = 'pg_trigger'::regclass AND t.oid = c.objid
		JOIN featurestore.online_table o ON o.relation = t.tgrelid, featurestore._history_triggers(o.relation) AS n
		WHERE t.tgname IN ('featurestore_history', 'featurestore_history_truncate') AND o.history_from < 'infinity'
	LOOP
		IF altered.present < 2 AND NOT altered.is_kept THEN
			PERFORM featurestore._interrupt_history(altered.relation, altered.history_table);
		ELSIF altered.present = 2 AND altered.always < 2 THEN
			PERFORM featurestore._enable_history_triggers(altered.relation);
		END IF;
	END LOOP;
	IF tg_tag = 'DROP TRIGGER' THEN
		PERFORM featurestore._interrupt_history(o.relation, o.history_table) FROM featurestore.online_table o JOIN pg_class c ON c.oid = o.relation
		WHERE o.history_table IS NOT NULL AND pg_has_role(c.relowner, 'USAGE') AND (SELECT t.present < 2 FROM featurestore._history_triggers(o.relation) AS t);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._follow_history() IS 'internal: lets histories follow altered tables';
REVOKE ALL ON FUNCTION featurestore._follow_history() FROM PUBLIC;

CREATE EVENT TRIGGER featurestore_follow_history ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'ALTER FOREIGN TABLE', 'CREATE TABLE', 'CREATE FOREIGN TABLE', 'CREATE TRIGGER', 'DROP TRIGGER')
	EXECUTE FUNCTION featurestore._follow_history();
COMMENT ON EVENT TRIGGER featurestore_follow_history IS 'lets histories follow altered tables';

/*
 * Drops a history and its view, after its table; if it cannot be had, or something
 * depends on it, it stays and a WARNING says so.  Runs nothing of its owner's.
 */
CREATE FUNCTION featurestore._drop_history(history regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	view_name regclass := featurestore._validity_view(history);
BEGIN
	IF NOT featurestore._is_history(history) THEN
		RETURN;
	END IF;
	IF NOT featurestore._try_lock_tree(history, 'ACCESS EXCLUSIVE') THEN
		RAISE lock_not_available USING MESSAGE = format('table %s is in use', history);
	END IF;
	IF view_name IS NOT NULL THEN
		EXECUTE format('DROP VIEW %s', view_name);
	END IF;
	EXECUTE format('DROP TABLE %s', history);
EXCEPTION WHEN lock_not_available OR object_in_use OR dependent_objects_still_exist OR insufficient_privilege THEN
	RAISE WARNING USING MESSAGE = format('history %s is not written any more, but could not be dropped', history),
		DETAIL = initcap(left(sqlerrm, 1)) || substr(sqlerrm, 2) || '.',
		HINT = format('Drop it: DROP TABLE %s.', history);
END
$$;
COMMENT ON FUNCTION featurestore._drop_history(regclass) IS 'internal: drops a history if it can be had';

/* Forgets histories that are among dropped, and drops those of tables that are.  Runs as the extension's owner. */
CREATE FUNCTION featurestore._forget_histories(dropped oid[]) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	online featurestore.online_table;
BEGIN
	FOR online IN SELECT * FROM featurestore.online_table o WHERE ARRAY[o.relation, o.history_table]::oid[] && dropped AND o.history_table IS NOT NULL ORDER BY o.relation LOOP
		UPDATE featurestore.online_table o SET history_table = NULL, history_from = NULL WHERE o.relation = online.relation;
		IF online.history_table <> ALL (dropped) THEN
			PERFORM featurestore._drop_history(online.history_table);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._forget_histories(oid[]) IS 'internal: forgets histories of dropped relations';

/* How long versions are kept that are not valid any more; NULL: forever. */
CREATE FUNCTION featurestore._history_retention() RETURNS interval
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT nullif(current_setting('featurestore.history_retention', true)::interval, interval '0') $$;
COMMENT ON FUNCTION featurestore._history_retention() IS 'internal: how long versions are kept';

/*
 * Online tables of the current user with a history that has older versions than
 * are kept.  It is worth the look at all versions when these are somewhat more.
 */
CREATE FUNCTION featurestore._due_histories() RETURNS SETOF regclass
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN QUERY
	SELECT o.relation FROM featurestore.online_table o JOIN pg_class c ON c.oid = o.relation, featurestore._history_retention() AS retention
	WHERE o.history_table IS NOT NULL AND pg_has_role(c.relowner, 'USAGE')
		AND o.history_from < clock_timestamp() - retention - greatest(retention / 20, interval '1 min')
	ORDER BY o.relation;
END
$$;
COMMENT ON FUNCTION featurestore._due_histories() IS 'internal: tables with versions that are not kept any longer';

/*
 * One step of pruning a history, by its owner: deletes those among the versions
 * in some blocks from first_block on that ended before the time from which the
 * history is to be complete.  The version of then stays, unless there was no row,
 * and nothing is left that would have to be told from that.  The first step moves
 * that time on.  Gives the block to go on with, NULL when all is done.
 */
CREATE FUNCTION featurestore._prune_history(online_table regclass, first_block bigint) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET row_security = off
	AS $$
DECLARE
	blocks CONSTANT bigint := 4096;
	online featurestore.online_table := (SELECT o FROM featurestore.online_table o WHERE o.relation = online_table);
	history regclass := online.history_table;
	horizon timestamptz := online.history_from;
	key text[] := featurestore._history_key(history);
BEGIN
	/* one that was interrupted or begun anew, maybe since the last step, has nothing that is older than is kept */
	IF history IS NULL OR NOT featurestore._is_history(history) OR (horizon < clock_timestamp() - featurestore._history_retention()) IS NOT TRUE THEN
		RETURN NULL;
	END IF;
	IF first_block = 0 THEN
		horizon := clock_timestamp() - featurestore._history_retention();
		PERFORM featurestore._store_history(online_table, history, horizon);
	END IF;
	EXECUTE format($prune$DELETE FROM ONLY %1$s AS version WHERE version.ctid >= '(%2$s,0)' AND version.ctid < '(%3$s,0)' AND version._valid_from <= $1 AND (
			EXISTS (SELECT FROM ONLY %1$s AS later WHERE %4$s AND later._valid_from > version._valid_from AND later._valid_from <= $1)
			OR (version._is_deleted AND NOT EXISTS (SELECT FROM ONLY %1$s AS earlier WHERE %5$s AND earlier._valid_from < version._valid_from)))$prune$,
		history, first_block, first_block + blocks, featurestore._key_condition(online_table, key, 'later', 'version'),
		featurestore._key_condition(online_table, key, 'earlier', 'version')) USING horizon;
	RETURN CASE WHEN (first_block + blocks) * current_setting('block_size')::bigint < pg_relation_size(history) THEN first_block + blocks END;
END
$$;
COMMENT ON FUNCTION featurestore._prune_history(regclass, bigint) IS 'internal: one step of pruning a history';
