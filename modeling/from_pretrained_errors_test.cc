// How loading fails: with a Status that names the file and says what to do.

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/safetensors_testutil.h"
#include "checkpoint/safetensors_writer.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_layout.h"
#include "modeling/bert/bert_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/loading_info.h"
#include "modeling/pretrained_config.h"
#include "modeling/tensor_file.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::CopyTestFolder;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kBase[] = "testdata/bert/base";
constexpr char kErrors[] = "testdata/errors/config/";

struct BadFolder {
  const char* name;
  absl::StatusCode code;
  const char* file;
  const char* message;
};

// Folders of testdata/errors/config; those that are read follow below.
constexpr BadFolder kBadFolders[] = {
    {"not-json", absl::StatusCode::kInvalidArgument, "config.json",
     "not valid JSON"},
    {"array", absl::StatusCode::kInvalidArgument, "config.json",
     "a JSON array"},
    {"heads-do-not-divide", absl::StatusCode::kInvalidArgument, "config.json",
     "'hidden_size' is 8, but a multiple of the 3 attention heads"},
    {"negative-size", absl::StatusCode::kInvalidArgument, "config.json",
     "'hidden_size' is -8"},
    {"unknown-activation", absl::StatusCode::kInvalidArgument, "config.json",
     "'hidden_act' is \"no_such\""},
};

TEST(FromPretrainedErrorsTest, RefusesConfigsThatMakeNoModel) {
  for (const BadFolder& bad : kBadFolders) {
    SCOPED_TRACE(bad.name);
    const std::string folder = absl::StrCat(kErrors, bad.name);
    EXPECT_THAT(
        BertModel::FromPretrained(folder),
        StatusIs(bad.code, AllOf(HasSubstr(absl::StrCat(folder, "/", bad.file)),
                                 HasSubstr(bad.message))));
  }
  int folders = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kErrors)) {
    folders += entry.is_directory() ? 1 : 0;
  }
  EXPECT_EQ(folders, static_cast<int>(std::size(kBadFolders)) + 2);
}

// The peer reads both folders: weights files without a tensor leave everything
// to be drawn, and the class that the caller names comes before the config's
// model_type, which only AutoModel goes by.
TEST(FromPretrainedErrorsTest,
     ReadsEmptyWeightsAndTheConfigOfAnotherModelType) {
  for (const char* name : {"empty-weights", "other-model-type"}) {
    SCOPED_TRACE(name);
    LoadingInfo info;
    auto model = BertModel::FromPretrained(absl::StrCat(kErrors, name),
                                           {.output_loading_info = &info});
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ(info.missing_keys.size(),
              StateDictOf((*model)->layout().tree.root).size());
    EXPECT_THAT((*model)->Forward({.input_ids = at::ones({1, 2}, at::kLong)}),
                IsOk());
  }
  const std::string other = absl::StrCat(kErrors, "other-model-type");
  EXPECT_THAT(AutoModel::FromPretrained(other),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(absl::StrCat(other, "/config.json")),
                             HasSubstr("model_type 'gpt2'"))));
}

TEST(FromPretrainedErrorsTest, SaysWhatAFolderLacks) {
  EXPECT_THAT(BertModel::FromPretrained("absent-folder"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("absent-folder"),
                             HasSubstr("expected a folder"))));
  const std::string empty = MakeTestFolder("empty");
  EXPECT_THAT(BertModel::FromPretrained(empty),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(absl::StrCat(empty, "/config.json")),
                             HasSubstr("no such file"))));
  const std::string no_config = CopyTestFolder("no-config", kBase);
  std::filesystem::remove(no_config + "/config.json");
  EXPECT_THAT(BertModel::FromPretrained(no_config),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr(absl::StrCat(no_config, "/config.json"))));
  const std::string no_weights = CopyTestFolder("no-weights", kBase);
  std::filesystem::remove(no_weights + "/model.safetensors");
  EXPECT_THAT(
      BertModel::FromPretrained(no_weights),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr(no_weights), HasSubstr("model.safetensors"))));
}

