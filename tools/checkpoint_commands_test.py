#!/usr/bin/env python3
"""What the commands that look at checkpoints and rewrite them promise: inspect, convert, diff, scan."""
import json
import math
import shutil
import unittest

from command_testing import BASE, BERT, FORMATS, MINILM, CommandTest, floats, read_tensors, write_tensors


class Inspect(CommandTest):
    def test_lists_what_is_stored(self):
        document = self.document("inspect", BASE)
        self.assertEqual(list(document), ["format", "files", "tensors", "total_bytes", "total_parameters", "metadata"])
        metadata, stored = read_tensors(BASE / "model.safetensors")
        self.assertEqual(document["format"], "safetensors")
        self.assertEqual(document["metadata"], metadata)
        self.assertEqual(document["files"], [{"name": "model.safetensors",
                                              "bytes": (BASE / "model.safetensors").stat().st_size}])
        self.assertEqual(document["tensors"],
                         [{"name": name, "dtype": "float32", "shape": shape, "nbytes": len(data), "file": "model.safetensors"}
                          for name, (_, shape, data) in stored.items()])
        self.assertEqual(document["total_bytes"], sum(len(data) for _, _, data in stored.values()))
        self.assertEqual(document["total_parameters"], sum(math.prod(shape) for _, shape, _ in stored.values()))

    def test_lists_the_real_model(self):
        document = self.document("inspect", MINILM)
        self.assertEqual(len(document["tensors"]), 104)  # 103 weights, and position_ids, as was usual then.
        self.assertEqual(document["files"][0]["bytes"], (MINILM / "model.safetensors").stat().st_size)

    def test_the_table_names_every_tensor_and_the_totals(self):
        text = self.good("inspect", BASE)
        for name, (_, shape, _) in read_tensors(BASE / "model.safetensors")[1].items():
            self.assertRegex(text, rf"(?m)^{name} +float32 +\[{', '.join(map(str, shape))}\]")
        self.assertIn("39 tensors, 23.4 k parameters", text)

    def test_names_cannot_steer_the_terminal(self):
        path = self.folder / "x.safetensors"
        write_tensors(path, {"a\x1b[31m\r": ("U8", [1], b"1")})
        self.assertIn("a\\x1b[31m\\x0d", self.good("inspect", path))
        self.assertEqual(self.document("inspect", path)["tensors"][0]["name"], "a\x1b[31m\r")

    def test_checks_the_crc_when_asked(self):
        path = self.folder / "crc.bin"
        content = bytearray((FORMATS / "BertForMaskedLM" / "bin" / "pytorch_model.bin").read_bytes())
        self.assertEqual(self.document("inspect", FORMATS / "BertForMaskedLM" / "bin", "--check_crc")["format"], "torch")
        path.write_bytes(content)
        begin = content.index(b"data/0") + 256  # Within the record, behind its header and padding.
        content[begin] ^= 1
        path.write_bytes(content)
        self.document("inspect", path)
        self.fails(1, [path, "CRC-32"], "inspect", path, "--check_crc")

    def test_lists_what_is_no_tensor(self):
        document = self.document("inspect", FORMATS / "containers" / "plain-objects.bin")
        self.assertEqual([tensor["name"] for tensor in document["tensors"]], ["weight"])
        self.assertEqual((document["metadata"]["epoch"], document["metadata"]["list"]), ("3", "[1, 2.5]"))

    def test_a_damaged_file_is_named(self):
        path = self.folder / "cut.safetensors"
        path.write_bytes((BASE / "model.safetensors").read_bytes()[:-1])
        self.fails(1, ["pretrained inspect: ", path], "inspect", path)
        self.fails(1, ["model.fp16.safetensors"], "inspect", BASE, "--variant=fp16")


