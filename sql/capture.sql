/*
 * Capture: the triggers that stage the changes of sources.
 */

/*
 * Trigger of a source: stages the change of a row, or a truncation, for the
 * staging table that captures it or the table it is a partition of; does
 * nothing when none does.  Raises 55000 when the change cannot be staged, as
 * when source and staging table have different owners, and 39P01 unless it is
 * fired AFTER a row changes or AFTER TRUNCATE.
 */
CREATE FUNCTION featurestore._capture() RETURNS trigger
	AS 'MODULE_PATHNAME', 'capture' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._capture() IS 'internal: trigger that stages the changes of a source';

/*
 * Writes the changes that this session has captured and not written yet, so
 * that statements that begin after it see them.  They are written at the end of
 * a transaction in any case.
 */
CREATE FUNCTION featurestore._flush_captured() RETURNS void
	AS 'MODULE_PATHNAME', 'flush_captured' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._flush_captured() IS 'internal: writes the changes that are captured and not written yet';

/*
 * Trigger of a staging table that others write: whatever they give, a row gets
 * its transaction and its number here; and the time, and that it is an insert,
 * if they do not say.  Raises 55000 unless the table has the columns of a
 * staging table, and 39P01 unless it is fired BEFORE INSERT of a row.
 */
CREATE FUNCTION featurestore._stamp() RETURNS trigger
	AS 'MODULE_PATHNAME', 'stamp' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._stamp() IS 'internal: trigger that numbers the rows of external writers';

/*
 * The partition that new rows of staging go to.  Raises 55000 unless it is a
 * staging table.
 */
CREATE FUNCTION featurestore._current_partition(staging regclass) RETURNS smallint
	AS 'MODULE_PATHNAME', 'current_partition' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION featurestore._current_partition(regclass) IS 'internal: the partition that new rows go to';

/* A number greater than that of any change that this transaction has captured, and less than those to come. */
CREATE FUNCTION featurestore._change_number() RETURNS bigint
	AS 'MODULE_PATHNAME', 'change_number' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION featurestore._change_number() IS 'internal: a number that divides captured changes from those to come';
