#include "modeling/weight_loader.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/save/save_checkpoint.h"
#include "checkpoint/tensor_to_write.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_layout.h"
#include "modeling/bert/bert_model.h"
#include "modeling/key_matching.h"
#include "modeling/layers.h"
#include "modeling/layout_nodes.h"
#include "modeling/loading_info.h"
#include "modeling/module.h"
#include "modeling/tensor_file.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using ::testing::HasSubstr;

// A checkpoint of a float32 matrix "w", a float16 vector "b", and "other".
std::unique_ptr<Checkpoint> StoredLinear(const std::string& name) {
  const std::string path = MakeTestFolder(name) + "/model.safetensors";
  EXPECT_THAT(WriteTensorFile(
                  path, {{"w", at::arange(6).to(at::kFloat).reshape({2, 3})},
                         {"b", at::tensor({0.5, -1.5}).to(at::kHalf)},
                         {"other", at::ones({100})}}),
              IsOk());
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = OpenCheckpoint(path);
  EXPECT_THAT(checkpoint, IsOk());
  return *std::move(checkpoint);
}

KeyMatches LinearMatches() {
  return {.matched = {{.model_name = "weight", .stored_name = "w"},
                      {.model_name = "bias", .stored_name = "b"}}};
}

std::shared_ptr<Linear> LinearOnMeta(at::ScalarType dtype = at::kFloat) {
  return std::make_shared<Linear>(LinearNode("x", 3, 2),
                                  ModuleOptions{.dtype = dtype});
}

TEST(LoadMatchedWeightsTest, PutsStoredTensorsWhereTheyBelong) {
  const std::unique_ptr<Checkpoint> checkpoint = StoredLinear("belong");
  const auto linear = LinearOnMeta();
  LoadingInfo info;
  ASSERT_THAT(
      LoadMatchedWeights(*checkpoint, LinearMatches(), {}, *linear, info),
      IsOk());
  EXPECT_TRUE(at::equal(linear->parameter("weight"),
                        at::arange(6).to(at::kFloat).reshape({2, 3})));
  EXPECT_TRUE(at::equal(linear->parameter("bias"),
                        at::tensor({0.5, -1.5}, at::kFloat)));
  EXPECT_TRUE(linear->parameter("weight").requires_grad());
  EXPECT_EQ(info.bytes, 6 * 4 + 2 * 2) << "stored bytes, without the others'";
}

TEST(LoadMatchedWeightsTest, SaysHowTheBytesCame) {
  struct EngineCase {
    at::ScalarType dtype;
    bool use_mmap;
    const char* engine;
    std::vector<MatchedKey> matched;
  };
  const MatchedKey weight = {.model_name = "weight", .stored_name = "w"};
  const MatchedKey bias = {.model_name = "bias", .stored_name = "b"};
  const EngineCase cases[] = {
      {at::kFloat, true, "mapped", {weight}},
      {at::kFloat, true, "buffered+mapped", {weight, bias}},
      {at::kFloat, true, "buffered", {bias}},
      {at::kHalf, true, "mapped", {bias}},
      {at::kFloat, false, "buffered", {weight, bias}},
      {at::kDouble, true, "buffered", {weight, bias}},
  };
  const std::unique_ptr<Checkpoint> checkpoint = StoredLinear("engine");
  for (const EngineCase& test : cases) {
    const auto linear = LinearOnMeta(test.dtype);
    LoadingInfo info;
    ASSERT_THAT(LoadMatchedWeights(*checkpoint, {.matched = test.matched},
                                   {.use_mmap = test.use_mmap}, *linear, info),
                IsOk());
    EXPECT_EQ(info.engine, test.engine);
  }
}

TEST(LoadMatchedWeightsTest, ReportsProgressUpToAllBytes) {
  const std::unique_ptr<Checkpoint> checkpoint = StoredLinear("progress");
  const auto linear = LinearOnMeta();
  LoadingInfo info;
  std::vector<std::pair<int64_t, int64_t>> calls;
  ASSERT_THAT(LoadMatchedWeights(*checkpoint, LinearMatches(),
                                 {.progress =
                                      [&](int64_t done, int64_t total) {
                                        calls.emplace_back(done, total);
                                      }},
                                 *linear, info),
              IsOk());
  ASSERT_FALSE(calls.empty());
  EXPECT_THAT(calls.back(), ::testing::Pair(28, 28));
  for (const auto& [done, total] : calls) EXPECT_EQ(total, 28) << done;
}

TEST(LoadMatchedWeightsTest, IntegerTensorsKeepTheirDtype) {
  const std::string path = MakeTestFolder("ids") + "/model.safetensors";
  ASSERT_THAT(WriteTensorFile(path, {{"ids", at::arange(3)}}), IsOk());
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = OpenCheckpoint(path);
  ASSERT_THAT(checkpoint, IsOk());
  const ModuleNode node{
      .class_name = "Ids",
      .buffers = {{.name = "ids", .shape = {3}, .dtype = Dtype::kInt64}}};
  const auto module =
      std::make_shared<Container>(node, ModuleOptions{.dtype = at::kHalf});
  LoadingInfo info;
  ASSERT_THAT(LoadMatchedWeights(**checkpoint, {.matched = {{"ids", "ids"}}},
                                 {}, *module, info),
              IsOk());
  EXPECT_TRUE(at::equal(module->buffer("ids"), at::arange(3)));
}

