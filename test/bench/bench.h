/*
 * bench.h
 *	  What the parts of the benchmark share.
 *
 * A Side is one way to answer a request: a statement on one of two backends,
 * or Redis.  Every side is given its requests as numbers and timed until its
 * answer is in the client's memory.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <libpq-fe.h>

#define MAX_ITEMS 500
#define MAX_COLUMNS 40
#define MAX_ROUNDS 1000
#define ITEM_FEATURES 10

typedef struct Request
{
	int64_t		user;
	int32_t		hour;
	int			nitems;
	int64_t		items[MAX_ITEMS];
} Request;

typedef struct Backend
{
	PGconn	   *conn;
	int			schedstat;		/* of the server process */
} Backend;

/* What of an answer is decoded to doubles */
typedef enum Decode
{
	DECODE_NONE,				/* rows stay in the PGresult */
	DECODE_VECTORS,
	DECODE_MATRIX
} Decode;

typedef struct Side
{
	const char *name;
	const char *sql;			/* NULL: Redis */
	const char *args;			/* u user, i items, h hour; capitals: as array */
	Decode		decode;
	int			nitems;			/* items of a request */
	int			calls;			/* calls of a block */
	Backend    *backend;
	int64_t		users;			/* ids are among these; 0: all there are */
	/* measured */
	int			nblocks;
	double		cpu[MAX_ROUNDS];	/* per call, microseconds; by block */
	double		p50[MAX_ROUNDS];	/* of latency; by block */
	double	   *latency;		/* of every call, microseconds */
	int			ncalls;
} Side;

/* pg.c */
extern void backend_open(Backend *b, const char *settings);
extern void backend_free(Backend *b);
extern void forget_pages(Backend *b, const char *table);
extern void backend_look_up_all(Backend *b);
extern void backend_close(Backend *b);
extern double backend_cpu(Backend *b);
extern void pg_prepare(Side *s);
extern PGresult *pg_send(Side *s, const Request *r);
extern int	pg_decode(Side *s, const PGresult *res, double *out);
extern double pg_number(const PGresult *res, int row, int col);

/* redis.c */
extern void redis_open(const char *socket);
extern void redis_close(void);
extern void redis_load(PGconn *conn);
extern int	redis_ask(const Request *r, double *out);

/* verify.c */
extern void verify(Side *join, int keys, Side *const *sides, int nsides, int64_t users, int64_t catalogue);

/* bench.c */
extern void die(const char *fmt,...) __attribute__((format(printf, 1, 2), noreturn));
extern void make_request(Request *r, int nitems, int64_t among);
extern void keep_on_one_cpu(pid_t pid);
extern void keep_on_any_cpu(pid_t pid);

#endif							/* BENCH_H */
