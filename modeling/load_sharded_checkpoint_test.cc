#include "modeling/load_sharded_checkpoint.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "c10/core/InferenceMode.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/save/save_checkpoint.h"
#include "checkpoint/tensor_to_write.h"
#include "device_map/module_tree.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "modeling/module.h"
#include "modeling/shards_testutil.h"
#include "modeling/tensor_bridge.h"
#include "modeling/tensor_digest.h"
#include "nlohmann/json.hpp"
#include "torch/nn/module.h"
#include "torch/nn/modules/activation.h"
#include "torch/nn/modules/batchnorm.h"
#include "torch/nn/modules/container/sequential.h"
#include "torch/nn/modules/conv.h"
#include "torch/nn/modules/linear.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;

std::vector<std::string> Sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

// A module with the names, shapes and ties of the GPT2LMHeadModel that `state`
// is of, all NaN.
std::shared_ptr<Tree> EmptyGpt2(const Json& state) {
  auto model = std::make_shared<Tree>();
  at::Tensor embedding;
  for (const auto& [name, golden] : state.items()) {
    at::Tensor tensor =
        at::full(golden["shape"].get<std::vector<int64_t>>(), NAN);
    if (name == "transformer.wte.weight") embedding = tensor;
    model->Add(name, name == "lm_head.weight" ? embedding : tensor);
  }
  return model;
}

TEST(LoadShardedCheckpointTest, LoadsAndReportsAsThePeerDoes) {
  int calls = 0;
  for (const char* name :
       {"sharded-index-misses-key", "sharded-total-size-wrong"}) {
    const std::string golden_folder = absl::StrCat("testdata/loading/", name);
    const std::string folder = golden_folder + "/checkpoint";
    const Json expect = ReadJsonFile(golden_folder + "/expect.json");
    const Json& state = expect["calls"][0]["result"]["state"];
    for (const Json& golden : expect["calls"]) {
      if (golden.value("function", "") != "load_sharded_checkpoint") continue;
      SCOPED_TRACE(absl::StrCat(name, " ", golden["kwargs"].dump()));
      ++calls;
      const auto model = EmptyGpt2(state);
      const auto keys = LoadShardedCheckpoint(
          *model, folder, {.strict = golden["kwargs"]["strict"]});
      const Json& result = golden["result"];
      if (result.contains("raises")) {
        // The peer lists missing and unexpected keys, each as "a","b".
        EXPECT_EQ(keys.status().code(), absl::StatusCode::kInvalidArgument);
        EXPECT_THAT(
            keys.status().message(),
            AllOf(HasSubstr(absl::StrCat(folder, "/", kSafeIndex)),
                  HasSubstr("missing, which it does not list: "
                            "'transformer.ln_f.bias', 'lm_head.weight'\n"),
                  HasSubstr("unexpected, which the module does not have: "
                            "'transformer.h.9.ghost'\n")));
        EXPECT_THAT(
            result["message"].get<std::string>(),
            AllOf(HasSubstr("\"transformer.ln_f.bias\",\"lm_head.weight\".\n"),
                  HasSubstr("\"transformer.h.9.ghost\".")));
        for (const at::Tensor& parameter : model->parameters()) {
          EXPECT_TRUE(parameter.isnan().all().item().toBool());
        }
        continue;
      }
      ASSERT_THAT(keys, IsOk());
      EXPECT_EQ(Json(Sorted(keys->missing_keys)), result["missing_keys"]);
      EXPECT_EQ(Json(Sorted(keys->unexpected_keys)), result["unexpected_keys"]);
      for (const auto& entry : model->named_parameters()) {
        SCOPED_TRACE(entry.key());
        const Json& want = state[entry.key()];
        // Missing from the index, but not from the shards: it is loaded.
        const std::string digest = want.contains("digest")
                                       ? want["digest"].get<std::string>()
                                       : "8534dd26806bc6f1744bd4733bcfdac7";
        EXPECT_EQ(DigestOf(entry.value()), digest);
      }
    }
  }
  EXPECT_EQ(calls, 3);
}

