#!/usr/bin/env python3
"""Writes the golden data of GPT-2: what transformers 4.34.0 computes for every option its three classes have.

    pip install --no-deps -r ../requirements.txt   (or benchmarks/peers/setup_venv.sh DEST)
    python make_golden.py            writes cases.json, defaults.json, io/ and the model folders
    python make_golden.py --check    writes nothing; fails if the files differ from what the peer says now

README.md describes the files. Same versions, same bytes: every draw is seeded by its name.
"""
import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import zlib

import safetensors.torch
import torch
import transformers
from transformers import GPT2Config

import golden

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = {"python": "3.10.13", "torch": "2.1.0", "transformers": "4.34.0", "safetensors": "0.4.0"}
SIZES = dict(n_embd=16, n_head=4, n_layer=2, vocab_size=40, n_positions=20, bos_token_id=1, eos_token_id=2)
BASE, LM, CLASSIFIER = golden.CLASSES

# Folders of weights: the class that saved them, and config keys beside SIZES. Every class loads base/: it holds a whole
# model and a `score` matrix, and GPT2LMHeadModel's head is its embeddings.
MODELS = {
    "base": (CLASSIFIER, dict(num_labels=3, pad_token_id=0)),
    "cross": (LM, dict(add_cross_attention=True)),
    # Nothing at its usual value, and a head of its own.
    "untied": (LM, dict(tie_word_embeddings=False, n_embd=21, n_head=3, n_layer=3, n_inner=10, vocab_size=31,
                        layer_norm_epsilon=1e-2, activation_function="gelu")),
    "one_label": (CLASSIFIER, dict(num_labels=1, n_layer=1, n_head=1, pad_token_id=39)),
}


def generator_for(name):
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


