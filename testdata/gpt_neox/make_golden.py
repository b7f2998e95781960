#!/usr/bin/env python3
"""Writes the golden data of the GPT-NeoX classes: what transformers 4.34.0 computes for every option they have.

    pip install --no-deps -r ../requirements.txt   (or benchmarks/peers/setup_venv.sh DEST)
    python make_golden.py            writes everything below this folder
    python make_golden.py --check    writes nothing; fails if the files differ from what the peer says now

README.md describes the files; ../golden_decoders.py does the work.
"""
import pathlib
import sys

import safetensors.torch
import torch
from transformers import GPTNeoXConfig

import golden
import golden_decoders
from golden_decoders import QUIETLY, full, ids, padded, with_labels

BASE, CAUSAL, CLASSIFY, TOKENS, ANSWER = golden.CLASSES
LINEAR = {"rope_scaling": {"type": "linear", "factor": 2.5}}
DYNAMIC = {"rope_scaling": {"type": "dynamic", "factor": 2.0}}


class GPTNeoX(golden_decoders.Family):
    folder = pathlib.Path(__file__).resolve().parent
    config_class = GPTNeoXConfig
    sizes = dict(hidden_size=16, num_attention_heads=2, num_hidden_layers=2, intermediate_size=28, vocab_size=29,
                 max_position_embeddings=16, rotary_pct=0.5, pad_token_id=0)
    models = {
        "base": (CAUSAL, {}, torch.float32),
        # Sequential, whole heads turn, one matrix for input and output, no padding token.
        "sequential": (CAUSAL, dict(use_parallel_residual=False, rotary_pct=1.0, tie_word_embeddings=True, num_hidden_layers=1,
                                    pad_token_id=None), torch.float32),
        # From before buffers were left out: attention.bias and attention.masked_bias among the weights, an inv_freq that is
        # not the config's; and one layer without inv_freq.
        "old": (BASE, {}, torch.float32),
        "classify": (CLASSIFY, dict(num_labels=3, num_hidden_layers=1), torch.bfloat16),
        "tokens": (TOKENS, dict(num_labels=4, num_hidden_layers=1, classifier_dropout=0.3), torch.float16),
        "answer": (ANSWER, dict(num_labels=5, num_hidden_layers=1), torch.float32),
        "nothing_turns": (BASE, dict(rotary_pct=0.1, num_hidden_layers=1, hidden_size=12, intermediate_size=8), torch.float32),
        "no_layers": (BASE, dict(num_hidden_layers=0), torch.float32),
    }
    facts = [{}, LINEAR, DYNAMIC]
    refused_scalings = golden_decoders.REFUSED_SCALINGS

    def after_saving(self, out):
        file = out / "old" / "model.safetensors"
        weights = safetensors.torch.load_file(file)
        for layer in range(2):
            weights[f"layers.{layer}.attention.bias"] = torch.ones(1, 1, 16, 16).tril().to(torch.uint8)
            weights[f"layers.{layer}.attention.masked_bias"] = torch.tensor(-1e9)
        weights["layers.0.attention.rotary_emb.inv_freq"] = torch.tensor([0.5, 0.25])
        del weights["layers.1.attention.rotary_emb.inv_freq"]
        safetensors.torch.save_file(weights, file, metadata={"format": "pt"})

    def cases(self):
        def case(name, make, model="base", class_name=None, **keys):
            return self.case(name, make, model, class_name, **keys)

        yield from self.attention_cases(case)
        yield from self.option_cases(case)
        yield from self.rotary_cases(case)
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
            yield case("sequential" + suffix, full, "sequential", **quietly)
            yield case("sequential_past" + suffix, lambda d: ids(d, 2), "sequential", past=5, use_cache=True, **quietly)
            yield case("head_mask" + suffix, lambda d: {**full(d), "head_mask": torch.tensor([0.5, 0])}, **quietly)
        quietly = QUIETLY
        yield case("head_mask_of_layers", lambda d: {**ids(d), "head_mask": d.uniform(2, 2)}, past=2, use_cache=True)
        yield case("base_model", full, class_name=BASE, use_cache=True)
        yield case("mask_hides_nothing", lambda d: {**ids(d), "attention_mask": padded(7, 7, 7, width=7)})
        yield case("mask_hides_a_whole_row", lambda d: {**ids(d), "attention_mask": padded(7, 0, 1, width=7)}, **quietly)
        yield case("mask_of_floats", lambda d: {**ids(d), "attention_mask": torch.tensor([[1, 0.5, 1, 1, 0.25, 1, 1.0]] * 3)}, **quietly)
        yield case("mask_of_bools", lambda d: {**ids(d), "attention_mask": padded(5, -3, 7, width=7).bool()})
        yield case("mask_of_another_shape", lambda d: {**ids(d, 4, 2), "attention_mask": padded(4, -3, width=4).reshape(2, 2, 2)}, **quietly)
        yield case("mask_of_one_column", lambda d: {**ids(d, 4, 2), "attention_mask": torch.ones(2, 1)}, **quietly)
        yield case("several_steps", lambda d: ids(d, 1), steps=5, use_cache=True)

    def option_cases(self, case):
        yield case("config_decides", full, flags_from_config=True,
                   config={"use_cache": False, "output_attentions": True, "output_hidden_states": True})
        yield case("config_decides_to_cache", ids, flags_from_config=True)
        yield case("one_token", lambda d: ids(d, 1, 1))
        yield case("input_ids_int32", lambda d: {"input_ids": d.ids(3, 5).int(), "attention_mask": padded(5, 4, -3, width=5).int()})
        yield case("inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "attention_mask": padded(6, -4, width=6)})
        yield case("labels", with_labels)
        yield case("layer_norm_eps", full, config={"layer_norm_eps": 0.1})
        yield case("hidden_act", full, config={"hidden_act": "gelu_new"})
        yield case("untied", full, "sequential", config={"tie_word_embeddings": False}, class_name=BASE)
        yield case("no_layers", full, "no_layers", use_cache=True)

    def rotary_cases(self, case):
        quietly = QUIETLY
        yield case("rotary_emb_base", full, config={"rotary_emb_base": 500})
        yield case("nothing_turns", full, "nothing_turns", use_cache=True)
        yield case("position_ids", lambda d: {**full(d), "position_ids": d.ids(3, 7, 0, 16)})  # Beyond the tokens, too.
        yield case("position_ids_one_row", lambda d: {**ids(d), "position_ids": torch.arange(6, -1, -1)[None]})
        yield case("position_ids_flat", lambda d: {**ids(d), "position_ids": torch.arange(6, -1, -1)})
        yield case("position_ids_past", lambda d: {**ids(d, 2), "attention_mask": padded(6, 6, -3, width=6),
                                                   "position_ids": torch.tensor([[4, 5], [4, 5], [1, 2]])}, past=4, use_cache=True)
        yield case("beyond_the_tables", lambda d: ids(d, 23, 2), class_name=BASE, **quietly)
        yield case("beyond_the_tables_past", lambda d: ids(d, 2, 2), class_name=BASE, past=21, **quietly)
        for kind, config in (("linear", LINEAR), ("dynamic", DYNAMIC)):
            yield case(f"{kind}_short", full, config=config)
            yield case(f"{kind}_long", lambda d: ids(d, 23, 2), class_name=BASE, config=config, **quietly)
            yield case(f"{kind}_past", lambda d: {**ids(d, 2), "position_ids": torch.tensor([[20, 19]])}, class_name=BASE,
                       past=19, config=config, **quietly)
            yield case(f"{kind}_steps_over_the_end", lambda d: ids(d, 1), class_name=BASE, steps=18, config=config, **quietly)
            yield case(f"{kind}_short_after_long", full, before=29, config=config)
        # What inv_freq the weights hold counts beyond max_position_embeddings alone, and from then on.
        yield case("old", full, "old", **quietly)
        yield case("old_long", lambda d: ids(d, 23, 2), "old", **quietly)
        yield case("old_short_after_long", full, "old", before=20, **quietly)
        yield case("old_dynamic_long", lambda d: ids(d, 23, 2), "old", config=DYNAMIC, **quietly)

    def head_cases(self, case):
        quietly = QUIETLY
        tokens = lambda d: {"input_ids": torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0], [0, 0, 4, 5, 6], [0, 1, 2, 0, 3]])}
        for name, config, labels in (
                ("single", {}, torch.tensor([2, 0, 1, 1])),
                ("several", {}, torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]])),
                ("regression", {"problem_type": "regression"}, torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 1], [0.5, 2, 0]]))):
            yield case(f"classify_{name}", lambda d: {**tokens(d), "labels": labels}, "classify", config=config)
        yield case("classify_masked", lambda d: {**tokens(d), "attention_mask": padded(5, 3, -3, 4, width=5)}, "classify", use_cache=True)
        yield case("classify_embeds", lambda d: {"inputs_embeds": d.floats(2, 5, 16)}, "classify", **quietly)
        yield case("classify_one_row_without_padding", lambda d: ids(d, 4, 1), "classify", config={"pad_token_id": None}, **quietly)
        yield case("tokens", lambda d: with_labels(d, high=4), "tokens")
        yield case("tokens_past", lambda d: {**ids(d, 2), "token_type_ids": d.ids(3, 2)}, "tokens", past=3, use_cache=True)
        spans = lambda d: {**full(d), "start_positions": torch.tensor([1, 9, 3]), "end_positions": torch.tensor([[2], [4], [-1]])}
        yield case("answer", spans, "answer")
        yield case("answer_quiet", lambda d: {**ids(d), "token_type_ids": torch.full((1, 1), 77)}, "answer", **quietly)
        yield case("answer_start_alone", lambda d: {**ids(d), "start_positions": torch.tensor([1, 2, 3])}, "answer", **quietly)

    def refused_calls(self):
        draw = self.draw("refused")
        some = {"input_ids": draw.ids(2, 6)}
        past = {f"past_key_values.{i}.{n}": draw.floats(2, 2, 3, 8) for i in range(2) for n in range(2)}
        yield "ids_and_embeds", "base", CAUSAL, {}, {**some, "inputs_embeds": draw.floats(2, 6, 16)}
        yield "neither_ids_nor_embeds", "base", CAUSAL, {}, {"attention_mask": padded(6, 4, width=6)}
        yield "mask_too_short", "base", CAUSAL, {}, {**some, "attention_mask": padded(5, 4, width=5)}
        yield "mask_without_the_cache", "base", CAUSAL, {}, {**some, **past, "attention_mask": padded(6, 4, width=6)}
        yield "mask_3d", "base", CAUSAL, {}, {**some, "attention_mask": torch.ones(2, 6, 6)}
        yield "position_beyond_the_table", "base", CAUSAL, {}, {**some, "position_ids": torch.tensor([[0, 1, 2, 3, 4, 16]])}
        yield "positions_of_another_length", "base", CAUSAL, {}, {**some, "position_ids": torch.tensor([[0, 1, 2, 3, 4]])}
        yield "id_beyond_vocabulary", "base", CAUSAL, {}, {"input_ids": torch.tensor([[1, 29]])}
        yield "negative_id", "base", CAUSAL, {}, {"input_ids": torch.tensor([[1, -1]])}
        yield "cache_of_other_heads", "base", CAUSAL, {}, {**some, **{n: draw.floats(2, 4, 3, 8) for n in past}}
        yield "head_mask_of_other_heads", "base", CAUSAL, {}, {**some, "head_mask": torch.ones(3)}
        yield "head_mask_of_other_layers", "base", CAUSAL, {}, {**some, "head_mask": torch.ones(1, 2)}
        yield "labels_of_another_length", "base", CAUSAL, {}, {**some, "labels": draw.ids(2, 5)}
        yield "label_beyond_vocabulary", "base", CAUSAL, {}, {**some, "labels": draw.ids(2, 6) + 29}
        yield "token_types", "base", CAUSAL, {}, {**some, "token_type_ids": draw.ids(2, 6)}
        yield "labels_of_the_base_model", "base", BASE, {}, {**some, "labels": draw.ids(2, 6)}
        yield "rows_without_padding_token", "classify", CLASSIFY, {"pad_token_id": None}, some
        yield "token_label_beyond_labels", "tokens", TOKENS, {}, {**some, "labels": torch.full((2, 6), 4)}
        yield "cache_of_an_answer", "answer", ANSWER, {}, {**some, "past_key_values.0.0": draw.floats(2, 2, 3, 8),
                                                           "past_key_values.0.1": draw.floats(2, 2, 3, 8)}
        yield "heads_do_not_divide", "base", CAUSAL, {"num_attention_heads": 5}, some
        yield "odd_number_turns", "base", CAUSAL, {"rotary_pct": 0.4}, some
        yield "more_than_all_turns", "base", CAUSAL, {"rotary_pct": 1.25}, some
        yield "unknown_activation", "base", CAUSAL, {"hidden_act": "swoosh"}, some


if __name__ == "__main__":
    sys.exit(golden_decoders.main(GPTNeoX(), __doc__))
