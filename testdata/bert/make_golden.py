#!/usr/bin/env python3
"""Writes the golden data of BertModel: what transformers 4.34.0 computes for every option the model has.

    pip install --no-deps -r ../requirements.txt   (or benchmarks/peers/setup_venv.sh DEST)
    python make_golden.py            writes everything below this folder but base/
    python make_golden.py --check    writes nothing; fails if the files differ from what the peer says now

base/ (config.json, model.safetensors, io.safetensors, facts.json) was made with the same versions and the same rule for
weights (golden.py, `redraw`), by a generator of its own; this script reads its weights and, with --check, holds its
outputs to the peer too. README.md describes the files. Same versions, same bytes: every draw is seeded by its name.
"""
import argparse
import json
import pathlib
import sys
import tempfile
import zlib

import safetensors.torch
import torch
import transformers
from transformers import BertConfig, BertModel
from transformers.activations import ACT2FN

import golden

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = {"python": "3.10.13", "torch": "2.1.0", "transformers": "4.34.0", "safetensors": "0.4.0"}
SIZES = dict(hidden_size=32, num_attention_heads=4, num_hidden_layers=2, intermediate_size=64, vocab_size=120,
             max_position_embeddings=40, type_vocab_size=2, architectures=["BertModel"])

# Folders with weights of their own: config keys beside SIZES, and the dtype on disk.
MODELS = {
    "relative_key": (dict(position_embedding_type="relative_key"), torch.float32),
    "relative_key_query": (dict(position_embedding_type="relative_key_query"), torch.float32),
    "cross": (dict(is_decoder=True, add_cross_attention=True), torch.float32),
    "cross_relative_key": (
        dict(is_decoder=True, add_cross_attention=True, position_embedding_type="relative_key", num_hidden_layers=1,
             vocab_size=40), torch.float32),
    "float16": (dict(vocab_size=40), torch.float16),
    "bfloat16": (dict(vocab_size=40), torch.bfloat16),
    # Nothing at its usual value: one head, three token types, a large epsilon, sizes that are no power of two.
    "odd_sizes": (dict(hidden_size=21, num_attention_heads=1, num_hidden_layers=1, intermediate_size=37, vocab_size=31,
                       max_position_embeddings=9, type_vocab_size=3, layer_norm_eps=1e-3, hidden_act="gelu_new",
                       pad_token_id=3), torch.float32),
    "three_heads": (dict(hidden_size=24, num_attention_heads=3, num_hidden_layers=3, intermediate_size=16,
                         vocab_size=30, max_position_embeddings=12, type_vocab_size=1, pad_token_id=None),
                    torch.float32),
}


def generator_for(name):
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


