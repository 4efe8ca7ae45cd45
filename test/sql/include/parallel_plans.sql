-- Makes parallel plans cheap, and tells whether a query has a node of a lookup below a Gather
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE FUNCTION is_parallel(query text, node text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
	is_below boolean := false;
	is_parallel boolean := false;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		is_below := is_below OR line ~ 'Gather';
		is_parallel := is_parallel OR is_below AND line ~ format('\(%s\)', node);
	END LOOP;
	RETURN is_parallel;
END
$$;
