/*
 * The same when he buys: what is sold is not in stock any more.
 */
BEGIN;
INSERT INTO rec_offline.interactions (user_id, item_id, action) VALUES (:user, :item, 'buy');
UPDATE rec_offline.stock SET units = units - 1 WHERE item_id = :item;
SELECT rec.session_write(ARRAY[:user]::bigint[], ARRAY[now()], '{1}', ARRAY[:item]::bigint[],
                         batch_id => :request);
COMMIT;
