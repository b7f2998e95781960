"""Writes corpus/: seeds of the fuzzer, good pickles and hostile ones.

Run with CPython 3.10 and torch 2.1:
    python checkpoint/pickle/testdata/make_corpus.py
None of the hostile ones does harm when loaded: they call `true`, or fail.
"""

import argparse
import collections
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import torch

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def text(s):
    data = s.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def glob(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def storage(kind="FloatStorage", key="0", numel=4, tail=b""):
    return (b"(" + text("storage") + glob("torch", kind) + text(key) +
            text("cpu") + b"\x8a\x08" + struct.pack("<q", numel) + tail + b"tQ")


def tensor(store=None, offset=b"K\0", shape=b"K\2K\2", stride=b"K\2K\1",
           tail=b"\x89" + glob("collections", "OrderedDict") + b")R",
           function="_rebuild_tensor_v2"):
    return (glob("torch._utils", function) + b"(" + (store or storage()) +
            offset + b"(" + shape + b"t(" + stride + b"t" + tail + b"tR")


def state_dict(*entries):
    return b"\x80\x02}(" + b"".join(
        text(name) + value for name, value in entries) + b"u."


def data_pkl(value, **kwargs):
    out = io.BytesIO()
    torch.save(value, out, **kwargs)
    with zipfile.ZipFile(out) as z:
        return z.read("archive/data.pkl")


def good():
    plain = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    module = torch.nn.Linear(2, 2)
    yield "state-dict", data_pkl(module.state_dict())
    yield "views", data_pkl({"a": plain, "t": plain.t(), "s": plain[1:3, ::2]})
    yield "dtypes", data_pkl({str(d): torch.zeros(2, dtype=d) for d in (
        torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8,
        torch.bool, torch.complex64)})
    yield "parameters", data_pkl({"w": module.weight, "b": module.bias})
    yield "protocol4", data_pkl({"a": plain}, pickle_protocol=4)
    yield "nested", data_pkl({
        "model": module.state_dict(), "epoch": 3, "best": np.float64(0.5),
        "args": argparse.Namespace(lr=0.1, name="x"),
        "counts": collections.Counter("aab"),
        "optimizer": {"state": {0: {"exp_avg": plain}}, "param_groups": [
            {"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1]}]},
        "rng": np.arange(3), "size": torch.Size([2]), "bytes": b"\xff"})
    yield "sparse", data_pkl({"s": torch.eye(2).to_sparse()})
    yield "quantised", data_pkl(
        {"q": torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8)})
    yield "meta", data_pkl({"m": torch.zeros(2, device="meta")})
    yield "conjugated", data_pkl(
        {"c": torch.zeros(2, dtype=torch.complex64).conj()})
    value = {"s": "\xe9", "b": b"\x80", "i": [1, -1, 2**40, 2**70], "f": 0.5,
             "t": (True, None), "set": {1}, "frozen": frozenset([2]),
             "array": bytearray(b"x")}
    for protocol in range(6):
        yield "plain-%d" % protocol, pickle.dumps(value, protocol)
    yield "legacy-view", state_dict(("a", tensor(storage(
        tail=b"(" + text("v") + b"K\1K\2t"), shape=b"K\2", stride=b"K\1")))


def hostile():
    yield "eval", glob("builtins", "eval") + text("1") + b"\x85R."
    yield "system", glob("os", "system") + text("true") + b"\x85R."
    yield "dotted", b"\x80\4" + text("torch") + text("os.system") + b"\x93."
    yield "hidden-name", (b"\x80\4" + text("os") + glob("m", "f") + b")R\x93.")
    yield "inst", b"(S'true'\nios\nsystem\n."
    yield "build-global", glob("m", "x") + b"}b."
    yield "memo-missing", b"h\x07."
    yield "memo-far", b"Nr\xff\xff\xff\xff0j\xff\xff\xff\xff."
    yield "underflow", b"\x86."
    yield "no-mark", b"t."
    yield "pop-below-mark", b"N(a."
    yield "no-stop", b"N"
    yield "empty", b""
    yield "protocol-99", b"\x80\x63N."
    yield "unknown-opcode", b"\xff."
    yield "extension", b"\x82\x01."
    yield "buffer", b"\x80\x05\x97."
    yield "huge-string", b"X\xff\xff\xff\x7f."
    yield "huge-string8", b"\x8d" + b"\xff" * 8 + b"."
    yield "huge-frame", b"\x95" + b"\xff" * 7 + b"\x7f."
    yield "huge-long", b"\x8b\xff\xff\xff\xff."
    yield "negative-string", b"T\xff\xff\xff\xff."
    yield "not-utf8", b"X\x02\0\0\0\xc0\x80."
    yield "broken-escape", b"V\\u12\n."
    yield "unquoted", b"Sabc\n."
    yield "many-digits", b"L" + b"9" * 4301 + b"L\n."
    yield "odd-entries", b"(NNNd."
    yield "list-as-key", b"}]Ns."
    yield "call-int", b"K\1)R."
    yield "args-list", glob("m", "f") + b"]R."
    yield "deep-lists", b"]" * 3000 + b"a" * 2999 + b"."
    yield "deep-tuples", b")" + b"\x85" * 3000 + b"."
    yield "deep-dicts", (b"\x80\2" + b"}" + (text("a") + b"}") * 200 +
                         b"s" * 200 + b".")
    yield "laughs", (b"]" + b"".join(b"q\1](h\1h\1h\1h\1e" for _ in range(40)) +
                     b".")
    yield "dict-laughs", (b"}" + b"".join(
        b"q\1}(K\1h\1K\2h\1u" for _ in range(60)) + b".")
    yield "own-entry", b"}q\0" + text("a") + b"h\0s."
    yield "own-item", b"}" + text("a") + b"]q\0h\0as."
    yield "own-state", glob("m", "C") + b")Rq\0h\0b."
    yield "own-id", b"]q\0h\0Qa."
    yield "two-names", state_dict(("a", tensor()), ("a", tensor()))
    yield "two-paths", state_dict(("a.b", tensor()),
                                  ("a", b"}" + text("b") + tensor() + b"s"))
    yield "foreign-entry", state_dict(("a", tensor()),
                                      ("b", glob("m", "C") + b")R"))
    yield "negative-extent", state_dict(
        ("a", tensor(shape=b"K\2J\xff\xff\xff\xff")))
    yield "negative-stride", state_dict(
        ("a", tensor(stride=b"J\xff\xff\xff\xffK\1")))
    yield "negative-offset", state_dict(
        ("a", tensor(offset=b"J\xff\xff\xff\xff")))
    yield "huge-numel", state_dict(("a", tensor(storage(numel=2**63 - 1))))
    yield "negative-numel", state_dict(("a", tensor(storage(numel=-1))))
    huge = b"\x8a\x08" + struct.pack("<q", 2**62)
    yield "huge-extent", state_dict(("a", tensor(shape=huge + huge)))
    yield "huge-stride", state_dict(("a", tensor(stride=huge + huge)))
    yield "huge-offset", state_dict(("a", tensor(offset=huge)))
    yield "stride-count", state_dict(("a", tensor(stride=b"K\1")))
    yield "zero-elements", state_dict(
        ("a", tensor(shape=b"K\0K\2", stride=huge + huge)))
    yield "many-extents", state_dict(
        ("a", tensor(shape=b"K\1" * 70, stride=b"K\1" * 70)))
    yield "bad-view", state_dict(("a", tensor(storage(
        tail=b"(" + text("v") + b"K\3K\2t"), shape=b"K\2", stride=b"K\1")))
    yield "unknown-storage", state_dict(("a", tensor(storage("FlautStorage"))))
    yield "no-storage", state_dict(("a", tensor(b"N")))
    wrapped = tensor()
    for _ in range(20):
        wrapped = (glob("torch._utils", "_rebuild_parameter") + b"(" + wrapped +
                   b"\x89NtR")
    yield "wrapped", state_dict(("a", wrapped))
    yield "v3", state_dict(("a", tensor(
        storage("UntypedStorage", numel=8), shape=b"K\2K\2",
        tail=b"\x89N" + glob("torch", "uint16"),
        function="_rebuild_tensor_v3")))
    yield "subclass", state_dict(("a", (
        glob("torch._tensor", "_rebuild_from_type_v2") + b"(" +
        glob("torch._utils", "_rebuild_tensor") + glob("m", "MyTensor") + b"(" +
        storage() + b"K\0K\2K\2\x86K\2K\1\x86t}tR")))
    yield "module", b"(" + text("module") + glob("m", "Net") + b"NNtQ)\x81}b."
    yield "numpy-huge", (
        glob("numpy.core.multiarray", "_reconstruct") + b"(NNNtR(K\1(" + huge +
        huge + b"t" + glob("numpy", "dtype") + text("f8") +
        b"\x85R\x89C\0tb.")
    yield "frame-behind-stop", b"\x95\3" + b"\0" * 7 + b"N.N."
    yield "not-a-dict", b"](K\1K\2e."


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for name, data in list(good()) + list(hostile()):
        with open(os.path.join(FOLDER, name + ".pkl"), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
