#include "checkpoint/shard_plan.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint_index.h"
#include "checkpoint/error_text.h"
#include "checkpoint/python_json.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using checkpoint_internal::PythonFloat;
using checkpoint_internal::QuotedName;

// Sizes are counted in bits, for a bool counts as one.
constexpr int64_t kMaxBits = std::numeric_limits<int64_t>::max() / 2;

// The memory that all tensors without elements share.
constexpr int kNullStorage = -1;

// As Python's str.replace() of the extension: wherever it stands.
std::string ShardName(absl::string_view weights_name, size_t number,
                      size_t count) {
  std::string name(weights_name);
  const std::string suffix = absl::StrFormat("-%05d-of-%05d", number, count);
  for (const absl::string_view extension : {".bin", ".safetensors"}) {
    name = absl::StrReplaceAll(name,
                               {{extension, absl::StrCat(suffix, extension)}});
  }
  return name;
}

// What is known after each tensor.
class Planner {
 public:
  explicit Planner(int64_t max_shard_bytes)
      : max_bits_(std::clamp<int64_t>(max_shard_bytes, 0, kMaxBits / 8) * 8) {}

  absl::Status Add(const ShardedTensor& tensor, int number);

  std::vector<Shard> TakeShards() { return std::move(shards_); }
  // As json.dumps() writes 4.34's sum.
  std::string TotalSize() const {
    return is_float_ ? PythonFloat(static_cast<double>(total_bits_) / 8)
                     : absl::StrCat(total_bits_ / 8);
  }

 private:
  const int64_t max_bits_;
  int64_t last_bits_ = 0;   // Of the last shard.
  int64_t total_bits_ = 0;  // Of all.
  bool is_float_ = false;   // Whether Python's sum has become one.
  std::vector<Shard> shards_ = std::vector<Shard>(1);
  absl::flat_hash_map<int, size_t> shard_of_storage_;
};

absl::Status Planner::Add(const ShardedTensor& tensor, int number) {
  const bool is_bool = tensor.dtype == Dtype::kBool;
  const int64_t element_bits = is_bool ? 1 : DtypeSize(tensor.dtype) * 8;
  if (tensor.num_elements < 0 ||
      tensor.num_elements > (kMaxBits - total_bits_) / element_bits) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", QuotedName(tensor.name), ": ", tensor.num_elements,
        " elements of ", DtypeName(tensor.dtype),
        ", after those before it, have no size below 2^60 bytes; "
        "pass the tensors' true sizes"));
  }
  const bool shares = tensor.storage >= 0 || tensor.num_elements == 0;
  const int storage = tensor.storage >= 0 ? tensor.storage : kNullStorage;
  if (shares) {
    const auto found = shard_of_storage_.find(storage);
    if (found != shard_of_storage_.end()) {
      shards_[found->second].tensors.push_back(number);
      return absl::OkStatus();
    }
  }
  const int64_t bits = tensor.num_elements * element_bits;
  if (bits > max_bits_ - last_bits_ && !shards_.back().tensors.empty()) {
    shards_.emplace_back();
    last_bits_ = 0;
  }
  shards_.back().tensors.push_back(number);
  last_bits_ += bits;
  total_bits_ += bits;
  is_float_ |= is_bool;
  if (shares) shard_of_storage_[storage] = shards_.size() - 1;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ShardPlan> PlanShards(absl::Span<const ShardedTensor> tensors,
                                     int64_t max_shard_bytes,
                                     absl::string_view weights_name) {
  if (max_shard_bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_shard_size is ", max_shard_bytes,
                     " bytes, but must not be negative; pass such as 10GB"));
  }
  if (!absl::StrContains(weights_name, ".bin") &&
      !absl::StrContains(weights_name, ".safetensors")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "weights name ", QuotedName(weights_name),
        " has neither .bin nor .safetensors, before which a shard's number "
        "goes; pass such as model.safetensors"));
  }
  Planner planner(max_shard_bytes);
  for (size_t i = 0; i < tensors.size(); ++i) {
    absl::Status status = planner.Add(tensors[i], static_cast<int>(i));
    if (!status.ok()) return status;
  }
  ShardPlan plan;
  plan.shards = planner.TakeShards();
  if (plan.shards.size() == 1) {
    plan.shards[0].file_name = std::string(weights_name);
    return plan;
  }
  std::vector<std::pair<std::string, std::string>> weight_map;
  weight_map.reserve(tensors.size());
  for (size_t i = 0; i < plan.shards.size(); ++i) {
    Shard& shard = plan.shards[i];
    shard.file_name = ShardName(weights_name, i + 1, plan.shards.size());
    for (const int number : shard.tensors) {
      weight_map.emplace_back(tensors[number].name, shard.file_name);
    }
  }
  absl::StatusOr<CheckpointIndex> index = CheckpointIndex::Create(
      weight_map, absl::StrCat("{\"total_size\": ", planner.TotalSize(), "}"));
  if (!index.ok()) return index.status();
  plan.index = *std::move(index);
  return plan;
}

absl::StatusOr<ShardPlan> PlanShards(absl::Span<const TensorToWrite> tensors,
                                     int64_t max_shard_bytes,
                                     absl::string_view weights_name) {
  std::vector<ShardedTensor> sharded(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorToWrite& tensor = tensors[i];
    const absl::StatusOr<int64_t> bytes = CheckedBytes(tensor);
    if (!bytes.ok()) return bytes.status();
    sharded[i].name = tensor.name;
    sharded[i].dtype = tensor.dtype;
    sharded[i].num_elements = *bytes / DtypeSize(tensor.dtype);
    if (tensor.alias_of < 0) continue;
    const size_t first = tensor.alias_of;
    if (first >= i) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", QuotedName(tensor.name), ": is an alias of ", "number ",
          first, ", but is number ", i, "; pass one that comes before it"));
    }
    if (sharded[first].storage < 0) {
      sharded[first].storage = static_cast<int>(first);
    }
    sharded[i].storage = sharded[first].storage;
  }
  return PlanShards(absl::MakeConstSpan(sharded), max_shard_bytes,
                    weights_name);
}

}  // namespace pretrained
