#!/usr/bin/env python3
"""The Python side of torch_checkpoints.py: makes its checkpoint, and opens, reads, touches and saves it with the peers.

    torch_checkpoint.py make FOLDER GB       a LLaMA-shaped float16 checkpoint of about GB gigabytes, in shards of 1 GB:
                                             FOLDER/bin (torch.save) and FOLDER/safetensors, both as transformers 4.34 names them
    torch_checkpoint.py load FOLDER          torch.load of every shard
    torch_checkpoint.py touch FOLDER         safetensors.torch.load_file of every shard, adding up every byte
    torch_checkpoint.py save FOLDER DEST     4.34's sharded save of the tensors of FOLDER as safetensors in DEST

One JSON document on stdout: {seconds, tensors, bytes, sum, peak_private_bytes}. The clock starts after the imports.
"""
import json
import pathlib
import sys
import time

import torch
from safetensors.torch import load_file, save_file
from transformers.modeling_utils import shard_checkpoint

HIDDEN, INTERMEDIATE, VOCABULARY = 2048, 5504, 32000


def state_dict(gigabytes):
    """LLaMA's names and shapes, as many layers as fit, drawn at random."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float32).to(torch.float16)
    tensors = {"model.embed_tokens.weight": draw(VOCABULARY, HIDDEN)}
    layer_bytes = 2 * (4 * HIDDEN * HIDDEN + 3 * HIDDEN * INTERMEDIATE + 2 * HIDDEN)
    layers = max(1, round((gigabytes * 1e9 - 4 * VOCABULARY * HIDDEN) / layer_bytes))
    for i in range(layers):
        prefix = f"model.layers.{i}"
        for name in "qkvo":
            tensors[f"{prefix}.self_attn.{name}_proj.weight"] = draw(HIDDEN, HIDDEN)
        tensors[f"{prefix}.mlp.gate_proj.weight"] = draw(INTERMEDIATE, HIDDEN)
        tensors[f"{prefix}.mlp.up_proj.weight"] = draw(INTERMEDIATE, HIDDEN)
        tensors[f"{prefix}.mlp.down_proj.weight"] = draw(HIDDEN, INTERMEDIATE)
        tensors[f"{prefix}.input_layernorm.weight"] = draw(HIDDEN)
        tensors[f"{prefix}.post_attention_layernorm.weight"] = draw(HIDDEN)
    tensors["model.norm.weight"] = draw(HIDDEN)
    tensors["lm_head.weight"] = draw(VOCABULARY, HIDDEN)
    return tensors


def save_sharded(tensors, folder, weights_name, save):
    """The part of save_pretrained that writes weights."""
    folder.mkdir(parents=True, exist_ok=True)
    shards, index = shard_checkpoint(tensors, max_shard_size="1GB", weights_name=weights_name)
    for name, shard in shards.items():
        save(shard, folder / name)
    if index is not None:
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        (folder / f"{weights_name}.index.json").write_text(text, encoding="utf-8")


def save_safetensors(tensors, path):
    save_file(tensors, path, metadata={"format": "pt"})


def sum_of(tensor):
    words = tensor.contiguous().view(torch.uint8).reshape(-1)
    words = torch.nn.functional.pad(words, (0, -len(words) % 8)).view(torch.int64) if len(words) % 8 else words.view(torch.int64)
    return int(words.sum())


def load_all(folder, pattern, load):
    tensors = {}
    for path in sorted(pathlib.Path(folder).glob(pattern)):
        tensors.update(load(path))
    return tensors


def peak_private_bytes():
    """Of this process: the peak of its resident set, less the pages of files that are in it now."""
    fields = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines() if ":" in line)
    kilobytes = lambda name: int(fields[name].split()[0])
    return 1024 * (kilobytes("VmHWM") - kilobytes("RssFile"))


def main():
    mode, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    if mode == "make":
        tensors = state_dict(float(sys.argv[3]))
        save_sharded(tensors, folder / "bin", "pytorch_model.bin", torch.save)
        save_sharded(tensors, folder / "safetensors", "model.safetensors", save_safetensors)
        return
    load_bin = lambda path: torch.load(path, map_location="cpu", weights_only=True)
    if mode == "save":
        tensors = load_all(folder, "*.bin", load_bin)
    start = time.perf_counter()
    total = 0
    if mode == "load":
        tensors = load_all(folder, "*.bin", load_bin)
    elif mode == "touch":
        tensors = load_all(folder, "*.safetensors", load_file)
        total = sum(sum_of(tensor) for tensor in tensors.values())
    elif mode == "save":
        save_sharded(tensors, pathlib.Path(sys.argv[3]), "model.safetensors", save_safetensors)
    else:
        sys.exit(__doc__)
    seconds = time.perf_counter() - start
    private = peak_private_bytes()
    if mode == "load":
        total = sum(sum_of(tensor) for tensor in tensors.values())
    print(json.dumps({"seconds": seconds, "tensors": len(tensors),
                      "bytes": sum(t.numel() * t.element_size() for t in tensors.values()), "sum": total % 2**64,
                      "peak_private_bytes": private}))


if __name__ == "__main__":
    main()
