/*
 * source_query.c
 *	  The statements that read a source.
 *
 * All give the same columns: the keys, the time, when the row became known and
 * whether it is deleted where the source tells, and what the source is read
 * for.  A sweep reads all keys in order; a range has the events of one key, in
 * order of time; a point is the one row of a key that counts at a time.  The latter are
 * asked for many keys at once, given as arrays: l is one of these.
 *
 * As a probe a statement is about one key, for the planner to say what it
 * costs.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "training/answer.h"

/* How the keys and times that rows are compared with are written. */
typedef struct Names
{
	const char *key;			/* with the number of the key */
	const char *lo;				/* NULL: not compared */
	const char *bound;
	const char *known_at;
} Names;

static const Names of_label = {"l.k%d", "l.lo", "l.bound", "l.known_at"};

/* A time as a literal that means the same whatever the settings; NULL if the source has none. */
static char *
time_literal(Oid type, TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[MAXDATELEN + 1];

	if (!OidIsValid(type))
		return NULL;
	if (timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	tm.tm_isdst = 0;			/* a zone is known, so that it is written */
	if (type == DATEOID)
		EncodeDateOnly(&tm, USE_ISO_DATES, text);
	else
		EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, text);
	return psprintf("'%s'::pg_catalog.%s", text, type == DATEOID ? "date" : "timestamptz");
}

/* The least time that counts for any label. */
static char *
lo_literal(AnswerPass *pass)
{
	TimestampTz lo = window_taker_lo(pass->taker, pass->answer->first_at);

	if (lo < MIN_TIMESTAMP)
		return psprintf("'-infinity'::pg_catalog.%s",
						pass->source->time_type == DATEOID ? "date" : "timestamptz");
	return time_literal(pass->source->time_type, Min(lo, pass->answer->last_bound));
}

/* The columns of a row, as k0, k1, ..., at, arrived, deleted, c0, c1, ... */
static void
append_columns(StringInfo sql, const AnswerSource *source)
{
	for (int i = 0; i < source->nkeys; i++)
		appendStringInfo(sql, "%s AS k%d, ", source->keys[i], i);
	appendStringInfo(sql, "%s AS at", source->time ? source->time : "NULL::pg_catalog.timestamptz");
	if (source->arrived)
		appendStringInfo(sql, ", %s AS arrived", source->arrived);
	if (source->deleted)
		appendStringInfo(sql, ", %s AS deleted", source->deleted);
	for (int i = 0; i < source->ncolumns; i++)
		appendStringInfo(sql, ", %s AS c%d", source->columns[i], i);
}

/* " FROM source WHERE": the rows that count, whatever key and time; conditions can follow. */
static void
append_source(StringInfo sql, AnswerPass *pass)
{
	const AnswerSource *source = pass->source;

	appendStringInfo(sql, " FROM %s AS source WHERE %s%s%s", source->relation,
					 source->filter ? "(" : "", source->filter ? source->filter : "true",
					 source->filter ? ")" : "");
	if (pass->answer->visible_in && source->is_restricted)
		appendStringInfo(sql, " AND featurestore._is_visible_in(source.xmin, %s::pg_catalog.pg_snapshot)",
						 quote_literal_cstr(pass->answer->visible_in));
}

/* " AND the time is within bounds". */
static void
append_times(StringInfo sql, const AnswerSource *source, const Names *names)
{
	bool		is_events = source->kind == SOURCE_EVENTS;

	if (!source->time)
		return;
	if (is_events)
		appendStringInfo(sql, " AND %s OPERATOR(pg_catalog.>=) %s", source->time, names->lo);
	/* A day begins before what is within it */
	appendStringInfo(sql, " AND %s OPERATOR(pg_catalog.<%s) %s", source->time,
					 is_events && source->time_type != DATEOID ? "" : "=", names->bound);
}

/* " AND the row was known", for one row of each key that is to be found. */
static void
append_known(StringInfo sql, const AnswerSource *source, const Names *names)
{
	if (source->arrived)
		appendStringInfo(sql, " AND %s OPERATOR(pg_catalog.<=) %s", source->arrived, names->known_at);
}

/* " AND the key is that asked for". */
static void
append_keys(StringInfo sql, const AnswerSource *source, const Names *names)
{
	for (int i = 0; i < source->nkeys; i++)
	{
		appendStringInfo(sql, " AND %s %s ", source->keys[i],
						 equality_operator_text(source->key_types[i]));
		appendStringInfo(sql, names->key, i + (names == &of_label ? 0 : 1));
	}
}

