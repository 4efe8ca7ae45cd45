/*
 * What the application writes when a shopper looks at an item: one statement,
 * in the transaction it has open anyway.
 */
INSERT INTO rec.user_feature_store AS s
VALUES (4711, date_bin('30 min', now(), 'epoch'),
        date_bin('30 min', now(), 'epoch') + interval '30 min',
        ARRAY[:item, 0, 0, 0, 0], 1)
ON CONFLICT (user_id, window_start, window_end) DO UPDATE
SET last_actions = (:item || s.last_actions)[1:5],
    distinct_items = s.distinct_items + (:item <> ALL (s.last_actions))::int;