TEST(LoadShardedCheckpointTest, LoadsIntoTorchsOwnModules) {
  torch::nn::Linear linear(2, 3);
  const auto keys =
      LoadShardedCheckpoint(*linear, MakeLinearFolder("torchs-own"));
  ASSERT_THAT(keys, IsOk());
  EXPECT_THAT(keys->missing_keys, IsEmpty());
  EXPECT_THAT(keys->unexpected_keys, IsEmpty());
  EXPECT_TRUE(at::equal(linear->weight, at::full({3, 2}, 7.0)));
  EXPECT_TRUE(at::equal(linear->bias, at::full({3}, 8.0)));
}

TEST(LoadShardedCheckpointTest, LoadsWhatThisLibrarySavesInEveryFormat) {
  for (const char* format : {"safetensors", "torch", "torch_legacy"}) {
    SCOPED_TRACE(format);
    torch::nn::Sequential source(torch::nn::Linear(4, 6),
                                 torch::nn::BatchNorm1d(6), torch::nn::ReLU(),
                                 torch::nn::Linear(6, 2));
    source->forward(at::randn({5, 4}));  // For the BatchNorm's statistics.
    std::vector<TensorToWrite> tensors;
    for (const auto& entry : source->named_parameters()) {
      tensors.push_back(ToWrite({entry.key(), entry.value()}));
    }
    for (const auto& entry : source->named_buffers()) {
      tensors.push_back(ToWrite({entry.key(), entry.value()}));
    }
    const std::string folder = MakeTestFolder(absl::StrCat("saved-", format));
    ASSERT_THAT(SaveCheckpoint(folder, tensors,
                               {.format = format, .max_shard_bytes = 50}),
                IsOk());
    torch::nn::Sequential target(torch::nn::Linear(4, 6),
                                 torch::nn::BatchNorm1d(6), torch::nn::ReLU(),
                                 torch::nn::Linear(6, 2));
    ASSERT_THAT(LoadShardedCheckpoint(*target, folder), IsOk());
    source->eval();
    target->eval();
    const at::Tensor x = at::randn({3, 4});
    EXPECT_TRUE(at::equal(source->forward(x), target->forward(x)));
    EXPECT_EQ(target->named_buffers()["1.num_batches_tracked"].item().toInt(),
              1);
  }
}

TEST(LoadShardedCheckpointTest, TheModuleMayStandOnTheStack) {
  class Net : public torch::nn::Module {
   public:
    Net() { register_module("body", linear); }
    torch::nn::Linear linear{2, 3};
  };
  Net net;
  const std::string folder =
      MakeShardFolder("on-the-stack", {{"s.safetensors",
                                        {{"body.weight", at::full({3, 2}, 7.0)},
                                         {"body.bias", at::full({3}, 8.0)}}}});
  ASSERT_THAT(LoadShardedCheckpoint(net, folder), IsOk());
  EXPECT_TRUE(at::equal(net.linear->bias, at::full({3}, 8.0)));
}

TEST(LoadShardedCheckpointTest, WhatAModuleHasNotIsNotAskedFor) {
  const std::string folder =
      MakeShardFolder("without-bias", {{"s.safetensors",
                                        {{"0.weight", at::full({3, 2}, 7.0)},
                                         {"1.weight", at::full({3}, 8.0)},
                                         {"1.bias", at::full({3}, 9.0)}}}});
  torch::nn::Sequential module(
      torch::nn::Linear(torch::nn::LinearOptions(2, 3).bias(false)),
      torch::nn::BatchNorm1d(
          torch::nn::BatchNormOptions(3).track_running_stats(false)));
  EXPECT_THAT(LoadShardedCheckpoint(*module, folder), IsOk());
}

