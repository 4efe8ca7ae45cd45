/*
 * Stock must not lag at all: who changes it changes what is served in the same
 * transaction.
 */
SELECT featurestore.publish_table('rec_offline.stock', 'rec.stock',
                                  publish_mode => 'SYNCHRONOUS');
