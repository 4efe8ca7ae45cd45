"""Lookups through psycopg 3, as an application would write them: Python values
as parameters, bound by the server, without casts where the typed functions are
called.  Prints TAP; the first argument is a connection string.
"""
import datetime
import decimal
import json
import struct
import sys
import uuid

import psycopg
from psycopg.types.json import Jsonb

count = 0


def check(got, expected, name):
    global count
    count += 1
    print(f"{'ok' if got == expected else 'not ok'} {count} - {name}")
    if got != expected:
        print(f"#      got: {got!r}\n# expected: {expected!r}")


def fails(connection, query, parameters, sqlstate, name):
    try:
        connection.execute(query, parameters)
    except psycopg.Error as error:
        check(error.sqlstate, sqlstate, name)
    else:
        check(None, sqlstate, name)


ID1 = uuid.UUID("00000000-0000-0000-0000-000000000001")
ID9 = uuid.UUID("00000000-0000-0000-0000-000000000009")
DAY = datetime.date(2024, 1, 2)
NOON = datetime.datetime(2024, 1, 3, 12, tzinfo=datetime.timezone.utc)
LATER = NOON + datetime.timedelta(days=30)

connection = psycopg.connect(sys.argv[1], autocommit=True)

for binary in (False, True):
    for prepare in (False, True):
        how = f"{'binary' if binary else 'text'} results, {'prepared' if prepare else 'not prepared'}: "
        cursor = connection.cursor(binary=binary)

        def ask(query, parameters=()):
            # the second and third time with what the first one cached
            for _ in range(3):
                result = cursor.execute(query, parameters, prepare=prepare).fetchall()
            return result

        # each type of key, as a scalar
        check(ask("SELECT * FROM cl.by_int(%s)", (1,)), [(1, 10, "one")], how + "int")
        check(ask("SELECT * FROM cl.by_int(%s)", (40000,)), [(40000, 20, "big")], how + "int of 4 bytes")
        check(ask("SELECT * FROM cl.by_int(%s)", (None,)), [(None, None, None)], how + "None")
        check(ask("SELECT * FROM cl.by_int(%s)", ("1",)), [(1, 10, "one")], how + "str for an int")
        check(ask("SELECT * FROM cl.by_big(%s)", (1,)), [(1, 1.5)], how + "int for a bigint")
        check(ask("SELECT * FROM cl.by_big(%s)", (2**40,)), [(2**40, 2.5)], how + "int of 8 bytes")
        check(ask("SELECT * FROM cl.by_text(%s)", ("näme",)), [("näme", 7)], how + "str")
        check(ask("SELECT * FROM cl.by_text(%s)", ("",)), [("", None)], how + "empty str")
        check(ask("SELECT * FROM cl.by_uuid(%s)", (ID1,)), [(ID1, DAY)], how + "uuid")
        check(ask("SELECT * FROM cl.by_date(%s)", (DAY,)), [(DAY, True)], how + "date")
        check(ask("SELECT * FROM cl.by_numeric(%s)", (decimal.Decimal("1.10"),)), [(decimal.Decimal("1.1"), 3)], how + "Decimal")
        check(ask("SELECT * FROM cl.by_numeric(%s)", (2,)), [(2, 4)], how + "int for a numeric")

        # by name, with the time and a request field
        check(ask("SELECT n, x, x * 2 AS y FROM cl.newest(id => %s, x => %s, as_of => %s)", (1, 0.25, NOON)), [(2, 0.25, 0.5)], how + "float and datetime, by name")
        check(ask("SELECT n, sum FROM cl.newest(%s, %s, %s)", (1, 3, LATER)), [(5, 8.0)], how + "int for a float")
        check(ask("SELECT n, sum FROM cl.newest(%s, %s)", (1, None)), [(5, None)], how + "None for a float")

        # lists
        check(ask("SELECT * FROM cl.by_int_batch(%s)", ([2, 1, 9, 1],)), [(2, 20, "two"), (1, 10, "one"), (9, None, None), (1, 10, "one")], how + "list of int")
        check(ask("SELECT * FROM cl.by_int_batch(%s)", ([1, 40000, None],)), [(1, 10, "one"), (40000, 20, "big"), (None, None, None)], how + "list of ints of different size, and None")
        check(ask("SELECT * FROM cl.by_int_batch(%s)", ([],)), [], how + "empty list")
        check(ask("SELECT * FROM cl.by_big_batch(%s)", ([1, 2**40],)), [(1, 1.5), (2**40, 2.5)], how + "list for bigint")
        check(ask("SELECT * FROM cl.by_text_batch(%s)", (["näme", "b,\"{"],)), [("näme", 7), ("b,\"{", 8)], how + "list of str")
        check(ask("SELECT * FROM cl.by_uuid_batch(%s)", ([ID1, ID9],)), [(ID1, DAY), (ID9, None)], how + "list of uuid")
        check(ask("SELECT * FROM cl.by_date_batch(%s)", ([DAY],)), [(DAY, True)], how + "list of date")
        check(ask("SELECT * FROM cl.by_numeric_batch(%s)", ([decimal.Decimal("1.1"), decimal.Decimal(2)],)), [(decimal.Decimal("1.1"), 3), (2, 4)], how + "list of Decimal")
        check(ask("SELECT n, sum FROM cl.newest_batch(%s, %s, %s)", ([1, 2], [0.5], NOON)), [(2, 2.5), (6, 6.5)], how + "lists, one of them broadcast")

        # vectors and matrices
        check(ask("SELECT * FROM cl.newest_vectors(%s, %s, %s)", ([1, 2], [0.5], NOON)), [([2.0, 0.5, 2.5],), ([6.0, 0.5, 6.5],)], how + "vectors")
        matrix = ask("SELECT * FROM cl.newest_matrix(%s, %s, %s)", ([1, 2], [0.5], NOON))[0][0]
        check(struct.unpack("<6f", bytes(matrix)), (2.0, 0.5, 2.5, 6.0, 0.5, 6.5), how + "matrix")

        # functions for any spec: nothing tells them a type but the value's own
        check(ask("SELECT * FROM featurestore.feature_lookup(NULL::cl.by_int, %s)", (1,)), [(1, 10, "one")], how + "feature_lookup of an int")
        check(ask("SELECT * FROM featurestore.feature_lookup(NULL::cl.by_int, %s)", ([2, 40000],)), [(2, 20, "two"), (40000, 20, "big")], how + "feature_lookup of a list")
        fails(connection, "SELECT * FROM featurestore.feature_lookup(NULL::cl.by_text, %s)", ("näme",), "42P18", how + "feature_lookup of a str, which has no type")
        check(ask("SELECT * FROM featurestore.feature_lookup(NULL::cl.by_text, %s::text)", ("näme",)), [("näme", 7)], how + "feature_lookup of a str, cast")
        check(ask("SELECT * FROM featurestore.feature_lookup(NULL::cl.by_text, %s::text[])", (["näme", "x"],)), [("näme", 7), ("x", None)], how + "feature_lookup of a list of str")
        check(ask("SELECT * FROM featurestore.feature_lookup(NULL::cl.by_uuid, %s)", (ID1,)), [(ID1, DAY)], how + "feature_lookup of a uuid")
        check(ask("SELECT n, sum FROM featurestore.feature_lookup(NULL::cl.newest, %s, %s)", ([1], 0.5)), [(5, 5.5)], how + "feature_lookup of a float")
        check(ask("SELECT * FROM featurestore.feature_vectors(%s, %s, %s)", ("cl.newest", [1], 0.5)), [([5.0, 0.5, 5.5],)], how + "feature_vectors")
        check(bytes(ask("SELECT featurestore.feature_matrix(%s, %s, %s)", ("cl.newest", 1, 0.5))[0][0]), struct.pack("<3f", 5, 0.5, 5.5), how + "feature_matrix")
        check(ask("SELECT featurestore.feature_matrix_columns(%s)", ("cl.newest",)), [(["n", "x", "sum"],)], how + "feature_matrix_columns")
        records = {"id": [1, 2], "x": 0.5}
        check(ask("SELECT * FROM featurestore.feature_lookup_json(%s, %s, %s)", ("cl.newest", Jsonb(records), NOON)),
              [({"n": 2, "x": 0.5, "sum": 2.5},), ({"n": 6, "x": 0.5, "sum": 6.5},)], how + "json")
        check(ask("SELECT * FROM featurestore.feature_lookup_json(%s, %s)", ("cl.by_int", json.dumps({"id": 1}))), [({"id": 1, "a": 10, "label": "one"},)], how + "json as str")
        check(ask("SELECT r->'status'->'n'->>'status' FROM featurestore.feature_lookup_json(spec => %s, records => %s, metadata => %s) AS r", ("cl.newest", Jsonb([{"id": 7, "x": None}]), True)),
              [("NOT_FOUND",)], how + "json with metadata")
        check(ask("SELECT relation::text, keys, found FROM featurestore.explain_lookup(%s, %s)", ("cl.by_int", Jsonb({"id": [1, 1, 9]}))), [("cl.ints", 2, 1)], how + "explain_lookup")

