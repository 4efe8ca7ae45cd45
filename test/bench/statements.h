/*
 * statements.h
 *	  The statements that are compared.
 *
 * A form is one way to write the join by hand; "run --forms" measures them all
 * and the fastest is what lookups are compared with.  All run as prepared
 * statements with generic plans: nested loops over index scans.  Server CPU of
 * the forms in terms of the first (PostgreSQL 15, 1 M users, 200 k items):
 *
 * one user and item
 *	 0	1.00  keys as parameters
 *	 1	1.00  keys from a row of VALUES
 *	 2	0.99  as 0, but the item is joined first
 *	 3	0.98  as 0, but one float4[] instead of columns; no typed row
 * one user and 500 items
 *	 0	1.00  every table joined to unnest() WITH ORDINALITY, ordered by that
 *	 1	0.99  the user's side in a subselect of its own, ordered
 *	 2	0.95  as 1, with no ORDER BY: the loops keep the order as it is
 *	 3	0.95  as 2, with a MATERIALIZED common table expression
 *	 4	1.00  as 0, with no ORDER BY
 *	 5	0.95  as 2, the keys ordered before the join
 *	 6	0.97  as 2, but one float4[] a row instead of columns
 *	 7	0.76  one row: the user's columns once, an array for each item column
 *
 * The planner knows that WITH ORDINALITY is in order, so ORDER BY costs no
 * sort, only a column.  The last form does not give a row for each item, so it
 * is not what the targets are about; the matrix is compared with it as well.
 */
#ifndef STATEMENTS_H
#define STATEMENTS_H

#define USER_COLUMNS "u0, u1, u2, u3, u4, u5, u6, u7, u8, u9"
#define SESSION_COLUMNS "s0, s1, s2, s3, s4, s5, s6, s7, s8, s9"
#define ITEM_COLUMNS "i0, i1, i2, i3, i4, i5, i6, i7, i8, i9"
#define OUTPUTS USER_COLUMNS ", " SESSION_COLUMNS ", " ITEM_COLUMNS ", $3::int4 AS hour"

#define CAST4(p) p "0::float4, " p "1::float4, " p "2::float4, " p "3::float4, " p "4::float4, " \
	p "5::float4, " p "6::float4, " p "7::float4, " p "8::float4, "
#define VECTOR "ARRAY[" CAST4("u") "u9::int::float4, " CAST4("s") "s9::int::float4, " CAST4("i") "i9::float4, " \
	"$3::int4::float4]"

#define SESSION "LEFT JOIN bench.sessions s ON s.user_id = $1 "
#define ITEM_ARRAYS \
	"array_agg(i0), array_agg(i1), array_agg(i2), array_agg(i3), array_agg(i4), " \
	"array_agg(i5), array_agg(i6), array_agg(i7), array_agg(i8), array_agg(i9)"
#define ONE "(SELECT) one "
#define USER "LEFT JOIN bench.users u ON u.user_id = $1 "
#define PROFILE "(SELECT " USER_COLUMNS ", " SESSION_COLUMNS " FROM " ONE USER SESSION "OFFSET 0) p "
#define REQUESTED "unnest($2::bigint[]) WITH ORDINALITY r(item_id, n) "
#define ITEM_OF_R "LEFT JOIN bench.items i ON i.item_id = r.item_id "

#define KEYS "$1::bigint AS user_id, $2::bigint AS item_id, "
#define KEYS_OF_R "$1::bigint AS user_id, r.item_id, "

/* The ones that lookups are compared with */
#define BEST_SINGLE \
	"SELECT " KEYS OUTPUTS " FROM " ONE "LEFT JOIN bench.items i ON i.item_id = $2 " SESSION USER
#define BEST_BATCH \
	"SELECT " KEYS_OF_R OUTPUTS " FROM " PROFILE "CROSS JOIN " REQUESTED ITEM_OF_R
