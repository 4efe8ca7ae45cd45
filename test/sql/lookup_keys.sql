--
-- Keys: how lookup_key binds, types, indexes, the newest row
--
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA lookup_keys;
RESET client_min_messages;
SET search_path = lookup_keys, featurestore;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/sql/include/helpers.sql

-- path and reason, by item
CREATE FUNCTION path(spec text, records jsonb) RETURNS SETOF text LANGUAGE sql AS
	$$ SELECT path || ': ' || reason FROM explain_lookup(spec, records) WHERE relation IS NOT NULL $$;

--
-- Binding
--
CREATE TABLE stock (shop int, item text, at date, n int, PRIMARY KEY (shop, item));
CREATE UNIQUE INDEX stock_at_n ON stock (at, n);
INSERT INTO stock VALUES (1, 'a', '2024-01-01', 10), (1, 'b', '2024-01-01', 20), (2, 'a', '2024-01-02', 30), (2, 'b', NULL, 40);
-- by name, in any order; by order; explicitly; all of them
SELECT create_feature_spec('by_name', ARRAY[lookup('stock', '{item,shop}')]);
SELECT create_feature_spec('by_order', ARRAY[lookup('stock', '{x,y}')]);
SELECT create_feature_spec('by_both', ARRAY[lookup('stock', '{item=y,shop}')]);
SELECT create_feature_spec('by_swap', ARRAY[lookup('stock', '{shop=item,item=shop}', '{n}')]);
SELECT create_feature_spec('by_index', ARRAY[lookup('stock', '{n,at=day}')]);
SELECT * FROM same($$ SELECT * FROM by_name('a', 2) $$);
SELECT * FROM same($$ SELECT * FROM by_order(2, 'a') $$);
SELECT * FROM same($$ SELECT * FROM by_both('a', 2) $$);
SELECT * FROM same($$ SELECT * FROM by_swap(2, 'a') $$);
SELECT * FROM same($$ SELECT * FROM by_index_batch('{30,10,20,40,10}', '{2024-01-02,2024-01-02,2024-01-01,NULL,2024-01-01}') $$);
SELECT * FROM same($$ SELECT * FROM by_name_batch('{b,a,b,NULL,a,c,b}', '{1,1,2,1,NULL,1,1}') $$);
SELECT path('by_name', '{"item": "a", "shop": 1}');
SELECT path('by_index', '{"day": "2024-01-01", "n": 1}');
-- keys of the request that several lookups share; the first to use one says its type
CREATE TABLE small (id int2 PRIMARY KEY, v text);
CREATE TABLE medium (id int4 PRIMARY KEY, v text);
CREATE TABLE large (id int8 PRIMARY KEY, v text);
INSERT INTO small VALUES (1, 's1'), (-32768, 'smin'), (32767, 'smax');
INSERT INTO medium VALUES (1, 'm1'), (-32769, 'm below'), (2147483647, 'mmax'), (-2147483648, 'mmin');
INSERT INTO large VALUES (1, 'l1'), (65537, 'l'), (4294967297, 'l'), (-9223372036854775808, 'lmin'), (9223372036854775807, 'lmax');
SELECT create_feature_spec('wide_first', ARRAY[
	lookup('large', '{id}', rename_outputs => '{"v": "l"}'), lookup('medium', '{id}', rename_outputs => '{"v": "m"}'), lookup('small', '{id}', rename_outputs => '{"v": "s"}')]);
SELECT create_feature_spec('narrow_first', ARRAY[
	lookup('small', '{id}', rename_outputs => '{"v": "s"}'), lookup('medium', '{id}', rename_outputs => '{"v": "m"}'), lookup('large', '{id}', rename_outputs => '{"v": "l"}')]);
