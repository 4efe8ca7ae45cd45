/*
 * What the demo measures: answers, and how long after its commit a change is
 * seen by a lookup.
 */
CREATE SCHEMA demo;
CREATE TABLE demo.began AS SELECT clock_timestamp() AS at;
CREATE TABLE demo.served (at timestamptz, applied pg_snapshot, popularity bigint, shoppers bigint, popularity_1h bigint,
	units int, true_units int);
CREATE TABLE demo.delay (ms float8);

CREATE PROCEDURE demo.measure_delay(n int) LANGUAGE plpgsql AS $$
DECLARE
	committed timestamptz;
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM pg_sleep(0.01 * random());
		UPDATE rec_offline.users SET orders_90d = i WHERE user_id = 1;
		COMMIT;
		committed := clock_timestamp();
		WHILE (SELECT orders_90d FROM rec.ranker(1, 17, 20)) <> i LOOP
			IF clock_timestamp() > committed + interval '10 s' THEN
				RAISE EXCEPTION 'a change was not applied within ten seconds';
			END IF;
			PERFORM pg_sleep(0.0002);
		END LOOP;
		INSERT INTO demo.delay VALUES (1000 * extract(epoch FROM clock_timestamp() - committed));
	END LOOP;
END
$$;
