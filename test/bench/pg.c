/*
 * pg.c
 *	  The libpq side: prepared statements, binary both ways.
 *
 * Arrays are written and read in their wire format, with no conversion library
 * between: what is timed is the server and the protocol.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOOLOID 16
#define INT8OID 20
#define INT4OID 23
#define FLOAT4OID 700
#define FLOAT8OID 701
#define ARRAY_HEADER 20
#define MAX_ARGS 3

typedef struct Argument
{
	int			length;
	char		data[ARRAY_HEADER + MAX_ITEMS * 12];
} Argument;

static void
run(PGconn *conn, const char *sql)
{
	PGresult   *res = PQexec(conn, sql);

	if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
		die("%s", PQerrorMessage(conn));
	PQclear(res);
}

/*
 * A new server process maps each page of shared memory when it first touches
 * it, and that costs more than reading a row.  One walk through every index
 * and its table gets this over with.
 */
static void
touch_all_pages(PGconn *conn)
{
	run(conn, "SET enable_seqscan = off; SET enable_bitmapscan = off; SET max_parallel_workers_per_gather = 0");
	run(conn, "SELECT count(u9) FROM bench.users WHERE user_id > 0");
	run(conn, "SELECT count(s9) FROM bench.sessions WHERE user_id > 0");
	run(conn, "SELECT count(i9) FROM bench.items WHERE item_id > 0");
	run(conn, "RESET enable_seqscan; RESET enable_bitmapscan; RESET max_parallel_workers_per_gather");
}

void
backend_open(Backend *b, const char *settings)
{
	char		path[64];

	b->conn = PQconnectdb("");
	if (PQstatus(b->conn) != CONNECTION_OK)
		die("%s", PQerrorMessage(b->conn));
	touch_all_pages(b->conn);
	run(b->conn, settings);
	keep_on_one_cpu(PQbackendPID(b->conn));
	snprintf(path, sizeof(path), "/proc/%d/schedstat", PQbackendPID(b->conn));
	b->schedstat = open(path, O_RDONLY);
	if (b->schedstat < 0)
		die("cannot read %s: the benchmark needs Linux and a local server", path);
}

/* Lets a backend run on any CPU, for its workers do. */
void
backend_free(Backend *b)
{
	keep_on_any_cpu(PQbackendPID(b->conn));
}

/* Asks the system to forget the pages of a table; what is in shared buffers stays there. */
void
forget_pages(Backend *b, const char *table)
{
	static int	files[16];
	static int	nfiles = 0;

	if (nfiles == 0)
	{
		char		sql[256];
		PGresult   *res;

		run(b->conn, "CHECKPOINT");
		snprintf(sql, sizeof(sql), "SELECT current_setting('data_directory') || '/' || pg_relation_filepath('%s')", table);
		res = PQexec(b->conn, sql);
		if (PQresultStatus(res) != PGRES_TUPLES_OK)
			die("%s", PQerrorMessage(b->conn));
		for (; nfiles < 16; nfiles++)
		{
			char		path[1024];

			snprintf(path, sizeof(path), nfiles ? "%s.%d" : "%s", PQgetvalue(res, 0, 0), nfiles);
			files[nfiles] = open(path, O_RDONLY);
			if (files[nfiles] < 0)
				break;
		}
		PQclear(res);
		if (nfiles == 0)
			die("cannot read the files of %s", table);
	}
	for (int i = 0; i < nfiles; i++)
		posix_fadvise(files[i], 0, 0, POSIX_FADV_DONTNEED);
}

/* Looks up every user, session and item once. */
void
backend_look_up_all(Backend *b)
{
	run(b->conn, "SELECT count(bench.ranker_matrix(users, items, '{0}')) FROM ("
		"SELECT array_agg(user_id) AS users, array_agg(1 + user_id % (SELECT count(*) FROM bench.items)) AS items "
		"FROM bench.users GROUP BY user_id / 1000) ids");
}

void
backend_close(Backend *b)
{
	close(b->schedstat);
	PQfinish(b->conn);
}

/*
 * CPU time the server process has used, in microseconds.  The kernel adds up a
 * process's time when it leaves the CPU, so it is given a moment to go idle.
 */
double
backend_cpu(Backend *b)
{
	char		buf[64];
	ssize_t		n;

	usleep(300);
	n = pread(b->schedstat, buf, sizeof(buf) - 1, 0);
	if (n <= 0)
		die("cannot read schedstat of the server process");
	buf[n] = '\0';
	return strtod(buf, NULL) / 1000;
}

void
pg_prepare(Side *s)
{
	PGresult   *res = PQprepare(s->backend->conn, s->name, s->sql, 0, NULL);

	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		die("%s: %s", s->name, PQerrorMessage(s->backend->conn));
	PQclear(res);
}

