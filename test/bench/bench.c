/*
 * bench.c
 *	  How fast lookups are, beside a hand-written join and beside Redis.
 *
 * Usage: bench REDIS_SOCKET USERS ITEMS [--quick | --forms | --cold]; "run" calls it.
 *
 * Noise.  Absolute times say little on a shared machine, so only sides measured
 * together are compared.  A group of sides is measured in rounds; in a round
 * each side makes one small block of calls, one side after the other, in an
 * order that rotates.  Whatever slows the machine for longer than a block thus
 * slows all sides of a round alike, and the figure reported is the median over
 * all rounds of what a round gives.  For the same reason server cost is the CPU
 * time of the server process itself (schedstat), which other processes do not
 * add to, rather than elapsed time; latency is reported beside it.  SELECT 1
 * runs in the same rounds and stands for protocol and transaction; where cost
 * "beyond SELECT 1" is compared, its block is subtracted in each round.  Every
 * call asks for other random ids, so that no side finds the rows of another in
 * the processor's cache.
 *
 * All sides are warm: tables in shared buffers, pages mapped, plans made, and
 * the lookups' session has seen every key once, so that it has hints of where
 * the rows are.  Lookups of a session without hints are measured as well; what
 * they cost stands for the first time a session sees a key.
 *
 * "--cold" is about a table larger than shared buffers: before each call the
 * system is told to forget the table's pages, so that nearly every item is
 * read from storage.  There the figure is the time that a call takes.
 *
 * Client and servers, Redis too, are kept on one CPU.  A request is answered
 * while its client waits, so little is lost by that; across CPUs each message
 * costs an interrupt that in a virtual machine can take several times as long
 * as the request itself, and whether it is needed is the scheduler's whim.
 */
#include "bench.h"
#include "statements.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SETTINGS "SET plan_cache_mode = force_generic_plan; SET jit = off; "
#define HINTS "SET featurestore.row_cache_size = '64MB'"
#define NO_HINTS "SET featurestore.row_cache_size = 0"
#define ONE_PROCESS "; SET work_mem = '512MB'; SET max_parallel_workers_per_gather = 0"
#define WORKERS "; SET work_mem = '512MB'; SET max_parallel_workers_per_gather = 2"
#define MAX_SIDES 16
#define HOT_USERS 10000
#define WARM_UP_BLOCKS 10
/* Microseconds for a group; then a slow machine gets fewer rounds. */
#ifndef GROUP_LIMIT
#define GROUP_LIMIT 40e6
#endif
#define lengthof(a) ((int) (sizeof(a) / sizeof((a)[0])))

static int64_t users;
static int64_t catalogue;
static bool is_quick;
static bool is_cold;
static Backend direct;
static uint64_t seed = 88172645463325252ULL;

