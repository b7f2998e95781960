"""Writes value_diffs.json: which of random numbers numpy takes for close.

    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install numpy==1.24.4
    /tmp/peer/bin/python checkpoint/testdata/make_value_diffs.py

A row is {dtypes, bytes (hexadecimal, of a and of b), rtol, atol, different,
max_abs}: `different` is how many elements numpy.isclose(.., equal_nan=True)
refuses in float64 or complex128; without tolerances, how many differ in their
bits or, if the dtypes differ, in value. `max_abs` is null where it is infinite.
"""
import json
import os
import random

import numpy as np

rng = random.Random(16)
DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64", "complex64", "complex128"]
SPECIAL = [0.0, -0.0, 1.0, 1.0 + 2**-10, -1.5, 3e-5, float("nan"), float("inf"), -float("inf"), 65504.0]


def make(dtype, count):
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.array([rng.random() < 0.5 for _ in range(count)])
    if kind in "ui":
        info = np.iinfo(dtype)
        choices = [info.min, info.max, 0, 1, 2, 100, info.max - 1]
        return np.array([rng.choice(choices) for _ in range(count)], dtype=dtype)

    def number():
        return rng.choice(SPECIAL) if rng.random() < 0.5 else rng.gauss(0, 1)

    if kind == "c":
        return np.array([complex(number(), number()) for _ in range(count)], dtype=dtype)
    return np.array([number() for _ in range(count)], dtype=dtype)


def near(values, dtype):
    """Like `values`, in `dtype`, some a little off."""
    with np.errstate(all="ignore"):
        out = (values.real if np.dtype(dtype).kind != "c" else values).astype(dtype)
        other = make(dtype, len(out))
        for i in range(len(out)):
            if rng.random() < 0.3:
                out[i] = other[i]
            elif rng.random() < 0.3 and out.dtype.kind in "fc":
                out[i] = out[i] * (1 + rng.choice([1e-2, 1e-3, 1e-6]))
    return out


def distance(x, y):
    if isinstance(x, int) and isinstance(y, int):
        return float(abs(x - y))
    x, y = complex(x), complex(y)
    if x == y or (x != x and y != y):
        return 0.0
    if not (np.isfinite(x) and np.isfinite(y)):
        return float("inf")
    return float(np.abs(np.complex128(x) - np.complex128(y)))


rows = []
while len(rows) < 400:
    a = make(rng.choice(DTYPES), 8)
    b = near(a, str(a.dtype) if rng.random() < 0.5 else rng.choice(DTYPES))
    # numpy multiplies by 1+0j on the way, which makes a NaN of an infinity.
    if "c" in (a.dtype.kind, b.dtype.kind) and (np.isinf(a).any() or np.isinf(b).any()):
        continue
    rtol, atol = rng.choice([(0, 0), (1e-5, 1e-8), (0, 1e-3), (1e-2, 0), (0.5, 2.0)])
    pairs = list(zip(a.tolist(), b.tolist()))
    if rtol == atol == 0 and a.dtype == b.dtype:
        different = sum(a[i].tobytes() != b[i].tobytes() for i in range(len(a)))
    elif rtol == atol == 0:
        different = sum(distance(x, y) != 0 for x, y in pairs)
    else:
        integers = a.dtype.kind in "bui" and b.dtype.kind in "bui"
        if integers:  # numpy would round 64-bit integers first.
            different = sum(not distance(int(x), int(y)) <= atol + rtol * abs(float(y)) for x, y in pairs)
        else:
            with np.errstate(all="ignore"):
                wide = "complex128" if "c" in (a.dtype.kind, b.dtype.kind) else "float64"
                different = int((~np.isclose(a.astype(wide), b.astype(wide), rtol, atol, equal_nan=True)).sum())
    largest = max(distance(x, y) for x, y in pairs)
    rows.append({"dtypes": [str(a.dtype), str(b.dtype)], "bytes": [a.tobytes().hex(), b.tobytes().hex()], "rtol": rtol,
                 "atol": atol, "different": different, "max_abs": None if largest == float("inf") else largest})
path = os.path.join(os.path.dirname(__file__), "value_diffs.json")
with open(path, "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