static char *
put_int32(char *p, int32_t v)
{
	uint32_t	n = htonl((uint32_t) v);

	memcpy(p, &n, 4);
	return p + 4;
}

static char *
put_int64(char *p, int64_t v)
{
	uint64_t	n = htobe64((uint64_t) v);

	memcpy(p, &n, 8);
	return p + 8;
}

/* Array header: dimensions, no NULLs, element type, length, lower bound. */
static char *
put_array_header(char *p, int type, int n)
{
	p = put_int32(p, 1);
	p = put_int32(p, 0);
	p = put_int32(p, type);
	p = put_int32(p, n);
	return put_int32(p, 1);
}

static void
put_argument(Argument *a, char kind, const Request *r)
{
	const int64_t *ids = (kind == 'u' || kind == 'U') ? &r->user : r->items;
	int			n = kind == 'I' ? r->nitems : 1;
	char	   *p = a->data;

	if (kind == 'h')
		p = put_int32(p, r->hour);
	else if (kind == 'H')
	{
		p = put_array_header(p, INT4OID, 1);
		p = put_int32(p, 4);
		p = put_int32(p, r->hour);
	}
	else if (kind == 'u' || kind == 'i')
		p = put_int64(p, ids[0]);
	else
	{
		p = put_array_header(p, INT8OID, n);
		for (int i = 0; i < n; i++)
			p = put_int64(put_int32(p, 8), ids[i]);
	}
	a->length = p - a->data;
}

/* One call of a prepared statement. */
PGresult *
pg_send(Side *s, const Request *r)
{
	static Argument args[MAX_ARGS];
	const char *values[MAX_ARGS];
	int			lengths[MAX_ARGS];
	int			formats[MAX_ARGS];
	int			n = strlen(s->args);
	PGresult   *res;

	for (int i = 0; i < n; i++)
	{
		put_argument(&args[i], s->args[i], r);
		values[i] = args[i].data;
		lengths[i] = args[i].length;
		formats[i] = 1;
	}
	res = PQexecPrepared(s->backend->conn, s->name, n, values, lengths, formats, 1);
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		die("%s: %s", s->name, PQerrorMessage(s->backend->conn));
	return res;
}

static float
get_float(const char *p)
{
	uint32_t	n;
	float		v;

	memcpy(&n, p, 4);
	n = ntohl(n);
	memcpy(&v, &n, 4);
	return v;
}

static int32_t
get_int32(const char *p)
{
	uint32_t	n;

	memcpy(&n, p, 4);
	return (int32_t) ntohl(n);
}

/* float4[] on the wire: header, then length and value of each element. */
static int
decode_vector(const char *p, double *out)
{
	int			n = get_int32(p + 12);

	p += ARRAY_HEADER;
	for (int i = 0; i < n; i++)
	{
		int			len = get_int32(p);

		p += 4;
		out[i] = len < 0 ? NAN : get_float(p);
		p += len < 0 ? 0 : len;
	}
	return n;
}

/* A matrix is plain little-endian floats. */
static int
decode_matrix(const char *p, int length, double *out)
{
	int			n = length / 4;

	for (int i = 0; i < n; i++)
	{
		uint32_t	bits;
		float		v;

		memcpy(&bits, p + 4 * i, 4);
		bits = le32toh(bits);
		memcpy(&v, &bits, 4);
		out[i] = v;
	}
	return n;
}

/* The numbers of an answer, row by row; returns how many. */
int
pg_decode(Side *s, const PGresult *res, double *out)
{
	int			n = 0;

	if (s->decode == DECODE_MATRIX)
		n = decode_matrix(PQgetvalue(res, 0, 0), PQgetlength(res, 0, 0), out);
	else if (s->decode == DECODE_VECTORS)
		for (int i = 0; i < PQntuples(res); i++)
			n += decode_vector(PQgetvalue(res, i, 0), out + n);
	return n;
}

/* One field of a typed row as a number; NULL is NaN. */
double
pg_number(const PGresult *res, int row, int col)
{
	const char *p = PQgetvalue(res, row, col);
	uint64_t	bits;
	double		v;

	if (PQgetisnull(res, row, col))
		return NAN;
	switch (PQftype(res, col))
	{
		case BOOLOID:
			return *p != 0;
		case INT4OID:
			return get_int32(p);
		case FLOAT4OID:
			return get_float(p);
	}
	memcpy(&bits, p, 8);
	bits = be64toh(bits);
	if (PQftype(res, col) == INT8OID)
		return (double) (int64_t) bits;
	if (PQftype(res, col) != FLOAT8OID)
		die("column %s has an unexpected type", PQfname(res, col));
	memcpy(&v, &bits, 8);
	return v;
}
