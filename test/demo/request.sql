/*
 * One shopper, 200 candidates: each comes back as a row, in the order asked.
 */
SELECT item_id, item_price, round(your_price::numeric, 2) AS your_price,
       rating, orders_90d AS orders, distinct_items AS seen, last_actions
FROM rec.ranker_batch(
    user_id => '{4711}',
    item_id => ARRAY(SELECT item_id FROM rec.item_catalogue
                     WHERE category = 'garden'
                     ORDER BY sold_30d DESC LIMIT 200),
    hour    => '{20}')
LIMIT 6;
