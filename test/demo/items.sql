/*
 * The same for items: the shop never reads the warehouse's own tables.
 */
SELECT featurestore.publish_table('rec_offline.items', 'rec.item_catalogue',
                                  publish_mode => 'SNAPSHOT');
