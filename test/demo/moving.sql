/*
 * What a lookup gives of item 17, and totals.
 */
SELECT r.popularity, r.shoppers, (SELECT count(*) FROM rec_offline.interactions) AS events,
       (SELECT sum(clicks) FROM rec.session) AS clicks
FROM rec.ranker(4711, 17, 20) AS r;
