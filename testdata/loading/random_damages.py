#!/usr/bin/env python3
"""Damages checkpoints at random, and holds what a command says of their keys to transformers 4.34.0.

    python random_damages.py FOLDER --count=200 --seed=1 --command="bazel-bin/tools/pretrained"

Case N is FOLDER/N: a tiny model of a random class of one of the families, saved as safetensors or .bin, whole or in shards,
with tensors dropped, added, renamed (with the base model's prefix and without, to the names of before 2019) or given another
shape. A random class of the same family loads it,
    COMMAND load FOLDER/N --class=CLASS --json [--ignore_mismatched_sizes]
and must report the missing_keys, unexpected_keys and mismatched_keys of from_pretrained(.., output_loading_info=True), or fail
where that raises. Two differences are meant: where nothing that is stored belongs to the model, the command must refuse; and a
tensor of another shape that a shard holds and the index does not list, which the peer raises at whatever ignore_mismatched_sizes
says, may be ignored as others are.

Needs ../requirements.txt. The same seed draws the same cases. Exits with 1 if there was a miss.
"""
import argparse
import json
import pathlib
import random
import shlex
import shutil
import subprocess
import sys

import safetensors.torch
import torch
import transformers
from transformers import BertConfig, GPT2Config, LlamaConfig, T5Config

SIZES = dict(vocab_size=11, hidden_size=8, intermediate_size=6, num_hidden_layers=1, num_attention_heads=2)
FAMILIES = {
    "bert": (lambda: BertConfig(**SIZES, max_position_embeddings=7),
             ["BertModel", "BertForPreTraining", "BertLMHeadModel", "BertForMaskedLM", "BertForNextSentencePrediction",
              "BertForSequenceClassification", "BertForMultipleChoice", "BertForTokenClassification",
              "BertForQuestionAnswering"]),
    "gpt2": (lambda: GPT2Config(vocab_size=11, n_embd=8, n_layer=1, n_head=2, n_positions=7),
             ["GPT2Model", "GPT2LMHeadModel", "GPT2ForSequenceClassification"]),
    "t5": (lambda: T5Config(vocab_size=11, d_model=8, d_kv=4, d_ff=6, num_layers=1, num_heads=2),
           ["T5Model", "T5ForConditionalGeneration", "T5EncoderModel"]),
    "llama": (lambda: LlamaConfig(**SIZES, max_position_embeddings=7, pad_token_id=0),
              ["LlamaModel", "LlamaForCausalLM", "LlamaForSequenceClassification"]),
}


def rename(name, prefix, rng):
    """Another name for a tensor."""
    kind = rng.choice(["prefix", "prefix", "old", "other"])
    if kind == "prefix":
        return name[len(prefix) + 1:] if name.startswith(prefix + ".") else f"{prefix}.{name}"
    if kind == "old" and "LayerNorm." in name:
        return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    return name.replace(".", ".inner.", 1)


def damage(state, prefix, rng):
    """A copy of a state dict with something wrong with it."""
    state = {name: tensor.clone() for name, tensor in state.items()}  # No ties, as in safetensors files.
    if rng.random() < 0.25:  # The whole prefix.
        has = any(name.startswith(prefix + ".") for name in state)
        cut = lambda name: name[len(prefix) + 1:] if name.startswith(prefix + ".") else name
        state = {cut(name) if has else f"{prefix}.{name}": tensor for name, tensor in state.items()}
    names = list(state)
    few = lambda: rng.sample(names, min(len(names), rng.choice([0, 0, 1, 2, 5])))
    for name in few():
        state.pop(name, None)
    for name in few():
        if name in state:
            state[rename(name, prefix, rng)] = state.pop(name)
    for number in range(rng.choice([0, 0, 1, 3])):
        state[rng.choice([f"extra.{number}.weight", f"{prefix}.ghost{number}", f"classifier{number}.bias",
                          f"decoder.block.{number}.odd"])] = torch.ones(2)
    for name in few():
        if name in state and rng.random() < 0.5:
            shape = list(state[name].shape)
            shape[rng.randrange(len(shape))] += rng.randint(1, 3)
            state[name] = torch.ones(shape)
    return state


