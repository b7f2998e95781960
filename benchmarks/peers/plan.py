#!/usr/bin/env python3
"""The peers' half of ../plan.py: balances and plans a model with accelerate.

usage: plan.py TREE MAX_MEMORY NO_SPLIT DTYPE CALLS

Builds the module tree of the JSON file TREE (its `nodes` form) on the meta device, which is less work than building the
real model, then computes budgets and device map as from_pretrained(device_map="auto") does, CALLS times. One JSON document
on stdout: {accelerate, torch, device_map, seconds: [of each call]}.
"""
import json
import logging
import sys
import time

import accelerate
import torch
from accelerate.utils import get_balanced_memory, infer_auto_device_map
from torch import nn

logging.disable(logging.WARNING)  # That the GPUs are not there.


def build(document):
    parameters = {}

    def make(index, path):
        node = document["nodes"][index]
        module = type(node["class"], (nn.Module,), {})()
        for name, (shape, dtype) in node["parameters"].items():
            value = torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
            parameters[path + name] = nn.Parameter(value, requires_grad=False)
            module.register_parameter(name, parameters[path + name])
        for name, (shape, dtype) in node["buffers"].items():
            module.register_buffer(name, torch.empty(shape, dtype=getattr(torch, dtype), device="meta"))
        for name, child in node["children"].items():
            module.add_module(name, make(child, f"{path}{name}."))
        return module

    model = make(document["root"], "")
    for first, *others in document["tied"]:
        for name in others:
            owner, _, last = name.rpartition(".")
            model.get_submodule(owner).register_parameter(last, parameters[first])
    return model


def main():
    tree, max_memory, no_split, dtype, calls = sys.argv[1:]
    with open(tree, encoding="utf-8") as file:
        model = build(json.load(file))
    budgets = {int(device) if device.isdigit() else device: size for device, size in json.loads(max_memory).items()}
    options = {"no_split_module_classes": no_split.split(","), "dtype": getattr(torch, dtype)}
    seconds = []
    for _ in range(int(calls)):
        begin = time.perf_counter()
        balanced = get_balanced_memory(model, dict(budgets), **options)
        device_map = infer_auto_device_map(model, balanced, **options)
        seconds.append(time.perf_counter() - begin)
    print(json.dumps({"accelerate": accelerate.__version__, "torch": torch.__version__, "device_map": device_map,
                      "seconds": seconds}))


if __name__ == "__main__":
    if len(sys.argv) != 6:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    main()
