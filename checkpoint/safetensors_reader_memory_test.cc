// What a hostile header makes us allocate. This test replaces operator new, and
// so is a program of its own.

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/allocation_counter.h"
#include "checkpoint/safetensors_reader.h"
#include "checkpoint/safetensors_testutil.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using checkpoint_testing::ManyTensors;
using checkpoint_testing::SafetensorsFile;
using checkpoint_testing::SafetensorsFileWith;
using checkpoint_testing::WriteTestFile;

// Bytes that opening the file `content` allocates.
int64_t CostOfOpening(const std::string& content, absl::StatusCode want) {
  const std::string path = WriteTestFile("hostile.safetensors", content);
  const int64_t before = checkpoint_testing::AllocatedBytes();
  const absl::Status status = SafetensorsReader::Open(path).status();
  const int64_t cost = checkpoint_testing::AllocatedBytes() - before;
  EXPECT_EQ(status.code(), want) << status;
  return cost;
}

constexpr int64_t kSmall = 100'000;

TEST(SafetensorsReaderMemoryTest, AllocatesNothingForALengthThatIsALie) {
  for (const uint64_t length :
       {uint64_t{100'000'000}, uint64_t{100'000'001}, ~uint64_t{0}}) {
    std::string file = SafetensorsFile("{}", 0);
    for (int i = 0; i < 8; ++i) {
      file[i] = static_cast<char>(length >> (8 * i) & 0xFF);
    }
    EXPECT_LT(CostOfOpening(file, absl::StatusCode::kDataLoss), kSmall)
        << length;
  }
}

TEST(SafetensorsReaderMemoryTest, AllocatesNothingForAShapeThatIsALie) {
  for (const char* shape :
       {"[9223372036854775807]", "[9223372036854775808]",
        "[4294967296,4294967296]", "[9223372036854775807,0]"}) {
    const std::string json = absl::StrCat(R"({"a":{"dtype":"F32","shape":)",
                                          shape, R"(,"data_offsets":[0,4]}})");
    EXPECT_LT(
        CostOfOpening(SafetensorsFile(json, 4), absl::StatusCode::kDataLoss),
        kSmall)
        << shape;
  }
}

TEST(SafetensorsReaderMemoryTest, AllocatesInProportionToTheHeader) {
  const std::string file = SafetensorsFileWith(ManyTensors(10'000));
  EXPECT_LT(CostOfOpening(file, absl::StatusCode::kOk),
            20 * static_cast<int64_t>(file.size()));
}

// The bound is on all that was ever allocated; less is held at a time.
TEST(SafetensorsReaderMemoryTest, BoundsWhatABrokenHeaderCosts) {
  for (const std::string& json :
       {"{" + std::string(1'000'000, '['), "{\"" + std::string(1'000'000, 'x'),
        "{" + std::string(1'000'000, ' ') + "]"}) {
    EXPECT_LT(
        CostOfOpening(SafetensorsFile(json, 0), absl::StatusCode::kDataLoss),
        50 * static_cast<int64_t>(json.size()));
  }
}

}  // namespace
}  // namespace pretrained
