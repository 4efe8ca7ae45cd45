/*
 * The answers again, by plain SQL over the raw events: those before the head of
 * the window, and of these the ones whose transactions had been applied.
 */
CREATE VIEW demo.truth AS
SELECT s.at, s.popularity, s.shoppers, s.popularity_1h, e.*
FROM demo.served AS s CROSS JOIN LATERAL (
    SELECT coalesce(sum(weight) FILTER (WHERE at >= s.at - interval '10.5 s' AND at < s.at - interval '0.5 s' AND is_applied), 0) AS true_popularity,
           count(DISTINCT user_id) FILTER (WHERE at >= head - interval '10 s' AND at < head AND is_applied) AS true_shoppers,
           coalesce(sum(weight) FILTER (WHERE is_applied), 0) AS true_popularity_1h,
           count(*) FILTER (WHERE NOT is_applied) AS behind
    FROM (SELECT at, user_id, CASE action WHEN 'buy' THEN 10 WHEN 'cart' THEN 3 ELSE 1 END AS weight,
                 pg_visible_in_snapshot(xmin::text::xid8, s.applied) AS is_applied,
                 date_bin('1 s', s.at - interval '0.5 s', 'epoch') AS head
          FROM rec_offline.interactions
          WHERE item_id = 17 AND at < s.at
              AND at >= date_bin('1 min', s.at - interval '1 hour', 'epoch')) AS i) AS e;
