"""The standard library's compiled parts, each with a result that is known."""

import base64
import collections
import csv
import datetime
import decimal
import fractions
import hashlib
import heapq
import io
import itertools
import json
import math
import os
import pickle
import random
import re
import sqlite3
import statistics
import struct
import sys
import tempfile
import zipfile
import zlib

print("python", sys.version_info[:2], sys.platform, sys.byteorder)

text = json.dumps({"a": [1, 2.5, None, True, "ü"], "b": {"c": "d"}}, sort_keys=True)
print("json", text, json.loads(text) == {"a": [1, 2.5, None, True, "ü"], "b": {"c": "d"}})

data = bytes(range(256)) * 4096
for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s"):
    print(name, hashlib.new(name, data).hexdigest())
print("pbkdf2", hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 2000).hex())
print("crc", zlib.crc32(data), "adler", zlib.adler32(data))
packed = zlib.compress(data, 9)
print("zlib", len(packed), zlib.decompress(packed) == data)
print("base64", base64.b85encode(b"some bytes"), struct.pack(">IhQ", 1, -2, 3).hex())

with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "archive.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(20):
            archive.writestr(f"folder/{index}.txt", f"file {index}\n" * 500)
    with zipfile.ZipFile(path) as archive:
        print("zip", archive.testzip(), len(archive.namelist()), archive.read("folder/7.txt")[:7])

    path = os.path.join(directory, "data.sqlite")
    with sqlite3.connect(path) as database:
        database.execute("create table t (id integer primary key, name text, value real)")
        rows = [(i, f"name {i % 17}", i * 0.5) for i in range(5000)]
        database.executemany("insert into t values (?, ?, ?)", rows)
        database.commit()
    database.close()
    database = sqlite3.connect(path)
    print("sqlite", database.execute("select count(*), sum(value) from t").fetchone())
    query = "select name, count(*), avg(value) from t group by name order by name limit 3"
    print("sqlite", database.execute(query).fetchall())
    database.execute("create index by_name on t (name)")
    database.execute("delete from t where id % 3 = 0")
    database.rollback()
    print("sqlite", database.execute("pragma integrity_check").fetchone())
    database.close()
    print("files", sorted(os.listdir(directory)))

decimal.getcontext().prec = 60
print("decimal", decimal.Decimal(2).sqrt(), decimal.Decimal(1) / decimal.Decimal(7))
print("fraction", sum(fractions.Fraction(1, n) for n in range(1, 30)))
print("integers", hash(3**500), math.factorial(60), pow(3, 10**6, 10**9 + 7), 2**521 - 1)
print("floats", math.sin(1.0), math.exp(0.5), 0.1 + 0.2, math.fsum([0.1] * 10), float("1e308") * 10)

random.seed(12345)
print("random", random.random(), random.sample(range(1000), 5), random.gauss(0, 1))
print("statistics", statistics.stdev([1, 2, 3, 4, 10]))
print("regex", re.findall(r"(\w+)@(\w+)\.com", "a@b.com, cc@dd.com"), re.sub(r"\s+", " ", "a  b\n c"))
print("pickle", pickle.loads(pickle.dumps({"k": (1, 2), "s": {3}})))
print("date", datetime.datetime(2024, 2, 29, 12, 30).isoformat(), datetime.date(2000, 1, 1).strftime("%A %j"))
print("heap", [heapq.heappop(h) for h in [[1, 5, 2, 8]] for _ in range(2)], list(itertools.permutations("abc"))[:3])
print("csv", list(csv.reader(io.StringIO('a,"b ""c""",d\n'))))
print("counter", collections.Counter("mississippi").most_common(3))


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


print("recursion", deep(900))
try:
    deep(10**6)
except RecursionError as error:
    print("recursion ends in", type(error).__name__)
try:
    1 / 0
except ZeroDivisionError as error:
    print("caught", error)
print("to stderr", file=sys.stderr)
sys.exit(3)
