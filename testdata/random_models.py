"""What the scripts FAMILY/random_configs.py share: they hold a command to transformers 4.34.0 on models drawn at random.

    python FAMILY/random_configs.py FOLDER --count=200 --seed=7 --command="bazel-bin/tools/pretrained"

A script says what its family draws, as a Family; this module draws the cases, lets the peer answer, runs the command, and
compares. Case N is FOLDER/N: config.json, model.safetensors (in float32, float16 or bfloat16), case.json, inputs.safetensors
(forward's arguments by name; members of tuples as `past_key_values.L.N`) and want.safetensors (the fields of the peer's
output by name, tuples as `NAME.N`, computed in float32). For each case
    COMMAND run FOLDER/N --inputs=FOLDER/N/inputs.safetensors --outputs=FOLDER/N/got.safetensors
            --output_hidden_states [--output_attentions]
must write the same names, shapes and dtypes, with |got - want| <= tolerance * (1 + |want|): 1e-5, but for what a family
says of its own. Every other case asks for attentions, so that the rest lets one fused kernel leave them out. Without
--command nothing is run. The same seed draws the same cases, and a case does not depend on how many there are: --first
and --count draw some of them only.

    python FAMILY/random_configs.py FOLDER --half --count=50 --command=...

holds the command in half precision to itself in float32: models as newly initialised, stored in float16 or bfloat16, run
with --dtype of that and without, within 2e-2 * (1 + |float32|).

Exit status: 0 all agree, 1 some do not, 2 wrong usage.
"""
import argparse
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

MOST_ROUNDING = 0.3  # A case where fp32 rounding takes more of the tolerance than this is drawn again.
HALF_TOLERANCE = 2e-2
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
REGRESSION, SINGLE, MULTI = PROBLEMS = ("regression", "single_label_classification", "multi_label_classification")


