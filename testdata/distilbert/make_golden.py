#!/usr/bin/env python3
"""Writes the golden data of the DistilBERT classes: what transformers 4.34.0 computes for every option they have.

    pip install --no-deps -r ../requirements.txt   (or benchmarks/peers/setup_venv.sh DEST)
    python make_golden.py            writes everything below this folder
    python make_golden.py --check    writes nothing; fails if the files differ from what the peer says now

README.md describes the files; ../golden_decoders.py does the work.
"""
import pathlib
import sys

import safetensors.torch
import torch
from transformers import DistilBertConfig
from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings

import golden
import golden_decoders
from golden_decoders import QUIETLY, full, ids, padded, with_labels

BASE, MASKED, CLASSIFY, CHOOSE, TOKENS, ANSWER = golden.CLASSES


class DistilBert(golden_decoders.Family):
    folder = pathlib.Path(__file__).resolve().parent
    config_class = DistilBertConfig
    sizes = dict(dim=16, n_heads=2, n_layers=2, hidden_dim=20, vocab_size=29, max_position_embeddings=12)
    models = {
        "masked": (MASKED, {}, torch.float32),
        "untied": (MASKED, dict(n_layers=1, tie_word_embeddings=False, activation="relu"), torch.float16),
        # Its positions are sines and cosines, in columns of an odd number.
        "sinusoidal": (BASE, dict(n_layers=1, dim=15, n_heads=3, sinusoidal_pos_embds=True), torch.float32),
        "classify": (CLASSIFY, dict(num_labels=3, n_layers=1), torch.bfloat16),
        "choose": (CHOOSE, dict(n_layers=1), torch.float16),
        "tokens": (TOKENS, dict(num_labels=5, n_layers=1), torch.float16),
        "answer": (ANSWER, dict(n_layers=1), torch.float16),
        "no_layers": (BASE, dict(n_layers=0), torch.float16),
    }

    def after_saving(self, out):
        """The constructor draws over the sines and cosines; a checkpoint that was made otherwise has them."""
        file = out / "sinusoidal" / "model.safetensors"
        tensors = safetensors.torch.load_file(file)
        name = "embeddings.position_embeddings.weight"
        tensors[name] = torch.empty(12, 15)
        create_sinusoidal_embeddings(12, 15, tensors[name])
        safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})

    def exactly(self):
        return golden.float64_by_default()

    def cases(self):
        case = self.case
        for quiet in (True, False):  # With every output, and without, where one kernel computes attention.
            suffix, quietly = ("_quiet", QUIETLY) if quiet else ("", {})
            yield case("masked" + suffix, full, "masked", **quietly)
            yield case("only_input_ids" + suffix, ids, "masked", **quietly)
            yield case("base_model" + suffix, full, "masked", BASE, **quietly)
            yield case("sinusoidal" + suffix, full, "sinusoidal", **quietly)
            yield case("mask_of_fractions" + suffix, lambda d: {**ids(d), "attention_mask": torch.tensor([[1, 0.5, 0, 1, 0.25, -1, 1.0]] * 3)},
                       "masked", **quietly)
            yield case("head_mask" + suffix, lambda d: {**full(d), "head_mask": d.uniform(2, 2)}, "masked", **quietly)
            yield case("head_mask_for_all_layers" + suffix, lambda d: {**full(d), "head_mask": torch.tensor([0.5, 0.0])}, "masked", **quietly)
            yield case("pruned" + suffix, full, "masked", prune_heads={"0": [1], "1": [0]}, **quietly)
        yield case("config_decides", full, "masked", flags_from_config=True, config={"output_attentions": True, "output_hidden_states": True})
        yield case("nothing_is_asked_for", full, "masked", flags_from_config=True)
        yield case("mask_hides_nothing", lambda d: {**ids(d), "attention_mask": padded(7, 7, 7, width=7)}, "masked")
        yield case("mask_hides_a_whole_row", lambda d: {**ids(d), "attention_mask": padded(7, 0, 1, width=7)}, "masked", **QUIETLY)
        yield case("mask_of_bools", lambda d: {**ids(d), "attention_mask": padded(5, -3, 7, width=7).bool()}, "masked")
        yield case("input_ids_int32", lambda d: {"input_ids": d.ids(3, 5).int(), "attention_mask": padded(5, 4, -3, width=5).int()}, "masked")
        yield case("one_token", lambda d: ids(d, 1, 1), "masked")
        yield case("as_many_as_there_are", lambda d: ids(d, 12, 2), "masked")
        yield case("inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "attention_mask": padded(6, -4, width=6)}, "masked")
        yield case("chunks", lambda d: ids(d, 6), "masked", config={"chunk_size_feed_forward": 2})
        yield case("activation", full, "masked", config={"activation": "gelu_new"})
        yield case("padding_is_none", full, "masked", config={"pad_token_id": None})
        yield case("standard_names", full, "masked", config={"num_hidden_layers": 1})
        yield case("labels", with_labels, "masked")
        yield case("untied", with_labels, "untied")
        yield case("torchscript", full, "masked", config={"torchscript": True})
        for name, config, want in (
                ("single", {}, lambda d: torch.tensor([2, 0, -100])),
                ("several", {}, lambda d: d.ids(3, 3, 0, 2).float()),
                ("regression", {"problem_type": "regression"}, lambda d: d.floats(3, 3))):
            yield case(f"classify_{name}", lambda d: {**full(d), "labels": want(d)}, "classify", config=config)
        yield case("classify_embeds", lambda d: {"inputs_embeds": d.floats(2, 5, 16)}, "classify", **QUIETLY)
        choices = lambda d: {"input_ids": d.ids(6, 5, 0).reshape(2, 3, 5), "attention_mask": padded(5, 4, 3, -4, 5, 2, width=5).reshape(2, 3, 5)}
        yield case("choose", choices, "choose")
        yield case("choose_labels", lambda d: {**choices(d), "labels": torch.tensor([2, 0])}, "choose", **QUIETLY)
        yield case("choose_embeds", lambda d: {"inputs_embeds": d.floats(2, 2, 5, 16), "labels": torch.tensor([1, -100])}, "choose")
        yield case("tokens", lambda d: with_labels(d, high=5), "tokens")
        yield case("answer", full, "answer")
        yield case("answer_labels", lambda d: {**full(d), "start_positions": torch.tensor([0, 3, 9]), "end_positions": torch.tensor([[2], [6], [1]])}, "answer")
        yield case("no_layers", full, "no_layers")
        yield case("pruned_classifier", full, "classify", prune_heads={"0": [0]})
        for model in ("masked", "untied", "tokens"):
            yield case(f"resized_{model}", lambda d: {"input_ids": d.ids(2, 6, high=20)}, model, resize_token_embeddings=21)

    def refused_calls(self):
        draw = self.draw("refused")
        some = {"input_ids": draw.ids(2, 6)}
        yield "ids_and_embeds", "masked", MASKED, {}, {**some, "inputs_embeds": draw.floats(2, 6, 16)}
        yield "neither_ids_nor_embeds", "masked", MASKED, {}, {"attention_mask": padded(6, 4, width=6)}
        yield "one_position_too_many", "masked", MASKED, {}, {"input_ids": draw.ids(2, 13)}
        yield "id_beyond_vocabulary", "masked", MASKED, {}, {"input_ids": torch.tensor([[2, 29]])}
        yield "negative_id", "masked", MASKED, {}, {"input_ids": torch.tensor([[2, -1]])}
        yield "mask_too_short", "masked", MASKED, {}, {**some, "attention_mask": padded(5, 4, width=5)}
        yield "chunks_do_not_divide", "masked", MASKED, {"chunk_size_feed_forward": 4}, some
        yield "token_type_ids", "masked", MASKED, {}, {**some, "token_type_ids": torch.zeros(2, 6).long()}
        yield "position_ids", "masked", BASE, {}, {**some, "position_ids": torch.arange(6)[None]}
        yield "labels_of_the_base_model", "masked", BASE, {}, {**some, "labels": draw.ids(2, 6)}
        yield "label_beyond_vocabulary", "masked", MASKED, {}, {**some, "labels": torch.full((2, 6), 29)}
        yield "classify_label_beyond", "classify", CLASSIFY, {}, {**some, "labels": torch.tensor([0, 3])}
        yield "choose_of_one_dimension", "choose", CHOOSE, {}, {"input_ids": draw.ids(1, 6)[0]}
        yield "choose_label_beyond", "choose", CHOOSE, {}, {"input_ids": draw.ids(6, 5).reshape(2, 3, 5), "labels": torch.tensor([0, 3])}
        yield "answer_of_three_labels", "answer", ANSWER, {"num_labels": 3}, some
        yield "heads_do_not_divide", "masked", MASKED, {"n_heads": 3}, some
        yield "unknown_activation", "masked", MASKED, {"activation": "swoosh"}, some
        yield "padding_beyond_vocabulary", "masked", MASKED, {"pad_token_id": 29}, some


if __name__ == "__main__":
    sys.exit(golden_decoders.main(DistilBert(), __doc__))
