"""Writes python_json.json: random values, and what Python's json module makes
of them.

    python3 checkpoint/testdata/make_python_json.py

The file that is committed was written by Python 3.10.
"""
import json
import os
import random
import struct

rng = random.Random(20261124)

CHARACTERS = "ab.Z_09 \"\\/\b\f\n\r\t\x00\x01\x1f\x7f\x80\x9f\u00e9\u07ff\u0800\u4e2d\u2028\ud7ff\ue000\uffff\U00010000\U0001f600\U0010ffff"


def text():
    return "".join(rng.choice(CHARACTERS) for _ in range(rng.randrange(8)))


def number():
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice([0, 1, -1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)])
    if kind == 1:
        return rng.randrange(-(10**12), 10**12)
    if kind == 2:
        return rng.choice([0.0, -0.0, 1.0, 0.1, -2.5, 1e15, 1e16, 9999999999999998.0, 123456789012345680.0,
                           1e-4, 9.999e-5, 1e22, 1e23, 5e-324, 1.7976931348623157e308, 2.0**53, 1e100, 24.125])
    if kind == 3:
        return rng.randrange(10**6) / 8
    while True:
        value = struct.unpack("<d", rng.randbytes(8))[0]
        if value == value and abs(value) != float("inf"):
            return value if kind == 4 else float("%.3g" % value)


def value(depth):
    kind = rng.randrange(8 if depth < 4 else 4)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return text()
    if kind <= 3:
        return number()
    if kind <= 5:
        return [value(depth + 1) for _ in range(rng.randrange(4))]
    return {text(): value(depth + 1) for _ in range(rng.randrange(5))}


rows = []
for _ in range(300):
    one = value(0)
    rows.append({"text": json.dumps(one, ensure_ascii=rng.random() < 0.5),
                 "plain": json.dumps(one),
                 "sorted": json.dumps(one, indent=2, sort_keys=True)})
path = os.path.join(os.path.dirname(__file__), "python_json.json")
with open(path, "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
