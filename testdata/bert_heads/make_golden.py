#!/usr/bin/env python3
"""Writes the golden data of BERT's classes with a head: what transformers 4.34.0 computes, labels and losses included.

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
from transformers import BertConfig

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bert"))
import golden  # noqa: E402  (of testdata/bert)

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = {"python": "3.10.13", "torch": "2.1.0", "transformers": "4.34.0", "safetensors": "0.4.0"}
SIZES = dict(hidden_size=16, num_attention_heads=2, num_hidden_layers=1, intermediate_size=20, vocab_size=30,
             max_position_embeddings=12, type_vocab_size=2)
VOCABULARY = SIZES["vocab_size"]

# Folder: class, and config keys beside SIZES.
MODELS = {
    "pretraining": ("BertForPreTraining", {}),
    "pretraining_untied": ("BertForPreTraining", dict(tie_word_embeddings=False)),
    "lm": ("BertLMHeadModel", dict(is_decoder=True)),
    "lm_cross": ("BertLMHeadModel", dict(is_decoder=True, add_cross_attention=True)),
    "lm_untied": ("BertLMHeadModel", dict(is_decoder=True, tie_word_embeddings=False)),
    "masked": ("BertForMaskedLM", dict(hidden_act="relu", layer_norm_eps=1e-3)),
    "masked_cross": ("BertForMaskedLM", dict(is_decoder=True, add_cross_attention=True)),
    "masked_untied": ("BertForMaskedLM", dict(tie_word_embeddings=False)),
    "sentence_relation": ("BertForNextSentencePrediction", {}),
    "sequence": ("BertForSequenceClassification", dict(num_labels=3)),
    "sequence_one": ("BertForSequenceClassification", dict(num_labels=1)),
    "choice": ("BertForMultipleChoice", {}),
    "token": ("BertForTokenClassification", dict(num_labels=5, classifier_dropout=0.3)),
    "answer": ("BertForQuestionAnswering", {}),
}
LABELS = ("labels", "next_sentence_label", "start_positions", "end_positions")


def generator_for(name):
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


class Inputs:
    """Input tensors drawn from a generator that its case's name seeds."""

    def __init__(self, name):
        self.generator = generator_for("inputs of " + name)

    def ids(self, *shape, high=VOCABULARY):
        return torch.randint(0, high, shape, generator=self.generator)

    def floats(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def labels(self, *shape, high=VOCABULARY):
        """Ids, about a third of which are ignored."""
        kept = torch.rand(shape, generator=self.generator) < 0.67
        return torch.where(kept, self.ids(*shape, high=high), -100)

    def full(self, batch=3, length=6):
        """All that an encoder takes, but positions and a head mask."""
        lengths = torch.tensor([length, length - 2, length - 1][:batch])
        mask = (torch.arange(length) < lengths[:, None]).long()
        mask[-1] = mask[-1].flip(0)
        return {"input_ids": self.ids(batch, length), "attention_mask": mask,
                "token_type_ids": self.ids(batch, length, high=2)}


def pretraining_cases(case):
    for model in ("pretraining", "pretraining_untied"):
        yield case(f"{model}", model, lambda d: d.full())
        yield case(f"{model}_labels", model, lambda d: {**d.full(), "labels": d.labels(3, 6),
                                                        "next_sentence_label": d.ids(3, high=2)})
    yield case("pretraining_one_kind_of_labels", "pretraining", lambda d: {**d.full(), "labels": d.labels(3, 6)})
    yield case("pretraining_other_kind_of_labels", "pretraining", lambda d: {**d.full(), "next_sentence_label": d.ids(3, 1, high=2)})
    yield case("pretraining_everything", "pretraining", lambda d: {
        "inputs_embeds": d.floats(2, 6, 16), "attention_mask": torch.ones(2, 6, 6).tril(2), "position_ids": d.ids(1, 6, high=12),
        "head_mask": torch.tensor([0.5, 1.0]), "labels": d.labels(2, 6), "next_sentence_label": torch.tensor([[1], [-100]])})
    yield case("pretraining_decoder", "pretraining", lambda d: d.full(), config={"is_decoder": True}, use_cache=None)


def language_cases(case):
    encoder = lambda d: {"encoder_hidden_states": d.floats(2, 5, 16), "encoder_attention_mask": torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])}
    for model in ("lm", "lm_untied"):
        yield case(f"{model}", model, lambda d: d.full(), use_cache=True)
        yield case(f"{model}_labels", model, lambda d: {**d.full(), "labels": d.labels(3, 6)}, use_cache=True)
    yield case("lm_one_token", "lm", lambda d: {"input_ids": d.ids(2, 1)})
    yield case("lm_past", "lm", lambda d: {"input_ids": d.ids(2, 1)}, past=4, use_cache=True)
    yield case("lm_past_labels", "lm", lambda d: {"input_ids": d.ids(2, 3), "labels": d.labels(2, 3)}, past=4, use_cache=True)
    yield case("lm_head_mask", "lm", lambda d: {**d.full(), "head_mask": torch.tensor([[0.25, 1.0]]), "labels": d.labels(3, 6)},
               output_attentions=False, output_hidden_states=False)
    yield case("lm_encoder", "lm", lambda d: {**d.full(), "labels": d.labels(3, 6)}, config={"is_decoder": False}, use_cache=True)
    yield case("lm_cross", "lm_cross", lambda d: {**d.full(2), **encoder(d), "labels": d.labels(2, 6)})
    yield case("lm_cross_cache", "lm_cross", lambda d: {**d.full(2), **encoder(d)}, use_cache=True)
    yield case("lm_cross_past", "lm_cross", lambda d: {"input_ids": d.ids(2, 1), **encoder(d)}, past=4, use_cache=True)
    for model in ("masked", "masked_untied"):
        yield case(f"{model}", model, lambda d: d.full())
        yield case(f"{model}_labels", model, lambda d: {**d.full(), "labels": d.labels(3, 6)})
    yield case("masked_no_attentions", "masked", lambda d: {**d.full(), "labels": d.labels(3, 6)}, output_attentions=False,
               output_hidden_states=False)
    yield case("masked_hides_a_whole_row", "masked", lambda d: {**d.full(2), "attention_mask": torch.tensor([[1] * 6, [0] * 6])},
               output_attentions=False)
    yield case("masked_embeds", "masked", lambda d: {"inputs_embeds": d.floats(2, 5, 16), "head_mask": torch.tensor([[0.0, 1.0]]),
                                                     "labels": d.labels(2, 5)})
    yield case("masked_decoder", "masked", lambda d: d.full(), config={"is_decoder": True})
    yield case("masked_cross", "masked_cross", lambda d: {**d.full(2), **encoder(d), "labels": d.labels(2, 6)})
    yield case("masked_cross_no_encoder_mask", "masked_cross", lambda d: {**d.full(2), "encoder_hidden_states": d.floats(2, 5, 16)})
    yield case("masked_torchscript", "masked", lambda d: d.full(), config={"torchscript": True})


