#include "modeling/operator_flops.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "ATen/core/ivalue.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

using Inputs = std::vector<c10::IValue>;

at::Tensor Of(at::IntArrayRef sizes, at::ScalarType type = at::kFloat) {
  return at::empty(sizes, at::dtype(type).device(at::kMeta));
}

struct Call {
  const char* name;
  Inputs inputs;
  int64_t matmul;
  int64_t other;
};

TEST(OperatorFlopsTest, CountsWhatItSays) {
  const c10::IValue none;
  const std::vector<Call> calls = {
      {"mm", {Of({2, 3}), Of({3, 5})}, 2 * 2 * 3 * 5, 0},
      {"bmm", {Of({4, 2, 3}), Of({4, 3, 5})}, 2 * 4 * 2 * 3 * 5, 0},
      {"addmm", {Of({5}), Of({2, 3}), Of({3, 5})}, 2 * 2 * 3 * 5, 2 * 5},
      {"baddbmm",
       {Of({4, 1, 5}), Of({4, 2, 3}), Of({4, 3, 5})},
       2 * 4 * 2 * 3 * 5,
       4 * 2 * 5},
      {"mv", {Of({2, 3}), Of({3})}, 2 * 2 * 3, 0},
      {"dot", {Of({3}), Of({3})}, 2 * 3, 0},
      {"addmv", {Of({2}), Of({2, 3}), Of({3})}, 2 * 2 * 3, 2},
      {"few_row_linear", {Of({2, 1, 3}), Of({5, 3}), Of({5})}, 60, 10},
      {"few_row_linear", {Of({2, 3}), Of({3, 5}), at::Tensor()}, 60, 0},
      // Two rows of three heads, queries 4, keys 7, sizes 5 and 6.
      {"scaled_dot_product_attention",
       {Of({2, 3, 4, 5}), Of({2, 3, 7, 5}), Of({2, 3, 7, 6}), none},
       2 * 6 * 4 * 7 * (5 + 6),
       6 * 6 * 4 * 7},
      {"scaled_dot_product_attention",
       {Of({2, 3, 4, 5}), Of({2, 3, 7, 5}), Of({2, 3, 7, 5}), Of({4, 7})},
       2 * 6 * 4 * 7 * 10,
       7 * 6 * 4 * 7},
      {"_softmax", {Of({2, 3}), -1, false}, 0, 30},
      {"native_layer_norm",
       {Of({2, 3}), std::vector<int64_t>{3}, Of({3}), Of({3}), 1e-5},
       0,
       42},
      {"native_layer_norm",
       {Of({2, 3}), std::vector<int64_t>{3}, none, none, 1e-5},
       0,
       30},
      {"gelu", {Of({2}), std::string("none")}, 0, 10},
      {"gelu", {Of({2}), std::string("tanh")}, 0, 16},
      // Broadcast: [2, 3, 4].
      {"mul", {Of({2, 1, 4}), Of({3, 1})}, 0, 24},
      {"add", {Of({2, 1}), Of({3}), 1}, 0, 6},
      {"add", {Of({2, 1}), Of({3}), 2}, 0, 12},
      {"sub", {Of({2, 3}), 0.5, 1}, 0, 6},
      {"clamp", {Of({6}), 0, 1}, 0, 12},
      {"clamp", {Of({6}), none, 1}, 0, 6},
      {"mean", {Of({2, 3})}, 0, 6},
      {"nll_loss_forward", {Of({4, 9}), Of({4}, at::kLong)}, 0, 4},
      // Numbers that are not floating.
      {"add", {Of({2, 3}, at::kLong), Of({3}, at::kInt), 1}, 0, 0},
      {"mul", {Of({2, 3}, at::kLong), 0.5}, 0, 6},
      {"cumsum", {Of({2, 3}, at::kLong), 1}, 0, 0},
      {"mm", {Of({2, 3}, at::kLong), Of({3, 5}, at::kLong)}, 0, 0},
      // Nothing to do.
      {"mm", {Of({0, 3}), Of({3, 5})}, 0, 0},
      {"addmm", {Of({5}), Of({2, 0}), Of({0, 5})}, 0, 0},
      {"scaled_dot_product_attention",
       {Of({2, 3, 0, 5}), Of({2, 3, 0, 5}), Of({2, 3, 0, 5})},
       0,
       0},
  };
  for (const Call& call : calls) {
    SCOPED_TRACE(call.name);
    const std::optional<OperatorFlops> flops =
        FlopsOfOperator(call.name, call.inputs);
    ASSERT_TRUE(flops.has_value());
    EXPECT_EQ(flops->matmul, call.matmul);
    EXPECT_EQ(flops->other, call.other);
    EXPECT_EQ(flops->total(), call.matmul + call.other);
  }
}

TEST(OperatorFlopsTest, AnOperatorEitherComputesOrIsKnownNotTo) {
  for (const char* name : {"mm", "_softmax", "add", "silu"}) {
    EXPECT_FALSE(ComputesNothing(name)) << name;
  }
  for (const char* name : {"view", "copy", "embedding", "where", "argmax"}) {
    EXPECT_TRUE(ComputesNothing(name)) << name;
    EXPECT_FALSE(FlopsOfOperator(name, {}).has_value()) << name;
  }
  EXPECT_FALSE(ComputesNothing("convolution"));
  EXPECT_FALSE(FlopsOfOperator("convolution", {}).has_value());
}

TEST(OperatorFlopsTest, SeesFloatingTensorsInListsToo) {
  EXPECT_TRUE(HasFloatingTensor(Inputs{1, Of({2}, at::kHalf)}));
  EXPECT_TRUE(HasFloatingTensor(
      Inputs{std::vector<at::Tensor>{Of({2}, at::kLong), Of({2})}}));
  EXPECT_FALSE(HasFloatingTensor(Inputs{1.5, at::Tensor(), c10::IValue()}));
  EXPECT_FALSE(HasFloatingTensor(
      Inputs{std::vector<at::Tensor>{Of({2}, at::kLong), at::Tensor()}}));
}

}  // namespace
}  // namespace pretrained
