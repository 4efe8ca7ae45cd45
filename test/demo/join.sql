/*
 * The same, written by hand: the fastest form we know.  The shopper's side is
 * read once, the newest session through its index.
 */
SELECT :user::bigint AS user_id, c.item_id, u.age, u.orders_90d, u.avg_basket,
       coalesce(u.discount, 0) AS discount, s.last_actions, s.distinct_items,
       coalesce(i.price, 0) AS item_price, i.rating, i.sold_30d, 20 AS hour,
       coalesce(i.price, 0) * (1 - coalesce(u.discount, 0)) AS your_price
FROM (SELECT) AS one
LEFT JOIN rec.user_profile u ON u.user_id = :user
LEFT JOIN LATERAL (
    SELECT last_actions, distinct_items FROM rec.user_feature_store
    WHERE user_id = :user AND window_start <= now()
      AND window_start >= now() - interval '1 day'
    ORDER BY window_start DESC LIMIT 1) s ON true
CROSS JOIN unnest(:items::bigint[]) AS c(item_id)
LEFT JOIN rec.item_catalogue i USING (item_id);
