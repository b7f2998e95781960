"""Writes golden.json: values, as Python pickles and as it prints them.

Run with CPython 3.10, numpy 1.24 and torch 2.1:
    python checkpoint/pickle/testdata/make_golden.py

Each case: what was pickled, the protocol, the pickle in base64, and repr() of
what pickle.loads() makes of it. Arrays are printed on one line, element by
element as repr() prints numpy's scalars, which is our own layout.
"""

import argparse
import base64
import collections
import json
import os
import pickle

import numpy as np
import torch


def namespace():
    return argparse.Namespace(lr=1e-3, name="it's", layers=[1, 2], extra=None)


def odd_namespace():
    result = argparse.Namespace(a=1)
    setattr(result, "b-c", 2)
    return result


def counter():
    return collections.Counter("abracadabra")


def default_dict(factory):
    result = collections.defaultdict(factory)
    result["x"] = 1
    return result


def shared():
    part = [1, 2]
    return [part, part, {"again": part}]


def cyclic_list():
    result = [1]
    result.append(result)
    return result


def cyclic_dict():
    result = {"a": (1,)}
    result["self"] = [result]
    return result


def deep():
    result = ()
    for _ in range(60):
        result = [(result, "x")]
    return result


VALUES = [
    None, True, False,
    0, 1, -1, 255, 256, 65535, 65536, 2**31 - 1, -2**31, 2**31, -2**31 - 1,
    2**63 - 1, -2**63, 2**63, -2**63 - 1, 2**64, -2**64, 10**50, -10**50,
    10**2000, 3**333, -3**333, 128, -128, -129, 32768, -32769, 2**71,
    0.0, -0.0, 1.0, 0.1, -2.5, 1e16, 1e15, 123456789012345680.0, 1e-4, 1e-5,
    0.00012345, 1e22, 1e23, 1.7976931348623157e308, 5e-324, 1 / 3, 100.0,
    float("inf"), float("-inf"), float("nan"), 9999999999999998.0,
    1 + 2j, -1.5 - 0.5j, 2j, complex(-0.0, 1.0), complex(0.0, -0.0),
    "", "abc", "it's", 'say "x"', "it's \"x\"", "back\\slash", "tab\tnl\nret\r",
    "nul\0bell\x07del\x7f", "é ü ß", "日本語", "😀", "\x80\x85\xa0\xad",
    "\u2028\u200b\u3000", "lone \ud800 surrogate", "\\u0041", "\\", "\\\\n",
    "x" * 300, "\ufeff", "\ue000", "a\nb\\u000a",
    b"", b"abc", b"it's", b"\x00\xff\\\n\t\r'\"", bytes(range(256)), b"y" * 300,
    bytearray(b""), bytearray(b"ab\x80"), bytearray(b"it's"),
    [], [1], [1, 2, 3], [[], [[]], {}], (), (1,), (1, 2), (1, 2, 3),
    (1, 2, 3, 4), ((), ((),)), {}, {"a": 1}, {1: "a", (1, 2): [3], None: {}},
    {"lr": 0.1, "betas": (0.9, 0.999)}, list(range(1100)),
    {i: str(i) for i in range(1005)},
    set(), {1}, frozenset(), frozenset([1]), {"only": {7}},
    range(3), range(1, 10, 2), range(5, 0, -1), slice(1, None, 2),
    collections.OrderedDict(), collections.OrderedDict(a=1, b=[2]),
    default_dict(None), default_dict(int), default_dict(list),
    collections.Counter(), counter(), namespace(), odd_namespace(),
    argparse.Namespace(), int, str, dict, object, collections.OrderedDict,
    shared(), cyclic_list(), cyclic_dict(), deep(),
    torch.Size([]), torch.Size([2, 3]), torch.device("cpu"),
    torch.device("cuda", 1), torch.float32, torch.bfloat16, torch.int64,
    torch.strided, {"dtype": torch.float16, "size": torch.Size([1])},
    np.float64(0.1), np.float32(0.1), np.float16(0.1), np.float32(1e-5),
    np.float32(16777216), np.float16(65504), np.float16(6e-8), np.int64(-3),
    np.uint8(200), np.int16(-5), np.uint64(2**64 - 1), np.bool_(True),
    np.complex64(1 + 2j), np.complex128(-0.5j), np.float16("nan"),
    np.dtype("float64"), np.dtype("int8"), np.dtype(bool),
    np.array([1, 2, 3]), np.array([[1.5, 2.0], [0.1, -0.0]]),
    np.array([1, 2], dtype=np.int32), np.array([0.1], dtype=np.float32),
    np.array([0.1, 2.5], dtype=np.float16), np.array(7), np.array([True, False]),
    np.array([]), np.zeros((0, 3), dtype=np.float32), np.array([[[1]], [[2]]]),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array([1, 2], dtype=">i4"), np.array([1.5], dtype=">f8"),
    np.array([1 + 1j], dtype=np.complex64), np.arange(12).reshape(2, 3, 2),
    {"step": np.int64(3), "best": np.float64(0.25), "ids": np.array([5, 6])},
]


def show(value):
    """repr(), but for arrays."""
    if isinstance(value, np.ndarray):
        return show_array(value)
    if isinstance(value, dict) and type(value) is dict and any(
            isinstance(v, np.ndarray) for v in value.values()):
        return "{%s}" % ", ".join(
            "%r: %s" % (k, show(v)) for k, v in value.items())
    return repr(value)


def show_array(array):
    default = array.dtype in (np.bool_, np.int64, np.float64, np.complex128)
    name = array.dtype.newbyteorder("=").name
    suffix = "" if default and array.size else ", dtype=%s" % name
    if array.size == 0:
        shape = "" if array.shape == (0,) else ", shape=%r" % (array.shape,)
        return "array([]%s%s)" % (shape, suffix)

    def part(a):
        if a.ndim == 0:
            return repr(a.newbyteorder("=").byteswap()[()]
                        if a.dtype.byteorder == ">" else a[()])
        return "[%s]" % ", ".join(part(np.asarray(x, dtype=a.dtype)) for x in a)

    return "array(%s%s)" % (part(array), suffix)


def main():
    cases = []
    for value in VALUES:
        seen = set()
        for protocol in range(6):
            data = pickle.dumps(value, protocol)
            if data in seen:
                continue
            seen.add(data)
            back = pickle.loads(data)
            cases.append({
                "protocol": protocol,
                "pickle": base64.b64encode(data).decode(),
                "repr": show(back).encode("utf-8", "surrogatepass").decode(
                    "latin-1"),
            })
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "golden.json")
    with open(path, "w") as f:
        f.write("[\n")
        f.write(",\n".join(json.dumps(case) for case in cases))
        f.write("\n]\n")


if __name__ == "__main__":
    main()
