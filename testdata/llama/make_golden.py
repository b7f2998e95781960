#!/usr/bin/env python3
"""Writes the golden data of the LLaMA classes: what transformers 4.34.0 computes for every option they have.

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
from transformers import LlamaConfig
from transformers.models.llama import modeling_llama

import golden

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = {"python": "3.10.13", "torch": "2.1.0", "transformers": "4.34.0", "safetensors": "0.4.0"}
CAUSAL, BASE, CLASSIFY = "LlamaForCausalLM", "LlamaModel", "LlamaForSequenceClassification"
SIZES = dict(hidden_size=32, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=2, intermediate_size=50,
             vocab_size=61, max_position_embeddings=16, pad_token_id=0)

# Folders with weights of their own: class, config keys beside SIZES, and the dtype on disk.
MODELS = {
    "grouped": (CAUSAL, {}, torch.float32),
    # One key head, biases, heads of six, one matrix for input and output, no padding token.
    "one_key_head": (CAUSAL, dict(hidden_size=18, num_attention_heads=3, num_key_value_heads=1, attention_bias=True,
                                  tie_word_embeddings=True, num_hidden_layers=1, pad_token_id=None), torch.float32),
    # From before grouped-query attention: no num_key_value_heads in the config, rotary_emb.inv_freq in the weights.
    "old": (BASE, dict(num_key_value_heads=4, num_hidden_layers=1, intermediate_size=24), torch.float16),
    "classify": (CLASSIFY, dict(num_labels=3, num_hidden_layers=1), torch.float32),
    "bfloat16": (CAUSAL, dict(num_hidden_layers=1), torch.bfloat16),
    "no_layers": (BASE, dict(num_hidden_layers=0), torch.float32),
}
QUIETLY = dict(output_attentions=False, output_hidden_states=False)
LINEAR = {"rope_scaling": {"type": "linear", "factor": 2.5}}
DYNAMIC = {"rope_scaling": {"type": "dynamic", "factor": 2.0}}


def generator_for(name):
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


class Inputs:
    """Input tensors drawn from a generator that its case's name seeds."""

    def __init__(self, name):
        self.generator = generator_for("the inputs of " + name)

    def ids(self, batch, length, low=1, high=61):
        return torch.randint(low, high, (batch, length), generator=self.generator)

    def floats(self, *shape):
        return torch.randn(*shape, generator=self.generator)


def padded(*lengths, width):
    """A mask with a row per entry: n ones and then zeros; for a negative n, zeros and then -n ones."""
    rows = [[1] * n + [0] * (width - n) if n >= 0 else [0] * (width + n) + [1] * -n for n in lengths]
    return torch.tensor(rows)


def ids(draw, length=7, batch=3):
    return {"input_ids": draw.ids(batch, length)}


def full(draw, length=7):
    """Row 0 whole, row 1 padded on the right, row 2 on the left."""
    return {**ids(draw, length), "attention_mask": padded(length, length - 2, 2 - length, width=length)}


def with_labels(draw, length=7):
    labels = draw.ids(3, length)
    labels[1, 3:] = -100
    return {**full(draw, length), "labels": labels}


