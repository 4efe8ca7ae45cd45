/*
 * Rotation of staging tables: changes that all publications have applied are
 * truncated away, so that a staging table stays small, needs no vacuum and no
 * index.
 *
 * One partition is the current one, which new rows go to.  When it has grown
 * large an empty one takes its place, and once its rows are applied everywhere
 * it is truncated.  Its lock is asked for and not waited for:
 *
 * - A writer may still use a partition that is not current any more.  He locks
 *   it until his transaction ends, prepared ones included, so that with the lock
 *   there are no rows in it whose fate is open.  One who comes after the look
 *   leaves rows in a partition that is not current, which are read like all
 *   others and truncated some time later.
 * - A dump locks all it can see for hours.  Then the rotation goes on with
 *   further partitions, and if there are many deletes the rows instead.
 * - A publication that is being filled needs changes that its position does
 *   not show yet: see _hold_staged.
 * - A sync that reads changes has locked all partitions.
 *
 * Whether rows are applied is looked at with the lock, under a snapshot taken
 * after it, against positions as they are then, among them the one that the
 * transaction has just written: truncation and position commit together.  A
 * transaction that keeps one snapshot cannot look, and does not rotate.
 */

/* The lock of whoever rotates a staging table; false if another session has it, or this transaction has rotated before. */
CREATE FUNCTION featurestore._try_rotation(staging regclass) RETURNS boolean
	AS 'MODULE_PATHNAME', 'try_rotation' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._try_rotation(regclass) IS 'internal: lets one transaction rotate a staging table, once';

/* Is a change applied by a publication with this position?  NULL where that cannot be said. */
CREATE FUNCTION featurestore._is_applied(xid xid8, sequence bigint, snapshot pg_snapshot, own_xid xid8, own_sequence bigint) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT CASE WHEN _is_applied.xid = _is_applied.own_xid THEN _is_applied.sequence <= _is_applied.own_sequence
			   ELSE pg_visible_in_snapshot(_is_applied.xid, _is_applied.snapshot) END;
	END;
COMMENT ON FUNCTION featurestore._is_applied(xid8, bigint, pg_snapshot, xid8, bigint) IS 'internal: whether a position includes a change';

/*
 * The positions that changes in staging are needed from.  A publication that
 * has none in this cluster, or none with a snapshot, will read its source anew,
 * under a snapshot that sees all that is staged by now.  What external writers
 * have staged is nowhere else, and all needed until it is applied.  What writers
 * apply themselves is not read from here.
 */
CREATE FUNCTION featurestore._needed_from(staging featurestore.staging)
	RETURNS TABLE(consumer regclass, snapshot pg_snapshot, own_xid xid8, own_sequence bigint)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
WITH known AS (
	SELECT p.relation, p.snapshot, p.own_xid, p.own_sequence
	FROM (SELECT relation, system_identifier, snapshot, own_xid, own_sequence FROM featurestore.publication_position
		  UNION ALL SELECT relation, system_identifier, snapshot, own_xid, own_sequence FROM featurestore.fill_position) AS p
	WHERE p.system_identifier = (SELECT system_identifier FROM pg_control_system()) AND p.snapshot IS NOT NULL)
SELECT known.* FROM featurestore._consumers(staging.captured_source) AS consumer JOIN known ON known.relation = consumer
	JOIN featurestore.publication p ON p.relation = consumer AND p.publish_mode <> 'SYNCHRONOUS'
UNION ALL
SELECT staging.online_table, coalesce(known.snapshot, '1:1:'), known.own_xid, known.own_sequence
FROM (SELECT WHERE staging.online_table IS NOT NULL) AS external LEFT JOIN known ON known.relation = staging.online_table
$$;
COMMENT ON FUNCTION featurestore._needed_from(featurestore.staging) IS 'internal: positions that staged changes are needed from';

