#ifndef PRETRAINED_CHECKPOINT_OFFLOAD_OFFLOAD_INDEX_H_
#define PRETRAINED_CHECKPOINT_OFFLOAD_OFFLOAD_INDEX_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "dtypes/dtype.h"

namespace pretrained {

// One entry of the `index.json` of an offload folder: where the weight `name`
// lies.
struct OffloadEntry {
  std::string name;
  // Of the weight once it is loaded. nullopt, which only an entry with a
  // `safetensors_file` may have: as it is stored there.
  std::optional<Dtype> dtype;

  // Either: the file NAME.dat of the folder holds it, dense and row-major.
  std::vector<int64_t> shape = {};
  // Or: the tensor `weight_name` of that file, whose header knows its shape.
  // The path is as the index has it: relative to the current folder.
  std::string safetensors_file = {};
  std::string weight_name = {};

  bool is_safetensors() const { return !safetensors_file.empty(); }

  friend bool operator==(const OffloadEntry&, const OffloadEntry&) = default;
};

// Reads an index, in its order. `file_name` serves in messages.
//   kDataLoss       no JSON object of such entries; a name that is no file
//                   name; a shape that is negative or has no size in 64 bits
//   kUnimplemented  a dtype that this library does not know
// Members that no entry has are skipped.
// Matches: accelerate 0.23 utils/offload.py `load_offloaded_weight`,
//     `OffloadedWeightsLoader`.
absl::StatusOr<std::vector<OffloadEntry>> ParseOffloadIndex(
    absl::string_view json, absl::string_view file_name);

// The index of `entries`, to the byte as Python writes it.
// Matches: accelerate 0.23 utils/offload.py `save_offload_index`.
std::string OffloadIndexJson(absl::Span<const OffloadEntry> entries);

// kInvalidArgument for a name that cannot be that of a file NAME.dat.
absl::Status CheckOffloadName(absl::string_view name);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_OFFLOAD_OFFLOAD_INDEX_H_
