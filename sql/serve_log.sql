/*
 * The serve log: a sample of what lookups gave, when and as of what, so that it
 * can be checked later against what training gives for the same moment.
 *
 * Where the library is preloaded, lookups leave their rows in shared memory and a
 * worker writes them to the log.  Clients can write rows themselves, also of what
 * they read on a standby.
 */
CREATE TYPE featurestore.served_vector AS (
	logged_at timestamptz,
	as_of timestamptz,
	spec_version int,
	snapshot pg_snapshot,
	positions jsonb,
	request jsonb,
	outputs jsonb,
	statuses jsonb,
	system_identifier bigint
);
COMMENT ON TYPE featurestore.served_vector IS 'what a lookup gave for one row: a row of a serve log';
COMMENT ON COLUMN featurestore.served_vector.logged_at IS 'when it was served';
COMMENT ON COLUMN featurestore.served_vector.as_of IS 'the time that it was looked up for';
COMMENT ON COLUMN featurestore.served_vector.spec_version IS 'version of the spec';
COMMENT ON COLUMN featurestore.served_vector.snapshot IS 'what the lookup saw; null if it may have seen what nobody else did';
COMMENT ON COLUMN featurestore.served_vector.positions IS 'by table: applied_to, and the changes that were in it';
COMMENT ON COLUMN featurestore.served_vector.request IS 'keys and request fields by name, as texts';
COMMENT ON COLUMN featurestore.served_vector.outputs IS 'outputs by name, as their types write them';
COMMENT ON COLUMN featurestore.served_vector.statuses IS 'statuses of the outputs by name; APPROXIMATE for a window that was not exact';
COMMENT ON COLUMN featurestore.served_vector.system_identifier IS 'cluster that it was served in, which snapshots belong to';

/*
 * The row of a serve log for one row of feature_lookup_json(..., metadata =>
 * true).  A row some of whose outputs the request gave has none to check.
 * Raises 22023 for what is no such row, 22004 for NULL.
 */
CREATE FUNCTION featurestore.served_vector(looked_up jsonb, logged_at timestamptz DEFAULT NULL) RETURNS featurestore.served_vector
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	result featurestore.served_vector;
BEGIN
	IF looked_up IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'what was looked up must not be null';
	ELSIF jsonb_typeof(looked_up) <> 'object' OR NOT looked_up ?& '{spec,version,as_of,snapshot,tables,request,texts,status,system_identifier}' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'what was looked up has no metadata',
			HINT = 'Pass a row of feature_lookup_json(..., metadata => true).';
	END IF;
	result.logged_at := coalesce(logged_at, clock_timestamp());
	result.as_of := looked_up->>'as_of';
	result.spec_version := looked_up->>'version';
	result.snapshot := looked_up->>'snapshot';
	result.system_identifier := looked_up->>'system_identifier';
	result.positions := looked_up->'tables';
	result.request := looked_up->'request';
	IF coalesce(looked_up->'given', '[]') = '[]' THEN
		result.outputs := looked_up->'texts';
		result.statuses := (SELECT coalesce(jsonb_object_agg(o.name, CASE WHEN (o.status->>'approximate')::boolean THEN '"APPROXIMATE"' ELSE o.status->'status' END), '{}')
							FROM jsonb_each(looked_up->'status') AS o(name, status) WHERE looked_up->'texts' ? o.name);
	ELSE
		result.outputs := '{}';
		result.statuses := '{}';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore.served_vector(jsonb, timestamptz) IS 'the row of a serve log for what was looked up with metadata';

/* The view of a spec. Raises 22004 for NULL, 42704 for what is no spec, 42501 unless the caller owns it. */
CREATE FUNCTION featurestore._own_spec(spec regclass, name text) RETURNS regclass
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF name IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'the name of the feature spec must not be null';
	ELSIF spec IS NULL OR NOT EXISTS (SELECT FROM featurestore.spec s WHERE s.relation = spec) THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('feature spec "%s" does not exist', name),
			HINT = 'The view featurestore.feature_specs lists the specs there are.';
	ELSIF NOT pg_has_role((SELECT relowner FROM pg_class WHERE oid = spec), 'USAGE') THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format('must be owner of feature spec %s', featurestore._relation_name(spec)),
			DETAIL = 'A log holds the keys and features that others look up.';
	END IF;
	RETURN spec;
