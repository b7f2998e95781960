#include "checkpoint/loading/slow_storage.h"

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status_matchers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "checkpoint/loading/fake_file_source.h"
#include "checkpoint/loading/file_source.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;

// Reads bytes 0 to 1000 of a file in `threads` threads.
absl::Duration TimeToRead(SlowStorage& storage, int threads) {
  const std::string bytes(1000, 'x');
  const auto source = storage.Wrap(std::make_unique<FakeFileSource>(bytes));
  EXPECT_EQ(source->path(), "fake");
  const absl::Time start = absl::Now();
  std::vector<std::thread> readers;
  for (int i = 0; i < threads; ++i) {
    readers.emplace_back([&] {
      std::string got(bytes.size(), '?');
      EXPECT_THAT(ReadRange(*source, 0, got.size(), got.data()), IsOk());
      EXPECT_EQ(got, bytes);
    });
  }
  for (std::thread& reader : readers) reader.join();
  return absl::Now() - start;
}

TEST(SlowStorageTest, EachRequestTakesItsLatency) {
  SlowStorage storage(
      {.latency = absl::Milliseconds(3), .max_request_bytes = 100});
  EXPECT_GE(TimeToRead(storage, 1), absl::Milliseconds(30));
  EXPECT_EQ(storage.requests(), 10);
  EXPECT_EQ(storage.most_in_flight(), 1);
}

TEST(SlowStorageTest, RequestsWaitTogether) {
  SlowStorage storage({.latency = absl::Milliseconds(200)});
  EXPECT_LT(TimeToRead(storage, 8), absl::Milliseconds(8 * 200));
  EXPECT_GT(storage.most_in_flight(), 1);
}

TEST(SlowStorageTest, RequestsShareTheBandwidth) {
  SlowStorage storage({.bytes_per_second = 50000});
  EXPECT_GE(TimeToRead(storage, 4), absl::Milliseconds(4 * 1000 / 50));
}

}  // namespace
}  // namespace pretrained
