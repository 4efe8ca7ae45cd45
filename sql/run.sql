/*
 * Runs: what a sync does to an online table.
 *
 * A run compares and merges the whole source, applies a batch of captured
 * changes, or goes on with a first fill that goes by ranges of keys; which of
 * them is decided here.  A run is one transaction, under a lock that keeps
 * other writers of the online table out, and with the rights of its owner.
 */

/*
 * Records of runs and rejected changes, of those tables whose owner the caller
 * is: they show what is in sources.
 */
CREATE VIEW featurestore.publish_runs WITH (security_barrier) AS
	SELECT r.id, r.relation AS online_table, r.operation, r.started_at, r.ended_at, r.rows_read, r.rows_changed, r.rows_rejected, r.sqlstate, r.message
	FROM featurestore.publish_run r JOIN pg_catalog.pg_class c ON c.oid = r.relation
	WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE');
COMMENT ON VIEW featurestore.publish_runs IS 'runs of the caller''s publications, the last thousand of each';
COMMENT ON COLUMN featurestore.publish_runs.id IS 'order of the runs';
COMMENT ON COLUMN featurestore.publish_runs.online_table IS 'the online table';
COMMENT ON COLUMN featurestore.publish_runs.operation IS 'MERGE compared the whole source, FILL filled a range of keys, APPLY applied changes, REBUILD computed keys anew; SYNC is one that failed';
COMMENT ON COLUMN featurestore.publish_runs.started_at IS 'when it began';
COMMENT ON COLUMN featurestore.publish_runs.ended_at IS 'when it ended';
COMMENT ON COLUMN featurestore.publish_runs.rows_read IS 'changes in it; null where the whole source was read';
COMMENT ON COLUMN featurestore.publish_runs.rows_changed IS 'rows of the online table inserted, updated or deleted';
COMMENT ON COLUMN featurestore.publish_runs.rows_rejected IS 'changes that could not be applied';
COMMENT ON COLUMN featurestore.publish_runs.sqlstate IS 'why it failed; null if it did not';
COMMENT ON COLUMN featurestore.publish_runs.message IS 'why it failed, or what is to be known about it';

CREATE VIEW featurestore.rejected_changes WITH (security_barrier) AS
	SELECT r.id, r.relation AS online_table, r.sequence, r.change, r.sqlstate, r.message, r.rejected_at
	FROM featurestore.rejected_change r JOIN pg_catalog.pg_class c ON c.oid = r.relation
	WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE');
COMMENT ON VIEW featurestore.rejected_changes IS 'changes that could not be applied to online tables of the caller';
COMMENT ON COLUMN featurestore.rejected_changes.id IS 'order in which they were rejected';
COMMENT ON COLUMN featurestore.rejected_changes.online_table IS 'the online table';
COMMENT ON COLUMN featurestore.rejected_changes.sequence IS 'place of the change among all changes; 0 for a key that could not be computed anew';
COMMENT ON COLUMN featurestore.rejected_changes.change IS 'the row as it was staged, or the key';
COMMENT ON COLUMN featurestore.rejected_changes.sqlstate IS 'what was wrong, as an SQLSTATE';
COMMENT ON COLUMN featurestore.rejected_changes.message IS 'what was wrong';
COMMENT ON COLUMN featurestore.rejected_changes.rejected_at IS 'when';
GRANT SELECT ON featurestore.publish_runs, featurestore.rejected_changes TO PUBLIC;

/* How often a publication has failed since its last run, if it has, and when last. */
CREATE FUNCTION featurestore._failures(online_table regclass, OUT failures bigint, OUT ended_at timestamptz) RETURNS SETOF record
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT count(*), max(r.ended_at) FROM featurestore.publish_runs r
WHERE r.online_table = _failures.online_table AND r.sqlstate IS NOT NULL
	AND r.ended_at > coalesce((featurestore._position(r.online_table)).synced_at, '-infinity')
HAVING count(*) > 0
$$;
COMMENT ON FUNCTION featurestore._failures(regclass) IS 'internal: how often a publication has failed since its last run';

/*
 * What this session has found out about a relation before, in answer to a
 * question, and which still holds; NULL if it has to be found out.  Questions: 1
 * what a publication depends on, 2 whether it can read what is staged for it.
 */
CREATE FUNCTION featurestore._known_shape(relation regclass, question int) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'known_shape' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._known_shape(regclass, int) IS 'internal: what this session knows about a relation';

/*
 * Keeps an answer that _known_shape did not have, until one of relations is
 * altered, on which alone it depends; gives it.
 */
CREATE FUNCTION featurestore._keep_shape(relation regclass, question int, relations regclass[], answer jsonb) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'keep_shape' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._keep_shape(regclass, int, regclass[], jsonb) IS 'internal: keeps what was found out about a relation';

/*
 * The tables on which depends what is found out about the sources of a
 * publication; NULL where that depends on more: on partitions, which are altered
 * one by one, or on what one role may do with what is another's.
 */
CREATE FUNCTION featurestore._shape_relations(online_table regclass) RETURNS regclass[]
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	sources regclass[] := ARRAY(SELECT featurestore._captured_sources(online_table));
BEGIN
	IF sources = '{}' OR EXISTS (SELECT FROM pg_class s JOIN pg_class o ON o.oid = online_table
								 WHERE s.oid = ANY (sources) AND (s.relowner <> o.relowner OR s.relhassubclass OR s.relispartition)) THEN
		RETURN NULL;
	END IF;
	RETURN sources || ARRAY(SELECT s.staging FROM featurestore._stagings(online_table) AS s)
		|| ARRAY(SELECT f.relation FROM featurestore.feature f WHERE f.online_table = _shape_relations.online_table);
