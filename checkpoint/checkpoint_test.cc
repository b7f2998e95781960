#include "checkpoint/checkpoint.h"

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace pretrained {
namespace {

TensorInfo WithShape(std::vector<int64_t> shape) {
  TensorInfo tensor;
  tensor.shape = std::move(shape);
  return tensor;
}

TEST(TensorInfoTest, CountsElements) {
  EXPECT_EQ(WithShape({}).num_elements(), 1);
  EXPECT_EQ(WithShape({7}).num_elements(), 7);
  EXPECT_EQ(WithShape({2, 3, 5}).num_elements(), 30);
  EXPECT_EQ(WithShape({4, 0, 5}).num_elements(), 0);
}

TEST(TensorInfoTest, SaturatesWhereACountOverflows) {
  const int64_t big = int64_t{1} << 40;
  EXPECT_EQ(WithShape({big, big}).num_elements(),
            std::numeric_limits<int64_t>::max());
}

TEST(TensorInfoTest, CountsBytesFromItsRange) {
  TensorInfo tensor;
  tensor.begin = 100;
  tensor.end = 116;
  EXPECT_EQ(tensor.nbytes(), 16);
}

}  // namespace
}  // namespace pretrained
