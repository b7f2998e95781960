#!/usr/bin/env python3
"""plan.py with our command and benchmark and a stand-in for the peer: that it measures, and fails as it should."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).absolute().parent
# Answers as peers/plan.py does, with the map that our command computes, or with another.
PEER = """#!{python}
import json, subprocess, sys
_, _, tree, max_memory, no_split, dtype, calls = sys.argv
done = subprocess.run([{command!r}, "plan", tree, f"--max_memory={{max_memory}}", f"--no_split={{no_split}}", f"--dtype={{dtype}}",
                       "--json"], capture_output=True, check=True)
device_map = json.loads(done.stdout)["device_map"]
device_map.update({change})
print(json.dumps({{"accelerate": "0.23.0", "torch": "2.1.0", "device_map": device_map, "seconds": [1000] * int(calls)}}))
"""


class PlanTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="plan ")
        self.addCleanup(folder.cleanup)
        self.peer = pathlib.Path(folder.name) / "peer"

    def measure(self, *flags, change="{}"):
        self.peer.write_text(PEER.format(python=sys.executable, command=str(pathlib.Path("tools/pretrained").absolute()), change=change))
        self.peer.chmod(0o755)
        return subprocess.run([sys.executable, HERE / "plan.py", "--pretrained=tools/pretrained",
                               "--benchmark=device_map/planner_benchmark", f"--python={self.peer}", "--runs=1", "--calls=2", *flags],
                              capture_output=True, text=True, check=False)

    def test_measures_three_models(self):
        done = self.measure("--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        models = json.loads(done.stdout)["models"]
        self.assertEqual(list(models), ["llama-70b", "bloom-176b", "T0pp"])
        for figures in models.values():
            self.assertEqual(figures["in process"]["accelerate"]["median"], 1000)
            self.assertTrue(0 < figures["in process"]["pretrained"]["median"] < 100)
            self.assertGreater(figures["as a process"]["pretrained"]["median"], 0)

    def test_prints_a_table(self):
        done = self.measure()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| T0pp, as a process | ", done.stdout)
        self.assertIn(" | 1e+06 (1e+06 to 1e+06) | ", done.stdout)

    def test_fails_if_the_maps_differ(self):
        done = self.measure(change='{"lm_head": 7}')
        self.assertEqual(done.returncode, 1)
        self.assertIn("the maps differ", done.stderr)


if __name__ == "__main__":
    unittest.main()