END
$$;
COMMENT ON FUNCTION featurestore._shape_relations(regclass) IS 'internal: tables that the shape of sources depends on';

/* What a publication depends on besides captured changes, as of the current snapshot. */
CREATE FUNCTION featurestore._fingerprints(online_table regclass) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	result jsonb := featurestore._known_shape(online_table, 1);
BEGIN
	IF result IS NOT NULL THEN
		RETURN result;
	END IF;
	result := (
	SELECT jsonb_build_object(
		'table', (SELECT md5(concat_ws(';', c.relowner, featurestore._owner_since(c.oid), c.relforcerowsecurity, (SELECT coalesce(bool_or(condeferred), false) FROM pg_constraint WHERE conrelid = c.oid),
									   EXISTS (SELECT FROM featurestore.publication p JOIN pg_index i ON i.indrelid = p.relation AND i.indnkeyatts = cardinality(p.primary_key)
											   WHERE p.relation = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
												   AND NOT EXISTS (SELECT FROM pg_attribute k WHERE k.attrelid = c.oid AND k.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND k.attname <> ALL (p.primary_key))),
									   string_agg(format('%s %s %s %s %s', attnum, attname, atttypid, atttypmod, attcollation), ',' ORDER BY attnum)))
				  FROM pg_class c JOIN pg_attribute ON attrelid = c.oid WHERE c.oid = online_table AND attnum > 0 AND NOT attisdropped GROUP BY c.oid),
		'definition', (SELECT md5(concat_ws(';', p.source::oid, replace(p.publish_mode, 'CONTINUOUS', 'TRIGGERED'), p.primary_key, p.timeseries_column, p.features, p.filter, p.source_retention))
					   FROM featurestore.publication p WHERE p.relation = online_table),
		'features', (SELECT md5(string_agg(concat_ws(' ', f.relation::oid, c.relowner, f.source::oid, f.entity, f.timeseries_column, f.input, f.filter, f.state_column, r.xmin), ',' ORDER BY f.relation::oid))
					 FROM featurestore.feature f JOIN pg_class c ON c.oid = f.relation LEFT JOIN pg_rewrite r ON r.ev_class = f.relation
					 WHERE f.online_table = _fingerprints.online_table),
		/* changes were not kept while the one owner did not have the rights of the other */
		'roles', (SELECT md5(string_agg(format('%s %s %s', m.roleid, m.member, m.xmin), ',' ORDER BY m.roleid, m.member, m.xmin::text)) FROM pg_auth_members m
				  WHERE EXISTS (SELECT FROM featurestore._captured_sources(online_table) AS source JOIN pg_class s ON s.oid = source
								JOIN pg_class o ON o.oid = online_table WHERE o.relowner <> s.relowner)),
		'sources', (SELECT jsonb_object_agg(source::oid::text, featurestore._fingerprint(source)) FROM featurestore._captured_sources(online_table) AS source)));
	RETURN coalesce(featurestore._keep_shape(online_table, 1, featurestore._shape_relations(online_table), result), result);
END
$$;
COMMENT ON FUNCTION featurestore._fingerprints(regclass) IS 'internal: what a publication depends on besides captured changes';

/* Are two fingerprints the same?  may_shrink: partitions that are gone make no difference. */
CREATE FUNCTION featurestore._is_same_shape(before jsonb, after jsonb, may_shrink boolean) RETURNS boolean
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT coalesce(before - 'sources' = after - 'sources', false)
		AND NOT EXISTS (SELECT FROM jsonb_each(nullif(before -> 'sources', 'null')) AS b(source, shape)
						FULL JOIN jsonb_each(nullif(after -> 'sources', 'null')) AS a(source, shape) USING (source)
						WHERE b.shape IS NULL OR a.shape IS NULL OR b.shape -> 'base' <> a.shape -> 'base'
							OR NOT a.shape -> 'children' <@ (b.shape -> 'children') OR NOT (may_shrink OR b.shape -> 'children' <@ (a.shape -> 'children'))));
END
$$;
COMMENT ON FUNCTION featurestore._is_same_shape(jsonb, jsonb, boolean) IS 'internal: whether two fingerprints are the same';

/*
 * Runs the statements of program for the batch after a position, all under one
 * snapshot.  keys are rebuilt besides those that the batch asks for.  further
 * are statements with $1 only that are run last.
 *
 * Gives the objects that the statements gave, that of settle first, how many
 * rows were read, and for what could not be applied objects rejected.  If the
 * sources have changed shape since fingerprint, or were truncated, the first has
 * is_same false, and what was done is to be made good by a merge.
 */
CREATE FUNCTION featurestore._apply_batch(program jsonb, fingerprint jsonb, clock timestamptz, snapshot pg_snapshot,
										  own_xid xid8, own_sequence bigint, keys jsonb, further text[]) RETURNS jsonb[]
	AS 'MODULE_PATHNAME', 'apply_batch' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._apply_batch(jsonb, jsonb, timestamptz, pg_snapshot, xid8, bigint, jsonb, text[]) IS 'internal: applies a batch of staged changes';

/*
 * Adds records, an array of objects, to a table that keeps track of relation:
 * publish_run or rejected_change.  Raises 42501 unless the caller owns relation.
 */