def sequence_cases(case):
    yield case("sentence_relation", "sentence_relation", lambda d: d.full())
    yield case("sentence_relation_labels", "sentence_relation", lambda d: {**d.full(), "labels": torch.tensor([1, 0, -100])})
    yield case("sentence_relation_old_name", "sentence_relation", lambda d: {**d.full(), "next_sentence_label": d.ids(3, 1, high=2)})
    labels = {
        "": None,
        "_single": (lambda d: d.ids(3, high=3), {}),
        "_single_column": (lambda d: d.ids(3, 1, high=3), {}),
        "_single_ignored": (lambda d: torch.tensor([2, -100, 0]), {}),
        "_multi": (lambda d: d.ids(3, 3, high=2).float(), {}),
        "_multi_of_fractions": (lambda d: torch.rand(3, 3, generator=d.generator), {}),
        "_regression": (lambda d: d.floats(3, 3), {"problem_type": "regression"}),
        "_regression_of_ids": (lambda d: d.ids(3, 3, high=4), {"problem_type": "regression"}),
        "_single_said": (lambda d: d.ids(3, high=3), {"problem_type": "single_label_classification"}),
        "_multi_said": (lambda d: d.ids(3, 3, high=2).float(), {"problem_type": "multi_label_classification"}),
    }
    for suffix, how in labels.items():
        draw, config = how or (None, {})
        yield case(f"sequence{suffix}", "sequence",
                   lambda d, draw=draw: {**d.full(), **({"labels": draw(d)} if draw else {})}, config=config)
    yield case("sequence_one_regression", "sequence_one", lambda d: {**d.full(), "labels": d.floats(3)})
    yield case("sequence_one_regression_column", "sequence_one", lambda d: {**d.full(), "labels": d.floats(3, 1)})
    yield case("sequence_one_regression_of_ids", "sequence_one", lambda d: {**d.full(), "labels": d.ids(3, high=9)})
    yield case("sequence_one_row", "sequence_one", lambda d: {"input_ids": d.ids(1, 4), "labels": d.floats(1)})
    yield case("sequence_one_single", "sequence_one", lambda d: {**d.full(), "labels": torch.tensor([0, -100, 0])},
               config={"problem_type": "single_label_classification"})
    yield case("sequence_decoder", "sequence", lambda d: {**d.full(), "labels": d.ids(3, high=3)}, config={"is_decoder": True})
    yield case("sequence_embeds", "sequence", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "position_ids": d.ids(2, 6, high=12),
                                                         "head_mask": torch.tensor([1.0, 0.5]), "labels": d.ids(2, high=3)})
    choices = lambda d: {"input_ids": d.ids(2, 4, 5), "attention_mask": (torch.rand(2, 4, 5, generator=d.generator) < 0.8).long(),
                         "token_type_ids": d.ids(2, 4, 5, high=2)}
    yield case("choice", "choice", choices)
    yield case("choice_labels", "choice", lambda d: {**choices(d), "labels": d.ids(2, high=4)})
    yield case("choice_ignored", "choice", lambda d: {**choices(d), "labels": torch.tensor([-100, 3])})
    yield case("choice_only_input_ids", "choice", lambda d: {"input_ids": d.ids(3, 2, 5)})
    yield case("choice_position_ids", "choice", lambda d: {**choices(d), "position_ids": d.ids(2, 4, 5, high=12)})
    yield case("choice_position_ids_one_row", "choice", lambda d: {**choices(d), "position_ids": d.ids(1, 5, high=12)})
    yield case("choice_embeds", "choice", lambda d: {"inputs_embeds": d.floats(2, 3, 5, 16), "labels": d.ids(2, high=3)})


