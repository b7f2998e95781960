#!/usr/bin/env python3
"""Writes the golden data of the Mistral classes: what transformers 4.34.0 computes for every option they have.

    pip install --no-deps -r ../requirements.txt   (or benchmarks/peers/setup_venv.sh DEST)
    python make_golden.py            writes everything below this folder
    python make_golden.py --check    writes nothing; fails if the files differ from what the peer says now

README.md describes the files; ../golden_decoders.py does the work.
"""
import pathlib
import sys

import torch
from transformers import MistralConfig

import golden
import golden_decoders
from golden_decoders import QUIETLY, full, ids, padded, with_labels

CAUSAL, BASE, CLASSIFY = "MistralForCausalLM", "MistralModel", "MistralForSequenceClassification"


class Mistral(golden_decoders.Family):
    folder = pathlib.Path(__file__).resolve().parent
    config_class = MistralConfig
    sizes = dict(hidden_size=16, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=2, intermediate_size=24,
                 vocab_size=29, max_position_embeddings=16, pad_token_id=0, sliding_window=3)
    models = {
        "grouped": (CAUSAL, {}, torch.float32),
        # One key head, heads of six, one matrix for input and output, no padding token; names of LLaMA's that mean nothing.
        "one_key_head": (CAUSAL, dict(hidden_size=18, num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=True,
                                      num_hidden_layers=1, pad_token_id=None, attention_bias=True, pretraining_tp=7,
                                      rope_scaling={"type": "linear", "factor": 2.0}), torch.float32),
        "classify": (CLASSIFY, dict(num_labels=3, num_hidden_layers=1, num_key_value_heads=None), torch.bfloat16),
        "no_layers": (BASE, dict(num_hidden_layers=0), torch.float16),
    }

    def exactly(self):
        return golden.masks_of_float32()

    def cases(self):
        def case(name, make, model="grouped", class_name=None, **keys):
            return self.case(name, make, model, class_name, **keys)

        for quiet in (True, False):  # With every output, and without, where a peer may take a faster way.
            suffix, quietly = ("_quiet", QUIETLY) if quiet else ("", {})
            yield case("only_input_ids" + suffix, ids, **quietly)
            yield case("masked" + suffix, full, **quietly)
            yield case("past_one_token" + suffix, lambda d: ids(d, 1), past=6, use_cache=True, **quietly)
            yield case("past_one_token_masked" + suffix,
                       lambda d: {**ids(d, 1), "attention_mask": padded(7, 5, -5, width=7)}, past=6, use_cache=True, **quietly)
            # The window counts among the new tokens alone.
            yield case("past_six" + suffix, lambda d: ids(d, 6), past=4, **quietly)
            yield case("past_six_masked" + suffix,
                       lambda d: {**ids(d, 6), "attention_mask": padded(10, 8, -5, width=10)}, past=4, use_cache=True, **quietly)
            yield case("no_window_to_speak_of" + suffix, full, config={"sliding_window": 6}, **quietly)
            yield case("window_one_short" + suffix, full, config={"sliding_window": 5}, **quietly)
            yield case("window_of_none" + suffix, full, config={"sliding_window": 0}, **quietly)
            yield case("one_key_head" + suffix, full, "one_key_head", **quietly)
        quietly = QUIETLY
        yield case("window_of_none_past", lambda d: ids(d, 3), config={"sliding_window": 0}, past=4, **quietly)
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
        yield case("position_ids_past", lambda d: {**ids(d, 2), "attention_mask": padded(6, 6, -3, width=6),
                                                   "position_ids": torch.tensor([[4, 5], [4, 5], [1, 2]])}, past=4, use_cache=True)
        yield case("inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "attention_mask": padded(6, -4, width=6)})
        yield case("labels", with_labels)
        yield case("several_steps", lambda d: ids(d, 1), steps=5, use_cache=True)
        yield case("beyond_the_tables", lambda d: ids(d, 23, 2), class_name=BASE, **quietly)
        yield case("beyond_the_tables_past", lambda d: ids(d, 2, 2), class_name=BASE, past=21, **quietly)
        yield case("rope_theta", full, config={"rope_theta": 500})
        yield case("rms_norm_eps", full, config={"rms_norm_eps": 0.1})
        yield case("hidden_act", full, config={"hidden_act": "gelu_new"})
        yield case("untied", full, "one_key_head", config={"tie_word_embeddings": False}, class_name=BASE)
        yield case("no_layers", full, "no_layers", use_cache=True)
        tokens = lambda d: {"input_ids": torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0], [0, 0, 4, 5, 6], [0, 1, 2, 0, 3]])}
        for name, config, labels in (
                ("single", {}, torch.tensor([2, 0, 1, 1])),
                ("several", {}, torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]])),
                ("regression", {"problem_type": "regression"}, torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 1], [0.5, 2, 0]]))):
            yield case(f"classify_{name}", lambda d: {**tokens(d), "labels": labels}, "classify", config=config)
        yield case("classify_masked", lambda d: {**tokens(d), "attention_mask": padded(5, 3, -3, 4, width=5)}, "classify", use_cache=True)
        yield case("classify_embeds", lambda d: {"inputs_embeds": d.floats(2, 5, 16)}, "classify", **quietly)
        yield case("classify_one_row_without_padding", lambda d: ids(d, 4, 1), "classify", config={"pad_token_id": None}, **quietly)
        yield case("classify_padding_from_the_end", lambda d: ids(d, 4, 2), "classify", config={"pad_token_id": -1}, **quietly)

    def refused_calls(self):
        draw = self.draw("refused")
        some = {"input_ids": draw.ids(2, 6)}
        past = {f"past_key_values.{i}.{n}": draw.floats(2, 2, 3, 4) for i in range(2) for n in range(2)}
        yield "ids_and_embeds", "grouped", CAUSAL, {}, {**some, "inputs_embeds": draw.floats(2, 6, 16)}
        yield "neither_ids_nor_embeds", "grouped", CAUSAL, {}, {"attention_mask": padded(6, 4, width=6)}
        yield "mask_too_short", "grouped", CAUSAL, {}, {**some, "attention_mask": padded(5, 4, width=5)}
        yield "mask_without_the_cache", "grouped", CAUSAL, {}, {**some, **past, "attention_mask": padded(6, 4, width=6)}
        yield "mask_3d", "grouped", CAUSAL, {}, {**some, "attention_mask": torch.ones(2, 6, 6)}
        yield "position_beyond_the_tokens", "grouped", CAUSAL, {}, {**some, "position_ids": torch.tensor([[0, 1, 2, 3, 4, 6]])}
        yield "id_beyond_vocabulary", "grouped", CAUSAL, {}, {"input_ids": torch.tensor([[1, 29]])}
        yield "negative_id", "grouped", CAUSAL, {}, {"input_ids": torch.tensor([[1, -1]])}
        yield "cache_of_all_heads", "grouped", CAUSAL, {}, {**some, **{n: draw.floats(2, 4, 3, 4) for n in past}}
        yield "labels_of_another_length", "grouped", CAUSAL, {}, {**some, "labels": draw.ids(2, 5)}
        yield "label_beyond_vocabulary", "grouped", CAUSAL, {}, {**some, "labels": draw.ids(2, 6) + 29}
        yield "no_such_input", "grouped", CAUSAL, {}, {**some, "head_mask": torch.ones(4)}
        yield "labels_of_the_base_model", "grouped", BASE, {}, {**some, "labels": draw.ids(2, 6)}
        yield "rows_without_padding_token", "classify", CLASSIFY, {"pad_token_id": None}, some
        yield "heads_do_not_divide", "grouped", CAUSAL, {"num_attention_heads": 5}, some
        yield "key_heads_do_not_divide", "grouped", CAUSAL, {"num_key_value_heads": 3}, some
        yield "unknown_activation", "grouped", CAUSAL, {"hidden_act": "swoosh"}, some
        yield "padding_beyond_vocabulary", "grouped", CAUSAL, {"pad_token_id": 29}, some
        yield "window_that_is_no_number", "grouped", CAUSAL, {"sliding_window": "3"}, some


if __name__ == "__main__":
    sys.exit(golden_decoders.main(Mistral(), __doc__))
