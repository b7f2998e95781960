#include "checkpoint/torch/strided_reader.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/types/span.h"
#include "checkpoint/torch/strided_copy.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;

// A file that counts what is read of it.
struct CountedFile {
  std::string bytes;
  int64_t reads = 0;
  int64_t bytes_read = 0;
  int64_t longest = 0;

  absl::Status operator()(int64_t offset, absl::Span<char> destination) {
    const int64_t size = static_cast<int64_t>(destination.size());
    EXPECT_GE(offset, 0);
    EXPECT_LE(offset + size, static_cast<int64_t>(bytes.size()));
    std::memcpy(destination.data(), bytes.data() + offset, size);
    ++reads;
    bytes_read += size;
    longest = std::max(longest, size);
    return absl::OkStatus();
  }
};

CountedFile FileOfSize(int64_t bytes) {
  CountedFile file;
  file.bytes.resize(bytes);
  std::mt19937 random(3);
  for (char& c : file.bytes) c = static_cast<char>(random());
  return file;
}

// Reads through `dimensions` at `begin`, and holds it to CopyStrided().
void ExpectReads(CountedFile& file, int64_t begin, int64_t element_bytes,
                 const std::vector<CopyDimension>& dimensions) {
  int64_t elements = 1;
  for (const CopyDimension& d : dimensions) elements *= d.count;
  std::string want(elements * element_bytes, '\0');
  std::string got = want;
  CopyStrided(file.bytes.data() + begin, want.data(), element_bytes,
              dimensions);
  EXPECT_THAT(ReadStrided(
                  [&](int64_t offset, absl::Span<char> destination) {
                    return file(offset, destination);
                  },
                  begin, element_bytes, dimensions, got.data()),
              IsOk());
  EXPECT_TRUE(got == want);
}

TEST(StridedReaderTest, ReadsAScalar) {
  CountedFile file = FileOfSize(100);
  ExpectReads(file, 30, 4, {});
  EXPECT_EQ(file.bytes_read, 4);
}

TEST(StridedReaderTest, ReadsASmallTensorAtOnce) {
  CountedFile file = FileOfSize(10'000);
  ExpectReads(file, 10, 2, GatherDimensions({30, 20}, {1, 30}));
  EXPECT_EQ(file.reads, 1);
  EXPECT_EQ(file.bytes_read, 1200);
}

TEST(StridedReaderTest, ReadsNothingOfATensorWithoutElements) {
  CountedFile file = FileOfSize(100);
  ExpectReads(file, 10, 2, GatherDimensions({3, 0}, {1, 3}));
  EXPECT_EQ(file.reads, 0);
}

TEST(StridedReaderTest, ReadsALargeTransposeOnceThroughALittleMemory) {
  CountedFile file = FileOfSize(40 << 20);
  ExpectReads(file, 0, 4, GatherDimensions({2560, 4096}, {1, 2560}));
  EXPECT_EQ(file.bytes_read, 40 << 20);
  EXPECT_LE(file.longest, 16 << 20);
  EXPECT_LE(file.reads, 4);
}

TEST(StridedReaderTest, ReadsLargeTensorsOfRankThree) {
  CountedFile file = FileOfSize(40 << 20);
  // [a, b, c] seen as [c, a, b]; one step along `a` is 20 MiB.
  ExpectReads(file, 0, 4,
              GatherDimensions({1024, 2, 5120}, {1, 5120 * 1024, 1024}));
  EXPECT_EQ(file.bytes_read, 40 << 20);
  EXPECT_LE(file.longest, 16 << 20);
}

TEST(StridedReaderTest, LeavesLongGapsOut) {
  CountedFile file = FileOfSize(32 << 20);
  // One column of F32[32, 262144].
  ExpectReads(file, 400, 4, GatherDimensions({32, 1}, {262144, 1}));
  EXPECT_EQ(file.reads, 32);
  EXPECT_EQ(file.bytes_read, 32 * 4);
}

TEST(StridedReaderTest, ReadsDenseRowsIntoPlace) {
  CountedFile file = FileOfSize(32 << 20);
  // Half of each row: runs of 512 KiB.
  ExpectReads(file, 0, 4, GatherDimensions({32, 131072}, {262144, 1}));
  EXPECT_EQ(file.reads, 32);
  EXPECT_EQ(file.bytes_read, 16 << 20);
}

TEST(StridedReaderTest, RepeatsAnExpandedTensor) {
  CountedFile file = FileOfSize(4000);
  ExpectReads(file, 0, 4, GatherDimensions({1000, 1000}, {0, 1}));
  EXPECT_EQ(file.bytes_read, 4000);
}

TEST(StridedReaderTest, ReadsWhatCopyStridedCopies) {
  CountedFile file = FileOfSize(1 << 20);
  std::mt19937 random(4);
  for (int round = 0; round < 500; ++round) {
    std::vector<int64_t> shape(1 + random() % 4);
    std::vector<int64_t> strides(shape.size());
    int64_t step = 1;
    std::vector<size_t> order(shape.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    for (const size_t i : order) {
      shape[i] = 1 + random() % 12;
      strides[i] = random() % 5 == 0 ? 0 : step;
      step *= shape[i] + (random() % 8 == 0 ? 3 : 0);
    }
    const int64_t element_bytes = int64_t{1} << (random() % 5);
    ExpectReads(file, random() % 100, element_bytes,
                GatherDimensions(shape, strides));
  }
}

TEST(StridedReaderTest, PassesTheErrorsOfReading) {
  char to[16];
  EXPECT_THAT(ReadStrided(
                  [](int64_t, absl::Span<char>) {
                    return absl::UnavailableError("gone");
                  },
                  0, 4, GatherDimensions({2, 2}, {1, 2}), to),
              StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
