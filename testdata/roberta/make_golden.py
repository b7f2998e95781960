#!/usr/bin/env python3
"""Writes the golden data of the RoBERTa classes: what transformers 4.34.0 computes for every option they have.

    pip install --no-deps -r ../requirements.txt   (or benchmarks/peers/setup_venv.sh DEST)
    python make_golden.py            writes everything below this folder
    python make_golden.py --check    writes nothing; fails if the files differ from what the peer says now

README.md describes the files; ../golden_decoders.py does the work.
"""
import pathlib
import sys

import torch
from transformers import RobertaConfig

import golden
import golden_decoders
from golden_decoders import QUIETLY, padded

BASE, CAUSAL, MASKED, CLASSIFY, CHOOSE, TOKENS, ANSWER = golden.CLASSES
PADDING = 1


def text(draw, *lengths, width=7):
    """Ids with a row per entry: n tokens and then padding; for a negative n, padding and then -n tokens. And the mask."""
    mask = padded(*lengths, width=width)
    ids = draw.ids(len(lengths), width, low=2)
    return {"input_ids": torch.where(mask == 1, ids, PADDING), "attention_mask": mask}


def full(draw, width=7):
    return {**text(draw, width, width - 2, 2 - width, width=width), "token_type_ids": draw.ids(3, width, 0, 2)}


def states(draw, batch=3):
    return {"encoder_hidden_states": draw.floats(batch, 5, 16), "encoder_attention_mask": padded(*[5, 3, 4][:batch], width=5)}


def labels(draw, batch=3, width=7, high=29):
    found = draw.ids(batch, width, 0, high)
    found[-1, 3:] = -100
    return {"labels": found}


