#!/usr/bin/env python3
"""Writes MODEL.more.json: what transformers 4.34.0 generates with the models of ../models, over further settings.

    python make_golden.py [MODEL..]

Of a run are kept `kwargs`, the arguments of generate(), and `ids`; of an input its tensors, by name. A run whose ids change
when all scores are disturbed by up to 1e-4 is left out, and named.
"""
import json
import pathlib
import sys
import warnings

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
MODELS = ["GPT2LMHeadModel", "LlamaForCausalLM", "MistralForCausalLM", "GPTNeoXForCausalLM", "OPTForCausalLM",
          "BloomForCausalLM", "RobertaForCausalLM", "T5ForConditionalGeneration", "T5ForConditionalGeneration-v1_1"]
# Where another class saved the model: its folder, and what its config wants changed.
FOLDERS = {"RobertaForCausalLM": ("RobertaForMaskedLM", {"is_decoder": True})}
PADS = {"RobertaForCausalLM": 1}  # Its positions count what is not this.
CONFIG = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": None, "decoder_start_token_id": None}


class Noise(transformers.LogitsProcessor):
    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, input_ids, scores):
        return scores + 2e-4 * (torch.rand(scores.shape, generator=self.generator) - 0.5)


def runs(frequent, is_encoder_decoder):
    """{name: kwargs}. `frequent`: tokens that greedy search finds."""
    a, b, c = frequent[:3]
    result = {
        "greedy": {"max_new_tokens": 14},
        "greedy-eos-list": {"max_new_tokens": 14, "eos_token_id": [c, 10**6, a]},
        "greedy-eos-outside": {"max_new_tokens": 8, "eos_token_id": 10**6},
        "greedy-pad-is-eos": {"max_new_tokens": 10, "eos_token_id": a, "pad_token_id": a},
        "greedy-min-length": {"max_length": 16, "min_length": 12, "eos_token_id": [a, b]},
        "greedy-prompt-too-long": {"max_length": 1 if is_encoder_decoder else 3},
        "greedy-suppress": {"max_new_tokens": 10, "suppress_tokens": [a], "begin_suppress_tokens": [b, c]},
        "greedy-forced-eos": {"max_new_tokens": 6, "forced_eos_token_id": 5, "eos_token_id": 5},
        "greedy-decay": {"max_new_tokens": 14, "eos_token_id": 7, "exponential_decay_length_penalty": [3, 1.3]},
        "greedy-ngram-penalty": {"max_new_tokens": 14, "no_repeat_ngram_size": 3, "repetition_penalty": 1.2},
        "greedy-bad-words": {"max_new_tokens": 12, "bad_words_ids": [[a], [b, c], [c, c]]},
        "greedy-no-cache": {"max_new_tokens": 10, "use_cache": False, "eos_token_id": b},
        "sample-top-1": {"max_new_tokens": 10, "do_sample": True, "top_k": 1, "temperature": 0.7},
        "sample-top-1-twice": {"max_new_tokens": 8, "do_sample": True, "top_k": 1, "num_return_sequences": 2,
                               "eos_token_id": b},
        "beam2": {"max_new_tokens": 12, "num_beams": 2},
        "beam3-eos-list": {"max_new_tokens": 12, "num_beams": 3, "eos_token_id": [a, b], "num_return_sequences": 3},
        "beam3-no-cache": {"max_new_tokens": 8, "num_beams": 3, "eos_token_id": a, "use_cache": False},
        "beam4-early": {"max_new_tokens": 14, "num_beams": 4, "eos_token_id": a, "early_stopping": True,
                        "length_penalty": 0.3},
        "beam4-late": {"max_new_tokens": 14, "num_beams": 4, "eos_token_id": a, "early_stopping": False,
                       "length_penalty": -1.0},
        "beam4-never": {"max_new_tokens": 14, "num_beams": 4, "eos_token_id": [a, c], "early_stopping": "never",
                        "length_penalty": 1.5, "num_return_sequences": 2},
        "beam4-min-new": {"max_new_tokens": 12, "num_beams": 4, "eos_token_id": [a, b, c], "min_new_tokens": 5},
        "beam4-ngram": {"max_new_tokens": 12, "num_beams": 4, "no_repeat_ngram_size": 2, "renormalize_logits": True},
        "beam4-groups": {"max_new_tokens": 10, "num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.8,
                         "num_return_sequences": 4},
        "beam6-groups-eos": {"max_new_tokens": 10, "num_beams": 6, "num_beam_groups": 3, "diversity_penalty": 1.5,
                             "eos_token_id": [a, b], "num_return_sequences": 2},
    }
    if is_encoder_decoder:
        result["greedy-forced-bos"] = {"max_new_tokens": 8, "forced_bos_token_id": 9}
        result["greedy-encoder"] = {"max_new_tokens": 10, "encoder_no_repeat_ngram_size": 1,
                                    "encoder_repetition_penalty": 1.3}
        result["beam4-forced"] = {"max_new_tokens": 8, "num_beams": 4, "forced_bos_token_id": 9, "forced_eos_token_id": 5,
                                  "eos_token_id": 5}
    return {name: {"do_sample": False, "num_beams": 1, "eos_token_id": None, **kwargs} for name, kwargs in result.items()}


