"""What tests of the `pretrained` command share: calling it, and reading and writing safetensors files."""
import array
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

COMMAND = pathlib.Path("tools/pretrained").resolve()
BERT = pathlib.Path("testdata/bert").resolve()
BASE = BERT / "base"
MINILM = pathlib.Path("../minilm/model").resolve()
FORMATS = pathlib.Path("testdata/formats").resolve()
MODELS = pathlib.Path("testdata/models").resolve()
GENERATION = pathlib.Path("testdata/generation").resolve()
TREES = pathlib.Path("testdata/device_map/trees").resolve()
COMMANDS = ("inspect", "info", "plan", "estimate", "load", "run", "generate", "prune", "resize", "convert", "diff", "scan")
TOLERANCE = 1e-5


def read_tensors(path):
    """A safetensors file: its metadata, and {name: (dtype, shape, bytes)}."""
    content = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    data = content[8 + length:]
    metadata = header.pop("__metadata__", {})
    return metadata, {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
                      for name, entry in header.items()}


def write_tensors(path, tensors):
    """Writes {name: (dtype, shape, bytes)}."""
    header, data = {}, b""
    for name, (dtype, shape, content) in sorted(tensors.items(), key=lambda item: -len(item[1][2])):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def floats(tensor):
    assert tensor[0] == "F32", tensor[0]
    return array.array("f", tensor[2])


class CommandTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="a folder ", dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def call(self, *arguments, **options):
        return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False,
                              **options)

    def good(self, *arguments, **options):
        """The standard output of a call that must succeed."""
        done = self.call(*arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def document(self, *arguments, **options):
        """The one JSON document of a call, which is all that stdout holds."""
        return json.loads(self.good(*arguments, "--json", **options))

    def fails(self, status, words, *arguments, **options):
        """The call fails with this status, nothing on stdout, and all of `words` on stderr."""
        done = self.call(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(str(word), done.stderr)
        self.assertNotIn("terminate called", done.stderr)

    def copy_of_base(self, name, **changes):
        """A copy of the base model, its config changed."""
        folder = self.folder / name
        folder.mkdir()
        shutil.copyfile(BASE / "model.safetensors", folder / "model.safetensors")
        config = json.loads((BASE / "config.json").read_text())
        config.update(changes)
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def inputs_of(self, io):
        """A file of the inputs of a golden case."""
        _, tensors = read_tensors(io)
        path = self.folder / "inputs.safetensors"
        write_tensors(path, {name[3:]: tensor for name, tensor in tensors.items() if name.startswith("in.")})
        return path

    def run_model(self, source, io, *flags):
        """Runs `source` on the inputs of `io`: the document, and the tensors written."""
        outputs = self.folder / "outputs.safetensors"
        document = self.document("run", source, f"--inputs={self.inputs_of(io)}", f"--outputs={outputs}", *flags)
        metadata, tensors = read_tensors(outputs)
        self.assertEqual(metadata, {"format": "pt"})
        return document, tensors

    def expect_golden(self, tensors, io):
        """`tensors` are exactly the outputs that `io` holds."""
        _, golden = read_tensors(io)
        want = {name[4:]: tensor for name, tensor in golden.items() if name.startswith("out.")}
        self.assertEqual(sorted(tensors), sorted(want))
        for name, tensor in want.items():
            self.assertEqual(tensors[name][1], tensor[1], name)
            for got, expected in zip(floats(tensors[name]), floats(tensor)):
                self.assertLessEqual(abs(got - expected), TOLERANCE * (1 + abs(expected)), name)
