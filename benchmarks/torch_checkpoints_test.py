#!/usr/bin/env python3
"""torch_checkpoints.py on a small checkpoint and a stand-in for the peers: that it measures, compares and fails as it should."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).absolute().parent
FORMATS = pathlib.Path("testdata/formats/BertForMaskedLM").absolute()
# Answers as peers/torch_checkpoint.py does, with the sum that our own program finds.
PEER = """#!{python}
import json, pathlib, subprocess, sys
mode, folder = sys.argv[2], pathlib.Path(sys.argv[3])
if mode == "save":
    pathlib.Path(sys.argv[4]).mkdir()
done = subprocess.run([{program!r}, "touch", folder], capture_output=True, text=True, check=True)
document = json.loads(done.stdout)
document["sum"] += {error}
document["peak_private_bytes"] = 1
print(json.dumps(document))
"""


class TorchCheckpointsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="torch checkpoints ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name in ("bin", "safetensors"):
            (self.folder / "c" / name).mkdir(parents=True)
        # Both formats hold the same tensors: the aliases of a torch file would count twice.
        shutil.copyfile(FORMATS / "safetensors" / "model.safetensors", self.folder / "c" / "safetensors" / "model.safetensors")
        subprocess.run(["tools/pretrained", "convert", self.folder / "c" / "safetensors", self.folder / "c" / "bin", "--to=torch"],
                       check=True, stdout=subprocess.DEVNULL)

    def measure(self, *flags, error=0):
        peer = self.folder / "peer"
        peer.write_text(PEER.format(python=sys.executable, program=str(pathlib.Path("benchmarks/read_checkpoint").absolute()),
                                    error=error))
        peer.chmod(0o755)
        return subprocess.run([sys.executable, HERE / "torch_checkpoints.py", "--bin=.", f"--python={peer}",
                               f"--folder={self.folder / 'c'}", "--runs=2", *flags], capture_output=True, text=True, check=False)

    def test_measures_every_pair(self):
        done = self.measure("--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        results = json.loads(done.stdout)["results"]
        self.assertEqual(sorted(results), ["convert", "dd", "list_bin", "read_bin", "save", "torch_load", "touch", "touch_peer"])
        for entries in results.values():
            self.assertEqual(len(entries), 2)
            self.assertGreater(min(entry["seconds"] for entry in entries), 0)
        text = self.measure().stdout
        for word in ("torch.load", "dd of as many bytes", "private memory"):
            self.assertIn(word, text)
        self.assertEqual(sorted(path.name for path in (self.folder / "c").iterdir()), ["bin", "safetensors"])

    def test_sums_that_differ_are_an_error(self):
        done = self.measure(error=1)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the sums differ", done.stderr)


if __name__ == "__main__":
    unittest.main()
