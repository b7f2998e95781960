#include "checkpoint/tensor_table.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"

namespace pretrained {
namespace {

using checkpoint_internal::QuotedName;

// Longer names are compared by prefix only.
constexpr size_t kMaxComparedBytes = 256;

// Cells of edit distance tables to fill before giving up: about 10 ms.
constexpr int64_t kMaxCells = 5'000'000;

// Whether the longer of the two is the shorter behind "something.".
bool DifferOnlyByPrefix(absl::string_view a, absl::string_view b) {
  if (a.size() < b.size()) std::swap(a, b);
  return a.size() > b.size() + 1 && !b.empty() && absl::EndsWith(a, b) &&
         a[a.size() - b.size() - 1] == '.';
}

// The Levenshtein distance of `a` and `b`, or limit + 1 if it exceeds `limit`:
// a table of which only one row is kept.
size_t EditDistance(absl::string_view a, absl::string_view b, size_t limit,
                    std::vector<size_t>& row) {
  row.resize(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];  // Distance of a[0, i-1) and b[0, j-1).
    size_t best_of_row = row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitute = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({substitute, row[j] + 1, row[j - 1] + 1});
      best_of_row = std::min(best_of_row, row[j]);
    }
    // Distances never shrink from one row to the next.
    if (best_of_row > limit) return limit + 1;
  }
  return row[b.size()];
}

}  // namespace

absl::StatusOr<TensorTable> TensorTable::Create(
    std::vector<TensorInfo> tensors,
    absl::FunctionRef<absl::Status(const TensorInfo&, const TensorInfo&)>
        duplicate_error) {
  if (tensors.size() > std::numeric_limits<uint32_t>::max()) {
    return absl::ResourceExhaustedError("more than 2^32 tensors");
  }
  TensorTable table;
  table.tensors_ = std::move(tensors);
  table.index_by_name_.reserve(table.tensors_.size());
  for (uint32_t i = 0; i < table.tensors_.size(); ++i) {
    const auto [it, inserted] =
        table.index_by_name_.try_emplace(table.tensors_[i].name, i);
    if (!inserted) {
      return duplicate_error(table.tensors_[it->second], table.tensors_[i]);
    }
  }
  return table;
}

absl::StatusOr<const TensorInfo*> TensorTable::Find(
    absl::string_view name, absl::string_view where) const {
  const auto it = index_by_name_.find(name);
  if (it != index_by_name_.end()) return &tensors_[it->second];
  const std::optional<absl::string_view> closest = ClosestName(name, tensors_);
  return absl::NotFoundError(absl::StrCat(
      where, ": there is no tensor ", QuotedName(name), " among its ",
      tensors_.size(),
      closest.has_value()
          ? absl::StrCat("; did you mean ", QuotedName(*closest), "?")
          : "; see the names that tensors() lists"));
}

std::vector<TensorInfo> TensorTable::Release() && {
  index_by_name_.clear();
  return std::move(tensors_);
}

std::optional<absl::string_view> ClosestName(
    absl::string_view name, absl::Span<const TensorInfo> tensors) {
  for (const TensorInfo& tensor : tensors) {
    if (DifferOnlyByPrefix(name, tensor.name)) return tensor.name;
  }
  if (name.size() > kMaxComparedBytes) return std::nullopt;

  // A third of the name may differ; beyond that a guess is no help.
  size_t limit = std::max<size_t>(name.size() / 3, 1);
  std::optional<absl::string_view> closest;
  std::vector<size_t> row;
  int64_t cells = 0;
  for (const TensorInfo& tensor : tensors) {
    const absl::string_view other = tensor.name;
    const size_t difference = other.size() > name.size()
                                  ? other.size() - name.size()
                                  : name.size() - other.size();
    if (difference > limit || other.size() > kMaxComparedBytes) continue;
    cells += (name.size() + 1) * (other.size() + 1);
    if (cells > kMaxCells) break;
    const size_t distance = EditDistance(name, other, limit, row);
    if (distance > limit) continue;
    closest = other;
    if (distance == 1) break;  // It cannot get better: the name is absent.
    limit = distance - 1;
  }
  return closest;
}

}  // namespace pretrained
