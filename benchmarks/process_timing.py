"""Whole processes, timed and watched from outside: what the journeys of this folder share.

Output of a process goes to files, so that no pipe fills up and nobody reads while the clock runs: stdout to LOG, stderr to
LOG.errors.
"""
import os
import pathlib
import platform
import statistics
import sys
import time

MB = 1e6


def start(command, environment, log):
    """Starts a process with its output in the files `log` and `log`.errors; returns its id."""
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, log, write, 0o644),
               (os.POSIX_SPAWN_OPEN, 2, f"{log}.errors", write, 0o644)]
    return os.posix_spawn(command[0], command, environment, file_actions=actions)


def check_exit(command, status, log):
    """Ends this program, with the end of what the command said, unless its `status` is that of success."""
    if os.waitstatus_to_exitcode(status) != 0:
        tails = [pathlib.Path(path).read_text(errors="replace")[-2000:] for path in (log, f"{log}.errors")]
        sys.exit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}:\n{''.join(tails)}")


def timed_run(command, environment, log):
    """Wall time in seconds, and (user + system) CPU time."""
    begin = time.perf_counter()
    pid = start(command, environment, log)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - begin
    check_exit(command, status, log)
    return seconds, usage.ru_utime + usage.ru_stime


def memory_of(pid):
    """(private, shared) bytes of a process and all its children; 0 for what has ended."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().split(b"\n")
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            children = file.read().split()
    except OSError:
        return 0, 0
    of = lambda *names: sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(names))
    private, shared = of(b"RssAnon:"), of(b"RssFile:", b"RssShmem:")
    for child in children:
        more = memory_of(int(child))
        private, shared = private + more[0], shared + more[1]
    return private, shared


def memory_run(command, environment, log):
    """(peak private bytes, peak resident bytes)."""
    pid = start(command, environment, log)
    peak = 0
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            break
        peak = max(peak, memory_of(pid)[0])
        time.sleep(0.0005)
    check_exit(command, status, log)
    return peak, usage.ru_maxrss * 1024


def warm(folder):
    """Reads all files, so that they are in the page cache; their bytes."""
    total = 0
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file():
            with open(path, "rb", buffering=0) as file:
                while chunk := file.read(1 << 24):
                    total += len(chunk)
    return total


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def cell(values):
    """spread() for a table; nothing where there is none."""
    if values is None:
        return ""
    digits = lambda value: f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return f"{digits(values['median'])} ({digits(values['min'])} to {digits(values['max'])})"


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
