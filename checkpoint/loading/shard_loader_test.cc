#include "checkpoint/loading/shard_loader.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/engine_choice.h"
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
using checkpoint_testing::ReadBytes;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::TestTensor;
using checkpoint_testing::WriteTestFile;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr ReadEngine kAllEngines[] = {
    ReadEngine::kMapped, ReadEngine::kWarmed, ReadEngine::kBuffered,
    ReadEngine::kDirect, ReadEngine::kStreaming};

std::shared_ptr<Checkpoint> Open(const std::string& path) {
  auto checkpoint = OpenCheckpoint(path);
  EXPECT_THAT(checkpoint, IsOk());
  return *std::move(checkpoint);
}

std::vector<TensorRequest> Everything(const Checkpoint& checkpoint) {
  std::vector<TensorRequest> requests;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    requests.push_back({&tensor, tensor.dtype});
  }
  return requests;
}

std::string BytesOf(const TensorView& view) {
  return std::string(static_cast<const char*>(view.data), view.nbytes);
}

// What a request is to give, made one by one.
std::string Expected(const Checkpoint& checkpoint,
                     const TensorRequest& request) {
  const std::string stored = ReadBytes(checkpoint, *request.tensor);
  const int64_t count = request.tensor->num_elements();
  std::string bytes(count * DtypeSize(request.dtype), '\0');
  EXPECT_THAT(Convert(request.tensor->dtype, stored.data(), request.dtype,
                      bytes.data(), count),
              IsOk());
  return bytes;
}

void ExpectSame(const Checkpoint& checkpoint,
                const std::vector<TensorRequest>& requests,
                const LoaderOptions& options) {
  auto views = LoadTensors(checkpoint, requests, options);
  ASSERT_THAT(views, IsOk());
  ASSERT_EQ(views->size(), requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(BytesOf((*views)[i]), Expected(checkpoint, requests[i]))
        << requests[i].tensor->name;
  }
}

// A file with thousands of tiny tensors, a huge one, empty ones, odd offsets.
std::string HostileFile(uint32_t seed) {
  std::mt19937 random(seed);
  const auto draw = [&random](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  std::vector<TestTensor> tensors;
  const int64_t count = draw(1, 300);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t kind = draw(0, 20);
    const int64_t elements = kind == 0   ? 0
                             : kind == 1 ? draw(100000, 3000000)
                                         : draw(1, 3000);
    const char* const names[] = {"F16", "F32", "BF16", "U8"};
    const int64_t sizes[] = {2, 4, 2, 1};
    const int64_t dtype = draw(0, 3);
    tensors.push_back({absl::StrCat("t", i),
                       names[dtype],
                       {elements},
                       elements * sizes[dtype]});
  }
  return SafetensorsFileWith(tensors);
}

TEST(ShardLoaderTest, EveryEngineGivesTheSameBits) {
  for (uint32_t seed = 0; seed < 6; ++seed) {
    const auto checkpoint =
        Open(WriteTestFile("hostile.safetensors", HostileFile(seed)));
    std::vector<TensorRequest> requests = Everything(*checkpoint);
    std::mt19937 random(seed);
    std::shuffle(requests.begin(), requests.end(), random);
    for (TensorRequest& request : requests) {
      if (random() % 3 != 0) continue;
      if (CanConvert(request.dtype, Dtype::kFloat32)) {
        request.dtype = Dtype::kFloat32;
      }
    }
    for (const ReadEngine engine : kAllEngines) {
      SCOPED_TRACE(absl::StrCat(ReadEngineName(engine), ", seed ", seed));
      ExpectSame(*checkpoint, requests, {.engine = engine});
      ExpectSame(*checkpoint, requests, {.engine = engine, .num_threads = 1});
    }
  }
}

TEST(ShardLoaderTest, ReadsEveryFormatAndShard) {
  int checkpoints = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator("testdata/formats")) {
    if (!entry.is_directory()) continue;
    auto checkpoint = OpenCheckpoint(entry.path());
    if (!checkpoint.ok()) continue;  // Not every folder has a default name.
    ++checkpoints;
    SCOPED_TRACE(entry.path());
    for (const ReadEngine engine : kAllEngines) {
      ExpectSame(**checkpoint, Everything(**checkpoint), {.engine = engine});
    }
  }
  EXPECT_GT(checkpoints, 10);
}

TEST(ShardLoaderTest, WarmFilesAreMappedAndNothingIsRead) {
  const auto checkpoint =
      Open(WriteTestFile("warm.safetensors", HostileFile(1)));
  LoadReport report;
  auto views = LoadTensors(*checkpoint, Everything(*checkpoint), {}, &report);
  ASSERT_THAT(views, IsOk());
  EXPECT_EQ(report.Engines(), "mapped");
  EXPECT_EQ(report.read_bytes, 0);
  EXPECT_GT(report.mapped_bytes, 0);
  ASSERT_EQ(report.files.size(), 1u);
  EXPECT_THAT(report.files[0].path, HasSubstr("warm.safetensors"));
}

// What is private outlives the file and the checkpoint.
TEST(ShardLoaderTest, PrivateTensorsDependOnNothing) {
  const std::string path = WriteTestFile("gone.safetensors", HostileFile(2));
  auto checkpoint = Open(path);
  const std::vector<TensorRequest> requests = Everything(*checkpoint);
  LoadReport report;
  auto views = LoadTensors(*checkpoint, requests,
                           {.sharing = Sharing::kPrivate}, &report);
  ASSERT_THAT(views, IsOk());
  EXPECT_EQ(report.mapped_bytes, 0);
  std::vector<std::string> expected;
  for (const TensorRequest& request : requests) {
    expected.push_back(Expected(*checkpoint, request));
  }
  checkpoint.reset();
  ASSERT_EQ(truncate(path.c_str(), 0), 0);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(BytesOf((*views)[i]), expected[i]) << i;
  }
}

