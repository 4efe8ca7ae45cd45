/*
 * stream.c
 *	  The clients of the benchmark of streams, which test/bench/stream runs.
 *
 * Usage: stream freshness SECONDS RATE ROWS WRITE PROBE LOOKUP
 *		  stream lookups SECONDS LOOKUP KEYS
 *		  stream statements ROUNDS CALLS PARAMETERS {NAME FIRST STATEMENT}...
 *
 * Freshness: one connection writes RATE rows a second, ROWS of them with each
 * WRITE, whose $1 is a number that goes up and $2 is ROWS.  Meanwhile another
 * commits a PROBE now and then, which is given a number, $1, and asks LOOKUP for
 * the number of the last one that is there; the time from each commit until then
 * is what is measured.  Neither writes nor probes wait for those before, so that
 * a server that falls behind cannot slow down what measures it.
 *
 * Lookups: LOOKUP again and again, $1 being a random number up to KEYS.
 *
 * Statements: sides that do the same, in rounds of CALLS each, in an order that
 * rotates.  PARAMETERS is a query that gives a row for each call, all made
 * before the clock starts; a side takes as many of its columns as it has
 * parameters, from column FIRST on, the first being 1.
 *
 * Results are lines for psql's \copy, of columns separated by tabs.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define PROBE_PAUSE 20e3		/* microseconds between probes, on average */
#define POLL_PAUSE 300			/* microseconds between lookups */
#define PROBE_LIMIT 20e6		/* microseconds until a probe is given up */
#define MAX_SIDES 8
#define MAX_PARAMETERS 16

static void die(const char *fmt,...) __attribute__((format(printf, 1, 2), noreturn));

