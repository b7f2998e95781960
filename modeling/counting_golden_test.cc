// Counts of models drawn at random, of every family, against the peer's.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/flops.h"
#include "modeling/from_pretrained.h"
#include "modeling/json_testutil.h"
#include "modeling/model_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/parameter_counts.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/tensor_bridge.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using Json = nlohmann::ordered_json;

// The stored cases; or those of the folder that $COUNTING_CASES names, which
// testdata/counting/random_counts.py makes.
Json Cases() {
  const char* const folder = std::getenv("COUNTING_CASES");
  return ReadJsonFile(absl::StrCat(
      folder == nullptr ? "testdata/counting" : folder, "/cases.json"));
}

CountOptions OptionsOf(const std::string& key) {
  return {
      .only_trainable = absl::StrContains(key, "only_trainable=True"),
      .exclude_embeddings = absl::StrContains(key, "exclude_embeddings=True")};
}

// The layout of the case's config, which says as much without a model.
absl::StatusOr<ModelLayout> LayoutOf(const Json& golden,
                                     const ModelClass& model_class,
                                     PretrainedConfig& config) {
  absl::StatusOr<PretrainedConfig> read =
      PretrainedConfig::FromJsonString(golden["config"].dump(), "config.json",
                                       *model_class.layout->config_class);
  if (!read.ok()) return read.status();
  config = *std::move(read);
  return model_class.layout->build(config, Json::object());
}

// The case's model, on the meta device.
std::shared_ptr<PretrainedModel> ModelOf(const Json& golden,
                                         const ModelClass& model_class,
                                         const PretrainedConfig& config,
                                         const ModelLayout& layout) {
  std::shared_ptr<PretrainedModel> model =
      model_class.create(config, layout, ModuleOptions());
  model->PostInit();
  const std::string dtype = golden["dtype"];
  EXPECT_THAT(model->To({.dtype = ToScalarType(**ParseTorchDtype(dtype))}),
              IsOk());
  const auto names = golden["frozen"].get<std::set<std::string>>();
  for (Module::NamedSlot& slot : model->TensorSlots()) {
    if (names.contains(slot.name)) slot.tensor.set_requires_grad(false);
  }
  return model;
}

void ExpectCounts(PretrainedModel& model, const Json& golden) {
  for (const auto& [key, count] : golden["num_parameters"].items()) {
    EXPECT_EQ(model.num_parameters(OptionsOf(key)), count.get<int64_t>())
        << key;
  }
  for (const auto& [key, bytes] : golden["memory_footprint"].items()) {
    EXPECT_EQ(model.get_memory_footprint(absl::EndsWith(key, "True")),
              bytes.get<int64_t>())
        << key;
  }
  NamedTensors inputs;
  for (const auto& [name, shape] : golden["inputs"].items()) {
    inputs[name] = at::empty(shape.get<std::vector<int64_t>>(),
                             at::TensorOptions().device(at::kMeta));
  }
  EXPECT_EQ(model.estimate_tokens(inputs),
            golden["estimate_tokens"].get<int64_t>());
  for (const auto& [key, operations] : golden["floating_point_ops"].items()) {
    EXPECT_EQ(model.floating_point_ops(inputs, absl::EndsWith(key, "True")),
              operations.get<int64_t>())
        << key;
  }
}

TEST(CountingGoldenTest, CountsWhatThePeerCounts) {
  const Json cases = Cases();
  ASSERT_GE(cases.size(), 40u);
  int layouts = 0;
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden.dump());
    absl::StatusOr<const ModelClass*> model_class =
        FindModel(golden["class"].get<std::string>());
    ASSERT_THAT(model_class, IsOk());
    PretrainedConfig config;
    const absl::StatusOr<ModelLayout> layout =
        LayoutOf(golden, **model_class, config);
    ASSERT_THAT(layout, IsOk());
    ExpectCounts(*ModelOf(golden, **model_class, config, *layout), golden);
    // Layouts know of nothing that was done to a model afterwards.
    if (!golden["frozen"].empty() || golden["dtype"] != "float32") continue;
    ++layouts;
    const std::vector<CountedTensor> tensors = CountedTensorsOf(layout->tree);
    for (const auto& [key, count] : golden["num_parameters"].items()) {
      EXPECT_EQ(CountParameters(tensors, OptionsOf(key)), count.get<int64_t>())
          << key;
    }
    for (const auto& [key, bytes] : golden["memory_footprint"].items()) {
      EXPECT_EQ(MemoryFootprintBytes(tensors, absl::EndsWith(key, "True")),
                bytes.get<int64_t>())
          << key;
    }
    for (const auto& [key, count] : golden["floating_point_ops"].items()) {
      EXPECT_EQ(
          FloatingPointOps(tensors, golden["estimate_tokens"].get<int64_t>(),
                           absl::EndsWith(key, "True")),
          count.get<int64_t>())
          << key;
    }
  }
  EXPECT_GE(layouts, 5);
}

}  // namespace
}  // namespace pretrained