def cases():
    """(name, model folder, class, inputs, keys of the case); `past`, tokens cached by a first call; `steps`, cached
    one by one; `before`, tokens of a call made before that leaves nothing but what the instance remembers."""
    def case(name, make, model="grouped", class_name=None, **keys):
        return name, model, class_name or MODELS[model][0], make(Inputs(name)), keys

    for quiet in (True, False):  # With every output, and without, where a peer may take a faster way.
        suffix = "_quiet" if quiet else ""
        quietly = QUIETLY if quiet else {}
        yield case("only_input_ids" + suffix, ids, **quietly)
        yield case("masked" + suffix, full, **quietly)
        yield case("past_one_token" + suffix, lambda d: ids(d, 1), past=6, use_cache=True, **quietly)
        yield case("past_one_token_masked" + suffix, lambda d: {**ids(d, 1), "attention_mask": padded(7, 5, -5, width=7)},
                   past=6, use_cache=True, **quietly)
        yield case("past_three" + suffix, lambda d: ids(d, 3), past=4, **quietly)
        yield case("past_three_masked" + suffix, lambda d: {**ids(d, 3), "attention_mask": padded(7, 6, -5, width=7)},
                   past=4, use_cache=True, **quietly)
        yield case("one_key_head" + suffix, full, "one_key_head", **quietly)
        yield case("one_key_head_past" + suffix, lambda d: ids(d, 1), "one_key_head", past=5, use_cache=True, **quietly)
    quietly = QUIETLY
    yield case("base_model", full, class_name=BASE, use_cache=True)
    yield case("config_decides", full, flags_from_config=True,
               config={"use_cache": False, "output_attentions": True, "output_hidden_states": True})
    yield case("config_decides_to_cache", ids, flags_from_config=True)
    yield case("mask_hides_nothing", lambda d: {**ids(d), "attention_mask": padded(7, 7, 7, width=7)})
    yield case("mask_hides_a_whole_row", lambda d: {**ids(d), "attention_mask": padded(7, 0, 1, width=7)}, **quietly)
    yield case("mask_of_floats", lambda d: {**ids(d), "attention_mask": torch.tensor([[1, 0.5, 1, 1, 0.25, 1, 1.0]] * 3)}, **quietly)
    yield case("mask_of_bools", lambda d: {**ids(d), "attention_mask": padded(5, -3, 7, width=7).bool()})
    yield case("one_token", lambda d: ids(d, 1, 1))
    yield case("input_ids_int32", lambda d: {"input_ids": d.ids(3, 5).int(), "attention_mask": padded(5, 4, -3, width=5).int()})
    yield case("position_ids", lambda d: {**full(d), "position_ids": d.ids(3, 7, 0, 7)})
    yield case("position_ids_one_row", lambda d: {**ids(d), "position_ids": torch.arange(6, -1, -1)[None]})
    yield case("position_ids_flat", lambda d: {**ids(d), "position_ids": torch.arange(6, -1, -1)})
    yield case("position_ids_past", lambda d: {**ids(d, 2), "attention_mask": padded(6, 6, -3, width=6),
                                               "position_ids": torch.tensor([[4, 5], [4, 5], [1, 2]])}, past=4, use_cache=True)
    yield case("inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 32), "attention_mask": padded(6, -4, width=6)})
    yield case("labels", with_labels)
    yield case("labels_quiet", with_labels, **quietly)
    yield case("several_steps", lambda d: ids(d, 1), steps=5, use_cache=True)
    yield case("beyond_the_tables", lambda d: ids(d, 23, 2), class_name=BASE, **quietly)
    yield case("beyond_the_tables_past", lambda d: ids(d, 2, 2), class_name=BASE, past=21, use_cache=True, **quietly)
    for kind, config in (("linear", LINEAR), ("dynamic", DYNAMIC)):
        yield case(f"{kind}_short", full, config=config)
        yield case(f"{kind}_long", lambda d: ids(d, 23, 2), class_name=BASE, config=config, **quietly)
        yield case(f"{kind}_past", lambda d: {**ids(d, 2), "position_ids": torch.tensor([[20, 19]])}, class_name=BASE,
                   past=19, config=config, use_cache=True, **quietly)
        yield case(f"{kind}_steps_over_the_end", lambda d: ids(d, 1), class_name=BASE, steps=18, config=config, use_cache=True, **quietly)
        yield case(f"{kind}_short_after_long", full, before=29, config=config)
    yield case("dynamic_long_after_longer", lambda d: ids(d, 20, 2), class_name=BASE, before=29, config=DYNAMIC, **quietly)
    yield case("rope_theta", full, config={"rope_theta": 500})
    yield case("rms_norm_eps", full, config={"rms_norm_eps": 0.1})
    yield case("hidden_act", full, config={"hidden_act": "gelu_new"})
    yield case("pretraining_tp", full, config={"pretraining_tp": 2})
    yield case("pretraining_tp_cuts", full, config={"pretraining_tp": 4})
    yield case("pretraining_tp_drops_biases", full, "one_key_head", config={"pretraining_tp": 2})
    yield case("untied", full, "one_key_head", config={"tie_word_embeddings": False}, class_name=BASE)
    yield case("old", full, "old")
    yield case("bfloat16", full, "bfloat16")
    yield case("no_layers", full, "no_layers", use_cache=True)
    tokens = lambda d: {"input_ids": torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0], [0, 0, 4, 5, 6], [0, 1, 2, 0, 3]])}
    for name, config, labels in (
            ("single", {}, torch.tensor([2, 0, 1, 1])), ("single_asked", {"problem_type": "single_label_classification"}, torch.tensor([2, 0, 1, 1])),
            ("several", {}, torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]])),
            ("regression", {"problem_type": "regression"}, torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 1], [0.5, 2, 0]]))):
        yield case(f"classify_{name}", lambda d: {**tokens(d), "labels": labels}, "classify", config=config)
    yield case("classify_masked", lambda d: {**tokens(d), "attention_mask": padded(5, 3, -3, 4, width=5)}, "classify", use_cache=True)
    yield case("classify_embeds", lambda d: {"inputs_embeds": d.floats(2, 5, 32)}, "classify", **quietly)
    yield case("classify_one_row_without_padding", lambda d: ids(d, 4, 1), "classify", config={"pad_token_id": None}, **quietly)
    yield case("classify_padding_from_the_end", lambda d: ids(d, 4, 2), "classify", config={"pad_token_id": -1}, **quietly)


