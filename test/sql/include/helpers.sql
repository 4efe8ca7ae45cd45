\set ECHO none
-- Helpers of the tests, made in the first schema of the search path.

-- Runs a statement that must fail and gives its error; psql's own form differs by version and lacks the SQLSTATE.
CREATE FUNCTION refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	BEGIN
		EXECUTE statement;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
		RETURN concat_ws(E'\n', state || ': ' || message, 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
	END;
	RETURN 'NOT REFUSED';
END
$$;

-- The rows of a query, as text, when they are the same with direct probes and without.
CREATE FUNCTION same(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	direct text[];
	planned text[];
BEGIN
	PERFORM set_config('featurestore.enable_direct_lookup', 'on', true);
	EXECUTE format('SELECT array_agg(q::text) FROM (%s) AS q', query) INTO direct;
	PERFORM set_config('featurestore.enable_direct_lookup', 'off', true);
	EXECUTE format('SELECT array_agg(q::text) FROM (%s) AS q', query) INTO planned;
	PERFORM set_config('featurestore.enable_direct_lookup', 'on', true);
	IF direct IS DISTINCT FROM planned THEN
		RETURN NEXT format('DIFFERENT: directly %s, planned %s', direct, planned);
	END IF;
	RETURN QUERY SELECT unnest(direct);
END
$$;

-- What is in the current schema, besides these helpers.
CREATE VIEW objects AS
	SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'r' THEN 'table' ELSE c.relkind::text END AS kind, c.relname::text AS name
	FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind NOT IN ('i', 'S') AND c.relname <> 'objects'
	UNION ALL
	SELECT 'function', p.proname FROM pg_proc p
	WHERE p.pronamespace = current_schema()::regnamespace AND p.proname NOT IN ('refused', 'same')
	UNION ALL
	SELECT 'spec', relation::text FROM featurestore.spec JOIN pg_class c ON c.oid = relation
	WHERE c.relnamespace = current_schema()::regnamespace
	UNION ALL
	SELECT 'lost', relation::oid::text FROM featurestore.spec LEFT JOIN pg_class c ON c.oid = relation WHERE c.oid IS NULL
	ORDER BY 1, 2;
\set ECHO all
