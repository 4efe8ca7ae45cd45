/*
 * featurestore.c
 *	  Module entry: settings and the backend's cache.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "catalog/spec.h"
#include "lookup/lookup.h"
#include "lookup/row_cache.h"
#include "compat.h"

MODULE_MAGIC_COMPAT;

void		_PG_init(void);

/* Called when the library is loaded into a backend. */
void
_PG_init(void)
{
	DefineCustomBoolVariable("featurestore.enable_direct_lookup",
							 "Lets lookups probe indexes directly.",
							 "Turned off, they go through the planner; the results are the same.",
							 &enable_direct_lookup, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("featurestore.row_cache_size",
							"Memory in which a session remembers where rows are.",
							"Lookups of the same keys skip the index; 0 turns it off.",
							&row_cache_size, 16384, 0, MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	MarkGUCPrefixReserved("featurestore");
	spec_cache_init();
}
