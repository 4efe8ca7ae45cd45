/*
 * definition.h
 *	  Writing the catalog on behalf of the owners of relations.
 */
#ifndef FEATURESTORE_DEFINITION_H
#define FEATURESTORE_DEFINITION_H

#include "storage/lockdefs.h"
#include "utils/relcache.h"

/* Has this transaction changed what workers go by?  Whoever looks at it resets it. */
extern bool definitions_changed;

/* Raises an error unless the relation exists and the current user owns it; gives its owner. */
extern Oid	check_owner(Oid relation);

/*
 * Locks relation in mode and gives its owner.  Raises an error, without
 * waiting for the lock, unless it exists and the current user owns it, and
 * again once it can no longer be dropped or change hands.
 */
extern Oid	lock_owned_relation(Oid relation, LOCKMODE mode);

/* Opens a table of the extension, to be written. */
extern Relation open_catalog_table(const char *name);

/*
 * Runs one statement, whose names are all qualified, as the owner of catalog.
 * Gives the first column of the first row, in the current memory context; NULL
 * without one.
 */
extern Datum execute_as_owner(Relation catalog, const char *sql, int nargs, Oid *types,
							  Datum *values, bool *isnull);

#endif							/* FEATURESTORE_DEFINITION_H */
