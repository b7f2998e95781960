#ifndef PRETRAINED_MODELING_WEIGHT_LOADER_H_
#define PRETRAINED_MODELING_WEIGHT_LOADER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ATen/core/Generator.h"
#include "absl/status/status.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/shard_loader.h"
#include "modeling/device_map_option.h"
#include "modeling/key_matching.h"
#include "modeling/loading_info.h"
#include "modeling/module.h"
#include "modeling/offload/weight_offloader.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

struct WeightLoaderOptions {
  // Whether weights may be mapped from their files (LoadTensors of
  // checkpoint/loading decides); otherwise they are private memory.
  bool use_mmap = true;
  // How they are read; `progress` is the one below.
  LoaderOptions loader = {};
  // Parameters, by the model's names, that get memory of their own even where
  // the checkpoint stores them as one tensor with others.
  std::vector<std::string> untied_weights;
  // Called now and then, and at the end; may be empty.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress;
  // Where parameters go; all to the CPU's memory when null. Buffers always do.
  const Placement* placement = nullptr;
  // Takes those that go to the disk, and those for GPUs that are stored as they
  // are wanted: they stay on the meta device. Needed where `placement` is.
  WeightOffloader* offloader = nullptr;
};

// Puts the stored tensors that `matches` names into `model`, which stands on
// the meta device, in the order of their bytes: one pass over each file.
// Floating ones take the dtype that the model's slot has. Fills `info`'s engine
// and bytes.
//
// Of names that are one tensor in the model the last one's values are read.
// What the checkpoint stores as views of the very same memory becomes one
// tensor in the model, too; other views that overlap get memory of their own.
// What goes to the meta device is not read. Where weights go to several places,
// those in memory are mapped wherever they can be: budgets are of memory.
// Before anything is read: kInvalidArgument if weights have to be written to
// the disk, and there is no folder for them.
absl::Status LoadMatchedWeights(const Checkpoint& checkpoint,
                                const KeyMatches& matches,
                                const WeightLoaderOptions& options,
                                Module& model, LoadingInfo& info);

// Draws on the CPU, as the family initialises them, the tensors of `model` that
// got no value and therefore stand on the meta device still, and hands those
// that go to the disk to `options.offloader`. `generator` is where random
// numbers come from; LibTorch's default one when absent.
absl::Status InitializeMissingWeights(
    const KeyMatches& matches, PretrainedModel& model,
    std::optional<at::Generator> generator = std::nullopt,
    const WeightLoaderOptions& options = {});

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_WEIGHT_LOADER_H_
