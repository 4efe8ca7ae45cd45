/*
 * kept.h
 *	  What families that keep values of events share: images that outlive the
 *	  event they came with.
 */
#ifndef FEATURESTORE_KEPT_H
#define FEATURESTORE_KEPT_H

#include "window/bytes.h"
#include "window/value.h"

/*
 * A copy of an image, which may be moved in memory as it is.  Short ones lie
 * within, so that only long text and the like need memory of their own.
 */
typedef struct KeptImage
{
	uint32		size;
	union
	{
		char		within[VALUE_MAX_FIXED];
		char	   *elsewhere;
	}			bytes;
} KeptImage;

/* A kept image that is good for as long as the image is. */
static inline KeptImage
borrow_image(Image image)
{
	KeptImage	kept = {.size = image.size};

	if (image.size <= VALUE_MAX_FIXED)
		memcpy(kept.bytes.within, image.data, image.size);
	else
		kept.bytes.elsewhere = (char *) image.data;
	return kept;
}

/* Makes a borrowed image one's own. */
static inline void
own_image(KeptImage *kept)
{
	if (kept->size > VALUE_MAX_FIXED)
	{
		char	   *copy = palloc(kept->size);

		memcpy(copy, kept->bytes.elsewhere, kept->size);
		kept->bytes.elsewhere = copy;
	}
}

static inline KeptImage
keep_image(Image image)
{
	KeptImage	kept = borrow_image(image);

	own_image(&kept);
	return kept;
}

static inline void
drop_image(KeptImage *kept)
{
	if (kept->size > VALUE_MAX_FIXED)
		pfree(kept->bytes.elsewhere);
}

/* Good until the kept image is moved or dropped. */
static inline Image
kept_image(const KeptImage *kept)
{
	return (Image) {
		kept->size <= VALUE_MAX_FIXED ? kept->bytes.within : kept->bytes.elsewhere,
		kept->size
	};
}

#endif							/* FEATURESTORE_KEPT_H */