def save(state, folder, rng):
    """In one of the forms that checkpoints have."""
    safe, shards = rng.random() < 0.6, rng.choice([1, 1, 1, 2, 3])
    write = (lambda part, path: safetensors.torch.save_file(part, path, metadata={"format": "pt"})) if safe else torch.save
    stem, end = ("model", ".safetensors") if safe else ("pytorch_model", ".bin")
    if shards == 1:
        write(state, folder / f"{stem}{end}")
        return
    weight_map = {name: f"{stem}-{rng.randint(1, shards):05}-of-{shards:05}{end}" for name in state}
    for file in set(weight_map.values()):
        write({name: state[name] for name in state if weight_map[name] == file}, folder / file)
    if rng.random() < 0.2:
        weight_map.pop(rng.choice(list(weight_map)))
    (folder / f"{stem}{end}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def make_case(folder, rng):
    """Writes one case; returns the class to load, and whether mismatched sizes are ignored."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_config, classes = FAMILIES[rng.choice(list(FAMILIES))]
    config = make_config()
    config.tie_word_embeddings = rng.random() < 0.7
    torch.manual_seed(rng.getrandbits(60))
    model = getattr(transformers, rng.choice(classes))(config)
    model.config.save_pretrained(folder)
    save(damage(model.state_dict(), model.base_model_prefix, rng), folder, rng)
    return rng.choice(classes), rng.random() < 0.7


def peer(class_name, folder, ignore):
    """What the peer reports, or what it raises."""
    try:
        _, info = getattr(transformers, class_name).from_pretrained(
            str(folder), ignore_mismatched_sizes=ignore, output_loading_info=True)
    except Exception as error:  # pylint: disable=broad-except
        return {"raises": f"{type(error).__name__}: {error}"}
    return {"missing_keys": sorted(info["missing_keys"]), "unexpected_keys": sorted(info["unexpected_keys"]),
            "mismatched_keys": sorted([n, list(a), list(b)] for n, a, b in info["mismatched_keys"])}


def ours(command, class_name, folder, ignore):
    """What the command reports, or its error."""
    flags = ["--ignore_mismatched_sizes"] if ignore else []
    done = subprocess.run([*command, "load", str(folder), f"--class={class_name}", "--json", *flags],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return {"raises": done.stderr.strip()}
    report = json.loads(done.stdout)
    return {"missing_keys": sorted(report["missing_keys"]), "unexpected_keys": sorted(report["unexpected_keys"]),
            "mismatched_keys": sorted([k["name"], k["checkpoint_shape"], k["model_shape"]] for k in report["mismatched_keys"])}


def agree(got, want):
    if "raises" in got and "raises" not in want:
        return "none of its" in got["raises"]
    if "raises" not in want:
        return got == want
    if "raises" in got:
        return True
    # The index does not list those that are missing and have another shape.
    unlisted = {name for name, _, _ in got["mismatched_keys"]} & set(got["missing_keys"])
    return bool(unlisted) and all(f"size mismatch for {name}:" in want["raises"] for name in unlisted)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--command", required=True, help="the program to run, with leading arguments if it needs any")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    command, misses, refused, damaged = shlex.split(arguments.command), 0, 0, 0
    for number in range(arguments.count):
        folder = arguments.folder / str(number)
        class_name, ignore = make_case(folder, random.Random(f"{arguments.seed}/{number}"))
        want, got = peer(class_name, folder, ignore), ours(command, class_name, folder, ignore)
        refused += "raises" in got
        damaged += any(want.get(kind) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        if not agree(got, want):
            misses += 1
            print(f"MISS {folder} as {class_name}, ignore_mismatched_sizes={ignore}\n  want {want}\n  got  {got}")
    print(f"{arguments.count} cases: {damaged} with keys to report, {refused} refused; {misses} missed")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