/*
 * A publication that has yet to apply a row of partition; NULL if all rows are
 * applied.  The newest rows are looked at first, or only.
 */
CREATE FUNCTION featurestore._needed_by(staging featurestore.staging, partition regclass, newest_only boolean) RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET row_security = off
	AS $$
DECLARE
	last_pages tid := format('(%s,0)', greatest(pg_relation_size(partition) / current_setting('block_size')::int - 4, 0));
	first tid;
	result regclass;
BEGIN
	FOREACH first IN ARRAY CASE WHEN newest_only THEN ARRAY[last_pages] ELSE ARRAY[last_pages, '(0,0)'] END LOOP
		EXECUTE format('SELECT need.consumer FROM featurestore._needed_from($1) AS need, ONLY %s AS staged
			WHERE staged.ctid >= $2 AND featurestore._is_applied(_xid, _sequence, snapshot, own_xid, own_sequence) IS NOT TRUE LIMIT 1', partition)
		INTO result USING staging, first;
		EXIT WHEN result IS NOT NULL;
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._needed_by(featurestore.staging, regclass, boolean) IS 'internal: who still needs rows of a partition';

/*
 * Truncates a partition that is not the current one if nobody needs its rows
 * and it can be had; gives what keeps it, as part of a sentence, else NULL.
 */
CREATE FUNCTION featurestore._truncate_staged(staging featurestore.staging, partition regclass) RETURNS text
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	needed_by regclass;
BEGIN
	IF NOT featurestore._try_discard(staging.relation) THEN
		RETURN 'a table that takes changes from it is being filled';
	END IF;
	needed_by := featurestore._needed_by(staging, partition, true);
	IF needed_by IS NULL THEN
		IF NOT featurestore._try_lock(partition, 'ACCESS EXCLUSIVE') THEN
			RETURN format('%s is in use', partition);
		END IF;
		/* all of it, now that no row can come */
		needed_by := featurestore._needed_by(staging, partition, false);
	END IF;
	IF needed_by IS NOT NULL THEN
		RETURN format('%s has yet to apply changes in %s', needed_by, partition);
	END IF;
	EXECUTE format('TRUNCATE ONLY %s', partition);
	RETURN NULL;
EXCEPTION WHEN object_in_use THEN
	RETURN format('%s is in use in this session', partition);
END
$$;
COMMENT ON FUNCTION featurestore._truncate_staged(featurestore.staging, regclass) IS 'internal: truncates a partition whose rows nobody needs';

/*
 * Deletes rows that nobody needs from all partitions that can be had, for want
 * of truncation.  A partition whose first row is needed is not looked through.
 */
CREATE FUNCTION featurestore._delete_staged(staging featurestore.staging) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET row_security = off
	AS $$
DECLARE
	condition text := 'NOT EXISTS (SELECT FROM featurestore._needed_from($1) AS need
		WHERE featurestore._is_applied(_xid, _sequence, snapshot, own_xid, own_sequence) IS NOT TRUE)';
	partition regclass;
	has_some boolean;
BEGIN
	IF NOT featurestore._try_discard(staging.relation) THEN
		RETURN;
	END IF;
	FOR partition IN SELECT s.partition FROM featurestore._staged_partitions(staging.relation) s WHERE size > 0 LOOP
		IF featurestore._try_lock(partition, 'ROW EXCLUSIVE') THEN
			EXECUTE format('SELECT %s FROM ONLY %s AS staged LIMIT 1', condition, partition) INTO has_some USING staging;
			IF has_some THEN
				EXECUTE format('DELETE FROM ONLY %s AS staged WHERE %s', partition, condition) USING staging;
			END IF;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION featurestore._delete_staged(featurestore.staging) IS 'internal: deletes staged rows that nobody needs';

/*
 * The partitions of a staging table of ours: the value of _partition, and the
 * size in bytes, NULL for one that cannot be had.  Others, which its owner may
 * have added, are left alone.
 */
