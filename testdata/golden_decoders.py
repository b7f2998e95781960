"""What the scripts FAMILY/make_golden.py and FAMILY/random_configs.py share (mistral, gpt_neox; roberta and distilbert, too).

    python FAMILY/make_golden.py            writes everything in FAMILY/
    python FAMILY/make_golden.py --check    writes nothing; fails if the files differ from what the peer says now

A script says what its family has, as a Family, and calls main(). The README of each folder describes the files. Same versions,
same bytes: every draw is seeded by its name.
"""
import argparse
import contextlib
import inspect
import json
import pathlib
import sys
import tempfile
import zlib

import safetensors.torch
import torch
import transformers

VERSIONS = {"python": "3.10.13", "torch": "2.1.0", "transformers": "4.34.0", "safetensors": "0.4.0"}
QUIETLY = dict(output_attentions=False, output_hidden_states=False)
FACTS = ("base_model_prefix", "main_input_name", "_no_split_modules", "_tied_weights_keys", "_keep_in_fp32_modules",
         "_keys_to_ignore_on_load_missing", "_keys_to_ignore_on_load_unexpected", "_keys_to_ignore_on_save")


def generator_for(name):
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def redraw(model, generator):
    """Redraws every parameter, since the default initialisation makes outputs nearly flat.

    Matrices come from N(0, 0.25^2), norm weights from 1 + N(0, 0.1^2), biases from N(0, 0.1^2).
    """
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith(".bias"):
            parameter.data = 0.1 * noise
        elif "norm" in name.lower():
            parameter.data = 1.0 + 0.1 * noise
        else:
            parameter.data = 0.25 * noise
    return model.eval()


def nest_past(tensors):
    """Takes the `past_key_values.L.N` entries out of a flat dict and returns (the rest, the nested tuple or None)."""
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith("past_key_values.")}
    layers = {}
    for name, tensor in tensors.items():
        if name.startswith("past_key_values."):
            layer, position = (int(part) for part in name.split(".")[1:])
            layers.setdefault(layer, {})[position] = tensor
    nested = tuple(tuple(layers[i][j] for j in range(len(layers[i]))) for i in range(len(layers)))
    return rest, nested or None


def flatten(output):
    """A ModelOutput as {name: tensor}; the N-th of a tuple is `name.N`, of a nested tuple `name.N.M`."""
    flat = {}

    def visit(name, value):
        if isinstance(value, torch.Tensor):
            flat[name] = value.detach().contiguous().clone()
        elif isinstance(value, (tuple, list)):
            for index, item in enumerate(value):
                visit(f"{name}.{index}", item)

    for name, value in output.items():
        visit(name, value)
    return flat


def call(model, tensors, **flags):
    """forward() on named input tensors; returns named output tensors."""
    arguments, past = nest_past(tensors)
    if model.dtype == torch.float64:
        arguments = {n: t.double() if t.dtype == torch.float32 else t for n, t in arguments.items()}
        past = past and tuple(tuple(t.double() for t in layer) for layer in past)
    if past is not None:
        arguments["past_key_values"] = past
    if "use_cache" not in inspect.signature(model.forward).parameters:
        flags.pop("use_cache", None)
    with torch.no_grad():
        flat = flatten(model(**arguments, return_dict=True, **flags))
    # A decoder with cross-attention layers that is called without encoder states returns its key/value cache under this name
    # (a slip of 4.34.0); there is nothing to hold an implementation to.
    if model.config.add_cross_attention and "encoder_hidden_states" not in arguments:
        flat = {name: tensor for name, tensor in flat.items() if not name.startswith("cross_attentions.")}
    return flat


def load(folder, class_name, config=None, **kwargs):
    """CLASS.from_pretrained(folder) with some config keys replaced; (model, loading info)."""
    model, info = getattr(transformers, class_name).from_pretrained(folder, output_loading_info=True, **(config or {}), **kwargs)
    return model.eval(), info


