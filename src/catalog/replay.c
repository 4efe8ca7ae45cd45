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
#include "utils/timestamp.h"

#include "catalog/pending.h"

PG_FUNCTION_INFO_V1(replay_lag);

/* A primary that is silent for longer may not be there any more; the default of wal_receiver_timeout. */
#define SILENCE_MS 60000

/* The time up to which all is replayed; DT_NOBEGIN if that is not known. */
static TimestampTz
replayed_up_to(void)
{
	TimestampTz committed = GetLatestXTime();
	TimestampTz sent;
	XLogRecPtr	end;

	SpinLockAcquire(&WalRcv->mutex);
	end = WalRcv->latestWalEnd;
	sent = WalRcv->lastMsgSendTime;
	SpinLockRelease(&WalRcv->mutex);

	if (committed == 0)
		committed = DT_NOBEGIN;
	if (!XLogRecPtrIsInvalid(end) && GetXLogReplayRecPtr(NULL) >= end && sent > committed)
		return sent;
	return committed;
}

/* The time up to which the current snapshot sees all that was committed; DT_NOBEGIN if that is not known. */
TimestampTz
seen_up_to(void)
{
	TimestampTz clock = GetCurrentStatementStartTimestamp();

	if (IsolationUsesXactSnapshot())
		/* how far replay was when the snapshot was taken is not known any more */
		return RecoveryInProgress() ? DT_NOBEGIN : GetCurrentTransactionStartTimestamp();
	return RecoveryInProgress() ? Min(clock, replayed_up_to()) : clock;
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
	XLogRecPtr	end;
	TimestampTz received;
	bool		is_streaming;

	if (!RecoveryInProgress())
		PG_RETURN_NULL();
	SpinLockAcquire(&WalRcv->mutex);
	is_streaming = WalRcv->walRcvState == WALRCV_STREAMING;
	end = WalRcv->latestWalEnd;
	received = WalRcv->lastMsgReceiptTime;
	SpinLockRelease(&WalRcv->mutex);

	replayed = replayed_up_to();
	if (is_streaming && GetXLogReplayRecPtr(NULL) >= end &&
		!TimestampDifferenceExceeds(received, clock, SILENCE_MS))
		replayed = clock;
	if (TIMESTAMP_IS_NOBEGIN(replayed))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall2(timestamp_mi, TimestampTzGetDatum(clock),
										TimestampTzGetDatum(Min(replayed, clock))));
}
