/*
 * The catalogue comes once a night.
 */
SELECT featurestore.publish_table('rec_offline.items', 'rec.item_catalogue',
                                  publish_mode => 'SNAPSHOT', schedule => '0 3 * * *');