-- beyond a column's range there are no rows, rather than those of the remainder
SELECT * FROM same($$ SELECT * FROM wide_first_batch('{1,65537,4294967297,-32768,32767,-32769,2147483647,-2147483648,-9223372036854775808,9223372036854775807}') $$);
SELECT * FROM same($$ SELECT * FROM narrow_first_batch('{1,-32768,32767,2}') $$);
SELECT refused($$ SELECT * FROM narrow_first(32768) $$);
SELECT refused($$ SELECT * FROM feature_lookup(NULL::narrow_first, 32768) $$);

--
-- Types
--
CREATE TYPE color AS ENUM ('red', 'green');
CREATE DOMAIN code AS text CHECK (VALUE <> '');
CREATE TABLE types (
	i int2 UNIQUE, f4 float4 UNIQUE, f8 float8 UNIQUE, num numeric UNIQUE, num2 numeric(6,2) UNIQUE, t text UNIQUE, v varchar(3) UNIQUE, c char(4) UNIQUE, n name UNIQUE,
	b boolean UNIQUE, d date UNIQUE, ts timestamp UNIQUE, tz timestamptz UNIQUE, ti time UNIQUE, iv interval UNIQUE, u uuid UNIQUE, by bytea UNIQUE,
	ip inet UNIQUE, en color UNIQUE, dom code UNIQUE, bits bit(3) UNIQUE, r int4range UNIQUE, j jsonb UNIQUE, ch "char" UNIQUE, o oid UNIQUE, m money UNIQUE, id int PRIMARY KEY);
INSERT INTO types VALUES
	(1, 1.5, 'NaN', 1.0, 2, 'x', 'xyz', 'ab', 'name', true, '2024-01-01', '2024-01-01 00:00', '2024-01-01 00:00+00', '12:00', '1 mon', '00000000-0000-0000-0000-000000000001', '\x00', '10.0.0.1', 'red', 'k', '101', '[1,3)', '{"a": 1}', 'z', 7, 1.5, 1),
	(2, '-0', 'Infinity', 'NaN', 3.14, '', '', '', '', false, 'infinity', '-infinity', 'infinity', '24:00', '0', '00000000-0000-0000-0000-000000000002', '', '::1', 'green', 'l', '000', 'empty', 'null', '', 4294967295, 0, 2);
CREATE FUNCTION by_type(col text, type text, VARIADIC literals text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM create_feature_spec('typed', ARRAY[lookup('types', ARRAY[col], '{id}', '{"id": "found"}')]);
	RETURN QUERY EXECUTE format('SELECT * FROM same($q$ SELECT %L AS type, array_agg(coalesce(found::text, ''-'')) AS found FROM typed_batch(%L::%s[]) $q$)', col, literals, type);
	-- as json where to_jsonb gives what a request takes
	IF col NOT IN ('o', 'm') THEN
		RETURN QUERY EXECUTE format('SELECT ''json '' || array_agg(j->''found'')::text FROM feature_lookup_json(''typed'', (SELECT jsonb_build_object(%L, jsonb_agg(x)) FROM unnest(%L::%s[]) AS x
			WHERE x::text NOT IN (''NaN'', ''Infinity''))) AS j', col, literals, type);
	END IF;
	PERFORM drop_feature_spec('typed');
