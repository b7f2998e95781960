#!/usr/bin/env python3
"""The peers' half of ../device_map.py: a model under a device map, with accelerate's offload to the disk.

usage: device_map.py FOLDER DTYPE MAP OFFLOAD_FOLDER TOKENS ID..

Loads the causal language model of FOLDER as DTYPE under the JSON object MAP, and lets it generate TOKENS tokens greedily after the
prompt of IDs. One JSON document on stdout: {transformers, accelerate, torch, seconds (of the generation), ids}.
"""
import json
import sys
import time

import accelerate
import torch
import transformers


def main():
    folder, dtype, device_map, offload_folder, tokens, *ids = sys.argv[1:]
    transformers.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, torch_dtype=getattr(torch, dtype), device_map=json.loads(device_map), offload_folder=offload_folder)
    prompt = torch.tensor([[int(token) for token in ids]])
    begin = time.perf_counter()
    with torch.no_grad():
        output = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), do_sample=False,
                                max_new_tokens=int(tokens), min_new_tokens=int(tokens), pad_token_id=0)
    seconds = time.perf_counter() - begin
    print(json.dumps({"transformers": transformers.__version__, "accelerate": accelerate.__version__, "torch": torch.__version__,
                      "seconds": seconds, "ids": output[0].tolist()}))


if __name__ == "__main__":
    if len(sys.argv) < 7:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    main()
