#!/usr/bin/env python3
"""Loads one checkpoint in every way there is, ours and the peers', warm, cold and from slow storage, and saves it.

    bazel build -c opt //benchmarks:load_checkpoint //benchmarks:slow_mount
    benchmarks/peers/setup_venv.sh VENV NEWEST
    benchmarks/load_peers.py --bin=bazel-bin --python=VENV/bin/python --newest=NEWEST/bin/python --folder=FOLDER --plot=PLOT.svg

FOLDER gets the checkpoint, made once: a LLaMA of 2.73 GB in float16 (make_llama.py; its flags make another one), as safetensors
and as .bin. Each scenario runs its rivals in turn, --runs times, each in a process of its own:

  cold     no page of the files is cached: by posix_fadvise(), which needs no rights, and by drop_caches with --drop-caches
  warm     all are
  float32  warm, converted on the way
  slow     a FUSE mount whose every request takes --latency-ms, of a checkpoint of --slow-mb (left out where mounting is refused)
  save     what was loaded is written as safetensors, synced; beside dd

Clocks start inside the processes, after their imports. "there" is when the call has returned, "in memory" when a byte of every
page was read as well, so that nothing is still to come from a disk, and "read" when every byte was: all must have read as many
bytes with the same sum. Memory is the peak over the process, sampled every few milliseconds: private (RssAnon) and shared
(RssFile and RssShmem). The limits of the machine are measured in the same turns: dd with iflag=direct at several block sizes and
buffered, cat, and memcpy.

No scenario begins another round once its share of --minutes is over.

Exit status: 0 measured and the sums agree, 1 they do not or a command failed, 2 wrong usage.
"""
import argparse
import ctypes
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import make_llama
from process_timing import MB, cell, check_exit, cpu_name, memory_of, spread, start, warm

HERE = pathlib.Path(__file__).resolve().parent
PEER = str(HERE / "peers" / "load_checkpoint.py")
SCENARIOS = ("cold", "warm", "float32", "slow", "save")
# Of the whole time.
SHARES = {"cold": 0.4, "warm": 0.25, "float32": 0.15, "slow": 0.1, "save": 0.1}
DIRECT_BLOCKS = ("1M", "4M", "16M")


class NotThere(Exception):
    """A rival that cannot run here."""


def watched_run(command, environment, log):
    """Wall time and peaks of memory of a whole process."""
    begin = time.perf_counter()
    pid = start([str(part) for part in command], environment, log)
    private = shared = 0
    while True:
        ended, status, _ = os.wait4(pid, os.WNOHANG)
        if ended:
            break
        now = memory_of(pid)
        private, shared = max(private, now[0]), max(shared, now[1])
        time.sleep(0.004)
    seconds = time.perf_counter() - begin
    check_exit(command, status, log)
    return {"process_seconds": seconds, "private_mb": private / MB, "shared_mb": shared / MB}


def drop(folder, everything):
    """Has the kernel forget the pages of all files of `folder`."""
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if everything:
        try:
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")
        except OSError as error:
            sys.exit(f"load_peers: --drop-caches: {error}; leave it out")


def memcpy_seconds(size):
    """Time to copy `size` bytes in memory, piece by piece, between buffers that lie in memory and not in a cache."""
    piece = min(size, 1 << 28)
    source, destination = ctypes.create_string_buffer(piece), ctypes.create_string_buffer(piece)
    ctypes.memset(source, 1, piece)
    ctypes.memset(destination, 2, piece)
    begin = time.perf_counter()
    left = size
    while left > 0:
        ctypes.memmove(destination, source, min(piece, left))
        left -= piece
    return time.perf_counter() - begin


