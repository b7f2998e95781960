#include "modeling/head_pruning.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/attention_heads.h"
#include "modeling/layers.h"
#include "modeling/layout_nodes.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;
using Side = HeadProjection::Side;

const ModuleOptions kOnCpu{.device = at::kCPU};

std::vector<int64_t> Numbers(const at::Tensor& tensor) {
  const at::Tensor whole = tensor.to(at::kLong).contiguous();
  return {whole.const_data_ptr<int64_t>(),
          whole.const_data_ptr<int64_t>() + whole.numel()};
}

// A layer whose weight and bias count from 0.
template <typename Layer>
std::shared_ptr<Layer> Counting(const ModuleNode& node) {
  auto layer = std::make_shared<Layer>(node, kOnCpu);
  at::NoGradGuard no_grad;
  for (const Module::NamedSlot& slot : layer->TensorSlots()) {
    at::Tensor tensor = slot.tensor;
    tensor.copy_(at::arange(tensor.numel()).view(tensor.sizes()));
  }
  return layer;
}

TEST(CopyIndicesTest, CopiesEntriesAlongEitherDimensionInAnyOrder) {
  const at::Tensor matrix = at::arange(12).reshape({3, 4});
  for (const std::vector<int64_t>& index :
       std::vector<std::vector<int64_t>>{{0, 1, 2}, {2, 0}, {1}, {}}) {
    const at::Tensor wanted = at::tensor(index, at::dtype(at::kLong));
    for (const int64_t dim : {0, 1}) {
      absl::StatusOr<at::Tensor> copy = CopyIndices(matrix, dim, index);
      ASSERT_THAT(copy, IsOk());
      EXPECT_TRUE(at::equal(*copy, matrix.index_select(dim, wanted)));
      EXPECT_TRUE(copy->is_contiguous());
    }
  }
  EXPECT_THAT(CopyIndices(matrix, 0, {0, 3}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("index 3 is not one of 3")));
}

TEST(PruneLayerTest, IsThePeers) {
  const NamedTensors golden =
      ReadGolden("testdata/surgery/pruning/functions/layers.safetensors", "");
  const std::vector<int64_t> index = Numbers(golden.at("index"));
  for (const int64_t dim : {0, 1}) {
    auto linear = std::make_shared<Linear>(LinearNode("x", 6, 8), kOnCpu);
    auto conv1d = std::make_shared<Conv1D>(Conv1DNode("x", 6, 8), kOnCpu);
    for (Module* layer : std::vector<Module*>{linear.get(), conv1d.get()}) {
      const bool is_linear = layer == linear.get();
      const std::string prefix = is_linear ? "linear." : "conv1d.";
      ASSERT_THAT(
          layer->ReplaceTensors({{"weight", golden.at(prefix + "weight")},
                                 {"bias", golden.at(prefix + "bias")}}),
          IsOk());
      EXPECT_THAT(is_linear ? PruneLinearLayer(*linear, index, dim)
                            : PruneConv1DLayer(*conv1d, index, dim),
                  IsOk());
      const std::string want = prefix + "dim" + std::to_string(dim);
      for (const char* name : {".weight", ".bias"}) {
        EXPECT_TRUE(
            at::equal(layer->parameter(name + 1), golden.at(want + name)))
            << want << name;
      }
    }
  }
}

TEST(PruneLayerTest, KeepsWhatIsNoNumber) {
  auto linear = Counting<Linear>(LinearNode("x", 3, 4));
  at::Tensor(linear->parameter("weight")).set_requires_grad(false);
  EXPECT_THAT(PruneLinearLayer(*linear, {1, 3}), IsOk());
  EXPECT_FALSE(linear->parameter("weight").requires_grad());
  EXPECT_TRUE(linear->parameter("bias").requires_grad());
  EXPECT_TRUE(linear->parameter("bias").is_leaf());
}

