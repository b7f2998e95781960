#!/usr/bin/env python3
"""What the `pretrained` command promises: its documents, exit codes, streams and files."""
import array
import json
import math
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
COMMANDS = ("inspect", "info", "load", "run", "convert", "diff", "scan")
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


class Help(CommandTest):
    def test_every_command_has_help_with_examples(self):
        for command in COMMANDS:
            for flag in ("--help", "-h"):
                done = self.call(command, flag)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("Examples:", done.stdout)
                self.assertIn(f"  pretrained {command} ", done.stdout)

    def test_the_commands_own_help_lists_all_and_the_exit_codes(self):
        text = self.good("--help")
        for word in (*COMMANDS, "Exit codes", "SRC"):
            self.assertIn(word, text)

    def test_help_names_every_flag_of_the_contract(self):
        shared = ["--class", "--dtype", "--device_map", "--max_memory", "--offload_folder", "--ignore_mismatched_sizes",
                  "--use_safetensors", "--variant", "--revision", "--json"]
        own = {"inspect": ["--json"], "info": ["--class", "--json"], "load": [*shared, "--touch"],
               "convert": ["--to", "--dtype", "--max_shard_size", "--variant", "--json"], "diff": ["--rtol", "--atol", "--json"],
               "scan": ["--json"],
               "run": [*shared, "--inputs", "--outputs", "--output_hidden_states", "--output_attentions", "--prune_heads",
                       "--resize_token_embeddings", "--pad_to_multiple_of", "--flops"]}
        for command, flags in own.items():
            text = self.good(command, "--help")
            for flag in flags:
                self.assertIn(flag, text)