#define ARRAYS_BATCH \
	"SELECT p.*, a.*, $3::int4 AS hour FROM " PROFILE \
	"CROSS JOIN (SELECT " ITEM_ARRAYS " FROM " REQUESTED ITEM_OF_R ") a"

/* Ten of the columns, by the best form */
#define TEN_OF_PROFILE "u0, u3, u6, s0, s3"
#define TEN TEN_OF_PROFILE ", i0, i1, i3, i6, i8"
#define TEN_JOIN \
	"SELECT " TEN " FROM (SELECT " TEN_OF_PROFILE " FROM " ONE USER SESSION "OFFSET 0) p " \
	"CROSS JOIN " REQUESTED ITEM_OF_R
#define TEN_LOOKUP "SELECT " TEN " FROM bench.ranker_batch($1, $2, $3)"

/*
 * All requests of a table scored in one statement.  The scores are added up, so
 * that it is neither the client nor a result table that is measured; what is
 * exact whatever the order is compared.
 */
#define SCORE \
	"SELECT count(*), count(u0), count(s9), count(i0), sum(u6::bigint + s6 + i6) AS exact, " \
	"sum(u0 + u1 + u2 + u3 + u4 + u5 + u6 + u7 + u8 + u9::int + s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + " \
	"s9::int + i0 + i1 + i2 + i3 + i4 + i5 + i6 + i7 + i8 + i9) > 0 AS scored FROM bench.requests r "
#define SCORE_JOIN SCORE \
	"LEFT JOIN bench.users u USING (user_id) LEFT JOIN bench.sessions s USING (user_id) " \
	"LEFT JOIN bench.items i USING (item_id)"
#define SCORE_LOOKUP SCORE "CROSS JOIN LATERAL bench.ranker(r.user_id, r.item_id, r.hour)"

static const char *const single_forms[] = {
	"SELECT " KEYS OUTPUTS " FROM " ONE USER SESSION "LEFT JOIN bench.items i ON i.item_id = $2",
	"SELECT k.user_id, k.item_id, " OUTPUTS " FROM (VALUES ($1::bigint, $2::bigint)) k(user_id, item_id) "
	"LEFT JOIN bench.users u USING (user_id) LEFT JOIN bench.sessions s USING (user_id) "
	"LEFT JOIN bench.items i USING (item_id)",
	BEST_SINGLE,
	"SELECT " VECTOR " FROM " ONE USER SESSION "LEFT JOIN bench.items i ON i.item_id = $2",
};

static const char *const batch_forms[] = {
	"SELECT " KEYS_OF_R OUTPUTS " FROM " REQUESTED USER SESSION ITEM_OF_R "ORDER BY r.n",
	"SELECT " KEYS_OF_R OUTPUTS " FROM " PROFILE "CROSS JOIN " REQUESTED ITEM_OF_R "ORDER BY r.n",
	BEST_BATCH,
	"WITH p AS MATERIALIZED (SELECT * FROM " PROFILE ") "
	"SELECT " KEYS_OF_R OUTPUTS " FROM p CROSS JOIN " REQUESTED ITEM_OF_R,
	"SELECT " KEYS_OF_R OUTPUTS " FROM " REQUESTED USER SESSION ITEM_OF_R,
	"SELECT " KEYS_OF_R OUTPUTS " FROM " PROFILE
	"CROSS JOIN (SELECT * FROM " REQUESTED "ORDER BY n OFFSET 0) r " ITEM_OF_R,
	"SELECT " VECTOR " FROM " PROFILE "CROSS JOIN " REQUESTED ITEM_OF_R,
	ARRAYS_BATCH,
};

#define ITEM_JOIN \
	"SELECT r.item_id, " ITEM_COLUMNS " FROM unnest($1::bigint[]) WITH ORDINALITY r(item_id, n) " ITEM_OF_R \
	"ORDER BY r.n"

#define NFORMS(forms) ((int) (sizeof(forms) / sizeof((forms)[0])))

#endif							/* STATEMENTS_H */