class Convert(CommandTest):
    BERT = FORMATS / "BertForMaskedLM"

    def convert(self, source, destination, *flags):
        """Converts, checks the document, and returns it."""
        document = self.document("convert", source, destination, *flags)
        self.assertEqual(list(document), ["files", "tensors", "bytes", "seconds"])
        folder = destination if destination.is_dir() else destination.parent
        self.assertEqual([name for name in document["files"] if not (folder / name).is_file()], [])
        return document

    def expect_equal(self, a, b):
        document = self.document("diff", a, b)
        self.assertEqual(document, {"equal": True, "only_in_a": [], "only_in_b": [], "different": []})

    def test_every_format_becomes_every_other(self):
        for source in ("safetensors", "bin", "bin-legacy", "bin-sharded", "safetensors-sharded"):
            for to, name in (("safetensors", "model.safetensors"), ("torch", "pytorch_model.bin"),
                             ("torch_legacy", "pytorch_model.bin")):
                destination = self.folder / f"{source} {to}"
                document = self.convert(self.BERT / source, destination, f"--to={to}")
                self.assertIn(name, document["files"])
                self.assertEqual(self.document("inspect", destination)["format"], to)
                names = {tensor["name"] for tensor in self.document("inspect", self.BERT / source)["tensors"]}
                kept = {tensor["name"] for tensor in self.document("inspect", destination)["tensors"]}
                if to == "safetensors":  # Tied weights are stored once, in whatever format they come.
                    diff = json.loads(self.call("diff", destination, self.BERT / "safetensors", "--json").stdout)
                    self.assertEqual((diff["only_in_b"], diff["different"]), ([], []))
                else:
                    self.assertEqual(kept, names)
                    self.expect_equal(self.BERT / source, destination)

    def test_shards_as_the_peer_does(self):
        for to, golden in (("safetensors", "safetensors-sharded"), ("torch", "bin-sharded")):
            destination = self.folder / to
            self.convert(self.BERT / "bin", destination, f"--to={to}", "--max_shard_size=15000")
            index = next(destination.glob("*.index.json"))
            want = json.loads((self.BERT / golden / index.name).read_text())
            got = json.loads(index.read_text())
            self.assertEqual({name: got["weight_map"].get(name) for name in want["weight_map"]}, want["weight_map"])
            self.assertEqual(sorted(path.name for path in destination.iterdir() if "-of-" in path.name),
                             sorted(path.name for path in (self.BERT / golden).iterdir() if "-of-" in path.name))

    def test_dtype_and_config_follow(self):
        destination = self.folder / "half"
        self.convert(self.BERT / "safetensors", destination, "--dtype=float16")
        self.assertEqual(json.loads((destination / "config.json").read_text())["torch_dtype"], "float16")
        self.assertEqual({t["dtype"] for t in self.document("inspect", destination)["tensors"]}, {"float16"})
        self.expect_equal(destination, self.BERT / "safetensors-fp16")
        plain = self.folder / "plain"
        self.convert(self.BERT / "safetensors", plain)
        self.assertEqual((plain / "config.json").read_bytes(), (self.BERT / "safetensors" / "config.json").read_bytes())

    def test_replaces_its_own_source_and_leaves_the_rest(self):
        folder = self.folder / "in place"
        folder.mkdir()
        kept = ["config.json", "generation_config.json", "model.safetensors"]
        for name in kept:
            shutil.copyfile(self.BERT / "safetensors" / name, folder / name)
        (folder / "notes.txt").write_text("mine")
        for flags in (["--max_shard_size=15000"], []):
            self.convert(folder, folder, *flags)
            diff = self.document("diff", folder, self.BERT / "safetensors")
            self.assertTrue(diff["equal"])
            self.assertEqual((folder / "notes.txt").read_text(), "mine")
        self.assertEqual(sorted(path.name for path in folder.iterdir()), [*kept, "notes.txt"])
        self.assertEqual([path.name for path in self.folder.iterdir()], ["in place"])

    def test_variants_and_files(self):
        destination = self.folder / "v"
        self.convert(self.BERT / "safetensors", destination, "--variant=fp16", "--dtype=float16")
        self.assertTrue((destination / "model.fp16.safetensors").is_file())
        for name, form in (("a.safetensors", "safetensors"), ("a.bin", "torch"), ("a.pt", "torch")):
            self.convert(destination, self.folder / name, "--from_variant=fp16")
            self.assertEqual(self.document("inspect", self.folder / name)["format"], form)
            self.assertTrue(self.document("diff", self.folder / name, self.BERT / "safetensors-fp16")["equal"])

    def test_says_where_it_cannot_write(self):
        file = self.folder / "file"
        file.write_text("")
        self.fails(1, ["pretrained convert: ", file], "convert", BASE, file / "d")
        self.fails(1, ["pretrained convert: "], "convert", BASE, "/proc/d")


