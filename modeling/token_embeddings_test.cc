#include "modeling/token_embeddings.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layers.h"
#include "modeling/layout_nodes.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::IsOkAndHolds;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

struct RowsCase {
  int64_t current;
  int64_t asked;
  std::optional<int64_t> multiple;
  int64_t rows;
};

TEST(ResizedRowsTest, RoundsUpAndKeepsWhenNothingIsAsked) {
  constexpr RowsCase kCases[] = {
      {120, 130, std::nullopt, 130},
      {120, 1, std::nullopt, 1},
      {120, -1, std::nullopt, 120},
      {120, -1, 64, 128},
      {128, -1, 64, 128},
      {120, 129, 64, 192},
      {120, 1, 1, 1},
      {30522, 30522, 8, 30528},
  };
  for (const RowsCase& test : kCases) {
    EXPECT_THAT(ResizedRows(test.current, test.asked, test.multiple),
                IsOkAndHolds(test.rows))
        << test.asked;
  }
}

TEST(ResizedRowsTest, RefusesNoRowsAndWhatWouldOverflow) {
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  for (const int64_t asked : {int64_t{0}, kLargest}) {
    EXPECT_THAT(ResizedRows(120, asked, std::nullopt),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("a vocabulary of ")));
  }
  for (const int64_t multiple : {int64_t{0}, int64_t{-8}, kLargest}) {
    EXPECT_THAT(ResizedRows(120, 130, multiple),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("pad_to_multiple_of is ")));
  }
}

std::shared_ptr<Embedding> MakeEmbedding() {
  auto embedding = std::make_shared<Embedding>(
      EmbeddingNode("x", 4, 3), ModuleOptions{.device = at::kCPU});
  at::NoGradGuard no_grad;
  at::Tensor weight = embedding->parameter("weight");
  weight.copy_(at::arange(12).reshape({4, 3}));
  return embedding;
}

void FillWithSeven(const Module&, const at::Tensor& tensor) {
  tensor.fill_(7.0);
}

TEST(ResizeEmbeddingRowsTest, KeepsOldRowsAndDrawsTheFurtherOnes) {
  auto embedding = MakeEmbedding();
  const at::Tensor before = embedding->parameter("weight").detach().clone();
  EXPECT_THAT(ResizeEmbeddingRows(*embedding, "weight", 5, 4, FillWithSeven),
              IsOkAndHolds(8));
  const at::Tensor& weight = embedding->parameter("weight");
  EXPECT_EQ(weight.sizes(), at::IntArrayRef({8, 3}));
  EXPECT_TRUE(at::equal(weight.narrow(0, 0, 4), before));
  EXPECT_TRUE(at::equal(weight.narrow(0, 4, 4), at::full({4, 3}, 7.0)));
  EXPECT_TRUE(weight.requires_grad());
  EXPECT_TRUE(weight.is_leaf());
}

TEST(ResizeEmbeddingRowsTest, DropsTheLastRows) {
  auto embedding = MakeEmbedding();
  const at::Tensor before = embedding->parameter("weight").detach().clone();
  EXPECT_THAT(
      ResizeEmbeddingRows(*embedding, "weight", 2, std::nullopt, FillWithSeven),
      IsOkAndHolds(2));
  EXPECT_TRUE(
      at::equal(embedding->parameter("weight"), before.narrow(0, 0, 2)));
}

TEST(ResizeEmbeddingRowsTest, TheSameNumberIsTheSameTensor) {
  auto embedding = MakeEmbedding();
  const at::Tensor before = embedding->parameter("weight");
  EXPECT_THAT(ResizeEmbeddingRows(*embedding, "weight", -1, std::nullopt,
                                  FillWithSeven),
              IsOkAndHolds(4));
  EXPECT_TRUE(embedding->parameter("weight").is_same(before));
}

TEST(ResizeEmbeddingRowsTest, AnUnknownNameIsNotFound) {
  EXPECT_THAT(ResizeEmbeddingRows(*MakeEmbedding(), "embed.weight", 5,
                                  std::nullopt, FillWithSeven),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no parameter 'embed.weight'")));
}

// A Container of one output, "head", of two rows.
std::shared_ptr<Container> MakeOutput() {
  const ModuleNode node{.class_name = "Model",
                        .children = {LinearNode("head", 3, 2)}};
  const ModuleOptions options{.device = at::kCPU};
  auto model = std::make_shared<Container>(node, options);
  auto head = model->Add<Linear>(node, "head", options);
  at::NoGradGuard no_grad;
  at::Tensor(head->parameter("weight")).fill_(1.0);
  at::Tensor(head->parameter("bias")).fill_(2.0);
  return model;
}

TEST(ResizeOutputRowsTest, DrawsRowsAndGivesThemNoBias) {
  const auto model = MakeOutput();
  EXPECT_THAT(ResizeOutputRows(*model, "head", 3, FillWithSeven), IsOk());
  const auto slots = model->TensorSlots();
  ASSERT_EQ(slots.size(), 2u);
  EXPECT_TRUE(at::equal(slots[0].tensor.select(1, 0),
                        at::tensor({1.0, 1.0, 7.0}, at::dtype(at::kFloat))));
  EXPECT_TRUE(at::equal(slots[1].tensor,
                        at::tensor({2.0, 2.0, 0.0}, at::dtype(at::kFloat))));
}

TEST(ResizeOutputRowsTest, DropsRowsAndTheirBias) {
  const auto model = MakeOutput();
  EXPECT_THAT(ResizeOutputRows(*model, "head", 1, FillWithSeven), IsOk());
  for (const auto& slot : model->TensorSlots()) {
    EXPECT_EQ(slot.tensor.size(0), 1) << slot.name;
  }
  EXPECT_THAT(ResizeOutputRows(*model, "tail", 1, FillWithSeven),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace pretrained
