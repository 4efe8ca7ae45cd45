/*
 * Waits, if need be, until the worker has applied all that was committed.
 */
CREATE PROCEDURE demo.wait_until_applied() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		IF NOT EXISTS (SELECT FROM featurestore.freshness WHERE pending > 0) THEN
			RETURN;
		END IF;
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RAISE EXCEPTION 'changes were not applied within ten seconds';
END
$$;
CALL demo.wait_until_applied();
