#!/usr/bin/env python3
"""Writes the golden data of T5: what transformers 4.34.0 computes for every option the models have.

    pip install --no-deps -r ../requirements.txt   (or benchmarks/peers/setup_venv.sh DEST)
    python make_golden.py            writes everything below this folder
    python make_golden.py --check    writes nothing; fails if the files differ from what the peer says now

README.md describes the files. Same versions, same bytes: every draw is seeded by its name.
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
from transformers import T5Config
from transformers.models.t5.modeling_t5 import T5Attention

import golden

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = {"python": "3.10.13", "torch": "2.1.0", "transformers": "4.34.0", "safetensors": "0.4.0"}
LM, BASE, ENCODER = "T5ForConditionalGeneration", "T5Model", "T5EncoderModel"
# Heads that do not fill the hidden size, and distances that soon fall into the last bucket.
SIZES = dict(vocab_size=40, d_model=16, d_kv=4, d_ff=24, num_heads=3, num_layers=2, relative_attention_num_buckets=8,
             relative_attention_max_distance=12, decoder_start_token_id=0, architectures=[LM])

# Folders with weights of their own: class, config keys beside SIZES, and the dtype on disk.
MODELS = {
    "base": (LM, {}, torch.float32),
    # The shape of T0pp and FLAN-T5.
    "gated": (LM, dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False, num_decoder_layers=1), torch.float32),
    "tied_stacks": (LM, dict(tie_encoder_decoder=True, num_decoder_layers=1), torch.float32),
    "float16": (LM, dict(num_layers=1), torch.float16),
    "no_layers": (LM, dict(num_layers=0), torch.float32),
    # Nothing at its usual value; a decoder deeper than the encoder.
    "odd_sizes": (LM, dict(vocab_size=31, d_model=13, d_kv=5, d_ff=7, num_heads=1, num_layers=1, num_decoder_layers=2,
                           relative_attention_num_buckets=5, relative_attention_max_distance=7, layer_norm_epsilon=1e-3,
                           feed_forward_proj="silu", pad_token_id=3, decoder_start_token_id=2), torch.float32),
    # A decoder that never sees encoder states.
    "decoder_stack": (ENCODER, dict(is_decoder=True, num_layers=1, is_encoder_decoder=False, architectures=[ENCODER]),
                      torch.float32),
}


def generator_for(name):
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


class Inputs:
    """Input tensors drawn from a generator that its case's name seeds."""

    def __init__(self, name, vocab=31):
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


def both(d, batch=2, source=6, target=5):
    return {"input_ids": d.ids(batch, source), "decoder_input_ids": d.ids(batch, target)}


def masked(d):
    return {**both(d), "attention_mask": padded(6, 4), "decoder_attention_mask": padded(5, -3)}


def labels(d, batch=2, length=5):
    drawn = d.ids(batch, length)
    drawn[-1, 3:] = -100
    return {"labels": drawn}


def states(d, layers=0):
    out = {"encoder_outputs.0": d.floats(2, 6, 16)}
    for i in range(layers):
        out[f"encoder_outputs.1.{i}"] = d.floats(2, 6, 16)
        out[f"encoder_outputs.2.{i}"] = d.floats(2, 3, 6, 6)
    return out