def token_cases(case):
    yield case("token", "token", lambda d: d.full())
    yield case("token_labels", "token", lambda d: {**d.full(), "labels": d.labels(3, 6, high=5)})
    yield case("token_no_attentions", "token", lambda d: {**d.full(), "labels": d.labels(3, 6, high=5)}, output_attentions=False,
               output_hidden_states=False)
    yield case("token_decoder", "token", lambda d: d.full(), config={"is_decoder": True})
    yield case("answer", "answer", lambda d: d.full())
    yield case("answer_positions", "answer", lambda d: {**d.full(), "start_positions": d.ids(3, high=6), "end_positions": d.ids(3, high=6)})
    yield case("answer_positions_columns", "answer", lambda d: {**d.full(), "start_positions": d.ids(3, 1, high=6),
                                                                "end_positions": d.ids(3, 1, high=6)})
    yield case("answer_positions_outside", "answer", lambda d: {**d.full(), "start_positions": torch.tensor([0, 6, 99]),
                                                                "end_positions": torch.tensor([-4, 5, 6])})
    yield case("answer_one_position", "answer", lambda d: {**d.full(), "start_positions": d.ids(3, high=6)})
    yield case("answer_no_attentions", "answer", lambda d: {**d.full(), "start_positions": d.ids(3, high=6),
                                                            "end_positions": d.ids(3, high=6)}, output_attentions=False,
               output_hidden_states=False)


def all_cases():
    """(name, model folder, inputs, keys of the case)."""
    def case(name, model, make, **keys):
        return name, model, make(Inputs(name)), keys

    for cases in (pretraining_cases, language_cases, sequence_cases, token_cases):
        yield from cases(case)


