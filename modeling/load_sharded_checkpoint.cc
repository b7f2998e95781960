#include "modeling/load_sharded_checkpoint.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/ops/empty.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "c10/core/InferenceMode.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/error_text.h"
#include "checkpoint/open_checkpoint.h"
#include "modeling/catch_torch.h"
#include "modeling/module.h"
#include "modeling/tensor_bridge.h"
#include "torch/nn/module.h"

namespace pretrained {
namespace {

using checkpoint_internal::QuotedName;
using checkpoint_internal::ShapeText;

// An entry of a state dict.
struct StateTensor {
  std::string name;
  at::Tensor tensor;  // The module's own, not a copy.
};

// Appends the state dict of `module`, its names after `prefix`, in torch's
// order. Walks by itself: Module::named_modules() asks for a module that is
// held by a shared_ptr, but one may stand on the stack.
void AppendState(torch::nn::Module& module, const std::string& prefix,
                 std::vector<StateTensor>& state) {
  // Where torch has None (the bias of a Linear without) LibTorch may have
  // registered an undefined tensor.
  for (const auto& entry : module.named_parameters(/*recurse=*/false)) {
    if (!entry.value().defined()) continue;
    state.push_back({absl::StrCat(prefix, entry.key()), entry.value()});
  }
  const auto* const ours = dynamic_cast<const Module*>(&module);
  for (const auto& entry : module.named_buffers(/*recurse=*/false)) {
    if (!entry.value().defined()) continue;
    if (ours != nullptr && !ours->is_persistent(entry.key())) continue;
    state.push_back({absl::StrCat(prefix, entry.key()), entry.value()});
  }
  for (const auto& child : module.named_children()) {
    AppendState(*child.value(), absl::StrCat(prefix, child.key(), "."), state);
  }
}

absl::Status CheckNotOnMeta(const std::string& class_name,
                            const std::vector<StateTensor>& state) {
  std::string first;
  size_t on_meta = 0;
  for (const StateTensor& entry : state) {
    if (entry.tensor.is_meta() && ++on_meta == 1) first = entry.name;
  }
  if (on_meta == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      class_name, ": ", on_meta, " of its ", state.size(),
      " tensors, such as '", first,
      "', are on the meta device, which has no memory for values; build the "
      "module on the CPU, or on the device that it is to run on"));
}

IncompatibleKeys Compare(const std::vector<StateTensor>& state,
                         const CheckpointIndex& index) {
  absl::flat_hash_set<absl::string_view> listed;
  listed.reserve(index.weight_map().size());
  for (const WeightMapEntry& entry : index.weight_map()) {
    listed.insert(entry.tensor);
  }
  absl::flat_hash_set<absl::string_view> wanted;
  wanted.reserve(state.size());
  IncompatibleKeys keys;
  for (const StateTensor& entry : state) {
    wanted.insert(entry.name);
    if (!listed.contains(entry.name)) keys.missing_keys.push_back(entry.name);
  }
  for (const WeightMapEntry& entry : index.weight_map()) {
    if (wanted.contains(entry.tensor)) continue;
    keys.unexpected_keys.push_back(entry.tensor);
  }
  return keys;
}

std::string ListNames(const std::vector<std::string>& names) {
  return absl::StrJoin(names, ", ",
                       [](std::string* out, const std::string& name) {
                         absl::StrAppend(out, QuotedName(name));
                       });
}

absl::Status CheckNoneIncompatible(const std::string& index_path,
                                   const std::string& class_name,
                                   const IncompatibleKeys& keys) {
  std::string lists;
  if (!keys.missing_keys.empty()) {
    absl::StrAppend(&lists, "\n  missing, which it does not list: ",
                    ListNames(keys.missing_keys));
  }
  if (!keys.unexpected_keys.empty()) {
    absl::StrAppend(&lists, "\n  unexpected, which the module does not have: ",
                    ListNames(keys.unexpected_keys));
  }
  if (lists.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      index_path, ": its names are not those of ", class_name, ":", lists,
      "\n  take the module that was saved, or set strict to false "
      "to load what both have"));
}

// A stored tensor, and the entry of the state dict of that name.
struct Match {
  const TensorInfo* stored = nullptr;
  size_t entry = 0;
};

std::vector<Match> MatchNames(const Checkpoint& checkpoint,
                              const std::vector<StateTensor>& state) {
  absl::flat_hash_map<absl::string_view, size_t> entry_of;
  entry_of.reserve(state.size());
  for (size_t i = 0; i < state.size(); ++i) entry_of[state[i].name] = i;
  std::vector<Match> matches;
  for (const TensorInfo& stored : checkpoint.tensors()) {
    const auto found = entry_of.find(stored.name);
    if (found != entry_of.end()) matches.push_back({&stored, found->second});
  }
  return matches;
}

// kDataLoss if the index, which lists all of `state`, promised too much.
absl::Status CheckAllStored(const std::string& index_path,
                            const std::vector<StateTensor>& state,
                            const std::vector<Match>& matches) {
  std::vector<bool> stored(state.size());
  for (const Match& match : matches) stored[match.entry] = true;
  std::vector<std::string> absent;
  for (size_t i = 0; i < state.size(); ++i) {
    if (!stored[i]) absent.push_back(state[i].name);
  }
  if (absent.empty()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      index_path, ": lists ", absent.size(), " tensors that no shard holds: ",
      ListNames(absent), "; download the checkpoint again, or save it again"));
}

// Before PyTorch 0.4 there were no tensors without a dimension: one number was
// stored as a list of one, and torch still takes the first of a list.
bool TakesFirstOf(const at::Tensor& tensor, const TensorInfo& stored) {
  return tensor.dim() == 0 && stored.shape.size() == 1 && stored.shape[0] > 0;
}

