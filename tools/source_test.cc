#include "tools/source.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_layout.h"
#include "modeling/pretrained_config.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A folder whose config.json is `config`.
std::string Folder(const std::string& name, const std::string& config) {
  const std::string folder = absl::StrCat(::testing::TempDir(), "/", name);
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/config.json") << config;
  return folder;
}

TEST(CheckSourceTest, TakesFoldersAndFilesThatAreThere) {
  const std::string folder = Folder("a folder", "{}");
  EXPECT_THAT(CheckSource(folder), IsOk());
  EXPECT_THAT(CheckSource(folder + "/"), IsOk());
  EXPECT_THAT(CheckSource(folder + "/config.json"), IsOk());
  EXPECT_THAT(CheckSource("."), IsOk());
}

TEST(CheckSourceTest, SaysThatHubIdsAreToBeDownloadedFirst) {
  for (const char* id : {"org/name", "sentence-transformers/all-MiniLM-L6-v2",
                         "org/name@refs-pr-1"}) {
    EXPECT_THAT(CheckSource(id),
                StatusIs(absl::StatusCode::kNotFound,
                         AllOf(HasSubstr(id), HasSubstr("Hub id"),
                               HasSubstr("local checkpoints only"))));
  }
}

TEST(CheckSourceTest, SaysWhatASourceMayBe) {
  for (const char* source : {"", "absent", "/absent/a/b", "a b/c", "a/b/c"}) {
    EXPECT_THAT(CheckSource(source),
                StatusIs(absl::StatusCode::kNotFound,
                         AllOf(HasSubstr("expected a folder"),
                               Not(HasSubstr("Hub id")))))
        << source;
  }
}

// A path that runs through a file cannot be followed by anyone.
TEST(CheckSourceTest, APathThroughAFileIsNotThere) {
  const std::string file = Folder("through", "{}") + "/config.json";
  EXPECT_THAT(CheckSource(file + "/model"), Not(IsOk()));
}

TEST(SourceFolderTest, IsTheFolderOrThatOfTheFile) {
  const std::string folder = Folder("model", "{}");
  EXPECT_EQ(SourceFolder(folder), folder);
  EXPECT_EQ(SourceFolder(folder + "/model.safetensors"), folder);
  EXPECT_EQ(SourceFolder("model.safetensors"), ".");
  EXPECT_EQ(SourceFolder("/model.safetensors"), "/");
}

TEST(ReadSourceConfigTest, GivesTheDefaultsOfTheModelTypesFamily) {
  const std::string folder = Folder("bert", R"({"model_type": "bert"})");
  for (const std::string& source : {folder, folder + "/model.safetensors"}) {
    absl::StatusOr<PretrainedConfig> config = ReadSourceConfig(source, "");
    ASSERT_THAT(config, IsOk());
    EXPECT_THAT(config->GetInt("hidden_size"), IsOkAndHolds(768));
  }
}

TEST(ReadSourceConfigTest, AGivenClassComesBeforeTheModelType) {
  const std::string folder = Folder("t5", R"({"model_type": "t5"})");
  EXPECT_THAT(ReadSourceConfig(folder, ""),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(folder), HasSubstr("model_type 't5'"),
                             HasSubstr("bert"), HasSubstr("--class"))));
  absl::StatusOr<PretrainedConfig> config =
      ReadSourceConfig(folder, "BertModel");
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(config->GetInt("hidden_size"), IsOkAndHolds(768));
  EXPECT_THAT(ReadSourceConfig(folder, "T5Model"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'T5Model'")));
}

TEST(ReadSourceConfigTest, ABrokenConfigIsNamed) {
  const std::string folder = Folder("broken", "{oops");
  EXPECT_THAT(ReadSourceConfig(folder, ""),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(folder + "/config.json")));
}

}  // namespace
}  // namespace pretrained
