#include "checkpoint/loading/file_latency.h"

#include <cerrno>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "checkpoint/loading/fake_file_source.h"
#include "checkpoint/loading/slow_storage.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

TEST(MeasureLatencyTest, IsWhatARequestTakes) {
  SlowStorage storage({.latency = absl::Milliseconds(4)});
  const auto source =
      storage.Wrap(std::make_unique<FakeFileSource>(std::string(99, 'x')));
  const std::optional<absl::Duration> latency = MeasureLatency(*source, 9, 99);
  ASSERT_TRUE(latency.has_value());
  EXPECT_GE(*latency, absl::Milliseconds(4));
  EXPECT_EQ(storage.requests(), 3);
}

TEST(MeasureLatencyTest, WhatFailsAndWhatIsEmptyIsNotMeasured) {
  FakeFileSource source(std::string(99, 'x'));
  EXPECT_EQ(MeasureLatency(source, 50, 50), std::nullopt);
  EXPECT_EQ(MeasureLatency(source, 0, 500), std::nullopt);
  source.errors = {0, 0, 0, EIO};
  EXPECT_EQ(MeasureLatency(source, 0, 99), std::nullopt);
}

}  // namespace
}  // namespace pretrained
