/*
 * worker.h
 *	  The processes that run publications by themselves.
 */
#ifndef FEATURESTORE_WORKER_H
#define FEATURESTORE_WORKER_H

#include "datatype/timestamp.h"
#include "postmaster/bgworker.h"
#include "storage/lock.h"
#include "storage/proc.h"

/* A database has so many workers at most, each with a slot. */
#define MAX_SLOTS 64

/* Settings */
extern int	workers_per_database;
extern bool autostart_worker;

/* What a worker is told when it is started. */
typedef struct WorkerOrder
{
	int			slot;
	bool		is_commanded;	/* by start_worker: also if workers were stopped */
} WorkerOrder;

/* The row of a slot in the catalog of workers. */
typedef struct WorkerRow
{
	int			pid;			/* 0: none was ever started, or not in this cluster */
	TimestampTz started_at;
	bool		is_stopped;		/* none is to be started but by start_worker */
} WorkerRow;

/* A worker that was found; it may have gone since. */
typedef struct KnownWorker
{
	PGPROC	   *proc;
	int			pid;
} KnownWorker;

/* slots.c */
extern Oid	worker_catalog(void);
extern void set_slot_tag(LOCKTAG *tag, Oid catalog, int slot);
extern bool is_slot_taken(Oid catalog, int slot);
extern bool read_slot(Oid catalog, int slot, WorkerRow *row);
extern bool find_worker(Oid catalog, int slot, KnownWorker *worker, WorkerRow *row);
extern bool is_worker_alive(const KnownWorker *worker);
extern bool register_worker(Oid database, int slot, bool is_commanded, BackgroundWorkerHandle **handle);
extern void report_no_slot(int elevel);

/* tasks.c */
extern void tasks_init(void);
extern void tasks_are_stale(void);
extern bool have_tasks_changed(void);
extern void look_at_tasks(void);
extern TimestampTz work_on_tasks(int slot);
extern void start_worker_transaction(void);
extern void finish_transaction(void);

/* histories.c */
extern TimestampTz prune_histories(void);

/* drain.c */
extern TimestampTz drain_serve_log(bool keeps_log);

/* wake.c */
extern void wake_init(void);
extern void remember_worker(PGPROC *proc);

/* worker.c */
extern bool lock_extension(void);
extern bool have_slot(void);
extern bool is_database_wanted(void);

/* launcher.c */
extern void launcher_init(void);

#endif							/* FEATURESTORE_WORKER_H */
