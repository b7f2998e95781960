#!/usr/bin/env python3
"""Compares planning a device map: `pretrained plan` and our planner, beside accelerate 0.23.0.

    bazel build -c opt //tools:pretrained //device_map:planner_benchmark
    benchmarks/peers/setup_venv.sh VENV
    benchmarks/plan.py --pretrained=bazel-bin/tools/pretrained --benchmark=bazel-bin/device_map/planner_benchmark \\
        --python=VENV/bin/python

LLaMA-70B, BLOOM-176B and T0pp as float16, by their module trees (testdata/device_map/trees), device_map "auto", on four GPUs
that hold four fifths of the model and a CPU that holds the rest. In process: from the module tree, or the model on the meta
device, to budgets and map; the median of ours and of --calls calls of the peer. As a process: from start to exit, the two
taking turns. The maps must be the same.

Exit status: 0 measured and the maps agree, 1 they do not or a command failed, 2 wrong usage.
"""
import argparse
import datetime
import json
import os
import pathlib
import sys
import tempfile

from process_timing import cpu_name, spread, timed_run

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
MODELS = {"llama-70b": "LlamaDecoderLayer", "bloom-176b": "BloomBlock", "T0pp": "T5Block"}
SECONDS_OF = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}
AIMS = {"in process": 10, "as a process": 50}


def run(command, log):
    """What the command prints, and its wall time."""
    seconds, _ = timed_run(command, dict(os.environ), log)
    return pathlib.Path(log).read_text(encoding="utf-8"), seconds


def our_calls(benchmark, runs, log):
    """{model: seconds of each repetition}"""
    # The benchmark reads its trees relative to the workspace.
    os.chdir(ROOT)
    text, _ = run([benchmark, "--benchmark_filter=BM_Plan", "--benchmark_format=json", "--benchmark_min_time=0.1",
                   f"--benchmark_repetitions={runs}"], log)
    seconds = {}
    for entry in json.loads(text)["benchmarks"]:
        if entry["run_type"] == "iteration":
            seconds.setdefault(entry["label"], []).append(entry["real_time"] * SECONDS_OF[entry["time_unit"]])
    return seconds


def measure(name, no_split, arguments, folder):
    """{what: {who: seconds}} of one model; ends the program if the maps differ."""
    log = str(folder / "log")
    tree = ROOT / "testdata" / "device_map" / "trees" / f"{name}.json"
    total = json.loads(tree.read_text(encoding="utf-8"))["compute_module_sizes"]["float16"][""]
    budgets = json.dumps({**{str(gpu): total // 5 for gpu in range(4)}, "cpu": total})
    ours = [arguments.pretrained, "plan", str(tree), f"--max_memory={budgets}", f"--no_split={no_split}", "--dtype=float16", "--json"]
    peer = lambda calls: [arguments.python, str(HERE / "peers" / "plan.py"), str(tree), budgets, no_split, "float16", str(calls)]
    our_map = json.loads(run(ours, log)[0])["device_map"]
    document = json.loads(run(peer(arguments.calls), log)[0])
    if our_map != document["device_map"]:
        sys.exit(f"plan: {name}: the maps differ")
    processes = {"pretrained": [], "accelerate": []}
    for _ in range(arguments.runs):
        processes["pretrained"].append(run(ours, log)[1])
        processes["accelerate"].append(run(peer(1), log)[1])
    return {"in process": {"accelerate": spread(document["seconds"])},
            "as a process": {who: spread(seconds) for who, seconds in processes.items()}}


def cell(figure, scale):
    return f"{figure['median'] * scale:.3g} ({figure['min'] * scale:.3g} to {figure['max'] * scale:.3g})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrained", required=True, help="the command that was built")
    parser.add_argument("--benchmark", required=True, help="the planner_benchmark that was built")
    parser.add_argument("--python", required=True, help="the peers' Python, of an environment by peers/setup_venv.sh")
    parser.add_argument("--runs", type=int, default=5, help="processes of each, and repetitions of ours (default 5)")
    parser.add_argument("--calls", type=int, default=5, help="calls of accelerate in one process (default 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    arguments = parser.parse_args()
    if arguments.runs < 1 or arguments.calls < 1:
        parser.error("--runs and --calls must be at least 1")
    for name in ("pretrained", "benchmark", "python"):
        # Not resolved: a virtual environment's python is a link, and is known by where it lies.
        setattr(arguments, name, os.path.abspath(getattr(arguments, name)))
        if not os.access(getattr(arguments, name), os.X_OK):
            parser.error(f"{getattr(arguments, name)}: there is no such command")
    report = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "cores": os.cpu_count(), "aims": AIMS, "models": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ours = our_calls(arguments.benchmark, arguments.runs, str(folder / "log"))
        for model, no_split in MODELS.items():
            figures = report["models"][model] = measure(model, no_split, arguments, folder)
            figures["in process"]["pretrained"] = spread(ours[model])
            for figure in figures.values():
                figure["times faster"] = figure["accelerate"]["median"] / figure["pretrained"]["median"]
    if arguments.json:
        print(json.dumps(report, indent=1))
        return 0
    print(f"{report['date']}, {report['cpu']}, {report['cores']} cores; milliseconds, medians (minimum to maximum)\n")
    print("| | `pretrained` | accelerate | times faster | aim |\n| --- | --- | --- | --- | --- |")
    for model, figures in report["models"].items():
        for what, aim in AIMS.items():
            figure = figures[what]
            print(f"| {model}, {what} | {cell(figure['pretrained'], 1e3)} | {cell(figure['accelerate'], 1e3)} | "
                  f"{figure['times faster']:.0f} | {aim} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
