/*
 * The same, written by hand: the fastest form we know.  The shopper's side is
 * read once, the events of an item through an index.
 */
SELECT :user::bigint AS user_id, c.item_id, u.age, u.orders_90d, u.avg_basket,
       coalesce(u.discount, 0) AS discount, coalesce(s.clicks, 0) AS clicks,
       coalesce(i.price, 0) AS item_price, i.rating, i.sold_30d, t.units,
       coalesce(e.popularity, 0) AS popularity, coalesce(e.shoppers, 0) AS shoppers,
       coalesce(e.popularity_1h, 0) AS popularity_1h, 20 AS hour,
       coalesce(c.item_id = ANY (s.last_items), false) AS seen,
       coalesce(i.price, 0) * (1 - coalesce(u.discount, 0)) AS your_price
FROM (SELECT) AS one
LEFT JOIN rec.user_profile u ON u.user_id = :user
LEFT JOIN rec.session s ON s.user_id = :user AND s.at BETWEEN now() - interval '30 minutes' AND now()
CROSS JOIN unnest(:items::bigint[]) AS c(item_id)
LEFT JOIN rec.item_catalogue i USING (item_id)
LEFT JOIN rec.stock t USING (item_id)
CROSS JOIN LATERAL (
    SELECT sum(weight) FILTER (WHERE at >= now() - interval '10.5 seconds' AND at < now() - interval '0.5 seconds') AS popularity,
           count(DISTINCT user_id) FILTER (WHERE at >= head - interval '10 seconds' AND at < head) AS shoppers,
           sum(weight) AS popularity_1h
    FROM (SELECT at, user_id, CASE action WHEN 'buy' THEN 10 WHEN 'cart' THEN 3 ELSE 1 END AS weight,
                 date_bin('1 second', now() - interval '0.5 seconds', 'epoch') AS head
          FROM rec_offline.interactions
          WHERE item_id = c.item_id AND at < now()
              AND at >= date_bin('1 minute', now() - interval '1 hour', 'epoch')) AS i) AS e;
