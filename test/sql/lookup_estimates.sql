/*
 * What the planner expects of a lookup: a row for each element of its longest
 * array, at a cost that grows with them.
 */
CREATE SCHEMA lookup_estimates;
SET search_path = lookup_estimates;
CREATE TABLE t (k int PRIMARY KEY, v int);
SELECT featurestore.create_feature_spec('s', ARRAY[featurestore.lookup('t', '{k}'), featurestore.request_field('f', 'int')]);

CREATE FUNCTION plan(query text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN plan->0->'Plan';
END
$$;

SELECT call, plan('SELECT * FROM ' || call)->'Plan Rows' AS rows
FROM (VALUES (1, 's(1, 2)'), (2, 's_batch(''{1,2,3}'', ''{4}'')'), (3, 's_batch(''{1}'', ''{1,2,3,4,5,6,7}'')'),
	(4, 's_vectors(''{1,2}'', ''{4}'')'), (5, 'featurestore.feature_lookup(NULL::s, ARRAY[1,2,3,4], 1)')) AS c(n, call) ORDER BY n;
SELECT (plan('SELECT * FROM s_batch(array_fill(1, ARRAY[1000]), ''{1}'')')->>'Total Cost')::float8 >
	(plan('SELECT * FROM s_batch(array_fill(1, ARRAY[10]), ''{1}'')')->>'Total Cost')::float8 AS "more keys cost more";

/* A prepared lookup settles on a generic plan, whatever the length of its arrays. */
PREPARE p(int[], int[]) AS SELECT * FROM s_batch($1, $2);
EXECUTE p('{1}', '{1}');
EXECUTE p('{1}', '{1}');
EXECUTE p('{1}', '{1}');
EXECUTE p('{1}', '{1}');
EXECUTE p('{1}', '{1}');
EXECUTE p('{1}', '{1}');
EXECUTE p('{1,2}', '{1}');
SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'p';
SET client_min_messages = warning;
DROP SCHEMA lookup_estimates CASCADE;
