/*
 * What the warehouse has: users and items as batch jobs leave them, and what
 * shoppers did in the last hour.  rec holds what the shop serves from.  psql
 * variables users, items and events give the numbers of rows.
 */
CREATE SCHEMA rec_offline;
CREATE SCHEMA rec;
SELECT setseed(0.5) \g /dev/null

CREATE TABLE rec_offline.users AS
SELECT user_id::bigint, 18 + (random() * 60)::int AS age, user_id::int * 13 % 17 AS orders_90d,
	   round((10 + random() ^ 2 * 190)::numeric, 2)::float8 AS avg_basket,
	   (ARRAY[0, 0, 0.05, 0.1])[1 + user_id % 4]::float8 AS discount
FROM generate_series(1, :users) AS user_id;
ALTER TABLE rec_offline.users ADD PRIMARY KEY (user_id);

CREATE TABLE rec_offline.items AS
SELECT item_id::bigint, (ARRAY['garden', 'kitchen', 'toys', 'books', 'lighting'])[1 + item_id % 5] AS category,
	   round((1 + random() ^ 3 * 200)::numeric, 2)::float8 AS price,
	   round((2 + random() * 3)::numeric, 1)::float8 AS rating, floor(random() ^ 4 * 500)::int AS sold_30d
FROM generate_series(1, :items) AS item_id;
ALTER TABLE rec_offline.items ADD PRIMARY KEY (item_id);

CREATE TABLE rec_offline.stock AS SELECT item_id, 1000 AS units FROM rec_offline.items;
ALTER TABLE rec_offline.stock ADD PRIMARY KEY (item_id);

CREATE TABLE rec_offline.interactions (
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	user_id bigint NOT NULL,
	item_id bigint NOT NULL,
	action text NOT NULL
);
INSERT INTO rec_offline.interactions
SELECT now() - n * interval '1 hour' / :events, 1 + floor(random() * :users), 1 + floor(random() ^ 2 * :items),
	   (ARRAY['view', 'view', 'view', 'view', 'cart', 'buy'])[1 + n % 6]
FROM generate_series(1, :events) AS n;
CREATE INDEX ON rec_offline.interactions (item_id, at);
VACUUM (ANALYZE) rec_offline.users, rec_offline.items, rec_offline.stock, rec_offline.interactions;
