/*
 * featurestore.c
 *	  Module entry: settings, the backend's caches and its buffer of changes, the
 *	  launcher of workers.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "catalog/spec.h"
#include "lookup/lookup.h"
#include "lookup/row_cache.h"
#include "lookup/serve_log.h"
#include "publish/capture.h"
#include "publish/history.h"
#include "publish/sync.h"
#include "publish/write_batch.h"
#include "training/training.h"
#include "worker/worker.h"
#include "compat.h"

MODULE_MAGIC_COMPAT;

void		_PG_init(void);

static void
define_lookup_settings(void)
{
	DefineCustomBoolVariable("featurestore.enable_direct_lookup",
							 "Lets lookups probe indexes directly.",
							 "Turned off, they go through the planner; the results are the same.",
							 &enable_direct_lookup, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("featurestore.enable_lookup_scan",
							 "Plans lookups in FROM as scans.",
							 "Turned off, they are scanned as functions; the results are the same.",
							 &enable_lookup_scan, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("featurestore.enable_lookup_join",
							 "Plans lookups for rows of other relations in batches.",
							 "Turned off, there is a scan for each row; the results are the same.",
							 &enable_lookup_join, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("featurestore.row_cache_size",
							"Memory in which a session remembers where rows are.",
							"Lookups of the same keys skip the index; 0 turns it off.",
							&row_cache_size, 16384, 0, MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("featurestore.track_lookups",
							 "Counts lookups for the view lookup_stats.",
							 "Needs the library in shared_preload_libraries.",
							 &track_lookups, true, PGC_SUSET, 0, NULL, NULL, NULL);
}

static void
define_publish_settings(void)
{
	DefineCustomIntVariable("featurestore.fill_chunk",
							"Rows of a source that one step of a first fill goes through.",
							"A fill that was interrupted goes on after the last step.",
							&fill_chunk, 100000, 1, INT_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("featurestore.guard_merge_rules",
							 "Refuses plain updates of columns with merge rules.",
							 "Turned off, values can be mended by hand.",
							 &guard_merge_rules, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("featurestore.batch_retention",
							"Time for which the id of a written batch is remembered at least.",
							"The last ten thousand of each table are remembered in any case.",
							&batch_retention, 24 * 60, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN,
							NULL, NULL, NULL);
	DefineCustomIntVariable("featurestore.history_retention",
							"Time for which versions are kept that are not valid any more.",
							"run_due and workers delete older ones; 0 keeps all.",
							&history_retention, 0, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MIN,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("featurestore.autostart_worker",
							 "Lets transactions start a worker when there is none.",
							 "They do if publications are to run by themselves.",
							 &autostart_worker, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("featurestore.workers",
							"Workers that a database has at most.",
							"There is one, and more when it falls behind.",
							&workers_per_database, 1, 1, MAX_SLOTS, PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static void
define_training_settings(void)
{
	static const struct config_enum_entry plans[] = {
		{"auto", TRAINING_PLAN_AUTO, false},
		{"sweep", TRAINING_PLAN_SWEEP, false},
		{"seek", TRAINING_PLAN_SEEK, false},
		{NULL, 0, false}
	};

	DefineCustomEnumVariable("featurestore.training_plan",
							 "How training reads what outputs are made of.",
							 "By one sweep over all of it, by seeking what each label needs, or by what costs least; the results are the same.",
							 &training_plan, TRAINING_PLAN_AUTO, plans, PGC_USERSET, 0, NULL, NULL,
							 NULL);
}

/*
 * Called when the library is loaded into a backend.  What is registered last is
 * called first when a transaction ends: changes are written, those of
 * SYNCHRONOUS publications applied, and the worker is woken.
 */
void
_PG_init(void)
{
	define_lookup_settings();
	define_publish_settings();
	define_training_settings();
	lookup_stats_init();
	serve_log_init();
	MarkGUCPrefixReserved("featurestore");
	spec_cache_init();
	lookup_scan_init();
	wake_init();
	capture_source_init();
	synchronous_init();
	history_table_init();
	set_constraints_init();
	capture_buffer_init();
	launcher_init();
}
