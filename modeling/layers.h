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

  // x W^T, with the first `out_features` rows and `in_features` columns of W:
  // all of them where it does not say.
  at::Tensor WithoutBias(const at::Tensor& x,
                         std::optional<int64_t> out_features = std::nullopt,
                         std::optional<int64_t> in_features = std::nullopt);

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

// Over the last dimension; without a scale and a shift where the node has no
// weight.
class LayerNorm : public CallableModule<OneTensor, OneTensor> {
 public:
  LayerNorm(const ModuleNode& node, const ModuleOptions& options, double eps);

  at::Tensor operator()(const at::Tensor& x) { return Call({x}).value; }

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  double eps_;
};

// Over the last dimension, without a mean or a bias; in float32 whatever the
// dtype of x, then times weight, in weight's dtype where that is half.
// Matches: transformers 4.34 `LlamaRMSNorm` and `T5LayerNorm`.
class RmsNorm : public CallableModule<OneTensor, OneTensor> {
 public:
  // kOfInput: the result has x's dtype before it meets weight (LLaMA).
  // kOfWeight: it takes weight's dtype, if that is a half one (T5).
  enum class ResultDtype { kOfInput, kOfWeight };

  RmsNorm(const ModuleNode& node, const ModuleOptions& options, double eps,
          ResultDtype result_dtype);

  at::Tensor operator()(const at::Tensor& x) { return Call({x}).value; }

 protected:
  OneTensor Forward(const OneTensor& input) override;

 private:
  double eps_;
  ResultDtype result_dtype_;
};

// y = x W + b, with W [in_features, out_features].
// Matches: transformers 4.34 pytorch_utils.py `Conv1D`.
class Conv1D : public CallableModule<OneTensor, OneTensor> {
 public:
  using CallableModule::CallableModule;

  at::Tensor operator()(const at::Tensor& x) { return Call({x}).value; }

 protected:
  OneTensor Forward(const OneTensor& input) override;
};

// Does nothing in eval mode.
class Dropout : public CallableModule<OneTensor, OneTensor> {
 public:
  Dropout(const ModuleNode& node, const ModuleOptions& options,
          double probability);

  at::Tensor operator()(const at::Tensor& x) { return Call({x}).value; }

  // What is dropped now: 0 in eval mode.
  double active_probability() const {
    return is_training() ? probability_ : 0.0;
  }

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