void
die(const char *fmt,...)
{
	va_list		ap;

	va_start(ap, fmt);
	fputs("bench: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static uint64_t
random_number(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

void
make_request(Request *r, int nitems, int64_t among)
{
	r->user = 1 + random_number() % (among ? among : users);
	r->hour = random_number() % 24;
	r->nitems = nitems;
	for (int i = 0; i < nitems; i++)
		r->items[i] = 1 + random_number() % catalogue;
}

/* Keeps a process on the last of the CPUs that we may use. */
void
keep_on_one_cpu(pid_t pid)
{
	static int	chosen = -1;
	cpu_set_t	set;

	if (chosen < 0 && sched_getaffinity(0, sizeof(set), &set) == 0)
		for (int i = 0; i < CPU_SETSIZE; i++)
			if (CPU_ISSET(i, &set))
				chosen = i;
	CPU_ZERO(&set);
	CPU_SET(chosen, &set);
	if (sched_setaffinity(pid, sizeof(set), &set) != 0)
		die("cannot keep process %d on a CPU: it must be the benchmark's own", (int) pid);
}

/* Gives a process all CPUs again. */
void
keep_on_any_cpu(pid_t pid)
{
	cpu_set_t	set;

	CPU_ZERO(&set);
	for (long i = sysconf(_SC_NPROCESSORS_CONF) - 1; i >= 0; i--)
		CPU_SET(i, &set);
	if (sched_setaffinity(pid, sizeof(set), &set) != 0)
		die("cannot let process %d run on all CPUs", (int) pid);
}

static double
microseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Sorts values. */
static double
quantile(double *values, int n, double q)
{
	qsort(values, n, sizeof(double), compare_doubles);
	return values[(int) (q * (n - 1))];
}

/* ---- measuring ---- */

/* One call: from its numbers to its answer in memory; gives microseconds. */
static double
timed_call(Side *s, const Request *r)
{
	static double out[MAX_ITEMS * MAX_COLUMNS];
	double		start = microseconds();
	PGresult   *res;

	if (!s->sql)
	{
		redis_ask(r, out);
		return microseconds() - start;
	}
	res = pg_send(s, r);
	pg_decode(s, res, out);
	start = microseconds() - start;
	PQclear(res);
	return start;
}

static void
run_block(Side *s)
{
	static Request r;
	double	   *latency = s->latency + s->ncalls;
	double		cpu = s->backend ? backend_cpu(s->backend) : 0;

	for (int i = 0; i < s->calls; i++)
	{
		make_request(&r, s->nitems, s->users);
		if (is_cold)
			forget_pages(&direct, "bench.items");
		latency[i] = timed_call(s, &r);
	}
	s->cpu[s->nblocks] = s->backend ? (backend_cpu(s->backend) - cpu) / s->calls : 0;
	s->p50[s->nblocks++] = quantile(latency, s->calls, 0.5);
	s->ncalls += s->calls;
}

static void
measure(const char *what, Side *const *sides, int n, int rounds)
{
	double		start = microseconds();

	for (int i = 0; i < n; i++)
	{
		Side	   *s = sides[i];

		s->latency = realloc(s->latency, sizeof(double) * s->calls * (rounds + 1));
		for (int b = 0; b < (s->calls > 1 ? WARM_UP_BLOCKS : 1); b++)
		{
			s->nblocks = s->ncalls = 0;
			run_block(s);
		}
		s->nblocks = s->ncalls = 0;
	}
	for (int round = 0; round < rounds && (round < 3 || microseconds() - start < GROUP_LIMIT); round++)
		for (int i = 0; i < n; i++)
			run_block(sides[(round + i) % n]);
	fprintf(stderr, "measured %-20s %3d rounds, %5.1f s\n", what, sides[0]->nblocks, (microseconds() - start) / 1e6);
}

/* ---- figures: the median over the rounds ---- */

typedef enum Figure
{
	CPU, LATENCY
} Figure;

static double
block(const Side *s, Figure f, int round)
{
	if (!s)
		return 0;
	return f == CPU ? s->cpu[round] : s->p50[round];
}

/* s, less base if given; of against, less base, if given. */
static double
figure(Figure f, const Side *s, const Side *against, const Side *base)
{
	double		v[MAX_ROUNDS];

	for (int i = 0; i < s->nblocks; i++)
	{
		v[i] = block(s, f, i) - block(base, f, i);
		if (against)
			v[i] /= block(against, f, i) - block(base, f, i);
	}
	return quantile(v, s->nblocks, 0.5);
}

static void
print_header(const char *title)
{
	printf("\n%s\n%-34s %9s %9s %7s %9s  %s\n", title, "case", "ours", "theirs", "ratio", "target", "met");
}

static void
print_case(const char *name, double ours, double theirs, double ratio, const char *sign,
		   double target, double value)
{
	char		text[32] = "";
	const char *met = "";

	if (sign && !is_quick)
	{
		bool		ok = *sign == '<' ? value <= target : value >= target;

		snprintf(text, sizeof(text), "%s= %.4g", sign, target);
		met = ok ? "yes" : "NO";
	}
	printf("%-34s %9.1f %9.1f %7.2f %9s  %s\n", name, ours, theirs, ratio, text, met);
}

/* CPU of ours in terms of the join's; both less base. */
static void
report_cpu(const char *name, Side *ours, Side *join, Side *base, double target)
{
	double		ratio = figure(CPU, ours, join, base);

	print_case(name, figure(CPU, ours, NULL, base), figure(CPU, join, NULL, base), ratio,
			   target > 0 ? "<" : NULL, target, ratio);
}

/* How many times faster ours is than Redis. */
static void
report_redis(const char *name, Side *ours, Side *redis, double target)
{
	double		ratio = figure(LATENCY, redis, ours, NULL);

	print_case(name, figure(LATENCY, ours, NULL, NULL), figure(LATENCY, redis, NULL, NULL), ratio,
			   target > 0 ? ">" : NULL, target, ratio);
}

static void
report_latency(Side *const *sides, int n)
{
	for (int i = 0; i < n; i++)
		printf("  %-32s %9.1f %9.1f %9d\n", sides[i]->name, quantile(sides[i]->latency, sides[i]->ncalls, 0.5),
			   quantile(sides[i]->latency, sides[i]->ncalls, 0.99), sides[i]->ncalls);
}

/* ---- the sides ---- */

static Backend by_spi;
static Backend by_index;
static Backend by_function;
static Backend by_index_alone;
static Backend newcomer;
static Backend restarted;
static Backend in_parallel;

#define VECTORS "SELECT * FROM bench.ranker_vectors($1, $2, $3)"
#define ROW "SELECT * FROM bench.ranker($1, $2, $3)"
#define ROWS "SELECT * FROM bench.ranker_batch($1, $2, $3)"
#define MATRIX "SELECT bench.ranker_matrix($1, $2, $3)"
#define ITEM_MATRIX "SELECT bench.item_matrix($1)"

/* Items of a request and calls of a block; a block takes some milliseconds. */
#define ONE_ITEM 1, 200
#define MANY_ITEMS 100, 40
#define MOST_ITEMS 500, 10

/* Prepared once, measured in each group that it is subtracted in. */
#define NOTHING {"SELECT 1", "SELECT 1", "", DECODE_NONE, ONE_ITEM, &direct}
static Side nothing = NOTHING;
static Side hot_nothing = NOTHING;
static Side redis_nothing = NOTHING;

static Side join_1 = {"join, 1 item", BEST_SINGLE, "uih", DECODE_NONE, ONE_ITEM, &direct};
static Side vector_1 = {"vector, 1 item", VECTORS, "UIH", DECODE_VECTORS, ONE_ITEM, &direct};
static Side row_1 = {"typed row, 1 item", ROW, "uih", DECODE_NONE, ONE_ITEM, &direct};
static Side matrix_1 = {"matrix, 1 item", MATRIX, "UIH", DECODE_MATRIX, ONE_ITEM, &direct};

static Side index_vector_1 = {"vector, 1 item, no hints", VECTORS, "UIH", DECODE_VECTORS, ONE_ITEM, &by_index};
static Side index_row_1 = {"typed row, 1 item, no hints", ROW, "uih", DECODE_NONE, ONE_ITEM, &by_index};

static Side hot_join = {"join, hot users", BEST_SINGLE, "uih", DECODE_NONE, ONE_ITEM, &direct, HOT_USERS};
static Side hot_vector = {"vector, hot users", VECTORS, "UIH", DECODE_VECTORS, ONE_ITEM, &direct, HOT_USERS};
static Side hot_row = {"typed row, hot users", ROW, "uih", DECODE_NONE, ONE_ITEM, &direct, HOT_USERS};

static Side join_500 = {"join, 500 items", BEST_BATCH, "uIh", DECODE_NONE, MOST_ITEMS, &direct};
static Side arrays_500 = {"join to arrays, 500 items", ARRAYS_BATCH, "uIh", DECODE_NONE, MOST_ITEMS, &direct};
static Side matrix_500 = {"matrix, 500 items", MATRIX, "UIH", DECODE_MATRIX, MOST_ITEMS, &direct};
static Side rows_500 = {"typed rows, 500 items", ROWS, "UIH", DECODE_NONE, MOST_ITEMS, &direct};
static Side function_500 = {"typed rows, 500, function scan", ROWS, "UIH", DECODE_NONE, MOST_ITEMS, &by_function};
static Side function_1 = {"typed row, 1, function scan", ROW, "uih", DECODE_NONE, ONE_ITEM, &by_function};
static Side ten_join = {"join, 10 columns of 500", TEN_JOIN, "uI", DECODE_NONE, MOST_ITEMS, &direct};
static Side ten_500 = {"10 columns of 500 items", TEN_LOOKUP, "UIH", DECODE_NONE, MOST_ITEMS, &direct};
static Side index_500 = {"matrix, 500, no hints", MATRIX, "UIH", DECODE_MATRIX, MOST_ITEMS, &by_index};
static Side index_rows_500 = {"typed rows, 500, no hints", ROWS, "UIH", DECODE_NONE, MOST_ITEMS, &by_index};
static Side new_rows_500 = {"typed rows, 500, keys never seen", ROWS, "UIH", DECODE_NONE, MOST_ITEMS, &newcomer};
static Side spi_500 = {"matrix, 500, SPI path", MATRIX, "UIH", DECODE_MATRIX, MOST_ITEMS, &by_spi};

static Side items_1 = {"item features, 1", ITEM_MATRIX, "I", DECODE_MATRIX, ONE_ITEM, &direct};
static Side items_100 = {"item features, 100", ITEM_MATRIX, "I", DECODE_MATRIX, MANY_ITEMS, &direct};
static Side items_500 = {"item features, 500", ITEM_MATRIX, "I", DECODE_MATRIX, MOST_ITEMS, &direct};
static Side items_index = {"item features, no hints", ITEM_MATRIX, "I", DECODE_MATRIX, MOST_ITEMS,
							&by_index};
static Side redis_1 = {"Redis, 1 item", NULL, NULL, DECODE_NONE, ONE_ITEM};
static Side redis_100 = {"Redis, 100 items", NULL, NULL, DECODE_NONE, MANY_ITEMS};
static Side redis_500 = {"Redis, 500 items", NULL, NULL, DECODE_NONE, MOST_ITEMS};

/* What the items of a batch are compared with; never timed. */
static Side item_join = {"item join", ITEM_JOIN, "I", DECODE_NONE, MOST_ITEMS, &direct};

/* All requests of a table in one call; statements differ, so each has a name of its own. */
#define ALL_REQUESTS 1, 1
static Side score_join = {"join, scoring", SCORE_JOIN, "", DECODE_NONE, ALL_REQUESTS, &direct};
static Side score_rows = {"lookup, scoring", SCORE_LOOKUP, "", DECODE_NONE, ALL_REQUESTS, &direct};
static Side score_index = {"lookup, scoring, no hints", SCORE_LOOKUP, "", DECODE_NONE, ALL_REQUESTS, &by_index_alone};
static Side score_restarted = {"scan restarted, scoring", SCORE_LOOKUP, "", DECODE_NONE, ALL_REQUESTS, &restarted};
static Side score_function = {"function scan, scoring", SCORE_LOOKUP, "", DECODE_NONE, ALL_REQUESTS, &by_function};
static Side parallel_join = {"join, scoring, workers", SCORE_JOIN, "", DECODE_NONE, ALL_REQUESTS, &in_parallel};
static Side parallel_rows = {"lookup, scoring, workers", SCORE_LOOKUP, "", DECODE_NONE, ALL_REQUESTS, &in_parallel};

static Side *const singles[] = {&nothing, &join_1, &vector_1, &row_1, &matrix_1, &index_vector_1,
&index_row_1, &function_1};
static Side *const tens[] = {&ten_join, &ten_500};
static Side *const scores[] = {&score_join, &score_rows, &score_index, &score_restarted, &score_function,
&parallel_join, &parallel_rows};
static Side *const hot_singles[] = {&hot_nothing, &hot_join, &hot_vector, &hot_row};
static Side *const batches[] = {&join_500, &arrays_500, &matrix_500, &rows_500, &function_500, &index_500, &spi_500};
static Side *const against_redis_1[] = {&redis_nothing, &items_1, &redis_1};
static Side *const against_redis_100[] = {&items_100, &redis_100};
static Side *const against_redis_500[] = {&items_500, &items_index, &redis_500};

static void
prepare(Side *const *sides, int n)
{
	for (int i = 0; i < n; i++)
		if (sides[i]->sql)
			pg_prepare(sides[i]);
}

static void
prepare_all(const char *socket)
{
	Side	   *const more[] = {&item_join, &items_1, &items_100, &items_500, &items_index};

	backend_open(&direct, SETTINGS HINTS ONE_PROCESS);
	backend_open(&by_spi, SETTINGS "SET featurestore.enable_direct_lookup = off");
	backend_open(&by_index, SETTINGS NO_HINTS);
	backend_open(&by_function, SETTINGS HINTS "; SET featurestore.enable_lookup_scan = off" ONE_PROCESS);
	backend_open(&by_index_alone, SETTINGS NO_HINTS ONE_PROCESS);
	backend_open(&restarted, SETTINGS HINTS "; SET featurestore.enable_lookup_join = off" ONE_PROCESS);
	backend_open(&in_parallel, SETTINGS HINTS WORKERS);
	backend_free(&in_parallel);
	backend_look_up_all(&direct);
	backend_look_up_all(&by_function);
	backend_look_up_all(&restarted);
	prepare(singles, lengthof(singles));
	prepare(hot_singles + 1, lengthof(hot_singles) - 1);
	prepare(batches, lengthof(batches));
	prepare(tens, lengthof(tens));
	prepare(scores, lengthof(scores));
	prepare(more, lengthof(more));
	redis_open(socket);
	redis_load(direct.conn);
}

static void
verify_all(void)
{
	verify(&join_1, 2, singles + 2, lengthof(singles) - 2, users, catalogue);
	verify(&join_500, 2, batches + 2, lengthof(batches) - 2, users, catalogue);
	verify(&ten_join, 0, tens + 1, 1, users, catalogue);
	verify(&score_join, 0, scores + 1, lengthof(scores) - 1, users, catalogue);
	verify(&item_join, 1, against_redis_1 + 1, 2, users, catalogue);
	verify(&item_join, 1, against_redis_100, 2, users, catalogue);
	verify(&item_join, 1, against_redis_500, 3, users, catalogue);
	fprintf(stderr, "verified: all sides give the same values\n");
}

static void
measure_all(int rounds)
{
	measure("1 user + 1 item", singles, lengthof(singles), rounds);
	measure("the same, hot users", hot_singles, lengthof(hot_singles), rounds);
	measure("1 user + 500 items", batches, lengthof(batches), rounds);
	measure("10 columns, 500 items", tens, lengthof(tens), rounds);
	measure("scoring", scores, lengthof(scores), rounds / 10);
	measure("1 item, Redis", against_redis_1, lengthof(against_redis_1), rounds);
	measure("100 items, Redis", against_redis_100, lengthof(against_redis_100), rounds);
	measure("500 items, Redis", against_redis_500, lengthof(against_redis_500), rounds);
}

static void
report_all(void)
{
	double		beyond;
	double		ratio;

	print_header("Server CPU, microseconds a call; theirs: the join written by hand");
	report_cpu("1 user + 1 item, vector *", &vector_1, &join_1, &nothing, 0.35);
	report_cpu("1 user + 1 item, typed row *", &row_1, &join_1, &nothing, 0.5);
	report_cpu("  by a function scan *", &function_1, &join_1, &nothing, 0);
	report_cpu("1 user + 1 item, matrix *", &matrix_1, &join_1, &nothing, 0);
	report_cpu("  no hints, vector *", &index_vector_1, &join_1, &nothing, 0);
	report_cpu("  no hints, typed row *", &index_row_1, &join_1, &nothing, 0);
	report_cpu("  of 10,000 users, vector *", &hot_vector, &hot_join, &hot_nothing, 0);
	report_cpu("  of 10,000 users, typed row *", &hot_row, &hot_join, &hot_nothing, 0);
	report_cpu("1 user + 500 items, matrix", &matrix_500, &join_500, NULL, 0.2);
	report_cpu("1 user + 500 items, typed rows", &rows_500, &join_500, NULL, 0.65);
	report_cpu("  by a function scan", &function_500, &join_500, NULL, 0);
	report_cpu("1 user + 500 items, 10 columns", &ten_500, &ten_join, NULL, 0.6);
	report_cpu("500 items, matrix, join to arrays", &matrix_500, &arrays_500, NULL, 0);
	report_cpu("500 items, matrix, no hints", &index_500, &join_500, NULL, 0);
	report_cpu("500 items, matrix, SPI path", &spi_500, &join_500, NULL, 0);
	report_cpu("scoring a table", &score_rows, &score_join, NULL, 2);
	report_cpu("scoring a table, no hints", &score_index, &score_join, NULL, 2);
	report_cpu("  one request after the other", &score_restarted, &score_join, NULL, 0);
	report_cpu("  by a function scan", &score_function, &score_join, NULL, 0);
	printf("* beyond SELECT 1, which takes %.1f; the SPI path costs %.2f times the direct one\n",
		   figure(CPU, &nothing, NULL, NULL), figure(CPU, &spi_500, &matrix_500, NULL));

	print_header("Latency p50, microseconds, client to client, 10 features an item\n"
				 "theirs: Redis, in the last line SELECT 1; ratio: times faster, in the last line slower");
	report_redis("500 items", &items_500, &redis_500, 4);
	report_redis("500 items, no hints", &items_index, &redis_500, 0);
	report_redis("100 items", &items_100, &redis_100, 2);
	report_redis("1 item", &items_1, &redis_1, 0);
	beyond = figure(LATENCY, &items_1, NULL, &redis_nothing);
	print_case("1 item beyond SELECT 1", beyond, figure(LATENCY, &redis_nothing, NULL, NULL),
			   figure(LATENCY, &items_1, &redis_nothing, NULL), "<", 25, beyond);

	print_header("Scoring a table with two workers, elapsed microseconds; theirs: the join");
	ratio = figure(LATENCY, &parallel_rows, &parallel_join, NULL);
	print_case("scoring a table, workers", figure(LATENCY, &parallel_rows, NULL, NULL),
			   figure(LATENCY, &parallel_join, NULL, NULL), ratio, "<", 2, ratio);

	printf("\nLatency of all calls, microseconds\n  %-32s %9s %9s %9s\n", "", "p50", "p99", "calls");
	report_latency(singles, lengthof(singles));
	report_latency(hot_singles + 1, lengthof(hot_singles) - 1);
	report_latency(batches, lengthof(batches));
	report_latency(tens, lengthof(tens));
	report_latency(scores, lengthof(scores));
	report_latency(against_redis_1 + 1, 2);
	report_latency(against_redis_100, 2);
	report_latency(against_redis_500, 3);
}

/* The same requests of a table larger than shared buffers. */
static void
measure_cold(int rounds)
{
	Side	   *const sides[] = {&join_500, &rows_500, &matrix_500, &new_rows_500, &index_rows_500};
	double		ratio;

	is_cold = true;
	backend_open(&direct, SETTINGS HINTS);
	backend_open(&by_index, SETTINGS NO_HINTS);
	backend_open(&newcomer, SETTINGS HINTS);
	backend_look_up_all(&direct);
	prepare(sides, lengthof(sides));
	for (int i = 0; i < lengthof(sides); i++)
		sides[i]->calls = 1;
	verify(&join_500, 2, sides + 1, lengthof(sides) - 1, users, catalogue);
	measure("500 items, cold", sides, lengthof(sides), rounds);
	print_header("A table larger than shared buffers, not in the page cache: microseconds a call; theirs: the join");
	for (int i = 1; i < lengthof(sides); i++)
	{
		ratio = figure(LATENCY, sides[i], sides[0], NULL);
		print_case(sides[i]->name, figure(LATENCY, sides[i], NULL, NULL),
				   figure(LATENCY, sides[0], NULL, NULL), ratio, i < 3 ? "<" : NULL, 0.6, ratio);
	}
}

/* Measures every form of a join; base, if given, is subtracted. */
static void
measure_forms(const Side *like, const char *const *forms, int n, Side *base, int rounds)
{
	static char names[MAX_SIDES][32];
	Side	   *sides[MAX_SIDES + 1];

	for (int i = 0; i < n; i++)
	{
		sides[i] = malloc(sizeof(Side));
		*sides[i] = *like;
		snprintf(names[i], sizeof(names[i]), "%s, form %d", like->name, i);
		sides[i]->name = strdup(names[i]);
		sides[i]->sql = forms[i];
	}
	prepare(sides, n);
	sides[n] = base;
	measure(like->name, sides, base ? n + 1 : n, rounds);
	for (int i = 0; i < n; i++)
		printf("%-30s %9.1f us CPU, %5.2f of form 0\n", sides[i]->name, figure(CPU, sides[i], NULL, base),
			   figure(CPU, sides[i], sides[0], base));
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 4 ? argv[4] : "";
	int			rounds;

	if (argc < 4)
		die("usage: bench REDIS_SOCKET USERS ITEMS [--quick | --forms | --cold]");
	is_quick = strcmp(mode, "--quick") == 0;
	rounds = is_quick ? 10 : 200;
	users = atoll(argv[2]);
	catalogue = atoll(argv[3]);
	keep_on_one_cpu(getpid());
	if (strcmp(mode, "--forms") == 0)
	{
		backend_open(&direct, SETTINGS);
		pg_prepare(&nothing);
		measure_forms(&join_1, single_forms, NFORMS(single_forms), &nothing, rounds);
		measure_forms(&join_500, batch_forms, NFORMS(batch_forms), NULL, rounds);
		return 0;
	}
	if (strcmp(mode, "--cold") == 0)
	{
		measure_cold(rounds);
		return 0;
	}
	prepare_all(argv[1]);
	verify_all();
	measure_all(rounds);
	report_all();
	backend_close(&direct);
	backend_close(&by_spi);
	backend_close(&by_index);
	backend_close(&by_function);
	backend_close(&in_parallel);
	redis_close();
	return 0;
}
