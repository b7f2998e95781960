#ifndef PRETRAINED_CHECKPOINT_TORCH_TORCH_OBJECTS_H_
#define PRETRAINED_CHECKPOINT_TORCH_TORCH_OBJECTS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/pickle/pickle.h"
#include "dtypes/dtype.h"

namespace pretrained {

// One run of bytes that lies outside the pickle, as the pickle declares it.
struct TorchStorage {
  std::string key;     // The zip record is `data/<key>`; legacy: a number.
  int64_t nbytes = 0;  // The largest that any mention declares.
};

// One tensor: a view of a storage.
struct TorchTensor {
  std::string name;  // Its path in the state dict, joined by ".".
  Dtype dtype = Dtype::kFloat32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // In elements; as many as extents; none < 0.
  int64_t storage_offset = 0;    // In elements, from the storage's begin.
  int storage = 0;               // Index into TorchObjects::storages.
};

// What the pickle of a checkpoint says is in it.
struct TorchObjects {
  // Distinct keys, in the order of the first tensor that uses them; only those
  // of `tensors`.
  std::vector<TorchStorage> storages;

  // In the order of the state dict. Tied weights are there once for each name.
  std::vector<TorchTensor> tensors;

  // What is no tensor: path ("epoch", "optimizer.param_groups") and the value
  // as PickleText() prints it, cut.
  std::vector<std::pair<std::string, std::string>> values;

  // "module.name" of every global that we do not know, distinct and in order:
  // what they make is inert, and nobody looked for tensors inside. As stored:
  // quote them before you print them.
  std::vector<std::string> unknown_globals;
};

// Limits of what is walked; everything that was ever published is far below.
// Dicts may be shared, or contain themselves, and so a pickle of some hundred
// bytes can describe more paths than there are atoms: entries that are walked,
// and names, are counted against the pickle's own length.
inline constexpr int kMaxTorchDepth = 64;  // Dicts, one in another.
inline constexpr int64_t kMaxTorchNameBytes = 1 << 12;  // Of one path.
inline constexpr int64_t kMinTorchVisits = 1 << 12;  // And one for each byte.
inline constexpr int64_t kMinTorchNamesBytes = 1 << 20;   // And, for each byte,
inline constexpr int64_t kMaxTorchNamesPerByte = 16;      // so many.
inline constexpr int kMaxTorchRank = 64;                  // As in torch.
inline constexpr int64_t kMaxTorchValueBytes = 1 << 10;   // Of one text.
inline constexpr int64_t kMaxTorchValuesBytes = 1 << 20;  // Of them all.

// Finds the tensors in what torch.save pickled.
//
//   auto pickle = Pickle::Parse(data_pkl);
//   auto objects = ReadTorchObjects(*pickle, "pytorch_model.bin");
//   for (const TorchTensor& tensor : objects->tensors) ..
//
// Nested dicts, lists and tuples are flattened by path ("model.wte.weight",
// "optimizer.state.0.exp_avg"); keys that are no strings are printed as Python
// prints them. A list or tuple without any tensor in it is one value. Once it
// returns OK every tensor is safe to read: its extents are not negative, their
// product fits, and each of its elements lies inside its storage's declared
// bytes. A tensor without elements has offset 0 and strides of 1, whatever the
// pickle says.
//
// Errors begin with `file_name` and name the tensor:
//   kDataLoss        the pickle contradicts itself, is no state dict, or has
//                    two entries of one name
//   kUnimplemented   sparse, quantised, nested, meta, conjugated tensors,
//                    dtypes that this build does not know, and an entry beside
//                    tensors that only an unknown global can make
//   kResourceExhausted  a limit above
//
// Cost: in proportion to the pickle's values, but for shared sub-dicts, which
//     count once for each path to them.
// Threads: pure.
// Matches: torch 2.1 torch/_utils.py `_rebuild_*`, `persistent_load` of
//     torch/serialization.py; weights_only=True in which objects are made.
// Differs: objects of other classes are kept as text instead of refused, if
//     they are no entries of a state dict; a storage that mentions differ about
//     is as large as the largest says.
absl::StatusOr<TorchObjects> ReadTorchObjects(const Pickle& pickle,
                                              absl::string_view file_name);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TORCH_TORCH_OBJECTS_H_
