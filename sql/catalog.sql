/*
 * Catalog: the definitions, as ordinary tables.
 *
 * Relations are held as regclass, so that a rename is followed and a dump
 * carries names, and columns by name.  A row is written only through
 * _store_definition, which lets the owner of the relation it describes, and
 * nobody else, do so.  Positions live apart from definitions: a dump carries
 * the definitions only, and a restored publication starts again.
 */
CREATE SCHEMA featurestore;
COMMENT ON SCHEMA featurestore IS 'feature store: definitions, publishing and lookups';
GRANT USAGE ON SCHEMA featurestore TO PUBLIC;

CREATE TABLE featurestore.online_table (
	relation regclass PRIMARY KEY,
	timeseries_column text,
	ttl interval,
	merge jsonb NOT NULL DEFAULT '{}',
	outputs jsonb NOT NULL DEFAULT '{}',
	allow_duplicates boolean NOT NULL DEFAULT false,
	history_table regclass,
	history_from timestamptz
);
COMMENT ON TABLE featurestore.online_table IS 'tables that lookups read and that have a time column, a time to live or a history';
COMMENT ON COLUMN featurestore.online_table.relation IS 'the online table';
COMMENT ON COLUMN featurestore.online_table.timeseries_column IS 'column with the event time of a row (timestamptz or date), if it has one';
COMMENT ON COLUMN featurestore.online_table.ttl IS 'age beyond which a row is OUTSIDE_MAX_AGE';
COMMENT ON COLUMN featurestore.online_table.merge IS 'merge rule by column; a column not named is replaced';
COMMENT ON COLUMN featurestore.online_table.outputs IS 'values by name that lookups evaluate from columns of states';
COMMENT ON COLUMN featurestore.online_table.allow_duplicates IS 'whether rows can be written without the id of a batch though a repeated row counts twice';
COMMENT ON COLUMN featurestore.online_table.history_table IS 'table with the versions of its rows; null if they are not kept';
COMMENT ON COLUMN featurestore.online_table.history_from IS 'time from which on the history is complete';

CREATE TABLE featurestore.publication (
	relation regclass PRIMARY KEY,
	source regclass,
	publish_mode text NOT NULL,
	primary_key text[] NOT NULL,
	timeseries_column text,
	features text[] NOT NULL,
	filter text,
	source_retention interval,
	is_paused boolean NOT NULL DEFAULT false,
	schedule text,
	time_zone text
);
COMMENT ON TABLE featurestore.publication IS 'standing orders that keep an online table in step with its source';
COMMENT ON COLUMN featurestore.publication.relation IS 'the online table';
COMMENT ON COLUMN featurestore.publication.source IS 'the table the rows come from; null where features are materialized, each from its own';
COMMENT ON COLUMN featurestore.publication.publish_mode IS 'how changes travel: SNAPSHOT, TRIGGERED, CONTINUOUS or SYNCHRONOUS';
COMMENT ON COLUMN featurestore.publication.primary_key IS 'key columns of the online table';
COMMENT ON COLUMN featurestore.publication.timeseries_column IS 'time column of the source; the newest row of a key is published';
COMMENT ON COLUMN featurestore.publication.features IS 'columns published besides the key; none where features are materialized';
COMMENT ON COLUMN featurestore.publication.filter IS 'SQL condition over the source row; other rows are not published';
COMMENT ON COLUMN featurestore.publication.source_retention IS 'age beyond which rows leave the source by purges, which change nothing; null if it keeps all';
COMMENT ON COLUMN featurestore.publication.is_paused IS 'whether runs are refused until it is resumed';
COMMENT ON COLUMN featurestore.publication.schedule IS 'when it runs, as a cron or Quartz expression; null if it has no schedule';
COMMENT ON COLUMN featurestore.publication.time_zone IS 'time zone that the schedule is in';

