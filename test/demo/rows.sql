/*
 * The lookup that is timed: typed rows of one shopper and 200 candidates.
 */
SELECT * FROM rec.ranker_batch(ARRAY[:user::bigint], :items, '{20}');
