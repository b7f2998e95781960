#!/usr/bin/env python3
"""What the commands that place and measure models promise: plan, estimate. They read no weights."""
import json
import shutil
import unittest

from command_testing import BASE, MODELS, TREES, CommandTest, write_tensors

BUDGETS = {"0": 70000, "1": "60KB", "cpu": "1MB"}
LLAMA = MODELS / "LlamaForCausalLM"
T5 = MODELS / "T5ForConditionalGeneration"


def golden_tree(name):
    return json.loads((TREES / f"{name}.json").read_text())


class Plan(CommandTest):
    def plan(self, source, *flags, max_memory=BUDGETS):
        return self.document("plan", source, f"--max_memory={json.dumps(max_memory)}", *flags)

    def test_places_a_model_by_its_config(self):
        folder = self.folder / "config alone"
        folder.mkdir()
        shutil.copy(LLAMA / "config.json", folder)
        document = self.plan(folder, "--device_map=sequential")
        self.assertEqual(list(document), ["device_map", "bytes_per_device", "max_memory"])
        self.assertEqual(document["max_memory"], {"0": 70000, "1": 60000, "cpu": 1000000})
        # Two layers of 47 kB each; GPU 0 keeps room for one and so takes the embeddings alone.
        self.assertEqual(document["device_map"], {"model.embed_tokens": 0, "model.layers.0": 1, "model.layers.1": "cpu",
                                                  "model.norm": "cpu", "lm_head": "cpu"})
        self.assertEqual(sum(document["bytes_per_device"].values()), self.document("estimate", folder)["dtypes"]["float32"]["total"])
        self.assertEqual(self.plan(folder / "config.json", "--device_map=sequential"), document)

    def test_a_tree_is_planned_as_its_model(self):
        flags = ("--no_split=LlamaDecoderLayer", "--dtype=float16")
        for mode in ("auto", "balanced_low_0", "sequential"):
            self.assertEqual(self.plan(TREES / "tiny-LlamaForCausalLM.json", f"--device_map={mode}", *flags),
                             self.plan(LLAMA, f"--device_map={mode}", "--dtype=float16"))

    def test_layers_may_be_split_if_no_class_is_named(self):
        self.assertIn("model.layers.0.self_attn.q_proj", self.plan(LLAMA, "--no_split=", "--device_map=sequential",
                                                            max_memory={"0": 50000, "cpu": 60000})["device_map"])

    def test_what_stays_float32_counts_as_that(self):
        total = lambda dtype: sum(self.plan(T5, f"--dtype={dtype}", "--device_map=cpu")["bytes_per_device"].values())
        kept = sum(4 * tensor[0][0] * tensor[0][1] for tensor in self.parameters(golden_tree("tiny-T5ForConditionalGeneration"), "wo"))
        self.assertEqual(total("float16"), total("float32") / 2 + kept / 2)
        self.assertEqual(total("bfloat16"), total("float32") / 2)

    def parameters(self, tree, module):
        """The parameters of all modules of that name."""
        def walk(index):
            for name, child in tree["nodes"][index]["children"].items():
                if name == module:
                    yield from tree["nodes"][child]["parameters"].values()
                yield from walk(child)
        return list(walk(tree["root"]))

    def test_one_device_takes_all(self):
        self.assertEqual(self.plan(LLAMA, "--device_map=cpu")["device_map"], {"": "cpu"})
        self.assertEqual(self.document("plan", LLAMA, "--device_map=0"),
                         {"device_map": {"": 0}, "bytes_per_device": {"0": 133280}, "max_memory": {}})

    def test_a_map_by_hand_is_checked(self):
        by_hand = {"model": 0, "model.layers.1": "disk", "lm_head": 1}
        document = self.document("plan", LLAMA, f"--device_map={json.dumps(by_hand)}")
        self.assertEqual(document["device_map"], by_hand)
        self.assertEqual(set(document["bytes_per_device"]), {"0", "1", "disk"})
        self.fails(1, ["'model.layer' is no module", "did you mean 'model.layers'?", "and 15 more"], "plan", LLAMA,
                   '--device_map={"model.embed_tokens": 0, "model.layer": 1}')
        done = self.call("plan", T5, "--json", '--device_map={"": 0, "lm_head": 1}', '--max_memory={"0": 1}')
        self.assertEqual(done.returncode, 0)
        self.assertIn("is tied to", done.stderr)
        self.assertIn("may hold 1", done.stderr)

    def test_weights_alone_will_do(self):
        path = self.folder / "weights.safetensors"
        write_tensors(path, {"a.w": ("F32", [4], b"0" * 16), "b.w": ("F16", [4], b"0" * 8)})
        self.assertEqual(self.plan(path, "--device_map=sequential", max_memory={"0": 24, "cpu": 100}),
                         {"device_map": {"": 0}, "bytes_per_device": {"0": 24, "cpu": 0}, "max_memory": {"0": 24, "cpu": 100}})
        index = self.folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"a.w": "gone.safetensors"}}))
        self.assertEqual(self.document("plan", index, "--device_map=cpu")["bytes_per_device"], None)
        self.fails(1, ["sizes are not known"], "plan", index)
        self.fails(1, ["sizes are not known"], "estimate", index)

    def test_explains(self):
        lines = self.plan(LLAMA, "--device_map=sequential", "--explain")["explanation"]
        self.assertEqual(len([line for line in lines if "would be on 0 with" in line]), 1)
        self.assertIn("'lm_head' (19.2 kB) goes to cpu", lines[-1])
        self.assertIn("would be on 0", self.good("plan", LLAMA, "--device_map=sequential", "--explain",
                                                 f"--max_memory={json.dumps(BUDGETS)}"))

    def test_draws_the_split(self):
        text = self.good("plan", TREES / "llama-70b.json", "--no_split=LlamaDecoderLayer",
                         '--max_memory={"0": "40GiB", "1": "40GiB", "cpu": "100GiB"}')
        self.assertRegex(text, r"(?m)^1 +42\.8 GB +42\.9 GB  #{10}\.{22}  31%$")
        self.assertRegex(text, r"(?m)^model\.layers\.48 to 79 +cpu$")

    def test_asks_the_machine_only_without_budgets(self):
        document = self.document("plan", LLAMA)
        self.assertGreater(document["max_memory"]["cpu"], 0)
        self.assertEqual(self.plan(LLAMA, "--device_map=sequential", max_memory={"7": "1GB"})["device_map"], {"": 7})

    def test_wrong_usage_is_status_2(self):
        for flag in ("--device_map=gpu", "--device_map={", "--max_memory=[]", '--max_memory={"0": "10"}', "--dtype=float33"):
            self.fails(2, [], "plan", LLAMA, flag)
        self.fails(1, ["tree.json", "no such"], "plan", self.folder / "tree.json")
        (self.folder / "tree.json").write_text('{"children": {"a": {"parameters": {"w": {}}}}}')
        self.fails(1, ["tree.json", "'a.w'"], "plan", self.folder / "tree.json")

    def test_a_disk_that_is_too_small_is_an_error(self):
        self.fails(1, ["fits no device", "raise a budget"], "plan", LLAMA, '--max_memory={"cpu": 0, "disk": 1000}')


