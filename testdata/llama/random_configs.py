#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on LLaMA models drawn at random: classes, configs, weights, calls and labels.

    python random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

Sequences are up to twice as long as max_position_embeddings. What a case is, and what the command must write: see
../random_models.py.
"""
import pathlib
import sys

from transformers import LlamaConfig
from transformers.activations import ACT2FN

import golden

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import random_models  # noqa: E402  (of testdata)

CAUSAL, CLASSIFIER = "LlamaForCausalLM", "LlamaForSequenceClassification"


class Llama(random_models.Family):
    golden = golden
    classes = ["LlamaModel", CAUSAL, CLASSIFIER]
    about = ["rope_scaling", "hidden_act"]

    def config(self, draw, class_name):
        rng = draw.rng
        key_heads = rng.choice([1, 1, 2, 3, 4])
        heads = key_heads * rng.choice([1, 1, 2, 3, 4])
        size = rng.choice([2, 4, 6, 8, 10, 16])
        tensor_parallel = [n for n in (1, 1, 1, 2, 3, 4) if (key_heads * size) % n == 0]
        # With heads of two, `dynamic` divides by zero beyond max_position_embeddings.
        scaling = rng.choice([None, None, "linear", "dynamic"] if size > 2 else [None, "linear"])
        return LlamaConfig(
            vocab_size=rng.randint(6, 120), hidden_size=heads * size, num_attention_heads=heads,
            num_key_value_heads=rng.choice([None, key_heads]) if key_heads == heads else key_heads,
            num_hidden_layers=rng.choice([0, 1, 1, 2, 3]), intermediate_size=rng.randint(4, 80),
            hidden_act=rng.choice(["silu", "silu", *sorted(ACT2FN)]), max_position_embeddings=rng.randint(4, 48),
            rms_norm_eps=rng.choice([1e-6, 1e-5, 1e-2]), rope_theta=rng.choice([10000.0, 10000, 1e6, 77.5]),
            rope_scaling=scaling and {"type": scaling, "factor": rng.choice([1.5, 2.0, 8.0])},
            pretraining_tp=rng.choice(tensor_parallel), attention_bias=draw.chance(0.3),
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
        # Logits that pretraining_tp cuts fit no labels.
        cut = config.vocab_size % config.pretraining_tp
        if class_name == CAUSAL and not cut and draw.chance(0.7):
            inputs["labels"] = draw.some(draw.ids(config.vocab_size, batch, length))
        if class_name == CLASSIFIER and draw.chance(0.7):
            inputs["labels"] = draw.sequence_labels(config, batch)
        return draw.narrow(inputs)

    def call(self, model, inputs, attentions):
        with golden.masks_of_float32():
            return super().call(model, inputs, attentions)


if __name__ == "__main__":
    sys.exit(random_models.main(Llama(), __doc__))
