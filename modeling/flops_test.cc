#include "modeling/flops.h"

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "modeling/parameter_counts.h"

namespace pretrained {
namespace {

const std::vector<CountedTensor>& Tensors() {
  static const auto* const tensors = new std::vector<CountedTensor>{
      {.name = "embed.weight", .num_elements = 40, .is_embedding_weight = true},
      {.name = "head.bias", .num_elements = 10, .requires_grad = false},
      {.name = "ids", .num_elements = 99, .is_buffer = true}};
  return *tensors;
}

TEST(FlopsTest, SixForEachTokenAndParameterOutsideEmbeddings) {
  EXPECT_EQ(FloatingPointOps(Tensors(), 7), 6 * 7 * 10);
  EXPECT_EQ(FloatingPointOps(Tensors(), 7, /*exclude_embeddings=*/false),
            6 * 7 * 50);
  EXPECT_EQ(FloatingPointOps(Tensors(), 0), 0);
}

TEST(FlopsTest, CountsBeyond32Bits) {
  const std::vector<CountedTensor> large = {
      {.name = "w", .num_elements = int64_t{70} * 1000 * 1000 * 1000}};
  EXPECT_EQ(FloatingPointOps(large, 4096),
            int64_t{6} * 4096 * 70 * 1000 * 1000 * 1000);
}

}  // namespace
}  // namespace pretrained
