#include "tools/progress_bar.h"

#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

TEST(ProgressLineTest, ShowsShareBarBytesAndTimeLeft) {
  EXPECT_EQ(ProgressLine("loading", 41, 100, absl::Seconds(41)),
            "loading  41% [########............] 41 B of 100 B, 59 s left");
  EXPECT_EQ(
      ProgressLine("loading", 5'600'000'000, 13'500'000'000, absl::Seconds(8)),
      "loading  41% [########............] 5.60 GB of 13.5 GB, 11 s left");
}

TEST(ProgressLineTest, SaysNothingOfTimeAtTheStartAndTheEnd) {
  EXPECT_EQ(ProgressLine("x", 0, 100, absl::Seconds(1)),
            "x   0% [....................] 0 B of 100 B");
  EXPECT_EQ(ProgressLine("x", 100, 100, absl::Seconds(1)),
            "x 100% [####################] 100 B of 100 B");
}

TEST(ProgressLineTest, StaysABarWhateverTheNumbers) {
  EXPECT_EQ(ProgressLine("x", 0, 0, absl::ZeroDuration()),
            "x 100% [####################] 0 B of 0 B");
  EXPECT_EQ(ProgressLine("x", 300, 100, absl::Seconds(1)),
            "x 100% [####################] 300 B of 100 B");
  EXPECT_EQ(ProgressLine("x", -5, 100, absl::Seconds(1)),
            "x   0% [....................] -5 B of 100 B");
}

// As in tests, and wherever stderr goes to a file.
TEST(ProgressBarTest, ShowsNothingWhenStderrIsNoTerminal) {
  ::testing::internal::CaptureStderr();
  {
    ProgressBar bar("loading");
    bar.Update(1, 2);
    absl::SleepFor(absl::Milliseconds(1100));
    bar.Update(2, 2);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace pretrained