// Files that no one can read, root included: one whose reads fail, a link to
// itself, a folder. And, but for root, one without permission.
TEST(FromPretrainedErrorsTest, FilesThatCannotBeReadAreNamed) {
  for (const char* file : {"config.json", "model.safetensors"}) {
    SCOPED_TRACE(file);
    const std::string folder =
        CopyTestFolder(absl::StrCat("unreadable-", file), kBase);
    const std::string path = absl::StrCat(folder, "/", file);
    std::filesystem::remove(path);
    std::filesystem::create_symlink("/proc/self/mem", path);
    EXPECT_THAT(BertModel::FromPretrained(folder).status().message(),
                HasSubstr(path));
    std::filesystem::remove(path);
    std::filesystem::create_symlink(path, path);
    EXPECT_THAT(BertModel::FromPretrained(folder).status().message(),
                HasSubstr(path));
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
    EXPECT_THAT(BertModel::FromPretrained(folder).status().message(),
                AllOf(HasSubstr(folder), HasSubstr(file)));
    if (geteuid() == 0) continue;
    std::filesystem::remove(path);
    std::filesystem::copy(absl::StrCat(kBase, "/", file), path);
    std::filesystem::permissions(path, std::filesystem::perms::none);
    EXPECT_THAT(BertModel::FromPretrained(folder),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(path)));
  }
}

TEST(FromPretrainedErrorsTest, WeightsCutShortAnywhereAreDataLoss) {
  const std::string folder = CopyTestFolder("cut", kBase);
  const std::string path = folder + "/model.safetensors";
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
  for (const int64_t length :
       {int64_t{0}, int64_t{7}, int64_t{100}, size / 2, size - 1}) {
    std::filesystem::remove(path);
    std::filesystem::copy(absl::StrCat(kBase, "/model.safetensors"), path);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    std::filesystem::resize_file(path, length);
    EXPECT_THAT(BertModel::FromPretrained(folder),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)))
        << length;
  }
}

// Mapped or not, and whether or not weights are converted on the way.
TEST(FromPretrainedErrorsTest, WeightsCutShortWhileLoadingAreDataLoss) {
  for (const bool use_mmap : {false, true}) {
    for (const char* torch_dtype : {"float32", "float16"}) {
      SCOPED_TRACE(absl::StrCat(use_mmap, " ", torch_dtype));
      const std::string folder = CopyTestFolder("cut-meanwhile", kBase);
      const std::string path = folder + "/model.safetensors";
      EXPECT_THAT(BertModel::FromPretrained(
                      folder, {.torch_dtype = torch_dtype,
                               .use_mmap = use_mmap,
                               .progress =
                                   [&](int64_t, int64_t) {
                                     std::filesystem::resize_file(path, 5000);
                                   }}),
                  StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)));
    }
  }
}

TEST(FromPretrainedErrorsTest, WeightsOfOtherFrameworksAreRefused) {
  const std::string folder = CopyTestFolder("framework", kBase);
  const std::string path = folder + "/model.safetensors";
  const std::vector<float> values(6);
  const std::vector<TensorToWrite> tensors = {
      {"a", Dtype::kFloat32, {2, 3}, values.data()}};
  for (const char* format : {"tf", "flax", "np", ""}) {
    ASSERT_THAT(WriteSafetensors(path, tensors, {{"format", format}}), IsOk());
    EXPECT_THAT(
        BertModel::FromPretrained(folder),
        StatusIs(absl::StatusCode::kUnimplemented,
                 AllOf(HasSubstr(path),
                       HasSubstr(absl::StrCat("format '", format, "'")))));
  }
}

TEST(FromPretrainedErrorsTest, AFileWithoutMetadataIsTakenForPyTorchs) {
  const std::string folder = CopyTestFolder("no-metadata", kBase);
  const std::string path = folder + "/model.safetensors";
  std::string file = ReadTestFile(path);
  // Blanks are JSON too; the entry is the header's first.
  const std::string metadata = R"("__metadata__":{"format":"pt"},)";
  const size_t at = file.find(metadata);
  ASSERT_NE(at, std::string::npos);
  file.replace(at, metadata.size(), std::string(metadata.size(), ' '));
  WriteTestFile("no-metadata/model.safetensors", file);
  EXPECT_THAT(BertModel::FromPretrained(folder), IsOk());
}

TEST(FromPretrainedErrorsTest, WeightsOfAnotherModelAreRefusedWithAnExample) {
  const std::string folder = CopyTestFolder("other", kBase);
  const std::string path = folder + "/model.safetensors";
  ASSERT_THAT(
      WriteTensorFile(path, {{"transformer.h.0.ln_1.weight", at::ones({32})}}),
      IsOk());
  LoadingInfo info;
  EXPECT_THAT(BertModel::FromPretrained(folder, {.output_loading_info = &info}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(path), HasSubstr("BertModel"),
                             HasSubstr("'transformer.h.0.ln_1.weight'"))));
  EXPECT_THAT(info.unexpected_keys,
              ::testing::ElementsAre("transformer.h.0.ln_1.weight"));
}

}  // namespace
}  // namespace pretrained
