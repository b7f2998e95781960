#!/usr/bin/env python3
"""Compares from_pretrained of a LLaMA of 2.7 GB in float16: `pretrained load`, transformers 4.34.0 and the newest one.

    bazel build -c opt //tools:pretrained
    benchmarks/peers/setup_venv.sh VENV NEWEST
    benchmarks/load_llama.py --pretrained=bazel-bin/tools/pretrained --python=VENV/bin/python \\
        --newest=NEWEST/bin/python --folder=FOLDER

FOLDER gets the checkpoint (make_llama.py), made once; it is read before, so that it comes from the page cache. It is loaded
as float16, the stored dtype, and as float32, which from_pretrained of 4.34 takes without an argument; both also with --touch,
where a byte of every page of every weight is read afterwards: a mapped weight costs when it is first read. 4.34.0 comes twice,
the second time with low_cpu_mem_usage=True; transformers 5 ignores that.

All take turns, after a warm-up of each. "process" is wall time from start to exit; "call" are the seconds of from_pretrained
(and of touching) that each tells itself, its imports not counted. Memory is taken in runs of its own: the peak of private
memory (RssAnon, sampled about every millisecond).

Before that all run the model they loaded: logits must agree within 1e-4 (float16: 2e-2) * (1 + |peer's|), where the peer's torch
runs the dtype; the sums of all weights' bytes must be those of the first peer.

Exit status: 0 measured and all loaded the same, 1 they did not or a command failed, 2 wrong usage.
"""
import argparse
import datetime
import json
import os
import pathlib
import sys
import tempfile

import make_llama
from process_timing import MB, cell, cpu_name, memory_run, spread, timed_run, warm
from tensor_files import largest_difference, read_floats, write_integers

HERE = pathlib.Path(__file__).resolve().parent
PEER = str(HERE / "peers" / "load_llama.py")
OURS, PINNED, PINNED_LOW, NEWEST = "pretrained", "pinned", "pinned_low", "newest"
TOLERANCE = {"float16": 2e-2, "float32": 1e-4}
# How many times faster than 4.34.0, as whole processes.
AIMS = {"float16": 15, "float32": 6}
QUANTITIES = (("process_seconds", "process, s"), ("call_seconds", "call, s"), ("peak_private_mb", "peak private, MB"))


def load_commands(arguments, dtype, touch):
    """{who: command} of one load each."""
    flags = ["--touch"] if touch else []
    commands = {
        OURS: [arguments.pretrained, "load", arguments.folder, f"--dtype={dtype}", "--json", *flags],
        PINNED: [arguments.python, PEER, arguments.folder, dtype, *flags],
        PINNED_LOW: [arguments.python, PEER, arguments.folder, dtype, "--low_cpu_mem_usage", *flags],
    }
    if arguments.newest:
        commands[NEWEST] = [arguments.newest, PEER, arguments.folder, dtype, *flags]
    return commands


def document(log):
    return json.loads(pathlib.Path(log).read_text())


def check_loads_the_same(arguments, dtype, scratch, environment):
    """{who: what it says of what it loaded}; ends the program where that differs from what the others loaded."""
    log, inputs = (os.path.join(scratch, name) for name in ("log", "inputs"))
    outputs = {who: os.path.join(scratch, f"{who}.{dtype}") for who in load_commands(arguments, dtype, False)}
    write_integers(inputs, "input_ids", [[1, 2, 3, 5, 8, 13, 21, 34]])
    said = {}
    for who, command in load_commands(arguments, dtype, False).items():
        if who == OURS:
            timed_run(command, environment, log)
            said[OURS] = document(log)
            command = [arguments.pretrained, "run", arguments.folder, f"--dtype={dtype}", f"--inputs={inputs}",
                       f"--outputs={outputs[OURS]}"]
            timed_run(command, environment, log)
        else:
            timed_run([*command, f"--inputs={inputs}", f"--outputs={outputs[who]}"], environment, log)
            said[who] = document(log)
    ours, first = said[OURS], said[PINNED]
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if ours[key]:
            sys.exit(f"load_llama: {dtype}: ours has {key}: {ours[key]}")
    logits = read_floats(outputs[OURS])
    for who, peer in said.items():
        if (peer["class"], peer["dtype"]) != ("LlamaForCausalLM", dtype):
            sys.exit(f"load_llama: {dtype}: {who} loaded a {peer['class']} of {peer['dtype']}")
        if who == OURS:
            continue
        if 2 * peer["num_parameters"] != ours["bytes"]:
            sys.exit(f"load_llama: {dtype}: {who} has {peer['num_parameters']} parameters, but ours are {ours['bytes']} bytes")
        if peer["sum"] != first["sum"]:
            sys.exit(f"load_llama: {dtype}: the sums differ: {peer['sum']} of {who}, {first['sum']} of {PINNED}")
        if not peer["ran"]:
            continue
        peer["largest_difference"], problem = largest_difference(logits, read_floats(outputs[who]), TOLERANCE[dtype])
        if problem or not peer["largest_difference"] <= 1:
            sys.exit(f"load_llama: {dtype}: logits of {who}: {problem or peer['largest_difference']}"
                     f"{'' if problem else ' times the tolerance'}")
    return said


