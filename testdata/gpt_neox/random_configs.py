#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on GPT-NeoX models drawn at random: classes, configs, weights, calls and labels.

    python random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

Sequences are up to twice as long as max_position_embeddings. What a case is, and what the command must write: see
../random_models.py.
"""
import sys

from transformers import GPTNeoXConfig
from transformers.activations import ACT2FN

import golden  # Finds the next one, too.
import random_models

BASE, CAUSAL, CLASSIFIER, TOKENS, ANSWER = golden.CLASSES


class GPTNeoX(random_models.Family):
    golden = golden
    classes = list(golden.CLASSES)
    about = ["rope_scaling", "rotary_pct", "use_parallel_residual", "hidden_act"]

    def config(self, draw, class_name):
        rng = draw.rng
        heads, size = rng.choice([1, 2, 3, 4, 6]), rng.choice([2, 3, 4, 8, 10, 16])
        turns = rng.choice(range(0, size + 1, 2))
        # int() of the peer must find that number again. With two, `dynamic` divides by zero beyond max_position_embeddings.
        rotary_pct = min(1.0, (turns + rng.choice([0.01, 0.3])) / size)
        scaling = rng.choice([None, None, "linear", "dynamic"] if turns != 2 else [None, "linear"])
        return GPTNeoXConfig(
            vocab_size=rng.randint(6, 120), hidden_size=heads * size, num_attention_heads=heads,
            num_hidden_layers=rng.choice([0, 1, 1, 2, 3] if turns else [0, 1]), intermediate_size=rng.randint(4, 80),
            hidden_act=rng.choice(["gelu", "gelu", *sorted(ACT2FN)]), max_position_embeddings=rng.randint(4, 48),
            layer_norm_eps=rng.choice([1e-6, 1e-5, 1e-2]), rotary_emb_base=rng.choice([10000.0, 10000, 1000000, 77.5]),
            rotary_pct=rotary_pct, rope_scaling=scaling and {"type": scaling, "factor": rng.choice([1.5, 2.0, 8.0])},
            use_parallel_residual=draw.chance(0.6), attention_dropout=rng.choice([0.0, 0.1]), hidden_dropout=rng.choice([0.0, 0.1]),
            classifier_dropout=rng.choice([0.0, 0.3]), pad_token_id=rng.choice([0, 1, None, -1]), tie_word_embeddings=draw.chance(0.3),
            use_cache=draw.chance(0.7), num_labels=rng.choice([1, 2, 5]),
            problem_type=rng.choice([None, None, *random_models.PROBLEMS]), architectures=[class_name])

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
        if config.num_hidden_layers and class_name != ANSWER and draw.chance(0.4):
            cached = draw.rng.randint(1, 2 * config.max_position_embeddings)
            first = {"input_ids": draw.ids(config.vocab_size, batch, cached)}
            inputs.update(random_models.cache(golden.call(load().base_model, first, use_cache=True)))
        if draw.chance(0.3):
            inputs["position_ids"] = draw.rows(max(cached + length, config.max_position_embeddings), batch, length)
        mask = draw.mask_of_any_dtype(batch, None, cached + length)
        if mask is not None:
            inputs["attention_mask"] = mask
        if draw.chance(0.2):
            inputs["head_mask"] = draw.head_mask(config.num_hidden_layers, config.num_attention_heads)
        if class_name in (TOKENS, ANSWER) and draw.chance(0.2):
            inputs["token_type_ids"] = draw.ids(3, batch, length)
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


if __name__ == "__main__":
    sys.exit(random_models.main(GPTNeoX(), __doc__))
