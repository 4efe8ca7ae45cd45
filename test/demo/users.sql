/*
 * Publishing makes an online table and keeps it in step with its source: here
 * a worker applies what a transaction has changed as soon as it has committed.
 */
SELECT featurestore.publish_table('rec_offline.users', 'rec.user_profile',
                                  publish_mode => 'CONTINUOUS');
