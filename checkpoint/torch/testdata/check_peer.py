#!/usr/bin/env python3
"""Holds what we read and write to the Python packages `torch` and `safetensors`.

    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install torch safetensors numpy
    /tmp/peer/bin/python checkpoint/torch/testdata/check_peer.py \\
        bazel-bin/tools/pretrained --dicts=100 --seed=1

Makes state dicts at random (every dtype that this torch saves and loads; dense,
transposed, stepped, offset, expanded, overlapping and tied tensors, empty ones
and scalars; parameters; names in many scripts; nested dicts with values beside
the tensors), saves each with torch.save as zip and in the legacy form, at any
pickle protocol, and with safetensors, has the command convert each file into
each format, and opens what it wrote: torch.load(weights_only=True), of zip
archives also with mmap=True, and safetensors.torch.load_file. Every tensor must
have its dtype, its shape and all its bits, and tied ones must still be tied.

Exits with 0 if all is so; the last line counts.
"""

import argparse
import collections
import io
import pathlib
import random
import subprocess
import sys
import tempfile
import warnings

import safetensors.torch
import torch

warnings.filterwarnings("ignore", message="TypedStorage is deprecated")

DTYPES = [
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16",
    "float32", "float64", "complex64", "complex128", "float8_e4m3fn",
    "float8_e5m2", "uint16", "uint32", "uint64",
]
NAME_PIECES = [
    "a", "Z", "7", "_", " ", "'", '"', "\\", "/", "\n", "\x01", "é", "Ж", "ש",
    "ش", "क", "漢", "한", "🦙", "𝄞", "weight", "bias", "cpu", "storage", "0", ".",
]
FORMATS = {"safetensors": ".safetensors", "torch": ".bin", "torch_legacy": ".bin"}


