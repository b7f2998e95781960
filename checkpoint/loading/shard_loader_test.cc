#include "checkpoint/loading/shard_loader.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/engine_choice.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/loading/slow_storage.h"
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
using checkpoint_testing::SafetensorsFile;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::SafetensorsHeader;
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

// As save_pretrained() writes files: data start at a multiple of 8 bytes.
std::string AlignedFile(const std::vector<TestTensor>& tensors) {
  std::string json = SafetensorsHeader(tensors);
  json.append(-json.size() % 8, ' ');
  int64_t bytes = 0;
  for (const TestTensor& tensor : tensors) bytes += tensor.nbytes;
  return SafetensorsFile(json, bytes);
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

// 8 MB of what is mapped where that suits: more than counts as small.
std::vector<TestTensor> PlainTensors() {
  return {{"large", "F32", {1000, 1500}, 6000000},
          {"half", "F16", {1000000}, 2000000},
          {"vector", "F32", {300}, 1200}};
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
      Open(WriteTestFile("warm.safetensors", AlignedFile(PlainTensors())));
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
  const std::string path =
      WriteTestFile("room.safetensors", AlignedFile(PlainTensors()));
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

// What is mapped need not be aligned in the file; a tensor is.
TEST(ShardLoaderTest, EveryTensorIsAligned) {
  const auto checkpoint =
      Open(WriteTestFile("aligned.safetensors", HostileFile(4)));
  for (const ReadEngine engine : kAllEngines) {
    auto views =
        LoadTensors(*checkpoint, Everything(*checkpoint), {.engine = engine});
    ASSERT_THAT(views, IsOk());
    for (size_t i = 0; i < views->size(); ++i) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>((*views)[i].data) %
                    DtypeSize(checkpoint->tensors()[i].dtype),
                0u);
    }
  }
}

// A file that is cut short at any moment of a load is an error, or goes
// unnoticed until the load is done; it is no signal.
TEST(ShardLoaderTest, AFileCutShortAtAnyMomentIsNoSignal) {
  const std::string bytes = AlignedFile(
      {{"a", "F32", {100000}, 400000}, {"b", "F16", {100000}, 200000}});
  const std::string path = WriteTestFile("cut_any.safetensors", bytes);
  int failures = 0;
  for (int i = 0; i < 30; ++i) {
    for (const ReadEngine engine : kAllEngines) {
      WriteTestFile("cut_any.safetensors", bytes);
      const auto checkpoint = Open(path);
      std::vector<TensorRequest> requests = Everything(*checkpoint);
      if (i % 2 == 1) requests[1].dtype = Dtype::kFloat32;
      std::atomic<bool> begun = false;
      std::thread cutter([&] {
        while (!begun) std::this_thread::yield();
        absl::SleepFor(absl::Microseconds(i * 20));
        EXPECT_EQ(truncate(path.c_str(), 5000 + i * 19000), 0);
      });
      begun = true;
      const auto views = LoadTensors(*checkpoint, requests, {.engine = engine});
      cutter.join();
      if (views.ok()) continue;
      ++failures;
      EXPECT_THAT(views, StatusIs(absl::StatusCode::kDataLoss,
                                  HasSubstr("cut_any.safetensors")));
    }
  }
  EXPECT_GT(failures, 0);
}

TEST(ShardLoaderTest, PartsAndDestinations) {
  const auto checkpoint =
      Open(WriteTestFile("parts.safetensors", AlignedFile(PlainTensors())));
  const TensorInfo& large = **checkpoint->Find("large");
  const std::string stored = ReadBytes(*checkpoint, large);
  for (const ReadEngine engine : kAllEngines) {
    SCOPED_TRACE(ReadEngineName(engine));
    std::vector<double> caller(2 * 1500);
    const std::vector<TensorRequest> requests = {
        // Columns, as for one of several devices; and rows, for the caller.
        {&large, Dtype::kFloat32, {{0, 1000}, {375, 750}}},
        {&large,
         Dtype::kFloat64,
         {{998, 1000}},
         absl::MakeSpan(reinterpret_cast<char*>(caller.data()),
                        caller.size() * sizeof(double))}};
    LoadReport report;
    auto views =
        LoadTensors(*checkpoint, requests, {.engine = engine}, &report);
    ASSERT_THAT(views, IsOk());
    std::string columns;
    for (int64_t row = 0; row < 1000; ++row) {
      columns += stored.substr((row * 1500 + 375) * 4, 375 * 4);
    }
    EXPECT_EQ(BytesOf((*views)[0]), columns);
    EXPECT_EQ((*views)[1].data, caller.data());
    EXPECT_EQ((*views)[1].owner, nullptr);
    for (size_t i = 0; i < caller.size(); ++i) {
      float want;
      std::memcpy(&want, stored.data() + 998 * 6000 + 4 * i, 4);
      const bool same =
          std::isnan(want) ? std::isnan(caller[i]) : caller[i] == want;
      ASSERT_TRUE(same) << i;
    }
    EXPECT_EQ(report.files.size(), 1u);
  }
}

TEST(ShardLoaderTest, WrongPartsAndDestinationsAreRefusedFirst) {
  const auto checkpoint =
      Open(WriteTestFile("wrong.safetensors", AlignedFile(PlainTensors())));
  const TensorInfo& large = **checkpoint->Find("large");
  EXPECT_THAT(
      LoadTensors(*checkpoint, {{&large, Dtype::kFloat32, {{0, 1001}}}}),
      StatusIs(absl::StatusCode::kInvalidArgument));
  char byte;
  EXPECT_THAT(
      LoadTensors(*checkpoint,
                  {{&large, Dtype::kFloat32, {}, absl::MakeSpan(&byte, 1)}}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("has 1 bytes, but needs 6000000")));
}

// Storage that takes long to answer is read by many requests at a time.
TEST(ShardLoaderTest, SlowStorageIsStreamed) {
  const auto checkpoint =
      Open(WriteTestFile("slow.safetensors", AlignedFile(PlainTensors())));
  SlowStorage storage(
      {.latency = absl::Milliseconds(5), .max_request_bytes = 128 << 10});
  const LoaderOptions options = {
      .wrap_source = [&](std::unique_ptr<FileSource> source) {
        return storage.Wrap(std::move(source));
      }};
  LoadReport report;
  auto views =
      LoadTensors(*checkpoint, Everything(*checkpoint), options, &report);
  ASSERT_THAT(views, IsOk());
  EXPECT_EQ(report.Engines(), "streaming");
  ASSERT_TRUE(report.files[0].facts.latency.has_value());
  EXPECT_GE(*report.files[0].facts.latency, absl::Milliseconds(5));
  EXPECT_GE(report.files[0].read_bytes, 8001200);
  EXPECT_GT(report.files[0].gb_per_second(), 0);
  EXPECT_GT(storage.most_in_flight(), 1);
  for (size_t i = 0; i < views->size(); ++i) {
    EXPECT_EQ(BytesOf((*views)[i]),
              ReadBytes(*checkpoint, checkpoint->tensors()[i]));
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
