#!/usr/bin/env python3
"""load_peers.py on a tiny model, beside a stand-in for the peers: that it measures, draws, and notices when others read
something else."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).absolute().parent
BIN = pathlib.Path(".").absolute()
TINY = ["--hidden=32", "--intermediate=64", "--layers=2", "--heads=4", "--key-heads=2", "--vocabulary=100"]
# Answers as peers/load_checkpoint.py does, by what our own program reads; `changes` of the document are put in.
PEER = """#!{python}
import json, pathlib, shutil, subprocess, sys
if sys.argv[1] == "-c":
    shutil.copy(sys.argv[3], sys.argv[4])
    sys.exit()
folder = pathlib.Path(sys.argv[3])
if folder.name == "bin":
    folder = folder.parent / "safetensors"
flags = ["--dtype=float32"] if sys.argv[2] == "transformers_f32" else []
document = json.loads(subprocess.check_output([{program!r}, folder, *flags]))
document["versions"] = "peer 1.0"
if any(flag.startswith("--save") for flag in sys.argv):
    document["save_seconds"] = 0.5
document.update({changes!r})
print(json.dumps(document))
"""


class LoadPeersTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="load peers ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def measure(self, *flags, **changes):
        peer = self.folder / "peer"
        peer.write_text(PEER.format(python=sys.executable, program=str(BIN / "benchmarks/load_checkpoint"), changes=changes))
        peer.chmod(0o755)
        return subprocess.run([sys.executable, HERE / "load_peers.py", f"--bin={BIN}", f"--python={peer}", f"--newest={peer}",
                               f"--folder={self.folder / 'llama'}", *TINY, *flags], capture_output=True, text=True, check=False)

    def test_measures_and_draws(self):
        plot, figures = self.folder / "plot.svg", self.folder / "figures.json"
        done = self.measure("--runs=2", "--scenarios=cold,warm,float32,save", f"--plot={plot}", f"--json={figures}")
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ("| cold |", "| warm |", "| `auto` (mapped)", "dd direct, 4M", "Run:ai streamer", "memcpy of as much traffic"):
            self.assertIn(text, done.stdout)
        report = json.loads(figures.read_text())
        self.assertEqual(report["figures"]["warm"]["`auto`"]["seconds"]["runs"], 2)
        xml.etree.ElementTree.parse(plot)

    def test_notices_what_others_read(self):
        done = self.measure("--runs=1", "--scenarios=warm", sum=7)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not all have read the same bytes", done.stderr)

    def test_ends_in_time(self):
        done = self.measure("--runs=50", "--scenarios=float32", "--minutes=0.001")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 rounds of 50 fit", done.stderr)

    def test_slow_storage_or_a_reason(self):
        done = self.measure("--runs=1", "--scenarios=slow", "--slow-mb=90")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue("| slow |" in done.stdout or "cannot mount here" in done.stderr, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
