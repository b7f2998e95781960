#include "modeling/layers.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ops/addmm.h"
#include "ATen/ops/dropout.h"
#include "ATen/ops/embedding.h"
#include "ATen/ops/layer_norm.h"
#include "ATen/ops/linear.h"
#include "ATen/ops/rsqrt.h"
#include "absl/log/absl_check.h"
#include "modeling/activations.h"
#include "modeling/few_row_linear.h"
#include "modeling/half_linear.h"
#include "modeling/module.h"

namespace pretrained {

OneTensor Linear::Forward(const OneTensor& input) {
  const at::Tensor& weight = parameter("weight");
  const at::Tensor bias =
      has_parameter("bias") ? parameter("bias") : at::Tensor();
  std::optional<at::Tensor> few =
      LinearOfFewRows(input.value, weight, bias, WeightLayout::kOutIn);
  if (!few.has_value()) {
    few = LinearOfHalf(input.value, weight, bias, WeightLayout::kOutIn);
  }
  if (few.has_value()) return {*std::move(few)};
  if (!bias.defined()) return {at::linear(input.value, weight)};
  return {at::linear(input.value, weight, bias)};
}

at::Tensor Linear::WithoutBias(const at::Tensor& x,
                               std::optional<int64_t> out_features,
                               std::optional<int64_t> in_features) {
  return CallAs({x},
                [&](const OneTensor& input) -> OneTensor {
                  at::Tensor weight = parameter("weight");
                  if (out_features.has_value()) {
                    weight = weight.narrow(0, 0, *out_features);
                  }
                  if (in_features.has_value()) {
                    weight = weight.narrow(1, 0, *in_features);
                  }
                  return {at::linear(input.value, weight)};
                })
      .value;
}

Embedding::Embedding(const ModuleNode& node, const ModuleOptions& options,
                     std::optional<int64_t> padding_idx)
    : CallableModule(node, options), padding_idx_(padding_idx) {
  if (padding_idx_.has_value() && *padding_idx_ < 0) {
    *padding_idx_ += parameter("weight").size(0);
  }
}

OneTensor Embedding::Forward(const OneTensor& input) {
  return {at::embedding(parameter("weight"), input.value,
                        padding_idx_.value_or(-1))};
}

LayerNorm::LayerNorm(const ModuleNode& node, const ModuleOptions& options,
                     double eps)
    : CallableModule(node, options), eps_(eps) {}

OneTensor LayerNorm::Forward(const OneTensor& input) {
  if (!has_parameter("weight")) {
    return {at::layer_norm(input.value,
                           input.value.sizes().slice(input.value.dim() - 1), {},
                           {}, eps_)};
  }
  const at::Tensor& weight = parameter("weight");
  return {at::layer_norm(input.value, weight.sizes(), weight, parameter("bias"),
                         eps_)};
}

RmsNorm::RmsNorm(const ModuleNode& node, const ModuleOptions& options,
                 double eps, ResultDtype result_dtype)
    : CallableModule(node, options), eps_(eps), result_dtype_(result_dtype) {}

OneTensor RmsNorm::Forward(const OneTensor& input) {
  const at::Tensor& weight = parameter("weight");
  const at::Tensor x = input.value.to(at::kFloat);
  const at::Tensor variance = x.pow(2).mean(-1, /*keepdim=*/true);
  const bool is_llama = result_dtype_ == ResultDtype::kOfInput;
  // T5 scales what came in, LLaMA its float32 form.
  const at::Tensor scaled =
      (is_llama ? x : input.value) * at::rsqrt(variance + eps_);
  if (is_llama) return {weight * scaled.to(input.value.scalar_type())};
  const at::ScalarType type = weight.scalar_type();
  const bool half = type == at::kHalf || type == at::kBFloat16;
  return {weight * (half ? scaled.to(type) : scaled)};
}

OneTensor Conv1D::Forward(const OneTensor& input) {
  const at::Tensor& weight = parameter("weight");
  std::optional<at::Tensor> few = LinearOfFewRows(
      input.value, weight, parameter("bias"), WeightLayout::kInOut);
  if (!few.has_value()) {
    few = LinearOfHalf(input.value, weight, parameter("bias"),
                       WeightLayout::kInOut);
  }
  if (few.has_value()) return {*std::move(few)};
  std::vector<int64_t> sizes = input.value.sizes().vec();
  sizes.back() = weight.size(1);
  const at::Tensor rows = input.value.reshape({-1, weight.size(0)});
  return {at::addmm(parameter("bias"), rows, weight).view(sizes)};
}

Dropout::Dropout(const ModuleNode& node, const ModuleOptions& options,
                 double probability)
    : CallableModule(node, options), probability_(probability) {}

OneTensor Dropout::Forward(const OneTensor& input) {
  if (!is_training()) return input;
  return {at::dropout(input.value, probability_, /*train=*/true)};
}

Activation::Activation(const ModuleNode& node, const ModuleOptions& options,
                       const std::string& name)
    : CallableModule(node, options), function_(GetActivation(name)) {
  ABSL_CHECK(function_ != nullptr) << name;
}

OneTensor Activation::Forward(const OneTensor& input) {
  return {function_(input.value)};
}

}  // namespace pretrained
