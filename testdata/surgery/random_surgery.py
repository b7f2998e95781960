#!/usr/bin/env python3
"""Holds `prune` and `resize` to transformers 4.34.0 on models of every family, drawn at random.

    python random_surgery.py FOLDER --kind=prune --count=300 --command="bazel-bin/tools/pretrained"

A case draws a model and inputs as the family's random_configs.py does, then operates on it twice, with the command and in the
peer. What must agree, by kind:

prune   Heads go in two steps, the second of which may name some of the first again. BERT, RoBERTa, DistilBERT, GPT-2 and
        T5EncoderModel: every weight bit for bit what prune_heads() leaves, and outputs and attentions. Of the others, which the
        peer cannot prune, outputs are those of the peer with the pruned heads silenced (the columns that read them are 0).
resize  Every size, with and without pad_to_multiple_of: shapes, vocab_size, and old rows bit for bit what
        resize_token_embeddings() leaves; new biases 0; new rows distributed as the peer's; outputs in the columns that both have.
both    Prunes, then resizes.

The peer then loads what the command wrote, where it can (T5's pruned forms, and those of families that it does not prune, it
cannot), and must compute what the command computes, new tokens included: |got - want| <= tolerance * (1 + |want|).

Exit status: 0 all agree, 1 some do not, 2 wrong usage.
"""
import argparse
import importlib.util
import json
import pathlib
import shlex
import subprocess
import sys
import warnings

import safetensors.torch
import torch
import transformers

TESTDATA = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTDATA))
import random_models  # noqa: E402

# Where each family reads what heads put out, below its base model.
OUTPUTS = {"bert": "encoder.layer.{}.attention.output.dense", "roberta": "encoder.layer.{}.attention.output.dense",
           "distilbert": "transformer.layer.{}.attention.out_lin", "gpt2": "h.{}.attn.c_proj",
           "t5": "encoder.block.{}.layer.0.SelfAttention.o", "llama": "layers.{}.self_attn.o_proj",
           "mistral": "layers.{}.self_attn.o_proj", "opt": "decoder.layers.{}.self_attn.out_proj",
           "bloom": "h.{}.self_attention.dense", "gpt_neox": "layers.{}.attention.dense"}
PRUNED_BY_THE_PEER = ("bert", "roberta", "distilbert", "gpt2", "t5")
HEADS = ("head_mask", "decoder_head_mask", "cross_attn_head_mask", "past_key_values.", "encoder_outputs.")
OF_CACHE = ("attention_mask", "decoder_attention_mask", "position_ids")
LABELS = ("labels", "next_sentence_label", "start_positions", "end_positions")
DECODED = {"decoder_input_ids", "decoder_inputs_embeds"}
IDS = ("input_ids", "decoder_input_ids")


def load_family(name):
    """The Family of NAME/random_configs.py, which imports a golden.py of its own."""
    folder = TESTDATA / name
    sys.modules.pop("golden", None)
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location(f"{name}_random_configs", folder / "random_configs.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    found = [value for value in vars(module).values()
             if isinstance(value, type) and issubclass(value, random_models.Family) and value.__module__ == module.__name__]
    assert len(found) == 1, found
    return found[0]()


def base_of(model):
    return getattr(model, model.base_model_prefix, model)


def sizes(name, config):
    """Layers, heads, and heads that share a key."""
    heads = config.num_attention_heads
    return config.num_hidden_layers, heads, heads // (getattr(config, "num_key_value_heads", None) or heads)


def silence(name, model, heads):
    _, count, _ = sizes(name, model.config)
    for layer, pruned in heads.items():
        weight = base_of(model).get_submodule(OUTPUTS[name].format(layer)).weight.data
        dim = 0 if name == "gpt2" else 1
        size = weight.shape[dim] // count
        for head in pruned:
            weight.narrow(dim, head * size, size).zero_()


def can_prune(name, class_name):
    return name in PRUNED_BY_THE_PEER and (name != "t5" or class_name == "T5EncoderModel")


