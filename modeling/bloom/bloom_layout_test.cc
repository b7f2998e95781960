#include "modeling/bloom/bloom_layout.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bloom/bloom_config.h"
#include "modeling/layout_testutil.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

TEST(BloomLayoutTest, IsThePeers) {
  const std::vector<LayoutCase> cases =
      LayoutCases("testdata/models/BloomForCausalLM", "testdata/bloom");
  ASSERT_GE(cases.size(), 5u);
  for (const LayoutCase& golden : cases) ExpectLayoutOfPeer(golden);
}

TEST(BloomLayoutTest, TheConfigSaysHowManyLabelsThereAre) {
  PretrainedConfig config(BloomConfigClass());
  config.Set("n_layer", 0);
  config.Set("num_labels", 5);
  absl::StatusOr<ModelLayout> scores =
      BloomForSequenceClassificationLayoutClass().build(config, Json::object());
  ASSERT_THAT(scores, IsOk());
  EXPECT_THAT(scores->tree.root.child("score").parameters[0].shape,
              ElementsAre(5, 64));
  absl::StatusOr<ModelLayout> spans =
      BloomForQuestionAnsweringLayoutClass().build(config, Json::object());
  ASSERT_THAT(spans, IsOk());
  EXPECT_THAT(spans->tree.root.child("qa_outputs").parameters[0].shape,
              ElementsAre(2, 64));
}

TEST(BloomLayoutTest, AConfigThatMakesNoModelMakesNoLayout) {
  PretrainedConfig config(BloomConfigClass());
  config.Set("n_head", 0);
  for (const LayoutClass* layout_class :
       {&BloomModelLayoutClass(), &BloomForCausalLMLayoutClass(),
        &BloomForSequenceClassificationLayoutClass(),
        &BloomForTokenClassificationLayoutClass(),
        &BloomForQuestionAnsweringLayoutClass()}) {
    EXPECT_THAT(layout_class->build(config, Json::object()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("'n_head' is 0")));
  }
}

TEST(BloomLayoutTest, LinkingItRegistersItAndNothingElse) {
  EXPECT_THAT(KnownLayouts(),
              ElementsAre("BloomForCausalLM", "BloomForQuestionAnswering",
                          "BloomForSequenceClassification",
                          "BloomForTokenClassification", "BloomModel"));
  EXPECT_THAT(FindLayout("BloomModel"), IsOkAndHolds(&BloomModelLayoutClass()));
  EXPECT_THAT(FindConfigClass("bloom"), IsOkAndHolds(&BloomConfigClass()));
}

}  // namespace
}  // namespace pretrained
