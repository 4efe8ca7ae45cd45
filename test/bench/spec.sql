/*
 * What the benchmark asks featurestore for: a spec over users, their sessions
 * and items, with one value from the request; and one over items
 * alone, which is what the Redis side holds.
 */
\set ON_ERROR_STOP on

SELECT featurestore.create_feature_spec('bench.ranker', ARRAY[
	featurestore.lookup('bench.users', '{user_id}'),
	featurestore.lookup('bench.sessions', '{user_id}'),
	featurestore.lookup('bench.items', '{item_id}'),
	featurestore.request_field('hour', 'int4')
]) \g /dev/null
SELECT featurestore.create_feature_spec('bench.item', ARRAY[
	featurestore.lookup('bench.items', '{item_id}')
]) \g /dev/null