def can_load(name, kind):
    return kind == "resize" or (name in PRUNED_BY_THE_PEER and name != "t5")


def draw_heads(draw, layers, heads, group):
    """Two steps of {layer: heads}; none of a layer loses all. The second repeats some of the first."""
    steps = [{}, {}]
    for layer in range(layers):
        groups = list(range(heads // group))
        draw.rng.shuffle(groups)
        going = groups[:draw.rng.randint(0, len(groups) - 1)]
        for g in going:
            step = draw.rng.choice([0, 0, 1])
            for s in {step, draw.rng.choice([step, 1])}:
                steps[s].setdefault(layer, []).extend(range(g * group, (g + 1) * group))
    return steps


def union(steps):
    return {layer: sorted({head for step in steps for head in step.get(layer, [])}) for layer in steps[0].keys() | steps[1].keys()}


class Case:
    """One model, what is done to it, and what is asked of it."""

    def __init__(self, family, name, folder, draw, number, kind):
        self.name, self.folder, self.kind, self.family = name, folder, kind, family
        self.load, inputs, self.case = random_models.draw_case(family, folder, draw, family.classes, number, half=False)
        config = self.load().config
        layers, heads, group = sizes(name, config)
        self.steps = draw_heads(draw, layers, heads, group) if kind != "resize" else [{}, {}]
        self.heads = union(self.steps)
        self.old = config.vocab_size
        self.tokens = self.multiple = None
        if kind != "prune":
            self.tokens = draw.rng.choice([None, self.old, draw.rng.randint(3, 2 * self.old), draw.rng.randint(3, self.old + 3)])
            self.multiple = draw.rng.choice([None, 1, 4, 8, 64])
        class_name = self.case["class"]
        self.peer_prunes = kind != "resize" and can_prune(name, class_name)
        self.case["output_attentions"] = bool(self.case["output_attentions"] and (kind == "resize" or self.peer_prunes))
        # What has an entry for each head, and masks and positions of cached tokens, fit no more.
        gone = (*HEADS, *(OF_CACHE if any(n.startswith("past_key_values.") for n in inputs) else ()))
        self.inputs = {n: t for n, t in inputs.items() if not n.startswith(gone)}

    def is_empty(self):
        """Whether nothing would happen, or nothing is left to call."""
        nothing = self.kind != "resize" and not self.heads
        return (nothing or (self.kind != "prune" and self.tokens is None and self.multiple is None)
                or not any(n in self.inputs for n in ("input_ids", "inputs_embeds"))
                or (self.case["class"] == "T5Model" and not DECODED & self.inputs.keys()))

    def operate(self, model):
        """What the command does, in the peer."""
        if self.peer_prunes:
            for step in self.steps:
                model.prune_heads(step)
        else:
            silence(self.name, model, self.heads)
        if self.kind != "prune":
            torch.manual_seed(0)
            model.resize_token_embeddings(self.tokens, self.multiple)
        return model.eval()

    def fit_inputs(self, new):
        """Ids that both vocabularies have; no labels, whose loss depends on new rows."""
        if self.kind == "prune":
            return
        least = min(self.old, new)
        gone = (*LABELS, "token_type_ids") if self.name == "gpt2" else LABELS
        labels = self.inputs.get("labels")
        self.inputs = {n: t % least if n in IDS else t for n, t in self.inputs.items() if n not in gone}
        if self.name == "t5" and labels is not None and not DECODED & self.inputs.keys():
            self.inputs["decoder_input_ids"] = labels.clamp_min(0) % least

    def call(self, model):
        return random_models.call(self.family, model, self.inputs, self.case["output_attentions"])

    def commands(self, command):
        """Runs them; returns what went wrong or None. What is left is in `out`."""
        source = self.folder
        flags = []
        if self.kind != "resize":
            for index, step in enumerate(self.steps):
                flags.append(["prune", f"--heads={json.dumps({str(layer): heads for layer, heads in step.items()})}"])
        if self.kind != "prune":
            flags.append(["resize", *([] if self.tokens is None else [f"--tokens={self.tokens}"]),
                          *([] if self.multiple is None else [f"--pad_to_multiple_of={self.multiple}"])])
        for index, (name, *rest) in enumerate(flags):
            target = self.folder / f"step{index}"
            done = subprocess.run([*command, name, str(source), str(target), *rest, "--class=" + self.case["class"]],
                                  capture_output=True, text=True, check=False)
            if done.returncode != 0:
                return f"{name}: exit status {done.returncode}: {done.stderr.strip()[-400:]}"
            source = target
        self.out = source
        return None


def old_tokens(case, name, tensor):
    """`tensor`, of scores of tokens those that were there before: new ones are draws of another generator."""
    if case.kind == "prune" or not case.scores_tokens or name not in ("logits", "prediction_logits"):
        return tensor
    return tensor.narrow(-1, 0, min(case.old, case.new, tensor.shape[-1]))  # pretraining_tp may leave out the last.


def check_weights(case, peer):
    """What is wrong with the weights that the command wrote, beside those of the peer; or None."""
    stored = safetensors.torch.load_file(case.out / "model.safetensors")
    state, before = peer.state_dict(), case.load().state_dict()
    config = json.loads((case.out / "config.json").read_text())
    if case.kind != "prune" and config.get("vocab_size", case.new) != case.new:
        return f"vocab_size is {config['vocab_size']}, but the peer's is {case.new}"
    if case.kind != "resize" and {int(k): v for k, v in config["pruned_heads"].items()} != case.heads:
        return f"pruned_heads is {config['pruned_heads']}, but want {case.heads}"
    if set(stored) - set(state):
        return f"only stored: {sorted(set(stored) - set(state))}"
    is_tied = peer.config.tie_word_embeddings
    ends = [module for module in (peer.get_input_embeddings(), peer.get_output_embeddings()) if module is not None]
    resized = {parameter for module in ends for parameter in module.parameters()} if case.new != case.old else set()
    vocabulary = {name for name, parameter in peer.named_parameters(remove_duplicate=False) if parameter in resized}
    for name, tensor in stored.items():
        want = state[name]
        if name in vocabulary:
            problem = check_rows(case, tensor.float(), want, before[name])
        elif name in ("cls.predictions.bias", "lm_head.bias") and not is_tied:
            problem = None  # The peer leaves the second name of BERT's bias as it was where the matrix is untied.
        elif name.endswith("inv_freq"):
            problem = None  # The peer works it out anew when a text is long.
        elif tensor.shape != want.shape:
            # Of families that the peer cannot prune, projections are shorter here.
            problem = f"is {list(tensor.shape)}, but want {list(want.shape)}" if case.kind == "resize" or case.peer_prunes else None
        elif torch.equal(tensor.float(), want):
            problem = None
        else:
            problem = "is not the peer's"
        if problem:
            return f"{name}: {problem}"
    return None


def check_rows(case, tensor, want, before):
    """What is wrong with a matrix of tokens, or a bias of their scores; or None."""
    if tensor.shape != want.shape:
        return f"is {list(tensor.shape)}, but want {list(want.shape)}"
    rows = min(case.old, case.new)
    if not torch.equal(tensor[:rows], before[:rows]) or not torch.equal(want[:rows], before[:rows]):
        return "old rows are others"
    added, peers = tensor[rows:], want[rows:]
    if added.dim() == 1 and added.numel() and added.abs().max() != 0:
        return "new entries are not 0"
    if added.dim() == 2 and added.numel() > 1500:
        ratio = (added.std() / peers.std()).item()
        if not 0.8 < ratio < 1.25 or abs(added.mean() - peers.mean()) > 0.2 * peers.std():
            return f"new rows have {ratio:.2f} of the peer's deviation"
    return None


def check_outputs(case, got, want, tokens=lambda name, tensor: tensor):
    """(largest share of the tolerance, what is wrong or None); `tokens` takes what is compared from each."""
    worst = 0.0
    if set(got) != set(want):
        return worst, f"only got: {sorted(set(got) - set(want))}; only wanted: {sorted(set(want) - set(got))}"
    for name, tensor in want.items():
        if got[name].shape != tensor.shape or got[name].dtype != tensor.dtype:
            return worst, f"{name}: {got[name].dtype}{list(got[name].shape)}, but want {tensor.dtype}{list(tensor.shape)}"
        one, other = tokens(name, got[name]), tokens(name, tensor)
        if not other.numel():
            continue
        share = random_models.share_of_tolerance(one, other, case.case["tolerance"]).max().item()
        worst = max(worst, share)
        if share > 1:
            return worst, f"{name}: {share:.2f} of the tolerance"
    return worst, None


def draw_stable(families, folder, seed, number, kind):
    """A case where something happens, and rounding takes little of the tolerance; the peer after it; its outputs."""
    for attempt in range(200):
        draw = random_models.Draw(f"{kind}/{seed}/{number}/{attempt}")
        name = draw.rng.choice(sorted(families))
        case = Case(families[name], name, folder, draw, number, kind)
        if case.is_empty():
            continue
        peer = case.operate(case.load())
        case.new, padding = peer.get_input_embeddings().weight.shape[0], peer.config.pad_token_id
        if padding is not None and not -case.new <= padding < case.new:
            continue  # What is saved cannot be loaded, there or here.
        case.scores_tokens = peer.get_output_embeddings() is not None
        case.fit_inputs(case.new)
        want = case.call(peer)
        exact = case.call(families[name].exact(case.operate(case.load())))
        shares = [random_models.share_of_tolerance(t.double(), exact[n].double(), case.case["tolerance"]).max().item()
                  for n, t in want.items() if t.numel()]
        if max(shares, default=0.0) <= random_models.MOST_ROUNDING:
            return case, peer, want
    raise SystemExit(f"case {number}: no draw was stable")


def run_case(families, folder, seed, number, kind, command):
    """(the case, largest share of the tolerance, what is wrong or None)."""
    case, peer, want = draw_stable(families, folder, seed, number, kind)
    random_models.save(case.inputs, folder / "inputs.safetensors")
    (folder / "case.json").write_text(json.dumps({**case.case, "family": case.name, "heads": case.steps, "tokens": case.tokens,
                                                  "pad_to_multiple_of": case.multiple}) + "\n")
    problem = case.commands(command) or check_weights(case, peer)
    if problem:
        return case, 0.0, problem
    got, problem = random_models.run(command, case.out, case.case, folder / "inputs.safetensors", folder / "got.safetensors",
                                     "--class=" + case.case["class"])
    if problem:
        return case, 0.0, "run: " + problem
    worst, problem = check_outputs(case, got, want, lambda name, tensor: old_tokens(case, name, tensor))
    if problem or not can_load(case.name, kind):
        return case, worst, problem
    loaded = type(peer).from_pretrained(str(case.out)).eval()
    share, problem = check_outputs(case, got, case.call(loaded))
    return case, max(worst, share), problem and "loaded by the peer: " + problem


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--kind", choices=("prune", "resize", "both"), required=True)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--families", default=",".join(OUTPUTS), help="families to draw, with commas")
    parser.add_argument("--command", required=True, help="the program to run, with leading arguments if it needs any")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    families = {name: load_family(name) for name in arguments.families.split(",")}
    misses, worst, seen = 0, (0.0, ""), {}
    for number in range(arguments.first, arguments.first + arguments.count):
        folder = arguments.folder / arguments.kind / str(number)
        case, share, problem = run_case(families, folder, arguments.seed, number, arguments.kind, shlex.split(arguments.command))
        worst = max(worst, (share, str(folder)))
        seen[case.name] = seen.get(case.name, 0) + 1
        if problem:
            misses += 1
            print(f"MISS {folder} ({case.case['class']}, {case.case['dtype']}): {problem}", flush=True)
    print(f"{arguments.count} cases of {arguments.kind} ({', '.join(f'{n} {c}' for n, c in sorted(seen.items()))}); {misses} missed; "
          f"largest error is {worst[0]:.2f} of the tolerance ({worst[1]})")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
