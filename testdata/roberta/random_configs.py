#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on RoBERTa models drawn at random: classes, configs, weights, calls and labels.

    python random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

Every class of the family is drawn. What a case is, and what the command must write: see ../random_models.py.
"""
import sys

from transformers import RobertaConfig
from transformers.activations import ACT2FN

import golden  # Finds the next ones, too.
import random_encoders
import random_models

ENCODER_STATES = ["Model", "ForCausalLM", "ForMaskedLM"]  # Classes whose forward has them.
CACHES = ["Model", "ForCausalLM"]


class Roberta(random_encoders.Encoder):
    golden = golden
    prefix = "Roberta"
    classes = golden.CLASSES
    about = ["position_embedding_type", "hidden_act", "pad_token_id"]

    def config(self, draw, class_name):
        rng = draw.rng
        heads = rng.choice([1, 2, 3, 4, 6])
        decoder = draw.chance(0.8 if class_name == "RobertaForCausalLM" else 0.4)
        return RobertaConfig(
            vocab_size=rng.randint(6, 120), hidden_size=heads * rng.choice([1, 2, 4, 5, 8]), num_attention_heads=heads,
            num_hidden_layers=rng.choice([0, 1, 1, 2, 3]), intermediate_size=rng.randint(1, 64),
            hidden_act=rng.choice(sorted(ACT2FN)), max_position_embeddings=rng.randint(12, 48), type_vocab_size=rng.randint(1, 3),
            layer_norm_eps=rng.choice([1e-12, 1e-5, 1e-3]),
            position_embedding_type=rng.choice(["absolute", "absolute", "absolute", "relative_key", "relative_key_query"]),
            pad_token_id=rng.choice([1, 1, 0, 3, -1]), is_decoder=decoder, add_cross_attention=decoder and draw.chance(0.6),
            chunk_size_feed_forward=rng.choice([0, 0, 0, 1, 2]), tie_word_embeddings=draw.chance(0.7),
            num_labels=2 if class_name == "RobertaForQuestionAnswering" else rng.randint(1, 6),
            problem_type=rng.choice([None, None, *random_models.PROBLEMS]), classifier_dropout=rng.choice([None, 0.0, 0.5]),
            architectures=[class_name])

    def most_tokens(self, config):
        """Half of the positions there are, so that as many may be cached."""
        return (config.max_position_embeddings - config.pad_token_id - 1) // 2

    def may_cache(self, model, length):
        # Several new tokens after a cache get wrong distances in the peer, where positions are relative.
        config = model.config
        relative = config.position_embedding_type != "absolute"
        return self.task(model) in CACHES and config.is_decoder and config.num_hidden_layers and (not relative or length == 1)

    def length(self, draw, model, chunk):
        length = super().length(draw, model, chunk)
        return 1 if chunk == 1 and draw.chance(0.2) else length

    def more_inputs(self, draw, model, load, task, batch, length):
        config, more, cached = model.config, {}, 0
        if draw.chance(0.6):
            more["token_type_ids"] = draw.ids(config.type_vocab_size, batch, length)
        if draw.chance(0.2):
            more["position_ids"] = draw.ids(config.max_position_embeddings, batch, length)
        if task in ENCODER_STATES and config.add_cross_attention and draw.chance(0.8):
            memory = draw.rng.randint(1, 9)
            more["encoder_hidden_states"] = draw.floats(batch, memory, config.hidden_size)
            mask = draw.mask(batch, length, memory, random_encoders.MASKS, fewest=1)
            if mask is not None:
                more["encoder_attention_mask"] = mask
        if self.may_cache(model, length) and draw.chance(0.5):
            chunk = max(config.chunk_size_feed_forward, 1)
            cached = chunk * draw.rng.randint(1, max(1, self.most_tokens(config) // chunk))
            first = {"input_ids": draw.ids(config.vocab_size, batch, cached),
                     **{n: t for n, t in more.items() if n == "encoder_hidden_states"}}
            more.update(random_models.cache(golden.call(load(), first, use_cache=True)))
        return more, cached


if __name__ == "__main__":
    sys.exit(random_models.main(Roberta(), __doc__))
