// What LoadShardedCheckpoint() refuses: with a Status that says which file and
// which tensor, and a module that is as it was.

#include <filesystem>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/load_sharded_checkpoint.h"
#include "modeling/shards_testutil.h"
#include "torch/nn/modules/container/sequential.h"
#include "torch/nn/modules/linear.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(LoadShardedCheckpointErrorsTest, StrictRefusesBeforeAnyShardIsOpened) {
  const std::string folder =
      MakeShardFolder("strict", {WeightShard(), BiasShard()}, "",
                      {{"ghost", "s-9.safetensors"}});
  WriteTestFile("strict/s-1.safetensors", "not a shard");
  torch::nn::Linear linear(torch::nn::LinearOptions(2, 3).bias(false));
  EXPECT_THAT(LoadShardedCheckpoint(*linear, folder),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(absl::StrCat(folder, "/", kSafeIndex)),
                             HasSubstr("LinearImpl"), HasSubstr("strict"),
                             HasSubstr("not have: 'bias', 'ghost'"),
                             Not(HasSubstr("missing")))));
  // Without, the shards are asked for: one is not there.
  EXPECT_THAT(
      LoadShardedCheckpoint(*linear, folder, {.strict = false}),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("'s-9.safetensors'")));
}

TEST(LoadShardedCheckpointErrorsTest, StrictRefusesAnIndexThatPromisesTooMuch) {
  const std::string folder = MakeShardFolder("promises", {WeightShard()}, "",
                                             {{"bias", "s-1.safetensors"}});
  torch::nn::Linear linear(2, 3);
  const at::Tensor before = linear->weight.detach().clone();
  EXPECT_THAT(LoadShardedCheckpoint(*linear, folder),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr(absl::StrCat(folder, "/", kSafeIndex)),
                             HasSubstr("1 tensors that no shard holds: "
                                       "'bias'"))));
  EXPECT_TRUE(at::equal(linear->weight, before));
  const auto keys = LoadShardedCheckpoint(*linear, folder, {.strict = false});
  ASSERT_THAT(keys, IsOk());
  EXPECT_THAT(keys->missing_keys, IsEmpty()) << "these go by the index";
  EXPECT_TRUE(at::equal(linear->weight, at::full({3, 2}, 7.0)));
}

TEST(LoadShardedCheckpointErrorsTest, OtherShapesAreListedAndNothingIsLoaded) {
  const std::string folder = MakeShardFolder(
      "shapes",
      {{"s-1.safetensors",
        {{"0.weight", at::ones({3, 2})}, {"0.bias", at::ones({4})}}},
       {"s-2.safetensors",
        {{"1.weight", at::ones({2, 3})}, {"1.bias", at::ones({3})}}}});
  for (const bool strict : {true, false}) {
    torch::nn::Sequential module(torch::nn::Linear(2, 3),
                                 torch::nn::Linear(2, 3));
    for (at::Tensor parameter : module->parameters()) {
      at::NoGradGuard no_grad;
      parameter.fill_(5);
    }
    EXPECT_THAT(
        LoadShardedCheckpoint(*module, folder, {.strict = strict}),
        StatusIs(
            absl::StatusCode::kInvalidArgument,
            AllOf(HasSubstr(absl::StrCat(folder, "/", kSafeIndex,
                                         ": 2 tensors have another shape")),
                  HasSubstr(absl::StrCat("tensor '0.bias': [4] in ", folder,
                                         "/s-1.safetensors, [3] in the "
                                         "module")),
                  HasSubstr(absl::StrCat("tensor '1.weight': [2,3] in ", folder,
                                         "/s-2.safetensors, [3,2] in the "
                                         "module")))));
    for (const at::Tensor& parameter : module->parameters()) {
      EXPECT_TRUE(at::all(parameter == 5).item().toBool());
    }
  }
}

