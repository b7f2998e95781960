#include "modeling/model_layout.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/pretrained_config.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const ConfigClass kFamily{.model_type = "family"};

LayoutClass ClassNamed(const char* name) {
  return {.class_name = name,
          .config_class = &kFamily,
          .build = [](const PretrainedConfig&, const nlohmann::ordered_json&)
              -> absl::StatusOr<ModelLayout> { return ModelLayout(); }};
}

const LayoutClass kBase = ClassNamed("FamilyModel");
const LayoutClass kHead = ClassNamed("FamilyForMaskedLM");

PretrainedConfig Config(absl::string_view text) {
  return *PretrainedConfig::FromJsonString(text, "dir/config.json");
}

// First, while nothing is registered.
TEST(ModelLayoutTest, AnEmptyRegistrySaysHowToFillIt) {
  EXPECT_THAT(KnownLayouts(), ::testing::IsEmpty());
  EXPECT_THAT(FindLayout("FamilyModel"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("'FamilyModel'"),
                             HasSubstr("no family is linked"))));
}

TEST(ModelLayoutTest, FindsWhatWasRegistered) {
  EXPECT_TRUE(RegisterLayout(&kBase));
  EXPECT_TRUE(RegisterLayout(&kHead));
  EXPECT_TRUE(RegisterLayout(&kBase));  // Again is no harm.
  EXPECT_THAT(KnownLayouts(), ElementsAre("FamilyForMaskedLM", "FamilyModel"));
  EXPECT_THAT(FindLayout("FamilyModel"), IsOkAndHolds(&kBase));
  EXPECT_THAT(FindLayout("FamilyForMaskedLM"), IsOkAndHolds(&kHead));
  EXPECT_THAT(
      FindLayout("familymodel"),
      StatusIs(absl::StatusCode::kNotFound,
               HasSubstr("known here: FamilyForMaskedLM, FamilyModel")));
}

TEST(ModelLayoutTest, TheGivenClassComesBeforeTheConfigsArchitectures) {
  RegisterLayout(&kBase);
  RegisterLayout(&kHead);
  const PretrainedConfig config =
      Config(R"({"architectures": ["Unknown", "FamilyForMaskedLM"]})");
  EXPECT_THAT(FindLayoutFor(config, "FamilyModel"), IsOkAndHolds(&kBase));
  EXPECT_THAT(FindLayoutFor(config, ""), IsOkAndHolds(&kHead));
  EXPECT_THAT(FindLayoutFor(config, "Unknown"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'Unknown'")));
}

TEST(ModelLayoutTest, AConfigWithoutAKnownArchitectureSaysWhatWasLookedFor) {
  RegisterLayout(&kBase);
  EXPECT_THAT(
      FindLayoutFor(Config(R"({"model_type": "t5",
                               "architectures": ["T5Model", "X"]})"),
                    ""),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr("dir/config.json"), HasSubstr("T5Model, X"),
                     HasSubstr("'t5'"), HasSubstr("FamilyModel"))));
  EXPECT_THAT(FindLayoutFor(Config("{}"), ""),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("dir/config.json"),
                             HasSubstr("names no architectures"),
                             HasSubstr("the class must be given"))));
}

TEST(ModelLayoutTest, FindsTheConfigClassOfAModelType) {
  RegisterLayout(&kBase);
  EXPECT_THAT(FindConfigClass("family"), IsOkAndHolds(&kFamily));
  EXPECT_THAT(FindConfigClass("t5"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("'t5'"), HasSubstr("known: family"))));
}

}  // namespace
}  // namespace pretrained