def refused_calls():
    """(name, model folder, config, inputs) of what the peer raises for."""
    draw = Inputs("refused")
    ids = {"input_ids": draw.ids(2, 6)}
    states = {"encoder_hidden_states": draw.floats(2, 5, 16)}
    yield "label_beyond_classes", "sequence", {}, {**ids, "labels": torch.tensor([0, 3])}
    yield "negative_label", "token", {}, {**ids, "labels": torch.full((2, 6), -1)}
    yield "labels_of_another_length", "token", {}, {**ids, "labels": draw.ids(2, 5, high=5)}
    yield "labels_of_another_batch", "sequence", {}, {**ids, "labels": draw.ids(3, high=3)}
    yield "multi_labels_of_another_shape", "sequence", {}, {**ids, "labels": draw.floats(2)}
    yield "multi_labels_flat", "sequence", {}, {**ids, "labels": draw.floats(6)}
    yield "regression_labels_flat", "sequence", {"problem_type": "regression"}, {**ids, "labels": draw.floats(6)}
    yield "multi_labels_of_ids", "sequence", {"problem_type": "multi_label_classification"}, {**ids, "labels": draw.ids(2, 3, high=2)}
    yield "single_labels_of_floats", "sequence", {"problem_type": "single_label_classification"}, {**ids, "labels": draw.floats(2)}
    yield "shifted_labels_of_another_length", "lm", {}, {**ids, "labels": draw.ids(2, 5)}
    yield "masked_label_beyond_vocabulary", "masked", {}, {**ids, "labels": torch.full((2, 6), 30)}
    yield "masked_past", "masked_cross", {}, {**ids, "past_key_values.0.0": draw.floats(2, 2, 4, 8)}
    yield "token_encoder_states", "token", {"is_decoder": True}, {**ids, **states}
    yield "token_next_sentence_label", "token", {}, {**ids, "next_sentence_label": draw.ids(2, high=2)}
    yield "answer_three_labels", "answer", {"num_labels": 3}, ids
    yield "answer_positions_of_floats", "answer", {}, {**ids, "start_positions": draw.floats(2), "end_positions": draw.floats(2)}
    yield "answer_positions_of_another_batch", "answer", {}, {**ids, "start_positions": draw.ids(3, high=6), "end_positions": draw.ids(3, high=6)}
    yield "choice_labels_of_another_batch", "choice", {}, {"input_ids": draw.ids(2, 4, 5), "labels": draw.ids(8, high=4)}
    yield "choice_label_beyond_choices", "choice", {}, {"input_ids": draw.ids(2, 4, 5), "labels": torch.tensor([0, 4])}
    yield "choice_of_one_dimension", "choice", {}, {"input_ids": draw.ids(5)}
    yield "pretraining_sentence_label_of_three", "pretraining", {}, {**ids, "labels": draw.ids(2, 6), "next_sentence_label": torch.tensor([0, 2])}


def tied_groups(model):
    groups = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def facts(model, inputs):
    """What the peer says of a model itself."""
    describe = lambda pairs: {n: {"shape": list(t.shape), "dtype": str(t.dtype)[6:]} for n, t in pairs}
    flags = [(t, e) for t in (False, True) for e in (False, True)]
    attributes = ("base_model_prefix", "main_input_name", "_no_split_modules", "_tied_weights_keys", "_keep_in_fp32_modules",
                  "_keys_to_ignore_on_load_missing", "_keys_to_ignore_on_load_unexpected", "_keys_to_ignore_on_save")
    return {
        "class": type(model).__name__,
        "num_parameters": {f"only_trainable={t},exclude_embeddings={e}":
                           model.num_parameters(only_trainable=t, exclude_embeddings=e) for t, e in flags},
        "memory_footprint": {f"return_buffers={b}": model.get_memory_footprint(return_buffers=b) for b in (True, False)},
        "estimate_tokens": model.estimate_tokens(inputs),
        "floating_point_ops": {f"exclude_embeddings={e}": model.floating_point_ops(inputs, exclude_embeddings=e)
                               for e in (True, False)},
        "can_generate": model.can_generate(),
        **{name: getattr(model, name) for name in attributes},
        "tied_parameters": tied_groups(model),
        "state_dict": describe(model.state_dict().items()),
        "parameters": [name for name, _ in model.named_parameters()],
        "buffers": describe(model.named_buffers()),
        "modules": {name: type(module).__name__ for name, module in model.named_modules()},
    }


def load(out, folder, config=None):
    model_class = getattr(transformers, MODELS[folder][0])
    return model_class.from_pretrained(str(out / folder), **(config or {})).eval()


def make_models(out):
    for folder, (class_name, keys) in MODELS.items():
        config = BertConfig(**{**SIZES, **keys})
        model = golden.redraw(getattr(transformers, class_name)(config), generator_for(folder))
        model.save_pretrained(out / folder, safe_serialization=True)
        (out / folder / "generation_config.json").unlink(missing_ok=True)
        draw = Inputs("facts")
        inputs = {"input_ids": draw.ids(2, 4, 5)} if folder == "choice" else draw.full()
        (out / folder / "facts.json").write_text(json.dumps(facts(load(out, folder), inputs), indent=1) + "\n")


