/*
 * definition.h
 *	  Writing the catalog on behalf of the owners of relations.
 */
#ifndef FEATURESTORE_DEFINITION_H
#define FEATURESTORE_DEFINITION_H

#include "storage/lockdefs.h"

/*
 * Locks relation in mode and gives its owner.  Raises an error, without
 * waiting for the lock, unless it exists and the current user owns it, and
 * again once it can no longer be dropped or change hands.
 */
extern Oid	lock_owned_relation(Oid relation, LOCKMODE mode);

#endif							/* FEATURESTORE_DEFINITION_H */