CREATE TABLE featurestore.publication_position (
	relation regclass PRIMARY KEY,
	system_identifier bigint NOT NULL,
	applied_to timestamptz NOT NULL,
	synced_at timestamptz NOT NULL,
	rows_changed bigint NOT NULL,
	filled text[],
	snapshot pg_snapshot,
	own_xid xid8,
	own_sequence bigint,
	fingerprint jsonb,
	stopped text
);
COMMENT ON TABLE featurestore.publication_position IS 'how far each publication has come; not part of a dump';
COMMENT ON COLUMN featurestore.publication_position.relation IS 'the online table';
COMMENT ON COLUMN featurestore.publication_position.system_identifier IS 'cluster the position belongs to; in another cluster it counts for nothing';
COMMENT ON COLUMN featurestore.publication_position.applied_to IS 'every change of the source committed before this time is in the online table';
COMMENT ON COLUMN featurestore.publication_position.synced_at IS 'end of the last run';
COMMENT ON COLUMN featurestore.publication_position.rows_changed IS 'rows the last run inserted, updated or deleted';
COMMENT ON COLUMN featurestore.publication_position.filled IS 'columns of states that are filled; null where no features are materialized';
COMMENT ON COLUMN featurestore.publication_position.snapshot IS 'changes of transactions visible in it are applied; null: the next run compares the whole source';
COMMENT ON COLUMN featurestore.publication_position.own_xid IS 'transaction of the last run, if it had changed a source itself';
COMMENT ON COLUMN featurestore.publication_position.own_sequence IS 'changes of own_xid up to this number are applied, later ones are not';
COMMENT ON COLUMN featurestore.publication_position.fingerprint IS 'what the sources looked like, so that what fires no trigger is noticed';
COMMENT ON COLUMN featurestore.publication_position.stopped IS 'why the publication cannot go on, until that is mended';

CREATE TABLE featurestore.fill_position (
	relation regclass PRIMARY KEY,
	system_identifier bigint NOT NULL,
	snapshot pg_snapshot NOT NULL,
	own_xid xid8,
	own_sequence bigint,
	fill_key jsonb NOT NULL,
	fingerprint jsonb NOT NULL,
	rows_changed bigint NOT NULL
);
COMMENT ON TABLE featurestore.fill_position IS 'how far first fills have come that go by ranges of keys; not part of a dump';
COMMENT ON COLUMN featurestore.fill_position.relation IS 'the online table';
COMMENT ON COLUMN featurestore.fill_position.system_identifier IS 'cluster the position belongs to; in another cluster it counts for nothing';
COMMENT ON COLUMN featurestore.fill_position.snapshot IS 'as of it the table equals its sources for keys up to fill_key';
COMMENT ON COLUMN featurestore.fill_position.own_xid IS 'transaction of the last step, if it had changed a source itself';
COMMENT ON COLUMN featurestore.fill_position.own_sequence IS 'changes of own_xid up to this number are applied, later ones are not';
COMMENT ON COLUMN featurestore.fill_position.fill_key IS 'the greatest key that is filled';
COMMENT ON COLUMN featurestore.fill_position.fingerprint IS 'what the sources looked like when the fill began';
COMMENT ON COLUMN featurestore.fill_position.rows_changed IS 'rows written so far';

/*
 * Staging tables hold changes on their way to online tables.  They are
 * ordinary tables of the owner of the source, or of the online table that
 * external writers feed with them.
 */
CREATE TABLE featurestore.staging (
	relation regclass PRIMARY KEY,
	captured_source regclass UNIQUE,
	online_table regclass UNIQUE,
	key_columns text[],
	current_partition smallint NOT NULL,
	current_relation regclass NOT NULL,
	system_identifier bigint NOT NULL,
	is_written boolean,
	is_applied boolean
);
COMMENT ON TABLE featurestore.staging IS 'tables of changes that are to be applied';
COMMENT ON COLUMN featurestore.staging.relation IS 'the staging table';
COMMENT ON COLUMN featurestore.staging.captured_source IS 'table whose changes a trigger writes to it; null if external writers do';
COMMENT ON COLUMN featurestore.staging.online_table IS 'online table that external writers feed with it; null for a captured source';
COMMENT ON COLUMN featurestore.staging.key_columns IS 'an update is staged with its old row only if one of these columns changed; null: always';
COMMENT ON COLUMN featurestore.staging.current_partition IS 'value of _partition for new rows';
COMMENT ON COLUMN featurestore.staging.current_relation IS 'the partition that new rows go to';
COMMENT ON COLUMN featurestore.staging.system_identifier IS 'cluster that its rows belong to';
COMMENT ON COLUMN featurestore.staging.is_written IS 'false if no changes are written to it, since all publications of the source are SYNCHRONOUS';
COMMENT ON COLUMN featurestore.staging.is_applied IS 'true if transactions apply their changes of the source themselves, to SYNCHRONOUS publications';

/*
 * What publishing keeps beside the online tables: keys to look at again at a
 * later time, changes that could not be applied, and a record of the runs.
 */