static void
die(const char *fmt,...)
{
	va_list		ap;

	va_start(ap, fmt);
	fputs("stream: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static double
microseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void
sleep_until(double at)
{
	double		now = microseconds();

	if (at > now)
		usleep(at - now);
}

static PGconn *
connect_server(void)
{
	PGconn	   *conn = PQconnectdb("");

	if (PQstatus(conn) != CONNECTION_OK)
		die("%s", PQerrorMessage(conn));
	return conn;
}

static void
prepare(PGconn *conn, const char *name, const char *sql)
{
	PGresult   *res = PQprepare(conn, name, sql, 0, NULL);

	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		die("%s", PQerrorMessage(conn));
	PQclear(res);
}

static PGresult *
execute(PGconn *conn, const char *name, int n, const char *const *values)
{
	PGresult   *res = PQexecPrepared(conn, name, n, values, NULL, NULL, 0);

	if (PQresultStatus(res) != PGRES_TUPLES_OK && PQresultStatus(res) != PGRES_COMMAND_OK)
		die("%s", PQerrorMessage(conn));
	return res;
}

/* Executes a statement with numbers as parameters; its result as a number, 0 if there is none */
static long long
execute_numbers(PGconn *conn, const char *name, int n, long long first, long long second)
{
	char		text[2][24];
	const char *values[2] = {text[0], text[1]};
	PGresult   *res;
	long long	result;

	snprintf(text[0], sizeof(text[0]), "%lld", first);
	snprintf(text[1], sizeof(text[1]), "%lld", second);
	res = execute(conn, name, n, values);
	result = PQntuples(res) == 1 ? atoll(PQgetvalue(res, 0, 0)) : 0;
	PQclear(res);
	return result;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

typedef struct Times
{
	int			n;
	int			size;
	double	   *values;
} Times;

static void
add_time(Times *t, double value)
{
	if (t->n == t->size)
	{
		t->size = t->size ? 2 * t->size : 1024;
		t->values = realloc(t->values, t->size * sizeof(double));
		if (!t->values)
			die("out of memory");
	}
	t->values[t->n++] = value;
}

static double
percentile(const Times *t, double p)
{
	return t->n ? t->values[(int) ((t->n - 1) * p)] : 0;
}

/* p50, p99 and the most, in milliseconds, and how many */
static void
print_times(Times *t)
{
	qsort(t->values, t->n, sizeof(double), compare_doubles);
	printf("%.4f\t%.4f\t%.4f\t%d", percentile(t, 0.5) / 1e3, percentile(t, 0.99) / 1e3, percentile(t, 1) / 1e3, t->n);
}

typedef struct Writer
{
	const char *sql;
	double		end;
	double		rate;			/* rows a second; 0 for none */
	int			rows;			/* of a statement */
	double		achieved;
} Writer;

static void *
write_at_rate(void *arg)
{
	Writer	   *w = arg;
	PGconn	   *conn = connect_server();
	double		started = microseconds();
	long long	n = 0;

	prepare(conn, "write", w->sql);
	for (; w->rate > 0 && microseconds() < w->end; n++)
	{
		sleep_until(started + n * w->rows * 1e6 / w->rate);
		execute_numbers(conn, "write", 2, n * w->rows, w->rows);
	}
	w->achieved = n * w->rows * 1e6 / (microseconds() - started);
	PQfinish(conn);
	return NULL;
}

/*
 * Commits a probe every so often, however long it takes until the last one is
 * there, and looks up which of them are; gives the times from the commit of each.
 */
static Times
probe_until(PGconn *conn, double end)
{
	long long	base = execute_numbers(conn, "lookup", 0, 0, 0);
	Times		committed = {0};
	Times		times = {0};
	double		next = microseconds();
	double		now;

	while ((now = microseconds()) < end || (times.n < committed.n && now < end + PROBE_LIMIT))
	{
		long long	seen;

		if (now >= next && now < end)
		{
			execute_numbers(conn, "probe", 1, base + committed.n + 1, 0);
			add_time(&committed, microseconds());
			next += PROBE_PAUSE * (0.5 + drand48());
		}
		seen = execute_numbers(conn, "lookup", 0, 0, 0) - base;
		for (now = microseconds(); times.n < seen && times.n < committed.n;)
			add_time(&times, now - committed.values[times.n]);
		usleep(POLL_PAUSE);
	}
	while (times.n < committed.n)
		add_time(&times, PROBE_LIMIT);
	free(committed.values);
	return times;
}

static void
freshness(char **args)
{
	double		end = microseconds() + atof(args[0]) * 1e6;
	Writer		writer = {args[3], end, atof(args[1]), atoi(args[2]), 0};
	PGconn	   *conn = connect_server();
	Times		times;
	pthread_t	thread;

	prepare(conn, "probe", args[4]);
	prepare(conn, "lookup", args[5]);
	if (pthread_create(&thread, NULL, write_at_rate, &writer) != 0)
		die("no thread");
	times = probe_until(conn, end);
	pthread_join(thread, NULL);
	print_times(&times);
	printf("\t%.1f\n", writer.achieved);
	PQfinish(conn);
}

static void
lookups(char **args)
{
	double		end = microseconds() + atof(args[0]) * 1e6;
	long long	keys = atoll(args[2]);
	PGconn	   *conn = connect_server();
	Times		times = {0};
	double		now;

	prepare(conn, "lookup", args[1]);
	for (int i = 0; i < 100; i++)
		execute_numbers(conn, "lookup", 1, 1 + i % keys, 0);
	while ((now = microseconds()) < end)
	{
		execute_numbers(conn, "lookup", 1, 1 + (long long) (drand48() * keys), 0);
		add_time(&times, microseconds() - now);
	}
	print_times(&times);
	printf("\n");
	PQfinish(conn);
}

/* CPU time that a server process has used, in microseconds */
static double
server_cpu(PGconn *conn)
{
	char		path[64];
	FILE	   *file;
	double		nanoseconds;

	usleep(300);				/* for it to go idle: the kernel counts when a process leaves the CPU */
	snprintf(path, sizeof(path), "/proc/%d/schedstat", PQbackendPID(conn));
	file = fopen(path, "r");
	if (!file || fscanf(file, "%lf", &nanoseconds) != 1)
		die("cannot read %s: the benchmark needs Linux and a local server", path);
	fclose(file);
	return nanoseconds / 1000;
}

typedef struct Side
{
	const char *name;
	int			first;			/* column of the parameters, from 0 */
	int			n;				/* parameters */
} Side;

static Side
make_side(PGconn *conn, char **args)
{
	Side		side = {args[0], atoi(args[1]) - 1, 0};
	PGresult   *description;

	prepare(conn, side.name, args[2]);
	description = PQdescribePrepared(conn, side.name);
	side.n = PQnparams(description);
	PQclear(description);
	return side;
}

/* One block of a side: calls rows of parameters from start on; prints name, round, seconds, seconds of CPU */
static void
run_block(PGconn *conn, const Side *side, int round, const PGresult *parameters, int start, int calls)
{
	double		cpu = server_cpu(conn);
	double		started = microseconds();
	double		elapsed;

	for (int call = 0; call < calls; call++)
	{
		const char *values[MAX_PARAMETERS];

		for (int i = 0; i < side->n; i++)
			values[i] = PQgetvalue(parameters, start + call, side->first + i);
		PQclear(execute(conn, side->name, side->n, values));
	}
	elapsed = microseconds() - started;
	printf("%s\t%d\t%.6f\t%.6f\n", side->name, round, elapsed / 1e6, (server_cpu(conn) - cpu) / 1e6);
}

static void
statements(int argc, char **args)
{
	int			rounds = atoi(args[0]);
	int			calls = atoi(args[1]);
	int			n = (argc - 3) / 3;
	Side		sides[MAX_SIDES];
	PGconn	   *conn = connect_server();
	PGresult   *parameters = PQexec(conn, args[2]);

	if (PQresultStatus(parameters) != PGRES_TUPLES_OK)
		die("%s", PQerrorMessage(conn));
	if (n > MAX_SIDES || PQntuples(parameters) < rounds * calls)
		die("too many sides, or too few rows of parameters");
	for (int i = 0; i < n; i++)
	{
		sides[i] = make_side(conn, args + 3 + 3 * i);
		if (sides[i].first < 0 || sides[i].first + sides[i].n > PQnfields(parameters) || sides[i].n > MAX_PARAMETERS)
			die("%s has other parameters", sides[i].name);
	}
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < n; i++)
			run_block(conn, &sides[(round + i) % n], round, parameters, round * calls, calls);
	PQclear(parameters);
	PQfinish(conn);
}

int
main(int argc, char **argv)
{
	if (argc == 8 && strcmp(argv[1], "freshness") == 0)
		freshness(argv + 2);
	else if (argc == 5 && strcmp(argv[1], "lookups") == 0)
		lookups(argv + 2);
	else if (argc >= 8 && (argc - 5) % 3 == 0 && strcmp(argv[1], "statements") == 0)
		statements(argc - 2, argv + 2);
	else
		die("unknown command or wrong number of arguments");
	return 0;
}
