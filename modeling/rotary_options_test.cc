#include "modeling/rotary_options.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Scaling = RotaryOptions::Scaling;

absl::Status Read(const std::string& rope_scaling, RotaryOptions& options) {
  absl::StatusOr<PretrainedConfig> config = PretrainedConfig::FromJsonString(
      absl::StrCat(R"({"rope_scaling": )", rope_scaling, "}"), "config.json");
  if (!config.ok()) return config.status();
  return ReadRopeScaling(*config, options);
}

TEST(RotaryOptionsTest, ReadsEitherKindAndNone) {
  RotaryOptions options;
  ASSERT_THAT(Read(R"({"type": "linear", "factor": 2.5})", options), IsOk());
  EXPECT_EQ(options.scaling, Scaling::kLinear);
  EXPECT_EQ(options.factor, 2.5);
  ASSERT_THAT(Read(R"({"factor": 8.0, "type": "dynamic"})", options), IsOk());
  EXPECT_EQ(options.scaling, Scaling::kDynamic);
  EXPECT_EQ(options.factor, 8.0);
  ASSERT_THAT(Read("null", options), IsOk());
  EXPECT_EQ(options.scaling, Scaling::kNone);
  EXPECT_EQ(options.factor, 1.0);
}

TEST(RotaryOptionsTest, RefusesEverythingElseAndSaysWhatItRead) {
  for (const char* bad :
       {"[]", "{}", "3.0", "\"linear\"", R"({"type":"linear"})",
        R"({"type":"linear","factor":2})", R"({"type":"linear","factor":1.0})",
        R"({"type":"linear","factor":"2.0"})",
        R"({"kind":"linear","factor":2.0})", R"({"type":"yarn","factor":2.0})",
        R"({"type":null,"factor":2.0})",
        R"({"type":"linear","factor":2.0,"x":1})"}) {
    RotaryOptions options;
    EXPECT_THAT(Read(bad, options),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("config.json: 'rope_scaling' is"),
                               HasSubstr(R"("factor": a float above 1)"))))
        << bad;
  }
}

TEST(RotaryOptionsTest, TheNodeHoldsBuffersThatAreNotStored) {
  RotaryOptions options{.dim = 6, .max_positions = 20};
  const ModuleNode node = RotaryNode("rotary_emb", "Llama", options);
  EXPECT_EQ(node.name, "rotary_emb");
  EXPECT_EQ(node.class_name, "LlamaRotaryEmbedding");
  ASSERT_EQ(node.buffers.size(), 3u);
  EXPECT_THAT(node.buffers[0].shape, ElementsAre(3));
  EXPECT_THAT(node.buffers[1].shape, ElementsAre(1, 1, 20, 6));
  EXPECT_THAT(node.buffers[2].shape, ElementsAre(1, 1, 20, 6));
  for (const TensorSpec& buffer : node.buffers) {
    EXPECT_FALSE(buffer.persistent) << buffer.name;
  }
  options.scaling = Scaling::kLinear;
  EXPECT_EQ(RotaryNode("r", "Llama", options).class_name,
            "LlamaLinearScalingRotaryEmbedding");
  options.scaling = Scaling::kDynamic;
  EXPECT_EQ(RotaryNode("r", "Llama", options).class_name,
            "LlamaDynamicNTKScalingRotaryEmbedding");
}

}  // namespace
}  // namespace pretrained
