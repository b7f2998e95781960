#!/usr/bin/env python3
"""The peers' half of ../load_llama.py: what `pretrained load MODEL --dtype=DTYPE --json` does, in Python.

usage: load_llama.py MODEL DTYPE [--low_cpu_mem_usage] [--touch]
       load_llama.py MODEL DTYPE --inputs=INPUTS --outputs=OUTPUTS

Loads AutoModelForCausalLM from the folder MODEL with whatever transformers is installed, and with --touch reads a byte of
every page of every weight. One JSON document on stdout: {seconds, import_seconds, class, dtype, num_parameters, transformers,
torch}, where `seconds` are those of from_pretrained and of touching. With INPUTS it also runs the model, and adds `sum`, that
of all weights' bytes as 64-bit words, and `ran`: false where this torch cannot run the dtype on the CPU. OUTPUTS gets the
logits as float32.
"""
import argparse
import json
import sys
import time

BEGIN = time.perf_counter()

# pylint: disable=wrong-import-position
import torch
import transformers
from transformers import AutoModelForCausalLM

IMPORTED = time.perf_counter()


def touch(model):
    """Reads a byte of every page."""
    return sum(int(tensor.detach().reshape(-1).view(torch.uint8)[::4096].sum())
               for tensor in [*model.parameters(), *model.buffers()])


def sum_of(model):
    return sum(int(tensor.detach().reshape(-1).view(torch.int64).sum()) for tensor in model.parameters()) % 2**64


def run(model, inputs, outputs):
    """Whether the model could be run."""
    from safetensors.torch import load_file, save_file
    try:
        with torch.inference_mode():
            logits = model(**load_file(inputs), use_cache=False).logits
    except RuntimeError as error:
        if "not implemented for 'Half'" in str(error):
            return False
        raise
    save_file({"logits": logits.float().contiguous()}, outputs)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("dtype")
    parser.add_argument("--low_cpu_mem_usage", action="store_true")
    parser.add_argument("--touch", action="store_true")
    parser.add_argument("--inputs")
    parser.add_argument("--outputs")
    arguments = parser.parse_args()
    # The name of the argument since transformers 5; 4.34 knows the former only.
    keyword = "torch_dtype" if transformers.__version__.startswith("4.") else "dtype"
    options = {keyword: getattr(torch, arguments.dtype)}
    if arguments.low_cpu_mem_usage:
        options["low_cpu_mem_usage"] = True
    begin = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(arguments.model, **options)
    if arguments.touch:
        touch(model)
    document = {"seconds": time.perf_counter() - begin, "import_seconds": IMPORTED - BEGIN, "class": type(model).__name__,
                "dtype": str(model.dtype).removeprefix("torch."), "num_parameters": model.num_parameters(),
                "transformers": transformers.__version__, "torch": torch.__version__}
    if arguments.inputs:
        document["sum"] = sum_of(model)
        document["ran"] = run(model, arguments.inputs, arguments.outputs)
    print(json.dumps(document))


if __name__ == "__main__":
    sys.exit(main())
