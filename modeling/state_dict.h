#ifndef PRETRAINED_MODELING_STATE_DICT_H_
#define PRETRAINED_MODELING_STATE_DICT_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "checkpoint/checkpoint.h"

namespace pretrained {

// A model's tensors by name, in their order: what Python's state_dict() gives.
using StateDict = std::vector<std::pair<std::string, at::Tensor>>;

// For each tensor the index of the first one that is the same values in the
// same memory: address, shape, strides and dtype; on the meta device, the same
// tensor object. Its own where there is none, as for tensors without elements.
std::vector<int> FirstAliases(const StateDict& state_dict);

// A checkpoint of the tensors in `state_dict`, so that loading need not know
// whether weights lie in files or in memory. Its format is "state_dict", and it
// has one "file" of that name.
//
// Tensors that are the same memory (address, shape and strides) are views of
// one storage. View() hands out the tensor's own memory where that is dense,
// so that writing through it changes the tensor; it keeps that alive. Read()
// copies. On another device than the CPU a tensor is copied to it.
// kInvalidArgument, naming the tensor, for a name that occurs twice, an
// undefined tensor, a dtype that no checkpoint has, or one on the meta device.
// Cost: nothing is copied here.
absl::StatusOr<std::unique_ptr<Checkpoint>> MakeStateDictCheckpoint(
    StateDict state_dict);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_STATE_DICT_H_
