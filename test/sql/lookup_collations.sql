--
-- Keys whose collation is not the default, nor that of their index
--
SELECT count(*) = 0 AS skip FROM pg_collation WHERE collname = 'und-x-icu' AND collprovider = 'i' \gset
\if :skip
\echo this server has no ICU
\quit
\endif
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA lookup_collations;
RESET client_min_messages;
SET search_path = lookup_collations, featurestore;
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql
CREATE COLLATION ignores_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION german (provider = icu, locale = 'de');

-- equal to a nondeterministic collation is the same key, asked for and given back in its own form
CREATE TABLE ci (name text COLLATE ignores_case PRIMARY KEY, n int);
INSERT INTO ci VALUES ('Ann', 1), ('BOB', 2);
SELECT create_feature_spec('by_ci', ARRAY[lookup('ci', '{name}')]);
SELECT attcollation::regcollation FROM pg_attribute WHERE attrelid = 'by_ci'::regclass AND attname = 'name';
SELECT * FROM same($$ SELECT * FROM by_ci_batch('{ann,ANN,Ann,bob,x,NULL,ann}') $$);
SELECT path, reason, keys, found FROM explain_lookup('by_ci', '{"name": ["ann", "ANN", "x", "ann"]}');
SELECT * FROM same($$ SELECT * FROM feature_lookup_json('by_ci', '{"name": ["ann", "ANN"]}') $$);
SELECT * FROM same($$ SELECT * FROM feature_lookup(NULL::by_ci, 'aNn') $$);
-- as part of a key, with the newest row
CREATE TABLE ci_times (name text COLLATE ignores_case, at timestamptz, n int, PRIMARY KEY (name, at));
INSERT INTO ci_times VALUES ('Ann', '2024-01-01', 1), ('ANN', '2024-01-02', 2), ('bob', '2024-01-01', 3);
SELECT create_feature_spec('by_ci_time', ARRAY[lookup('ci_times', '{name}')]);
SELECT * FROM same($$ SELECT * FROM by_ci_time_batch('{ann,aNN,Bob}', '2024-01-01 12:00') $$);
SELECT * FROM same($$ SELECT * FROM by_ci_time_batch('{ann,aNN,Bob}') $$);

-- an index of another collation, which could tell keys apart that the column does not: it identifies, but is not probed
CREATE TABLE de (name text COLLATE german, n int);
CREATE UNIQUE INDEX de_index ON de (name COLLATE "C");
INSERT INTO de VALUES ('a', 1), ('ä', 2);
SELECT create_feature_spec('by_de', ARRAY[lookup('de', '{name}')]);
SELECT * FROM same($$ SELECT * FROM by_de_batch('{ä,a,A}') $$);
SELECT path, reason FROM explain_lookup('by_de', '{"name": "a"}');
CREATE TABLE ci_c (name text COLLATE ignores_case, n int);
CREATE UNIQUE INDEX ci_c_index ON ci_c (name COLLATE "C");
INSERT INTO ci_c VALUES ('a', 1), ('A', 2), ('b', 3);
SELECT create_feature_spec('by_ci_c', ARRAY[lookup('ci_c', '{name}')]);
SELECT * FROM same($$ SELECT * FROM by_ci_c_batch('{B,c}') $$);
SELECT refused($$ SELECT * FROM by_ci_c('a') $$);

-- one key for tables of several collations; a key from an output of another one
CREATE TABLE plain (name text COLLATE "C" PRIMARY KEY, n int, other text COLLATE german);
INSERT INTO plain VALUES ('ann', 10, 'BOB'), ('Ann', 20, NULL);
SELECT create_feature_spec('shared', ARRAY[lookup('plain', '{name}', rename_outputs => '{"n": "plain_n"}'), lookup('ci', '{name}', rename_outputs => '{"n": "ci_n"}'), lookup('ci', '{name=other}', rename_outputs => '{"n": "other_n"}')]);
SELECT * FROM same($$ SELECT * FROM shared_batch('{ann,Ann,ANN}') $$);
-- in expressions the collation is that of the column
SELECT create_feature_spec('compared', ARRAY[lookup('ci', '{name}'), expression('name = ''ANN''', 'is_ann'), request_field('note', 'text'), expression('note = ''ANN''', 'says_ann')]);
SELECT * FROM same($$ SELECT * FROM compared_batch('{ann,bob}', '{ann,ANN}') $$);

-- states need values that are equal or not: refused when the feature is registered; as an entity it will do
CREATE TABLE said (name text COLLATE ignores_case, word text COLLATE german, at timestamptz);
INSERT INTO said VALUES ('Ann', 'ä', '2024-01-01'), ('ANN', 'z', '2024-01-02'), ('bob', 'b', '2024-01-01');
SELECT refused($$ SELECT register_feature('names', 'said', '{word}', 'at', 'count', 'name') $$);
SELECT count(*) FROM featurestore.feature WHERE relation::text = 'names';
SELECT register_feature('words', 'said', '{name}', 'at', 'max', 'word');
SET client_min_messages = warning;
SELECT materialize_features('{words}', 'speakers');
SELECT create_feature_spec('spoken', ARRAY[feature('{words}')]);
SELECT * FROM same($$ SELECT * FROM spoken_batch('{ann,BOB,carl}') $$);

DROP SCHEMA lookup_collations CASCADE;