class Inputs:
    """Input tensors drawn from a generator that its case's name seeds."""

    def __init__(self, name, vocab_size):
        self.generator = generator_for("the inputs of " + name)
        self.vocab_size = vocab_size

    def ids(self, batch, length, low=1, high=None):
        return torch.randint(low, high or self.vocab_size, (batch, length), generator=self.generator)

    def floats(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def uniform(self, *shape):
        return torch.rand(*shape, generator=self.generator)


def padded(*lengths, width):
    """A mask with a row per entry: n ones and then zeros; for a negative n, zeros and then -n ones."""
    rows = [[1] * n + [0] * (width - n) if n >= 0 else [0] * (width + n) + [1] * -n for n in lengths]
    return torch.tensor(rows)


def ids(draw, length=7, batch=3):
    return {"input_ids": draw.ids(batch, length)}


def full(draw, length=7):
    """Row 0 whole, row 1 padded on the right, row 2 on the left."""
    return {**ids(draw, length), "attention_mask": padded(length, length - 2, 2 - length, width=length)}


def with_labels(draw, length=7, high=None):
    labels = draw.ids(3, length, 0, high)
    labels[1, 3:] = -100
    return {**full(draw, length), "labels": labels}


# What no config may say of rope_scaling. (As keyword arguments of from_pretrained the peer lets some of them through.)
REFUSED_SCALINGS = [[1], {}, {"type": "linear"}, {"type": "linear", "factor": 2.0, "x": 1}, {"type": "linear", "factor": 2},
                    {"type": "linear", "factor": 1.0}, {"type": "yarn", "factor": 2.0}, {"type": "dynamic", "factor": True}, 2.0]


class Family:
    """What a family has. A script derives from it and calls main()."""

    folder = None  # Of the script.
    config_class = None
    sizes = {}  # Keys of every config.
    models = {}  # Name of a folder: (class, keys beside `sizes`, dtype on disk).
    facts = [{}]  # Keys to replace in the first model's config, for which facts are told, too.
    refused_scalings = []

    def case(self, name, make, model, class_name=None, **keys):
        """One case: what make(Inputs) gives goes to `model`, as `class_name` or as its folder's class.

        Keys: `config`, keys to replace; `past`, tokens cached by a first call; `steps`, cached one by one; `before`, tokens
        of a call made before that leaves nothing but what the instance remembers; `prune_heads` and `resize_token_embeddings`,
        their argument, for a model that is changed once it is loaded; `flags_from_config`; and forward's flags.
        """
        return name, model, class_name or self.models[model][0], make(self.draw(name)), keys

    def cases(self):
        raise NotImplementedError

    def refused_calls(self):
        """(name, model, class, keys of the config, inputs) of calls that the peer answers with an exception."""
        raise NotImplementedError

    def exactly(self):
        """Where a model of float64 computes what one of float32 approximates."""
        return contextlib.nullcontext()

    def after_saving(self, out):
        """Changes what make_models() wrote."""

    def draw(self, name):
        return Inputs(name, self.sizes["vocab_size"])


SURGERY = ("prune_heads", "resize_token_embeddings")


def operate(model, keys):
    """Changes a model as keys["prune_heads"], layer to heads, and keys["resize_token_embeddings"] say."""
    if "prune_heads" in keys:
        model.prune_heads({int(layer): heads for layer, heads in keys["prune_heads"].items()})
    if "resize_token_embeddings" in keys:
        model.resize_token_embeddings(keys["resize_token_embeddings"])
    return model


def rounding(family, folder, class_name, config, keys, before, tensors, want, **flags):
    """How far fp32 rounding alone moves the peer: the largest |f32 - f64| as a share of 1e-5 * (1 + |f64|)."""
    model, _ = load(folder, class_name, config)
    operate(model, keys)
    if before:
        call(model, before)
    model.config.problem_type = config.get("problem_type")
    with family.exactly():
        exact = call(model.double(), tensors, **flags)
    share = 0.0
    for name, tensor in want.items():
        error = (tensor.double() - exact[name].double()).abs() / (1e-5 * (1 + exact[name].double().abs()))
        assert not error.isnan().any(), name
        share = max(share, error.max().item() if error.numel() else 0.0)
    return share


def facts_of(folder, class_name, config, inputs):
    """What the peer says of a model itself, in the form of models/CLASS/facts.json."""
    model, _ = load(folder, class_name, config)
    half, _ = load(folder, class_name, config, torch_dtype=torch.float16)
    describe = lambda pairs: {n: {"shape": list(t.shape), "dtype": str(t.dtype)[6:]} for n, t in pairs}
    flags = [(t, e) for t in (False, True) for e in (False, True)]
    slots = {}
    for name, tensor in model.named_parameters(remove_duplicate=False):
        slots.setdefault(tensor.data_ptr(), []).append(name)
    footprint = lambda m: {f"return_buffers={b}": m.get_memory_footprint(return_buffers=b) for b in (True, False)}
    return {
        "class": class_name, "config": config,
        "num_parameters": {f"only_trainable={t},exclude_embeddings={e}":
                           model.num_parameters(only_trainable=t, exclude_embeddings=e) for t, e in flags},
        "memory_footprint": footprint(model), "memory_footprint_float16": footprint(half),
        "buffers_float16": describe(half.named_buffers()),
        "estimate_tokens": model.estimate_tokens(inputs),
        "floating_point_ops": {f"exclude_embeddings={e}": model.floating_point_ops(inputs, exclude_embeddings=e)
                               for e in (True, False)},
        "can_generate": model.can_generate(), **{name: getattr(model, name) for name in FACTS},
        "tied_parameters": [group for group in slots.values() if len(group) > 1],
        "state_dict": describe(model.state_dict().items()),
        "buffers": describe(model.named_buffers()),
        "modules": {name: type(module).__name__ for name, module in model.named_modules()},
    }


def make_models(family, out):
    for name, (class_name, keys, dtype) in family.models.items():
        config = family.config_class(**{**family.sizes, **keys})
        model = redraw(getattr(transformers, class_name)(config), generator_for(name)).to(dtype)
        model.save_pretrained(out / name, safe_serialization=True)
        (out / name / "generation_config.json").unlink(missing_ok=True)
    family.after_saving(out)


def make_facts(family, out):
    document = []
    for name, (class_name, _, _) in family.models.items():
        for config in family.facts if not document else ({},):
            inputs = {"input_ids": family.draw("facts").ids(3, 5)}
            document.append({"model": name, **facts_of(str(out / name), class_name, config, inputs)})
    (out / "facts.json").write_text(json.dumps(document) + "\n")


def make_past(model, draw, keys):
    """The cache, by name, after a first call of keys["past"] tokens, or after keys["steps"] calls of one token."""
    pick = lambda out: {name: tensor for name, tensor in out.items() if name.startswith("past_key_values.")}
    batch = keys["batch"]
    base = model.base_model  # Some classes put out no cache.
    also = keys["encoder"]
    if "past" in keys:
        return pick(call(base, {"input_ids": draw.ids(batch, keys["past"]), **also}, use_cache=True))
    past = {}
    for _ in range(keys["steps"]):
        past = pick(call(base, {"input_ids": draw.ids(batch, 1), **past, **also}, use_cache=True))
    return past


def flags_of(keys):
    if keys.get("flags_from_config"):
        return {}
    return {"use_cache": keys.get("use_cache", False), "output_attentions": keys.get("output_attentions", True),
            "output_hidden_states": keys.get("output_hidden_states", True)}


def make_case(family, out, name, folder, class_name, inputs, keys):
    """Runs one case; returns its entry for cases.json, its tensors, and its share of rounding."""
    config = keys.get("config", {})
    before = {"input_ids": family.draw("before " + name).ids(1, keys["before"])} if "before" in keys else {}
    model, info = load(str(out / folder), class_name, config)
    if "past" in keys or "steps" in keys:
        keys = {**keys, "batch": next(iter(inputs.values())).shape[0],
                "encoder": {n: t for n, t in inputs.items() if n.startswith("encoder_")}}
        inputs = {**inputs, **make_past(model, family.draw("first step of " + name), keys)}
        # A new instance runs the case: it has seen nothing but what its own call shows.
        model, info = load(str(out / folder), class_name, config)
    operate(model, keys)
    if before:
        call(model, before)
    flags = flags_of(keys)
    want = call(model, inputs, **flags)
    share = rounding(family, str(out / folder), class_name, config, keys, before, inputs, want, **flags)
    tensors = {**{f"{name}/in.{n}": t for n, t in inputs.items()}, **{f"{name}/out.{n}": t for n, t in want.items()},
               **{f"{name}/before.{n}": t for n, t in before.items()}}
    entry = {"name": name, "model": folder, "class": class_name, "config": config, "flags": flags, "before": bool(before)}
    entry.update({key: keys[key] for key in SURGERY if key in keys})
    if any(key in keys for key in SURGERY):
        entry["num_parameters"] = model.num_parameters()
    return {**entry, **{key: sorted(info[key]) for key in ("missing_keys", "unexpected_keys") if info[key]}}, tensors, share


def make_refusals(family, out):
    refusals, tensors = [], {}
    for name, folder, class_name, config, inputs in family.refused_calls():
        try:
            call(load(str(out / folder), class_name, config)[0], inputs)
        except Exception as error:  # Whatever it raises is what is recorded.
            raises = type(error).__name__
        else:
            raise SystemExit(f"{name}: the peer does not raise")
        tensors.update({f"{name}/in.{n}": t for n, t in inputs.items()})
        refusals.append({"name": name, "model": folder, "class": class_name, "config": config, "raises": raises})
    return refusals, tensors


def check_refused_scalings(family):
    for scaling in family.refused_scalings:
        try:
            family.config_class(rope_scaling=scaling)
        except ValueError:
            continue
        raise SystemExit(f"rope_scaling={scaling}: the peer does not raise")
    return family.refused_scalings


def make_all(family, out):
    make_models(family, out)
    make_facts(family, out)
    entries, tensors, worst = [], {}, (0.0, "")
    for name, folder, class_name, inputs, keys in family.cases():
        entry, made, share = make_case(family, out, name, folder, class_name, inputs, keys)
        assert not any(entry["name"] == other["name"] for other in entries), name
        entries.append(entry)
        tensors.update(made)
        worst = max(worst, (share, name))
        if share > 0.5:
            raise SystemExit(f"{name}: rounding alone takes {share:.2f} of the tolerance; draw other inputs")
    refusals, made = make_refusals(family, out)
    tensors.update({f"refused_{name}": tensor for name, tensor in made.items()})
    safetensors.torch.save_file({n: t.contiguous().clone() for n, t in tensors.items()}, out / "io.safetensors", metadata={"format": "pt"})
    attributes = family.config_class().to_dict()
    attributes.pop("transformers_version")
    document = {"versions": VERSIONS, "defaults": attributes, "cases": entries, "refused": refusals,
                "refused_rope_scalings": check_refused_scalings(family)}
    (out / "cases.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(entries)} cases; rounding takes at most {worst[0]:.2f} of the tolerance 1e-5 * (1 + |want|) ({worst[1]})")


def check(family):
    """Makes everything again elsewhere and compares the bytes."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        make_all(family, out)
        made = {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    here = family.folder
    bad = [name for name, content in made.items() if not (here / name).is_file() or (here / name).read_bytes() != content]
    for name in bad:
        print(f"differs: {name}")
    return 1 if bad else 0


def main(family, description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    for module in (torch, transformers):
        if module.__version__.split("+")[0] != VERSIONS[module.__name__]:
            sys.exit(f"{module.__name__} {VERSIONS[module.__name__]} is needed, not {module.__version__}")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    if arguments.check:
        return check(family)
    make_all(family, family.folder)
    return 0