class Benchmark:
    def __init__(self, arguments, scratch):
        self.arguments = arguments
        self.scratch = scratch
        self.log = os.path.join(scratch, "log")
        # A peer must not go and ask whether there is something newer.
        self.environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        self.ours = [arguments.bin / "benchmarks" / "load_checkpoint"]
        self.safetensors = arguments.folder / "safetensors"
        self.bin = arguments.folder / "bin"
        self.figures = {}
        self.versions = {}
        self.skipped = {}

    # What runs.

    def loader(self, command):
        """A rival that prints a document."""
        def run():
            measured = watched_run(command, self.environment, self.log)
            said = json.loads(pathlib.Path(self.log).read_text().splitlines()[-1])
            return {**measured, **said}
        return run

    def our(self, *flags, source=None):
        return self.loader([*self.ours, source or self.safetensors, *flags])

    def peer(self, python, way, *flags, source=None):
        return self.loader([python, PEER, way, source or (self.bin if way.startswith("torch") else self.safetensors), *flags])

    def plain(self, *command):
        """A limit of the machine: its process time is all that counts."""
        def run():
            measured = watched_run(command, self.environment, self.log)
            return {"seconds": measured["process_seconds"]}
        return run

    def weights(self, folder=None):
        return sorted((folder or self.safetensors).glob("*.safetensors"))

    def disk(self, *flags):
        """dd of every file, one after the other."""
        files = " && ".join(f"dd if='{path}' of=/dev/null {' '.join(flags)} 2>/dev/null" for path in self.weights())
        return self.plain("/bin/sh", "-c", files)

    def cat(self):
        return self.plain("/bin/sh", "-c", "exec cat " + " ".join(f"'{path}'" for path in self.weights()) + " > /dev/null")

    # Running it in turn.

    def take_turns(self, scenario, rivals, before=lambda: None):
        until = time.monotonic() + SHARES[scenario] * 60 * self.arguments.minutes
        samples = {}
        longest = 0
        for round_ in range(self.arguments.runs):
            begin = time.monotonic()
            if round_ > 0 and begin + longest > until:
                print(f"load_peers: {scenario}: {round_} rounds of {self.arguments.runs} fit into --minutes", file=sys.stderr)
                break
            for name, run in list(rivals.items()):
                before()
                try:
                    result = run()
                except SystemExit as error:
                    if name.startswith("`"):
                        raise
                    # A rival that fails does not end all.
                    self.skipped[f"{scenario}, {name}"] = str(error)[-600:]
                    print(f"load_peers: {scenario}: {name} is left out: {str(error)[-600:]}", file=sys.stderr)
                    del rivals[name]
                    samples.pop(name, None)
                    continue
                self.versions.update({name: result["versions"]} if "versions" in result else {})
                samples.setdefault(name, []).append(result)
            longest = max(longest, time.monotonic() - begin)
        self.check_sums(scenario, samples)
        self.figures[scenario] = {
            name: {key: spread([result[key] for result in results]) for key in results[0]
                   if isinstance(results[0][key], float)} | {"engines": results[0].get("engines", "")}
            for name, results in samples.items()}

    def check_sums(self, scenario, samples):
        said = {name: {(result["bytes"], result["sum"]) for result in results if "sum" in result}
                for name, results in samples.items()}
        if len(set().union(*said.values())) > 1:
            sys.exit(f"load_peers: {scenario}: not all have read the same bytes: {said}")

    # The scenarios.

    def rivals(self):
        python, newest = self.arguments.python, self.arguments.newest
        rivals = {"safetensors": self.peer(newest, "safetensors"), "fastsafetensors": self.peer(newest, "fastsafetensors"),
                  "Run:ai streamer": self.peer(newest, "runai"), "torch.load": self.peer(newest, "torch"),
                  "transformers, newest": self.peer(newest, "transformers"),
                  "transformers 4.34.0": self.peer(python, "transformers"), "accelerate 0.23.0": self.peer(python, "accelerate")}
        return {name: run for name, run in rivals.items() if name not in self.arguments.without}

    def cold(self):
        limits = {f"dd direct, {block}": self.disk("iflag=direct", f"bs={block}") for block in DIRECT_BLOCKS}
        limits["dd buffered"] = self.disk("bs=4M")
        self.take_turns("cold", {"`auto`": self.our(), "`shared`": self.our("--sharing=shared"), **self.rivals(), **limits},
                        lambda: drop(self.arguments.folder, self.arguments.drop_caches))

    def warm(self):
        size = sum(path.stat().st_size for path in self.weights())
        limits = {"cat": self.cat(), "memcpy": lambda: {"seconds": memcpy_seconds(size)}}
        warm(self.arguments.folder)
        self.take_turns("warm", {"`auto`": self.our(), "`private`": self.our("--sharing=private"), **self.rivals(), **limits})

    def float32(self):
        size = sum(path.stat().st_size for path in self.weights())
        warm(self.safetensors)
        # Reads one half as much as it writes: as much traffic as copying 1.5 times the file.
        self.take_turns("float32", {"`float32`": self.our("--dtype=float32"),
                                    "transformers 4.34.0": self.peer(self.arguments.python, "transformers_f32"),
                                    "transformers, newest": self.peer(self.arguments.newest, "transformers_f32"),
                                    "memcpy of as much traffic": lambda: {"seconds": memcpy_seconds(3 * size // 2)}})

    def slow(self):
        source = self.arguments.folder / "slow"
        if not (source / "config.json").exists():
            layers = max(1, round(self.arguments.slow_mb / 90))
            make_llama.make(source, make_llama.config_json(2048, 5632, layers, 32, 4, 1000))
        warm(source)
        point = os.path.join(self.scratch, "mount")
        os.mkdir(point)
        command = [self.arguments.bin / "benchmarks" / "slow_mount", source, point, f"--latency_ms={self.arguments.latency_ms}"]
        with subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE, text=True) as mount:
            try:
                while not os.path.ismount(point):
                    if mount.poll() is not None:
                        raise NotThere(mount.stderr.read().strip())
                    time.sleep(0.01)
                threads = f"--threads={self.arguments.slow_threads}"
                mounted = pathlib.Path(point)
                self.take_turns("slow", {
                    "`auto`": self.our(source=mounted), f"`auto`, {self.arguments.slow_threads} at a time": self.our(threads, source=mounted),
                    "Run:ai streamer, as many at a time": self.peer(self.arguments.newest, "runai", threads, source=mounted),
                    "fastsafetensors": self.peer(self.arguments.newest, "fastsafetensors", threads, source=mounted),
                    "safetensors": self.peer(self.arguments.newest, "safetensors", source=mounted)},
                    lambda: drop(point, False))
            finally:
                if mount.poll() is None:
                    mount.send_signal(signal.SIGTERM)
                    mount.wait(timeout=20)

    def save(self):
        output = self.arguments.folder / "output"
        size = sum(path.stat().st_size for path in self.weights())
        warm(self.safetensors)

        def fresh(run):
            def action():
                shutil.rmtree(output, ignore_errors=True)
                output.mkdir()
                os.sync()
                result = run()
                shutil.rmtree(output, ignore_errors=True)
                if "save_seconds" in result:
                    result["seconds"] = result["save_seconds"]
                return result
            return action
        write = lambda *flags: self.plain("/bin/dd", "if=/dev/zero", f"of={output}/dd", "bs=16M", f"count={size >> 24}", *flags)
        self.take_turns("save", {
            "`SaveCheckpoint`, shards": fresh(self.our(f"--save={output}/model", f"--max_shard_size={size // 4}")),
            "`SaveCheckpoint`, one file": fresh(self.our(f"--save={output}/model")),
            "safetensors": fresh(self.peer(self.arguments.newest, "safetensors", f"--save={output}/file.safetensors")),
            "dd, synced": fresh(write("conv=fsync")), "dd direct": fresh(write("oflag=direct", "conv=fsync"))})

    def measure(self):
        for scenario in self.arguments.scenarios:
            try:
                getattr(self, scenario)()
            except NotThere as error:
                self.skipped[scenario] = str(error)
                print(f"load_peers: {scenario} is left out: {error}", file=sys.stderr)


# The report.

def first_of(figures):
    return next(name for name in figures if name.startswith("`"))


def print_report(report):
    print(f"{report['date']}, {report['cpu']}, {report['cores']} cores; {report['bytes'] / 1e9:.2f} GB of weights; {report['command']}")
    print("Seconds and MB, medians (minimum to maximum); \"times\" is \"in memory\" divided by that of our first line.")
    for scenario, figures in report["figures"].items():
        print(f"\n| {scenario} | there | in memory | times | read | private | shared |\n| --- | --- | --- | --- | --- | --- | --- |")
        ours = figures[first_of(figures)]["seconds"]["median"]
        for name, series in figures.items():
            label = name + (f" ({series['engines']})" if series["engines"] else "")
            version = report["versions"].get(name)
            label += f" ({version})" if version and version.split()[-1] not in name else ""
            get = series.get
            print(f"| {label} | {cell(get('call_seconds'))} | {cell(get('seconds'))} | {get('seconds')['median'] / ours:.3g} | "
                  f"{cell(get('summed_seconds'))} | {cell(get('private_mb'))} | {cell(get('shared_mb'))} |")
    for name, why in report["skipped"].items():
        print(f"\nLeft out: {name}: {why.splitlines()[-1] if why else ''}")


def plot(report, path):
    """Bars of "in memory", a panel a scenario, as SVG."""
    escape = lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace("`", "")
    rows, y, width = [], 10, 760
    for scenario, figures in report["figures"].items():
        rows.append(f'<text x="10" y="{y + 16}" font-weight="bold">{scenario}, seconds until all is '
                    f'{"on the disk" if scenario == "save" else "in memory"}</text>')
        y += 26
        longest = max(series["seconds"]["max"] for series in figures.values())
        for name, series in sorted(figures.items(), key=lambda item: item[1]["seconds"]["median"]):
            seconds = series["seconds"]
            scale = lambda value: (width - 350) * value / longest
            colour = "#c0392b" if name.startswith("`") else "#95a5a6" if "call_seconds" not in series else "#2c7fb8"
            rows.append(f'<text x="250" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
                        f'<rect x="258" y="{y + 1}" width="{max(scale(seconds["median"]), 1):.1f}" height="14" fill="{colour}"/>'
                        f'<path d="M{258 + scale(seconds["min"]):.1f} {y + 8}H{258 + scale(seconds["max"]):.1f}" stroke="black"/>'
                        f'<text x="{264 + scale(seconds["max"]):.1f}" y="{y + 12}">{seconds["median"]:.3g}</text>')
            y += 19
        y += 16
    pathlib.Path(path).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{y}" fill="white"/>{"".join(rows)}</svg>\n')


def make_checkpoints(arguments):
    """The checkpoint, as safetensors and as .bin, where it is not there yet."""
    safetensors, torch = arguments.folder / "safetensors", arguments.folder / "bin"
    if not (safetensors / "config.json").exists():
        print(f"load_peers: making the checkpoint in {arguments.folder}", file=sys.stderr)
        make_llama.make_from(arguments, safetensors)
    if not any(torch.glob("*.bin")):
        # By the peer itself: a file as torch.save() makes it.
        torch.mkdir(parents=True, exist_ok=True)
        program = ("import sys, torch\nfrom safetensors.torch import load_file\n"
                   "torch.save(load_file(sys.argv[1]), sys.argv[2])\n")
        for path in sorted(safetensors.glob("*.safetensors")):
            subprocess.run([arguments.newest, "-c", program, path, torch / f"{path.stem}.partial"], check=True)
            os.rename(torch / f"{path.stem}.partial", torch / f"{path.stem}.bin")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="bazel-bin")
    parser.add_argument("--python", required=True, help="Python of the environment with transformers 4.34.0")
    parser.add_argument("--newest", required=True, help="Python of the environment with the newest releases")
    parser.add_argument("--folder", required=True, type=pathlib.Path, help="where the checkpoints are, or are to be made")
    make_llama.add_arguments(parser)
    parser.add_argument("--runs", type=int, default=5, help="rounds of each scenario, at most (default 5)")
    parser.add_argument("--minutes", type=float, default=11, help="after which no further round begins (default 11)")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help=f"which (default {','.join(SCENARIOS)})")
    parser.add_argument("--without", default="", help="rivals of cold and warm to leave out, by name, with commas between")
    parser.add_argument("--latency-ms", type=float, default=2, help="of slow storage (default 2)")
    parser.add_argument("--slow-mb", type=int, default=360, help="size of the slow scenario's checkpoint (default 360)")
    parser.add_argument("--slow-threads", type=int, default=16, help="requests at a time where they are to be equal (default 16)")
    parser.add_argument("--drop-caches", action="store_true", help="also empty the machine's page cache; needs root")
    parser.add_argument("--plot", help="write bars as SVG to this file")
    parser.add_argument("--json", help="write all figures to this file")
    arguments = parser.parse_args()
    arguments.scenarios = arguments.scenarios.split(",")
    arguments.without = [name.strip() for name in arguments.without.split(",")]
    if arguments.runs < 1 or not set(arguments.scenarios) <= set(SCENARIOS):
        parser.error(f"--runs is at least 1, --scenarios are {', '.join(SCENARIOS)}")
    # Not resolved: a virtual environment's python is a link, and is known by where it lies.
    arguments.bin, arguments.folder = arguments.bin.absolute(), arguments.folder.absolute()
    arguments.python, arguments.newest = os.path.abspath(arguments.python), os.path.abspath(arguments.newest)
    for path in (arguments.python, arguments.newest, arguments.bin / "benchmarks" / "load_checkpoint"):
        if not os.access(path, os.X_OK):
            parser.error(f"{path}: there is no such command")
    make_checkpoints(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        benchmark = Benchmark(arguments, scratch)
        benchmark.measure()
    report = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "cores": os.cpu_count(),
              "command": f"--runs={arguments.runs} --minutes={arguments.minutes:g}",
              "bytes": sum(path.stat().st_size for path in benchmark.weights()), "figures": benchmark.figures,
              "versions": benchmark.versions, "skipped": benchmark.skipped}
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")
    if arguments.plot:
        plot(report, arguments.plot)
    print_report(report)


if __name__ == "__main__":
    main()
