#include "checkpoint/convert_checkpoint.h"

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/safetensors_testutil.h"
#include "dtypes/convert.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::pretrained::checkpoint_testing::MakeTestFolder;
using ::pretrained::checkpoint_testing::ReadBytes;
using ::pretrained::checkpoint_testing::WriteTestFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kBert[] = "testdata/formats/BertForMaskedLM/";
constexpr char kContainers[] = "testdata/formats/containers/";

std::unique_ptr<Checkpoint> Open(const std::string& path) {
  auto checkpoint = OpenCheckpoint(path);
  EXPECT_THAT(checkpoint, IsOk());
  return *std::move(checkpoint);
}

// Name to dtype, shape and bytes.
std::map<std::string, std::string> ContentOf(const Checkpoint& checkpoint) {
  std::map<std::string, std::string> content;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    std::string text(DtypeName(tensor.dtype));
    for (const int64_t extent : tensor.shape) {
      absl::StrAppend(&text, ",", extent);
    }
    content[tensor.name] =
        absl::StrCat(text, ":", ReadBytes(checkpoint, tensor));
  }
  return content;
}

TEST(ConvertCheckpointTest, TheSameTensorsComeOutOfEveryFormat) {
  for (const char* name : {"dtypes.bin", "dtypes-legacy.bin", "views.bin",
                           "views-legacy.bin", "long-names.bin", "many.bin",
                           "rezipped-deflated.bin", "empty.safetensors"}) {
    const auto source = Open(absl::StrCat(kContainers, name));
    for (const char* format : {"torch", "torch_legacy", "safetensors"}) {
      SCOPED_TRACE(absl::StrCat(name, " to ", format));
      const std::string path = MakeTestFolder("every") + "/" + format + ".pt";
      const auto saved = ConvertCheckpoint(*source, path, {.format = format});
      if (name == absl::string_view("dtypes.bin") &&
          saved.status().code() == absl::StatusCode::kInvalidArgument) {
        // safetensors has no complex128.
        EXPECT_THAT(saved, StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("complex128")));
        continue;
      }
      ASSERT_THAT(saved, IsOk());
      auto want = ContentOf(*source);
      for (const std::string& dropped : saved->dropped_aliases) {
        EXPECT_EQ(want.erase(dropped), 1);
      }
      const auto written = Open(path);
      EXPECT_EQ(written->format(), format);
      EXPECT_EQ(ContentOf(*written), want);
      EXPECT_EQ(saved->tensors, want.size());
    }
  }
}

