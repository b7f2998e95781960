#include "modeling/opt/opt_layout.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layout_testutil.h"
#include "modeling/model_layout.h"
#include "modeling/opt/opt_config.h"
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

TEST(OPTLayoutTest, IsThePeers) {
  const std::vector<LayoutCase> cases =
      LayoutCases("testdata/models/OPTForCausalLM", "testdata/opt");
  ASSERT_GE(cases.size(), 5u);
  for (const LayoutCase& golden : cases) ExpectLayoutOfPeer(golden);
}

TEST(OPTLayoutTest, TheConfigSaysHowManyLabelsThereAre) {
  PretrainedConfig config(OPTConfigClass());
  config.Set("num_hidden_layers", 0);
  config.Set("num_labels", 5);
  absl::StatusOr<ModelLayout> scores =
      OPTForSequenceClassificationLayoutClass().build(config, Json::object());
  ASSERT_THAT(scores, IsOk());
  EXPECT_THAT(scores->tree.root.child("score").parameters[0].shape,
              ElementsAre(5, 768));
  absl::StatusOr<ModelLayout> spans =
      OPTForQuestionAnsweringLayoutClass().build(config, Json::object());
  ASSERT_THAT(spans, IsOk());
  EXPECT_THAT(spans->tree.root.child("qa_outputs").parameters[0].shape,
              ElementsAre(2, 768));
}

TEST(OPTLayoutTest, AConfigThatMakesNoModelMakesNoLayout) {
  PretrainedConfig config(OPTConfigClass());
  config.Set("ffn_dim", 0);
  for (const LayoutClass* layout_class :
       {&OPTModelLayoutClass(), &OPTForCausalLMLayoutClass(),
        &OPTForSequenceClassificationLayoutClass(),
        &OPTForQuestionAnsweringLayoutClass()}) {
    EXPECT_THAT(layout_class->build(config, Json::object()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("'ffn_dim' is 0")));
  }
}

TEST(OPTLayoutTest, LinkingItRegistersItAndNothingElse) {
  EXPECT_THAT(KnownLayouts(),
              ElementsAre("OPTForCausalLM", "OPTForQuestionAnswering",
                          "OPTForSequenceClassification", "OPTModel"));
  EXPECT_THAT(FindLayout("OPTModel"), IsOkAndHolds(&OPTModelLayoutClass()));
  EXPECT_THAT(FindConfigClass("opt"), IsOkAndHolds(&OPTConfigClass()));
}

}  // namespace
}  // namespace pretrained
