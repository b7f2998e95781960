#include "modeling/auto_model.h"

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_model.h"
#include "modeling/model_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kBase[] = "testdata/bert/base";

PretrainedConfig Config(const std::string& text) {
  return *PretrainedConfig::FromJsonString(text, "dir/config.json");
}

TEST(AutoModelTest, MakesTheBaseModelOfTheConfigsModelType) {
  absl::StatusOr<std::shared_ptr<PretrainedModel>> model =
      AutoModel::FromPretrained(kBase);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ((*model)->class_name(), "BertModel");
  EXPECT_FALSE((*model)->is_training());
}

TEST(AutoModelTest, TakesTheOptionsOfFromPretrained) {
  absl::StatusOr<std::shared_ptr<PretrainedModel>> model =
      AutoModel::FromPretrained(kBase,
                                {.torch_dtype = "bfloat16",
                                 .kwargs = {{"add_pooling_layer", false}}});
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ((*model)->dtype(), at::kBFloat16);
  EXPECT_FALSE((*model)->named_modules().contains("pooler"));
}

TEST(AutoModelTest, AGivenConfigReplacesTheFoldersAndGetsTheFamilysDefaults) {
  PretrainedConfig config = *PretrainedConfig::FromPretrained(kBase);
  config.Set("hidden_act", "relu");
  absl::StatusOr<std::shared_ptr<PretrainedModel>> model =
      AutoModel::FromPretrained(kBase, {.config = config});
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT((*model)->config().GetString("hidden_act"), IsOkAndHolds("relu"));
  // Read without a family, it has no family's defaults of its own.
  const PretrainedConfig plain = Config(
      R"({"model_type": "bert", "vocab_size": 120, "hidden_size": 32,
          "num_hidden_layers": 2, "num_attention_heads": 4,
          "intermediate_size": 64, "max_position_embeddings": 40})");
  EXPECT_THAT(AutoModel::FromPretrained(kBase, {.config = plain}), IsOk());
}

TEST(AutoModelTest, AnUnknownModelTypeSaysWhatIsLinked) {
  const std::string folder = MakeTestFolder("unknown");
  const std::string path =
      WriteTestFile("unknown/config.json", R"({"model_type": "t5"})");
  EXPECT_THAT(AutoModel::FromPretrained(folder),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(path), HasSubstr("model_type 't5'"),
                             HasSubstr("(bert)"), HasSubstr("link"))));
  WriteTestFile("unknown/config.json", "{}");
  EXPECT_THAT(
      AutoModel::FromPretrained(folder),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("model_type ''")));
}

TEST(AutoModelTest, AFolderThatIsNotThereIsNotFound) {
  EXPECT_THAT(AutoModel::FromPretrained("absent"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
}

TEST(AutoModelTest, FindsClassesByNameOrArchitecture) {
  EXPECT_THAT(FindModel("BertModel"), IsOkAndHolds(&BertModel::Class()));
  EXPECT_THAT(FindModel("T5Model"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("'T5Model'"), HasSubstr("BertModel"))));
  EXPECT_THAT(
      FindModelFor(Config(R"({"architectures": ["X", "BertModel"]})"), ""),
      IsOkAndHolds(&BertModel::Class()));
  EXPECT_THAT(FindModelFor(Config("{}"), "BertModel"),
              IsOkAndHolds(&BertModel::Class()));
  EXPECT_THAT(FindModelFor(Config("{}"), ""),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(AutoModelTest, ALayoutWithoutAModelSaysWhatToLink) {
  static const LayoutClass* const layout =
      new LayoutClass{.class_name = "LayoutOnly",
                      .config_class = &BertConfigClass(),
                      .build = nullptr};
  RegisterLayout(layout);
  EXPECT_THAT(FindModel("LayoutOnly"),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("linked as a layout only")));
}

}  // namespace
}  // namespace pretrained