class Estimate(CommandTest):
    def test_knows_each_dtype(self):
        document = self.document("estimate", LLAMA)["dtypes"]
        self.assertEqual(list(document), ["float32", "float16", "bfloat16", "float8", "int8", "int4"])
        sizes = golden_tree("tiny-LlamaForCausalLM")["compute_module_sizes"]
        for dtype in ("float32", "float16", "int8"):
            self.assertEqual(document[dtype]["total"], sizes[dtype][""])
        full = document["float32"]
        self.assertEqual(full["largest_layer"], golden_tree("tiny-LlamaForCausalLM")["calculate_maximum_sizes"]["largest_layer"])
        self.assertEqual(full["training"], full["total"] + full["gradients"] + full["optimizer_states"])
        self.assertEqual(full["optimizer_states"], 2 * full["gradients"])

    def test_takes_trees_and_weights(self):
        tree = self.document("estimate", TREES / "bloom-176b.json", "--no_split=BloomBlock", "--dtypes=float16")
        self.assertEqual(tree["dtypes"]["float16"]["total"], golden_tree("bloom-176b")["compute_module_sizes"]["float16"][""])
        weights = self.document("estimate", BASE / "model.safetensors")
        self.assertEqual(weights["dtypes"]["float32"]["total"], self.document("inspect", BASE)["total_bytes"])

    def test_activations_follow_from_batch_and_length(self):
        one = self.document("estimate", LLAMA, "--sequence_length=64")["dtypes"]["float16"]
        two = self.document("estimate", LLAMA, "--sequence_length=64", "--batch_size=2")["dtypes"]["float16"]
        config = json.loads((LLAMA / "config.json").read_text())
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
        size = config["hidden_size"] // config["num_attention_heads"]
        self.assertEqual(one["key_value_cache"], 2 * config["num_hidden_layers"] * heads * size * 64 * 2)
        self.assertEqual(two["key_value_cache"], 2 * one["key_value_cache"])
        self.assertEqual(two["activations"]["forward"], 2 * one["activations"]["forward"])
        bert = self.document("estimate", BASE, "--class=BertModel", "--sequence_length=8")["dtypes"]["float32"]
        self.assertEqual(bert["key_value_cache"], 0)
        self.fails(1, ["config.json"], "estimate", TREES / "mixed.json", "--sequence_length=8")

    def test_lists_modules(self):
        modules = self.document("estimate", LLAMA, "--depth=1")["modules"]
        self.assertEqual([module["name"] for module in modules], ["model", "lm_head"])
        self.assertRegex(self.good("estimate", LLAMA, "--depth=2"), r"(?m)^model\.layers +ModuleList +94\.8 kB$")

    def test_prints_a_table(self):
        text = self.good("estimate", LLAMA)
        self.assertRegex(text, r"(?m)^float16 +66\.6 kB +23\.7 kB +254 kB$")
        self.assertIn("largest layer: model.layers.0 and 1 of its size", text)

    def test_wrong_usage_is_status_2(self):
        for flag in ("--dtypes=float33", "--sequence_length=0", "--batch_size=-1"):
            self.fails(2, [], "estimate", LLAMA, flag)


if __name__ == "__main__":
    unittest.main()