def refused_calls():
    draw = Inputs("refused")
    some = {"input_ids": draw.ids(2, 6)}
    past = {f"past_key_values.{i}.{n}": draw.floats(2, 2, 3, 8) for i in range(2) for n in range(2)}
    yield "ids_and_embeds", "grouped", CAUSAL, {}, {**some, "inputs_embeds": draw.floats(2, 6, 32)}
    yield "neither_ids_nor_embeds", "grouped", CAUSAL, {}, {"attention_mask": padded(6, 4, width=6)}
    yield "mask_too_short", "grouped", CAUSAL, {}, {**some, "attention_mask": padded(5, 4, width=5)}
    yield "mask_without_the_cache", "grouped", CAUSAL, {}, {**some, **past, "attention_mask": padded(6, 4, width=6)}
    yield "mask_3d", "grouped", CAUSAL, {}, {**some, "attention_mask": torch.ones(2, 6, 6)}
    yield "position_beyond_the_tokens", "grouped", CAUSAL, {}, {**some, "position_ids": torch.tensor([[0, 1, 2, 3, 4, 6]])}
    yield "id_beyond_vocabulary", "grouped", CAUSAL, {}, {"input_ids": torch.tensor([[1, 61]])}
    yield "negative_id", "grouped", CAUSAL, {}, {"input_ids": torch.tensor([[1, -1]])}
    yield "cache_of_all_heads", "grouped", CAUSAL, {}, {**some, **{n: draw.floats(2, 4, 3, 8) for n in past}}
    yield "labels_of_another_length", "grouped", CAUSAL, {}, {**some, "labels": draw.ids(2, 5)}
    yield "label_beyond_vocabulary", "grouped", CAUSAL, {}, {**some, "labels": draw.ids(2, 6) + 61}
    yield "rows_without_padding_token", "classify", CLASSIFY, {"pad_token_id": None}, some
    yield "heads_do_not_divide", "grouped", CAUSAL, {"num_attention_heads": 5}, some
    yield "key_heads_do_not_divide", "grouped", CAUSAL, {"num_key_value_heads": 3}, some
    yield "unknown_activation", "grouped", CAUSAL, {"hidden_act": "swoosh"}, some
    yield "padding_beyond_vocabulary", "grouped", CAUSAL, {"pad_token_id": 61}, some
    yield "tp_does_not_divide", "grouped", CAUSAL, {"pretraining_tp": 3}, some