def measure(arguments, commands, log, environment):
    """{who: {quantity: spread}} for commands that take turns."""
    samples = {who: {quantity: [] for quantity, _ in QUANTITIES} for who in commands}
    for command in commands.values():
        timed_run(command, environment, log)
    for _ in range(arguments.runs):
        for who, command in commands.items():
            samples[who]["process_seconds"].append(timed_run(command, environment, log)[0])
            samples[who]["call_seconds"].append(document(log)["seconds"])
    for _ in range(arguments.memory_runs):
        for who, command in commands.items():
            samples[who]["peak_private_mb"].append(memory_run(command, environment, log)[0] / MB)
    return {who: {quantity: spread(values) for quantity, values in series.items()} for who, series in samples.items()}


def names_of(said):
    """{who: the words for a table}."""
    release = lambda who: f"transformers {said[who]['transformers']}, torch {said[who]['torch'].split('+')[0]}"
    names = {OURS: "`pretrained load`", PINNED: release(PINNED), PINNED_LOW: "the same, low_cpu_mem_usage=True"}
    if NEWEST in said:
        names[NEWEST] = release(NEWEST)
    return names


def speedups(figures):
    """{who: {quantity: peer's median / ours}}."""
    return {who: {quantity: series[quantity]["median"] / figures[OURS][quantity]["median"] for quantity, _ in QUANTITIES}
            for who, series in figures.items() if who != OURS}


def print_report(report):
    print(f"{report['date']}, {report['cpu']}, {report['cores']} cores; {report['bytes'] / 1e9:.2f} GB, {report['command']}")
    print("Medians (minimum to maximum); in brackets how many times ours.")
    for name, figures in report["figures"].items():
        print(f"\n| {name.replace('_', ', ')} | {' | '.join(title for _, title in QUANTITIES)} |\n| --- | --- | --- | --- |")
        factors = report["speedups"][name]
        for who, series in figures.items():
            cells = [cell(series[quantity]) + (f" [{factors[who][quantity]:.3g}]" if who != OURS else "")
                     for quantity, _ in QUANTITIES]
            print(f"| {report['names'][who]} | {' | '.join(cells)} |")
    print()
    for dtype, aim in AIMS.items():
        if dtype in report["speedups"]:
            factors = [f"{factors['process_seconds']:.1f} times faster than {report['names'][who]}"
                       for who, factors in report["speedups"][dtype].items()]
            print(f"{dtype}: as a process {'; '.join(factors)}. Aim: {aim} times faster than 4.34.0")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrained", required=True, help="the command that was built")
    parser.add_argument("--python", required=True, help="Python of the environment with transformers 4.34.0")
    parser.add_argument("--newest", help="Python of the environment with the newest transformers (default: left out)")
    parser.add_argument("--folder", required=True, help="where the checkpoint is, or is to be made")
    make_llama.add_arguments(parser)
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each (default 5)")
    parser.add_argument("--memory-runs", type=int, default=1, help="runs of each that memory is sampled in (default 1)")
    parser.add_argument("--dtypes", default="float16,float32", help="what to load it as (default float16,float32)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    arguments = parser.parse_args()
    if arguments.runs < 1 or arguments.memory_runs < 1:
        parser.error("--runs and --memory-runs must be at least 1")
    dtypes = arguments.dtypes.split(",")
    if not set(dtypes) <= set(AIMS):
        parser.error(f"--dtypes are {', '.join(AIMS)}")
    for flag in ("pretrained", "python", "newest", "folder"):
        if path := getattr(arguments, flag):
            # Not resolved: a virtual environment's python is a link, and is known by where it lies.
            setattr(arguments, flag, os.path.abspath(path))
            if flag != "folder" and not os.access(path, os.X_OK):
                parser.error(f"{path}: there is no such command")
    if not os.path.exists(os.path.join(arguments.folder, "config.json")):
        print(f"making the checkpoint in {arguments.folder}", file=sys.stderr)
        make_llama.make_from(arguments, arguments.folder)
    # A peer must not go and ask whether there is something newer.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    warm(arguments.folder)
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        for dtype in dtypes:
            said = check_loads_the_same(arguments, dtype, scratch, environment)
            for touch in (False, True):
                figures[f"{dtype}_touched" if touch else dtype] = measure(
                    arguments, load_commands(arguments, dtype, touch), os.path.join(scratch, "log"), environment)
    report = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "cores": os.cpu_count(),
              "command": f"--runs={arguments.runs} --memory-runs={arguments.memory_runs}", "bytes": said[OURS]["bytes"],
              "names": names_of(said), "figures": figures, "aims": AIMS,
              "speedups": {name: speedups(series) for name, series in figures.items()}}
    if arguments.json:
        print(json.dumps(report, indent=1))
    else:
        print_report(report)


if __name__ == "__main__":
    main()
