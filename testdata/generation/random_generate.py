#!/usr/bin/env python3
"""Holds a command to transformers 4.34.0 on generations drawn at random: models, prompts and settings.

    python random_generate.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

Case N is FOLDER/N: a small model (config.json, generation_config.json, model.safetensors), inputs.safetensors (arguments of
generate() by name) and case.json: `kwargs`, its other arguments, and `ids`, or `raises`, what the peer gave. For each case
    COMMAND generate FOLDER/N --inputs=FOLDER/N/inputs.safetensors --outputs=FOLDER/N/got.safetensors --NAME=VALUE ..
must write the same ids as `sequences`, or fail where the peer raises. What a rounding could change is drawn again: a case
whose ids differ when all scores are disturbed by up to 1e-4. Without --command nothing is run. The same seed draws the same
cases, whatever --first and --count are.

Exit status: 0 all agree, 1 some do not, 2 wrong usage.
"""
import argparse
import collections
import json
import pathlib
import random
import shlex
import shutil
import subprocess
import sys
import warnings

import safetensors.torch
import torch
import transformers

from make_golden import Noise


def heads_of(rng):
    return rng.choice([1, 2, 4]), rng.choice([4, 8])


def gpt2(rng, common):
    heads, size = heads_of(rng)
    return transformers.GPT2Config(n_embd=heads * size, n_head=heads, n_layer=rng.choice([1, 2, 3]), n_positions=64, **common)


def llama(rng, common, cls=transformers.LlamaConfig, **more):
    keys, size = heads_of(rng)
    heads = keys * rng.choice([1, 2])
    return cls(hidden_size=heads * size, num_attention_heads=heads, num_key_value_heads=keys, intermediate_size=24,
               num_hidden_layers=rng.choice([1, 2, 3]), max_position_embeddings=64, **more, **common)


def mistral(rng, common):
    return llama(rng, common, transformers.MistralConfig, sliding_window=rng.choice([3, 8, 64]))


def gpt_neox(rng, common):
    heads, size = heads_of(rng)
    return transformers.GPTNeoXConfig(
        hidden_size=heads * size, num_attention_heads=heads, num_hidden_layers=rng.choice([1, 2, 3]), intermediate_size=24,
        rotary_pct=rng.choice([0.25, 0.5, 1.0]) if size == 8 else 1.0, max_position_embeddings=64,
        use_parallel_residual=rng.random() < 0.5, **common)


def bert(rng, common):
    heads, size = heads_of(rng)
    return transformers.BertConfig(hidden_size=heads * size, num_attention_heads=heads, num_hidden_layers=rng.choice([1, 2]),
                                   intermediate_size=24, max_position_embeddings=64, is_decoder=rng.random() < 0.8, **common)


def t5(rng, common):
    heads, size = heads_of(rng)
    return transformers.T5Config(d_model=16, d_kv=size, num_heads=heads, d_ff=24, num_layers=rng.choice([1, 2]),
                                 num_decoder_layers=rng.choice([1, 2]), relative_attention_num_buckets=8,
                                 feed_forward_proj=rng.choice(["relu", "gated-gelu"]), decoder_start_token_id=0,
                                 tie_word_embeddings=rng.random() < 0.5, **common)


# Settings that a file of its own would be refused for, and the one that says more as a flag.
FLAGS_ALONE = ("max_length", "num_beams", "num_beam_groups", "diversity_penalty", "num_return_sequences")

FAMILIES = {"GPT2LMHeadModel": gpt2, "LlamaForCausalLM": llama, "MistralForCausalLM": mistral, "GPTNeoXForCausalLM": gpt_neox,
            "BertLMHeadModel": bert, "BertForMaskedLM": bert, "T5ForConditionalGeneration": t5}


def draw_model(rng, generator):
    name = rng.choice(list(FAMILIES))
    common = {"vocab_size": rng.randint(12, 60), "pad_token_id": rng.choice([0, 0, 2]), "bos_token_id": 1,
              "eos_token_id": None, "architectures": [name]}
    model = getattr(transformers, name)(FAMILIES[name](rng, common)).eval()
    for key, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        scale = 0.1 if parameter.dim() == 1 else 0.6
        parameter.data = scale * noise + (1.0 if parameter.dim() == 1 and key.endswith("weight") else 0.0)
    model.tie_weights()
    return model


def draw_inputs(rng, generator, config):
    rows, tokens = rng.randint(1, 4), rng.randint(1, 9)
    ids = torch.randint(0, config.vocab_size, (rows, tokens), generator=generator)
    inputs = {"input_ids": ids}
    kind = rng.choice(["none", "ones", "padded", "padded"])
    if kind == "ones":
        inputs["attention_mask"] = torch.ones_like(ids)
    elif kind == "padded":
        kept = torch.tensor([rng.randint(1, tokens) for _ in range(rows)]).unsqueeze(1)
        places = torch.arange(tokens).unsqueeze(0)
        mask = (places < kept if config.is_encoder_decoder else places >= tokens - kept).long()
        inputs = {"input_ids": ids * mask + config.pad_token_id * (1 - mask), "attention_mask": mask}
    if config.is_encoder_decoder and rng.random() < 0.3:
        inputs["decoder_input_ids"] = torch.randint(0, config.vocab_size, (rows, rng.randint(1, 4)), generator=generator)
    if config.model_type == "gpt2" and rng.random() < 0.2:
        inputs["token_type_ids"] = torch.randint(0, config.vocab_size, ids.shape, generator=generator)
    return inputs


