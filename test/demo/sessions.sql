/*
 * Session state is written by the application itself: an ordinary table, told
 * to the feature store.
 */
CREATE TABLE rec.user_feature_store (
    user_id        bigint,
    window_start   timestamptz,
    window_end     timestamptz,
    last_actions   bigint[] NOT NULL,      -- five items, newest first
    distinct_items int NOT NULL,
    PRIMARY KEY (user_id, window_start, window_end)
);
SELECT featurestore.create_online_table('rec.user_feature_store',
           timeseries_column => 'window_start', ttl => '1 day');
