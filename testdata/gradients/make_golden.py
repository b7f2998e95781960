"""Writes this folder: what transformers 4.34.0 gives as gradients.

    python gradients/make_golden.py models gradients

For each tiny model of testdata/models, in eval mode, and its stored inputs:
the loss, which is sum(x * sin(i)) / count of the first output's numbers x at
row-major index i, and of each parameter's gradient the norm, the sum and some
numbers. A parameter without a gradient is null.
"""

import json
import pathlib
import sys

import safetensors.torch
import torch
import transformers

SAMPLES = 5


def samples(gradient):
    flat = gradient.flatten()
    step = max(1, flat.numel() // SAMPLES)
    return [float(x) for x in flat[::step][:SAMPLES]]


def gradients_of(folder):
    facts = json.loads((folder / "facts.json").read_text())
    model = getattr(transformers, facts["class"]).from_pretrained(folder)
    model.eval()
    tensors = safetensors.torch.load_file(folder / "io.safetensors")
    inputs = {n[3:]: t for n, t in tensors.items() if n.startswith("in.")}
    inputs.pop("labels", None)
    out = model(**inputs)
    first = out.logits if "logits" in out else out.last_hidden_state
    weights = torch.arange(first.numel(), dtype=torch.float64).sin().float()
    loss = (first.flatten() * weights).sum() / first.numel()
    loss.backward()
    return {
        "loss": float(loss),
        "gradients": {
            name: None if p.grad is None else {
                "norm": float(p.grad.double().norm()),
                "sum": float(p.grad.double().sum()),
                "samples": samples(p.grad),
            }
            for name, p in model.named_parameters()
        },
    }


def main():
    torch.set_num_threads(1)
    models, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    for folder in sorted(models.iterdir()):
        if not (folder / "facts.json").exists():
            continue
        text = json.dumps(gradients_of(folder))
        text = text.replace(', "', ',\n"')
        (out / f"{folder.name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