TEST(LoadShardedCheckpointTest, ListsKeysInTheOrderOfModuleAndIndex) {
  const std::string folder = MakeLinearFolder("key-order");
  WriteTestFile(absl::StrCat("key-order/", kSafeIndex), R"({"weight_map": {
      "z": "s-1.safetensors", "weight": "s-1.safetensors",
      "a": "s-2.safetensors"}})");
  Tree module;
  module.Add("z2", at::zeros({1}));
  module.Add("child.b", at::zeros({1}));
  module.Add("mean", at::zeros({1}), /*is_buffer=*/true);
  module.Add("a2", at::zeros({1}));
  module.Add("weight", at::zeros({3, 2}));
  const auto keys = LoadShardedCheckpoint(module, folder, {.strict = false});
  ASSERT_THAT(keys, IsOk());
  // Module by module, parameters before buffers.
  EXPECT_THAT(keys->missing_keys, ElementsAre("z2", "a2", "mean", "child.b"));
  EXPECT_THAT(keys->unexpected_keys, ElementsAre("z", "a"));
  EXPECT_TRUE(
      at::equal(module.named_parameters()["weight"], at::full({3, 2}, 7.0)));
}

TEST(LoadShardedCheckpointTest, WhatTheIndexDoesNotListIsLoadedAllTheSame) {
  const std::string folder =
      MakeShardFolder("not-listed", {WeightShard(), BiasShard()}, "bias",
                      {{"other", "s-2.safetensors"}});
  torch::nn::Linear linear(2, 3);
  const auto keys = LoadShardedCheckpoint(*linear, folder, {.strict = false});
  ASSERT_THAT(keys, IsOk());
  EXPECT_THAT(keys->missing_keys, ElementsAre("bias"));
  EXPECT_THAT(keys->unexpected_keys, ElementsAre("other"));
  EXPECT_TRUE(at::equal(linear->bias, at::full({3}, 8.0)));

  // Nor is it an error that a shard holds more than index and module have.
  torch::nn::Linear no_bias(torch::nn::LinearOptions(2, 3).bias(false));
  EXPECT_THAT(
      LoadShardedCheckpoint(
          *no_bias, MakeShardFolder("more",
                                    {{"s.safetensors",
                                      {{"weight", at::full({3, 2}, 7.0)},
                                       {"ghost", at::zeros({1})}}}},
                                    "ghost")),
      IsOk());
}

TEST(LoadShardedCheckpointTest, TheFirstOfAListGoesIntoANumber) {
  for (const int count : {0, 1, 3}) {
    Tree module;
    module.Add("scale", at::ones({}));
    const std::string folder = MakeShardFolder(
        "number",
        {{"s.safetensors", {{"scale", at::arange(5, 5 + count, at::kFloat)}}}});
    const auto keys = LoadShardedCheckpoint(module, folder);
    if (count == 0) {
      EXPECT_THAT(keys, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("'scale': [0]")));
    } else {
      ASSERT_THAT(keys.status(), IsOk()) << count;
      EXPECT_EQ(module.parameters()[0].item().toFloat(), 5);
    }
  }
  // But not the other way round.
  Tree module;
  module.Add("scale", at::ones({1}));
  EXPECT_THAT(
      LoadShardedCheckpoint(
          module, MakeShardFolder("number", {{"s.safetensors",
                                              {{"scale", at::ones({})}}}})),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("tensor 'scale': [] in ")));
}

TEST(LoadShardedCheckpointTest, ConvertsAsLibTorchDoesBetweenAllDtypes) {
  int pairs = 0;
  for (const Dtype from : kAllDtypes) {
    const at::Tensor stored =
        at::tensor({0.0, 1.0, 2.5, 100.25}).to(ToScalarType(from));
    // There is no such safetensors file.
    const bool safe = from != Dtype::kComplex128;
    const std::string folder = MakeShardFolder(
        absl::StrCat("from-", DtypeName(from)),
        {{safe ? "s.safetensors" : "s.bin", {{"values", stored}}}});
    for (const Dtype to : kAllDtypes) {
      SCOPED_TRACE(absl::StrCat(DtypeName(from), " to ", DtypeName(to)));
      ++pairs;
      const at::ScalarType type = ToScalarType(to);
      Tree module;
      module.Add("values", at::zeros({4}, at::kFloat).to(type), true);
      ASSERT_THAT(LoadShardedCheckpoint(module, folder).status(), IsOk());
      const at::Tensor got = module.buffers()[0];
      EXPECT_EQ(got.scalar_type(), type);
      EXPECT_EQ(DigestOf(got), DigestOf(stored.to(type)));
    }
  }
  EXPECT_EQ(pairs, 17 * 17);
}

