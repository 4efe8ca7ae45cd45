--
-- What cannot be a training set, and what users may not have in it
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA training_errors;
SET search_path = training_errors, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

CREATE TABLE price (item int, ts timestamptz, price numeric, PRIMARY KEY (item, ts));
INSERT INTO price SELECT n % 3, '2024-01-01'::timestamptz + n * interval '1 day', n FROM generate_series(1, 9) AS n;
CREATE TABLE item (id int PRIMARY KEY, title text);
INSERT INTO item VALUES (1, 'one'), (2, 'two');
CREATE TABLE event (item int, at timestamptz, amount int);
INSERT INTO event SELECT n % 3, '2024-01-01'::timestamptz + n * interval '1 day', n FROM generate_series(1, 9) AS n;
SELECT register_feature('events_3d', 'event', '{item}', 'at', 'count', NULL, 'rolling 3d hop 0');
SELECT create_feature_spec('spec', ARRAY[lookup('price', '{item}', '{price}'), request_field('hour', 'int'), expression('price * hour', 'weighted')]);
CREATE TABLE label (item int, t timestamptz, hour int, y int);
INSERT INTO label VALUES (1, '2024-01-05', 3, 0), (2, '2024-01-06', 4, 1);

-- creates a training set of labels with the spec, which must be refused, and leave nothing behind
CREATE FUNCTION create_with(labels text, more text DEFAULT '') RETURNS text LANGUAGE sql AS
	$$ SELECT refused(format('SELECT create_training_set(''made'', %L, ''spec'', ''t''%s)', labels, more)) $$;

-- names
SELECT refused($$SELECT create_training_set(NULL, 'label', 'spec', 't')$$);
SELECT refused($$SELECT create_training_set('no_schema.made', 'label', 'spec', 't')$$);
SELECT refused($$SELECT create_training_set('a.b.c', 'label', 'spec', 't')$$);
SELECT refused(format($$SELECT create_training_set(%L, 'label', 'spec', 't')$$, repeat('x', 59)));
SELECT refused($$SELECT create_training_set('label', 'label', 'spec', 't')$$);
CREATE VIEW taken_spec AS SELECT 1 AS x;
SELECT refused($$SELECT create_training_set('taken', 'label', 'spec', 't')$$);
SELECT refused($$SELECT create_training_set('pg_temp.made', 'label', 'spec', 't')$$);

-- spec and items
SELECT refused($$SELECT create_training_set('made', 'label', timestamp_column => 't')$$);
SELECT refused($$SELECT create_training_set('made', 'label', 'spec', 't', items => ARRAY[lookup('price', '{item}')])$$);
SELECT refused($$SELECT create_training_set('made', 'label', 'no_such', 't')$$);
SELECT refused($$SELECT create_training_set('made', 'label', 'item', 't')$$);
SELECT refused($$SELECT create_training_set('made', 'label', timestamp_column => 't', items => '{}')$$);
SELECT refused($$SELECT create_training_set('made', 'label', timestamp_column => 't', items => ARRAY[feature('{no_such}')])$$);
SELECT refused($$SELECT create_training_set('made', 'label', timestamp_column => 't', items => ARRAY[lookup('price', '{item}'), expression('price * no_such', 'x')])$$);
SELECT refused($$SELECT create_training_set('made', 'label', timestamp_column => 't', items => ARRAY[lookup('price', '{item}'), expression('price + no_such(1)', 'x')])$$);
SELECT refused($$SELECT create_training_set('made', 'label', timestamp_column => 't', items => ARRAY[feature('{events_3d}', '{a,b}')])$$);
-- only current values
SELECT refused($$SELECT create_training_set('made', 'SELECT *, item AS id FROM label', timestamp_column => 't', items => ARRAY[lookup('item', '{id}')])$$);

-- labels that are none
SELECT create_with(NULL);
SELECT create_with('');
SELECT create_with('no_such_table');
SELECT create_with('a.b.c.d');
SELECT create_with('label_idx no query');
SELECT create_with('SELECT 1; SELECT 2');
SELECT create_with('INSERT INTO label VALUES (9) RETURNING *');
SELECT create_with('WITH x AS (DELETE FROM label RETURNING *) SELECT * FROM x');
SELECT create_with('SELECT * FROM label FOR UPDATE');
SELECT create_with('SHOW work_mem');
SELECT create_with('CREATE TABLE x (i int)');
SELECT create_with('SELECT * INTO x FROM label');
SELECT create_with('SELECT * FROM label WHERE item = $1');
SELECT create_with('SELECT 1 / (item - item) AS item, t, hour FROM label');
SELECT count(*) FROM label;

