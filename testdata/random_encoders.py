"""What BERT's kin draw in */random_configs.py: inputs, masks and labels of encoders with heads.

A class's name is its family's and what it does: "RobertaForMaskedLM".
"""
import random_models

MASKS = ["none", "right", "left", "holes", "3d", "floats"]


def labels(draw, config, task, batch, length):
    """The labels of a class that does `task`, "ForMaskedLM", by name; or none of them."""
    if draw.chance(0.3):
        return {}
    if task in ("ForCausalLM", "ForMaskedLM"):
        return {"labels": draw.some(draw.ids(config.vocab_size, batch, length))}
    if task == "ForTokenClassification":
        return {"labels": draw.some(draw.ids(config.num_labels, batch, length))}
    if task == "ForQuestionAnswering":
        return {"start_positions": draw.ids(length + 2, batch), "end_positions": draw.ids(length + 2, batch)}
    if task == "ForSequenceClassification":
        return {"labels": draw.sequence_labels(config, batch)}
    return {}


def as_choices(draw, inputs):
    """The inputs of sequences as those of one more choices each, with labels."""
    batch = next(t.shape[0] for n, t in inputs.items() if n in ("input_ids", "inputs_embeds"))
    choices = draw.rng.choice([n for n in range(1, batch + 1) if batch % n == 0])
    shaped = {n: t if n == "head_mask" else t.reshape(batch // choices, choices, *t.shape[1:]) for n, t in inputs.items()}
    if draw.chance(0.7):
        shaped["labels"] = draw.ids(choices, batch // choices)
    return shaped


class Encoder(random_models.Family):
    """What a family of encoders draws for a call. A script derives from it, and says how many tokens there may be."""

    def task(self, model):
        return type(model).__name__.removeprefix(self.prefix)

    def most_tokens(self, config):
        return config.max_position_embeddings

    def more_inputs(self, draw, model, load, task, batch, length):
        """(what the family's forward has beside ids, masks and labels, by name; tokens in a cache among that)."""
        return {}, 0

    def length(self, draw, model, chunk):
        return chunk * draw.rng.randint(1, max(1, self.most_tokens(model.config) // chunk))

    def mask(self, draw, batch, length, cached, task):
        """A mask of ones and zeros, or None; choices take the place of a third dimension."""
        kinds = [kind for kind in MASKS if kind != "3d" or task != "ForMultipleChoice"]
        return draw.mask(batch, length, length + cached, kinds)

    def inputs(self, draw, model, load):
        config, task = model.config, self.task(model)
        batch = draw.rng.randint(1, 4)
        length = self.length(draw, model, max(config.chunk_size_feed_forward, 1))
        inputs = {}
        if draw.chance(0.2):
            inputs["inputs_embeds"] = draw.floats(batch, length, config.hidden_size)
        else:
            inputs["input_ids"] = draw.ids(config.vocab_size, batch, length)
        if draw.chance(0.3):
            inputs["head_mask"] = draw.head_mask(config.num_hidden_layers, config.num_attention_heads)
        more, cached = self.more_inputs(draw, model, load, task, batch, length)
        inputs.update(more)
        mask = self.mask(draw, batch, length, cached, task)
        if mask is not None:
            inputs["attention_mask"] = mask
        if task == "ForMultipleChoice":
            return draw.narrow(as_choices(draw, inputs))
        return draw.narrow({**inputs, **labels(draw, config, task, batch, length)})
