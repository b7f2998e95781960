#ifndef PRETRAINED_MODELING_LAYERS_H_
#define PRETRAINED_MODELING_LAYERS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "ATen/core/Tensor.h"
#include "modeling/module.h"

namespace pretrained {

// The layers that every family is built of, registered from layout nodes
// (layout_nodes.h). They compute what torch.nn's modules of the same name do.

// y = x W^T + b; x [.., in_features], y [.., out_features].
class Linear : public CallableModule<OneTensor, OneTensor> {
 public:
  using CallableModule::CallableModule;

  at::Tensor operator()(const at::Tensor& x) { return Call({x}).value; }

 protected:
  OneTensor Forward(const OneTensor& input) override;
};

// Rows of `weight` [num_embeddings, embedding_dim] at ids [..] of an integer
// type: [.., embedding_dim].
class Embedding : public CallableModule<OneTensor, OneTensor> {
 public:
  // `padding_idx`: the row that gets no gradient; negative counts from the end.
  Embedding(const ModuleNode& node, const ModuleOptions& options,
            std::optional<int64_t> padding_idx = std::nullopt);

  at::Tensor operator()(const at::Tensor& ids) { return Call({ids}).value; }
  std::optional<int64_t> padding_idx() const { return padding_idx_; }

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  std::optional<int64_t> padding_idx_;
};

// Over the last dimension.
class LayerNorm : public CallableModule<OneTensor, OneTensor> {
 public:
  LayerNorm(const ModuleNode& node, const ModuleOptions& options, double eps);

  at::Tensor operator()(const at::Tensor& x) { return Call({x}).value; }

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  double eps_;
};

// Does nothing in eval mode.
class Dropout : public CallableModule<OneTensor, OneTensor> {
 public:
  Dropout(const ModuleNode& node, const ModuleOptions& options,
          double probability);

  at::Tensor operator()(const at::Tensor& x) { return Call({x}).value; }

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  double probability_;
};

// The activation function that a config calls `name` (activation_names.h).
class Activation : public CallableModule<OneTensor, OneTensor> {
 public:
  Activation(const ModuleNode& node, const ModuleOptions& options,
             const std::string& name);

  at::Tensor operator()(const at::Tensor& x) { return Call({x}).value; }

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  using Function = at::Tensor (*)(const at::Tensor&);
  Function function_;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_LAYERS_H_