-- columns that are missing, or are not what they must be
SELECT refused($$SELECT create_training_set('made', 'label', 'spec')$$);
SELECT refused($$SELECT create_training_set('made', 'label', 'spec', 'no_such')$$);
SELECT create_with('SELECT t, hour FROM label');
SELECT create_with('SELECT t, item FROM label');
SELECT create_with('SELECT *, 1 AS item FROM label');
SELECT create_with('SELECT 1 AS label_row, * FROM label');
SELECT create_with('SELECT 1 AS price, * FROM label');
SELECT create_with('SELECT item, hour, t AT TIME ZONE ''UTC'' AS t FROM label');
SELECT create_with('SELECT item, hour, t::text FROM label');
SELECT create_with('SELECT item, hour, extract(epoch FROM t) AS t FROM label');
SELECT create_with('SELECT item, hour::bigint, t FROM label');
SELECT create_with('SELECT item, hour::text, t FROM label');
SELECT create_with('SELECT item::text, hour, t FROM label');
SELECT create_with('SELECT 3000000000 AS item, hour, t FROM label');
SELECT create_with('SELECT item, hour, CASE WHEN item = 2 THEN t ELSE ''infinity'' END AS t FROM label');
SELECT create_with('SELECT item, hour, ''-infinity''::date AS t FROM label');
SELECT create_with('SELECT item, hour, t, ROW(1, 2) AS r FROM label');

-- known_at
SELECT create_with('label', ', known_at => ''no_such''');
SELECT create_with('SELECT *, t::date AS known FROM label', ', known_at => ''known''');
SELECT create_with('SELECT *, t AT TIME ZONE ''UTC'' AS known FROM label', ', known_at => ''known''');
SELECT create_with('SELECT *, t AS known FROM label', ', known_at => ''known''');

-- label, exclude_columns
SELECT create_with('label', ', label => ''{no_such}''');
SELECT create_with('label', ', label => ''{price}''');
SELECT create_with('label', ', label => ''{y,y}''');
SELECT create_with('label', ', label => ''{y,NULL}''');
SELECT create_with('label', ', label => ''{y}'', exclude_columns => ''{y}''');
SELECT create_with('label', ', label => ''{item}''');
SELECT create_with('label', ', label => ''{hour}''');
SELECT create_with('label', ', label => ''{t}''');
SELECT create_with('label', ', exclude_columns => ''{no_such}''');
SELECT create_with('label', ', exclude_columns => ''{label_row}''');
SELECT create_with('label', ', exclude_columns => ''{hour,hour}''');
SELECT create_with('label', ', exclude_columns => ''{NULL}''');
SELECT create_with('label', ', exclude_columns => ''{price,weighted}''');
-- an error when it is made
SELECT create_feature_spec('failing', ARRAY[lookup('price', '{item}', '{price}'), expression('1 / (price - price)', 'x')]);
SELECT refused($$SELECT create_training_set('made', 'label', 'failing', 't')$$);
SELECT kind, name FROM objects WHERE name ~ 'made' OR kind = 'lost';

-- the same for rows
SELECT refused($$SELECT training_rows('label')$$);
SELECT refused($$SELECT training_rows('label', 'spec')$$);
SELECT refused($$SELECT training_rows('label', 'spec', 't', cursor => 'a'), training_rows('label', 'spec', 't', cursor => 'a')$$);
SELECT refused($$SELECT training_rows('SELECT *, 1 AS price FROM label', 'spec', 't')$$);
SELECT refused($$SELECT * FROM featurestore._training_rows('spec', 'label', 't') AS t(x int)$$);
SELECT refused($$SELECT featurestore._training_rows('item', 'label', 't')$$);
SELECT refused($$SELECT * FROM featurestore._training_rows_of_items('DELETE FROM item', '{}', 'label', 't') AS t(x int)$$) ~ '42601';
SELECT refused($$SELECT * FROM featurestore._training_rows_of_items('SELECT 1 AS x', '{}', 'label', 't') AS t(x int)$$);

