/*
 * External writers: staging tables that feed an online table without a source.
 *
 * What they insert, by COPY or from Spark or Kafka Connect, is applied as captured
 * changes are.  There is nothing to compare the online table with.
 */

/*
 * Creates a table to which others write rows for online_table, by INSERT or
 * COPY or with any tool that can: ONLINE_staging, in its schema, with its owner.
 * To write they need INSERT on it, and nothing else.
 *
 * A row holds the columns of online_table, without generated ones; where these
 * have merge rules it holds what is given to the rules.  It may say what it is:
 * _change_type 'insert' (the default), 'update_preimage', 'update_postimage' or
 * 'delete', _commit_version and _commit_timestamp, as Delta tables do.  What else
 * is there the table fills in.  Rows of a table with merge rules have no
 * preimages; a delete removes what came before it.
 *
 * online_table: a table of the caller with a unique key.  Where it has a
 *   staging table already, that is given, with a NOTICE.
 *
 * Raises 22004 for NULL, 42809 unless it is an ordinary or partitioned table,
 * 42501 unless the caller owns it and may create tables in its schema, 55000
 * if it is published, or has no unique key, and 42701 for a column named as
 * one of a staging table's own.
 */
CREATE FUNCTION featurestore.create_staging_table(online_table regclass) RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	staging featurestore.staging;
BEGIN
	PERFORM featurestore._check_online_table(online_table);
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', online_table);
	IF EXISTS (SELECT FROM featurestore.publication p WHERE p.relation = online_table) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('table %s is published', online_table),
			DETAIL = 'Its rows come from its source, and a sync would undo what others write.',
			HINT = 'Write to the source.';
	END IF;
	SELECT * INTO staging FROM featurestore.staging s WHERE s.online_table = create_staging_table.online_table;
	IF FOUND THEN
		RAISE NOTICE 'online table % has a staging table already, skipping', online_table;
		RETURN staging.relation;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_index WHERE indrelid = online_table AND indisunique AND indimmediate AND indisvalid
				   AND indpred IS NULL AND indexprs IS NULL) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('table %s has no unique key', online_table),
			DETAIL = 'It must have a unique index over columns that is immediate and without predicate.',
			HINT = 'Add a primary key.';
	END IF;
	PERFORM featurestore._check_metadata_names(online_table);

	staging := featurestore._create_staging(online_table, '_staging', false);
	staging.online_table := online_table;
	PERFORM featurestore._store_staging(staging);
	EXECUTE format('ALTER TABLE ONLY %s ALTER COLUMN _change_type SET DEFAULT ''insert''', staging.relation);
	PERFORM featurestore._follow_name(staging);
	EXECUTE format('CREATE TRIGGER featurestore_stamp BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION featurestore._stamp()', staging.relation);
	EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER featurestore_stamp', staging.relation);
	RETURN staging.relation;
END
$$;
COMMENT ON FUNCTION featurestore.create_staging_table(regclass) IS 'creates a table through which others write to an online table';

/*
 * The first run of a table that external writers feed in this cluster: applies
 * all that is staged, and deletes it, since after a restore it has the numbers
 * of transactions of another cluster.  With that the staging table is one of
 * this cluster, and can be rotated.
 */
CREATE FUNCTION featurestore._run_first_batch(publication featurestore.publication) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	"position" featurestore.publication_position;
BEGIN
	PERFORM featurestore._check_runnable(publication);
	PERFORM featurestore._can_read_staged(publication);
	"position".snapshot := '3:3:';
	"position".fingerprint := featurestore._fingerprints(publication.relation);
	PERFORM featurestore._store_staging(s) FROM featurestore.staging s JOIN pg_class c ON c.oid = s.relation
	WHERE s.relation = publication.source AND pg_has_role(c.relowner, 'USAGE')
		AND s.system_identifier <> (SELECT system_identifier FROM pg_control_system());
	RETURN featurestore._run_batch(publication, "position", NULL, ARRAY[format(
		'WITH applied AS (DELETE FROM %s RETURNING 1) SELECT jsonb_build_object(''rows_deleted'', count(*)) FROM applied', publication.source)]);
END
$$;
COMMENT ON FUNCTION featurestore._run_first_batch(featurestore.publication) IS 'internal: the first run of a table that external writers feed';

/*
 * A run of a table that external writers feed.  There is no source to compare it
 * with, whatever has happened: to take its staging table for one would delete
 * all rows that are applied and not staged any more.
 */
CREATE FUNCTION featurestore._run_external(publication featurestore.publication, "position" featurestore.publication_position, what text) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	shape jsonb := featurestore._fingerprints(publication.relation);
BEGIN
	IF what <> 'SYNC' THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('rows of %s cannot be computed anew', publication.relation),
			DETAIL = format('They come from external writers, by way of table %s.', publication.source),
			HINT = 'Call sync.';
	ELSIF "position".snapshot IS NULL THEN
		RETURN featurestore._run_first_batch(publication);
	ELSIF "position".fingerprint IS DISTINCT FROM shape THEN
		PERFORM featurestore._check_runnable(publication);
		"position".fingerprint := shape;
	END IF;
	PERFORM featurestore._can_read_staged(publication);
	RETURN featurestore._run_batch(publication, "position", NULL, '{}');
END
$$;
COMMENT ON FUNCTION featurestore._run_external(featurestore.publication, featurestore.publication_position, text) IS 'internal: a run of a table that external writers feed';
