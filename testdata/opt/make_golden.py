#!/usr/bin/env python3
"""Writes the golden data of the OPT classes: what transformers 4.34.0 computes for every option they have.

    pip install --no-deps -r ../requirements.txt   (or benchmarks/peers/setup_venv.sh DEST)
    python make_golden.py            writes everything below this folder
    python make_golden.py --check    writes nothing; fails if the files differ from what the peer says now

README.md describes the files; ../golden_decoders.py does the work.
"""
import pathlib
import sys

import torch
from transformers import OPTConfig

import golden
import golden_decoders
from golden_decoders import QUIETLY, full, ids, padded, with_labels

BASE, CAUSAL, CLASSIFY, ANSWER = golden.CLASSES


class OPT(golden_decoders.Family):
    folder = pathlib.Path(__file__).resolve().parent
    config_class = OPTConfig
    sizes = dict(hidden_size=16, num_attention_heads=2, num_hidden_layers=2, ffn_dim=28, vocab_size=29,
                 max_position_embeddings=16, word_embed_proj_dim=16, pad_token_id=1, bos_token_id=2, eos_token_id=2)
    models = {
        "base": (CAUSAL, {}, torch.float32),
        # As OPT-350m: norms after, token embeddings of a size of their own, no norm at the end.
        "after": (CAUSAL, dict(do_layer_norm_before=False, word_embed_proj_dim=10, num_hidden_layers=1), torch.float32),
        # Matrices without biases, norms without weights, an output matrix of its own, no norm at the end, no padding token.
        "bare": (CAUSAL, dict(enable_bias=False, layer_norm_elementwise_affine=False, tie_word_embeddings=False,
                              _remove_final_layer_norm=True, pad_token_id=None, num_hidden_layers=1,
                              activation_function="gelu"), torch.float32),
        "classify": (CLASSIFY, dict(num_labels=3, num_hidden_layers=1, word_embed_proj_dim=6), torch.bfloat16),
        "answer": (ANSWER, dict(num_hidden_layers=1), torch.float16),
        "no_layers": (BASE, dict(num_hidden_layers=0), torch.float32),
    }

    def exactly(self):
        return golden.masks_of_float32()

    def cases(self):
        def case(name, make, model="base", class_name=None, **keys):
            return self.case(name, make, model, class_name, **keys)

        yield from self.attention_cases(case)
        yield from self.option_cases(case)
        yield from self.head_cases(case)

    def attention_cases(self, case):
        for quiet in (True, False):  # With every output, and without, where a peer may take a faster way.
            suffix, quietly = ("_quiet", QUIETLY) if quiet else ("", {})
            yield case("only_input_ids" + suffix, ids, **quietly)
            yield case("masked" + suffix, full, **quietly)
            yield case("past_one_token" + suffix, lambda d: ids(d, 1), past=6, use_cache=True, **quietly)
            yield case("past_one_token_masked" + suffix,
                       lambda d: {**ids(d, 1), "attention_mask": padded(7, 5, -5, width=7)}, past=6, use_cache=True, **quietly)
            yield case("past_three_masked" + suffix,
                       lambda d: {**ids(d, 3), "attention_mask": padded(7, 6, -5, width=7)}, past=4, use_cache=True, **quietly)
            yield case("after" + suffix, full, "after", **quietly)
            yield case("after_past" + suffix, lambda d: ids(d, 2), "after", past=5, use_cache=True, **quietly)
            yield case("bare" + suffix, full, "bare", **quietly)
            yield case("head_mask" + suffix, lambda d: {**full(d), "head_mask": d.uniform(2, 2)}, **quietly)
        yield case("head_mask_past", lambda d: {**ids(d), "head_mask": torch.tensor([[0.5, 0], [1, 2]])}, past=2, use_cache=True)
        yield case("base_model", full, class_name=BASE, use_cache=True)
        yield case("mask_hides_nothing", lambda d: {**ids(d), "attention_mask": padded(7, 7, 7, width=7)})
        yield case("mask_hides_a_whole_row", lambda d: {**ids(d), "attention_mask": padded(7, 0, 1, width=7)}, **QUIETLY)
        yield case("mask_of_holes", lambda d: {**ids(d), "attention_mask": torch.tensor([[1, 0, 1, 1, 0, 0, 1]] * 3)})
        yield case("mask_of_bools", lambda d: {**ids(d), "attention_mask": padded(5, -3, 7, width=7).bool()})
        yield case("mask_of_floats", lambda d: {**ids(d), "attention_mask": padded(5, -3, 7, width=7).float()}, **QUIETLY)
        yield case("several_steps", lambda d: ids(d, 1), steps=5, use_cache=True)

    def option_cases(self, case):
        yield case("config_decides", full, flags_from_config=True,
                   config={"use_cache": False, "output_attentions": True, "output_hidden_states": True})
        yield case("config_decides_to_cache", ids, flags_from_config=True)
        yield case("one_token", lambda d: ids(d, 1, 1))
        yield case("all_positions", lambda d: ids(d, 16, 2), **QUIETLY)
        yield case("input_ids_int32", lambda d: {"input_ids": d.ids(3, 5).int(), "attention_mask": padded(5, 4, -3, width=5).int()})
        yield case("inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "attention_mask": padded(6, -4, width=6)})
        yield case("inputs_embeds_projected", lambda d: {"inputs_embeds": d.floats(2, 6, 10)}, "after", **QUIETLY)
        yield case("labels", with_labels)
        yield case("labels_after", with_labels, "after")
        yield case("activation_function", full, config={"activation_function": "gelu_new"})
        yield case("untied", full, config={"tie_word_embeddings": False}, class_name=BASE)
        yield case("no_layers", full, "no_layers", use_cache=True)

    def head_cases(self, case):
        tokens = lambda d: {"input_ids": torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 1, 1], [1, 1, 4, 5, 6], [1, 3, 2, 1, 3]])}
        for name, config, labels in (
                ("single", {}, torch.tensor([2, 0, 1, 1])),
                ("several", {}, torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]])),
                ("regression", {"problem_type": "regression"}, torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 1], [0.5, 2, 0]]))):
            yield case(f"classify_{name}", lambda d: {**tokens(d), "labels": labels}, "classify", config=config)
        yield case("classify_masked", lambda d: {**tokens(d), "attention_mask": padded(5, 3, -3, 4, width=5)}, "classify", use_cache=True)
        yield case("classify_embeds", lambda d: {"inputs_embeds": d.floats(2, 5, 6)}, "classify", **QUIETLY)
        yield case("classify_one_row_without_padding", lambda d: ids(d, 4, 1), "classify", config={"pad_token_id": None}, **QUIETLY)
        yield case("classify_rows_without_padding", lambda d: ids(d, 4, 3), "classify", config={"pad_token_id": None}, **QUIETLY)
        spans = lambda d: {**full(d), "start_positions": torch.tensor([1, 9, 3]), "end_positions": torch.tensor([[2], [4], [6]])}
        yield case("answer", spans, "answer")
        yield case("answer_quiet", ids, "answer", **QUIETLY)
        yield case("answer_past", lambda d: ids(d, 2), "answer", past=3)
        yield case("answer_start_alone", lambda d: {**ids(d), "start_positions": torch.tensor([1, 2, 3])}, "answer", **QUIETLY)

    def refused_calls(self):
        draw = self.draw("refused")
        some = {"input_ids": draw.ids(2, 6)}
        past = {f"past_key_values.{i}.{n}": draw.floats(2, 2, 3, 8) for i in range(2) for n in range(2)}
        yield "ids_and_embeds", "base", CAUSAL, {}, {**some, "inputs_embeds": draw.floats(2, 6, 16)}
        yield "neither_ids_nor_embeds", "base", CAUSAL, {}, {"attention_mask": padded(6, 4, width=6)}
        yield "mask_too_short", "base", CAUSAL, {}, {**some, "attention_mask": padded(5, 4, width=5)}
        yield "mask_without_the_cache", "base", CAUSAL, {}, {**some, **past, "attention_mask": padded(6, 4, width=6)}
        yield "mask_3d", "base", CAUSAL, {}, {**some, "attention_mask": torch.ones(2, 6, 6)}
        yield "more_tokens_than_positions", "base", CAUSAL, {}, {"input_ids": draw.ids(1, 17)}
        yield "id_beyond_vocabulary", "base", CAUSAL, {}, {"input_ids": torch.tensor([[1, 29]])}
        yield "negative_id", "base", CAUSAL, {}, {"input_ids": torch.tensor([[1, -1]])}
        yield "embeds_of_the_hidden_size", "after", CAUSAL, {}, {"inputs_embeds": draw.floats(2, 6, 16)}
        yield "cache_of_other_heads", "base", CAUSAL, {}, {**some, **{n: draw.floats(2, 4, 3, 8) for n in past}}
        yield "head_mask_of_one_layer", "base", CAUSAL, {}, {**some, "head_mask": torch.ones(2)}
        yield "head_mask_of_other_layers", "base", CAUSAL, {}, {**some, "head_mask": torch.ones(3, 2)}
        yield "labels_of_another_length", "base", CAUSAL, {}, {**some, "labels": draw.ids(2, 5)}
        yield "label_beyond_vocabulary", "base", CAUSAL, {}, {**some, "labels": draw.ids(2, 6) + 29}
        yield "no_such_input", "base", CAUSAL, {}, {**some, "position_ids": draw.ids(2, 6)}
        yield "labels_of_the_base_model", "base", BASE, {}, {**some, "labels": draw.ids(2, 6)}
        yield "heads_do_not_divide", "base", CAUSAL, {"num_attention_heads": 5}, some
        yield "unknown_activation", "base", CAUSAL, {"activation_function": "swoosh"}, some
        yield "padding_beyond_vocabulary", "base", CAUSAL, {"pad_token_id": 29}, some


if __name__ == "__main__":
    sys.exit(golden_decoders.main(OPT(), __doc__))
