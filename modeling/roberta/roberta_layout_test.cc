#include "modeling/roberta/roberta_layout.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layout_testutil.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"
#include "modeling/roberta/roberta_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using Json = nlohmann::ordered_json;

TEST(RobertaLayoutTest, IsThePeers) {
  const std::vector<LayoutCase> cases =
      LayoutCases("testdata/models/RobertaForMaskedLM", "testdata/roberta");
  ASSERT_EQ(cases.size(), 12u);
  for (const LayoutCase& golden : cases) ExpectLayoutOfPeer(golden);
}

TEST(RobertaLayoutTest, APoolerCanBeLeftOut) {
  const PretrainedConfig config(RobertaConfigClass());
  absl::StatusOr<ModelLayout> layout =
      RobertaModelLayoutClass().build(config, {{"add_pooling_layer", false}});
  ASSERT_THAT(layout, IsOk());
  EXPECT_EQ(layout->tree.root.find_child("pooler"), nullptr);
  EXPECT_THAT(RobertaModelLayoutClass().build(config, {{"pooling", false}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("RobertaModel has no argument pooling")));
}

TEST(RobertaLayoutTest, PrunedHeadsHaveNoRows) {
  PretrainedConfig config(RobertaConfigClass());
  config.Set("num_hidden_layers", 1);
  config.Set("pruned_heads", {{"0", {2, 5}}});
  absl::StatusOr<ModelLayout> layout =
      RobertaForTokenClassificationLayoutClass().build(config, Json::object());
  ASSERT_THAT(layout, IsOk());
  const ModuleNode& attention = layout->tree.root.child("roberta")
                                    .child("encoder")
                                    .child("layer")
                                    .child("0")
                                    .child("attention");
  EXPECT_THAT(attention.child("self").child("key").parameters[0].shape,
              ElementsAre(640, 768));
  EXPECT_THAT(attention.child("output").child("dense").parameters[0].shape,
              ElementsAre(768, 640));
}

TEST(RobertaLayoutTest, AConfigThatMakesNoModelMakesNoLayout) {
  PretrainedConfig config(RobertaConfigClass());
  config.Set("pad_token_id", 512);
  for (const LayoutClass* layout_class :
       {&RobertaModelLayoutClass(), &RobertaForCausalLMLayoutClass(),
        &RobertaForQuestionAnsweringLayoutClass()}) {
    EXPECT_THAT(layout_class->build(config, Json::object()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("'pad_token_id' is 512")));
  }
}

TEST(RobertaLayoutTest, LinkingItRegistersIt) {
  EXPECT_THAT(
      KnownLayouts(),
      IsSupersetOf({"RobertaForCausalLM", "RobertaForMaskedLM",
                    "RobertaForMultipleChoice", "RobertaForQuestionAnswering",
                    "RobertaForSequenceClassification",
                    "RobertaForTokenClassification", "RobertaModel"}));
  EXPECT_THAT(FindLayout("RobertaModel"),
              IsOkAndHolds(&RobertaModelLayoutClass()));
  EXPECT_THAT(FindConfigClass("roberta"), IsOkAndHolds(&RobertaConfigClass()));
}

}  // namespace
}  // namespace pretrained
