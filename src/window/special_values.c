/*
 * special_values.c
 *	  Counts of values that are no part of a sum, or do not show in it.
 */
#include "postgres.h"

#include "window/family.h"
#include "window/special_values.h"

uint8
special_flags(const SpecialCounts *specials)
{
	uint8		flags = 0;

	for (int i = 0; i < NSPECIALS; i++)
	{
		if (specials->counts[i] > 0)
			flags |= SPECIAL_FLAG(i);
	}
	return flags;
}

void
special_write(const SpecialCounts *specials, Writer *writer)
{
	for (int i = 0; i < NSPECIALS; i++)
	{
		if (specials->counts[i] > 0)
			write_varint(writer, specials->counts[i]);
	}
}

uint64
special_merge_counts(SpecialCounts *specials, uint8 flags, Reader *reader)
{
	uint64		not_finite = 0;

	for (int i = 0; i < NSPECIALS; i++)
	{
		if (flags & SPECIAL_FLAG(i))
		{
			uint64		count = read_varint(reader);

			add_events(&specials->counts[i], count);
			if (i != SPECIAL_MINUS_ZERO)
				not_finite += count;
		}
	}
	return not_finite;
}

bool
special_skip(SpecialCounts *specials, uint8 flags, uint64 events, Reader *reader)
{
	memset(specials, 0, sizeof(*specials));
	for (int i = 0; i < NSPECIALS; i++)
	{
		if (flags & SPECIAL_FLAG(i))
		{
			specials->counts[i] = read_varint(reader);
			if (specials->counts[i] == 0 || specials->counts[i] > events)
				return false;
			events -= specials->counts[i];
		}
	}
	return true;
}

uint64
special_not_finite(const SpecialCounts *specials)
{
	return specials->counts[SPECIAL_NAN] + specials->counts[SPECIAL_INFINITY] +
		specials->counts[SPECIAL_MINUS_INFINITY];
}

SpecialValue
special_sum(const SpecialCounts *specials)
{
	bool		infinite = specials->counts[SPECIAL_INFINITY] > 0;
	bool		minus_infinite = specials->counts[SPECIAL_MINUS_INFINITY] > 0;

	if (specials->counts[SPECIAL_NAN] > 0 || (infinite && minus_infinite))
		return SPECIAL_NAN;
	return infinite ? SPECIAL_INFINITY : minus_infinite ? SPECIAL_MINUS_INFINITY : SPECIAL_NONE;
}
