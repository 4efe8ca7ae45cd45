/*
 * A shopper and an item nobody knows yet: a row all the same, which says what
 * became of each value.
 */
SELECT f.key AS feature, answer->'values'->f.key AS value,
       f.value->>'status' AS status, f.value->>'defaulted' AS defaulted
FROM featurestore.feature_lookup_json('rec.ranker',
         '{"user_id": 999999999, "item_id": 17, "hour": 20}',
         metadata => true) AS answer, jsonb_each(answer->'status') AS f;
