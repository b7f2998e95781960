#!/usr/bin/env python3
"""What the commands that give models other weights promise: prune, resize; and run, which does so first."""
import json
import pathlib
import unittest

from command_testing import BASE, BERT, MODELS, CommandTest, floats, read_tensors, write_tensors

SURGERY = pathlib.Path("testdata/surgery").resolve()
PRUNED = SURGERY / "pruning"
RESIZED = SURGERY / "resize"


def weights(folder):
    """The tensors of a folder's one weights file."""
    return read_tensors(pathlib.Path(folder) / "model.safetensors")[1]


def config(folder):
    return json.loads((pathlib.Path(folder) / "config.json").read_text())


class Prune(CommandTest):
    def test_writes_what_the_peer_writes(self):
        for name in ("BertModel", "BertForSequenceClassification", "GPT2LMHeadModel", "T5EncoderModel"):
            with self.subTest(name=name):
                golden = json.loads((PRUNED / name / "expect.json").read_text())
                out = self.folder / name
                document = self.document("prune", PRUNED / name / "before", out,
                                         "--heads=" + json.dumps(golden["heads_to_prune"]))
                self.assertEqual(weights(out), weights(PRUNED / name / "after"))
                self.assertEqual(config(out)["pruned_heads"], golden["config_pruned_heads"])
                self.assertEqual(document["class"], name)
                self.assertEqual(document["pruned_heads"], golden["config_pruned_heads"])
                self.assertEqual(document["parameters_before"], golden["num_parameters_before"])
                self.assertEqual(document["parameters"], golden["num_parameters_after"])
                self.assertEqual(sorted(document["files"]), sorted(path.name for path in out.iterdir()))
                self.assertEqual(document["tensors"], len(weights(out)))
                self.assertEqual(document["bytes"], sum(len(data) for _, _, data in weights(out).values()))

    def test_what_it_writes_runs(self):
        io = BERT / "io" / "prune_heads.safetensors"
        out = self.folder / "out"
        self.good("prune", BASE, out, '--heads={"0": [0, 2], "1": [3]}')
        _, tensors = self.run_model(out, io, "--output_hidden_states", "--output_attentions")
        self.expect_golden(tensors, io)

    def test_prunes_a_folder_in_place_and_again(self):
        out = self.folder / "out"
        self.good("prune", BASE, out, '--heads={"0": [0]}')
        self.good("prune", out, out, '--heads={"0": [2], "1": [3]}')
        at_once = self.folder / "at once"
        text = self.good("prune", BASE, at_once, '--heads={"0": [0, 2], "1": [3]}')
        self.assertEqual(weights(out), weights(at_once))
        one, other = config(out), config(at_once)
        self.assertTrue(one.pop("_name_or_path") != other.pop("_name_or_path"))
        self.assertEqual(one, other)
        self.assertIn('pruned_heads {"0":[0,2],"1":[3]}', text)
        self.assertIn("model.safetensors", text)

    def test_keeps_the_dtype_and_splits(self):
        out = self.folder / "out"
        document = self.document("prune", BERT / "float16", out, '--heads={"0": [1]}', "--max_shard_size=10KB")
        self.assertGreater(len(document["files"]), 3)
        self.assertEqual(config(out)["torch_dtype"], "float16")
        self.assertIn("model.safetensors.index.json", document["files"])

    def test_heads_that_there_are_not_are_named_and_nothing_is_written(self):
        out = self.folder / "out"
        for heads, words in (('{"7": [0]}', "layer 7"), ('{"0": [4]}', "head 4"), ('{"0": [0, 1, 2, 3]}', "leave none")):
            self.fails(1, ["pretrained prune: ", words], "prune", BASE, out, "--heads=" + heads)
        self.fails(1, ["head 1", "head 0", "share"], "prune", MODELS / "LlamaForCausalLM", out, '--heads={"0": [1]}')
        self.assertFalse(out.exists())
        for arguments in ((), (BASE,), (BASE, out), (BASE, out, "--heads=[1]"), (BASE, out, '--heads={"0": 1}')):
            self.assertEqual(self.call("prune", *arguments).returncode, 2)