TEST(LoadShardedCheckpointTest, TensorsKeepWhatTheyAreButForTheirValues) {
  const at::Tensor values = at::arange(24, at::kFloat).reshape({1, 2, 3, 4});
  const std::string folder =
      MakeShardFolder("kept", {{"s.safetensors",
                                {{"dense", values},
                                 {"last", values},
                                 {"half", values},
                                 {"transposed", values[0][0]},
                                 {"strided", values[0][0]},
                                 {"frozen", values},
                                 {"conjugate", at::complex(values, values)}}}});
  Tree module;
  at::Tensor last =
      at::zeros({1, 2, 3, 4}).contiguous(at::MemoryFormat::ChannelsLast);
  at::Tensor wide = at::zeros({3, 8});
  at::Tensor complex = at::zeros({1, 2, 3, 4}, at::kComplexFloat);
  module.Add("dense", at::zeros({1, 2, 3, 4}));
  module.Add("last", last);
  module.Add("half", at::zeros({1, 2, 3, 4}, at::kHalf));
  module.Add("transposed", at::zeros({4, 3}).t());
  module.Add("strided", wide.slice(1, 0, 8, 2), true);
  module.Add("frozen", at::zeros({1, 2, 3, 4}));
  module.Add("conjugate", complex.conj(), true);
  module.named_parameters()["frozen"].set_requires_grad(false);
  struct Before {
    at::Tensor tensor;
    const void* data;
    std::vector<int64_t> strides;
    bool requires_grad;
    int64_t version;
  };
  std::vector<Before> all;
  for (const auto& tensors : {module.parameters(), module.buffers()}) {
    for (const at::Tensor& tensor : tensors) {
      all.push_back({tensor, tensor.const_data_ptr(), tensor.strides().vec(),
                     tensor.requires_grad(), tensor._version()});
    }
  }
  ASSERT_THAT(LoadShardedCheckpoint(module, folder), IsOk());
  ASSERT_EQ(all.size(), 7);
  size_t i = 0;
  for (const auto& tensors : {module.parameters(), module.buffers()}) {
    for (const at::Tensor& tensor : tensors) {
      SCOPED_TRACE(i);
      const Before& before = all[i++];
      EXPECT_TRUE(tensor.is_same(before.tensor));
      EXPECT_EQ(tensor.const_data_ptr(), before.data);
      EXPECT_EQ(tensor.strides(), before.strides);
      EXPECT_EQ(tensor.requires_grad(), before.requires_grad);
      EXPECT_TRUE(tensor.is_leaf());
      EXPECT_FALSE(tensor.is_inference());
      EXPECT_GT(tensor._version(), before.version);
      const at::Tensor want = tensor.is_complex() ? at::complex(values, values)
                              : tensor.dim() == 2 ? values[0][0]
                                                  : values;
      EXPECT_TRUE(at::equal(tensor, want.to(tensor.scalar_type())));
    }
  }
  EXPECT_TRUE(at::equal(wide.slice(1, 1, 8, 2), at::zeros({3, 4})))
      << "what lies between the strides";
  EXPECT_EQ(complex[0][0][0][1].item().toComplexFloat(),
            c10::complex<float>(1, -1));
}

