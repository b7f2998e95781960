#!/usr/bin/env python3
"""The peer's half of ../minilm_run.py: what `pretrained run MODEL --inputs=.. --outputs=..` does, in Python.

usage: run_minilm.py MODEL INPUTS OUTPUTS

Loads BertModel from the folder MODEL with transformers 4.34.0 and its defaults, calls it on the tensors of INPUTS, and
writes the fields of its output to OUTPUTS; both are safetensors files.
"""
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import BertModel


def main():
    model, inputs, outputs = sys.argv[1:]
    bert = BertModel.from_pretrained(model).eval()
    with torch.inference_mode():
        output = bert(**load_file(inputs))
    save_file({name: tensor.contiguous() for name, tensor in output.items()}, outputs)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    main()
