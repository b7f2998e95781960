#!/usr/bin/env python3
"""The peers' half of ../load_peers.py: brings a checkpoint into memory once and says how long that took.

usage: load_checkpoint.py WAY FOLDER [--threads=N] [--save=FILE]

WAY is one of
  safetensors       safetensors.torch.load_file of every file: mapped
  fastsafetensors   fastsafetensors to the CPU
  runai             the Run:ai model streamer to the CPU, all of it kept
  torch             torch.load of every .bin file
  torch_mmap        the same with mmap=True
  transformers      AutoModelForCausalLM.from_pretrained in the stored dtype, low_cpu_mem_usage=True
  transformers_f32  the same without arguments: in float32
  accelerate        accelerate.load_checkpoint_in_model into a model on the meta device

One JSON document on stdout: {call_seconds, seconds, summed_seconds, bytes, sum, versions}, as those of load_checkpoint.cc; the
clock starts after the imports. With --save the tensors are also written to FILE by safetensors, {save_seconds}.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import sys
import time

import torch


def files(folder, suffix):
    found = sorted(str(path) for path in pathlib.Path(folder).glob(f"*{suffix}"))
    return found or sys.exit(f"{folder}: has no {suffix}")


def load_safetensors(folder, _):
    from safetensors.torch import load_file

    def load():
        tensors = {}
        for path in files(folder, ".safetensors"):
            tensors.update(load_file(path))
        return tensors
    return load


def load_fastsafetensors(folder, threads):
    from fastsafetensors import SafeTensorsFileLoader, SingleGroup
    options = {"max_threads": threads} if threads else {}

    def load():
        loader = SafeTensorsFileLoader(SingleGroup(), device="cpu", nogds=True, **options)
        loader.add_filenames({0: files(folder, ".safetensors")})
        buffers = loader.copy_files_to_device()
        load.kept = loader, buffers  # The tensors are views of them.
        return {name: buffers.get_tensor(name) for name in loader.get_keys()}
    return load


def load_runai(folder, threads):
    os.environ["RUNAI_STREAMER_MEMORY_LIMIT"] = "-1"  # None: what was yielded stays as it is.
    if threads:
        os.environ["RUNAI_STREAMER_CONCURRENCY"] = str(threads)
    from runai_model_streamer import SafetensorsStreamer

    def load():
        # Entered and never left: its buffers are what it yields.
        streamer = load.kept = SafetensorsStreamer().__enter__()
        streamer.stream_files(files(folder, ".safetensors"))
        return dict(streamer.get_tensors())
    return load


def load_torch(folder, _, **options):
    def load():
        tensors = {}
        for path in files(folder, ".bin"):
            tensors.update(torch.load(path, map_location="cpu", weights_only=True, **options))
        return tensors
    return load


def load_transformers(folder, _, stored=True):
    import transformers
    keyword = "torch_dtype" if transformers.__version__.startswith("4.") else "dtype"
    options = {keyword: torch.float16, "low_cpu_mem_usage": True} if stored else {}
    if not stored and keyword == "dtype":
        options = {keyword: torch.float32}

    def load():
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, **options)
        return dict(model.named_parameters())
    return load


def load_accelerate(folder, _):
    import accelerate
    import transformers

    def load():
        config = transformers.AutoConfig.from_pretrained(folder)
        with accelerate.init_empty_weights():
            model = transformers.AutoModelForCausalLM.from_config(config)
        accelerate.load_checkpoint_in_model(model, folder, device_map={"": "cpu"}, dtype=torch.float16)
        return dict(model.named_parameters())
    return load


WAYS = {"safetensors": load_safetensors, "fastsafetensors": load_fastsafetensors, "runai": load_runai, "torch": load_torch,
        "torch_mmap": lambda folder, threads: load_torch(folder, threads, mmap=True), "transformers": load_transformers,
        "transformers_f32": lambda folder, threads: load_transformers(folder, threads, stored=False), "accelerate": load_accelerate}
PACKAGES = {"safetensors": "safetensors", "fastsafetensors": "fastsafetensors", "runai": "runai-model-streamer", "torch": "torch",
            "torch_mmap": "torch", "transformers": "transformers", "transformers_f32": "transformers", "accelerate": "accelerate"}


def flat(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def sum_of(tensor):
    data = flat(tensor)
    if len(data) % 8 or data.data_ptr() % 8:
        data = torch.cat([data, data.new_zeros(-len(data) % 8)])
    return int(data.view(torch.int64).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--save")
    arguments = parser.parse_args()
    load = WAYS[arguments.way](arguments.folder, arguments.threads)
    begin = time.perf_counter()
    tensors = load()
    document = {"call_seconds": time.perf_counter() - begin}
    for tensor in tensors.values():
        flat(tensor)[::4096].sum()
    document["seconds"] = time.perf_counter() - begin
    total = sum(map(sum_of, tensors.values())) % 2**64
    document["summed_seconds"] = time.perf_counter() - begin
    document["bytes"] = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    document["sum"] = total
    package = PACKAGES[arguments.way]
    document["versions"] = f"{package} {importlib.metadata.version(package)}"
    if arguments.save:
        from safetensors.torch import save_file
        begin = time.perf_counter()
        save_file(tensors, arguments.save, metadata={"format": "pt"})
        with open(arguments.save, "rb") as file:
            os.fsync(file.fileno())
        document["save_seconds"] = time.perf_counter() - begin
    print(json.dumps(document))
    sys.stdout.flush()
    os._exit(0)  # Threads of some of these libraries outlive main().


if __name__ == "__main__":
    main()
