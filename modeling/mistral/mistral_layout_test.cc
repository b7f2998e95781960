#include "modeling/mistral/mistral_layout.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layout_testutil.h"
#include "modeling/mistral/mistral_config.h"
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

TEST(MistralLayoutTest, IsThePeers) {
  const std::vector<LayoutCase> cases =
      LayoutCases("testdata/models/MistralForCausalLM", "testdata/mistral");
  ASSERT_EQ(cases.size(), 5u);
  for (const LayoutCase& golden : cases) ExpectLayoutOfPeer(golden);
}

TEST(MistralLayoutTest, TheConfigSaysHowManyLabelsThereAre) {
  PretrainedConfig config(MistralConfigClass());
  config.Set("num_hidden_layers", 0);
  config.Set("num_labels", 5);
  absl::StatusOr<ModelLayout> layout =
      MistralForSequenceClassificationLayoutClass().build(config,
                                                          Json::object());
  ASSERT_THAT(layout, IsOk());
  EXPECT_THAT(layout->tree.root.child("score").parameters[0].shape,
              ElementsAre(5, 4096));
}

TEST(MistralLayoutTest, AConfigThatMakesNoModelMakesNoLayout) {
  PretrainedConfig config(MistralConfigClass());
  config.Set("sliding_window", -2);
  for (const LayoutClass* layout_class :
       {&MistralModelLayoutClass(), &MistralForCausalLMLayoutClass(),
        &MistralForSequenceClassificationLayoutClass()}) {
    EXPECT_THAT(layout_class->build(config, Json::object()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("'sliding_window' is -2")));
  }
}

TEST(MistralLayoutTest, LinkingItRegistersItAndNothingElse) {
  EXPECT_THAT(KnownLayouts(),
              ElementsAre("MistralForCausalLM",
                          "MistralForSequenceClassification", "MistralModel"));
  EXPECT_THAT(FindLayout("MistralModel"),
              IsOkAndHolds(&MistralModelLayoutClass()));
  EXPECT_THAT(FindConfigClass("mistral"), IsOkAndHolds(&MistralConfigClass()));
}

}  // namespace
}  // namespace pretrained
