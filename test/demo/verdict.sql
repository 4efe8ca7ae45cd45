/*
 * Answers that differ from the truth, and rows that differ from their source.
 */
CREATE VIEW demo.verdict AS
SELECT 'popularity, shoppers and popularity_1h of item 17, served' AS what, count(*) AS compared,
       count(*) FILTER (WHERE (popularity, shoppers, popularity_1h) IS DISTINCT FROM (true_popularity, true_shoppers, true_popularity_1h)) AS different,
       count(*) FILTER (WHERE behind > 0) AS with_events_on_their_way
FROM demo.truth
UNION ALL
SELECT 'units of item 17, served', count(*), count(*) FILTER (WHERE units IS DISTINCT FROM true_units), NULL
FROM demo.served
UNION ALL
SELECT 'profiles in rec.user_profile', count(*), count(*) FILTER (WHERE p IS DISTINCT FROM u), NULL
FROM (SELECT user_id, p::text AS p FROM rec.user_profile AS p) AS p FULL JOIN (SELECT user_id, u::text AS u FROM rec_offline.users AS u) AS u USING (user_id)
UNION ALL
SELECT 'clicks in rec.session', count(*), count(*) FILTER (WHERE s.clicks IS DISTINCT FROM e.clicks), NULL
FROM rec.session AS s
FULL JOIN (SELECT user_id, count(*) AS clicks FROM rec_offline.interactions WHERE at > (SELECT at FROM demo.began) GROUP BY 1) AS e USING (user_id);
SELECT * FROM demo.verdict;
