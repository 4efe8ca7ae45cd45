/*
 * Publishing makes an online table and keeps it in step with its source.
 */
SELECT featurestore.publish_table('rec_offline.users', 'rec.user_profile',
                                  publish_mode => 'SNAPSHOT');
