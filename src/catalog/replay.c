/*
 * replay.c
 *	  Up to what time what is seen is complete.
 *
 * On a primary a statement sees all that was committed before it began, and one
 * of a transaction that keeps its snapshot what was before that began.  On a
 * standby it sees what is replayed.  What the standby knows of the time of that
 * is when the last transaction that is replayed had committed and, if all is
 * replayed that the primary had, when the primary said so; that may be half a
 * minute ago where nothing happens there.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "fmgr.h"
#include "replication/walreceiver.h"
#include "storage/spin.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "catalog/pending.h"

PG_FUNCTION_INFO_V1(replay_lag);

/* A primary that is silent for longer may not be there any more; the default of wal_receiver_timeout. */
#define SILENCE_MS 60000

/* What a standby last heard of its primary. */
typedef struct Heard
{
	bool		is_known;
	XLogRecPtr	end;			/* of what the primary had */
	TimestampTz sent;			/* by the clock of the primary */
	TimestampTz received;
} Heard;

/*
 * Whoever begins to connect says that he has heard something this very moment.
 * A message took longer.
 */
static Heard
heard_of_primary(void)
{
	Heard		heard;

	SpinLockAcquire(&WalRcv->mutex);
	heard.end = WalRcv->latestWalEnd;
	heard.sent = WalRcv->lastMsgSendTime;
	heard.received = WalRcv->lastMsgReceiptTime;
	SpinLockRelease(&WalRcv->mutex);
	heard.is_known = !XLogRecPtrIsInvalid(heard.end) && heard.sent != heard.received;
	return heard;
}

/* The time up to which all is replayed; DT_NOBEGIN if that is not known. */
static TimestampTz
replayed_up_to(const Heard *heard)
{
	TimestampTz committed = GetLatestXTime();

	if (heard->is_known && GetXLogReplayRecPtr(NULL) >= heard->end && heard->sent > committed)
		return heard->sent;
	return committed == 0 ? DT_NOBEGIN : committed;
}

/* The time up to which the current snapshot sees all that was committed; DT_NOBEGIN if that is not known. */
TimestampTz
seen_up_to(void)
{
	TimestampTz clock = GetCurrentStatementStartTimestamp();
	Heard		heard;

	if (IsolationUsesXactSnapshot())
		/* how far replay was when the snapshot was taken is not known any more */
		return RecoveryInProgress() ? DT_NOBEGIN : GetCurrentTransactionStartTimestamp();
	if (!RecoveryInProgress())
		return clock;
	heard = heard_of_primary();
	return Min(clock, replayed_up_to(&heard));
}

/*
 * _replay_lag() RETURNS interval
 * How far a standby is behind; NULL on a primary, and if it is not known.  It is
 * zero while all that the primary had is replayed, and the primary has been
 * heard of lately.
 */
Datum
replay_lag(PG_FUNCTION_ARGS)
{
	TimestampTz clock = GetCurrentStatementStartTimestamp();
	TimestampTz replayed;
	Heard		heard;

	if (!RecoveryInProgress())
		PG_RETURN_NULL();
	heard = heard_of_primary();
	replayed = replayed_up_to(&heard);
	if (heard.is_known && GetXLogReplayRecPtr(NULL) >= heard.end &&
		!TimestampDifferenceExceeds(heard.received, clock, SILENCE_MS))
		replayed = clock;
	if (TIMESTAMP_IS_NOBEGIN(replayed))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall2(timestamp_mi, TimestampTzGetDatum(clock),
										TimestampTzGetDatum(Min(replayed, clock))));
}