TEST(LoadShardedCheckpointTest, GradAndInferenceModeDoNotMatter) {
  const std::string folder = MakeLinearFolder("modes");
  std::shared_ptr<torch::nn::LinearImpl> made_in_inference_mode;
  {
    const c10::InferenceMode inference;
    made_in_inference_mode = std::make_shared<torch::nn::LinearImpl>(2, 3);
    torch::nn::Linear linear(2, 3);
    EXPECT_THAT(LoadShardedCheckpoint(*linear, folder), IsOk());
  }
  ASSERT_TRUE(made_in_inference_mode->weight.is_inference());
  EXPECT_THAT(LoadShardedCheckpoint(*made_in_inference_mode, folder), IsOk());
  EXPECT_TRUE(at::equal(made_in_inference_mode->weight, at::full({3, 2}, 7.0)));

  torch::nn::Linear linear(2, 3);
  {
    const c10::InferenceMode inference;
    EXPECT_THAT(LoadShardedCheckpoint(*linear, folder), IsOk());
  }
  EXPECT_TRUE(at::GradMode::is_enabled());
  linear->forward(at::ones({1, 2})).sum().backward();
  EXPECT_TRUE(at::equal(linear->weight.grad(), at::ones({3, 2})));
}

// As after any write in place: the values that backward needs are gone.
TEST(LoadShardedCheckpointTest, ABackwardFromBeforeNotices) {
  torch::nn::Linear linear(2, 3);
  at::Tensor x = at::ones({1, 2}).set_requires_grad(true);
  at::Tensor loss = linear->forward(x).sum();
  ASSERT_THAT(LoadShardedCheckpoint(*linear, MakeLinearFolder("backward")),
              IsOk());
  EXPECT_THROW(loss.backward(), c10::Error);
}

TEST(LoadShardedCheckpointTest, TiedNamesGetTheValueOfTheLast) {
  const auto tied = [] {
    auto module = std::make_unique<Tree>();
    const at::Tensor shared = at::zeros({2});
    module->Add("first", shared);
    module->Add("last", shared);
    return module;
  };
  // Both in one shard, in either order of their bytes; wider dtypes come first.
  for (const bool last_is_wide : {false, true}) {
    const auto module = tied();
    const at::Tensor ones = at::ones({2}), twos = at::full({2}, 2.0);
    const std::string folder = MakeShardFolder(
        "tied", {{"s.safetensors",
                  {{"first", last_is_wide ? ones : ones.to(at::kDouble)},
                   {"last", last_is_wide ? twos.to(at::kDouble) : twos}}}});
    ASSERT_THAT(LoadShardedCheckpoint(*module, folder), IsOk());
    EXPECT_TRUE(at::equal(module->parameters()[0], twos)) << last_is_wide;
  }
  // In two shards that of the second, whatever its name.
  const auto module = tied();
  const std::string folder = MakeShardFolder(
      "tied-apart", {{"s-1.safetensors", {{"last", at::ones({2})}}},
                     {"s-2.safetensors", {{"first", at::zeros({2})}}}});
  ASSERT_THAT(LoadShardedCheckpoint(*module, folder), IsOk());
  EXPECT_TRUE(at::equal(module->parameters()[0], at::zeros({2})));
  // As safetensors leave it: one of the names is enough to have the value.
  const auto half = LoadShardedCheckpoint(
      *module,
      MakeShardFolder("tied-half",
                      {{"s.safetensors", {{"first", at::ones({2})}}}}),
      {.strict = false});
  ASSERT_THAT(half, IsOk());
  EXPECT_THAT(half->missing_keys, ElementsAre("last"));
  EXPECT_TRUE(at::equal(module->parameters()[1], at::ones({2})));
}