CREATE FUNCTION featurestore._staged_partitions(staging regclass)
	RETURNS TABLE(partition regclass, number smallint, size bigint)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT c.oid::regclass, n.number::smallint,
		CASE WHEN featurestore._try_lock(c.oid, 'ACCESS SHARE')
		THEN pg_relation_size(c.oid) + CASE WHEN c.reltoastrelid <> 0 THEN pg_relation_size(c.reltoastrelid) ELSE 0 END END
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
		LATERAL substring(pg_get_expr(c.relpartbound, c.oid) FROM '^FOR VALUES IN \(''?([0-9]+)''?\)$') AS n(number)
	WHERE i.inhparent = staging AND c.relkind = 'r' AND n.number IS NOT NULL
	ORDER BY n.number::int;
END
$$;
COMMENT ON FUNCTION featurestore._staged_partitions(regclass) IS 'internal: the partitions of a staging table and their sizes';

/*
 * Adds a partition to a staging table; NULL where there are as many as may be,
 * or it cannot be done without waiting.  To attach it takes no lock but that of
 * rotation, which we have, so that writers and readers go on; with a default
 * partition it would lock that.
 */
CREATE FUNCTION featurestore._add_partition(staging regclass, OUT partition regclass, OUT number smallint)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
DECLARE
	class pg_class;
	name text;
BEGIN
	SELECT * INTO class FROM pg_class WHERE oid = staging;
	SELECT min(n) INTO number FROM generate_series(0, 7) AS n
	WHERE NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
					  WHERE i.inhparent = staging AND pg_get_expr(c.relpartbound, c.oid) ~ format('\m%s\M', n));
	IF number IS NULL OR NOT has_schema_privilege(class.relnamespace, 'CREATE')
		OR (SELECT partdefid <> 0 FROM pg_partitioned_table WHERE partrelid = staging)
	THEN
		number := NULL;
		RETURN;
	END IF;
	name := format('%s.%I', class.relnamespace::regnamespace, featurestore._free_name(class.relnamespace, class.relname, '_' || number));
	EXECUTE format('CREATE TABLE %s (LIKE %s)', name, staging);
	EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES IN (%s)', staging, name, number);
	partition := name;
END
$$;
COMMENT ON FUNCTION featurestore._add_partition(regclass) IS 'internal: adds a partition to a staging table';

/*
 * Lets new rows go to another partition, an empty one or a further one; false
 * if there is none to be had.  Sessions that write hear of it when we commit.
 */
CREATE FUNCTION featurestore._switch_partition(staging featurestore.staging) RETURNS boolean
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	target record;
BEGIN
	SELECT partition, number INTO target FROM featurestore._staged_partitions(staging.relation)
	WHERE size = 0 AND partition <> staging.current_relation ORDER BY number LIMIT 1;
	IF NOT FOUND THEN
		target := featurestore._add_partition(staging.relation);
	END IF;
	/* the definition is written with this lock, which is thus not to be waited for */
	IF target.partition IS NULL OR NOT featurestore._try_lock(coalesce(staging.captured_source, staging.online_table), 'ACCESS SHARE') THEN
		RETURN false;
	END IF;
	staging.current_partition := target.number;
	staging.current_relation := target.partition;
	PERFORM featurestore._store_staging(staging);
	RETURN true;
END
$$;
COMMENT ON FUNCTION featurestore._switch_partition(featurestore.staging) IS 'internal: makes another partition the current one';

/*
 * Partitions that may be truncated, all but the current one.  Of those that
 * external writers fill the one with the oldest rows comes first: a copy of the
 * database applies all that it finds, which must not be old rows without those
 * that came after them.
 */
CREATE FUNCTION featurestore._old_partitions(definition featurestore.staging) RETURNS SETOF regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET row_security = off
	AS $$
