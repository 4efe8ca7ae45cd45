/*
 * How popular an item is follows from what shoppers do, declared over the raw
 * events.  The first two wait half a second for events that are on their way.
 */
SELECT featurestore.register_feature('rec.popularity', 'rec_offline.interactions', '{item_id}', 'at', 'sum',
    $$CASE action WHEN 'buy' THEN 10 WHEN 'cart' THEN 3 ELSE 1 END$$,
    featurestore.rolling_window('10 seconds', delay => '500 milliseconds'));
SELECT featurestore.register_feature('rec.shoppers', 'rec_offline.interactions', '{item_id}', 'at', 'count_distinct',
    'user_id', featurestore.sliding_window('10 seconds', '1 second', delay => '500 milliseconds'));
SELECT featurestore.register_feature('rec.popularity_1h', 'rec_offline.interactions', '{item_id}', 'at', 'sum',
    $$CASE action WHEN 'buy' THEN 10 WHEN 'cart' THEN 3 ELSE 1 END$$,
    featurestore.rolling_window('1 hour'));
SELECT featurestore.materialize_features('{rec.popularity,rec.shoppers,rec.popularity_1h}', 'rec.item_activity',
    publish_mode => 'CONTINUOUS');
