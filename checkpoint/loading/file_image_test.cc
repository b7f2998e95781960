#include "checkpoint/loading/file_image.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "absl/status/status_matchers.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/loading/read_plan.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;

TEST(FileImageTest, LiesAsTheFileDoes) {
  // Two reads that share a block, and one far away.
  const ReadPlan plan =
      PlanReads({{.tensor = 0, .begin = 100, .end = 9000},
                 {.tensor = 1, .begin = 9000, .end = 12000},
                 {.tensor = 2, .begin = 900000, .end = 900001}},
                {.max_read_bytes = 8192});
  auto image = FileImage::Make(plan);
  ASSERT_THAT(image, IsOk());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(image->At(0)) % kDirectAlignment, 0u);
  EXPECT_EQ(image->At(11999) - image->At(0), 11999);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(image->At(900000)) % kDirectAlignment,
            900000u % kDirectAlignment);
}

TEST(FileImageTest, PartsOutliveIt) {
  std::shared_ptr<void> part;
  {
    auto image =
        FileImage::Make(PlanReads({{.tensor = 0, .begin = 7, .end = 5000}}));
    ASSERT_THAT(image, IsOk());
    std::memset(image->At(7), 'x', 4993);
    part = image->Part(7, 5000);
    EXPECT_EQ(part.get(), image->At(7));
  }
  EXPECT_EQ(std::string(static_cast<char*>(part.get()), 4993),
            std::string(4993, 'x'));
}

}  // namespace
}  // namespace pretrained
