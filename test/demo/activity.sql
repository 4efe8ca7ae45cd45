/*
 * Sessions of the shoppers who are active: half an hour each, some of them
 * with an earlier one.
 */
INSERT INTO rec.user_feature_store
SELECT user_id, t - back * interval '30 min', t - (back - 1) * interval '30 min',
	   ARRAY(SELECT 1 + floor(random() * :items)::bigint FROM generate_series(1, 5) WHERE user_id > 0), 5
FROM generate_series(2, :users, 3) AS user_id, generate_series(0, user_id % 2) AS back,
	 LATERAL (SELECT date_bin('30 min', now(), 'epoch')) AS w(t);
