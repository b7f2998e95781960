#!/usr/bin/env python3
"""The peers' half of ../generate.py: what //generation:generate_benchmark does, in Python.

usage: generate.py THREADS RUNS TOKENS CASE..

Makes the model of each CASE (gpt2_float32, llama_bfloat16, ..) with random weights, in eval mode, and lets it generate
TOKENS tokens greedily after a prompt of 32, RUNS times after a warm-up. One JSON document on stdout: {transformers, torch,
threads, seconds: {CASE: [of each run]}}.
"""
import gc
import json
import sys
import time

import torch
import transformers

PROMPT_TOKENS = 32


def make(shape):
    if shape == "gpt2":
        return transformers.GPT2LMHeadModel(transformers.GPT2Config())
    sizes = {"llama": (22, 2048, 5632, 32, 32000), "tiny": (2, 64, 100, 8, 500)}
    layers, hidden, intermediate, heads, vocabulary = sizes[shape]
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(
        num_hidden_layers=layers, hidden_size=hidden, intermediate_size=intermediate, num_attention_heads=heads,
        num_key_value_heads=4, vocab_size=vocabulary))


def seconds_of(case, runs, tokens):
    shape, dtype = case.split("_")
    torch.set_default_dtype(getattr(torch, dtype))
    model = make(shape).eval()
    ids = torch.randint(1, 500, (1, PROMPT_TOKENS))
    seconds = []
    for _ in range(1 + runs):
        begin = time.perf_counter()
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens,
                                eos_token_id=None, pad_token_id=0)
        seconds.append(time.perf_counter() - begin)
        if output.shape[1] != PROMPT_TOKENS + tokens:
            sys.exit(f"generate.py: {case} made {output.shape[1] - PROMPT_TOKENS} tokens, not {tokens}")
    return seconds[1:]


def main():
    threads, runs, tokens, cases = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    transformers.logging.set_verbosity_error()
    seconds = {}
    for case in cases:
        seconds[case] = seconds_of(case, runs, tokens)
        gc.collect()
    print(json.dumps({"transformers": transformers.__version__, "torch": torch.__version__, "threads": torch.get_num_threads(),
                      "seconds": seconds}))


if __name__ == "__main__":
    if len(sys.argv) < 5:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    main()