# What no config may say of rope_scaling. (As keyword arguments of from_pretrained the peer lets some of them through.)
REFUSED_SCALINGS = [[1], {}, {"type": "linear"}, {"type": "linear", "factor": 2.0, "x": 1}, {"type": "linear", "factor": 2},
                    {"type": "linear", "factor": 1.0}, {"type": "linear", "factor": 0.5}, {"type": "linear", "factor": "2.0"},
                    {"type": "linear", "factor": None}, {"type": "yarn", "factor": 2.0}, {"type": None, "factor": 2.0},
                    {"type": "dynamic", "factor": True}, {"factor": 2.0, "x": 1}, False, 0, 2.0, "linear"]


def facts(folder, class_name, config, inputs):
    """What the peer says of a model itself, in the form of models/LlamaForCausalLM/facts.json; see README.md."""
    model, _ = golden.load(folder, class_name, config)
    half, _ = golden.load(folder, class_name, config, torch_dtype=torch.float16)
    describe = lambda pairs: {n: {"shape": list(t.shape), "dtype": str(t.dtype)[6:]} for n, t in pairs}
    flags = [(t, e) for t in (False, True) for e in (False, True)]
    names = ("base_model_prefix", "main_input_name", "_no_split_modules", "_tied_weights_keys", "_keep_in_fp32_modules",
             "_keys_to_ignore_on_load_missing", "_keys_to_ignore_on_load_unexpected", "_keys_to_ignore_on_save")
    slots = {}
    for name, tensor in model.named_parameters(remove_duplicate=False):
        slots.setdefault(tensor.data_ptr(), []).append(name)
    return {
        "class": class_name, "config": config,
        "num_parameters": {f"only_trainable={t},exclude_embeddings={e}":
                           model.num_parameters(only_trainable=t, exclude_embeddings=e) for t, e in flags},
        "memory_footprint": {f"return_buffers={b}": model.get_memory_footprint(return_buffers=b) for b in (True, False)},
        "memory_footprint_float16": {f"return_buffers={b}": half.get_memory_footprint(return_buffers=b) for b in (True, False)},
        "buffers_float16": describe(half.named_buffers()),
        "estimate_tokens": model.estimate_tokens(inputs),
        "floating_point_ops": {f"exclude_embeddings={e}": model.floating_point_ops(inputs, exclude_embeddings=e)
                               for e in (True, False)},
        "can_generate": model.can_generate(), **{name: getattr(model, name) for name in names},
        "tied_parameters": [group for group in slots.values() if len(group) > 1],
        "state_dict": describe(model.state_dict().items()),
        "parameters": [name for name, _ in model.named_parameters()],
        "buffers": describe(model.named_buffers()),
        "modules": {name: type(module).__name__ for name, module in model.named_modules()},
    }


