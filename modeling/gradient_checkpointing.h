#ifndef PRETRAINED_MODELING_GRADIENT_CHECKPOINTING_H_
#define PRETRAINED_MODELING_GRADIENT_CHECKPOINTING_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "modeling/module.h"

namespace pretrained {

// Gradient checkpointing: training that keeps a block's arguments alone, and
// computes what is inside the block once more when its gradients are wanted.
// Memory shrinks from that of all activations to that of one block's; time
// grows by about one forward.
//
//   absl::Status status = EnableGradientCheckpointing(*model);
//   model->train();
//   auto output = model->Call(inputs);   // as before,
//   output->find("loss")->backward();    // and the same gradients
//
// A family derives its blocks, such as the layers of an encoder, from
// CheckpointedBlock; the rest is here. It is at work in training mode and where
// gradients are recorded, and changes nothing elsewhere.
//
// Random numbers: a block sees the same ones both times, of the CPU and of the
//     devices of its arguments; dropout drops the same.
// Hooks of the block and below run both times.
// Errors: LibTorch's exceptions. backward() refuses second derivatives
//     (create_graph), and blocks that were put in eval mode, or got other
//     parameters, since their forward.
// Matches: torch 2.1 torch/utils/checkpoint.py `checkpoint`, as transformers
//     4.34's `gradient_checkpointing_enable` uses it.
// Differs: parameters get gradients where no argument of the block wants any,
//     and torch::autograd::grad() works. A block that is switched to eval mode
//     before backward() is an error; there its gradients are others. Autocast
//     must be as it was in forward; there it is restored.

// Whether a block checkpoints its gradients; what all blocks have in common.
class GradientCheckpointing {
 public:
  virtual ~GradientCheckpointing() = default;

  bool checkpoints_gradients() const { return checkpoints_gradients_; }
  void set_checkpoints_gradients(bool value) { checkpoints_gradients_ = value; }

 private:
  bool checkpoints_gradients_ = false;
};

// Computes results from arguments; some of either may be undefined.
using TensorFunction =
    std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

// `first(arguments)`, which runs once, now, and without gradients. Whenever
// gradients are wanted, `again` is to compute the same results from the same
// arguments; `block` is what it runs, whose parameters then get theirs. Results
// that are one of the arguments stay that.
std::vector<at::Tensor> RunCheckpointed(
    std::shared_ptr<const torch::nn::Module> block,
    const std::vector<at::Tensor>& arguments,
    absl::FunctionRef<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>
        first,
    TensorFunction again);

// A CallableModule that can checkpoint its gradients. What is not a tensor in
// its arguments is kept for the second time as it is, so that it must not
// change anything: no KeyValueStore::Layer.
// Lifetime: held by std::shared_ptr; lives as long as a graph it is part of.
template <typename Arguments, typename Result>
class CheckpointedBlock : public CallableModule<Arguments, Result>,
                          public GradientCheckpointing {
 public:
  CheckpointedBlock(const ModuleNode& node, const ModuleOptions& options)
      : CallableModule<Arguments, Result>(node, options) {}

  Result Call(Arguments arguments) {
    if (!checkpoints_gradients() || !this->is_training() ||
        !at::GradMode::is_enabled()) {
      return Base::Call(std::move(arguments));
    }
    auto self =
        std::static_pointer_cast<CheckpointedBlock>(this->shared_from_this());
    const std::vector<at::Tensor> inputs = TensorsOf(arguments);
    PutTensors(std::vector<at::Tensor>(inputs.size()), arguments);
    Result result;
    const std::vector<at::Tensor> outputs = RunCheckpointed(
        self, inputs,
        [&](const std::vector<at::Tensor>& tensors) {
          result = self->CallOn(arguments, tensors);
          return TensorsOf(result);
        },
        [self, arguments](const std::vector<at::Tensor>& tensors) {
          Result again = self->CallOn(arguments, tensors);
          return TensorsOf(again);
        });
    PutTensors(outputs, result);
    return result;
  }

 private:
  using Base = CallableModule<Arguments, Result>;

  Result CallOn(Arguments arguments, const std::vector<at::Tensor>& tensors) {
    PutTensors(tensors, arguments);
    return Base::Call(std::move(arguments));
  }

  template <typename T>
  static std::vector<at::Tensor> TensorsOf(T& value) {
    std::vector<at::Tensor> tensors;
    value.ForEachTensor([&](at::Tensor& tensor) { tensors.push_back(tensor); });
    return tensors;
  }

  template <typename T>
  static void PutTensors(const std::vector<at::Tensor>& tensors, T& value) {
    size_t next = 0;
    value.ForEachTensor([&](at::Tensor& slot) { slot = tensors[next++]; });
  }
};

// Whether a stack of `blocks` makes a cache of keys and values: `asked`, but
// not while it trains with checkpoints, of which a warning tells, once a
// process.
bool MayUseCache(bool asked, bool is_training,
                 const GradientCheckpointing* block);

template <typename Block>
bool MayUseCache(bool asked,
                 const std::vector<std::shared_ptr<Block>>& blocks) {
  return asked &&
         (blocks.empty() || MayUseCache(asked, blocks.front()->is_training(),
                                        blocks.front().get()));
}

// Whether there are blocks in `model`.
bool SupportsGradientCheckpointing(Module& model);

// Whether a block of `model` checkpoints its gradients.
bool IsGradientCheckpointing(Module& model);

// Makes all blocks of `model` do so; kUnimplemented where it has none.
// Differs: a model of no layers supports it in 4.34, to no effect.
absl::Status EnableGradientCheckpointing(Module& model);

void DisableGradientCheckpointing(Module& model);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_GRADIENT_CHECKPOINTING_H_
