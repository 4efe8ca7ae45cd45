--
-- Direct probes, the path through SQL and plain SQL give the same rows, to the bit and in the same order
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA differential;
SET search_path = differential;
SET TimeZone = 'UTC';
-- compiling the plain SQL takes longer than running it
SET jit = off;
\pset format unaligned
SELECT setseed(0.25);

-- Without ICU the collations are not what their names say, and the output is the same
SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') AS has_icu \gset
\if :has_icu
CREATE COLLATION linguistic (provider = icu, locale = 'und');
CREATE COLLATION insensitive (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
\else
CREATE COLLATION linguistic FROM "C";
CREATE COLLATION insensitive FROM "C";
\endif

--
-- What is compared: a spec, its arguments, and plain SQL that gives the spec's
-- rows as r for request (n, arguments) at $T.  Requests are drawn from the
-- table p_NAME (i, arguments).
--
CREATE TABLE kase (
	id serial, name text PRIMARY KEY, keys text[], oracle text,
	times text[], sizes int[] DEFAULT '{0,1,2,3000}', is_json boolean DEFAULT true
);
CREATE SEQUENCE turn;
CREATE TABLE outcome (id serial, name text, compared int, rows bigint, wrong int, example text);

-- images of the rows of a query, wide ones hashed
CREATE FUNCTION images(query text) RETURNS bytea[] LANGUAGE plpgsql AS $$
DECLARE
	result bytea[];
BEGIN
	EXECUTE format('SELECT coalesce(array_agg(CASE WHEN octet_length(image) > 200 THEN sha256(image) ELSE image END), ''{}'')
		FROM (SELECT record_send(r) AS image FROM (%s) AS x OFFSET 0) AS y', query) INTO result;
	RETURN result;
END
$$;

-- an expression's value as a literal, for a plan in which the call is inlined and its arguments constant
CREATE FUNCTION literal(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT format(''%%L::%%s'', x, format_type(pg_typeof(x), -1)) FROM (SELECT %s AS x) AS y', expression) INTO result;
	RETURN result;
END
$$;

-- the queries that ask for what is in the table request, each in another way
CREATE FUNCTION ways(k kase, size int, as_of text, broadcast text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	spec text := 's_' || k.name;
	arrays text[];
	generic text[];
	scalars text := (SELECT string_agg(format('q.%I', key), ', ' ORDER BY n) FROM unnest(k.keys) WITH ORDINALITY AS x(key, n));
	records text := (SELECT string_agg(CASE WHEN key = ANY (broadcast) THEN format('%L, (SELECT %1$I FROM one)', key)
		ELSE format('%L, (SELECT coalesce(jsonb_agg(%1$I ORDER BY n), ''[]'') FROM request)', key) END, ', ') FROM unnest(k.keys) AS key);
	key text;
BEGIN
	FOREACH key IN ARRAY k.keys LOOP
		IF key = ANY (broadcast) THEN
			arrays := arrays || format('ARRAY(SELECT %I FROM one)', key);
			generic := generic || format('(SELECT %I FROM one)', key);
		ELSE
			arrays := arrays || format('ARRAY(SELECT %I FROM request ORDER BY n)', key);
			generic := generic || format('ARRAY(SELECT %I FROM request ORDER BY n)', key);
		END IF;
	END LOOP;
	IF size <= 2 THEN
		arrays := ARRAY(SELECT literal(a) FROM unnest(arrays) WITH ORDINALITY AS x(a, n) ORDER BY n);
		RETURN NEXT format('SELECT r FROM (SELECT * FROM request ORDER BY n) AS q, LATERAL %s(%s, as_of => %L) AS r', spec, scalars, as_of);
	END IF;
	RETURN NEXT format('SELECT r FROM %s_batch(%s, as_of => %L) AS r', spec, array_to_string(arrays, ', '), as_of);
	IF as_of IS NULL THEN
		RETURN NEXT format('SELECT r FROM featurestore.feature_lookup(NULL::%s, %s) AS r', spec, array_to_string(generic, ', '));
	END IF;
	IF k.is_json AND size <= 60 THEN
		RETURN NEXT format('SELECT ROW(r) AS r FROM featurestore.feature_lookup_json(%L, jsonb_build_object(%s), %L) AS r', spec, records, as_of);
		RETURN NEXT format('SELECT ROW(r) AS r FROM featurestore.feature_lookup_json(%L,
			(SELECT coalesce(jsonb_agg(to_jsonb(q) - ''n'' ORDER BY n), ''[]'') FROM request q), %L) AS r', spec, as_of);
	END IF;
END
$$;

-- asks in every way, by both paths; adds to the last outcome
CREATE FUNCTION compare(k kase, size int, as_of text, broadcast text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	plain text := replace(k.oracle, '$T', coalesce(quote_literal(as_of) || '::timestamptz', 'statement_timestamp()'));
	expected bytea[] := images(plain);
	expected_json bytea[] := CASE WHEN k.is_json AND size <= 60 THEN images(format('SELECT ROW(to_jsonb(r)) AS r FROM (%s) AS x', plain)) END;
	got bytea[];
	query text;
	direct text;
	is_wrong boolean;
BEGIN
	IF cardinality(expected) <> size THEN
		RAISE 'plain SQL for % gives % rows for %', k.name, cardinality(expected), size;
	END IF;
	FOR query IN SELECT * FROM ways(k, size, as_of, broadcast) LOOP
		FOREACH direct IN ARRAY ARRAY['on', 'off'] LOOP
			PERFORM set_config('featurestore.enable_direct_lookup', direct, true);
			-- each as a scan and as a function, by turns
			PERFORM set_config('featurestore.enable_lookup_scan', (nextval('turn') / 2 % 2 = 0)::text, true);
			got := images(query);
			is_wrong := got IS DISTINCT FROM CASE WHEN query ~ '^SELECT ROW' THEN expected_json ELSE expected END;
			UPDATE outcome SET compared = compared + 1, rows = rows + size, wrong = wrong + is_wrong::int,
				example = CASE WHEN is_wrong THEN coalesce(example, format('direct %s, %s rows, row %s: %s <> %s', direct, size,
					(SELECT min(n) FROM generate_series(1, size) AS n WHERE got[n] IS DISTINCT FROM expected[n]), query, plain)) ELSE example END
			WHERE id = (SELECT max(id) FROM outcome);
		END LOOP;
	END LOOP;
	PERFORM set_config('featurestore.enable_direct_lookup', 'on', true);
	PERFORM set_config('featurestore.enable_lookup_scan', 'on', true);
END
$$;

-- draws a request, in random order or that of the pool, and compares
CREATE FUNCTION compare_random(k kase, size int, as_of text, broadcast text[] DEFAULT '{}', is_sorted boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	pool text := 'p_' || k.name;
	columns text := (SELECT string_agg(CASE WHEN key = ANY (broadcast) THEN 'one.' ELSE 'p.' END || quote_ident(key), ', ' ORDER BY n)
		FROM unnest(k.keys) WITH ORDINALITY AS x(key, n));
BEGIN
	DELETE FROM request;
	DELETE FROM one;
	EXECUTE format('INSERT INTO one SELECT %s FROM %s AS p ORDER BY random() LIMIT 1', (SELECT string_agg(quote_ident(key), ', ' ORDER BY n)
		FROM unnest(k.keys) WITH ORDINALITY AS x(key, n)), pool);
	EXECUTE format('WITH drawn AS MATERIALIZED (SELECT n, 1 + floor(random() * (SELECT count(*) FROM %s))::int AS i FROM generate_series(1, %s) AS n)
		INSERT INTO request SELECT row_number() OVER (ORDER BY %s), %s FROM drawn JOIN %1$s AS p USING (i), one',
		pool, size, CASE WHEN is_sorted THEN 'i' ELSE 'n' END, columns);
	PERFORM compare(k, size, as_of, broadcast);
END
$$;

-- all that is done with one kase; briefly in later rounds
CREATE FUNCTION check_kase(k kase, is_brief boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	as_of text;
	size int;
	many int := least(400, (SELECT max(s) FROM unnest(k.sizes) AS s));
BEGIN
	INSERT INTO outcome (name, compared, rows, wrong) VALUES (k.name, 0, 0, 0);
	EXECUTE format('CREATE TEMP TABLE request AS SELECT 0::bigint AS n, %s FROM p_%s LIMIT 0',
		(SELECT string_agg(quote_ident(key), ', ' ORDER BY n) FROM unnest(k.keys) WITH ORDINALITY AS x(key, n)), k.name);
	CREATE TEMP TABLE one AS SELECT * FROM request;
	ALTER TABLE one DROP n;
	FOR as_of IN SELECT t FROM unnest(coalesce(k.times, ARRAY[NULL])) WITH ORDINALITY AS x(t, n) ORDER BY CASE WHEN is_brief THEN random() END, n LIMIT CASE WHEN is_brief THEN 2 END LOOP
		FOREACH size IN ARRAY CASE WHEN is_brief THEN ARRAY[2, many / 2] ELSE k.sizes END LOOP
			CONTINUE WHEN size > 1000 AND as_of IS DISTINCT FROM k.times[1];
			PERFORM compare_random(k, size, as_of);
		END LOOP;
	END LOOP;
	IF NOT is_brief THEN
		PERFORM compare_random(k, many, k.times[1], is_sorted => true);
		PERFORM compare_random(k, least(50, many), k.times[1]);
		-- one-element arrays and single values serve all rows
		FOR mask IN 1 .. (1 << cardinality(k.keys)) - 2 LOOP
			FOREACH size IN ARRAY '{0,2,150}'::int[] LOOP
				PERFORM compare_random(k, size, k.times[1], ARRAY(SELECT key FROM unnest(k.keys) WITH ORDINALITY AS x(key, n) WHERE mask >> (n::int - 1) & 1 = 1));
			END LOOP;
		END LOOP;
	END IF;
	DROP TABLE request, one;
END
$$;

CREATE FUNCTION check_kases(is_brief boolean DEFAULT false, pattern text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	k kase;
BEGIN
	FOR k IN SELECT * FROM kase WHERE name ~ pattern ORDER BY id LOOP
		PERFORM check_kase(k, is_brief);
	END LOOP;
END
$$;

-- how a kase is looked up, and why
CREATE FUNCTION path(k kase) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(', ', e.path, e.reason), '; ')
	FROM featurestore.explain_lookup('s_' || k.name, (SELECT jsonb_object_agg(key, NULL) FROM unnest(k.keys) AS key)) AS e
$$;

--
-- One key, of every type.  Rows have a dropped column before and added ones behind.
--
CREATE FUNCTION make_simple(name text, type text, pool_type text, pool text, is_json boolean DEFAULT true) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE p_%s (i serial, k %s)', name, pool_type);
	EXECUTE format('INSERT INTO p_%s (k) SELECT k FROM (%s) AS x(k) WHERE k IS NOT NULL', name, pool);
	EXECUTE format('INSERT INTO p_%s (k) VALUES (NULL)', name);
	EXECUTE format('CREATE TABLE t_%s (gone text DEFAULT ''gone'', k %s, a int, b float8, c numeric, d text, e int[], PRIMARY KEY (k)) WITH (fillfactor = 70)', name, type);
	PERFORM fill_simple(name, type, 0.75);
	EXECUTE format('ALTER TABLE t_%s DROP gone, ADD f text DEFAULT ''added'', ADD g numeric DEFAULT 1.50', name);
	EXECUTE format('CREATE INDEX ON t_%s (c)', name);
	PERFORM fill_simple(name, type, 0.5);
	PERFORM featurestore.create_feature_spec('s_' || name, ARRAY[featurestore.lookup(('t_' || name)::regclass, '{k}', default_values => '{"a": -1, "d": "none", "c": 0.00}')]);
	INSERT INTO kase (name, keys, oracle, is_json) VALUES (name, '{k}', format('SELECT ROW(q.k, CASE WHEN t.tableoid IS NULL THEN -1 ELSE t.a END, t.b,
		CASE WHEN t.tableoid IS NULL THEN 0.00 ELSE t.c END, CASE WHEN t.tableoid IS NULL THEN ''none'' ELSE t.d END, t.e, t.f, t.g)::s_%1$s AS r
		FROM request AS q LEFT JOIN t_%1$s AS t ON t.k = q.k ORDER BY q.n', name), is_json);
END
$$;

-- inserts rows for a part of the pool
CREATE FUNCTION fill_simple(name text, type text, part float8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO t_%s (k, a, b, c, d, e) SELECT k::%s, nullif(i %% 10, 0),
		CASE i %% 7 WHEN 0 THEN ''NaN'' WHEN 1 THEN ''-0'' WHEN 2 THEN NULL ELSE random() * 1e6 - 5e5 END,
		CASE i %% 6 WHEN 0 THEN ''NaN'' WHEN 1 THEN NULL ELSE round((random() * 1000)::numeric, i %% 4) END,
		CASE WHEN i %% 5 > 0 THEN repeat(md5(random()::text), i %% 5) END, CASE WHEN i %% 3 > 0 THEN ARRAY[i, NULL, -i] END
		FROM p_%1$s WHERE k IS NOT NULL AND random() < %3$s ON CONFLICT DO NOTHING', name, regexp_replace(type, ' COLLATE.*', ''), part);
END
$$;

-- changes rows within their page and across, deletes some, gives some another key, inserts some
CREATE FUNCTION change_simple(name text, type text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t text := 't_' || name;
BEGIN
	EXECUTE format('UPDATE %s SET a = a + 1, b = -b WHERE random() < 0.3', t);
	EXECUTE format('UPDATE %s SET c = c + 1, d = d || ''.'' WHERE random() < 0.1', t);
	EXECUTE format('DELETE FROM %s WHERE random() < 0.1', t);
	EXECUTE format('UPDATE %s AS t SET k = p.k::%s FROM (SELECT k FROM p_%s WHERE k IS NOT NULL ORDER BY random() LIMIT 10) AS p
		WHERE t.ctid = (SELECT min(ctid) FROM %1$s AS o WHERE o.a = 5) AND NOT EXISTS (SELECT FROM %1$s AS o WHERE o.k = p.k::%2$s)', t, regexp_replace(type, ' COLLATE.*', ''), name);
	PERFORM fill_simple(name, type, 0.1);
END
$$;

CREATE TYPE color AS ENUM ('red', 'green', 'blue', 'x', 'y', 'z', '');
ALTER TYPE color ADD VALUE 'first' BEFORE 'red';
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN money2 AS numeric(8, 2);
CREATE DOMAIN code AS text COLLATE "C" CHECK (VALUE <> 'never');
CREATE TABLE simple (id serial, name text, type text, pool_type text, pool text, is_json boolean DEFAULT true);
INSERT INTO simple (name, type, pool_type, pool) VALUES
	('int2', 'int2', 'int2', 'SELECT (n * 163 - 32768) FROM generate_series(0, 402) n'),
	('int4', 'int4', 'int4', 'SELECT (n * 1000003::bigint - 500000000) FROM generate_series(1, 700) n UNION VALUES (-2147483648), (2147483647)'),
	('int8', 'int8', 'int8', 'SELECT (n - 300) * 10000000000007 FROM generate_series(1, 600) n'),
	('text', 'text', 'text', 'SELECT CASE WHEN n % 50 = 0 THEN repeat(''long'', 1500) || n ELSE repeat(''é'', n % 30) || ''key '' || n END FROM generate_series(1, 500) n UNION VALUES ('''')'),
	('linguistic', 'text COLLATE linguistic', 'text COLLATE linguistic', 'SELECT chr(64 + n % 60) || chr(220 + n % 30) || n % 37 FROM generate_series(1, 900) n UNION VALUES ('''')'),
	('insensitive', 'text COLLATE insensitive', 'text COLLATE insensitive', 'SELECT DISTINCT chr(65 + n % 60) || chr(220 + n % 30) || n % 7 FROM generate_series(1, 900) n'),
	('c', 'text COLLATE "C"', 'text COLLATE "C"', 'SELECT chr(64 + n % 60) || chr(220 + n % 30) || n % 37 FROM generate_series(1, 900) n'),
	('varchar', 'varchar(8)', 'varchar', 'SELECT n || repeat(''v'', n % 8) FROM generate_series(1, 400) n'),
	('bpchar', 'char(8)', 'bpchar', 'SELECT (n || repeat(''v'', n % 8) || repeat('' '', n / 7 % 5))::bpchar FROM generate_series(1, 400) n UNION ALL SELECT n::text FROM generate_series(1, 300) n UNION ALL VALUES ('''')'),
	('uuid', 'uuid', 'uuid', 'SELECT md5(n::text)::uuid FROM generate_series(1, 400) n'),
	('numeric', 'numeric', 'numeric', 'SELECT n / 8.0 FROM generate_series(-200, 200) n UNION ALL SELECT round(n / 8.0, n % 6) FROM generate_series(1, 200) n UNION ALL SELECT 10 ^ n + n FROM generate_series(1, 40) n'),
	('numeric_typmod', 'numeric(6,2)', 'numeric', 'SELECT n / 200.0 FROM generate_series(-300, 300) n'),
	('date', 'date', 'date', 'SELECT date ''1999-06-01'' + n FROM generate_series(1, 400) n UNION VALUES (date ''infinity''), (''-infinity'')'),
	('timestamptz', 'timestamptz', 'timestamptz', 'SELECT timestamptz ''1999-12-01'' + n * interval ''31 hours 0.123456 seconds'' FROM generate_series(1, 400) n UNION VALUES (timestamptz ''infinity''), (''-infinity'')'),
	('timestamp', 'timestamp(0)', 'timestamp', 'SELECT timestamp ''1999-12-01'' + n * interval ''0.25 seconds'' FROM generate_series(1, 400) n'),
	('time', 'time', 'time', 'SELECT time ''00:00'' + n * interval ''7 minutes'' FROM generate_series(0, 200) n UNION VALUES (time ''24:00'')'),
	('interval', 'interval', 'interval', 'SELECT n * interval ''6 hours'' FROM generate_series(-100, 200) n UNION ALL SELECT n * interval ''1 day'' FROM generate_series(1, 60) n UNION ALL SELECT n * interval ''1 month'' FROM generate_series(-2, 2) n'),
	('bool', 'bool', 'bool', 'VALUES (true), (false)'),
	('enum', 'color', 'color', 'SELECT unnest(enum_range(NULL::color))'),
	('char', '"char"', '"char"', 'SELECT chr(n)::"char" FROM generate_series(1, 126) n'),
	('name', 'name', 'name', 'SELECT (''name '' || n || repeat(''é'', n % 30))::name FROM generate_series(1, 300) n'),
	('bytea', 'bytea', 'bytea', 'SELECT decode(repeat(to_hex(n + 256), 1 + n % 40 * 2) || ''00'', ''hex'') FROM generate_series(16, 400) n WHERE length(to_hex(n + 256)) % 2 = 1 AND false UNION SELECT sha256(n::text::bytea) || repeat(''x'', n % 9)::bytea FROM generate_series(1, 300) n UNION VALUES (''''::bytea), (''\x00'')'),
	('inet', 'inet', 'inet', 'SELECT inet ''10.0.0.0'' + n * 77 FROM generate_series(1, 200) n UNION ALL SELECT set_masklen(inet ''10.0.0.0'' + n * 77, 24) FROM generate_series(1, 200) n UNION ALL SELECT inet ''fe80::'' + n FROM generate_series(1, 50) n'),
	('cidr', 'cidr', 'cidr', 'SELECT network(set_masklen(inet ''10.0.0.0'' + n * 7777, 8 + n % 25))::cidr FROM generate_series(1, 200) n'),
	('macaddr', 'macaddr', 'macaddr', 'SELECT (substr(md5(n::text), 1, 12))::macaddr FROM generate_series(1, 200) n'),
	('varbit', 'varbit(20)', 'varbit', 'SELECT (n::bit(24)::text)::varbit FROM generate_series(1, 200) n UNION SELECT substr(n::bit(24)::text, n % 20)::varbit FROM generate_series(1, 300) n'),
	('int4range', 'int4range', 'int4range', 'SELECT int4range(n % 20, n % 20 + n % 13) FROM generate_series(1, 400) n UNION SELECT int4range(n, NULL, ''(]'') FROM generate_series(1, 10) n'),
	('jsonb', 'jsonb', 'jsonb', 'SELECT jsonb_build_object(''n'', n % 50, ''m'', to_char(n / 50, ''0'')) FROM generate_series(1, 250) n UNION VALUES (jsonb ''1.0''), (''1.00''), (''[]''), (''{}''), (''"a"'')'),
	('positive', 'positive', 'positive', 'SELECT n * 3 FROM generate_series(1, 400) n'),
	('money2', 'money2', 'money2', 'SELECT n / 200.0 FROM generate_series(-300, 300) n'),
	('code', 'code', 'code', 'SELECT md5(n::text) FROM generate_series(1, 400) n');
INSERT INTO simple (name, type, pool_type, pool, is_json) VALUES
	('insensitive_case', 'text COLLATE insensitive', 'text COLLATE insensitive', 'SELECT x FROM generate_series(1, 300) n, LATERAL (VALUES (''key'' || n), (''KEY'' || n), (''Key'' || n)) AS v(x)', true),
	('numeric_special', 'numeric', 'numeric', 'VALUES (''NaN''::numeric), (''Infinity''), (''-Infinity''), (0), (0.000), (''-0''), (1), (1.0), (1.000000000000000000000000000000), (1e300), (1e-300)', false),
	('oid', 'oid', 'oid', 'SELECT (n * 14000000::bigint)::oid FROM generate_series(1, 300) n', false),
	('float4', 'float4', 'float4', 'VALUES (''NaN''::float4), (''Infinity''), (''-Infinity''), (0), (''-0''), (1e-45), (3e38), (0.1), (0.2), (-0.2)', false),
	('float8', 'float8', 'float8', 'SELECT unnest(ARRAY[''NaN'', ''Infinity'', ''-Infinity'', 0, ''-0'', 5e-324, 1e308]::float8[]) UNION ALL SELECT n / 10.0::float8 FROM generate_series(-100, 100) n', false);

SELECT count(make_simple(name, type, pool_type, pool, is_json)) FROM (SELECT * FROM simple ORDER BY id) AS x;

--
-- Keys of several columns, bound in another order than the index has, some of them NULL in the table
--
CREATE FUNCTION make_compound(name text, types text[], index_columns text, lookup_key text[], can_be_null boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	columns text := (SELECT string_agg(format('k%s', n), ', ' ORDER BY n) FROM generate_series(1, cardinality(types)) AS n);
BEGIN
	-- some 400 of all combinations of a dozen values each, the last is NULL
	EXECUTE format('CREATE TABLE p_%s AS SELECT (row_number() OVER (ORDER BY %s))::int AS i, %2$s FROM %3$s WHERE random() < %4$s', name, columns,
		(SELECT string_agg(format('(SELECT k AS k%s FROM p_%s WHERE i %% %s = 0 OR k IS NULL ORDER BY i LIMIT 13) AS k%1$s', n, type, n + 1), ', ' ORDER BY n)
			FROM unnest(types) WITH ORDINALITY AS x(type, n)), 400.0 / 13 ^ cardinality(types));
	EXECUTE format('CREATE TABLE t_%s AS SELECT %s, i AS v, md5(i::text) AS w FROM p_%1$s LIMIT 0', name, columns);
	EXECUTE format('CREATE UNIQUE INDEX ON t_%s (%s) %s', name, index_columns, CASE WHEN name ~ 'include' THEN 'INCLUDE (v)' END);
	EXECUTE format('INSERT INTO t_%s SELECT %s, i, md5(i::text) FROM p_%1$s WHERE i %% 3 > 0 AND (%3$s OR num_nulls(%2$s) = 0) ON CONFLICT DO NOTHING', name, columns, can_be_null::text);
	PERFORM featurestore.create_feature_spec('s_' || name, ARRAY[featurestore.lookup(('t_' || name)::regclass, lookup_key)]);
	INSERT INTO kase (name, keys, oracle, sizes, is_json) VALUES (name, lookup_key, format('SELECT ROW(q.%s, t.v, t.w)::s_%s AS r FROM request AS q LEFT JOIN t_%2$s AS t USING (%3$s) ORDER BY q.n',
		array_to_string(lookup_key, ', q.'), name, columns), '{0,1,500,1100}', NOT (types && ARRAY['float8']));
END
$$;
SELECT make_compound('int_text', '{int4,text}', 'k1, k2', '{k1,k2}'),
	make_compound('swapped', '{text,int2}', 'k2, k1', '{k1,k2}'),
	make_compound('uuid_numeric_date', '{uuid,numeric,date}', 'k1, k3, k2', '{k3,k1,k2}'),
	make_compound('insensitive_bpchar', '{insensitive_case,bpchar}', 'k1, k2', '{k1,k2}'),
	make_compound('enum_bool', '{int8,enum,bool}', 'k3 DESC, k1, k2 DESC NULLS LAST', '{k1,k2,k3}', true),
	make_compound('include', '{linguistic,inet}', 'k1, k2', '{k2,k1}'),
	make_compound('float_time', '{float8,timestamptz}', 'k1 DESC NULLS LAST, k2 NULLS FIRST', '{k1,k2}', true),
	make_compound('bytea_jsonb', '{bytea,jsonb,char}', 'k2, k3, k1', '{k1,k2,k3}');

--
-- The newest row: key first, then the time, then what breaks ties
--
CREATE TABLE event AS
	SELECT CASE WHEN random() < 0.98 THEN (random() * 150)::int END AS k, (ARRAY['a', 'B', 'ä', 'A'])[1 + (random() * 3)::int] AS g,
		CASE WHEN random() < 0.01 THEN timestamptz 'infinity' WHEN random() < 0.01 THEN '-infinity'
			WHEN random() < 0.1 THEN timestamptz '1999-12-30' + interval '12 hours' * (random() * 6)::int WHEN random() < 0.95 THEN timestamptz '2024-01-01' + interval '12 hours' * (random() * 40)::int END AS ts,
		NULL::date AS d, CASE WHEN random() < 0.8 THEN (random() * 3)::int END AS seq,
		(ARRAY['a', 'B', 'ä', 'Z', 'z'])[1 + (random() * 4)::int] COLLATE linguistic AS label,
		n AS v, CASE WHEN random() < 0.9 THEN random() END AS w
	FROM generate_series(1, 4000) AS n;
UPDATE event SET d = (ts AT TIME ZONE 'UTC')::date;
CREATE TABLE newest (id serial, name text, index_columns text, lookup_key text[] DEFAULT '{k}', time_column text DEFAULT 'ts', ties text[] DEFAULT '{}', partitions text);
INSERT INTO newest (name, index_columns) VALUES ('newest', 'k, ts'), ('newest_desc', 'k, ts DESC'), ('newest_key_desc', 'k DESC NULLS LAST, ts'), ('newest_last', 'k, ts DESC NULLS LAST');
INSERT INTO newest (name, index_columns, lookup_key) VALUES ('newest_of_two', 'g, k, ts', '{k,g}');
INSERT INTO newest (name, index_columns, time_column) VALUES ('newest_day', 'k, d', 'd'), ('newest_day_desc', 'k, d DESC', 'd');
INSERT INTO newest (name, index_columns, ties) VALUES ('newest_tie', 'k, ts, seq', '{seq}'), ('newest_tie_desc', 'k, ts DESC, seq DESC', '{seq}'),
	('newest_tie_mixed', 'k, ts DESC, seq', '{seq}'), ('newest_tie_first', 'k, ts, seq NULLS FIRST', '{seq}'), ('newest_tie_label', 'k, ts, label', '{label}'),
	('newest_tie_two', 'k, ts, label, seq', '{label,seq}'), ('newest_tie_other', 'k, ts, label COLLATE "C"', '{label}'), ('newest_tie_pattern', 'k, ts, g text_pattern_ops', '{g}');
INSERT INTO newest (name, index_columns, time_column, ties) VALUES ('newest_day_tie', 'k, d, ts, seq', 'd', '{ts,seq}');
INSERT INTO newest (name, index_columns, partitions) VALUES ('newest_by_key', 'k, ts', 'HASH (k)'), ('newest_by_time', 'k, ts', 'RANGE (ts)');

CREATE FUNCTION make_newest(n newest) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t text := 't_' || n.name;
	key_columns text := array_to_string(n.lookup_key || n.time_column || n.ties, ', ');
BEGIN
	EXECUTE format('CREATE TABLE %s (LIKE event) %s', t, 'PARTITION BY ' || n.partitions);
	IF n.partitions ~ 'HASH' THEN
		EXECUTE format('CREATE TABLE %s_0 PARTITION OF %1$s FOR VALUES WITH (MODULUS 2, REMAINDER 0)', t);
		EXECUTE format('CREATE TABLE %s_1 (w float8, gone int, v int, label text COLLATE linguistic, k int, ts timestamptz, d date, g text, seq int)', t);
		EXECUTE format('ALTER TABLE %s_1 DROP gone', t);
		EXECUTE format('ALTER TABLE %s ATTACH PARTITION %1$s_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1)', t);
	ELSIF n.partitions IS NOT NULL THEN
		EXECUTE format('CREATE TABLE %s_0 PARTITION OF %1$s FOR VALUES FROM (MINVALUE) TO (''2024-01-08'')', t);
		EXECUTE format('CREATE TABLE %s_1 PARTITION OF %1$s DEFAULT', t);
	END IF;
	EXECUTE format('CREATE UNIQUE INDEX ON %s (%s)', t, n.index_columns);
	EXECUTE format('INSERT INTO %s SELECT DISTINCT ON (%s) * FROM event ORDER BY %2$s, v', t, key_columns);
	EXECUTE format('CREATE TABLE p_%s AS SELECT (row_number() OVER (ORDER BY k))::int AS i, %s FROM (SELECT %2$s FROM generate_series(-3, 160) AS k, unnest(''{a,B,ä,A,x}''::text[]) AS g
		GROUP BY %2$s UNION ALL SELECT %3$s) AS x', n.name, array_to_string(n.lookup_key, ', '), (SELECT string_agg('NULL', ', ') FROM unnest(n.lookup_key)));
	PERFORM featurestore.create_feature_spec('s_' || n.name, ARRAY[featurestore.lookup(t::regclass, n.lookup_key, ARRAY(SELECT c FROM unnest('{ts,d,seq,label,v,w}'::text[]) AS c))]);
	INSERT INTO kase (name, keys, times, sizes, oracle) VALUES (n.name, n.lookup_key,
		ARRAY[NULL, '-infinity', 'infinity', '2024-01-10 12:00', '2024-01-10 11:59:59.999999', '1999-12-31 18:00', '2024-01-05 06:07:08'], '{1,200,1100}',
		format('SELECT ROW(%s, t.ts, t.d, t.seq, t.label, t.v, t.w)::s_%s AS r FROM request AS q LEFT JOIN LATERAL (SELECT * FROM t_%2$s AS t WHERE %3$s AND t.%4$s <= %5$s ORDER BY %6$s LIMIT 1) AS t ON true ORDER BY q.n',
			(SELECT string_agg('q.' || k, ', ') FROM unnest(n.lookup_key) AS k), n.name, (SELECT string_agg(format('t.%s = q.%1$s', k), ' AND ') FROM unnest(n.lookup_key) AS k),
			n.time_column, CASE n.time_column WHEN 'd' THEN '($T AT TIME ZONE ''UTC'')::date' ELSE '$T' END,
			(SELECT string_agg(format('t.%s DESC', c), ', ' ORDER BY i) FROM unnest(n.time_column || n.ties) WITH ORDINALITY AS x(c, i))));
END
$$;
SELECT count(make_newest(n)) FROM (SELECT * FROM newest ORDER BY id) AS n;

-- with bounds on age, defaults and statuses: by newest row, and by key with the time registered
CREATE TABLE t_aged AS SELECT DISTINCT ON (k, ts) * FROM event WHERE ts IS NOT NULL AND k IS NOT NULL ORDER BY k, ts, v;
ALTER TABLE t_aged ADD PRIMARY KEY (k, ts);
CREATE TABLE p_aged AS SELECT (k + 4)::int AS i, nullif(k, 7) AS k FROM generate_series(-3, 160) AS k;
CREATE TABLE t_stamped AS SELECT DISTINCT ON (k) * FROM event WHERE k IS NOT NULL AND k % 9 > 0 ORDER BY k, v;
ALTER TABLE t_stamped ADD PRIMARY KEY (k);
CREATE TABLE p_stamped AS TABLE p_aged;
CREATE TABLE t_stamped_day AS TABLE t_stamped;
ALTER TABLE t_stamped_day ADD PRIMARY KEY (k);
CREATE TABLE p_stamped_day AS TABLE p_aged;
SELECT featurestore.create_online_table('t_stamped', timeseries_column => 'ts', ttl => '5 days'),
	featurestore.create_online_table('t_stamped_day', timeseries_column => 'd', ttl => '400 days');
SELECT featurestore.create_feature_spec('s_aged', ARRAY[featurestore.lookup('t_aged', '{k}', '{v,w}', default_values => '{"v": -1}', max_age => '2 days 12 hours')], with_status => true),
	featurestore.create_feature_spec('s_stamped', ARRAY[featurestore.lookup('t_stamped', '{k}', '{v,w}', default_values => '{"v": -1}')], with_status => true),
	featurestore.create_feature_spec('s_stamped_day', ARRAY[featurestore.lookup('t_stamped_day', '{k}', '{v,w}', default_values => '{"v": -1}', max_age => '36 hours')], with_status => true);
CREATE FUNCTION dated_oracle(name text, found text, at text, bound interval) RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT ROW(q.k, CASE s WHEN ''PRESENT'' THEN t.v WHEN ''TOO_OLD'' THEN NULL ELSE -1 END, CASE WHEN s = ''PRESENT'' AND t.v IS NULL THEN ''NULL_VALUE'' ELSE s END,
		CASE s WHEN ''PRESENT'' THEN t.w END, CASE WHEN s = ''PRESENT'' AND t.w IS NULL THEN ''NULL_VALUE'' ELSE s END)::s_%s AS r
		FROM request AS q LEFT JOIN LATERAL (%s) AS t ON true, LATERAL (SELECT CASE WHEN t.k IS NULL THEN ''NOT_FOUND'' WHEN %s > $T THEN ''TOO_OLD''
			WHEN %3$s >= $T - interval %4$L THEN ''PRESENT'' ELSE ''OUTSIDE_MAX_AGE'' END AS s) AS status ORDER BY q.n', name, found, at, bound)
$$;
INSERT INTO kase (name, keys, times, sizes, oracle)
SELECT name, '{k}', ARRAY[NULL, '2024-01-10 12:00', '-infinity', 'infinity', '2024-01-12 12:00:00.000001', '2024-01-05 06:07:08', '2024-01-08'], '{1,300}', oracle
FROM (VALUES (1, 'aged', dated_oracle('aged', 'SELECT * FROM t_aged AS t WHERE t.k = q.k AND t.ts <= $T ORDER BY t.ts DESC LIMIT 1', 't.ts', '2 days 12 hours')),
	(2, 'stamped', dated_oracle('stamped', 'SELECT * FROM t_stamped AS t WHERE t.k = q.k', 't.ts', '5 days')),
	(3, 'stamped_day', dated_oracle('stamped_day', 'SELECT * FROM t_stamped_day AS t WHERE t.k = q.k', '(t.d::timestamp AT TIME ZONE ''UTC'')', '36 hours'))) AS x(id, name, oracle) ORDER BY id;

--
-- Relations and indexes of other kinds
--
CREATE FUNCTION make_relation(name text, VARIADIC statements text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	statement text;
BEGIN
	EXECUTE format('CREATE TABLE p_%s AS SELECT n AS i, n AS k FROM generate_series(1, 400) AS n', name);
	FOREACH statement IN ARRAY statements LOOP
		EXECUTE statement;
	END LOOP;
	PERFORM featurestore.create_feature_spec('s_' || name, ARRAY[featurestore.lookup(('t_' || name)::regclass, '{k}', '{v,w}')]);
	INSERT INTO kase (name, keys, sizes, oracle) VALUES (name, '{k}', '{1,500,1100}',
		format('SELECT ROW(q.k, t.v, t.w)::s_%s AS r FROM request AS q LEFT JOIN t_%1$s AS t ON t.k = q.k ORDER BY q.n', name));
END
$$;
CREATE FUNCTION digits(int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT md5($1::text)';
SELECT make_relation('view', 'CREATE VIEW t_view AS SELECT a.k, b.v, a.d AS w FROM t_int4 AS a JOIN (SELECT i AS v, k FROM p_int4) AS b ON b.k = a.k', 'TRUNCATE p_view', 'INSERT INTO p_view SELECT i, k FROM p_int4'),
	make_relation('materialized', 'CREATE MATERIALIZED VIEW t_materialized AS SELECT k, k + 1 AS v, digits(k) AS w FROM p_materialized WHERE k % 3 > 0', 'CREATE UNIQUE INDEX ON t_materialized (k)'),
	make_relation('unlogged', 'CREATE UNLOGGED TABLE t_unlogged AS SELECT k, k + 1 AS v, digits(k) AS w FROM p_unlogged WHERE k % 3 > 0', 'ALTER TABLE t_unlogged ADD UNIQUE (k)'),
	make_relation('parent', 'CREATE TABLE t_parent (k int PRIMARY KEY, v int, w text)', 'CREATE TABLE child (x int, PRIMARY KEY (k)) INHERITS (t_parent)', 'INSERT INTO t_parent SELECT k, k + 1, digits(k) FROM p_parent WHERE k % 3 = 0',
		'INSERT INTO child SELECT k, k + 1, digits(k) FROM p_parent WHERE k % 3 = 1'),
	make_relation('partitioned', 'CREATE TABLE t_partitioned (k int PRIMARY KEY, v int, w text) PARTITION BY RANGE (k)', 'CREATE TABLE part0 (w text, gone int, v int, k int NOT NULL)', 'ALTER TABLE part0 DROP gone',
		'ALTER TABLE t_partitioned ATTACH PARTITION part0 FOR VALUES FROM (MINVALUE) TO (100)', 'CREATE TABLE part1 PARTITION OF t_partitioned FOR VALUES FROM (100) TO (200) PARTITION BY LIST (k)',
		'CREATE TABLE part2 PARTITION OF part1 DEFAULT', 'INSERT INTO t_partitioned SELECT k, k + 1, digits(k) FROM p_partitioned WHERE k % 3 > 0 AND k < 200'),
	make_relation('generated', 'CREATE TABLE t_generated (k int PRIMARY KEY, v int GENERATED ALWAYS AS (k + 1) STORED, w text)', 'INSERT INTO t_generated (k, w) SELECT k, digits(k) FROM p_generated WHERE k % 3 > 0'),
	make_relation('pattern', 'CREATE TABLE t_pattern AS SELECT digits(k) AS k, k + 1 AS v, digits(k) AS w FROM p_pattern WHERE k % 3 > 0', 'CREATE UNIQUE INDEX ON t_pattern (k text_pattern_ops)', 'ALTER TABLE p_pattern ALTER k TYPE text USING digits(k)'),
	make_relation('collated', 'CREATE TABLE t_collated AS SELECT digits(k) AS k, k + 1 AS v, digits(k) AS w FROM p_collated WHERE k % 3 > 0', 'CREATE UNIQUE INDEX ON t_collated (k COLLATE insensitive)', 'ALTER TABLE p_collated ALTER k TYPE text USING digits(k)'),
	make_relation('secured', 'CREATE TABLE t_secured (k int PRIMARY KEY, v int, w text)', 'INSERT INTO t_secured SELECT k, k + 1, digits(k) FROM p_secured WHERE k % 3 > 0', 'ALTER TABLE t_secured ENABLE ROW LEVEL SECURITY', 'CREATE POLICY odd ON t_secured USING (v % 2 = 1)');

--
-- Keys from other lookups, expressions between and behind, defaults, hidden columns, a table used twice
--
CREATE TABLE item (item_id int8 PRIMARY KEY, seller int, price numeric(10, 2), weight float8);
CREATE TABLE seller (code text COLLATE "C" PRIMARY KEY, country char(2), rating float8, name text);
CREATE TABLE country (iso char(2) PRIMARY KEY, vat numeric, currency varchar(3));
CREATE TABLE rate (currency varchar(3), at timestamptz, rate numeric, PRIMARY KEY (currency, at));
INSERT INTO item SELECT n, nullif(n % 40, 0), n / 7.0, CASE WHEN n % 5 > 0 THEN sqrt(n) END FROM generate_series(1, 300) AS n;
INSERT INTO seller SELECT 'S' || n, (ARRAY['DE', 'FR', 'XX', NULL, 'A'])[1 + n % 5], n / 9.0, 'seller ' || n FROM generate_series(1, 30) AS n;
INSERT INTO country VALUES ('DE', 0.19, 'EUR'), ('FR', 0.2, 'EUR'), ('A', NULL, 'ATS'), ('UK', 0.200, NULL), ('--', 0, 'USD');
INSERT INTO rate SELECT c, timestamptz '2024-01-01' + n * interval '1 day', n / 3.0 FROM unnest('{EUR,USD}'::text[]) AS c, generate_series(1, 30) AS n;
CREATE FUNCTION with_tax(price numeric, vat numeric DEFAULT 0.5) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN price * (1 + coalesce(vat, 0.25)); END';
CREATE FUNCTION squared(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT x * x';
SELECT featurestore.create_feature_spec('s_chained', ARRAY[
	featurestore.expression('(coalesce(rating, 0) * quantity)::float8', 'score'),
	featurestore.lookup('rate', '{currency}', '{rate,at}', '{"at": "rate_at"}', '{"rate": 1}', '5 days'),
	featurestore.request_field('quantity', 'int2'),
	featurestore.lookup('item', '{item_id}', default_values => '{"seller": 3}'),
	featurestore.expression('''S''::text || seller::text', 'code'),
	featurestore.lookup('seller', '{code}', rename_outputs => '{"name": "seller_name"}', default_values => '{"country": "--"}'),
	featurestore.lookup('country', '{iso=country}'),
	featurestore.lookup('country', '{iso=buyer}', rename_outputs => '{"vat": "buyer_vat", "currency": "buyer_currency"}', default_values => '{"buyer_vat": 0.10}'),
	featurestore.feature_function('with_tax(numeric, numeric)', '["price", "buyer_vat"]', 'taxed'),
	featurestore.feature_function('with_tax(numeric, numeric)', '{"price": "taxed"}', 'taxed_twice'),
	featurestore.feature_function('squared(float8)', '{"x": "weight"}', 'area'),
	featurestore.expression('as_of - rate_at', 'rate_age')], exclude_columns => '{code,country,taxed}');
CREATE TABLE p_chained AS SELECT n AS i, (n % 7)::int2 AS quantity, nullif(1 + n * 37 % 330, 5)::int8 AS item_id, (ARRAY['DE', 'FR ', 'UK', 'A', 'too long', NULL]::bpchar[])[1 + n % 6] AS buyer FROM generate_series(1, 500) AS n;
INSERT INTO kase (name, keys, times, sizes, oracle) VALUES ('chained', '{quantity,item_id,buyer}', '{2024-01-20 12:00,2024-02-03,2023-01-01}', '{0,1,2,1100}',
	'SELECT ROW(q.item_id, q.buyer, (coalesce(s.rating, 0) * q.quantity)::float8,
		CASE WHEN r.at >= $T - interval ''5 days'' THEN r.rate ELSE 1 END, CASE WHEN r.at >= $T - interval ''5 days'' THEN r.at END, q.quantity, x.seller, i.price, i.weight, s.rating, s.name,
		c.vat, c.currency, CASE WHEN b.iso IS NULL THEN 0.10 ELSE b.vat END, b.currency,
		with_tax(with_tax(i.price, CASE WHEN b.iso IS NULL THEN 0.10 ELSE b.vat END)), i.weight * i.weight,
		$T - CASE WHEN r.at >= $T - interval ''5 days'' THEN r.at END)::s_chained AS r
	FROM request AS q LEFT JOIN item AS i USING (item_id) CROSS JOIN LATERAL (SELECT CASE WHEN i.item_id IS NULL THEN 3 ELSE i.seller END AS seller) AS x
	LEFT JOIN seller AS s ON s.code = ''S'' || x.seller LEFT JOIN country AS c ON c.iso = CASE WHEN s.code IS NULL THEN ''--'' ELSE s.country END
	LEFT JOIN country AS b ON b.iso = q.buyer LEFT JOIN LATERAL (SELECT * FROM rate WHERE rate.currency = c.currency AND at <= $T ORDER BY at DESC LIMIT 1) AS r ON true ORDER BY q.n');

-- an integer key looked up in columns of other widths, into which not all of them fit
CREATE TABLE p_wider AS SELECT (row_number() OVER ())::int AS i, k FROM (SELECT k FROM p_int8 UNION ALL SELECT k + d FROM p_int2, unnest('{0,65536,4294967296,-4294967296}'::int8[]) AS d UNION ALL SELECT k - 4294967296 FROM p_int4) AS x;
SELECT featurestore.create_feature_spec('s_wider', ARRAY[featurestore.lookup('t_int8', '{k}', '{a}', '{"a": "a8"}'), featurestore.lookup('t_int2', '{k}', '{a}', '{"a": "a2"}'), featurestore.lookup('t_int4', '{k}', '{a}', '{"a": "a4"}')]);
INSERT INTO kase (name, keys, oracle) VALUES ('wider', '{k}', 'SELECT ROW(q.k, t8.a, t2.a, t4.a)::s_wider AS r FROM request AS q LEFT JOIN t_int8 AS t8 USING (k) LEFT JOIN t_int2 AS t2 USING (k) LEFT JOIN t_int4 AS t4 USING (k) ORDER BY q.n');

--
-- Wide values: out of line, compressed, in composite types; as keys, and in expressions
--
CREATE TYPE pair AS (a int, b text);
CREATE TABLE t_wide (k int PRIMARY KEY, big text, mid text, long text, nested pair, n int[], j jsonb, small pair);
ALTER TABLE t_wide ALTER big SET STORAGE EXTERNAL, ALTER long SET STORAGE MAIN;
INSERT INTO t_wide SELECT k, big, left(big, 5000), repeat('x', 100000 + k % 5), ROW(k, big)::pair, ARRAY(SELECT generate_series(k, k + 2000)), jsonb_build_object('wide', big, 'k', k), ROW(k, left(big, 10))::pair
FROM generate_series(1, 30) AS k, LATERAL (SELECT string_agg(md5((k * n)::text), '') AS big FROM generate_series(1, 3200) AS n) AS b;
INSERT INTO t_wide (k) VALUES (31);
CREATE TABLE by_long (long text PRIMARY KEY, v int, again text);
ALTER TABLE by_long ALTER again SET STORAGE EXTERNAL;
INSERT INTO by_long SELECT repeat('x', 100000 + n), n, repeat('y', 3000 + n) FROM generate_series(0, 3) AS n;
CREATE TABLE by_code (code text PRIMARY KEY, w text);
INSERT INTO by_code SELECT left(mid, 5), upper(mid) FROM t_wide WHERE k < 20;
SELECT featurestore.create_feature_spec('s_wide', ARRAY[featurestore.lookup('t_wide', '{k}', default_values => jsonb_build_object('mid', repeat('default', 1000))),
	featurestore.lookup('by_long', '{long}'), featurestore.expression('substr(mid, 1, 5)', 'code'), featurestore.lookup('by_code', '{code}'),
	featurestore.expression('big || mid', 'joined'), featurestore.expression('(nested).b || (small).a::text', 'part'), featurestore.expression('length(big) + cardinality(n)', 'size')]);
CREATE TABLE p_wide AS SELECT n AS i, nullif(n, 35) AS k FROM generate_series(1, 35) AS n;
INSERT INTO kase (name, keys, sizes, is_json, oracle) VALUES ('wide', '{k}', '{0,2,20}', false,
	'SELECT ROW(q.k, t.big, m.mid, t.long, t.nested, t.n, t.j, t.small, l.v, l.again, substr(m.mid, 1, 5), c.w, t.big || m.mid, (t.nested).b || (t.small).a, length(t.big) + cardinality(t.n))::s_wide AS r
	FROM request AS q LEFT JOIN t_wide AS t ON t.k = q.k CROSS JOIN LATERAL (SELECT CASE WHEN t.k IS NULL THEN repeat(''default'', 1000) ELSE t.mid END AS mid) AS m
	LEFT JOIN by_long AS l ON l.long = t.long LEFT JOIN by_code AS c ON c.code = substr(m.mid, 1, 5) ORDER BY q.n');

--
-- All of them
--
SELECT check_kases();
SELECT name, compared, rows, wrong, path(kase) FROM outcome JOIN kase USING (name) ORDER BY outcome.id;
SELECT name, example FROM outcome WHERE wrong > 0;

-- values that come with some of the records instead of being looked up or computed
CREATE FUNCTION check_overrides(direct boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('featurestore.enable_direct_lookup', direct::text, true);
	RETURN images('SELECT ROW(r) AS r FROM featurestore.feature_lookup_json(''s_chained'', (SELECT jsonb_agg(to_jsonb(p) - ''i''
			|| CASE WHEN i % 3 = 0 THEN jsonb_build_object(''seller'', i % 40) ELSE ''{}'' END || CASE WHEN i % 4 = 0 THEN ''{"vat": null}'' ELSE ''{}''::jsonb END
			|| CASE WHEN i % 5 = 0 THEN ''{"code": "S7"}'' ELSE ''{}''::jsonb END || CASE WHEN i % 7 = 0 THEN ''{"taxed": 9.99}'' ELSE ''{}''::jsonb END ORDER BY i) FROM p_chained AS p), ''2024-01-20 12:00'') AS r') =
		images('SELECT ROW(to_jsonb(ROW(q.item_id, q.buyer, (coalesce(s.rating, 0) * q.quantity)::float8, CASE WHEN r.at >= ''2024-01-15 12:00'' THEN r.rate ELSE 1 END, CASE WHEN r.at >= ''2024-01-15 12:00'' THEN r.at END,
			q.quantity, x.seller, i.price, i.weight, s.rating, s.name, CASE WHEN q.i % 4 > 0 THEN c.vat END, c.currency, CASE WHEN b.iso IS NULL THEN 0.10 ELSE b.vat END, b.currency,
			with_tax(CASE WHEN q.i % 7 = 0 THEN 9.99 ELSE with_tax(i.price, CASE WHEN b.iso IS NULL THEN 0.10 ELSE b.vat END) END), i.weight * i.weight,
			''2024-01-20 12:00'' - CASE WHEN r.at >= ''2024-01-15 12:00'' THEN r.at END)::s_chained)) AS r
		FROM p_chained AS q LEFT JOIN item AS i USING (item_id) CROSS JOIN LATERAL (SELECT CASE WHEN q.i % 3 = 0 THEN q.i % 40 WHEN i.item_id IS NULL THEN 3 ELSE i.seller END AS seller) AS x
		LEFT JOIN seller AS s ON s.code = CASE WHEN q.i % 5 = 0 THEN ''S7'' ELSE ''S'' || x.seller END LEFT JOIN country AS c ON c.iso = CASE WHEN s.code IS NULL THEN ''--'' ELSE s.country END
		LEFT JOIN country AS b ON b.iso = q.buyer LEFT JOIN LATERAL (SELECT * FROM rate WHERE rate.currency = c.currency AND at <= ''2024-01-20 12:00'' ORDER BY at DESC LIMIT 1) AS r ON true ORDER BY q.i');
END
$$;
SELECT direct, check_overrides(direct) FROM unnest('{t,f}'::boolean[]) AS direct;

--
-- The same while tables change
--
CREATE FUNCTION change_newest(n newest) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t text := 't_' || n.name;
BEGIN
	EXECUTE format('UPDATE %s SET v = v + 1, w = -w WHERE random() < 0.2', t);
	EXECUTE format('DELETE FROM %s WHERE random() < 0.1', t);
	EXECUTE format('UPDATE %s SET ts = ts + random() * interval ''5 hours'' WHERE random() < 0.1', t);
	EXECUTE format('INSERT INTO %s SELECT k + 1, g, ts, d, seq, label, -v, w FROM event WHERE random() < 0.1 AND seq IS NOT NULL ON CONFLICT DO NOTHING', t);
END
$$;
CREATE FUNCTION change(pattern text DEFAULT '') RETURNS void LANGUAGE sql AS $$
	SELECT change_simple(name, type) FROM simple WHERE name ~ pattern ORDER BY id;
	SELECT change_newest(n) FROM newest AS n WHERE name ~ pattern ORDER BY id;
	UPDATE item SET seller = 1 + seller % 39, price = price + 1 WHERE random() < 0.3;
	UPDATE rate SET rate = rate + 1, at = at + random() * interval '12 hours' WHERE random() < 0.3;
	UPDATE seller SET country = 'FR' WHERE random() < 0.1;
	UPDATE t_wide SET big = mid, small = nested, n = n || 1 WHERE random() < 0.1;
$$;
CREATE FUNCTION clear() RETURNS void LANGUAGE sql AS 'DELETE FROM outcome WHERE wrong = 0';
SELECT clear();

-- in the transaction that changed them, within a subtransaction, and after it was undone
DO $$
DECLARE
	outcomes outcome[];
BEGIN
	PERFORM change();
	PERFORM check_kases(true);
	BEGIN
		PERFORM change();
		PERFORM check_kases(true, '^[a-n]');
		SELECT array_agg(o) INTO outcomes FROM outcome AS o;
		RAISE 'undo';
	EXCEPTION WHEN raise_exception THEN
		DELETE FROM outcome;
		INSERT INTO outcome SELECT * FROM unnest(outcomes);
	END;
	PERFORM check_kases(true);
END
$$;
SELECT 'uncommitted' AS when, count(*), sum(wrong) AS wrong FROM outcome;
SELECT clear();
-- committed; with dead rows, after they were removed, with new rows where these were, in tables rewritten
SELECT check_kases(true), change();
SELECT check_kases(true), change();
SELECT format('VACUUM (INDEX_CLEANUP on) %I', 't_' || name) FROM simple UNION ALL SELECT format('VACUUM (INDEX_CLEANUP on) %I', 't_' || name) FROM newest \gexec
VACUUM item, rate, seller;
SELECT check_kases(true), change();
SELECT check_kases(true);
SELECT format('CLUSTER t_%s USING t_%1$s_pkey', name) FROM simple WHERE id % 2 = 0 \gexec
SELECT format('VACUUM FULL t_%s', name) FROM newest WHERE partitions IS NULL AND id % 2 = 0 \gexec
SELECT format('REINDEX TABLE t_%s', name) FROM simple WHERE id % 3 = 0 \gexec
SELECT check_kases(true);
SELECT format('TRUNCATE t_%s', name) FROM simple WHERE id % 3 = 0 \gexec
SELECT check_kases(true), change();
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT check_kases(true, '^(int|text|newest|chained)');
COMMIT;
SELECT 'committed' AS when, count(*), sum(wrong) AS wrong FROM outcome;
SELECT name, example FROM outcome WHERE wrong > 0;
SELECT clear();

-- a cursor gives the rows of when it was opened
CREATE FUNCTION check_cursors(k kase, direct boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	got refcursor;
	expected refcursor;
	a bytea;
	b bytea;
	n int := 0;
	before bytea[];
	result text := 'same rows';
BEGIN
	EXECUTE format('CREATE TEMP TABLE request AS SELECT i AS n, k FROM p_%s', k.name);
	PERFORM set_config('featurestore.enable_direct_lookup', direct::text, true);
	before := images(replace(k.oracle, '$T', 'now()'));
	OPEN got FOR EXECUTE format('SELECT record_send(r) FROM s_%s_batch(ARRAY(SELECT k FROM request ORDER BY n), now()) AS r', k.name);
	OPEN expected FOR EXECUTE format('SELECT record_send(r) FROM (%s) AS x', replace(k.oracle, '$T', 'now()'));
	PERFORM change('^' || k.name || '$');
	LOOP
		FETCH got INTO a;
		FETCH expected INTO b;
		EXIT WHEN a IS NULL AND b IS NULL;
		n := n + 1;
		IF a IS DISTINCT FROM b THEN
			result := format('row %s: %s <> %s', n, a, b);
		END IF;
	END LOOP;
	IF before = images(replace(k.oracle, '$T', 'now()')) THEN
		result := 'nothing was changed';
	END IF;
	CLOSE got;
	CLOSE expected;
	DROP TABLE request;
	RETURN result;
END
$$;
SELECT name, direct, check_cursors(kase, direct) FROM kase, unnest('{t,f}'::boolean[]) AS direct WHERE name IN ('int4', 'text', 'newest', 'newest_tie_desc') ORDER BY id, direct;

-- policies of those who look up
CREATE ROLE regress_differential;
GRANT USAGE ON SCHEMA differential TO regress_differential;
GRANT ALL ON ALL TABLES IN SCHEMA differential TO regress_differential;
GRANT ALL ON ALL SEQUENCES IN SCHEMA differential TO regress_differential;
SELECT check_kases(false, 'secured');
SET ROLE regress_differential;
SELECT check_kases(false, 'secured|int4');
SELECT name, compared, wrong, path(kase), example FROM outcome JOIN kase USING (name) ORDER BY outcome.id;
RESET ROLE;
SELECT check_kases(false, 'secured');
SELECT name, compared, wrong, path(kase), example FROM outcome JOIN kase USING (name) ORDER BY outcome.id;

--
-- Vectors and matrices: for each user one item, and for one user many items
--
CREATE TABLE profile (user_id int8 PRIMARY KEY, age int2, spent numeric, is_new bool, tastes float8[], name text);
INSERT INTO profile SELECT n, nullif(n % 80, 3), n * 1.1, n % 3 = 0, CASE WHEN n % 4 > 0 THEN ARRAY[n / 3.0, NULL, 'NaN', 1e300] END, 'x' FROM generate_series(1, 200) AS n WHERE n % 10 > 0;
CREATE TABLE goods (item_id text PRIMARY KEY, a int4, b int8, c float4, d float8, e numeric, f bool, g int2[], h numeric[], i bool[]);
INSERT INTO goods SELECT 'item ' || n, nullif(n % 70, 5) * -30000001, n * 100000000000007, CASE n % 3 WHEN 0 THEN '-0' WHEN 1 THEN 1e-40 END, (ARRAY[1e300, -1e300, 1e-300, 'NaN', '-Infinity', 0.1, 16777217, NULL]::float8[])[1 + n % 8],
	(ARRAY[1e400, -1e400, 'NaN', 0.10, NULL, 'Infinity', 123456789012345678901234567890, 1.00000005960464477539062500001, -1e-400, 1e-40]::numeric[])[1 + n % 10], nullif(n % 3, 1)::boolean, ARRAY[n, -n, NULL], CASE WHEN n % 6 > 0 THEN ARRAY[n / 7.0] END, '{t,f}' FROM generate_series(1, 300) AS n;
SELECT featurestore.create_feature_spec('s_vector', ARRAY[featurestore.lookup('profile', '{user_id}', '{age,spent,is_new,tastes}', default_values => '{"age": 18, "tastes": [1, 2, 3, 4]}'), featurestore.request_field('x', 'float4'),
	featurestore.lookup('goods', '{item_id}', '{a,b,c,d,e,f,g[3],h,i}', default_values => '{"e": 0.5, "f": true}'), featurestore.expression('x * age', 'y')]);
SELECT featurestore.feature_matrix_columns('s_vector');
CREATE FUNCTION to_real(x float8) RETURNS float4 LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN x IS NULL THEN 'NaN' WHEN x = 'NaN' THEN 'NaN' WHEN abs(x) > 3.5e38 THEN sign(x) * 'Infinity'::float4 WHEN abs(x) < 1e-50 AND x <> 0 THEN sign(x) * 0::float4 ELSE x::float4 END
$$;
CREATE FUNCTION to_real(x numeric) RETURNS float4 LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN x IS NULL OR x = 'NaN' THEN 'NaN' WHEN abs(x) > 3.5e38 THEN sign(x)::float4 * 'Infinity' WHEN abs(x) < 1e-50 THEN sign(x)::float4 * 0 ELSE x::float4 END
$$;
CREATE FUNCTION to_real(x boolean) RETURNS float4 LANGUAGE sql IMMUTABLE AS 'SELECT to_real(x::int::float8)';
CREATE FUNCTION little_endian(v float4[]) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
	SELECT string_agg(substr(x, 4, 1) || substr(x, 3, 1) || substr(x, 2, 1) || substr(x, 1, 1), '' ORDER BY n) FROM unnest(v) WITH ORDINALITY AS u(f, n), float4send(f) AS x
$$;
CREATE FUNCTION check_vectors(size int, is_broadcast boolean) RETURNS TABLE (vectors boolean, matrix boolean, generic_vectors boolean, generic_matrix boolean) LANGUAGE plpgsql AS $$
DECLARE
	users text := CASE WHEN is_broadcast THEN 'ARRAY(SELECT user_id FROM one)' ELSE 'ARRAY(SELECT user_id FROM request ORDER BY n)' END;
	items text := 'ARRAY(SELECT item_id FROM request ORDER BY n)';
	plain text := 'SELECT ARRAY[to_real(CASE WHEN p.user_id IS NULL THEN 18 ELSE p.age END), to_real(p.spent), to_real(p.is_new)] || coalesce((SELECT array_agg(to_real(t) ORDER BY n) FROM unnest(CASE WHEN p.user_id IS NULL
		THEN ''{1,2,3,4}'' ELSE p.tastes END) WITH ORDINALITY AS u(t, n)), ''{NaN,NaN,NaN,NaN}'') || to_real(q.x) || ARRAY[to_real(g.a), to_real(g.b), to_real(g.c), to_real(g.d), to_real(CASE WHEN g.item_id IS NULL THEN 0.5 ELSE g.e END),
		to_real(CASE WHEN g.item_id IS NULL THEN true ELSE g.f END), to_real(g.g[1]), to_real(g.g[2]), to_real(g.g[3]), to_real(g.h[1]), to_real(g.i[1]), to_real(g.i[2]),
		to_real(q.x * CASE WHEN p.user_id IS NULL THEN 18 ELSE p.age END)] AS v, q.n FROM request AS q LEFT JOIN profile AS p USING (user_id) LEFT JOIN goods AS g USING (item_id)';
	expected bytea[];
	expected_matrix bytea[];
BEGIN
	DROP TABLE IF EXISTS request, one;
	CREATE TEMP TABLE one AS SELECT (1 + random() * 205)::int8 AS user_id;
	CREATE TEMP TABLE request AS SELECT n, CASE WHEN is_broadcast THEN (SELECT user_id FROM one) ELSE nullif((random() * 210)::int8, 5) END AS user_id,
		'item ' || nullif((random() * 310)::int, 0) AS item_id, 0.1::float4 AS x FROM generate_series(1, size) AS n;
	expected := images('SELECT ROW(v) AS r FROM (' || plain || ') AS x ORDER BY n');
	expected_matrix := images('SELECT ROW(coalesce(string_agg(little_endian(v), '''' ORDER BY n), '''')) AS r FROM (' || plain || ') AS x');
	vectors := expected = images(format('SELECT ROW(v) AS r FROM s_vector_vectors(%s, ''{0.1}'', %s) AS v', users, items));
	matrix := expected_matrix = images(format('SELECT ROW(m) AS r FROM s_vector_matrix(%s, ''{0.1}'', %s) AS m', users, items));
	generic_vectors := expected = images(format('SELECT ROW(v) AS r FROM featurestore.feature_vectors(''s_vector'', %s, 0.1, %s) AS v', users, items));
	generic_matrix := expected_matrix = images(format('SELECT ROW(m) AS r FROM featurestore.feature_matrix(''s_vector'', %s, 0.1::float8, %s) AS m', users, items));
	RETURN NEXT;
END
$$;
SELECT size, is_broadcast, c.* FROM unnest('{0,1,2,50,1500}'::int[]) AS size, unnest('{f,t}'::boolean[]) AS is_broadcast, LATERAL check_vectors(size, is_broadcast) AS c;
SET featurestore.enable_direct_lookup = off;
SELECT size, is_broadcast, c.* FROM unnest('{0,1,1500}'::int[]) AS size, unnest('{f,t}'::boolean[]) AS is_broadcast, LATERAL check_vectors(size, is_broadcast) AS c;
RESET featurestore.enable_direct_lookup;

--
-- What cannot be probed by is refused, where it might be taken for something else
--
\set VERBOSITY terse
CREATE TABLE given (id int PRIMARY KEY, n int, code bpchar, f float8);
CREATE TABLE wanted (a int, n numeric, t text, f float4, PRIMARY KEY (a, n), UNIQUE (a, t), UNIQUE (a, f));
SELECT featurestore.create_feature_spec('refused', ARRAY[featurestore.lookup('given', '{id}', '{n}'), featurestore.lookup('wanted', '{a,n}', '{f}')]);
SELECT featurestore.create_feature_spec('refused', ARRAY[featurestore.lookup('given', '{id}', '{code}'), featurestore.lookup('wanted', '{a,t=code}', '{f}')]);
SELECT featurestore.create_feature_spec('refused', ARRAY[featurestore.lookup('given', '{id}', '{f}'), featurestore.lookup('wanted', '{a,f}', '{t}')]);
CREATE TABLE by_array (k int[] PRIMARY KEY, v int);
SELECT featurestore.create_feature_spec('refused', ARRAY[featurestore.lookup('by_array', '{k}')]);
CREATE TABLE by_pair (k pair PRIMARY KEY, v int);
SELECT featurestore.create_feature_spec('refused', ARRAY[featurestore.lookup('by_pair', '{k}')]);
-- a unique index does not help where the column itself takes more values for equal
CREATE TABLE doubled (k text COLLATE insensitive, v int);
CREATE UNIQUE INDEX ON doubled (k COLLATE "C");
SELECT featurestore.create_feature_spec('doubled_values', ARRAY[featurestore.lookup('doubled', '{k}')]);
INSERT INTO doubled VALUES ('a', 1), ('b', 2);
SELECT * FROM doubled_values_batch('{b,c,a}');

-- keys are as requested, whatever the column's modifier, and defaults the same in every session
CREATE TABLE modified (c char(4), n numeric(5, 2), v varchar(2), t timestamptz(0), d date, f float8, i interval, PRIMARY KEY (c, n, v, t));
INSERT INTO modified VALUES ('ab', 1.01, 'xy', '2024-01-01 00:00:01');
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SET extra_float_digits = -10;
SELECT featurestore.create_feature_spec('as_requested', ARRAY[featurestore.lookup('modified', '{c,n,v,t}', default_values => '{"d": "2024-03-04", "f": 0.1234567890123456, "i": "-1 day 02:03:04.5"}'),
	featurestore.request_field('r', 'bpchar')]);
RESET DateStyle;
RESET IntervalStyle;
RESET extra_float_digits;
SELECT * FROM as_requested_batch('{ab,ab,"ab   ",abcdef}', '{1.01,1.005,1.010,1}', '{xy,xy,xy,xyz}', '{2024-01-01 00:00:01,2024-01-01 00:00:01,2024-01-01 00:00:01,2024-01-01 00:00:01.4}', '{abc}');
SELECT * FROM featurestore.feature_lookup_json('as_requested', '{"c": ["ab", "ab", "ab   ", "abcdef"], "n": [1.01, 1.005, 1.010, 1], "v": ["xy", "xy", "xy", "xyz"],
	"t": ["2024-01-01 00:00:01", "2024-01-01 00:00:01", "2024-01-01 00:00:01", "2024-01-01 00:00:01.4"], "r": "abc"}');
SELECT * FROM featurestore.feature_lookup(NULL::as_requested, 'ab', '1.005', 'xyz', '2024-01-01 00:00:01.4', 'abc');

RESET search_path;
DROP SCHEMA differential CASCADE;
DROP ROLE regress_differential;