TEST(LoadShardedCheckpointErrorsTest,
     RefusesAModuleOnMetaBeforeReadingAnything) {
  Tree module;
  module.Add("weight", at::zeros({3, 2}));
  module.Add("bias", at::zeros({3}, at::kMeta));
  for (const std::string& folder :
       {MakeLinearFolder("meta"), std::string("no/such/folder")}) {
    EXPECT_THAT(LoadShardedCheckpoint(module, folder),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr("1 of its 2 tensors, such as 'bias'"),
                               HasSubstr("meta device"),
                               HasSubstr("build the module on the CPU"))));
  }
  EXPECT_TRUE(
      at::equal(module.named_parameters()["weight"], at::zeros({3, 2})));
}

struct Damage {
  const char* what;
  void (*damage)(const std::string& folder);
  absl::StatusCode code;
  const char* message;
};

TEST(LoadShardedCheckpointErrorsTest, SaysWhichFileIsMissingOrDamaged) {
  const Damage cases[] = {
      {"no folder",
       [](const std::string& folder) { std::filesystem::remove_all(folder); },
       absl::StatusCode::kNotFound, "damaged: there is no such folder"},
      {"no index",
       [](const std::string& folder) {
         std::filesystem::rename(folder + "/" + kSafeIndex,
                                 folder + "/model.safetensors");
       },
       absl::StatusCode::kNotFound,
       "no index of shards: looked for model.safetensors.index.json or "
       "pytorch_model.bin.index.json"},
      {"a missing shard",
       [](const std::string& folder) {
         std::filesystem::remove(folder + "/s-2.safetensors");
       },
       absl::StatusCode::kNotFound,
       "model.safetensors.index.json: shard 's-2.safetensors' is not beside "
       "it"},
      {"an index that is none",
       [](const std::string&) {
         WriteTestFile("damaged/model.safetensors.index.json", "{");
       },
       absl::StatusCode::kDataLoss, "model.safetensors.index.json"},
      {"a shard that is cut short",
       [](const std::string& folder) {
         std::filesystem::resize_file(folder + "/s-2.safetensors", 30);
       },
       absl::StatusCode::kDataLoss, "s-2.safetensors"},
      {"a shard with less data than its header says",
       [](const std::string& folder) {
         const std::string path = folder + "/s-2.safetensors";
         std::filesystem::resize_file(path,
                                      std::filesystem::file_size(path) - 1);
       },
       absl::StatusCode::kDataLoss, "s-2.safetensors"},
      {"a tensor in two shards",
       [](const std::string& folder) {
         WriteTestFile("damaged/s-2.safetensors",
                       ReadTestFile(folder + "/s-1.safetensors"));
       },
       absl::StatusCode::kDataLoss, "s-2.safetensors: tensor 'weight'"},
  };
  for (const Damage& test : cases) {
    SCOPED_TRACE(test.what);
    const std::string folder = MakeLinearFolder("damaged");
    test.damage(folder);
    torch::nn::Linear linear(2, 3);
    const at::Tensor weight = linear->weight.detach().clone();
    for (const bool strict : {true, false}) {
      EXPECT_THAT(LoadShardedCheckpoint(*linear, folder, {.strict = strict}),
                  StatusIs(test.code, HasSubstr(test.message)));
    }
    EXPECT_TRUE(at::equal(linear->weight, weight));
  }
  const std::string file = WriteTestFile("just-a-file", "");
  torch::nn::Linear linear(2, 3);
  EXPECT_THAT(LoadShardedCheckpoint(*linear, file),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("just-a-file: is not a folder")));
}

TEST(LoadShardedCheckpointErrorsTest, NamesThatWouldGarbleATerminalAreEscaped) {
  const std::string folder = MakeShardFolder(
      "garbled", {WeightShard()}, "",
      {{"\x1b[2J", "s-1.safetensors"}, {"bias", "s-1.safetensors"}});
  torch::nn::Linear linear(2, 3);
  EXPECT_THAT(
      LoadShardedCheckpoint(*linear, folder),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr(R"('\x1b[2J')"), Not(HasSubstr("\x1b")))));
}

}  // namespace
}  // namespace pretrained
