/*
 * What the picture shows, one thing a line and by time: the events of item 17,
 * its popularity computed from these right after each instant at which it
 * changes, and what was served.
 */
WITH clock AS (
    SELECT min(at) AS zero, max(at) AS last FROM demo.served
), event AS (
    SELECT at, CASE action WHEN 'buy' THEN 10 WHEN 'cart' THEN 3 ELSE 1 END AS weight
    FROM rec_offline.interactions, clock WHERE item_id = 17 AND at BETWEEN zero - interval '11 s' AND last
), instant AS (
    SELECT zero AS at FROM clock UNION SELECT last FROM clock
    UNION SELECT c.at FROM event, clock, unnest(ARRAY[event.at + interval '0.5 s', event.at + interval '10.5 s']) AS c(at)
          WHERE c.at BETWEEN zero AND last
), thing AS (
    SELECT 'event' AS what, at, weight::bigint AS value FROM event
    UNION ALL SELECT 'truth', i.at, (SELECT coalesce(sum(weight), 0) FROM event AS e
                                     WHERE e.at > i.at - interval '10.5 s' AND e.at <= i.at - interval '0.5 s')
    FROM instant AS i
    UNION ALL SELECT 'served', at, popularity FROM demo.served
)
SELECT what, round(extract(epoch FROM at - zero), 4), value FROM thing, clock WHERE at >= zero ORDER BY at, what;
