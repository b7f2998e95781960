#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on OPT models drawn at random: classes, configs, weights, calls and labels.

    python random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

What a case is, and what the command must write: see ../random_models.py.
"""
import sys

import torch
from transformers import OPTConfig
from transformers.activations import ACT2FN

import golden  # Finds the next one, too.
import random_models

BASE, CAUSAL, CLASSIFIER, ANSWER = golden.CLASSES


class OPT(random_models.Family):
    golden = golden
    classes = list(golden.CLASSES)
    about = ["do_layer_norm_before", "word_embed_proj_dim", "enable_bias", "activation_function"]

    def config(self, draw, class_name):
        rng = draw.rng
        heads, size = rng.choice([1, 2, 3, 4, 6]), rng.choice([2, 3, 4, 8, 10, 16])
        vocabulary = rng.randint(6, 120)
        return OPTConfig(
            vocab_size=vocabulary, hidden_size=heads * size, num_attention_heads=heads, num_hidden_layers=rng.choice([0, 1, 1, 2, 3]),
            ffn_dim=rng.randint(4, 80), activation_function=rng.choice(["relu", "relu", *sorted(ACT2FN)]),
            max_position_embeddings=rng.randint(4, 48), do_layer_norm_before=draw.chance(0.6),
            _remove_final_layer_norm=draw.chance(0.3), word_embed_proj_dim=rng.choice([None, heads * size, rng.randint(3, 40)]),
            enable_bias=draw.chance(0.7), layer_norm_elementwise_affine=draw.chance(0.7), dropout=rng.choice([0.0, 0.1]),
            attention_dropout=rng.choice([0.0, 0.1]), layerdrop=rng.choice([0.0, 0.1]),
            pad_token_id=rng.choice([1, 0, None, vocabulary - 1]), tie_word_embeddings=draw.chance(0.6), use_cache=draw.chance(0.7),
            num_labels=rng.choice([1, 2, 5]), problem_type=rng.choice([None, None, *random_models.PROBLEMS]),
            architectures=[class_name])

    def inputs(self, draw, model, load):
        config, class_name = model.config, type(model).__name__
        batch, cached = draw.rng.randint(1, 4), 0
        most = config.max_position_embeddings
        length = draw.rng.choice([1, 2, draw.rng.randint(1, most)])
        length = min(length, most)
        inputs = {}
        if draw.chance(0.2):
            inputs["inputs_embeds"] = draw.floats(batch, length, config.word_embed_proj_dim)
        else:
            inputs["input_ids"] = draw.ids(config.vocab_size, batch, length)
        if config.num_hidden_layers and length < most and draw.chance(0.4):
            cached = draw.rng.randint(1, most - length)
            first = {"input_ids": draw.ids(config.vocab_size, batch, cached)}
            inputs.update(random_models.cache(golden.call(load().base_model, first, use_cache=True)))
        mask = draw.mask(batch, None, cached + length, ["none", "right", "left", "holes", "floats"])
        if mask is not None:
            inputs["attention_mask"] = mask.bool() if draw.chance(0.2) else mask
        if config.num_hidden_layers and draw.chance(0.2):
            inputs["head_mask"] = torch.rand(config.num_hidden_layers, config.num_attention_heads, generator=draw.generator)
        self.add_labels(draw, config, class_name, batch, length, inputs)
        return draw.narrow(inputs)

    def add_labels(self, draw, config, class_name, batch, length, inputs):
        if not draw.chance(0.7):
            return
        if class_name == CAUSAL:
            inputs["labels"] = draw.some(draw.ids(config.vocab_size, batch, length))
        if class_name == CLASSIFIER:
            inputs["labels"] = draw.sequence_labels(config, batch)
        if class_name == ANSWER:
            for name in ("start_positions", "end_positions"):
                inputs[name] = draw.ids(length + 2, batch)

    def call(self, model, inputs, attentions):
        with golden.masks_of_float32():
            return super().call(model, inputs, attentions)


if __name__ == "__main__":
    sys.exit(random_models.main(OPT(), __doc__))