# what a client binds by itself comes as literals
cursor = psycopg.ClientCursor(connection)
check(cursor.execute("SELECT * FROM cl.by_int(%s)", (1,)).fetchall(), [(1, 10, "one")], "bound by the client: int")
check(cursor.execute("SELECT * FROM cl.by_int_batch(%s)", ([1, None],)).fetchall(), [(1, 10, "one"), (None, None, None)], "bound by the client: list")
check(cursor.execute("SELECT * FROM cl.by_text_batch(%s)", (["näme"],)).fetchall(), [("näme", 7)], "bound by the client: list of str")
check(cursor.execute("SELECT n FROM cl.newest(%s, %s, %s)", (1, 0.5, NOON)).fetchall(), [(2,)], "bound by the client: float, datetime")
check(cursor.execute("SELECT * FROM featurestore.feature_lookup(NULL::cl.by_text, %s)", ("näme",)).fetchall(), [("näme", 7)], "bound by the client: literal of unknown type")

# many rows through a portal of the server
with connection.transaction():
    with connection.cursor("portal") as portal:
        portal.execute("SELECT id, a FROM cl.by_int_batch(%s)", (list(range(5000)),))
        portal.itersize = 100
        rows = list(portal)
check((len(rows), rows[1], rows[4999]), (5000, (1, 10), (4999, None)), "a cursor of the server")

