/*
 * plans.h
 *	  Plans of the extension's own statements, which a session keeps.
 */
#ifndef FEATURESTORE_PLANS_H
#define FEATURESTORE_PLANS_H

#include "executor/spi.h"

/*
 * The plan of a statement, kept for the session; NULL if another text, or the
 * same with parameters of other types, has its place.  It does not depend on the values of the parameters.
 */
extern SPIPlanPtr kept_plan(const char *sql, int nparams, const Oid *types);

/* Executes a statement by its kept plan; otherwise as SPI_execute_with_args. */
extern int	execute_kept(const char *sql, int nargs, const Oid *types, Datum *values,
						 const char *nulls);

#endif							/* FEATURESTORE_PLANS_H */
