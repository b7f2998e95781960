"""Writes shard_plans.json: how transformers spreads random state dicts.

    python3 -m venv /tmp/peer
    /tmp/peer/bin/pip install torch==2.1.0 transformers==4.34.0
    /tmp/peer/bin/python checkpoint/testdata/make_shard_plans.py

`rows` has 1,000 times [tensors, max_shard_size, weights_name, [name of the first
file, of the last one, the tensors of each], total_size, digest]. A tensor is
[dtype, number of elements], where it shares memory with all others of a number
also that; its name is "t" and its place in the list. `dtypes` and `names` are
given by their places in the lists of that name. total_size is the JSON text,
null for a single file; the digest, in one row of ten, is of the index that
save_pretrained would write.
"""
import hashlib
import json
import os
import random

import torch
from transformers.modeling_utils import shard_checkpoint

rng = random.Random(434)
DTYPES = ["bool", "uint8", "int8", "int16", "float16", "bfloat16", "int32", "float32", "float64", "int64", "complex64", "complex128"]
NAMES = ["pytorch_model.bin", "model.safetensors", "pytorch_model.fp16.bin", "model.a.b.safetensors", "pytorch_model.bin.bin", "model.bin.safetensors"]


def state_dict(few_dtypes):
    described, tensors, owners = [], {}, {}
    dtypes = rng.sample(DTYPES, 1 if few_dtypes else 6)
    for i in range(rng.randrange(1, 13)):
        name = "t%d" % i
        if owners and rng.random() < 0.25:
            storage = rng.choice(list(owners))
            owner = owners[storage]
            view = owner[: rng.randrange(owner.numel() + 1)] if rng.random() < 0.5 else owner
            tensors[name] = view
            described.append([DTYPES.index(str(owner.dtype)[6:]), view.numel(), storage])
            continue
        count = rng.choice([0, 1, 2, 5, 9, 10, 33, 64, 100])
        dtype = rng.choice(dtypes)
        tensors[name] = torch.zeros(count, dtype=getattr(torch, dtype))
        if count == 0:
            described.append([DTYPES.index(dtype), 0])
        else:
            described.append([DTYPES.index(dtype), count, i])
            owners[i] = tensors[name]
    return described, tensors


rows = []
for number in range(1000):
    described, tensors = state_dict(number % 2 == 0)
    limit = rng.choice([0, 1, 16, 64, 100, 128, 400, "1KB", "1KiB", "2Kb", "10GB"])
    weights_name = rng.choice(NAMES)
    shards, index = shard_checkpoint(tensors, limit, weights_name)
    row = [described, limit, NAMES.index(weights_name), [[f, [int(k[1:]) for k in s]] for f, s in shards.items()],
           None if index is None else json.dumps(index["metadata"]["total_size"])]
    if index is not None and number % 10 == 0:
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        row.append(hashlib.sha256(text.encode()).hexdigest()[:32])
    rows.append(row)

# One file name per row: the others follow from it.
for row in rows:
    names = [name for name, _ in row[3]]
    row[3] = [names[0], names[-1], [places for _, places in row[3]]]
path = os.path.join(os.path.dirname(__file__), "shard_plans.json")
with open(path, "w") as out:
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    out.write('{"dtypes":%s,\n"names":%s,\n"rows":[\n%s\n]}\n' % (json.dumps(DTYPES), json.dumps(NAMES), lines))
