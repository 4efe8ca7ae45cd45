/*
 * What the model needs, by name: profile, newest session and item, one value
 * that only the request knows, and one that is computed.
 */
SELECT featurestore.create_feature_spec('rec.ranker', ARRAY[
    featurestore.lookup('rec.user_profile', '{user_id}',
        default_values => '{"discount": 0}'),
    featurestore.lookup('rec.user_feature_store', '{user_id}',
        '{"last_actions[5]", distinct_items}'),
    featurestore.lookup('rec.item_catalogue', '{item_id}',
        '{price, rating, sold_30d}',
        rename_outputs => '{"price": "item_price"}',
        default_values => '{"item_price": 0}'),
    featurestore.request_field('hour', 'int4'),
    featurestore.expression('item_price * (1 - discount)', 'your_price')
]);
