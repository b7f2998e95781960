#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on Mistral models drawn at random: classes, configs, weights, calls and labels.

    python random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

Windows are from none to longer than any sequence, and sequences up to twice as long as max_position_embeddings. What a case
is, and what the command must write: see ../random_models.py.
"""
import sys

from transformers import MistralConfig
from transformers.activations import ACT2FN

import golden  # Finds the next one, too.
import random_models

CAUSAL, CLASSIFIER = "MistralForCausalLM", "MistralForSequenceClassification"


class Mistral(random_models.Family):
    golden = golden
    classes = ["MistralModel", CAUSAL, CLASSIFIER]
    about = ["sliding_window", "hidden_act"]

    def config(self, draw, class_name):
        rng = draw.rng
        key_heads = rng.choice([1, 1, 2, 3, 4])
        heads = key_heads * rng.choice([1, 1, 2, 3, 4])
        size = rng.choice([2, 4, 6, 8, 10, 16])
        return MistralConfig(
            vocab_size=rng.randint(6, 120), hidden_size=heads * size, num_attention_heads=heads,
            num_key_value_heads=rng.choice([None, key_heads]) if key_heads == heads else key_heads,
            num_hidden_layers=rng.choice([0, 1, 1, 2, 3]), intermediate_size=rng.randint(4, 80),
            hidden_act=rng.choice(["silu", "silu", *sorted(ACT2FN)]), max_position_embeddings=rng.randint(4, 48),
            rms_norm_eps=rng.choice([1e-6, 1e-5, 1e-2]), rope_theta=rng.choice([10000.0, 10000, 1e6, 77.5]),
            sliding_window=rng.choice([0, 1, rng.randint(2, 16), rng.randint(2, 48), 4096]),
            pad_token_id=rng.choice([0, 1, None, -1]), tie_word_embeddings=draw.chance(0.3), use_cache=draw.chance(0.7),
            num_labels=rng.choice([1, 2, 5]), problem_type=rng.choice([None, None, *random_models.PROBLEMS]),
            architectures=[class_name])

    def inputs(self, draw, model, load):
        config, class_name = model.config, type(model).__name__
        batch, cached = draw.rng.randint(1, 4), 0
        if class_name == CLASSIFIER and config.pad_token_id is None:
            batch = 1  # For more, the peer needs to know the padding.
        length = draw.rng.choice([1, 2, draw.rng.randint(1, 2 * config.max_position_embeddings)])
        inputs = {}
        if draw.chance(0.2):
            inputs["inputs_embeds"] = draw.floats(batch, length, config.hidden_size)
        else:
            inputs["input_ids"] = draw.ids(config.vocab_size, batch, length)
        if config.num_hidden_layers and draw.chance(0.4):
            cached = draw.rng.randint(1, 2 * config.max_position_embeddings)
            first = {"input_ids": draw.ids(config.vocab_size, batch, cached)}
            inputs.update(random_models.cache(golden.call(load(), first, use_cache=True)))
        if draw.chance(0.3):
            inputs["position_ids"] = draw.rows(cached + length, batch, length)
        mask = draw.mask_of_any_dtype(batch, None, cached + length)
        if mask is not None:
            inputs["attention_mask"] = mask
        if class_name == CAUSAL and draw.chance(0.7):
            inputs["labels"] = draw.some(draw.ids(config.vocab_size, batch, length))
        if class_name == CLASSIFIER and draw.chance(0.7):
            inputs["labels"] = draw.sequence_labels(config, batch)
        return draw.narrow(inputs)

    def call(self, model, inputs, attentions):
        with golden.masks_of_float32():
            return super().call(model, inputs, attentions)


if __name__ == "__main__":
    sys.exit(random_models.main(Mistral(), __doc__))