def make_models(out):
    for name, (class_name, keys, dtype) in MODELS.items():
        config = LlamaConfig(**{**SIZES, **keys})
        model = golden.redraw(getattr(transformers, class_name)(config), generator_for(name)).to(dtype)
        model.save_pretrained(out / name, safe_serialization=True)
        (out / name / "generation_config.json").unlink(missing_ok=True)
        if name == "old":
            stored = json.loads((out / name / "config.json").read_text())
            for key in ("num_key_value_heads", "attention_bias", "rope_theta", "rope_scaling", "pretraining_tp"):
                stored.pop(key)
            (out / name / "config.json").write_text(json.dumps(stored, indent=2) + "\n")
            weights = dict(model.state_dict())
            for layer in range(config.num_hidden_layers):
                weights[f"layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.full((4,), 3.0)
            safetensors.torch.save_file(weights, out / name / "model.safetensors", metadata={"format": "pt"})


def make_facts(out):
    document = []
    draw = Inputs("facts")
    for name, (class_name, _, _) in MODELS.items():
        for config in ({}, LINEAR, DYNAMIC) if name == "grouped" else ({},):
            entry = facts(str(out / name), class_name, config, {"input_ids": draw.ids(3, 5)})
            document.append({"model": name, **entry})
    (out / "facts.json").write_text(json.dumps(document) + "\n")


def make_past(model, draw, keys):
    """The cache, by name, after a first call of keys["past"] tokens, or after keys["steps"] calls of one token."""
    pick = lambda out: {name: tensor for name, tensor in out.items() if name.startswith("past_key_values.")}
    batch = keys["batch"]
    if "past" in keys:
        return pick(golden.call(model, {"input_ids": draw.ids(batch, keys["past"])}, use_cache=True))
    past = {}
    for _ in range(keys["steps"]):
        past = pick(golden.call(model, {"input_ids": draw.ids(batch, 1), **past}, use_cache=True))
    return past


def flags_of(keys):
    if keys.get("flags_from_config"):
        return {}
    return {"use_cache": keys.get("use_cache", False), "output_attentions": keys.get("output_attentions", True),
            "output_hidden_states": keys.get("output_hidden_states", True)}


def make_case(out, name, folder, class_name, inputs, keys):
    """Runs one case, writes its tensors, and returns its entry for cases.json and its share of rounding."""
    config = keys.get("config", {})
    before = {"input_ids": Inputs("before " + name).ids(1, keys["before"])} if "before" in keys else {}
    model, info = golden.load(str(out / folder), class_name, config)
    if "past" in keys or "steps" in keys:
        keys = {**keys, "batch": next(iter(inputs.values())).shape[0]}
        inputs = {**inputs, **make_past(model, Inputs("first step of " + name), keys)}
        # A new instance runs the case: it has seen nothing but what its own call shows.
        model, info = golden.load(str(out / folder), class_name, config)
    if before:
        golden.call(model, before)
    flags = flags_of(keys)
    want = golden.call(model, inputs, **flags)
    share = golden.rounding(str(out / folder), class_name, config, before, inputs, want, **flags)
    tensors = {**{f"in.{n}": t.contiguous() for n, t in inputs.items()}, **{f"out.{n}": t for n, t in want.items()},
               **{f"before.{n}": t for n, t in before.items()}}
    io = f"io/{name}.safetensors"
    safetensors.torch.save_file(tensors, out / io, metadata={"format": "pt"})
    entry = {"name": name, "model": folder, "class": class_name, "config": config, "flags": flags, "before": bool(before), "io": io}
    return {**entry, **{key: sorted(info[key]) for key in ("missing_keys", "unexpected_keys") if info[key]}}, share


def make_refusals(out):
    refusals = []
    for name, folder, class_name, config, inputs in refused_calls():
        try:
            golden.call(golden.load(str(out / folder), class_name, config)[0], inputs)
        except Exception as error:  # Whatever it raises is what is recorded.
            raises = type(error).__name__
        else:
            raise SystemExit(f"{name}: the peer does not raise")
        io = f"io/refused_{name}.safetensors"
        safetensors.torch.save_file({f"in.{n}": t for n, t in inputs.items()}, out / io, metadata={"format": "pt"})
        refusals.append({"name": name, "model": folder, "class": class_name, "config": config, "io": io, "raises": raises})
    return refusals


def check_refused_scalings():
    for scaling in REFUSED_SCALINGS:
        try:
            LlamaConfig(rope_scaling=scaling)
        except ValueError:
            continue
        raise SystemExit(f"rope_scaling={scaling}: the peer does not raise")
    return REFUSED_SCALINGS


def make_rotary(out):
    """Tables of the three kinds at sizes of real models, and queries turned by them."""
    kinds = {"none": modeling_llama.LlamaRotaryEmbedding, "linear": modeling_llama.LlamaLinearScalingRotaryEmbedding,
             "dynamic": modeling_llama.LlamaDynamicNTKScalingRotaryEmbedding}
    tensors, entries = {}, []
    for kind, dim, base, size, factor, lengths in (
            ("none", 128, 10000.0, 2048, 1.0, [2048]), ("none", 128, 1000000, 4096, 1.0, [4096]), ("none", 80, 10000, 64, 1.0, [2100]),
            ("linear", 128, 10000.0, 2048, 4.0, [8192]), ("linear", 64, 10000.0, 512, 2.5, [100]),
            ("dynamic", 128, 10000.0, 2048, 2.0, [2048]), ("dynamic", 128, 10000.0, 2048, 2.0, [4096]),
            ("dynamic", 128, 10000.0, 2048, 8.0, [9000, 100]), ("dynamic", 64, 10000.0, 512, 2.0, [513, 700, 600])):
        name = f"{len(entries)}"
        scaling = {"scaling_factor": factor} if kind != "none" else {}
        module = kinds[kind](dim, max_position_embeddings=size, base=base, **scaling)
        for length in lengths:
            cos, sin = module(torch.zeros(1), seq_len=length)
        generator = generator_for("rotary " + name)
        positions = torch.cat([torch.tensor([0, 1, lengths[-1] - 1]), torch.randint(0, lengths[-1], (5,), generator=generator)])[None]
        query = torch.randn(1, 1, 8, dim, generator=generator)
        turned, _ = modeling_llama.apply_rotary_pos_emb(query, query, cos, sin, positions)
        tensors.update({f"{name}.positions": positions, f"{name}.cos": cos[0, 0][positions][0].clone(), f"{name}.sin": sin[0, 0][positions][0].clone(),
                        f"{name}.inv_freq": module.inv_freq, f"{name}.query": query, f"{name}.turned": turned})
        entries.append({"name": name, "scaling": kind, "dim": dim, "base": float(base), "max_positions": size, "factor": factor, "lengths": lengths})
    safetensors.torch.save_file(tensors, out / "rotary.safetensors", metadata={"format": "pt"})
    return entries


def make_bfloat16(out):
    """What the peer computes in bfloat16, and in float32 with the same weights: how far the former strays."""
    inputs = full(Inputs("bfloat16 beside float32"))
    half, _ = golden.load(str(out / "grouped"), CAUSAL, torch_dtype=torch.bfloat16)
    exact, _ = golden.load(str(out / "grouped"), CAUSAL)
    exact.load_state_dict({name: tensor.float() for name, tensor in half.state_dict().items()})
    tensors = {**{f"in.{name}": tensor for name, tensor in inputs.items()}, "out.logits": golden.call(half, inputs)["logits"],
               "exact.logits": golden.call(exact, inputs)["logits"]}
    safetensors.torch.save_file(tensors, out / "beside_float32.safetensors", metadata={"format": "pt"})


def make_all(out):
    (out / "io").mkdir(exist_ok=True)
    make_models(out)
    make_facts(out)
    make_bfloat16(out)
    entries, worst = [], (0.0, "")
    for name, folder, class_name, inputs, keys in cases():
        entry, share = make_case(out, name, folder, class_name, inputs, keys)
        entries.append(entry)
        worst = max(worst, (share, name))
        if share > 0.5:
            raise SystemExit(f"{name}: rounding alone takes {share:.2f} of the tolerance; draw other inputs")
    attributes = LlamaConfig().to_dict()
    attributes.pop("transformers_version")
    document = {"versions": VERSIONS, "defaults": attributes, "rotary": make_rotary(out), "cases": entries, "refused": make_refusals(out),
                "refused_rope_scalings": check_refused_scalings()}
    (out / "cases.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(entries)} cases; rounding takes at most {worst[0]:.2f} of the tolerance 1e-5 * (1 + |want|) ({worst[1]})")


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
