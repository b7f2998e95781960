#!/usr/bin/env python3
"""Lets transformers 4.34.0 load what a command saves, for models drawn at random of every family.

    python random_saves.py FOLDER --count=100 --seed=1 --command="bazel-bin/examples/resave"

Case N is FOLDER/N: `before`, a model that a FAMILY/random_configs.py draws, saved by the peer in a random dtype; and `after`,
    COMMAND FOLDER/N/before FOLDER/N/after [DTYPE [MAX_SHARD_SIZE]]
The peer must load `after` without a warning that `before` does not get, and with no missing, unexpected or mismatched key; its state dict must be that of
`before` bit for bit (converted to DTYPE by torch), and its outputs the same; generation_config.json too.

Needs ../requirements.txt. The same seed draws the same cases. Exits with 1 if there was a miss.
"""
import argparse
import importlib.util
import logging
import pathlib
import shlex
import shutil
import subprocess
import sys
import warnings

import torch
import transformers

TESTDATA = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTDATA))
import random_models  # noqa: E402  (of testdata)

SHARD_SIZES = [None, None, "10GB", "20KB", "3KB"]


def families():
    """A Family of each folder that has a random_configs.py."""
    found = []
    for script in sorted(TESTDATA.glob("*/random_configs.py")):
        # Each imports a golden.py of its own.
        sys.modules.pop("golden", None)
        sys.path.insert(0, str(script.parent))
        spec = importlib.util.spec_from_file_location(f"{script.parent.name}_configs", script)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.path.remove(str(script.parent))
        found += [value() for value in vars(module).values()
                  if isinstance(value, type) and issubclass(value, random_models.Family) and value is not random_models.Family]
    return found


class Warned(logging.Handler):
    """Keeps what transformers warns of."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def load(model_class, folder, dtype):
    """(the model, what loading it said)."""
    warned = Warned()
    root = logging.getLogger("transformers")
    root.addHandler(warned)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model, info = model_class.from_pretrained(str(folder), torch_dtype=dtype, output_loading_info=True)
    finally:
        root.removeHandler(warned)
    # torch warns of TypedStorage whoever loads.
    said = warned.messages + [str(w.message) for w in caught if "TypedStorage" not in str(w.message)]
    said += [f"{name}: {value}" for name, value in info.items() if value]
    return model.eval(), said


def difference(before, after):
    """What differs between two models, or None."""
    want, got = before.state_dict(), after.state_dict()
    if list(want) != list(got):
        return f"names: {sorted(set(want) ^ set(got))}"
    for name, tensor in want.items():
        if got[name].dtype != tensor.dtype or not torch.equal(torch.nan_to_num(got[name]), torch.nan_to_num(tensor)):
            return f"{name} differs"
    settings = [dict(model.config.to_dict(), _name_or_path="") for model in (before, after)]
    settings[0]["torch_dtype"] = str(after.dtype).split(".")[1]
    if settings[0] != settings[1]:
        return f"config: {[(k, v, settings[1].get(k)) for k, v in settings[0].items() if v != settings[1].get(k)]}"
    if before.can_generate() and before.generation_config.to_dict() != after.generation_config.to_dict():
        return "the generation config differs"
    return None


def run_case(family, folder, command, seed, number):
    """What is wrong with a case, or None."""
    draw = random_models.Draw(f"save/{seed}/{number}")
    before, after = folder / "before", folder / "after"
    peer_load, inputs, case = random_models.draw_case(family, before, draw, family.classes, number, half=False)
    stored = random_models.DTYPES[case["dtype"]]
    dtype = draw.rng.choice(["auto", "auto", "float32", "float16", "bfloat16"])
    shard_size = draw.rng.choice(SHARD_SIZES)
    shutil.rmtree(after, ignore_errors=True)
    arguments = [*command, str(before), str(after), dtype, *([shard_size] if shard_size else [])]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"{case['class']}: exit status {done.returncode}: {done.stderr.strip()[-400:]}"
    model_class = getattr(transformers, case["class"])
    wanted = stored if dtype == "auto" else random_models.DTYPES[dtype]
    want, said_before = load(model_class, before, wanted)
    got, said = load(model_class, after, "auto")
    # A constructor may warn of a config, which is not of our making.
    problem = "; ".join(words for words in said if words not in said_before) or difference(want, got)
    if not problem and wanted == torch.float32:
        outputs = [random_models.call(family, model, inputs, False) for model in (want, got)]
        for name, tensor in outputs[0].items():
            if not torch.equal(torch.nan_to_num(tensor), torch.nan_to_num(outputs[1][name])):
                problem = f"output {name} differs"
    return problem and f"{case['class']}, {case['dtype']} to {dtype}, {shard_size}: {problem}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--command", required=True, help="the program that saves, with leading arguments if it needs any")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    misses, every = 0, families()
    for number in range(arguments.count):
        problem = run_case(every[number % len(every)], arguments.folder / str(number), shlex.split(arguments.command),
                           arguments.seed, number)
        if problem:
            misses += 1
            print(f"MISS {arguments.folder / str(number)}: {problem}", flush=True)
    print(f"{arguments.count} cases of {len(every)} families; {misses} missed")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