TEST(LoadShardedCheckpointTest, BuffersThatAreNotPersistentAreNotAskedFor) {
  const ModuleNode node = {
      .class_name = "Scale",
      .parameters = {{.name = "weight", .shape = {3, 2}}},
      .buffers = {{.name = "ids", .shape = {3}, .persistent = false},
                  {.name = "bias", .shape = {3}}}};
  Container module(node, {.device = at::kCPU});
  module.named_buffers()["ids"].fill_(4);
  ASSERT_THAT(LoadShardedCheckpoint(module, MakeLinearFolder("persistent")),
              IsOk());
  EXPECT_TRUE(at::equal(module.buffer("bias"), at::full({3}, 8.0)));
  EXPECT_TRUE(at::equal(module.buffer("ids"), at::full({3}, 4.0)));
  // Nor is one loaded that an old checkpoint has.
  const auto keys = LoadShardedCheckpoint(
      module,
      MakeShardFolder("old",
                      {{"s.safetensors", {{"ids", at::full({3}, 1.0)}}}}),
      {.strict = false});
  ASSERT_THAT(keys, IsOk());
  EXPECT_THAT(keys->missing_keys, ElementsAre("weight", "bias"));
  EXPECT_THAT(keys->unexpected_keys, ElementsAre("ids"));
  EXPECT_TRUE(at::equal(module.buffer("ids"), at::full({3}, 4.0)));
}

TEST(LoadShardedCheckpointTest, TakesThePreferredIndex) {
  const std::string folder = MakeLinearFolder("both-indexes");
  MakeShardFolder("both-indexes",
                  {{"p-1.bin", {{"weight", at::full({3, 2}, 1.0)}}},
                   {"p-2.bin", {{"bias", at::full({3}, 2.0)}}}},
                  "", {}, kTorchIndex);
  torch::nn::Linear linear(2, 3);
  const auto bias_after = [&](bool prefer_safe) {
    EXPECT_THAT(
        LoadShardedCheckpoint(*linear, folder, {.prefer_safe = prefer_safe}),
        IsOk());
    return linear->bias[0].item().toDouble();
  };
  EXPECT_EQ(bias_after(true), 8);
  EXPECT_EQ(bias_after(false), 2);
  std::filesystem::remove(folder + "/" + kSafeIndex);
  EXPECT_EQ(bias_after(true), 2) << "there is no other";
}

// A save and a load at the same time: index and values are of one save.
TEST(LoadShardedCheckpointTest, WhileOthersSaveItLoadsOneSaveWhole) {
  const std::string folder = MakeTestFolder("saved-into") + "/model";
  // The odd ones have another module's names.
  const auto save = [&](int number) {
    std::vector<NamedTensor> tensors;
    for (int i = 0; i < 6; ++i) {
      tensors.emplace_back(absl::StrCat(number % 2 == 0 ? "even" : "odd", i),
                           at::full({16}, number));
    }
    std::vector<TensorToWrite> to_write;
    for (const NamedTensor& tensor : tensors) {
      to_write.push_back(ToWrite(tensor));
    }
    return SaveCheckpoint(folder, to_write, {.max_shard_bytes = 130}).status();
  };
  ASSERT_THAT(save(0), IsOk());
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 1; i < 30 && !testing::Test::HasFailure(); ++i) {
      EXPECT_THAT(save(i), IsOk());
    }
    done = true;
  });
  Tree even;
  for (int i = 0; i < 6; ++i) {
    even.Add(absl::StrCat("even", i), at::zeros({16}, at::kLong), true);
  }
  int loaded = 0;
  while ((!done || loaded == 0) && !testing::Test::HasFailure()) {
    const auto keys = LoadShardedCheckpoint(even, folder, {.strict = false});
    EXPECT_THAT(keys, IsOk());
    if (!keys.ok()) break;
    EXPECT_EQ(keys->missing_keys.size(), keys->unexpected_keys.size());
    if (!keys->missing_keys.empty()) {
      EXPECT_EQ(keys->missing_keys.size(), 6);
      if (done) break;
      continue;
    }
    ++loaded;
    const std::vector<at::Tensor> values = even.buffers();
    for (const at::Tensor& value : values) {
      EXPECT_TRUE(at::all(value == values[0][0]).item().toBool());
    }
  }
  writer.join();
}

}  // namespace
}  // namespace pretrained
