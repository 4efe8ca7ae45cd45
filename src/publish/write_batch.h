/*
 * write_batch.h
 *	  Settings of direct writes.
 */
#ifndef FEATURESTORE_WRITE_BATCH_H
#define FEATURESTORE_WRITE_BATCH_H

/* Are updates of columns with merge rules refused, but for those of writers? */
extern bool guard_merge_rules;

/* Minutes for which a batch is remembered at least. */
extern int	batch_retention;

#endif							/* FEATURESTORE_WRITE_BATCH_H */
