/*
 * sync.h
 *	  Runs of publications.
 */
#ifndef FEATURESTORE_SYNC_H
#define FEATURESTORE_SYNC_H

/* Setting: rows of a source that one step of a first fill goes through. */
extern int	fill_chunk;

#endif							/* FEATURESTORE_SYNC_H */
