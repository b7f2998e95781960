#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on BLOOM models drawn at random: classes, configs, weights, calls and labels.

    python random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

What a case is, and what the command must write: see ../random_models.py.
"""
import sys

from transformers import BloomConfig

import golden  # Finds the next one, too.
import random_models

BASE, CAUSAL, CLASSIFIER, TOKENS, ANSWER = golden.CLASSES


class Bloom(random_models.Family):
    golden = golden
    classes = list(golden.CLASSES)
    about = ["n_head", "apply_residual_connection_post_layernorm", "slow_but_exact", "pretraining_tp"]

    def config(self, draw, class_name):
        rng = draw.rng
        heads, size = rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 12]), rng.choice([2, 3, 4, 8, 10, 16])
        vocabulary = rng.randint(6, 120)
        return BloomConfig(
            vocab_size=vocabulary, hidden_size=heads * size, n_head=heads, n_layer=rng.choice([1, 1, 2, 3]),
            layer_norm_epsilon=rng.choice([1e-6, 1e-5, 1e-2]), apply_residual_connection_post_layernorm=draw.chance(0.4),
            hidden_dropout=rng.choice([0.0, 0.1]), attention_dropout=rng.choice([0.0, 0.1]),
            pretraining_tp=rng.choice([1, 1, 2, 3]), slow_but_exact=draw.chance(0.4),
            pad_token_id=rng.choice([3, 0, None, vocabulary - 1]), tie_word_embeddings=draw.chance(0.6), use_cache=draw.chance(0.7),
            num_labels=rng.choice([1, 2, 5]), problem_type=rng.choice([None, None, *random_models.PROBLEMS]),
            architectures=[class_name])

    def inputs(self, draw, model, load):
        config, class_name = model.config, type(model).__name__
        batch, cached = draw.rng.randint(1, 4), 0
        if class_name == CLASSIFIER and config.pad_token_id is None:
            batch = 1  # For more, the peer needs to know the padding.
        length = draw.rng.choice([1, 2, draw.rng.randint(1, 60)])
        inputs = {}
        if draw.chance(0.2):
            inputs["inputs_embeds"] = draw.floats(batch, length, config.hidden_size)
        else:
            inputs["input_ids"] = draw.ids(config.vocab_size, batch, length)
        if class_name != ANSWER and draw.chance(0.4):
            cached = draw.rng.randint(1, 40)
            first = {"input_ids": draw.ids(config.vocab_size, batch, cached)}
            inputs.update(random_models.cache(golden.call(load().base_model, first, use_cache=True)))
        mask = draw.mask_of_any_dtype(batch, None, cached + length)
        if mask is not None:
            inputs["attention_mask"] = mask
        if draw.chance(0.2):
            inputs["head_mask"] = draw.head_mask(config.n_layer, config.n_head)
        self.add_labels(draw, config, class_name, batch, length, inputs)
        return draw.narrow(inputs)

    def add_labels(self, draw, config, class_name, batch, length, inputs):
        if not draw.chance(0.7):
            return
        if class_name in (CAUSAL, TOKENS):
            classes = config.vocab_size if class_name == CAUSAL else config.num_labels
            inputs["labels"] = draw.some(draw.ids(classes, batch, length))
        if class_name == CLASSIFIER:
            inputs["labels"] = draw.sequence_labels(config, batch)
        if class_name == ANSWER:
            for name in ("start_positions", "end_positions"):
                inputs[name] = draw.ids(length + 2, batch)

    def call(self, model, inputs, attentions):
        with golden.softmax_of_float64():
            return super().call(model, inputs, attentions)


if __name__ == "__main__":
    sys.exit(random_models.main(Bloom(), __doc__))