CREATE FUNCTION featurestore._record(catalog text, relation regclass, records jsonb) RETURNS void
	AS 'MODULE_PATHNAME', 'append_records' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._record(text, regclass, jsonb) IS 'internal: adds records about a relation the caller owns';

/*
 * Replaces what is held for a relation: forgets keys due by clock, or all if it
 * is NULL, and adds later, an array of objects key and due.  Raises 42501 unless
 * the caller owns relation.
 */
CREATE FUNCTION featurestore._hold(relation regclass, clock timestamptz, later jsonb) RETURNS void
	AS 'MODULE_PATHNAME', 'hold_keys' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._hold(regclass, timestamptz, jsonb) IS 'internal: notes keys with rows that are not due yet';

/* Keys of relation that are due by clock, as an array of objects; raises 42501 unless the caller owns it. */
CREATE FUNCTION featurestore._due_keys(relation regclass, clock timestamptz) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'due_keys' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._due_keys(regclass, timestamptz) IS 'internal: keys that are to be computed anew';

/* The key up to which a first fill of relation has come; NULL if none is under way; raises 42501 unless the caller owns relation. */
CREATE FUNCTION featurestore._fill_key(relation regclass) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'fill_key' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._fill_key(regclass) IS 'internal: the key up to which a fill has come';

/* Sum of a member over results, but for those of offline tables. */
CREATE FUNCTION featurestore._sum(results jsonb[], member text) RETURNS bigint
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT coalesce(sum((r ->> member)::bigint), 0)::bigint FROM unnest(results) AS r WHERE NOT r ? 'is_offline');
END
$$;
COMMENT ON FUNCTION featurestore._sum(jsonb[], text) IS 'internal: sum of a member of objects';

/* All elements of the arrays that results have as a member. */
CREATE FUNCTION featurestore._elements(results jsonb[], member text) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT coalesce(jsonb_agg(e), '[]')
	FROM unnest(results) AS r CROSS JOIN LATERAL jsonb_array_elements(nullif(r -> member, 'null')) AS e);
END
$$;
COMMENT ON FUNCTION featurestore._elements(jsonb[], text) IS 'internal: elements of a member of objects';

/*
 * Raises 55000 if an online table cannot be written set-based by its owner: its
 * policies hold for the owner, too, or a constraint is checked at commit, when
 * nobody can tell whose fault a failure is.
 */
CREATE FUNCTION featurestore._check_target(online_table regclass) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	deferred text := (SELECT conname FROM pg_constraint WHERE conrelid = online_table AND condeferred ORDER BY conname LIMIT 1);
BEGIN
	IF (SELECT relforcerowsecurity FROM pg_class WHERE oid = online_table) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('row-level security of online table %s holds for its owner', online_table),
			HINT = format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY.', online_table);
	ELSIF deferred IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('constraint "%s" of online table %s is initially deferred', deferred, online_table),
			HINT = format('ALTER TABLE %s ALTER CONSTRAINT %I INITIALLY IMMEDIATE.', online_table, deferred);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_target(regclass) IS 'internal: raises an error unless runs can write an online table';

/* Raises an error unless a run can do its work: see _check_syncable and _check_window_table; 55000 if the online table lost its key. */
CREATE FUNCTION featurestore._check_runnable(publication featurestore.publication) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM featurestore._check_target(publication.relation);
	IF featurestore._has_windows(publication) THEN
		PERFORM featurestore._check_window_table(publication.relation);
	ELSE
		PERFORM featurestore._check_syncable(publication);
	END IF;
	IF featurestore._unique_index(publication.relation, publication.primary_key) IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('online table %s has no unique index on (%s) any more',
							 publication.relation, array_to_string(publication.primary_key, ', ')),
			HINT = 'Add it again.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_runnable(featurestore.publication) IS 'internal: raises an error unless a run can do its work';

/*
 * The clock of a run: read before its snapshot is taken, and thus never ahead of
 * what it sees, and never before that of the last run; where the transaction
 * keeps an older snapshot, its start is, but for what writers apply to, which is
 * read as it is by now.
 */
CREATE FUNCTION featurestore._run_clock(publication featurestore.publication) RETURNS timestamptz
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT greatest(CASE WHEN current_setting('transaction_isolation') IN ('repeatable read', 'serializable') AND publication.publish_mode IS DISTINCT FROM 'SYNCHRONOUS'
						 THEN now() ELSE clock_timestamp() END,
					(featurestore._position(publication.relation)).applied_to));
END
$$;
COMMENT ON FUNCTION featurestore._run_clock(featurestore.publication) IS 'internal: the clock of a run';

/* The number up to which changes of this transaction are part of a batch that begins now. */
CREATE FUNCTION featurestore._own_sequence(publication featurestore.publication) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT CASE WHEN featurestore._is_external(publication) THEN pg_sequence_last_value('featurestore.change_number') ELSE featurestore._change_number() END);
END
$$;
COMMENT ON FUNCTION featurestore._own_sequence(featurestore.publication) IS 'internal: number up to which own changes are in a batch';

/*
 * Captures the changes of all sources of a publication, of the rows and columns
 * that it needs, unless they are captured already, and keeps what is staged for
 * a position that a snapshot taken after this will be.
 */
CREATE FUNCTION featurestore._capture_sources(publication featurestore.publication) RETURNS void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._hold_staged(featurestore._capture_source(source, CASE WHEN publication.source = source THEN featurestore._row_key(publication) END, publication.publish_mode))
FROM featurestore._captured_sources(publication.relation) AS source
$$;
COMMENT ON FUNCTION featurestore._capture_sources(featurestore.publication) IS 'internal: captures the changes of the sources of a publication';

