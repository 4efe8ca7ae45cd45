/*
 * target.h
 *	  A table that rows are put into, which nobody else can see yet.
 */
#ifndef FEATURESTORE_TARGET_H
#define FEATURESTORE_TARGET_H

#include "access/tupdesc.h"

typedef struct RowTarget RowTarget;

/* Opens a table of the user's, and describes its rows. */
extern RowTarget *target_open(Oid relid, TupleDesc *desc);

/* Puts a row into it. */
extern void target_put(RowTarget *target, const Datum *values, const bool *nulls);

extern void target_close(RowTarget *target);

#endif							/* FEATURESTORE_TARGET_H */
