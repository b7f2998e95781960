#!/usr/bin/env python3
"""Holds counting to transformers 4.34.0 on random models of every family, beyond the stored ones.

    bazel build //modeling:counting_golden_test
    python random_counts.py [--count=300] [--seed=1]     from the root of the workspace, after building

draws `count` models, some of whose parameters are frozen and some of which are in half precision, and inputs, asks the peer for
num_parameters, get_memory_footprint, estimate_tokens and floating_point_ops, and runs that test on them. Where it fails, the
cases stay where it says.

    python random_counts.py --golden

writes cases.json here. Needs the Python environment of the golden data (../requirements.txt).
"""
import json
import pathlib
import shutil
import sys
import tempfile
import warnings

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import random_cases  # noqa: E402

FAMILIES = ("bert", "bloom", "distilbert", "gpt2", "gpt_neox", "llama", "mistral", "opt", "roberta", "t5")
FLAGS = (False, True)


def family_of(name):
    """What ../NAME/random_configs.py draws."""
    folder = HERE.parent / name
    sys.path.insert(0, str(folder))
    for module in ("golden", "random_configs"):
        sys.modules.pop(module, None)
    import random_configs
    import random_models
    sys.path.remove(str(folder))
    kinds = [kind for kind in vars(random_configs).values()
             if isinstance(kind, type) and kind.__module__ == "random_configs" and issubclass(kind, random_models.Family)]
    return kinds[-1](), random_models.Draw


def case_of(family, draw):
    class_name = draw.rng.choice(list(family.classes))
    model = getattr(transformers, class_name)(family.config(draw, class_name))
    dtype = draw.rng.choice(["float32", "float32", "float16", "bfloat16"])
    model.to(getattr(torch, dtype))
    names = [name for name, _ in model.named_parameters()]
    frozen = draw.rng.sample(names, draw.rng.randint(0, len(names))) if draw.chance(0.7) else []
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad = False
    kind = draw.rng.choice(["input_ids", "input_ids", "input_ids", "inputs_embeds", "attention_mask"])
    shape = [draw.rng.randint(1, 9) for _ in range(draw.rng.choice([1, 2, 2, 2, 3]))]
    inputs = {kind: torch.zeros(shape), "labels": torch.zeros(1)}
    counts = lambda: {f"only_trainable={t},exclude_embeddings={e}": model.num_parameters(t, e) for t in FLAGS for e in FLAGS}
    return {
        "class": class_name, "config": json.loads(model.config.to_json_string()), "dtype": dtype, "frozen": frozen,
        "inputs": {name: list(tensor.shape) for name, tensor in inputs.items()}, "num_parameters": counts(),
        "memory_footprint": {f"return_buffers={b}": model.get_memory_footprint(return_buffers=b) for b in FLAGS},
        "estimate_tokens": model.estimate_tokens(inputs),
        "floating_point_ops": {f"exclude_embeddings={e}": model.floating_point_ops(inputs, exclude_embeddings=e) for e in FLAGS},
    }


def write(file, count, seed):
    cases = []
    for number in range(count):
        family, draw = family_of(FAMILIES[number % len(FAMILIES)])
        cases.append(case_of(family, draw(f"counts/{seed}/{number}")))
    file.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


def main():
    arguments = random_cases.parse_arguments(__doc__)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    if arguments.golden:
        write(HERE / "cases.json", 40, "golden")
        return 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="counts_"))
    write(folder / "cases.json", arguments.count, arguments.seed)
    if not random_cases.passes("counting_golden_test", "COUNTING_CASES", folder):
        return 1
    shutil.rmtree(folder)
    print(f"seed {arguments.seed}: {arguments.count} models agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
