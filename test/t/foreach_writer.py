"""A writer like Spark's foreachBatch: batches with numbers, of which it notes the
last one only after it was written, so that after a crash it writes that again.
It has no other way to know what arrived.  Now and then it repeats a batch for
nothing.  What is in a batch depends on its number and the writer only.

    foreach_writer.py run CONNECTION WRITER BATCHES CHECKPOINT
    foreach_writer.py expect WRITERS BATCHES

The latter prints what all batches come to, as rows for COPY.
"""
import datetime
import decimal
import json
import os
import random
import sys
import time

ROWS = 500
KEYS = 300
START = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)


def batch_rows(writer, batch):
    rng = random.Random(f"{writer}/{batch}")
    rows = []
    for _ in range(ROWS):
        rows.append({
            "id": rng.randrange(KEYS),
            # no two rows at one time, so that the last is the last
            "at": START + datetime.timedelta(seconds=rng.randrange(10_000_000), microseconds=writer),
            "clicks": rng.randrange(1, 4),
            "spent": decimal.Decimal(rng.randrange(10000)) / 100,
            "top": rng.randrange(1_000_000),
            "plan": f"plan {rng.randrange(100)}",
        })
    return rows


def write(connection, writer, batch, rows):
    batch_id = f"{writer}/{batch}"
    if writer % 2:
        given = json.dumps([{**r, "at": r["at"].isoformat(), "spent": str(r["spent"])} for r in rows])
        query = "SELECT rows_given, is_repeat FROM featurestore.write_features('fw.totals', %s::jsonb, %s)"
        parameters = (given, batch_id)
    else:
        query = ("SELECT rows_given, is_repeat FROM fw.totals_write(id => %s, at => %s, clicks => %s, spent => %s, top => %s, plan => %s, batch_id => %s)")
        parameters = tuple([r[c] for r in rows] for c in ("id", "at", "clicks", "spent", "top", "plan")) + (batch_id,)
    given, is_repeat = connection.execute(query, parameters).fetchone()
    assert given == len(rows)
    return is_repeat


def run(connstr, writer, batches, checkpoint):
    import psycopg

    rng = random.Random()
    connection = None
    batch = int(open(checkpoint).read()) + 1 if os.path.exists(checkpoint) else 0
    while batch < batches:
        try:
            if connection is None:
                connection = psycopg.connect(connstr, autocommit=True)
            rows = batch_rows(writer, batch)
            write(connection, writer, batch, rows)
            if rng.random() < 0.2:
                assert write(connection, writer, batch, rows)
        except (psycopg.OperationalError, psycopg.errors.AdminShutdown, psycopg.errors.CrashShutdown, psycopg.errors.CannotConnectNow):
            # it may or may not have arrived
            connection = None
            time.sleep(0.05)
            continue
        with open(checkpoint + ".new", "w") as file:
            file.write(str(batch))
        os.replace(checkpoint + ".new", checkpoint)
        batch += 1


def expect(writers, batches):
    totals = {}
    for writer in range(writers):
        for batch in range(batches):
            for r in batch_rows(writer, batch):
                t = totals.setdefault(r["id"], {"clicks": 0, "spent": decimal.Decimal(0), "top": -1, "rows": 0, "last": []})
                t["clicks"] += r["clicks"]
                t["spent"] += r["spent"]
                t["top"] = max(t["top"], r["top"])
                t["rows"] += 1
                t["last"] = sorted(t["last"] + [(r["at"], r["plan"])])[-1:]
    for key, t in totals.items():
        at, plan = t["last"][0]
        print(key, at.isoformat(), t["clicks"], t["spent"], t["top"], plan, t["rows"], sep="\t")


if sys.argv[1] == "run":
    run(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
else:
    expect(int(sys.argv[2]), int(sys.argv[3]))
