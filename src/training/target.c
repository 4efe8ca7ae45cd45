/*
 * target.c
 *	  Puts rows into a table that was just made.
 *
 * As a rule it is a plain heap of columns, into which rows go in bulk as with
 * CREATE TABLE AS.  But an event trigger may have given it indexes, constraints
 * or triggers meanwhile; then rows go the way of an INSERT.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/rel.h"

#include "catalog/definition.h"
#include "training/target.h"
#include "compat.h"

struct RowTarget
{
	Relation	rel;
	TupleTableSlot *slot;
	CommandId	command;
	BulkInsertState bulk;		/* NULL: not in bulk */
	EState	   *estate;
	ResultRelInfo *result_rel;
};

/* Does nothing but the heap need to know of a row? */
static bool
is_plain(Relation rel)
{
	return rel->rd_rel->relkind == RELKIND_RELATION && !rel->rd_rel->relhasindex &&
		!rel->trigdesc && !RelationGetDescr(rel)->constr && !rel->rd_rel->relispartition;
}

RowTarget *
target_open(Oid relid, TupleDesc *desc)
{
	RowTarget  *target = palloc0_object(RowTarget);

	lock_owned_relation(relid, RowExclusiveLock);
	target->rel = table_open(relid, NoLock);
	if (target->rel->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(target->rel)),
				 errdetail("Rows of training sets go into an ordinary table.")));
	target->slot = table_slot_create(target->rel, NULL);
	target->command = GetCurrentCommandId(true);
	*desc = RelationGetDescr(target->rel);
	if (is_plain(target->rel))
	{
		target->bulk = GetBulkInsertState();
		return target;
	}
	target->estate = CreateExecutorState();
	target->estate->es_output_cid = target->command;
	target->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(target->result_rel, target->rel, 0, NULL, 0);
	ExecOpenIndices(target->result_rel, false);
	AfterTriggerBeginQuery();
	return target;
}

void
target_put(RowTarget *target, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = target->slot;
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, nulls, natts);
	ExecStoreVirtualTuple(slot);
	if (target->bulk)
		table_tuple_insert(target->rel, slot, target->command, TABLE_INSERT_SKIP_FSM, target->bulk);
	else
	{
		ExecSimpleRelationInsert(target->result_rel, target->estate, slot);
		ResetPerTupleExprContext(target->estate);
	}
}

void
target_close(RowTarget *target)
{
	ExecDropSingleTupleTableSlot(target->slot);
	if (target->bulk)
	{
		FreeBulkInsertState(target->bulk);
		table_finish_bulk_insert(target->rel, TABLE_INSERT_SKIP_FSM);
	}
	else
	{
		AfterTriggerEndQuery(target->estate);
		ExecCloseIndices(target->result_rel);
		ExecResetTupleTable(target->estate->es_tupleTable, false);
		FreeExecutorState(target->estate);
	}
	table_close(target->rel, NoLock);
}