CREATE TABLE featurestore.held_change (
	relation regclass NOT NULL,
	system_identifier bigint NOT NULL,
	key jsonb NOT NULL,
	due timestamptz NOT NULL,
	PRIMARY KEY (relation, key)
);
CREATE INDEX ON featurestore.held_change (relation, due);
COMMENT ON TABLE featurestore.held_change IS 'keys with rows dated in the future; not part of a dump';
COMMENT ON COLUMN featurestore.held_change.relation IS 'the online table';
COMMENT ON COLUMN featurestore.held_change.system_identifier IS 'cluster the row belongs to';
COMMENT ON COLUMN featurestore.held_change.key IS 'key of the online table';
COMMENT ON COLUMN featurestore.held_change.due IS 'when the first of these rows counts; the key is then computed anew';

CREATE TABLE featurestore.rejected_change (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	relation regclass NOT NULL,
	sequence bigint NOT NULL,
	change jsonb NOT NULL,
	sqlstate text NOT NULL,
	message text NOT NULL,
	rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON featurestore.rejected_change (relation);
COMMENT ON TABLE featurestore.rejected_change IS 'changes that could not be applied';
COMMENT ON SEQUENCE featurestore.rejected_change_id_seq IS 'order in which changes were rejected';
COMMENT ON COLUMN featurestore.rejected_change.id IS 'order in which they were rejected';
COMMENT ON COLUMN featurestore.rejected_change.relation IS 'the online table';
COMMENT ON COLUMN featurestore.rejected_change.sequence IS 'place of the change among all changes; 0 for a key that could not be computed anew';
COMMENT ON COLUMN featurestore.rejected_change.change IS 'the row as it was staged, or the key';
COMMENT ON COLUMN featurestore.rejected_change.sqlstate IS 'what was wrong, as an SQLSTATE';
COMMENT ON COLUMN featurestore.rejected_change.message IS 'what was wrong';
COMMENT ON COLUMN featurestore.rejected_change.rejected_at IS 'when';

CREATE TABLE featurestore.publish_run (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	relation regclass NOT NULL,
	operation text NOT NULL,
	started_at timestamptz NOT NULL,
	ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	rows_read bigint,
	rows_changed bigint,
	rows_rejected bigint,
	sqlstate text,
	message text
);
CREATE INDEX ON featurestore.publish_run (relation, id);
COMMENT ON TABLE featurestore.publish_run IS 'runs of publications, the last thousand of each; not part of a dump';
COMMENT ON SEQUENCE featurestore.publish_run_id_seq IS 'order of runs';
COMMENT ON COLUMN featurestore.publish_run.id IS 'order of the runs';
COMMENT ON COLUMN featurestore.publish_run.relation IS 'the online table';
COMMENT ON COLUMN featurestore.publish_run.operation IS 'what was done: MERGE, FILL, APPLY, REBUILD';
COMMENT ON COLUMN featurestore.publish_run.started_at IS 'when it began';
COMMENT ON COLUMN featurestore.publish_run.ended_at IS 'when it ended';
COMMENT ON COLUMN featurestore.publish_run.rows_read IS 'staged changes in it; null where the whole source was read';
COMMENT ON COLUMN featurestore.publish_run.rows_changed IS 'rows of the online table inserted, updated or deleted';
COMMENT ON COLUMN featurestore.publish_run.rows_rejected IS 'changes that could not be applied';
COMMENT ON COLUMN featurestore.publish_run.sqlstate IS 'why it failed; null if it did not';
COMMENT ON COLUMN featurestore.publish_run.message IS 'why it failed, or what is to be known about it';

/*
 * Batches of rows that were written directly.  They are part of a dump, which
 * has the effect of these batches, too.
 */
CREATE TABLE featurestore.write_batch (
	relation regclass NOT NULL,
	batch_id text NOT NULL,
	digest bytea NOT NULL,
	rows_given bigint NOT NULL,
	written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (relation, batch_id)
);
CREATE INDEX ON featurestore.write_batch (relation, written_at);
COMMENT ON TABLE featurestore.write_batch IS 'batches of rows that were written directly';
COMMENT ON COLUMN featurestore.write_batch.relation IS 'the online table';
COMMENT ON COLUMN featurestore.write_batch.batch_id IS 'what the writer calls the batch';
COMMENT ON COLUMN featurestore.write_batch.digest IS 'tells whether a batch of the same id has the same rows';
COMMENT ON COLUMN featurestore.write_batch.rows_given IS 'number of its rows';
COMMENT ON COLUMN featurestore.write_batch.written_at IS 'when it was written';

/* Order of what external writers stage; captured changes are numbered by their place in the WAL. */
CREATE SEQUENCE featurestore.change_number;
COMMENT ON SEQUENCE featurestore.change_number IS 'order of changes that external writers stage';
GRANT USAGE ON SEQUENCE featurestore.change_number TO PUBLIC;

CREATE TABLE featurestore.spec (
	relation regclass PRIMARY KEY,
	version int NOT NULL,
	with_status boolean NOT NULL,
	exclude_columns text[] NOT NULL,
	items jsonb NOT NULL,
	steps jsonb NOT NULL,
	training_set regclass
);
COMMENT ON TABLE featurestore.spec IS 'feature specs; what a spec reads is held by its view, the rest here';
COMMENT ON COLUMN featurestore.spec.relation IS 'the view whose row type is the row a lookup gives';
COMMENT ON COLUMN featurestore.spec.version IS 'starts at 1, goes up when the spec is replaced';
COMMENT ON COLUMN featurestore.spec.with_status IS 'whether each output has a status column beside it';
COMMENT ON COLUMN featurestore.spec.exclude_columns IS 'columns computed but not given';
COMMENT ON COLUMN featurestore.spec.items IS 'the items as they were defined';
COMMENT ON COLUMN featurestore.spec.steps IS 'the items in the order they run, as the lookup reads them';
COMMENT ON COLUMN featurestore.spec.training_set IS 'the training set whose frozen spec it is; null of other specs';

/* Specs of whose lookups a sample is logged; see log_lookups. */
CREATE TABLE featurestore.serve_log (
	relation regclass PRIMARY KEY,
	log_table regclass NOT NULL,
	fraction float8 NOT NULL
);
COMMENT ON TABLE featurestore.serve_log IS 'feature specs of whose lookups a sample is logged';
COMMENT ON COLUMN featurestore.serve_log.relation IS 'the view of the spec';
COMMENT ON COLUMN featurestore.serve_log.log_table IS 'table that a worker writes what was served to';
COMMENT ON COLUMN featurestore.serve_log.fraction IS 'share of the keys whose lookups are logged';

/* Who the workers of this database are; see _worker_tasks for what they do. */
CREATE TABLE featurestore.worker (
	slot int PRIMARY KEY,
	pid int,
	started_at timestamptz,
	system_identifier bigint NOT NULL,
	is_stopped boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE featurestore.worker IS 'processes that run publications; not part of a dump';
COMMENT ON COLUMN featurestore.worker.slot IS 'number of the worker, from 0';
COMMENT ON COLUMN featurestore.worker.pid IS 'its process, the last that there was';
COMMENT ON COLUMN featurestore.worker.started_at IS 'when that was started';
COMMENT ON COLUMN featurestore.worker.system_identifier IS 'cluster the process was of';
COMMENT ON COLUMN featurestore.worker.is_stopped IS 'whether none is to run until start_worker is called';

SELECT pg_catalog.pg_extension_config_dump('featurestore.online_table', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.publication', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.spec', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.serve_log', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.staging', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.change_number', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.write_batch', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.rejected_change', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.rejected_change_id_seq', '');

GRANT SELECT ON featurestore.online_table, featurestore.publication, featurestore.publication_position,
	featurestore.staging, featurestore.worker, featurestore.spec, featurestore.serve_log TO PUBLIC;
/* not fill_key, which is data of a source; see _fill_key */
GRANT SELECT (relation, system_identifier, snapshot, own_xid, own_sequence, fingerprint, rows_changed)
	ON featurestore.fill_position TO PUBLIC;

/*
 * Writes one row of a catalog table: definition holds its columns, among them
 * "relation"; a row of that relation is replaced.  NULL columns are stored as
 * such.  Raises 42501 unless the caller owns the relation.  Sessions that have
 * the relation in their cache read it again.
 */
CREATE FUNCTION featurestore._store_definition(catalog text, definition jsonb) RETURNS void
	AS 'MODULE_PATHNAME', 'store_definition' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._store_definition(text, jsonb) IS 'internal: writes one catalog row of a relation the caller owns';

/*
 * Deletes the row of relation from a catalog table; none is no error.
 * Raises 42501 unless the caller owns the relation.
 */
CREATE FUNCTION featurestore._remove_definition(catalog text, relation regclass) RETURNS void
	AS 'MODULE_PATHNAME', 'remove_definition' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._remove_definition(text, regclass) IS 'internal: deletes one catalog row of a relation the caller owns';

/*
 * Forgets what is dropped, and ends the capture of changes that nobody needs
 * any more.  Runs as the extension's owner, since whoever may drop a table may
 * not write the catalog; so it runs nothing of any user's.  It must not make the
 * DROP fail, nor wait: what it cannot have it leaves, with a WARNING.
 */
CREATE FUNCTION featurestore._forget_dropped() RETURNS event_trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	dropped oid[] := ARRAY(SELECT objid FROM pg_catalog.pg_event_trigger_dropped_objects()
						   WHERE object_type IN ('table', 'view', 'materialized view', 'foreign table'));
	sources oid[];
BEGIN
	IF EXISTS (SELECT FROM pg_catalog.pg_event_trigger_dropped_objects() WHERE object_type = 'table column') THEN
		PERFORM featurestore._mark_dropped_columns();
	END IF;
	IF dropped <> '{}' THEN
		sources := ARRAY(SELECT captured_source FROM featurestore.staging s
						 WHERE captured_source <> ALL (dropped)
							 AND (captured_source IN (SELECT source FROM featurestore.feature WHERE relation = ANY (dropped))
								  OR EXISTS (SELECT FROM featurestore._consumers(captured_source) AS consumer WHERE consumer = ANY (dropped))));
		PERFORM featurestore._forget_writers();
		PERFORM featurestore._forget_histories(dropped);
		DELETE FROM featurestore.online_table WHERE relation = ANY (dropped);
		DELETE FROM featurestore.write_batch WHERE relation = ANY (dropped);
		DELETE FROM featurestore.publication WHERE relation = ANY (dropped);
		DELETE FROM featurestore.publication_position WHERE relation = ANY (dropped);
		DELETE FROM featurestore.fill_position WHERE relation = ANY (dropped);
		DELETE FROM featurestore.held_change WHERE relation = ANY (dropped);
		DELETE FROM featurestore.rejected_change WHERE relation = ANY (dropped);
		DELETE FROM featurestore.publish_run WHERE relation = ANY (dropped);
		DELETE FROM featurestore.spec WHERE relation = ANY (dropped);
		DELETE FROM featurestore.serve_log WHERE relation = ANY (dropped) OR log_table = ANY (dropped);
		DELETE FROM featurestore.feature WHERE relation = ANY (dropped);
		DELETE FROM featurestore.window_table WHERE relation = ANY (dropped);
		UPDATE featurestore.feature SET online_table = NULL, state_column = NULL WHERE online_table = ANY (dropped);
		UPDATE featurestore.window_table SET values_view = NULL WHERE values_view = ANY (dropped);
		UPDATE featurestore.window_table SET offline_table = NULL WHERE offline_table = ANY (dropped);
		PERFORM featurestore._forget_training_sets(dropped);
		IF EXISTS (SELECT FROM featurestore.staging) THEN
			PERFORM featurestore._forget_staging(dropped);
			PERFORM featurestore._release_source(source) FROM unnest(sources) AS source;
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._forget_dropped() IS 'internal: removes the definitions of dropped relations';
REVOKE ALL ON FUNCTION featurestore._forget_dropped() FROM PUBLIC;

/* On whatever is dropped: a cascade reaches a view from almost anything */
CREATE EVENT TRIGGER featurestore_forget_dropped ON sql_drop
	EXECUTE FUNCTION featurestore._forget_dropped();
COMMENT ON EVENT TRIGGER featurestore_forget_dropped IS 'removes the definitions of dropped relations';

/*
 * Lets staging tables follow what they are about when that changes hands, and
 * their own names, and writer functions the names of their tables.  It leaves alone those that have nothing to do with what is
 * altered, since it may try for a while to get their locks.  Runs as the
 * extension's owner, since the old owner may not give tables to the new one; so
 * it runs nothing of any user's.  REASSIGN OWNED gives away both by itself.
 */
CREATE FUNCTION featurestore._follow_altered() RETURNS event_trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM featurestore._follow_owner(s), featurestore._follow_name(s) FROM featurestore.staging s
	WHERE EXISTS (SELECT FROM pg_catalog.pg_event_trigger_ddl_commands() AS altered
				  WHERE altered.objid IN (s.captured_source, s.online_table)
					  OR altered.objid IN (SELECT t.relation FROM featurestore._tree(s.relation) AS t)
					  OR altered.objid = (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = s.relation));
	PERFORM featurestore._follow_writer(c.oid) FROM featurestore.online_table o JOIN pg_catalog.pg_class c ON c.oid = o.relation
	WHERE EXISTS (SELECT FROM pg_catalog.pg_event_trigger_ddl_commands() AS altered WHERE altered.objid IN (c.oid, c.relnamespace));
END
$$;
COMMENT ON FUNCTION featurestore._follow_altered() IS 'internal: lets staging tables and writer functions follow what is altered';
REVOKE ALL ON FUNCTION featurestore._follow_altered() FROM PUBLIC;

CREATE EVENT TRIGGER featurestore_follow_altered ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'ALTER SCHEMA')
	EXECUTE FUNCTION featurestore._follow_altered();
COMMENT ON EVENT TRIGGER featurestore_follow_altered IS 'lets staging tables follow what is altered';