def settings_of(name, is_encoder_decoder):
    return dict(CONFIG, pad_token_id=PADS.get(name, 0), decoder_start_token_id=0 if is_encoder_decoder else None)


def inputs_of(name, vocabulary, is_encoder_decoder):
    """Rows that are padded on the left (the encoder's on the right); rows without a mask; a single one."""
    generator = torch.Generator().manual_seed(len(name))
    ids = torch.randint(2, vocabulary, (3, 7), generator=generator)
    mask = torch.tensor([[1] * 7, [0] * 2 + [1] * 5, [0] * 5 + [1] * 2])
    if is_encoder_decoder:
        mask = mask.flip(1)
    more = {"input_ids": torch.randint(2, vocabulary, (1, 4), generator=generator)}
    if is_encoder_decoder:
        more["decoder_input_ids"] = torch.randint(2, vocabulary, (1, 3), generator=generator)
    padded = ids * mask + PADS.get(name, 0) * (1 - mask)
    return [{"input_ids": padded, "attention_mask": mask},
            {"input_ids": padded},  # Padding shows.
            more]


def load(name):
    folder, changes = FOLDERS.get(name, (name, {}))
    model = getattr(transformers, name.split("-")[0]).from_pretrained(HERE.parent / "models" / folder, **changes).eval()
    settings = settings_of(name, model.config.is_encoder_decoder)
    model.generation_config = transformers.GenerationConfig(**settings)
    return model


def generate(model, inputs, kwargs, seed=None):
    noise = [] if seed is None else [Noise(seed)]
    return model.generate(**inputs, **kwargs, logits_processor=transformers.LogitsProcessorList(noise)).tolist()


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or MODELS:
        model = load(name)
        config = model.config
        document = {"model": name, "inputs": [], "left_out": [], "generation_config": settings_of(name, config.is_encoder_decoder)}
        if name in FOLDERS:
            document["folder"], document["config"] = FOLDERS[name]
        for number, inputs in enumerate(inputs_of(name, config.vocab_size, config.is_encoder_decoder)):
            prompt = 1 if config.is_encoder_decoder else inputs["input_ids"].shape[1]
            found = [token for row in generate(model, inputs, {"max_new_tokens": 14, "eos_token_id": None})
                     for token in row[prompt:] if token != PADS.get(name, 0)]
            frequent = sorted(set(found), key=lambda token: (-found.count(token), token))
            # The first ends texts late, and the others early.
            frequent = [*frequent[-1:], *frequent, 11, 12]
            entry = {**{key: tensor.tolist() for key, tensor in inputs.items()}, "runs": {}}
            for run, kwargs in runs(frequent, config.is_encoder_decoder).items():
                ids = generate(model, inputs, kwargs)
                if any(generate(model, inputs, kwargs, seed) != ids for seed in (1, 2)):
                    document["left_out"].append(f"{number}/{run}")
                    continue
                entry["runs"][run] = {"kwargs": kwargs, "ids": ids}
            document["inputs"].append(entry)
        text = json.dumps(document)
        (HERE / f"{name}.more.json").write_text(text + "\n")
        print(name, sum(len(entry["runs"]) for entry in document["inputs"]), "runs; left out:", document["left_out"])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    main()
