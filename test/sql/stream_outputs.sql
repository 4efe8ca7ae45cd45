--
-- Values that lookups evaluate from the states of directly written tables
--
\set SHOW_CONTEXT never
CREATE SCHEMA outputs;
SET search_path = outputs;
SET timezone = 'UTC';
SET datestyle = 'ISO';

CREATE TABLE users (user_id bigint PRIMARY KEY, at timestamptz, plan text, spent featurestore.window_state, acts featurestore.window_state, pages featurestore.agg_state, last_page text);
SELECT featurestore.create_online_table('users', '{
	"spent": {"rule": "accumulate", "function": "sum", "type": "float8", "windows": ["rolling 1h", "rolling 1d"]},
	"acts": {"rule": "accumulate", "function": "last_n", "params": {"n": 10}, "type": "text", "windows": ["lifetime"]},
	"pages": {"rule": "accumulate", "function": "count_distinct", "type": "text"}, "last_page": "last"}', '{
	"spent_1h": {"column": "spent", "function": "sum", "window": "rolling 1h"},
	"mean_1d": {"column": "spent", "function": "avg", "window": "rolling 1d"},
	"n_1d": {"column": "spent", "function": "count", "window": "rolling 1d"},
	"last_acts": {"column": "acts", "function": "last_n(2)", "window": "lifetime"},
	"pages_seen": {"column": "pages", "function": "count_distinct"}}', 'at', '30 days', allow_duplicates => true);
SELECT jsonb_pretty(outputs) FROM featurestore.online_table WHERE relation = 'users'::regclass;
SELECT * FROM featurestore.write_features('users', '[
	{"user_id": 1, "at": "2024-01-01 10:00", "plan": "free", "spent": 5, "acts": "look", "pages": "a", "last_page": "a"},
	{"user_id": 1, "at": "2024-01-01 10:50", "plan": "paid", "spent": 7, "acts": "buy", "pages": "b", "last_page": "b"}]');

-- all there is, by default; some, renamed, with a length
SELECT featurestore.create_feature_spec('everything', ARRAY[featurestore.lookup('users', '{user_id}', default_values => '{"spent_1h": -1, "plan": "none"}')], with_status => true);
SELECT featurestore.create_feature_spec('few', ARRAY[featurestore.lookup('users', '{user_id}', '{pages_seen,plan,"last_acts[2]",spent_1h}', '{"pages_seen": "pages"}')]);
\x on
SELECT * FROM everything(1, '2024-01-01 11:30');
-- an entity never seen; before the newest event; at it; when windows are empty; beyond the time to live, which is that of columns
SELECT * FROM everything(2, '2024-01-01 11:30');
SELECT * FROM everything(1, '2024-01-01 10:30');
SELECT * FROM everything(1, '2024-01-01 10:50');
SELECT * FROM everything(1, '2024-01-03 11:30');
SELECT * FROM everything(1, '2024-03-03 11:30');
\x off
SELECT * FROM few_batch('{1,2}', '2024-01-01 11:30');
SET featurestore.enable_direct_lookup = off;
SELECT * FROM few_batch('{1,2}', '2024-01-01 11:30');
RESET featurestore.enable_direct_lookup;
SELECT r FROM featurestore.feature_lookup_json('outputs.few', '{"user_id": 1}', '2024-01-01 11:30') AS r;
SELECT jsonb_path_query_array(r, '$.status.*.status') FROM featurestore.feature_lookup_json('outputs.few', '{"user_id": 1}', '2024-01-01 11:30', true) AS r;

-- the state itself can be had, too
SELECT featurestore.create_feature_spec('states', ARRAY[featurestore.lookup('users', '{user_id}', '{spent}')]);
SELECT featurestore.window_value(spent, 'sum', 'rolling 1d', '2024-01-01 11:30') FROM states(1, '2024-01-01 11:30');

-- served right away, in the transaction that wrote
BEGIN;
SELECT rows_written FROM users_write('{1,2}', '{2024-01-01 11:00,2024-01-01 11:00}', '{paid,new}', '{10,20}', '{ask,ask}', '{a,c}', '{a,c}');
SELECT * FROM few_batch('{1,2}', '2024-01-01 11:30');
ROLLBACK;
SELECT * FROM few_batch('{1,2}', '2024-01-01 11:30');

-- specs keep what they were made with; a definition without it gives it no more
SELECT featurestore.drop_online_table('users');
SELECT * FROM few(1, '2024-01-01 11:30');
SELECT featurestore.create_feature_spec('others', ARRAY[featurestore.lookup('users', '{user_id}', '{spent_1h}')]);
\echo :SQLSTATE
-- names that do not exist, and that say what does
SELECT featurestore.create_online_table('users', '{"spent": {"rule": "accumulate", "function": "sum", "type": "float8", "windows": ["rolling 1h", "rolling 1d"]}}',
	'{"spent_1h": {"column": "spent", "function": "sum", "window": "rolling 1h"}}', 'at', allow_duplicates => true);
SELECT featurestore.create_feature_spec('others', ARRAY[featurestore.lookup('users', '{user_id}', '{spent_2h}')]);
SELECT featurestore.create_feature_spec('others', ARRAY[featurestore.lookup('users', '{user_id}', '{spent_1h}', '{"spent": "x"}')]);
SELECT featurestore.create_feature_spec('others', ARRAY[featurestore.lookup('users', '{user_id}', '{"spent_1h[3]"}')]);
-- one row an entity is needed
CREATE TABLE history (user_id int, at timestamptz, s featurestore.window_state, PRIMARY KEY (user_id, at));
SELECT featurestore.create_online_table('history', '{"s": {"rule": "accumulate", "function": "count", "windows": ["rolling 1h"]}}', '{"n": {"column": "s", "function": "count", "window": "rolling 1h"}}', 'at');
\echo :SQLSTATE
-- rights: those of the column
CREATE ROLE regress_outputs_reader;
GRANT USAGE ON SCHEMA outputs TO regress_outputs_reader;
GRANT SELECT (user_id, at, plan) ON users TO regress_outputs_reader;
SET ROLE regress_outputs_reader;
SELECT * FROM few(1, '2024-01-01 11:30');
\echo :SQLSTATE
RESET ROLE;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA outputs CASCADE;
DROP ROLE regress_outputs_reader;
