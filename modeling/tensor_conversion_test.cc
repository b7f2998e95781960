#include "modeling/tensor_conversion.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "ATen/ATen.h"
#include "absl/status/status.h"
#include "absl/status/status_matchers.h"
#include "absl/strings/match.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/layers.h"
#include "modeling/layout_nodes.h"
#include "modeling/module.h"

namespace pretrained {
namespace {

using ::absl_testing::IsOk;
using ::absl_testing::StatusIs;
using ::testing::HasSubstr;

ModuleNode Node() {
  ModuleNode node{
      .class_name = "Root",
      .children = {EmbeddingNode("embed", 5, 2), LinearNode("head", 2, 5)}};
  node.buffers = {{.name = "ids", .shape = {3}, .dtype = Dtype::kInt64},
                  {.name = "flags", .shape = {3}, .dtype = Dtype::kBool},
                  {.name = "table", .shape = {4}},
                  {.name = "table_again", .shape = {4}}};
  return node;
}

// A table tied to the head's weight, and two buffers over the same memory.
class Root : public Module {
 public:
  explicit Root(const ModuleOptions& options, const ModuleNode& node = Node())
      : Module(node, options),
        embed_(AddChild<Embedding>(node, "embed", options)),
        head_(AddChild<Linear>(node, "head", options)) {}

  // Gives every tensor numbers of its own.
  void Fill() {
    at::NoGradGuard no_grad;
    for (const NamedSlot& slot : TensorSlots()) {
      at::Tensor tensor = slot.tensor;
      tensor.copy_(at::arange(tensor.numel()).view(tensor.sizes()));
    }
    SetOwnTensor("table_again", buffer("table").alias());
  }

  std::map<std::string, at::Tensor> Slots() {
    std::map<std::string, at::Tensor> slots;
    for (const NamedSlot& slot : TensorSlots()) slots[slot.name] = slot.tensor;
    return slots;
  }

 private:
  std::shared_ptr<Embedding> embed_;
  std::shared_ptr<Linear> head_;
};

std::shared_ptr<Root> MakeRoot(const ModuleOptions& options = {
                                   .device = at::kCPU}) {
  auto root = std::make_shared<Root>(options);
  if (!options.device.is_meta()) root->Fill();
  EXPECT_THAT(root->TieTensors({"embed.weight", "head.weight"}), IsOk());
  return root;
}

TEST(TensorConversionTest, ConvertsFloatingTensorsAndKeepsTheOthers) {
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16, at::kDouble}) {
    const auto root = MakeRoot();
    const std::map<std::string, at::Tensor> before = root->Slots();
    std::map<std::string, at::Tensor> values;
    for (const auto& [name, tensor] : before) {
      values[name] = tensor.detach().clone();
    }
    ASSERT_THAT(ConvertTensors(*root, {.dtype = dtype}), IsOk());
    for (const auto& [name, tensor] : root->Slots()) {
      SCOPED_TRACE(name);
      const bool floating = name != "ids" && name != "flags";
      EXPECT_EQ(tensor.scalar_type(),
                floating ? dtype : values[name].scalar_type());
      EXPECT_TRUE(
          at::equal(tensor.to(values[name].scalar_type()), values[name]));
      EXPECT_EQ(tensor.unsafeGetTensorImpl(),
                before.at(name).unsafeGetTensorImpl())
          << "an optimizer would have lost it";
    }
  }
}

TEST(TensorConversionTest, TiesAndSharedMemoryStay) {
  const auto root = MakeRoot();
  ASSERT_THAT(ConvertTensors(*root, {.dtype = at::kHalf}), IsOk());
  std::map<std::string, at::Tensor> slots = root->Slots();
  EXPECT_TRUE(slots["embed.weight"].is_same(slots["head.weight"]));
  EXPECT_EQ(slots["table"].data_ptr(), slots["table_again"].data_ptr());
}

TEST(TensorConversionTest, RequiresGradStaysAndGradientsComeAlong) {
  const auto root = MakeRoot();
  std::map<std::string, at::Tensor> slots = root->Slots();
  slots["head.bias"].set_requires_grad(false);
  (slots["head.weight"] * 2.0).sum().backward();
  ASSERT_THAT(ConvertTensors(*root, {.dtype = at::kDouble}), IsOk());
  slots = root->Slots();
  EXPECT_TRUE(slots["head.weight"].requires_grad());
  EXPECT_TRUE(slots["head.weight"].is_leaf());
  EXPECT_FALSE(slots["head.bias"].requires_grad());
  EXPECT_TRUE(at::equal(slots["head.weight"].grad(),
                        at::full({5, 2}, 2.0, at::dtype(at::kDouble))));
  // And the next backward adds to them.
  (slots["head.weight"] * 3.0).sum().backward();
  EXPECT_TRUE(at::equal(slots["head.weight"].grad(),
                        at::full({5, 2}, 5.0, at::dtype(at::kDouble))));
}

TEST(TensorConversionTest, WhatIsAsItShouldBeIsNotTouched) {
  const auto root = MakeRoot();
  std::map<std::string, const void*> places;
  for (const auto& [name, tensor] : root->Slots()) {
    places[name] = tensor.data_ptr();
  }
  for (const TensorConversion& conversion :
       {TensorConversion{}, TensorConversion{.dtype = at::kFloat},
        TensorConversion{.device = at::kCPU, .dtype = at::kFloat}}) {
    ASSERT_THAT(ConvertTensors(*root, conversion), IsOk());
    for (const auto& [name, tensor] : root->Slots()) {
      EXPECT_EQ(tensor.data_ptr(), places[name]) << name;
    }
  }
}

TEST(TensorConversionTest, MovesToAnotherKindOfDevice) {
  const auto root = MakeRoot();
  ASSERT_THAT(ConvertTensors(*root, {.device = at::kMeta, .dtype = at::kHalf}),
              IsOk());
  std::map<std::string, at::Tensor> slots = root->Slots();
  for (const auto& [name, tensor] : slots) {
    EXPECT_TRUE(tensor.is_meta()) << name;
  }
  EXPECT_EQ(slots["table"].scalar_type(), at::kHalf);
  EXPECT_EQ(slots["ids"].scalar_type(), at::kLong);
  EXPECT_TRUE(slots["embed.weight"].is_same(slots["head.weight"]));
  EXPECT_TRUE(slots["embed.weight"].requires_grad());
  // There, dtypes still change.
  ASSERT_THAT(ConvertTensors(*root, {.dtype = at::kFloat}), IsOk());
  EXPECT_EQ(root->Slots()["table"].scalar_type(), at::kFloat);
}

TEST(TensorConversionTest, BadInputIsNamedAndChangesNothing) {
  const auto root = MakeRoot();
  EXPECT_THAT(ConvertTensors(*root, {.device = at::kMeta, .dtype = at::kLong}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("converted to Long: give a floating dtype")));
  EXPECT_TRUE(root->Slots()["ids"].is_cpu());
  const auto empty = MakeRoot({});
  EXPECT_THAT(ConvertTensors(*empty, {.device = at::kCPU, .dtype = at::kHalf}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("'ids' is on the meta device")));
  EXPECT_EQ(empty->Slots()["table"].scalar_type(), at::kFloat);
}

}  // namespace
}  // namespace pretrained