DECLARE
	partition regclass;
	oldest bigint[] := '{}';
	first bigint;
	partitions regclass[] := ARRAY(SELECT s.partition FROM featurestore._staged_partitions(definition.relation) s
								   WHERE s.partition <> definition.current_relation AND s.size > 0);
BEGIN
	FOREACH partition IN ARRAY partitions LOOP
		first := 0;
		IF definition.online_table IS NOT NULL THEN
			EXECUTE format('SELECT min(_sequence) FROM ONLY %s', partition) INTO first;
		END IF;
		oldest := oldest || first;
	END LOOP;
	RETURN QUERY SELECT p.relation FROM unnest(partitions, oldest) WITH ORDINALITY AS p(relation, first, n) ORDER BY p.first, p.n;
END
$$;
COMMENT ON FUNCTION featurestore._old_partitions(featurestore.staging) IS 'internal: partitions that may be truncated';

/*
 * Truncates what is applied by all, and turns to another partition when the
 * current one is larger than size bytes; a sync calls it when it has written
 * its position.  Runs as the owner of staging, whose triggers truncation and
 * deletion fire.  It waits for no lock, and raises no error for the lack of one.
 *
 * Gives a sentence that says what holds rotation up, if the current partition is
 * large and something does; else NULL.
 */
CREATE FUNCTION featurestore._rotate(staging regclass, size bigint DEFAULT 4194304) RETURNS text
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	definition featurestore.staging;
	is_large boolean;
	has_old boolean;
	other regclass;
	other_cause text;
	cause text;
BEGIN
	SELECT * INTO definition FROM featurestore.staging s WHERE s.relation = staging;
	SELECT bool_or(partition = definition.current_relation AND s.size > _rotate.size),
		bool_or(partition <> definition.current_relation AND s.size > 0)
	INTO is_large, has_old FROM featurestore._staged_partitions(staging) s WHERE definition.relation IS NOT NULL;
	IF (is_large OR has_old) IS NOT TRUE THEN
		RETURN NULL;
	END IF;
	IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
		RETURN CASE WHEN is_large THEN format('Staging table %s is not rotated in a transaction that keeps one snapshot.', staging) END;
	END IF;
	IF NOT featurestore._try_rotation(staging) THEN
		RETURN CASE WHEN is_large THEN format('Staging table %s is being rotated or altered by another transaction, or has been by this one.', staging) END;
	END IF;

	/* with the lock: what it is now, since another may have rotated it */
	SELECT * INTO definition FROM featurestore.staging s WHERE s.relation = staging;
	is_large := (SELECT s.size > _rotate.size FROM featurestore._staged_partitions(staging) s WHERE partition = definition.current_relation);
	IF definition.system_identifier IS DISTINCT FROM (SELECT system_identifier FROM pg_control_system())
		OR EXISTS (SELECT FROM pg_class WHERE oid IN (definition.captured_source, definition.online_table)
				   AND relowner <> (SELECT relowner FROM pg_class WHERE oid = staging))
	THEN
		RETURN format('Staging table %s is of another cluster, or of another owner than what it is about.', staging);
	END IF;
	FOR other IN SELECT featurestore._old_partitions(definition) LOOP
		other_cause := featurestore._truncate_staged(definition, other);
		cause := coalesce(cause, other_cause);
		EXIT WHEN cause IS NOT NULL AND definition.online_table IS NOT NULL;
	END LOOP;
	IF is_large IS NOT TRUE THEN
		RETURN NULL;
	END IF;
	IF NOT featurestore._switch_partition(definition) THEN
		PERFORM featurestore._delete_staged(definition) WHERE definition.captured_source IS NOT NULL;
		RETURN format('Staging table %s is not rotated: %s.', staging, coalesce(cause, 'no partition can be had'));
	END IF;
	RETURN 'Staging table ' || staging || ' grows: ' || cause || '.';
END
$$;
COMMENT ON FUNCTION featurestore._rotate(regclass, bigint) IS 'internal: truncates changes that are applied';
