#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on BertModels drawn at random: configs, weights, and the arguments of a call.

    python random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

Case N is FOLDER/N: config.json, model.safetensors, inputs.safetensors (forward's arguments by name, past_key_values as
`past_key_values.L.N`) and want.safetensors (the fields of the peer's output by name, tuples as `NAME.N`). For each case
    COMMAND run FOLDER/N --inputs=FOLDER/N/inputs.safetensors --outputs=FOLDER/N/got.safetensors
            --output_hidden_states --output_attentions
must write the same names and shapes, with |got - want| <= 1e-5 * (1 + |want|). Without --command nothing is run. The same
seed draws the same cases, and a case does not depend on how many there are.

Exit status: 0 all agree, 1 some do not, 2 wrong usage.
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
from transformers import BertConfig, BertModel
from transformers.activations import ACT2FN

import golden

MOST_ROUNDING = 0.3  # A case where fp32 rounding takes more of the tolerance than this is drawn again.
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def draw_config(rng):
    heads = rng.choice([1, 2, 3, 4, 6, 8])
    decoder = rng.random() < 0.4
    return BertConfig(
        vocab_size=rng.randint(3, 200), hidden_size=heads * rng.choice([1, 2, 4, 5, 8, 16]), num_attention_heads=heads,
        num_hidden_layers=rng.choice([0, 1, 1, 2, 3, 5]), intermediate_size=rng.randint(1, 96),
        hidden_act=rng.choice(sorted(ACT2FN)), max_position_embeddings=rng.randint(8, 64),
        type_vocab_size=rng.randint(1, 4), layer_norm_eps=rng.choice([1e-12, 1e-6, 1e-3]),
        position_embedding_type=rng.choice(["absolute", "absolute", "relative_key", "relative_key_query"]),
        pad_token_id=rng.choice([0, 1, None]), is_decoder=decoder,
        add_cross_attention=decoder and rng.random() < 0.6, chunk_size_feed_forward=rng.choice([0, 0, 0, 1, 2]),
        architectures=["BertModel"])


def draw_mask(rng, generator, batch, queries, keys, keep_some):
    """A 2-D or 3-D mask, of whole numbers or floats; or None."""
    kind = rng.choice(["none", "right", "left", "holes", "3d", "floats"])
    if kind == "none":
        return None
    if kind in ("right", "left"):
        kept = [rng.randint(1 if keep_some else 0, keys) for _ in range(batch)]
        mask = torch.tensor([[1] * n + [0] * (keys - n) for n in kept])
        return mask if kind == "right" else mask.flip(1)
    shape = (batch, queries, keys) if kind == "3d" else (batch, keys)
    mask = (torch.rand(shape, generator=generator) < 0.7)
    return mask.float() if kind == "floats" else mask.long()


def draw_inputs(config, model, rng, generator):
    """The arguments of one call, by name."""
    chunk = max(config.chunk_size_feed_forward, 1)
    batch, cached = rng.randint(1, 4), 0
    length = chunk * rng.randint(1, config.max_position_embeddings // 2 // chunk)
    # Several new tokens after a cache get wrong distances in the peer (see README.md): draw one where positions are relative.
    relative = config.position_embedding_type != "absolute"
    may_cache = config.is_decoder and config.num_hidden_layers and (not relative or chunk == 1)
    use_cached = may_cache and rng.random() < 0.4
    if use_cached and relative:
        length = 1
    ids = lambda high, n: torch.randint(0, high, (batch, n), generator=generator)
    inputs = {}
    if rng.random() < 0.2:
        inputs["inputs_embeds"] = torch.randn(batch, length, config.hidden_size, generator=generator)
    else:
        inputs["input_ids"] = ids(config.vocab_size, length)
    if rng.random() < 0.6:
        inputs["token_type_ids"] = ids(config.type_vocab_size, length)
    if rng.random() < 0.3:
        inputs["position_ids"] = ids(config.max_position_embeddings, length)
    if rng.random() < 0.3:
        layers, heads = config.num_hidden_layers, config.num_attention_heads
        inputs["head_mask"] = torch.rand((layers, heads) if rng.random() < 0.5 else (heads,), generator=generator)
    if config.add_cross_attention and rng.random() < 0.8:
        memory = rng.randint(1, 9)
        inputs["encoder_hidden_states"] = torch.randn(batch, memory, config.hidden_size, generator=generator)
        mask = draw_mask(rng, generator, batch, length, memory, True)
        if mask is not None:
            inputs["encoder_attention_mask"] = mask
    if use_cached:
        cached = chunk * rng.randint(1, config.max_position_embeddings // 2 // chunk)
        first = {"input_ids": ids(config.vocab_size, cached),
                 **{n: t for n, t in inputs.items() if n == "encoder_hidden_states"}}
        out = golden.call(model, first, use_cache=True)
        inputs.update({n: t for n, t in out.items() if n.startswith("past_key_values.")})
    mask = draw_mask(rng, generator, batch, length, length + cached, False)
    if mask is not None:
        inputs["attention_mask"] = mask
    return inputs


def make_case(folder, seed, number):
    """Writes one case; returns how often it was drawn again because rounding took too much of the tolerance."""
    for attempt in range(100):
        rng = random.Random(f"{seed}/{number}/{attempt}")
        generator = torch.Generator().manual_seed(rng.getrandbits(60))
        dtype = rng.choice(["float32", "float32", "float16", "bfloat16"])
        torch.manual_seed(rng.getrandbits(60))
        model = golden.redraw(BertModel(draw_config(rng)), generator)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        model.to(DTYPES[dtype]).save_pretrained(folder, safe_serialization=True)
        model, _ = golden.load(str(folder))
        inputs = draw_inputs(model.config, model, rng, generator)
        want = golden.call(model, inputs)
        if golden.rounding(model, inputs, want) <= MOST_ROUNDING:
            contiguous = lambda tensors: {name: tensor.contiguous() for name, tensor in tensors.items()}
            safetensors.torch.save_file(contiguous(inputs), folder / "inputs.safetensors", metadata={"format": "pt"})
            safetensors.torch.save_file(want, folder / "want.safetensors", metadata={"format": "pt"})
            return attempt
    raise SystemExit(f"case {number}: no draw was stable")


def compare(got, want):
    """(largest error as a share of the tolerance, what is wrong or None)."""
    if set(got) != set(want):
        return 0.0, f"only in got: {sorted(set(got) - set(want))}; only in want: {sorted(set(want) - set(got))}"
    worst, problem = 0.0, None
    for name, tensor in want.items():
        if got[name].shape != tensor.shape or got[name].dtype != tensor.dtype:
            return worst, f"{name}: {got[name].dtype}{list(got[name].shape)}, but want {tensor.dtype}{list(tensor.shape)}"
        if not tensor.numel():
            continue
        share = ((got[name] - tensor).abs() / (1e-5 * (1 + tensor.abs()))).flatten()
        share = torch.where(torch.isnan(share), torch.inf, share)
        at = int(share.argmax())
        worst = max(worst, share[at].item())
        if share[at] > 1 and problem is None:
            problem = f"{name}[flat {at}]: {got[name].flatten()[at].item()}, but want {tensor.flatten()[at].item()}"
    return worst, problem


def run_case(command, folder):
    """As compare(), for what `command` computes."""
    outputs = folder / "got.safetensors"
    outputs.unlink(missing_ok=True)
    arguments = [*command, "run", str(folder), f"--inputs={folder / 'inputs.safetensors'}", f"--outputs={outputs}",
                 "--output_hidden_states", "--output_attentions"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return 0.0, f"exit status {done.returncode}: {done.stderr.strip()[-400:]}"
    if not outputs.exists():
        return 0.0, "the command wrote no outputs"
    return compare(safetensors.torch.load_file(outputs), safetensors.torch.load_file(folder / "want.safetensors"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--command", default="", help="the program to run, with leading arguments if it needs any")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    command, again, misses, worst = shlex.split(arguments.command), 0, 0, (0.0, "")
    for number in range(arguments.count):
        folder = arguments.folder / str(number)
        again += make_case(folder, arguments.seed, number)
        if not command:
            continue
        share, problem = run_case(command, folder)
        worst = max(worst, (share, str(folder)))
        if problem:
            misses += 1
            config = json.loads((folder / "config.json").read_text())
            print(f"MISS {folder} ({config['position_embedding_type']}, {config['hidden_act']}): {problem}")
    print(f"{arguments.count} cases, {again} drawn again for rounding", end="")
    print(f"; {misses} missed; largest error is {worst[0]:.2f} of the tolerance ({worst[1]})" if command else "")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