TEST(ShardLoaderTest, TensorsAreReleasedOneByOne) {
  const auto checkpoint =
      Open(WriteTestFile("release.safetensors", HostileFile(3)));
  const std::vector<TensorRequest> requests = Everything(*checkpoint);
  auto views =
      LoadTensors(*checkpoint, requests, {.engine = ReadEngine::kBuffered});
  ASSERT_THAT(views, IsOk());
  for (size_t i = 0; i < views->size(); i += 2) (*views)[i] = {};
  for (size_t i = 1; i < views->size(); i += 2) {
    EXPECT_EQ(BytesOf((*views)[i]), Expected(*checkpoint, requests[i]));
  }
}

TEST(ShardLoaderTest, WhatIsWantedTwiceIsNotShared) {
  const auto checkpoint = Open(WriteTestFile(
      "twice.safetensors", SafetensorsFileWith({{"a", "U8", {100}, 100}})));
  const TensorInfo& tensor = checkpoint->tensors()[0];
  for (const ReadEngine engine : kAllEngines) {
    SCOPED_TRACE(ReadEngineName(engine));
    auto views = LoadTensors(
        *checkpoint, {{&tensor, Dtype::kUint8}, {&tensor, Dtype::kUint8}},
        {.engine = engine});
    ASSERT_THAT(views, IsOk());
    std::memset((*views)[0].data, 77, 100);
    EXPECT_EQ(BytesOf((*views)[1]), ReadBytes(*checkpoint, tensor));
  }
}

TEST(ShardLoaderTest, MemoryThatIsNotThereIsNotAskedFor) {
  const std::string path = WriteTestFile("room.safetensors", HostileFile(4));
  const auto checkpoint = Open(path);
  LoadReport report;
  ASSERT_THAT(LoadTensors(*checkpoint, Everything(*checkpoint),
                          {.memory_bytes = 1}, &report),
              IsOk());
  EXPECT_EQ(report.files[0].facts.available_bytes, 1);
  EXPECT_TRUE(report.Engines() == "mapped" || report.Engines() == "warmed")
      << report.Engines();
}

TEST(ShardLoaderTest, AConversionThatThereIsNotIsRefusedFirst) {
  const auto checkpoint = Open(WriteTestFile(
      "no_pair.safetensors", SafetensorsFileWith({{"a", "U8", {4}, 4}})));
  EXPECT_THAT(
      LoadTensors(*checkpoint, {{&checkpoint->tensors()[0], Dtype::kFloat32}}),
      StatusIs(
          absl::StatusCode::kUnimplemented,
          AllOf(HasSubstr("no_pair.safetensors"), HasSubstr("'a' is stored as"),
                HasSubstr("not converted to"))));
}

TEST(ShardLoaderTest, AFileCutShortMeanwhileIsDataLoss) {
  const std::string path = WriteTestFile("cut.safetensors", HostileFile(5));
  const auto checkpoint = Open(path);
  ASSERT_EQ(truncate(path.c_str(), 1000), 0);
  for (const ReadEngine engine :
       {ReadEngine::kBuffered, ReadEngine::kDirect, ReadEngine::kWarmed}) {
    EXPECT_THAT(
        LoadTensors(*checkpoint, Everything(*checkpoint), {.engine = engine}),
        StatusIs(absl::StatusCode::kDataLoss, HasSubstr("cut.safetensors")));
  }
}

TEST(ShardLoaderTest, CanBeCancelled) {
  const auto checkpoint =
      Open(WriteTestFile("cancelled.safetensors", HostileFile(1)));
  EXPECT_THAT(LoadTensors(*checkpoint, Everything(*checkpoint),
                          {.engine = ReadEngine::kBuffered,
                           .is_cancelled = [] { return true; }}),
              StatusIs(absl::StatusCode::kCancelled));
}

TEST(ShardLoaderTest, ProgressEndsWithAllBytes) {
  const auto checkpoint =
      Open(WriteTestFile("progress.safetensors", HostileFile(2)));
  int64_t bytes = 0;
  for (const TensorInfo& tensor : checkpoint->tensors()) {
    bytes += tensor.nbytes();
  }
  for (const ReadEngine engine : kAllEngines) {
    int64_t last = 0;
    int64_t total = 0;
    ASSERT_THAT(LoadTensors(*checkpoint, Everything(*checkpoint),
                            {.engine = engine,
                             .progress =
                                 [&](int64_t done, int64_t of) {
                                   EXPECT_GE(done, last);
                                   last = done;
                                   total = of;
                                 }}),
                IsOk());
    EXPECT_EQ(last, bytes);
    EXPECT_EQ(total, bytes);
  }
}

TEST(ShardLoaderTest, NothingIsLoadedAtOnce) {
  const auto checkpoint = Open(WriteTestFile(
      "empty.safetensors", SafetensorsFileWith({{"a", "F32", {0, 3}, 0}})));
  LoadReport report;
  auto views = LoadTensors(*checkpoint, Everything(*checkpoint), {}, &report);
  ASSERT_THAT(views, IsOk());
  EXPECT_EQ((*views)[0].nbytes, 0);
  EXPECT_EQ(report.files.size(), 0u);
}

}  // namespace
}  // namespace pretrained
