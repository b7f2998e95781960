#include "modeling/t5/t5_block.h"

#include <memory>
#include <string>

#include "ATen/ATen.h"
#include "device_map/module_tree.h"
#include "gtest/gtest.h"
#include "modeling/module.h"
#include "modeling/t5/t5_config.h"
#include "modeling/t5/t5_testutil.h"
#include "modeling/tensor_testutil.h"

namespace pretrained {
namespace {

// The feed-forward step, in float16 but for wo, as a model is loaded.
std::shared_ptr<T5LayerFF> MakeHalfFeedForward(const T5Config& config,
                                               at::ScalarType wo_type) {
  const ModuleNode steps =
      FirstBlockNode(config, /*is_decoder=*/false).child("layer");
  auto step = std::make_shared<T5LayerFF>(
      steps.child("1"),
      ModuleOptions{.device = at::kCPU, .dtype = at::ScalarType::Half}, config);
  FillParameters(*step);
  for (const Module::NamedSlot& slot : step->TensorSlots()) {
    if (slot.name == "DenseReluDense.wo.weight") {
      EXPECT_TRUE(
          step->ReplaceTensor(slot.name, slot.tensor.detach().to(wo_type))
              .ok());
    }
  }
  return step;
}

TEST(T5BlockTest, WoOfFloat32MakesTheHiddenStatesFloat32) {
  for (const bool is_gated : {false, true}) {
    T5Config config = TinyT5Config();
    config.is_gated_act = is_gated;
    const at::Tensor x = SomeNumbers({2, 3, 10}, 0).to(at::kHalf);
    const at::Tensor kept =
        MakeHalfFeedForward(config, at::kFloat)->Call({x}).value;
    const at::Tensor half =
        MakeHalfFeedForward(config, at::kHalf)->Call({x}).value;
    EXPECT_EQ(kept.scalar_type(), at::kFloat);
    EXPECT_EQ(half.scalar_type(), at::kHalf);
    EXPECT_THAT(kept, IsCloseTo(half.to(at::kFloat), 2e-3));
    // Float32 that comes in meets weights of float16 again.
    EXPECT_EQ(MakeHalfFeedForward(config, at::kFloat)
                  ->Call({kept})
                  .value.scalar_type(),
              at::kFloat);
  }
}

TEST(T5BlockTest, AGateMultipliesWhatIsActivatedWithWhatIsNot) {
  T5Config config = TinyT5Config();
  config.is_gated_act = true;
  const ModuleNode node = FirstBlockNode(config, /*is_decoder=*/false)
                              .child("layer")
                              .child("1")
                              .child("DenseReluDense");
  auto dense = std::make_shared<T5Dense>(
      node, ModuleOptions{.device = at::kCPU}, config);
  FillParameters(*dense);
  at::Tensor gate;
  at::Tensor linear;
  at::Tensor out;
  for (const Module::NamedSlot& slot : dense->TensorSlots()) {
    if (slot.name == "wi_0.weight") gate = slot.tensor;
    if (slot.name == "wi_1.weight") linear = slot.tensor;
    if (slot.name == "wo.weight") out = slot.tensor;
  }
  const at::Tensor x = SomeNumbers({2, 3, 10}, 0);
  const at::Tensor want =
      at::linear(at::relu(at::linear(x, gate)) * at::linear(x, linear), out);
  EXPECT_THAT(dense->Call({x}).value, IsCloseTo(want, 1e-6));
}

// An infinity would be a NaN after the next norm.
TEST(T5BlockTest, Float16SumsThatOverflowComeBackIntoTheRange) {
  const T5Config config = TinyT5Config();
  auto block = std::make_shared<T5Block>(
      FirstBlockNode(config, /*is_decoder=*/true),
      ModuleOptions{.device = at::kCPU, .dtype = at::ScalarType::Half}, config,
      /*is_decoder=*/true);
  FillParameters(*block);
  const at::Tensor states = SomeNumbers({1, 4, 10}, 1).to(at::kHalf);
  const at::Tensor highest =
      at::full({1, 3, 10}, 65504.0, at::dtype(at::kHalf));
  for (const char* name :
       {"layer.0.SelfAttention.o.weight", "layer.1.EncDecAttention.o.weight",
        "layer.2.DenseReluDense.wo.weight"}) {
    SCOPED_TRACE(name);
    // What this step adds is large, so that its sum overflows.
    FillParameters(*block);
    at::NoGradGuard no_grad;
    for (const Module::NamedSlot& slot : block->TensorSlots()) {
      at::Tensor tensor = slot.tensor;
      if (slot.name == name) tensor.mul_(200.0);
    }
    const at::Tensor result =
        block->Call({.hidden_states = highest, .encoder_hidden_states = states})
            .hidden_states;
    EXPECT_TRUE(at::isfinite(result).all().item().toBool());
    const double greatest = result.abs().max().item().toDouble();
    EXPECT_GT(greatest, 64000.0);
    EXPECT_LT(greatest, 65000.0);  // Not the highest: a margin was left.
  }
}

TEST(T5BlockTest, ADecoderCachesFourTensorsAnEncoderTwo) {
  const T5Config config = TinyT5Config();
  const at::Tensor x = SomeNumbers({1, 3, 10}, 0);
  for (const bool is_decoder : {false, true}) {
    auto block = std::make_shared<T5Block>(FirstBlockNode(config, is_decoder),
                                           ModuleOptions{.device = at::kCPU},
                                           config, is_decoder);
    FillParameters(*block);
    const T5BlockResult result =
        block->Call({.hidden_states = x,
                     .encoder_hidden_states = SomeNumbers({1, 4, 10}, 1)});
    EXPECT_EQ(result.present.size(), is_decoder ? 4u : 2u);
    const T5BlockResult alone = block->Call({.hidden_states = x});
    EXPECT_EQ(alone.present.size(), 2u);
    // An encoder has no use for encoder states.
    EXPECT_EQ(at::equal(alone.hidden_states, result.hidden_states),
              !is_decoder);
  }
}

}  // namespace
}  // namespace pretrained
