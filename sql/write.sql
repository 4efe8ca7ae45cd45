/*
 * Direct writes: rows that applications write to online tables, by the merge
 * rules of their columns.
 *
 * A write runs with the rights of its caller, as the INSERT ... ON CONFLICT that
 * it is.  What is wrong with one row is told to the writer, and nothing of the
 * batch is written; so no row is lost without somebody knowing.
 */
CREATE TYPE featurestore.write_result AS (
	rows_given bigint,
	rows_written bigint,
	is_repeat boolean
);
COMMENT ON TYPE featurestore.write_result IS 'what became of a batch of rows';
COMMENT ON COLUMN featurestore.write_result.rows_given IS 'rows of the batch';
COMMENT ON COLUMN featurestore.write_result.rows_written IS 'rows of the table that were inserted or updated';
COMMENT ON COLUMN featurestore.write_result.is_repeat IS 'whether the batch had been written before, so that nothing was done';

/* 128 bits by which the content of a batch is told from another; NULLs count for nothing. */
CREATE FUNCTION featurestore._digest(VARIADIC "values" "any") RETURNS bytea
	AS 'MODULE_PATHNAME', 'rows_digest' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._digest("any") IS 'internal: tells batches of rows apart';

/*
 * Begins to write a batch: false if it has been written before.  A batch_id that
 * is not NULL is kept with digest and rows, for the transaction.  Until the
 * caller, a function with settings, ends, columns with merge rules can be updated.
 * Raises 42P01, 42704 and 55000 for a table that cannot be written directly,
 * 42501 unless the user may insert rows, 22023 for a bad batch_id, and 23505 for one
 * of a batch with other rows.
 */
CREATE FUNCTION featurestore._begin_write(online_table regclass, batch_id text, digest bytea, rows bigint) RETURNS boolean
	AS 'MODULE_PATHNAME', 'begin_write' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._begin_write(regclass, text, bytea, bigint) IS 'internal: begins to write a batch';

/* Trigger: raises 55000 for an update of a column that is merged, but for those of writers. */
CREATE FUNCTION featurestore._guard_merged() RETURNS trigger
	AS 'MODULE_PATHNAME', 'guard_merged' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION featurestore._guard_merged() IS 'internal: refuses updates of columns with merge rules';

/* Batches of the tables that the caller owns. */
CREATE VIEW featurestore.write_batches WITH (security_barrier) AS
	SELECT b.relation AS online_table, b.batch_id, b.rows_given, b.written_at
	FROM featurestore.write_batch b JOIN pg_catalog.pg_class c ON c.oid = b.relation
	WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE');
COMMENT ON VIEW featurestore.write_batches IS 'batches written directly to online tables of the caller, as long as they are remembered';
COMMENT ON COLUMN featurestore.write_batches.online_table IS 'the online table';
COMMENT ON COLUMN featurestore.write_batches.batch_id IS 'what the writer calls the batch';
COMMENT ON COLUMN featurestore.write_batches.rows_given IS 'number of its rows';
COMMENT ON COLUMN featurestore.write_batches.written_at IS 'when it was written';
GRANT SELECT ON featurestore.write_batches TO PUBLIC;

/*
 * Adds to a table the columns with the times of values that its rules need.  One
 * that is there already must be of the right type.
 */
