#include "checkpoint/torch/strided_copy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

using ::testing::ElementsAre;

std::string RandomBytes(size_t size, std::mt19937& random) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

// One element at a time, by the definition.
void CopySlowly(const char* from, char* to, int64_t element_bytes,
                absl::Span<const CopyDimension> dimensions) {
  if (dimensions.empty()) {
    std::memcpy(to, from, element_bytes);
    return;
  }
  const CopyDimension& d = dimensions[0];
  for (int64_t i = 0; i < d.count; ++i) {
    CopySlowly(from + i * d.from_stride * element_bytes,
               to + i * d.to_stride * element_bytes, element_bytes,
               dimensions.subspan(1));
  }
}

// A dense tensor of a random shape, seen through random strides: permuted
// dimensions, steps, and repeated elements.
std::vector<CopyDimension> RandomDimensions(std::mt19937& random) {
  const int rank = static_cast<int>(random() % 6);
  std::vector<int64_t> shape(rank);
  std::vector<int64_t> strides(rank);
  std::vector<int> order(rank);
  for (int i = 0; i < rank; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  int64_t step = 1 + random() % 3;
  for (const int i : order) {
    const int64_t most = rank < 3 ? 70 : 9;
    shape[i] = random() % 20 == 0 ? 0 : 1 + random() % most;
    strides[i] = random() % 6 == 0 ? 0 : step;
    step *= shape[i] == 0 ? 1 : shape[i] + random() % 2;
  }
  return GatherDimensions(shape, strides);
}

TEST(StridedCopyTest, CopiesAsTheDefinitionSays) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    const std::vector<CopyDimension> dimensions = RandomDimensions(random);
    const int64_t element_bytes = int64_t{1} << (random() % 5);
    int64_t elements = 1;
    for (const CopyDimension& d : dimensions) elements *= d.count;
    SCOPED_TRACE(absl::StrCat("round ", round, ", ", dimensions.size(),
                              " dimensions, ", elements, " elements of ",
                              element_bytes, " bytes"));
    const std::string from =
        RandomBytes(SpanElements(dimensions) * element_bytes, random);
    std::string want(elements * element_bytes, '\0');
    std::string got = want;
    CopySlowly(from.data(), want.data(), element_bytes, dimensions);
    CopyStrided(from.data(), got.data(), element_bytes, dimensions);
    ASSERT_TRUE(got == want);
  }
}

// Neither end is aligned: torch's legacy files align nothing.
TEST(StridedCopyTest, CopiesFromAndToOddAddresses) {
  std::mt19937 random(2);
  for (const int64_t element_bytes : {2, 4, 8, 16}) {
    const std::vector<CopyDimension> transpose =
        GatherDimensions({50, 40}, {1, 50});
    const std::string from = RandomBytes(2000 * element_bytes + 1, random);
    std::string want(2000 * element_bytes, '\0');
    std::string got(2000 * element_bytes + 3, '\0');
    CopySlowly(from.data() + 1, want.data(), element_bytes, transpose);
    CopyStrided(from.data() + 1, got.data() + 3, element_bytes, transpose);
    EXPECT_EQ(got.substr(3), want);
  }
}

TEST(StridedCopyTest, WritesNothingWhereThereAreNoElements) {
  char to = 'x';
  CopyStrided(nullptr, &to, 1, GatherDimensions({3, 0, 2}, {2, 2, 1}));
  EXPECT_EQ(to, 'x');
  EXPECT_EQ(SpanElements(GatherDimensions({0, INT64_MAX}, {1, 1})), 0);
}

TEST(StridedCopyTest, SpansFromTheFirstToTheLastElement) {
  EXPECT_EQ(SpanElements({}), 1);
  EXPECT_EQ(SpanElements(GatherDimensions({3, 5}, {5, 1})), 15);
  EXPECT_EQ(SpanElements(GatherDimensions({5, 3}, {1, 5})), 15);
  EXPECT_EQ(SpanElements(GatherDimensions({4}, {0})), 1);
  EXPECT_EQ(SpanElements(GatherDimensions({4}, {7})), 22);
}

TEST(StridedCopyTest, GathersIntoRowMajorOrder) {
  EXPECT_THAT(GatherDimensions({2, 3, 4}, {1, 2, 6}),
              ElementsAre(CopyDimension{2, 1, 12}, CopyDimension{3, 2, 4},
                          CopyDimension{4, 6, 1}));
}

TEST(StridedCopyTest, SwapsTheBytesOfEachUnit) {
  const std::string bytes = "abcdefghijklmnop";
  const auto swapped = [&](int64_t unit) {
    std::string copy = bytes;
    SwapBytes(absl::MakeSpan(copy), unit);
    return copy;
  };
  EXPECT_EQ(swapped(1), "abcdefghijklmnop");
  EXPECT_EQ(swapped(2), "badcfehgjilknmpo");
  EXPECT_EQ(swapped(4), "dcbahgfelkjiponm");
  EXPECT_EQ(swapped(8), "hgfedcbaponmlkji");
}

}  // namespace
}  // namespace checkpoint_internal
}  // namespace pretrained