END $$;
SELECT by_type('i', 'int2', '1', '2', '3', NULL);
SELECT by_type('f4', 'float4', '1.5', '0', '-0', '7');
SELECT by_type('f8', 'float8', 'NaN', 'Infinity', '0');
SELECT by_type('num', 'numeric', '1', '1.0000', 'NaN', '2');
SELECT by_type('num2', 'numeric', '2', '3.140', '3.141', '123456789.123');
SELECT by_type('t', 'text', 'x', '', 'X');
SELECT by_type('v', 'varchar', 'xyz', 'xyz ', '', 'longer than the column');
SELECT by_type('c', 'bpchar', 'ab', 'ab  ', 'ab        ', '', 'longer');
SELECT by_type('n', 'name', 'name', '', 'x');
SELECT by_type('b', 'boolean', 't', 'f');
SELECT by_type('d', 'date', '2024-01-01', 'infinity', '2024-01-02');
SELECT by_type('ts', 'timestamp', '2024-01-01', '-infinity', 'infinity');
SELECT by_type('tz', 'timestamptz', '2024-01-01 01:00+01', 'infinity', '2024-01-01 00:00+01');
SELECT by_type('ti', 'time', '12:00', '24:00', '00:00');
SELECT by_type('iv', 'interval', '30 days', '1 mon', '720 hours', '0', '1 day -24 hours');
SELECT by_type('u', 'uuid', '00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000003');
SELECT by_type('by', 'bytea', '\x00', '', '\x01');
SELECT by_type('ip', 'inet', '10.0.0.1', '::1', '10.0.0.1/24');
SELECT by_type('en', 'color', 'green', 'red');
SELECT by_type('dom', 'code', 'k', 'l', 'm');
SELECT by_type('bits', '"bit"', '101', '000', '1010');
SELECT by_type('r', 'int4range', '[1,2]', '(5,5)', '[1,9)');
SELECT by_type('j', 'jsonb', '{"a":1.0}', 'null', '[]');
SELECT by_type('ch', '"char"', 'z', '', 'y');
SELECT by_type('o', 'oid', '7', '4294967295', '8');
SELECT by_type('m', 'money', '1.5', '0', '2');
-- text given as varchar and the other way round, through outputs
CREATE TABLE refs (id int PRIMARY KEY, t varchar(5), v text, num numeric(4,1), dom text);
INSERT INTO refs VALUES (1, 'x', 'xyz', 1, 'k'), (2, NULL, 'far too long', 3.1, '');
SELECT create_feature_spec('crossed', ARRAY[lookup('refs', '{id}', rename_outputs => '{"t": "ref_t", "v": "ref_v", "num": "ref_num", "dom": "ref_dom"}'),
	lookup('types', '{t=ref_t}', '{id}', '{"id": "by_t"}'), lookup('types', '{v=ref_v}', '{id}', '{"id": "by_v"}'),
	lookup('types', '{num=ref_num}', '{id}', '{"id": "by_num"}'), lookup('types', '{dom=ref_dom}', '{id}', '{"id": "by_dom"}')]);
SELECT * FROM same($$ SELECT * FROM crossed_batch('{1,2,3}') $$);
-- long keys, compressed and out of line
CREATE TABLE long_keys (k text PRIMARY KEY, v int);
INSERT INTO long_keys VALUES (repeat('a', 2500), 1), (repeat('b', 2500), 2);
CREATE TABLE long_refs (id int PRIMARY KEY, k text, k2 text);
ALTER TABLE long_refs ALTER k SET STORAGE EXTERNAL;
INSERT INTO long_refs VALUES (1, repeat('a', 2500), repeat('b', 2500)), (2, repeat('b', 2500), NULL), (3, repeat('c', 200000), repeat('c', 200000));
SELECT create_feature_spec('long', ARRAY[lookup('long_refs', '{id}'), lookup('long_keys', '{k}'), lookup('long_keys', '{k=k2}', rename_outputs => '{"v": "v2"}')], '{k,k2}');
SELECT * FROM same($$ SELECT * FROM long_batch('{1,2,3,1,4}') $$);