CREATE FUNCTION featurestore._add_companions(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	col record;
	type regtype;
BEGIN
	FOR col IN SELECT m.name, m.companion, CASE m.rule WHEN 'last_n' THEN 'timestamptz[]' ELSE 'timestamptz' END::regtype AS type
			   FROM featurestore._merge_columns(online_table) AS m WHERE m.companion IS NOT NULL LOOP
		IF octet_length(col.companion) > 63 THEN
			RAISE EXCEPTION USING ERRCODE = 'name_too_long', MESSAGE = format('name "%s" is too long', col.companion),
				DETAIL = format('A column of this name is to hold the times of the values in "%s".', col.name), HINT = 'Rename the column.';
		END IF;
		SELECT c.type_oid INTO type FROM featurestore._columns(online_table) AS c WHERE c.name = col.companion;
		IF NOT FOUND THEN
			EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', featurestore._relation_name(online_table), col.companion, col.type);
			EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', featurestore._relation_name(online_table), col.companion, format('when %s was so', col.name));
		ELSIF type <> col.type THEN
			RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch', MESSAGE = format('column "%s" of table %s is of type %s', col.companion, online_table, type),
				DETAIL = format('It is to hold the times of the values in "%s", and must be of type %s.', col.name, col.type), HINT = 'Rename it.';
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._add_companions(regclass) IS 'internal: adds columns for the times of values';

/* Makes plain updates of columns that would count rows again impossible. */
CREATE FUNCTION featurestore._add_guard(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	guarded text[] := ARRAY(SELECT unnest(array_remove(ARRAY[m.name, m.companion], NULL)) FROM featurestore._merge_columns(online_table) AS m WHERE featurestore._counts_again(m.rule));
BEGIN
	IF guarded <> '{}' THEN
		EXECUTE format('CREATE TRIGGER featurestore_merge BEFORE UPDATE OF %s ON %s FOR EACH STATEMENT EXECUTE FUNCTION featurestore._guard_merged()',
					   featurestore._column_list(guarded), featurestore._relation_name(online_table));
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._add_guard(regclass) IS 'internal: guards columns with merge rules';

/* What the body of the writer function of a table begins with, by the name of the table. */
CREATE FUNCTION featurestore._writer_mark(name text) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT format('/* writer of %s */', name) $$;
COMMENT ON FUNCTION featurestore._writer_mark(text) IS 'internal: what tells the writer function of a table';

/* The writer function in a schema of a table of this name, known by how its body begins; NULL if there is none. */
CREATE FUNCTION featurestore._marked_writer(schema regnamespace, name text) RETURNS regprocedure
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT min(oid)::regprocedure FROM pg_proc WHERE pronamespace = schema AND starts_with(prosrc, featurestore._writer_mark(name)) $$;
COMMENT ON FUNCTION featurestore._marked_writer(regnamespace, text) IS 'internal: the writer function of a table, by its name';

/*
 * The writer function of a table; NULL if there is none.  It goes with the table,
 * and follows its name, by an entry in pg_depend, which a dump does not have.
 */
CREATE FUNCTION featurestore._writer_of(online_table regclass) RETURNS regprocedure
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT coalesce(
	(SELECT min(d.objid)::regprocedure FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
	 WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.deptype = 'a' AND starts_with(p.prosrc, '/* writer of ')),
	featurestore._marked_writer(c.relnamespace, featurestore._relation_name(c.oid)))
FROM pg_class c WHERE c.oid = online_table
$$;
COMMENT ON FUNCTION featurestore._writer_of(regclass) IS 'internal: the writer function of a table';

/* Lets a function go when a table goes.  Raises 42501 unless the caller owns both. */
CREATE FUNCTION featurestore._bind_writer(writer regprocedure, online_table regclass) RETURNS void
	AS 'MODULE_PATHNAME', 'bind_writer' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._bind_writer(regprocedure, regclass) IS 'internal: lets a function go with a table';

/*
 * Lets the writer function of a table write to it by the name that it has now.
 * For another owner it is made anew: nobody is given what another has written.
 * Called as the extension's owner, for the event trigger; runs nothing of anybody's.
 */
CREATE FUNCTION featurestore._follow_writer(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	writer regprocedure := featurestore._writer_of(online_table);
BEGIN
	IF (SELECT proowner FROM pg_proc WHERE oid = writer) <> (SELECT relowner FROM pg_class WHERE oid = online_table) THEN
		EXECUTE format('DROP FUNCTION %s', writer);
		PERFORM featurestore._create_writer(online_table);
	ELSIF NOT starts_with((SELECT prosrc FROM pg_proc WHERE oid = writer), featurestore._writer_mark(featurestore._relation_name(online_table))) THEN
		EXECUTE format('CREATE OR REPLACE FUNCTION %s(%s) RETURNS featurestore.write_result LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp'
					   ' SET plan_cache_mode = force_generic_plan AS %L', (SELECT format('%s.%I', pronamespace::regnamespace, proname) FROM pg_proc WHERE oid = writer),
					   pg_get_function_arguments(writer), featurestore._writer_body(online_table, featurestore._writer_columns(online_table)));
		PERFORM featurestore._bind_writer(writer, online_table);
	END IF;
EXCEPTION WHEN dependent_objects_still_exist OR duplicate_function THEN
	RAISE WARNING 'function % is not that of the owner of %', writer, online_table USING HINT = 'Drop it, and call create_online_table again.';
END
$$;
COMMENT ON FUNCTION featurestore._follow_writer(regclass) IS 'internal: lets a writer function follow the name of its table';

/*
 * Drops the writer functions of tables that are being dropped and came from a
 * dump, for the event trigger.  Nobody can make another's function look like one
 * without being able to replace it.
 */
CREATE FUNCTION featurestore._forget_writers() RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	writer regprocedure;
BEGIN
	FOR writer IN
		SELECT featurestore._marked_writer(n.oid, d.object_identity) FROM pg_event_trigger_dropped_objects() AS d
		JOIN featurestore.online_table o ON o.relation = d.objid JOIN pg_namespace n ON n.nspname = d.schema_name
		WHERE d.object_type = 'table' AND featurestore._marked_writer(n.oid, d.object_identity) IS NOT NULL
	LOOP
		EXECUTE format('DROP FUNCTION %s', writer);
	END LOOP;
EXCEPTION WHEN dependent_objects_still_exist THEN
	RAISE WARNING 'function % is of no use any more, but other objects depend on it', writer;
END
$$;
COMMENT ON FUNCTION featurestore._forget_writers() IS 'internal: drops the writer functions of dropped tables';

/* Lines of a writer function that check its arguments: all arrays of one length, keys and times given. */
CREATE FUNCTION featurestore._writer_checks(online_table regclass, columns text[]) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT format(E'\tPERFORM featurestore._check_lengths(%L, %s);\n', columns, string_agg(format('cardinality($%s)', c.n), ', ' ORDER BY c.n))
	|| coalesce(string_agg(format(E'\tIF $%1$s IS NULL OR array_position($%1$s, NULL) IS NOT NULL THEN\n\t\tPERFORM featurestore._null_error(%2$L, array_position($%1$s, NULL));\n\tEND IF;\n', c.n, c.name),
						   '' ORDER BY c.n) FILTER (WHERE m.is_key OR m.is_time), '')
FROM unnest(columns) WITH ORDINALITY AS c(name, n) JOIN featurestore._merge_columns(online_table) AS m USING (name)
$$;
COMMENT ON FUNCTION featurestore._writer_checks(regclass, text[]) IS 'internal: checks of a writer function';

/* Raises 2202E unless all lengths of arrays, of the columns in this order, that are not NULL are the same. */
CREATE FUNCTION featurestore._check_lengths(columns text[], VARIADIC lengths int[]) RETURNS void
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	FOR i IN 2..cardinality(lengths) LOOP
		IF lengths[i] <> lengths[1] THEN
			RAISE EXCEPTION USING ERRCODE = 'array_subscript_error',
				MESSAGE = 'arrays of columns must have the same length',
				DETAIL = format('That of "%s" has %s values, that of "%s" %s.', columns[1], lengths[1], columns[i], lengths[i]);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._check_lengths(text[], int[]) IS 'internal: raises an error unless arrays have one length';

/* Those of columns whose arrays, of these lengths, are given. */
CREATE FUNCTION featurestore._given_columns(columns text[], VARIADIC lengths int[]) RETURNS text[]
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT array_agg(name ORDER BY n) FROM unnest(columns, lengths) WITH ORDINALITY AS u(name, length, n) WHERE length IS NOT NULL $$;
COMMENT ON FUNCTION featurestore._given_columns(text[], int[]) IS 'internal: columns that are given';

/* Raises 23502 for a NULL in a key or time column; row_number says where, NULL where no row has a value. */
CREATE FUNCTION featurestore._null_error(col text, row_number int) RETURNS void
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'not_null_violation',
		MESSAGE = CASE WHEN row_number IS NULL THEN format('column "%s" must be given', col) ELSE format('null value in column "%s" of row %s', col, row_number) END,
		DETAIL = 'Each row has a key, and a time if the table has a timeseries column.';
END
$$;
COMMENT ON FUNCTION featurestore._null_error(text, int) IS 'internal: an error about a row without key or time';

/* Raises 22004 for a batch without an id, which online_table needs. */
CREATE FUNCTION featurestore._check_batch_id(online_table regclass, batch_id text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	col text;
BEGIN
	IF batch_id IS NULL THEN
		SELECT m.name INTO col FROM featurestore._merge_columns(online_table) AS m JOIN featurestore.online_table o ON o.relation = online_table
		WHERE featurestore._counts_again(m.rule) AND NOT o.allow_duplicates LIMIT 1;
		IF FOUND THEN
			RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
				MESSAGE = format('a write to %s needs a batch_id', online_table),
				DETAIL = format('A row that is written again, since it is not known whether it arrived, would count twice in column "%s".', col),
				HINT = 'Give batch_id, the same if a batch is repeated; or register the table with allow_duplicates.';
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_batch_id(regclass, text) IS 'internal: raises an error if a batch needs an id and has none';

/*
 * Raises 22008 if a time is later than the clock: it would move the windows of
 * states on, beyond what is true.  10 s are left for clocks that differ.
 */
CREATE FUNCTION featurestore._check_times(times timestamptz[]) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	latest timestamptz := (SELECT max(t) FROM unnest(times) AS t);
BEGIN
	IF latest > clock_timestamp() + featurestore._head_slack() THEN
		RAISE EXCEPTION USING ERRCODE = 'datetime_field_overflow',
			MESSAGE = format('time %s of a row is in the future', latest),
			DETAIL = 'It would end windows before their time.',
			HINT = 'Write the row when its time has come, or set the clock of the writer.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_times(timestamptz[]) IS 'internal: raises an error for times in the future';

/* Columns that the writer function of a table takes, in order. */
CREATE FUNCTION featurestore._writer_columns(online_table regclass) RETURNS text[]
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT array_agg(m.name ORDER BY NOT m.is_key, NOT (m.is_key OR m.is_time), m.attnum) FROM featurestore._merge_columns(online_table) AS m WHERE m.input_type IS NOT NULL
$$;
COMMENT ON FUNCTION featurestore._writer_columns(regclass) IS 'internal: columns that a writer function takes';

/* The body of the writer function of a table, with these columns as arrays $1, $2, ... and then the id of the batch. */
CREATE FUNCTION featurestore._writer_body(online_table regclass, columns text[]) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	name text := featurestore._relation_name(online_table);
	arrays text := (SELECT string_agg('$' || n, ', ' ORDER BY n) FROM generate_subscripts(columns, 1) AS n);
	batch_id text := '$' || cardinality(columns) + 1;
	rows text := format('unnest(%s) WITH ORDINALITY AS r(%s, _row_number)', arrays, featurestore._column_list(columns));
	time_place int := (SELECT array_position(columns, m.name) FROM featurestore._merge_columns(online_table) AS m WHERE m.is_time);
	has_windows boolean := (SELECT bool_or(type = 'featurestore.window_state'::regtype) FROM featurestore._merge_columns(online_table));
	needs_id boolean := (SELECT bool_or(featurestore._counts_again(m.rule)) AND NOT o.allow_duplicates FROM featurestore._merge_columns(online_table) AS m
						 JOIN featurestore.online_table o ON o.relation = online_table GROUP BY o.allow_duplicates);
BEGIN
	RETURN format($body$%1$s
#variable_conflict use_column
DECLARE
	result featurestore.write_result;
BEGIN
%2$s	result.rows_given := coalesce(cardinality($1), 0);
	result.rows_written := 0;
	result.is_repeat := NOT featurestore._begin_write(%3$L::regclass, %4$s, CASE WHEN %4$s IS NOT NULL THEN featurestore._digest(%5$s) END, result.rows_given);
	IF result.is_repeat THEN
		RETURN result;
	END IF;
	IF num_nulls(%5$s) > 0 THEN
		EXECUTE featurestore._kept_statement(%3$L::regclass, featurestore._given_columns(%6$L, %7$s), %8$L) ->> 'statement' USING %5$s;
	ELSE
		%9$s;
	END IF;
	GET DIAGNOSTICS result.rows_written = ROW_COUNT;
	RETURN result;
END
$body$, featurestore._writer_mark(name),
		featurestore._writer_checks(online_table, columns)
		|| CASE WHEN needs_id THEN format(E'\tPERFORM featurestore._check_batch_id(%1$L::regclass, %2$s) WHERE %2$s IS NULL;\n', name, batch_id) ELSE '' END
		|| CASE WHEN has_windows AND time_place IS NOT NULL THEN format(E'\tPERFORM featurestore._check_times($%s::timestamptz[]);\n', time_place) ELSE '' END,
		name, batch_id, arrays, columns, (SELECT string_agg(format('cardinality($%s)', n), ', ' ORDER BY n) FROM generate_subscripts(columns, 1) AS n), rows,
		featurestore._write_statement(online_table, columns, rows));
END
$$;
COMMENT ON FUNCTION featurestore._writer_body(regclass, text[]) IS 'internal: the body of a writer function';

/*
 * Makes the writer function of a table, ONLINE_write: it takes a column of values
 * as an array for each column, those of the key and the time first, and the id of
 * the batch.  A column that is an array itself comes as an array of texts.  Where
 * it cannot be made a NOTICE says so.
 */
CREATE FUNCTION featurestore._create_writer(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	class pg_class := (SELECT c FROM pg_class c WHERE c.oid = online_table);
	name text := format('%s.%I', class.relnamespace::regnamespace, class.relname || '_write');
	columns text[] := featurestore._writer_columns(online_table);
	arguments text;
	obstacle text;
BEGIN
	SELECT string_agg(format('%I %s[]%s', m.name, CASE WHEN t.typcategory = 'A' THEN 'text' ELSE format_type(t.oid, -1) END, CASE WHEN m.is_key OR m.is_time THEN '' ELSE ' DEFAULT NULL' END), ', '
					  ORDER BY NOT m.is_key, NOT (m.is_key OR m.is_time), m.attnum)
	INTO arguments FROM featurestore._merge_columns(online_table) AS m JOIN pg_type t ON t.oid = m.input_type;
	obstacle := CASE
		WHEN cardinality(columns) > 99 THEN 'A function cannot have more than 100 arguments.'
		WHEN octet_length(class.relname) > 57 THEN 'Its name would be too long.'
		WHEN NOT has_schema_privilege(class.relnamespace, 'CREATE') OR NOT has_schema_privilege(class.relowner, class.relnamespace, 'CREATE')
			THEN format('Permission denied for schema %s.', class.relnamespace::regnamespace) END;
	IF obstacle IS NOT NULL THEN
		RAISE NOTICE 'no function to write to % is made', online_table USING DETAIL = obstacle, HINT = 'Write with featurestore.write_features.';
		RETURN;
	END IF;
	/* of a table that had this name before */
	EXECUTE coalesce('DROP FUNCTION ' || featurestore._marked_writer(class.relnamespace, featurestore._relation_name(online_table)), 'SELECT');
	IF EXISTS (SELECT FROM pg_proc WHERE pronamespace = class.relnamespace AND proname = class.relname || '_write') THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_function', MESSAGE = format('function %s already exists', name),
			DETAIL = format('A function of that name is to be made to write to %s.', online_table), HINT = 'Rename the function.';
	END IF;
	EXECUTE format('CREATE FUNCTION %s(%s, %s text DEFAULT NULL) RETURNS featurestore.write_result LANGUAGE plpgsql VOLATILE'
				   ' SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS %L',
				   name, arguments, CASE WHEN 'batch_id' = ANY (columns) THEN 'write_batch_id' ELSE 'batch_id' END,
				   featurestore._writer_body(online_table, columns));
	EXECUTE format('COMMENT ON FUNCTION %s IS %L', name, format('writes rows, given as columns, to %s', class.relname));
	EXECUTE format('ALTER FUNCTION %s OWNER TO %s', name, class.relowner::regrole);
	PERFORM featurestore._bind_writer(featurestore._marked_writer(class.relnamespace, featurestore._relation_name(online_table)), online_table);
END
$$;
COMMENT ON FUNCTION featurestore._create_writer(regclass) IS 'internal: makes the writer function of a table';

/* Makes what a table with merge rules needs besides its definition. */
CREATE FUNCTION featurestore._create_stream(online_table regclass) RETURNS void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._add_companions(online_table);
SELECT featurestore._add_guard(online_table);
SELECT featurestore._create_writer(online_table);
$$;
COMMENT ON FUNCTION featurestore._create_stream(regclass) IS 'internal: makes what direct writes to a table need';

/* Drops these objects, but for columns, which are data. */
CREATE FUNCTION featurestore._drop_stream(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	writer regprocedure := featurestore._writer_of(online_table);
	guard record;
BEGIN
	FOR guard IN SELECT tgname FROM pg_trigger WHERE tgrelid = online_table AND tgfoid = 'featurestore._guard_merged()'::regprocedure AND tgparentid = 0 LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', guard.tgname, featurestore._relation_name(online_table));
	END LOOP;
	IF writer IS NOT NULL THEN
		EXECUTE format('DROP FUNCTION %s', writer);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._drop_stream(regclass) IS 'internal: drops what direct writes to a table need';

/* Makes the writer function of a table anew if that has other columns now; gone is the one that was dropped by hand, too. */
CREATE FUNCTION featurestore._renew_writer(online_table regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	writer regprocedure := featurestore._writer_of(online_table);
BEGIN
	IF (SELECT prosrc FROM pg_proc WHERE oid = writer) IS DISTINCT FROM featurestore._writer_body(online_table, featurestore._writer_columns(online_table)) THEN
		IF writer IS NOT NULL THEN
			EXECUTE format('DROP FUNCTION %s', writer);
		END IF;
		PERFORM featurestore._create_writer(online_table);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._renew_writer(regclass) IS 'internal: makes the writer function of a table anew';

/* Raises 22023 unless rows is an array of objects. */
CREATE FUNCTION featurestore._check_objects(rows jsonb) RETURNS void
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad record;
BEGIN
	IF jsonb_typeof(rows) <> 'array' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'rows must be an object or an array of objects',
			HINT = 'As in [{"user_id": 1, "clicks": 2}].';
	END IF;
	SELECT n, jsonb_typeof(value) AS type INTO bad FROM jsonb_array_elements(rows) WITH ORDINALITY AS e(value, n) WHERE jsonb_typeof(value) <> 'object' ORDER BY n LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('row %s is no object', bad.n), DETAIL = format('It is of type %s.', bad.type);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_objects(jsonb) IS 'internal: raises an error unless rows are objects';

/*
 * Raises an error unless rows can be written to online_table: 42703 for a column that there is not, 428C9 for one that no value
 * can be given for, 23502 for a row without key or time.
 */
CREATE FUNCTION featurestore._check_rows(online_table regclass, rows jsonb) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad record;
BEGIN
	SELECT min(e.n) AS n, k.name, c.name IS NOT NULL AS is_there INTO bad
	FROM jsonb_array_elements(rows) WITH ORDINALITY AS e(value, n), jsonb_object_keys(e.value) AS k(name) LEFT JOIN featurestore._columns(online_table) AS c USING (name)
	WHERE k.name NOT IN (SELECT m.name FROM featurestore._merge_columns(online_table) AS m WHERE m.input_type IS NOT NULL)
	GROUP BY k.name, c.name ORDER BY 1, k.name COLLATE "C" LIMIT 1;
	IF bad.is_there THEN
		RAISE EXCEPTION USING ERRCODE = 'generated_always', MESSAGE = format('row %s: column "%s" of table %s cannot be given', bad.n, bad.name, online_table),
			DETAIL = 'Its values are made by the table or its merge rules.';
	ELSIF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_column', MESSAGE = format('row %s: column "%s" of table %s does not exist', bad.n, bad.name, online_table);
	END IF;
	SELECT e.n, m.name INTO bad FROM jsonb_array_elements(rows) WITH ORDINALITY AS e(value, n), featurestore._merge_columns(online_table) AS m
	WHERE (m.is_key OR m.is_time) AND coalesce(jsonb_typeof(e.value -> m.name), 'null') = 'null' ORDER BY e.n, m.attnum LIMIT 1;
	IF FOUND THEN
		PERFORM featurestore._null_error(bad.name, bad.n::int);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_rows(regclass, jsonb) IS 'internal: raises an error unless rows can be written to a table';

/* What FROM has for rows given as an array of objects in $1, with these columns. */
CREATE FUNCTION featurestore._json_rows(online_table regclass, columns text[]) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT format('(SELECT given.*, e._row_number FROM jsonb_array_elements($1) WITH ORDINALITY AS e(value, _row_number), jsonb_to_record(e.value) AS given(%s)) AS r',
	string_agg(concat_ws(' ', quote_ident(m.name), format_type(m.input_type, CASE WHEN m.rule IN ('accumulate', 'last_n') THEN -1 ELSE m.modifier END)), ', ' ORDER BY m.attnum))
FROM featurestore._merge_columns(online_table) AS m WHERE m.name = ANY (columns) AND m.input_type IS NOT NULL
$$;
COMMENT ON FUNCTION featurestore._json_rows(regclass, text[]) IS 'internal: SQL for rows given as json';

/*
 * Parts of rows that can be written by one statement each, in order: columns and
 * rows.  Rows of one part have the same columns, and a row comes in a later part
 * than one before it with the same key, unless that has the same columns.
 */
CREATE FUNCTION featurestore._row_parts(online_table regclass, rows jsonb) RETURNS TABLE(columns text[], part jsonb)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	key text[] := (SELECT k.columns FROM featurestore._unique_keys(online_table) AS k LIMIT 1);
	shapes int := (SELECT count(DISTINCT ARRAY(SELECT jsonb_object_keys(value))) FROM jsonb_array_elements(rows));
BEGIN
	IF shapes <= 1 THEN
		RETURN QUERY SELECT ARRAY(SELECT jsonb_object_keys(rows -> 0)), rows WHERE shapes = 1;
		RETURN;
	END IF;
	RETURN QUERY EXECUTE format(
		'SELECT shape, jsonb_agg(value ORDER BY n) FROM (SELECT *, count(*) FILTER (WHERE is_other) OVER (PARTITION BY %1$s ORDER BY n) AS wave'
		' FROM (SELECT e.n, e.value, s.shape, r.*, s.shape <> lag(s.shape) OVER (PARTITION BY %1$s ORDER BY e.n) AS is_other'
		' FROM jsonb_array_elements($1) WITH ORDINALITY AS e(value, n), jsonb_to_record(e.value) AS r(%2$s), LATERAL (SELECT ARRAY(SELECT jsonb_object_keys(e.value))) AS s(shape)) AS r) AS r'
		' GROUP BY wave, shape ORDER BY wave, shape',
		featurestore._column_list(key, 'r'), featurestore._column_definitions(online_table, key)) USING rows;
END
$$;
COMMENT ON FUNCTION featurestore._row_parts(regclass, jsonb) IS 'internal: rows by the columns they have';

/* The number of the first row that cannot be read; NULL if all can. */
CREATE FUNCTION featurestore._unreadable_row(online_table regclass, rows jsonb) RETURNS bigint
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	given record;
BEGIN
	FOR given IN SELECT value, n FROM jsonb_array_elements(rows) WITH ORDINALITY AS e(value, n) LOOP
		BEGIN
			EXECUTE format('SELECT count(r) FROM %s', featurestore._json_rows(online_table, ARRAY(SELECT jsonb_object_keys(given.value)))) USING jsonb_build_array(given.value);
		EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
			RETURN given.n;
		END;
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION featurestore._unreadable_row(regclass, jsonb) IS 'internal: the first row that cannot be read';

/*
 * How rows with these columns are written, and what has to be known to check
 * them: the statement, the columns that can be and that must be given, the
 * timeseries column if there are windows.  input is as of _write_statement; NULL:
 * rows as json.  It is kept for the session, with all that it is made from.
 */
CREATE FUNCTION featurestore._kept_statement(online_table regclass, columns text[], input text) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	token text := concat_ws(' ', columns, input, featurestore._relation_name(online_table), (SELECT o::text FROM featurestore.online_table o WHERE o.relation = online_table),
		(SELECT string_agg(concat_ws(' ', attnum, attname, atttypid, atttypmod, attcollation, attgenerated, attidentity), ',' ORDER BY attnum)
		 FROM pg_attribute WHERE attrelid = online_table AND attnum > 0 AND NOT attisdropped),
		(SELECT string_agg(concat_ws(' ', indexrelid, indisprimary, indisvalid), ',' ORDER BY indexrelid) FROM pg_index WHERE indrelid = online_table AND indisunique));
	result jsonb := featurestore._kept_program(online_table, token);
BEGIN
	IF result IS NULL THEN
		PERFORM featurestore._check_writable(online_table);
		SELECT jsonb_build_object('writable', jsonb_agg(m.name) FILTER (WHERE m.input_type IS NOT NULL), 'required', jsonb_agg(m.name) FILTER (WHERE m.is_key OR m.is_time),
			'time', CASE WHEN bool_or(m.type = 'featurestore.window_state'::regtype) THEN max(m.name) FILTER (WHERE m.is_time) END) INTO result
		FROM featurestore._merge_columns(online_table) AS m;
		/* columns that there are not are found out later */
		IF result -> 'writable' @> to_jsonb(columns) AND to_jsonb(columns) @> (result -> 'required') THEN
			result := result || jsonb_build_object('statement', featurestore._write_statement(online_table, columns,
				coalesce(input, featurestore._json_rows(online_table, columns))));
		END IF;
		result := featurestore._keep_program(online_table, token, result);
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._kept_statement(regclass, text[], text) IS 'internal: how rows are written, kept for the session';

/*
 * Writes rows; gives how many rows of the table are written.  Raises an error
 * that names the row where one can be told.
 */
CREATE FUNCTION featurestore._write_rows(online_table regclass, rows jsonb) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	columns text[] := ARRAY(SELECT DISTINCT k COLLATE "C" FROM jsonb_array_elements(rows) AS e, jsonb_object_keys(e) AS k ORDER BY 1);
	has_one_shape boolean := NOT EXISTS (SELECT FROM jsonb_array_elements(rows) AS e WHERE NOT e ?& columns);
	program jsonb := featurestore._kept_statement(online_table, columns, NULL);
	part record;
	written bigint := 0;
	n bigint;
	code text;
	message text;
	detail text;
BEGIN
	IF rows = '[]' THEN
		RETURN 0;
	ELSIF NOT program ? 'statement' OR NOT has_one_shape
		OR EXISTS (SELECT FROM jsonb_array_elements_text(program -> 'required') AS r WHERE rows @> jsonb_build_array(jsonb_build_object(r, NULL))) THEN
		PERFORM featurestore._check_rows(online_table, rows);
	END IF;
	PERFORM featurestore._check_times(ARRAY(SELECT (e ->> (program ->> 'time'))::timestamptz FROM jsonb_array_elements(rows) AS e)) WHERE program ->> 'time' IS NOT NULL;
	IF has_one_shape THEN
		EXECUTE program ->> 'statement' USING rows;
		GET DIAGNOSTICS written = ROW_COUNT;
		RETURN written;
	END IF;
	FOR part IN SELECT * FROM featurestore._row_parts(online_table, rows) LOOP
		EXECUTE featurestore._kept_statement(online_table, part.columns, NULL) ->> 'statement' USING part.part;
		GET DIAGNOSTICS n = ROW_COUNT;
		written := written + n;
	END LOOP;
	RETURN written;
EXCEPTION WHEN data_exception THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	IF message !~ '^row [0-9]+: ' THEN
		n := featurestore._unreadable_row(online_table, rows);
	END IF;
	RAISE EXCEPTION USING ERRCODE = code, MESSAGE = CASE WHEN n IS NULL THEN message ELSE format('row %s: %s', n, message) END,
		DETAIL = CASE WHEN detail = '' THEN 'Nothing was written.' ELSE detail END;
END
$$;
COMMENT ON FUNCTION featurestore._write_rows(regclass, jsonb) IS 'internal: writes rows given as json';

/*
 * Writes rows to online_table, by the merge rules of its columns.
 *
 * rows: an object with values by column, or an array of such.  A column that a
 *   row leaves out keeps its value, or gets its default in a new row; null is a
 *   value.  All rows have the key, and a time if the table has a timeseries column.
 * batch_id: the writer's name for the batch; if a batch of this name was written
 *   already, with the same rows, nothing is done.  Tables with a rule that counts
 *   a repeated row again need it, unless they are registered with allow_duplicates.
 *
 * Runs with the caller's rights: he needs INSERT and UPDATE on the columns that
 * are given, and SELECT on those that are read.  All rows are written, or none.
 * Raises 22004 for a NULL, 42P01, 42704 and 55000 for a table that there is not,
 * is not registered or is published, 22023, 42703, 428C9 and 23502 for rows that
 * are malformed, 23505 for a batch_id of other rows, what the types of columns
 * and constraints of the table raise, and 22008 for times in the future where
 * there are windows.
 */
CREATE FUNCTION featurestore.write_features(online_table regclass, rows jsonb, batch_id text DEFAULT NULL) RETURNS featurestore.write_result
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	result featurestore.write_result;
BEGIN
	IF num_nulls(online_table, rows) > 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = format('%s must not be null', CASE WHEN online_table IS NULL THEN 'online_table' ELSE 'rows' END);
	END IF;
	IF jsonb_typeof(rows) = 'object' THEN
		rows := jsonb_build_array(rows);
	END IF;
	result.rows_given := CASE jsonb_typeof(rows) WHEN 'array' THEN jsonb_array_length(rows) ELSE 0 END;
	result.rows_written := 0;
	result.is_repeat := NOT featurestore._begin_write(online_table, batch_id, featurestore._digest(rows), result.rows_given);
	IF NOT result.is_repeat THEN
		PERFORM featurestore._check_batch_id(online_table, batch_id) WHERE batch_id IS NULL;
		PERFORM featurestore._check_objects(rows);
		result.rows_written := featurestore._write_rows(online_table, rows);
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore.write_features(regclass, jsonb, text) IS 'writes rows to an online table by its merge rules';
