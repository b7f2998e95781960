#!/usr/bin/env python3
"""device_map.py on a tiny model, beside a stand-in for the peers: that it measures, and notices when others generate other
tokens."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).absolute().parent
PRETRAINED = pathlib.Path("tools/pretrained").absolute()
TINY = ["--hidden=32", "--intermediate=64", "--layers=2", "--heads=4", "--key-heads=2", "--vocabulary=100"]
# Answers as peers/device_map.py does, with what our own program generates without a map, `change` added to the last token.
PEER = """#!{python}
import json, subprocess, sys, tempfile
sys.path.insert(0, {here!r})
from device_map import read_ids
from tensor_files import write_integers
_, _, model, dtype, device_map, offload, tokens, *ids = sys.argv
with tempfile.TemporaryDirectory() as scratch:
    write_integers(scratch + "/in", "input_ids", [[int(token) for token in ids]])
    subprocess.run([{program!r}, "generate", model, f"--dtype={{dtype}}", f"--inputs={{scratch}}/in", f"--outputs={{scratch}}/out",
                    f"--max_new_tokens={{tokens}}", f"--min_new_tokens={{tokens}}", "--do_sample=false"], check=True,
                   stdout=subprocess.DEVNULL)
    made = read_ids(scratch + "/out")
made[-1] += {change}
print(json.dumps({{"seconds": 1e-3, "ids": made, "map": json.loads(device_map)}}))
"""


class DeviceMapTest(unittest.TestCase):
    def measure(self, change, *flags):
        with tempfile.TemporaryDirectory(prefix="device map ") as folder:
            peer = pathlib.Path(folder) / "peer"
            peer.write_text(PEER.format(python=sys.executable, here=str(HERE), program=str(PRETRAINED), change=change))
            peer.chmod(0o755)
            return subprocess.run([sys.executable, HERE / "device_map.py", f"--pretrained={PRETRAINED}", f"--python={peer}",
                                   f"--newest={peer}", f"--folder={folder}/llama", "--runs=1", "--tokens=2", *TINY, *flags],
                                  capture_output=True, text=True, check=False)

    def test_measures_all(self):
        done = self.measure(0, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(list(report["figures"]), ["pretrained", "pinned", "newest"])
        for record in report["figures"].values():
            for quantity in ("process_seconds", "tokens_per_second", "peak_private_mb"):
                self.assertEqual(list(record[quantity]), ["disk", "half"])
                self.assertGreater(record[quantity]["half"]["min"], 0)

    def test_notices_other_tokens(self):
        done = self.measure(1, "--placements=disk")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("not the same tokens", done.stderr)
        self.assertIn("| tokens/s | disk |", done.stdout)


if __name__ == "__main__":
    unittest.main()
