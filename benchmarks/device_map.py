#!/usr/bin/env python3
"""Compares models that are larger than their budget: `pretrained generate --device_map` and accelerate's disk offload.

    bazel build -c opt //tools:pretrained
    benchmarks/peers/setup_venv.sh VENV NEWEST
    benchmarks/device_map.py --pretrained=bazel-bin/tools/pretrained --python=VENV/bin/python \\
        --newest=NEWEST/bin/python --folder=FOLDER

FOLDER gets the checkpoint, a LLaMA of 2.7 GB in float16 (make_llama.py), made once; it is read before, so that it comes from the
page cache. Each process loads it, in --dtype, under a map, and generates --tokens tokens greedily after a prompt of 4:

    disk   every layer on the disk; embedding, norm and head on the CPU (accelerate refuses to run all from the disk)
    half   the first half of the layers on the CPU, the others on the disk

All take turns, after a warm-up of each. "process" is wall time from start to exit, "tokens/s" is of the generation alone, the peak
of private memory (RssAnon, sampled about every millisecond) comes from a run of its own. The tokens must be the same.

Exit status: 0 measured and all generated the same, 1 they did not or a command failed, 2 wrong usage.
"""
import argparse
import datetime
import json
import os
import pathlib
import sys
import tempfile

import make_llama
from process_timing import MB, cpu_name, memory_run, spread, timed_run, warm
from tensor_files import write_integers

PEER = str(pathlib.Path(__file__).resolve().parent / "peers" / "device_map.py")
OURS = "pretrained"
AIM_TOKENS = 3  # Times as many a second.
PROMPT = [1, 2, 3, 4]
QUANTITIES = (("process_seconds", "process, s"), ("tokens_per_second", "tokens/s"), ("peak_private_mb", "peak private, MB"))


def device_map(layers, placement):
    on_cpu = layers // 2 if placement == "half" else 0
    return {"model.embed_tokens": "cpu", **{f"model.layers.{i}": "cpu" if i < on_cpu else "disk" for i in range(layers)},
            "model.norm": "cpu", "lm_head": "cpu"}


def read_ids(path):
    """The one int64 tensor of a safetensors file, as a list."""
    data = pathlib.Path(path).read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:begin])["sequences"]
    first, last = (begin + offset for offset in entry["data_offsets"])
    return [int.from_bytes(data[i:i + 8], "little", signed=True) for i in range(first, last, 8)]


def commands(arguments, placement, scratch):
    """{who: command}; each finds or makes what it needs below `scratch`."""
    layers = json.loads((pathlib.Path(arguments.folder) / "config.json").read_text())["num_hidden_layers"]
    text = json.dumps(device_map(layers, placement))
    inputs = os.path.join(scratch, "inputs.safetensors")
    write_integers(inputs, "input_ids", [PROMPT])
    ours = [arguments.pretrained, "generate", arguments.folder, f"--dtype={arguments.dtype}", f"--device_map={text}",
            f"--offload_folder={scratch}/ours", f"--inputs={inputs}", f"--outputs={scratch}/outputs.safetensors",
            f"--max_new_tokens={arguments.tokens}", f"--min_new_tokens={arguments.tokens}", "--do_sample=false", "--json"]
    peer = lambda python, name: [python, PEER, arguments.folder, arguments.dtype, text, f"{scratch}/{name}",
                                 str(arguments.tokens), *map(str, PROMPT)]
    result = {OURS: ours, "pinned": peer(arguments.python, "pinned")}
    if arguments.newest:
        result["newest"] = peer(arguments.newest, "newest")
    return result


def measure(arguments):
    """({who: {quantity: {placement: [values]}}}, whether all generated the same)"""
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "HF_HUB_OFFLINE": "1"}
    figures, same = {}, True
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        log = os.path.join(scratch, "log")
        for placement in arguments.placements:
            who_runs = commands(arguments, placement, scratch)
            ids = {}
            for run in range(arguments.runs + 1):
                for who, command in who_runs.items():
                    seconds, _ = timed_run(command, environment, log)
                    document = json.loads(pathlib.Path(log).read_text())
                    ids[who] = read_ids(f"{scratch}/outputs.safetensors") if who == OURS else document["ids"]
                    if run == 0:
                        continue  # A warm-up.
                    record = figures.setdefault(who, {})
                    record.setdefault("process_seconds", {}).setdefault(placement, []).append(seconds)
                    record.setdefault("tokens_per_second", {}).setdefault(placement, []).append(
                        arguments.tokens / document["seconds"])
            for who, command in who_runs.items():
                peak, _ = memory_run(command, environment, log)
                figures[who].setdefault("peak_private_mb", {}).setdefault(placement, []).append(peak / MB)
            if len({tuple(values) for values in ids.values()}) != 1:
                print(f"device_map: {placement}: not the same tokens: {ids}", file=sys.stderr)
                same = False
    return figures, same


def print_report(report):
    print(f"{report['date']}, {report['cpu']}, {report['cores']} cores; {report['command']}\n")
    print("Medians (minimum to maximum).\n")
    for quantity, title in QUANTITIES:
        placements = list(next(iter(report["figures"].values()))[quantity])
        print(f"| {title} | {' | '.join(placements)} |\n|{' --- |' * (1 + len(placements))}")
        for who, record in report["figures"].items():
            cells = [f"{v['median']:.2f} ({v['min']:.2f} to {v['max']:.2f})" for v in record[quantity].values()]
            print(f"| {who} | {' | '.join(cells)} |")
        print()
    print(f"Aim: {AIM_TOKENS} times the tokens a second of pinned.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrained", required=True, help="the command that was built")
    parser.add_argument("--python", required=True, help="Python of the environment with accelerate 0.23.0")
    parser.add_argument("--newest", help="Python of the environment with the newest accelerate (default: left out)")
    parser.add_argument("--folder", required=True, help="the checkpoint, made if it is missing")
    parser.add_argument("--scratch", help="folder for what is offloaded (default: the system's temporary one)")
    parser.add_argument("--dtype", default="float32", help="of the weights once loaded (default float32)")
    parser.add_argument("--tokens", type=int, default=4, help="generated by each process (default 4)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each (default 2)")
    parser.add_argument("--runs", type=int, default=3, help="timed processes of each (default 3)")
    parser.add_argument("--placements", default="disk,half", help="of the two (default both)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    make_llama.add_arguments(parser)
    arguments = parser.parse_args()
    if min(arguments.tokens, arguments.threads, arguments.runs) < 1:
        parser.error("--tokens, --threads and --runs must be at least 1")
    arguments.placements = arguments.placements.split(",")
    if not set(arguments.placements) <= {"disk", "half"}:
        parser.error("--placements must be of disk and half")
    for flag in ("pretrained", "python", "newest"):
        if path := getattr(arguments, flag):
            # Not resolved: a virtual environment's python is a link, and is known by where it lies.
            setattr(arguments, flag, os.path.abspath(path))
            if not os.access(path, os.X_OK):
                parser.error(f"{path}: there is no such command")
    if not (pathlib.Path(arguments.folder) / "config.json").exists():
        make_llama.make_from(arguments, arguments.folder)
    warm(arguments.folder)
    figures, same = measure(arguments)
    report = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "cores": os.cpu_count(),
              "command": f"--dtype={arguments.dtype} --tokens={arguments.tokens} --runs={arguments.runs} "
                         f"--threads={arguments.threads}",
              "figures": {who: {quantity: {placement: spread(values) for placement, values in series.items()}
                                for quantity, series in record.items()} for who, record in figures.items()}}
    if arguments.json:
        print(json.dumps(report))
    else:
        print_report(report)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
