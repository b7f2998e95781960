#!/usr/bin/env python3
"""Writes what transformers 4.34.0 makes of configs: config.json and generation_config.json, to the byte.

    python testdata/save/make_golden.py        # from the root of the workspace

Needs ../requirements.txt. Writes, beside this file:

configs.json: a list of {"class", "json", "set", "diff", "all"}. What from_dict(json) of the class, with the attributes
of `set` put in afterwards, gives as to_json_string(), and as to_json_string(use_diff=False).

generation_configs.json: a list of {"json", "from_model_config", "diff", "all", "is_valid"} or {.., "raises"}: the same
of GenerationConfig.from_dict(json), or, where `from_model_config` names a config class, of
GenerationConfig.from_model_config(CLASS.from_dict(json)). `is_valid`: whether save_pretrained() writes the file.

saved.json: {folder: {"class", "config.json", "generation_config.json"}}: what from_pretrained(folder) and then
save_pretrained() write.
"""
import json
import logging
import pathlib
import sys
import tempfile
import warnings

import transformers
from transformers import (BertConfig, GenerationConfig, GPT2Config, LlamaConfig, PretrainedConfig, T5Config)

HERE = pathlib.Path(__file__).resolve().parent
CLASSES = {c.__name__: c for c in (PretrainedConfig, BertConfig, GPT2Config, T5Config, LlamaConfig)}
FAMILIES = ("BertConfig", "GPT2Config", "T5Config", "LlamaConfig")
LABELS = {str(i): "Etikett \u00e4%d" % i for i in (0, 10, 2, 1, 3, 11)}