/* Have all sources of a publication a staging table? */
CREATE FUNCTION featurestore._is_captured(publication featurestore.publication) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT CASE WHEN featurestore._has_windows(publication)
				THEN count(*) > 0 AND bool_and(featurestore._staging_of(publication, source) IS NOT NULL)
				ELSE featurestore._staging_of(publication, publication.source) IS NOT NULL END
	FROM featurestore._captured_sources(publication.relation) AS source);
END
$$;
COMMENT ON FUNCTION featurestore._is_captured(featurestore.publication) IS 'internal: whether all sources of a publication are captured';

/* Stores how far a run has come; settled is what settle gave, NULL for SNAPSHOT. */
CREATE FUNCTION featurestore._store_position(publication featurestore.publication, clock timestamptz, settled jsonb, own_sequence bigint, changed bigint, filled text[])
	RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM featurestore._store_definition('publication_position', jsonb_build_object(
		'relation', publication.relation::oid::text, 'applied_to', clock, 'synced_at', clock_timestamp(), 'rows_changed', changed, 'filled', filled,
		'snapshot', settled -> 'snapshot', 'own_xid', pg_current_xact_id()::text, 'own_sequence', coalesce(own_sequence, 0), 'fingerprint', settled -> 'fingerprint'));
END
$$;
COMMENT ON FUNCTION featurestore._store_position(featurestore.publication, timestamptz, jsonb, bigint, bigint, text[]) IS 'internal: stores how far a run has come';

/*
 * Compares all that a table should hold with what it holds, and merges the
 * difference.  is_addition: only columns of states that are not filled yet are
 * wanted; the others then stay as of an earlier time, which remains that of the
 * table.  A publication that goes by captured changes has one position for
 * all its columns, so there all are computed.
 */
CREATE FUNCTION featurestore._run_merge(publication featurestore.publication, is_addition boolean) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	online_table regclass := publication.relation;
	has_windows boolean := featurestore._has_windows(publication);
	is_captured boolean := publication.publish_mode <> 'SNAPSHOT';
	"position" featurestore.publication_position := featurestore._position(online_table);
	is_partial boolean := is_addition AND NOT is_captured AND "position".relation IS NOT NULL;
	columns text[] := featurestore._state_columns(online_table);
	own_sequence bigint;
	clock timestamptz;
	results jsonb[];
BEGIN
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', online_table);
	PERFORM featurestore._check_runnable(publication);
	IF is_captured THEN
		PERFORM featurestore._lock_sources(online_table);
		PERFORM featurestore._capture_sources(publication);
		PERFORM featurestore._announce_synchronous(source) FROM featurestore._captured_sources(online_table) AS source
		WHERE publication.publish_mode = 'SYNCHRONOUS' AND NOT featurestore._is_in_step(publication);
		PERFORM featurestore._check_program(publication);
		own_sequence := featurestore._own_sequence(publication);
	END IF;
	clock := featurestore._run_clock(publication);

	PERFORM featurestore._report_progress(online_table, has_windows, 2, -1);
	results := featurestore._merge_together(
		ARRAY[format('SELECT jsonb_build_object(''snapshot'', pg_current_snapshot()::text, ''fingerprint'', featurestore._fingerprints(%L::regclass))', online_table::oid)]
		|| CASE WHEN has_windows
				THEN featurestore._windows_merge(online_table, is_partial, CASE WHEN is_partial
					THEN ARRAY(SELECT name FROM unnest(columns) AS name WHERE name <> ALL ("position".filled)) ELSE columns END)
				ELSE featurestore._source_merge(publication) END, clock, publication.publish_mode = 'SYNCHRONOUS');
	PERFORM featurestore._report_progress(online_table, has_windows, 0, 0);

	IF has_windows THEN
		PERFORM featurestore._report_left_out(online_table, results);
	ELSE
		PERFORM featurestore._check_merged(publication, results[2]);
	END IF;
	IF is_captured THEN
		PERFORM featurestore._hold(online_table, NULL, featurestore._elements(results, 'later'));
		PERFORM featurestore._remove_definition('fill_position', online_table);
	END IF;
	PERFORM featurestore._store_position(publication, CASE WHEN is_partial THEN least("position".applied_to, clock) ELSE clock END,
		CASE WHEN is_captured THEN results[1] END, own_sequence, featurestore._sum(results, 'rows_changed'), CASE WHEN has_windows THEN columns END);
	IF has_windows AND (is_addition OR "position".relation IS NULL) THEN
		PERFORM featurestore._report_states(online_table);
	END IF;
	RETURN jsonb_build_object('operation', 'MERGE', 'is_done', true, 'rows_changed', featurestore._sum(results, 'rows_changed'));
END
$$;
COMMENT ON FUNCTION featurestore._run_merge(featurestore.publication, boolean) IS 'internal: makes an online table equal to what it should hold';

/* All statements that apply a batch to the table of a publication; see _source_program. */
CREATE FUNCTION featurestore._batch_program(publication featurestore.publication, scope text) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE WHEN featurestore._has_windows(publication) THEN featurestore._windows_program(publication, scope)
			ELSE featurestore._source_program(publication, scope) END
$$;
COMMENT ON FUNCTION featurestore._batch_program(featurestore.publication, text) IS 'internal: all statements that apply a batch';