def cases():
    """(name, class, model folder, inputs, keys of the case) of everything that can be asked."""
    def case(name, make, model="base", kind=LM, **keys):
        return name, kind, model, make(Inputs(name)), keys

    source = lambda d: {"input_ids": d.ids(2, 6)}
    target = lambda d: {"decoder_input_ids": d.ids(2, 5)}
    yield case("ids", both)
    yield case("masks", masked)
    yield case("masks_of_bools", lambda d: {n: t if "ids" in n else t.bool() for n, t in masked(d).items()})
    yield case("masks_of_floats", lambda d: {**both(d), "attention_mask": torch.tensor([[1, 1, 0.5, 1, 0, 0.25], [0.5] * 6]),
                                             "decoder_attention_mask": torch.tensor([[1, 0.5, 1, 0, 0.25], [0.5] * 5])})
    yield case("mask_hides_a_whole_row", lambda d: {**both(d), "attention_mask": padded(6, 0), "decoder_attention_mask": padded(5, 0)})
    yield case("mask_3d", lambda d: {**both(d, 2, 6, 6), "attention_mask": torch.tril(torch.ones(6, 6)).flip(1).repeat(2, 1, 1)})
    yield case("mask_3d_of_one_query", lambda d: {**both(d), "attention_mask": padded(6, 4)[:, None]})
    yield case("decoder_mask_3d", lambda d: {**both(d), "decoder_attention_mask": torch.ones(2, 5, 5).tril(1)})
    yield case("ids_int32", lambda d: {n: t.int() for n, t in masked(d).items()})
    yield case("batch_of_one", lambda d: both(d, 1, 9, 7))
    yield case("one_token", lambda d: both(d, 1, 1, 1))
    yield case("long", lambda d: both(d, 1, 40, 30), output_attentions=False, output_hidden_states=False)
    yield case("long_with_attentions", lambda d: both(d, 1, 33, 29), output_hidden_states=False)
    yield case("no_extra_outputs", masked, output_attentions=False, output_hidden_states=False)
    yield case("cache", masked, use_cache=True)
    yield case("left_to_the_config", both, config={"output_attentions": True}, use_cache=None, output_attentions=None,
               output_hidden_states=None)
    yield case("left_to_the_config_without_cache", both, config={"output_hidden_states": True, "use_cache": False},
               use_cache=None, output_attentions=None, output_hidden_states=None)
    yield case("head_mask", lambda d: {**masked(d), "head_mask": torch.tensor([1.0, 0.0, 0.5])})
    yield case("head_mask_2d", lambda d: {**masked(d), "head_mask": d.head_mask(2, 3)})
    yield case("head_mask_without_attentions", lambda d: {**masked(d), "head_mask": d.head_mask(2, 3)},
               output_attentions=False)
    yield case("decoder_head_mask", lambda d: {**masked(d), "decoder_head_mask": d.head_mask(2, 3)})
    yield case("cross_attn_head_mask", lambda d: {**masked(d), "cross_attn_head_mask": d.head_mask(2, 3)})
    yield case("cross_attn_head_mask_1d", lambda d: {**masked(d), "cross_attn_head_mask": torch.tensor([0.0, 1.0, 0.25])})
    yield case("all_head_masks", lambda d: {**masked(d), "head_mask": d.head_mask(2, 3), "decoder_head_mask": d.head_mask(3),
                                            "cross_attn_head_mask": d.head_mask(2, 3)})
    yield case("head_mask_of_another_depth", lambda d: {**masked(d), "head_mask": d.head_mask(2, 3)}, "gated")
    yield case("inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 16), **target(d)})
    yield case("decoder_inputs_embeds", lambda d: {**source(d), "decoder_inputs_embeds": d.floats(2, 5, 16)})
    yield case("both_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "decoder_inputs_embeds": d.floats(2, 5, 16),
                                         "attention_mask": padded(6, 4), **labels(d)})
    yield case("labels", lambda d: {**source(d), **labels(d)})
    yield case("labels_int64_none_ignored", lambda d: {**source(d), "labels": d.ids(2, 5), "attention_mask": padded(6, -4)})
    yield case("labels_and_decoder_ids", lambda d: {**both(d), **labels(d)})
    yield case("labels_flat", lambda d: {**both(d), "labels": d.ids(1, 10)[0]})
    yield case("encoder_outputs", lambda d: {**states(d), **target(d)})
    yield case("encoder_outputs_masked", lambda d: {**states(d), **target(d), "attention_mask": padded(6, 4)})
    yield case("encoder_outputs_of_all", lambda d: {**states(d, 3), **target(d)})
    yield case("encoder_outputs_win", lambda d: {**states(d), **both(d), "head_mask": d.head_mask(2, 3)})
    yield case("encoder_outputs_and_labels", lambda d: {**states(d), **labels(d)}, use_cache=True)
    # `past`: how many tokens each step before had.
    yield case("past", lambda d: both(d, 2, 6, 1), past=[4], use_cache=True)
    yield case("past_of_two_steps", lambda d: {**both(d, 2, 6, 1), "attention_mask": padded(6, 4)}, past=[3, 2], use_cache=True)
    yield case("past_three_tokens", lambda d: both(d, 2, 6, 3), past=[4], use_cache=True)
    yield case("past_of_more_than_max_distance", lambda d: both(d, 1, 6, 2), past=[20], use_cache=True,
               output_hidden_states=False)
    yield case("past_masked", lambda d: {**both(d, 2, 6, 2), "decoder_attention_mask": padded(6, -4)}, past=[4], use_cache=True)
    yield case("past_mask_3d", lambda d: {**both(d, 2, 6, 2), "decoder_attention_mask": torch.ones(2, 2, 6).tril(4)}, past=[4])
    yield case("past_and_encoder_outputs", lambda d: {**states(d), "decoder_input_ids": d.ids(2, 1)}, past=[2], use_cache=True,
               output_attentions=False, output_hidden_states=False)
    yield case("past_and_labels", lambda d: {**both(d, 2, 6, 3), **labels(d, 2, 3)}, past=[2])
    yield case("past_and_embeds", lambda d: {**source(d), "decoder_inputs_embeds": d.floats(2, 2, 16)}, past=[2])
    yield case("past_of_another_source", lambda d: {"input_ids": d.ids(2, 6), "decoder_input_ids": d.ids(2, 1)}, past=[3],
               past_source=4, use_cache=True)
    for act in ("gelu", "gelu_new", "silu", "tanh"):
        yield case(f"dense_act_fn_{act}", both, config={"dense_act_fn": act}, output_attentions=False,
                   output_hidden_states=False)
    yield case("max_distance", lambda d: both(d, 1, 30, 20), config={"relative_attention_max_distance": 17},
               output_hidden_states=False, output_attentions=False)
    yield case("layer_norm_epsilon", both, config={"layer_norm_epsilon": 0.5}, output_attentions=False)
    for kind, suffix in ((LM, ""), (BASE, "_model"), (ENCODER, "_encoder")):
        inputs = masked if kind != ENCODER else lambda d: {**source(d), "attention_mask": padded(6, 4)}
        yield case("base" + suffix, inputs, "base", kind)
        yield case("gated" + suffix, inputs, "gated", kind)
        yield case("float16" + suffix, inputs, "float16", kind)
        yield case("no_layers" + suffix, inputs, "no_layers", kind, use_cache=True)
        yield case("odd_sizes" + suffix, inputs, "odd_sizes", kind)
    yield case("tied_stacks", masked, "tied_stacks")
    yield case("tied_stacks_model", masked, "tied_stacks", BASE)
    yield case("gated_labels", lambda d: {**source(d), **labels(d)}, "gated", use_cache=True)
    yield case("gated_past", lambda d: both(d, 2, 6, 2), "gated", past=[3], use_cache=True)
    yield case("gated_activation", both, "gated", config={"dense_act_fn": "silu"})
    yield case("odd_sizes_labels", lambda d: {**source(d), **labels(d)}, "odd_sizes")
    yield case("odd_sizes_past", lambda d: both(d, 2, 6, 2), "odd_sizes", past=[9], use_cache=True)
    yield case("model_cache", masked, "base", BASE, use_cache=True)
    yield case("model_past", lambda d: both(d, 2, 6, 1), "base", BASE, past=[4], use_cache=True)
    yield case("model_encoder_outputs", lambda d: {**states(d, 2), **target(d)}, "base", BASE)
    yield case("model_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "decoder_inputs_embeds": d.floats(2, 5, 16)},
               "base", BASE)
    yield case("model_head_masks", lambda d: {**masked(d), "head_mask": d.head_mask(2, 3), "cross_attn_head_mask": d.head_mask(3)},
               "base", BASE)
    yield case("encoder_ids", source, "base", ENCODER)
    yield case("encoder_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "head_mask": d.head_mask(2, 3)}, "base", ENCODER)
    yield case("encoder_mask_3d", lambda d: {**source(d), "attention_mask": torch.ones(2, 6, 6).tril(2)}, "base", ENCODER)
    yield case("encoder_no_extra_outputs", source, "gated", ENCODER, output_attentions=False, output_hidden_states=False)
    yield case("decoder_stack", lambda d: {**source(d), "attention_mask": padded(6, 4)}, "decoder_stack", ENCODER,
               output_attentions=False)


def refused_calls():
    """(name, class, model folder, config, inputs) of what the peer raises for."""
    d = Inputs("refused")
    ids, more, embeds = {"input_ids": d.ids(2, 6)}, {"decoder_input_ids": d.ids(2, 5)}, d.floats(2, 6, 16)
    given = {**ids, **more}
    yield "no_decoder_inputs", LM, "base", {}, ids
    yield "no_decoder_inputs_of_model", BASE, "base", {}, ids
    yield "no_encoder_inputs", LM, "base", {}, more
    yield "ids_and_embeds", LM, "base", {}, {**given, "inputs_embeds": embeds}
    yield "decoder_ids_and_embeds", LM, "base", {}, {**given, "decoder_inputs_embeds": d.floats(2, 5, 16)}
    yield "encoder_without_inputs", ENCODER, "base", {}, {"attention_mask": padded(6, 4)}
    yield "labels_without_start_token", LM, "base", {"decoder_start_token_id": None}, {**ids, "labels": d.ids(2, 5)}
    yield "labels_without_padding_token", LM, "base", {"pad_token_id": None}, {**ids, "labels": d.ids(2, 5)}
    yield "labels_beyond_vocabulary", LM, "base", {}, {**ids, "labels": torch.tensor([[1, 2], [3, 40]])}
    yield "labels_of_another_length", LM, "base", {}, {**given, "labels": d.ids(2, 4)}
    yield "labels_to_model", BASE, "base", {}, {**given, "labels": d.ids(2, 5)}
    yield "id_beyond_vocabulary", LM, "base", {}, {**more, "input_ids": torch.tensor([[1, 40], [2, 3]])}
    yield "decoder_id_beyond_vocabulary", LM, "base", {}, {**ids, "decoder_input_ids": torch.tensor([[1, 40], [2, 3]])}
    yield "mask_4d", LM, "base", {}, {**given, "attention_mask": torch.ones(2, 1, 6, 6)}
    yield "mask_of_another_length", LM, "base", {}, {**given, "attention_mask": torch.ones(2, 4)}
    yield "decoder_mask_of_another_length", LM, "base", {}, {**given, "decoder_attention_mask": torch.ones(2, 4)}
    yield "head_mask_3d", LM, "base", {}, {**given, "head_mask": torch.ones(2, 2, 3)}
    yield "cross_attn_head_mask_of_other_heads", LM, "base", {}, {**given, "cross_attn_head_mask": torch.ones(2, 2)}
    yield "past_of_two_tensors", LM, "base", {}, {
        **given, **{f"past_key_values.{i}.{j}": d.floats(2, 3, 4, 4) for i in range(2) for j in range(2)}}
    yield "tied_encoder_alone", ENCODER, "base", {"tie_encoder_decoder": True}, ids
    yield "tied_to_a_deeper_decoder", LM, "odd_sizes", {"tie_encoder_decoder": True}, given


GIVEN_CONFIGS = [
    {}, {"num_layers": 3}, {"num_layers": 3, "num_decoder_layers": 1}, {"feed_forward_proj": "gated-gelu"},
    {"feed_forward_proj": "gated-silu"}, {"feed_forward_proj": "gelu"}, {"feed_forward_proj": "gated-gelu", "dense_act_fn": "relu"},
    {"feed_forward_proj": "relu", "is_gated_act": True, "dense_act_fn": "gelu_new"}, {"hidden_size": 24, "num_hidden_layers": 2, "num_decoder_layers": 3},
    {"num_attention_heads": 5, "tie_word_embeddings": False},
]
REFUSED_CONFIGS = [{"feed_forward_proj": "relu-gelu"}, {"feed_forward_proj": "gated-gelu-new"}, {"feed_forward_proj": "a-b-c"}]


def facts(model, inputs):
    """What the peer says of a model itself."""
    describe = lambda pairs: {n: {"shape": list(t.shape), "dtype": str(t.dtype)[6:]} for n, t in pairs}
    flags = [(t, e) for t in (False, True) for e in (False, True)]
    groups = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        groups.setdefault(id(tensor), []).append(name)
    attributes = ("_no_split_modules", "_tied_weights_keys", "_keep_in_fp32_modules", "_keys_to_ignore_on_load_missing",
                  "_keys_to_ignore_on_load_unexpected", "_keys_to_ignore_on_save")
    return {
        "class": type(model).__name__,
        "num_parameters": {f"only_trainable={t},exclude_embeddings={e}":
                           model.num_parameters(only_trainable=t, exclude_embeddings=e) for t, e in flags},
        "memory_footprint": {f"return_buffers={b}": model.get_memory_footprint(return_buffers=b) for b in (True, False)},
        "estimate_tokens": model.estimate_tokens(inputs),
        "floating_point_ops": {f"exclude_embeddings={e}": model.floating_point_ops(inputs, exclude_embeddings=e)
                               for e in (True, False)},
        "base_model_prefix": model.base_model_prefix, "main_input_name": model.main_input_name,
        "can_generate": model.can_generate(), **{name: getattr(model, name, None) for name in attributes},
        "tied_parameters": sorted(sorted(names) for names in groups.values() if len(names) > 1),
        "state_dict": describe(model.state_dict().items()),
        "parameters": [name for name, _ in model.named_parameters()],
        "buffers": describe(model.named_buffers()),
        "modules": {name: type(module).__name__ for name, module in model.named_modules()},
    }


def make_models(out):
    for name, (kind, keys, dtype) in MODELS.items():
        model = golden.redraw(golden.CLASSES[kind](T5Config(**{**SIZES, **keys})), generator_for(name))
        model.to(dtype).save_pretrained(out / name, safe_serialization=True)
        (out / name / "generation_config.json").unlink(missing_ok=True)


def make_past(model, name, inputs, keys):
    """Runs the steps before, with the encoder's side of the last one, and returns the cache by name."""
    draw, past = Inputs("steps before " + name), {}
    for length in keys["past"]:
        batch = inputs.get("input_ids", inputs.get("encoder_outputs.0")).shape[0]
        step = {n: t for n, t in inputs.items() if n in ("input_ids", "attention_mask", "encoder_outputs.0")}
        if "past_source" in keys:
            step["input_ids"] = draw.ids(batch, keys["past_source"])
        out = golden.call(model, {**step, **past, "decoder_input_ids": draw.ids(batch, length)}, use_cache=True)
        past = {n: t for n, t in out.items() if n.startswith("past_key_values.")}
    return past


def make_case(out, name, kind, folder, inputs, keys):
    """Runs one case, writes its tensors, and returns its entry for cases.json and its share of rounding."""
    model, info = golden.load(kind, str(out / folder), keys.get("config"))
    if "past" in keys:
        inputs = {**inputs, **make_past(model, name, inputs, keys)}
    flags = {"use_cache": keys.get("use_cache", False), "output_attentions": keys.get("output_attentions", True),
             "output_hidden_states": keys.get("output_hidden_states", True)}
    want = golden.call(model, inputs, **flags)
    if name == folder or name in (folder + "_model", folder + "_encoder"):
        (out / folder / f"facts-{kind}.json").write_text(json.dumps(facts(model, inputs), indent=1) + "\n")
    tolerance = 1e-4 if folder == "gated" else 1e-5
    share = golden.rounding(model, inputs, want, tolerance, **flags)
    tensors = {**{f"in.{n}": t.contiguous() for n, t in inputs.items()}, **{f"out.{n}": t for n, t in want.items()}}
    io = f"io/{name}.safetensors"
    safetensors.torch.save_file(tensors, out / io, metadata={"format": "pt"})
    entry = {"name": name, "class": kind, "model": folder, "config": keys.get("config", {}), **flags, "io": io}
    return {**entry, **{key: sorted(info[key]) for key in ("missing_keys", "unexpected_keys") if info[key]}}, share


def make_refusals(out):
    refusals = []
    for name, kind, folder, config, inputs in refused_calls():
        try:
            golden.call(golden.load(kind, str(out / folder), config)[0], inputs)
        except Exception as error:  # Whatever it raises is what is recorded.
            raises = type(error).__name__
        else:
            raise SystemExit(f"{name}: the peer does not raise")
        io = f"io/refused_{name}.safetensors"
        safetensors.torch.save_file({f"in.{n}": t for n, t in inputs.items()}, out / io, metadata={"format": "pt"})
        refusals.append({"name": name, "class": kind, "model": folder, "config": config, "io": io, "raises": raises})
    return refusals


def make_buckets(out):
    """The bucket of every relative position, for several numbers of buckets and distances."""
    positions = torch.cat([torch.arange(-400, 401), torch.tensor([-100000, -4097, -1024, 1024, 4096, 100000])])
    tensors = {"in.positions": positions}
    for buckets, distance in ((4, 3), (5, 7), (7, 20), (8, 12), (16, 64), (32, 128), (32, 256), (64, 128), (320, 800)):
        for bidirectional in (True, False):
            found = T5Attention._relative_position_bucket(positions, bidirectional, buckets, distance)
            tensors[f"out.{buckets}.{distance}.{'both' if bidirectional else 'past'}"] = found.to(torch.int16)
    safetensors.torch.save_file(tensors, out / "buckets.safetensors", metadata={"format": "pt"})


def make_configs(out):
    """What the peer makes of a config: every attribute, derived ones included."""
    def attributes(given):
        found = T5Config(**given).to_dict()
        found.pop("transformers_version")
        return found

    for given in REFUSED_CONFIGS:
        try:
            T5Config(**given)
        except ValueError:
            continue
        raise SystemExit(f"{given}: the peer does not raise")
    document = {"configs": [{"given": given, "want": attributes(given)} for given in GIVEN_CONFIGS],
                "refused": REFUSED_CONFIGS}
    (out / "configs.json").write_text(json.dumps(document, indent=1) + "\n")


def make_all(out):
    (out / "io").mkdir(exist_ok=True)
    make_models(out)
    make_buckets(out)
    make_configs(out)
    entries, worst = [], (0.0, "")
    for case in cases():
        entry, share = make_case(out, *case)
        entries.append(entry)
        worst = max(worst, (share, case[0]))
        if share > 0.5:
            raise SystemExit(f"{case[0]}: rounding alone takes {share:.2f} of the tolerance; draw other inputs")
    document = {"versions": VERSIONS, "cases": entries, "refused": make_refusals(out)}
    (out / "cases.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(entries)} cases; rounding takes at most {worst[0]:.2f} of the tolerance ({worst[1]})")


def check():
    """Makes everything again elsewhere and compares the bytes."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
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