# a pipeline
with connection.pipeline():
    cursors = [connection.execute("SELECT a FROM cl.by_int(%s)", (i % 3,)) for i in range(50)]
    check([c.fetchone()[0] for c in cursors[:4]], [None, 10, 20, None], "a pipeline")

# errors have their SQLSTATE and leave the session usable
fails(connection, "SELECT * FROM cl.by_int_batch(%s)", ([[1], [2]],), "2202E", "two dimensions")
fails(connection, "SELECT * FROM cl.newest_batch(%s, %s)", ([1, 2], [1.0, 2.0, 3.0]), "2202E", "lists of different length")
fails(connection, "SELECT * FROM cl.by_int_batch(%s::int[])", (None,), "22004", "None for a list")
fails(connection, "SELECT * FROM cl.by_int(%s)", ("x",), "22P02", "str that is no int")
fails(connection, "SELECT * FROM featurestore.feature_lookup(NULL::cl.by_int, %s)", (2**40,), "22003", "int too large")
fails(connection, "SELECT * FROM featurestore.feature_lookup_json(%s, %s)", ("cl.none", Jsonb({})), "42704", "no such spec")
check(connection.execute("SELECT a FROM cl.by_int(%s)", (1,)).fetchall(), [(10,)], "after errors")

# the protocol itself: parameters of no type, in text and binary, results in binary
pg = connection.pgconn


def raw(query, *parameters):
    types, values, formats = zip(*parameters)
    result = pg.exec_params(query, values, types, formats, 1)
    if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        return result.error_message
    return [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]


one = struct.pack("!i", 1)
array = struct.pack("!iiiii" + "ii" * 2, 1, 0, 23, 2, 1, 4, 2, 4, 1)
check(raw(b"SELECT * FROM cl.by_int($1)", (0, b"1", 0)), [[one, struct.pack("!i", 10), b"one"]], "text parameter of no type")
check(raw(b"SELECT * FROM cl.by_int($1)", (0, one, 1)), [[one, struct.pack("!i", 10), b"one"]], "binary parameter of no type")
check(raw(b"SELECT * FROM cl.by_int_batch($1)", (0, b"{2,1}", 0)), raw(b"SELECT * FROM cl.by_int_batch($1)", (0, array, 1)), "arrays of no type, text and binary")
check(raw(b"SELECT cl.newest_matrix($1, $2, $3)", (0, b"{1}", 0), (0, b"{0.5}", 0), (0, b"2024-01-03 12:00Z", 0)), [[struct.pack("<3f", 2, 0.5, 2.5)]], "matrix in binary is the bytes themselves")
check(raw(b"SELECT cl.newest_vectors($1, $2, $3)", (0, b"{1}", 0), (0, b"{0.5}", 0), (0, b"2024-01-03 12:00Z", 0)),
      [[struct.pack("!iiiii" + "if" * 3, 1, 0, 700, 3, 1, 4, 2.0, 4, 0.5, 4, 2.5)]], "vectors in binary")
check(raw(b"SELECT * FROM featurestore.feature_lookup(NULL::cl.by_text, $1::text)", (0, "näme".encode(), 1)), [["näme".encode(), struct.pack("!i", 7)]], "feature_lookup with a parameter of no type, cast")

print(f"1..{count}")