def draw_settings(rng, config, found):
    """`found`: tokens that greedy search finds."""
    token = lambda: rng.choice(found) if rng.random() < 0.7 else rng.randrange(config.vocab_size)
    tokens = lambda: [token() for _ in range(rng.randint(1, 3))]
    kwargs = {"do_sample": False, "max_new_tokens": rng.randint(1, 14)}
    if rng.random() < 0.2:
        kwargs["max_length"] = rng.randint(1, 20)
        del kwargs["max_new_tokens"]
    if rng.random() < 0.75:
        kwargs["eos_token_id"] = token() if rng.random() < 0.6 else tokens()
    mode = rng.choice(["greedy", "greedy", "sample", "beams", "beams", "beams", "groups"])
    if mode == "sample":
        kwargs.update(do_sample=True, top_k=1, num_return_sequences=rng.choice([1, 1, 3]))
        if rng.random() < 0.5:
            kwargs["temperature"] = rng.choice([0.3, 2.0])
    if mode == "beams":
        kwargs["num_beams"] = rng.randint(2, 5)
    if mode == "groups":
        kwargs["num_beam_groups"] = rng.randint(2, 3)
        kwargs["num_beams"] = kwargs["num_beam_groups"] * rng.randint(1, 2)
        kwargs["diversity_penalty"] = rng.choice([0.5, 2.5])
    if mode in ("beams", "groups"):
        kwargs["num_return_sequences"] = rng.choice([1, 1, 2, kwargs["num_beams"], kwargs["num_beams"] + 1])
        kwargs["length_penalty"] = rng.choice([1.0, 0.0, -1.0, 0.4, 2.0])
        kwargs["early_stopping"] = rng.choice([False, True, "never"])
    for name, value in (
            ("use_cache", False), ("repetition_penalty", rng.choice([0.7, 1.3, 2.0])),
            ("no_repeat_ngram_size", rng.randint(1, 3)), ("min_length", rng.randint(1, 16)),
            ("min_new_tokens", rng.randint(1, 8)), ("bad_words_ids", [tokens() for _ in range(rng.randint(1, 3))]),
            ("suppress_tokens", tokens()), ("begin_suppress_tokens", tokens()), ("forced_eos_token_id", token()),
            ("forced_bos_token_id", token()), ("renormalize_logits", True), ("remove_invalid_values", True),
            ("exponential_decay_length_penalty", [rng.randint(0, 6), rng.choice([1.1, 1.6])]),
            ("encoder_repetition_penalty", rng.choice([0.8, 1.4])), ("encoder_no_repeat_ngram_size", rng.randint(1, 3))):
        if rng.random() < 0.09:
            kwargs[name] = value
    return kwargs


def answer(model, inputs, kwargs, seed=None):
    """{ids} or {raises} of the peer."""
    noise = [] if seed is None else [Noise(seed)]
    try:
        ids = model.generate(**{name: tensor.clone() for name, tensor in inputs.items()}, **kwargs,
                             logits_processor=transformers.LogitsProcessorList(noise))
    except Exception as error:  # Whatever it is: the command has to refuse it.
        return {"raises": f"{type(error).__name__}: {error}"[:300]}
    return {"ids": ids.tolist()}


def draw_case(folder, seed, number):
    """Draws until a case is not a matter of rounding; returns case.json's document."""
    attempt = 0
    while True:
        rng = random.Random(f"{seed}/{number}/{attempt}")
        generator = torch.Generator().manual_seed(rng.getrandbits(60))
        attempt += 1
        model = draw_model(rng, generator)
        inputs = draw_inputs(rng, generator, model.config)
        greedy = answer(model, inputs, {"max_new_tokens": 10, "do_sample": False})
        if "raises" in greedy:
            continue
        kwargs = draw_settings(rng, model.config, [token for row in greedy["ids"] for token in row[-10:]])
        case = answer(model, inputs, kwargs)
        if any(answer(model, inputs, kwargs, noise) != case for noise in (1, 2)):
            continue
        # Some settings come from the model.
        for name in [name for name in kwargs if name not in FLAGS_ALONE and rng.random() < 0.2]:
            setattr(model.generation_config, name, kwargs[name])
        case = {"class": type(model).__name__, "kwargs": kwargs, **case}
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        generation_config = model.generation_config.to_dict()
        model.generation_config = transformers.GenerationConfig()  # Not all would be saved.
        model.save_pretrained(folder)
        (folder / "generation_config.json").write_text(json.dumps(generation_config))
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in inputs.items()},
                                    folder / "inputs.safetensors")
        (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")
        return case


def check(command, folder, case):
    """What is wrong; None for nothing."""
    outputs = folder / "got.safetensors"
    flags = [f"--{name}={json.dumps(value)}" for name, value in case["kwargs"].items()]
    done = subprocess.run([*command, "generate", folder, f"--inputs={folder / 'inputs.safetensors'}", f"--outputs={outputs}",
                           "--json", *flags], capture_output=True, text=True, check=False)
    if "raises" in case:
        return None if done.returncode == 1 else f"exit status {done.returncode}, but the peer raises {case['raises']}"
    if done.returncode != 0:
        return f"exit status {done.returncode}: {done.stderr[-600:]}"
    got = safetensors.torch.load_file(outputs)["sequences"].tolist()
    return None if got == case["ids"] else f"\n  got  {got}\n  want {case['ids']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--command", type=shlex.split, help="the command to hold to the peer")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    counts, bad = collections.Counter(), 0
    for number in range(arguments.first, arguments.first + arguments.count):
        folder = arguments.folder / str(number)
        case = draw_case(folder, arguments.seed, number)
        counts["raises" if "raises" in case else case["class"]] += 1
        wrong = check(arguments.command, folder, case) if arguments.command else None
        if wrong:
            bad += 1
            print(f"{folder}: {case['class']} {case['kwargs']}: {wrong}", flush=True)
    print(f"{arguments.count - bad} of {arguments.count} agree; {dict(sorted(counts.items()))}")
    return 1 if bad else 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    sys.exit(main())