class Inputs:
    """Input tensors drawn from a generator that its case's name seeds."""

    def __init__(self, name, config):
        self.generator = generator_for("inputs of " + name)
        self.config = config

    def ids(self, batch=2, length=6, high=None, low=0):
        return torch.randint(low, high or self.config.vocab_size, (batch, length), generator=self.generator)

    def floats(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def heads(self, *shape):
        return torch.rand(*shape, generator=self.generator)


def padded(*lengths, width=6):
    """A mask with a row per entry: n ones and then zeros; for a negative n, zeros and then -n ones."""
    return torch.tensor([[1] * n + [0] * (width - n) if n >= 0 else [0] * (width + n) + [1] * -n for n in lengths])


def with_pads(ids, *lengths):
    """`ids` where all tokens but the first n of a row (or the last, for a negative n) are the padding token, 0."""
    return ids * padded(*lengths, width=ids.shape[1])


def base_cases():
    """(name, class, model folder, draw, keys of the case) of what GPT2Model can be asked."""
    def case(name, draw, folder="base", cls=BASE, **keys):
        return name, cls, folder, draw, keys

    ids = lambda d: {"input_ids": d.ids()}
    full = lambda d: {"input_ids": d.ids(), "attention_mask": padded(6, 4)}
    yield case("only_input_ids", ids)
    yield case("padding_right", lambda d: {"input_ids": d.ids(3), "attention_mask": padded(6, 4, 1)})
    # The first queries of a row see only masked keys.
    yield case("padding_left", lambda d: {"input_ids": d.ids(3), "attention_mask": padded(6, -4, -1)})
    yield case("padding_everywhere", lambda d: {"input_ids": d.ids(), "attention_mask": padded(6, 0)})
    yield case("mask_of_floats", lambda d: {"input_ids": d.ids(), "attention_mask": torch.tensor([[1, 1, .5, 1, 0, .25], [.5] * 6])})
    yield case("mask_of_bools", lambda d: {"input_ids": d.ids(), "attention_mask": padded(5, -3).bool()})
    yield case("mask_of_rank_four", lambda d: {"input_ids": d.ids(), "attention_mask": padded(5, -3)[:, None, None]})
    yield case("mask_of_one_column", lambda d: {"input_ids": d.ids(), "attention_mask": torch.tensor([[1], [0]])})
    yield case("one_token", lambda d: {"input_ids": d.ids(1, 1)})
    yield case("longest_sequence", lambda d: {"input_ids": d.ids(1, 20)}, output_attentions=False)
    yield case("input_ids_int32", lambda d: {"input_ids": d.ids().int(), "token_type_ids": d.ids().int(),
                                             "position_ids": d.ids(high=20).int()})
    yield case("position_ids", lambda d: {**full(d), "position_ids": d.ids(high=20)})
    yield case("position_ids_one_row", lambda d: {**full(d), "position_ids": torch.arange(11, 5, -1)[None]})
    yield case("position_ids_rank_one", lambda d: {**full(d), "position_ids": torch.arange(6)})
    yield case("token_type_ids", lambda d: {**full(d), "token_type_ids": d.ids()})
    yield case("token_type_ids_one_row", lambda d: {**full(d), "token_type_ids": d.ids(1)})
    yield case("inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "attention_mask": padded(6, -4)})
    yield case("inputs_embeds_and_token_types", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "token_type_ids": d.ids()})
    yield case("head_mask_1d", lambda d: {**full(d), "head_mask": torch.tensor([1.0, 0.0, 0.5, 1.0])})
    yield case("head_mask_2d", lambda d: {**full(d), "head_mask": d.heads(2, 4)})
    yield case("head_mask_5d", lambda d: {**full(d), "head_mask": d.heads(2, 2, 4, 6, 6)})
    yield case("head_mask_without_attentions", lambda d: {**full(d), "head_mask": d.heads(2, 4)}, output_attentions=False)
    for output in ("attentions", "hidden_states"):
        yield case(f"only_{output}", full, output_attentions=output == "attentions",
                   output_hidden_states=output == "hidden_states")
    yield case("nothing_asked_for", lambda d: {"input_ids": d.ids(3), "attention_mask": padded(6, -4, 2)},
               output_attentions=False, output_hidden_states=False)
    yield case("config_says_what_to_put_out", full, output_attentions=None, output_hidden_states=None, use_cache=None,
               config={"output_attentions": True, "output_hidden_states": True})
    yield case("config_says_no_cache", full, output_attentions=None, output_hidden_states=None, use_cache=None,
               config={"use_cache": False})
    for name, config in (("unscaled", {"scale_attn_weights": False}),
                         ("scaled_by_layer", {"scale_attn_by_inverse_layer_idx": True}),
                         ("upcast", {"reorder_and_upcast_attn": True}),
                         ("upcast_scaled_by_layer", {"reorder_and_upcast_attn": True, "scale_attn_by_inverse_layer_idx": True}),
                         ("upcast_unscaled", {"reorder_and_upcast_attn": True, "scale_attn_weights": False})):
        for fused in (False, True):
            yield case(name + "_fused" * fused, lambda d: {"input_ids": d.ids(), "attention_mask": padded(-5, 4)},
                       config=config, output_attentions=not fused)
    for act in ("relu", "silu", "gelu_pytorch_tanh", "tanh"):
        yield case(f"activation_{act}", ids, config={"activation_function": act}, output_attentions=False)
    yield case("untied", lambda d: {"input_ids": d.ids(), "attention_mask": padded(-5, 4)}, "untied")


def cache_cases():
    """As base_cases(), with caches: `past` is the number of cached tokens."""
    def case(name, draw, past=None, folder="base", cls=BASE, **keys):
        keys.setdefault("use_cache", True)
        return name, cls, folder, draw, {**keys, **({"past": past} if past else {})}

    yield case("cache", lambda d: {"input_ids": d.ids(), "attention_mask": padded(6, -4)})
    yield case("past", lambda d: {"input_ids": d.ids(2, 1)}, 5)
    yield case("past_fused", lambda d: {"input_ids": d.ids(2, 1)}, 5, output_attentions=False)
    yield case("past_masked", lambda d: {"input_ids": d.ids(2, 1), "attention_mask": padded(6, -4)}, 5)
    yield case("past_masked_fused", lambda d: {"input_ids": d.ids(2, 1), "attention_mask": padded(6, -4)}, 5, output_attentions=False)
    yield case("past_three_tokens", lambda d: {"input_ids": d.ids(2, 3), "attention_mask": padded(-5, 6, width=7),
                                               "head_mask": d.heads(2, 4)}, 4)
    yield case("past_three_tokens_fused", lambda d: {"input_ids": d.ids(2, 3), "attention_mask": padded(-5, 6, width=7)}, 4,
               output_attentions=False)
    yield case("past_all_padding", lambda d: {"input_ids": d.ids(2, 3), "attention_mask": padded(-2, 7, width=7)}, 4)
    yield case("past_no_cache_out", lambda d: {"input_ids": d.ids(2, 3)}, 4, use_cache=False)
    yield case("past_position_ids", lambda d: {"input_ids": d.ids(2, 2), "position_ids": torch.tensor([[5, 6], [1, 2]]),
                                               "token_type_ids": d.ids(2, 2)}, 5)
    yield case("past_inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 2, 16)}, 5)
    yield case("past_to_the_end", lambda d: {"input_ids": d.ids(2, 3)}, 17, output_attentions=False)
    yield case("past_upcast", lambda d: {"input_ids": d.ids(2, 2), "attention_mask": padded(-5, 6)}, 4,
               config={"reorder_and_upcast_attn": True})
    yield case("past_language_model", lambda d: {"input_ids": d.ids(2, 2)}, 4, cls=LM)
    yield case("past_classifier", lambda d: {"input_ids": d.ids(2, 2)}, 4, cls=CLASSIFIER)


def cross_cases():
    def case(name, draw, cls=BASE, **keys):
        return "cross_" + name, cls, "cross", draw, keys

    ids = lambda d: {"input_ids": d.ids(), "attention_mask": padded(6, -4)}
    states = lambda d: {**ids(d), "encoder_hidden_states": d.floats(2, 5, 16)}
    masked = lambda d: {**states(d), "encoder_attention_mask": padded(5, 3, width=5)}
    yield case("attention", states)
    yield case("attention_fused", states, output_attentions=False)
    yield case("masked", masked)
    yield case("masked_fused", masked, output_attentions=False)
    yield case("masked_away", lambda d: {**states(d), "encoder_attention_mask": padded(5, 0, width=5)})
    yield case("mask_3d", lambda d: {**states(d), "encoder_attention_mask": torch.ones(2, 6, 5).tril(1)})
    yield case("one_row", lambda d: {**ids(d), "encoder_hidden_states": d.floats(1, 5, 16),
                                     "encoder_attention_mask": padded(3, width=5)})
    yield case("head_mask", lambda d: {**masked(d), "head_mask": d.heads(2, 4)})
    yield case("inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "encoder_hidden_states": d.floats(2, 5, 16)})
    yield case("scaled_by_layer", masked, config={"scale_attn_by_inverse_layer_idx": True})
    yield case("upcast", masked, config={"reorder_and_upcast_attn": True})
    yield case("without_encoder", ids, output_attentions=False, use_cache=True)
    yield case("encoder_mask_alone", lambda d: {**ids(d), "encoder_attention_mask": padded(5, 3, width=5)}, output_attentions=False)
    yield case("past", lambda d: {**masked(d), "input_ids": d.ids(2, 2)}, past=4, use_cache=True)
    yield case("language_model", lambda d: {**masked(d), "labels": d.ids()}, cls=LM, use_cache=True)


def head_cases():
    def case(name, cls, draw, folder="base", **keys):
        return name, cls, folder, draw, keys

    ids = lambda d: {"input_ids": d.ids(3, low=1), "attention_mask": padded(6, 4, -3)}
    yield case("language_model", LM, ids)
    yield case("language_model_fused", LM, ids, output_attentions=False, output_hidden_states=False)
    yield case("language_model_loss", LM, lambda d: {**ids(d), "labels": d.ids(3)})
    yield case("language_model_loss_ignores", LM, lambda d: {**ids(d), "labels": d.ids(3).where(padded(6, 2, -3) == 1, torch.tensor(-100))})
    yield case("language_model_one_token_loss", LM, lambda d: {"input_ids": d.ids(2, 1), "labels": d.ids(2, 1)})
    yield case("language_model_nothing_to_learn", LM, lambda d: {"input_ids": d.ids(), "labels": torch.full((2, 6), -100)})
    yield case("language_model_inputs_embeds", LM, lambda d: {"inputs_embeds": d.floats(2, 6, 16), "labels": d.ids()})
    yield case("language_model_untied", LM, lambda d: {"input_ids": d.ids(), "labels": d.ids()}, "untied")
    yield case("classifier", CLASSIFIER, ids)
    few = dict(output_attentions=False, output_hidden_states=False)
    pads = lambda d: {"input_ids": with_pads(d.ids(3, low=1), 6, 4, -3), "attention_mask": padded(6, 4, -3)}
    # Row 1 is read at its last token before padding; row 2, which starts with padding, at its last.
    yield case("classifier_padding", CLASSIFIER, pads, **few)
    yield case("classifier_padding_between", CLASSIFIER, lambda d: {"input_ids": torch.tensor([[5, 0, 7, 0, 3, 9]])}, **few)
    yield case("classifier_all_padding", CLASSIFIER, lambda d: {"input_ids": torch.zeros(1, 6, dtype=torch.int64)}, **few)
    yield case("classifier_no_pad_token", CLASSIFIER, lambda d: {"input_ids": d.ids(1)}, config={"pad_token_id": None}, **few)
    yield case("classifier_odd_pad_token", CLASSIFIER, pads, config={"pad_token_id": -1}, **few)
    yield case("classifier_inputs_embeds", CLASSIFIER, lambda d: {"inputs_embeds": d.floats(2, 6, 16)}, **few)
    yield case("classifier_loss", CLASSIFIER, lambda d: {**pads(d), "labels": torch.tensor([2, 0, 1])}, **few)
    yield case("classifier_loss_ignores", CLASSIFIER, lambda d: {**pads(d), "labels": torch.tensor([2, -100, 1])}, **few)
    yield case("classifier_loss_of_a_column", CLASSIFIER, lambda d: {**pads(d), "labels": torch.tensor([[2], [0], [1]])}, **few)
    yield case("classifier_loss_several", CLASSIFIER, lambda d: {**pads(d), "labels": d.heads(3, 3).round()}, **few)
    for problem, labels in (("regression", lambda d: d.floats(3, 3)), ("single_label_classification", lambda d: d.ids(1, 3, 3)[0]),
                            ("multi_label_classification", lambda d: d.heads(3, 3))):
        yield case(f"classifier_{problem}", CLASSIFIER, lambda d, labels=labels: {**pads(d), "labels": labels(d)},
                   config={"problem_type": problem}, **few)
    yield case("one_label", CLASSIFIER, lambda d: {"input_ids": d.ids(3)}, "one_label")
    yield case("one_label_loss", CLASSIFIER, lambda d: {"input_ids": d.ids(3), "labels": d.floats(3)}, "one_label", **few)
    yield case("one_label_loss_of_a_column", CLASSIFIER, lambda d: {"input_ids": d.ids(3), "labels": d.floats(3, 1)}, "one_label", **few)


def refused_calls():
    """(name, class, model folder, config, inputs) of what the peer raises for."""
    draw = Inputs("refused", GPT2Config(**SIZES))
    ids = {"input_ids": draw.ids()}
    past = {f"past_key_values.{layer}.{part}": draw.floats(2, 4, 17, 4) for layer in range(2) for part in range(2)}
    yield "ids_and_embeds", BASE, "base", {}, {**ids, "inputs_embeds": draw.floats(2, 6, 16)}
    yield "neither_ids_nor_embeds", BASE, "base", {}, {"attention_mask": padded(6, 4)}
    yield "too_long", BASE, "base", {}, {"input_ids": draw.ids(1, 21)}
    yield "too_long_with_positions", BASE, "base", {}, {"input_ids": draw.ids(1, 21), "position_ids": torch.zeros(1, 21, dtype=torch.int64)}
    yield "too_long_with_past", BASE, "base", {}, {"input_ids": draw.ids(2, 4), **past}
    yield "past_of_another_batch", BASE, "base", {}, {"input_ids": draw.ids(1, 2), **past}
    yield "id_beyond_vocabulary", BASE, "base", {}, {"input_ids": torch.tensor([[1, 40]])}
    yield "negative_id", BASE, "base", {}, {"input_ids": torch.tensor([[1, -1]])}
    yield "type_beyond_vocabulary", BASE, "base", {}, {"input_ids": torch.tensor([[1, 4]]), "token_type_ids": torch.tensor([[1, 40]])}
    yield "position_beyond_table", BASE, "base", {}, {"input_ids": torch.tensor([[1, 4]]), "position_ids": torch.tensor([[1, 20]])}
    yield "short_mask", BASE, "base", {}, {**ids, "attention_mask": torch.ones(2, 5)}
    yield "head_mask_3d", BASE, "base", {}, {**ids, "head_mask": torch.ones(2, 2, 4)}
    yield "encoder_states_without_cross_attention", BASE, "base", {}, {**ids, "encoder_hidden_states": draw.floats(2, 5, 16)}
    yield "encoder_states_to_a_classifier", CLASSIFIER, "cross", {}, {**ids, "encoder_hidden_states": draw.floats(2, 5, 16)}
    yield "attentions_without_encoder_states", BASE, "cross", {}, ids
    yield "encoder_mask_of_another_length", BASE, "cross", {}, {
        **ids, "encoder_hidden_states": draw.floats(2, 5, 16), "encoder_attention_mask": torch.ones(2, 4)}
    yield "labels_to_a_base_model", BASE, "base", {}, {**ids, "labels": draw.ids()}
    yield "short_labels", LM, "base", {}, {**ids, "labels": draw.ids(2, 5)}
    yield "label_beyond_vocabulary", LM, "base", {}, {**ids, "labels": torch.full((2, 6), 40)}
    yield "label_beyond_labels", CLASSIFIER, "base", {}, {**ids, "labels": torch.tensor([1, 3])}
    yield "rows_without_pad_token", CLASSIFIER, "base", {"pad_token_id": None}, ids
    yield "unknown_activation", BASE, "base", {"activation_function": "swoosh"}, ids
    yield "heads_do_not_divide", BASE, "base", {"n_head": 5}, ids


def facts(model, inputs):
    """What the peer says of a model itself."""
    describe = lambda pairs: {n: {"shape": list(t.shape), "dtype": str(t.dtype)[6:]} for n, t in pairs}
    flags = [(t, e) for t in (False, True) for e in (False, True)]
    groups = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), []).append(name)
    return {
        "class": type(model).__name__,
        **{key: getattr(model, key) for key in ("base_model_prefix", "main_input_name", "_no_split_modules",
                                                "_tied_weights_keys")},
        "can_generate": model.can_generate(),
        "tied_parameters": [group for group in groups.values() if len(group) > 1],
        "num_parameters": {f"only_trainable={t},exclude_embeddings={e}":
                           model.num_parameters(only_trainable=t, exclude_embeddings=e) for t, e in flags},
        "memory_footprint": {f"return_buffers={b}": model.get_memory_footprint(return_buffers=b) for b in (True, False)},
        "estimate_tokens": model.estimate_tokens(inputs),
        "floating_point_ops": {f"exclude_embeddings={e}": model.floating_point_ops(inputs, exclude_embeddings=e)
                               for e in (True, False)},
        "state_dict": describe(model.state_dict().items()),
        "parameters": [name for name, _ in model.named_parameters(remove_duplicate=False)],
        "buffers": describe(model.named_buffers()),
        "modules": {name: type(module).__name__ for name, module in model.named_modules()},
    }


def save(tensors, path):
    safetensors.torch.save_file({n: t.contiguous() for n, t in tensors.items()}, path, metadata={"format": "pt"})


def make_models(out):
    for name, (cls, keys) in MODELS.items():
        model = golden.redraw(golden.class_named(cls)(GPT2Config(**{**SIZES, **keys})), generator_for(name))
        model.save_pretrained(out / name, safe_serialization=True)
        (out / name / "generation_config.json").unlink(missing_ok=True)
        for cls in golden.CLASSES:
            model, _ = golden.load(cls, str(out / name))
            text = json.dumps(facts(model, {"input_ids": torch.ones(2, 5)}))
            (out / name / f"facts_{cls}.json").write_text(text + "\n")


def make_past(model, name, inputs, cached):
    """Runs a first step of `cached` tokens, with the encoder states of the second, and returns its cache by name."""
    first = {"input_ids": Inputs("first step of " + name, model.config).ids(2, cached)}
    first.update({key: inputs[key] for key in ("encoder_hidden_states", "encoder_attention_mask") if key in inputs})
    out = golden.call(model, first, use_cache=True)
    return {key: tensor for key, tensor in out.items() if key.startswith("past_key_values.")}


def make_case(out, name, cls, folder, draw, keys):
    """Runs one case, writes its tensors, and returns its entry for cases.json and its share of rounding."""
    model, info = golden.load(cls, str(out / folder), keys.get("config"))
    inputs = draw(Inputs(name, model.config))
    if "past" in keys:
        inputs = {**inputs, **make_past(model, name, inputs, keys["past"])}
    flags = {"use_cache": keys.get("use_cache", False), "output_attentions": keys.get("output_attentions", True),
             "output_hidden_states": keys.get("output_hidden_states", False)}
    want = golden.call(model, inputs, **flags)
    share = golden.rounding(model, inputs, want, **flags)
    save({**{f"in.{n}": t for n, t in inputs.items()}, **{f"out.{n}": t for n, t in want.items()}}, out / f"io/{name}.safetensors")
    entry = {"name": name, "class": cls, "model": folder, "config": keys.get("config", {}), **flags}
    return {**entry, **{key: sorted(info[key]) for key in ("missing_keys", "unexpected_keys") if info[key]}}, share


def make_refusals(out):
    refusals = []
    for name, cls, folder, config, inputs in refused_calls():
        try:
            golden.call(golden.load(cls, str(out / folder), config)[0], inputs, output_attentions=True)
        except Exception as error:  # Whatever it raises is what is recorded.
            raises = type(error).__name__
        else:
            raise SystemExit(f"{name}: the peer does not raise")
        save({f"in.{n}": t for n, t in inputs.items()}, out / f"io/refused_{name}.safetensors")
        refusals.append({"name": name, "class": cls, "model": folder, "config": config, "raises": raises})
    return refusals


def make_all(out):
    shutil.rmtree(out / "io", ignore_errors=True)
    (out / "io").mkdir()
    make_models(out)
    defaults = GPT2Config().to_dict()
    defaults.pop("transformers_version")
    (out / "defaults.json").write_text(json.dumps(defaults, indent=1) + "\n")
    cases, worst = [], (0.0, "")
    for case in [*base_cases(), *cache_cases(), *cross_cases(), *head_cases()]:
        entry, share = make_case(out, *case)
        cases.append(entry)
        worst = max(worst, (share, entry["name"]))
        if share > 0.5:
            raise SystemExit(f"{entry['name']}: rounding alone takes {share:.2f} of the tolerance; draw other inputs")
    assert len({entry["name"] for entry in cases}) == len(cases)
    document = {"versions": VERSIONS, "cases": cases, "refused": make_refusals(out)}
    (out / "cases.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(cases)} cases; rounding takes at most {worst[0]:.2f} of the tolerance 1e-5 * (1 + |want|) ({worst[1]})")


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
