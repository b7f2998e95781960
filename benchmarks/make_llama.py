#!/usr/bin/env python3
"""Makes a LLaMA checkpoint on the spot: config.json and float16 weights as safetensors, 2.73 GB without flags.

    benchmarks/make_llama.py FOLDER                     one file
    benchmarks/make_llama.py FOLDER --shard-gb=1        shards of at most 1 GB, and their index

The weights are drawn, the same in every run and on every machine; each tensor's depend on its name alone. Names, shapes and
files are those that transformers 4.34 saves for a LlamaForCausalLM. Takes 16 MB of memory, and nothing but Python 3.
"""
import argparse
import json
import pathlib
import random

from tensor_files import header_bytes

PIECE_BYTES = 1 << 24
# A float16's upper byte is its sign, five bits of exponent and two of mantissa. The exponents that are drawn become those
# between 2^-11 and 2^-4, so that every number is finite and about as large as a weight.
UPPER_BYTE = bytes(byte & 0x83 | (4 + (byte >> 2 & 7)) << 2 for byte in range(256))


def config_json(hidden, intermediate, layers, heads, key_heads, vocabulary):
    return {
        "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
        "hidden_size": hidden, "initializer_range": 0.02, "intermediate_size": intermediate,
        "max_position_embeddings": 2048, "model_type": "llama", "num_attention_heads": heads,
        "num_hidden_layers": layers, "num_key_value_heads": key_heads, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
        "rope_scaling": None, "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "float16",
        "transformers_version": "4.34.0", "use_cache": True, "vocab_size": vocabulary,
    }


def shapes(config):
    """{tensor name: shape}, in the order of the model."""
    hidden, intermediate, vocabulary = (config[name] for name in ("hidden_size", "intermediate_size", "vocab_size"))
    key_rows = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    tensors = {"model.embed_tokens.weight": [vocabulary, hidden]}
    for layer in range(config["num_hidden_layers"]):
        for name, shape in (("self_attn.q_proj", [hidden, hidden]), ("self_attn.k_proj", [key_rows, hidden]),
                            ("self_attn.v_proj", [key_rows, hidden]), ("self_attn.o_proj", [hidden, hidden]),
                            ("mlp.gate_proj", [intermediate, hidden]), ("mlp.up_proj", [intermediate, hidden]),
                            ("mlp.down_proj", [hidden, intermediate]), ("input_layernorm", [hidden]),
                            ("post_attention_layernorm", [hidden])):
            tensors[f"model.layers.{layer}.{name}.weight"] = shape
    tensors["model.norm.weight"] = [hidden]
    tensors["lm_head.weight"] = [vocabulary, hidden]
    return tensors


def byte_count(shape):
    count = 2
    for size in shape:
        count *= size
    return count


def write_values(file, name, bytes_left):
    """Writes the float16s of a tensor."""
    generator = random.Random(name)
    while bytes_left > 0:
        piece = bytearray(generator.randbytes(min(PIECE_BYTES, bytes_left)))
        piece[1::2] = piece[1::2].translate(UPPER_BYTE)
        file.write(piece)
        bytes_left -= len(piece)


def write_file(path, tensors):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors.items():
        begin, end = end, end + byte_count(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
    with open(path, "wb") as file:
        file.write(header_bytes(header))
        for name, shape in tensors.items():
            write_values(file, name, byte_count(shape))


def split(tensors, most_bytes):
    """Shards as save_pretrained makes them: a tensor that does not fit begins the next one."""
    shards, size = [{}], 0
    for name, shape in tensors.items():
        if shards[-1] and size + byte_count(shape) > most_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = shape
        size += byte_count(shape)
    return shards


def make(folder, config, shard_gb=None):
    """Makes the checkpoint in `folder`, its config last; returns the bytes of its tensors."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = shapes(config)
    total = sum(map(byte_count, tensors.values()))
    shards = split(tensors, shard_gb * 1e9 if shard_gb else total)
    if len(shards) == 1:
        write_file(folder / "model.safetensors", tensors)
    else:
        weight_map = {}
        for i, shard in enumerate(shards):
            name = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
            write_file(folder / name, shard)
            weight_map.update(dict.fromkeys(shard, name))
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return total


def add_arguments(parser):
    """The flags that say what is made."""
    for flag, default in (("hidden", 2048), ("intermediate", 5632), ("layers", 28), ("heads", 32), ("key-heads", 4),
                          ("vocabulary", 32000)):
        parser.add_argument(f"--{flag}", type=int, default=default, help=f"of the checkpoint to make (default {default})")
    parser.add_argument("--shard-gb", type=float, help="most gigabytes of a shard (default: one file)")


def make_from(arguments, folder):
    config = config_json(arguments.hidden, arguments.intermediate, arguments.layers, arguments.heads, arguments.key_heads,
                         arguments.vocabulary)
    return make(folder, config, arguments.shard_gb)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="where to make it")
    add_arguments(parser)
    arguments = parser.parse_args()
    if (arguments.folder / "config.json").exists():
        parser.error(f"{arguments.folder}: there is a model already")
    print(f"{make_from(arguments, arguments.folder) / 1e9:.2f} GB in {arguments.folder}")


if __name__ == "__main__":
    main()