TEST(PruneLayerTest, ABadIndexChangesNothing) {
  auto linear = Counting<Linear>(LinearNode("x", 5, 4));
  const at::Tensor weight = linear->parameter("weight");
  EXPECT_THAT(PruneLinearLayer(*linear, {1, 4}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("index 4 is not one of 4")));
  EXPECT_THAT(PruneLinearLayer(*linear, {-1}, 1),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      PruneLinearLayer(*linear, {1}, 2),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dim is 2")));
  EXPECT_TRUE(linear->parameter("weight").is_same(weight));
}

// Two heads of one number: made by `qkv`, read by `out`.
class TwoHeads {
 public:
  TwoHeads()
      : node_{.class_name = "Model",
              .children = {Conv1DNode("qkv", 2, 6), LinearNode("out", 2, 3)}},
        model_(std::make_shared<Container>(node_, kOnCpu)) {
    model_->Add<Conv1D>(node_, "qkv", kOnCpu);
    model_->Add<Linear>(node_, "out", kOnCpu);
    at::NoGradGuard no_grad;
    for (const Module::NamedSlot& slot : model_->TensorSlots()) {
      at::Tensor tensor = slot.tensor;
      tensor.copy_(at::arange(tensor.numel()).view(tensor.sizes()));
    }
  }

  Module& model() { return *model_; }
  AttentionHeads heads() const {
    return {.num_layers = 1, .num_heads = 2, .projections = [](int64_t) {
              return std::vector<HeadProjection>{
                  {.module = "qkv", .head_size = 1, .parts = 3},
                  {"out", 1, Side::kInputs}};
            }};
  }

 private:
  ModuleNode node_;
  std::shared_ptr<Container> model_;
};

TEST(PrunedTensorsTest, TakesOutputsAndInputsAndLeavesTheModel) {
  TwoHeads two;
  auto tensors = PrunedTensors(two.model(), "", two.heads(), {{0, {0}}});
  ASSERT_THAT(tensors, IsOk());
  EXPECT_EQ(tensors->size(), 3u);
  EXPECT_EQ(Numbers(tensors->at("qkv.bias")), (std::vector<int64_t>{1, 3, 5}));
  EXPECT_EQ(Numbers(tensors->at("qkv.weight")),
            (std::vector<int64_t>{1, 3, 5, 7, 9, 11}));
  EXPECT_EQ(Numbers(tensors->at("out.weight")),
            (std::vector<int64_t>{1, 3, 5}));
  for (const Module::NamedSlot& slot : two.model().TensorSlots()) {
    EXPECT_EQ(slot.tensor.numel(), slot.name == "qkv.weight" ? 12
                                   : slot.name == "out.bias" ? 3
                                                             : 6)
        << slot.name;
  }
}

TEST(PrunedTensorsTest, RefusesWeightsThatAreNotAsTheHeadsSay) {
  TwoHeads two;
  AttentionHeads heads = two.heads();
  heads.num_heads = 3;
  EXPECT_THAT(PrunedTensors(two.model(), "", heads, {{0, {0}}}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("qkv.weight has 6 numbers for its heads, but "
                                 "9 are expected of 3 heads")));
}

TEST(OfHeadsLeftTest, TakesThePartOfTheHeadsThatAreLeft) {
  const PrunedHeads pruned = {{1, {0, 2}}};
  const at::Tensor mask = at::arange(4).view({1, 4, 1, 1});
  EXPECT_EQ(Numbers(OfHeadsLeft(mask, pruned, 1, 4)),
            (std::vector<int64_t>{1, 3}));
  EXPECT_TRUE(OfHeadsLeft(mask, pruned, 0, 4).is_same(mask));
  const at::Tensor of_two = at::ones({1, 2, 1, 1});
  EXPECT_TRUE(OfHeadsLeft(of_two, pruned, 1, 4).is_same(of_two));
  EXPECT_FALSE(OfHeadsLeft(at::Tensor(), pruned, 1, 4).defined());
  const std::vector<at::Tensor> masks = OfHeadsLeft({mask, mask}, pruned, 4);
  EXPECT_EQ(masks[0].size(1), 4);
  EXPECT_EQ(masks[1].size(1), 2);
}

}  // namespace
}  // namespace pretrained
