#!/usr/bin/env python3
"""minilm_run.py on two commands made here: that it measures what they do, and sees whether their outputs agree."""
import array
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).absolute().parent / "minilm_run.py"
# Takes `private` MB of memory for `seconds`, and copies a file to its last argument, which may begin with --outputs=.
COMMAND = """#!{python}
import shutil, sys, time
memory = bytearray({private} * 10**6)
time.sleep({seconds})
shutil.copy({result!r}, sys.argv[-1].split("=", 1)[-1])
"""


def safetensors(values, name="last_hidden_state"):
    data = array.array("f", values).tobytes()
    header = json.dumps({name: {"dtype": "F32", "shape": [len(values)], "data_offsets": [0, len(data)]}}).encode()
    return len(header).to_bytes(8, "little") + header + data


class MinilmRunTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="minilm run ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def command(self, name, output, private=1, seconds=0.02):
        result = self.folder / f"{name}.safetensors"
        result.write_bytes(output)
        path = self.folder / name
        path.write_text(COMMAND.format(python=sys.executable, private=private, seconds=seconds, result=str(result)))
        path.chmod(0o755)
        return path

    def measure(self, ours, peers, *more):
        return subprocess.run([sys.executable, str(SCRIPT), f"--pretrained={ours}", f"--python={peers}", "--model=model",
                               "--inputs=inputs", "--runs=2", "--memory-runs=1", *more],
                              capture_output=True, text=True, check=False, cwd="/")

    def test_measures_time_and_memory(self):
        ours = self.command("ours", safetensors([1.0, -2.0]), private=30, seconds=0.1)
        peers = self.command("peers", safetensors([1.00001, -2.0]), private=90, seconds=0.5)
        done = self.measure(ours, peers, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["pretrained"]["wall_seconds"]["runs"], 2)
        self.assertGreaterEqual(report["pretrained"]["wall_seconds"]["min"], 0.1)
        self.assertGreaterEqual(report["transformers"]["wall_seconds"]["min"], 0.5)
        self.assertLess(report["ratios"]["wall_seconds"], 1)
        self.assertGreaterEqual(report["pretrained"]["peak_private_mb"]["min"], 30)
        self.assertGreaterEqual(report["transformers"]["peak_private_mb"]["min"], 90)
        self.assertGreaterEqual(report["transformers"]["peak_resident_mb"]["min"], 90)
        self.assertAlmostEqual(report["largest_difference"], 0.5, places=1)

    def test_prints_a_table(self):
        command = self.command("same", safetensors([1.0]))
        done = self.measure(command, command)
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ("wall, s", "peak private, MB", "ratio", "0.15", "0.00 of the tolerance"):
            self.assertIn(text, done.stdout)

    def test_fails_when_outputs_differ(self):
        peers = self.command("peers", safetensors([1.0, 2.0]))
        self.assertEqual(self.measure(self.command("far", safetensors([1.0, 2.0001])), peers).returncode, 1)
        self.assertEqual(self.measure(self.command("nan", safetensors([1.0, float("nan")])), peers).returncode, 1)
        for name, output in (("shape", safetensors([1.0])), ("name", safetensors([1.0, 2.0], name="logits"))):
            done = self.measure(self.command(name, output), peers)
            self.assertEqual(done.returncode, 1)
            self.assertIn("names or shapes differ", done.stderr)

    def test_fails_when_a_command_fails(self):
        peers = self.command("peers", safetensors([1.0]))
        broken = self.folder / "broken"
        broken.write_text("#!/bin/sh\necho no such model >&2\nexit 3\n")
        broken.chmod(0o755)
        done = self.measure(broken, peers)
        self.assertEqual(done.returncode, 1)
        self.assertIn("ended with 3", done.stderr)
        self.assertIn("no such model", done.stderr)
        self.assertEqual(self.measure(self.folder / "absent", peers).returncode, 2)


if __name__ == "__main__":
    unittest.main()
