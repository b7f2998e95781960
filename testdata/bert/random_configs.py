#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on BERT models drawn at random: classes, configs, weights, calls and labels.

    python random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

Every class of the family is drawn, BertModel as often as all with a head. What a case is, and what the command must write:
see ../random_models.py.
"""
import pathlib
import sys

from transformers import BertConfig
from transformers.activations import ACT2FN

import golden

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import random_encoders  # noqa: E402  (of testdata)
import random_models  # noqa: E402

HEADS = ["BertForPreTraining", "BertLMHeadModel", "BertForMaskedLM", "BertForNextSentencePrediction",
         "BertForSequenceClassification", "BertForMultipleChoice", "BertForTokenClassification", "BertForQuestionAnswering"]
ENCODER_STATES = ["BertModel", "BertLMHeadModel", "BertForMaskedLM"]  # Classes whose forward has them.
CACHES = ["BertModel", "BertLMHeadModel"]


def draw_labels(draw, config, class_name, batch, length):
    """The labels of a class with a head, by name; or none of them."""
    if class_name == "BertForPreTraining":
        return {} if draw.chance(0.3) else {"labels": draw.some(draw.ids(config.vocab_size, batch, length)),
                                            "next_sentence_label": draw.some(draw.ids(2, batch))}
    if class_name == "BertForNextSentencePrediction":
        return {} if draw.chance(0.3) else {"labels": draw.some(draw.ids(2, batch))}
    task = "ForCausalLM" if class_name == "BertLMHeadModel" else class_name.removeprefix("Bert")
    return random_encoders.labels(draw, config, task, batch, length)


class Bert(random_models.Family):
    golden = golden
    classes = ["BertModel"] * len(HEADS) + HEADS
    about = ["position_embedding_type", "hidden_act"]

    def config(self, draw, class_name):
        rng = draw.rng
        heads = rng.choice([1, 2, 3, 4, 6, 8])
        decoder = draw.chance(0.8 if class_name == "BertLMHeadModel" else 0.4)
        return BertConfig(
            vocab_size=rng.randint(3, 200), hidden_size=heads * rng.choice([1, 2, 4, 5, 8, 16]), num_attention_heads=heads,
            num_hidden_layers=rng.choice([0, 1, 1, 2, 3, 5]), intermediate_size=rng.randint(1, 96),
            hidden_act=rng.choice(sorted(ACT2FN)), max_position_embeddings=rng.randint(8, 64),
            type_vocab_size=rng.randint(1, 4), layer_norm_eps=rng.choice([1e-12, 1e-6, 1e-3]),
            position_embedding_type=rng.choice(["absolute", "absolute", "relative_key", "relative_key_query"]),
            pad_token_id=rng.choice([0, 1, None]), is_decoder=decoder,
            add_cross_attention=decoder and draw.chance(0.6), chunk_size_feed_forward=rng.choice([0, 0, 0, 1, 2]),
            tie_word_embeddings=draw.chance(0.7), num_labels=2 if class_name == "BertForQuestionAnswering" else rng.randint(1, 6),
            problem_type=rng.choice([None, None, *random_models.PROBLEMS]),
            classifier_dropout=rng.choice([None, 0.0, 0.5]), architectures=[class_name])

    def inputs(self, draw, model, load):
        config, class_name = model.config, type(model).__name__
        chunk = max(config.chunk_size_feed_forward, 1)
        batch, cached = draw.rng.randint(1, 4), 0
        length = chunk * draw.rng.randint(1, config.max_position_embeddings // 2 // chunk)
        # Several new tokens after a cache get wrong distances in the peer (see README.md): draw one where positions are
        # relative.
        relative = config.position_embedding_type != "absolute"
        may_cache = class_name in CACHES and config.is_decoder and config.num_hidden_layers and (not relative or chunk == 1)
        use_cached = may_cache and draw.chance(0.4)
        if use_cached and relative:
            length = 1
        inputs = {}
        if draw.chance(0.2):
            inputs["inputs_embeds"] = draw.floats(batch, length, config.hidden_size)
        else:
            inputs["input_ids"] = draw.ids(config.vocab_size, batch, length)
        if draw.chance(0.6):
            inputs["token_type_ids"] = draw.ids(config.type_vocab_size, batch, length)
        if draw.chance(0.3):
            inputs["position_ids"] = draw.ids(config.max_position_embeddings, batch, length)
        if draw.chance(0.3):
            inputs["head_mask"] = draw.head_mask(config.num_hidden_layers, config.num_attention_heads)
        if class_name in ENCODER_STATES and config.add_cross_attention and draw.chance(0.8):
            memory = draw.rng.randint(1, 9)
            inputs["encoder_hidden_states"] = draw.floats(batch, memory, config.hidden_size)
            mask = draw.mask(batch, length, memory, random_encoders.MASKS, fewest=1)
            if mask is not None:
                inputs["encoder_attention_mask"] = mask
        if use_cached:
            cached = chunk * draw.rng.randint(1, config.max_position_embeddings // 2 // chunk)
            first = {"input_ids": draw.ids(config.vocab_size, batch, cached),
                     **{n: t for n, t in inputs.items() if n == "encoder_hidden_states"}}
            inputs.update(random_models.cache(golden.call(load(), first, use_cache=True)))
        mask = draw.mask(batch, length, length + cached, random_encoders.MASKS)
        if mask is not None and (mask.dim() == 2 or class_name != "BertForMultipleChoice"):  # Choices take their place.
            inputs["attention_mask"] = mask
        if class_name == "BertForMultipleChoice":
            return random_encoders.as_choices(draw, inputs)
        return {**inputs, **draw_labels(draw, config, class_name, batch, length)}

    def call(self, model, inputs, attentions):
        use_cache = False if type(model).__name__ in CACHES else None
        return golden.call(model, inputs, use_cache=use_cache, output_attentions=attentions)


if __name__ == "__main__":
    sys.exit(random_models.main(Bert(), __doc__))
