#!/usr/bin/env python3
"""Writes cases.json: what torch.utils.flop_counter counts in a forward of each model of ../models.

    python make_golden.py [--check]

Runs in an environment of the newest releases (benchmarks/peers/README.md), whose counter knows fused attention; the README
here says with which the file was made. Models are made from ../models/NAME/config.json, for inputs of several sizes. The counter counts products of matrices. The rotary angles of the newest release are one, [head size / 2, 1]
times [1, tokens], which 4.34, and this library, do without; they are left out.
"""
import argparse
import json
import pathlib
import sys
import warnings

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
SIZES = [(1, 1), (3, 10), (2, 17)]  # (rows, tokens)


def model_of(name, attention):
    config = transformers.AutoConfig.from_pretrained(MODELS / name)
    config._attn_implementation = attention
    return getattr(transformers, config.architectures[0])(config).eval()


def inputs_of(model, rows, tokens):
    inputs = {"input_ids": torch.full((rows, tokens), 3)}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.full((rows, tokens // 2 + 1), 3)
    return inputs


def count(model, inputs):
    counter = FlopCounterMode(display=False, depth=None)
    with torch.no_grad(), counter:
        model(**inputs, use_cache=False)
    rotary = sum(sum(flops.values()) for name, flops in counter.get_flop_counts().items() if name.endswith(".rotary_emb"))
    return counter.get_total_flops() - rotary


def cases():
    for folder in sorted(MODELS.iterdir()):
        if not folder.is_dir():
            continue
        for rows, tokens in SIZES:
            counts = set()
            for attention in ("eager", "sdpa"):
                try:
                    model = model_of(folder.name, attention)
                except ValueError:  # A class without fused attention.
                    continue
                inputs = inputs_of(model, rows, tokens)
                counts.add(count(model, inputs))
            assert len(counts) == 1, (folder.name, counts)
            yield {"model": folder.name, "inputs": {name: list(tensor.shape) for name, tensor in inputs.items()},
                   "matmul": counts.pop()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    text = "[\n" + ",\n".join(json.dumps(case) for case in cases()) + "\n]\n"
    file = HERE / "cases.json"
    if arguments.check:
        return file.read_text() != text
    file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
