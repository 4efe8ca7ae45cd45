/*
 * redis.c
 *	  The Redis side: one hash an item, values as decimal text.
 *
 * This is the layout online stores on Redis use.  A request is one pipeline of
 * HMGETs through hiredis, written and read at once, each value parsed.
 */
#include "bench.h"

#include <hiredis/hiredis.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LOAD_PIPELINE 1000

static redisContext *redis;
static const char *fields[ITEM_FEATURES] = {"f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9"};

void
redis_open(const char *socket)
{
	struct ucred server;
	socklen_t	length = sizeof(server);

	redis = redisConnectUnix(socket);
	if (redis == NULL || redis->err)
		die("cannot connect to Redis at %s", socket);
	if (getsockopt(redis->fd, SOL_SOCKET, SO_PEERCRED, &server, &length) != 0)
		die("cannot tell the process of Redis");
	keep_on_one_cpu(server.pid);
}

void
redis_close(void)
{
	redisFree(redis);
}

static redisReply *
get_reply(int type)
{
	void	   *reply;

	if (redisGetReply(redis, &reply) != REDIS_OK)
		die("Redis: %s", redis->errstr);
	if (((redisReply *) reply)->type != type)
		die("Redis: unexpected reply");
	return reply;
}

static void
append_hset(const PGresult *rows, int row)
{
	const char *argv[2 + 2 * ITEM_FEATURES];
	char		key[32];

	snprintf(key, sizeof(key), "item:%s", PQgetvalue(rows, row, 0));
	argv[0] = "HSET";
	argv[1] = key;
	for (int f = 0; f < ITEM_FEATURES; f++)
	{
		argv[2 + 2 * f] = fields[f];
		argv[3 + 2 * f] = PQgetvalue(rows, row, 1 + f);
	}
	redisAppendCommandArgv(redis, 2 + 2 * ITEM_FEATURES, argv, NULL);
}

/* Copies the items out of the database, as the text the server prints. */
void
redis_load(PGconn *conn)
{
	PGresult   *rows = PQexec(conn, "SELECT item_id, i0, i1, i2, i3, i4, i5, i6, i7, i8, i9 FROM bench.items");
	int			n = PQntuples(rows);

	if (PQresultStatus(rows) != PGRES_TUPLES_OK)
		die("%s", PQerrorMessage(conn));
	for (int done = 0; done < n; done += LOAD_PIPELINE)
	{
		int			end = done + LOAD_PIPELINE < n ? done + LOAD_PIPELINE : n;

		for (int i = done; i < end; i++)
			append_hset(rows, i);
		for (int i = done; i < end; i++)
			freeReplyObject(get_reply(REDIS_REPLY_INTEGER));
	}
	PQclear(rows);
}

/* One request: all items in one pipeline; returns the number of values. */
int
redis_ask(const Request *r, double *out)
{
	const char *argv[2 + ITEM_FEATURES];
	size_t		lengths[2 + ITEM_FEATURES];
	char		key[32];

	argv[0] = "HMGET";
	lengths[0] = 5;
	argv[1] = key;
	for (int f = 0; f < ITEM_FEATURES; f++)
	{
		argv[2 + f] = fields[f];
		lengths[2 + f] = 2;
	}
	for (int i = 0; i < r->nitems; i++)
	{
		lengths[1] = snprintf(key, sizeof(key), "item:%lld", (long long) r->items[i]);
		redisAppendCommandArgv(redis, 2 + ITEM_FEATURES, argv, lengths);
	}
	for (int i = 0; i < r->nitems; i++)
	{
		redisReply *reply = get_reply(REDIS_REPLY_ARRAY);

		for (int f = 0; f < ITEM_FEATURES; f++)
			*out++ = reply->element[f]->type == REDIS_REPLY_NIL ? NAN : strtod(reply->element[f]->str, NULL);
		freeReplyObject(reply);
	}
	return r->nitems * ITEM_FEATURES;
}
