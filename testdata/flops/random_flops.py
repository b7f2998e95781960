#!/usr/bin/env python3
"""Holds exact counts of operations to torch.utils.flop_counter over transformers 4.34.0, on models and calls drawn at random.

    bazel build //modeling:exact_flops_test
    python random_flops.py [--count=300] [--seed=1]     from the root of the workspace, after building

draws `count` models of every family and a call of each, lets the counter, which knows products of matrices, count the peer's
forward, and runs that test on the cases. Where it fails, they stay where it says.

    python random_flops.py --golden

writes random_cases.json here. Needs the Python environment of the golden data (../requirements.txt).
"""
import copy
import json
import pathlib
import shutil
import sys
import tempfile
import warnings

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "counting")]
import random_cases  # noqa: E402
import random_counts  # noqa: E402  (of testdata/counting)


def case_of(family, draw):
    class_name = draw.rng.choice(list(family.classes))
    config = family.config(draw, class_name)
    if getattr(config, "position_embedding_type", "absolute") != "absolute":
        return None  # Scores of distances are products, too, and not done the same way here.
    model = getattr(transformers, class_name)(config).eval()
    inputs = family.inputs(draw, model, lambda: copy.deepcopy(model))
    counter = FlopCounterMode(display=False)
    with counter:
        family.call(model, inputs, attentions=draw.chance(0.5) and family.has_attentions(model, inputs))
    describe = lambda tensor: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
    return {"class": class_name, "config": json.loads(config.to_json_string()),
            "inputs": {name: describe(tensor) for name, tensor in inputs.items()}, "matmul": counter.get_total_flops()}


def write(file, count, seed):
    cases, number = [], 0
    while len(cases) < count:
        family, draw = random_counts.family_of(random_counts.FAMILIES[number % len(random_counts.FAMILIES)])
        case = case_of(family, draw(f"flops/{seed}/{number}"))
        number += 1
        if case is not None:
            cases.append(case)
    file.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


def main():
    arguments = random_cases.parse_arguments(__doc__)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    if arguments.golden:
        write(HERE / "random_cases.json", 40, "golden")
        return 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="flops_"))
    write(folder / "random_cases.json", arguments.count, arguments.seed)
    if not random_cases.passes("exact_flops_test", "FLOPS_CASES", folder, "--gtest_filter=*RandomModels"):
        return 1
    shutil.rmtree(folder)
    print(f"seed {arguments.seed}: {arguments.count} models agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
