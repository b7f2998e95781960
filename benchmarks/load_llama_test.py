#!/usr/bin/env python3
"""make_llama.py and load_llama.py on a tiny model, beside a stand-in for the peers: that they make the same checkpoint every
time, measure, and notice when others loaded something else."""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).absolute().parent
PRETRAINED = pathlib.Path("tools/pretrained").absolute()
TINY = ["--hidden=32", "--intermediate=64", "--layers=2", "--heads=4", "--key-heads=2", "--vocabulary=100"]
# Answers as peers/load_llama.py does; with inputs it lets our own program run them. `changes` of the document are put in.
PEER = """#!{python}
import json, pathlib, subprocess, sys
model, dtype, flags = sys.argv[2], sys.argv[3], sys.argv[4:]
with open({calls!r}, "a") as file:
    print(dtype, *[flag for flag in flags if "=" not in flag], file=file)
flag = lambda name: next((text.split("=", 1)[1] for text in flags if text.startswith(name + "=")), None)
document = {{"class": "LlamaForCausalLM", "dtype": dtype, "seconds": 1e-4, "num_parameters": {parameters},
             "transformers": "4.34.0", "torch": "2.1.0+cpu"}}
if flag("--inputs"):
    subprocess.run([{program!r}, "run", model, f"--dtype={{dtype}}", f"--inputs={{flag('--inputs')}}",
                    f"--outputs={{flag('--outputs')}}"], check=True, stdout=subprocess.DEVNULL)
    outputs = pathlib.Path(flag("--outputs"))
    outputs.write_bytes(outputs.read_bytes()[:-4] + {logit!r} if {logit!r} else outputs.read_bytes())
    document.update(sum=7, ran=True)
document.update({changes!r})
print(json.dumps(document))
"""
PARAMETERS = 2 * 100 * 32 + 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 64 + 2 * 32) + 32


class MakeLlamaTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="make llama ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def make(self, name, *flags, status=0):
        done = subprocess.run([sys.executable, HERE / "make_llama.py", self.folder / name, *TINY, *flags],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return self.folder / name

    def test_makes_the_same_every_time(self):
        data = (self.make("one") / "model.safetensors").read_bytes()
        self.assertEqual(hashlib.sha256(data).hexdigest(), "eea92b2647b863bc26e1cd434108f0a9e584db61e64d7e57259605073d5fdec2")

    def test_shards_hold_the_same_tensors(self):
        one, shards = self.make("one"), self.make("shards", "--shard-gb=0.00002")
        names = sorted(path.name for path in shards.iterdir())
        self.assertEqual(names[0], "config.json")
        self.assertGreater(len(names), 3)
        index = json.loads((shards / "model.safetensors.index.json").read_text())
        self.assertEqual(sorted({*index["weight_map"].values()}), [name for name in names if name.endswith(".safetensors")])
        done = subprocess.run([PRETRAINED, "diff", one, shards], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_leaves_a_model_alone(self):
        self.make("one")
        self.make("one", status=2)


class LoadLlamaTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="load llama ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def peer(self, logit=b"", **changes):
        path = self.folder / "peer"
        path.write_text(PEER.format(python=sys.executable, program=str(PRETRAINED), calls=str(self.folder / "calls"),
                                    parameters=PARAMETERS, logit=logit, changes=changes))
        path.chmod(0o755)
        return path

    def measure(self, peer, *flags):
        return subprocess.run([sys.executable, HERE / "load_llama.py", f"--pretrained={PRETRAINED}", f"--python={peer}",
                               f"--newest={peer}", f"--folder={self.folder / 'llama'}", "--runs=1", *TINY, *flags],
                              capture_output=True, text=True, check=False)

    def test_measures_all(self):
        done = self.measure(self.peer(), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(list(report["figures"]), ["float16", "float16_touched", "float32", "float32_touched"])
        for series in report["figures"].values():
            self.assertEqual(list(series), ["pretrained", "pinned", "pinned_low", "newest"])
            for quantities in series.values():
                self.assertEqual(quantities["process_seconds"]["runs"], 1)
                self.assertGreaterEqual(quantities["process_seconds"]["min"], quantities["call_seconds"]["min"])
                self.assertGreater(quantities["peak_private_mb"]["min"], 0)
        for factors in report["speedups"].values():
            self.assertGreater(factors["pinned"]["process_seconds"], 0)
        # Three peers, each checked once, then warmed up, timed and watched, without and with touching.
        calls = (self.folder / "calls").read_text().splitlines()
        self.assertEqual({call: calls.count(call) for call in calls},
                         {f"{dtype}{low}{touch}": (3 + (not touch)) * (1 if low else 2) for dtype in ("float16", "float32")
                          for low in ("", " --low_cpu_mem_usage") for touch in ("", " --touch")})

    def test_prints_tables(self):
        done = self.measure(self.peer(), "--dtypes=float16")
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ("| float16, touched | process, s |", "`pretrained load`", "low_cpu_mem_usage=True", "transformers 4.34.0, torch 2.1.0",
                     "Aim: 15 times faster"):
            self.assertIn(text, done.stdout)
        self.assertNotIn("float32", done.stdout)

    def test_notices_that_others_loaded_something_else(self):
        far = b"\x28\x6b\x6e\x4e"  # 1e9
        for message, peer in (("logits of pinned", {"logit": far}), ("has 3 parameters", {"num_parameters": 3}),
                              ("loaded a LlamaForCausalLM of bfloat16", {"dtype": "bfloat16"})):
            done = self.measure(self.peer(**peer), "--dtypes=float32")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(message, done.stderr)
        # Where its torch cannot run the dtype, its logits are not looked at.
        done = self.measure(self.peer(logit=far, ran=False), "--dtypes=float32")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