class Usage(CommandTest):
    def test_wrong_usage_is_status_2(self):
        for arguments in ((), ("unknown",), ("",), ("--unknown",), ("inspect",), ("info",), ("load",), ("run",),
                          ("inspect", BASE, "--unknown"), ("info", BASE, "--unknown"), ("load", BASE, "--unknown"),
                          ("run", BASE, "--unknown"), ("inspect", BASE, BASE), ("load", BASE, "--touch=maybe"),
                          ("inspect", BASE, "--json=maybe"), ("load", BASE, "--dtype"), ("run", BASE),
                          ("run", BASE, "--inputs=x"), ("run", BASE, "--outputs=x"), ("convert",), ("convert", BASE), ("diff", BASE),
                          ("scan",), ("convert", BASE, "d", "--to=onnx"), ("convert", BASE, "d", "--dtype=auto"),
                          ("convert", BASE, "d", "--max_shard_size=much"), ("diff", BASE, BASE, "--rtol=-1"),
                          ("run", BASE, "--inputs=x", "--outputs=y", "--resize_token_embeddings=many")):
            with self.subTest(arguments=arguments):
                done = self.call(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertTrue(done.stderr)

    def test_what_is_not_there_is_status_1_and_named(self):
        for command in COMMANDS:
            flags = {"run": ("--inputs=i", "--outputs=o"), "convert": (self.folder / "d",), "diff": (BASE,)}.get(command, ())
            self.fails(1, [f"pretrained {command}: ", "absent/of/all", "no such folder"], command, "absent/of/all", *flags)
            self.fails(1, ["org/name", "Hub id", "download it first"], command, "org/name", *flags)

    def test_booleans_are_flag_or_true_or_false(self):
        for text in ("", "=true"):
            json.loads(self.good("inspect", BASE, f"--json{text}"))
            json.loads(self.good("load", BASE, "--json", f"--touch{text}", f"--use_safetensors{text}"))
        with self.assertRaises(json.JSONDecodeError):
            json.loads(self.good("inspect", BASE, "--json=false"))
        self.document("load", BASE, "--touch=false", "--ignore_mismatched_sizes=false")
        self.fails(1, "pytorch_model.bin", "load", BASE, "--use_safetensors=false")

    def test_a_full_disk_behind_stdout_is_an_error(self):
        for arguments in (("inspect", BASE), ("info", BASE, "--json"), ("load", BASE)):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("stdout", done.stderr)


class Programs(CommandTest):
    def test_only_what_runs_models_links_libtorch(self):
        libraries = lambda program: subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        self.assertNotIn("torch", libraries(COMMAND))
        self.assertIn("torch", libraries(COMMAND.parent / "pretrained_torch"))

    def test_works_from_any_folder_and_through_a_link(self):
        link = self.folder / "p"
        link.symlink_to(COMMAND)
        for command in ("inspect", "load"):
            done = subprocess.run([link, command, BASE, "--json"], cwd="/", capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            json.loads(done.stdout)

    def test_takes_relative_paths_and_names_with_blanks_and_quotes(self):
        folder = self.copy_of_base("it's \"here\" \u00e9")
        for source in (folder, f"{folder}/", folder.name, folder / "model.safetensors"):
            with self.subTest(source=source):
                for command in ("inspect", "info", "load"):
                    self.document(command, source, cwd=self.folder)
        _, tensors = self.run_model(folder, BASE / "io.safetensors")
        self.assertEqual(sorted(tensors), ["last_hidden_state", "pooler_output"])


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


class Info(CommandTest):
    FIELDS = ["class", "base_model_prefix", "main_input_name", "can_generate", "num_parameters", "memory_footprint",
              "tied_weights", "no_split_modules", "modules", "state_dict"]

    def test_says_what_the_peer_says(self):
        for folder in ("base", "relative_key", "cross", "odd_sizes"):
            document = self.document("info", BERT / folder)
            facts = json.loads((BERT / folder / "facts.json").read_text())
            self.assertEqual(list(document), self.FIELDS)
            self.assertEqual(document["class"], facts["class"])
            count = lambda trainable, embeddings: facts["num_parameters"][
                f"only_trainable={trainable},exclude_embeddings={embeddings}"]
            self.assertEqual(document["num_parameters"],
                             {"all": count(False, False), "trainable": count(True, False),
                              "no_embeddings": count(False, True), "trainable_no_embeddings": count(True, True)})
            self.assertEqual(document["memory_footprint"],
                             {"with_buffers": facts["memory_footprint"]["return_buffers=True"],
                              "without_buffers": facts["memory_footprint"]["return_buffers=False"]})
            self.assertEqual(document["modules"], [{"name": name, "class": kind} for name, kind in facts["modules"].items()])
            self.assertEqual(document["state_dict"], list(facts["state_dict"]))

    def test_says_what_the_class_is_like(self):
        document = self.document("info", BASE, "--class=BertModel")
        facts = json.loads((BASE / "facts.json").read_text())
        for field in ("base_model_prefix", "main_input_name", "can_generate"):
            self.assertEqual(document[field], facts[field])
        self.assertEqual(document["tied_weights"], facts["tied_parameters"])
        self.assertEqual(document["no_split_modules"], facts["_no_split_modules"] or [])

    def test_needs_no_weights(self):
        folder = self.copy_of_base("config only")
        (folder / "model.safetensors").unlink()
        self.assertEqual(self.document("info", folder)["num_parameters"]["all"], 23392)
        self.assertIn("23392", self.good("info", folder))

    def test_says_which_classes_there_are(self):
        self.fails(1, ["'T5Model'", "BertModel"], "info", BASE, "--class=T5Model")
        folder = self.copy_of_base("t5", model_type="t5", architectures=["T5Model"])
        self.fails(1, ["config.json", "'t5'", "--class"], "info", folder)
        self.assertEqual(self.document("info", folder, "--class=BertModel")["class"], "BertModel")
        folder = self.copy_of_base("head", architectures=["BertForNothing"])
        self.fails(1, ["BertForNothing", "BertModel"], "info", folder)


class Load(CommandTest):
    FIELDS = ["class", "dtype", "engine", "seconds", "bytes", "gb_per_second", "peak_rss_bytes", "peak_private_bytes",
              "missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs", "hf_device_map"]

    def test_reports_how_a_model_was_loaded(self):
        document = self.document("load", BASE)
        self.assertEqual(list(document), self.FIELDS)
        for field, value in {"class": "BertModel", "dtype": "float32", "engine": "mapped", "bytes": 4 * 23392,
                             "missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": [],
                             "hf_device_map": {"": "cpu"}}.items():
            self.assertEqual(document[field], value, field)
        self.assertGreater(document["seconds"], 0)
        self.assertAlmostEqual(document["gb_per_second"], document["bytes"] / 1e9 / document["seconds"])
        self.assertGreater(document["peak_rss_bytes"], document["peak_private_bytes"])
        self.assertGreater(document["peak_private_bytes"], 0)

    def test_the_dtype_decides_how(self):
        for folder, dtype, engine, name in (("float16", "auto", "mapped", "float16"), ("float16", "", "read", "float32"),
                                            ("base", "bfloat16", "read", "bfloat16"), ("base", "auto", "mapped", "float32")):
            document = self.document("load", BERT / folder, *([f"--dtype={dtype}"] if dtype else []))
            self.assertEqual((document["engine"], document["dtype"]), (engine, name))
        self.fails(2, ["--dtype", "float33"], "load", BASE, "--dtype=float33")
        self.fails(1, "int8", "load", BASE, "--dtype=int8")

    def test_touching_reads_every_page(self):
        touched = self.document("load", MINILM, "--touch")
        mapped = self.document("load", MINILM)
        self.assertEqual(touched["bytes"], 90852864)
        self.assertGreater(touched["peak_rss_bytes"] - mapped["peak_rss_bytes"], 0.5 * touched["bytes"])
        self.assertLess(touched["peak_private_bytes"], touched["bytes"])  # They are the file's pages still.

    def test_keys_that_do_not_fit_are_reported(self):
        _, stored = read_tensors(BASE / "model.safetensors")
        folder = self.copy_of_base("odd", vocab_size=121)
        del stored["pooler.dense.bias"]
        stored["extra"] = ("F32", [1], b"1234")
        write_tensors(folder / "model.safetensors", stored)
        self.fails(1, ["embeddings.word_embeddings.weight", "[120, 32]", "[121, 32]"], "load", folder)
        document = self.document("load", folder, "--ignore_mismatched_sizes")
        self.assertEqual(document["missing_keys"], ["pooler.dense.bias"])
        self.assertEqual(document["unexpected_keys"], ["extra"])
        self.assertEqual(document["mismatched_keys"], [{"name": "embeddings.word_embeddings.weight",
                                                        "checkpoint_shape": [120, 32], "model_shape": [121, 32]}])
        text = self.good("load", folder, "--ignore_mismatched_sizes")
        for word in ("pooler.dense.bias", "extra", "[120, 32] instead of [121, 32]"):
            self.assertIn(word, text)

    def test_devices_that_are_not_here_are_refused(self):
        for device_map in ("auto", "cpu", "balanced", '{"": "cpu"}'):
            self.assertEqual(self.document("load", BASE, f"--device_map={device_map}")["hf_device_map"], {"": "cpu"})
        self.fails(1, "cuda:0", "load", BASE, "--device_map=cuda:0")
        self.fails(1, "--max_memory", "load", BASE, "--device_map=auto", '--max_memory={"cpu": "1GB"}')
        self.fails(2, "--device_map", "load", BASE, '--max_memory={"cpu": "1GB"}')
        self.fails(2, "--device_map", "load", BASE, f"--offload_folder={self.folder}")
        self.fails(2, "not a JSON object", "load", BASE, "--device_map=auto", "--max_memory=1GB")
        self.fails(1, "model.fp16.safetensors", "load", BASE, "--variant=fp16")


class Run(CommandTest):
    ALL = ("--output_hidden_states", "--output_attentions")

    def test_computes_what_the_peer_computes(self):
        document, tensors = self.run_model(BASE, BASE / "io.safetensors", *self.ALL)
        self.expect_golden(tensors, BASE / "io.safetensors")
        self.assertEqual(list(document), ["outputs", "seconds", "floating_point_ops"])
        self.assertEqual(sorted(output["name"] for output in document["outputs"]), sorted(tensors))
        for output in document["outputs"]:
            self.assertEqual(list(output), ["name", "dtype", "shape"])
            self.assertEqual((output["dtype"], output["shape"]), ("float32", tensors[output["name"]][1]))
        self.assertGreater(document["seconds"], 0)
        facts = json.loads((BASE / "facts.json").read_text())
        self.assertEqual(document["floating_point_ops"], facts["floating_point_ops"]["exclude_embeddings=True"])

    def test_writes_only_what_was_asked_for(self):
        for flags, names in (((), ["last_hidden_state", "pooler_output"]),
                             (("--output_attentions", "--output_hidden_states=false"),
                              ["attentions.0", "attentions.1", "last_hidden_state", "pooler_output"])):
            _, tensors = self.run_model(BASE, BASE / "io.safetensors", *flags)
            self.assertEqual(sorted(tensors), names)

    def test_a_decoder_takes_encoder_states_and_leaves_no_cache(self):
        io = BERT / "io" / "cross.safetensors"
        _, tensors = self.run_model(BERT / "cross", io, *self.ALL)
        self.expect_golden(tensors, io)

    def test_operates_first(self):
        io = BERT / "io" / "prune_heads.safetensors"
        _, tensors = self.run_model(BASE, io, *self.ALL, '--prune_heads={"0": [0, 2], "1": [3]}')
        self.expect_golden(tensors, io)
        io = BERT / "io" / "resize_token_embeddings.safetensors"
        _, tensors = self.run_model(BASE, io, *self.ALL, "--resize_token_embeddings=33", "--pad_to_multiple_of=8")
        self.expect_golden(tensors, io)

    def test_refuses_operations_that_make_no_sense(self):
        flags = (f"--inputs={self.inputs_of(BASE / 'io.safetensors')}", f"--outputs={self.folder / 'o.safetensors'}")
        for flag in ("--prune_heads=[1]", '--prune_heads={"0": 1}', '--prune_heads={"0": [1.5]}', "--prune_heads={"):
            self.fails(2, "not a JSON object", "run", BASE, *flags, flag)
        for flag, word in (('--prune_heads={"0": [0, 1, 2, 3]}', "leave none"), ('--prune_heads={"7": [0]}', "layer 7"),
                           ("--resize_token_embeddings=0", "0 tokens"), ("--pad_to_multiple_of=0", "pad_to_multiple_of is 0")):
            self.fails(1, word, "run", BASE, *flags, flag)
        self.assertFalse((self.folder / "o.safetensors").exists())

    def test_says_what_is_wrong_with_the_inputs(self):
        inputs, outputs = self.folder / "inputs.safetensors", self.folder / "o.safetensors"
        flags = (f"--inputs={inputs}", f"--outputs={outputs}")
        self.fails(1, [inputs], "run", BASE, *flags)
        inputs.write_text("not tensors")
        self.fails(1, [inputs], "run", BASE, *flags)
        write_tensors(inputs, {"ids": ("I64", [1, 1], b"\1" + bytes(7))})
        self.fails(1, ["no input 'ids'", "input_ids"], "run", BASE, *flags)
        write_tensors(inputs, {"input_ids": ("I64", [1, 1], b"\xff" * 8)})
        self.fails(1, "input_ids: holds -1", "run", BASE, *flags)
        self.assertFalse(outputs.exists())

    def test_says_where_it_cannot_write(self):
        inputs = self.inputs_of(BASE / "io.safetensors")
        for outputs in (self.folder / "absent" / "o.safetensors", inputs / "o.safetensors", "/proc/o.safetensors"):
            self.fails(1, ["pretrained run: ", outputs], "run", BASE, f"--inputs={inputs}", f"--outputs={outputs}")

    def test_the_table_tells_the_same(self):
        outputs = self.folder / "o.safetensors"
        flags = (f"--inputs={self.inputs_of(BASE / 'io.safetensors')}", f"--outputs={outputs}")
        text = self.good("run", BASE, *flags, "--flops")
        self.assertRegex(text, r"(?m)^last_hidden_state +float32 +\[3, 10, 32\]$")
        self.assertIn(str(outputs), text)
        self.assertIn("3277440", text)
        self.assertNotIn("3277440", self.good("run", BASE, *flags))

    def test_outputs_follow_the_dtype(self):
        document, tensors = self.run_model(BASE, BASE / "io.safetensors", "--dtype=bfloat16")
        self.assertEqual({output["dtype"] for output in document["outputs"]}, {"bfloat16"})
        self.assertEqual({tensor[0] for tensor in tensors.values()}, {"BF16"})


if __name__ == "__main__":
    unittest.main()
