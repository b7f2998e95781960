#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on GPT-2 models drawn at random: classes, configs, weights, calls and labels.

    python random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

What a case is, and what the command must write: see ../random_models.py.
"""
import pathlib
import sys

from transformers import GPT2Config
from transformers.activations import ACT2FN

import golden

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import random_models  # noqa: E402  (of testdata)

LANGUAGE_MODEL, CLASSIFIER = golden.CLASSES[1:]


class Gpt2(random_models.Family):
    golden = golden
    classes = list(golden.CLASSES)
    about = ["activation_function"]

    def config(self, draw, class_name):
        rng = draw.rng
        heads = rng.choice([1, 2, 3, 4, 6, 8])
        return GPT2Config(
            vocab_size=rng.randint(3, 200), n_embd=heads * rng.choice([1, 2, 4, 5, 8, 16]), n_head=heads,
            n_layer=rng.choice([0, 1, 1, 2, 3, 5]), n_inner=rng.choice([None, rng.randint(1, 96)]),
            n_positions=rng.randint(8, 64), activation_function=rng.choice(["gelu_new", *sorted(ACT2FN)]),
            layer_norm_epsilon=rng.choice([1e-12, 1e-5, 1e-2]), scale_attn_weights=draw.chance(0.7),
            scale_attn_by_inverse_layer_idx=draw.chance(0.3), reorder_and_upcast_attn=draw.chance(0.3),
            add_cross_attention=draw.chance(0.3), tie_word_embeddings=draw.chance(0.7), num_labels=rng.randint(1, 4),
            pad_token_id=rng.choice([0, 0, 1, -1, None]), problem_type=rng.choice([None, None, *random_models.PROBLEMS]),
            bos_token_id=1, eos_token_id=2, use_cache=draw.chance(0.5), architectures=[class_name])

    def inputs(self, draw, model, load):
        config, class_name = model.config, type(model).__name__
        batch, cached = draw.rng.randint(1, 4), 0
        if class_name == CLASSIFIER and config.pad_token_id is None:
            batch = 1  # For more, the peer needs to know the padding.
        if config.n_layer and draw.chance(0.4):
            cached = draw.rng.randint(1, config.n_positions - 1)
        length = draw.rng.choice([1, draw.rng.randint(1, config.n_positions - cached)])
        inputs = {}
        if draw.chance(0.2):
            inputs["inputs_embeds"] = draw.floats(batch, length, config.n_embd)
        else:
            inputs["input_ids"] = draw.ids(config.vocab_size, batch, length)
        if draw.chance(0.3):
            inputs["token_type_ids"] = draw.rows(config.vocab_size, batch, length)
        if draw.chance(0.3):
            inputs["position_ids"] = draw.rows(config.n_positions, batch, length)
        if draw.chance(0.3):
            inputs["head_mask"] = draw.head_mask(config.n_layer, config.n_head)
        if config.add_cross_attention and class_name != CLASSIFIER:
            # One row of encoder states serves all, but where the peer multiplies batches (upcast).
            memory = draw.rng.randint(1, 9)
            rows = batch if config.reorder_and_upcast_attn else draw.rng.choice([1, batch, batch])
            if draw.chance(0.8):
                inputs["encoder_hidden_states"] = draw.floats(rows, memory, config.n_embd)
            mask = draw.mask_of_any_dtype(rows, length, memory)
            if mask is not None:  # Without encoder states it stands for nothing.
                inputs["encoder_attention_mask"] = mask
        if cached:
            first = {"input_ids": draw.ids(config.vocab_size, batch, cached),
                     **{n: t for n, t in inputs.items() if n == "encoder_hidden_states"}}
            inputs.update(random_models.cache(golden.call(load(), first, use_cache=True)))
        mask = draw.mask_of_any_dtype(batch, None, length + cached)
        if mask is not None:
            inputs["attention_mask"] = mask[:, None, None] if draw.chance(0.2) else mask  # The peer makes it two-dimensional.
        if class_name == LANGUAGE_MODEL and draw.chance(0.7):
            inputs["labels"] = draw.some(draw.ids(config.vocab_size, batch, length))
        if class_name == CLASSIFIER and draw.chance(0.7):
            inputs["labels"] = draw.sequence_labels(config, batch)
        return draw.narrow(inputs)

    def has_attentions(self, model, inputs):
        # With cross-attention, the peer has them only where there are encoder states: never in a classifier.
        return "encoder_hidden_states" in inputs or not model.config.add_cross_attention or not model.config.n_layer

    def exact(self, model):
        for module in model.modules():  # Scores of float64 need no upcast, and the peer refuses it.
            if hasattr(module, "reorder_and_upcast_attn"):
                module.reorder_and_upcast_attn = False
        return model.double()


if __name__ == "__main__":
    sys.exit(random_models.main(Gpt2(), __doc__))
