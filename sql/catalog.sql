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
	merge jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE featurestore.online_table IS 'tables that lookups read and that have a time column or a time to live';
COMMENT ON COLUMN featurestore.online_table.relation IS 'the online table';
COMMENT ON COLUMN featurestore.online_table.timeseries_column IS 'column with the event time of a row (timestamptz or date), if it has one';
COMMENT ON COLUMN featurestore.online_table.ttl IS 'age beyond which a row is OUTSIDE_MAX_AGE';
COMMENT ON COLUMN featurestore.online_table.merge IS 'merge rule by column; a column not named is replaced';

CREATE TABLE featurestore.publication (
	relation regclass PRIMARY KEY,
	source regclass,
	publish_mode text NOT NULL,
	primary_key text[] NOT NULL,
	timeseries_column text,
	features text[] NOT NULL,
	filter text,
	source_retention interval,
	is_paused boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE featurestore.publication IS 'standing orders that keep an online table in step with its source';
COMMENT ON COLUMN featurestore.publication.relation IS 'the online table';
COMMENT ON COLUMN featurestore.publication.source IS 'the table the rows come from; null where features are materialized, each from its own';
COMMENT ON COLUMN featurestore.publication.publish_mode IS 'how changes travel: SNAPSHOT or TRIGGERED';
COMMENT ON COLUMN featurestore.publication.primary_key IS 'key columns of the online table';
COMMENT ON COLUMN featurestore.publication.timeseries_column IS 'time column of the source; the newest row of a key is published';
COMMENT ON COLUMN featurestore.publication.features IS 'columns published besides the key; none where features are materialized';
COMMENT ON COLUMN featurestore.publication.filter IS 'SQL condition over the source row; other rows are not published';
COMMENT ON COLUMN featurestore.publication.source_retention IS 'age beyond which rows leave the source by purges, which change nothing; null if it keeps all';
COMMENT ON COLUMN featurestore.publication.is_paused IS 'whether runs are refused until it is resumed';

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
	system_identifier bigint NOT NULL
);
COMMENT ON TABLE featurestore.staging IS 'tables of changes that are to be applied';
COMMENT ON COLUMN featurestore.staging.relation IS 'the staging table';
COMMENT ON COLUMN featurestore.staging.captured_source IS 'table whose changes a trigger writes to it; null if external writers do';
COMMENT ON COLUMN featurestore.staging.online_table IS 'online table that external writers feed with it; null for a captured source';
COMMENT ON COLUMN featurestore.staging.key_columns IS 'an update is staged with its old row only if one of these columns changed; null: always';
COMMENT ON COLUMN featurestore.staging.current_partition IS 'value of _partition for new rows';
COMMENT ON COLUMN featurestore.staging.current_relation IS 'the partition that new rows go to';
COMMENT ON COLUMN featurestore.staging.system_identifier IS 'cluster that its rows belong to';

/* Order of changes: drawn after the row is locked, so that for one key it is the order of the changes. */
CREATE SEQUENCE featurestore.change_number;
COMMENT ON SEQUENCE featurestore.change_number IS 'order of staged changes';
GRANT USAGE ON SEQUENCE featurestore.change_number TO PUBLIC;

CREATE TABLE featurestore.spec (
	relation regclass PRIMARY KEY,
	version int NOT NULL,
	with_status boolean NOT NULL,
	exclude_columns text[] NOT NULL,
	items jsonb NOT NULL,
	steps jsonb NOT NULL
);
COMMENT ON TABLE featurestore.spec IS 'feature specs; what a spec reads is held by its view, the rest here';
COMMENT ON COLUMN featurestore.spec.relation IS 'the view whose row type is the row a lookup gives';
COMMENT ON COLUMN featurestore.spec.version IS 'starts at 1, goes up when the spec is replaced';
COMMENT ON COLUMN featurestore.spec.with_status IS 'whether each output has a status column beside it';
COMMENT ON COLUMN featurestore.spec.exclude_columns IS 'columns computed but not given';
COMMENT ON COLUMN featurestore.spec.items IS 'the items as they were defined';
COMMENT ON COLUMN featurestore.spec.steps IS 'the items in the order they run, as the lookup reads them';

SELECT pg_catalog.pg_extension_config_dump('featurestore.online_table', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.publication', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.spec', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.staging', '');
SELECT pg_catalog.pg_extension_config_dump('featurestore.change_number', '');

GRANT SELECT ON featurestore.online_table, featurestore.publication, featurestore.publication_position,
	featurestore.fill_position, featurestore.staging, featurestore.spec TO PUBLIC;

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
 * Forgets what is dropped.  Runs as the extension's owner, since whoever may
 * drop a table may not write the catalog.
 */
CREATE FUNCTION featurestore._forget_dropped() RETURNS event_trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	dropped oid[] := ARRAY(SELECT objid FROM pg_catalog.pg_event_trigger_dropped_objects()
						   WHERE object_type IN ('table', 'view', 'materialized view', 'foreign table'));
BEGIN
	IF dropped <> '{}' THEN
		DELETE FROM featurestore.online_table WHERE relation = ANY (dropped);
		DELETE FROM featurestore.publication WHERE relation = ANY (dropped);
		DELETE FROM featurestore.publication_position WHERE relation = ANY (dropped);
		DELETE FROM featurestore.fill_position WHERE relation = ANY (dropped);
		DELETE FROM featurestore.spec WHERE relation = ANY (dropped);
		DELETE FROM featurestore.feature WHERE relation = ANY (dropped);
		DELETE FROM featurestore.window_table WHERE relation = ANY (dropped);
		UPDATE featurestore.feature SET online_table = NULL, state_column = NULL WHERE online_table = ANY (dropped);
		UPDATE featurestore.window_table SET values_view = NULL WHERE values_view = ANY (dropped);
		UPDATE featurestore.window_table SET offline_table = NULL WHERE offline_table = ANY (dropped);
	END IF;
END
$$;
COMMENT ON FUNCTION featurestore._forget_dropped() IS 'internal: removes the definitions of dropped relations';
REVOKE ALL ON FUNCTION featurestore._forget_dropped() FROM PUBLIC;

/* On whatever is dropped: a cascade reaches a view from almost anything */
CREATE EVENT TRIGGER featurestore_forget_dropped ON sql_drop
	EXECUTE FUNCTION featurestore._forget_dropped();
COMMENT ON EVENT TRIGGER featurestore_forget_dropped IS 'removes the definitions of dropped relations';
