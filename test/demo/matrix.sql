/*
 * The same as one block of numbers, which is what a model is fed with.
 */
SELECT rec.ranker_matrix(ARRAY[:user::bigint], :items, '{20}');
