#ifndef PRETRAINED_MODELING_EXACT_FLOPS_H_
#define PRETRAINED_MODELING_EXACT_FLOPS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "c10/core/ScalarType.h"
#include "modeling/from_pretrained.h"
#include "modeling/model_output.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

// Floating-point operations of all calls of one operator.
struct OperatorCount {
  std::string name;  // LibTorch's: "addmm", "native_layer_norm"
  int64_t calls = 0;
  int64_t matmul = 0;  // Of products of matrices.
  int64_t other = 0;
};

// What a forward computes, operator by operator. What each counts is said in
// operator_flops.h.
struct ExactFlops {
  // Those that compute something, the one that computes most first.
  std::vector<OperatorCount> operators;
  // Operators on floating tensors for which there is no formula; they count as
  // none. Empty for every model of this library.
  std::vector<std::string> unknown;

  int64_t matmul() const;
  int64_t total() const;
};

// Counts what this thread computes with LibTorch from construction to Count():
//
//   FlopCounter counter;
//   absl::StatusOr<ModelOutput> output = model->Call(inputs);
//   const ExactFlops flops = counter.Count();
//
// The device does not matter: fused attention and the kernels for few rows
// count as what they stand for. Counters nest; the outer one gets what the
// inner one counted when that one is destroyed.
// Cost: about a microsecond for each operator while one lives, nothing
//     otherwise. Threads: a counter belongs to the thread that made it, and
//     must be destroyed there.
class FlopCounter {
 public:
  FlopCounter();
  ~FlopCounter();
  FlopCounter(const FlopCounter&) = delete;
  FlopCounter& operator=(const FlopCounter&) = delete;

  ExactFlops Count() const;

 private:
  class Recording;
  std::unique_ptr<Recording> recording_;
};

// What one forward of `model` computes, attention's quadratic part included;
// training takes about three times that. It runs on the device where the model
// is, to which `inputs` go; on the meta device nothing is computed. Errors are
// Call()'s.
//
// Beyond transformers 4.34, whose `floating_point_ops` (flops.h) is an estimate
// from the number of parameters. Matches: torch.utils.flop_counter in the part
// of matmul().
absl::StatusOr<ExactFlops> FloatingPointOpsExact(
    PretrainedModel& model, const NamedTensors& inputs,
    const ForwardOptions& options = {});

// The same for a model that is not there: it is made on the meta device, where
// it has shapes and no memory, so that the largest one takes milliseconds. Of
// `inputs` only shapes and dtypes matter.
//   dtype  of floating parameters; float32 where there is none
// kInvalidArgument for a config that makes no model.
absl::StatusOr<ExactFlops> FloatingPointOpsExact(
    const ModelClass& model_class, const PretrainedConfig& config,
    const NamedTensors& inputs, const ForwardOptions& options = {},
    std::optional<at::ScalarType> dtype = std::nullopt);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_EXACT_FLOPS_H_