absl::Status CheckShapes(const std::string& index_path,
                         const Checkpoint& checkpoint,
                         const std::string& class_name,
                         const std::vector<StateTensor>& state,
                         const std::vector<Match>& matches) {
  std::string list;
  int mismatched = 0;
  for (const Match& match : matches) {
    const TensorInfo& stored = *match.stored;
    const at::Tensor& tensor = state[match.entry].tensor;
    if (tensor.sizes() == stored.shape || TakesFirstOf(tensor, stored)) {
      continue;
    }
    ++mismatched;
    absl::StrAppend(&list, "\n  tensor ", QuotedName(stored.name), ": ",
                    ShapeText(stored.shape), " in ",
                    checkpoint.files()[stored.file].path, ", ",
                    ShapeText({tensor.sizes().data(), tensor.sizes().size()}),
                    " in the module");
  }
  if (mismatched == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      index_path, ": ", mismatched, " tensors have another shape than in ",
      class_name, ":", list,
      "\n  take the module that was saved; nothing was loaded"));
}

// What is to be copied, in the order of the files' bytes. Of names that are one
// tensor only the last counts, so the others need not be read.
std::vector<Match> PlanCopies(const std::vector<StateTensor>& state,
                              const std::vector<Match>& matches) {
  absl::flat_hash_map<const c10::TensorImpl*, Match> last_of;
  for (const Match& match : matches) {
    const auto [found, is_new] = last_of.try_emplace(
        state[match.entry].tensor.unsafeGetTensorImpl(), match);
    Match& last = found->second;
    if (!is_new && std::pair(match.stored->file, match.entry) >
                       std::pair(last.stored->file, last.entry)) {
      last = match;
    }
  }
  std::vector<Match> copies;
  copies.reserve(last_of.size());
  for (const auto& [tensor, match] : last_of) copies.push_back(match);
  std::sort(copies.begin(), copies.end(), [](const Match& a, const Match& b) {
    return std::tuple(a.stored->file, a.stored->begin, a.entry) <
           std::tuple(b.stored->file, b.stored->begin, b.entry);
  });
  return copies;
}

// Whether the memory of `tensor` has the very bytes that Checkpoint::Read()
// gives for `stored`.
bool HasStoredLayout(const at::Tensor& tensor, const TensorInfo& stored) {
  return tensor.is_cpu() && tensor.layout() == at::kStrided &&
         tensor.scalar_type() == ToScalarType(stored.dtype) &&
         tensor.is_contiguous() && !tensor.is_conj() && !tensor.is_neg();
}

absl::Status CopyInto(const Checkpoint& checkpoint, const TensorInfo& stored,
                      const at::Tensor& tensor) {
  const bool in_place = HasStoredLayout(tensor, stored);
  const at::Tensor read =
      in_place
          ? tensor
          : at::empty(tensor.sizes(),
                      at::dtype(ToScalarType(stored.dtype)).device(at::kCPU));
  // As copy_() does: who saved the tensor for a backward is to know.
  if (in_place) tensor.unsafeGetTensorImpl()->bump_version();
  const absl::Span<char> bytes(static_cast<char*>(read.mutable_data_ptr()),
                               read.nbytes());
  const absl::Status status =
      TakesFirstOf(tensor, stored)
          ? checkpoint.ReadSlice(stored, {{0, 1}}, bytes)
          : checkpoint.Read(stored, bytes);
  if (status.ok() && !in_place) tensor.copy_(read);
  return status;
}

absl::StatusOr<IncompatibleKeys> Load(
    torch::nn::Module& module, const std::string& folder,
    const LoadShardedCheckpointOptions& options) {
  // Lets parameters that require grad be written to, and tensors that were made
  // in this mode as well.
  const c10::InferenceMode no_grad;
  std::vector<StateTensor> state;
  AppendState(module, "", state);
  const std::string& class_name = module.name();
  absl::Status status = CheckNotOnMeta(class_name, state);
  if (!status.ok()) return status;

  std::string index_path;
  IncompatibleKeys keys;
  const absl::StatusOr<std::unique_ptr<Checkpoint>> opened =
      OpenShardedCheckpoint(
          folder, options.prefer_safe,
          [&](const std::string& path, const CheckpointIndex& index) {
            index_path = path;
            keys = Compare(state, index);
            return options.strict
                       ? CheckNoneIncompatible(path, class_name, keys)
                       : absl::OkStatus();
          });
  if (!opened.ok()) return opened.status();
  const Checkpoint& checkpoint = **opened;

  const std::vector<Match> matches = MatchNames(checkpoint, state);
  if (options.strict) {
    status = CheckAllStored(index_path, state, matches);
    if (!status.ok()) return status;
  }
  status = CheckShapes(index_path, checkpoint, class_name, state, matches);
  if (!status.ok()) return status;

  for (const Match& copy : PlanCopies(state, matches)) {
    const TensorInfo& stored = *copy.stored;
    status = CatchTorch(
        absl::StrCat(checkpoint.files()[stored.file].path, ": tensor ",
                     QuotedName(stored.name)),
        [&] { return CopyInto(checkpoint, stored, state[copy.entry].tensor); });
    if (!status.ok()) return status;
  }
  return keys;
}

}  // namespace

absl::StatusOr<IncompatibleKeys> LoadShardedCheckpoint(
    torch::nn::Module& module, const std::string& folder,
    const LoadShardedCheckpointOptions& options) {
  return CatchTorch(absl::StrCat("loading ", folder),
                    [&] { return Load(module, folder, options); });
}

}  // namespace pretrained
