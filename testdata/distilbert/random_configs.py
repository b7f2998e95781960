#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on DistilBERT models drawn at random: classes, configs, weights, calls and labels.

    python random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

Every class of the family is drawn. What a case is, and what the command must write: see ../random_models.py.
"""
import contextlib
import sys

import torch
from transformers import DistilBertConfig
from transformers.activations import ACT2FN

import golden  # Finds the next ones, too.
import random_encoders
import random_models


class DistilBert(random_encoders.Encoder):
    golden = golden
    prefix = "DistilBert"
    classes = golden.CLASSES
    about = ["activation", "n_layers", "sinusoidal_pos_embds"]

    def config(self, draw, class_name):
        rng = draw.rng
        heads = rng.choice([1, 2, 3, 4, 6])
        return DistilBertConfig(
            vocab_size=rng.randint(6, 120), dim=heads * rng.choice([1, 2, 4, 5, 8]), n_heads=heads,
            n_layers=rng.choice([0, 1, 1, 2, 3, 5]), hidden_dim=rng.randint(1, 64), activation=rng.choice(sorted(ACT2FN)),
            max_position_embeddings=rng.randint(4, 48), sinusoidal_pos_embds=draw.chance(0.3), pad_token_id=rng.choice([0, 1, None, -1]),
            chunk_size_feed_forward=rng.choice([0, 0, 0, 1, 2]), tie_word_embeddings=draw.chance(0.7),
            num_labels=2 if class_name == "DistilBertForQuestionAnswering" else rng.randint(1, 6),
            problem_type=rng.choice([None, None, *random_models.PROBLEMS]), architectures=[class_name])

    def mask(self, draw, batch, length, cached, task):
        return draw.mask_of_any_dtype(batch, None, length)

    def call(self, model, inputs, attentions):
        doubles = golden.float64_by_default() if model.dtype == torch.float64 else contextlib.nullcontext()
        with doubles:
            return super().call(model, inputs, attentions)


if __name__ == "__main__":
    sys.exit(random_models.main(DistilBert(), __doc__))
