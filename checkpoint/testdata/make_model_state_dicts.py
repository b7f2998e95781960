"""Writes model_state_dicts.json: the state dicts of saved models, in order.

    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install torch==2.1.0 numpy
    /tmp/peer/bin/python make_model_state_dicts.py CLASS=pytorch_model.bin ..

A tensor is [name, dtype, number of elements, storage]; those of one storage
share memory.
"""
import json
import os
import sys

import torch

models = {}
for argument in sys.argv[1:]:
    name, path = argument.split("=", 1)
    storages = {}
    models[name] = [
        [key, str(tensor.dtype)[6:], tensor.numel(), storages.setdefault(tensor.untyped_storage().data_ptr(), len(storages))]
        for key, tensor in torch.load(path).items()
    ]
with open(os.path.join(os.path.dirname(__file__), "model_state_dicts.json"), "w") as out:
    body = ",\n".join("%s: [\n%s]" % (json.dumps(name), ",\n".join(json.dumps(row) for row in rows)) for name, rows in models.items())
    out.write("{\n%s\n}\n" % body)
