#!/usr/bin/env python3
"""Compares the forward of BERT-base in one process: ours, transformers 4.34.0 and the newest one.

    bazel build -c opt //modeling/bert:bert_model_benchmark
    benchmarks/peers/setup_venv.sh VENV NEWEST
    benchmarks/forward_bert.py --benchmark=bazel-bin/modeling/bert/bert_model_benchmark --python=VENV/bin/python \\
        --newest=NEWEST/bin/python

12 layers, hidden size 768, 12 heads, 128 tokens, float32, random weights, inference mode, and for all the same number of
threads. The processes take turns; each makes its model, warms up and times --calls calls of each batch size, and its figure
is their median. 4.34.0 has eager attention alone; of the newest both eager and sdpa, its default, are taken.

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

PEER = str(pathlib.Path(__file__).resolve().parent / "peers" / "forward_bert.py")
OURS = "ours"
SECONDS_OF = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}


def commands(arguments):
    """{who: command}"""
    peer = lambda python, attention: [python, PEER, str(arguments.threads), attention, str(arguments.calls),
                                      *map(str, arguments.batches)]
    batches = "|".join(map(str, arguments.batches))
    result = {
        # So short a time makes each repetition one call.
        OURS: [arguments.benchmark, f"--benchmark_filter=BM_Forward/batch:({batches})/", "--benchmark_format=json",
               "--benchmark_min_time=0.0001", f"--benchmark_repetitions={arguments.calls}"],
        "pinned": peer(arguments.python, "eager"),
    }
    if arguments.newest:
        result["newest eager"] = peer(arguments.newest, "eager")
        result["newest sdpa"] = peer(arguments.newest, "sdpa")
    return result


def our_medians(document, arguments):
    """{batch: median seconds} of google-benchmark's document."""
    seconds = {batch: [] for batch in arguments.batches}
    for entry in document["benchmarks"]:
        if entry.get("error_occurred"):
            sys.exit(f"forward_bert: {entry['name']}: {entry['error_message']}")
        if entry.get("run_type", "iteration") != "iteration":
            continue
        if entry["intraop_threads"] != arguments.threads:
            sys.exit(f"forward_bert: ours has {entry['intraop_threads']:g} threads, but {arguments.threads} were asked for")
        batch = int(entry["name"].split("batch:")[1].split("/")[0])
        seconds[batch].append(entry["real_time"] * SECONDS_OF[entry["time_unit"]])
    if not all(seconds.values()):
        sys.exit("forward_bert: a batch size is not in BM_Forward's list")
    return {batch: statistics.median(values) for batch, values in seconds.items()}


def measure(arguments):
    """({who: {batch: [median seconds of each run]}}, {who: its name})."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "HF_HUB_OFFLINE": "1"}
    figures, names = {}, {OURS: "`BertModel::Forward`"}
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        for _ in range(arguments.runs):
            for who, command in commands(arguments).items():
                timed_run(command, environment, log)
                # Where no benchmark is of that batch size there is no document.
                document = json.loads(pathlib.Path(log).read_text() or '{"benchmarks": []}')
                if who == OURS:
                    medians = our_medians(document, arguments)
                else:
                    medians = {int(batch): statistics.median(values) for batch, values in document["seconds"].items()}
                    names[who] = (f"transformers {document['transformers']}, torch {document['torch'].split('+')[0]}, "
                                  f"{'eager' if who == 'pinned' else who.split()[1]}")
                for batch, median in medians.items():
                    figures.setdefault(who, {}).setdefault(batch, []).append(median)
    return figures, names


def print_report(report):
    print(f"{report['date']}, {report['cpu']}, {report['cores']} cores; {report['command']}")
    print("Milliseconds a forward, medians (minimum to maximum); in brackets how many times ours.\n")
    batches = list(report["figures"][OURS])
    print(f"| | {' | '.join(f'batch {batch}' for batch in batches)} |\n|{' --- |' * (1 + len(batches))}")
    for who, series in report["figures"].items():
        cells = [f"{1e3 * values['median']:.1f} ({1e3 * values['min']:.1f} to {1e3 * values['max']:.1f})"
                 + (f" [{values['median'] / report['figures'][OURS][batch]['median']:.2f}]" if who != OURS else "")
                 for batch, values in series.items()]
        print(f"| {report['names'][who]} | {' | '.join(cells)} |")
    print("\nAim: no slower than any, 1.00 in brackets.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", required=True, help="bert_model_benchmark that was built")
    parser.add_argument("--python", required=True, help="Python of the environment with transformers 4.34.0")
    parser.add_argument("--newest", help="Python of the environment with the newest transformers (default: left out)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each (default 2)")
    parser.add_argument("--runs", type=int, default=5, help="processes of each (default 5)")
    parser.add_argument("--calls", type=int, default=10, help="timed calls a process and batch size (default 10)")
    parser.add_argument("--batches", default="1,8", help="batch sizes, of those that BM_Forward has (default 1,8)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    arguments = parser.parse_args()
    if min(arguments.threads, arguments.runs, arguments.calls) < 1:
        parser.error("--threads, --runs and --calls must be at least 1")
    arguments.batches = [int(batch) for batch in arguments.batches.split(",")]
    for flag in ("benchmark", "python", "newest"):
        if path := getattr(arguments, flag):
            # Not resolved: a virtual environment's python is a link, and is known by where it lies.
            setattr(arguments, flag, os.path.abspath(path))
            if not os.access(path, os.X_OK):
                parser.error(f"{path}: there is no such command")
    figures, names = measure(arguments)
    report = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "cores": os.cpu_count(),
              "command": f"--runs={arguments.runs} --calls={arguments.calls} --threads={arguments.threads}", "names": names,
              "figures": {who: {batch: spread(values) for batch, values in series.items()} for who, series in figures.items()}}
    if arguments.json:
        print(json.dumps(report, indent=1))
    else:
        print_report(report)


if __name__ == "__main__":
    main()
