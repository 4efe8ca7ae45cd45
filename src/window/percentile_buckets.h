/*
 * percentile_buckets.h
 *	  Buckets of numbers that are close to each other.
 *
 * Every octave, from 2^e to 2^(e+1), has as many buckets as the precision of a
 * percentile sketch says.  A bucket's index is in the order of its values.  At
 * each level above 0 a bucket is two of the level below: its index is theirs,
 * halved.
 */
#ifndef FEATURESTORE_PERCENTILE_BUCKETS_H
#define FEATURESTORE_PERCENTILE_BUCKETS_H

/* Those of positive values are from here on, those of negative ones below, at each level halved. */
#define FIRST_POSITIVE_BUCKET ((uint32) 1 << 20)
#define MAX_BUCKET (2 * FIRST_POSITIVE_BUCKET - 1)

/* At this level there are fewer than 2048 for any precision. */
#define MAX_BUCKET_LEVEL 10

/* The bucket of level 0 of a number, finite and not 0. */
extern uint32 bucket_of(double value, uint32 precision);

/*
 * What stands for a bucket's values: the number that is, in terms of the
 * value, nearest to that furthest from it; an integer, if all values are.
 */
extern double bucket_value(uint32 bucket, uint32 level, uint32 precision, bool integers);

#endif							/* FEATURESTORE_PERCENTILE_BUCKETS_H */