/* " ORDER BY" the time, maybe newest first. */
static void
append_order(StringInfo sql, const AnswerSource *source, const char *before, bool is_desc)
{
	const char *separator = " ORDER BY ";
	const char *suffix = is_desc ? " DESC" : "";
	ListCell   *lc;

	if (before)
	{
		appendStringInfo(sql, "%s%s", separator, before);
		separator = ", ";
	}
	if (source->time)
	{
		appendStringInfo(sql, "%s%s%s", separator, source->time, suffix);
		separator = ", ";
	}
	foreach(lc, source->order)
	{
		appendStringInfo(sql, "%s%s%s", separator, (char *) lfirst(lc), suffix);
		separator = ", ";
	}
}

/* The rows of all keys, by key and time. */
char *
sweep_query(AnswerPass *pass)
{
	const AnswerSource *source = pass->source;
	Names		names = {.lo = source->kind == SOURCE_EVENTS ? lo_literal(pass) : NULL,
		.bound = time_literal(source->time_type, pass->answer->last_bound)};
	StringInfoData keys;
	StringInfoData sql;

	initStringInfo(&keys);
	for (int i = 0; i < source->nkeys; i++)
		appendStringInfo(&keys, "%s%s", i ? ", " : "", source->keys[i]);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	append_columns(&sql, source);
	append_source(&sql, pass);
	append_times(&sql, source, &names);
	append_order(&sql, source, keys.data, false);
	return sql.data;
}

/* Puts "FROM what labels ask" around a statement about l. */
static char *
for_labels(const AnswerSource *source, const char *inner, const char *first, const char *more)
{
	StringInfoData sql;
	int			narrays = source->nkeys;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %sf.* FROM ROWS FROM (", first);
	for (const char *name = more; *name; name++)
		narrays += *name == ',';
	for (int i = 0; i < narrays; i++)
		appendStringInfo(&sql, "%spg_catalog.unnest($%d)", i ? ", " : "", i + 1);
	appendStringInfoString(&sql, ") WITH ORDINALITY AS l(");
	for (int i = 0; i < source->nkeys; i++)
		appendStringInfo(&sql, "k%d, ", i);
	appendStringInfo(&sql, "%s n) CROSS JOIN LATERAL (%s) AS f", more, inner);
	return sql.data;
}

/*
 * The row of each key that counts.  Arrays: the keys, then bounds, then
 * known_at where rows tell when they became known.
 */
char *
point_query(AnswerPass *pass, bool is_probe)
{
	const AnswerSource *source = pass->source;
	Names		of_probe = {.key = "$%d",.bound = psprintf("$%d", source->nkeys + 1),
		.known_at = psprintf("$%d", source->nkeys + 2)};
	const Names *names = is_probe ? &of_probe : &of_label;
	bool		is_dated = source->kind == SOURCE_DATED_VERSIONS;
	StringInfoData sql;

	initStringInfo(&sql);
	if (is_dated)
		appendStringInfo(&sql, "SELECT * FROM (SELECT DISTINCT ON (%s) ", source->time);
	else
		appendStringInfoString(&sql, "SELECT ");
	append_columns(&sql, source);
	append_source(&sql, pass);
	append_keys(&sql, source, names);
	append_times(&sql, source, names);
	append_known(&sql, source, names);
	append_order(&sql, source, NULL, true);
	if (is_dated)
		appendStringInfoString(&sql, ") AS version WHERE NOT version.deleted ORDER BY version.at DESC");
	/* A key that has two current rows is an error, which is not to be hidden */
	appendStringInfoString(&sql, source->kind == SOURCE_CURRENT ? " LIMIT 2" : " LIMIT 1");
	if (is_probe)
		return sql.data;
	return for_labels(source, sql.data, "l.n, ", source->arrived ? "bound, known_at," : "bound,");
}

/* The events of each key that can count, by time.  Arrays: the keys, then lo, then bounds. */
char *
range_query(AnswerPass *pass, bool is_probe)
{
	const AnswerSource *source = pass->source;
	Names		of_probe = {.key = "$%d",.lo = lo_literal(pass),
		.bound = time_literal(source->time_type, pass->answer->last_bound)};
	const Names *names = is_probe ? &of_probe : &of_label;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	append_columns(&sql, source);
	append_source(&sql, pass);
	append_keys(&sql, source, names);
	append_times(&sql, source, names);
	append_order(&sql, source, NULL, false);
	if (is_probe)
		return sql.data;
	/* OFFSET keeps the subquery as it is, so that rows come in the order of the labels */
	appendStringInfoString(&sql, " OFFSET 0");
	return for_labels(source, sql.data, "", "lo, bound,");
}