class Inputs:
    """Input tensors drawn from a generator that its case's name seeds."""

    def __init__(self, name, vocab=40):
        self.generator = generator_for("inputs of " + name)
        self.vocab = vocab

    def ids(self, batch, length, high=None):
        return torch.randint(0, high or self.vocab, (batch, length), generator=self.generator)

    def floats(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def head_mask(self, *shape):
        return torch.randint(0, 2, shape, generator=self.generator).float() * 0.75 + 0.25 * (
            torch.rand(shape, generator=self.generator) < 0.5)


def padded(*lengths, width=None):
    """A mask with a row per entry: n ones and then zeros; for a negative n, zeros and then -n ones."""
    width = width or max(abs(n) for n in lengths)
    rows = [[1] * n + [0] * (width - n) if n >= 0 else [0] * (width + n) + [1] * -n for n in lengths]
    return torch.tensor(rows)


def encoder_cases():
    """(name, model folder, inputs, keys of the case) of everything an encoder can be asked."""
    def case(name, make, model="base", vocab=40, **keys):
        return name, model, make(Inputs(name, vocab)), keys

    ids = lambda draw, batch=2, length=6: {"input_ids": draw.ids(batch, length)}
    full = lambda draw, batch=2, length=6: {**ids(draw, batch, length), "attention_mask": padded(length, -4, width=length),
                                            "token_type_ids": draw.ids(batch, length, 2)}
    yield case("only_input_ids", ids)
    yield case("no_token_type_ids", lambda d: {**ids(d), "attention_mask": padded(6, 4)})
    yield case("no_attention_mask", lambda d: {**ids(d), "token_type_ids": d.ids(2, 6, 2)})
    yield case("mask_hides_nothing", lambda d: {**ids(d), "attention_mask": padded(6, 6)})
    yield case("mask_hides_a_whole_row", lambda d: {**ids(d), "attention_mask": padded(6, 0)})
    yield case("mask_of_floats", lambda d: {**ids(d), "attention_mask": torch.tensor([[1, 1, 0.5, 1, 0, 0.25], [0.5] * 6])})
    yield case("mask_of_bools", lambda d: {**ids(d), "attention_mask": padded(6, -3).bool()})
    yield case("mask_3d", lambda d: {**ids(d), "attention_mask": torch.tril(torch.ones(6, 6, dtype=torch.int64)).flip(1).repeat(2, 1, 1)
                                     | torch.eye(6, dtype=torch.int64)})
    yield case("batch_of_one", lambda d: ids(d, 1, 9))
    yield case("one_token", lambda d: ids(d, 1, 1))
    yield case("longest_sequence", lambda d: ids(d, 1, 40), output_attentions=False, output_hidden_states=False)
    yield case("input_ids_int32", lambda d: {"input_ids": d.ids(2, 6).int(), "token_type_ids": d.ids(2, 6, 2).int(),
                                             "attention_mask": padded(6, 4).int()})
    yield case("position_ids", lambda d: {**full(d), "position_ids": d.ids(2, 6, 40)})
    yield case("position_ids_one_row", lambda d: {**full(d), "position_ids": torch.arange(11, 5, -1)[None]})
    yield case("inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 32), "attention_mask": padded(6, 4)})
    yield case("head_mask_1d", lambda d: {**full(d), "head_mask": torch.tensor([1.0, 0.0, 0.5, 1.0])})
    yield case("head_mask_2d", lambda d: {**full(d), "head_mask": d.head_mask(2, 4)})
    yield case("head_mask_5d", lambda d: {**full(d), "head_mask": d.head_mask(2, 2, 4, 6, 6)})
    yield case("no_pooler", full, add_pooling_layer=False)
    yield case("no_extra_outputs", full, output_attentions=False, output_hidden_states=False)
    yield case("chunked_feed_forward", full, config={"chunk_size_feed_forward": 3})
    for act in sorted(ACT2FN):
        yield case(f"hidden_act_{act}", lambda d: ids(d, 1, 4), config={"hidden_act": act}, output_attentions=False,
                   output_hidden_states=False)
    yield case("relative_key", full, "relative_key")
    yield case("relative_key_longest", lambda d: ids(d, 1, 40), "relative_key", output_attentions=False,
               output_hidden_states=False)
    yield case("relative_key_ignores_position_ids", lambda d: {**full(d), "position_ids": d.ids(2, 6, 40)}, "relative_key")
    yield case("relative_key_query", full, "relative_key_query")
    yield case("relative_key_query_one_token", lambda d: ids(d, 1, 1), "relative_key_query")
    yield case("weights_float16", full, "float16")
    yield case("weights_bfloat16", full, "bfloat16")
    yield case("odd_sizes", lambda d: {"input_ids": d.ids(3, 9), "token_type_ids": d.ids(3, 9, 3),
                                       "attention_mask": padded(9, 5, -7)}, "odd_sizes", vocab=31)
    yield case("three_heads", lambda d: {"input_ids": d.ids(2, 5), "attention_mask": padded(5, 2),
                                         "head_mask": d.head_mask(3, 3)}, "three_heads", vocab=30)


def decoder_cases():
    """As encoder_cases(), for decoders. `past` keys: (cached tokens, encoder tokens) to make past_key_values from."""
    def case(name, make, model="base", **keys):
        if model == "base" or model.startswith("relative"):
            keys.setdefault("config", {"is_decoder": True})
        return name, model, make(Inputs(name)), keys

    ids = lambda draw, length=6: {"input_ids": draw.ids(2, length)}
    full = lambda draw, length=6: {**ids(draw, length), "attention_mask": padded(length, -4, width=length)}
    encoder = lambda draw: {"encoder_hidden_states": draw.floats(2, 5, 32)}
    masked = lambda draw: {**encoder(draw), "encoder_attention_mask": padded(5, 3)}
    yield case("decoder", full)
    yield case("decoder_no_mask", ids)
    yield case("decoder_mask_3d", lambda d: {**ids(d), "attention_mask": torch.ones(2, 6, 6, dtype=torch.int64).tril(2)})
    yield case("decoder_mask_of_bools", lambda d: {**ids(d), "attention_mask": padded(6, 4).bool()})
    yield case("decoder_cache", full, use_cache=True)
    yield case("decoder_relative_key", full, "relative_key")
    yield case("decoder_relative_key_query", full, "relative_key_query")
    yield case("decoder_past", lambda d: {**ids(d, 1), "attention_mask": padded(6, -4)}, past=(5, 0), use_cache=True)
    yield case("decoder_past_no_mask", lambda d: ids(d, 3), past=(4, 0), use_cache=True)
    yield case("decoder_past_three_tokens", lambda d: {**ids(d, 3), "attention_mask": padded(7, -5),
                                                       "head_mask": d.head_mask(2, 4)}, past=(4, 0), use_cache=True)
    yield case("decoder_past_mask_3d", lambda d: {**ids(d, 2), "attention_mask": torch.ones(2, 2, 6, dtype=torch.int64).tril(4)},
               past=(4, 0))
    yield case("relative_key_past", lambda d: {**ids(d, 1), "attention_mask": padded(6, -4)}, "relative_key", past=(5, 0),
               use_cache=True)
    # Every new token gets the distances of the last one: 4.34.0 broadcasts one row of them.
    yield case("relative_key_past_three_tokens", lambda d: ids(d, 3), "relative_key", past=(4, 0), use_cache=True)
    yield case("relative_key_query_past_three_tokens", lambda d: ids(d, 3), "relative_key_query", past=(4, 0), use_cache=True)
    yield case("cross", lambda d: {**full(d), **masked(d)}, "cross")
    yield case("cross_cache", lambda d: {**full(d), **masked(d)}, "cross", use_cache=True)
    yield case("cross_no_encoder_mask", lambda d: {**full(d), **encoder(d)}, "cross")
    yield case("cross_encoder_mask_3d", lambda d: {**full(d), **encoder(d),
                                                   "encoder_attention_mask": torch.ones(2, 6, 5).tril(1)}, "cross")
    yield case("cross_without_encoder", full, "cross")
    yield case("cross_head_mask", lambda d: {**full(d), **masked(d), "head_mask": d.head_mask(2, 4)}, "cross")
    yield case("cross_inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 32), **masked(d)}, "cross")
    yield case("cross_past", lambda d: {**ids(d, 1), **masked(d), "attention_mask": padded(5, -3)}, "cross", past=(4, 5),
               use_cache=True)
    yield case("cross_past_three_tokens", lambda d: {**ids(d, 3), **masked(d)}, "cross", past=(4, 5), use_cache=True)
    yield case("cross_relative_key", lambda d: {**full(d), **masked(d)}, "cross_relative_key")
    yield case("cross_relative_key_past", lambda d: {**ids(d, 1), **masked(d)}, "cross_relative_key", past=(4, 5),
               use_cache=True)
    yield case("encoder_ignores_encoder_states", lambda d: {**full(d), **masked(d)}, config={})


def refused_calls():
    """(name, model folder, config, inputs) of what the peer raises for."""
    draw = Inputs("refused")
    ids = {"input_ids": draw.ids(2, 6)}
    yield "ids_and_embeds", "base", {}, {**ids, "inputs_embeds": draw.floats(2, 6, 32)}
    yield "neither_ids_nor_embeds", "base", {}, {"attention_mask": padded(6, 4)}
    yield "mask_4d", "base", {}, {**ids, "attention_mask": torch.ones(2, 1, 6, 6)}
    yield "head_mask_3d", "base", {}, {**ids, "head_mask": torch.ones(2, 2, 4)}
    yield "too_long", "base", {}, {"input_ids": draw.ids(1, 41)}
    yield "id_beyond_vocabulary", "base", {}, {"input_ids": torch.tensor([[1, 120]])}
    yield "negative_id", "base", {}, {"input_ids": torch.tensor([[1, -1]])}
    yield "chunk_does_not_divide", "base", {"chunk_size_feed_forward": 4}, ids
    yield "encoder_states_without_cross_attention", "base", {"is_decoder": True}, {
        **ids, "encoder_hidden_states": draw.floats(2, 5, 32)}
    yield "cross_attention_without_decoder", "base", {"add_cross_attention": True}, ids
    yield "unknown_activation", "base", {"hidden_act": "swoosh"}, ids
    yield "heads_do_not_divide", "base", {"num_attention_heads": 5}, ids


def facts(model, inputs):
    """What the peer says of a model itself, in the form of base/facts.json."""
    describe = lambda pairs: {n: {"shape": list(t.shape), "dtype": str(t.dtype)[6:]} for n, t in pairs}
    flags = [(t, e) for t in (False, True) for e in (False, True)]
    return {
        "class": type(model).__name__,
        "num_parameters": {f"only_trainable={t},exclude_embeddings={e}":
                           model.num_parameters(only_trainable=t, exclude_embeddings=e) for t, e in flags},
        "memory_footprint": {f"return_buffers={b}": model.get_memory_footprint(return_buffers=b) for b in (True, False)},
        "estimate_tokens": model.estimate_tokens(inputs),
        "floating_point_ops": {f"exclude_embeddings={e}": model.floating_point_ops(inputs, exclude_embeddings=e)
                               for e in (True, False)},
        "state_dict": describe(model.state_dict().items()),
        "parameters": [name for name, _ in model.named_parameters()],
        "buffers": describe(model.named_buffers()),
        "modules": {name: type(module).__name__ for name, module in model.named_modules()},
    }


def make_models(out):
    for name, (keys, dtype) in MODELS.items():
        model = golden.redraw(BertModel(BertConfig(**{**SIZES, **keys})), generator_for(name))
        model.to(dtype).save_pretrained(out / name, safe_serialization=True)


def make_past(model, name, draw, inputs, cached, encoder_tokens):
    """Runs a first step of `cached` tokens, with the encoder states of the second, and returns its cache by name."""
    first = {"input_ids": draw.ids(2, cached)}
    if encoder_tokens:
        first.update({key: inputs[key] for key in ("encoder_hidden_states", "encoder_attention_mask") if key in inputs})
    out = golden.call(model, first, use_cache=True)
    return {key: tensor for key, tensor in out.items() if key.startswith("past_key_values.")}


def make_case(out, name, folder, inputs, keys):
    """Runs one case, writes its tensors, and returns its entry for cases.json and its share of rounding."""
    options = {"add_pooling_layer": False} if keys.get("add_pooling_layer") is False else {}
    model, info = golden.load(str(out / folder), keys.get("config"), **options)
    if "past" in keys:
        inputs = {**inputs, **make_past(model, name, Inputs("first step of " + name), inputs, *keys["past"])}
    flags = {"use_cache": keys.get("use_cache", False), "output_attentions": keys.get("output_attentions", True),
             "output_hidden_states": keys.get("output_hidden_states", True)}
    want = golden.call(model, inputs, **flags)
    if name == folder or name == f"weights_{folder}":
        (out / folder / "facts.json").write_text(json.dumps(facts(model, inputs), indent=1) + "\n")
    share = golden.rounding(model, inputs, want, **flags)
    tensors = {**{f"in.{n}": t.contiguous() for n, t in inputs.items()}, **{f"out.{n}": t for n, t in want.items()}}
    io = f"io/{name}.safetensors"
    safetensors.torch.save_file(tensors, out / io, metadata={"format": "pt"})
    entry = {"name": name, "model": folder, "config": keys.get("config", {}),
             "add_pooling_layer": keys.get("add_pooling_layer", True), **flags, "io": io}
    return {**entry, **{key: sorted(info[key]) for key in ("missing_keys", "unexpected_keys") if info[key]}}, share


def make_surgery(out, cases):
    """Cases whose model is changed after loading: pruned heads, and another vocabulary size."""
    for name, arguments in (("prune_heads", {"0": [0, 2], "1": [3]}), ("resize_token_embeddings", 40)):
        model, _ = golden.load(str(out / "base"))
        if name == "prune_heads":
            model.prune_heads({int(layer): heads for layer, heads in arguments.items()})
        else:
            model.resize_token_embeddings(arguments)
        draw = Inputs(name)
        inputs = {"input_ids": draw.ids(2, 6), "attention_mask": padded(6, 4)}
        want = golden.call(model, inputs)
        io = f"io/{name}.safetensors"
        tensors = {**{f"in.{n}": t for n, t in inputs.items()}, **{f"out.{n}": t for n, t in want.items()}}
        safetensors.torch.save_file(tensors, out / io, metadata={"format": "pt"})
        cases.append({"name": name, "model": "base", "config": {}, "add_pooling_layer": True, "use_cache": False,
                      "output_attentions": True, "output_hidden_states": True, "io": io, name: arguments})


def make_refusals(out):
    refusals = []
    for name, folder, config, inputs in refused_calls():
        try:
            golden.call(golden.load(str(out / folder), config)[0], inputs)
        except Exception as error:  # Whatever it raises is what is recorded.
            raises = type(error).__name__
        else:
            raise SystemExit(f"{name}: the peer does not raise")
        io = f"io/refused_{name}.safetensors"
        safetensors.torch.save_file({f"in.{n}": t for n, t in inputs.items()}, out / io, metadata={"format": "pt"})
        refusals.append({"name": name, "model": folder, "config": config, "io": io, "raises": raises})
    return refusals


def make_activations(out):
    """x, and act(x) under the name of every activation that a config can ask for."""
    x = torch.cat([torch.linspace(-12, 12, 481), torch.tensor([-0.0, 1e-30, -1e-30, 1e-7, -1e-7, 80.0, -80.0, 1e4, -1e4])])
    tensors = {"in.x": x, **{f"out.{name}": ACT2FN[name](x.clone()).contiguous().clone() for name in ACT2FN}}
    safetensors.torch.save_file(tensors, out / "activations.safetensors", metadata={"format": "pt"})


def check_base(out):
    stored = safetensors.torch.load_file(out / "base" / "io.safetensors")
    model, _ = golden.load(str(out / "base"))
    want = golden.call(model, {n[3:]: t for n, t in stored.items() if n.startswith("in.")})
    for name, tensor in want.items():
        if not torch.allclose(tensor, stored["out." + name], rtol=1e-5, atol=1e-5):
            raise SystemExit(f"base/io.safetensors: out.{name} is not what the peer computes")


def make_all(out):
    (out / "io").mkdir(exist_ok=True)
    check_base(out)
    make_models(out)
    make_activations(out)
    cases, worst = [], (0.0, "")
    for name, folder, inputs, keys in [*encoder_cases(), *decoder_cases()]:
        entry, share = make_case(out, name, folder, inputs, keys)
        cases.append(entry)
        worst = max(worst, (share, name))
        if share > 0.5:
            raise SystemExit(f"{name}: rounding alone takes {share:.2f} of the tolerance; draw other inputs")
    make_surgery(out, cases)
    document = {"versions": VERSIONS, "cases": cases, "refused": make_refusals(out)}
    (out / "cases.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(cases)} cases; rounding takes at most {worst[0]:.2f} of the tolerance 1e-5 * (1 + |want|) ({worst[1]})")


def check():
    """Makes everything again elsewhere and compares the bytes."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        (out / "base").mkdir()
        for file in (HERE / "base").iterdir():
            (out / "base" / file.name).write_bytes(file.read_bytes())
        make_all(out)
        made = {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    bad = [name for name, content in made.items() if not (HERE / name).is_file() or (HERE / name).read_bytes() != content]
    bad += [str(f.relative_to(HERE)) for f in (HERE / "io").iterdir() if f"io/{f.name}" not in made]
    for name in bad:
        print(f"differs: {name}")
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    for module in (torch, transformers):
        if module.__version__.split("+")[0] != VERSIONS[module.__name__]:
            sys.exit(f"{module.__name__} {VERSIONS[module.__name__]} is needed, not {module.__version__}")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    if arguments.check:
        return check()
    make_all(HERE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
