--
-- Direct probes, the path through SQL and plain SQL give the same rows, to the bit and in the same order
--
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA differential;
SET search_path = differential;
SET TimeZone = 'UTC';
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
	times text[], sizes int[] DEFAULT '{0,1,2,500,3000}', is_json boolean DEFAULT true
);
CREATE TABLE outcome (id serial, at timestamptz default clock_timestamp(), name text, compared int, rows bigint, wrong int, example text);

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
			got := images(query);
			is_wrong := got IS DISTINCT FROM CASE WHEN query ~ '^SELECT ROW' THEN expected_json ELSE expected END;
			UPDATE outcome SET compared = compared + 1, rows = rows + size, wrong = wrong + is_wrong::int,
				example = CASE WHEN is_wrong THEN coalesce(example, format('direct %s, %s rows, row %s: %s <> %s', direct, size,
					(SELECT min(n) FROM generate_series(1, size) AS n WHERE got[n] IS DISTINCT FROM expected[n]), query, plain)) ELSE example END
			WHERE id = (SELECT max(id) FROM outcome);
		END LOOP;
	END LOOP;
	PERFORM set_config('featurestore.enable_direct_lookup', 'on', true);
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
BEGIN
	INSERT INTO outcome (name, compared, rows, wrong) VALUES (k.name, 0, 0, 0);
	EXECUTE format('CREATE TEMP TABLE request AS SELECT 0::bigint AS n, %s FROM p_%s LIMIT 0',
		(SELECT string_agg(quote_ident(key), ', ' ORDER BY n) FROM unnest(k.keys) WITH ORDINALITY AS x(key, n)), k.name);
	CREATE TEMP TABLE one AS SELECT * FROM request;
	ALTER TABLE one DROP n;
	FOREACH as_of IN ARRAY coalesce(k.times, ARRAY[NULL]) LOOP
		FOREACH size IN ARRAY CASE WHEN is_brief THEN '{2,300}' ELSE k.sizes END LOOP
			CONTINUE WHEN size > 2000 AND as_of IS NOT NULL;
			PERFORM compare_random(k, size, as_of);
		END LOOP;
	END LOOP;
	IF NOT is_brief THEN
		PERFORM compare_random(k, 500, k.times[1], is_sorted => true);
		PERFORM compare_random(k, 50, k.times[1]);
		-- one-element arrays and single values serve all rows
		FOR mask IN 1 .. (1 << cardinality(k.keys)) - 2 LOOP
			FOREACH size IN ARRAY '{0,2,30,200}'::int[] LOOP
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
	('float4', 'float4', 'float4', 'VALUES (''NaN''::float4), (''-NaN''), (''Infinity''), (''-Infinity''), (0), (''-0''), (1e-45), (3e38), (0.1), (0.2), (-0.2)', false),
	('float8', 'float8', 'float8', 'SELECT unnest(ARRAY[''NaN'', ''-NaN'', ''Infinity'', ''-Infinity'', 0, ''-0'', 5e-324, 1e308]::float8[]) UNION ALL SELECT n / 10.0::float8 FROM generate_series(-100, 100) n', false);

SELECT count(make_simple(name, type, pool_type, pool, is_json)) FROM (SELECT * FROM simple ORDER BY id) AS x;
SELECT check_kases();
SELECT name, path(kase), rows, compared, wrong, example FROM outcome JOIN kase USING (name) ORDER BY outcome.id;