// The peer's own save of the same model drops the same names.
TEST(ConvertCheckpointTest, StoresTiedWeightsOnceInSafetensors) {
  const auto source = Open(absl::StrCat(kBert, "bin"));
  const auto golden = Open(absl::StrCat(kBert, "safetensors"));
  const std::string folder = MakeTestFolder("tied") + "/out";
  auto saved = ConvertCheckpoint(
      *source, folder,
      {.tied_weights_keys = {"predictions.decoder.bias",
                             "cls.predictions.decoder.weight"}});
  ASSERT_THAT(saved, IsOk());
  EXPECT_THAT(saved->dropped_aliases,
              UnorderedElementsAre("cls.predictions.decoder.bias",
                                   "cls.predictions.decoder.weight"));
  EXPECT_EQ(ContentOf(*Open(folder)), ContentOf(*golden));

  // Of names that all match, one is left; of none, the first.
  saved = ConvertCheckpoint(*source, folder, {.tied_weights_keys = {"."}});
  ASSERT_THAT(saved, IsOk());
  EXPECT_EQ(saved->tensors, golden->tensors().size());
  saved = ConvertCheckpoint(*source, folder);
  ASSERT_THAT(saved, IsOk());
  EXPECT_EQ(ContentOf(*Open(folder)), ContentOf(*golden));
  EXPECT_THAT(ConvertCheckpoint(*source, folder, {.tied_weights_keys = {"("}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'('")));
}

TEST(ConvertCheckpointTest, TorchFilesKeepEveryNameAndTheBytesOnce) {
  const auto source = Open(absl::StrCat(kBert, "bin"));
  for (const char* format : {"torch", "torch_legacy"}) {
    const std::string path = MakeTestFolder("names") + "/a.bin";
    ASSERT_THAT(ConvertCheckpoint(*source, path, {.format = format}), IsOk());
    const auto written = Open(path);
    ASSERT_EQ(written->tensors().size(), source->tensors().size());
    for (size_t i = 0; i < source->tensors().size(); ++i) {
      EXPECT_EQ(written->tensors()[i].name, source->tensors()[i].name);
    }
    auto word = written->Find("bert.embeddings.word_embeddings.weight");
    auto decoder = written->Find("cls.predictions.decoder.weight");
    ASSERT_THAT(word, IsOk());
    ASSERT_THAT(decoder, IsOk());
    EXPECT_EQ((*word)->storage, (*decoder)->storage);
    EXPECT_EQ((*word)->begin, (*decoder)->begin);
  }
}

TEST(ConvertCheckpointTest, ConvertsFloatingTensorsAlone) {
  const auto source = Open(absl::StrCat(kContainers, "dtypes.safetensors"));
  const std::string path = MakeTestFolder("half") + "/half.safetensors";
  ASSERT_THAT(ConvertCheckpoint(*source, path, {.dtype = Dtype::kFloat16}),
              IsOk());
  const auto written = Open(path);
  for (const TensorInfo& tensor : source->tensors()) {
    SCOPED_TRACE(tensor.name);
    auto half = written->Find(tensor.name);
    ASSERT_THAT(half, IsOk());
    const std::string stored = ReadBytes(*source, tensor);
    if (!IsFloatingPoint(tensor.dtype)) {
      EXPECT_EQ((*half)->dtype, tensor.dtype);
      EXPECT_EQ(ReadBytes(*written, **half), stored);
      continue;
    }
    std::string want(tensor.num_elements() * 2, '\0');
    ASSERT_THAT(Convert(tensor.dtype, stored.data(), Dtype::kFloat16,
                        want.data(), tensor.num_elements()),
                IsOk());
    EXPECT_EQ((*half)->dtype, Dtype::kFloat16);
    EXPECT_EQ(ReadBytes(*written, **half), want);
  }
}

TEST(ConvertCheckpointTest, AFolderMayReplaceItsOwnSource) {
  const std::string folder = MakeTestFolder("own") + "/model";
  const auto golden = Open(absl::StrCat(kBert, "safetensors"));
  ASSERT_THAT(ConvertCheckpoint(*golden, folder,
                                {.other_files = {{"config.json", "{}"}}}),
              IsOk());
  for (const int64_t max_shard_bytes : {15000, 1000000, 4000}) {
    const auto source = Open(folder);
    int64_t last = 0;
    ASSERT_THAT(ConvertCheckpoint(
                    *source, folder,
                    {.max_shard_bytes = max_shard_bytes,
                     .progress = [&](int64_t done, int64_t) { last = done; }}),
                IsOk());
    EXPECT_GT(last, 0);
    // What was opened before reads on from the old files.
    EXPECT_EQ(ContentOf(*source), ContentOf(*golden));
    EXPECT_EQ(ContentOf(*Open(folder)), ContentOf(*golden));
    EXPECT_TRUE(std::filesystem::exists(folder + "/config.json"));
  }
}

TEST(ConvertCheckpointTest, ASourceThatChangesMeanwhileReplacesNothing) {
  const std::string folder = MakeTestFolder("changes");
  const std::string path = folder + "/source.safetensors";
  ASSERT_THAT(
      ConvertCheckpoint(*Open(absl::StrCat(kBert, "safetensors")), path),
      IsOk());
  const auto source = Open(path);
  const std::string target = folder + "/target";
  ASSERT_THAT(ConvertCheckpoint(*source, target), IsOk());
  const auto old = ContentOf(*Open(target));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) + 1);
  for (const char* format : {"safetensors", "torch", "torch_legacy"}) {
    EXPECT_THAT(ConvertCheckpoint(*source, target,
                                  {.format = format, .max_shard_bytes = 9000}),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)));
  }
  EXPECT_EQ(ContentOf(*Open(target)), old);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(target), {}), 1);
}

TEST(ConvertCheckpointTest, KeepsSafetensorsMetadataAndRefusesOtherFrameworks) {
  const auto source = Open(WriteTestFile(
      "own.safetensors",
      checkpoint_testing::SafetensorsFile(
          R"({"__metadata__":{"by":"me"},"a":{"dtype":"U8","shape":[1],)"
          R"("data_offsets":[0,1]}})",
          1)));
  const std::string path = MakeTestFolder("meta") + "/x.safetensors";
  ASSERT_THAT(ConvertCheckpoint(*source, path), IsOk());
  const auto written = Open(path);
  EXPECT_THAT(
      written->metadata(),
      UnorderedElementsAre(std::pair("by", "me"), std::pair("format", "pt")));
  const auto keras = Open(WriteTestFile(
      "tf.safetensors",
      checkpoint_testing::SafetensorsFile(
          R"({"__metadata__":{"format":"tf"},"a":{"dtype":"U8","shape":[1],)"
          R"("data_offsets":[0,1]}})",
          1)));
  EXPECT_THAT(ConvertCheckpoint(*keras, path),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("'tf'")));
}

TEST(ConvertCheckpointTest, KnowsWeightsFilesByTheirNames) {
  for (const char* name : {"a.safetensors", "x/b.bin", "c.pt", "d.pth"}) {
    EXPECT_TRUE(IsWeightsFileName(name)) << name;
  }
  for (const char* name : {"", "folder", "a.json", "a.bin/", "bin"}) {
    EXPECT_FALSE(IsWeightsFileName(name)) << name;
  }
}

}  // namespace
}  // namespace pretrained
