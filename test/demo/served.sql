/*
 * Asks for item 17 as the model does, and keeps the answer, the time it is for,
 * what had been applied by then, and the stock there was.
 */
INSERT INTO demo.served
SELECT statement_timestamp(), p.snapshot, r.popularity, r.shoppers, r.popularity_1h, r.units, s.units
FROM rec.ranker(4711, 17, 20) AS r, featurestore.publication_position AS p, rec_offline.stock AS s
WHERE p.relation = 'rec.item_activity'::regclass AND s.item_id = 17;
