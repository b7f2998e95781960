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
#include "modeling/bert/bert_lm_heads.h"
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
  EXPECT_THAT(
      AutoModel::FromPretrained(folder),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr(path), HasSubstr("model_type 't5'"),
                     HasSubstr("bert (BertModel)"), HasSubstr("link"))));
  WriteTestFile("unknown/config.json", "{}");
  EXPECT_THAT(
      AutoModel::FromPretrained(folder),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("model_type ''")));
}

TEST(AutoModelTest, CodeInACheckpointIsRefusedAndAWayShown) {
  const std::string folder = MakeTestFolder("custom");
  WriteTestFile("custom/config.json",
                R"({"model_type": "mine",
                    "auto_map": {"AutoModel": "mine.MyModel"}})");
  EXPECT_THAT(AutoModel::FromPretrained(folder),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("'auto_map'"),
                             HasSubstr("RegisterForAutoClass()"))));
  EXPECT_THAT(AutoModel::FromPretrained(kBase, {.trust_remote_code = true}),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("trust_remote_code"),
                             HasSubstr("RegisterForAutoClass()"))));
}

TEST(AutoModelTest, EachTaskHasItsClass) {
  const PretrainedConfig config = *PretrainedConfig::FromPretrained(kBase);
  const std::pair<AutoTask, const char*> cases[] = {
      {AutoTask::kBase, "BertModel"},
      {AutoTask::kPreTraining, "BertForPreTraining"},
      {AutoTask::kMaskedLM, "BertForMaskedLM"},
      {AutoTask::kCausalLM, "BertLMHeadModel"},
      {AutoTask::kSequenceClassification, "BertForSequenceClassification"},
      {AutoTask::kTokenClassification, "BertForTokenClassification"},
      {AutoTask::kQuestionAnswering, "BertForQuestionAnswering"},
      {AutoTask::kMultipleChoice, "BertForMultipleChoice"},
      {AutoTask::kNextSentencePrediction, "BertForNextSentencePrediction"},
  };
  for (const auto& [task, class_name] : cases) {
    SCOPED_TRACE(AutoClassName(task));
    absl::StatusOr<const ModelClass*> found = FindAutoModel(task, config);
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ((*found)->layout->class_name, class_name);
  }
  EXPECT_THAT(FindAutoModel(AutoTask::kSeq2SeqLM, config),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("AutoModelForSeq2SeqLM"),
                             HasSubstr("'bert'"), HasSubstr("known: none"))));
}

TEST(AutoModelTest, ArchitecturesChooseAmongSeveralClasses) {
  RegisterForAutoClass(AutoTask::kCausalLM, "two-classes", "BertModel");
  RegisterForAutoClass(AutoTask::kCausalLM, "two-classes", "BertLMHeadModel");
  const auto choose = [](const char* text) {
    return FindAutoModel(AutoTask::kCausalLM, Config(text));
  };
  EXPECT_THAT(choose(R"({"model_type": "two-classes",
                         "architectures": ["BertModel"]})"),
              IsOkAndHolds(&BertModel::Class()));
  EXPECT_THAT(choose(R"({"model_type": "two-classes"})"),
              IsOkAndHolds(&BertLMHeadModel::Class()));
}

TEST(AutoModelTest, MakesANewModelFromAConfig) {
  absl::StatusOr<PretrainedConfig> config =
      AutoConfig::FromPretrained(kBase, {.kwargs = {{"num_labels", 5}}});
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->config_class().model_type, "bert");
  auto model = AutoModelForTokenClassification::FromConfig(
      *config, {.torch_dtype = "bfloat16", .seed = 3});
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ((*model)->class_name(), "BertForTokenClassification");
  EXPECT_EQ((*model)->dtype(), at::kBFloat16);
  auto again = AutoModelForTokenClassification::FromConfig(
      *config, {.torch_dtype = "bfloat16", .seed = 3});
  ASSERT_THAT(again, IsOk());
  const StateDict one = (*model)->state_dict();
  const StateDict two = (*again)->state_dict();
  ASSERT_EQ(one.size(), two.size());
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_TRUE(at::equal(one[i].second, two[i].second)) << one[i].first;
  }
  EXPECT_EQ(one.back().second.size(0), 5) << "labels";
}

TEST(AutoConfigTest, AnUnknownModelTypeListsThoseThatAreKnown) {
  const std::string folder = MakeTestFolder("unknown_config");
  WriteTestFile("unknown_config/config.json", R"({"model_type": "mamba"})");
  EXPECT_THAT(AutoConfig::FromPretrained(folder),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("unknown_config"), HasSubstr("'mamba'"),
                             HasSubstr("bert"))));
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
