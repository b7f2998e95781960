#include "device_map/memory_estimator.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "device_map/golden_testutil.h"
#include "device_map/module_tree.h"
#include "device_map/module_tree_json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::StatusIs;
using ::testing::ElementsAre;

TEST(MemoryEstimatorTest, TotalsAreAccelerates) {
  for (const std::string& name : GoldenTreeNames()) {
    SCOPED_TRACE(name);
    const auto golden = GoldenJson("trees/" + name + ".json");
    const absl::StatusOr<std::vector<DtypeEstimate>> estimates =
        EstimateMemory(GoldenTree(name), {}, {"float32", "float16", "int8"});
    ASSERT_TRUE(estimates.ok()) << estimates.status();
    for (const DtypeEstimate& estimate : *estimates) {
      EXPECT_EQ(
          estimate.total,
          golden["compute_module_sizes"][estimate.dtype][""].get<double>());
    }
  }
}

// A block of 16 numbers and a buffer of 2, and a head of 8.
TEST(MemoryEstimatorTest, TrainingCountsGradientsAndMomentsOfParameters) {
  const ModuleTree tree = *ParseModuleTree(
      R"({"children": {
            "block": {"class": "Block", "buffers": {"b": {"shape": [2]}},
                      "children": {"w": {"parameters": {"w": {"shape": [16]}}}}},
            "head": {"parameters": {"w": {"shape": [8]}}}}})");
  const auto estimates = EstimateMemory(tree, {"Block"});
  ASSERT_TRUE(estimates.ok()) << estimates.status();
  std::vector<std::string> dtypes;
  std::vector<double> totals;
  for (const DtypeEstimate& estimate : *estimates) {
    dtypes.push_back(estimate.dtype);
    totals.push_back(estimate.total);
  }
  EXPECT_THAT(dtypes, ElementsAre("float32", "float16", "bfloat16", "float8",
                                  "int8", "int4"));
  EXPECT_THAT(totals, ElementsAre(104, 52, 52, 26, 26, 13));
  const DtypeEstimate& full = estimates->front();
  EXPECT_EQ(full.largest_layer, 72);
  EXPECT_THAT(full.largest_layers, ElementsAre("block"));
  EXPECT_EQ(full.gradients, 96);
  EXPECT_EQ(full.optimizer_states, 192);
  EXPECT_EQ(full.training(), 392);
}

TEST(MemoryEstimatorTest, RefusesDtypesThatHaveNoSize) {
  EXPECT_THAT(EstimateMemory({}, {}, {"float33"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// LLaMA-70B: 80 layers, 8 heads of keys of 128, so 320 KiB a token in half
// precision, as published.
TEST(MemoryEstimatorTest, KeyValueCacheIsExact) {
  const TransformerShape llama = {.layers = 80,
                                  .hidden_size = 8192,
                                  .heads = 64,
                                  .key_value_heads = 8,
                                  .head_size = 128,
                                  .intermediate_size = 28672,
                                  .feed_forward_inputs = 2,
                                  .vocab_size = 32000,
                                  .has_cache = true};
  EXPECT_EQ(EstimateActivations(llama, 1, 1, 16).key_value_cache, 327680);
  EXPECT_EQ(EstimateActivations(llama, 3, 1000, 16).key_value_cache,
            327680.0 * 3000);
  // Beside an encoder: its keys too.
  TransformerShape t5 = llama;
  t5.layers = 2;
  t5.decoder_layers = 5;
  EXPECT_EQ(EstimateActivations(t5, 1, 1, 16).key_value_cache,
            2 * 5 * 2 * 8 * 128 * 2);
  t5.has_cache = false;
  EXPECT_EQ(EstimateActivations(t5, 1, 1, 16).key_value_cache, 0);
}

TEST(MemoryEstimatorTest, ActivationsGrowWithWhatTheyAreOf) {
  TransformerShape shape = {.layers = 4,
                            .hidden_size = 64,
                            .heads = 4,
                            .key_value_heads = 4,
                            .head_size = 16,
                            .intermediate_size = 256};
  const ActivationEstimate one = EstimateActivations(shape, 1, 32, 32);
  const ActivationEstimate two = EstimateActivations(shape, 2, 32, 32);
  EXPECT_EQ(two.forward, 2 * one.forward);
  EXPECT_EQ(two.training, 2 * one.training);
  EXPECT_EQ(EstimateActivations(shape, 1, 32, 16).forward, one.forward / 2);
  // The feed-forward network is the peak: 3 x 64 + 2 x 256 numbers a token.
  EXPECT_EQ(one.forward, 32 * (3 * 64 + 2 * 256) * 4);
  // Layers follow one another: they add up in training alone.
  shape.layers = 8;
  const ActivationEstimate deep = EstimateActivations(shape, 1, 32, 32);
  EXPECT_EQ(deep.forward, one.forward);
  EXPECT_GT(deep.training, 1.9 * one.training);
  // Scores of long sequences outgrow all else, by the square.
  const double ratio = EstimateActivations(shape, 1, 8192, 32).forward /
                       EstimateActivations(shape, 1, 4096, 32).forward;
  EXPECT_GT(ratio, 3.8);
}

}  // namespace
}  // namespace pretrained
