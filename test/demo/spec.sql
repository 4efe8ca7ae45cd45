/*
 * What the model needs, by name: profile, session, catalogue, stock, what goes
 * on right now, one value that only the request knows, and two that are computed.
 */
SELECT featurestore.create_feature_spec('rec.ranker', exclude_columns => '{last_items}', items => ARRAY[
    featurestore.lookup('rec.user_profile', '{user_id}', '{age, orders_90d, avg_basket, discount}',
        default_values => '{"discount": 0}'),
    featurestore.lookup('rec.session', '{user_id}', '{clicks, last_items}',
        default_values => '{"clicks": 0}'),
    featurestore.lookup('rec.item_catalogue', '{item_id}', '{price, rating, sold_30d}',
        rename_outputs => '{"price": "item_price"}',
        default_values => '{"item_price": 0}'),
    featurestore.lookup('rec.stock', '{item_id}', '{units}'),
    featurestore.feature('{rec.popularity, rec.shoppers, rec.popularity_1h}',
        default_values => '{"popularity": 0, "popularity_1h": 0}'),
    featurestore.request_field('hour', 'int4'),
    featurestore.expression('coalesce(item_id = ANY (last_items), false)', 'seen'),
    featurestore.expression('item_price * (1 - discount)', 'your_price')
]);