class Resize(CommandTest):
    def test_keeps_rows_and_the_config_follows(self):
        for name in ("BertForMaskedLM", "GPT2LMHeadModel", "LlamaForCausalLM-untied", "T5ForConditionalGeneration-untied"):
            with self.subTest(name=name):
                out = self.folder / name
                document = self.document("resize", RESIZED / name / "before", out, "--tokens=50", "--pad_to_multiple_of=64")
                self.assertEqual(document["vocab_size"], 64)
                self.assertEqual(config(out)["vocab_size"], 64)
                before, after = weights(RESIZED / name / "before"), weights(out)
                resized = [key for key in before if after[key][1] != before[key][1]]
                self.assertEqual(len(resized), {"BertForMaskedLM": 2, "GPT2LMHeadModel": 1}.get(name, 2))
                for key, (dtype, shape, data) in before.items():
                    self.assertEqual(after[key][0], dtype)
                    if key in resized:
                        self.assertEqual(after[key][1], [64, *shape[1:]])
                    self.assertEqual(after[key][2][:len(data)], data, key)

    def test_scores_are_the_peers(self):
        name = "GPT2LMHeadModel"
        self.good("resize", RESIZED / name / "before", self.folder / "out", "--tokens=41")
        _, golden = read_tensors(RESIZED / name / "down.safetensors")
        inputs, outputs = self.folder / "in.safetensors", self.folder / "got.safetensors"
        write_tensors(inputs, {key[3:]: tensor for key, tensor in golden.items() if key.startswith("in.")})
        self.good("run", self.folder / "out", f"--inputs={inputs}", f"--outputs={outputs}")
        _, got = read_tensors(outputs)
        self.assertEqual(got["logits"][1], golden["out.logits"][1])
        for one, want in zip(floats(got["logits"]), floats(golden["out.logits"])):
            self.assertLessEqual(abs(one - want), 1e-5 * (1 + abs(want)))

    def test_a_seed_repeats_the_new_rows(self):
        source, key = RESIZED / "GPT2LMHeadModel" / "before", "transformer.wte.weight"
        rows = [weights(self.folder / name)[key] for name, seed in (("a", 5), ("b", 5), ("c", 6))
                if self.good("resize", source, self.folder / name, "--tokens=60", f"--seed={seed}")]
        self.assertEqual(rows[0], rows[1])
        self.assertNotEqual(rows[0], rows[2])

    def test_sizes_that_make_no_sense_are_named_and_nothing_is_written(self):
        out = self.folder / "out"
        for flags, words in ((("--tokens=0",), "vocabulary of 0 tokens"), (("--tokens=-5",), "vocabulary of -5 tokens"),
                             (("--pad_to_multiple_of=0",), "pad_to_multiple_of is 0")):
            self.fails(1, ["pretrained resize: ", words], "resize", BASE, out, *flags)
        self.assertFalse(out.exists())
        for arguments in ((), (BASE,), (BASE, out), (BASE, out, "--tokens=many")):
            self.assertEqual(self.call("resize", *arguments).returncode, 2)


class Run(CommandTest):
    def test_prunes_every_family_before_it_runs(self):
        for name, heads in (("GPT2LMHeadModel", [1]), ("LlamaForCausalLM", [2, 3]), ("OPTForCausalLM", [0]),
                            ("BloomForCausalLM", [2]), ("GPTNeoXForCausalLM", [3]), ("T5ForConditionalGeneration", [1, 2]),
                            ("DistilBertModel", [0, 3]), ("RobertaForMaskedLM", [2])):
            with self.subTest(name=name):
                flag = json.dumps({"0": heads})
                io = MODELS / name / "io.safetensors"
                _, tensors = self.run_model(MODELS / name, io, f"--prune_heads={flag}")
                self.good("prune", MODELS / name, self.folder / name, f"--heads={flag}")
                _, again = self.run_model(self.folder / name, io)
                self.assertEqual(tensors, again)


if __name__ == "__main__":
    unittest.main()
