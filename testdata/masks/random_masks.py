#!/usr/bin/env python3
"""Holds the masks to transformers 4.34.0 on many random cases, beyond the stored ones.

    bazel build //modeling:attention_mask_test //modeling:causal_mask_test
    python random_masks.py [--count=300] [--seed=1]     from the root of the workspace, after building

makes `count` cases of ModuleUtilsMixin's functions, and as many of the causal masks of LLaMA and Mistral, and runs the two
tests on them. Where a test fails, the cases stay where it says.

    python random_masks.py --golden

writes the causal cases that are stored beside this script. Needs the Python environment of the golden data
(../requirements.txt).
"""
import json
import pathlib
import shutil
import sys
import tempfile
import types

import safetensors.torch
import torch
from transformers.modeling_utils import ModuleUtilsMixin
from transformers.models.llama.modeling_llama import LlamaModel
from transformers.models.mistral.modeling_mistral import MistralModel

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import random_cases  # noqa: E402
import random_models  # noqa: E402

TESTS = ("attention_mask_test", "causal_mask_test")
DTYPES = ("float32", "float16", "bfloat16", "float64")


class Model(ModuleUtilsMixin):
    """What the mixin looks at of a model."""

    def __init__(self, dtype, is_decoder):
        self.dtype_, self.config = dtype, types.SimpleNamespace(is_decoder=is_decoder)

    dtype = property(lambda self: self.dtype_)


class Draw(random_models.Draw):
    def mask(self, *shape):
        """Of ones and zeros, of any dtype; or of fractions; all ones or zeros now and then."""
        noise = torch.rand(shape, generator=self.generator)
        kind = self.rng.choice(["fractions", "fractions", "ones", "zeros", *["holes"] * 8])
        if kind == "fractions":
            return noise if self.rng.random() < 0.7 else noise.double()
        mask = noise < {"ones": 2.0, "zeros": -1.0, "holes": 0.6}[kind]
        return mask.to(self.rng.choice([torch.int64, torch.int64, torch.int32, torch.uint8, torch.bool, torch.float32]))


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def mixin_case(draw, name, cases, tensors):
    """One call of a function of the mixin, its arguments and what it gives or raises."""
    rng = draw.rng
    dtype = rng.choice(DTYPES)
    batch, queries, past = rng.randint(1, 4), rng.randint(1, 9), rng.choice([0, 0, 1, 5])
    function = rng.choice(["get_extended_attention_mask"] * 3 + ["invert_attention_mask", "get_head_mask",
                                                                 "create_extended_attention_mask_for_decoder"])
    decoder = rng.random() < 0.5
    model = Model(getattr(torch, dtype), decoder)
    case = {"function": function, "model_dtype": dtype}
    shape = rng.choice([(batch, queries), (batch, queries), (batch, queries, queries + past), (queries,), (batch, 1, 1, queries)])
    if function == "get_head_mask":
        layers, heads = rng.randint(1, 5), rng.randint(1, 6)
        chunked = rng.random() < 0.5
        case.update(num_hidden_layers=layers, is_attention_chunked=chunked)
        shapes = [(heads,), (layers, heads), (layers, batch, heads, queries, queries), (1, layers, heads), (1, 1, layers, heads)]
        tensors[name + ".in.head_mask"] = mask = draw.mask(*rng.choice(shapes))
        call = lambda: model.get_head_mask(mask, layers, chunked)
    elif function == "invert_attention_mask":
        tensors[name + ".in.encoder_attention_mask"] = mask = draw.mask(*shape)
        call = lambda: model.invert_attention_mask(mask)
    else:
        if (decoder and len(shape) == 2) or function == "create_extended_attention_mask_for_decoder":
            shape = (batch, queries + past)
        tensors[name + ".in.attention_mask"] = mask = draw.mask(*shape)
        case["input_shape"] = [batch, queries]
        if function == "create_extended_attention_mask_for_decoder":
            call = lambda: model.create_extended_attention_mask_for_decoder((batch, queries), mask)
        else:
            case["is_decoder"] = decoder
            explicit = rng.choice(DTYPES) if rng.random() < 0.2 else None
            if explicit:
                case["dtype"] = explicit
            call = lambda: model.get_extended_attention_mask(mask, (batch, queries), dtype=explicit and getattr(torch, explicit))
    try:
        result = call()
        tensors[name + ".out"] = result.contiguous()
        case["result"] = {"shape": list(result.shape), "dtype": str(result.dtype)}
    except (ValueError, UnboundLocalError, AssertionError) as error:
        case["result"] = {"raises": type(error).__name__, "message": str(error)}
    cases[name] = case


def causal_case(draw, name, cases, tensors):
    """What LLaMA's or Mistral's decoder adds to its scores; no `.out` where that is nothing."""
    rng = draw.rng
    dtype, window = rng.choice(DTYPES[:3]), rng.choice([None, 0, 1, 2, 5, 100])
    batch, queries, past = rng.randint(1, 3), rng.randint(1, 9), rng.choice([0, 0, 1, 5])
    mask = draw.mask(batch, queries + past) if rng.random() < 0.8 else None
    embeds = torch.zeros(batch, queries, 1, dtype=getattr(torch, dtype))
    arguments = (None, mask, (batch, queries), embeds, past)
    if window is None:
        result = LlamaModel._prepare_decoder_attention_mask(*arguments)
    else:
        result = MistralModel._prepare_decoder_attention_mask(*arguments, window)
    cases[name] = {"dtype": dtype, "query_length": queries, "past_length": past, "window": window, "batch": batch}
    if mask is not None:
        tensors[name + ".in.attention_mask"] = mask
    if result is not None:
        tensors[name + ".out"] = result.contiguous()


def write(folder, make, count, seed, cases_file, tensors_file):
    cases, tensors = {}, {}
    for number in range(count):
        make(Draw(f"{make.__name__}/{seed}/{number}"), f"case-{number}", cases, tensors)
    (folder / cases_file).write_text(json.dumps(cases, indent=0) + "\n")
    safetensors.torch.save_file({n: t.clone() for n, t in tensors.items()}, folder / tensors_file)


def write_causal(folder, count, seed):
    write(folder, causal_case, count, seed, "causal_cases.json", "causal_masks.safetensors")


def main():
    arguments = random_cases.parse_arguments(__doc__)
    torch.set_num_threads(1)
    if arguments.golden:
        write_causal(HERE, 60, "golden")
        return 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="masks_"))
    write(folder, mixin_case, arguments.count, arguments.seed, "cases.json", "masks.safetensors")
    write_causal(folder, arguments.count, arguments.seed)
    for test in TESTS:
        if not random_cases.passes(test, "MASK_CASES", folder):
            return 1
    shutil.rmtree(folder)
    print(f"seed {arguments.seed}: {arguments.count} masks and {arguments.count} causal masks agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