class Draw:
    """Where a case's draws come from: `rng` gives what is chosen, `generator` what is in tensors."""

    def __init__(self, name):
        self.rng = random.Random(name)
        self.generator = torch.Generator().manual_seed(self.rng.getrandbits(60))

    def chance(self, probability):
        return self.rng.random() < probability

    def ids(self, high, *shape):
        return torch.randint(0, high, shape, generator=self.generator)

    def floats(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def some(self, labels):
        """`labels`, about a fifth of which are ignored."""
        return torch.where(torch.rand(labels.shape, generator=self.generator) < 0.8, labels, -100)

    def rows(self, high, batch, length):
        """Ids for each row; or one row for all, which may lack its dimension."""
        kind = self.rng.choice(["each", "each", "one", "flat"])
        return self.ids(high, length) if kind == "flat" else self.ids(high, batch if kind == "each" else 1, length)

    def mask(self, batch, queries, keys, kinds, fewest=0):
        """A mask of [batch, keys], of [batch, queries, keys] if it is `3d`; or None.

        kinds    of which one is chosen: `right` and `left` keep `fewest` tokens at least; `holes` are everywhere; `floats`
                 are 0.0 and 1.0; `fractions` lie between
        """
        kind = self.rng.choice(kinds)
        if kind == "none":
            return None
        if kind in ("right", "left"):
            kept = [self.rng.randint(fewest, keys) for _ in range(batch)]
            mask = torch.tensor([[1] * n + [0] * (keys - n) for n in kept])
            return mask if kind == "right" else mask.flip(1)
        noise = torch.rand((batch, queries, keys) if kind == "3d" else (batch, keys), generator=self.generator)
        if kind == "fractions":
            return noise
        mask = noise < 0.7
        return mask.float() if kind == "floats" else mask.long()

    def mask_of_any_dtype(self, batch, queries, keys, kinds=("none", "right", "left", "left", "holes", "fractions")):
        """As mask(): of whole numbers, bools or floats. With `queries`, `3d` is one more kind."""
        mask = self.mask(batch, queries, keys, [*kinds, "3d"] if queries else kinds)
        dtype = self.rng.choice([torch.int64, torch.int32, torch.bool, torch.float32])
        return mask if mask is None or mask.is_floating_point() else mask.to(dtype)

    def head_mask(self, layers, heads):
        return torch.rand((layers, heads) if self.chance(0.5) else (heads,), generator=self.generator)

    def narrow(self, inputs):
        """`inputs`, now and then with ids and positions of int32."""
        if not self.chance(0.15):
            return inputs
        return {n: t.int() if n.endswith("_ids") else t for n, t in inputs.items()}

    def sequence_labels(self, config, batch):
        """Labels of a classifier of sequences, of a kind that the config's problem_type, if any, takes."""
        kind = config.problem_type
        if kind is None and config.num_labels > 1:
            kind = self.rng.choice([SINGLE, MULTI])
        if kind == SINGLE:
            return self.some(self.ids(config.num_labels, batch))
        if kind == MULTI:
            return self.ids(2, batch, config.num_labels).float()
        # torch squeezes one row of one number to nothing, and compares that with anything.
        shape = (batch, config.num_labels) if config.num_labels > 1 or self.chance(0.5) else (batch,)
        return self.floats(*shape)


class Family:
    """What a family draws. A script derives from it and calls main()."""

    golden = None  # The family's golden.py: redraw(model, generator), call(model, inputs, flags..).
    classes = []  # Names of classes, each drawn as often as it stands here.
    about = []  # Attributes of the config to tell of a case that was missed.

    def config(self, draw, class_name):
        """A config for this class."""
        raise NotImplementedError

    def inputs(self, draw, model, load):
        """The arguments of one call, by name; `load()` is another instance of the model, to make caches with."""
        raise NotImplementedError

    def has_attentions(self, model, inputs):
        """Whether the peer can put out attentions here."""
        return True

    def tolerance(self, config):
        return 1e-5

    def call(self, model, inputs, attentions):
        """The peer's outputs, by name."""
        return self.golden.call(model, inputs, use_cache=False, output_hidden_states=True, output_attentions=attentions)

    def exact(self, model):
        """`model`, to compute in float64."""
        return model.double()


def share_of_tolerance(got, want, tolerance):
    """|got - want| as shares of tolerance * (1 + |want|), flat; where both are NaN (the mean loss of no labels is), 0."""
    share = (got - want).abs() / (tolerance * (1 + want.abs()))
    share = torch.where(torch.isnan(got) & torch.isnan(want), 0.0, share)
    return torch.where(torch.isnan(share), torch.inf, share).flatten()


def compare(got, want, tolerance):
    """(largest error as a share of the tolerance, what is wrong or None)."""
    if set(got) != set(want):
        return 0.0, f"only in got: {sorted(set(got) - set(want))}; only in want: {sorted(set(want) - set(got))}"
    worst, problem = 0.0, None
    for name, tensor in want.items():
        if got[name].shape != tensor.shape or got[name].dtype != tensor.dtype:
            return worst, f"{name}: {got[name].dtype}{list(got[name].shape)}, but want {tensor.dtype}{list(tensor.shape)}"
        if not tensor.numel():
            continue
        share = share_of_tolerance(got[name], tensor, tolerance)
        at = int(share.argmax())
        worst = max(worst, share[at].item())
        if share[at] > 1 and problem is None:
            problem = f"{name}[flat {at}]: {got[name].flatten()[at].item()}, but want {tensor.flatten()[at].item()}"
    return worst, problem


def cache(outputs):
    """The key/value cache among outputs by name."""
    return {name: tensor for name, tensor in outputs.items() if name.startswith("past_key_values.")}


def save(tensors, file):
    safetensors.torch.save_file({name: t.contiguous() for name, t in tensors.items()}, file, metadata={"format": "pt"})


def as_dtype(tensors, dtype):
    return {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}


def call(family, model, inputs, attentions):
    """As family.call(); what a call finds out about the labels is forgotten again."""
    problem_type = model.config.problem_type
    try:
        return family.call(model, inputs, attentions)
    finally:
        model.config.problem_type = problem_type


def draw_case(family, folder, draw, classes, number, half):
    """Draws a model into `folder`; returns (a function that loads it, its inputs, what a run must know of it)."""
    dtype = draw.rng.choice(["float16", "bfloat16"] if half else ["float32", "float32", "float16", "bfloat16"])
    class_name = draw.rng.choice(classes)
    torch.manual_seed(draw.rng.getrandbits(60))
    model_class = getattr(transformers, class_name)
    model = model_class(family.config(draw, class_name))
    if not half:
        model = family.golden.redraw(model, draw.generator)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.to(DTYPES[dtype]).save_pretrained(folder, safe_serialization=True)
    (folder / "generation_config.json").unlink(missing_ok=True)

    def load():
        return model_class.from_pretrained(str(folder)).eval()

    model = load()
    inputs = family.inputs(draw, model, load)
    attentions = number % 2 == 0 and family.has_attentions(model, inputs)
    tolerance = HALF_TOLERANCE if half else family.tolerance(model.config)
    return load, inputs, {"class": class_name, "dtype": dtype, "output_attentions": attentions, "tolerance": tolerance}


def make_case(family, folder, seed, number, classes):
    """Writes one case; returns how often it was drawn again because rounding took too much of the tolerance."""
    for attempt in range(100):
        draw = Draw(f"{seed}/{number}/{attempt}")
        load, inputs, case = draw_case(family, folder, draw, classes, number, half=False)
        attentions, tolerance = case["output_attentions"], case["tolerance"]
        # Each call has an instance of its own: some remember the longest sequence they have seen.
        want = call(family, load(), inputs, attentions)
        exact = call(family, family.exact(load()), inputs, attentions)
        shares = [share_of_tolerance(t.double(), exact[name].double(), tolerance).max().item()
                  for name, t in want.items() if t.numel()]
        if max(shares, default=0.0) <= MOST_ROUNDING:
            save(inputs, folder / "inputs.safetensors")
            save(want, folder / "want.safetensors")
            (folder / "case.json").write_text(json.dumps(case) + "\n")
            return attempt
    raise SystemExit(f"case {number}: no draw was stable")


def run(command, folder, case, inputs, outputs, *flags):
    """(what `command` computes, None), or (None, what went wrong)."""
    outputs.unlink(missing_ok=True)
    asked = ["--output_hidden_states", *(["--output_attentions"] if case["output_attentions"] else [])]
    arguments = [*command, "run", str(folder), f"--inputs={inputs}", f"--outputs={outputs}", *asked, *flags]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None, f"exit status {done.returncode}: {done.stderr.strip()[-400:]}"
    if not outputs.exists():
        return None, "the command wrote no outputs"
    return safetensors.torch.load_file(outputs), None


def run_case(command, folder):
    """As compare(), for what `command` computes."""
    case = json.loads((folder / "case.json").read_text())
    got, problem = run(command, folder, case, folder / "inputs.safetensors", folder / "got.safetensors")
    if problem:
        return 0.0, problem
    return compare(got, safetensors.torch.load_file(folder / "want.safetensors"), case["tolerance"])


def run_half_case(family, command, folder, seed, number, classes):
    """As compare(), for what `command` computes in half precision beside itself in float32, on a case drawn here."""
    load, inputs, case = draw_case(family, folder, Draw(f"half/{seed}/{number}"), classes, number, half=True)
    inputs = as_dtype(inputs, DTYPES[case["dtype"]])
    save(inputs, folder / "half_inputs.safetensors")
    save(as_dtype(inputs, torch.float32), folder / "inputs.safetensors")
    (folder / "case.json").write_text(json.dumps(case) + "\n")
    want, problem = run(command, folder, case, folder / "inputs.safetensors", folder / "want.safetensors")
    if problem:
        return 0.0, "in float32: " + problem
    got, problem = run(command, folder, case, folder / "half_inputs.safetensors", folder / "got.safetensors",
                       "--dtype=" + case["dtype"])
    if problem:
        return 0.0, problem
    share, problem = compare(as_dtype(got, torch.float32), want, case["tolerance"])
    if problem and case["dtype"] == "bfloat16" and peer_strays(family, load, inputs, case) > 0.75 * share:
        print(f"{folder} ({describe(family, folder)}): {share:.2f} of the tolerance, as the peer strays")
        return 0.0, None
    return share, problem


def peer_strays(family, load, inputs, case):
    """The peer's largest error in half precision, as a share of the tolerance."""
    half, exact = load().to(DTYPES[case["dtype"]]), load().float()
    got = call(family, half, inputs, case["output_attentions"])
    want = call(family, exact, as_dtype(inputs, torch.float32), case["output_attentions"])
    return max(share_of_tolerance(got[name].float(), tensor, case["tolerance"]).max().item()
               for name, tensor in want.items() if tensor.numel())


def describe(family, folder):
    case, config = (json.loads((folder / name).read_text()) for name in ("case.json", "config.json"))
    return ", ".join(str(part) for part in (case["class"], case["dtype"], *(config.get(name) for name in family.about)))


def main(family, description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--classes", default=",".join(family.classes), help="classes to draw, with commas")
    parser.add_argument("--half", action="store_true", help="half precision beside float32, both the command's")
    parser.add_argument("--command", default="", help="the program to run, with leading arguments if it needs any")
    arguments = parser.parse_args()
    command, classes = shlex.split(arguments.command), arguments.classes.split(",")
    if arguments.half and not command:
        parser.error("--half compares what a --command says with what it says")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    again, misses, worst = 0, 0, (0.0, "")
    for number in range(arguments.first, arguments.first + arguments.count):
        folder = arguments.folder / str(number)
        if arguments.half:
            share, problem = run_half_case(family, command, folder, arguments.seed, number, classes)
        else:
            again += make_case(family, folder, arguments.seed, number, classes)
            share, problem = run_case(command, folder) if command else (0.0, None)
        worst = max(worst, (share, str(folder)))
        if problem:
            misses += 1
            print(f"MISS {folder} ({describe(family, folder)}): {problem}", flush=True)
    print(f"{arguments.count} cases, {again} drawn again for rounding", end="")
    print(f"; {misses} missed; largest error is {worst[0]:.2f} of the tolerance ({worst[1]})" if command else "")
    return 1 if misses else 0
