--
-- The history of a table, read as of the end of any transaction, gives what the
-- table held then, whatever changes it: sources at random, in all publish modes,
-- plain statements in transactions and subtransactions, of which some are rolled
-- back, and triggers
--
\set SHOW_CONTEXT never
SET client_min_messages = error;
SET TimeZone = 'UTC';
SET jit = off;
SELECT setseed(0.375);
\getenv abs_srcdir PG_ABS_SRCDIR

\set mode TRIGGERED
\set then TRIGGERED
\i :abs_srcdir/sql/include/replayed_history.sql
\set then SNAPSHOT
\i :abs_srcdir/sql/include/replayed_history.sql
\set mode SYNCHRONOUS
\set then SYNCHRONOUS
\i :abs_srcdir/sql/include/replayed_history.sql