/* The same for a run: where writers apply their changes themselves, none are left for it, and it sees what they have applied. */
CREATE FUNCTION featurestore._program(publication featurestore.publication, scope text) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT featurestore._batch_program(publication, scope)
	|| CASE publication.publish_mode WHEN 'SYNCHRONOUS' THEN
			jsonb_build_object('add', nothing, 'apply', nothing, 'quarantine', nothing, 'sources', '[]'::jsonb, 'sees_latest', true) ELSE '{}' END
FROM (VALUES ('SELECT ''{"rows_changed": 0}''::jsonb')) AS n(nothing)
$$;
COMMENT ON FUNCTION featurestore._program(featurestore.publication, text) IS 'internal: all statements of a run';

/* Keeps the statements of a publication for this session, with a token for all that they are made from; gives them. */
CREATE FUNCTION featurestore._keep_program(online_table regclass, token text, program jsonb) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'keep_program' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._keep_program(regclass, text, jsonb) IS 'internal: keeps the statements of a publication';

/* The statements that were kept with this token; NULL if there are none. */
CREATE FUNCTION featurestore._kept_program(online_table regclass, token text) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'kept_program' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._kept_program(regclass, text) IS 'internal: the statements of a publication, if they are kept';

/*
 * The same as _program for the batch after a position.  What the statements are
 * made from is in the fingerprint, which a run checks, but for names.
 */
CREATE FUNCTION featurestore._program_after(publication featurestore.publication, fingerprint jsonb) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	token text := concat_ws(' ', fingerprint, publication.relation, publication.source,
		(SELECT string_agg(staging::text, ' ' ORDER BY staging) FROM featurestore._stagings(publication.relation)),
		(SELECT string_agg(f.relation::text, ' ' ORDER BY f.relation) FROM featurestore.feature f WHERE f.online_table = publication.relation));
BEGIN
	RETURN coalesce(featurestore._kept_program(publication.relation, token),
					featurestore._keep_program(publication.relation, token, featurestore._program(publication, 'true')));
END
$$;
COMMENT ON FUNCTION featurestore._program_after(featurestore.publication, jsonb) IS 'internal: all statements that apply the batch after a position';

/* What a run does last: it brings an offline table up to date, if there is one. */
CREATE FUNCTION featurestore._last_statements(publication featurestore.publication) RETURNS text[]
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
	SELECT coalesce((SELECT featurestore._offline_statements(t) FROM featurestore.window_table t WHERE t.relation = publication.relation), '{}'));
END
$$;
COMMENT ON FUNCTION featurestore._last_statements(featurestore.publication) IS 'internal: SQL for what a run does last';

