#!/usr/bin/env python3
"""What the `pretrained` command promises: its documents, exit codes, streams and files."""
import array
import json
import shutil
import subprocess
import unittest

from command_testing import (BASE, BERT, COMMAND, COMMANDS, GENERATION, MINILM, MODELS, CommandTest, read_tensors,
                             write_tensors)


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
               "scan": ["--json"], "plan": ["--device_map", "--max_memory", "--dtype", "--no_split", "--explain", "--json"],
               "estimate": ["--sequence_length", "--batch_size", "--no_split", "--json"],
               "run": [*shared, "--inputs", "--outputs", "--output_hidden_states", "--output_attentions", "--prune_heads",
                       "--resize_token_embeddings", "--pad_to_multiple_of", "--flops", "--memory"],
               "prune": [*shared, "--heads", "--max_shard_size"],
               "resize": [*shared, "--tokens", "--pad_to_multiple_of", "--seed", "--max_shard_size"],
               "generate": [*shared, "--inputs", "--outputs", "--seed", "--max_new_tokens", "--num_beams", "--do_sample",
                            "--pad_token_id", "--eos_token_id", "--length_penalty", "--early_stopping", "--use_cache"]}
        for command, flags in own.items():
            text = self.good(command, "--help")
            for flag in flags:
                self.assertIn(flag, text)


