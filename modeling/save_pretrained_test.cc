#include "modeling/save_pretrained.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/json_testutil.h"
#include "modeling/pretrained_config.h"
#include "modeling/tensor_bridge.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Names = std::vector<std::string>;

// A model of two tensors, one of which has two names, and a buffer.
ModelToSave SmallModel() {
  const at::Tensor tied = at::arange(6, at::kFloat).reshape({2, 3});
  ModelToSave model{.class_name = "SmallModel",
                    .torch_dtype = "float32",
                    .config = PretrainedConfig(),
                    .tied_weights_keys = {R"(out\.weight$)"},
                    .keys_to_ignore_on_save = {"ids"}};
  model.config.Set("model_type", "small");
  model.state_dict = {{"out.weight", tied},
                      {"in.weight", tied},
                      {"bias", at::ones({3}, at::kHalf)},
                      {"ids", at::arange(4)}};
  return model;
}

Names NamesIn(const std::string& path) {
  Names names;
  const auto checkpoint = OpenCheckpoint(path);
  EXPECT_THAT(checkpoint, IsOk());
  if (!checkpoint.ok()) return names;
  for (const TensorInfo& tensor : (*checkpoint)->tensors()) {
    names.push_back(tensor.name);
  }
  return names;
}

Names FilesIn(const std::string& folder) {
  Names names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

TEST(SaveModelTest, WritesConfigAndWeightsTiesOnceWithoutIgnoredKeys) {
  const std::string folder = MakeTestFolder("a save") + "/new/folder";
  absl::StatusOr<SavedCheckpoint> saved = SaveModel(SmallModel(), folder, {});
  ASSERT_THAT(saved, IsOk());
  EXPECT_THAT(saved->files, ElementsAre("model.safetensors", "config.json"));
  EXPECT_THAT(NamesIn(folder), UnorderedElementsAre("in.weight", "bias"));
  const nlohmann::ordered_json config = ReadJsonFile(folder + "/config.json");
  EXPECT_EQ(config["architectures"], nlohmann::ordered_json({"SmallModel"}));
  EXPECT_EQ(config["torch_dtype"], "float32");
  EXPECT_EQ(config["transformers_version"], "4.34.0");
}

TEST(SaveModelTest, TorchFilesKeepEveryName) {
  const std::string folder = MakeTestFolder("torch");
  ASSERT_THAT(SaveModel(SmallModel(), folder, {.safe_serialization = false}),
              IsOk());
  EXPECT_THAT(NamesIn(folder), ElementsAre("out.weight", "in.weight", "bias"));
  const auto checkpoint = OpenCheckpoint(folder);
  EXPECT_EQ((*checkpoint)->tensors()[0].storage,
            (*checkpoint)->tensors()[1].storage);
}

TEST(SaveModelTest, ShardsAndRemovesWhatAnEarlierSaveLeft) {
  const std::string folder = MakeTestFolder("shards");
  WriteTestFile("shards/notes.txt", "mine");
  ASSERT_THAT(SaveModel(SmallModel(), folder,
                        {.max_shard_size = "24", .variant = "fp16"}),
              IsOk());
  EXPECT_THAT(FilesIn(folder),
              UnorderedElementsAre("model.fp16-00001-of-00002.safetensors",
                                   "model.fp16-00002-of-00002.safetensors",
                                   "model.safetensors.index.fp16.json",
                                   "config.json", "notes.txt"));
  ASSERT_THAT(SaveModel(SmallModel(), folder, {.variant = "fp16"}), IsOk());
  EXPECT_THAT(FilesIn(folder),
              UnorderedElementsAre("model.fp16.safetensors", "config.json",
                                   "notes.txt"));
}

TEST(SaveModelTest, OtherProcessesWriteNeitherConfigsNorRemoveFiles) {
  const std::string folder = MakeTestFolder("other process");
  ASSERT_THAT(SaveModel(SmallModel(), folder, {.max_shard_size = "24"}),
              IsOk());
  std::filesystem::remove(folder + "/config.json");
  ASSERT_THAT(SaveModel(SmallModel(), folder, {.is_main_process = false}),
              IsOk());
  EXPECT_THAT(FilesIn(folder),
              UnorderedElementsAre("model.safetensors",
                                   "model-00001-of-00002.safetensors",
                                   "model-00002-of-00002.safetensors",
                                   "model.safetensors.index.json"));
}

TEST(SaveModelTest, AGivenStateDictIsSavedInstead) {
  const std::string folder = MakeTestFolder("given");
  ASSERT_THAT(SaveModel(SmallModel(), folder,
                        {.state_dict = StateDict{{"x", at::ones({2, 2}).t()},
                                                 {"ids", at::ones({1})}}}),
              IsOk());
  EXPECT_THAT(NamesIn(folder), ElementsAre("x"));
}

TEST(SaveModelTest, TheSaveFunctionWritesTorchFiles) {
  const std::string folder = MakeTestFolder("function");
  std::vector<Names> shards;
  const auto write = [&](const StateDict& shard, const std::string& path) {
    Names names;
    for (const auto& [name, tensor] : shard) names.push_back(name);
    shards.push_back(names);
    std::ofstream(path) << "mine";
    return absl::OkStatus();
  };
  ASSERT_THAT(SaveModel(SmallModel(), folder,
                        {.save_function = write,
                         .max_shard_size = "24",
                         .safe_serialization = false}),
              IsOk());
  EXPECT_THAT(shards, ElementsAre(ElementsAre("out.weight", "in.weight"),
                                  ElementsAre("bias")));
  EXPECT_EQ(ReadTestFile(folder + "/pytorch_model-00002-of-00002.bin"), "mine");
  const auto fail = [](const StateDict&, const std::string&) {
    return absl::UnavailableError("no network");
  };
  EXPECT_THAT(SaveModel(SmallModel(), folder,
                        {.save_function = fail, .safe_serialization = false}),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(ReadTestFile(folder + "/pytorch_model-00002-of-00002.bin"), "mine")
      << "a save that fails changes nothing";
}

class RecordingUploader : public Uploader {
 public:
  absl::Status Upload(const UploadRequest& request) const override {
    requests.push_back(request);
    return status;
  }
  mutable std::vector<UploadRequest> requests;
  absl::Status status;
};

TEST(SaveModelTest, PushesWhatItWrote) {
  const std::string folder = MakeTestFolder("my-model");
  RecordingUploader uploader;
  ASSERT_THAT(
      SaveModel(
          SmallModel(), folder + "/",
          {.push_to_hub = true, .uploader = &uploader, .token = "secret"}),
      IsOk());
  ASSERT_EQ(uploader.requests.size(), 1u);
  EXPECT_EQ(uploader.requests[0].repo_id, "my-model");
  EXPECT_EQ(uploader.requests[0].token, "secret");
  EXPECT_THAT(uploader.requests[0].files,
              ElementsAre("model.safetensors", "config.json"));
  uploader.status = absl::PermissionDeniedError("401");
  EXPECT_THAT(SaveModel(SmallModel(), folder,
                        {.push_to_hub = true, .uploader = &uploader}),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST(SaveModelTest, RefusesBeforeAnythingIsWritten) {
  struct RefusedSave {
    const char* what;
    SavePretrainedOptions options;
    absl::StatusCode code;
    const char* message;
  };
  const RefusedSave cases[] = {
      {"a size that is none",
       {.max_shard_size = "many"},
       absl::StatusCode::kInvalidArgument,
       "max_shard_size"},
      {"no uploader",
       {.push_to_hub = true},
       absl::StatusCode::kFailedPrecondition,
       "uploader"},
      {"no values",
       {.state_dict = StateDict{{"m", at::empty({2}, at::device(at::kMeta))}}},
       absl::StatusCode::kInvalidArgument,
       "'m' has no values"},
      {"a name twice",
       {.state_dict = StateDict{{"a", at::ones({1})}, {"a", at::ones({2})}}},
       absl::StatusCode::kInvalidArgument,
       "a"},
      {"a variant that is a path",
       {.variant = "../x"},
       absl::StatusCode::kInvalidArgument,
       "../x"},
  };
  const std::string folder = MakeTestFolder("refused") + "/absent";
  for (const RefusedSave& test : cases) {
    SCOPED_TRACE(test.what);
    EXPECT_THAT(SaveModel(SmallModel(), folder, test.options),
                StatusIs(test.code, HasSubstr(test.message)));
    EXPECT_FALSE(std::filesystem::exists(folder));
  }
  const std::string file = WriteTestFile("refused/file", "x");
  EXPECT_THAT(
      SaveModel(SmallModel(), file, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr(file))));
}

}  // namespace
}  // namespace pretrained
