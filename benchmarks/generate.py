#!/usr/bin/env python3
"""Compares generation in one process: ours, transformers 4.34.0 and the newest one.

    bazel build -c opt //generation:generate_benchmark
    benchmarks/peers/setup_venv.sh VENV NEWEST
    benchmarks/generate.py --benchmark=bazel-bin/generation/generate_benchmark --python=VENV/bin/python \\
        --newest=NEWEST/bin/python

128 tokens, greedy, after a prompt of 32, with a GPT-2 of 124 million parameters and a LLaMA of 1.1 billion (which takes up to
10 GB of memory while it is made), in float32 and bfloat16; random weights, and for all the same number of threads. The
processes take turns; each makes its model, warms up and generates --repeats times, and its figure is their median.

Exit status: 0 measured, 1 a command failed, 2 wrong usage.
"""
import argparse
import datetime
import json
import os
import pathlib
import statistics
import sys
import tempfile

from process_timing import cpu_name, spread, timed_run

PEER = str(pathlib.Path(__file__).resolve().parent / "peers" / "generate.py")
OURS = "ours"
SECONDS_OF = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}
TOKENS = {"tiny": 16, "gpt2": 128, "llama": 128}
AIM = 1.2


def commands(arguments, case):
    """{who: command}"""
    tokens = TOKENS[case.split("_")[0]]
    peer = lambda python: [python, PEER, str(arguments.threads), str(arguments.repeats), str(tokens), case]
    result = {
        # So short a time makes each repetition one generation; the first, which warms up, does not count.
        OURS: [arguments.benchmark, f"--benchmark_filter=BM_Generate/{case}/", "--benchmark_format=json",
               "--benchmark_min_time=0.0001", f"--benchmark_repetitions={arguments.repeats + 1}"],
        "pinned": peer(arguments.python),
    }
    if arguments.newest:
        result["newest"] = peer(arguments.newest)
    return result


def our_seconds(document, arguments, case):
    """Of each generation, from google-benchmark's document."""
    seconds = []
    for entry in document["benchmarks"]:
        if entry.get("error_occurred"):
            sys.exit(f"generate: {entry['name']}: {entry['error_message']}")
        if entry.get("run_type", "iteration") != "iteration":
            continue
        if entry["intraop_threads"] != arguments.threads:
            sys.exit(f"generate: ours has {entry['intraop_threads']:g} threads, but {arguments.threads} were asked for")
        seconds.append(entry["real_time"] * SECONDS_OF[entry["time_unit"]])
    if len(seconds) < 2:
        sys.exit(f"generate: {case} is not in BM_Generate's list")
    return seconds[1:]


def measure(arguments):
    """({who: {case: [tokens a second of each run]}}, {who: its name})."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "HF_HUB_OFFLINE": "1"}
    figures, names = {}, {OURS: "`Generate`"}
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        for case in arguments.cases:
            for _ in range(arguments.runs):
                for who, command in commands(arguments, case).items():
                    timed_run(command, environment, log)
                    # Where no benchmark is of that name there is no document.
                    document = json.loads(pathlib.Path(log).read_text() or '{"benchmarks": []}')
                    if who == OURS:
                        seconds = our_seconds(document, arguments, case)
                    else:
                        seconds = document["seconds"][case]
                        names[who] = f"transformers {document['transformers']}, torch {document['torch'].split('+')[0]}"
                    rate = TOKENS[case.split("_")[0]] / statistics.median(seconds)
                    figures.setdefault(who, {}).setdefault(case, []).append(rate)
    return figures, names


def print_report(report):
    print(f"{report['date']}, {report['cpu']}, {report['cores']} cores; {report['command']}")
    print("Tokens a second, medians (minimum to maximum); in brackets how many times as many ours are.\n")
    cases = list(report["figures"][OURS])
    print(f"| | {' | '.join(cases)} |\n|{' --- |' * (1 + len(cases))}")
    for who, series in report["figures"].items():
        cells = [f"{values['median']:.1f} ({values['min']:.1f} to {values['max']:.1f})"
                 + (f" [{report['figures'][OURS][case]['median'] / values['median']:.2f}]" if who != OURS else "")
                 for case, values in series.items()]
        print(f"| {report['names'][who]} | {' | '.join(cells)} |")
    print(f"\nAim: {AIM} in brackets.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", required=True, help="generate_benchmark that was built")
    parser.add_argument("--python", required=True, help="Python of the environment with transformers 4.34.0")
    parser.add_argument("--newest", help="Python of the environment with the newest transformers (default: left out)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each (default 2)")
    parser.add_argument("--runs", type=int, default=3, help="processes of each (default 3)")
    parser.add_argument("--repeats", type=int, default=3, help="timed generations a process (default 3)")
    parser.add_argument("--cases", default="gpt2_float32,gpt2_bfloat16,llama_float32,llama_bfloat16",
                        help="of those that BM_Generate has (default all but tiny_float32)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    arguments = parser.parse_args()
    if min(arguments.threads, arguments.runs, arguments.repeats) < 1:
        parser.error("--threads, --runs and --repeats must be at least 1")
    arguments.cases = arguments.cases.split(",")
    for case in arguments.cases:
        if case.split("_")[0] not in TOKENS:
            parser.error(f"{case}: there is no such case")
    for flag in ("benchmark", "python", "newest"):
        if path := getattr(arguments, flag):
            # Not resolved: a virtual environment's python is a link, and is known by where it lies.
            setattr(arguments, flag, os.path.abspath(path))
            if not os.access(path, os.X_OK):
                parser.error(f"{path}: there is no such command")
    figures, names = measure(arguments)
    report = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "cores": os.cpu_count(),
              "command": f"--runs={arguments.runs} --repeats={arguments.repeats} --threads={arguments.threads}", "names": names,
              "figures": {who: {case: spread(values) for case, values in series.items()} for who, series in figures.items()}}
    if arguments.json:
        print(json.dumps(report, indent=1))
    else:
        print_report(report)


if __name__ == "__main__":
    main()
