#include "checkpoint/save/write_shards.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::Each;

std::shared_ptr<SaveMonitor> Monitor(
    std::function<void(int64_t, int64_t)> report = {}) {
  return std::make_shared<SaveMonitor>(100, std::move(report));
}

TEST(WriteShardsTest, WritesEachOnce) {
  for (const int writers : {0, 1, 3, 50}) {
    std::vector<std::atomic<int>> times(20);
    ASSERT_THAT(WriteShards(20, writers, *Monitor(),
                            [&](size_t i) {
                              ++times[i];
                              return absl::OkStatus();
                            }),
                IsOk());
    for (const std::atomic<int>& count : times) EXPECT_EQ(count, 1);
  }
}

TEST(WriteShardsTest, TheFirstErrorEndsAllAndIsReturned) {
  const auto monitor = Monitor();
  const std::string bytes(1000, 'x');
  std::vector<TensorToWrite> tensors = {{.name = "a",
                                         .dtype = Dtype::kUint8,
                                         .shape = {1000},
                                         .data = bytes.data()}};
  monitor->Watch(tensors);
  std::atomic<int> written = 0;
  const absl::Status status =
      WriteShards(100, 4, *monitor, [&](size_t i) -> absl::Status {
        if (i == 1) return absl::ResourceExhaustedError("the disk is full");
        // As a writer that goes on until its tensors end.
        for (;;) {
          ++written;
          absl::Status s = ProduceBytes(
              tensors[0], [](absl::string_view) { return absl::OkStatus(); });
          if (!s.ok()) return s;
          absl::SleepFor(absl::Microseconds(100));
        }
      });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                               "the disk is full"));
  EXPECT_GT(written, 0);
}

TEST(WriteShardsTest, ReportsBytesOfAllThreads) {
  int64_t last = 0;
  const auto monitor = Monitor([&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 100);
    EXPECT_GT(done, last);
    last = done;
  });
  const std::string bytes(10, 'x');
  std::vector<TensorToWrite> tensors;
  for (int i = 0; i < 10; ++i) {
    tensors.push_back({.name = std::to_string(i),
                       .dtype = Dtype::kUint8,
                       .shape = {10},
                       .data = bytes.data()});
  }
  monitor->Watch(tensors);
  ASSERT_THAT(WriteShards(10, 3, *monitor,
                          [&](size_t i) {
                            return ProduceBytes(tensors[i],
                                                [&](absl::string_view piece) {
                                                  EXPECT_EQ(piece, bytes);
                                                  return absl::OkStatus();
                                                });
                          }),
              IsOk());
  EXPECT_EQ(last, 100);
}

TEST(WriteShardsTest, FewWritersWhereLittleIsWrittenOrBytesAreProduced) {
  constexpr int64_t kMuch = int64_t{1} << 30;
  std::vector<TensorToWrite> tensors = {{.name = "a", .data = &kMuch}};
  EXPECT_EQ(WritersFor(0, 1000, tensors), 1);
  EXPECT_GE(WritersFor(0, kMuch, tensors), 2);
  EXPECT_EQ(WritersFor(7, 1000, tensors), 7);
  tensors.push_back(
      {.name = "b", .produce = [](TensorSink) { return absl::OkStatus(); }});
  EXPECT_EQ(WritersFor(0, kMuch, tensors), 1);
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