END
$$;
COMMENT ON FUNCTION featurestore._own_spec(regclass, text) IS 'internal: a spec of the caller''s, or an error';

/* Can a table be the serve log of a spec? Raises 42P07 with the reason if not. */
CREATE FUNCTION featurestore._check_serve_log(log regclass, spec regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	reason text;
BEGIN
	SELECT CASE WHEN l.relkind NOT IN ('r', 'p') THEN 'It is not a table.'
				WHEN l.relowner <> s.relowner THEN 'It does not belong to the owner of the spec.'
				ELSE (SELECT format('It has no column "%s" of type %s.', t.attname, format_type(t.atttypid, t.atttypmod))
					  FROM pg_attribute t LEFT JOIN pg_attribute a ON a.attrelid = l.oid AND a.attname = t.attname AND a.atttypid = t.atttypid AND NOT a.attisdropped
					  WHERE t.attrelid = 'featurestore.served_vector'::regclass AND a.attrelid IS NULL ORDER BY t.attnum LIMIT 1) END
	INTO reason FROM pg_class l, pg_class s WHERE l.oid = log AND s.oid = spec;
	IF reason IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_table', MESSAGE = format('relation %s already exists and is not a serve log of feature spec %s', log, spec),
			DETAIL = reason, HINT = 'Rename it, or drop it.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_serve_log(regclass, regclass) IS 'internal: checks that a table can be a serve log';

/*
 * The serve log of a spec of the caller's, which is made unless it is there; see
 * create_serve_log.
 */
CREATE FUNCTION featurestore._make_serve_log(spec regclass, name text, is_asked boolean) RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	log regclass := (SELECT log_table FROM featurestore.serve_log WHERE relation = featurestore._own_spec(spec, name));
	log_name text;
	owner regrole;
BEGIN
	SELECT format('%I.%I', n.nspname, c.relname || '_log'), c.relowner INTO log_name, owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = spec;
	log := coalesce(log, to_regclass(log_name));
	IF log IS NOT NULL THEN
		PERFORM featurestore._check_serve_log(log, spec);
		IF is_asked THEN
			RAISE NOTICE 'serve log % already exists, skipping', log;
		END IF;
		RETURN log;
	END IF;
	EXECUTE format('CREATE TABLE %s (LIKE featurestore.served_vector INCLUDING COMMENTS)', log_name);
	EXECUTE format('ALTER TABLE %s ALTER logged_at SET NOT NULL, ALTER as_of SET NOT NULL, ALTER spec_version SET NOT NULL,'
				   ' ALTER positions SET NOT NULL, ALTER request SET NOT NULL, ALTER outputs SET NOT NULL', log_name);
	EXECUTE format('CREATE INDEX ON %s (logged_at)', log_name);
	EXECUTE format('COMMENT ON TABLE %s IS %L', log_name, format('what lookups of feature spec %s gave', featurestore._relation_name(spec)));
	IF owner <> quote_ident(current_user)::regrole THEN
		EXECUTE format('ALTER TABLE %s OWNER TO %s', log_name, owner);
	END IF;
	RETURN log_name::regclass;
END
$$;
COMMENT ON FUNCTION featurestore._make_serve_log(regclass, text, boolean) IS 'internal: the serve log of a spec, made unless it is there';

/*
 * Makes the table NAME_log beside a spec, for clients that log what they get (see
 * served_vector); it belongs to the spec's owner.  One that is there already is
 * a NOTICE.  Raises 22004 for NULL, 42704 for what is no spec, 42501 to others
 * than its owner, 42P07 if the name is taken.
 */
CREATE FUNCTION featurestore.create_serve_log(spec text) RETURNS regclass
	LANGUAGE sql VOLATILE
	BEGIN ATOMIC
		SELECT featurestore._make_serve_log(pg_catalog.to_regclass(spec), spec, true);
	END;
COMMENT ON FUNCTION featurestore.create_serve_log(text) IS 'makes the table in which clients log what they look up';

/* Whether lookups can be logged, and what became of those of this database since the server started. */
CREATE FUNCTION featurestore._serve_log_state(OUT is_available boolean, OUT waiting bigint, OUT logged bigint, OUT lost bigint)
	AS 'MODULE_PATHNAME', 'serve_log_state' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION featurestore._serve_log_state() IS 'internal: whether lookups can be logged, and how many were';

/* Sets what part of the lookups of a spec is logged; see log_lookups. */
CREATE FUNCTION featurestore._log_lookups(spec regclass, name text, fraction float8) RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	old featurestore.serve_log := (SELECT l FROM featurestore.serve_log AS l WHERE l.relation = featurestore._own_spec(spec, name));
	log regclass := old.log_table;
BEGIN
	IF fraction IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'the fraction of lookups to log must not be null';
	ELSIF NOT fraction BETWEEN 0 AND 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('%s is not a fraction of lookups to log', fraction),
			HINT = 'Give a number from 0, which ends logging, to 1, which logs all.';
	ELSIF fraction = 0 THEN
		IF old.relation IS NULL THEN
			RAISE NOTICE 'lookups of feature spec % are not logged, skipping', spec;
		END IF;
		PERFORM featurestore._remove_definition('serve_log', spec);
		RETURN log;
	ELSIF NOT (featurestore._serve_log_state()).is_available THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'lookups cannot be logged',
			DETAIL = 'They leave what they gave in shared memory, which is asked for when the server starts.',
			HINT = 'Add featurestore to shared_preload_libraries and restart the server, or let clients log what they get; see create_serve_log.';
	END IF;
	IF fraction = old.fraction THEN
		PERFORM featurestore._check_serve_log(log, spec);
		RAISE NOTICE 'this fraction of the lookups of feature spec % is logged already, skipping', spec;
		RETURN log;
	END IF;
	log := featurestore._make_serve_log(spec, name, false);
	PERFORM featurestore._store_definition('serve_log', jsonb_build_object('relation', featurestore._relation_name(spec), 'log_table', featurestore._relation_name(log), 'fraction', fraction));
	RETURN log;
END
$$;
COMMENT ON FUNCTION featurestore._log_lookups(regclass, text, float8) IS 'internal: sets what part of the lookups of a spec is logged';

/*
 * Logs lookups of a spec, by whomever, from now on: those of a fraction of the
 * keys, chosen by a hash of them, so that of an entity all are logged or none.  A
 * worker writes them to the table NAME_log, which belongs to the spec's owner;
 * what finds no room on its way is counted (see serve_logs).  Called again it
 * changes the fraction; 0 ends it, and the table stays.  Not logged are lookups
 * of transactions that have written, on a standby, and those whose request gives
 * outputs; nor through policies, of whoever looks up or of the spec's owner, and
 * through views and foreign tables only those of the owner.  Gives the table.  Raises 22004 for NULL, 22023 for
 * what is no fraction, 42704 for what is no spec, 42501 to others than its owner,
 * 55000 if the library is not preloaded, 42P07 if the name of the table is taken.
 */
CREATE FUNCTION featurestore.log_lookups(spec text, fraction float8) RETURNS regclass
	LANGUAGE sql VOLATILE
	BEGIN ATOMIC
		SELECT featurestore._log_lookups(pg_catalog.to_regclass(spec), spec, fraction);
	END;
COMMENT ON FUNCTION featurestore.log_lookups(text, float8) IS 'logs a sample of what lookups of a spec give';

CREATE VIEW featurestore.serve_logs AS
	SELECT l.relation AS spec, l.log_table, l.fraction, s.is_available, s.waiting, s.logged, s.lost
	FROM featurestore.serve_log l CROSS JOIN featurestore._serve_log_state() AS s;
COMMENT ON VIEW featurestore.serve_logs IS 'feature specs of whose lookups a sample is logged';
COMMENT ON COLUMN featurestore.serve_logs.spec IS 'the feature spec';
COMMENT ON COLUMN featurestore.serve_logs.log_table IS 'table that a worker writes what was served to';
COMMENT ON COLUMN featurestore.serve_logs.fraction IS 'share of the keys whose lookups are logged';
COMMENT ON COLUMN featurestore.serve_logs.is_available IS 'whether the library is preloaded; if not, nothing is logged and the others are null';
COMMENT ON COLUMN featurestore.serve_logs.waiting IS 'rows of this database, of whatever spec, that are to be written';
COMMENT ON COLUMN featurestore.serve_logs.logged IS 'rows of this database that were written since the server started';
COMMENT ON COLUMN featurestore.serve_logs.lost IS 'rows of this database that were not: there was no room, or they could not be written';
GRANT SELECT ON featurestore.serve_logs TO PUBLIC;
