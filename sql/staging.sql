/*
 * Staging tables: where changes wait for the online tables that they are to
 * be applied to.
 *
 * A staging table has the columns of the table it is about and some of its
 * own, and is partitioned by one of those, so that what is applied can be
 * truncated (see rotation).  Either a trigger writes the changes of a source
 * to it, once for all publications that read the source, or external writers
 * feed an online table with it.
 */

/* Relation and all below it; link says how it hangs there, empty for relation itself. */
CREATE FUNCTION featurestore._tree(root regclass)
	RETURNS TABLE(relation regclass, link text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH RECURSIVE tree(relation, link) AS (
		SELECT root, ''
		UNION
		SELECT i.inhrelid::regclass, concat_ws(' ', i.inhparent, i.xmin, i.inhdetachpending)
		FROM tree JOIN pg_inherits i ON i.inhparent = tree.relation)
	SELECT * FROM tree;
END
$$;
COMMENT ON FUNCTION featurestore._tree(regclass) IS 'internal: a table and its partitions, without locks';

/*
 * Locks relation and all below it in mode, or nothing of it: false if not all
 * of it could be had within half a second.  It does not queue for the locks,
 * so that nobody waits behind it.
 */
CREATE FUNCTION featurestore._try_lock_tree(relation regclass, mode text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	FOR attempt IN 1..20 LOOP
		BEGIN
			IF (SELECT bool_and(featurestore._try_lock(t.relation, mode)) FROM featurestore._tree(_try_lock_tree.relation) t) THEN
				RETURN true;
			END IF;
			/* lets go of those that were had */
			RAISE lock_not_available;
		EXCEPTION WHEN lock_not_available THEN
			PERFORM pg_sleep(0.025);
		END;
	END LOOP;
	RETURN false;
END
$$;
COMMENT ON FUNCTION featurestore._try_lock_tree(regclass, text) IS 'internal: locks a table and its partitions if they are to be had';

/*
 * Locks a table of the caller, unless that means to wait: false then, or if
 * there is no such table any more.  mode is as in LOCK TABLE.  Raises 42501
 * unless the caller owns the table.
 */
CREATE FUNCTION featurestore._try_lock(relation regclass, mode text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'try_lock' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._try_lock(regclass, text) IS 'internal: locks a table if it can be had at once';

/*
 * Makes sure, until the end of the transaction, that no staged change is thrown
 * away that is not by now.  Whoever fills an online table calls it before he
 * takes the snapshot that will be the position of the table, since nobody sees
 * that position until he commits.  False if there is no such table any more.
 * Raises 42501 unless the caller owns it.
 */
CREATE FUNCTION featurestore._hold_staged(staging regclass) RETURNS boolean
	AS 'MODULE_PATHNAME', 'hold_staged' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._hold_staged(regclass) IS 'internal: keeps staged changes for who fills a table';

/*
 * May changes be thrown away that all positions, as read after this, do
 * without?  False while another transaction holds them.
 */
CREATE FUNCTION featurestore._try_discard(staging regclass) RETURNS boolean
	AS 'MODULE_PATHNAME', 'try_discard' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._try_discard(regclass) IS 'internal: whether nobody holds staged changes';

/* The sources of a publication that takes changes from staging tables; none for other tables. */
CREATE FUNCTION featurestore._captured_sources(online_table regclass) RETURNS SETOF regclass
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN QUERY
	SELECT coalesce(p.source, f.source)
	FROM featurestore.publication p
	LEFT JOIN featurestore.feature f ON p.source IS NULL AND f.online_table = p.relation
	WHERE p.relation = _captured_sources.online_table AND p.publish_mode <> 'SNAPSHOT' AND num_nonnulls(p.source, f.source) > 0
	GROUP BY 1;
END
$$;
COMMENT ON FUNCTION featurestore._captured_sources(regclass) IS 'internal: tables whose changes a publication applies';

/*
 * The online tables whose publications apply changes of source.  Only roles with
 * the rights of its owner capture it, and nobody else has changes kept for him by
 * what he writes to the catalog.  A table that is just being dropped counts.
 */
CREATE FUNCTION featurestore._consumers(source regclass) RETURNS SETOF regclass
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT p.relation
FROM featurestore.publication p
WHERE p.publish_mode <> 'SNAPSHOT'
	AND (p.source = _consumers.source
		 OR (p.source IS NULL AND EXISTS (SELECT FROM featurestore.feature f WHERE f.online_table = p.relation AND f.source = _consumers.source)))
	AND NOT EXISTS (SELECT FROM pg_class o, pg_class c
					WHERE o.oid = p.relation AND c.oid = _consumers.source AND NOT pg_has_role(o.relowner, c.relowner, 'USAGE'))
$$;
COMMENT ON FUNCTION featurestore._consumers(regclass) IS 'internal: online tables that changes of a table are applied to';

/* The transaction that gave a relation its owner, so that one is noticed who had it for a while; NULL for an owner that the server is made with. */
CREATE FUNCTION featurestore._owner_since(relation oid) RETURNS xid
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT xmin FROM pg_shdepend
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND classid = 'pg_class'::regclass AND objid = relation AND objsubid = 0 AND deptype = 'o'
$$;
COMMENT ON FUNCTION featurestore._owner_since(oid) IS 'internal: the transaction that gave a relation its owner';

/*
 * What source looks like: "base", and by OID the "children", its partitions at
 * all levels.  It changes with whatever could change rows unnoticed by the
 * triggers, and not with ANALYZE, VACUUM, CREATE INDEX, GRANT, CLUSTER and
 * TRUNCATE.  The transactions that wrote the catalog rows are in it, so that
 * triggers that were disabled for a while, partitions that were detached for a
 * while, and values that ALTER TYPE changed under the same type are noticed.
 */
CREATE FUNCTION featurestore._fingerprint(source regclass) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	WITH member AS MATERIALIZED (
		SELECT t.relation, concat_ws(E'\n', t.link, c.oid, c.relowner, featurestore._owner_since(c.oid), c.relpersistence,
			(SELECT string_agg(concat_ws(' ', attnum, attname, atttypid, atttypmod, attcollation, a.xmin), E'\n' ORDER BY attnum)
			 FROM pg_attribute a WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
			(SELECT string_agg(concat_ws(' ', g.oid, tgenabled, g.xmin), E'\n' ORDER BY g.oid)
			 FROM pg_trigger g WHERE tgrelid = c.oid AND tgfoid = 'featurestore._capture()'::regprocedure)) AS image
		FROM featurestore._tree(source) t JOIN pg_class c ON c.oid = t.relation)
	SELECT jsonb_build_object(
		'base', (SELECT hashtextextended(concat_ws(E'\n', image, s.relation::oid,
					(SELECT string_agg(concat_ws(' ', attnum, attname, atttypid, atttypmod, a.xmin), E'\n' ORDER BY attnum)
					 FROM pg_attribute a WHERE attrelid = s.relation AND attnum > 0 AND NOT attisdropped)), 0)::text
				 FROM member LEFT JOIN featurestore.staging s ON s.captured_source = source WHERE member.relation = source),
		'children', (SELECT coalesce(jsonb_object_agg(relation::oid, hashtextextended(image, 0)::text), '{}') FROM member WHERE relation <> source)));
END
$$;
COMMENT ON FUNCTION featurestore._fingerprint(regclass) IS 'internal: what a source looks like, to notice changes that fire no trigger';

/* Columns of every staging table that are not of the table it is about, and their types. */
CREATE FUNCTION featurestore._metadata_types() RETURNS TABLE(name text, type regtype)
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	VALUES ('_change_type', 'text'::regtype), ('_commit_version', 'bigint'), ('_commit_timestamp', 'timestamptz'),
		('_sequence', 'bigint'), ('_xid', 'xid8'), ('_partition', 'smallint');
END
$$;
COMMENT ON FUNCTION featurestore._metadata_types() IS 'internal: columns that only staging tables have, and their types';

/* Their names. */
CREATE FUNCTION featurestore._metadata_columns() RETURNS text[]
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$ SELECT array_agg(name) FROM featurestore._metadata_types() $$;
COMMENT ON FUNCTION featurestore._metadata_columns() IS 'internal: columns that only staging tables have';

/*
 * Columns of relation that a staging table has, too.  A trigger finds stored
 * generated columns computed, and virtual ones not; a writer gives neither.
 */
CREATE FUNCTION featurestore._staged_columns(relation regclass, is_captured boolean) RETURNS SETOF pg_attribute
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT * FROM pg_attribute
	WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
		AND (attgenerated = '' OR (is_captured AND attgenerated = 's'));
END
$$;
COMMENT ON FUNCTION featurestore._staged_columns(regclass, boolean) IS 'internal: columns that staged rows of a table have';

/* Raises 42701 if relation has a column with the name of one of a staging table's own. */
CREATE FUNCTION featurestore._check_metadata_names(relation regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	bad text;
BEGIN
	SELECT attname INTO bad FROM pg_attribute
	WHERE attrelid = relation AND attname = ANY (featurestore._metadata_columns()) AND NOT attisdropped ORDER BY attnum LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_column',
			MESSAGE = format('column "%s" of %s has the name of a column of staging tables', bad, relation),
			DETAIL = format('A staging table has the columns %s besides those of the table.',
							array_to_string(featurestore._metadata_columns(), ', ')),
			HINT = 'Rename the column.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_metadata_names(regclass) IS 'internal: raises an error unless staged rows of a table can have all its columns';

/* A name in schema that no relation and no type has: base, cut where it is too long, suffix, and a number if need be. */
CREATE FUNCTION featurestore._free_name(schema regnamespace, base text, suffix text) RETURNS name
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	result text;
	ending text;
	n int := 0;
BEGIN
	LOOP
		ending := suffix || CASE WHEN n > 0 THEN n::text ELSE '' END;
		SELECT left(base, max(length)) || ending INTO result
		FROM generate_series(0, length(base)) AS length WHERE octet_length(left(base, length) || ending) <= 63;
		EXIT WHEN NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = schema AND relname = result)
			AND NOT EXISTS (SELECT FROM pg_type WHERE typnamespace = schema AND typname = result);
		n := n + 1;
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._free_name(regnamespace, text, text) IS 'internal: a name that is not taken';

/*
 * Creates a staging table for relation, in its schema, with its owner, named
 * after it with suffix.  Rows can be of any kind, so all columns can be null.
 */
CREATE FUNCTION featurestore._create_staging(relation regclass, suffix text, is_captured boolean) RETURNS featurestore.staging
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	class pg_class;
	schema regnamespace;
	name name;
	partition text;
	result featurestore.staging;
BEGIN
	SELECT * INTO class FROM pg_class WHERE oid = relation;
	schema := class.relnamespace;
	name := featurestore._free_name(schema, class.relname, suffix);
	/* what tells whether a captured change is new comes first, where it is found without looking at the rest */
	EXECUTE format('CREATE TABLE %s.%I (%s) PARTITION BY LIST (_partition)', schema, name, concat_ws(', ',
		(SELECT string_agg(format('%I %s', m.name, m.type), ', ' ORDER BY m.type = 'text'::regtype, m.name DESC) FROM featurestore._metadata_types() AS m WHERE is_captured),
		(SELECT string_agg(format('%I %s%s', attname, format_type(atttypid, atttypmod),
								  CASE WHEN attcollation <> typcollation THEN ' COLLATE ' || attcollation::regcollation END), ', ' ORDER BY attnum)
		 FROM featurestore._staged_columns(relation, is_captured) JOIN pg_type t ON t.oid = atttypid WHERE is_captured OR NOT featurestore._is_merged(relation)),
		(SELECT string_agg(format('%I %s%s', m.name, format_type(m.input_type, CASE WHEN m.rule IN ('accumulate', 'last_n') THEN -1 ELSE m.modifier END),
								  CASE WHEN t.typcollation <> 0 AND m.rule <> 'accumulate' THEN ' COLLATE ' || m.coll END), ', ' ORDER BY m.attnum)
		 FROM featurestore._merge_columns(relation) AS m JOIN pg_type t ON t.oid = m.input_type WHERE NOT is_captured AND featurestore._is_merged(relation)),
		(SELECT string_agg(format('%I %s', m.name, m.type), ', ') FROM featurestore._metadata_types() AS m WHERE NOT is_captured)));
	result.relation := format('%s.%I', schema, name);
	FOR n IN REVERSE 1..0 LOOP
		partition := format('%s.%I', schema, featurestore._free_name(schema, name, '_' || n));
		EXECUTE format('CREATE TABLE %s PARTITION OF %s FOR VALUES IN (%s)', partition, result.relation, n);
	END LOOP;
	result.current_partition := 0;
	result.current_relation := partition;
	PERFORM featurestore._give_staging(result.relation, class.relowner);
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._create_staging(regclass, text, boolean) IS 'internal: creates a staging table';

/* Makes owner the owner of a staging table and its partitions. */
CREATE FUNCTION featurestore._give_staging(staging regclass, owner regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	member regclass;
BEGIN
	FOR member IN SELECT t.relation FROM featurestore._tree(staging) t JOIN pg_class c ON c.oid = t.relation WHERE c.relowner <> owner LOOP
		EXECUTE format('ALTER TABLE %s OWNER TO %s', member, owner);
		/* whoever owns the schema can rename it meanwhile, so that the name is that of another table */
		IF (SELECT relowner <> owner FROM pg_class WHERE oid = member) THEN
			RAISE EXCEPTION USING ERRCODE = 'object_in_use',
				MESSAGE = format('schema of table with OID %s was renamed', member::oid);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._give_staging(regclass, regrole) IS 'internal: gives a staging table to another owner';

/* Stores the definition of a staging table. */
CREATE FUNCTION featurestore._store_staging(staging featurestore.staging) RETURNS void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._store_definition('staging', to_jsonb(staging) || jsonb_build_object(
	'relation', staging.relation::oid::text, 'captured_source', staging.captured_source::oid::text,
	'online_table', staging.online_table::oid::text, 'current_relation', staging.current_relation::oid::text))
$$;
COMMENT ON FUNCTION featurestore._store_staging(featurestore.staging) IS 'internal: stores the definition of a staging table';

/* The staging table of a captured source; NULL if there is none. */
CREATE FUNCTION featurestore._captured_in(source regclass) RETURNS featurestore.staging
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT s FROM featurestore.staging s WHERE s.captured_source = source
$$;
COMMENT ON FUNCTION featurestore._captured_in(regclass) IS 'internal: the staging table of a source';

/*
 * The triggers that capture changes, of each table from source down: their
 * names, NULL where there is none, and whether they fire in all sessions.  They
 * are known by their function, so that a renamed one is not made again.
 */
CREATE FUNCTION featurestore._capture_triggers(source regclass)
	RETURNS TABLE(relation regclass, row_trigger name, row_fires boolean, truncate_trigger name, truncate_fires boolean)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT t.relation, r.tgname, r.tgenabled = 'A', s.tgname, s.tgenabled = 'A'
FROM featurestore._tree(source) t
/* 29: after insert, update or delete, for each row; 32: after truncate, for each statement */
LEFT JOIN pg_trigger r ON r.tgrelid = t.relation AND r.tgfoid = 'featurestore._capture()'::regprocedure
	AND r.tgtype = 29 AND r.tgqual IS NULL AND r.tgattr::text = ''
LEFT JOIN pg_trigger s ON s.tgrelid = t.relation AND s.tgfoid = 'featurestore._capture()'::regprocedure
	AND s.tgtype = 32
$$;
COMMENT ON FUNCTION featurestore._capture_triggers(regclass) IS 'internal: the triggers that capture changes of a source';

/*
 * Raises an error unless changes of source can be captured by the caller: 22004
 * for NULL, 42P01 for a dropped one, 42501 unless the caller owns it and its
 * partitions, 42809 unless it is an ordinary or partitioned table and logged
 * (an unlogged one is emptied by a crash, and no trigger fires), 0A000 if it
 * has foreign partitions or tables that inherit from it in the old way, or is
 * captured in parts, as a trigger has one staging table to write to, and 42701
 * for a column named as one of a staging table's own.
 */
CREATE FUNCTION featurestore._check_capturable(source regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	member pg_class;
	is_partitioned boolean;
	code text;
	detail text;
BEGIN
	IF source IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'source must not be null';
	END IF;
	SELECT relkind = 'p' INTO is_partitioned FROM pg_class WHERE oid = source;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_table',
			MESSAGE = format('relation with OID %s does not exist', source::oid);
	END IF;

	FOR member IN SELECT c.* FROM featurestore._tree(source) t JOIN pg_class c ON c.oid = t.relation ORDER BY t.relation <> source, c.oid LOOP
		IF member.relkind = 'f' AND is_partitioned THEN
			code := 'feature_not_supported';
			detail := format('Its partition %s is a foreign table, which others can change.', member.oid::regclass);
		ELSIF NOT pg_has_role(member.relowner, 'USAGE') THEN
			RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
				MESSAGE = format('must be owner of table %s', member.oid::regclass),
				DETAIL = 'A trigger on it is to capture its changes.',
				HINT = 'To publish what one can only read, use publish mode SNAPSHOT.';
		ELSIF member.oid <> source AND NOT is_partitioned THEN
			code := 'feature_not_supported';
			detail := format('Table %s inherits from it and is no partition.', member.oid::regclass);
		ELSIF member.relkind NOT IN ('r', 'p') OR member.relpersistence <> 'p' THEN
			code := 'wrong_object_type';
			detail := format('%s is not an ordinary or partitioned table that is neither temporary nor unlogged.', member.oid::regclass);
		END IF;
		IF code IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = code,
				MESSAGE = format('changes of %s cannot be captured', source), DETAIL = detail,
				HINT = 'Publish it in mode SNAPSHOT.';
		END IF;
	END LOOP;

	PERFORM featurestore._check_captured_whole(source);
	PERFORM featurestore._check_metadata_names(source);
END
$$;
COMMENT ON FUNCTION featurestore._check_capturable(regclass) IS 'internal: raises an error unless changes of a table can be captured';

/* Raises 0A000 if changes of a partition of source, or of what source is a partition of, are captured. */
CREATE FUNCTION featurestore._check_captured_whole(source regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	other regclass;
BEGIN
	WITH RECURSIVE above(relation) AS (
		SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = source
		UNION
		SELECT i.inhparent FROM pg_inherits i JOIN above ON i.inhrelid = above.relation)
	SELECT s.captured_source INTO other FROM featurestore.staging s
	WHERE s.captured_source <> source
		AND s.captured_source IN (SELECT relation FROM above UNION ALL SELECT relation FROM featurestore._tree(source))
	ORDER BY 1 LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
			MESSAGE = format('changes of %s cannot be captured', source),
			DETAIL = format('Those of %s are, and one of the two is a partition of the other.', other),
			HINT = 'Publish from one of them only.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_captured_whole(regclass) IS 'internal: raises an error if changes would have two staging tables to go to';

/* Has relation the shape of a staging table?  Nothing else is read, dropped or given away for what the catalog says. */
CREATE FUNCTION featurestore._is_staging(relation regclass) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT EXISTS (SELECT FROM pg_partitioned_table JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
				   WHERE partrelid = relation AND attname = '_partition')
		AND NOT EXISTS (SELECT FROM featurestore._metadata_types() AS m
						WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = relation AND attname = m.name AND atttypid = m.type AND NOT attisdropped)));
END
$$;
COMMENT ON FUNCTION featurestore._is_staging(regclass) IS 'internal: whether a table has the shape of a staging table';

/* Has a staging table all columns of a source, as they are? */
CREATE FUNCTION featurestore._has_columns(staging regclass, source regclass) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT NOT EXISTS (
		SELECT attname, atttypid, atttypmod, attcollation FROM featurestore._staged_columns(source, true)
		EXCEPT
		SELECT attname, atttypid, atttypmod, attcollation FROM featurestore._staged_columns(staging, true)));
END
$$;
COMMENT ON FUNCTION featurestore._has_columns(regclass, regclass) IS 'internal: whether a staging table has room for all columns of a source';

/*
 * Can rows of its source go to staging?  It must belong to this cluster, have
 * its current partition, and all columns of the source as they are.
 */
CREATE FUNCTION featurestore._fits(staging featurestore.staging) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT staging.system_identifier = (SELECT system_identifier FROM pg_control_system())
	AND EXISTS (SELECT FROM pg_inherits WHERE inhrelid = staging.current_relation AND inhparent = staging.relation)
	AND featurestore._is_staging(staging.relation)
	AND featurestore._has_columns(staging.relation, staging.captured_source)
$$;
COMMENT ON FUNCTION featurestore._fits(featurestore.staging) IS 'internal: whether a staging table has room for all columns of its source';

/* Are changes of its source captured in staging, with these images, for a publication in this mode? */
CREATE FUNCTION featurestore._is_captured(staging featurestore.staging, key_columns text[], publish_mode text) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT staging.relation IS NOT NULL AND featurestore._fits(staging)
	AND CASE publish_mode WHEN 'SYNCHRONOUS' THEN staging.is_applied IS TRUE ELSE staging.is_written IS NOT FALSE END
	AND (staging.key_columns IS NULL OR (key_columns <@ staging.key_columns AND key_columns IS NOT NULL))
	AND NOT EXISTS (SELECT FROM featurestore._capture_triggers(staging.captured_source)
					WHERE row_fires IS NOT TRUE OR truncate_fires IS NOT TRUE)
	AND (SELECT bool_and(c.relowner = (SELECT relowner FROM pg_class WHERE oid = staging.captured_source))
		 FROM featurestore._tree(staging.relation) t JOIN pg_class c ON c.oid = t.relation)
$$;
COMMENT ON FUNCTION featurestore._is_captured(featurestore.staging, text[], text) IS 'internal: whether nothing is to be done to capture changes';

/*
 * Creates the triggers of source that are missing, and lets those fire that do
 * not.  The server clones the one for rows to partitions.
 */
CREATE FUNCTION featurestore._mend_triggers(source regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	name text := coalesce((SELECT row_trigger FROM featurestore._capture_triggers(source) WHERE relation = source LIMIT 1), 'featurestore_capture');
	member record;
BEGIN
	IF EXISTS (SELECT FROM featurestore._capture_triggers(source) WHERE row_trigger IS NULL) THEN
		EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION featurestore._capture()',
					   name, source);
	END IF;
	IF EXISTS (SELECT FROM featurestore._capture_triggers(source) WHERE NOT row_fires) THEN
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', source, name);
	END IF;
	FOR member IN SELECT * FROM featurestore._capture_triggers(source) WHERE truncate_fires IS NOT TRUE LOOP
		name := coalesce(member.truncate_trigger, 'featurestore_capture_truncate');
		IF member.truncate_trigger IS NULL THEN
			EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION featurestore._capture()',
						   name, member.relation);
		END IF;
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', member.relation, name);
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._mend_triggers(regclass) IS 'internal: makes sure that the triggers of a source are there and fire';

/*
 * The work of _capture_source where there is some.
 *
 * The lock on the staging table keeps rotation, which writes the same row of
 * the catalog, from waiting for us; that on the source, and its partitions, is
 * the one of CREATE TRIGGER.  Writers whose changes were not staged as they now
 * are have ended once we have it, so that any snapshot we take sees them.
 *
 * A staging table without room for a column makes place for another: all
 * publications have to read their source anew, by its fingerprint, and need
 * none of its rows.  To alter it would mean to wait for its readers, and
 * perhaps to evaluate what its owner wrote (constraints of domains) as another
 * user.
 */
CREATE FUNCTION featurestore._mend_capture(source regclass, key_columns text[], publish_mode text) RETURNS featurestore.staging
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	staging featurestore.staging := featurestore._captured_in(source);
	old featurestore.staging;
BEGIN
	IF staging.relation IS NOT NULL THEN
		EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', staging.relation);
	END IF;
	EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', source);
	PERFORM featurestore._check_capturable(source);
	old := featurestore._captured_in(source);

	staging := old;
	IF old.relation IS NOT NULL AND NOT featurestore._fits(old) THEN
		PERFORM featurestore._remove_definition('staging', old.relation);
		PERFORM featurestore._drop_staging(old.relation);
		staging := NULL;
	END IF;
	IF staging.relation IS NULL THEN
		staging := featurestore._create_staging(source, '_changes', true);
		staging.captured_source := source;
	ELSE
		PERFORM featurestore._follow_owner(staging);
	END IF;
	IF old.relation IS NULL OR old.key_columns IS NOT NULL THEN
		staging.key_columns := CASE WHEN key_columns IS NOT NULL THEN ARRAY(
			SELECT DISTINCT name COLLATE "C" FROM unnest(old.key_columns || key_columns) AS name
			WHERE name IN (SELECT attname::text FROM featurestore._staged_columns(source, true)) ORDER BY 1) END;
	END IF;
	staging.is_written := publish_mode <> 'SYNCHRONOUS' OR (old.relation IS NOT NULL AND old.is_written IS NOT FALSE);
	staging.is_applied := publish_mode = 'SYNCHRONOUS' OR old.is_applied IS TRUE;
	PERFORM featurestore._store_staging(staging);
	PERFORM featurestore._mend_triggers(source);
	RETURN staging;
END
$$;
COMMENT ON FUNCTION featurestore._mend_capture(regclass, text[], text) IS 'internal: sets up the capture of changes, or mends it';

/*
 * Makes sure that changes of source are captured; gives the staging table they
 * go to.  key_columns: columns of which an update that changes one needs its
 * old row staged; NULL: every update does.  publish_mode: SYNCHRONOUS if writers
 * are to apply the changes, any other if they are to be staged.  What others
 * asked for stays.
 *
 * Done again it mends what has been altered since: columns, triggers, owner.
 * While there is nothing to do it locks no table.  Until the end of the
 * transaction no staged change is thrown away (see _hold_staged).  A caller who
 * reads the source as a whole takes its fingerprint before this call and his
 * snapshot after it: what happens in between then shows by the fingerprint.
 *
 * Raises what _check_capturable does, 42703, 42701 and 22004 for key_columns,
 * and 42501 where its owner may not create tables in the schema.
 */
CREATE FUNCTION featurestore._capture_source(source regclass, key_columns text[], publish_mode text DEFAULT 'TRIGGERED') RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	staging featurestore.staging;
BEGIN
	PERFORM featurestore._check_capturable(source);
	PERFORM featurestore._check_columns(source, 'key_columns', key_columns);
	staging := featurestore._captured_in(source);
	/* by the time it is held it may have been released, or replaced */
	IF featurestore._hold_staged(staging.relation) AND featurestore._is_captured(featurestore._captured_in(source), key_columns, publish_mode) THEN
		RETURN (featurestore._captured_in(source)).relation;
	END IF;
	staging := featurestore._mend_capture(source, key_columns, publish_mode);
	PERFORM featurestore._hold_staged(staging.relation);
	RETURN staging.relation;
END
$$;
COMMENT ON FUNCTION featurestore._capture_source(regclass, text[], text) IS 'internal: captures changes of a table';

/*
 * Drops a staging table that is not used any more; if it cannot be had, or a
 * view depends on it, it stays and a WARNING says so.  Runs nothing of its owner's.
 */
CREATE FUNCTION featurestore._drop_staging(staging regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF NOT featurestore._is_staging(staging) THEN
		RETURN;
	END IF;
	IF NOT featurestore._try_lock_tree(staging, 'ACCESS EXCLUSIVE') THEN
		RAISE lock_not_available USING MESSAGE = format('table %s is in use', staging);
	END IF;
	EXECUTE format('DROP TABLE %s', staging);
EXCEPTION WHEN lock_not_available OR object_in_use OR dependent_objects_still_exist OR insufficient_privilege THEN
	RAISE WARNING USING MESSAGE = format('staging table %s is not used any more, but could not be dropped', staging),
		DETAIL = initcap(left(sqlerrm, 1)) || substr(sqlerrm, 2) || '.',
		HINT = format('Drop it: DROP TABLE %s.', staging);
END
$$;
COMMENT ON FUNCTION featurestore._drop_staging(regclass) IS 'internal: drops a staging table if it can be had';

/* Drops the triggers that capture changes of source; if they cannot be had they stay, capture nothing, and a WARNING says so. */
CREATE FUNCTION featurestore._drop_triggers(source regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	member record;
BEGIN
	IF NOT EXISTS (SELECT FROM featurestore._capture_triggers(source) WHERE num_nonnulls(row_trigger, truncate_trigger) > 0) THEN
		RETURN;
	END IF;
	IF NOT featurestore._try_lock_tree(source, 'ACCESS EXCLUSIVE') THEN
		RAISE lock_not_available USING MESSAGE = format('table %s is in use', source);
	END IF;
	/* clones go with what they are clones of */
	FOR member IN SELECT t.relation, g.tgname FROM featurestore._tree(source) t JOIN pg_trigger g ON g.tgrelid = t.relation
				  WHERE g.tgfoid = 'featurestore._capture()'::regprocedure AND g.tgparentid = 0 LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', member.tgname, member.relation);
	END LOOP;
EXCEPTION WHEN lock_not_available OR object_in_use OR insufficient_privilege THEN
	RAISE WARNING USING MESSAGE = format('triggers of %s are not used any more, but could not be dropped', source),
		DETAIL = initcap(left(sqlerrm, 1)) || substr(sqlerrm, 2) || '.',
		HINT = format('Drop them: DROP TRIGGER featurestore_capture ON %s; DROP TRIGGER featurestore_capture_truncate ON %1$s.', source);
END
$$;
COMMENT ON FUNCTION featurestore._drop_triggers(regclass) IS 'internal: drops the triggers of a source if they can be had';

/* Have publications of source, all of them or any, this mode? */
CREATE FUNCTION featurestore._needs_changes(source regclass, is_synchronous boolean) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT EXISTS (SELECT FROM featurestore._consumers(source) AS consumer JOIN featurestore.publication p ON p.relation = consumer
			   WHERE (p.publish_mode = 'SYNCHRONOUS') = is_synchronous)
$$;
COMMENT ON FUNCTION featurestore._needs_changes(regclass, boolean) IS 'internal: whether changes of a source are to be applied by writers, or staged';

/*
 * Ends the staging of changes that only writers apply, or the other way round,
 * if nobody holds them who is about to need it.
 */
CREATE FUNCTION featurestore._narrow_capture(staging featurestore.staging) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	source regclass := staging.captured_source;
BEGIN
	IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
		OR (featurestore._needs_changes(source, false) >= (staging.is_written IS NOT FALSE) AND featurestore._needs_changes(source, true) >= (staging.is_applied IS TRUE))
		OR NOT EXISTS (SELECT FROM pg_class WHERE oid = staging.relation AND pg_has_role(relowner, 'USAGE'))
		OR NOT featurestore._try_lock(staging.relation, 'SHARE UPDATE EXCLUSIVE') OR NOT featurestore._try_discard(staging.relation) THEN
		RETURN;
	END IF;
	staging := featurestore._captured_in(source);
	staging.is_written := staging.is_written IS NOT FALSE AND featurestore._needs_changes(source, false);
	staging.is_applied := staging.is_applied IS TRUE AND featurestore._needs_changes(source, true);
	PERFORM featurestore._store_staging(staging);
END
$$;
COMMENT ON FUNCTION featurestore._narrow_capture(featurestore.staging) IS 'internal: ends what is not needed of the capture of changes';

/*
 * Ends the capture of changes of source unless a publication needs it.  Waits
 * for nobody, and raises no error but for its own faults: what cannot be
 * dropped stays, is not used any more, and a WARNING names it.
 *
 * A publication that is about to need it holds the changes and makes us leave
 * all as it is; after that we look again, which a transaction that keeps its
 * snapshot cannot.
 */
CREATE FUNCTION featurestore._release_source(source regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	staging featurestore.staging := featurestore._captured_in(source);
	cause text;
BEGIN
	IF staging.relation IS NULL THEN
		RETURN;
	ELSIF EXISTS (SELECT FROM featurestore._consumers(source)) THEN
		PERFORM featurestore._narrow_capture(staging);
		RETURN;
	END IF;
	IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
		cause := 'To end that takes a transaction that does not keep one snapshot.';
	ELSIF (SELECT NOT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = staging.relation) THEN
		cause := 'Only its owner can end that.';
	ELSIF NOT featurestore._try_lock(staging.relation, 'SHARE UPDATE EXCLUSIVE') THEN
		cause := 'The staging table is being rotated or altered.';
	END IF;
	IF cause IS NOT NULL THEN
		RAISE WARNING USING MESSAGE = format('changes of %s are still captured', source), DETAIL = cause,
			HINT = format('If nothing else is to be published from it, drop the staging table: DROP TABLE %s.', staging.relation);
		RETURN;
	END IF;
	IF NOT featurestore._try_discard(staging.relation) OR EXISTS (SELECT FROM featurestore._consumers(source)) THEN
		RETURN;
	END IF;
	PERFORM featurestore._remove_definition('staging', staging.relation);
	PERFORM featurestore._drop_triggers(source);
	PERFORM featurestore._drop_staging(staging.relation);
END
$$;
COMMENT ON FUNCTION featurestore._release_source(regclass) IS 'internal: ends the capture of changes of a table that nobody needs';

/*
 * Forgets staging tables that are among dropped, or are about something that
 * is, or have lost the partition they write to.  Runs as the extension's owner.
 */
CREATE FUNCTION featurestore._forget_staging(dropped oid[]) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	staging featurestore.staging;
	forgotten featurestore.staging[] := ARRAY(
		SELECT s FROM featurestore.staging s WHERE ARRAY[relation, captured_source, online_table, current_relation]::oid[] && dropped ORDER BY relation);
BEGIN
	FOREACH staging IN ARRAY forgotten LOOP
		DELETE FROM featurestore.staging s WHERE s.relation = staging.relation;
		IF staging.captured_source <> ALL (dropped) THEN
			PERFORM featurestore._drop_triggers(staging.captured_source);
		END IF;
		IF staging.relation <> ALL (dropped) THEN
			PERFORM featurestore._drop_staging(staging.relation);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._forget_staging(oid[]) IS 'internal: forgets staging tables of dropped relations';

/*
 * Gives a staging table to the owner of what it is about, since the trigger
 * refuses to write rows of one role to a table of another.  Runs nothing of
 * anybody's; if the table cannot be had a WARNING says so.
 */
CREATE FUNCTION featurestore._follow_owner(staging featurestore.staging) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	owner regrole := (SELECT relowner FROM pg_class WHERE oid = coalesce(staging.captured_source, staging.online_table));
BEGIN
	IF NOT EXISTS (SELECT FROM featurestore._tree(staging.relation) t JOIN pg_class c ON c.oid = t.relation WHERE c.relowner <> owner)
		OR NOT featurestore._is_staging(staging.relation)
	THEN
		RETURN;
	END IF;
	IF featurestore._try_lock_tree(staging.relation, 'ACCESS EXCLUSIVE') THEN
		PERFORM featurestore._give_staging(staging.relation, owner);
	ELSE
		RAISE WARNING USING MESSAGE = format('staging table %s is in use and could not be given to %s', staging.relation, owner),
			HINT = format('Change its owner: ALTER TABLE %s OWNER TO %s.', staging.relation, owner);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._follow_owner(featurestore.staging) IS 'internal: gives a staging table to the owner of its source';

/*
 * Lets rows without a partition go to the current one, if the staging table is
 * one of external writers.  Its name is held as a text, since a dump cannot
 * restore the default of a column that names its own table as a regclass; so
 * this is done again when the table is renamed.
 */
CREATE FUNCTION featurestore._follow_name(staging featurestore.staging) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	name text := featurestore._relation_name(staging.relation);
	wanted text := format('featurestore._current_partition(to_regclass(%L::text))', name);
BEGIN
	IF staging.online_table IS NOT NULL AND featurestore._is_staging(staging.relation)
		AND NOT EXISTS (SELECT FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
						WHERE adrelid = staging.relation AND attname = '_partition' AND pg_get_expr(adbin, adrelid) = wanted)
		AND featurestore._try_lock_tree(staging.relation, 'ACCESS EXCLUSIVE')
	THEN
		EXECUTE format('ALTER TABLE ONLY %s ALTER COLUMN _partition SET DEFAULT %s', name, wanted);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._follow_name(featurestore.staging) IS 'internal: the default partition of rows of external writers';
