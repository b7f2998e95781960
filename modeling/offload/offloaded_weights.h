#ifndef PRETRAINED_MODELING_OFFLOAD_OFFLOADED_WEIGHTS_H_
#define PRETRAINED_MODELING_OFFLOAD_OFFLOADED_WEIGHTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "c10/core/ScalarType.h"

namespace pretrained {

// Weights of a model that stay outside memory until they are asked for.
//
//   absl::StatusOr<at::Tensor> weight = offloaded->Get("h.0.mlp.weight");
//
// A weight goes by its full name in the model's state dict. Tied names of one
// tensor are all there, each with the same bytes.
//
// Threads: immutable; any number of threads may call Get().
// Lifetime: a tensor may outlive the weights that it came from.
class OffloadedWeights {
 public:
  struct Weight {
    std::string name;
    at::ScalarType dtype = at::kFloat;
    std::vector<int64_t> shape;
    int64_t nbytes = 0;
  };

  virtual ~OffloadedWeights() = default;

  virtual absl::Span<const Weight> weights() const = 0;
  // nullptr if `name` is not among them.
  virtual const Weight* Find(absl::string_view name) const = 0;

  // The weight on the CPU: mapped where it is stored in the dtype and layout
  // that the model has (pages of the file, which cost no private memory), else
  // read into memory of its own. It is not to be written to.
  //   kNotFound  there is no such weight, or its file has gone
  //   kDataLoss  its file is shorter than it was
  virtual absl::StatusOr<at::Tensor> Get(absl::string_view name) const = 0;

  // Hints to the system, without effect on values: the weight's pages will be
  // needed soon (this may take as long as reading them does); or, they need not
  // stay in memory. Nothing happens for names that are not among the weights.
  virtual void Prefetch(absl::string_view name) const = 0;
  virtual void Release(absl::string_view name) const = 0;
};

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OFFLOAD_OFFLOADED_WEIGHTS_H_
