#include "modeling/distilbert/distilbert_layout.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/distilbert/distilbert_config.h"
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
using ::testing::IsSupersetOf;
using Json = nlohmann::ordered_json;

// What sinusoidal positions change, the layout does not say: they are not
// trained (distilbert_model_test).
TEST(DistilBertLayoutTest, IsThePeers) {
  const std::vector<LayoutCase> cases =
      LayoutCases("testdata/models/DistilBertModel", "testdata/distilbert");
  ASSERT_EQ(cases.size(), 9u);
  for (const LayoutCase& golden : cases) {
    if (golden.folder != "testdata/distilbert/sinusoidal") {
      ExpectLayoutOfPeer(golden);
    }
  }
}

TEST(DistilBertLayoutTest, PrunedHeadsHaveNoRows) {
  PretrainedConfig config(DistilBertConfigClass());
  config.Set("n_layers", 1);
  config.Set("pruned_heads", {{"0", {2, 5}}});
  absl::StatusOr<ModelLayout> layout =
      DistilBertModelLayoutClass().build(config, Json::object());
  ASSERT_THAT(layout, IsOk());
  const ModuleNode& attention = layout->tree.root.child("transformer")
                                    .child("layer")
                                    .child("0")
                                    .child("attention");
  EXPECT_THAT(attention.child("v_lin").parameters[0].shape,
              ElementsAre(640, 768));
  EXPECT_THAT(attention.child("v_lin").parameters[1].shape, ElementsAre(640));
  EXPECT_THAT(attention.child("out_lin").parameters[0].shape,
              ElementsAre(768, 640));
}

TEST(DistilBertLayoutTest, AnAnswerHasAStartAndAnEnd) {
  PretrainedConfig config(DistilBertConfigClass());
  config.Set("num_labels", 3);
  EXPECT_THAT(
      DistilBertForQuestionAnsweringLayoutClass().build(config, Json::object()),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("is 3, but 2 is expected")));
}

TEST(DistilBertLayoutTest, AConfigThatMakesNoModelMakesNoLayout) {
  PretrainedConfig config(DistilBertConfigClass());
  config.Set("n_heads", 7);
  for (const LayoutClass* layout_class :
       {&DistilBertModelLayoutClass(), &DistilBertForMaskedLMLayoutClass(),
        &DistilBertForMultipleChoiceLayoutClass()}) {
    EXPECT_THAT(layout_class->build(config, Json::object()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("a multiple of the 7 attention heads")));
  }
}

TEST(DistilBertLayoutTest, LinkingItRegistersIt) {
  EXPECT_THAT(
      KnownLayouts(),
      IsSupersetOf({"DistilBertForMaskedLM", "DistilBertForMultipleChoice",
                    "DistilBertForQuestionAnswering",
                    "DistilBertForSequenceClassification",
                    "DistilBertForTokenClassification", "DistilBertModel"}));
  EXPECT_THAT(FindLayout("DistilBertModel"),
              IsOkAndHolds(&DistilBertModelLayoutClass()));
  EXPECT_THAT(FindConfigClass("distilbert"),
              IsOkAndHolds(&DistilBertConfigClass()));
}

}  // namespace
}  // namespace pretrained