--
-- Indexes
--
CREATE TABLE indexed (id int, v int);
INSERT INTO indexed VALUES (1, 10), (2, 20), (NULL, 30), (NULL, 40);
CREATE FUNCTION with_index(definition text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format(definition, 'an_index', 'indexed');
	BEGIN
		PERFORM create_feature_spec('by_id', ARRAY[lookup('indexed', '{id}', '{v}')]);
		RETURN QUERY SELECT path('by_id', jsonb_build_object('id', CASE WHEN (SELECT atttypid = 'text'::regtype FROM pg_attribute WHERE attrelid = 'indexed'::regclass AND attname = 'id') THEN '"1"'::jsonb ELSE '1' END));
		RETURN QUERY SELECT same($q$ SELECT string_agg(coalesce(v::text, '-'), ' ') FROM by_id_batch('{2,1,NULL,7}') $q$);
		RAISE 'undo';
	EXCEPTION WHEN object_not_in_prerequisite_state THEN
		RETURN NEXT 'refused: ' || SQLERRM;
	WHEN raise_exception THEN
		NULL;
	END;
	ALTER TABLE indexed DROP CONSTRAINT IF EXISTS an_index;
	DROP INDEX IF EXISTS an_index;
END $$;
SET client_min_messages = warning;
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id)');
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id DESC NULLS LAST)');
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id) INCLUDE (v)');
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id) WITH (fillfactor = 50)');
SELECT with_index('ALTER TABLE %2$I ADD CONSTRAINT %1$I UNIQUE (id)');
SELECT with_index('ALTER TABLE %2$I ADD CONSTRAINT %1$I UNIQUE (id) INCLUDE (v)');
SELECT with_index('ALTER TABLE %2$I ADD CONSTRAINT %1$I UNIQUE (id) DEFERRABLE');
SELECT with_index('CREATE INDEX %I ON %I (id)');
SELECT with_index('CREATE INDEX %I ON %I USING hash (id)');
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id) WHERE id > 0');
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (abs(id))');
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id, abs(id))');
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id, v)');
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (v, id)');
SELECT with_index('CREATE INDEX %I ON %I (v) INCLUDE (id)');
SELECT with_index('ALTER TABLE %2$I ADD CONSTRAINT %1$I EXCLUDE (id WITH =)');
DELETE FROM indexed WHERE v = 40;
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id) NULLS NOT DISTINCT');
-- operator classes and collations of their own
ALTER TABLE indexed ALTER id TYPE text COLLATE "C";
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id)');
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id text_pattern_ops)');
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id COLLATE "POSIX")');
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id COLLATE "C" DESC)');
CREATE OPERATOR CLASS backwards FOR TYPE int4 USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 btint4cmp(int4, int4);
CREATE FUNCTION same_parity(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT RETURN $1 % 2 = $2 % 2;
CREATE OPERATOR ==== (FUNCTION = same_parity, LEFTARG = int, RIGHTARG = int);
CREATE FUNCTION parity_cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE STRICT RETURN abs($1) % 2 - abs($2) % 2;
CREATE OPERATOR CLASS by_parity FOR TYPE int4 USING btree AS OPERATOR 3 ====, FUNCTION 1 parity_cmp(int4, int4);
ALTER TABLE indexed ALTER id TYPE int USING id::int;
SELECT with_index('CREATE UNIQUE INDEX %I ON %I (id by_parity)');
RESET client_min_messages;
-- of several indexes, one over just the key is taken, if it can be probed or not
CREATE TABLE several (id int, at timestamptz, v int);
CREATE UNIQUE INDEX several_by_time ON several (id, at);
INSERT INTO several VALUES (1, '2024-01-01', 1), (2, '2024-01-02', 2);
SELECT create_feature_spec('several_spec', ARRAY[lookup('several', '{id}', '{v}')]);
SELECT path('several_spec', '{"id": 1}');
CREATE UNIQUE INDEX several_by_id ON several (id);
SELECT path('several_spec', '{"id": 1}');
DROP INDEX several_by_id;
SELECT path('several_spec', '{"id": 1}');
SELECT * FROM same($$ SELECT * FROM several_spec_batch('{1,2,3}') $$);
-- switched off, and by whom
SET featurestore.enable_direct_lookup = off;
SELECT path('several_spec', '{"id": 1}');
RESET featurestore.enable_direct_lookup;

--
-- The newest row
--
CREATE TABLE readings (sensor int, place text, at timestamptz, seq int, value float8, PRIMARY KEY (sensor, place, at));
INSERT INTO readings VALUES
	(1, 'in', '2024-01-01', 1, 10), (1, 'in', '2024-01-02', 2, 20), (1, 'in', '2024-01-03', 1, 30), (1, 'out', '2024-01-02', 1, 99),
	(2, 'in', '-infinity', 1, -1), (3, 'in', 'infinity', 1, 1e9), (4, 'in', '2024-01-02 00:00:00.000001', 1, 5);
SELECT create_feature_spec('newest', ARRAY[lookup('readings', '{place,sensor}', '{value}')], with_status => true);
SELECT path('newest', '{"sensor": 1, "place": "in"}');
SELECT * FROM same($$ SELECT * FROM newest_batch('{in}', '{1,2,3,4,5,NULL}', '2023-12-31 23:59:59.999999') $$);
SELECT * FROM same($$ SELECT * FROM newest_batch('{in}', '{1,2,3,4,5,NULL}', '2024-01-01') $$);
SELECT * FROM same($$ SELECT * FROM newest_batch('{in}', '{1,2,3,4,5,NULL}', '2024-01-02') $$);
SELECT * FROM same($$ SELECT * FROM newest_batch('{in,out}', '{1,1}', '2024-01-02 23:59:59.999999') $$);
SELECT * FROM same($$ SELECT * FROM newest_batch('{in}', '{1,2,3,4,5,NULL}') $$);
SELECT * FROM same($$ SELECT * FROM newest_batch('{in}', '{1,2,3,4,5,NULL}', 'infinity') $$);
SELECT * FROM same($$ SELECT * FROM newest_batch('{in}', '{1,2,3,4,5,NULL}', '-infinity') $$);
-- the whole key, and the time as an output
SELECT create_feature_spec('exact', ARRAY[lookup('readings', '{sensor,place,at}', '{value}'), lookup('readings', '{sensor,place}', '{at,seq}', '{"at": "last"}')], with_status => true);
SELECT * FROM same($$ SELECT * FROM exact_batch('{1,1,3}', '{in}', '{2024-01-02,2024-01-02 12:00,infinity}') $$);
-- indexes in all directions, with ties that later columns break
CREATE TABLE windows (id int, at timestamptz, tie int, tie2 text COLLATE "C", v text);
INSERT INTO windows SELECT n % 3, '2024-01-01'::timestamptz + (n / 12) * interval '1 day', nullif(n / 6 % 2, 0), chr(65 + n / 3 % 2), format('%s/%s/%s', n / 12, n / 6 % 2, chr(65 + n / 3 % 2)) FROM generate_series(0, 35) AS n;
CREATE FUNCTION newest_with(index_columns text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE UNIQUE INDEX windows_index ON windows (%s)', index_columns);
	BEGIN
		PERFORM create_feature_spec('tied', ARRAY[lookup('windows', '{id}', '{v}')]);
		RETURN QUERY SELECT path('tied', '{"id": 1}');
		RETURN QUERY SELECT same($q$ SELECT (SELECT v FROM tied(0)), (SELECT v FROM tied(1, '2024-01-02')), (SELECT v FROM tied(2, '2024-01-01 12:00')), (SELECT v FROM tied(2, '2023-12-31')) $q$);
		RAISE 'undo';
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END;
	DROP INDEX windows_index;
END $$;
SELECT newest_with('id, at, tie, tie2');
SELECT newest_with('id, at DESC, tie DESC, tie2 DESC');
SELECT newest_with('id DESC, at, tie, tie2');
SELECT newest_with('id DESC NULLS LAST, at DESC NULLS LAST, tie DESC, tie2 DESC');
SELECT newest_with('id, at NULLS FIRST, tie, tie2');
SELECT newest_with('id, at, tie DESC, tie2');
SELECT newest_with('id, at DESC, tie, tie2');
SELECT newest_with('id, at, tie NULLS FIRST, tie2');
SELECT newest_with('id, at, tie, tie2 DESC');
SELECT newest_with('id, at, tie, tie2 COLLATE "POSIX"');
SELECT newest_with('id, at, tie, tie2 text_pattern_ops');
SELECT newest_with('id, at, tie backwards, tie2');
-- no time is never the newest
INSERT INTO windows VALUES (1, NULL, 1, 'Z', 'timeless'), (7, NULL, 1, 'Z', 'timeless');
SELECT newest_with('id, at, tie, tie2');
SELECT newest_with('id, at DESC, tie DESC, tie2 DESC');
-- dates: a row counts from midnight UTC, whatever the session's zone
CREATE TABLE days (id text, day date, v int, PRIMARY KEY (id, day));
INSERT INTO days VALUES ('a', '2024-01-01', 1), ('a', '2024-01-02', 2), ('b', '-infinity', 3), ('c', 'infinity', 4), ('d', '4714-11-24 BC', 5), ('e', '1999-12-31', 6);
SELECT create_feature_spec('daily', ARRAY[lookup('days', '{id}')], with_status => true);
SELECT path('daily', '{"id": "a"}');
SELECT * FROM same($$ SELECT * FROM daily_batch('{a,b,c,d,e}', '2024-01-01 23:59:59.999999+00') $$);
SELECT * FROM same($$ SELECT * FROM daily_batch('{a,b,c,d,e}', '2024-01-02 00:00+00') $$);
SELECT * FROM same($$ SELECT * FROM daily_batch('{a,b,c,d,e}', '1999-12-31 23:59:59.999999+00') $$);
SELECT * FROM same($$ SELECT * FROM daily_batch('{a,b,c,d,e}', '1999-12-30 23:59:59.999999+00') $$);
SELECT * FROM same($$ SELECT * FROM daily_batch('{a,b,c,d,e}', 'infinity') $$);
SELECT * FROM same($$ SELECT * FROM daily_batch('{a,b,c,d,e}', '-infinity') $$);
SET TimeZone = 'Asia/Tokyo';
SELECT * FROM same($$ SELECT * FROM daily_batch('{a}', '2024-01-02 08:59:59+09') $$);
SELECT * FROM same($$ SELECT * FROM daily_batch('{a}', '2024-01-02 09:00+09') $$);
SET TimeZone = 'UTC';

--
-- Integers wider than the column, also where that is a domain: out of range is no row, not another
--
CREATE DOMAIN small_int AS int2;
CREATE DOMAIN whole AS int4 CHECK (VALUE <> 13);
CREATE DOMAIN wide AS int8;
CREATE TABLE ranged (s small_int UNIQUE, w whole UNIQUE, i2 int2 UNIQUE, i4 int4 UNIQUE, v int);
INSERT INTO ranged VALUES (1, 1, 1, 1, 100), (-1, -1, -1, -1, 200);
SELECT create_feature_spec('ranged_' || k || '_' || t, ARRAY[request_field('k', t::regtype), lookup('ranged', ARRAY[k || '=k'], '{v}')])
FROM unnest('{s,w,i2,i4}'::text[]) AS k, unnest('{int8,wide}'::text[]) AS t;
SELECT spec, r FROM unnest('{ranged_s_int8,ranged_w_int8,ranged_i2_int8,ranged_i4_int8,ranged_s_wide,ranged_w_wide,ranged_i2_wide,ranged_i4_wide}'::text[]) AS spec,
	LATERAL (SELECT string_agg(x, ' ') AS r FROM same(format('SELECT v FROM %s_batch(%L)', spec, '{1,-1,4294967297,4294967295,-4294967295,65537,65535,9223372036854775807,-9223372036854775808}')) AS x) AS q;

SET client_min_messages = warning;
DROP SCHEMA lookup_keys CASCADE;