def call(model, tensors, use_cache=False, **flags):
    """As golden.call(). A call leaves what it found out about its labels in the config: that is forgotten."""
    model.config.problem_type = model.asked_problem_type
    takes_it = type(model).__name__ == "BertLMHeadModel"
    return golden.call(model, tensors, use_cache=use_cache if takes_it else None, **flags)


def rounding(model, tensors, want, **flags):
    """As golden.rounding()."""
    exact = call(model.double(), tensors, **flags)
    model.float()
    share = 0.0
    for name, tensor in want.items():
        error = (tensor.double() - exact[name]).abs() / (1e-5 * (1 + exact[name].abs()))
        share = max(share, error.max().item() if error.numel() else 0.0)
    return share


def prepared(model):
    model.asked_problem_type = model.config.problem_type
    return model


def save_io(path, inputs, want):
    tensors = {**{f"in.{n}": t.contiguous() for n, t in inputs.items()}, **{f"out.{n}": t for n, t in want.items()}}
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


def make_case(out, name, folder, inputs, keys):
    """Runs one case, writes its tensors, and returns its entry for cases.json and its share of rounding."""
    model = prepared(load(out, folder, keys.get("config")))
    if "past" in keys:
        first = {"input_ids": Inputs("first step of " + name).ids(2, keys["past"]),
                 **{key: inputs[key] for key in ("encoder_hidden_states", "encoder_attention_mask") if key in inputs}}
        cache = call(model, first, use_cache=True)
        inputs = {**inputs, **{key: tensor for key, tensor in cache.items() if key.startswith("past_key_values.")}}
    flags = {"use_cache": bool(keys.get("use_cache", False)), "output_attentions": keys.get("output_attentions", True),
             "output_hidden_states": keys.get("output_hidden_states", True)}
    want = call(model, inputs, **flags)
    share = rounding(model, inputs, want, **flags)
    io = f"io/{name}.safetensors"
    save_io(out / io, inputs, want)
    return {"name": name, "model": folder, "class": MODELS[folder][0], "config": keys.get("config", {}), **flags, "io": io}, share


def make_surgery(out, cases):
    """Cases whose model is changed after loading: pruned heads, and other vocabulary sizes."""
    for name, folder, arguments in (("prune_heads", "sequence", {"0": [1]}), ("prune_heads", "masked", {"0": [0]}),
                                    ("resize_token_embeddings", "masked", 21), ("resize_token_embeddings", "pretraining", 25),
                                    ("resize_token_embeddings", "lm_untied", 22), ("resize_token_embeddings", "token", 20)):
        model = prepared(load(out, folder))
        if name == "prune_heads":
            model.prune_heads({int(layer): heads for layer, heads in arguments.items()})
        else:
            model.resize_token_embeddings(arguments)
        case_name = f"{folder}_{name}"
        draw = Inputs(case_name)
        inputs = {"input_ids": draw.ids(2, 6, high=20), "attention_mask": torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0]])}
        io = f"io/{case_name}.safetensors"
        save_io(out / io, inputs, call(model, inputs))
        cases.append({"name": case_name, "model": folder, "class": MODELS[folder][0], "config": {}, "use_cache": False,
                      "output_attentions": True, "output_hidden_states": True, "io": io, name: arguments,
                      "num_parameters": model.num_parameters()})


def make_refusals(out):
    refusals = []
    for name, folder, config, inputs in refused_calls():
        try:
            call(prepared(load(out, folder, config)), inputs)
        except Exception as error:  # Whatever it raises is what is recorded.
            raises = type(error).__name__
        else:
            raise SystemExit(f"{name}: the peer does not raise")
        io = f"io/refused_{name}.safetensors"
        save_io(out / io, inputs, {})
        refusals.append({"name": name, "model": folder, "class": MODELS[folder][0], "config": config, "io": io, "raises": raises})
    return refusals


def make_all(out):
    (out / "io").mkdir(exist_ok=True)
    make_models(out)
    cases, worst = [], (0.0, "")
    for name, folder, inputs, keys in all_cases():
        entry, share = make_case(out, name, folder, inputs, keys)
        cases.append(entry)
        worst = max(worst, (share, name))
        if share > 0.5:
            raise SystemExit(f"{name}: rounding alone takes {share:.2f} of the tolerance; draw other inputs")
    make_surgery(out, cases)
    document = {"versions": VERSIONS, "models": list(MODELS), "cases": cases, "refused": make_refusals(out)}
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