/* Keeps changes that could not be applied, and says so. */
CREATE FUNCTION featurestore._keep_rejected(online_table regclass, results jsonb[]) RETURNS int
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	rejected jsonb := featurestore._elements(results, 'rejected');
BEGIN
	IF rejected <> '[]' THEN
		PERFORM featurestore._record('rejected_change', online_table, rejected);
		RAISE WARNING '% changes could not be applied to %', jsonb_array_length(rejected), online_table
			USING DETAIL = format('The first: %s', rejected #>> '{0,message}'),
				HINT = 'See the view featurestore.rejected_changes.';
	END IF;
	RETURN jsonb_array_length(rejected);
END
$$;
COMMENT ON FUNCTION featurestore._keep_rejected(regclass, jsonb[]) IS 'internal: keeps changes that could not be applied';

/*
 * Applies the batch of captured or staged changes after position; keys, an array
 * of objects, are rebuilt besides, and further statements run last.  Gives
 * NULL, having done nothing, if the sources have changed shape or were truncated.
 */
CREATE FUNCTION featurestore._run_batch(publication featurestore.publication, "position" featurestore.publication_position, keys jsonb, further text[]) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	online_table regclass := publication.relation;
	own_sequence bigint := featurestore._own_sequence(publication);
	clock timestamptz := featurestore._run_clock(publication);
	program jsonb := featurestore._program_after(publication, "position".fingerprint);
	results jsonb[];
	rejected int;
BEGIN
	PERFORM featurestore._report_progress(online_table, featurestore._has_windows(publication), 4, -1);
	results := featurestore._apply_batch(program, "position".fingerprint, clock, "position".snapshot, "position".own_xid, "position".own_sequence,
										 featurestore._due_keys(online_table, clock) || coalesce(keys, '[]'), further);
	PERFORM featurestore._report_progress(online_table, featurestore._has_windows(publication), 0, 0);
	IF NOT (results[1] ->> 'is_same')::boolean THEN
		RETURN NULL;
	END IF;
	rejected := featurestore._keep_rejected(online_table, results);
	PERFORM featurestore._report_left_out(online_table, results) WHERE featurestore._has_windows(publication);
	PERFORM featurestore._hold(online_table, clock, featurestore._elements(results, 'later'));
	PERFORM featurestore._store_position(publication, clock, results[1], own_sequence, featurestore._sum(results, 'rows_changed'), "position".filled);
	RETURN jsonb_build_object('operation', CASE WHEN keys IS NULL THEN 'APPLY' ELSE 'REBUILD' END, 'is_done', true, 'rows_read', featurestore._sum(results, 'rows_read') + rejected,
							  'rows_changed', featurestore._sum(results, 'rows_changed'), 'rows_rejected', rejected);
END
$$;
COMMENT ON FUNCTION featurestore._run_batch(featurestore.publication, featurestore.publication_position, jsonb, text[]) IS 'internal: applies a batch of changes to an online table';

/*
 * The key at which a step of a first fill ends, as an array of texts: that of
 * the source's row that comes size rows after lo; NULL if there are fewer.
 */
CREATE FUNCTION featurestore._fill_end(publication featurestore.publication, lo jsonb, size int) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	source regclass;
	hi jsonb;
	result jsonb;
	query text := 'SELECT to_jsonb(k) FROM (SELECT ARRAY[%1$s] FROM (SELECT %2$s FROM %3$s AS source WHERE %4$s ORDER BY %2$s OFFSET %5$s LIMIT 1) AS source) AS q(k)';
BEGIN
	FOR source IN SELECT featurestore._captured_sources(publication.relation) LOOP
		EXECUTE format(query, (SELECT string_agg(format('source.%I::text', name), ', ' ORDER BY n) FROM unnest(publication.primary_key) WITH ORDINALITY AS k(name, n)),
					   featurestore._column_list(publication.primary_key, 'source'), source,
					   featurestore._range_condition(publication, featurestore._column_list(publication.primary_key, 'source'), lo, result), size - 1)
		INTO hi;
		result := coalesce(hi, result);
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._fill_end(featurestore.publication, jsonb, int) IS 'internal: the key at which a step of a fill ends';

/* Condition that columns, a list of key columns, are after lo and not after hi, arrays of texts; a NULL is no bound. */
CREATE FUNCTION featurestore._range_condition(publication featurestore.publication, columns text, lo jsonb, hi jsonb) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
	AS $$
SELECT coalesce(string_agg(format('ROW(%s) %s ROW(%s)', columns, b.operator,
								  (SELECT string_agg(format('%L::%s', b.key ->> (k.n - 1)::int, format_type(c.type_oid, -1)), ', ' ORDER BY k.n)
								   FROM unnest(publication.primary_key) WITH ORDINALITY AS k(name, n) JOIN featurestore._columns(publication.relation) AS c USING (name))),
						   ' AND '), 'true')
FROM (VALUES ('>', lo), ('<=', hi)) AS b(operator, key) WHERE b.key IS NOT NULL
$$;
COMMENT ON FUNCTION featurestore._range_condition(featurestore.publication, text, jsonb, jsonb) IS 'internal: SQL that tells keys of a range';

/*
 * Can a first fill go by ranges of keys?  Each source needs an index that has
 * the keys in order, and the order of their types must be that of "<".
 */
CREATE FUNCTION featurestore._can_fill_by_range(publication featurestore.publication) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT count(*) > 0 AND bool_and(EXISTS (
	SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
	WHERE i.indrelid = source AND i.indisvalid AND i.indpred IS NULL AND i.indnkeyatts >= cardinality(publication.primary_key)
		AND publication.primary_key = ARRAY(
			SELECT a.attname::text FROM generate_subscripts(publication.primary_key, 1) AS n
			JOIN pg_attribute a ON a.attrelid = source AND a.attnum = (i.indkey::int2[])[n - 1] AND a.attcollation = (i.indcollation::oid[])[n - 1]
			JOIN pg_opclass o ON o.oid = (i.indclass::oid[])[n - 1] AND o.opcdefault AND o.opcnamespace = 'pg_catalog'::regnamespace
			WHERE (i.indoption::int2[])[n - 1] = 0 ORDER BY n)))
FROM featurestore._captured_sources(publication.relation) AS source
$$;
COMMENT ON FUNCTION featurestore._can_fill_by_range(featurestore.publication) IS 'internal: whether a first fill can go by ranges of keys';

/* The statement that fills the keys after lo and not after hi. */
CREATE FUNCTION featurestore._fill_statement(publication featurestore.publication, lo jsonb, hi jsonb) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
SELECT CASE WHEN featurestore._has_windows(publication)
	THEN featurestore._part_windows_statement((SELECT t FROM featurestore.window_table t WHERE t.relation = publication.relation), '',
		in_source, in_table)
	ELSE featurestore._part_statement(publication, '', in_source, in_table) END
FROM featurestore._range_condition(publication, featurestore._column_list(publication.primary_key, 'source'), lo, hi) AS in_source,
	featurestore._range_condition(publication, featurestore._column_list(publication.primary_key, 'online'), lo, hi) AS in_table
$$;
COMMENT ON FUNCTION featurestore._fill_statement(featurestore.publication, jsonb, jsonb) IS 'internal: SQL that fills a range of keys';

/*
 * One step of a first fill that goes by ranges of keys: it applies what has
 * happened to the keys that are filled, and fills the next range, all as of one
 * snapshot.  After it the table equals its sources up to the end of the range,
 * which is kept, so that the fill goes on from there whatever happens.
 */
CREATE FUNCTION featurestore._run_fill(publication featurestore.publication) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	online_table regclass := publication.relation;
	fill featurestore.fill_position;
	own_sequence bigint;
	clock timestamptz;
	hi jsonb;
	results jsonb[];
	rejected int;
BEGIN
	SELECT f.relation, f.system_identifier, f.snapshot, f.own_xid, f.own_sequence, featurestore._fill_key(f.relation), f.fingerprint, f.rows_changed INTO fill
	FROM featurestore.fill_position f
	WHERE f.relation = online_table AND f.system_identifier = (SELECT system_identifier FROM pg_control_system());
	IF fill.relation IS NULL THEN
		PERFORM featurestore._check_runnable(publication);
		PERFORM featurestore._capture_sources(publication);
		PERFORM featurestore._hold(online_table, NULL, '[]');
	END IF;
	IF NOT featurestore._can_read_staged(publication) THEN
		IF fill.relation IS NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
				MESSAGE = format('a staging table that %s is filled from was altered', online_table);
		END IF;
		PERFORM featurestore._remove_definition('fill_position', online_table);
		RETURN jsonb_build_object('operation', 'FILL', 'is_done', false, 'rows_changed', 0, 'message', 'a staging table was altered, the fill starts again');
	END IF;
	own_sequence := featurestore._own_sequence(publication);
	clock := featurestore._run_clock(publication);
	hi := featurestore._fill_end(publication, fill.fill_key, current_setting('featurestore.fill_chunk')::int);

	PERFORM featurestore._report_progress(online_table, featurestore._has_windows(publication), 5, -1);
	results := featurestore._apply_batch(
		featurestore._program(publication, CASE WHEN fill.relation IS NULL THEN 'false' ELSE
			format('(%s OR featurestore._change_kind(source._change_type) >= 4)',
				   featurestore._range_condition(publication, featurestore._column_list(publication.primary_key, 'source'), NULL, fill.fill_key)) END),
		coalesce(fill.fingerprint, featurestore._fingerprints(online_table)), clock, coalesce(fill.snapshot, pg_current_snapshot()), fill.own_xid, fill.own_sequence,
		featurestore._due_keys(online_table, clock), featurestore._fill_statement(publication, fill.fill_key, hi)
			|| CASE WHEN hi IS NULL THEN featurestore._last_statements(publication) ELSE '{}' END);
	PERFORM featurestore._report_progress(online_table, featurestore._has_windows(publication), 0, 0);
	IF NOT (results[1] ->> 'is_same')::boolean THEN
		PERFORM featurestore._remove_definition('fill_position', online_table);
		RETURN jsonb_build_object('operation', 'FILL', 'is_done', false, 'rows_changed', 0, 'message', 'the sources have changed, the fill starts again');
	END IF;
	rejected := featurestore._keep_rejected(online_table, results);
	PERFORM featurestore._report_left_out(online_table, results) WHERE featurestore._has_windows(publication);
	PERFORM featurestore._hold(online_table, clock, featurestore._elements(results, 'later'));

	fill.rows_changed := coalesce(fill.rows_changed, 0) + featurestore._sum(results, 'rows_changed');
	IF hi IS NULL THEN
		PERFORM featurestore._remove_definition('fill_position', online_table);
		PERFORM featurestore._store_position(publication, clock, results[1], own_sequence, fill.rows_changed,
			CASE WHEN featurestore._has_windows(publication) THEN featurestore._state_columns(online_table) END);
	ELSE
		PERFORM featurestore._store_definition('fill_position', jsonb_build_object('relation', online_table::oid::text,
			'snapshot', results[1] -> 'snapshot', 'own_xid', pg_current_xact_id()::text, 'own_sequence', coalesce(own_sequence, 0),
			'fill_key', hi, 'fingerprint', results[1] -> 'fingerprint', 'rows_changed', fill.rows_changed));
	END IF;
	RETURN jsonb_build_object('operation', 'FILL', 'is_done', hi IS NULL, 'rows_read', featurestore._sum(results, 'rows_read') + rejected,
							  'rows_changed', featurestore._sum(results, 'rows_changed'), 'rows_rejected', rejected);
END
$$;
COMMENT ON FUNCTION featurestore._run_fill(featurestore.publication) IS 'internal: one step of a first fill by ranges of keys';

/* Raises 55000 if a publication is paused. */
CREATE FUNCTION featurestore._check_not_paused(publication featurestore.publication) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF publication.is_paused THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('publication of %s is paused', publication.relation),
			HINT = 'Call resume_publication first.';
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_not_paused(featurestore.publication) IS 'internal: raises an error if a publication is paused';

/* Raises an error unless keys can be computed anew; see rebuild. */
CREATE FUNCTION featurestore._check_rebuild_keys(publication featurestore.publication, keys jsonb) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF publication.publish_mode = 'SNAPSHOT' OR featurestore._is_external(publication) OR NOT featurestore._is_filled(publication.relation) THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('keys of %s cannot be computed anew', publication.relation),
			DETAIL = 'That takes a filled table that is kept in step by captured changes.',
			HINT = 'Call sync.';
	ELSIF jsonb_typeof(keys) <> 'array' OR EXISTS (
		SELECT FROM jsonb_array_elements(CASE jsonb_typeof(keys) WHEN 'array' THEN keys ELSE '[]' END) AS key
		WHERE jsonb_typeof(key) <> 'object' OR NOT key ?& publication.primary_key) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'keys must be an array of objects with the key columns',
			DETAIL = format('The key of %s is (%s).', publication.relation, array_to_string(publication.primary_key, ', '));
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._check_rebuild_keys(featurestore.publication, jsonb) IS 'internal: raises an error unless keys can be computed anew';

/*
 * One run of a publication, for C, which holds the lock that keeps others out
 * and runs as the owner of online_table.  what: SYNC; ADD after columns of
 * states were added; MERGE to compare all; REBUILD of keys, an array of
 * objects.  Row-level security that would hide rows raises an error: what is
 * hidden must not be taken for deleted.  Gives an object with what was done,
 * and is_done: false if another run is to follow.
 */
CREATE FUNCTION featurestore._run(online_table regclass, what text, keys jsonb) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp SET row_security = off SET standard_conforming_strings = on SET featurestore.guard_merge_rules = off
	/* keys are kept as texts, and read again by later runs of other sessions */
	SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET extra_float_digits = 1
	AS $$
DECLARE
	publication featurestore.publication := featurestore._publication(online_table);
	"position" featurestore.publication_position := featurestore._position(online_table);
	started timestamptz := clock_timestamp();
	result jsonb;
BEGIN
	PERFORM featurestore._check_not_paused(publication);
	PERFORM featurestore._check_rebuild_keys(publication, keys) WHERE keys IS NOT NULL;
	PERFORM featurestore._flush_captured();
	IF featurestore._is_external(publication) THEN
		result := featurestore._run_external(publication, "position", what);
	ELSIF publication.publish_mode <> 'SNAPSHOT' AND what <> 'MERGE' THEN
		IF "position".snapshot IS NOT NULL AND featurestore._is_filled(online_table) AND featurestore._is_captured(publication)
			AND featurestore._can_read_staged(publication) THEN
			result := featurestore._run_batch(publication, "position", keys, featurestore._last_statements(publication));
		ELSIF what = 'SYNC' AND "position".relation IS NULL AND publication.publish_mode <> 'SYNCHRONOUS' AND featurestore._can_fill_by_range(publication) THEN
			result := featurestore._run_fill(publication);
		END IF;
	END IF;
	result := coalesce(result, featurestore._run_merge(publication, what = 'ADD'));
	IF result ->> 'operation' <> 'APPLY' OR result ->> 'rows_read' <> '0' OR result ->> 'rows_changed' <> '0' THEN
		PERFORM featurestore._record('publish_run', online_table, jsonb_build_array(result || jsonb_build_object('started_at', started)));
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION featurestore._run(regclass, text, jsonb) IS 'internal: one run of a publication';

/*
 * Locks online_table and runs _run as its owner, until it is done, in the
 * caller's transaction.  Raises 22004 for NULL and 42501 unless the caller owns
 * the table.
 */
CREATE FUNCTION featurestore._run_now(online_table regclass, what text) RETURNS void
	AS 'MODULE_PATHNAME', 'run_now' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._run_now(regclass, text) IS 'internal: runs a publication in this transaction';

/*
 * Notes that a run failed: a record of it, and if it will fail again until
 * somebody mends what is wrong, that the publication has stopped.  It then no
 * longer keeps changes staged, and compares its source when it goes on; but for a
 * table that external writers feed, which has none.
 */
CREATE FUNCTION featurestore._note_failure(online_table regclass, what text, started timestamptz, sqlstate text, message text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	"position" featurestore.publication_position := featurestore._position(online_table);
BEGIN
	PERFORM featurestore._record('publish_run', online_table, jsonb_build_array(jsonb_build_object(
		'operation', what, 'started_at', started, 'sqlstate', sqlstate, 'message', message)));
	IF "position".relation IS NOT NULL AND (sqlstate ~ '^(42|0A)' OR sqlstate = '55000')
		AND NOT featurestore._is_external(featurestore._publication(online_table))
	THEN
		PERFORM featurestore._store_definition('publication_position', to_jsonb("position")
			|| jsonb_build_object('relation', online_table::oid::text, 'snapshot', NULL, 'stopped', message));
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._note_failure(regclass, text, timestamptz, text, text) IS 'internal: notes that a run failed';

/* Staging tables that a publication reads, and their owners. */
CREATE FUNCTION featurestore._stagings(online_table regclass, OUT staging regclass, OUT owner oid) RETURNS SETOF record
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT s.relation, c.relowner FROM featurestore.staging s JOIN pg_class c ON c.oid = s.relation
	WHERE s.online_table = _stagings.online_table OR s.captured_source IN (SELECT featurestore._captured_sources(_stagings.online_table)) ORDER BY 1;
END
$$;
COMMENT ON FUNCTION featurestore._stagings(regclass) IS 'internal: staging tables that a publication reads';

/*
 * Brings online_table in step with its source, or with those of the features
 * that are materialized in it, or applies what is in its staging table.  Outside
 * of a transaction block it commits after each step of a first fill that goes by
 * ranges of keys, and records failures; else all is done in the caller's
 * transaction.  A second sync of the same table waits for the first; readers do
 * not.  Runs as the owner of the table, with the search path pg_catalog.
 *
 * Changes that cannot be applied because of what is in them (SQLSTATE classes
 * 22 and 23) are kept in rejected_changes, with a WARNING.  Raises 42501 unless
 * the caller owns the table, 42704 if it is not published, 55000 if it is
 * paused, 42P01, 42703, 42804 and 55000 if the table, its source or a feature
 * has changed so that it cannot be published, 21000 and 23502 for keys of a
 * source that are not unique or have NULLs, and 40001 in a transaction whose
 * snapshot is older than the last sync.  Events without key or time are left
 * out of states, and a WARNING says how many.
 */
CREATE PROCEDURE featurestore.sync(online_table regclass)
	AS 'MODULE_PATHNAME', 'sync_table' LANGUAGE C;
COMMENT ON PROCEDURE featurestore.sync(regclass) IS 'brings a published table in step with its source';

/*
 * Computes rows of online_table anew from its sources: those of keys, an array
 * of objects with the key columns, or all that differ if it is NULL.  Raises as
 * sync does, and 22023 for keys that are no such array, 55000 for keys of a
 * table that is published by snapshot or not filled yet, and for a table fed by
 * external writers.
 */
CREATE PROCEDURE featurestore.rebuild(online_table regclass, keys jsonb DEFAULT NULL)
	AS 'MODULE_PATHNAME', 'rebuild_table' LANGUAGE C;
COMMENT ON PROCEDURE featurestore.rebuild(regclass, jsonb) IS 'computes rows of an online table anew';
