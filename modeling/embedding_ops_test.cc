#include "modeling/embedding_ops.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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
using ::testing::AllOf;
using ::testing::HasSubstr;

const ModuleOptions kOnCpu{.device = at::kCPU};

struct RowsCase {
  int64_t current;
  std::optional<int64_t> asked;
  std::optional<int64_t> multiple;
  int64_t rows;
};

TEST(ResizedRowsTest, RoundsUpAndKeepsWhenNothingIsAsked) {
  constexpr RowsCase kCases[] = {
      {120, 130, std::nullopt, 130},
      {120, 1, std::nullopt, 1},
      {120, std::nullopt, std::nullopt, 120},
      {120, std::nullopt, 64, 128},
      {128, std::nullopt, 64, 128},
      {120, 129, 64, 192},
      {120, 1, 1, 1},
      {30522, 30522, 8, 30528},
  };
  for (const RowsCase& test : kCases) {
    EXPECT_THAT(ResizedRows(test.current, test.asked, test.multiple),
                IsOkAndHolds(test.rows))
        << test.rows;
  }
}

TEST(ResizedRowsTest, RefusesNoRowsAndWhatWouldOverflow) {
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  for (const int64_t asked : {int64_t{0}, int64_t{-3}, kLargest}) {
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

TEST(WithLengthTest, KeepsBitsAlongEitherDimension) {
  // A NaN with a payload of its own, which arithmetic would not keep.
  at::Tensor old = at::arange(6).to(at::kFloat).view({2, 3});
  at::Tensor bits = old.view(at::kInt);
  bits.select(0, 0).select(0, 1).fill_(0x7fc00123);
  const auto fill = [](const at::Tensor& added) { added.fill_(7.0); };
  const at::Tensor longer = WithLength(old, 0, 4, fill);
  EXPECT_TRUE(at::equal(longer.narrow(0, 0, 2).view(at::kInt), bits));
  EXPECT_TRUE(at::equal(longer.narrow(0, 2, 2), at::full({2, 3}, 7.0)));
  const at::Tensor wider = WithLength(old, 1, 4, fill);
  EXPECT_TRUE(
      at::equal(wider.narrow(1, 0, 3).contiguous().view(at::kInt), bits));
  EXPECT_TRUE(at::equal(wider.select(1, 3), at::full({2}, 7.0)));
  const at::Tensor shorter = WithLength(old, 0, 1, fill);
  EXPECT_TRUE(at::equal(shorter.view(at::kInt), bits.narrow(0, 0, 1)));
  EXPECT_EQ(shorter.storage().nbytes(), 3 * sizeof(float)) << "holds all";
}

TEST(WithLengthTest, KeepsTheDtypeAndDrawsNothingNew) {
  const at::Tensor old = at::ones({2, 3}, at::dtype(at::kBFloat16));
  const auto never = [](const at::Tensor&) { ADD_FAILURE(); };
  EXPECT_EQ(WithLength(old, 0, 2, never).scalar_type(), at::kBFloat16);
}

// Tokens "in" [4, 3]; scores of them from "out", a Linear or a Conv1D.
class Vocabulary {
 public:
  explicit Vocabulary(bool transposed, bool tied = false)
      : node_{.class_name = "Model",
              .children = {EmbeddingNode("in", 4, 3),
                           transposed ? Conv1DNode("out", 3, 4)
                                      : LinearNode("out", 3, 4)}},
        model_(std::make_shared<Container>(node_, kOnCpu)) {
    model_->Add<Embedding>(node_, "in", kOnCpu, /*padding_idx=*/0);
    if (transposed) {
      model_->Add<Conv1D>(node_, "out", kOnCpu);
    } else {
      model_->Add<Linear>(node_, "out", kOnCpu);
    }
    if (tied) {
      EXPECT_THAT(model_->TieTensors({"in.weight", "out.weight"}), IsOk());
    }
    at::NoGradGuard no_grad;
    for (const Module::NamedSlot& slot : model_->TensorSlots()) {
      at::Tensor(slot.tensor).fill_(1.0);
    }
  }

  Module& model() { return *model_; }
  auto Resized(int64_t rows) {
    return ResizedTensors(
        model(), {.input = "in", .output = "out"}, rows,
        [](const Module&, absl::string_view name, const at::Tensor& added) {
          added.fill_(name == "in.weight" ? 7.0 : 8.0);
        });
  }

 private:
  ModuleNode node_;
  std::shared_ptr<Container> model_;
};

TEST(ResizedTensorsTest, TheOutputAndItsBiasFollow) {
  for (const bool transposed : {false, true}) {
    Vocabulary vocabulary(transposed);
    auto resized = vocabulary.Resized(6);
    ASSERT_THAT(resized, IsOk());
    EXPECT_EQ(resized->size(), 3u);
    EXPECT_TRUE(at::equal(resized->at("in.weight").narrow(0, 4, 2),
                          at::full({2, 3}, 7.0)));
    const int64_t dim = transposed ? 1 : 0;
    const at::Tensor& out = resized->at("out.weight");
    EXPECT_EQ(out.size(dim), 6);
    EXPECT_EQ(out.size(1 - dim), 3);
    EXPECT_TRUE(out.narrow(dim, 4, 2).eq(8.0).all().item<bool>());
    EXPECT_TRUE(out.narrow(dim, 0, 4).eq(1.0).all().item<bool>());
    EXPECT_TRUE(at::equal(
        resized->at("out.bias"),
        at::tensor({1.0, 1.0, 1.0, 1.0, 0.0, 0.0}, at::dtype(at::kFloat))));
  }
}

TEST(ResizedTensorsTest, ATiedMatrixIsResizedOnce) {
  Vocabulary vocabulary(/*transposed=*/false, /*tied=*/true);
  auto resized = vocabulary.Resized(5);
  ASSERT_THAT(resized, IsOk());
  EXPECT_EQ(resized->size(), 2u);
  EXPECT_TRUE(resized->contains("in.weight"));
  EXPECT_TRUE(resized->contains("out.bias"));
}

TEST(ResizedTensorsTest, ShrinksAndLeavesWhatFits) {
  Vocabulary vocabulary(/*transposed=*/false);
  auto resized = vocabulary.Resized(2);
  ASSERT_THAT(resized, IsOk());
  EXPECT_EQ(resized->at("out.weight").size(0), 2);
  EXPECT_EQ(resized->at("out.bias").size(0), 2);
  ASSERT_THAT(vocabulary.model().ReplaceTensors(*resized), IsOk());
  resized = vocabulary.Resized(2);
  ASSERT_THAT(resized, IsOk());
  EXPECT_TRUE(resized->empty());
}

TEST(ResizedTensorsTest, APathThatIsNotThereIsNotFound) {
  Vocabulary vocabulary(/*transposed=*/false);
  const auto nothing = [](const Module&, absl::string_view, const at::Tensor&) {
  };
  EXPECT_THAT(
      ResizedTensors(vocabulary.model(), {.input = "embed"}, 5, nothing)
          .status(),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no module 'embed'")));
  EXPECT_THAT(
      ResizedTensors(vocabulary.model(), {.input = "in", .output = "head"}, 5,
                     nothing)
          .status(),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no module 'head'")));
}

TEST(FindModuleTest, FindsByPath) {
  Vocabulary vocabulary(/*transposed=*/true);
  EXPECT_EQ(FindModule(vocabulary.model(), "out")->class_name(), "Conv1D");
  EXPECT_EQ(FindModule(vocabulary.model(), ""), &vocabulary.model());
  EXPECT_EQ(FindModule(vocabulary.model(), "head"), nullptr);
}

TEST(CheckReplacementTest, WantsTheSameShapeAndAFloatingDtype) {
  const at::Tensor old = at::ones({4, 3});
  EXPECT_THAT(CheckReplacement("x", old, old.to(at::kHalf)), IsOk());
  EXPECT_THAT(CheckReplacement("x", old, at::ones({5, 3})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("x: is [5, 3], but [4, 3]"),
                             HasSubstr("resize"))));
  EXPECT_THAT(CheckReplacement("x", old, old.to(at::kLong)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("floating dtype")));
  EXPECT_THAT(
      CheckReplacement("x", old, at::Tensor()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not given")));
}

}  // namespace
}  // namespace pretrained
