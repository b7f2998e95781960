#ifndef PRETRAINED_MODELING_OFFLOAD_DISPATCH_H_
#define PRETRAINED_MODELING_OFFLOAD_DISPATCH_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "c10/core/Device.h"
#include "modeling/device_map_option.h"
#include "modeling/offload/offloaded_weights.h"
#include "modeling/pretrained_model.h"

namespace pretrained {

struct DispatchOptions {
  // Where modules run whose weights are on the CPU or the disk. Without one the
  // first device of the map that is neither; else the CPU.
  std::optional<at::Device> execution_device;

  // Bytes of weights that may be here ahead of their use, beside those in use.
  // Without a number those of the largest offloaded weight. 0: nothing comes
  // ahead, and no thread runs.
  std::optional<int64_t> prefetch_bytes;
};

// Makes a model run whose weights are in several places: hooks around each
// module with parameters move its arguments to its device, bring in weights
// that are not there before its forward, and let them go after. The weights of
// the modules that run next come in meanwhile, on a thread of its own, in the
// order learnt from earlier forwards (at first that of the modules).
//
//   auto status = DispatchModel(*model, {{"", "disk"}}, offloaded);
//   auto output = (*model)->Call(inputs);  // as if they were all in memory
//
// `device_map` places modules: "cpu", "disk", "0" or "cuda:0"; "" is all, the
// longest name that fits counts, and a tied parameter goes where the first of
// its names does that is not on "disk".
//   disk      The parameter is on meta, or becomes so; its values are those of
//             `offloaded`.
//   cpu, gpu  It is there for good; one on meta is brought in from `offloaded`.
//             One on the CPU is copied for each use where `execution_device` is
//             another: what accelerate's cpu_offload() does.
// Buffers are never offloaded (accelerate's `offload_buffers` is false, too).
// model.hf_device_map() becomes `device_map`. A map of one device, on which all
// parameters are in the end, attaches no hook.
//   kInvalidArgument     a parameter without a place, a module that does not
//                        exist, another device's name; a weight whose shape or
//                        dtype is not the parameter's
//   kNotFound            values that are neither here nor in `offloaded`
//   kFailedPrecondition  a model that is dispatched already
//   kUnimplemented       an offloaded parameter of a module without hooks
//   as OffloadedWeights::Get()
// Where there is an error the model is as it was.
//
// Calls: without gradients. A dispatched model records no graph, and refuses,
//     kFailedPrecondition, inputs that require a gradient, and training mode
//     unless gradients are off. Results stay on the device where they were made
//     (accelerate moves them to that of the inputs). An error of reading a
//     weight is the Status of Call(), and the next call starts afresh.
// Threads: several may call a dispatched model at once; they share weights.
//     Dispatching and removing hooks while a call runs is not allowed.
// Memory: in use are the weights of one module, not of a block; ahead of that
//     `prefetch_bytes`, also between calls, for those that the next needs.
// Lifetime: `offloaded` is held by the hooks; the thread ends with them.
// The rest of the model: parameters, dtype(), device() and num_parameters()
//     show what is on meta as in accelerate; SavePretrained() reads offloaded
//     weights one by one.
// Matches: accelerate 0.23 big_modeling.py `dispatch_model`, hooks.py.
// Differs: calls that are cut by an error, and several at once, leave no weight
//     behind; there they do.
absl::Status DispatchModel(PretrainedModel& model,
                           const DeviceMapEntries& device_map,
                           std::shared_ptr<const OffloadedWeights> offloaded,
                           const DispatchOptions& options = {});

// Whether DispatchModel() left hooks in `model`.
bool IsDispatched(PretrainedModel& model);

// What RemoveHooks() does with offloaded weights.
enum class OffloadedAfterwards {
  kInMemory,  // All are brought in, on the CPU: the model is an ordinary one.
  kOnMeta,    // They stay on meta, without values, as in accelerate.
};

// Takes away what DispatchModel() attached, and no other hook; nothing where
// there is none. On an error of OffloadedWeights::Get() the model is still
// dispatched. hf_device_map() becomes {"": "cpu"} for kInMemory where all is.
// Matches: accelerate 0.23 hooks.py `remove_hook_from_submodules`.
absl::Status RemoveHooks(
    PretrainedModel& model,
    OffloadedAfterwards afterwards = OffloadedAfterwards::kInMemory);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_OFFLOAD_DISPATCH_H_
