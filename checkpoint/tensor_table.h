#ifndef PRETRAINED_CHECKPOINT_TENSOR_TABLE_H_
#define PRETRAINED_CHECKPOINT_TENSOR_TABLE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"

namespace pretrained {

// A list of tensors in which each name occurs once, and a way to find them by
// it: what every checkpoint driver holds.
//
// Cost: Create() hashes every name once and copies none. Find() is O(1).
// Threads: immutable.
// Lifetime: tensors live as long as the table, and stay where they are when
//     the table is moved.
class TensorTable {
 public:
  // Takes `tensors` in their order. Where two share a name, returns what
  // `duplicate_error` makes of the earlier and the later one.
  static absl::StatusOr<TensorTable> Create(
      std::vector<TensorInfo> tensors,
      absl::FunctionRef<absl::Status(const TensorInfo&, const TensorInfo&)>
          duplicate_error);

  TensorTable() = default;
  TensorTable(TensorTable&&) = default;
  TensorTable& operator=(TensorTable&&) = default;
  TensorTable(const TensorTable&) = delete;  // Names are views into tensors_.
  TensorTable& operator=(const TensorTable&) = delete;

  absl::Span<const TensorInfo> tensors() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return tensors_;
  }

  // kNotFound, with `where` (the file or folder) and the closest name there
  // is, if `name` is absent.
  absl::StatusOr<const TensorInfo*> Find(absl::string_view name,
                                         absl::string_view where) const
      ABSL_ATTRIBUTE_LIFETIME_BOUND;

  // Gives the tensors up, for a table of several files to be made of them.
  std::vector<TensorInfo> Release() &&;

 private:
  std::vector<TensorInfo> tensors_;
  absl::flat_hash_map<absl::string_view, uint32_t> index_by_name_;
};

// The name among `tensors` that somebody who wrote `name` most likely meant:
// one that only has or lacks a prefix up to a dot ("bert.", "model."), else the
// one the fewest edits away, if they are few. Gives up looking after a fixed
// amount of work (some milliseconds), however many names there are.
std::optional<absl::string_view> ClosestName(
    absl::string_view name, absl::Span<const TensorInfo> tensors);

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_TENSOR_TABLE_H_
