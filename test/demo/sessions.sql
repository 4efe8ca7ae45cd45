/*
 * Session state is written by the application itself.  How a new value and a
 * stored one become one is declared: clicks add up, the last items are kept.
 */
CREATE TABLE rec.session (
    user_id    bigint PRIMARY KEY,
    at         timestamptz NOT NULL,
    clicks     bigint,
    last_items bigint[]
);
SELECT featurestore.create_online_table('rec.session', timeseries_column => 'at', ttl => '30 minutes',
    merge => '{"clicks": "add", "last_items": "last_n(5)"}');