class Usage(CommandTest):
    def test_wrong_usage_is_status_2(self):
        for arguments in ((), ("unknown",), ("",), ("--unknown",), ("inspect",), ("info",), ("load",), ("run",),
                          ("generate",), ("generate", BASE, "--inputs=x", "--outputs=y", "--beams=4"),
                          ("inspect", BASE, "--unknown"), ("info", BASE, "--unknown"), ("load", BASE, "--unknown"),
                          ("run", BASE, "--unknown"), ("inspect", BASE, BASE), ("load", BASE, "--touch=maybe"),
                          ("inspect", BASE, "--json=maybe"), ("load", BASE, "--dtype"), ("run", BASE),
                          ("run", BASE, "--inputs=x"), ("run", BASE, "--outputs=x"), ("convert",), ("convert", BASE), ("diff", BASE),
                          ("scan",), ("plan",), ("estimate",), ("convert", BASE, "d", "--to=onnx"), ("convert", BASE, "d", "--dtype=auto"),
                          ("convert", BASE, "d", "--max_shard_size=much"), ("diff", BASE, BASE, "--rtol=-1"),
                          ("run", BASE, "--inputs=x", "--outputs=y", "--resize_token_embeddings=many")):
            with self.subTest(arguments=arguments):
                done = self.call(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertTrue(done.stderr)

    def test_what_is_not_there_is_status_1_and_named(self):
        for command in COMMANDS:
            files = ("--inputs=i", "--outputs=o")
            flags = {"run": files, "generate": files, "convert": (self.folder / "d",), "diff": (BASE,),
                     "prune": (self.folder / "d", '--heads={"0": [1]}'), "resize": (self.folder / "d", "--tokens=9")}.get(command, ())
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
        self.fails(1, ["'BertForMars'", "BertModel"], "info", BASE, "--class=BertForMars")
        folder = self.copy_of_base("mars", model_type="mars", architectures=["MarsModel"])
        self.fails(1, ["config.json", "'mars'", "--class"], "info", folder)
        self.assertEqual(self.document("info", folder, "--class=BertModel")["class"], "BertModel")
        folder = self.copy_of_base("head", architectures=["BertForNothing"])
        self.fails(1, ["BertForNothing", "BertModel"], "info", folder)


class Load(CommandTest):
    FIELDS = ["class", "dtype", "engine", "files", "seconds", "bytes", "gb_per_second", "peak_rss_bytes", "peak_private_bytes",
              "missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs", "hf_device_map",
              "bytes_by_device"]

    def test_reports_how_a_model_was_loaded(self):
        document = self.document("load", BASE)
        self.assertEqual(list(document), self.FIELDS)
        for field, value in {"class": "BertModel", "dtype": "float32", "engine": "mapped", "bytes": 4 * 23392,
                             "missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": [],
                             "hf_device_map": {"": "cpu"}, "bytes_by_device": {"cpu": 4 * 23392}}.items():
            self.assertEqual(document[field], value, field)
        self.assertEqual([(file["engine"], file["read_bytes"]) for file in document["files"]], [("mapped", 0)])
        self.assertGreater(document["seconds"], 0)
        self.assertAlmostEqual(document["gb_per_second"], document["bytes"] / 1e9 / document["seconds"])
        self.assertGreater(document["peak_rss_bytes"], document["peak_private_bytes"])
        self.assertGreater(document["peak_private_bytes"], 0)

    def test_the_dtype_decides_how(self):
        for folder, dtype, engine, name in (("float16", "auto", "mapped", "float16"), ("float16", "", "buffered", "float32"),
                                            ("base", "bfloat16", "buffered", "bfloat16"), ("base", "auto", "mapped", "float32")):
            document = self.document("load", BERT / folder, *([f"--dtype={dtype}"] if dtype else []))
            self.assertEqual((document["engine"], document["dtype"]), (engine, name))
        document = self.document("load", BASE, "--sharing=private", "--read_threads=3", "--read_memory=1GB")
        self.assertEqual(document["engine"], "buffered")
        self.assertGreaterEqual(document["files"][0]["read_bytes"], 4 * 23392)
        self.assertGreater(document["files"][0]["gb_per_second"], 0)
        self.fails(2, "--sharing", "load", BASE, "--sharing=yes")
        self.fails(2, ["--dtype", "float33"], "load", BASE, "--dtype=float33")
        self.fails(1, "int8", "load", BASE, "--dtype=int8")

    def test_touching_reads_every_page(self):
        touched = self.document("load", MINILM, "--touch", "--sharing=shared")  # Cold or warm.
        mapped = self.document("load", MINILM, "--sharing=shared")
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
        self.fails(1, "GPU 0, but this machine has none", "load", BASE, "--device_map=cuda:0")
        self.fails(1, "needs", "load", BASE, "--device_map=auto", '--max_memory={"cpu": 100}')
        self.fails(1, "no GPU 3", "load", BASE, "--device_map=auto", '--max_memory={"3": "1GB"}')
        self.fails(2, "--device_map", "load", BASE, '--max_memory={"cpu": "1GB"}')
        self.fails(2, "--device_map", "load", BASE, f"--offload_folder={self.folder}")
        self.fails(2, "not a JSON object", "load", BASE, "--device_map=auto", "--max_memory=1GB")

    def test_leaves_weights_on_the_disk(self):
        document = self.document("load", BASE, '--device_map={"": "cpu", "encoder": "disk"}')
        self.assertEqual(document["hf_device_map"], {"": "cpu", "encoder": "disk"})
        self.assertEqual(sum(document["bytes_by_device"].values()), 4 * 23392)
        self.assertGreater(document["bytes_by_device"]["disk"], 0)
        self.fails(1, "offload_folder", "load", BASE, "--device_map=disk", "--dtype=float16")
        folder = self.folder / "offload"
        document = self.document("load", BASE, "--device_map=disk", "--dtype=float16", f"--offload_folder={folder}")
        self.assertEqual(document["bytes_by_device"], {"disk": 2 * 23392})
        self.assertTrue((folder / "index.json").exists())
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

    def test_flops_are_counted_by_operator(self):
        model = MODELS / "BertForMaskedLM"
        document, _ = self.run_model(model, model / "io.safetensors", "--flops")
        flops = document["flops"]
        self.assertEqual(list(flops), ["total", "matmul", "operators", "unknown"])
        self.assertEqual(flops["matmul"], 1351680)  # torch.utils.flop_counter says so: testdata/flops.
        self.assertEqual(flops["unknown"], [])
        for part in ("matmul", "other"):
            self.assertEqual(sum(operator[part] for operator in flops["operators"]),
                             flops["matmul"] if part == "matmul" else flops["total"] - flops["matmul"])
        self.assertIn("addmm", [operator["name"] for operator in flops["operators"]])
        for layout in ((), ("--output_attentions",)):
            again, _ = self.run_model(model, model / "io.safetensors", "--flops", *layout)
            self.assertEqual(again["flops"]["matmul"], flops["matmul"])

    def test_memory_is_told_by_module(self):
        document, tensors = self.run_model(BASE, BASE / "io.safetensors", *self.ALL, "--memory")
        self.expect_golden(tensors, BASE / "io.safetensors")
        self.assertEqual([{"name": module["name"], "class": module["class"]} for module in document["memory"]],
                         self.document("info", BASE)["modules"])
        for module in document["memory"]:
            self.assertEqual(list(module), ["name", "class", "calls", "mem_rss_diff", "mem_rss_pre_forward",
                                            "mem_rss_post_forward"])
        whole = document["memory"][0]
        self.assertEqual((whole["name"], whole["calls"]), ("", 1))
        self.assertGreater(whole["mem_rss_pre_forward"], 1 << 20)
        self.assertEqual(whole["mem_rss_diff"], whole["mem_rss_post_forward"] - whole["mem_rss_pre_forward"])
        calls = {module["name"]: module["calls"] for module in document["memory"]}
        self.assertEqual(calls["encoder.layer.1.attention.self.query"], 1)
        flags = (f"--inputs={self.inputs_of(BASE / 'io.safetensors')}", f"--outputs={self.folder / 'o.safetensors'}")
        text = self.good("run", BASE, *flags, "--memory")
        self.assertRegex(text, r"(?m)^\(the model\) +BertModel +1 ")
        self.assertRegex(text, r"(?m)^encoder\.layer\.0 +BertLayer +1 ")

    def test_outputs_follow_the_dtype(self):
        document, tensors = self.run_model(BASE, BASE / "io.safetensors", "--dtype=bfloat16")
        self.assertEqual({output["dtype"] for output in document["outputs"]}, {"bfloat16"})
        self.assertEqual({tensor[0] for tensor in tensors.values()}, {"BF16"})


class Generate(CommandTest):
    MODEL = MODELS / "GPT2LMHeadModel"

    def generate(self, rows, *flags, model=MODEL):
        """(what is on stdout, the rows of `sequences`)."""
        inputs, outputs = self.folder / "inputs.safetensors", self.folder / "outputs.safetensors"
        flat = array.array("q", [token for row in rows for token in row])
        write_tensors(inputs, {"input_ids": ("I64", [len(rows), len(rows[0])], flat.tobytes())})
        text = self.good("generate", model, f"--inputs={inputs}", f"--outputs={outputs}", *flags)
        _, tensors = read_tensors(outputs)
        dtype, shape, content = tensors["sequences"]
        self.assertEqual(dtype, "I64")
        ids = array.array("q", content).tolist()
        return text, [ids[i * shape[1]:(i + 1) * shape[1]] for i in range(shape[0])]

    def test_gives_the_peers_ids(self):
        golden = json.loads((GENERATION / "GPT2LMHeadModel.json").read_text())
        for run in ("greedy-two-eos", "greedy-bad-words", "greedy-no-cache", "beam4-early-stopping", "beam4-return3"):
            kwargs, ids = golden["inputs"][0]["runs"][run].values()
            flags = [f"--{name}={json.dumps(value)}" for name, value in {"pad_token_id": 0, **kwargs}.items()]
            text, rows = self.generate(golden["inputs"][0]["input_ids"], "--json", *flags)
            self.assertEqual(rows, ids, run)
            document = json.loads(text)
            self.assertEqual(list(document), ["tokens", "seconds"])
            self.assertEqual(document["tokens"], len(ids) * (len(ids[0]) - 6))
            self.assertGreater(document["seconds"], 0)

    def test_streams_ids(self):
        text, rows = self.generate([[5, 6, 7], [8, 9, 10]], "--max_new_tokens=4", "--eos_token_id=null")
        lines = text.splitlines()
        self.assertEqual([[int(token) for token in line.split()] for line in lines[:4]],
                         [[rows[0][i], rows[1][i]] for i in range(3, 7)])
        self.assertIn("8 new tokens", text)
        text, rows = self.generate([[5, 6, 7]], "--max_new_tokens=4", "--num_beams=2", "--eos_token_id=null")
        self.assertEqual([int(token) for token in text.splitlines()[0].split()], rows[0])

    def test_takes_lists_without_brackets_and_bare_flags(self):
        prompt = [[5, 6, 7]]
        _, rows = self.generate(prompt, "--max_new_tokens=6", "--eos_token_id=null", "--json")
        _, short = self.generate(prompt, "--max_new_tokens=6", f"--eos_token_id=1,{rows[0][4]}", "--pad_token_id=0", "--json")
        self.assertEqual(short[0], rows[0][:rows[0].index(rows[0][4], 3) + 1])
        _, drawn = self.generate(prompt, "--max_new_tokens=6", "--eos_token_id=null", "--do_sample", "--seed=5", "--json")
        _, again = self.generate(prompt, "--max_new_tokens=6", "--eos_token_id=null", "--do_sample=true", "--seed=5", "--json")
        self.assertEqual(drawn, again)

    def test_overrides_generation_config(self):
        folder = self.folder / "with config"
        shutil.copytree(self.MODEL, folder)
        (folder / "generation_config.json").chmod(0o644)
        (folder / "generation_config.json").write_text('{"max_new_tokens": 3, "eos_token_id": null}')
        self.assertEqual(len(self.generate([[5, 6]], "--json", model=folder)[1][0]), 5)
        self.assertEqual(len(self.generate([[5, 6]], "--json", "--max_new_tokens=7", model=folder)[1][0]), 9)

    def test_says_what_is_wrong(self):
        inputs, outputs = self.folder / "inputs.safetensors", self.folder / "o.safetensors"
        write_tensors(inputs, {"input_ids": ("I64", [1, 1], b"\1" + bytes(7))})
        flags = (f"--inputs={inputs}", f"--outputs={outputs}")
        self.fails(1, ["num_return_sequences", "num_beams"], "generate", self.MODEL, *flags, "--num_beams=2",
                   "--num_return_sequences=3", "--json")
        self.fails(1, "num_beams", "generate", self.MODEL, *flags, "--num_beams=many")
        self.fails(1, "BertModel", "generate", BASE, *flags)
        self.assertFalse(outputs.exists())


if __name__ == "__main__":
    unittest.main()
