#ifndef PRETRAINED_MODELING_WEIGHT_LOADER_H_
#define PRETRAINED_MODELING_WEIGHT_LOADER_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "checkpoint/checkpoint.h"
#include "dtypes/dtype.h"
#include "modeling/key_matching.h"
#include "modeling/loading_info.h"
#include "modeling/module.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

struct WeightLoaderOptions {
  Dtype dtype = Dtype::kFloat32;  // Of the model's floating tensors.
  bool use_mmap = true;
  // Called after each tensor; may be empty.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress;
};

// Puts the stored tensors that `matches` names into `model`, which stands on
// the meta device, in the order of their bytes: one pass over each file. Fills
// `info`'s engine and bytes.
absl::Status LoadMatchedWeights(const Checkpoint& checkpoint,
                                const KeyMatches& matches,
                                const WeightLoaderOptions& options,
                                Module& model, LoadingInfo& info);

// Draws on the CPU, as the family initialises them, the tensors of `model` that
// got no value, which stand on the meta device still.
absl::Status InitializeMissingWeights(const KeyMatches& matches,
                                      PretrainedModel& model);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_WEIGHT_LOADER_H_