class Roberta(golden_decoders.Family):
    folder = pathlib.Path(__file__).resolve().parent
    config_class = RobertaConfig
    sizes = dict(hidden_size=16, num_attention_heads=2, num_hidden_layers=2, intermediate_size=20, vocab_size=29,
                 max_position_embeddings=14, type_vocab_size=2, layer_norm_eps=1e-5)
    models = {
        "masked": (MASKED, {}, torch.float32),
        "masked_untied": (MASKED, dict(tie_word_embeddings=False, num_hidden_layers=1), torch.float16),
        "decoder": (CAUSAL, dict(is_decoder=True, add_cross_attention=True, num_hidden_layers=1, hidden_act="relu"), torch.float32),
        "untied": (CAUSAL, dict(is_decoder=True, tie_word_embeddings=False, num_hidden_layers=1, position_embedding_type="relative_key"),
                   torch.float32),
        "classify": (CLASSIFY, dict(num_labels=3, num_hidden_layers=1, classifier_dropout=0.3), torch.bfloat16),
        "choose": (CHOOSE, dict(num_hidden_layers=1, pad_token_id=0), torch.float16),
        "tokens": (TOKENS, dict(num_labels=5, num_hidden_layers=1, position_embedding_type="relative_key_query"), torch.float16),
        "answer": (ANSWER, dict(num_hidden_layers=1), torch.float16),
        "base": (BASE, dict(num_hidden_layers=1), torch.float32),
        "base_decoder": (BASE, dict(is_decoder=True, add_cross_attention=True, num_hidden_layers=1), torch.float32),
        "no_layers": (BASE, dict(num_hidden_layers=0), torch.float16),
    }

    def cases(self):
        case = self.case
        for quiet in (True, False):  # With every output, and without, where one kernel computes attention.
            suffix, quietly = ("_quiet", QUIETLY) if quiet else ("", {})
            yield case("masked" + suffix, full, "masked", **quietly)
            yield case("base" + suffix, full, "base", **quietly)
            yield case("decoder" + suffix, lambda d: {**full(d), **states(d)}, "decoder", use_cache=True, **quietly)
        for past in (False, True):
            keys = dict(past=3, use_cache=True) if past else {}
            suffix = "_past" if past else ""
            # Padding among the new tokens has position pad_token_id, whatever is cached.
            yield case("positions" + suffix, lambda d: {"input_ids": torch.tensor([[5, 1, 6, 1, 1, 7], [1, 1, 8, 9, 2, 1], [1, 1, 1, 1, 1, 1]])},
                       "base_decoder", **keys)
            yield case("positions_of_embeds" + suffix, lambda d: {"inputs_embeds": d.floats(2, 5, 16)}, "base_decoder", **keys)
            yield case("position_ids" + suffix, lambda d: {**text(d, 6, 4, width=6), "attention_mask": torch.ones(2, 9 if past else 6),
                                                           "position_ids": d.ids(2, 6, 0, 14)}, "base_decoder", **keys)
            yield case("untied" + suffix, lambda d: {"input_ids": d.ids(2, 1 if past else 6)}, "untied", **keys)
            yield case("cross" + suffix, lambda d: {"input_ids": d.ids(2, 2), **states(d, 2)}, "decoder", **keys)
        yield case("as_many_as_there_are", lambda d: {"input_ids": d.ids(2, 12, low=2)}, "masked")
        yield case("more_of_which_some_are_padding", lambda d: text(d, 12, -11, width=14), "masked")
        yield case("many_steps", lambda d: {"input_ids": d.ids(2, 1)}, "decoder", steps=5, use_cache=True)
        yield case("no_cross_attention_asked_for", full, "decoder")
        yield case("position_ids_of_one_row", lambda d: {**text(d, 7, 4), "position_ids": torch.arange(6, -1, -1)[None]}, "masked")
        yield case("padding_is_another_token", full, "masked", config={"pad_token_id": 3})
        yield case("padding_is_the_first_token", full, "masked", config={"pad_token_id": 0})
        yield case("padding_is_no_token", lambda d: {"input_ids": d.ids(2, 6)}, "masked", config={"pad_token_id": -1})
        yield case("no_padding_but_position_ids", lambda d: {**full(d), "position_ids": d.ids(1, 7, 0, 14)}, "masked", config={"pad_token_id": None})
        yield case("mask_hides_a_whole_row", lambda d: {"input_ids": d.ids(2, 6), "attention_mask": padded(6, 0, width=6)}, "masked", **QUIETLY)
        yield case("mask_3d", lambda d: {"input_ids": d.ids(2, 6), "attention_mask": torch.ones(2, 6, 6).tril(2)}, "masked")
        yield case("head_mask", lambda d: {**full(d), "head_mask": d.uniform(2, 2)}, "masked", **QUIETLY)
        yield case("input_ids_int32", lambda d: {"input_ids": d.ids(3, 5).int(), "attention_mask": padded(5, 4, -3, width=5).int()}, "masked")
        yield case("config_decides", full, "decoder", flags_from_config=True,
                   config={"use_cache": False, "output_attentions": True, "output_hidden_states": True})
        yield case("config_decides_to_cache", full, "decoder", flags_from_config=True)
        yield case("chunks", lambda d: {"input_ids": d.ids(2, 6)}, "masked", config={"chunk_size_feed_forward": 2})
        yield case("hidden_act_is_not_the_heads", full, "masked", config={"hidden_act": "silu"})
        yield case("relative_key_query", full, "tokens", **QUIETLY)
        yield case("masked_labels", lambda d: {**full(d), **labels(d)}, "masked")
        yield case("masked_decoder", lambda d: {**full(d), **states(d), **labels(d)}, "decoder", MASKED)
        yield case("masked_torchscript", full, "masked", config={"torchscript": True})
        yield case("masked_untied", full, "masked_untied")
        yield case("decoder_labels", lambda d: {**full(d), **labels(d)}, "decoder", use_cache=True)
        yield case("decoder_that_is_none", lambda d: {**full(d), **labels(d)}, "masked", CAUSAL, use_cache=True)
        for name, config, want in (
                ("single", {}, lambda d: torch.tensor([2, 0, -100])),
                ("several", {}, lambda d: d.ids(3, 3, 0, 2).float()),
                ("regression", {"problem_type": "regression"}, lambda d: d.floats(3, 3))):
            yield case(f"classify_{name}", lambda d: {**full(d), "labels": want(d)}, "classify", config=config)
        yield case("classify_embeds", lambda d: {"inputs_embeds": d.floats(2, 5, 16)}, "classify", **QUIETLY)
        choices = lambda d: {"input_ids": d.ids(6, 5, 0).reshape(2, 3, 5), "attention_mask": padded(5, 4, 3, -4, 5, 2, width=5).reshape(2, 3, 5)}
        yield case("choose", choices, "choose")
        yield case("choose_labels", lambda d: {**choices(d), "token_type_ids": d.ids(6, 5, 0, 2).reshape(2, 3, 5), "labels": torch.tensor([2, 0])}, "choose", **QUIETLY)
        yield case("choose_embeds", lambda d: {"inputs_embeds": d.floats(2, 2, 5, 16), "labels": torch.tensor([1, -100])}, "choose")
        yield case("tokens", lambda d: {**full(d), **labels(d, high=5)}, "tokens")
        yield case("answer", full, "answer")
        yield case("answer_labels", lambda d: {**full(d), "start_positions": torch.tensor([0, 3, 9]), "end_positions": torch.tensor([[2], [6], [1]])}, "answer")
        yield case("no_layers", full, "no_layers")
        yield case("pruned", full, "masked", prune_heads={"0": [1], "1": [0]})
        yield case("pruned_classifier", full, "classify", prune_heads={"0": [0]})
        for model in ("masked", "untied"):
            yield case(f"resized_{model}", lambda d: {"input_ids": d.ids(2, 6, high=20)}, model, resize_token_embeddings=21)
        yield case("resized_tokens", lambda d: {"input_ids": d.ids(2, 6, high=20)}, "tokens", resize_token_embeddings=22)

    def refused_calls(self):
        draw = self.draw("refused")
        some = {"input_ids": draw.ids(2, 6)}
        yield "ids_and_embeds", "masked", MASKED, {}, {**some, "inputs_embeds": draw.floats(2, 6, 16)}
        yield "neither_ids_nor_embeds", "masked", MASKED, {}, {"attention_mask": padded(6, 4, width=6)}
        yield "one_position_too_many", "masked", MASKED, {}, {"input_ids": draw.ids(2, 13, low=2)}
        yield "one_embedding_too_many", "masked", MASKED, {}, {"inputs_embeds": draw.floats(2, 13, 16)}
        yield "longer_than_the_token_types", "masked", MASKED, {}, {"input_ids": torch.full((1, 15), PADDING)}
        yield "position_beyond_the_table", "masked", MASKED, {}, {**some, "position_ids": torch.tensor([[0, 1, 2, 3, 4, 14]])}
        yield "no_padding_to_count_from", "masked", MASKED, {"pad_token_id": None}, some
        yield "id_beyond_vocabulary", "masked", MASKED, {}, {"input_ids": torch.tensor([[2, 29]])}
        yield "mask_too_short", "masked", MASKED, {}, {**some, "attention_mask": padded(5, 4, width=5)}
        yield "token_type_beyond", "masked", MASKED, {}, {**some, "token_type_ids": torch.full((2, 6), 2)}
        yield "label_beyond_vocabulary", "masked", MASKED, {}, {**some, "labels": torch.full((2, 6), 29)}
        yield "masked_past", "masked", MASKED, {}, {**some, "past_key_values.0.0": draw.floats(2, 2, 4, 8)}
        yield "labels_of_the_base_model", "base", BASE, {}, {**some, "labels": draw.ids(2, 6)}
        yield "classify_label_beyond", "classify", CLASSIFY, {}, {**some, "labels": torch.tensor([0, 3])}
        yield "choose_of_two_dimensions", "choose", CHOOSE, {}, {"input_ids": draw.ids(1, 6)[0]}
        yield "choose_label_beyond", "choose", CHOOSE, {}, {"input_ids": draw.ids(6, 5).reshape(2, 3, 5), "labels": torch.tensor([0, 3])}
        yield "answer_of_three_labels", "answer", ANSWER, {"num_labels": 3}, some
        yield "heads_do_not_divide", "masked", MASKED, {"num_attention_heads": 3}, some
        yield "unknown_activation", "masked", MASKED, {"hidden_act": "swoosh"}, some
        yield "padding_beyond_the_positions", "masked", MASKED, {"pad_token_id": 14}, some


if __name__ == "__main__":
    sys.exit(golden_decoders.main(Roberta(), __doc__))
