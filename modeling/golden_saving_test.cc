// Holds save_pretrained, of every family, to what transformers 4.34.0 writes:
// testdata/save/saved.json.

#include <filesystem>
#include <memory>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "checkpoint/safetensors_testutil.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/json_testutil.h"
#include "modeling/loading_info.h"
#include "modeling/pretrained_model.h"
#include "modeling/state_dict.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using checkpoint_testing::MakeTestFolder;
using checkpoint_testing::ReadTestFile;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;
using ModelPtr = std::shared_ptr<PretrainedModel>;

absl::StatusOr<ModelPtr> Load(const std::string& class_name,
                              const std::string& folder, LoadingInfo* info) {
  absl::StatusOr<const ModelClass*> model_class = FindModel(class_name);
  if (!model_class.ok()) return model_class.status();
  return LoadPretrained(**model_class, folder,
                        {.torch_dtype = "auto", .output_loading_info = info});
}

void ExpectSameTensors(const StateDict& got, const StateDict& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].first, want[i].first);
    EXPECT_TRUE(at::equal(got[i].second, want[i].second)) << got[i].first;
  }
}

TEST(GoldenSavingTest, ConfigsAreThePeersToTheByte) {
  const Json saved = ReadJsonFile("testdata/save/saved.json");
  ASSERT_GE(saved.size(), 11u);
  for (const auto& [source, golden] : saved.items()) {
    SCOPED_TRACE(source);
    LoadingInfo info;
    absl::StatusOr<const ModelClass*> model_class =
        FindModel(golden["class"].get<std::string>());
    ASSERT_THAT(model_class, IsOk());
    absl::StatusOr<ModelPtr> model = LoadPretrained(**model_class, source);
    ASSERT_THAT(model, IsOk());
    const std::string folder = MakeTestFolder("configs");
    std::filesystem::remove_all(folder);
    ASSERT_THAT((*model)->SavePretrained(folder), IsOk());
    EXPECT_EQ(ReadTestFile(folder + "/config.json"), golden["config.json"]);
    const std::string generation = folder + "/generation_config.json";
    ASSERT_EQ(std::filesystem::exists(generation),
              golden.contains("generation_config.json"));
    if (golden.contains("generation_config.json")) {
      EXPECT_EQ(ReadTestFile(generation), golden["generation_config.json"]);
    }
  }
}

// The peer saved the models of testdata/models: what we save of them is the
// same file, and what is loaded from it the same model, without a warning.
TEST(GoldenSavingTest, WeightsAreThePeersToTheByte) {
  const Json saved = ReadJsonFile("testdata/save/saved.json");
  int files = 0;
  for (const auto& [source, golden] : saved.items()) {
    if (!absl::StartsWith(source, "testdata/models/")) continue;
    SCOPED_TRACE(source);
    LoadingInfo info;
    absl::StatusOr<ModelPtr> model = Load(golden["class"], source, &info);
    ASSERT_THAT(model, IsOk());
    const std::string folder = MakeTestFolder("weights");
    std::filesystem::remove_all(folder);
    ASSERT_THAT((*model)->SavePretrained(folder), IsOk());
    EXPECT_TRUE(ReadTestFile(folder + "/model.safetensors") ==
                ReadTestFile(source + "/model.safetensors"));
    absl::StatusOr<ModelPtr> again = Load(golden["class"], folder, &info);
    ASSERT_THAT(again, IsOk());
    EXPECT_THAT(info.missing_keys, IsEmpty());
    EXPECT_THAT(info.unexpected_keys, IsEmpty());
    ExpectSameTensors((*again)->state_dict(), (*model)->state_dict());
    ++files;
  }
  EXPECT_GE(files, 7);
}

TEST(GoldenSavingTest, AModelIsSavedIntoTheFolderItIsMappedFrom) {
  const std::string folder = MakeTestFolder("mapped here");
  std::filesystem::remove_all(folder);
  LoadingInfo info;
  absl::StatusOr<ModelPtr> original =
      Load("T5ForConditionalGeneration",
           "testdata/models/T5ForConditionalGeneration", &info);
  ASSERT_THAT(original, IsOk());
  ASSERT_THAT((*original)->SavePretrained(folder), IsOk());
  absl::StatusOr<ModelPtr> model =
      Load("T5ForConditionalGeneration", folder, &info);
  ASSERT_THAT(model, IsOk());
  ASSERT_EQ(info.engine, "mapped");
  {
    at::NoGradGuard no_grad;
    at::Tensor shared = (*model)->state_dict()[0].second;
    shared.add_(1);
  }
  ASSERT_THAT((*model)->SavePretrained(folder, {.max_shard_size = "20KB"}),
              IsOk());
  EXPECT_FALSE(std::filesystem::exists(folder + "/model.safetensors"));
  absl::StatusOr<ModelPtr> again =
      Load("T5ForConditionalGeneration", folder, &info);
  ASSERT_THAT(again, IsOk());
  EXPECT_GT(info.files.size(), 1u);
  ExpectSameTensors((*again)->state_dict(), (*model)->state_dict());
  EXPECT_FALSE(at::equal((*again)->state_dict()[0].second,
                         (*original)->state_dict()[0].second));
}

}  // namespace
}  // namespace pretrained
