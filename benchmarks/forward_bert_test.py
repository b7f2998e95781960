#!/usr/bin/env python3
"""forward_bert.py with our benchmark and a stand-in for the peers: that it measures, and fails as it should."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).absolute().parent
BENCHMARK = "modeling/bert/bert_model_benchmark"
# Answers as peers/forward_bert.py does.
PEER = """#!{python}
import json, sys
_, _, threads, attention, calls, *batches = sys.argv
seconds = {{batch: [1e3 * int(batch)] * int(calls) for batch in batches}}
print(json.dumps({{"transformers": "4.34.0", "torch": "2.1.0+cpu", "threads": int(threads), "seconds": seconds}}))
"""


class ForwardBertTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="forward bert ")
        self.addCleanup(folder.cleanup)
        self.peer = pathlib.Path(folder.name) / "peer"
        self.peer.write_text(PEER.format(python=sys.executable))
        self.peer.chmod(0o755)

    def measure(self, *flags, benchmark=BENCHMARK):
        return subprocess.run([sys.executable, HERE / "forward_bert.py", f"--benchmark={benchmark}", f"--python={self.peer}",
                               f"--newest={self.peer}", "--threads=1", "--runs=1", "--calls=2", *flags],
                              capture_output=True, text=True, check=False)

    def test_measures_all(self):
        done = self.measure("--json", "--batches=1")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(list(report["figures"]), ["ours", "pinned", "newest eager", "newest sdpa"])
        self.assertTrue(0 < report["figures"]["ours"]["1"]["median"] < 1000)
        self.assertEqual(report["figures"]["newest sdpa"]["1"], {"median": 1000, "min": 1000, "max": 1000, "runs": 1})

    def test_prints_a_table(self):
        ours = self.peer.with_name("ours")
        entry = {"name": "BM_Forward/batch:8/real_time", "run_type": "iteration", "real_time": 4e6, "time_unit": "ms",
                 "intraop_threads": 1.0}
        document = {"benchmarks": [entry, {**entry, "real_time": 2e6}, {**entry, "run_type": "aggregate", "real_time": 1}]}
        ours.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(document)}\nEND\n")
        ours.chmod(0o755)
        done = self.measure("--batches=8", benchmark=ours)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| `BertModel::Forward` | 3000000.0 (3000000.0 to 3000000.0) |", done.stdout)
        self.assertIn("| transformers 4.34.0, torch 2.1.0, eager | 8000000.0 (8000000.0 to 8000000.0) [2.67] |", done.stdout)
        done = self.measure("--batches=8", "--threads=2", benchmark=ours)
        self.assertEqual(done.returncode, 1)
        self.assertIn("ours has 1 threads, but 2 were asked for", done.stderr)

    def test_fails_when_a_batch_size_is_not_measured(self):
        done = self.measure("--batches=3")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("BM_Forward", done.stderr)


if __name__ == "__main__":
    unittest.main()