def through_torch(tensors):
    file = io.BytesIO()
    torch.save(tensors, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def through_safetensors(tensors):
    return safetensors.torch.load(safetensors.torch.save(tensors))


def known_dtypes(roundtrip):
    """Those that the installed package saves and loads."""
    known = []
    for name in DTYPES:
        try:
            roundtrip({"t": torch.zeros(3, dtype=getattr(torch, name))})
        except Exception:  # pylint: disable=broad-except
            continue  # Not of this version.
        known.append(getattr(torch, name))
    return known


def bits(tensor):
    """All bytes of the tensor as it is read row by row."""
    tensor = tensor.detach()
    if tensor.numel() == 0:
        return b""
    size = tensor.element_size()
    start = tensor.storage_offset() * size
    raw = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
    shape = list(tensor.shape) + [size]
    strides = [stride * size for stride in tensor.stride()] + [1]
    return torch.as_strided(raw, shape, strides, start).contiguous().numpy().tobytes()


class Maker:
    """State dicts at random; every other one of dtypes that all formats have."""

    def __init__(self, seed, dtypes, safe_dtypes):
        self.random = random.Random(seed)
        self.safe_dtypes = [dtype for dtype in dtypes if dtype in safe_dtypes]
        self.dtypes = self.random.choice([dtypes, self.safe_dtypes])

    def name(self, taken):
        while True:
            count = self.random.choice([1, 2, 5, 12, 60])
            name = "".join(self.random.choices(NAME_PIECES, k=count))
            if name not in taken:
                taken.add(name)
                return name

    def storage(self, dtype):
        size = torch.empty(0, dtype=dtype).element_size()
        count = self.random.choice([1, 7, 60, 500])
        raw = self.random.randbytes(count * size)
        if dtype == torch.bool:
            raw = bytes(byte & 1 for byte in raw)
        return torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(dtype)

    def view(self, flat):
        """Any view that stays within `flat`, which has one dimension."""
        kind = self.random.randrange(6)
        count = flat.numel()
        if kind == 0:
            return flat
        if kind == 1:
            return flat[self.random.randrange(count)]
        if kind == 2:
            return flat[:0].reshape(self.random.choice([(0,), (0, 3), (2, 0, 5)]))
        shape, strides, last = [], [], 0
        for _ in range(self.random.randrange(1, 5)):
            extent = self.random.randrange(1, 6)
            room = (count - 1 - last) // max(extent - 1, 1)
            stride = self.random.choice([0, 1, self.random.randrange(room + 1)])
            stride = min(stride, room)
            shape.append(extent)
            strides.append(stride)
            last += stride * (extent - 1)
        offset = self.random.randrange(count - last)
        if kind == 3:  # Dense, somewhere in its storage.
            fits = min(count - offset, 24)
            return flat[offset:offset + fits].reshape(self.random.choice([(fits,), (1, fits)]))
        return torch.as_strided(flat, shape, strides, flat.storage_offset() + offset)

    def state_dict(self):
        """What is saved, and its tensors by their whole names."""
        root = self.random.choice([dict, collections.OrderedDict])()
        tensors, taken, storages = {}, set(), []
        places = [(root, "")]
        if self.random.random() < 0.3:
            for key in self.random.sample(["model", "optimizer", "ema"], k=2):
                taken.add(key)
                root[key] = collections.OrderedDict()
                places.append((root[key], key + "."))
            root["epoch"] = 3
            root["note"] = ["text", 1.5, None, (True, -7)]
        for _ in range(self.random.choice([0, 1, 3, 10, 30])):
            place, prefix = self.random.choice(places)
            name = self.name(taken)
            if prefix + name in tensors:
                continue
            tensor = self.tensor(tensors, storages)
            place[name] = tensor
            tensors[prefix + name] = tensor
        return root, self.in_order(root)

    def tensor(self, tensors, storages):
        if tensors and self.random.random() < 0.15:
            return self.random.choice(list(tensors.values()))
        if not storages or self.random.random() < 0.6:
            storages.append(self.storage(self.random.choice(self.dtypes)))
        tensor = self.view(self.random.choice(storages))
        if tensor.dtype.is_floating_point and self.random.random() < 0.2:
            tensor = torch.nn.Parameter(tensor, requires_grad=self.random.random() < 0.5)
        return tensor

    @staticmethod
    def in_order(root):
        tensors = {}
        for key, value in root.items():
            if isinstance(value, torch.Tensor):
                tensors[key] = value
            elif isinstance(value, dict):
                tensors.update((f"{key}.{name}", t) for name, t in value.items())
        return tensors


def view_key(tensor):
    """Equal for tensors that are the same view of the same memory."""
    strides = tuple(s if n > 1 else 0 for n, s in zip(tensor.shape, tensor.stride()))
    return (tensor.untyped_storage().data_ptr(), tensor.storage_offset(),
            tuple(tensor.shape), strides, tensor.dtype)


def differences(got, tensors, complete):
    """What is wrong with `got`; names of tied tensors may lack if not `complete`."""
    wrong = []
    for name, want in tensors.items():
        if name not in got:
            tied = [n for n, t in tensors.items()
                    if n in got and want.numel() and view_key(t) == view_key(want)]
            if complete or not tied:
                wrong.append(f"{name!r} is not there")
            continue
        have = got[name]
        if have.dtype != want.dtype or have.shape != want.shape:
            wrong.append(f"{name!r} is {have.dtype}{list(have.shape)}, but was "
                         f"{want.dtype}{list(want.shape)}")
        elif bits(have) != bits(want):
            wrong.append(f"{name!r} has other bits")
    wrong += [f"{name!r} was not saved" for name in got if name not in tensors]
    return wrong


def untied(got, tensors):
    """Names whose tensors were the same view and share no memory any more."""
    first, wrong = {}, []
    for name, tensor in tensors.items():
        if not tensor.numel() or name not in got:
            continue
        other = first.setdefault(view_key(tensor), name)
        if got[name].data_ptr() != got[other].data_ptr():
            wrong.append(f"{name!r} is no longer tied to {other!r}")
    return wrong


def save(folder, made, tensors, maker):
    """Saves in every format; yields (format, path, what it holds, is tied)."""
    for form, is_zip in (("torch", True), ("torch_legacy", False)):
        path = folder / f"{form}_source.bin"
        torch.save(made, path, _use_new_zipfile_serialization=is_zip,
                   pickle_protocol=maker.random.randrange(2, 6))
        yield form, path, tensors, True
    safe = {
        name: t.detach().clone(memory_format=torch.contiguous_format)
        for name, t in tensors.items() if t.dtype in maker.safe_dtypes
    }
    if safe:  # Of no tensors safetensors 0.4.0 writes a header that is no JSON.
        path = folder / "safetensors_source.safetensors"
        safetensors.torch.save_file(safe, path, {"format": "pt"})
        yield "safetensors", path, safe, False


def loads(form, path):
    """Opens what was written in every way its peer has."""
    if form == "safetensors":
        yield "load_file", safetensors.torch.load_file(path)
        return
    yield "torch.load", torch.load(path, weights_only=True)
    if form == "torch":
        yield "torch.load(mmap)", torch.load(str(path), weights_only=True, mmap=True)


def check(command, folder, maker, counts):
    """One state dict through everything; yields what is wrong."""
    made, tensors = maker.state_dict()
    for source, path, held, tied in save(folder, made, tensors, maker):
        for target, extension in FORMATS.items():
            if target == "safetensors" and any(
                    t.dtype not in maker.safe_dtypes for t in held.values()):
                continue
            written = folder / f"written_{target}{extension}"
            run = subprocess.run(
                [command, "convert", path, written, f"--to={target}"],
                capture_output=True, text=True, check=False)
            counts["conversions"] += 1
            what = f"{source} to {target}"
            if run.returncode != 0:
                yield f"{what}: {run.stderr.strip()}"
                continue
            try:
                for how, got in loads(target, written):
                    counts["loads"] += 1
                    counts["tensors"] += len(got)
                    wrong = differences(got, held, target != "safetensors")
                    if tied and target != "safetensors":
                        wrong += untied(got, held)
                    yield from (f"{what}, {how}: {line}" for line in wrong)
            except Exception as error:  # pylint: disable=broad-except
                yield f"{what}: the peer refuses it: {error!r}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", help="path of the program `pretrained`")
    parser.add_argument("--dicts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    command = pathlib.Path(options.command).resolve()
    dtypes = known_dtypes(through_torch)
    safe_dtypes = known_dtypes(through_safetensors)
    counts = collections.Counter()
    wrong = 0
    for index in range(options.dicts):
        seed = options.seed * 1_000_003 + index
        with tempfile.TemporaryDirectory() as folder:
            maker = Maker(seed, dtypes, safe_dtypes)
            for line in check(command, pathlib.Path(folder), maker, counts):
                wrong += 1
                print(f"dict {index}: {line}")
    print(f"torch {torch.__version__} with {len(dtypes)} dtypes, safetensors "
          f"{safetensors.__version__} with {len(safe_dtypes)}: {options.dicts} state dicts, "
          f"{counts['conversions']} conversions, {counts['loads']} loads, "
          f"{counts['tensors']} tensors compared, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
