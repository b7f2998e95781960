"""Holds `pretrained plan` to accelerate 0.23.0 on module trees and budgets drawn at random.

    python testdata/device_map/random_plans.py --command=bazel-bin/tools/pretrained [--count=2000] [--seed=7] [--first=0]

Needs torch 2.1.0 and accelerate 0.23.0. Each case is a tree of modules (on the meta device, with ties, buffers, names that
are parts of other names), a mode, a dtype, classes that are not to be split, and budgets from far too small to ample. Where
accelerate computes a map that is valid by `problems()` below, the command's is to be the same, entry by entry, and so are
the balanced budgets; where it raises, or its map is not valid, the command's is to be valid. The same seed draws the same
cases, and a case does not depend on how many there are.

Exit status: 0 all as they should be, 1 some are not, 2 wrong usage.
"""
import argparse
import collections
import json
import logging
import pathlib
import random
import subprocess
import sys
import tempfile
import warnings

import torch
from accelerate.utils import get_balanced_memory, get_max_memory, infer_auto_device_map
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)  # That the GPUs are not there.

CLASSES = ("Block", "Attention", "Linear", "Norm", "ModuleList", "Embedding", "Head")
MODULE_NAMES = ("embed", "embed_tokens", "head", "h", "layers", "layer", "1", "0", "10", "11", "2", "norm", "attn", "mlp", "e")
TENSOR_NAMES = ("weight", "bias", "w", "scale", "gain", "table")
DTYPES = ("float32",) * 6 + ("float16", "int64", "bool", "float64", "int8")
ELEMENT_BYTES = {"float64": 8, "int64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "bool": 1 / 8}


class Draw:
    """One case: a tree in the form that `plan` reads, and how it is to be planned."""

    def __init__(self, name):
        self.rng = random.Random(name)
        rng = self.rng
        self.tied_chance = rng.choice((0, 0, 0.1, 0.4))
        self.buffer_chance = rng.choice((0, 0.1, 0.4))
        self.root_tensors = rng.random() < 0.3
        self.sources = []  # (full name, shape, dtype) of parameters that others may be tied to.
        self.ties = {}
        self.tree = self.module("", 0, rng.randint(1, 4))
        if self.ties:
            self.tree["tied"] = [[first, *others] for first, others in self.ties.items()]
        self.mode = rng.choice(("auto", "balanced", "balanced_low_0", "sequential"))
        self.dtype = rng.choice((None, None, None, "float16", "int8", "float32"))
        self.no_split = [name for name in CLASSES[:4] if rng.random() < 0.25]

    def module(self, path, depth, deepest):
        rng = self.rng
        module = {"class": rng.choice(CLASSES) if depth else "Model", "parameters": {}, "buffers": {}, "children": {}}
        leaf = depth == deepest or (depth and rng.random() < 0.25)
        names = list(TENSOR_NAMES)
        rng.shuffle(names)
        count = rng.randint(0, 3) if leaf else int(rng.random() < 0.3)
        if not depth:
            count = rng.randint(1, 2) if self.root_tensors else 0
        for name in names[:count]:
            self.parameter(module, path, name)
        if rng.random() < self.buffer_chance and (depth or self.root_tensors):
            module["buffers"][names[count]] = self.tensor()
        if leaf:
            return module
        names = list(MODULE_NAMES)
        rng.shuffle(names)
        names = names[:rng.randint(1, 5)] if rng.random() < 0.6 else [str(i) for i in range(rng.randint(2, 12))]
        # A run of equal blocks, as in a transformer, or each of its own.
        same = rng.random() < 0.5
        state = rng.getstate()
        for name in names:
            if same:
                rng.setstate(state)
            module["children"][name] = self.module(f"{path}{name}.", depth + 1, deepest)
        return module

    def tensor(self):
        shape = [self.rng.choice((1, 2, 3, 4, 8, 16, 30)) for _ in range(self.rng.randint(0, 2))]
        return {"shape": shape, "dtype": self.rng.choice(DTYPES)}

    def parameter(self, module, path, name):
        if self.sources and self.rng.random() < self.tied_chance:
            source, tensor = self.rng.choice(self.sources)
            self.ties.setdefault(source, []).append(path + name)
            module["parameters"][name] = dict(tensor)
            return
        module["parameters"][name] = self.tensor()
        self.sources.append((path + name, module["parameters"][name]))

    def budgets(self, total):
        rng = self.rng
        size = max(total, 1)
        gpus = list(range(rng.choice((0, 1, 1, 2, 2, 3, 4, 8))))
        if rng.random() < 0.1:
            gpus = sorted(rng.sample(range(8), len(gpus)))
        scale = rng.choice((0.3, 0.7, 1.2, 2.5, 5)) / max(len(gpus), 1)
        budgets = {gpu: int(size * scale * rng.uniform(0.5, 1.5)) for gpu in gpus}
        if rng.random() < 0.1 and gpus:
            budgets[rng.choice(gpus)] = 0
        if rng.random() < 0.8:
            budgets["cpu"] = int(size * rng.choice((0.2, 0.5, 1, 3)) * rng.uniform(0.5, 1.5))
        return budgets or {"cpu": int(size)}


def element_bytes(dtype, target):
    return min(ELEMENT_BYTES[dtype], ELEMENT_BYTES[target]) if target else ELEMENT_BYTES[dtype]


def flatten(tree):
    """(full name, "parameter" or "buffer", tensor) and (full name, class) of all tensors and modules, in torch's order."""
    tensors, modules = [], []

    def walk(module, path):
        modules.append((path[:-1], module["class"]))
        for kind in ("parameters", "buffers"):
            tensors.extend((path + name, kind, tensor) for name, tensor in module[kind].items())
        for name, child in module["children"].items():
            walk(child, f"{path}{name}.")

    walk(tree, "")
    return tensors, modules


def build(tree):
    """The tree as a torch module on the meta device."""
    parameters = {}

    def make(node, path):
        module = type(node["class"], (nn.Module,), {})()
        for name, tensor in node["parameters"].items():
            value = torch.empty(tensor["shape"], dtype=getattr(torch, tensor["dtype"]), device="meta")
            parameters[path + name] = nn.Parameter(value, requires_grad=False)
            module.register_parameter(name, parameters[path + name])
        for name, tensor in node["buffers"].items():
            module.register_buffer(name, torch.empty(tensor["shape"], dtype=getattr(torch, tensor["dtype"]), device="meta"))
        for name, child in node["children"].items():
            module.add_module(name, make(child, f"{path}{name}."))
        return module

    model = make(tree, "")
    for first, *others in tree.get("tied", []):
        for name in others:
            owner, _, last = name.rpartition(".")
            model.get_submodule(owner).register_parameter(last, parameters[first])
    return model


def problems(tree, no_split, dtype, device_map, budgets):
    """What is wrong with a map: parameters without device, budgets exceeded, ties and whole modules torn apart."""
    tensors, modules = flatten(tree)
    found = []

    def device_of(name):
        while name not in device_map and name:
            name = name.rpartition(".")[0]
        return device_map.get(name)

    names = {""} | {name for name, _ in modules} | {name for name, _, _ in tensors}
    found.extend(f"unknown: {name}" for name in device_map if name not in names)
    aliases = {name for group in tree.get("tied", []) for name in group[1:]}
    held = collections.Counter()
    for name, kind, tensor in tensors:
        device = device_of(name)
        if device is None:
            if kind == "parameters":
                found.append(f"uncovered: {name}")
        elif name not in aliases:
            count = 1
            for extent in tensor["shape"]:
                count *= extent
            held[device] += count * element_bytes(tensor["dtype"], dtype)
    for device, size in held.items():
        if device != "disk" and size > budgets.get(device, 0):
            found.append(f"exceeded: {device} holds {size} of {budgets.get(device, 0)}")
    for group in tree.get("tied", []):
        if len({device_of(name) for name in group}) > 1:
            found.append(f"torn apart: {group}")
    for module, name in modules:
        if module and name in no_split:
            if len({device_of(tensor) for tensor, _, _ in tensors if tensor.startswith(module + ".")} - {None}) > 1:
                found.append(f"split: {module}")
    return found


def accelerates(draw, budgets):
    """accelerate's map and budgets, or the exception."""
    model = build(draw.tree)
    given = dict(budgets)
    options = {"no_split_module_classes": list(draw.no_split), "dtype": getattr(torch, draw.dtype) if draw.dtype else None}
    try:
        if draw.mode == "sequential":
            given = get_max_memory(given)
        else:
            given = get_balanced_memory(model, given, low_zero=draw.mode == "balanced_low_0", **options)
        return infer_auto_device_map(model, dict(given), **options), given, None
    except Exception as error:  # pylint: disable=broad-except
        return None, None, f"{type(error).__name__}: {error}"


def ours(command, draw, budgets, folder):
    path = pathlib.Path(folder) / "tree.json"
    path.write_text(json.dumps(draw.tree))
    arguments = [command, "plan", str(path), f"--device_map={draw.mode}", "--json",
                 f"--max_memory={json.dumps({str(device): size for device, size in budgets.items()})}"]
    if draw.dtype:
        arguments.append(f"--dtype={draw.dtype}")
    if draw.no_split:
        arguments.append(f"--no_split={','.join(draw.no_split)}")
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        return None, None, f"exit status {done.returncode}: {done.stderr}"
    document = json.loads(done.stdout)
    return document["device_map"], {int(device) if device.isdigit() else device: size
                                    for device, size in document["max_memory"].items()}, None


def low_zero_without_gpu_0(draw, budgets):
    """Whether balanced_low_0 has no GPU 0 to spare, where accelerate fills the next GPU up."""
    return (draw.mode == "balanced_low_0" and not budgets.get(0)
            and sum(1 for device, size in budgets.items() if isinstance(device, int) and size) > 1)


def run_case(number, arguments, folder, counts):
    """Nothing if all is well, else what is wrong."""
    draw = Draw(f"{arguments.seed} {number}")
    tensors, _ = flatten(draw.tree)
    total = 0
    for _, _, tensor in tensors:
        count = element_bytes(tensor["dtype"], draw.dtype)
        for extent in tensor["shape"]:
            count *= extent
        total += count
    budgets = draw.budgets(total)
    want, want_budgets, raised = accelerates(draw, budgets)
    got, got_budgets, failed = ours(arguments.command, draw, budgets, folder)
    if failed:
        return failed
    wrong = problems(draw.tree, draw.no_split, draw.dtype, got, got_budgets)
    if wrong:
        return f"not valid: {wrong[:3]}\n  {got}"
    if raised:
        counts[f"accelerate raises {raised.split(':')[0]}; ours is valid"] += 1
        return None
    theirs = problems(draw.tree, draw.no_split, draw.dtype, want, want_budgets)
    if low_zero_without_gpu_0(draw, budgets):
        counts["balanced_low_0 without GPU 0; ours is valid"] += 1
        return None
    if theirs:
        counts[f"accelerate's is not valid ({theirs[0].split(':')[0]}); ours is"] += 1
        return None
    if want != got or want_budgets != got_budgets:
        return f"accelerate {want} {want_budgets}\n  ours {got} {got_budgets}"
    counts["the same map"] += 1
    counts["  of these with ties"] += bool(draw.ties)
    counts["  of these on more than one device"] += len(set(want.values())) > 1
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", required=True, help="the command that was built")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", default="7")
    parser.add_argument("--keep", help="folder to keep the trees of failed cases in")
    arguments = parser.parse_args()
    counts = collections.Counter()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.first, arguments.first + arguments.count):
            wrong = run_case(number, arguments, folder, counts)
            if wrong:
                failed += 1
                print(f"case {number}: {wrong}")
                if arguments.keep:
                    draw = Draw(f"{arguments.seed} {number}")
                    pathlib.Path(arguments.keep, f"{number}.json").write_text(json.dumps(draw.tree))
    for what, count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"{count:6} {what}")
    print(f"{failed:6} wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