# For every class.
COMMON = [
    ({}, {}),
    ({"_name_or_path": "some/where", "architectures": ["Some", "Other"], "torch_dtype": "bfloat16",
      "transformers_version": "4.11.3", "_commit_hash": "abc", "_auto_class": None, "_flash_attn_2_enabled": False}, {}),
    ({"name_or_path": "an/argument", "xla_device": True, "torch_dtype": "half"}, {}),
    ({"name_or_path": "an/argument", "_name_or_path": "an/attribute"}, {}),
    ({"id2label": LABELS, "label2id": {v: int(k) for k, v in LABELS.items()}}, {}),
    ({"id2label": {"0": "no", "1": "yes"}}, {}),
    ({"label2id": {"no": 0, "yes": 1}}, {}),
    ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}}, {}),
    ({"id2label": None, "num_labels": 3}, {}),
    ({"num_labels": 12}, {}),
    ({"num_labels": 2}, {}),
    ({"id2label": {"00": "a", " 7 ": "b"}, "num_labels": 5}, {}),
    ({}, {"num_labels": 3}),
    ({"num_labels": 3}, {"num_labels": 1}),
    ({}, {"id2label": {"0": "only"}}),
    ({"id2label": {"0": "only"}}, {"label2id": {"only": 0}}),
    ({"unknown": {"b": [1, 2.5, None, True], "a": {"10": 1, "9": 2}}, "Caf\u00e9 \U0001f600\x7f": "\u2028\n\t\"\\/"}, {}),
    ({"tiny": 1e-5, "smaller": 1e-12, "large": 1e16, "not_so_large": 1e15, "third": 1 / 3, "minus": -0.0,
      "negative": -2.5e-7, "huge": 9223372036854775807, "unsigned": 18446744073709551615, "empty": [], "none": {}}, {}),
    ({"max_length": 20, "temperature": 1, "top_k": 50.0, "do_sample": 0, "return_dict": 1, "num_beams": 1.0}, {}),
    ({"max_length": 200, "temperature": 0.7, "top_k": 0, "do_sample": True, "return_dict": False}, {}),
    ({"tie_word_embeddings": True, "is_encoder_decoder": False, "is_decoder": False}, {}),
    ({"tie_word_embeddings": False, "is_encoder_decoder": True, "is_decoder": True, "add_cross_attention": True}, {}),
    ({"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}, {}),
    ({"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": [2, 3], "decoder_start_token_id": 0}, {}),
    ({"pruned_heads": {"11": [1, 0], "2": [3]}}, {}),
    ({"task_specific_params": {"summarization": {"prefix": "kurz: ", "num_beams": 4}}, "prefix": "\u00fc"}, {}),
    ({"problem_type": "regression", "finetuning_task": "mnli", "tokenizer_class": "T"}, {}),
    ({"use_cache": False, "output_attentions": True, "output_hidden_states": True, "torchscript": True}, {}),
    ({"quantization_config": {"bits": 8}}, {}),
    ({"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3}, {}),
    ({"hidden_size": 32}, {"hidden_size": 64, "num_attention_heads": 2, "new_attribute": "x"}),
]

# For one family.
OWN = {
    "BertConfig": [
        ({"vocab_size": 100, "hidden_act": "relu", "layer_norm_eps": 1e-5, "type_vocab_size": 2.0}, {}),
        ({"classifier_dropout": 0.1, "position_embedding_type": "relative_key", "gradient_checkpointing": False}, {}),
    ],
    "GPT2Config": [
        ({"n_embd": 32, "n_ctx": 1024, "n_inner": None, "bos_token_id": 50256}, {}),
        ({"n_embd": 32, "hidden_size": 64, "max_position_embeddings": 7}, {}),
        ({"n_inner": 128, "activation_function": "gelu", "scale_attn_weights": False, "pad_token_id": 50256}, {}),
    ],
    "T5Config": [
        ({"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_decoder_layers": 2}, {}),
        ({"feed_forward_proj": "gated-silu", "d_ff": 8}, {}),
        ({"feed_forward_proj": "gelu", "is_gated_act": True, "dense_act_fn": "tanh"}, {}),
        ({"num_layers": 3, "n_positions": 512, "output_past": True}, {}),
        ({"dropout_rate": 0.0, "classifier_dropout": 0.5, "layer_norm_epsilon": 1e-6, "is_encoder_decoder": False}, {}),
    ],
    "LlamaConfig": [
        ({"num_attention_heads": 8, "num_key_value_heads": 2, "rope_scaling": {"type": "linear", "factor": 2.0}}, {}),
        ({"num_attention_heads": 8, "num_key_value_heads": None, "rope_theta": 1000000.0, "pretraining_tp": 2}, {}),
        ({"rms_norm_eps": 1e-5, "max_sequence_length": 2048, "attention_bias": True, "tie_word_embeddings": True}, {}),
    ],
}

GENERATION = [
    {},
    {"max_length": 20, "temperature": 1, "do_sample": 0},
    {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 0, "max_new_tokens": 30, "typical_p": 0.5},
    {"num_beams": 4, "early_stopping": "never", "length_penalty": 2.0, "num_return_sequences": 3},
    {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    {"bos_token_id": 1, "eos_token_id": [2, 50], "pad_token_id": 0, "transformers_version": "4.30.0"},
    {"_from_model_config": True, "eos_token_id": 2, "unknown": 1},
    {"_from_model_config": False, "unknown": {"z": 1, "a": "\u00e9"}, "_commit_hash": "abc"},
    {"suppress_tokens": [1, 2], "forced_decoder_ids": [[1, 2]], "use_cache": False, "generation_kwargs": {"a": 1}},
    {"epsilon_cutoff": 3e-4, "eta_cutoff": 0, "guidance_scale": 1.5, "sequence_bias": {"5": -10.0}},
    {"penalty_alpha": 0.6, "top_k": 4},
    {"torch_dtype": "float16", "max_time": 1e-5, "low_memory": True},
    # Not valid, which keeps save_pretrained() from writing them.
    {"temperature": 0.5},
    {"top_p": 0.5},
    {"typical_p": 0.5},
    {"top_k": 4},
    {"epsilon_cutoff": 0.1},
    {"eta_cutoff": 0.1},
    {"early_stopping": True},
    {"num_beam_groups": 2},
    {"diversity_penalty": 1.0},
    {"length_penalty": 0.5},
    {"constraints": ["some"]},
    {"do_sample": None, "temperature": 0.5},
    {"num_beams": 2, "length_penalty": 0.5, "early_stopping": True},
    # Refused at once.
    {"early_stopping": "sometimes"},
    {"early_stopping": None},
    {"early_stopping": 1, "num_beams": 2},
    {"num_return_sequences": 2},
    {"num_beams": 2, "num_return_sequences": 3},
    {"num_beams": 2, "constraints": ["some"], "do_sample": True},
    {"num_beams": 2, "constraints": ["some"], "num_beam_groups": 2},
    {"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 0.5, "do_sample": True},
    {"num_beams": 3, "num_beam_groups": 2, "diversity_penalty": 0.5},
    {"num_beams": 2, "num_beam_groups": 2},
    {"do_sample": True, "num_return_sequences": 5},
]

FROM_MODEL = [
    ("GPT2Config", {}),
    ("T5Config", {}),
    ("LlamaConfig", {"max_length": 4096, "temperature": 0.6, "do_sample": True}),
    ("LlamaConfig", {"pad_token_id": -1, "use_cache": False, "unknown": 5, "_from_model_config": False}),
    ("T5Config", {"decoder_start_token_id": 0, "num_beams": 4, "no_repeat_ngram_size": 3, "early_stopping": True,
                  "task_specific_params": {"a": {"max_length": 200}}}),
    ("T5Config", {"output_attentions": True, "output_scores": True, "output_past": True}),
    ("BertConfig", {"is_decoder": True, "repetition_penalty": 1.5}),
    ("GPT2Config", {"decoder": {"eos_token_id": 7, "max_length": 9, "top_k": 3, "foo": 1, "use_cache": False},
                    "generator": {"max_length": 10, "min_length": 2}, "text_config": {"min_length": 3}}),
    ("GPT2Config", {"num_return_sequences": 4}),
]

SAVED = [
    ("BertModel", "testdata/models/BertModel"),
    ("BertForMaskedLM", "testdata/models/BertForMaskedLM"),
    ("BertForSequenceClassification", "testdata/models/BertForSequenceClassification"),
    ("GPT2LMHeadModel", "testdata/models/GPT2LMHeadModel"),
    ("T5ForConditionalGeneration", "testdata/models/T5ForConditionalGeneration"),
    ("T5ForConditionalGeneration", "testdata/models/T5ForConditionalGeneration-v1_1"),
    ("LlamaForCausalLM", "testdata/models/LlamaForCausalLM"),
    ("BertForMaskedLM", "testdata/formats/BertForMaskedLM/safetensors-sharded"),
    ("GPT2LMHeadModel", "testdata/formats/GPT2LMHeadModel/bin-fp16"),
    ("GPT2Model", "testdata/formats/GPT2LMHeadModel/safetensors"),
    ("T5EncoderModel", "testdata/formats/T5ForConditionalGeneration/safetensors"),
]


def configs():
    rows = []
    cases = [(name, *case) for name in CLASSES for case in COMMON]
    cases += [(name, *case) for name in FAMILIES for case in OWN[name]]
    for name, attributes, later in cases:
        if name == "PretrainedConfig" and "hidden_size" in attributes:
            continue
        config = CLASSES[name].from_dict(json.loads(json.dumps(attributes)))
        for key, value in later.items():
            if key == "id2label":
                value = {int(k): v for k, v in value.items()}
            setattr(config, key, value)
        rows.append({"class": name, "json": attributes, "set": later, "diff": config.to_json_string(),
                     "all": config.to_json_string(use_diff=False)})
    return rows


def is_written(config):
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        path = pathlib.Path(folder, "generation_config.json")
        if not path.exists():
            return False
        assert path.read_text() == config.to_json_string()
        return True


def generation_row(row, make):
    try:
        config = make()
    except ValueError as error:
        return {**row, "raises": str(error)}
    return {**row, "diff": config.to_json_string(), "all": config.to_json_string(use_diff=False),
            "is_valid": is_written(config)}


def generation_configs():
    rows = []
    for attributes in GENERATION:
        rows.append(generation_row({"json": attributes}, lambda: GenerationConfig.from_dict(dict(attributes))))
    for name, attributes in FROM_MODEL:
        rows.append(generation_row(
            {"json": attributes, "from_model_config": name},
            lambda: GenerationConfig.from_model_config(CLASSES[name].from_dict(dict(attributes)))))
    return rows


def saved():
    rows = {}
    for name, folder in SAVED:
        model = getattr(transformers, name).from_pretrained(folder)
        with tempfile.TemporaryDirectory() as target:
            model.save_pretrained(target)
            rows[folder] = {"class": name} | {
                file: pathlib.Path(target, file).read_text()
                for file in ("config.json", "generation_config.json") if pathlib.Path(target, file).exists()}
    return rows


def main():
    if sys.argv[1:]:
        print(__doc__)
        return 0 if sys.argv[1:] in (["--help"], ["-h"]) else 2
    if transformers.__version__ != "4.34.0":
        sys.exit("transformers 4.34.0 is needed")
    if not pathlib.Path("testdata/models").is_dir():
        sys.exit("run it from the root of the workspace")
    logging.disable(logging.CRITICAL)
    # Those that save_pretrained() looks for must be raised, if not shown.
    warnings.simplefilter("always")
    warnings.showwarning = lambda *_, **__: None
    transformers.utils.logging.disable_progress_bar()
    for name, rows in (("configs", configs()), ("generation_configs", generation_configs()), ("saved", saved())):
        (HERE / (name + ".json")).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
