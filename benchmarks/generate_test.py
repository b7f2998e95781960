#!/usr/bin/env python3
"""generate.py with our benchmark and a stand-in for the peers: that it measures, and fails as it should."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).absolute().parent
BENCHMARK = "generation/generate_benchmark"
# Answers as peers/generate.py does: four seconds each.
PEER = """#!{python}
import json, sys
_, _, threads, runs, tokens, *cases = sys.argv
print(json.dumps({{"transformers": "4.34.0", "torch": "2.1.0+cpu", "threads": int(threads),
                  "seconds": {{case: [4.0] * int(runs) for case in cases}}}}))
"""


class GenerateTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="generate ")
        self.addCleanup(folder.cleanup)
        self.peer = pathlib.Path(folder.name) / "peer"
        self.peer.write_text(PEER.format(python=sys.executable))
        self.peer.chmod(0o755)

    def measure(self, *flags, benchmark=BENCHMARK):
        return subprocess.run([sys.executable, HERE / "generate.py", f"--benchmark={benchmark}", f"--python={self.peer}",
                               f"--newest={self.peer}", "--threads=1", "--runs=1", "--repeats=2", *flags],
                              capture_output=True, text=True, check=False)

    def test_measures_all(self):
        done = self.measure("--json", "--cases=tiny_float32")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(list(report["figures"]), ["ours", "pinned", "newest"])
        self.assertGreater(report["figures"]["ours"]["tiny_float32"]["median"], 1)
        self.assertEqual(report["figures"]["newest"]["tiny_float32"], {"median": 4, "min": 4, "max": 4, "runs": 1})

    def test_prints_a_table(self):
        ours = self.peer.with_name("ours")
        entry = {"name": "BM_Generate/gpt2_float32/..", "run_type": "iteration", "real_time": 2e3, "time_unit": "ms",
                 "intraop_threads": 1.0}
        document = {"benchmarks": [{**entry, "real_time": 9e9}, entry, entry,
                                   {**entry, "run_type": "aggregate", "real_time": 1}]}
        ours.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(document)}\nEND\n")
        ours.chmod(0o755)
        done = self.measure("--cases=gpt2_float32", benchmark=ours)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| `Generate` | 64.0 (64.0 to 64.0) |", done.stdout)
        self.assertIn("| transformers 4.34.0, torch 2.1.0 | 32.0 (32.0 to 32.0) [2.00] |", done.stdout)
        done = self.measure("--cases=gpt2_float32", "--threads=2", benchmark=ours)
        self.assertEqual(done.returncode, 1)
        self.assertIn("ours has 1 threads, but 2 were asked for", done.stderr)

    def test_refuses_cases_that_are_not_there(self):
        done = self.measure("--cases=tiny_int8")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("BM_Generate", done.stderr)
        done = self.measure("--cases=gpt5_float32")
        self.assertEqual(done.returncode, 2, done.stdout)


if __name__ == "__main__":
    unittest.main()
