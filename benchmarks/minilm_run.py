#!/usr/bin/env python3
"""Compares two whole processes that load all-MiniLM-L6-v2 and run it: `pretrained run`, and transformers 4.34.0.

    bazel build -c opt //tools:pretrained @minilm//:files
    benchmarks/peers/setup_venv.sh VENV
    benchmarks/minilm_run.py --pretrained=bazel-bin/tools/pretrained --python=VENV/bin/python \\
        --model="$(bazel info output_base)/external/minilm/model"

The two take turns, after a warm-up of each, so that what the machine does meanwhile falls on both. Wall time is from
start to exit. Memory is taken in runs of its own, so that looking does not slow what is timed: the peak of private memory
(RssAnon of the process and its children, sampled about every millisecond) and the peak resident set (wait4). The outputs
must agree: |ours - peer's| <= 1e-5 * (1 + |peer's|). Needs nothing but Python 3 itself.

Exit status: 0 measured and outputs agree, 1 they do not or a command failed, 2 wrong usage.
"""
import argparse
import datetime
import json
import os
import pathlib
import sys
import tempfile

from process_timing import MB, cpu_name, memory_run, spread, timed_run
from tensor_files import largest_difference, read_floats

HERE = pathlib.Path(__file__).resolve().parent


def measure(commands, environment, log, arguments):
    """{who: {quantity: spread}} for commands that take turns."""
    samples = {who: {"wall_seconds": [], "cpu_seconds": [], "peak_private_mb": [], "peak_resident_mb": []} for who in commands}
    for command in commands.values():
        timed_run(command, environment, log)  # Warm-up: page cache, bytecode.
    for _ in range(arguments.runs):
        for who, command in commands.items():
            wall, cpu = timed_run(command, environment, log)
            samples[who]["wall_seconds"].append(wall)
            samples[who]["cpu_seconds"].append(cpu)
    for _ in range(arguments.memory_runs):
        for who, command in commands.items():
            private, resident = memory_run(command, environment, log)
            samples[who]["peak_private_mb"].append(private / MB)
            samples[who]["peak_resident_mb"].append(resident / MB)
    return {who: {quantity: spread(values) for quantity, values in series.items()} for who, series in samples.items()}


def print_table(report):
    print(f"{report['date']}, {report['cpu']}, {report['cores']} cores; {report['command']}")
    print(f"{'':18}{'pretrained':>12}{'min':>9}{'max':>9}{'transformers':>15}{'min':>9}{'max':>9}{'ratio':>8}{'aim':>7}")
    for quantity, unit, digits in (("wall_seconds", "s", 3), ("cpu_seconds", "s", 3), ("peak_private_mb", "MB", 1),
                                   ("peak_resident_mb", "MB", 1)):
        cells = [f"{report[who][quantity][key]:.{digits}f}" for who in ("pretrained", "transformers")
                 for key in ("median", "min", "max")]
        aim = report["aims"].get(quantity)
        print(f"{quantity.rsplit('_', 1)[0].replace('_', ' ') + ', ' + unit:18}{cells[0]:>12}{cells[1]:>9}{cells[2]:>9}"
              f"{cells[3]:>15}{cells[4]:>9}{cells[5]:>9}{report['ratios'][quantity]:8.3f}{aim if aim else '':>7}")
    print(f"outputs differ by at most {report['largest_difference']:.2f} of the tolerance 1e-5 * (1 + |want|)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrained", required=True, help="the command that was built")
    parser.add_argument("--python", required=True, help="the peers' Python, of an environment by peers/setup_venv.sh")
    parser.add_argument("--model", required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--inputs", default=str(HERE.parent / "testdata" / "minilm" / "inputs.safetensors"))
    parser.add_argument("--runs", type=int, default=11, help="timed runs of each (default 11)")
    parser.add_argument("--memory-runs", type=int, default=3, help="runs of each that memory is sampled in (default 3)")
    parser.add_argument("--threads", type=int, help="OMP_NUM_THREADS for both (default: each decides)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    arguments = parser.parse_args()
    if arguments.runs < 1 or arguments.memory_runs < 1:
        parser.error("--runs and --memory-runs must be at least 1")
    environment = dict(os.environ)
    if arguments.threads:
        environment["OMP_NUM_THREADS"] = str(arguments.threads)
    # Not resolved: a virtual environment's python is a link, and is known by where it lies.
    pretrained, python = (os.path.abspath(path) for path in (arguments.pretrained, arguments.python))
    for path in (pretrained, python):
        if not os.access(path, os.X_OK):
            parser.error(f"{path}: there is no such command")
    with tempfile.TemporaryDirectory() as folder:
        ours, peers, log = (os.path.join(folder, name) for name in ("ours.safetensors", "peers.safetensors", "log"))
        commands = {
            "pretrained": [pretrained, "run", arguments.model, f"--inputs={arguments.inputs}", f"--outputs={ours}"],
            "transformers": [python, str(HERE / "peers" / "run_minilm.py"), arguments.model, arguments.inputs, peers],
        }
        report = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "cores": os.cpu_count(),
                  "command": f"--runs={arguments.runs} --memory-runs={arguments.memory_runs}"
                             + (f" --threads={arguments.threads}" if arguments.threads else ""),
                  **measure(commands, environment, log, arguments)}
        share, problem = largest_difference(read_floats(ours), read_floats(peers))
    if problem:
        sys.exit(f"minilm_run: {problem}")
    report["ratios"] = {quantity: report["pretrained"][quantity]["median"] / report["transformers"][quantity]["median"]
                        for quantity in report["pretrained"]}
    report["aims"] = {"wall_seconds": 0.15, "peak_private_mb": 0.333}
    report["largest_difference"] = share
    if arguments.json:
        print(json.dumps(report, indent=1))
    else:
        print_table(report)
    return 0 if share <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
