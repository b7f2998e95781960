#include "modeling/gpt_neox/gpt_neox_layout.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/gpt_neox/gpt_neox_config.h"
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

TEST(GPTNeoXLayoutTest, IsThePeers) {
  const std::vector<LayoutCase> cases =
      LayoutCases("testdata/models/GPTNeoXForCausalLM", "testdata/gpt_neox");
  ASSERT_GE(cases.size(), 5u);
  for (const LayoutCase& golden : cases) ExpectLayoutOfPeer(golden);
}

TEST(GPTNeoXLayoutTest, TheConfigSaysHowManyLabelsThereAre) {
  PretrainedConfig config(GPTNeoXConfigClass());
  config.Set("num_hidden_layers", 0);
  config.Set("num_labels", 5);
  absl::StatusOr<ModelLayout> scores =
      GPTNeoXForSequenceClassificationLayoutClass().build(config,
                                                          Json::object());
  ASSERT_THAT(scores, IsOk());
  EXPECT_THAT(scores->tree.root.child("score").parameters[0].shape,
              ElementsAre(5, 6144));
  absl::StatusOr<ModelLayout> spans =
      GPTNeoXForQuestionAnsweringLayoutClass().build(config, Json::object());
  ASSERT_THAT(spans, IsOk());
  EXPECT_THAT(spans->tree.root.child("qa_outputs").parameters[0].shape,
              ElementsAre(2, 6144));
}

TEST(GPTNeoXLayoutTest, AConfigThatMakesNoModelMakesNoLayout) {
  PretrainedConfig config(GPTNeoXConfigClass());
  config.Set("rotary_pct", 2.0);
  for (const LayoutClass* layout_class :
       {&GPTNeoXModelLayoutClass(), &GPTNeoXForCausalLMLayoutClass(),
        &GPTNeoXForSequenceClassificationLayoutClass(),
        &GPTNeoXForTokenClassificationLayoutClass(),
        &GPTNeoXForQuestionAnsweringLayoutClass()}) {
    EXPECT_THAT(layout_class->build(config, Json::object()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("'rotary_pct' is 2")));
  }
}

TEST(GPTNeoXLayoutTest, LinkingItRegistersItAndNothingElse) {
  EXPECT_THAT(KnownLayouts(),
              ElementsAre("GPTNeoXForCausalLM", "GPTNeoXForQuestionAnswering",
                          "GPTNeoXForSequenceClassification",
                          "GPTNeoXForTokenClassification", "GPTNeoXModel"));
  EXPECT_THAT(FindLayout("GPTNeoXModel"),
              IsOkAndHolds(&GPTNeoXModelLayoutClass()));
  EXPECT_THAT(FindConfigClass("gpt_neox"), IsOkAndHolds(&GPTNeoXConfigClass()));
}

}  // namespace
}  // namespace pretrained
