#!/usr/bin/env python3
"""The peers' half of ../forward_bert.py: what //modeling/bert:bert_model_benchmark does, in Python.

usage: forward_bert.py THREADS ATTENTION CALLS BATCH..

Makes BertModel of BERT-base's shapes with random weights, in eval mode, and calls it on 128 tokens under
torch.inference_mode(), CALLS times for each batch size after a warm-up. ATTENTION is eager or sdpa, of which transformers 4.34
has eager alone. One JSON document on stdout: {transformers, torch, threads, seconds: {BATCH: [of each call]}}.
"""
import json
import sys
import time

import torch
import transformers
from transformers import BertConfig, BertModel

TOKENS = 128


def main():
    threads, attention, calls, batches = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    config = BertConfig()
    if transformers.__version__.startswith("4.34."):
        if attention != "eager":
            sys.exit("forward_bert.py: transformers 4.34 has eager attention alone")
    else:
        config._attn_implementation = attention
    bert = BertModel(config).eval()
    seconds = {}
    with torch.inference_mode():
        for batch in map(int, batches):
            ids = torch.randint(1, config.vocab_size, (batch, TOKENS))
            mask = torch.ones_like(ids)
            for _ in range(2):
                bert(input_ids=ids, attention_mask=mask)
            seconds[batch] = []
            for _ in range(calls):
                begin = time.perf_counter()
                bert(input_ids=ids, attention_mask=mask)
                seconds[batch].append(time.perf_counter() - begin)
    print(json.dumps({"transformers": transformers.__version__, "torch": torch.__version__, "threads": torch.get_num_threads(),
                      "seconds": seconds}))


if __name__ == "__main__":
    if len(sys.argv) < 5:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    main()