-- and where there is one
SELECT output FROM create_training_set('made', 'label', 'spec', 't', '{y}', '{weighted}');
SELECT refused($$SELECT create_training_set('made', 'label', 'spec', 't', '{y}', '{weighted}')$$);
SELECT refused($$SELECT create_training_set('made_spec', 'label', 'spec', 't')$$);
SELECT refused($$SELECT score_batch(NULL::label, 'label')$$);
SELECT refused($$SELECT score_batch(1, 'label')$$);
SELECT refused($$SELECT score_batch(NULL::made, NULL)$$);
SELECT refused($$SELECT score_batch(NULL::made, 'SELECT item FROM label')$$);
SELECT refused($$SELECT score_batch(NULL::made, 'SELECT *, 1 AS price FROM label')$$);
SELECT refused($$SELECT * FROM score_batch(NULL::made, 'SELECT item, hour, 0.5 AS y FROM label')$$);
SELECT refused($$SELECT score_batch(NULL::made, 'label', 'no_such')$$);
ALTER TABLE made ALTER price TYPE text, ADD COLUMN added int, DROP COLUMN y;
SELECT refused($$SELECT score_batch(NULL::made, 'label', 't')$$);
ALTER TABLE made ALTER price TYPE numeric USING price::numeric;
SELECT * FROM score_batch(NULL::made, 'label', 't');
SELECT refused($$SELECT drop_training_set(NULL)$$);
SELECT refused($$SELECT drop_training_set('label')$$);
SELECT refused($$SELECT training_set_hash('no_such')$$);
SELECT refused($$SELECT featurestore._store_definition('training_set', '{"relation": "made", "frozen_spec": "no_such"}')$$);

-- what is kept does not reach back as far as the labels
CREATE TABLE recent (item int, at timestamptz, amount int);
SELECT register_feature('amount_3d', 'recent', '{item}', 'at', 'sum', 'amount', 'rolling 3d hop 0');
SELECT register_feature('amount_ever', 'recent', '{item}', 'at', 'sum', 'amount');
SELECT materialize_features('{amount_3d}', 'recent_3d', source_retention => '10 days');
SELECT materialize_features('{amount_ever}', 'recent_ever');
SET client_min_messages = notice;
SELECT * FROM create_training_set('reaching', $$SELECT item, now() - n * interval '1 day' AS t, 1 AS hour FROM label, generate_series(0, 9) AS n$$, timestamp_column => 't',
	items => ARRAY[feature('{amount_3d,amount_ever}'), expression('amount_3d + amount_ever', 'total')]);
SET client_min_messages = warning;

--
-- Rights are those of the caller
--
CREATE ROLE regress_trainer;
CREATE ROLE regress_other;
GRANT USAGE ON SCHEMA training_errors TO regress_trainer, regress_other;
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	SET LOCAL ROLE regress_trainer;
	result := training_errors.refused(statement);
	RESET ROLE;
	RETURN result;
END
$$;
SELECT pg_temp.try($$SELECT create_training_set('theirs', 'label', 'spec', 't')$$);
GRANT SELECT (item, ts) ON price TO regress_trainer;
SELECT pg_temp.try($$SELECT create_training_set('theirs', 'label', 'spec', 't')$$);
GRANT SELECT (price) ON price TO regress_trainer;
SELECT pg_temp.try($$SELECT create_training_set('theirs', 'label', 'spec', 't')$$);
GRANT CREATE ON SCHEMA training_errors TO regress_trainer;
SELECT pg_temp.try($$SELECT create_training_set('theirs', 'label', 'spec', 't')$$);
GRANT SELECT ON label TO regress_trainer;
SELECT pg_temp.try($$SELECT create_training_set('theirs', 'label', timestamp_column => 't', items => ARRAY[feature('{events_3d}')])$$);
GRANT SELECT ON events_3d TO regress_trainer;
SET ROLE regress_trainer;
SELECT output FROM create_training_set('theirs', 'label', 'spec', 't');
-- events can be read through the feature, whose owner can read them
SELECT output FROM create_training_set('theirs_of_items', 'label', timestamp_column => 't', items => ARRAY[feature('{events_3d}')]);
RESET ROLE;
SELECT label_row, item, events_3d FROM theirs_of_items;
SELECT training_set, owner = current_user AS is_mine FROM training_sets WHERE training_set IN ('made'::regclass, 'theirs'::regclass) ORDER BY training_set::text COLLATE "C";
SELECT pg_temp.try($$SELECT drop_training_set('made')$$);
SELECT pg_temp.try($$SELECT score_batch(NULL::made, 'label', 't')$$);
SELECT pg_temp.try($$SELECT training_set_hash('made')$$);
-- policies on labels and on what is looked up
GRANT SELECT ON price, label TO regress_other;
GRANT CREATE ON SCHEMA training_errors TO regress_other;
ALTER TABLE label ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON label USING (item = 2 OR current_user <> 'regress_other');
ALTER TABLE price ENABLE ROW LEVEL SECURITY;
CREATE POLICY early ON price USING (ts < '2024-01-05');
SET ROLE regress_other;
SELECT output FROM create_training_set('others', 'label', 'spec', 't');
RESET ROLE;
SELECT label_row, item, price FROM others;
SELECT label_row, item, price FROM score_batch(NULL::others, 'label', 't');
DROP SCHEMA training_errors CASCADE;
DROP ROLE regress_trainer;
DROP ROLE regress_other;
