#!/usr/bin/env python3
"""Holds the tables of this folder to the Python package `safetensors`.

    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install safetensors==0.4.0
    /tmp/peer/bin/python checkpoint/testdata/check_peer.py

Exits with 0 if that package reads exactly the files that the tables say are
read (and those with a reason under `stricter_than_peer`), with the same digests.
"""

import hashlib
import json
import pathlib
import sys

import safetensors

HERE = pathlib.Path(__file__).parent
DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16",
    "I32": "int32", "I64": "int64", "F16": "float16", "BF16": "bfloat16",
    "F32": "float32", "F64": "float64",
}


def read(content):
    """{name: {dtype, shape, digest}}, or None if the package refuses it."""
    try:
        tensors = safetensors.deserialize(content)
    except safetensors.SafetensorError:
        return None
    return {
        name: {
            "dtype": DTYPES[tensor["dtype"]],
            "shape": list(tensor["shape"]),
            "digest": hashlib.sha256(bytes(tensor["data"])).hexdigest()[:32],
        }
        for name, tensor in tensors
    }


def main():
    checks = []  # (what, content, expected)
    for row in json.loads((HERE / "errors/expected.json").read_text()):
        content = (HERE / "errors" / row["file"]).read_bytes()
        if "stricter_than_peer" not in row:
            checks.append((row["file"], content, row.get("tensors")))
        elif read(content) is None:
            checks.append((row["file"] + " is refused", content, {}))
    for row in json.loads((HERE / "edits.json").read_text()):
        content = bytearray((HERE / "errors" / row["base"]).read_bytes())
        for offset, byte in row["edits"]:
            content[offset] = byte
        checks.append((row, bytes(content[:row["length"]]), row["tensors"]))
    contents = json.loads((HERE / "containers/contents.json").read_text())
    for file, tensors in contents.items():
        expected = {t.pop("name"): t for t in tensors}
        checks.append((file, (HERE / "containers" / file).read_bytes(), expected))

    wrong = 0
    for what, content, expected in checks:
        got = read(content)
        if got != expected:
            wrong += 1
            print(f"{what}: expected {expected}, but safetensors gives {got}")
    print(f"safetensors {safetensors.__version__}: {len(checks) - wrong} of "
          f"{len(checks)} agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
