#!/usr/bin/env python3
"""Eight processes that load the same checkpoint in its own dtype cost one model of memory, as the kernel shares it out (PSS)."""
import json
import pathlib
import random
import subprocess
import tempfile
import unittest

PROGRAM = pathlib.Path("benchmarks/load_checkpoint").absolute()
PROCESSES = 8
MODEL_BYTES = 64 << 20


def pss_of_file(pid, path):
    """Bytes of `path` that a process has mapped and in memory, those of shared pages divided by how many share them."""
    total, inside = 0, False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Pss:"):
            total += int(line.split()[1]) * 1024
    return total


def private_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


class SharedPagesTest(unittest.TestCase):
    def test_eight_processes_cost_one_model(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder).resolve() / "model.safetensors"
            header = json.dumps({"w": {"dtype": "F16", "shape": [MODEL_BYTES // 2], "data_offsets": [0, MODEL_BYTES]}}).encode()
            header += b" " * (-len(header) % 8)
            path.write_bytes(len(header).to_bytes(8, "little") + header + random.Random(1).randbytes(MODEL_BYTES))
            processes = [subprocess.Popen([PROGRAM, path, "--sharing=shared", "--hold"], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE) for _ in range(PROCESSES)]
            try:
                documents = [json.loads(process.stdout.readline()) for process in processes]
                self.assertEqual({document["bytes"] for document in documents}, {MODEL_BYTES})
                self.assertEqual(len({document["sum"] for document in documents}), 1)
                pss = [pss_of_file(process.pid, path) for process in processes]
                private = [private_bytes(process.pid) for process in processes]
            finally:
                for process in processes:
                    process.communicate()
        # All of it is in memory, once.
        self.assertAlmostEqual(sum(pss) / MODEL_BYTES, 1, delta=0.05)
        for value in pss:
            self.assertAlmostEqual(value * PROCESSES / MODEL_BYTES, 1, delta=0.05)
        self.assertLess(max(private), 0.3 * MODEL_BYTES)


if __name__ == "__main__":
    unittest.main()
