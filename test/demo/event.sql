/*
 * What the application does when a shopper does something: it notes the event,
 * and tells the session by the table's own writer.
 */
BEGIN;
INSERT INTO rec_offline.interactions (user_id, item_id, action) VALUES (:user, :item, :action);
SELECT rec.session_write(ARRAY[:user]::bigint[], ARRAY[now()], '{1}', ARRAY[:item]::bigint[],
                         batch_id => :request);
COMMIT;
