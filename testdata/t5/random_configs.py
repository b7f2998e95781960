#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on T5 models drawn at random: classes, configs, weights, calls and labels.

    python random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

encoder_outputs is `encoder_outputs.0`, and `.1.N` and `.2.N` of hidden states and attentions. The tolerance is 1e-4 where
the feed-forward is gated. What a case is, and what the command must write: see ../random_models.py.
"""
import pathlib
import sys

from transformers import T5Config
from transformers.activations import ACT2FN

import golden

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import random_models  # noqa: E402  (of testdata)

GENERATION, ENCODER = "T5ForConditionalGeneration", "T5EncoderModel"
ENCODER_SIDE = ("input_ids", "inputs_embeds", "encoder_outputs.0", "attention_mask")


class T5(random_models.Family):
    golden = golden
    classes = ["T5Model", GENERATION, GENERATION, ENCODER]
    about = ["feed_forward_proj"]

    def config(self, draw, class_name):
        rng = draw.rng
        layers, decoder_layers = rng.choice([0, 1, 1, 2, 3]), rng.choice([None, None, 0, 1, 2])
        # Of fewer buckets, or of a distance that the first half of them covers, the peer makes no logarithms.
        buckets = rng.choice([4, 5, 8, 12, 32])
        distance = rng.choice([rng.randint(buckets // 2 + 1, 4 * buckets), 128])
        # A decoder that is deeper has nothing to be tied to.
        may_tie = class_name != ENCODER and (decoder_layers is None or decoder_layers <= layers)
        is_decoder = class_name == ENCODER and draw.chance(0.15)
        activations = ["relu", "gelu_new", "gated-gelu", "gated-silu", *(rng.choice(["", "gated-"]) + a for a in sorted(ACT2FN))]
        config = T5Config(
            vocab_size=rng.randint(3, 100), d_model=rng.randint(1, 40), d_kv=rng.choice([1, 2, 5, 8]), d_ff=rng.randint(1, 64),
            num_heads=rng.choice([1, 2, 3, 4, 6]), num_layers=layers, num_decoder_layers=decoder_layers,
            relative_attention_num_buckets=buckets, relative_attention_max_distance=distance,
            layer_norm_epsilon=rng.choice([1e-6, 1e-12, 1e-3]), feed_forward_proj=rng.choice(activations),
            tie_word_embeddings=draw.chance(0.6), pad_token_id=rng.choice([0, 1, 2]),
            decoder_start_token_id=rng.choice([0, 1, 2]), tie_encoder_decoder=may_tie and draw.chance(0.15),
            is_decoder=is_decoder, use_cache=draw.chance(0.5), architectures=[class_name])
        if is_decoder:
            config.is_encoder_decoder = False
        return config

    def inputs(self, draw, model, load):
        config, class_name = model.config, type(model).__name__
        batch, source, target = draw.rng.randint(1, 4), draw.rng.randint(1, 40), draw.rng.randint(1, 30)
        inputs = self.encoder_inputs(draw, config, batch, source, target, encoder_alone=class_name == ENCODER)
        if class_name == ENCODER:
            return draw.narrow(inputs)
        with_labels = class_name == GENERATION and draw.chance(0.5)
        if with_labels:
            inputs["labels"] = draw.some(draw.ids(config.vocab_size, batch, target))
        cached = draw.rng.randint(1, 30) if config.num_decoder_layers and draw.chance(0.35) else 0
        if cached:
            inputs.update(self.past(draw, load(), inputs, batch, source, cached))
        if draw.chance(0.2):
            inputs["decoder_inputs_embeds"] = draw.floats(batch, target, config.d_model)
        elif not with_labels or draw.chance(0.3):
            inputs["decoder_input_ids"] = draw.ids(config.vocab_size, batch, target)
        mask = draw.mask_of_any_dtype(batch, target, target + cached)
        if mask is not None:
            inputs["decoder_attention_mask"] = mask
        for name in ("decoder_head_mask", "cross_attn_head_mask"):
            if draw.chance(0.3):
                inputs[name] = draw.head_mask(config.num_decoder_layers, config.num_heads)
        return draw.narrow(inputs)

    def encoder_inputs(self, draw, config, batch, source, target, encoder_alone):
        """What the encoder takes, or put out."""
        inputs, given = {}, not encoder_alone and draw.chance(0.25)
        if given:
            inputs["encoder_outputs.0"] = draw.floats(batch, source, config.d_model)
            if draw.chance(0.3):  # What goes to the output as it is.
                inputs.update({f"encoder_outputs.1.{n}": draw.floats(batch, source, config.d_model)
                               for n in range(config.num_layers + 1)})
            if draw.chance(0.3):
                inputs.update({f"encoder_outputs.2.{n}": draw.floats(batch, config.num_heads, source, source)
                               for n in range(config.num_layers)})
        elif draw.chance(0.2):
            inputs["inputs_embeds"] = draw.floats(batch, source, config.d_model)
        else:
            inputs["input_ids"] = draw.ids(config.vocab_size, batch, source)
        # The mask of the encoder's tokens is cross-attention's too: of rank 3, it fits the queries of both where it has one.
        queries = source if encoder_alone else target if given else 1
        mask = draw.mask_of_any_dtype(batch, queries, source)
        if mask is not None:
            inputs["attention_mask"] = mask
        if draw.chance(0.3):  # The decoder's, too, where it has no other and as many layers.
            inputs["head_mask"] = draw.head_mask(config.num_layers, config.num_heads)
        return inputs

    def past(self, draw, model, inputs, batch, source, cached):
        """A cache of `cached` tokens: after the same source, another one, or one of another length."""
        kind = draw.rng.choice(["same", "other", "length"])
        first = {name: t for name, t in inputs.items() if name in ENCODER_SIDE and not (name == "attention_mask" and t.dim() == 3)}
        if kind != "same":
            first = {"input_ids": draw.ids(model.config.vocab_size, batch, source if kind == "other" else source + 3)}
        first["decoder_input_ids"] = draw.ids(model.config.vocab_size, batch, cached)
        return random_models.cache(golden.call(model, first, use_cache=True))

    def call(self, model, inputs, attentions):
        with golden.masks_of_float32():
            return super().call(model, inputs, attentions)

    def has_attentions(self, model, inputs):
        # The peer cannot put out those of a decoder without encoder states.
        return not (type(model).__name__ == ENCODER and model.config.is_decoder)

    def tolerance(self, config):
        return 1e-4 if config.is_gated_act else 1e-5


if __name__ == "__main__":
    sys.exit(random_models.main(T5(), __doc__))
