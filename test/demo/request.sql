/*
 * One shopper, 200 candidates: each comes back as a row, in the order asked.
 */
SELECT item_id, item_price, round(your_price::numeric, 2) AS your_price, popularity,
       shoppers, popularity_1h, units, orders_90d AS orders, clicks, seen
FROM rec.ranker_batch(
    user_id => '{4711}',
    item_id => ARRAY(SELECT item_id FROM rec.item_catalogue
                     ORDER BY item_id <> 17, sold_30d DESC LIMIT 200),
    hour    => '{20}')
LIMIT 6;