class Diff(CommandTest):
    def test_a_difference_is_status_3_and_told(self):
        metadata, stored = read_tensors(BASE / "model.safetensors")
        name = "pooler.dense.bias"
        values = floats(stored[name])
        values[3] += 0.25
        stored[name] = ("F32", stored[name][1], values.tobytes())
        stored["extra"] = ("U8", [1], b"1")
        del stored["embeddings.LayerNorm.bias"]
        other = self.folder / "other.safetensors"
        write_tensors(other, stored)
        done = self.call("diff", BASE, other, "--json")
        self.assertEqual(done.returncode, 3)
        document = json.loads(done.stdout)
        self.assertEqual((document["equal"], document["only_in_a"], document["only_in_b"]),
                         (False, ["embeddings.LayerNorm.bias"], ["extra"]))
        (different,) = document["different"]
        self.assertEqual(different["name"], name)
        self.assertAlmostEqual(different["max_abs"], 0.25, places=6)
        done = self.call("diff", BASE, other)
        self.assertEqual(done.returncode, 3)
        for word in (name, "extra", "only in A", "only in B"):
            self.assertIn(word, done.stdout)
        document = json.loads(self.call("diff", BASE, other, "--json", "--atol=0.3").stdout)
        self.assertEqual(document["different"], [])


class Scan(CommandTest):
    def pickle(self, name, body):
        path = self.folder / name
        path.write_bytes(b"\x80\x02" + body + b".")
        return path

    def test_lists_what_would_be_imported(self):
        document = self.document("scan", FORMATS / "BertForMaskedLM" / "bin" / "pytorch_model.bin")
        self.assertEqual(document["safe"], True)
        self.assertEqual(set(document["globals"]),
                         {"torch._utils._rebuild_tensor_v2", "torch.FloatStorage", "collections.OrderedDict"})
        legacy = self.document("scan", FORMATS / "BertForMaskedLM" / "bin-legacy")
        self.assertEqual((legacy["safe"], legacy["globals"]), (True, document["globals"]))
        self.assertEqual(self.document("scan", BASE), {"safe": True, "globals": [], "files": []})

    def test_runs_nothing(self):
        trace = self.folder / "trace"
        path = self.pickle("x.pkl", f"cos\nsystem\n(Vtouch {trace}\ntR".encode())
        document = self.document("scan", path)
        self.assertEqual((document["safe"], document["globals"]), (False, ["os.system"]))
        self.assertIn("dangerous", self.good("scan", path))
        self.assertFalse(trace.exists())
        unknown = self.document("scan", self.pickle("u.pkl", b"cnosuch.module\nThing\n)R"))
        self.assertEqual((unknown["safe"], unknown["files"][0]["globals"]),
                         (False, [{"name": "nosuch.module.Thing", "class": "unknown"}]))

    def test_a_damaged_pickle_is_an_error(self):
        path = self.folder / "cut.bin"
        path.write_bytes((FORMATS / "BertForMaskedLM" / "bin" / "pytorch_model.bin").read_bytes()[:-100])
        self.fails(1, ["pretrained scan: ", path], "scan", path)


if __name__ == "__main__":
    unittest.main()
