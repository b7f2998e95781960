#include "modeling/bert/bert_testutil.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "ATen/ATen.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "device_map/module_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/bert/bert_config.h"
#include "modeling/bert/bert_layout.h"
#include "modeling/model_output.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

BertConfig TinyBertConfig() {
  BertConfig config;
  config.vocab_size = 30;
  config.hidden_size = 12;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 3;
  config.intermediate_size = 10;
  config.max_position_embeddings = 24;
  return config;
}

ModuleNode FirstLayerNode(const BertConfig& config) {
  const ModelLayout layout = BertModelLayout(config);
  return layout.tree.root.child("encoder").child("layer").child("0");
}

at::Tensor SomeNumbers(at::IntArrayRef shape, double start) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return (at::arange(count) * 0.737 + start).sin().reshape(shape);
}

void FillParameters(Module& module) {
  at::NoGradGuard no_grad;
  double start = 0;
  for (const Module::NamedSlot& slot : module.TensorSlots()) {
    if (slot.is_buffer) continue;
    at::Tensor tensor = slot.tensor;
    tensor.copy_(SomeNumbers(tensor.sizes(), start) * 0.5);
    start += 0.1;
  }
  module.ForEachModule(
      [](const std::string&, Module& each) { each.ComputeBuffers(at::kCPU); });
  module.eval();
}

namespace {

NamedTensors WithFloatsAs(const NamedTensors& inputs, at::ScalarType type) {
  NamedTensors result = inputs;
  for (auto& [name, tensor] : result) {
    if (tensor.is_floating_point()) tensor = tensor.to(type);
  }
  return result;
}

}  // namespace

double HalfError(PretrainedModel& half, PretrainedModel& full,
                 const NamedTensors& inputs, const ForwardOptions& options) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  at::NoGradGuard no_grad;
  absl::flat_hash_map<std::string, at::Tensor> weights;
  for (const Module::NamedSlot& slot : half.TensorSlots()) {
    if (!slot.is_buffer) weights[slot.name] = slot.tensor.to(at::kFloat);
  }
  EXPECT_THAT(full.ReplaceTensors(weights), absl_testing::IsOk());
  const NamedTensors half_inputs = WithFloatsAs(inputs, half.dtype());
  absl::StatusOr<ModelOutput> got = half.Call(half_inputs, options);
  absl::StatusOr<ModelOutput> want =
      full.Call(WithFloatsAs(half_inputs, at::kFloat), options);
  EXPECT_THAT(got, absl_testing::IsOk());
  EXPECT_THAT(want, absl_testing::IsOk());
  if (!got.ok() || !want.ok() || got->fields.size() != want->fields.size()) {
    return kInfinity;
  }
  double largest = 0;
  for (const auto& [name, tensor] : want->fields) {
    const at::Tensor* found = got->find(name);
    if (found == nullptr || found->scalar_type() != half.dtype()) {
      return kInfinity;
    }
    const double error =
        ((found->to(at::kFloat) - tensor).abs() / (1 + tensor.abs()))
            .max()
            .item()
            .toDouble();
    if (std::isnan(error)) return kInfinity;
    largest = std::max(largest, error);
  }
  return largest;
}

}  // namespace pretrained
