#!/usr/bin/env python3
"""Opens, reads and converts a large checkpoint, side by side with torch, safetensors and transformers 4.34.0.

    bazel build -c opt //tools:pretrained //benchmarks:read_checkpoint
    benchmarks/peers/setup_venv.sh VENV
    benchmarks/torch_checkpoints.py --bin=bazel-bin --python=VENV/bin/python --folder=FOLDER

FOLDER gets the checkpoint, made once: float16 in LLaMA's shapes, shards of 1 GB, as pytorch_model.bin and as safetensors
(--gb=2.7 each), and takes three times as much disk. All files are read once before, so that they come from the page cache.
Pairs take turns. Clocks run inside the processes, after their imports; `convert` and `dd` are timed from outside, from start to
exit. Private memory is the peak of RssAnon, sampled every two milliseconds (the peers': peak resident less mapped files). All sums
must agree.

Exit status: 0 measured and the sums agree, 1 they do not or a command failed, 2 wrong usage.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

from process_timing import memory_of, warm

HERE = pathlib.Path(__file__).resolve().parent
PEER = HERE / "peers" / "torch_checkpoint.py"


def document(command):
    """The JSON document of a command."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}")
    return json.loads(done.stdout)


def timed(command):
    """Wall time and peak private memory of a whole process."""
    begin = time.perf_counter()
    peak = 0
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid)[0])
            time.sleep(0.002)
        seconds = time.perf_counter() - begin
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}: {process.stderr.read()}")
    return {"seconds": seconds, "peak_private_bytes": peak}


def spread(documents, key="seconds"):
    values = [entry[key] for entry in documents]
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def median(documents, key="seconds"):
    return statistics.median(entry[key] for entry in documents)


class Pairs:
    """Runs what is to be compared in turn, and keeps all documents by name."""

    def __init__(self, runs):
        self.runs = runs
        self.results = {}

    def take_turns(self, **actions):
        for _ in range(self.runs):
            for name, action in actions.items():
                self.results.setdefault(name, []).append(action())

    def check_sums(self):
        sums = {name: {entry["sum"] for entry in entries} for name, entries in self.results.items()
                if "sum" in entries[0] and name not in ("list_bin", "save")}
        if len(set().union(*sums.values())) != 1:
            sys.exit(f"the sums differ: {sums}")


def measure(arguments):
    folder = pathlib.Path(arguments.folder)
    ours, convert = arguments.bin / "benchmarks" / "read_checkpoint", arguments.bin / "tools" / "pretrained"
    if not (folder / "safetensors").exists():
        print(f"making the checkpoints in {folder}", file=sys.stderr)
        subprocess.run([arguments.python, PEER, "make", folder, str(arguments.gb)], check=True)
    warm(folder / "bin")
    warm(folder / "safetensors")
    size = sum(path.stat().st_size for path in (folder / "safetensors").iterdir())
    output = folder / "output"

    def fresh(action):
        """Runs it with an output folder that is not there, and nothing of the run before left to write back."""
        shutil.rmtree(output, ignore_errors=True)
        os.sync()
        result = action()
        shutil.rmtree(output, ignore_errors=True)
        return result

    def disk():
        output.mkdir()
        return timed(["dd", "if=/dev/zero", f"of={output}/dd", "bs=16M", f"count={size >> 24}", "conv=fsync"])

    pairs = Pairs(arguments.runs)
    pairs.take_turns(list_bin=lambda: document([ours, "list", folder / "bin"]),
                     read_bin=lambda: document([ours, "read", folder / "bin"]),
                     torch_load=lambda: document([arguments.python, PEER, "load", folder / "bin"]))
    pairs.take_turns(touch=lambda: document([ours, "touch", folder / "safetensors"]),
                     touch_peer=lambda: document([arguments.python, PEER, "touch", folder / "safetensors"]))
    pairs.take_turns(convert=lambda: fresh(lambda: timed([convert, "convert", folder / "bin", output, "--max_shard_size=1GB"])),
                     dd=lambda: fresh(disk),
                     save=lambda: fresh(lambda: document([arguments.python, PEER, "save", folder / "bin", output])))
    pairs.check_sums()
    return pairs.results, size


def report(results, size):
    row = lambda what, ours, peer, aim: print(
        f"| {what} | {spread(results[ours])} | {spread(results[peer])} | {median(results[ours]) / median(results[peer]):.3g} | {aim} |")
    print(f"{size / 1e9:.2f} GB, medians (minimum to maximum) of {len(results['dd'])} runs, seconds\n")
    print("| | `pretrained` | beside it | ratio | aim |\n| --- | --- | --- | --- | --- |")
    row("open and list .bin; torch.load", "list_bin", "torch_load", "0.05")
    row("read all of .bin into memory; torch.load", "read_bin", "torch_load", "0.333")
    row("open safetensors and touch every byte; safetensors' load_file", "touch", "touch_peer", "1")
    row("convert .bin to safetensors, synced; dd of as many bytes, synced", "convert", "dd", "near 1")
    row("the same; 4.34's sharded save, from memory, not synced", "convert", "save", "")
    print(f"\npeak private memory of convert: {spread(results['convert'], 'peak_private_bytes')} bytes, aim under 300e6; "
          f"of torch.load: {spread(results['torch_load'], 'peak_private_bytes')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="bazel-bin")
    parser.add_argument("--python", required=True, help="Python of the peers' environment")
    parser.add_argument("--folder", required=True, help="where the checkpoints are, or are to be made")
    parser.add_argument("--gb", type=float, default=2.7, help="size of the checkpoint to make (default 2.7)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each (default 5)")
    parser.add_argument("--json", action="store_true", help="print all figures as one JSON document")
    arguments = parser.parse_args()
    results, size = measure(arguments)
    if arguments.json:
        print(json.dumps({"bytes": size, "results": results}))
    else:
        report(results, size)


if __name__ == "__main__":
    main()