// Three vectors in a torch file: two are one tensor, the third overlaps them.
TEST(LoadMatchedWeightsTest, KeepsTheTiesOfTheCheckpointButThoseToUndo) {
  const std::string path = MakeTestFolder("ties") + "/pytorch_model.bin";
  const std::vector<float> numbers = {1, 2, 3};
  std::vector<TensorToWrite> written(3);
  for (int i = 0; i < 3; ++i) {
    written[i].name = absl::StrCat("t", i);
    written[i].shape = {3};
    if (i == 0) {
      written[i].data = numbers.data();
    } else {
      written[i].alias_of = 0;
    }
  }
  ASSERT_THAT(SaveCheckpointFile(path, written, {.format = "torch"}), IsOk());
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = OpenCheckpoint(path);
  ASSERT_THAT(checkpoint, IsOk());
  ModuleNode node{.class_name = "Three"};
  for (const char* name : {"a", "b", "c", "d"}) {
    node.parameters.push_back({.name = name, .shape = {3}});
  }
  const auto module = std::make_shared<Container>(node, ModuleOptions{});
  ASSERT_THAT(module->TieTensors({"c", "d"}), IsOk());
  LoadingInfo info;
  ASSERT_THAT(
      LoadMatchedWeights(**checkpoint,
                         {.matched = {{"a", "t0"}, {"b", "t1"}, {"d", "t2"}}},
                         {.untied_weights = {"b"}}, *module, info),
      IsOk());
  const at::Tensor want = at::tensor({1.0f, 2.0f, 3.0f});
  for (const char* name : {"a", "b", "c", "d"}) {
    EXPECT_TRUE(at::equal(module->parameter(name), want)) << name;
  }
  at::NoGradGuard no_grad;
  module->parameter("a").fill_(7);
  EXPECT_TRUE(module->parameter("a").is_same(module->parameter("d")));
  EXPECT_TRUE(module->parameter("a").is_same(module->parameter("c")));
  EXPECT_TRUE(at::equal(module->parameter("b"), want));
}

TEST(LoadMatchedWeightsTest, OfTiedNamesTheLastOneCounts) {
  const std::string path = MakeTestFolder("last") + "/model.safetensors";
  ASSERT_THAT(
      WriteTensorFile(path, {{"a", at::zeros({3})}, {"b", at::ones({3})}}),
      IsOk());
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = OpenCheckpoint(path);
  ASSERT_THAT(checkpoint, IsOk());
  const ModuleNode node{
      .class_name = "Two",
      .parameters = {{.name = "b", .shape = {3}}, {.name = "a", .shape = {3}}}};
  const auto module = std::make_shared<Container>(node, ModuleOptions{});
  ASSERT_THAT(module->TieTensors({"a", "b"}), IsOk());
  LoadingInfo info;
  ASSERT_THAT(
      LoadMatchedWeights(**checkpoint, {.matched = {{"b", "b"}, {"a", "a"}}},
                         {}, *module, info),
      IsOk());
  EXPECT_TRUE(at::equal(module->parameter("b"), at::zeros({3})));
  EXPECT_TRUE(module->parameter("a").is_same(module->parameter("b")));
  EXPECT_EQ(info.bytes, 12) << "the other one is not read";
}

// BERT on meta: what has no value is drawn as BERT draws it, the rest is left.
TEST(InitializeMissingWeightsTest, DrawsWhatHasNoValueAndNothingElse) {
  PretrainedConfig config(BertConfigClass());
  for (const char* name : {"hidden_size", "intermediate_size"}) {
    config.Set(name, 48);
  }
  config.Set("vocab_size", 100);
  config.Set("num_hidden_layers", 1);
  absl::StatusOr<BertConfig> bert = BertConfig::From(config);
  ASSERT_THAT(bert, IsOk());
  const auto model = std::make_shared<BertModel>(
      config, *bert, BertModelLayout(*bert), ModuleOptions{});
  const KeyMatches matches = {
      .without_value = {"embeddings.word_embeddings.weight",
                        "embeddings.LayerNorm.weight", "pooler.dense.weight",
                        "pooler.dense.bias"}};
  ASSERT_THAT(InitializeMissingWeights(matches, *model), IsOk());
  int drawn = 0;
  for (const Module::NamedSlot& slot : model->TensorSlots()) {
    if (slot.tensor.is_meta()) continue;
    ++drawn;
    EXPECT_TRUE(slot.tensor.requires_grad());
    const at::Tensor tensor = slot.tensor.detach();
    if (slot.name == "pooler.dense.bias") {
      EXPECT_TRUE(at::equal(tensor, at::zeros({48})));
    } else if (slot.name == "embeddings.LayerNorm.weight") {
      EXPECT_TRUE(at::equal(tensor, at::ones({48})));
    } else {
      EXPECT_NEAR(tensor.std().item().toDouble(), 0.02, 0.002) << slot.name;
    }
    if (slot.name == "embeddings.word_embeddings.weight") {
      EXPECT_TRUE(at::equal(tensor.select(0, 0), at::zeros({48})));
    }
  }
  EXPECT_EQ(drawn, 4);
}

}  // namespace
}  // namespace pretrained
