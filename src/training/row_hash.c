/*
 * row_hash.c
 *	  A hash of rows that does not depend on how they are stored.
 *
 * A row's hash is of the images of its values, whatever their compression,
 * place or length word; that of a set of rows is the sum of theirs, so that it
 * does not depend on their order.  A training set has the number of each row in
 * the row.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/typcache.h"

#include "training/labels.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(add_row_hash);

/* Hash of a value that is not NULL, other for other seeds. */
static uint64
value_image_hash(Form_pg_attribute attribute, Datum value, uint64 seed)
{
	struct varlena *packed;
	uint64		hash;

	if (attribute->attbyval)
	{
		int64		image = attribute->attlen == 1 ? (int64) DatumGetChar(value) :
			attribute->attlen == 2 ? (int64) DatumGetInt16(value) :
			attribute->attlen == 4 ? (int64) DatumGetInt32(value) : DatumGetInt64(value);

		return hash_bytes_extended((unsigned char *) &image, sizeof(image), seed);
	}
	if (attribute->attlen > 0)
		return hash_bytes_extended((unsigned char *) DatumGetPointer(value), attribute->attlen, seed);
	if (attribute->attlen == -2)
		return hash_bytes_extended((unsigned char *) DatumGetCString(value),
								   strlen(DatumGetCString(value)), seed);
	packed = PG_DETOAST_DATUM_PACKED(value);
	hash = hash_bytes_extended((unsigned char *) VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed), seed);
	if ((Pointer) packed != DatumGetPointer(value))
		pfree(packed);
	return hash;
}

/* Columns that were dropped do not count, and neither does the number of the others. */
uint64
row_hash(TupleDesc desc, const Datum *values, const bool *nulls)
{
	uint64		hash = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped)
			continue;
		hash = nulls[i] ? hash_combine64(hash, UINT64CONST(0x9ddfea08eb382d69)) :
			hash_combine64(hash, value_image_hash(attribute, values[i], hash));
	}
	return hash;
}

/* _add_row_hash(hash bigint, row record) RETURNS bigint */
Datum
add_row_hash(PG_FUNCTION_ARGS)
{
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(1);
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header),
											  HeapTupleHeaderGetTypMod(header));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header),.t_data = header};
	Datum	   *values = palloc_array(Datum, desc->natts);
	bool	   *nulls = palloc_array(bool, desc->natts);
	uint64		hash;

	heap_deform_tuple(&tuple, desc, values, nulls);
	hash = row_hash(desc, values, nulls);
	ReleaseTupleDesc(desc);
	pfree(values);
	pfree(nulls);
	PG_RETURN_INT64((int64) ((uint64) PG_GETARG_INT64(0) + hash));
}
