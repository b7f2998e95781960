#!/usr/bin/env python3
"""Writes the golden data of the BLOOM classes: what transformers 4.34.0 computes for every option they have.

    pip install --no-deps -r ../requirements.txt   (or benchmarks/peers/setup_venv.sh DEST)
    python make_golden.py            writes everything below this folder
    python make_golden.py --check    writes nothing; fails if the files differ from what the peer says now

README.md describes the files; ../golden_decoders.py does the work.
"""
import pathlib
import sys

import safetensors.torch
import torch
from transformers import BloomConfig
from transformers.models.bloom.modeling_bloom import build_alibi_tensor

import golden
import golden_decoders
from golden_decoders import QUIETLY, full, ids, padded, with_labels

BASE, CAUSAL, CLASSIFY, TOKENS, ANSWER = golden.CLASSES


class Bloom(golden_decoders.Family):
    folder = pathlib.Path(__file__).resolve().parent
    config_class = BloomConfig
    sizes = dict(hidden_size=16, n_head=2, n_layer=2, vocab_size=29, pad_token_id=3)
    models = {
        "base": (CAUSAL, {}, torch.float32),
        # Heads that are no power of two, residuals of what the norms make, an output matrix of its own, no padding token.
        "after": (CAUSAL, dict(hidden_size=18, n_head=3, n_layer=1, apply_residual_connection_post_layernorm=True,
                               tie_word_embeddings=False, pad_token_id=None), torch.float32),
        "classify": (CLASSIFY, dict(num_labels=3, n_layer=1), torch.bfloat16),
        "tokens": (TOKENS, dict(num_labels=4, n_layer=1, hidden_dropout=0.3), torch.float16),
        "answer": (ANSWER, dict(num_labels=5, n_layer=1), torch.float32),
    }

    def exactly(self):
        return golden.softmax_of_float64()

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
            yield case("head_mask" + suffix, lambda d: {**full(d), "head_mask": torch.tensor([0.5, 0])}, **quietly)
        yield case("head_mask_of_layers", lambda d: {**ids(d), "head_mask": d.uniform(2, 2)}, past=2, use_cache=True)
        yield case("base_model", full, class_name=BASE, use_cache=True)
        yield case("mask_hides_nothing", lambda d: {**ids(d), "attention_mask": padded(7, 7, 7, width=7)})
        yield case("mask_hides_a_whole_row", lambda d: {**ids(d), "attention_mask": padded(7, 0, 1, width=7)}, **QUIETLY)
        yield case("mask_of_holes", lambda d: {**ids(d), "attention_mask": torch.tensor([[1, 0, 1, 1, 0, 0, 1]] * 3)})
        yield case("mask_of_fractions", lambda d: {**ids(d), "attention_mask": torch.tensor([[1, 0.5, 1, 1, 0.25, 0, 1.0]] * 3)}, **QUIETLY)
        yield case("several_steps", lambda d: ids(d, 1), steps=5, use_cache=True)
        yield case("many_tokens", lambda d: ids(d, 70, 2), class_name=BASE, **QUIETLY)

    def option_cases(self, case):
        yield case("config_decides", full, flags_from_config=True,
                   config={"use_cache": False, "output_attentions": True, "output_hidden_states": True})
        yield case("config_decides_to_cache", ids, flags_from_config=True)
        yield case("one_token", lambda d: ids(d, 1, 1))
        yield case("input_ids_int32", lambda d: {"input_ids": d.ids(3, 5).int(), "attention_mask": padded(5, 4, -3, width=5).int()})
        yield case("inputs_embeds", lambda d: {"inputs_embeds": d.floats(2, 6, 16), "attention_mask": padded(6, -4, width=6)})
        yield case("labels", with_labels)
        yield case("position_ids_mean_nothing", lambda d: {**full(d), "position_ids": d.ids(3, 7)}, **QUIETLY)
        yield case("layer_norm_epsilon", full, config={"layer_norm_epsilon": 0.1})
        yield case("slow_but_exact", full, config={"slow_but_exact": True, "pretraining_tp": 4})
        yield case("slow_but_exact_of_one", full, config={"slow_but_exact": True}, **QUIETLY)
        yield case("pretraining_tp", full, config={"pretraining_tp": 4}, **QUIETLY)
        yield case("untied", full, config={"tie_word_embeddings": False}, class_name=BASE)

    def head_cases(self, case):
        tokens = lambda d: {"input_ids": torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 3, 3], [3, 3, 4, 5, 6], [3, 3, 3, 3, 3]])}
        for name, config, labels in (
                ("single", {}, torch.tensor([2, 0, 1, 1])),
                ("several", {}, torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]])),
                ("regression", {"problem_type": "regression"}, torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 1], [0.5, 2, 0]]))):
            yield case(f"classify_{name}", lambda d: {**tokens(d), "labels": labels}, "classify", config=config)
        yield case("classify_masked", lambda d: {**tokens(d), "attention_mask": padded(5, 3, -3, 4, width=5)}, "classify", use_cache=True)
        yield case("classify_embeds", lambda d: {"inputs_embeds": d.floats(2, 5, 16)}, "classify", **QUIETLY)
        yield case("classify_one_row_without_padding", lambda d: ids(d, 4, 1), "classify", config={"pad_token_id": None}, **QUIETLY)
        yield case("tokens", lambda d: with_labels(d, high=4), "tokens")
        yield case("tokens_past", lambda d: ids(d, 2), "tokens", past=3, use_cache=True)
        spans = lambda d: {**full(d), "start_positions": torch.tensor([1, 9, 3]), "end_positions": torch.tensor([[2], [4], [6]])}
        yield case("answer", spans, "answer")
        yield case("answer_start_alone", lambda d: {**ids(d), "start_positions": torch.tensor([1, 2, 3])}, "answer", **QUIETLY)

    def refused_calls(self):
        draw = self.draw("refused")
        some = {"input_ids": draw.ids(2, 6)}
        past = {f"past_key_values.{i}.{n}": draw.floats(4, *((8, 3) if n == 0 else (3, 8))) for i in range(2) for n in range(2)}
        yield "ids_and_embeds", "base", CAUSAL, {}, {**some, "inputs_embeds": draw.floats(2, 6, 16)}
        yield "neither_ids_nor_embeds", "base", CAUSAL, {}, {"attention_mask": padded(6, 4, width=6)}
        yield "mask_too_short", "base", CAUSAL, {}, {**some, "attention_mask": padded(5, 4, width=5)}
        yield "mask_without_the_cache", "base", CAUSAL, {}, {**some, **past, "attention_mask": padded(6, 4, width=6)}
        yield "mask_3d", "base", CAUSAL, {}, {**some, "attention_mask": torch.ones(2, 6, 6)}
        yield "id_beyond_vocabulary", "base", CAUSAL, {}, {"input_ids": torch.tensor([[1, 29]])}
        yield "negative_id", "base", CAUSAL, {}, {"input_ids": torch.tensor([[1, -1]])}
        yield "cache_of_other_heads", "base", CAUSAL, {}, {**some, **{n: draw.floats(6, *t.shape[1:]) for n, t in past.items()}}
        yield "head_mask_of_other_heads", "base", CAUSAL, {}, {**some, "head_mask": torch.ones(3)}
        yield "labels_of_another_length", "base", CAUSAL, {}, {**some, "labels": draw.ids(2, 5)}
        yield "label_beyond_vocabulary", "base", CAUSAL, {}, {**some, "labels": draw.ids(2, 6) + 29}
        yield "no_such_input", "base", CAUSAL, {}, {**some, "token_type_ids": draw.ids(2, 6)}
        yield "labels_of_the_base_model", "base", BASE, {}, {**some, "labels": draw.ids(2, 6)}
        yield "rows_without_padding_token", "classify", CLASSIFY, {"pad_token_id": None}, some
        yield "token_label_beyond_labels", "tokens", TOKENS, {}, {**some, "labels": torch.full((2, 6), 4)}
        yield "cache_of_an_answer", "answer", ANSWER, {}, {**some, "past_key_values.0.0": draw.floats(4, 8, 3),
                                                           "past_key_values.0.1": draw.floats(4, 3, 8)}
        yield "heads_do_not_divide", "base", CAUSAL, {"n_head": 5}, some


def alibi():
    """Slopes by number of heads, and the biases of masks of every kind."""
    made = {f"slopes.{heads}": build_alibi_tensor(torch.ones(1, 2), heads, torch.float32)[:, 0, 1]
            for heads in (*range(1, 41), 63, 64, 65, 112)}
    masks = {"whole": torch.ones(1, 6), "padded": padded(5, 3, -3, width=5), "holes": torch.tensor([[1, 1, 0, 1, 0]]),
             "fractions": torch.tensor([[1, 0.5, 0.25, 1]])}
    for heads, (name, mask) in zip((1, 3, 4, 12), masks.items()):
        made[f"mask.{name}"], made[f"bias.{name}"] = mask, build_alibi_tensor(mask, heads, torch.float32)
    return {name: tensor.contiguous() for name, tensor in made.items()}


class BloomAndAlibi(Bloom):
    def after_saving(self, out):
        safetensors.torch.save_file(alibi(), out / "alibi.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    sys.exit(golden_decoders.main(BloomAndAlibi(), __doc__))
